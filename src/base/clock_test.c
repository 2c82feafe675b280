/* Tests of the clock. */
#include "base/clock.h"

#include "base/test.h"

#include <time.h>

static void now_ns__follows_the_monotonic_clock(void **state) {
    struct timespec ts;
    uint64_t before = weft_now_ns();
    clock_gettime(CLOCK_MONOTONIC, &ts);
    uint64_t after = weft_now_ns(), between = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    assert_true(before <= between && between <= after);
}

static void cpu_relax__returns(void **state) { weft_cpu_relax(); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(now_ns__follows_the_monotonic_clock),
        cmocka_unit_test(cpu_relax__returns),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
