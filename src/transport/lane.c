/* Lane: the short way of small messages over adapters that carry whole messages, in order and without loss
 * (shm). No packet, no number, no queue: the sender writes the message where the receiver looks, and the
 * receiver's handler is called with it.
 *
 * DESIGN NOTES. Such a message has no id in its channel. It may go this way only while nothing of its
 * connection is queued or held back, so everything sent before it is in the adapter already, and what the
 * adapter keeps in order needs no numbers: all earlier messages of its channel have come, whole, when it
 * comes. Messages that cannot go (too large, something queued before, no room) are the engine's, as ever; the
 * next one tries again.
 *
 * Only on connections whose packets carry no checksum and no cipher: there the adapter's memory is what is
 * trusted in any case. The word is the peer's, so every field of it is checked. */
#include "base/error.h"
#include "base/trace.h"
#include "transport/conn.h"
#include "transport/stats.h"

#include <string.h>

/* Word: connection id of the receiver 32 bits, channel 16, handler 6, bytes of the header 10. */
#define LANE_HEADER_MAX 1023u
_Static_assert(EP_HANDLERS_MAX <= 64, "a handler fits 6 bits");

static uint64_t word_of(const struct conn *c, const struct ep_send *s) {
    return (uint64_t)c->remote_id | (uint64_t)s->channel << 32 | (uint64_t)s->handler << 48 |
           (uint64_t)s->header_bytes << 54;
}

static bool has_lane(const struct conn *c) {
    return c->path.link->attr.caps & ADAPTER_CAP_MESSAGES && c->integrity == WIRE_INTEGRITY_NONE &&
           c->reliable;
}

/* on_done is a callback like every other: it waits for its turn. */
static struct tx *completion(struct conn *c, const struct ep_send *s) {
    struct tx *tx = pool_get(&c->engine->tx_pool);
    if (!tx) return NULL;
    tx->pooled = true;
    tx->event = (struct engine_event){.call = s->on_done, .arg = s->arg};
    c->engine->tx_live++;
    return tx;
}

int engine_send_lane(struct engine *e, struct conn *c, const struct ep_send *s) {
    bool fits = s->header_bytes <= LANE_HEADER_MAX && s->data_bytes <= e->cfg.eager_bytes;
    bool first = weft_list_empty(&c->queue) && weft_list_empty(&c->again);
    if (!fits || !first || c->state != CONN_UP || c->closing || c->stopped || !has_lane(c))
        return WEFT_E_AGAIN;
    if (s->handler >= EP_HANDLERS_MAX || (s->header_bytes && !s->header) || (s->data_bytes && !s->data))
        return WEFT_E_INVAL;
    if (s->header_bytes + s->data_bytes > c->path.link->attr.message_max_bytes) return WEFT_E_AGAIN;
    struct tx *tx = NULL;
    if (s->on_done && !(tx = completion(c, s))) return WEFT_E_NOMEM;
    const struct iovec piece[2] = {{(void *)s->header, s->header_bytes}, {(void *)s->data, s->data_bytes}};
    int rc = e->cfg.io.message(e->cfg.io.ctx, &c->path, word_of(c, s), piece);
    if (rc) {
        if (tx) tx_free(e, tx);
        return WEFT_E_AGAIN; /* whatever it is, the long way tells it */
    }
    if (tx) event_push(e, c, &tx->event, ENGINE_EVENT_SENT, 0);
    stats_add(STATS_MESSAGES_SENT, 1);
    return 0;
}

/* Whose message it is; NULL for nobody's. A connection that is still half open is confirmed by a packet, which
 * every sender sends first. */
static struct conn *find(struct engine *e, const struct engine_link *link, const struct adapter_message *m) {
    struct conn *c = slot_find(e, (uint32_t)m->word);
    if (!c || c->path.link != link || (m->peer && m->peer != c->path.peer) || !has_lane(c)) return NULL;
    return c->state == CONN_UP ? c : NULL;
}

/* False: the peer broke a rule. */
static bool read_message(const struct adapter_message *m, struct ep_msg *msg) {
    size_t header_bytes = m->word >> 54;
    if (header_bytes > m->len_bytes) return false;
    *msg = (struct ep_msg){
        .handler = m->word >> 48 & 63,
        .channel = (uint16_t)(m->word >> 32),
        .header = m->data,
        .header_bytes = header_bytes,
        .data_bytes = m->len_bytes - header_bytes,
    };
    if (msg->data_bytes) msg->data = m->data + header_bytes;
    return true;
}

struct conn *engine_lane_take(struct engine *e, const struct engine_link *link,
                              const struct adapter_message *m, struct ep_msg *msg) {
    struct conn *c = find(e, link, m);
    if (!c || c->closing || c->silent || !read_message(m, msg)) return NULL;
    stats_add(STATS_MESSAGES_DELIVERED, 1);
    return c;
}

/* As a message that came in one packet; the packet is made here. */
static int queue(struct conn *c, const struct adapter_message *m) {
    struct ep_msg msg;
    if (!read_message(m, &msg)) return WEFT_E_PROTO;
    if (c->closing) return 0;
    struct pbuf *packet = pbuf_create(c->engine, m->len_bytes);
    if (!packet) return WEFT_E_NOMEM;
    memcpy(packet->data, m->data, m->len_bytes);
    int rc = channel_lane_in(c, packet, &msg);
    pbuf_release(c->engine, packet);
    return rc;
}

void engine_lane_in(struct engine *e, uint64_t now, const struct engine_link *link,
                    const struct adapter_message *m) {
    struct conn *c = find(e, link, m);
    if (!c) {
        stats_add(STATS_PACKETS_UNKNOWN, 1);
        return;
    }
    c->refs++;
    c->last_heard_ns = now;
    int rc = queue(c, m);
    if (rc) conn_break(c, now, rc);
    c->refs--;
    conn_update_timer(c);
    conn_maybe_free(c);
}
