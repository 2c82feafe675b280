/* weft model predict --speed: how long a prediction takes. Each is timed in batches, and the fastest batch
 * counts: what else runs on the machine only adds. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/model/predict.h"
#include "cli/output.h"
#include "model/predict/clopencl.h"

#include <stdio.h>

#define BATCHES 21

struct measured {
    const char *name, *key;
    double wanted_s;
    int batch;          /* calls in a batch */
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

static const struct measured all[] = {
    {"one transfer", "transfer", 200e-9, 10000, transfer},
    {"an application of 64 blocks on 9 devices", "application", 20e-6, 50, application},
    {"the placement of 64 processes on 8 nodes", "processes", 10e-3, 1, processes},
};

static int measure(const struct measured *m, double *seconds) {
    uint64_t least_ns = UINT64_MAX;
    for (int b = 0; b < BATCHES; b++) {
        uint64_t start_ns = weft_now_ns();
        for (int i = 0; i < m->batch; i++) {
            int rc = m->once(i);
            if (rc) return rc;
        }
        uint64_t passed_ns = weft_now_ns() - start_ns;
        if (passed_ns < least_ns) least_ns = passed_ns;
    }
    *seconds = (double)least_ns * 1e-9 / m->batch;
    return WEFT_OK;
}

static void tell(struct table *t, const struct measured *m, double s, bool json) {
    if (json) {
        json_line(json_pack("{s:s, s:f, s:f, s:b}", "predict", m->key, "seconds", s, "wanted_s", m->wanted_s,
                            "met", s < m->wanted_s));
        return;
    }
    table_add(t, "%s", m->name);
    table_add(t, "%.3g", s * 1e6);
    table_add(t, "%g", m->wanted_s * 1e6);
    table_add(t, "%s", s < m->wanted_s ? "met" : "NOT MET");
}

int predict_speed(const struct command *c, bool json) {
    struct table t;
    bool met = true;
    table_init(&t, 4);
    table_add(&t, "PREDICTION");
    table_add(&t, "us");
    table_add(&t, "WANTED BELOW us");
    table_add(&t, "VERDICT");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        double s;
        int rc = measure(&all[i], &s);
        if (rc) {
            fprintf(stderr, "weft %s: %s: %s\n", c->name, all[i].name, weft_error_text(rc));
            table_fini(&t);
            return 1;
        }
        met &= s < all[i].wanted_s;
        tell(&t, &all[i], s, json);
    }
    if (json)
        table_fini(&t);
    else
        table_print(&t);
    return !met;
}
