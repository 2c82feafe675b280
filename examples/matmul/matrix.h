/* Square matrices of small integers in single precision, and the check of a product.
 *
 * Elements lie in -7..7, so that every partial sum of a product stays below 2^24 and is exact in a float in
 * any order: all devices must give the same bits, and the check needs no tolerance. */
#ifndef MATMUL_MATRIX_H
#define MATMUL_MATRIX_H
#include <stdbool.h>
#include <stdint.h>

#define MATRIX_MAX_ORDER 262144 /* 49 * order < 2^24 */

struct matrix_fault {
    int row, col;
    double got, want;
};

/* Fills the n*n elements with values that depend on seed and position alone. */
void matrix_fill(float *m, int n, uint64_t seed);

/* Whether C = A * B for matrices of order n, where bt holds B transposed (its columns one after the other).
 * Up to order 512 every element is computed. Above, every row of C goes through Freivalds' test with random
 * 64-bit factors in integer arithmetic (a wrong row passes with a chance below 2^-39). Of a wrong product the
 * first wrong element found is put into *fault. Returns -1 without memory, 0 wrong, 1 right. */
int matrix_check(const float *a, const float *bt, const float *c, int n, struct matrix_fault *fault);

/* FNV-1a, 64 bits, over the elements in memory order, the low byte of each first; -0 counts as 0. */
uint64_t matrix_checksum(const float *m, int n);

#endif
