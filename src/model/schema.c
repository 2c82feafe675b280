/* The JSON Schema of model files, made from the same tables that reading them goes by. */
#include "model/model_internal.h"

#include <jansson.h>
#include <string.h>

static json_t *object_of(json_t *properties, json_t *required) {
    json_t *j =
        json_pack("{s:s, s:b, s:o}", "type", "object", "additionalProperties", 0, "properties", properties);
    if (required) json_object_set_new(j, "required", required);
    return j;
}
static json_t *ref(const char *name) { return json_pack("{s:s+}", "$ref", "#/$defs/", name); }
static json_t *typed(const char *type) { return json_pack("{s:s}", "type", type); }
static json_t *text(void) {
    return json_pack("{s:s, s:i, s:i}", "type", "string", "minLength", 1, "maxLength", 4096);
}
static json_t *not_negative(void) { return json_pack("{s:s, s:i}", "type", "number", "minimum", 0); }

/* {"enum": […]} of words that blanks separate. */
static json_t *one_of(const char *words) {
    json_t *list = json_array();
    for (const char *at = words; *at;) {
        size_t len = strcspn(at, " ");
        json_array_append_new(list, json_stringn(at, len));
        at += len;
        at += *at == ' ';
    }
    return json_pack("{s:o}", "enum", list);
}

static json_t *units(enum weft_model_dimension d) {
    json_t *list = json_array();
    enum weft_model_dimension of;
    for (size_t i = 0; model_unit_at(i, &of); i++)
        if (of == d) json_array_append_new(list, json_string(model_unit_at(i, &of)));
    return json_pack("{s:o}", "enum", list);
}

#define SOURCES    "measured os datasheet literature inferred assumed"
#define STATISTICS "min median mean max p5 p95 p99 typical peak sustained total"
#define PATTERNS   "sequential stride random chase"

static void add_origin(json_t *properties) {
    json_object_set_new(properties, "source", one_of(SOURCES));
    json_object_set_new(properties, "ref", text());
    json_object_set_new(properties, "where", text());
    json_object_set_new(properties, "tool", text());
    json_object_set_new(properties, "time",
                        json_pack("{s:s, s:s}", "type", "string", "pattern", "^[0-9]{4}-[0-9]{2}-[0-9]{2}"));
}

static json_t *condition(void) {
    json_t *p = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "op", text(), "pattern",
                          one_of(PATTERNS), "type", text(), "from", ref("id"), "with", text(), "size_B",
                          not_negative(), "stride_B", not_negative(), "threads", not_negative(), "load",
                          json_pack("{s:s, s:i, s:i}", "type", "number", "minimum", 0, "maximum", 1),
                          "connections", not_negative());
    return object_of(p, NULL);
}

/* An observation whose unit is of this dimension, or (-1) any. */
static json_t *observation(int dimension) {
    json_t *p = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "value", not_negative(), "unit",
                          dimension < 0 ? text() : units((enum weft_model_dimension)dimension), "when",
                          ref("condition"), "statistic", one_of(STATISTICS), "n",
                          json_pack("{s:s, s:i}", "type", "number", "minimum", 1), "interval",
                          json_pack("{s:s, s:o, s:i, s:i}", "type", "array", "items", not_negative(),
                                    "minItems", 2, "maxItems", 2),
                          "note", text());
    add_origin(p);
    return object_of(p, json_pack("[s, s]", "value", "unit"));
}

static json_t *parameters(enum weft_model_form f) {
    json_t *p = json_object(), *required = json_array();
    const char *name;
    size_t columns;
    for (size_t i = 0; (name = model_form_parameter(f, i)); i++) {
        json_object_set_new(p, name, typed("number"));
        json_array_append_new(required, json_string(name));
    }
    if ((name = model_form_list(f, &columns))) {
        json_t *row = json_pack("{s:s, s:o, s:i, s:i}", "type", "array", "items", typed("number"), "minItems",
                                (int)columns, "maxItems", (int)columns);
        json_object_set_new(p, name,
                            json_pack("{s:s, s:o, s:i}", "type", "array", "items", row, "minItems", 1));
        json_array_append_new(required, json_string(name));
    }
    return object_of(p, required);
}

static json_t *curve(void) {
    json_t *overs = json_array(), *forms = json_array(), *any = json_array();
    enum weft_model_dimension d;
    for (size_t i = 0; model_over_at(i, &d); i++)
        json_array_append_new(overs, json_string(model_over_at(i, &d)));
    for (int f = 0; f < WEFT_MODEL_FORMS_COUNT; f++) {
        json_array_append_new(forms, json_string(weft_model_form_name((enum weft_model_form)f)));
        json_array_append_new(any, parameters((enum weft_model_form)f));
    }
    json_t *p = json_pack("{s:{s:o}, s:o, s:o, s:{s:o}, s:{s:o}, s:o, s:o, s:o, s:o, s:o}", "over", "enum",
                          overs, "over_unit", text(), "unit", text(), "form", "enum", forms, "parameters",
                          "anyOf", any, "domain",
                          json_pack("{s:s, s:o, s:i, s:i}", "type", "array", "items", not_negative(),
                                    "minItems", 2, "maxItems", 2),
                          "fit_error", not_negative(), "held_out_error", not_negative(), "when",
                          ref("condition"), "note", text());
    add_origin(p);
    return object_of(p, json_pack("[s, s, s, s]", "over", "unit", "form", "parameters"));
}

/* One, or several. */
static json_t *one_or_more(json_t *one) {
    json_t *many = json_pack("{s:s, s:O, s:i}", "type", "array", "items", one, "minItems", 1);
    return json_pack("{s:[o, o]}", "anyOf", one, many);
}

/* "values" of a kind: an observation of the right dimension for each attribute that it has. */
static json_t *values(enum weft_model_kind kind) {
    json_t *p = json_object();
    for (int a = 0; a < WEFT_MODEL_ATTRIBUTES_COUNT; a++) {
        if (!model_attribute_fits((enum weft_model_attribute)a, kind)) continue;
        char name[40];
        snprintf(name, sizeof name, "observation%d",
                 (int)weft_model_attribute_dimension((enum weft_model_attribute)a));
        json_t *j = one_or_more(ref(name));
        json_object_set_new(j, "description",
                            json_string(model_attribute_help((enum weft_model_attribute)a)));
        json_object_set_new(p, weft_model_attribute_name((enum weft_model_attribute)a), j);
    }
    return object_of(p, NULL);
}

static json_t *properties(void) {
    json_t *p = json_object();
    for (size_t i = 0; model_property_at(i); i++) {
        const char *words = model_property_words(model_property_at(i));
        json_object_set_new(p, model_property_at(i),
                            strcmp(words, "bool") == 0 ? typed("boolean")
                            : *words                   ? one_of(words)
                                                       : text());
    }
    return json_pack("{s:s, s:b, s:o, s:{s:o}}", "type", "object", "additionalProperties", 0, "properties", p,
                     "patternProperties", "^x_", text());
}

static json_t *entity(enum weft_model_kind kind) {
    json_t *p = json_pack("{s:o, s:{s:s}, s:o, s:o, s:o, s:o}", "id", ref("id"), "kind", "const",
                          weft_model_kind_name(kind), "in", ref("id"), "note", text(), "properties",
                          ref("properties"), "values", values(kind));
    json_t *required = json_pack("[s, s]", "id", "kind"), *curves = json_object();
    for (int a = 0; a < WEFT_MODEL_ATTRIBUTES_COUNT; a++)
        if (model_attribute_fits((enum weft_model_attribute)a, kind))
            json_object_set_new(curves, weft_model_attribute_name((enum weft_model_attribute)a),
                                one_or_more(ref("curve")));
    json_object_set_new(p, "curves", object_of(curves, NULL));
    if (*model_kind_classes(kind)) json_object_set_new(p, "class", one_of(model_kind_classes(kind)));
    if (model_kind_has_ends(kind)) {
        json_object_set_new(p, "ends",
                            json_pack("{s:s, s:o, s:i, s:i}", "type", "array", "items", ref("id"), "minItems",
                                      2, "maxItems", 2));
        json_array_append_new(required, json_string("ends"));
    }
    json_t *j = object_of(p, required);
    json_object_set_new(j, "description", json_string(model_kind_help(kind)));
    return j;
}

static json_t *definitions(void) {
    json_t *defs = json_pack("{s:{s:s, s:s, s:i}, s:o, s:o, s:o}", "id", "type", "string", "pattern",
                             "^[A-Za-z0-9][A-Za-z0-9._:#/-]*$", "maxLength", 255, "condition", condition(),
                             "curve", curve(), "properties", properties());
    for (int d = 0; d < WEFT_MODEL_DIMS_COUNT; d++) {
        char name[40];
        snprintf(name, sizeof name, "observation%d", d);
        json_object_set_new(defs, name, observation(d));
    }
    for (int k = 0; k < WEFT_MODEL_KINDS_COUNT; k++)
        json_object_set_new(defs, weft_model_kind_name((enum weft_model_kind)k),
                            entity((enum weft_model_kind)k));
    return defs;
}

static json_t *list_of(json_t *items) { return json_pack("{s:s, s:o}", "type", "array", "items", items); }

static json_t *root_properties(void) {
    json_t *kinds = json_array(), *origin = json_object(), *apart = observation(-1);
    for (int k = 0; k < WEFT_MODEL_KINDS_COUNT; k++)
        json_array_append_new(kinds, ref(weft_model_kind_name((enum weft_model_kind)k)));
    add_origin(origin);
    json_t *more = json_object_get(apart, "properties");
    json_object_set_new(more, "entity", ref("id"));
    json_object_set_new(more, "attribute", text());
    json_object_set_new(apart, "required", json_pack("[s, s, s, s]", "entity", "attribute", "value", "unit"));
    json_t *reference =
        object_of(json_pack("{s:o, s:o, s:o, s:o}", "title", text(), "authors", text(), "year",
                            json_pack("{s:s, s:i, s:i}", "type", "number", "minimum", 1900, "maximum", 2200),
                            "url", text()),
                  json_pack("[s]", "title"));
    json_t *use =
        object_of(json_pack("{s:o, s:o, s:o, s:o}", "model", text(), "as", text(), "in", ref("id"), "copies",
                            json_pack("{s:s, s:i, s:i}", "type", "integer", "minimum", 1, "maximum", 65536)),
                  json_pack("[s, s]", "model", "as"));
    json_t *relation = object_of(json_pack("{s:o, s:o, s:o, s:o}", "from", ref("id"), "relation",
                                           one_of("attached backs serves shares runs places"), "to",
                                           ref("id"), "domain", text()),
                                 json_pack("[s, s, s]", "from", "relation", "to"));
    return json_pack("{s:{s:i}, s:o, s:o, s:o, s:{s:s, s:o}, s:o, s:o, s:o, s:o, s:o}", "weft_model", "const",
                     1, "$schema", text(), "name", text(), "note", text(), "references", "type", "object",
                     "additionalProperties", reference, "defaults", object_of(origin, NULL), "use",
                     list_of(use), "entities", list_of(json_pack("{s:o}", "oneOf", kinds)), "observations",
                     list_of(apart), "relations", list_of(relation));
}

int weft_model_write_schema(FILE *f) {
    json_t *j = json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:[s], s:o, s:o}", "$schema",
        "https://json-schema.org/draft/2020-12/schema", "title", "weft model", "description",
        "Machines and applications as weft knows them; docs/MODEL.md explains it. Made by `weft model "
        "check --schema`.",
        "type", "object", "additionalProperties", 0, "required", "weft_model", "properties",
        root_properties(), "$defs", definitions());
    if (!j) return WEFT_E_NOMEM;
    int rc = json_dumpf(j, f, JSON_INDENT(1)) || fputc('\n', f) == EOF ? WEFT_E_IO : 0;
    json_decref(j);
    return rc;
}
