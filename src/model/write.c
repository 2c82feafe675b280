/* Writing a model file: what reading it gives is the same model. Numbers go back into the unit that they came
 * in. */
#include "model/model_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct writer {
    const struct weft_model *m;
    FILE *f;
};

static void put_string(FILE *f, const char *text) {
    putc('"', f);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\') putc('\\', f);
        if (*c < ' ')
            fprintf(f, "\\u%04x", *c);
        else
            putc(*c, f);
    }
    putc('"', f);
}

/* `, "key": "text"`; nothing for a text that is not said. */
static void put_text(struct writer *w, const char *key, weft_model_text text) {
    if (!text) return;
    fprintf(w->f, ", \"%s\": ", key);
    put_string(w->f, w->m->text + text);
}

static void put_scaled(struct writer *w, double value, double factor) {
    char text[40];
    model_number_text(value, factor, text, sizeof text);
    fputs(text, w->f);
}

static void put_number(struct writer *w, const char *key, double value) {
    if (isnan(value)) return;
    fprintf(w->f, ", \"%s\": ", key);
    put_scaled(w, value, 1);
}

static void put_id(struct writer *w, const char *key, weft_model_ref e) {
    if (e != WEFT_MODEL_NONE) put_text(w, key, w->m->entities[e].id);
}

static void put_condition(struct writer *w, const struct weft_model_condition *c) {
    const struct {
        const char *key;
        weft_model_text text;
    } texts[] = {
        {"op", c->op}, {"pattern", c->pattern}, {"type", c->type}, {"from", c->from}, {"with", c->with}};
    const struct {
        const char *key;
        double number;
    } numbers[] = {{"size_B", c->size_B},
                   {"stride_B", c->stride_B},
                   {"threads", c->threads},
                   {"load", c->load},
                   {"connections", c->connections}};
    const char *between = ", ", *before = ", \"when\": {";
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!texts[i].text) continue;
        fprintf(w->f, "%s\"%s\": ", before, texts[i].key);
        put_string(w->f, w->m->text + texts[i].text);
        before = between;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (isnan(numbers[i].number)) continue;
        fprintf(w->f, "%s\"%s\": ", before, numbers[i].key);
        put_scaled(w, numbers[i].number, 1);
        before = between;
    }
    if (before == between) putc('}', w->f);
}

/* The unit's factor; what has no unit is written in SI. */
static double unit_of(struct writer *w, weft_model_text unit, enum weft_model_dimension d,
                      const char **name) {
    double factor = 1;
    *name = unit ? w->m->text + unit : weft_model_si_unit(d);
    weft_model_unit(*name, &d, &factor);
    return factor;
}

/* How a number is known: the last members of observations and curves. */
static void put_origin(struct writer *w, enum weft_model_source source, weft_model_text reference,
                       weft_model_text where, weft_model_text tool, weft_model_text time,
                       weft_model_text note) {
    fprintf(w->f, ", \"source\": \"%s\"", weft_model_source_name(source));
    put_text(w, "ref", reference);
    put_text(w, "where", where);
    put_text(w, "tool", tool);
    put_text(w, "time", time);
    put_text(w, "note", note);
}

static void put_observation(struct writer *w, const struct weft_model_observation *o) {
    const char *unit;
    double factor = unit_of(w, o->unit, weft_model_attribute_dimension(o->attribute), &unit);
    fputs("{\"value\": ", w->f);
    put_scaled(w, o->value, factor);
    fprintf(w->f, ", \"unit\": \"%s\"", unit);
    put_condition(w, &o->when);
    put_text(w, "statistic", o->statistic);
    put_number(w, "n", o->n);
    if (!isnan(o->low)) {
        fputs(", \"interval\": [", w->f);
        put_scaled(w, o->low, factor);
        fputs(", ", w->f);
        put_scaled(w, o->high, factor);
        putc(']', w->f);
    }
    put_origin(w, o->source, o->reference, o->where, o->tool, o->time, o->note);
    putc('}', w->f);
}

static void put_parameters(struct writer *w, const struct weft_model_curve *c, double x, double y) {
    const double *p = w->m->numbers + c->first_parameter;
    uint32_t i = 0;
    const char *name, *before = "";
    fputs(", \"parameters\": {", w->f);
    for (; (name = model_form_parameter(c->form, i)); i++, before = ", ") {
        fprintf(w->f, "%s\"%s\": ", before, name);
        put_scaled(w, p[i], model_form_factor(c->form, i, x, y));
    }
    size_t columns;
    const char *list = model_form_list(c->form, &columns);
    if (list) {
        fprintf(w->f, "%s\"%s\": [", before, list);
        uint32_t first = i;
        for (; i < c->parameters; i++) {
            bool begins = (i - first) % columns == 0, ends = (i - first + 1) % columns == 0;
            fputs(i == first ? "[" : begins ? ", [" : ", ", w->f);
            put_scaled(w, p[i], model_form_factor(c->form, i, x, y));
            if (ends) putc(']', w->f);
        }
        putc(']', w->f);
    }
    putc('}', w->f);
}

static void put_curve(struct writer *w, const struct weft_model_curve *c) {
    enum weft_model_dimension over = WEFT_MODEL_DIM_COUNT;
    const char *unit, *over_unit, *name;
    for (size_t i = 0; (name = model_over_at(i, &over)); i++)
        if (strcmp(name, w->m->text + c->over) == 0) break;
    double y = unit_of(w, c->unit, weft_model_attribute_dimension(c->attribute), &unit);
    double x = unit_of(w, c->over_unit, over, &over_unit);
    fprintf(w->f, "{\"over\": \"%s\", \"over_unit\": \"%s\", \"unit\": \"%s\", \"form\": \"%s\"",
            w->m->text + c->over, over_unit, unit, weft_model_form_name(c->form));
    put_parameters(w, c, x, y);
    if (!isnan(c->from)) {
        fputs(", \"domain\": [", w->f);
        put_scaled(w, c->from, x);
        fputs(", ", w->f);
        put_scaled(w, c->to, x);
        putc(']', w->f);
    }
    put_number(w, "fit_error", c->fit_error);
    put_number(w, "held_out_error", c->held_out_error);
    put_condition(w, &c->when);
    put_origin(w, c->source, c->reference, c->where, c->tool, c->time, c->note);
    putc('}', w->f);
}

static void put_properties(struct writer *w, const struct weft_model_entity *e) {
    if (!e->properties) return;
    fputs(",\n     \"properties\": {", w->f);
    for (uint32_t i = 0; i < e->properties; i++) {
        const struct weft_model_property *p = &w->m->properties[e->first_property + i];
        const char *words = model_property_words(w->m->text + p->name);
        if (i) fputs(", ", w->f);
        put_string(w->f, w->m->text + p->name);
        fputs(": ", w->f);
        if (words && strcmp(words, "bool") == 0)
            fputs(w->m->text + p->value, w->f);
        else
            put_string(w->f, w->m->text + p->value);
    }
    putc('}', w->f);
}

/* The observations or curves of an entity, by attribute: one as it is, several as a list. */
static void put_by_attribute(struct writer *w, const char *key, uint32_t first, uint32_t count,
                             uint8_t (*attribute)(const struct weft_model *m, uint32_t i),
                             void (*put)(struct writer *w, uint32_t i)) {
    if (!count) return;
    fprintf(w->f, ",\n     \"%s\": {", key);
    for (uint32_t i = first, end; i < first + count; i = end) {
        uint8_t a = attribute(w->m, i);
        for (end = i + 1; end < first + count && attribute(w->m, end) == a; end++) {
        }
        fprintf(w->f, "%s\n       \"%s\": %s", i == first ? "" : ",", weft_model_attribute_name(a),
                end - i > 1 ? "[" : "");
        for (uint32_t k = i; k < end; k++) {
            if (k > i) fputs(",\n         ", w->f);
            put(w, k);
        }
        if (end - i > 1) putc(']', w->f);
    }
    putc('}', w->f);
}

static uint8_t observation_attribute(const struct weft_model *m, uint32_t i) {
    return m->observations[i].attribute;
}
static uint8_t curve_attribute(const struct weft_model *m, uint32_t i) { return m->curves[i].attribute; }
static void put_observation_at(struct writer *w, uint32_t i) { put_observation(w, &w->m->observations[i]); }
static void put_curve_at(struct writer *w, uint32_t i) { put_curve(w, &w->m->curves[i]); }

static void put_entity(struct writer *w, const struct weft_model_entity *e) {
    fputs("    {\"id\": ", w->f);
    put_string(w->f, w->m->text + e->id);
    fprintf(w->f, ", \"kind\": \"%s\"", weft_model_kind_name(e->kind));
    put_text(w, "class", e->class_name);
    put_id(w, "in", e->parent);
    if (e->ends[0] != WEFT_MODEL_NONE && e->ends[1] != WEFT_MODEL_NONE) {
        fputs(", \"ends\": [", w->f);
        put_string(w->f, weft_model_id(w->m, e->ends[0]));
        fputs(", ", w->f);
        put_string(w->f, weft_model_id(w->m, e->ends[1]));
        putc(']', w->f);
    }
    put_text(w, "note", e->note);
    put_properties(w, e);
    put_by_attribute(w, "values", e->first_observation, e->observations, observation_attribute,
                     put_observation_at);
    put_by_attribute(w, "curves", e->first_curve, e->curves, curve_attribute, put_curve_at);
    putc('}', w->f);
}

static void put_reference(struct writer *w, const struct weft_model_reference *r) {
    fputs("    ", w->f);
    put_string(w->f, w->m->text + r->key);
    fputs(": {\"title\": ", w->f);
    put_string(w->f, w->m->text + r->title);
    put_text(w, "authors", r->authors);
    if (r->year) fprintf(w->f, ", \"year\": %s", w->m->text + r->year);
    put_text(w, "url", r->url);
    putc('}', w->f);
}

static void put_relation(struct writer *w, const struct weft_model_relation *r) {
    fputs("    {\"from\": ", w->f);
    put_string(w->f, weft_model_id(w->m, r->from));
    fprintf(w->f, ", \"relation\": \"%s\"", weft_model_relation_name(r->type));
    put_id(w, "to", r->to);
    put_text(w, "domain", r->domain);
    putc('}', w->f);
}

int weft_model_write(const struct weft_model *m, FILE *f) {
    struct writer w = {m, f};
    fputs("{\n  \"weft_model\": 1", f);
    const struct {
        const char *key;
        weft_model_text text;
    } heads[] = {{"name", m->name}, {"note", m->note}};
    for (size_t i = 0; i < 2; i++) {
        if (!heads[i].text) continue;
        fprintf(f, ",\n  \"%s\": ", heads[i].key);
        put_string(f, m->text + heads[i].text);
    }
    for (uint32_t i = 0; i < m->reference_count; i++) {
        fputs(i ? ",\n" : ",\n  \"references\": {\n", f);
        put_reference(&w, &m->references[i]);
    }
    fputs(m->reference_count ? "},\n  \"entities\": [" : ",\n  \"entities\": [", f);
    for (uint32_t i = 0; i < m->entity_count; i++) {
        fputs(i ? ",\n" : "\n", f);
        put_entity(&w, &m->entities[i]);
    }
    fputs("]", f);
    for (uint32_t i = 0; i < m->relation_count; i++) {
        fputs(i ? ",\n" : ",\n  \"relations\": [\n", f);
        put_relation(&w, &m->relations[i]);
    }
    fputs(m->relation_count ? "]\n}\n" : "\n}\n", f);
    return ferror(f) ? WEFT_E_IO : 0;
}

int weft_model_save(const struct weft_model *m, const char *path) {
    char *part = NULL;
    if (asprintf(&part, "%s.%d.new", path, (int)getpid()) < 0) return WEFT_E_NOMEM;
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666),
        rc = fd < 0 ? weft_error_from_errno(errno) : 0;
    FILE *f = rc ? NULL : fdopen(fd, "w");
    if (!rc && !f) {
        rc = weft_error_from_errno(errno);
        close(fd);
    }
    if (f) {
        rc = weft_model_write(m, f);
        if (fflush(f) || fsync(fd)) rc = weft_error_from_errno(errno);
        if (fclose(f) && !rc) rc = weft_error_from_errno(errno);
    }
    if (!rc && rename(part, path)) rc = weft_error_from_errno(errno);
    if (rc && fd >= 0) unlink(part);
    free(part);
    return rc;
}
