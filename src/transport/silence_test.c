/* A silent peer: how long it may be, while it owes an answer and while it owes none. */
#include "base/clock.h"
#include "base/error.h"
#include "base/test.h"
#include "transport/duo.h"

static struct duo d;

static bool nothing_arrives(struct duo *duo, struct duo_packet *p) { return false; }

static void open_duo(void) {
    duo_open(&d, &(struct duo_config){.caps = ADAPTER_CAP_METHOD1});
    duo_connect(&d);
    duo_advance(&d, WEFT_NS_PER_S);
    assert_int_equal(d.side[0].ups, 1);
}

static void silence__ends_who_owes_an_answer(void **state) {
    open_duo();
    d.filter = nothing_arrives;
    duo_send(&d, 0, 100);
    duo_advance(&d, 1900 * WEFT_NS_PER_MS);
    assert_int_equal(d.side[0].downs, 0);
    duo_advance(&d, 200 * WEFT_NS_PER_MS);
    assert_int_equal(d.side[0].down_status, WEFT_E_PEER_LOST);
    assert_int_equal(d.side[0].send_status, WEFT_E_PEER_LOST);
    duo_close(&d);
}

/* Its time begins when there is something to answer, however long nothing was heard before. */
static void silence__before_the_question_is_not_held_against_it(void **state) {
    open_duo();
    d.filter = nothing_arrives;
    duo_advance(&d, 5 * WEFT_NS_PER_S);
    duo_send(&d, 0, 100);
    duo_advance(&d, 1500 * WEFT_NS_PER_MS);
    assert_int_equal(d.side[0].downs, 0);
    d.filter = NULL;
    duo_advance(&d, WEFT_NS_PER_S);
    assert_int_equal(d.side[1].datas, 1);
    assert_int_equal(d.side[0].sents, 1);
    assert_int_equal(d.side[0].send_status, 0);
    assert_int_equal(d.side[0].downs + d.side[1].downs, 0);
    d.filter = nothing_arrives;
    duo_advance(&d, 5 * WEFT_NS_PER_S);
    duo_send(&d, 0, 100);
    duo_advance(&d, 2100 * WEFT_NS_PER_MS);
    assert_int_equal(d.side[0].down_status, WEFT_E_PEER_LOST);
    duo_close(&d);
}

static void silence__of_an_idle_peer_ends_it_late(void **state) {
    open_duo();
    d.filter = nothing_arrives;
    duo_advance(&d, 8 * WEFT_NS_PER_S);
    assert_int_equal(d.side[0].downs, 0);
    duo_advance(&d, 2 * WEFT_NS_PER_S);
    assert_int_equal(d.side[0].down_status, WEFT_E_PEER_LOST);
    duo_close(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(silence__ends_who_owes_an_answer),
                                       cmocka_unit_test(silence__before_the_question_is_not_held_against_it),
                                       cmocka_unit_test(silence__of_an_idle_peer_ends_it_late)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
