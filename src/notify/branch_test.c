/* Asynchronous branches: at once, never inside of a masked section, coalesced. */
#include "base/test.h"
#include "notify/internal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static struct weft_notifier *to;
static struct weft_notification n, other;
static volatile sig_atomic_t runs, arrivals, urgent;
static volatile pid_t ran_on;

static void on_arrival(const struct weft_arrived *a) {
    runs++;
    arrivals += (int)a->count;
    ran_on = gettid();
    errno = EILSEQ;
}

static int setup(void **state) {
    struct weft_notifier_config cfg;
    weft_notifier_config_init(&cfg);
    cfg.mechanism = WEFT_BRANCH;
    runs = arrivals = 0;
    int rc = weft_notifier_create(&to, &cfg);
    return rc ? rc : weft_notification_init(&n, to, on_arrival, NULL);
}

static int teardown(void **state) {
    weft_notification_fini(&n);
    weft_notifier_destroy(to);
    return 0;
}

static void *post_three(void *arg) {
    for (int i = 0; i < 3; i++) weft_notification_post(arg, 0, 0);
    return NULL;
}

static void from_another_thread(void *(*fn)(void *arg), void *arg) {
    pthread_t t;
    pthread_create(&t, NULL, fn, arg);
    pthread_join(t, NULL);
}

static void post__branches_into_the_computing_thread(void **state) {
    pthread_t t;
    errno = 0;
    pthread_create(&t, NULL, post_three, &n);
    while (arrivals < 3) sched_yield();
    assert_int_equal(errno, 0);
    pthread_join(t, NULL);
    assert_int_equal(arrivals, 3);
    assert_int_equal(ran_on, gettid());
}

static void post__by_the_thread_itself_runs_at_once(void **state) {
    weft_notification_post(&n, 0, 0);
    assert_int_equal(runs, 1);
    weft_branch_mask();
    weft_notification_post(&n, 0, 0);
    assert_int_equal(runs, 1);
    weft_branch_unmask();
    assert_int_equal(runs, 2);
}

static void mask__holds_back_and_unmask_runs_once(void **state) {
    weft_branch_mask();
    weft_branch_mask();
    from_another_thread(post_three, &n);
    from_another_thread(post_three, &n);
    assert_int_equal(runs, 0);
    weft_branch_unmask();
    assert_int_equal(runs, 0); /* one is left */
    weft_branch_unmask();
    assert_int_equal(runs, 1);
    assert_int_equal(arrivals, 6);
}

/* The signal may come although the thread is masked: when it was sent before that. */
static void mask__holds_back_a_signal_that_was_under_way(void **state) {
    weft_branch_mask();
    from_another_thread(post_three, &n);
    raise(SIGURG);
    assert_int_equal(runs, 0);
    weft_branch_unmask();
    assert_int_equal(runs, 1);
}

static void unmask__alone_does_no_harm(void **state) {
    weft_branch_unmask();
    weft_branch_mask();
    from_another_thread(post_three, &n);
    assert_int_equal(runs, 0);
    weft_branch_unmask();
    assert_int_equal(runs, 1);
}

static void signal__without_a_post_runs_nothing(void **state) {
    raise(SIGURG);
    assert_int_equal(runs, 0);
}

/* A handler posts to another one of its thread: it runs after it, not inside. */
static void post_again(const struct weft_arrived *a) {
    weft_notification_post(&n, 0, 0);
    assert_int_equal(runs, 0);
}

static void handler__runs_after_the_one_that_posted(void **state) {
    assert_int_equal(weft_notification_init(&other, to, post_again, NULL), 0);
    weft_notification_post(&other, 0, 0);
    assert_int_equal(runs, 1);
    weft_notification_fini(&other);
}

/* One descriptor is drained by the handler, the other is not: each edge is told once. */
static void watch__the_kernel_signals_a_socket(void **state) {
    int pair[2];
    char c;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(weft_notification_watch(&n, pair[0]), 0);
    assert_int_equal(weft_notification_watch(&n, pair[0]), WEFT_E_EXIST);
    assert_int_equal(runs, 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    while (!runs) sched_yield();
    assert_int_equal(runs, 1);
    raise(SIGURG); /* nothing new */
    assert_int_equal(runs, 1);
    weft_branch_mask();
    assert_int_equal(write(pair[1], "y", 1), 1);
    for (int i = 0; i < 10; i++) sched_yield();
    assert_int_equal(runs, 1);
    weft_branch_unmask();
    assert_int_equal(runs, 2);
    assert_int_equal(weft_notification_unwatch(&n, pair[0]), 0);
    assert_int_equal(weft_notification_unwatch(&n, pair[0]), WEFT_E_NOENT);
    assert_int_equal(write(pair[1], "z", 1), 1);
    assert_int_equal(read(pair[0], &c, 1), 1);
    assert_int_equal(runs, 2);
    close(pair[0]);
    close(pair[1]);
}

static void watch__what_was_there_before(void **state) {
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], "x", 1), 1);
    assert_int_equal(weft_notification_watch(&n, pipes[0]), 0);
    assert_int_equal(runs, 1);
    assert_int_equal(weft_notification_unwatch(&n, pipes[0]), 0);
    close(pipes[0]);
    close(pipes[1]);
}

/* The thread that computes ends before its notifier's owner notices: posting to it is harmless. */
static void *make_and_leave(void *arg) {
    struct weft_notifier_config cfg;
    weft_notifier_config_init(&cfg);
    cfg.mechanism = WEFT_BRANCH;
    return weft_notifier_create(arg, &cfg) ? arg : NULL;
}

static void post__to_a_thread_that_has_ended(void **state) {
    struct weft_notifier *gone = NULL;
    from_another_thread(make_and_leave, &gone);
    assert_non_null(gone);
    assert_int_equal(weft_notification_init(&other, gone, on_arrival, NULL), 0);
    assert_int_equal(weft_notification_post(&other, 0, 0), 0);
    assert_int_equal(runs, 0);
    weft_notification_fini(&other);
    weft_notifier_destroy(gone);
}

static void on_urgent(int number) { urgent++; }

static void signal__the_handler_from_before_is_called_too(void **state) {
    int before = urgent;
    raise(SIGURG);
    assert_int_equal(urgent, before + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(post__branches_into_the_computing_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(post__by_the_thread_itself_runs_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(mask__holds_back_and_unmask_runs_once, setup, teardown),
        cmocka_unit_test_setup_teardown(mask__holds_back_a_signal_that_was_under_way, setup, teardown),
        cmocka_unit_test_setup_teardown(unmask__alone_does_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(signal__without_a_post_runs_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(handler__runs_after_the_one_that_posted, setup, teardown),
        cmocka_unit_test_setup_teardown(watch__the_kernel_signals_a_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(watch__what_was_there_before, setup, teardown),
        cmocka_unit_test_setup_teardown(post__to_a_thread_that_has_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(signal__the_handler_from_before_is_called_too, setup, teardown),
    };
    signal(SIGURG, on_urgent);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
