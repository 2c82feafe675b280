/* Slots: the table from connection ids to connections. An id is a slot and its generation; a slot rests in
 * quarantine before it is used again, and the generation tells late packets of its former owner. */
#include "base/error.h"
#include "transport/conn.h"

#include <stdlib.h>

/* Slot 0 is never used: connection id 0 means none. */
static int grow(struct engine *e) {
    if (e->slot_count > CONN_SLOTS_MAX) return WEFT_E_LIMIT;
    if (e->slot_count == e->slot_cap) {
        uint32_t cap = e->slot_cap ? 2 * e->slot_cap : 16;
        struct slot *slots = realloc(e->slots, cap * sizeof *slots);
        if (!slots) return WEFT_E_NOMEM;
        e->slots = slots;
        e->slot_cap = cap;
    }
    if (e->slot_count == 0) e->slots[e->slot_count++] = (struct slot){0};
    e->slots[e->slot_count] = (struct slot){.generation = (uint16_t)engine_random(e)};
    return (int)e->slot_count++;
}

int slot_take(struct engine *e, uint64_t now, struct conn *c) {
    uint32_t n = e->free_head;
    if (n && e->slots[n].free_at_ns <= now) {
        e->free_head = e->slots[n].next;
        if (!e->free_head) e->free_tail = 0;
        e->slots[n].generation++;
    } else {
        int rc = grow(e);
        if (rc < 0) return rc;
        n = (uint32_t)rc;
    }
    e->slots[n].conn = c;
    c->slot = n;
    c->id = n | (uint32_t)e->slots[n].generation << 16;
    return 0;
}

void slot_give(struct engine *e, uint64_t now, struct conn *c, bool quarantine) {
    uint32_t n = c->slot;
    if (!n) return;
    c->slot = 0;
    e->slots[n].conn = NULL;
    e->slots[n].next = 0;
    e->slots[n].free_at_ns = quarantine ? now + CONN_QUARANTINE_NS : now;
    if (!quarantine && e->free_head) { /* nobody ever knew it: first in line */
        e->slots[n].next = e->free_head;
        e->free_head = n;
        return;
    }
    if (e->free_tail)
        e->slots[e->free_tail].next = n;
    else
        e->free_head = n;
    e->free_tail = n;
}
