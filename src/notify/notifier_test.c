/* Notifiers that are waited for: lock release of many notifications, and the descriptor. */
#include "base/test.h"
#include "notify/internal.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>

#define COUNT 4

static struct weft_notifier *to;
static struct weft_notification n[COUNT];
static struct weft_arrived a;

static void make(enum weft_mechanism m) {
    struct weft_notifier_config cfg;
    weft_notifier_config_init(&cfg);
    cfg.mechanism = m;
    cfg.spin_ns = 0;
    assert_int_equal(weft_notifier_create(&to, &cfg), 0);
    assert_int_equal(weft_notifier_mechanism(to), m);
    for (int i = 0; i < COUNT; i++) assert_int_equal(weft_notification_init(&n[i], to, NULL, &n[i]), 0);
}

static void end(void) {
    for (int i = 0; i < COUNT; i++) weft_notification_fini(&n[i]);
    weft_notifier_destroy(to);
}

static const enum weft_mechanism both[] = {WEFT_LOCK_RELEASE, WEFT_DESCRIPTOR};

static void take__in_the_order_of_queueing(void **state) {
    for (int m = 0; m < 2; m++) {
        make(both[m]);
        static const int order[] = {2, 0, 2, 3, 1, 2};
        for (int i = 0; i < 6; i++) weft_notification_post(&n[order[i]], (uint64_t)i, 0);
        static const int told[] = {2, 0, 3, 1};
        for (int i = 0; i < 4; i++) {
            assert_int_equal(weft_notifier_take(to, &a), 1);
            assert_ptr_equal(a.from, &n[told[i]]);
            assert_int_equal(a.count, told[i] == 2 ? 3 : 1);
        }
        assert_int_equal(weft_notifier_take(to, &a), 0);
        end();
    }
}

static void take__what_comes_between(void **state) {
    make(WEFT_LOCK_RELEASE);
    weft_notification_post(&n[0], 1, 0);
    weft_notification_post(&n[1], 1, 0);
    assert_int_equal(weft_notifier_take(to, &a), 1); /* the rest is in the list now */
    weft_notification_post(&n[0], 2, 0);
    weft_notification_post(&n[1], 2, 0); /* is in it already */
    assert_int_equal(weft_notifier_take(to, &a), 1);
    assert_ptr_equal(a.from, &n[1]);
    assert_int_equal(a.count, 2);
    assert_int_equal(weft_notifier_take(to, &a), 1);
    assert_ptr_equal(a.from, &n[0]);
    assert_int_equal(a.count, 1);
    assert_int_equal(weft_notifier_take(to, &a), 0);
    end();
}

static bool readable(void) {
    struct pollfd p = {.fd = weft_notifier_fd(to), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void descriptor__is_readable_until_all_is_taken(void **state) {
    make(WEFT_DESCRIPTOR);
    assert_false(readable());
    weft_notification_post(&n[0], 0, 0);
    weft_notification_post(&n[1], 0, 0);
    assert_true(readable());
    assert_int_equal(weft_notifier_take(to, &a), 1);
    assert_true(readable());
    assert_int_equal(weft_notifier_take(to, &a), 1);
    assert_int_equal(weft_notifier_take(to, &a), 0);
    assert_false(readable());
    weft_notification_post(&n[2], 0, 0);
    assert_true(readable());
    end();
}

static void *wait_all(void *arg) {
    struct weft_arrived got;
    for (uint32_t left = 2 * COUNT; left; left -= got.count)
        if (weft_notifier_wait(to, WEFT_FOREVER, &got)) return arg;
    return NULL;
}

static void wait__sleeps_and_is_woken(void **state) {
    for (int m = 0; m < 2; m++) {
        pthread_t t;
        void *failed;
        make(both[m]);
        assert_int_equal(weft_notifier_wait(to, 1000, &a), WEFT_E_TIMEDOUT);
        pthread_create(&t, NULL, wait_all, to);
        for (int i = 0; i < 2 * COUNT; i++) {
            for (int k = 0; k < 5; k++) sched_yield();
            weft_notification_post(&n[i % COUNT], 0, 0);
        }
        pthread_join(t, &failed);
        assert_null(failed);
        end();
    }
}

/* The last arrival of a burst comes while the first is being taken: no later one would bring it to light. */
static uint32_t taken;
static void *take_all(void *arg) {
    struct weft_arrived got;
    while (__atomic_load_n(&taken, __ATOMIC_RELAXED) < __atomic_load_n((uint32_t *)arg, __ATOMIC_RELAXED))
        if (weft_notifier_take(to, &got)) __atomic_fetch_add(&taken, got.count, __ATOMIC_SEQ_CST);
    return NULL;
}

/* As many bursts as there is time for: on a busy machine each takes a time slice. */
static void take__the_last_of_a_burst(void **state) {
    enum { BURSTS = 5000, BURST = 8 };
    uint32_t all = UINT32_MAX, posted = 0;
    uint64_t start_ns = weft_now_ns();
    pthread_t t;
    make(WEFT_LOCK_RELEASE);
    pthread_create(&t, NULL, take_all, &all);
    while (posted < BURSTS * BURST && weft_now_ns() - start_ns < 2 * WEFT_NS_PER_S) {
        uint64_t end_ns = weft_now_ns() + 20 * WEFT_NS_PER_S * TEST_SLOWDOWN;
        for (int i = 0; i < BURST; i++, posted++) weft_notification_post(&n[0], 0, 0);
        while (__atomic_load_n(&taken, __ATOMIC_SEQ_CST) < posted && weft_now_ns() < end_ns) sched_yield();
        assert_int_equal(__atomic_load_n(&taken, __ATOMIC_SEQ_CST), posted);
    }
    __atomic_store_n(&all, posted, __ATOMIC_RELAXED);
    pthread_join(t, NULL);
    end();
}

static void fini__forgets_what_is_queued(void **state) {
    make(WEFT_LOCK_RELEASE);
    for (int i = 0; i < COUNT; i++) weft_notification_post(&n[i], 0, 0);
    weft_notification_fini(&n[3]); /* the last one */
    weft_notification_fini(&n[1]);
    assert_int_equal(weft_notifier_take(to, &a), 1);
    assert_ptr_equal(a.from, &n[0]);
    weft_notification_post(&n[0], 0, 0);
    assert_int_equal(weft_notifier_take(to, &a), 1);
    assert_ptr_equal(a.from, &n[2]);
    assert_int_equal(weft_notifier_take(to, &a), 1);
    assert_ptr_equal(a.from, &n[0]);
    assert_int_equal(weft_notifier_take(to, &a), 0);
    weft_notification_init(&n[1], to, NULL, NULL);
    weft_notification_init(&n[3], to, NULL, NULL);
    end();
}

static void create__refuses_what_does_not_hold(void **state) {
    struct weft_notifier_config cfg;
    weft_notifier_config_init(&cfg);
    cfg.size--;
    assert_int_equal(weft_notifier_create(&to, &cfg), WEFT_E_INVAL);
    weft_notifier_config_init(&cfg);
    cfg.mechanism = (enum weft_mechanism)9;
    assert_int_equal(weft_notifier_create(&to, &cfg), WEFT_E_INVAL);
    weft_notifier_config_init(&cfg);
    cfg.threads_max = 65;
    assert_int_equal(weft_notifier_create(&to, &cfg), WEFT_E_INVAL);
    weft_notifier_config_init(&cfg);
    cfg.threads = 3;
    cfg.threads_max = 2;
    assert_int_equal(weft_notifier_create(&to, &cfg), WEFT_E_INVAL);
    assert_int_equal(weft_notifier_create(&to, NULL), WEFT_E_INVAL);
    make(WEFT_LOCK_RELEASE);
    assert_int_equal(weft_notification_wait(&n[0], 0, &a), WEFT_E_INVAL);
    assert_int_equal(weft_notifier_fd(to), WEFT_E_INVAL);
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(take__in_the_order_of_queueing),
        cmocka_unit_test(take__what_comes_between),
        cmocka_unit_test(descriptor__is_readable_until_all_is_taken),
        cmocka_unit_test(wait__sleeps_and_is_woken),
        cmocka_unit_test(take__the_last_of_a_burst),
        cmocka_unit_test(fini__forgets_what_is_queued),
        cmocka_unit_test(create__refuses_what_does_not_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
