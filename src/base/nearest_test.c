/* Tests of the edit distance and of what counts as near. */
#include "base/nearest.h"

#include "base/test.h"

static void edit_distance__counts_slips(void **state) {
    assert_int_equal(weft_edit_distance("", ""), 0);
    assert_int_equal(weft_edit_distance("abc", ""), 3);
    assert_int_equal(weft_edit_distance("", "abc"), 3);
    assert_int_equal(weft_edit_distance("node", "NODE"), 0);
    assert_int_equal(weft_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(weft_edit_distance("ndoe", "node"), 1);
    assert_int_equal(weft_edit_distance("nodes", "node"), 1);
}

static void edit_distance__gives_up_on_long_names(void **state) {
    char name[WEFT_NEAREST_NAME_MAX + 2] = {0};
    for (size_t i = 0; i <= WEFT_NEAREST_NAME_MAX; i++) name[i] = 'a';
    assert_true(weft_edit_distance(name, "a") == SIZE_MAX);
    assert_true(weft_edit_distance("a", name) == SIZE_MAX);
    name[WEFT_NEAREST_NAME_MAX] = '\0';
    assert_int_equal(weft_edit_distance(name, "a"), WEFT_NEAREST_NAME_MAX - 1);
}

static const char *nearest(const char *wanted) {
    static const char *const known[] = {"run", "down", "nodes", "devices", "udp_rcvbuf_bytes"};
    struct weft_nearest n;
    weft_nearest_init(&n, wanted);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) weft_nearest_offer(&n, known[i]);
    return n.best;
}

static void nearest_offer__keeps_the_best(void **state) {
    assert_string_equal(nearest("device"), "devices");
    assert_string_equal(nearest("dwon"), "down");
    assert_string_equal(nearest("UDP_RECVBUF_BYTE"), "udp_rcvbuf_bytes");
}

static void nearest_offer__does_not_guess_wildly(void **state) {
    assert_null(nearest("benchmark"));
    assert_null(nearest(""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edit_distance__counts_slips),
        cmocka_unit_test(edit_distance__gives_up_on_long_names),
        cmocka_unit_test(nearest_offer__keeps_the_best),
        cmocka_unit_test(nearest_offer__does_not_guess_wildly),
    };
    return cmocka_run_group_tests_name("nearest", tests, NULL, NULL);
}
