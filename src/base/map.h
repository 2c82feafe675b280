/* Map: open-addressing hash table from a 64-bit key to a pointer. No locking. Key 0 is a key like any other;
 * NULL is not a value. Growth is by doubling; a failed growth leaves the map as it was. */
#ifndef WEFT_BASE_MAP_H
#define WEFT_BASE_MAP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weft_map_slot {
    uint64_t key;
    void *value;
};
struct weft_map {
    struct weft_map_slot *slots;
    size_t count, used, cap;
};

void weft_map_init(struct weft_map *m);
void weft_map_fini(struct weft_map *m);
int weft_map_put(struct weft_map *m, uint64_t key, void *value); /* WEFT_E_EXIST, WEFT_E_NOMEM */
/* The key has this value from now on; the one before. NULL: it is not there, nothing has changed. Takes no
 * memory. */
void *weft_map_swap(struct weft_map *m, uint64_t key, void *value);
void *weft_map_get(const struct weft_map *m, uint64_t key);      /* NULL: not there */
void *weft_map_remove(struct weft_map *m, uint64_t key);         /* the value, NULL: was not there */
/* Start with *it = 0; NULL at the end. Nothing may be added meanwhile; the entry just returned may be
 * removed. */
void *weft_map_next(const struct weft_map *m, size_t *it, uint64_t *key);

#endif
