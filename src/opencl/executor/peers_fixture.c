/* Fixture: see peers_fixture.h. */
#include "opencl/executor/peers_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opencl/driver_leaks.h"
#include "opencl/executor/short_forms.h"

#define TOKENS "0123456789abcdef0123456789ABCDEF"
const char *peers_adapters(void) { return getenv("TEST_ADAPTERS") ? getenv("TEST_ADAPTERS") : "udp"; }

static void *serve(void *arg) {
    executor_run(((struct place *)arg)->x, 10000);
    return NULL;
}

static void start(struct place *p, unsigned n) {
    memcpy(p->where.token, &TOKENS[n * NODE_TOKEN_BYTES], NODE_TOKEN_BYTES);
    p->x = executor_create(drivers_load(), p->where.token);
    struct ep_config cfg = {.adapters = peers_adapters()};
    executor_configure(p->x, &cfg);
    assert_int_equal(ep_open(&p->server, &cfg), 0);
    executor_attach(p->x, p->server);
    p->where.address_bytes = sizeof p->where.address;
    assert_int_equal(ep_address(p->server, p->where.address, &p->where.address_bytes), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
    p->serving = true;
}

void peers_stop(struct place *p) {
    if (!p->serving) return;
    executor_stop(p->x);
    pthread_join(p->thread, NULL);
    ep_close(p->server, 0);
    executor_destroy(p->x);
    p->serving = false;
}

static void open_place(struct world *w, unsigned n) {
    struct place *p = &w->at[n];
    assert_int_equal(remote_hub_executor(w->hub, n + 1, &p->where), 0);
    assert_int_equal(remote_backend_open(w->hub, n + 1, "there", 0, &w->inventory->platforms[0], &p->b), 0);
    assert_int_equal(p->b->ops->create_context(p->b, 1, (cl_uint[]){0}, &p->context), 0);
    assert_int_equal(p->b->ops->create_queue(p->b, p->context, 0, 0, &p->queue), 0);
    assert_int_equal(p->b->ops->create_queue(p->b, p->context, 0, 0, &p->half_queue), 0);
    assert_int_equal(p->b->ops->create_queue(p->b, p->context, 0, 0, &p->marker_queue), 0);
    assert_int_equal(p->b->ops->finish(p->b, p->queue), 0);
}

int peers_set_up(void **state) {
    setenv("POCL_DEVICES", "pthread", 1);
    struct world *w = calloc(1, sizeof *w);
    w->inventory = inventory_collect(drivers_load());
    if (!w->inventory->platform_count || !w->inventory->platforms[0].device_count) return -1;
    w->hub = remote_hub_create();
    struct ep_config cfg = {.adapters = peers_adapters()};
    remote_hub_configure(w->hub, &cfg);
    assert_int_equal(ep_open(&w->client, &cfg), 0);
    remote_hub_start(w->hub, w->client, NULL);
    for (unsigned n = 0; n < 2; n++) {
        start(&w->at[n], n);
        open_place(w, n);
    }
    *state = w;
    return 0;
}

int peers_tear_down(void **state) {
    struct world *w = *state;
    remote_hub_close(w->hub);
    ep_close(w->client, 0);
    for (unsigned n = 0; n < 2; n++) {
        w->at[n].b->ops->destroy(w->at[n].b);
        peers_stop(&w->at[n]);
    }
    remote_hub_destroy(w->hub);
    inventory_free(w->inventory);
    free(w);
    return 0;
}

/* ---- short forms ---- */
bk_ref buffer(struct place *p, size_t bytes) {
    return backend_buffer(p->b, p->context, bytes);
}

cl_int transfer(struct place *p, enum bk_op op, bk_ref m, size_t bytes, void *host) {
    return backend_transfer(p->b, p->queue, op, m, 0, bytes, host);
}

bk_ref enqueue(struct place *p, struct bk_command c) {
    bk_ref e = 0;
    c.want_event = true;
    assert_int_equal(p->b->ops->enqueue(p->b, &c, &e), 0);
    return e;
}

bk_ref marker(struct place *p, bk_ref after) {
    return enqueue(
        p, (struct bk_command){.op = BK_MARKER, .queue = p->marker_queue, .wait_count = 1, .waits = &after});
}

cl_int end_of(struct place *p, bk_ref event) { return p->b->ops->wait_event(p->b, event); }

bk_ref user_event(struct place *p) {
    bk_ref e = 0;
    assert_int_equal(p->b->ops->create_user_event(p->b, p->context, &e), 0);
    return e;
}

struct bk_meeting meet(struct world *w) {
    struct bk_meeting m;
    assert_true(w->at[0].b->ops->meet(w->at[0].b, w->at[1].b, &m));
    return m;
}

/* One half of a move between buffers, in queues where nothing else waits; after 0: at once. */
bk_ref half(struct place *p, enum bk_op op, const struct bk_meeting *m, bk_ref mem, size_t bytes,
            bk_ref after) {
    struct bk_command c = {
        .op = op, .queue = p->half_queue, .wait_count = after != 0, .waits = &after, .meeting = m};
    c.u.rw.mem = mem;
    c.u.rw.size = bytes;
    return enqueue(p, c);
}

unsigned char *pattern(size_t bytes, unsigned seed) {
    unsigned char *data = malloc(bytes);
    for (size_t i = 0; i < bytes; i++) data[i] = (unsigned char)((i * 2654435761u + seed) >> 8);
    return data;
}

struct pending begin(struct world *w, size_t bytes, unsigned seed) {
    struct pending p = {.bytes = bytes, .data = pattern(bytes, seed)};
    p.from = buffer(&w->at[0], bytes);
    p.to = buffer(&w->at[1], bytes);
    assert_int_equal(transfer(&w->at[0], BK_WRITE, p.from, bytes, p.data), 0);
    p.gate = user_event(&w->at[0]);
    struct bk_meeting m = meet(w);
    half(&w->at[0], BK_READ, &m, p.from, bytes, p.gate);
    p.received = half(&w->at[1], BK_WRITE, &m, p.to, bytes, 0);
    return p;
}

void check_arrived(struct world *w, struct pending *p) {
    unsigned char *got = malloc(p->bytes);
    assert_int_equal(end_of(&w->at[1], p->received), CL_COMPLETE);
    assert_int_equal(transfer(&w->at[1], BK_READ, p->to, p->bytes, got), 0);
    assert_true(!memcmp(got, p->data, p->bytes)); /* cmocka compares byte by byte */
    free(got);
    free(p->data);
}

void open_gate(struct world *w, bk_ref gate, cl_int status) {
    assert_int_equal(w->at[0].b->ops->set_user_event(w->at[0].b, gate, status), 0);
}

bk_ref bridge(struct world *w, bk_ref event) {
    bk_ref b = 0;
    assert_true(w->at[1].b->ops->bridge(w->at[1].b, w->at[1].context, w->at[0].b, event, &b));
    return b;
}
