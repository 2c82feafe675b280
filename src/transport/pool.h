/* Pool: a free list of equal blocks, so that small messages cost no malloc. No locking. */
#ifndef WEFT_TRANSPORT_POOL_H
#define WEFT_TRANSPORT_POOL_H
#include <stddef.h>

struct pool {
    void *free;
    size_t block_bytes, kept, keep_max, live;
};

void pool_init(struct pool *p, size_t block_bytes, size_t keep_max);
void pool_fini(struct pool *p);
void *pool_get(struct pool *p); /* not cleared; NULL: no memory */
void pool_put(struct pool *p, void *block);

#endif
