/* Daemons on other hosts, started over ssh. The launcher of a daemon stays as long as that does: so its session there stays,
 * and with it what the session's end would take away; and it brings home what the daemon logs. */
#ifndef WEFT_CLI_REMOTE_H
#define WEFT_CLI_REMOTE_H
#include <stdbool.h>

#include "cli/daemons.h"
#include "cli/host_list.h"

struct remote_spec {
    const char *cluster;       /* its name */
    const struct node_credentials *credentials;   /* NULL: no key */
    const char *join;          /* the cluster's */
    const char *reach;         /* this host's address, to which theirs must fit */
    const char *dir;           /* of weft's programs there; NULL: the same as here */
    const char *log_dir;       /* for a file a host with its standard error */
    bool bound;                /* they end with this process */
    bool partial;              /* those that come up are enough, if there is one */
};

/* Starts one daemon on each host, in parallel, and waits for them, telling of each on standard error. True: they are ready,
 * and end unless daemons_keep is called. `p` has room for all. */
bool remote_start(struct daemon_process *p, const struct host_list *hosts, const struct remote_spec *spec, int abort_fd);
/* What launcher and daemon said last on standard error. */
void remote_last_words(const char *path, char *out, size_t cap);

#endif
