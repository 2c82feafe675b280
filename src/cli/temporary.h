/* The cluster of one `weft run`: nodes of this host, or one on each node of the Slurm allocation. It ends with this process,
 * whatever ends that, and has a key of its own, which no file holds. */
#ifndef WEFT_CLI_TEMPORARY_H
#define WEFT_CLI_TEMPORARY_H
#include <stdbool.h>

#include "cli/daemons.h"

struct temporary {
    struct daemon_process *local, *remote;
    unsigned local_count, remote_count;   /* remote: srun, or none */
};

/* In the directory `dir` of the cluster with that name. nodes 0: the allocation, if there is one, or else one node. */
bool temporary_start(struct temporary *t, const char *cluster, const char *dir, unsigned nodes, int abort_fd);
void temporary_end(struct temporary *t);

#endif
