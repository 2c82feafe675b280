/* Asking the graph: the best observation, a property, a curve's value. Nothing here takes memory. */
#include "model/model_internal.h"

#include <math.h>
#include <string.h>

struct weft_model_condition weft_model_any(void) {
    return (struct weft_model_condition){
        .size_B = NAN, .stride_B = NAN, .threads = NAN, .load = NAN, .connections = NAN};
}

struct weft_model_observation weft_model_observation_of(weft_model_ref entity,
                                                        enum weft_model_attribute attribute, double value,
                                                        enum weft_model_source source) {
    return (struct weft_model_observation){.entity = entity,
                                           .attribute = (uint8_t)attribute,
                                           .source = (uint8_t)source,
                                           .value = value,
                                           .low = NAN,
                                           .high = NAN,
                                           .n = NAN,
                                           .when = weft_model_any()};
}

/* What an observation says (0, NAN: nothing) of what is wanted: -1 something else, 1 the same, 0 nothing. */
static int match_text(weft_model_text said, weft_model_text wanted) {
    if (!wanted || !said) return 0;
    return said == wanted ? 1 : -1;
}
static int match_number(double said, double wanted) {
    if (isnan(wanted) || isnan(said)) return 0;
    return said == wanted ? 1 : -1;
}

/* How many of the wanted conditions are met; -1: one is contradicted. */
static int match(const struct weft_model_condition *said, const struct weft_model_condition *wanted) {
    const int each[] = {match_text(said->op, wanted->op),
                        match_text(said->pattern, wanted->pattern),
                        match_text(said->type, wanted->type),
                        match_text(said->from, wanted->from),
                        match_text(said->with, wanted->with),
                        match_number(said->size_B, wanted->size_B),
                        match_number(said->stride_B, wanted->stride_B),
                        match_number(said->threads, wanted->threads),
                        match_number(said->load, wanted->load),
                        match_number(said->connections, wanted->connections)};
    int met = 0;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        if (each[i] < 0) return -1;
        met += each[i];
    }
    return met;
}

/* On how many things a number depends that it says. */
static int conditions(const struct weft_model_condition *c) {
    return !!c->op + !!c->pattern + !!c->type + !!c->from + !!c->with + !isnan(c->size_B) + !isnan(c->stride_B) +
           !isnan(c->threads) + !isnan(c->load) + !isnan(c->connections);
}

static bool is_better(const struct weft_model *m, const struct weft_model_observation *a, int met_a,
                      const struct weft_model_observation *b, int met_b) {
    if (met_a != met_b) return met_a > met_b;
    if (a->source != b->source) return a->source < b->source;
    int more = conditions(&a->when) - conditions(&b->when);
    if (more) return more < 0;
    return strcmp(m->text + a->time, m->text + b->time) > 0;
}

const struct weft_model_observation *weft_model_best(const struct weft_model *m, weft_model_ref entity,
                                                     enum weft_model_attribute attribute,
                                                     const struct weft_model_condition *wanted) {
    const struct weft_model_entity *e = &m->entities[entity];
    const struct weft_model_observation *best = NULL;
    int best_met = 0;
    for (uint32_t i = e->first_observation; i < e->first_observation + e->observations; i++) {
        const struct weft_model_observation *o = &m->observations[i];
        if (o->attribute < attribute) continue;
        if (o->attribute > attribute) break;
        int met = wanted ? match(&o->when, wanted) : 0;
        if (met < 0 || (best && !is_better(m, o, met, best, best_met))) continue;
        best = o;
        best_met = met;
    }
    return best;
}

double weft_model_value(const struct weft_model *m, weft_model_ref entity,
                        enum weft_model_attribute attribute, double otherwise) {
    const struct weft_model_observation *o = weft_model_best(m, entity, attribute, NULL);
    return o ? o->value : otherwise;
}

const char *weft_model_get_property(const struct weft_model *m, weft_model_ref entity, const char *name) {
    const struct weft_model_entity *e = &m->entities[entity];
    for (uint32_t i = e->first_property; i < e->first_property + e->properties; i++)
        if (strcmp(m->text + m->properties[i].name, name) == 0) return m->text + m->properties[i].value;
    return NULL;
}

const struct weft_model_curve *weft_model_find_curve(const struct weft_model *m, weft_model_ref entity,
                                                     enum weft_model_attribute attribute, const char *over,
                                                     const struct weft_model_condition *wanted) {
    const struct weft_model_entity *e = &m->entities[entity];
    const struct weft_model_curve *best = NULL;
    int best_met = 0;
    for (uint32_t i = e->first_curve; i < e->first_curve + e->curves; i++) {
        const struct weft_model_curve *c = &m->curves[i];
        if (c->attribute != attribute || strcmp(m->text + c->over, over) != 0) continue;
        int met = wanted ? match(&c->when, wanted) : 0;
        if (met < 0 || (best && (met < best_met || (met == best_met && c->source >= best->source)))) continue;
        best = c;
        best_met = met;
    }
    return best;
}

static double piecewise_at(const double *p, uint32_t count, double x) {
    uint32_t i = 0;
    while (i + 3 < count && x >= p[i + 3]) i += 3;
    return p[i + 1] + p[i + 2] * x;
}

static double tier_at(const double *p, uint32_t count, double x) {
    double y = p[0];
    for (uint32_t i = 1; i + 1 < count; i += 2) y += p[i + 1] * fmax(0, 1 - p[i] / x);
    return y;
}

static double table_at(const double *p, uint32_t count, double x) {
    if (count == 2 || x <= p[0]) return p[1];
    uint32_t i = 2;
    while (i + 2 < count && x > p[i]) i += 2;
    if (x >= p[i]) return p[i + 1];
    return p[i - 1] + (p[i + 1] - p[i - 1]) * (x - p[i - 2]) / (p[i] - p[i - 2]);
}

double weft_model_curve_at(const struct weft_model *m, const struct weft_model_curve *c, double x) {
    const double *p = m->numbers + c->first_parameter;
    if (x < c->from) x = c->from;
    if (x > c->to) x = c->to;
    switch ((enum weft_model_form)c->form) {
    case WEFT_MODEL_CONSTANT: return p[0];
    case WEFT_MODEL_AFFINE: return p[0] + p[1] * x;
    case WEFT_MODEL_SATURATING: return fmin(p[0] + p[1] * x, p[2]);
    case WEFT_MODEL_PIECEWISE: return piecewise_at(p, c->parameters, x);
    case WEFT_MODEL_TIER: return tier_at(p, c->parameters, x);
    case WEFT_MODEL_QUEUE_FIFO: return x < 1 ? p[0] + p[1] * (1 + x / (2 * (1 - x))) : INFINITY;
    case WEFT_MODEL_QUEUE_PS: return x < 1 ? p[0] + p[1] / (1 - x) : INFINITY;
    case WEFT_MODEL_TABLE: return table_at(p, c->parameters, x);
    case WEFT_MODEL_FORMS_COUNT: break;
    }
    return NAN;
}
