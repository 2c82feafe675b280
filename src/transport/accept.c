/* Handshake, the accepting side. Nothing is kept for a sender whose INIT does not prove the key; half-open
 * connections are bounded and expire, and nobody is told of them. */
#include "base/error.h"
#include "base/log.h"
#include "transport/conn.h"
#include "transport/stats.h"

#include <stdio.h>
#include <string.h>

static const char *reason_text(const struct engine *e, const struct wire_hello *init,
                               enum wire_status status) {
    switch (status) {
    case WIRE_REFUSE_VERSION: return "it speaks another version of the protocol";
    case WIRE_REFUSE_CLOSED: return "this side takes no connections";
    case WIRE_REFUSE_BUSY: return "too many are being made";
    case WIRE_REFUSE_INTEGRITY: return "no common protection of packets";
    default: break;
    }
    if (!e->keyed) return "it has a cluster key, and this side has none";
    return init->features & WIRE_FEATURE_KEY ? "it does not have this cluster's key, but another one"
                                             : "it does not have this cluster's key: it has none";
}

/* At most once a second: whoever sends INITs must not fill the log. */
static void say_refused(struct engine *e, uint64_t now, const struct engine_from *from,
                        const struct wire_hello *init, enum wire_status status) {
    char both[96] = "", origin[96] = "";
    e->refusals++;
    if (e->refusals_said && now - e->refusals_said_ns < WEFT_NS_PER_S) return;
    if (e->cfg.io.origin_text) e->cfg.io.origin_text(e->cfg.io.ctx, from, origin, sizeof origin);
    if (status == WIRE_REFUSE_VERSION)
        snprintf(both, sizeof both, ": %u to %u, this side speaks %d", init->version_min, init->version_max,
                 WIRE_VERSION);
    else if (status == WIRE_REFUSE_INTEGRITY)
        snprintf(both, sizeof both, ": it takes %s, this side %s (option security)",
                 hello_modes_text(init->integrity), hello_modes_text(hello_modes(e, from->link)));
    weft_warn("transport", "a connection%s%s is refused: %s%s (refused since the last such line: %lu)",
              *origin ? " from " : "", origin, reason_text(e, init, status), both,
              (unsigned long)(e->refusals - e->refusals_said));
    e->refusals_said = e->refusals;
    e->refusals_said_ns = now;
}

static void refuse(struct engine *e, uint64_t now, const struct engine_from *from,
                   const struct wire_header *head, const struct wire_hello *init, enum wire_status status) {
    struct wire_hello h;
    uint8_t p[WIRE_RESP_BYTES_MAX];
    say_refused(e, now, from, init, status);
    if (!limit_take(&e->answers, now)) return;
    hello_describe(e, &h);
    h.status = (uint8_t)status;
    h.integrity = hello_modes(e, from->link);
    h.echo = head->number;
    e->cfg.io.reply(e->cfg.io.ctx, from, p, wire_hello_write(p, WIRE_RESP, init->conn_id, 0, &h));
}

static uint64_t origin_key(const struct wire_hello *h) {
    uint64_t key = le_get64(h->boot_id) ^ le_get64(h->boot_id + 8) * 0x9e3779b97f4a7c15ull;
    return (key ^ h->conn_id) * 0xff51afd7ed558ccdull;
}

static bool same_origin(const struct conn *c, const struct wire_hello *h) {
    return c->remote_id == h->conn_id && memcmp(c->remote_boot_id, h->boot_id, sizeof h->boot_id) == 0;
}

/* A connection in answer to an INIT; `n` has read its part of the handshake. */
static int open_half(struct engine *e, uint64_t now, const struct engine_from *from,
                     const struct wire_header *head, const struct wire_hello *h, struct conn **out) {
    struct conn *c;
    int rc = conn_create(e, now, from, &c);
    if (rc) return rc;
    c->state = CONN_HALF_OPEN;
    c->accepted = c->released = true; /* nobody's until it is confirmed */
    c->origin_key = origin_key(h);
    c->origin_mapped = weft_map_put(&e->origins, c->origin_key, c) == 0;
    c->init_number = head->number;
    c->init_sent_ns = now;
    c->expires_ns = now + CONN_HALF_OPEN_NS;
    e->half_open++;
    *out = c;
    return 0;
}

static int accept_init(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p,
                       const struct wire_header *head, const struct wire_hello *h, uint8_t integrity) {
    struct noise n;
    struct conn *c = NULL;
    int rc = e->keyed ? hello_read_init(e, p, &n) : 0;
    if (rc == 0) rc = open_half(e, now, from, head, h, &c);
    if (rc == 0) {
        hello_adopt(c, now, h, integrity);
        rc = hello_write_resp(c, &n);
    }
    if (e->keyed) noise_wipe(&n);
    if (rc == 0) {
        handshake_send(c);
        conn_update_timer(c);
    } else if (c) {
        conn_down(c, now, rc);
        conn_maybe_free(c);
    }
    return rc;
}

/* Whether the sender has shown that it holds our key, or neither side has one. */
static bool holds_key(struct engine *e, const uint8_t *p, const struct wire_hello *h) {
    if (!e->keyed) return !(h->features & WIRE_FEATURE_KEY);
    return h->features & WIRE_FEATURE_KEY && hello_init_is_keyed(e, p);
}

/* An INIT of a connection that is known: the answer was lost, or the INIT was doubled or recorded. The answer
 * is the same, byte by byte. */
static bool answer_again(struct engine *e, uint64_t now, const struct wire_header *head,
                         const struct wire_hello *h) {
    struct conn *known = weft_map_get(&e->origins, origin_key(h));
    if (!known) return false;
    if (!same_origin(known, h) || known->state != CONN_HALF_OPEN) return true;
    if (known->init_number == head->number) {
        known->init_sent_ns = now;
        known->expires_ns = now + CONN_HALF_OPEN_NS; /* else the sender of the INIT may come just too late */
        conn_update_timer(known);
        handshake_send(known);
        return true;
    }
    conn_down(known, now, WEFT_E_CLOSED); /* the peer began anew over another path */
    conn_maybe_free(known);
    return false;
}

/* With many half open, only who receives at its address may add one. A link-based adapter knows that anyway.
 */
static bool must_show_cookie(struct engine *e, uint64_t now, const struct engine_from *from,
                             const uint8_t *p) {
    if (e->half_open < CONN_HALF_OPEN_FREE || from->link->attr.caps & ADAPTER_CAP_RELIABLE) return false;
    return !cookie_holds(&e->cookies, now, from, p);
}

static void ask_for_cookie(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p,
                           const struct wire_header *head, const struct wire_hello *h) {
    struct wire_cookie c = {.echo = head->number};
    uint8_t out[WIRE_COOKIE_PACKET_BYTES];
    if (!limit_take(&e->cookie_answers, now) || cookie_make(&e->cookies, now, from, p, c.cookie)) return;
    stats_add(STATS_COOKIES_SENT, 1);
    e->cfg.io.reply(e->cfg.io.ctx, from, out, wire_cookie_write(out, h->conn_id, &c));
}

static void newcomer(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p,
                     const struct wire_header *head, const struct wire_hello *h) {
    uint8_t integrity;
    int rc;
    if (!hello_usable(h))
        stats_add(STATS_PACKETS_BAD, 1);
    else if (!e->cfg.accept)
        refuse(e, now, from, head, h, WIRE_REFUSE_CLOSED);
    else if (hello_choose(e, from->link, h->integrity, &integrity))
        refuse(e, now, from, head, h, WIRE_REFUSE_INTEGRITY);
    else if (must_show_cookie(e, now, from, p))
        ask_for_cookie(e, now, from, p, head, h);
    else if (e->half_open >= CONN_HALF_OPEN_MAX)
        refuse(e, now, from, head, h, WIRE_REFUSE_BUSY);
    else if ((rc = accept_init(e, now, from, p, head, h, integrity)))
        refuse(e, now, from, head, h, rc == WEFT_E_ACCESS ? WIRE_REFUSE_KEY : WIRE_REFUSE_BUSY);
}

void handshake_init_in(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p,
                       size_t len, const struct wire_header *head) {
    struct wire_hello h;
    if (len < WIRE_INIT_BYTES || wire_hello_read(p, len, &h) || h.conn_id == 0)
        stats_add(STATS_PACKETS_BAD, 1);
    else if (h.version_min > WIRE_VERSION || h.version_max < WIRE_VERSION)
        refuse(e, now, from, head, &h, WIRE_REFUSE_VERSION);
    else if (!holds_key(e, p, &h))
        refuse(e, now, from, head, &h, WIRE_REFUSE_KEY);
    else if (!answer_again(e, now, head, &h))
        newcomer(e, now, from, p, head, &h);
}
