/* Fields of a model file: objects, texts, numbers and references, each checked where it is read. */
#include "model/read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 4096

static const char *type_name(const json_t *j) {
    static const char *const names[] = {"an object",     "an array", "a string", "an integer",
                                        "a real number", "true",     "false",    "null"};
    return names[json_typeof(j)];
}

bool read_object(struct reader *r, const struct at *at, const json_t *j, const char *const *keys) {
    if (!json_is_object(j)) return read_fault(r, at, "an object is wanted, not %s", type_name(j));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)j, key, value) {
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0) i++;
        if (!keys[i]) return read_unknown(r, &(struct at){at, key, 0}, "field", key, keys);
    }
    return true;
}

bool read_array(struct reader *r, const struct at *at, const json_t *j, size_t min, size_t max) {
    if (!json_is_array(j)) return read_fault(r, at, "an array is wanted, not %s", type_name(j));
    size_t n = json_array_size(j);
    if (n >= min && n <= max) return true;
    if (min == max) return read_fault(r, at, "%zu items are wanted, not %zu", min, n);
    return read_fault(r, at, n < min ? "at least %zu items are wanted" : "at most %zu items are wanted",
                      n < min ? min : max);
}

/* The field, or NULL: *ok tells whether it may be missing. */
static const json_t *field(struct reader *r, const struct at *up, const json_t *j, const char *key,
                           enum presence p, bool *ok) {
    const json_t *value = json_object_get(j, key);
    *ok = value || p == MAY || read_fault(r, up, "\"%s\" is missing", key);
    return value;
}

bool read_text(struct reader *r, const struct at *up, const json_t *j, const char *key, enum presence p,
               weft_model_text *out) {
    bool ok;
    const json_t *value = field(r, up, j, key, p, &ok);
    if (!value) return ok;
    struct at at = {up, key, 0};
    if (!json_is_string(value)) return read_fault(r, &at, "a string is wanted, not %s", type_name(value));
    size_t len = json_string_length(value);
    if (len == 0) return read_fault(r, &at, "it is empty");
    if (len > TEXT_MAX) return read_fault(r, &at, "it is longer than %d bytes", TEXT_MAX);
    for (const unsigned char *c = (const unsigned char *)json_string_value(value); *c; c++)
        if (*c < ' ' || *c == 127) return read_fault(r, &at, "it has a control character (%d)", *c);
    *out = weft_model_intern(r->m, json_string_value(value));
    return *out != WEFT_MODEL_NONE || read_no_memory(r);
}

bool read_finite(struct reader *r, const struct at *at, const json_t *j, double *out) {
    if (!json_is_number(j)) return read_fault(r, at, "a number is wanted, not %s", type_name(j));
    *out = json_number_value(j);
    return isfinite(*out) || read_fault(r, at, "the number is not finite");
}

bool read_number(struct reader *r, const struct at *up, const json_t *j, const char *key, enum presence p,
                 double min, double max, double *out) {
    bool ok;
    const json_t *value = field(r, up, j, key, p, &ok);
    if (!value) return ok;
    struct at at = {up, key, 0};
    double number;
    if (!read_finite(r, &at, value, &number)) return false;
    if (number < min && min == 0) return read_fault(r, &at, "it is negative: %g", number);
    if (number < min || number > max)
        return read_fault(r, &at, "%g is not in the range %g to %g", number, min, max);
    *out = number;
    return true;
}

#define WORDS_MAX 32
bool read_word(struct reader *r, const struct at *up, const json_t *j, const char *key, const char *words,
               weft_model_text *out) {
    if (!json_object_get(j, key)) return true;
    weft_model_text word = 0;
    if (!read_text(r, up, j, key, MUST, &word)) return false;
    char copy[512], *save;
    const char *list[WORDS_MAX + 1], *wanted = weft_model_string(r->m, word);
    snprintf(copy, sizeof copy, "%s", words);
    size_t n = 0;
    for (char *w = strtok_r(copy, " ", &save); w && n < WORDS_MAX; w = strtok_r(NULL, " ", &save))
        list[n++] = w;
    list[n] = NULL;
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], wanted) == 0) return (*out = word, true);
    return read_unknown(r, &(struct at){up, key, 0}, key, wanted, list);
}

weft_model_text read_id(struct reader *r, const char *id) {
    char full[512];
    if ((size_t)snprintf(full, sizeof full, "%s%s", r->prefix, id) >= sizeof full) return WEFT_MODEL_NONE;
    return model_lookup(r->m, full);
}

bool read_entity(struct reader *r, const struct at *at, const json_t *j, weft_model_ref *out) {
    if (!json_is_string(j)) return read_fault(r, at, "the id of an entity is wanted, not %s", type_name(j));
    weft_model_text text = read_id(r, json_string_value(j));
    weft_model_ref e =
        text == WEFT_MODEL_NONE ? WEFT_MODEL_NONE : weft_model_find(r->m, weft_model_string(r->m, text));
    if (e == WEFT_MODEL_NONE) return read_fault(r, at, "there is no entity \"%.100s\"", json_string_value(j));
    *out = e;
    return true;
}
