/* Rendezvous, the receiving side: where data of large messages goes. Either the receiver reads the sender's
 * memory itself (pull), or it arms a tag and superpackets are stored straight into the target buffer (push).
 */
#include "base/copy.h"
#include "base/error.h"
#include "base/log.h"
#include "transport/conn.h"
#include "transport/dummy.h"
#include "transport/stats.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PULL_SLICE_BYTES (1u << 20)

static struct content *fin_out(struct conn *c, uint64_t ref, int status) {
    struct content *fin = pool_get(&c->engine->content_pool);
    if (!fin) { /* without it the sender would wait for ever */
        conn_break(c, c->last_heard_ns, WEFT_E_NOMEM);
        return NULL;
    }
    *fin = (struct content){.kind = CONTENT_FIN, .fin = {ref, status}};
    weft_list_init(&fin->node);
    conn_queue(c, &c->again, fin);
    return fin;
}

/* Gives the next segment of the data a tag that was never used before. */
static void arm_segment(struct rx *rx, uint64_t offset) {
    struct conn *c = rx->conn;
    struct push_in *p = rx->push;
    uint64_t most = (uint64_t)c->engine->cfg.tag_superpackets * WIRE_SUPERPACKET_BYTES;
    uint64_t left = rx->data_bytes - offset;
    p->segment_offset = offset;
    p->low = p->told_low = 0;
    memset(p->super, 0, p->window * sizeof *p->super);
    p->use = c->tag_slots[p->slot].use = c->next_use++;
    p->segment_bytes = left < most ? left : most;
    p->count = (uint32_t)((p->segment_bytes + WIRE_SUPERPACKET_BYTES - 1) / WIRE_SUPERPACKET_BYTES);
    weft_list_remove(&rx->window.node);
    conn_queue(c, &c->again, &rx->oktosend);
}

static void arm(struct rx *rx) {
    struct conn *c = rx->conn;
    weft_list_remove(&rx->node);
    int rc = tag_arm(rx);
    if (rc == WEFT_E_AGAIN) { /* armed as soon as another transfer ends */
        rx->state = RX_WAITING;
        weft_list_push_back(&c->waiting, &rx->node);
    } else if (rc) {
        uint64_t ref = rx->ref;
        rx_finish(rx, rc, false);
        fin_out(c, ref, rc);
    } else {
        rx->state = RX_PUSH;
        stats_add(STATS_PUSHES, 1);
        arm_segment(rx, 0);
    }
}

static void arm_next(struct conn *c) {
    if (c->state == CONN_UP && !c->closing && !weft_list_empty(&c->waiting))
        arm(weft_list_entry(c->waiting.next, struct rx, node));
}

static void disarm(struct rx *rx, bool rest) {
    weft_list_remove(&rx->oktosend.node);
    weft_list_remove(&rx->window.node);
    tag_unreserve(rx);
    stage_detach(rx, rest);
    if (!rx->push) return;
    tag_disarm(rx, rest);
    arm_next(rx->conn);
}

void rendezvous_disarm(struct rx *rx) { disarm(rx, false); }

void rendezvous_fin_over(struct conn *c, struct content *fin) {
    uint32_t slot = fin->slot;
    if (fin->stage) stage_rested(c, fin->stage - 1);
    pool_put(&c->engine->content_pool, fin);
    if (!slot) return;
    tag_rested(c, slot - 1);
    arm_next(c);
}

/* Ends a message whose buffer must not be written any more; no slice of it is being read. */
static void cancel(struct rx *rx) {
    struct conn *c = rx->conn;
    uint64_t ref = rx->ref;
    uint32_t slot = rx->push && !c->reliable ? rx->push->slot + 1 : 0;
    uint64_t stage = rx->stage ? stage_number(rx->stage) + 1 : 0;
    disarm(rx, !c->reliable);
    stats_add(STATS_CANCELED, 1);
    rx_finish(rx, WEFT_E_CANCELED, false);
    struct content *fin = fin_out(c, ref, WEFT_E_CANCELED);
    if (fin) {
        fin->slot = slot;
        fin->stage = stage;
    } else if (slot)
        tag_rested(c, slot - 1);
}

int engine_cancel(struct engine *e, uint64_t token) {
    struct rx *rx = weft_map_get(&e->rx_by_token, token);
    if (!rx || (rx->stage && stage_is_complete(rx->stage))) return WEFT_E_NOENT;
    struct conn *c = rx->conn;
    if (c->state == CONN_DOWN && !rx->busy) return WEFT_E_NOENT; /* ended with it, whatever had arrived */
    rx_forget_token(rx);
    if (rx->state == RX_AHEAD || rx->state == RX_HEADER || rx->busy)
        rx->canceled = true; /* rendezvous_accept or engine_pull_done ends it */
    else
        cancel(rx);
    conn_update_timer(c);
    conn_maybe_free(c);
    return 0;
}

void rendezvous_accept(struct rx *rx, const struct ep_sink *sink) {
    struct conn *c = rx->conn;
    rx->sink = sink->buf;
    rx->event.call = sink->on_data;
    rx->event.arg = sink->arg;
    if (rx->packet) pbuf_release(c->engine, rx->packet);
    rx->packet = NULL;
    if (c->state != CONN_UP || c->closing) {
        rx_finish(rx, c->state == CONN_DOWN ? c->down_status : WEFT_E_CLOSED, true);
        return;
    }
    if (rx->canceled) {
        cancel(rx);
        return;
    }
    if (!sink->buf) {
        uint64_t ref = rx->ref;
        stats_add(STATS_DISCARDED, 1);
        rx_finish(rx, WEFT_E_CANCELED, false);
        fin_out(c, ref, 0);
        return;
    }
    if (rx->stage && stage_accept(rx)) return;
    if (!rx->region_bytes) {
        if (rx->stage) tag_reserve(rx);
        if (sink->unpinned && rx->reserved) {
            tag_unreserve(rx);
            rx->normal = WIRE_NORMAL_NO_PIN;
        }
        arm(rx);
        return;
    }
    stats_add(STATS_PULLS, 1);
    rx->state = RX_PULL;
    weft_list_push_back(&c->engine->pulls, &rx->node);
}

bool engine_has_pull(const struct engine *e) { return !weft_list_empty(&e->pulls); }

bool engine_is_lending(const struct engine *e) { return e->lent != 0; }

bool engine_pull_next(struct engine *e, struct engine_pull *out) {
    if (weft_list_empty(&e->pulls)) return false;
    struct rx *rx = weft_list_entry(e->pulls.next, struct rx, node);
    uint64_t left = rx->data_bytes - rx->pulled;
    out->rx = rx;
    out->path = rx->conn->path;
    memcpy(out->region, rx->region, rx->region_bytes);
    out->region_bytes = rx->region_bytes;
    out->offset = rx->pulled;
    out->dst = rx->sink + rx->pulled;
    out->len = left < PULL_SLICE_BYTES ? (size_t)left : PULL_SLICE_BYTES;
    rx->busy = true;
    rx->conn->refs++;
    rx->conn->pulling++;
    weft_list_remove(&rx->node);
    return true;
}

static void pull_failed(struct rx *rx, uint64_t now, int status) {
    struct conn *c = rx->conn;
    if (status == WEFT_E_ACCESS) {
        weft_debug("transport", "the peer's memory cannot be read; its data will be pushed");
        stats_add(STATS_PULL_FALLBACKS, 1);
        tag_reserve(rx);
        arm(rx);
    } else if (status == WEFT_E_PEER_LOST) {
        rx->state = RX_WAITING;
        conn_down(c, now, WEFT_E_PEER_LOST);
    } else {
        weft_error("transport", "reading the peer's memory failed: %s", weft_error_text(status));
        rx->state = RX_WAITING;
        conn_break(c, now, status == WEFT_E_INVAL ? WEFT_E_PROTO : status);
    }
}

void engine_pull_done(struct engine *e, uint64_t now, struct engine_pull *pull, int status) {
    struct rx *rx = pull->rx;
    struct conn *c = rx->conn;
    rx->busy = false;
    c->pulling--;
    if (c->state != CONN_UP || c->closing) {
        rx_finish(rx, c->state == CONN_DOWN ? c->down_status : WEFT_E_CLOSED, true);
        if (c->state == CONN_DOWN) conn_close_path(c);
    } else if (rx->canceled) {
        cancel(rx);
    } else if (status) {
        pull_failed(rx, now, status);
    } else if ((rx->pulled += pull->len) < rx->data_bytes) {
        weft_list_push_front(&e->pulls, &rx->node);
    } else {
        uint64_t ref = rx->ref;
        rx_finish(rx, 0, false);
        fin_out(c, ref, 0);
    }
    c->refs--;
    conn_update_timer(c);
    conn_maybe_free(c);
}

/* A chunk that nobody waits for (any more). */
void rendezvous_drop_late(struct conn *c, const struct wire_data *d, const uint8_t *payload, enum stats why) {
    struct engine *e = c->engine;
    stats_add(why, 1);
    if (!DUMMY_ENABLED) return;
    if (!e->dummy) e->dummy = dummy_create();
    bool untouched = dummy_store(e->dummy, d->offset, payload, d->length);
    if (!untouched) weft_error("transport", "something wrote to the dummy page");
    assert(untouched);
}

static uint32_t super_bytes(const struct push_in *p, uint32_t superpacket) {
    uint64_t left = p->segment_bytes - (uint64_t)superpacket * WIRE_SUPERPACKET_BYTES;
    return left < WIRE_SUPERPACKET_BYTES ? (uint32_t)left : WIRE_SUPERPACKET_BYTES;
}

static uint8_t *chunk_at(const struct rx *rx, uint32_t superpacket, const struct wire_data *d) {
    return rx->sink + rx->push->segment_offset + (uint64_t)superpacket * WIRE_SUPERPACKET_BYTES + d->offset;
}

/* One chunk: checks that it is where a chunk can be, and stores it, unless it was decrypted into its place.
 */
static int store(struct rx *rx, uint32_t superpacket, const struct wire_data *d, const uint8_t *payload) {
    struct push_in *p = rx->push;
    if (!wire_chunk_fits(d, super_bytes(p, superpacket))) return WEFT_E_PROTO;
    struct super_in *in = &p->super[superpacket % p->window];
    if (d->chunk_bytes < in->chunk_bytes) in->chunk_bytes = 0; /* it is cut anew, and all of it comes again */
    if (!in->chunk_bytes) *in = (struct super_in){.chunk_bytes = d->chunk_bytes};
    uint64_t bit = 1ull << d->offset / d->chunk_bytes;
    if (d->chunk_bytes != in->chunk_bytes || in->got & bit) {
        rendezvous_drop_late(rx->conn, d, payload, STATS_CHUNKS_REPEATED);
        return 0;
    }
    uint8_t *to = chunk_at(rx, superpacket, d);
    if (payload != to) weft_copy(to, payload, d->length);
    in->got |= bit;
    return 0;
}

static void advance(struct rx *rx) {
    struct push_in *p = rx->push;
    while (p->low < p->count) {
        struct super_in *in = &p->super[p->low % p->window];
        if (!in->chunk_bytes || in->got != wire_chunk_map(super_bytes(p, p->low), in->chunk_bytes)) return;
        *in = (struct super_in){.got = 0};
        p->low++;
    }
}

static void complete(struct rx *rx) {
    struct conn *c = rx->conn;
    uint64_t ref = rx->ref;
    rx_finish(rx, 0, false);
    if (c->reliable) fin_out(c, ref, 0); /* elsewhere the acknowledgements say it */
}

uint8_t *rendezvous_place(struct conn *c, const struct wire_data *d) {
    uint32_t slot = wire_tag_slot(d->tag), superpacket = wire_tag_superpacket(d->tag);
    if (slot == WIRE_TAG_STAGED) return stage_place(c, d);
    struct tag_slot *tag = slot < c->tag_slot_count ? &c->tag_slots[slot] : NULL;
    if (!tag || tag->use != wire_tag_use(d->tag) || !tag->rx) return NULL;
    const struct push_in *p = tag->rx->push;
    if (superpacket >= p->count || superpacket < p->low || superpacket - p->low >= p->window) return NULL;
    if (!wire_chunk_fits(d, super_bytes(p, superpacket))) return NULL;
    const struct super_in *in = &p->super[superpacket % p->window];
    /* Cut anew: what it would write over may have arrived in the old cut. */
    if (in->chunk_bytes && in->chunk_bytes != d->chunk_bytes) return NULL;
    return in->got >> d->offset / d->chunk_bytes & 1 ? NULL : chunk_at(tag->rx, superpacket, d);
}

int rendezvous_data_in(struct conn *c, const struct wire_data *d, const uint8_t *payload) {
    uint32_t slot = wire_tag_slot(d->tag), superpacket = wire_tag_superpacket(d->tag);
    c->continued = d->flags & WIRE_DATA_ANSWERED;
    if (c->closing) { /* nothing is armed; acknowledged, its sender could take the message for complete */
        rendezvous_drop_late(c, d, payload, STATS_TAGS_UNKNOWN);
        close_refuse(c);
        return c->reliable ? 0 : WEFT_E_AGAIN;
    }
    if (slot == WIRE_TAG_STAGED) return stage_data_in(c, d, payload);
    struct tag_slot *tag = slot < c->tag_slot_count ? &c->tag_slots[slot] : NULL;
    if (!tag || tag->use != wire_tag_use(d->tag) || !tag->rx) { /* the transfer is over: a late copy */
        bool told = !tag || tag->use != wire_tag_use(d->tag) || !tag->resting;
        rendezvous_drop_late(c, d, payload, STATS_TAGS_UNKNOWN);
        return told ? 0 : WEFT_E_AGAIN;
    }
    struct rx *rx = tag->rx;
    struct push_in *p = rx->push;
    if (superpacket >= p->count) return WEFT_E_PROTO;
    if (superpacket < p->low) {
        rendezvous_drop_late(c, d, payload, STATS_CHUNKS_REPEATED);
        return 0;
    }
    if (superpacket - p->low >= p->window) return WEFT_E_PROTO;
    int rc = store(rx, superpacket, d, payload);
    if (rc) return rc;
    advance(rx);
    if (p->low < p->count) {
        uint32_t step = p->window / 4 ? p->window / 4 : 1;
        if (p->low - p->told_low < step) return 0;
        p->told_low = p->low;
        conn_queue(c, &c->again, &rx->window);
        return 0;
    }
    c->ack_now = !(d->flags & WIRE_DATA_ANSWERED); /* the sender waits for this one */
    uint64_t end = p->segment_offset + p->segment_bytes;
    if (end < rx->data_bytes)
        arm_segment(rx, end);
    else
        complete(rx);
    return 0;
}

uint64_t engine_pull_token(const struct engine_pull *pull) { return pull->rx->token; }

const struct conn *engine_pull_conn(const struct engine_pull *pull) { return pull->rx->conn; }
