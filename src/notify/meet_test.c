/* Posts that meet what receives them, at every instruction of either (base/steps.h). */
#include "base/steps.h"
#include "base/test.h"
#include "notify/internal.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>

#ifdef HAVE_STEPS

static struct weft_notifier *to;
static struct weft_notification n[3];
static struct weft_arrived a;
static uint32_t told;

static void make(const struct weft_notifier_config *cfg, void (*fn)(const struct weft_arrived *arrived)) {
    to = NULL;
    told = 0;
    if (cfg) assert_int_equal(weft_notifier_create(&to, cfg), 0);
    for (int i = 0; i < 3; i++) assert_int_equal(weft_notification_init(&n[i], to, fn, NULL), 0);
}

static void end(void) {
    for (int i = 0; i < 3; i++) weft_notification_fini(&n[i]);
    weft_notifier_destroy(to);
}

static void post_0(void) { weft_notification_post(&n[0], 0, 0); }
static void post_1_2(void) {
    weft_notification_post(&n[1], 0, 0);
    weft_notification_post(&n[2], 0, 0);
}
static void take(void) { told += weft_notifier_take(to, &a) ? a.count : 0; }
static void test(void) { told += weft_notification_test(&n[0], &a) ? a.count : 0; }

/* What there is before, the two, and how many arrivals there must have been in the end. */
struct meeting {
    uint32_t before;
    void (*one)(void), (*other)(void);
    uint32_t all;
};

static bool readable(void) {
    struct pollfd p = {.fd = to->fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

/* By one look after each that the descriptor is readable, as an event loop may do it. */
static void take_rest(enum weft_mechanism m) {
    if (m == WEFT_DESCRIPTOR) {
        for (int i = 0; i < 10 && readable(); i++) take();
        assert_false(readable()); /* it becomes silent */
    } else if (to) {
        while (weft_notifier_take(to, &a)) told += a.count;
    } else {
        test();
    }
}

static bool meet(const struct meeting *m, enum weft_mechanism mechanism) {
    struct weft_notifier_config cfg;
    weft_notifier_config_init(&cfg);
    cfg.mechanism = mechanism;
    make(mechanism == WEFT_AUTO ? NULL : &cfg, NULL);
    for (uint32_t i = 0; i < m->before; i++) post_0();
    steps_start(m->other);
    m->one();
    bool met = steps_stop();
    if (!met) m->other();
    take_rest(mechanism);
    assert_int_equal(told, m->all);
    end();
    return met;
}

static void meet_everywhere(const struct meeting *m, enum weft_mechanism mechanism) {
    for (steps_at = 1; meet(m, mechanism); steps_at += STEPS_STRIDE) continue;
    assert_true(steps_at > 10); /* it has been stepped */
}

static void notifier__post_meets_take(void **state) {
    static const enum weft_mechanism both[] = {WEFT_LOCK_RELEASE, WEFT_DESCRIPTOR};
    static const struct meeting meetings[] = {
        {0, post_0, take, 1}, {1, post_0, take, 2}, {1, take, post_0, 2}, {1, take, post_1_2, 3}};
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < sizeof meetings / sizeof *meetings; k++)
            meet_everywhere(&meetings[k], both[i]);
}

/* It has been taken once before: its descriptor is rung, and what it held is gone. */
static void take_again(void) {
    take();
    take();
}

static void notifier__post_meets_the_last_take(void **state) {
    static const struct meeting m = {1, take_again, post_1_2, 3};
    meet_everywhere(&m, WEFT_LOCK_RELEASE);
    meet_everywhere(&m, WEFT_DESCRIPTOR);
}

static void notifier__post_meets_post(void **state) {
    static const struct meeting same = {0, post_0, post_0, 2}, others = {0, post_0, post_1_2, 3};
    meet_everywhere(&same, WEFT_LOCK_RELEASE);
    meet_everywhere(&others, WEFT_LOCK_RELEASE);
    meet_everywhere(&others, WEFT_DESCRIPTOR);
}

static void notification__test_meets_test_and_post(void **state) {
    static const struct meeting tests = {2, test, test, 2}, post = {1, test, post_0, 2},
                                posted = {1, post_0, test, 2};
    meet_everywhere(&tests, WEFT_AUTO);
    meet_everywhere(&post, WEFT_AUTO);
    meet_everywhere(&posted, WEFT_AUTO);
}

/* -- a thread of a pool that is about to park -- */

static void count(const struct weft_arrived *arrived) {
    __atomic_fetch_add(&told, arrived->count, __ATOMIC_SEQ_CST);
}

static void count_and_step(const struct weft_arrived *arrived) {
    count(arrived);
    if (arrived->from == &n[0]) steps_go();
}

static void post_1(void) { weft_notification_post(&n[1], 0, 0); }

/* From the end of its handler until it falls asleep; false: this was the last instruction before that. */
static bool meet_parking(void) {
    struct weft_notifier_config cfg;
    weft_notifier_config_init(&cfg);
    cfg.mechanism = WEFT_THREAD_DISPATCH;
    cfg.spin_ns = 0;
    make(&cfg, count_and_step);
    steps_other = post_1;
    steps = 0;
    post_0();
    uint64_t end_ns = weft_now_ns() + 20 * WEFT_NS_PER_S * TEST_SLOWDOWN;
    while (__atomic_load_n(&told, __ATOMIC_SEQ_CST) < 2 && weft_now_ns() < end_ns) sched_yield();
    assert_int_equal(__atomic_load_n(&told, __ATOMIC_SEQ_CST), 2);
    end();
    return !steps_asleep;
}

static void pool__post_meets_a_thread_that_parks(void **state) {
    for (steps_at = 1; meet_parking(); steps_at += STEPS_STRIDE) continue;
    assert_true(steps_at > 10);
}

/* -- a thread that masks and unmasks, and one that posts to it -- */

static uint32_t turn; /* of the poster */
static bool inside, in_masked;
static void *poster(void *arg) {
    for (;;) {
        uint32_t now;
        while (!(now = __atomic_load_n(&turn, __ATOMIC_SEQ_CST))) sched_yield();
        if (now == 1) post_1();
        __atomic_store_n(&turn, 0, __ATOMIC_SEQ_CST);
        if (now == 2) return arg;
    }
}

static void take_turn(uint32_t what) {
    __atomic_store_n(&turn, what, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST)) sched_yield();
}
static void other_thread_posts(void) { take_turn(1); }

static void on_branch(const struct weft_arrived *arrived) {
    if (inside) in_masked = true;
    count(arrived);
}

static void section(void) {
    weft_branch_mask();
    inside = true;
    weft_branch_mask();
    weft_branch_unmask();
    inside = false;
    weft_branch_unmask();
}

static bool meet_branch(void (*one)(void), uint32_t all) {
    struct weft_notifier_config cfg;
    weft_notifier_config_init(&cfg);
    cfg.mechanism = WEFT_BRANCH;
    make(&cfg, on_branch);
    steps_start(other_thread_posts);
    one();
    bool met = steps_stop();
    if (!met) other_thread_posts();
    assert_int_equal(told, all); /* at once */
    end();
    return met;
}

static void branch__post_meets_a_section_and_a_handler(void **state) {
    pthread_t t;
    pthread_create(&t, NULL, poster, NULL);
    for (steps_at = 1; meet_branch(section, 1); steps_at += STEPS_STRIDE) continue;
    assert_true(steps_at > 10);
    for (steps_at = 1; meet_branch(post_0, 2); steps_at += STEPS_STRIDE) continue;
    assert_true(steps_at > 10);
    assert_false(in_masked);
    take_turn(2);
    pthread_join(t, NULL);
}

int main(void) {
    steps_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notifier__post_meets_take),
        cmocka_unit_test(notifier__post_meets_the_last_take),
        cmocka_unit_test(notifier__post_meets_post),
        cmocka_unit_test(notification__test_meets_test_and_post),
        cmocka_unit_test(pool__post_meets_a_thread_that_parks),
        cmocka_unit_test(branch__post_meets_a_section_and_a_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else /* no trap flag, or somebody else handles signals */

static void nothing__to_be_stepped(void **state) { skip(); }

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing__to_be_stepped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
