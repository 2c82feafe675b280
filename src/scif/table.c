#include "scif/table.h"
#include "base/clock.h"

#include <errno.h>
#include <sched.h>
#include <scif.h>
#include <string.h>

#define CHOSEN_AT      (UINT64_C(1) << 40) /* chosen offsets begin here: above small numbers, below addresses */
#define PATIENT_ROUNDS 1000
/* Whoever was changing it is dead, is stopped, or wants us to wait for ever: */
#define ROUNDS_MAX  1000000
#define PATIENCE_NS WEFT_NS_PER_S

unsigned table_count(const struct scif_windows *w) {
    unsigned n = atomic_load_explicit(&w->count, memory_order_acquire);
    return n <= SCIF_PIECES_MAX ? n : SCIF_PIECES_MAX;
}

/* Readers look at what may be changing, and then at whether it was: a sanitizer would see the first only. */
#define LOOKS __attribute__((no_sanitize("thread")))

LOOKS unsigned table_search(const struct scif_windows *w, uint64_t offset) {
    unsigned low = 0, high = table_count(w);
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (w->piece[middle].offset + w->piece[middle].bytes <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- Readers ---- */
bool table_is_still(const struct scif_windows *w, unsigned version) {
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load(&w->version) == version;
}

/* The change that this thread has waited for in vain: it is not waited for again. */
static _Thread_local struct {
    const struct scif_windows *table;
    unsigned version;
} stuck;

/* After so many rounds, at a version that is odd or has changed meanwhile. */
static bool is_stuck(const struct scif_windows *w, unsigned version, unsigned round, uint64_t *until_ns) {
    if (round <= PATIENT_ROUNDS) return false;
    if (stuck.table == w && stuck.version == version) return true;
    uint64_t now = weft_now_ns();
    if (!*until_ns) *until_ns = now + PATIENCE_NS;
    if (now < *until_ns && round < ROUNDS_MAX) return false;
    stuck.table = w;
    stuck.version = version;
    return true;
}

LOOKS bool table_look_up(const struct scif_windows *w, uint64_t offset, struct scif_piece *out,
                         unsigned *version) {
    uint64_t until_ns = 0;
    for (unsigned round = 0;; round++) {
        unsigned before = atomic_load(&w->version), i = table_search(w, offset);
        bool found = i < table_count(w) && w->piece[i].offset <= offset;
        if (found) *out = w->piece[i];
        if (!(before & 1) && table_is_still(w, before)) {
            *version = before;
            return found && out->kind <= PIECE_FILE && out->offset <= offset &&
                   offset - out->offset < out->bytes && out->bytes <= OFFSET_END - out->offset;
        }
        if (is_stuck(w, before, round, &until_ns)) return false;
        if (round > PATIENT_ROUNDS) sched_yield();
    }
}

int table_check(const struct scif_windows *w, uint64_t offset, uint64_t bytes, int prot) {
    struct scif_piece p;
    unsigned version;
    int err = 0;
    if (offset >= OFFSET_END || bytes > OFFSET_END - offset) return ENXIO;
    for (uint64_t end = offset + bytes; offset < end; offset = p.offset + p.bytes) {
        if (!table_look_up(w, offset, &p, &version)) return ENXIO;
        if (((int)p.prot & prot) != prot) err = EPERM;
    }
    return err;
}

LOOKS bool table_seems_to_be_in_file(const struct scif_windows *w, uint64_t offset, uint64_t bytes) {
    unsigned i = table_search(w, offset);
    const struct scif_piece *p = &w->piece[i];
    return i < table_count(w) && p->kind == PIECE_FILE && p->offset <= offset &&
           offset - p->offset + bytes <= p->bytes;
}

/* ---- The owner ---- */
static void begin_change(struct scif_windows *w) {
    atomic_fetch_add(&w->version, 1);
    atomic_thread_fence(memory_order_seq_cst);
}
static void end_change(struct scif_windows *w) { atomic_fetch_add(&w->version, 1); }

bool table_replace(struct scif_windows *w, unsigned from, unsigned to, const struct scif_piece *p,
                   unsigned n) {
    unsigned count = table_count(w);
    if (from > to || to > count || count - (to - from) + n > SCIF_PIECES_MAX) return false;
    atomic_store(&w->changing, from);
    begin_change(w);
    memmove(&w->piece[from + n], &w->piece[to], (count - to) * sizeof *p);
    if (n) memcpy(&w->piece[from], p, n * sizeof *p);
    atomic_store(&w->count, count - (to - from) + n);
    end_change(w);
    return true;
}

void table_repair(struct scif_windows *w) {
    if (!(atomic_load(&w->version) & 1)) return;
    unsigned from = atomic_load(&w->changing);
    if (from < table_count(w)) atomic_store(&w->count, from);
    end_change(w);
}

bool table_insert(struct scif_windows *w, const struct scif_piece *p) {
    unsigned at = table_search(w, p->offset);
    return table_replace(w, at, at, p, 1);
}

uint64_t table_choose(const struct scif_windows *w, uint64_t bytes) {
    uint64_t at = CHOSEN_AT;
    for (unsigned n = table_count(w), i = table_search(w, at); i < n && w->piece[i].offset < at + bytes; i++)
        at = w->piece[i].offset + w->piece[i].bytes;
    return at;
}

bool table_is_free(const struct scif_windows *w, uint64_t offset, uint64_t bytes) {
    unsigned i = table_search(w, offset);
    return i == table_count(w) || w->piece[i].offset >= offset + bytes;
}
