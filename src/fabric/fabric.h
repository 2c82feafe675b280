/* Inside of libweft.so: what the files of fabric/ share. The public page is include/weft.h.
 *
 *   open.c       opening, closing, waiting          deliver.c    messages, at the target
 *   peer.c       connections                        post.c       posted buffers
 *   directory.c  addresses, names, ports            window.c     windows, at the target
 *   cntr.c       counters                           rma.c        puts and gets, at the origin
 *   op.c         operations, at the origin          mem.c, pin.c, unmap.c    memory and its pins
 *   send.c       messages, at the origin            fence.c      fences and flushes
 *   notice.c     notifications of counters and peers
 *
 * DESIGN NOTES.
 * Two records carry everything. An `op` is an operation of this side until it has ended: what the transport
 * still holds (`sending`) and what the peer still owes an answer for (`awaiting`). An `arrival` is a message
 * or a put of the peer whose data is still being stored. Small messages have neither: they are delivered in
 * the call that brings them, and weft_send_eager touches nothing but the transport.
 *
 * Locks: weft.lock guards all tables and lists here; it is held for moments, never while a callback of the
 * program runs. ep_send may be called under it (it takes the endpoint's lock, under which nothing of this
 * layer ever runs); ep_cancel and ep_disconnect may not: they wait for callbacks. All callbacks of the
 * endpoint are serial, so the target's side (deliver, window) races only with calls of the program.
 *
 * Lifetimes: a peer is counted (`refs`): by the program or the connection, by each op, by each arrival. Its
 * ep_peer is kept (ep_peer_keep) until weft_disconnect, or until an accepted peer that nobody took is down.
 *
 * Order: all messages travel on channel 0, so their headers are handled in the order of sending, and data
 * that comes with its header (weft.ordered_bytes) takes effect there and then. Larger data completes later:
 * its sender counts it in peer.unordered until the target has told its end, and weft_fence holds later
 * operations back at the origin while the count is not zero. Rejected: holding back at the target, which
 * would have to store what the peer chooses to send. */
#ifndef WEFT_FABRIC_FABRIC_H
#define WEFT_FABRIC_FABRIC_H
#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "base/record.h"
#include "fabric/notice.h"
#include "node/client.h"
#include "transport/endpoint.h"
#include "weft.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define FABRIC_MAGIC   0x43424657u /* "WFBC" */
#define FABRIC_VERSION 1

/* Handlers of the endpoint: the kinds of fabric messages. The headers' layout is in wire.h. */
enum fabric_kind {
    FABRIC_HELLO = 1, /* first message of who connected */
    FABRIC_WELCOME,   /* the answer: taken */
    FABRIC_REFUSE,    /* the answer: turned away */
    FABRIC_EAGER,     /* weft_send_eager */
    FABRIC_AM,        /* weft_zero_copy_send */
    FABRIC_PUT,
    FABRIC_GET,
    FABRIC_GOT, /* the answer to a get: its data or an error */
    FABRIC_FLUSH,
    FABRIC_REPLY, /* the end of an AM, a PUT or a FLUSH */
    FABRIC_KINDS
};

struct pin;

struct weft {
    struct ep *ep;
    struct node_client *client; /* NULL: alone; this and self are written once, under the lock, by weft_open */
    struct weft_id self;
    unsigned flags;
    int (*on_accept)(void *ctx, struct weft_peer *peer, struct weft_id id);
    void (*on_peer_down)(void *ctx, struct weft_peer *peer, int status);
    void *ctx;
    uint32_t max_posts, max_arrivals;
    size_t ordered_bytes; /* data up to that size comes with its header */
    _Atomic(struct weft_handler *) handlers[WEFT_HANDLERS_MAX];

    atomic_bool closing;

    pthread_mutex_t lock;
    struct weft_list peers;
    struct weft_list cntrs;
    struct weft_map cntr_ids; /* id → struct weft_cntr */
    struct weft_map posts;    /* tag → struct post, for any peer */
    struct weft_list mems;
    struct weft_list windows;
    struct weft_map window_keys; /* key → struct weft_window */
    struct weft_list free_ops;
    struct weft_list late; /* ends of operations that wait to be told by a callback (cntr.c) */
    struct weft_list late_free;
    size_t late_count;         /* of all such records: at least `untold` */
    atomic_size_t untold;      /* callbacks of the program that are still to come */
    struct ep_timer *late_due; /* tells them */
    uint64_t peer_serial;
};

struct weft_peer {
    struct weft_list node; /* in weft.peers */
    struct weft *w;
    struct ep_peer *ep; /* not to be used once `gone` is set */
    atomic_int status;  /* as weft_peer_status */
    atomic_bool deferring;
    struct weft_id id;
    _Atomic(void *) context;
    struct notice notice; /* of what arrives */
    uint64_t serial; /* never used twice */
    unsigned refs;
    bool known; /* it may send messages: we connected, or its HELLO was taken */
    bool owned; /* the program's until weft_disconnect */
    bool listed, ended; /* a daemon knows it as `id`, and has told its end; for callbacks only, which are serial */
    atomic_bool
        gone; /* disconnected: set before ep_disconnect, so that a callback which sees it unset ends first */
    int refused;         /* what REFUSE said; 0: nothing */
    struct weft_map ops; /* id → struct op that awaits an answer */
    uint64_t next_op;
    struct weft_list sending;  /* struct op that the transport holds, oldest first */
    struct weft_list flushes;  /* OP_FLUSH that are answered, but older ops are still being sent */
    unsigned unordered;        /* ops under way whose data may still come after later messages */
    struct weft_list deferred; /* struct deferred, behind a fence */
    struct weft_map posts;     /* tag → struct post */
    struct weft_list arrivals; /* struct arrival, oldest first */
    uint32_t arrival_count;
    uint32_t gets;   /* of windows here, whose data is still being sent */
    int put_error;   /* first error of own puts that nobody was told of */
    int store_error; /* first error of the peer's small puts, for its next flush */
    _Atomic(struct weft_record *) record; /* when somebody records; NULL: not yet */
};

/* For `weft run --record`: an operation has begun. */
void peer_record(struct weft_peer *p, enum weft_record_what what, uint64_t bytes);
static inline void peer_did(struct weft_peer *p, enum weft_record_what what, uint64_t bytes, int rc) {
    if (__builtin_expect(weft_recording, 0) && rc == 0) peer_record(p, what, bytes);
}

struct weft_cntr {
    struct weft_list node;
    struct weft *w;
    uint32_t id;
    atomic_uint refs;
    _Atomic uint64_t value, failures;
    atomic_int first_failure;
    struct notice notice;
};

enum op_kind { OP_MESSAGE, OP_PUT, OP_GET, OP_FLUSH };

/* An operation of this side, until it has ended. */
struct op {
    struct weft_list node; /* in peer->sending or peer->flushes, or the free list */
    struct weft_peer *peer;
    uint64_t id;
    uint8_t kind;
    bool sending;   /* the transport will call on_done */
    bool awaiting;  /* in peer->ops: the peer will tell the end */
    bool receiving; /* a get whose data is on its way: the transport will call on_data */
    bool unordered; /* counted in peer->unordered */
    bool replied;
    int status; /* with replied */
    struct weft_done origin, completion;
    struct weft_mem *mem; /* used */
    struct pin *pin;
    void *buf; /* OP_GET: where to */
    size_t bytes;
};

struct post {
    uint64_t tag;
    struct weft_peer *from; /* NULL: any */
    struct weft_mem *mem;
    struct pin *pin;
    void *buf;
    size_t bytes;
    struct weft_done done;
};

/* A message, put or flush of a peer that is not complete here. */
struct arrival {
    struct weft_list node; /* in peer->arrivals */
    struct weft_peer *peer;
    uint8_t kind; /* FABRIC_AM, FABRIC_PUT, FABRIC_FLUSH */
    bool canceled;
    uint64_t token; /* of the endpoint */
    uint64_t op;    /* 0: no answer is wanted */
    uint32_t target_cntr;
    bool quiet; /* nobody is notified */
    uint64_t data_bytes;
    struct weft_mem *mem;
    struct pin *pin;
    struct post *post;          /* AM: matched */
    struct weft_action action;  /* AM: what the handler said */
    struct weft_window *window; /* PUT */
    struct weft_msg msg;        /* AM with a post: the header is below */
    uint8_t header[];
};

/* -- open.c -- */
/* Around everything that the endpoint calls: what may not be called inside is refused. Returns what to give
 * back. */
const struct weft *fabric_enter(const struct weft *w);
void fabric_leave(const struct weft *before);
bool fabric_in_callback(const struct weft *w);
int fabric_wait(struct weft *w, bool (*done)(void *arg), void *arg, uint64_t timeout_ns);

/* -- peer.c -- */
void peer_configure(struct ep_config *cfg, struct weft *w);
/* With the lock held. */
static inline void peer_hold(struct weft_peer *p) { p->refs++; }
void peer_drop(struct weft_peer *p);
/* Notes the end of that process (`ended` false: takes it back, for all of the node). Whether it has a peer. */
bool peer_mark_ended(struct weft *w, struct weft_id id, bool ended);
/* One that is marked, no longer so and with a hold; NULL: none. */
struct weft_peer *peer_next_ended(struct weft *w);
/* It broke the protocol, or cannot be answered: ends the connection. */
void peer_fail(struct weft_peer *p, int status, const char *what);
void peer_free_all(struct weft *w);

/* -- directory.c -- */
/* Joins the cluster that the environment, or `node`, tells of; 0 also when there is none. */
int directory_attach(struct weft *w, uint32_t node);
void directory_detach(struct weft *w); /* when the endpoint is closed */
/* Has the daemon tell of the end of a listed peer's process. */
void directory_watch(struct weft_peer *p);
/* What the daemon tells. */
void directory_on_process_down(void *w, struct node_process p, const char *reason);
void directory_on_node_down(void *w, uint32_t node, const char *reason);
void address_make(struct weft_address *out, struct weft_id id, const void *ep_address, size_t bytes);
/* What an address says; WEFT_E_INVAL. *part points into it. */
int address_read(const struct weft_address *a, struct weft_id *id, const void **part, size_t *bytes);

/* -- cntr.c -- */
void cntr_hold(struct weft_cntr *c); /* NULL is fine, here and below */
void cntr_drop(struct weft_cntr *c);
void cntr_count(struct weft_cntr *c, int status);
/* A target counter that a peer names; quiet: its notification is not told. */
void cntr_count_named(struct weft *w, uint32_t id, bool quiet);
void cntr_free_all(struct weft *w);
/* Copies and holds, with the lock; done NULL: nobody. WEFT_E_NOMEM: then *to is nobody. */
int done_take(struct weft *w, struct weft_done *to, const struct weft_done *done);
/* The operation was not started: lets go. The program still has each counter, so no last hold goes here. */
static inline void done_forget(struct weft *w, struct weft_done *done) {
    if (done->cntr) atomic_fetch_sub(&done->cntr->refs, 1);
    if (done->fn) atomic_fetch_sub(&w->untold, 1);
    *done = (struct weft_done){0};
}
int done_init(struct weft *w); /* when the endpoint is open */
void done_fini(struct weft *w);
/* Tells, once, and lets go; a callback of the program runs at once inside of callbacks, else soon. Without
 * the lock. */
void done_late_all(struct weft *w); /* the rest of them, in weft_close */
void done_tell(struct weft *w, struct weft_done *done, int status);
static inline bool done_any(const struct weft_done *d) { return d->cntr || d->fn; }

/* -- op.c -- */
struct op *op_create(struct weft_peer *p, enum op_kind kind); /* with the lock */
void op_free(struct op *op);                                  /* with the lock */
/* Sends s for op (NULL: nobody is told of its end), or keeps it back behind a fence, then with a copy of the
 * header. With the lock held. On an error the op is the caller's again. */
int op_submit(struct weft_peer *p, struct ep_send *s, struct op *op);
int op_send(struct weft_peer *p, struct ep_send *s, struct op *op); /* the same, past any fence */
int op_await(struct op *op);                                        /* enters it in peer->ops */
/* The peer's answer; also the end of a get. Without the lock. */
void op_replied(struct op *op, int status);
struct op *op_take(struct weft_peer *p, uint64_t id); /* out of peer->ops; with the lock; NULL: not there */
/* Ends all that only waits for the peer. Without the lock. */
void op_fail_all(struct weft_peer *p, int status);
void op_free_pool(struct weft *w);
void op_on_reply(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink);

/* -- send.c -- */
/* WEFT_E_INVAL: flags that there are not. NULL is fine, here and below. */
int notify_check(const struct weft_notify *n);
uint16_t notify_wire_flags(const struct weft_notify *n);
/* Starts an operation that sends `data` (for large data also one that nobody is told of) and writes its
 * number, or 0, to op_field, a place in the header. Without the lock. */
int send_op(struct weft_peer *p, enum op_kind kind, struct ep_send *s, struct weft_buf data,
            const struct weft_notify *notify, uint8_t *op_field);

/* -- fence.c -- */
void fence_run(struct weft_peer *p); /* with the lock: sends what no longer has to wait */
int fence_defer(struct weft_peer *p, const struct ep_send *s, struct op *op); /* with the lock */
void fence_fail_all(struct weft_peer *p, int status);                         /* without it */
void fence_on_flush(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink);

/* -- deliver.c -- */
void deliver_on_eager(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink);
void deliver_on_am(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink);
/* Enters an arrival of the peer; header_bytes of room. NULL: no memory, or too many (then *status says). */
struct arrival *arrival_create(struct weft_peer *p, const struct ep_msg *m, enum fabric_kind kind,
                               size_t header_bytes, int *status);
void arrival_end(struct arrival *a, int status); /* without the lock; frees it */
void arrival_on_data(void *arg, int status);     /* its on_data */
/* Tells the peer the end of its operation; 0: nothing wanted. */
void reply(struct weft_peer *p, uint64_t op, int status);

/* -- post.c -- */
/* Takes the post for a message out of the tables; with the lock. NULL: none; or its buffer is too small for
 * the message: then *status is WEFT_E_TOO_BIG and the post stays. */
struct post *post_match(struct weft_peer *p, uint64_t tag, uint64_t bytes, int *status);
void post_end(struct weft *w, struct post *post, int status); /* without the lock; frees it */
void post_fail_peer(struct weft_peer *p, int status);
void post_fail_all(struct weft *w, int status);

/* -- mem.c -- */
/* Checks a range and marks its mem as in use; large ranges of dynamic mems are pinned around the use (small
 * data is copied anyway). *ptr NULL only without bytes. Without the lock: pinning takes time. */
int buf_take(struct weft *w, const struct weft_buf *buf, void **ptr, struct pin **pin);
void buf_give(struct weft_mem *mem, struct pin *pin); /* with the lock; NULLs are fine */
/* Whether a range that was taken so should be pinned and could not be: the transport is told. */
bool buf_is_unpinned(const struct weft *w, const struct weft_mem *mem, const struct pin *pin, size_t bytes);
void mem_free_all(struct weft *w);

/* -- window.c -- */
void window_on_put(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink);
void window_on_get(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink);
void window_put_over(struct weft_window *window); /* with the lock */
void window_free_all(struct weft *w);

/* -- rma.c -- */
void rma_on_got(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink);

#endif
