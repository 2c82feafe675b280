/* The ring of sent packets. */
#include "transport/sent.h"
#include "base/error.h"

#include <stdlib.h>

#define INITIAL 8u /* enough for who only keeps alive */

void sent_init(struct sent *s) { *s = (struct sent){.ring = NULL}; }

void sent_relax(struct sent *s) {
    if (s->low != s->next) return;
    sent_fini(s);
    s->capacity = 0;
}

void sent_fini(struct sent *s) {
    free(s->ring);
    s->ring = NULL;
}

/* Moves a record; the list inside it must be told of its new place. */
static void move(struct sent_packet *to, struct sent_packet *from) {
    *to = *from;
    weft_list_init(&to->contents);
    weft_list_splice(&to->contents, &from->contents);
}

static bool grow(struct sent *s) {
    if (s->capacity >= SENT_MAX) return false;
    uint32_t capacity = s->capacity ? 2 * s->capacity : INITIAL;
    struct sent_packet *ring = malloc(capacity * sizeof *ring);
    if (!ring) return false;
    for (uint64_t n = s->low; n < s->next; n++)
        move(&ring[n & (capacity - 1)], &s->ring[n & (s->capacity - 1)]);
    free(s->ring);
    s->ring = ring;
    s->capacity = capacity;
    return true;
}

bool sent_reserve(struct sent *s, uint32_t count) {
    if (s->next - s->low + count <= s->capacity) return true;
    sent_trim(s, 0); /* who only acknowledges is never acknowledged: nothing else trims then */
    while (s->next - s->low + count > s->capacity && grow(s)) {
    }
    if (s->next - s->low + count > s->capacity) sent_trim(s, UINT64_MAX);
    return s->next - s->low + count <= s->capacity;
}

struct sent_packet *sent_add(struct sent *s, uint64_t now, bool eliciting, uint32_t charge_bytes) {
    struct sent_packet *p = &s->ring[s->next & (s->capacity - 1)];
    s->next++;
    *p = (struct sent_packet){
        .sent_ns = now, .charge_bytes = charge_bytes, .state = eliciting ? SENT_FLYING : SENT_NONE};
    weft_list_init(&p->contents);
    if (eliciting) {
        s->flying++;
        s->flying_bytes += charge_bytes;
    }
    return p;
}

struct sent_packet *sent_at(const struct sent *s, uint64_t number) {
    if (number < s->low || number >= s->next) return NULL;
    return &s->ring[number & (s->capacity - 1)];
}

void sent_settle(struct sent *s, struct sent_packet *p, enum sent_state state) {
    if (p->state == SENT_FLYING) {
        s->flying--;
        s->flying_bytes -= p->charge_bytes;
    }
    p->state = (uint8_t)state;
}

void sent_trim(struct sent *s, uint64_t lost_before_ns) {
    for (; s->low < s->next; s->low++) {
        struct sent_packet *p = &s->ring[s->low & (s->capacity - 1)];
        if (p->state == SENT_FLYING) break;
        bool may_matter = p->state == SENT_LOST || p->state == SENT_QUESTION;
        if (may_matter && p->sent_ns >= lost_before_ns) break;
    }
}
