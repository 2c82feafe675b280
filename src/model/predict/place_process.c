/* Placement of processes on nodes: SCOTCH's static mapping, mended to the slots, then improved.
 *
 * DESIGN NOTES. SCOTCH balances loads within a tolerance, so a node can get one process more than it has
 * slots, and its costs are those of its own architectures. What it gives is therefore a start: processes
 * beyond a node's slots go where they cost least, and then single moves and swaps are made, with the asker's
 * own costs, until none helps (Kernighan and Lin's moves without their look-ahead). Few processes are also
 * tried from random starts, which costs microseconds and finds what a local search misses.
 *
 * SCOTCH (7.0, Debian's) starts as many threads as there are CPUs unless it is given a context of its own,
 * and what they find depends on how they run; with one thread and a seed the same question has the same
 * answer, and on a busy machine it is much sooner. It keeps some state for the whole process, so its calls
 * stand under one lock; it frees what it allocates in its objects' exit functions, and prints its errors
 * through libscotcherr. */
#include "base/error.h"
#include "model/predict/place_random.h"
#include "model/predict/predict.h"
#include "model/predict/scotch_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Restarts beside SCOTCH's start, for at most so many processes. */
#define RESTARTS       8
#define RESTARTS_RULES 80 /* as many where rules make the search rugged */
#define RESTARTS_UP_TO 64

struct search {
    const struct weft_process_ask *ask;
    struct scotch_graph graph;  /* neighbours and bytes, each pair in both directions */
    int *node_of, *best, *held; /* held: processes on each node */
    double *at;      /* [process][node]: what the process would cost there, the others as they are */
    double rounding; /* a cost below this is none */
    double penalty;  /* of a broken rule: more than all flows can cost */
};

static double unit_cost(const struct weft_process_ask *a, int from, int to) {
    return a->cost ? a->cost[(size_t)from * (size_t)a->nodes + (size_t)to] : from != to;
}

/* Costs may differ by direction; flows are sums of both, and take the mean. */
static double pair_cost(const struct weft_process_ask *a, int from, int to) {
    return (unit_cost(a, from, to) + unit_cost(a, to, from)) / 2;
}

double weft_process_cost(const struct weft_process_ask *a, const int *node_of) {
    double sum = 0;
    for (size_t i = 0; i < a->flows; i++)
        sum += a->flow[i].bytes * pair_cost(a, node_of[a->flow[i].from], node_of[a->flow[i].to]);
    return sum;
}

/* -- Rules: a broken one costs more than everything else, so that the search leaves none if it can -- */

static bool breaks(const struct weft_process_rule *r, int a, int b) {
    return r->together ? a != b : a == b && (!r->apart || r->apart[a]);
}

size_t weft_process_broken(const struct weft_process_ask *a, const int *node_of) {
    size_t n = 0;
    for (size_t i = 0; i < a->rules; i++) n += breaks(&a->rule[i], node_of[a->rule[i].a], node_of[a->rule[i].b]);
    return n;
}

/* What the rules that p is in say of its partners everywhere, as weigh() does for flows. */
static void weigh_rules(struct search *s, int p, int node, double sign) {
    const struct weft_process_ask *a = s->ask;
    for (size_t i = 0; i < a->rules; i++) {
        const struct weft_process_rule *r = &a->rule[i];
        if (r->a != p && r->b != p) continue;
        double *at = s->at + (size_t)(r->a == p ? r->b : r->a) * (size_t)a->nodes;
        for (int n = 0; n < a->nodes; n++) at[n] += breaks(r, n, node) ? sign * s->penalty : 0;
    }
}

/* Of a swap: each was taken to stay where it is while the other moves. */
static double rules_between(const struct search *s, int p, int q, int at_p, int at_q) {
    double change = 0;
    for (size_t i = 0; i < s->ask->rules; i++) {
        const struct weft_process_rule *r = &s->ask->rule[i];
        if (!((r->a == p && r->b == q) || (r->a == q && r->b == p))) continue;
        int said = breaks(r, at_q, at_q) - breaks(r, at_p, at_q) + breaks(r, at_p, at_p) - breaks(r, at_q, at_p);
        change += s->penalty * (breaks(r, at_q, at_p) - breaks(r, at_p, at_q) - said);
    }
    return change;
}

/* -- Local search -- */

static double *costs_of(const struct search *s, int p) { return s->at + (size_t)p * (size_t)s->ask->nodes; }

/* Adds to what the neighbours of p cost everywhere: as if p were once more on this node, or once less. */
static void weigh(struct search *s, int p, int node, double sign) {
    for (int i = s->graph.first[p]; i < s->graph.first[p + 1]; i++) {
        double *at = costs_of(s, s->graph.neighbour[i]), bytes = sign * s->graph.bytes[i];
        for (int n = 0; n < s->ask->nodes; n++) at[n] += bytes * pair_cost(s->ask, n, node);
    }
    if (s->ask->rules) weigh_rules(s, p, node, sign);
}

static void put(struct search *s, int p, int node) {
    weigh(s, p, s->node_of[p], -1);
    weigh(s, p, node, 1);
    s->held[s->node_of[p]]--;
    s->held[node]++;
    s->node_of[p] = node;
}

/* Sums that are kept up by adding and taking away round: what is less than a part in 10^10 of everything is
 * no gain, or the search would go round for ever. */
#define ROUNDING 1e-10

static bool is_gain(const struct search *s, double change) { return change < -s->rounding; }

/* The best node with a free slot for p. */
static bool move_one(struct search *s, int p) {
    const double *at = costs_of(s, p);
    int here = s->node_of[p], best = here;
    for (int node = 0; node < s->ask->nodes; node++)
        if (s->held[node] < s->ask->slots[node] && at[node] < at[best]) best = node;
    if (!is_gain(s, at[best] - at[here])) return false;
    put(s, p, best);
    return true;
}

static double bytes_between(const struct search *s, int p, int q) {
    for (int i = s->graph.first[p]; i < s->graph.first[p + 1]; i++)
        if (s->graph.neighbour[i] == q) return s->graph.bytes[i];
    return 0;
}

static bool swap_two(struct search *s, int p, int q) {
    int a = s->node_of[p], b = s->node_of[q];
    const double *at_p = costs_of(s, p), *at_q = costs_of(s, q);
    double change = at_p[b] - at_p[a] + at_q[a] - at_q[b];
    if (s->ask->rules) change += rules_between(s, p, q, a, b);
    if (a == b || !is_gain(s, change)) return false;
    /* Each was taken to stay where it is while the other moves: what they say to each other stays what it is.
     */
    change += bytes_between(s, p, q) *
              (2 * pair_cost(s->ask, a, b) - pair_cost(s->ask, a, a) - pair_cost(s->ask, b, b));
    if (!is_gain(s, change)) return false;
    put(s, p, b);
    put(s, q, a);
    return true;
}

static void improve(struct search *s) {
    for (bool better = true; better;) {
        better = false;
        for (int p = 0; p < s->ask->processes; p++) better |= move_one(s, p);
        for (int p = 0; p < s->ask->processes; p++)
            for (int q = p + 1; q < s->ask->processes; q++) better |= swap_two(s, p, q);
    }
}

/* -- Starts -- */

static void count(struct search *s) {
    const struct weft_process_ask *a = s->ask;
    memset(s->held, 0, (size_t)a->nodes * sizeof *s->held);
    memset(s->at, 0, (size_t)a->processes * (size_t)a->nodes * sizeof *s->at);
    for (int p = 0; p < a->processes; p++) {
        s->held[s->node_of[p]]++;
        weigh(s, p, s->node_of[p], 1);
    }
}

/* From nodes with too many to the free slot that is cheapest, least loss first. */
static void mend(struct search *s) {
    for (;;) {
        int best_p = -1, best_node = 0;
        double least = INFINITY;
        for (int p = 0; p < s->ask->processes; p++) {
            const double *at = costs_of(s, p);
            int here = s->node_of[p];
            if (s->held[here] <= s->ask->slots[here]) continue;
            for (int node = 0; node < s->ask->nodes; node++) {
                if (s->held[node] >= s->ask->slots[node] || at[node] - at[here] >= least) continue;
                least = at[node] - at[here], best_p = p, best_node = node;
            }
        }
        if (best_p < 0) return;
        put(s, best_p, best_node);
    }
}

/* Processes in random order into the slots in order. */
static void shuffle(struct search *s, uint64_t *seed) {
    int n = s->ask->processes, node = 0, at = 0;
    int *order = s->held; /* it has a place for each process, and is counted anew afterwards */
    for (int p = 0; p < n; p++) order[p] = p;
    for (int p = n - 1; p > 0; p--) {
        int other = (int)(place_random(seed) % (uint64_t)(p + 1)), kept = order[p];
        order[p] = order[other];
        order[other] = kept;
    }
    for (int p = 0; p < n; p++, at++) {
        while (at >= s->ask->slots[node]) node++, at = 0;
        s->node_of[order[p]] = node;
    }
}

static void keep_if_better(struct search *s, double *least) {
    count(s);
    mend(s);
    improve(s);
    double cost = weft_process_cost(s->ask, s->node_of) +
                  s->penalty * (double)weft_process_broken(s->ask, s->node_of);
    if (!(cost < *least)) return;
    *least = cost;
    memcpy(s->best, s->node_of, (size_t)s->ask->processes * sizeof *s->best);
}

/* The cost if all were as far apart as can be. */
static double most_cost(const struct weft_process_ask *a) {
    double sum_B = 0, most = 1;
    for (size_t i = 0; i < a->flows; i++) sum_B += a->flow[i].bytes;
    for (size_t i = 0; i < (size_t)a->nodes * (size_t)a->nodes && a->cost; i++) most = fmax(most, a->cost[i]);
    return sum_B * most;
}

static int search(struct search *s, double *least) {
    const struct weft_process_ask *a = s->ask;
    uint64_t seed = a->seed;
    double most = most_cost(a);
    s->rounding = ROUNDING * most;
    s->penalty = most > 0 ? 2 * most : 1;
    *least = INFINITY;
    int rc = scotch_map(&s->graph, a->processes, a->slots, a->nodes, a->seed, s->node_of);
    if (rc) return rc;
    keep_if_better(s, least);
    for (int i = 0; a->processes <= RESTARTS_UP_TO && i < (a->rules ? RESTARTS_RULES : RESTARTS); i++) {
        shuffle(s, &seed);
        keep_if_better(s, least);
    }
    return WEFT_OK;
}

/* -- The question -- */

static int check(const struct weft_process_ask *a) {
    long long slots = 0;
    if (a->processes < 1 || a->nodes < 1) return WEFT_E_INVAL;
    if (a->processes > WEFT_PROCESSES_MAX || a->nodes > WEFT_PLACES_MAX / a->processes) return WEFT_E_TOO_BIG;
    for (int n = 0; n < a->nodes; n++) {
        if (a->slots[n] < 0) return WEFT_E_INVAL;
        slots += a->slots[n];
    }
    if (slots < a->processes) return WEFT_E_LIMIT;
    for (size_t i = 0; i < (size_t)a->nodes * (size_t)a->nodes && a->cost; i++)
        if (!(a->cost[i] >= 0) || isinf(a->cost[i])) return WEFT_E_INVAL;
    for (size_t i = 0; i < a->flows; i++) {
        const struct weft_flow *f = &a->flow[i];
        if (f->from < 0 || f->from >= a->processes || f->to < 0 || f->to >= a->processes) return WEFT_E_INVAL;
        if (!(f->bytes >= 0) || isinf(f->bytes)) return WEFT_E_INVAL;
    }
    for (size_t i = 0; i < a->rules; i++) {
        const struct weft_process_rule *r = &a->rule[i];
        if (r->a < 0 || r->a >= a->processes || r->b < 0 || r->b >= a->processes || r->a == r->b)
            return WEFT_E_INVAL;
    }
    return WEFT_OK;
}

int weft_place_processes(const struct weft_process_ask *ask, int *node_of, double *cost) {
    struct search s = {.ask = ask};
    int rc = check(ask);
    if (rc) return rc;
    size_t most = (size_t)(ask->processes > ask->nodes ? ask->processes : ask->nodes);
    s.node_of = calloc(most, sizeof *s.node_of);
    s.best = calloc(most, sizeof *s.best);
    s.held = calloc(most, sizeof *s.held);
    s.at = calloc((size_t)ask->processes * (size_t)ask->nodes, sizeof *s.at);
    rc = s.node_of && s.best && s.held && s.at ? WEFT_OK : WEFT_E_NOMEM;
    if (!rc) rc = scotch_graph_make(&s.graph, ask->flow, ask->flows, ask->processes);
    double least = 0;
    if (!rc) rc = search(&s, &least);
    if (!rc && weft_process_broken(ask, s.best)) rc = WEFT_E_NOENT;
    if (!rc) memcpy(node_of, s.best, (size_t)ask->processes * sizeof *node_of);
    if (!rc && cost) *cost = least;
    scotch_graph_free(&s.graph);
    free(s.node_of);
    free(s.best);
    free(s.held);
    free(s.at);
    return rc;
}
