/* Notifications: how soon a thread on the other CPU hears of an arrival, by each of weft's mechanisms; and
 * for those that a computing thread can choose between, how soon while it computes and what they take from
 * it. */
#include "base/error.h"
#include "cli/bench/notify.h"
#include "cli/model/measure.h"

#include <string.h>

#define RATE_PER_S 5000.0
#define STRETCH_S  0.08
#define COUNT_MAX  4000
#define STRETCHES  5

struct notifying {
    struct measuring *g;
    weft_model_ref e;
    struct notify_test test;
    uint64_t latency[COUNT_MAX], sender[COUNT_MAX];
    double sample[COUNT_MAX];
};

static int run(struct notifying *x, const struct notify_way *way, enum notify_load load) {
    struct notify_test *t = &x->test;
    *t = (struct notify_test){.way = way, .place = NOTIFY_OTHER_CPU, .load = load, .rate_per_s = RATE_PER_S};
    t->latency = x->latency;
    t->sender = x->sender;
    t->cpu[0] = x->g->o.cpu[0];
    t->cpu[1] = x->g->o.cpu[1];
    t->count = (uint64_t)(RATE_PER_S * STRETCH_S * x->g->scale) + 50;
    int rc = notify_run(t);
    return atomic_load(&bench_interrupted) ? WEFT_E_INTR
           : rc                            ? rc
           : t->sent && !t->lost           ? 0
                                           : WEFT_E_TIMEDOUT;
}

/* In the state that the pair kept throughout; mixed: again, and then not at all. */
static int latency(struct notifying *x, const struct notify_way *way) {
    struct weft_model_condition when = weft_model_any();
    double line_ns;
    for (int tries = 0; tries < 2; tries++) {
        enum bench_state before = bench_mark(x->g->o.cpu, &line_ns);
        int rc = run(x, way, NOTIFY_IDLE);
        if (rc) return rc;
        if (before == BENCH_MIXED || bench_mark(x->g->o.cpu, &line_ns) != before) continue;
        for (uint64_t i = 0; i < x->test.sent; i++)
            x->sample[i] = (double)x->latency[i] / notify_ticks_per_s();
        struct measure_value v = measure_summary(x->sample, x->test.sent);
        when.op = weft_model_intern(x->g->k.m, way->name);
        when.with = weft_model_intern(x->g->k.m, bench_state_name(before));
        return measure_put(&x->g->k, x->e, WEFT_MODEL_NOTIFY, &when, &v);
    }
    x->g->mixed++;
    return 0;
}

static int put(struct notifying *x, const char *op, double *sample, size_t count) {
    struct weft_model_condition when = weft_model_any();
    struct measure_value v = measure_summary(sample, count);
    when.op = weft_model_intern(x->g->k.m, op);
    return v.median > 0 ? measure_put(&x->g->k, x->e, WEFT_MODEL_NOTIFY, &when, &v) : 0;
}

/* With a computation on the receiver's CPU: the time that is missing from it for each arrival (a branch: its
 * gaps; else the time of the thread that is told), and until the arrival is told. */
static int computing(struct notifying *x, const struct notify_way *way, const char *told, const char *taken) {
    double s[STRETCHES], told_s[STRETCHES];
    for (int i = 0; i < STRETCHES; i++) {
        int rc = run(x, way, NOTIFY_BUSY);
        if (rc) return rc;
        for (uint64_t k = 0; k < x->test.sent; k++)
            x->sample[k] = (double)x->latency[k] / notify_ticks_per_s();
        told_s[i] = measure_summary(x->sample, x->test.sent).median;
        s[i] = (way->computing ? x->test.gap_ticks / notify_ticks_per_s() : x->test.receiving_s) /
               (double)x->test.sent;
    }
    int rc = told ? put(x, told, told_s, STRETCHES) : 0;
    return rc ? rc : put(x, taken, s, STRETCHES);
}

static int one_way(struct notifying *x, const struct notify_way *way) {
    if (measuring_over(x->g)) return 0;
    measuring_tell("notification, %s", way->name);
    int rc = latency(x, way);
    if (!rc && !strcmp(way->name, "branch")) rc = computing(x, way, "branch-told", "branch-taken");
    if (!rc && !strcmp(way->name, "dispatch")) rc = computing(x, way, NULL, "dispatch-taken");
    if (!rc || rc == WEFT_E_INTR || rc == WEFT_E_NOMEM) return rc;
    measuring_miss(x->g, way->name, rc);
    return 0;
}

int measuring_notify(struct measuring *g) {
    static struct notifying x;     /* aligned, as notifications want to be */
    if (g->o.cpu[0] < 0) return 0; /* one CPU: there is no other thread's to send from */
    x.g = g;
    x.e = measure_entity(g->k.m, g->host, "notify", WEFT_MODEL_SERVICE, NULL, g->host, g->host);
    int rc = x.e == WEFT_MODEL_NONE ? WEFT_E_NOMEM : 0;
    for (int w = 0; notify_ways[w] && !rc; w++)
        if (!notify_ways[w]->baseline && !notify_ways[w]->chooses) rc = one_way(&x, notify_ways[w]);
    return rc;
}
