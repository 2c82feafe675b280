/* The forms of a path's time over size. The transport knows where it changes its way of sending; there the
 * curve breaks. Within a way a message costs a start and so much a byte, and a byte costs more where a
 * message outgrows a cache, in which both ends would have it: there the line bends, without a break. */
#include "base/error.h"
#include "model/measure/fit.h"
#include "model/predict/linear.h"

#include <math.h>

#define PIECES     4
#define BENDS_MAX  3
#define PARAMETERS (3 * WEFT_CURVE_PIECES_MAX)

struct way {
    double from;
    const double *x, *y;
    size_t n;
};

/* The capacities between the way's points: two points or more lie before the first, and one behind each. */
static unsigned bends_of(const struct fit_knows *k, const struct way *w, double bend[BENDS_MAX]) {
    unsigned n = 0;
    size_t before = 0, least = 2;
    for (unsigned c = 0; c < k->capacities && n < BENDS_MAX; c++) {
        size_t below = before;
        while (below < w->n && w->x[below] <= k->capacity[c]) below++;
        if (below - before < least || below == w->n) continue;
        bend[n++] = k->capacity[c];
        before = below;
        least = 1;
    }
    return n;
}

static bool solve(const struct way *w, const double *bend, unsigned bends, double *at) {
    struct linear l;
    linear_init(&l, 2 + (int)bends);
    for (size_t i = 0; i < w->n; i++) {
        double row[2 + BENDS_MAX] = {1 / w->y[i], w->x[i] / w->y[i]};
        for (unsigned b = 0; b < bends; b++) row[2 + b] = fmax(0, w->x[i] - bend[b]) / w->y[i];
        linear_add(&l, row, 1);
    }
    return linear_solve(&l, 0, at);
}

static int add_piece(struct weft_curve *c, double from, double a, double b) {
    if (c->parameters + 3 > PARAMETERS) return WEFT_E_TOO_BIG;
    c->parameter[c->parameters++] = from;
    c->parameter[c->parameters++] = a;
    c->parameter[c->parameters++] = b;
    return 0;
}

static int add_way(const struct way *w, const double *bend, unsigned bends, struct weft_curve *c) {
    double at[2 + BENDS_MAX];
    if (w->n < 2 + bends || !solve(w, bend, bends, at)) return WEFT_E_INVAL;
    int rc = add_piece(c, w->from, at[0], at[1]);
    for (unsigned b = 0; b < bends && !rc; b++) {
        at[0] -= at[2 + b] * bend[b];
        at[1] += at[2 + b];
        rc = add_piece(c, bend[b], at[0], at[1]);
    }
    return rc;
}

/* `bent`: at the caches' capacities. */
static int by_way(const struct fit_knows *k, const struct fit_points *p, unsigned cuts, bool bent,
                  struct weft_curve *c) {
    size_t i = 0;
    int rc = cuts > k->cuts ? WEFT_E_INVAL : 0;
    c->form = WEFT_MODEL_PIECEWISE;
    for (unsigned way = 0; way <= cuts && !rc; way++) {
        struct way w = {.from = way ? k->cut[way - 1] + 1 : 0, .x = p->x + i, .y = p->y + i};
        double bend[BENDS_MAX];
        for (; i < p->n && (way == cuts || p->x[i] <= k->cut[way]); i++) w.n++;
        rc = add_way(&w, bend, bent ? bends_of(k, &w, bend) : 0, c);
    }
    return rc;
}

static int one_cut(const struct fit_knows *k, const struct fit_points *p, struct weft_curve *c) {
    return by_way(k, p, 1, false, c);
}
static int two_cuts(const struct fit_knows *k, const struct fit_points *p, struct weft_curve *c) {
    return by_way(k, p, 2, false, c);
}
static int one_cut_bent(const struct fit_knows *k, const struct fit_points *p, struct weft_curve *c) {
    return by_way(k, p, 1, true, c);
}
static int two_cuts_bent(const struct fit_knows *k, const struct fit_points *p, struct weft_curve *c) {
    return by_way(k, p, 2, true, c);
}

static int searched(const struct fit_knows *k, const struct fit_points *p, struct weft_curve *c) {
    return weft_curve_fit(&(struct weft_curve_ask){.form = WEFT_MODEL_PIECEWISE, .pieces = PIECES}, p->x,
                          p->y, p->n, c);
}

fit_form *const fit_path_forms[] = {one_cut, two_cuts, one_cut_bent, two_cuts_bent, searched};
const size_t fit_path_form_count = sizeof fit_path_forms / sizeof *fit_path_forms;
