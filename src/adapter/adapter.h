/* The adapter contract: how packets leave and reach a process. The message-passing specification calls this
 * layer the device abstraction over its network adapters. An adapter knows nothing of the protocol above it:
 * it moves packets of at most `packet_max_bytes`, may lose, repeat or reorder them unless its attributes say
 * otherwise, and tells its capabilities, limits and costs in one struct. A missing capability is a flag,
 * never a stub: without the flag in this adapter's attributes its operations are not to be called.
 *
 * Threads: all operations of one adapter, but for read(), alloc() and peek(), are called by one thread at a
 * time (the endpoint's state lock); none may block, unless its comment says so. Callbacks are called from
 * poll() only, and may themselves call every operation but poll(), take(), peek(), arm(), disarm() and
 * close(). A peer is held by the caller while read() uses it.
 *
 * The poller: at any time one thread at most is it. It alone calls poll(), take(), arm(), disarm() and
 * disconnect(), with the state lock, and peek(), without it. While it peeks, other threads may call the
 * remaining operations.
 *
 * Peers: a packet from an address that nobody has connected to arrives with `peer` NULL; connect(from) then
 * gives the peer to answer. After on_peer_lost without hint a peer is good for disconnect() only; connect()
 * to the same address gives a new one, if anybody is there.
 *
 * Smallest complete adapter, to be read first: self.c. */
#ifndef WEFT_ADAPTER_ADAPTER_H
#define WEFT_ADAPTER_ADAPTER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define ADAPTER_ADDRESS_MAX 128 /* bytes of one adapter's address blob */
#define ADAPTER_REGION_MAX  64  /* bytes of one memory region's description */

enum adapter_cap {
    ADAPTER_CAP_RELIABLE = 1 << 0,    /* a packet that send() took arrives once, whole, or the peer is lost */
    ADAPTER_CAP_ORDERED = 1 << 1,     /* packets of a peer arrive in the order sent */
    ADAPTER_CAP_REMOTE_READ = 1 << 2, /* read(): a peer's exposed memory is pulled without its help */
    ADAPTER_CAP_BURST = 1 << 3,      /* a burst of equal packets costs one operation (segmentation offload) */
    ADAPTER_CAP_SAME_HOST = 1 << 4,  /* reaches processes of this host only */
    ADAPTER_CAP_PEER_DEATH = 1 << 5, /* on_peer_lost() tells a dead peer within milliseconds */
    ADAPTER_CAP_METHOD1 = 1 << 6,    /* data with a tag is stored where the tag entry says (Method 1) */
    ADAPTER_CAP_MESSAGES = 1 << 7,   /* message(), take() and peek(); only with RELIABLE and ORDERED */
    ADAPTER_CAP_METHOD2 = 1 << 8,    /* what comes unasked waits at the receiver for a while (Method 2) */
    ADAPTER_CAP_ALLOC = 1 << 9,      /* alloc(), dealloc(): memory that peers read at the cost of a copy */
};

struct adapter_attr {
    const char *name;         /* "self", "shm", "udp", "ofi", "sim" */
    unsigned caps;            /* of enum adapter_cap */
    size_t packet_max_bytes;  /* largest packet on any path */
    size_t burst_max_packets; /* most packets of one burst; 1 without ADAPTER_CAP_BURST */
    size_t message_max_bytes; /* largest message; 0 without ADAPTER_CAP_MESSAGES */
    /* Charged bytes that may be under way to this endpoint, from all peers together; 0: no limit. */
    size_t receive_window_bytes;
    /* Bookkeeping bytes charged against the window for each packet, beside its length. */
    size_t packet_charge_bytes;
    size_t tag_entries; /* that its table holds, for all peers; 0: no limit of its own */
    /* Costs, a first estimate until the model has measured them. */
    double overhead_s, latency_s, bandwidth_Bps;
};

struct adapter;
struct adapter_peer; /* each adapter's own */

/* One packet to send: gathered from up to three pieces (header, payload, trailer). Pieces are read before
 * send() returns. */
struct adapter_packet_out {
    struct iovec piece[3];
};

struct adapter_packet_in {
    const uint8_t *data; /* valid during the callback only; may be shared memory: copy once, check, use */
    size_t len_bytes;    /* may be 0 */
    struct adapter_peer *peer; /* known sender, or NULL */
    const void *from;          /* the sender's address blob, fit for connect(); never NULL */
    size_t from_bytes;
};

/* With ADAPTER_CAP_MESSAGES: a whole message of the layer above, in one order with the packets of its peer.
 * What packets need to be sure of their way (numbers, checksums) the adapter's memory is sure of by itself.
 */
struct adapter_message {
    struct adapter_peer *peer; /* NULL: as in a packet */
    uint64_t word;             /* the layer above's own: sent along */
    const uint8_t *data;       /* private memory: nobody writes to it until the next poll() or take() */
    size_t len_bytes;
};

/* Part of a region that a peer described. */
struct adapter_read {
    const void *region;
    size_t region_bytes;
    uint64_t offset;
    void *dst;
    size_t len; /* in: how much is wanted; out, on success: how much was copied */
    /* Asked in the course of a long read, every microsecond or so: true ends it early, with at least something
     * copied. NULL: never. */
    bool (*enough)(void *arg);
    void *arg;
};

struct adapter_callbacks {
    void (*on_packet)(void *ctx, struct adapter *a, const struct adapter_packet_in *p);
    /* The peer is certainly gone: its process ended, or it disconnected from us for good; every packet that
     * it sent has been delivered before. `hint` true: only suspected (connection refused): probe it. */
    void (*on_peer_lost)(void *ctx, struct adapter *a, struct adapter_peer *peer, bool hint);
    void *ctx;
    void (*on_message)(void *ctx, struct adapter *a, const struct adapter_message *m); /* NULL: dropped */
};

/* What the packets of an owner look like, as far as an adapter can use it. */
struct adapter_form {
    uint16_t length_at;   /* where a packet says its own length, all of it: 2 bytes, little-endian */
    uint16_t least_bytes; /* that a packet has */
    uint16_t kinds;       /* bit n: the low half of a packet's first byte may be n */
};

struct adapter_config {
    struct adapter_callbacks callbacks;
    const char *run_dir;   /* private directory for rendezvous sockets (shm) */
    const char *bind_host; /* numeric address to receive on (udp); NULL: 127.0.0.1 */
    uint16_t bind_port;    /* udp; 0: any */
    const char *sim; /* what the simulated network is like (sim); NULL: what the option WEFT_SIM says */
    /* Lets an adapter that gets several packets in one buffer (udp) tell them apart without asking the system
     * for their sizes, which costs more than it seems, and have the system drop what cannot be a packet, so that
     * it costs nothing here. NULL: they may look like anything. Outlives the adapter. */
    const struct adapter_form *form;
};

struct adapter_ops {
    const char *name;
    /* Makes an adapter ready to send and receive. WEFT_E_NOSUP: not on this machine; WEFT_E_ACCESS,
     * WEFT_E_INVAL, WEFT_E_NOMEM, WEFT_E_LIMIT, WEFT_E_IO. The config's strings need not outlive the call. */
    int (*open)(struct adapter **out, const struct adapter_config *cfg);
    /* Forgets all peers; leaves nothing behind (files, sockets, memory). */
    void (*close)(struct adapter *a);
    /* Writes this side's address, to be handed to peers by any means. *len: room in, size out.
     * WEFT_E_TOO_BIG. */
    int (*address)(struct adapter *a, void *buf, size_t *len);
    /* Whether that address can be reached from here at all (same host, known family). False for bad input. */
    bool (*reachable)(struct adapter *a, const void *addr, size_t len);
    /* The address for people, "10.0.0.2:4791". NULL where it says nothing to them. */
    void (*address_text)(struct adapter *a, const void *addr, size_t len, char *out, size_t cap);
    /* Makes ready to send to an address. May be called for an address whose peer is known already: gives that
     * one, with one more hold. Never waits for the peer. WEFT_E_INVAL, WEFT_E_UNREACHABLE, WEFT_E_REFUSED,
     * WEFT_E_NOMEM, WEFT_E_LIMIT (its queue of newcomers is full: try later). */
    int (*connect)(struct adapter *a, const void *addr, size_t len, struct adapter_peer **out);
    /* Gives the hold back; the last one forgets the peer: packets under way to us may be lost, those that we
     * sent are not. With ADAPTER_CAP_PEER_DEATH the other side is told, as if this process had ended. */
    void (*disconnect)(struct adapter *a, struct adapter_peer *peer);
    /* Largest packet on the path to this peer, at most packet_max_bytes. */
    size_t (*path_packet_bytes)(struct adapter *a, struct adapter_peer *peer);
    /* Sends `count` packets; as a burst if they are of equal length (the last may be shorter); udp puts a
     * longer one into one datagram with the one before it, if the path carries that and it knows their form.
     * Returns how many were taken (0 ≤ n ≤ count; fewer than count: no room now, try again after poll(), or a little
     * later; shm also wakes a sleeper when there is room), or WEFT_E_TOO_BIG (path shrank: ask
     * path_packet_bytes), WEFT_E_PEER_LOST, WEFT_E_IO. */
    int (*send)(struct adapter *a, struct adapter_peer *peer, const struct adapter_packet_out *packets,
                size_t count);
    /* Receives up to `max` packets and messages, calling on_packet or on_message for each. Returns how many;
     * 0: none now. Lost peers are not counted. */
    int (*poll)(struct adapter *a, unsigned max);
    /* With ADAPTER_CAP_MESSAGES. message(): sends a message of two pieces, read before it returns; 0,
     * WEFT_E_AGAIN (no room, or something else stands before it: use packets), WEFT_E_TOO_BIG,
     * WEFT_E_PEER_LOST. peek(): whether something may have come, for a few loads, so that it can be asked
     * again and again; once in a while poll() has to be called all the same. take(): the message that peek()
     * saw, without a callback: 1, or 0 (it was a packet, or nothing: poll). */
    int (*message)(struct adapter *a, struct adapter_peer *peer, uint64_t word, const struct iovec piece[2]);
    bool (*peek)(struct adapter *a);
    int (*take)(struct adapter *a, struct adapter_message *out);
    /* Sleeping: arm() asks for a wake-up, returns WEFT_E_AGAIN if there is something to poll already; after
     * 0, fds() become readable as soon as something comes. disarm() after waking, before polling. A peer pays
     * for a wake-up only while armed. fds(): writes up to `cap` descriptors, returns how many there are; they
     * stay the same from arm() to disarm(), whatever is sent or connected meanwhile by other threads. */
    int (*arm)(struct adapter *a);
    void (*disarm)(struct adapter *a);
    size_t (*fds)(struct adapter *a, int *out, size_t cap);
    /* With ADAPTER_CAP_REMOTE_READ. expose(): describes local memory (any, also live heap) so that this peer
     * may read it until conceal(), which is called once for each; the description is for a packet to that peer.
     * WEFT_E_TOO_BIG, WEFT_E_LIMIT, WEFT_E_NOMEM.
     * conceal(): the memory is the program's again when it returns: a read that has not ended by then fails.
     * read(): copies what the peer described into dst; may take as long as the copy takes; WEFT_E_ACCESS when
     * the system refuses or the peer has taken the memory back, perhaps during the copy, when dst holds nothing
     * of use (the caller falls back to packets); WEFT_E_INVAL for a description that does not hold,
     * WEFT_E_PEER_LOST. Never reads past the region. Any thread. */
    int (*expose)(struct adapter *a, struct adapter_peer *peer, const void *ptr, size_t len, void *region,
                  size_t *region_len);
    void (*conceal)(struct adapter *a, struct adapter_peer *peer, const void *region, size_t region_len);
    int (*read)(struct adapter *a, struct adapter_peer *peer, struct adapter_read *r);
    /* With ADAPTER_CAP_ALLOC. alloc(): cleared memory from the start of a page, the caller's until dealloc()
     * or close(); what is exposed in it peers can read (and see all of it) without the system's help. Any
     * thread; takes as long as clearing takes. WEFT_E_NOMEM. dealloc(): false: not from here. Nothing of it
     * may be exposed any more. */
    int (*alloc)(struct adapter *a, size_t bytes, void **out);
    bool (*dealloc)(struct adapter *a, void *ptr);
};

/* Every adapter's first member. */
struct adapter {
    const struct adapter_ops *ops;
    struct adapter_attr attr;
    /* Set by on_packet when what has come must be looked at before more is taken: a poll() that can leaves
     * the rest where it is, and returns. */
    bool pause;
};

extern const struct adapter_ops adapter_self_ops;
extern const struct adapter_ops adapter_shm_ops;
extern const struct adapter_ops adapter_udp_ops;
extern const struct adapter_ops adapter_sim_ops;
extern const struct adapter_ops adapter_ofi_ops; /* in builds with libfabric */

/* The adapters that are tried unless others are asked for, best first (self, shm, udp), ended by NULL. */
const struct adapter_ops *const *adapter_list(void);
/* Those of this build that are used only when they are named (sim, ofi), ended by NULL. */
const struct adapter_ops *const *adapter_list_named(void);
/* By name, of either list; NULL if unknown, or not in this build. */
const struct adapter_ops *adapter_find(const char *name);

#endif
