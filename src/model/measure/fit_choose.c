/* Which form fits, and what the fit is worth.
 *
 * DESIGN NOTE. A form that is chosen by its error on some points is not judged by these points any more: of
 * several that are equally wrong the luckiest wins. So there are three parts: points that are fitted, points
 * that choose, and points that judge. With some ten or twenty sizes each part would be too small; instead
 * each point is the judge once, and of the others each is the one that chooses once. That is some hundreds of
 * small fits. */
#include "base/error.h"
#include "model/measure/fit.h"

#include <math.h>

/* A fit that fails on a part of the points counts as wrong by so much there. */
#define FAILED 1.0

static struct fit_points without(const struct fit_points *p, size_t left_out) {
    struct fit_points rest = {.n = 0};
    for (size_t i = 0; i < p->n; i++) {
        if (i == left_out) continue;
        rest.x[rest.n] = p->x[i];
        rest.y[rest.n++] = p->y[i];
    }
    return rest;
}

static int fit(fit_form *form, const struct fit_knows *k, const struct fit_points *p,
               struct weft_curve *out) {
    *out = (struct weft_curve){.parameters = 0};
    int rc = p->n < 2 ? WEFT_E_INVAL : form(k, p, out);
    if (rc) return rc;
    out->from = p->x[0];
    out->to = p->x[p->n - 1];
    return 0;
}

/* The mean error of a form on points that it was not fitted to. */
static double score(fit_form *form, const struct fit_knows *k, const struct fit_points *p) {
    double sum = 0;
    for (size_t i = 1; i + 1 < p->n; i++) {
        struct fit_points rest = without(p, i);
        struct weft_curve c;
        double error = fit(form, k, &rest, &c) ? FAILED : fabs(weft_curve_at(&c, p->x[i]) / p->y[i] - 1);
        sum += fmin(error, FAILED);
    }
    return sum;
}

int fit_choose(fit_form *const *forms, size_t count, const struct fit_knows *k, const struct fit_points *p,
               struct weft_curve *out) {
    double least = INFINITY;
    int rc = WEFT_E_INVAL;
    for (size_t f = 0; f < count; f++) {
        struct weft_curve c;
        if (fit(forms[f], k, p, &c)) continue;
        double s = score(forms[f], k, p);
        if (!(s < least)) continue;
        least = s;
        *out = c;
        rc = 0;
    }
    return rc ? rc : weft_curve_error(out, p->x, p->y, p->n, &out->fitted);
}

int fit_judge(fit_form *const *forms, size_t count, const struct fit_knows *k, const struct fit_points *p,
              struct fit_judged *out) {
    out->n = 0;
    for (size_t i = 1; i + 1 < p->n; i++) {
        struct fit_points rest = without(p, i);
        struct weft_curve c;
        int rc = fit_choose(forms, count, k, &rest, &c);
        if (rc) return rc;
        out->x[out->n] = p->x[i];
        out->measured[out->n] = p->y[i];
        out->predicted[out->n++] = weft_curve_at(&c, p->x[i]);
    }
    return out->n ? 0 : WEFT_E_INVAL;
}
