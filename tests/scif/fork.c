/* Endpoints across fork() (guide 3.5.1): parent and child have the same one. Windows across fork() are in
 * fork_memory.c. */
#include "areas.h"
#include "support.h"
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { KILLS = 30 };

static scif_epd_t shared;

static void ignore_signal(int sig) { (void)sig; }

static void echo_1(scif_epd_t epd) {
    char byte;
    receive_all(epd, &byte, 1);
    byte++;
    send_all(epd, &byte, 1);
}

static void asks(struct sciftest *t, int times) {
    scif_epd_t epd = connect_pair(t);
    for (int i = 0; i < times; i++) {
        char byte = (char)(2 * i);
        send_all(epd, &byte, 1);
        receive_all(epd, &byte, 1);
        CHECK_EQ(byte, 2 * i + 1);
    }
    meet(t);
    await_hangup(epd);
    meet(t);
}

static void asks_twice(struct sciftest *t) { asks(t, 2); }

static void echo_in_child(struct sciftest *t, struct child *c) {
    (void)t;
    echo_1(shared);
    child_say(c);
}

/* First the child, then the parent serves the same connection; after both it ends. */
static void child_then_parent(struct sciftest *t) {
    struct child c;
    shared = connect_pair(t);
    child_start(&c, t, echo_in_child);
    child_hear(&c);
    child_join(&c); /* its end closes nothing: the parent still has the endpoint */
    echo_1(shared);
    meet(t);
    OK(scif_close(shared));
    meet(t);
}

static void echo_after_close(struct sciftest *t, struct child *c) {
    (void)t;
    child_hear(c); /* the parent has closed */
    echo_1(shared);
    echo_1(shared);
    child_say(c);
    child_hear(c);
}

static void parent_closes(struct sciftest *t) {
    struct child c;
    shared = connect_pair(t);
    child_start(&c, t, echo_after_close);
    OK(scif_close(shared));
    child_say(&c);
    child_hear(&c);
    meet(t);
    child_say(&c); /* now the last one goes */
    child_join(&c);
    meet(t);
}

static void close_in_child(struct sciftest *t, struct child *c) {
    (void)t;
    (void)c;
    errno = 4711;
    OK(scif_close(shared));
    CHECK_EQ(errno, 4711);
    FAILS(scif_send(shared, "x", 1, 0), EBADF);
}

static void child_closes(struct sciftest *t) {
    struct child c;
    shared = connect_pair(t);
    child_start(&c, t, close_in_child);
    child_join(&c);
    echo_1(shared);
    echo_1(shared);
    meet(t);
    OK(scif_close(shared));
    meet(t);
}

static void killed_in_child(struct sciftest *t, struct child *c) {
    (void)t;
    echo_1(shared);
    child_say(c);
    raise(SIGKILL);
}

static void child_is_killed(struct sciftest *t) {
    struct child c;
    shared = connect_pair(t);
    child_start(&c, t, killed_in_child);
    child_hear(&c);
    child_join_signal(&c, SIGKILL);
    echo_1(shared);
    meet(t);
    OK(scif_close(shared));
    meet(t);
}

/* Nearly all the time it is about to receive, and has not gone to sleep yet. */
static void receive_until_killed(struct sciftest *t, struct child *c) {
    const struct itimerval often = {{0, 50}, {0, 50}};
    struct sigaction a = {.sa_handler = ignore_signal};
    char byte;
    (void)t;
    OK(sigaction(SIGALRM, &a, NULL));
    OK(setitimer(ITIMER_REAL, &often, NULL));
    for (int i = 0;; i++) {
        int n = scif_recv(shared, &byte, 1, SCIF_RECV_BLOCK);
        CHECK(n < 0 && errno == EINTR);
        if (i == 3) child_say(c);
    }
}

static void child_is_killed_in_receive(struct sciftest *t) {
    struct child c;
    char byte;
    shared = connect_pair(t);
    for (int i = 0; i < KILLS; i++) {
        child_start(&c, t, receive_until_killed);
        child_hear(&c);
        poll(NULL, 0, 1 + i % 3); /* at any moment of what it does */
        OK(kill(c.pid, SIGKILL));
        child_join_signal(&c, SIGKILL);
        meet(t);
        raw_poll_until(shared, POLLIN, POLLIN);
        CHECK_EQ(scif_recv(shared, &byte, 1, 0), 1);
        meet(t);
    }
}

static void sends_after_kills(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    for (int i = 0; i < KILLS; i++) {
        meet(t);
        send_all(epd, "x", 1);
        meet(t);
    }
}

static void grandchild(struct sciftest *t, struct child *c) {
    struct child g;
    child_start(&g, t, echo_in_child);
    OK(scif_close(shared));
    child_hear(&g);
    child_join(&g);
    child_say(c);
}

static void grandchild_serves(struct sciftest *t) {
    struct child c;
    shared = connect_pair(t);
    child_start(&c, t, grandchild);
    child_hear(&c);
    child_join(&c);
    echo_1(shared);
    meet(t);
    OK(scif_close(shared));
    meet(t);
}

/* The guide's own example: opened before, connected after the fork, in the child; the parent has the
 * connection, too. */
static void connect_in_child(struct sciftest *t, struct child *c) {
    CHECK(OK(scif_connect(shared, &t->peer)) > 0);
    child_say(c);
}

static void child_connects(struct sciftest *t) {
    struct child c;
    hear(t, &t->peer, sizeof t->peer);
    shared = (scif_epd_t)OK(scif_open());
    child_start(&c, t, connect_in_child);
    child_hear(&c);
    child_join(&c);
    FAILS(scif_connect(shared, &t->peer), EISCONN);
    echo_1(shared);
    meet(t);
}

static void asks_connected(struct sciftest *t) {
    char byte = 4;
    scif_epd_t l = listener(&t->self, 1);
    tell(t, &t->self, sizeof t->self);
    scif_epd_t epd = accept_one(l, NULL);
    send_all(epd, &byte, 1);
    receive_all(epd, &byte, 1);
    CHECK_EQ(byte, 5);
    meet(t);
}

/* The child's own endpoints work beside those that it has inherited. */
static void own_in_child(struct sciftest *t, struct child *c) {
    scif_epd_t e[2];
    char byte = 0;
    (void)t;
    connect_loop(e);
    send_all(e[0], "c", 1);
    receive_all(e[1], &byte, 1);
    CHECK_EQ(byte, 'c');
    (void)c;
}

static void child_opens_own(struct sciftest *t) {
    struct child c;
    shared = connect_pair(t);
    child_start(&c, t, own_in_child);
    child_join(&c);
    echo_1(shared);
    echo_1(shared);
    meet(t);
    OK(scif_close(shared));
    meet(t);
}

/* A stream that parent and child send by turns keeps the order of the turns. */
static void send_turns(struct sciftest *t, struct child *c) {
    (void)t;
    for (int i = 1; i < 200; i += 2) {
        char byte = (char)i;
        child_hear(c);
        send_all(shared, &byte, 1);
        child_say(c);
    }
}

static void by_turns(struct sciftest *t) {
    struct child c;
    shared = connect_pair(t);
    child_start(&c, t, send_turns);
    for (int i = 0; i < 200; i += 2) {
        char byte = (char)i;
        send_all(shared, &byte, 1);
        child_say(&c);
        child_hear(&c);
    }
    child_join(&c);
    meet(t);
}

static void receives_turns(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    for (int i = 0; i < 200; i++) {
        unsigned char byte;
        receive_all(epd, &byte, 1);
        CHECK_EQ(byte, i);
    }
    meet(t);
}

/* Both send at once: no byte is lost, none comes twice. */
enum { EACH = 20000 };

static void send_many(struct sciftest *t, struct child *c) {
    static char part[EACH];
    (void)t;
    for (int i = 0; i < EACH; i++) part[i] = c ? 'c' : 'p';
    for (int i = 0; i < EACH; i += 100) send_all(shared, part + i, 100);
}

static void at_once(struct sciftest *t) {
    struct child c;
    shared = connect_pair(t);
    child_start(&c, t, send_many);
    send_many(t, NULL);
    child_join(&c);
    meet(t);
}

static void counts_bytes(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    static char all[2 * EACH];
    int children = 0, parents = 0;
    receive_all(epd, all, sizeof all);
    for (int i = 0; i < 2 * EACH; i++) {
        children += all[i] == 'c';
        parents += all[i] == 'p';
    }
    CHECK_EQ(children, EACH);
    CHECK_EQ(parents, EACH);
    CHECK_EQ(OK(scif_recv(epd, all, 1, 0)), 0);
    meet(t);
}

static void poll_in_child(struct sciftest *t, struct child *c) {
    (void)t;
    child_say(c);
    raw_poll_until(shared, POLLIN, POLLIN);
    poll_until(shared, SCIF_POLLIN, SCIF_POLLIN);
    echo_1(shared);
    child_say(c);
}

static void child_polls(struct sciftest *t) {
    struct child c;
    shared = connect_pair(t);
    child_start(&c, t, poll_in_child);
    child_hear(&c);
    child_hear(&c);
    child_join(&c);
    echo_1(shared);
    meet(t);
    OK(scif_close(shared));
    meet(t);
}

/* A child that receives is killed, and nobody has waited for it yet: what comes is the parent's. */
static scif_epd_t echoing;

static void echo_for_ever(struct sciftest *t, struct child *c) {
    char byte;
    (void)t;
    child_say(c);
    for (;;) {
        receive_all(echoing, &byte, 1);
        send_all(echoing, &byte, 1);
    }
}

static void killed_receiver(struct sciftest *t) {
    enum { TIMES = 20 };
    scif_epd_t e[2];
    connect_loop(e);
    echoing = e[1];
    for (int i = 0; i < TIMES; i++) {
        struct child c;
        char byte = 'x';
        struct worker w = {
            .call = worker_recv, .epd = e[1], .data = &byte, .bytes = 1, .flags = SCIF_RECV_BLOCK};
        child_start(&c, t, echo_for_ever);
        child_hear(&c);
        send_all(e[0], &byte, 1);
        receive_all(e[0], &byte, 1);
        OK(kill(c.pid, SIGKILL)); /* it looks for the next one just now */
        siginfo_t end;
        OK(waitid(P_PID, (id_t)c.pid, &end, WEXITED | WNOWAIT));
        worker_start(&w);
        worker_asleep(&w);
        send_all(e[0], "y", 1);
        worker_join(&w);
        CHECK_EQ(w.result, 1);
        CHECK_EQ(byte, 'y');
        child_join_signal(&c, SIGKILL);
    }
}

#define CITE "guide 3.5.1"
static const struct sciftest_case cases[] = {
    {"fork__child_then_parent_serve_one_connection", CITE, asks_twice, child_then_parent, 0},
    {"fork__close_in_parent_leaves_connection_to_child", CITE, asks_twice, parent_closes, 0},
    {"fork__close_in_child_leaves_connection_to_parent", CITE, asks_twice, child_closes, 0},
    {"fork__SIGKILL_of_child_leaves_connection_to_parent", CITE, asks_twice, child_is_killed, 0},
    {"fork__grandchild_serves_connection", CITE, asks_twice, grandchild_serves, 0},
    {"fork__child_that_polls_sees_message", CITE, asks_twice, child_polls, 0},
    {"fork__child_opens_own_connection", CITE, asks_twice, child_opens_own, 0},
    {"fork__connect_in_child_connects_parent", CITE, child_connects, asks_connected, 0},
    {"fork__parent_and_child_send_by_turns_in_order", CITE, by_turns, receives_turns, 0},
    {"fork__parent_and_child_send_at_once_without_loss", CITE, at_once, counts_bytes, 0},
    {"scif_recv__after_a_child_was_killed_that_received", "guide 3.5.1", killed_receiver, NULL, 0},
    {"fork__child_killed_in_receive_keeps_nothing_from_parent", "contract: clients 9", sends_after_kills,
     child_is_killed_in_receive, 0},
};
SCIFTEST_AREA(fork_area, cases);
