/* The fabric when memory is short: each allocation of opening, connecting, registering, posting, sending,
 * putting, getting, canceling and closing is made to fail in turn. A call that fails says so, has done
 * nothing and succeeds when it is repeated; what was accepted ends once, in success or with an error; nothing
 * is left behind. Both ends are one thread, so that what fails is the same each time. */
#include "base/clock.h"
#include "base/error.h"
#include "base/path.h"
#include "base/short_memory.h"
#include "base/test.h"
#include "base/test_files.h"
#include "weft.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL    100u
#define UNASKED  100000u /* follows its header at once */
#define LARGE    300000u /* on request */
#define TARGET   7       /* a counter of the far side */
#define PATIENCE (20 * WEFT_NS_PER_S * TEST_SLOWDOWN)

enum { H_FREE, H_TAKE, H_LATER };
enum ending { IN_ORDER, DISCONNECT, CLOSE };

static char run_dir[] = "/tmp/weft-nomem-XXXXXX";
static const char *adapters;
static enum ending ending;

struct side {
    struct weft *w;
    struct weft_peer *peer;
    struct weft_mem *mem;
    int accepts, downs, down_status;
} near, far;

static struct weft_cntr *target, *completion;
static struct weft_window *window;
static struct weft_window_handle handle;
static struct weft_remote remote;
static void *memory; /* from weft_alloc */
static unsigned counted, handled, completed, eager_sent, eager_got;

/* An operation, and what became of it. Its data goes to the row of its number. */
struct end {
    const char *name;
    struct side *side;
    int (*start)(struct end *e, const struct weft_done *done);
    size_t bytes;
    uint64_t tag;
    int expected; /* when memory is not short */
    bool accepted;
    int times, status;
};

static int post(struct end *e, const struct weft_done *done);
static int send_message(struct end *e, const struct weft_done *done);
static int put(struct end *e, const struct weft_done *done);
static int fence(struct end *e, const struct weft_done *done);
static int get(struct end *e, const struct weft_done *done);
static int flush(struct end *e, const struct weft_done *done);
static int send_eager(struct end *e, const struct weft_done *done);

static struct end ends[] = {
    {"a post", &far, post, LARGE, 1},
    {"a post that is overridden", &far, post, LARGE, 2, WEFT_E_CANCELED},
    {"the post that overrides it", &far, post, SMALL, 2},
    {"a post that is canceled", &far, post, SMALL, 3, WEFT_E_CANCELED},
    {"an eager message", &near, send_eager, SMALL},
    {"a small message", &near, send_message, SMALL},
    {"a message with unasked data", &near, send_message, UNASKED},
    {"a large message", &near, send_message, LARGE},
    {"a large message to a post", &near, send_message, LARGE, 1},
    {"a small message to a post", &near, send_message, SMALL, 2},
    {"a large put", &near, put, LARGE},
    {"a fence", &near, fence},
    {"a small put behind the fence", &near, put, SMALL},
    {"an eager message behind the fence", &near, send_eager, SMALL},
    {"a small get", &near, get, SMALL},
    {"a get", &near, get, UNASKED},
    {"a large get", &near, get, LARGE},
    {"a flush", &near, flush},
};
#define ENDS (sizeof ends / sizeof *ends)

static uint8_t rows[ENDS + 1][LARGE];
static uint8_t *const data = rows[ENDS];
static uint8_t *row(const struct end *e) { return rows[e - ends]; }

/* -- what the fabric calls -- */

/* BUSY: the connection could not be accepted; LIMIT: what came by it could not be kept. */
static bool is_clear(int status) {
    return status == 0 || status == WEFT_E_NOMEM || status == WEFT_E_CANCELED || status == WEFT_E_CLOSED ||
           status == WEFT_E_BUSY || status == WEFT_E_LIMIT;
}

static int always(void *arg) { return 1; }

/* Callbacks run like handlers, or others could run at the same time. */
static void assert_inside(struct side *s) { assert_int_equal(weft_wait(s->w, always, NULL, 0), WEFT_E_BUSY); }

static void on_end(void *arg, int status) {
    struct end *e = arg;
    assert_inside(e->side);
    e->status = status;
    e->times++;
}

static void on_complete(void *arg, struct weft_peer *peer, int status) {
    assert_inside(&far);
    completed++;
}

/* A message for a post that is not there (any more) is not wanted. */
static void on_take(void *ctx, struct weft_peer *peer, const struct weft_msg *m, struct weft_action *action) {
    const struct end *e = &ends[*(const uint8_t *)m->header];
    assert_inside(&far);
    handled++;
    action->on_complete = on_complete;
    eager_got += e->start == send_eager;
    if (m->posted || e->tag) return;
    action->mem = far.mem;
    action->offset = (size_t)(row(e) - rows[0]);
}

static int on_accept(void *ctx, struct weft_peer *peer, struct weft_id id) {
    assert_inside(&far);
    far.peer = peer;
    far.accepts++;
    return 0;
}

static void on_peer_down(void *ctx, struct weft_peer *peer, int status) {
    struct side *s = ctx;
    assert_inside(s);
    if (!is_clear(status) || !status) fail_msg("a peer is down: %s", weft_strerror(status));
    s->down_status = status;
    s->downs++;
}

/* -- operations -- */

static int post(struct end *e, const struct weft_done *done) {
    return weft_post_buffer(far.w, NULL, e->tag, weft_buf_ptr(row(e), e->bytes), done);
}

static int send_message(struct end *e, const struct weft_done *done) {
    uint8_t header = (uint8_t)(e - ends);
    struct weft_notify n = {.origin = {.cntr = completion}, .completion = *done};
    n.completion.cntr = completion;
    return weft_zero_copy_send(near.peer, H_TAKE, &header, 1, weft_buf_ptr(memory, e->bytes), e->tag, &n);
}

static int put(struct end *e, const struct weft_done *done) {
    struct weft_notify n = {.target_cntr = TARGET, .completion = *done};
    return weft_put(&remote, (uint64_t)(row(e) - rows[0]), weft_buf_ptr(data, e->bytes), &n);
}

static int fence(struct end *e, const struct weft_done *done) { return weft_fence(near.peer); }

static int get(struct end *e, const struct weft_done *done) {
    return weft_get_buffer(&remote, (uint64_t)(data - rows[0]), weft_buf_ptr(row(e), e->bytes), done);
}

static int flush(struct end *e, const struct weft_done *done) { return weft_flush(near.peer, done); }

static int send_eager(struct end *e, const struct weft_done *done) {
    uint8_t header = (uint8_t)(e - ends);
    int rc = weft_send_eager(near.peer, H_TAKE, &header, 1, data, e->bytes);
    eager_sent += rc == 0;
    return rc;
}

static bool tells(const struct end *e) { return e->start != fence && e->start != send_eager; }

static void start(struct end *e) {
    struct weft_done done = {.fn = on_end, .arg = e};
    int rc = e->start(e, &done);
    if (rc == WEFT_E_NOMEM) rc = e->start(e, &done);
    assert_int_equal(e->times, 0);
    assert_true(is_clear(rc));
    if (rc && near.downs) assert_int_equal(rc, near.down_status);
    if (rc == 0) counted += e->start == send_message ? 2 : 0;
    e->accepted = rc == 0 && tells(e);
}

/* -- what is set up before -- */

static int open_side(struct side *s) {
    struct weft_handler handlers[] = {[H_TAKE] = {on_take, NULL}};
    struct weft_config cfg;
    weft_config_init(&cfg);
    cfg.flags = WEFT_ALONE | WEFT_NO_THREAD;
    cfg.adapters = adapters;
    cfg.run_dir = run_dir;
    cfg.handlers = handlers;
    cfg.handler_count = sizeof handlers / sizeof *handlers;
    cfg.on_accept = on_accept;
    cfg.on_peer_down = on_peer_down;
    cfg.ctx = s;
    *s = (struct side){0};
    return weft_open(&s->w, &cfg);
}

static int open_near(void) { return open_side(&near); }
static int open_far(void) { return open_side(&far); }

static int connect_them(void) {
    struct weft_address address;
    assert_int_equal(weft_own_address(far.w, &address), 0);
    return weft_connect(near.w, &address, NULL, &near.peer);
}

static int make_target(void) { return weft_cntr_create(far.w, TARGET, &target); }
static int make_completion(void) { return weft_cntr_create(near.w, 0, &completion); }
static int make_mem(void) { return weft_dma_setup(far.w, rows, sizeof rows, WEFT_PIN_DYNAMIC, &far.mem); }
static int make_window(void) {
    struct weft_buf all = weft_buf_mem(far.mem, 0, sizeof rows);
    return weft_window_export(far.w, all, WEFT_READ | WEFT_WRITE, NULL, &window, &handle);
}
static int make_memory(void) { return weft_alloc(near.w, LARGE, &memory); }
static int make_handler(void) {
    return weft_handler_register(far.w, H_LATER, &(struct weft_handler){on_take, NULL});
}

/* What fails for want of memory can be had when there is some. */
static void insist(int (*get_it)(void)) {
    int rc = get_it();
    if (rc) {
        assert_int_equal(rc, WEFT_E_NOMEM);
        assert_int_equal(get_it(), 0);
    }
}

/* -- the run -- */

static void poll_until(bool (*done)(void)) {
    uint64_t deadline = weft_now_ns() + PATIENCE;
    while (!done()) {
        if (weft_now_ns() > deadline) fail_msg("it hangs");
        weft_poll(near.w);
        weft_poll(far.w);
    }
}

static bool are_both_down(void) { return near.downs && far.downs == far.accepts; }
static bool is_far_down(void) { return far.downs == far.accepts; }

static bool have_ended_of(const struct side *s) {
    for (size_t i = 0; i < ENDS; i++)
        if (ends[i].side == s && ends[i].accepted && !ends[i].times) return false;
    return true;
}

static bool have_near_ended(void) { return have_ended_of(&near); }
static bool have_far_ended(void) { return have_ended_of(&far); }

static void prepare(void) {
    counted = handled = completed = eager_sent = eager_got = 0;
    for (size_t i = 0; i < ENDS; i++) {
        ends[i].accepted = false;
        ends[i].times = 0;
        memset(rows[i], 0, sizeof rows[i]);
    }
    insist(open_far);
    insist(open_near);
    insist(connect_them);
    insist(make_target);
    insist(make_completion);
    insist(make_mem);
    insist(make_window);
    insist(make_memory);
    insist(make_handler);
    memcpy(memory, data, LARGE);
    assert_int_equal(weft_window_import(near.peer, &handle, &remote), 0);
}

/* The message for tag 1 is on its way, or there, or its end is; the post of tag 3 still waits. */
static void cancel(void) {
    int rc = weft_cancel_post_buffer(far.w, NULL, 3);
    if (rc == WEFT_E_NOMEM) rc = weft_cancel_post_buffer(far.w, NULL, 3);
    assert_int_equal(rc, 0);
    assert_int_equal(weft_cancel_post_buffer(far.w, NULL, 3), WEFT_E_NOENT);
    if (ending == IN_ORDER) return;
    weft_poll(near.w);
    weft_poll(far.w);
    rc = weft_cancel_post_buffer(far.w, NULL, 1);
    assert_true(rc == 0 || rc == WEFT_E_NOENT);
    if (rc == 0) memset(rows[0], 0, LARGE);
}

static void check_in_order(void) {
    poll_until(have_near_ended);
    if (near.downs || far.downs) {
        poll_until(are_both_down);
        return;
    }
    poll_until(have_far_ended);
    uint64_t value = weft_cntr_value(completion), failures = weft_cntr_failures(completion, NULL);
    assert_int_equal(value + failures, counted);
    assert_int_equal(eager_got, eager_sent); /* a flush has ended */
    unsigned puts = 0;
    for (size_t i = 0; i < ENDS; i++) puts += ends[i].start == put && ends[i].status == 0;
    assert_int_equal(weft_cntr_value(target), puts);
}

/* Nothing holds it any more. */
static void give_back(void) {
    assert_int_equal(weft_window_revoke(window, PATIENCE), 0);
    assert_int_equal(weft_dma_cleanup(far.mem), 0);
    weft_free(near.w, memory, LARGE);
    weft_cntr_destroy(target);
    weft_cntr_destroy(completion);
}

static void finish(void) {
    if (ending == IN_ORDER) check_in_order();
    if (ending != CLOSE) {
        weft_disconnect(near.peer);
        poll_until(is_far_down);
        poll_until(have_near_ended);
    }
    if (ending == IN_ORDER) give_back();
    weft_close(near.w, 0);
    weft_close(far.w, 0);
}

/* Whether all has ended as it does when memory is not short. */
static bool judge(void) {
    bool all = true;
    for (size_t i = 0; i < ENDS; i++) {
        const struct end *e = &ends[i];
        if (e->times != e->accepted) fail_msg("%s was accepted, and ended %d times", e->name, e->times);
        if (!e->accepted) continue;
        if (!is_clear(e->status)) fail_msg("%s ended with %s", e->name, weft_strerror(e->status));
        bool here = e->start == post || e->start == get || e->start == put || !e->tag;
        bool whole = !here || memcmp(row(e), data, e->bytes) == 0;
        if (e->status == 0 && !whole) fail_msg("%s brought nothing", e->name);
        all = all && e->status == e->expected;
    }
    assert_int_equal(handled, completed);
    return ending != IN_ORDER || (all && !near.downs);
}

static bool run(void) {
    prepare();
    for (size_t i = 0; i < ENDS; i++) start(&ends[i]);
    cancel();
    finish();
    return judge();
}

static bool job(void) {
    size_t before = short_memory_live();
    bool done = run();
    assert_int_equal(short_memory_live(), before);
    return done;
}

static void each_allocation_fails(const char *over, enum ending end) {
    adapters = over;
    ending = end;
    assert_true(run()); /* what a process makes once is no leak */
    size_t fds = test_entries("/proc/self/fd");
    int n = short_memory_fail_each(job);
    print_message("%d allocations\n", n);
    assert_in_range(n, 50, 10000);
    assert_int_equal(test_entries("/proc/self/fd"), fds);
}

#define OVERRIDDEN 48 /* posts: the table grows among them */

/* A post that fails leaves the one of its tag as it was. */
static void post__not_overridden(void **state) {
    struct end before = {.side = &far}, after = {.side = &far};
    const struct weft_buf none = weft_buf_ptr(NULL, 0);
    const struct weft_done first = {.fn = on_end, .arg = &before}, second = {.fn = on_end, .arg = &after};
    adapters = "self";
    assert_int_equal(open_far(), 0);
    int failed = 0;
    for (uint64_t tag = 1; tag <= OVERRIDDEN; tag++) {
        assert_int_equal(weft_post_buffer(far.w, NULL, tag, none, &first), 0);
        for (int n = 1, rc = WEFT_E_NOMEM; rc; n++) {
            short_memory_fail_in(n);
            rc = weft_post_buffer(far.w, NULL, tag, none, &second);
            short_memory_fail_in(0);
            weft_poll(far.w);
            assert_int_equal(before.times, rc ? (int)tag - 1 : (int)tag);
            failed += rc != 0;
        }
    }
    assert_true(failed >= OVERRIDDEN);
    assert_int_equal(after.times, 0);
    weft_close(far.w, 0);
    assert_int_equal(after.times, OVERRIDDEN);
}

static void shm__in_order(void **state) { each_allocation_fails("shm", IN_ORDER); }
static void shm__disconnect(void **state) { each_allocation_fails("shm", DISCONNECT); }
static void shm__close(void **state) { each_allocation_fails("shm", CLOSE); }
static void udp__in_order(void **state) { each_allocation_fails("udp", IN_ORDER); }
static void udp__disconnect(void **state) { each_allocation_fails("udp", DISCONNECT); }
static void udp__close(void **state) { each_allocation_fails("udp", CLOSE); }

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(post__not_overridden), cmocka_unit_test(shm__in_order),
        cmocka_unit_test(shm__disconnect),      cmocka_unit_test(shm__close),
        cmocka_unit_test(udp__in_order),        cmocka_unit_test(udp__disconnect),
        cmocka_unit_test(udp__close),
    };
    for (size_t i = 0; i < LARGE; i++) data[i] = (uint8_t)(i * 2654435761u >> 7 | 1);
    setenv("WEFT_DEAD_MS", "300", 1); /* how soon an end without a goodbye is noticed */
    setenv("WEFT_KEEPALIVE_MS", "100", 1);
    setenv("WEFT_CONNECT_TIMEOUT_MS", "1000", 1);
    if (!mkdtemp(run_dir)) return 1;
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    weft_dir_remove(run_dir);
    return failed;
}
