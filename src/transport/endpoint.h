/* Endpoint: a process's place on the fabric. It joins the protocol engine (engine.h, no I/O) to the adapters,
 * runs the progress thread and calls the handlers. node/, opencl/ and scif/ are written against this page;
 * weft.h wraps it.
 *
 * Messages are active messages: a small header for a registered handler, and data of any size.
 *  - on_header is called once per message, in the order the messages of one channel were sent, as soon as the
 *    header is there; it says where the data shall go. If the data has come already it is handed over in
 * place.
 *  - on_data is called when all data is in its place; only with data. Data of different messages may complete
 *    in any order, also on one channel: what must wait for the data waits in on_data.
 *
 * Exactly once: each message is delivered once and whole, or its peer goes down with an error; both sides are
 * told.
 *
 * Threads: every function may be called by any thread. Handlers and callbacks run one at a time for the whole
 * endpoint, on whichever thread makes progress, without any endpoint lock held: they may call everything here
 * but ep_wait, ep_progress and ep_close, must not block, and should be short. With a thread that waits
 * (ep_wait) the handlers run on that thread; when nobody waits, on the progress thread, at the latest a few
 * milliseconds after the last wait ended.
 *
 * Fork: an endpoint belongs to the process that opened it. In a forked child every call fails with
 * WEFT_E_CLOSED (or does nothing) and touches nothing of the parent's; the child may open endpoints of its
 * own. */
#ifndef WEFT_TRANSPORT_ENDPOINT_H
#define WEFT_TRANSPORT_ENDPOINT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EP_ADDRESS_MAX  512  /* bytes of an endpoint address */
#define EP_HEADER_MAX   1024 /* bytes of a message header */
#define EP_HANDLERS_MAX 64
#define EP_CHANNELS_MAX 65536

struct ep;
struct ep_peer;
struct ep_timer;

struct ep_msg {
    uint16_t handler, channel;
    const void *header; /* valid during the call */
    size_t header_bytes;
    uint64_t data_bytes; /* as announced by the sender: check it before memory is made for it */
    /* All data, in place, valid during the call; NULL: still to come (or data_bytes is 0). */
    const void *data;
    uint64_t token; /* names a message whose data is to come, for ep_cancel; never used twice; 0: none */
    /* Its data, still to come, will not take the zero-copy way, for lack of tag entries or because the sender
     * could not map it: the specification's flag of a cancelled zero-copy message. */
    bool canceled_zero_copy;
};

/* Where the data shall go; filled by on_header when msg->data is NULL and data_bytes > 0. */
struct ep_sink {
    void *buf; /* room for data_bytes, until on_data; NULL: the data is thrown away */
    /* Called once: status 0 all data is in buf; negative: the peer is lost or disconnected, or either side
     * canceled the message; buf is undefined and nothing writes to it any more. With buf NULL:
     * WEFT_E_CANCELED. Optional. */
    void (*on_data)(void *arg, int status);
    void *arg;
    bool unpinned; /* buf could not be pinned: the data shall come the non-zero-copy way */
};

struct ep_handler {
    void (*on_header)(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink);
    void *ctx;
};

#define EP_KEY_BYTES 32

struct ep_config {
    /* EP_KEY_BYTES bytes that all who may connect share (a cluster's or a job's key); copied by ep_open.
     * NULL: none. Both sides of a connection must prove that they hold the same key, or both have none. */
    const uint8_t *key;
    /* How packets are protected where there is a key: "auto": encrypted (AES-128-GCM) between hosts, and
     * within one by what the adapter guarantees; udp always counts as between hosts. "crc": checksums only,
     * for trusted networks. "aes": always encrypted; WEFT_E_INVAL without a key. NULL: what the option
     * WEFT_SECURITY says. */
    const char *security;
    const char *adapters;  /* "shm,udp" in order of preference; NULL: all that open */
    const char *run_dir;   /* for shm's sockets; NULL: weft_run_dir() */
    const char *bind_host; /* for udp; NULL: 127.0.0.1 */
    uint16_t bind_port;
    bool accept;    /* peers that were not connected from here may connect */
    bool no_thread; /* no progress thread: the owner calls ep_progress and sleeps on ep_fd */
    /* For owners that mostly answer by other threads or processes, so a little later than a handler could:
     * acknowledgements that are not asked for at once wait for that, also while the owner sleeps. With
     * no_thread nothing of the owner's comes between ep_prepare_sleep and its sleep. */
    bool patient;
    /* For owners whose small messages are mostly answered: no acknowledgement of them is asked for at once. */
    bool answered;
    /* What waiters wait for is work on these CPUs, such as a device's that is one: while they poll they give
     * their CPU to whoever wants it. On one or two CPUs they sleep at once. But as long as what they wait for
     * mostly comes soon they poll longer, anywhere (lull.h). Not so where WEFT_SPIN_US says how long they
     * poll. */
    bool yields;
    struct ep_handler handlers[EP_HANDLERS_MAX];
    /* A peer that connected to us (with accept); before its first message. Optional. */
    void (*on_peer_up)(void *ctx, struct ep_peer *peer);
    /* The peer is gone: status WEFT_E_PEER_LOST, WEFT_E_CLOSED (it closed in order, or ep_close was called
     * here), WEFT_E_PROTO (a broken rule, either side's), or for a connection that was never made:
     * WEFT_E_REFUSED, WEFT_E_TIMEDOUT, WEFT_E_VERSION, WEFT_E_BUSY, WEFT_E_UNREACHABLE, WEFT_E_ACCESS (the
     * two sides do not hold the same key), WEFT_E_NOSUP (no protection that both take). Called once, and
     * after it nothing more comes about the peer; every unfinished message has ended before. The peer stays
     * valid until ep_disconnect (for peers from ep_connect) or until this returns (accepted ones). Optional.
     */
    void (*on_peer_down)(void *ctx, struct ep_peer *peer, int status);
    void *ctx;
};

/* WEFT_E_INVAL, WEFT_E_NOMEM, WEFT_E_NOSUP (no adapter opens), … */
int ep_open(struct ep **out, const struct ep_config *cfg);
/* Closes in order: queued messages get up to `linger_ms` to be acknowledged; unfinished ones end with
 * WEFT_E_CLOSED. Handlers and callbacks run until it returns, on_peer_down for each peer that is still up
 * included. All peers are invalid after it. No other thread may be inside a call, and no handler may call it.
 */
void ep_close(struct ep *ep, unsigned linger_ms);
/* An opaque blob for peers: host identity and each adapter's address. *len: room in, size out. */
int ep_address(struct ep *ep, void *buf, size_t *len);
/* Tells which adapter would be used for that address ("shm"), NULL if none reaches it. Static storage. */
const char *ep_route(struct ep *ep, const void *addr, size_t len);

/* Returns at once; messages queue until the handshake is done; failure arrives by on_peer_down. */
int ep_connect(struct ep *ep, const void *addr, size_t len, void *peer_ctx, struct ep_peer **out);
/* Closes in order in the background: what was queued is still sent (up to 5 s). The peer is invalid at once.
 * After it returned no handler and no on_peer_down is called for it, only on_done of messages under way, and
 * on_data (WEFT_E_CLOSED) of buffers that were still to be filled: nothing is written to those any more. From
 * another thread it waits for a handler of this peer that runs. Not for accepted peers that are down already.
 */
void ep_disconnect(struct ep_peer *peer);
/* The same for a peer that is known to be dead: nothing is sent any more, messages under way end at once. */
void ep_abort(struct ep_peer *peer);
/* From on_peer_up: the accepted peer is the owner's from now on, like one from ep_connect: valid until
 * ep_disconnect, which it needs even when it is down. */
void ep_peer_keep(struct ep_peer *peer);
/* Ends the connection at once with that status, of which the peer is told; messages under way end with it,
 * then on_peer_down comes. The peer stays valid. For owners that find that a peer breaks their own rules. */
void ep_peer_fail(struct ep_peer *peer, int status);
void ep_peer_set_context(struct ep_peer *peer, void *ctx);
void *ep_peer_context(const struct ep_peer *peer);
const char *ep_peer_adapter(const struct ep_peer *peer);
bool ep_peer_is_up(const struct ep_peer *peer);
uint64_t ep_peer_rtt_ns(const struct ep_peer *peer); /* smoothed; 0: not measured */

struct ep_send {
    uint16_t handler, channel;
    const void *header;  /* copied before ep_send returns */
    size_t header_bytes; /* ≤ EP_HEADER_MAX */
    const void *data;    /* stays the sender's and unchanged until on_done, unless copy */
    uint64_t data_bytes;
    bool copy; /* data is copied before ep_send returns (small data only: ≤ 64 KiB) */
    bool more; /* another message follows at once: need not leave yet (a flush, ep_wait, the next send without
                * it, or as soon as 56 KiB are together; at the latest 100 µs take it) */
    /* Called once when data may be reused and the peer has it all (status 0), or the message failed.
     * Optional. */
    void (*on_done)(void *arg, int status);
    void *arg;
    bool unpinned; /* data could not be pinned: it goes the non-zero-copy way, unless the peer reads it itself
                    */
    bool answered; /* the peer answers soon after it has all: on_done may come with the answer */
};
/* Queues a message; leaves at once if it can. Never waits. WEFT_E_TOO_BIG (header, or too much data to copy),
 * WEFT_E_INVAL, WEFT_E_NOMEM, WEFT_E_LIMIT (the peer's queue is over its cap: ep_progress and try again; only
 * with handlers that flood), WEFT_E_CLOSED (the peer is closing and takes no more); for a peer that is down
 * the status that on_peer_down tells or told. On an error on_done is not called. A peer that has the message
 * calls its handler, unless it disconnects before that. */
int ep_send(struct ep_peer *peer, const struct ep_send *s);
void ep_flush(struct ep_peer *peer); /* sends what `more` held back */
/* Cancels an incoming message whose data is still to come, by the token of its ep_msg; any thread, also from
 * handlers, also from the message's own on_header. 0: nothing writes to the sink's buffer any more once this
 * has returned (it may wait for a copy that another thread is just making); on_data is called once, as soon
 * as handlers run, with WEFT_E_CANCELED (or the connection's end, if that comes first), and the sender's
 * on_done gets WEFT_E_CANCELED. WEFT_E_NOENT: not known, canceled already, all data is in place, or the
 * connection has ended: on_data says which. */
int ep_cancel(struct ep *ep, uint64_t token);

/* Memory for large data, cleared, at the start of a page (of 2 MiB from that size on). Peers of this host
 * read what is sent from it with one copy and without a system call; they could look at all of it, so keep
 * secrets elsewhere. Anything may be sent from any memory all the same. For tens of kilobytes and more: each
 * call costs a descriptor and a mapping. Any thread; NULL: no memory. ep_free: when no message uses it any
 * more; ep_close frees what is left. */
void *ep_alloc(struct ep *ep, size_t bytes);
void ep_free(struct ep *ep, void *ptr); /* NULL: nothing */

/* Polls once and runs handlers; returns how many events there were (0: nothing to do, or another thread is at
 * it). */
int ep_progress(struct ep *ep);
/* Makes progress until done(arg) or the deadline (weft_now_ns clock; WEFT_TIME_NEVER: none): polls itself,
 * spins for a while, then sleeps. done() is called without locks, often: keep it cheap. Returns 0 or
 * WEFT_E_TIMEDOUT. */
int ep_wait(struct ep *ep, bool (*done)(void *arg), void *arg, uint64_t deadline_ns);
/* Wakes all sleepers of ep_wait, so that they look at done() again (after a change made outside handlers). */
void ep_wake(struct ep *ep);
/* Watches another descriptor in the progress loop: fn runs like a handler when it is readable or hung up.
 * One watch a descriptor; ep_unwatch from any thread, no call after it returned (unless called from fn
 * itself). */
int ep_watch(struct ep *ep, int fd, void (*fn)(void *arg, int fd), void *arg);
void ep_unwatch(struct ep *ep, int fd);
/* With no_thread: readable when ep_progress has something to do; ep_timeout_ms: the longest sleep (-1: for
 * ever). Call ep_prepare_sleep before sleeping: true means that it is safe to sleep, false that ep_progress
 * must be called. */
int ep_fd(struct ep *ep);
int ep_timeout_ms(struct ep *ep);
uint64_t ep_deadline_ns(struct ep *ep); /* the same: until when; WEFT_TIME_NEVER */
bool ep_prepare_sleep(struct ep *ep);
/* Runs fn(arg) like a handler at or soon after the time given, once. Returns an id for ep_cancel_timer, 0: no
 * memory. */
uint64_t ep_timer(struct ep *ep, uint64_t at_ns, void (*fn)(void *arg), void *arg);
void ep_cancel_timer(struct ep *ep, uint64_t id);
/* A timer that is made once and set whenever it is wanted, which takes no memory; ep_close frees it. NULL: no
 * memory. */
struct ep_timer *ep_timer_create(struct ep *ep, void (*fn)(void *arg), void *arg);
/* Runs fn(arg) as ep_timer does, once; a time that it is set to already is forgotten. False: in a forked
 * child. */
bool ep_timer_set(struct ep *ep, struct ep_timer *timer, uint64_t at_ns);

#endif
