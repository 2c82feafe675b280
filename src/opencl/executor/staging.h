/* Staging: memory for data between the endpoint and the drivers. Bounded, with a cache of large pieces,
 * because fresh pages cost more than copying into them. Any thread. */
#ifndef WEFT_OPENCL_EXECUTOR_STAGING_H
#define WEFT_OPENCL_EXECUTOR_STAGING_H
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/list.h"

struct staging {
    struct weft_list link;
    struct staging_pool *pool;
    atomic_uint holds;
    size_t room;
    void *mem;
};
struct staging_pool {
    pthread_mutex_t lock;
    struct weft_list kept;
    size_t used_bytes, kept_bytes, cap_bytes, keep_bytes;
};

void staging_init(struct staging_pool *p, size_t cap_bytes);
void staging_fini(struct staging_pool *p);
/* Room for at least that much; NULL over the cap or without memory. Never holds another party's data: pieces
 * stay within one executor, new ones are zero. */
struct staging *staging_get(struct staging_pool *p, size_t bytes);
void staging_hold(struct staging *s); /* one more that must put it */
void staging_put(struct staging *s);  /* NULL is nothing */

#endif
