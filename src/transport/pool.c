/* Free lists. */
#include "transport/pool.h"

#include <stdlib.h>

void pool_init(struct pool *p, size_t block_bytes, size_t keep_max) {
    *p = (struct pool){.block_bytes = block_bytes, .keep_max = keep_max};
}

void pool_fini(struct pool *p) {
    while (p->free) {
        void *next = *(void **)p->free;
        free(p->free);
        p->free = next;
    }
    p->kept = 0;
}

void *pool_get(struct pool *p) {
    void *block = p->free;
    if (block) {
        p->free = *(void **)block;
        p->kept--;
    } else if (!(block = malloc(p->block_bytes)))
        return NULL;
    p->live++;
    return block;
}

void pool_put(struct pool *p, void *block) {
    p->live--;
    if (p->kept >= p->keep_max) {
        free(block);
        return;
    }
    *(void **)block = p->free;
    p->free = block;
    p->kept++;
}
