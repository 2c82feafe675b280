/* Without memory: each allocation of reading, settling, adding to and writing a model fails in turn; the call
 * says so, nothing is left behind, and the model is as it was. */
#include "base/short_memory.h"
#include "base/test.h"
#include "model/model_internal.h"

#include <stdlib.h>
#include <string.h>

static const char first[] =
    "{\"weft_model\": 1, \"name\": \"x\", \"references\": {\"r\": {\"title\": \"T\", \"year\": 2020}},"
    "\"defaults\": {\"source\": \"assumed\", \"ref\": \"r\"}, \"entities\": ["
    "{\"id\": \"a\", \"kind\": \"node\", \"properties\": {\"host\": \"h\", \"x_own\": \"y\"}},"
    "{\"id\": \"m\", \"kind\": \"memory\", \"in\": \"a\", \"values\": {\"latency\": {\"value\": 1, \"unit\": "
    "\"ns\"}},"
    "\"curves\": {\"latency\": {\"over\": \"load\", \"form\": \"table\", \"unit\": \"ns\", \"parameters\": "
    "{\"points\": [[0, 1], [1, 2]]}}}},"
    "{\"id\": \"l\", \"kind\": \"link\", \"ends\": [\"a\", \"m\"]}],"
    "\"relations\": [{\"from\": \"a\", \"relation\": \"shares\", \"to\": \"m\"}]}";
static const char second[] =
    "{\"weft_model\": 1, \"entities\": [{\"id\": \"b\", \"kind\": \"node\", \"in\": \"a\"}], "
    "\"observations\": ["
    "{\"entity\": \"m\", \"attribute\": \"capacity\", \"value\": 2, \"unit\": \"MiB\", \"source\": \"os\"}]}";

static int parse(struct weft_model *m, const char *text) {
    struct weft_model_fault f;
    int rc = weft_model_parse(m, text, strlen(text), "text", &f);
    if (rc) assert_true(f.reason[0] != '\0');
    return rc;
}

static bool read_one(void) {
    struct weft_model *m;
    if (weft_model_create(&m)) return false;
    int rc = parse(m, first);
    assert_true(rc == 0 || rc == WEFT_E_NOMEM);
    assert_int_equal(m->entity_count, rc ? 0 : 3);
    weft_model_destroy(m);
    return rc == 0;
}

static struct weft_model *kept;

/* What the first file said stays, in its order, however the second ends. */
static bool read_more(void) {
    int rc = parse(kept, second);
    assert_true(rc == 0 || rc == WEFT_E_NOMEM || rc == WEFT_E_INVAL);
    if (rc == WEFT_E_INVAL) return true; /* it is there already: the run that succeeded */
    weft_model_ref m = weft_model_find(kept, "m");
    assert_int_equal(kept->entities[m].observations, rc ? 1 : 2);
    assert_true(weft_model_value(kept, m, WEFT_MODEL_LATENCY, 0) == 1e-9);
    assert_int_equal(kept->entity_count, rc ? 3 : 4);
    return rc == 0;
}

static void parse__each_allocation_fails_in_turn(void **state) {
    size_t before = short_memory_live();
    assert_true(short_memory_fail_each(read_one) > 10);
    assert_int_equal(short_memory_live(), before);
    assert_int_equal(weft_model_create(&kept), 0);
    assert_int_equal(parse(kept, first), 0);
    assert_true(short_memory_fail_each(read_more) > 2);
    weft_model_destroy(kept);
    assert_int_equal(short_memory_live(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(parse__each_allocation_fails_in_turn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
