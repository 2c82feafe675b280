/* Daemons as `weft up` and `weft run` start them, and the line to a cluster that is up. */
#ifndef WEFT_CLI_CLUSTER_H
#define WEFT_CLI_CLUSTER_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/path.h"
#include "node/client.h"
#include "node/protocol.h"

struct daemon_spec {
    const char *cluster;
    const struct node_credentials *credentials;   /* NULL: the cluster has no key */
    const char *join;          /* NULL: node 0 */
    int32_t node;              /* with join: -1 any */
    const char *bind;
    bool insecure;
    const char *log;           /* NULL: standard error */
    bool foreground;           /* it takes this process's place */
    bool bound;                /* it ends with this process (weft run); else (weft up) only until daemon_keep */
};

struct daemon_process {
    pid_t pid;                 /* 0: none, or reaped */
    int lifeline;              /* its end closes with us; -1: none */
    int said;                  /* what it says when it is ready; -1: read */
    bool ready;
    uint32_t node;
    char socket[WEFT_PATH_MAX];
    char join[NODE_JOIN_TEXT_MAX];
};

/* Starts weftd (beside this program). 0 or an error (told on standard error). */
int daemon_start(struct daemon_process *p, const struct daemon_spec *spec);
/* Turns this process into the daemon; returns only when that fails (told). */
void daemon_become(const struct daemon_spec *spec);
/* Waits until it is ready; false: it is not, and has said why. `abort_fd` (-1: none): gives up when that is readable. */
bool daemon_wait_ready(struct daemon_process *p, unsigned timeout_ms, int abort_fd);
/* Lets it go on by itself. */
void daemon_keep(struct daemon_process *p);
/* Ends them: politely, then, after a while, by force. */
void daemons_end(struct daemon_process *p, unsigned count);

/* Opens the line to the cluster that is up, or says that there is none. */
struct node_client *cluster_open(void);
/* All its nodes: heap, freed by the caller; their number or -1 (told). */
int cluster_nodes(struct node_client *c, struct node_info **out);
/* "node 3 (host)" texts for reasons are the daemon's; this one is for codes. */
void cluster_complain(const char *what, int rc);

#endif
