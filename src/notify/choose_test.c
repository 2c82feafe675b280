/* WEFT_AUTO. */
#include "base/test.h"
#include "notify/internal.h"

static enum weft_mechanism chosen(double rate, double busy, int computes, int handler) {
    struct weft_notify_load l = {
        .rate_per_s = rate, .busy = busy, .computes = computes, .has_handler = handler};
    return weft_notify_choose(&l);
}

static void choose__by_load_and_rate(void **state) {
    assert_int_equal(chosen(0, 0, 1, 0), WEFT_LOCK_RELEASE);
    assert_int_equal(chosen(1e6, 1, 0, 0), WEFT_LOCK_RELEASE);
    assert_int_equal(chosen(0, 0, 1, 1), WEFT_BRANCH);
    assert_int_equal(chosen(1000, 0, 1, 1), WEFT_BRANCH);
    assert_int_equal(chosen(1e6, 0, 1, 1), WEFT_THREAD_DISPATCH);
    assert_int_equal(chosen(1e6, 1, 1, 1), WEFT_BRANCH);
    assert_int_equal(chosen(1000, 0, 0, 1), WEFT_THREAD_DISPATCH);
    struct weft_notify_load slow = {.handler_ns = 1e6, .computes = 1, .has_handler = 1};
    assert_int_equal(weft_notify_choose(&slow), WEFT_THREAD_DISPATCH);
}

static enum weft_mechanism descriptor(const struct weft_notify_load *l) { return WEFT_DESCRIPTOR; }

static void chooser__another_rule_that_fits(void **state) {
    weft_notify_set_chooser(descriptor);
    assert_int_equal(chosen(0, 0, 1, 0), WEFT_DESCRIPTOR);
    assert_int_equal(chosen(0, 0, 1, 1), WEFT_BRANCH); /* a descriptor calls no handlers */
    weft_notify_set_chooser(NULL);
    assert_int_equal(chosen(0, 0, 1, 0), WEFT_LOCK_RELEASE);
}

static void create__takes_what_was_chosen(void **state) {
    struct weft_notifier_config cfg;
    struct weft_notifier *to;
    weft_notifier_config_init(&cfg);
    cfg.load.computes = cfg.handlers = 1;
    cfg.load.busy = 0;
    assert_int_equal(weft_notifier_create(&to, &cfg), 0);
    assert_int_equal(weft_notifier_mechanism(to), WEFT_BRANCH);
    weft_notifier_destroy(to);
    cfg.handlers = 0;
    assert_int_equal(weft_notifier_create(&to, &cfg), 0);
    assert_int_equal(weft_notifier_mechanism(to), WEFT_LOCK_RELEASE);
    weft_notifier_destroy(to);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(choose__by_load_and_rate),
                                       cmocka_unit_test(chooser__another_rule_that_fits),
                                       cmocka_unit_test(create__takes_what_was_chosen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
