/* The line of a process to its daemon: connecting, matching answers to requests, passing on news. With an
 * endpoint the socket is watched by its progress loop; without one, whoever waits for an answer reads it. */
#include "node/client.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "node/client_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SEND_TIMEOUT_MS 5000u
#define OUT_MAX         (1u << 20)

/* --- answers and news --- */

static struct client_waiter *find_waiter(struct node_client *c, uint32_t request) {
    weft_list_for_each(it, &c->waiters) {
        struct client_waiter *w = weft_list_entry(it, struct client_waiter, link);
        if (w->request == request) return w;
    }
    return NULL;
}

/* Takes the waiter out and fills it in. A waiting caller may go on, and the waiter be gone, as soon as done
 * is set and the lock is free. Returns the waiter if its callback is still to be run. Called with the lock
 * held. */
static struct client_waiter *complete(struct client_waiter *w, int status) {
    weft_list_remove(&w->link);
    w->status = status;
    bool callback = w->finish != NULL;
    atomic_store(&w->done, true);
    return callback ? w : NULL;
}

static void finish(struct node_client *c, struct client_waiter *w) {
    w->finish(c, w);
    free(w->body);
    free(w);
}

static int on_reply(struct node_client *c, struct node_frame *f) {
    int status = (int)(int32_t)weft_get_u32(&f->body);
    char reason[NODE_REASON_MAX];
    node_get_reason(&f->body, reason);
    size_t left = weft_reader_left(&f->body);
    const void *rest = weft_get_bytes(&f->body, left);
    if (f->body.failed || status > 0) return WEFT_E_PROTO;

    pthread_mutex_lock(&c->lock);
    struct client_waiter *w = find_waiter(c, f->request);
    struct client_waiter *callback = NULL;
    if (w) {
        memcpy(w->reason, reason, sizeof reason);
        if (left > w->room_bytes) {
            free(w->body);
            w->body = malloc(left);
        }
        if (left && w->body) memcpy(w->body, rest, left);
        w->body_bytes = w->body ? left : 0;
        callback = complete(w, left && !w->body ? WEFT_E_NOMEM : status);
    }
    pthread_mutex_unlock(&c->lock);
    if (callback) finish(c, callback);
    return WEFT_OK;
}

static int on_frame(struct node_client *c, struct node_frame *f) {
    if (f->type == NODE_REPLY) return on_reply(c, f);
    struct node_process p = {.node = weft_get_u32(&f->body)};
    if (f->type == NODE_NEWS_PROCESS) p.process = weft_get_u32(&f->body);
    char reason[NODE_REASON_MAX] = "";
    if (f->type != NODE_NEWS_UP) node_get_reason(&f->body, reason);
    if (f->body.failed) return WEFT_E_PROTO;
    switch (f->type) {
    case NODE_NEWS_UP:
        if (c->cb.on_node_up) c->cb.on_node_up(c->cb.ctx, p.node);
        return WEFT_OK;
    case NODE_NEWS_DOWN:
        if (c->cb.on_node_down) c->cb.on_node_down(c->cb.ctx, p.node, reason);
        return WEFT_OK;
    case NODE_NEWS_PROCESS:
        if (c->cb.on_process_down) c->cb.on_process_down(c->cb.ctx, p, reason);
        return WEFT_OK;
    default: return WEFT_E_PROTO;
    }
}

/* Ends every request under way with an error; callbacks run without the lock. */
static void fail_all(struct node_client *c, int status, const char *reason) {
    for (;;) {
        pthread_mutex_lock(&c->lock);
        struct client_waiter *callback = NULL;
        while (!callback && !weft_list_empty(&c->waiters)) {
            struct client_waiter *w = weft_list_entry(c->waiters.next, struct client_waiter, link);
            snprintf(w->reason, sizeof w->reason, "%s", reason);
            callback = complete(w, status);
        }
        pthread_mutex_unlock(&c->lock);
        if (!callback) break;
        finish(c, callback);
    }
    if (c->ep) ep_wake(c->ep);
}

static void lose_daemon(struct node_client *c, int rc) {
    if (atomic_exchange(&c->lost, true)) return;
    if (rc == WEFT_E_PROTO)
        weft_error("node", "the daemon sent what this side cannot read; its line is closed");
    if (c->ep) ep_unwatch(c->ep, c->stream.fd);
    fail_all(c, WEFT_E_PEER_LOST, "the daemon of this node is gone");
    if (c->cb.on_daemon_down) c->cb.on_daemon_down(c->cb.ctx);
}

/* Reads and handles what has come. */
static void drain(struct node_client *c) {
    int rc = WEFT_OK;
    while (rc == WEFT_OK && !atomic_load(&c->lost)) {
        rc = node_stream_fill(&c->stream);
        struct node_frame f;
        int got = 0, handled = WEFT_OK;
        while (handled == WEFT_OK && (got = node_stream_next(&c->stream, &f)) > 0) handled = on_frame(c, &f);
        if (handled != WEFT_OK)
            rc = handled;
        else if (got < 0)
            rc = got;
    }
    /* What there was no memory for is still in the socket. */
    if (rc != WEFT_OK && rc != WEFT_E_AGAIN && rc != WEFT_E_NOMEM)
        lose_daemon(c, rc);
    else if (c->ep)
        ep_wake(c->ep);
}

static void on_readable(void *arg, int fd) { drain(arg); }

/* --- requests --- */

int client_post(struct node_client *c, enum node_request type, const struct weft_writer *body,
                struct client_waiter *w) {
    if (atomic_load(&c->lost)) return WEFT_E_PEER_LOST;
    pthread_mutex_lock(&c->lock);
    w->request = c->next_request++;
    int rc = node_stream_put(&c->stream, (uint8_t)type, w->request, body);
    if (rc == WEFT_OK) {
        weft_list_push_back(&c->waiters, &w->link);
        rc = node_stream_flush_wait(&c->stream, SEND_TIMEOUT_MS);
        if (rc != WEFT_OK) weft_list_remove(&w->link);
    }
    pthread_mutex_unlock(&c->lock);
    return rc == WEFT_E_CLOSED ? WEFT_E_PEER_LOST : rc;
}

static bool is_done(void *arg) { return atomic_load(&((struct client_waiter *)arg)->done); }

/* Without an endpoint: one caller at a time reads the socket, for all; the others sleep until their answer is
 * there or the reader has gone. `w` NULL: reads once what is there. */
static bool pump_begin(struct node_client *c, struct client_waiter *w, uint64_t deadline_ns) {
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / WEFT_NS_PER_S),
                             .tv_nsec = (long)(deadline_ns % WEFT_NS_PER_S)};
    pthread_mutex_lock(&c->lock);
    while (c->pumping && !(w && is_done(w)))
        if (pthread_cond_timedwait(&c->pumped, &c->lock, &until) == ETIMEDOUT) break;
    bool mine = !c->pumping;
    if (mine) c->pumping = true;
    pthread_mutex_unlock(&c->lock);
    return mine;
}

static void pump_tell(struct node_client *c, bool end) {
    pthread_mutex_lock(&c->lock);
    if (end) c->pumping = false;
    pthread_cond_broadcast(&c->pumped);
    pthread_mutex_unlock(&c->lock);
}

static void pump(struct node_client *c, struct client_waiter *w, uint64_t deadline_ns) {
    if (!pump_begin(c, w, deadline_ns)) return;
    while (!is_done(w) && !atomic_load(&c->lost)) {
        uint64_t now = weft_now_ns();
        if (now >= deadline_ns) break;
        uint64_t left_ms = (deadline_ns - now) / WEFT_NS_PER_MS + 1;
        struct pollfd p = {.fd = c->stream.fd, .events = POLLIN};
        if (poll(&p, 1, left_ms > 60000 ? 60000 : (int)left_ms) <= 0) continue;
        drain(c);
        pump_tell(c, false);
    }
    pump_tell(c, true);
}

int client_call(struct node_client *c, enum node_request type, const struct weft_writer *body,
                unsigned timeout_ms, struct client_waiter *w) {
    uint64_t deadline = weft_now_ns() + timeout_ms * WEFT_NS_PER_MS;
    int rc = client_post(c, type, body, w);
    if (rc == WEFT_E_PEER_LOST && !c->ep && pump_begin(c, NULL, deadline)) {
        if (!atomic_load(&c->lost)) drain(c); /* its last news, and then its end: nobody else reads them */
        pump_tell(c, true);
    }
    if (rc != WEFT_OK) return rc;
    if (c->ep)
        ep_wait(c->ep, is_done, w, deadline);
    else
        pump(c, w, deadline);
    pthread_mutex_lock(&c->lock);
    if (!is_done(w)) {
        weft_list_remove(&w->link);
        w->status = atomic_load(&c->lost) ? WEFT_E_PEER_LOST : WEFT_E_TIMEDOUT;
    }
    pthread_mutex_unlock(&c->lock);
    return w->status;
}

/* --- open and close --- */

static int say_hello(struct node_client *c, enum node_kind kind) {
    uint8_t buf[1024], address[EP_ADDRESS_MAX];
    size_t address_bytes = sizeof address;
    int rc = c->ep ? ep_address(c->ep, address, &address_bytes) : WEFT_OK;
    if (rc != WEFT_OK) return rc;
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u32(&w, NODE_PROTOCOL_MAGIC);
    weft_put_u16(&w, NODE_PROTOCOL_VERSION);
    weft_put_u8(&w, (uint8_t)kind);
    weft_put_blob(&w, address, c->ep ? address_bytes : 0);
    struct weft_reader r;
    rc = client_first_request(&c->stream, NODE_HELLO, &w, buf, sizeof buf, &r);
    if (rc != WEFT_OK) return rc;
    c->self.node = weft_get_u32(&r);
    c->self.process = weft_get_u32(&r);
    return r.failed ? WEFT_E_PROTO : WEFT_OK;
}

int node_client_open(struct node_client **out, struct ep *ep, const char *socket_path, enum node_kind kind,
                     const struct node_callbacks *cb) {
    struct node_client *c = calloc(1, sizeof *c);
    if (!c) return WEFT_E_NOMEM;
    c->ep = ep;
    if (cb) c->cb = *cb;
    c->next_request = 1;
    weft_list_init(&c->waiters);
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->pumped, &attr);
    pthread_condattr_destroy(&attr);
    int fd = -1;
    int rc = client_connect(socket_path, &fd);
    node_stream_init(&c->stream, fd, NODE_DAEMON_FRAME_MAX, OUT_MAX);
    if (rc == WEFT_OK) rc = say_hello(c, kind);
    if (rc == WEFT_OK && ep) rc = ep_watch(ep, fd, on_readable, c);
    if (rc == WEFT_OK) {
        *out = c;
        return WEFT_OK;
    }
    node_stream_fini(&c->stream);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->pumped);
    free(c);
    return rc;
}

void node_client_endpoint_closed(struct node_client *c) { c->ep = NULL; }

void node_client_close(struct node_client *c) {
    if (!c) return;
    if (!atomic_exchange(&c->lost, true) && c->ep) ep_unwatch(c->ep, c->stream.fd);
    fail_all(c, WEFT_E_CLOSED, "the line to the daemon was closed");
    node_stream_fini(&c->stream);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->pumped);
    free(c);
}

struct node_process node_client_self(const struct node_client *c) {
    return c->self;
}

int node_client_descriptor(const struct node_client *c) {
    return atomic_load(&c->lost) ? -1 : c->stream.fd;
}
