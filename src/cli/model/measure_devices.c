/* Each OpenCL device of this machine: launch, transfers, operations and bytes a second. */
#include "base/error.h"
#include "cli/model/measure.h"
#include "cli/model/measure_opencl.h"

#include <math.h>
#include <stdio.h>

#define BUFFER_BYTES ((size_t)32 << 20)
#define SMALL_BYTES  4
#define CHAIN        256 /* multiply-adds of each of an item's four chains */
#define OPS          (CHAIN * 4 * 2.0)
#define LONG_S       0.005 /* a run that shows the rate */
#define ITEMS_MAX    ((size_t)1 << 22)
#define REPEATS      9
#define PARTS_MAX    64 /* the smallest arrays are this part of the buffers: 3 x 512 KiB */
#define PART_BATCH   8
#define LAUNCHES     2.0 /* a run is this many times as long as a launch, or says nothing of bytes */
#define EMPTY_BATCH  16
#define EMPTY_ITEMS  64 /* for each unit, so that all of them are started */

static const char source[] =
    "__kernel void empty(__global float *a, __global float *b, __global float *c) {}\n"
    "__kernel void chain(__global float *a, __global float *b, __global float *c) {\n"
    "  size_t i = get_global_id(0);\n"
    "  float p = i, q = i + 1, r = i + 2, s = i + 3, f = b[0] * 0.5f;\n"
    "  for (int k = 0; k < 256; k++) { p = p * f + f; q = q * f + f; r = r * f + f; s = s * f + f; }\n"
    "  if (p + q + r + s == 42.5f) a[0] = p;\n"
    "}\n"
    "__kernel void triad(__global float *a, __global float *b, __global float *c) {\n"
    "  size_t i = get_global_id(0);\n"
    "  a[i] = b[i] + 3.0f * c[i];\n"
    "}\n";

struct device {
    struct measuring *g;
    struct measure_device d;
    weft_model_ref e, path;
    unsigned repeats;
    double launch_s;
};

/* A rate out of times: so much in each. */
static struct measure_value per_second(const struct measure_value *v, double amount) {
    return (struct measure_value){
        .median = amount / v->median, .low = amount / v->high, .high = amount / v->low, .n = v->n};
}

static struct weft_model_condition of(struct weft_model *m, const char *op, const char *type) {
    struct weft_model_condition c = weft_model_any();
    c.op = weft_model_intern(m, op);
    c.type = weft_model_intern(m, type);
    return c;
}

static cl_int launch(struct device *x, int *rc) {
    struct measure_value v;
    cl_kernel k;
    cl_int cl = measure_device_kernel(&x->d, "empty", -1, &k);
    if (!cl) cl = measure_device_run(&x->d, k, (size_t)x->d.units * EMPTY_ITEMS, EMPTY_BATCH, x->repeats, &v);
    if (!cl) *rc = measure_put(&x->g->k, x->e, WEFT_MODEL_LAUNCH, NULL, &v);
    if (!cl) x->launch_s = v.low;
    if (k) x->d.cl->clReleaseKernel(k);
    return cl;
}

static cl_int rate(struct device *x, int *rc) {
    struct weft_model_condition when = of(x->g->k.m, "fma", "float32");
    struct measure_value v = {.median = 0};
    size_t items = 256;
    cl_kernel k;
    cl_int cl = measure_device_kernel(&x->d, "chain", -1, &k);
    for (; !cl && v.median < LONG_S && items < ITEMS_MAX; items *= 2)
        cl = measure_device_run(&x->d, k, items * 2, 1, 2, &v);
    if (!cl) cl = measure_device_run(&x->d, k, items, 1, x->repeats, &v);
    if (!cl) {
        v = per_second(&v, (double)items * OPS);
        *rc = measure_put(&x->g->k, x->e, WEFT_MODEL_RATE, &when, &v);
    }
    if (k) x->d.cl->clReleaseKernel(k);
    return cl;
}

/* Of three arrays that are `part` of the buffers: the smaller ones fit in caches. A run of theirs that is
 * mostly launch tells no bandwidth; the whole buffers' always does. */
static cl_int bandwidth_of(struct device *x, cl_kernel k, size_t part, int *rc) {
    struct weft_model_condition when = of(x->g->k.m, "triad", "float32");
    struct measure_value v;
    size_t items = x->d.bytes / part / sizeof(float);
    double moved_B = 3.0 * (double)(items * sizeof(float));
    cl_int cl = measure_device_run(&x->d, k, items, (unsigned)part / PART_BATCH + 1, x->repeats, &v);
    if (cl || (part > 1 && v.low < LAUNCHES * x->launch_s)) return cl;
    double launch_s = fmin(x->launch_s, v.low / LAUNCHES);
    v.median -= launch_s, v.low -= launch_s, v.high -= launch_s;
    v = per_second(&v, moved_B);
    if (part == 1) *rc = measure_put(&x->g->k, x->e, WEFT_MODEL_BANDWIDTH, &when, &v);
    when.size_B = moved_B;
    if (!*rc) *rc = measure_put(&x->g->k, x->e, WEFT_MODEL_BANDWIDTH, &when, &v);
    return cl;
}

static cl_int bandwidth(struct device *x, int *rc) {
    cl_kernel k;
    cl_int cl = measure_device_kernel(&x->d, "triad", -1, &k);
    for (size_t part = 1; part <= PARTS_MAX && !cl && !*rc; part *= 4) cl = bandwidth_of(x, k, part, rc);
    if (k) x->d.cl->clReleaseKernel(k);
    return cl;
}

static cl_int transfers(struct device *x, int *rc) {
    cl_int cl = CL_SUCCESS;
    for (int write = 0; write < 2 && !cl && !*rc; write++) {
        struct weft_model_condition when = of(x->g->k.m, write ? "write" : "read", NULL);
        struct measure_value small, large;
        cl = measure_device_copy(&x->d, write, SMALL_BYTES, x->repeats, &small);
        if (!cl) cl = measure_device_copy(&x->d, write, x->d.bytes, x->repeats, &large);
        if (cl) break;
        large = per_second(&large, (double)x->d.bytes);
        *rc = measure_put(&x->g->k, x->path, WEFT_MODEL_LATENCY, &when, &small);
        if (!*rc) *rc = measure_put(&x->g->k, x->path, WEFT_MODEL_BANDWIDTH, &when, &large);
    }
    return cl;
}

/* The device's entity, which keeps its name, and the path to it. */
static int place(struct device *x, size_t number) {
    struct weft_model *m = x->g->k.m;
    char name[64];
    snprintf(name, sizeof name, "opencl%zu", number);
    const char *class_name = x->d.type & CL_DEVICE_TYPE_GPU           ? "gpu"
                             : x->d.type & CL_DEVICE_TYPE_ACCELERATOR ? "accelerator"
                                                                      : NULL;
    x->e =
        measure_entity(m, x->g->host, name, WEFT_MODEL_COMPUTE, class_name, WEFT_MODEL_NONE, WEFT_MODEL_NONE);
    snprintf(name, sizeof name, "opencl%zu-path", number);
    if (x->e != WEFT_MODEL_NONE)
        x->path = measure_entity(m, x->g->host, name, WEFT_MODEL_SERVICE, "opencl", x->g->host, x->e);
    if (x->e == WEFT_MODEL_NONE || x->path == WEFT_MODEL_NONE) return WEFT_E_NOMEM;
    struct measure_value units = {.median = x->d.units, .low = NAN, .high = NAN, .n = NAN};
    int rc = measure_name(m, x->e, "x_opencl", x->d.name);
    return rc ? rc : measure_put(&x->g->k, x->e, WEFT_MODEL_UNITS, NULL, &units);
}

static cl_int measure(struct device *x, size_t number, int *rc) {
    cl_int (*const parts[])(struct device * x, int *rc) = {launch, rate, bandwidth, transfers};
    cl_int cl = CL_SUCCESS;
    *rc = place(x, number);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !cl && !*rc; i++) cl = parts[i](x, rc);
    return cl;
}

static int one(struct measuring *g, cl_device_id id, size_t number) {
    struct device x = {.g = g, .repeats = g->quick ? 5 : REPEATS};
    int rc = 0;
    measuring_tell("OpenCL device %zu", number);
    cl_int cl = measure_device_open(&x.d, id, source, BUFFER_BYTES);
    if (!cl) cl = measure(&x, number, &rc);
    if (cl) fprintf(stderr, "weft model measure: %s: OpenCL error %d\n", x.d.name, cl);
    if (cl) g->failed++;
    measure_device_close(&x.d);
    return rc;
}

int measuring_devices(struct measuring *g) {
    const struct drivers *all = drivers_load();
    size_t number = 0;
    int rc = 0;
    for (size_t p = 0; p < all->count; p++)
        for (cl_uint i = 0; i < all->platforms[p].device_count && !rc; i++) {
            if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
            if (measuring_over(g)) continue;
            rc = one(g, all->platforms[p].devices[i], number++);
        }
    return rc;
}
