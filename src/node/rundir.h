/* Run directory of a daemon: <run dir>/<cluster>/node<K>/ with `lock` (held while the daemon lives; its pid is in it) and
 * `socket`. A directory whose lock nobody holds was left by a killed daemon, and is removed by whoever comes next.
 * Making, cleaning and removing are serialized by a lock on the run directory itself. */
#ifndef WEFT_NODE_RUNDIR_H
#define WEFT_NODE_RUNDIR_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/path.h"

struct node_rundir {
    char base[WEFT_PATH_MAX];
    char cluster[WEFT_PATH_MAX];
    char node[WEFT_PATH_MAX];
    int lock_fd;                 /* -1: closed */
};

/* base NULL: weft_run_dir(). Removes what killed daemons left first. WEFT_E_EXIST: a daemon lives there (logged). */
int node_rundir_open(struct node_rundir *r, const char *base, const char *cluster, uint32_t node);
/* Removes the node's directory, and the cluster's when no other daemon lives in it. */
void node_rundir_close(struct node_rundir *r);
/* Removes what dead daemons and dead `weft run` left in any cluster of the run directory. */
void node_rundir_clean(const char *base);
/* Whether a daemon lives in that directory; its pid (0 when it cannot be read). */
bool node_rundir_alive(const char *node_dir, pid_t *pid);
/* Removes what a dead process left in the run directory: the sockets whose names carry its pid. */
void node_rundir_clean_process(const char *base, pid_t pid);

/* Makes an empty directory for a temporary cluster, "run-<pid>-<random>"; its name goes to `cluster`. The directory
 * stays until its last daemon ends, or until this process is gone and node_rundir_clean() comes by. */
int node_rundir_make_temporary(char *cluster, size_t cap, char *path, size_t path_cap);

#endif
