/* Tests of which block a node takes next. */
#include "matmul.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SIDE 8

/* Nodes take blocks in that order, again and again, until there are none. Strips that a node has had of A and
 * of B together, by node. */
static void run(const char *order, int *strips) {
    struct job j = {.blocks_a_side = SIDE};
    struct near *n = near_create(&j);
    bool taken[SIDE * SIDE] = {false}, has[4][2 * SIDE] = {{false}};
    memset(strips, 0, 4 * sizeof *strips);
    for (int i = 0; i < SIDE * SIDE; i++) {
        unsigned node = (unsigned)(order[(size_t)i % strlen(order)] - '0');
        uint64_t block = near_take(n, node);
        assert_true(block < SIDE * SIDE);
        assert_false(taken[block]);
        taken[block] = has[node][block / SIDE] = has[node][SIDE + block % SIDE] = true;
    }
    for (int node = 0; node < 4; node++)
        for (int s = 0; s < 2 * SIDE; s++) strips[node] += has[node][s];
    near_destroy(n);
}

static void near_take__gives_each_block_once_and_few_strips(void **state) {
    int strips[4];
    run("0123", strips);
    for (int node = 0; node < 4; node++) assert_in_range(strips[node], 8, 11); /* 16 blocks: 8 at best */
    run("00123012300123", strips);
    for (int node = 1; node < 4; node++) assert_in_range(strips[node], 6, 11);
    run("1", strips);
    assert_int_equal(strips[1], 2 * SIDE);
}

static void near_create__leaves_large_matrices_to_the_counter(void **state) {
    struct job j = {.blocks_a_side = 65};
    assert_null(near_create(&j));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(near_take__gives_each_block_once_and_few_strips),
        cmocka_unit_test(near_create__leaves_large_matrices_to_the_counter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
