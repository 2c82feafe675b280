/* Processes of the fabric that record what they get. */
#include "fabric/fab_fixture.h"
#include "base/path.h"
#include "base/test_data.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fab_fill(void *p, size_t bytes, unsigned seed) { test_data_fill(p, bytes, seed); }
bool fab_holds(const void *p, size_t bytes, unsigned seed) { return test_data_holds(p, bytes, seed); }

bool fab_is_all(const void *p, size_t bytes, uint8_t value) {
    const uint8_t *b = p;
    return bytes == 0 || (b[0] == value && memcmp(b, b + 1, bytes - 1) == 0);
}

static void on_complete(void *arg, struct weft_peer *peer, int status) {
    struct fab *f = arg;
    f->complete_status = status;
    f->completed++;
}

static void on_record(void *ctx, struct weft_peer *peer, const struct weft_msg *m,
                      struct weft_action *action) {
    struct fab *f = ctx;
    f->tag = m->tag;
    f->data_bytes = m->data_bytes;
    f->header_bytes = m->header_bytes;
    f->posted = m->posted;
    f->had_data = m->data != NULL;
    memcpy(f->header, m->header, m->header_bytes);
    if (m->header_bytes >= 8) memcpy(&f->order[f->messages % 64], m->header, 8);
    action->on_complete = on_complete;
    action->arg = f;
    if (!m->posted) {
        if (f->place == FAB_INTO_BUF || f->place == FAB_TOO_SMALL) action->buf = f->buf;
        action->buf_bytes = f->place == FAB_TOO_SMALL ? 1 : FAB_BYTES;
        if (f->place == FAB_INTO_MEM) {
            action->mem = f->mem;
            action->buf = f->buf; /* not looked at */
        }
        if (f->place == FAB_IN_PLACE && m->data) memcpy(f->buf, m->data, m->data_bytes);
    }
    if (f->hook) f->hook(f);
    f->messages++;
}

static int on_accept(void *ctx, struct weft_peer *peer, struct weft_id id) {
    struct fab *f = ctx;
    f->accepts++;
    if (f->accept) return f->accept;
    f->accepted = peer;
    return 0;
}

static void on_peer_down(void *ctx, struct weft_peer *peer, int status) {
    struct fab *f = ctx;
    f->down_status = status;
    f->downs++;
}

void fab_open_with(struct fab *f, const char *adapters, unsigned flags, uint32_t max_posts,
                   uint32_t max_arrivals) {
    memset(f, 0, sizeof *f);
    /* A test that fails is the last: its fabric goes on, with what has been its stack. */
    setenv("CMOCKA_TEST_ABORT", "1", false);
    snprintf(f->dir, sizeof f->dir, "/tmp/weft-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->buf = calloc(1, FAB_BYTES);
    struct weft_handler handlers[H_HANDLERS] = {[H_RECORD] = {on_record, f}};
    struct weft_config cfg;
    weft_config_init(&cfg);
    cfg.flags = WEFT_ALONE | flags;
    cfg.adapters = adapters;
    cfg.run_dir = f->dir;
    cfg.handlers = handlers;
    cfg.handler_count = H_HANDLERS;
    cfg.on_accept = on_accept;
    cfg.on_peer_down = on_peer_down;
    cfg.ctx = f;
    cfg.max_posts = max_posts;
    cfg.max_arrivals = max_arrivals;
    assert_int_equal(weft_open(&f->w, &cfg), 0);
    assert_int_equal(weft_own_address(f->w, &f->address), 0);
}

void fab_open(struct fab *f, const char *adapters) { fab_open_with(f, adapters, 0, 0, 0); }

void fab_close(struct fab *f) {
    weft_close(f->w, 1000);
    weft_dir_remove(f->dir);
    free(f->buf);
}

struct weft_peer *fab_connect(struct fab *a, struct fab *b) {
    struct weft_peer *peer;
    int accepts = b->accepts;
    assert_int_equal(weft_connect(a->w, &b->address, a, &peer), 0);
    assert_int_equal(weft_connect_wait(peer, FAB_PATIENCE), 0);
    fab_await(b, &b->accepts, accepts + 1);
    return peer;
}

struct awaited {
    atomic_int *counter;
    int least;
};

static int reached(void *arg) {
    struct awaited *a = arg;
    return atomic_load(a->counter) >= a->least;
}

void fab_await(struct fab *f, atomic_int *counter, int least) { fab_await_on(f->w, counter, least); }

void fab_await_on(struct weft *w, atomic_int *counter, int least) {
    struct awaited a = {counter, least};
    int rc = weft_wait(w, reached, &a, FAB_PATIENCE);
    if (rc) print_error("waited for %d, got %d\n", least, atomic_load(counter));
    assert_int_equal(rc, 0);
}

void fab_await_idle(atomic_int *counter, int least) {
    uint64_t deadline = weft_now_ns() + FAB_PATIENCE;
    while (atomic_load(counter) < least) {
        assert_true(weft_now_ns() < deadline);
        sched_yield();
    }
}

struct weft_notify fab_notify(struct weft_cntr *origin, uint32_t target, struct weft_cntr *completion) {
    return (struct weft_notify){
        .origin = {.cntr = origin}, .target_cntr = target, .completion = {.cntr = completion}};
}

struct weft_cntr *fab_cntr(struct fab *f, uint32_t id) {
    struct weft_cntr *c;
    assert_int_equal(weft_cntr_create(f->w, id, &c), 0);
    return c;
}

int fab_result(struct weft_cntr *c) {
    int rc = weft_cntr_wait(c, 1, FAB_PATIENCE);
    int first;
    assert_int_equal(weft_cntr_value(c) + weft_cntr_failures(c, &first), 1);
    weft_cntr_reset(c);
    return rc;
}

static void on_end(void *arg, int status) {
    struct fab_end *end = arg;
    end->status = status;
    end->times++;
}

struct weft_done fab_done(struct fab_end *end) {
    return (struct weft_done){.fn = on_end, .arg = end};
}
