/* Tests of fitting: where curves break and bend, and that what judges a fit has taken no part in it. */
#include "base/error.h"
#include "base/test.h"
#include "model/measure/fit.h"

#include <math.h>
#include <string.h>

#define EAGER 16384.0
#define CACHE 1048576.0

static const struct fit_knows knows = {
    .cut = {EAGER, 245760}, .cuts = 2, .capacity = {32768, CACHE, 33554432}, .capacities = 3};

/* Copied twice up to the first cut-off, once beyond it, and at half the pace what no cache holds. */
static double path_s(double size) {
    if (size <= EAGER) return 0.3e-6 + 0.15e-9 * size;
    return 0.6e-6 + 0.045e-9 * size + 0.045e-9 * fmax(0, size - CACHE);
}

static struct fit_points path(void) {
    static const double sizes[] = {8,     64,     512,    1024,   2048,    4096,    8192,    16384,   32768,
                                   65536, 131072, 262144, 524288, 1048576, 2097152, 4194304, 16777216};
    struct fit_points p = {.n = sizeof sizes / sizeof *sizes};
    for (size_t i = 0; i < p.n; i++) {
        p.x[i] = sizes[i];
        p.y[i] = path_s(sizes[i]);
    }
    return p;
}

static void fit_choose__breaks_a_path_at_the_cut_off_and_bends_it_at_the_cache(void **state) {
    struct fit_points p = path();
    struct weft_curve c;
    assert_int_equal(fit_choose(fit_path_forms, fit_path_form_count, &knows, &p, &c), 0);
    assert_int_equal(c.form, WEFT_MODEL_PIECEWISE);
    assert_true(c.parameter[3] == EAGER + 1);
    for (double size = 8; size < 1.6e7; size *= 1.7)
        assert_true(fabs(weft_curve_at(&c, size) / path_s(size) - 1) < 1e-6);
}

static void fit_judge__a_right_form_is_right_where_it_was_not_fitted(void **state) {
    struct fit_points p = path();
    struct fit_judged j;
    assert_int_equal(fit_judge(fit_path_forms, fit_path_form_count, &knows, &p, &j), 0);
    assert_int_equal(j.n, p.n - 2); /* neither end */
    unsigned right = 0;
    for (size_t i = 0; i < j.n; i++) right += fabs(j.predicted[i] / j.measured[i] - 1) < 1e-6;
    assert_true(right >= j.n - 3); /* beside a break and a bend some are not determined */
}

/* A form that notes which points it was given. */
static struct seen {
    unsigned calls, all; /* all: with every point */
    unsigned without[FIT_POINTS_MAX][FIT_POINTS_MAX];
    size_t n;
} seen;

static int noting(const struct fit_knows *k, const struct fit_points *p, struct weft_curve *c) {
    size_t missing[2] = {0}, n = 0;
    for (size_t x = 0, i = 0; x < seen.n; x++) {
        if (i < p->n && p->x[i] == (double)x)
            i++;
        else if (n < 2)
            missing[n++] = x;
    }
    seen.calls++;
    seen.all += n == 0;
    if (n == 2) seen.without[missing[0]][missing[1]]++;
    *c = (struct weft_curve){.form = WEFT_MODEL_CONSTANT, .parameter = {1}, .parameters = 1};
    return 0;
}

/* Three parts: of nine points, seven judge, and for each of them the other inner ones choose; the fits that
 * choose have seen neither. */
static void fit_judge__who_judges_has_not_been_seen(void **state) {
    fit_form *const forms[] = {noting};
    struct fit_points p = {.n = 9};
    struct fit_judged j;
    for (size_t i = 0; i < p.n; i++) p.x[i] = (double)i, p.y[i] = 1 + (double)i;
    memset(&seen, 0, sizeof seen);
    seen.n = p.n;
    assert_int_equal(fit_judge(forms, 1, &knows, &p, &j), 0);
    assert_int_equal(j.n, 7);
    assert_int_equal(seen.all, 0);
    for (size_t judge = 2; judge < 7; judge++)
        for (size_t chooser = judge + 1; chooser < 7; chooser++)
            assert_int_equal(seen.without[judge][chooser], 2);
    for (size_t i = 0; i < j.n; i++) assert_true(j.predicted[i] == 1 && j.measured[i] == 2 + (double)i);
}

static int never(const struct fit_knows *k, const struct fit_points *p, struct weft_curve *c) {
    return WEFT_E_INVAL;
}

static void fit_choose__no_form_and_too_few_points(void **state) {
    fit_form *const forms[] = {never};
    struct fit_points p = path();
    struct fit_judged j;
    struct weft_curve c;
    assert_int_equal(fit_choose(forms, 1, &knows, &p, &c), WEFT_E_INVAL);
    assert_int_equal(fit_judge(forms, 1, &knows, &p, &j), WEFT_E_INVAL);
    p.n = 1;
    assert_int_equal(fit_choose(fit_path_forms, fit_path_form_count, &knows, &p, &c), WEFT_E_INVAL);
    p.n = 2;
    assert_int_equal(fit_judge(fit_path_forms, fit_path_form_count, &knows, &p, &j), WEFT_E_INVAL);
}

/* Without known places: where the points want them. */
static void fit_choose__searches_where_nothing_is_known(void **state) {
    const struct fit_knows nothing = {.cuts = 0};
    struct fit_points p = path();
    struct weft_curve c;
    assert_int_equal(fit_choose(fit_path_forms, fit_path_form_count, &nothing, &p, &c), 0);
    assert_true(c.fitted.median < 0.2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fit_choose__breaks_a_path_at_the_cut_off_and_bends_it_at_the_cache),
        cmocka_unit_test(fit_judge__a_right_form_is_right_where_it_was_not_fitted),
        cmocka_unit_test(fit_judge__who_judges_has_not_been_seen),
        cmocka_unit_test(fit_choose__no_form_and_too_few_points),
        cmocka_unit_test(fit_choose__searches_where_nothing_is_known),
    };
    return cmocka_run_group_tests_name("model_fit", tests, NULL, NULL);
}
