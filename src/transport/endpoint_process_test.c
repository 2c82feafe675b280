/* The endpoint between processes: what happens when a peer's process is killed, stopped, started again, or
 * forks. Also an endpoint without a thread. */
#include "base/clock.h"
#include "base/error.h"
#include "base/path.h"
#include "transport/ep_fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child process with an endpoint that answers until it is killed. It opens it when it is told to, so that
 * all children can be made before this process has threads. */
struct child {
    pid_t pid;
    int go, told;
    struct fx fx;
};

static void tell(int fd, const void *p, size_t n) { assert_int_equal(write(fd, p, n), n); }

static void hear(int fd, void *p, size_t n) {
    for (size_t got = 0; got < n;) {
        ssize_t r = read(fd, (char *)p + got, n - got);
        assert_true(r > 0);
        got += (size_t)r;
    }
}

static void live(int go, int told, const char *adapters, uint16_t port) {
    static struct fx f;
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    hear(go, &byte, 1);
    fx_open_at(&f, adapters, true, port);
    tell(told, f.address, sizeof f.address);
    tell(told, &f.address_len, sizeof f.address_len);
    tell(told, f.dir, sizeof f.dir);
    for (;;) pause();
}

static void make_child(struct child *c, const char *adapters, uint16_t port) {
    int go[2], told[2];
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(told), 0);
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (c->pid == 0) {
        close(go[1]);
        live(go[0], told[1], adapters, port);
    }
    close(go[0]);
    close(told[1]);
    c->go = go[1];
    c->told = told[0];
}

static void start_child(struct child *c) {
    tell(c->go, "g", 1);
    hear(c->told, c->fx.address, sizeof c->fx.address);
    hear(c->told, &c->fx.address_len, sizeof c->fx.address_len);
    hear(c->told, c->fx.dir, sizeof c->fx.dir);
    close(c->go);
    close(c->told);
}

static void kill_child(struct child *c) {
    kill(c->pid, SIGKILL);
    assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
    assert_int_equal(weft_dir_remove(c->fx.dir), 0);
}

static void count_done(void *arg, int status) { ++*(atomic_int *)arg; }

static void killed(const char *adapters, bool waiting) {
    struct fx a;
    struct child child;
    atomic_int done = 0;
    make_child(&child, adapters, 0);
    start_child(&child);
    fx_open(&a, adapters, false);
    fx_connect(&a, &child.fx);
    fx_send(&a, a.peer, H_ECHO, 0, 0, 0, NULL, 0);
    fx_await(&a, &a.replies, 1);
    uint64_t start = weft_now_ns();
    kill_child(&child);
    if (waiting) {
        struct ep_send s = {
            .handler = H_COUNT, .data = "x", .data_bytes = 1, .on_done = count_done, .arg = &done};
        if (ep_send(a.peer, &s)) done++; /* known already */
        fx_await(&a, &a.downs, 1);
    } else
        fx_await_idle(&a.downs, 1);
    uint64_t took = weft_now_ns() - start;
    print_message("%s: the death was told after %.0f ms\n", adapters, (double)took / 1e6);
    assert_int_equal(a.down_status, WEFT_E_PEER_LOST);
    assert_int_equal(done, waiting ? 1 : 0);
    assert_true(took < (waiting ? 1 : 2) * WEFT_NS_PER_S);
    ep_disconnect(a.peer);
    fx_close(&a);
}
static void peer_killed__with_a_message_under_way_udp(void **state) { killed("udp", true); }
static void peer_killed__with_a_message_under_way_shm(void **state) { killed("shm", true); }
static void peer_killed__idle_udp(void **state) { killed("udp", false); }
static void peer_killed__idle_shm(void **state) { killed("shm", false); }

static void bulk_between_processes(const char *adapters) {
    struct fx a;
    struct child child;
    size_t len = 16 << 20;
    uint8_t *data = malloc(len);
    fx_fill(data, len, 4);
    make_child(&child, adapters, 0);
    start_child(&child);
    fx_open(&a, adapters, false);
    fx_connect(&a, &child.fx);
    fx_send(&a, a.peer, H_BULK_ECHO, 0, 0, 4, data, len);
    fx_await(&a, &a.bulk_done, 1);
    fx_await(&a, &a.sent, 1);
    assert_int_equal(a.bad_data, 0);
    ep_disconnect(a.peer);
    fx_close(&a);
    kill_child(&child);
    free(data);
}
static void processes__bulk_there_and_back_udp(void **state) { bulk_between_processes("udp"); }
static void processes__bulk_there_and_back_shm(void **state) { bulk_between_processes("shm"); }

/* A new process at the address of the old one: the old connection ends, a new one works. */
static void restart__same_port(void **state) {
    struct fx a;
    struct child child;
    uint16_t port = (uint16_t)(20000 + getpid() % 20000);
    struct child second;
    make_child(&child, "udp", port);
    make_child(&second, "udp", port);
    start_child(&child);
    fx_open(&a, "udp", false);
    fx_connect(&a, &child.fx);
    fx_send(&a, a.peer, H_ECHO, 0, 0, 0, NULL, 0);
    fx_await(&a, &a.replies, 1);
    kill_child(&child);
    start_child(&second);
    fx_send(&a, a.peer, H_COUNT, 0, 1, 0, NULL,
            0); /* to the old one: the new one says that it does not know it */
    fx_await(&a, &a.downs, 1);
    assert_int_equal(a.down_status, WEFT_E_PEER_LOST);
    ep_disconnect(a.peer);
    fx_connect(&a, &second.fx);
    fx_send(&a, a.peer, H_ECHO, 0, 0, 0, NULL, 0);
    fx_await(&a, &a.replies, 2);
    fx_close(&a);
    kill_child(&second);
}

static bool never(void *arg) { return false; }

/* A peer that is stopped while nothing is owed is slow, not dead, for longer than if something were. */
static void stopped_peer__is_not_lost(const char *adapters) {
    struct fx a;
    struct child child;
    uint8_t byte;
    fx_fill(&byte, 1, 0);
    make_child(&child, adapters, 0);
    start_child(&child);
    fx_open(&a, adapters, false);
    fx_connect(&a, &child.fx);
    fx_send(&a, a.peer, H_ECHO, 0, 0, 0, &byte, 1);
    fx_await(&a, &a.replies, 1);
    fx_await(&a, &a.sent, 1); /* the acknowledgement too is here */
    kill(child.pid, SIGSTOP);
    ep_wait(a.ep, never, NULL, weft_now_ns() + 4 * WEFT_NS_PER_S); /* a PING after one, two more of silence */
    kill(child.pid, SIGCONT);
    fx_send(&a, a.peer, H_ECHO, 0, 1, 0, NULL, 0);
    fx_await(&a, &a.replies, 2);
    assert_int_equal(a.downs, 0);
    fx_close(&a);
    kill_child(&child);
}
static void peer_stopped__is_not_lost_udp(void **state) { stopped_peer__is_not_lost("udp"); }

/* What was under way towards a peer that is known to be lost ends at once, not when its silence is believed. */
static void ep_abort__ends_what_is_under_way(void **state) {
    enum { LEN = 8 << 20 };
    struct child child;
    struct fx a;
    uint8_t *data = calloc(1, LEN);
    make_child(&child, "udp", 0);
    start_child(&child);
    fx_open(&a, "udp", false);
    fx_connect(&a, &child.fx);
    fx_send(&a, a.peer, H_ECHO, 0, 0, 0, NULL, 0);
    fx_await(&a, &a.replies, 1);
    kill(child.pid, SIGSTOP);
    fx_send(&a, a.peer, H_BULK, 0, 1, 0, data, LEN);
    uint64_t start = weft_now_ns();
    ep_abort(a.peer);
    fx_await(&a, &a.send_failed, 1);
    assert_true(weft_now_ns() - start < WEFT_NS_PER_S); /* silence is believed after two */
    assert_int_equal(a.sent, 0);
    fx_close(&a);
    kill_child(&child);
    free(data);
}

static void forked_child__is_told_that_it_is_closed(void **state) {
    struct fx a, b;
    fx_open(&b, "udp", true);
    fx_open(&a, "udp", false);
    fx_connect(&a, &b);
    pid_t pid = fork();
    if (pid == 0) {
        struct ep_send s = {.handler = H_COUNT};
        size_t len = sizeof a.address;
        bool ok = ep_send(a.peer, &s) == WEFT_E_CLOSED && ep_progress(a.ep) == 0 && !ep_peer_is_up(a.peer) &&
                  ep_address(a.ep, a.address, &len) == WEFT_E_CLOSED &&
                  ep_wait(a.ep, never, NULL, 0) == WEFT_E_CLOSED;
        ep_disconnect(a.peer);
        ep_close(a.ep, 0);
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fx_send(&a, a.peer, H_ECHO, 0, 0, 0, NULL, 0); /* and its parent has not noticed */
    fx_await(&a, &a.replies, 1);
    fx_close(&a);
    fx_close(&b);
}

/* -- without a thread -- */

static void count_reply(void *ctx, struct ep_peer *peer, const struct ep_msg *m, struct ep_sink *sink) {
    ++*(int *)ctx;
}

static void no_thread__sleeps_on_its_descriptor(void **state) {
    struct fx b;
    struct ep *ep;
    struct ep_peer *peer;
    int replies = 0;
    fx_open(&b, "udp", true);
    struct ep_config cfg = {.adapters = "udp", .run_dir = b.dir, .no_thread = true};
    cfg.handlers[H_REPLY] = (struct ep_handler){count_reply, &replies};
    assert_int_equal(ep_open(&ep, &cfg), 0);
    assert_int_equal(ep_connect(ep, b.address, b.address_len, NULL, &peer), 0);
    struct fx_head h = {0, 0};
    uint64_t give_up = weft_now_ns() + 10 * WEFT_NS_PER_S;
    for (int i = 0; i < 20; i++) {
        h.sequence = (uint64_t)i;
        struct ep_send s = {.handler = H_ECHO, .header = &h, .header_bytes = sizeof h};
        assert_int_equal(ep_send(peer, &s), 0);
        while (replies <= i && weft_now_ns() < give_up) {
            struct pollfd p = {.fd = ep_fd(ep), .events = POLLIN};
            if (ep_progress(ep) == 0 && ep_prepare_sleep(ep)) poll(&p, 1, ep_timeout_ms(ep));
        }
    }
    assert_int_equal(replies, 20);
    ep_close(ep, 100);
    fx_close(&b);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processes__bulk_there_and_back_udp),
        cmocka_unit_test(processes__bulk_there_and_back_shm),
        cmocka_unit_test(peer_killed__with_a_message_under_way_udp),
        cmocka_unit_test(peer_killed__with_a_message_under_way_shm),
        cmocka_unit_test(peer_killed__idle_udp),
        cmocka_unit_test(peer_killed__idle_shm),
        cmocka_unit_test(restart__same_port),
        cmocka_unit_test(peer_stopped__is_not_lost_udp),
        cmocka_unit_test(ep_abort__ends_what_is_under_way),
        cmocka_unit_test(forked_child__is_told_that_it_is_closed),
        cmocka_unit_test(no_thread__sleeps_on_its_descriptor),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
