/* weft bench model: how long predictions, placements, questions and loading take. None of it waits for
 * anything, so it is processor time that is taken, and of some batches the fastest: what else runs on the
 * machine only adds. */
#include "weft/model.h"
#include "base/error.h"
#include "cli/bench/bench.h"
#include "model/predict/clopencl.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define ASKED_NODES  256
#define LOADED_NODES 10000

struct measured {
    const char *name, *key;
    double wanted_s;
    int batches, batch; /* how many, and the calls in one */
    int (*once)(int i); /* one call; the code of an error */
};

static int transfer(int i) {
    static const struct weft_logp path = {
        .pieces = 4,
        .piece = {{.latency_s = 1e-6, .gap_per_byte_s = 1e-9},
                  {.from_B = 512, .latency_s = 2e-6, .gap_per_byte_s = 1e-9},
                  {.from_B = 8192, .latency_s = 5e-6, .gap_per_byte_s = 2e-10},
                  {.from_B = 1e6, .latency_s = 9e-6, .gap_per_byte_s = 1e-10}}};
    static volatile double sink;
    sink = weft_logp_transfer_s(&path, i * 1009 % 2000000);
    return sink > 0 ? WEFT_OK : WEFT_E_INVAL;
}

static int application(int i) {
    struct weft_makespan m;
    return clopencl_predict(CLOPENCL_8K, CLOPENCL_ALL, CLOPENCL_LINK_Bps,
                            &clopencl_policies[i % CLOPENCL_POLICIES].policy, &m);
}

/* A stencil of 8 x 8 processes, and one partner far away for each. */
static int processes(int i) {
    struct weft_flow flow[192];
    struct weft_process_ask ask = {.processes = 64,
                                   .flow = flow,
                                   .nodes = 8,
                                   .slots = (int[]){8, 8, 8, 8, 8, 8, 8, 8},
                                   .seed = (uint64_t)i};
    int node_of[64];
    for (int p = 0; p < 64; p++) {
        if (p % 8 < 7) flow[ask.flows++] = (struct weft_flow){p, p + 1, 1000};
        if (p < 56) flow[ask.flows++] = (struct weft_flow){p, p + 8, 1000};
        flow[ask.flows++] = (struct weft_flow){p, p * 29 % 64, 100};
    }
    return weft_place_processes(&ask, node_of, NULL);
}

/* -- a cluster behind one switch: five entities and eight observations a node -- */

struct text {
    char *json;
    size_t len;
};

static int describe(int nodes, struct text *out) {
    FILE *f = open_memstream(&out->json, &out->len);
    if (!f) return WEFT_E_NOMEM;
    fputs("{\"weft_model\": 1, \"defaults\": {\"source\": \"assumed\"}, \"entities\": [{\"id\": \"sw\", "
          "\"kind\": \"node\"}",
          f);
    for (int i = 0; i < nodes; i++)
        fprintf(f,
                ",{\"id\": \"n%d\", \"kind\": \"node\"},"
                "{\"id\": \"n%d.cpu\", \"kind\": \"compute\", \"in\": \"n%d\", \"values\": {\"rate\": "
                "{\"value\": 90, \"unit\": \"Gop/s\"}}},"
                "{\"id\": \"n%d.gpu\", \"kind\": \"compute\", \"in\": \"n%d\", \"values\": {\"rate\": "
                "{\"value\": 9, \"unit\": \"Top/s\"}}},"
                "{\"id\": \"n%d.dram\", \"kind\": \"memory\", \"in\": \"n%d\", \"values\": {\"capacity\": "
                "{\"value\": 64, \"unit\": \"GiB\"},"
                "\"latency\": [{\"value\": %d, \"unit\": \"ns\"}, {\"value\": 80, \"unit\": \"ns\", "
                "\"source\": \"datasheet\"}],"
                "\"bandwidth\": {\"value\": 100, \"unit\": \"GB/s\"}}},"
                "{\"id\": \"n%d.link\", \"kind\": \"link\", \"ends\": [\"n%d\", \"sw\"], \"values\": {"
                "\"latency\": {\"value\": 1, \"unit\": \"us\"}, \"bandwidth\": {\"value\": 12, \"unit\": "
                "\"GB/s\"}}}",
                i, i, i, i, i, i, i, 80 + i % 64, i, i);
    fputs("]}", f);
    return fclose(f) ? WEFT_E_NOMEM : WEFT_OK;
}

static int read_cluster(int nodes, struct text *text, struct weft_model **out) {
    struct weft_model_fault fault;
    struct weft_model *m;
    int rc = text->json ? WEFT_OK : describe(nodes, text);
    if (!rc) rc = weft_model_create(&m);
    if (rc) return rc;
    rc = weft_model_parse(m, text->json, text->len, "cluster", &fault);
    if (rc) {
        fprintf(stderr, "weft bench model: %s: %s\n", fault.path, fault.reason);
        weft_model_destroy(m);
        return rc;
    }
    *out = m;
    return WEFT_OK;
}

static int load(int i) {
    static struct text text; /* kept for all calls, as is the model below */
    struct weft_model *m;
    int rc = read_cluster(LOADED_NODES, &text, &m);
    if (!rc) weft_model_destroy(m);
    return rc;
}

static bool any_row(void *ctx, int columns, const struct weft_model_cell *cells) {
    ++*(unsigned *)ctx;
    return true;
}

static int question(int i, const char *text) {
    static struct text cluster;
    static struct weft_model *m;
    struct weft_model_db *db;
    unsigned rows = 0;
    char why[200] = "";
    int rc = m ? WEFT_OK : read_cluster(ASKED_NODES, &cluster, &m);
    if (!rc) rc = weft_model_db_open(m, &db);
    if (rc) return rc;
    rc = weft_model_db_question(db, text, any_row, &rows, why, sizeof why);
    weft_model_db_close(db);
    if (rc) fprintf(stderr, "weft bench model: %s: %s\n", text, why);
    return rc || rows ? rc : WEFT_E_NOENT;
}

static int closest(int i) { return question(i, "closest n200.gpu 4"); }
static int paths(int i) { return question(i, "paths n0.gpu n255.dram"); }
static int shares(int i) { return question(i, "shares n7.gpu"); }
static int disagreements(int i) { return question(i, "disagreements"); }

static const struct measured all[] = {
    {"one transfer", "transfer", 200e-9, 21, 10000, transfer},
    {"an application of 64 blocks on 9 devices", "application", 20e-6, 21, 50, application},
    {"the placement of 64 processes on 8 nodes", "processes", 10e-3, 21, 1, processes},
    {"256 nodes asked for the closest memory", "closest", 50e-3, 11, 1, closest},
    {"256 nodes asked for the paths between two", "paths", 50e-3, 11, 1, paths},
    {"256 nodes asked who shares with one", "shares", 50e-3, 11, 1, shares},
    {"256 nodes asked where sources disagree", "disagreements", 50e-3, 11, 1, disagreements},
    {"a cluster of 10,000 nodes loaded", "load", 1, 3, 1, load},
};

static uint64_t processor_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int measure(const struct measured *m, double *seconds) {
    uint64_t least_ns = UINT64_MAX;
    for (int b = 0; b < m->batches; b++) {
        if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
        uint64_t start_ns = processor_ns();
        for (int i = 0; i < m->batch; i++) {
            int rc = m->once(i);
            if (rc) return rc;
        }
        uint64_t passed_ns = processor_ns() - start_ns;
        if (passed_ns < least_ns) least_ns = passed_ns;
    }
    *seconds = (double)least_ns * 1e-9 / m->batch;
    return WEFT_OK;
}

static void tell(struct rows *rows, const struct measured *m, double s) {
    struct row row = {.fields = 0};
    row_text(&row, "bench", NULL, "model");
    row_text(&row, "what", NULL, m->key);
    row_text(&row, "name", "WHAT", m->name);
    row_number(&row, "us", "us", s * 1e6);
    row_number(&row, "wanted_us", "WANTED BELOW us", m->wanted_s * 1e6);
    row_text(&row, "verdict", "VERDICT", s < m->wanted_s ? "met" : "not met");
    rows_add(rows, &row);
}

int bench_run_model(struct bench_options *o) {
    struct rows rows;
    bool met = true;
    int rc = 0;
    rows_start(&rows, o->format);
    for (size_t i = 0; i < sizeof all / sizeof *all && !rc; i++) {
        double s;
        rc = measure(&all[i], &s);
        if (rc && rc != WEFT_E_INTR)
            fprintf(stderr, "weft bench model: %s: %s\n", all[i].name, weft_error_text(rc));
        if (rc) break;
        met &= s < all[i].wanted_s;
        tell(&rows, &all[i], s);
    }
    rows_end(&rows);
    return rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : rc || !met;
}
