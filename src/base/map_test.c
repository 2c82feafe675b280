/* Tests of the map, among them a long random run against a plain array. */
#include "base/map.h"

#include "base/error.h"
#include "base/test.h"

static int some, other;

static void map_put__finds_again(void **state) {
    struct weft_map m;
    uint64_t keys[] = {0, 1, 2, 16, UINT64_MAX};
    weft_map_init(&m);
    assert_null(weft_map_get(&m, 0));
    for (size_t i = 0; i < 5; i++) assert_int_equal(weft_map_put(&m, keys[i], &keys[i]), WEFT_OK);
    for (size_t i = 0; i < 5; i++) assert_ptr_equal(weft_map_get(&m, keys[i]), &keys[i]);
    assert_null(weft_map_get(&m, 3));
    assert_int_equal(m.count, 5);
    weft_map_fini(&m);
}

static void map_put__refuses_what_is_there_and_null(void **state) {
    struct weft_map m;
    weft_map_init(&m);
    assert_int_equal(weft_map_put(&m, 7, &some), WEFT_OK);
    assert_int_equal(weft_map_put(&m, 7, &other), WEFT_E_EXIST);
    assert_ptr_equal(weft_map_get(&m, 7), &some);
    assert_int_equal(weft_map_put(&m, 8, NULL), WEFT_E_INVAL);
    weft_map_fini(&m);
}

static void map_remove__gives_the_value_once(void **state) {
    struct weft_map m;
    weft_map_init(&m);
    assert_null(weft_map_remove(&m, 7));
    assert_int_equal(weft_map_put(&m, 7, &some), WEFT_OK);
    assert_ptr_equal(weft_map_remove(&m, 7), &some);
    assert_null(weft_map_remove(&m, 7));
    assert_null(weft_map_get(&m, 7));
    assert_int_equal(m.count, 0);
    weft_map_fini(&m);
}

static void map_swap__needs_no_room(void **state) {
    struct weft_map m;
    weft_map_init(&m);
    assert_null(weft_map_swap(&m, 7, &some));
    for (uint64_t k = 0; k < 12; k++) assert_int_equal(weft_map_put(&m, k, &some), WEFT_OK);
    const struct weft_map_slot *slots = m.slots; /* full: the next put grows it */
    assert_ptr_equal(weft_map_swap(&m, 7, &other), &some);
    assert_null(weft_map_swap(&m, 12, &other));
    assert_null(weft_map_swap(&m, 7, NULL));
    assert_ptr_equal(weft_map_get(&m, 7), &other);
    assert_ptr_equal(m.slots, slots);
    assert_int_equal(m.count, 12);
    weft_map_fini(&m);
}

/* Without reuse of removed slots, or with a count of them that drifts, this grows for ever or never ends. */
static void map_churn__stays_small(void **state) {
    struct weft_map m;
    weft_map_init(&m);
    for (uint64_t k = 0; k < 100000; k++) {
        assert_int_equal(weft_map_put(&m, k, &some), WEFT_OK);
        if (k >= 4) assert_ptr_equal(weft_map_remove(&m, k - 4), &some);
    }
    assert_int_equal(m.count, 4);
    assert_true(m.cap <= 32);
    weft_map_fini(&m);
}

#define KEYS 512

static void map_random__agrees_with_an_array(void **state) {
    static int present[KEYS];
    struct weft_map m;
    uint64_t seed = 1;
    weft_map_init(&m);
    for (int i = 0; i < 100000; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        size_t k = (size_t)(seed >> 40) % KEYS;
        if (seed >> 63) {
            assert_int_equal(weft_map_put(&m, k << 32, &present[k]), present[k] ? WEFT_E_EXIST : WEFT_OK);
            present[k] = 1;
        } else {
            assert_ptr_equal(weft_map_remove(&m, k << 32), present[k] ? &present[k] : NULL);
            present[k] = 0;
        }
    }
    for (size_t k = 0; k < KEYS; k++)
        assert_ptr_equal(weft_map_get(&m, (uint64_t)k << 32), present[k] ? &present[k] : NULL);
    weft_map_fini(&m);
}

static void map_next__visits_all_once_and_allows_removal(void **state) {
    static int seen[100];
    struct weft_map m;
    size_t it = 0, visited = 0;
    uint64_t key;
    weft_map_init(&m);
    assert_null(weft_map_next(&m, &it, &key));
    for (uint64_t k = 0; k < 100; k++) assert_int_equal(weft_map_put(&m, k, &seen[k]), WEFT_OK);
    it = 0;
    for (int *v; (v = weft_map_next(&m, &it, &key)); visited++) {
        assert_ptr_equal(v, &seen[key]);
        assert_int_equal(seen[key]++, 0);
        assert_ptr_equal(weft_map_remove(&m, key), v);
    }
    assert_int_equal(visited, 100);
    assert_int_equal(m.count, 0);
    weft_map_fini(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_put__finds_again),
        cmocka_unit_test(map_put__refuses_what_is_there_and_null),
        cmocka_unit_test(map_remove__gives_the_value_once),
        cmocka_unit_test(map_swap__needs_no_room),
        cmocka_unit_test(map_churn__stays_small),
        cmocka_unit_test(map_random__agrees_with_an_array),
        cmocka_unit_test(map_next__visits_all_once_and_allows_removal),
    };
    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
