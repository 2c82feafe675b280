/* Placement of objects over kinds of memory: a mixed-integer program for GLPK, then moves and swaps.
 *
 * DESIGN NOTES. x[o,k] = 1: object o is in kind k. The objective is sum x chased latency + T, where T >= each
 * kind's time: memories work at once, and the slowest decides. Capacity and the endurance's write limit are
 * constraints. The linear relaxation is the bound that is told. Rounded, and improved by the local search, it
 * is within half a per cent of that bound where objects are many; only where it is not, GLPK branches, up to
 * the time limit: that takes long to prove what nobody needs. (The search alone, without the relaxation, ends
 * up to four times above the best.)
 *
 * GLPK keeps an environment a thread. If the caller's thread has none, ours is freed at the end, so that
 * nothing stays when the thread ends; one that is there already is the caller's and stays. GLPK ends the
 * process when it has no memory. */
#include "base/error.h"
#include "model/predict/predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <glpk.h>

#define GAP             0.005
#define LIMIT_DEFAULT_S 1.0
#define LIMIT_MOST_S    1e6 /* the solver counts milliseconds in an int */

/* -- The objective -- */

/* What an object costs a kind: the time of the accesses that wait, and of those that stream. */
static double chase_s(const struct weft_placed_object *o, const struct weft_memory_kind *k) {
    return o->chased * k->latency_s;
}
static double stream_s(const struct weft_placed_object *o, const struct weft_memory_kind *k) {
    return o->read_B / k->read_Bps + o->write_B / k->write_Bps;
}

struct load {
    double used_B, written_B, busy_s;
};

struct state {
    const struct weft_object_ask *ask;
    int *kind_of;
    struct load load[WEFT_KINDS_MAX];
    double waiting_s;
};

static void put(struct state *s, int object, int kind, double sign) {
    const struct weft_placed_object *o = &s->ask->object[object];
    const struct weft_memory_kind *k = &s->ask->kind[kind];
    s->load[kind].used_B += sign * o->size_B;
    s->load[kind].written_B += sign * o->write_B;
    s->load[kind].busy_s += sign * stream_s(o, k);
    s->waiting_s += sign * chase_s(o, k);
}

/* Sums of sizes round: a hair above a limit is not above it. */
static bool is_above(double sum, double limit) { return sum > limit * (1 + 1e-12); }

static double cost(const struct state *s) {
    double slowest_s = 0;
    for (int k = 0; k < s->ask->kinds; k++) {
        const struct weft_memory_kind *kind = &s->ask->kind[k];
        if (is_above(s->load[k].used_B, kind->capacity_B)) return INFINITY;
        if (kind->write_limit_B > 0 && is_above(s->load[k].written_B, kind->write_limit_B)) return INFINITY;
        slowest_s = fmax(slowest_s, s->load[k].busy_s);
    }
    return s->waiting_s + slowest_s;
}

static void load(struct state *s) {
    memset(s->load, 0, sizeof s->load);
    s->waiting_s = 0;
    for (int o = 0; o < s->ask->objects; o++) put(s, o, s->kind_of[o], 1);
}

double weft_object_cost(const struct weft_object_ask *ask, const int *kind_of) {
    struct state s = {.ask = ask, .kind_of = (int *)kind_of};
    load(&s);
    return cost(&s);
}

/* -- Local search -- */

static bool try_kinds(struct state *s, int a, int to_a, int b, int to_b, double *least) {
    int from_a = s->kind_of[a], from_b = b < 0 ? 0 : s->kind_of[b];
    struct state before = *s;
    put(s, a, from_a, -1);
    put(s, a, to_a, 1);
    if (b >= 0) put(s, b, from_b, -1);
    if (b >= 0) put(s, b, to_b, 1);
    double now = cost(s);
    if (!(now < *least * (1 - 1e-9))) {
        *s = before; /* the sums too: taking back would round */
        return false;
    }
    *least = now;
    s->kind_of[a] = to_a;
    if (b >= 0) s->kind_of[b] = to_b;
    return true;
}

static bool round_of_moves(struct state *s, double *least) {
    bool better = false;
    for (int o = 0; o < s->ask->objects; o++)
        for (int k = 0; k < s->ask->kinds; k++)
            if (k != s->kind_of[o]) better |= try_kinds(s, o, k, -1, 0, least);
    for (int o = 0; o < s->ask->objects; o++)
        for (int q = o + 1; q < s->ask->objects; q++)
            if (s->kind_of[o] != s->kind_of[q])
                better |= try_kinds(s, o, s->kind_of[q], q, s->kind_of[o], least);
    return better;
}

/* By how much a placement is beyond the limits, in parts of them: 0, it fits. */
static double excess(const struct state *s) {
    double sum = 0;
    for (int k = 0; k < s->ask->kinds; k++) {
        const struct weft_memory_kind *kind = &s->ask->kind[k];
        if (is_above(s->load[k].used_B, kind->capacity_B)) sum += s->load[k].used_B / kind->capacity_B - 1;
        if (kind->write_limit_B > 0 && is_above(s->load[k].written_B, kind->write_limit_B))
            sum += s->load[k].written_B / kind->write_limit_B - 1;
    }
    return sum;
}

/* A relaxation that was rounded may not fit: moves that lessen the excess, as long as there are any. */
static void make_fit(struct state *s) {
    for (bool better = true; better && excess(s) > 0;) {
        better = false;
        for (int o = 0; o < s->ask->objects && excess(s) > 0; o++)
            for (int k = 0; k < s->ask->kinds; k++) {
                struct state before = *s;
                int from = s->kind_of[o];
                put(s, o, from, -1);
                put(s, o, k, 1);
                if (excess(s) < excess(&before)) {
                    s->kind_of[o] = k;
                    better = true;
                } else {
                    *s = before;
                }
            }
    }
}

static double improve(struct state *s) {
    load(s);
    make_fit(s);
    double least = cost(s);
    if (isinf(least)) return least;
    while (round_of_moves(s, &least)) {
    }
    load(s);
    return cost(s);
}

/* -- The program -- */

static int column(const struct weft_object_ask *a, int o, int k) { return 1 + o * a->kinds + k; }

struct program {
    glp_prob *p;
    int *row, *column;
    double *value;
    int entries;
};

static void enter(struct program *g, int row, int col, double value) {
    if (value == 0) return;
    g->entries++;
    g->row[g->entries] = row;
    g->column[g->entries] = col;
    g->value[g->entries] = value;
}

static void upper(glp_prob *p, int row, double limit) { glp_set_row_bnds(p, row, GLP_UP, 0, limit); }

/* Rows: one an object (it is somewhere), then capacity, writes and time of each kind. Times are in units of
 * `unit_s` and sizes in parts of the limit, so that the solver's tolerances mean something. */
static void fill(struct program *g, const struct weft_object_ask *a, double unit_s) {
    int slowest = 1 + a->objects * a->kinds;
    glp_add_cols(g->p, slowest);
    glp_add_rows(g->p, a->objects + 3 * a->kinds);
    glp_set_col_bnds(g->p, slowest, GLP_LO, 0, 0);
    glp_set_obj_coef(g->p, slowest, 1);
    for (int o = 0; o < a->objects; o++) {
        glp_set_row_bnds(g->p, 1 + o, GLP_FX, 1, 1);
        for (int k = 0; k < a->kinds; k++) {
            const struct weft_placed_object *object = &a->object[o];
            const struct weft_memory_kind *kind = &a->kind[k];
            int at = column(a, o, k), row = a->objects + 1 + 3 * k;
            glp_set_col_kind(g->p, at, GLP_BV);
            glp_set_obj_coef(g->p, at, chase_s(object, kind) / unit_s);
            enter(g, 1 + o, at, 1);
            enter(g, row, at, object->size_B / kind->capacity_B);
            if (kind->write_limit_B > 0) enter(g, row + 1, at, object->write_B / kind->write_limit_B);
            enter(g, row + 2, at, stream_s(object, kind) / unit_s);
        }
    }
    for (int k = 0; k < a->kinds; k++) {
        int row = a->objects + 1 + 3 * k;
        upper(g->p, row, 1);
        upper(g->p, row + 1, 1);
        upper(g->p, row + 2, 0);
        enter(g, row + 2, slowest, -1);
    }
    glp_load_matrix(g->p, g->entries, g->row, g->column, g->value);
}

/* -- Solving -- */

struct question {
    struct state s; /* what is tried */
    int *best;
    double best_s, bound_s, unit_s, limit_s;
};

/* What is tried is improved, and kept if it is better. */
static void offer(struct question *q) {
    double seconds = improve(&q->s);
    if (!(seconds < q->best_s)) return;
    q->best_s = seconds;
    memcpy(q->best, q->s.kind_of, (size_t)q->s.ask->objects * sizeof *q->best);
}

/* Each object goes where most of it is in the solver's answer. */
static void take(struct question *q, glp_prob *p, double (*part_of)(glp_prob *, int)) {
    const struct weft_object_ask *a = q->s.ask;
    for (int o = 0; o < a->objects; o++) {
        double most = -1;
        for (int k = 0; k < a->kinds; k++) {
            double part = part_of(p, column(a, o, k));
            if (part > most) most = part, q->s.kind_of[o] = k;
        }
    }
    offer(q);
}

static bool is_close(const struct question *q) { return q->best_s <= q->bound_s * (1 + GAP); }

/* False: there is no answer. If the relaxation, rounded and improved, is close to the bound already, which
 * with many objects it is, nothing has to be branched. */
static bool solve(struct question *q, glp_prob *p) {
    glp_smcp simplex;
    glp_iocp integer;
    glp_init_smcp(&simplex);
    glp_init_iocp(&integer);
    simplex.msg_lev = integer.msg_lev = GLP_MSG_OFF;
    integer.mip_gap = GAP;
    integer.tm_lim = (int)(fmin(q->limit_s, LIMIT_MOST_S) * 1000);
    integer.fp_heur = GLP_ON;
    integer.br_tech = GLP_BR_MFV;
    bool failed = glp_simplex(p, &simplex) != 0;
    if (!failed && glp_get_status(p) == GLP_NOFEAS) return false;
    if (failed || glp_get_status(p) != GLP_OPT) {
        offer(q); /* numerical trouble: the search goes on alone */
        return true;
    }
    q->bound_s = glp_get_obj_val(p) * q->unit_s;
    take(q, p, glp_get_col_prim);
    if (is_close(q)) return true;
    glp_intopt(p, &integer);
    int status = glp_mip_status(p);
    if (status == GLP_OPT || status == GLP_FEAS) take(q, p, glp_mip_col_val);
    return true;
}

static int run_program(struct question *q) {
    const struct weft_object_ask *a = q->s.ask;
    size_t most = (size_t)a->objects * (size_t)a->kinds * 4 + (size_t)a->kinds + 1;
    struct program g = {.row = malloc(most * sizeof *g.row),
                        .column = malloc(most * sizeof *g.column),
                        .value = malloc(most * sizeof *g.value)};
    int rc = WEFT_E_NOMEM;
    bool ours = glp_init_env() == 0;
    if (g.row && g.column && g.value) {
        int talks = glp_term_out(GLP_OFF);
        g.p = glp_create_prob();
        fill(&g, a, q->unit_s);
        rc = solve(q, g.p) && !isinf(q->best_s) ? WEFT_OK : WEFT_E_LIMIT;
        glp_delete_prob(g.p);
        glp_term_out(talks);
    }
    if (ours) glp_free_env();
    free(g.row);
    free(g.column);
    free(g.value);
    return rc;
}

/* -- The question -- */

static bool positive(double x) { return x > 0 && x < INFINITY; }
static bool not_negative(double x) { return x >= 0 && x < INFINITY; }

static int check(const struct weft_object_ask *a) {
    if (a->objects < 1 || a->kinds < 1) return WEFT_E_INVAL;
    if (a->objects > WEFT_OBJECTS_MAX || a->kinds > WEFT_KINDS_MAX) return WEFT_E_TOO_BIG;
    for (int i = 0; i < a->objects; i++) {
        const struct weft_placed_object *o = &a->object[i];
        if (!not_negative(o->size_B) || !not_negative(o->read_B) || !not_negative(o->write_B) ||
            !not_negative(o->chased))
            return WEFT_E_INVAL;
    }
    for (int i = 0; i < a->kinds; i++) {
        const struct weft_memory_kind *k = &a->kind[i];
        if (!positive(k->capacity_B) || !positive(k->read_Bps) || !positive(k->write_Bps) ||
            !not_negative(k->latency_s) || !not_negative(k->write_limit_B))
            return WEFT_E_INVAL;
    }
    return WEFT_OK;
}

/* The time in which the program is written: that of everything at its slowest, so that all numbers are
 * below 1. */
static double unit_of(const struct weft_object_ask *a) {
    double sum_s = 0;
    for (int o = 0; o < a->objects; o++) {
        double most_s = 0;
        for (int k = 0; k < a->kinds; k++)
            most_s = fmax(most_s, chase_s(&a->object[o], &a->kind[k]) + stream_s(&a->object[o], &a->kind[k]));
        sum_s += most_s;
    }
    return sum_s > 0 ? sum_s / a->objects : 1;
}

int weft_place_objects(const struct weft_object_ask *ask, double limit_s, int *kind_of,
                       struct weft_object_placement *out) {
    int rc = check(ask);
    if (rc) return rc;
    if (!not_negative(limit_s)) return WEFT_E_INVAL;
    struct question q = {.s = {.ask = ask, .kind_of = calloc((size_t)ask->objects, sizeof(int))},
                         .best = calloc((size_t)ask->objects, sizeof(int)),
                         .best_s = INFINITY,
                         .unit_s = unit_of(ask),
                         .limit_s = limit_s > 0 ? limit_s : LIMIT_DEFAULT_S};
    rc = q.s.kind_of && q.best ? run_program(&q) : WEFT_E_NOMEM;
    if (!rc) {
        memcpy(kind_of, q.best, (size_t)ask->objects * sizeof *kind_of);
        *out = (struct weft_object_placement){.seconds = q.best_s, .bound_s = fmin(q.bound_s, q.best_s)};
    }
    free(q.s.kind_of);
    free(q.best);
    return rc;
}
