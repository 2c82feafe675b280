/* Tests of the calibration: rows that follow its model are predicted, noise is not taken for more than it is,
 * and bad rows are refused. */
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

/* Four mechanisms, two places, two loads, three rates; each row off by up to `noise`. */
static void synthetic(struct nisim_calibration *c, double noise) {
    static const double base[] = {0.2, 12, 15, 20};
    static const char *const names[] = {"polled", "branch", "dispatch", "epoll"};
    char text[16384], *at = text, why[200];
    struct nisim_random r;
    nisim_random_init(&r, 1, 1);
    for (int i = 0; i < 48; i++) {
        int m = i % 4, place = i / 4 % 2, load = i / 8 % 2, rate = i / 16;
        double us = base[m] * (place ? (m ? 1.8 : 1.2) : 1) * (load && m ? 1.5 : 1);
        us *= 1 + noise * (2.0 * nisim_random_below(&r, 1001) / 1000 - 1);
        at += sprintf(at,
                      "{\"bench\":\"notify\",\"mechanism\":\"%s\",\"place\":\"%s\",\"load\":\"%s\",\"rate_"
                      "per_s\":%d,\"median_us\":%.4f,\"p99_us\":99,\"new\":[]}\n",
                      names[m], place ? "other" : "same", load ? "busy" : "idle", 1000 << rate, us);
    }
    assert_int_equal(read_text(c, text, why), WEFT_OK);
    assert_int_equal(c->rows, 48);
}

static void calibrate__predicts_what_follows_its_model(void **state) {
    struct nisim_calibration c = {0};
    synthetic(&c, 0);
    assert_int_equal(nisim_calibrate(&c, 1), WEFT_OK);
    assert_true(c.held_median < 0.02);
    assert_int_equal(c.parameters, 8);
    size_t fitted = 0;
    for (size_t i = 0; i < c.rows; i++) fitted += c.row[i].fitted;
    assert_int_equal(fitted, 24);
    nisim_calibration_fini(&c);
}

static void calibrate__noise_stays_an_error(void **state) {
    struct nisim_calibration c = {0};
    synthetic(&c, 0.2);
    assert_int_equal(nisim_calibrate(&c, 1), WEFT_OK);
    assert_true(c.held_median > 0.03 && c.held_median < 0.2);
    assert_true(c.spread_least < c.spread_median && c.spread_median < c.spread_most);
    nisim_calibration_fini(&c);
}

static void calibrate__the_same_seed_gives_the_same_halves(void **state) {
    struct nisim_calibration a = {0}, b = {0};
    synthetic(&a, 0.2);
    synthetic(&b, 0.2);
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
        {"{\"bench\":\"notify\",\"mechanism\":\"m\",\"place\":1}", "rows:1: place is missing"},
        {"{\"bench\":\"notify\",\"mechanism\":\"m\",\"place\":\"p\"}", "rows:1: load is missing"},
        {"{\"bench\":\"notify\",\"mechanism\":\"m\",\"place\":\"p\",\"load\":\"l\"}",
         "rows:1: rate_per_s is missing"},
        {"{\"bench\":\"notify\",\"mechanism\":\"m\",\"place\":\"p\",\"load\":\"l\",\"rate_per_s\":1,\"median_"
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

static void calibration_read__the_rate_reached_and_the_state_count(void **state) {
    struct nisim_calibration c = {0};
    char why[200];
    assert_int_equal(
        read_text(&c,
                  "{\"bench\":\"notify\",\"mechanism\":\"m\",\"place\":\"p\",\"load\":\"l\",\"rate_per_s\":"
                  "1000,\"sent_per_s\":900,\"state\":\"near\",\"median_us\":2}\n",
                  why),
        WEFT_OK);
    assert_true(c.row[0].rate == 900);
    assert_string_equal(c.place.name[0], "p, near");
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calibrate__predicts_what_follows_its_model),
        cmocka_unit_test(calibrate__noise_stays_an_error),
        cmocka_unit_test(calibrate__the_same_seed_gives_the_same_halves),
        cmocka_unit_test(calibration_read__refusals),
        cmocka_unit_test(calibration_read__the_rate_reached_and_the_state_count),
        cmocka_unit_test(calibration_read__other_benchmarks_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
