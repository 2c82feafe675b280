/* What a contest tells: each contender's median in each state, beside the best peer's and the floor's. */
#include "cli/bench/contest.h"

#include <math.h>
#include <stdio.h>

/* Medians of one state; NAN: none. */
struct medians {
    double each_s[CONTENDERS_MAX];
    double best_peer_s, floor_s;
};

/* The best peer is the best of those that did the same with their data, if there is one. */
static double best_peer(const struct contest_score *score, const double *each_s, size_t n, bool written) {
    double best = NAN;
    for (size_t i = 0; i < n; i++) {
        bool counts = score[i].c->role == ROLE_PEER && score[i].written == written;
        if (counts && !isnan(each_s[i]) && !(best <= each_s[i])) best = each_s[i];
    }
    return best;
}

static void find_medians(struct contest_score *score, size_t n, bool written, enum bench_state s,
                         struct medians *m) {
    m->floor_s = NAN;
    for (size_t i = 0; i < n; i++) {
        m->each_s[i] = bench_values_part(&score[i].each_s[s], 0.5);
        if (score[i].c->role == ROLE_FLOOR) m->floor_s = m->each_s[i];
    }
    m->best_peer_s = best_peer(score, m->each_s, n, written);
}

/* How a figure compares with another: of times, or of rates. */
static double ratio(const struct bench_options *o, double each_s, double other_s) {
    return o->kind == BENCH_LATENCY ? each_s / other_s : other_s / each_s;
}

static void add_figure(struct row *row, const struct bench_options *o, uint64_t size, double each_s) {
    if (o->kind == BENCH_LATENCY)
        row_number(row, "median_us", "MEDIAN us", each_s * 1e6);
    else if (o->kind == BENCH_BANDWIDTH)
        row_number(row, "median_GBps", "MEDIAN GB/s", (double)size / each_s / 1e9);
    else
        row_number(row, "median_messages_per_s", "MEDIAN messages/s", 1 / each_s);
}

static void print_row(struct rows *p, const struct bench_options *o, uint64_t size,
                      const struct contest_score *s, const char *state, size_t turns, double each_s,
                      const struct medians *m) {
    struct row row = {.fields = 0};
    char note[64] = "";
    static const char *const roles[] = {"weft", "peer", "floor"};
    if (s->missing) snprintf(note, sizeof note, "not installed: %s", s->missing);
    if (s->given_up) snprintf(note, sizeof note, "failed");
    row_text(&row, "bench", "BENCH", o->name);
    row_text(&row, "adapter", NULL, o->adapter);
    row_whole(&row, "size_B", "SIZE B", size);
    row_text(&row, "contender", "CONTENDER", s->c->name);
    row_text(&row, "role", NULL, roles[s->c->role]);
    add_figure(&row, o, size, each_s);
    row_number(&row, "ratio_to_best_peer", "TO BEST PEER",
               s->c->role == ROLE_FLOOR ? NAN : ratio(o, each_s, m ? m->best_peer_s : NAN));
    row_number(&row, "ratio_to_floor", "TO FLOOR", ratio(o, each_s, m ? m->floor_s : NAN));
    row_text(&row, "state", "STATE", state);
    row_text(&row, "data", "DATA", s->written ? "written" : "static");
    row_whole(&row, "turns", "TURNS", turns);
    row_whole(&row, "rounds", NULL, o->rounds);
    row_text(&row, "note", "NOTE", note);
    rows_add(p, &row);
}

static bool wanted(const struct bench_options *o, enum bench_state s) {
    return o->filter == BENCH_ALL || o->filter == BENCH_EACH || (int)s == (int)o->filter - BENCH_ONLY_NEAR;
}

void contest_print(struct rows *p, const struct bench_options *o, uint64_t size, struct contest_score *score,
                   size_t n) {
    for (int s = 0; s < BENCH_STATES; s++) {
        struct medians m;
        find_medians(score, n, o->written, (enum bench_state)s, &m);
        for (size_t i = 0; i < n && wanted(o, (enum bench_state)s); i++)
            if (score[i].each_s[s].count)
                print_row(p, o, size, &score[i], bench_state_name((enum bench_state)s),
                          score[i].each_s[s].count, m.each_s[i], &m);
    }
    for (size_t i = 0; i < n; i++)
        if (score[i].missing || score[i].given_up) print_row(p, o, size, &score[i], "-", 0, NAN, NULL);
}
