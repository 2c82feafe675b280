/* Endpoint descriptors in what the system has for descriptors: poll, ppoll, select, pselect, epoll, dup
 * (guide 3.3, 3.4). */
#include "areas.h"
#include "support.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

enum way { BY_POLL, BY_PPOLL, BY_SELECT, BY_PSELECT, BY_EPOLL };

static short by_poll(enum way way, int fd, short events, int timeout_ms) {
    struct timespec limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000000l};
    struct pollfd p = {.fd = fd, .events = events};
    OK(way == BY_POLL ? poll(&p, 1, timeout_ms) : ppoll(&p, 1, &limit, NULL));
    return p.revents;
}

static short by_select(enum way way, int fd, short events, int timeout_ms) {
    struct timespec limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000000l};
    struct timeval old_limit = {limit.tv_sec, limit.tv_nsec / 1000};
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    CHECK(fd < FD_SETSIZE);
    if (events & POLLIN) FD_SET(fd, &in);
    if (events & POLLOUT) FD_SET(fd, &out);
    OK(way == BY_SELECT ? select(fd + 1, &in, &out, NULL, &old_limit)
                        : pselect(fd + 1, &in, &out, NULL, &limit, NULL));
    return (short)((FD_ISSET(fd, &in) ? POLLIN : 0) | (FD_ISSET(fd, &out) ? POLLOUT : 0));
}

static short by_epoll(int fd, short events, int timeout_ms) {
    struct epoll_event e = {.events = (uint32_t)events}, got = {0};
    int ep = (int)OK(epoll_create1(EPOLL_CLOEXEC));
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    OK(epoll_wait(ep, &got, 1, timeout_ms));
    close(ep);
    return (short)got.events; /* the values are those of poll */
}

/* What is ready within the time; select has no POLLHUP. */
static short ready(enum way way, int fd, short events, int timeout_ms) {
    if (way == BY_EPOLL) return by_epoll(fd, events, timeout_ms);
    if (way == BY_SELECT || way == BY_PSELECT) return by_select(way, fd, events, timeout_ms);
    return by_poll(way, fd, events, timeout_ms);
}

#define BOTH (POLLIN | POLLOUT)

static void message(struct sciftest *t) {
    enum way way = (enum way)t->arg;
    scif_epd_t epd = connect_pair(t);
    char byte;
    CHECK_EQ(ready(way, epd, BOTH, 1000), POLLOUT);
    CHECK_EQ(ready(way, epd, POLLIN, 20), 0);
    meet(t);
    CHECK_EQ(ready(way, epd, POLLIN, soon_ms()), POLLIN);
    CHECK_EQ(ready(way, epd, BOTH, 1000), BOTH);
    receive_all(epd, &byte, 1);
    CHECK_EQ(ready(way, epd, BOTH, 1000), POLLOUT);
    CHECK_EQ(ready(way, epd, POLLIN, 20), 0);
    meet(t);
}

static void sends_1(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    meet(t);
    send_all(epd, "x", 1);
    meet(t);
}

static void room(struct sciftest *t) {
    enum way way = (enum way)t->arg;
    scif_epd_t epd = connect_pair(t);
    int n = fill_queue(epd, 1);
    CHECK_EQ(ready(way, epd, BOTH, 20), 0);
    tell(t, &n, sizeof n);
    CHECK_EQ(ready(way, epd, POLLOUT, soon_ms()), POLLOUT);
    CHECK_EQ(OK(scif_send(epd, &n, 1, 0)), 1);
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

static void request(struct sciftest *t) {
    enum way way = (enum way)t->arg;
    struct scif_portID at;
    scif_epd_t l = listener(&at, 1), epd;
    CHECK_EQ(ready(way, l, POLLIN, 20), 0);
    tell(t, &at, sizeof at);
    CHECK_EQ(ready(way, l, POLLIN, soon_ms()), POLLIN);
    CHECK_EQ(OK(scif_accept(l, &t->peer, &epd, 0)), 0); /* there is one indeed */
    CHECK_EQ(ready(way, l, POLLIN, 20), 0);
    meet(t);
}

static void connects(struct sciftest *t) {
    hear(t, &t->peer, sizeof t->peer);
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    CHECK(OK(scif_connect(epd, &t->peer)) > 0);
    meet(t);
}

static void hangup(struct sciftest *t) {
    enum way way = (enum way)t->arg;
    scif_epd_t epd = connect_pair(t);
    bool has_hup = way != BY_SELECT && way != BY_PSELECT;
    char byte;
    CHECK_EQ(ready(way, epd, POLLIN, 20), 0);
    meet(t);
    CHECK(ready(way, epd, POLLIN, soon_ms()) & (POLLIN | POLLHUP)); /* which of the two comes first is open */
    if (has_hup) CHECK(ready(way, epd, 0, soon_ms()) & POLLHUP);    /* without being asked for */
    FAILS(scif_recv(epd, &byte, 1, 0), ECONNRESET);
    CHECK(ready(way, epd, POLLIN, soon_ms()) & (has_hup ? POLLHUP : POLLIN)); /* and it stays */
    meet(t);
}

static void closes(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    meet(t);
    OK(scif_close(epd));
    meet(t);
}

/* ---- Things of their own ---- */

/* An endpoint stays in an epoll set through its life. */
static void in_epoll_set(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = epd}, got;
    int ep = (int)OK(epoll_create1(EPOLL_CLOEXEC));
    char byte;
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, epd, &e));
    CHECK_EQ(OK(epoll_wait(ep, &got, 1, 0)), 0);
    meet(t);
    CHECK_EQ(OK(epoll_wait(ep, &got, 1, soon_ms())), 1);
    CHECK_EQ(got.data.fd, epd);
    CHECK_EQ(got.events, EPOLLIN);
    receive_all(epd, &byte, 1);
    CHECK_EQ(OK(epoll_wait(ep, &got, 1, 0)), 0);
    e.events = EPOLLOUT;
    OK(epoll_ctl(ep, EPOLL_CTL_MOD, epd, &e));
    CHECK_EQ(OK(epoll_wait(ep, &got, 1, soon_ms())), 1);
    CHECK_EQ(got.events, EPOLLOUT);
    OK(epoll_ctl(ep, EPOLL_CTL_DEL, epd, NULL));
    CHECK_EQ(OK(epoll_wait(ep, &got, 1, 0)), 0);
    meet(t);
}

/* Edge-triggered: once for each message that comes into an empty queue. */
static void edge(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET}, got;
    int ep = (int)OK(epoll_create1(EPOLL_CLOEXEC));
    char byte;
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, epd, &e));
    for (int i = 0; i < 20; i++) {
        meet(t);
        while (OK(epoll_wait(ep, &got, 1, soon_ms())) == 1 && OK(scif_recv(epd, &byte, 1, 0)) == 0) continue;
        CHECK_EQ(byte, i);
    }
    meet(t);
}

static void sends_20(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    for (int i = 0; i < 20; i++) {
        char byte = (char)i;
        meet(t);
        send_all(epd, &byte, 1);
    }
    meet(t);
}

static void on_signal(int sig) { (void)sig; }

static void ppoll_mask(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    struct sigaction act = {.sa_handler = on_signal};
    struct pollfd p = {.fd = epd, .events = POLLIN};
    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    OK(sigaction(SIGALRM, &act, NULL));
    OK(pthread_sigmask(SIG_BLOCK, &blocked, NULL));
    OK(raise(SIGALRM)); /* waits until ppoll lets it through */
    FAILS(ppoll(&p, 1, NULL, &none), EINTR);
    meet(t);
}

static void silent(struct sciftest *t) {
    connect_pair(t);
    meet(t);
}

static void among_others(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    int fds[2];
    OK(pipe(fds));
    struct pollfd p[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = epd, .events = POLLIN}};
    CHECK_EQ(OK(poll(p, 2, 0)), 0);
    meet(t);
    CHECK_EQ(OK(poll(p, 2, soon_ms())), 1);
    CHECK_EQ(p[0].revents, 0);
    CHECK_EQ(p[1].revents, POLLIN);
    meet(t);
}

static long sleeps_in_poll(struct worker *w) {
    struct pollfd p = {.fd = w->epd, .events = POLLIN};
    return poll(&p, 1, -1);
}

static void sleeper_wakes(struct sciftest *t) {
    struct worker w = {.call = sleeps_in_poll, .epd = connect_pair(t)};
    worker_start(&w);
    worker_asleep(&w);
    CHECK(!w.done);
    meet(t);
    worker_join(&w);
    CHECK_EQ(w.result, 1);
    meet(t);
}

/* A duplicate is the same endpoint: what one receives the other does not. */
static void duplicate(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t), copy = (scif_epd_t)OK(dup(epd));
    char byte;
    CHECK_EQ(scif_get_fd(copy), copy);
    raw_poll_until(copy, POLLIN, POLLIN);
    raw_poll_until(epd, POLLIN, POLLIN);
    receive_all(copy, &byte, 1);
    CHECK_EQ(byte, 'x');
    struct pollfd p = {.fd = epd, .events = POLLIN};
    CHECK_EQ(OK(poll(&p, 1, 0)), 0);
    send_all(epd, "1", 1);
    send_all(copy, "2", 1);
    meet(t);
}

static void duplicate_at(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char byte;
    CHECK_EQ(OK(dup2(epd, 200)), 200);
    OK(scif_close(epd));
    receive_all(200, &byte, 1);
    CHECK_EQ(byte, 'x');
    send_all(200, "12", 2);
    meet(t);
}

static void talks_to_duplicate(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char two[2];
    send_all(epd, "x", 1);
    receive_all(epd, two, 2);
    CHECK(two[0] == '1' && two[1] == '2');
    meet(t);
}

static void duplicate_of_unconnected(struct sciftest *t) {
    hear(t, &t->peer, sizeof t->peer);
    scif_epd_t epd = (scif_epd_t)OK(scif_open()), copy = (scif_epd_t)OK(dup(epd));
    int port = (int)OK(scif_bind(copy, 0));
    FAILS(scif_bind(epd, 0), EINVAL);
    CHECK_EQ(OK(scif_connect(epd, &t->peer)), port);
    FAILS(scif_connect(copy, &t->peer), EISCONN);
    meet(t);
}

/* Asking again, for the result or out of turn, changes nothing. */
static void writable_when_connected(struct sciftest *t) {
    hear(t, &t->peer, sizeof t->peer);
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    set_nonblocking(epd, true);
    FAILS(scif_connect(epd, &t->peer), EINPROGRESS);
    CHECK_EQ(raw_poll_until(epd, POLLOUT, POLLOUT), POLLOUT);
    CHECK(OK(scif_connect(epd, &t->peer)) > 0);
    CHECK_EQ(ready(BY_POLL, epd, BOTH, 1000), POLLOUT);
    FAILS(scif_connect(epd, &t->peer), EISCONN);
    CHECK_EQ(ready(BY_POLL, epd, BOTH, 1000), POLLOUT);
    meet(t);
}

static void accepts(struct sciftest *t) {
    scif_epd_t l = listener(&t->self, 1);
    tell(t, &t->self, sizeof t->self);
    accept_one(l, NULL);
    meet(t);
}

#define EACH_WAY(X, text, left, right)                                                                       \
    {"poll__" text, X, left, right, BY_POLL}, {"ppoll__" text, X, left, right, BY_PPOLL},                    \
        {"select__" text, X, left, right, BY_SELECT}, {"pselect__" text, X, left, right, BY_PSELECT}, {      \
        "epoll__" text, X, left, right, BY_EPOLL                                                             \
    }

static const struct sciftest_case cases[] = {
    EACH_WAY("guide 3.4", "of_connected_endpoint_tells_of_message", message, sends_1),
    EACH_WAY("guide 3.4", "of_full_queue_tells_of_room", room, empties),
    EACH_WAY("guide 3.3", "of_listener_tells_of_request", request, connects),
    EACH_WAY("guide 3.10.1", "after_close_of_peer_tells_of_it", hangup, closes),
    {"epoll__set_follows_endpoint", "contract: types and constants", in_epoll_set, sends_1, 0},
    {"epoll__edge_triggered_tells_of_each_message", "contract: types and constants", edge, sends_20, 0},
    {"ppoll__lets_signal_through", "contract: types and constants", ppoll_mask, silent, 0},
    {"poll__of_endpoint_beside_file_tells_of_message", "guide 3.4", among_others, sends_1, 0},
    {"poll__for_ever_is_woken_by_message", "guide 3.4", sleeper_wakes, sends_1, 0},
    {"poll__for_ever_is_woken_by_close_of_peer", "guide 3.10.1", sleeper_wakes, closes, 0},
    {"dup__is_the_same_endpoint", "guide 3.5.1", duplicate, talks_to_duplicate, 0},
    {"dup2__moves_endpoint_to_another_number", "guide 3.5.1", duplicate_at, talks_to_duplicate, 0},
    {"dup__of_unconnected_endpoint_shares_its_state", "guide 3.5.1", duplicate_of_unconnected, accepts, 0},
    {"poll__of_connected_endpoint_is_writable_whatever_was_asked", "contract: scif_connect",
     writable_when_connected, accepts, 0},
};
SCIFTEST_AREA(raw_poll_area, cases);
