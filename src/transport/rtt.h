/* RTT: smoothed round-trip time and the probe timeout made of it (RFC 6298's filter). A value type; the clock
 * is an argument. */
#ifndef WEFT_TRANSPORT_RTT_H
#define WEFT_TRANSPORT_RTT_H
#include "base/clock.h"
#include <stdint.h>

#define RTT_ACK_DELAY_NS    (200 * WEFT_NS_PER_US) /* the latest a peer acknowledges, … */
#define RTT_ACK_LATE_NS     (2 * WEFT_NS_PER_MS)   /* … or one with WIRE_FEATURE_LATE_ACKS */
#define RTT_VARIANCE_MIN_NS (100 * WEFT_NS_PER_US)
#define RTT_INITIAL_NS      (10 * WEFT_NS_PER_MS)
#define RTT_PROBE_MAX_NS    WEFT_NS_PER_S

struct rtt {
    uint64_t smoothed_ns, variance_ns, latest_ns, least_ns; /* smoothed 0: no sample yet */
};

/* `ack_delay_ns` is what the peer says it held the acknowledgement back; it is believed up to `most_ns`. */
static inline void rtt_sample(struct rtt *r, uint64_t sample_ns, uint64_t ack_delay_ns, uint64_t most_ns) {
    if (ack_delay_ns > most_ns) ack_delay_ns = most_ns;
    if (sample_ns == 0) sample_ns = 1;
    if (!r->smoothed_ns || sample_ns < r->least_ns) r->least_ns = sample_ns;
    if (sample_ns >= r->least_ns + ack_delay_ns) sample_ns -= ack_delay_ns;
    r->latest_ns = sample_ns;
    if (!r->smoothed_ns) {
        r->smoothed_ns = sample_ns;
        r->variance_ns = sample_ns / 2;
        return;
    }
    uint64_t off = r->smoothed_ns > sample_ns ? r->smoothed_ns - sample_ns : sample_ns - r->smoothed_ns;
    r->variance_ns = (3 * r->variance_ns + off) / 4;
    r->smoothed_ns = (7 * r->smoothed_ns + sample_ns) / 8;
    if (!r->smoothed_ns) r->smoothed_ns = 1;
}

/* A first idea from the handshake, whose packets may have been repeated: good enough for the first probe, and
 * forgotten as the least. Much more than RTT_INITIAL_NS tells that somebody was slow, not the path. */
static inline void rtt_guess(struct rtt *r, uint64_t guess_ns) {
    if (r->smoothed_ns || guess_ns == 0 || guess_ns > RTT_INITIAL_NS) return;
    *r = (struct rtt){.smoothed_ns = guess_ns, .variance_ns = guess_ns / 2, .least_ns = UINT64_MAX / 2};
}

/* How long after the last packet a probe is sent, doubled `backoff` times; `held_back_ns`: how long the peer
 * may hold the acknowledgement back. */
static inline uint64_t rtt_probe_ns(const struct rtt *r, uint64_t held_back_ns, unsigned backoff) {
    uint64_t srtt = r->smoothed_ns ? r->smoothed_ns : RTT_INITIAL_NS;
    uint64_t var = 4 * r->variance_ns > RTT_VARIANCE_MIN_NS ? 4 * r->variance_ns : RTT_VARIANCE_MIN_NS;
    uint64_t t = srtt + var + held_back_ns;
    for (; backoff && t < RTT_PROBE_MAX_NS; backoff--) t *= 2;
    return t < RTT_PROBE_MAX_NS ? t : RTT_PROBE_MAX_NS;
}

#endif
