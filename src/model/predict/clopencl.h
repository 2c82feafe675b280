/* The published cluster that the predictors are held against: A. Alves, J. Rufino, A. Pina, L. P. Santos,
 * "clOpenCL - Supporting Distributed Heterogeneous Computing in HPC Clusters", section 4. Four nodes with one
 * CPU each and five GPUs in all, 1 Gb/s Ethernet, a product of matrices in blocks, started on node 0; every
 * device takes block after block. */
#ifndef WEFT_MODEL_PREDICT_CLOPENCL_H
#define WEFT_MODEL_PREDICT_CLOPENCL_H
#include "model/predict/predict.h"

#define CLOPENCL_LINK_Bps    125e6 /* 1 Gb/s, as it is sold */
#define CLOPENCL_GOODPUT_Bps 118e6 /* what a program gets of it: without preamble, headers, gaps */
#define CLOPENCL_ALL         "GGC,GC,GC,GC"

/* One of the paper's orders of matrices. */
struct clopencl_order {
    const char *name;
    int n, slice;
    double cpu_s, gpu_s; /* published: all blocks on one CPU, on one GPU, of node 0 */
};
enum { CLOPENCL_8K, CLOPENCL_16K, CLOPENCL_24K, CLOPENCL_ORDERS };
extern const struct clopencl_order clopencl_orders[CLOPENCL_ORDERS];

/* A published time of several devices, which nothing is fitted to. */
struct clopencl_time {
    int order;
    const char *devices; /* C and G by node, nodes separated by commas, node 0 first */
    double seconds;
    const char *where; /* in section 4.4 */
};
#define CLOPENCL_TIMES 7
extern const struct clopencl_time clopencl_times[CLOPENCL_TIMES];

/* The published time, also of one device; NAN: the text does not tell it. */
double clopencl_published_s(int order, const char *devices);

/* All of it but the link's rate is published. WEFT_E_INVAL: the devices' text makes no sense. The devices in
 * `out` are in the order of the text. */
int clopencl_predict(int order, const char *devices, double nic_Bps, const struct weft_block_policy *policy,
                     struct weft_makespan *out);
/* The link's rate with which the published times of one order come out best, whatever its nominal rate. */
int clopencl_fit(int order, double *nic_Bps);

/* What a better system would reach on that cluster: policies, from the published one on, each with what it
 * adds. */
struct clopencl_policy {
    const char *name;
    struct weft_block_policy policy;
};
#define CLOPENCL_POLICIES 5
extern const struct clopencl_policy clopencl_policies[CLOPENCL_POLICIES];

#endif
