/* WEFT_AUTO while it runs: the choice by chosen costs and loads, and a notifier that changes. */
#include "base/option.h"
#include "base/test.h"
#include "notify/internal.h"

#include <pthread.h>
#include <sched.h>

#define LONG_AGO WEFT_NS_PER_S

static const struct notify_costs here = {
    .branch_told = 10000, .branch_taken = 5000, .dispatch_told = 16000, .dispatch_taken = 11000};

static struct weft_notify_load computing(double rate, double busy) {
    return (struct weft_notify_load){.rate_per_s = rate, .busy = busy, .computes = 1, .has_handler = 1};
}

static void next__by_rate(void **state) {
    static const struct {
        double rate, busy;
        enum weft_mechanism from_branch, from_dispatch;
    } when[] = {{1e3, 0, WEFT_BRANCH, WEFT_THREAD_DISPATCH}, /* a gain, but of a fifteenth */
                {33e3, 0, WEFT_BRANCH, WEFT_THREAD_DISPATCH},
                {80e3, 0, WEFT_BRANCH, WEFT_THREAD_DISPATCH},
                {120e3, 0, WEFT_THREAD_DISPATCH, WEFT_THREAD_DISPATCH},
                {1e6, 0, WEFT_THREAD_DISPATCH, WEFT_THREAD_DISPATCH},
                {1e3, 1, WEFT_BRANCH, WEFT_BRANCH},
                {1e5, 1, WEFT_BRANCH, WEFT_BRANCH},
                {1e6, 1, WEFT_BRANCH, WEFT_BRANCH}};
    for (size_t i = 0; i < sizeof when / sizeof *when; i++) {
        struct weft_notify_load l = computing(when[i].rate, when[i].busy);
        assert_int_equal(adapt_next(&here, &l, WEFT_BRANCH, LONG_AGO), when[i].from_branch);
        assert_int_equal(adapt_next(&here, &l, WEFT_THREAD_DISPATCH, LONG_AGO), when[i].from_dispatch);
    }
}

/* The costs decide, not the mechanisms. */
static void next__by_costs(void **state) {
    struct notify_costs c = here;
    struct weft_notify_load l = computing(1e3, 0);
    c.branch_told = 40000; /* signals are slow */
    assert_int_equal(adapt_next(&c, &l, WEFT_BRANCH, LONG_AGO), WEFT_THREAD_DISPATCH);
    c = here;
    c.dispatch_told = 60000; /* CPUs sleep deeply */
    assert_int_equal(adapt_next(&c, &l, WEFT_THREAD_DISPATCH, LONG_AGO), WEFT_BRANCH);
    l = computing(1e5, 1);
    c = here;
    c.dispatch_told = c.dispatch_taken = 100;
    assert_int_equal(adapt_next(&c, &l, WEFT_BRANCH, LONG_AGO), WEFT_THREAD_DISPATCH);
}

static void next__long_handlers_and_threads_that_wait(void **state) {
    struct weft_notify_load l = computing(1e3, 0);
    l.handler_ns = 20000;
    assert_int_equal(adapt_next(&here, &l, WEFT_BRANCH, LONG_AGO), WEFT_THREAD_DISPATCH);
    l.busy = 1; /* it takes as much there */
    assert_int_equal(adapt_next(&here, &l, WEFT_BRANCH, LONG_AGO), WEFT_BRANCH);
    l = computing(1e3, 1);
    l.computes = 0;
    assert_int_equal(notify_choose(&here, &l), WEFT_THREAD_DISPATCH);
}

static void next__not_at_once_again(void **state) {
    struct weft_notify_load l = computing(1e6, 0);
    assert_int_equal(adapt_next(&here, &l, WEFT_BRANCH, 49 * WEFT_NS_PER_MS), WEFT_BRANCH);
    assert_int_equal(adapt_next(&here, &l, WEFT_BRANCH, 50 * WEFT_NS_PER_MS), WEFT_THREAD_DISPATCH);
}

/* -- one that runs -- */

static struct weft_notifier *to;
static struct weft_notification n;
static atomic_uint_fast64_t told;
static uint64_t posted;
static uint64_t handler_ns;

static void burn(uint64_t ns) {
    for (uint64_t until = weft_now_ns() + ns; weft_now_ns() < until;) weft_cpu_relax();
}

/* Of the CPU's time: what others take meanwhile does not count. */
static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * WEFT_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void on_arrival(const struct weft_arrived *a) {
    for (uint64_t until = cpu_ns() + handler_ns; cpu_ns() < until;) weft_cpu_relax();
    atomic_fetch_add(&told, a->count);
}

static void pin(void *ctx, unsigned index) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((int)(intptr_t)ctx, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

/* On one CPU, the thread and the pool: so there is none free for the latter, whatever else runs here. */
static int make(void **state) {
    struct weft_notifier_config cfg;
    weft_notifier_config_init(&cfg);
    cfg.on_thread = pin;
    cfg.ctx = (void *)(intptr_t)sched_getcpu();
    pin(cfg.ctx, 0);
    cfg.handlers = 1;
    cfg.load.computes = 1;
    cfg.load.busy = 1;
    atomic_store(&told, 0);
    posted = handler_ns = 0;
    return weft_notifier_create(&to, &cfg) || weft_notification_init(&n, to, on_arrival, NULL);
}

static int end(void **state) {
    weft_notification_fini(&n);
    weft_notifier_destroy(to);
    return 0;
}

/* Posts from this very thread, which computes or not in between, until it is `wanted`. */
static void post_until(enum weft_mechanism wanted, bool compute) {
    for (uint64_t end_ns = weft_now_ns() + 20 * WEFT_NS_PER_S; weft_notifier_mechanism(to) != wanted;) {
        assert_true(weft_now_ns() < end_ns);
        weft_notification_post(&n, ++posted, 0);
        if (compute)
            burn(2 * WEFT_NS_PER_MS);
        else
            nanosleep(&(struct timespec){.tv_nsec = 2 * WEFT_NS_PER_MS}, NULL);
    }
}

static void notifier__changes_as_its_thread_does(void **state) {
    struct weft_notify_load l;
    assert_int_equal(weft_notifier_mechanism(to), WEFT_BRANCH);
    for (int i = 0; i < 2; i++) {
        post_until(WEFT_THREAD_DISPATCH, false);
        assert_int_equal(weft_notifier_load(to, &l), 0);
        assert_int_equal(l.computes, 0);
        assert_true(l.rate_per_s > 1 && l.rate_per_s < 1000);
        post_until(WEFT_BRANCH, true);
        assert_int_equal(weft_notifier_load(to, &l), 0);
        assert_int_equal(l.computes, 1);
        assert_true(l.busy > 0.5);
    }
    while (atomic_load(&told) < posted) sched_yield();
    assert_int_equal(atomic_load(&told), posted);
}

/* It waits, although handlers keep it busy half of the time. */
static void notifier__handlers_are_no_computation(void **state) {
    handler_ns = 3 * WEFT_NS_PER_MS;
    post_until(WEFT_THREAD_DISPATCH, false);
    while (atomic_load(&told) < posted) sched_yield();
}

static enum weft_mechanism other_rule(const struct weft_notify_load *l) {
    return mechanism_of(to) == WEFT_BRANCH ? WEFT_THREAD_DISPATCH : WEFT_BRANCH;
}

static void *post_many(void *arg) {
    for (int i = 0; i < 300000; i++) weft_notification_post(&n, 1, 0);
    return NULL;
}

/* A rule that changes at each look, while two threads post as fast as they can. */
static void notifier__loses_nothing_when_it_changes(void **state) {
    pthread_t poster[2];
    unsigned branches = 0, changes = 0;
    weft_notify_set_chooser(other_rule);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&poster[i], NULL, post_many, NULL), 0);
    for (int i = 0; i < 2; i++) pthread_join(poster[i], NULL);
    posted = 600000;
    for (enum weft_mechanism was = WEFT_BRANCH; changes < 4 || atomic_load(&told) < posted;) {
        enum weft_mechanism now = weft_notifier_mechanism(to);
        changes += now != was;
        branches += now == WEFT_BRANCH;
        was = now;
        if (changes < 4) {
            weft_notification_post(&n, 1, 0);
            posted++;
            burn(WEFT_NS_PER_MS);
        } else
            sched_yield();
    }
    weft_notify_set_chooser(NULL);
    assert_true(branches > 0);
    assert_int_equal(atomic_load(&told), posted);
}

static void notifier__sees_how_long_handlers_take(void **state) {
    struct weft_notify_load l = {0};
    handler_ns = 300000;
    for (uint64_t end_ns = weft_now_ns() + 20 * WEFT_NS_PER_S; l.handler_ns < 200000;) {
        assert_true(weft_now_ns() < end_ns);
        weft_notification_post(&n, ++posted, 0);
        burn(WEFT_NS_PER_MS);
        assert_int_equal(weft_notifier_load(to, &l), 0);
    }
    while (atomic_load(&told) < posted) sched_yield();
}

static void notifier__that_refuses_is_chosen_once(void **state) {
    struct weft_notifier_config cfg;
    struct weft_notifier *once;
    struct weft_notify_load l;
    weft_notifier_config_init(&cfg);
    cfg.handlers = 1;
    cfg.policy = WEFT_POOL_REFUSE;
    assert_int_equal(weft_notifier_create(&once, &cfg), 0);
    assert_int_equal(weft_notifier_mechanism(once), WEFT_THREAD_DISPATCH);
    assert_int_equal(weft_notifier_load(once, &l), WEFT_E_INVAL);
    weft_notifier_destroy(once);
}

static void explain__says_what_and_why(void **state) {
    char text[400];
    struct weft_notify_load l = computing(1e6, 1);
    size_t len = weft_notify_explain(&l, text, sizeof text);
    assert_int_equal(len, strlen(text));
    assert_ptr_equal(
        strstr(text,
               "branch: 10.0 us until it is told, 100.0 us from the computation; thread dispatch: 16.0"),
        text);
    assert_non_null(strstr(text, "1000000 arrivals a second"));
    assert_int_equal(weft_notify_explain(&l, NULL, 0), len);
    l.has_handler = 0;
    l.event_loop = 1;
    weft_notify_explain(&l, text, sizeof text);
    assert_string_equal(text, "descriptor: no handlers, and the thread waits for descriptors");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next__by_rate),
        cmocka_unit_test(next__by_costs),
        cmocka_unit_test(next__long_handlers_and_threads_that_wait),
        cmocka_unit_test(next__not_at_once_again),
        cmocka_unit_test_setup_teardown(notifier__changes_as_its_thread_does, make, end),
        cmocka_unit_test_setup_teardown(notifier__handlers_are_no_computation, make, end),
        cmocka_unit_test_setup_teardown(notifier__loses_nothing_when_it_changes, make, end),
        cmocka_unit_test_setup_teardown(notifier__sees_how_long_handlers_take, make, end),
        cmocka_unit_test(notifier__that_refuses_is_chosen_once),
        cmocka_unit_test(explain__says_what_and_why)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
