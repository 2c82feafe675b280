/* Received: which packet numbers have come and when they are to be acknowledged. A value type over range
 * sets. */
#ifndef WEFT_TRANSPORT_RECEIVED_H
#define WEFT_TRANSPORT_RECEIVED_H
#include "base/clock.h"
#include "base/range.h"
#include "transport/wire.h"

#define RECEIVED_ACK_EVERY 16u
#define RECEIVED_SOON_NS   (5 * WEFT_NS_PER_US)  /* for an answer to take an acknowledgement along */
#define RECEIVED_STREAM_NS (50 * WEFT_NS_PER_US) /* … at most, while packets come all the time */
#define RECEIVED_PATIENT_NS                                                                                  \
    (100 * WEFT_NS_PER_US) /* for an answer that somebody else gives; less than RTT_ACK_DELAY_NS, which the  \
                              sender allows for, since sleepers wake up late */

enum received_when {
    RECEIVED_PATIENT, /* also after a sleep */
    RECEIVED_LATER,
    RECEIVED_SOON,
    RECEIVED_NOW
};

struct received {
    struct weft_ranges ranges; /* the newest that came, at most twice what one ACK tells */
    uint64_t largest_at_ns;    /* when the largest number came */
    uint64_t due_ns;           /* the acknowledgement must leave by then; WEFT_TIME_NEVER: none is owed */
    uint64_t owed_since_ns;
    uint32_t unacked; /* ack-eliciting packets since the last ACK */
    bool hurried;     /* one of them at least is to be acknowledged before a sleep */
};

void received_init(struct received *r);
void received_fini(struct received *r);
/* Notes a new packet, acknowledged at `when` the latest. A gap and every sixteenth packet are due now. */
int received_note(struct received *r, uint64_t now, uint64_t number, bool eliciting, enum received_when when);
static inline bool received_owes(const struct received *r) { return r->unacked > 0; }
/* It is to leave before a sleep. */
static inline bool received_owes_before_sleep(const struct received *r, uint64_t now) {
    return received_owes(r) && (r->hurried || r->due_ns <= now);
}
/* An ACK is to leave although nothing new has come, if anything ever came. */
void received_owe(struct received *r, uint64_t now);
/* Fills in everything but the window; false when nothing has come yet. Changes nothing. */
bool received_ack(const struct received *r, uint64_t now, struct wire_ack *out);
/* The ACK has left. */
void received_acked(struct received *r);

#endif
