/* From measurements to options.
 *
 * Cut-offs: each path was measured with every message sent the same way: at once (eager), at once behind its
 * header (method2), announced and asked for (announced). With the cut-offs e and m a message of s bytes goes
 * at once up to e, behind its header up to m, announced beyond. Of all pairs that pair is taken whose mean
 * logarithm of the times, over all paths and sizes, is least: the options are one for all paths. The defaults
 * stay unless that gains 5 %. */
#include "model/measure/measure.h"

#include "base/error.h"
#include "base/machine.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GAIN            0.05
#define FAR             1.2
#define PATHS_MAX       16
#define SIZES_MAX       16
#define EAGER_DEFAULT   16384 /* as in the transport's table of options, as are */
#define EAGER_MAX       65536
#define METHOD2_DEFAULT 245760
#define COST_DIFFERS    0.25
#define DEVICES_MAX     64

enum way { EAGER, METHOD2, ANNOUNCED, WAYS };
static const char *const way_names[WAYS] = {"eager", "method2", "announced"};

/* The time of each size by each way, over all paths. */
struct times {
    double size[SIZES_MAX], log_s[PATHS_MAX][SIZES_MAX][WAYS];
    size_t sizes, paths;
};

static size_t size_at(struct times *t, double size) {
    size_t i = 0;
    while (i < t->sizes && t->size[i] != size) i++;
    if (i < t->sizes) return i;
    if (t->sizes == SIZES_MAX) return SIZES_MAX;
    for (size_t p = 0; p < PATHS_MAX; p++)
        for (int w = 0; w < WAYS; w++) t->log_s[p][i][w] = NAN;
    t->size[t->sizes++] = size;
    return i;
}

static void add_way(const struct weft_model *m, weft_model_ref e, enum way w, struct times *t) {
    for (uint32_t i = 0; i < m->observation_count; i++) {
        const struct weft_model_observation *o = &m->observations[i];
        if (o->entity != e || o->attribute != WEFT_MODEL_LATENCY || isnan(o->when.size_B) || !(o->value > 0))
            continue;
        size_t at = size_at(t, o->when.size_B);
        if (at < SIZES_MAX) t->log_s[t->paths][at][w] = log(o->value);
    }
}

/* Paths have an entity in them for each way that was tried. */
static void gather(const struct weft_model *m, weft_model_ref host, struct times *t) {
    *t = (struct times){.sizes = 0};
    for (weft_model_ref e = 0; e < m->entity_count && t->paths < PATHS_MAX; e++) {
        if (m->entities[e].kind != WEFT_MODEL_SERVICE || m->entities[e].parent != host) continue;
        bool any = false;
        for (int w = 0; w < WAYS; w++) {
            char id[512];
            snprintf(id, sizeof id, "%s.%s", weft_model_id(m, e), way_names[w]);
            weft_model_ref tried = weft_model_find(m, id);
            if (tried == WEFT_MODEL_NONE) continue;
            any = true;
            add_way(m, tried, (enum way)w, t);
        }
        t->paths += any;
    }
}

/* The mean logarithm of the times; NAN: one was not measured. */
static double mean_log(const struct times *t, double eager, double method2) {
    double sum = 0;
    size_t n = 0;
    for (size_t p = 0; p < t->paths; p++)
        for (size_t i = 0; i < t->sizes; i++) {
            enum way w = t->size[i] <= eager ? EAGER : t->size[i] <= method2 ? METHOD2 : ANNOUNCED;
            sum += t->log_s[p][i][w];
            n++;
        }
    return n ? sum / (double)n : NAN;
}

static void add(struct measure_option *out, size_t *n, const char *name, double value, const char *why,
                double gain) {
    struct measure_option *o = &out[(*n)++];
    snprintf(o->name, sizeof o->name, "%s", name);
    snprintf(o->value, sizeof o->value, "%.0f", value);
    snprintf(o->why, sizeof o->why, "%s, %.0f %% less time", why, gain * 100);
}

static void cut_offs(const struct weft_model *m, weft_model_ref host, struct measure_option *out, size_t *n) {
    struct times t;
    gather(m, host, &t);
    double now = mean_log(&t, EAGER_DEFAULT, METHOD2_DEFAULT), best = now, eager = EAGER_DEFAULT,
           method2 = METHOD2_DEFAULT;
    for (size_t e = 0; e <= t.sizes; e++) /* the last: none */
        for (size_t k = 0; k <= t.sizes; k++) {
            double se = e < t.sizes ? t.size[e] : 0, sk = k < t.sizes ? t.size[k] : 0,
                   x = mean_log(&t, se, sk);
            if (se > EAGER_MAX || sk > METHOD2_DEFAULT || !(x < best)) continue;
            best = x;
            eager = se;
            method2 = sk;
        }
    double gain = 1 - exp(best - now);
    if (!(gain >= GAIN)) return;
    if (eager != EAGER_DEFAULT)
        add(out, n, "eager_bytes", eager, "messages of the measured sizes over all paths", gain);
    if (method2 != METHOD2_DEFAULT)
        add(out, n, "method2_bytes", method2, "messages of the measured sizes over all paths", gain);
}

/* Whether shared memory's large messages are pulled out of the sender, or copied through the ring. */
static void remote_read(const struct weft_model *m, weft_model_ref host, struct measure_option *out,
                        size_t *n) {
    char id[512];
    double s[2];
    for (int i = 0; i < 2; i++) {
        snprintf(id, sizeof id, "%s.shm.%s", weft_model_id(m, host), i ? "pulled" : "copied");
        weft_model_ref e = weft_model_find(m, id);
        if (e == WEFT_MODEL_NONE) return;
        s[i] = weft_model_value(m, e, WEFT_MODEL_LATENCY, NAN);
    }
    if (!(s[0] < s[1] * (1 - GAIN))) return; /* pulling is the default */
    add(out, n, "shm_remote_read", 0, "a message of 1 MiB copied through the ring", 1 - s[0] / s[1]);
}

/* Where another NUMA node's memory is farther, each program keeps to one node. */
static void binding(const struct weft_model *m, weft_model_ref host, struct measure_option *out, size_t *n) {
    weft_model_ref memory = measure_memory(m, host);
    double near = memory == WEFT_MODEL_NONE ? NAN : weft_model_value(m, memory, WEFT_MODEL_LATENCY, NAN),
           far = 0;
    for (uint32_t i = 0; i < m->observation_count; i++) {
        const struct weft_model_observation *o = &m->observations[i];
        if (o->attribute == WEFT_MODEL_LATENCY && strcmp(weft_model_string(m, o->when.from), "remote") == 0 &&
            m->entities[o->entity].kind == WEFT_MODEL_MEMORY && o->entity != memory)
            far = fmax(far, o->value);
    }
    if (!(far > near * FAR)) return;
    struct measure_option *to = &out[(*n)++];
    snprintf(to->name, sizeof to->name, "run_bind");
    snprintf(to->value, sizeof to->value, "numa");
    snprintf(to->why, sizeof to->why, "another NUMA node's memory takes %.1f times as long", far / near);
}

/* What WEFT_AUTO weighs against one another, so all of it or nothing: where the defaults, which are of
 * another machine, are not about right for one of them. */
static const struct {
    const char *op, *option;
    double standard_ns;
} costs[] = {{"branch-told", "notify_branch_told_ns", 10000},
             {"branch-taken", "notify_branch_ns", 5000},
             {"dispatch", "notify_dispatch_told_ns", 16000},
             {"dispatch-taken", "notify_dispatch_ns", 11000}};
#define COSTS (sizeof costs / sizeof *costs)

static double notify_ns(const struct weft_model *m, weft_model_ref e, const char *op) {
    for (uint32_t i = 0; e != WEFT_MODEL_NONE && i < m->observation_count; i++) {
        const struct weft_model_observation *o = &m->observations[i];
        if (o->entity == e && o->attribute == WEFT_MODEL_NOTIFY &&
            !strcmp(weft_model_string(m, o->when.op), op))
            return o->value * 1e9;
    }
    return NAN;
}

static void notification(const struct weft_model *m, weft_model_ref host, struct measure_option *out,
                         size_t *n) {
    char id[512];
    double ns[COSTS];
    bool differs = false;
    snprintf(id, sizeof id, "%s.notify", weft_model_id(m, host));
    weft_model_ref e = weft_model_find(m, id);
    for (size_t i = 0; i < COSTS; i++) {
        ns[i] = notify_ns(m, e, costs[i].op);
        if (!(ns[i] > 0 && ns[i] < 1e6)) return; /* a machine in trouble, or not measured */
        differs |= fabs(ns[i] / costs[i].standard_ns - 1) > COST_DIFFERS;
    }
    for (size_t i = 0; i < COSTS && differs; i++) {
        struct measure_option *to = &out[(*n)++];
        snprintf(to->name, sizeof to->name, "%s", costs[i].option);
        snprintf(to->value, sizeof to->value, "%.0f", ns[i]);
        snprintf(to->why, sizeof to->why, "as measured");
    }
}

struct device {
    const char *name;
    double rate;
    size_t number;
};

static int faster(const void *a, const void *b) {
    const struct device *x = a, *y = b;
    if (x->rate != y->rate) return x->rate > y->rate ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* The fastest device first. */
static void device_order(const struct weft_model *m, weft_model_ref host, struct measure_option *out,
                         size_t *n) {
    struct device d[DEVICES_MAX];
    size_t count = 0, len = 0;
    bool changed = false;
    for (weft_model_ref e = 0; e < m->entity_count && count < DEVICES_MAX; e++) {
        const char *name = m->entities[e].parent == host && m->entities[e].kind == WEFT_MODEL_COMPUTE
                               ? weft_model_get_property(m, e, "x_opencl")
                               : NULL;
        if (!name || strpbrk(name, ",@!#=")) continue;
        d[count] = (struct device){name, weft_model_value(m, e, WEFT_MODEL_RATE, 0), count};
        count++;
    }
    qsort(d, count, sizeof *d, faster);
    for (size_t i = 0; i + 1 < count; i++)
        changed |= d[i].number > d[i + 1].number && d[i].rate > (1 + GAIN) * d[i + 1].rate;
    if (!changed) return;
    struct measure_option *o = &out[(*n)++];
    snprintf(o->name, sizeof o->name, "opencl_first");
    for (size_t i = 0; i < count; i++) {
        int put = snprintf(o->value + len, sizeof o->value - len, "%sname:%s", i ? "," : "", d[i].name);
        if (put < 0 || len + (size_t)put >= sizeof o->value) {
            o->value[len] = '\0'; /* those that fit come first */
            break;
        }
        len += (size_t)put;
    }
    snprintf(o->why, sizeof o->why, "by operations a second");
}

size_t measure_derive(const struct weft_model *m, weft_model_ref host,
                      struct measure_option out[MEASURE_OPTIONS_MAX]) {
    size_t n = 0;
    cut_offs(m, host, out, &n);
    remote_read(m, host, out, &n);
    notification(m, host, out, &n);
    binding(m, host, out, &n);
    device_order(m, host, out, &n);
    return n;
}

int measure_write_options(const char *path, const struct measure_option *o, size_t count, const char *time) {
    char partial[4096], machine[WEFT_MACHINE_BYTES];
    if ((size_t)snprintf(partial, sizeof partial, "%s.%d", path, (int)getpid()) >= sizeof partial)
        return WEFT_E_TOO_BIG;
    FILE *f = fopen(partial, "we");
    if (!f) return weft_error_from_errno(errno);
    weft_machine_fingerprint(machine);
    fprintf(f,
            "# Made by `weft model measure`, %s: what it found to be better than the defaults. Your own "
            "settings come\n"
            "# first (weft config). Delete this file to be rid of it.\n"
            "machine = %s # it counts on machines like this one\n",
            time, machine);
    for (size_t i = 0; i < count; i++) fprintf(f, "%s = %s # %s\n", o[i].name, o[i].value, o[i].why);
    bool written = fflush(f) == 0 && !ferror(f);
    int rc = fclose(f) == 0 && written && rename(partial, path) == 0 ? 0 : weft_error_from_errno(errno);
    if (rc) unlink(partial);
    return rc;
}
