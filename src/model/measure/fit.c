/* Curves fitted to what the model has of this tool: the memory's ladder, and each path's time by size. They
 * are made anew each time, so they always belong to the observations beside them. */
#include "model/measure/measure.h"

#include "base/error.h"
#include "model/measure/fit.h"

#include <math.h>
#include <string.h>

struct fitting {
    struct measure_keep *k;
    weft_model_text tool, time, chase, size;
    measure_fit_fn *tell;
    void *ctx;
    struct fit_knows knows;
    struct measure_fit_report report;
};

static bool says(const struct weft_model *m, weft_model_text t, const char *text) {
    return strcmp(weft_model_string(m, t), text) == 0;
}

static void sort_points(struct fit_points *p) {
    for (size_t i = 1; i < p->n; i++)
        for (size_t k = i; k && p->x[k - 1] > p->x[k]; k--) {
            double x = p->x[k], y = p->y[k];
            p->x[k] = p->x[k - 1], p->y[k] = p->y[k - 1];
            p->x[k - 1] = x, p->y[k - 1] = y;
        }
}

/* The observations by size, in one state (`with`), of an entity's latency. On a busy machine the lower
 * quartile stands for the median: what else runs only adds. */
static void gather(const struct fitting *f, weft_model_ref e, weft_model_text with, weft_model_text pattern,
                   struct fit_points *out) {
    const struct weft_model *m = f->k->m;
    out->n = 0;
    for (uint32_t i = 0; i < m->observation_count && out->n < FIT_POINTS_MAX; i++) {
        const struct weft_model_observation *o = &m->observations[i];
        if (o->entity != e || o->attribute != WEFT_MODEL_LATENCY || o->tool != f->tool ||
            isnan(o->when.size_B) || o->when.with != with || o->when.pattern != pattern)
            continue;
        out->x[out->n] = o->when.size_B;
        out->y[out->n++] = f->k->busy && !isnan(o->low) ? o->low : o->value;
    }
    sort_points(out);
}

static int put_curve(struct fitting *f, weft_model_ref e, const struct weft_curve *c, weft_model_text with,
                     weft_model_text pattern) {
    struct weft_model *m = f->k->m;
    struct weft_model_curve to = {.entity = e,
                                  .attribute = WEFT_MODEL_LATENCY,
                                  .source = WEFT_MODEL_MEASURED,
                                  .form = (uint8_t)c->form,
                                  .over = f->size,
                                  .unit = weft_model_intern(m, "s"),
                                  .over_unit = weft_model_intern(m, "B"),
                                  .parameters = c->parameters,
                                  .from = c->from,
                                  .to = c->to,
                                  .fit_error = c->fitted.median,
                                  .held_out_error = c->held_out.median,
                                  .tool = f->tool,
                                  .time = f->time,
                                  .when = weft_model_any()};
    if (to.unit == WEFT_MODEL_NONE || to.over_unit == WEFT_MODEL_NONE) return WEFT_E_NOMEM;
    to.when.with = with;
    to.when.pattern = pattern;
    f->report.curves++;
    return weft_model_renew_curve(m, &to, c->parameter);
}

/* Files want the knees to rise. */
static void sort_tiers(struct weft_curve *c) {
    for (uint32_t i = 3; i + 1 < c->parameters; i += 2)
        for (uint32_t k = i; k >= 3 && c->parameter[k - 2] > c->parameter[k]; k -= 2)
            for (int j = 0; j < 2; j++) {
                double t = c->parameter[k + j];
                c->parameter[k + j] = c->parameter[k + j - 2];
                c->parameter[k + j - 2] = t;
            }
}

/* -- the ladder -- */

/* The capacities of the caches that the memory lies behind, each once, the smallest first. */
static unsigned capacities(const struct weft_model *m, weft_model_ref host, double knee[FIT_KNEES_MAX]) {
    unsigned n = 0;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        if (m->entities[e].kind != WEFT_MODEL_BUFFER || !says(m, m->entities[e].class_name, "cache"))
            continue;
        weft_model_ref up = e;
        while (up != WEFT_MODEL_NONE && up != host) up = m->entities[up].parent;
        double c = weft_model_value(m, e, WEFT_MODEL_CAPACITY, 0);
        bool known = up != host || c <= 0;
        unsigned at = n;
        for (unsigned i = 0; i < n && !known; i++) known = knee[i] == c;
        if (known || n == FIT_KNEES_MAX) continue;
        while (at && knee[at - 1] > c) knee[at] = knee[at - 1], at--;
        knee[at] = c;
        n++;
    }
    return n;
}

/* The caches as the system describes them; knees that are searched (a virtual machine may be told of caches
 * that it has a part of); straight lines. */
static int known_tiers(const struct fit_knows *k, const struct fit_points *p, struct weft_curve *out) {
    struct weft_curve_ask ask = {.form = WEFT_MODEL_TIER, .knees = k->capacity};
    while (ask.knee_count < k->capacities && k->capacity[ask.knee_count] < p->x[p->n - 1]) ask.knee_count++;
    return ask.knee_count ? weft_curve_fit(&ask, p->x, p->y, p->n, out) : WEFT_E_INVAL;
}
static int searched_tiers(const struct fit_knows *k, const struct fit_points *p, struct weft_curve *out) {
    int rc =
        weft_curve_fit(&(struct weft_curve_ask){.form = WEFT_MODEL_TIER, .pieces = 2}, p->x, p->y, p->n, out);
    if (!rc) sort_tiers(out);
    return rc;
}
static int straight_lines(const struct fit_knows *k, const struct fit_points *p, struct weft_curve *out) {
    return weft_curve_fit(&(struct weft_curve_ask){.form = WEFT_MODEL_TABLE}, p->x, p->y, p->n, out);
}

static fit_form *const ladder_forms[] = {known_tiers, searched_tiers, straight_lines};
#define LADDER_FORMS (sizeof ladder_forms / sizeof *ladder_forms)

/* -- curves into the model -- */

/* Chooses, judges, tells and puts. Points that determine no form, or that leave nothing to judge by, get no
 * curve. */
static int fit_one(struct fitting *f, weft_model_ref e, fit_form *const *forms, size_t count,
                   const struct fit_points *p, weft_model_text with, weft_model_text pattern,
                   struct weft_curve *c) {
    static struct fit_judged judged;
    *c = (struct weft_curve){.parameters = 0};
    struct weft_curve chosen;
    if (fit_choose(forms, count, &f->knows, p, &chosen) || fit_judge(forms, count, &f->knows, p, &judged))
        return 0;
    int rc = weft_fit_error(judged.predicted, judged.measured, judged.n, &chosen.held_out);
    if (rc == WEFT_E_INVAL) return 0;
    *c = chosen;
    if (!rc && f->tell)
        f->tell(f->ctx, &(struct measure_fitted){.entity = weft_model_id(f->k->m, e),
                                                 .state = weft_model_string(f->k->m, with),
                                                 .error = c->held_out,
                                                 .x = judged.x,
                                                 .measured = judged.measured,
                                                 .predicted = judged.predicted});
    return rc ? rc : put_curve(f, e, c, with, pattern);
}

static int fit_ladder(struct fitting *f, weft_model_ref host) {
    weft_model_ref memory = measure_memory(f->k->m, host);
    struct fit_points p;
    struct weft_curve c;
    if (memory == WEFT_MODEL_NONE) return 0;
    weft_model_text with = weft_model_intern(f->k->m, "huge pages");
    gather(f, memory, with, f->chase, &p);
    if (!p.n) gather(f, memory, with = 0, f->chase, &p);
    if (p.n < 8) return 0;
    int rc = fit_one(f, memory, ladder_forms, LADDER_FORMS, &p, with, f->chase, &c);
    f->report.ladder = c.held_out.median;
    return rc;
}

static int fit_path(struct fitting *f, weft_model_ref e, weft_model_text with) {
    struct fit_points p;
    struct weft_curve c;
    gather(f, e, with, 0, &p);
    if (p.n < 5) return 0;
    int rc = fit_one(f, e, fit_path_forms, fit_path_form_count, &p, with, 0, &c);
    if (rc || !c.parameters) return rc;
    f->report.worst_transport = fmax(f->report.worst_transport, c.held_out.median);
    double per_byte = c.parameter[c.parameters - 1];
    struct measure_value g = {.median = per_byte, .low = NAN, .high = NAN, .n = NAN};
    return per_byte >= 0 ? measure_put(f->k, e, WEFT_MODEL_GAP_PER_BYTE, NULL, &g) : 0;
}

int measure_fit(struct measure_keep *k, weft_model_ref host, measure_fit_fn *tell, void *ctx,
                struct measure_fit_report *out) {
    struct weft_model *m = k->m;
    struct fitting f = {.k = k, .tell = tell, .ctx = ctx};
    f.tool = weft_model_intern(m, MEASURE_TOOL);
    f.time = weft_model_intern(m, k->time);
    f.chase = weft_model_intern(m, "chase");
    f.size = weft_model_intern(m, "size");
    const weft_model_text states[] = {0, weft_model_intern(m, "near"), weft_model_intern(m, "far")};
    f.knows = (struct fit_knows){.cut = {k->eager_B, k->method2_B}, .cuts = 2};
    f.knows.capacities = capacities(m, host, f.knows.capacity);
    int rc = fit_ladder(&f, host);
    for (weft_model_ref e = 0; e < m->entity_count && !rc; e++) {
        if (m->entities[e].kind != WEFT_MODEL_SERVICE || m->entities[e].parent != host) continue;
        for (size_t i = 0; i < 3 && !rc; i++) rc = fit_path(&f, e, states[i]);
    }
    *out = f.report;
    return rc;
}
