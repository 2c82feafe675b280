/* Tests of the error list. */
#include "base/error.h"

#include "base/test.h"

#include <errno.h>

static void error_name__gives_the_identifier(void **state) {
    assert_string_equal(weft_error_name(WEFT_OK), "WEFT_OK");
    assert_string_equal(weft_error_name(WEFT_E_NOMEM), "WEFT_E_NOMEM");
    assert_string_equal(weft_error_name(WEFT_E_BUSY), "WEFT_E_BUSY");
}

static void error_name__survives_unknown_codes(void **state) {
    assert_string_equal(weft_error_name(1), "WEFT_E_?");
    assert_string_equal(weft_error_name(-12345), "WEFT_E_?");
    assert_non_null(weft_error_text(-12345));
}

static void error_text__gives_the_text(void **state) {
    assert_string_equal(weft_error_text(WEFT_E_NOMEM), "out of memory");
}

static void error_checked__knows_the_list(void **state) {
#define X(name, value, text) assert_int_equal(weft_error_checked(value), name);
    WEFT_ERROR_LIST(X)
#undef X
    assert_int_equal(weft_error_checked(1), WEFT_E_PROTO);
    assert_int_equal(weft_error_checked(-12345), WEFT_E_PROTO);
}

static void error_from_errno__maps_and_falls_back(void **state) {
    assert_int_equal(weft_error_from_errno(0), WEFT_OK);
    assert_int_equal(weft_error_from_errno(ENOMEM), WEFT_E_NOMEM);
    assert_int_equal(weft_error_from_errno(EWOULDBLOCK), WEFT_E_AGAIN);
    assert_int_equal(weft_error_from_errno(ECONNREFUSED), WEFT_E_REFUSED);
    assert_int_equal(weft_error_from_errno(EIO), WEFT_E_IO);
    assert_int_equal(weft_error_from_errno(100000), WEFT_E_IO);
    for (int err = 1; err < 200; err++) assert_true(weft_error_from_errno(err) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_name__gives_the_identifier),
        cmocka_unit_test(error_name__survives_unknown_codes),
        cmocka_unit_test(error_text__gives_the_text),
        cmocka_unit_test(error_checked__knows_the_list),
        cmocka_unit_test(error_from_errno__maps_and_falls_back),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
