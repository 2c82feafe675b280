/* Method 2 against a neighbour played by hand: data that follows its header unasked, or overtakes it, waits
 * in bounded staging memory, and is never acknowledged before it is safe. */
#include "base/error.h"
#include "base/test.h"
#include "transport/hand_peer.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK 1424u

static struct hand h;

static void open_hand(void) {
    hand_open(&h, true);
    hand_accept(&h);
}

static void send_rts(uint64_t number, uint64_t data_bytes) {
    uint8_t body[64];
    struct wire_rts r = {.data_bytes = data_bytes, .ref = number, .id = number, .staged = number + 1};
    hand_packet(&h, WIRE_CTRL, body, wire_rts_write(body, &r));
    hand_settle(&h);
}

static void send_tagged(uint64_t tag, uint32_t offset, uint16_t length, uint16_t chunk, uint8_t fill) {
    uint8_t body[WIRE_DATA_BYTES + CHUNK];
    memset(body, fill, sizeof body);
    wire_data_write(body, &(struct wire_data){tag, offset, length, 0, chunk});
    hand_packet(&h, WIRE_DATA, body, WIRE_DATA_BYTES + length);
    hand_settle(&h);
}

static void send_data(uint64_t number, uint32_t superpacket, uint32_t offset, uint16_t length, uint8_t fill) {
    send_tagged(wire_tag(WIRE_TAG_STAGED, number, superpacket), offset, length, CHUNK, fill);
}

/* One whole superpacket. */
static void send_superpacket(uint64_t number, uint32_t superpacket, uint8_t fill) {
    for (uint32_t at = 0; at < WIRE_SUPERPACKET_BYTES; at += CHUNK) {
        uint32_t left = WIRE_SUPERPACKET_BYTES - at;
        send_data(number, superpacket, at, (uint16_t)(left < CHUNK ? left : CHUNK), fill);
    }
}

static uint64_t staged_bytes(void) {
    struct engine_usage u;
    engine_usage(h.engine, &u);
    return u.staged_bytes;
}

static bool holds(size_t from, size_t to, uint8_t value) {
    for (size_t i = from; i < to; i++)
        if (((const uint8_t *)h.sink)[i] != value) return false;
    return true;
}

/* The last item of a type that the engine sent. */
static bool find_item(enum wire_item_type type, struct wire_item *found) {
    bool any = false;
    for (size_t i = 0; i < h.out_count; i++) {
        const uint8_t *at = h.out[i] + WIRE_HEADER_BYTES;
        size_t len = h.out_len[i] - WIRE_OVERHEAD_BYTES;
        struct wire_item item;
        if ((h.out[i][0] & 15) != WIRE_CTRL) continue;
        while (wire_item_next(&at, &len, &item) == 0)
            if (item.type == type) {
                *found = item;
                any = true;
            }
    }
    return any;
}

static bool is_acknowledged(uint64_t number) {
    struct wire_item item;
    struct wire_ack a;
    engine_output_acks(h.engine, h.now);
    if (!find_item(WIRE_ITEM_ACK, &item) || wire_ack_read(&item, &a)) return false;
    for (unsigned i = 0; i < a.count; i++)
        if (a.range[i].first <= number && number <= a.range[i].last) return true;
    return false;
}

static void receive__data_after_its_header_goes_straight(void **state) {
    struct wire_item item;
    open_hand();
    send_rts(0, 3000);
    send_data(0, 0, CHUNK, CHUNK, 2);
    assert_int_equal(staged_bytes(), 0);
    assert_true(holds(CHUNK, 2 * CHUNK, 2));
    send_data(0, 0, 0, CHUNK, 1);
    assert_int_equal(h.data_status, 1);
    send_data(0, 0, 2 * CHUNK, 152, 3);
    assert_int_equal(h.data_status, 0);
    assert_true(holds(0, CHUNK, 1) && holds(2 * CHUNK, 3000, 3));
    assert_false(find_item(WIRE_ITEM_OKTOSEND, &item)); /* nobody was asked, nothing was answered */
    memset(h.sink, 0xEE, 3000);
    uint64_t late = h.next_number;
    send_data(0, 0, 0, CHUNK, 9);
    assert_true(is_acknowledged(late) && holds(0, 3000, 0xEE));
    hand_close(&h);
}

static void receive__data_before_its_header_waits(void **state) {
    open_hand();
    uint64_t early = h.next_number;
    send_data(0, 1, 0, CHUNK, 7);
    send_superpacket(0, 0, 6);
    assert_true(is_acknowledged(early));
    assert_int_equal(staged_bytes(), 2 * WIRE_SUPERPACKET_BYTES);
    send_rts(0, WIRE_SUPERPACKET_BYTES + CHUNK);
    assert_int_equal(h.data_status, 0);
    assert_true(holds(0, WIRE_SUPERPACKET_BYTES, 6));
    assert_true(holds(WIRE_SUPERPACKET_BYTES, WIRE_SUPERPACKET_BYTES + CHUNK, 7));
    assert_int_equal(staged_bytes(), 0);
    hand_close(&h);
}

static void receive__without_room_it_comes_again_under_a_tag(void **state) {
    struct wire_item item;
    struct wire_oktosend ok;
    open_hand();
    send_data(0, 0, 0, CHUNK, 1);
    send_data(1, 0, 0, CHUNK, 1); /* two superpackets: the peer's share is used up */
    uint64_t refused = h.next_number;
    send_data(2, 0, 0, CHUNK, 1);
    assert_false(is_acknowledged(refused));
    assert_int_equal(staged_bytes(), 2 * WIRE_SUPERPACKET_BYTES);
    uint8_t body[64];
    struct wire_rts r = {.data_bytes = 2000, .ref = 0, .id = 0, .staged = 3};
    hand_packet(&h, WIRE_CTRL, body, wire_rts_write(body, &r));
    hand_settle(&h);
    assert_true(find_item(WIRE_ITEM_OKTOSEND, &item));
    assert_int_equal(wire_oktosend_read(&item, &ok), 0);
    refused = h.next_number;
    send_data(2, 0, 0, CHUNK, 9); /* acknowledged, it would look as if it had arrived */
    assert_false(is_acknowledged(refused));
    send_tagged(ok.tag, 0, CHUNK, CHUNK, 4);
    send_tagged(ok.tag, CHUNK, 2000 - CHUNK, CHUNK, 5);
    assert_int_equal(h.data_status, 0);
    assert_true(holds(0, CHUNK, 4) && holds(CHUNK, 2000, 5));
    uint64_t late = h.next_number;
    send_data(2, 0, 0, CHUNK, 9);
    assert_true(is_acknowledged(late) && holds(0, CHUNK, 4));
    hand_close(&h);
}

static void receive__smaller_chunks_start_a_superpacket_again(void **state) {
    open_hand();
    send_data(0, 0, 0, CHUNK, 1); /* waits for the header */
    send_tagged(wire_tag(WIRE_TAG_STAGED, 0, 0), 1000, 1000, 1000, 2);
    send_data(0, 0, CHUNK, CHUNK, 9); /* of the old cut, and late */
    send_rts(0, 3000);
    assert_true(holds(1000, 2000, 2));
    send_tagged(wire_tag(WIRE_TAG_STAGED, 0, 0), 2000, 1000, 1000, 3);
    assert_int_equal(h.data_status, 1);
    send_tagged(wire_tag(WIRE_TAG_STAGED, 0, 0), 0, 1000, 1000, 4);
    assert_int_equal(h.data_status, 0);
    assert_true(holds(0, 1000, 4) && holds(1000, 2000, 2) && holds(2000, 3000, 3));
    hand_close(&h);
}

static void receive__canceled_data_is_neither_stored_nor_acknowledged(void **state) {
    struct wire_item item;
    struct wire_fin fin;
    open_hand();
    send_rts(0, 3000);
    send_data(0, 0, 0, CHUNK, 1);
    assert_int_equal(engine_cancel(h.engine, h.token), 0);
    memset(h.sink, 0xEE, 3000);
    hand_settle(&h);
    assert_int_equal(h.data_status, WEFT_E_CANCELED);
    assert_true(find_item(WIRE_ITEM_FIN, &item));
    assert_int_equal(wire_fin_read(&item, &fin), 0);
    assert_int_equal(fin.status, WEFT_E_CANCELED);
    uint64_t late = h.next_number;
    send_data(0, 0, CHUNK, CHUNK, 2);
    assert_false(is_acknowledged(late));
    assert_true(holds(0, 3000, 0xEE));
    hand_close(&h);
}

static void receive__all_caps_hold(void **state) {
    open_hand();
    for (uint64_t n = 0; n < 64; n++)
        for (uint32_t s = 0; s < WIRE_STAGED_SUPERPACKETS; s++) send_data(n, s, 0, CHUNK, 1);
    assert_int_equal(staged_bytes(), 2 * WIRE_SUPERPACKET_BYTES);
    assert_int_equal(h.downs, 0);
    hand_close(&h);
}

static void breaks(void) {
    assert_int_equal(h.downs, 1);
    assert_int_equal(h.down_status, WEFT_E_PROTO);
    assert_int_equal(staged_bytes(), 0);
    hand_close(&h);
}

static void rules__wrong_places_close(void **state) {
    static const struct {
        uint32_t superpacket, offset;
        uint16_t length, chunk;
    } cases[] = {{0, 1, CHUNK, CHUNK},         {0, 0, 0, CHUNK},      {0, 0, CHUNK, 0},
                 {0, 0, CHUNK, 900},           {16, 0, CHUNK, CHUNK}, {0, 2 * CHUNK, CHUNK, CHUNK},
                 {0, 3 * CHUNK, CHUNK, CHUNK}, {0, 0, 1000, CHUNK},   {1, 0, CHUNK, CHUNK}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_hand();
        send_rts(0, 3000);
        send_tagged(wire_tag(WIRE_TAG_STAGED, 0, cases[i].superpacket), cases[i].offset, cases[i].length,
                    cases[i].chunk, 1);
        breaks();
    }
}

static void rules__what_came_before_the_header_must_fit_it(void **state) {
    static const struct {
        uint32_t superpacket, offset;
        uint16_t length;
        uint64_t data_bytes;
    } cases[] = {{0, 0, 1000, 3000},          {0, 2 * CHUNK, CHUNK, 3000}, {0, 2 * CHUNK, 151, 3000},
                 {0, 3 * CHUNK, CHUNK, 3000}, {1, 0, CHUNK, 3000},         {0, 43 * CHUNK, 100, 61440 * 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_hand();
        send_data(0, cases[i].superpacket, cases[i].offset, cases[i].length, 1);
        assert_int_equal(h.downs, 0);
        send_rts(0, cases[i].data_bytes);
        breaks();
    }
    open_hand(); /* two that are short */
    send_data(0, 0, 0, 1000, 1);
    send_data(0, 0, CHUNK, 1000, 1);
    breaks();
    open_hand(); /* a number twice */
    send_rts(0, 3000);
    uint8_t body[64];
    struct wire_rts r = {.data_bytes = 3000, .ref = 1, .id = 1, .staged = 1};
    hand_packet(&h, WIRE_CTRL, body, wire_rts_write(body, &r));
    hand_settle(&h);
    breaks();
    open_hand(); /* an open one is left behind by 64 later ones */
    send_rts(0, 3000);
    send_data(64, 0, 0, CHUNK, 1);
    breaks();
}

/* -- sending -- */

static int sent_status;
static void on_done(void *arg, int status) { sent_status = status; }

static void acknowledge(uint64_t first, uint64_t last) {
    uint8_t body[WIRE_ACK_BYTES_MAX];
    struct wire_ack a = {.largest = last, .window_bytes = 1 << 20, .count = 1, .range = {{first, last}}};
    hand_packet(&h, WIRE_CTRL, body, wire_ack_write(body, &a));
    hand_settle(&h);
}

static uint64_t newest_number(void) {
    struct wire_header head;
    assert_int_equal(wire_header_read(h.out[h.out_count - 1], h.out_len[h.out_count - 1], &head), 0);
    return head.number;
}

static uint32_t newest_superpacket(void) {
    struct wire_data d;
    size_t len;
    wire_data_read(hand_last(&h, WIRE_DATA, &len) + WIRE_HEADER_BYTES, &d);
    assert_int_equal(wire_tag_slot(d.tag), WIRE_TAG_STAGED);
    assert_int_equal(d.chunk_bytes, CHUNK);
    return wire_tag_superpacket(d.tag);
}

static void send__no_more_than_its_share_before_an_acknowledgement(void **state) {
    static uint8_t data[240000]; /* 4 superpackets, of which two may be under way; 44 chunks each */
    open_hand();
    struct conn *c = engine_conn_next(h.engine, NULL);
    struct ep_send s = {.data = data, .data_bytes = sizeof data, .on_done = on_done};
    sent_status = 1;
    const uint64_t rts = newest_number() + 1;
    assert_int_equal(engine_send(h.engine, h.now, c, &s), 0);
    hand_settle(&h);
    assert_int_equal(newest_number(), rts + 63); /* the first congestion window */
    acknowledge(rts + 2, rts + 63);              /* all but the first chunk */
    acknowledge(rts + 2, newest_number());
    assert_int_equal(newest_number(), rts + 88);
    assert_int_equal(newest_superpacket(), 1);
    for (int i = 0; i < 4; i++) acknowledge(rts + 1, newest_number());
    assert_int_equal(newest_superpacket(), 3);
    assert_int_equal(newest_number(), rts + 44 + 44 + 44 + 40);
    assert_int_equal(sent_status, 1); /* all data has arrived, but not its header */
    acknowledge(rts, newest_number());
    assert_int_equal(sent_status, 0);
    hand_close(&h);
}

static void send__when_asked_it_starts_again_under_the_tag(void **state) {
    static uint8_t data[100000];
    uint8_t body[64];
    struct wire_data d;
    size_t len;
    open_hand();
    struct conn *c = engine_conn_next(h.engine, NULL);
    struct ep_send s = {.data = data, .data_bytes = sizeof data, .on_done = on_done};
    sent_status = 1;
    const uint64_t rts = newest_number() + 1, tag = wire_tag(5, 77, 0);
    assert_int_equal(engine_send(h.engine, h.now, c, &s), 0);
    hand_settle(&h);
    uint64_t unasked = newest_number();
    struct wire_oktosend ok = {.ref = 0, .tag = tag, .window = 4};
    hand_packet(&h, WIRE_CTRL, body, wire_oktosend_write(body, &ok));
    for (int i = 0; i < 4; i++) acknowledge(rts, unasked);
    assert_int_equal(sent_status, 1); /* that was of no use */
    wire_data_read(hand_last(&h, WIRE_DATA, &len) + WIRE_HEADER_BYTES, &d);
    assert_int_equal(d.tag, tag + 1);
    for (int i = 0; i < 4; i++) acknowledge(rts, newest_number());
    assert_int_equal(sent_status, 0);
    hand_close(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receive__data_after_its_header_goes_straight),
        cmocka_unit_test(receive__data_before_its_header_waits),
        cmocka_unit_test(receive__without_room_it_comes_again_under_a_tag),
        cmocka_unit_test(receive__smaller_chunks_start_a_superpacket_again),
        cmocka_unit_test(receive__canceled_data_is_neither_stored_nor_acknowledged),
        cmocka_unit_test(receive__all_caps_hold),
        cmocka_unit_test(rules__wrong_places_close),
        cmocka_unit_test(rules__what_came_before_the_header_must_fit_it),
        cmocka_unit_test(send__no_more_than_its_share_before_an_acknowledgement),
        cmocka_unit_test(send__when_asked_it_starts_again_under_the_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
