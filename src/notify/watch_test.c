/* Descriptors as sources, for the mechanisms that the kernel does not signal for. */
#include "base/test.h"
#include "notify/internal.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>

static struct weft_notification n, other;
static struct weft_arrived a;

static int setup(void **state) {
    int rc = weft_notification_init(&n, NULL, NULL, NULL);
    return rc ? rc : weft_notification_init(&other, NULL, NULL, NULL);
}

static void watch__tells_each_time_that_something_comes(void **state) {
    int pipes[2];
    char c;
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(weft_notification_watch(&n, pipes[0]), 0);
    assert_int_equal(weft_notification_watch(&n, pipes[0]), WEFT_E_EXIST);
    assert_int_equal(weft_notification_watch(&other, pipes[0]), WEFT_E_EXIST);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(write(pipes[1], "x", 1), 1);
        assert_int_equal(weft_notification_wait(&n, WEFT_FOREVER, &a), 0);
        assert_int_equal(read(pipes[0], &c, 1), 1);
    }
    close(pipes[1]);
    assert_int_equal(weft_notification_wait(&n, WEFT_FOREVER, &a), 0); /* hung up */
    assert_int_equal(weft_notification_unwatch(&other, pipes[0]), WEFT_E_NOENT);
    assert_int_equal(weft_notification_unwatch(&n, pipes[0]), 0);
    assert_int_equal(weft_notification_unwatch(&n, pipes[0]), WEFT_E_NOENT);
    close(pipes[0]);
}

static void watch__any_number_of_descriptors(void **state) {
    int first = eventfd(1, 0), second = eventfd(0, 0);
    assert_int_equal(weft_notification_watch(&n, first), 0);
    assert_int_equal(weft_notification_watch(&n, second), 0);
    assert_int_equal(weft_notification_wait(&n, WEFT_FOREVER, &a), 0); /* was there before */
    eventfd_write(second, 1);
    assert_int_equal(weft_notification_wait(&n, WEFT_FOREVER, &a), 0);
    assert_int_equal(weft_notification_unwatch(&n, second), 0);
    eventfd_write(second, 1);
    eventfd_write(first, 1);
    assert_int_equal(weft_notification_wait(&n, WEFT_FOREVER, &a), 0);
    assert_int_equal(a.count, 1);
    assert_int_equal(weft_notification_unwatch(&n, first), 0);
    close(first);
    close(second);
}

static void watch__refuses_what_cannot_be_watched(void **state) {
    int file = open("/proc/self/exe", O_RDONLY);
    assert_int_equal(weft_notification_watch(&n, -1), WEFT_E_INVAL);
    assert_int_equal(weft_notification_watch(&n, file), WEFT_E_NOSUP);
    close(file);
}

/* An eventfd cannot signal: a branch has it watched by the thread. */
static volatile int branched;
static void on_arrival(const struct weft_arrived *arrived) { branched = 1; }

static void watch__for_a_branch_what_cannot_signal(void **state) {
    struct weft_notifier_config cfg;
    struct weft_notifier *to;
    int fd = eventfd(0, 0);
    weft_notifier_config_init(&cfg);
    cfg.mechanism = WEFT_BRANCH;
    assert_int_equal(weft_notifier_create(&to, &cfg), 0);
    assert_int_equal(weft_notification_init(&n, to, on_arrival, NULL), 0);
    assert_int_equal(weft_notification_watch(&n, fd), 0);
    eventfd_write(fd, 1);
    while (!branched) sched_yield();
    assert_int_equal(weft_notification_unwatch(&n, fd), 0);
    weft_notification_fini(&n);
    weft_notifier_destroy(to);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(watch__tells_each_time_that_something_comes, setup),
        cmocka_unit_test_setup(watch__any_number_of_descriptors, setup),
        cmocka_unit_test_setup(watch__refuses_what_cannot_be_watched, setup),
        cmocka_unit_test(watch__for_a_branch_what_cannot_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
