/* What all peers together may have held back out of order: a limit that keeps memory bounded, and nobody
 * waiting for ever. */
#include "base/error.h"
#include "base/test.h"
#include "transport/hand_peer.h"

#define HELD_BYTES 100000u
#define PEERS      4
#define PART_BYTES 1000u
#define LONG_BYTES 16000u /* of a message in parts */

static struct hand h;
static struct {
    uint32_t conn_id;
    uint64_t next_number;
} peers[PEERS + 1];

static void open_all(void) {
    hand_open_holding(&h, HELD_BYTES);
    for (uint32_t i = 0; i <= PEERS; i++) {
        hand_accept_as(&h, 0x10001 + i);
        peers[i].conn_id = h.conn_id;
        peers[i].next_number = h.next_number;
    }
}

static void packet_of(int peer, const uint8_t *body, size_t len) {
    h.conn_id = peers[peer].conn_id;
    h.next_number = peers[peer].next_number;
    hand_packet(&h, WIRE_CTRL, body, len);
    peers[peer].next_number = h.next_number;
    hand_settle(&h);
}

static void message(int peer, uint64_t id) {
    uint8_t body[1200] = {0};
    struct wire_msg m = {.id = id, .data_bytes = PART_BYTES, .data_here = PART_BYTES};
    packet_of(peer, body, wire_msg_write(body, &m) + PART_BYTES);
}

static void part(int peer, uint64_t id, uint32_t offset) {
    uint8_t body[1200] = {0}, data[PART_BYTES] = {0};
    size_t len;
    if (offset) {
        struct wire_frag f = {
            .id = id, .offset = offset, .data_bytes = LONG_BYTES, .data = data, .len = PART_BYTES};
        len = wire_frag_write(body, &f);
    } else {
        struct wire_msg m = {.id = id, .data_bytes = LONG_BYTES, .data_here = PART_BYTES};
        len = wire_msg_write(body, &m);
    }
    packet_of(peer, body, len + PART_BYTES);
}

static size_t held(void) {
    struct engine_usage u;
    engine_usage(h.engine, &u);
    return u.held_bytes;
}

/* The first message of each is missing. */
static void fill_up(void) {
    open_all();
    for (uint64_t id = 1; id <= 100; id++)
        for (int i = 0; i < PEERS; i++) message(i, id);
    assert_in_range(held(), HELD_BYTES * 9 / 10, HELD_BYTES);
    assert_int_equal(h.headers, 0);
    assert_int_equal(h.downs, 0);
}

static void held__of_all_peers_is_limited(void **state) {
    fill_up();
    for (int i = 0; i <= PEERS; i++) { /* the missing one is taken all the same, also of who holds nothing */
        int before = h.headers;
        message(i, 0);
        assert_true(h.headers > before);
    }
    assert_int_equal(held(), 0);
    assert_int_equal(h.downs, 0);
    int before = h.headers;
    for (uint64_t id = 1; id <= 100; id++) message(0, id); /* as the peer repeats them */
    assert_true(h.headers > before);
    hand_close(&h);
}

/* What is the next, and comes in parts, takes memory before it gives any back. */
static void held__nobody_waits_for_ever(void **state) {
    fill_up();
    part(0, 0, 0);
    assert_int_equal(h.downs, 0);
    assert_true(held() > HELD_BYTES);
    part(PEERS, 0, 0); /* has nothing held back: it may wait */
    assert_int_equal(h.downs, 0);
    part(1, 0, 0);
    assert_int_equal(h.downs, 1);
    assert_int_equal(h.down_status, WEFT_E_LIMIT);
    assert_true(held() <= HELD_BYTES);
    for (uint32_t at = PART_BYTES; at < LONG_BYTES; at += PART_BYTES) part(0, 0, at);
    assert_true(h.headers > 1);
    for (int i = 2; i <= PEERS; i++) {
        int before = h.headers;
        for (uint32_t at = 0; at < LONG_BYTES; at += PART_BYTES) part(i, 0, at);
        assert_true(h.headers > before);
    }
    assert_int_equal(held(), 0);
    assert_int_equal(h.downs, 1);
    hand_close(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held__of_all_peers_is_limited),
        cmocka_unit_test(held__nobody_waits_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
