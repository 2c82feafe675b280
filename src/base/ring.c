/* The FIFO of the engine's queues. Head and tail run freely; their difference is the count. */
#include "base/ring.h"

#include "base/error.h"

#include <stdlib.h>

int weft_ring_init(struct weft_ring *r, size_t elem_bytes, size_t capacity) {
    *r = (struct weft_ring){0};
    if (elem_bytes == 0 || capacity == 0 || (capacity & (capacity - 1))) return WEFT_E_INVAL;
    if (elem_bytes > PTRDIFF_MAX / capacity) return WEFT_E_NOMEM;
    r->data = calloc(capacity, elem_bytes);
    if (!r->data) return WEFT_E_NOMEM;
    r->elem_bytes = elem_bytes;
    r->mask = capacity - 1;
    return WEFT_OK;
}

void weft_ring_fini(struct weft_ring *r) {
    free(r->data);
    *r = (struct weft_ring){0};
}

static void *slot(const struct weft_ring *r, uint64_t n) {
    return r->data + (size_t)(n & r->mask) * r->elem_bytes;
}

size_t weft_ring_count(const struct weft_ring *r) { return (size_t)(r->tail - r->head); }

bool weft_ring_full(const struct weft_ring *r) { return !r->data || r->tail - r->head > r->mask; }

void *weft_ring_push(struct weft_ring *r) { return weft_ring_full(r) ? NULL : slot(r, r->tail++); }

void *weft_ring_front(const struct weft_ring *r) { return weft_ring_at(r, 0); }

void *weft_ring_at(const struct weft_ring *r, size_t i) {
    return i < weft_ring_count(r) ? slot(r, r->head + i) : NULL;
}

void weft_ring_pop(struct weft_ring *r) {
    if (r->head != r->tail) r->head++;
}
