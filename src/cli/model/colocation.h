/* Workloads of unlike kinds, run alone and beside each other on two CPUs: what co-location costs each of them. */
#ifndef WEFT_CLI_MODEL_COLOCATION_H
#define WEFT_CLI_MODEL_COLOCATION_H
#include <stdbool.h>
#include <stddef.h>

#define COLOCATION_WORKLOADS 4
enum colocation_workload { WORK_COMPUTE, WORK_STREAM, WORK_CACHE, WORK_NETWORK };
extern const char *const colocation_names[COLOCATION_WORKLOADS];

struct colocation {
    int cpu[2];
    size_t stream_bytes, cache_bytes; /* of each of the two */
    void *memory[2];
    struct colocation_shared *shared;
};

/* The first two CPUs that this process may use; the sizes are of the last cache's. False after a message that begins
 * with "weft COMMAND: ". */
bool colocation_init(struct colocation *c, const char *command);
void colocation_fini(struct colocation *c);

/* Runs a workload on each of the two CPUs (-1: none on that one) for so long; what each did in a second of its CPU
 * time goes to `rate`. False: a process failed. */
bool colocation_run(struct colocation *c, const int workload[2], double seconds, double rate[2]);

#endif
