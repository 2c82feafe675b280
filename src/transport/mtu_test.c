/* What a path carries: found out without harm, lost when the path shrinks, found again. */
#include "base/counter.h"
#include "base/error.h"
#include "base/test.h"
#include "transport/conn.h"
#include "transport/duo.h"

#include <string.h>

static struct duo d;
static size_t path_bytes; /* larger packets vanish */
static unsigned vanish;   /* so many of the next large ones do in any case */
static size_t largest;    /* DATA or CTRL that was seen since somebody set this to 0 */

static bool pass(struct duo *duo, struct duo_packet *p) {
    unsigned type = p->data[0] & 15;
    if (type != WIRE_PROBE && p->len > largest) largest = p->len;
    if (p->len > WIRE_PATH_MIN && vanish) {
        vanish--;
        return false;
    }
    return p->len <= path_bytes;
}

static void open_duo(size_t bytes) {
    path_bytes = bytes;
    vanish = 0;
    duo_open(&d, &(struct duo_config){.caps = ADAPTER_CAP_METHOD1});
    d.filter = pass;
    duo_connect(&d);
    duo_advance(&d, 20 * WEFT_NS_PER_MS);
    largest = 0;
}

/* A message arrives, and how large its packets were. */
static size_t sent_in_packets_of(size_t data_bytes) {
    int before = d.side[1].datas, sents = d.side[0].sents;
    largest = 0;
    duo_send(&d, 0, data_bytes);
    duo_advance(&d, WEFT_NS_PER_S);
    assert_int_equal(d.side[1].datas, before + 1);
    assert_int_equal(d.side[0].sents, sents + 1);
    assert_int_equal(d.side[0].send_status, 0);
    if (data_bytes > 16384) assert_true(duo_has(&d, 1, data_bytes));
    assert_false(d.side[1].bad_data);
    assert_int_equal(d.side[0].downs + d.side[1].downs, 0);
    return largest;
}

static void path__that_carries_all_is_used_at_once(void **state) {
    open_duo(DUO_PACKET_BYTES);
    assert_int_equal(sent_in_packets_of(300000), DUO_PACKET_BYTES);
    assert_int_equal(sent_in_packets_of(10000), DUO_PACKET_BYTES);
    duo_close(&d);
}

static void path__that_carries_little_loses_only_questions(void **state) {
    uint64_t lost = weft_counter_named("transport_packets_lost"),
             probes = weft_counter_named("transport_probe_timeouts");
    uint32_t window;
    open_duo(1300);
    window = d.side[0].conn->cwnd.packets;
    assert_int_equal(sent_in_packets_of(300000), WIRE_PATH_MIN);
    assert_int_equal(sent_in_packets_of(16000), WIRE_PATH_MIN);
    assert_int_equal(weft_counter_named("transport_packets_lost"), lost);
    assert_int_equal(weft_counter_named("transport_probe_timeouts"), probes);
    assert_true(d.side[0].conn->cwnd.packets >= window);
    uint64_t asked = weft_counter_named("transport_path_questions");
    duo_advance(&d, 60 * WEFT_NS_PER_S); /* not forever, and ever more seldom */
    assert_in_range(weft_counter_named("transport_path_questions") - asked, 2, 2 * 8);
    duo_close(&d);
}

static void path__that_shrinks_costs_moments(void **state) {
    uint64_t shrank = weft_counter_named("transport_path_shrank");
    open_duo(DUO_PACKET_BYTES);
    duo_send(&d, 0, 1 << 20); /* its first packets are under way … */
    engine_output(d.side[0].engine, d.now);
    path_bytes = 1250;
    uint64_t since = d.now;
    while (d.side[0].sents == 0 && d.now - since < 2 * WEFT_NS_PER_S) duo_advance(&d, WEFT_NS_PER_MS);
    assert_int_equal(d.side[0].sents, 1); /* … and it arrives all the same */
    assert_in_range(d.now - since, 0, 500 * WEFT_NS_PER_MS);
    assert_true(duo_has(&d, 1, 1 << 20));
    assert_in_range(weft_counter_named("transport_path_shrank"), shrank + 1, shrank + 2);
    assert_int_equal(sent_in_packets_of(16000), WIRE_PATH_MIN);
    path_bytes = DUO_PACKET_BYTES;
    duo_advance(&d, 4 * WEFT_NS_PER_S);
    assert_int_equal(sent_in_packets_of(300000), DUO_PACKET_BYTES); /* wide again */
    duo_close(&d);
}

static void path__that_shrinks_under_eager_messages(void **state) {
    open_duo(DUO_PACKET_BYTES);
    for (int i = 0; i < 20; i++) duo_send(&d, 0, 16000); /* cut for the large packets that were allowed */
    path_bytes = 1210;
    duo_advance(&d, 2 * WEFT_NS_PER_S);
    assert_int_equal(d.side[1].datas, 20);
    assert_int_equal(d.side[0].sents, 20);
    assert_false(d.side[1].bad_data);
    assert_int_equal(d.side[0].downs + d.side[1].downs, 0);
    struct engine_usage u;
    engine_usage(d.side[0].engine, &u);
    assert_int_equal(u.txs, 0);
    duo_close(&d);
}

static void path__false_alarm_does_not_stick(void **state) {
    uint64_t shrank = weft_counter_named("transport_path_shrank");
    open_duo(DUO_PACKET_BYTES);
    vanish = 200;
    duo_send(&d, 0, 300000);
    duo_advance(&d, 300 * WEFT_NS_PER_MS);
    assert_int_equal(weft_counter_named("transport_path_shrank"), shrank + 1);
    vanish = 0;
    duo_advance(&d, 2 * WEFT_NS_PER_S);
    assert_int_equal(sent_in_packets_of(300000), DUO_PACKET_BYTES);
    duo_close(&d);
}

/* Ordinary loss takes small and large packets alike. */
static bool lose_some(struct duo *duo, struct duo_packet *p) {
    static uint64_t random = 1;
    random = random * 6364136223846793005ull + 1442695040888963407ull;
    return random >> 33 & 3;
}

static void path__loss_is_no_black_hole(void **state) {
    uint64_t shrank = weft_counter_named("transport_path_shrank");
    open_duo(DUO_PACKET_BYTES);
    d.filter = lose_some;
    for (int i = 0; i < 20; i++) duo_send(&d, 0, 300000);
    duo_advance(&d, 20 * WEFT_NS_PER_S);
    assert_int_equal(d.side[1].datas, 20);
    assert_int_equal(weft_counter_named("transport_path_shrank"), shrank);
    duo_close(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path__that_carries_all_is_used_at_once),
        cmocka_unit_test(path__that_carries_little_loses_only_questions),
        cmocka_unit_test(path__that_shrinks_costs_moments),
        cmocka_unit_test(path__that_shrinks_under_eager_messages),
        cmocka_unit_test(path__false_alarm_does_not_stick),
        cmocka_unit_test(path__loss_is_no_black_hole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
