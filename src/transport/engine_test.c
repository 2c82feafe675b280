/* The engine against a neighbour that breaks the rules: nothing is believed, nothing grows without bound, and
 * the connection ends with a reason. */
#include "base/error.h"
#include "base/test.h"
#include "transport/conn.h"
#include "transport/hand_peer.h"
#include "transport/received.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct hand h;

static size_t conns(void) {
    struct engine_usage u;
    engine_usage(h.engine, &u);
    return u.conns;
}

static void handshake__accepts(void **state) {
    hand_open(&h, true);
    hand_accept(&h);
    assert_int_equal(conns(), 1);
    assert_true(engine_conn_is_up(engine_conn_next(h.engine, NULL)));
    hand_close(&h);
}

static void handshake__answer_is_not_longer_than_the_question(void **state) {
    size_t len;
    hand_open(&h, true);
    hand_init(&h, 5, 7);
    assert_non_null(hand_last(&h, WIRE_RESP, &len));
    assert_true(len <= WIRE_INIT_BYTES);
    uint8_t p[WIRE_INIT_BYTES];
    struct wire_hello hello = {
        .version_min = 1, .version_max = 1, .integrity = 2, .conn_id = 6, .packet_bytes = 1472};
    size_t full = wire_hello_write(p, WIRE_INIT, 0, 99, &hello);
    le_put16(p + 2, (uint16_t)(full - 100)); /* not padded: no answer */
    wire_trailer_write(p + full - 116, WIRE_INTEGRITY_CRC, p, full - 116, NULL, 0);
    size_t before = h.sent;
    hand_raw(&h, p, full - 100);
    assert_int_equal(h.sent, before);
    hand_close(&h);
}

static void handshake__other_version_is_told_ours(void **state) {
    uint8_t p[WIRE_INIT_BYTES];
    struct wire_hello answer,
        hello = {.version_min = 3, .version_max = 4, .integrity = 2, .conn_id = 6, .packet_bytes = 1472};
    size_t len;
    hand_open(&h, true);
    hand_raw(&h, p, wire_hello_write(p, WIRE_INIT, 0, 99, &hello));
    const uint8_t *out = hand_last(&h, WIRE_RESP, &len);
    assert_non_null(out);
    assert_int_equal(wire_hello_read(out, len, &answer), 0);
    assert_int_equal(answer.status, WIRE_REFUSE_VERSION);
    assert_int_equal(answer.version_max, WIRE_VERSION);
    assert_int_equal(answer.echo, 99);
    assert_int_equal(conns(), 0);
    hand_close(&h);
}

static void connect_to_hand(struct conn **c, struct wire_hello *init, uint64_t *number) {
    struct wire_header head;
    size_t len;
    assert_int_equal(engine_connect(h.engine, h.now, &h.from, NULL, c), 0);
    hand_settle(&h);
    const uint8_t *p = hand_last(&h, WIRE_INIT, &len);
    assert_non_null(p);
    assert_int_equal(wire_header_read(p, len, &head), 0);
    assert_int_equal(wire_hello_read(p, len, init), 0);
    *number = head.number;
}

static void handshake__refusals_have_codes(void **state) {
    static const struct {
        uint8_t status;
        int code;
    } cases[] = {{WIRE_REFUSE_VERSION, WEFT_E_VERSION},
                 {WIRE_REFUSE_CLOSED, WEFT_E_REFUSED},
                 {WIRE_REFUSE_BUSY, WEFT_E_BUSY},
                 {200, WEFT_E_REFUSED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct conn *c;
        struct wire_hello init;
        uint64_t number;
        uint8_t p[WIRE_RESP_BYTES];
        hand_open(&h, false);
        connect_to_hand(&c, &init, &number);
        struct wire_hello answer = {
            .version_min = 3, .version_max = 4, .status = cases[i].status, .echo = number + 1};
        hand_raw(&h, p, wire_hello_write(p, WIRE_RESP, init.conn_id, 0, &answer)); /* to another INIT */
        hand_settle(&h);
        assert_int_equal(h.downs, 0);
        answer.echo = number;
        hand_raw(&h, p, wire_hello_write(p, WIRE_RESP, init.conn_id, 0, &answer));
        hand_settle(&h);
        assert_int_equal(h.downs, 1);
        assert_int_equal(h.down_status, cases[i].code);
        hand_close(&h);
    }
}

static void handshake__silence_times_out(void **state) {
    struct conn *c;
    struct wire_hello init;
    uint64_t number;
    hand_open(&h, false);
    connect_to_hand(&c, &init, &number);
    hand_advance(&h, 4 * WEFT_NS_PER_S);
    assert_int_equal(h.downs, 0);
    assert_in_range(h.sent, 5, 15);
    hand_advance(&h, 2 * WEFT_NS_PER_S);
    assert_int_equal(h.downs, 1);
    assert_int_equal(h.down_status, WEFT_E_TIMEDOUT);
    hand_close(&h);
}

static void handshake__time_not_run_is_no_silence(void **state) {
    struct conn *c;
    struct wire_hello init;
    uint64_t number;
    hand_open(&h, false);
    connect_to_hand(&c, &init, &number);
    hand_advance(&h, 100 * WEFT_NS_PER_MS);
    int sent = (int)h.sent;
    h.now += 20 * WEFT_NS_PER_S;
    hand_advance(&h, WEFT_NS_PER_S);
    assert_int_equal(h.downs, 0);
    assert_in_range(h.sent, sent + 1, sent + 5);
    hand_advance(&h, 6 * WEFT_NS_PER_S);
    assert_int_equal(h.down_status, WEFT_E_TIMEDOUT);
    hand_close(&h);
}

static void handshake__stale_answer_is_asked_for_afresh(void **state) {
    struct conn *c;
    struct wire_hello init, answer = {.status = WIRE_OK,
                                      .version_min = WIRE_VERSION,
                                      .version_max = WIRE_VERSION,
                                      .conn_id = 0x77770001,
                                      .packet_bytes = 1472};
    uint64_t number;
    uint8_t p[WIRE_INIT_BYTES];
    for (int timer_first = 0; timer_first < 2; timer_first++) {
        hand_open(&h, false);
        connect_to_hand(&c, &init, &number);
        h.now += 20 * WEFT_NS_PER_S;
        if (timer_first) hand_advance(&h, 1);
        answer.echo = number;
        hand_raw(&h, p, wire_hello_write(p, WIRE_RESP, init.conn_id, 0, &answer));
        hand_settle(&h);
        assert_int_equal(c->state, CONN_INIT_SENT);
        hand_advance(&h, 100 * WEFT_NS_PER_MS);
        size_t len;
        struct wire_header head;
        const uint8_t *last = hand_last(&h, WIRE_INIT, &len);
        assert_int_equal(wire_header_read(last, len, &head), 0);
        assert_int_not_equal(head.number, number);
        hand_close(&h);
    }
}

static void handshake__refused_only_while_hints_go_on(void **state) {
    struct conn *c;
    struct wire_hello init;
    uint64_t number;
    hand_open(&h, false);
    connect_to_hand(&c, &init, &number);
    engine_peer_lost(h.engine, h.now, &h.link, NULL, true); /* nobody was there, at first */
    hand_advance(&h, 3 * WEFT_NS_PER_S);
    assert_int_equal(h.downs, 0);
    hand_close(&h);
    hand_open(&h, false);
    connect_to_hand(&c, &init, &number);
    for (size_t sent = 0, i = 0; i < 100 && !h.downs; i++) {
        if (h.sent > sent) engine_peer_lost(h.engine, h.now, &h.link, NULL, true); /* after each INIT */
        sent = h.sent;
        hand_advance(&h, 20 * WEFT_NS_PER_MS);
    }
    assert_int_equal(h.downs, 1);
    assert_int_equal(h.down_status, WEFT_E_REFUSED);
    hand_close(&h);
}

static void handshake__a_flood_is_bounded_and_expires(void **state) {
    hand_open(&h, true);
    for (uint32_t i = 1; i <= 5000; i++) hand_init(&h, i, 7);
    assert_int_equal(conns(), CONN_HALF_OPEN_FREE); /* the others were asked for a cookie */
    size_t len;
    assert_non_null(hand_last(&h, WIRE_COOKIE, &len));
    assert_int_equal(len, WIRE_COOKIE_PACKET_BYTES);
    hand_advance(&h, 4 * WEFT_NS_PER_S);
    assert_int_equal(conns(), 0);
    hand_accept(&h);
    assert_int_equal(conns(), 1);
    hand_close(&h);
}

static uint32_t id_given(void) {
    size_t len;
    struct wire_hello hello;
    assert_int_equal(wire_hello_read(hand_last(&h, WIRE_RESP, &len), WIRE_RESP_BYTES, &hello), 0);
    return hello.conn_id;
}

static void handshake__a_slot_used_again_has_another_generation(void **state) {
    hand_open(&h, true);
    hand_init(&h, 1, 7);
    uint32_t first = id_given();
    hand_advance(&h, 4 * WEFT_NS_PER_S); /* half-open ones expire */
    hand_init(&h, 2, 7);
    assert_int_equal(id_given() & 0xffff, first & 0xffff);
    assert_int_equal(id_given() >> 16, ((first >> 16) + 1) & 0xffff);
    hand_close(&h);
    hand_open(&h, true);
    hand_accept(&h);
    first = h.conn_id;
    engine_abort(h.engine, h.now, engine_conn_next(h.engine, NULL), WEFT_E_CLOSED);
    hand_settle(&h);
    hand_init(&h, 3, 7);
    assert_int_not_equal(id_given() & 0xffff, first & 0xffff); /* one that was in use rests first */
    hand_close(&h);
}

static void handshake__a_new_incarnation_retires_the_old(void **state) {
    struct wire_hello hello;
    size_t len;
    hand_open(&h, true);
    hand_accept(&h);
    hand_init(&h, 0x20001, 8);    /* same place, other boot id */
    assert_int_equal(h.downs, 0); /* not before the newcomer has shown that it is there */
    assert_int_equal(wire_hello_read(hand_last(&h, WIRE_RESP, &len), WIRE_RESP_BYTES, &hello), 0);
    h.conn_id = hello.conn_id;
    h.next_number = 0;
    uint8_t ping[WIRE_PING_BYTES];
    hand_packet(&h, WIRE_CTRL, ping, wire_ping_write(ping));
    hand_settle(&h);
    assert_int_equal(h.downs, 1);
    assert_int_equal(h.down_status, WEFT_E_PEER_LOST);
    assert_int_equal(conns(), 1);
    hand_close(&h);
}

/* INIT of the old process, INIT and confirmation of the new one, then a packet of the old one that was long
 * under way: it must not speak for the place any more. */
static void handshake__a_late_packet_does_not_bring_the_old_incarnation_back(void **state) {
    uint8_t ping[WIRE_PING_BYTES];
    size_t len = wire_ping_write(ping);
    hand_open(&h, true);
    hand_init(&h, 0x20001, 8);
    uint32_t old = id_given();
    hand_accept(&h); /* boot id 7 */
    h.conn_id = old;
    h.next_number = 0;
    hand_packet(&h, WIRE_CTRL, ping, len);
    hand_settle(&h);
    assert_int_equal(h.downs, 0);
    assert_int_equal(conns(), 1);
    hand_close(&h);
}

static void handshake__a_repeated_init_keeps_the_half_open_connection(void **state) {
    uint8_t ping[WIRE_PING_BYTES];
    size_t len = wire_ping_write(ping);
    hand_open(&h, true);
    hand_init(&h, 0x20001, 8);
    h.conn_id = id_given();
    hand_advance(&h, 2900 * WEFT_NS_PER_MS);
    hand_init(&h, 0x20001, 8);
    hand_advance(&h, 2900 * WEFT_NS_PER_MS);
    hand_packet(&h, WIRE_CTRL, ping, len);
    assert_int_equal(conns(), 1);
    assert_true(engine_conn_is_up(engine_conn_next(h.engine, NULL)));
    hand_close(&h);
}

/* The last INIT: its id and number. */
static uint64_t last_init(uint32_t *conn_id) {
    struct wire_header head;
    struct wire_hello init;
    size_t len;
    const uint8_t *p = hand_last(&h, WIRE_INIT, &len);
    assert_int_equal(wire_header_read(p, len, &head), 0);
    assert_int_equal(wire_hello_read(p, len, &init), 0);
    *conn_id = init.conn_id;
    return head.number;
}

static void answer_last_init(uint8_t boot) {
    uint8_t p[WIRE_INIT_BYTES];
    uint32_t conn_id;
    struct wire_hello answer = {.status = WIRE_OK,
                                .version_min = WIRE_VERSION,
                                .version_max = WIRE_VERSION,
                                .integrity = WIRE_INTEGRITY_CRC,
                                .conn_id = 0x77770001,
                                .packet_bytes = HAND_PATH_BYTES,
                                .echo = last_init(&conn_id)};
    memset(answer.boot_id, boot, sizeof answer.boot_id);
    hand_raw(&h, p, wire_hello_write(p, WIRE_RESP, conn_id, 0, &answer));
    hand_settle(&h);
}

/* The peer answers and dies, its successor asks for a connection of its own, then the answer arrives. */
static void handshake__an_answer_of_a_former_incarnation_is_asked_for_afresh(void **state) {
    struct conn *c;
    struct wire_hello init;
    uint64_t number;
    uint32_t id;
    hand_open(&h, true);
    connect_to_hand(&c, &init, &number);
    hand_init(&h, 0x20001, 8);
    answer_last_init(7);
    assert_int_equal(c->state, CONN_INIT_SENT);
    hand_advance(&h, WEFT_NS_PER_MS);
    assert_int_not_equal(last_init(&id), number);
    assert_int_not_equal(id, init.conn_id);
    answer_last_init(8);
    assert_int_equal(c->state, CONN_UP);
    hand_close(&h);
}

/* Who makes up incarnations does not keep two sides apart for ever. */
static void handshake__doubts_about_incarnations_end(void **state) {
    struct conn *c;
    struct wire_hello init;
    uint64_t number;
    int answers = 0;
    hand_open(&h, true);
    connect_to_hand(&c, &init, &number);
    for (; c->state == CONN_INIT_SENT && answers < 20; answers++) {
        hand_init(&h, 0x20001 + (uint32_t)answers, (uint8_t)(8 + answers));
        answer_last_init(7);
        hand_advance(&h, WEFT_NS_PER_MS);
    }
    assert_int_equal(c->state, CONN_UP);
    assert_in_range(answers, 2, 10);
    hand_close(&h);
}

static void reset__is_rate_limited_and_never_longer(void **state) {
    uint8_t body[64] = {0};
    hand_open(&h, true);
    h.conn_id = 0x77770001;
    hand_packet(&h, WIRE_CTRL, body, 15); /* 47 bytes: shorter than a RESET */
    assert_int_equal(h.sent, 0);
    for (int i = 0; i < 1000; i++) hand_packet(&h, WIRE_CTRL, body, 32);
    assert_int_equal(h.sent, 100);
    h.now += WEFT_NS_PER_S / 2;
    for (int i = 0; i < 1000; i++) hand_packet(&h, WIRE_CTRL, body, 32);
    assert_in_range(h.sent, 149, 151);
    hand_close(&h);
}

static void reset__is_believed_only_with_an_id_and_number_of_ours(void **state) {
    uint8_t p[WIRE_RESET_BYTES];
    hand_open(&h, true);
    hand_accept(&h);
    hand_advance(&h, 2 * WEFT_NS_PER_S); /* it sends: acknowledgements, a PING */
    hand_raw(&h, p, wire_reset_write(p, &(struct wire_reset){0x10002, 0}));
    hand_raw(&h, p, wire_reset_write(p, &(struct wire_reset){0x10001, 1000000}));
    hand_settle(&h);
    assert_int_equal(h.downs, 0);
    hand_raw(&h, p, wire_reset_write(p, &(struct wire_reset){0x10001, 0}));
    hand_settle(&h);
    assert_int_equal(h.downs, 1);
    assert_int_equal(h.down_status, WEFT_E_PEER_LOST);
    hand_close(&h);
}

/* What came from somewhere else than the connection's peer says nothing about it, however right it looks. */
static void reset__from_another_place_is_not_believed(void **state) {
    static int here, there;
    uint8_t p[WIRE_RESET_BYTES], close[WIRE_CLOSE_BYTES];
    struct adapter_peer *const places[] = {(void *)&there, NULL};
    hand_open(&h, true);
    h.from.peer = (void *)&here;
    hand_accept(&h);
    hand_advance(&h, 2 * WEFT_NS_PER_S);
    for (size_t i = 0; i < 2; i++) {
        h.from.peer = places[i];
        hand_raw(&h, p, wire_reset_write(p, &(struct wire_reset){0x10001, 0}));
        hand_packet(&h, WIRE_CTRL, close, wire_close_write(close, 0));
        hand_settle(&h);
        assert_int_equal(h.downs, 0);
    }
    h.from.peer = (void *)&here;
    hand_raw(&h, p, wire_reset_write(p, &(struct wire_reset){0x10001, 0}));
    hand_settle(&h);
    assert_int_equal(h.downs, 1);
    hand_close(&h);
}

/* The body of a packet closes the connection, with a CLOSE that says why. */
static void breaks(enum wire_type type, const uint8_t *body, size_t len) {
    hand_packet(&h, type, body, len);
    hand_settle(&h);
    assert_int_equal(h.downs, 1);
    assert_int_equal(h.down_status, WEFT_E_PROTO);
    size_t n;
    const uint8_t *p = hand_last(&h, WIRE_CTRL, &n);
    assert_non_null(p);
    hand_close(&h);
}

static void rules__an_unknown_item_closes_a_skippable_one_does_not(void **state) {
    uint8_t body[8] = {0xf0, 0, 4, 0};
    hand_open(&h, true);
    hand_accept(&h);
    hand_packet(&h, WIRE_CTRL, body, sizeof body);
    hand_settle(&h);
    assert_int_equal(h.downs, 0);
    body[0] = 0x70;
    breaks(WIRE_CTRL, body, sizeof body);
}

static void rules__an_item_longer_than_its_packet(void **state) {
    const uint8_t body[8] = {WIRE_ITEM_MSG, 0, 5, 0};
    hand_open(&h, true);
    hand_accept(&h);
    breaks(WIRE_CTRL, body, sizeof body);
}

static void rules__an_acknowledgement_of_what_was_never_sent(void **state) {
    uint8_t body[WIRE_ACK_BYTES_MAX];
    struct wire_ack a = {.largest = 1000, .count = 1, .range = {{1000, 1000}}};
    hand_open(&h, true);
    hand_accept(&h);
    breaks(WIRE_CTRL, body, wire_ack_write(body, &a));
}

static void send_rts(uint64_t data_bytes) {
    uint8_t body[64];
    struct wire_rts r = {.data_bytes = data_bytes, .ref = 0};
    hand_packet(&h, WIRE_CTRL, body, wire_rts_write(body, &r));
    hand_settle(&h);
}

static uint64_t tag_granted(void) {
    size_t len;
    struct wire_item item;
    struct wire_oktosend ok = {0};
    const uint8_t *p = hand_last(&h, WIRE_CTRL, &len);
    assert_non_null(p);
    const uint8_t *at = p + WIRE_HEADER_BYTES;
    len -= WIRE_OVERHEAD_BYTES;
    while (wire_item_next(&at, &len, &item) == 0)
        if (item.type == WIRE_ITEM_OKTOSEND) assert_int_equal(wire_oktosend_read(&item, &ok), 0);
    assert_int_equal(ok.window, 4);
    return ok.tag;
}

static void send_data(uint64_t tag, uint32_t offset, uint16_t length) {
    uint8_t body[WIRE_DATA_BYTES + 1424] = {0};
    wire_data_write(body, &(struct wire_data){tag, offset, length, 0, 1424});
    hand_packet(&h, WIRE_DATA, body, WIRE_DATA_BYTES + length);
    hand_settle(&h);
}

static void data__whole_transfer_then_a_late_copy(void **state) {
    hand_open(&h, true);
    hand_accept(&h);
    send_rts(3000);
    uint64_t tag = tag_granted();
    send_data(tag, 1424, 1424);
    send_data(tag, 0, 1424);
    assert_int_equal(h.data_status, 1);
    send_data(tag, 2848, 152);
    assert_int_equal(h.data_status, 0);
    memset(h.sink, 0xEE, 3000);
    send_data(tag, 0, 1424); /* taken, but stored nowhere */
    for (int i = 0; i < 3000; i++) assert_int_equal(((uint8_t *)h.sink)[i], 0xEE);
    assert_int_equal(h.downs, 0);
    hand_close(&h);
}

static void data__wrong_places_close(void **state) {
    static const struct {
        uint64_t superpacket;
        uint32_t offset;
        uint16_t length;
    } cases[] = {{0, 1, 1424}, {0, 2848, 1424},       {0, 4272, 1},   {0, 0, 1000},
                 {1, 0, 1424}, {0, UINT32_MAX, 1424}, {65535, 0, 100}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hand_open(&h, true);
        hand_accept(&h);
        send_rts(3000);
        send_data(tag_granted() + cases[i].superpacket, cases[i].offset, cases[i].length);
        assert_int_equal(h.downs, 1);
        assert_int_equal(h.down_status, WEFT_E_PROTO);
        assert_int_equal(h.data_status, WEFT_E_PROTO);
        hand_close(&h);
    }
}

/* The newest packet of the engine: whether it carries an item, and which numbers it acknowledges. */
static bool last_has(enum wire_item_type type, struct wire_item *item) {
    size_t len;
    const uint8_t *p = hand_last(&h, WIRE_CTRL, &len), *at = p + WIRE_HEADER_BYTES;
    assert_non_null(p);
    len -= WIRE_OVERHEAD_BYTES;
    while (wire_item_next(&at, &len, item) == 0)
        if (item->type == type) return true;
    return false;
}

static uint64_t newest_acknowledged(void) {
    struct wire_item item;
    struct wire_ack a;
    engine_output_acks(h.engine, h.now);
    assert_true(last_has(WIRE_ITEM_ACK, &item));
    assert_int_equal(wire_ack_read(&item, &a), 0);
    return a.largest;
}

static void cancel__is_told_and_late_data_is_not_stored(void **state) {
    struct wire_item item;
    struct wire_fin fin;
    hand_open(&h, true);
    hand_accept(&h);
    send_rts(3000);
    uint64_t tag = tag_granted();
    send_data(tag, 0, 1424);
    assert_int_equal(engine_cancel(h.engine, h.token + 1), WEFT_E_NOENT);
    assert_int_equal(engine_cancel(h.engine, h.token), 0);
    assert_int_equal(engine_cancel(h.engine, h.token), WEFT_E_NOENT);
    memset(h.sink, 0xEE, 3000);
    hand_settle(&h);
    assert_int_equal(h.data_status, WEFT_E_CANCELED);
    assert_true(last_has(WIRE_ITEM_FIN, &item));
    assert_int_equal(wire_fin_read(&item, &fin), 0);
    assert_int_equal(fin.status, WEFT_E_CANCELED);
    uint64_t fin_number = hand_last_number(&h);
    /* As long as the FIN may be lost, late data is not acknowledged: else it would look complete. */
    uint64_t late = h.next_number;
    send_data(tag, 1424, 1424);
    uint8_t body[WIRE_ACK_BYTES_MAX];
    hand_packet(&h, WIRE_CTRL, body, wire_ping_write(body));
    assert_int_equal(newest_acknowledged(), late + 1);
    struct wire_ack a;
    assert_true(last_has(WIRE_ITEM_ACK, &item));
    assert_int_equal(wire_ack_read(&item, &a), 0);
    assert_int_equal(a.range[0].first, late + 1);
    /* Once the FIN has arrived it is. */
    a = (struct wire_ack){.largest = fin_number, .window_bytes = 1 << 20, .count = 1};
    a.range[0] = (struct wire_ack_range){fin_number, fin_number};
    hand_packet(&h, WIRE_CTRL, body, wire_ack_write(body, &a));
    late = h.next_number;
    send_data(tag, 2848, 152);
    assert_int_equal(newest_acknowledged(), late);
    for (int i = 0; i < 3000; i++) assert_int_equal(((uint8_t *)h.sink)[i], 0xEE);
    assert_int_equal(h.downs, 0);
    hand_close(&h);
}

/* -- the non-zero-copy way -- */

static void send_rts_number(uint64_t n, uint64_t data_bytes, uint8_t flags) {
    uint8_t body[64];
    struct wire_rts r = {.data_bytes = data_bytes, .ref = n, .id = n, .flags = flags};
    hand_packet(&h, WIRE_CTRL, body, wire_rts_write(body, &r));
    hand_settle(&h);
}

/* What the engine answered to the transfer, last. */
static struct wire_oktosend answer_to(uint64_t ref) {
    struct wire_oktosend ok, found = {.window = 0};
    for (size_t i = 0; i < h.out_count; i++) {
        const uint8_t *at = h.out[i] + WIRE_HEADER_BYTES;
        size_t len = h.out_len[i] - WIRE_OVERHEAD_BYTES;
        struct wire_item item;
        if ((h.out[i][0] & 15) != WIRE_CTRL) continue;
        while (wire_item_next(&at, &len, &item) == 0) {
            if (item.type != WIRE_ITEM_OKTOSEND && item.type != WIRE_ITEM_SEND_NORMAL) continue;
            assert_int_equal(wire_oktosend_read(&item, &ok), 0);
            if (ok.ref == ref) found = ok;
        }
    }
    assert_int_not_equal(found.window, 0);
    return found;
}

static void acknowledge_all(void) {
    uint8_t body[WIRE_ACK_BYTES_MAX];
    struct wire_ack a = {.largest = hand_last_number(&h), .window_bytes = 1 << 20, .count = 1};
    a.range[0] = (struct wire_ack_range){0, a.largest};
    hand_packet(&h, WIRE_CTRL, body, wire_ack_write(body, &a));
}

static size_t tags_used(void) {
    struct engine_usage u;
    engine_usage(h.engine, &u);
    return u.tags;
}

static void normal__when_the_table_is_full(void **state) {
    hand_open(&h, true);
    hand_accept(&h);
    for (uint64_t i = 0; i < 70; i++) {
        send_rts_number(i, 100000, 0);
        struct wire_oktosend ok = answer_to(i);
        assert_int_equal(ok.reason, i < 64 ? 0 : WIRE_NORMAL_TABLE_FULL);
        assert_int_equal(h.canceled_zero_copy, i >= 64);
        acknowledge_all();
    }
    assert_int_equal(tags_used(), 64);
    assert_int_equal(engine_cancel(h.engine, h.token), 0); /* one without an entry: gives none back */
    hand_settle(&h);
    assert_int_equal(tags_used(), 64);
    hand_close(&h);
}

static void normal__for_other_reasons(void **state) {
    hand_open(&h, true);
    hand_accept(&h);
    send_rts_number(0, 3000, WIRE_RTS_UNMAPPED);
    assert_int_equal(answer_to(0).reason, WIRE_NORMAL_UNMAPPED);
    assert_true(h.canceled_zero_copy);
    send_rts_number(1, 100, 0);
    assert_int_equal(answer_to(1).reason, WIRE_NORMAL_TOO_SMALL);
    h.unpinned = true;
    send_rts_number(2, 3000, 0);
    assert_int_equal(answer_to(2).reason, WIRE_NORMAL_NO_PIN);
    assert_false(h.canceled_zero_copy); /* known only after the handler */
    h.link.attr.caps = 0;
    send_rts_number(3, 3000, 0);
    assert_int_equal(answer_to(3).reason, WIRE_NORMAL_CAP);
    assert_int_equal(tags_used(), 0);
    uint64_t tag = answer_to(3).tag; /* such data arrives like any other */
    send_data(tag, 0, 1424);
    send_data(tag, 2848, 152);
    assert_int_equal(h.data_status, 1);
    send_data(tag, 1424, 1424);
    assert_int_equal(h.data_status, 0);
    hand_close(&h);
}

static void messages__far_ahead_are_not_taken(void **state) {
    uint8_t body[1200] = {0};
    struct engine_usage u;
    hand_open(&h, true);
    hand_accept(&h);
    for (uint64_t id = 1; id < 40000; id++) { /* number 0 never comes */
        struct wire_msg m = {.id = id, .data_bytes = 1000, .data_here = 1000};
        hand_packet(&h, WIRE_CTRL, body, wire_msg_write(body, &m) + 1000);
        if (id % 64 == 0) hand_settle(&h);
    }
    engine_usage(h.engine, &u);
    assert_true(u.held_bytes <= 8u << 20);
    assert_int_equal(h.headers, 0);
    assert_int_equal(h.downs, 0);
    struct wire_msg m = {.id = 0};
    hand_packet(&h, WIRE_CTRL, body, wire_msg_write(body, &m)); /* the missing one is taken all the same */
    hand_settle(&h);
    assert_true(h.headers > 1000);
    hand_close(&h);
}

static void packets__damaged_or_repeated_ones_do_nothing(void **state) {
    uint8_t p[80] = {0};
    struct wire_msg m = {.data_bytes = 0};
    hand_open(&h, true);
    hand_accept(&h);
    size_t len = WIRE_HEADER_BYTES + wire_msg_write(p + WIRE_HEADER_BYTES, &m) + WIRE_TRAILER_BYTES;
    wire_header_write(p, &(struct wire_header){WIRE_VERSION, WIRE_CTRL, 1, (uint16_t)len, h.conn_id, 5});
    wire_trailer_write(p + len - 16, WIRE_INTEGRITY_CRC, p, len - 16, NULL, 0);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        hand_raw(&h, p, len);
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++) hand_raw(&h, p, cut);
    hand_settle(&h);
    assert_int_equal(h.headers, 0);
    for (int i = 0; i < 3; i++) hand_raw(&h, p, len);
    hand_settle(&h);
    assert_int_equal(h.headers, 1);
    assert_int_equal(h.downs, 0);
    hand_close(&h);
}

/* The acknowledgement of a lone message leaves with its answer, and soon if there is none. */
static void ack__goes_along_with_an_answer(void **state) {
    uint8_t body[64];
    hand_open(&h, true);
    hand_accept(&h);
    hand_settle(&h);
    h.flags = WIRE_ACK_NOW;
    for (uint64_t id = 0; id < 2; id++) {
        struct wire_msg m = {.id = id};
        hand_packet(&h, WIRE_CTRL, body, wire_msg_write(body, &m));
        size_t before = h.sent;
        hand_settle(&h);
        assert_int_equal(h.headers, id + 1);
        assert_int_equal(h.sent, before);
        struct ep_send answer = {.handler = 1};
        if (id == 0)
            assert_int_equal(engine_send(h.engine, h.now, engine_conn_next(h.engine, NULL), &answer), 0);
        else
            hand_advance(&h, RECEIVED_SOON_NS);
        hand_settle(&h);
        assert_int_equal(h.sent, before + 1);
        size_t len;
        const uint8_t *p = hand_last(&h, WIRE_CTRL, &len);
        assert_int_equal(p[WIRE_HEADER_BYTES], WIRE_ITEM_ACK);
        assert_int_equal(len > WIRE_OVERHEAD_BYTES + WIRE_ACK_FIXED_BYTES, id == 0);
        hand_advance(&h, WEFT_NS_PER_US);
        assert_int_equal(h.sent, before + 1);
    }
    /* What the sender certainly waits for is acknowledged at once. */
    size_t before = h.sent;
    hand_packet(&h, WIRE_CTRL, body, wire_ping_write(body));
    hand_settle(&h);
    assert_int_equal(h.sent, before + 1);
    hand_close(&h);
}

/* A patient one neither acknowledges a message before it sleeps, nor asks for that of its own messages. */
static void ack__of_a_patient_side_waits_for_others(void **state) {
    uint8_t body[64];
    size_t len;
    hand_open_patient(&h);
    hand_accept(&h);
    hand_settle(&h);
    engine_output_acks(h.engine, h.now);
    hand_packet(&h, WIRE_CTRL, body, wire_msg_write(body, &(struct wire_msg){0}));
    size_t before = h.sent;
    hand_settle(&h);
    engine_output_acks(h.engine, h.now);
    assert_int_equal(h.headers, 1);
    assert_int_equal(h.sent, before);
    hand_advance(&h, RECEIVED_PATIENT_NS);
    hand_settle(&h);
    assert_int_equal(h.sent, before + 1);
    struct ep_send own = {.handler = 1};
    assert_int_equal(engine_send(h.engine, h.now, engine_conn_next(h.engine, NULL), &own), 0);
    hand_settle(&h);
    assert_int_equal(hand_last(&h, WIRE_CTRL, &len)[1], WIRE_ACK_ELICITING);
    /* The data of a large one follows. */
    before = h.sent;
    hand_packet(&h, WIRE_CTRL, body,
                wire_rts_write(body, &(struct wire_rts){.id = 1, .ref = 1, .data_bytes = 1 << 20}));
    engine_output_acks(h.engine, h.now);
    assert_int_equal(h.sent, before);
    /* Anything else it acknowledges at the latest before it sleeps. */
    hand_packet(&h, WIRE_CTRL, body, wire_ping_write(body));
    before = h.sent;
    engine_output_acks(h.engine, h.now);
    assert_int_equal(h.sent, before + 1);
    hand_close(&h);
}

/* How many packets one call sends of a large message whose receiver is ready. */
static size_t sent_at_once(bool small_before) {
    static uint8_t data[1 << 20];
    uint8_t body[WIRE_OKTOSEND_BYTES];
    hand_open(&h, true);
    hand_accept(&h);
    struct conn *c = engine_conn_next(h.engine, NULL);
    assert_int_equal(
        engine_send(h.engine, h.now, c, &(struct ep_send){.data = data, .data_bytes = sizeof data}), 0);
    hand_settle(&h);
    hand_advance(&h, 3 * WEFT_NS_PER_MS);
    if (small_before) {
        assert_int_equal(engine_send(h.engine, h.now, c, &(struct ep_send){.handler = 1}), 0);
        hand_settle(&h);
    }
    struct wire_oktosend ok = {.tag = wire_tag(1, 1, 0), .window = 16};
    hand_packet(&h, WIRE_CTRL, body, wire_oktosend_write(body, &ok));
    size_t before = h.sent;
    assert_true(engine_output(h.engine, h.now) || !small_before);
    size_t sent = h.sent - before;
    hand_close(&h);
    return sent;
}

/* While small messages are about, bulk leaves a superpacket at a time; else until its window is full. */
static void bulk__gives_way_to_small_messages(void **state) {
    size_t superpacket = WIRE_SUPERPACKET_BYTES / (HAND_PATH_BYTES - 48) + 1;
    assert_in_range(sent_at_once(true), 8, superpacket + 1);
    assert_true(sent_at_once(false) > superpacket + 1);
}

/* `more` holds messages back, but not beyond what leaves at once. */
static void more__leaves_when_a_burst_is_together(void **state) {
    static uint8_t data[4096];
    struct ep_send s = {.data = data, .data_bytes = sizeof data, .more = true};
    hand_open(&h, true);
    hand_accept(&h);
    hand_settle(&h);
    struct conn *c = engine_conn_next(h.engine, NULL);
    size_t before = h.sent;
    for (int i = 0; i < 13; i++) {
        assert_int_equal(engine_send(h.engine, h.now, c, &s), 0);
        assert_true(engine_holds_back(c));
        hand_settle(&h);
        assert_int_equal(h.sent, before);
    }
    assert_int_equal(engine_send(h.engine, h.now, c, &s), 0);
    assert_false(engine_holds_back(c));
    hand_settle(&h);
    assert_true(h.sent > before);
    assert_int_equal(engine_send(h.engine, h.now, c, &s), 0);
    assert_true(engine_holds_back(c));
    hand_close(&h);
}

/* The last parts of messages are filled up, so that all packets but the last can leave as one burst. */
static void burst__is_of_equal_packets(void **state) {
    static uint8_t data[4000]; /* a little less than three packets */
    struct ep_send s = {.data = data, .data_bytes = sizeof data, .more = true};
    hand_open(&h, true);
    hand_accept(&h);
    hand_settle(&h);
    struct conn *c = engine_conn_next(h.engine, NULL);
    h.out_count = 0;
    for (int i = 0; i < 5; i++) assert_int_equal(engine_send(h.engine, h.now, c, &s), 0);
    engine_flush(h.engine, c);
    hand_settle(&h);
    const size_t *len = h.out_len + 1; /* behind an acknowledgement */
    assert_int_equal(h.out_count, 1 + 15);
    for (int i = 0; i < 14; i++) assert_int_equal(len[i], HAND_PATH_BYTES);
    assert_in_range(len[14], HAND_PATH_BYTES * 3 / 4, HAND_PATH_BYTES - 1);
    hand_close(&h);
}

/* ... also of small messages, of which the first takes an acknowledgement along. */
static void burst__of_small_messages_is_of_equal_packets(void **state) {
    static uint8_t header[800];
    uint8_t body[64];
    struct ep_send s = {.header = header, .header_bytes = sizeof header, .more = true};
    hand_open(&h, true);
    hand_accept(&h);
    hand_settle(&h);
    hand_packet(&h, WIRE_CTRL, body, wire_msg_write(body, &(struct wire_msg){0}));
    struct conn *c = engine_conn_next(h.engine, NULL);
    h.out_count = 0;
    for (int i = 0; i < 5; i++) assert_int_equal(engine_send(h.engine, h.now, c, &s), 0);
    engine_flush(h.engine, c);
    hand_settle(&h);
    assert_int_equal(h.out_count, 5);
    assert_int_equal(h.out[0][WIRE_HEADER_BYTES], WIRE_ITEM_ACK);
    for (int i = 1; i < 4; i++) assert_int_equal(h.out_len[i], h.out_len[0]);
    assert_in_range(h.out_len[4], sizeof header, h.out_len[0] - 1);
    hand_close(&h);
}

static void engine__random_input(void **state) {
    uint64_t random = 1;
    for (int round = 0; round < 3000; round++) {
        uint8_t input[2048];
        for (size_t i = 0; i < sizeof input; i++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            input[i] = (uint8_t)(random >> 40);
            if (random >> 60 < 9) input[i] &= 7; /* small values reach deeper */
        }
        LLVMFuzzerTestOneInput(input, (size_t)(random >> 33) % sizeof input);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake__accepts),
        cmocka_unit_test(handshake__answer_is_not_longer_than_the_question),
        cmocka_unit_test(handshake__other_version_is_told_ours),
        cmocka_unit_test(handshake__refusals_have_codes),
        cmocka_unit_test(handshake__silence_times_out),
        cmocka_unit_test(handshake__time_not_run_is_no_silence),
        cmocka_unit_test(handshake__stale_answer_is_asked_for_afresh),
        cmocka_unit_test(handshake__refused_only_while_hints_go_on),
        cmocka_unit_test(handshake__a_flood_is_bounded_and_expires),
        cmocka_unit_test(handshake__a_slot_used_again_has_another_generation),
        cmocka_unit_test(handshake__a_new_incarnation_retires_the_old),
        cmocka_unit_test(handshake__a_late_packet_does_not_bring_the_old_incarnation_back),
        cmocka_unit_test(handshake__an_answer_of_a_former_incarnation_is_asked_for_afresh),
        cmocka_unit_test(handshake__doubts_about_incarnations_end),
        cmocka_unit_test(handshake__a_repeated_init_keeps_the_half_open_connection),
        cmocka_unit_test(reset__is_rate_limited_and_never_longer),
        cmocka_unit_test(reset__is_believed_only_with_an_id_and_number_of_ours),
        cmocka_unit_test(reset__from_another_place_is_not_believed),
        cmocka_unit_test(rules__an_unknown_item_closes_a_skippable_one_does_not),
        cmocka_unit_test(rules__an_item_longer_than_its_packet),
        cmocka_unit_test(rules__an_acknowledgement_of_what_was_never_sent),
        cmocka_unit_test(data__whole_transfer_then_a_late_copy),
        cmocka_unit_test(data__wrong_places_close),
        cmocka_unit_test(cancel__is_told_and_late_data_is_not_stored),
        cmocka_unit_test(normal__when_the_table_is_full),
        cmocka_unit_test(normal__for_other_reasons),
        cmocka_unit_test(messages__far_ahead_are_not_taken),
        cmocka_unit_test(packets__damaged_or_repeated_ones_do_nothing),
        cmocka_unit_test(ack__goes_along_with_an_answer),
        cmocka_unit_test(ack__of_a_patient_side_waits_for_others),
        cmocka_unit_test(bulk__gives_way_to_small_messages),
        cmocka_unit_test(more__leaves_when_a_burst_is_together),
        cmocka_unit_test(burst__is_of_equal_packets),
        cmocka_unit_test(burst__of_small_messages_is_of_equal_packets),
        cmocka_unit_test(engine__random_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
