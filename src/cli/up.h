/* The parts of `weft up`: its arguments (up.c), the key that it uses (up_key.c), what it tells at the end
 * (up_report.c). */
#ifndef WEFT_CLI_UP_H
#define WEFT_CLI_UP_H
#include <stdbool.h>

#include "node/key.h"

struct up_arguments {
    long nodes;                /* on this host */
    const char *bind, *join;
    const char *hosts, *hosts_file;   /* others, to start a daemon on each */
    const char *remote_path;
    bool partial;
    bool slurm;                /* the nodes of the allocation; set where nothing else is said, too */
    bool insecure;             /* no key */
    bool foreground;
};

/* The credentials of the cluster that is to come, from the user's key, which is made if there is none; or
 * those of the cluster to join, for which the key must be there. keyed: whether it has a key at all. False:
 * it has told why not. */
bool up_credentials(const struct up_arguments *a, struct node_credentials *c, bool *keyed);
/* What is up now, as the daemon at that socket sees it. */
void up_report(const char *socket, const struct up_arguments *a, bool keyed);

#endif
