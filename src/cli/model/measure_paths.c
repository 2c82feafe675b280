/* Between two processes on two CPUs: a cache line, copies, and messages over each adapter. The benchmarks'
 * code measures (cli/bench), with the state of the CPU pair before and after each sample; what was taken
 * while it changed is dropped. */
#include "adapter/adapter.h"
#include "base/error.h"
#include "base/option.h"
#include "base/path.h"
#include "cli/bench/end.h"
#include "cli/bench/floor.h"
#include "cli/bench/messages.h"
#include "cli/model/measure.h"

#include <stdio.h>
#include <string.h>

#define SIZE_S     0.05 /* of a size, in latency and in bandwidth */
#define LARGE_S    0.1
#define LARGE_FROM (1u << 20)
#define WAY_S      0.02
#define TRIES      2 /* where the CPU pair changes its state all the time */
#define COPY_MAX   (16u << 20)

/* What a result says of an entity: in each state by itself. */
struct place {
    weft_model_ref e;
    enum weft_model_attribute a;
    const char *op;
    double factor;       /* from the result's values to the attribute's */
    bool sized, summary; /* with the size as a condition; without any */
};

static int put_state(struct measuring *g, const struct place *p, struct bench_result *r, enum bench_state s) {
    struct bench_values *v = &r->values[s];
    struct measure_value m = {.median = bench_values_part(v, 0.5) * p->factor,
                              .low = bench_values_part(v, 0.25) * p->factor,
                              .high = bench_values_part(v, 0.75) * p->factor,
                              .n = (double)v->count};
    struct weft_model_condition when = weft_model_any();
    when.op = weft_model_intern(g->k.m, p->op);
    /* One CPU has no pair that could change: nothing is said of a state. */
    if (s != BENCH_MIXED) when.with = weft_model_intern(g->k.m, bench_state_name(s));
    if (p->sized) when.size_B = (double)r->size;
    int rc = measure_put(&g->k, p->e, p->a, &when, &m);
    return rc || !p->summary ? rc : measure_put(&g->k, p->e, p->a, NULL, &m);
}

/* The pair changed its state in every sample. */
static bool all_mixed(const struct measuring *g, const struct bench_result *r) {
    return g->o.cpu[0] >= 0 && !r->values[BENCH_NEAR].count && !r->values[BENCH_FAR].count;
}

static int put(struct measuring *g, const struct place *p, struct bench_result *r) {
    bool pair = g->o.cpu[0] >= 0;
    int rc = 0;
    g->mixed += all_mixed(g, r);
    for (int s = 0; s < BENCH_STATES && !rc; s++)
        if (r->values[s].count && (s != BENCH_MIXED) == pair) rc = put_state(g, p, r, (enum bench_state)s);
    return rc;
}

/* -- floors -- */

static int one_floor(struct measuring *g, struct floor *f, enum floor_kind kind, uint64_t size,
                     const struct place *p) {
    struct bench_result r = {.size = size};
    struct bench_source source;
    if (measuring_over(g)) return 0;
    measuring_tell("%s, %llu B", floor_names[kind], (unsigned long long)size);
    int rc = floor_setup(f, kind, size, &source);
    for (int i = 0; i < TRIES && !rc && all_mixed(g, &r); i++) rc = bench_take_samples(&source, &g->o, &r);
    for (int s = 0; s < BENCH_STATES && !rc && p->a == WEFT_MODEL_BANDWIDTH;
         s++) /* seconds of a copy to its rate */
        for (size_t i = 0; i < r.values[s].count; i++) r.values[s].v[i] = (double)size / r.values[s].v[i];
    if (!rc) rc = put(g, p, &r);
    bench_result_free(&r);
    return rc;
}

static int line(struct measuring *g, struct floor *f) {
    weft_model_ref from = measure_cpu(g->k.m, g->host, g->o.cpu[0]),
                   to = measure_cpu(g->k.m, g->host, g->o.cpu[1]);
    char name[64];
    if (from == WEFT_MODEL_NONE || to == WEFT_MODEL_NONE) return 0;
    snprintf(name, sizeof name, "cpu%d-cpu%d", g->o.cpu[0], g->o.cpu[1]);
    struct place p = {.a = WEFT_MODEL_LATENCY, .factor = 1, .summary = true};
    p.e = measure_entity(g->k.m, g->host, name, WEFT_MODEL_LINK, "bus", from, to);
    return p.e == WEFT_MODEL_NONE ? WEFT_E_NOMEM : one_floor(g, f, FLOOR_LINE, 8, &p);
}

static int copies(struct measuring *g, struct floor *f) {
    static const uint64_t sizes[] = {64, 4096, 65536, 1 << 20, COPY_MAX};
    static const struct {
        enum floor_kind kind;
        const char *op;
    } kinds[] = {{FLOOR_MEMCPY_WRITTEN, "memcpy"}, {FLOOR_READV_WRITTEN, "process_vm_readv"}};
    struct place p = {.a = WEFT_MODEL_BANDWIDTH, .factor = 1, .sized = true};
    p.e = measure_memory(g->k.m, g->host);
    if (p.e == WEFT_MODEL_NONE) return 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        p.op = kinds[k].op;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            int rc = one_floor(g, f, kinds[k].kind, sizes[i], &p);
            if (rc == WEFT_E_INTR || rc == WEFT_E_NOMEM) return rc;
            if (rc) measuring_miss(g, p.op, rc);
            if (rc) break;
        }
    }
    return 0;
}

int measuring_floors(struct measuring *g) {
    struct floor f;
    if (g->o.cpu[0] < 0) return 0; /* one CPU: there is nothing between two */
    g->o.name = "floor";
    g->o.time_s = SIZE_S * g->scale;
    int rc = floor_open(&f, &g->o, COPY_MAX);
    if (!rc) rc = line(g, &f);
    if (!rc) rc = copies(g, &f);
    floor_close(&f);
    measuring_unpin(g);
    return rc;
}

/* -- adapters -- */

/* The path of an adapter; a way of sending over it is contained in it. */
static weft_model_ref path_entity(struct measuring *g, const char *name, const char *adapter) {
    static const char *const classes[] = {"shm", "udp", "ofi"};
    const char *class_name = NULL;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(classes[i], adapter) == 0) class_name = classes[i];
    weft_model_ref e =
        measure_entity(g->k.m, g->host, name, WEFT_MODEL_SERVICE, class_name, g->host, g->host);
    if (e == WEFT_MODEL_NONE || strcmp(name, adapter) == 0) return e;
    weft_model_ref path = path_entity(g, adapter, adapter);
    if (path != WEFT_MODEL_NONE) g->k.m->entities[e].parent = path;
    return e;
}

static int messages(struct measuring *g, struct bench_end *e, enum bench_kind kind, uint64_t size,
                    struct place *p) {
    struct bench_result r = {.size = size};
    if (measuring_over(g)) return 0;
    g->o.kind = kind;
    g->o.name = bench_kinds[kind].name;
    measuring_tell("%s over %s, %llu B", g->o.name, g->o.adapter, (unsigned long long)size);
    int rc = 0;
    for (int i = 0; i < TRIES && !rc && all_mixed(g, &r); i++) {
        bench_result_free(&r);
        rc = bench_messages_measure(e, &g->o, size, &r);
    }
    p->a = kind == BENCH_LATENCY ? WEFT_MODEL_LATENCY : WEFT_MODEL_BANDWIDTH;
    p->factor = kind == BENCH_LATENCY ? 1 : (double)size;
    if (!rc) rc = put(g, p, &r);
    bench_result_free(&r);
    return rc;
}

static int sweep(struct measuring *g, struct bench_end *e, weft_model_ref path, const uint64_t *sizes,
                 size_t count) {
    struct place p = {.e = path, .sized = true};
    for (size_t i = 0; i < count; i++) {
        g->o.time_s = (sizes[i] < LARGE_FROM ? SIZE_S : LARGE_S) * g->scale;
        p.summary = i == 0;
        int rc = messages(g, e, BENCH_LATENCY, sizes[i], &p);
        p.summary = i + 1 == count;
        if (!rc && !g->latency_only) rc = messages(g, e, BENCH_BANDWIDTH, sizes[i], &p);
        if (rc) return rc;
    }
    return 0;
}

/* Of this host: opens both ends, measures, closes. An adapter that does not work is left out. */
static int over(struct measuring *g, const char *adapter, const char *name, const uint64_t *sizes,
                size_t count) {
    static struct bench_end e;
    g->o.adapter = adapter;
    weft_model_ref path = WEFT_MODEL_NONE;
    if (measuring_over(g)) return 0;
    int rc = bench_end_open(&e, &g->o, 1);
    if (!rc) path = path_entity(g, name, adapter);
    if (!rc) rc = path == WEFT_MODEL_NONE ? WEFT_E_NOMEM : sweep(g, &e, path, sizes, count);
    bench_end_close(&e);
    measuring_unpin(g);
    if (!rc || rc == WEFT_E_INTR || rc == WEFT_E_NOMEM) return rc;
    measuring_miss(g, name, rc);
    return 0;
}

/* That connect processes of a host: `self` does not, `sim` is a network that is made up. */
static bool connects(const char *adapter) {
    return strcmp(adapter, "self") != 0 && strcmp(adapter, "sim") != 0;
}

static bool opens(const struct adapter_ops *ops) {
    struct adapter *a;
    char run_dir[WEFT_PATH_MAX];
    struct adapter_config cfg = {.run_dir = run_dir};
    if (weft_run_dir(run_dir, sizeof run_dir) || ops->open(&a, &cfg)) return false;
    ops->close(a);
    return true;
}

/* Calls fn for each adapter that works here, also those that are used only when they are named. */
static int for_each_adapter(struct measuring *g,
                            int (*fn)(struct measuring *g, const char *adapter, void *arg), void *arg) {
    const struct adapter_ops *const *lists[] = {adapter_list(), adapter_list_named()};
    int rc = 0;
    for (int l = 0; l < 2; l++)
        for (const struct adapter_ops *const *a = lists[l]; *a && !rc; a++)
            if (connects((*a)->name) && opens(*a)) rc = fn(g, (*a)->name, arg);
    return rc;
}

struct sizes {
    const uint64_t *size;
    size_t count;
};

static int path_over(struct measuring *g, const char *adapter, void *arg) {
    const struct sizes *s = arg;
    return over(g, adapter, adapter, s->size, s->count);
}

int measuring_paths(struct measuring *g, const uint64_t *sizes, size_t count) {
    return for_each_adapter(g, path_over, &(struct sizes){sizes, count});
}

/* -- ways of sending -- */

static const struct way {
    const char *name, *option[2], *value[2];
} ways[] = {{"eager", {"eager_bytes", "method2_bytes"}, {"64K", "240K"}},
            {"method2", {"eager_bytes", "method2_bytes"}, {"0", "240K"}},
            {"announced", {"eager_bytes", "method2_bytes"}, {"0", "0"}},
            {"pulled", {"shm_remote_read"}, {"yes"}},
            {"copied", {"shm_remote_read"}, {"no"}}};
static const uint64_t way_sizes[] = {1024, 4096, 16384, 65536, 245760}, read_size = 1 << 20;

static int by_way(struct measuring *g, const char *adapter, const struct way *w) {
    bool cut = w->option[1] != NULL;
    char name[64];
    snprintf(name, sizeof name, "%s.%s", adapter, w->name);
    for (int i = 0; i < 2 && w->option[i]; i++) weft_option_set(w->option[i], w->value[i]);
    g->latency_only = true;
    int rc =
        over(g, adapter, name, cut ? way_sizes : &read_size, cut ? sizeof way_sizes / sizeof *way_sizes : 1);
    g->latency_only = false;
    for (int i = 0; i < 2 && w->option[i]; i++) weft_option_set(w->option[i], NULL);
    return rc;
}

static int ways_over(struct measuring *g, const char *adapter, void *arg) {
    int rc = 0;
    for (size_t i = 0; i < sizeof ways / sizeof *ways && !rc; i++)
        if (ways[i].option[1] || strcmp(adapter, "shm") == 0) rc = by_way(g, adapter, &ways[i]);
    return rc;
}

int measuring_ways(struct measuring *g) {
    double before = g->scale;
    g->scale *= WAY_S / SIZE_S;
    int rc = for_each_adapter(g, ways_over, NULL);
    g->scale = before;
    return rc;
}
