/* Daemons as `weft up` and `weft run` start them: on this host, or on others through a launcher (ssh, srun). What a daemon
 * is to know goes through its standard input or its arguments; credentials and join text, being secrets, only through the
 * former. Standard input is a daemon's lifeline, too: while a cluster is being made nothing of it outlives this process,
 * whatever ends that, and a launcher that goes takes its daemons along. */
#ifndef WEFT_CLI_DAEMONS_H
#define WEFT_CLI_DAEMONS_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/path.h"
#include "node/protocol.h"

struct daemon_spec {
    const char *cluster;
    const struct node_credentials *credentials;   /* NULL: the cluster has no key */
    const char *join;          /* NULL: node 0 */
    int32_t node;              /* with join: -1 any */
    const char *bind;          /* NULL: 127.0.0.1, or */
    const char *reach;         /* NULL, or: it listens on the address of its host from which this one is reached */
    bool insecure;
    const char *log;           /* where it logs once it is ready; NULL: standard error */
    bool foreground;           /* it takes this process's place */
    bool bound;                /* it ends with this process (weft run); else (weft up) only until daemon_keep */
    /* Elsewhere: */
    char *const *launcher;     /* words of the command that starts it there, ended by NULL; NULL: it starts here */
    bool shell;                /* the launcher hands the command to a shell there, without this one's environment */
    const char *dir;           /* of weftd there; NULL: the same as here */
    const char *output;        /* file for what launcher and daemons say on standard error */
    unsigned count;            /* how many daemons it starts; 0: one */
};

enum daemon_state { DAEMON_STARTING, DAEMON_READY, DAEMON_FAILED };

struct daemon_process {
    enum daemon_state state;
    pid_t pid;                 /* of the daemon or its launcher; 0: none, or reaped */
    int status;                /* as of waitpid, when it was reaped */
    bool late;                 /* it has failed because time was over */
    bool elsewhere;
    int lifeline;              /* it ends when this is closed; -1: none */
    int said;                  /* what it says when it is ready; -1: read */
    unsigned wanted, ready;    /* daemons */
    /* Of the last that was ready: */
    uint32_t node;
    char socket[WEFT_PATH_MAX];
    char join[NODE_JOIN_TEXT_MAX];
    char line[64 + WEFT_PATH_MAX + NODE_JOIN_TEXT_MAX];   /* what was read of the next line */
    size_t line_bytes;
};

/* `count` processes that are not there yet. Heap; NULL: no memory. */
struct daemon_process *daemons_create(unsigned count);
/* Starts weftd (beside this program). 0 or an error (told on standard error). */
int daemon_start(struct daemon_process *p, const struct daemon_spec *spec);
/* Turns this process into the daemon; returns only when that fails (told). */
void daemon_become(const struct daemon_spec *spec);

/* Waits until each is ready or has failed, the time is over (those left have failed then), or abort_fd (-1: none) is
 * readable; true: all are ready. tell (or NULL): called once for each as soon as it is known. */
bool daemons_await(struct daemon_process *p, unsigned count, unsigned timeout_ms, int abort_fd,
                   void (*tell)(void *arg, struct daemon_process *p), void *arg);
/* Lets them go on by themselves. */
void daemons_keep(struct daemon_process *p, unsigned count);
/* Ends them: politely, then, after a while, by force. */
void daemons_end(struct daemon_process *p, unsigned count);

#endif
