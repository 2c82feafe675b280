/* Tests of blocks given to devices beforehand. */
#include "base/error.h"
#include "model/predict/predict.h"
#include "model/predict/predict_test.h"

static void place_blocks__balances_by_speed(void **state) {
    const struct weft_block_device d[] = {{0, 1}, {0, 3}};
    const double nics[] = {1};
    const struct weft_block_app a = {.rows = 4, .columns = 2};
    const struct weft_block_cluster c = {d, 2, nics, 1};
    const struct weft_block_policy p = {0};
    struct weft_makespan m;
    int blocks[2];
    assert_int_equal(weft_place_blocks(&a, &c, &p, blocks, &m), WEFT_OK);
    assert_int_equal(blocks[0], 6);
    assert_int_equal(blocks[1], 2);
    assert_near(m.seconds, 6);
}

/* The nine devices of the published cluster: what balances their speeds alone (as a graph partitioner does: 9
 * or 10 blocks a GPU, 4 or 5 a CPU) takes half as long again as taking turns, because it does not know what
 * feeding costs. */
static void place_blocks__knows_what_feeding_costs(void **state) {
    const double gpu_s = 91 / 64.0, cpu_s = 179 / 64.0, nics[] = {125e6, 125e6, 125e6, 125e6};
    const struct weft_block_device d[] = {{0, gpu_s}, {0, gpu_s}, {0, cpu_s}, {1, gpu_s}, {1, cpu_s},
                                          {2, gpu_s}, {2, cpu_s}, {3, gpu_s}, {3, cpu_s}};
    const int balanced[] = {9, 10, 4, 10, 4, 9, 4, 9, 5};
    const double slice_B = 1024.0 * 8192 * 4;
    const struct weft_block_app a = {8, 8, slice_B, slice_B, 1024.0 * 1024 * 4};
    const struct weft_block_cluster c = {d, 9, nics, 4};
    struct weft_block_policy p = {0};
    struct weft_makespan dynamic, searched, fixed;
    int blocks[9], sum = 0;
    assert_int_equal(weft_makespan(&a, &c, &p, &dynamic), WEFT_OK);
    assert_int_equal(weft_place_blocks(&a, &c, &p, blocks, &searched), WEFT_OK);
    p.blocks = balanced;
    assert_int_equal(weft_makespan(&a, &c, &p, &fixed), WEFT_OK);
    for (int i = 0; i < 9; i++) sum += blocks[i];
    assert_int_equal(sum, 64);
    assert_within(fixed.seconds, 33.9, 0.005);
    assert_within(dynamic.seconds, 21.9, 0.005);
    assert_true(searched.seconds < dynamic.seconds * 0.99); /* looking ahead is worth something */
    printf("balanced %.1f s, dynamic %.1f s, searched %.1f s\n", fixed.seconds, dynamic.seconds,
           searched.seconds);
}

/* Never longer than dynamic, on anything. */
static void place_blocks__is_no_worse_than_dynamic(void **state) {
    uint64_t seed = 30;
    for (int i = 0; i < 50; i++) {
        struct weft_block_device d[6];
        double nics[3] = {10, 10, 10};
        int devices = 1 + test_random_below(&seed, 6), blocks[6];
        for (int k = 0; k < devices; k++)
            d[k] = (struct weft_block_device){test_random_below(&seed, 3), 0.2 + 3 * test_random(&seed)};
        const struct weft_block_app a = {4, 4, 5 * test_random(&seed), 5 * test_random(&seed),
                                         test_random(&seed)};
        const struct weft_block_cluster c = {d, devices, nics, 3};
        const struct weft_block_policy p = {.nic = test_random_below(&seed, 2),
                                            .prefetch = test_random_below(&seed, 2)};
        struct weft_makespan dynamic, searched;
        assert_int_equal(weft_makespan(&a, &c, &p, &dynamic), WEFT_OK);
        assert_int_equal(weft_place_blocks(&a, &c, &p, blocks, &searched), WEFT_OK);
        assert_true(searched.seconds <= dynamic.seconds * (1 + 1e-9));
    }
}

/* All counts of three devices, for small cases. */
static double least_s(const struct weft_block_app *a, const struct weft_block_cluster *c,
                      struct weft_block_policy p) {
    int n = a->rows * a->columns, counts[3];
    double least = INFINITY;
    p.blocks = counts;
    for (counts[0] = 0; counts[0] <= n; counts[0]++)
        for (counts[1] = 0; counts[0] + counts[1] <= n; counts[1]++) {
            struct weft_makespan m;
            counts[2] = n - counts[0] - counts[1];
            assert_int_equal(weft_makespan(a, c, &p, &m), WEFT_OK);
            least = fmin(least, m.seconds);
        }
    return least;
}

static void place_blocks__is_within_5_percent_of_the_best(void **state) {
    uint64_t seed = 31;
    for (int i = 0; i < 100; i++) {
        struct weft_block_device d[3];
        const double nics[3] = {10, 10, 10};
        int blocks[3];
        for (int k = 0; k < 3; k++)
            d[k] = (struct weft_block_device){test_random_below(&seed, 3), 0.2 + 3 * test_random(&seed)};
        const struct weft_block_app a = {4, 4, 5 * test_random(&seed), 5 * test_random(&seed),
                                         test_random(&seed)};
        const struct weft_block_cluster c = {d, 3, nics, 3};
        const struct weft_block_policy p = {.nic = test_random_below(&seed, 2),
                                            .prefetch = test_random_below(&seed, 2)};
        struct weft_makespan searched;
        assert_int_equal(weft_place_blocks(&a, &c, &p, blocks, &searched), WEFT_OK);
        double least = least_s(&a, &c, p);
        if (searched.seconds > least * 1.05)
            fail_msg("case %d: %g, the best is %g", i, searched.seconds, least);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(place_blocks__balances_by_speed),
        cmocka_unit_test(place_blocks__knows_what_feeding_costs),
        cmocka_unit_test(place_blocks__is_no_worse_than_dynamic),
        cmocka_unit_test(place_blocks__is_within_5_percent_of_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
