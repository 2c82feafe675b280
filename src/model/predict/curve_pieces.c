/* The fits of forms whose breaks are searched: piecewise affine, and tiers.
 *
 * DESIGN NOTES. Pieces: the best division into k pieces follows from the best ones into k - 1 (dynamic
 * programming), so the least sum of squares is found, not approached. Tiers: with the capacities given the
 * form is linear; capacities are searched one after another on a grid of ratios, each round with the others
 * held, until none improves. */
#include "base/error.h"
#include "model/predict/curve_forms.h"
#include "model/predict/linear.h"

#include <math.h>
#include <stdlib.h>

/* -- Pieces -- */

#define PIECES WEFT_CURVE_PIECES_MAX

struct pieces {
    struct curve_points p;
    double (*least)[PIECES + 1]; /* [i][k]: of the first i points in k pieces */
    size_t (*start)[PIECES + 1]; /* where the last of those pieces begins */
};

static void add_point(const struct pieces *s, struct linear *l, size_t i) {
    linear_add(l, (double[]){1 / s->p.y[i], s->p.x[i] / s->p.y[i]}, 1);
}

/* The points up to j are k pieces, the last of which begins at i and leaves `rest`. */
static void offer(struct pieces *s, size_t i, size_t j, double rest, unsigned most) {
    for (unsigned k = 1; k <= most; k++) {
        if (!(s->least[i][k - 1] + rest < s->least[j][k])) continue;
        s->least[j][k] = s->least[i][k - 1] + rest;
        s->start[j][k] = i;
    }
}

static void divide(struct pieces *s, unsigned most) {
    double ab[2];
    for (size_t i = 0; i <= s->p.n; i++)
        for (unsigned k = 0; k <= most; k++) s->least[i][k] = i == 0 && k == 0 ? 0 : INFINITY;
    for (size_t i = 0; i + 2 <= s->p.n; i++) {
        struct linear l;
        if (i > 0 && s->p.x[i] == s->p.x[i - 1]) continue; /* one x is one piece's */
        linear_init(&l, 2);
        for (size_t j = i; j < s->p.n; j++) {
            add_point(s, &l, j);
            if (s->p.x[j] > s->p.x[i] && linear_solve(&l, 0, ab))
                offer(s, i, j + 1, linear_rest(&l, ab), most);
        }
    }
}

/* A sum of squares below this is rounding. */
static double floor_of(size_t n) { return 1e-14 * (double)n; }

/* By the Bayesian information criterion with the correction for few points (Hurvich and Tsai): a piece's
 * three numbers have to pay, and where there are hardly more points than numbers, nothing does. */
static double score_of(double rest, double n, double numbers) {
    if (numbers > 3 && n - numbers - 1 <= 0) return INFINITY;
    double few = n - numbers - 1 > 0 ? 2 * numbers * (numbers + 1) / (n - numbers - 1) : 0;
    return n * log(rest / n) + numbers * log(n) + few;
}

static unsigned choose(const struct pieces *s, unsigned most) {
    double best = INFINITY;
    unsigned pieces = 0;
    for (unsigned k = 1; k <= most; k++) {
        double rest = fmax(s->least[s->p.n][k], floor_of(s->p.n));
        double score = score_of(rest, (double)s->p.n, 3 * k);
        if (score < best) best = score, pieces = k;
    }
    return pieces;
}

static void write_pieces(const struct pieces *s, unsigned k, struct weft_curve *c) {
    c->parameters = 3 * k;
    for (size_t end = s->p.n; k > 0; k--) {
        size_t from = s->start[end][k];
        double *piece = c->parameter + 3 * (k - 1);
        struct linear l;
        linear_init(&l, 2);
        for (size_t i = from; i < end; i++) add_point(s, &l, i);
        linear_solve(&l, 0, piece + 1);
        piece[0] = from ? s->p.x[from] : 0;
        end = from;
    }
}

int curve_fit_piecewise(struct curve_points p, unsigned most, struct weft_curve *c) {
    struct pieces s = {.p = p};
    int rc = WEFT_E_NOMEM;
    if (most > PIECES) return WEFT_E_TOO_BIG;
    s.least = malloc((p.n + 1) * sizeof *s.least);
    s.start = malloc((p.n + 1) * sizeof *s.start);
    if (!s.least || !s.start) goto out;
    divide(&s, most);
    unsigned k = choose(&s, most);
    rc = k ? WEFT_OK : WEFT_E_INVAL;
    if (k) write_pieces(&s, k, c);
out:
    free(s.least);
    free(s.start);
    return rc;
}

/* -- Tiers -- */

#define KNEES WEFT_CURVE_KNEES_MAX

/* The latencies for given capacities: the sum of squares that is left; INFINITY: they are not determined. */
static double fit_tiers(struct curve_points p, const double *knees, unsigned n, double *level) {
    struct linear l;
    linear_init(&l, (int)n + 1);
    for (size_t i = 0; i < p.n; i++) {
        double row[KNEES + 1] = {1 / p.y[i]};
        for (unsigned k = 0; k < n; k++) row[k + 1] = fmax(0, 1 - knees[k] / p.x[i]) / p.y[i];
        linear_add(&l, row, 1);
    }
    return linear_solve(&l, 0, level) ? linear_rest(&l, level) : INFINITY;
}

int curve_fit_tier(struct curve_points p, const double *knees, unsigned n, struct weft_curve *c) {
    double level[KNEES + 1];
    if (n > KNEES) return WEFT_E_TOO_BIG;
    for (unsigned k = 0; k < n; k++)
        if (!(knees[k] >= 0) || isinf(knees[k])) return WEFT_E_INVAL;
    if (isinf(fit_tiers(p, knees, n, level))) return WEFT_E_INVAL;
    c->parameter[0] = level[0];
    for (unsigned k = 0; k < n; k++) {
        c->parameter[1 + 2 * k] = knees[k];
        c->parameter[2 + 2 * k] = level[k + 1];
    }
    c->parameters = 1 + 2 * n;
    return WEFT_OK;
}

/* One knee moved over a grid between `low` and `high`, the others held; true: it improved. */
static bool move_knee(struct curve_points p, double *knees, unsigned n, unsigned which, double low,
                      double high, double *least) {
    enum { STEPS = 48 };
    double level[KNEES + 1], best = knees[which], before = *least;
    for (int i = 0; i <= STEPS; i++) {
        knees[which] = low * pow(high / low, (double)i / STEPS);
        double rest = fit_tiers(p, knees, n, level);
        if (rest < *least) *least = rest, best = knees[which];
    }
    knees[which] = best;
    return *least < before * (1 - 1e-9);
}

int curve_search_tier(struct curve_points p, unsigned n, struct weft_curve *c) {
    double knees[KNEES] = {0}, low = p.x[0], high = p.x[p.n - 1], least = INFINITY;
    if (n > KNEES) return WEFT_E_TOO_BIG;
    if (!(high > low)) return WEFT_E_INVAL;
    for (unsigned k = 0; k < n; k++) {
        least = INFINITY;
        move_knee(p, knees, k + 1, k, low, high, &least);
        for (bool better = true; better;) {
            better = false;
            for (unsigned i = 0; i <= k; i++) better |= move_knee(p, knees, k + 1, i, low, high, &least);
        }
    }
    /* Finer, around what was found: from the grid's own step down. */
    for (double ratio = pow(high / low, 1.0 / 48); ratio > 1.0001; ratio = sqrt(ratio))
        for (unsigned i = 0; i < n; i++)
            move_knee(p, knees, n, i, knees[i] / ratio, knees[i] * ratio, &least);
    return isinf(least) ? WEFT_E_INVAL : curve_fit_tier(p, knees, n, c);
}
