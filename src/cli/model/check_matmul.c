/* weft model predict --check matmul: the example program on two nodes, predicted from what it takes on each of them
 * alone, and run. Unmodified: `matmul N SLICE --prefetch --tail-aware` in a cluster of `weft run --nodes 2`.
 *
 * Known are three things, all at orders other than the one that is predicted: what a block takes on each node's device
 * alone (at two orders, so that it is known how a block grows), what the program needs before its first block, and how
 * much slower a block is while the other device works, too (at one order: hardware threads of one core, memory). They
 * are written into a model as durations, a path and a task in blocks, and predicted as any model is
 * (weft_app_predict); the model can be kept. Runs are interleaved, round by round, and medians count, so that what else
 * a machine does is in both sides. A device of PoCL gets half of the CPUs. */
#include "base/clock.h"
#include "base/error.h"
#include "base/path.h"
#include "cli/bench/bench.h"
#include "cli/bench/tool.h"
#include "cli/model/measure.h"
#include "cli/model/predict_check.h"
#include "cli/output.h"
#include "model/predict/app.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE       128
#define ROUNDS_MAX  9
#define RUN_MAX_S   120
#define WANTED      0.10
#define NODES       2
#define ALONE       2 /* orders at which each node works alone */
#define PATH_BYTES  1024
#define STEEPEST    1.5 /* times as fast as the operations */

enum { BOTH = -1 }; /* in the place of a node */

/* The runs of a round. */
static const struct plan {
    const char *role;
    int n, node;
} plans[] = {{"alone", 384, 0},   {"alone", 384, 1},     {"alone", 640, 0},
             {"alone", 640, 1},   {"together", 640, BOTH}, {"held out", 896, BOTH}};
#define PLANS    (sizeof plans / sizeof *plans)
#define TOGETHER 4
#define HELD_OUT 5

struct outcome {
    double seconds;        /* the product, by the program itself */
    double busy_s;         /* of the device alone: from its first block to its last */
    double transfer_s;     /* of node 1's device */
    uint64_t transfer_B;
};

struct check {
    const struct command *c;
    bool json;
    unsigned rounds;
    char weft[PATH_BYTES], matmul[PATH_BYTES], threads[64];
    struct outcome of[PLANS][ROUNDS_MAX], median[PLANS];
};

/* --- A run --- */

static bool complain(const struct check *k, const struct plan *p, const char *what) {
    fprintf(stderr, "weft %s: matmul %d %s: %s\n", k->c->name, p->n, p->role, what);
    return false;
}

static void add_device(struct outcome *out, const struct plan *p, const json_t *device) {
    double blocks = (double)json_integer_value(json_object_get(device, "blocks")),
           gflops = json_number_value(json_object_get(device, "gflops"));
    if (p->node != BOTH && gflops > 0) out->busy_s = 2.0 * p->n * p->n * p->n / (gflops * 1e9);
    if (json_integer_value(json_object_get(device, "node")) != 1) return;
    out->transfer_s = json_number_value(json_object_get(device, "transfer_s"));
    out->transfer_B = (uint64_t)(blocks * (2.0 * SLICE * p->n + SLICE * SLICE) * sizeof(float));
}

/* The line of JSON among what was printed. */
static bool read_outcome(const struct plan *p, const char *text, struct outcome *out) {
    const char *line = strstr(text, "{\"n\":");
    json_t *root = line ? json_loads(line, JSON_DISABLE_EOF_CHECK, NULL) : NULL, *device;
    size_t i;
    if (!root) return false;
    *out = (struct outcome){.seconds = json_number_value(json_object_get(root, "seconds"))};
    bool good = json_is_true(json_object_get(root, "verified")) && out->seconds > 0;
    json_array_foreach(json_object_get(root, "devices"), i, device) add_device(out, p, device);
    size_t wanted = p->node == BOTH ? NODES : 1;
    good &= json_array_size(json_object_get(root, "devices")) == wanted;
    json_decref(root);
    return good && (p->node == BOTH || out->busy_s > 0);
}

static bool run(const struct check *k, const struct plan *p, struct outcome *out) {
    char n[16], slice[16], node[16], last[256];
    struct tool *t = calloc(1, sizeof *t);
    if (!t) return complain(k, p, weft_error_text(WEFT_E_NOMEM));
    snprintf(n, sizeof n, "%d", p->n);
    snprintf(slice, sizeof slice, "%d", SLICE);
    snprintf(node, sizeof node, "%d", p->node);
    *t = (struct tool){.argv = {"env", k->threads, k->weft, "run", "--nodes", "2", "--devices", "0@node:0,0@node:1",
                                "--", k->matmul, n, slice, "--json", "--prefetch", "--tail-aware",
                                p->node == BOTH ? NULL : "--node", p->node == BOTH ? NULL : node},
                       .cpu = -1};
    int rc = tool_start(t);
    if (!rc) rc = tool_finish(t, weft_now_ns() + RUN_MAX_S * WEFT_NS_PER_S);
    tool_stop(t);
    bool good = !rc && read_outcome(p, t->out, out);
    tool_last_line(t, last, sizeof last);
    free(t);
    return good || complain(k, p, rc && rc != WEFT_E_IO ? weft_error_text(rc) : last);
}

static bool run_all(struct check *k) {
    struct outcome warm;
    if (!run(k, &plans[0], &warm)) return false; /* the driver compiles, and keeps it */
    uint64_t until = weft_now_ns() + PREDICT_CHECK_S * WEFT_NS_PER_S;
    for (unsigned r = 0; r < k->rounds; r++) {
        if (r && weft_now_ns() > until) k->rounds = r;
        for (size_t i = 0; i < PLANS && r < k->rounds; i++) {
            if (atomic_load(&bench_interrupted)) return false;
            measuring_tell("round %u of %u, order %d", r + 1, k->rounds, plans[i].n);
            if (!run(k, &plans[i], &k->of[i][r])) return false;
        }
    }
    measuring_tell(NULL);
    return true;
}

static void take_medians(struct check *k) {
    double v[3][ROUNDS_MAX];
    for (size_t i = 0; i < PLANS; i++) {
        for (unsigned r = 0; r < k->rounds; r++) {
            v[0][r] = k->of[i][r].seconds;
            v[1][r] = k->of[i][r].busy_s;
            v[2][r] = k->of[i][r].transfer_s / fmax(1, (double)k->of[i][r].transfer_B);
        }
        k->median[i] = (struct outcome){.seconds = measure_summary(v[0], k->rounds).median,
                                        .busy_s = measure_summary(v[1], k->rounds).median,
                                        .transfer_s = measure_summary(v[2], k->rounds).median,
                                        .transfer_B = 1};
    }
}

/* --- The model --- */

static double blocks_of(int n) {
    double side = ceil((double)n / SLICE);
    return side * side;
}

/* A block of order n on that node alone: a straight line through the two orders, unless that is no line that a block
 * can have: its time neither falls with the order, nor grows much faster (caches are left behind) than its operations. */
static double block_s(const struct check *k, int node, int n) {
    const struct plan *a = &plans[node], *b = &plans[NODES + node];
    double at_a = k->median[node].busy_s / blocks_of(a->n), at_b = k->median[NODES + node].busy_s / blocks_of(b->n);
    double slope = fmin(fmax((at_b - at_a) / (b->n - a->n), 0), STEEPEST * at_b / b->n);
    return at_b + slope * (n - b->n);
}

/* What the program needs besides its blocks, in the mean of the runs of a node alone. */
static double setup_s(const struct check *k) {
    double sum = 0;
    for (size_t i = 0; i < ALONE * NODES; i++) sum += k->median[i].seconds - k->median[i].busy_s;
    return fmax(sum / (ALONE * NODES), 0);
}

struct making {
    struct weft_model *m;
    int rc;
};

static weft_model_ref add(struct making *k, const char *id, enum weft_model_kind kind, const char *class_name) {
    weft_model_ref e = weft_model_add_entity(k->m, id, kind, class_name);
    if (e == WEFT_MODEL_NONE) k->rc = WEFT_E_NOMEM;
    return e;
}

/* from: the unit that the number is of; NONE: not said. */
static void say(struct making *k, weft_model_ref e, enum weft_model_attribute a, double value, weft_model_ref from,
                const char *note) {
    struct weft_model_observation o = weft_model_observation_of(e, a, value, WEFT_MODEL_INFERRED);
    o.tool = weft_model_intern(k->m, "weft model predict --check matmul");
    o.note = weft_model_intern(k->m, note);
    if (from != WEFT_MODEL_NONE) o.when.from = k->m->entities[from].id;
    if (!k->rc) k->rc = weft_model_add_observation(k->m, &o);
}

static void relate(struct making *k, weft_model_ref from, enum weft_model_relation_type type, weft_model_ref to) {
    struct weft_model_relation r = {.type = (uint8_t)type, .from = from, .to = to};
    if (!k->rc) k->rc = weft_model_add_relation(k->m, &r);
}

/* Both nodes, the path between them, and the product of order n; `slower`: blocks beside each other. */
static void make(struct making *k, const struct check *c, int n, double slower) {
    double blocks = blocks_of(n), row_B = 2.0 * SLICE * n * sizeof(float), result_B = SLICE * SLICE * sizeof(float);
    weft_model_ref host[NODES], unit[NODES], memory, path, setup, product, matrices, access;
    for (int i = 0; i < NODES && !k->rc; i++) {
        char id[16];
        snprintf(id, sizeof id, "n%d", i);
        host[i] = add(k, id, WEFT_MODEL_NODE, "host");
        snprintf(id, sizeof id, "n%d.device", i);
        unit[i] = add(k, id, WEFT_MODEL_COMPUTE, "accelerator");
        if (!k->rc) k->m->entities[unit[i]].parent = host[i];
    }
    memory = add(k, "n0.memory", WEFT_MODEL_MEMORY, "dram");
    path = add(k, "path", WEFT_MODEL_SERVICE, NULL);
    setup = add(k, "setup", WEFT_MODEL_TASK, NULL);
    product = add(k, "product", WEFT_MODEL_TASK, NULL);
    matrices = add(k, "matrices", WEFT_MODEL_OBJECT, NULL);
    access = add(k, "product.data", WEFT_MODEL_ACCESS, NULL);
    if (k->rc) return;
    k->m->entities[memory].parent = host[0];
    memcpy(k->m->entities[path].ends, host, sizeof host);
    memcpy(k->m->entities[access].ends, (weft_model_ref[]){product, matrices}, sizeof host);
    say(k, path, WEFT_MODEL_LATENCY, 0, WEFT_MODEL_NONE, "in the time of a transfer already");
    say(k, path, WEFT_MODEL_BANDWIDTH, 1 / c->median[NODES + 1].transfer_s, WEFT_MODEL_NONE,
        "of the transfers of node 1 alone");
    say(k, matrices, WEFT_MODEL_SIZE, 3.0 * n * n * sizeof(float), WEFT_MODEL_NONE, NULL);
    say(k, access, WEFT_MODEL_READS, blocks * row_B, WEFT_MODEL_NONE, "a row and a column of blocks for each");
    say(k, access, WEFT_MODEL_WRITES, blocks * result_B, WEFT_MODEL_NONE, NULL);
    say(k, setup, WEFT_MODEL_DURATION, setup_s(c), WEFT_MODEL_NONE, "what runs of one node took besides their blocks");
    say(k, product, WEFT_MODEL_BLOCKS, blocks, WEFT_MODEL_NONE, NULL);
    relate(k, memory, WEFT_MODEL_PLACES, matrices);
    relate(k, unit[0], WEFT_MODEL_RUNS, setup);
    for (int i = 0; i < NODES; i++) {
        relate(k, unit[i], WEFT_MODEL_RUNS, product);
        say(k, product, WEFT_MODEL_DURATION, blocks * block_s(c, i, n) * slower, unit[i],
            "all blocks on this unit, from two smaller orders");
    }
    if (!k->rc) k->rc = weft_model_settle(k->m);
}

/* What the model says of order n; NAN after a message. Written to `path`, if it is not NULL. */
static double predict(const struct check *c, int n, double slower, const char *path) {
    struct making k = {.rc = WEFT_OK};
    struct weft_app *app = NULL;
    double seconds = NAN;
    k.rc = weft_model_create(&k.m);
    if (!k.rc) make(&k, c, n, slower);
    if (!k.rc) k.rc = weft_app_predict(k.m, &app);
    if (!k.rc) seconds = app->seconds;
    if (!k.rc && path) k.rc = weft_model_save(k.m, path);
    if (k.rc) fprintf(stderr, "weft %s: %s\n", c->c->name, weft_error_text(k.rc));
    for (size_t i = 0; app && i < app->missing_count; i++) fprintf(stderr, "weft %s: %s\n", c->c->name, app->missing[i]);
    if (app) weft_app_free(app);
    if (k.m) weft_model_destroy(k.m);
    return k.rc ? NAN : seconds;
}

/* --- What it says --- */

static void row(const struct check *k, struct table *t, size_t i, double predicted) {
    const struct plan *p = &plans[i];
    double measured = k->median[i].seconds;
    if (k->json) {
        json_t *o = json_pack("{s:s, s:s, s:i, s:s, s:f}", "check", "matmul", "role", p->role, "order", p->n, "nodes",
                              p->node == BOTH ? "0,1" : p->node ? "1" : "0", "measured_s", measured);
        if (!isnan(predicted)) json_object_set_new(o, "predicted_s", json_real(predicted));
        if (!isnan(predicted)) json_object_set_new(o, "error", json_real(predicted / measured - 1));
        json_line(o);
        return;
    }
    table_add(t, "%d", p->n);
    table_add(t, "%s", p->node == BOTH ? "both" : p->node ? "1" : "0");
    table_add(t, "%s", p->role);
    table_add(t, "%.3f", measured);
    if (isnan(predicted)) {
        table_add(t, "-");
        table_add(t, "-");
        return;
    }
    table_add(t, "%.3f", predicted);
    table_add(t, "%+.1f %%", 100 * (predicted / measured - 1));
}

static int tell(const struct check *k, double slower, double predicted) {
    struct table t;
    bool met = fabs(predicted / k->median[HELD_OUT].seconds - 1) <= WANTED;
    table_init(&t, 6);
    for (size_t i = 0; i < 6 && !k->json; i++)
        table_add(&t, "%s", (const char *[]){"ORDER", "NODES", "ROLE", "MEASURED s", "PREDICTED s", "ERROR"}[i]);
    for (size_t i = 0; i < PLANS; i++) row(k, &t, i, i == HELD_OUT ? predicted : NAN);
    if (k->json) {
        table_fini(&t);
        json_line(json_pack("{s:s, s:f, s:f, s:b}", "check", "matmul", "slower_together", slower, "wanted", WANTED,
                            "met", met));
        return !met;
    }
    table_print(&t);
    printf("blocks of %d, medians of %u rounds; a block takes %.2f times as long beside the other node's\n"
           "matmul over two nodes: at most %.0f %% off is wanted: %s\n",
           SLICE, k->rounds, slower, 100 * WANTED, met ? "met" : "NOT MET");
    return !met;
}

int predict_check_matmul(const struct command *c, const struct predict_check *call) {
    static struct check k;
    k = (struct check){.c = c, .json = call->json, .rounds = call->quick ? 1 : 5};
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(k.threads, sizeof k.threads, "POCL_MAX_PTHREAD_COUNT=%ld", cpus > 3 ? cpus / 2 : 1);
    if (weft_exe_path("weft", k.weft, sizeof k.weft) || weft_exe_path("matmul", k.matmul, sizeof k.matmul) ||
        access(k.matmul, X_OK)) {
        fprintf(stderr, "weft %s: this runs where weft was built: there is no %s\n", c->name, k.matmul);
        return 1;
    }
    bench_catch_signals();
    if (!run_all(&k)) return 1;
    take_medians(&k);
    double together = predict(&k, plans[TOGETHER].n, 1, NULL), setup = setup_s(&k);
    if (isnan(together)) return 1;
    double slower = fmax((k.median[TOGETHER].seconds - setup) / fmax(together - setup, 1e-9), 0.1);
    double predicted = predict(&k, plans[HELD_OUT].n, slower, call->output);
    return isnan(predicted) ? 1 : tell(&k, slower, predicted);
}
