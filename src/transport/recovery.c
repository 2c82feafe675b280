/* Recovery: acknowledgements, loss by time, probe timeouts, keep-alive and the decision that a peer is dead.
 *
 * A packet is lost when a later one was acknowledged and it is older than a round trip and a margin for
 * reordering, which grows when the verdict was wrong. There is no count-of-three rule: bursts and several
 * queues reorder. When nothing comes back at all, a probe timeout sends the oldest content again. Packets are
 * never sent again, only their content. */
#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "transport/conn.h"
#include "transport/stats.h"

#define MARGIN_MIN_NS    (20 * WEFT_NS_PER_US)
#define KEPT_MIN_NS      WEFT_NS_PER_MS /* an answer about the path may come as late as any acknowledgement */
#define SENT_SPARE       1024u          /* numbers kept for acknowledgements and probes */
#define PROBE_PACKETS    2u
#define DEAD_PROBES      3u /* at least so many went unanswered before a peer is dead */
#define AWAITED_PROBE_NS (200 * WEFT_NS_PER_MS)
#define RELAX_NS         WEFT_NS_PER_S /* of rest before memory is given back */
#define AWAITED_PING_NS  (250 * WEFT_NS_PER_MS)

uint32_t recovery_charge(const struct conn *c, size_t packet_bytes) {
    return (uint32_t)packet_bytes + c->remote_charge;
}

bool recovery_may_send(struct conn *c, size_t packet_bytes, uint32_t planned, uint64_t planned_bytes) {
    if (c->reliable) return true;
    if (!sent_reserve(&c->sent, planned + 1)) return false;
    if (c->probe_credit > planned) return true;
    const struct sent *s = &c->sent;
    if (s->next - s->low + planned + SENT_SPARE >= SENT_MAX) {
        sent_trim(&c->sent, UINT64_MAX); /* with nothing in flight nobody would come back to it */
        if (s->next - s->low + planned + SENT_SPARE >= SENT_MAX) return false;
    }
    if (s->flying + planned == 0) return true;
    if (s->flying + planned >= c->cwnd.packets) return false;
    return s->flying_bytes + planned_bytes + recovery_charge(c, packet_bytes) <= c->window_bytes;
}

static uint32_t bytes_of(const struct conn *c, const struct sent_packet *p) {
    return p->charge_bytes - c->remote_charge;
}

static void lose(struct conn *c, struct sent_packet *p) {
    mtu_lost(c, bytes_of(c, p));
    sent_settle(&c->sent, p, SENT_LOST);
    while (!weft_list_empty(&p->contents)) {
        struct weft_list *n = p->contents.prev;
        weft_list_remove(n);
        weft_list_push_front(&c->again, n);
    }
    if (p->bulk) push_lost(p->bulk, p->superpacket, p->chunk, p->chunk_bytes);
    p->bulk = NULL;
    conn_mark_ready(c);
}

static uint64_t loss_age_ns(const struct conn *c) {
    const struct rtt *r = &c->rtt;
    uint64_t base = r->smoothed_ns > r->latest_ns ? r->smoothed_ns : r->latest_ns;
    uint64_t margin = base / 4, packet_times = 3 * base / c->cwnd.packets;
    if (margin < packet_times) margin = packet_times;
    if (margin < MARGIN_MIN_NS) margin = MARGIN_MIN_NS;
    return base + margin + c->extra_reorder_ns;
}

static void detect_losses(struct conn *c, uint64_t now) {
    uint64_t age = loss_age_ns(c);
    c->loss_at_ns = WEFT_TIME_NEVER;
    if (!c->largest_acked) return;
    uint64_t number[ENGINE_BURST_MAX];
    for (bool more = true; more;) {
        /* Found in order, put back last first, so that content keeps its order. */
        size_t found = 0;
        more = false;
        for (uint64_t n = c->sent.low; n + 1 < c->largest_acked; n++) {
            struct sent_packet *p = sent_at(&c->sent, n);
            if (p->state != SENT_FLYING) continue;
            if (p->sent_ns + age > now) {
                c->loss_at_ns = p->sent_ns + age;
                break;
            }
            if (found == ENGINE_BURST_MAX) {
                more = true;
                break;
            }
            number[found++] = n;
        }
        for (size_t i = found; i-- > 0;) {
            struct sent_packet *p = sent_at(&c->sent, number[i]);
            weft_trace_at(now, WEFT_TRACE_PACKET_LOST, c->id, number[i], now - p->sent_ns, 0);
            stats_add(STATS_PACKETS_LOST, 1);
            c->missed_at_ns = now;
            cwnd_on_loss(&c->cwnd, now, p->sent_ns, cwnd_is_queued(c->rtt.latest_ns, c->rtt.least_ns));
            lose(c, p);
        }
    }
}

static void settle_acked(struct conn *c, struct sent_packet *p) {
    sent_settle(&c->sent, p, SENT_DONE);
    mtu_arrived(c, bytes_of(c, p));
    while (!weft_list_empty(&p->contents))
        content_acked(c, weft_list_entry(p->contents.next, struct content, node));
    struct push_out *push = p->bulk;
    p->bulk = NULL;
    if (push) push_acked(push, p->superpacket, p->chunk, p->chunk_bytes);
}

struct ack_result {
    uint32_t packets, newest_delivered;
    uint64_t newest_sent_ns;
    bool newest_is_new, limited;
};

static void take_range(struct conn *c, const struct wire_ack_range *r, uint64_t largest,
                       struct ack_result *out) {
    uint64_t lo = r->first > c->sent.low ? r->first : c->sent.low;
    for (uint64_t n = lo; n <= r->last && n < c->sent.next; n++) {
        struct sent_packet *p = sent_at(&c->sent, n);
        if (p->state == SENT_QUESTION) {
            p->state = SENT_DONE;
            mtu_answered(c, bytes_of(c, p));
        }
        if (p->state == SENT_LOST) { /* it had arrived: wait longer from now on, up to one more round trip */
            stats_add(STATS_PACKETS_SPURIOUS, 1);
            p->state = SENT_DONE;
            uint64_t more = c->extra_reorder_ns + c->rtt.smoothed_ns / 4;
            c->extra_reorder_ns = more < c->rtt.smoothed_ns ? more : c->rtt.smoothed_ns;
        }
        if (p->state != SENT_FLYING) continue;
        if (n == largest) {
            out->newest_is_new = true;
            out->newest_sent_ns = p->sent_ns;
            out->newest_delivered = p->delivered;
        }
        out->packets++;
        settle_acked(c, p);
    }
}

int recovery_ack_in(struct conn *c, uint64_t now, const struct wire_ack *a) {
    if (c->reliable || a->largest >= c->sent.next) return WEFT_E_PROTO;
    struct ack_result got = {0};
    got.limited = c->sent.flying * 2 >= c->cwnd.packets;
    for (unsigned i = 0; i < a->count; i++) take_range(c, &a->range[i], a->largest, &got);
    if (a->largest + 1 >= c->largest_acked) {
        c->largest_acked = a->largest + 1;
        c->window_bytes = a->window_bytes;
    }
    if (got.newest_is_new)
        rtt_sample(&c->rtt, now - got.newest_sent_ns, (uint64_t)a->delay_us * WEFT_NS_PER_US, c->ack_delay_ns);
    if (got.packets) {
        c->cwnd.delivered += got.packets;
        if (got.newest_is_new)
            cwnd_note_rate(&c->cwnd, now, got.newest_delivered, now - got.newest_sent_ns, c->rtt.smoothed_ns,
                           c->rtt.least_ns);
        cwnd_on_ack(&c->cwnd, got.packets, got.limited, c->rtt.latest_ns, c->rtt.least_ns);
        c->probes_fired = 0;
        c->flying_since_ns = now;
        c->extra_reorder_ns -= c->extra_reorder_ns >> 8;
    }
    detect_losses(c, now);
    mtu_judge(c, now);
    uint64_t kept_ns = 2 * loss_age_ns(c);
    if (kept_ns < KEPT_MIN_NS) kept_ns = KEPT_MIN_NS;
    sent_trim(&c->sent, now > kept_ns ? now - kept_ns : 0);
    conn_mark_ready(c);
    return 0;
}

bool conn_awaits_peer(const struct conn *c) { return c->tx_count || c->rx_rendezvous || c->closing; }

void conn_await_peer(struct conn *c, uint64_t now) {
    if (!conn_awaits_peer(c)) c->awaited_since_ns = now;
}

static uint64_t probe_at(const struct conn *c) {
    if (!c->sent.flying) return WEFT_TIME_NEVER;
    uint64_t since = c->last_sent_ns > c->last_probe_ns ? c->last_sent_ns : c->last_probe_ns;
    uint64_t wait = rtt_probe_ns(&c->rtt, c->held_back_ns, c->probes_fired);
    uint64_t first = rtt_probe_ns(&c->rtt, c->held_back_ns, 0);
    /* With something at stake, enough probes must fit the time until the peer counts as dead. */
    if (conn_awaits_peer(c) && wait > AWAITED_PROBE_NS)
        wait = first > AWAITED_PROBE_NS ? first : AWAITED_PROBE_NS;
    return since + wait;
}

static struct sent_packet *oldest_flying(const struct conn *c, bool control) {
    for (uint64_t n = c->sent.low; n < c->sent.next; n++) {
        struct sent_packet *p = sent_at(&c->sent, n);
        if (p->state == SENT_FLYING && (!control || !p->bulk)) return p;
    }
    return NULL;
}

/* Nothing came back: the oldest content goes again, beyond all windows, and the oldest control packet: data
 * that nobody may take before its header must not stand in front of that. */
static void fire_probe(struct conn *c, uint64_t now) {
    stats_add(STATS_PROBE_TIMEOUTS, 1);
    c->probes_fired++;
    c->last_probe_ns = now;
    c->probe_credit = PROBE_PACKETS;
    if (c->probes_fired == 2) cwnd_on_loss(&c->cwnd, now, now, true);
    struct sent_packet *oldest = oldest_flying(c, false);
    if (oldest) lose(c, oldest);
    oldest = oldest_flying(c, true);
    if (oldest || (oldest = oldest_flying(c, false))) lose(c, oldest);
    if (c->mtu.lost) { /* a small one before them shows whether only large ones are lost */
        weft_list_remove(&c->ping.node);
        weft_list_push_front(&c->again, &c->ping.node);
        c->probe_credit++;
    } else if (weft_list_empty(&c->again) && weft_list_empty(&c->queue) && weft_list_empty(&c->bulk))
        conn_queue(c, &c->again, &c->ping);
    sent_trim(&c->sent, now);
    conn_mark_ready(c);
}

static uint64_t keepalive_at(const struct conn *c) {
    uint64_t every = c->engine->cfg.keepalive_ns;
    if (conn_awaits_peer(c) && every > AWAITED_PING_NS) every = AWAITED_PING_NS;
    uint64_t since = c->last_heard_ns > c->last_sent_ns ? c->last_heard_ns : c->last_sent_ns;
    return c->sent.flying || !weft_list_empty(&c->ping.node) ? WEFT_TIME_NEVER : since + every;
}

static uint64_t dead_at(const struct conn *c) {
    if (!c->sent.flying && !c->probes_fired) return WEFT_TIME_NEVER;
    uint64_t since = c->last_heard_ns > c->flying_since_ns ? c->last_heard_ns : c->flying_since_ns;
    uint64_t limit = 8 * rtt_probe_ns(&c->rtt, RTT_ACK_DELAY_NS, 0);
    bool awaited = conn_awaits_peer(c);
    uint64_t least = awaited ? c->engine->cfg.dead_ns : CONN_PING_DEAD_NS;
    if (awaited && since < c->awaited_since_ns) since = c->awaited_since_ns; /* it was idle before */
    return since + (limit > least ? limit : least);
}

/* The adapter doubts the peer: ask it often, and believe the doubt if it goes on and nothing comes back. */
static void tick_suspect(struct conn *c, uint64_t now) {
    if (!c->suspect_since_ns) return;
    if (now - c->last_hint_ns > 2 * CONN_SUSPECT_DEAD_NS) {
        c->suspect_since_ns = 0;
        return;
    }
    if (now - c->suspect_since_ns >= CONN_SUSPECT_DEAD_NS &&
        now - c->last_hint_ns <= 4 * CONN_SUSPECT_PROBE_NS) {
        weft_info("transport", "connection %08x: its peer is in doubt, and silent for %.1f s", c->id,
                  (double)(now - c->last_heard_ns) / 1e9);
        conn_down(c, now, WEFT_E_PEER_LOST);
        return;
    }
    if (now < c->suspect_probe_ns) return;
    c->suspect_probe_ns = now + CONN_SUSPECT_PROBE_NS;
    c->probe_credit = PROBE_PACKETS;
    conn_queue(c, &c->again, &c->ping);
}

void recovery_relax(struct conn *c, uint64_t now) {
    if (now - c->relaxed_at_ns < RELAX_NS || c->tx_count || c->rx_rendezvous || c->state != CONN_UP) return;
    c->relaxed_at_ns = now;
    tag_relax(c);
    stage_relax(c);
    if (c->reliable || c->sent.flying) return;
    sent_trim(&c->sent, now - RELAX_NS);
    sent_relax(&c->sent);
}

void recovery_rest(struct conn *c, uint64_t now) {
    if (now - c->used_ns < RELAX_NS || c->tx_count || c->rx_rendezvous) return;
    secure_rest(c->secure);
    replay_relax(&c->replay);
}

void recovery_tick(struct conn *c, uint64_t now) {
    recovery_relax(c, now);
    if (c->held && now >= c->hold_until_ns) conn_mark_ready(c);
    if (c->blocked && now >= c->retry_at_ns) conn_mark_ready(c);
    if (c->turns_awaited) push_look_at_turns(c->engine, now);
    if (c->received.due_ns <= now || mtu_deadline(c) <= now) conn_mark_ready(c);
    if (c->reliable || c->state != CONN_UP) return;
    if (c->loss_at_ns <= now) detect_losses(c, now);
    if (probe_at(c) <= now) fire_probe(c, now);
    if (keepalive_at(c) <= now) conn_queue(c, &c->again, &c->ping);
    if (dead_at(c) <= now && c->probes_fired >= DEAD_PROBES) {
        weft_info("transport", "connection %08x: nothing heard for %.1f s", c->id,
                  (double)(now - c->last_heard_ns) / 1e9);
        conn_down(c, now, WEFT_E_PEER_LOST);
        return;
    }
    tick_suspect(c, now);
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t recovery_deadline(const struct conn *c) {
    uint64_t t = WEFT_TIME_NEVER;
    if (c->held && !c->blocked) t = least(t, c->hold_until_ns);
    if (c->blocked) t = least(t, c->retry_at_ns);
    if (c->reliable) return t;
    if (!c->blocked) t = least(t, c->received.due_ns);
    if (!c->blocked) t = least(t, mtu_deadline(c));
    /* 0: at once, for which it is ready; as a deadline that would look as if this process had been stopped.
     */
    if (c->turns_awaited && c->engine->turns_at_ns) t = least(t, c->engine->turns_at_ns);
    t = least(t, c->loss_at_ns);
    t = least(t, probe_at(c));
    t = least(t, keepalive_at(c));
    if (c->probes_fired >= DEAD_PROBES) t = least(t, dead_at(c));
    if (c->suspect_since_ns) t = least(t, c->suspect_probe_ns);
    return t;
}

void recovery_late(struct conn *c, uint64_t late_ns) {
    c->last_heard_ns += late_ns;
    c->flying_since_ns += late_ns;
    c->awaited_since_ns += late_ns;
    if (c->suspect_since_ns) c->suspect_since_ns += late_ns;
}
