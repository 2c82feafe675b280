/* Tests of the inventory: the drivers of this machine through encode and decode, and every damaged blob
 * refused or read within bounds. */
#include "opencl/inventory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/driver_leaks.h"
#include "opencl/drivers.h"

static struct inventory *inv;
static uint8_t *blob;
static size_t blob_bytes;

static int set_up(void **state) {
    setenv("POCL_DEVICES", "pthread pthread", 1);
    inv = inventory_collect(drivers_load());
    blob = inventory_encode(inv, &blob_bytes);
    return !inv || !blob;
}
static int tear_down(void **state) {
    inventory_free(inv);
    free(blob);
    return 0;
}

static void assert_infos_equal(const struct inventory_infos *a, const struct inventory_infos *b) {
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        assert_int_equal(a->at[i].param, b->at[i].param);
        assert_int_equal(a->at[i].size, b->at[i].size);
        assert_memory_equal(a->at[i].value, b->at[i].value, a->at[i].size);
    }
}

static void inventory_decode__gives_what_was_encoded(void **state) {
    struct inventory *got = inventory_decode(blob, blob_bytes);
    assert_non_null(got);
    assert_string_equal(got->host, inv->host);
    assert_int_equal(got->platform_count, inv->platform_count);
    for (uint32_t i = 0; i < got->platform_count; i++) {
        assert_infos_equal(&got->platforms[i].infos, &inv->platforms[i].infos);
        assert_string_equal(got->platforms[i].name, inv->platforms[i].name);
        assert_int_equal(got->platforms[i].device_count, inv->platforms[i].device_count);
        for (uint32_t j = 0; j < got->platforms[i].device_count; j++) {
            struct inventory_device *a = &got->platforms[i].devices[j], *b = &inv->platforms[i].devices[j];
            assert_infos_equal(&a->infos, &b->infos);
            assert_string_equal(a->name, b->name);
            assert_int_equal(a->max_group_items, b->max_group_items);
            assert_true(a->max_group_items > 0);
        }
    }
    inventory_free(got);
}

static void inventory_decode__refuses_every_truncation(void **state) {
    for (size_t n = 0; n < blob_bytes; n += n < 256 ? 1 : 97) {
        uint8_t *cut = malloc(n + 1); /* exact size: a read past the end is seen by the sanitizer */
        memcpy(cut, blob, n);
        cut = realloc(cut, n ? n : 1);
        assert_null(inventory_decode(cut, n));
        free(cut);
    }
}

static void inventory_decode__stays_in_bounds_when_damaged(void **state) {
    srandom(7);
    for (int round = 0; round < 500; round++) {
        uint8_t *bad = malloc(blob_bytes);
        memcpy(bad, blob, blob_bytes);
        for (int i = 0; i < 4; i++) bad[8 + (size_t)random() % (blob_bytes - 8)] = (uint8_t)random();
        inventory_free(inventory_decode(bad, blob_bytes));
        free(bad);
    }
}

static void inventory_answer__follows_the_info_rules(void **state) {
    int value = 5, out = 0;
    size_t size = 0;
    assert_int_equal(inventory_answer(&value, sizeof value, 3, &out, &size), CL_INVALID_VALUE);
    assert_int_equal(inventory_answer(&value, sizeof value, 0, NULL, &size), CL_SUCCESS);
    assert_int_equal(size, sizeof value);
    assert_int_equal(inventory_answer(&value, sizeof value, 8, &out, NULL), CL_SUCCESS);
    assert_int_equal(out, 5);
}

static void inventory_collect__clears_pointers(void **state) {
    for (uint32_t i = 0; i < inv->platform_count; i++) {
        for (uint32_t j = 0; j < inv->platforms[i].device_count; j++) {
            const struct inventory_info *p =
                inventory_find(&inv->platforms[i].devices[j].infos, CL_DEVICE_PLATFORM);
            void *zero = NULL;
            assert_non_null(p);
            assert_memory_equal(p->value, &zero, sizeof zero);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inventory_decode__gives_what_was_encoded),
        cmocka_unit_test(inventory_decode__refuses_every_truncation),
        cmocka_unit_test(inventory_decode__stays_in_bounds_when_damaged),
        cmocka_unit_test(inventory_answer__follows_the_info_rules),
        cmocka_unit_test(inventory_collect__clears_pointers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
