/* The port space keeps SCIF's rules. */
#include "node/port.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct node_ports ports;

static int setup(void **state) { return node_ports_init(&ports); }
static int teardown(void **state) {
    node_ports_fini(&ports);
    return 0;
}

static void bind__zero_takes_the_lowest_free_from_1089(void **state) {
    uint16_t a, b, c;
    assert_int_equal(node_ports_bind(&ports, 1, 0, false, &a), WEFT_OK);
    assert_int_equal(node_ports_bind(&ports, 1, 0, false, &b), WEFT_OK);
    assert_int_equal(a, 1089);
    assert_int_equal(b, 1090);
    assert_int_equal(node_ports_release(&ports, 1, 1089), WEFT_OK);
    assert_int_equal(node_ports_bind(&ports, 2, 0, false, &c), WEFT_OK);
    assert_int_equal(c, 1089);
}

static void bind__in_use(void **state) {
    uint16_t p;
    assert_int_equal(node_ports_bind(&ports, 1, 2000, false, &p), WEFT_OK);
    assert_int_equal(p, 2000);
    assert_int_equal(node_ports_bind(&ports, 2, 2000, false, &p), WEFT_E_EXIST);
    assert_int_equal(node_ports_bind(&ports, 1, 2000, false, &p), WEFT_E_EXIST);
    assert_int_equal(node_ports_holder(&ports, 2000), 1);
}

static void bind__below_1024_needs_privilege(void **state) {
    uint16_t p;
    assert_int_equal(node_ports_bind(&ports, 1, 1023, false, &p), WEFT_E_ACCESS);
    assert_int_equal(node_ports_bind(&ports, 1, 1, false, &p), WEFT_E_ACCESS);
    assert_int_equal(node_ports_bind(&ports, 1, 1024, false, &p), WEFT_OK);
    assert_int_equal(node_ports_bind(&ports, 1, 1023, true, &p), WEFT_OK);
}

static void bind__all_taken(void **state) {
    uint16_t p;
    for (uint32_t i = NODE_PORT_FIRST; i < 65536; i++)
        assert_int_equal(node_ports_bind(&ports, 1, 0, false, &p), WEFT_OK);
    assert_int_equal(p, 65535);
    assert_int_equal(node_ports_bind(&ports, 1, 0, false, &p), WEFT_E_LIMIT);
}

static void release__of_another_is_refused(void **state) {
    uint16_t p;
    assert_int_equal(node_ports_bind(&ports, 1, 3000, false, &p), WEFT_OK);
    assert_int_equal(node_ports_release(&ports, 2, 3000), WEFT_E_NOENT);
    assert_int_equal(node_ports_release(&ports, 0, 3001), WEFT_E_NOENT);
    assert_int_equal(node_ports_holder(&ports, 3000), 1);
}

static void release_all__frees_only_its_own(void **state) {
    uint16_t p;
    assert_int_equal(node_ports_bind(&ports, 1, 3000, false, &p), WEFT_OK);
    assert_int_equal(node_ports_bind(&ports, 2, 3001, false, &p), WEFT_OK);
    assert_int_equal(node_ports_bind(&ports, 1, 65535, false, &p), WEFT_OK);
    node_ports_release_all(&ports, 1);
    assert_int_equal(node_ports_holder(&ports, 3000), 0);
    assert_int_equal(node_ports_holder(&ports, 65535), 0);
    assert_int_equal(node_ports_holder(&ports, 3001), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bind__zero_takes_the_lowest_free_from_1089, setup, teardown),
        cmocka_unit_test_setup_teardown(bind__in_use, setup, teardown),
        cmocka_unit_test_setup_teardown(bind__below_1024_needs_privilege, setup, teardown),
        cmocka_unit_test_setup_teardown(bind__all_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(release__of_another_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(release_all__frees_only_its_own, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
