/* Close: the orderly end of a connection, the end that a broken rule or a lost peer forces, and the ending of
 * every message that is then unfinished. */
#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "transport/conn.h"
#include "transport/stats.h"

#include <stdlib.h>

/* From now on nothing of this connection is stored anywhere. */
static void end_incoming(struct conn *c, int status) {
    weft_list_for_each_safe(it, &c->rxs) {
        struct rx *rx = weft_list_entry(it, struct rx, all);
        if (rx->busy) continue; /* engine_pull_done ends it */
        switch (rx->state) {
        case RX_AHEAD: rx_free(rx); break;
        case RX_WAITING:
        case RX_PUSH:
        case RX_STAGED:
        case RX_PULL: rx_finish(rx, status, false); break;
        default: break; /* with the owner: engine_event_done ends it */
        }
    }
}

static void drop_list(struct conn *c, struct weft_list *list) {
    while (!weft_list_empty(list)) content_drop(c, weft_list_entry(list->next, struct content, node));
}

static void drop_sent(struct conn *c) {
    for (uint64_t n = c->sent.low; n < c->sent.next; n++) {
        struct sent_packet *p = sent_at(&c->sent, n);
        drop_list(c, &p->contents);
        if (p->bulk) push_dropped(p->bulk);
        p->bulk = NULL;
    }
    c->sent.low = c->sent.next;
    c->sent.flying = 0;
}

void conn_close_path(struct conn *c) {
    if (!c->path_open || c->pulling || c->owes_close) return;
    c->path_open = false;
    c->engine->cfg.io.path_close(c->engine->cfg.io.ctx, &c->path);
}

void conn_down(struct conn *c, uint64_t now, int status) {
    struct engine *e = c->engine;
    if (c->state == CONN_DOWN) return;
    bool known = c->state != CONN_HALF_OPEN;
    c->state = CONN_DOWN;
    c->down_status = status;
    weft_trace(WEFT_TRACE_PEER_DOWN, c->id, (uint64_t)-status, 0, 0);
    if (status != WEFT_E_CLOSED) stats_add(STATS_PEERS_LOST, 1);
    weft_list_remove(&c->ready);
    if (!known) e->half_open--;
    while (!weft_list_empty(&c->txs)) tx_finish(weft_list_entry(c->txs.next, struct tx, node), status, false);
    end_incoming(c, status);
    stage_fini(c);
    drop_list(c, &c->again);
    drop_list(c, &c->queue);
    if (!c->reliable) drop_sent(c);
    if (c->origin_mapped) weft_map_remove(&e->origins, c->origin_key);
    c->origin_mapped = false;
    slot_give(e, now, c, known);
    conn_close_path(c);
    conn_update_timer(c);
    if (known && !c->silent) event_push(e, c, &c->down, ENGINE_EVENT_DOWN, status);
}

void conn_break(struct conn *c, uint64_t now, int status) {
    if (c->state == CONN_DOWN) return;
    weft_warn("transport", "connection %08x is closed: %s", c->id, weft_error_text(status));
    c->close_reason = (uint32_t)-status;
    conn_output_close(c, now);
    conn_down(c, now, status);
}

void engine_abort(struct engine *e, uint64_t now, struct conn *c, int status) {
    if (c->state == CONN_UP) {
        c->close_reason = status == WEFT_E_CLOSED ? 0 : (uint32_t)-status;
        conn_output_close(c, now);
    }
    conn_down(c, now, status);
    conn_maybe_free(c);
}

void engine_close(struct engine *e, uint64_t now, struct conn *c, uint64_t deadline_ns) {
    if (c->state == CONN_DOWN || c->closing) return;
    conn_await_peer(c, now);
    c->closing = true;
    c->held = false;
    c->close_deadline_ns = deadline_ns;
    end_incoming(c, WEFT_E_CLOSED);
    conn_mark_ready(c);
    close_tick(c, now);
    conn_update_timer(c);
}

static bool all_said(const struct conn *c) {
    return c->tx_count == 0 && weft_list_empty(&c->queue) && weft_list_empty(&c->again) &&
           c->sent.flying == 0;
}

void close_tick(struct conn *c, uint64_t now) {
    if (!c->closing || c->state == CONN_DOWN) return;
    if (c->state == CONN_INIT_SENT && c->tx_count == 0) {
        conn_down(c, now, WEFT_E_CLOSED);
        return;
    }
    if (c->close_acked && !c->reliable) {
        conn_down(c, now, WEFT_E_CLOSED);
        return;
    }
    if (now >= c->close_deadline_ns) {
        c->close_reason = 0;
        conn_output_close(c, now);
        conn_down(c, now, WEFT_E_CLOSED);
        return;
    }
    if (c->state == CONN_UP && !c->close_sent && all_said(c)) {
        c->close_sent = true;
        conn_queue(c, &c->queue, &c->close);
    }
}

void close_refuse(struct conn *c) {
    if (c->refusing || c->close_sent) return;
    c->refusing = true;
    if (!c->reliable) received_owe(&c->received, c->last_heard_ns); /* what it took before is known with it */
    conn_queue(c, &c->again, &c->stop);
}

void close_stop_in(struct conn *c) {
    c->stopped = true;
    while (!weft_list_empty(&c->txs))
        tx_finish(weft_list_entry(c->txs.next, struct tx, node), WEFT_E_CLOSED, false);
}

/* "Not now" ends nothing: it is what a connection is called that is not made yet. */
static int status_of(uint32_t reason) {
    if (reason == 0) return WEFT_E_CLOSED;
    int status = reason <= INT32_MAX ? weft_error_checked(-(int)reason) : WEFT_E_PROTO;
    return status == WEFT_E_AGAIN ? WEFT_E_PROTO : status;
}

void close_in(struct conn *c, uint64_t now, uint32_t reason) {
    int status = status_of(reason);
    if (reason)
        weft_warn("transport", "connection %08x: the peer closed it: %s", c->id, weft_error_text(status));
    /* The answer: an acknowledgement, which this CLOSE carries along. */
    if (!c->close_sent || c->reliable) {
        c->close_reason = 0;
        conn_output_close(c, now);
    } else
        conn_output_ack(c, now);
    conn_down(c, now, status);
}

void conn_destroy(struct conn *c) {
    struct engine *e = c->engine;
    if (e->touched == c) e->touched = NULL;
    weft_list_remove(&c->all);
    weft_list_remove(&c->ready);
    heap_set(&e->timers, &c->timer, WEFT_TIME_NEVER);
    size_t it = 0;
    for (void *ch; (ch = weft_map_next(&c->channels, &it, NULL));) free(ch);
    weft_map_fini(&c->channels);
    weft_map_fini(&c->tx_by_ref);
    free(c->tag_slots);
    received_fini(&c->received);
    replay_relax(&c->replay);
    sent_fini(&c->sent);
    handshake_free(c);
    secure_destroy(c->secure);
    e->conn_count--;
    free(c);
}
