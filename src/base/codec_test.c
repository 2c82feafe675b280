/* Tests of the codec: what is written is read back, and nothing goes past an end. */
#include "base/codec.h"

#include "base/test.h"

#include <stdlib.h>
#include <string.h>

static void writer_put__is_little_endian(void **state) {
    static const uint8_t expected[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f,
                                       0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08};
    uint8_t buf[sizeof expected];
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u8(&w, 0x01);
    weft_put_u16(&w, 0x0203);
    weft_put_u32(&w, 0x04050607);
    weft_put_u64(&w, 0x08090a0b0c0d0e0f);
    assert_false(w.failed);
    assert_int_equal(w.len, sizeof expected);
    assert_memory_equal(buf, expected, sizeof expected);
}

static void writer_put__past_the_end_sticks(void **state) {
    uint8_t buf[8];
    struct weft_writer w;
    memset(buf, 0xee, sizeof buf);
    weft_writer_init(&w, buf, 5);
    weft_put_u32(&w, 0);
    weft_put_u32(&w, 0);
    assert_true(w.failed);
    weft_put_u8(&w, 1); /* would fit, but comes after the failure */
    assert_int_equal(w.len, 4);
    assert_int_equal(buf[4], 0xee);
    assert_int_equal(buf[5], 0xee);
}

static void writer_heap__grows_and_hands_over(void **state) {
    struct weft_writer w;
    size_t len = 0;
    weft_writer_init_heap(&w, 3);
    for (uint32_t i = 0; i < 1000; i++) weft_put_u32(&w, i);
    uint8_t *data = weft_writer_take(&w, &len);
    assert_non_null(data);
    assert_int_equal(len, 4000);
    struct weft_reader r;
    weft_reader_init(&r, data, len);
    for (uint32_t i = 0; i < 1000; i++) assert_int_equal(weft_get_u32(&r), i);
    assert_false(r.failed);
    free(data);
    weft_put_u8(&w, 1); /* the writer starts anew */
    assert_int_equal(w.len, 1);
    weft_writer_fini(&w);
}

static void writer_take__of_nothing_is_no_failure(void **state) {
    struct weft_writer w;
    size_t len = 1;
    weft_writer_init_heap(&w, 0);
    void *data = weft_writer_take(&w, &len);
    assert_non_null(data);
    assert_int_equal(len, 0);
    free(data);
    weft_writer_fini(&w);
}

static void writer_blob__longer_than_its_length_field_fails(void **state) {
    struct weft_writer w;
    weft_writer_init_heap(&w, 0);
    weft_put_blob(&w, "", (size_t)UINT32_MAX + 1);
    assert_true(w.failed);
    size_t len;
    assert_null(weft_writer_take(&w, &len));
    weft_writer_fini(&w);
}

static void writer_bytes__absurd_length_fails(void **state) {
    struct weft_writer w;
    weft_writer_init_heap(&w, 0);
    weft_put_u8(&w, 1);
    weft_put_bytes(&w, "", SIZE_MAX);
    assert_true(w.failed);
    weft_writer_fini(&w);
}

static void reader_get__past_the_end_sticks(void **state) {
    static const uint8_t data[] = {1, 2, 3};
    struct weft_reader r;
    weft_reader_init(&r, data, sizeof data);
    assert_int_equal(weft_get_u16(&r), 0x0201);
    assert_int_equal(weft_get_u16(&r), 0);
    assert_true(r.failed);
    assert_int_equal(weft_get_u8(&r), 0); /* is there, but comes after the failure */
    assert_int_equal(weft_reader_left(&r), 0);
}

static void reader_blob__lying_length_fails(void **state) {
    static const uint8_t data[] = {0xff, 0xff, 0xff, 0xff, 'x'};
    struct weft_reader r;
    size_t n = 7;
    weft_reader_init(&r, data, sizeof data);
    assert_null(weft_get_blob(&r, &n));
    assert_int_equal(n, 0);
    assert_true(r.failed);
}

static void reader_init__takes_null(void **state) {
    struct weft_reader r;
    weft_reader_init(&r, NULL, 0);
    assert_non_null(weft_get_bytes(&r, 0));
    assert_false(r.failed);
    assert_int_equal(weft_get_u8(&r), 0);
    assert_true(r.failed);
}

/* A message that holds one string. */
static size_t one_string(uint8_t *buf, size_t cap, const char *s, size_t n) {
    struct weft_writer w;
    weft_writer_init(&w, buf, cap);
    weft_put_blob(&w, s, n);
    assert_false(w.failed);
    return w.len;
}

static void reader_string__fits_exactly_or_fails(void **state) {
    uint8_t buf[32];
    char out[5];
    struct weft_reader r;
    size_t n = one_string(buf, sizeof buf, "four", 4);
    weft_reader_init(&r, buf, n);
    weft_get_string(&r, out, 5);
    assert_false(r.failed);
    assert_string_equal(out, "four");
    weft_reader_init(&r, buf, n);
    weft_get_string(&r, out, 4);
    assert_true(r.failed);
    assert_string_equal(out, "");
    weft_reader_init(&r, buf, n);
    weft_get_string(&r, out, 0);
    assert_true(r.failed);
}

static void reader_string__refuses_a_nul_inside(void **state) {
    uint8_t buf[32];
    char out[16];
    struct weft_reader r;
    size_t n = one_string(buf, sizeof buf, "a\0b", 3);
    weft_reader_init(&r, buf, n);
    weft_get_string(&r, out, sizeof out);
    assert_true(r.failed);
    weft_reader_init(&r, buf, n);
    assert_null(weft_get_string_dup(&r));
    assert_true(r.failed);
}

static void reader_string_dup__copies(void **state) {
    uint8_t buf[32];
    struct weft_writer w;
    struct weft_reader r;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_string(&w, "weft");
    weft_put_string(&w, NULL);
    weft_reader_init(&r, buf, w.len);
    char *s = weft_get_string_dup(&r), *empty = weft_get_string_dup(&r);
    assert_string_equal(s, "weft");
    assert_string_equal(empty, "");
    assert_int_equal(weft_reader_left(&r), 0);
    free(s);
    free(empty);
}

static void reader_get__survives_every_truncation(void **state) {
    uint8_t whole[64];
    struct weft_writer w;
    weft_writer_init(&w, whole, sizeof whole);
    weft_put_u64(&w, 1);
    weft_put_string(&w, "abc");
    weft_put_u16(&w, 2);
    for (size_t n = 0; n < w.len; n++) {
        uint8_t *part = malloc(n + 1); /* of its own, so that the address sanitizer sees each overrun */
        memcpy(part, whole, n);
        struct weft_reader r;
        char s[8];
        weft_reader_init(&r, part, n);
        weft_get_u64(&r);
        weft_get_string(&r, s, sizeof s);
        weft_get_u16(&r);
        assert_true(r.failed);
        free(part);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writer_put__is_little_endian),
        cmocka_unit_test(writer_put__past_the_end_sticks),
        cmocka_unit_test(writer_heap__grows_and_hands_over),
        cmocka_unit_test(writer_take__of_nothing_is_no_failure),
        cmocka_unit_test(writer_blob__longer_than_its_length_field_fails),
        cmocka_unit_test(writer_bytes__absurd_length_fails),
        cmocka_unit_test(reader_get__past_the_end_sticks),
        cmocka_unit_test(reader_blob__lying_length_fails),
        cmocka_unit_test(reader_init__takes_null),
        cmocka_unit_test(reader_string__fits_exactly_or_fails),
        cmocka_unit_test(reader_string__refuses_a_nul_inside),
        cmocka_unit_test(reader_string_dup__copies),
        cmocka_unit_test(reader_get__survives_every_truncation),
    };
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
