/* Lock release on one notification. */
#include "base/test.h"
#include "notify/internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static struct weft_notification n;
static struct weft_arrived a;

static int setup(void **state) { return weft_notification_init(&n, NULL, NULL, &a); }

static void test__takes_all_arrivals_once(void **state) {
    assert_int_equal(weft_notification_test(&n, &a), 0);
    assert_false(weft_notification_ready(&n));
    for (uint64_t i = 1; i <= 5; i++) assert_int_equal(weft_notification_post(&n, i * 10, 0), 0);
    assert_true(weft_notification_ready(&n));
    assert_int_equal(weft_notification_test(&n, &a), 1);
    assert_int_equal(a.count, 5);
    assert_int_equal(a.value, 50);
    assert_int_equal(a.status, 0);
    assert_ptr_equal(a.from, &n);
    assert_ptr_equal(a.ctx, &a);
    assert_int_equal(weft_notification_test(&n, &a), 0);
}

static void test__tells_the_first_error(void **state) {
    weft_notification_post(&n, 0, 0);
    weft_notification_done(&n, WEFT_E_CANCELED);
    weft_notification_done(&n, WEFT_E_IO);
    assert_int_equal(weft_notification_test(&n, &a), 1);
    assert_int_equal(a.count, 3);
    assert_int_equal(a.status, WEFT_E_CANCELED);
    weft_notification_post(&n, 0, 0);
    assert_int_equal(weft_notification_test(&n, &a), 1);
    assert_int_equal(a.status, 0);
}

static void test__counts_on_when_the_count_wraps(void **state) {
    n.word = (uint64_t)UINT32_MAX << 32;
    n.taken = UINT32_MAX;
    weft_notification_post(&n, 1, 0);
    weft_notification_post(&n, 2, 0);
    assert_int_equal(weft_notification_test(&n, &a), 1);
    assert_int_equal(a.count, 2);
}

static void wait__times_out(void **state) {
    static const uint64_t spins[] = {0, WEFT_SPIN_ALWAYS, WEFT_SPIN_AUTO};
    for (int i = 0; i < 3; i++) {
        weft_notification_set_spin(&n, spins[i]);
        assert_int_equal(weft_notification_wait(&n, WEFT_NS_PER_MS, &a), WEFT_E_TIMEDOUT);
        assert_int_equal((uint32_t)n.word, 0); /* nobody is left as a sleeper */
    }
    weft_notification_post(&n, 7, 0);
    assert_int_equal(weft_notification_wait(&n, 0, &a), 0);
    assert_int_equal(a.value, 7);
}

static atomic_uint over; /* waits that have returned */

static void *wait_once(void *out) {
    struct weft_arrived got;
    *(int *)out = weft_notification_wait(&n, WEFT_FOREVER, &got);
    atomic_fetch_add(&over, 1);
    return NULL;
}

/* The word tells who sleeps: so that somebody does can be waited for. */
static void until_sleepers(unsigned count) {
    while ((uint32_t)__atomic_load_n(&n.word, __ATOMIC_SEQ_CST) < WORD_SLEEPER * count) sched_yield();
}

static void wait__sleeps_and_is_woken(void **state) {
    pthread_t t;
    int rc = 1;
    weft_notification_set_spin(&n, 0);
    pthread_create(&t, NULL, wait_once, &rc);
    until_sleepers(1);
    weft_notification_post(&n, 1, 0);
    pthread_join(t, NULL);
    assert_int_equal(rc, 0);
}

static void wait__of_several_gets_one_each(void **state) {
    enum { THREADS = 4 };
    pthread_t t[THREADS];
    int rc[THREADS];
    weft_notification_set_spin(&n, 0);
    atomic_store(&over, 0);
    for (int i = 0; i < THREADS; i++) pthread_create(&t[i], NULL, wait_once, &rc[i]);
    for (unsigned left = THREADS; left; left--) {
        until_sleepers(left);
        weft_notification_post(&n, 1, 0);
        /* Before the next one, which the same wait would take, too, if it were slow. */
        while (atomic_load(&over) <= THREADS - left) sched_yield();
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(rc[i], 0);
    }
}

/* Who spins is not woken: the word then says that nobody sleeps, and that is all that a post looks at. */
static void post__makes_no_call_while_the_waiter_spins(void **state) {
    pthread_t t;
    int rc = 1;
    weft_notification_set_spin(&n, WEFT_SPIN_ALWAYS);
    pthread_create(&t, NULL, wait_once, &rc);
    for (int i = 0; i < 20; i++) {
        assert_int_equal((uint32_t)__atomic_load_n(&n.word, __ATOMIC_SEQ_CST), 0);
        sched_yield();
    }
    weft_notification_post(&n, 1, 0);
    pthread_join(t, NULL);
    assert_int_equal(rc, 0);
}

static void on_arrival(const struct weft_arrived *arrived) {}

#define PACED 20000

/* Quickly for a while, so that waiters spin, then slowly, and so on. */
static void *post_in_spurts(void *arg) {
    for (uint64_t i = 1; i <= PACED; i++) {
        weft_notification_post(&n, i, 0);
        for (uint64_t until = weft_now_ns() + (i / 1000 % 2 ? 1000 : 30000); weft_now_ns() < until;)
            weft_cpu_relax();
    }
    return NULL;
}

static atomic_uint paced_told;
static void *wait_paced(void *arg) {
    struct weft_arrived own;
    while (atomic_load(&paced_told) < PACED)
        if (weft_notification_wait(&n, 5 * WEFT_NS_PER_MS, &own) == 0)
            atomic_fetch_add(&paced_told, own.count);
    return NULL;
}

/* Two waiters share what has been seen of the rate. */
static void wait__by_the_rate(void **state) {
    pthread_t poster, waiter[2];
    atomic_store(&paced_told, 0);
    weft_notification_set_spin(&n, WEFT_SPIN_AUTO);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&waiter[i], NULL, wait_paced, NULL), 0);
    assert_int_equal(pthread_create(&poster, NULL, post_in_spurts, NULL), 0);
    pthread_join(poster, NULL);
    for (int i = 0; i < 2; i++) pthread_join(waiter[i], NULL);
    assert_int_equal(atomic_load(&paced_told), PACED);
    assert_int_equal((uint32_t)n.word, 0);
    assert_true(n.pace.gap_ns > 0);
}

static void init__refuses_what_does_not_hold(void **state) {
    char room[2 * sizeof n];
    uintptr_t odd = ((uintptr_t)room + 63) / 64 * 64 + 8;
    assert_int_equal(weft_notification_init(NULL, NULL, NULL, NULL), WEFT_E_INVAL);
    assert_int_equal(weft_notification_init((struct weft_notification *)odd, NULL, NULL, NULL), WEFT_E_INVAL);
    assert_int_equal(weft_notification_init(&n, NULL, on_arrival, NULL), WEFT_E_INVAL);
}

static void machine__says_what_there_is(void **state) {
    struct weft_notify_machine m;
    weft_notify_query(&m);
    assert_true(!strcmp(m.user_wait, "none") || !strcmp(m.user_wait, "umwait") ||
                !strcmp(m.user_wait, "mwaitx"));
    assert_true(m.spin_ns <= 50000);
    assert_false(m.user_interrupts_used);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test__takes_all_arrivals_once, setup),
        cmocka_unit_test_setup(test__tells_the_first_error, setup),
        cmocka_unit_test_setup(test__counts_on_when_the_count_wraps, setup),
        cmocka_unit_test_setup(wait__times_out, setup),
        cmocka_unit_test_setup(wait__by_the_rate, setup),
        cmocka_unit_test_setup(wait__sleeps_and_is_woken, setup),
        cmocka_unit_test_setup(wait__of_several_gets_one_each, setup),
        cmocka_unit_test_setup(post__makes_no_call_while_the_waiter_spins, setup),
        cmocka_unit_test(init__refuses_what_does_not_hold),
        cmocka_unit_test(machine__says_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
