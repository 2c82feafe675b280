/* Join texts, entries and reasons: what is written is read back, and what does not hold is refused. */
#include "node/protocol.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void join__round_trip(void **state) {
    uint8_t token[NODE_CLUSTER_TOKEN_BYTES], address[EP_ADDRESS_MAX], token2[sizeof token],
        address2[sizeof address];
    char text[NODE_JOIN_TEXT_MAX];
    size_t bytes;
    for (size_t i = 0; i < sizeof token; i++) token[i] = (uint8_t)(i * 17);
    for (size_t i = 0; i < sizeof address; i++) address[i] = (uint8_t)(255 - i);
    assert_int_equal(node_join_format(token, address, sizeof address, text, sizeof text), WEFT_OK);
    assert_int_equal(node_join_parse(text, token2, address2, &bytes), WEFT_OK);
    assert_int_equal(bytes, sizeof address);
    assert_memory_equal(token, token2, sizeof token);
    assert_memory_equal(address, address2, sizeof address);
    assert_int_equal(node_join_format(token, address, sizeof address, text, sizeof text - 8), WEFT_E_TOO_BIG);
    assert_int_equal(node_join_format(token, address, sizeof address + 1, text, sizeof text), WEFT_E_INVAL);
}

static void join__refuses_what_is_none(void **state) {
    uint8_t token[NODE_CLUSTER_TOKEN_BYTES], address[EP_ADDRESS_MAX];
    char longest[4096] = "weft1-";
    size_t bytes;
    const char *const bad[] = {"",
                               "weft1-",
                               "weft2-00112233445566778899aabbccddeeff00",
                               "weft1-00112233445566778899aabbccddeeff",
                               "weft1-00112233445566778899aabbccddeeff0",
                               "weft1-00112233445566778899aabbccddeeff0g"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(node_join_parse(bad[i], token, address, &bytes), WEFT_E_INVAL);
    memset(longest + 6, '0', sizeof longest - 7);
    assert_int_equal(node_join_parse(longest, token, address, &bytes), WEFT_E_INVAL);
    assert_int_equal(node_join_parse("weft1-00112233445566778899aabbccddeeff07", token, address, &bytes),
                     WEFT_OK);
    assert_int_equal(bytes, 1);
    assert_int_equal(address[0], 7);
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
