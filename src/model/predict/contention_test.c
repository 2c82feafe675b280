/* Tests of contention: fluid sharing by hand, and that sparse samples tell the pairs that were never run
 * together. */
#include "base/error.h"
#include "model/predict/predict.h"
#include "model/predict/predict_test.h"

static void fluid_share__fills_progressively(void **state) {
    /* Resource 0 is wanted 0.8 + 0.8 + 0.1, resource 1 0.5 by the last only. */
    const struct weft_workload w[] = {{{0.8, 0}}, {{0.8, 0}}, {{0.1, 0.5}}};
    double p[3];
    assert_int_equal(weft_fluid_share(w, 3, 2, p), WEFT_OK);
    for (int i = 0; i < 3; i++) assert_near(p[i], 1 / 1.7);
    assert_int_equal(weft_fluid_share(w + 1, 2, 2, p), WEFT_OK);
    assert_near(p[0], 1);
    /* Who is held up elsewhere leaves room: 1 and 2 share resource 1, 0 takes what 1 leaves of resource 0. */
    const struct weft_workload v[] = {{{0.9, 0}}, {{0.6, 1}}, {{0, 1}}};
    assert_int_equal(weft_fluid_share(v, 3, 2, p), WEFT_OK);
    assert_near(p[1], 0.5);
    assert_near(p[2], 0.5);
    assert_near(p[0], (1 - 0.5 * 0.6) / 0.9);
}

static void fluid_share__no_resource_is_exceeded(void **state) {
    uint64_t seed = 11;
    for (int i = 0; i < 1000; i++) {
        struct weft_workload w[10];
        double p[10];
        int n = 1 + test_random_below(&seed, 10),
            resources = 1 + test_random_below(&seed, WEFT_RESOURCES_MAX);
        for (int k = 0; k < n; k++)
            for (int r = 0; r < resources; r++) w[k].use[r] = test_random(&seed);
        assert_int_equal(weft_fluid_share(w, n, resources, p), WEFT_OK);
        for (int r = 0; r < resources; r++) {
            double sum = 0;
            for (int k = 0; k < n; k++) sum += p[k] * w[k].use[r];
            assert_true(sum <= 1 + 1e-9);
        }
        for (int k = 0; k < n; k++) assert_true(p[k] > 0 && p[k] <= 1);
    }
}

#define WORKLOADS 12
#define RESOURCES 3

/* How machines behave beyond fluid sharing: a cache that both use, a controller that loses by mixing. */
static double true_slowdown(const struct weft_workload *w, int victim, int other) {
    const struct weft_workload pair[] = {w[victim], w[other]};
    double p[2];
    weft_fluid_share(pair, 2, RESOURCES, p);
    return 1 / p[0] * exp(0.5 * pair[0].use[0] * pair[1].use[0]) *
           (1 + 0.6 * pair[0].use[2] * pair[1].use[2]);
}

/* A quarter of the pairs is run, three quarters are predicted. */
static void contention_fit__sparse_samples_tell_the_other_pairs(void **state) {
    struct weft_workload w[WORKLOADS];
    struct weft_pair_sample some[WORKLOADS * WORKLOADS], all[WORKLOADS * WORKLOADS];
    double with[WORKLOADS * WORKLOADS], without[WORKLOADS * WORKLOADS], truth[WORKLOADS * WORKLOADS];
    struct weft_contention fluid, learned;
    struct weft_fit_error e;
    size_t known = 0, n = 0;
    uint64_t seed = 13;
    for (int i = 0; i < WORKLOADS; i++)
        for (int r = 0; r < RESOURCES; r++) w[i].use[r] = test_random(&seed);
    for (int i = 0; i < WORKLOADS; i++)
        for (int k = 0; k < WORKLOADS; k++) {
            struct weft_pair_sample s = {i, k, true_slowdown(w, i, k) * test_random_near_one(&seed, 0.03)};
            if (test_random(&seed) < 0.25)
                some[known++] = s;
            else
                all[n++] = s;
        }
    assert_int_equal(weft_contention_fit(w, WORKLOADS, RESOURCES, NULL, 0, &fluid), WEFT_OK);
    assert_int_equal(weft_contention_fit(w, WORKLOADS, RESOURCES, some, known, &learned), WEFT_OK);
    for (size_t i = 0; i < n; i++) {
        truth[i] = all[i].slowdown;
        weft_contention_predict(&learned, w, all[i].victim, &all[i].other, 1, &with[i]);
        weft_contention_predict(&fluid, w, all[i].victim, &all[i].other, 1, &without[i]);
    }
    assert_true(n > 2 * known);
    assert_int_equal(weft_fit_error(with, truth, n, &e), WEFT_OK);
    assert_true(e.median < 0.03 && e.p95 < 0.08);
    assert_int_equal(weft_fit_error(without, truth, n, &e), WEFT_OK);
    assert_true(e.median > 0.1);
}

/* Several others: each adds its pressure. Nobody beside: no slowdown. */
static void contention_predict__takes_several_others(void **state) {
    const struct weft_workload w[] = {{{0.2}}, {{0.2}}, {{0.2}}};
    const struct weft_pair_sample s[] = {{0, 1, 1.1}, {1, 0, 1.1}};
    struct weft_contention c;
    double alone, one, two;
    assert_int_equal(weft_contention_fit(w, 3, 1, s, 2, &c), WEFT_OK);
    assert_int_equal(weft_contention_predict(&c, w, 0, NULL, 0, &alone), WEFT_OK);
    assert_int_equal(weft_contention_predict(&c, w, 0, (int[]){1}, 1, &one), WEFT_OK);
    assert_int_equal(weft_contention_predict(&c, w, 0, (int[]){1, 2}, 2, &two), WEFT_OK);
    assert_near(alone, 1);
    assert_within(one, 1.1, 0.002);
    assert_within(two, 1.21, 0.004);
}

static void contention__refuses_what_makes_no_sense(void **state) {
    const struct weft_workload good[] = {{{0.5}}}, bad[] = {{{1.5}}};
    const struct weft_pair_sample nobody[] = {{0, 7, 1.5}}, never[] = {{0, 0, 0}};
    struct weft_contention c;
    double p[1];
    assert_int_equal(weft_fluid_share(bad, 1, 1, p), WEFT_E_INVAL);
    assert_int_equal(weft_fluid_share(good, 1, WEFT_RESOURCES_MAX + 1, p), WEFT_E_TOO_BIG);
    assert_int_equal(weft_contention_fit(good, 1, 1, nobody, 1, &c), WEFT_E_INVAL);
    assert_int_equal(weft_contention_fit(good, 1, 1, never, 1, &c), WEFT_E_INVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fluid_share__fills_progressively),
        cmocka_unit_test(fluid_share__no_resource_is_exceeded),
        cmocka_unit_test(contention_fit__sparse_samples_tell_the_other_pairs),
        cmocka_unit_test(contention_predict__takes_several_others),
        cmocka_unit_test(contention__refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
