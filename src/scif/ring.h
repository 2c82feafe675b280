/* Pinned pages: buffers of an io_uring that several processes use. A buffer keeps its pages as long as the
 * ring has it, whatever becomes of the addresses or of the process that had them, and needs no change to the
 * memory: that is what a window is.
 *
 * The ring's owner makes it and registers buffers; the peer's processes, and the service, get it by
 * pidfd_getfd (it cannot be sent over a socket). Bytes go between a buffer and a descriptor by one system
 * call: with a pipe the system does that at once, a file in memory it hands to a thread of its own. */
#ifndef WEFT_SCIF_RING_H
#define WEFT_SCIF_RING_H
#include "scif/layout.h"

#include <stdbool.h>
#include <sys/types.h>

struct ring { /* as this process has it */
    int fd;   /* -1: not here */
    struct scif_ring *shared;
    unsigned char *words; /* its mapping */
    size_t words_bytes;
    void *requests;
    unsigned entries;
    unsigned late; /* the process that kept it for too long */
};

/* 0 or an errno: ENOMEM, EPERM (the system forbids it), … */
int ring_create(struct ring *r, struct scif_ring *shared);
/* A ring that another process made. EPROTO: what `shared` says cannot be. */
int ring_open(struct ring *r, struct scif_ring *shared, int fd);
void ring_close(struct ring *r);

/* The owner's. 0 or an errno: EFAULT, ENOMEM (RLIMIT_MEMLOCK), … */
int ring_pin(struct ring *r, unsigned slot, void *address, size_t bytes);
void ring_unpin(struct ring *r, unsigned slot);

/* Pins in the slot what another ring of this process has in one of its own. EOPNOTSUPP: the system cannot. */
int ring_share(struct ring *r, unsigned slot, struct ring *from, unsigned from_slot);

/* One process at a time. Whoever died in its turn has none any more. False: somebody keeps it for too long.
 */
bool ring_take(struct ring *r);
/* How long that is, in nanoseconds; 0: it is waited for. Asked of whoever this is part of. */
uint64_t ring_patience_ns(void);
void ring_give(struct ring *r);

enum ring_way {
    RING_READ, /* from the pinned pages to the descriptor */
    RING_WRITE /* from the descriptor to the pinned pages */
};
#define RING_STREAM UINT64_MAX /* the descriptor is a pipe, with enough in it or enough room */

/* In its turn: up to n bytes between the pages, which the owner had at `address`, and the descriptor at `at`.
 * How many; -errno. */
ssize_t ring_run(struct ring *r, enum ring_way way, unsigned slot, uint64_t address, int fd, uint64_t at,
                 size_t n);

#endif
