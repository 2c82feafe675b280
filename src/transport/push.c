/* Push: bulk data on its way out, in superpackets of 61,440 bytes. Two bits a chunk say whether it is still
 * to be sent and whether it has arrived; lost chunks simply become `todo` again and leave in new packets.
 *
 * Transfers to several peers take turns (turn.h). Those of Method 2 do not, they are small; nor does what was
 * lost, which was somebody's turn before. */
#include "base/error.h"
#include "transport/conn.h"

#include <stdlib.h>

uint64_t push_superpacket_bytes(const struct push_out *p, uint32_t superpacket) {
    uint64_t start = (uint64_t)superpacket * WIRE_SUPERPACKET_BYTES;
    uint64_t left = p->segment_bytes - start;
    return left < WIRE_SUPERPACKET_BYTES ? left : WIRE_SUPERPACKET_BYTES;
}

void push_cut(struct push_out *p, uint32_t superpacket, uint32_t chunk_bytes) {
    uint32_t bytes = (uint32_t)push_superpacket_bytes(p, superpacket);
    p->super[superpacket % p->room] =
        (struct superpacket){.todo = wire_chunk_map(bytes, chunk_bytes), .chunk_bytes = chunk_bytes};
}

static bool all_acked(const struct push_out *p, uint32_t superpacket) {
    const struct superpacket *s = &p->super[superpacket % p->room];
    uint32_t bytes = (uint32_t)push_superpacket_bytes(p, superpacket);
    return s->chunk_bytes && s->acked == wire_chunk_map(bytes, s->chunk_bytes);
}

/* ---- turns ---- */

static struct push_out *push_of(struct weft_list *turn) {
    return weft_list_entry(turn, struct push_out, turn.node);
}
static bool waits(const struct push_out *p) { return !weft_list_empty(&p->turn.node) && !p->turn.granted; }

static void join(struct push_out *p) {
    struct conn *c = p->tx->conn;
    struct engine *e = c->engine;
    if (p->staged || c->reliable || !e->cfg.bulk_patience_ns) return;
    turn_join(&e->line, &p->turn, p->segment_bytes, c->last_heard_ns);
    c->turns_awaited++;
    e->turns_at_ns = 0;
    conn_mark_ready(c);
}

static void leave(struct push_out *p) {
    struct engine *e = p->tx->conn->engine;
    if (weft_list_empty(&p->turn.node)) return;
    if (!p->turn.granted) p->tx->conn->turns_awaited--;
    turn_leave(&p->turn);
    e->turns_at_ns = 0;
    weft_list_for_each(it, &e->line.turns) if (waits(push_of(it))) conn_mark_ready(push_of(it)->tx->conn);
}

static void begin(struct push_out *p) {
    struct conn *c = p->tx->conn;
    if (p->low < p->opened && weft_list_empty(&p->node)) weft_list_push_back(&c->bulk, &p->node);
    conn_mark_ready(c);
}

void push_look_at_turns(struct engine *e, uint64_t now) {
    if (now < e->turns_at_ns) return;
    for (struct turn *t; (t = turn_next(&e->line, now));) {
        struct push_out *p = push_of(&t->node);
        p->tx->conn->turns_awaited--;
        begin(p);
    }
    e->turns_at_ns = turn_any_waits(&e->line) ? now + TURN_LOOK_NS : WEFT_TIME_NEVER;
}

void push_has_left(struct push_out *p, uint32_t bytes) {
    uint32_t superpacket;
    p->turn.left_bytes -= bytes < p->turn.left_bytes ? bytes : p->turn.left_bytes;
    if (p->opened == p->count && !push_next(p, &superpacket)) leave(p);
}

/* ---- a transfer ---- */

static void open_window(struct push_out *p) {
    uint32_t to = p->limit < p->count ? p->limit : p->count;
    for (; p->opened < to; p->opened++)
        p->super[p->opened % p->room] = (struct superpacket){.todo = 1}; /* cut when it is sent */
    if (!waits(p)) begin(p);
}

int push_start(struct tx *tx, const struct wire_oktosend *o) {
    bool staged = wire_tag_slot(o->tag) == WIRE_TAG_STAGED;
    uint64_t most = (uint64_t)tx->conn->engine->cfg.tag_superpackets * WIRE_SUPERPACKET_BYTES;
    uint64_t left = tx->data_bytes - o->offset;
    uint64_t bytes = staged || left < most ? left : most; /* Method 2: in one piece */
    uint32_t count = (uint32_t)((bytes + WIRE_SUPERPACKET_BYTES - 1) / WIRE_SUPERPACKET_BYTES);
    uint32_t window = staged || o->window < CONN_WINDOW_MAX ? o->window : CONN_WINDOW_MAX;
    uint32_t room = count < window ? count : window;
    struct push_out *p = malloc(sizeof *p + room * sizeof *p->super);
    if (!p) return WEFT_E_NOMEM;
    *p = (struct push_out){.tx = tx,
                           .base_tag = o->tag,
                           .segment_offset = o->offset,
                           .segment_bytes = bytes,
                           .count = count,
                           .limit = window,
                           .window = window,
                           .staged = staged,
                           .room = room};
    weft_list_init(&p->node);
    turn_init(&p->turn);
    if (tx->push) push_detach(tx->push);
    tx->push = p;
    join(p);
    open_window(p);
    return 0;
}

void push_unasked(struct tx *tx) {
    struct conn *c = tx->conn;
    const struct engine_config *cfg = &c->engine->cfg;
    uint64_t count = (tx->data_bytes + WIRE_SUPERPACKET_BYTES - 1) / WIRE_SUPERPACKET_BYTES;
    if (c->reliable || !(c->path.link->attr.caps & ADAPTER_CAP_METHOD2) || tx->region_bytes || tx->unmapped)
        return;
    if (tx->data_bytes > cfg->method2_bytes || count > WIRE_STAGED_SUPERPACKETS) return;
    if (c->staged_open >= cfg->method2_superpackets || c->staged_live >> 63 ||
        c->staged_next >= WIRE_TAG_USES)
        return;
    uint32_t window = cfg->method2_superpackets - c->staged_open;
    if (window > count) window = (uint32_t)count;
    struct wire_oktosend o = {
        .ref = tx->ref, .tag = wire_tag(WIRE_TAG_STAGED, c->staged_next, 0), .window = (uint16_t)window};
    if (push_start(tx, &o)) return; /* no memory: when the receiver asks */
    tx->staged = ++c->staged_next;
    c->staged_live = c->staged_live << 1 | 1;
    c->staged_open += window;
}

/* The number may be used no more, and its share is free. */
static void end_staged(struct push_out *p) {
    struct conn *c = p->tx->conn;
    c->staged_live &= ~(1ull << (c->staged_next - p->tx->staged));
    c->staged_open -= p->window;
}

static void advance(struct push_out *p) {
    while (p->low < p->opened && all_acked(p, p->low)) p->low++;
}

/* The receiver has all below low: it takes that much more. */
static void slide(struct push_out *p, uint32_t low) {
    if (low + p->window <= p->limit) return;
    p->limit = low + p->window;
    open_window(p);
}

/* All is acknowledged. Without acknowledgements the receiver's FIN ends the transfer. */
static bool over(const struct push_out *p) {
    return p->low == p->count && p->segment_offset + p->segment_bytes == p->tx->data_bytes &&
           !p->tx->conn->reliable && (p->tx->rts_acked || !p->staged);
}

void push_window(struct push_out *p, uint32_t low) {
    /* The receiver has all below low, even if its acknowledgements are still under way. */
    if (low > p->count) low = p->count;
    if (low + p->window <= p->limit) return;
    for (uint32_t s = p->low; s < low && s < p->opened; s++) p->super[s % p->room].todo = 0;
    p->low = low > p->low ? low : p->low;
    if (p->opened < p->low) p->opened = p->low;
    advance(p); /* what follows may have been acknowledged before */
    slide(p, p->low);
    if (over(p)) tx_finish(p->tx, 0, false);
}

bool push_next(const struct push_out *p, uint32_t *superpacket) {
    for (uint32_t s = p->low; s < p->opened; s++) {
        if (!p->super[s % p->room].todo) continue;
        *superpacket = s;
        return true;
    }
    return false;
}

static void unfly(struct push_out *p) {
    if (--p->flying == 0 && !p->tx) free(p);
}

void push_acked(struct push_out *p, uint32_t superpacket, uint8_t chunk, uint32_t chunk_bytes) {
    struct tx *tx = p->tx;
    struct superpacket *s = tx && superpacket >= p->low ? &p->super[superpacket % p->room] : NULL;
    if (s && s->chunk_bytes == chunk_bytes) {
        s->acked |= 1ull << chunk;
        turn_arrived(&p->turn, chunk_bytes);
        s->todo &= ~(1ull << chunk);
        advance(p);
        slide(p, p->low); /* what is acknowledged is stored: no need to wait for WINDOW, which may be lost */
    }
    bool ends = tx && over(p);
    unfly(p);
    if (ends) tx_finish(tx, 0, false);
}

void push_lost(struct push_out *p, uint32_t superpacket, uint8_t chunk, uint32_t chunk_bytes) {
    struct superpacket *s = p->tx && superpacket >= p->low ? &p->super[superpacket % p->room] : NULL;
    if (s && s->chunk_bytes == chunk_bytes) {
        s->todo |= ~s->acked & 1ull << chunk;
        if (weft_list_empty(&p->node)) weft_list_push_front(&p->tx->conn->bulk, &p->node);
        conn_mark_ready(p->tx->conn);
    }
    unfly(p);
}

void push_dropped(struct push_out *p) { unfly(p); }

void push_announced(struct tx *tx) {
    tx->rts_acked = true;
    if (tx->push && over(tx->push)) tx_finish(tx, 0, false);
}

void push_detach(struct push_out *p) {
    leave(p);
    weft_list_remove(&p->node);
    if (p->staged) end_staged(p);
    p->tx = NULL;
    if (p->flying == 0) free(p);
}
