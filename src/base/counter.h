/* Counters: declared with name, unit and help in one place per module, run freely per thread and are summed
 * when read. Adding is a plain increment of the thread's own cell: no atomic read-modify-write, no shared
 * cache line. */
#ifndef WEFT_BASE_COUNTER_H
#define WEFT_BASE_COUNTER_H
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_COUNTERS_MAX 256 /* in all modules together */

/* A thread's cells, by id. Cell 0 belongs to counters that were never registered, whose id is still 0. */
struct weft_cells {
    _Atomic uint64_t at[WEFT_COUNTERS_MAX + 1];
};

struct weft_counter {
    const char *name; /* "udp_packets_sent" */
    const char *unit; /* "packets" */
    const char *help;
    unsigned id; /* the registry's */
};

/* Registers a table of counters and gives each its id; call from a constructor. Beyond WEFT_COUNTERS_MAX:
 * aborts. */
void weft_counters_register(struct weft_counter *counters, size_t count);

extern __thread void *weft_counter_cells; /* this thread's struct weft_cells; NULL: it has not claimed any */
void weft_counter_add_first(const struct weft_counter *c, uint64_t n); /* for who has none */

static inline void weft_counter_add(const struct weft_counter *c, uint64_t n) {
    struct weft_cells *mine = weft_counter_cells;
    if (__builtin_expect(!mine, 0)) {
        weft_counter_add_first(c, n);
        return;
    }
    /* Two plain moves and an add: nobody else writes this cell. */
    uint64_t v = atomic_load_explicit(&mine->at[c->id], memory_order_relaxed);
    atomic_store_explicit(&mine->at[c->id], v + n, memory_order_relaxed);
}

uint64_t weft_counter_read(const struct weft_counter *c); /* sum over all threads, ended ones included */
typedef void weft_counter_visit_fn(void *ctx, const struct weft_counter *c, uint64_t value);
void weft_counters_visit(weft_counter_visit_fn *fn, void *ctx);

/* The value of the counter of that name; aborts if there is none. */
uint64_t weft_counter_named(const char *name);

/* Use as: WEFT_COUNTERS(udp, {"udp_packets_sent", "packets", "…"}, …) at file scope; then
 * weft_counter_add(&udp_counters[0], 1). */
#define WEFT_COUNTERS(ident, ...)                                                                            \
    static struct weft_counter ident##_counters[] = {__VA_ARGS__};                                           \
    __attribute__((constructor)) static void ident##_counters_register(void) {                               \
        weft_counters_register(ident##_counters, sizeof ident##_counters / sizeof *ident##_counters);        \
    }

#endif
