/* The first process's end of a benchmark: it starts the others, connects to them, and tells them what to do.
 */
#include "cli/bench/end.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/option.h"
#include "cli/bench/end_internal.h"
#include "cli/bench/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLICE_NS        (100 * WEFT_NS_PER_MS) /* how late an interrupt may be noticed */
#define PATIENCE_SLICES 600

/* -- endpoints -- */

/* In another process; with adapter self the peer is the one that was connected. Kept until ep_close: the main
 * thread may be about to send to it when it goes down. */
static void on_up(void *ctx, struct ep_peer *peer) {
    struct bench_end *e = ctx;
    if (e->alone) return;
    ep_peer_keep(peer);
    e->peer = peer;
}

static void on_down(void *ctx, struct ep_peer *peer, int status) {
    struct bench_end *e = ctx;
    atomic_store(&e->down, status ? status : WEFT_E_PEER_LOST);
}

static void on_ready(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    if (msg->header_bytes != sizeof e->ready_status) return;
    memcpy(&e->ready_status, msg->header, sizeof e->ready_status);
    atomic_store(&e->ready, true);
}

static void on_usage(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    if (msg->header_bytes != sizeof e->usage_ns) return;
    memcpy(&e->usage_ns, msg->header, sizeof e->usage_ns);
    atomic_fetch_add(&e->usage_answers, 1);
}

/* Shared by all ends of this run, where they encrypt. */
static uint8_t key[EP_KEY_BYTES];
static bool has_key;

static int make_key(const struct bench_options *o) {
    const char *security = o->security ? o->security : weft_option_string("security");
    has_key = !strcmp(security, "aes");
    if (!has_key || getrandom(key, sizeof key, 0) == sizeof key) return 0;
    return WEFT_E_IO;
}

int bench_end_endpoint(struct bench_end *e, const struct bench_options *o, bool accept) {
    struct ep_config c = {.adapters = o->adapter,
                          .bind_host = o->host[e->control >= 0],
                          .security = o->security,
                          .key = has_key ? key : NULL,
                          .accept = accept,
                          .on_peer_up = on_up,
                          .on_peer_down = on_down,
                          .ctx = e};
    c.handlers[ON_PING] = (struct ep_handler){.on_header = bench_on_ping, .ctx = e};
    c.handlers[ON_PONG] = (struct ep_handler){.on_header = bench_on_pong, .ctx = e};
    c.handlers[ON_DATA] = (struct ep_handler){.on_header = bench_on_data, .ctx = e};
    c.handlers[ON_BULK] = (struct ep_handler){.on_header = bench_on_bulk, .ctx = e};
    c.handlers[ON_SETUP] = (struct ep_handler){.on_header = bench_on_setup, .ctx = e};
    c.handlers[ON_READY] = (struct ep_handler){.on_header = on_ready, .ctx = e};
    c.handlers[ON_STREAM] = (struct ep_handler){.on_header = bench_on_stream, .ctx = e};
    c.handlers[ON_USAGE_ASKED] = (struct ep_handler){.on_header = bench_on_usage_asked, .ctx = e};
    c.handlers[ON_USAGE] = (struct ep_handler){.on_header = on_usage, .ctx = e};
    return ep_open(&e->ep, &c);
}

int bench_end_address(struct bench_end *e, struct bench_hello *h) {
    size_t len = sizeof h->address;
    int rc = ep_address(e->ep, h->address, &len);
    h->address_bytes = (uint32_t)len;
    return rc;
}

/* -- opening and closing -- */

static void enter_netns(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && setns(fd, CLONE_NEWNET) == 0) {
        close(fd);
        return;
    }
    fprintf(stderr, "weft: network namespace %s: %m\n", name);
    _exit(1);
}

static int start_other(struct bench_end *e, const struct bench_options *o) {
    struct bench_other other = {0};
    int rc = bench_process_start(&other.pid, &other.control);
    if (rc) return rc;
    if (other.pid == 0) {
        /* An inherited end of another's socket would keep that one from noticing the first process's death.
         */
        for (uint32_t i = 0; i < e->others; i++) close(e->other[i].control);
        e->others = 0;
        e->control = other.control;
        if (o->netns) enter_netns(o->netns);
        bench_other_main(e, o);
    }
    e->other[e->others++] = other;
    return 0;
}

static int hear_address(const struct bench_other *other, struct bench_hello *h) {
    char go = BENCH_GO;
    ssize_t n = send(other->control, &go, 1, MSG_NOSIGNAL);
    while (n == 1 && (n = recv(other->control, h, sizeof *h, 0)) < 0 && errno == EINTR) {
        if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
        n = 1;
    }
    if (n != sizeof *h || h->address_bytes > sizeof h->address) return WEFT_E_PEER_LOST;
    return h->status;
}

static bool is_up(void *arg) {
    struct bench_end *e = arg;
    return ep_peer_is_up(e->peer) || atomic_load(&e->down);
}

static int connect_to(struct bench_end *e, struct bench_other *other) {
    struct bench_hello h = {0};
    int rc = other ? hear_address(other, &h) : bench_end_address(e, &h);
    if (!rc) rc = ep_connect(e->ep, h.address, h.address_bytes, NULL, &e->peer);
    if (!rc) rc = bench_end_wait(e, is_up, e);
    if (other) other->peer = e->peer;
    return rc;
}

int bench_end_open(struct bench_end *e, const struct bench_options *o, uint32_t others) {
    *e = (struct bench_end){.control = -1, .alone = !strcmp(o->adapter, "self")};
    int rc = make_key(o);
    for (uint32_t i = 0; i < others && !e->alone && !rc; i++) rc = start_other(e, o);
    if (!rc) {
        if (o->pin) bench_process_pin(o->cpu[0]);
        rc = bench_end_endpoint(e, o, e->alone);
        if (rc) fprintf(stderr, "weft: adapter %s does not open here: %s\n", o->adapter, weft_error_text(rc));
        if (rc) return rc;
    }
    if (!rc && e->alone) rc = connect_to(e, NULL);
    for (uint32_t i = 0; i < e->others && !rc; i++) rc = connect_to(e, &e->other[i]);
    if (!rc && e->others) bench_end_turn_to(e, 0);
    if (rc && rc != WEFT_E_INTR)
        fprintf(stderr, "weft: no connection over %s: %s\n", o->adapter, weft_error_text(rc));
    return rc;
}

void bench_end_close(struct bench_end *e) {
    for (uint32_t i = 0; i < e->others; i++) bench_process_say(e->other[i].control);
    if (e->ep) ep_close(e->ep, 100);
    for (uint32_t i = 0; i < e->others; i++) {
        close(e->other[i].control);
        bench_process_await(e->other[i].pid);
    }
    e->out = e->bulk = NULL; /* ep_close has freed them */
    bench_buffers_free(e);
    bench_bulk_free(e);
}

void bench_end_turn_to(struct bench_end *e, uint32_t other) { e->peer = e->other[other].peer; }

/* -- waiting -- */

bool bench_end_is_drained(void *arg) { return atomic_load(&((struct bench_end *)arg)->in_flight) == 0; }

static int why_not(const struct bench_end *e) {
    if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
    if (atomic_load(&e->failed)) return atomic_load(&e->failed);
    return atomic_load(&e->work) == WORK_END ? WEFT_E_PEER_LOST : 0;
}

/* The clock is read only when a slice is over: a short round trip must not pay for it. */
int bench_end_wait(struct bench_end *e, bool (*done)(void *arg), void *arg) {
    for (int slices = 0; slices < PATIENCE_SLICES; slices++) {
        int rc = ep_wait(e->ep, done, arg, e->slice_end_ns);
        if (atomic_load(&e->down)) return atomic_load(&e->down);
        if (rc != WEFT_E_TIMEDOUT) return rc;
        rc = why_not(e);
        if (rc) return rc;
        e->slice_end_ns = weft_now_ns() + SLICE_NS;
    }
    return WEFT_E_TIMEDOUT;
}

/* -- what the first process asks of the other -- */

static bool is_ready(void *arg) { return atomic_load(&((struct bench_end *)arg)->ready); }

int bench_end_setup(struct bench_end *e, uint64_t size, uint32_t window, bool written) {
    struct bench_setup s = {.size = size, .window = window, .written = written};
    int rc = bench_end_wait(e, bench_end_is_drained, e);
    if (!rc) rc = bench_buffers_make(e, size, window, written);
    for (uint32_t i = 0; i < e->others && !rc; i++) {
        bench_end_turn_to(e, i);
        atomic_store(&e->ready, false);
        rc = ep_send(e->peer, &(struct ep_send){.handler = ON_SETUP, .header = &s, .header_bytes = sizeof s});
        if (!rc) rc = bench_end_wait(e, is_ready, e);
        if (!rc) rc = e->ready_status;
    }
    if (e->others) bench_end_turn_to(e, 0);
    return rc;
}

uint64_t bench_end_used_ns(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * WEFT_NS_PER_S +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * WEFT_NS_PER_US;
}

static bool is_told(void *arg) {
    struct bench_wait *w = arg;
    return atomic_load(&w->e->usage_answers) >= w->wanted;
}

int bench_end_usage(struct bench_end *e, uint64_t *here_ns, uint64_t *there_ns) {
    struct bench_wait w = {.e = e, .wanted = atomic_load(&e->usage_answers) + 1};
    int rc = ep_send(e->peer, &(struct ep_send){.handler = ON_USAGE_ASKED});
    if (!rc) rc = bench_end_wait(e, is_told, &w);
    *there_ns = e->usage_ns;
    *here_ns = bench_end_used_ns();
    return rc;
}
