/* Per-thread blocks. One pthread key serves all pools: its value is the thread's list of what it has claimed,
 * kept in thread-local storage, and its destructor gives the blocks back. */
#include "base/local.h"

#include "base/list.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define POOLS_MAX 4 /* counters and trace today; a claim beyond it stays claimed after its thread's end */

struct claim {
    struct weft_local_block *block;
    void **cell;
};

static __thread struct claim claims[POOLS_MAX];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static atomic_bool key_lives;

static void give_back(void *arg) {
    struct claim *mine = arg;
    for (size_t i = 0; i < POOLS_MAX; i++) {
        if (!mine[i].block) continue;
        *mine[i].cell = NULL;
        atomic_store_explicit(&mine[i].block->claimed, false, memory_order_release);
        mine[i] = (struct claim){0};
    }
}

static void make_key(void) { atomic_store(&key_lives, pthread_key_create(&key, give_back) == 0); }

/* On unloading, threads that live on must not call into code that is gone. */
__attribute__((destructor)) static void drop_key(void) {
    if (atomic_exchange(&key_lives, false)) pthread_key_delete(key);
}

static void remember(struct weft_local_block *block, void **cell) {
    pthread_once(&once, make_key);
    if (!atomic_load(&key_lives)) return;
    for (size_t i = 0; i < POOLS_MAX; i++) {
        if (claims[i].block) continue;
        /* Failing to set the key loses only the giving back. */
        if (pthread_setspecific(key, claims) == 0) claims[i] = (struct claim){block, cell};
        return;
    }
}

static struct weft_local_block *reuse(struct weft_local_pool *pool) {
    for (struct weft_local_block *b = atomic_load_explicit(&pool->blocks, memory_order_acquire); b;
         b = b->next) {
        bool expected = false;
        if (atomic_load_explicit(&b->claimed, memory_order_relaxed)) continue;
        if (atomic_compare_exchange_strong_explicit(&b->claimed, &expected, true, memory_order_acquire,
                                                    memory_order_relaxed))
            return b;
    }
    return NULL;
}

static struct weft_local_block *add(struct weft_local_pool *pool) {
    size_t bytes = (sizeof(struct weft_local_block) + pool->block_bytes + 63) & ~(size_t)63;
    struct weft_local_block *b = weft_board_alloc(pool->kind, bytes);
    if (!b && (b = aligned_alloc(64, bytes))) __builtin_memset(b, 0, bytes);
    if (!b) return NULL;
    atomic_init(&b->claimed, true);
    b->next = atomic_load_explicit(&pool->blocks, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&pool->blocks, &b->next, b, memory_order_release,
                                                  memory_order_relaxed)) {
    }
    return b;
}

void *weft_local_claim(struct weft_local_pool *pool, void **cell) {
    struct weft_local_block *b = reuse(pool);
    if (!b) b = add(pool);
    if (!b) return NULL;
    *cell = b->data;
    remember(b, cell);
    return b->data;
}

void *weft_local_next(struct weft_local_pool *pool, void *data) {
    struct weft_local_block *b = data ? weft_container_of(data, struct weft_local_block, data)->next
                                      : atomic_load_explicit(&pool->blocks, memory_order_acquire);
    return b ? b->data : NULL;
}
