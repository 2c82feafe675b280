/* Tests of the makespan's simulation: cases that can be computed by hand. */
#include "base/error.h"
#include "model/predict/predict.h"
#include "model/predict/predict_test.h"

#include <math.h>

#define EPSILON 1e-9

static const double nics[WEFT_MAKESPAN_NODES_MAX] = {10, 10, 10, 10};

static struct weft_makespan run(const struct weft_block_app *a, const struct weft_block_device *d,
                                int devices, int nodes, struct weft_block_policy p) {
    const struct weft_block_cluster c = {d, devices, nics, nodes};
    struct weft_makespan m;
    assert_int_equal(weft_makespan(a, &c, &p, &m), WEFT_OK);
    return m;
}

static void makespan__one_device_computes_one_block_after_another(void **state) {
    const struct weft_block_app a = {.rows = 3, .columns = 2, .row_B = 5, .column_B = 5, .result_B = 5};
    const struct weft_block_device d[] = {{0, 7}};
    struct weft_makespan m = run(&a, d, 1, 1, (struct weft_block_policy){0});
    assert_near(m.seconds, 42);
    assert_near(m.sent_B + m.received_B, 0);
    assert_int_equal(m.blocks[0], 6);
}

/* Two blocks: in 2 s, compute 3 s, out 1 s, twice. Ahead: the second comes while the first is computed, and
 * the first result leaves while the second is. */
static void makespan__prefetch_overlaps_transfers(void **state) {
    const struct weft_block_app a = {.rows = 2, .columns = 1, .row_B = 10, .column_B = 10, .result_B = 10};
    const struct weft_block_device d[] = {{1, 3}};
    assert_near(run(&a, d, 1, 2, (struct weft_block_policy){0}).seconds, 12);
    struct weft_makespan m = run(&a, d, 1, 2, (struct weft_block_policy){.prefetch = 1});
    assert_near(m.seconds, 2 + 3 + 3 + 1);
    assert_near(m.sent_B, 40);
    assert_near(m.received_B, 20);
}

/* Two devices want 20 B each at once over 10 B/s: shared, both have them at 4 s; in turn, at 2 s and 4 s. */
static void makespan__a_network_card_shares_or_queues(void **state) {
    const struct weft_block_app a = {.rows = 2, .columns = 1, .row_B = 10, .column_B = 10, .result_B = 10};
    const struct weft_block_device d[] = {{1, 5}, {2, 5}};
    assert_near(run(&a, d, 2, 3, (struct weft_block_policy){0}).seconds, 4 + 5 + 2);
    assert_near(run(&a, d, 2, 3, (struct weft_block_policy){.nic = WEFT_NIC_FIFO}).seconds, 4 + 5 + 1);
}

/* A node whose card is slower than node 0's is limited by its own. */
static void makespan__the_slower_card_decides(void **state) {
    const double slow[] = {10, 5};
    const struct weft_block_app a = {.rows = 1, .columns = 1, .row_B = 10, .column_B = 10, .result_B = 10};
    const struct weft_block_device d[] = {{1, 1}};
    const struct weft_block_cluster c = {d, 1, slow, 2};
    struct weft_makespan m;
    for (int nic = WEFT_NIC_SHARED; nic <= WEFT_NIC_FIFO; nic++) {
        assert_int_equal(weft_makespan(&a, &c, &(struct weft_block_policy){.nic = nic}, &m), WEFT_OK);
        assert_near(m.seconds, 4 + 1 + 2);
    }
}

/* 3 blocks, devices of 1 s and 10 s: greedily the slow one takes one and ends at 10 s; else the fast one does
 * all. */
static void makespan__tail_aware_leaves_the_last_to_the_fast(void **state) {
    const struct weft_block_app a = {.rows = 3, .columns = 1};
    const struct weft_block_device d[] = {{0, 1}, {0, 10}};
    assert_near(run(&a, d, 2, 1, (struct weft_block_policy){0}).seconds, 10);
    struct weft_makespan m = run(&a, d, 2, 1, (struct weft_block_policy){.tail_aware = true});
    assert_near(m.seconds, 3);
    assert_int_equal(m.blocks[1], 0);
}

/* 2 x 2 blocks on one node: each of the four operands crosses once instead of each block's two. */
static void makespan__operands_once_sends_each_once_a_node(void **state) {
    const struct weft_block_app a = {.rows = 2, .columns = 2, .row_B = 10, .column_B = 20, .result_B = 1};
    const struct weft_block_device d[] = {{1, 1}, {1, 1}};
    for (int nic = WEFT_NIC_SHARED; nic <= WEFT_NIC_FIFO; nic++) {
        struct weft_makespan m =
            run(&a, d, 2, 2, (struct weft_block_policy){.nic = nic, .operands_once = true});
        assert_near(m.sent_B, 60);
        assert_int_equal(m.blocks[0] + m.blocks[1], 4);
    }
    assert_near(run(&a, d, 2, 2, (struct weft_block_policy){0}).sent_B, 120);
}

static void makespan__counts_given_beforehand_are_kept(void **state) {
    const int counts[] = {1, 3};
    const struct weft_block_app a = {.rows = 2, .columns = 2};
    const struct weft_block_device d[] = {{0, 1}, {0, 1}};
    struct weft_makespan m = run(&a, d, 2, 1, (struct weft_block_policy){.blocks = counts});
    assert_int_equal(m.blocks[1], 3);
    assert_near(m.seconds, 3);
}

/* Whatever the policy: every block is done once, no device is faster than it is, and the network carries no
 * more than its rate. */
static void makespan__random_clusters_keep_to_their_bounds(void **state) {
    uint64_t seed = 1;
    for (int i = 0; i < 2000; i++) {
        struct weft_block_device d[12];
        struct weft_block_app a = {.rows = 1 + test_random_below(&seed, 6),
                                   .columns = 1 + test_random_below(&seed, 6)};
        int devices = 1 + test_random_below(&seed, 12), nodes = 1 + test_random_below(&seed, 4), blocks = 0;
        double rate = 0;
        a.row_B = 10 * test_random(&seed), a.column_B = 10 * test_random(&seed),
        a.result_B = 5 * test_random(&seed);
        for (int k = 0; k < devices; k++) {
            d[k] = (struct weft_block_device){test_random_below(&seed, nodes), 0.1 + 10 * test_random(&seed)};
            rate += 1 / d[k].block_s;
        }
        struct weft_block_policy p = {.nic = test_random_below(&seed, 2),
                                      .prefetch = test_random_below(&seed, 3),
                                      .tail_aware = test_random_below(&seed, 2),
                                      .operands_once = test_random_below(&seed, 2)};
        struct weft_makespan m = run(&a, d, devices, nodes, p);
        for (int k = 0; k < devices; k++) {
            blocks += m.blocks[k];
            assert_true(m.seconds > m.blocks[k] * d[k].block_s - EPSILON);
        }
        assert_int_equal(blocks, a.rows * a.columns);
        assert_true(m.seconds > blocks / rate - EPSILON);
        assert_true(m.seconds * nics[0] > m.sent_B - 1e-6 && m.seconds * nics[0] > m.received_B - 1e-6);
    }
}

static void makespan__refuses_what_makes_no_sense(void **state) {
    const struct weft_block_app good = {.rows = 2, .columns = 2, .row_B = 1, .column_B = 1, .result_B = 1};
    const struct weft_block_device d[] = {{0, 1}, {1, 1}}, away[] = {{2, 1}}, never[] = {{0, 0}},
                                   nan_s[] = {{0, NAN}};
    const struct weft_block_cluster cluster = {d, 2, nics, 2}, beyond = {away, 1, nics, 2},
                                    stuck = {never, 1, nics, 1}, unknown = {nan_s, 1, nics, 1},
                                    none = {d, 0, nics, 1}, many = {d, 2, nics, 100};
    const struct weft_block_policy p = {0};
    const int few[] = {1, 1};
    struct weft_makespan m;
    const struct weft_block_cluster *bad[] = {&beyond, &stuck, &unknown, &none};
    for (int i = 0; i < 4; i++) assert_int_equal(weft_makespan(&good, bad[i], &p, &m), WEFT_E_INVAL);
    assert_int_equal(weft_makespan(&good, &many, &p, &m), WEFT_E_TOO_BIG);
    assert_int_equal(weft_makespan(&(struct weft_block_app){.rows = 0, .columns = 1}, &cluster, &p, &m),
                     WEFT_E_INVAL);
    assert_int_equal(weft_makespan(&(struct weft_block_app){.rows = 200, .columns = 100}, &cluster, &p, &m),
                     WEFT_E_TOO_BIG);
    assert_int_equal(
        weft_makespan(&(struct weft_block_app){.rows = 1, .columns = 1, .row_B = -1}, &cluster, &p, &m),
        WEFT_E_INVAL);
    assert_int_equal(weft_makespan(&good, &cluster, &(struct weft_block_policy){.blocks = few}, &m),
                     WEFT_E_INVAL);
    assert_int_equal(weft_makespan(&good, &cluster, &(struct weft_block_policy){.prefetch = 99}, &m),
                     WEFT_E_INVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makespan__one_device_computes_one_block_after_another),
        cmocka_unit_test(makespan__prefetch_overlaps_transfers),
        cmocka_unit_test(makespan__a_network_card_shares_or_queues),
        cmocka_unit_test(makespan__the_slower_card_decides),
        cmocka_unit_test(makespan__tail_aware_leaves_the_last_to_the_fast),
        cmocka_unit_test(makespan__operands_once_sends_each_once_a_node),
        cmocka_unit_test(makespan__counts_given_beforehand_are_kept),
        cmocka_unit_test(makespan__random_clusters_keep_to_their_bounds),
        cmocka_unit_test(makespan__refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
