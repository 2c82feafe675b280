/* Tests of the queue ring. */
#include "base/ring.h"

#include "base/error.h"
#include "base/test.h"

static void ring_init__checks_its_arguments(void **state) {
    struct weft_ring r;
    assert_int_equal(weft_ring_init(&r, 0, 8), WEFT_E_INVAL);
    assert_int_equal(weft_ring_init(&r, 4, 0), WEFT_E_INVAL);
    assert_int_equal(weft_ring_init(&r, 4, 6), WEFT_E_INVAL);
    assert_int_equal(weft_ring_init(&r, SIZE_MAX / 2, 8), WEFT_E_NOMEM);
    assert_null(weft_ring_push(&r)); /* a ring that failed to start is full and empty */
    assert_null(weft_ring_front(&r));
    weft_ring_fini(&r);
}

static void ring_push__is_first_in_first_out_across_the_wrap(void **state) {
    struct weft_ring r;
    assert_int_equal(weft_ring_init(&r, sizeof(int), 4), WEFT_OK);
    for (int i = 0; i < 3; i++) *(int *)weft_ring_push(&r) = i;
    for (int i = 3; i < 100; i++) {
        *(int *)weft_ring_push(&r) = i;
        assert_int_equal(*(int *)weft_ring_front(&r), i - 3);
        for (int k = 0; k < 4; k++) assert_int_equal(*(int *)weft_ring_at(&r, (size_t)k), i - 3 + k);
        weft_ring_pop(&r);
    }
    weft_ring_fini(&r);
}

static void ring_push__refuses_when_full(void **state) {
    struct weft_ring r;
    assert_int_equal(weft_ring_init(&r, 1, 2), WEFT_OK);
    assert_non_null(weft_ring_push(&r));
    assert_false(weft_ring_full(&r));
    assert_non_null(weft_ring_push(&r));
    assert_true(weft_ring_full(&r));
    assert_null(weft_ring_push(&r));
    assert_int_equal(weft_ring_count(&r), 2);
    assert_null(weft_ring_at(&r, 2));
    weft_ring_pop(&r);
    assert_non_null(weft_ring_push(&r));
    weft_ring_fini(&r);
}

static void ring_pop__of_nothing_is_harmless(void **state) {
    struct weft_ring r;
    assert_int_equal(weft_ring_init(&r, 1, 2), WEFT_OK);
    weft_ring_pop(&r);
    assert_int_equal(weft_ring_count(&r), 0);
    assert_null(weft_ring_front(&r));
    weft_ring_fini(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_init__checks_its_arguments),
        cmocka_unit_test(ring_push__is_first_in_first_out_across_the_wrap),
        cmocka_unit_test(ring_push__refuses_when_full),
        cmocka_unit_test(ring_pop__of_nothing_is_harmless),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
