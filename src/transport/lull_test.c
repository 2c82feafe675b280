/* How long is polled for what comes soon, late, and now and then. */
#include "transport/lull.h"

#include "base/test.h"

/* So many lulls of that length; returns how many of them were polled through, in vain or not. */
static unsigned pass(struct lull *l, unsigned count, uint64_t ns) {
    unsigned polled = 0;
    for (unsigned i = 0; i < count; i++) {
        polled += lull_poll_ns(l) > 0;
        lull_ended(l, ns);
    }
    return polled;
}

static void lull__who_has_not_waited_yet_sleeps(void **unused) {
    struct lull l;
    lull_init(&l);
    assert_int_equal(lull_poll_ns(&l), 0);
}

static void lull__short_ones_are_polled_through(void **unused) {
    struct lull l;
    lull_init(&l);
    pass(&l, 8, 40 * WEFT_NS_PER_US);
    assert_int_equal(lull_poll_ns(&l), LULL_POLL_NS);
    assert_int_equal(pass(&l, 1000, 40 * WEFT_NS_PER_US), 1000);
}

/* What the wake-ups themselves make long ends once it is polled. */
static void lull__little_longer_ones_are_tried(void **unused) {
    struct lull l;
    lull_init(&l);
    assert_true(pass(&l, 16, 250 * WEFT_NS_PER_US) > 0);
    lull_init(&l);
    assert_int_equal(pass(&l, 1000, 350 * WEFT_NS_PER_US), 0);
}

static void lull__a_long_one_ends_it(void **unused) {
    struct lull l;
    lull_init(&l);
    pass(&l, 20, 10 * WEFT_NS_PER_US);
    lull_ended(&l, 10 * WEFT_NS_PER_S);
    assert_int_equal(lull_poll_ns(&l), 0);
    assert_int_equal(pass(&l, 2, 10 * WEFT_NS_PER_US), 0);
    assert_int_equal(pass(&l, 8, 10 * WEFT_NS_PER_US) > 0, 1); /* however long it was */
}

/* At most one in five, of lulls that polling always misses by a little. */
static void lull__polling_in_vain_is_rare(void **unused) {
    struct lull l;
    lull_init(&l);
    unsigned polled = pass(&l, 5000, LULL_POLL_NS + 1);
    assert_true(polled > 0 && polled <= 1000);
}

static void lull__what_comes_now_and_then_is_slept_for(void **unused) {
    struct lull l;
    lull_init(&l);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(pass(&l, 2, 20 * WEFT_NS_PER_US), 0);
        lull_ended(&l, WEFT_NS_PER_S);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lull__who_has_not_waited_yet_sleeps),
        cmocka_unit_test(lull__short_ones_are_polled_through),
        cmocka_unit_test(lull__little_longer_ones_are_tried),
        cmocka_unit_test(lull__a_long_one_ends_it),
        cmocka_unit_test(lull__polling_in_vain_is_rare),
        cmocka_unit_test(lull__what_comes_now_and_then_is_slept_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
