/* Output: packets are put together from queued content and bulk data, straight from user memory, and leave in
 * bursts of equal packets. What an adapter does not take goes back to where it came from, number and all. */
#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "transport/conn.h"
#include "transport/stats.h"

#include <stdlib.h>
#include <string.h>

#define GATHER_MIN             512u /* smaller data is copied behind its item */
#define PAD_PART               4u   /* of a packet: more is not filled with nothing */
#define CTRL_PACKETS_PER_ROUND 64
#define ROUNDS                 4
#define SMALL_ABOUT_NS         (2 * WEFT_NS_PER_MS)
#define LOSSY_NS               WEFT_NS_PER_S
#define FRAME_PACKET_MAX       9216u /* larger packets leave from where they lie */

static uint32_t window_to_tell(const struct conn *c) {
    const struct engine_link *l = c->path.link;
    if (!l->attr.receive_window_bytes) return UINT32_MAX;
    uint64_t active = l->active_now > l->active_before ? l->active_now : l->active_before;
    uint64_t share = l->attr.receive_window_bytes / (active ? active : 1);
    uint64_t floor = 8 * (c->packet_bytes + l->attr.packet_charge_bytes);
    if (share < floor) share = floor;
    return share < UINT32_MAX ? (uint32_t)share : UINT32_MAX;
}

static size_t write_ack(struct conn *c, uint64_t now, uint8_t *at, size_t room) {
    struct wire_ack a;
    if (room < WIRE_ACK_BYTES_MAX || !received_ack(&c->received, now, &a)) return 0;
    a.window_bytes = window_to_tell(c);
    return wire_ack_write(at, &a);
}

/* Bytes that the item takes in a packet, its gathered data left out. */
static size_t content_bytes(const struct content *n) {
    switch (n->kind) {
    case CONTENT_MSG: return WIRE_MSG_BYTES + n->tx->header_bytes;
    case CONTENT_FRAG: return WIRE_FRAG_BYTES;
    case CONTENT_RTS: return WIRE_RTS_BYTES + n->tx->header_bytes + ADAPTER_REGION_MAX;
    case CONTENT_OKTOSEND: return WIRE_OKTOSEND_BYTES;
    case CONTENT_WINDOW: return WIRE_WINDOW_BYTES;
    case CONTENT_FIN: return WIRE_FIN_BYTES;
    case CONTENT_PING: return WIRE_PING_BYTES;
    case CONTENT_STOP: return WIRE_STOP_BYTES;
    default: return WIRE_CLOSE_BYTES;
    }
}

static size_t write_msg(const struct content *n, uint8_t *at) {
    const struct tx *tx = n->tx;
    size_t len = wire_msg_write(at, &(struct wire_msg){.channel = tx->channel,
                                                       .handler = tx->handler,
                                                       .id = tx->id,
                                                       .header_bytes = tx->header_bytes,
                                                       .data_bytes = (uint32_t)tx->data_bytes,
                                                       .data_here = n->len});
    memcpy(at + len, tx->header, tx->header_bytes);
    return len + tx->header_bytes;
}

static size_t write_rts(struct conn *c, const struct content *n, uint8_t *at) {
    struct tx *tx = n->tx;
    if (!tx->offered) {
        tx->offered = true;
        tx_offer_region(c, tx);
        push_unasked(tx);
    }
    size_t len = wire_rts_write(at, &(struct wire_rts){.channel = tx->channel,
                                                       .handler = tx->handler,
                                                       .id = tx->id,
                                                       .header_bytes = tx->header_bytes,
                                                       .region_bytes = tx->region_bytes,
                                                       .data_bytes = tx->data_bytes,
                                                       .ref = tx->ref,
                                                       .flags = tx->unmapped ? WIRE_RTS_UNMAPPED : 0,
                                                       .staged = tx->staged});
    memcpy(at + len, tx->header, tx->header_bytes);
    len += tx->header_bytes;
    memcpy(at + len, tx->region, tx->region_bytes);
    return len + tx->region_bytes;
}

static size_t write_content(struct conn *c, const struct content *n, uint8_t *at) {
    switch (n->kind) {
    case CONTENT_MSG: return write_msg(n, at);
    case CONTENT_FRAG:
        return wire_frag_write(at, &(struct wire_frag){.channel = n->tx->channel,
                                                       .id = n->tx->id,
                                                       .offset = n->offset,
                                                       .data_bytes = (uint32_t)n->tx->data_bytes,
                                                       .len = n->len});
    case CONTENT_RTS: return write_rts(c, n, at);
    case CONTENT_OKTOSEND: {
        const struct push_in *p = n->rx->push;
        return wire_oktosend_write(at, &(struct wire_oktosend){n->rx->ref, wire_tag(p->slot, p->use, 0),
                                                               p->segment_offset, (uint16_t)p->window,
                                                               n->rx->normal});
    }
    case CONTENT_WINDOW: {
        const struct push_in *p = n->rx->push;
        return wire_window_write(at, &(struct wire_window){n->rx->ref, wire_tag(p->slot, p->use, 0), p->low});
    }
    case CONTENT_FIN: return wire_fin_write(at, &n->fin);
    case CONTENT_PING: return wire_ping_write(at);
    case CONTENT_STOP: return wire_stop_write(at);
    default: return wire_close_write(at, c->close_reason);
    }
}

static bool carries_data(const struct content *n) {
    return (n->kind == CONTENT_MSG || n->kind == CONTENT_FRAG) && n->len;
}

/* The next piece that may go: lost ones and answers first; a rendezvous only while few are open. */
static struct content *next_content(struct conn *c) {
    struct weft_list *q = !weft_list_empty(&c->again) ? &c->again : &c->queue;
    if (weft_list_empty(q)) return NULL;
    struct content *n = weft_list_entry(q->next, struct content, node);
    if (n->kind == CONTENT_RTS && !n->tx->rts_sent && c->rendezvous_open >= CONN_RENDEZVOUS_MAX) return NULL;
    return n;
}

static void take_content(struct conn *c, struct packet *pk, struct content *n) {
    weft_list_remove(&n->node);
    weft_list_push_back(&pk->contents, &n->node);
    pk->eliciting = true;
    if (n->kind == CONTENT_RTS && !n->tx->rts_sent) {
        n->tx->rts_sent = true;
        c->rendezvous_open++;
        c->engine->lent += c->reliable;
    }
}

/* Cuts what is too large for any packet, since the path has shrunk. */
static bool fit(struct conn *c, struct content *n, size_t fixed, size_t limit) {
    size_t room = limit - WIRE_HEADER_BYTES - fixed;
    return n->len <= room || content_split(c, n, (uint32_t)room);
}

/* Bytes of an item of nothing that make a packet with this content as long as the others of its burst, so
 * that the burst goes on: the last part of a message is often a little shorter. At most `room`; 0: none is
 * wanted. */
static size_t padding(const struct conn *c, const struct content *n, size_t len, size_t room) {
    const struct burst *b = &c->engine->burst;
    const struct weft_list *q = !weft_list_empty(&c->again) ? &c->again : &c->queue;
    if (!b->count || c->reliable || n->node.next == q || len >= b->packet_len) return 0;
    size_t missing = b->packet_len - len;
    if (missing > room || missing > b->packet_len / PAD_PART) return 0;
    return missing >= WIRE_ITEM_BYTES ? missing : 0;
}

/* The same behind small messages, where more of them follow: as when the first packet has an acknowledgement.
 */
static size_t fill_up(const struct conn *c, struct packet *pk, size_t at, size_t limit) {
    const struct burst *b = &c->engine->burst;
    size_t len = at + WIRE_TRAILER_BYTES, missing = b->packet_len - len;
    if (!b->count || c->reliable || len >= b->packet_len || missing > limit - at) return 0;
    bool few = missing >= WIRE_ITEM_BYTES && missing <= b->packet_len / PAD_PART;
    return few ? wire_pad_write(pk->head + at, missing) : 0;
}

/* Fills one CTRL packet; false when there is nothing to say. */
static bool build_ctrl(struct conn *c, uint64_t now, struct packet *pk, bool ack_only) {
    size_t limit = c->packet_bytes - WIRE_TRAILER_BYTES;
    size_t copy_limit = limit < ENGINE_HEAD_MAX ? limit : ENGINE_HEAD_MAX;
    size_t at = WIRE_HEADER_BYTES;
    if (!c->reliable && received_owes(&c->received) && !c->engine->burst.has_ack) {
        bool alone = ack_only || !next_content(c);
        if (!alone || ack_only || c->received.due_ns <= now) {
            size_t n = write_ack(c, now, pk->head + at, copy_limit - at);
            pk->has_ack = n > 0;
            at += n;
        }
    }
    struct content *n;
    while (!ack_only && !pk->payload && (n = next_content(c))) {
        size_t fixed = content_bytes(n), data = carries_data(n) ? n->len : 0;
        if (data && !fit(c, n, fixed, limit)) break;
        data = carries_data(n) ? n->len : 0;
        if (at + fixed > copy_limit || at + fixed + data > limit) break;
        bool gather = data >= GATHER_MIN || at + fixed + data > copy_limit;
        size_t head = at + fixed, len = head + data;
        size_t room = copy_limit - head < limit - len ? copy_limit - head : limit - len;
        size_t pad = gather ? padding(c, n, len + WIRE_TRAILER_BYTES, room) : 0;
        if (pad) at += wire_pad_write(pk->head + at, pad);
        at += write_content(c, n, pk->head + at);
        if (gather) {
            pk->payload = n->tx->data + n->offset;
            pk->payload_bytes = data;
        } else if (data) {
            memcpy(pk->head + at, n->tx->data + n->offset, data);
            at += data;
        }
        take_content(c, pk, n);
        if (n->kind == CONTENT_PING && c->mtu.lost) break; /* it is to show that small packets arrive */
    }
    if (!ack_only && !pk->payload && next_content(c)) at += fill_up(c, pk, at, copy_limit);
    pk->head_bytes = at;
    return at > WIRE_HEADER_BYTES;
}

static struct packet *burst_packet(struct burst *b) {
    if (b->count == ENGINE_BURST_MAX || ENGINE_ARENA_BYTES - b->arena_used < ENGINE_HEAD_MAX) return NULL;
    struct packet *pk = &b->packet[b->count];
    pk->head = b->arena + b->arena_used;
    pk->head_bytes = pk->payload_bytes = 0;
    pk->payload = NULL;
    pk->eliciting = pk->has_ack = false;
    pk->push = NULL;
    pk->question = false;
    weft_list_init(&pk->contents);
    return pk;
}

static size_t packet_len(const struct packet *pk) {
    return pk->head_bytes + pk->payload_bytes + WIRE_TRAILER_BYTES;
}

static void empty(struct burst *b) {
    b->count = b->arena_used = b->bytes = 0;
    b->last_short = b->has_ack = false;
}

/* Puts back what a packet that did not leave would have carried. Packets are put back last first. */
static void unbuild(struct conn *c, struct packet *pk) {
    while (!weft_list_empty(&pk->contents)) {
        struct weft_list *n = pk->contents.prev;
        weft_list_remove(n);
        weft_list_push_front(&c->again, n);
    }
    if (pk->push) push_lost(pk->push, pk->superpacket, pk->chunk, pk->chunk_bytes);
}

static void commit(struct conn *c, uint64_t now, struct packet *pk) {
    uint64_t number = c->next_number++;
    weft_trace_at(now, WEFT_TRACE_PACKET_OUT, c->id, number, packet_len(pk),
                  pk->push ? WIRE_DATA : WIRE_CTRL);
    if (pk->has_ack) {
        received_acked(&c->received);
        stats_add(STATS_ACKS_SENT, 1);
    }
    if (c->reliable) { /* taken is arrived */
        while (!weft_list_empty(&pk->contents))
            content_acked(c, weft_list_entry(pk->contents.next, struct content, node));
        if (pk->push) push_acked(pk->push, pk->superpacket, pk->chunk, pk->chunk_bytes);
        return;
    }
    bool first = c->sent.flying == 0;
    struct sent_packet *s = sent_add(&c->sent, now, pk->eliciting, recovery_charge(c, packet_len(pk)));
    weft_list_splice(&s->contents, &pk->contents);
    s->bulk = pk->push;
    s->superpacket = pk->superpacket;
    s->chunk = pk->chunk;
    s->chunk_bytes = pk->chunk_bytes;
    if (pk->question) s->state = SENT_QUESTION;
    s->delivered = c->cwnd.delivered;
    if (!pk->eliciting) return;
    if (first && !c->probes_fired) c->flying_since_ns = now;
    c->last_sent_ns = now;
    c->held_back_ns = pk->at_once ? 0 : pk->answered ? c->ack_delay_ns : RTT_ACK_DELAY_NS;
    if (c->probe_credit) c->probe_credit--;
}

static bool has_bulk(const struct conn *c) {
    uint32_t superpacket;
    weft_list_for_each(it, &c->bulk) {
        if (push_next(weft_list_entry(it, struct push_out, node), &superpacket)) return true;
    }
    return false;
}

static bool more_to_send(const struct conn *c) {
    return !weft_list_empty(&c->queue) || !weft_list_empty(&c->again) || has_bulk(c);
}

/* Whether the packets are put together one behind the other, as encrypted ones must be. For the system to
 * gather a packet from three pieces takes longer than copying a small one does here. */
static bool uses_frame(const struct conn *c, struct burst *b) {
    if (c->integrity == WIRE_INTEGRITY_AES) return true;
    if (b->count < 2 || b->packet_len > FRAME_PACKET_MAX || b->bytes > ENGINE_FRAME_BYTES) return false;
    if (!b->frame) b->frame = malloc(ENGINE_FRAME_BYTES);
    return b->frame;
}

static void protect(const struct conn *c, uint8_t *trailer, const void *head, size_t head_bytes,
                    const void *payload, size_t payload_bytes) {
    wire_trailer_write(trailer, c->integrity, head, head_bytes, payload, payload_bytes);
    if (c->secure && c->integrity == WIRE_INTEGRITY_CRC)
        memcpy(trailer + WIRE_TRAILER_BYTES - WIRE_TOKEN_BYTES, c->secure->send_token, WIRE_TOKEN_BYTES);
}

/* Checksum after the copy: the bytes are in the nearest cache then. */
static void copy_to_frame(const struct conn *c, const struct packet *pk, uint8_t *at) {
    size_t covered = pk->head_bytes + pk->payload_bytes;
    memcpy(at, pk->head, pk->head_bytes);
    if (pk->payload_bytes) memcpy(at + pk->head_bytes, pk->payload, pk->payload_bytes);
    protect(c, at + covered, at, covered, NULL, 0);
}

/* Nothing but parts of messages that will most likely be answered. Where packets get lost it is asked for all
 * the same, to know the sooner. */
static bool is_answered(const struct conn *c, uint64_t now, const struct packet *pk) {
    if (c->missed_at_ns && now - c->missed_at_ns < LOSSY_NS) return false;
    weft_list_for_each(it, &pk->contents) {
        const struct content *n = weft_list_entry(it, struct content, node);
        bool message = n->kind == CONTENT_MSG || n->kind == CONTENT_FRAG || n->kind == CONTENT_RTS;
        if (!message || !n->tx->answered) return false;
    }
    return !pk->push || pk->push->tx->answered;
}

/* Makes a packet ready to leave. False: there is no memory for its key's context. */
static bool seal(struct conn *c, uint64_t now, struct burst *b, size_t i, bool last) {
    struct packet *pk = &b->packet[i];
    uint8_t flags = pk->eliciting ? WIRE_ACK_ELICITING : 0;
    bool ends = pk->eliciting && last && !c->reliable && !more_to_send(c);
    pk->answered = ends && is_answered(c, now, pk);
    pk->at_once = ends && !pk->answered;
    if (pk->at_once) flags |= WIRE_ACK_NOW;
    if (pk->question) flags |= WIRE_ACK_ELICITING | WIRE_ACK_NOW;
    enum wire_type type = pk->push ? WIRE_DATA : pk->question ? WIRE_PROBE : WIRE_CTRL;
    size_t len = packet_len(pk);
    wire_header_write(pk->head, &(struct wire_header){WIRE_VERSION, (uint8_t)type, flags, (uint16_t)len,
                                                      c->remote_id, c->next_number + i});
    if (uses_frame(c, b)) {
        uint8_t *at = b->frame + i * packet_len(&b->packet[0]); /* only the last may be of another length */
        b->out[i] = (struct adapter_packet_out){{{at, len}, {NULL, 0}, {NULL, 0}}};
        if (c->integrity == WIRE_INTEGRITY_AES)
            return secure_seal(c->secure, c->next_number + i, pk->head, pk->head_bytes, pk->payload,
                               pk->payload_bytes, at);
        copy_to_frame(c, pk, at);
        return true;
    }
    protect(c, pk->trailer, pk->head, pk->head_bytes, pk->payload, pk->payload_bytes);
    b->out[i].piece[0] = (struct iovec){pk->head, pk->head_bytes};
    b->out[i].piece[1] = (struct iovec){(void *)pk->payload, pk->payload_bytes};
    b->out[i].piece[2] = (struct iovec){pk->trailer, WIRE_TRAILER_BYTES};
    return true;
}

static void send_failed(struct conn *c, uint64_t now, int rc) {
    weft_debug("transport", "sending failed: %s", weft_error_text(rc));
    conn_down(c, now, rc == WEFT_E_TOO_BIG ? rc : WEFT_E_PEER_LOST);
}

/* Hands the burst to the adapter. Returns how many packets it took; fewer than there were, or a negative
 * code, means that the connection cannot send on now. */
static int flush(struct conn *c, uint64_t now) {
    struct burst *b = &c->engine->burst;
    const struct engine_io *io = &c->engine->cfg.io;
    size_t count = b->count, sealed = 0;
    if (count == 0) return 0;
    while (sealed < count && seal(c, now, b, sealed, sealed + 1 == count)) sealed++;
    recovery_rest(c, now);
    int rc = sealed ? io->send(io->ctx, &c->path, b->out, sealed) : 0;
    if (rc == WEFT_E_IO && !c->reliable) rc = (int)sealed; /* as if lost on the way: it will be sent again */
    size_t taken = rc < 0 ? 0 : (size_t)rc < sealed ? (size_t)rc : sealed;
    for (size_t i = count; i-- > taken;) unbuild(c, &b->packet[i]);
    for (size_t i = 0; i < taken; i++) commit(c, now, &b->packet[i]);
    empty(b);
    stats_add(STATS_PACKETS_SENT, taken);
    if (rc == WEFT_E_TOO_BIG && !c->reliable && c->packet_bytes > WIRE_PATH_MIN) {
        mtu_shrink(c, now);
        return 0;
    }
    if (rc < 0) {
        send_failed(c, now, rc);
        return rc;
    }
    if (taken < count) {
        c->blocked = true;
        c->retry_ns = c->retry_ns && !taken ? c->retry_ns * 2 : CONN_RETRY_NS;
        if (c->retry_ns > WEFT_NS_PER_MS) c->retry_ns = WEFT_NS_PER_MS;
        c->retry_at_ns = now + c->retry_ns;
        return (int)taken;
    }
    c->retry_ns = 0;
    return (int)taken;
}

/* Whether this packet has the header of a message whose data goes unasked. */
static bool brings_data(const struct packet *pk, const struct push_out *of) {
    weft_list_for_each(it, &pk->contents) {
        const struct content *n = weft_list_entry(it, struct content, node);
        if (n->kind == CONTENT_RTS && n->tx->push && (!of || n->tx->push == of)) return true;
    }
    return false;
}

/* Whether the first packet of data goes in one datagram with the message's header, if the adapter can do
 * that: so whoever waits for both is woken once. To encrypt the data takes about as long as to wake somebody:
 * there the header goes ahead. While large packets get lost it is to arrive all the same. */
static bool joins(const struct conn *c, const struct burst *b, const struct push_out *of) {
    if (c->reliable || c->integrity == WIRE_INTEGRITY_AES || c->mtu.lost) return false;
    return b->count == 1 && brings_data(&b->packet[0], of);
}

static bool may_join(const struct conn *c, const struct burst *b, const struct packet *pk) {
    return pk->push && joins(c, b, pk->push) && b->bytes + packet_len(pk) <= c->packet_bytes;
}

/* A burst is of equal packets, only its last may be shorter, or of two that join. An encrypted one fits the
 * frame, and keeps to one phase: what is not taken gets its number again, and keys only go forward. */
static bool must_flush_before(const struct conn *c, const struct burst *b, const struct packet *pk) {
    if (b->count == 0) return false;
    if (c->integrity == WIRE_INTEGRITY_AES && (b->bytes + packet_len(pk) > ENGINE_FRAME_BYTES ||
                                               secure_starts_phase(c->secure, c->next_number + b->count)))
        return true;
    return b->last_short || (packet_len(pk) > b->packet_len && !may_join(c, b, pk)) ||
           b->count >= c->path.link->attr.burst_max_packets;
}

/* Adds a built packet to the burst, which leaves first if it cannot take it. Returns false when sending has
 * to stop; the packet is put back then. */
static bool add(struct conn *c, uint64_t now, struct packet *pk) {
    struct burst *b = &c->engine->burst;
    if (must_flush_before(c, b, pk)) {
        struct packet kept = *pk;
        uint8_t head[ENGINE_HEAD_MAX];
        memcpy(head, pk->head, pk->head_bytes);
        weft_list_init(&kept.contents);
        weft_list_splice(&kept.contents, &pk->contents);
        size_t count = b->count;
        int rc = flush(c, now);
        if (rc < 0 || (size_t)rc < count) {
            if (c->state != CONN_DOWN)
                unbuild(c, &kept);
            else {
                while (!weft_list_empty(&kept.contents))
                    content_drop(c, weft_list_entry(kept.contents.next, struct content, node));
                if (kept.push) push_dropped(kept.push);
            }
            return false;
        }
        pk = burst_packet(b);
        uint8_t *at = pk->head;
        *pk = kept;
        pk->head = at;
        weft_list_init(&pk->contents);
        weft_list_splice(&pk->contents, &kept.contents);
        memcpy(at, head, pk->head_bytes);
    }
    size_t len = packet_len(pk);
    b->last_short = b->count && len != b->packet_len;
    if (len > b->packet_len || b->count == 0) b->packet_len = len;
    b->has_ack |= pk->has_ack;
    b->bytes += len;
    b->arena_used += (pk->head_bytes + 15) & ~(size_t)15;
    b->count++;
    return true;
}

struct plan {
    uint32_t packets;
    uint64_t bytes;
};

/* Sends what is put together. False: sending has to stop. */
static bool flush_all(struct conn *c, uint64_t now) {
    size_t count = c->engine->burst.count;
    int rc = flush(c, now);
    return rc >= 0 && (size_t)rc == count;
}

/* Small messages and control items. Returns packets sent, or negative: stop. A packet that data may join
 * is left for it. */
static int output_ctrl(struct conn *c, uint64_t now) {
    struct burst *b = &c->engine->burst;
    struct plan plan = {0, 0};
    int built = 0;
    while (built < CTRL_PACKETS_PER_ROUND) {
        bool ack_only = !recovery_may_send(c, c->packet_bytes, plan.packets, plan.bytes);
        if (ack_only && (built || c->received.due_ns > now)) break;
        if (ack_only &&
            !sent_reserve(&c->sent, 1)) { /* acknowledgements fill what a lost packet keeps open */
            c->received.due_ns = now + WEFT_NS_PER_MS;
            break;
        }
        struct packet *pk = burst_packet(b);
        if (!pk) {
            if (!flush_all(c, now)) return -1;
            plan = (struct plan){0, 0};
            continue;
        }
        if (!build_ctrl(c, now, pk, ack_only)) break;
        size_t before = b->count;
        plan.bytes += recovery_charge(c, packet_len(pk));
        plan.packets++;
        if (!add(c, now, pk)) return -1;
        if (b->count <= before) plan = (struct plan){1, recovery_charge(c, b->packet_len)};
        built++;
        if (ack_only) break;
        if (b->packet[b->count - 1].has_ack && !next_content(c)) break;
    }
    if (joins(c, b, NULL) && has_bulk(c)) return built;
    return flush_all(c, now) ? built : -1;
}

static void build_data(struct conn *c, struct push_out *p, uint32_t superpacket, uint8_t chunk,
                       struct packet *pk) {
    const struct tx *tx = p->tx;
    uint32_t chunk_bytes = p->super[superpacket % p->room].chunk_bytes;
    uint64_t start = (uint64_t)superpacket * WIRE_SUPERPACKET_BYTES;
    uint32_t offset = (uint32_t)chunk * chunk_bytes;
    uint64_t left = push_superpacket_bytes(p, superpacket) - offset;
    struct wire_data d = {
        p->base_tag + superpacket, offset, (uint16_t)(left < chunk_bytes ? left : chunk_bytes),
        (tx->normal ? WIRE_DATA_NORMAL : 0) | (tx->answered ? WIRE_DATA_ANSWERED : 0), (uint16_t)chunk_bytes};
    wire_data_write(pk->head + WIRE_HEADER_BYTES, &d);
    pk->head_bytes = WIRE_HEADER_BYTES + WIRE_DATA_BYTES;
    pk->payload = tx->data + p->segment_offset + start + offset;
    pk->payload_bytes = d.length;
    pk->eliciting = true;
    pk->push = p;
    pk->superpacket = superpacket;
    pk->chunk = chunk;
    pk->chunk_bytes = (uint16_t)chunk_bytes;
    p->super[superpacket % p->room].todo &= ~(1ull << chunk);
    p->flying++;
    push_has_left(p, d.length);
}

/* A superpacket's worth of one transfer. Waits for room for several chunks rather than sending one by one. */
static int output_superpacket(struct conn *c, uint64_t now, struct push_out *p, uint32_t superpacket) {
    struct burst *b = &c->engine->burst;
    struct plan plan = {(uint32_t)b->count, b->count ? recovery_charge(c, b->bytes) : 0};
    const struct superpacket *s = &p->super[superpacket % p->room];
    uint32_t most = c->packet_bytes - WIRE_OVERHEAD_BYTES - WIRE_DATA_BYTES;
    if (most > WIRE_SUPERPACKET_BYTES) most = WIRE_SUPERPACKET_BYTES;
    if (!s->chunk_bytes || s->chunk_bytes > most) push_cut(p, superpacket, most);
    uint64_t todo = s->todo;
    size_t chunk_bytes = s->chunk_bytes + WIRE_OVERHEAD_BYTES + WIRE_DATA_BYTES;
    uint32_t want = (uint32_t)__builtin_popcountll(todo);
    if (want > 8) want = 8;
    uint32_t charge = recovery_charge(c, chunk_bytes);
    if (!c->reliable && c->sent.flying && !c->probe_credit &&
        !recovery_may_send(c, chunk_bytes, want - 1, (uint64_t)charge * (want - 1)))
        return 0;
    int built = 0;
    for (; todo; todo &= todo - 1) {
        if (!recovery_may_send(c, chunk_bytes, plan.packets, plan.bytes)) break;
        struct packet *pk = burst_packet(b);
        if (!pk) break;
        build_data(c, p, superpacket, (uint8_t)__builtin_ctzll(todo), pk);
        plan.packets++;
        plan.bytes += charge;
        if (!add(c, now, pk)) return -1;
        if (b->count == 1) plan = (struct plan){1, charge};
        built++;
    }
    return flush_all(c, now) ? built : -1;
}

/* Bulk transfers go first come, first served; one whose window is used up lets the next one in. Where nobody
 * waits for a turn, they share the line, those of one connection too. */
static int output_bulk(struct conn *c, uint64_t now) {
    push_look_at_turns(c->engine, now);
    weft_list_for_each_safe(it, &c->bulk) {
        struct push_out *p = weft_list_entry(it, struct push_out, node);
        uint32_t superpacket;
        weft_list_remove(&p->node);
        if (!push_next(p, &superpacket)) continue;
        if (c->engine->cfg.bulk_patience_ns)
            weft_list_push_front(&c->bulk, &p->node);
        else
            weft_list_push_back(&c->bulk, &p->node);
        return output_superpacket(c, now, p, superpacket);
    }
    return 0;
}

/* Asks the path, by packets of nothing. */
static void output_questions(struct conn *c, uint64_t now) {
    static const uint8_t nothing[WIRE_PACKET_MAX];
    uint32_t sizes[MTU_QUESTIONS_MAX];
    size_t count = mtu_questions(c, now, sizes);
    struct burst *b = &c->engine->burst;
    for (size_t i = 0; i < count && sent_reserve(&c->sent, 1); i++) {
        struct packet *pk = burst_packet(b);
        pk->head_bytes = WIRE_HEADER_BYTES;
        pk->payload = nothing;
        pk->payload_bytes = sizes[i] - WIRE_OVERHEAD_BYTES;
        pk->question = true;
        add(c, now, pk);
        const struct engine_io *io = &c->engine->cfg.io;
        if (seal(c, now, b, 0, true) && io->send(io->ctx, &c->path, b->out, 1) == 1) {
            commit(c, now, pk);
            stats_add(STATS_PATH_QUESTIONS, 1);
        }
        empty(b);
    }
}

/* Without memory for a first record nothing would be in flight that could bring an answer: try again later.
 */
static bool has_record(struct conn *c, uint64_t now) {
    if (c->reliable || c->sent.flying || sent_reserve(&c->sent, 1)) return true;
    c->blocked = true;
    c->retry_at_ns = now + WEFT_NS_PER_MS;
    return false;
}

bool conn_output(struct conn *c, uint64_t now) {
    if (c->state == CONN_INIT_SENT) handshake_tick(c, now);
    if (c->state != CONN_UP) return false;
    if (c->blocked && now < c->retry_at_ns) return false;
    c->blocked = false;
    if (!has_record(c, now)) return false;
    output_questions(c, now);
    if (c->held && now < c->hold_until_ns && c->received.due_ns > now) return false;
    c->held = false;
    /* What comes in and what others send has its turn in between: after each superpacket while small messages
     * are about, else, because looking costs too, after a few. */
    int rounds = now - c->engine->small_ns < SMALL_ABOUT_NS ? 1 : ROUNDS;
    for (int i = 0; i < rounds; i++) {
        int ctrl = output_ctrl(c, now);
        if (ctrl < 0) return false;
        int bulk = output_bulk(c, now);
        if (bulk < 0 || !flush_all(c, now) || c->state != CONN_UP) return false;
        if (ctrl == 0 && bulk == 0) return false;
    }
    return more_to_send(c);
}

void conn_output_ack(struct conn *c, uint64_t now) {
    if (c->state != CONN_UP || c->reliable || !received_owes(&c->received) || c->blocked) return;
    if (!sent_reserve(&c->sent, 1)) return;
    struct packet *pk = burst_packet(&c->engine->burst);
    if (!build_ctrl(c, now, pk, true)) return;
    add(c, now, pk);
    flush(c, now);
}

static int send_close(struct conn *c, uint64_t now) {
    struct burst *b = &c->engine->burst;
    struct packet *pk = burst_packet(b);
    size_t at = WIRE_HEADER_BYTES;
    if (!c->reliable && received_owes(&c->received))
        at += write_ack(c, now, pk->head + at, ENGINE_HEAD_MAX - at);
    at += wire_close_write(pk->head + at, c->close_reason);
    pk->head_bytes = at;
    add(c, now, pk);
    const struct engine_io *io = &c->engine->cfg.io;
    int rc = seal(c, now, b, 0, true) ? io->send(io->ctx, &c->path, b->out, 1) : 0;
    empty(b);
    return rc;
}

void conn_output_close(struct conn *c, uint64_t now) {
    if (c->state != CONN_UP && c->state != CONN_HALF_OPEN) return;
    int rc = send_close(c, now);
    c->owes_close = c->reliable && rc == 0; /* nothing else would ever tell the peer */
    c->retry_at_ns = now + CONN_RETRY_NS;
    if (!c->owes_close) c->next_number++;
}

void conn_output_owed_close(struct conn *c, uint64_t now) {
    if (!c->owes_close || now < c->retry_at_ns) return;
    c->retry_at_ns = now + 10 * CONN_RETRY_NS;
    c->owes_close = send_close(c, now) == 0;
    conn_close_path(c);
}
