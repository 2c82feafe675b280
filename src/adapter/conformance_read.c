/* Conformance: remote read, with regions good and bad. */
#include "adapter/conformance.h"
#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LEN 300000

struct exposure {
    struct pair p;
    struct adapter_peer *owner, *reader; /* the owner as the reader knows it, and the other way round */
    uint8_t *memory;
    uint8_t region[ADAPTER_REGION_MAX];
    size_t region_bytes;
};

static void setup(struct exposure *e, const struct conformance *c) {
    pair_open(&e->p, c);
    if (!(node_caps(e->p.a) & ADAPTER_CAP_REMOTE_READ)) {
        pair_close(&e->p);
        skip();
    }
    e->owner = node_connect(e->p.a, e->p.b);
    node_poll(e->p.b); /* two sides that connect at once may not know of each other's way yet */
    e->reader = node_connect(e->p.b, e->p.a);
    e->memory = malloc(LEN);
    pattern_fill(e->memory, LEN, 9);
    e->region_bytes = sizeof e->region;
    assert_int_equal(
        e->p.b->adapter->ops->expose(e->p.b->adapter, e->reader, e->memory, LEN, e->region, &e->region_bytes),
        0);
}

static void teardown(struct exposure *e) {
    e->p.b->adapter->ops->conceal(e->p.b->adapter, e->reader, e->region, e->region_bytes);
    free(e->memory);
    node_disconnect(e->p.a, e->owner);
    node_disconnect(e->p.b, e->reader);
    pair_close(&e->p);
}

static int read_from(struct exposure *e, const void *region, size_t region_bytes, uint64_t offset, void *dst,
                     size_t len) {
    return node_read(e->p.a, e->owner, region, region_bytes, offset, dst, len);
}

static void read__whole_and_parts(void **state) {
    static const uint64_t part[][2] = {{0, LEN}, {0, 1}, {LEN - 1, 1},   {4095, 3},
                                       {LEN, 0}, {0, 0}, {77777, 100000}};
    struct exposure e;
    setup(&e, *state);
    uint8_t *to = malloc(LEN);
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        memset(to, 0, LEN);
        assert_int_equal(read_from(&e, e.region, e.region_bytes, part[i][0], to, part[i][1]), 0);
        assert_memory_equal(to, e.memory + part[i][0], part[i][1]);
    }
    free(to);
    teardown(&e);
}

/* Targets whose addresses within a page are close to the source's, and others: some are copied another way.
 */
static void read__wherever_it_goes(void **state) {
    static const size_t shift[] = {0, 1, 16, 31, 32, 33, 4095}, lengths[] = {2048, 2049, 32768, 100001};
    struct exposure e;
    setup(&e, *state);
    uint8_t *to = malloc(LEN);
    size_t same = ((uintptr_t)e.memory - (uintptr_t)to) % 4096;
    for (size_t i = 0; i < sizeof shift / sizeof *shift; i++) {
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            uint64_t offset = 5000 + 777 * k;
            size_t at = 1 + same + offset % 4096 + (shift[i] + 4095) % 4096; /* from 1 on */
            memset(to, 0, LEN);
            assert_int_equal(read_from(&e, e.region, e.region_bytes, offset, to + at, lengths[k]), 0);
            assert_memory_equal(to + at, e.memory + offset, lengths[k]);
            assert_int_equal(to[at - 1] | to[at + lengths[k]], 0);
        }
    }
    free(to);
    teardown(&e);
}

static bool enough_at_last(void *arg) { return --*(int *)arg == 0; }

/* A read that is to end early copies something all the same, and all of what it says. */
static void read__ends_early(void **state) {
    struct exposure e;
    setup(&e, *state);
    uint8_t *to = malloc(LEN);
    memset(to, 0, LEN);
    for (size_t at = 0; at < LEN;) {
        int asked = 1 + (int)(at % 3);
        struct adapter_read r = {.region = e.region,
                                 .region_bytes = e.region_bytes,
                                 .offset = at,
                                 .dst = to + at,
                                 .len = LEN - at,
                                 .enough = enough_at_last,
                                 .arg = &asked};
        assert_int_equal(e.p.a->adapter->ops->read(e.p.a->adapter, e.owner, &r), 0);
        assert_true(r.len > 0 && r.len <= LEN - at);
        for (size_t i = at + r.len; i < LEN; i++) assert_int_equal(to[i], 0);
        at += r.len;
    }
    assert_memory_equal(to, e.memory, LEN);
    free(to);
    teardown(&e);
}

static void read__outside_the_region(void **state) {
    static const uint64_t part[][2] = {
        {0, LEN + 1},           {1, LEN},     {LEN, 1},         {UINT64_MAX, 1},
        {UINT64_MAX, SIZE_MAX}, {LEN + 1, 0}, {8, SIZE_MAX - 4}};
    struct exposure e;
    uint8_t byte[1];
    setup(&e, *state);
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        assert_int_equal(read_from(&e, e.region, e.region_bytes, part[i][0], byte, part[i][1]), WEFT_E_INVAL);
    teardown(&e);
}

static void read__bad_descriptions(void **state) {
    struct exposure e;
    uint8_t bad[ADAPTER_REGION_MAX + 1] = {0}, to[16];
    setup(&e, *state);
    for (size_t len = 0; len <= sizeof bad; len++) {
        if (len == e.region_bytes) continue;
        memcpy(bad, e.region, e.region_bytes);
        assert_int_equal(read_from(&e, bad, len, 0, to, sizeof to), WEFT_E_INVAL);
    }
    for (size_t i = 0; i < 8; i++) { /* the key that says whose it is */
        memcpy(bad, e.region, e.region_bytes);
        bad[i] ^= 0x40;
        int rc = read_from(&e, bad, e.region_bytes, 0, to, sizeof to);
        assert_true(rc == WEFT_E_INVAL || rc == WEFT_E_ACCESS);
    }
    unsigned seed = 5;
    for (int i = 0; i < 4000; i++) {
        /* A piece of the rest: it may name other memory of its maker, but must not crash us. */
        size_t from = 8 + (size_t)rand_r(&seed) % (e.region_bytes - 8);
        size_t end = from + (size_t)rand_r(&seed) % (e.region_bytes - from) + 1;
        memcpy(bad, e.region, e.region_bytes);
        for (size_t k = from; k < end; k++) bad[k] = (uint8_t)rand_r(&seed);
        int rc = read_from(&e, bad, e.region_bytes, (uint64_t)rand_r(&seed), to, sizeof to);
        assert_true(rc == 0 || rc == WEFT_E_INVAL || rc == WEFT_E_ACCESS);
    }
    teardown(&e);
}

/* Memory that was taken back is not read any more, whatever else is exposed by then, the same memory too. */
static void conceal__ends_what_may_be_read(void **state) {
    struct exposure e;
    uint8_t before[ADAPTER_REGION_MAX], byte = 0;
    setup(&e, *state);
    struct adapter *b = e.p.b->adapter;
    for (int i = 0; i < 20; i++) {
        size_t len = e.region_bytes;
        memcpy(before, e.region, len);
        assert_int_equal(read_from(&e, before, len, 5, &byte, 1), 0);
        b->ops->conceal(b, e.reader, before, len);
        assert_int_equal(read_from(&e, before, len, 5, &byte, 1), WEFT_E_ACCESS);
        e.region_bytes = sizeof e.region;
        assert_int_equal(b->ops->expose(b, e.reader, e.memory, LEN, e.region, &e.region_bytes), 0);
        assert_int_equal(read_from(&e, before, len, 5, &byte, 1), WEFT_E_ACCESS);
        /* What was refused may have cost the way there, which is made again. */
        uint64_t end = weft_now_ns() + WAIT_MS * WEFT_NS_PER_MS;
        while (read_from(&e, e.region, e.region_bytes, 5, &byte, 1)) assert_true(weft_now_ns() < end);
    }
    teardown(&e);
}

static void expose__no_room(void **state) {
    struct exposure e;
    setup(&e, *state);
    uint8_t small[4];
    size_t len = sizeof small;
    assert_int_equal(e.p.b->adapter->ops->expose(e.p.b->adapter, e.reader, e.memory, LEN, small, &len),
                     WEFT_E_TOO_BIG);
    teardown(&e);
}

/* Exposes memory, sends the description, waits for its end. */
static void expose_and_wait(struct node *n, int pipe) {
    struct adapter_peer *peer;
    uint8_t region[ADAPTER_REGION_MAX];
    size_t len = sizeof region;
    static uint8_t memory[LEN];
    pattern_fill(memory, LEN, 4);
    node_wait(n, 1);
    if (n->adapter->ops->connect(n->adapter, n->in[0].from, n->in[0].from_bytes, &peer)) _exit(2);
    if (n->adapter->ops->expose(n->adapter, peer, memory, LEN, region, &len)) _exit(3);
    if (node_send(n, peer, region, len) != 1) _exit(4);
    (void)pipe;
    for (;;) pause();
}

static void read__other_process_until_it_dies(void **state) {
    const struct conformance *c = *state;
    if (c->itself_only || !c->ops->read) skip();
    struct child ch;
    struct node n;
    struct adapter_peer *peer;
    uint8_t *to = malloc(LEN);
    child_start(&ch, c, expose_and_wait);
    node_open(&n, c);
    bool tells = node_caps(&n) & ADAPTER_CAP_PEER_DEATH;
    assert_int_equal(n.adapter->ops->connect(n.adapter, ch.address, ch.address_bytes, &peer), 0);
    assert_int_equal(node_send(&n, peer, "go", 2), 1);
    node_wait(&n, 1);
    int rc = node_read(&n, peer, n.in[0].data, n.in[0].len, 0, to, LEN);
    if (rc != WEFT_E_ACCESS) { /* the system may refuse */
        assert_int_equal(rc, 0);
        assert_true(pattern_holds(to, LEN, 4));
    }
    child_kill(&ch);
    assert_int_equal(node_read(&n, peer, n.in[0].data, n.in[0].len, 0, to, LEN), WEFT_E_PEER_LOST);
    node_wait_lost(&n, tells, !tells);
    assert_int_equal(node_read(&n, peer, n.in[0].data, n.in[0].len, 0, to, LEN), WEFT_E_PEER_LOST);
    node_disconnect(&n, peer);
    node_close(&n);
    free(to);
}

const struct CMUnitTest conformance_read[] = {
    cmocka_unit_test(read__whole_and_parts),  cmocka_unit_test(read__wherever_it_goes),
    cmocka_unit_test(read__ends_early),       cmocka_unit_test(read__outside_the_region),
    cmocka_unit_test(read__bad_descriptions), cmocka_unit_test(conceal__ends_what_may_be_read),
    cmocka_unit_test(expose__no_room),        cmocka_unit_test(read__other_process_until_it_dies),
};
const size_t conformance_read_count = sizeof conformance_read / sizeof *conformance_read;
