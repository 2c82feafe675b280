/* Hand peer: one engine whose only neighbour is played by the test, packet by packet. For tests of what a
 * peer must not be able to do. */
#ifndef WEFT_TRANSPORT_HAND_PEER_H
#define WEFT_TRANSPORT_HAND_PEER_H
#include "base/clock.h"
#include "transport/engine.h"
#include "transport/wire.h"

#define HAND_OUT_MAX    64
#define HAND_PATH_BYTES 1472

struct hand {
    struct engine *engine;
    struct engine_link link;
    struct engine_from from;
    uint64_t now;
    size_t sent;      /* in all */
    uint32_t conn_id; /* of the engine's side, after hand_accept */
    uint64_t next_number;
    uint64_t features; /* of the test's side; before it shakes hands */
    uint8_t flags; /* of packets, beside WIRE_ACK_ELICITING */
    int headers, downs, down_status;
    void *sink; /* where on_header wants data; of the first message's size */
    size_t sink_bytes;
    int data_status;         /* of the last on_data; 1: not called */
    uint64_t token;          /* of the last message whose data is to come */
    bool canceled_zero_copy; /* its flag */
    bool unpinned;           /* the answer to the next */
    /* The last packets that the engine sent, oldest first. */
    size_t out_count, out_len[HAND_OUT_MAX];
    uint8_t out[HAND_OUT_MAX][HAND_PATH_BYTES];
};

void hand_open(struct hand *h, bool accept);
void hand_open_keyed(struct hand *h, bool accept, const uint8_t key[EP_KEY_BYTES]);
/* The engine holds back at most so much, of all connections. */
void hand_open_holding(struct hand *h, uint64_t held_all_bytes);
void hand_open_patient(struct hand *h); /* … and answered */
void hand_close(struct hand *h);
/* Gives the engine a packet as it is. */
void hand_raw(struct hand *h, const uint8_t *p, size_t len);
/* An INIT with this connection id and boot id (all bytes the same). */
void hand_init(struct hand *h, uint32_t conn_id, uint8_t boot);
/* Shakes hands: afterwards there is a connection. */
void hand_accept(struct hand *h);
/* The same for another connection of the same process: conn_id and next_number, which packets are made with,
 * are those of the new connection. */
void hand_accept_as(struct hand *h, uint32_t conn_id);
/* A CTRL or DATA packet of the connection with a right checksum, the next number and this body. */
void hand_packet(struct hand *h, enum wire_type type, const uint8_t *body, size_t len);
/* Runs events and output. */
void hand_settle(struct hand *h);
void hand_advance(struct hand *h, uint64_t ns);
/* The last packet sent with this type; NULL: none kept. */
const uint8_t *hand_last(const struct hand *h, enum wire_type type, size_t *len);
uint64_t hand_last_number(const struct hand *h); /* of the last CTRL packet sent */

#endif
