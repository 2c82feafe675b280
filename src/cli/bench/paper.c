/* weft bench paper002: runs matmul on the combinations of Table 1, each a cluster of paced devices in network
 * namespaces (tests/lab), and puts what it takes beside what the paper and the model say. */
#include "cli/bench/paper.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/path.h"
#include "cli/bench/bench.h"
#include "cli/bench/tool.h"
#include "cli/command.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES   1024
#define START_S      60 /* for the cluster to come up and go down */
#define SLOWER_MAX   4  /* times as long as the model says: something hangs */
#define DEVICES_TEXT 64
#define GPU_OF_CPU   2 /* how much faster a GPU is, as the paper's ideal speed-ups take it */

struct run {
    const struct bench_options *o;
    struct rows rows;
    bool any; /* combination that was chosen */
    char weft[PATH_BYTES], matmul[PATH_BYTES], library[PATH_BYTES];
    bool failed;
};

/* What a run of matmul gave. */
struct outcome {
    double seconds;            /* in the paper's scale */
    double pace;               /* the kernels' time, of what the device's rate says; of the slowest device */
    char blocks[DEVICES_TEXT]; /* that each device took, as the combination groups them: "13+12+7,6+4" */
    char devices[PAPER_TEXT];  /* that took part, as a combination */
    bool verified;
};

/* How the program is run. */
struct way {
    const char *name, *env[3], *args[2];
};
enum { AS_PUBLISHED, UNCHANGED, TUNED };
static const struct way ways[] = {
    /* What leaves for several nodes shares the network card, and all operands travel. */
    [AS_PUBLISHED] = {"as published", {"SHARED=1", "WEFT_BULK_PATIENCE_MS=0", "WEFT_OPENCL_REUSE_BYTES=0"}},
    [UNCHANGED] = {"weft", {"SHARED=0"}},
    [TUNED] = {"weft, tuned", {"SHARED=0"}, {"--prefetch", "--tail-aware"}},
};

/* -- a run -- */

static double flops(const struct paper_order *o, double alone_s) {
    double n = o->paper->n / o->shrink;
    return 2 * n * n * n / (alone_s / o->faster);
}

static double link_Bps(const struct paper_order *o) {
    return CLOPENCL_LINK_Bps / (o->shrink * o->shrink) * o->faster;
}

/* More than 1: the machine was too slow for this device. */
static double pace_of(const struct paper_order *o, const json_t *device, bool gpu) {
    double n = o->paper->n / o->shrink, slice = o->paper->slice / o->shrink,
           block_s = 2 * slice * slice * n / flops(o, gpu ? o->paper->gpu_s : o->paper->cpu_s);
    json_int_t blocks = json_integer_value(json_object_get(device, "blocks"));
    return blocks ? json_number_value(json_object_get(device, "kernel_s")) / ((double)blocks * block_s) : 0;
}

static void add_device(const struct paper_order *o, struct outcome *out, const json_t *device,
                       json_int_t *node) {
    json_int_t at = json_integer_value(json_object_get(device, "node"));
    const char *name = json_string_value(json_object_get(device, "name"));
    size_t blocks = strlen(out->blocks), devices = strlen(out->devices);
    bool gpu = name && strstr(name, "GPU");
    out->pace = fmax(out->pace, pace_of(o, device, gpu));
    const char *between = !blocks ? "" : at == *node ? "+" : ",";
    snprintf(out->blocks + blocks, sizeof out->blocks - blocks, "%s%lld", between,
             (long long)json_integer_value(json_object_get(device, "blocks")));
    snprintf(out->devices + devices, sizeof out->devices - devices, "%s%s", *between == ',' ? "," : "",
             gpu ? "G" : "C");
    *node = at;
}

/* The line of JSON among what was printed. */
static bool read_outcome(const struct paper_order *o, const char *text, struct outcome *out) {
    const char *line = strstr(text, "{\"n\":");
    json_t *root = line ? json_loads(line, JSON_DISABLE_EOF_CHECK, NULL) : NULL, *device;
    if (!root) return false;
    json_int_t node = -1;
    size_t i;
    *out = (struct outcome){.seconds = json_number_value(json_object_get(root, "seconds")) * o->faster,
                            .verified = json_is_true(json_object_get(root, "verified"))};
    json_array_foreach(json_object_get(root, "devices"), i, device) add_device(o, out, device, &node);
    json_decref(root);
    return true;
}

static bool complain(struct run *r, const struct paper_order *o, const struct paper_combination *c,
                     const char *what) {
    fprintf(stderr, "weft bench: paper002: %s %s: %s\n", o->paper->name, c->text, what);
    r->failed = true;
    return false;
}

static bool measure(struct run *r, const struct paper_order *o, const struct paper_combination *c,
                    const struct way *way, struct outcome *out) {
    char rate[40], cpu[64], gpu[64], n[16], slice[16], hosts[8], last[256];
    snprintf(rate, sizeof rate, "RATE=%.0f", link_Bps(o));
    snprintf(cpu, sizeof cpu, "OCL_PACED_CPU_FLOPS=%.0f", flops(o, o->paper->cpu_s));
    snprintf(gpu, sizeof gpu, "OCL_PACED_GPU_FLOPS=%.0f", flops(o, o->paper->gpu_s));
    snprintf(n, sizeof n, "%d", o->paper->n / o->shrink);
    snprintf(slice, sizeof slice, "%d", o->paper->slice / o->shrink);
    snprintf(hosts, sizeof hosts, "%d", paper_nodes(c));
    struct tool *t = calloc(1, sizeof *t);
    if (!t) return complain(r, o, c, weft_error_text(WEFT_E_NOMEM));
    *t = (struct tool){.argv = {"sh", WEFT_LAB "/switch.sh", hosts, WEFT_LAB "/paced.sh", r->weft, r->library,
                                c->text, r->matmul, n, slice, "--json", way->args[0], way->args[1]},
                       .env = {rate, cpu, gpu, way->env[0], way->env[1], way->env[2]},
                       .cpu = -1};
    double patience_s = START_S + SLOWER_MAX * paper_model_s(o, c) / o->faster;
    char late[100];
    snprintf(late, sizeof late, "it hangs, or the machine is too busy: not over after %.0f s", patience_s);
    int rc = tool_start(t);
    if (!rc) rc = tool_finish(t, weft_now_ns() + (uint64_t)(patience_s * WEFT_NS_PER_S));
    tool_stop(t);
    bool good = !rc && read_outcome(o, t->out, out);
    tool_last_line(t, last, sizeof last);
    free(t);
    if (rc == WEFT_E_TIMEDOUT) return complain(r, o, c, late);
    if (!good) return complain(r, o, c, rc && rc != WEFT_E_IO ? weft_error_text(rc) : last);
    if (!out->verified) return complain(r, o, c, "the product is wrong");
    return !strcmp(out->devices, c->text) || complain(r, o, c, "other devices took part");
}

/* -- rows -- */

static void print(struct run *r, const struct paper_order *o, const struct paper_combination *c,
                  const struct way *way, const struct outcome *out) {
    double published_s = paper_published_s(o, c), model_s = paper_model_s(o, c);
    struct row row = {.fields = 0};
    row_text(&row, "order", "ORDER", o->paper->name);
    row_text(&row, "devices", "DEVICES", c->text);
    row_text(&row, "way", "WAY", way->name);
    row_number(&row, "paper_s", "PAPER s", published_s);
    row_number(&row, "model_s", "MODEL s", model_s);
    row_number(&row, "weft_s", "WEFT s", out->seconds);
    row_number(&row, "weft_of_model", "OF MODEL", out->seconds / model_s);
    row_number(&row, "pace", "PACE", out->pace);
    row_number(&row, "paper_speedup", "SPEED-UP PAPER", o->paper->cpu_s / published_s);
    row_number(&row, "model_speedup", "MODEL", o->paper->cpu_s / model_s);
    row_number(&row, "weft_speedup", "WEFT", o->paper->cpu_s / out->seconds);
    row_whole(&row, "ideal_speedup", "IDEAL", (uint64_t)(c->cpus + GPU_OF_CPU * c->gpus));
    row_text(&row, "blocks", "BLOCKS", out->blocks);
    rows_add(&r->rows, &row);
}

static void run_one(struct run *r, const struct paper_order *o, int cpus, int gpus, int way) {
    struct paper_combination c;
    struct outcome out;
    if (!paper_combination(&c, cpus, gpus) || atomic_load(&bench_interrupted)) return;
    if (r->o->row && strcmp(r->o->row, c.text) != 0) return;
    r->any = true;
    if (measure(r, o, &c, &ways[way], &out)) print(r, o, &c, &ways[way], &out);
}

/* --quick: one node, two, and all. */
static void run_order(struct run *r, const struct paper_order *o) {
    if (r->o->quick) {
        run_one(r, o, 1, 2, UNCHANGED);
        run_one(r, o, 1, 3, UNCHANGED);
    } else {
        for (int gpus = 0; gpus <= PAPER_NODES + 1; gpus++)
            for (int cpus = 0; cpus <= PAPER_NODES; cpus++)
                if (cpus + gpus < PAPER_DEVICES_MAX) run_one(r, o, cpus, gpus, UNCHANGED);
        run_one(r, o, PAPER_NODES - 1, PAPER_NODES + 1, AS_PUBLISHED);
    }
    for (int way = AS_PUBLISHED; way <= TUNED; way++) run_one(r, o, PAPER_NODES, PAPER_NODES + 1, way);
}

static void introduce(void) {
    puts("The cluster is scaled: matrices and blocks by one factor, so data by its square; times by another; "
         "the\n"
         "link's rate by both. Seconds are in the paper's scale, speed-ups over one CPU; ideal: a GPU is two "
         "CPUs.\n"
         "As published: transfers share the network card and nothing is reused. Tuned: matmul --prefetch "
         "--tail-aware.\n"
         "Pace: what the kernels took, of what their device's rate says: above 1.05 the machine was too "
         "busy.");
    for (int i = 0; i < PAPER_ORDERS; i++) {
        const struct paper_order *o = &paper_orders[i];
        printf("  %-4s n %d -> %d, blocks of %d -> %d, times / %g, link 125 -> %.2f MB/s\n", o->paper->name,
               o->paper->n, o->paper->n / o->shrink, o->paper->slice, o->paper->slice / o->shrink, o->faster,
               link_Bps(o) / 1e6);
    }
    fflush(stdout);
}

static bool find_parts(struct run *r) {
    const struct {
        const char *name;
        char *path;
    } part[] = {{"weft", r->weft}, {"matmul", r->matmul}, {"../lib/test/libweft_paced.so", r->library}};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        if (!weft_exe_path(part[i].name, part[i].path, PATH_BYTES) && !access(part[i].path, R_OK)) continue;
        fprintf(stderr, "weft bench: paper002 runs where weft was built: there is no %s\n", part[i].path);
        return false;
    }
    return true;
}

int bench_run_paper(struct bench_options *o) {
    struct run r = {.o = o};
    bool known = false;
    if (!find_parts(&r)) return EXIT_FAILURE;
    rows_start(&r.rows, o->format);
    if (o->format == ROWS_TABLE) introduce();
    for (int i = 0; i < PAPER_ORDERS; i++) {
        if (o->only ? strcmp(o->only, paper_orders[i].paper->name) != 0 : o->quick && i) continue;
        known = true;
        run_order(&r, &paper_orders[i]);
    }
    rows_end(&r.rows);
    if (!known)
        return command_misuse(&command_bench, "--only %s: paper002 has the orders 8K, 16K and 24K", o->only);
    if (atomic_load(&bench_interrupted)) return BENCH_EXIT_INTERRUPTED;
    if (!r.any)
        return command_misuse(&command_bench,
                              "--row %s: no such combination, or not with --quick; they are as GGC,GC,C",
                              o->row);
    return r.failed ? EXIT_FAILURE : 0;
}
