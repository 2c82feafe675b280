/* Binary min-heap with indexed nodes. */
#include "transport/heap.h"
#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>

void heap_init(struct heap *h) { *h = (struct heap){0}; }

void heap_fini(struct heap *h) {
    free(h->nodes);
    heap_init(h);
}

int heap_reserve(struct heap *h, size_t count) {
    if (count <= h->cap) return 0;
    size_t cap = h->cap ? 2 * h->cap : 16;
    if (cap < count) cap = count;
    struct heap_node **nodes = realloc(h->nodes, cap * sizeof *nodes);
    if (!nodes) return WEFT_E_NOMEM;
    h->nodes = nodes;
    h->cap = cap;
    return 0;
}

static void place(struct heap *h, size_t i, struct heap_node *n) {
    h->nodes[i - 1] = n;
    n->index = i;
}

static void sift_up(struct heap *h, struct heap_node *n) {
    size_t i = n->index;
    for (; i > 1 && h->nodes[i / 2 - 1]->at_ns > n->at_ns; i /= 2) place(h, i, h->nodes[i / 2 - 1]);
    place(h, i, n);
}

static void sift_down(struct heap *h, struct heap_node *n) {
    size_t i = n->index;
    for (size_t c; (c = 2 * i) <= h->count; i = c) {
        if (c < h->count && h->nodes[c]->at_ns < h->nodes[c - 1]->at_ns) c++;
        if (h->nodes[c - 1]->at_ns >= n->at_ns) break;
        place(h, i, h->nodes[c - 1]);
    }
    place(h, i, n);
}

static void take_out(struct heap *h, struct heap_node *n) {
    struct heap_node *last = h->nodes[--h->count];
    size_t i = n->index;
    n->index = 0;
    if (last == n) return;
    place(h, i, last);
    sift_up(h, last);
    sift_down(h, last);
}

void heap_set(struct heap *h, struct heap_node *n, uint64_t at_ns) {
    if (n->index && n->at_ns == at_ns) return;
    n->at_ns = at_ns;
    if (at_ns == WEFT_TIME_NEVER) {
        if (n->index) take_out(h, n);
        return;
    }
    if (!n->index) place(h, ++h->count, n);
    sift_up(h, n);
    sift_down(h, n);
}

struct heap_node *heap_first(const struct heap *h) {
    return h->count ? h->nodes[0] : NULL;
}
