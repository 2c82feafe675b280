/* A peer that takes nothing, because nobody polls there: queues that are full, limits that are reached, times
 * that are over. */
#include "base/error.h"
#include "fabric/fab_fixture.h"

#include <stdlib.h>
#include <string.h>

static struct fab a, slow;
static struct weft_peer *to_slow; /* a's */
static uint8_t *data;

static void open_slow(uint32_t max_arrivals) {
    fab_open_with(&slow, "udp", WEFT_NO_THREAD, 0, max_arrivals);
    assert_int_equal(weft_connect(a.w, &slow.address, NULL, &to_slow), 0);
}

static int setup(void **state) {
    fab_open(&a, "udp");
    data = calloc(1, FAB_BYTES);
    return 0;
}

static int teardown(void **state) {
    fab_close(&slow);
    fab_close(&a);
    free(data);
    return 0;
}

static void poll_until(bool (*done)(void *arg), void *arg) {
    uint64_t deadline = weft_now_ns() + FAB_PATIENCE;
    while (!done(arg)) {
        assert_true(weft_now_ns() < deadline);
        weft_poll(slow.w);
        weft_poll(a.w);
    }
}

static bool is_connected(void *arg) { return slow.accepts > 0 && weft_peer_status(to_slow) == 0; }

static void send__queue_is_full(void **state) {
    uint8_t header[WEFT_HEADER_MAX] = {0};
    open_slow(0);
    struct weft_remote window = {.peer = to_slow, .key = 1, .bytes = 8, .access = WEFT_READ | WEFT_WRITE};
    int rc = 0, sent = 0;
    while (sent < 1000000 && !(rc = weft_send_eager(to_slow, H_RECORD, NULL, 0, data, WEFT_EAGER_MAX)))
        sent++;
    assert_int_equal(rc, WEFT_E_LIMIT);
    assert_true(sent > 10);
    const struct weft_buf none = weft_buf_ptr(NULL, 0), bytes = weft_buf_ptr(data, 8);
    struct weft_cntr *c = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, c);
    struct weft_done done = {.cntr = c};
    while (!(rc = weft_zero_copy_send(to_slow, H_RECORD, header, sizeof header, none, 0, NULL))) continue;
    assert_int_equal(rc, WEFT_E_LIMIT);
    while (!(rc = weft_send_eager(to_slow, H_RECORD, NULL, 0, NULL, 0))) continue;
    assert_int_equal(rc, WEFT_E_LIMIT);
    assert_int_equal(weft_put(&window, 0, bytes, &n), WEFT_E_LIMIT);
    assert_int_equal(weft_get_buffer(&window, 0, bytes, &done), WEFT_E_LIMIT);
    assert_int_equal(weft_flush(to_slow, &done), WEFT_E_LIMIT);
    assert_int_equal(weft_cntr_value(c) + weft_cntr_failures(c, NULL), 0); /* none of them was started */
    weft_cntr_destroy(c);
    weft_disconnect(to_slow);
}

#define OPERATIONS 8

static bool all_ended(void *arg) {
    return weft_cntr_value(arg) + weft_cntr_failures(arg, NULL) >= OPERATIONS;
}

/* One is stored (or read) at a time: others are refused meanwhile. */
static void assert_some_are_refused(struct weft_cntr *c) {
    int status;
    poll_until(all_ended, c);
    assert_true(weft_cntr_value(c) >= 1);
    assert_true(weft_cntr_failures(c, &status) >= 1);
    assert_int_equal(status, WEFT_E_LIMIT);
    weft_cntr_reset(c);
}

static void arrivals__are_limited(void **state) {
    struct weft_window *window;
    struct weft_window_handle handle;
    struct weft_remote r;
    struct weft_cntr *c = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, c);
    struct weft_done done = {.cntr = c};
    const struct weft_buf all = weft_buf_ptr(data, FAB_BYTES);
    open_slow(1);
    poll_until(is_connected, NULL);
    assert_int_equal(weft_window_export(slow.w, weft_buf_ptr(slow.buf, FAB_BYTES), WEFT_READ | WEFT_WRITE,
                                        NULL, &window, &handle),
                     0);
    assert_int_equal(weft_window_import(to_slow, &handle, &r), 0);
    for (int i = 0; i < OPERATIONS; i++)
        assert_int_equal(weft_zero_copy_send(to_slow, H_RECORD, NULL, 0, all, 0, &n), 0);
    assert_some_are_refused(c);
    for (int i = 0; i < OPERATIONS; i++) assert_int_equal(weft_put(&r, 0, all, &n), 0);
    assert_some_are_refused(c);
    for (int i = 0; i < OPERATIONS; i++) assert_int_equal(weft_get_buffer(&r, 0, all, &done), 0);
    assert_some_are_refused(c);
    weft_cntr_destroy(c);
}

static struct weft_window *being_read;
static atomic_int busy;

static void revoke_inside(struct fab *f) { busy = weft_window_revoke(being_read, WEFT_FOREVER); }

static bool has_ended(void *arg) { return ((struct fab_end *)arg)->times > 0; }

/* A reader that does not take its data holds a window, but nobody for ever. */
static void revoke__times_out(void **state) {
    struct weft_peer *p;
    struct weft_window_handle handle;
    struct weft_remote r;
    struct fab_end end = {0};
    struct weft_done done = fab_done(&end);
    uint8_t *into = malloc(FAB_BYTES);
    open_slow(0);
    assert_int_equal(weft_connect(slow.w, &a.address, NULL, &p), 0);
    assert_int_equal(weft_connect_wait(p, FAB_PATIENCE), 0);
    assert_int_equal(
        weft_window_export(a.w, weft_buf_ptr(data, FAB_BYTES), WEFT_READ, NULL, &being_read, &handle), 0);
    assert_int_equal(weft_window_import(p, &handle, &r), 0);
    assert_int_equal(weft_get_buffer(&r, 0, weft_buf_ptr(into, FAB_BYTES), &done), 0);
    a.hook = revoke_inside;
    assert_int_equal(weft_send_eager(p, H_RECORD, NULL, 0, NULL, 0), 0);
    fab_await(&a, &a.messages, 1); /* the request has come before it */
    assert_int_equal(busy, WEFT_E_BUSY);
    assert_int_equal(weft_window_revoke(being_read, 1000000), WEFT_E_TIMEDOUT);
    poll_until(has_ended, &end);
    assert_int_equal(end.status, 0);
    int rc;
    while ((rc = weft_window_revoke(being_read, 1000000)) == WEFT_E_TIMEDOUT) weft_poll(slow.w);
    assert_int_equal(rc, 0);
    free(into);
}

static void flush__times_out(void **state) {
    open_slow(0);
    assert_int_equal(weft_flush_wait(to_slow, 1000000), WEFT_E_TIMEDOUT);
    assert_int_equal(weft_connect_wait(to_slow, 1000000), WEFT_E_TIMEDOUT);
    weft_disconnect(to_slow); /* the operation ends now, and finds no waiter any more */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv) {
    setenv("WEFT_QUEUE_BYTES", "8M", 1);
    const struct CMUnitTest tests[] = {
        T(send__queue_is_full),
        T(arrivals__are_limited),
        T(revoke__times_out),
        T(flush__times_out),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
