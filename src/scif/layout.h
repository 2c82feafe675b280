/* What lies in an endpoint's memory file, which its processes and the node's SCIF service map, and of which
 * the peer maps what is meant for it.
 *
 *   page 0   private: locks of the processes that share the endpoint by fork; never mapped by the peer
 *   page 1   the words of the inbound queue: the sender's line, the receiver's line, the marks
 *   2, 3     its bytes
 *   then     the windows of the registered address space, of which the peer writes only that it is there
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
#define SCIF_QUEUE_BYTES 4095u /* what the queue of a direction holds, … */
/* … and between hosts, where a round trip brings no more than that. The guide's clients take from 4095 to
 * 9999. */
#define SCIF_QUEUE_FAR_BYTES 8190u
#define SCIF_QUEUE_MEMORY    8192u

/* What poll() says of an endpoint's descriptor depends on bytes in its socket; marks tell which are there. */
enum queue_mark {
    QUEUE_MARK_NONE,
    QUEUE_MARK_SET,
    QUEUE_MARK_BUSY, /* being set, by the process whose number is in the bits above: 0: it is not known */
    QUEUE_MARK_BITS
};

/* Whose queue it is: a peer's on this host, or the service's, which stands for a peer on another host. */
enum scif_far {
    SCIF_NEAR,
    SCIF_FAR,
    SCIF_FAR_LOST /* that peer's node is lost */
};

struct scif_queue {
    _Alignas(64) atomic_uint head; /* bytes ever written; the sender's */
    _Alignas(64) atomic_uint tail; /* bytes ever read; the receiver's */
    atomic_int receiving; /* the process of the receiver's that looks at head by itself; 0: none, it wants to
                             be told */
    _Alignas(64) atomic_uint some; /* enum queue_mark: a byte in the receiver's socket: readable */
    atomic_uint full;              /* enum queue_mark: the sender's socket is stuffed: not writable */
    atomic_uint far;               /* enum scif_far; the service's */
    /* RMAs to a peer on another host whose end nobody waited for: */
    _Alignas(64) atomic_uint asked; /* before each is asked for; the sender's */
    atomic_uint done;               /* the service's, as what follows */
    atomic_int failed;   /* an errno: what one of them ended with, until a call tells the program */
    atomic_uint granted; /* counts; ranges of the peer's that were known before are not any more */
    /* The process whose library says that this endpoint is open, and takes it back before it closes it; 0:
     * nobody, the socket tells. The service takes it back for those that end without a word. */
    atomic_uint open;
};

/* ---- The registered address space ----
 * Its windows stand for pages, which are in one of two places:
 *   pinned   as a buffer of an io_uring: whoever has that ring copies to and from them, also when the
 * addresses that they had are gone, or the process that had them. Nothing in the owner's memory changes. in a
 * file in memory: which others can map. Shared memory is there from the beginning; other pages are moved
 *            there when the peer maps them for the first time.
 * A window is one piece or several that adjoin: as large as a buffer can be, and each in one place. Pieces
 * are sorted by offset and never overlap. Readers check `version` before and after: odd while it is being
 * changed. */
#define SCIF_PIECES_MAX  32768u
#define SCIF_PIECE_BYTES (UINT64_C(1) << 30) /* a buffer's limit */
#define SCIF_RINGS_MAX   32u
#define SCIF_RING_SLOTS  1024u /* buffers of a ring */
#define SCIF_FILES_MAX   64u
#define SCIF_OWNERS_MAX  32u /* processes that register at one endpoint, which they share by fork */
#define SCIF_OWNER_GONE  (SCIF_OWNERS_MAX + 1) /* of a piece: it has ended, and another one has its place */
#define SCIF_USERS_MAX   64u                   /* processes that reach the windows */

enum piece_kind {
    PIECE_PINNED,
    PIECE_FILE,
    PIECE_COMING, /* it is being registered */
    PIECE_GONE    /* unregistered, but maybe still mapped: its offsets are not given to another window */
};

struct scif_piece {
    uint64_t offset, bytes;
    uint64_t at; /* pinned: where the pages were then, which is how the ring names them; file: where in it */
    uint64_t window;            /* pieces of one window have one number */
    uint32_t kind, prot, place; /* place: which ring or file */
    uint32_t slot;              /* of the ring */
    uint32_t owner;             /* of whose memory it is */
    uint32_t born;              /* how often that owner's memory had been moved by mremap() then (watch.h) */
};

/* A descriptor that the service keeps for all: its process, and the number there. */
struct scif_kept {
    uint32_t holder, fd;
};

/* Where an owner is asked to move pages (mover.h). */
struct scif_door {
    struct scif_kept kept;
    uint64_t
        cookie; /* the system's name of that socket: the service may have another one under that number */
};

/* Where the words of a ring are in its mapping, as the system gave them, and the turn to use it. */
struct scif_ring_words {
    uint32_t entries, sq_head, sq_tail, sq_mask, sq_array, cq_head, cq_tail, cq_mask, cqes;
};
struct scif_ring {
    atomic_uint turn; /* the process that uses it; 0: nobody */
    struct scif_kept kept;
    uint64_t
        mark; /* random, and in the ring too: what the service has under that number may be another by now */
    struct scif_ring_words words;
};

struct scif_file {
    struct scif_kept kept;
    _Atomic uint64_t device, inode; /* which file it is; what the service has under that number may be another
                                       by now. 0: none, no window is in it any more */
    atomic_uint brought;            /* the program's own, which other processes may have too */
    atomic_uint shared;             /* with other hosts: whoever is at it has to be a sharer (owned.h) */
};

/* A process that reaches windows here: memory that it may be at, or has mapped, is not used for others. */
struct scif_user {
    atomic_uint process; /* 0: none */
    atomic_uint busy;    /* threads that are at it */
    atomic_uint mapped;  /* has mapped a window, maybe still */
};

struct scif_windows {
    atomic_uint version, count;
    atomic_uint changing; /* the first piece that a change may touch, while version is odd */
    atomic_uint rings, files, owners;
    atomic_uint let_go; /* files that were, so far */
    atomic_uint
        granted;       /* the service has told another host what is there, which counts on it (protocol.h) */
    atomic_uint going; /* threads that unregister: nothing is told now */
    _Atomic uint64_t name; /* random: how its owners know which one is meant; 0: it has no owner yet */
    struct scif_ring ring[SCIF_RINGS_MAX];
    struct scif_file file[SCIF_FILES_MAX];
    struct scif_door door[SCIF_OWNERS_MAX];
    struct scif_user user[SCIF_USERS_MAX];
    _Alignas(SCIF_PAGE) struct scif_piece piece[SCIF_PIECES_MAX];
};

struct scif_private {
    _Alignas(64) atomic_uint sending, receiving; /* turn.h */
    atomic_uint shared; /* more than one process has it, or had it: each says so to the service, which looks
                           after what it was at when it ends */
    _Alignas(64) pthread_mutex_t window_lock; /* robust, between processes */
    uint64_t next_window;
    uint32_t next_mark, gone;                             /* gone: pieces of that kind */
    uint32_t slots[SCIF_RINGS_MAX][SCIF_RING_SLOTS / 32]; /* a bit for each buffer in use */
};

/* What the peer maps. */
struct scif_shared {
    _Alignas(SCIF_PAGE) struct scif_queue queue;
    _Alignas(SCIF_PAGE) unsigned char bytes[SCIF_QUEUE_MEMORY];
    _Alignas(SCIF_PAGE) struct scif_windows windows;
};
struct scif_memory {
    _Alignas(SCIF_PAGE) struct scif_private own;
    struct scif_shared shared;
};
#define SCIF_SHARED_AT    offsetof(struct scif_memory, shared)
#define SCIF_SHARED_BYTES sizeof(struct scif_shared)
#define SCIF_OPEN_AT      offsetof(struct scif_memory, shared.queue.open)
static_assert(SCIF_SHARED_AT % SCIF_PAGE == 0, "it is mapped by itself");

#endif
