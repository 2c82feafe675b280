#include "scif/job.h"
#include "base/log.h"
#include "scif/intercept.h"
#include "scif/lane.h"
#include "scif/line.h"
#include "scif/pin.h"
#include "scif/pool.h"
#include "scif/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

/* ---- Memory ----
 * Its place is set aside from the beginning on: memory that the system would choose now could come to lie
 * just where the program has unmapped something, and is about to map something else to. */
#define ARENA_BYTES                                                                                          \
    (UINT64_C(256) << 20) /* of addresses: enough for windows of 80 GiB that show the same                   \
                           */

static unsigned char *arena;
static size_t used;

bool job_reserve(void) {
    if (arena) return true;
    void *p = mmap(NULL, ARENA_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p != MAP_FAILED) arena = p;
    return arena != NULL;
}

static void *take_memory(size_t bytes) {
    unsigned char *p = arena + used;
    bytes = (bytes + SCIF_PAGE - 1) & ~(size_t)(SCIF_PAGE - 1);
    if (bytes > ARENA_BYTES - used || mprotect(p, bytes, PROT_READ | PROT_WRITE)) return NULL;
    used += bytes;
    return p;
}

static void free_memory(void) {
    (void)mmap(arena, used, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    used = 0;
}

/* Some of it is somebody else's by now. */
static void leave_memory(void) {
    weft_error("scif",
               "the system has too little memory to map windows, and other memory lies where they were "
               "being mapped: no more can be");
    used = ARENA_BYTES;
}

/* ---- Windows ---- */
static int pin_down(struct endpoint *e, const struct scif_piece *p, struct pinned *out) {
    struct ring *r = space_ring(&e->own, p->place);
    if (!r) return ENOMEM;
    *out = (struct pinned){*r, p->slot, p->at, (uint32_t)(p->bytes / SCIF_PAGE)};
    return 0;
}

static bool is_own(const struct endpoint *e, const struct scif_piece *p) {
    return e->owner_of == line_process() && p->owner == e->owner; /* else another one's, who is gone */
}

static uintptr_t *find_places(const struct endpoint *e, const struct scif_piece *p) {
    uint32_t pages = (uint32_t)(p->bytes / SCIF_PAGE);
    uintptr_t *place = take_memory(pages * sizeof *place);
    bool own = is_own(e, p);
    for (uint32_t i = 0; place && own && i < pages; i++)
        place[i] = watch_follow(p->at + (uint64_t)i * SCIF_PAGE, p->born);
    return place;
}

static bool overlaps(const struct job *j, const uintptr_t *place, const struct scif_piece *p) {
    if (p->at < j->p.at + j->p.bytes && j->p.at < p->at + p->bytes) return true;
    uint32_t pages = (uint32_t)(p->bytes / SCIF_PAGE);
    uintptr_t low = j->place[0], high = j->place[j->pinned.pages - 1];
    for (uint32_t i = 0; i < pages; i++)
        if (place[i] >= low && place[i] <= high) return true;
    return false;
}

static int add_other(struct job *j, struct endpoint *e, const struct scif_piece *p) {
    uintptr_t *place = find_places(e, p);
    if (!place) return ENOMEM;
    if (!overlaps(j, place, p)) return 0;
    struct other *o = take_memory(sizeof *o);
    uint32_t *page = take_memory(p->bytes / SCIF_PAGE * sizeof *page);
    int err = o && page ? pin_down(e, p, &o->pinned) : ENOMEM;
    if (!err) err = pin_file(e, pool_file(), &o->file);
    if (err) return err;
    o->e = e;
    o->p = *p;
    o->place = place;
    o->page = page;
    o->next = j->other;
    j->other = o;
    return 0;
}

static int find_others(struct job *j, struct endpoint *const *all, unsigned n) {
    int err = 0;
    for (unsigned k = 0; k < n; k++) {
        struct endpoint *e = all[k];
        if (e->owner_of != line_process()) continue;
        for (unsigned i = 0; !err && i < table_count(e->own.table); i++) {
            struct scif_piece p = e->own.table->piece[i];
            bool itself = e == j->e && p.offset == j->p.offset;
            if (p.kind == PIECE_PINNED && p.owner == e->owner && p.born != UNWATCHED && !itself)
                err = add_other(j, e, &p);
        }
    }
    return err;
}

/* ---- Turns of rings, each once ---- */
static bool is_earlier(const struct job *j, const struct other *o) {
    bool again = j->pinned.ring.shared == o->pinned.ring.shared;
    for (const struct other *k = j->other; k != o; k = k->next)
        again |= k->pinned.ring.shared == o->pinned.ring.shared;
    return again;
}

static void turns(struct job *j, bool take) {
    if (take)
        ring_take(&j->pinned.ring);
    else
        ring_give(&j->pinned.ring);
    for (struct other *o = j->other; o; o = o->next) {
        if (is_earlier(j, o)) continue;
        if (take)
            ring_take(&o->pinned.ring);
        else
            ring_give(&o->pinned.ring);
    }
}

/* ---- Begin, end ---- */
static size_t pieces_room(const struct job *j) {
    size_t most = j->pinned.pages;
    for (const struct other *o = j->other; o; o = o->next)
        if (o->pinned.pages > most) most = o->pinned.pages;
    return most;
}

bool job_can_follow(void) {
    if (!watch_is_lost()) return true;
    weft_error("scif", "the program has moved memory of windows too often, or unnoticed while it was being "
                       "mapped: none that is not mapped yet can be any more");
    return false;
}

static int take_room(struct job *j) {
    j->place = find_places(j->e, &j->p);
    j->page = take_memory(j->pinned.pages * sizeof *j->page);
    j->aside = take_memory(CHUNK_BYTES);
    j->view = take_memory(CHUNK_BYTES);
    return j->place && j->page && j->aside && j->view && job_can_follow() ? 0 : ENOMEM;
}

static int prepare(struct job *j, struct endpoint *const *all, unsigned n) {
    struct lane *l = lane_get();
    struct file *pool = pool_file();
    j->memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    int err = l && pool ? pin_down(j->e, &j->p, &j->pinned) : ENOMEM;
    if (err) return err;
    j->pool = file_descriptor(pool);
    j->in = l->in;
    j->out = l->out;
    j->own = is_own(j->e, &j->p);
    err = take_room(j);
    if (!err) err = pin_file(j->e, pool, &j->file);
    if (!err) err = find_others(j, all, n);
    if (!err && !(j->pieces = take_memory(pieces_room(j) * sizeof *j->pieces))) err = ENOMEM;
    return err ? err : pool_take(j->p.bytes, &j->at);
}

static void release(struct job *j) {
    bool lost = j->room_lost;
    if (j->memory >= 0) close_descriptor(j->memory);
    if (lost)
        leave_memory();
    else
        free_memory();
}

int job_begin(struct job **out, struct endpoint *e, const struct scif_piece *p, struct endpoint *const *all,
              unsigned n) {
    struct job *j = take_memory(sizeof *j);
    if (!j) return ENOMEM;
    j->e = e;
    j->p = *p;
    int err = prepare(j, all, n);
    if (err) {
        release(j);
        return err;
    }
    turns(j, true);
    *out = j;
    return 0;
}

void job_end(struct job *j) {
    turns(j, false);
    bool any = false;
    for (uint32_t i = 0; i < j->pinned.pages; i++) any |= j->page[i] != 0;
    if (!any) pool_return(j->at, j->p.bytes);
    release(j);
}
