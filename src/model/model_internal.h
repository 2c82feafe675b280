/* What the files of the model share: its growing arrays and the way back from a file that turned out to be
 * wrong. */
#ifndef WEFT_MODEL_INTERNAL_H
#define WEFT_MODEL_INTERNAL_H
#include "base/error.h"
#include "base/map.h"
#include "weft/model.h"

#define MODEL_ITEMS_MAX 0x7fffffffu /* entities, observations, … each */

struct weft_model_hidden {
    struct weft_map ids;      /* text of an id → its entity + 1 */
    struct weft_map keys;     /* text of a reference's key → its place + 1 */
    char *folder;             /* of descriptions of parts; NULL: none */
    weft_model_text *strings; /* hash table of texts; 0: free */
    uint32_t string_slots, string_count;
    uint32_t entity_cap, property_cap, observation_cap, curve_cap, relation_cap, reference_cap, number_cap,
        text_cap;
};

/* How much there was. */
struct model_mark {
    uint32_t entities, properties, observations, curves, relations, references, numbers;
    weft_model_text name, note;
};
struct model_mark model_mark(const struct weft_model *m);
/* Forgets what was added since; only before it was settled. Texts stay. */
void model_rollback(struct weft_model *m, const struct model_mark *mark);

/* Room for one more of an array: the array is replaced by one twice as large when it is full. */
bool model_grow(void **array, uint32_t *cap, uint32_t count, uint32_t more, size_t size);
#define MODEL_ROOM(m, array, count, cap)                                                                     \
    model_grow((void **)&(m)->array, &(m)->hidden->cap, (m)->count, 1, sizeof *(m)->array)

/* The text if the model has it; WEFT_MODEL_NONE otherwise. */
weft_model_text model_lookup(const struct weft_model *m, const char *text);
weft_model_ref model_find_reference(const struct weft_model *m, weft_model_text key);
weft_model_ref model_add_entity_text(struct weft_model *m, weft_model_text id, enum weft_model_kind kind);

/* An entity from `first` on that is contained in itself; WEFT_MODEL_NONE: there is none, or (*rc) no memory
 * to look. */
weft_model_ref model_find_cycle(const struct weft_model *m, weft_model_ref first, int *rc);

/* Names that a file may have; -1: there is no such. */
int model_kind_of(const char *name);
int model_attribute_of(const char *name);
int model_relation_of(const char *name);
int model_source_of(const char *name);
int model_form_of(const char *name);
bool model_class_fits(enum weft_model_kind kind, const char *class_name);
bool model_attribute_fits(enum weft_model_attribute a, enum weft_model_kind kind);
bool model_kind_has_ends(enum weft_model_kind kind);
bool model_form_takes(enum weft_model_form f, uint32_t parameters);
const char *model_kind_classes(enum weft_model_kind kind); /* separated by blanks */
const char *model_kind_help(enum weft_model_kind kind);
const char *model_attribute_help(enum weft_model_attribute a);
unsigned model_attribute_kinds(enum weft_model_attribute a);
/* How files write a form's parameters: single numbers by name, then rows of so many columns in a list (NULL:
 * none). The factor brings the i-th parameter into SI, x and y being those of the two units. */
const char *model_form_parameter(enum weft_model_form f, size_t i);
const char *model_form_list(enum weft_model_form f, size_t *columns);
double model_form_factor(enum weft_model_form f, uint32_t i, double x, double y);
/* The i-th thing that a curve may depend on. */
const char *model_over_at(size_t i, enum weft_model_dimension *d);

/* Properties: texts and truths about an entity. The words it may have, "bool", or "" for any text; NULL: none
 * such. */
const char *model_property_words(const char *name);
const char *model_property_at(size_t i);

/* The shortest decimal that, times the factor, is the value to the last bit. */
void model_number_text(double value, double factor, char *out, size_t cap);

/* The i-th unit, NULL after the last. */
const char *model_unit_at(size_t i, enum weft_model_dimension *dimension);

#endif
