/* Streams: messages one after another, a window of them in flight. */
#include "base/error.h"
#include "cli/bench/end_internal.h"

#include <string.h>

#define MORE_MAX 16384 /* of smaller messages several may share a packet or a system call */

static void stream_data(void *arg, int status) {
    struct bench_end *e = arg;
    if (!status) atomic_fetch_add_explicit(&e->received, 1, memory_order_release);
}

void bench_on_data(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    uint32_t slot = UINT32_MAX;
    if (msg->header_bytes == sizeof slot) memcpy(&slot, msg->header, sizeof slot);
    if (slot < e->window)
        bench_take(e, msg, sink, e->in + (e->buffer[slot].data - e->out), stream_data);
    else
        atomic_store(&e->failed, WEFT_E_PROTO);
}

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
    int rc = bench_buffer_is_free(b) ? 0 : bench_end_wait(e, bench_buffer_is_free, b);
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
    struct bench_wait *w = arg;
    return atomic_load_explicit(&w->e->received, memory_order_acquire) >= w->wanted;
}

int bench_end_stream(struct bench_end *e, uint64_t count) {
    struct bench_wait w = {.e = e, .wanted = atomic_load(&e->received) + count};
    int rc = 0;
    for (uint64_t i = 0; i < count && !rc; i++) rc = send_one(e, (uint32_t)(i % e->window), i + 1 < count);
    if (!rc) rc = bench_end_wait(e, bench_end_is_drained, e);
    /* "The peer has it all" may be told before the handler ran, which here reads the buffers of this end. */
    return rc || !e->alone ? rc : bench_end_wait(e, is_received, &w);
}

int bench_end_stream_both(struct bench_end *e, uint64_t count) {
    struct bench_wait w = {.e = e, .wanted = atomic_load(&e->received) + count};
    int rc = ep_send(e->peer,
                     &(struct ep_send){.handler = ON_STREAM, .header = &count, .header_bytes = sizeof count});
    if (!rc) rc = bench_end_stream(e, count);
    return rc ? rc : bench_end_wait(e, is_received, &w);
}
