/* shm ring: a byte ring between two processes, one writer and one reader.
 *
 * DESIGN NOTES
 *
 * A record is an 8-byte header and a packet or a message (of which the first 8 bytes are its word), rounded
 * up to cache lines. The header is the flag: the reader watches the header where the next record will be, so
 * that a small packet costs one line and one store publishes it. The writer clears the header after a record
 * before it publishes that record; what lies there from an earlier lap, or from a writer that died half-way,
 * is therefore never taken for a record. Records do not wrap: a PAD record skips to the ring's start.
 * (Rejected: a shared tail, which costs the reader a second line a packet; clearing by the reader, which
 * makes it write lines that the writer wants next.)
 *
 * The reader writes `head` now and then; the writer looks at it only when its last look leaves too little
 * room.
 *
 * The other side is not trusted: each position that matters is private, each shared word is read once and
 * checked, and packets are copied out before anyone looks at them. */
#ifndef WEFT_ADAPTER_SHM_RING_H
#define WEFT_ADAPTER_SHM_RING_H
#include "adapter/adapter.h"

#include <stdatomic.h>

#define SHM_LINE           64
#define SHM_PACKET_MAX     65472 /* with its header, rounded up, 64 KiB */
#define SHM_MESSAGE_MAX    (SHM_PACKET_MAX - 8)
#define SHM_RING_BYTES_MIN (256 << 10)
#define SHM_RING_BYTES_MAX (64 << 20)

/* Shared words of one direction, each on lines of its own (128: the CPU fetches lines in pairs). */
struct shm_direction {
    _Alignas(128) _Atomic uint64_t head;      /* bytes consumed, written by the reader */
    _Alignas(128) _Atomic uint32_t want_room; /* set by a writer that found it full, cleared by the reader */
};

struct shm_writer {
    uint8_t *ring;
    uint64_t mask;            /* ring bytes - 1 */
    uint64_t tail, head_seen; /* bytes published; bytes consumed as last looked at */
    struct shm_direction *shared;
};

struct shm_reader {
    const uint8_t *ring;
    uint64_t mask;
    uint64_t head, head_published;
    struct shm_direction *shared;
};

enum shm_record { SHM_RECORD_NONE, SHM_RECORD_PACKET, SHM_RECORD_MESSAGE };

void shm_writer_init(struct shm_writer *w, void *ring, size_t ring_bytes, struct shm_direction *shared);
void shm_reader_init(struct shm_reader *r, const void *ring, size_t ring_bytes, struct shm_direction *shared);

/* 0; WEFT_E_AGAIN: no room now; WEFT_E_TOO_BIG; WEFT_E_PROTO: the reader's position is impossible. */
int shm_ring_write(struct shm_writer *w, const struct adapter_packet_out *packet);
int shm_ring_write_message(struct shm_writer *w, uint64_t word, const struct iovec piece[2]);
/* After WEFT_E_AGAIN: asks the reader to tell when it gives room back. True: the largest packet fits now. */
bool shm_ring_want_room(struct shm_writer *w);

/* Whether there is something to read (a record, or nonsense). */
static inline bool shm_ring_readable(const struct shm_reader *r) {
    const _Atomic uint64_t *header = (const _Atomic uint64_t *)(const void *)(r->ring + (r->head & r->mask));
    return atomic_load_explicit(header, memory_order_acquire) != 0;
}
/* Copies a record into `packet` (SHM_PACKET_MAX bytes of room) and tells its kind; of a message, `len` counts
 * the word in front. SHM_RECORD_NONE: none; WEFT_E_PROTO: nonsense in the ring. */
int shm_ring_read(struct shm_reader *r, uint8_t *packet, size_t *len);
/* The same, but whatever is no message stays where it is: SHM_RECORD_NONE. */
int shm_ring_read_message(struct shm_reader *r, uint8_t *packet, size_t *len);
/* Gives what was read back to the writer. True: the writer waits for room, wake it if it sleeps. */
bool shm_ring_release(struct shm_reader *r);

#endif
