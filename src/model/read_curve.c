/* Curves: an attribute as a function of one quantity. */
#include "model/read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PARAMETERS_MAX (1u << 20)

/* What a curve may depend on. */
static const struct {
    const char *name;
    enum weft_model_dimension dimension;
} overs[] = {{"size", WEFT_MODEL_DIM_SIZE},         {"stride", WEFT_MODEL_DIM_SIZE},
             {"threads", WEFT_MODEL_DIM_COUNT},     {"load", WEFT_MODEL_DIM_COUNT},
             {"connections", WEFT_MODEL_DIM_COUNT}, {"count", WEFT_MODEL_DIM_COUNT}};

/* The parameters of each form as the file has them: single numbers, then a list of rows. Each letter is a
 * number's unit: x, y, or s for y per x. */
static const struct layout {
    const char *names[3], *singles, *list, *row;
} layouts[] = {
    [WEFT_MODEL_CONSTANT] = {{"a"}, "y", NULL, NULL},
    [WEFT_MODEL_AFFINE] = {{"a", "b"}, "ys", NULL, NULL},
    [WEFT_MODEL_SATURATING] = {{"a", "b", "c"}, "ysy", NULL, NULL},
    [WEFT_MODEL_PIECEWISE] = {{NULL}, "", "pieces", "xys"},
    [WEFT_MODEL_TIER] = {{"base"}, "y", "tiers", "xy"},
    [WEFT_MODEL_QUEUE_FIFO] = {{"base", "service"}, "yy", NULL, NULL},
    [WEFT_MODEL_QUEUE_PS] = {{"base", "service"}, "yy", NULL, NULL},
    [WEFT_MODEL_TABLE] = {{NULL}, "", "points", "xy"},
};

const char *model_form_parameter(enum weft_model_form f, size_t i) {
    return i < strlen(layouts[f].singles) ? layouts[f].names[i] : NULL;
}
const char *model_form_list(enum weft_model_form f, size_t *columns) {
    *columns = layouts[f].row ? strlen(layouts[f].row) : 0;
    return layouts[f].list;
}
double model_form_factor(enum weft_model_form f, uint32_t i, double x, double y) {
    const struct layout *l = &layouts[f];
    size_t singles = strlen(l->singles);
    char c = i < singles ? l->singles[i] : l->row[(i - singles) % strlen(l->row)];
    return c == 'x' ? x : c == 'y' ? y : y / x;
}
const char *model_over_at(size_t i, enum weft_model_dimension *d) {
    if (i >= sizeof overs / sizeof *overs) return NULL;
    *d = overs[i].dimension;
    return overs[i].name;
}

struct parameters {
    double *p;
    uint32_t count;
};

static bool read_row(struct reader *r, const struct at *at, const json_t *j, size_t columns, double *out) {
    if (!read_array(r, at, j, columns, columns)) return false;
    for (size_t i = 0; i < columns; i++)
        if (!read_finite(r, &(struct at){at, NULL, i}, json_array_get(j, i), &out[i])) return false;
    return true;
}

/* The rows of a list; their first column rises. */
static bool read_rows(struct reader *r, const struct at *up, const json_t *j, const struct layout *l,
                      bool tier, struct parameters *out) {
    struct at at = {up, l->list, 0};
    const json_t *list = json_object_get(j, l->list);
    if (!list) return read_fault(r, up, "\"%s\" is missing", l->list);
    size_t columns = strlen(l->row);
    if (!read_array(r, &at, list, 1, PARAMETERS_MAX / columns)) return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct at row = {&at, NULL, i};
        double *to = out->p + out->count;
        if (!read_row(r, &row, json_array_get(list, i), columns, to)) return false;
        if (i > 0 && to[0] <= to[-(ptrdiff_t)columns])
            return read_fault(r, &row, "its first number does not rise");
        if (tier && to[0] <= 0) return read_fault(r, &row, "the capacity is not above zero");
        out->count += (uint32_t)columns;
    }
    return true;
}

static bool read_parameters(struct reader *r, const struct at *up, const json_t *curve,
                            enum weft_model_form form, struct parameters *out) {
    const struct layout *l = &layouts[form];
    const json_t *j = json_object_get(curve, "parameters");
    if (!j) return read_fault(r, up, "\"parameters\" is missing");
    struct at at = {up, "parameters", 0};
    const char *keys[5] = {NULL};
    size_t singles = strlen(l->singles);
    for (size_t i = 0; i < singles; i++) keys[i] = l->names[i];
    keys[singles] = l->list;
    if (!read_object(r, &at, j, keys)) return false;
    size_t rows = l->list ? json_array_size(json_object_get(j, l->list)) : 0;
    if (rows > PARAMETERS_MAX / 3) return read_fault(r, &at, "it has more than %u numbers", PARAMETERS_MAX);
    out->p = calloc(singles + 3 * rows + 1, sizeof *out->p);
    if (!out->p) return read_no_memory(r);
    for (size_t i = 0; i < singles; i++)
        if (!read_number(r, &at, j, l->names[i], MUST, -INFINITY, INFINITY, &out->p[out->count++]))
            return false;
    return !l->list || read_rows(r, &at, j, l, form == WEFT_MODEL_TIER, out);
}

static bool read_domain(struct reader *r, const struct at *up, const json_t *j, double factor,
                        struct weft_model_curve *c) {
    const json_t *domain = json_object_get(j, "domain");
    c->from = c->to = NAN;
    if (!domain) return true;
    struct at at = {up, "domain", 0};
    double ends[2];
    if (!read_row(r, &at, domain, 2, ends)) return false;
    if (ends[0] < 0 || ends[0] > ends[1])
        return read_fault(r, &at, "it goes from %g to %g", ends[0], ends[1]);
    c->from = ends[0] * factor;
    c->to = ends[1] * factor;
    return true;
}

/* The units of x and y. */
static bool read_units(struct reader *r, const struct at *at, const json_t *j, struct weft_model_curve *c,
                       double *x, double *y) {
    char words[80] = "";
    enum weft_model_dimension over = WEFT_MODEL_DIM_COUNT;
    for (size_t i = 0; i < sizeof overs / sizeof *overs; i++)
        snprintf(words + strlen(words), sizeof words - strlen(words), "%s ", overs[i].name);
    if (!json_object_get(j, "over")) return read_fault(r, at, "\"over\" is missing: what does it depend on?");
    if (!read_word(r, at, j, "over", words, &c->over)) return false;
    for (size_t i = 0; i < sizeof overs / sizeof *overs; i++)
        if (strcmp(overs[i].name, weft_model_string(r->m, c->over)) == 0) over = overs[i].dimension;
    *x = 1;
    if (json_object_get(j, "over_unit") || over != WEFT_MODEL_DIM_COUNT) {
        if (!read_unit(r, at, j, "over_unit", over, weft_model_string(r->m, c->over), &c->over_unit, x))
            return false;
    }
    return read_unit(r, at, j, "unit", weft_model_attribute_dimension(c->attribute),
                     weft_model_attribute_name(c->attribute), &c->unit, y);
}

static bool read_form(struct reader *r, const struct at *at, const json_t *j, enum weft_model_form *out) {
    weft_model_text form = 0;
    if (!json_object_get(j, "form")) return read_fault(r, at, "\"form\" is missing");
    if (!read_word(r, at, j, "form", "constant affine saturating piecewise tier queue_fifo queue_ps table",
                   &form))
        return false;
    *out = (enum weft_model_form)model_form_of(weft_model_string(r->m, form));
    return true;
}

static bool read_head(struct reader *r, const struct at *at, const json_t *j, struct weft_model_curve *c,
                      double *x, double *y) {
    static const char *const keys[] = {
        "over",      "over_unit",      "unit",   "form", "parameters", "domain", "when", "note",
        "fit_error", "held_out_error", "source", "ref",  "where",      "tool",   "time", NULL};
    struct defaults origin;
    if (!read_object(r, at, j, keys) || !read_units(r, at, j, c, x, y) || !read_domain(r, at, j, *x, c) ||
        !read_number(r, at, j, "fit_error", MAY, 0, INFINITY, &c->fit_error) ||
        !read_number(r, at, j, "held_out_error", MAY, 0, INFINITY, &c->held_out_error) ||
        !read_text(r, at, j, "note", MAY, &c->note) || !read_condition(r, at, j, &c->when) ||
        !read_origin(r, at, j, &origin))
        return false;
    if (origin.source < 0) return read_fault(r, at, "\"source\" is missing: where does the curve come from?");
    c->source = (uint8_t)origin.source;
    c->reference = origin.reference;
    c->where = origin.where;
    c->tool = origin.tool;
    c->time = origin.time;
    return true;
}

bool read_curve(struct reader *r, const struct at *at, const json_t *j, weft_model_ref e,
                enum weft_model_attribute a) {
    struct weft_model_curve c = {
        .entity = e, .attribute = (uint8_t)a, .fit_error = NAN, .held_out_error = NAN};
    struct parameters p = {0};
    enum weft_model_form form = WEFT_MODEL_CONSTANT;
    double x, y;
    bool ok =
        read_head(r, at, j, &c, &x, &y) && read_form(r, at, j, &form) && read_parameters(r, at, j, form, &p);
    if (ok) {
        c.form = (uint8_t)form;
        c.parameters = p.count;
        for (uint32_t i = 0; i < p.count && ok; i++) {
            p.p[i] *= model_form_factor(form, i, x, y);
            ok = isfinite(p.p[i]) || read_fault(r, at, "a parameter is too large");
        }
        ok = ok && (weft_model_add_curve(r->m, &c, p.p) == 0 || read_no_memory(r));
    }
    free(p.p);
    return ok;
}
