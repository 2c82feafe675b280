/* Engine: the protocol of docs/PROTOCOL.md as a state machine without I/O. Packets and the time go in;
 * packets leave through the io table, and what the owner must do (run a handler, tell a completion) comes out
 * as events. The endpoint (endpoint.c) joins it to adapters and threads, the simulation (tests/sim) to a
 * virtual network.
 *
 * One thread at a time. The engine calls nothing but the io table, and only from engine_output, engine_input,
 * engine_tick and engine_send; io functions must not call back into the engine. */
#ifndef WEFT_TRANSPORT_ENGINE_H
#define WEFT_TRANSPORT_ENGINE_H
#include "adapter/adapter.h"
#include "base/list.h"
#include "transport/endpoint.h"

struct engine;
struct conn;
struct rx;

/* One adapter, as the engine sees it. The owner makes it and keeps it for the engine's life. */
struct engine_link {
    struct adapter_attr attr;
    void *owner;
    /* The engine's: peers that sent lately, to divide the receive window among. */
    uint64_t epoch;
    uint32_t active_now, active_before;
    uint32_t tags_used; /* of attr.tag_entries */
};

/* A way to one peer over a link. */
struct engine_path {
    struct engine_link *link;
    struct adapter_peer *peer; /* opaque to the engine; compared with that of incoming packets */
    size_t packet_bytes;       /* largest packet on it */
};

struct engine_from {
    struct engine_link *link;
    struct adapter_peer *peer; /* NULL: not known */
    const void *addr;
    size_t addr_bytes;
};

struct engine_io {
    /* As the adapter's send(). */
    int (*send)(void *ctx, const struct engine_path *path, const struct adapter_packet_out *packets,
                size_t count);
    /* Sends one packet to somebody without a connection. Best effort. */
    void (*reply)(void *ctx, const struct engine_from *from, const void *packet, size_t len);
    /* Makes a way back to the sender of a packet, for a new connection. */
    int (*path_open)(void *ctx, const struct engine_from *from, struct engine_path *out);
    void (*path_close)(void *ctx, const struct engine_path *path);
    /* As the adapter's. Used on links with ADAPTER_CAP_REMOTE_READ. */
    int (*expose)(void *ctx, const struct engine_path *path, const void *ptr, size_t len, void *region,
                  size_t *region_len);
    void (*conceal)(void *ctx, const struct engine_path *path, const void *region, size_t region_len);
    /* As the adapter's. Used on links with ADAPTER_CAP_MESSAGES. */
    int (*message)(void *ctx, const struct engine_path *path, uint64_t word, const struct iovec piece[2]);
    /* The sender of a packet, for the log. NULL: nobody can tell. */
    void (*origin_text)(void *ctx, const struct engine_from *from, char *out, size_t cap);
    void *ctx;
};

/* How packets are protected; docs/PROTOCOL.md, section 4. */
enum engine_security {
    ENGINE_SECURITY_AUTO, /* what the adapter guarantees within a host, else the best there is */
    ENGINE_SECURITY_CRC,  /* against accidents only, also between hosts */
    ENGINE_SECURITY_AES,  /* always encrypt; needs a key */
};

struct engine_config {
    struct engine_io io;
    /* 32 bytes that all who may connect share; copied. NULL: none, and then only to others without. */
    const uint8_t *key;
    enum engine_security security;
    uint8_t boot_id[16]; /* random: names this incarnation */
    uint64_t seed;       /* for connection ids; random outside tests */
    bool accept;
    bool patient, answered; /* as in struct ep_config */
    bool late_acks; /* what asks for none at once may be acknowledged when the program next looks, or 1 ms later */
    uint32_t eager_bytes;         /* messages with at most that much data are sent at once */
    uint32_t window_superpackets; /* that a receiver grants a sender at once: 1 to 64 */
    uint64_t bulk_patience_ns; /* that transfers wait for their turn on the line at most; 0: they share it */
    uint64_t queue_bytes;      /* cap of what one peer's queue may copy */
    uint64_t keepalive_ns;     /* silence after which a PING is sent */
    uint64_t connect_timeout_ns;
    uint64_t dead_ns;              /* least silence with data outstanding after which a peer is lost */
    uint32_t tags_per_peer;        /* tag entries; 0: CONN_TAGS_MAX */
    uint32_t tags_all;             /* of all peers together; 0: CONN_TAGS_ALL_MAX */
    uint32_t tag_min_bytes;        /* data up to this size is not worth a tag entry */
    uint32_t method2_bytes;        /* messages with at most that much data go by Method 2 */
    uint32_t method2_superpackets; /* that a peer is sent so at once */
    uint64_t staging_peer_bytes, staging_bytes; /* caps of staging memory: of one peer, of all */
    uint64_t
        held_all_bytes; /* held back out of order, of all peers; 0: CONN_HELD_ALL_BYTES. Less in tests only */
    unsigned phase_bits;       /* 2^n packets under one key; 0: SECURE_PHASE_BITS. Less in tests only */
    uint32_t tag_superpackets; /* superpackets of one tag; 0: WIRE_TAG_SUPERPACKETS. Smaller in tests only */
};

enum engine_event_type {
    ENGINE_EVENT_HEADER, /* run the header handler: engine_event_message; engine_event_done takes its sink */
    ENGINE_EVENT_DATA,   /* all data of a message is in place, or never will be: call `on_data` of its sink */
    ENGINE_EVENT_SENT,   /* call on_done of a sent message */
    ENGINE_EVENT_UP,     /* a connection is up; `accepted` tells that the peer made it */
    ENGINE_EVENT_DOWN,   /* a connection is down for good */
};

struct engine_event {
    struct weft_list node;
    uint8_t type;
    bool queued, running;
    int status;
    struct conn *conn;
    void (*call)(void *arg, int status); /* DATA and SENT */
    void *arg;
};

int engine_create(struct engine **out, const struct engine_config *cfg);
/* Frees everything at once, without a word to anybody. */
void engine_destroy(struct engine *e);

/* Starts a connection to an address of a link (to->peer is not looked at). Errors of io.path_open,
 * WEFT_E_NOMEM, … */
int engine_connect(struct engine *e, uint64_t now, const struct engine_from *to, void *user,
                   struct conn **out);
/* Queues a message. Nothing leaves before engine_output. Errors as ep_send. */
int engine_send(struct engine *e, uint64_t now, struct conn *c, const struct ep_send *s);
/* The short way for a message that nothing of its connection is queued before: it has left, whole, when this
 * returns 0. WEFT_E_AGAIN: not this one, or not now: engine_send. Other errors as engine_send. */
int engine_send_lane(struct engine *e, struct conn *c, const struct ep_send *s);
/* Whether `more` holds messages of this connection back. */
bool engine_holds_back(const struct conn *c);
/* Lets go of what `more` held back. */
void engine_flush(struct engine *e, struct conn *c);
void engine_flush_all(struct engine *e);
/* Starts an orderly close: queued messages are still delivered, new ones are refused, incoming ones are not
 * taken, which the peer is told; then the connection is down with WEFT_E_CLOSED, at the latest at
 * `deadline_ns`. */
void engine_close(struct engine *e, uint64_t now, struct conn *c, uint64_t deadline_ns);
/* Ends a connection at once; tells the peer if it can (one packet, best effort). */
void engine_abort(struct engine *e, uint64_t now, struct conn *c, int status);
/* The owner will not name this connection again. It is freed when nothing of it is under way. `silent`: no
 * HEADER, UP or DOWN event about it is given any more. */
void engine_release(struct engine *e, struct conn *c, bool silent);

void engine_silence(struct conn *c); /* as `silent`, before the release */

void engine_input(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *packet,
                  size_t len);
extern const struct adapter_form engine_packet_form; /* for adapter_config.form */
/* A message that the peer sent the short way. engine_lane_in queues it as a HEADER event. engine_lane_take,
 * while no event is queued, fills in `msg` for a handler to be called at once, and returns its connection;
 * NULL: that message must be queued. */
void engine_lane_in(struct engine *e, uint64_t now, const struct engine_link *link,
                    const struct adapter_message *m);
struct conn *engine_lane_take(struct engine *e, const struct engine_link *link,
                              const struct adapter_message *m, struct ep_msg *msg);
/* Whether a handler should run before more packets are given, because their data goes where it says. Asking
 * clears it. */
bool engine_wants_pause(struct engine *e);
/* The adapter says that a peer is gone (hint false) or may be (hint true). */
void engine_peer_lost(struct engine *e, uint64_t now, struct engine_link *link, struct adapter_peer *peer,
                      bool hint);
/* Sends what may be sent now. Returns whether more could be sent at once (it stops now and then, to let
 * others in). */
bool engine_output(struct engine *e, uint64_t now);
/* Sends acknowledgements that are only held back for company; before sleeping. */
void engine_output_acks(struct engine *e, uint64_t now);
/* Runs all timers that are due. */
void engine_tick(struct engine *e, uint64_t now);
uint64_t engine_next_deadline(struct engine *e);

/* Takes the oldest event; it must be given back with engine_event_done. NULL: none. */
struct engine_event *engine_next_event(struct engine *e);
bool engine_has_event(const struct engine *e);
/* The message of a HEADER event; valid until engine_event_done. */
void engine_event_message(const struct engine_event *ev, struct ep_msg *msg);
bool engine_event_accepted(const struct engine_event *ev); /* UP: the peer connected to us */
/* `sink` is what the handler said (HEADER events without data in place only). */
void engine_event_done(struct engine *e, uint64_t now, struct engine_event *ev, const struct ep_sink *sink);

/* One slice of a pull: the owner reads `len` bytes at `offset` of the region into `dst`, without holding the
 * engine, and then tells. */
struct engine_pull {
    struct rx *rx;
    struct engine_path path;
    uint8_t region[ADAPTER_REGION_MAX];
    size_t region_bytes;
    uint64_t offset;
    void *dst;
    size_t len;
};
bool engine_pull_next(struct engine *e, struct engine_pull *out);
void engine_pull_done(struct engine *e, uint64_t now, struct engine_pull *pull, int status);
bool engine_has_pull(const struct engine *e);
bool engine_is_lending(const struct engine *e); /* a peer within the host is about to read a message's data */
const struct conn *engine_pull_conn(const struct engine_pull *pull);
uint64_t engine_pull_token(const struct engine_pull *pull); /* of its message */

/* Cancels an incoming message whose data is still to come. Afterwards nothing is stored in its buffer, except
 * by a pull that the owner is just reading: the owner waits for that. WEFT_E_NOENT: no such message, or all
 * its data is here, or the connection has ended, and the message with it. */
int engine_cancel(struct engine *e, uint64_t token);

void *engine_conn_user(const struct conn *c);
void engine_conn_set_user(struct conn *c, void *user);
const struct engine_path *engine_conn_path(const struct conn *c);
bool engine_conn_is_up(const struct conn *c);
bool engine_conn_is_down(const struct conn *c);
uint64_t engine_conn_rtt_ns(const struct conn *c);
struct conn *engine_conn_next(struct engine *e, struct conn *after); /* NULL: the first; NULL at the end */

/* For tests: what an idle engine must have back. */
struct engine_usage {
    size_t conns, txs, rxs, packets, held_bytes, tags;
    uint64_t staged_bytes;
};
void engine_usage(const struct engine *e, struct engine_usage *out);

#endif
