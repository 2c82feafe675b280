/* Drives simulations: one for each seed. A failure prints the seed that repeats it.
 *   sim_test [--seeds N] [--from S] [--verbose]
 *   sim_test --goodput            measures large messages instead: goodput.c */
#include "base/error.h"
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VIRTUAL_LIMIT_NS (300 * WEFT_NS_PER_S)
#define EVENT_LIMIT      6000000ull

uint64_t sim_random(struct sim *s) { /* splitmix64 */
    uint64_t z = s->random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint64_t sim_below(struct sim *s, uint64_t n) { return sim_random(s) % n; }
bool sim_chance(struct sim *s, double p) { return p > 0 && (double)(sim_random(s) >> 11) * 0x1p-53 < p; }

void sim_fail(struct sim *s, const char *fmt, ...) {
    if (s->failed) return;
    s->failed = true;
    va_list ap;
    va_start(ap, fmt);
    printf("FAILED seed %lu at %.6f s: ", (unsigned long)s->seed, (double)s->now / 1e9);
    vprintf(fmt, ap);
    printf("\n  repeat with: sim_test --from %lu --seeds 1 --verbose\n", (unsigned long)s->seed);
    va_end(ap);
}

static double pick(struct sim *s, const double *of, size_t n) { return of[sim_below(s, n)]; }
#define PICK(s, ...) pick(s, (double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))

/* Tag tables: large enough, or so small that most messages find them full. */
static void choose_tags(struct sim *s) {
    struct sim_params *p = &s->p;
    p->no_tags = sim_below(s, 16) == 0;
    p->tag_min_bytes = (uint32_t)PICK(s, 0, 4096, 100000);
    if (sim_below(s, 2)) return;
    p->tags_per_peer = (uint32_t)PICK(s, 1, 2, 64);
    p->tags_all = (uint32_t)PICK(s, 1, 3, 1024);
    p->tag_entries = (uint32_t)PICK(s, 0, 1, 4);
}

/* Method 2: from no staging memory at all to plenty. */
static void choose_staging(struct sim *s) {
    struct sim_params *p = &s->p;
    p->no_staging = sim_below(s, 4) == 0;
    p->method2_bytes = (uint32_t)PICK(s, 0, 100000, 245760, 983040);
    p->method2_superpackets = (uint32_t)PICK(s, 1, 4, 16);
    p->staging_peer_bytes = (uint32_t)PICK(s, 0, 61440, 245760, 2e6);
    p->staging_bytes = (uint32_t)PICK(s, 61440, 3e5, 16e6);
}

static void choose(struct sim *s) {
    struct sim_params *p = &s->p;
    p->nodes = 2 + (int)sim_below(s, 3);
    p->reliable = sim_below(s, 5) == 0;
    p->loss = PICK(s, 0, 0.001, 0.01, 0.05, 0.2);
    p->duplicate = PICK(s, 0, 0.01, 0.1);
    p->reorder = PICK(s, 0, 0.01, 0.2);
    p->corrupt = PICK(s, 0, 0.01);
    p->truncate = PICK(s, 0, 0.01);
    p->refuse = PICK(s, 0, 0.02, 0.2);
    p->no_access = PICK(s, 0, 0.3, 1);
    p->discard = 0.1;
    p->delay_ns = (uint64_t)PICK(s, 1e3, 25e3, 1e6, 20e6);
    p->jitter_ns = sim_chance(s, 0.5) ? p->delay_ns / 4 + 1 : 0;
    p->ns_per_byte_x1000 = (uint64_t)PICK(s, 80, 800, 8000);
    p->packet_bytes = (size_t)PICK(s, 1200, 1472, 4096, 8972, 65000);
    p->burst_max = (size_t)PICK(s, 1, 8, 64);
    p->window_bytes = p->reliable ? 0 : (size_t)PICK(s, 65536, 262144, 3e6);
    p->tag_superpackets = (uint32_t)PICK(s, 0, 1, 3);
    p->eager_bytes = (uint32_t)PICK(s, 0, 1000, 16384, 65536);
    p->window_superpackets = (uint32_t)PICK(s, 1, 4, 16, 64);
    p->messages = 10 + (int)sim_below(s, 60);
    p->bulk_max = (uint32_t)PICK(s, 1e5, 1e6);
    p->crashes = sim_below(s, 4) == 0;
    p->closes = sim_below(s, 4) == 0;
    p->one_way = sim_below(s, 4) == 0;
    p->unpinned = PICK(s, 0, 0.1);
    choose_tags(s);
    choose_staging(s);
    p->cancel = PICK(s, 0, 0, 0.002, 0.05);
    if (p->one_way) p->messages *= 10; /* long enough for windows of packet numbers to pass */
    p->keyed = s->seed % 2;
}

void sim_init(struct sim *s, uint64_t seed, bool verbose) {
    memset(s, 0, sizeof *s);
    s->seed = seed;
    s->random = seed * 0x2545f4914f6cdd1dull + 1;
    s->verbose = verbose;
    s->now = 1 + sim_below(s, WEFT_NS_PER_S);
    weft_list_init(&s->poisoned);
    weft_list_init(&s->pairs);
    heap_init(&s->flights);
    for (int i = 0; i < SIM_NODES_MAX; i++) weft_list_init(&s->node[i].flows);
}

static void check_tags(struct sim *s, const struct sim_node *n) {
    if (!n->alive) return;
    struct engine_usage u;
    engine_usage(n->engine, &u);
    uint64_t all = s->p.tags_all ? s->p.tags_all : 1024, own = s->p.tag_entries ? s->p.tag_entries : all;
    if (s->p.no_tags) own = 0;
    if (u.staged_bytes > s->p.staging_bytes)
        sim_fail(s, "%lu bytes are staged", (unsigned long)u.staged_bytes);
    if (u.tags > all || u.tags > own || n->link.tags_used > own)
        sim_fail(s, "a tag table is overrun: %zu", u.tags);
}

/* The node does everything that it can do at this moment. */
void sim_settle(struct sim *s, struct sim_node *n) {
    for (int round = 0; round < 10000 && n->alive && !s->failed; round++) {
        workload_run_events(s, n);
        workload_act(s, n);
        if (!n->alive) return;
        bool more = engine_output(n->engine, s->now);
        if (!more && !engine_has_event(n->engine) && !engine_has_pull(n->engine)) break;
    }
    check_tags(s, n);
    if (n->alive && sim_chance(s, 0.3)) engine_output_acks(n->engine, s->now);
}

static uint64_t next_time(struct sim *s) {
    uint64_t t = WEFT_TIME_NEVER;
    struct heap_node *h = heap_first(&s->flights);
    if (h) t = h->at_ns;
    for (int i = 0; i < s->p.nodes; i++) {
        struct sim_node *n = &s->node[i];
        uint64_t d = n->alive ? engine_next_deadline(n->engine) : n->restart_at_ns;
        if (d < t) t = d;
    }
    return t;
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
    if (h && h->at_ns <= s->now) {
        struct flight *f = weft_container_of(h, struct flight, at);
        int to = f->to;
        heap_set(&s->flights, h, WEFT_TIME_NEVER);
        network_deliver(s, f);
        if (s->node[to].alive) sim_settle(s, &s->node[to]);
        return;
    }
    for (int i = 0; i < s->p.nodes; i++) {
        struct sim_node *n = &s->node[i];
        if (!n->alive && n->restart_at_ns <= s->now) {
            if (network_start_node(s, i)) abort();
            workload_connect(s, i, (i + 1) % s->p.nodes);
        }
        if (!n->alive || engine_next_deadline(n->engine) > s->now) continue;
        engine_tick(n->engine, s->now);
        sim_settle(s, n);
    }
}

static void maybe_crash(struct sim *s) {
    if (!s->p.crashes || s->draining || !sim_chance(s, 0.0005)) return;
    int victim = (int)sim_below(s, (uint64_t)s->p.nodes);
    struct sim_node *n = &s->node[victim];
    if (!n->alive || n->incarnation > 2) return;
    if (s->verbose) printf("%.6f node %d crashes\n", (double)s->now / 1e9, victim);
    workload_node_gone(s, n);
    network_crash_node(s, victim);
    n->restart_at_ns = s->now + sim_below(s, 4 * WEFT_NS_PER_S);
}

static bool all_closed(struct sim *s) {
    for (int i = 0; i < s->p.nodes; i++)
        if (!s->node[i].alive || engine_conn_next(s->node[i].engine, NULL)) return false;
    return true;
}

static void check_usage(struct sim *s) {
    for (int i = 0; i < s->p.nodes; i++) {
        struct engine_usage u;
        engine_usage(s->node[i].engine, &u);
        if (u.conns || u.txs || u.rxs || u.packets || u.held_bytes || u.tags || u.staged_bytes)
            sim_fail(s, "node %d keeps %zu connections, %zu + %zu messages, %zu packets, %zu bytes, %zu tags",
                     i, u.conns, u.txs, u.rxs, u.packets, u.held_bytes, u.tags);
    }
}

static void run_until(struct sim *s, bool (*over)(struct sim *), const char *what) {
    uint64_t start = s->now, events = s->events;
    while (!s->failed && !over(s)) {
        sim_step(s);
        maybe_crash(s);
        if (s->now - start > VIRTUAL_LIMIT_NS || s->events - events > EVENT_LIMIT)
            sim_fail(s, "it does not end: %s", what);
    }
}

static bool over(struct sim *s) {
    for (int i = 0; i < s->p.nodes; i++)
        if (!s->node[i].alive) return false;
    return workload_is_over(s);
}

static bool run(struct sim *s) {
    for (int i = 0; i < s->p.nodes; i++)
        if (network_start_node(s, i)) abort();
    for (int i = 1; i < s->p.nodes; i++) workload_connect(s, 0, i);
    workload_connect(s, s->p.nodes - 1, 0);
    for (int i = 0; i < s->p.nodes; i++) sim_settle(s, &s->node[i]);
    run_until(s, over, "messages");
    uint64_t took = s->now;
    if (!s->failed) {
        workload_close_all(s);
        for (int i = 0; i < s->p.nodes; i++) sim_settle(s, &s->node[i]);
        run_until(s, all_closed, "closing");
    }
    if (!s->failed) workload_check(s);
    if (!s->failed) check_usage(s);
    if (s->verbose)
        printf("seed %lu: %d nodes%s, loss %g, %lu packets, %lu dropped, %lu messages, %lu bytes, %.3f s\n",
               (unsigned long)s->seed, s->p.nodes, s->p.reliable ? " reliable" : "", s->p.loss,
               (unsigned long)s->packets, (unsigned long)s->dropped, (unsigned long)s->delivered,
               (unsigned long)s->delivered_bytes, (double)took / 1e9);
    bool ok = !s->failed;
    s->failed = true; /* what follows is only tidying */
    for (int i = 0; i < s->p.nodes; i++)
        if (s->node[i].alive) engine_destroy(s->node[i].engine);
    workload_fini(s);
    network_fini(s);
    return ok;
}

int main(int argc, char **argv) {
    uint64_t seeds = 200, from = 1;
    bool verbose = false, goodput = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--seeds") && i + 1 < argc)
            seeds = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--from") && i + 1 < argc)
            from = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--verbose"))
            verbose = true;
        else if (!strcmp(argv[i], "--goodput"))
            goodput = true;
        else {
            fprintf(stderr, "usage: sim_test [--seeds N] [--from S] [--goodput] [--verbose]\n");
            return 2;
        }
    }
    if (goodput) return goodput_run() & goodput_run_shared() ? 0 : 1;
    int failed = 0;
    for (uint64_t seed = from; seed < from + seeds && failed < 5; seed++) {
        static struct sim s;
        sim_init(&s, seed, verbose);
        choose(&s);
        if (!run(&s)) failed++;
    }
    if (!failed) printf("%lu seeds passed\n", (unsigned long)seeds);
    return failed ? 1 : 0;
}
