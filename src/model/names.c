/* Names of kinds, classes, attributes, relations, sources and forms, as files and questions have them. */
#include "model/model_internal.h"

#include <string.h>

static const struct {
    const char *name, *help, *classes;
} kinds[] = {
#define X(name, text, help, classes) {text, help, classes},
    WEFT_MODEL_KINDS(X)
#undef X
};

static const struct {
    const char *name;
    enum weft_model_dimension dimension;
    unsigned kinds;
    const char *help;
} attributes[] = {
#define X(name, text, dimension, kinds, help) {text, WEFT_MODEL_DIM_##dimension, kinds, help},
    WEFT_MODEL_ATTRIBUTES(X)
#undef X
};

static const char *const relations[] = {
#define X(name, text, help) text,
    WEFT_MODEL_RELATIONS(X)
#undef X
};
static const char *const sources[] = {"measured", "os", "datasheet", "literature", "inferred", "assumed"};
static const char *const forms[] = {"constant", "affine",     "saturating", "piecewise",
                                    "tier",     "queue_fifo", "queue_ps",   "table"};

/* How many parameters a form has at least, and how many more at a time. */
static const struct {
    uint32_t least, step;
} parameters[] = {{1, 0}, {2, 0}, {3, 0}, {3, 3}, {1, 2}, {2, 0}, {2, 0}, {2, 2}};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static int index_of(const char *const *names, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return (int)i;
    return -1;
}

const char *weft_model_kind_name(enum weft_model_kind k) { return k < COUNT(kinds) ? kinds[k].name : "?"; }
const char *weft_model_attribute_name(enum weft_model_attribute a) {
    return a < COUNT(attributes) ? attributes[a].name : "?";
}
enum weft_model_dimension weft_model_attribute_dimension(enum weft_model_attribute a) {
    return a < COUNT(attributes) ? attributes[a].dimension : WEFT_MODEL_DIM_COUNT;
}
const char *weft_model_relation_name(enum weft_model_relation_type r) {
    return r < COUNT(relations) ? relations[r] : "?";
}
const char *weft_model_source_name(enum weft_model_source s) { return s < COUNT(sources) ? sources[s] : "?"; }
const char *weft_model_form_name(enum weft_model_form f) { return f < COUNT(forms) ? forms[f] : "?"; }

int model_kind_of(const char *name) {
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0) return (int)i;
    return -1;
}

int model_attribute_of(const char *name) {
    for (size_t i = 0; i < COUNT(attributes); i++)
        if (strcmp(attributes[i].name, name) == 0) return (int)i;
    return -1;
}

int model_relation_of(const char *name) { return index_of(relations, COUNT(relations), name); }
int model_source_of(const char *name) { return index_of(sources, COUNT(sources), name); }
int model_form_of(const char *name) { return index_of(forms, COUNT(forms), name); }

bool model_class_fits(enum weft_model_kind kind, const char *class_name) {
    size_t len = strlen(class_name);
    for (const char *at = kinds[kind].classes; *at;) {
        size_t word = strcspn(at, " ");
        if (word == len && memcmp(at, class_name, len) == 0) return true;
        at += word;
        at += *at == ' ';
    }
    return false;
}

bool model_attribute_fits(enum weft_model_attribute a, enum weft_model_kind kind) {
    return attributes[a].kinds >> kind & 1;
}

bool model_kind_has_ends(enum weft_model_kind kind) {
    return kind == WEFT_MODEL_LINK || kind == WEFT_MODEL_SERVICE || kind >= WEFT_MODEL_ACCESS;
}

const char *model_kind_classes(enum weft_model_kind kind) { return kinds[kind].classes; }
const char *model_kind_help(enum weft_model_kind kind) { return kinds[kind].help; }
const char *model_attribute_help(enum weft_model_attribute a) { return attributes[a].help; }
unsigned model_attribute_kinds(enum weft_model_attribute a) { return attributes[a].kinds; }

bool model_form_takes(enum weft_model_form f, uint32_t count) {
    uint32_t least = parameters[f].least, step = parameters[f].step;
    return count == least || (step && count > least && (count - least) % step == 0);
}
