/* Duo: two engines and the network between them, which the test controls packet by packet: what it sees it
 * may change, drop, keep and send again. For tests of what somebody on the path, or beside it, can do. */
#ifndef WEFT_TRANSPORT_DUO_H
#define WEFT_TRANSPORT_DUO_H
#include "base/clock.h"
#include "transport/engine.h"
#include "transport/wire.h"

#define DUO_PACKET_BYTES 1472
#define DUO_LOG_MAX      4096
#define DUO_DATA_BYTES   (1u << 20)

struct duo_packet {
    int from; /* 0 or 1 */
    size_t len;
    uint8_t data[DUO_PACKET_BYTES];
};

struct duo_side {
    struct duo *duo;
    int index;
    struct engine *engine;
    struct engine_link link;
    struct engine_from from; /* how packets of the other side arrive */
    struct conn *conn;       /* newest that is up, or that duo_connect made; NULL: none */
    int ups, downs, down_status, headers, datas, sents, send_status;
    uint8_t lives;
    uint8_t *sink; /* DUO_DATA_BYTES, where data of large messages goes */
    bool bad_data;
};

/* What differs from one test to the next; zeros are defaults. */
struct duo_config {
    const uint8_t *key[2];
    enum engine_security security[2];
    unsigned caps; /* of the link */
    unsigned phase_bits;
    uint32_t method2_bytes; /* 0: all data by Method 1 */
};

struct duo {
    struct duo_side side[2];
    uint64_t now;
    struct duo_config cfg;
    struct duo_packet *log; /* the last packets, oldest first; those not yet delivered from `delivered` on */
    size_t logged, delivered;
    /* Sees each packet before it arrives and may change it; false: it is lost. NULL: all pass. */
    bool (*filter)(struct duo *d, struct duo_packet *p);
    int mode;            /* the filter's */
    int running;         /* whose engine is running, or was the last to */
    uint32_t packets[2]; /* sent by each side */
    uint64_t bytes[2];   /* … in bytes */
    size_t amplified;    /* most bytes by which what a packet made a side send at once was longer than it */
};

void duo_open(struct duo *d, const struct duo_config *cfg);
void duo_close(struct duo *d);
/* Side 0 connects to side 1, which accepts. */
void duo_connect(struct duo *d);
/* Delivers until nothing is under way, at the present time. */
void duo_settle(struct duo *d);
/* The same, and lets time pass. */
void duo_advance(struct duo *d, uint64_t ns);
/* Gives a side a packet as if it came from the other one. */
void duo_inject(struct duo *d, int to, const uint8_t *p, size_t len);
/* … as if it came from this address. */
void duo_inject_from(struct duo *d, int to, const char *addr, const uint8_t *p, size_t len);
/* The side's process ends and starts anew: nothing of it is left, and its packets under way are lost. */
void duo_restart(struct duo *d, int side);
/* A message of len bytes of data from this side; more than 16 KiB goes by rendezvous. */
void duo_send(struct duo *d, int from, size_t len);
/* The last packet of this type from that side; NULL: none. */
const struct duo_packet *duo_last(const struct duo *d, int from, enum wire_type type);
/* Whether side `to` holds the data of the last duo_send to it. */
bool duo_has(const struct duo *d, int to, size_t len);

#endif
