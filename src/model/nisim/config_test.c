/* Tests of the configuration: what is written can be read, and every wrong value is refused with its path. */
#include "model/nisim/config.h"

#include "base/error.h"
#include "base/test.h"
#include "weft/model.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads the text as a file. */
static int parse_into(struct nisim_config *c, const char *text, char *why) {
    char name[] = "/tmp/weft-nisim-test-XXXXXX";
    FILE *f = fdopen(mkstemp(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    why[0] = 0;
    int rc = nisim_config_load(c, name, why, 300);
    remove(name);
    return rc;
}

static int parse(const char *text, char *why) {
    struct nisim_config c;
    nisim_config_default(&c);
    return parse_into(&c, text, why);
}

static void written(const struct nisim_config *c, char *text, size_t cap) {
    FILE *f = fmemopen(text, cap, "w");
    assert_int_equal(nisim_config_write(c, f), WEFT_OK);
    fclose(f);
}

static void config_write__what_is_written_is_read(void **state) {
    static char text[32768], again[32768];
    struct nisim_config a, b;
    char why[300];
    nisim_config_paper(&a);
    nisim_config_default(&b);
    a.policy = NISIM_OS;
    a.kernel_serial = 2271; /* a whole number, as the file wants it */
    written(&a, text, sizeof text);
    assert_int_equal(parse_into(&b, text, why), WEFT_OK);
    assert_string_equal(a.name, b.name);
    for (size_t at = offsetof(struct nisim_config, clock_Hz); at < sizeof a; at += sizeof(double)) {
        double x, y;
        memcpy(&x, (char *)&a + at, sizeof x);
        memcpy(&y, (char *)&b + at, sizeof y);
        assert_true(fabs(x - y) <= 1e-14 * fabs(x));
    }
    written(&b, again, sizeof again);
    nisim_config_default(&a);
    assert_int_equal(parse_into(&a, again, why), WEFT_OK);
}

/* What it writes is a model to all who read models. */
static void config_write__a_model(void **state) {
    static char text[32768];
    struct nisim_config c;
    struct weft_model *m;
    struct weft_model_fault fault;
    nisim_config_default(&c);
    written(&c, text, sizeof text);
    assert_int_equal(weft_model_create(&m), 0);
    assert_int_equal(weft_model_parse(m, text, strlen(text), "text", &fault), 0);
    assert_true(weft_model_value(m, weft_model_find(m, "wire"), WEFT_MODEL_BANDWIDTH, 0) == 2e9);
    assert_string_equal(weft_model_get_property(m, weft_model_find(m, "core"), "x_contexts"), "8");
    weft_model_destroy(m);
}

#define FILE_OF(entities)                                                                                    \
    "{\"weft_model\":1,\"defaults\":{\"source\":\"assumed\"},\"entities\":[" entities "]}"
#define CORE(rest)   FILE_OF("{\"id\":\"core\",\"kind\":\"compute\"," rest "}")
#define CLOCK(value) "\"values\":{\"clock\":" value "}"
#define OWN(values)  "\"properties\":{" values "}"

static void config_load__one_value(void **state) {
    struct nisim_config c;
    char why[300];
    nisim_config_default(&c);
    assert_int_equal(parse_into(&c,
                                CORE(CLOCK("{\"value\":4,\"unit\":\"GHz\"}") "," OWN(
                                    "\"x_issue\":\"4\",\"x_flush\":\"20 cycle\"")),
                                why),
                     WEFT_OK);
    assert_true(c.clock_Hz == 4e9 && c.issue == 4 && c.flush == 20 && c.contexts == 8);
}

/* The better source counts, as everywhere. */
static void config_load__the_best_of_several(void **state) {
    struct nisim_config c;
    char why[300];
    nisim_config_default(&c);
    assert_int_equal(
        parse_into(
            &c,
            CORE(CLOCK(
                "[{\"value\":4,\"unit\":\"GHz\"},{\"value\":5,\"unit\":\"GHz\",\"source\":\"datasheet\"}]")),
            why),
        WEFT_OK);
    assert_true(c.clock_Hz == 5e9);
}

static void config_load__refusals(void **state) {
    static const struct {
        const char *text, *why;
    } wrong[] = {
        {"[]", "an object is wanted"},
        {"{}", "\"weft_model\": 1 is missing"},
        {"{\"weft_model\":1,\n \"weft_model\":1}", ":2: "},
        {"{\"weft_model\":1,\"enttities\":[]}", "did you mean \"entities\"?"},
        {FILE_OF("{\"id\":\"l3\",\"kind\":\"buffer\"}"), "l3: this node has no such part"},
        {FILE_OF("{\"id\":\"l2\",\"kind\":\"compute\"}"), "l2 is of the kind compute: buffer is wanted"},
        {CORE(CLOCK("3e9")), "$.entities[0].values.clock: an object is wanted"},
        {CORE(CLOCK("{\"value\":3}")), "\"unit\" is missing"},
        {CORE(CLOCK("{\"value\":3,\"unit\":\"KHz\"}")), "$.entities[0].values.clock.unit"},
        {CORE(CLOCK("{\"value\":1,\"unit\":\"Hz\"}")), "core.clock is 1: from 1e+07 to 1e+11 Hz is possible"},
        {CORE("\"values\":{\"power\":{\"value\":1,\"unit\":\"W\"}}"),
         "core.power: this node has no such quantity"},
        {CORE("\"values\":{\"smt\":{\"value\":2,\"unit\":\"1\"}}"),
         "core.smt: this node has no such quantity"},
        {CORE(OWN("\"x_contxts\":\"2\"")),
         "core.contxts: this node has no such quantity; did you mean contexts?"},
        {CORE(OWN("\"x_clock\":\"2e9 Hz\"")), "core.x_clock: it is one of the values, \"clock\""},
        {FILE_OF(
             "{\"id\":\"l2\",\"kind\":\"buffer\",\"values\":{\"latency\":{\"value\":4,\"unit\":\"ns\"}}}"),
         "l2.latency: it is a property, \"x_latency\": \"8 cycle\""},
        {CORE(OWN("\"x_contexts\":\"2.5\"")), "core.x_contexts is 2.5: a whole number is wanted"},
        {CORE(OWN("\"x_contexts\":\"many\"")), "core.x_contexts is \"many\": a number is wanted"},
        {CORE(OWN("\"x_flush\":\"3 ns\"")), "core.x_flush is \"3 ns\": the unit cycle is wanted"},
        {CORE(OWN("\"x_contexts\":\"2\"")), "compute.threads is 3: core.contexts is only 2"},
        {FILE_OF(
             "{\"id\":\"l1\",\"kind\":\"buffer\",\"values\":{\"capacity\":{\"value\":3000,\"unit\":\"B\"}}}"),
         "a power of two is wanted"},
        {FILE_OF(
             "{\"id\":\"l1\",\"kind\":\"buffer\",\"values\":{\"capacity\":{\"value\":16,\"unit\":\"MiB\"}}}"),
         "L2, which includes it, has only"},
        {FILE_OF(
             "{\"id\":\"msgbuf\",\"kind\":\"buffer\",\"values\":{\"capacity\":{\"value\":256,\"unit\":\"B\"},"
             "\"ways\":{\"value\":8,\"unit\":\"1\"}}}"),
         "msgbuf.ways is 8: its capacity of 256 B holds only 4 lines"},
        {FILE_OF("{\"id\":\"ni\",\"kind\":\"compute\",\"properties\":{\"x_start\":\"8192 B\"}}"),
         "ni.start is 8192: ni.fifo"},
        {FILE_OF("{\"id\":\"handler\",\"kind\":\"task\",\"properties\":{\"x_none_free\":\"drop\"}}"),
         "none_free is \"drop\": queue, evict or os is wanted"},
        {FILE_OF("{\"id\":\"ni\",\"kind\":\"compute\"},{\"id\":\"core\",\"kind\":\"compute\"},{\"id\":"
                 "\"wire\",\"kind\":"
                 "\"link\",\"ends\":[\"core\",\"ni\"]}"),
         "wire.ends[0] is core: in this node it is ni"},
        {CORE("\"curves\":{\"clock\":{\"form\":\"constant\",\"over\":\"threads\",\"parameters\":{\"a\":1},"
              "\"unit\":\"Hz\","
              "\"over_unit\":\"1\"}}"),
         "curves: this node's quantities are single values"},
        {"{\"weft_model\":1,\"entities\":[{\"id\":\"l1\",\"kind\":\"buffer\"},{\"id\":\"l2\",\"kind\":"
         "\"buffer\"}],"
         "\"relations\":[{\"relation\":\"backs\",\"from\":\"l1\",\"to\":\"l2\"}]}",
         "\"l1 backs l2\" is not how this node is built"},
    };
    char why[300];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(parse(wrong[i].text, why), WEFT_E_INVAL);
        if (!strstr(why, wrong[i].why))
            fail_msg("%s was refused with \"%s\" instead of \"%s\"", wrong[i].text, why, wrong[i].why);
    }
}

static void config_load__a_refusal_changes_nothing(void **state) {
    struct nisim_config c, before;
    char why[300];
    nisim_config_default(&c);
    before = c;
    assert_int_equal(
        parse_into(&c, CORE(CLOCK("{\"value\":4,\"unit\":\"GHz\"}") "," OWN("\"x_contexts\":\"99\"")), why),
        WEFT_E_INVAL);
    assert_memory_equal(&c, &before, sizeof c);
    assert_int_equal(nisim_config_load(&c, "/nowhere/x.json", why, sizeof why), WEFT_E_INVAL);
    assert_non_null(strstr(why, "/nowhere/x.json"));
}

static void config_set__values_and_refusals(void **state) {
    struct nisim_config c;
    char why[300];
    nisim_config_default(&c);
    assert_int_equal(nisim_config_set(&c, "wire.bandwidth=4e9", why, sizeof why), WEFT_OK);
    assert_true(c.wire_bps == 4e9);
    assert_int_equal(nisim_config_set(&c, "handler.none_free=os", why, sizeof why), WEFT_OK);
    assert_true(c.policy == NISIM_OS);
    static const char *const wrong[][2] = {{"wire", "PART.NAME=VALUE"},
                                           {"wire.speed=1", "there is no wire.speed"},
                                           {"wire.bandwidth=fast", "is \"fast\""},
                                           {"core.issue=0", "from 1 to 64"},
                                           {"compute.threads=9", "core.contexts is only 8"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(nisim_config_set(&c, wrong[i][0], why, sizeof why), WEFT_E_INVAL);
        assert_non_null(strstr(why, wrong[i][1]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_write__what_is_written_is_read),
        cmocka_unit_test(config_write__a_model),
        cmocka_unit_test(config_load__one_value),
        cmocka_unit_test(config_load__the_best_of_several),
        cmocka_unit_test(config_load__refusals),
        cmocka_unit_test(config_load__a_refusal_changes_nothing),
        cmocka_unit_test(config_set__values_and_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
