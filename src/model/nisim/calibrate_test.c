/* Tests of the calibration: the terms of rows that a known receiver made are found again, noise is not taken
 * for more than it is, and bad rows are refused. */
#include "base/error.h"
#include "base/test.h"
#include "model/nisim/calibrate.h"
#include "model/nisim/event.h"

#include <math.h>
#include <string.h>

static int read_text(struct nisim_calibration *c, const char *text, char *why) {
    FILE *f = fmemopen((void *)text, strlen(text), "r");
    int rc = nisim_calibration_read(c, f, "rows", why, 200);
    fclose(f);
    return rc;
}

static const double known_term[NISIM_TERMS] = {0.07, 6.5, 2.5, 10, 40, 1.35, 0.06, 3.6, 1.2};

static struct nisim_receiver known(void) {
    struct nisim_receiver r;
    nisim_receiver_default(&r);
    memcpy(r.term, known_term, sizeof r.term);
    for (int i = 0; i < NISIM_WAYS; i++) r.path_us[i] = 2.5 + 0.7 * i;
    return r;
}

/* What that receiver has of every `apart`-th mechanism, each place, load, rate and state; rows are off by up
 * to `noise`. */
static void synthetic(struct nisim_calibration *c, double noise, int apart) {
    /* Not about the rate at which a receiver just falls asleep: there the model jumps. */
    static const double rates[] = {1e3, 4e3, 1.6e4, 1e6};
    static char text[262144];
    char *at = text, why[200];
    struct nisim_random random;
    struct nisim_receiver r = known();
    nisim_random_init(&random, 1, 1);
    for (int i = 0; i < NISIM_WAYS * 32; i++) {
        if (i / 32 % apart) continue;
        struct nisim_arrivals a = {i / 32, i & 1, i & 2, i & 4, rates[i / 8 % 4]};
        if (!nisim_way_possible(&a)) continue;
        double us = nisim_receiver_us(&r, &a) * (1 + noise * (nisim_random_below(&random, 2001) / 1e3 - 1));
        at += sprintf(at,
                      "{\"bench\":\"notify\",\"mechanism\":\"%s\",\"place\":\"%s\",\"load\":\"%s\",\"rate_"
                      "per_s\":%g,\"median_us\":%.6f,\"state\":\"%s\"}\n",
                      nisim_ways[a.way].name, a.other_cpu ? "other-cpu" : "same-cpu",
                      a.busy ? "busy" : "idle", a.rate, us, a.far ? "far" : "near");
    }
    assert_int_equal(read_text(c, text, why), WEFT_OK);
}

static void calibrate__finds_the_terms_again(void **state) {
    struct nisim_calibration c = {0};
    struct nisim_receiver r = known();
    synthetic(&c, 0, 1);
    assert_int_equal(c.rows, 14 * 32 + 2 * 16);
    assert_int_equal(nisim_calibrate(&c, 1), WEFT_OK);
    for (int t = 0; t < NISIM_TERMS; t++)
        if (fabs(c.receiver.term[t] / r.term[t] - 1) > 0.08)
            fail_msg("term %d is %g, not %g", t, c.receiver.term[t], r.term[t]);
    for (int i = 0; i < NISIM_WAYS; i++)
        if (nisim_ways[i].sleeps && fabs(c.receiver.path_us[i] / r.path_us[i] - 1) > 0.08)
            fail_msg("%s takes %g us, not %g", nisim_ways[i].name, c.receiver.path_us[i], r.path_us[i]);
    assert_true(c.held_median < 0.01);
    assert_int_equal(c.parameters, NISIM_TERMS + 14);
    nisim_calibration_fini(&c);
}

static void calibrate__noise_stays_an_error(void **state) {
    struct nisim_calibration c = {0};
    synthetic(&c, 0.2, 3);
    assert_int_equal(nisim_calibrate(&c, 1), WEFT_OK);
    assert_true(c.held_median > 0.06 && c.held_median < 0.15); /* evenly within 20 %: 10 % in the middle */
    assert_true(c.spread_least < c.spread_median && c.spread_median < c.spread_most);
    nisim_calibration_fini(&c);
}

static void calibrate__near_and_far_of_a_cell_are_in_one_half(void **state) {
    struct nisim_calibration c = {0};
    size_t fitted = 0, pairs = 0;
    synthetic(&c, 0, 3);
    assert_int_equal(nisim_calibrate(&c, 3), WEFT_OK);
    for (size_t i = 0; i < c.rows; i++) fitted += c.row[i].fitted;
    assert_int_equal(fitted, c.rows / 2);
    for (size_t i = 0; i < c.rows; i++) {
        pairs += c.row[i].first != i;
        assert_int_equal(c.row[i].fitted, c.row[c.row[i].first].fitted);
    }
    assert_int_equal(pairs, c.rows / 2);
    nisim_calibration_fini(&c);
}

/* What is held out decides nothing: the fit is the same whatever it is. */
static void calibrate__what_is_held_out_is_not_looked_at(void **state) {
    struct nisim_calibration a = {0}, b = {0};
    synthetic(&a, 0.1, 3);
    synthetic(&b, 0.1, 3);
    assert_int_equal(nisim_calibrate(&a, 1), WEFT_OK);
    for (size_t i = 0; i < b.rows; i++)
        if (!a.row[i].fitted) b.row[i].median_us *= 10;
    assert_int_equal(nisim_calibrate(&b, 1), WEFT_OK);
    assert_memory_equal(&a.receiver, &b.receiver, sizeof a.receiver);
    assert_true(b.held_median > 0.8);
    nisim_calibration_fini(&a);
    nisim_calibration_fini(&b);
}

static void calibrate__the_same_seed_gives_the_same_halves(void **state) {
    struct nisim_calibration a = {0}, b = {0};
    synthetic(&a, 0.2, 3);
    synthetic(&b, 0.2, 3);
    assert_int_equal(nisim_calibrate(&a, 2), WEFT_OK);
    assert_int_equal(nisim_calibrate(&b, 2), WEFT_OK);
    for (size_t i = 0; i < a.rows; i++)
        assert_true(a.row[i].fitted == b.row[i].fitted && a.row[i].predicted_us == b.row[i].predicted_us);
    nisim_calibration_fini(&a);
    nisim_calibration_fini(&b);
}

static void calibration_read__refusals(void **state) {
    static const struct {
        const char *text, *why;
    } wrong[] = {
        {"\n{\"bench\":", "rows:2: "},
        {"{\"bench\":\"notify\"}", "rows:1: mechanism is missing"},
        {"{\"bench\":\"notify\",\"mechanism\":\"m\"}", "rows:1: mechanism is missing or of no use"},
        {"{\"bench\":\"notify\",\"mechanism\":\"futex\",\"place\":1}", "rows:1: place is missing"},
        {"{\"bench\":\"notify\",\"mechanism\":\"spin\",\"place\":\"same-cpu\",\"load\":\"idle\","
         "\"rate_per_s\":1,\"median_us\":1}",
         "rows:1: place is missing or of no use"},
        {"{\"bench\":\"notify\",\"mechanism\":\"futex\",\"place\":\"same-cpu\"}", "rows:1: load is missing"},
        {"{\"bench\":\"notify\",\"mechanism\":\"futex\",\"place\":\"same-cpu\",\"load\":\"idle\"}",
         "rows:1: rate_per_s is missing"},
        {"{\"bench\":\"notify\",\"mechanism\":\"futex\",\"place\":\"same-cpu\",\"load\":\"idle\",\"rate_per_"
         "s\":1,\"median_"
         "us\":-1}",
         "rows:1: median_us is missing"},
    };
    char why[200];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct nisim_calibration c = {0};
        assert_int_equal(read_text(&c, wrong[i].text, why), WEFT_E_INVAL);
        if (!strstr(why, wrong[i].why)) fail_msg("%s was refused with \"%s\"", wrong[i].text, why);
        nisim_calibration_fini(&c);
    }
}

static void calibration_read__the_state_counts(void **state) {
    struct nisim_calibration c = {0};
    char why[200];
    assert_int_equal(read_text(&c,
                               "{\"bench\":\"notify\",\"mechanism\":\"futex\",\"place\":\"same-cpu\","
                               "\"load\":\"idle\",\"rate_per_s\":"
                               "1000,\"sent_per_s\":900,\"state\":\"far\",\"median_us\":2}\n",
                               why),
                     WEFT_OK);
    assert_true(c.row[0].at.far && !c.row[0].at.other_cpu && !c.row[0].at.busy && c.row[0].at.rate == 1000);
    nisim_calibration_fini(&c);
}

static void calibration_read__other_benchmarks_are_passed_over(void **state) {
    struct nisim_calibration c = {0};
    char why[200];
    assert_int_equal(
        read_text(&c,
                  "{\"bench\":\"ping\"}\n\n{\"machine\":\"x\"}\n{\"bench\":\"notify\",\"goal\":\"g\"}\n"
                  "{\"bench\":\"notify\",\"mechanism\":\"m\",\"median_us\":null}\n"
                  "{\"bench\":\"notify\",\"state\":\"mixed\",\"median_us\":1}\n"
                  "{\"bench\":\"notify\",\"count\":2,\"median_us\":1}\n",
                  why),
        WEFT_OK);
    assert_int_equal(c.rows, 0);
    assert_int_equal(c.skipped, 6);
    assert_int_equal(nisim_calibrate(&c, 1), WEFT_E_INVAL);
    nisim_calibration_fini(&c);
}

/* They are good rows of no mechanism that the model has. */
static void calibration_read__mixtures_are_passed_over(void **state) {
    static const char row[] = "{\"bench\":\"notify\",\"mechanism\":\"%s\",\"place\":\"same-cpu\",\"load\":"
                              "\"idle\",\"rate_per_s\":1000,\"median_us\":2}\n";
    static const char *const names[] = {"auto", "auto-handler", "branch"};
    struct nisim_calibration c = {0};
    char text[300], why[200];
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, row, names[i]);
        assert_int_equal(read_text(&c, text, why), WEFT_OK);
        assert_int_equal(c.rows, i == 2);
        assert_int_equal(c.skipped, i == 2 ? 2 : i + 1);
    }
    nisim_calibration_fini(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calibrate__finds_the_terms_again),
        cmocka_unit_test(calibrate__noise_stays_an_error),
        cmocka_unit_test(calibrate__near_and_far_of_a_cell_are_in_one_half),
        cmocka_unit_test(calibrate__what_is_held_out_is_not_looked_at),
        cmocka_unit_test(calibrate__the_same_seed_gives_the_same_halves),
        cmocka_unit_test(calibration_read__refusals),
        cmocka_unit_test(calibration_read__the_state_counts),
        cmocka_unit_test(calibration_read__other_benchmarks_are_passed_over),
        cmocka_unit_test(calibration_read__mixtures_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
