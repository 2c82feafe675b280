/* What lies in an endpoint's memory file, which its processes and the node's SCIF service map, and of which
 * the peer maps what is meant for it.
 *
 *   page 0   private: locks of the processes that share the endpoint by fork; never mapped by the peer
 *   page 1   the words of the inbound queue: the sender's line, the receiver's line, the marks
 *   page 2   its bytes
 *   then     the windows of the registered address space, which the peer only reads
 *
 * NOTHING THAT THE PEER WRITES IS TRUSTED: positions are taken modulo the queue, and a wrong one gives wrong
 * bytes, never an access outside of it. The file is sealed against growing and shrinking before anybody gets
 * it. */
#ifndef WEFT_SCIF_LAYOUT_H
#define WEFT_SCIF_LAYOUT_H
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SCIF_PAGE        4096u
#define SCIF_QUEUE_BYTES 4095u /* what the queue of a direction holds; the size of its memory is one more */

/* What poll() says of an endpoint's descriptor depends on bytes in its socket; marks tell which are there. */
enum queue_mark {
    QUEUE_MARK_NONE,
    QUEUE_MARK_SET,
    QUEUE_MARK_BUSY /* being set */
};

struct scif_queue {
    _Alignas(64) atomic_uint head; /* bytes ever written; the sender's */
    _Alignas(64) atomic_uint tail; /* bytes ever read; the receiver's */
    atomic_int receiving; /* the process of the receiver's that looks at head by itself; 0: none, it wants to
                             be told */
    _Alignas(64) atomic_uint some; /* enum queue_mark: a byte in the receiver's socket: readable */
    atomic_uint full;              /* enum queue_mark: the sender's socket is stuffed: not writable */
};

/* ---- The registered address space ----
 * Its windows stand for pages that are pinned as buffers of an io_uring: whoever has that ring copies to and
 * from them, also when the addresses they had are gone, or the process that had them. A window is one piece
 * or, if it is larger than a buffer can be, several that adjoin. Pieces are sorted by offset and never
 * overlap. Readers check `version` before and after: odd while it is being changed. */
#define SCIF_PIECES_MAX  32768u
#define SCIF_PIECE_BYTES (UINT64_C(1) << 30) /* a buffer's limit */
#define SCIF_RINGS_MAX   32u
#define SCIF_RING_SLOTS  1024u /* buffers of a ring */

struct scif_piece {
    uint64_t offset, bytes;
    uint64_t address; /* where the pages were when they were pinned: how the ring names them */
    uint64_t window;  /* pieces of one window have one number */
    uint32_t ring, slot, prot, unused;
};

/* Where the words of a ring are in its mapping, as the system gave them, and the turn to use it. */
struct scif_ring_words {
    uint32_t entries, sq_head, sq_tail, sq_mask, sq_array, cq_head, cq_tail, cq_mask, cqes;
};
struct scif_ring {
    atomic_uint turn;           /* the process that uses it; 0: nobody */
    uint32_t holder, holder_fd; /* the service that keeps it, and its descriptor there */
    struct scif_ring_words words;
};

struct scif_windows {
    atomic_uint version, count;
    atomic_uint rings;
    struct scif_ring ring[SCIF_RINGS_MAX];
    _Alignas(SCIF_PAGE) struct scif_piece piece[SCIF_PIECES_MAX];
};

struct scif_private {
    pthread_mutex_t send_lock, receive_lock, window_lock; /* robust, between processes */
    uint64_t next_window;
    uint32_t next_mark;
    uint32_t slots[SCIF_RINGS_MAX][SCIF_RING_SLOTS / 32]; /* a bit for each buffer in use */
};

/* What the peer maps. */
struct scif_shared {
    _Alignas(SCIF_PAGE) struct scif_queue queue;
    _Alignas(SCIF_PAGE) unsigned char bytes[SCIF_PAGE];
    _Alignas(SCIF_PAGE) struct scif_windows windows;
};
struct scif_memory {
    _Alignas(SCIF_PAGE) struct scif_private own;
    struct scif_shared shared;
};
#define SCIF_SHARED_AT    offsetof(struct scif_memory, shared)
#define SCIF_SHARED_BYTES sizeof(struct scif_shared)
static_assert(SCIF_SHARED_AT % SCIF_PAGE == 0, "it is mapped by itself");

#endif
