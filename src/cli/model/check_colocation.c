/* weft model predict --check co-location: how much four workloads of unlike kinds slow each other down, predicted from few
 * pairs. Each runs alone and beside each other one (and a second one like itself), pinned to one of two CPUs, in turns.
 *
 * What a workload uses of each resource is known from what it is and from the runs with its like: a stream's part of
 * the memory's bandwidth is what it takes alone over what two reach together. From the pairs with the like and two of
 * the six mixed ones (which have every workload once) the other four are predicted (weft_contention_fit); there are
 * three such choices, so that each mixed pair is held out twice, and told once for each side. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/bench.h"
#include "cli/model/colocation.h"
#include "cli/model/measure.h"
#include "cli/model/predict_check.h"
#include "cli/output.h"
#include "model/predict/predict.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N          COLOCATION_WORKLOADS
#define ROUNDS_MAX 15
#define SLOT_S     0.15
#define WANTED     0.10

enum resource { CORE, MEMORY, CACHE, KERNEL, RESOURCES };

/* Pairs in which every workload is once. */
#define MATCHINGS 3
static const int matching[MATCHINGS][2][2] = {{{0, 1}, {2, 3}}, {{0, 2}, {1, 3}}, {{0, 3}, {1, 2}}};

struct check {
    const struct command *c;
    bool json;
    unsigned rounds;
    struct colocation machine;
    double alone[N][2 * ROUNDS_MAX];       /* on either CPU */
    double beside[N][N][2 * ROUNDS_MAX];   /* the first one's, beside the second; its like: both count */
    unsigned alones[N], besides[N][N];
    double slowdown[N][N];
    struct weft_workload use[N];
};

/* --- Measuring --- */

static bool run_pair(struct check *k, int a, int b, unsigned round) {
    int turned = round & 1, workload[2] = {turned ? b : a, turned ? a : b};
    double rate[2];
    if (!colocation_run(&k->machine, workload, SLOT_S, rate)) return false;
    k->beside[a][b][k->besides[a][b]++] = rate[turned];
    k->beside[b][a][k->besides[b][a]++] = rate[!turned];
    return true;
}

static bool run_alone(struct check *k, int a, unsigned round) {
    int side = (int)(round & 1), workload[2] = {-1, -1};
    double rate[2];
    workload[side] = a;
    if (!colocation_run(&k->machine, workload, SLOT_S, rate)) return false;
    k->alone[a][k->alones[a]++] = rate[side];
    return true;
}

static bool run_all(struct check *k) {
    uint64_t until = weft_now_ns() + PREDICT_CHECK_S * WEFT_NS_PER_S;
    for (unsigned r = 0; r < k->rounds; r++) {
        if (r && weft_now_ns() > until) k->rounds = r;
        if (r == k->rounds) break;
        measuring_tell("round %u of %u", r + 1, k->rounds);
        for (int a = 0; a < N; a++) {
            if (atomic_load(&bench_interrupted)) return false;
            if (!run_alone(k, a, r)) return false;
            for (int b = a; b < N; b++)
                if (!run_pair(k, a, b, r)) return false;
        }
    }
    measuring_tell(NULL);
    return true;
}

static void take_medians(struct check *k) {
    for (int a = 0; a < N; a++) {
        double alone = measure_summary(k->alone[a], k->alones[a]).median;
        for (int b = 0; b < N; b++)
            k->slowdown[a][b] = alone / measure_summary(k->beside[a][b], k->besides[a][b]).median;
    }
}

/* --- Predicting --- */

/* A CPU is its own: it takes no more than half of what two have, and what two hardware threads of one core lose is
 * learnt. A resource that two of a kind fill is used by each as much as one slows the other down; never more than
 * all. What streams passes through the whole cache, and what goes through the kernel copies in it. */
static void find_uses(struct check *k) {
    double stream = fmin(fmax(k->slowdown[WORK_STREAM][WORK_STREAM] / 2, 0.5), 1);
    memset(k->use, 0, sizeof k->use);
    for (int a = 0; a < N; a++) k->use[a].use[CORE] = 0.5;
    k->use[WORK_STREAM].use[MEMORY] = stream;
    k->use[WORK_STREAM].use[CACHE] = 0.5;
    k->use[WORK_CACHE].use[CACHE] = 0.5;
    k->use[WORK_NETWORK].use[KERNEL] = 0.5;
    k->use[WORK_NETWORK].use[CACHE] = 0.05;
}

static bool is_trained(int a, int b, int m) {
    for (int i = 0; i < 2; i++)
        if ((matching[m][i][0] == a && matching[m][i][1] == b) || (matching[m][i][0] == b && matching[m][i][1] == a))
            return true;
    return a == b;
}

struct held_out {
    double predicted[2 * MATCHINGS * N * N], measured[2 * MATCHINGS * N * N];
    size_t count;
    double none[2 * MATCHINGS * N * N]; /* that nothing slows anything down */
    double sum[N][N]; /* of the predictions of a pair */
    unsigned times[N][N];
};

static int predict(const struct check *k, int m, struct held_out *h) {
    struct weft_pair_sample sample[N * N];
    struct weft_contention learnt;
    size_t samples = 0;
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++)
            if (is_trained(a, b, m)) sample[samples++] = (struct weft_pair_sample){a, b, k->slowdown[a][b]};
    int rc = weft_contention_fit(k->use, N, RESOURCES, sample, samples, &learnt);
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N && !rc; b++) {
            double s;
            if (is_trained(a, b, m)) continue;
            rc = weft_contention_predict(&learnt, k->use, a, &b, 1, &s);
            if (rc) break;
            h->predicted[h->count] = s;
            h->none[h->count] = 1;
            h->measured[h->count++] = k->slowdown[a][b];
            h->sum[a][b] += s;
            h->times[a][b]++;
        }
    return rc;
}

/* --- What it says --- */

static void row(const struct check *k, struct table *t, const struct held_out *h, int a, int b) {
    double measured = k->slowdown[a][b], predicted = h->times[a][b] ? h->sum[a][b] / h->times[a][b] : NAN;
    if (k->json) {
        json_t *o = json_pack("{s:s, s:s, s:s, s:f}", "check", "co-location", "workload", colocation_names[a],
                              "beside", colocation_names[b], "slowdown", measured);
        if (!isnan(predicted)) json_object_set_new(o, "predicted", json_real(predicted));
        json_line(o);
        return;
    }
    table_add(t, "%s", colocation_names[a]);
    table_add(t, "%s", colocation_names[b]);
    table_add(t, "%.3f", measured);
    if (isnan(predicted)) {
        table_add(t, "-");
        table_add(t, "known");
        return;
    }
    table_add(t, "%.3f", predicted);
    table_add(t, "%+.1f %%", 100 * (predicted / measured - 1));
}

static int tell(const struct check *k, const struct held_out *h, const struct weft_fit_error *e,
                const struct weft_fit_error *none) {
    struct table t;
    bool met = e->median <= WANTED;
    table_init(&t, 5);
    for (size_t i = 0; i < 5 && !k->json; i++)
        table_add(&t, "%s", (const char *[]){"WORKLOAD", "BESIDE", "SLOWDOWN", "HELD OUT", "ERROR"}[i]);
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++) row(k, &t, h, a, b);
    if (k->json) {
        table_fini(&t);
        json_line(json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:b}", "check", "co-location", "held_out",
                            (json_int_t)e->points, "median_error", e->median, "p95_error", e->p95, "max_error",
                            e->max, "median_error_of_no_slowdown", none->median, "wanted", WANTED, "met", met));
        return !met;
    }
    table_print(&t);
    printf("one workload on CPU %d and one on CPU %d, pinned, in turns; medians of %u rounds\n"
           "%zu predictions of pairs held out, from those with the like and two of six mixed ones: median %.1f %%, p95 "
           "%.1f %%, max %.1f %%\n"
           "who says that nothing slows anything down is off by %.1f %% in the median, %.1f %% at most\n"
           "a median of at most %.0f %% is wanted: %s\n",
           k->machine.cpu[0], k->machine.cpu[1], k->rounds, e->points, 100 * e->median, 100 * e->p95, 100 * e->max,
           100 * none->median, 100 * none->max, 100 * WANTED, met ? "met" : "NOT MET");
    return !met;
}

static int check(struct check *k) {
    struct held_out h = {.count = 0};
    struct weft_fit_error e, none;
    int rc = WEFT_OK;
    if (!run_all(k)) {
        measuring_tell(NULL);
        if (!atomic_load(&bench_interrupted)) fprintf(stderr, "weft %s: a workload failed\n", k->c->name);
        return 1;
    }
    take_medians(k);
    find_uses(k);
    for (int m = 0; m < MATCHINGS && !rc; m++) rc = predict(k, m, &h);
    if (!rc) rc = weft_fit_error(h.predicted, h.measured, h.count, &e);
    if (!rc) rc = weft_fit_error(h.none, h.measured, h.count, &none);
    if (rc) fprintf(stderr, "weft %s: %s\n", k->c->name, weft_error_text(rc));
    return rc ? 1 : tell(k, &h, &e, &none);
}

int predict_check_colocation(const struct command *c, const struct predict_check *call) {
    static struct check k;
    k = (struct check){.c = c, .json = call->json, .rounds = call->quick ? 1 : ROUNDS_MAX};
    bench_catch_signals();
    int status = colocation_init(&k.machine, c->name) ? check(&k) : 1;
    colocation_fini(&k.machine);
    return status;
}
