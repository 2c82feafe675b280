/* Remote memory access and fences: bytes between local memory, or a window of the own registered address
 * space, and a window of the peer's. On one host the caller's processor moves them, with no help from the
 * peer, before the call returns; so marks are of transfers that are complete. To another host writes may be
 * under way after the call; a wait for a mark is for all that are, which are more than were marked. */
#include "base/copy.h"
#include "scif/api.h"
#include "scif/move.h"
#include "scif/owned.h"
#include "scif/pages.h"
#include "scif/remote.h"
#include "scif/seen.h"
#include "scif/space.h"
#include "scif/warm.h"

#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 64u
#define COPY_BYTES (64u << 10)
#define MARK_MAX   (INT32_MAX >> 1) /* beside the bit that tells whose RMAs are meant */
#define RMA_FLAGS  (SCIF_RMA_USECPU | SCIF_RMA_USECACHE | SCIF_RMA_SYNC | SCIF_RMA_ORDERED)

struct transfer {
    struct endpoint *e;
    bool write;   /* to the peer */
    bool local;   /* the local side is memory */
    char *memory; /* local: the local side; else `offset` of the own registered address space */
    uint64_t offset, remote, bytes;
    bool leave; /* to another host: it need not be complete when the call returns */
};

/* The local side of an RMA to another host. */
static int move_local(void *arg, uint64_t at, void *memory, size_t n) {
    const struct transfer *t = arg;
    if (!t->local)
        return t->write ? space_get(&t->e->own, t->offset + at, memory, n)
                        : space_put(&t->e->own, t->offset + at, memory, n);
    if (!memory_allows((uintptr_t)t->memory + at, n, !t->write)) return EFAULT;
    weft_copy(t->write ? memory : t->memory + at, t->write ? t->memory + at : memory, n);
    return 0;
}

static int move_far(const struct transfer *t, uint64_t from, uint64_t to) {
    const struct remote_move m = {.e = t->e,
                                  .write = t->write,
                                  .leave = t->leave,
                                  .remote = t->remote,
                                  .bytes = t->bytes,
                                  .local = move_local,
                                  .arg = (void *)t};
    return remote_run(&m, from, to);
}

/* The system says that some of the memory is not there, but it is for a thread that waits for it: a mapping
 * of pages that another host has, or memory that is being moved. */
static int move_by_copy(const struct transfer *t, uint64_t from, uint64_t to) {
    char *copy = malloc(COPY_BYTES);
    int err = copy ? 0 : ENOMEM;
    for (uint64_t n; !err && from < to; from += n) {
        char *memory = t->memory + from;
        n = to - from < COPY_BYTES ? to - from : COPY_BYTES;
        if (!memory_allows((uintptr_t)memory, n, !t->write)) {
            err = EFAULT;
        } else if (t->write) {
            weft_copy(copy, memory, n);
            err = space_put(&t->e->there, t->remote + from, copy, n);
        } else {
            err = space_get(&t->e->there, t->remote + from, copy, n);
            if (!err) weft_copy(memory, copy, n);
        }
    }
    free(copy);
    return err;
}

static int move_memory(const struct transfer *t, uint64_t from, uint64_t to) {
    struct space *there = &t->e->there;
    int err = t->write ? space_put(there, t->remote + from, t->memory + from, to - from)
                       : space_get(there, t->remote + from, t->memory + from, to - from);
    return err == EFAULT ? move_by_copy(t, from, to) : err;
}

static int move_range(const struct transfer *t, uint64_t from, uint64_t to) {
    struct space *own = &t->e->own, *there = &t->e->there;
    uint64_t here = t->offset + from, away = t->remote + from, n = to - from;
    if (!n) return 0;
    if (remote_is(t->e)) return move_far(t, from, to);
    if (t->local) return move_memory(t, from, to);
    return t->write ? space_move(own, here, there, away, n) : space_move(there, away, own, here, n);
}

static int check(const struct transfer *t) {
    int err = 0;
    if (!remote_is(t->e)) /* else the service there checks it */
        err =
            table_check(t->e->there.table, t->remote, t->bytes, t->write ? SCIF_PROT_WRITE : SCIF_PROT_READ);
    if (!err && !t->local)
        err = table_check(t->e->own.table, t->offset, t->bytes, t->write ? SCIF_PROT_READ : SCIF_PROT_WRITE);
    return err;
}

static int move_all(const struct transfer *t, int flags) {
    uint64_t last = 0;
    if (flags & SCIF_RMA_ORDERED) { /* what lies in the last cache line of the target, by itself */
        uint64_t end =
            (t->write || !t->local ? (t->write ? t->remote : t->offset) : (uintptr_t)t->memory) + t->bytes;
        last = (end - 1) % LINE_BYTES + 1;
        if (last > t->bytes) last = t->bytes;
    }
    int err = move_range(t, 0, t->bytes - last);
    return err ? err : move_range(t, t->bytes - last, t->bytes);
}

/* Both spaces are entered for it: what is found there is not used for anything else meanwhile. */
static int run(const struct transfer *t, int flags) {
    struct scif_user *own = space_enter(&t->e->own), *there = own ? space_enter(&t->e->there) : NULL;
    int err = there ? check(t) : ENOMEM;
    if (!err) err = move_all(t, flags);
    if (there) space_leave(there);
    if (own) space_leave(own);
    return err;
}

/* The memory may be where the system cannot reach it just now, because it is being moved. */
static int run_again(const struct transfer *t, int flags) {
    int err;
    unsigned moves;
    do {
        moves = move_count();
        err = run(t, flags);
    } while (err == EFAULT && move_was_in_the_way(moves));
    return err;
}

/* The system is not asked where the peer's library tells: that takes as long as copying 16 KiB. */
static int check_call(const struct endpoint *e, bool good) {
    return good && endpoint_peer_is_open(e) ? 0 : api_check(e, good);
}

static int transfer(scif_epd_t epd, struct transfer t, int flags) {
    bool good = t.bytes && !(flags & ~RMA_FLAGS);
    t.e = api_hold(epd, good);
    if (!t.e) return -1;
    t.leave = !(flags & (SCIF_RMA_SYNC | SCIF_RMA_ORDERED | SCIF_RMA_USECPU));
    int kept = errno, err = check_call(t.e, good);
    /* Before anything is opened, and mapped where no memory was. */
    if (!err && t.local && !memory_is_mapped((uintptr_t)t.memory, t.bytes)) err = EFAULT;
    if (!err && !remote_is(t.e)) owned_take_part(t.e->there.table);
    if (!err) err = run_again(&t, flags);
    if (!err) seen(t.e, t.write ? WEFT_RECORD_PUT : WEFT_RECORD_GET, t.bytes);
    if (!err) warm_window(&t.e->there, t.remote, t.bytes);
    if (!err && !t.local) warm_window(&t.e->own, t.offset, t.bytes);
    return api_end(t.e, err, kept);
}

EXPORT int scif_readfrom(scif_epd_t epd, off_t loffset, size_t len, off_t roffset, int rma_flags) {
    API_CALL;
    struct transfer t = {.offset = (uint64_t)loffset, .remote = (uint64_t)roffset, .bytes = len};
    return transfer(epd, t, rma_flags);
}

EXPORT int scif_writeto(scif_epd_t epd, off_t loffset, size_t len, off_t roffset, int rma_flags) {
    API_CALL;
    struct transfer t = {
        .write = true, .offset = (uint64_t)loffset, .remote = (uint64_t)roffset, .bytes = len};
    return transfer(epd, t, rma_flags);
}

EXPORT int scif_vreadfrom(scif_epd_t epd, void *addr, size_t len, off_t offset, int rma_flags) {
    API_CALL;
    struct transfer t = {.local = true, .memory = addr, .remote = (uint64_t)offset, .bytes = len};
    return transfer(epd, t, rma_flags);
}

EXPORT int scif_vwriteto(scif_epd_t epd, void *addr, size_t len, off_t offset, int rma_flags) {
    API_CALL;
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

static bool is_of_peer(int flags) { return flags == SCIF_FENCE_INIT_PEER || flags == SCIF_FENCE_RAS_PEER; }

EXPORT int scif_fence_mark(scif_epd_t epd, int flags, int *mark) {
    API_CALL;
    bool good = mark && is_initiator(flags);
    struct endpoint *e = api_hold(epd, good);
    if (!e) return -1;
    int kept = errno, err = api_check(e, good);
    if (!err) {
        endpoint_lock(e);
        e->memory->own.next_mark = (e->memory->own.next_mark + 1) & MARK_MAX;
        *mark = (int)e->memory->own.next_mark << 1 | is_of_peer(flags);
        endpoint_unlock(e);
    }
    return api_end(e, err, kept);
}

EXPORT int scif_fence_wait(scif_epd_t epd, int mark) {
    API_CALL;
    struct endpoint *e = endpoint_hold_connected(epd);
    if (!e) return -1;
    int kept = errno, err = mark <= 0 || (uint32_t)mark >> 1 > e->memory->own.next_mark ? EINVAL : 0;
    if (!err && queue_is_closed(e->peer_inner)) err = ECONNRESET;
    if (!err && remote_is(e)) err = remote_fence(e, mark & 1, true);
    return api_end(e, err, kept);
}

/* All of it in one window that may be written. */
static int check_value(const struct space *s, uint64_t offset) {
    struct scif_piece first, last;
    unsigned version;
    int err = table_check(s->table, offset, sizeof(uint64_t), SCIF_PROT_WRITE);
    if (err) return err;
    bool there = table_look_up(s->table, offset, &first, &version) &&
                 table_look_up(s->table, offset + sizeof(uint64_t) - 1, &last, &version);
    return there && first.window == last.window ? 0 : ENXIO;
}

static int write_value(struct space *s, uint64_t offset, uint64_t value) {
    struct scif_user *u = space_enter(s);
    int err = u ? space_put(s, offset, &value, sizeof value) : ENOMEM;
    if (u) space_leave(u);
    return err;
}

static int check_there(struct endpoint *e, uint64_t offset) {
    return remote_is(e) ? remote_check_value(e, offset) : check_value(&e->there, offset);
}

static int write_there(struct endpoint *e, uint64_t offset, uint64_t value) {
    return remote_is(e) ? remote_write_value(e, offset, value) : write_value(&e->there, offset, value);
}

static int signal_both(struct endpoint *e, off_t loff, uint64_t lval, off_t roff, uint64_t rval, int flags) {
    int err = queue_is_closed(e->peer_inner) ? ECONNRESET : 0;
    if (!err && (flags & SCIF_SIGNAL_LOCAL)) err = check_value(&e->own, (uint64_t)loff);
    if (!err && (flags & SCIF_SIGNAL_REMOTE)) err = check_there(e, (uint64_t)roff);
    if (!err && remote_is(e))
        err = remote_fence(e, is_of_peer(flags & ~(SCIF_SIGNAL_LOCAL | SCIF_SIGNAL_REMOTE)), false);
    if (!err && (flags & SCIF_SIGNAL_LOCAL)) err = write_value(&e->own, (uint64_t)loff, lval);
    if (!err && (flags & SCIF_SIGNAL_REMOTE)) err = write_there(e, (uint64_t)roff, rval);
    return err;
}

EXPORT int scif_fence_signal(scif_epd_t epd, off_t loff, uint64_t lval, off_t roff, uint64_t rval,
                             int flags) {
    API_CALL;
    const int where = SCIF_SIGNAL_LOCAL | SCIF_SIGNAL_REMOTE;
    bool good = is_initiator(flags & ~where) && (flags & where) &&
                !((flags & SCIF_SIGNAL_LOCAL) && loff % 4) && !((flags & SCIF_SIGNAL_REMOTE) && roff % 4);
    struct endpoint *e = api_hold(epd, good);
    if (!e) return -1;
    int kept = errno, err = good ? signal_both(e, loff, lval, roff, rval, flags) : EINVAL;
    return api_end(e, err, kept);
}
