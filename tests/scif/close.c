/* scif_close(), close() and the end of processes (guide 3.10, 3.11). */
#include "areas.h"
#include "support.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#define HIDDEN_FROM   1024 /* the library may keep its own descriptors beyond what select() takes */
#define FEW           100
#define OVER_AND_OVER 150

static scif_epd_t opened(void) { return (scif_epd_t)OK(scif_open()); }

/* arg of a right side: how it ends the connection. */
enum how { BY_SCIF_CLOSE, BY_CLOSE, BY_DUP2, BY_EXIT, BY_KILL, BY_EXEC };

static void end_process(struct sciftest *t, struct child *c) {
    scif_epd_t epd = connect_pair(t);
    char byte = 'x';
    send_all(epd, &byte, 1);
    child_say(c);
    if (t->arg == BY_EXEC) { /* it is close-on-exec */
        execl("/bin/sh", "sh", "-c", "read x", (char *)NULL);
        sciftest_skip("there is no /bin/sh");
    }
    if (t->arg == BY_EXIT) exit(0);
    raise(SIGKILL);
}

static void end_connection(struct sciftest *t) {
    if (t->arg >= BY_EXIT) {
        struct child c;
        int keep[2];
        OK(pipe(keep));
        OK(dup2(keep[0], 0)); /* what a shell waits for in vain: it lives as long as the case */
        child_start(&c, t, end_process);
        child_hear(&c);
        meet(t);
        if (t->arg == BY_KILL) child_join_signal(&c, SIGKILL);
        return;
    }
    scif_epd_t epd = connect_pair(t);
    int other_file = (int)OK(open("/dev/null", O_RDONLY));
    send_all(epd, "x", 1);
    errno = 4711;
    if (t->arg == BY_SCIF_CLOSE) CHECK_EQ(OK(scif_close(epd)), 0);
    if (t->arg == BY_CLOSE) CHECK_EQ(OK(close(epd)), 0);
    if (t->arg == BY_DUP2) OK(dup2(other_file, epd));
    CHECK_EQ(errno, 4711);
    meet(t);
}

/* What was sent before can be received, then the connection is reset. */
static void sees_end(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char byte = 0;
    await_hangup(epd);
    receive_all(epd, &byte, 1);
    CHECK_EQ(byte, 'x');
    FAILS(scif_recv(epd, &byte, 1, SCIF_RECV_BLOCK), ECONNRESET);
    FAILS(scif_send(epd, &byte, 1, 0), ECONNRESET);
    CHECK_EQ(OK(scif_close(epd)), 0);
    meet(t);
}

static void twice(struct sciftest *t) {
    scif_epd_t epd = opened();
    (void)t;
    errno = 4711;
    CHECK_EQ(OK(scif_close(epd)), 0);
    CHECK_EQ(errno, 4711);
    FAILS(scif_close(epd), EBADF);
}

/* In each state; errno stays. */
static void every_state(struct sciftest *t) {
    struct scif_portID at;
    scif_epd_t e[2], bound = opened();
    (void)t;
    OK(scif_bind(bound, 0));
    scif_epd_t l = listener(&at, 1), connecting = opened();
    set_nonblocking(connecting, true);
    FAILS(scif_connect(connecting, &at), EINPROGRESS);
    connect_loop(e);
    errno = 4711;
    CHECK_EQ(OK(scif_close(bound)), 0);
    CHECK_EQ(OK(scif_close(connecting)), 0);
    CHECK_EQ(OK(scif_close(l)), 0);
    CHECK_EQ(OK(scif_close(e[0])), 0);
    CHECK_EQ(OK(scif_close(e[1])), 0);
    CHECK_EQ(errno, 4711);
}

/* ---- Ports that are free again ---- */

static void bound_port(struct sciftest *t) {
    scif_epd_t epd = opened();
    uint16_t port = (uint16_t)bind_some(epd);
    (void)t;
    OK(scif_close(epd));
    CHECK_EQ(OK(scif_bind(opened(), port)), port);
}

static void left_closes(struct sciftest *t) {
    scif_epd_t epd = opened();
    uint16_t port = (uint16_t)bind_some(epd);
    hear(t, &t->peer, sizeof t->peer);
    OK(scif_connect(epd, &t->peer));
    meet(t);
    OK(scif_close(epd));
    meet(t);
    CHECK_EQ(OK(scif_bind(opened(), port)), port);
}

static void port_after_both_closed(struct sciftest *t) {
    scif_epd_t l = opened();
    struct scif_portID at = {own_node(), (uint16_t)bind_some(l)};
    OK(scif_listen(l, 1));
    tell(t, &at, sizeof at);
    scif_epd_t epd = accept_one(l, NULL);
    meet(t);
    OK(scif_close(epd));
    OK(scif_close(l));
    meet(t);
    CHECK_EQ(OK(scif_bind(opened(), at.port)), at.port);
}

/* The listener's port is that of the endpoints that were accepted on it, as long as one is there. */
static void port_of_accepted(struct sciftest *t) {
    scif_epd_t l = opened(), other = opened();
    struct scif_portID at = {own_node(), (uint16_t)bind_some(l)};
    OK(scif_listen(l, 1));
    tell(t, &at, sizeof at);
    scif_epd_t epd = accept_one(l, NULL);
    OK(scif_close(l));
    FAILS(scif_bind(other, at.port), EINVAL);
    meet(t);
    OK(scif_close(epd));
    meet(t);
    CHECK_EQ(OK(scif_bind(other, at.port)), at.port);
}

static void die_with_port(struct sciftest *t, struct child *c) {
    uint16_t port = (uint16_t)bind_some(opened());
    (void)t;
    CHECK_EQ(write(c->line, &port, sizeof port), sizeof port);
    raise(SIGKILL);
}

static void port_of_killed(struct sciftest *t) {
    struct child c;
    uint16_t port;
    child_start(&c, t, die_with_port);
    CHECK_EQ(read(c.line, &port, sizeof port), sizeof port);
    child_join_signal(&c, SIGKILL);
    /* The system tells of the death; that may take its time, but not long. */
    scif_epd_t epd = opened();
    for (int i = 0; i < 500; i++) {
        if (scif_bind(epd, port) == port) return;
        CHECK_EQ(errno, EINVAL);
        poll(NULL, 0, 10);
    }
    sciftest_fail(__FILE__, __LINE__, "the port of a killed process stays in use for 5 s");
}

/* ---- What lives on ---- */

static void listener_only(struct sciftest *t) {
    scif_epd_t e[2], again;
    struct scif_portID at;
    char byte;
    (void)t;
    scif_epd_t l = listener(&at, 2);
    struct worker w = {.call = worker_connect, .epd = opened(), .data = &at};
    worker_start(&w);
    e[1] = accept_one(l, NULL);
    worker_join(&w);
    OK(scif_close(l));
    send_all(w.epd, "a", 1);
    receive_all(e[1], &byte, 1);
    again = opened();
    FAILS(scif_connect(again, &at), ECONNREFUSED);
}

static void accepted_only(struct sciftest *t) {
    struct scif_portID at;
    scif_epd_t l = listener(&at, 2);
    (void)t;
    for (int i = 0; i < 3; i++) {
        struct worker w = {.call = worker_connect, .epd = opened(), .data = &at};
        worker_start(&w);
        scif_epd_t epd = accept_one(l, NULL);
        worker_join(&w);
        CHECK(w.result > 0);
        OK(scif_close(epd));
        await_hangup(w.epd);
        OK(scif_close(w.epd));
    }
}

static void one_of_two_descriptors(struct sciftest *t) {
    scif_epd_t e[2], copy;
    char byte = 0;
    (void)t;
    connect_loop(e);
    copy = (scif_epd_t)OK(t->arg ? fcntl(e[0], F_DUPFD_CLOEXEC, 100) : dup(e[0]));
    OK(scif_close(e[0]));
    send_all(copy, "a", 1);
    receive_all(e[1], &byte, 1);
    CHECK_EQ(byte, 'a');
    struct scif_pollepd p = {.epd = e[1], .events = SCIF_POLLOUT};
    CHECK_EQ(OK(scif_poll(&p, 1, 0)), 1);
    CHECK_EQ(p.revents, SCIF_POLLOUT);
    OK(scif_close(copy));
    await_hangup(e[1]);
}

/* Descriptors come back, the program's and hidden ones: this process has not so many left as there are
 * connections. */
static void over_and_over(struct sciftest *t) {
    struct rlimit few;
    (void)t;
    OK(getrlimit(RLIMIT_NOFILE, &few));
    if (few.rlim_max > HIDDEN_FROM + FEW) few.rlim_max = HIDDEN_FROM + FEW;
    while (OK(open("/dev/null", O_RDONLY)) < HIDDEN_FROM - FEW) continue;
    few.rlim_cur = few.rlim_max;
    OK(setrlimit(RLIMIT_NOFILE, &few));
    for (int i = 0; i < OVER_AND_OVER; i++) {
        scif_epd_t e[2];
        connect_loop(e);
        OK(scif_close(e[i & 1]));
        OK(scif_close(e[!(i & 1)]));
    }
}

#define CITE "contract: scif_close"
static const struct sciftest_case cases[] = {
    {"scif_close__ends_connection_after_what_was_sent", "guide 3.10.1", sees_end, end_connection,
     BY_SCIF_CLOSE},
    {"close__ends_connection_as_scif_close", "guide 3.5.1", sees_end, end_connection, BY_CLOSE},
    {"dup2__over_endpoint_ends_connection", "guide 3.5.1", sees_end, end_connection, BY_DUP2},
    {"exit__ends_connection", "guide 3.11", sees_end, end_connection, BY_EXIT},
    {"SIGKILL__ends_connection", "guide 3.11", sees_end, end_connection, BY_KILL},
    {"exec__ends_connection", "contract: scif_open", sees_end, end_connection, BY_EXEC},
    {"scif_close__twice_is_EBADF", "contract: functions", twice, NULL, 0},
    {"scif_close__in_every_state_keeps_errno", "contract: clients 5", every_state, NULL, 0},
    {"scif_close__of_bound_endpoint_frees_port", CITE, bound_port, NULL, 0},
    {"scif_close__of_both_ends_frees_ports_at_once", "contract: clients 3", left_closes,
     port_after_both_closed, 0},
    {"scif_close__of_listener_keeps_port_of_accepted", CITE, left_closes, port_of_accepted, 0},
    {"SIGKILL__frees_port", "guide 3.11", port_of_killed, NULL, 0},
    {"scif_close__of_listener_keeps_connections", "guide 3.3", listener_only, NULL, 0},
    {"scif_close__of_accepted_keeps_listener", "guide 3.3", accepted_only, NULL, 0},
    {"scif_close__of_one_of_two_descriptors_keeps_connection", "guide 3.5.1", one_of_two_descriptors, NULL,
     0},
    {"scif_close__of_one_of_two_fcntl_descriptors_keeps_connection", "guide 3.5.1", one_of_two_descriptors,
     NULL, 1},
    {"scif_close__gives_everything_back", "guide 3.10.1", over_and_over, NULL, 0},
};
SCIFTEST_AREA(close_area, cases);
