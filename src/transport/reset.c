/* RESET: tells the sender of a packet that its connection does not exist here. */
#include "base/error.h"
#include "base/log.h"
#include "transport/conn.h"
#include "transport/stats.h"

/* At most 100 a second, and never more bytes than came. */
void reset_out(struct engine *e, uint64_t now, const struct engine_from *from, size_t len,
               const struct wire_header *head) {
    if (len < WIRE_RESET_TRIGGER_BYTES || !limit_take(&e->answers, now)) return;
    uint8_t p[WIRE_RESET_BYTES];
    size_t n = wire_reset_write(p, &(struct wire_reset){head->dest, head->number});
    stats_add(STATS_RESETS_SENT, 1);
    e->cfg.io.reply(e->cfg.io.ctx, from, p, n);
}

/* Looked at only when it echoes an id and a number that we did send lately. Nobody signs a RESET: who has
 * forgotten a connection has no key of it. So with a cluster key it is a hint, after which the peer is asked
 * and only its silence counts; without one it is believed. */
static bool reset_concerns(const struct conn *c, const struct engine_from *from, const struct wire_reset *r) {
    if (c->state != CONN_UP || c->remote_id != r->dest || c->path.link != from->link) return false;
    if (from->peer != c->path.peer) return false;
    return r->number < c->next_number && c->next_number - r->number <= 2 * REPLAY_NUMBERS;
}

void reset_in(struct engine *e, uint64_t now, const struct engine_from *from, const uint8_t *p, size_t len) {
    struct wire_reset r;
    if (wire_reset_read(p, len, &r)) {
        stats_add(STATS_PACKETS_BAD, 1);
        return;
    }
    weft_list_for_each_safe(it, &e->conns) {
        struct conn *c = weft_list_entry(it, struct conn, all);
        if (!reset_concerns(c, from, &r)) continue;
        /* On a reliable link nothing but that would ever tell, and nobody else can speak there. */
        if (e->keyed && !c->reliable) {
            conn_suspect(c, now);
            return;
        }
        weft_info("transport", "connection %08x: the peer does not know it (any more)", c->id);
        conn_down(c, now, c->closing ? WEFT_E_CLOSED : WEFT_E_PEER_LOST);
        conn_maybe_free(c);
        return;
    }
}
