/* Staging, the receiving side of Method 2: superpackets that come without having been asked for. Once the
 * handler has said where, they are stored there at once; what comes before that, or before the header, waits
 * in staging memory, which is bounded, and is copied once. What finds no room is not taken: the sender sends
 * it again, or gets a tag if nothing at all was taken.
 *
 * Transfers are numbered; a sender has those of the last 64 open at most, so one map of bits tells which are
 * over, and late copies of those are acknowledged and dropped. */
#include "base/copy.h"
#include "base/error.h"
#include "transport/conn.h"
#include "transport/stats.h"

#include <stdlib.h>

#define STAGES (sizeof(uint64_t) * 8)

struct stage_super {
    uint64_t got;         /* chunks */
    uint8_t *room;        /* what waits; NULL: nothing does */
    uint32_t chunk_bytes; /* as the newest cut of it; 0: nothing has come */
    uint32_t short_end;   /* where a chunk that was not whole ended; 0: none came */
    uint32_t taken_bytes;
};

struct stage {
    uint64_t number;
    struct rx *rx; /* NULL: the header is not here, or the message has ended */
    bool refused;  /* something found no room */
    bool resting;  /* canceled, or comes again under a tag: nothing is taken, nor acknowledged */
    uint64_t room_bytes;
    uint64_t taken_bytes;
    struct stage_super super[WIRE_STAGED_SUPERPACKETS];
};

static void count(struct conn *c, struct stage *s, int64_t bytes) {
    s->room_bytes += (uint64_t)bytes;
    c->staged_bytes += (uint64_t)bytes;
    c->engine->staged_bytes += (uint64_t)bytes;
}

static void free_rooms(struct conn *c, struct stage *s) {
    for (size_t i = 0; i < WIRE_STAGED_SUPERPACKETS; i++) {
        free(s->super[i].room);
        s->super[i].room = NULL;
    }
    count(c, s, -(int64_t)s->room_bytes);
}

static void drop(struct conn *c, struct stage *s) {
    free_rooms(c, s);
    if (s->rx) s->rx->stage = NULL;
    c->stages[s->number % STAGES] = NULL;
    free(s);
}

static bool is_over(const struct conn *c, uint64_t number) {
    uint64_t back = c->stage_next - 1 - number;
    return back >= STAGES || c->stages_over >> back & 1;
}

/* Makes a number the newest. Those 64 before it are over: a sender has no more open. */
static int advance_to(struct conn *c, uint64_t number) {
    uint64_t next = number + 1, by = next - c->stage_next;
    for (size_t i = 0; i < STAGES; i++) {
        struct stage *s = c->stages[i];
        if (!s || number - s->number < STAGES) continue;
        if (s->rx && !s->resting) return WEFT_E_PROTO;
        drop(c, s);
    }
    c->stages_over = by < STAGES ? c->stages_over << by : 0;
    c->stage_next = next;
    return 0;
}

/* Finds or makes the record. *out stays NULL for a transfer that is over. */
static int find(struct conn *c, uint64_t number, struct stage **out) {
    *out = NULL;
    if (!c->stages && !(c->stages = calloc(STAGES, sizeof *c->stages))) return WEFT_E_AGAIN;
    int rc = number >= c->stage_next ? advance_to(c, number) : 0;
    if (rc || is_over(c, number)) return rc;
    struct stage **at = &c->stages[number % STAGES];
    if (!*at && !(*at = calloc(1, sizeof **at))) return WEFT_E_AGAIN;
    (*at)->number = number;
    *out = *at;
    return 0;
}

static uint32_t super_bytes(uint64_t data_bytes, uint32_t superpacket) {
    uint64_t start = (uint64_t)superpacket * WIRE_SUPERPACKET_BYTES;
    uint64_t left = data_bytes > start ? data_bytes - start : 0;
    return left < WIRE_SUPERPACKET_BYTES ? (uint32_t)left : WIRE_SUPERPACKET_BYTES;
}

/* Whether the chunks that came before the header are as they must be. */
static bool fits(const struct stage *s, const struct rx *rx) {
    for (uint32_t i = 0; i < WIRE_STAGED_SUPERPACKETS; i++) {
        const struct stage_super *p = &s->super[i];
        if (!p->chunk_bytes) continue;
        uint32_t bytes = super_bytes(rx->data_bytes, i), chunk = p->chunk_bytes;
        uint32_t full = (bytes + chunk - 1) / chunk, rest = bytes % chunk;
        if (full < 64 && p->got >> full) return false;
        bool has_last = full && p->got >> (full - 1) & 1;
        if (p->short_end != (has_last && rest ? bytes : 0)) return false;
    }
    return true;
}

int stage_header_in(struct rx *rx, uint64_t number) {
    struct stage *s;
    struct conn *c = rx->conn;
    if (c->reliable || rx->data_bytes > (uint64_t)WIRE_STAGED_SUPERPACKETS * WIRE_SUPERPACKET_BYTES)
        return WEFT_E_PROTO;
    int rc = find(c, number, &s);
    if (rc) return rc;
    if (!s || s->rx || s->resting) return WEFT_E_PROTO;
    if (!fits(s, rx)) return WEFT_E_PROTO;
    s->rx = rx;
    rx->stage = s;
    return 0;
}

/* One chunk's place: checked against the message if that is known, else against the format. */
static int check(const struct stage *s, uint32_t superpacket, const struct wire_data *d) {
    uint32_t chunk = d->chunk_bytes;
    if (superpacket >= WIRE_STAGED_SUPERPACKETS || d->length == 0) return WEFT_E_PROTO;
    if (s->rx) return wire_chunk_fits(d, super_bytes(s->rx->data_bytes, superpacket)) ? 0 : WEFT_E_PROTO;
    if (chunk * WIRE_CHUNKS_MAX < WIRE_SUPERPACKET_BYTES || d->offset % chunk || d->length > chunk)
        return WEFT_E_PROTO;
    if (d->offset >= WIRE_SUPERPACKET_BYTES || d->length > WIRE_SUPERPACKET_BYTES - d->offset)
        return WEFT_E_PROTO;
    const struct stage_super *p = &s->super[superpacket];
    bool second = d->length < chunk && p->chunk_bytes == chunk && p->short_end;
    return second && p->short_end != d->offset + d->length ? WEFT_E_PROTO : 0;
}

/* Where the bytes of a superpacket go now; NULL: there is no room. */
static uint8_t *place(struct conn *c, struct stage *s, uint32_t superpacket) {
    struct stage_super *p = &s->super[superpacket];
    const struct engine_config *cfg = &c->engine->cfg;
    if (s->rx && s->rx->state == RX_STAGED) return s->rx->sink + (size_t)superpacket * WIRE_SUPERPACKET_BYTES;
    if (p->room) return p->room;
    if (c->staged_bytes + WIRE_SUPERPACKET_BYTES > cfg->staging_peer_bytes) return NULL;
    if (c->engine->staged_bytes + WIRE_SUPERPACKET_BYTES > cfg->staging_bytes) return NULL;
    p->room = malloc(WIRE_SUPERPACKET_BYTES);
    if (p->room) count(c, s, WIRE_SUPERPACKET_BYTES);
    return p->room;
}

/* The path has shrunk: all of the superpacket comes again, in smaller chunks. */
static void cut_anew(struct stage *s, struct stage_super *p) {
    s->taken_bytes -= p->taken_bytes;
    p->got = p->chunk_bytes = p->short_end = p->taken_bytes = 0;
}

uint8_t *stage_place(const struct conn *c, const struct wire_data *d) {
    uint64_t number = wire_tag_use(d->tag);
    uint32_t superpacket = wire_tag_superpacket(d->tag);
    if (!c->stages || number >= c->stage_next || is_over(c, number)) return NULL;
    const struct stage *s = c->stages[number % STAGES];
    if (!s || s->number != number || s->resting || !s->rx || s->rx->canceled || s->rx->state != RX_STAGED)
        return NULL;
    if (check(s, superpacket, d)) return NULL;
    const struct stage_super *p = &s->super[superpacket];
    if (p->chunk_bytes && p->chunk_bytes != d->chunk_bytes) return NULL; /* cut anew: as rendezvous_place */
    if (p->got >> d->offset / d->chunk_bytes & 1) return NULL;
    return s->rx->sink + (size_t)superpacket * WIRE_SUPERPACKET_BYTES + d->offset;
}

int stage_data_in(struct conn *c, const struct wire_data *d, const uint8_t *payload) {
    struct stage *s;
    uint32_t superpacket = wire_tag_superpacket(d->tag);
    if (c->reliable) return WEFT_E_PROTO;
    int rc = find(c, wire_tag_use(d->tag), &s);
    if (rc) return rc;
    if (!s || s->resting || (s->rx && s->rx->canceled)) {
        rendezvous_drop_late(c, d, payload, STATS_TAGS_UNKNOWN);
        return s ? WEFT_E_AGAIN : 0;
    }
    if ((rc = check(s, superpacket, d))) return rc;
    struct stage_super *p = &s->super[superpacket];
    if (d->chunk_bytes < p->chunk_bytes) cut_anew(s, p);
    uint64_t bit = 1ull << d->offset / d->chunk_bytes;
    if (p->got & bit || (p->chunk_bytes && p->chunk_bytes != d->chunk_bytes)) {
        rendezvous_drop_late(c, d, payload, STATS_CHUNKS_REPEATED);
        return 0;
    }
    uint8_t *to = place(c, s, superpacket);
    if (!to) {
        s->refused = true;
        stats_add(STATS_STAGING_FULL, 1);
        return WEFT_E_AGAIN;
    }
    if (p->room) stats_add(STATS_STAGED, 1);
    if (payload != to + d->offset) weft_copy(to + d->offset, payload, d->length);
    p->got |= bit;
    if (d->length < d->chunk_bytes) p->short_end = d->offset + d->length;
    p->chunk_bytes = d->chunk_bytes;
    p->taken_bytes += d->length;
    s->taken_bytes += d->length;
    if (!stage_is_complete(s)) return 0;
    c->ack_now = !(d->flags & WIRE_DATA_ANSWERED); /* the sender waits for this one */
    if (s->rx->state == RX_STAGED) rx_finish(s->rx, 0, false);
    return 0;
}

uint64_t stage_number(const struct stage *s) { return s->number; }

bool stage_is_complete(const struct stage *s) { return s->rx && s->taken_bytes == s->rx->data_bytes; }

static void copy_rooms(struct rx *rx) {
    struct stage *s = rx->stage;
    for (uint32_t i = 0; i < WIRE_STAGED_SUPERPACKETS; i++) {
        const struct stage_super *p = &s->super[i];
        uint32_t bytes = super_bytes(rx->data_bytes, i);
        uint8_t *to = rx->sink + (size_t)i * WIRE_SUPERPACKET_BYTES;
        for (uint64_t got = p->room ? p->got : 0; got; got &= got - 1) {
            uint32_t at = (uint32_t)__builtin_ctzll(got) * p->chunk_bytes, left = bytes - at;
            weft_copy(to + at, p->room + at, left < p->chunk_bytes ? left : p->chunk_bytes);
        }
    }
    free_rooms(rx->conn, s);
}

bool stage_accept(struct rx *rx) {
    struct stage *s = rx->stage;
    if (s->refused && !s->taken_bytes) {
        s->resting = true;
        return false;
    }
    rx->state = RX_STAGED;
    stats_add(STATS_METHOD2, 1);
    copy_rooms(rx);
    if (stage_is_complete(s)) rx_finish(rx, 0, false);
    return true;
}

void stage_detach(struct rx *rx, bool rest) {
    struct stage *s = rx->stage;
    struct conn *c = rx->conn;
    if (!s) return;
    rx->stage = NULL;
    s->rx = NULL;
    s->resting = rest;
    if (rest)
        free_rooms(c, s);
    else
        stage_rested(c, s->number);
}

void stage_rested(struct conn *c, uint64_t number) {
    uint64_t back = c->stage_next - 1 - number;
    if (!c->stages || back >= STAGES) return;
    c->stages_over |= 1ull << back;
    if (c->stages[number % STAGES]) drop(c, c->stages[number % STAGES]);
}

void stage_relax(struct conn *c) {
    for (size_t i = 0; c->stages && i < STAGES; i++)
        if (c->stages[i]) return;
    free(c->stages);
    c->stages = NULL;
}

void stage_fini(struct conn *c) {
    for (size_t i = 0; c->stages && i < STAGES; i++)
        if (c->stages[i]) drop(c, c->stages[i]);
    free(c->stages);
    c->stages = NULL;
}
