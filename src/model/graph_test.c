/* The graph in memory: what is added is found, sorted, linked; the best observation; curves. */
#include "base/test.h"
#include "model/model_internal.h"

#include <math.h>
#include <string.h>

static struct weft_model *new_model(void) {
    struct weft_model *m;
    assert_int_equal(weft_model_create(&m), 0);
    return m;
}

static void entity__is_found_by_its_id(void **state) {
    struct weft_model *m = new_model();
    char id[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "n%d", i);
        assert_int_equal(weft_model_add_entity(m, id, WEFT_MODEL_NODE, "host"), i);
    }
    assert_int_equal(weft_model_find(m, "n777"), 777);
    assert_int_equal(weft_model_find(m, "n1000"), WEFT_MODEL_NONE);
    assert_int_equal(weft_model_add_entity(m, "n3", WEFT_MODEL_NODE, NULL), WEFT_MODEL_NONE);
    assert_string_equal(weft_model_id(m, 999), "n999");
    weft_model_destroy(m);
}

static void intern__equal_texts_have_one_place(void **state) {
    struct weft_model *m = new_model();
    weft_model_text a = weft_model_intern(m, "dram");
    assert_int_equal(weft_model_intern(m, "dram"), a);
    assert_int_not_equal(weft_model_intern(m, "hbm"), a);
    assert_int_equal(weft_model_intern(m, ""), 0);
    weft_model_destroy(m);
}

static void intern__texts_of_the_model_itself(void **state) {
    struct weft_model *m = new_model();
    char name[40];
    weft_model_ref e = weft_model_add_entity(m, "n", WEFT_MODEL_NODE, "host");
    for (int i = 0; i < 3000; i++) { /* its texts move now and then */
        snprintf(name, sizeof name, "x_property_with_a_long_name_%d", i);
        assert_int_equal(weft_model_add_property(m, e, name, weft_model_string(m, m->entities[e].class_name)),
                         0);
        assert_string_equal(weft_model_string(m, m->properties[i].value), "host");
        snprintf(name, sizeof name, "node-with-a-long-name-%d", i);
        weft_model_ref f =
            weft_model_add_entity(m, name, WEFT_MODEL_NODE, weft_model_string(m, m->entities[e].class_name));
        assert_string_equal(weft_model_string(m, m->entities[f].class_name), "host");
    }
    weft_model_destroy(m);
}

static void settle__links_children_and_neighbours(void **state) {
    struct weft_model *m = new_model();
    weft_model_ref root = weft_model_add_entity(m, "sw", WEFT_MODEL_NODE, "switch");
    weft_model_ref a = weft_model_add_entity(m, "a", WEFT_MODEL_NODE, NULL);
    weft_model_ref b = weft_model_add_entity(m, "b", WEFT_MODEL_NODE, NULL);
    weft_model_ref l = weft_model_add_entity(m, "l", WEFT_MODEL_LINK, "network");
    m->entities[a].parent = m->entities[b].parent = root;
    m->entities[l].ends[0] = a;
    m->entities[l].ends[1] = b;
    assert_int_equal(weft_model_settle(m), 0);
    assert_int_equal(m->entities[root].first_child, a);
    assert_int_equal(m->entities[a].next_sibling, b);
    assert_int_equal(m->entities[b].next_sibling, WEFT_MODEL_NONE);
    assert_int_equal(m->first_adjacent[root + 1] - m->first_adjacent[root], 0);
    assert_int_equal(m->first_adjacent[a + 1] - m->first_adjacent[a], 1);
    assert_int_equal(m->adjacent[m->first_adjacent[b]], l);
    weft_model_destroy(m);
}

static void settle__refuses_a_cycle(void **state) {
    struct weft_model *m = new_model();
    weft_model_ref a = weft_model_add_entity(m, "a", WEFT_MODEL_NODE, NULL);
    weft_model_ref b = weft_model_add_entity(m, "b", WEFT_MODEL_NODE, NULL);
    m->entities[a].parent = b;
    m->entities[b].parent = a;
    assert_int_equal(weft_model_settle(m), WEFT_E_INVAL);
    m->entities[a].parent = WEFT_MODEL_NONE;
    assert_int_equal(weft_model_settle(m), 0);
    m->entities[a].parent = 7;
    assert_int_equal(weft_model_settle(m), WEFT_E_INVAL);
    m->entities[a].parent = WEFT_MODEL_NONE;
    m->entities[a].ends[0] = b;
    assert_int_equal(weft_model_settle(m), WEFT_E_INVAL);
    weft_model_destroy(m);
}

static void observe(struct weft_model *m, weft_model_ref e, double value, enum weft_model_source source,
                    const char *op, const char *time) {
    struct weft_model_observation o = weft_model_observation_of(e, WEFT_MODEL_LATENCY, value, source);
    o.when.op = weft_model_intern(m, op);
    o.time = weft_model_intern(m, time);
    assert_int_equal(weft_model_add_observation(m, &o), 0);
}

static void best__condition_then_source_then_time(void **state) {
    struct weft_model *m = new_model();
    weft_model_ref e = weft_model_add_entity(m, "d", WEFT_MODEL_MEMORY, "nvm");
    weft_model_ref other = weft_model_add_entity(m, "e", WEFT_MODEL_MEMORY, "dram");
    observe(m, other, 1, WEFT_MODEL_MEASURED, "read", NULL);
    observe(m, e, 2, WEFT_MODEL_DATASHEET, "read", "2025-01-01");
    observe(m, e, 3, WEFT_MODEL_MEASURED, "read", "2020-01-01");
    observe(m, e, 4, WEFT_MODEL_MEASURED, "read", "2021-01-01");
    observe(m, e, 5, WEFT_MODEL_ASSUMED, "write", NULL);
    assert_int_equal(weft_model_settle(m), 0);
    struct weft_model_condition wanted = weft_model_any();
    wanted.op = weft_model_intern(m, "write");
    assert_true(weft_model_best(m, e, WEFT_MODEL_LATENCY, &wanted)->value == 5);
    wanted.op = weft_model_intern(m, "read");
    assert_true(weft_model_best(m, e, WEFT_MODEL_LATENCY, &wanted)->value == 4);
    assert_true(weft_model_best(m, e, WEFT_MODEL_LATENCY, NULL)->value == 4);
    wanted.op = weft_model_intern(m, "copy");
    assert_null(weft_model_best(m, e, WEFT_MODEL_LATENCY, &wanted));
    observe(m, e, 6, WEFT_MODEL_MEASURED, NULL,
            NULL); /* says of no operation: the assumed one of writes is closer */
    assert_int_equal(weft_model_settle(m), 0);
    wanted.op = weft_model_intern(m, "write");
    assert_true(weft_model_best(m, e, WEFT_MODEL_LATENCY, &wanted)->value == 5);
    wanted.op = weft_model_intern(m, "copy");
    assert_true(weft_model_best(m, e, WEFT_MODEL_LATENCY, &wanted)->value == 6);
    assert_null(weft_model_best(m, e, WEFT_MODEL_BANDWIDTH, NULL));
    assert_true(weft_model_value(m, e, WEFT_MODEL_BANDWIDTH, 7) == 7);
    weft_model_destroy(m);
}

static void observation__measured_again(void **state) {
    struct weft_model *m = new_model();
    weft_model_ref e = weft_model_add_entity(m, "d", WEFT_MODEL_MEMORY, "dram");
    struct weft_model_observation o =
        weft_model_observation_of(e, WEFT_MODEL_LATENCY, 1, WEFT_MODEL_MEASURED);
    o.tool = weft_model_intern(m, "a");
    assert_int_equal(weft_model_renew_observation(m, &o), 0);
    o.value = 2;
    assert_int_equal(weft_model_renew_observation(m, &o), 0);
    assert_int_equal(m->observation_count, 1);
    assert_true(m->observations[0].value == 2);
    o.tool = weft_model_intern(m, "b"); /* what others said stays */
    assert_int_equal(weft_model_renew_observation(m, &o), 0);
    o.when.size_B = 64;
    assert_int_equal(weft_model_renew_observation(m, &o), 0);
    o.source = WEFT_MODEL_ASSUMED;
    assert_int_equal(weft_model_renew_observation(m, &o), 0);
    assert_int_equal(m->observation_count, 4);
    o.value = -1;
    assert_int_equal(weft_model_renew_observation(m, &o), WEFT_E_INVAL);
    weft_model_destroy(m);
}

static void observation__wrong_ones_are_refused(void **state) {
    struct weft_model *m = new_model();
    weft_model_ref e = weft_model_add_entity(m, "d", WEFT_MODEL_MEMORY, "nvm");
    struct weft_model_observation o = weft_model_observation_of(e, WEFT_MODEL_CAPACITY, -1, WEFT_MODEL_OS);
    assert_int_equal(weft_model_add_observation(m, &o), WEFT_E_INVAL);
    o.value = NAN;
    assert_int_equal(weft_model_add_observation(m, &o), WEFT_E_INVAL);
    o.value = 1;
    o.entity = 7;
    assert_int_equal(weft_model_add_observation(m, &o), WEFT_E_INVAL);
    o.entity = e;
    o.attribute = WEFT_MODEL_BLOCKS; /* of a task */
    assert_int_equal(weft_model_add_observation(m, &o), WEFT_E_INVAL);
    weft_model_destroy(m);
}

static double at(enum weft_model_form form, uint32_t count, const double *p, double from, double to,
                 double x) {
    struct weft_model *m = new_model();
    weft_model_ref e = weft_model_add_entity(m, "d", WEFT_MODEL_MEMORY, NULL);
    struct weft_model_curve c = {.entity = e,
                                 .attribute = WEFT_MODEL_LATENCY,
                                 .form = (uint8_t)form,
                                 .over = weft_model_intern(m, "size"),
                                 .parameters = count,
                                 .from = from,
                                 .to = to};
    assert_int_equal(weft_model_add_curve(m, &c, p), 0);
    assert_int_equal(weft_model_settle(m), 0);
    double y = weft_model_curve_at(m, weft_model_find_curve(m, e, WEFT_MODEL_LATENCY, "size", NULL), x);
    weft_model_destroy(m);
    return y;
}

static void curve__each_form(void **state) {
    double none = NAN;
    assert_true(at(WEFT_MODEL_CONSTANT, 1, (double[]){3}, none, none, 9) == 3);
    assert_true(at(WEFT_MODEL_AFFINE, 2, (double[]){1, 2}, none, none, 3) == 7);
    assert_true(at(WEFT_MODEL_SATURATING, 3, (double[]){0, 2, 5}, none, none, 3) == 5);
    assert_true(at(WEFT_MODEL_SATURATING, 3, (double[]){0, 2, 5}, none, none, 1) == 2);
    assert_true(at(WEFT_MODEL_PIECEWISE, 6, (double[]){0, 1, 0, 10, 0, 1}, none, none, 9) == 1);
    assert_true(at(WEFT_MODEL_PIECEWISE, 6, (double[]){0, 1, 0, 10, 0, 1}, none, none, 10) == 10);
    assert_true(at(WEFT_MODEL_TIER, 5, (double[]){100, 16, 40, 64, 80}, none, none, 8) == 100);
    assert_true(at(WEFT_MODEL_TIER, 5, (double[]){100, 16, 40, 64, 80}, none, none, 128) == 100 + 35 + 40);
    assert_true(at(WEFT_MODEL_QUEUE_PS, 2, (double[]){1, 2}, none, none, 0.5) == 5);
    assert_true(at(WEFT_MODEL_QUEUE_FIFO, 2, (double[]){1, 2}, none, none, 0.5) == 4);
    assert_true(isinf(at(WEFT_MODEL_QUEUE_FIFO, 2, (double[]){1, 2}, none, none, 1)));
    double table[] = {1, 10, 3, 30, 4, 0};
    assert_true(at(WEFT_MODEL_TABLE, 6, table, none, none, 0) == 10);
    assert_true(at(WEFT_MODEL_TABLE, 6, table, none, none, 2) == 20);
    assert_true(at(WEFT_MODEL_TABLE, 6, table, none, none, 3.5) == 15);
    assert_true(at(WEFT_MODEL_TABLE, 6, table, none, none, 9) == 0);
    assert_true(at(WEFT_MODEL_AFFINE, 2, (double[]){1, 2}, 2, 4, 9) == 9); /* brought into the domain */
}

static void curve__of_the_wanted_operation(void **state) {
    struct weft_model *m = new_model();
    weft_model_ref e = weft_model_add_entity(m, "d", WEFT_MODEL_MEMORY, NULL);
    const char *const ops[] = {"read", "write", ""};
    for (int i = 0; i < 3; i++) {
        struct weft_model_curve c = {.entity = e,
                                     .attribute = WEFT_MODEL_LATENCY,
                                     .form = WEFT_MODEL_CONSTANT,
                                     .source = i == 2 ? WEFT_MODEL_MEASURED : WEFT_MODEL_LITERATURE,
                                     .over = weft_model_intern(m, "size"),
                                     .parameters = 1,
                                     .when = weft_model_any()};
        c.when.op = weft_model_intern(m, ops[i]);
        assert_int_equal(weft_model_add_curve(m, &c, (double[]){i}), 0);
    }
    assert_int_equal(weft_model_settle(m), 0);
    struct weft_model_condition wanted = weft_model_any();
    wanted.op = weft_model_intern(m, "write");
    const struct weft_model_curve *c = weft_model_find_curve(m, e, WEFT_MODEL_LATENCY, "size", &wanted);
    assert_true(weft_model_curve_at(m, c, 1) == 1);
    wanted.op = weft_model_intern(m, "copy");
    c = weft_model_find_curve(m, e, WEFT_MODEL_LATENCY, "size", &wanted);
    assert_true(weft_model_curve_at(m, c, 1) == 2);
    c = weft_model_find_curve(m, e, WEFT_MODEL_LATENCY, "size", NULL);
    assert_true(weft_model_curve_at(m, c, 1) == 2); /* the best source */
    assert_null(weft_model_find_curve(m, e, WEFT_MODEL_LATENCY, "threads", NULL));
    weft_model_destroy(m);
}

static void curve__wrong_number_of_parameters(void **state) {
    struct weft_model *m = new_model();
    weft_model_ref e = weft_model_add_entity(m, "d", WEFT_MODEL_MEMORY, NULL);
    struct weft_model_curve c = {
        .entity = e, .attribute = WEFT_MODEL_LATENCY, .form = WEFT_MODEL_TIER, .parameters = 2};
    assert_int_equal(weft_model_add_curve(m, &c, (double[]){1, 2}), WEFT_E_INVAL);
    weft_model_destroy(m);
}

static void quantity__for_people(void **state) {
    char text[40];
    weft_model_quantity(89e-9, WEFT_MODEL_DIM_TIME, text, sizeof text);
    assert_string_equal(text, "89 ns");
    weft_model_quantity(1e-6, WEFT_MODEL_DIM_TIME, text, sizeof text);
    assert_string_equal(text, "1 us");
    weft_model_quantity(16384, WEFT_MODEL_DIM_SIZE, text, sizeof text);
    assert_string_equal(text, "16 KiB");
    weft_model_quantity(12.5e9, WEFT_MODEL_DIM_RATE, text, sizeof text);
    assert_string_equal(text, "12.5 GB/s");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entity__is_found_by_its_id),
        cmocka_unit_test(intern__equal_texts_have_one_place),
        cmocka_unit_test(intern__texts_of_the_model_itself),
        cmocka_unit_test(settle__links_children_and_neighbours),
        cmocka_unit_test(settle__refuses_a_cycle),
        cmocka_unit_test(best__condition_then_source_then_time),
        cmocka_unit_test(observation__measured_again),
        cmocka_unit_test(observation__wrong_ones_are_refused),
        cmocka_unit_test(curve__each_form),
        cmocka_unit_test(curve__of_the_wanted_operation),
        cmocka_unit_test(curve__wrong_number_of_parameters),
        cmocka_unit_test(quantity__for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
