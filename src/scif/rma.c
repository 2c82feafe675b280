/* Remote memory access and fences: bytes between local memory, or a window of the own registered address
 * space, and a window of the peer's. On one host the caller's processor moves them, with no help from the
 * peer, before the call returns; so marks are of transfers that are complete. */
#include "scif/api.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/pages.h"
#include "scif/windows.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STAGE_BYTES (256u << 10) /* stays in the second-level cache */
#define LINE_BYTES  64u
#define RMA_FLAGS   (SCIF_RMA_USECPU | SCIF_RMA_USECACHE | SCIF_RMA_SYNC | SCIF_RMA_ORDERED)

/* Between a buffer and anything else bytes pass a file in memory. One a thread. */
static _Thread_local struct {
    int file;
    pid_t of;
} stage = {-1, 0};

static int stage_file(void) {
    if (stage.file >= 0 && stage.of == getpid()) return stage.file;
    int fd = memfd_create("scif-stage", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, STAGE_BYTES)) return -1;
    stage.file = descriptor_hide(fd);
    stage.of = getpid();
    return stage.file;
}

struct transfer {
    struct endpoint *e;
    bool write;   /* to the peer */
    bool local;   /* the local side is memory */
    char *memory; /* local: the local side; else `offset` of the own registered address space */
    uint64_t offset, remote, bytes;
};

/* n bytes, at most the stage's, between a range of windows and the stage. */
static int stage_windows(struct endpoint *e, enum side side, uint64_t offset, size_t n, int file,
                         bool to_window) {
    for (size_t done = 0; done < n;) {
        struct part p;
        int err = windows_find(e, side, offset + done, n - done, &p);
        if (!err)
            err = to_window ? ring_write(p.ring, p.slot, p.address, file, done, p.bytes)
                            : ring_read(p.ring, p.slot, p.address, file, done, p.bytes);
        if (err) return err;
        done += p.bytes;
    }
    return 0;
}

static int stage_memory(char *memory, size_t n, int file, bool to_memory) {
    for (size_t done = 0; done < n;) {
        ssize_t r = to_memory ? pread(file, memory + done, n - done, (off_t)done)
                              : pwrite(file, memory + done, n - done, (off_t)done);
        if (r <= 0) return r < 0 ? errno : EFAULT;
        done += (size_t)r;
    }
    return 0;
}

static int stage_local(const struct transfer *t, uint64_t at, size_t n, int file, bool to_local) {
    if (t->local) return stage_memory(t->memory + at, n, file, to_local);
    return stage_windows(t->e, SIDE_OWN, t->offset + at, n, file, to_local);
}

static int move_range(const struct transfer *t, uint64_t from, uint64_t to, int file) {
    for (uint64_t at = from; at < to;) {
        size_t n = to - at < STAGE_BYTES ? to - at : STAGE_BYTES;
        int err = t->write ? stage_local(t, at, n, file, false)
                           : stage_windows(t->e, SIDE_PEER, t->remote + at, n, file, false);
        if (!err)
            err = t->write ? stage_windows(t->e, SIDE_PEER, t->remote + at, n, file, true)
                           : stage_local(t, at, n, file, true);
        if (err) return err;
        at += n;
    }
    return 0;
}

static int check(const struct transfer *t) {
    int err =
        windows_check(t->e, SIDE_PEER, t->remote, t->bytes, t->write ? SCIF_PROT_WRITE : SCIF_PROT_READ);
    if (!err && !t->local)
        err = windows_check(t->e, SIDE_OWN, t->offset, t->bytes, t->write ? SCIF_PROT_READ : SCIF_PROT_WRITE);
    return err;
}

static int run(const struct transfer *t, int flags) {
    int err = check(t), file = err ? -1 : stage_file();
    if (err || file < 0) return err ? err : ENOMEM;
    uint64_t last = 0;
    if (flags & SCIF_RMA_ORDERED) { /* what lies in the last cache line of the target, by itself */
        uint64_t end =
            (t->write || !t->local ? (t->write ? t->remote : t->offset) : (uintptr_t)t->memory) + t->bytes;
        last = (end - 1) % LINE_BYTES + 1;
        if (last > t->bytes) last = t->bytes;
    }
    err = move_range(t, 0, t->bytes - last, file);
    return err ? err : move_range(t, t->bytes - last, t->bytes, file);
}

static int transfer(scif_epd_t epd, struct transfer t, int flags) {
    bool good = t.bytes && !(flags & ~RMA_FLAGS);
    t.e = api_hold(epd, good);
    if (!t.e) return -1;
    int kept = errno, err = api_check(t.e, good);
    if (!err && t.local && !memory_is_mapped((uintptr_t)t.memory, t.bytes)) err = EFAULT;
    if (!err) err = run(&t, flags);
    return api_end(t.e, err, kept);
}

EXPORT int scif_readfrom(scif_epd_t epd, off_t loffset, size_t len, off_t roffset, int rma_flags) {
    struct transfer t = {.offset = (uint64_t)loffset, .remote = (uint64_t)roffset, .bytes = len};
    return transfer(epd, t, rma_flags);
}

EXPORT int scif_writeto(scif_epd_t epd, off_t loffset, size_t len, off_t roffset, int rma_flags) {
    struct transfer t = {
        .write = true, .offset = (uint64_t)loffset, .remote = (uint64_t)roffset, .bytes = len};
    return transfer(epd, t, rma_flags);
}

EXPORT int scif_vreadfrom(scif_epd_t epd, void *addr, size_t len, off_t offset, int rma_flags) {
    struct transfer t = {.local = true, .memory = addr, .remote = (uint64_t)offset, .bytes = len};
    return transfer(epd, t, rma_flags);
}

EXPORT int scif_vwriteto(scif_epd_t epd, void *addr, size_t len, off_t offset, int rma_flags) {
    struct transfer t = {
        .write = true, .local = true, .memory = addr, .remote = (uint64_t)offset, .bytes = len};
    return transfer(epd, t, rma_flags);
}

/* ---- Fences ---- */
/* Exactly one of the four, two of which are other words for the others. */
static bool is_initiator(int flags) {
    return flags == SCIF_FENCE_INIT_SELF || flags == SCIF_FENCE_INIT_PEER || flags == SCIF_FENCE_RAS_SELF ||
           flags == SCIF_FENCE_RAS_PEER;
}

EXPORT int scif_fence_mark(scif_epd_t epd, int flags, int *mark) {
    bool good = mark && is_initiator(flags);
    struct endpoint *e = api_hold(epd, good);
    if (!e) return -1;
    int kept = errno, err = api_check(e, good);
    if (!err) {
        endpoint_lock(&e->memory->own.window_lock);
        e->memory->own.next_mark = (e->memory->own.next_mark + 1) & INT32_MAX;
        *mark = (int)e->memory->own.next_mark;
        pthread_mutex_unlock(&e->memory->own.window_lock);
    }
    return api_end(e, err, kept);
}

EXPORT int scif_fence_wait(scif_epd_t epd, int mark) {
    struct endpoint *e = endpoint_hold_connected(epd);
    if (!e) return -1;
    int kept = errno, err = mark <= 0 || (uint32_t)mark > e->memory->own.next_mark ? EINVAL : 0;
    if (!err && queue_is_closed(e->peer_inner)) err = ECONNRESET;
    return api_end(e, err, kept);
}

static int write_value(struct endpoint *e, enum side side, uint64_t offset, uint64_t value) {
    struct part p;
    int file = stage_file();
    if (file < 0) return ENOMEM;
    int err = stage_memory((char *)&value, sizeof value, file, false);
    if (!err) err = windows_find(e, side, offset, sizeof value, &p);
    return err                      ? err
           : p.bytes < sizeof value ? ENXIO
                                    : ring_write(p.ring, p.slot, p.address, file, 0, sizeof value);
}

static int signal_both(struct endpoint *e, off_t loff, uint64_t lval, off_t roff, uint64_t rval, int flags) {
    int err = queue_is_closed(e->peer_inner) ? ECONNRESET : 0;
    if (!err && (flags & SCIF_SIGNAL_LOCAL))
        err = windows_check(e, SIDE_OWN, (uint64_t)loff, sizeof lval, SCIF_PROT_WRITE);
    if (!err && (flags & SCIF_SIGNAL_REMOTE))
        err = windows_check(e, SIDE_PEER, (uint64_t)roff, sizeof rval, SCIF_PROT_WRITE);
    if (!err && (flags & SCIF_SIGNAL_LOCAL)) err = write_value(e, SIDE_OWN, (uint64_t)loff, lval);
    if (!err && (flags & SCIF_SIGNAL_REMOTE)) err = write_value(e, SIDE_PEER, (uint64_t)roff, rval);
    return err;
}

EXPORT int scif_fence_signal(scif_epd_t epd, off_t loff, uint64_t lval, off_t roff, uint64_t rval,
                             int flags) {
    const int where = SCIF_SIGNAL_LOCAL | SCIF_SIGNAL_REMOTE;
    bool good = is_initiator(flags & ~where) && (flags & where) &&
                !((flags & SCIF_SIGNAL_LOCAL) && loff % 4) && !((flags & SCIF_SIGNAL_REMOTE) && roff % 4);
    struct endpoint *e = api_hold(epd, good);
    if (!e) return -1;
    int kept = errno, err = good ? signal_both(e, loff, lval, roff, rval, flags) : EINVAL;
    return api_end(e, err, kept);
}
