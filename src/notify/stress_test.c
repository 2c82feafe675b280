/* Nothing lost, nothing doubled, no handler inside of a masked section: at random times over all mechanisms.
 * STRESS_COUNT says how many; `weft bench notify --stress` runs many more. */
#include "base/test.h"
#include "notify/stress.h"

#include <stdio.h>
#include <stdlib.h>

static void run__tells_each_once(void **state) {
    const char *count = getenv("STRESS_COUNT");
    struct stress s = {.count = count ? strtoull(count, NULL, 10) : 300000, .seed = 1};
    assert_int_equal(stress_run(&s, NULL), 0);
    for (int k = 0; k < STRESS_KINDS; k++) {
        printf("%s: %llu posted, %llu told in %llu\n", stress_names[k], (unsigned long long)s.posted[k],
               (unsigned long long)s.told[k], (unsigned long long)s.handed[k]);
        assert_int_equal(s.posted[k], s.told[k]);
        assert_true(s.posted[k] >= s.count / STRESS_KINDS / 2);
    }
    printf("%llu masked sections, %.3f s\n", (unsigned long long)s.masked_sections, s.seconds);
    assert_int_equal(s.in_masked, 0);
    assert_int_equal(s.wrong_values, 0);
    assert_true(stress_is_good(&s));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(run__tells_each_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
