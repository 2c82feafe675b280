/* Every closed form that holds is met within 5 %. */
#include "base/test.h"
#include "model/nisim/check.h"

static void check__closed_forms(void **state) {
    struct nisim_check c[NISIM_CHECKS_MAX];
    int n = nisim_check_all(1, c), counted = 0;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        double e = nisim_check_error(&c[i]);
        counted += c[i].counts;
        if (c[i].counts && (e > NISIM_CHECK_TOLERANCE || e < -NISIM_CHECK_TOLERANCE))
            fail_msg("%s: %g %s instead of %g", c[i].what, c[i].simulated, c[i].unit, c[i].expected);
    }
    assert_true(counted >= 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(check__closed_forms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
