/* Per-thread blocks of memory: claimed at a thread's first use, given back when it ends, and then handed,
 * contents untouched, to the next new thread. A pool's blocks are linked in one list that only grows and is
 * never freed, so that anyone may walk it at any time without a lock, in a signal handler too. Counters and
 * traces keep their cells here: what an ended thread wrote stays readable.
 *
 * Safe in a library that any program loads: the pthread key goes away with the library. The blocks stay
 * behind (nothing tells an unloading from the process's end, when other threads still use them), so a library
 * that is loaded again and again is better linked with -z nodelete. A fork leaves at most a few blocks
 * claimed for ever. */
#ifndef WEFT_BASE_LOCAL_H
#define WEFT_BASE_LOCAL_H
#include <stdatomic.h>
#include <stddef.h>

#include "base/board.h"

struct weft_local_block {
    struct weft_local_block *next; /* set before the block is published, then constant */
    atomic_bool claimed;
    _Alignas(64) unsigned char data[];
};

struct weft_local_pool {
    size_t block_bytes;
    enum weft_board_kind kind; /* blocks lie on the board (base/board.h) as this, while there is room */
    struct weft_local_block *_Atomic blocks;
};

/* A block for the calling thread, zeroed if new; NULL when memory is short. `*cell` is the thread's own
 * pointer to it (a __thread variable), which is set now, and set to NULL again when the thread ends. */
void *weft_local_claim(struct weft_local_pool *pool, void **cell);

/* Walks the blocks' data: for (b = weft_local_next(pool, NULL); b; b = weft_local_next(pool, b)). */
void *weft_local_next(struct weft_local_pool *pool, void *data);

#endif
