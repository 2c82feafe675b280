/* What `weft bench notify` wants of its figures: weft's mechanisms beside what the system has, and the
 * automatic choice beside each mechanism that it could have taken. */
#include "cli/bench/notify.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct side {
    const char *way;
    enum notify_load load;
};

#define PAPER_S 119e-6 /* an interrupt and the notification by it; 17,500 cycles */

/* At a rate at which receivers sleep in between, on another CPU. */
static const struct goal {
    const char *text;
    struct side own, other;
    double wanted, unit_s;
    bool by_state; /* it is a matter of cache lines */
} goals[] = {
    {"lock release while polling, of a bare spin",
     {"lock-polling", NOTIFY_IDLE},
     {"spin", NOTIFY_IDLE},
     1.3,
     0,
     true},
    {"lock release while polling, of the paper's 119 us",
     {"lock-polling", NOTIFY_IDLE},
     {0},
     0.01,
     PAPER_S,
     true},
    {"lock release asleep, of a bare futex", {"lock-asleep", NOTIFY_IDLE}, {"futex", NOTIFY_IDLE}, 1.1},
    {"branch, of a bare directed signal", {"branch", NOTIFY_BUSY}, {"signal", NOTIFY_BUSY}, 1.1},
    {"branch, of epoll and receive", {"branch", NOTIFY_BUSY}, {"epoll-receive", NOTIFY_IDLE}, 0.7},
    {"branch by the kernel alone, of SIGIO", {"branch-kernel", NOTIFY_BUSY}, {"sigio", NOTIFY_BUSY}, 1.1},
    {"dispatch, of a bare condition variable", {"dispatch", NOTIFY_IDLE}, {"condvar", NOTIFY_IDLE}, 1.1},
    {"dispatch, of creating a thread", {"dispatch", NOTIFY_IDLE}, {"thread-create", NOTIFY_IDLE}, 0.6},
};

static struct bench_result *find(struct notify_bench *b, const struct side *s) {
    for (int w = 0; notify_ways[w]; w++)
        if (!strcmp(notify_ways[w]->name, s->way))
            return &b->cell[w][NOTIFY_OTHER_CPU][s->load][NOTIFY_GOAL_RATE].result;
    return NULL;
}

struct quotient {
    double median, low; /* low: of the values below which a tenth is: what a loaded machine leaves of both */
    size_t count;       /* of the fewer */
};

/* other NULL: the value itself, in units of unit_s. */
static struct quotient quotient(struct bench_values *own, struct bench_values *other, double unit_s) {
    return (struct quotient){bench_values_part(own, 0.5) / (other ? bench_values_part(other, 0.5) : unit_s),
                             bench_values_part(own, 0.1) / (other ? bench_values_part(other, 0.1) : unit_s),
                             other && other->count < own->count ? other->count : own->count};
}

/* What takes microseconds does so in either state: all of it together. */
static struct quotient quotient_of_all(const struct bench_result *own, const struct bench_result *other) {
    struct bench_values a = {0}, b = {0};
    for (int s = 0; s < BENCH_STATES; s++) {
        bench_values_append(&a, &own->values[s]);
        bench_values_append(&b, &other->values[s]);
    }
    struct quotient q = quotient(&a, &b, 0);
    bench_values_free(&a);
    bench_values_free(&b);
    return q;
}

static void add_goal(struct rows *rows, const char *text, struct quotient q, double wanted,
                     const char *state) {
    if (q.count < NOTIFY_LEAST) return;
    struct row row = {.fields = 0};
    row_text(&row, "bench", NULL, "notify");
    row_text(&row, "goal", "GOAL", text);
    row_number(&row, "ratio", "RATIO", q.median);
    row_number(&row, "ratio_p10", "OF P10", q.low);
    row_number(&row, "wanted", "AT MOST", wanted);
    row_text(&row, "met", "MET", q.median <= wanted ? "yes" : "no");
    row_whole(&row, "count", "COUNT", q.count);
    row_text(&row, "state", "STATE", state);
    rows_add(rows, &row);
}

static void add_goal_by_state(struct notify_bench *b, struct rows *rows, const struct goal *g) {
    struct bench_result *own = find(b, &g->own), *other = g->other.way ? find(b, &g->other) : NULL;
    for (int s = 0; s < BENCH_MIXED; s++)
        add_goal(rows, g->text, quotient(&own->values[s], other ? &other->values[s] : NULL, g->unit_s),
                 g->wanted, bench_state_name((enum bench_state)s));
}

/* -- the choice -- */

/* What WEFT_AUTO is for: the time until an arrival is told and the CPU time that this takes from the
 * receiver's side, together. */
#define AUTO_WANTED 1.1
#define FIXED_MAX   4

static const struct {
    const char *text, *way, *fixed[FIXED_MAX + 1];
} choices[] = {{"the choice, waiting", "auto", {"lock-polling", "lock-asleep", "lock", "descriptor"}},
               {"the choice, handlers", "auto-handler", {"branch", "dispatch", "dispatch-spin"}}};

struct place_of {
    enum notify_place place;
    enum notify_load load;
    int rate;
};

struct cost {
    double us, count; /* NAN: it was not measured here, or not what it takes; arrivals */
};

static struct cost cost_of(struct notify_bench *b, const char *way, const struct place_of *p) {
    double told_s, stolen_ns = 0, count = 0;
    struct bench_values all = {0};
    int w = 0;
    while (notify_ways[w] && strcmp(notify_ways[w]->name, way)) w++;
    struct notify_cell *c = &b->cell[w][p->place][p->load][p->rate];
    for (enum bench_state s = 0; s < BENCH_STATES; s++) {
        double n = (double)c->result.count[s];
        if (!n) continue;
        bench_values_append(&all, &c->result.values[s]);
        stolen_ns +=
            n * notify_stolen_ns(b, c, p->place, notify_ways[w]->computing && p->load == NOTIFY_BUSY, s);
        count += n;
    }
    told_s = bench_values_part(&all, 0.5);
    bench_values_free(&all);
    return (struct cost){count > 0 ? told_s * 1e6 + stolen_ns / count * 1e-3 : NAN, count};
}

static void add_choice(struct notify_bench *b, struct rows *rows, size_t i, const struct place_of *p) {
    struct cost own = cost_of(b, choices[i].way, p), best = {INFINITY, 0};
    const char *name = NULL;
    for (int k = 0; choices[i].fixed[k]; k++) {
        struct cost other = cost_of(b, choices[i].fixed[k], p);
        if (!(other.us < best.us)) continue;
        best = other;
        name = choices[i].fixed[k];
    }
    if (!name || isnan(own.us)) return;
    bool few = own.count < NOTIFY_LEAST || best.count < NOTIFY_LEAST;
    struct row row = {.fields = 0};
    row_text(&row, "bench", NULL, "notify");
    row_text(&row, "goal", "THE CHOICE", choices[i].text);
    row_text(&row, "place", "PLACE", notify_place_names[p->place]);
    row_text(&row, "load", "LOAD", notify_load_names[p->load]);
    row_whole(&row, "rate_per_s", "RATE /s", (uint64_t)notify_rates[p->rate]);
    row_number(&row, "cost_us", "COST us", own.us);
    row_text(&row, "best", "BEST FIXED", name);
    row_number(&row, "best_us", "ITS COST us", best.us);
    row_number(&row, "ratio", "RATIO", own.us / best.us);
    row_number(&row, "wanted", "AT MOST", AUTO_WANTED);
    row_text(&row, "met", "MET", few ? "too few arrivals" : own.us / best.us <= AUTO_WANTED ? "yes" : "no");
    rows_add(rows, &row);
}

static void add_choices(struct notify_bench *b, struct rows *rows) {
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        for (int place = 0; place < NOTIFY_PLACES; place++)
            for (int load = 0; load < NOTIFY_LOADS; load++)
                for (int rate = 0; rate < NOTIFY_RATES; rate++)
                    add_choice(b, rows, i,
                               &(struct place_of){(enum notify_place)place, (enum notify_load)load, rate});
}

void notify_add_goals(struct notify_bench *b, struct rows *rows) {
    for (size_t i = 0; i < sizeof goals / sizeof *goals; i++) {
        const struct goal *g = &goals[i];
        if (g->by_state)
            add_goal_by_state(b, rows, g);
        else
            add_goal(rows, g->text, quotient_of_all(find(b, &g->own), find(b, &g->other)), g->wanted, "all");
    }
    add_choices(b, rows);
}
