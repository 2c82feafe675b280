/* Unit test of the product check: a right product passes, one wrong element anywhere is found. */
#include "matrix.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct product {
    int n;
    float *a, *bt, *c;
};

static struct product make(int n) {
    struct product p = {.n = n};
    size_t bytes = (size_t)n * n * sizeof(float);
    p.a = malloc(bytes);
    p.bt = malloc(bytes);
    p.c = malloc(bytes);
    assert_true(p.a && p.bt && p.c);
    matrix_fill(p.a, n, 1);
    matrix_fill(p.bt, n, 2);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int k = 0; k < n; k++) sum += p.a[i * n + k] * p.bt[j * n + k];
            p.c[i * n + j] = sum;
        }
    return p;
}

static void drop(struct product *p) {
    free(p->a);
    free(p->bt);
    free(p->c);
}

static void fault_is_found(int n, int row, int col, float wrong) {
    struct product p = make(n);
    struct matrix_fault f = {.row = -1};
    assert_int_equal(matrix_check(p.a, p.bt, p.c, n, &f), 1);
    float right = p.c[row * n + col];
    p.c[row * n + col] = wrong;
    assert_int_equal(matrix_check(p.a, p.bt, p.c, n, &f), 0);
    assert_int_equal(f.row, row);
    assert_int_equal(f.col, col);
    assert_true(f.want == right);
    drop(&p);
}

static void matrix_check__order_one(void **s) { fault_is_found(1, 0, 0, 1000); }
static void matrix_check__last_element_small(void **s) { fault_is_found(63, 62, 62, 0.5f); }
static void matrix_check__last_element_large(void **s) { fault_is_found(515, 514, 514, 123456); }
static void matrix_check__fraction_large(void **s) { fault_is_found(515, 3, 0, 0.25f); }
static void matrix_check__nan(void **s) { fault_is_found(515, 300, 7, NAN); }

static void matrix_check__swapped_elements(void **s) {
    struct product p = make(520);
    struct matrix_fault f;
    float *row = p.c + 100 * 520, first = row[0];
    int other = 1;
    while (row[other] == first) other++;
    row[0] = row[other];
    row[other] = first;
    assert_int_equal(matrix_check(p.a, p.bt, p.c, 520, &f), 0);
    assert_int_equal(f.row, 100);
    drop(&p);
}

static void matrix_checksum__depends_on_every_element(void **s) {
    float m[4] = {1, 2, 3, 4};
    uint64_t before = matrix_checksum(m, 2);
    m[3] = 5;
    assert_true(matrix_checksum(m, 2) != before);
    m[3] = 4;
    assert_true(matrix_checksum(m, 2) == before);
}

static void matrix_fill__range_and_seed(void **s) {
    float x[1024], y[1024];
    int differ = 0;
    matrix_fill(x, 32, 1);
    matrix_fill(y, 32, 2);
    for (int i = 0; i < 1024; i++) {
        assert_true(x[i] >= -7 && x[i] <= 7 && x[i] == (float)(int)x[i]);
        differ += x[i] != y[i];
    }
    assert_true(differ > 512);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrix_check__order_one),
        cmocka_unit_test(matrix_check__last_element_small),
        cmocka_unit_test(matrix_check__last_element_large),
        cmocka_unit_test(matrix_check__fraction_large),
        cmocka_unit_test(matrix_check__nan),
        cmocka_unit_test(matrix_check__swapped_elements),
        cmocka_unit_test(matrix_checksum__depends_on_every_element),
        cmocka_unit_test(matrix_fill__range_and_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
