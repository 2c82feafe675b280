/* Congestion window in packets: 64 at first, slow start until the first loss or a growing delay, then one
 * more packet a round trip, and × 0.7 at most once a round trip on loss, but not below what the path has
 * lately been seen to deliver within a good round trip, or twice that while no queue stands on the path: loss
 * that is not congestion costs little then, and a full queue still empties. A value type. */
#ifndef WEFT_TRANSPORT_CWND_H
#define WEFT_TRANSPORT_CWND_H
#include "base/clock.h"
#include <stdbool.h>
#include <stdint.h>

#define CWND_INITIAL  64u
#define CWND_MIN      16u
#define CWND_MAX      4096u
#define CWND_ROUNDS   8u
#define CWND_QUEUE_MIN_NS (20 * WEFT_NS_PER_US)
#define CWND_DELAY_NS (100 * WEFT_NS_PER_US) /* above the least round trip: a queue has built up */

struct cwnd {
    uint32_t packets, acked; /* acked: since the window last grew */
    bool slow_start;
    uint64_t recovery_since_ns; /* losses of packets sent before then were answered already */
    /* Most packets delivered per good round trip, in each of the last rounds of one round trip. */
    uint32_t best[CWND_ROUNDS], round;
    uint64_t round_since_ns;
    uint32_t delivered; /* in all, modulo 2^32; noted in each packet when it is sent */
};

static inline void cwnd_init(struct cwnd *c) {
    *c = (struct cwnd){.packets = CWND_INITIAL, .slow_start = true};
}

/* A packet that left `age_ns` ago, when the count of delivered ones was `delivered_then`, has been
 * acknowledged: so many were delivered since. */
static inline void cwnd_note_rate(struct cwnd *c, uint64_t now, uint32_t delivered_then, uint64_t age_ns,
                                  uint64_t rtt_ns, uint64_t least_ns) {
    if (age_ns == 0) return;
    if (now - c->round_since_ns >= rtt_ns) {
        c->round_since_ns = now;
        c->best[++c->round % CWND_ROUNDS] = 0;
    }
    uint64_t rate = c->delivered - delivered_then, good_ns = least_ns + CWND_DELAY_NS;
    if (age_ns > good_ns) rate = rate * good_ns / age_ns; /* part of it stood in a queue */
    uint32_t *best = &c->best[c->round % CWND_ROUNDS];
    if (rate > CWND_MAX) rate = CWND_MAX;
    if (rate > *best) *best = (uint32_t)rate;
}

/* What loss does not cut the window below. Without a queue the window must hold, beside what is delivered,
 * what was lost and is not yet known to be. */
static inline uint32_t cwnd_floor(const struct cwnd *c, bool queued) {
    uint32_t best = 0;
    for (unsigned i = 0; i < CWND_ROUNDS; i++)
        if (c->best[i] > best) best = c->best[i];
    uint32_t floor = queued ? best : best * 2;
    return floor > CWND_MIN ? floor : CWND_MIN;
}

/* `limited`: the window, not the application, held the sender back. */
static inline void cwnd_on_ack(struct cwnd *c, uint32_t packets, bool limited, uint64_t rtt_ns,
                               uint64_t least_ns) {
    if (c->slow_start && rtt_ns > least_ns + CWND_DELAY_NS && c->packets > CWND_INITIAL)
        c->slow_start = false;
    if (!limited || c->packets >= CWND_MAX) return;
    if (c->slow_start) {
        c->packets = c->packets + packets < CWND_MAX ? c->packets + packets : CWND_MAX;
        return;
    }
    c->acked += packets;
    if (c->acked < c->packets) return;
    c->acked -= c->packets;
    c->packets++;
}

/* Whether packets stand in a queue on their way; short queues, as in switches, drop before CWND_DELAY_NS. */
static inline bool cwnd_is_queued(uint64_t rtt_ns, uint64_t least_ns) {
    uint64_t more = least_ns / 2;
    if (more < CWND_QUEUE_MIN_NS) more = CWND_QUEUE_MIN_NS;
    if (more > CWND_DELAY_NS) more = CWND_DELAY_NS;
    return rtt_ns > least_ns + more;
}

/* `queued`: the round trip says that a queue has built up, as it does before a line drops what it cannot
 * carry. Without one the loss is hardly ours, as long as half of the window arrives. */
static inline void cwnd_on_loss(struct cwnd *c, uint64_t now, uint64_t sent_ns, bool queued) {
    if (sent_ns < c->recovery_since_ns) return;
    uint32_t less = c->packets * 7 / 10, floor = cwnd_floor(c, queued);
    if (!queued && floor >= c->packets) return;
    c->recovery_since_ns = now;
    c->slow_start = false;
    c->acked = 0;
    if (less < floor) less = floor;
    if (less < c->packets) c->packets = less;
}

/* After a silence the path may have changed: not more than the first window at once. */
static inline void cwnd_on_idle(struct cwnd *c) {
    if (c->packets > CWND_INITIAL) c->packets = CWND_INITIAL;
}

#endif
