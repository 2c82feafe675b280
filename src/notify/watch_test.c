/* Descriptors as sources, for the mechanisms that the kernel does not signal for. */
#include "base/test.h"
#include "notify/internal.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

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
    while (!branched) poll(NULL, 0, 1); /* thread sanitizer keeps signals back until a call that it knows */
    assert_int_equal(weft_notification_unwatch(&n, fd), 0);
    weft_notification_fini(&n);
    weft_notifier_destroy(to);
    close(fd);
}

/* The pool's only thread is busy, so the handler runs on the thread that watches. */
static atomic_int gate, held, ended = 1;
static int watched_fd;
static void end_itself(const struct weft_arrived *arrived) {
    if (arrived->from == &other) {
        held = 1;
        while (!gate) sched_yield();
    } else
        ended = weft_notification_unwatch(&n, watched_fd);
}

static void unwatch__by_a_handler_that_runs_in_place(void **state) {
    struct weft_notifier_config cfg;
    struct weft_notifier *to;
    watched_fd = eventfd(0, 0);
    weft_notifier_config_init(&cfg);
    cfg.mechanism = WEFT_THREAD_DISPATCH;
    cfg.policy = WEFT_POOL_RUN;
    assert_int_equal(weft_notifier_create(&to, &cfg), 0);
    assert_int_equal(weft_notification_init(&n, to, end_itself, NULL), 0);
    assert_int_equal(weft_notification_init(&other, to, end_itself, NULL), 0);
    assert_int_equal(weft_notification_watch(&n, watched_fd), 0);
    weft_notification_post(&other, 0, 0);
    while (!held) sched_yield();
    eventfd_write(watched_fd, 1);
    while (ended) sched_yield();
    gate = 1;
    weft_notification_fini(&other);
    weft_notification_fini(&n);
    weft_notifier_destroy(to);
    close(watched_fd);
}

/* The parent's thread is not the child's, and the parent is not told of what the child watches. */
static int watch_in_child(void) {
    int fd = eventfd(1, 0);
    alarm(20 * TEST_SLOWDOWN);
    if (fd < 0 || weft_notification_init(&other, NULL, NULL, NULL) || weft_notification_watch(&other, fd))
        return 1;
    return weft_notification_wait(&other, WEFT_FOREVER, &a) ? 2 : 0;
}

static void fork__the_child_can_watch(void **state) {
    int fd = eventfd(0, 0), status = 0;
    assert_int_equal(weft_notification_watch(&n, fd), 0);
    pid_t pid = fork();
    if (pid == 0) _exit(watch_in_child());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    eventfd_write(fd, 1);
    assert_int_equal(weft_notification_wait(&n, WEFT_FOREVER, &a), 0);
    assert_int_equal(weft_notification_unwatch(&n, fd), 0);
    close(fd);
}

/* The child makes a thread, of which the sanitizer knows nothing; it is told by its own exit. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "die_after_fork=0"; }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(watch__tells_each_time_that_something_comes, setup),
        cmocka_unit_test_setup(watch__any_number_of_descriptors, setup),
        cmocka_unit_test_setup(watch__refuses_what_cannot_be_watched, setup),
        cmocka_unit_test(unwatch__by_a_handler_that_runs_in_place),
        cmocka_unit_test_setup(fork__the_child_can_watch, setup),
        cmocka_unit_test(watch__for_a_branch_what_cannot_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
