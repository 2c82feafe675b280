/* weft model measure, inside: what its parts share. Each part measures one kind of thing and puts it into the
 * model. */
#ifndef WEFT_CLI_MODEL_MEASURE_H
#define WEFT_CLI_MODEL_MEASURE_H
#include "cli/bench/bench.h"
#include "cli/model/model.h"
#include "model/measure/measure.h"

#include <sched.h>

struct measuring {
    struct measure_keep k;
    weft_model_ref host;
    struct bench_options o; /* of what the benchmarks' code measures */
    cpu_set_t cpus;         /* that this process had at first */
    double scale;           /* of the times that are spent; 1: some 20 s in all */
    bool quick, latency_only;
    uint64_t until_ns; /* the present part's time is over then */
    unsigned cut;      /* figures for which there was no time: the machine is slow or busy */
    unsigned mixed;    /* results that were dropped: the CPU pair changed its state meanwhile */
    unsigned failed;   /* parts that could not be measured; said why */
};

/* On a terminal: what is measured now. */
void measuring_tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Gives the process all its CPUs back: the benchmarks pin it. */
void measuring_unpin(const struct measuring *g);
/* Gives the part that begins so many seconds; 0: as long as it takes. */
void measuring_allow(struct measuring *g, double seconds);
/* Whether they are over, so that the next figure is left out. */
bool measuring_over(struct measuring *g);
/* A part that does not work here. */
void measuring_miss(struct measuring *g, const char *what, int rc);

/* Each: 0, WEFT_E_INTR, or an error that ends it all (no memory). */
int measuring_memory(struct measuring *g);                                     /* ladder and bandwidth */
int measuring_floors(struct measuring *g);                                     /* from CPU to CPU, copies */
int measuring_paths(struct measuring *g, const uint64_t *sizes, size_t count); /* every adapter that opens */
int measuring_ways(struct measuring *g);    /* the same with each way of sending, for the cut-offs */
int measuring_notify(struct measuring *g);  /* weft's mechanisms */
int measuring_nodes(struct measuring *g);   /* to each node of the cluster that is up, if one is */
int measuring_devices(struct measuring *g); /* OpenCL */

/* weft model measure --check: the exit status. `points`: tells each held-out point. */
int measure_check(struct measuring *g, bool json, bool points);

#endif
