/* The system has no way to take or map something only if the address still shows what it did. So the address
 * is looked at immediately before, with the gate closed: munmap(), mprotect(), mremap() and mmap(MAP_FIXED)
 * of the program's are kept out until that is done (gate.h). Not so mremap() in the C library's realloc():
 * what is mapped is so with the watch's lock, in which no mremap() of watched memory can end, and the address
 * is looked at again after it: whoever was faster is still in there, and what was mapped goes after what it
 * has moved. */
#include "scif/take.h"
#include "base/log.h"
#include "scif/gate.h"
#include "scif/layout.h"
#include "scif/pages.h"
#include "scif/watch.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct take *_Atomic current; /* with the watch's lock */
static uintptr_t own_move;           /* where to; likewise */
static atomic_uint count;

/* The system's own, as in transplant.c. */
static bool protect(void *from, size_t bytes, int prot) {
    return syscall(SYS_mprotect, from, bytes, prot) == 0;
}
static bool move_mapping(uintptr_t from, size_t bytes, int flags, uintptr_t to) {
    return syscall(SYS_mremap, from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | flags, to) == (long)to;
}

static uintptr_t place(const struct take *t, uint32_t page) {
    return watch_place(t->at + (uintptr_t)page * SCIF_PAGE, t->moves);
}

/* Nobody is in the middle of moving watched memory, and it is known what was moved. */
static void wait_for_movers(void) {
    for (;;) {
        watch_hear();
        if (watch_look(0, SCIF_PAGE) != WATCH_MOVING) return;
        watch_unlock();
        sched_yield();
        watch_lock();
    }
}

/* In this order: who is inside the gate may be in mremap(). */
static void close_gate(void) {
    gate_close();
    watch_lock();
    wait_for_movers();
}
static void open_gate(void) {
    watch_unlock();
    gate_open();
}

/* ---- What happens meanwhile ---- */
bool take_has(uintptr_t page) {
    const struct take *t = atomic_load(&current);
    if (!t) return false;
    bool has = page - t->at < (uintptr_t)t->pages * SCIF_PAGE;
    for (uint32_t i = 0; !has && i < t->pages; i++) has = place(t, i) == page;
    return has;
}

bool take_on_move(uintptr_t to, size_t bytes) {
    struct take *t = atomic_load(&current);
    if (own_move && to == own_move) return false;
    for (uint32_t i = 0; t && i < t->pages; i++)
        if (place(t, i) - to < bytes) t->fate[i] = TAKE_GONE;
    return true;
}

bool take_is_still(uint32_t moves) {
    watch_lock();
    wait_for_movers();
    bool still = watch_count() == moves;
    watch_unlock();
    return still;
}

unsigned take_count(void) { return atomic_load(&count); }

/* ---- Taking ---- */
static bool is_there(const struct take *t) {
    enum watched w;
    while ((w = watch_look(t->at, (size_t)t->pages * SCIF_PAGE)) == WATCH_MOVING) wait_for_movers();
    for (uint32_t i = 0; i < t->pages; i++)
        if (place(t, i) != t->at + (uintptr_t)i * SCIF_PAGE) return false;
    return w == WATCHED;
}

/* Of what nobody else knows. */
static bool is_watched(uintptr_t address, size_t bytes) {
    enum watched w;
    while ((w = watch_look(address, bytes)) == WATCH_MOVING) wait_for_movers();
    return w == WATCHED;
}

/* Before it refuses the system may have unmapped what was there. False: other memory has come there since. */
static bool keep_room(const struct take *t) {
    for (uint32_t i = 0; i < t->pages; i++) {
        uintptr_t at = (uintptr_t)t->aside + (uintptr_t)i * SCIF_PAGE;
        struct mapping m;
        bool empty =
            syscall(SYS_mmap, at, SCIF_PAGE, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == (long)at;
        if (!empty && memory_next(at, &m) && m.from <= at && !m.shared) return false;
    }
    return true;
}

/* The event of this mremap() has to be read by another thread: so without the lock. EAGAIN: it is not one
 * mapping (any more). */
static int take_away(struct take *t) {
    watch_unlock();
    bool good = move_mapping(t->at, (size_t)t->pages * SCIF_PAGE, MREMAP_DONTUNMAP, (uintptr_t)t->aside);
    int err = good ? 0 : errno == EFAULT ? EAGAIN : ENOMEM;
    t->room_lost = err == ENOMEM && !keep_room(t);
    watch_lock();
    wait_for_movers();
    own_move = 0;
    return err;
}

/* Wherever the program has moved it, nobody has to wait there. */
static void let_go(const struct take *t) {
    for (uint32_t i = 0; i < t->pages; i++)
        if (is_watched(place(t, i), SCIF_PAGE)) watch_memory(place(t, i), SCIF_PAGE);
}

static void end(void) {
    atomic_store(&current, NULL);
    atomic_fetch_add(&count, 1);
}

/* ---- The end ---- */
struct run { /* pages with one fate that adjoin where they are now */
    uint32_t first, n;
    int prot;
    bool otherwise;
    enum watched state;
    enum take_fate fate;
    uintptr_t at[TAKE_PAGES_MAX]; /* each */
};

/* Whether page i goes with those of the run, in the mapping that ends there. */
static bool goes_with(const struct take *t, const struct run *r, const bool *otherwise, uintptr_t end) {
    uint32_t i = r->first + r->n;
    uintptr_t at = r->at[0] + (uintptr_t)r->n * SCIF_PAGE;
    return i < t->pages && t->fate[i] == r->fate && (!otherwise || otherwise[i] == r->otherwise) &&
           place(t, i) == at && at < end;
}

/* Within one mapping: of several with unmapped pages between them the system says that they are watched. */
static struct run next_run(const struct take *t, const bool *otherwise, uint32_t first) {
    struct run r = {.first = first,
                    .n = 1,
                    .fate = t->fate[first],
                    .otherwise = otherwise && otherwise[first],
                    .at = {place(t, first)}};
    struct mapping m = {.to = r.at[0], .prot = t->prot};
    r.state = watch_look(r.at[0], SCIF_PAGE);
    if (r.state == WATCHED) (void)memory_ask(r.at[0], &m);
    while (goes_with(t, &r, otherwise, m.to)) r.n++;
    r.prot = m.prot;
    for (uint32_t i = 1; i < r.n; i++) r.at[i] = r.at[0] + (uintptr_t)i * SCIF_PAGE;
    return r;
}

/* Else the program would go on without it. */
static void must(bool good) {
    if (good) return;
    weft_error("scif", "memory that was to be mapped cannot be given back: %s", strerror(errno));
    abort();
}

static void put_back(const struct take *t, uint32_t first, uint32_t n, int prot, uintptr_t to) {
    unsigned char *from = t->aside + (size_t)first * SCIF_PAGE;
    size_t bytes = (size_t)n * SCIF_PAGE;
    must(protect(from, bytes, prot) && move_mapping((uintptr_t)from, bytes, MREMAP_DONTUNMAP, to));
}

/* It was not watched for a moment. If realloc() has moved it just then, nobody knows where to. */
static void watch_again(uintptr_t address, size_t bytes) {
    if (!watch_memory(address, bytes) || !memory_is_mapped(address, bytes)) watch_give_up();
}

static void give_back(const struct take *t, const struct run *r) {
    put_back(t, r->first, r->n, r->prot, r->at[0]);
    watch_again(r->at[0], (size_t)r->n * SCIF_PAGE);
}

static void put(struct take *t, struct run *r, take_show *show, void *context) {
    if (r->otherwise && show(context, r->first, r->n, r->at[0], r->prot)) return;
    for (uint32_t i = 0; r->otherwise && i < r->n; i++) t->fate[r->first + i] = TAKE_FAILED;
    r->otherwise = false;
    give_back(t, r);
}

/* The program had moved the address away before something was mapped there; or it has moved that with it. */
static void go_after(const struct run *r, uint32_t page, uintptr_t to) {
    uintptr_t from = r->at[page];
    if (!memory_is_mapped(from, SCIF_PAGE)) return;
    if (!r->otherwise) watch_no_more(from, SCIF_PAGE);
    must(move_mapping(from, SCIF_PAGE, 0, to));
    if (!r->otherwise) watch_again(to, SCIF_PAGE);
}

static void catch_up(const struct take *t, struct run *r) {
    for (bool moving = true; moving;) {
        watch_hear();
        for (uint32_t i = 0; i < r->n; i++) {
            uintptr_t now = place(t, r->first + i);
            if (now != r->at[i]) go_after(r, i, now);
            r->at[i] = now;
        }
        moving = watch_look(0, SCIF_PAGE) == WATCH_MOVING;
        if (!moving) return;
        watch_unlock();
        sched_yield();
        watch_lock();
    }
}

/* ---- Nothing was to be taken ---- */
/* What was taken of watched memory, to where the program has it now, unless it has unmapped that or mapped
 * something over it. False: it is just being moved. */
static bool take_back_watched(const struct take *t, uint32_t page) {
    struct run r = next_run(t, NULL, page);
    r.n = 1;
    if (r.state == WATCH_MOVING) return false;
    if (r.state == WATCH_NOT || r.fate == TAKE_GONE) return true;
    watch_no_more((uintptr_t)t->aside + (size_t)page * SCIF_PAGE, SCIF_PAGE);
    give_back(t, &r);
    catch_up(t, &r);
    return true;
}

/* Of other memory, which the program had mapped there just before, nobody knows where it is moved. */
static void take_back_other(const struct take *t, uint32_t page) {
    uintptr_t to = t->at + (size_t)page * SCIF_PAGE;
    struct mapping m = {.prot = t->prot};
    (void)memory_ask(to, &m);
    if (memory_is_mapped(to, SCIF_PAGE)) put_back(t, page, 1, m.prot, to);
}

static void take_back(const struct take *t, uint32_t page) {
    bool watched = is_watched((uintptr_t)t->aside + (size_t)page * SCIF_PAGE, SCIF_PAGE);
    if (!watched) take_back_other(t, page);
    while (watched && !take_back_watched(t, page)) wait_for_movers();
}

/* Other memory has got some of the addresses after the look, or comes to them: what has been taken of it goes
 * back. */
static void undo(const struct take *t, bool taken) {
    for (uint32_t i = 0; i < t->pages; i++) {
        struct mapping m = {.shared = !taken};
        (void)memory_ask((uintptr_t)t->aside + (size_t)i * SCIF_PAGE, &m);
        if (!m.shared) take_back(t, i);
    }
}

/* Those that wait, wherever the program has moved it. */
static void wake_all(const struct take *t) {
    watch_lock();
    for (uint32_t i = 0; i < t->pages; i++) {
        uintptr_t now = place(t, i);
        if (now != t->at + (uintptr_t)i * SCIF_PAGE) watch_wake(now, SCIF_PAGE);
    }
    watch_unlock();
    watch_wake(t->at, (size_t)t->pages * SCIF_PAGE);
}

/* 0: threads that touch the pages wait. The gate is closed. */
static int hold_up(const struct take *t) {
    if (!is_there(t)) return EAGAIN;
    uint32_t seen = watch_count();
    if (watch_hold_up(t->at, (size_t)t->pages * SCIF_PAGE)) return 0;
    return is_there(t) && watch_count() == seen ? ENOMEM : EAGAIN;
}

int take_begin(struct take *t) {
    size_t bytes = (size_t)t->pages * SCIF_PAGE;
    memset(t->fate, TAKE_STAYS, sizeof t->fate);
    close_gate();
    int err = hold_up(t);
    if (err) {
        open_gate();
        return err;
    }
    atomic_store(&current, t);
    atomic_fetch_add(&count, 1);
    own_move = (uintptr_t)t->aside;
    err = take_away(t);
    bool taken = !err;
    if (taken && !is_watched((uintptr_t)t->aside, bytes)) err = EAGAIN;
    if (err) {
        if (err == EAGAIN) undo(t, taken);
        let_go(t);
        end();
    } else {
        watch_no_more((uintptr_t)t->aside, bytes);
    }
    open_gate();
    if (err) wake_all(t);
    return err;
}

void take_settle(struct take *t, const bool *otherwise, take_show *show, void *context) {
    close_gate();
    for (uint32_t i = 0; i < t->pages;) {
        struct run r = next_run(t, otherwise, i);
        if (r.state == WATCHED && r.fate != TAKE_GONE) {
            put(t, &r, show, context);
            catch_up(t, &r);
            watch_wake(r.at[0], (size_t)r.n * SCIF_PAGE);
        }
        if (r.state == WATCH_MOVING)
            wait_for_movers();
        else
            i += r.n;
    }
    end();
    open_gate();
    wake_all(t);
}
