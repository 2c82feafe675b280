/* What this process knows of an endpoint: found by descriptor, shared by all descriptors of it, gone with the
 * last one. The endpoint itself lives in the service and in its memory file; so a child after fork() has it
 * too. */
#ifndef WEFT_SCIF_ENDPOINT_H
#define WEFT_SCIF_ENDPOINT_H
#include "scif/layout.h"
#include "scif/protocol.h"
#include "scif/space.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

struct endpoint {
    uint64_t id; /* the service's name for it */
    int inner;   /* its own inner socket (queue.h) */
    struct scif_memory *memory;
    ino_t inode; /* of the outer socket: all its descriptors have it */

    atomic_bool connected; /* what follows is set, for ever */
    struct scif_portID peer, self;
    int peer_inner;
    struct scif_shared *peer_memory;

    struct space own, there; /* the registered address spaces: this one's and the peer's */
    uint32_t owner;          /* which of its owners this process is */
    pid_t owner_of;

    atomic_int refs; /* descriptors in the table, calls under way */
    atomic_int descriptors;
    atomic_bool closing; /* the last of them is being closed: sleepers shall come out */
    atomic_int sleepers;
    _Atomic pid_t announced_of; /* that process has told the service that it is one of several */
    atomic_bool connecting;     /* a thread of this process waits for the answer */
    struct endpoint
        *next; /* of those that are free; never given back to the heap, so that a late look is harmless */
};

/* The endpoint of a descriptor, held for a call; NULL with errno EBADF, ENOTTY. */
struct endpoint *endpoint_hold(scif_epd_t epd);
void endpoint_release(struct endpoint *e);
/* All that this process has, held, to be given back by endpoint_release_all(). False: no memory. */
bool endpoint_all(struct endpoint ***out, unsigned *n);
void endpoint_release_all(struct endpoint **all, unsigned n);
/* Held, and connected. NULL with errno as above, and ENOTCONN, EINPROGRESS → ENOTCONN, ENXIO. */
struct endpoint *endpoint_hold_connected(scif_epd_t epd);

/* Takes descriptors as OPEN gives them: outer, inner, memory. The endpoint, held; NULL with errno: all are
 * closed then. */
struct endpoint *endpoint_adopt(uint64_t id, const int fd[3], bool owned);
/* Takes what STATE and ACCEPT give of the peer: its memory and its inner socket. 0 or an errno; they are
 * closed then. */
int endpoint_meet(struct endpoint *e, const struct scif_answer *a, const int fd[2]);
/* Its library says so; false: it is not known. No system call. */
static inline bool endpoint_peer_is_open(const struct endpoint *e) {
    return atomic_load(&e->peer_memory->queue.open) != 0;
}
/* Asks the service whether it is connected, and meets its peer. 0 or an errno. */
int endpoint_learn(struct endpoint *e);

/* The descriptor is about to be closed, or to become another file's. */
void endpoint_forget(int fd);
void endpoint_forget_range(unsigned from, unsigned to);
/* Sleeps until the outer socket has one of `events` (POLLIN, POLLOUT), the peer's is closed, a signal comes,
 * or another thread closes e; timeout_ms as poll(). 0, or EINTR, ETIMEDOUT, ECONNRESET (the peer's end),
 * ECANCELED (closed here). */
int endpoint_sleep(struct endpoint *e, int outer, short events, int timeout_ms);

/* Around fork(): the child finds no lock held by a thread that it does not have. */
void endpoint_before_fork(void);
void endpoint_after_fork(bool in_child);

/* A lock of e->memory->own, which a process may have died with. */
void endpoint_lock(struct endpoint *e);
void endpoint_unlock(struct endpoint *e);

#endif
