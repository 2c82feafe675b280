/* Settling: what was added is sorted by entity and linked, so that a question about an entity touches a short
 * range. */
#include "model/model_internal.h"

#include <stdlib.h>
#include <string.h>

typedef uint32_t (*key_fn)(const void *item);

static uint32_t observation_entity(const void *o) {
    return ((const struct weft_model_observation *)o)->entity;
}
static uint32_t observation_attribute(const void *o) {
    return ((const struct weft_model_observation *)o)->attribute;
}
static uint32_t curve_entity(const void *c) { return ((const struct weft_model_curve *)c)->entity; }
static uint32_t curve_attribute(const void *c) { return ((const struct weft_model_curve *)c)->attribute; }
static uint32_t property_entity(const void *p) { return ((const struct weft_model_property *)p)->entity; }

static bool is_sorted(const char *items, uint32_t count, size_t size, key_fn key) {
    for (uint32_t i = 1; i < count; i++)
        if (key(items + (i - 1) * size) > key(items + i * size)) return false;
    return true;
}

/* What the sorts need, taken before the first of them: none is left undone for want of memory. */
struct scratch {
    char *items;
    uint32_t *start;
};

/* A stable counting sort; keys are below `keys`. */
static void sort_by(const struct scratch *s, void *array, uint32_t count, size_t size, uint32_t keys,
                    key_fn key) {
    const char *items = array;
    if (is_sorted(items, count, size, key)) return;
    memset(s->start, 0, ((size_t)keys + 1) * sizeof *s->start);
    for (uint32_t i = 0; i < count; i++) s->start[key(items + i * size) + 1]++;
    for (uint32_t k = 0; k < keys; k++) s->start[k + 1] += s->start[k];
    for (uint32_t i = 0; i < count; i++) {
        const char *item = items + i * size;
        memcpy(s->items + s->start[key(item)]++ * size, item, size);
    }
    memcpy(array, s->items, count * size);
}

static size_t max(size_t a, size_t b) { return a > b ? a : b; }

static int sort_all(struct weft_model *m) {
    uint32_t entities = m->entity_count, attributes = WEFT_MODEL_ATTRIBUTES_COUNT;
    size_t bytes = max(m->observation_count * sizeof *m->observations,
                       max(m->curve_count * sizeof *m->curves, m->property_count * sizeof *m->properties));
    struct scratch s = {malloc(bytes + 1), calloc(max(entities, attributes) + 1, sizeof *s.start)};
    if (s.items && s.start) {
        sort_by(&s, m->observations, m->observation_count, sizeof *m->observations, attributes,
                observation_attribute);
        sort_by(&s, m->observations, m->observation_count, sizeof *m->observations, entities,
                observation_entity);
        sort_by(&s, m->curves, m->curve_count, sizeof *m->curves, attributes, curve_attribute);
        sort_by(&s, m->curves, m->curve_count, sizeof *m->curves, entities, curve_entity);
        sort_by(&s, m->properties, m->property_count, sizeof *m->properties, entities, property_entity);
    }
    int rc = s.items && s.start ? 0 : WEFT_E_NOMEM;
    free(s.items);
    free(s.start);
    return rc;
}

static void ranges(struct weft_model *m) {
    uint32_t o = 0, c = 0, p = 0;
    for (uint32_t i = 0; i < m->entity_count; i++) {
        struct weft_model_entity *e = &m->entities[i];
        e->first_observation = o;
        e->first_curve = c;
        e->first_property = p;
        while (o < m->observation_count && m->observations[o].entity == i) o++;
        while (c < m->curve_count && m->curves[c].entity == i) c++;
        while (p < m->property_count && m->properties[p].entity == i) p++;
        e->observations = o - e->first_observation;
        e->curves = c - e->first_curve;
        e->properties = p - e->first_property;
    }
}

static void children(struct weft_model *m) {
    for (uint32_t i = 0; i < m->entity_count; i++) m->entities[i].first_child = WEFT_MODEL_NONE;
    for (uint32_t i = m->entity_count; i-- > 0;) {
        struct weft_model_entity *e = &m->entities[i];
        e->next_sibling = WEFT_MODEL_NONE;
        if (e->parent == WEFT_MODEL_NONE) continue;
        e->next_sibling = m->entities[e->parent].first_child;
        m->entities[e->parent].first_child = i;
    }
}

static bool is_edge(const struct weft_model_entity *e) {
    return (e->kind == WEFT_MODEL_LINK || e->kind == WEFT_MODEL_SERVICE) && e->ends[0] != WEFT_MODEL_NONE;
}

static int adjacency(struct weft_model *m) {
    uint32_t edges = 0;
    for (uint32_t i = 0; i < m->entity_count; i++) edges += is_edge(&m->entities[i]);
    uint32_t *start = calloc((size_t)m->entity_count + 2, sizeof *start);
    weft_model_ref *adjacent = malloc((2 * (size_t)edges + 1) * sizeof *adjacent);
    if (!start || !adjacent) {
        free(start);
        free(adjacent);
        return WEFT_E_NOMEM;
    }
    /* start[e + 2] counts, start[e + 1] then is where e's begin and, as they are filled in, where they end.
     */
    for (uint32_t i = 0; i < m->entity_count; i++)
        for (int end = 0; end < 2 && is_edge(&m->entities[i]); end++) start[m->entities[i].ends[end] + 2]++;
    for (uint32_t i = 1; i <= m->entity_count; i++) start[i + 1] += start[i];
    for (uint32_t i = 0; i < m->entity_count; i++)
        for (int end = 0; end < 2 && is_edge(&m->entities[i]); end++)
            adjacent[start[m->entities[i].ends[end] + 1]++] = i;
    free(m->adjacent);
    free(m->first_adjacent);
    m->adjacent = adjacent;
    m->first_adjacent = start;
    return 0;
}

weft_model_ref model_find_cycle(const struct weft_model *m, weft_model_ref first, int *rc) {
    *rc = 0;
    uint32_t *seen =
        calloc((size_t)(m->entity_count - first) + 1, sizeof *seen); /* in which walk; 0: in none */
    if (!seen) {
        *rc = WEFT_E_NOMEM;
        return WEFT_MODEL_NONE;
    }
    weft_model_ref found = WEFT_MODEL_NONE;
    for (uint32_t i = first; i < m->entity_count && found == WEFT_MODEL_NONE; i++) {
        weft_model_ref at = i; /* what stands before `first` cannot be in what came after it */
        while (at != WEFT_MODEL_NONE && at >= first && !seen[at - first]) {
            seen[at - first] = i + 1;
            at = m->entities[at].parent;
        }
        if (at != WEFT_MODEL_NONE && at >= first && seen[at - first] == i + 1) found = at;
    }
    free(seen);
    return found;
}

static bool is_none_or_there(const struct weft_model *m, weft_model_ref e) {
    return e == WEFT_MODEL_NONE || e < m->entity_count;
}

/* Whether what the caller has set by hand is an entity. */
static bool refers_to_entities(const struct weft_model *m) {
    for (uint32_t i = 0; i < m->entity_count; i++) {
        const struct weft_model_entity *e = &m->entities[i];
        bool both = (e->ends[0] == WEFT_MODEL_NONE) == (e->ends[1] == WEFT_MODEL_NONE);
        if (!both || !is_none_or_there(m, e->parent) || !is_none_or_there(m, e->ends[0]) ||
            !is_none_or_there(m, e->ends[1]))
            return false;
    }
    return true;
}

int weft_model_settle(struct weft_model *m) {
    int rc;
    if (!refers_to_entities(m)) return WEFT_E_INVAL;
    if (model_find_cycle(m, 0, &rc) != WEFT_MODEL_NONE) return WEFT_E_INVAL;
    if (!rc) rc = adjacency(m);
    if (!rc) rc = sort_all(m);
    if (rc) return rc;
    children(m);
    ranges(m);
    return 0;
}
