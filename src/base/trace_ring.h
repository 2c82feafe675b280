/* The ring of one thread's last events, as it lies in memory: the trace writes it, its dump and `weft trace`
 * read it while it is written. */
#ifndef WEFT_BASE_TRACE_RING_H
#define WEFT_BASE_TRACE_RING_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WEFT_RING_EVENTS 1024
#define WEFT_TRACE_ARGS  4

struct weft_ring_event {
    _Atomic uint64_t time_ns;
    _Atomic uint64_t id; /* thread << 16 | event */
    _Atomic uint64_t arg[WEFT_TRACE_ARGS];
};

struct weft_ring {
    _Atomic uint64_t head; /* events ever written; the next goes to slot head % WEFT_RING_EVENTS */
    uint64_t cursor;       /* the dump's own: next event to look at */
    struct weft_ring_event at[WEFT_RING_EVENTS];
};

/* An event copied out of a ring. */
struct weft_trace_record {
    uint64_t time_ns, id, arg[WEFT_TRACE_ARGS];
};

/* Copies the event at the cursor; skips those that were overwritten meanwhile. False at the ring's end. */
static inline bool weft_ring_peek(const struct weft_ring *r, uint64_t *cursor,
                                  struct weft_trace_record *out) {
    for (;;) {
        if (*cursor >= atomic_load_explicit(&r->head, memory_order_acquire)) return false;
        const struct weft_ring_event *e = &r->at[*cursor % WEFT_RING_EVENTS];
        out->time_ns = atomic_load_explicit(&e->time_ns, memory_order_acquire);
        out->id = atomic_load_explicit(&e->id, memory_order_acquire);
        for (int i = 0; i < WEFT_TRACE_ARGS; i++)
            out->arg[i] = atomic_load_explicit(&e->arg[i], memory_order_acquire);
        uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
        if (head - *cursor < WEFT_RING_EVENTS) return true; /* equal: its slot is being written now */
        *cursor = head - WEFT_RING_EVENTS + 1;
    }
}

#endif
