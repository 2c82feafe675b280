/* Handshake, the connecting side: INIT goes out until an answer comes or time is up. What both sides share
 * stands here too: making a connection, its confirmation and the timers of one that is not up yet. */
#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "transport/conn.h"
#include "transport/stats.h"

#include <stdlib.h>
#include <string.h>

#define INIT_RETRY_NS (30 * WEFT_NS_PER_MS)
#define INIT_LATE_NS  (500 * WEFT_NS_PER_MS) /* so late is no timer while its process runs */
#define DOUBTS_MAX    4                      /* answers that may be a former incarnation's */
#define REFUSAL_NS    (300 * WEFT_NS_PER_MS) /* that a refusal which nobody signed waits for a true answer */

static int create_on(struct engine *e, uint64_t now, const struct engine_path *path, struct conn **out) {
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
    c->handshake = calloc(1, sizeof *c->handshake);
    sent_init(&c->sent);
    int rc = c->handshake ? 0 : WEFT_E_NOMEM;
    if (rc) goto fail;
    rc = heap_reserve(&e->timers, e->conn_count + 1);
    if (rc) goto fail;
    rc = slot_take(e, now, c);
    if (rc) goto fail;
    e->conn_count++;
    c->path = *path;
    c->path_open = true;
    c->packet_bytes = WIRE_PATH_MIN;
    c->window_bytes = 16 * WIRE_PATH_MIN;
    c->last_heard_ns = now;
    c->relaxed_at_ns = c->used_ns = now;
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
    c->stop.kind = CONTENT_STOP;
    weft_list_init(&c->stop.node);
    c->close.kind = CONTENT_CLOSE;
    weft_list_init(&c->close.node);
    weft_list_push_back(&e->conns, &c->all);
    *out = c;
    return 0;
fail:
    free(c->handshake);
    free(c);
    return rc;
}

int conn_create(struct engine *e, uint64_t now, const struct engine_from *to, struct conn **out) {
    struct engine_path path;
    int rc = e->cfg.io.path_open(e->cfg.io.ctx, to, &path);
    if (rc) return rc;
    rc = create_on(e, now, &path, out);
    if (rc) e->cfg.io.path_close(e->cfg.io.ctx, &path);
    return rc;
}

void handshake_free(struct conn *c) {
    if (!c->handshake) return;
    crypto_wipe(c->handshake, sizeof *c->handshake);
    free(c->handshake);
    c->handshake = NULL;
}

/* Answers to the INITs before do not count. */
static void ask_afresh(struct conn *c) {
    c->init_number = engine_random(c->engine);
    c->met = ++c->engine->next_met;
    c->handshake->len = 0;
}

int engine_connect(struct engine *e, uint64_t now, const struct engine_from *to, void *user,
                   struct conn **out) {
    if (to->addr_bytes > ADAPTER_ADDRESS_MAX) return WEFT_E_INVAL;
    struct conn *c;
    int rc = conn_create(e, now, to, &c);
    if (rc) return rc;
    c->state = CONN_INIT_SENT;
    c->user = user;
    memcpy(c->addr, to->addr, to->addr_bytes);
    c->addr_bytes = to->addr_bytes;
    ask_afresh(c);
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
    ask_afresh(c); /* they concern a connection that ended */
    return c->path.packet_bytes < WIRE_PATH_MIN ? WEFT_E_NOSUP : 0;
}

static int send_one(struct conn *c, const void *p, size_t len) {
    struct adapter_packet_out out = {{{(void *)p, len}, {NULL, 0}, {NULL, 0}}};
    const struct engine_io *io = &c->engine->cfg.io;
    return io->send(io->ctx, &c->path, &out, 1);
}

void handshake_send(struct conn *c) { send_one(c, c->handshake->packet, c->handshake->len); }

/* The same bytes each time: one ephemeral key for one transcript. */
static void send_init(struct conn *c, uint64_t now) {
    int rc = c->handshake->len ? 0 : hello_write_init(c);
    if (rc) {
        conn_down(c, now, rc);
        return;
    }
    c->handshake->cookie_taken = false;
    rc = send_one(c, c->handshake->packet, c->handshake->len);
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

static void say_refusal(const struct conn *c, const struct wire_hello *h) {
    const struct engine *e = c->engine;
    switch (h->status) {
    case WIRE_REFUSE_VERSION:
        weft_error("transport", "the peer speaks protocol %u to %u, this side speaks %d", h->version_min,
                   h->version_max, WIRE_VERSION);
        break;
    case WIRE_REFUSE_INTEGRITY:
        weft_error("transport",
                   "no common protection of packets: the peer takes %s, this side %s (option security)",
                   hello_modes_text(h->integrity), hello_modes_text(hello_modes(e, c->path.link)));
        break;
    case WIRE_REFUSE_KEY:
        weft_error("transport", "%s",
                   !e->keyed ? "the peer demands its cluster's key, and this side has none"
                   : h->features & WIRE_FEATURE_KEY
                       ? "the peer does not have this cluster's key, but another one"
                       : "the peer does not have this cluster's key: it has none");
        break;
    default: break;
    }
}

static int refusal_code(const struct wire_hello *h) {
    switch (h->status) {
    case WIRE_REFUSE_VERSION: return WEFT_E_VERSION;
    case WIRE_REFUSE_BUSY: return WEFT_E_BUSY;
    case WIRE_REFUSE_INTEGRITY: return WEFT_E_NOSUP;
    case WIRE_REFUSE_KEY: return WEFT_E_ACCESS;
    default: return WEFT_E_REFUSED;
    }
}

static void give_up_refused(struct conn *c, uint64_t now, const struct wire_hello *h) {
    say_refusal(c, h);
    conn_down(c, now, refusal_code(h));
}

/* Anybody who sees our INIT could have sent a refusal. Where a key must keep such people out, INITs go on for
 * a moment, and the true peer's answer counts. */
static void take_refusal(struct conn *c, uint64_t now, const struct wire_hello *h) {
    struct handshake *s = c->handshake;
    if (!c->engine->keyed) {
        give_up_refused(c, now, h);
        return;
    }
    if (!s->refused && now + REFUSAL_NS < c->expires_ns) c->expires_ns = now + REFUSAL_NS;
    s->refused = true;
    s->refusal = *h;
    conn_update_timer(c);
}

static void connected(struct conn *c, uint64_t now) {
    c->state = CONN_UP;
    c->last_heard_ns = now;
    c->suspect_since_ns = 0;
    handshake_free(c);
    if (c->init_tries == 1)
        rtt_sample(&c->rtt, now - c->init_sent_ns, 0, 0);
    else
        rtt_guess(&c->rtt, now - c->init_sent_ns);
    conn_queue(c, &c->again, &c->ping); /* tells the peer that its answer arrived */
    weft_trace(WEFT_TRACE_PEER_UP, c->id, 0, 0, 0);
    event_push(c->engine, c, &c->up, ENGINE_EVENT_UP, 0);
    conn_update_timer(c);
}

/* Under another id: the INITs before may still arrive, and an INIT of the same id takes the place of the one
 * before. */
static void start_over(struct conn *c, uint64_t now) {
    c->init_at_ns = now;
    slot_give(c->engine, now, c, true);
    int rc = slot_take(c->engine, now, c);
    if (rc)
        conn_down(c, now, rc);
    else
        ask_afresh(c);
}

/* While this process did not run the other side may have forgotten what it answered. */
static bool is_stale(const struct conn *c, uint64_t now) {
    return now - c->init_sent_ns > CONN_HALF_OPEN_NS / 2;
}

/* Time in which this process did not run is none in which the peer kept silent. */
static void forgive_absence(struct conn *c, uint64_t now) {
    if (c->state != CONN_INIT_SENT || now <= c->init_at_ns + INIT_LATE_NS) return;
    c->expires_ns += now - c->init_at_ns;
    c->init_at_ns = now;
    if (is_stale(c, now)) start_over(c, now);
}

static bool is_other_incarnation(const struct conn *c, const struct conn *other, const uint8_t *boot_id) {
    return (other->state == CONN_UP || other->state == CONN_HALF_OPEN) && other->path.link == c->path.link &&
           other->path.peer == c->path.peer &&
           memcmp(other->remote_boot_id, boot_id, sizeof other->remote_boot_id) != 0;
}

/* Another incarnation was met at this place since the INIT was made: this answer may be one of the former's
 * that was long under way, and a connection to it would stand in the way of the new one's. */
static bool may_be_former(const struct conn *c, const struct wire_hello *h) {
    weft_list_for_each(it, &c->engine->conns) {
        const struct conn *other = weft_list_entry(it, struct conn, all);
        if (other->met > c->met && is_other_incarnation(c, other, h->boot_id)) return true;
    }
    return false;
}

void handshake_resp_in(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p,
                       size_t len, const struct wire_header *head) {
    struct wire_hello h;
    struct conn *c = slot_find(e, head->dest);
    if (wire_hello_read(p, len, &h) || !c || !c->path_open || (from->peer != c->path.peer)) {
        stats_add(STATS_PACKETS_BAD, 1);
        return;
    }
    if (c->state != CONN_INIT_SENT || h.echo != c->init_number) return; /* an answer to a repeated INIT */
    if (is_stale(c, now)) {
        forgive_absence(c, now);
        conn_update_timer(c);
        return;
    }
    if (h.status != WIRE_OK) {
        take_refusal(c, now, &h);
        return;
    }
    bool good = h.integrity < 8 && hello_modes(e, c->path.link) >> h.integrity & 1;
    if (!hello_usable(&h) || !good || h.version_min > WIRE_VERSION || h.version_max < WIRE_VERSION ||
        hello_read_resp(c, &h, p, len)) {
        stats_add(STATS_PACKETS_BAD, 1);
        return;
    }
    if (c->handshake->doubts < DOUBTS_MAX && may_be_former(c, &h)) {
        c->handshake->doubts++;
        start_over(c, now);
        conn_update_timer(c);
        return;
    }
    hello_adopt(c, now, &h, h.integrity);
    connected(c, now);
}

/* The peer is busy and wants to see that we receive here: the same INIT again, with its cookie. At once only
 * in answer to the first COOKIE after an INIT of ours, so that nobody makes us send more than we would. */
void handshake_cookie_in(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p,
                         size_t len, const struct wire_header *head) {
    struct wire_cookie cookie;
    struct conn *c = slot_find(e, head->dest);
    if (wire_cookie_read(p, len, &cookie) || !c || !c->path_open ||
        (from->peer && from->peer != c->path.peer)) {
        stats_add(STATS_PACKETS_BAD, 1);
        return;
    }
    struct handshake *s = c->handshake;
    if (c->state != CONN_INIT_SENT || cookie.echo != c->init_number || !s->len || s->cookie_taken) return;
    s->cookie_taken = true;
    memcpy(s->packet + WIRE_COOKIE_AT, cookie.cookie, WIRE_COOKIE_BYTES);
    wire_hello_seal(s->packet, s->len);
    c->init_tries++; /* the round trip is not that of one INIT */
    c->init_sent_ns = now;
    handshake_send(c);
}

/* A new incarnation at the same place means that the old one is dead. A late packet of the old one may
 * confirm a connection that was half open when the new one came: then it is this one that ends. */
static bool retire_former(struct conn *c, uint64_t now) {
    weft_list_for_each_safe(it, &c->engine->conns) {
        struct conn *other = weft_list_entry(it, struct conn, all);
        if (other->state != CONN_UP || !is_other_incarnation(c, other, c->remote_boot_id)) continue;
        if (other->met > c->met) return false;
        conn_down(other, now, WEFT_E_PEER_LOST);
        conn_maybe_free(other);
    }
    return true;
}

void handshake_confirm(struct conn *c, uint64_t now) {
    if (!retire_former(c, now)) {
        conn_down(c, now, WEFT_E_PEER_LOST);
        return;
    }
    c->state = CONN_UP;
    conn_mark_ready(c); /* asks the path what it carries */
    c->released = false;
    handshake_free(c);
    c->engine->half_open--;
    rtt_guess(&c->rtt, now - c->init_sent_ns);
    stats_add(STATS_ACCEPTS, 1);
    weft_trace(WEFT_TRACE_PEER_UP, c->id, 1, 0, 0);
    event_push(c->engine, c, &c->up, ENGINE_EVENT_UP, 0);
}

void handshake_tick(struct conn *c, uint64_t now) {
    forgive_absence(c, now);
    if (c->state == CONN_DOWN) return;
    if (now >= c->expires_ns) {
        if (c->handshake->refused)
            give_up_refused(c, now, &c->handshake->refusal);
        else
            conn_down(c, now, c->state == CONN_INIT_SENT ? WEFT_E_TIMEDOUT : WEFT_E_CLOSED);
        return;
    }
    if (c->state != CONN_INIT_SENT) return;
    /* The doubt counts only if it met the last INIT too: somebody may have come there since. */
    if (c->suspect_since_ns && now - c->suspect_since_ns >= CONN_SUSPECT_DEAD_NS &&
        c->last_hint_ns >= c->init_sent_ns) {
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
