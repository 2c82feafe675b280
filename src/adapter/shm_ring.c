/* shm ring: see the design notes in shm_ring.h. */
#include "adapter/shm_ring.h"

#include "base/error.h"

#include <string.h>

#define HEADER_BYTES sizeof(uint64_t)

/* A header is its kind in the upper half and the packet's length in the lower; 0 is "nothing yet". */
#define KIND_NONE 0ull
#define KIND_DATA 0xda7aull
#define KIND_PAD  0x9adull

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
    if (head < w->head_seen || head > w->tail) return WEFT_E_PROTO;
    w->head_seen = head;
    return fits(w, need) ? 0 : WEFT_E_AGAIN;
}

static void copy_pieces(uint8_t *to, const struct adapter_packet_out *packet) {
    for (int i = 0; i < 3; i++) {
        size_t n = packet->piece[i].iov_len;
        if (n) memcpy(to, packet->piece[i].iov_base, n);
        to += n;
    }
}

int shm_ring_write(struct shm_writer *w, const struct adapter_packet_out *packet) {
    size_t len = 0;
    for (int i = 0; i < 3; i++) {
        if (packet->piece[i].iov_len > SHM_PACKET_MAX - len) return WEFT_E_TOO_BIG;
        len += packet->piece[i].iov_len;
    }
    size_t record = record_bytes(len);
    int rc = make_room(w, need_bytes(w, record));
    if (rc) return rc;
    uint64_t offset = w->tail & w->mask, to_end = w->mask + 1 - offset, pad = record > to_end ? to_end : 0;
    uint64_t place = pad ? 0 : offset, next = (place + record) & w->mask;
    atomic_store_explicit(header_at(w->ring, next), header(KIND_NONE, 0), memory_order_relaxed);
    copy_pieces(w->ring + place + HEADER_BYTES, packet);
    atomic_store_explicit(header_at(w->ring, place), header(KIND_DATA, len), memory_order_release);
    if (pad) atomic_store_explicit(header_at(w->ring, offset), header(KIND_PAD, 0), memory_order_release);
    w->tail += pad + record;
    /* The next write clears the line after its record first: have that line here by then. */
    __builtin_prefetch(w->ring + ((next + SHM_LINE) & w->mask), 1);
    return 0;
}

bool shm_ring_want_room(struct shm_writer *w) {
    /* Read-modify-write on both sides: one of the two sees the other's store. */
    atomic_exchange_explicit(&w->shared->want_room, 1, memory_order_acq_rel);
    return make_room(w, need_bytes(w, record_bytes(SHM_PACKET_MAX))) == 0;
}

bool shm_ring_readable(const struct shm_reader *r) {
    return atomic_load_explicit(header_at(r->ring, r->head & r->mask), memory_order_acquire) !=
           header(KIND_NONE, 0);
}

int shm_ring_read(struct shm_reader *r, uint8_t *packet, size_t *len) {
    uint64_t offset = r->head & r->mask;
    uint64_t h = atomic_load_explicit(header_at(r->ring, offset), memory_order_acquire);
    if (h == header(KIND_PAD, 0)) { /* one at the start leads to itself, and a second is refused below */
        r->head += r->mask + 1 - offset;
        offset = 0;
        h = atomic_load_explicit(header_at(r->ring, 0), memory_order_acquire);
    }
    if (h == header(KIND_NONE, 0)) return 0;
    uint64_t n = h & UINT32_MAX;
    if (h >> 32 != KIND_DATA || n > SHM_PACKET_MAX || record_bytes(n) > r->mask + 1 - offset)
        return WEFT_E_PROTO;
    memcpy(packet, r->ring + offset + HEADER_BYTES, n);
    r->head += record_bytes(n);
    *len = n;
    return 1;
}

bool shm_ring_release(struct shm_reader *r) {
    if (r->head == r->head_published) return false;
    r->head_published = r->head;
    atomic_store_explicit(&r->shared->head, r->head, memory_order_release);
    return atomic_exchange_explicit(&r->shared->want_room, 0, memory_order_acq_rel) != 0;
}
