/* Curves: fitting one to samples, and how well it fits. The forms' own fits are in curve_forms.c.
 *
 * All fits are of relative errors: each equation is divided by its y. A latency of 100 ns then counts as much
 * as one of 100 us, which is what "within 5 %" asks for. */
#include "base/error.h"
#include "model/predict/curve_forms.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double weft_curve_at(const struct weft_curve *c, double x) {
    /* The forms are defined once, for the models' own curves; this is one that stands beside a model. */
    bool table = c->form == WEFT_MODEL_TABLE;
    const struct weft_model m = {.numbers = (double *)c->parameter};
    const struct weft_model_curve curve = {.form = (uint8_t)c->form,
                                           .parameters = c->parameters,
                                           .from = table ? c->from : NAN,
                                           .to = table ? c->to : NAN};
    return weft_model_curve_at(&m, &curve, x);
}

int weft_curve_error(const struct weft_curve *c, const double *x, const double *y, size_t n,
                     struct weft_fit_error *out) {
    double *at = n ? malloc(n * sizeof *at) : NULL;
    if (n && !at) return WEFT_E_NOMEM;
    for (size_t i = 0; i < n; i++) at[i] = weft_curve_at(c, x[i]);
    int rc = weft_fit_error(at, y, n, out);
    free(at);
    return rc;
}

/* -- Samples, sorted and split -- */

struct split {
    struct curve_sample all[WEFT_CURVE_SAMPLES_MAX];
    double x[2][WEFT_CURVE_SAMPLES_MAX], y[2][WEFT_CURVE_SAMPLES_MAX]; /* the fit's own, and those held out */
    size_t n[2];
};

static int compare(const void *a, const void *b) {
    double x = ((const struct curve_sample *)a)->x, y = ((const struct curve_sample *)b)->x;
    return (x > y) - (x < y);
}

static bool sample_holds(enum weft_model_form form, double x, double y) {
    bool queue = form == WEFT_MODEL_QUEUE_FIFO || form == WEFT_MODEL_QUEUE_PS;
    if (!(x >= 0) || !(y > 0) || !isfinite(x) || !isfinite(y)) return false;
    if (form == WEFT_MODEL_TIER && x == 0) return false;
    return !queue || x < 1;
}

/* Of each `hold_out` points the last is held out, but never the last of all: a form is not asked beyond its
 * domain. */
static int split(struct split *s, const struct weft_curve_ask *ask, const double *x, const double *y,
                 size_t n) {
    if (n > WEFT_CURVE_SAMPLES_MAX) return WEFT_E_TOO_BIG;
    if (ask->hold_out == 1) return WEFT_E_INVAL;
    for (size_t i = 0; i < n; i++) {
        if (!sample_holds(ask->form, x[i], y[i])) return WEFT_E_INVAL;
        s->all[i] = (struct curve_sample){x[i], y[i]};
    }
    qsort(s->all, n, sizeof *s->all, compare);
    s->n[0] = s->n[1] = 0;
    for (size_t i = 0; i < n; i++) {
        bool held = ask->hold_out && i % ask->hold_out == ask->hold_out - 1 && i + 1 < n;
        s->x[held][s->n[held]] = s->all[i].x;
        s->y[held][s->n[held]++] = s->all[i].y;
    }
    return WEFT_OK;
}

static int fit(const struct weft_curve_ask *ask, struct curve_points p, struct weft_curve *c) {
    switch (ask->form) {
    case WEFT_MODEL_CONSTANT: return curve_fit_constant(p, c);
    case WEFT_MODEL_AFFINE: return curve_fit_affine(p, c);
    case WEFT_MODEL_SATURATING: return curve_fit_saturating(p, c);
    case WEFT_MODEL_PIECEWISE: return curve_fit_piecewise(p, ask->pieces ? ask->pieces : 2, c);
    case WEFT_MODEL_TIER:
        if (ask->knee_count) return curve_fit_tier(p, ask->knees, ask->knee_count, c);
        return curve_search_tier(p, ask->pieces ? ask->pieces : 1, c);
    case WEFT_MODEL_QUEUE_FIFO:
    case WEFT_MODEL_QUEUE_PS: return curve_fit_queue(p, c);
    case WEFT_MODEL_TABLE: return curve_fit_table(p, c);
    case WEFT_MODEL_FORMS_COUNT: break;
    }
    return WEFT_E_INVAL;
}

static int fit_split(const struct weft_curve_ask *ask, const struct split *s, struct weft_curve *c) {
    if (!s->n[0]) return WEFT_E_INVAL;
    c->from = s->x[0][0];
    c->to = s->x[0][s->n[0] - 1];
    int rc = fit(ask, (struct curve_points){s->x[0], s->y[0], s->n[0]}, c);
    if (!rc) rc = weft_curve_error(c, s->x[0], s->y[0], s->n[0], &c->fitted);
    if (!rc) rc = weft_curve_error(c, s->x[1], s->y[1], s->n[1], &c->held_out);
    return rc;
}

int weft_curve_fit(const struct weft_curve_ask *ask, const double *x, const double *y, size_t n,
                   struct weft_curve *out) {
    struct split *s = malloc(sizeof *s);
    struct weft_curve c = {.form = ask->form};
    if (!s) return WEFT_E_NOMEM;
    int rc = split(s, ask, x, y, n);
    if (!rc) rc = fit_split(ask, s, &c);
    free(s);
    if (!rc) *out = c;
    return rc;
}
