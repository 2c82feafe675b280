/* How connections end: what the two sides learn of each other's close, and that nothing is acknowledged which
 * a closing side throws away. */
#include "base/error.h"
#include "base/test.h"
#include "transport/duo.h"
#include "transport/hand_peer.h"

#include <string.h>

#define LINGER_NS (5 * WEFT_NS_PER_S)

/* -- against a neighbour played by hand -- */

static struct hand h;

static int status_after_close(uint32_t reason) {
    uint8_t close[WIRE_CLOSE_BYTES];
    hand_open(&h, true);
    hand_accept(&h);
    hand_packet(&h, WIRE_CTRL, close, wire_close_write(close, reason));
    hand_settle(&h);
    assert_int_equal(h.downs, 1);
    hand_close(&h);
    return h.down_status;
}

static int expected(int code) {
    return code == WEFT_OK ? WEFT_E_CLOSED : code == WEFT_E_AGAIN ? WEFT_E_PROTO : code;
}

static void reason__every_error_is_told_as_it_is(void **state) {
#define X(name, value, text) assert_int_equal(status_after_close(-(value)), expected(name));
    WEFT_ERROR_LIST(X)
#undef X
}

static void reason__one_that_is_not_known_breaks_the_rules(void **state) {
    const uint32_t unknown[] = {1000, INT32_MAX, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_int_equal(status_after_close(unknown[i]), WEFT_E_PROTO);
}

/* A connection that is closing here, kept open by a message of this side that the neighbour does not take. */
static struct conn *closing_conn(void) {
    struct ep_send own = {.handler = 1};
    hand_open(&h, true);
    hand_accept(&h);
    struct conn *c = engine_conn_next(h.engine, NULL);
    assert_int_equal(engine_send(h.engine, h.now, c, &own), 0);
    hand_settle(&h);
    engine_close(h.engine, h.now, c, h.now + LINGER_NS);
    return c;
}

/* What the engine has sent since: how often the item, and whether a number is acknowledged. */
static unsigned count_items(size_t from, enum wire_item_type type, uint64_t number, bool *acked) {
    unsigned found = 0;
    *acked = false;
    for (size_t i = from; i < h.out_count; i++) {
        const uint8_t *p = h.out[i] + WIRE_HEADER_BYTES;
        size_t left = h.out_len[i] - WIRE_OVERHEAD_BYTES;
        struct wire_item item;
        struct wire_ack a;
        while ((h.out[i][0] & 15) == WIRE_CTRL && wire_item_next(&p, &left, &item) == 0) {
            found += item.type == type;
            if (item.type != WIRE_ITEM_ACK || wire_ack_read(&item, &a)) continue;
            for (unsigned k = 0; k < a.count; k++)
                *acked |= a.range[k].first <= number && number <= a.range[k].last;
        }
    }
    return found;
}

static void closing__takes_nothing_new_and_says_so(void **state) {
    uint8_t body[64];
    bool acked;
    closing_conn();
    size_t before = h.out_count;
    uint64_t number = h.next_number;
    const struct wire_msg m = {.id = 0};
    const struct wire_rts r = {.id = 1, .data_bytes = 100000};
    hand_packet(&h, WIRE_CTRL, body, wire_msg_write(body, &m));
    hand_packet(&h, WIRE_CTRL, body, wire_rts_write(body, &r));
    hand_advance(&h, WEFT_NS_PER_MS);
    assert_int_equal(h.headers, 0);
    assert_int_equal(count_items(before, WIRE_ITEM_STOP, number, &acked), 1);
    assert_false(acked);
    count_items(before, WIRE_ITEM_STOP, number + 1, &acked);
    assert_false(acked);
    hand_close(&h);
}

/* What was delivered before the close is acknowledged also when it comes once more. */
static void closing__acknowledges_what_was_delivered(void **state) {
    uint8_t body[64];
    bool acked;
    const struct wire_msg m = {.id = 0};
    struct ep_send own = {.handler = 1};
    hand_open(&h, true);
    hand_accept(&h);
    struct conn *c = engine_conn_next(h.engine, NULL);
    hand_packet(&h, WIRE_CTRL, body, wire_msg_write(body, &m));
    assert_int_equal(engine_send(h.engine, h.now, c, &own), 0);
    hand_settle(&h);
    assert_int_equal(h.headers, 1);
    engine_close(h.engine, h.now, c, h.now + LINGER_NS);
    size_t before = h.out_count;
    uint64_t number = h.next_number;
    hand_packet(&h, WIRE_CTRL, body, wire_msg_write(body, &m));
    hand_advance(&h, WEFT_NS_PER_MS);
    assert_int_equal(h.headers, 1);
    assert_int_equal(count_items(before, WIRE_ITEM_STOP, number, &acked), 0);
    assert_true(acked);
    hand_close(&h);
}

/* -- two engines -- */

static struct duo d;

static void open_duo(void) {
    static const struct duo_config plain = {.caps = ADAPTER_CAP_METHOD1 | ADAPTER_CAP_METHOD2};
    duo_open(&d, &plain);
    duo_connect(&d);
    duo_settle(&d);
    duo_advance(&d, 100 * WEFT_NS_PER_MS);
    assert_non_null(d.side[1].conn);
}

static void start_close(int side) {
    engine_close(d.side[side].engine, d.now, d.side[side].conn, d.now + LINGER_NS);
}

/* Both have something under way that the other will not take any more: neither waits for it. */
static void closes_at_once(size_t bytes) {
    open_duo();
    for (int i = 0; i < 2; i++) duo_send(&d, i, bytes);
    for (int i = 0; i < 2; i++) start_close(i);
    duo_advance(&d, WEFT_NS_PER_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(d.side[i].downs, 1);
        assert_int_equal(d.side[i].down_status, WEFT_E_CLOSED);
        assert_int_equal(d.side[i].headers, 0);
        assert_int_equal(d.side[i].send_status, WEFT_E_CLOSED);
        assert_int_equal(d.side[i].sents, 1);
    }
    duo_close(&d);
}

static void both_close__small_messages_do_not_hold_them_up(void **state) { closes_at_once(100); }
static void both_close__large_messages_do_not_hold_them_up(void **state) { closes_at_once(500000); }

/* Lets so many packets with data through, and then closes the side that gets them. `mode`: how many more. */
static bool close_after(struct duo *duo, struct duo_packet *p) {
    if (p->from == 0 && (p->data[0] & 15) == WIRE_DATA && duo->mode > 0 && --duo->mode == 0) start_close(1);
    return true;
}

static void closing__half_of_the_data_is_not_all_of_it(void **state) {
    open_duo();
    d.mode = 100; /* of some 350 */
    d.filter = close_after;
    duo_send(&d, 0, 500000);
    duo_send(&d, 1, 900000); /* keeps the closing side busy meanwhile */
    duo_advance(&d, WEFT_NS_PER_S);
    assert_int_equal(d.side[1].headers, 1);
    assert_int_equal(d.side[1].datas, 0);
    assert_int_equal(d.side[0].sents, 1);
    assert_int_equal(d.side[0].send_status, WEFT_E_CLOSED);
    assert_int_equal(d.side[0].downs, 1);
    duo_close(&d);
}

/* Whoever is told sends no more, while what the other still has to say arrives. */
static void stopped__sends_fail_and_messages_still_come(void **state) {
    uint8_t body[WIRE_STOP_BYTES];
    struct ep_send own = {.handler = 1};
    hand_open(&h, true);
    hand_accept(&h);
    struct conn *c = engine_conn_next(h.engine, NULL);
    for (int i = 0; i < 2; i++) { /* it may come twice */
        hand_packet(&h, WIRE_CTRL, body, wire_stop_write(body));
        hand_settle(&h);
        assert_int_equal(engine_send(h.engine, h.now, c, &own), WEFT_E_CLOSED);
    }
    const struct wire_msg m = {.id = 0};
    uint8_t msg[64];
    hand_packet(&h, WIRE_CTRL, msg, wire_msg_write(msg, &m));
    hand_settle(&h);
    assert_int_equal(h.headers, 1);
    assert_int_equal(h.downs, 0);
    hand_close(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reason__every_error_is_told_as_it_is),
        cmocka_unit_test(reason__one_that_is_not_known_breaks_the_rules),
        cmocka_unit_test(closing__takes_nothing_new_and_says_so),
        cmocka_unit_test(closing__acknowledges_what_was_delivered),
        cmocka_unit_test(closing__half_of_the_data_is_not_all_of_it),
        cmocka_unit_test(both_close__small_messages_do_not_hold_them_up),
        cmocka_unit_test(both_close__large_messages_do_not_hold_them_up),
        cmocka_unit_test(stopped__sends_fail_and_messages_still_come),
    };
    return cmocka_run_group_tests_name("close", tests, NULL, NULL);
}
