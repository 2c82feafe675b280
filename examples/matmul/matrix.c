/* Filling, checking and hashing of matrices; nothing here knows OpenCL. */
#include "matrix.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FULL_CHECK_ORDER 512

static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void matrix_fill(float *m, int n, uint64_t seed) {
    size_t count = (size_t)n * n;
    for (size_t i = 0; i < count; i++) m[i] = (float)((int)(mix(seed * 0x100000001b3u + i) % 15) - 7);
}

/* The true element (i, j): a plain loop over one row and one column. */
static double element(const float *a, const float *bt, int n, int i, int j) {
    const float *row = a + (size_t)i * n, *col = bt + (size_t)j * n;
    int32_t sum = 0;
    for (int k = 0; k < n; k++) sum += (int32_t)row[k] * (int32_t)col[k];
    return sum;
}

static bool check_row(const float *a, const float *bt, const float *c, int n, int i,
                      struct matrix_fault *fault) {
    for (int j = 0; j < n; j++) {
        double got = c[(size_t)i * n + j], want = element(a, bt, n, i, j);
        if (got == want) continue; /* false for NaN too */
        *fault = (struct matrix_fault){.row = i, .col = j, .got = got, .want = want};
        return false;
    }
    return true;
}

/* One element as an integer modulo 2^64. What cannot be the element of a product makes *odd true. */
static uint64_t as_integer(float x, bool *odd) {
    if (!(x > -16777216.0f && x < 16777216.0f) || x != (float)(int32_t)x) {
        *odd = true;
        return 0;
    }
    return (uint64_t)(int64_t)x;
}

/* Freivalds: with a random vector r, row i of C is right only if C[i] . r = A[i] . (B r). The numbers are
 * integers modulo 2^64, so there is no rounding to allow for. */
static bool row_passes(const float *a, const float *c, int n, const uint64_t *r, const uint64_t *br, int i) {
    const float *ai = a + (size_t)i * n, *ci = c + (size_t)i * n;
    uint64_t left = 0, right = 0;
    bool odd = false;
    for (int k = 0; k < n; k++) {
        left += as_integer(ci[k], &odd) * r[k];
        right += (uint64_t)(int64_t)ai[k] * br[k];
    }
    return !odd && left == right;
}

static int check_by_vector(const float *a, const float *bt, const float *c, int n,
                           struct matrix_fault *fault) {
    uint64_t *r = malloc(2 * (size_t)n * sizeof *r);
    if (!r) return -1;
    uint64_t *br = r + n;
    for (int j = 0; j < n; j++) r[j] = mix(0x5bd1e995u + (uint64_t)j);
    memset(br, 0, (size_t)n * sizeof *br);
    for (int j = 0; j < n; j++) {
        const float *col = bt + (size_t)j * n;
        for (int k = 0; k < n; k++) br[k] += (uint64_t)(int64_t)col[k] * r[j];
    }
    int right = 1;
    for (int i = 0; right && i < n; i++) {
        if (row_passes(a, c, n, r, br, i)) continue;
        right = 0;
        check_row(a, bt, c, n, i, fault);
    }
    free(r);
    return right;
}

int matrix_check(const float *a, const float *bt, const float *c, int n, struct matrix_fault *fault) {
    if (n > FULL_CHECK_ORDER) return check_by_vector(a, bt, c, n, fault);
    for (int i = 0; i < n; i++)
        if (!check_row(a, bt, c, n, i, fault)) return 0;
    return 1;
}

uint64_t matrix_checksum(const float *m, int n) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0, count = (size_t)n * n; i < count; i++) {
        float x = m[i] + 0.0f; /* -0 becomes 0: they are equal, so they must hash alike */
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ (bits >> shift & 0xff)) * 0x100000001b3u;
    }
    return hash;
}
