/* scif_accept() (guide 3.3). */
#include "areas.h"
#include "support.h"
#include <signal.h>

static scif_epd_t opened(void) { return (scif_epd_t)OK(scif_open()); }

static void connects_when_told(struct sciftest *t) {
    struct scif_portID seen;
    hear(t, &t->peer, sizeof t->peer);
    scif_epd_t epd = opened();
    t->self.port = (uint16_t)OK(scif_connect(epd, &t->peer));
    t->self.node = own_node();
    hear(t, &seen, sizeof seen);
    CHECK_EQ(seen.node, t->self.node);
    CHECK_EQ(seen.port, t->self.port);
    meet(t);
}

static void waits_for_request(struct sciftest *t) {
    struct scif_portID at, peer = {0, 0};
    scif_epd_t l = listener(&at, 1), epd = -1;
    struct worker w = {.call = worker_accept, .epd = l, .data = &epd};
    worker_start(&w);
    worker_asleep(&w);
    CHECK(!w.done);
    tell(t, &at, sizeof at);
    worker_join(&w);
    CHECK_EQ(w.result, 0);
    /* A second one shows that the listener still is one. */
    FAILS(scif_accept(l, &peer, &epd, 0), EAGAIN);
    meet(t);
    meet(t);
}

static void connects_and_sends(struct sciftest *t) {
    hear(t, &t->peer, sizeof t->peer);
    CHECK(OK(scif_connect(opened(), &t->peer)) > 0);
    meet(t);
    meet(t);
}

static void tells_the_peer(struct sciftest *t) {
    struct scif_portID at, peer = {0xffff, 0};
    scif_epd_t l = listener(&at, 1), epd = -1;
    tell(t, &at, sizeof at);
    errno = 4711;
    CHECK_EQ(OK(scif_accept(l, &peer, &epd, SCIF_ACCEPT_SYNC)), 0);
    CHECK_EQ(errno, 4711);
    CHECK(epd >= 0 && epd != l);
    tell(t, &peer, sizeof peer);
    meet(t);
}

static void none_pending(struct sciftest *t) {
    struct scif_portID at, peer;
    scif_epd_t epd, l = listener(&at, 1);
    (void)t;
    FAILS(scif_accept(l, &peer, &epd, 0), EAGAIN);
    FAILS(scif_accept(l, &peer, &epd, 0), EAGAIN);
}

static void pending_without_sync(struct sciftest *t) {
    struct scif_portID at, peer;
    scif_epd_t epd = -1, l = listener(&at, 1);
    struct worker w = {.call = worker_connect, .epd = opened(), .data = &at};
    (void)t;
    worker_start(&w);
    CHECK_EQ(poll_until(l, SCIF_POLLIN, SCIF_POLLIN), SCIF_POLLIN);
    CHECK_EQ(OK(scif_accept(l, &peer, &epd, 0)), 0);
    worker_join(&w);
    CHECK_EQ(w.result, peer.port);
    FAILS(scif_accept(l, &peer, &epd, 0), EAGAIN);
}

static void wrong_arguments(struct sciftest *t) {
    struct scif_portID at, peer;
    scif_epd_t epd, l = listener(&at, 1);
    switch (t->arg) {
    case 0: FAILS(scif_accept(l, NULL, &epd, 0), EINVAL); break;
    case 1: FAILS(scif_accept(l, &peer, NULL, 0), EINVAL); break;
    default: FAILS(scif_accept(l, &peer, &epd, (int)t->arg), EINVAL);
    }
}

static void no_listener(struct sciftest *t) {
    struct scif_portID peer;
    scif_epd_t e[2], epd, other = opened();
    (void)t;
    FAILS(scif_accept(other, &peer, &epd, 0), EINVAL);
    FAILS(scif_accept(other, &peer, &epd, SCIF_ACCEPT_SYNC), EINVAL);
    OK(scif_bind(other, 0));
    FAILS(scif_accept(other, &peer, &epd, SCIF_ACCEPT_SYNC), EINVAL);
    connect_loop(e);
    FAILS(scif_accept(e[0], &peer, &epd, SCIF_ACCEPT_SYNC), EINVAL);
    FAILS(scif_accept(e[1], &peer, &epd, SCIF_ACCEPT_SYNC), EINVAL);
}

static void signalled(struct sciftest *t) {
    struct scif_portID at;
    scif_epd_t epd = -1, l = listener(&at, 1);
    struct worker w = {.call = worker_accept, .epd = l, .data = &epd};
    (void)t;
    worker_start(&w);
    worker_interrupt(&w);
    CHECK_EQ(w.result, -1);
    CHECK_EQ(w.error, EINTR);
    FAILS(scif_accept(l, &at, &epd, 0), EAGAIN); /* it still listens */
}

static void closed_by_thread(struct sciftest *t) {
    struct scif_portID at;
    scif_epd_t epd = -1, l = listener(&at, 1);
    struct worker w = {.call = worker_accept, .epd = l, .data = &epd};
    (void)t;
    worker_start(&w);
    worker_asleep(&w);
    CHECK_EQ(OK(scif_close(l)), 0);
    worker_join(&w);
    CHECK_EQ(w.result, -1);
    CHECK_EQ(w.error, EINTR);
}

/* close() may be called by a handler of a signal: here by that of the thread that waits. */
static scif_epd_t closed_by_signal;
static void close_it(int sig) {
    (void)sig;
    close(closed_by_signal);
}

static void closed_by_handler(struct sciftest *t) {
    struct sigaction a = {.sa_handler = close_it};
    struct scif_portID at;
    scif_epd_t epd = -1, l = closed_by_signal = listener(&at, 1);
    struct worker w = {.call = worker_accept, .epd = l, .data = &epd};
    (void)t;
    worker_start(&w);
    worker_asleep(&w);
    OK(sigaction(SIGUSR2, &a, NULL));
    CHECK_EQ(pthread_kill(w.thread, SIGUSR2), 0);
    worker_join(&w);
    CHECK_EQ(w.result, -1);
    CHECK_EQ(w.error, EINTR);
    FAILS(scif_bind(l, 0), EBADF);
}

/* A thread that is cancelled meanwhile leaves nothing behind that others wait for. */
static void cancelled(struct sciftest *t) {
    struct scif_portID at;
    scif_epd_t epd = -1, l = listener(&at, 1);
    struct worker w = {.call = worker_accept, .epd = l, .data = &epd};
    (void)t;
    worker_start(&w);
    worker_asleep(&w);
    CHECK_EQ(pthread_cancel(w.thread), 0);
    CHECK_EQ(OK(scif_close(l)), 0);
    CHECK_EQ(pthread_join(w.thread, NULL), 0);
    OK(scif_open());
}

/* The request stays until there is a descriptor for it. */
static void no_descriptor(struct sciftest *t) {
    struct scif_portID at, peer;
    scif_epd_t epd = -1, l = listener(&at, 1);
    struct worker w = {.call = worker_connect, .epd = opened(), .data = &at};
    int spare[SPARE_FILES];
    (void)t;
    worker_start(&w);
    poll_until(l, SCIF_POLLIN, SCIF_POLLIN);
    use_up_descriptors(spare, l);
    FAILS(scif_accept(l, &peer, &epd, 0), EMFILE);
    for (int i = 0; i < SPARE_FILES; i++) OK(close(spare[i]));
    CHECK_EQ(OK(scif_accept(l, &peer, &epd, SCIF_ACCEPT_SYNC)), 0);
    worker_join(&w);
    CHECK_EQ(w.result, peer.port);
}

/* ---- A listener that several processes have (guide 3.5.1) ---- */

enum { ACCEPTERS = 4 };
static scif_epd_t shared_listener;

static void accept_and_echo(struct sciftest *t, struct child *c) {
    char byte;
    (void)t;
    scif_epd_t epd = accept_one(shared_listener, NULL);
    receive_all(epd, &byte, 1);
    byte++;
    send_all(epd, &byte, 1);
    child_hear(c);
}

static void several_processes(struct sciftest *t) {
    struct child child[ACCEPTERS];
    struct scif_portID at;
    shared_listener = listener(&at, ACCEPTERS);
    for (int i = 0; i < ACCEPTERS; i++) child_start(&child[i], t, accept_and_echo);
    tell(t, &at, sizeof at);
    meet(t);
    for (int i = 0; i < ACCEPTERS; i++) child_say(&child[i]);
    for (int i = 0; i < ACCEPTERS; i++) child_join(&child[i]);
}

/* All connections are up at once: no process may have accepted two. */
static void calls_several(struct sciftest *t) {
    scif_epd_t epd[ACCEPTERS];
    hear(t, &t->peer, sizeof t->peer);
    for (int i = 0; i < ACCEPTERS; i++) {
        epd[i] = opened();
        OK(scif_connect(epd[i], &t->peer));
    }
    for (int i = 0; i < ACCEPTERS; i++) {
        char byte = (char)i;
        send_all(epd[i], &byte, 1);
        receive_all(epd[i], &byte, 1);
        CHECK_EQ(byte, i + 1);
    }
    meet(t);
}

/* A connection is accepted by the parent and used by the child, which did not exist yet when the listener was
 * made. */
static void use_inherited(struct sciftest *t, struct child *c) {
    (void)t;
    char byte;
    receive_all(shared_listener, &byte, 1);
    CHECK_EQ(byte, 'x');
    child_say(c);
}

static void child_uses(struct sciftest *t) {
    struct child c;
    shared_listener = connect_pair(t);
    child_start(&c, t, use_inherited);
    meet(t);
    child_hear(&c);
    child_join(&c);
    meet(t);
}

static void sends_to_child(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    meet(t);
    send_all(epd, "x", 1);
    meet(t);
}

#define CITE "contract: scif_accept"
static const struct sciftest_case cases[] = {
    {"scif_accept__gives_peer_and_endpoint", CITE, connects_when_told, tells_the_peer, 0},
    {"scif_accept__with_SYNC_waits_for_request", "guide 3.3", connects_and_sends, waits_for_request, 0},
    {"scif_accept__without_request_is_EAGAIN", CITE, none_pending, NULL, 0},
    {"scif_accept__without_SYNC_takes_waiting_request", "guide 3.3", pending_without_sync, NULL, 0},
    {"scif_accept__without_peer_is_EINVAL", CITE, wrong_arguments, NULL, 0},
    {"scif_accept__without_newepd_is_EINVAL", CITE, wrong_arguments, NULL, 1},
    {"scif_accept__with_flag_2_is_EINVAL", CITE, wrong_arguments, NULL, 2},
    {"scif_accept__with_flag_beside_SYNC_is_EINVAL", CITE, wrong_arguments, NULL, 0x100 | SCIF_ACCEPT_SYNC},
    {"scif_accept__of_no_listener_is_EINVAL", CITE, no_listener, NULL, 0},
    {"scif_accept__interrupted_by_signal_is_EINTR", CITE, signalled, NULL, 0},
    {"scif_accept__ended_by_close_in_another_thread_is_EINTR", "contract: clients 10", closed_by_thread, NULL,
     0},
    {"scif_accept__ended_by_close_in_own_signal_handler_is_EINTR", "contract: clients 10", closed_by_handler,
     NULL, 0},
    {"scif_accept__of_cancelled_thread_can_be_ended_by_close", "contract: scif_close", cancelled, NULL, 0},
    {"scif_accept__without_free_descriptor_is_EMFILE_and_keeps_request", "scif.h: scif_accept", no_descriptor,
     NULL, 0},
    {"scif_accept__in_several_processes_serves_all", "guide 3.5.1", calls_several, several_processes, 0},
    {"scif_accept__gives_endpoint_that_a_child_can_use", "guide 3.5.1", sends_to_child, child_uses, 0},
};
SCIFTEST_AREA(accept_area, cases);
