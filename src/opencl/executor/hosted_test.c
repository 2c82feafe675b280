/* Tests of buffers in the executor's own memory, over udp: transfers whose turn has come are none of the
 * driver's commands, keep their place among its commands all the same, and harm nobody, whatever becomes of
 * the buffer. */
#include <sched.h>

#include "opencl/executor/end_to_end_fixture.h"
#include "opencl/executor/internal.h"

#define INTS 1024
#define MANY (4 * MIB / sizeof(int))

static atomic_uint commands; /* reads and writes that the driver was given */
static cl_icd_dispatch own;
static cl_int CL_API_CALL count_read(cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset,
                                     size_t bytes, void *host, cl_uint n, const cl_event *waits,
                                     cl_event *e) {
    atomic_fetch_add(&commands, 1);
    return own.clEnqueueReadBuffer(q, m, blocking, offset, bytes, host, n, waits, e);
}
static cl_int CL_API_CALL count_write(cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset,
                                      size_t bytes, const void *host, cl_uint n, const cl_event *waits,
                                      cl_event *e) {
    atomic_fetch_add(&commands, 1);
    return own.clEnqueueWriteBuffer(q, m, blocking, offset, bytes, host, n, waits, e);
}

static int set_up_one(void **state) {
    cl_icd_dispatch *driver = (cl_icd_dispatch *)drivers_load()->platforms[0].dispatch;
    if (set_up_devices(state, 1)) return -1;
    finish(*state); /* the executor has said what it can do */
    own = *driver;
    driver->clEnqueueReadBuffer = count_read;
    driver->clEnqueueWriteBuffer = count_write;
    atomic_store(&commands, 0);
    return 0;
}

static int tear_down_one(void **state) {
    int failed = tear_down(state);
    *(cl_icd_dispatch *)drivers_load()->platforms[0].dispatch = own;
    return failed;
}

static int *numbers(size_t n, int first) {
    int *p = malloc(n * sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = first + (int)i;
    return p;
}

static void hosted__transfers_are_not_the_drivers(void **state) {
    struct world *w = *state;
    static const size_t counts[] = {1, INTS, 16384, MANY};
    int *got = malloc(counts[3] * sizeof *got);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        size_t bytes = counts[i] * sizeof(int);
        bk_ref m = buffer(w, bytes);
        for (int round = 0; round < 5; round++) {
            int *data = numbers(counts[i], round);
            assert_int_equal(put(w, m, bytes, data), 0);
            assert_int_equal(get(w, m, bytes, got), 0);
            assert_memory_equal(data, got, bytes);
            free(data);
        }
        w->b->ops->release(w->b, BK_MEM, m);
    }
    assert_int_equal(atomic_load(&commands), 0);
    free(got);
}

static void hosted__transfers_come_after_kernels(void **state) {
    transfers_come_after_kernels(*state);
    assert_true(atomic_load(&commands) > 0); /* those that had to wait */
}

static void hosted__parts_are_of_the_whole(void **state) {
    struct world *w = *state;
    int *data = numbers(INTS, 0), got[4], more[2] = {-1, -2};
    bk_ref m = buffer(w, INTS * sizeof(int)), part = 0;
    assert_int_equal(put(w, m, INTS * sizeof(int), data), 0);
    assert_int_equal(w->b->ops->create_sub_buffer(w->b, m, CL_MEM_READ_WRITE, 512, 256, &part), 0);
    assert_int_equal(transfer(w, BK_READ, part, 64, sizeof got, got), 0);
    for (int i = 0; i < 4; i++) assert_int_equal(got[i], (512 + 64) / 4 + i);
    assert_int_equal(transfer(w, BK_WRITE, part, 68, sizeof more, more), 0);
    w->b->ops->release(w->b, BK_MEM, m);
    assert_int_equal(transfer(w, BK_READ, part, 64, sizeof got, got), 0);
    assert_int_equal(got[0], 144);
    assert_int_equal(got[1], -1);
    assert_int_equal(got[2], -2);
    assert_int_equal(got[3], 147);
    assert_int_equal(atomic_load(&commands), 0);
    free(data);
}

static void hosted__nothing_outside_is_touched(void **state) {
    struct world *w = *state;
    int data[INTS] = {0};
    bk_ref m = buffer(w, 512), part = 0;
    assert_int_equal(w->b->ops->create_sub_buffer(w->b, m, CL_MEM_READ_WRITE, 128, 256, &part), 0);
    assert_int_equal(put(w, m, 516, data), CL_INVALID_VALUE);
    assert_int_equal(get(w, m, 516, data), CL_INVALID_VALUE);
    assert_int_equal(transfer(w, BK_WRITE, m, 512, 4, data), CL_INVALID_VALUE);
    assert_int_equal(transfer(w, BK_READ, m, (size_t)-4, 8, data), CL_INVALID_VALUE);
    assert_int_equal(transfer(w, BK_WRITE, part, 256, 4, data), CL_INVALID_VALUE);
    assert_int_equal(transfer(w, BK_READ, part, 252, 4, data), 0);
    w->b->ops->release(w->b, BK_MEM, part);
    w->b->ops->release(w->b, BK_MEM, m);
    assert_true(put(w, m, 4, data) < 0);
}

/* A blocking write on a thread of its own. */
struct writer {
    struct world *w;
    bk_ref mem;
    int *data;
    atomic_bool done;
    cl_int err;
};
static void *write_all(void *arg) {
    struct writer *t = arg;
    t->err = put(t->w, t->mem, MANY * sizeof *t->data, t->data);
    atomic_store(&t->done, true);
    return NULL;
}

/* Its turn is taken, or over. */
static bool await_turn(struct writer *t) {
    struct remote_node *n = remote_node_of(t->w->b);
    for (bool taken = false; !atomic_load(&t->done); sched_yield()) {
        pthread_mutex_lock(&n->lock);
        const struct remote_queue *q = remote_slot_record(n, t->w->queue, BK_QUEUE);
        taken = q->hosting && q->sent && !q->enqueuing;
        pthread_mutex_unlock(&n->lock);
        if (taken) return true;
    }
    return false;
}

static void hosted__later_commands_wait_behind_a_gate(void **state) {
    struct world *w = *state;
    bk_ref m = buffer(w, MANY * sizeof(int)), k = adder(w, m, 1);
    int *got = malloc(MANY * sizeof *got), met = 0;
    for (int round = 0; round < 10 || !met; round++) {
        struct writer t = {.w = w, .mem = m, .data = numbers(MANY, round)};
        pthread_t thread;
        pthread_create(&thread, NULL, write_all, &t);
        met += await_turn(&t);
        struct bk_command c = launch(w, k, MANY);
        bk_ref e = enqueue_for_event(w, c);
        pthread_join(thread, NULL);
        assert_int_equal(t.err, 0);
        assert_int_equal(w->b->ops->wait_event(w->b, e), CL_COMPLETE);
        assert_int_equal(get(w, m, MANY * sizeof *got, got), 0);
        size_t right = 0;
        while (right < MANY && got[right] == t.data[right] + 1) right++;
        assert_int_equal(right, MANY);
        w->b->ops->release(w->b, BK_EVENT, e);
        free(t.data);
    }
    free(got);
}

/* The program must not; but only it would have the damage. */
static void hosted__memory_outlives_the_buffer(void **state) {
    struct world *w = *state;
    for (int round = 0, met = 0; round < 10 || !met; round++) {
        struct writer t = {.w = w, .mem = buffer(w, MANY * sizeof(int)), .data = numbers(MANY, round)};
        pthread_t thread;
        pthread_create(&thread, NULL, write_all, &t);
        met += await_turn(&t);
        w->b->ops->release(w->b, BK_MEM, t.mem);
        pthread_join(thread, NULL);
        free(t.data);
    }
    assert_int_equal(finish(w), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_one, tear_down_one)
int main(void) {
    setenv("TEST_ADAPTERS", "udp", 1);
    weft_option_set("opencl_reuse_bytes", "0"); /* what is kept for another time takes the usual way */
    const struct CMUnitTest tests[] = {
        TEST(hosted__transfers_are_not_the_drivers),
        TEST(hosted__transfers_come_after_kernels),
        TEST(hosted__parts_are_of_the_whole),
        TEST(hosted__nothing_outside_is_touched),
        TEST(hosted__later_commands_wait_behind_a_gate),
        TEST(hosted__memory_outlives_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
