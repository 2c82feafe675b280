/* Reading a model file: what its parts share. Each reader returns false after it has told the fault. */
#ifndef WEFT_MODEL_READ_H
#define WEFT_MODEL_READ_H
#include "model/model_internal.h"

#include <jansson.h>

/* Where in the file: the chain up to the root. A step is a key, or an index when key is NULL. */
struct at {
    const struct at *up;
    const char *key;
    size_t index;
};

struct defaults {
    int source; /* -1: none */
    weft_model_text reference, where, tool, time;
};

struct reader {
    struct weft_model *m;
    struct weft_model_fault *fault;
    const char *file, *text;
    size_t len;
    const char *prefix;    /* before each id, with its dot; "": none */
    weft_model_ref parent; /* of what has no `in`; WEFT_MODEL_NONE: nothing */
    weft_model_ref first;  /* of this file's entities */
    struct defaults defaults;
    unsigned depth; /* of files that use files */
    int rc;         /* why it failed, where that is not the file's fault */
};

/* What is wrong at this place. Always false. */
bool read_fault(struct reader *r, const struct at *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool read_no_memory(struct reader *r);
/* A name that is none of the list, which NULL ends: "unknown WHAT "NAME"; did you mean …?" or the list.
 * Always false. */
bool read_unknown(struct reader *r, const struct at *at, const char *what, const char *name,
                  const char *const *list);
/* The line of a place in a text that is known to be JSON; 0: not found. */
unsigned read_line_of(const char *text, size_t len, const struct at *at);
/* "$.entities[3].values". */
void read_path_of(const struct at *at, char *out, size_t cap);

/* An object, with none but these keys (NULL ends them). */
bool read_object(struct reader *r, const struct at *at, const json_t *j, const char *const *keys);
bool read_array(struct reader *r, const struct at *at, const json_t *j, size_t min, size_t max);
/* A field of an object; what is not there leaves *out, unless `must`. Texts are interned; "" and blanks are
 * refused. */
enum presence { MAY, MUST };
bool read_text(struct reader *r, const struct at *up, const json_t *j, const char *key, enum presence p,
               weft_model_text *out);
bool read_number(struct reader *r, const struct at *up, const json_t *j, const char *key, enum presence p,
                 double min, double max, double *out);
/* One of the words, separated by blanks. */
bool read_word(struct reader *r, const struct at *up, const json_t *j, const char *key, const char *words,
               weft_model_text *out);
bool read_finite(struct reader *r, const struct at *at, const json_t *j, double *out);
/* An id that is there. */
bool read_entity(struct reader *r, const struct at *at, const json_t *j, weft_model_ref *out);
/* The id as it stands in the model, or WEFT_MODEL_NONE. */
weft_model_text read_id(struct reader *r, const char *id);

/* The unit at `key`, of this dimension. */
bool read_unit(struct reader *r, const struct at *up, const json_t *j, const char *key,
               enum weft_model_dimension d, const char *what, weft_model_text *unit, double *factor);
/* source, ref, where, tool, time of an observation or curve. */
bool read_origin(struct reader *r, const struct at *at, const json_t *j, struct defaults *out);
bool read_condition(struct reader *r, const struct at *up, const json_t *j, struct weft_model_condition *out);

/* The larger parts. */
bool read_observation(struct reader *r, const struct at *at, const json_t *j, weft_model_ref e,
                      enum weft_model_attribute a);
bool read_curve(struct reader *r, const struct at *at, const json_t *j, weft_model_ref e,
                enum weft_model_attribute a);
bool read_attribute(struct reader *r, const struct at *at, const char *name, weft_model_ref e, int *out);
bool read_properties(struct reader *r, const struct at *at, const json_t *j, weft_model_ref e);
/* "use"; NULL: the file has none. */
bool read_uses(struct reader *r, const json_t *list);
/* The text of one file into the model, below r->parent. */
bool read_file_text(struct reader *r);
/* Reads a file whole; *out is the caller's to free. */
int read_bytes(const char *path, char **out, size_t *len);

#endif
