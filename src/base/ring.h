/* Ring: a bounded FIFO of fixed-size elements, single owner, no locking (queues inside the engine; the
 * shared-memory rings between processes are the shm adapter's own). Capacity is a power of two. */
#ifndef WEFT_BASE_RING_H
#define WEFT_BASE_RING_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weft_ring {
    uint8_t *data;
    size_t elem_bytes, mask;
    uint64_t head, tail;
};

int weft_ring_init(struct weft_ring *r, size_t elem_bytes, size_t capacity); /* WEFT_E_INVAL, WEFT_E_NOMEM */
void weft_ring_fini(struct weft_ring *r);
size_t weft_ring_count(const struct weft_ring *r);
bool weft_ring_full(const struct weft_ring *r);
void *weft_ring_push(struct weft_ring *r);        /* room for one element at the tail; NULL when full */
void *weft_ring_front(const struct weft_ring *r); /* the oldest; NULL when empty */
void *weft_ring_at(const struct weft_ring *r, size_t i);
void weft_ring_pop(struct weft_ring *r);

#endif
