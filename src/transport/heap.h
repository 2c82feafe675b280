/* Deadline heap: a binary min-heap of nodes embedded in what they time; a node knows its place, so that it
 * can be moved or taken out. No locking; the only allocation is the array of pointers. */
#ifndef WEFT_TRANSPORT_HEAP_H
#define WEFT_TRANSPORT_HEAP_H
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t at_ns;
    size_t index; /* 1-based; 0: not in a heap */
};
struct heap {
    struct heap_node **nodes;
    size_t count, cap;
};

void heap_init(struct heap *h);
void heap_fini(struct heap *h);
/* Makes room for one more node beside those there are, so that heap_set cannot fail. WEFT_E_NOMEM. */
int heap_reserve(struct heap *h, size_t count);
/* Puts the node in or moves it; WEFT_TIME_NEVER takes it out. Room must have been reserved for a new one. */
void heap_set(struct heap *h, struct heap_node *n, uint64_t at_ns);
struct heap_node *heap_first(const struct heap *h); /* NULL: empty */

#endif
