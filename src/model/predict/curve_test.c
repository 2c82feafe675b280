/* Tests of curves: forms that made the samples are found again, and the errors are those of points held out.
 */
#include "base/error.h"
#include "model/predict/predict.h"
#include "model/predict/predict_test.h"

#include <math.h>

#define N 60

/* x over six decades, y by the curve, off by up to `noise`. */
static void sample(const struct weft_curve *c, double low, double high, double noise, double *x, double *y) {
    uint64_t seed = 7;
    for (int i = 0; i < N; i++) {
        x[i] = low * pow(high / low, (double)i / (N - 1));
        y[i] = weft_curve_at(c, x[i]) * test_random_near_one(&seed, noise);
    }
}

static struct weft_curve refit(const struct weft_curve *made, double low, double high, double noise,
                               struct weft_curve_ask ask) {
    double x[N], y[N];
    struct weft_curve c;
    ask.form = made->form;
    sample(made, low, high, noise, x, y);
    assert_int_equal(weft_curve_fit(&ask, x, y, N, &c), WEFT_OK);
    assert_int_equal(c.fitted.points + c.held_out.points, N);
    return c;
}

static void curve_fit__finds_the_parameters_again(void **state) {
    static const struct {
        struct weft_curve made;
        double low, high;
        struct weft_curve_ask ask;
    } form[] = {
        {{.form = WEFT_MODEL_CONSTANT, .parameters = 1, .parameter = {3e-7}}, 1, 1e6, {0}},
        {{.form = WEFT_MODEL_AFFINE, .parameters = 2, .parameter = {1e-6, 2e-10}}, 1, 1e6, {0}},
        {{.form = WEFT_MODEL_SATURATING, .parameters = 3, .parameter = {1e9, 2e9, 1e10}}, 1, 16, {0}},
        {{.form = WEFT_MODEL_QUEUE_FIFO, .parameters = 2, .parameter = {2e-6, 5e-7}}, 0.01, 0.98, {0}},
        {{.form = WEFT_MODEL_QUEUE_PS, .parameters = 2, .parameter = {2e-6, 5e-7}}, 0.01, 0.98, {0}},
        {{.form = WEFT_MODEL_TIER, .parameters = 5, .parameter = {1e-7, 16384, 2e-7, 16777216, 1.5e-7}},
         1024,
         1e9,
         {.pieces = 2}},
    };
    for (size_t i = 0; i < sizeof form / sizeof *form; i++) {
        struct weft_curve_ask ask = form[i].ask;
        ask.hold_out = 2;
        struct weft_curve c = refit(&form[i].made, form[i].low, form[i].high, 0, ask);
        assert_int_equal(c.parameters, form[i].made.parameters);
        for (uint32_t k = 0; k < c.parameters; k++)
            assert_true(fabs(c.parameter[k] / form[i].made.parameter[k] - 1) < 0.01);
        assert_true(c.held_out.max < 0.001);
        assert_true(c.held_out.points == N / 2 - 1);
    }
}

static void curve_fit__noise_is_what_is_left(void **state) {
    const struct weft_curve made = {.form = WEFT_MODEL_AFFINE, .parameters = 2, .parameter = {1e-6, 2e-10}};
    struct weft_curve c = refit(&made, 1, 1e6, 0.05, (struct weft_curve_ask){.hold_out = 3});
    assert_true(c.held_out.median > 0.005 && c.held_out.median < 0.04);
    assert_true(c.held_out.max <= 0.06 && c.held_out.p95 <= c.held_out.max);
    assert_int_equal(c.held_out.points, N / 3 - 1); /* the last of all is not held out */
}

/* Three pieces with jumps, as a transport has them; pieces that do not pay are not made. */
static void curve_fit__piecewise_finds_the_breaks(void **state) {
    const struct weft_curve made = {.form = WEFT_MODEL_PIECEWISE,
                                    .parameters = 9,
                                    .parameter = {0, 1e-6, 1e-9, 4096, 3e-6, 2e-10, 1e6, 2e-5, 1e-10}};
    struct weft_curve c = refit(&made, 8, 1e8, 0.01, (struct weft_curve_ask){.pieces = 8, .hold_out = 2});
    assert_int_equal(c.parameters, 9);
    assert_near(c.parameter[0], 0);
    assert_true(c.parameter[3] >= 4096 && c.parameter[3] < 2 * 4096);
    assert_true(c.parameter[6] >= 1e6 && c.parameter[6] < 2e6);
    assert_true(c.held_out.median <
                0.01); /* one between the last of a piece and the first of the next may be off by much */
}

static void curve_fit__a_table_is_straight_between_its_points(void **state) {
    const double x[] = {4, 1, 2, 2}, y[] = {10, 1, 2, 4};
    struct weft_curve c;
    assert_int_equal(weft_curve_fit(&(struct weft_curve_ask){.form = WEFT_MODEL_TABLE}, x, y, 4, &c),
                     WEFT_OK);
    assert_near(weft_curve_at(&c, 2), 3);
    assert_near(weft_curve_at(&c, 3), 6.5);
    assert_near(weft_curve_at(&c, 100), 10);
    assert_int_equal(c.held_out.points, 0);
    assert_true(isnan(c.held_out.median));
}

/* A stream that starts with known buffers needs no search, and without them the form cannot follow. */
static void curve_fit__tiers_need_their_buffers(void **state) {
    const struct weft_curve made = {
        .form = WEFT_MODEL_TIER, .parameters = 5, .parameter = {1e-7, 16384, 2e-7, 16777216, 1.5e-7}};
    const double knees[] = {16384, 16777216};
    struct weft_curve with = refit(&made, 1024, 1e9, 0.002,
                                   (struct weft_curve_ask){.knees = knees, .knee_count = 2, .hold_out = 2});
    assert_true(with.held_out.median < 0.01 && with.held_out.p95 < 0.03);
    struct weft_curve one = refit(&made, 1024, 1e9, 0.002,
                                  (struct weft_curve_ask){.knees = knees, .knee_count = 1, .hold_out = 2});
    assert_true(one.held_out.p95 > 0.05);
}

static void curve_fit__refuses_what_makes_no_sense(void **state) {
    const double x[] = {1, 2, 3}, y[] = {1, 2, 3}, zero[] = {1, 0, 3}, busy[] = {0.5, 1, 0.7},
                 same[] = {2, 2, 2}, minus[] = {-1, 2, 3}, nans[] = {NAN, 2, 3};
    struct weft_curve c;
    const struct weft_curve_ask affine = {.form = WEFT_MODEL_AFFINE};
    assert_int_equal(weft_curve_fit(&affine, x, zero, 3, &c), WEFT_E_INVAL);
    assert_int_equal(weft_curve_fit(&affine, minus, y, 3, &c), WEFT_E_INVAL);
    assert_int_equal(weft_curve_fit(&affine, nans, y, 3, &c), WEFT_E_INVAL);
    assert_int_equal(weft_curve_fit(&affine, same, y, 3, &c), WEFT_E_INVAL);
    assert_int_equal(weft_curve_fit(&affine, x, y, 0, &c), WEFT_E_INVAL);
    assert_int_equal(weft_curve_fit(&affine, x, y, WEFT_CURVE_SAMPLES_MAX + 1, &c), WEFT_E_TOO_BIG);
    assert_int_equal(weft_curve_fit(&(struct weft_curve_ask){.form = WEFT_MODEL_QUEUE_PS}, busy, y, 3, &c),
                     WEFT_E_INVAL);
    assert_int_equal(weft_curve_fit(&(struct weft_curve_ask){.form = WEFT_MODEL_FORMS_COUNT}, x, y, 3, &c),
                     WEFT_E_INVAL);
    assert_int_equal(
        weft_curve_fit(&(struct weft_curve_ask){.form = WEFT_MODEL_TIER, .pieces = 99}, x, y, 3, &c),
        WEFT_E_TOO_BIG);
    assert_int_equal(
        weft_curve_fit(&(struct weft_curve_ask){.form = WEFT_MODEL_AFFINE, .hold_out = 1}, x, y, 3, &c),
        WEFT_E_INVAL);
}

static void fit_error__is_median_p95_max_and_mean(void **state) {
    double predicted[100], measured[100];
    struct weft_fit_error e;
    for (int i = 0; i < 100; i++) {
        measured[i] = i % 2 ? 50 : -50;
        predicted[i] = measured[i] * (1 + (99 - i) / 100.0);
    }
    assert_int_equal(weft_fit_error(predicted, measured, 100, &e), WEFT_OK);
    assert_near(e.median, 0.495);
    assert_near(e.p95, 0.94);
    assert_near(e.max, 0.99);
    assert_near(e.mean, 0.495);
    measured[3] = 0;
    assert_int_equal(weft_fit_error(predicted, measured, 100, &e), WEFT_E_INVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curve_fit__finds_the_parameters_again),
        cmocka_unit_test(curve_fit__noise_is_what_is_left),
        cmocka_unit_test(curve_fit__piecewise_finds_the_breaks),
        cmocka_unit_test(curve_fit__a_table_is_straight_between_its_points),
        cmocka_unit_test(curve_fit__tiers_need_their_buffers),
        cmocka_unit_test(curve_fit__refuses_what_makes_no_sense),
        cmocka_unit_test(fit_error__is_median_p95_max_and_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
