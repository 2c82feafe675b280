/* Names and units: each is found by its own name, and docs/MODEL.md names them all. */
#include "base/test.h"
#include "model/model_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *manual; /* docs/MODEL.md */

static int read_manual(void **state) {
    FILE *f = fopen(MODEL_MANUAL, "r");
    size_t cap = 1 << 20;
    manual = calloc(1, cap);
    if (!f || !manual) return -1;
    size_t n = fread(manual, 1, cap - 1, f);
    fclose(f);
    return n > 0 ? 0 : -1;
}
static int free_manual(void **state) {
    free(manual);
    return 0;
}

static void assert_in_manual(const char *name) {
    char quoted[80];
    snprintf(quoted, sizeof quoted, "`%s`", name);
    if (!strstr(manual, quoted)) fail_msg("docs/MODEL.md does not name %s", quoted);
}

static void names__are_found_again(void **state) {
    for (int k = 0; k < WEFT_MODEL_KINDS_COUNT; k++)
        assert_int_equal(model_kind_of(weft_model_kind_name((enum weft_model_kind)k)), k);
    for (int a = 0; a < WEFT_MODEL_ATTRIBUTES_COUNT; a++)
        assert_int_equal(model_attribute_of(weft_model_attribute_name((enum weft_model_attribute)a)), a);
    for (int r = 0; r < WEFT_MODEL_RELATIONS_COUNT; r++)
        assert_int_equal(model_relation_of(weft_model_relation_name((enum weft_model_relation_type)r)), r);
    for (int s = 0; s < WEFT_MODEL_SOURCES_COUNT; s++)
        assert_int_equal(model_source_of(weft_model_source_name((enum weft_model_source)s)), s);
    for (int f = 0; f < WEFT_MODEL_FORMS_COUNT; f++)
        assert_int_equal(model_form_of(weft_model_form_name((enum weft_model_form)f)), f);
    assert_int_equal(model_kind_of("nothing"), -1);
}

static void units__each_dimension_has_its_si_unit(void **state) {
    for (int d = 0; d < WEFT_MODEL_DIMS_COUNT; d++) {
        enum weft_model_dimension found;
        double factor;
        assert_true(weft_model_unit(weft_model_si_unit((enum weft_model_dimension)d), &found, &factor));
        assert_int_equal(found, d);
        assert_true(factor == 1);
    }
    enum weft_model_dimension d;
    double factor;
    assert_true(weft_model_unit("Gbit/s", &d, &factor) && factor == 125e6 && d == WEFT_MODEL_DIM_RATE);
    assert_true(weft_model_unit("MiB", &d, &factor) && factor == 1048576);
    assert_false(weft_model_unit("mib", &d, &factor));
}

static void classes__belong_to_their_kind(void **state) {
    assert_true(model_class_fits(WEFT_MODEL_MEMORY, "hbm"));
    assert_false(model_class_fits(WEFT_MODEL_MEMORY, "hb"));
    assert_false(model_class_fits(WEFT_MODEL_MEMORY, "cache"));
    assert_false(model_class_fits(WEFT_MODEL_TASK, "hbm"));
}

static void manual__names_everything(void **state) {
    enum weft_model_dimension d;
    for (int k = 0; k < WEFT_MODEL_KINDS_COUNT; k++) {
        assert_in_manual(weft_model_kind_name((enum weft_model_kind)k));
        if (!strstr(manual, model_kind_classes((enum weft_model_kind)k)))
            fail_msg("docs/MODEL.md does not have the classes %s",
                     model_kind_classes((enum weft_model_kind)k));
    }
    for (int a = 0; a < WEFT_MODEL_ATTRIBUTES_COUNT; a++)
        assert_in_manual(weft_model_attribute_name((enum weft_model_attribute)a));
    for (int r = 0; r < WEFT_MODEL_RELATIONS_COUNT; r++)
        assert_in_manual(weft_model_relation_name((enum weft_model_relation_type)r));
    for (int s = 0; s < WEFT_MODEL_SOURCES_COUNT; s++)
        assert_in_manual(weft_model_source_name((enum weft_model_source)s));
    for (int f = 0; f < WEFT_MODEL_FORMS_COUNT; f++)
        assert_in_manual(weft_model_form_name((enum weft_model_form)f));
    for (size_t i = 0; model_unit_at(i, &d); i++) assert_in_manual(model_unit_at(i, &d));
    for (size_t i = 0; model_property_at(i); i++) assert_in_manual(model_property_at(i));
    const char *name, *arguments, *help;
    for (size_t i = 0; weft_model_question_at(i, &name, &arguments, &help); i++)
        if (!strstr(manual, name)) fail_msg("docs/MODEL.md does not have the question %s", name);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names__are_found_again),
        cmocka_unit_test(units__each_dimension_has_its_si_unit),
        cmocka_unit_test(classes__belong_to_their_kind),
        cmocka_unit_test(manual__names_everything),
    };
    return cmocka_run_group_tests(tests, read_manual, free_manual);
}
