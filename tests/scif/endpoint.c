/* scif_open(), scif_bind(), scif_listen() (guide 3.2, 3.3). */
#include "areas.h"
#include "support.h"
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* ---- scif_open ---- */

static void close_on_exec(struct sciftest *t) {
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    (void)t;
    CHECK(OK(fcntl(epd, F_GETFD)) & FD_CLOEXEC);
}

static void blocking(struct sciftest *t) {
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    (void)t;
    CHECK(!(OK(fcntl(epd, F_GETFL)) & O_NONBLOCK));
}

static void many(struct sciftest *t) {
    enum { MANY = 200 };
    scif_epd_t epd[MANY];
    (void)t;
    for (int i = 0; i < MANY; i++) {
        epd[i] = (scif_epd_t)OK(scif_open());
        if (i) CHECK(epd[i] != epd[i - 1]);
    }
    for (int i = 0; i < MANY; i++) OK(scif_close(epd[i]));
}

static void no_descriptor(struct sciftest *t) {
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    int spare[SPARE_FILES];
    (void)t;
    use_up_descriptors(spare, epd);
    FAILS(scif_open(), EMFILE);
    for (int i = 0; i < SPARE_FILES; i++) OK(close(spare[i]));
    OK(scif_open());
}

static void open_keeps_errno(struct sciftest *t) {
    (void)t;
    errno = 4711;
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    CHECK_EQ(errno, 4711);
    CHECK_EQ(scif_get_fd(epd), epd);
}

/* ---- scif_bind ---- */

static void free_port(struct sciftest *t) {
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    (void)t;
    CHECK(OK(scif_bind(epd, 0)) > SCIF_PORT_RSVD);
}

/* Others bind ports at the same time: what has to be so is seen at the latest when they do not. */
static void lowest_port(struct sciftest *t) {
    (void)t;
    for (int i = 0; i < 50; i++) {
        scif_epd_t low = (scif_epd_t)OK(scif_open()), high = (scif_epd_t)OK(scif_open());
        int port = (int)OK(scif_bind(low, 0));
        OK(scif_bind(high, 0));
        OK(scif_close(low));
        low = (scif_epd_t)OK(scif_open());
        int again = (int)OK(scif_bind(low, 0));
        CHECK(again > SCIF_PORT_RSVD);
        if (again <= port) return;
        OK(scif_close(low));
        OK(scif_close(high));
    }
    sciftest_fail(__FILE__, __LINE__, "a port that was closed is never given again, though it is the lowest");
}

int bind_some(scif_epd_t epd) {
    static unsigned seed;
    if (!seed) seed = (unsigned)getpid();
    for (int i = 0; i < 1000; i++) {
        uint16_t port = (uint16_t)(20000 + rand_r(&seed) % 45000);
        errno = 0;
        int got = scif_bind(epd, port);
        if (got == port) return port;
        CHECK_EQ(got, -1);
        CHECK_EQ(errno, EINVAL);
    }
    sciftest_fail(__FILE__, __LINE__, "no port of 1000 can be bound");
}

static void given_port(struct sciftest *t) {
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    (void)t;
    CHECK(bind_some(epd) > 0);
}

static void port_in_use(struct sciftest *t) {
    scif_epd_t a = (scif_epd_t)OK(scif_open()), b = (scif_epd_t)OK(scif_open());
    uint16_t port = (uint16_t)OK(scif_bind(a, 0));
    (void)t;
    FAILS(scif_bind(b, port), EINVAL);
    CHECK(OK(scif_bind(b, 0)) != port); /* it was not bound */
}

static void bind_same_port(struct sciftest *t, struct child *c) {
    uint16_t *port = (uint16_t *)(uintptr_t)t->arg;
    FAILS(scif_bind((scif_epd_t)OK(scif_open()), *port), EINVAL);
    (void)c;
}

/* Forked before anything of SCIF is called: the library of the two has nothing in common but the node. */
static void port_of_process(struct sciftest *t, struct child *c) {
    uint16_t port = (uint16_t)OK(scif_bind((scif_epd_t)OK(scif_open()), 0));
    CHECK_EQ(write(c->line, &port, sizeof port), sizeof port);
    child_hear(c);
    (void)t;
}

static void port_in_use_elsewhere(struct sciftest *t) {
    struct child holder, other;
    uint16_t port;
    child_start(&holder, t, port_of_process);
    CHECK_EQ(read(holder.line, &port, sizeof port), sizeof port);
    t->arg = (long)(uintptr_t)&port;
    child_start(&other, t, bind_same_port);
    child_join(&other);
    bind_same_port(t, NULL);
    child_say(&holder);
    child_join(&holder);
}

static void bind_again(struct sciftest *t) {
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    int port = (int)OK(scif_bind(epd, 0));
    (void)t;
    FAILS(scif_bind(epd, 0), EINVAL);
    FAILS(scif_bind(epd, (uint16_t)port), EINVAL);
}

static void bind_listener(struct sciftest *t) {
    struct scif_portID at;
    scif_epd_t l = listener(&at, 1);
    (void)t;
    FAILS(scif_bind(l, 0), EISCONN);
}

static void bind_connected(struct sciftest *t) {
    scif_epd_t e[2];
    (void)t;
    connect_loop(e);
    FAILS(scif_bind(e[0], 0), EISCONN);
    FAILS(scif_bind(e[1], 0), EISCONN);
}

static void bind_connecting(struct sciftest *t) {
    struct scif_portID at;
    scif_epd_t l = listener(&at, 1), epd = (scif_epd_t)OK(scif_open());
    (void)t;
    (void)l;
    set_nonblocking(epd, true);
    FAILS(scif_connect(epd, &at), EINPROGRESS);
    FAILS(scif_bind(epd, 0), EISCONN);
    FAILS(scif_listen(epd, 1), EISCONN);
}

static bool privileged(void) {
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    for (uint16_t port = 1023; port > 900; port--) {
        if (scif_bind(epd, port) == port) return true;
        if (errno == EACCES) return false;
    }
    sciftest_skip("all ports that were tried are in use");
}

static void give_up_privilege(struct sciftest *t, struct child *c) {
    (void)t;
    (void)c;
    if (getuid() == 0 || geteuid() == 0) {
        if (setgroups(0, NULL) || setgid(65534) || setuid(65534)) sciftest_skip("setuid is not allowed");
    }
    scif_epd_t epd = scif_open();
    if (epd < 0) sciftest_skip("the node is not there for another user: errno %d", errno);
    const uint16_t ports[] = {1, 22, 1000, SCIF_ADMIN_PORT_END - 1};
    for (unsigned i = 0; i < sizeof ports / sizeof ports[0]; i++) FAILS(scif_bind(epd, ports[i]), EACCES);
    CHECK(OK(scif_bind(epd, 0)) > SCIF_PORT_RSVD);
}

static void low_port_refused(struct sciftest *t) {
    struct child c;
    child_start(&c, t, give_up_privilege);
    child_join(&c);
}

static void low_port_given(struct sciftest *t) {
    (void)t;
    if (geteuid() != 0) sciftest_skip("not privileged");
    CHECK(privileged());
}

/* Ports that are given only to who asks for them by number, without privilege. */
static void bind_reserved(struct sciftest *t, struct child *c) {
    (void)t;
    (void)c;
    if (geteuid() == 0 && (setgroups(0, NULL) || setgid(65534) || setuid(65534)))
        sciftest_skip("setuid is not allowed");
    scif_epd_t epd = scif_open();
    if (epd < 0) sciftest_skip("the node is not there for another user: errno %d", errno);
    for (uint16_t port = SCIF_PORT_RSVD; port >= SCIF_ADMIN_PORT_END; port--) {
        errno = 0;
        if (scif_bind(epd, port) == port) return;
        CHECK_EQ(errno, EINVAL); /* somebody else has it */
    }
    sciftest_skip("all reserved ports are in use");
}

static void reserved_port(struct sciftest *t) {
    struct child c;
    child_start(&c, t, bind_reserved);
    child_join(&c);
}

static void no_port_left(struct sciftest *t) {
    const char *exhaust = getenv("SCIFTEST_EXHAUST");
    struct rlimit limit = {70000, 70000};
    (void)t;
    if (!exhaust || exhaust[0] != '1') sciftest_skip("uses up all ports of the node: set SCIFTEST_EXHAUST=1");
    if (setrlimit(RLIMIT_NOFILE, &limit)) sciftest_skip("70000 open files are not allowed");
    for (int i = 0; i < 65536; i++) {
        scif_epd_t epd = (scif_epd_t)OK(scif_open());
        errno = 0;
        if (scif_bind(epd, 0) > 0) continue;
        CHECK_EQ(errno, ENOSPC);
        FAILS(scif_connect(epd, &(struct scif_portID){own_node(), 65535}), ENOSPC);
        return;
    }
    sciftest_fail(__FILE__, __LINE__, "more ports were given than there are");
}

static void bind_keeps_errno(struct sciftest *t) {
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    (void)t;
    errno = 4711;
    OK(scif_bind(epd, 0));
    OK(scif_listen(epd, 1));
    CHECK_EQ(errno, 4711);
}

/* ---- scif_listen ---- */

static void listen_unbound(struct sciftest *t) {
    (void)t;
    FAILS(scif_listen((scif_epd_t)OK(scif_open()), 1), EINVAL);
}

static void listen_backlog(struct sciftest *t) {
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    OK(scif_bind(epd, 0));
    if (t->arg <= 0) {
        FAILS(scif_listen(epd, (int)t->arg), EINVAL);
        CHECK_EQ(OK(scif_listen(epd, 1)), 0); /* the endpoint is as it was */
    } else {
        CHECK_EQ(OK(scif_listen(epd, (int)t->arg)), 0);
    }
}

static void listen_again(struct sciftest *t) {
    struct scif_portID at;
    scif_epd_t l = listener(&at, 1);
    (void)t;
    FAILS(scif_listen(l, 1), EISCONN);
}

static void listen_connected(struct sciftest *t) {
    scif_epd_t e[2];
    (void)t;
    connect_loop(e);
    FAILS(scif_listen(e[0], 1), EISCONN);
    FAILS(scif_listen(e[1], 1), EISCONN);
}

#define BIND   "contract: scif_bind"
#define LISTEN "contract: scif_listen"
static const struct sciftest_case cases[] = {
    {"scif_open__gives_descriptor_closed_on_exec", "contract: scif_open", close_on_exec, NULL, 0},
    {"scif_open__gives_blocking_descriptor", "guide 3.4", blocking, NULL, 0},
    {"scif_open__gives_many_endpoints", "guide 3.3", many, NULL, 0},
    {"scif_open__without_free_descriptor_is_EMFILE", "scif.h: scif_open", no_descriptor, NULL, 0},
    {"scif_open__keeps_errno_and_scif_get_fd_is_identity", "contract: scif_get_fd", open_keeps_errno, NULL,
     0},
    {"scif_bind__of_0_gives_port_above_reserved", BIND, free_port, NULL, 0},
    {"scif_bind__of_0_gives_lowest_free", BIND, lowest_port, NULL, 0},
    {"scif_bind__of_port_gives_it", "guide 3.3", given_port, NULL, 0},
    {"scif_bind__of_port_in_use_is_EINVAL", BIND, port_in_use, NULL, 0},
    {"scif_bind__of_port_in_use_by_another_process_is_EINVAL", "guide 3.2", port_in_use_elsewhere, NULL, 0},
    {"scif_bind__of_bound_endpoint_is_EINVAL", BIND, bind_again, NULL, 0},
    {"scif_bind__of_listener_is_EISCONN", BIND, bind_listener, NULL, 0},
    {"scif_bind__of_connected_endpoint_is_EISCONN", BIND, bind_connected, NULL, 0},
    {"scif_bind__and_listen_of_connecting_endpoint_is_EISCONN", "scif.h: scif_bind", bind_connecting, NULL,
     0},
    {"scif_bind__of_low_port_without_privilege_is_EACCES", BIND, low_port_refused, NULL, 0},
    {"scif_bind__of_low_port_with_privilege_gives_it", BIND, low_port_given, NULL, 0},
    {"scif_bind__of_reserved_port_needs_no_privilege", "contract: types and constants", reserved_port, NULL,
     0},
    {"scif_bind__without_free_port_is_ENOSPC", BIND, no_port_left, NULL, 0},
    {"scif_bind__and_listen_keep_errno", "contract: clients 5", bind_keeps_errno, NULL, 0},
    {"scif_listen__of_unbound_endpoint_is_EINVAL", LISTEN, listen_unbound, NULL, 0},
    {"scif_listen__with_backlog_0_is_EINVAL", LISTEN, listen_backlog, NULL, 0},
    {"scif_listen__with_negative_backlog_is_EINVAL", LISTEN, listen_backlog, NULL, -1},
    {"scif_listen__with_backlog_1_is_0", LISTEN, listen_backlog, NULL, 1},
    {"scif_listen__with_backlog_above_limit_is_0", LISTEN, listen_backlog, NULL, 100000},
    {"scif_listen__of_listener_is_EISCONN", LISTEN, listen_again, NULL, 0},
    {"scif_listen__of_connected_endpoint_is_EISCONN", LISTEN, listen_connected, NULL, 0},
};
SCIFTEST_AREA(endpoint_area, cases);
