/* The tables after pages have been moved: what was pinned is in the pool's file. */
#include "base/log.h"
#include "scif/job.h"
#include "scif/pin.h"

/* Whether another part of its window, which was parted before, needs what is pinned in its slot. */
static bool is_slot_needed(const struct scif_windows *w, const struct scif_piece *p) {
    for (unsigned i = 0; i < table_count(w); i++) {
        const struct scif_piece *o = &w->piece[i];
        if (o->kind == PIECE_PINNED && o->place == p->place && o->slot == p->slot) return true;
    }
    return false;
}

/* The piece becomes pieces, by what page of the pool each page is: page[], + 1; 0: it stays. */
static bool convert(const struct job *j, struct endpoint *e, const struct scif_piece *p, const uint32_t *page,
                    uint32_t file) {
    struct scif_windows *w = e->own.table;
    unsigned i = table_search(w, p->offset), n = 0;
    uint32_t pages = (uint32_t)(p->bytes / SCIF_PAGE);
    for (uint32_t k = 0, len; k < pages; k += len) {
        len = 1;
        while (k + len < pages && (page[k] ? page[k + len] == page[k] + len : !page[k + len])) len++;
        struct scif_piece *o = &j->pieces[n++];
        *o = *p;
        o->offset += (uint64_t)k * SCIF_PAGE;
        o->bytes = (uint64_t)len * SCIF_PAGE;
        o->at += (uint64_t)k * SCIF_PAGE;
        if (!page[k]) continue;
        o->kind = PIECE_FILE;
        o->place = file;
        o->slot = 0;
        o->at = j->at + (uint64_t)(page[k] - 1) * SCIF_PAGE;
    }
    if (!table_replace(w, i, i + 1, j->pieces, n)) return false;
    if (!is_slot_needed(w, p)) pin_free(e, p);
    return true;
}

static void give_up(struct endpoint *e, const struct scif_piece *p) {
    unsigned i = table_search(e->own.table, p->offset);
    weft_error("scif", "a window is in more parts than there is room for: some of it ends");
    table_replace(e->own.table, i, i + 1, NULL, 0);
    if (!is_slot_needed(e->own.table, p)) pin_free(e, p);
}

void convert_windows(struct job *j) {
    if (!convert(j, j->e, &j->p, j->page, j->file)) give_up(j->e, &j->p);
    for (struct other *o = j->other; o; o = o->next)
        if (!convert(j, o->e, &o->p, o->page, o->file)) give_up(o->e, &o->p);
}
