/* Thread dispatch: each arrival reaches a parked thread; what happens when none is free. */
#include "base/test.h"
#include "notify/internal.h"

#include <pthread.h>
#include <sched.h>

#define COUNT 8

static struct weft_notifier *to;
static struct weft_notification n[COUNT];
static uint32_t told, started, open_gate;
static pthread_t ran_on;

static void on_thread(void *ctx, unsigned index) {
    assert_ptr_equal(ctx, &started);
    __atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
}

static void make(unsigned threads, unsigned most, enum weft_pool_policy policy,
                 void (*fn)(const struct weft_arrived *a)) {
    struct weft_notifier_config cfg;
    weft_notifier_config_init(&cfg);
    cfg.mechanism = WEFT_THREAD_DISPATCH;
    cfg.threads = threads;
    cfg.threads_max = most;
    cfg.policy = policy;
    cfg.spin_ns = 0;
    cfg.on_thread = on_thread;
    cfg.ctx = &started;
    told = started = open_gate = 0;
    assert_int_equal(weft_notifier_create(&to, &cfg), 0);
    for (int i = 0; i < COUNT; i++) assert_int_equal(weft_notification_init(&n[i], to, fn, NULL), 0);
}

static void end(void) {
    for (int i = 0; i < COUNT; i++) weft_notification_fini(&n[i]);
    weft_notifier_destroy(to);
}

static uint32_t now(uint32_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
static void until(uint32_t *word, uint32_t value) {
    while (now(word) < value) sched_yield();
}

static void count(const struct weft_arrived *a) {
    __atomic_store_n(&ran_on, pthread_self(), __ATOMIC_RELAXED);
    __atomic_fetch_add(&told, a->count, __ATOMIC_SEQ_CST);
}

/* A handler that stays until the gate is opened. */
static void stay(const struct weft_arrived *a) {
    count(a);
    until(&open_gate, 1);
}

static void post__reaches_a_thread_of_the_pool(void **state) {
    make(2, 0, WEFT_POOL_QUEUE, count);
    assert_int_equal(now(&started), 2); /* before weft_notifier_create has returned */
    for (uint32_t i = 1; i <= 100; i++) {
        weft_notification_post(&n[i % COUNT], i, 0);
        until(&told, i);
    }
    assert_false(pthread_equal(__atomic_load_n(&ran_on, __ATOMIC_RELAXED), pthread_self()));
    end();
}

static void queue__waits_for_a_thread(void **state) {
    make(2, 0, WEFT_POOL_QUEUE, stay);
    for (int i = 0; i < COUNT; i++) weft_notification_post(&n[i], 0, 0);
    until(&told, 2);
    for (int i = 0; i < 10; i++) sched_yield();
    assert_int_equal(now(&told), 2); /* more threads there are not */
    __atomic_store_n(&open_gate, 1, __ATOMIC_SEQ_CST);
    until(&told, COUNT);
    end();
}

/* A thread that has counted is not yet parked: who is refused tries again. */
static void refuse__counts_nothing(void **state) {
    make(1, 0, WEFT_POOL_REFUSE, stay);
    while (weft_notification_post(&n[0], 0, 0)) sched_yield();
    until(&told, 1);
    assert_int_equal(weft_notification_post(&n[1], 0, 0), WEFT_E_AGAIN);
    assert_int_equal(weft_notification_post(&n[0], 0, 0), WEFT_E_AGAIN);
    assert_false(weft_notification_ready(&n[0]));
    assert_false(weft_notification_ready(&n[1]));
    __atomic_store_n(&open_gate, 1, __ATOMIC_SEQ_CST);
    while (weft_notification_post(&n[1], 0, 0)) sched_yield();
    until(&told, 2);
    end();
}

static void run_in_place(const struct weft_arrived *a) {
    if (a->from == &n[0])
        stay(a);
    else
        count(a);
}

static void run__is_by_the_poster(void **state) {
    make(1, 0, WEFT_POOL_RUN, run_in_place);
    weft_notification_post(&n[0], 0, 0);
    until(&told, 1);
    weft_notification_post(&n[1], 0, 0);
    assert_int_equal(now(&told), 2);
    assert_true(pthread_equal(__atomic_load_n(&ran_on, __ATOMIC_RELAXED), pthread_self()));
    __atomic_store_n(&open_gate, 1, __ATOMIC_SEQ_CST);
    end();
}

static void grow__makes_threads_up_to_the_limit(void **state) {
    make(1, 3, WEFT_POOL_GROW, stay);
    assert_int_equal(now(&started), 1);
    for (uint32_t i = 0; i < 3; i++) {
        weft_notification_post(&n[i], 0, 0);
        until(&told, i + 1);
        assert_int_equal(now(&started), i + 1);
    }
    weft_notification_post(&n[3], 0, 0);
    for (int i = 0; i < 10; i++) sched_yield();
    assert_int_equal(now(&started), 3);
    assert_int_equal(now(&told), 3);
    __atomic_store_n(&open_gate, 1, __ATOMIC_SEQ_CST);
    until(&told, 4);
    end();
}

static void fini__waits_for_the_handler(void **state) {
    make(1, 0, WEFT_POOL_QUEUE, count);
    for (uint32_t i = 1; i < 200; i++) {
        weft_notification_post(&n[0], 0, 0);
        weft_notification_fini(&n[0]); /* has run, or never will */
        uint32_t then = now(&told);
        sched_yield();
        assert_int_equal(now(&told), then);
        weft_notification_init(&n[0], to, count, NULL);
    }
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(post__reaches_a_thread_of_the_pool),
        cmocka_unit_test(queue__waits_for_a_thread),
        cmocka_unit_test(refuse__counts_nothing),
        cmocka_unit_test(run__is_by_the_poster),
        cmocka_unit_test(grow__makes_threads_up_to_the_limit),
        cmocka_unit_test(fini__waits_for_the_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
