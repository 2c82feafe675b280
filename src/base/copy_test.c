/* Streaming copies: every alignment and length near the borders, and nothing beyond. */
#include "base/copy.h"
#include "base/test.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void copy_streaming__is_memcpy(void **state) {
    enum { MAX = 5000, PAD = 128 };
    static uint8_t from[MAX + 2 * PAD], to[MAX + 2 * PAD], wanted[MAX + 2 * PAD];
    unsigned seed = 1;
    for (size_t i = 0; i < sizeof from; i++) from[i] = (uint8_t)rand_r(&seed);
    for (int i = 0; i < 20000; i++) {
        size_t len = i < 1200 ? (size_t)i : (size_t)rand_r(&seed) % MAX;
        size_t a = (size_t)rand_r(&seed) % PAD, b = (size_t)rand_r(&seed) % PAD;
        memset(to, 0xa5, sizeof to);
        memset(wanted, 0xa5, sizeof wanted);
        memcpy(wanted + b, from + a, len);
        weft_copy_streaming(to + b, from + a, len);
        weft_copy_streaming_end();
        assert_memory_equal(to, wanted, sizeof to);
    }
}

/* Places in a page that are close to each other, and others. */
static void copy__is_memcpy(void **state) {
    enum { PAGE = 4096, MAX = 5000, PAD = 64 };
    static uint8_t from[MAX + PAD] __attribute__((aligned(PAGE))),
        to[MAX + 3 * PAD] __attribute__((aligned(PAGE)));
    static uint8_t wanted[sizeof to];
    unsigned seed = 1;
    for (size_t i = 0; i < sizeof from; i++) from[i] = (uint8_t)rand_r(&seed);
    for (size_t i = 0; i < 40000; i++) {
        size_t len = i < 5000 ? i : (size_t)rand_r(&seed) % MAX;
        size_t a = (size_t)rand_r(&seed) % PAD, b = a + (size_t)rand_r(&seed) % PAD;
        memset(to, 0xa5, sizeof to);
        memset(wanted, 0xa5, sizeof wanted);
        memcpy(wanted + b, from + a, len);
        weft_copy(to + b, from + a, len);
        assert_memory_equal(to, wanted, sizeof to);
    }
}

/* Of overlapping areas, too, on both sides and a page away. */
static void move__is_memmove(void **state) {
    enum { ROOM = 20000 };
    static uint8_t area[ROOM], wanted[ROOM];
    unsigned seed = 1;
    for (size_t i = 0; i < ROOM; i++) area[i] = (uint8_t)rand_r(&seed);
    for (int i = 0; i < 20000; i++) {
        size_t len = (size_t)rand_r(&seed) % (ROOM / 2), a = (size_t)rand_r(&seed) % (ROOM - len);
        size_t b =
            i % 2 ? (a + 4096 + (size_t)rand_r(&seed) % 64) : (a + ROOM - 4096 + (size_t)rand_r(&seed) % 64);
        b %= ROOM;
        if (b > ROOM - len) continue;
        memcpy(wanted, area, ROOM);
        memmove(wanted + b, wanted + a, len);
        weft_move(area + b, area + a, len);
        assert_memory_equal(area, wanted, ROOM);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(copy__is_memcpy), cmocka_unit_test(move__is_memmove),
                                       cmocka_unit_test(copy_streaming__is_memcpy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
