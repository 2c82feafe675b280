/* Conn: the engine's inside, shared by its parts: connections, messages on their way out (tx) and in (rx).
 *
 * DESIGN NOTES. A piece of `content` (a message, a fragment, a control item) is at any time in exactly one
 * list: a queue of its connection, or the record of the one packet that carries it. Loss moves it from the
 * record back to a queue; acknowledgement takes it out. So nothing needs a count of references, and freeing a
 * message only unlinks its content. Bulk data has no content objects: two 64-bit maps a superpacket (still to
 * send, acknowledged) do. */
#ifndef WEFT_TRANSPORT_CONN_H
#define WEFT_TRANSPORT_CONN_H
#include "base/clock.h"
#include "base/map.h"
#include "transport/cookie.h"
#include "transport/cwnd.h"
#include "transport/engine.h"
#include "transport/heap.h"
#include "transport/limit.h"
#include "transport/noise.h"
#include "transport/pool.h"
#include "transport/received.h"
#include "transport/replay.h"
#include "transport/rtt.h"
#include "transport/secure.h"
#include "transport/sent.h"
#include "transport/stats.h"
#include "transport/turn.h"
#include "transport/wire.h"

#define CONN_HALF_OPEN_MAX    256u /* answered INITs whose sender has not spoken yet */
#define CONN_HALF_OPEN_FREE   32u  /* … that need no cookie */
#define CONN_HALF_OPEN_NS     (3 * WEFT_NS_PER_S)
#define CONN_QUARANTINE_NS    (60 * WEFT_NS_PER_S) /* before a connection id's slot is used again */
#define CONN_SLOTS_MAX        65535u
#define CONN_HELD_SOFT_BYTES  (8u << 20)  /* out-of-order bytes above which packets are not taken */
#define CONN_HELD_HARD_BYTES  (64u << 20) /* … above which the connection is closed */
#define CONN_AHEAD_MAX        65536u      /* message ids ahead of the next one that are taken */
#define CONN_HELD_ALL_BYTES   (256u << 20) /* … of all connections together */
#define CONN_RENDEZVOUS_MAX   128u        /* that a sender has open at once */
#define CONN_RENDEZVOUS_HARD  256u        /* that a receiver tolerates */
/* Superpackets of a transfer that a sender has under way; a receiver tells of each quarter of its window, which
 * is at most 64: less would wait for ever. */
#define CONN_WINDOW_MAX       16u
#define CONN_CHANNELS_MAX     512u        /* that both sides of a connection use */
#define CONN_TAGS_MAX         64u         /* tag entries of one peer */
#define CONN_TAGS_ALL_MAX     1024u       /* tag entries of all peers */
#define CONN_TRANSFERS_MAX    128u        /* pushed at once by one peer, with and without a tag entry */
#define CONN_NORMAL_WINDOW    4u          /* superpackets under way without a tag entry */
#define CONN_TX_MAX           (1u << 20)  /* messages in one peer's queue */
#define CONN_PING_DEAD_NS     (8 * WEFT_NS_PER_S) /* silence after which an idle peer is lost */
#define CONN_SUSPECT_PROBE_NS (50 * WEFT_NS_PER_MS)
#define CONN_SUSPECT_DEAD_NS  (500 * WEFT_NS_PER_MS)
#define CONN_HOLD_NS          (100 * WEFT_NS_PER_US) /* longest that `more` holds a message back */
#define CONN_HOLD_BYTES       (56u << 10)            /* … and most of what it holds back: about a burst */
#define CONN_RETRY_NS         (20 * WEFT_NS_PER_US) /* before a full adapter is tried again; doubles to 1 ms */
#define CONN_ANSWERS_PER_S    100                   /* refusals and resets, together */
#define CONN_COOKIES_PER_S    5000

enum content_kind {
    CONTENT_MSG, /* first part of an eager message */
    CONTENT_FRAG,
    CONTENT_RTS,
    CONTENT_OKTOSEND,
    CONTENT_WINDOW,
    CONTENT_FIN,
    CONTENT_PING,
    CONTENT_STOP,
    CONTENT_CLOSE,
};

struct tx;
struct content {
    struct weft_list node;
    struct content *more; /* in tx->extras */
    uint8_t kind;
    uint32_t offset, len; /* MSG, FRAG: the part of the data */
    union {
        struct tx *tx; /* MSG, FRAG, RTS */
        struct rx *rx; /* OKTOSEND, WINDOW */
        struct {
            struct wire_fin fin;
            /* What rests until this FIN has arrived: one above the slot, one above Method 2's number; 0: none
             */
            uint32_t slot;
            uint64_t stage;
        };
    };
};

struct superpacket {
    uint64_t todo, acked;
    uint32_t chunk_bytes; /* 0: not cut yet, nothing of it has been sent */
};

/* The sending side of pushed rendezvous data, from OKTOSEND on. */
struct push_out {
    struct weft_list node; /* conn->bulk while something may be to send; else empty */
    struct tx *tx;         /* NULL: over, kept only for the packets still flying */
    struct turn turn;      /* in engine->line from the start until all has left, if it must wait its turn */
    uint64_t base_tag, segment_offset, segment_bytes;
    uint32_t count;  /* superpackets of the segment */
    uint32_t low;    /* all below are acknowledged */
    uint32_t opened; /* all below have been in the window */
    uint32_t limit;  /* the receiver takes superpackets below */
    uint32_t window;
    bool staged;                               /* Method 2: before the receiver has asked */
    uint32_t flying;                           /* records of sent packets that point here */
    uint32_t room;                             /* as many as may be in the window at once */
    struct superpacket super[];                /* indexed by superpacket % room */
};

struct tx {
    struct engine_event event;
    struct weft_list node; /* conn->txs */
    struct conn *conn;
    uint64_t id, ref; /* ref: rendezvous only */
    uint16_t handler, channel, header_bytes;
    bool rendezvous, rts_sent;
    bool offered; /* its data, to be read or unasked */
    bool pooled;
    bool normal;   /* the data goes the non-zero-copy way */
    bool unmapped; /* … because it could not be exposed */
    bool answered; /* its acknowledgement may come with the answer */
    bool rts_acked;
    uint64_t staged; /* as in its RTS */
    uint8_t region_bytes;
    uint32_t left;        /* eager: pieces of content not acknowledged */
    uint32_t alloc_bytes; /* counted against the queue's cap */
    uint64_t data_bytes;
    const uint8_t *data;
    struct push_out *push;
    struct content *frags; /* eager data beyond the first packet; in the same allocation */
    uint32_t frag_count;
    struct content *extras; /* what was cut off when the path shrank */
    struct content first;
    uint8_t region[ADAPTER_REGION_MAX];
    uint8_t header[]; /* then the copied data, if any */
};

struct super_in {
    uint64_t got;         /* chunks */
    uint32_t chunk_bytes; /* as the newest cut of it; 0: nothing has come */
};

/* The receiving side of pushed rendezvous data. */
struct push_in {
    uint32_t slot;
    uint64_t use, segment_offset, segment_bytes;
    uint32_t count, low, told_low, window;
    struct super_in *super;                  /* indexed by superpacket % window: on the heap, or … */
    struct super_in few[CONN_NORMAL_WINDOW]; /* … these, which need no memory */
};

/* Where chunks with this slot in their tag go. After a cancel it rests until the sender has heard of it:
 * chunks that come meanwhile are not acknowledged, so that the sender cannot take the message for complete.
 */
struct tag_slot {
    struct rx *rx; /* armed; else NULL */
    uint64_t use;  /* the latest */
    bool resting;
    bool entry; /* holds one of the adapter's tag entries, which are few */
};

enum rx_state {
    RX_AHEAD,   /* in its channel's list: incomplete, or an earlier message is missing */
    RX_HEADER,  /* its HEADER event is queued or runs */
    RX_WAITING, /* has a sink, waits for a tag entry */
    RX_PUSH,    /* armed */
    RX_STAGED,  /* by Method 2, has a sink */
    RX_PULL,
    RX_DONE, /* its DATA event is queued or runs */
};

struct rx {
    struct engine_event event;
    struct weft_list node; /* channel's list, conn->waiting, engine's pulls, or none */
    struct weft_list all;  /* conn->rxs */
    struct conn *conn;
    uint64_t id, ref;
    uint64_t token; /* rendezvous: in engine->rx_by_token; 0: not any more */
    uint16_t handler, channel, header_bytes;
    uint8_t state, region_bytes;
    uint8_t normal;        /* enum wire_normal: why the data comes the non-zero-copy way; 0: it does not */
    bool reserved;         /* a tag entry, for when the handler has answered */
    bool unmapped;         /* the sender says so */
    bool rendezvous, busy; /* busy: a slice of a pull is being read, outside the engine */
    bool canceled;         /* while its handler ran or a slice was read: ends when that is over */
    struct pbuf *packet;   /* holds header (and data, if it came in one packet) */
    const uint8_t *header;
    uint8_t *assembled; /* eager data that came in several packets; heap */
    const uint8_t *data;
    uint64_t data_bytes;
    uint32_t data_here; /* of an eager message */
    bool header_here;
    uint32_t held_bytes;      /* counted in conn->held_bytes */
    struct weft_ranges parts; /* of assembled */
    uint8_t *sink;
    uint64_t pulled;      /* bytes */
    struct stage *stage;  /* Method 2; else NULL */
    struct push_in *push; /* armed: `in`; else NULL */
    struct push_in in;
    struct content oktosend, window;
    uint8_t region[ADAPTER_REGION_MAX];
};

struct channel {
    uint64_t tx_next, rx_next;
    struct weft_list ahead; /* rx records in order of id, ≥ rx_next */
};

/* What is needed only until a connection is made. */
struct handshake {
    struct noise noise; /* connecting, with a key: waits for the second message */
    bool refused;       /* by whom is not certain: `refusal` counts when time is up */
    struct wire_hello refusal;
    bool cookie_taken;               /* since the last INIT */
    uint8_t doubts;                  /* how often an answer may have been a former incarnation's */
    size_t len;                      /* 0: still to be written */
    uint8_t packet[WIRE_INIT_BYTES]; /* INIT or RESP: repeated byte by byte */
};

enum conn_state {
    CONN_INIT_SENT,
    CONN_HALF_OPEN, /* answered, not confirmed: unknown to the owner */
    CONN_UP,
    CONN_DOWN,
};

/* What the path carries. */
struct mtu {
    uint32_t limit;               /* what both adapters would take */
    uint32_t rounds, lost, heard; /* questions asked in a row; large packets lost, small ones arrived since */
    uint64_t ask_at_ns, again_ns;
};

struct conn {
    struct heap_node timer;
    struct weft_list all, ready; /* engine's lists; ready: may have something to send */
    struct engine *engine;
    struct engine_path path;
    void *user;
    uint8_t state, integrity;
    bool accepted, released, silent, reliable, held, blocked, path_open;
    bool closing; /* ep_disconnect was called: nothing new goes out, nothing that comes is delivered */
    bool refusing, stopped; /* it told the peer so with a STOP, because something came; the peer told it */
    bool close_sent, close_acked;
    bool owes_close; /* reliable, down: the adapter had no room for the CLOSE that the peer must get */
    int down_status;
    struct engine_event up, down;
    uint32_t slot, id, remote_id; /* id: packets to us carry it; remote_id: packets to the peer */
    uint8_t remote_boot_id[WIRE_BOOT_ID_BYTES];
    uint64_t met;       /* when that was learnt, or INIT made: order among the connections */
    bool origin_mapped; /* accepted: in engine->origins under origin_key */
    uint64_t origin_key;
    uint32_t refs;    /* events queued or running, slices being read, calls under way */
    uint32_t pulling; /* slices being read */

    struct secure *secure; /* NULL: no key, or the connection is not made */

    /* handshake */
    struct handshake *handshake; /* NULL: over */
    uint64_t init_at_ns, init_sent_ns, init_number, expires_ns;
    unsigned init_tries;
    uint8_t addr[ADAPTER_ADDRESS_MAX]; /* where to, for a path that must be opened again */
    size_t addr_bytes;

    /* sending */
    struct sent sent;
    uint64_t next_number; /* of packets; equals sent.next on unreliable links */
    struct cwnd cwnd;
    struct rtt rtt;
    uint64_t window_bytes;                /* the peer's, charged */
    uint32_t remote_charge, packet_bytes; /* packet_bytes: the largest that is sent now */
    struct mtu mtu;
    uint64_t relaxed_at_ns, used_ns; /* used: when the newest message was queued, or came */
    uint64_t last_sent_ns, last_probe_ns, flying_since_ns, loss_at_ns, extra_reorder_ns;
    uint64_t awaited_since_ns;     /* conn_await_peer; of no meaning while nothing waits for the peer */
    uint64_t held_back_ns;         /* how long the peer may hold back the acknowledgement of the newest packet */
    uint64_t ack_delay_ns;         /* … of one with nothing but messages that will be answered */
    uint64_t missed_at_ns;         /* when a packet last counted as lost; 0: never */
    unsigned probes_fired;         /* probe timeouts in a row */
    unsigned probe_credit;         /* packets that may leave beyond the windows */
    uint64_t largest_acked;        /* plus one; 0: nothing yet */
    struct weft_list queue, again; /* contents; again goes first */
    struct weft_list bulk;         /* push_out with data to send, whose turn has come */
    uint32_t turns_awaited;        /* push_out whose turn has not */
    struct weft_list txs;
    uint32_t tx_count, rendezvous_open;
    uint64_t queued_bytes;
    struct weft_map tx_by_ref;
    uint64_t next_ref;
    uint64_t staged_next, staged_live; /* Method 2: numbers; which of the last 64 are open, newest lowest */
    uint32_t staged_open;              /* superpackets that they may have under way */
    struct content ping, stop, close;
    uint32_t close_reason;
    uint32_t more_bytes; /* of messages, since `held` */
    uint64_t hold_until_ns, retry_at_ns, retry_ns, close_deadline_ns;

    /* receiving */
    bool ack_now;         /* the packet being taken must be acknowledged at once */
    bool answerable;      /* … has nothing but messages: an answer may well follow */
    bool continued;       /* … or beginnings of large ones: their data may */
    struct replay replay; /* unreliable links; on others only `next` is used */
    struct received received;
    uint64_t last_heard_ns, suspect_since_ns, suspect_probe_ns, last_hint_ns;
    struct weft_map channels; /* of struct channel */
    struct weft_list rxs, waiting;
    uint32_t rx_rendezvous; /* announced and not over */
    uint64_t held_bytes;
    struct tag_slot *tag_slots; /* grows on use, to CONN_TRANSFERS_MAX */
    uint32_t tag_slot_count, tag_slots_used, tags_used;
    uint64_t next_use;
    struct stage **stages;                          /* Method 2, by number % 64; NULL: none yet */
    uint64_t stage_next, stages_over, staged_bytes; /* over: which of the last 64 numbers, newest lowest */
    uint64_t active_epoch;
};

/* What the records of an active connection take at most, beside the program's messages and what is data (held
 * back, staged): each kind has a limit of its own, so that none can keep another one waiting. While the
 * record of sent packets grows its former half is there too, for as long as the copy takes. */
#define CONN_ACTIVE_BYTES_MAX (512u << 10)
#define CONN_STAGES           64u  /* Method 2: numbers of which transfers may be open */
#define CONN_STAGE_BYTES      400u /* at most, of the record of one */
_Static_assert(sizeof(struct conn) + SENT_MAX * sizeof(struct sent_packet) +
                       CONN_RENDEZVOUS_HARD * sizeof(struct rx) +
                       CONN_RENDEZVOUS_MAX *
                           (sizeof(struct push_out) + CONN_WINDOW_MAX * sizeof(struct superpacket)) +
                       CONN_TRANSFERS_MAX * (sizeof(struct tag_slot) + 16 * sizeof(struct super_in)) +
                       CONN_STAGES * CONN_STAGE_BYTES +
                       CONN_CHANNELS_MAX * (sizeof(struct channel) + 2 * sizeof(struct weft_map_slot)) <=
                   CONN_ACTIVE_BYTES_MAX,
               "an active connection takes too much");

struct slot {
    struct conn *conn;
    uint16_t generation;
    uint64_t free_at_ns;
    uint32_t next;
};

#define ENGINE_BURST_MAX   64
#define ENGINE_ARENA_BYTES 65536u
#define ENGINE_HEAD_MAX    4096u        /* bytes of one packet that are copied rather than gathered */
#define ENGINE_FRAME_BYTES (2 * 65536u) /* of one burst that is put together in one piece */

/* A packet being put together; in the engine, so that the stack stays small. */
struct packet {
    uint8_t *head;
    size_t head_bytes;
    const void *payload;
    size_t payload_bytes;
    bool eliciting, has_ack, at_once, answered;
    struct push_out *push; /* DATA; NULL: CTRL */
    uint32_t superpacket;
    uint8_t chunk;
    uint16_t chunk_bytes;
    bool question; /* PROBE: whether the path carries its size */
    struct weft_list contents;
    uint8_t trailer[WIRE_TRAILER_BYTES];
};

struct burst {
    struct packet packet[ENGINE_BURST_MAX];
    struct adapter_packet_out out[ENGINE_BURST_MAX];
    size_t count, arena_used;
    size_t packet_len; /* of the longest */
    bool last_short;   /* a packet of another length ends a burst */
    bool has_ack;      /* one of them acknowledges: that is enough */
    uint8_t *frame;    /* the packets as they leave, one behind the other; NULL: never needed */
    size_t bytes;      /* of all packets */
    uint8_t arena[ENGINE_ARENA_BYTES];
};

struct engine {
    struct engine_config cfg;
    uint64_t random;
    bool keyed; /* there is a cluster key; NULL in cfg, copied here */
    uint8_t key[CRYPTO_KEY_BYTES];
    struct crypto_mac *init_mac; /* with a key: of INITs, so that strangers cost little */
    struct weft_list conns, ready, events, pulls;
    struct heap timers;
    uint64_t ticked_ns; /* when timers were last looked at; 0: never */
    struct slot *slots;
    uint32_t slot_count, slot_cap, conn_count, half_open;
    uint32_t free_head, free_tail; /* slots given back, oldest first; 0: none */
    struct weft_map origins;       /* accepted connections by (boot id, connection id) of the peer */
    struct weft_map rx_by_token;   /* incoming messages whose data is to come */
    uint64_t next_token, next_met;
    struct dummy *dummy; /* debug builds: where late chunks are stored */
    struct pool tx_pool, rx_pool, packet_pool, content_pool;
    size_t tx_live, rx_live, packets_live;
    uint32_t lent; /* messages whose data is announced to peers on reliable links, who read it about now */
    uint32_t tags_used;
    uint64_t staged_bytes, held_bytes; /* of all connections */
    bool pause;
    struct conn *touched; /* packets of it came, and its timer is still to be set; NULL: none */
    struct limit answers, cookie_answers; /* to strangers */
    struct cookie_jar cookies;
    struct turn_line line; /* of bulk over links that are not reliable: they share the network card */
    uint64_t turns_at_ns;  /* when to look whose turn it is */
    uint64_t small_ns; /* when an eager message was last sent or delivered */
    uint64_t refusals, refusals_said, refusals_said_ns;
    struct burst burst;
};

/* A packet's items, kept as long as a message leads into it. */
struct pbuf {
    uint32_t refs;
    bool pooled;
    size_t len;
    uint8_t data[];
};
#define PBUF_POOLED_BYTES 2048u

/* engine.c, event.c */
uint64_t engine_random(struct engine *e);
void conn_mark_ready(struct conn *c);
void conn_suspect(struct conn *c, uint64_t now); /* somebody says that the peer is gone: it is asked */
void conn_update_timer(struct conn *c);
void engine_settle(struct engine *e); /* sets the timer that was put off */
void conn_queue(struct conn *c, struct weft_list *queue, struct content *content);
/* Makes it if need be. WEFT_E_LIMIT: the connection has too many; WEFT_E_NOMEM. */
int conn_channel(struct conn *c, uint16_t number, struct channel **out);
bool conn_awaits_peer(const struct conn *c); /* anything but a PING waits for the peer */
/* Before something begins to wait for it. What a packet brings needs no call: it has just been heard. */
void conn_await_peer(struct conn *c, uint64_t now);
void event_push(struct engine *e, struct conn *c, struct engine_event *ev, enum engine_event_type type,
                int status);
void event_push_front(struct engine *e, struct conn *c, struct engine_event *ev, enum engine_event_type type,
                      int status);
/* Frees what the event is a part of. */
void event_free(struct engine *e, struct engine_event *ev);
void conn_maybe_free(struct conn *c);
struct pbuf *pbuf_create(struct engine *e, size_t len);
void pbuf_release(struct engine *e, struct pbuf *p);

/* slot.c */
int slot_take(struct engine *e, uint64_t now, struct conn *c);
/* `quarantine`: packets for it may still be under way. */
void slot_give(struct engine *e, uint64_t now, struct conn *c, bool quarantine);
static inline struct conn *slot_find(const struct engine *e, uint32_t id) {
    uint32_t n = id & 0xffff;
    if (n == 0 || n >= e->slot_count) return NULL;
    struct conn *c = e->slots[n].conn;
    return c && c->id == id ? c : NULL;
}

/* handshake.c */
/* Opens a path to (or back to) that place, and makes a connection on it. */
int conn_create(struct engine *e, uint64_t now, const struct engine_from *to, struct conn **out);
void handshake_resp_in(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p,
                       size_t len, const struct wire_header *h);
void handshake_cookie_in(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p,
                         size_t len, const struct wire_header *h);
void handshake_tick(struct conn *c, uint64_t now);
void handshake_confirm(struct conn *c, uint64_t now);
void handshake_path_lost(struct conn *c, uint64_t now); /* before the connection was made */
void handshake_send(struct conn *c);                    /* the packet that was written, best effort */
void handshake_free(struct conn *c);

/* accept.c */
void handshake_init_in(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p,
                       size_t len, const struct wire_header *h);

/* hello.c: the contents of INIT and RESP */
void hello_describe(const struct engine *e, struct wire_hello *h);
uint8_t hello_modes(const struct engine *e, const struct engine_link *link); /* mask of wire_integrity */
const char *hello_modes_text(uint8_t modes);
/* The best mode that both sides take. WEFT_E_NOSUP: none. */
int hello_choose(const struct engine *e, const struct engine_link *link, uint8_t offered, uint8_t *out);
bool hello_usable(const struct wire_hello *h);
/* Takes over what the peer's INIT or RESP says about it. */
void hello_adopt(struct conn *c, uint64_t now, const struct wire_hello *h, uint8_t integrity);
/* Each writes c->handshake->packet. */
int hello_write_init(struct conn *c);
int hello_write_resp(struct conn *c, struct noise *n);
bool hello_init_is_keyed(struct engine *e, const uint8_t *p); /* cheap: one MAC */
int hello_read_init(const struct engine *e, const uint8_t *p, struct noise *n);
/* WEFT_E_ACCESS: the answer does not prove the key. */
int hello_read_resp(struct conn *c, const struct wire_hello *h, const uint8_t *p, size_t len);

/* reset.c */
void reset_out(struct engine *e, uint64_t now, const struct engine_from *from, size_t len,
               const struct wire_header *h);
void reset_in(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p, size_t len);

/* message.c: the sending side */
void tx_finish(struct tx *tx, int status, bool front);
void tx_free(struct engine *e, struct tx *tx);
/* Whether data is read out of the sender's memory, past the packets: not where those are encrypted because they
 * leave the host. */
bool conn_reads_memory(const struct conn *c);
void tx_offer_region(struct conn *c, struct tx *tx);
void content_acked(struct conn *c, struct content *content);
void content_drop(struct conn *c, struct content *content);
/* Leaves the first `len` bytes to it and puts the rest behind it. False: no memory now. */
bool content_split(struct conn *c, struct content *content, uint32_t len);
int rendezvous_oktosend_in(struct conn *c, const struct wire_oktosend *o);
int rendezvous_window_in(struct conn *c, const struct wire_window *w);
int rendezvous_fin_in(struct conn *c, const struct wire_fin *f);

/* push.c: bulk data out */
int push_start(struct tx *tx, const struct wire_oktosend *o);
void push_unasked(struct tx *tx);                                /* Method 2, if it may be */
void push_announced(struct tx *tx);                              /* the receiver has the RTS */
bool push_next(const struct push_out *p, uint32_t *superpacket); /* lowest one with chunks to send */
uint64_t push_superpacket_bytes(const struct push_out *p, uint32_t superpacket);
void push_window(struct push_out *p, uint32_t low);
void push_cut(struct push_out *p, uint32_t superpacket, uint32_t chunk_bytes); /* (anew) */
/* Each settles one packet's chunk: it has arrived, must be sent again, or the connection is over. Chunks of
 * an earlier cut do not matter any more. */
void push_acked(struct push_out *p, uint32_t superpacket, uint8_t chunk, uint32_t chunk_bytes);
void push_lost(struct push_out *p, uint32_t superpacket, uint8_t chunk, uint32_t chunk_bytes);
void push_dropped(struct push_out *p);
void push_look_at_turns(struct engine *e, uint64_t now); /* lets those begin whose turn has come */
void push_has_left(struct push_out *p, uint32_t bytes);  /* in a packet */
void push_detach(
    struct push_out *p); /* the transfer is over; frees it when no packet points to it any more */

/* channel.c: ordering of incoming messages. Results: 0; WEFT_E_AGAIN: not taken now (do not acknowledge);
 * other: the peer broke a rule. */
int channel_msg_in(struct conn *c, struct pbuf *packet, const struct wire_msg *m);
int channel_frag_in(struct conn *c, const struct wire_frag *f);
int channel_rts_in(struct conn *c, struct pbuf *packet, const struct wire_rts *r);
/* While this side is closing: only what was delivered before is taken. */
int channel_closing_in(struct conn *c, uint16_t channel, uint64_t id);
/* A whole message without an id: all before it have come. `packet` holds header and data, in this order. */
int channel_lane_in(struct conn *c, struct pbuf *packet, const struct ep_msg *msg);
void rx_free(struct rx *rx);
void rx_finish(struct rx *rx, int status, bool front);
void rx_forget_token(struct rx *rx);

/* tag.c: slots and tag entries */
void tag_reserve(struct rx *rx); /* before its handler is called; sets `normal` if there is no entry */
void tag_unreserve(struct rx *rx);
/* Gives the message a slot, with the entry reserved for it. WEFT_E_AGAIN: all are in use; WEFT_E_NOMEM. */
int tag_arm(struct rx *rx);
void tag_disarm(struct rx *rx, bool rest);
void tag_rested(struct conn *c, uint32_t slot);
void tag_relax(struct conn *c);

/* stage.c: Method 2. Results as channel_msg_in's */
int stage_header_in(struct rx *rx, uint64_t number);
uint8_t *stage_place(const struct conn *c, const struct wire_data *d); /* as rendezvous_place */
int stage_data_in(struct conn *c, const struct wire_data *d, const uint8_t *payload);
uint64_t stage_number(const struct stage *s);
bool stage_is_complete(const struct stage *s);
bool stage_accept(struct rx *rx); /* false: nothing was taken, it must come again under a tag */
void stage_detach(struct rx *rx, bool rest);
void stage_rested(struct conn *c, uint64_t number);
void stage_relax(struct conn *c);
void stage_fini(struct conn *c);

/* rendezvous.c: incoming rendezvous data */
void rendezvous_accept(struct rx *rx, const struct ep_sink *sink);
void rendezvous_fin_over(struct conn *c, struct content *fin); /* it has arrived, or never will; frees it */
void rendezvous_drop_late(struct conn *c, const struct wire_data *d, const uint8_t *payload, enum stats why);
/* Where a chunk that claims to be this one may be decrypted to before it is known to be authentic: into the
 * buffer that waits for just these bytes and has not got them. NULL: nowhere. */
uint8_t *rendezvous_place(struct conn *c, const struct wire_data *d);
/* A chunk, in any memory or already at its place. */
int rendezvous_data_in(struct conn *c, const struct wire_data *d, const uint8_t *payload);
void rendezvous_disarm(struct rx *rx);

/* output.c */
bool conn_output(struct conn *c, uint64_t now);
void conn_output_ack(struct conn *c, uint64_t now);
/* One CLOSE; on a reliable link that has no room just now it goes later. */
void conn_output_close(struct conn *c, uint64_t now);
void conn_output_owed_close(struct conn *c, uint64_t now);

/* mtu.c */
#define MTU_QUESTIONS_MAX 6
void mtu_init(struct conn *c, uint64_t now, uint32_t limit);
uint64_t mtu_deadline(const struct conn *c);
/* The sizes to ask the path about now; returns how many. */
size_t mtu_questions(struct conn *c, uint64_t now, uint32_t *sizes);
void mtu_answered(struct conn *c, uint32_t packet_bytes);
void mtu_shrink(struct conn *c, uint64_t now);
/* What became of packets, and what to make of it. */
void mtu_lost(struct conn *c, uint32_t packet_bytes);
void mtu_arrived(struct conn *c, uint32_t packet_bytes);
void mtu_judge(struct conn *c, uint64_t now);

/* recovery.c */
int recovery_ack_in(struct conn *c, uint64_t now, const struct wire_ack *a);
void recovery_tick(struct conn *c, uint64_t now);
uint64_t recovery_deadline(const struct conn *c);
/* Whether one more packet fits the windows beside `planned` ones of `planned_bytes` (charged). */
bool recovery_may_send(struct conn *c, size_t packet_bytes, uint32_t planned, uint64_t planned_bytes);
uint32_t recovery_charge(const struct conn *c, size_t packet_bytes);
/* Gives back what a connection that rests does not need. */
void recovery_relax(struct conn *c, uint64_t now);
void recovery_rest(struct conn *c, uint64_t now); /* who only keeps alive needs no contexts of keys, and no replay window */
void recovery_late(struct conn *c, uint64_t late_ns); /* this process itself was stopped for so long */

/* close.c */
void conn_down(struct conn *c, uint64_t now, int status);
void conn_break(struct conn *c, uint64_t now, int status); /* tells the peer, then down */
void conn_close_path(struct conn *c);
void close_in(struct conn *c, uint64_t now, uint32_t reason);
void close_refuse(struct conn *c); /* tells the peer, once, that this side takes no more messages */
void close_stop_in(struct conn *c);
void close_tick(struct conn *c, uint64_t now);
void conn_destroy(struct conn *c);

#endif
