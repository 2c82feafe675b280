/* Notifications of operations, counters and peers, over each adapter; by each mechanism at least once. */
#include "base/error.h"
#include "base/steps.h"
#include "fabric/fabric.h"

#include "fabric/fab_pair.h"
#include "weft/notify.h"

#include <sched.h>
#include <string.h>

static struct weft_notification n;
static struct weft_arrived got;

/* Makes no progress itself: the library's threads do. */
static void wait_for(uint32_t count) {
    for (uint32_t sum = 0; sum < count; sum += got.count)
        assert_int_equal(weft_notification_wait(&n, FAB_PATIENCE, &got), 0);
}

static void cntr__posts_when_it_counts(void **state) {
    struct weft_cntr *target = fab_cntr(to, 5);
    struct weft_notify told = fab_notify(NULL, 5, NULL);
    assert_int_equal(weft_notification_init(&n, NULL, NULL, NULL), 0);
    assert_int_equal(weft_cntr_notify(target, &n), 0);
    assert_int_equal(weft_cntr_notify(target, &n), WEFT_E_EXIST);
    static const size_t sizes[] = {0, 100, FAB_BYTES};
    for (uint64_t i = 0; i < 3; i++) {
        weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, sizes[i]), WEFT_NO_TAG, &told);
        wait_for(1);
        assert_int_equal(got.value, i + 1);
        assert_int_equal(got.status, 0);
        assert_int_equal(weft_cntr_value(target), i + 1);
    }
    weft_cntr_add(target, 10);
    wait_for(1);
    assert_int_equal(got.value, 13);
    assert_int_equal(weft_cntr_notify(target, NULL), 0);
    weft_cntr_add(target, 1);
    assert_false(weft_notification_ready(&n));
}

#ifdef HAVE_STEPS
/* Who names a notification and then looks at the counter sees what has been counted, or is told of it. */
static struct weft_cntr *counting;
static uint64_t seen;
static void name_and_look(void) {
    weft_cntr_notify(counting, &n);
    seen = weft_cntr_value(counting);
}
static void by_name(void) { cntr_count_named(to->w, 5, false); }
static void by_itself(void) { cntr_count(counting, 0); }

static void cntr__is_named_while_it_counts(void **state) {
    static void (*const ways[])(void) = {by_name, by_itself};
    counting = fab_cntr(to, 5);
    for (int i = 0; i < 2; i++) {
        bool met = true;
        for (steps_at = 1; met; steps_at += STEPS_STRIDE) {
            weft_cntr_reset(counting);
            assert_int_equal(weft_notification_init(&n, NULL, NULL, NULL), 0);
            steps_start(name_and_look);
            ways[i]();
            met = steps_stop();
            if (met) assert_true(seen == 1 || weft_notification_ready(&n));
            weft_cntr_notify(counting, NULL);
        }
        assert_true(steps_at > 10);
    }
}
#endif

static void done__posts_the_status(void **state) {
    struct weft_notify told = {.completion = {.fn = weft_notification_done, .arg = &n}};
    assert_int_equal(weft_notification_init(&n, NULL, NULL, NULL), 0);
    weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 50), WEFT_NO_TAG, &told);
    wait_for(1);
    assert_int_equal(got.status, 0);
    weft_zero_copy_send(peer, H_FREE, NULL, 0, weft_buf_ptr(data, 50), WEFT_NO_TAG, &told);
    wait_for(1);
    assert_int_equal(got.status, WEFT_E_NOENT);
}

static struct weft_peer *theirs(void) { return to->accepted; }

static void peer__posts_what_arrives(void **state) {
    struct weft_window *window;
    struct weft_window_handle handle;
    struct weft_remote remote;
    assert_int_equal(weft_notification_init(&n, NULL, NULL, NULL), 0);
    assert_int_equal(weft_peer_notify(theirs(), &n), 0);
    to->place = FAB_IN_PLACE;
    weft_send_eager(peer, H_RECORD, NULL, 0, data, 50);
    wait_for(1);
    assert_int_equal(got.value, 50);
    to->place = FAB_INTO_BUF;
    weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, FAB_BYTES), WEFT_NO_TAG, NULL);
    wait_for(1);
    assert_int_equal(got.value, FAB_BYTES);
    assert_true(fab_holds(to->buf, FAB_BYTES, 7));
    assert_int_equal(
        weft_window_export(to->w, weft_buf_ptr(to->buf, FAB_BYTES), WEFT_WRITE, NULL, &window, &handle), 0);
    assert_int_equal(weft_window_import(peer, &handle, &remote), 0);
    static const size_t sizes[] = {8, FAB_BYTES};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, sizes[i]), NULL), 0);
        wait_for(1);
        assert_int_equal(got.value, sizes[i]);
    }
    assert_int_equal(weft_peer_notify(theirs(), NULL), 0);
    weft_send_eager(peer, H_RECORD, NULL, 0, data, 50);
    assert_int_equal(weft_flush_wait(peer, FAB_PATIENCE), 0);
    assert_false(weft_notification_ready(&n));
}

/* The last one is loud, and all come in order: what is told is that one alone. */
static void quiet__is_not_told(void **state) {
    static const size_t sizes[] = {0, 100, FAB_BYTES};
    struct weft_window *window;
    struct weft_window_handle handle;
    struct weft_remote remote;
    struct weft_notification of_cntr;
    struct weft_cntr *target = fab_cntr(to, 5);
    struct weft_notify quiet = {.target_cntr = 5, .flags = WEFT_QUIET}, loud = {.target_cntr = 5};
    assert_int_equal(weft_notification_init(&n, NULL, NULL, NULL), 0);
    assert_int_equal(weft_notification_init(&of_cntr, NULL, NULL, NULL), 0);
    assert_int_equal(weft_peer_notify(theirs(), &n), 0);
    assert_int_equal(weft_cntr_notify(target, &of_cntr), 0);
    to->place = FAB_INTO_BUF;
    assert_int_equal(
        weft_window_export(to->w, weft_buf_ptr(to->buf, FAB_BYTES), WEFT_WRITE, NULL, &window, &handle), 0);
    assert_int_equal(weft_window_import(peer, &handle, &remote), 0);
    for (int i = 0; i < 3; i++) {
        struct weft_buf buf = weft_buf_ptr(data, sizes[i]);
        assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, buf, WEFT_NO_TAG, &quiet), 0);
        assert_int_equal(weft_put(&remote, 0, buf, &quiet), 0);
    }
    assert_int_equal(weft_flush_wait(peer, FAB_PATIENCE), 0);
    assert_int_equal(weft_cntr_value(target), 6);
    assert_false(weft_notification_ready(&n));
    assert_false(weft_notification_ready(&of_cntr));
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 50), WEFT_NO_TAG, &loud),
                     0);
    wait_for(1);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.value, 50);
    assert_int_equal(weft_notification_wait(&of_cntr, FAB_PATIENCE, &got), 0);
    assert_int_equal(got.value, 7);
    quiet.flags = ~0u;
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 5), WEFT_NO_TAG, &quiet),
                     WEFT_E_INVAL);
    assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, 5), &quiet), WEFT_E_INVAL);
    assert_int_equal(weft_cntr_notify(target, NULL), 0);
    assert_int_equal(weft_peer_notify(theirs(), NULL), 0);
}

static void peer__posts_its_end(void **state) {
    assert_int_equal(weft_notification_init(&n, NULL, NULL, NULL), 0);
    assert_int_equal(weft_peer_notify(theirs(), &n), 0);
    weft_disconnect(peer);
    wait_for(1);
    assert_int_equal(got.status, WEFT_E_CLOSED);
    assert_int_equal(weft_peer_status(theirs()), WEFT_E_CLOSED);
}

static atomic_uint handled;
static void on_arrival(const struct weft_arrived *arrived) { atomic_fetch_add(&handled, arrived->count); }

static void peer__by_each_mechanism_with_a_handler(void **state) {
    static const enum weft_mechanism with_handler[] = {WEFT_BRANCH, WEFT_THREAD_DISPATCH};
    to->place = FAB_IN_PLACE;
    for (int i = 0; i < 2; i++) {
        struct weft_notifier_config cfg;
        struct weft_notifier *notifier;
        weft_notifier_config_init(&cfg);
        cfg.mechanism = with_handler[i];
        atomic_store(&handled, 0);
        assert_int_equal(weft_notifier_create(&notifier, &cfg), 0);
        assert_int_equal(weft_notification_init(&n, notifier, on_arrival, NULL), 0);
        assert_int_equal(weft_peer_notify(theirs(), &n), 0);
        for (int k = 0; k < 100; k++) assert_int_equal(weft_send_eager(peer, H_RECORD, NULL, 0, data, 50), 0);
        while (atomic_load(&handled) < 100) sched_yield(); /* this thread computes */
        assert_int_equal(weft_peer_notify(theirs(), NULL), 0);
        weft_notification_fini(&n);
        weft_notifier_destroy(notifier);
        assert_int_equal(handled, 100);
    }
}

int main(void) {
#ifdef HAVE_STEPS
    steps_init();
#endif
    const struct CMUnitTest tests[] = {EACH(cntr__posts_when_it_counts),
                                       EACH(done__posts_the_status),
#ifdef HAVE_STEPS
                                       FAB_OVER(cntr__is_named_while_it_counts, self),
#endif
                                       EACH(peer__posts_what_arrives),
                                       EACH(quiet__is_not_told),
                                       EACH(peer__posts_its_end),
                                       EACH(peer__by_each_mechanism_with_a_handler)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
