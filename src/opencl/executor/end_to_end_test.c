/* Tests of a remote backend against an executor, both in this process, over the real endpoints: every
 * operation with data checked, errors, order, bulk, many commands, and the loss of the executor. */
#include <sched.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/test.h"
#include "opencl/executor/end_to_end_fixture.h"

/* ---- the tests ---- */
static void executor__runs_a_kernel(void **state) {
    struct world *w = *state;
    int data[64], three = 3;
    for (int i = 0; i < 64; i++) data[i] = i;
    bk_ref m = buffer(w, sizeof data), k = kernel_named(w, "add");
    assert_int_equal(put(w, m, sizeof data, data), 0);
    set_mem(w, k, 0, m);
    assert_int_equal(set_bytes(w, k, 1, &three, sizeof three, false), 0);
    bk_ref e = enqueue_for_event(w, launch(w, k, 64));
    assert_int_equal(w->b->ops->wait_event(w->b, e), CL_COMPLETE);
    assert_int_equal(w->b->ops->event_status(w->b, e), CL_COMPLETE);
    cl_ulong times[4];
    assert_int_equal(w->b->ops->event_times(w->b, e, times), CL_SUCCESS);
    assert_true(times[0] <= times[1] && times[1] <= times[2] && times[2] <= times[3]);
    memset(data, 0, sizeof data);
    assert_int_equal(get(w, m, sizeof data, data), 0);
    for (int i = 0; i < 64; i++) assert_int_equal(data[i], i + 3);
    w->b->ops->release(w->b, BK_EVENT, e);
    w->b->ops->release(w->b, BK_KERNEL, k);
    w->b->ops->release(w->b, BK_MEM, m);
}

static void executor__takes_local_and_struct_arguments(void **state) {
    struct world *w = *state;
    int data[8] = {0, 1, 2, 3, 4, 5, 6, 7}, pair[2] = {30, 12};
    bk_ref m = buffer(w, sizeof data), k = kernel_named(w, "reverse");
    put(w, m, sizeof data, data);
    set_mem(w, k, 0, m);
    struct bk_arg local = {.kind = BK_ARG_LOCAL, .index = 1, .size = sizeof data};
    assert_int_equal(w->b->ops->set_arg(w->b, k, &local, true), 0);
    struct bk_command c = launch(w, k, 8);
    c.u.ndrange.has_local = true;
    c.u.ndrange.local[0] = 8;
    assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
    get(w, m, sizeof data, data);
    for (int i = 0; i < 8; i++) assert_int_equal(data[i], 7 - i);

    bk_ref s = kernel_named(w, "with_struct");
    set_mem(w, s, 0, m);
    assert_int_equal(set_bytes(w, s, 1, pair, sizeof pair, true), CL_SUCCESS);
    assert_int_equal(set_bytes(w, s, 7, pair, sizeof pair, true), CL_INVALID_ARG_INDEX);
    c = launch(w, s, 1);
    assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
    get(w, m, 4, data);
    assert_int_equal(data[0], 42);
}

static void executor__reports_build_errors_and_meta_data(void **state) {
    struct world *w = *state;
    bk_ref good = program_of(w, source), bad = program_of(w, "kernel void f() { nonsense; }");
    struct program_meta *m = build(w, good, "-DX=1", CL_SUCCESS);
    assert_int_equal(m->device_count, 2);
    assert_string_equal(m->devices[0].options, "-DX=1");
    assert_int_equal(program_meta_kernel(m, "add")->args[1].size, 4);
    unsigned char *blobs[2];
    size_t sizes[2];
    assert_int_equal(w->b->ops->get_binaries(w->b, good, 2, blobs, sizes), 0);
    assert_true(sizes[0] > 0);
    bk_ref again = 0;
    cl_int statuses[2];
    const unsigned char *parts[2] = {blobs[0], blobs[1]};
    assert_int_equal(w->b->ops->create_program_binary(w->b, w->context, 2, (cl_uint[]){0, 1}, sizes, parts,
                                                      statuses, &again),
                     0);
    program_meta_free(build(w, again, "", CL_SUCCESS));
    kernel_of(w, again, "add");
    memset(blobs[0], 1, sizes[0]);
    assert_int_not_equal(w->b->ops->create_program_binary(w->b, w->context, 2, (cl_uint[]){0, 1}, sizes,
                                                          parts, statuses, &again),
                         0);
    program_meta_free(m);
    m = build(w, bad, "", CL_BUILD_PROGRAM_FAILURE);
    assert_non_null(strstr(m->devices[0].log, "nonsense"));
    program_meta_free(m);
    free(blobs[0]);
    free(blobs[1]);
}

static void executor__moves_bulk_data(void **state) {
    struct world *w = *state;
    size_t bytes = 64 * MIB;
    uint32_t *out = malloc(bytes), *in = calloc(1, bytes);
    for (size_t i = 0; i < bytes / 4; i++) out[i] = (uint32_t)(i * 2654435761u);
    bk_ref m = buffer(w, bytes);
    assert_int_equal(put(w, m, bytes, out), 0);
    assert_int_equal(get(w, m, bytes, in), 0);
    assert_memory_equal(out, in, bytes);
    assert_int_equal(transfer(w, BK_READ, m, 12, 1000, in), 0);
    assert_memory_equal((char *)out + 12, in, 1000);
    w->b->ops->release(w->b, BK_MEM, m);
    free(out);
    free(in);
}

/* A write whose data is long under way must not overtake, nor hold up another queue. */
static void executor__keeps_the_order_of_writes(void **state) {
    struct world *w = *state;
    size_t bytes = 4 * MIB;
    char *a = malloc(bytes), *b = malloc(bytes), *got = malloc(bytes);
    bk_ref m = buffer(w, bytes);
    for (int round = 0; round < 8; round++) {
        memset(a, round, bytes);
        memset(b, 100 + round, bytes);
        for (int i = 0; i < 2; i++) {
            struct bk_command c = {.op = BK_WRITE, .queue = w->queue};
            c.u.rw.mem = m;
            c.u.rw.size = i ? 100 : bytes;
            c.u.rw.host_src = i ? b : a;
            assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
        }
        assert_int_equal(get(w, m, bytes, got), 0);
        assert_memory_equal(got, b, 100);
        assert_memory_equal(got + 100, a, bytes - 100);
    }
    w->b->ops->release(w->b, BK_MEM, m);
    free(a);
    free(b);
    free(got);
}

static void executor__refuses_buffers_over_its_quota(void **state) {
    struct world *w = *state;
    char text[4] = "abc";
    bk_ref first = buffer(w, 3 * MIB), second = buffer(w, 2 * MIB);
    assert_int_equal(put(w, first, 4, text), 0);
    assert_int_equal(put(w, second, 4, text), CL_MEM_OBJECT_ALLOCATION_FAILURE);
    w->b->ops->release(w->b, BK_MEM, second);
    bk_ref small = buffer(w, MIB), none = buffer(w, 4);
    assert_int_equal(put(w, small, 4, text), 0);
    assert_int_equal(put(w, none, 4, text), CL_MEM_OBJECT_ALLOCATION_FAILURE);
    w->b->ops->release(w->b, BK_MEM, first);
    bk_ref again = buffer(w, 3 * MIB);
    assert_int_equal(put(w, again, 4, text), 0);
}

static void executor__copies_fills_and_cuts(void **state) {
    struct world *w = *state;
    int data[16], got[16], seven = 7;
    for (int i = 0; i < 16; i++) data[i] = i;
    bk_ref a = buffer(w, sizeof data), b = buffer(w, sizeof data), sub = 0;
    put(w, a, sizeof data, data);
    struct bk_command c = {.op = BK_COPY, .queue = w->queue};
    c.u.copy.src = a;
    c.u.copy.dst = b;
    c.u.copy.size = sizeof data;
    assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
    c = (struct bk_command){.op = BK_FILL, .queue = w->queue};
    c.u.fill.mem = b;
    c.u.fill.pattern = &seven;
    c.u.fill.pattern_size = 4;
    c.u.fill.size = 8;
    assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
    get(w, b, sizeof got, got);
    for (int i = 0; i < 16; i++) assert_int_equal(got[i], i < 2 ? 7 : i);
    assert_int_equal(w->b->ops->create_sub_buffer(w->b, a, CL_MEM_READ_WRITE, 0, 16, &sub), 0);
    assert_int_equal(get(w, sub, 16, got), 0);
    assert_memory_equal(got, data, 16);
    assert_int_equal(get(w, sub, 20, got), CL_INVALID_VALUE);
}

static struct bk_command rect(struct world *w, enum bk_op op, bk_ref m, char *host, size_t host_row) {
    struct bk_command c = {.op = op, .queue = w->queue, .blocking = true};
    c.u.rect.mem = m;
    size_t region[3] = {4, 3, 2}, buffer_at[3] = {2, 1, 0}, host_at[3] = {1, 0, 1};
    memcpy(c.u.rect.region, region, sizeof region);
    memcpy(c.u.rect.buffer_origin, buffer_at, sizeof region);
    memcpy(c.u.rect.host_origin, host_at, sizeof region);
    c.u.rect.buffer_row_pitch = 8;
    c.u.rect.buffer_slice_pitch = 64;
    c.u.rect.host_row_pitch = host_row;
    c.u.rect.host_slice_pitch = host_row * 5;
    c.u.rect.host = host;
    return c;
}

static void executor__honours_host_pitches(void **state) {
    struct world *w = *state;
    char host[200], zero[128] = {0}, all[128], back[200];
    for (int i = 0; i < 200; i++) host[i] = (char)(i + 1);
    bk_ref m = buffer(w, sizeof zero);
    put(w, m, sizeof zero, zero);
    struct bk_command c = rect(w, BK_WRITE_RECT, m, host, 10);
    assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
    get(w, m, sizeof all, all);
    for (int z = 0; z < 2; z++) {
        for (int y = 0; y < 8; y++) {
            for (int x = 0; x < 8; x++) {
                bool in = x >= 2 && x < 6 && y >= 1 && y < 4;
                char want = in ? host[(z + 1) * 50 + (y - 1) * 10 + 1 + x - 2] : 0;
                assert_int_equal(all[z * 64 + y * 8 + x], want);
            }
        }
    }
    memset(back, 0, sizeof back);
    c = rect(w, BK_READ_RECT, m, back, 7);
    assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
    for (int z = 0; z < 2; z++) {
        for (int y = 0; y < 3; y++) {
            assert_memory_equal(back + (z + 1) * 35 + y * 7 + 1, host + (z + 1) * 50 + y * 10 + 1, 4);
            assert_int_equal(back[(z + 1) * 35 + y * 7 + 5], 0);
        }
    }
}

static void count_completion(void *arg, cl_int status, const cl_ulong times[4]) {
    atomic_fetch_add((atomic_int *)arg, status == CL_COMPLETE ? 1 : 1000);
}

struct finisher {
    struct world *w;
    bk_ref last;
    atomic_bool over;
    cl_int status;
};

static void *finish_and_look(void *arg) {
    struct finisher *f = arg;
    f->w->b->ops->finish(f->w->b, f->w->queue);
    f->status = f->w->b->ops->event_status(f->w->b, f->last);
    atomic_store(&f->over, true);
    return NULL;
}

/* Tells an end as slowly as can be, with the one that finishes awake. */
static void dawdle(void *arg, cl_int status, const cl_ulong times[4]) {
    struct finisher *f = arg;
    for (int i = 0; i < 100 && !atomic_load(&f->over); i++) {
        ep_wake(f->w->client);
        usleep(1000);
    }
}

/* Ends that were held back until a read's data is there are told one by one; another thread's finish comes
 * after the last. */
static void executor__finishes_when_all_was_told(void **state) {
    struct world *w = *state;
    size_t bytes = 64 * MIB;
    char *data = calloc(1, bytes);
    bk_ref m = buffer(w, bytes), first;
    assert_int_equal(put(w, m, bytes, data), 0);
    struct finisher f = {.w = w};
    struct bk_command read = {.op = BK_READ, .queue = w->queue},
                      marker = {.op = BK_MARKER, .queue = w->queue};
    read.u.rw.mem = m;
    read.u.rw.size = bytes;
    read.u.rw.host = data;
    first = enqueue_for_event(w, read);
    marker.on_complete = dawdle;
    marker.arg = &f;
    bk_ref slow = enqueue_for_event(w, marker);
    marker.on_complete = NULL;
    f.last = enqueue_for_event(w, marker);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, finish_and_look, &f), 0);
    assert_int_equal(w->b->ops->wait_event(w->b, f.last), CL_COMPLETE);
    pthread_join(thread, NULL);
    assert_int_equal(f.status, CL_COMPLETE);
    w->b->ops->release(w->b, BK_EVENT, first);
    w->b->ops->release(w->b, BK_EVENT, slow);
    w->b->ops->release(w->b, BK_EVENT, f.last);
    w->b->ops->release(w->b, BK_MEM, m);
    free(data);
}

static void executor__waits_for_user_events(void **state) {
    struct world *w = *state;
    bk_ref gate = 0, k = kernel_named(w, "nothing");
    atomic_int done = 0;
    assert_int_equal(w->b->ops->create_user_event(w->b, w->context, &gate), 0);
    struct bk_command c = launch(w, k, 1);
    c.wait_count = 1;
    c.waits = &gate;
    c.on_complete = count_completion;
    c.arg = &done;
    bk_ref e = enqueue_for_event(w, c);
    bk_ref many[500];
    c = launch(w, k, 1);
    for (int i = 0; i < 500; i++) many[i] = enqueue_for_event(w, c);
    c = (struct bk_command){.op = BK_MARKER, .queue = w->queue, .wait_count = 500, .waits = many};
    bk_ref all = enqueue_for_event(w, c);
    assert_int_equal(w->b->ops->event_status(w->b, e), CL_SUBMITTED);
    assert_int_equal(done, 0);
    assert_int_equal(w->b->ops->set_user_event(w->b, gate, CL_COMPLETE), 0);
    assert_int_equal(w->b->ops->wait_event(w->b, all), CL_COMPLETE);
    assert_int_equal(done, 1);
    atomic_int noted = 0;
    assert_int_equal(w->b->ops->event_notify(w->b, all, count_completion, &noted), 0);
    assert_int_equal(noted, 1);
    for (int i = 0; i < 500; i++) w->b->ops->release(w->b, BK_EVENT, many[i]);
}

/* A long wait list has nothing to do with what came into the queue before. */
static void executor__gathers_long_wait_lists_apart(void **state) {
    struct world *w = *state;
    bk_ref gate = 0, k = kernel_named(w, "nothing"), unordered = 0, many[WIRE_WAITS_MAX + 1];
    const cl_command_queue_properties props = CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
    assert_int_equal(w->b->ops->create_queue(w->b, w->context, 1, props, &unordered), 0);
    struct bk_command c = launch(w, k, 1);
    for (unsigned i = 0; i <= WIRE_WAITS_MAX; i++) many[i] = enqueue_for_event(w, c);
    assert_int_equal(w->b->ops->create_user_event(w->b, w->context, &gate), 0);
    c.queue = unordered;
    c.wait_count = 1;
    c.waits = &gate;
    bk_ref before = enqueue_for_event(w, c);
    c.wait_count = WIRE_WAITS_MAX + 1;
    c.waits = many;
    bk_ref after = enqueue_for_event(w, c);
    assert_int_equal(w->b->ops->wait_event(w->b, after), CL_COMPLETE);
    assert_int_equal(w->b->ops->event_status(w->b, before), CL_SUBMITTED);
    assert_int_equal(w->b->ops->set_user_event(w->b, gate, CL_COMPLETE), 0);
    assert_int_equal(w->b->ops->wait_event(w->b, before), CL_COMPLETE);
    for (unsigned i = 0; i <= WIRE_WAITS_MAX; i++) w->b->ops->release(w->b, BK_EVENT, many[i]);
}

static void executor__passes_a_failed_event_on(void **state) {
    struct world *w = *state;
    bk_ref gate = 0, k = kernel_named(w, "nothing"), other = 0;
    assert_int_equal(w->b->ops->create_queue(w->b, w->context, 1, 0, &other), 0);
    w->b->ops->create_user_event(w->b, w->context, &gate);
    struct bk_command c = launch(w, k, 1);
    c.queue = other;
    c.wait_count = 1;
    c.waits = &gate;
    bk_ref first = enqueue_for_event(w, c), after[4];
    c.waits = &first;
    for (int i = 0; i < 4; i++) after[i] = enqueue_for_event(w, c);
    w->b->ops->set_user_event(w->b, gate, -77);
    assert_true(w->b->ops->wait_event(w->b, first) < 0);
    for (int i = 0; i < 4; i++) assert_true(w->b->ops->wait_event(w->b, after[i]) < 0);
    bk_ref many[WIRE_WAITS_MAX + 1], later = 0;
    w->b->ops->create_user_event(w->b, w->context, &later);
    c.waits = &later;
    for (unsigned i = 0; i <= WIRE_WAITS_MAX; i++) many[i] = enqueue_for_event(w, c);
    c.wait_count = WIRE_WAITS_MAX + 1;
    c.waits = many;
    bk_ref last = enqueue_for_event(w, c);
    w->b->ops->set_user_event(w->b, later, -77);
    assert_true(w->b->ops->wait_event(w->b, last) < 0);
    c.wait_count = 1;
    c.waits = &gate;
    assert_true(w->b->ops->wait_event(w->b, enqueue_for_event(w, c)) < 0);
    assert_int_equal(w->b->ops->finish(w->b, other), 0);
}

static void executor__answers_errors(void **state) {
    struct world *w = *state;
    bk_ref huge = buffer(w, (size_t)1 << 60), k = kernel_named(w, "add"), out = 0;
    char byte;
    assert_true(get(w, huge, 1, &byte) < 0); /* its creation failed in the driver */
    assert_int_equal(get(w, 0x7777777777, 1, &byte), CL_INVALID_MEM_OBJECT);
    assert_int_equal(get(w, k, 1, &byte), CL_INVALID_MEM_OBJECT);
    w->b->ops->release(w->b, BK_MEM, huge);
    assert_int_equal(get(w, huge, 1, &byte), CL_INVALID_MEM_OBJECT);
    struct bk_command c = launch(w, k, 1); /* arguments not set */
    assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
    assert_true(w->b->ops->finish(w->b, w->queue) < 0);     /* sticky … */
    assert_int_equal(w->b->ops->finish(w->b, w->queue), 0); /* … once */
    bk_ref e = enqueue_for_event(w, c);
    assert_true(w->b->ops->wait_event(w->b, e) < 0);
    assert_int_equal(w->b->ops->finish(w->b, w->queue), 0); /* it was told by the event */
    c.unseen = true;
    e = enqueue_for_event(w, c);
    assert_true(w->b->ops->finish(w->b, w->queue) < 0);
    assert_int_equal(w->b->ops->finish(w->b, w->queue), 0);
    c.unseen = false;
    assert_int_equal(w->b->ops->create_context(w->b, 1, (cl_uint[]){9}, &out), 0);
    bk_ref q = 0;
    w->b->ops->create_queue(w->b, out, 0, 0, &q);
    assert_int_equal(w->b->ops->finish(w->b, q), CL_INVALID_DEVICE);
}

static void executor__takes_ten_thousand_launches(void **state) {
    struct world *w = *state;
    int zero = 0, one = 1;
    bk_ref m = buffer(w, 4), k = kernel_named(w, "add");
    put(w, m, 4, &zero);
    set_mem(w, k, 0, m);
    set_bytes(w, k, 1, &one, 4, false);
    struct bk_command c = launch(w, k, 1);
    for (int i = 0; i < 10000; i++) assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
    assert_int_equal(w->b->ops->finish(w->b, w->queue), 0);
    get(w, m, 4, &zero);
    assert_int_equal(zero, 10000);
}

/* Whether a client that shows that token is served. */
static bool is_served(struct world *w, const char *token) {
    struct world client = {.inventory = w->inventory};
    struct node_executor x = {.address_bytes = sizeof x.address};
    memcpy(x.token, token, sizeof x.token);
    assert_int_equal(ep_address(w->server, x.address, &x.address_bytes), 0);
    start_client(&client, &x);
    bk_ref context = 0, queue = 0;
    client.b->ops->create_context(client.b, 1, (cl_uint[]){0}, &context);
    client.b->ops->create_queue(client.b, context, 0, 0, &queue);
    bool served = client.b->ops->finish(client.b, queue) == CL_SUCCESS;
    stop_client(&client);
    return served;
}

static void executor__turns_strangers_away(void **state) {
    struct world *w = *state, fresh = {.inventory = w->inventory};
    struct node_executor x;
    start_executor(&fresh, &x);
    assert_false(is_served(&fresh, "fedcba9876543210"));
    assert_false(is_served(&fresh, "0123456789abcdeF"));
    assert_true(is_served(&fresh, TOKEN));
    stop_serving(&fresh);
    assert_int_equal(w->b->ops->finish(w->b, w->queue), 0);
    assert_false(is_served(w, TOKEN)); /* it has its client */
    assert_int_equal(w->b->ops->finish(w->b, w->queue), 0);
}

/* A run of small commands: a packet for each would take longer than all else. Of several runs the best, since
 * a thread that is not let run for a while makes two of one. */
static void executor__gets_runs_of_commands_together(void **state) {
    struct world *w = *state;
    bk_ref k = kernel_named(w, "nothing");
    struct bk_command c = launch(w, k, 1);
    uint64_t least = UINT64_MAX;
    for (int round = 0; round < 50; round++) {
        assert_int_equal(w->b->ops->finish(w->b, w->queue), 0);
        uint64_t before = weft_counter_named("transport_packets_sent");
        for (int i = 0; i < 64; i++) assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
        uint64_t sent = weft_counter_named("transport_packets_sent") - before;
        if (sent < least) least = sent;
    }
    if (TEST_SLOWDOWN == 1) assert_true(least < 32); /* a sanitizer puts more between two commands */
    w->b->ops->release(w->b, BK_KERNEL, k);
}

/* And nobody asks for anything any more. */
static void executor__gets_the_end_of_a_run_by_itself(void **state) {
    struct world *w = *state;
    bk_ref k = kernel_named(w, "nothing");
    for (int round = 0; round < 20; round++) {
        struct bk_command c = launch(w, k, 1);
        atomic_int done = 0;
        c.arg = &done;
        uint64_t until = weft_now_ns() + 20 * WEFT_NS_PER_S;
        for (int i = 0; i < 9; i++) {
            c.on_complete = i == 8 ? count_completion : NULL;
            assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
        }
        while (!atomic_load(&done) && weft_now_ns() < until) sched_yield();
        assert_int_equal(done, 1);
    }
    w->b->ops->release(w->b, BK_KERNEL, k);
}

static void executor__ends_everything_when_lost(void **state) {
    struct world *w = *state;
    bk_ref gate = 0, k = kernel_named(w, "nothing"), later = 0;
    atomic_int done = 0;
    w->b->ops->create_user_event(w->b, w->context, &gate);
    struct bk_command c = launch(w, k, 1);
    c.wait_count = 1;
    c.waits = &gate;
    c.on_complete = count_completion;
    c.arg = &done;
    bk_ref e = enqueue_for_event(w, c);
    c.want_event = false;
    assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
    w->b->ops->flush(w->b, w->queue);
    stop_serving(w);
    assert_int_equal(w->b->ops->wait_event(w->b, e), CL_DEVICE_NOT_AVAILABLE);
    assert_true(w->b->ops->finish(w->b, w->queue) < 0);
    assert_int_equal(done, 2000);
    c.on_complete = NULL;
    c.wait_count = 0;
    assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), CL_OUT_OF_RESOURCES);
    assert_int_equal(w->b->ops->create_context(w->b, 1, (cl_uint[]){0}, &later), CL_OUT_OF_RESOURCES);
}

static atomic_int gates;
static cl_api_clCreateUserEvent make_user_event;
static cl_event CL_API_CALL count_gate(cl_context context, cl_int *err) {
    gates++;
    return make_user_event(context, err);
}

/* A write behind which nothing waits needs no gate while its data is on the way; one that would hold up
 * another command does. */
static void executor__gates_only_writes_that_hold_others_up(void **state) {
    struct world *w = *state;
    const size_t bytes = 300000; /* 15 ms on this network */
    cl_icd_dispatch *driver = (cl_icd_dispatch *)drivers_load()->platforms[0].dispatch;
    bk_ref m = buffer(w, bytes);
    unsigned char *out = malloc(bytes), *in = malloc(bytes);
    for (size_t i = 0; i < bytes; i++) out[i] = (unsigned char)(i * 7 + (i >> 8));
    make_user_event = driver->clCreateUserEvent;
    driver->clCreateUserEvent = count_gate;
    gates = 0;
    assert_int_equal(put(w, m, bytes, out), 0);
    assert_int_equal(gates, 0);
    out[0]++;
    struct bk_command c = {.op = BK_WRITE, .queue = w->queue};
    c.u.rw.mem = m;
    c.u.rw.size = bytes;
    c.u.rw.host = out;
    bk_ref e = enqueue_for_event(w, c);
    assert_int_equal(get(w, m, bytes, in), 0);
    assert_int_equal(gates, 1);
    driver->clCreateUserEvent = make_user_event;
    assert_memory_equal(in, out, bytes);
    assert_int_equal(w->b->ops->wait_event(w->b, e), 0);
    w->b->ops->release(w->b, BK_EVENT, e);
    free(out);
    free(in);
}

static int set_up_slow(void **state) {
    weft_option_set("sim", "rate_MBps=20");
    setenv("TEST_ADAPTERS", "sim", 1);
    int failed = set_up(state);
    unsetenv("TEST_ADAPTERS");
    return failed;
}

static int set_up_quota(void **state) {
    weft_option_set("exec_buffer_bytes", "4M");
    int failed = set_up(state);
    weft_option_set("exec_buffer_bytes", NULL);
    return failed;
}
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
static void remote_clock_offset__is_of_the_middle_of_the_question(void **state) {
    assert_int_equal(remote_clock_offset(1000, 3000, 52000, false), 50000);
    assert_int_equal(remote_clock_offset(91000, 93000, 2000, false), -90000);
    assert_int_equal(remote_clock_offset(1000, 3000, 52000, true), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remote_clock_offset__is_of_the_middle_of_the_question),
        TEST(executor__runs_a_kernel),
        TEST(executor__takes_local_and_struct_arguments),
        TEST(executor__reports_build_errors_and_meta_data),
        TEST(executor__moves_bulk_data),
        TEST(executor__keeps_the_order_of_writes),
        cmocka_unit_test_setup_teardown(executor__refuses_buffers_over_its_quota, set_up_quota, tear_down),
        cmocka_unit_test_setup_teardown(executor__gates_only_writes_that_hold_others_up, set_up_slow,
                                        tear_down),
        TEST(executor__copies_fills_and_cuts),
        TEST(executor__honours_host_pitches),
        TEST(executor__finishes_when_all_was_told),
        TEST(executor__waits_for_user_events),
        TEST(executor__gathers_long_wait_lists_apart),
        TEST(executor__passes_a_failed_event_on),
        TEST(executor__answers_errors),
        TEST(executor__takes_ten_thousand_launches),
        TEST(executor__gets_runs_of_commands_together),
        TEST(executor__gets_the_end_of_a_run_by_itself),
        TEST(executor__turns_strangers_away),
        TEST(executor__ends_everything_when_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
