/* Descriptors and states that a call must refuse, the same for every function that takes an endpoint. */
#include "areas.h"
#include "support.h"
#include <sys/mman.h>
#include <sys/socket.h>

static char page[4096] __attribute__((aligned(4096)));
static struct scif_portID nowhere;
static int a_mark = 1;

/* X(function, call with valid arguments): those that ask for a connection, then the others. */
#define CONNECTED_CALLS(X)                                                                                   \
    X(scif_send, scif_send(epd, page, 1, 0))                                                                 \
    X(scif_recv, scif_recv(epd, page, 1, 0))                                                                 \
    X(scif_register, scif_register(epd, page, sizeof page, 0, SCIF_PROT_READ, 0))                            \
    X(scif_unregister, scif_unregister(epd, 0x7000, 0x1000))                                                 \
    X(scif_mmap, scif_mmap(NULL, sizeof page, SCIF_PROT_READ, 0, epd, 0))                                    \
    X(scif_readfrom, scif_readfrom(epd, 0, 1, 0, 0))                                                         \
    X(scif_writeto, scif_writeto(epd, 0, 1, 0, 0))                                                           \
    X(scif_vreadfrom, scif_vreadfrom(epd, page, 1, 0, 0))                                                    \
    X(scif_vwriteto, scif_vwriteto(epd, page, 1, 0, 0))                                                      \
    X(scif_fence_mark, scif_fence_mark(epd, SCIF_FENCE_INIT_SELF, &(int){0}))                                \
    X(scif_fence_wait, scif_fence_wait(epd, a_mark))                                                         \
    X(scif_fence_signal, scif_fence_signal(epd, 0, 1, 0, 1, SCIF_FENCE_INIT_SELF | SCIF_SIGNAL_REMOTE))
#define OTHER_CALLS(X)                                                                                       \
    X(scif_bind, scif_bind(epd, 0))                                                                          \
    X(scif_listen, scif_listen(epd, 1))                                                                      \
    X(scif_connect, scif_connect(epd, &nowhere))                                                             \
    X(scif_accept, scif_accept(epd, &(struct scif_portID){0}, &(scif_epd_t){0}, 0))

#define CALL_FUNCTION(f, call)                                                                               \
    static long call_##f(scif_epd_t epd) { return (long)(call); }
CONNECTED_CALLS(CALL_FUNCTION)
OTHER_CALLS(CALL_FUNCTION)
#define CALL_INDEX(f, call) INDEX_##f,
enum { CONNECTED_CALLS(CALL_INDEX) N_CONNECTED, NONE = N_CONNECTED - 1, OTHER_CALLS(CALL_INDEX) N_CALLS };
#define CALL_ENTRY(f, call) {#f, call_##f},
static const struct {
    const char *name;
    long (*call)(scif_epd_t epd);
} calls[] = {CONNECTED_CALLS(CALL_ENTRY) OTHER_CALLS(CALL_ENTRY)};

static void refuses(long call, scif_epd_t epd, int error, const char *error_name) {
    errno = 0;
    long got = calls[call].call(epd);
    sciftest_must_fail(__FILE__, __LINE__, calls[call].name, got, errno, error, error_name);
}

static void ebadf(struct sciftest *t) {
    scif_epd_t closed = (scif_epd_t)OK(scif_open());
    refuses(t->arg, -1, EBADF, "EBADF");
    OK(scif_close(closed));
    refuses(t->arg, closed, EBADF, "EBADF");
    refuses(t->arg, 1 << 20, EBADF, "EBADF");
}

static void enotty(struct sciftest *t) {
    int fds[2];
    OK(pipe(fds));
    refuses(t->arg, fds[0], ENOTTY, "ENOTTY");
    refuses(t->arg, fds[1], ENOTTY, "ENOTTY");
    /* An implementation may build endpoints on sockets: those of others are none. */
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    refuses(t->arg, fds[0], ENOTTY, "ENOTTY");
}

/* A descriptor number is used again: what the library knew of it must not live on. */
static void enotty_reused(struct sciftest *t) {
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    int fds[2];
    (void)t;
    OK(pipe(fds));
    OK(dup2(fds[0], epd)); /* closes the endpoint */
    for (int i = 0; i < N_CALLS; i++) refuses(i, epd, ENOTTY, "ENOTTY");
    OK(close(epd));
    for (int i = 0; i < N_CALLS; i++) refuses(i, epd, EBADF, "EBADF");
}

static void unbound(struct sciftest *t) {
    refuses(t->arg, (scif_epd_t)OK(scif_open()), ENOTCONN, "ENOTCONN");
}

static void bound(struct sciftest *t) {
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    (void)t;
    OK(scif_bind(epd, 0));
    for (int i = 0; i < N_CONNECTED; i++) refuses(i, epd, ENOTCONN, "ENOTCONN");
}

static void listening(struct sciftest *t) {
    struct scif_portID at;
    scif_epd_t epd = listener(&at, 1);
    (void)t;
    for (int i = 0; i < N_CONNECTED; i++) refuses(i, epd, ENOTCONN, "ENOTCONN");
}

static void refused(struct sciftest *t) {
    scif_epd_t silent = (scif_epd_t)OK(scif_open()), epd = (scif_epd_t)OK(scif_open());
    struct scif_portID at = {own_node(), (uint16_t)OK(scif_bind(silent, 0))};
    (void)t;
    FAILS(scif_connect(epd, &at), ECONNREFUSED);
    for (int i = 0; i < N_CONNECTED; i++) refuses(i, epd, ENOTCONN, "ENOTCONN");
}

static void reset_left(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    OK(scif_fence_mark(epd, SCIF_FENCE_INIT_SELF, &a_mark));
    OK(scif_register(epd, page, sizeof page, 0, SCIF_PROT_READ | SCIF_PROT_WRITE, SCIF_MAP_FIXED));
    meet(t);
    await_hangup(epd);
    refuses(t->arg, epd, ECONNRESET, "ECONNRESET");
    refuses(t->arg, epd, ECONNRESET, "ECONNRESET"); /* and so it stays */
}

/* Has a window, so that only the closing can be the reason of the error. */
static void reset_right(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    OK(scif_register(epd, page, sizeof page, 0, SCIF_PROT_READ | SCIF_PROT_WRITE, SCIF_MAP_FIXED));
    meet(t);
    OK(scif_close(epd));
}

static void close_errors(struct sciftest *t) {
    (void)t;
    FAILS(scif_close(-1), EBADF);
    FAILS(scif_close(1 << 20), EBADF);
}

#define EBADF_CASE(f, call)  {#f "__of_no_descriptor_is_EBADF", "contract: " #f, ebadf, NULL, INDEX_##f},
#define ENOTTY_CASE(f, call) {#f "__of_another_file_is_ENOTTY", "contract: " #f, enotty, NULL, INDEX_##f},
#define UNBOUND_CASE(f, call)                                                                                \
    {#f "__of_unconnected_endpoint_is_ENOTCONN", "contract: " #f, unbound, NULL, INDEX_##f},
#define RESET_CASE(f, call)                                                                                  \
    {#f "__after_close_of_peer_is_ECONNRESET", "guide 3.10.1", reset_left, reset_right, INDEX_##f},

static const struct sciftest_case cases[] = {
    CONNECTED_CALLS(EBADF_CASE) OTHER_CALLS(EBADF_CASE) CONNECTED_CALLS(ENOTTY_CASE) OTHER_CALLS(ENOTTY_CASE)
        CONNECTED_CALLS(UNBOUND_CASE) CONNECTED_CALLS(RESET_CASE){
            "scif_close__of_no_descriptor_is_EBADF", "contract: scif_close", close_errors, NULL, 0},
    {"any_call__of_descriptor_number_used_again_is_ENOTTY", "contract: functions", enotty_reused, NULL, 0},
    {"any_call__of_bound_endpoint_is_ENOTCONN", "contract: functions", bound, NULL, 0},
    {"any_call__of_listener_is_ENOTCONN", "contract: functions", listening, NULL, 0},
    {"any_call__after_refused_connect_is_ENOTCONN", "contract: functions", refused, NULL, 0},
};
SCIFTEST_AREA(args_area, cases);
