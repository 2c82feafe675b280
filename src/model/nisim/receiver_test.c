/* Tests of the model of a receiver: what each term does, and to which arrivals. */
#include "base/test.h"
#include "model/nisim/receiver.h"

#include <math.h>

static double us(const char *way, bool other_cpu, bool busy, bool far, double rate) {
    struct nisim_receiver r;
    nisim_receiver_default(&r);
    r.term[NISIM_TERM_COLD] = 1e-9;
    struct nisim_arrivals a = {nisim_way_find(way), other_cpu, busy, far, rate};
    assert_true(a.way >= 0);
    return nisim_receiver_us(&r, &a);
}

static void near_us(double is, double wanted) {
    if (fabs(is - wanted) > 0.01 * wanted) fail_msg("%g us, not %g", is, wanted);
}

/* The defaults: a path of 5 us, an interrupt of 5, 3 to switch, 8 out of the idle state. */
static void receiver_us__is_the_sum_of_what_is_passed(void **state) {
    near_us(us("futex", false, false, false, 1e3), 5);
    near_us(us("futex", false, true, false, 1e3), 5);
    near_us(us("signal", false, true, false, 1e3), 5 * 1.2);
    near_us(us("futex", true, true, false, 1e3), 5 + 5 + 3);
    near_us(us("signal", true, true, false, 1e3), 5 + 5);
    near_us(us("futex", true, false, false, 1e3), 5 + 5 + 8);
    near_us(us("futex", true, false, true, 1e3), 1.3 * (5 + 5 + 8));
}

static void receiver_us__idle_deepens_with_the_gap(void **state) {
    double last = us("futex", true, false, false, 1e3);
    for (double rate = 1e4; rate < 8e4; rate *= 1.5) {
        double next = us("futex", true, false, false, rate);
        assert_true(next < last && next > 10);
        last = next;
    }
}

/* One arrival in 1 us and passes of 5: each waits for the rest of the one that is on and for its own. */
static void receiver_us__who_is_awake_is_not_woken(void **state) {
    double often = us("futex", true, true, false, 1e6);
    assert_true(often > 5 && often < 10);
    near_us(us("thread-create", true, true, false, 1e6), 13); /* one at a time: woken each time */
}

static void receiver_us__spins_while_the_next_comes_within_a_wake_up(void **state) {
    near_us(us("spin", true, false, false, 1e3), 0.08);
    near_us(us("spin", true, false, true, 1e3), 3 * 0.08);
    near_us(us("lock", true, true, false, 1e6), 0.08);
    near_us(us("dispatch-spin", true, false, false, 1e6), 2 * 0.08);
    near_us(us("lock", true, false, false, 1e3), us("lock-asleep", true, false, false, 1e3));
    near_us(us("lock", false, false, false, 1e6), 5);
}

static void receiver_us__caches_forget(void **state) {
    struct nisim_receiver r;
    nisim_receiver_default(&r);
    struct nisim_arrivals a = {nisim_way_find("futex"), .rate = 1e4}, b = a;
    b.rate = 1e3;
    near_us(nisim_receiver_us(&r, &b) / nisim_receiver_us(&r, &a), pow(10, 0.1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receiver_us__is_the_sum_of_what_is_passed),
        cmocka_unit_test(receiver_us__idle_deepens_with_the_gap),
        cmocka_unit_test(receiver_us__who_is_awake_is_not_woken),
        cmocka_unit_test(receiver_us__spins_while_the_next_comes_within_a_wake_up),
        cmocka_unit_test(receiver_us__caches_forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
