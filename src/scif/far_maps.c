#include "scif/far_maps.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

static _Atomic(struct far_map *) mappings; /* a forked child finds them in order at any time */

struct far_map *far_maps_find(uint64_t mapping) {
    struct far_map *m = atomic_load(&mappings);
    while (m && m->mapping != mapping) m = atomic_load(&m->next);
    return m;
}

struct far_map *far_maps_add(uint64_t mapping, uint32_t pages, bool writable) {
    struct far_map *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED) return NULL;
    m->mapping = mapping;
    if (frame_open(&m->frame, pages, writable)) {
        munmap(m, sizeof *m);
        return NULL;
    }
    atomic_store(&m->next, atomic_load(&mappings));
    atomic_store(&mappings, m);
    return m;
}

void far_maps_remove(struct far_map *m, void (*end)(struct frame *f)) {
    _Atomic(struct far_map *) *at = &mappings;
    while (atomic_load(at) != m) at = &atomic_load(at)->next;
    atomic_store(at, atomic_load(&m->next));
    end(&m->frame);
    munmap(m, sizeof *m);
}

void far_maps_lose(void) {
    for (struct far_map *m; (m = atomic_load(&mappings));) far_maps_remove(m, frame_lose);
}

void far_maps_forget(void) {
    for (struct far_map *m = atomic_exchange(&mappings, NULL); m; m = atomic_load(&m->next))
        frame_close(&m->frame);
}
