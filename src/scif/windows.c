/* scif_register(), scif_unregister(), and looking up windows. */
#include "scif/windows.h"
#include "base/log.h"
#include "scif/api.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/pages.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHOSEN_AT  (UINT64_C(1) << 40) /* chosen offsets begin here: above small numbers, below addresses */
#define OFFSET_END (UINT64_C(1) << 63)

static pthread_mutex_t rings_lock =
    PTHREAD_MUTEX_INITIALIZER; /* of endpoints' rings as this process has them */

void windows_before_fork(void) { pthread_mutex_lock(&rings_lock); }
void windows_after_fork(void) { pthread_mutex_unlock(&rings_lock); }

static struct scif_windows *windows_of(const struct endpoint *e, enum side side) {
    return side == SIDE_OWN ? &e->memory->shared.windows : &e->peer_memory->windows;
}

/* ---- Rings ---- */
static bool is_ring(int fd) {
    char name[64], target[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, target, sizeof target - 1);
    return n > 0 && (target[n] = 0, !strcmp(target, "anon_inode:[io_uring]"));
}

static int fetch(const struct scif_ring *s) {
    int process = (int)syscall(SYS_pidfd_open, s->holder, 0);
    int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, s->holder_fd, 0);
    if (process >= 0) close_descriptor(process);
    if (fd < 0 || is_ring(fd)) return fd < 0 ? -1 : descriptor_hide(fd);
    close_descriptor(fd);
    return -1;
}

/* With rings_lock. */
static struct ring *room_for_rings(struct endpoint *e) {
    if (e->rings) return e->rings;
    e->rings = calloc(2 * SCIF_RINGS_MAX, sizeof *e->rings);
    for (unsigned i = 0; e->rings && i < 2 * SCIF_RINGS_MAX; i++) e->rings[i].fd = -1;
    return e->rings;
}

static struct ring *ring_at(struct endpoint *e, enum side side, unsigned i) {
    struct ring *r = NULL;
    pthread_mutex_lock(&rings_lock);
    if (i < SCIF_RINGS_MAX && room_for_rings(e)) r = &e->rings[side * SCIF_RINGS_MAX + i];
    if (r && r->fd < 0) {
        struct scif_ring *s = &windows_of(e, side)->ring[i];
        int fd = fetch(s), err = fd < 0 ? errno : ring_open(r, s, fd);
        if (err) weft_debug("scif", "a ring cannot be opened: %s", strerror(err));
        if (err && fd >= 0) close_descriptor(fd);
        if (err) {
            r->fd = -1;
            r = NULL;
        }
    }
    pthread_mutex_unlock(&rings_lock);
    return r;
}

/* The service keeps a copy of the ring: for the peer, and beyond this process's end. */
static int hand_over(struct endpoint *e, struct ring *r) {
    prctl(PR_SET_PTRACER, line_service()); /* where only relatives may look into a process */
    struct scif_request q = {.op = SCIF_OP_RING, .value = (uint32_t)r->fd, .endpoint = e->id};
    struct scif_answer a;
    int err = line_call(&q, &a, NULL, NULL, NULL, NULL);
    if (err) return err;
    r->shared->holder = (uint32_t)line_service();
    r->shared->holder_fd = a.value;
    return 0;
}

/* With the window lock, as all that follows. */
static int add_ring(struct endpoint *e) {
    struct scif_windows *w = windows_of(e, SIDE_OWN);
    unsigned i = atomic_load(&w->rings);
    if (i >= SCIF_RINGS_MAX) return ENOMEM;
    pthread_mutex_lock(&rings_lock);
    struct ring *r = room_for_rings(e) ? &e->rings[i] : NULL;
    int err = r ? ring_create(r, &w->ring[i]) : ENOMEM;
    if (!err) r->fd = descriptor_hide(r->fd);
    pthread_mutex_unlock(&rings_lock);
    if (!err && (err = hand_over(e, r))) ring_close(r);
    if (err)
        weft_error("scif", "no io_uring to pin memory with: %s", strerror(err));
    else
        atomic_store(&w->rings, i + 1);
    return err;
}

/* ---- Slots ---- */
static int take_slot(struct endpoint *e, struct scif_piece *p) {
    uint32_t(*used)[SCIF_RING_SLOTS / 32] = e->memory->own.slots;
    for (unsigned i = 0;; i++) {
        if (i == atomic_load(&windows_of(e, SIDE_OWN)->rings)) {
            int err = add_ring(e);
            if (err) return err;
        }
        for (unsigned j = 0; j < SCIF_RING_SLOTS / 32; j++) {
            if (!~used[i][j]) continue;
            unsigned bit = (unsigned)__builtin_ctz(~used[i][j]);
            used[i][j] |= 1u << bit;
            p->ring = i;
            p->slot = j * 32 + bit;
            return 0;
        }
    }
}

static void give_slot(struct endpoint *e, const struct scif_piece *p) {
    struct ring *r = ring_at(e, SIDE_OWN, p->ring);
    if (r) ring_unpin(r, p->slot);
    e->memory->own.slots[p->ring][p->slot / 32] &= ~(1u << p->slot % 32);
}

#define MAPPINGS_MAX 1024

/* Pinning takes pages that can be written. Those of the process's own that only may be read are made writable
 * for that moment: the system gives each its own copy, as it does when a debugger writes. */
static int pin_constant(struct ring *r, const struct scif_piece *p) {
    struct mapping *m = malloc(MAPPINGS_MAX * sizeof *m);
    int n = m ? memory_mappings(p->address, p->bytes, m, MAPPINGS_MAX) : -1, err = n < 0 ? ENOMEM : 0,
        done = 0;
    for (; !err && done < n; done++) {
        if (!(m[done].prot & PROT_READ) || (m[done].shared && !(m[done].prot & PROT_WRITE))) err = EFAULT;
        if (!err && !(m[done].prot & PROT_WRITE) &&
            mprotect((void *)m[done].from, m[done].to - m[done].from, m[done].prot | PROT_WRITE))
            err = EFAULT;
    }
    if (!err) err = ring_pin(r, p->slot, (void *)p->address, p->bytes);
    for (int i = 0; i < done; i++)
        if (!(m[i].prot & PROT_WRITE)) mprotect((void *)m[i].from, m[i].to - m[i].from, m[i].prot);
    free(m);
    return err;
}

/* Memory of a kind that cannot be pinned is none for this purpose; whatever else stands in the way of a ring,
 * the pages cannot be kept. */
static int errno_of(int err) {
    switch (err) {
    case 0:
    case EFAULT:
    case EAGAIN: return err;
    case EOPNOTSUPP: return EFAULT;
    default: return ENOMEM;
    }
}

static int pin(struct endpoint *e, struct scif_piece *p) {
    if (!memory_is_mapped(p->address, p->bytes))
        return EFAULT; /* before a ring takes the place of what is not */
    int err = take_slot(e, p);
    if (err) return errno_of(err);
    struct ring *r = ring_at(e, SIDE_OWN, p->ring);
    err = r ? ring_pin(r, p->slot, (void *)p->address, p->bytes) : ENOMEM;
    if (err == EFAULT && !(p->prot & SCIF_PROT_WRITE)) err = pin_constant(r, p);
    if (err) give_slot(e, p);
    return errno_of(err);
}

/* ---- The table ---- */
static void begin_change(struct scif_windows *w) {
    atomic_fetch_add(&w->version, 1);
    atomic_thread_fence(memory_order_seq_cst);
}
static void end_change(struct scif_windows *w) { atomic_fetch_add(&w->version, 1); }

/* The first piece that ends beyond offset. */
static unsigned search(const struct scif_windows *w, unsigned count, uint64_t offset) {
    unsigned low = 0, high = count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (w->piece[middle].offset + w->piece[middle].bytes <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static unsigned count_of(const struct scif_windows *w) {
    unsigned n = atomic_load_explicit(&w->count, memory_order_acquire);
    return n <= SCIF_PIECES_MAX ? n : SCIF_PIECES_MAX;
}

static void insert(struct scif_windows *w, const struct scif_piece *p) {
    unsigned n = count_of(w), at = search(w, n, p->offset);
    begin_change(w);
    memmove(&w->piece[at + 1], &w->piece[at], (n - at) * sizeof *p);
    w->piece[at] = *p;
    atomic_store(&w->count, n + 1);
    end_change(w);
}

static void erase(struct scif_windows *w, unsigned from, unsigned to) {
    unsigned n = count_of(w);
    begin_change(w);
    memmove(&w->piece[from], &w->piece[to], (n - to) * sizeof *w->piece);
    atomic_store(&w->count, n - (to - from));
    end_change(w);
}

/* The piece that holds this byte, as it was at one moment. */
static bool look_up(const struct scif_windows *w, uint64_t offset, struct scif_piece *out) {
    for (unsigned round = 0;; round++) {
        unsigned before = atomic_load(&w->version), n = count_of(w), i = search(w, n, offset);
        bool found = i < n && w->piece[i].offset <= offset;
        if (found) *out = w->piece[i];
        atomic_thread_fence(memory_order_seq_cst);
        if (!(before & 1) && atomic_load(&w->version) == before)
            return found && out->offset <= offset && offset - out->offset < out->bytes;
        if (round > 1000) sched_yield();
        if (round > 1000000) return false; /* whoever was changing it is dead, or wants us to wait for ever */
    }
}

int windows_check(struct endpoint *e, enum side side, uint64_t offset, uint64_t bytes, int prot) {
    struct scif_piece p;
    int err = 0;
    if (offset >= OFFSET_END || bytes > OFFSET_END - offset) return ENXIO;
    for (uint64_t end = offset + bytes; offset < end; offset = p.offset + p.bytes) {
        if (!look_up(windows_of(e, side), offset, &p)) return ENXIO;
        if (((int)p.prot & prot) != prot) err = EPERM;
    }
    return err;
}

int windows_find(struct endpoint *e, enum side side, uint64_t offset, uint64_t bytes, struct part *out) {
    struct scif_piece p;
    if (!look_up(windows_of(e, side), offset, &p)) return ENXIO;
    uint64_t within = offset - p.offset, left = p.bytes - within;
    struct ring *r = ring_at(e, side, p.ring);
    if (!r) return ENXIO;
    *out = (struct part){r, p.slot, p.address + within, bytes < left ? bytes : left};
    return 0;
}

void windows_forget(struct endpoint *e) {
    for (unsigned i = 0; e->rings && i < 2 * SCIF_RINGS_MAX; i++)
        if (e->rings[i].fd >= 0) ring_close(&e->rings[i]);
    free(e->rings);
    e->rings = NULL;
}

/* ---- scif_register ---- */
/* Where a window of that size goes: the lowest gap that takes it, so that equal calls give equal offsets. */
static uint64_t choose(const struct scif_windows *w, uint64_t bytes) {
    uint64_t at = CHOSEN_AT;
    for (unsigned n = count_of(w), i = search(w, n, at); i < n && w->piece[i].offset < at + bytes; i++)
        at = w->piece[i].offset + w->piece[i].bytes;
    return at;
}

static bool is_free(const struct scif_windows *w, uint64_t offset, uint64_t bytes) {
    unsigned n = count_of(w), i = search(w, n, offset);
    return i == n || w->piece[i].offset >= offset + bytes;
}

static void remove_range(struct endpoint *e, uint64_t offset, uint64_t end) {
    struct scif_windows *w = windows_of(e, SIDE_OWN);
    unsigned n = count_of(w), from = search(w, n, offset), to = from;
    struct scif_piece *gone = NULL;
    while (to < n && w->piece[to].offset < end) to++;
    if (to > from) gone = malloc((to - from) * sizeof *gone);
    if (gone) memcpy(gone, &w->piece[from], (to - from) * sizeof *gone);
    for (unsigned i = from; !gone && i < to; i++) give_slot(e, &w->piece[i]);
    erase(w, from, to);
    for (unsigned i = 0; gone && i < to - from; i++) give_slot(e, &gone[i]);
    free(gone);
}

static int register_pieces(struct endpoint *e, uint64_t address, uint64_t bytes, uint64_t offset, int prot) {
    struct scif_windows *w = windows_of(e, SIDE_OWN);
    uint64_t number = ++e->memory->own.next_window;
    if (count_of(w) + bytes / SCIF_PIECE_BYTES + 1 > SCIF_PIECES_MAX) return ENOMEM;
    for (uint64_t done = 0; done < bytes;) {
        struct scif_piece p = {.offset = offset + done,
                               .bytes = bytes - done < SCIF_PIECE_BYTES ? bytes - done : SCIF_PIECE_BYTES,
                               .address = address + done,
                               .window = number,
                               .prot = (uint32_t)prot};
        int err = pin(e, &p);
        if (err) {
            remove_range(e, offset, offset + done);
            return err;
        }
        insert(w, &p);
        done += p.bytes;
    }
    return 0;
}

static bool is_aligned(uint64_t n) { return n % SCIF_PAGE == 0; }

static int register_window(struct endpoint *e, uint64_t address, uint64_t bytes, uint64_t *offset, int prot,
                           bool fixed) {
    pthread_mutex_t *lock = &e->memory->own.window_lock;
    struct scif_windows *w = windows_of(e, SIDE_OWN);
    endpoint_lock(lock);
    if (!fixed) *offset = choose(w, bytes);
    int err = is_free(w, *offset, bytes) ? register_pieces(e, address, bytes, *offset, prot) : EADDRINUSE;
    pthread_mutex_unlock(lock);
    return err;
}

EXPORT off_t scif_register(scif_epd_t epd, void *addr, size_t len, off_t offset, int prot_flags,
                           int map_flags) {
    bool fixed = map_flags & SCIF_MAP_FIXED;
    bool good =
        len && is_aligned((uintptr_t)addr) && is_aligned(len) && !(map_flags & ~SCIF_MAP_FIXED) &&
        !(prot_flags & ~(SCIF_PROT_READ | SCIF_PROT_WRITE)) &&
        (!fixed || (offset >= 0 && is_aligned((uint64_t)offset) && len <= OFFSET_END - (uint64_t)offset));
    struct endpoint *e = api_hold(epd, good);
    if (!e) return SCIF_REGISTER_FAILED;
    uint64_t at = (uint64_t)offset;
    int kept = errno, err = !good                            ? EINVAL
                            : queue_is_closed(e->peer_inner) ? ECONNRESET
                            : len > OFFSET_END / 2           ? ENOMEM
                                                             : 0;
    if (!err) err = register_window(e, (uintptr_t)addr, len, &at, prot_flags, fixed);
    endpoint_release(e);
    errno = err ? err : kept;
    return err ? SCIF_REGISTER_FAILED : (off_t)at;
}

/* ---- scif_unregister ---- */
static int unregister_range(struct endpoint *e, uint64_t offset, uint64_t end) {
    struct scif_windows *w = windows_of(e, SIDE_OWN);
    unsigned n = count_of(w), i = search(w, n, offset);
    uint64_t number = 0;
    /* Part of a window at either end. */
    if (i < n && (w->piece[i].offset < offset || (i > 0 && w->piece[i - 1].window == w->piece[i].window)) &&
        w->piece[i].offset < end)
        return EINVAL;
    for (; i < n && w->piece[i].offset < end; i++) {
        if (w->piece[i].offset + w->piece[i].bytes > end) return EINVAL;
        number = w->piece[i].window;
    }
    if (number && i < n && w->piece[i].window == number) return EINVAL;
    remove_range(e, offset, end);
    return 0;
}

EXPORT int scif_unregister(scif_epd_t epd, off_t offset, size_t len) {
    bool good = len && offset >= 0 && is_aligned((uint64_t)offset) && is_aligned(len) &&
                len <= OFFSET_END - (uint64_t)offset;
    struct endpoint *e = api_hold(epd, good);
    if (!e) return -1;
    int kept = errno, err = api_check(e, good);
    if (!err) {
        endpoint_lock(&e->memory->own.window_lock);
        err = unregister_range(e, (uint64_t)offset, (uint64_t)offset + len);
        pthread_mutex_unlock(&e->memory->own.window_lock);
    }
    return api_end(e, err, kept);
}
