/* What a contest tells: each contender's median in each state, beside the best peer's and the floor's. */
#include "cli/bench/contest.h"

#include <math.h>
#include <stdio.h>

double contest_median(struct contest_score *s, size_t figure, enum bench_state state) {
    return bench_values_part(&s->each_s[figure][state], 0.5);
}

struct contest_score *contest_find(struct contest *x, enum contender_role role) {
    for (size_t i = 0; i < x->scores; i++)
        if (x->score[i].c->role == role) return &x->score[i];
    return NULL;
}

struct contest_score *contest_best_peer(struct contest *x, size_t figure, enum bench_state state) {
    struct contest_score *best = NULL;
    double best_s = NAN;
    for (size_t i = 0; i < x->scores; i++) {
        struct contest_score *s = &x->score[i];
        double each_s = contest_median(s, figure, state);
        if (s->c->role != ROLE_PEER || s->written != x->o->written || isnan(each_s)) continue;
        if (best_s <= each_s) continue;
        best = s;
        best_s = each_s;
    }
    return best;
}

double contest_ratio(const struct figure *f, double each_s, double other_s) {
    return contest_units[f->unit].less_is_better ? each_s / other_s : other_s / each_s;
}

/* -- rows -- */

struct view {
    struct rows *rows;
    struct contest *x;
    size_t figure;
    double best_peer_s, floor_s; /* in the present state */
};

/* A column for each unit that the kind has; the others' are empty. */
static void add_figure(struct row *row, const struct contest *x, const struct figure *f, double each_s) {
    bool has[UNITS] = {false}, several = contest_tests[x->o->kind][1].figures > 0 || x->test->figures > 1;
    for (size_t t = 0; t < TESTS_MAX; t++)
        for (size_t i = 0; i < contest_tests[x->o->kind][t].figures; i++)
            has[contest_tests[x->o->kind][t].figure[i].unit] = true;
    if (several) row_text(row, "figure", "FIGURE", f->name);
    for (enum figure_unit u = 0; u < UNITS; u++)
        if (has[u])
            row_number(row, contest_units[u].name, contest_units[u].heading,
                       u == f->unit ? figure_value(f, x->size, each_s) : NAN);
}

static void note_of(const struct contest_score *s, char *note, size_t cap) {
    *note = 0;
    if (s->missing) snprintf(note, cap, "not installed: %s", s->missing);
    if (s->no_test) snprintf(note, cap, "no peer tool");
    if (s->given_up) snprintf(note, cap, "failed");
}

static void print_row(const struct view *v, const struct contest_score *s, const char *state, size_t turns,
                      double each_s) {
    const struct contest *x = v->x;
    const struct figure *f = &x->test->figure[v->figure];
    struct row row = {.fields = 0};
    char note[64];
    static const char *const roles[] = {"weft", "peer", "floor"};
    note_of(s, note, sizeof note);
    row_text(&row, "bench", "BENCH", x->o->name);
    row_text(&row, "adapter", NULL, x->o->adapter);
    row_whole(&row, "size_B", "SIZE B", x->size);
    row_text(&row, "contender", "CONTENDER", s->c->name);
    row_text(&row, "role", NULL, roles[s->c->role]);
    add_figure(&row, x, f, each_s);
    row_number(&row, "ratio_to_best_peer", "TO BEST PEER",
               s->c->role == ROLE_FLOOR ? NAN : contest_ratio(f, each_s, v->best_peer_s));
    row_number(&row, "ratio_to_floor", "TO FLOOR", contest_ratio(f, each_s, v->floor_s));
    row_text(&row, "state", "STATE", state);
    row_text(&row, "data", "DATA", s->written ? "written" : "static");
    row_whole(&row, "turns", "TURNS", turns);
    row_whole(&row, "rounds", NULL, x->o->rounds);
    row_text(&row, "note", "NOTE", note);
    rows_add(v->rows, &row);
}

static bool wanted(const struct bench_options *o, enum bench_state s) {
    return o->filter == BENCH_ALL || o->filter == BENCH_EACH || (int)s == (int)o->filter - BENCH_ONLY_NEAR;
}

static void print_state(struct view *v, enum bench_state state) {
    struct contest *x = v->x;
    struct contest_score *best = contest_best_peer(x, v->figure, state), *floor = contest_find(x, ROLE_FLOOR);
    v->best_peer_s = best ? contest_median(best, v->figure, state) : NAN;
    v->floor_s = floor ? contest_median(floor, v->figure, state) : NAN;
    for (size_t i = 0; i < x->scores; i++) {
        struct contest_score *s = &x->score[i];
        size_t turns = s->each_s[v->figure][state].count;
        if (turns) print_row(v, s, bench_state_name(state), turns, contest_median(s, v->figure, state));
    }
}

void contest_print(struct rows *p, struct contest *x) {
    struct view v = {.rows = p, .x = x};
    for (v.figure = 0; v.figure < x->test->figures; v.figure++)
        for (enum bench_state state = 0; state < BENCH_STATES; state++)
            if (wanted(x->o, state)) print_state(&v, state);
    v = (struct view){.rows = p, .x = x, .best_peer_s = NAN, .floor_s = NAN};
    for (size_t i = 0; i < x->scores; i++) {
        const struct contest_score *s = &x->score[i];
        if (s->missing || s->given_up || s->no_test) print_row(&v, s, "-", 0, NAN);
    }
}
