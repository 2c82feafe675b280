/* RMAs to a peer on another host: the node's service carries them out (protocol.h). Any thread. */
#ifndef WEFT_SCIF_REMOTE_H
#define WEFT_SCIF_REMOTE_H
#include "scif/endpoint.h"

struct remote_move {
    struct endpoint *e;
    bool write;
    bool leave; /* a write: it returns as soon as its bytes are taken, if it is known that they can be written
                 */
    uint64_t remote, bytes; /* the whole range of the peer's */
    /* n bytes between the local side, `at` from its beginning, and memory. 0 or an errno. */
    int (*local)(void *arg, uint64_t at, void *memory, size_t n);
    void *arg;
};

bool remote_is(const struct endpoint *e);
/* From `from` to `to` of it; all of it is checked before. 0, ENXIO, EPERM, ECONNRESET, ENODEV, ENOMEM, or the
 * local side's. */
int remote_run(const struct remote_move *m, uint64_t from, uint64_t to);
/* All RMAs that were left before, of this endpoint or of the peer's, are complete. Also what one of them
 * ended with, which is told once. stops: a signal ends it, with EINTR. */
int remote_fence(struct endpoint *e, bool of_peer, bool stops);
/* The peer asks again before it leaves an RMA; those that it has left are complete. */
int remote_forget(struct endpoint *e);
/* Only checks: SCIF_PROT_READ, _WRITE. */
int remote_check(struct endpoint *e, uint64_t offset, uint64_t bytes, int prot);
/* A fence's 8 bytes: whether they can be written; writing them. */
int remote_check_value(struct endpoint *e, uint64_t offset);
int remote_write_value(struct endpoint *e, uint64_t offset, uint64_t value);

#endif
