/* The registry of adapters, and that each declares what its operations hold. */
#include "adapter/adapter.h"
#include "base/test.h"

#include <string.h>

static void adapter_list__best_first(void **state) {
    (void)state;
    const struct adapter_ops *const *list = adapter_list();
    const char *names[] = {"self", "shm", "udp"};
    for (int i = 0; i < 3; i++) {
        assert_non_null(list[i]);
        assert_string_equal(list[i]->name, names[i]);
    }
    assert_null(list[3]);
}

static void adapter_find__by_name(void **state) {
    (void)state;
    assert_ptr_equal(adapter_find("shm"), &adapter_shm_ops);
    assert_ptr_equal(adapter_find("udp"), &adapter_udp_ops);
#if WEFT_HAVE_LIBFABRIC
    assert_ptr_equal(adapter_find("ofi"), &adapter_ofi_ops); /* though it is not in the list */
#endif
    assert_ptr_equal(adapter_find("sim"), &adapter_sim_ops); /* nor this one: it is no network to work with */
    assert_null(adapter_find("ud"));
    assert_null(adapter_find(""));
    assert_null(adapter_find(NULL));
}

static void adapter_ops__complete(void **state) {
    (void)state;
    for (const struct adapter_ops *const *a = adapter_list(); *a; a++) {
        const struct adapter_ops *o = *a;
        assert_true(o->open && o->close && o->address && o->reachable && o->connect && o->disconnect);
        assert_true(o->path_packet_bytes && o->send && o->poll && o->arm && o->disarm && o->fds);
        assert_true(!o->read == !o->expose && !o->read == !o->conceal);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adapter_list__best_first),
        cmocka_unit_test(adapter_find__by_name),
        cmocka_unit_test(adapter_ops__complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
