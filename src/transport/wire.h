/* Wire: the packet format of docs/PROTOCOL.md. Writes packets into given memory and parses them with every
 * bound checked; it knows nothing of connections. All integers are little-endian and of fixed size. */
#ifndef WEFT_TRANSPORT_WIRE_H
#define WEFT_TRANSPORT_WIRE_H
#include "base/le.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION             1 /* the only one so far; both ends of the range that is offered */
#define WIRE_HEADER_BYTES        16
#define WIRE_TRAILER_BYTES       16 /* room for an authentication tag */
#define WIRE_OVERHEAD_BYTES      (WIRE_HEADER_BYTES + WIRE_TRAILER_BYTES)
#define WIRE_DATA_BYTES          16 /* DATA frame before its payload */
#define WIRE_PACKET_MIN          WIRE_OVERHEAD_BYTES
#define WIRE_PACKET_MAX          65024 /* the length field has 16 bits */
#define WIRE_PATH_MIN            1200 /* every path carries at least this: the largest header fits one packet */
#define WIRE_SUPERPACKET_BYTES   61440u
#define WIRE_CHUNKS_MAX          64 /* of one superpacket: one bit each */
#define WIRE_ITEM_BYTES          4
#define WIRE_ACK_RANGES_MAX      32
#define WIRE_BOOT_ID_BYTES       16
#define WIRE_INIT_BYTES          256 /* padded, so that no answer is longer */
#define WIRE_RESET_TRIGGER_BYTES 48  /* a shorter packet is never answered */
#define WIRE_COOKIE_BYTES        16
#define WIRE_TOKEN_BYTES         12 /* what of the trailer follows the checksum */

enum wire_type {
    WIRE_HELLO = 1, /* reserved */
    WIRE_COOKIE = 2,
    WIRE_INIT = 3,
    WIRE_RESP = 4,
    WIRE_CTRL = 5,
    WIRE_DATA = 6,
    WIRE_PROBE = 7,
    WIRE_RESET = 8,
};
#define WIRE_TYPES 0x1fcu /* bit n: there are packets of type n */

enum wire_flag {
    WIRE_ACK_ELICITING = 1 << 0, /* the receiver acknowledges this packet within its delay */
    WIRE_ACK_NOW = 1 << 1,       /* … at once: the sender waits for it */
    WIRE_FLAGS_KNOWN = 3,        /* others are reserved, sent as 0 */
};

enum wire_integrity { WIRE_INTEGRITY_NONE = 0, WIRE_INTEGRITY_CRC = 1, WIRE_INTEGRITY_AES = 2 };

struct wire_header {
    uint8_t version, type, flags;
    uint16_t length; /* of the whole packet, trailer included */
    uint32_t dest;   /* connection id that the receiver chose: slot | generation << 16; 0: none yet */
    uint64_t number;
};

struct wire_data {
    uint64_t tag;    /* of the superpacket, derived from the base that the receiver minted */
    uint32_t offset; /* within the superpacket */
    uint16_t length;
    uint16_t flags;       /* enum wire_data_flag */
    uint16_t chunk_bytes; /* how the sender cuts this superpacket */
};

enum wire_data_flag {
    WIRE_DATA_NORMAL = 1 << 0,  /* of a cancelled zero-copy message */
    WIRE_DATA_ANSWERED = 1 << 1 /* the end of the transfer may be acknowledged with the answer */
};

enum wire_feature {
    WIRE_FEATURE_KEY = 1 << 0, /* the sender has a cluster key and demands that the other side has it too */
    WIRE_FEATURE_LATE_ACKS = 1 << 1 /* the sender acknowledges what asks for none at once up to 2 ms later */
};

/* INIT and RESP share one body. What comes before `features` is the same in every protocol version. */
struct wire_hello {
    uint8_t version_min, version_max;
    uint8_t integrity; /* INIT, refusal: bit mask of modes that will do; RESP: the one mode chosen */
    uint8_t status;    /* RESP: enum wire_status; INIT: 0 */
    uint64_t features; /* enum wire_feature; bits that are not known are not looked at */
    uint8_t boot_id[WIRE_BOOT_ID_BYTES];
    uint32_t conn_id;      /* where packets to the sender of this shall go */
    uint32_t packet_bytes; /* largest packet that the sender of this takes */
    uint32_t charge_bytes; /* what each packet costs there beside its length */
    uint32_t window_bytes; /* charged bytes that may be under way before the first acknowledgement */
    uint64_t echo;         /* RESP: the packet number of the INIT that it answers; INIT: 0 */
};

enum wire_status {
    WIRE_OK = 0,
    WIRE_REFUSE_VERSION,
    WIRE_REFUSE_CLOSED,
    WIRE_REFUSE_BUSY,
    WIRE_REFUSE_INTEGRITY,
    WIRE_REFUSE_KEY, /* the two sides do not hold the same cluster key */
};

/* Items of CTRL packets: type u8, flags u8, body length u16, body. Types with the high bit may be skipped by
 * who does not know them; any other unknown type closes the connection. */
enum wire_item_type {
    WIRE_ITEM_MSG = 1,
    WIRE_ITEM_FRAG = 2,
    WIRE_ITEM_RTS = 3,
    WIRE_ITEM_OKTOSEND = 4,
    WIRE_ITEM_WINDOW = 5,
    WIRE_ITEM_FIN = 6,
    WIRE_ITEM_ACK = 7,
    WIRE_ITEM_CLOSE = 8,
    WIRE_ITEM_SEND_NORMAL = 9,
    WIRE_ITEM_PAD = 0x80,
    WIRE_ITEM_PING = 0x81,
    WIRE_ITEM_STOP = 0x82, /* the sender of this is closing and takes no more messages */
};

struct wire_item {
    uint8_t type, flags;
    uint16_t len;
    const uint8_t *body;
};

#define WIRE_MSG_BYTES 24 /* item header included, up to the message header */
struct wire_msg {
    uint16_t channel, handler;
    uint64_t id; /* per channel, from 0 */
    uint16_t header_bytes;
    uint32_t data_bytes; /* of the whole message; what is not here comes in FRAG items */
    const uint8_t *header, *data;
    size_t data_here;
};

#define WIRE_FRAG_BYTES 24
struct wire_frag {
    uint16_t channel;
    uint64_t id;
    uint32_t offset, data_bytes; /* data_bytes: of the whole message, as in its MSG */
    const uint8_t *data;
    size_t len;
};

#define WIRE_RTS_BYTES 44
struct wire_rts {
    uint16_t channel, handler;
    uint64_t id;
    uint16_t header_bytes, region_bytes;
    uint64_t data_bytes;
    uint64_t ref; /* names the transfer in OKTOSEND and FIN */
    const uint8_t *header, *region;
    uint8_t flags;
    uint64_t staged; /* Method 2: one above the transfer's number; 0: Method 1. 48 bits */
};

enum wire_rts_flag { WIRE_RTS_UNMAPPED = 1 << 0 /* the sender could not map its data: no zero copy */ };

/* Why data goes the non-zero-copy way. */
enum wire_normal {
    WIRE_NORMAL_TABLE_FULL = 1, /* no tag entry is free */
    WIRE_NORMAL_NO_PIN,         /* the receiver's buffer could not be pinned */
    WIRE_NORMAL_TOO_SMALL,      /* not worth a tag entry */
    WIRE_NORMAL_CAP,            /* the receiver's adapter has no tags */
    WIRE_NORMAL_NO_MEM,
    WIRE_NORMAL_UNMAPPED, /* the sender's buffer could not be mapped: it said so in its RTS */
};

/* OKTOSEND, and with a reason SEND_NORMAL. */
#define WIRE_OKTOSEND_BYTES 32
struct wire_oktosend {
    uint64_t ref, tag, offset; /* superpacket 0 of `tag` starts at `offset` of the data */
    uint16_t window;           /* superpackets that may be sent at first */
    uint16_t reason;           /* enum wire_normal; 0: OKTOSEND */
};

#define WIRE_WINDOW_BYTES 28
struct wire_window {
    uint64_t ref, tag;
    uint32_t low;
};

#define WIRE_FIN_BYTES 16
struct wire_fin {
    uint64_t ref;
    int32_t status;
};

#define WIRE_CLOSE_BYTES 16
#define WIRE_PING_BYTES  16
#define WIRE_STOP_BYTES  8

struct wire_ack_range {
    uint64_t first, last;
}; /* both included */
struct wire_ack {
    uint64_t largest;
    uint32_t delay_us, window_bytes;
    unsigned count;
    struct wire_ack_range range[WIRE_ACK_RANGES_MAX]; /* newest first */
};
#define WIRE_ACK_FIXED_BYTES 28 /* with the first range's length; 8 more for each further range */
#define WIRE_ACK_BYTES_MAX   (WIRE_ACK_FIXED_BYTES + 8 * (WIRE_ACK_RANGES_MAX - 1))

/* Tags: slot 10 | use 38 | superpacket 16. */
#define WIRE_TAG_SLOTS        1024u
#define WIRE_TAG_USES         (1ull << 38)
#define WIRE_TAG_SUPERPACKETS 65536u
/* Whether a chunk may be at its place in a superpacket of that many bytes. */
static inline bool wire_chunk_fits(const struct wire_data *d, uint32_t superpacket_bytes) {
    uint32_t chunk = d->chunk_bytes, left = superpacket_bytes - d->offset;
    if (chunk * WIRE_CHUNKS_MAX < WIRE_SUPERPACKET_BYTES || d->offset % chunk) return false;
    return d->offset < superpacket_bytes && d->length == (left < chunk ? left : chunk);
}

/* All chunks of a superpacket. */
static inline uint64_t wire_chunk_map(uint32_t superpacket_bytes, uint32_t chunk_bytes) {
    uint32_t chunks = (superpacket_bytes + chunk_bytes - 1) / chunk_bytes;
    return chunks >= 64 ? UINT64_MAX : (1ull << chunks) - 1;
}

#define WIRE_TAG_STAGED                                                                                      \
    1023u /* slot of Method 2's tags, which the sender makes; use: the transfer's number */
#define WIRE_STAGED_SUPERPACKETS 16u /* most of one such message */
static inline uint64_t wire_tag(uint32_t slot, uint64_t use, uint32_t superpacket) {
    return (uint64_t)slot << 54 | use << 16 | superpacket;
}
static inline uint32_t wire_tag_slot(uint64_t tag) { return (uint32_t)(tag >> 54); }
static inline uint64_t wire_tag_use(uint64_t tag) { return tag >> 16 & (WIRE_TAG_USES - 1); }
static inline uint32_t wire_tag_superpacket(uint64_t tag) { return (uint32_t)(tag & 0xffff); }

void wire_header_write(uint8_t *p, const struct wire_header *h);
/* Reads the first WIRE_HEADER_BYTES of a packet of len bytes. WEFT_E_INVAL: too short or the length field is
 * wrong. */
int wire_header_read(const uint8_t *p, size_t len, struct wire_header *h);
void wire_data_write(uint8_t *p, const struct wire_data *d);
void wire_data_read(const uint8_t *p, struct wire_data *d);

/* CRC32C over pieces; start with crc = 0. */
uint32_t wire_crc(uint32_t crc, const void *p, size_t len);
void wire_trailer_write(uint8_t *trailer, enum wire_integrity mode, const void *head, size_t head_len,
                        const void *payload, size_t payload_len);
/* Whether the packet's last 16 bytes hold. len ≥ WIRE_PACKET_MIN. */
bool wire_trailer_check(const uint8_t *packet, size_t len, enum wire_integrity mode);
/* The same for a checksum that is followed by this token. */
bool wire_trailer_check_token(const uint8_t *packet, size_t len, const uint8_t token[WIRE_TOKEN_BYTES]);

/* Writes an INIT (padded) or RESP packet with its trailer; returns its length. With WIRE_FEATURE_KEY, room is
 * left (zeros) for what wire_hello_seal then covers: a handshake message, in INIT its MAC and a cookie. */
size_t wire_hello_write(uint8_t *p, enum wire_type type, uint32_t dest, uint64_t number,
                        const struct wire_hello *h);
void wire_hello_seal(uint8_t *p, size_t len);
#define WIRE_RESP_BYTES     92
#define WIRE_RESP_KEY_BYTES 140 /* with WIRE_FEATURE_KEY, unless it refuses */
#define WIRE_RESP_BYTES_MAX WIRE_RESP_KEY_BYTES
#define WIRE_CLEAR_BYTES    76  /* of both: what the handshake's transcript covers beside its messages */
#define WIRE_MAC_AT         124 /* in INIT; covers all before */
#define WIRE_COOKIE_AT      140 /* in INIT */
/* Reads a checked packet's body. WEFT_E_INVAL. */
int wire_hello_read(const uint8_t *p, size_t len, struct wire_hello *h);

/* COOKIE: asks the sender of an INIT for the same one again with this cookie. As long as INIT, so that
 * neither is longer than what caused it. */
#define WIRE_COOKIE_PACKET_BYTES WIRE_INIT_BYTES
struct wire_cookie {
    uint64_t echo; /* packet number of the INIT */
    uint8_t cookie[WIRE_COOKIE_BYTES];
};
size_t wire_cookie_write(uint8_t *p, uint32_t dest, const struct wire_cookie *c);
int wire_cookie_read(const uint8_t *p, size_t len, struct wire_cookie *c);

/* RESET: echoes the connection id and packet number of what it answers. */
#define WIRE_RESET_BYTES 48
struct wire_reset {
    uint32_t dest;
    uint64_t number;
};
size_t wire_reset_write(uint8_t *p, const struct wire_reset *r);
int wire_reset_read(const uint8_t *p, size_t len, struct wire_reset *r);

/* Takes the next item off *p. WEFT_E_NOENT: none left; WEFT_E_PROTO: cut off. */
int wire_item_next(const uint8_t **p, size_t *left, struct wire_item *item);
/* Each reads one item's body; WEFT_E_PROTO when it breaks a rule of the format. Pointers lead into the item.
 */
int wire_msg_read(const struct wire_item *item, struct wire_msg *m);
int wire_frag_read(const struct wire_item *item, struct wire_frag *f);
int wire_rts_read(const struct wire_item *item, struct wire_rts *r);
int wire_oktosend_read(const struct wire_item *item, struct wire_oktosend *o);
int wire_window_read(const struct wire_item *item, struct wire_window *w);
int wire_fin_read(const struct wire_item *item, struct wire_fin *f);
int wire_close_read(const struct wire_item *item, uint32_t *reason);
int wire_ack_read(const struct wire_item *item, struct wire_ack *a);

/* Each writes an item's fixed part and returns its size; variable parts (header, data, region) follow it. */
size_t wire_msg_write(uint8_t *p, const struct wire_msg *m);
size_t wire_frag_write(uint8_t *p, const struct wire_frag *f);
size_t wire_rts_write(uint8_t *p, const struct wire_rts *r);
size_t wire_oktosend_write(uint8_t *p, const struct wire_oktosend *o);
size_t wire_window_write(uint8_t *p, const struct wire_window *w);
size_t wire_fin_write(uint8_t *p, const struct wire_fin *f);
size_t wire_close_write(uint8_t *p, uint32_t reason);
size_t wire_ping_write(uint8_t *p);
size_t wire_pad_write(uint8_t *p, size_t len); /* at least WIRE_ITEM_BYTES */
size_t wire_ack_write(uint8_t *p, const struct wire_ack *a);
size_t wire_stop_write(uint8_t *p);

#endif
