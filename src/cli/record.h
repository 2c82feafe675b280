/* `weft run --record`, `--summary`: what the processes of a run did, on all hosts of the cluster, as an application of the
 * model, or as tables. record_gather.c makes the processes leave it and collects it, record_read.c reads it, record_model.c
 * makes the model, record_summary.c the tables. */
#ifndef WEFT_CLI_RECORD_H
#define WEFT_CLI_RECORD_H
#include <stdbool.h>
#include <stdio.h>

#include "node/recorded.h"

/* --- What there is of it --- */

#define RECORD_DEVICES 10 /* that a program has counters for (opencl/front/usage.c) */

struct record_device {
    uint64_t id; /* 1 + node << 32 + its number there; 0: none */
    uint64_t kernels, in_bytes, out_bytes, memory_bytes;
};
struct record_process {
    struct node_recorded who;
    uint64_t cpu_ns, end_ns;
    uint64_t rank;            /* WEFT_RECORD_NOBODY: none */
    struct weft_record_id id; /* of the fabric; NOBODY: it opened none */
    struct record_device device[RECORD_DEVICES];
};
struct record_peer { /* what a process did with a peer */
    size_t process;
    struct weft_record did;
};
struct record_kernel {
    size_t process;
    struct weft_record_kernel did;
};
struct record {
    struct record_process *process;
    struct record_peer *peer;
    struct record_kernel *kernel;
    size_t processes, peers, kernels;
    unsigned running;  /* boards of processes that have not ended */
    unsigned left_out; /* boards for which there was no room */
    bool short_of_memory;
};
/* Adds a blob of node/recorded.h. WEFT_E_PROTO: it does not hold. */
int record_read(struct record *r, const void *blob, size_t bytes);
/* In the order of ranks, then of node and number. */
void record_sort(struct record *r);
void record_fini(struct record *r);

/* --- For weft run --- */

/* Before CMD is run: whether the file can be made; a message if not. */
bool record_may_write(const char *path);
/* From now on every node of the cluster of that daemon keeps what its processes do. NULL after a message. */
struct recorder;
struct recorder *record_begin(const char *socket);
void record_end(struct recorder *r);
/* When CMD has ended: what is left in `dir`, by the processes that have inherited it, and at the nodes. */
struct record record_collect(struct recorder *r, const char *dir);
/* Devices are named by the cluster of that daemon. seconds: that CMD took. */
void record_summary(const struct record *r, const char *socket, double seconds, FILE *f);

#endif
