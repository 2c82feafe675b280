/* Audit: after every event of a node its engine's records must agree with each other: counts with what they
 * count, each piece of content in exactly one place, every armed tag with its own use, a timer wherever
 * something is waited for. Errors show here long before they show in a message. */
#include "sim.h"
#include "transport/conn.h"

/* Beyond that many records of sent packets, or armed tags, they are looked at now and then only. */
#define RECORDS_CHEAP 64u
#define TAGS_CHEAP    8u
#define NOW_AND_THEN  16u /* events */

static size_t length(const struct weft_list *l) {
    size_t n = 0;
    weft_list_for_each(it, l) n++;
    return n;
}

/* Pieces of eager messages in a list. */
static size_t eager_pieces(const struct weft_list *l) {
    size_t n = 0;
    weft_list_for_each(it, l) {
        uint8_t kind = weft_list_entry(it, struct content, node)->kind;
        n += kind == CONTENT_MSG || kind == CONTENT_FRAG;
    }
    return n;
}

/* Time in which a node stood still is no silence of its peers: what they said counts as later, by at most
 * that. */
#define FUTURE_NS (60 * WEFT_NS_PER_S)
static void audit_sent(struct sim *s, struct conn *c, size_t *pieces, size_t *bulk) {
    uint32_t flying = 0;
    uint64_t bytes = 0;
    uint64_t latest = s->now + FUTURE_NS;
    if (c->last_heard_ns > latest || c->flying_since_ns > latest)
        sim_fail(s, "audit: something was heard, or sent, in the future");
    for (uint64_t n = c->sent.low; n < c->sent.next; n++) {
        struct sent_packet *p = sent_at(&c->sent, n);
        if (p->state == SENT_FLYING) {
            flying++;
            bytes += p->charge_bytes;
        } else if (!weft_list_empty(&p->contents) || p->bulk)
            sim_fail(s, "audit: packet %lu is settled and still carries something", (unsigned long)n);
        *pieces += eager_pieces(&p->contents);
        *bulk += p->bulk != NULL;
    }
    if (flying != c->sent.flying || bytes != c->sent.flying_bytes)
        sim_fail(s, "audit: %u packets of %lu bytes fly, %u of %lu are counted", flying, (unsigned long)bytes,
                 c->sent.flying, (unsigned long)c->sent.flying_bytes);
    if (c->sent.next - c->sent.low > SENT_MAX) sim_fail(s, "audit: too many packets are remembered");
}

static void audit_outgoing(struct sim *s, struct conn *c, size_t pieces, size_t bulk, bool records) {
    size_t wanted = 0, count = 0, rendezvous = 0, flying = 0;
    uint64_t bytes = 0;
    weft_list_for_each(it, &c->txs) {
        const struct tx *tx = weft_list_entry(it, struct tx, node);
        count++;
        bytes += tx->alloc_bytes;
        if (!tx->rendezvous) wanted += tx->left;
        rendezvous += tx->rendezvous && tx->rts_sent;
        if (tx->push) flying += tx->push->flying;
    }
    if (count != c->tx_count || bytes != c->queued_bytes)
        sim_fail(s, "audit: %zu messages of %lu bytes are queued, %u of %lu are counted", count,
                 (unsigned long)bytes, c->tx_count, (unsigned long)c->queued_bytes);
    if (rendezvous != c->rendezvous_open)
        sim_fail(s, "audit: %zu transfers are announced, %u are counted", rendezvous, c->rendezvous_open);
    if (!records) return;
    pieces += eager_pieces(&c->queue) + eager_pieces(&c->again);
    if (pieces != wanted) sim_fail(s, "audit: %zu pieces are somewhere, %zu are waited for", pieces, wanted);
    if (flying > bulk) sim_fail(s, "audit: %zu chunks fly, %zu packets carry one", flying, bulk);
}

static void audit_tags(struct sim *s, struct conn *c) {
    uint32_t entries = 0;
    bool pairs = c->tag_slot_count < TAGS_CHEAP || s->events % NOW_AND_THEN == 0;
    for (uint32_t i = 0; i < c->tag_slot_count; i++) {
        const struct tag_slot *t = &c->tag_slots[i];
        entries += t->entry;
        if (!t->rx) continue;
        const struct push_in *p = t->rx->push;
        if (!p || p->slot != i || p->use != t->use || p->use >= c->next_use)
            sim_fail(s, "audit: tag slot %u is not its message's", i);
        else if (p->low > p->count || p->told_low > p->low)
            sim_fail(s, "audit: tag slot %u: low %u, told %u, of %u", i, p->low, p->told_low, p->count);
        for (uint32_t k = 0; k < i && pairs; k++)
            if (c->tag_slots[k].rx && c->tag_slots[k].use == t->use)
                sim_fail(s, "audit: one tag is armed twice");
    }
    if (entries > c->tags_used)
        sim_fail(s, "audit: %u tag entries are held, %u counted", entries, c->tags_used);
}

/* The tables are never overrun. */
static void audit_table(struct sim *s, const struct sim_node *n) {
    struct engine_usage u;
    engine_usage(n->engine, &u);
    uint64_t all = s->p.tags_all ? s->p.tags_all : CONN_TAGS_ALL_MAX,
             own = s->p.tag_entries ? s->p.tag_entries : all;
    if (s->p.no_tags) own = 0;
    if (u.staged_bytes > s->p.staging_bytes)
        sim_fail(s, "%lu bytes are staged", (unsigned long)u.staged_bytes);
    if (u.tags > all || u.tags > own || n->link.tags_used > own)
        sim_fail(s, "a tag table is overrun: %zu", u.tags);
}

static void audit_incoming(struct sim *s, struct conn *c) {
    size_t rendezvous = 0, armed = 0;
    uint64_t held = 0;
    weft_list_for_each(it, &c->rxs) {
        const struct rx *rx = weft_list_entry(it, struct rx, all);
        rendezvous += rx->rendezvous;
        held += rx->held_bytes;
        armed += rx->state == RX_PUSH;
    }
    if (rendezvous != c->rx_rendezvous || held != c->held_bytes)
        sim_fail(s, "audit: %zu transfers and %lu bytes are held, %u and %lu are counted", rendezvous,
                 (unsigned long)held, c->rx_rendezvous, (unsigned long)c->held_bytes);
    if (!armed && !weft_list_empty(&c->waiting) && c->state == CONN_UP && !c->closing) {
        bool resting = false;
        for (uint32_t i = 0; i < c->tag_slot_count; i++) resting |= c->tag_slots[i].resting;
        if (!resting && s->p.no_memory <= 0) sim_fail(s, "audit: transfers wait for a tag, and all are free");
    }
}

static void audit_channels(struct sim *s, struct conn *c) {
    size_t it = 0;
    for (struct channel *ch; (ch = weft_map_next(&c->channels, &it, NULL));) {
        uint64_t next = ch->rx_next;
        weft_list_for_each(at, &ch->ahead) {
            const struct rx *rx = weft_list_entry(at, struct rx, node);
            if (rx->id < next || rx->state != RX_AHEAD) sim_fail(s, "audit: a channel is not in order");
            next = rx->id + 1;
        }
    }
}

static void audit_timer(struct sim *s, const struct conn *c) {
    bool waits = c->state == CONN_INIT_SENT || c->state == CONN_HALF_OPEN ||
                 (c->state == CONN_UP && !c->reliable && c->sent.flying);
    if (waits && c->timer.at_ns == WEFT_TIME_NEVER)
        sim_fail(s, "audit: connection %08x waits without a timer", c->id);
    if ((c->timer.at_ns != WEFT_TIME_NEVER) != (c->timer.index != 0))
        sim_fail(s, "audit: a timer is not where it must be");
}

static void audit_conn(struct sim *s, struct conn *c) {
    size_t pieces = 0, bulk = 0;
    bool cheap = c->sent.next - c->sent.low < RECORDS_CHEAP || s->events % NOW_AND_THEN == 0;
    bool records = c->state != CONN_DOWN && (c->reliable || cheap);
    if (records && !c->reliable) audit_sent(s, c, &pieces, &bulk);
    audit_outgoing(s, c, pieces, bulk, records && !c->reliable);
    audit_tags(s, c);
    audit_incoming(s, c);
    audit_channels(s, c);
    audit_timer(s, c);
}

void audit_node(struct sim *s, struct sim_node *n) {
    struct engine *e = n->engine;
    size_t conns = 0, half_open = 0, txs = 0, rxs = 0;
    weft_list_for_each(it, &e->conns) {
        struct conn *c = weft_list_entry(it, struct conn, all);
        audit_conn(s, c);
        conns++;
        half_open += c->state == CONN_HALF_OPEN;
        txs += c->tx_count;
        rxs += length(&c->rxs);
    }
    weft_list_for_each(it, &e->events) txs +=
        weft_list_entry(it, struct engine_event, node)->type == ENGINE_EVENT_SENT;
    if (conns != e->conn_count || half_open != e->half_open)
        sim_fail(s, "audit: %zu connections, %zu half open; %u and %u are counted", conns, half_open,
                 e->conn_count, e->half_open);
    if (txs != e->tx_live || rxs != e->rx_live)
        sim_fail(s, "audit: %zu messages out and %zu in, %zu and %zu are counted", txs, rxs, e->tx_live,
                 e->rx_live);
    audit_table(s, n);
    for (size_t i = 2; i <= e->timers.count; i++)
        if (e->timers.nodes[i / 2 - 1]->at_ns > e->timers.nodes[i - 1]->at_ns)
            sim_fail(s, "audit: the timers are out of order");
}

void audit_idle(struct sim *s, struct sim_node *n) {
    struct engine_usage u;
    engine_usage(n->engine, &u);
    if (u.conns || u.txs || u.rxs || u.packets || u.held_bytes || u.tags || u.staged_bytes)
        sim_fail(s, "node %d keeps %zu connections, %zu + %zu messages, %zu packets, %zu bytes, %zu tags",
                 n->index, u.conns, u.txs, u.rxs, u.packets, u.held_bytes, u.tags);
    for (int i = 0; i < SIM_PLACES; i++)
        if (n->holds[i]) sim_fail(s, "node %d keeps %d paths to %d", n->index, n->holds[i], i);
}
