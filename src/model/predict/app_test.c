/* Applications in model files: what their parts take, when they end, what that rests on, what is missing. */
#include "model/predict/app.h"

#include "base/error.h"
#include "model/predict/predict_test.h"

#include <string.h>

/* Two hosts with a core and a memory each; a device behind a link; a service between the hosts. */
static const char machine[] =
    "{\"weft_model\": 1, \"defaults\": {\"source\": \"datasheet\"}, \"entities\": ["
    "{\"id\": \"a\", \"kind\": \"node\", \"class\": \"host\"}, {\"id\": \"b\", \"kind\": \"node\", "
    "\"class\": \"host\"},"
    "{\"id\": \"a.core\", \"kind\": \"compute\", \"class\": \"core\", \"in\": \"a\", \"values\": {\"rate\": "
    "{\"value\": 1, "
    "\"unit\": \"Gop/s\"}}},"
    "{\"id\": \"b.core\", \"kind\": \"compute\", \"class\": \"core\", \"in\": \"b\", \"values\": {\"rate\": "
    "{\"value\": 2, "
    "\"unit\": \"Gop/s\"}}},"
    "{\"id\": \"a.dram\", \"kind\": \"memory\", \"class\": \"dram\", \"in\": \"a\", \"values\": "
    "{\"bandwidth\": ["
    "{\"value\": 10, \"unit\": \"GB/s\", \"when\": {\"op\": \"read\"}}, {\"value\": 5, \"unit\": \"GB/s\", "
    "\"when\": {\"op\": "
    "\"write\"}}]}},"
    "{\"id\": \"a.gpu\", \"kind\": \"compute\", \"class\": \"gpu\", \"in\": \"a\", \"values\": {\"rate\": "
    "{\"value\": 100, "
    "\"unit\": \"Gop/s\"}, \"launch\": {\"value\": 1, \"unit\": \"ms\"}}},"
    "{\"id\": \"a.pcie\", \"kind\": \"link\", \"class\": \"pcie\", \"in\": \"a\", \"ends\": [\"a.gpu\", "
    "\"a\"], \"values\": "
    "{\"latency\": {\"value\": 1, \"unit\": \"us\"}, \"bandwidth\": {\"value\": 1, \"unit\": \"GB/s\"}}},"
    "{\"id\": \"udp\", \"kind\": \"service\", \"class\": \"udp\", \"ends\": [\"a\", \"b\"], \"values\": "
    "{\"latency\": "
    "{\"value\": 10, \"unit\": \"us\"}, \"gap_per_byte\": {\"value\": 1, \"unit\": \"ns/B\"}, "
    "\"overhead_send\": {\"value\": 1, "
    "\"unit\": \"us\"}}}]}";

static struct weft_model *load(const char *application) {
    struct weft_model *m;
    struct weft_model_fault fault;
    assert_int_equal(weft_model_create(&m), 0);
    int rc = weft_model_parse(m, machine, strlen(machine), "machine", &fault);
    if (!rc) rc = weft_model_parse(m, application, strlen(application), "application", &fault);
    if (rc) fprintf(stderr, "%s:%u: %s\n", fault.file, fault.line, fault.reason);
    assert_int_equal(rc, 0);
    return m;
}

static struct weft_app *predict(struct weft_model *m) {
    struct weft_app *app;
    assert_int_equal(weft_app_predict(m, &app), WEFT_OK);
    if (app->missing_count) fprintf(stderr, "missing: %s\n", app->missing[0]);
    return app;
}

#define HEAD "{\"weft_model\": 1, \"defaults\": {\"source\": \"measured\"}, \"entities\": ["
#define TASK(name, gop)                                                                                      \
    "{\"id\": \"" name "\", \"kind\": \"task\", \"values\": {\"work\": {\"value\": " gop                     \
    ", \"unit\": \"Gop\"}}}"
#define RUNS(unit, task) "{\"from\": \"" unit "\", \"relation\": \"runs\", \"to\": \"" task "\"}"
#define FLOW(name, from, to, sync)                                                                           \
    "{\"id\": \"" name "\", \"kind\": \"flow\", \"ends\": [\"" from "\", \"" to                              \
    "\"], \"properties\": {\"sync\": " sync "}, \"values\": {\"size\": {\"value\": 1, \"unit\": \"MB\"}, "   \
    "\"count\": {\"value\": 1, \"unit\": \"1\"}}}"

static void app__a_receiver_waits_for_a_synchronous_flow(void **state) {
    struct weft_model *m = load(HEAD TASK("t", "3") "," TASK("u", "4") "," FLOW(
        "f", "t", "u", "true") "], \"relations\": [" RUNS("a.core", "t") "," RUNS("b.core", "u") "]}");
    struct weft_app *app = predict(m);
    assert_int_equal(app->parts, 3);
    assert_within(app->part[0].seconds, 3, 1e-9);
    assert_within(app->part[1].seconds, 2, 1e-9);
    assert_within(app->part[2].seconds, 1e-6 + 10e-6 + 1e-3, 1e-6);
    assert_within(app->seconds, 3 + 2 + 1e-3 + 12e-6, 1e-6); /* the overhead is the sender's too */
    weft_app_free(app);
    weft_model_destroy(m);
}

static void app__others_run_beside_their_messages(void **state) {
    struct weft_model *m =
        load(HEAD TASK("t", "3") "," TASK("u", "4") "," FLOW("f", "t", "u", "false") "," FLOW(
            "g", "u", "t", "false") "], \"relations\": [" RUNS("a.core", "t") "," RUNS("b.core", "u") "]}");
    struct weft_app *app = predict(m);
    assert_within(app->seconds, 3 + 1e-6, 1e-9);
    weft_app_free(app);
    weft_model_destroy(m);
}

static void app__tasks_of_one_unit_follow_one_another(void **state) {
    struct weft_model *m = load(HEAD TASK("t", "3") "," TASK("u", "4") "], \"relations\": [" RUNS(
        "a.core", "t") "," RUNS("a.core", "u") "]}");
    struct weft_app *app = predict(m);
    assert_within(app->seconds, 7, 1e-9);
    weft_app_free(app);
    weft_model_destroy(m);
}

static const char data[] = HEAD TASK(
    "t",
    "0.1") ","
           "{\"id\": \"o\", \"kind\": \"object\", \"values\": {\"size\": {\"value\": 1, \"unit\": \"GB\"}}},"
           "{\"id\": \"x\", \"kind\": \"access\", \"ends\": [\"t\", \"o\"], \"values\": {\"reads\": "
           "{\"value\": 4, \"unit\": "
           "\"GB\"}, \"writes\": {\"value\": 1, \"unit\": \"GB\"}}}], \"relations\": [" RUNS(
               "a.core", "t") ", {\"from\": \"a.dram\", \"relation\": \"places\", \"to\": \"o\"}]}";

/* The larger of computing and memory, reads and writes at their own rates. */
static void app__memory_binds_a_task(void **state) {
    struct weft_model *m = load(data);
    struct weft_app *app = predict(m);
    assert_within(app->part[0].memory_s, 0.4 + 0.2, 1e-9);
    assert_within(app->seconds, 0.6, 1e-9);
    assert_int_equal(app->part[0].bases, 6); /* work, rate, two bandwidths, reads, writes */
    weft_app_free(app);
    weft_model_destroy(m);
}

static void app_forecast__moves_data_over_links(void **state) {
    struct weft_model *m = load(data);
    struct weft_forecast f;
    char why[200];
    weft_model_ref task = weft_model_find(m, "t");
    assert_int_equal(weft_app_forecast(m, task, weft_model_find(m, "a.gpu"), &f, why, sizeof why), WEFT_OK);
    assert_within(f.kernel_s, 2e-3, 1e-9);
    assert_within(f.in_s, 4 + 1e-6, 1e-9);
    assert_within(f.out_s, 1 + 1e-6, 1e-9);
    assert_int_equal(weft_app_forecast(m, task, weft_model_find(m, "b.core"), &f, why, sizeof why),
                     WEFT_E_NOENT);
    assert_non_null(strstr(why, "there is no way from b.core to a.dram"));
    weft_model_destroy(m);
}

/* What it was seen to take goes before the roofline. */
static void app__a_duration_goes_before_the_roofline(void **state) {
    struct weft_model *m =
        load(HEAD "{\"id\": \"t\", \"kind\": \"task\", \"values\": {\"duration\": {\"value\": 5, \"unit\": "
                  "\"s\", \"when\": {\"from\": \"a.core\"}}, \"work\": {\"value\": 4, \"unit\": \"Gop\"}}}],"
                  "\"relations\": [" RUNS("a.core", "t") "]}");
    struct weft_app *app = predict(m);
    struct weft_forecast f;
    assert_true(app->part[0].measured);
    assert_within(app->seconds, 5, 1e-9);
    assert_int_equal(weft_app_forecast(m, weft_model_find(m, "t"), weft_model_find(m, "b.core"), &f, NULL, 0),
                     WEFT_OK);
    assert_within(f.seconds, 2, 1e-9);
    weft_app_free(app);
    weft_model_destroy(m);
}

static void app__blocks_are_shared_out(void **state) {
    struct weft_model *m = load(
        HEAD "{\"id\": \"t\", \"kind\": \"task\", \"values\": {\"work\": {\"value\": 30, \"unit\": \"Gop\"}, "
             "\"blocks\": {\"value\": 30, \"unit\": \"1\"}}}], \"relations\": [" RUNS("a.core", "t") "," RUNS(
                 "b.core", "t") "]}");
    struct weft_app *app = predict(m);
    assert_int_equal(app->part[0].units, 2);
    assert_within(app->seconds, 10, 1e-6);
    weft_app_free(app);
    weft_model_destroy(m);
}

static void app__says_what_is_missing(void **state) {
    struct weft_model *m = load(HEAD TASK(
        "t", "3") ",{\"id\": \"u\", \"kind\": \"task\"}], \"relations\": [" RUNS("a.core", "u") "]}");
    struct weft_app *app;
    assert_int_equal(weft_app_predict(m, &app), WEFT_OK);
    assert_true(isnan(app->seconds));
    assert_int_equal(app->missing_count, 2);
    assert_non_null(strstr(app->missing[0], "nothing runs the task t"));
    assert_non_null(strstr(app->missing[1], "the task u has neither work"));
    weft_app_free(app);
    weft_model_destroy(m);
}

static void app__refuses_a_circle(void **state) {
    struct weft_model *m =
        load(HEAD TASK("t", "3") "," TASK("u", "4") "," FLOW("f", "t", "u", "true") "," FLOW(
            "g", "u", "t", "true") "], \"relations\": [" RUNS("a.core", "t") "," RUNS("b.core", "u") "]}");
    struct weft_app *app;
    assert_int_equal(weft_app_predict(m, &app), WEFT_E_INVAL);
    assert_non_null(strstr(app->missing[0], "in a circle: t waits for itself"));
    weft_app_free(app);
    weft_model_destroy(m);
}

static void app__refuses_times_without_end(void **state) {
    struct weft_model *m =
        load(HEAD TASK("t", "1") ",{\"id\": \"z\", \"kind\": \"compute\"}], \"relations\": [" RUNS(
            "z", "t") "], \"observations\": ["
                      "{\"entity\": \"z\", \"attribute\": \"rate\", \"value\": 0, \"unit\": \"op/s\"}]}");
    struct weft_app *app;
    assert_int_equal(weft_app_predict(m, &app), WEFT_OK);
    assert_int_equal(app->missing_count, 1);
    assert_non_null(strstr(app->missing[0], "give no finite time"));
    weft_app_free(app);
    weft_model_destroy(m);
}

static void app__needs_a_task(void **state) {
    struct weft_model *m = load(HEAD "]}");
    struct weft_app *app;
    assert_int_equal(weft_app_predict(m, &app), WEFT_E_NOENT);
    weft_model_destroy(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(app__a_receiver_waits_for_a_synchronous_flow),
        cmocka_unit_test(app__others_run_beside_their_messages),
        cmocka_unit_test(app__tasks_of_one_unit_follow_one_another),
        cmocka_unit_test(app__memory_binds_a_task),
        cmocka_unit_test(app_forecast__moves_data_over_links),
        cmocka_unit_test(app__a_duration_goes_before_the_roofline),
        cmocka_unit_test(app__blocks_are_shared_out),
        cmocka_unit_test(app__says_what_is_missing),
        cmocka_unit_test(app__refuses_a_circle),
        cmocka_unit_test(app__refuses_times_without_end),
        cmocka_unit_test(app__needs_a_task),
    };
    return cmocka_run_group_tests_name("app", tests, NULL, NULL);
}
