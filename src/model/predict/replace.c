/* Replacement policies over a recorded trace. One pass: what is in the buffer stands in a heap by what the
 * policy looks at, so that a trace of a million references takes well under a second. */
#include "base/error.h"
#include "model/predict/predict.h"

#include <stdlib.h>
#include <string.h>

/* The one to go is the one with the least rank, and of equals the one with the least age. */
struct entry {
    int64_t rank;
    uint64_t age;
    size_t place; /* in the heap + 1; 0: not in the buffer */
};

struct buffer {
    struct entry *entry; /* by object */
    uint32_t *heap;      /* objects */
    size_t held, capacity;
};

static bool goes_before(const struct buffer *b, uint32_t x, uint32_t y) {
    const struct entry *a = &b->entry[x], *c = &b->entry[y];
    return a->rank != c->rank ? a->rank < c->rank : a->age < c->age;
}

static void set(struct buffer *b, size_t at, uint32_t object) {
    b->heap[at] = object;
    b->entry[object].place = at + 1;
}

static void sift(struct buffer *b, size_t at, uint32_t object) {
    for (; at > 0 && goes_before(b, object, b->heap[(at - 1) / 2]); at = (at - 1) / 2)
        set(b, at, b->heap[(at - 1) / 2]);
    for (size_t child; (child = 2 * at + 1) < b->held; at = child) {
        if (child + 1 < b->held && goes_before(b, b->heap[child + 1], b->heap[child])) child++;
        if (!goes_before(b, b->heap[child], object)) break;
        set(b, at, b->heap[child]);
    }
    set(b, at, object);
}

static void evict(struct buffer *b) {
    uint32_t last = b->heap[--b->held];
    b->entry[b->heap[0]].place = 0;
    if (b->held) sift(b, 0, last);
}

/* For each reference where the same object comes next; n: never again. */
static size_t *next_uses(const struct weft_reference *trace, size_t n, size_t objects) {
    size_t *next = malloc((n + 1) * sizeof *next), *last = malloc((objects + 1) * sizeof *last);
    if (next && last) {
        for (size_t o = 0; o < objects; o++) last[o] = n;
        for (size_t i = n; i-- > 0;) {
            next[i] = last[trace[i].object];
            last[trace[i].object] = i;
        }
    } else {
        free(next);
        next = NULL;
    }
    free(last);
    return next;
}

static void rank(enum weft_replacement policy, struct entry *e, const struct weft_reference *r, size_t now,
                 const size_t *next) {
    bool came = e->place == 0;
    switch (policy) {
    case WEFT_REPLACE_FCFS:
        if (came) e->age = now;
        break;
    case WEFT_REPLACE_OPTIMAL: e->rank = -(int64_t)next[now]; break;
    case WEFT_REPLACE_PRIORITY:
        e->rank = r->priority;
        e->age = now;
        break;
    default: e->age = now;
    }
}

static void replay(struct buffer *b, enum weft_replacement policy, const struct weft_reference *trace,
                   size_t n, const size_t *next, struct weft_replacement_result *out) {
    for (size_t i = 0; i < n; i++) {
        struct entry *e = &b->entry[trace[i].object];
        bool hit = e->place != 0;
        if (hit)
            out->hits++;
        else
            out->misses++;
        if (!hit && b->held == b->capacity) evict(b);
        rank(policy, e, &trace[i], i, next);
        sift(b, hit ? e->place - 1 : b->held++, trace[i].object);
    }
}

int weft_replay(enum weft_replacement policy, const struct weft_reference *trace, size_t n, size_t capacity,
                struct weft_replacement_result *out) {
    struct weft_replacement_result result = {0};
    size_t objects = 0;
    if (capacity < 1 || (unsigned)policy >= WEFT_REPLACEMENTS) return WEFT_E_INVAL;
    for (size_t i = 0; i < n; i++) {
        if (trace[i].object >= WEFT_TRACE_OBJECTS_MAX) return WEFT_E_TOO_BIG;
        if (trace[i].object >= objects) objects = trace[i].object + 1;
    }
    struct buffer b = {.entry = calloc(objects + 1, sizeof *b.entry), .capacity = capacity};
    size_t *next = policy == WEFT_REPLACE_OPTIMAL ? next_uses(trace, n, objects) : NULL;
    b.heap = malloc((objects + 1) * sizeof *b.heap);
    bool ok = b.entry && b.heap && (next || policy != WEFT_REPLACE_OPTIMAL);
    if (ok) {
        replay(&b, policy, trace, n, next, &result);
        *out = result;
    }
    free(b.entry);
    free(b.heap);
    free(next);
    return ok ? WEFT_OK : WEFT_E_NOMEM;
}

const char *weft_replacement_name(enum weft_replacement r) {
    static const char *const name[] = {"lru", "fcfs", "priority", "optimal"};
    return (unsigned)r < WEFT_REPLACEMENTS ? name[r] : "?";
}
