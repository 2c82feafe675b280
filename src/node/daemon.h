/* Node daemon as a library: weftd is a thin shell around it, and tests run several in one process. One daemon is one
 * node of one user's cluster: it knows the nodes, keeps the ports, starts executors and cleans up after processes.
 * Single-threaded: all calls on one daemon are made by one thread, but for node_daemon_stop. */
#ifndef WEFT_NODE_DAEMON_H
#define WEFT_NODE_DAEMON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node_daemon;
struct node_credentials;

struct node_daemon_config {
    const char *cluster;         /* name of the directory; NULL: "default" */
    const char *run_dir;         /* NULL: weft_run_dir() */
    const char *bind_host;       /* numeric address for the endpoint; NULL: 127.0.0.1 */
    /* The cluster's; copied. NULL: it has no key, and nothing proves who anybody is. With `join`: of the id in that text. */
    const struct node_credentials *credentials;
    bool insecure;               /* without credentials: allow a bind_host that other hosts reach all the same */
    const char *adapters;        /* NULL: shm,udp, whatever WEFT_ADAPTER says: shm tells at once when a daemon dies */
    const char *join;            /* join text of a cluster; NULL: this is node 0 of a new one */
    int32_t wanted_node;         /* with join: -1 takes the lowest free id */
    const char *executor;        /* path of weft-exec; NULL: beside this program */
    bool no_inventory;           /* do not collect one: the node has no devices */
    int lifeline_fd;             /* the daemon ends when that hangs up, unless a line "keep" came before; 0: none */
    unsigned executor_timeout_ms, inventory_timeout_ms;   /* 0: 60 s (a busy machine), 30 s */
};

enum node_daemon_state { NODE_DAEMON_JOINING, NODE_DAEMON_READY, NODE_DAEMON_ENDED };

/* WEFT_E_EXIST: that node is up already; WEFT_E_ACCESS: bind_host needs credentials or `insecure`, or the cluster to join
 * needs credentials; WEFT_E_INVAL: join text; … (logged) */
int node_daemon_open(struct node_daemon **out, const struct node_daemon_config *cfg);
/* Waits for something to do, at most timeout_ms (-1: any time), and does it. WEFT_E_CLOSED: it has been told to end, or
 * could not join (logged): close it. */
int node_daemon_step(struct node_daemon *d, int timeout_ms);
void node_daemon_stop(struct node_daemon *d);    /* any thread, signal handlers too */
/* Ends its executors and the lines of its clients, tells the other daemons, removes its directory. */
void node_daemon_close(struct node_daemon *d);

enum node_daemon_state node_daemon_state(const struct node_daemon *d);
uint32_t node_daemon_id(const struct node_daemon *d);               /* when ready */
const char *node_daemon_socket(const struct node_daemon *d);        /* when ready */
const char *node_daemon_join_text(const struct node_daemon *d);     /* of this daemon's cluster, with its own address */
/* Whether only processes of this host can send to that address; false for names and wildcards. */
bool node_host_is_loopback(const char *host);

#endif
