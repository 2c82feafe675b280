/* Sent map: what is known of each packet between the oldest unacknowledged one and the newest, in a ring
 * indexed by packet number. Content that travels in a packet hangs in its record's list, so each piece of
 * content is at any time either in a queue or in exactly one record. */
#ifndef WEFT_TRANSPORT_SENT_H
#define WEFT_TRANSPORT_SENT_H
#include "base/list.h"
#include <stdbool.h>
#include <stdint.h>

#define SENT_MAX 4096u /* numbers between oldest and newest: half the peer's replay window, for memory's sake */

enum sent_state {
    SENT_NONE, /* not ack-eliciting: never waited for */
    SENT_FLYING,
    SENT_LOST, /* declared lost, kept to notice when that was wrong */
    SENT_DONE,
    SENT_QUESTION, /* asks for the path's packet size: nobody waits for it */
};

struct sent_packet {
    uint64_t sent_ns;
    uint32_t charge_bytes;
    uint32_t delivered; /* cwnd's count when it left */
    uint8_t state;
    uint8_t chunk;
    uint16_t chunk_bytes;
    uint32_t superpacket;
    void *bulk;                /* DATA: the transfer whose (superpacket, chunk) it carries; else NULL */
    struct weft_list contents; /* CTRL: pieces of content */
};

struct sent {
    struct sent_packet *ring;
    uint32_t capacity;     /* power of two */
    uint64_t low, next;    /* records exist for low ≤ n < next */
    uint32_t flying;       /* records in SENT_FLYING */
    uint64_t flying_bytes; /* their charge */
};

void sent_init(struct sent *s); /* no memory yet: sent_reserve takes it */
void sent_fini(struct sent *s);
void sent_relax(struct sent *s); /* gives memory back while there are no records */
/* Makes room for `count` more records; false: the peer's replay window or memory is used up. */
bool sent_reserve(struct sent *s, uint32_t count);
/* The record of the next number; room must have been reserved. Its list is empty. */
struct sent_packet *sent_add(struct sent *s, uint64_t now, bool eliciting, uint32_t charge_bytes);
struct sent_packet *sent_at(const struct sent *s, uint64_t number); /* NULL: no record */
/* Takes a flying packet out of the account. Its content must be taken by the caller. */
void sent_settle(struct sent *s, struct sent_packet *p, enum sent_state state);
/* Forgets records at the low end that nobody waits for; lost ones are kept until sent before
 * `lost_before_ns`. */
void sent_trim(struct sent *s, uint64_t lost_before_ns);

#endif
