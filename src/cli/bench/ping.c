/* Round trips: each is begun when the one before is over, and the data of the next is written meanwhile. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/end_internal.h"

#include <string.h>

#define COPY_MAX 4096 /* no more than that is copied by ep_send: cheaper than minding its buffer */

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
    atomic_store(&b->busy, false);
    if (e->pong_pending && b == next_buffer(e, PONGS)) send_pong(e);
    atomic_fetch_sub(&e->in_flight, 1); /* last: now the buffers may be replaced */
}

/* Sends the buffer whose turn it is, and writes the next one while this is under way: once the other end has
 * it, the answer waits for this end, which would be writing. What never changes may be sent again before it
 * is done with; memory is only given back when all is done (in_flight). */
static int send_ping(struct bench_end *e, enum lane lane) {
    struct bench_buffer *b = next_buffer(e, lane);
    bool copy = e->size <= COPY_MAX;
    struct ep_send s = {.handler = lane == PINGS ? ON_PING : ON_PONG,
                        .data = b->data,
                        .data_bytes = e->size,
                        .copy = copy && e->size,
                        .on_done = copy ? NULL : ping_done,
                        .arg = b};
    if (e->written) bench_buffer_write(b, e->size);
    b->fresh = !e->written;
    atomic_store(&b->busy, e->written && !copy);
    if (!copy) atomic_fetch_add(&e->in_flight, 1);
    int rc = ep_send(e->peer, &s);
    if (rc) {
        atomic_store(&b->busy, false);
        if (!copy) atomic_fetch_sub(&e->in_flight, 1);
        return rc;
    }
    e->turn[lane]++;
    b = next_buffer(e, lane);
    if (!atomic_load(&b->busy)) bench_buffer_write(b, e->size);
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

/* Takes a message into `to`, whichever way it comes. */
void bench_take(struct bench_end *e, const struct ep_msg *msg, struct ep_sink *sink, uint8_t *to,
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

void bench_on_ping(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    if (e->window)
        bench_take(e, msg, sink, e->in, ping_data);
    else
        atomic_store(&e->failed, WEFT_E_PROTO); /* there is nothing set up to answer from */
}

void bench_on_pong(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    bench_take(e, msg, sink, e->in, pong_data);
}

static bool is_answered(void *arg) {
    struct bench_wait *w = arg;
    return atomic_load_explicit(&w->e->answers, memory_order_acquire) >= w->wanted;
}

static int next_free(struct bench_end *e) {
    struct bench_buffer *b = next_buffer(e, PINGS);
    return bench_buffer_is_free(b) ? 0 : bench_end_wait(e, bench_buffer_is_free, b);
}

int bench_end_trips(struct bench_end *e, uint32_t trips, uint64_t *ns) {
    int rc = next_free(e);
    if (e->written && !rc) bench_buffer_write(next_buffer(e, PINGS), e->size);
    uint64_t before = weft_now_ns();
    for (uint32_t i = 0; i < trips && !rc; i++) {
        struct bench_wait w = {.e = e, .wanted = atomic_load(&e->answers) + 1};
        if (i) rc = next_free(e);
        if (!rc) rc = send_ping(e, PINGS);
        if (!rc) rc = bench_end_wait(e, is_answered, &w);
    }
    *ns = weft_now_ns() - before;
    return rc;
}
