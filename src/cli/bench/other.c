/* The other process of a benchmark: does what the first asks for, until that says so or is gone. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/end_internal.h"
#include "cli/bench/process.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void bench_on_setup(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    struct bench_setup s;
    if (msg->header_bytes != sizeof s) return;
    memcpy(&s, msg->header, sizeof s);
    e->work_size = s.size;
    e->work_window = s.window;
    e->work_written = s.written;
    atomic_store(&e->work, WORK_SETUP);
}

void bench_on_stream(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    if (msg->header_bytes != sizeof e->work_count) return;
    memcpy(&e->work_count, msg->header, sizeof e->work_count);
    atomic_store(&e->work, WORK_STREAM);
}

void bench_on_usage_asked(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    uint64_t ns = bench_end_used_ns();
    ep_send(peer, &(struct ep_send){.handler = ON_USAGE, .header = &ns, .header_bytes = sizeof ns});
}

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

static void set_up(struct bench_end *e) {
    int rc = bench_end_wait(e, bench_end_is_drained, e);
    if (!rc) rc = bench_buffers_make(e, e->work_size, e->work_window, e->work_written);
    ep_send(e->peer, &(struct ep_send){.handler = ON_READY, .header = &rc, .header_bytes = sizeof rc});
}

static void serve(struct bench_end *e) {
    for (;;) {
        ep_wait(e->ep, has_work, e, WEFT_TIME_NEVER);
        int work = atomic_load(&e->work);
        if (work == WORK_END || atomic_load(&e->down)) return;
        /* Before the work: WORK_END may come meanwhile, and must stay. */
        atomic_compare_exchange_strong(&e->work, &work, WORK_NONE);
        if (work == WORK_SETUP)
            set_up(e);
        else if (work == WORK_STREAM && e->window)
            bench_end_stream(e, e->work_count);
        else if (work == WORK_STREAM)
            ep_peer_fail(e->peer, WEFT_E_PROTO); /* there is nothing set up to send */
    }
}

/* Ends when the first process says so or is gone, and cleans up after one that was killed. */
_Noreturn void bench_other_main(struct bench_end *e, const struct bench_options *o) {
    char go;
    struct bench_hello h = {0};
    pid_t first = getppid();
    if (recv(e->control, &go, 1, 0) != 1 || go != BENCH_GO) _exit(0);
    if (o->pin) bench_process_pin(o->cpu[1]);
    h.status = bench_end_endpoint(e, o, true);
    if (!h.status) h.status = bench_end_address(e, &h);
    if (send(e->control, &h, sizeof h, MSG_NOSIGNAL) != sizeof h || h.status) _exit(1);
    if (!ep_watch(e->ep, e->control, on_control, e)) serve(e);
    ep_close(e->ep, 100);
    bench_process_clean_up(e->control, e->told_end, first);
    _exit(0);
}
