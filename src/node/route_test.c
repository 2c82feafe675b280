/* Source addresses of routes that every host has. */
#include "node/route.h"

#include "base/error.h"

#include <stdlib.h>

#include "base/test.h"

static void source__of_loopback_is_loopback(void **state) {
    char out[NODE_NAME_MAX];
    assert_int_equal(node_route_source("127.0.0.1", out), WEFT_OK);
    assert_string_equal(out, "127.0.0.1");
    assert_int_equal(node_route_source("localhost", out), WEFT_OK);
}

static void source__of_what_is_no_host(void **state) {
    char out[NODE_NAME_MAX];
    assert_int_equal(node_route_source("no.such.host.invalid", out), WEFT_E_NOENT);
    assert_int_equal(node_route_source("not a name", out), WEFT_E_NOENT);
}

int main(void) {
    setenv("WEFT_LOG", "error", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source__of_loopback_is_loopback),
        cmocka_unit_test(source__of_what_is_no_host),
    };
    return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
