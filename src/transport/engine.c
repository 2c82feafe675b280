/* The engine's frame: creation, the way of a packet from input to its items, the ready list, timers and
 * events. */
#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "transport/conn.h"
#include "transport/dummy.h"
#include "transport/stats.h"

#include <stdlib.h>
#include <string.h>

#define TX_POOLED_BYTES 1024u
#define EPOCH_NS        (64 * WEFT_NS_PER_MS)  /* a peer that sent within the last two epochs is active */
#define STOPPED_NS      (500 * WEFT_NS_PER_MS) /* timers that late: this process was stopped */

uint64_t engine_random(struct engine *e) { /* splitmix64 */
    uint64_t z = e->random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static int take_key(struct engine *e, const uint8_t *key) {
    uint8_t mac_key[CRYPTO_KEY_BYTES];
    memcpy(e->key, key, sizeof e->key);
    int rc = crypto_expand(key, "weft init", mac_key, sizeof mac_key);
    if (rc == 0) rc = crypto_mac_create(&e->init_mac, mac_key);
    crypto_wipe(mac_key, sizeof mac_key);
    e->keyed = rc == 0;
    return rc;
}

int engine_create(struct engine **out, const struct engine_config *cfg) {
    struct engine *e = calloc(1, sizeof *e);
    if (!e) return WEFT_E_NOMEM;
    int rc = cfg->key ? take_key(e, cfg->key) : 0;
    if (rc) {
        free(e);
        return rc;
    }
    e->cfg = *cfg;
    e->cfg.key = NULL;
    if (!e->cfg.phase_bits) e->cfg.phase_bits = SECURE_PHASE_BITS;
    if (!e->cfg.tag_superpackets) e->cfg.tag_superpackets = WIRE_TAG_SUPERPACKETS;
    if (!e->cfg.held_all_bytes) e->cfg.held_all_bytes = CONN_HELD_ALL_BYTES;
    if (!e->cfg.tags_per_peer) e->cfg.tags_per_peer = CONN_TAGS_MAX;
    if (!e->cfg.tags_all) e->cfg.tags_all = CONN_TAGS_ALL_MAX;
    e->random = cfg->seed;
    e->answers = limit_of(CONN_ANSWERS_PER_S);
    e->cookie_answers = limit_of(CONN_COOKIES_PER_S);
    e->next_token = 1;
    weft_list_init(&e->conns);
    weft_list_init(&e->ready);
    turn_line_init(&e->line, cfg->bulk_patience_ns);
    e->turns_at_ns = WEFT_TIME_NEVER;
    weft_list_init(&e->events);
    weft_list_init(&e->pulls);
    heap_init(&e->timers);
    weft_map_init(&e->origins);
    weft_map_init(&e->rx_by_token);
    pool_init(&e->tx_pool, TX_POOLED_BYTES, 1024);
    pool_init(&e->rx_pool, sizeof(struct rx), 1024);
    pool_init(&e->packet_pool, sizeof(struct pbuf) + PBUF_POOLED_BYTES, 1024);
    pool_init(&e->content_pool, sizeof(struct content), 1024);
    *out = e;
    return 0;
}

void engine_destroy(struct engine *e) {
    if (!e) return;
    weft_list_for_each_safe(it, &e->conns) {
        struct conn *c = weft_list_entry(it, struct conn, all);
        c->silent = true;
        conn_down(c, 0, WEFT_E_CLOSED);
        c->owes_close = false;
        conn_close_path(c);
    }
    for (struct weft_list *n; (n = weft_list_pop_front(&e->events));)
        event_free(e, weft_list_entry(n, struct engine_event, node));
    weft_list_for_each_safe(it, &e->conns) conn_destroy(weft_list_entry(it, struct conn, all));
    free(e->slots);
    heap_fini(&e->timers);
    weft_map_fini(&e->origins);
    weft_map_fini(&e->rx_by_token);
    dummy_destroy(e->dummy);
    pool_fini(&e->tx_pool);
    pool_fini(&e->rx_pool);
    pool_fini(&e->packet_pool);
    pool_fini(&e->content_pool);
    free(e->burst.frame);
    cookie_fini(&e->cookies);
    crypto_mac_destroy(e->init_mac);
    crypto_wipe(e->key, sizeof e->key);
    free(e);
}

void conn_mark_ready(struct conn *c) {
    if (c->state == CONN_DOWN || !weft_list_empty(&c->ready)) return;
    weft_list_push_back(&c->engine->ready, &c->ready);
}

void conn_queue(struct conn *c, struct weft_list *queue, struct content *content) {
    weft_list_remove(&content->node);
    weft_list_push_back(queue, &content->node);
    conn_mark_ready(c);
}

int conn_channel(struct conn *c, uint16_t number, struct channel **out) {
    struct channel *ch = weft_map_get(&c->channels, number);
    if (!ch) {
        if (c->channels.count >= CONN_CHANNELS_MAX) return WEFT_E_LIMIT;
        ch = calloc(1, sizeof *ch);
        if (!ch) return WEFT_E_NOMEM;
        weft_list_init(&ch->ahead);
        if (weft_map_put(&c->channels, number, ch)) {
            free(ch);
            return WEFT_E_NOMEM;
        }
    }
    *out = ch;
    return 0;
}

void conn_maybe_free(struct conn *c) {
    if (c->state == CONN_DOWN && c->released && c->refs == 0 && !c->owes_close) conn_destroy(c);
}

void conn_update_timer(struct conn *c) {
    uint64_t t;
    switch (c->state) {
    case CONN_INIT_SENT: t = c->init_at_ns < c->expires_ns ? c->init_at_ns : c->expires_ns; break;
    case CONN_HALF_OPEN: t = c->expires_ns; break;
    case CONN_UP: t = recovery_deadline(c); break;
    default: t = c->owes_close ? c->retry_at_ns : WEFT_TIME_NEVER;
    }
    if (c->closing && c->state != CONN_DOWN && c->close_deadline_ns < t) t = c->close_deadline_ns;
    heap_set(&c->engine->timers, &c->timer, t);
}

struct pbuf *pbuf_create(struct engine *e, size_t len) {
    bool pooled = len <= PBUF_POOLED_BYTES;
    struct pbuf *p = pooled ? pool_get(&e->packet_pool) : malloc(sizeof *p + len);
    if (!p) return NULL;
    *p = (struct pbuf){.refs = 1, .pooled = pooled, .len = len};
    e->packets_live++;
    return p;
}

void pbuf_release(struct engine *e, struct pbuf *p) {
    if (--p->refs) return;
    e->packets_live--;
    if (p->pooled)
        pool_put(&e->packet_pool, p);
    else
        free(p);
}

/* Packets come in trains: the timer is set once for all of one. */
void engine_settle(struct engine *e) {
    struct conn *c = e->touched;
    e->touched = NULL;
    if (c) conn_update_timer(c);
}

/* -- input -- */

static int msg_in(struct conn *c, struct pbuf *packet, const struct wire_item *item) {
    struct wire_msg m;
    int rc = wire_msg_read(item, &m);
    if (rc) return rc;
    return c->closing ? channel_closing_in(c, m.channel, m.id) : channel_msg_in(c, packet, &m);
}

static int frag_in(struct conn *c, const struct wire_item *item) {
    struct wire_frag f;
    int rc = wire_frag_read(item, &f);
    if (rc) return rc;
    return c->closing ? channel_closing_in(c, f.channel, f.id) : channel_frag_in(c, &f);
}

static int rts_in(struct conn *c, struct pbuf *packet, const struct wire_item *item) {
    struct wire_rts r;
    int rc = wire_rts_read(item, &r);
    if (rc) return rc;
    return c->closing ? channel_closing_in(c, r.channel, r.id) : channel_rts_in(c, packet, &r);
}

static int item_in(struct conn *c, uint64_t now, struct pbuf *packet, const struct wire_item *item) {
    int rc = WEFT_E_PROTO;
    switch (item->type) {
    case WIRE_ITEM_MSG: return msg_in(c, packet, item);
    case WIRE_ITEM_FRAG: return frag_in(c, item);
    case WIRE_ITEM_RTS: return rts_in(c, packet, item);
    case WIRE_ITEM_OKTOSEND:
    case WIRE_ITEM_SEND_NORMAL: {
        struct wire_oktosend o;
        return (rc = wire_oktosend_read(item, &o)) ? rc : rendezvous_oktosend_in(c, &o);
    }
    case WIRE_ITEM_WINDOW: {
        struct wire_window w;
        return (rc = wire_window_read(item, &w)) ? rc : rendezvous_window_in(c, &w);
    }
    case WIRE_ITEM_FIN: {
        struct wire_fin f;
        return (rc = wire_fin_read(item, &f)) ? rc : rendezvous_fin_in(c, &f);
    }
    case WIRE_ITEM_ACK: {
        struct wire_ack a;
        return (rc = wire_ack_read(item, &a)) ? rc : recovery_ack_in(c, now, &a);
    }
    case WIRE_ITEM_STOP: close_stop_in(c); return 0;
    default: return item->type & 0x80 ? 0 : rc;
    }
}

/* All items but CLOSE, which is told to the caller: it must come last. */
static int ctrl_in(struct conn *c, uint64_t now, struct pbuf *packet, bool *closes, uint32_t *reason) {
    const uint8_t *p = packet->data + WIRE_HEADER_BYTES;
    size_t left = packet->len - WIRE_OVERHEAD_BYTES;
    struct wire_item item;
    int rc, again = 0;
    c->answerable = c->continued = true;
    while ((rc = wire_item_next(&p, &left, &item)) == 0) {
        bool message =
            item.type == WIRE_ITEM_MSG || item.type == WIRE_ITEM_FRAG || item.type == WIRE_ITEM_ACK;
        if (!message) c->answerable = false;
        if (!message && item.type != WIRE_ITEM_RTS) c->continued = false;
        if (item.type == WIRE_ITEM_CLOSE) {
            if ((rc = wire_close_read(&item, reason))) return rc;
            *closes = true;
            continue;
        }
        rc = item_in(c, now, packet, &item);
        if (rc == WEFT_E_AGAIN)
            again = rc; /* the others are taken all the same: they may come twice */
        else if (rc)
            return rc;
        if (c->state != CONN_UP) return 0;
    }
    return rc == WEFT_E_NOENT ? again : rc;
}

static void note_active(struct conn *c, uint64_t now) {
    struct engine_link *l = c->path.link;
    uint64_t epoch = now / EPOCH_NS + 1;
    if (l->epoch != epoch) {
        l->active_before = l->epoch + 1 == epoch ? l->active_now : 0;
        l->active_now = 0;
        l->epoch = epoch;
    }
    if (c->active_epoch == epoch) return;
    c->active_epoch = epoch;
    l->active_now++;
}

static void heard(struct conn *c, uint64_t now) {
    c->last_heard_ns = now;
    c->suspect_since_ns = 0;
    if (c->state == CONN_HALF_OPEN) handshake_confirm(c, now);
}

/* A valid packet has been taken. */
static int note_taken(struct conn *c, uint64_t now, const struct wire_header *h) {
    if (c->reliable) {
        c->replay.next = h->number + 1;
        return 0;
    }
    int rc = replay_mark(&c->replay, h->number);
    if (rc) return rc;
    bool eliciting = h->flags & WIRE_ACK_ELICITING;
    enum received_when when = RECEIVED_LATER;
    if (h->flags & WIRE_ACK_NOW) when = c->answerable ? RECEIVED_SOON : RECEIVED_NOW;
    if (when == RECEIVED_LATER && c->continued && c->engine->cfg.patient) when = RECEIVED_PATIENT;
    if (c->ack_now) when = RECEIVED_NOW;
    rc = received_note(&c->received, now, h->number, eliciting, when);
    c->ack_now = false;
    if (eliciting) note_active(c, now);
    if (c->received.due_ns <= now) conn_mark_ready(c);
    return rc;
}

/* -- from packets to their contents --
 *
 * Encrypted data is decrypted straight into the buffer that waits for it, before its tag has been checked:
 * the only pass over the bytes. A forged packet can therefore put garbage there, but only where that is the
 * state of things anyway: in the place of a chunk that has not arrived, of a buffer that nobody may look at
 * before it is complete. What has arrived is never written again, because its bit is looked at first, and the
 * garbage does not stay, because the chunk's bit is not set and the true one overwrites it. Everything else
 * is decrypted to where nobody looks. */

static int open_start(struct conn *c, const struct wire_header *h) {
    uint8_t header[WIRE_HEADER_BYTES]; /* written anew: the packet may lie in shared memory */
    wire_header_write(header, h);
    return secure_open_start(c->secure, h->number, header);
}

/* The whole of a packet without a frame of its own, into `to`. The result WEFT_E_ACCESS, here and below: the
 * packet is not authentic, and nothing was done. */
static int body_open(struct conn *c, const struct wire_header *h, const uint8_t *packet, size_t len,
                     uint8_t *to) {
    const uint8_t *body = packet + WIRE_HEADER_BYTES, *tag = packet + len - WIRE_TRAILER_BYTES;
    int rc = open_start(c, h);
    if (rc) return rc;
    bool holds = secure_open_part(c->secure, body, (size_t)(tag - body), to) &&
                 secure_open_end(c->secure, h->number, tag);
    return holds ? 0 : WEFT_E_ACCESS;
}

static int data_open(struct conn *c, uint64_t now, const struct wire_header *h, const uint8_t *body,
                     size_t payload_bytes) {
    uint8_t frame[WIRE_DATA_BYTES], *to = NULL;
    struct wire_data d;
    int rc = open_start(c, h);
    if (rc) return rc;
    if (!secure_open_part(c->secure, body, sizeof frame, frame)) return WEFT_E_ACCESS;
    wire_data_read(frame, &d);
    bool fits = d.length == payload_bytes;
    if (fits && c->state == CONN_UP) to = rendezvous_place(c, &d);
    if (!to) to = c->engine->burst.frame;
    const uint8_t *payload = body + sizeof frame;
    if (!secure_open_part(c->secure, payload, payload_bytes, to) ||
        !secure_open_end(c->secure, h->number, payload + payload_bytes))
        return WEFT_E_ACCESS;
    heard(c, now);
    if (c->state != CONN_UP) return 0;
    if (!fits) return WEFT_E_PROTO;
    return rendezvous_data_in(c, &d, to);
}

static int data_in(struct conn *c, uint64_t now, const struct wire_header *h, const uint8_t *packet,
                   size_t len) {
    struct wire_data d;
    const uint8_t *body = packet + WIRE_HEADER_BYTES;
    bool sealed = c->integrity == WIRE_INTEGRITY_AES;
    if (len < WIRE_OVERHEAD_BYTES + WIRE_DATA_BYTES) return sealed ? WEFT_E_ACCESS : WEFT_E_PROTO;
    size_t payload_bytes = len - WIRE_OVERHEAD_BYTES - WIRE_DATA_BYTES;
    if (sealed) return data_open(c, now, h, body, payload_bytes);
    heard(c, now);
    if (c->state != CONN_UP) return 0;
    wire_data_read(body, &d);
    if (d.length != payload_bytes) return WEFT_E_PROTO;
    return rendezvous_data_in(c, &d, body + WIRE_DATA_BYTES);
}

static int probe_in(struct conn *c, uint64_t now, const struct wire_header *h, const uint8_t *packet,
                    size_t len) {
    bool sealed = c->integrity == WIRE_INTEGRITY_AES;
    int rc = sealed ? body_open(c, h, packet, len, c->engine->burst.frame) : 0;
    if (rc) return rc;
    heard(c, now);
    return c->reliable ? WEFT_E_PROTO : 0;
}

/* A copy of a CTRL packet, in the clear: messages lead into it. */
static int copy_in(struct conn *c, const struct wire_header *h, const uint8_t *packet, size_t len,
                   struct pbuf **out) {
    struct pbuf *copy = pbuf_create(c->engine, len);
    if (!copy) return WEFT_E_AGAIN;
    *out = copy;
    if (c->integrity != WIRE_INTEGRITY_AES) {
        memcpy(copy->data, packet, len);
        return 0;
    }
    int rc = body_open(c, h, packet, len, copy->data + WIRE_HEADER_BYTES);
    if (rc) pbuf_release(c->engine, copy);
    return rc;
}

static int packet_in(struct conn *c, uint64_t now, const struct wire_header *h, const uint8_t *packet,
                     size_t len) {
    bool closes = false;
    uint32_t reason = 0;
    int rc;
    if (h->type == WIRE_DATA) {
        c->answerable = c->continued = false;
        rc = data_in(c, now, h, packet, len);
    } else if (h->type == WIRE_PROBE) { /* that it has come is the answer */
        c->answerable = c->continued = false;
        rc = probe_in(c, now, h, packet, len);
    } else {
        struct pbuf *copy;
        if ((rc = copy_in(c, h, packet, len, &copy))) return rc;
        heard(c, now);
        if (c->state == CONN_UP) rc = ctrl_in(c, now, copy, &closes, &reason);
        pbuf_release(c->engine, copy);
    }
    if (rc || c->state != CONN_UP) return rc;
    rc = note_taken(c, now, h);
    if (rc == 0 && closes) close_in(c, now, reason);
    return rc;
}

/* Whether the trailer holds, or is still to be looked at when the packet is opened. */
static bool trailer_holds(const struct conn *c, const uint8_t *packet, size_t len) {
    if (c->integrity == WIRE_INTEGRITY_AES) return true;
    if (c->secure && c->integrity == WIRE_INTEGRITY_CRC)
        return wire_trailer_check_token(packet, len, c->secure->receive_token);
    return wire_trailer_check(packet, len, c->integrity);
}

/* A number that its adapter's promise of order does not allow. What is not authentic proves nothing. */
static void out_of_order(struct conn *c, uint64_t now, const struct wire_header *h, const uint8_t *packet,
                         size_t len) {
    struct pbuf *copy = NULL;
    if (c->integrity == WIRE_INTEGRITY_AES && copy_in(c, h, packet, len, &copy)) {
        stats_add(STATS_PACKETS_FORGED, 1);
        return;
    }
    if (copy) pbuf_release(c->engine, copy);
    stats_add(STATS_PACKETS_DUPLICATE, 1);
    conn_break(c, now, WEFT_E_PROTO);
    conn_maybe_free(c);
}

static void take(struct conn *c, uint64_t now, const struct wire_header *h, const uint8_t *packet,
                 size_t len) {
    c->refs++;
    int rc = packet_in(c, now, h, packet, len);
    stats_add(rc == WEFT_E_ACCESS ? STATS_PACKETS_FORGED : STATS_PACKETS_RECEIVED, 1);
    if (rc == WEFT_E_AGAIN && !c->reliable)
        stats_add(STATS_PACKETS_NOT_TAKEN, 1);
    else if (rc && rc != WEFT_E_ACCESS)
        conn_break(c, now, rc == WEFT_E_AGAIN ? WEFT_E_LIMIT : rc);
    c->refs--;
    recovery_relax(c, now);
    recovery_rest(c, now);
    if (c->state == CONN_UP && !c->closing) {
        if (c->engine->touched != c) engine_settle(c->engine);
        c->engine->touched = c;
        return;
    }
    close_tick(c, now);
    conn_update_timer(c);
    conn_maybe_free(c);
}

static void connection_in(struct engine *e, uint64_t now, const struct engine_from *from,
                          const struct wire_header *h, const uint8_t *packet, size_t len) {
    struct conn *c = slot_find(e, h->dest);
    if (!c) {
        stats_add(STATS_PACKETS_UNKNOWN, 1);
        reset_out(e, now, from, len, h);
        return;
    }
    bool wrong_place = from->link != c->path.link || (from->peer != c->path.peer);
    if (wrong_place || c->state == CONN_INIT_SENT || !trailer_holds(c, packet, len)) {
        stats_add(STATS_PACKETS_BAD, 1);
    } else if (c->reliable && h->number != c->replay.next) {
        out_of_order(c, now, h, packet, len);
    } else if (!c->reliable && !replay_is_new(&c->replay, h->number)) {
        stats_add(STATS_PACKETS_DUPLICATE, 1);
    } else {
        weft_trace_at(now, WEFT_TRACE_PACKET_IN, c->id, h->number, len, h->type);
        take(c, now, h, packet, len);
    }
}

void engine_input(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *packet,
                  size_t len) {
    struct wire_header h;
    if (wire_header_read(packet, len, &h)) {
        stats_add(STATS_PACKETS_BAD, 1);
        return;
    }
    if (h.type == WIRE_INIT || h.type == WIRE_RESP || h.type == WIRE_COOKIE || h.type == WIRE_RESET) {
        uint8_t copy[WIRE_INIT_BYTES];
        size_t n = len < sizeof copy ? len : sizeof copy;
        memcpy(copy, packet, n);
        if (!wire_trailer_check(packet, len, WIRE_INTEGRITY_CRC))
            stats_add(STATS_PACKETS_BAD, 1);
        else if (h.type == WIRE_INIT)
            handshake_init_in(e, now, from, copy, n, &h);
        else if (h.type == WIRE_RESP)
            handshake_resp_in(e, now, from, copy, n, &h);
        else if (h.type == WIRE_COOKIE)
            handshake_cookie_in(e, now, from, copy, n, &h);
        else
            reset_in(e, now, from, copy, n);
        return;
    }
    if (h.version != WIRE_VERSION || (h.type != WIRE_CTRL && h.type != WIRE_DATA && h.type != WIRE_PROBE) ||
        h.flags & ~WIRE_FLAGS_KNOWN) {
        stats_add(STATS_PACKETS_BAD, 1);
        return;
    }
    connection_in(e, now, from, &h, packet, len);
}

const struct adapter_form engine_packet_form = {
    .length_at = 2, .least_bytes = WIRE_PACKET_MIN, .kinds = WIRE_TYPES};

bool engine_wants_pause(struct engine *e) {
    bool wants = e->pause;
    e->pause = false;
    return wants;
}

void conn_suspect(struct conn *c, uint64_t now) {
    c->last_hint_ns = now;
    if (c->suspect_since_ns || c->state == CONN_HALF_OPEN) return;
    c->suspect_since_ns = now ? now : 1;
    if (c->suspect_probe_ns < now) c->suspect_probe_ns = now; /* else asked a moment ago */
    conn_update_timer(c);
}

void engine_peer_lost(struct engine *e, uint64_t now, struct engine_link *link, struct adapter_peer *peer,
                      bool hint) {
    weft_list_for_each_safe(it, &e->conns) {
        struct conn *c = weft_list_entry(it, struct conn, all);
        if (c->state == CONN_DOWN || !c->path_open || c->path.link != link || c->path.peer != peer) continue;
        if (!hint && c->state == CONN_INIT_SENT) {
            handshake_path_lost(c, now);
            continue;
        }
        if (!hint) {
            conn_down(c, now, c->close_sent ? WEFT_E_CLOSED : WEFT_E_PEER_LOST);
            conn_maybe_free(c);
            continue;
        }
        conn_suspect(c, now);
    }
}

/* -- output and time -- */

static void output_one(struct conn *c, uint64_t now, bool *more) {
    c->refs++;
    if (conn_output(c, now)) {
        conn_mark_ready(c);
        *more = true;
    }
    close_tick(c, now);
    c->refs--;
    conn_update_timer(c);
    conn_maybe_free(c);
}

bool engine_output(struct engine *e, uint64_t now) {
    bool more = false;
    engine_settle(e);
    struct weft_list batch;
    weft_list_init(&batch);
    weft_list_splice(&batch, &e->ready);
    for (struct weft_list *n; (n = weft_list_pop_front(&batch));)
        output_one(weft_list_entry(n, struct conn, ready), now, &more);
    return more || !weft_list_empty(&e->ready);
}

void engine_output_acks(struct engine *e, uint64_t now) {
    weft_list_for_each_safe(it, &e->conns) {
        struct conn *c = weft_list_entry(it, struct conn, all);
        if (c->reliable || c->state != CONN_UP || !received_owes_before_sleep(&c->received, now)) continue;
        c->refs++;
        conn_output_ack(c, now);
        c->refs--;
        conn_update_timer(c);
        conn_maybe_free(c);
    }
}

void engine_flush_all(struct engine *e) {
    weft_list_for_each(it, &e->conns) {
        struct conn *c = weft_list_entry(it, struct conn, all);
        if (c->held) engine_flush(e, c);
    }
}

void engine_tick(struct engine *e, uint64_t now) {
    engine_settle(e);
    uint64_t before = e->ticked_ns ? e->ticked_ns : now;
    e->ticked_ns = now;
    struct heap_node *first = heap_first(&e->timers);
    if (!first || first->at_ns > now) return;
    /* No later than since the last time: a timer that was due at once, or ever since, is no stop. */
    uint64_t late = now - (first->at_ns > before ? first->at_ns : before);
    if (late > STOPPED_NS)
        weft_list_for_each(it, &e->conns) recovery_late(weft_list_entry(it, struct conn, all), late);
    for (size_t n = e->timers.count; n > 0 && (first = heap_first(&e->timers)) && first->at_ns <= now; n--) {
        struct conn *c = weft_container_of(first, struct conn, timer);
        heap_set(&e->timers, first, WEFT_TIME_NEVER);
        c->refs++;
        if (c->state == CONN_INIT_SENT || c->state == CONN_HALF_OPEN) handshake_tick(c, now);
        recovery_tick(c, now);
        close_tick(c, now);
        conn_output_owed_close(c, now);
        c->refs--;
        bool more;
        if (!weft_list_empty(&c->ready)) {
            weft_list_remove(&c->ready);
            output_one(c, now, &more);
        } else {
            conn_update_timer(c);
            conn_maybe_free(c);
        }
    }
}

uint64_t engine_next_deadline(struct engine *e) {
    engine_settle(e);
    const struct heap_node *first = heap_first(&e->timers);
    return first ? first->at_ns : WEFT_TIME_NEVER;
}

/* -- the owner's view -- */

void engine_release(struct engine *e, struct conn *c, bool silent) {
    c->released = true;
    c->silent |= silent;
    conn_maybe_free(c);
}

void engine_silence(struct conn *c) { c->silent = true; }

void *engine_conn_user(const struct conn *c) { return c->user; }
void engine_conn_set_user(struct conn *c, void *user) { c->user = user; }
const struct engine_path *engine_conn_path(const struct conn *c) { return &c->path; }
bool engine_conn_is_up(const struct conn *c) { return c->state == CONN_UP && !c->closing; }
bool engine_conn_is_down(const struct conn *c) { return c->state == CONN_DOWN; }
uint64_t engine_conn_rtt_ns(const struct conn *c) { return c->rtt.smoothed_ns; }

struct conn *engine_conn_next(struct engine *e, struct conn *after) {
    struct weft_list *n = after ? after->all.next : e->conns.next;
    return n == &e->conns ? NULL : weft_list_entry(n, struct conn, all);
}

void engine_usage(const struct engine *e, struct engine_usage *out) {
    *out = (struct engine_usage){.conns = e->conn_count,
                                 .txs = e->tx_live,
                                 .rxs = e->rx_live,
                                 .packets = e->packets_live,
                                 .tags = e->tags_used,
                                 .staged_bytes = e->staged_bytes};
    weft_list_for_each(it, &e->conns) out->held_bytes += weft_list_entry(it, struct conn, all)->held_bytes;
}
