/* The graph: arrays that grow, texts that are kept once, ids that are found by hash. */
#include "model/model_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool model_grow(void **array, uint32_t *cap, uint32_t count, uint32_t more, size_t size) {
    if (more > MODEL_ITEMS_MAX || count > MODEL_ITEMS_MAX - more) return false;
    if (count + more <= *cap) return true;
    uint64_t wanted = *cap ? 2 * (uint64_t)*cap : 16;
    while (wanted < (uint64_t)count + more) wanted *= 2;
    void *bigger = realloc(*array, wanted * size);
    if (!bigger) return false;
    *array = bigger;
    *cap = (uint32_t)wanted;
    return true;
}

int weft_model_create(struct weft_model **out) {
    struct weft_model *m = calloc(1, sizeof *m);
    if (!m) return WEFT_E_NOMEM;
    m->hidden = calloc(1, sizeof *m->hidden);
    if (!m->hidden || !model_grow((void **)&m->text, &m->hidden->text_cap, 0, 1, 1)) {
        free(m->hidden);
        free(m);
        return WEFT_E_NOMEM;
    }
    m->text[m->text_bytes++] = '\0';
    weft_map_init(&m->hidden->ids);
    weft_map_init(&m->hidden->keys);
    *out = m;
    return 0;
}

void weft_model_destroy(struct weft_model *m) {
    if (!m) return;
    weft_map_fini(&m->hidden->ids);
    weft_map_fini(&m->hidden->keys);
    free(m->hidden->strings);
    free(m->hidden->folder);
    free(m->hidden);
    free(m->entities);
    free(m->properties);
    free(m->observations);
    free(m->curves);
    free(m->relations);
    free(m->references);
    free(m->numbers);
    free(m->text);
    free(m->adjacent);
    free(m->first_adjacent);
    free(m);
}

/* FNV-1a. Slots are a power of two. */
static uint32_t hash(const char *text) {
    uint32_t h = 2166136261u;
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 16777619u;
    return h;
}

static uint32_t slot_of(const struct weft_model *m, const char *text) {
    const struct weft_model_hidden *h = m->hidden;
    uint32_t at = hash(text) & (h->string_slots - 1);
    while (h->strings[at] && strcmp(m->text + h->strings[at], text) != 0)
        at = (at + 1) & (h->string_slots - 1);
    return at;
}

static bool more_slots(struct weft_model *m) {
    struct weft_model_hidden *h = m->hidden;
    if (h->string_count < h->string_slots / 2) return true;
    uint32_t before = h->string_slots;
    weft_model_text *old = h->strings, *bigger = calloc(before ? 2 * (size_t)before : 64, sizeof *bigger);
    if (!bigger) return false;
    h->strings = bigger;
    h->string_slots = before ? 2 * before : 64;
    for (uint32_t i = 0; i < before; i++)
        if (old[i]) bigger[slot_of(m, m->text + old[i])] = old[i];
    free(old);
    return true;
}

weft_model_text weft_model_intern(struct weft_model *m, const char *text) {
    if (!text || !*text) return 0;
    if (!more_slots(m)) return WEFT_MODEL_NONE;
    struct weft_model_hidden *h = m->hidden;
    uint32_t slot = slot_of(m, text);
    if (h->strings[slot]) return h->strings[slot];
    size_t len = strlen(text) + 1;
    if (len > MODEL_ITEMS_MAX ||
        !model_grow((void **)&m->text, &h->text_cap, m->text_bytes, (uint32_t)len, 1))
        return WEFT_MODEL_NONE;
    weft_model_text at = m->text_bytes;
    memcpy(m->text + at, text, len);
    m->text_bytes += (uint32_t)len;
    h->strings[slot] = at;
    h->string_count++;
    return at;
}

weft_model_text model_lookup(const struct weft_model *m, const char *text) {
    if (!*text) return 0;
    if (!m->hidden->string_slots) return WEFT_MODEL_NONE;
    weft_model_text t = m->hidden->strings[slot_of(m, text)];
    return t ? t : WEFT_MODEL_NONE;
}

static weft_model_ref get(const struct weft_map *map, weft_model_text text) {
    uintptr_t found = (uintptr_t)weft_map_get(map, text);
    return found ? (weft_model_ref)(found - 1) : WEFT_MODEL_NONE;
}

weft_model_ref weft_model_find(const struct weft_model *m, const char *id) {
    weft_model_text t = model_lookup(m, id);
    return t == WEFT_MODEL_NONE ? WEFT_MODEL_NONE : get(&m->hidden->ids, t);
}

weft_model_ref model_find_reference(const struct weft_model *m, weft_model_text key) {
    return get(&m->hidden->keys, key);
}

weft_model_ref model_add_entity_text(struct weft_model *m, weft_model_text id, enum weft_model_kind kind) {
    if (!MODEL_ROOM(m, entities, entity_count, entity_cap)) return WEFT_MODEL_NONE;
    if (weft_map_put(&m->hidden->ids, id, (void *)((uintptr_t)m->entity_count + 1))) return WEFT_MODEL_NONE;
    m->entities[m->entity_count] = (struct weft_model_entity){.id = id,
                                                              .kind = (uint8_t)kind,
                                                              .parent = WEFT_MODEL_NONE,
                                                              .ends = {WEFT_MODEL_NONE, WEFT_MODEL_NONE},
                                                              .first_child = WEFT_MODEL_NONE,
                                                              .next_sibling = WEFT_MODEL_NONE};
    return m->entity_count++;
}

/* Two texts, the second of which may be one of the model's own: those move when the first is new. */
static bool intern_two(struct weft_model *m, const char *a, const char *b, weft_model_text *text_a,
                       weft_model_text *text_b) {
    uintptr_t at = (uintptr_t)b, begin = (uintptr_t)m->text;
    bool own = at >= begin && at < begin + m->text_bytes;
    *text_a = weft_model_intern(m, a);
    *text_b = weft_model_intern(m, own ? m->text + (at - begin) : b);
    return *text_a != WEFT_MODEL_NONE && *text_b != WEFT_MODEL_NONE;
}

weft_model_ref weft_model_add_entity(struct weft_model *m, const char *id, enum weft_model_kind kind,
                                     const char *class_name) {
    weft_model_text name, class_text;
    if (!intern_two(m, id, class_name, &name, &class_text) || !name || kind >= WEFT_MODEL_KINDS_COUNT)
        return WEFT_MODEL_NONE;
    weft_model_ref e = model_add_entity_text(m, name, kind);
    if (e != WEFT_MODEL_NONE) m->entities[e].class_name = class_text;
    return e;
}

int weft_model_add_property(struct weft_model *m, weft_model_ref entity, const char *name,
                            const char *value) {
    if (entity >= m->entity_count) return WEFT_E_INVAL;
    weft_model_text n, v;
    if (!intern_two(m, name, value, &n, &v) || !MODEL_ROOM(m, properties, property_count, property_cap))
        return WEFT_E_NOMEM;
    m->properties[m->property_count++] = (struct weft_model_property){entity, n, v};
    return 0;
}

static bool observation_is_right(const struct weft_model *m, const struct weft_model_observation *o) {
    return o->entity < m->entity_count && o->attribute < WEFT_MODEL_ATTRIBUTES_COUNT &&
           o->source < WEFT_MODEL_SOURCES_COUNT && isfinite(o->value) && o->value >= 0 &&
           model_attribute_fits(o->attribute, m->entities[o->entity].kind);
}

int weft_model_add_observation(struct weft_model *m, const struct weft_model_observation *o) {
    if (!observation_is_right(m, o)) return WEFT_E_INVAL;
    if (!MODEL_ROOM(m, observations, observation_count, observation_cap)) return WEFT_E_NOMEM;
    m->observations[m->observation_count++] = *o;
    return 0;
}

/* Equal, or neither is said. */
static bool same_number(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static bool same_condition(const struct weft_model_condition *a, const struct weft_model_condition *b) {
    return a->op == b->op && a->pattern == b->pattern && a->type == b->type && a->from == b->from &&
           a->with == b->with && same_number(a->size_B, b->size_B) && same_number(a->stride_B, b->stride_B) &&
           same_number(a->threads, b->threads) && same_number(a->load, b->load) &&
           same_number(a->connections, b->connections);
}

int weft_model_renew_observation(struct weft_model *m, const struct weft_model_observation *o) {
    if (!observation_is_right(m, o)) return WEFT_E_INVAL;
    for (uint32_t i = 0; i < m->observation_count; i++) {
        struct weft_model_observation *old = &m->observations[i];
        if (old->entity != o->entity || old->attribute != o->attribute || old->source != o->source ||
            old->tool != o->tool || old->statistic != o->statistic || !same_condition(&old->when, &o->when))
            continue;
        *old = *o;
        return 0;
    }
    return weft_model_add_observation(m, o);
}

int weft_model_add_relation(struct weft_model *m, const struct weft_model_relation *r) {
    if (r->from >= m->entity_count || r->to >= m->entity_count || r->type >= WEFT_MODEL_RELATIONS_COUNT)
        return WEFT_E_INVAL;
    if (!MODEL_ROOM(m, relations, relation_count, relation_cap)) return WEFT_E_NOMEM;
    m->relations[m->relation_count++] = *r;
    return 0;
}

int weft_model_add_curve(struct weft_model *m, const struct weft_model_curve *c, const double *parameters) {
    if (c->entity >= m->entity_count || c->attribute >= WEFT_MODEL_ATTRIBUTES_COUNT ||
        c->source >= WEFT_MODEL_SOURCES_COUNT || c->form >= WEFT_MODEL_FORMS_COUNT ||
        !model_attribute_fits(c->attribute, m->entities[c->entity].kind) ||
        !model_form_takes(c->form, c->parameters))
        return WEFT_E_INVAL;
    if (!MODEL_ROOM(m, curves, curve_count, curve_cap) ||
        !model_grow((void **)&m->numbers, &m->hidden->number_cap, m->number_count, c->parameters,
                    sizeof *m->numbers))
        return WEFT_E_NOMEM;
    struct weft_model_curve *added = &m->curves[m->curve_count++];
    *added = *c;
    added->first_parameter = m->number_count;
    memcpy(m->numbers + m->number_count, parameters, c->parameters * sizeof *parameters);
    m->number_count += c->parameters;
    return 0;
}

int weft_model_renew_curve(struct weft_model *m, const struct weft_model_curve *c, const double *parameters) {
    uint32_t before = m->curve_count;
    int rc = weft_model_add_curve(m, c, parameters);
    for (uint32_t i = 0; i < before && !rc; i++) {
        struct weft_model_curve *old = &m->curves[i];
        if (old->entity != c->entity || old->attribute != c->attribute || old->source != c->source ||
            old->over != c->over || old->tool != c->tool || !same_condition(&old->when, &c->when))
            continue;
        *old = m->curves[--m->curve_count];
        break;
    }
    return rc;
}

int weft_model_add_reference(struct weft_model *m, const struct weft_model_reference *r) {
    if (!MODEL_ROOM(m, references, reference_count, reference_cap)) return WEFT_E_NOMEM;
    int rc = weft_map_put(&m->hidden->keys, r->key, (void *)((uintptr_t)m->reference_count + 1));
    if (rc) return rc;
    m->references[m->reference_count++] = *r;
    return 0;
}

struct model_mark model_mark(const struct weft_model *m) {
    return (struct model_mark){m->entity_count, m->property_count, m->observation_count,
                               m->curve_count,  m->relation_count, m->reference_count,
                               m->number_count, m->name,           m->note};
}

void model_rollback(struct weft_model *m, const struct model_mark *mark) {
    for (uint32_t i = mark->entities; i < m->entity_count; i++)
        weft_map_remove(&m->hidden->ids, m->entities[i].id);
    for (uint32_t i = mark->references; i < m->reference_count; i++)
        weft_map_remove(&m->hidden->keys, m->references[i].key);
    m->entity_count = mark->entities;
    m->property_count = mark->properties;
    m->observation_count = mark->observations;
    m->curve_count = mark->curves;
    m->relation_count = mark->relations;
    m->reference_count = mark->references;
    m->number_count = mark->numbers;
    m->name = mark->name;
    m->note = mark->note;
}
