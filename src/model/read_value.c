/* Observations: a number with its unit, its condition and where it comes from. */
#include "model/read.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

bool read_unit(struct reader *r, const struct at *up, const json_t *j, const char *key,
               enum weft_model_dimension d, const char *what, weft_model_text *unit, double *factor) {
    if (!read_text(r, up, j, key, MUST, unit)) return false;
    struct at at = {up, key, 0};
    const char *name = weft_model_string(r->m, *unit), *fitting[32];
    enum weft_model_dimension dimension;
    size_t n = 0;
    for (size_t i = 0; model_unit_at(i, &dimension) && n < 31; i++)
        if (dimension == d) fitting[n++] = model_unit_at(i, &dimension);
    fitting[n] = NULL;
    if (!weft_model_unit(name, &dimension, factor)) return read_unknown(r, &at, "unit", name, fitting);
    if (dimension == d) return true;
    return read_fault(r, &at, "%s is not measured in %s, but in %s", what, name, weft_model_si_unit(d));
}

static bool read_time(struct reader *r, const struct at *up, const json_t *j, weft_model_text *out) {
    if (!read_text(r, up, j, "time", MAY, out) || !*out) return r->rc == 0;
    const char *t = weft_model_string(r->m, *out), *form = "dddd-dd-dd";
    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'd' ? !isdigit((unsigned char)t[i]) : t[i] != form[i])
            return read_fault(r, &(struct at){up, "time", 0}, "a time as in 2026-11-27T10:30:00Z is wanted");
    return true;
}

bool read_origin(struct reader *r, const struct at *at, const json_t *j, struct defaults *out) {
    *out = r->defaults;
    weft_model_text source = 0, reference = 0;
    if (!read_word(r, at, j, "source", "measured os datasheet literature inferred assumed", &source) ||
        !read_text(r, at, j, "ref", MAY, &reference) || !read_text(r, at, j, "where", MAY, &out->where) ||
        !read_text(r, at, j, "tool", MAY, &out->tool) || !read_time(r, at, j, &out->time))
        return false;
    if (source) out->source = model_source_of(weft_model_string(r->m, source));
    if (!reference) return true;
    if (model_find_reference(r->m, reference) == WEFT_MODEL_NONE)
        return read_fault(r, &(struct at){at, "ref", 0}, "there is no \"%.60s\" among the references",
                          weft_model_string(r->m, reference));
    out->reference = reference;
    return true;
}

/* Who accesses: "local", "remote", or the id of an entity. */
static bool read_from(struct reader *r, const struct at *up, const json_t *j, weft_model_text *out) {
    const json_t *from = json_object_get(j, "from");
    if (!from) return true;
    const char *text = json_string_value(from);
    if (text && (strcmp(text, "local") == 0 || strcmp(text, "remote") == 0))
        return read_text(r, up, j, "from", MUST, out);
    weft_model_ref e;
    if (!read_entity(r, &(struct at){up, "from", 0}, from, &e)) return false;
    *out = r->m->entities[e].id;
    return true;
}

bool read_condition(struct reader *r, const struct at *up, const json_t *j,
                    struct weft_model_condition *out) {
    static const char *const keys[] = {"op",       "pattern", "type", "from",        "with", "size_B",
                                       "stride_B", "threads", "load", "connections", NULL};
    *out = weft_model_any();
    const json_t *when = json_object_get(j, "when");
    if (!when) return true;
    struct at at = {up, "when", 0};
    return read_object(r, &at, when, keys) && read_text(r, &at, when, "op", MAY, &out->op) &&
           read_word(r, &at, when, "pattern", "sequential stride random chase", &out->pattern) &&
           read_text(r, &at, when, "type", MAY, &out->type) && read_from(r, &at, when, &out->from) &&
           read_text(r, &at, when, "with", MAY, &out->with) &&
           read_number(r, &at, when, "size_B", MAY, 0, INFINITY, &out->size_B) &&
           read_number(r, &at, when, "stride_B", MAY, 0, INFINITY, &out->stride_B) &&
           read_number(r, &at, when, "threads", MAY, 0, INFINITY, &out->threads) &&
           read_number(r, &at, when, "load", MAY, 0, 1, &out->load) &&
           read_number(r, &at, when, "connections", MAY, 0, INFINITY, &out->connections);
}

static bool read_interval(struct reader *r, const struct at *up, const json_t *j, double factor,
                          struct weft_model_observation *o) {
    const json_t *interval = json_object_get(j, "interval");
    if (!interval) return true;
    struct at at = {up, "interval", 0};
    double low, high;
    if (!read_array(r, &at, interval, 2, 2) ||
        !read_finite(r, &(struct at){&at, NULL, 0}, json_array_get(interval, 0), &low) ||
        !read_finite(r, &(struct at){&at, NULL, 1}, json_array_get(interval, 1), &high))
        return false;
    if (low < 0 || low > high) return read_fault(r, &at, "it goes from %g to %g", low, high);
    o->low = low * factor;
    o->high = high * factor;
    return true;
}

bool read_observation(struct reader *r, const struct at *at, const json_t *j, weft_model_ref e,
                      enum weft_model_attribute a) {
    struct weft_model_observation o = weft_model_observation_of(e, a, 0, WEFT_MODEL_ASSUMED);
    struct defaults origin;
    double factor = 1, value;
    if (!read_number(r, at, j, "value", MUST, 0, INFINITY, &value) ||
        !read_unit(r, at, j, "unit", weft_model_attribute_dimension(a), weft_model_attribute_name(a), &o.unit,
                   &factor) ||
        !read_origin(r, at, j, &origin) || !read_interval(r, at, j, factor, &o) ||
        !read_word(r, at, j, "statistic", "min median mean max p5 p95 p99 typical peak sustained total",
                   &o.statistic) ||
        !read_number(r, at, j, "n", MAY, 1, INFINITY, &o.n) || !read_text(r, at, j, "note", MAY, &o.note) ||
        !read_condition(r, at, j, &o.when))
        return false;
    if (origin.source < 0)
        return read_fault(r, at, "\"source\" is missing: where does the number come from?");
    o.value = value * factor;
    if (!isfinite(o.value)) return read_fault(r, at, "the value is too large");
    o.source = (uint8_t)origin.source;
    o.reference = origin.reference;
    o.where = origin.where;
    o.tool = origin.tool;
    o.time = origin.time;
    return weft_model_add_observation(r->m, &o) == 0 || read_no_memory(r);
}

bool read_attribute(struct reader *r, const struct at *at, const char *name, weft_model_ref e, int *out) {
    enum weft_model_kind kind = r->m->entities[e].kind;
    int a = model_attribute_of(name);
    if (a >= 0 && model_attribute_fits((enum weft_model_attribute)a, kind)) return (*out = a, true);
    const char *list[WEFT_MODEL_ATTRIBUTES_COUNT + 1];
    size_t n = 0;
    for (int i = 0; i < WEFT_MODEL_ATTRIBUTES_COUNT; i++)
        if (model_attribute_fits((enum weft_model_attribute)i, kind))
            list[n++] = weft_model_attribute_name((enum weft_model_attribute)i);
    list[n] = NULL;
    char what[64];
    snprintf(what, sizeof what, "attribute of a %s:", weft_model_kind_name(kind));
    return read_unknown(r, at, what, name, list);
}
