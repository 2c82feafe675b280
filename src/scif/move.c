/* Which addresses of this process still show the pages of a window is found out page by page (transplant.c);
 * a piece of a window is moved chunk by chunk, with whatever its addresses show by then. */
#include "scif/move.h"
#include "scif/door.h"
#include "scif/job.h"
#include "scif/pool.h"
#include "scif/watch.h"

#include <errno.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint count; /* odd: something is being moved */

void move_hold_off(void) { pthread_mutex_lock(&lock); }
void move_go_on(void) { pthread_mutex_unlock(&lock); }
void move_before_fork(void) { move_hold_off(); }
void move_after_fork(void) { move_go_on(); }

unsigned move_count(void) { return atomic_load(&count); }
bool move_was_in_the_way(unsigned before) {
    if (!(before & 1) && atomic_load(&count) == before) return false;
    move_hold_off();
    move_go_on();
    return true;
}

/* ---- Chunks ---- */
static void find_pages(struct job *j, uint32_t first) {
    watch_lock();
    watch_hear();
    j->moves = watch_count();
    for (uint32_t i = 0; i < CHUNK_PAGES && first + i < j->pinned.pages; i++)
        j->now[i] = j->own ? watch_place(j->p.at + (uint64_t)(first + i) * SCIF_PAGE, j->p.born) : 0;
    watch_unlock();
}

/* Pages from `first` on that adjoin where they are now and lie in one mapping, or in none. *m: its `to` is 0
 * then. */
static uint32_t chunk(struct job *j, uint32_t first, struct mapping *m) {
    find_pages(j, first);
    uintptr_t at = j->now[0];
    bool any = at && memory_next(at, m), here = any && m->from <= at;
    uint32_t n = 1;
    while (n < CHUNK_PAGES && first + n < j->pinned.pages && j->now[n] == (at ? at + n * SCIF_PAGE : 0) &&
           (here ? at + n * SCIF_PAGE < m->to : !any || at + n * SCIF_PAGE < m->from))
        n++;
    if (!here) *m = (struct mapping){0};
    return n;
}

static bool see_one(void *context, const struct mapping *m) {
    struct mapping *out = context;
    if (m->to <= out->from) return true;
    if (m->from <= out->from) *out = *m;
    return false;
}

/* Private memory. Of several pages the system says that they are not watched if one of them is not: the
 * program may just have mapped something over some, and the others are still there. So then it is one. */
static int move_private(struct job *j, uint32_t first, uint32_t *n, int prot) {
    enum watched w = watch_look(j->now[0], (size_t)*n * SCIF_PAGE);
    if (w == WATCH_NOT && *n > 1) w = watch_look(j->now[0], (size_t)(*n = 1) * SCIF_PAGE);
    if (w == WATCHED) return transplant_private(j, first, *n, prot);
    return w == WATCH_NOT && take_is_still(j->moves) ? transplant_unseen(j, first, *n) : EAGAIN;
}

/* *n becomes how many of the pages that was done for. EAGAIN: look again. */
static int move_chunk(struct job *j, uint32_t first, uint32_t *n, const struct mapping *m) {
    bool unseen = !m->to || pool_has(m);
    if (unseen) return take_is_still(j->moves) ? transplant_unseen(j, first, *n) : EAGAIN;
    if (m->shared || m->inode) return transplant_other_kind(j, first, *n, m);
    return move_private(j, first, n, m->prot);
}

/* Of shared memory, that nobody else can have it. */
static int look_at(struct job *j, const struct mapping *m) {
    struct mapping full = {.from = j->now[0]};
    j->advice = memory_advice(j->now[0]);
    return m->shared && (!memory_each(see_one, &full) || !memory_is_own_alone(&full)) ? EBUSY : 0;
}

static int move_pages(struct job *j) {
    struct mapping m, last = {0};
    int err = 0;
    for (uint32_t first = 0; !err && first < j->pinned.pages;) {
        uint32_t n = chunk(j, first, &m);
        if (m.to && m.to != last.to && !pool_has(&m)) err = look_at(j, &m); /* another one than before */
        last = m;
        if (!err) err = move_chunk(j, first, &n, &m);
        if (!err) first += n;
        if (err == EAGAIN) err = 0;
        if (!err && !job_can_follow()) err = ENOMEM;
    }
    return err;
}

/* With the locks of all endpoints. */
static int move_piece(struct endpoint *e, const struct scif_piece *p, struct endpoint *const *all,
                      unsigned n) {
    struct job *j;
    int err = job_begin(&j, e, p, all, n);
    if (err) return err;
    err = move_pages(j);
    convert_windows(j);
    job_end(j);
    return err;
}

/* ---- Windows ---- */
static bool next_pinned(struct endpoint *e, uint64_t offset, uint64_t end, struct scif_piece *out) {
    const struct scif_windows *w = e->own.table;
    for (unsigned i = table_search(w, offset); i < table_count(w) && w->piece[i].offset < end; i++)
        if (w->piece[i].kind == PIECE_PINNED) {
            *out = w->piece[i];
            return true;
        }
    return false;
}

static int by_id(const void *a, const void *b) {
    uint64_t x = (*(struct endpoint *const *)a)->id, y = (*(struct endpoint *const *)b)->id;
    return x < y ? -1 : x > y;
}

/* Ids are the same in all processes that share an endpoint: so is the order of the locks. */
static int move_locked(struct endpoint *e, uint64_t offset, uint64_t bytes) {
    struct endpoint **all;
    struct scif_piece p;
    unsigned n;
    int err = 0;
    if (!endpoint_all(&all, &n)) return ENOMEM;
    qsort(all, n, sizeof *all, by_id);
    for (unsigned i = 0; i < n; i++) endpoint_lock(all[i]);
    while (!err && next_pinned(e, offset, offset + bytes, &p))
        if (p.born == UNWATCHED)
            err = ENOMEM;
        else if (p.owner != e->owner && door_is_open(e->own.table, p.owner))
            err = ENOMEM; /* its owner is to be asked */
        else
            err = move_piece(e, &p, all, n);
    for (unsigned i = n; i > 0; i--) endpoint_unlock(all[i - 1]);
    endpoint_release_all(all, n);
    return err;
}

int move_windows(struct endpoint *e, uint64_t offset, uint64_t bytes) {
    if (offset >= OFFSET_END || bytes > OFFSET_END - offset) return ENXIO;
    move_hold_off();
    atomic_fetch_add(&count, 1);
    int err = move_locked(e, offset, bytes);
    atomic_fetch_add(&count, 1);
    move_go_on();
    return err;
}
