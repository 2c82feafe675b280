/* What lies in an endpoint's memory file, which its processes and the node's SCIF service map, and of which
 * the peer maps what is meant for it.
 *
 *   page 0   private: locks of the processes that share the endpoint by fork; never mapped by the peer
 *   page 1   the words of the inbound queue: the sender's line, the receiver's line, the signals
 *   page 2   its bytes
 *
 * NOTHING THAT THE PEER WRITES IS TRUSTED: positions are taken modulo the queue, and a wrong one gives wrong
 * bytes, never an access outside of it. The file is sealed against growing and shrinking before anybody gets
 * it. */
#ifndef WEFT_SCIF_LAYOUT_H
#define WEFT_SCIF_LAYOUT_H
#include <pthread.h>
#include <stdatomic.h>
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

struct scif_private {
    pthread_mutex_t send_lock, receive_lock; /* robust, between processes */
};

struct scif_memory {
    _Alignas(SCIF_PAGE) struct scif_private own;
    _Alignas(SCIF_PAGE) struct scif_queue queue;
    _Alignas(SCIF_PAGE) unsigned char bytes[SCIF_PAGE];
};

/* What the peer maps. */
#define SCIF_SHARED_AT    offsetof(struct scif_memory, queue)
#define SCIF_SHARED_BYTES (sizeof(struct scif_memory) - SCIF_SHARED_AT)
struct scif_shared {
    _Alignas(SCIF_PAGE) struct scif_queue queue;
    _Alignas(SCIF_PAGE) unsigned char bytes[SCIF_PAGE];
};

#endif
