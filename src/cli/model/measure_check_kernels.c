/* weft model measure --check, kernels: five of them at six sizes on each OpenCL device. Every second size is
 * noted, the others are predicted. All sizes of all kernels take turns, so that a slow minute of the machine
 * is nobody's alone, and the turns are told in two halves: what differs between these is in no model. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/model/measure_check.h"
#include "cli/model/measure_opencl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WANTED       0.10
#define AGAIN_WANTED 0.05
#define SIZES        6
#define BUFFER_BYTES ((size_t)16 << 20)
#define TURNS_MIN    6
#define TURNS_MAX    40
#define TURNS_S      20.0
#define BATCH_S      0.002
#define BUSY_BATCH_S 0.0003 /* the fastest batch counts: a short one is more often left alone */
#define BATCH_MAX    256

/* Five kernels of unlike kinds: bytes, operations, both, few work-items with much to do, irregular. */
static const char source[] =
    "__kernel void copy(__global float *a, __global float *b, __global float *c, int n) {\n"
    "  size_t i = get_global_id(0); c[i] = a[i];\n"
    "}\n"
    "__kernel void triad(__global float *a, __global float *b, __global float *c, int n) {\n"
    "  size_t i = get_global_id(0); c[i] = a[i] + 3.0f * b[i];\n"
    "}\n"
    "__kernel void matmul(__global float *a, __global float *b, __global float *c, int n) {\n"
    "  int i = get_global_id(0) / n, j = get_global_id(0) % n; float s = 0;\n"
    "  for (int k = 0; k < n; k++) s += a[i * n + k] * b[k * n + j];\n"
    "  c[i * n + j] = s;\n"
    "}\n"
    "__kernel void stencil(__global float *a, __global float *b, __global float *c, int n) {\n"
    "  int y = get_global_id(0) / n, x = get_global_id(0) % n;\n"
    "  int l = max(x - 1, 0), r = min(x + 1, n - 1), u = max(y - 1, 0), d = min(y + 1, n - 1);\n"
    "  c[y * n + x] = 0.2f * (a[y * n + x] + a[y * n + l] + a[y * n + r] + a[u * n + x] + a[d * n + x]);\n"
    "}\n"
    "__kernel void pairs(__global float *a, __global float *b, __global float *c, int n) {\n"
    "  size_t i = get_global_id(0); float s = 0, x = a[i];\n"
    "  for (int k = 0; k < n; k++) { float d = x - b[k]; s += 1.0f / (d * d + 1.0f); }\n"
    "  c[i] = s;\n"
    "}\n" MEASURE_GROUPS_SOURCE;

static double linear(double n) { return n; }
static double square(double n) { return n * n; }

static const struct kernel {
    const char *name;
    cl_int n[SIZES];
    double (*items)(double n);
    double flops_each, flops_each_n, bytes_each; /* of an item: flops_each + flops_each_n n */
} kernels[] = {{"copy", {1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21, 1 << 22}, linear, 0, 0, 8},
               {"triad", {1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21, 1 << 22}, linear, 2, 0, 12},
               {"matmul", {64, 96, 128, 192, 256, 384}, square, 0, 2, 12},
               {"stencil", {256, 384, 512, 768, 1024, 1536}, square, 5, 0, 8},
               {"pairs", {512, 768, 1024, 1536, 2048, 3072}, linear, 0, 4, 12}};
#define KERNELS (sizeof kernels / sizeof *kernels)

/* One kernel at one size. */
struct timed {
    cl_kernel kernel;
    size_t items;
    unsigned batch;
    double groups, sample[TURNS_MAX];
};
struct run {
    struct measure_check *c;
    struct measure_device d;
    struct weft_device_rates rates;
    struct timed t[KERNELS][SIZES];
    size_t number, turns;
};

static struct timed *at(struct run *r, size_t i) { return &r->t[i / SIZES][i % SIZES]; }

/* -- measuring -- */

static cl_int prepare(struct run *r, size_t k, int i, cl_kernel groups) {
    const struct kernel *kernel = &kernels[k];
    struct timed *t = &r->t[k][i];
    double seconds, least = INFINITY, batch_s = r->c->g->k.busy ? BUSY_BATCH_S : BATCH_S;
    t->items = (size_t)kernel->items(kernel->n[i]);
    cl_int cl = measure_device_groups(&r->d, groups, t->items, &t->groups);
    if (!cl) cl = measure_device_kernel(&r->d, kernel->name, kernel->n[i], &t->kernel);
    for (int warm = 0; warm < 3 && !cl; warm++) {
        cl = measure_device_once(&r->d, t->kernel, t->items, 1, &seconds);
        least = fmin(least, seconds);
    }
    t->batch = least < batch_s ? (unsigned)fmin(batch_s / least, BATCH_MAX) : 1;
    return cl;
}

static cl_int prepare_all(struct run *r) {
    cl_kernel groups;
    cl_int cl = measure_device_kernel(&r->d, "groups", -1, &groups);
    for (size_t k = 0; k < KERNELS && !cl; k++)
        for (int i = 0; i < SIZES && !cl; i++) cl = prepare(r, k, i, groups);
    if (groups) r->d.cl->clReleaseKernel(groups);
    return cl;
}

static cl_int take_turns(struct run *r) {
    uint64_t until = weft_now_ns() + (uint64_t)(TURNS_S * 1e9);
    cl_int cl = CL_SUCCESS;
    for (r->turns = 0; r->turns < TURNS_MAX && !cl && (r->turns < TURNS_MIN || weft_now_ns() < until);
         r->turns++) {
        measuring_tell("OpenCL device %zu, turn %zu of %d", r->number, r->turns + 1, TURNS_MAX);
        for (size_t i = 0; i < KERNELS * SIZES && !cl; i++) {
            if (atomic_load(&bench_interrupted)) return CL_SUCCESS;
            struct timed *t = at(r, i);
            cl = measure_device_once(&r->d, t->kernel, t->items, t->batch, &t->sample[r->turns]);
        }
    }
    return cl;
}

/* What a run takes: the lower quartile of the turns from `from` on by `step`, since a driver's threads that
 * are put on one CPU at first only add; on a busy machine the least. */
static double seconds_of(const struct run *r, const struct timed *t, size_t from, size_t step) {
    double sample[TURNS_MAX];
    size_t n = 0;
    for (size_t i = from; i < r->turns; i += step) sample[n++] = t->sample[i];
    struct measure_value v = measure_summary(sample, n);
    return r->c->g->k.busy ? v.least : v.low;
}

/* -- predicting -- */

static struct weft_kernel_work work_of(const struct kernel *k, int i, double groups) {
    double n = k->n[i], items = k->items(n);
    return (struct weft_kernel_work){.flops = items * (k->flops_each + k->flops_each_n * n),
                                     .bytes = items * k->bytes_each,
                                     .groups = groups};
}

/* Notes every second size, and predicts the others. */
static int predict(struct run *r, size_t k, double *predicted, double *held) {
    struct weft_kernel_history h = {0};
    const struct kernel *kernel = &kernels[k];
    char what[300];
    int n = 0, rc = 0;
    for (int i = 0; i < SIZES && !rc; i += 2) {
        struct weft_kernel_work w = work_of(kernel, i, r->t[k][i].groups);
        rc = weft_kernel_note(&h, kernel->n[i], seconds_of(r, &r->t[k][i], 0, 1), &w, &r->rates);
    }
    snprintf(what, sizeof what, "opencl%zu %s", r->number, kernel->name);
    for (int i = 1; i < SIZES && !rc; i += 2) {
        struct weft_kernel_work w = work_of(kernel, i, r->t[k][i].groups);
        struct weft_forecast f;
        if ((rc = weft_kernel_predict(&h, kernel->n[i], &w, &r->rates, &f))) break;
        predicted[n] = f.kernel_s;
        held[n] = seconds_of(r, &r->t[k][i], 0, 1);
        measure_check_point(r->c, what, kernel->n[i], held[n], predicted[n]);
        n++;
    }
    return rc;
}

static int tell(struct run *r, const char *name, const double *a, const double *b, size_t n, double wanted) {
    struct weft_fit_error e;
    char what[300];
    int rc = weft_fit_error(a, b, n, &e);
    snprintf(what, sizeof what, "%sopencl%zu%s", wanted ? "" : "  ", r->number, name);
    if (!rc) measure_check_tell(r->c, what, &e, wanted);
    return rc;
}

static int predict_all(struct run *r) {
    double predicted[KERNELS * SIZES / 2], held[KERNELS * SIZES / 2], half[2][KERNELS * SIZES];
    char name[64];
    int rc = 0;
    for (size_t k = 0; k < KERNELS && !rc; k++) {
        size_t first = k * SIZES / 2;
        snprintf(name, sizeof name, " %s", kernels[k].name);
        rc = predict(r, k, predicted + first, held + first);
        if (!rc) rc = tell(r, name, predicted + first, held + first, SIZES / 2, 0);
    }
    for (size_t i = 0; i < KERNELS * SIZES; i++)
        for (size_t h = 0; h < 2; h++) half[h][i] = seconds_of(r, at(r, i), h, 2);
    if (!rc) rc = tell(r, ", kernels", predicted, held, KERNELS * SIZES / 2, WANTED);
    return rc ? rc : tell(r, ", measured again", half[0], half[1], KERNELS * SIZES, AGAIN_WANTED);
}

/* -- devices -- */

/* On a busy machine the better quartile: what else runs only adds. */
static double value_of(const struct measuring *g, const struct weft_model_observation *o) {
    double better = o->attribute == WEFT_MODEL_LAUNCH ? o->low : o->high;
    return g->k.busy && !isnan(better) ? better : o->value;
}

static double best_of(const struct measuring *g, weft_model_ref e, enum weft_model_attribute a,
                      double otherwise) {
    const struct weft_model_observation *o = weft_model_best(g->k.m, e, a, NULL);
    return o ? value_of(g, o) : otherwise;
}

/* The bandwidths that were measured by size, in their order. */
static void levels_of(const struct measuring *g, weft_model_ref e, struct weft_device_rates *r) {
    const struct weft_model_entity *entity = &g->k.m->entities[e];
    for (uint32_t i = 0; i < entity->observations && r->levels < WEFT_RATE_LEVELS_MAX; i++) {
        const struct weft_model_observation *o = &g->k.m->observations[entity->first_observation + i];
        if (o->attribute != WEFT_MODEL_BANDWIDTH || isnan(o->when.size_B)) continue;
        unsigned to = r->levels++;
        for (; to && r->level[to - 1].size_B > o->when.size_B; to--) r->level[to] = r->level[to - 1];
        r->level[to].size_B = o->when.size_B;
        r->level[to].Bps = value_of(g, o);
    }
}

/* The device's own rates, as the model has them now. */
static struct weft_device_rates rates_of(const struct measuring *g, size_t number) {
    struct weft_device_rates r = {.launch_s = 1e-5, .flops_per_s = 1e10, .Bps = 1e10};
    char id[300];
    snprintf(id, sizeof id, "%s.opencl%zu", weft_model_id(g->k.m, g->host), number);
    weft_model_ref e = weft_model_find(g->k.m, id);
    if (e == WEFT_MODEL_NONE) return r;
    r.launch_s = best_of(g, e, WEFT_MODEL_LAUNCH, r.launch_s);
    r.flops_per_s = best_of(g, e, WEFT_MODEL_RATE, r.flops_per_s);
    r.Bps = best_of(g, e, WEFT_MODEL_BANDWIDTH, r.Bps);
    r.units = best_of(g, e, WEFT_MODEL_UNITS, 0);
    levels_of(g, e, &r);
    return r;
}

static int check_device(struct measure_check *c, cl_device_id id, size_t number) {
    static struct run r;
    r = (struct run){.c = c, .number = number, .rates = rates_of(c->g, number)};
    cl_int cl = measure_device_open(&r.d, id, source, BUFFER_BYTES);
    if (!cl) cl = prepare_all(&r);
    if (!cl) cl = take_turns(&r);
    for (size_t i = 0; i < KERNELS * SIZES; i++)
        if (at(&r, i)->kernel) r.d.cl->clReleaseKernel(at(&r, i)->kernel);
    measure_device_close(&r.d);
    if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
    if (!cl) return predict_all(&r);
    fprintf(stderr, "weft model measure: OpenCL device %zu: OpenCL error %d\n", number, cl);
    c->g->failed++;
    return 0;
}

int measure_check_kernels(struct measure_check *c) {
    const struct drivers *all = drivers_load();
    size_t number = 0;
    int rc = measuring_devices(c->g);
    if (!rc) rc = weft_model_settle(c->g->k.m);
    for (size_t p = 0; p < all->count && !rc; p++)
        for (cl_uint i = 0; i < all->platforms[p].device_count && !rc; i++)
            rc = check_device(c, all->platforms[p].devices[i], number++);
    return rc;
}
