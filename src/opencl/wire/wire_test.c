/* Tests of the wire's encoding: what is made is taken apart again; anything else is refused within bounds. */
#include "opencl/wire/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void wire_decode__takes_apart_what_was_made(void **state) {
    struct wire_out out;
    wire_begin(&out, NDRANGE, ndrange, .event = 5, .queue = 6, .options = WIRE_NOTIFY, .kernel = 7,
               .dims = 2);
    assert_true(wire_add_array(&out, (uint64_t[]){64, 32}, 2));
    assert_true(wire_add_array(&out, (uint64_t[]){11, 12, 13}, 3));
    struct wire_in in;
    assert_true(wire_decode(&in, out.words, out.word_count * 8, 0, WIRE_COMMANDS));
    assert_int_equal(in.call, WIRE_NDRANGE);
    assert_int_equal(in.ndrange.kernel, 7);
    assert_int_equal(in.count[0], 2);
    assert_int_equal(in.array[0][1], 32);
    assert_int_equal(in.count[1], 3);
    assert_int_equal(in.array[1][2], 13);
    assert_false(wire_decode(&in, out.words, out.word_count * 8, 0, WIRE_RESULTS));
    assert_false(wire_decode(&in, out.words, out.word_count * 8, 0, WIRE_BETWEEN));
    assert_false(wire_decode(&in, out.words, out.word_count * 8, 1, WIRE_COMMANDS));
    for (size_t n = 0; n < out.word_count * 8; n++)
        assert_false(wire_decode(&in, out.words, n, 0, WIRE_COMMANDS));
}

static void wire_decode__checks_ranges(void **state) {
    struct wire_out out;
    struct wire_in in;
    wire_begin(&out, SET_USER_EVENT, set_user_event, .event = 3, .status = (uint64_t)(int64_t)-5);
    assert_true(wire_decode(&in, out.words, out.word_count * 8, 0, WIRE_COMMANDS));
    assert_int_equal((int64_t)in.set_user_event.status, -5);
    wire_begin(&out, SET_USER_EVENT, set_user_event, .event = 3, .status = 1ull << 40);
    assert_false(wire_decode(&in, out.words, out.word_count * 8, 0, WIRE_COMMANDS));
    wire_begin(&out, SET_USER_EVENT, set_user_event, .event = 0, .status = 0);
    assert_false(wire_decode(&in, out.words, out.word_count * 8, 0, WIRE_COMMANDS));
    wire_begin(&out, MARKER, marker, .queue = 4, .options = 1ull << 32);
    assert_true(wire_add_array(&out, NULL, 0));
    assert_false(wire_decode(&in, out.words, out.word_count * 8, 0, WIRE_COMMANDS));
}

static void wire_decode__stays_in_bounds_on_noise(void **state) {
    srandom(3);
    for (int round = 0; round < 200000; round++) {
        size_t bytes = (size_t)random() % 300;
        uint8_t *noise = malloc(bytes ? bytes : 1);
        for (size_t i = 0; i < bytes; i++) noise[i] = (uint8_t)(random() % (i < 8 ? 40 : 256));
        if (bytes > 8) noise[1] = noise[2] = noise[3] = noise[5] = noise[7] = 0;
        struct wire_in in;
        if (wire_decode(&in, noise, bytes, 0, WIRE_COMMANDS)) {
            for (int a = 0; a < WIRE_ARRAYS_MAX; a++) {
                for (size_t i = 0; i < in.count[a]; i++)
                    assert_true(&in.array[a][i] < &in.words[in.word_count]);
            }
        }
        free(noise);
    }
}

static void wire_add_array__refuses_what_does_not_fit(void **state) {
    uint64_t big[WIRE_WORDS_MAX] = {0};
    struct wire_out out;
    wire_begin(&out, MARKER, marker, .queue = 4);
    assert_false(wire_add_array(&out, big, WIRE_WORDS_MAX));
    assert_true(wire_add_array(&out, big, WIRE_WORDS_MAX - out.word_count));
}

static void wire_peer_token__is_for_one_pair_only(void **state) {
    uint64_t one[2], again[2], other[2];
    assert_true(wire_peer_token("0123456789abcdef", 16, 1, one));
    assert_true(wire_peer_token("0123456789abcdef", 16, 1, again));
    assert_memory_equal(one, again, sizeof one);
    assert_true(wire_peer_token("0123456789abcdef", 16, 2, other));
    assert_memory_not_equal(one, other, sizeof one);
    assert_true(wire_peer_token("0123456789abcdeF", 16, 1, other));
    assert_memory_not_equal(one, other, sizeof one);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wire_decode__takes_apart_what_was_made),
        cmocka_unit_test(wire_decode__checks_ranges),
        cmocka_unit_test(wire_peer_token__is_for_one_pair_only),
        cmocka_unit_test(wire_decode__stays_in_bounds_on_noise),
        cmocka_unit_test(wire_add_array__refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
