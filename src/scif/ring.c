#include "scif/ring.h"
#include "scif/intercept.h"
#include "scif/turn.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define ENTRIES   4u
#define WORDS_MAX (1u << 20)
#define MARK_AT   2048u /* in the page of the requests, behind the last of them */
static_assert(ENTRIES * sizeof(struct io_uring_sqe) <= MARK_AT, "there is room for it");

/* ---- Set-up ---- */
static void describe(struct scif_ring_words *s, const struct io_uring_params *p) {
    s->entries = p->sq_entries;
    s->sq_head = p->sq_off.head;
    s->sq_tail = p->sq_off.tail;
    s->sq_mask = p->sq_off.ring_mask;
    s->sq_array = p->sq_off.array;
    s->cq_head = p->cq_off.head;
    s->cq_tail = p->cq_off.tail;
    s->cq_mask = p->cq_off.ring_mask;
    s->cqes = p->cq_off.cqes;
}

static size_t words_bytes(const struct scif_ring_words *s) {
    size_t sq = s->sq_array + s->entries * sizeof(uint32_t),
           cq = s->cqes + 2 * s->entries * sizeof(struct io_uring_cqe);
    return sq > cq ? sq : cq;
}

/* What another process says of a ring: everything has to lie within what is mapped. */
static bool is_sound(const struct scif_ring_words *s, size_t bytes) {
    const uint32_t word[] = {s->sq_head, s->sq_tail, s->sq_mask, s->cq_head, s->cq_tail, s->cq_mask};
    if (!s->entries || s->entries > 4096 || (s->entries & (s->entries - 1)) || s->sq_array % 4 || s->cqes % 8)
        return false;
    for (size_t i = 0; i < sizeof word / sizeof *word; i++)
        if (word[i] % 4 || word[i] > bytes - 4) return false;
    return true;
}

static int map_ring(struct ring *r, struct scif_ring *shared, int fd) {
    struct scif_ring_words seen = shared->words;
    *r = (struct ring){.fd = fd, .shared = shared, .entries = seen.entries};
    if (seen.sq_array > WORDS_MAX || seen.cqes > WORDS_MAX || seen.entries > ENTRIES) return EPROTO;
    r->words_bytes = words_bytes(&seen);
    if (!is_sound(&seen, r->words_bytes)) return EPROTO;
    r->words = mmap(NULL, r->words_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
    if (r->words == MAP_FAILED) return errno;
    r->requests = mmap(NULL, SCIF_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
    if (r->requests != MAP_FAILED) return 0;
    int err = errno;
    munmap(r->words, r->words_bytes);
    return err;
}

static void unmap(struct ring *r) {
    munmap(r->words, r->words_bytes);
    munmap(r->requests, SCIF_PAGE);
}

static uint64_t *mark_of(const struct ring *r) { return (uint64_t *)((char *)r->requests + MARK_AT); }

int ring_open(struct ring *r, struct scif_ring *shared, int fd) {
    int err = map_ring(r, shared, fd);
    if (err || *mark_of(r) == shared->mark) return err;
    unmap(r);
    return EPROTO;
}

/* Not in the headers of older systems (linux/io_uring.h, Linux 6.13). */
#define REGISTER_CLONE_BUFFERS 30u
#define CLONE_REPLACES         2u
struct clone_buffers {
    uint32_t source, flags, from, to, count, unused[3];
};

/* Room for buffers, and a promise that nothing but copies from and to them comes over this ring. */
static int restrict_ring(int fd) {
    struct io_uring_rsrc_register room = {.nr = SCIF_RING_SLOTS, .flags = IORING_RSRC_REGISTER_SPARSE};
    if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS2, &room, sizeof room) < 0) return errno;
    struct io_uring_restriction only[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ_FIXED},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE_FIXED},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_BUFFERS_UPDATE},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = REGISTER_CLONE_BUFFERS}};
    if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_RESTRICTIONS, only, 4) < 0 &&
        (errno != EINVAL || syscall(SYS_io_uring_register, fd, IORING_REGISTER_RESTRICTIONS, only, 3) < 0))
        return errno; /* an older system does not know the last one */
    return syscall(SYS_io_uring_register, fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0 ? errno : 0;
}

int ring_create(struct ring *r, struct scif_ring *shared) {
    struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED};
    int fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &p);
    if (fd < 0) return errno;
    int err = p.features & IORING_FEAT_SINGLE_MMAP ? restrict_ring(fd) : ENOSYS;
    describe(&shared->words, &p);
    if (!err && getrandom(&shared->mark, sizeof shared->mark, 0) < 0) err = errno;
    if (!err) err = map_ring(r, shared, fd);
    if (!err) *mark_of(r) = shared->mark;
    if (err) close_descriptor(fd);
    return err;
}

void ring_close(struct ring *r) {
    unmap(r);
    close_descriptor(r->fd);
    r->fd = -1;
}

/* ---- Buffers ---- */
static int update(struct ring *r, unsigned slot, void *address, size_t bytes) {
    struct iovec v = {address, bytes};
    uint64_t tag = 0;
    struct io_uring_rsrc_update2 u = {
        .offset = slot, .data = (uintptr_t)&v, .tags = (uintptr_t)&tag, .nr = 1};
    return syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_BUFFERS_UPDATE, &u, sizeof u) < 0 ? errno
                                                                                                   : 0;
}

int ring_pin(struct ring *r, unsigned slot, void *address, size_t bytes) {
    return update(r, slot, address, bytes);
}
void ring_unpin(struct ring *r, unsigned slot) { update(r, slot, NULL, 0); }

int ring_share(struct ring *r, unsigned slot, struct ring *from, unsigned from_slot) {
    struct clone_buffers c = {
        .source = (uint32_t)from->fd, .flags = CLONE_REPLACES, .from = from_slot, .to = slot, .count = 1};
    if (syscall(SYS_io_uring_register, r->fd, REGISTER_CLONE_BUFFERS, &c, 1) == 0) return 0;
    return errno == EINVAL ? EOPNOTSUPP : errno;
}

/* ---- Copies ---- */
static uint32_t *word(const struct ring *r, uint32_t at) { return (uint32_t *)(r->words + at); }

void ring_take(struct ring *r) { turn_take(&r->shared->turn); }
void ring_give(struct ring *r) { turn_give(&r->shared->turn); }

/* Whoever had the turn may have died with a request that the system has not taken yet, or with an answer that
 * nobody took: the one is overwritten, the other passed over. */
static int submit(struct ring *r, const struct io_uring_sqe *sqe, uint32_t *result) {
    struct scif_ring_words s = r->shared->words;
    uint32_t mask = r->entries - 1, cq_mask = 2 * r->entries - 1;
    if (!is_sound(&s, r->words_bytes) || words_bytes(&s) > r->words_bytes) return EPROTO;
    uint32_t *sq_head = word(r, s.sq_head), *sq_tail = word(r, s.sq_tail), *cq_head = word(r, s.cq_head),
             *cq_tail = word(r, s.cq_tail);
    const struct io_uring_cqe *cqes = (const void *)(r->words + s.cqes);
    __atomic_store_n(cq_head, __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
    uint32_t tail = __atomic_load_n(sq_head, __ATOMIC_ACQUIRE);
    memcpy((struct io_uring_sqe *)r->requests + (tail & mask), sqe, sizeof *sqe);
    word(r, s.sq_array)[tail & mask] = tail & mask;
    __atomic_store_n(sq_tail, tail + 1, __ATOMIC_RELEASE);
    long n;
    do n = syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0) return errno;
    uint32_t head = *cq_head;
    if (head == __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE)) return EIO;
    *result = (uint32_t)cqes[head & cq_mask].res;
    __atomic_store_n(cq_head, head + 1, __ATOMIC_RELEASE);
    return 0;
}

ssize_t ring_run(struct ring *r, enum ring_way way, unsigned slot, uint64_t address, int fd, uint64_t at,
                 size_t n) {
    struct io_uring_sqe sqe = {.opcode = way == RING_READ ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED,
                               .fd = fd,
                               .off = at,
                               .addr = address,
                               .len = n < SCIF_PIECE_BYTES ? (uint32_t)n : SCIF_PIECE_BYTES,
                               .buf_index = (uint16_t)slot};
    uint32_t result = 0;
    int kept = errno, err = submit(r, &sqe, &result);
    errno = kept;
    return err ? -err : (int32_t)result;
}
