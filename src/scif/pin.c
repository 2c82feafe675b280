#include "scif/pin.h"
#include "base/log.h"
#include "scif/door.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/mover.h"
#include "scif/owned.h"
#include "scif/pages.h"
#include "scif/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>

#define MAPPINGS_MAX 1024

/* ---- What the service keeps: for the peer, and beyond this process's end ---- */
static int keep(struct endpoint *e, int fd, struct scif_kept *out) {
    struct scif_request q = {.op = SCIF_OP_KEEP, .value = (uint32_t)fd, .endpoint = e->id};
    struct scif_answer a;
    int err = line_call(&q, &a, NULL, NULL, NULL, NULL);
    if (err ==
        EPERM) { /* only relatives may look into a process here: not before, it may be set by the program */
        prctl(PR_SET_PTRACER, line_service());
        err = line_call(&q, &a, NULL, NULL, NULL, NULL);
    }
    if (!err) *out = (struct scif_kept){(uint32_t)line_service(), a.value};
    return err;
}

static int add_ring(struct endpoint *e) {
    struct scif_windows *w = e->own.table;
    unsigned i = atomic_load(&w->rings);
    struct ring *r = space_room_for_ring(&e->own, i);
    int err = r ? ring_create(r, &w->ring[i]) : ENOMEM;
    if (!err) r->fd = descriptor_hide(r->fd);
    if (!err && (err = keep(e, r->fd, &w->ring[i].kept))) ring_close(r);
    if (err)
        weft_error("scif", "no io_uring to pin memory with: %s", strerror(err));
    else
        atomic_store(&w->rings, i + 1);
    return err;
}

int pin_file(struct endpoint *e, struct file *f, uint32_t *out) {
    struct scif_windows *w = e->own.table;
    unsigned n = atomic_load(&w->files);
    for (unsigned i = 0; i < n && i < SCIF_FILES_MAX; i++)
        if (file_is(f, w->file[i].device, w->file[i].inode)) {
            *out = i;
            return 0;
        }
    unsigned at = 0; /* the first that is free */
    while (at < n && at < SCIF_FILES_MAX && w->file[at].inode) at++;
    if (at >= SCIF_FILES_MAX) return ENOMEM;
    int err = keep(e, file_descriptor(f), &w->file[at].kept);
    if (err) return err;
    atomic_store(&w->file[at].brought, f != pool_file());
    atomic_store(&w->file[at].shared, 0);
    w->file[at].device = file_device(f);
    w->file[at].inode = file_inode(f);
    if (at >= n) atomic_store(&w->files, at + 1);
    if (owned_has(f)) atomic_store(&w->file[at].shared, 1);
    *out = at;
    return 0;
}

static void let_go(struct endpoint *e, struct scif_file *f) {
    struct scif_request q = {.op = SCIF_OP_LET_GO, .value = f->kept.fd, .endpoint = e->id};
    struct scif_answer a;
    atomic_store(&f->brought, 0);
    f->inode = 0;
    f->device = 0;
    atomic_fetch_add(&e->own.table->let_go, 1);
    if (f->kept.holder == (uint32_t)line_service()) (void)line_call(&q, &a, NULL, NULL, NULL, NULL);
}

static bool is_in_file(const struct scif_piece *p) { return p->kind == PIECE_FILE || p->kind == PIECE_GONE; }

void pin_let_go_files(struct endpoint *e) {
    static_assert(SCIF_FILES_MAX == 64, "a bit for each");
    struct scif_windows *w = e->own.table;
    uint64_t unused = 0;
    for (unsigned i = 0; i < SCIF_FILES_MAX && i < atomic_load(&w->files); i++)
        if (w->file[i].inode && !pool_is(w->file[i].device, w->file[i].inode)) unused |= UINT64_C(1) << i;
    for (unsigned i = 0; unused && i < table_count(w); i++)
        if (is_in_file(&w->piece[i])) unused &= ~(UINT64_C(1) << w->piece[i].place % SCIF_FILES_MAX);
    for (; unused; unused &= unused - 1) let_go(e, &w->file[__builtin_ctzll(unused)]);
    space_tidy(&e->own);
}

/* What it has registered stays, and is nobody's. Readers see the one or the other. */
static void disown(struct scif_windows *w, uint32_t owner) {
    for (unsigned i = 0; i < table_count(w); i++)
        if (w->piece[i].owner == owner)
            __atomic_store_n(&w->piece[i].owner, SCIF_OWNER_GONE, __ATOMIC_RELAXED);
}

/* A new place, or that of a process that has ended. SCIF_OWNERS_MAX: none. */
static unsigned find_place(struct scif_windows *w) {
    unsigned n = atomic_load(&w->owners);
    if (n < SCIF_OWNERS_MAX) return n;
    for (unsigned i = 0; i < SCIF_OWNERS_MAX; i++) {
        if (!door_has_ended(w, i)) continue;
        disown(w, i);
        return i;
    }
    return SCIF_OWNERS_MAX;
}

/* This process becomes one of the owners: whoever maps its windows asks it. Without, none can be mapped. */
void pin_become_owner(struct endpoint *e) {
    struct scif_windows *w = e->own.table;
    if (e->owner_of == line_process()) return;
    unsigned i = find_place(w);
    e->owner = SCIF_OWNERS_MAX;
    e->owner_of = line_process();
    for (uint64_t name; !atomic_load(&w->name); atomic_store(&w->name, name)) /* at once: others look */
        if (getrandom(&name, sizeof name, 0) < 0) return;
    int err = i < SCIF_OWNERS_MAX ? mover_start() : ENOMEM;
    if (!err) err = keep(e, mover_door(), &w->door[i].kept);
    if (!err) w->door[i].cookie = door_cookie(mover_door());
    if (err) {
        weft_warn("scif", "the windows of this process cannot be mapped: %s", strerror(err));
        return;
    }
    e->owner = i;
    if (i >= atomic_load(&w->owners)) atomic_store(&w->owners, i + 1);
}

/* ---- Slots ---- */
static int take_slot(struct endpoint *e, struct scif_piece *p) {
    uint32_t(*used)[SCIF_RING_SLOTS / 32] = e->memory->own.slots;
    for (unsigned i = 0; i < SCIF_RINGS_MAX; i++) {
        if (i == atomic_load(&e->own.table->rings)) {
            int err = add_ring(e);
            if (err) return err;
        }
        for (unsigned j = 0; j < SCIF_RING_SLOTS / 32; j++) {
            if (!~used[i][j]) continue;
            unsigned bit = (unsigned)__builtin_ctz(~used[i][j]);
            used[i][j] |= 1u << bit;
            p->place = i;
            p->slot = j * 32 + bit;
            return 0;
        }
    }
    return ENOMEM;
}

void pin_free(struct endpoint *e, const struct scif_piece *p) {
    if (p->place >= SCIF_RINGS_MAX || p->slot >= SCIF_RING_SLOTS) return; /* the peer has spoilt it */
    struct ring *r = space_ring(&e->own, p->place);
    if (r) ring_unpin(r, p->slot);
    e->memory->own.slots[p->place][p->slot / 32] &= ~(1u << p->slot % 32);
}

/* Pinning takes pages that can be written. Those of the process's own that only may be read are made writable
 * for that moment: the system gives each its own copy, as it does when a debugger writes. */
static int pin_constant(struct ring *r, const struct scif_piece *p) {
    struct mapping *m = malloc(MAPPINGS_MAX * sizeof *m);
    int n = m ? memory_mappings(p->at, p->bytes, m, MAPPINGS_MAX) : -1, err = n < 0 ? ENOMEM : 0, done = 0;
    for (; !err && done < n; done++) {
        if (!(m[done].prot & PROT_READ) || (m[done].shared && !(m[done].prot & PROT_WRITE))) err = EFAULT;
        if (!err && !(m[done].prot & PROT_WRITE) &&
            mprotect((void *)m[done].from, m[done].to - m[done].from, m[done].prot | PROT_WRITE))
            err = EFAULT;
    }
    if (!err) err = ring_pin(r, p->slot, (void *)p->at, p->bytes);
    for (int i = 0; i < done; i++)
        if (!(m[i].prot & PROT_WRITE)) mprotect((void *)m[i].from, m[i].to - m[i].from, m[i].prot);
    free(m);
    return err;
}

int pin_errno(int err) {
    switch (err) {
    case 0:
    case EFAULT:
    case EAGAIN: return err;
    case EOPNOTSUPP: return EFAULT;
    default: return ENOMEM;
    }
}

int pin(struct endpoint *e, struct scif_piece *p) {
    int err = take_slot(e, p);
    if (err) return pin_errno(err);
    struct ring *r = space_ring(&e->own, p->place);
    err = r ? ring_pin(r, p->slot, (void *)p->at, p->bytes) : ENOMEM;
    if (err == EFAULT && !(p->prot & SCIF_PROT_WRITE)) err = pin_constant(r, p);
    if (err) pin_free(e, p);
    return pin_errno(err);
}

int pin_share(struct endpoint *e, struct scif_piece *p, struct endpoint *from) {
    struct ring *source = space_ring(&from->own, p->place);
    unsigned slot = p->slot;
    int err = source ? take_slot(e, p) : ENOMEM;
    if (err) return pin_errno(err);
    struct ring *r = space_ring(&e->own, p->place);
    err = r ? ring_share(r, p->slot, source, slot) : ENOMEM;
    if (err) pin_free(e, p);
    return err == EOPNOTSUPP ? err : pin_errno(err);
}
