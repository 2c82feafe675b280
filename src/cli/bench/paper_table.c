/* paper002: what the paper says, how it is scaled, and what the model says. */
#include "cli/bench/paper.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const struct paper_order paper_orders[PAPER_ORDERS] = {
    {.paper = &clopencl_orders[CLOPENCL_8K], .shrink = 8, .faster = 5},
    {.paper = &clopencl_orders[CLOPENCL_16K], .shrink = 16, .faster = 40},
    {.paper = &clopencl_orders[CLOPENCL_24K], .shrink = 32, .faster = 120},
};

static int order_of(const struct paper_order *o) { return (int)(o->paper - clopencl_orders); }

double paper_published_s(const struct paper_order *o, const struct paper_combination *c) {
    return clopencl_published_s(order_of(o), c->text);
}

double paper_model_s(const struct paper_order *o, const struct paper_combination *c) {
    struct weft_makespan m;
    int rc = clopencl_predict(order_of(o), c->text, CLOPENCL_LINK_Bps, &clopencl_policies[0].policy, &m);
    return rc ? NAN : m.seconds;
}

/* -- Table 1 -- */

static void add(char devices[PAPER_NODES][4], int node, char letter) {
    char *d = devices[node];
    d[strlen(d)] = letter;
}

/* The other node with the fewest devices, the first of them. */
static int emptiest(char devices[PAPER_NODES][4]) {
    int best = 1;
    for (int i = 2; i < PAPER_NODES; i++)
        if (strlen(devices[i]) < strlen(devices[best])) best = i;
    return best;
}

bool paper_combination(struct paper_combination *to, int cpus, int gpus) {
    char devices[PAPER_NODES][4] = {{0}};
    *to = (struct paper_combination){.cpus = cpus, .gpus = gpus};
    if (cpus < 0 || cpus > PAPER_NODES || gpus < 0 || gpus > PAPER_NODES + 1 || cpus + gpus == 0)
        return false;
    for (int i = 0; i < gpus; i++) add(devices, i < 2 ? 0 : i - 1, 'G');
    for (int i = 0; i < cpus; i++) add(devices, i ? emptiest(devices) : 0, 'C');
    for (int i = 0; i < PAPER_NODES && *devices[i]; i++) {
        size_t at = strlen(to->text);
        snprintf(to->text + at, sizeof to->text - at, "%s%s", i ? "," : "", devices[i]);
    }
    return true;
}

int paper_nodes(const struct paper_combination *c) {
    int nodes = 1;
    for (const char *p = c->text; *p; p++) nodes += *p == ',';
    return nodes;
}
