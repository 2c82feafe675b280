/* shm ring: see the design notes in shm_ring.h. */
#include "adapter/shm_ring.h"

#include "base/copy.h"
#include "base/error.h"
#include "base/tsan.h"

#include <string.h>

#define HEADER_BYTES sizeof(uint64_t)

/* A header is its kind in the upper half and the packet's length in the lower; 0 is "nothing yet". */
#define KIND_NONE    0ull
#define KIND_DATA    0xda7aull
#define KIND_PAD     0x9adull
#define KIND_MESSAGE 0x3e55ull

/* For thread sanitizer: what was done before a record was published, or given back, is seen by who finds it
 * so. One for all rings, since the two sides know a ring by different addresses; it treats sockets alike. */
static char published, given_back;

static uint64_t header(uint64_t kind, uint64_t len) { return kind << 32 | len; }

static size_t record_bytes(size_t len) {
    return (HEADER_BYTES + len + SHM_LINE - 1) & ~(size_t)(SHM_LINE - 1);
}

static _Atomic uint64_t *header_at(const uint8_t *ring, uint64_t offset) {
    return (_Atomic uint64_t *)(uintptr_t)(ring + offset);
}

void shm_writer_init(struct shm_writer *w, void *ring, size_t ring_bytes, struct shm_direction *shared) {
    *w = (struct shm_writer){.ring = ring, .mask = ring_bytes - 1, .shared = shared};
}

void shm_reader_init(struct shm_reader *r, const void *ring, size_t ring_bytes,
                     struct shm_direction *shared) {
    *r = (struct shm_reader){.ring = ring, .mask = ring_bytes - 1, .shared = shared};
}

/* Bytes that a record takes from the tail on: the padding before it, itself, and the line after it, whose
 * header is cleared. */
static uint64_t need_bytes(const struct shm_writer *w, size_t record) {
    uint64_t to_end = w->mask + 1 - (w->tail & w->mask);
    return (record > to_end ? to_end : 0) + record + SHM_LINE;
}

static bool fits(const struct shm_writer *w, uint64_t need) {
    return w->tail + need - w->head_seen <= w->mask + 1;
}

/* 0, WEFT_E_AGAIN or WEFT_E_PROTO. */
static int make_room(struct shm_writer *w, uint64_t need) {
    if (fits(w, need)) return 0;
    uint64_t head = atomic_load_explicit(&w->shared->head, memory_order_acquire);
    WEFT_TSAN_ACQUIRE(&given_back);
    if (head < w->head_seen || head > w->tail) return WEFT_E_PROTO;
    w->head_seen = head;
    return fits(w, need) ? 0 : WEFT_E_AGAIN;
}

/* A line or less, without a call. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t n) {
    uint64_t a, b;
    for (; n > 16; n -= 16, to += 16, from += 16) memcpy(to, from, 16);
    if (n >= 8) {
        memcpy(&a, from, 8);
        memcpy(&b, from + n - 8, 8);
        memcpy(to, &a, 8);
        memcpy(to + n - 8, &b, 8);
        return;
    }
    for (; n; n--) *to++ = *from++;
}

static inline uint8_t *copy_piece(uint8_t *to, const struct iovec *piece) {
    size_t n = piece->iov_len;
    if (n <= SHM_LINE)
        copy_short(to, piece->iov_base, n);
    else
        weft_copy(to, piece->iov_base, n);
    return to + n;
}

/* Where the next record of so many bytes goes, once there is room for it. */
struct place {
    uint64_t offset, pad_offset, pad, next;
};

static int find_place(struct shm_writer *w, size_t record, struct place *p) {
    int rc = make_room(w, need_bytes(w, record));
    if (rc) return rc;
    uint64_t offset = w->tail & w->mask, to_end = w->mask + 1 - offset;
    p->pad = record > to_end ? to_end : 0;
    p->pad_offset = offset;
    p->offset = p->pad ? 0 : offset;
    p->next = (p->offset + record) & w->mask;
    atomic_store_explicit(header_at(w->ring, p->next), header(KIND_NONE, 0), memory_order_relaxed);
    return 0;
}

static void publish(struct shm_writer *w, const struct place *p, uint64_t kind, size_t len) {
    WEFT_TSAN_RELEASE(&published);
    atomic_store_explicit(header_at(w->ring, p->offset), header(kind, len), memory_order_release);
    if (p->pad)
        atomic_store_explicit(header_at(w->ring, p->pad_offset), header(KIND_PAD, 0), memory_order_release);
    w->tail += p->pad + record_bytes(len);
    /* The next write clears the line after its record first: have that line here by then. */
    __builtin_prefetch(w->ring + ((p->next + SHM_LINE) & w->mask), 1);
}

int shm_ring_write(struct shm_writer *w, const struct adapter_packet_out *packet) {
    struct place place;
    size_t len = 0;
    for (int i = 0; i < 3; i++) {
        if (packet->piece[i].iov_len > SHM_PACKET_MAX - len) return WEFT_E_TOO_BIG;
        len += packet->piece[i].iov_len;
    }
    int rc = find_place(w, record_bytes(len), &place);
    if (rc) return rc;
    uint8_t *to = w->ring + place.offset + HEADER_BYTES;
    for (int i = 0; i < 3; i++) to = copy_piece(to, &packet->piece[i]);
    publish(w, &place, KIND_DATA, len);
    return 0;
}

int shm_ring_write_message(struct shm_writer *w, uint64_t word, const struct iovec piece[2]) {
    struct place place;
    if (piece[0].iov_len > SHM_MESSAGE_MAX || piece[1].iov_len > SHM_MESSAGE_MAX - piece[0].iov_len)
        return WEFT_E_TOO_BIG;
    size_t len = sizeof word + piece[0].iov_len + piece[1].iov_len;
    int rc = find_place(w, record_bytes(len), &place);
    if (rc) return rc;
    uint8_t *to = w->ring + place.offset + HEADER_BYTES;
    memcpy(to, &word, sizeof word);
    copy_piece(copy_piece(to + sizeof word, &piece[0]), &piece[1]);
    publish(w, &place, KIND_MESSAGE, len);
    return 0;
}

bool shm_ring_want_room(struct shm_writer *w) {
    /* Read-modify-write on both sides: one of the two sees the other's store. */
    atomic_exchange_explicit(&w->shared->want_room, 1, memory_order_acq_rel);
    return make_room(w, need_bytes(w, record_bytes(SHM_PACKET_MAX))) == 0;
}

/* `any`: packets too; else what is no message stays where it is. */
static inline int read_record(struct shm_reader *r, uint8_t *packet, size_t *len, bool any) {
    uint64_t offset = r->head & r->mask;
    uint64_t h = atomic_load_explicit(header_at(r->ring, offset), memory_order_acquire);
    if (h == header(KIND_PAD, 0)) { /* one at the start leads to itself, and a second is refused below */
        r->head += r->mask + 1 - offset;
        offset = 0;
        h = atomic_load_explicit(header_at(r->ring, 0), memory_order_acquire);
    }
    if (h == header(KIND_NONE, 0)) return SHM_RECORD_NONE;
    WEFT_TSAN_ACQUIRE(&published);
    uint64_t n = h & UINT32_MAX, kind = h >> 32, least = kind == KIND_MESSAGE ? sizeof(uint64_t) : 0;
    if (!any && kind != KIND_MESSAGE) return SHM_RECORD_NONE;
    if ((kind != KIND_DATA && kind != KIND_MESSAGE) || n < least || n > SHM_PACKET_MAX ||
        record_bytes(n) > r->mask + 1 - offset)
        return WEFT_E_PROTO;
    const uint8_t *from = r->ring + offset + HEADER_BYTES;
    if (n <= SHM_LINE - HEADER_BYTES)
        memcpy(packet, from, SHM_LINE - HEADER_BYTES); /* all of the line: of a size known here */
    else
        memcpy(packet, from, n);
    r->head += record_bytes(n);
    *len = n;
    return kind == KIND_DATA ? SHM_RECORD_PACKET : SHM_RECORD_MESSAGE;
}

int shm_ring_read(struct shm_reader *r, uint8_t *packet, size_t *len) {
    return read_record(r, packet, len, true);
}

int shm_ring_read_message(struct shm_reader *r, uint8_t *packet, size_t *len) {
    return read_record(r, packet, len, false);
}

bool shm_ring_release(struct shm_reader *r) {
    if (r->head == r->head_published) return false;
    r->head_published = r->head;
    WEFT_TSAN_RELEASE(&given_back);
    atomic_store_explicit(&r->shared->head, r->head, memory_order_release);
    return atomic_exchange_explicit(&r->shared->want_room, 0, memory_order_acq_rel) != 0;
}
