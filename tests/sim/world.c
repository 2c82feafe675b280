/* World: the clock and the turns of one run. */
#include "base/log.h"
#include "base/trace.h"
#include "sim.h"
#include "sim/cipher.h"
#include "transport/stats.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VIRTUAL_LIMIT_NS                                                                                     \
    (3000 * WEFT_NS_PER_S) /* many megabytes over a line that loses a third take a while */
#define EVENT_LIMIT 6000000ull

uint64_t sim_random(struct sim *s) { return simnet_random(&s->random); }
uint64_t sim_below(struct sim *s, uint64_t n) { return simnet_below(&s->random, n); }
bool sim_chance(struct sim *s, double p) { return simnet_chance(&s->random, p); }
double sim_pick(struct sim *s, const double *of, size_t n) { return of[sim_below(s, n)]; }

void sim_fail(struct sim *s, const char *fmt, ...) {
    if (s->failed) return;
    s->failed = true;
    int n = snprintf(s->failure, sizeof s->failure, "at %.6f ms: ", (double)s->now / 1e6);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->failure + n, sizeof s->failure - (size_t)n, fmt, ap);
    va_end(ap);
    if (s->trace) show(s, "FAILED %s", s->failure);
}

/* What a process makes once must not be made in the middle of a run: it would count as an engine's
 * allocation, in the first run only. */
static void warm_up(void) {
    weft_log_enabled(WEFT_LOG_TRACE);
    weft_trace(WEFT_TRACE_PACKET_LOST, 0, 0, 0, 0);
    stats_add(STATS_PACKETS_BAD, 0);
}

void sim_init(struct sim *s, uint64_t seed, bool trace) {
    warm_up();
    memset(s, 0, sizeof *s);
    s->seed = seed;
    s->random = seed * 0x2545f4914f6cdd1dull + 1;
    s->secrets = ~s->random;
    s->trace = trace;
    s->now = 1 + sim_below(s, WEFT_NS_PER_S);
    if (seed % 8 == 5) s->now += 1ull << 62; /* far from any small number, near the end of signed ones */
    weft_list_init(&s->poisoned);
    weft_list_init(&s->pairs);
    heap_init(&s->flights);
    weft_map_init(&s->numbers);
    for (int i = 0; i < SIM_NODES_MAX; i++) weft_list_init(&s->node[i].flows);
    for (int i = 0; i < SIM_PLACES * SIM_NODES_MAX; i++) weft_list_init(&s->waiting[i]);
}

static bool output(struct sim *s, struct sim_node *n) {
    scarce_start(s);
    bool more = engine_output(n->engine, s->now);
    scarce_stop();
    return more;
}

void sim_settle(struct sim *s, struct sim_node *n) {
    for (int round = 0; round < 10000 && n->alive && !s->failed; round++) {
        workload_run_events(s, n);
        workload_act(s, n);
        if (!n->alive) return;
        if (!output(s, n) && !engine_has_event(n->engine) && !engine_has_pull(n->engine)) break;
    }
    if (!n->alive || s->failed) return;
    if (sim_chance(s, 0.3)) engine_output_acks(n->engine, s->now);
    audit_node(s, n);
}

static uint64_t node_deadline(const struct sim_node *n) {
    if (!n->alive) return n->restart_at_ns;
    uint64_t t = engine_next_deadline(n->engine);
    return t < n->stopped_until_ns ? n->stopped_until_ns : t;
}

static uint64_t next_time(struct sim *s) {
    uint64_t t = WEFT_TIME_NEVER;
    struct heap_node *h = heap_first(&s->flights);
    if (h) t = h->at_ns;
    for (int i = 0; i < s->p.nodes; i++) {
        uint64_t d = node_deadline(&s->node[i]);
        if (d < t) t = d;
    }
    return t;
}

static void restart(struct sim *s, int i) {
    if (s->trace) show(s, "node %d starts again", i);
    if (network_start_node(s, i)) abort();
    workload_connect(s, i, (i + 1) % s->p.nodes);
}

static void run_timers(struct sim *s) {
    for (int i = 0; i < s->p.nodes && !s->failed; i++) {
        struct sim_node *n = &s->node[i];
        if (node_deadline(n) > s->now) continue;
        if (!n->alive) restart(s, i);
        scarce_start(s);
        engine_tick(n->engine, s->now);
        scarce_stop();
        sim_settle(s, n);
    }
}

void sim_step(struct sim *s) {
    uint64_t t = next_time(s);
    if (t == WEFT_TIME_NEVER) {
        sim_fail(s, "everything stands still");
        return;
    }
    if (t > s->now) s->now = t;
    s->events++;
    struct heap_node *h = heap_first(&s->flights);
    if (!h || h->at_ns > s->now) {
        run_timers(s);
        return;
    }
    struct flight *f = weft_container_of(h, struct flight, at);
    int to = f->to;
    heap_set(&s->flights, h, WEFT_TIME_NEVER);
    network_deliver(s, f);
    if (s->node[to].alive && s->node[to].stopped_until_ns <= s->now) sim_settle(s, &s->node[to]);
}

static bool all_closed(struct sim *s) {
    for (int i = 0; i < s->p.nodes; i++)
        if (!s->node[i].alive || engine_conn_next(s->node[i].engine, NULL)) return false;
    return true;
}

static bool over(struct sim *s) {
    for (int i = 0; i < s->p.nodes; i++)
        if (!s->node[i].alive) return false;
    return workload_is_over(s);
}

static void run_until(struct sim *s, bool (*is_over)(struct sim *), const char *what) {
    uint64_t start = s->now, events = s->events;
    while (!s->failed && !is_over(s)) {
        sim_step(s);
        if (!s->failed) fault_act(s);
        if (s->now - start > VIRTUAL_LIMIT_NS || s->events - events > EVENT_LIMIT)
            sim_fail(s, "it does not end: %s", what);
    }
}

static void settle_all(struct sim *s) {
    for (int i = 0; i < s->p.nodes; i++) sim_settle(s, &s->node[i]);
}

static void start(struct sim *s) {
    for (int i = 0; i < s->p.nodes; i++)
        if (network_start_node(s, i)) abort();
    for (int i = 1; i < s->p.nodes; i++) workload_connect(s, 0, i);
    workload_connect(s, s->p.nodes - 1, 0);
    settle_all(s);
}

static void finish(struct sim *s) {
    if (s->trace) show(s, "all is said; everything is closed");
    fault_heal(s);
    workload_close_all(s);
    settle_all(s);
    run_until(s, all_closed, "closing");
    if (!s->failed) workload_check(s);
    for (int i = 0; i < s->p.nodes && !s->failed; i++) audit_idle(s, &s->node[i]);
}

bool sim_run(struct sim *s) {
    scenario_choose(s);
    if (s->trace) scenario_describe(&s->p);
    if (!s->p.true_ciphers) cipher_use(&s->secrets);
    start(s);
    run_until(s, over, "messages");
    if (!s->failed) finish(s);
    if (s->trace)
        show(s, "%s: %lu events, %lu packets, %lu lost, %lu faults, %lu messages, %lu bytes",
             s->failed ? "FAILED" : "passed", (unsigned long)s->events, (unsigned long)s->packets,
             (unsigned long)s->dropped, (unsigned long)s->faults, (unsigned long)s->delivered,
             (unsigned long)s->delivered_bytes);
    bool ok = !s->failed;
    s->failed = true; /* what follows is only tidying */
    for (int i = 0; i < s->p.nodes; i++)
        if (s->node[i].alive) engine_destroy(s->node[i].engine);
    cipher_use(NULL);
    workload_fini(s);
    network_fini(s);
    return ok;
}
