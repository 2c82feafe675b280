/* Tests that predictors say so when memory is short: each allocation of each question is made to fail in
 * turn, until it is answered; nothing is left, and no output is set before. SCOTCH's and GLPK's own
 * allocations are not ours to fail. */
#include "base/error.h"
#include "base/short_memory.h"
#include "model/predict/predict.h"
#include "model/predict/predict_test.h"

static void fail_each(bool (*job)(void)) {
    assert_true(short_memory_fail_each(job) > 0);
    size_t live = short_memory_live();
    assert_true(job());
    assert_int_equal(short_memory_live(), live);
}

static bool answered(int rc) {
    assert_true(rc == WEFT_OK || rc == WEFT_E_NOMEM);
    return rc == WEFT_OK;
}

static bool fit_pieces(void) {
    double x[40], y[40];
    struct weft_curve c = {.parameters = 99};
    for (int i = 0; i < 40; i++) x[i] = i + 1, y[i] = i < 20 ? 1 : 100 + i;
    bool ok = answered(weft_curve_fit(
        &(struct weft_curve_ask){.form = WEFT_MODEL_PIECEWISE, .pieces = 4, .hold_out = 2}, x, y, 40, &c));
    assert_int_equal(c.parameters, ok ? 6 : 99);
    return ok;
}

static bool learn_contention(void) {
    const struct weft_workload w[] = {{{0.2}}, {{0.9}}};
    const struct weft_pair_sample s[] = {{0, 1, 1.3}, {1, 0, 1.4}};
    struct weft_contention c = {.resources = 99};
    bool ok = answered(weft_contention_fit(w, 2, 1, s, 2, &c));
    assert_int_equal(c.resources, ok ? 1 : 99);
    return ok;
}

static bool place_processes(void) {
    const struct weft_flow flow[] = {{0, 1, 5}, {2, 3, 5}, {1, 2, 1}};
    const struct weft_process_ask a = {
        .processes = 4, .flow = flow, .flows = 3, .nodes = 2, .slots = (int[]){2, 2}};
    int node_of[4] = {7, 7, 7, 7};
    bool ok = answered(weft_place_processes(&a, node_of, NULL));
    assert_int_equal(node_of[0] == 7, !ok);
    return ok;
}

static bool place_objects(void) {
    const struct weft_memory_kind kind[] = {{2, 2, 2, 0, 0}, {9, 1, 1, 0, 0}};
    const struct weft_placed_object object[] = {{1, 5, 5, 0}, {2, 5, 5, 0}};
    const struct weft_object_ask a = {object, 2, kind, 2};
    struct weft_object_placement p;
    int kind_of[2] = {7, 7};
    bool ok = answered(weft_place_objects(&a, 0, kind_of, &p));
    assert_int_equal(kind_of[0] == 7, !ok);
    return ok;
}

static bool compare_policies(void) {
    const struct weft_reference trace[] = {{0, 0}, {1, 0}, {0, 0}};
    const struct weft_request request[] = {{0, 1, 0, 0}, {0, 1, 1, 0}};
    struct weft_replacement_result r = {.misses = 99};
    struct weft_arbitration_result a;
    bool ok = answered(weft_replay(WEFT_REPLACE_OPTIMAL, trace, 3, 1, &r));
    assert_int_equal(r.misses, ok ? 3 : 99);
    return ok && answered(weft_arbitrate(WEFT_ARBITRATE_LRU, request, 2, &a));
}

static void curve_fit__says_so(void **state) { fail_each(fit_pieces); }
static void contention_fit__says_so(void **state) { fail_each(learn_contention); }
static void place_processes__says_so(void **state) { fail_each(place_processes); }
static void place_objects__says_so(void **state) { fail_each(place_objects); }
static void policies__say_so(void **state) { fail_each(compare_policies); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curve_fit__says_so),       cmocka_unit_test(contention_fit__says_so),
        cmocka_unit_test(place_processes__says_so), cmocka_unit_test(place_objects__says_so),
        cmocka_unit_test(policies__say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
