/* shm ring: laps, back-pressure, and what a hostile or half-dead other side may have left in it. */
#include "adapter/shm_ring.h"
#include "base/error.h"
#include "base/test.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define BYTES SHM_RING_BYTES_MIN

struct ring {
    struct shm_direction *shared;
    uint8_t *memory;
    struct shm_writer w;
    struct shm_reader r;
};

static uint8_t packet[SHM_PACKET_MAX];

static void ring_open(struct ring *g) {
    g->shared = aligned_alloc(128, sizeof *g->shared);
    g->memory = aligned_alloc(SHM_LINE, BYTES);
    memset(g->shared, 0, sizeof *g->shared);
    memset(g->memory, 0, BYTES);
    shm_writer_init(&g->w, g->memory, BYTES, g->shared);
    shm_reader_init(&g->r, g->memory, BYTES, g->shared);
}

static void ring_close(struct ring *g) {
    free(g->shared);
    free(g->memory);
}

static int write_bytes(struct shm_writer *w, const void *data, size_t len) {
    struct adapter_packet_out p = {{{(void *)data, len / 3}, {(uint8_t *)data + len / 3, len - len / 3}}};
    return shm_ring_write(w, &p);
}

static size_t random_len(unsigned *seed) {
    unsigned kind = (unsigned)rand_r(seed) % 4;
    size_t cap = kind == 0 ? 60 : kind == 1 ? 200 : kind == 2 ? 5000 : SHM_PACKET_MAX + 1;
    return (size_t)rand_r(seed) % cap;
}

/* Packets full of words that look like headers, over many laps: what earlier laps left is never taken for a
 * record. */
static void ring__laps_over_treacherous_data(void **state) {
    struct ring g;
    unsigned seed = 7;
    size_t len, got;
    (void)state;
    ring_open(&g);
    uint64_t *data = malloc(SHM_PACKET_MAX + 8);
    for (size_t i = 0; i < SHM_PACKET_MAX / 8 + 1; i++) data[i] = 0xda7aull << 32 | 24;
    for (int i = 0; i < 4000; i++) {
        len = random_len(&seed);
        assert_int_equal(write_bytes(&g.w, data, len), 0);
        assert_int_equal(shm_ring_read(&g.r, packet, &got), 1);
        assert_int_equal(got, len);
        assert_memory_equal(packet, data, len);
        assert_false(shm_ring_readable(&g.r));
        assert_int_equal(shm_ring_read(&g.r, packet, &got), 0);
        shm_ring_release(&g.r);
    }
    free(data);
    ring_close(&g);
}

static void ring__fill_and_drain(void **state) {
    struct ring g;
    unsigned seed = 3, reading;
    size_t got;
    (void)state;
    ring_open(&g);
    memset(packet, 0, sizeof packet);
    static uint8_t data[SHM_PACKET_MAX];
    for (int round = 0; round < 300; round++) {
        unsigned count = 0;
        reading = seed;
        for (;; count++) {
            unsigned before = seed;
            size_t len = random_len(&seed);
            data[0] = (uint8_t)count;
            int rc = write_bytes(&g.w, data, len);
            if (rc == 0) continue;
            assert_int_equal(rc, WEFT_E_AGAIN);
            seed = before;
            break;
        }
        assert_true(count > 0);
        assert_false(shm_ring_want_room(&g.w));
        for (unsigned i = 0; i < count; i++) {
            size_t len = random_len(&reading);
            assert_int_equal(shm_ring_read(&g.r, packet, &got), 1);
            assert_int_equal(got, len);
            if (len) assert_int_equal(packet[0], (uint8_t)i);
        }
        assert_int_equal(shm_ring_read(&g.r, packet, &got), 0);
        assert_true(shm_ring_release(&g.r)); /* the writer asked for it */
        assert_true(shm_ring_want_room(&g.w));
        atomic_store(&g.shared->want_room, 0);
    }
    ring_close(&g);
}

static void write__too_big(void **state) {
    struct ring g;
    (void)state;
    ring_open(&g);
    struct adapter_packet_out p = {{{packet, SHM_PACKET_MAX}, {packet, 1}}};
    assert_int_equal(shm_ring_write(&g.w, &p), WEFT_E_TOO_BIG);
    p.piece[1].iov_len = SIZE_MAX;
    assert_int_equal(shm_ring_write(&g.w, &p), WEFT_E_TOO_BIG);
    assert_int_equal(write_bytes(&g.w, packet, SHM_PACKET_MAX), 0);
    ring_close(&g);
}

/* The writer died between its stores: the packet is there, the header is not. */
static void read__half_a_publish(void **state) {
    struct ring g;
    size_t got;
    (void)state;
    ring_open(&g);
    assert_int_equal(write_bytes(&g.w, "first", 5), 0);
    memset(g.memory + SHM_LINE + 8, 0xff, 100);
    assert_int_equal(shm_ring_read(&g.r, packet, &got), 1);
    assert_int_equal(shm_ring_read(&g.r, packet, &got), 0);
    ring_close(&g);
}

/* Who wants messages only finds a packet still there, and what follows it in its turn. */
static void read_message__leaves_packets(void **state) {
    struct ring g;
    size_t got = 0;
    const struct iovec piece[2] = {{(void *)"hello", 5}, {NULL, 0}};
    (void)state;
    ring_open(&g);
    assert_int_equal(shm_ring_read_message(&g.r, packet, &got), SHM_RECORD_NONE);
    assert_int_equal(write_bytes(&g.w, "first", 5), 0);
    assert_int_equal(shm_ring_write_message(&g.w, 7, piece), 0);
    assert_int_equal(shm_ring_read_message(&g.r, packet, &got), SHM_RECORD_NONE);
    assert_int_equal(shm_ring_read(&g.r, packet, &got), SHM_RECORD_PACKET);
    assert_int_equal(shm_ring_read_message(&g.r, packet, &got), SHM_RECORD_MESSAGE);
    assert_int_equal(got, sizeof(uint64_t) + 5);
    assert_memory_equal(packet + sizeof(uint64_t), "hello", 5);
    assert_int_equal(shm_ring_read_message(&g.r, packet, &got), SHM_RECORD_NONE);
    ring_close(&g);
}

static void set_header(struct ring *g, uint64_t at, uint64_t header) {
    memcpy(g->memory + at, &header, sizeof header);
}

static void read__nonsense(void **state) {
    static const uint64_t bad[] = {1,
                                   UINT64_MAX,
                                   0xda7aull << 32 | (SHM_PACKET_MAX + 1),
                                   0xda7aull << 32 | UINT32_MAX,
                                   0xda7bull << 32 | 8,
                                   0x9adull << 32 /* a pad at the start */,
                                   0x9adull << 32 | 1};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ring g;
        size_t got = 77;
        ring_open(&g);
        set_header(&g, 0, bad[i]);
        assert_true(shm_ring_readable(&g.r));
        assert_int_equal(shm_ring_read(&g.r, packet, &got), WEFT_E_PROTO);
        assert_int_equal(got, 77);
        ring_close(&g);
    }
}

/* A length that is right as such but runs over the ring's end. */
static void read__over_the_end(void **state) {
    struct ring g;
    size_t got;
    (void)state;
    ring_open(&g);
    while (g.r.head < BYTES - SHM_LINE) {
        set_header(&g, g.r.head, 0xda7aull << 32 | 56);
        assert_int_equal(shm_ring_read(&g.r, packet, &got), 1);
    }
    set_header(&g, BYTES - SHM_LINE, 0xda7aull << 32 | 57);
    assert_int_equal(shm_ring_read(&g.r, packet, &got), WEFT_E_PROTO);
    ring_close(&g);
}

static void read__random_memory(void **state) {
    struct ring g;
    unsigned seed = 11;
    (void)state;
    ring_open(&g);
    for (int i = 0; i < 20000; i++) {
        size_t got = 0;
        uint64_t kind = rand_r(&seed) % 2 ? 0xda7a : 0x9ad,
                 len = rand_r(&seed) % 3 ? (unsigned)rand_r(&seed) % 70000u : 0;
        set_header(&g, g.r.head & g.r.mask, kind << 32 | len);
        int rc = shm_ring_read(&g.r, packet, &got);
        assert_true(rc == 0 || rc == 1 || rc == WEFT_E_PROTO);
        assert_true(got <= SHM_PACKET_MAX);
        shm_ring_release(&g.r);
    }
    ring_close(&g);
}

/* A reader's position that cannot be: before what it was, or beyond what was written. */
static void write__impossible_reader(void **state) {
    static const int64_t off[] = {1, 1000, INT64_MAX, -SHM_LINE};
    (void)state;
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        struct ring g;
        size_t got;
        ring_open(&g);
        for (int k = 0; k < 3; k++) assert_int_equal(write_bytes(&g.w, packet, SHM_PACKET_MAX), 0);
        assert_int_equal(write_bytes(&g.w, packet, SHM_PACKET_MAX), WEFT_E_AGAIN);
        assert_int_equal(shm_ring_read(&g.r, packet, &got), 1);
        shm_ring_release(&g.r);
        assert_int_equal(write_bytes(&g.w, packet, 60000), 0); /* has seen the reader's position */
        atomic_store(&g.shared->head,
                     off[i] < 0 ? g.w.head_seen + (uint64_t)off[i] : g.w.tail + (uint64_t)off[i]);
        int rc;
        while ((rc = write_bytes(&g.w, packet, SHM_PACKET_MAX)) == 0) continue;
        assert_int_equal(rc, WEFT_E_PROTO);
        ring_close(&g);
    }
}

#define STREAM 20000
static void *write_stream(void *arg) {
    struct ring *g = arg;
    static uint8_t data[SHM_PACKET_MAX];
    unsigned seed = 5;
    for (uint32_t i = 0; i < STREAM; i++) {
        size_t len = 4 + random_len(&seed) % 4000;
        memcpy(data, &i, sizeof i);
        while (write_bytes(&g->w, data, len) == WEFT_E_AGAIN) sched_yield();
    }
    return NULL;
}

static void ring__two_threads(void **state) {
    struct ring g;
    pthread_t thread;
    unsigned seed = 5;
    (void)state;
    ring_open(&g);
    assert_int_equal(pthread_create(&thread, NULL, write_stream, &g), 0);
    for (uint32_t i = 0; i < STREAM; i++) {
        size_t len = 4 + random_len(&seed) % 4000, got;
        int rc;
        while ((rc = shm_ring_read(&g.r, packet, &got)) == 0) sched_yield();
        assert_int_equal(rc, 1);
        assert_int_equal(got, len);
        assert_memory_equal(packet, &i, sizeof i);
        if (i % 5 == 0) shm_ring_release(&g.r);
    }
    pthread_join(thread, NULL);
    ring_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring__laps_over_treacherous_data),
        cmocka_unit_test(ring__fill_and_drain),
        cmocka_unit_test(write__too_big),
        cmocka_unit_test(read__half_a_publish),
        cmocka_unit_test(read_message__leaves_packets),
        cmocka_unit_test(read__nonsense),
        cmocka_unit_test(read__over_the_end),
        cmocka_unit_test(read__random_memory),
        cmocka_unit_test(write__impossible_reader),
        cmocka_unit_test(ring__two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
