/* Launching a child program: its own process group, a signal when its parent dies, signals as a fresh program expects
 * them, a minimal environment. Ends are noticed through a pidfd. */
#ifndef WEFT_NODE_LAUNCH_H
#define WEFT_NODE_LAUNCH_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "node/protocol.h"

struct node_child {
    pid_t pid;                   /* 0: none, or reaped */
    int pidfd;                   /* readable when it has ended; -1: none */
};

struct node_launch {
    const char *path;
    char *const *argv, *const *envp;
    int stdin_fd, stdout_fd;     /* -1: /dev/null */
    int death_signal;            /* what it gets when its parent dies; 0: SIGKILL */
};

/* On failure the reason says why ("cannot start /…/weft-exec: No such file or directory"); WEFT_E_NOENT, … */
int node_child_start(struct node_child *c, const struct node_launch *l, char reason[NODE_REASON_MAX]);
void node_child_kill(struct node_child *c);      /* the whole process group, at once */
/* True when it has ended and was reaped: how ("exit status 3", "killed by signal 9 (Killed)"), and whether well. */
bool node_child_reap(struct node_child *c, char reason[NODE_REASON_MAX], bool *success);
void node_child_wait(struct node_child *c);      /* for the end of a killed one */

/* The environment for executors: what a driver or weft may read, nothing else, and the extra "NAME=value" strings
 * (ended by NULL), which win. Heap, one block; NULL: no memory. */
char **node_environment(const char *const *extra);

#endif
