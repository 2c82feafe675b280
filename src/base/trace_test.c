/* Tests of the trace: what is dumped, in which order, while others write, and on a crash. */
#include "base/trace.h"
#include "base/test.h"
#include "base/thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define RING_EVENTS 1024

static char text[4 << 20];

static const char *dump(void) {
    int fd = memfd_create("dump", 0);
    assert_true(fd >= 0);
    weft_trace_dump(fd);
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    close(fd);
    return text;
}

static int count(const char *what) {
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++) n++;
    return n;
}

static void trace_dump__shows_name_and_arguments(void **state) {
    weft_trace(WEFT_TRACE_PACKET_LOST, 0xab12, 0, UINT64_MAX, 7);
    assert_non_null(strstr(dump(), " PACKET_LOST conn ab12 number 0 age_ns 18446744073709551615 7\n"));
}

static void *trace_one(void *arg) {
    weft_trace(WEFT_TRACE_PEER_UP, (uint64_t)(uintptr_t)arg, 0, 0, 0);
    return NULL;
}

static void trace_dump__shows_ended_threads_in_the_order_of_time(void **state) {
    pthread_t thread;
    for (uintptr_t i = 0xc1; i <= 0xc3; i++) {
        pthread_create(&thread, NULL, trace_one, (void *)i);
        pthread_join(thread, NULL);
        weft_trace(WEFT_TRACE_PEER_DOWN, i, 0, 0, 0);
    }
    const char *at = dump();
    for (int i = 1; i <= 3; i++) {
        char up[32], down[32];
        snprintf(up, sizeof up, "PEER_UP conn c%d", i);
        snprintf(down, sizeof down, "PEER_DOWN conn c%d", i);
        at = strstr(at, up);
        assert_non_null(at);
        at = strstr(at, down);
        assert_non_null(at);
    }
}

static void trace__keeps_the_last_events(void **state) {
    for (uint64_t i = 0; i < 3 * RING_EVENTS; i++) weft_trace(WEFT_TRACE_CL_EVENT, 0xe, i, 0, 0);
    dump();
    assert_in_range(count("CL_EVENT event e "), RING_EVENTS - 1, RING_EVENTS);
    assert_null(strstr(text, "CL_EVENT event e status 5 "));
    assert_non_null(strstr(text, "CL_EVENT event e status 3071 "));
}

static atomic_bool stop;

static void *trace_until_stopped(void *arg) {
    for (uint64_t i = 0; !atomic_load(&stop); i++) weft_trace(WEFT_TRACE_PACKET_IN, i, i, i, i);
    return NULL;
}

/* Each event has four equal arguments; a dump that mixes two of them shows it. */
static void trace_dump__is_never_torn(void **state) {
    pthread_t threads[2];
    int seen = 0;
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, trace_until_stopped, NULL);
    for (int i = 0; i < 150 || seen == 0; i++) {
        dump();
        for (char *p = text; (p = strstr(p, "PACKET_IN conn ")); p++, seen++) {
            unsigned long a, b, c, d;
            assert_int_equal(sscanf(p, "PACKET_IN conn %lx number %lu len %lu type %lu", &a, &b, &c, &d), 4);
            assert_true(a == b && b == c && c == d);
        }
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

static void trace_dump__survives_a_closed_descriptor(void **state) { weft_trace_dump(-1); }

/* A child that crashes in the given way with its standard error in a file; its wait status. */
static int crash(void (*how)(void)) {
    int fd = memfd_create("stderr", 0), status;
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(fd, STDERR_FILENO);
        signal(SIGABRT, SIG_DFL); /* cmocka and sanitizers have handlers of their own */
        signal(SIGSEGV, SIG_DFL);
        weft_trace_on_crash();
        weft_trace(WEFT_TRACE_PEER_DOWN, 0xdead, 0, 0, 0);
        how();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n < 0 ? 0 : n] = '\0';
    close(fd);
    return status;
}

static void fault(void) {
    *(volatile int *)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1;
}
static void send_itself(void) { raise(SIGSEGV); }

static void *fault_there(void *arg) {
    fault();
    return NULL;
}
/* In a thread of the library's own, which takes no signals of the program's. */
static void fault_in_a_thread(void) {
    pthread_t t;
    if (!weft_thread_start(&t, fault_there, NULL)) pthread_join(t, NULL);
}

static void trace_on_crash__dumps_and_dies_of_the_signal(void **state) {
    void (*const ways[])(void) = {fault, abort, send_itself, fault_in_a_thread};
    const int signals[] = {SIGSEGV, SIGABRT, SIGSEGV, SIGSEGV};
    for (int i = 0; i < 4; i++) {
        int status = crash(ways[i]);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i]);
        assert_int_equal(count("PEER_DOWN conn dead"), 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trace_dump__shows_name_and_arguments),
        cmocka_unit_test(trace_dump__shows_ended_threads_in_the_order_of_time),
        cmocka_unit_test(trace__keeps_the_last_events),
        cmocka_unit_test(trace_dump__is_never_torn),
        cmocka_unit_test(trace_dump__survives_a_closed_descriptor),
        cmocka_unit_test(trace_on_crash__dumps_and_dies_of_the_signal),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
