/* Names: one holder each, gone with it, limited in number. */
#include "node/name.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct node_names names;

static int setup(void **state) {
    node_names_init(&names);
    return 0;
}
static int teardown(void **state) {
    node_names_fini(&names);
    return 0;
}

static void publish__one_holder(void **state) {
    assert_int_equal(node_names_publish(&names, 1, "a"), WEFT_OK);
    assert_int_equal(node_names_publish(&names, 1, "a"), WEFT_OK);
    assert_int_equal(node_names_publish(&names, 2, "a"), WEFT_E_EXIST);
    assert_int_equal(node_names_publish(&names, 2, "b"), WEFT_OK);
    assert_int_equal(node_names_holder(&names, "a"), 1);
    assert_int_equal(node_names_holder(&names, "b"), 2);
    assert_int_equal(node_names_holder(&names, "c"), 0);
}

static void withdraw__by_the_holder_only(void **state) {
    assert_int_equal(node_names_publish(&names, 1, "a"), WEFT_OK);
    assert_int_equal(node_names_withdraw(&names, 2, "a"), WEFT_E_NOENT);
    assert_int_equal(node_names_withdraw(&names, 1, "b"), WEFT_E_NOENT);
    assert_int_equal(node_names_withdraw(&names, 1, "a"), WEFT_OK);
    assert_int_equal(node_names_publish(&names, 2, "a"), WEFT_OK);
}

static void withdraw_all__ends_with_the_process(void **state) {
    assert_int_equal(node_names_publish(&names, 1, "a"), WEFT_OK);
    assert_int_equal(node_names_publish(&names, 2, "b"), WEFT_OK);
    assert_int_equal(node_names_publish(&names, 1, "c"), WEFT_OK);
    node_names_withdraw_all(&names, 1);
    assert_int_equal(names.count, 1);
    assert_int_equal(node_names_holder(&names, "a") + node_names_holder(&names, "c"), 0);
    assert_int_equal(node_names_holder(&names, "b"), 2);
}

static void publish__limits(void **state) {
    char text[NODE_PUBLISHED_MAX + 1];
    memset(text, 'x', sizeof text);
    text[NODE_PUBLISHED_MAX] = '\0';
    assert_int_equal(node_names_publish(&names, 1, text), WEFT_E_INVAL);
    text[NODE_PUBLISHED_MAX - 1] = '\0';
    assert_int_equal(node_names_publish(&names, 1, text), WEFT_OK);
    assert_int_equal(node_names_publish(&names, 1, ""), WEFT_E_INVAL);
    assert_int_equal(node_names_publish(&names, 0, "a"), WEFT_E_INVAL);
    for (int i = 1; i < NODE_NAMES_PROCESS_MAX; i++) {
        snprintf(text, sizeof text, "n%d", i);
        assert_int_equal(node_names_publish(&names, 1, text), WEFT_OK);
    }
    assert_int_equal(node_names_publish(&names, 1, "one more"), WEFT_E_LIMIT);
    assert_int_equal(node_names_publish(&names, 2, "one more"), WEFT_OK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {T(publish__one_holder), T(withdraw__by_the_holder_only),
                                       T(withdraw_all__ends_with_the_process), T(publish__limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
