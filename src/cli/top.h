/* The parts of `weft top`: a look at the cluster (top_look.c), what is shown of it (top_show.c), and the
 * terminal that it is shown on (screen.c). */
#ifndef WEFT_CLI_TOP_H
#define WEFT_CLI_TOP_H
#include <stdio.h>

#include "cli/device_list.h"
#include "node/usage.h"

#define TOP_USES 10 /* devices that a program has counters for */

/* What has passed since a process began, and what is there now. */
struct top_amount {
    uint64_t kernels, in_bytes, out_bytes, queues, memory_bytes;
    uint64_t direct_bytes; /* of in_bytes: straight from another node's device */
};
struct top_rates {
    double kernels, in_bytes, out_bytes, direct_bytes, sent_bytes, received_bytes;
}; /* a second */

struct top_use {
    uint32_t node, place;
    struct top_amount amount;
};

struct top_process {
    uint32_t node;
    struct node_usage_who who;
    char program[64];
    uint64_t up_ms;
    uint64_t sent_bytes, received_bytes; /* of packets, over all adapters */
    struct top_use use[TOP_USES];
    size_t uses;
    /* Of all its uses; an executor's: of its client's on its node. */
    struct top_amount amount;
    struct top_rates rates;
    uint32_t client_pid; /* an executor's; 0: not known */
};

struct top_node {
    struct node_info info;
    unsigned programs, executors;
    struct top_rates rates; /* sent, received */
    unsigned silent;        /* looks for which it is not asked again; 0: it answers */
};

struct top_device {
    const struct choice_device *device;
    unsigned programs;
    struct top_amount amount;
    struct top_rates rates;
};

struct top_sample {
    struct top_process *process;
    size_t count, room;
    uint64_t at_ns;
};

struct top {
    struct node_client *client;
    struct device_list list;
    struct top_sample now, before;
    struct top_node *node;
    int nodes;
    struct top_device *device; /* list.count */
};

/* Looks again: everything above is as it is now, rates since the last look. An error: the daemon is gone, or
 * no memory. */
int top_look(struct top *t);
void top_fini(struct top *t);

void top_show(const struct top *t, FILE *f,
              size_t rows); /* at most so many processes, devices and nodes of each; 0: all */
void top_json(const struct top *t);

#endif
