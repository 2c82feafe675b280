/* Provenance in words: what a number is, under which condition, and where it comes from. */
#include "model/model_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct line {
    char *out;
    size_t cap, len;
};

static void __attribute__((format(printf, 2, 3))) put(struct line *l, const char *fmt, ...) {
    if (l->len >= l->cap) return;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(l->out + l->len, l->cap - l->len, fmt, args);
    va_end(args);
    if (n > 0) l->len += (size_t)n;
}

static void put_number(struct line *l, const char *name, double value, const char *unit) {
    if (!isnan(value)) put(l, ", %s %g%s", name, value, unit);
}

void weft_model_condition_text(const struct weft_model *m, const struct weft_model_condition *c, char *out,
                               size_t cap) {
    struct line l = {out, cap, 0};
    const weft_model_text texts[] = {c->op, c->pattern, c->type, c->with};
    char size[32];
    *out = '\0';
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i]) put(&l, ", %s", weft_model_string(m, texts[i]));
    if (c->from) put(&l, ", from %s", weft_model_string(m, c->from));
    if (!isnan(c->size_B)) {
        weft_model_quantity(c->size_B, WEFT_MODEL_DIM_SIZE, size, sizeof size);
        put(&l, ", size %s", size);
    }
    if (!isnan(c->stride_B)) {
        weft_model_quantity(c->stride_B, WEFT_MODEL_DIM_SIZE, size, sizeof size);
        put(&l, ", stride %s", size);
    }
    put_number(&l, "threads", c->threads, "");
    put_number(&l, "load", 100 * c->load, " %");
    put_number(&l, "connections", c->connections, "");
    if (l.len >= 2) memmove(out, out + 2, strlen(out + 2) + 1); /* the first ", " */
}

void weft_model_reference_text(const struct weft_model *m, weft_model_text key, weft_model_text where,
                               char *out, size_t cap) {
    struct line l = {out, cap, 0};
    weft_model_ref r = key ? model_find_reference(m, key) : WEFT_MODEL_NONE;
    *out = '\0';
    if (r != WEFT_MODEL_NONE) {
        const struct weft_model_reference *x = &m->references[r];
        if (x->authors) put(&l, "%s: ", weft_model_string(m, x->authors));
        put(&l, "%s", weft_model_string(m, x->title));
        if (x->year) put(&l, ", %s", weft_model_string(m, x->year));
    }
    if (where) put(&l, "%s%s", l.len ? ", " : "", weft_model_string(m, where));
    if (r != WEFT_MODEL_NONE && m->references[r].url)
        put(&l, " <%s>", weft_model_string(m, m->references[r].url));
}

void weft_model_observation_text(const struct weft_model *m, const struct weft_model_observation *o,
                                 char *out, size_t cap) {
    struct line l = {out, cap, 0};
    char value[48], text[1024];
    enum weft_model_dimension d = weft_model_attribute_dimension(o->attribute);
    weft_model_quantity(o->value, d, value, sizeof value);
    *out = '\0';
    put(&l, "%s %s of %s", weft_model_attribute_name(o->attribute), value, weft_model_id(m, o->entity));
    weft_model_condition_text(m, &o->when, text, sizeof text);
    if (*text) put(&l, " (%s)", text);
    put(&l, ": %s", weft_model_source_name(o->source));
    if (o->statistic) put(&l, ", %s", weft_model_string(m, o->statistic));
    if (!isnan(o->n)) put(&l, " of %g", o->n);
    if (o->tool) put(&l, ", by %s", weft_model_string(m, o->tool));
    if (o->time) put(&l, ", %s", weft_model_string(m, o->time));
    weft_model_reference_text(m, o->reference, o->where, text, sizeof text);
    if (*text) put(&l, "; %s", text);
    if (o->note) put(&l, "; %s", weft_model_string(m, o->note));
}
