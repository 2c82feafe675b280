/* Memory that this process and the executors of the same machine have: one large memory object (the pool), of
 * which places are taken for buffers. An executor makes a buffer over its place if its device works in the
 * host's memory; then data is put in and taken out by a copy of this process's own (host.c), or by none
 * (maps). Buffers of several executors that are parts of one memory object are made in one place, so that
 * contents need not move between them (twins).
 *
 * DESIGN NOTES. This side makes the object and gives out the places, so a buffer needs no message more than
 * the one that makes it, and nothing waits. A place is this side's again when the executor says so
 * (PLACE_FREE): when the driver's buffer is gone, which commands under way may keep for longer than the
 * program, or at once, if the buffer was made elsewhere. So before a place is relied on the executor must
 * have carried out the making of its buffer: known from any answer to what was sent later. Pages that had a
 * buffer are used again, up to a limit, since fresh ones cost more than copying into them. Memory that a lost
 * executor had is never given to another buffer: nobody knows whether it has stopped.
 *
 * Twins: a second buffer is asked to be in the first one's place or nowhere, and only when it is known that
 * the first is there and that the second's device works in such memory. Then no message is needed to know
 * that the two are one. Whoever uses both orders the uses (front/coherence.h).
 *
 * Rejected: pulling out of the program's memory by the system (cross-memory attach), a third as fast as a
 * copy where that memory has pages of 4 KiB, which it mostly has; one memory object a buffer, which costs
 * four system calls and a descriptor at either end. */
#ifndef WEFT_OPENCL_REMOTE_SHARE_H
#define WEFT_OPENCL_REMOTE_SHARE_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

struct share_range {
    struct share_range *next; /* free ones of one size */
    uint64_t at;              /* its offset */
    size_t room;
    unsigned users; /* executors with a buffer there */
    bool lost;      /* one of them is gone without having told that its buffer is */
    bool filled;    /* its pages are there, and mapped here */
};

#define SHARE_SIZES 256u

struct share_pool {
    atomic_uint holds; /* the hub's, and the regions' */
    int fd;
    char *memory;
    size_t bytes;

    pthread_mutex_t lock; /* leaf; all below, and ranges, regions and places */
    uint64_t end;         /* what was never given out begins here */
    size_t free_bytes;    /* of free ranges whose pages are there */
    struct share_range *free[SHARE_SIZES];
};

/* What one executor has of it. */
struct share_region {
    struct share_pool *pool; /* held */
    atomic_uint holds;       /* the node's, and its places' */
    atomic_bool lost;        /* the executor is gone */
    struct weft_map given;   /* offset -> place */
};

/* Where a buffer is, if it is there. */
struct share_place {
    struct share_region *region; /* held */
    unsigned holds;              /* the buffer's handle, its sub-buffers', region->given */
    struct share_range *range;   /* NULL: the buffer is not there (any more) */
    uint64_t at;
    uint64_t number; /* of the node's places that were sent; 0: not yet */
};

/* A memory handle's record: a part of a place. */
struct remote_mem {
    struct share_place *place; /* held */
    size_t offset;
};

/* By which another process finds the object. */
struct share_id {
    uint32_t pid, fd;
    uint64_t device, inode;
};

/* NULL: this machine cannot, or must not. */
struct share_pool *share_pool_create(void);
void share_pool_drop(struct share_pool *p); /* gives up a hold; NULL is nothing */
bool share_identify(const struct share_pool *p, struct share_id *out);
/* NULL: no memory. */
struct share_region *share_region_create(struct share_pool *p);
void share_region_drop(struct share_region *g); /* gives up a hold; NULL is nothing */
/* A place with one hold for the caller. NULL: none is left, or no memory. */
struct share_place *share_take(struct share_region *g, size_t bytes);
/* The same in the memory of another region's place. NULL: no buffer is there any more, or that executor is
 * gone, too. */
struct share_place *share_join(struct share_region *g, const struct share_place *other);
/* The two are in the same memory, and neither executor is gone. */
bool share_is_one(const struct share_place *a, const struct share_place *b);
struct share_place *share_hold(struct share_place *p);
void share_put(struct share_place *p); /* NULL is nothing */
/* The executor says that no buffer is there. */
void share_free(struct share_region *g, uint64_t at);
/* The executor is gone: no place is given back any more. */
void share_lost(struct share_region *g);
/* The buffer's memory; NULL: it is elsewhere. */
char *share_memory(const struct share_place *p, size_t offset, size_t bytes);
/* So much of it is about to be used here: asks for its pages, all at once, if that is worth it. */
void share_fill(struct share_place *p, size_t bytes);

#endif
