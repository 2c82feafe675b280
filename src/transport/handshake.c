/* Handshake: INIT, RESP and RESET; half-open connections are bounded and expire, a new incarnation of a peer
 * retires the connections of the old one. */
#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "transport/conn.h"
#include "transport/stats.h"

#include <stdlib.h>
#include <string.h>

#define INIT_RETRY_NS (30 * WEFT_NS_PER_MS)

static uint32_t first_window(const struct conn *c) {
    const struct adapter_attr *attr = &c->path.link->attr;
    if (!attr->receive_window_bytes) return UINT32_MAX;
    uint64_t floor = 8 * (c->path.packet_bytes + attr->packet_charge_bytes);
    uint64_t share = attr->receive_window_bytes / (c->engine->conn_count + 1);
    uint64_t window = share > floor ? share : floor;
    return window < UINT32_MAX ? (uint32_t)window : UINT32_MAX;
}

int conn_create(struct engine *e, uint64_t now, const struct engine_path *path, struct conn **out) {
    if (path->packet_bytes < WIRE_PATH_MIN) {
        weft_error("transport", "the path carries packets of %zu bytes, %d are needed", path->packet_bytes,
                   WIRE_PATH_MIN);
        return WEFT_E_NOSUP;
    }
    struct conn *c = calloc(1, sizeof *c);
    if (!c) return WEFT_E_NOMEM;
    const unsigned both = ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED;
    c->engine = e;
    c->reliable = (path->link->attr.caps & both) == both;
    int rc = c->reliable ? 0 : sent_init(&c->sent);
    if (rc) goto fail;
    rc = heap_reserve(&e->timers, e->conn_count + 1);
    if (rc) goto fail_sent;
    rc = slot_take(e, now, c);
    if (rc) goto fail_sent;
    e->conn_count++;
    c->path = *path;
    c->path_open = true;
    c->packet_bytes = WIRE_PATH_MIN;
    c->window_bytes = 16 * WIRE_PATH_MIN;
    c->last_heard_ns = now;
    c->loss_at_ns = WEFT_TIME_NEVER;
    c->timer.at_ns = WEFT_TIME_NEVER;
    cwnd_init(&c->cwnd);
    received_init(&c->received);
    weft_map_init(&c->tx_by_ref);
    weft_map_init(&c->channels);
    struct weft_list *lists[] = {&c->ready, &c->queue, &c->again, &c->bulk, &c->txs, &c->rxs, &c->waiting};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) weft_list_init(lists[i]);
    c->ping.kind = CONTENT_PING;
    weft_list_init(&c->ping.node);
    c->close.kind = CONTENT_CLOSE;
    weft_list_init(&c->close.node);
    weft_list_push_back(&e->conns, &c->all);
    *out = c;
    return 0;
fail_sent:
    sent_fini(&c->sent);
fail:
    free(c);
    return rc;
}

int engine_connect(struct engine *e, uint64_t now, const struct engine_from *to, void *user,
                   struct conn **out) {
    struct engine_path path;
    if (to->addr_bytes > ADAPTER_ADDRESS_MAX) return WEFT_E_INVAL;
    int rc = e->cfg.io.path_open(e->cfg.io.ctx, to, &path);
    if (rc) return rc;
    struct conn *c;
    rc = conn_create(e, now, &path, &c);
    if (rc) {
        e->cfg.io.path_close(e->cfg.io.ctx, &path);
        return rc;
    }
    c->state = CONN_INIT_SENT;
    c->user = user;
    memcpy(c->addr, to->addr, to->addr_bytes);
    c->addr_bytes = to->addr_bytes;
    c->init_number = engine_random(e);
    c->init_at_ns = now;
    c->expires_ns = now + e->cfg.connect_timeout_ns;
    stats_add(STATS_CONNECTS, 1);
    conn_mark_ready(c);
    conn_update_timer(c);
    *out = c;
    return 0;
}

/* The adapter's link to the peer ended before the peer answered, for example because the peer was just
 * dropping the link of an earlier connection: a fresh one is tried, until nobody is there or time is up. */
void handshake_path_lost(struct conn *c, uint64_t now) {
    conn_close_path(c);
    c->init_at_ns = now + WEFT_NS_PER_MS;
    conn_update_timer(c);
}

static int reopen_path(struct conn *c) {
    struct engine_from to = {c->path.link, NULL, c->addr, c->addr_bytes};
    const struct engine_io *io = &c->engine->cfg.io;
    int rc = io->path_open(io->ctx, &to, &c->path);
    if (rc) return rc;
    c->path_open = true;
    c->init_number =
        engine_random(c->engine); /* answers to the INITs before concern a connection that ended */
    return c->path.packet_bytes < WIRE_PATH_MIN ? WEFT_E_NOSUP : 0;
}

static void fill_hello(const struct conn *c, struct wire_hello *h) {
    *h = (struct wire_hello){
        .version_min = WIRE_VERSION,
        .version_max = WIRE_VERSION,
        .conn_id = c->id,
        .packet_bytes =
            (uint32_t)(c->path.packet_bytes < WIRE_PACKET_MAX ? c->path.packet_bytes : WIRE_PACKET_MAX),
        .charge_bytes = (uint32_t)c->path.link->attr.packet_charge_bytes,
        .window_bytes = first_window(c),
    };
    memcpy(h->boot_id, c->engine->cfg.boot_id, sizeof h->boot_id);
}

static int send_one(struct conn *c, const void *p, size_t len) {
    struct adapter_packet_out out = {{{(void *)p, len}, {NULL, 0}, {NULL, 0}}};
    const struct engine_io *io = &c->engine->cfg.io;
    return io->send(io->ctx, &c->path, &out, 1);
}

static void send_init(struct conn *c, uint64_t now) {
    struct wire_hello h;
    uint8_t p[WIRE_INIT_BYTES];
    fill_hello(c, &h);
    h.integrity = (c->reliable ? 1 << WIRE_INTEGRITY_NONE : 0) | 1 << WIRE_INTEGRITY_CRC;
    size_t len = wire_hello_write(p, WIRE_INIT, 0, c->init_number, &h);
    int rc = send_one(c, p, len);
    uint64_t wait = INIT_RETRY_NS << (c->init_tries < 5 ? c->init_tries : 5);
    if (rc == 1) {
        c->init_tries++;
        c->init_sent_ns = now;
    } else
        wait = CONN_RETRY_NS * 50;
    c->init_at_ns = now + wait;
    if (rc == WEFT_E_PEER_LOST)
        handshake_path_lost(c, now);
    else if (rc < 0 && rc != WEFT_E_IO)
        conn_down(c, now, rc);
}

static void send_resp(struct conn *c) {
    struct wire_hello h;
    uint8_t p[WIRE_RESP_BYTES];
    fill_hello(c, &h);
    h.integrity = c->integrity;
    h.echo = c->init_number;
    send_one(c, p, wire_hello_write(p, WIRE_RESP, c->remote_id, 0, &h));
}

static void refuse(struct engine *e, const struct engine_from *from, const struct wire_header *head,
                   const struct wire_hello *init, enum wire_status status) {
    struct wire_hello h = {.version_min = WIRE_VERSION,
                           .version_max = WIRE_VERSION,
                           .status = (uint8_t)status,
                           .echo = head->number};
    uint8_t p[WIRE_RESP_BYTES];
    memcpy(h.boot_id, e->cfg.boot_id, sizeof h.boot_id);
    size_t len = wire_hello_write(p, WIRE_RESP, init->conn_id, 0, &h);
    weft_info("transport",
              "a connection is refused, reason %d; the peer offers protocol %u to %u, this side speaks %d",
              status, init->version_min, init->version_max, WIRE_VERSION);
    e->cfg.io.reply(e->cfg.io.ctx, from, p, len);
}

static uint64_t origin_key(const struct wire_hello *h) {
    uint64_t key = wire_get64(h->boot_id) ^ wire_get64(h->boot_id + 8) * 0x9e3779b97f4a7c15ull;
    return (key ^ h->conn_id) * 0xff51afd7ed558ccdull;
}

static bool same_origin(const struct conn *c, const struct wire_hello *h) {
    return c->remote_id == h->conn_id && memcmp(c->remote_boot_id, h->boot_id, sizeof h->boot_id) == 0;
}

static bool usable(const struct wire_hello *h) {
    return h->conn_id != 0 && h->packet_bytes >= WIRE_PATH_MIN && h->charge_bytes <= 1u << 20;
}

/* What the peer's INIT or RESP says about it. */
static void adopt(struct conn *c, const struct wire_hello *h, uint8_t integrity) {
    c->remote_id = h->conn_id;
    memcpy(c->remote_boot_id, h->boot_id, sizeof c->remote_boot_id);
    size_t least = c->path.packet_bytes < h->packet_bytes ? c->path.packet_bytes : h->packet_bytes;
    c->packet_bytes = (uint32_t)(least < WIRE_PACKET_MAX ? least : WIRE_PACKET_MAX);
    c->remote_charge = h->charge_bytes;
    c->window_bytes = h->window_bytes;
    c->integrity = integrity;
}

static int choose_integrity(const struct engine_from *from, uint8_t offered, uint8_t *out) {
    const unsigned both = ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED;
    if ((from->link->attr.caps & both) == both && offered & 1 << WIRE_INTEGRITY_NONE) {
        *out = WIRE_INTEGRITY_NONE;
        return 0;
    }
    *out = WIRE_INTEGRITY_CRC;
    return offered & 1 << WIRE_INTEGRITY_CRC ? 0 : WEFT_E_NOSUP;
}

static int accept_init(struct engine *e, uint64_t now, const struct engine_from *from,
                       const struct wire_header *head, const struct wire_hello *h, uint8_t integrity) {
    struct engine_path path;
    int rc = e->cfg.io.path_open(e->cfg.io.ctx, from, &path);
    if (rc) return rc;
    struct conn *c;
    rc = conn_create(e, now, &path, &c);
    if (rc) {
        e->cfg.io.path_close(e->cfg.io.ctx, &path);
        return rc;
    }
    c->state = CONN_HALF_OPEN;
    c->accepted = c->released = true; /* nobody's until it is confirmed */
    c->origin_key = origin_key(h);
    c->origin_mapped = weft_map_put(&e->origins, c->origin_key, c) == 0;
    c->init_number = head->number;
    c->expires_ns = now + CONN_HALF_OPEN_NS;
    e->half_open++;
    adopt(c, h, integrity);
    c->init_sent_ns = now;
    send_resp(c);
    conn_update_timer(c);
    return 0;
}

void handshake_init_in(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p,
                       size_t len, const struct wire_header *head) {
    struct wire_hello h;
    if (len < WIRE_INIT_BYTES || wire_hello_read(p, len, &h) || h.conn_id == 0) {
        stats_add(STATS_PACKETS_BAD, 1);
        return;
    }
    if (h.version_min > WIRE_VERSION || h.version_max < WIRE_VERSION) {
        refuse(e, from, head, &h, WIRE_REFUSE_VERSION);
        return;
    }
    struct conn *known = weft_map_get(&e->origins, origin_key(&h));
    if (known) { /* the RESP was lost, or the INIT was doubled */
        if (!same_origin(known, &h)) return;
        known->init_number = head->number;
        known->init_sent_ns = now;
        send_resp(known);
        return;
    }
    uint8_t integrity;
    if (!usable(&h))
        stats_add(STATS_PACKETS_BAD, 1);
    else if (!e->cfg.accept)
        refuse(e, from, head, &h, WIRE_REFUSE_CLOSED);
    else if (choose_integrity(from, h.integrity, &integrity))
        refuse(e, from, head, &h, WIRE_REFUSE_INTEGRITY);
    else if (e->half_open >= CONN_HALF_OPEN_MAX)
        refuse(e, from, head, &h, WIRE_REFUSE_BUSY);
    else if (accept_init(e, now, from, head, &h, integrity))
        refuse(e, from, head, &h, WIRE_REFUSE_BUSY);
}

static int refusal_code(const struct wire_hello *h) {
    switch (h->status) {
    case WIRE_REFUSE_VERSION:
        weft_error("transport", "the peer speaks protocol %u to %u, this side speaks %d", h->version_min,
                   h->version_max, WIRE_VERSION);
        return WEFT_E_VERSION;
    case WIRE_REFUSE_BUSY: return WEFT_E_BUSY;
    case WIRE_REFUSE_INTEGRITY: return WEFT_E_NOSUP;
    default: return WEFT_E_REFUSED;
    }
}

void handshake_resp_in(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p,
                       size_t len, const struct wire_header *head) {
    struct wire_hello h;
    struct conn *c = slot_find(e, head->dest);
    if (wire_hello_read(p, len, &h) || !c || !c->path_open || (from->peer && from->peer != c->path.peer)) {
        stats_add(STATS_PACKETS_BAD, 1);
        return;
    }
    if (c->state != CONN_INIT_SENT || h.echo != c->init_number) return; /* an answer to a repeated INIT */
    if (h.status != WIRE_OK) {
        conn_down(c, now, refusal_code(&h));
        return;
    }
    bool good = h.integrity == WIRE_INTEGRITY_CRC || (h.integrity == WIRE_INTEGRITY_NONE && c->reliable);
    if (!usable(&h) || !good || h.version_min > WIRE_VERSION || h.version_max < WIRE_VERSION) {
        stats_add(STATS_PACKETS_BAD, 1);
        return;
    }
    adopt(c, &h, h.integrity);
    c->state = CONN_UP;
    c->last_heard_ns = now;
    c->suspect_since_ns = 0;
    if (c->init_tries == 1)
        rtt_sample(&c->rtt, now - c->init_sent_ns, 0);
    else
        rtt_guess(&c->rtt, now - c->init_sent_ns);
    conn_queue(c, &c->again, &c->ping); /* tells the peer that its answer arrived */
    weft_trace(WEFT_TRACE_PEER_UP, c->id, 0, 0, 0);
    event_push(e, c, &c->up, ENGINE_EVENT_UP, 0);
    conn_update_timer(c);
}

/* A new incarnation at the same place means that the old one is dead. */
static void retire_former(struct conn *c, uint64_t now) {
    weft_list_for_each_safe(it, &c->engine->conns) {
        struct conn *other = weft_list_entry(it, struct conn, all);
        if (other == c || other->state != CONN_UP) continue;
        if (other->path.link != c->path.link || other->path.peer != c->path.peer) continue;
        if (memcmp(other->remote_boot_id, c->remote_boot_id, sizeof c->remote_boot_id) == 0) continue;
        conn_down(other, now, WEFT_E_PEER_LOST);
        conn_maybe_free(other);
    }
}

void handshake_confirm(struct conn *c, uint64_t now) {
    c->state = CONN_UP;
    c->released = false;
    c->engine->half_open--;
    rtt_guess(&c->rtt, now - c->init_sent_ns);
    retire_former(c, now);
    stats_add(STATS_ACCEPTS, 1);
    weft_trace(WEFT_TRACE_PEER_UP, c->id, 1, 0, 0);
    event_push(c->engine, c, &c->up, ENGINE_EVENT_UP, 0);
}

void handshake_tick(struct conn *c, uint64_t now) {
    if (now >= c->expires_ns) {
        conn_down(c, now, c->state == CONN_INIT_SENT ? WEFT_E_TIMEDOUT : WEFT_E_CLOSED);
        return;
    }
    if (c->state != CONN_INIT_SENT) return;
    if (c->suspect_since_ns && now - c->suspect_since_ns >= CONN_SUSPECT_DEAD_NS) {
        conn_down(c, now, WEFT_E_REFUSED);
        return;
    }
    if (now < c->init_at_ns) return;
    int rc = c->path_open ? 0 : reopen_path(c);
    if (rc)
        conn_down(c, now, rc);
    else
        send_init(c, now);
}

/* Tells the sender that its connection does not exist here; at most 100 a second, and never more bytes than
 * came. */
void handshake_reset_out(struct engine *e, uint64_t now, const struct engine_from *from, size_t len,
                         const struct wire_header *head) {
    uint64_t earned = (now - e->reset_at_ns) / (WEFT_NS_PER_S / CONN_RESETS_PER_S);
    if (earned) {
        uint64_t tokens = e->reset_tokens + earned;
        e->reset_tokens = tokens < CONN_RESETS_PER_S ? (uint32_t)tokens : CONN_RESETS_PER_S;
        e->reset_at_ns = now;
    }
    if (len < WIRE_RESET_TRIGGER_BYTES || e->reset_tokens == 0) return;
    e->reset_tokens--;
    uint8_t p[WIRE_RESET_BYTES];
    size_t n = wire_reset_write(p, &(struct wire_reset){head->dest, head->number});
    stats_add(STATS_RESETS_SENT, 1);
    e->cfg.io.reply(e->cfg.io.ctx, from, p, n);
}

/* Believed only when it echoes an id and a number that we did send lately. */
static bool reset_concerns(const struct conn *c, const struct engine_from *from, const struct wire_reset *r) {
    if (c->state != CONN_UP || c->remote_id != r->dest || c->path.link != from->link) return false;
    if (from->peer && from->peer != c->path.peer) return false;
    return r->number < c->next_number && c->next_number - r->number <= 2 * REPLAY_NUMBERS;
}

void handshake_reset_in(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p,
                        size_t len) {
    struct wire_reset r;
    if (wire_reset_read(p, len, &r)) {
        stats_add(STATS_PACKETS_BAD, 1);
        return;
    }
    weft_list_for_each_safe(it, &e->conns) {
        struct conn *c = weft_list_entry(it, struct conn, all);
        if (!reset_concerns(c, from, &r)) continue;
        conn_down(c, now, c->closing ? WEFT_E_CLOSED : WEFT_E_PEER_LOST);
        conn_maybe_free(c);
        return;
    }
}
