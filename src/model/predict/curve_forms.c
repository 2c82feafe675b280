/* The fits of the simple forms: constant, affine, saturating, queue, table. */
#include "model/predict/curve_forms.h"

#include "base/error.h"
#include "model/predict/linear.h"

#include <math.h>

/* y = sum of x[i] * row[i], divided by y. */
static void add(struct linear *l, const double *row, double y) {
    double relative[LINEAR_MAX];
    for (int i = 0; i < l->unknowns; i++) relative[i] = row[i] / y;
    linear_add(l, relative, 1);
}

static bool fit_constant(struct curve_points p, double *a) {
    struct linear l;
    linear_init(&l, 1);
    for (size_t i = 0; i < p.n; i++) add(&l, (double[]){1}, p.y[i]);
    return linear_solve(&l, 0, a);
}

static bool fit_affine(struct curve_points p, double ab[2]) {
    struct linear l;
    linear_init(&l, 2);
    for (size_t i = 0; i < p.n; i++) add(&l, (double[]){1, p.x[i]}, p.y[i]);
    return linear_solve(&l, 0, ab);
}

int curve_fit_constant(struct curve_points p, struct weft_curve *c) {
    if (!fit_constant(p, c->parameter)) return WEFT_E_INVAL;
    c->parameters = 1;
    return WEFT_OK;
}

int curve_fit_affine(struct curve_points p, struct weft_curve *c) {
    if (!fit_affine(p, c->parameter)) return WEFT_E_INVAL;
    c->parameters = 2;
    return WEFT_OK;
}

static double saturating_rest(struct curve_points p, const double abc[3]) {
    double sum = 0;
    for (size_t i = 0; i < p.n; i++) {
        double e = fmin(abc[0] + abc[1] * p.x[i], abc[2]) / p.y[i] - 1;
        sum += e * e;
    }
    return sum;
}

/* The first k points rise, the others are level; the best k is tried out. */
int curve_fit_saturating(struct curve_points p, struct weft_curve *c) {
    double least = INFINITY;
    for (size_t k = 2; k < p.n; k++) {
        double abc[3];
        struct curve_points level = {p.x + k, p.y + k, p.n - k};
        if (!fit_affine((struct curve_points){p.x, p.y, k}, abc) || !fit_constant(level, abc + 2)) continue;
        double rest = saturating_rest(p, abc);
        if (!(rest < least)) continue;
        least = rest;
        for (int i = 0; i < 3; i++) c->parameter[i] = abc[i];
    }
    c->parameters = 3;
    return isinf(least) ? WEFT_E_INVAL : WEFT_OK;
}

/* y = a + s f(x), f the form with a = 0 and s = 1. A negative part makes no sense, and is left out. */
int curve_fit_queue(struct curve_points p, struct weft_curve *c) {
    struct weft_curve unit = {.form = c->form, .parameter = {0, 1}, .parameters = 2};
    struct linear both, one;
    double as[2];
    linear_init(&both, 2);
    linear_init(&one, 1);
    for (size_t i = 0; i < p.n; i++) {
        double f = weft_curve_at(&unit, p.x[i]);
        add(&both, (double[]){1, f}, p.y[i]);
        add(&one, (double[]){f}, p.y[i]);
    }
    if (!linear_solve(&both, 0, as)) return WEFT_E_INVAL;
    if (as[0] < 0) {
        as[0] = 0;
        if (!linear_solve(&one, 0, as + 1)) return WEFT_E_INVAL;
    }
    if (as[1] < 0) {
        as[1] = 0;
        if (!fit_constant(p, as)) return WEFT_E_INVAL;
    }
    c->parameter[0] = as[0];
    c->parameter[1] = as[1];
    c->parameters = 2;
    return WEFT_OK;
}

/* The mean of the points from i on that have this x; *i goes behind them. */
static double mean_y(struct curve_points p, size_t *i) {
    double sum = 0, x = p.x[*i];
    size_t from = *i;
    for (; *i < p.n && p.x[*i] == x; ++*i) sum += p.y[*i];
    return sum / (double)(*i - from);
}

int curve_fit_table(struct curve_points p, struct weft_curve *c) {
    c->parameters = 0;
    for (size_t i = 0; i < p.n;) {
        if (c->parameters + 2 > WEFT_CURVE_PARAMETERS_MAX) return WEFT_E_TOO_BIG;
        c->parameter[c->parameters++] = p.x[i];
        c->parameter[c->parameters++] = mean_y(p, &i);
    }
    return WEFT_OK;
}
