/* weft model measure --check: how well what is fitted tells what it was not fitted to. Messages of 17 sizes
 * over each adapter, every second one held out; five kernels at six sizes, half of them held out. Writes
 * nothing. */
#include "base/error.h"
#include "cli/model/measure.h"
#include "cli/model/measure_opencl.h"
#include "cli/output.h"
#include "model/predict/predict.h"

#include <stdio.h>

#define TRANSPORT_WANTED 0.15
#define KERNEL_WANTED    0.10
#define SIZES            6
#define BUFFER_BYTES     ((size_t)16 << 20)
#define REPEATS          15

static const uint64_t message_sizes[] = {8,      64,      512,     1024,    2048,    4096,
                                         8192,   16384,   32768,   65536,   131072,  262144,
                                         524288, 1 << 20, 2 << 20, 4 << 20, 16 << 20};

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
    "}\n";

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

struct check {
    struct measuring *g;
    bool json, good;
    struct table t;
};

/* `wanted` 0: nothing is. */
static void tell(struct check *c, const char *what, const struct weft_fit_error *e, double wanted) {
    bool met = !wanted || e->median <= wanted;
    c->good &= met;
    if (c->json) {
        json_line(json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:b}", "what", what, "held_out",
                            (json_int_t)e->points, "median_error", e->median, "p95_error", e->p95,
                            "max_error", e->max, "wanted", wanted, "met", met));
        return;
    }
    table_add(&c->t, "%s", what);
    table_add(&c->t, "%zu", e->points);
    table_add(&c->t, "%.1f %%", e->median * 100);
    table_add(&c->t, "%.1f %%", e->p95 * 100);
    table_add(&c->t, "%.1f %%", e->max * 100);
    if (wanted)
        table_add(&c->t, "%.0f %%", wanted * 100);
    else
        table_add(&c->t, "-");
    table_add(&c->t, "%s", !wanted ? "" : met ? "met" : "NOT met");
}

static void tell_path(void *ctx, const char *entity, double median, double p95, double max, unsigned points) {
    tell(ctx, entity, &(struct weft_fit_error){.points = points, .median = median, .p95 = p95, .max = max},
         TRANSPORT_WANTED);
}

/* -- kernels -- */

/* On a busy machine the fastest batch counts: what else runs only adds. */
static cl_int time_kernel(struct measure_device *d, const struct kernel *k, bool busy,
                          double seconds[SIZES]) {
    cl_int cl = CL_SUCCESS;
    for (int i = 0; i < SIZES && !cl; i++) {
        struct measure_value v;
        cl_kernel kernel;
        size_t items = (size_t)k->items(k->n[i]);
        cl = measure_device_kernel(d, k->name, k->n[i], &kernel);
        if (!cl) cl = measure_device_run(d, kernel, items, 1, 1, &v);
        unsigned batch = !cl && v.median < 0.002 ? (unsigned)(0.002 / v.median) + 1 : 1;
        if (!cl) cl = measure_device_run(d, kernel, items, batch, REPEATS, &v);
        if (kernel) d->cl->clReleaseKernel(kernel);
        if (!cl) seconds[i] = busy ? v.least : v.median;
    }
    return cl;
}

static struct weft_kernel_work work_of(const struct kernel *k, int i) {
    double n = k->n[i], items = k->items(n);
    return (struct weft_kernel_work){.flops = items * (k->flops_each + k->flops_each_n * n),
                                     .bytes = items * k->bytes_each};
}

/* Notes every second size, and predicts the others. */
static int predict(const struct kernel *k, const struct weft_device_rates *r, const double measured[SIZES],
                   double *predicted, double *held) {
    struct weft_kernel_history h = {0};
    int n = 0;
    for (int i = 0; i < SIZES; i += 2) {
        struct weft_kernel_work w = work_of(k, i);
        int rc = weft_kernel_note(&h, k->n[i], measured[i], &w, r);
        if (rc) return rc;
    }
    for (int i = 1; i < SIZES; i += 2) {
        struct weft_kernel_work w = work_of(k, i);
        struct weft_forecast f;
        int rc = weft_kernel_predict(&h, k->n[i], &w, r, &f);
        if (rc) return rc;
        predicted[n] = f.kernel_s;
        held[n++] = measured[i];
    }
    return 0;
}

/* The device's own rates, as the model has them now. */
static struct weft_device_rates rates_of(const struct measuring *g, size_t number) {
    char id[300];
    snprintf(id, sizeof id, "%s.opencl%zu", weft_model_id(g->k.m, g->host), number);
    weft_model_ref e = weft_model_find(g->k.m, id);
    if (e == WEFT_MODEL_NONE)
        return (struct weft_device_rates){.launch_s = 1e-5, .flops_per_s = 1e10, .Bps = 1e10};
    return (struct weft_device_rates){.launch_s = weft_model_value(g->k.m, e, WEFT_MODEL_LAUNCH, 1e-5),
                                      .flops_per_s = weft_model_value(g->k.m, e, WEFT_MODEL_RATE, 1e10),
                                      .Bps = weft_model_value(g->k.m, e, WEFT_MODEL_BANDWIDTH, 1e10)};
}

static int check_device(struct check *c, cl_device_id id, size_t number) {
    double predicted[KERNELS * SIZES / 2], held[KERNELS * SIZES / 2];
    struct weft_device_rates rates = rates_of(c->g, number);
    struct measure_device d;
    struct weft_fit_error e;
    char what[300];
    cl_int cl = measure_device_open(&d, id, source, BUFFER_BYTES);
    int rc = 0;
    for (size_t k = 0; k < KERNELS && !cl && !rc; k++) {
        double seconds[SIZES];
        measuring_tell("OpenCL device %zu, kernel %s", number, kernels[k].name);
        cl = time_kernel(&d, &kernels[k], c->g->k.busy, seconds);
        if (!cl) rc = predict(&kernels[k], &rates, seconds, predicted + k * SIZES / 2, held + k * SIZES / 2);
        if (cl || rc || weft_fit_error(predicted + k * SIZES / 2, held + k * SIZES / 2, SIZES / 2, &e))
            continue;
        snprintf(what, sizeof what, "  opencl%zu %s", number, kernels[k].name);
        tell(c, what, &e, 0);
    }
    measure_device_close(&d);
    if (cl) fprintf(stderr, "weft model measure: OpenCL device %zu: OpenCL error %d\n", number, cl);
    if (cl || rc) return rc;
    rc = weft_fit_error(predicted, held, sizeof held / sizeof *held, &e);
    snprintf(what, sizeof what, "opencl%zu, kernels", number);
    if (!rc) tell(c, what, &e, KERNEL_WANTED);
    return rc;
}

static int check_kernels(struct check *c) {
    const struct drivers *all = drivers_load();
    size_t number = 0;
    int rc = measuring_devices(c->g);
    if (!rc) rc = weft_model_settle(c->g->k.m);
    for (size_t p = 0; p < all->count && !rc; p++)
        for (cl_uint i = 0; i < all->platforms[p].device_count && !rc; i++)
            rc = check_device(c, all->platforms[p].devices[i], number++);
    return rc;
}

int measure_check(struct measuring *g, bool json) {
    static const char *const heading[] = {"WHAT", "HELD OUT", "MEDIAN ERROR", "P95", "MAX", "WANTED", ""};
    struct check c = {.g = g, .json = json, .good = true};
    struct measure_fit_report report;
    table_init(&c.t, 7);
    for (size_t i = 0; i < 7; i++) table_add(&c.t, "%s", heading[i]);
    int rc = measuring_paths(g, message_sizes, sizeof message_sizes / sizeof *message_sizes);
    if (!rc) rc = weft_model_settle(g->k.m);
    if (!rc) rc = measure_fit(&g->k, g->host, tell_path, &c, &report);
    if (!rc) rc = check_kernels(&c);
    measuring_tell(NULL);
    if (json)
        table_fini(&c.t);
    else
        table_print(&c.t);
    if (rc && rc != WEFT_E_INTR) fprintf(stderr, "weft model measure: %s\n", weft_error_text(rc));
    return rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : rc || !c.good || g->failed;
}
