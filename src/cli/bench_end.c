/* The two ends of a benchmark: two processes on two CPUs, each with an endpoint of the wanted adapter, made
 * as any program would make it. The first measures; the second answers pings, takes in what is streamed to
 * it, and streams when it is told to. With adapter self both are one process that is its own peer. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench.h"
#include "node/rundir.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLICE_NS    (100 * WEFT_NS_PER_MS) /* how late an interrupt may be noticed */
#define PATIENCE_NS (60 * WEFT_NS_PER_S)
#define COPY_MAX    256  /* smaller data is copied by ep_send: cheaper than minding its buffer */
#define MORE_MAX    1024 /* of smaller messages several may share a packet */
#define EARLY_WRITE (64u << 10)
#define GO          'g' /* first word on the socket */
#define END         'e' /* last one */

enum handler { ON_PING, ON_PONG, ON_DATA, ON_SETUP, ON_READY, ON_STREAM, ON_USAGE_ASKED, ON_USAGE };
enum work { WORK_NONE, WORK_SETUP, WORK_STREAM, WORK_END };

/* Between the processes, on the socket and in headers: both run the same program. */
struct hello {
    int status;
    uint32_t address_bytes;
    uint8_t address[EP_ADDRESS_MAX];
};
struct setup {
    uint64_t size;
    uint32_t window;
    uint32_t written;
};

/* -- pings -- */

enum lane { PINGS, PONGS };

/* The buffer whose turn it is. An end that is its own peer sends pings and pongs, from buffers of their own.
 */
static struct bench_buffer *next_buffer(struct bench_end *e, enum lane lane) {
    uint32_t span = e->alone ? e->window / 2 : e->window;
    return &e->buffer[(e->alone && lane == PONGS ? span : 0) + e->turn[lane] % span];
}

static void send_pong(struct bench_end *e);

static void ping_done(void *arg, int status) {
    struct bench_buffer *b = arg;
    struct bench_end *e = b->end;
    if (status) atomic_store(&e->failed, status);
    /* The other end has all of it, and is busy with its own buffer: the time to write here is not measured.
     */
    if (e->written && e->size > EARLY_WRITE) bench_buffer_write(b, e->size);
    atomic_store(&b->busy, false);
    if (e->pong_pending && b == next_buffer(e, PONGS)) send_pong(e);
    atomic_fetch_sub(&e->in_flight, 1); /* last: now the buffers may be replaced */
}

/* Sends the buffer whose turn it is, and writes the next one while this is under way. What never changes may
 * be sent again before it is done with; memory is only given back when all is done (in_flight). */
static int send_ping(struct bench_end *e, enum lane lane) {
    struct bench_buffer *b = next_buffer(e, lane);
    bool copy = e->written && e->size <= COPY_MAX;
    struct ep_send s = {.handler = lane == PINGS ? ON_PING : ON_PONG,
                        .data = b->data,
                        .data_bytes = e->size,
                        .copy = copy && e->size,
                        .on_done = copy ? NULL : ping_done,
                        .arg = b};
    if (e->written) bench_buffer_write(b, e->size);
    b->fresh = !e->written;
    atomic_store(&b->busy, e->written && !copy);
    atomic_fetch_add(&e->in_flight, !copy);
    int rc = ep_send(e->peer, &s);
    if (rc) {
        atomic_store(&b->busy, false);
        atomic_fetch_sub(&e->in_flight, !copy);
        return rc;
    }
    e->turn[lane]++;
    b = next_buffer(e, lane);
    if (e->size <= EARLY_WRITE && !atomic_load(&b->busy)) bench_buffer_write(b, e->size);
    return 0;
}

static void send_pong(struct bench_end *e) {
    e->pong_pending = atomic_load(&next_buffer(e, PONGS)->busy);
    if (e->pong_pending) return;
    int rc = send_ping(e, PONGS);
    if (rc) atomic_store(&e->failed, rc);
}

static void ping_data(void *arg, int status) {
    struct bench_end *e = arg;
    if (!status) send_pong(e);
}

static void pong_data(void *arg, int status) {
    struct bench_end *e = arg;
    if (!status) atomic_fetch_add_explicit(&e->answers, 1, memory_order_release);
}

static void stream_data(void *arg, int status) {
    struct bench_end *e = arg;
    if (!status) atomic_fetch_add_explicit(&e->received, 1, memory_order_release);
}

/* Takes a message into `to`, whichever way it comes. */
static void take(struct bench_end *e, const struct ep_msg *msg, struct ep_sink *sink, uint8_t *to,
                 void (*then)(void *arg, int status)) {
    if (msg->data_bytes != e->size) {
        atomic_store(&e->failed, WEFT_E_PROTO);
    } else if (msg->data || !msg->data_bytes) {
        if (msg->data_bytes) memcpy(to, msg->data, (size_t)msg->data_bytes);
        then(e, WEFT_OK);
    } else {
        *sink = (struct ep_sink){.buf = to, .on_data = then, .arg = e};
    }
}

static void on_ping(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    take(e, msg, sink, e->in, ping_data);
}

static void on_pong(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    take(e, msg, sink, e->in, pong_data);
}

static void on_data(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    uint32_t slot = UINT32_MAX;
    if (msg->header_bytes == sizeof slot) memcpy(&slot, msg->header, sizeof slot);
    if (slot < e->window)
        take(e, msg, sink, e->in + (e->buffer[slot].data - e->out), stream_data);
    else
        atomic_store(&e->failed, WEFT_E_PROTO);
}

/* -- what the first process asks of the other -- */

static void on_setup(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    struct setup s;
    if (msg->header_bytes != sizeof s) return;
    memcpy(&s, msg->header, sizeof s);
    e->work_size = s.size;
    e->work_window = s.window;
    e->work_written = s.written;
    atomic_store(&e->work, WORK_SETUP);
}

static void on_ready(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    if (msg->header_bytes != sizeof e->ready_status) return;
    memcpy(&e->ready_status, msg->header, sizeof e->ready_status);
    atomic_store(&e->ready, true);
}

static void on_stream(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    if (msg->header_bytes != sizeof e->work_count) return;
    memcpy(&e->work_count, msg->header, sizeof e->work_count);
    atomic_store(&e->work, WORK_STREAM);
}

static uint64_t used_ns(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * WEFT_NS_PER_S +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * WEFT_NS_PER_US;
}

static void on_usage_asked(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    uint64_t ns = used_ns();
    ep_send(peer, &(struct ep_send){.handler = ON_USAGE, .header = &ns, .header_bytes = sizeof ns});
}

static void on_usage(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    if (msg->header_bytes != sizeof e->usage_ns) return;
    memcpy(&e->usage_ns, msg->header, sizeof e->usage_ns);
    atomic_fetch_add(&e->usage_answers, 1);
}

/* -- endpoints -- */

/* In the other process: with adapter self the peer is the one that was connected. */
static void on_up(void *ctx, struct ep_peer *peer) {
    struct bench_end *e = ctx;
    if (!e->alone) e->peer = peer;
}

static void on_down(void *ctx, struct ep_peer *peer, int status) {
    struct bench_end *e = ctx;
    atomic_store(&e->down, status ? status : WEFT_E_PEER_LOST);
}

static int open_endpoint(struct bench_end *e, const char *adapter, bool accept) {
    struct ep_config c = {
        .adapters = adapter, .accept = accept, .on_peer_up = on_up, .on_peer_down = on_down, .ctx = e};
    c.handlers[ON_PING] = (struct ep_handler){.on_header = on_ping, .ctx = e};
    c.handlers[ON_PONG] = (struct ep_handler){.on_header = on_pong, .ctx = e};
    c.handlers[ON_DATA] = (struct ep_handler){.on_header = on_data, .ctx = e};
    c.handlers[ON_SETUP] = (struct ep_handler){.on_header = on_setup, .ctx = e};
    c.handlers[ON_READY] = (struct ep_handler){.on_header = on_ready, .ctx = e};
    c.handlers[ON_STREAM] = (struct ep_handler){.on_header = on_stream, .ctx = e};
    c.handlers[ON_USAGE_ASKED] = (struct ep_handler){.on_header = on_usage_asked, .ctx = e};
    c.handlers[ON_USAGE] = (struct ep_handler){.on_header = on_usage, .ctx = e};
    return ep_open(&e->ep, &c);
}

static int own_address(struct bench_end *e, struct hello *h) {
    size_t len = sizeof h->address;
    int rc = ep_address(e->ep, h->address, &len);
    h->address_bytes = (uint32_t)len;
    return rc;
}

static void pin(int cpu) {
    if (cpu < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) fprintf(stderr, "weft: cannot stay on CPU %d: %m\n", cpu);
}

/* -- the other process -- */

static bool is_drained(void *arg) { return atomic_load(&((struct bench_end *)arg)->in_flight) == 0; }

static void on_control(void *arg, int fd) {
    struct bench_end *e = arg;
    char byte;
    e->told_end = recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
    ep_unwatch(e->ep, fd);
    atomic_store(&e->work, WORK_END);
}

static bool has_work(void *arg) {
    struct bench_end *e = arg;
    return atomic_load_explicit(&e->work, memory_order_acquire) != WORK_NONE || atomic_load(&e->down);
}

static void serve(struct bench_end *e) {
    for (;;) {
        ep_wait(e->ep, has_work, e, WEFT_TIME_NEVER);
        int work = atomic_load(&e->work);
        if (work == WORK_END || atomic_load(&e->down)) return;
        /* Before the work: WORK_END may come meanwhile, and must stay. */
        atomic_compare_exchange_strong(&e->work, &work, WORK_NONE);
        if (work == WORK_SETUP) {
            int rc = bench_end_wait(e, is_drained, e);
            if (!rc) rc = bench_buffers_make(e, e->work_size, e->work_window, e->work_written);
            ep_send(e->peer,
                    &(struct ep_send){.handler = ON_READY, .header = &rc, .header_bytes = sizeof rc});
        } else if (work == WORK_STREAM) {
            bench_end_stream(e, e->work_count);
        }
    }
}

/* Ends when the first process says so or is gone, and cleans up after one that was killed. */
static _Noreturn void be_the_other(struct bench_end *e, const struct bench_options *o) {
    char go;
    struct hello h = {0};
    signal(SIGINT, SIG_IGN); /* a terminal sends them to both: the first process decides */
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    pid_t first = getppid();
    if (recv(e->control, &go, 1, 0) != 1 || go != GO) _exit(0);
    if (o->pin) pin(o->cpu[1]);
    h.status = open_endpoint(e, o->adapter, true);
    if (!h.status) h.status = own_address(e, &h);
    if (send(e->control, &h, sizeof h, MSG_NOSIGNAL) != sizeof h || h.status) _exit(1);
    if (!ep_watch(e->ep, e->control, on_control, e)) serve(e);
    if (!e->told_end) e->told_end = recv(e->control, &go, 1, 0) == 1;
    ep_close(e->ep, 100);
    char run_dir[WEFT_PATH_MAX];
    if (!e->told_end && !weft_run_dir(run_dir, sizeof run_dir)) node_rundir_clean_process(run_dir, first);
    _exit(0);
}

/* -- the first process -- */

static int start_other(struct bench_end *e, const struct bench_options *o) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return weft_error_from_errno(errno);
    fflush(NULL);
    e->child = fork();
    if (e->child < 0) {
        int rc = weft_error_from_errno(errno);
        close(pair[0]);
        close(pair[1]);
        e->child = 0;
        return rc;
    }
    e->control = pair[e->child == 0];
    close(pair[e->child != 0]);
    if (e->child == 0) be_the_other(e, o);
    return 0;
}

static int hear_address(struct bench_end *e, struct hello *h) {
    char go = GO;
    ssize_t n = send(e->control, &go, 1, MSG_NOSIGNAL);
    while (n == 1 && (n = recv(e->control, h, sizeof *h, 0)) < 0 && errno == EINTR) {
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

int bench_end_open(struct bench_end *e, const struct bench_options *o) {
    struct hello h = {0};
    bool alone = e->alone = !strcmp(o->adapter, "self");
    e->control = -1;
    int rc = alone ? 0 : start_other(e, o);
    if (!rc) {
        if (o->pin) pin(o->cpu[0]);
        rc = open_endpoint(e, o->adapter, alone);
        if (rc) fprintf(stderr, "weft: adapter %s does not open here: %s\n", o->adapter, weft_error_text(rc));
        if (rc) return rc;
        rc = alone ? own_address(e, &h) : hear_address(e, &h);
    }
    if (!rc) rc = ep_connect(e->ep, h.address, h.address_bytes, NULL, &e->peer);
    if (!rc) rc = bench_end_wait(e, is_up, e);
    if (rc && rc != WEFT_E_INTR)
        fprintf(stderr, "weft: no connection over %s: %s\n", o->adapter, weft_error_text(rc));
    return rc;
}

void bench_end_close(struct bench_end *e) {
    char end = END;
    if (e->control >= 0) send(e->control, &end, 1, MSG_NOSIGNAL);
    if (e->ep) ep_close(e->ep, 100);
    if (e->control >= 0) close(e->control);
    if (e->child > 0)
        while (waitpid(e->child, NULL, 0) < 0 && errno == EINTR) {
        }
    bench_buffers_free(e);
}

int bench_end_wait(struct bench_end *e, bool (*done)(void *arg), void *arg) {
    uint64_t now = weft_now_ns(), end = now + PATIENCE_NS;
    for (;;) {
        int rc = ep_wait(e->ep, done, arg, now + SLICE_NS);
        if (atomic_load(&e->down)) return atomic_load(&e->down);
        if (rc != WEFT_E_TIMEDOUT) return rc;
        if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
        if (atomic_load(&e->failed)) return atomic_load(&e->failed);
        if (atomic_load(&e->work) == WORK_END) return WEFT_E_PEER_LOST;
        now = weft_now_ns();
        if (now >= end) return WEFT_E_TIMEDOUT;
    }
}

static bool is_ready(void *arg) { return atomic_load(&((struct bench_end *)arg)->ready); }

int bench_end_setup(struct bench_end *e, uint64_t size, uint32_t window, bool written) {
    struct setup s = {.size = size, .window = window, .written = written};
    int rc = bench_end_wait(e, is_drained, e);
    if (!rc) rc = bench_buffers_make(e, size, window, written);
    if (rc || !e->child) return rc;
    atomic_store(&e->ready, false);
    rc = ep_send(e->peer, &(struct ep_send){.handler = ON_SETUP, .header = &s, .header_bytes = sizeof s});
    if (!rc) rc = bench_end_wait(e, is_ready, e);
    return rc ? rc : e->ready_status;
}

struct wait {
    struct bench_end *e;
    unsigned long wanted;
};

static bool is_answered(void *arg) {
    struct wait *w = arg;
    return atomic_load_explicit(&w->e->answers, memory_order_acquire) >= w->wanted;
}

static bool is_free(void *arg) { return !atomic_load(&((struct bench_buffer *)arg)->busy); }

static int next_free(struct bench_end *e) {
    struct bench_buffer *b = next_buffer(e, PINGS);
    return is_free(b) ? 0 : bench_end_wait(e, is_free, b);
}

int bench_end_trips(struct bench_end *e, uint32_t trips, uint64_t *ns) {
    int rc = next_free(e);
    if (e->written && !rc) bench_buffer_write(next_buffer(e, PINGS), e->size);
    uint64_t before = weft_now_ns();
    for (uint32_t i = 0; i < trips && !rc; i++) {
        struct wait w = {.e = e, .wanted = atomic_load(&e->answers) + 1};
        if (i) rc = next_free(e);
        if (!rc) rc = send_ping(e, PINGS);
        if (!rc) rc = bench_end_wait(e, is_answered, &w);
    }
    *ns = weft_now_ns() - before;
    return rc;
}

/* -- streams -- */

static void stream_done(void *arg, int status) {
    struct bench_buffer *b = arg;
    if (status) atomic_store(&b->end->failed, status);
    atomic_store(&b->busy, false);
    atomic_fetch_sub(&b->end->in_flight, 1);
}

static int send_one(struct bench_end *e, uint32_t slot, bool more) {
    struct bench_buffer *b = &e->buffer[slot];
    struct ep_send s = {.handler = ON_DATA,
                        .header = &slot,
                        .header_bytes = sizeof slot,
                        .data = b->data,
                        .data_bytes = e->size,
                        .more = more && e->size <= MORE_MAX,
                        .on_done = stream_done,
                        .arg = b};
    int rc = is_free(b) ? 0 : bench_end_wait(e, is_free, b);
    if (rc) return rc;
    if (e->written) bench_buffer_write(b, e->size);
    b->fresh = false;
    atomic_store(&b->busy, true);
    atomic_fetch_add(&e->in_flight, 1);
    while ((rc = ep_send(e->peer, &s)) == WEFT_E_LIMIT) ep_progress(e->ep);
    if (rc) {
        atomic_store(&b->busy, false);
        atomic_fetch_sub(&e->in_flight, 1);
    }
    return rc;
}

static bool is_received(void *arg) {
    struct wait *w = arg;
    return atomic_load_explicit(&w->e->received, memory_order_acquire) >= w->wanted;
}

int bench_end_stream(struct bench_end *e, uint64_t count) {
    struct wait w = {.e = e, .wanted = atomic_load(&e->received) + count};
    int rc = 0;
    for (uint64_t i = 0; i < count && !rc; i++) rc = send_one(e, (uint32_t)(i % e->window), i + 1 < count);
    if (!rc) rc = bench_end_wait(e, is_drained, e);
    /* "The peer has it all" may be told before the handler ran, which here reads the buffers of this end. */
    return rc || !e->alone ? rc : bench_end_wait(e, is_received, &w);
}

int bench_end_stream_both(struct bench_end *e, uint64_t count) {
    struct wait w = {.e = e, .wanted = atomic_load(&e->received) + count};
    int rc = ep_send(e->peer,
                     &(struct ep_send){.handler = ON_STREAM, .header = &count, .header_bytes = sizeof count});
    if (!rc) rc = bench_end_stream(e, count);
    return rc ? rc : bench_end_wait(e, is_received, &w);
}

static bool is_told(void *arg) {
    struct wait *w = arg;
    return atomic_load(&w->e->usage_answers) >= w->wanted;
}

int bench_end_usage(struct bench_end *e, uint64_t *here_ns, uint64_t *there_ns) {
    struct wait w = {.e = e, .wanted = atomic_load(&e->usage_answers) + 1};
    int rc = ep_send(e->peer, &(struct ep_send){.handler = ON_USAGE_ASKED});
    if (!rc) rc = bench_end_wait(e, is_told, &w);
    *there_ns = e->usage_ns;
    *here_ns = used_ns();
    return rc;
}
