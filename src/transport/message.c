/* Messages on their way out: queueing, and what acknowledgements and the receiver's answers do to them. */
#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "transport/conn.h"
#include "transport/stats.h"

#include <stdlib.h>
#include <string.h>

#define COPY_MAX (64u << 10)

static int check(const struct conn *c, const struct ep_send *s) {
    if (s->header_bytes > EP_HEADER_MAX) return WEFT_E_TOO_BIG;
    if (s->handler >= EP_HANDLERS_MAX || (s->header_bytes && !s->header)) return WEFT_E_INVAL;
    if (s->data_bytes && !s->data) return WEFT_E_INVAL;
    if (s->data_bytes > INT64_MAX || (s->copy && s->data_bytes > COPY_MAX)) return WEFT_E_TOO_BIG;
    if (c->state == CONN_DOWN) return c->down_status;
    if (c->closing || c->stopped) return WEFT_E_CLOSED;
    if (c->tx_count >= CONN_TX_MAX) return WEFT_E_LIMIT;
    return 0;
}

/* What a message with this much eager data leaves to FRAG items. */
static uint32_t first_part(const struct conn *c, const struct ep_send *s) {
    size_t room = c->packet_bytes - WIRE_OVERHEAD_BYTES - WIRE_MSG_BYTES - s->header_bytes;
    return (uint32_t)(s->data_bytes < room ? s->data_bytes : room);
}

static void make_contents(struct tx *tx, uint32_t first, uint32_t part, uint32_t frags) {
    tx->first = (struct content){.kind = CONTENT_MSG, .len = first, .tx = tx};
    weft_list_init(&tx->first.node);
    uint32_t at = first;
    for (uint32_t i = 0; i < frags; i++) {
        uint32_t left = (uint32_t)tx->data_bytes - at;
        tx->frags[i] =
            (struct content){.kind = CONTENT_FRAG, .offset = at, .len = left < part ? left : part, .tx = tx};
        weft_list_init(&tx->frags[i].node);
        at += tx->frags[i].len;
    }
    tx->frag_count = frags;
    tx->left = frags + 1;
}

static struct tx *tx_create(struct conn *c, const struct ep_send *s, uint32_t frags) {
    struct engine *e = c->engine;
    size_t copied = s->copy ? s->data_bytes : 0;
    size_t variable = (s->header_bytes + copied + 7) & ~(size_t)7;
    size_t total = sizeof(struct tx) + variable + frags * sizeof(struct content);
    bool pooled = total <= e->tx_pool.block_bytes;
    struct tx *tx = pooled ? pool_get(&e->tx_pool) : malloc(total);
    if (!tx) return NULL;
    memset(tx, 0, sizeof *tx);
    tx->pooled = pooled;
    tx->alloc_bytes = (uint32_t)total;
    if (s->header_bytes) memcpy(tx->header, s->header, s->header_bytes);
    if (copied) memcpy(tx->header + s->header_bytes, s->data, copied);
    tx->data = copied ? tx->header + s->header_bytes : s->data;
    tx->frags = (struct content *)(void *)(tx->header + variable);
    e->tx_live++;
    return tx;
}

void tx_free(struct engine *e, struct tx *tx) {
    e->tx_live--;
    if (tx->pooled)
        pool_put(&e->tx_pool, tx);
    else
        free(tx);
}

bool conn_reads_memory(const struct conn *c) {
    unsigned caps = c->path.link->attr.caps;
    return caps & ADAPTER_CAP_REMOTE_READ &&
           (caps & ADAPTER_CAP_SAME_HOST || c->integrity != WIRE_INTEGRITY_AES);
}

/* Makes the data readable by the peer, where that works; otherwise it goes the non-zero-copy way. */
void tx_offer_region(struct conn *c, struct tx *tx) {
    if (!conn_reads_memory(c)) return;
    const struct engine_io *io = &c->engine->cfg.io;
    size_t len = sizeof tx->region;
    if (io->expose(io->ctx, &c->path, tx->data, tx->data_bytes, tx->region, &len) == 0)
        tx->region_bytes = (uint8_t)len;
    else
        tx->unmapped = true;
}

static int start_rendezvous(struct conn *c, struct tx *tx) {
    tx->rendezvous = true;
    tx->ref = c->next_ref++;
    int rc = weft_map_put(&c->tx_by_ref, tx->ref, tx);
    if (rc) return rc;
    tx->first = (struct content){.kind = CONTENT_RTS, .tx = tx};
    weft_list_init(&tx->first.node);
    return 0;
}

/* `more`: what is held back leaves when a burst of it is together. */
static void hold_back(struct conn *c, uint64_t now, const struct ep_send *s) {
    if (!c->held) c->more_bytes = 0;
    c->more_bytes += (uint32_t)(s->header_bytes + (s->data_bytes < CONN_HOLD_BYTES ? s->data_bytes : 0));
    if (s->more && !c->held) c->hold_until_ns = now + CONN_HOLD_NS;
    c->held = s->more && c->more_bytes < CONN_HOLD_BYTES;
}

int engine_send(struct engine *e, uint64_t now, struct conn *c, const struct ep_send *s) {
    int rc = check(c, s);
    if (rc) return rc;
    struct channel *ch;
    rc = conn_channel(c, s->channel, &ch);
    if (rc) return rc;
    bool eager = s->data_bytes <= e->cfg.eager_bytes;
    uint32_t first = eager ? first_part(c, s) : 0;
    uint32_t part = (uint32_t)(c->packet_bytes - WIRE_OVERHEAD_BYTES - WIRE_FRAG_BYTES);
    uint32_t frags = eager ? (uint32_t)((s->data_bytes - first + part - 1) / part) : 0;
    struct tx *tx = tx_create(c, s, frags);
    if (!tx) return WEFT_E_NOMEM;
    c->used_ns = now;
    if (c->queued_bytes + tx->alloc_bytes > e->cfg.queue_bytes) {
        tx_free(e, tx);
        return WEFT_E_LIMIT;
    }
    tx->conn = c;
    tx->handler = s->handler;
    tx->channel = s->channel;
    tx->header_bytes = (uint16_t)s->header_bytes;
    tx->data_bytes = s->data_bytes;
    tx->unmapped = s->unpinned;
    tx->answered = s->answered || (eager && e->cfg.answered);
    tx->event.call = s->on_done;
    tx->event.arg = s->arg;
    if (!eager && (rc = start_rendezvous(c, tx))) {
        tx_free(e, tx);
        return rc;
    }
    if (eager) {
        make_contents(tx, first, part, frags);
        e->small_ns = now;
    }
    tx->id = ch->tx_next++;
    conn_await_peer(c, now);
    c->tx_count++;
    c->queued_bytes += tx->alloc_bytes;
    weft_list_push_back(&c->txs, &tx->node);
    weft_list_push_back(&c->queue, &tx->first.node);
    for (uint32_t i = 0; i < frags; i++) weft_list_push_back(&c->queue, &tx->frags[i].node);
    hold_back(c, now, s);
    weft_trace_at(now, WEFT_TRACE_MESSAGE_SENT, c->id, tx->id, tx->handler, tx->data_bytes);
    stats_add(STATS_MESSAGES_SENT, 1);
    conn_mark_ready(c);
    return 0;
}

bool engine_holds_back(const struct conn *c) { return c->held; }

void engine_flush(struct engine *e, struct conn *c) {
    c->held = false;
    conn_mark_ready(c);
}

static void unlink_contents(struct tx *tx) {
    weft_list_remove(&tx->first.node);
    if (tx->rendezvous) return;
    for (uint32_t i = 0; i < tx->frag_count; i++) weft_list_remove(&tx->frags[i].node);
    for (struct content *extra; (extra = tx->extras);) {
        tx->extras = extra->more;
        weft_list_remove(&extra->node);
        pool_put(&tx->conn->engine->content_pool, extra);
    }
}

bool content_split(struct conn *c, struct content *content, uint32_t len) {
    struct tx *tx = content->tx;
    struct content *extra = pool_get(&c->engine->content_pool);
    if (!extra) return false;
    *extra = (struct content){.kind = CONTENT_FRAG,
                              .offset = content->offset + len,
                              .len = content->len - len,
                              .more = tx->extras,
                              .tx = tx};
    weft_list_init(&extra->node);
    weft_list_insert_before(content->node.next, &extra->node);
    content->len = len;
    tx->extras = extra;
    tx->left++;
    return true;
}

void tx_finish(struct tx *tx, int status, bool front) {
    struct conn *c = tx->conn;
    struct engine *e = c->engine;
    unlink_contents(tx);
    weft_list_remove(&tx->node);
    if (tx->push) push_detach(tx->push);
    tx->push = NULL;
    if (tx->rendezvous) {
        weft_map_remove(&c->tx_by_ref, tx->ref);
        if (tx->rts_sent) {
            c->rendezvous_open--;
            e->lent -= c->reliable;
        }
        if (tx->region_bytes) e->cfg.io.conceal(e->cfg.io.ctx, &c->path, tx->region, tx->region_bytes);
        conn_mark_ready(c); /* another rendezvous may start */
    }
    c->tx_count--;
    c->queued_bytes -= tx->alloc_bytes;
    if (!tx->event.call) {
        tx_free(e, tx);
        return;
    }
    if (front)
        event_push_front(e, c, &tx->event, ENGINE_EVENT_SENT, status);
    else
        event_push(e, c, &tx->event, ENGINE_EVENT_SENT, status);
}

void content_acked(struct conn *c, struct content *content) {
    weft_list_remove(&content->node);
    switch (content->kind) {
    case CONTENT_MSG:
    case CONTENT_FRAG:
        if (--content->tx->left == 0) tx_finish(content->tx, 0, false);
        break;
    case CONTENT_RTS: push_announced(content->tx); break;
    case CONTENT_FIN: rendezvous_fin_over(c, content); break;
    case CONTENT_CLOSE: c->close_acked = true; break;
    default: break;
    }
}

void content_drop(struct conn *c, struct content *content) {
    weft_list_remove(&content->node);
    if (content->kind == CONTENT_FIN) rendezvous_fin_over(c, content);
}

/* A transfer that is over already is no error: answers may come late or twice. */
static int find_transfer(struct conn *c, uint64_t ref, struct tx **out) {
    *out = weft_map_get(&c->tx_by_ref, ref);
    if (*out && !(*out)->rts_sent) return WEFT_E_PROTO;
    return *out || ref < c->next_ref ? 0 : WEFT_E_PROTO;
}

int rendezvous_oktosend_in(struct conn *c, const struct wire_oktosend *o) {
    struct tx *tx;
    int rc = find_transfer(c, o->ref, &tx);
    if (rc || !tx) return rc;
    if (o->window == 0 || o->window > WIRE_CHUNKS_MAX) return WEFT_E_PROTO;
    uint64_t step = (uint64_t)c->engine->cfg.tag_superpackets * WIRE_SUPERPACKET_BYTES;
    if (o->offset >= tx->data_bytes || o->offset % step) return WEFT_E_PROTO;
    bool again = tx->push && tx->push->staged; /* nothing of what was sent unasked was taken */
    if (tx->push && !again && o->offset <= tx->push->segment_offset) return 0;
    uint64_t expected = tx->push && !again ? tx->push->segment_offset + tx->push->segment_bytes : 0;
    if (o->offset != expected) return WEFT_E_PROTO;
    weft_list_remove(&tx->first.node); /* the RTS has done its work */
    if (o->reason && !tx->normal) stats_add(STATS_SENT_NORMAL, 1);
    tx->normal |= o->reason != 0;
    return push_start(tx, o);
}

int rendezvous_window_in(struct conn *c, const struct wire_window *w) {
    struct tx *tx;
    int rc = find_transfer(c, w->ref, &tx);
    if (rc || !tx || !tx->push || tx->push->base_tag != w->tag) return rc;
    if (w->low > tx->push->opened) return WEFT_E_PROTO;
    push_window(tx->push, w->low);
    return 0;
}

int rendezvous_fin_in(struct conn *c, const struct wire_fin *f) {
    struct tx *tx;
    int rc = find_transfer(c, f->ref, &tx);
    if (rc || !tx) return rc;
    tx_finish(tx, f->status, false);
    return 0;
}
