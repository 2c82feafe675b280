/* Daemons on the nodes of a Slurm allocation: one srun starts one on each node but this one, and stays as long as they do. */
#ifndef WEFT_CLI_SLURM_H
#define WEFT_CLI_SLURM_H
#include <stdbool.h>

#include "cli/remote.h"

struct slurm {
    char *others;              /* names of the other nodes, separated by commas; heap */
    unsigned count;            /* of those */
    char first[HOST_TEXT_MAX]; /* of those */
};

bool slurm_is_there(void);     /* this process runs in an allocation */
/* The other nodes of the allocation; told if it cannot be asked. */
bool slurm_find(struct slurm *s);
void slurm_free(struct slurm *s);
/* Starts the daemons and waits for them, as remote_start; spec->partial is not heeded. */
bool slurm_start(struct daemon_process *p, const struct slurm *s, const struct remote_spec *spec, int abort_fd);

#endif
