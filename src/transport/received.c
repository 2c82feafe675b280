/* Acknowledgement bookkeeping of the receiving side. */
#include "transport/received.h"
#include "base/clock.h"
#include "base/error.h"
#include "transport/replay.h"
#include "transport/rtt.h"

void received_init(struct received *r) {
    *r = (struct received){.due_ns = WEFT_TIME_NEVER};
    weft_ranges_init(&r->ranges, 2 * WIRE_ACK_RANGES_MAX);
}

void received_fini(struct received *r) { weft_ranges_fini(&r->ranges); }

/* One acknowledgement is enough for messages that follow each other closely. */
static uint64_t soon(const struct received *r, uint64_t now) {
    uint64_t due = now + RECEIVED_SOON_NS, latest = r->owed_since_ns + RECEIVED_STREAM_NS;
    return due < latest ? due : latest;
}

static uint64_t due_at(const struct received *r, uint64_t now, enum received_when when) {
    switch (when) {
    case RECEIVED_PATIENT: return r->owed_since_ns + RECEIVED_PATIENT_NS;
    case RECEIVED_LATER: return now + RTT_ACK_DELAY_NS;
    case RECEIVED_SOON: return soon(r, now);
    default: return now;
    }
}

int received_note(struct received *r, uint64_t now, uint64_t number, bool eliciting,
                  enum received_when when) {
    struct weft_ranges *set = &r->ranges;
    uint64_t next = set->count ? set->at[set->count - 1].end : 0;
    int rc = weft_ranges_add(set, number, number + 1);
    if (rc == WEFT_E_LIMIT) {
        weft_ranges_drop_lowest(set);
        rc = weft_ranges_add(set, number, number + 1);
    }
    if (rc) return rc;
    if (number >= next) r->largest_at_ns = now;
    if (!eliciting) return 0;
    if (r->unacked++ == 0) r->owed_since_ns = now;
    if (when != RECEIVED_PATIENT) r->hurried = true;
    uint64_t due = due_at(r, now, when);
    if (number != next || r->unacked >= RECEIVED_ACK_EVERY) due = now;
    bool put_off = when == RECEIVED_SOON && r->due_ns > now;
    if (due < r->due_ns || put_off) r->due_ns = due;
    return 0;
}

void received_owe(struct received *r, uint64_t now) {
    if (!r->ranges.count) return; /* there is nothing to tell yet */
    r->unacked++;
    r->hurried = true;
    r->due_ns = now;
}

bool received_ack(const struct received *r, uint64_t now, struct wire_ack *out) {
    const struct weft_ranges *set = &r->ranges;
    if (!set->count) return false;
    out->largest = set->at[set->count - 1].end - 1;
    uint64_t delay_us = (now - r->largest_at_ns) / WEFT_NS_PER_US;
    out->delay_us = delay_us < UINT32_MAX ? (uint32_t)delay_us : UINT32_MAX;
    /* Older numbers are outside everybody's windows, and differences must fit 32 bits. */
    uint64_t low = out->largest > 2 * REPLAY_NUMBERS ? out->largest - 2 * REPLAY_NUMBERS : 0;
    out->count = 0;
    for (size_t i = set->count; i-- > 0 && out->count < WIRE_ACK_RANGES_MAX;) {
        if (set->at[i].end <= low) break;
        uint64_t first = set->at[i].start > low ? set->at[i].start : low;
        out->range[out->count++] = (struct wire_ack_range){first, set->at[i].end - 1};
    }
    return true;
}

void received_acked(struct received *r) {
    r->unacked = 0;
    r->hurried = false;
    r->due_ns = WEFT_TIME_NEVER;
}
