/* Virtual time in cycles of the core's clock: a queue of events, those of one cycle in the order in which
 * they were posted, and random numbers. A run is decided by its configuration and its seed alone. */
#ifndef WEFT_MODEL_NISIM_EVENT_H
#define WEFT_MODEL_NISIM_EVENT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t cycle_t;
typedef void nisim_event_fn(void *ctx, uint64_t arg);

struct nisim_event {
    cycle_t at;
    uint64_t order;
    nisim_event_fn *run;
    void *ctx;
    uint64_t arg;
};
struct nisim_events {
    struct nisim_event *heap;
    size_t count, cap;
    cycle_t now;
    uint64_t order, done;
    uint64_t print; /* of all that has happened: equal for equal runs */
    bool nomem;     /* an event was lost: the run is worth nothing */
};

void nisim_events_fini(struct nisim_events *e);
void nisim_post(struct nisim_events *e, cycle_t at, nisim_event_fn *run, void *ctx, uint64_t arg);
/* Runs the next event if it is due by `until`; else advances to `until` and returns false. */
bool nisim_next(struct nisim_events *e, cycle_t until);

/* A stream of random numbers; different streams of a seed are independent. */
struct nisim_random {
    uint64_t state;
};
void nisim_random_init(struct nisim_random *r, uint64_t seed, uint64_t stream);
uint64_t nisim_random_next(struct nisim_random *r);
uint32_t nisim_random_below(struct nisim_random *r, uint32_t n);
double nisim_random_exponential(struct nisim_random *r, double mean);

#endif
