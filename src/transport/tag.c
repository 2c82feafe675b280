/* Tags, the receiving side. A slot says whose a chunk is. An adapter's tag entries, of which there are few,
 * are counted for each peer and over all, and never overrun: a message that gets none has a slot without an
 * entry, a small window, and no memory of its own. */
#include "base/error.h"
#include "transport/conn.h"
#include "transport/stats.h"

#include <stdlib.h>

static enum wire_normal refusal(const struct rx *rx) {
    const struct conn *c = rx->conn;
    const struct engine *e = c->engine;
    const struct engine_link *l = c->path.link;
    if (rx->unmapped) return WIRE_NORMAL_UNMAPPED;
    if (!(l->attr.caps & ADAPTER_CAP_METHOD1)) return WIRE_NORMAL_CAP;
    if (rx->data_bytes <= e->cfg.tag_min_bytes) return WIRE_NORMAL_TOO_SMALL;
    bool full = c->tags_used >= e->cfg.tags_per_peer || e->tags_used >= e->cfg.tags_all ||
                (l->attr.tag_entries && l->tags_used >= l->attr.tag_entries);
    return full ? WIRE_NORMAL_TABLE_FULL : 0;
}

static void count(struct conn *c, uint32_t entries) {
    c->tags_used += entries;
    c->path.link->tags_used += entries;
    c->engine->tags_used += entries;
}

void tag_reserve(struct rx *rx) {
    rx->normal = (uint8_t)refusal(rx);
    rx->reserved = !rx->normal;
    if (rx->reserved) count(rx->conn, 1);
}

void tag_unreserve(struct rx *rx) {
    if (rx->reserved) count(rx->conn, -1u);
    rx->reserved = false;
}

static bool grow(struct conn *c) {
    uint32_t n = c->tag_slot_count ? 2 * c->tag_slot_count : 4;
    struct tag_slot *slots = n <= CONN_TRANSFERS_MAX ? realloc(c->tag_slots, n * sizeof *slots) : NULL;
    if (!slots) return false;
    memset(slots + c->tag_slot_count, 0, (n - c->tag_slot_count) * sizeof *slots);
    c->tag_slots = slots;
    c->tag_slot_count = n;
    return true;
}

int tag_arm(struct rx *rx) {
    struct conn *c = rx->conn;
    uint32_t n = 0;
    while (n < c->tag_slot_count && (c->tag_slots[n].rx || c->tag_slots[n].resting)) n++;
    if (n == c->tag_slot_count && !grow(c)) return c->tag_slots_used ? WEFT_E_AGAIN : WEFT_E_NOMEM;
    uint32_t window = rx->normal ? CONN_NORMAL_WINDOW : c->engine->cfg.window_superpackets;
    struct super_in *super = window > CONN_NORMAL_WINDOW ? malloc(window * sizeof *super) : rx->in.few;
    if (!super) { /* a small window needs none */
        tag_unreserve(rx);
        rx->normal = WIRE_NORMAL_NO_MEM;
        window = CONN_NORMAL_WINDOW;
        super = rx->in.few;
    }
    if (rx->normal) stats_add(STATS_NORMAL + rx->normal - 1, 1);
    rx->push = &rx->in;
    rx->in.slot = n;
    rx->in.window = window;
    rx->in.super = super;
    c->tag_slots[n].rx = rx;
    c->tag_slots[n].entry = rx->reserved;
    c->tag_slots_used++;
    rx->reserved = false;
    return 0;
}

static void give(struct conn *c, struct tag_slot *t) {
    if (t->entry) count(c, -1u);
    t->entry = t->resting = false;
    c->tag_slots_used--;
}

void tag_disarm(struct rx *rx, bool rest) {
    struct tag_slot *t = &rx->conn->tag_slots[rx->push->slot];
    if (rx->in.super != rx->in.few) free(rx->in.super);
    rx->push = NULL;
    t->rx = NULL;
    t->resting = rest;
    if (!rest) give(rx->conn, t);
}

void tag_rested(struct conn *c, uint32_t slot) { give(c, &c->tag_slots[slot]); }

void tag_relax(struct conn *c) {
    if (c->tag_slots_used) return;
    free(c->tag_slots);
    c->tag_slots = NULL;
    c->tag_slot_count = 0;
}
