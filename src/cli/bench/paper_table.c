/* paper002: what the paper says. */
#include "cli/bench/paper.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const struct paper_order paper_orders[PAPER_ORDERS] = {
    {.name = "8K", .n = 8192, .slice = 1024, .cpu_s = 179, .gpu_s = 91, .shrink = 8, .faster = 5},
    {.name = "16K", .n = 16384, .slice = 2048, .cpu_s = 1422, .gpu_s = 840, .shrink = 16, .faster = 40},
    {.name = "24K", .n = 24576, .slice = 4096, .cpu_s = 4800, .gpu_s = 2403, .shrink = 32, .faster = 120},
};

/* Section 4.4, from the text; speed-ups are of its best times. */
static const struct {
    const char *order, *devices;
    double seconds;
} published[] = {
    {"8K", "C", 179},
    {"8K", "G", 91},
    {"8K", "GGC", 21.8 * 1.76},
    {"8K", "GGC,GC,GC,GC", 179 / 8.21},
    {"16K", "C", 1422},
    {"16K", "G", 840},
    {"16K", "GGC", 157 * 2.15},
    {"16K", "GGC,GC,GC,GC", 157},
    {"24K", "C", 4800},
    {"24K", "G", 2403},
    {"24K", "GGC", 469 * 2.31},
    {"24K", "GGC,GC,GC,G", 469},
    {"24K", "GGC,GC,GC,GC", 489},
};

double paper_published_s(const struct paper_order *o, const struct paper_combination *c) {
    for (size_t i = 0; i < sizeof published / sizeof *published; i++)
        if (!strcmp(published[i].order, o->name) && !strcmp(published[i].devices, c->text))
            return published[i].seconds;
    return NAN;
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
