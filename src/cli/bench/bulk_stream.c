/* Bulk that moves to the peer while something else is measured: each message that is done sends the next. */
#include "base/error.h"
#include "cli/bench/end_internal.h"

#include <string.h>

#define MESSAGE_MAX (64ul << 20)
#define IN_FLIGHT   2
#define CHANNEL     1

void bench_bulk_free(struct bench_end *e) {
    if (e->bulk) ep_free(e->ep, e->bulk);
    e->bulk_mapped = 0;
    e->bulk = NULL;
}

static int make(struct bench_end *e, size_t bytes) {
    if (bytes <= e->bulk_mapped) return 0;
    bench_bulk_free(e);
    uint8_t *p = ep_alloc(e->ep, bytes);
    if (!p) return WEFT_E_NOMEM;
    memset(p, 1, bytes);
    e->bulk = p;
    e->bulk_mapped = bytes;
    return 0;
}

/* Several messages go to the same place: nobody looks at them. */
void bench_on_bulk(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct bench_end *e = ctx;
    bool first = !e->bulk;
    if (msg->data || msg->data_bytes > MESSAGE_MAX) return;
    /* Memory that others are being received into stays; all but the last message are of one size. */
    int rc = first ? make(e, (size_t)msg->data_bytes) : msg->data_bytes > e->bulk_mapped ? WEFT_E_PROTO : 0;
    if (rc)
        atomic_store(&e->failed, rc);
    else
        sink->buf = e->bulk;
}

static int send_next(struct bench_end *e);

static void bulk_done(void *arg, int status) {
    struct bench_end *e = arg;
    int rc = status ? status : send_next(e);
    if (rc) atomic_store(&e->failed, rc);
    atomic_fetch_sub(&e->bulk_in_flight, 1);
}

static int send_next(struct bench_end *e) {
    uint64_t left = atomic_load(&e->bulk_left), n = left < MESSAGE_MAX ? left : MESSAGE_MAX;
    if (!n) return 0;
    struct ep_send s = {.handler = ON_BULK,
                        .channel = CHANNEL,
                        .data = e->bulk,
                        .data_bytes = n,
                        .on_done = bulk_done,
                        .arg = e};
    atomic_store(&e->bulk_left, left - n);
    atomic_fetch_add(&e->bulk_in_flight, 1);
    int rc = ep_send(e->peer, &s);
    if (rc) atomic_fetch_sub(&e->bulk_in_flight, 1);
    return rc;
}

int bench_end_bulk_start(struct bench_end *e, uint64_t bytes) {
    int rc = make(e, bytes < MESSAGE_MAX ? bytes : MESSAGE_MAX);
    atomic_store(&e->bulk_left, bytes);
    for (int i = 0; i < IN_FLIGHT && !rc; i++) rc = send_next(e);
    return rc;
}

bool bench_end_bulk_is_over(const struct bench_end *e) {
    return !atomic_load(&e->bulk_in_flight) && !atomic_load(&e->bulk_left);
}
