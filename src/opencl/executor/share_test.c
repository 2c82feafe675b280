/* Tests of buffers in memory that a client and its executor share, both in this process, over shm: what is
 * copied or looked at without the executor, in whose turn, and what becomes of places. */
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "opencl/executor/end_to_end_fixture.h"
#include "opencl/executor/internal.h"

#define INTS 1024
#define MANY (4 * MIB / sizeof(int))

/* An executor's thread counts a message after the client may have it, under its endpoint's lock: once that
 * was had, all that has come is counted. */
static uint64_t messages_sent(struct world *w) {
    ep_cancel_timer(w->server, UINT64_MAX); /* nobody's */
    return weft_counter_named("transport_messages_sent");
}

static int *view(struct world *w, bk_ref m) { return w->b->ops->host_view(w->b, m); }

static void shared__transfers_take_no_message(void **state) {
    struct world *w = *state;
    int data[INTS], got[INTS];
    bk_ref m = buffer(w, sizeof data);
    for (int i = 0; i < INTS; i++) data[i] = i;
    assert_int_equal(put(w, m, sizeof data, data), 0);
    uint64_t before = messages_sent(w);
    for (int round = 0; round < 100; round++) {
        data[round] += 7;
        assert_int_equal(put(w, m, sizeof data, data), 0);
        assert_int_equal(get(w, m, sizeof got, got), 0);
        assert_memory_equal(data, got, sizeof got);
        assert_int_equal(finish(w), 0);
    }
    assert_int_equal(messages_sent(w), before);
}

static void shared__transfers_come_after_kernels(void **state) { transfers_come_after_kernels(*state); }

static void shared__parts_are_of_the_whole(void **state) {
    struct world *w = *state;
    int data[INTS], got[4];
    bk_ref m = buffer(w, sizeof data), part = 0;
    for (int i = 0; i < INTS; i++) data[i] = i;
    assert_int_equal(put(w, m, sizeof data, data), 0);
    assert_int_equal(w->b->ops->create_sub_buffer(w->b, m, CL_MEM_READ_WRITE, 512, 256, &part), 0);
    assert_int_equal(transfer(w, BK_READ, part, 64, sizeof got, got), 0);
    for (int i = 0; i < 4; i++) assert_int_equal(got[i], (512 + 64) / 4 + i);
    assert_ptr_equal(view(w, part), view(w, m) + 128);
    w->b->ops->release(w->b, BK_MEM, m);
    assert_int_equal(transfer(w, BK_READ, part, 0, sizeof got, got), 0);
    assert_int_equal(got[0], 128);
}

static void shared__view_is_what_the_device_has(void **state) {
    struct world *w = *state;
    bk_ref m = buffer(w, INTS * sizeof(int)), k = adder(w, m, 5);
    int *at = view(w, m);
    assert_non_null(at);
    for (int i = 0; i < INTS; i++) at[i] = i;
    struct bk_command c = launch(w, k, INTS);
    assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
    assert_int_equal(finish(w), 0);
    for (int i = 0; i < INTS; i++) assert_int_equal(at[i], i + 5);
}

static void shared__events_are_the_executors_too(void **state) {
    struct world *w = *state;
    int data[INTS] = {1};
    bk_ref m = buffer(w, sizeof data), k = adder(w, m, 1);
    assert_int_equal(put(w, m, sizeof data, data), 0);
    struct bk_command c = {.op = BK_WRITE, .queue = w->queue};
    c.u.rw.mem = m;
    c.u.rw.size = sizeof data;
    c.u.rw.host = data;
    bk_ref e = enqueue_for_event(w, c);
    assert_int_equal(w->b->ops->event_status(w->b, e), CL_COMPLETE);
    cl_ulong times[4];
    assert_int_equal(w->b->ops->event_times(w->b, e, times), CL_SUCCESS);
    assert_true(times[0] <= times[1] && times[1] <= times[2] && times[2] <= times[3]);
    struct bk_command after = launch(w, k, 1);
    after.wait_count = 1;
    after.waits = &e;
    bk_ref last = enqueue_for_event(w, after);
    assert_int_equal(w->b->ops->wait_event(w->b, last), CL_COMPLETE);
    assert_int_equal(get(w, m, 4, data), 0);
    assert_int_equal(data[0], 2);
}

static void shared__quota_is_kept(void **state) {
    struct world *w = *state;
    char text[4] = "abc";
    bk_ref first = buffer(w, 3 * MIB), second = buffer(w, 2 * MIB);
    assert_int_equal(put(w, second, 4, text), CL_MEM_OBJECT_ALLOCATION_FAILURE);
    assert_null(view(w, second));
    assert_int_equal(put(w, first, 4, text), 0);
    assert_non_null(view(w, first));
    w->b->ops->release(w->b, BK_MEM, second);
    w->b->ops->release(w->b, BK_MEM, first);
    bk_ref again = buffer(w, 3 * MIB);
    assert_int_equal(put(w, again, 4, text), 0);
}

static void shared__places_come_back_when_the_driver_is_done(void **state) {
    struct world *w = *state;
    bk_ref m = buffer(w, MIB), gate = 0, k = adder(w, m, 1);
    int *at = view(w, m);
    w->b->ops->create_user_event(w->b, w->context, &gate);
    struct bk_command c = launch(w, k, 1);
    c.wait_count = 1;
    c.waits = &gate;
    bk_ref e = enqueue_for_event(w, c);
    w->b->ops->release(w->b, BK_MEM, m);
    w->b->ops->release(w->b, BK_KERNEL, k);
    bk_ref other = buffer(w, MIB);
    assert_ptr_not_equal(view(w, other), at); /* the kernel is yet to run */
    w->b->ops->set_user_event(w->b, gate, CL_COMPLETE);
    assert_int_equal(w->b->ops->wait_event(w->b, e), CL_COMPLETE);
    w->b->ops->release(w->b, BK_EVENT, e);
    w->b->ops->release(w->b, BK_EVENT, gate);
    w->b->ops->release(w->b, BK_MEM, other);
    int *again; /* the driver may let go of the buffer after it has told the kernel's end */
    do again = view(w, buffer(w, MIB));
    while (again && again != at);
    assert_ptr_equal(again, at);
}

/* A blocking write that waits for its turn, on a thread of its own. */
struct writer {
    struct world *w;
    struct bk_command c;
    cl_int err;
};
static void *write_in_turn(void *arg) {
    struct writer *t = arg;
    t->err = t->w->b->ops->enqueue(t->w->b, &t->c, NULL);
    return NULL;
}

static bool is_hosting(struct world *w) {
    struct remote_node *n = remote_node_of(w->b);
    pthread_mutex_lock(&n->lock);
    const struct remote_queue *q = remote_slot_record(n, w->queue, BK_QUEUE);
    bool hosting = q->hosting && q->sent && !q->enqueuing;
    pthread_mutex_unlock(&n->lock);
    return hosting;
}

static void shared__later_commands_wait_behind_a_gate(void **state) {
    struct world *w = *state;
    int *data = calloc(MANY, sizeof *data);
    bk_ref m = buffer(w, MANY * sizeof *data), k = adder(w, m, 1);
    const int *at = view(w, m);
    assert_non_null(at);
    for (int round = 0; round < 10; round++) {
        bk_ref gate = 0;
        for (size_t i = 0; i < MANY; i++) data[i] = round * 10;
        w->b->ops->create_user_event(w->b, w->context, &gate);
        struct writer t = {.w = w, .c = {.op = BK_WRITE, .queue = w->queue, .blocking = true}};
        t.c.wait_count = 1;
        t.c.waits = &gate;
        t.c.u.rw.mem = m;
        t.c.u.rw.size = MANY * sizeof *data;
        t.c.u.rw.host = data;
        pthread_t thread;
        pthread_create(&thread, NULL, write_in_turn, &t);
        while (!is_hosting(w)) sched_yield();
        struct bk_command c = launch(w, k, MANY);
        bk_ref e = enqueue_for_event(w, c);
        w->b->ops->set_user_event(w->b, gate, CL_COMPLETE);
        pthread_join(thread, NULL);
        assert_int_equal(t.err, 0);
        assert_int_equal(w->b->ops->wait_event(w->b, e), CL_COMPLETE);
        size_t right = 0;
        while (right < MANY && at[right] == round * 10 + 1) right++;
        assert_int_equal(right, MANY);
        w->b->ops->release(w->b, BK_EVENT, e);
        w->b->ops->release(w->b, BK_EVENT, gate);
    }
    free(data);
}

static void shared__failed_waits_fail_the_transfer(void **state) {
    struct world *w = *state;
    int data[4] = {1, 2, 3, 4};
    bk_ref m = buffer(w, sizeof data), gate = 0;
    view(w, m)[0] = 9;
    w->b->ops->create_user_event(w->b, w->context, &gate);
    w->b->ops->set_user_event(w->b, gate, -7);
    struct bk_command c = {.op = BK_WRITE, .queue = w->queue, .blocking = true};
    c.wait_count = 1;
    c.waits = &gate;
    c.u.rw.mem = m;
    c.u.rw.size = sizeof data;
    c.u.rw.host = data;
    assert_true(w->b->ops->enqueue(w->b, &c, NULL) < 0);
}

static void shared__memory_outlives_the_executor(void **state) {
    struct world *w = *state;
    int data[INTS] = {3};
    bk_ref m = buffer(w, sizeof data);
    assert_int_equal(put(w, m, sizeof data, data), 0);
    int *at = view(w, m);
    stop_serving(w);
    const struct bk_command told = {.op = BK_MARKER, .queue = w->queue, .want_event = true};
    bk_ref e = 0;
    assert_true(w->b->ops->enqueue(w->b, &told, &e) < 0 || w->b->ops->wait_event(w->b, e) < 0);
    assert_true(put(w, m, sizeof data, data) < 0);
    at[1] = at[0]; /* a map that the program still has */
    assert_null(view(w, m));
    assert_int_equal(at[1], 3);
}

/* Releases leave with what comes next, or soon by themselves. */
static void shared__releases_are_in_no_hurry(void **state) {
    struct world *w = *state;
    int data[INTS] = {0}, left = 0;
    for (int i = 0; i < 200; i++) { /* this thread may have to wait for its processor longer than they do */
        bk_ref m = buffer(w, MIB);
        assert_int_equal(put(w, m, sizeof data, data), 0);
        uint64_t before = messages_sent(w);
        w->b->ops->release(w->b, BK_MEM, m);
        left += messages_sent(w) == before;
    }
    assert_true(left > 0);
    bk_ref last = buffer(w, MIB);
    assert_int_equal(put(w, last, sizeof data, data), 0);
    uint64_t before = messages_sent(w);
    w->b->ops->release(w->b, BK_MEM, last);
    while (messages_sent(w) == before) sched_yield();
}

/* ---- two executors ---- */
/* Another one of the same client, with a context and a queue. */
static void add_executor(struct world *w, struct world *other) {
    struct node_executor x;
    *other = (struct world){.hub = w->hub, .inventory = w->inventory};
    start_executor(other, &x);
    assert_int_equal(remote_hub_executor(w->hub, 2, &x), 0);
    assert_int_equal(remote_backend_open(w->hub, 2, "there", 0, &w->inventory->platforms[0], &other->b), 0);
    assert_int_equal(other->b->ops->create_context(other->b, 1, (cl_uint[]){0}, &other->context), 0);
    assert_int_equal(other->b->ops->create_queue(other->b, other->context, 0, 0, &other->queue), 0);
    assert_int_equal(finish(other), 0); /* it has said what it can do */
}

static void remove_executor(struct world *other) {
    stop_serving(other);
    other->b->ops->destroy(other->b);
}

static bool twin(struct world *w, struct world *of, bk_ref first, size_t bytes, bk_ref *out) {
    return w->b->ops->create_twin(w->b, w->context, CL_MEM_READ_WRITE, bytes, of->b, first, out);
}

static void twins__have_one_memory(void **state) {
    struct world *w = *state, other;
    int data[INTS] = {5}, got[INTS];
    bk_ref m = buffer(w, MIB), t = 0;
    add_executor(w, &other);
    assert_false(twin(&other, w, m, MIB, &t)); /* not known to be made */
    assert_int_equal(put(w, m, sizeof data, data), 0);
    assert_false(twin(w, w, m, MIB, &t));
    assert_true(twin(&other, w, m, MIB, &t));
    assert_true(w->b->ops->is_one(w->b, m, other.b, t));
    int *at = view(w, m);
    assert_ptr_equal(view(&other, t), at);
    bk_ref k = adder(&other, t, 1);
    struct bk_command c = launch(&other, k, INTS);
    assert_int_equal(other.b->ops->enqueue(other.b, &c, NULL), 0);
    assert_int_equal(finish(&other), 0);
    assert_int_equal(get(w, m, sizeof got, got), 0);
    assert_int_equal(got[0], 6);
    assert_int_equal(got[1], 1);
    /* The memory is free when both are gone. */
    bk_ref small = adder(w, buffer(w, 64), 1);
    w->b->ops->release(w->b, BK_MEM, m);
    c = launch(w, small, 1);
    assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
    assert_int_equal(finish(w), 0); /* after the driver's buffer is gone */
    for (int i = 0; i < 3; i++) assert_ptr_not_equal(view(w, buffer(w, MIB)), at);
    assert_int_equal(get(&other, t, sizeof got, got), 0);
    assert_int_equal(got[0], 6);
    other.b->ops->release(other.b, BK_KERNEL, k);
    other.b->ops->release(other.b, BK_MEM, t);
    int *again;
    do again = view(w, buffer(w, MIB));
    while (again && again != at);
    assert_ptr_equal(again, at);
    remove_executor(&other);
}

/* Nobody knows what a lost executor still does there. */
static void twins__of_a_lost_executor_are_none(void **state) {
    struct world *w = *state, other;
    int data[INTS] = {5};
    bk_ref m = buffer(w, MIB), t = 0;
    add_executor(w, &other);
    assert_int_equal(put(w, m, sizeof data, data), 0);
    assert_true(twin(&other, w, m, MIB, &t));
    int *at = view(w, m);
    stop_serving(&other);
    while (w->b->ops->is_one(w->b, m, other.b, t)) sched_yield();
    assert_int_equal(get(w, m, sizeof data, data), 0);
    assert_int_equal(data[0], 5);
    w->b->ops->release(w->b, BK_MEM, m);
    other.b->ops->release(other.b, BK_MEM, t);
    for (int i = 0; i < 20; i++) {
        bk_ref b = buffer(w, MIB);
        assert_ptr_not_equal(view(w, b), at);
        w->b->ops->release(w->b, BK_MEM, b);
    }
    remove_executor(&other);
}

/* ---- what executors take ---- */
static cl_int offer(struct executor *x, int fd, uint64_t size, uint64_t inode_less) {
    struct stat st = {0};
    fstat(fd, &st);
    struct wire_out out;
    struct wire_in in;
    wire_begin(&out, SHARE, share, .pid = (uint64_t)getpid(), .fd = (uint64_t)fd, .device = st.st_dev,
               .inode = st.st_ino - inode_less, .size = size);
    assert_true(wire_decode(&in, out.words, out.word_count * 8, 0, false));
    struct call c = {.x = x, .in = &in};
    return carry_out_share(&c);
}

static void share__refuses_what_could_harm_it(void **state) {
    struct executor *x = executor_create(drivers_load(), (const uint8_t *)TOKEN);
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(fd, 65536), 0);
    assert_true(offer(x, fd, 65536, 0) < 0); /* could be cut short */
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    assert_true(offer(x, fd, 131072, 0) < 0);
    assert_true(offer(x, fd, 65536, 1) < 0);
    assert_true(offer(x, STDIN_FILENO, 65536, 0) < 0);
    assert_null(share_at(x, 0, 1));
    assert_int_equal(offer(x, fd, 65536, 0), 0);
    assert_true(offer(x, fd, 65536, 0) < 0); /* once */
    assert_non_null(share_at(x, 256, 65536 - 256));
    assert_null(share_at(x, 256, 65536));
    assert_null(share_at(x, 128, 1));
    assert_null(share_at(x, 1u << 20, 1));
    assert_null(share_at(x, 256, UINT64_MAX));
    close(fd);
    executor_destroy(x);
}

static int set_up_one(void **state) {
    setenv("TEST_ADAPTERS", "shm", 1);
    return set_up_devices(state, 1);
}
static int set_up_quota(void **state) {
    weft_option_set("exec_buffer_bytes", "4M");
    int failed = set_up_one(state);
    weft_option_set("exec_buffer_bytes", NULL);
    return failed;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_one, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(shared__transfers_take_no_message),
        TEST(shared__transfers_come_after_kernels),
        TEST(shared__parts_are_of_the_whole),
        TEST(shared__view_is_what_the_device_has),
        TEST(shared__events_are_the_executors_too),
        cmocka_unit_test_setup_teardown(shared__quota_is_kept, set_up_quota, tear_down),
        TEST(shared__places_come_back_when_the_driver_is_done),
        TEST(shared__later_commands_wait_behind_a_gate),
        TEST(shared__failed_waits_fail_the_transfer),
        TEST(shared__memory_outlives_the_executor),
        TEST(shared__releases_are_in_no_hurry),
        TEST(twins__have_one_memory),
        TEST(twins__of_a_lost_executor_are_none),
        cmocka_unit_test(share__refuses_what_could_harm_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
