/* Join texts, entries and reasons: what is written is read back, and what does not hold is refused. */
#include "node/protocol.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void join__round_trip(void **state) {
    struct node_join j = {.address_bytes = sizeof j.address}, got;
    char text[NODE_JOIN_TEXT_MAX];
    for (size_t i = 0; i < sizeof j.id; i++) j.id[i] = (uint8_t)(i * 17);
    for (size_t i = 0; i < sizeof j.address; i++) j.address[i] = (uint8_t)(255 - i);
    for (int keyed = 0; keyed < 2; keyed++) {
        j.keyed = keyed;
        assert_int_equal(node_join_format(&j, text, sizeof text), WEFT_OK);
        assert_int_equal(node_join_parse(text, &got), WEFT_OK);
        assert_int_equal(got.keyed, keyed);
        assert_int_equal(got.address_bytes, sizeof j.address);
        assert_memory_equal(got.id, j.id, sizeof j.id);
        assert_memory_equal(got.address, j.address, sizeof j.address);
    }
    assert_int_equal(node_join_format(&j, text, strlen(text)), WEFT_E_TOO_BIG);
    assert_int_equal(node_join_format(&j, text, strlen(text) + 1), WEFT_OK);
    j.address_bytes++;
    assert_int_equal(node_join_format(&j, text, sizeof text), WEFT_E_TOO_BIG);
}

static void join__refuses_what_is_none(void **state) {
    struct node_join j;
    char longest[4096] = "weft1-";
    const char *const bad[] = {"",
                               "weft1-",
                               "weft3-00112233445566778899aabbccddeeff00",
                               "weft1-00112233445566778899aabbccddeeff",
                               "weft2-00112233445566778899aabbccddeeff",
                               "weft1-00112233445566778899aabbccddeeff0",
                               "weft1-00112233445566778899aabbccddeeff0g"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(node_join_parse(bad[i], &j), WEFT_E_INVAL);
    memset(longest + 6, '0', sizeof longest - 7);
    assert_int_equal(node_join_parse(longest, &j), WEFT_E_INVAL);
    assert_int_equal(node_join_parse("weft1-00112233445566778899aabbccddeeff07", &j), WEFT_OK);
    assert_false(j.keyed);
    assert_int_equal(j.address_bytes, 1);
    assert_int_equal(j.address[0], 7);
}

static void entry__round_trip_and_every_truncation(void **state) {
    struct node_entry e = {.id = 3, .pid = 77, .boot = 1ull << 60, .host = "alpha", .address_bytes = 5}, got;
    memcpy(e.address, "abcde", 5);
    uint8_t buf[1024];
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    node_put_entry(&w, &e);
    struct weft_reader r;
    for (size_t n = 0; n < w.len; n++) {
        weft_reader_init(&r, buf, n);
        node_get_entry(&r, &got);
        assert_true(r.failed);
    }
    weft_reader_init(&r, buf, w.len);
    node_get_entry(&r, &got);
    assert_false(r.failed);
    assert_string_equal(got.host, "alpha");
    assert_int_equal(got.boot, e.boot);
    assert_int_equal(got.address_bytes, 5);
}

static void entry__an_address_that_is_too_long_is_refused(void **state) {
    uint8_t big[EP_ADDRESS_MAX + 1] = {0}, out[EP_ADDRESS_MAX];
    struct weft_writer w;
    weft_writer_init_heap(&w, 0);
    weft_put_blob(&w, big, sizeof big);
    struct weft_reader r;
    size_t bytes = 99;
    weft_reader_init(&r, w.data, w.len);
    node_get_address(&r, out, &bytes);
    assert_true(r.failed);
    assert_int_equal(bytes, 0);
    weft_writer_fini(&w);
}

static void reason__is_shortened_and_cleaned(void **state) {
    char longest[1000], got[NODE_REASON_MAX];
    memset(longest, 'x', sizeof longest);
    longest[3] = '\033';
    longest[sizeof longest - 1] = 0;
    struct weft_writer w;
    struct weft_reader r;
    weft_writer_init_heap(&w, 0);
    weft_put_string(&w, longest); /* longer than the other side should have sent */
    weft_reader_init(&r, w.data, w.len);
    node_get_reason(&r, got);
    assert_false(r.failed);
    assert_int_equal(strlen(got), NODE_REASON_MAX - 1);
    assert_int_equal(got[3], '?');
    weft_writer_fini(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(join__round_trip),
        cmocka_unit_test(join__refuses_what_is_none),
        cmocka_unit_test(entry__round_trip_and_every_truncation),
        cmocka_unit_test(entry__an_address_that_is_too_long_is_refused),
        cmocka_unit_test(reason__is_shortened_and_cleaned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
