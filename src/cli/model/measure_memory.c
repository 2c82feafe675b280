/* Memory: the latency ladder, and bandwidth by operation and number of threads. */
#include "base/error.h"
#include "cli/bench/process.h"
#include "cli/model/measure.h"

#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LADDER_FROM  ((size_t)16 << 10)
#define LADDER_TO    ((size_t)256 << 20)
#define LADDER_QUICK ((size_t)64 << 20)
#define STEP_S       0.06
#define STREAM_BYTES ((size_t)64 << 20) /* each array of a thread, but */
#define STREAM_LEAST ((size_t)8 << 20)
#define STREAM_ALL   ((size_t)1 << 30) /* of all threads together, as long as they are not less than that */
#define STREAM_S     0.12

static struct weft_model_condition condition(struct weft_model *m, const char *op, const char *pattern) {
    struct weft_model_condition c = weft_model_any();
    c.op = weft_model_intern(m, op);
    c.pattern = weft_model_intern(m, pattern);
    return c;
}

/* `memory` may stay without huge pages; the note of the run does not hide it: the curve's knee shows the
 * difference. */
static int ladder(struct measuring *g, weft_model_ref memory, struct measure_ladder *l, size_t largest) {
    struct weft_model_condition when = condition(g->k.m, NULL, "chase");
    struct measure_value v = {.n = 0};
    int rc = 0;
    if (l->huge) when.with = weft_model_intern(g->k.m, "huge pages");
    for (size_t bytes = LADDER_FROM; bytes <= largest && !rc && !measuring_over(g); bytes *= 2) {
        measuring_tell("memory latency, %zu KiB", bytes >> 10);
        if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
        rc = measure_ladder_step(l, bytes, STEP_S * g->scale, &v);
        when.size_B = (double)bytes;
        if (!rc) rc = measure_put(&g->k, memory, WEFT_MODEL_LATENCY, &when, &v);
    }
    /* Of the largest: the memory's own. */
    return rc || when.size_B < (double)largest ? rc
                                               : measure_put(&g->k, memory, WEFT_MODEL_LATENCY, NULL, &v);
}

/* 1, 2, 4, … and all. */
static unsigned next_threads(unsigned n, unsigned all) { return n == all ? 0 : 2 * n < all ? 2 * n : all; }

static size_t stream_bytes(unsigned threads) {
    size_t bytes = STREAM_ALL / threads;
    return bytes > STREAM_BYTES ? STREAM_BYTES : bytes < STREAM_LEAST ? STREAM_LEAST : bytes;
}

static int bandwidth(struct measuring *g, weft_model_ref memory) {
    unsigned all = (unsigned)CPU_COUNT(&g->cpus);
    for (int op = 0; op < MEASURE_STREAM_OPS; op++)
        for (unsigned n = 1; n; n = next_threads(n, all)) {
            struct weft_model_condition when = condition(g->k.m, measure_stream_names[op], "sequential");
            struct measure_value v;
            size_t bytes = stream_bytes(n);
            measuring_tell("memory bandwidth, %s, threads: %u", measure_stream_names[op], n);
            if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
            if (measuring_over(g)) continue;
            int rc = measure_stream((enum measure_stream_op)op, n, bytes, STREAM_S * g->scale, &v);
            when.threads = n;
            if (!rc) rc = measure_put(&g->k, memory, WEFT_MODEL_BANDWIDTH, &when, &v);
            if (!rc && n == all && op == MEASURE_READ)
                rc = measure_put(&g->k, memory, WEFT_MODEL_BANDWIDTH, NULL, &v);
            if (rc) return rc;
        }
    return 0;
}

/* Binds what this thread touches first; false: the machine has no such node (a model may be of another one),
 * or it is not permitted. */
static bool bind_to(unsigned long node) {
    unsigned long mask[16] = {0};
    if (node >= sizeof mask * 8) return false;
    mask[node / 64] = 1ul << node % 64;
    return syscall(SYS_set_mempolicy, MPOL_BIND, mask, sizeof mask * 8) == 0;
}

static void unbind(void) { syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0); }

static int remote_latency(struct measuring *g, struct measure_value *v) {
    struct measure_ladder l;
    int rc = measure_ladder_open(&l, LADDER_QUICK);
    if (!rc) rc = measure_ladder_step(&l, LADDER_QUICK, STEP_S * g->scale, v);
    measure_ladder_close(&l);
    return rc;
}

/* Other NUMA nodes' memory, as the first CPU sees it. */
static int remote_memory(struct measuring *g, weft_model_ref memory) {
    struct weft_model_condition when = condition(g->k.m, NULL, "chase");
    char missed[200] = "";
    size_t len = 0;
    int rc = 0;
    when.from = weft_model_intern(g->k.m, "remote");
    when.size_B = (double)LADDER_QUICK;
    for (weft_model_ref e = 0; (e = measure_next_memory(g->k.m, g->host, e)) != WEFT_MODEL_NONE && !rc; e++) {
        const char *index = weft_model_get_property(g->k.m, e, "os_index");
        struct measure_value v = {.n = 0};
        if (e == memory || !index) continue;
        measuring_tell("memory latency, NUMA node %s", index);
        if (!bind_to(strtoul(index, NULL, 10))) {
            if (len < sizeof missed) len += (size_t)snprintf(missed + len, sizeof missed - len, " %s", index);
            continue;
        }
        if (!measuring_over(g)) rc = remote_latency(g, &v);
        unbind();
        if (!rc && v.n > 0) rc = measure_put(&g->k, e, WEFT_MODEL_LATENCY, &when, &v);
    }
    if (!len) return rc;
    measuring_tell(NULL);
    fprintf(stderr,
            "weft model measure: the memory of NUMA nodes that are not here, or may not be used, is left "
            "out:%s\n",
            missed);
    return rc;
}

int measuring_memory(struct measuring *g) {
    weft_model_ref memory = measure_memory(g->k.m, g->host);
    struct measure_ladder l;
    size_t largest = g->quick ? LADDER_QUICK : LADDER_TO;
    if (memory == WEFT_MODEL_NONE) {
        measuring_miss(g, "memory (the model has none of this host)", WEFT_E_NOENT);
        return 0;
    }
    bench_process_pin(g->o.cpu[0]);
    int rc = measure_ladder_open(&l, largest);
    if (!rc) {
        rc = ladder(g, memory, &l, largest);
        measure_ladder_close(&l);
    }
    if (!rc) rc = remote_memory(g, memory);
    measuring_unpin(g);
    return rc ? rc : bandwidth(g, memory);
}
