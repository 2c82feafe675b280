/* Curves fitted to what the model has of this tool: the memory's ladder, and each path's time by size. They
 * are made anew each time, so they always belong to the observations beside them. */
#include "model/measure/measure.h"

#include "base/error.h"
#include "model/predict/predict.h"

#include <math.h>
#include <string.h>

#define POINTS_MAX 64
#define PIECES     4

struct points {
    double x[POINTS_MAX], y[POINTS_MAX];
    size_t n;
};

struct fitting {
    struct measure_keep *k;
    weft_model_text tool, time, chase, size;
    measure_fit_fn *tell;
    void *ctx;
    struct measure_fit_report report;
};

static bool says(const struct weft_model *m, weft_model_text t, const char *text) {
    return strcmp(weft_model_string(m, t), text) == 0;
}

/* The observations by size, in one state (`with`), of an entity's latency. On a busy machine the lower
 * quartile stands for the median: what else runs only adds. */
static void gather(const struct fitting *f, weft_model_ref e, weft_model_text with, weft_model_text pattern,
                   struct points *out) {
    const struct weft_model *m = f->k->m;
    out->n = 0;
    for (uint32_t i = 0; i < m->observation_count && out->n < POINTS_MAX; i++) {
        const struct weft_model_observation *o = &m->observations[i];
        if (o->entity != e || o->attribute != WEFT_MODEL_LATENCY || o->tool != f->tool ||
            isnan(o->when.size_B) || o->when.with != with || o->when.pattern != pattern)
            continue;
        out->x[out->n] = o->when.size_B;
        out->y[out->n++] = f->k->busy && !isnan(o->low) ? o->low : o->value;
    }
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
    if (f->tell)
        f->tell(f->ctx, weft_model_id(m, e), c->held_out.median, c->held_out.p95, c->held_out.max,
                (unsigned)c->held_out.points);
    return weft_model_renew_curve(m, &to, c->parameter);
}

static void sort_points(struct points *p) {
    for (size_t i = 1; i < p->n; i++)
        for (size_t k = i; k && p->x[k - 1] > p->x[k]; k--) {
            double x = p->x[k], y = p->y[k];
            p->x[k] = p->x[k - 1], p->y[k] = p->y[k - 1];
            p->x[k - 1] = x, p->y[k - 1] = y;
        }
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
static unsigned capacities(const struct weft_model *m, weft_model_ref host, double knee[WEFT_CURVE_KNEES_MAX],
                           double largest) {
    unsigned n = 0;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        if (m->entities[e].kind != WEFT_MODEL_BUFFER || !says(m, m->entities[e].class_name, "cache"))
            continue;
        weft_model_ref up = e;
        while (up != WEFT_MODEL_NONE && up != host) up = m->entities[up].parent;
        double c = weft_model_value(m, e, WEFT_MODEL_CAPACITY, 0);
        bool known = up != host || c <= 0 || c >= largest;
        unsigned at = n;
        for (unsigned i = 0; i < n && !known; i++) known = knee[i] == c;
        if (known || n == WEFT_CURVE_KNEES_MAX) continue;
        while (at && knee[at - 1] > c) knee[at] = knee[at - 1], at--;
        knee[at] = c;
        n++;
    }
    return n;
}

/* The form that tells held-out sizes best: the caches as the system describes them, knees that are searched
 * (a virtual machine may be told of caches that it has a part of), straight lines. */
static int best_ladder(const struct points *p, const double *knee, unsigned knees, struct weft_curve *out) {
    const struct weft_curve_ask asks[] = {
        {.form = WEFT_MODEL_TIER, .knees = knee, .knee_count = knees, .hold_out = 2},
        {.form = WEFT_MODEL_TIER, .pieces = 2, .hold_out = 2},
        {.form = WEFT_MODEL_TABLE, .hold_out = 2}};
    int rc = WEFT_E_INVAL;
    out->held_out.median = INFINITY;
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        struct weft_curve c;
        if ((i == 0 && !knees) || weft_curve_fit(&asks[i], p->x, p->y, p->n, &c)) continue;
        if (!(c.held_out.median < out->held_out.median)) continue;
        *out = c;
        rc = 0;
    }
    if (!rc && out->form == WEFT_MODEL_TIER) sort_tiers(out);
    return rc;
}

static int fit_ladder(struct fitting *f, weft_model_ref host) {
    struct weft_model *m = f->k->m;
    weft_model_ref memory = measure_memory(m, host);
    struct points p;
    struct weft_curve c;
    double knee[WEFT_CURVE_KNEES_MAX], largest = 0;
    if (memory == WEFT_MODEL_NONE) return 0;
    weft_model_text with = weft_model_intern(m, "huge pages");
    gather(f, memory, with, f->chase, &p);
    if (!p.n) gather(f, memory, with = 0, f->chase, &p);
    for (size_t i = 0; i < p.n; i++) largest = fmax(largest, p.x[i]);
    if (p.n < 8 || best_ladder(&p, knee, capacities(m, host, knee, largest), &c)) return 0;
    f->report.ladder = c.held_out.median;
    return put_curve(f, memory, &c, with, f->chase);
}

/* -- paths -- */

/* The transport changes how it sends at its cut-offs: a piece for each way, where each has enough sizes. */
static int fit_by_way(const struct measure_keep *k, const struct points *p, struct weft_curve *c) {
    const double from[] = {0, k->eager_B + 1, k->method2_B + 1, INFINITY};
    double predicted[POINTS_MAX], held[POINTS_MAX];
    size_t n = 0;
    for (int way = 0; way < 3; way++) {
        struct points part = {.n = 0}, train = {.n = 0}, out = {.n = 0};
        struct weft_curve line;
        for (size_t i = 0; i < p->n; i++)
            if (p->x[i] >= from[way] && p->x[i] < from[way + 1])
                part.x[part.n] = p->x[i], part.y[part.n++] = p->y[i];
        for (size_t i = 0; i < part.n; i++) {
            struct points *to = i % 2 ? &out : &train;
            to->x[to->n] = part.x[i];
            to->y[to->n++] = part.y[i];
        }
        if (train.n < 2) return WEFT_E_INVAL;
        int rc = weft_curve_fit(&(struct weft_curve_ask){.form = WEFT_MODEL_AFFINE}, train.x, train.y,
                                train.n, &line);
        if (rc) return rc;
        c->parameter[c->parameters++] = way ? from[way] : 0;
        c->parameter[c->parameters++] = line.parameter[0];
        c->parameter[c->parameters++] = line.parameter[1];
        for (size_t i = 0; i < out.n; i++, n++) {
            held[n] = out.y[i];
            predicted[n] = weft_curve_at(&line, out.x[i]);
        }
        c->fitted = line.fitted;
    }
    return weft_fit_error(predicted, held, n, &c->held_out);
}

static int fit_searched(const struct points *p, struct weft_curve *c) {
    struct weft_logp logp;
    int rc = weft_logp_fit(p->x, p->y, p->n, PIECES, 2, 0, 0, &logp, &c->fitted, &c->held_out);
    if (rc) return rc;
    for (unsigned i = 0; i < logp.pieces; i++) {
        c->parameter[c->parameters++] = logp.piece[i].from_B;
        c->parameter[c->parameters++] = logp.piece[i].latency_s - logp.piece[i].gap_per_byte_s;
        c->parameter[c->parameters++] = logp.piece[i].gap_per_byte_s;
    }
    return 0;
}

static int fit_path(struct fitting *f, weft_model_ref e, weft_model_text with) {
    struct points p;
    struct weft_curve c = {.form = WEFT_MODEL_PIECEWISE}, other = c;
    gather(f, e, with, 0, &p);
    if (p.n < 5) return 0;
    sort_points(&p);
    int searched = fit_searched(&p, &c), by_way = fit_by_way(f->k, &p, &other);
    if (searched && by_way) return 0;
    if (searched || (!by_way && other.held_out.median < c.held_out.median)) c = other;
    c.from = p.x[0];
    c.to = p.x[p.n - 1];
    f->report.worst_transport = fmax(f->report.worst_transport, c.held_out.median);
    double per_byte = c.parameter[c.parameters - 1];
    struct measure_value g = {.median = per_byte, .low = NAN, .high = NAN, .n = NAN};
    int rc = per_byte >= 0 ? measure_put(f->k, e, WEFT_MODEL_GAP_PER_BYTE, NULL, &g) : 0;
    return rc ? rc : put_curve(f, e, &c, with, 0);
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
    int rc = fit_ladder(&f, host);
    for (weft_model_ref e = 0; e < m->entity_count && !rc; e++) {
        if (m->entities[e].kind != WEFT_MODEL_SERVICE || m->entities[e].parent != host) continue;
        for (size_t i = 0; i < 3 && !rc; i++) rc = fit_path(&f, e, states[i]);
    }
    *out = f.report;
    return rc;
}
