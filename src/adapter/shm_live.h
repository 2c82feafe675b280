/* Which regions of this side's memory may be read: a table in a link's memory, written by the owner of the
 * regions, looked at by the reader before and after each copy.
 *
 * DESIGN NOTES
 *
 * An entry holds the serial of the region that is exposed in it, or 0. Serials are never used twice, so a
 * reader that finds the same serial after its copy knows that the region was exposed all the time: what it
 * copied is what the owner had lent. (The table is a sequence lock whose writer never waits: the copy of a
 * reader that was late is thrown away.) The owner's store is complete before conceal() returns, so before the
 * program writes to its memory again.
 *
 * The reader trusts only itself: an owner that writes lies here spoils its own transfers.
 *
 * (Rejected: to wait in conceal() for readers, who may be stopped or dead; and to close the link, which
 * others use.) */
#ifndef WEFT_ADAPTER_SHM_LIVE_H
#define WEFT_ADAPTER_SHM_LIVE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SHM_LIVE_MAX 1024u /* regions of one side of a link that are exposed at a time */

/* The owner's side. */
struct shm_live {
    _Atomic uint64_t *serial;          /* SHM_LIVE_MAX of them, in the link's memory */
    uint64_t used[SHM_LIVE_MAX / 64u]; /* a bit for each entry; the low ones are taken first */
};

/* Exposes; SHM_LIVE_MAX: no entry is free. */
uint32_t shm_live_add(struct shm_live *l, uint64_t serial);
/* Conceals: once for each that was exposed. */
void shm_live_remove(struct shm_live *l, uint32_t entry);

/* The reader's side. What was copied before this call is good if it says so. */
static inline bool shm_live_holds(const _Atomic uint64_t *table, uint32_t entry, uint64_t serial) {
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&table[entry], memory_order_acquire) == serial;
}

#endif
