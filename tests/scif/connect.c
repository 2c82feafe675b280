/* scif_connect() (guide 3.3). */
#include "areas.h"
#include "support.h"
#include <signal.h>
#include <time.h>

static scif_epd_t opened(void) { return (scif_epd_t)OK(scif_open()); }

/* ---- Both sides: the right one accepts on a port that it tells ---- */

static scif_epd_t tell_listener(struct sciftest *t, int backlog) {
    scif_epd_t l = listener(&t->self, backlog);
    tell(t, &t->self, sizeof t->self);
    return l;
}

static void accept_and_meet(struct sciftest *t) {
    scif_epd_t l = tell_listener(t, 4);
    struct scif_portID peer;
    accept_one(l, &peer);
    tell(t, &peer, sizeof peer);
    meet(t);
}

static void gives_local_port(struct sciftest *t) {
    struct scif_portID seen;
    hear(t, &t->peer, sizeof t->peer);
    scif_epd_t epd = opened();
    int port = (int)OK(scif_connect(epd, &t->peer));
    CHECK(port > SCIF_PORT_RSVD);
    hear(t, &seen, sizeof seen);
    CHECK_EQ(seen.port, port);
    CHECK_EQ(seen.node, own_node());
    meet(t);
}

static void gives_bound_port(struct sciftest *t) {
    struct scif_portID seen;
    hear(t, &t->peer, sizeof t->peer);
    scif_epd_t epd = opened();
    int port = bind_some(epd);
    CHECK_EQ(OK(scif_connect(epd, &t->peer)), port);
    hear(t, &seen, sizeof seen);
    CHECK_EQ(seen.port, port);
    meet(t);
}

static void again_is_eisconn(struct sciftest *t) {
    struct scif_portID seen;
    hear(t, &t->peer, sizeof t->peer);
    scif_epd_t epd = opened();
    CHECK(OK(scif_connect(epd, &t->peer)) > 0);
    FAILS(scif_connect(epd, &t->peer), EISCONN);
    hear(t, &seen, sizeof seen);
    FAILS(scif_connect(epd, &t->peer), EISCONN);
    meet(t);
}

static void keeps_errno_and_dst(struct sciftest *t) {
    struct scif_portID seen, dst;
    hear(t, &t->peer, sizeof t->peer);
    scif_epd_t epd = opened();
    dst = t->peer;
    errno = 4711;
    OK(scif_connect(epd, &dst));
    CHECK_EQ(errno, 4711);
    CHECK_EQ(dst.node, t->peer.node);
    CHECK_EQ(dst.port, t->peer.port);
    hear(t, &seen, sizeof seen);
    meet(t);
}

/* Completes when the peer accepts, and not before. */
static void waits_for_accept(struct sciftest *t) {
    struct scif_portID seen;
    hear(t, &t->peer, sizeof t->peer);
    struct worker w = {.call = worker_connect, .epd = opened(), .data = &t->peer};
    worker_start(&w);
    worker_asleep(&w);
    CHECK(!w.done);
    meet(t);
    worker_join(&w);
    CHECK(w.result > 0);
    hear(t, &seen, sizeof seen);
    meet(t);
}

static void accepts_when_met(struct sciftest *t) {
    scif_epd_t l = tell_listener(t, 4);
    struct scif_portID peer;
    meet(t);
    accept_one(l, &peer);
    tell(t, &peer, sizeof peer);
    meet(t);
}

static void nonblocking(struct sciftest *t) {
    struct scif_portID seen;
    hear(t, &t->peer, sizeof t->peer);
    scif_epd_t epd = opened();
    set_nonblocking(epd, true);
    FAILS(scif_connect(epd, &t->peer), EINPROGRESS);
    struct scif_pollepd p = {.epd = epd, .events = SCIF_POLLOUT};
    CHECK_EQ(OK(scif_poll(&p, 1, 100)), 0);
    meet(t);
    CHECK_EQ(poll_until(epd, SCIF_POLLOUT, SCIF_POLLOUT), SCIF_POLLOUT);
    int port = (int)OK(scif_connect(epd, &t->peer));
    CHECK(port > SCIF_PORT_RSVD);
    FAILS(scif_connect(epd, &t->peer), EISCONN);
    hear(t, &seen, sizeof seen);
    CHECK_EQ(seen.port, port);
    meet(t);
}

static void nonblocking_raw_poll(struct sciftest *t) {
    struct scif_portID seen;
    hear(t, &t->peer, sizeof t->peer);
    scif_epd_t epd = opened();
    set_nonblocking(epd, true);
    FAILS(scif_connect(epd, &t->peer), EINPROGRESS);
    struct pollfd p = {.fd = epd, .events = POLLOUT};
    CHECK_EQ(OK(poll(&p, 1, 100)), 0);
    meet(t);
    raw_poll_until(epd, POLLOUT, POLLOUT);
    CHECK(OK(scif_connect(epd, &t->peer)) > 0);
    hear(t, &seen, sizeof seen);
    meet(t);
}

/* A signal ends the waiting, not the request: the second call gives its answer. */
static void interrupted(struct sciftest *t) {
    struct scif_portID seen;
    hear(t, &t->peer, sizeof t->peer);
    struct worker w = {.call = worker_connect, .epd = opened(), .data = &t->peer};
    worker_start(&w);
    worker_interrupt(&w);
    CHECK_EQ(w.result, -1);
    CHECK_EQ(w.error, EINTR);
    meet(t);
    int port = (int)OK(scif_connect(w.epd, &t->peer));
    hear(t, &seen, sizeof seen);
    CHECK_EQ(seen.port, port);
    meet(t);
}

static void retries(struct sciftest *t) {
    struct scif_portID seen;
    hear(t, &t->peer, sizeof t->peer);
    scif_epd_t epd = opened();
    int port = bind_some(epd);
    FAILS(scif_connect(epd, &t->peer), ECONNREFUSED);
    FAILS(scif_bind(epd, 0), EINVAL); /* still bound */
    meet(t);
    meet(t);
    CHECK_EQ(OK(scif_connect(epd, &t->peer)), port);
    hear(t, &seen, sizeof seen);
    CHECK_EQ(seen.port, port);
    meet(t);
}

static void listens_late(struct sciftest *t) {
    scif_epd_t l = opened();
    struct scif_portID peer, at = {own_node(), (uint16_t)OK(scif_bind(l, 0))};
    tell(t, &at, sizeof at);
    meet(t);
    OK(scif_listen(l, 1));
    meet(t);
    accept_one(l, &peer);
    tell(t, &peer, sizeof peer);
    meet(t);
}

static void refused_port(struct sciftest *t) {
    hear(t, &t->peer, sizeof t->peer);
    scif_epd_t epd = opened();
    FAILS(scif_connect(epd, &t->peer), ECONNREFUSED);
    FAILS(scif_connect(epd, &t->peer), ECONNREFUSED);
    meet(t);
}

/* arg 0: the port is bound only; 1: nobody has it any more; 2: it is of a connected endpoint. */
static void has_no_listener(struct sciftest *t) {
    scif_epd_t epd = opened(), other[2];
    struct scif_portID at = {own_node(), (uint16_t)bind_some(epd)};
    if (t->arg == 1) OK(scif_close(epd));
    if (t->arg == 2) {
        struct scif_portID there;
        scif_epd_t l = listener(&there, 1);
        struct worker w = {.call = worker_connect, .epd = epd, .data = &there};
        worker_start(&w);
        other[0] = accept_one(l, NULL);
        CHECK(other[0] >= 0);
        worker_join(&w);
        CHECK_EQ(w.result, at.port);
    }
    tell(t, &at, sizeof at);
    meet(t);
}

static void refused_nonblocking(struct sciftest *t) {
    hear(t, &t->peer, sizeof t->peer);
    scif_epd_t epd = opened();
    set_nonblocking(epd, true);
    FAILS(scif_connect(epd, &t->peer), EINPROGRESS);
    poll_until(epd, SCIF_POLLOUT, SCIF_POLLOUT);
    FAILS(scif_connect(epd, &t->peer), ECONNREFUSED);
    meet(t);
}

/* As many requests as the backlog has room for wait; one beyond them is refused at once, long before 10 s.
 * Which one of three comes last is not known between hosts. */
static void overflow(struct sciftest *t) {
    struct scif_pollepd p[3];
    int refused = 0;
    hear(t, &t->peer, sizeof t->peer);
    for (int i = 0; i < 3; i++) {
        p[i] = (struct scif_pollepd){.epd = opened(), .events = SCIF_POLLOUT};
        set_nonblocking(p[i].epd, true);
        FAILS(scif_connect(p[i].epd, &t->peer), EINPROGRESS);
    }
    CHECK_EQ(OK(scif_poll(p, 3, 8000)), 1);
    while (!p[refused].revents) refused++;
    FAILS(scif_connect(p[refused].epd, &t->peer), ECONNREFUSED);
    meet(t);
    for (int i = 0; i < 3; i++) {
        if (i == refused) continue;
        poll_until(p[i].epd, SCIF_POLLOUT, SCIF_POLLOUT);
        CHECK(OK(scif_connect(p[i].epd, &t->peer)) > 0);
    }
    meet(t);
}

static void accepts_both(struct sciftest *t) {
    scif_epd_t l = tell_listener(t, 2);
    meet(t);
    accept_one(l, NULL);
    accept_one(l, NULL);
    FAILS(scif_accept(l, &t->peer, &(scif_epd_t){0}, 0), EAGAIN);
    meet(t);
}

static void never_accepted(struct sciftest *t) {
    struct timespec start, end;
    hear(t, &t->peer, sizeof t->peer);
    clock_gettime(CLOCK_MONOTONIC, &start);
    FAILS(scif_connect(opened(), &t->peer), ECONNREFUSED);
    clock_gettime(CLOCK_MONOTONIC, &end);
    long took_ms = (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
    if (took_ms < 9000 || took_ms > 16000)
        sciftest_fail(__FILE__, __LINE__, "refused after %ld ms, must be after 10 s", took_ms);
    meet(t);
}

static void never_accepted_nonblocking(struct sciftest *t) {
    struct scif_pollepd p = {.epd = opened(), .events = SCIF_POLLOUT};
    hear(t, &t->peer, sizeof t->peer);
    set_nonblocking(p.epd, true);
    FAILS(scif_connect(p.epd, &t->peer), EINPROGRESS);
    CHECK_EQ(OK(scif_poll(&p, 1, 8000)), 0);
    CHECK_EQ(OK(scif_poll(&p, 1, 8000)), 1);
    CHECK_EQ(p.revents, SCIF_POLLOUT);
    FAILS(scif_connect(p.epd, &t->peer), ECONNREFUSED);
    meet(t);
}

/* Nor can the request be accepted when the other side has been told that it was not. */
static void never_accepts(struct sciftest *t) {
    scif_epd_t l = tell_listener(t, 4), epd;
    meet(t);
    FAILS(scif_accept(l, &t->peer, &epd, 0), EAGAIN);
}

/* The listener goes while a request waits: however it is told, connect must not hang or succeed. */
static void listener_goes(struct sciftest *t) {
    hear(t, &t->peer, sizeof t->peer);
    struct worker w = {.call = worker_connect, .epd = opened(), .data = &t->peer};
    worker_start(&w);
    worker_asleep(&w);
    meet(t);
    worker_join(&w);
    CHECK_EQ(w.result, -1);
}

static void closes_listener(struct sciftest *t) {
    scif_epd_t l = tell_listener(t, 4);
    meet(t);
    OK(scif_close(l));
}

/* Each of many connections to one port leads to its own accepted endpoint (guide 3.3). */
static void many_to_one(struct sciftest *t) {
    enum { MANY = 20 };
    scif_epd_t epd[MANY];
    hear(t, &t->peer, sizeof t->peer);
    for (int i = 0; i < MANY; i++) {
        epd[i] = opened();
        uint16_t port = (uint16_t)OK(scif_connect(epd[i], &t->peer));
        send_all(epd[i], &port, sizeof port);
    }
    for (int i = 0; i < MANY; i++) {
        uint16_t back;
        receive_all(epd[i], &back, sizeof back);
        CHECK_EQ(back, i);
    }
}

static void serves_many(struct sciftest *t) {
    enum { MANY = 20 };
    scif_epd_t l = tell_listener(t, MANY), epd[MANY];
    struct scif_portID peer[MANY];
    for (int i = 0; i < MANY; i++) epd[i] = accept_one(l, &peer[i]);
    for (int i = 0; i < MANY; i++) {
        uint16_t port, number = (uint16_t)i;
        receive_all(epd[i], &port, sizeof port);
        CHECK_EQ(port, peer[i].port);
        send_all(epd[i], &number, sizeof number);
    }
    await_hangup(epd[0]);
}

/* ---- One side ---- */

static void null_address(struct sciftest *t) {
    (void)t;
    FAILS(scif_connect(opened(), NULL), EINVAL);
}

static void unknown_node(struct sciftest *t) {
    uint16_t nodes[1024], self;
    int n = (int)OK(scif_get_nodeIDs(nodes, 1024, &self));
    struct scif_portID dst = {.node = 65535, .port = 2000};
    (void)t;
    CHECK(n >= 1 && n <= 1024);
    for (int i = n; i-- > 0 && nodes[i] == dst.node;) dst.node--; /* they are ascending */
    FAILS(scif_connect(opened(), &dst), ENODEV);
    dst.node = (uint16_t)(nodes[n - 1] + 1);
    FAILS(scif_connect(opened(), &dst), ENODEV);
}

static void on_listener(struct sciftest *t) {
    struct scif_portID at, other;
    scif_epd_t l = listener(&at, 1);
    (void)t;
    listener(&other, 1);
    FAILS(scif_connect(l, &other), EOPNOTSUPP);
}

static void on_accepted(struct sciftest *t) {
    struct scif_portID at;
    scif_epd_t e[2];
    (void)t;
    connect_loop(e);
    listener(&at, 1);
    FAILS(scif_connect(e[1], &at), EISCONN);
}

static void loop(struct sciftest *t) {
    scif_epd_t e[2];
    char byte = 0;
    (void)t;
    connect_loop(e);
    send_all(e[0], "a", 1);
    receive_all(e[1], &byte, 1);
    CHECK_EQ(byte, 'a');
    send_all(e[1], "b", 1);
    receive_all(e[0], &byte, 1);
    CHECK_EQ(byte, 'b');
}

static void while_connecting(struct sciftest *t) {
    struct scif_portID at;
    scif_epd_t l = listener(&at, 1);
    struct worker w = {.call = worker_connect, .epd = opened(), .data = &at};
    (void)t;
    worker_start(&w);
    poll_until(l, SCIF_POLLIN, SCIF_POLLIN); /* the request is there */
    FAILS(scif_connect(w.epd, &at), EALREADY);
    accept_one(l, NULL);
    worker_join(&w);
    CHECK(w.result > 0);
}

#define CITE "contract: scif_connect"
static const struct sciftest_case cases[] = {
    {"scif_connect__gives_local_port_that_accept_sees", CITE, gives_local_port, accept_and_meet, 0},
    {"scif_connect__of_bound_endpoint_gives_its_port", "guide 3.3", gives_bound_port, accept_and_meet, 0},
    {"scif_connect__again_is_EISCONN", "contract: clients 1", again_is_eisconn, accept_and_meet, 0},
    {"scif_connect__keeps_errno_and_destination", "contract: clients 5", keeps_errno_and_dst, accept_and_meet,
     0},
    {"scif_connect__returns_when_peer_accepts", CITE, waits_for_accept, accepts_when_met, 0},
    {"scif_connect__nonblocking_is_EINPROGRESS_then_OUT_then_port", CITE, nonblocking, accepts_when_met, 0},
    {"scif_connect__nonblocking_is_seen_by_poll", "guide 3.3", nonblocking_raw_poll, accepts_when_met, 0},
    {"scif_connect__nonblocking_refused_is_told_by_second_call", CITE, refused_nonblocking, has_no_listener,
     0},
    {"scif_connect__after_EINTR_gives_answer", "scif.h: scif_connect", interrupted, accepts_when_met, 0},
    {"scif_connect__after_refusal_is_bound_and_may_retry", CITE, retries, listens_late, 0},
    {"scif_connect__to_port_without_listener_is_ECONNREFUSED", CITE, refused_port, has_no_listener, 0},
    {"scif_connect__to_unused_port_is_ECONNREFUSED", CITE, refused_port, has_no_listener, 1},
    {"scif_connect__to_port_of_connected_endpoint_is_ECONNREFUSED", CITE, refused_port, has_no_listener, 2},
    {"scif_connect__beyond_backlog_is_ECONNREFUSED", "contract: scif_listen", overflow, accepts_both, 0},
    {"scif_connect__not_accepted_in_10_s_is_ECONNREFUSED", CITE, never_accepted, never_accepts, 0},
    {"scif_connect__nonblocking_not_accepted_in_10_s_is_ECONNREFUSED", CITE, never_accepted_nonblocking,
     never_accepts, 0},
    {"scif_connect__fails_when_listener_closes", "guide 3.3", listener_goes, closes_listener, 0},
    {"scif_connect__of_many_to_one_port_gives_each_its_peer", "guide 3.3", many_to_one, serves_many, 0},
    {"scif_connect__to_NULL_is_EINVAL", CITE, null_address, NULL, 0},
    {"scif_connect__to_unknown_node_is_ENODEV", CITE, unknown_node, NULL, 0},
    {"scif_connect__of_listener_is_EOPNOTSUPP", CITE, on_listener, NULL, 0},
    {"scif_connect__of_accepted_endpoint_is_EISCONN", CITE, on_accepted, NULL, 0},
    {"scif_connect__within_a_process_connects", "guide 3.3", loop, NULL, 0},
    {"scif_connect__by_another_thread_is_EALREADY", "scif.h: scif_connect", while_connecting, NULL, 0},
};
SCIFTEST_AREA(connect_area, cases);
