/* Contention: fluid sharing, and a regression on what that leaves. */
#include "base/error.h"
#include "model/predict/linear.h"
#include "model/predict/predict.h"

#include <math.h>
#include <stdlib.h>

/* How strongly coefficients are held near 0: sparse samples must not invent large ones. */
#define RIDGE 1e-3

_Static_assert(WEFT_RESOURCES_MAX <= LINEAR_MAX, "one unknown a resource");

static int check(const struct weft_workload *w, int n, int resources) {
    if (n < 1 || resources < 0) return WEFT_E_INVAL;
    if (n > WEFT_WORKLOADS_MAX || resources > WEFT_RESOURCES_MAX) return WEFT_E_TOO_BIG;
    for (int i = 0; i < n; i++)
        for (int r = 0; r < resources; r++)
            if (!(w[i].use[r] >= 0 && w[i].use[r] <= 1)) return WEFT_E_INVAL;
    return WEFT_OK;
}

/* -- Fluid sharing -- */

struct filling {
    const struct weft_workload *w;
    int n, resources;
    bool fixed[WEFT_WORKLOADS_MAX];
    double *progress;
};

/* Up to which common progress a resource carries those that are not fixed yet. */
static double level_of(const struct filling *f, int r) {
    double left = 1, wanted = 0;
    for (int i = 0; i < f->n; i++) {
        if (f->fixed[i])
            left -= f->progress[i] * f->w[i].use[r];
        else
            wanted += f->w[i].use[r];
    }
    return wanted > 0 ? fmax(left, 0) / wanted : INFINITY;
}

static void fix(struct filling *f, int r, double level) {
    for (int i = 0; i < f->n; i++) {
        if (f->fixed[i] || !(f->w[i].use[r] > 0)) continue;
        f->progress[i] = level;
        f->fixed[i] = true;
    }
}

/* All rise together until a resource is full; who uses it stays there, the others go on. */
static void fill(struct filling *f) {
    for (;;) {
        double least = 1;
        int full = -1;
        for (int r = 0; r < f->resources; r++) {
            double level = level_of(f, r);
            if (level < least) least = level, full = r;
        }
        if (full < 0) break;
        fix(f, full, least);
    }
    for (int i = 0; i < f->n; i++)
        if (!f->fixed[i]) f->progress[i] = 1;
}

int weft_fluid_share(const struct weft_workload *w, int n, int resources, double *progress) {
    struct filling f = {.w = w, .n = n, .resources = resources, .progress = progress};
    int rc = check(w, n, resources);
    if (!rc) fill(&f);
    return rc;
}

/* -- What it leaves -- */

/* What fluid sharing says of a victim beside others, and the rest's features. WEFT_E_TOO_BIG: too many. */
static int features(const struct weft_workload *w, int resources, int victim, const int *others, int n,
                    double *slowdown, double *row) {
    struct weft_workload together[WEFT_WORKLOADS_MAX];
    double progress[WEFT_WORKLOADS_MAX];
    if (n < 0 || n >= WEFT_WORKLOADS_MAX) return WEFT_E_TOO_BIG;
    together[0] = w[victim];
    for (int i = 0; i < n; i++) together[i + 1] = w[others[i]];
    int rc = weft_fluid_share(together, n + 1, resources, progress);
    if (rc) return rc;
    *slowdown = 1 / progress[0];
    for (int r = 0; r < resources; r++) {
        row[r] = 0;
        for (int i = 0; i < n; i++) row[r] += w[victim].use[r] * w[others[i]].use[r];
    }
    return WEFT_OK;
}

static bool is_sample(const struct weft_pair_sample *s, int n) {
    return s->victim >= 0 && s->victim < n && s->other >= 0 && s->other < n && s->slowdown > 0 &&
           !isinf(s->slowdown);
}

static int learn(const struct weft_workload *w, int n, const struct weft_pair_sample *s, size_t count,
                 struct weft_contention *c) {
    struct linear l;
    linear_init(&l, c->resources);
    for (size_t i = 0; i < count; i++) {
        double row[WEFT_RESOURCES_MAX], fluid;
        if (!is_sample(&s[i], n)) return WEFT_E_INVAL;
        int rc = features(w, c->resources, s[i].victim, &s[i].other, 1, &fluid, row);
        if (rc) return rc;
        linear_add(&l, row, log(s[i].slowdown / fluid));
    }
    return linear_solve(&l, RIDGE, c->coefficient) ? WEFT_OK : WEFT_E_INVAL;
}

int weft_contention_predict(const struct weft_contention *c, const struct weft_workload *w, int victim,
                            const int *others, int other_count, double *slowdown) {
    double row[WEFT_RESOURCES_MAX], fluid, rest = 0;
    int rc = features(w, c->resources, victim, others, other_count, &fluid, row);
    if (rc) return rc;
    for (int r = 0; r < c->resources; r++) rest += c->coefficient[r] * row[r];
    *slowdown = fluid * exp(rest);
    return WEFT_OK;
}

static int judge(const struct weft_workload *w, const struct weft_pair_sample *s, size_t count,
                 struct weft_contention *c) {
    double *at = malloc(2 * count * sizeof *at);
    int rc = at ? WEFT_OK : WEFT_E_NOMEM;
    for (size_t i = 0; !rc && i < count; i++) {
        at[count + i] = s[i].slowdown;
        rc = weft_contention_predict(c, w, s[i].victim, &s[i].other, 1, &at[i]);
    }
    if (!rc) rc = weft_fit_error(at, at + count, count, &c->fitted);
    free(at);
    return rc;
}

int weft_contention_fit(const struct weft_workload *w, int n, int resources,
                        const struct weft_pair_sample *samples, size_t count, struct weft_contention *out) {
    struct weft_contention c = {.resources = resources};
    int rc = check(w, n, resources);
    if (!rc && count) rc = learn(w, n, samples, count, &c);
    if (!rc && count) rc = judge(w, samples, count, &c);
    if (!rc && !count) rc = weft_fit_error(NULL, NULL, 0, &c.fitted);
    if (!rc) *out = c;
    return rc;
}
