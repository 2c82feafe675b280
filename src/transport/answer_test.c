/* What is answered soon: acknowledgements come with the answer, data leaves with its header in as few
 * datagrams as it takes, and nothing is acknowledged on its own while more is there to be looked at. */
#include "base/counter.h"
#include "base/error.h"
#include "base/test.h"
#include "transport/hand_peer.h"
#include "transport/received.h"

#include <string.h>

#define CHUNK 1424u
#define BYTES 3000u /* few packets: every sixteenth is acknowledged at once */

static struct hand h;

/* ---- one engine, its neighbour by hand ---- */

/* All chunks of a message, with these flags. */
static void take_data(uint64_t tag, uint16_t flags) {
    uint8_t body[WIRE_DATA_BYTES + CHUNK] = {0};
    for (uint32_t at = 0; at < BYTES; at += CHUNK) {
        uint16_t length = (uint16_t)(BYTES - at < CHUNK ? BYTES - at : CHUNK);
        wire_data_write(body, &(struct wire_data){tag, at, length, flags, CHUNK});
        hand_packet(&h, WIRE_DATA, body, WIRE_DATA_BYTES + length);
    }
    hand_settle(&h);
    assert_int_equal(h.data_status, 0);
}

static void take_header(uint64_t staged) {
    uint8_t body[WIRE_RTS_BYTES];
    struct wire_rts rts = {.data_bytes = BYTES, .staged = staged};
    hand_packet(&h, WIRE_CTRL, body, wire_rts_write(body, &rts));
    hand_settle(&h);
}

/* A whole message of Method 2. */
static void take_message(uint16_t flags) {
    take_header(1);
    take_data(wire_tag(WIRE_TAG_STAGED, 0, 0), flags);
}

/* The tag that data was asked for with. */
static uint64_t asked_tag(void) {
    size_t len;
    const uint8_t *p = hand_last(&h, WIRE_CTRL, &len) + WIRE_HEADER_BYTES;
    size_t left = len - WIRE_OVERHEAD_BYTES;
    struct wire_item item;
    struct wire_oktosend o;
    while (wire_item_next(&p, &left, &item) == 0)
        if (item.type == WIRE_ITEM_OKTOSEND && wire_oktosend_read(&item, &o) == 0) return o.tag;
    fail();
    return 0;
}

static void data__is_acknowledged_when_all_is_there(void **state) {
    hand_open_patient(&h);
    hand_accept(&h);
    hand_advance(&h, WEFT_NS_PER_MS);
    size_t before = h.sent;
    take_message(0);
    assert_int_equal(h.sent, before + 1);
    hand_close(&h);
}

static void data__that_is_answered_is_acknowledged_with_the_answer(void **state) {
    hand_open_patient(&h);
    hand_accept(&h);
    hand_advance(&h, WEFT_NS_PER_MS);
    size_t before = h.sent;
    take_message(WIRE_DATA_ANSWERED);
    engine_output_acks(h.engine, h.now); /* it sleeps */
    assert_int_equal(h.sent, before);
    hand_advance(&h, RECEIVED_PATIENT_NS); /* no answer comes */
    assert_int_equal(h.sent, before + 1);
    hand_close(&h);
}

static void data__that_was_asked_for_is_no_different(void **state) {
    for (uint16_t flags = 0; flags <= WIRE_DATA_ANSWERED; flags += WIRE_DATA_ANSWERED) {
        hand_open_patient(&h);
        hand_accept(&h);
        take_header(0);
        uint64_t tag = asked_tag();
        hand_advance(&h, WEFT_NS_PER_MS);
        size_t before = h.sent;
        take_data(tag, flags);
        engine_output_acks(h.engine, h.now);
        assert_int_equal(h.sent, before + (flags ? 0 : 1));
        hand_advance(&h, RECEIVED_PATIENT_NS);
        assert_int_equal(h.sent, before + 1);
        hand_close(&h);
    }
}

/* Whoever answers at once has no reason to wait once it sleeps. */
static void data__that_is_answered_is_acknowledged_before_others_sleep(void **state) {
    hand_open(&h, true);
    hand_accept(&h);
    hand_advance(&h, WEFT_NS_PER_MS);
    size_t before = h.sent;
    take_message(WIRE_DATA_ANSWERED);
    assert_int_equal(h.sent, before);
    engine_output_acks(h.engine, h.now);
    assert_int_equal(h.sent, before + 1);
    hand_close(&h);
}

/* The last packet of a large message. */
static const uint8_t *send_message(bool answered) {
    static const uint8_t data[20000];
    size_t len;
    hand_open(&h, true);
    hand_accept(&h);
    struct ep_send s = {.data = data, .data_bytes = sizeof data, .answered = answered};
    assert_int_equal(engine_send(h.engine, h.now, engine_conn_next(h.engine, NULL), &s), 0);
    hand_settle(&h);
    return hand_last(&h, WIRE_DATA, &len);
}

static void engine_send__says_that_it_will_be_answered(void **state) {
    struct wire_data d;
    for (int answered = 0; answered < 2; answered++) {
        const uint8_t *last = send_message(answered);
        wire_data_read(last + WIRE_HEADER_BYTES, &d);
        assert_int_equal(d.flags, answered ? WIRE_DATA_ANSWERED : 0);
        assert_int_equal(last[1], WIRE_ACK_ELICITING | (answered ? 0 : WIRE_ACK_NOW));
        hand_close(&h);
    }
}

/* ---- what is not asked for at once ---- */

/* A small message that will be answered; the flags of its packet. */
static uint8_t send_small(void) {
    size_t len;
    uint64_t word = 1;
    struct ep_send s = {.header = &word, .header_bytes = sizeof word};
    assert_int_equal(engine_send(h.engine, h.now, engine_conn_next(h.engine, NULL), &s), 0);
    hand_settle(&h);
    return hand_last(&h, WIRE_CTRL, &len)[1];
}

/* Acknowledges the packet that came last, and those up to `first`. */
static void acknowledge_last(uint64_t first) {
    uint8_t body[WIRE_ACK_BYTES_MAX];
    struct wire_ack a = {.largest = hand_last_number(&h), .window_bytes = 1 << 20, .count = 1};
    bool gap = first + 1 < a.largest;
    a.range[0] = (struct wire_ack_range){gap ? a.largest : 0, a.largest};
    if (gap) a.range[a.count++] = (struct wire_ack_range){0, first};
    hand_packet(&h, WIRE_CTRL, body, wire_ack_write(body, &a));
    hand_settle(&h);
}

/* A connection that knows how long a round trip takes. */
static void open_late(uint64_t features) {
    hand_open_patient(&h);
    h.features = features;
    hand_accept(&h);
    hand_advance(&h, WEFT_NS_PER_MS);
    assert_int_equal(send_small() & WIRE_ACK_NOW, 0);
    hand_advance(&h, 10 * WEFT_NS_PER_US);
    acknowledge_last(hand_last_number(&h) - 1);
}

static void program__that_looks_now_and_then_is_given_time(void **state) {
    for (int late = 0; late < 2; late++) {
        open_late(late ? WIRE_FEATURE_LATE_ACKS : 0);
        assert_int_equal(send_small() & WIRE_ACK_NOW, 0);
        uint64_t before = weft_counter_named("transport_probe_timeouts");
        hand_advance(&h, 1500 * WEFT_NS_PER_US);
        bool probed = weft_counter_named("transport_probe_timeouts") > before;
        assert_int_equal(probed, !late);
        hand_advance(&h, 2 * WEFT_NS_PER_MS);
        assert_true(weft_counter_named("transport_probe_timeouts") > before);
        hand_close(&h);
    }
}

static void loss__makes_it_ask_at_once_for_a_while(void **state) {
    open_late(WIRE_FEATURE_LATE_ACKS);
    uint64_t first = hand_last_number(&h);
    for (int i = 0; i < 3; i++) assert_int_equal(send_small() & WIRE_ACK_NOW, 0);
    hand_advance(&h, 100 * WEFT_NS_PER_US);
    acknowledge_last(first);
    hand_advance(&h, 100 * WEFT_NS_PER_US);
    assert_int_equal(send_small() & WIRE_ACK_NOW, WIRE_ACK_NOW);
    acknowledge_last(hand_last_number(&h) - 1);
    hand_advance(&h, 1100 * WEFT_NS_PER_MS);
    assert_int_equal(send_small() & WIRE_ACK_NOW, 0);
    hand_close(&h);
}

/* ---- two endpoints over udp, without other threads ---- */

static struct ep *from, *to;
static struct ep_peer *peer;
static int received;

static void on_header(void *ctx, struct ep_peer *p, const struct ep_msg *m, struct ep_sink *sink) {
    static uint8_t room[1 << 20];
    received++;
    *sink = (struct ep_sink){.buf = room};
}

static struct ep *open_endpoint(const uint8_t *key) {
    struct ep *ep;
    struct ep_config cfg = {
        .adapters = "udp", .accept = true, .no_thread = true, .key = key, .security = key ? "aes" : NULL};
    cfg.handlers[1] = (struct ep_handler){on_header, NULL};
    assert_int_equal(ep_open(&ep, &cfg), 0);
    return ep;
}

static void send_bytes(const void *data, size_t bytes) {
    struct ep_send s = {.handler = 1, .data = data, .data_bytes = bytes};
    assert_int_equal(ep_send(peer, &s), 0);
}

static void progress(int rounds) {
    for (int i = 0; i < rounds; i++) {
        ep_progress(from);
        ep_progress(to);
    }
}

/* Until the path has answered that it carries the largest packets, and nothing is owed. */
static void open_pair(const uint8_t *key) {
    uint8_t address[EP_ADDRESS_MAX];
    size_t len = sizeof address;
    from = open_endpoint(key);
    to = open_endpoint(key);
    received = 0;
    assert_int_equal(ep_address(to, address, &len), 0);
    assert_int_equal(ep_connect(from, address, len, NULL, &peer), 0);
    uint64_t until = weft_now_ns() + 50 * WEFT_NS_PER_MS * TEST_SLOWDOWN;
    while (!ep_peer_is_up(peer) || weft_now_ns() < until) progress(1);
    assert_true(ep_peer_is_up(peer));
}

static void close_pair(void) {
    ep_close(from, 0);
    ep_close(to, 0);
}

struct leaving {
    size_t bytes;
    unsigned datagrams, packets;
};

/* A small message just before: then the engine looks at the socket after each superpacket. */
static void check_leaving(const struct leaving *l) {
    static const uint8_t data[2 * 61440 + 1];
    int before = received;
    assert_true(l->bytes <= sizeof data);
    send_bytes(NULL, 0);
    progress(1000);
    uint64_t sends = weft_counter_named("udp_sends"), packets = weft_counter_named("udp_packets_sent");
    send_bytes(data, l->bytes);
    assert_int_equal(weft_counter_named("udp_sends") - sends, l->datagrams);
    assert_int_equal(weft_counter_named("udp_packets_sent") - packets, l->packets);
    progress(1000);
    assert_int_equal(received, before + 2);
}

static void ep_send__data_leaves_with_its_header_in_few_datagrams(void **state) {
    static const struct leaving sizes[] = {{50000, 1, 2}, {65536, 2, 3}, {2 * 61440 + 1, 3, 4}};
    open_pair(NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) check_leaving(&sizes[i]);
    close_pair();
}

/* Who waits is woken by the header, while the data is encrypted. */
static void ep_send__headers_go_before_encrypted_data(void **state) {
    static const uint8_t key[EP_KEY_BYTES] = "the key of two endpoints .......";
    open_pair(key);
    check_leaving(&(struct leaving){50000, 2, 2});
    close_pair();
}

static void ep_prepare_sleep__first_takes_what_is_there(void **state) {
    open_pair(NULL);
    send_bytes(NULL, 0);
    while (received < 1) ep_progress(to);
    send_bytes(NULL, 0);
    uint64_t acks = weft_counter_named("transport_acks_sent");
    assert_false(ep_prepare_sleep(to));
    assert_int_equal(weft_counter_named("transport_acks_sent"), acks);
    while (received < 2) ep_progress(to);
    while (!ep_prepare_sleep(to)) ep_progress(to);
    assert_true(weft_counter_named("transport_acks_sent") > acks);
    close_pair();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data__is_acknowledged_when_all_is_there),
        cmocka_unit_test(data__that_is_answered_is_acknowledged_with_the_answer),
        cmocka_unit_test(data__that_was_asked_for_is_no_different),
        cmocka_unit_test(data__that_is_answered_is_acknowledged_before_others_sleep),
        cmocka_unit_test(engine_send__says_that_it_will_be_answered),
        cmocka_unit_test(program__that_looks_now_and_then_is_given_time),
        cmocka_unit_test(loss__makes_it_ask_at_once_for_a_while),
        cmocka_unit_test(ep_send__data_leaves_with_its_header_in_few_datagrams),
        cmocka_unit_test(ep_send__headers_go_before_encrypted_data),
        cmocka_unit_test(ep_prepare_sleep__first_takes_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
