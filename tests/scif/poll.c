/* scif_poll(), which is exact (guide 3.12). */
#include "areas.h"
#include "support.h"
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

static scif_epd_t opened(void) { return (scif_epd_t)OK(scif_open()); }

/* What one descriptor gives now. */
static short now(scif_epd_t epd, short events) {
    struct scif_pollepd p = {.epd = epd, .events = events, .revents = 0x7fff};
    long n = OK(scif_poll(&p, 1, 0));
    CHECK_EQ(n, p.revents != 0);
    return p.revents;
}

#define BOTH (SCIF_POLLIN | SCIF_POLLOUT)

static void connected(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char byte;
    CHECK_EQ(now(epd, BOTH), SCIF_POLLOUT);
    CHECK_EQ(now(epd, SCIF_POLLOUT), SCIF_POLLOUT);
    CHECK_EQ(now(epd, SCIF_POLLIN), 0);
    CHECK_EQ(now(epd, 0), 0);
    meet(t);
    CHECK_EQ(poll_until(epd, SCIF_POLLIN, SCIF_POLLIN), SCIF_POLLIN);
    CHECK_EQ(now(epd, BOTH), BOTH);
    CHECK_EQ(now(epd, SCIF_POLLOUT), SCIF_POLLOUT);
    CHECK_EQ(now(epd, SCIF_POLLIN), SCIF_POLLIN); /* level, not edge */
    receive_all(epd, &byte, 1);
    CHECK_EQ(now(epd, BOTH), SCIF_POLLOUT);
    meet(t);
}

static void sends_1(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    meet(t);
    send_all(epd, "x", 1);
    meet(t);
}

static void full(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    int n = fill_queue(epd, 1);
    CHECK_EQ(now(epd, BOTH), 0);
    tell(t, &n, sizeof n);
    CHECK_EQ(poll_until(epd, BOTH, SCIF_POLLOUT), SCIF_POLLOUT);
    CHECK(OK(scif_send(epd, &n, 1, 0)) == 1); /* and it is true */
    meet(t);
}

static void empties(struct sciftest *t) {
    static char all[1 << 20];
    scif_epd_t epd = connect_pair(t);
    int n;
    hear(t, &n, sizeof n);
    receive_all(epd, all, n);
    meet(t);
}

static void peer_gone(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char byte;
    await_hangup(epd);
    CHECK_EQ(now(epd, 0), SCIF_POLLHUP);
    CHECK(now(epd, SCIF_POLLIN) & SCIF_POLLHUP);
    CHECK(now(epd, SCIF_POLLIN) & SCIF_POLLIN); /* there still is a byte */
    receive_all(epd, &byte, 1);
    CHECK_EQ(now(epd, SCIF_POLLIN), SCIF_POLLHUP);
    CHECK_EQ(now(epd, 0), SCIF_POLLHUP);
    meet(t);
}

static void sends_and_closes(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    send_all(epd, "x", 1);
    OK(scif_close(epd));
    meet(t);
}

static void listening(struct sciftest *t) {
    struct scif_portID at;
    scif_epd_t l = listener(&at, 1);
    struct worker w = {.call = worker_connect, .epd = opened(), .data = &at};
    (void)t;
    CHECK_EQ(now(l, BOTH), 0);
    CHECK_EQ(now(l, SCIF_POLLIN), 0);
    worker_start(&w);
    CHECK_EQ(poll_until(l, SCIF_POLLIN, SCIF_POLLIN), SCIF_POLLIN);
    accept_one(l, NULL);
    worker_join(&w);
    CHECK_EQ(now(l, SCIF_POLLIN), 0);
}

static void unbound(struct sciftest *t) {
    scif_epd_t epd = opened();
    (void)t;
    CHECK_EQ(now(epd, BOTH), SCIF_POLLERR);
    CHECK_EQ(now(epd, 0), SCIF_POLLERR);
}

static void only_bound(struct sciftest *t) {
    scif_epd_t epd = opened();
    (void)t;
    OK(scif_bind(epd, 0));
    CHECK_EQ(now(epd, BOTH), SCIF_POLLERR);
    CHECK_EQ(now(epd, 0), SCIF_POLLERR);
}

static void no_descriptor(struct sciftest *t) {
    scif_epd_t epd = opened();
    (void)t;
    OK(scif_close(epd));
    CHECK_EQ(now(epd, BOTH), SCIF_POLLNVAL);
    CHECK_EQ(now(1 << 20, 0), SCIF_POLLNVAL);
}

static void negative(struct sciftest *t) {
    (void)t;
    struct scif_pollepd p[3] = {{.epd = -1, .events = BOTH, .revents = 0x7fff},
                                {.epd = opened(), .events = BOTH},
                                {.epd = INT_MIN, .events = BOTH, .revents = 0x7fff}};
    CHECK_EQ(OK(scif_poll(p, 3, -1)), 1);
    CHECK_EQ(p[0].revents, 0);
    CHECK_EQ(p[1].revents, SCIF_POLLERR);
    CHECK_EQ(p[2].revents, 0);
    CHECK_EQ(OK(scif_poll(p, 1, 20)), 0);
}

static void other_files(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    int fds[2];
    OK(pipe(fds));
    struct scif_pollepd p[3] = {{.epd = fds[0], .events = SCIF_POLLIN},
                                {.epd = epd, .events = SCIF_POLLIN},
                                {.epd = fds[1], .events = SCIF_POLLOUT}};
    CHECK_EQ(OK(scif_poll(p, 3, -1)), 1);
    CHECK_EQ(p[0].revents, 0);
    CHECK_EQ(p[1].revents, 0);
    CHECK_EQ(p[2].revents, SCIF_POLLOUT);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(OK(scif_poll(p, 2, -1)), 1);
    CHECK_EQ(p[0].revents, SCIF_POLLIN);
    CHECK_EQ(p[1].revents, 0);
    meet(t);
    p[1].events = SCIF_POLLOUT;
    CHECK_EQ(OK(scif_poll(p, 3, -1)), 3);
    CHECK_EQ(p[1].revents, SCIF_POLLOUT);
    poll_until(epd, SCIF_POLLIN, SCIF_POLLIN);
    meet(t);
}

/* Waits for an endpoint while another file that is polled with it stays silent. */
static void waits_beside_file(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    int fds[2];
    OK(pipe(fds));
    struct scif_pollepd p[2] = {{.epd = fds[0], .events = SCIF_POLLIN}, {.epd = epd, .events = SCIF_POLLIN}};
    meet(t);
    CHECK_EQ(OK(scif_poll(p, 2, -1)), 1);
    CHECK_EQ(p[0].revents, 0);
    CHECK_EQ(p[1].revents, SCIF_POLLIN);
    meet(t);
}

static void many(struct sciftest *t) {
    enum { MANY = 8 };
    struct scif_pollepd p[MANY];
    (void)t;
    scif_epd_t e[MANY][2];
    for (int i = 0; i < MANY; i++) {
        connect_loop(e[i]);
        p[i] = (struct scif_pollepd){.epd = e[i][0], .events = SCIF_POLLIN};
    }
    CHECK_EQ(OK(scif_poll(p, MANY, 0)), 0);
    send_all(e[3][1], "x", 1);
    poll_until(e[3][0], SCIF_POLLIN, SCIF_POLLIN);
    CHECK_EQ(OK(scif_poll(p, MANY, -1)), 1);
    for (int i = 0; i < MANY; i++) CHECK_EQ(p[i].revents, i == 3 ? SCIF_POLLIN : 0);
    OK(scif_close(e[6][1]));
    await_hangup(e[6][0]);
    CHECK_EQ(OK(scif_poll(p, MANY, -1)), 2);
    CHECK_EQ(p[6].revents, SCIF_POLLHUP);
}

/* The same endpoint twice: each entry has its own answer. */
static void same_twice(struct sciftest *t) {
    scif_epd_t e[2];
    (void)t;
    connect_loop(e);
    struct scif_pollepd p[2] = {{.epd = e[0], .events = SCIF_POLLIN}, {.epd = e[0], .events = SCIF_POLLOUT}};
    CHECK_EQ(OK(scif_poll(p, 2, -1)), 1);
    CHECK_EQ(p[0].revents, 0);
    CHECK_EQ(p[1].revents, SCIF_POLLOUT);
}

static void times(struct sciftest *t) {
    scif_epd_t e[2];
    struct timespec start, end;
    (void)t;
    connect_loop(e);
    struct scif_pollepd p = {.epd = e[0], .events = SCIF_POLLIN, .revents = 0x7fff};
    clock_gettime(CLOCK_MONOTONIC, &start);
    errno = 4711;
    CHECK_EQ(OK(scif_poll(&p, 1, 150)), 0);
    CHECK_EQ(errno, 4711);
    CHECK_EQ(p.revents, 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    long took_ms = (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
    CHECK(took_ms >= 149 && took_ms < 5000);
    CHECK_EQ(OK(scif_poll(&p, 0, 0)), 0);
    CHECK_EQ(OK(scif_poll(NULL, 0, 1)), 0);
}

static long polls_for_ever(struct worker *w) {
    struct scif_pollepd p = {.epd = w->epd, .events = SCIF_POLLIN};
    return scif_poll(&p, 1, -1);
}

static void interrupted(struct sciftest *t) {
    scif_epd_t e[2];
    (void)t;
    connect_loop(e);
    struct worker w = {.call = polls_for_ever, .epd = e[0]};
    worker_start(&w);
    worker_interrupt(&w);
    CHECK_EQ(w.result, -1);
    CHECK_EQ(w.error, EINTR);
}

static void sleeper_wakes(struct sciftest *t) {
    struct worker w = {.call = polls_for_ever, .epd = connect_pair(t)};
    worker_start(&w);
    worker_asleep(&w);
    CHECK(!w.done);
    meet(t);
    worker_join(&w);
    CHECK_EQ(w.result, 1);
    meet(t);
}

static void closes_when_met(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    meet(t);
    OK(scif_close(epd));
    meet(t);
}

static void wrong_address(struct sciftest *t) {
    (void)t;
    FAILS(scif_poll(hole(1), 1, 0), EFAULT);
}

#define CITE "contract: scif_poll"
static const struct sciftest_case cases[] = {
    {"scif_poll__of_connected_endpoint_is_exact", CITE, connected, sends_1, 0},
    {"scif_poll__of_full_queue_has_no_OUT_until_there_is_room", CITE, full, empties, 0},
    {"scif_poll__after_close_of_peer_is_HUP_without_IN_once_drained", CITE, peer_gone, sends_and_closes, 0},
    {"scif_poll__of_listener_is_IN_while_request_waits", CITE, listening, NULL, 0},
    {"scif_poll__of_unbound_endpoint_is_ERR", CITE, unbound, NULL, 0},
    {"scif_poll__of_bound_endpoint_is_ERR", CITE, only_bound, NULL, 0},
    {"scif_poll__of_no_descriptor_is_NVAL", CITE, no_descriptor, NULL, 0},
    {"scif_poll__of_negative_descriptor_passes_over", CITE, negative, NULL, 0},
    {"scif_poll__with_other_files_is_poll", "scif.h: scif_poll", other_files, sends_1, 0},
    {"scif_poll__beside_silent_file_wakes", "scif.h: scif_poll", waits_beside_file, sends_1, 0},
    {"scif_poll__of_many_gives_those_that_are_ready", CITE, many, NULL, 0},
    {"scif_poll__of_one_endpoint_twice_answers_each", CITE, same_twice, NULL, 0},
    {"scif_poll__with_timeout_waits_so_long", CITE, times, NULL, 0},
    {"scif_poll__interrupted_by_signal_is_EINTR", CITE, interrupted, NULL, 0},
    {"scif_poll__for_ever_is_woken_by_message", CITE, sleeper_wakes, sends_1, 0},
    {"scif_poll__for_ever_is_woken_by_close_of_peer", CITE, sleeper_wakes, closes_when_met, 0},
    {"scif_poll__of_no_memory_is_EFAULT", "scif.h: scif_poll", wrong_address, NULL, 0},
};
SCIFTEST_AREA(poll_area, cases);
