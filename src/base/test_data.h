/* What the messages of tests carry: pieces of a table, each from another place in it. Compared by the piece,
 * because handlers do it, and a peer that is long in a handler is silent. */
#ifndef WEFT_BASE_TEST_DATA_H
#define WEFT_BASE_TEST_DATA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TEST_DATA_PIECE_BYTES 8192
#define TEST_DATA_TABLE_BYTES 65521

static uint8_t test_data_table[TEST_DATA_TABLE_BYTES + TEST_DATA_PIECE_BYTES];

__attribute__((constructor)) static void test_data_init(void) {
    for (uint32_t i = 0; i < sizeof test_data_table; i++) {
        uint32_t x = i * 2654435761u;
        test_data_table[i] = (uint8_t)((x ^ x >> 15) * 2246822519u >> 24);
    }
}

static inline const uint8_t *test_data_piece(size_t at, uint64_t seed) {
    return test_data_table + (at / TEST_DATA_PIECE_BYTES * 10007 + seed * 40503u) % TEST_DATA_TABLE_BYTES;
}

static inline size_t test_data_piece_len(size_t at, size_t n) {
    return n - at < TEST_DATA_PIECE_BYTES ? n - at : TEST_DATA_PIECE_BYTES;
}

static inline void test_data_fill(uint8_t *p, size_t n, uint64_t seed) {
    for (size_t at = 0; at < n; at += TEST_DATA_PIECE_BYTES)
        memcpy(p + at, test_data_piece(at, seed), test_data_piece_len(at, n));
}

static inline bool test_data_holds(const uint8_t *p, size_t n, uint64_t seed) {
    for (size_t at = 0; at < n; at += TEST_DATA_PIECE_BYTES)
        if (memcmp(p + at, test_data_piece(at, seed), test_data_piece_len(at, n))) return false;
    return true;
}

#endif
