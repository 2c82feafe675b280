/* Tests of the configuration: what is written can be read, and every wrong value is refused with its path. */
#include "model/nisim/config.h"

#include "base/error.h"
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse(const char *text, char *why) {
    struct nisim_config c;
    json_error_t error;
    nisim_config_default(&c);
    json_t *root = json_loads(text, JSON_DECODE_ANY, &error);
    assert_non_null(root);
    why[0] = 0;
    int rc = nisim_config_parse(&c, root, why, 300);
    json_decref(root);
    return rc;
}

static void config_json__what_is_written_is_read(void **state) {
    struct nisim_config a, b;
    char why[300];
    nisim_config_paper(&a);
    nisim_config_default(&b);
    a.policy = NISIM_OS;
    json_t *j = nisim_config_json(&a);
    assert_int_equal(nisim_config_parse(&b, j, why, sizeof why), WEFT_OK);
    assert_string_equal(a.name, b.name);
    assert_true(a.kernel_serial > b.kernel_serial - 1 &&
                a.kernel_serial < b.kernel_serial + 1); /* written as a whole number */
    a.kernel_serial = b.kernel_serial;
    json_t *again = nisim_config_json(&b), *first = nisim_config_json(&a);
    assert_true(json_equal(again, first));
    json_decref(j);
    json_decref(again);
    json_decref(first);
}

static void config_parse__one_value(void **state) {
    struct nisim_config c;
    char why[300];
    nisim_config_default(&c);
    json_t *j =
        json_loads("{\"weft_model\":1,\"entities\":[{\"id\":\"core\",\"kind\":\"compute\",\"attributes\":"
                   "{\"clock\":{\"value\":4e9,\"unit\":\"Hz\",\"source\":\"assumed\"}}}]}",
                   0, NULL);
    assert_int_equal(nisim_config_parse(&c, j, why, sizeof why), WEFT_OK);
    assert_true(c.clock_Hz == 4e9);
    json_decref(j);
}

#define CORE(attributes)                                                                                     \
    "{\"weft_model\":1,\"entities\":[{\"id\":\"core\",\"kind\":\"compute\",\"attributes\":{" attributes "}}" \
    "]}"

static void config_parse__refusals(void **state) {
    static const struct {
        const char *text, *why;
    } wrong[] = {
        {"[]", "an object is wanted"},
        {"{}", "weft_model: 1 is wanted"},
        {"{\"weft_model\":2}", "weft_model: 1 is wanted"},
        {"{\"weft_model\":1,\"enttities\":[]}", "enttities: unknown"},
        {"{\"weft_model\":1,\"name\":5}", "name: a string is wanted"},
        {"{\"weft_model\":1,\"entities\":{}}", "entities: an array is wanted"},
        {"{\"weft_model\":1,\"entities\":[7]}", "entities[0]: an object is wanted"},
        {"{\"weft_model\":1,\"entities\":[{\"kind\":\"compute\"}]}", "entities[0].id: a string is wanted"},
        {"{\"weft_model\":1,\"entities\":[{\"id\":\"l3\",\"kind\":\"buffer\"}]}",
         "entities[0].id is \"l3\": this node has no such part"},
        {"{\"weft_model\":1,\"entities\":[{\"id\":\"l2\",\"kind\":\"compute\"}]}",
         "entities[0].kind is \"compute\": l2 is a \"buffer\""},
        {"{\"weft_model\":1,\"entities\":[{\"id\":\"l2\",\"kind\":\"buffer\",\"size\":1}]}",
         "entities[0].size: unknown"},
        {"{\"weft_model\":1,\"entities\":[{\"id\":\"l2\",\"kind\":\"buffer\",\"attributes\":[]}]}",
         "entities[0].attributes: an object is wanted"},
        {CORE("\"clok\":{\"value\":1,\"unit\":\"Hz\"}"),
         "entities[0].attributes.clok: core has no such attribute; did you mean clock?"},
        {CORE("\"clock\":3e9"), "entities[0].attributes.clock: an object {\"value\", \"unit\"} is wanted"},
        {CORE("\"clock\":{\"unit\":\"Hz\"}"), "entities[0].attributes.clock.value is missing"},
        {CORE("\"clock\":{\"value\":3e9}"), "entities[0].attributes.clock.unit is missing: \"Hz\" is wanted"},
        {CORE("\"clock\":{\"value\":3,\"unit\":\"GHz\"}"),
         "entities[0].attributes.clock.unit is \"GHz\": \"Hz\" is wanted"},
        {CORE("\"clock\":{\"value\":\"3e9\",\"unit\":\"Hz\"}"),
         "entities[0].attributes.clock.value: a number is wanted"},
        {CORE("\"clock\":{\"value\":1,\"unit\":\"Hz\"}"),
         "entities[0].attributes.clock is 1: from 1e+07 to 1e+11 Hz is possible"},
        {CORE("\"contexts\":{\"value\":2.5,\"unit\":\"1\"}"), "contexts is 2.5: a whole number is wanted"},
        {CORE("\"contexts\":{\"value\":2,\"unit\":\"1\"}"), "compute.threads is 3: core.contexts is only 2"},
        {CORE("\"clock\":{\"value\":1e9,\"unit\":\"Hz\",\"vlaue\":1}"),
         "entities[0].attributes.clock.vlaue: unknown"},
        {"{\"weft_model\":1,\"entities\":[{\"id\":\"l1\",\"kind\":\"buffer\",\"attributes\":{\"capacity\":{"
         "\"value\":3000,\"unit\":\"B\"}}}]}",
         "a power of two is wanted"},
        {"{\"weft_model\":1,\"entities\":[{\"id\":\"l1\",\"kind\":\"buffer\",\"attributes\":{\"capacity\":{"
         "\"value\":16777216,\"unit\":\"B\"}}}]}",
         "L2, which includes it, has only"},
        {"{\"weft_model\":1,\"entities\":[{\"id\":\"msgbuf\",\"kind\":\"buffer\",\"attributes\":{"
         "\"capacity\":{\"value\":256,\"unit\":\"B\"},\"ways\":{\"value\":8,\"unit\":\"1\"}}}]}",
         "msgbuf.ways is 8: its capacity of 256 B holds only 4 lines"},
        {"{\"weft_model\":1,\"entities\":[{\"id\":\"ni\",\"kind\":\"compute\",\"attributes\":{\"start\":{"
         "\"value\":8192,\"unit\":\"B\"}}}]}",
         "ni.start is 8192: ni.fifo"},
        {"{\"weft_model\":1,\"entities\":[{\"id\":\"handler\",\"kind\":\"task\",\"attributes\":{\"none_"
         "free\":{\"value\":\"drop\",\"unit\":\"policy\"}}}]}",
         "none_free is \"drop\": queue, evict or os is wanted"},
        {"{\"weft_model\":1,\"relations\":[{\"kind\":\"backs\",\"from\":\"l1\",\"to\":\"l2\"}]}",
         "relations[0]: \"l1 backs l2\" is not how this node is built"},
        {"{\"weft_model\":1,\"relations\":[{\"kind\":\"backs\"}]}",
         "relations[0]: kind, from and to are wanted"},
    };
    char why[300];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(parse(wrong[i].text, why), WEFT_E_INVAL);
        if (!strstr(why, wrong[i].why))
            fail_msg("%s was refused with \"%s\" instead of \"%s\"", wrong[i].text, why, wrong[i].why);
    }
}

static void config_parse__a_refusal_changes_nothing(void **state) {
    struct nisim_config c, before;
    char why[300];
    nisim_config_default(&c);
    before = c;
    json_t *j = json_loads(
        CORE("\"clock\":{\"value\":4e9,\"unit\":\"Hz\"},\"contexts\":{\"value\":99,\"unit\":\"1\"}"), 0,
        NULL);
    assert_int_equal(nisim_config_parse(&c, j, why, sizeof why), WEFT_E_INVAL);
    assert_memory_equal(&c, &before, sizeof c);
    json_decref(j);
}

static void config_load__files(void **state) {
    struct nisim_config c;
    char why[300], name[] = "/tmp/weft-nisim-test-XXXXXX";
    nisim_config_default(&c);
    assert_int_equal(nisim_config_load(&c, "/nowhere/x.json", why, sizeof why), WEFT_E_INVAL);
    assert_non_null(strstr(why, "/nowhere/x.json"));
    FILE *f = fdopen(mkstemp(name), "w");
    fputs("{\"weft_model\":1,\n \"weft_model\":1}", f);
    fclose(f);
    assert_int_equal(nisim_config_load(&c, name, why, sizeof why), WEFT_E_INVAL);
    assert_non_null(strstr(why, ":2:"));
    remove(name);
}

static void config_set__values_and_refusals(void **state) {
    struct nisim_config c;
    char why[300];
    nisim_config_default(&c);
    assert_int_equal(nisim_config_set(&c, "wire.bandwidth=4e9", why, sizeof why), WEFT_OK);
    assert_true(c.wire_bps == 4e9);
    assert_int_equal(nisim_config_set(&c, "handler.none_free=os", why, sizeof why), WEFT_OK);
    assert_true(c.policy == NISIM_OS);
    static const char *const wrong[][2] = {{"wire", "PART.ATTRIBUTE=VALUE"},
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
        cmocka_unit_test(config_json__what_is_written_is_read),
        cmocka_unit_test(config_parse__one_value),
        cmocka_unit_test(config_parse__refusals),
        cmocka_unit_test(config_parse__a_refusal_changes_nothing),
        cmocka_unit_test(config_load__files),
        cmocka_unit_test(config_set__values_and_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
