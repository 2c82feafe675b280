/* What the tests of predictors share: numbers that are nearly equal, and random ones from a seed. */
#ifndef WEFT_MODEL_PREDICT_PREDICT_TEST_H
#define WEFT_MODEL_PREDICT_PREDICT_TEST_H
#include "base/test.h"
#include "model/predict/place_random.h"

#include <math.h>
#include <stdio.h>

/* Equal but for rounding. */
#define assert_near(a, b) test_near((a), (b), 1e-9, __FILE__, __LINE__)
/* Equal but for this relative error. */
#define assert_within(a, b, error) test_near((a), (b), (error), __FILE__, __LINE__)

static inline void test_near(double a, double b, double error, const char *file, int line) {
    if (a == b || fabs(a - b) <= error * fmax(fabs(a), fabs(b)) || fabs(a - b) < 1e-15) return;
    fprintf(stderr, "%s:%d: %.12g is not near %.12g\n", file, line, a, b);
    _fail(file, line);
}

/* In [0, 1). */
static inline double test_random(uint64_t *seed) { return (double)(place_random(seed) >> 11) * 0x1p-53; }
static inline int test_random_below(uint64_t *seed, int n) { return (int)(test_random(seed) * n); }
/* 1 with a relative error of up to `e`. */
static inline double test_random_near_one(uint64_t *seed, double e) {
    return 1 + e * (2 * test_random(seed) - 1);
}

#endif
