/* Linear probing with tombstones. Removal never moves another entry: that is what lets an iteration remove
 * the entry it was just given. The hash is fixed, not seeded, so that a simulated run visits entries in the
 * same order each time. */
#include "base/map.h"

#include "base/error.h"

#include <stdlib.h>

#define CAP_MIN   16
#define TOMBSTONE 1 /* key of a slot without a value that a probe must step over; a free slot has key 0 */

static size_t hash(uint64_t key) {
    key ^= key >> 30;
    key *= 0xbf58476d1ce4e5b9ull;
    key ^= key >> 27;
    key *= 0x94d049bb133111ebull;
    return (size_t)(key ^ (key >> 31));
}

void weft_map_init(struct weft_map *m) { *m = (struct weft_map){0}; }

void weft_map_fini(struct weft_map *m) {
    free(m->slots);
    weft_map_init(m);
}

/* The key's slot; NULL when it is not there. There is always a free slot, so the probe ends. */
static struct weft_map_slot *find(const struct weft_map *m, uint64_t key) {
    if (m->cap == 0) return NULL;
    for (size_t i = hash(key) & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct weft_map_slot *s = &m->slots[i];
        if (s->value && s->key == key) return s;
        if (!s->value && s->key != TOMBSTONE) return NULL;
    }
}

/* The first slot without a value on the key's probe. */
static struct weft_map_slot *find_room(struct weft_map_slot *slots, size_t cap, uint64_t key) {
    size_t i = hash(key) & (cap - 1);
    while (slots[i].value) i = (i + 1) & (cap - 1);
    return &slots[i];
}

/* Rehashes without tombstones: at twice the size, or at the same size when it was mostly tombstones. */
static int grow(struct weft_map *m) {
    size_t cap = m->cap < CAP_MIN ? CAP_MIN : m->cap;
    if (m->count >= m->cap / 2 && m->cap) cap *= 2;
    struct weft_map_slot *slots = cap < m->cap ? NULL : calloc(cap, sizeof *slots);
    if (!slots) return WEFT_E_NOMEM;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].value) *find_room(slots, cap, m->slots[i].key) = m->slots[i];
    free(m->slots);
    m->slots = slots;
    m->cap = cap;
    m->used = m->count;
    return WEFT_OK;
}

int weft_map_put(struct weft_map *m, uint64_t key, void *value) {
    if (!value) return WEFT_E_INVAL;
    if (find(m, key)) return WEFT_E_EXIST;
    if (m->used >= m->cap - m->cap / 4) {
        int rc = grow(m);
        if (rc) return rc;
    }
    struct weft_map_slot *s = find_room(m->slots, m->cap, key);
    if (s->key != TOMBSTONE) m->used++;
    *s = (struct weft_map_slot){key, value};
    m->count++;
    return WEFT_OK;
}

void *weft_map_swap(struct weft_map *m, uint64_t key, void *value) {
    struct weft_map_slot *s = value ? find(m, key) : NULL;
    if (!s) return NULL;
    void *before = s->value;
    s->value = value;
    return before;
}

void *weft_map_get(const struct weft_map *m, uint64_t key) {
    struct weft_map_slot *s = find(m, key);
    return s ? s->value : NULL;
}

void *weft_map_remove(struct weft_map *m, uint64_t key) {
    struct weft_map_slot *s = find(m, key);
    if (!s) return NULL;
    void *value = s->value;
    *s = (struct weft_map_slot){TOMBSTONE, NULL};
    m->count--;
    return value;
}

void *weft_map_next(const struct weft_map *m, size_t *it, uint64_t *key) {
    while (*it < m->cap) {
        const struct weft_map_slot *s = &m->slots[(*it)++];
        if (!s->value) continue;
        if (key) *key = s->key;
        return s->value;
    }
    return NULL;
}
