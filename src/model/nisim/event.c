/* The event queue (a binary heap) and the random streams (SplitMix64). */
#include "model/nisim/event.h"

#include <math.h>
#include <stdlib.h>

static bool before(const struct nisim_event *a, const struct nisim_event *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void nisim_events_fini(struct nisim_events *e) {
    free(e->heap);
    *e = (struct nisim_events){0};
}

void nisim_post(struct nisim_events *e, cycle_t at, nisim_event_fn *run, void *ctx, uint64_t arg) {
    if (e->count == e->cap) {
        size_t cap = e->cap ? 2 * e->cap : 64;
        struct nisim_event *heap = reallocarray(e->heap, cap, sizeof *heap);
        if (!heap) {
            e->nomem = true;
            return;
        }
        e->heap = heap;
        e->cap = cap;
    }
    struct nisim_event new = {at < e->now ? e->now : at, e->order++, run, ctx, arg};
    size_t i = e->count++;
    for (; i && before(&new, &e->heap[(i - 1) / 2]); i = (i - 1) / 2) e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = new;
}

static struct nisim_event take(struct nisim_events *e) {
    struct nisim_event first = e->heap[0], last = e->heap[--e->count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < e->count; i = child) {
        if (child + 1 < e->count && before(&e->heap[child + 1], &e->heap[child])) child++;
        if (!before(&e->heap[child], &last)) break;
        e->heap[i] = e->heap[child];
    }
    e->heap[i] = last;
    return first;
}

bool nisim_next(struct nisim_events *e, cycle_t until) {
    if (!e->count || e->heap[0].at > until || e->nomem) {
        if (e->now < until) e->now = until;
        return false;
    }
    struct nisim_event first = take(e);
    e->now = first.at;
    e->done++;
    e->print = (e->print ^ first.at ^ first.order << 40) * 0x100000001b3U;
    first.run(first.ctx, first.arg);
    return true;
}

void nisim_random_init(struct nisim_random *r, uint64_t seed, uint64_t stream) {
    r->state = seed * 0x9e3779b97f4a7c15U + (stream + 1) * 0xd1342543de82ef95U;
    for (int i = 0; i < 4; i++) nisim_random_next(r);
}

uint64_t nisim_random_next(struct nisim_random *r) {
    uint64_t z = r->state += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

uint32_t nisim_random_below(struct nisim_random *r, uint32_t n) {
    return (uint32_t)((nisim_random_next(r) >> 32) * n >> 32);
}

double nisim_random_exponential(struct nisim_random *r, double mean) {
    return -mean * log(((double)(nisim_random_next(r) >> 11) + 0.5) / 9007199254740992.0);
}
