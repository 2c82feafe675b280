/* paper002: the experiment of the paper on clOpenCL (Alves, Rufino, Pina, Santos: clOpenCL - Supporting
 * Distributed Heterogeneous Computing in HPC Clusters), on a scaled cluster. What is published, what a model
 * says, and what is run. */
#ifndef WEFT_CLI_BENCH_PAPER_H
#define WEFT_CLI_BENCH_PAPER_H
#include "model/predict/clopencl.h"

#include <stdbool.h>
#include <stddef.h>

#define PAPER_NODES       4
#define PAPER_DEVICES_MAX 9
#define PAPER_TEXT        16 /* "GGC,GC,GC,GC" */

/* One of the paper's three orders of matrices, and how it is scaled: the order of the matrices is divided by
 * `shrink`, so data by its square; times by `faster`. The link's rate follows from both. */
struct paper_order {
    const struct clopencl_order *paper;
    int shrink;
    double faster;
};
#define PAPER_ORDERS CLOPENCL_ORDERS
extern const struct paper_order paper_orders[PAPER_ORDERS];

/* Devices by node: C and G, nodes separated by commas, the program's own first. */
struct paper_combination {
    char text[PAPER_TEXT];
    int cpus, gpus;
};
/* Table 1: as many devices as possible on the first node, the others on as many nodes as possible. False:
 * there is none. */
bool paper_combination(struct paper_combination *to, int cpus, int gpus);
/* The number of nodes. */
int paper_nodes(const struct paper_combination *c);

/* The published time; NAN: the text does not tell it. */
double paper_published_s(const struct paper_order *o, const struct paper_combination *c);

/* What the model says of the published behaviour (clopencl_predict), nothing fitted. Seconds. */
double paper_model_s(const struct paper_order *o, const struct paper_combination *c);

#endif
