/* weft.h: reliable zero-copy message passing between the processes of a cluster.
 *
 * The operations are those of the message-passing specification (Post_Buffer, Cancel_Post_Buffer, Dma_Setup,
 * DMA_Cleanup, Zero_Copy_Send, Get_Buffer), under the prefix weft_, and beside them puts, eager messages, fences and
 * counters. Where a function comes from the specification its comment names the operation.
 *
 * Read from top to bottom: the groups stand in the order of use. A program needs this header and -lweft
 * (`pkg-config --cflags --libs weft`), nothing else.
 *
 *     struct weft_config cfg;
 *     weft_config_init(&cfg);
 *     cfg.handlers = my_handlers;  cfg.handler_count = 2;
 *     weft_open(&w, &cfg);                                  the process's place on the fabric
 *     weft_lookup_name(w, "server", WEFT_FOREVER, &where);  find somebody
 *     weft_connect(w, &where, NULL, &peer);                 a peer
 *     weft_send_eager(peer, HELLO, "hi", 2, NULL, 0);       a message for its handler HELLO
 *
 * PROMISES. A message arrives once, whole and in the right place, or it fails with an error. Every operation that was
 * accepted (its call returned 0) ends exactly once, with success or with an error: also when the peer dies, when either
 * side disconnects, and in weft_close. Nothing is silently repeated.
 *
 * ORDER. The header handlers of one peer's messages run in the order in which the messages were sent, those of puts
 * likewise take effect at the target in that order up to WEFT_EAGER_MAX bytes. Larger data completes when it completes;
 * weft_fence orders it.
 *
 * THREADS. Every function may be called by any thread, unless its comment says otherwise. Handlers and callbacks run one
 * at a time for the whole of one `struct weft`, on whichever thread makes progress: the one that waits in weft_wait or
 * weft_cntr_wait, else one of the library's own. They may call everything here but weft_open, weft_close, the functions
 * that wait (those with a timeout) and weft_poll, which refuse with WEFT_E_BUSY (weft_poll and weft_close do nothing).
 * They must not block and should be short: nothing else of this process moves on meanwhile.
 *
 * FORK. A `struct weft` belongs to the process that opened it. In a forked child whatever would reach others or wait for
 * them fails with WEFT_E_CLOSED; the child may open one of its own.
 *
 * ERRORS. 0 is success, negative values are errors, named below and told by weft_strerror. On an error nothing has been
 * started, no callback will come and no output has been set. Beside the errors that a function names, any may return
 * WEFT_E_NOMEM, and any that has a peer may return what made the peer go down (weft_peer_status), and WEFT_E_CLOSED
 * already when the peer has begun to close and takes nothing more.
 *
 * SIZES are in bytes and named so; times are in nanoseconds. */
#ifndef WEFT_H
#define WEFT_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Errors --------------------------------------------------------------------------------------------------- */

#ifndef WEFT_BASE_ERROR_H
enum weft_error {
    WEFT_OK = 0,
    WEFT_E_INVAL = -1,        /* an argument does not hold */
    WEFT_E_NOMEM = -2,        /* out of memory */
    WEFT_E_AGAIN = -3,        /* not now, try again */
    WEFT_E_NOSUP = -4,        /* not supported here */
    WEFT_E_NOENT = -5,        /* no such thing: tag, handler, name, process, window */
    WEFT_E_EXIST = -6,        /* exists already */
    WEFT_E_ACCESS = -7,       /* permission denied */
    WEFT_E_TOO_BIG = -8,      /* bigger than allowed, or than the room for it */
    WEFT_E_LIMIT = -9,        /* a limit or quota is reached */
    WEFT_E_PROTO = -10,       /* the peer broke the protocol */
    WEFT_E_VERSION = -11,     /* the peer speaks another version */
    WEFT_E_REFUSED = -12,     /* refused by the peer */
    WEFT_E_UNREACHABLE = -13, /* no way to reach the peer */
    WEFT_E_PEER_LOST = -14,   /* the peer is lost */
    WEFT_E_TIMEDOUT = -15,    /* the time is over */
    WEFT_E_CANCELED = -16,    /* canceled, or not wanted by the receiver */
    WEFT_E_CLOSED = -17,      /* closed in order, by either side */
    WEFT_E_INTR = -18,        /* interrupted */
    WEFT_E_IO = -19,          /* input or output failed */
    WEFT_E_BUSY = -20         /* in use, or not to be called from a handler */
};
#endif

/* "the peer is lost"; never NULL. Static storage. */
const char *weft_strerror(int code);

/* ---- Opening -------------------------------------------------------------------------------------------------- *
 * A process opens one `struct weft` (more are allowed; each is another process to the rest of the world). It attaches to
 * the cluster that the environment tells of (`weft run` sets it) or that is up on this host (`weft up`); where there is
 * none it works all the same, alone on node 0, and finds others by the addresses that the program passes on itself. */

struct weft;
struct weft_peer;

/* The address of a process: the node that it runs on and its number there. Alone: node 0 and the process id. */
struct weft_id {
    uint32_t node, process;
};

#define WEFT_HANDLERS_MAX 256
#define WEFT_HEADER_MAX   960   /* bytes of a message header */
#define WEFT_EAGER_MAX    16384 /* bytes of data of an eager message */
#define WEFT_FOREVER      UINT64_MAX
#define WEFT_ANY_NODE     UINT32_MAX

struct weft_msg;
struct weft_action;

/* A message handler, the specification's header handler. Handlers are named by small numbers that both sides have agreed
 * on; addresses of functions never travel. What it is told and what it answers: "Messages", below. */
struct weft_handler {
    void (*on_header)(void *ctx, struct weft_peer *peer, const struct weft_msg *msg, struct weft_action *action);
    void *ctx;
};

enum weft_flags {
    WEFT_ALONE = 1 << 0,     /* do not look for a cluster */
    WEFT_NO_THREAD = 1 << 1, /* no thread of the library: progress is made by the program's calls only (weft_fd) */
    WEFT_NO_ACCEPT = 1 << 2  /* nobody may connect */
};

/* Always start with weft_config_init. Everything pointed to need not outlive weft_open, but for the ctx pointers. */
struct weft_config {
    size_t size;             /* set by weft_config_init: which version of this struct the program was built with */
    unsigned flags;          /* of enum weft_flags */
    uint32_t node;           /* attach to that node, one of this host; WEFT_ANY_NODE: as the environment says */
    const char *adapters;    /* "shm,udp", best first; NULL: what the option WEFT_ADAPTER says */
    const char *run_dir;     /* private directory for sockets; NULL: the user's run directory */
    const char *bind_host;   /* numeric address to listen on; NULL: what the cluster prescribes, else 127.0.0.1 */
    const uint8_t *key;      /* 32 bytes that all who may connect share; NULL: the cluster's, if it has one */
    /* Handlers 0 to handler_count - 1; those without on_header are left free. They are in place before anybody can
     * send. */
    const struct weft_handler *handlers;
    size_t handler_count;
    /* Somebody wants to connect: 0 takes the peer, which is then the program's until weft_disconnect; a negative error
     * turns it away (it sees WEFT_E_REFUSED). `id` is what the peer says of itself. NULL: everybody is taken, and
     * the peer ends by itself when it goes down. */
    int (*on_accept)(void *ctx, struct weft_peer *peer, struct weft_id id);
    /* The peer is down: `status` is why (weft_peer_status). Comes once, after every operation with the peer has ended,
     * and nothing comes after it. Not for peers that weft_disconnect has ended. Optional. */
    void (*on_peer_down)(void *ctx, struct weft_peer *peer, int status);
    void *ctx;               /* of the two above */
    uint32_t max_posts;      /* most buffers posted at a time, for each peer and for "any peer"; 0: 65536 */
    uint32_t max_arrivals;   /* most messages, puts and gets of one peer that are unfinished here; 0: 1024 */
};

static inline void weft_config_init(struct weft_config *cfg) {
    memset(cfg, 0, sizeof *cfg);
    cfg->size = sizeof *cfg;
    cfg->node = WEFT_ANY_NODE;
}

/* Opens the process's place on the fabric; cfg NULL: all defaults, no handlers.
 * WEFT_E_INVAL (size, flags, too many handlers), WEFT_E_NOSUP (no adapter opens), what keeps an adapter that
 * cfg->adapters names from opening, WEFT_E_NOENT (no adapter has that name, or cfg->node is not up on this host),
 * WEFT_E_ACCESS, WEFT_E_VERSION, WEFT_E_TIMEDOUT, WEFT_E_PROTO (the daemon refuses, is another version, does not answer
 * within 10 seconds, says nonsense), WEFT_E_LIMIT, WEFT_E_IO, WEFT_E_BUSY (called from a handler). */
int weft_open(struct weft **out, const struct weft_config *cfg);

/* Closes in order: what was sent gets up to linger_ms milliseconds to arrive; everything unfinished ends with
 * WEFT_E_CLOSED, and on_peer_down comes for each peer. Handlers and callbacks run until it returns, but what comes from
 * now on is not taken: a peer's flush or get is not answered any more. So who gets the last message of a conversation
 * waits for on_peer_down before it closes. All peers, counters, memory descriptors, windows are invalid after it. No
 * other thread may be inside a call with w. NULL is allowed. */
void weft_close(struct weft *w, unsigned linger_ms);

struct weft_id weft_self(const struct weft *w);

/* How many nodes the cluster has now; 1 when alone. Errors as in "Finding others". */
int weft_node_count(struct weft *w);

/* Registers a handler later than with weft_config. A message for a handler that is not there (yet) fails with
 * WEFT_E_NOENT at its sender. WEFT_E_INVAL (id, no on_header), WEFT_E_EXIST (handlers stay until weft_close). */
int weft_handler_register(struct weft *w, uint16_t id, const struct weft_handler *handler);

/* ---- Finding others ------------------------------------------------------------------------------------------- *
 * An address is an opaque blob that can be sent by any means: in a file, a message, a pipe. In a cluster the daemons are
 * asked instead: by (node, process), by a name, or by a port.
 * All of this group but weft_own_address wait for the own daemon's answer. Each may return WEFT_E_NOSUP (alone: there is no
 * daemon), WEFT_E_PEER_LOST (the daemon is gone), WEFT_E_TIMEDOUT (no answer within 10 seconds) and WEFT_E_BUSY (called
 * from a handler); its comment names the others. */

#define WEFT_ADDRESS_MAX 768
#define WEFT_NAME_MAX    64 /* bytes of a name, its NUL included */

struct weft_address {
    uint32_t bytes; /* used of data */
    uint8_t data[WEFT_ADDRESS_MAX];
};

/* This process's own address. */
int weft_own_address(struct weft *w, struct weft_address *out);

/* Publishes this process under a name, until weft_withdraw or its end. A name is held once on a node; a process holds 1024
 * at most. WEFT_E_INVAL (empty, too long), WEFT_E_EXIST (held by another process of this node), WEFT_E_LIMIT. */
int weft_publish(struct weft *w, const char *name);
/* WEFT_E_INVAL, WEFT_E_NOENT (this process does not hold it). */
int weft_withdraw(struct weft *w, const char *name);
/* Who holds a name, on the lowest node that has it; waits for it to be published, at most timeout_ns (0: looks once).
 * WEFT_E_INVAL, WEFT_E_NOENT (timeout_ns 0), WEFT_E_TIMEDOUT (not published until then). */
int weft_lookup_name(struct weft *w, const char *name, uint64_t timeout_ns, struct weft_address *out);

/* A process by its number. WEFT_E_NOENT (no such process), WEFT_E_UNREACHABLE (no such node, or it is lost). */
int weft_lookup_process(struct weft *w, struct weft_id id, struct weft_address *out);

/* The node's port space (16 bits): 0 takes the lowest free port from 1089; ports below 1024 are root's.
 * WEFT_E_EXIST (taken), WEFT_E_ACCESS (below 1024), WEFT_E_LIMIT (none is free). */
int weft_port_bind(struct weft *w, uint16_t wanted, uint16_t *port);
int weft_port_release(struct weft *w, uint16_t port); /* WEFT_E_NOENT: not held by this process */
/* Who holds a port. WEFT_E_NOENT (nobody), WEFT_E_UNREACHABLE (no such node, or it is lost). */
int weft_lookup_port(struct weft *w, uint32_t node, uint16_t port, struct weft_address *out);

/* ---- Peers ---------------------------------------------------------------------------------------------------- *
 * A peer is a connection to another process (or to this one). Both sides may send as soon as they have it. A peer that
 * this side connected, or took in on_accept, is valid until weft_disconnect, also when it is down.
 * A process that dies is noticed at once over shm, after some 30 ms where both have a daemon, half a second where its host
 * says that nobody is there, else after two seconds without a sign of life (WEFT_DEAD_MS). */

/* Starts a connection and returns at once; what is sent meanwhile is kept and goes first. `context`: as
 * weft_peer_set_context. When the connection cannot be made the peer goes down: WEFT_E_REFUSED (turned away, or nobody
 * is there), WEFT_E_TIMEDOUT (no answer, WEFT_CONNECT_TIMEOUT_MS), WEFT_E_ACCESS (not the same key), WEFT_E_VERSION,
 * WEFT_E_BUSY (too many connect there just now), WEFT_E_NOSUP (no protection of packets that both sides take),
 * WEFT_E_UNREACHABLE, WEFT_E_PEER_LOST.
 * WEFT_E_INVAL (no address), WEFT_E_UNREACHABLE (no adapter leads there). */
int weft_connect(struct weft *w, const struct weft_address *to, void *context, struct weft_peer **out);
/* Waits until the peer is up: 0, WEFT_E_TIMEDOUT, WEFT_E_BUSY (called from a handler), or what made it go down. */
int weft_connect_wait(struct weft_peer *peer, uint64_t timeout_ns);
/* Ends a peer in order: what was sent is still delivered, in the background (not what a fence holds back); operations that
 * wait for an answer of the peer end with WEFT_E_CLOSED, posts for it too, arriving data is not stored any more. No handler runs
 * for it after this returned, only callbacks of operations that still end. The pointer is invalid at once: no other
 * thread may be using it. */
void weft_disconnect(struct weft_peer *peer);
/* WEFT_E_AGAIN: the connection is being made; 0: up; else why it is down: WEFT_E_PEER_LOST, WEFT_E_CLOSED,
 * WEFT_E_PROTO, WEFT_E_NOMEM and WEFT_E_LIMIT (one side could not keep what it has to, for lack of memory or
 * room), or one of weft_connect's. */
int weft_peer_status(const struct weft_peer *peer);
/* Who it is: as the daemon or the address said, or, for accepted peers, as the peer said itself. */
struct weft_id weft_peer_id(const struct weft_peer *peer);
const char *weft_peer_adapter(const struct weft_peer *peer); /* "shm"; static storage */
struct weft *weft_peer_fabric(const struct weft_peer *peer);
void weft_peer_set_context(struct weft_peer *peer, void *context); /* a pointer of the program's */
void *weft_peer_context(const struct weft_peer *peer);

/* ---- Completion ----------------------------------------------------------------------------------------------- *
 * How the end of an operation is told: by a counter, by a callback, by both or not at all. */

/* A counter: counts operations that ended well; keeps the first error of one that did not. */
struct weft_cntr;

/* id not 0: peers may name it as the target counter of their operations (they can count it up, nothing else); 0: it is
 * for this process only. WEFT_E_EXIST: the id is taken. */
int weft_cntr_create(struct weft *w, uint32_t id, struct weft_cntr **out);
/* Operations under way that name it end without it. */
void weft_cntr_destroy(struct weft_cntr *c);
uint64_t weft_cntr_value(const struct weft_cntr *c);
/* How many operations failed, and the first failure's code (status NULL: not wanted); forgotten by weft_cntr_reset. */
uint64_t weft_cntr_failures(const struct weft_cntr *c, int *status);
void weft_cntr_add(struct weft_cntr *c, uint64_t n);
/* Value and failures back to 0. */
void weft_cntr_reset(struct weft_cntr *c);
/* Waits until the value reaches `least`. If operations have failed so that value and failures together reach it, the
 * first failure's code. WEFT_E_TIMEDOUT, WEFT_E_BUSY (called from a handler). */
int weft_cntr_wait(struct weft_cntr *c, uint64_t least, uint64_t timeout_ns);

/* All members optional; all zero: nobody is told. */
struct weft_done {
    struct weft_cntr *cntr;
    void (*fn)(void *arg, int status); /* runs like a handler, before the counter counts */
    void *arg;
};

enum weft_notify_flags {
    /* The target is not notified: nothing is told there by weft_peer_notify, nor by weft_cntr_notify of target_cntr. All else
     * is as ever: handlers run, counters count, weft_cntr_wait returns. For messages that mean nothing before a later one;
     * small ones too are sent with weft_zero_copy_send then. */
    WEFT_QUIET = 1 << 0
};

/* The three counters of the specification (Zero_Copy_Send). All members optional. */
struct weft_notify {
    /* org_cntr: header and data have left, the program may change them; or the operation failed. */
    struct weft_done origin;
    /* tgt_cntr: the counter of that id at the target counts when the data is in place and the completion handler has
     * run. 0: none. An id that the target does not have is counted there as an error, and does no harm. */
    uint32_t target_cntr;
    uint32_t flags; /* of enum weft_notify_flags; others: WEFT_E_INVAL */
    /* cmpl_cntr: told here when the data is in place at the target and the completion handler there has run; or the
     * operation failed. Never before `origin`. */
    struct weft_done completion;
};

/* ---- Waiting -------------------------------------------------------------------------------------------------- *
 * Whoever waits makes progress itself: it polls the adapters, for a moment without sleeping, so that nothing is handed
 * over between threads. While nobody waits a thread of the library answers peers (not with WEFT_NO_THREAD). */

/* Makes progress once, without waiting; returns how many events there were. */
int weft_poll(struct weft *w);
/* Makes progress until done(arg) is true; it is asked often, by this thread, without locks: what a handler sets for it must
 * be atomic, since handlers may run on another thread. WEFT_E_TIMEDOUT, WEFT_E_BUSY (called from a handler),
 * WEFT_E_INVAL (no done). */
int weft_wait(struct weft *w, int (*done)(void *arg), void *arg, uint64_t timeout_ns);
/* Makes those who wait look again, after a change that no handler made. */
void weft_wake(struct weft *w);
/* For event loops, with WEFT_NO_THREAD: a descriptor that becomes readable when weft_poll has something to do. Before
 * each sleep weft_fd_prepare must return 0; WEFT_E_AGAIN: call weft_poll first. weft_fd_timeout_ms: the longest sleep, -1:
 * for ever. The descriptor is the library's. weft_fd and weft_fd_prepare: WEFT_E_NOSUP without WEFT_NO_THREAD. */
int weft_fd(struct weft *w);
int weft_fd_prepare(struct weft *w);
int weft_fd_timeout_ms(struct weft *w);

/* ---- Messages ------------------------------------------------------------------------------------------------- *
 * A message is an active message: a header for a registered handler at the target, and data. Small ones are sent eagerly,
 * copied; large ones go from the sender's memory to the receiver's without a copy by either program.
 *
 * At the target the message's header handler runs once, in one of two situations:
 *   - A buffer was posted for the message's tag: the handler runs *after* the data is in that buffer; msg->posted is 1
 *     and msg->data is where it lies.
 *   - Nothing was posted: the handler runs *before* the data is stored, and its action says where it goes: action->buf or
 *     action->mem. Small data may be here already: then msg->data points to it, and a handler that has no use for a copy
 *     takes it from there and leaves the action empty. If msg->data is NULL, msg->data_bytes is not 0 and the action
 *     names no place, the data is thrown away and the message ends with WEFT_E_CANCELED.
 * Then, when the data is in place, the completion handler that the action names runs. */

struct weft_mem;

struct weft_msg {
    uint16_t handler;
    uint16_t posted; /* 1: the data is in the buffer posted for `tag` */
    uint32_t reserved;
    uint64_t tag;
    const void *header; /* valid during the call; not aligned */
    size_t header_bytes;
    uint64_t data_bytes;
    const void *data; /* see above; not posted: valid during the call only */
};

struct weft_action {
    /* Where the data shall go: a range of `mem` from `offset`, or, with mem NULL, `buf` with room for buf_bytes. It
     * stays the library's until on_complete. If the data does not fit the message ends with WEFT_E_TOO_BIG. */
    struct weft_mem *mem;
    size_t offset;
    void *buf;
    size_t buf_bytes;
    /* The completion handler: once, status 0: the data is in place; else it is not, and nothing is stored there any
     * more. Optional. */
    void (*on_complete)(void *arg, struct weft_peer *peer, int status);
    void *arg;
};

/* Sends a small message; header and data are copied before it returns. The fastest way: no completion is told; the
 * message arrives unless the peer goes down (weft_flush tells).
 * WEFT_E_TOO_BIG (header over WEFT_HEADER_MAX, data over WEFT_EAGER_MAX), WEFT_E_INVAL (handler, NULL with a size),
 * WEFT_E_LIMIT (the queue to the peer is full: make progress and try again). */
int weft_send_eager(struct weft_peer *peer, uint16_t handler, const void *header, size_t header_bytes, const void *data,
                    size_t data_bytes);

/* ---- Memory --------------------------------------------------------------------------------------------------- *
 * A weft_mem describes a buffer that the program will use again and again: set up once, used by many operations, cleaned
 * up at the end. Static: its pages are pinned from weft_dma_setup to weft_dma_cleanup. Dynamic: they are pinned around
 * each use. After that pins are kept in a cache, so that the next one costs nothing, until the memory is unmapped or
 * moved (the library notices), or others need the room. What a process may pin is limited by RLIMIT_MEMLOCK: where a
 * dynamic buffer cannot be pinned its operations go on all the same, the non-zero-copy way, which is slower over a
 * network; the counter fabric_unpinned counts them.
 *
 * Operations take a `struct weft_buf`: a range of a weft_mem, or plain memory, which is never pinned. One end of a
 * transfer may be pinned and the other not. */

enum weft_pinning { WEFT_PIN_DYNAMIC = 0, WEFT_PIN_STATIC = 1 };

/* Dma_Setup. [ptr, ptr + bytes) must be mapped, and stay so until weft_dma_cleanup; it stays the program's.
 * WEFT_E_INVAL (NULL, no bytes, wraps round, not mapped, unknown pinning), WEFT_E_LIMIT (static: RLIMIT_MEMLOCK does not
 * allow so much; set it up as dynamic instead). */
int weft_dma_setup(struct weft *w, void *ptr, size_t bytes, enum weft_pinning pinning, struct weft_mem **out);
/* DMA_Cleanup. WEFT_E_BUSY: it is posted, exported, or in use by an operation that has not ended. WEFT_E_INVAL: NULL. */
int weft_dma_cleanup(struct weft_mem *mem);
void *weft_mem_pointer(const struct weft_mem *mem);
size_t weft_mem_bytes(const struct weft_mem *mem);

/* Memory that suits the fabric best: zeroed, aligned to a page, from 2 MiB on to huge pages. From 64 KiB on peers of this host
 * read what is sent from it with one copy and without a system call; they could look at all of it, so keep secrets
 * elsewhere. weft_close frees what is left of that. WEFT_E_INVAL (no bytes). */
int weft_alloc(struct weft *w, size_t bytes, void **out);
/* Only what weft_alloc gave, with its size. NULL is allowed. */
void weft_free(struct weft *w, void *ptr, size_t bytes);

struct weft_buf {
    struct weft_mem *mem; /* NULL: plain memory */
    size_t offset;        /* in mem */
    void *ptr;            /* with mem NULL */
    size_t bytes;
};

static inline struct weft_buf weft_buf_mem(struct weft_mem *mem, size_t offset, size_t bytes) {
    struct weft_buf b;
    b.mem = mem;
    b.offset = offset;
    b.ptr = NULL;
    b.bytes = bytes;
    return b;
}

static inline struct weft_buf weft_buf_ptr(const void *ptr, size_t bytes) {
    struct weft_buf b;
    b.mem = NULL;
    b.offset = 0;
    b.ptr = (void *)(uintptr_t)ptr;
    b.bytes = bytes;
    return b;
}

/* ---- Posting and sending -------------------------------------------------------------------------------------- *
 * Post_Buffer, Cancel_Post_Buffer, Zero_Copy_Send. Tags are the program's to manage; both sides agree on them. */

#define WEFT_NO_TAG 0 /* of messages that match no posted buffer */

/* Post_Buffer: the next message with this tag, from that peer (`from` NULL: from any), has its data stored in `into`,
 * which the library uses until the post has ended. A message that matches both a post for its peer and one for any takes
 * the former. A post for a tag that is posted and unmatched overrides it: the earlier one ends with WEFT_E_CANCELED. The
 * same buffer may be posted under several tags. A message that is longer than the buffer ends with WEFT_E_TOO_BIG at its
 * sender and leaves the post as it is.
 * `done` (NULL: nobody is told): 0 when a message is in the buffer and its completion handler has run; WEFT_E_CANCELED
 * (overridden, canceled), or why the peer is down (a post for a peer; or the message was on its way). How many bytes
 * came: msg->data_bytes, in the header handler.
 * WEFT_E_INVAL (WEFT_NO_TAG, the range is not in its mem), WEFT_E_LIMIT (max_posts). */
int weft_post_buffer(struct weft *w, struct weft_peer *from, uint64_t tag, struct weft_buf into,
                     const struct weft_done *done);
/* Cancel_Post_Buffer: the unmatched post of that tag, or else messages for it that are being stored. Once it has returned
 * 0 nothing is written to the buffer any more, and the post ends with WEFT_E_CANCELED, as does the message, if there is
 * one, at its sender. May wait for the end of a copy that is just being made.
 * WEFT_E_NOENT: not posted, or all data is there already. */
int weft_cancel_post_buffer(struct weft *w, struct weft_peer *from, uint64_t tag);

/* Zero_Copy_Send: an active message with data of any size, straight from `data`, which stays the library's, unchanged,
 * until notify->origin. notify NULL: nobody is told (then when the data may change cannot be known, but by weft_flush).
 * The completion ends with WEFT_E_NOENT (no such handler there), WEFT_E_TOO_BIG (does not fit), WEFT_E_CANCELED (canceled
 * or not wanted there), WEFT_E_LIMIT (max_arrivals there).
 * WEFT_E_TOO_BIG (header), WEFT_E_INVAL (as weft_send_eager; the range is not in its mem), WEFT_E_LIMIT (as
 * weft_send_eager). */
int weft_zero_copy_send(struct weft_peer *peer, uint16_t handler, const void *header, size_t header_bytes,
                        struct weft_buf data, uint64_t tag, const struct weft_notify *notify);

/* ---- Windows -------------------------------------------------------------------------------------------------- *
 * A window is memory that peers may read or write without this program's help. Its handle is sent to the peer by any
 * means, say in a message; it names the window by a random 64-bit key, never by an address. Who has the handle and a
 * connection may use the window; one that was exported for a peer works over that connection alone. */

enum weft_access { WEFT_READ = 1, WEFT_WRITE = 2 };

struct weft_window;

struct weft_window_handle {
    uint8_t opaque[40];
};

/* Makes `range` a window; it stays the program's memory and must stay mapped until weft_window_revoke. `only`: the peer
 * that may use it, NULL: any. WEFT_E_INVAL (no bytes, no access, unknown bits, the range is not in its mem), WEFT_E_IO (no
 * random key to be had). */
int weft_window_export(struct weft *w, struct weft_buf range, unsigned access, struct weft_peer *only,
                       struct weft_window **out, struct weft_window_handle *handle);
/* Ends a window. No new access is let in; data that is being stored is canceled; data that is being read is waited for,
 * as long as timeout_ns. 0: nobody touches the memory any more and the window is gone. WEFT_E_TIMEDOUT: still being
 * read; call again. WEFT_E_BUSY: the same, from a handler. */
int weft_window_revoke(struct weft_window *window, uint64_t timeout_ns);

/* A peer's window, as seen from here. A value: copy it, drop it. Made by weft_window_import only. */
struct weft_remote {
    struct weft_peer *peer;
    uint64_t key;
    uint64_t bytes;    /* size of the window */
    unsigned access;   /* of enum weft_access */
    unsigned reserved;
};

/* WEFT_E_INVAL: not a handle; WEFT_E_VERSION. Whether the window is still there is told by the first use. */
int weft_window_import(struct weft_peer *peer, const struct weft_window_handle *handle, struct weft_remote *out);

/* Writes `data` into the window at `offset`. Puts of 1, 2, 4 or 8 bytes at such an alignment are stored in one piece: they
 * can be flags that the target polls. `notify` as with weft_zero_copy_send.
 * The completion ends with WEFT_E_NOENT (no such window, or revoked), WEFT_E_ACCESS (not for writing, not for this peer),
 * WEFT_E_INVAL (out of bounds there), WEFT_E_CANCELED (revoked meanwhile), WEFT_E_LIMIT (max_arrivals there).
 * WEFT_E_INVAL (offset and size are not inside of the window, or the range not in its mem), WEFT_E_ACCESS,
 * WEFT_E_LIMIT (as weft_send_eager). */
int weft_put(const struct weft_remote *to, uint64_t offset, struct weft_buf data, const struct weft_notify *notify);

/* Get_Buffer: reads into->bytes from the window at `offset` into `into`, which is the library's until `done` (the
 * specification's implicit post). Errors as weft_put. */
int weft_get_buffer(const struct weft_remote *from, uint64_t offset, struct weft_buf into, const struct weft_done *done);

/* What is sent to the peer after this call takes effect after the data of all that was sent before it: puts, messages and
 * gets. Never waits: later operations are held back here until then, which small ones rarely need. */
int weft_fence(struct weft_peer *peer);

/* `done` when everything that was sent to the peer before is complete there: puts are in memory, completion handlers have
 * run. Its status is the first error of a put to that peer that nobody was told of since the last flush, or 0; or why the
 * peer went down before it answered: then some, or all, may have arrived. WEFT_E_LIMIT (as weft_send_eager). */
int weft_flush(struct weft_peer *peer, const struct weft_done *done);
/* The same, waited for. And WEFT_E_TIMEDOUT, WEFT_E_BUSY (called from a handler). */
int weft_flush_wait(struct weft_peer *peer, uint64_t timeout_ns);

#ifdef __cplusplus
}
#endif
#endif
