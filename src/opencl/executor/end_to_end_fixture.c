/* Fixture of the end-to-end tests: see end_to_end_fixture.h. */
#include "opencl/executor/end_to_end_fixture.h"

#include "opencl/driver_leaks.h"
#include "opencl/executor/short_forms.h"

const char source[] = "kernel void add(global int *a, int n) { a[get_global_id(0)] += n; }\n"
                      "kernel void nothing(void) {}\n"
                      "struct pair { int a, b; };\n"
                      "kernel void with_struct(global int *o, struct pair p) { *o = p.a + p.b; }\n"
                      "kernel void reverse(global int *a, local int *l) { int i = get_local_id(0); "
                      "l[i] = a[i]; barrier(CLK_LOCAL_MEM_FENCE);"
                      " a[i] = l[get_local_size(0) - 1 - i]; }\n";

static const char *adapters(void) {
    const char *wanted = getenv("TEST_ADAPTERS");
    return wanted ? wanted : "udp";
}

static void *serve(void *arg) {
    executor_run(((struct world *)arg)->x, 10000);
    return NULL;
}

void stop_serving(struct world *w) {
    if (!w->serving) return;
    executor_stop(w->x);
    pthread_join(w->thread, NULL);
    ep_close(w->server, 0);
    executor_destroy(w->x);
    w->serving = false;
}

void start_executor(struct world *w, struct node_executor *out) {
    memset(out, 0, sizeof *out);
    memcpy(out->token, TOKEN, NODE_TOKEN_BYTES);
    w->x = executor_create(drivers_load(), out->token);
    struct ep_config cfg = {.adapters = adapters()};
    executor_configure(w->x, &cfg);
    assert_int_equal(ep_open(&w->server, &cfg), 0);
    executor_attach(w->x, w->server);
    out->address_bytes = sizeof out->address;
    assert_int_equal(ep_address(w->server, out->address, &out->address_bytes), 0);
    assert_int_equal(pthread_create(&w->thread, NULL, serve, w), 0);
    w->serving = true;
}

void start_client(struct world *w, const struct node_executor *x) {
    w->hub = remote_hub_create();
    struct ep_config cfg = {.adapters = adapters()};
    remote_hub_configure(w->hub, &cfg);
    assert_int_equal(ep_open(&w->client, &cfg), 0);
    remote_hub_start(w->hub, w->client, NULL);
    assert_int_equal(remote_hub_executor(w->hub, 1, x), 0);
    assert_int_equal(remote_backend_open(w->hub, 1, "there", 0, &w->inventory->platforms[0], &w->b), 0);
}

void stop_client(struct world *w) {
    remote_hub_close(w->hub);
    ep_close(w->client, 0);
    w->b->ops->destroy(w->b);
    remote_hub_destroy(w->hub);
}

int set_up_devices(void **state, cl_uint devices) {
    setenv("POCL_DEVICES", "pthread pthread", 1);
    struct world *w = calloc(1, sizeof *w);
    struct node_executor x;
    w->inventory = inventory_collect(drivers_load());
    if (!w->inventory->platform_count || !w->inventory->platforms[0].device_count) return -1;
    start_executor(w, &x);
    start_client(w, &x);
    assert_int_equal(w->b->ops->create_context(w->b, devices, (cl_uint[]){0, 1}, &w->context), 0);
    assert_int_equal(w->b->ops->create_queue(w->b, w->context, 0, CL_QUEUE_PROFILING_ENABLE, &w->queue), 0);
    *state = w;
    return 0;
}

int set_up(void **state) { return set_up_devices(state, 2); }

int tear_down(void **state) {
    struct world *w = *state;
    stop_client(w);
    stop_serving(w);
    inventory_free(w->inventory);
    free(w);
    return 0;
}

/* ---- short forms ---- */
bk_ref buffer(struct world *w, size_t bytes) { return backend_buffer(w->b, w->context, bytes); }

cl_int transfer(struct world *w, enum bk_op op, bk_ref m, size_t offset, size_t bytes, void *host) {
    return backend_transfer(w->b, w->queue, op, m, offset, bytes, host);
}
cl_int put(struct world *w, bk_ref m, size_t bytes, void *host) {
    return transfer(w, BK_WRITE, m, 0, bytes, host);
}
cl_int get(struct world *w, bk_ref m, size_t bytes, void *host) {
    return transfer(w, BK_READ, m, 0, bytes, host);
}

struct built {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    cl_int status;
    struct program_meta *meta;
};

static void on_built(void *arg, cl_int status, struct program_meta *meta) {
    struct built *b = arg;
    pthread_mutex_lock(&b->lock);
    b->status = status;
    b->meta = meta;
    b->done = true;
    pthread_cond_signal(&b->cond);
    pthread_mutex_unlock(&b->lock);
}

struct program_meta *build(struct world *w, bk_ref program, const char *options, cl_int expected) {
    struct built b = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    assert_int_equal(w->b->ops->build(w->b, program, 0, NULL, options, on_built, &b), 0);
    pthread_mutex_lock(&b.lock);
    while (!b.done) pthread_cond_wait(&b.cond, &b.lock);
    pthread_mutex_unlock(&b.lock);
    assert_int_equal(b.status, expected);
    return b.meta;
}

bk_ref program_of(struct world *w, const char *text) {
    bk_ref p = 0;
    assert_int_equal(w->b->ops->create_program_source(w->b, w->context, text, strlen(text), &p), 0);
    return p;
}

bk_ref kernel_of(struct world *w, bk_ref program, const char *name) {
    bk_ref k = 0;
    assert_int_equal(w->b->ops->create_kernel(w->b, program, name, &k), 0);
    return k;
}

bk_ref kernel_named(struct world *w, const char *name) {
    bk_ref program = program_of(w, source);
    program_meta_free(build(w, program, "", CL_SUCCESS));
    bk_ref k = kernel_of(w, program, name);
    w->b->ops->release(w->b, BK_PROGRAM, program);
    return k;
}

void set_mem(struct world *w, bk_ref k, cl_uint i, bk_ref m) {
    struct bk_arg a = {.kind = BK_ARG_MEM, .index = i, .size = sizeof(cl_mem), .ref = m};
    assert_int_equal(w->b->ops->set_arg(w->b, k, &a, false), 0);
}
cl_int set_bytes(struct world *w, bk_ref k, cl_uint i, const void *at, size_t bytes, bool check) {
    struct bk_arg a = {.kind = BK_ARG_BYTES, .index = i, .size = bytes, .bytes = at};
    return w->b->ops->set_arg(w->b, k, &a, check);
}

struct bk_command launch(struct world *w, bk_ref k, size_t global) {
    struct bk_command c = {.op = BK_NDRANGE, .queue = w->queue};
    c.u.ndrange.kernel = k;
    c.u.ndrange.dims = 1;
    c.u.ndrange.global[0] = global;
    return c;
}

bk_ref enqueue_for_event(struct world *w, struct bk_command c) {
    bk_ref e = 0;
    c.want_event = true;
    assert_int_equal(w->b->ops->enqueue(w->b, &c, &e), 0);
    return e;
}

cl_int finish(struct world *w) { return w->b->ops->finish(w->b, w->queue); }

bk_ref adder(struct world *w, bk_ref m, int n) {
    bk_ref k = kernel_named(w, "add");
    set_mem(w, k, 0, m);
    set_bytes(w, k, 1, &n, sizeof n, false);
    return k;
}

void transfers_come_after_kernels(struct world *w) {
    enum { INTS = 1024 };
    int data[INTS] = {0}, got[INTS];
    bk_ref m = buffer(w, sizeof data), k = adder(w, m, 1);
    struct bk_command c = launch(w, k, INTS);
    for (int round = 1; round <= 50; round++) {
        assert_int_equal(put(w, m, sizeof data, data), 0);
        for (int i = 0; i < round; i++) assert_int_equal(w->b->ops->enqueue(w->b, &c, NULL), 0);
        assert_int_equal(get(w, m, sizeof got, got), 0);
        for (int i = 0; i < INTS; i++) assert_int_equal(got[i], round);
    }
}
