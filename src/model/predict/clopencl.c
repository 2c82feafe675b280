/* The published cluster: its times, and what the model says of it. */
#include "model/predict/clopencl.h"

#include "base/error.h"

#include <math.h>
#include <string.h>

const struct clopencl_order clopencl_orders[CLOPENCL_ORDERS] = {
    {.name = "8K", .n = 8192, .slice = 1024, .cpu_s = 179, .gpu_s = 91},
    {.name = "16K", .n = 16384, .slice = 2048, .cpu_s = 1422, .gpu_s = 840},
    {.name = "24K", .n = 24576, .slice = 4096, .cpu_s = 4800, .gpu_s = 2403},
};

/* The figures' bars are not told in numbers; the text tells the best times and the speed-ups over one CPU and
 * over GGC. */
const struct clopencl_time clopencl_times[CLOPENCL_TIMES] = {
    {CLOPENCL_8K, "GGC", 21.8 * 1.76, "speed-up 1.76 of the best over GGC"},
    {CLOPENCL_8K, CLOPENCL_ALL, 179 / 8.21, "speed-up 8.21 over one CPU"},
    {CLOPENCL_16K, "GGC", 157 * 2.15, "speed-up 2.15 of the best over GGC"},
    {CLOPENCL_16K, CLOPENCL_ALL, 157, "text"},
    {CLOPENCL_24K, "GGC", 469 * 2.31, "speed-up 2.31 of the best over GGC"},
    {CLOPENCL_24K, "GGC,GC,GC,G", 469, "text"},
    {CLOPENCL_24K, CLOPENCL_ALL, 489, "footnote 1"},
};

double clopencl_published_s(int order, const char *devices) {
    if (!strcmp(devices, "C")) return clopencl_orders[order].cpu_s;
    if (!strcmp(devices, "G")) return clopencl_orders[order].gpu_s;
    for (int i = 0; i < CLOPENCL_TIMES; i++)
        if (clopencl_times[i].order == order && !strcmp(clopencl_times[i].devices, devices))
            return clopencl_times[i].seconds;
    return NAN;
}

const struct clopencl_policy clopencl_policies[CLOPENCL_POLICIES] = {
    {"as published", {.nic = WEFT_NIC_SHARED}},
    {"transfers one after another", {.nic = WEFT_NIC_FIFO}},
    {"+ no last block to a slow device", {.nic = WEFT_NIC_FIFO, .tail_aware = true}},
    {"+ operands fetched ahead", {.nic = WEFT_NIC_FIFO, .tail_aware = true, .prefetch = 1}},
    {"+ operands sent once a node",
     {.nic = WEFT_NIC_FIFO, .tail_aware = true, .prefetch = 1, .operands_once = true}},
};

/* -- The model -- */

#define DEVICES 16
#define NODES   8

struct layout {
    struct weft_block_device device[DEVICES];
    char kind[DEVICES];
    int devices, nodes;
};

static int read_layout(const char *text, struct layout *l) {
    *l = (struct layout){.nodes = 1};
    for (; *text; text++) {
        int node = l->nodes - 1;
        if (*text == ',') {
            if (l->nodes++ == NODES) return WEFT_E_INVAL;
            continue;
        }
        if ((*text != 'C' && *text != 'G') || l->devices == DEVICES) return WEFT_E_INVAL;
        l->kind[l->devices] = *text;
        l->device[l->devices++].node = node;
    }
    return l->devices ? WEFT_OK : WEFT_E_INVAL;
}

int clopencl_predict(int order, const char *devices, double nic_Bps, const struct weft_block_policy *policy,
                     struct weft_makespan *out) {
    struct layout l;
    double nics_Bps[NODES];
    int rc = order >= 0 && order < CLOPENCL_ORDERS ? read_layout(devices, &l) : WEFT_E_INVAL;
    if (rc) return rc;
    const struct clopencl_order *o = &clopencl_orders[order];
    double n = o->n, slice = o->slice;
    int a_side = o->n / o->slice;
    for (int i = 0; i < NODES; i++) nics_Bps[i] = nic_Bps;
    for (int i = 0; i < l.devices; i++)
        l.device[i].block_s = (l.kind[i] == 'G' ? o->gpu_s : o->cpu_s) / (a_side * a_side);
    const struct weft_block_app app = {.rows = a_side,
                                       .columns = a_side,
                                       .row_B = slice * n * sizeof(float),
                                       .column_B = slice * n * sizeof(float),
                                       .result_B = slice * slice * sizeof(float)};
    const struct weft_block_cluster c = {l.device, l.devices, nics_Bps, l.nodes};
    return weft_makespan(&app, &c, policy, out);
}

/* -- Fitting -- */

static int rest(int order, double nic_Bps, double *sum) {
    *sum = 0;
    for (int i = 0; i < CLOPENCL_TIMES; i++) {
        struct weft_makespan m;
        if (clopencl_times[i].order != order) continue;
        int rc =
            clopencl_predict(order, clopencl_times[i].devices, nic_Bps, &clopencl_policies[0].policy, &m);
        if (rc) return rc;
        double e = log(m.seconds / clopencl_times[i].seconds);
        *sum += e * e;
    }
    return WEFT_OK;
}

/* The makespan jumps where a block goes to another device, so that derivatives lead nowhere: all rates from a
 * third of the nominal one to three times it. */
int clopencl_fit(int order, double *nic_Bps) {
    double least = INFINITY;
    for (double Bps = CLOPENCL_LINK_Bps / 3; Bps <= CLOPENCL_LINK_Bps * 3; Bps *= 1.005) {
        double sum;
        int rc = rest(order, Bps, &sum);
        if (rc) return rc;
        if (sum < least) least = sum, *nic_Bps = Bps;
    }
    return WEFT_OK;
}
