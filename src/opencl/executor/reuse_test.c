/* Tests of contents that an executor has, or is about to get, and that need not travel again: a remote
 * backend and an executor, both in this process, over the real endpoints. */
#include "base/clock.h"
#include "opencl/executor/end_to_end_fixture.h"

/* Large messages that came, asked for or not. */
static uint64_t pushes(void) {
    return weft_counter_named("transport_pushes") + weft_counter_named("transport_method2");
}

/* Writes contents that the number says, and whether they had to travel. */
static bool write_travels(struct world *w, bk_ref m, size_t offset, size_t bytes, int contents) {
    unsigned char *out = malloc(bytes), *in = malloc(bytes);
    for (size_t i = 0; i < bytes; i++) out[i] = (unsigned char)(contents * 31 + (int)(i >> 12) + (int)i);
    uint64_t before = pushes();
    assert_int_equal(transfer(w, BK_WRITE, m, offset, bytes, out), 0);
    uint64_t made = pushes() - before;
    assert_int_equal(transfer(w, BK_READ, m, offset, bytes, in), 0);
    assert_memory_equal(in, out, bytes);
    free(out);
    free(in);
    return made > 0;
}

static void executor__has_contents_that_it_got_before(void **state) {
    struct world *w = *state;
    bk_ref m = buffer(w, 4 * MIB), other = buffer(w, 4 * MIB);
    assert_true(write_travels(w, m, 0, MIB, 1));
    assert_false(write_travels(w, m, 0, MIB, 1));
    assert_false(write_travels(w, other, MIB + 7, MIB, 1));
    assert_true(write_travels(w, m, 0, MIB, 2));
    assert_true(write_travels(w, m, 0, MIB - 4, 1)); /* the same beginning is not the same */
    assert_false(write_travels(w, m, 0, MIB, 1));
    w->b->ops->release(w->b, BK_MEM, m);
    w->b->ops->release(w->b, BK_MEM, other);
    bk_ref again = buffer(w, MIB);
    assert_false(write_travels(w, again, 0, MIB, 2));
}

/* Six small writes measure, the seventh is kept. */
static void executor__keeps_what_is_small_once_the_rate_is_known(void **state) {
    struct world *w = *state;
    bk_ref m = buffer(w, MIB);
    for (int i = 0; i < 7; i++) assert_true(write_travels(w, m, 0, 192 * 1024, 1));
    assert_false(write_travels(w, m, 0, 192 * 1024, 1));
}

static void executor__keeps_what_is_large_from_the_first_on(void **state) {
    struct world *w = *state;
    bk_ref m = buffer(w, MIB);
    assert_true(write_travels(w, m, 0, MIB / 4, 1));
    assert_false(write_travels(w, m, 0, MIB / 4, 1));
}

/* The executor looks at where to, also when it has the contents. */
static void executor__refuses_known_contents_outside_the_buffer(void **state) {
    struct world *w = *state;
    bk_ref m = buffer(w, MIB);
    unsigned char *out = calloc(1, MIB);
    assert_int_equal(transfer(w, BK_WRITE, m, 0, MIB, out), 0);
    uint64_t before = pushes();
    assert_int_equal(transfer(w, BK_WRITE, m, 1, MIB, out), CL_INVALID_VALUE);
    assert_int_equal(transfer(w, BK_WRITE, m, UINT64_MAX, MIB, out), CL_INVALID_VALUE);
    assert_int_equal(pushes(), before);
    assert_int_equal(transfer(w, BK_WRITE, m, 0, MIB, out), 0);
    free(out);
}

/* What an executor had no memory for it does not have: each time the same error. */
static void executor__does_not_keep_what_it_refuses(void **state) {
    struct world *w = *state;
    bk_ref m = buffer(w, 2 * MIB);
    unsigned char *out = calloc(1, 2 * MIB);
    for (int i = 0; i < 3; i++) assert_int_equal(put(w, m, 2 * MIB, out), CL_OUT_OF_HOST_MEMORY);
    assert_true(write_travels(w, m, 0, MIB / 2, 1));
    write_travels(w, m, 0, MIB / 2, 1); /* what was refused in no time made the line look fast until now */
    assert_false(write_travels(w, m, 0, MIB / 2, 1));
    free(out);
}

/* Room for four: what was not used for longest goes. */
static void executor__forgets_contents_over_its_room(void **state) {
    struct world *w = *state;
    bk_ref m = buffer(w, MIB);
    for (int contents = 0; contents < 4; contents++) assert_true(write_travels(w, m, 0, MIB, contents));
    assert_false(write_travels(w, m, 0, MIB, 0));
    assert_true(write_travels(w, m, 0, MIB, 4));
    assert_false(write_travels(w, m, 0, MIB, 0));
    assert_true(write_travels(w, m, 0, MIB, 1));
    for (int round = 0; round < 40; round++)
        write_travels(w, m, 0, MIB - (size_t)(round % 7) * 4096, round % 9);
}

static void executor__keeps_nothing_where_data_travels_fast(void **state) {
    struct world *w = *state;
    bk_ref m = buffer(w, 4 * MIB);
    assert_true(write_travels(w, m, 0, 4 * MIB, 1)); /* from now on it is known */
    assert_true(write_travels(w, m, 0, MIB, 2));
    assert_true(write_travels(w, m, 0, MIB, 2));
}

/* Two devices of a node begin with the same data: one journey, and neither has it before it is there. */
static void executor__gets_once_what_is_on_its_way(void **state) {
    struct world *w = *state;
    unsigned char *out = malloc(2 * MIB), *in = malloc(2 * MIB);
    for (size_t i = 0; i < 2 * MIB; i++) out[i] = (unsigned char)(i * 7 + (i >> 11));
    bk_ref m[2] = {buffer(w, 2 * MIB), buffer(w, 2 * MIB)}, e[2], other = 0;
    assert_true(write_travels(w, m[0], 0, MIB, 1));
    assert_int_equal(w->b->ops->create_queue(w->b, w->context, 1, 0, &other), 0);
    uint64_t before = pushes();
    for (int i = 0; i < 2; i++) {
        struct bk_command c = {.op = BK_WRITE, .queue = i ? other : w->queue};
        c.u.rw.mem = m[i];
        c.u.rw.size = 2 * MIB;
        c.u.rw.host = out;
        e[i] = enqueue_for_event(w, c);
    }
    assert_true(w->b->ops->event_status(w->b, e[0]) > CL_COMPLETE); /* still on its way */
    assert_int_equal(w->b->ops->wait_event(w->b, e[1]), CL_COMPLETE);
    assert_int_equal(w->b->ops->wait_event(w->b, e[0]), CL_COMPLETE);
    uint64_t together = pushes() - before;
    for (int i = 0; i < 2; i++) {
        memset(in, 0, 2 * MIB);
        assert_int_equal(get(w, m[i], 2 * MIB, in), 0);
        assert_memory_equal(in, out, 2 * MIB);
        w->b->ops->release(w->b, BK_EVENT, e[i]);
    }
    out[0] ^= 1;
    before = pushes();
    assert_int_equal(put(w, m[0], 2 * MIB, out), 0);
    assert_int_equal(together, pushes() - before);
    free(out);
    free(in);
}

/* What a message takes whatever its size says nothing of the line; several at once take it once. */
static void rate__leaves_out_waking_up_and_the_device(void **state) {
    struct remote_rate r = {0};
    const uint64_t us = WEFT_NS_PER_US;
    remote_rate_begin(&r, 1000 * us);
    remote_rate_end(&r, 1090 * us, 65536);
    assert_int_equal(r.busy_ns, 0);
    remote_rate_begin(&r, 2000 * us);
    remote_rate_begin(&r, 2010 * us);
    remote_rate_end(&r, 2090 * us, 65536);
    remote_rate_end(&r, 2400 * us, 65536);
    assert_int_equal(r.busy_ns, 300 * us);
    assert_int_equal(r.bytes, 3 * 65536);
}

static int set_up_reuse(void **state) {
    weft_option_set("opencl_reuse_bytes", "4M");
    weft_option_set("opencl_reuse_rate", "1000G");
    return set_up(state);
}
static int set_up_fast(void **state) {
    weft_option_set("opencl_reuse_bytes", "64M");
    weft_option_set("opencl_reuse_rate", "1");
    return set_up(state);
}
/* So slow that what one message takes whatever its size is no matter. */
static int set_up_slowly(void **state, int (*up)(void **state)) {
    weft_option_set("sim", "rate_MBps=20");
    setenv("TEST_ADAPTERS", "sim", 1);
    int failed = up(state);
    unsetenv("TEST_ADAPTERS");
    return failed;
}
static int set_up_slow(void **state) { return set_up_slowly(state, set_up_reuse); }
static int set_up_narrow(void **state) {
    weft_option_set("opencl_reuse_bytes", "64M");
    weft_option_set("opencl_reuse_rate", "1000G");
    weft_option_set("exec_staging_bytes", "1M");
    int failed = set_up_slowly(state, set_up);
    weft_option_set("exec_staging_bytes", NULL);
    return failed;
}

int main(void) {
#define T(f, up) cmocka_unit_test_setup_teardown(f, up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate__leaves_out_waking_up_and_the_device),
        T(executor__has_contents_that_it_got_before, set_up_reuse),
        T(executor__keeps_what_is_small_once_the_rate_is_known, set_up_slow),
        T(executor__keeps_what_is_large_from_the_first_on, set_up_reuse),
        T(executor__refuses_known_contents_outside_the_buffer, set_up_reuse),
        T(executor__does_not_keep_what_it_refuses, set_up_narrow),
        T(executor__forgets_contents_over_its_room, set_up_reuse),
        T(executor__keeps_nothing_where_data_travels_fast, set_up_fast),
        T(executor__gets_once_what_is_on_its_way, set_up_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
