/* Tests of clocks: a device's that is one of the system's, and one that is not. */
#include "opencl/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"

static uint64_t read_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * WEFT_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void clock_difference__knows_the_systems_clocks(void **state) {
    const uint64_t enqueued = weft_now_ns(), late = 3 * WEFT_NS_PER_MS;
    assert_int_equal(clock_difference(enqueued, enqueued + 5), 0);
    /* As exact as the clocks can be read, however late the command was queued. */
    int64_t real = (int64_t)(weft_now_ns() - read_ns(CLOCK_REALTIME));
    int64_t got = clock_difference(enqueued, enqueued - (uint64_t)real + late);
    assert_in_range(got - real + (int64_t)WEFT_NS_PER_MS, 0, 2 * WEFT_NS_PER_MS);
}

static void clock_difference__takes_another_clock_by_the_enqueue(void **state) {
    assert_int_equal(clock_difference(5000000000, 7), 4999999993);
    assert_int_equal(clock_difference(5, (uint64_t)1 << 62), 5 - ((int64_t)1 << 62));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_difference__knows_the_systems_clocks),
        cmocka_unit_test(clock_difference__takes_another_clock_by_the_enqueue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
