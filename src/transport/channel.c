/* Channels: incoming messages are put in the order they were sent, and eager ones in several packets
 * together. Every item may come twice or late: an id below the next one, or a part that is there already, is
 * simply ignored. */
#include "base/error.h"
#include "base/trace.h"
#include "transport/conn.h"
#include "transport/stats.h"

#include <stdlib.h>
#include <string.h>

#define EAGER_MAX (64u << 10)
#define PARTS_MAX 128u

static struct rx *rx_create(struct conn *c, uint16_t channel, uint64_t id) {
    struct engine *e = c->engine;
    struct rx *rx = pool_get(&e->rx_pool);
    if (!rx) return NULL;
    memset(rx, 0, sizeof *rx);
    rx->conn = c;
    c->used_ns = c->last_heard_ns;
    rx->channel = channel;
    rx->id = id;
    weft_list_init(&rx->node);
    weft_list_push_back(&c->rxs, &rx->all);
    weft_ranges_init(&rx->parts, PARTS_MAX);
    rx->oktosend = (struct content){.kind = CONTENT_OKTOSEND, .rx = rx};
    rx->window = (struct content){.kind = CONTENT_WINDOW, .rx = rx};
    weft_list_init(&rx->oktosend.node);
    weft_list_init(&rx->window.node);
    e->rx_live++;
    return rx;
}

static void unhold(struct rx *rx) {
    rx->conn->held_bytes -= rx->held_bytes;
    rx->conn->engine->held_bytes -= rx->held_bytes;
    rx->held_bytes = 0;
}

void rx_free(struct rx *rx) {
    struct engine *e = rx->conn->engine;
    unhold(rx);
    rx_forget_token(rx);
    rendezvous_disarm(rx);
    if (rx->rendezvous) rx->conn->rx_rendezvous--;
    weft_list_remove(&rx->node);
    weft_list_remove(&rx->all);
    if (rx->packet) pbuf_release(e, rx->packet);
    free(rx->assembled);
    weft_ranges_fini(&rx->parts);
    e->rx_live--;
    pool_put(&e->rx_pool, rx);
}

/* What a record costs while it is held back. The next message of a channel lets others go, and so may take
 * some more than the cap of all; who does not get even that ends and gives back what it holds, or all could
 * wait for each other. */
static int hold(struct rx *rx, size_t bytes, bool next) {
    struct conn *c = rx->conn;
    uint64_t all = c->engine->cfg.held_all_bytes;
    bytes += sizeof *rx;
    if (c->held_bytes + bytes > CONN_HELD_HARD_BYTES) return WEFT_E_LIMIT;
    if (c->held_bytes + bytes > CONN_HELD_SOFT_BYTES && !next) return WEFT_E_AGAIN;
    if (c->engine->held_bytes + bytes > (next ? all + all / 4 : all))
        return next && c->held_bytes ? WEFT_E_LIMIT : WEFT_E_AGAIN;
    rx->held_bytes += (uint32_t)bytes;
    c->held_bytes += bytes;
    c->engine->held_bytes += bytes;
    return 0;
}

static bool complete(const struct rx *rx) {
    return rx->header_here && (rx->rendezvous || rx->data_here == rx->data_bytes);
}

static void deliver(struct rx *rx) {
    struct conn *c = rx->conn;
    unhold(rx);
    if (rx->assembled) rx->data = rx->assembled;
    rx->state = RX_HEADER;
    if (rx->stage)
        c->engine->pause = true;
    else if (rx->rendezvous && !rx->region_bytes)
        tag_reserve(rx);
    if (!rx->rendezvous) c->engine->small_ns = c->last_heard_ns;
    weft_trace_at(c->last_heard_ns, WEFT_TRACE_MESSAGE_DELIVERED, c->id, rx->id, rx->handler, rx->data_bytes);
    event_push(c->engine, c, &rx->event, ENGINE_EVENT_HEADER, 0);
}

static void advance(struct channel *ch) {
    while (!weft_list_empty(&ch->ahead)) {
        struct rx *rx = weft_list_entry(ch->ahead.next, struct rx, node);
        if (rx->id != ch->rx_next || !complete(rx)) return;
        weft_list_remove(&rx->node);
        ch->rx_next++;
        deliver(rx);
    }
}

/* Finds a record or the place for it: the node that it goes before. */
static struct rx *find(struct channel *ch, uint64_t id, struct weft_list **before) {
    struct weft_list *at = ch->ahead.prev;
    for (; at != &ch->ahead; at = at->prev) {
        struct rx *rx = weft_list_entry(at, struct rx, node);
        if (rx->id == id) return rx;
        if (rx->id < id) break;
    }
    *before = at->next;
    return NULL;
}

/* Finds or makes the record of a message, which costs `bytes` if it is held back: one that is whole and the
 * next is not. *out stays NULL for one that was delivered. */
static int look_up(struct conn *c, uint16_t channel, uint64_t id, size_t bytes, bool whole,
                   struct channel **ch, struct rx **out) {
    *out = NULL;
    int rc = conn_channel(c, channel, ch);
    if (rc) return rc == WEFT_E_NOMEM ? WEFT_E_AGAIN : rc;
    if (id < (*ch)->rx_next) return 0;
    if (id - (*ch)->rx_next >= CONN_AHEAD_MAX) return WEFT_E_AGAIN;
    struct weft_list *before;
    struct rx *rx = find(*ch, id, &before);
    if (!rx) {
        rx = rx_create(c, channel, id);
        if (!rx) return WEFT_E_AGAIN;
        bool next = id == (*ch)->rx_next;
        rc = whole && next ? 0 : hold(rx, bytes, next);
        if (rc) {
            rx_free(rx);
            return rc;
        }
        weft_list_insert_before(before, &rx->node);
    }
    *out = rx;
    return 0;
}

static void keep_packet(struct rx *rx, struct pbuf *packet) {
    rx->packet = packet;
    packet->refs++;
}

static int add_part(struct rx *rx, uint32_t offset, const uint8_t *data, size_t len) {
    if (!rx->assembled) rx->assembled = malloc(rx->data_bytes);
    if (!rx->assembled) return WEFT_E_AGAIN;
    if (len == 0) return 0;
    uint64_t end = offset + len;
    uint64_t had = 0;
    for (size_t i = 0; i < rx->parts.count; i++) {
        const struct weft_range *r = &rx->parts.at[i];
        uint64_t lo = r->start > offset ? r->start : offset, hi = r->end < end ? r->end : end;
        if (lo < hi) had += hi - lo;
    }
    if (had == len) return 0;
    int rc = weft_ranges_add(&rx->parts, offset, end);
    if (rc) return rc == WEFT_E_LIMIT ? WEFT_E_PROTO : WEFT_E_AGAIN;
    memcpy(rx->assembled + offset, data, len);
    rx->data_here += (uint32_t)(len - had); /* the sender may have cut it anew, into smaller parts */
    return 0;
}

int channel_msg_in(struct conn *c, struct pbuf *packet, const struct wire_msg *m) {
    struct channel *ch;
    struct rx *rx;
    if (m->data_bytes > EAGER_MAX || m->handler >= EP_HANDLERS_MAX) return WEFT_E_PROTO;
    bool whole = m->data_here == m->data_bytes;
    size_t bytes = m->header_bytes + (size_t)m->data_bytes;
    int rc = look_up(c, m->channel, m->id, bytes, whole, &ch, &rx);
    if (rc || !rx || rx->header_here) return rc;
    if (rx->assembled && rx->data_bytes != m->data_bytes) return WEFT_E_PROTO;
    rx->data_bytes = m->data_bytes;
    bool parts = !whole || rx->assembled;
    if (parts && (rc = add_part(rx, 0, m->data, m->data_here))) return rc;
    if (!parts) {
        rx->data = m->data_bytes ? m->data : NULL;
        rx->data_here = m->data_bytes;
    }
    rx->header_here = true;
    rx->handler = m->handler;
    rx->header = m->header;
    rx->header_bytes = m->header_bytes;
    keep_packet(rx, packet);
    advance(ch);
    return 0;
}

int channel_lane_in(struct conn *c, struct pbuf *packet, const struct ep_msg *msg) {
    struct rx *rx = rx_create(c, msg->channel, 0);
    if (!rx) return WEFT_E_NOMEM;
    rx->handler = msg->handler;
    rx->header = packet->data;
    rx->header_bytes = (uint16_t)msg->header_bytes;
    rx->data_bytes = msg->data_bytes;
    rx->data = msg->data_bytes ? packet->data + msg->header_bytes : NULL;
    keep_packet(rx, packet);
    deliver(rx);
    return 0;
}

int channel_frag_in(struct conn *c, const struct wire_frag *f) {
    struct channel *ch;
    struct rx *rx;
    if (f->data_bytes > EAGER_MAX) return WEFT_E_PROTO;
    size_t bytes = EP_HEADER_MAX + (size_t)f->data_bytes;
    int rc = look_up(c, f->channel, f->id, bytes, false, &ch, &rx);
    if (rc || !rx) return rc;
    if (rx->rendezvous) return WEFT_E_PROTO;
    if (rx->header_here || rx->assembled) {
        if (rx->data_bytes != f->data_bytes) return WEFT_E_PROTO;
        if (!rx->assembled) return 0; /* whole already */
    }
    rx->data_bytes = f->data_bytes;
    rc = add_part(rx, f->offset, f->data, f->len);
    if (rc == 0) advance(ch);
    return rc;
}

int channel_rts_in(struct conn *c, struct pbuf *packet, const struct wire_rts *r) {
    struct channel *ch;
    struct rx *rx;
    if (r->handler >= EP_HANDLERS_MAX || r->data_bytes > SIZE_MAX) return WEFT_E_PROTO;
    if (c->rx_rendezvous >= CONN_RENDEZVOUS_HARD) return c->reliable ? WEFT_E_LIMIT : WEFT_E_AGAIN;
    int rc = look_up(c, r->channel, r->id, r->header_bytes, true, &ch, &rx);
    if (rc || !rx || rx->header_here) return rc;
    if (rx->assembled) return WEFT_E_PROTO;
    rx->data_bytes = r->data_bytes;
    if (r->staged && !rx->stage && (rc = stage_header_in(rx, r->staged - 1))) return rc;
    if (weft_map_put(&c->engine->rx_by_token, c->engine->next_token, rx)) return WEFT_E_AGAIN;
    rx->token = c->engine->next_token++;
    c->rx_rendezvous++;
    rx->rendezvous = rx->header_here = true;
    rx->handler = r->handler;
    rx->header = r->header;
    rx->header_bytes = r->header_bytes;
    rx->ref = r->ref;
    rx->unmapped = r->flags & WIRE_RTS_UNMAPPED;
    if (conn_reads_memory(c)) rx->region_bytes = (uint8_t)r->region_bytes;
    memcpy(rx->region, r->region, rx->region_bytes);
    keep_packet(rx, packet);
    advance(ch);
    return 0;
}

int channel_closing_in(struct conn *c, uint16_t channel, uint64_t id) {
    const struct channel *ch = weft_map_get(&c->channels, channel);
    if (ch && id < ch->rx_next) return 0;
    close_refuse(c);
    return c->reliable ? 0 : WEFT_E_AGAIN; /* there what has come counts as taken */
}

void rx_forget_token(struct rx *rx) {
    if (rx->token) weft_map_remove(&rx->conn->engine->rx_by_token, rx->token);
    rx->token = 0;
}

void rx_finish(struct rx *rx, int status, bool front) {
    struct conn *c = rx->conn;
    rx_forget_token(rx);
    rendezvous_disarm(rx);
    weft_list_remove(&rx->node);
    rx->state = RX_DONE;
    if (!rx->event.call)
        rx_free(rx);
    else if (front)
        event_push_front(c->engine, c, &rx->event, ENGINE_EVENT_DATA, status);
    else
        event_push(c->engine, c, &rx->event, ENGINE_EVENT_DATA, status);
}
