/* A recording endpoint for tests. */
#include "transport/ep_fixture.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/path.h"
#include "base/test_data.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const uint8_t *fx_key;
const char *fx_security;

#define PATIENCE_NS (20 * WEFT_NS_PER_S * TEST_SLOWDOWN)

void fx_fill(uint8_t *p, size_t n, uint64_t seed) { test_data_fill(p, n, seed); }
bool fx_holds(const uint8_t *p, size_t n, uint64_t seed) { return test_data_holds(p, n, seed); }

struct incoming {
    struct fx *fx;
    struct ep_peer *peer;
    uint64_t seed;
    size_t len;
    bool echo;
    uint8_t data[];
};

static void on_sent_free(void *arg, int status) {
    struct incoming *in = arg;
    free(in);
}

static void on_data(void *arg, int status) {
    struct incoming *in = arg;
    struct fx *f = in->fx;
    if (status)
        f->bulk_failed++;
    else if (!fx_holds(in->data, in->len, in->seed))
        f->bad_data++;
    struct fx_head h = {0, in->seed};
    struct ep_send s = {.handler = H_BULK,
                        .channel = 1,
                        .header = &h,
                        .header_bytes = sizeof h,
                        .data = in->data,
                        .data_bytes = in->len,
                        .on_done = on_sent_free,
                        .arg = in};
    if (status || !in->echo || ep_send(in->peer, &s)) free(in);
    if (status == 0) f->bulk_done++;
}

static void on_kept(void *arg, int status) {
    struct fx *f = arg;
    f->kept_status = status;
    f->kept_calls++;
}

static void keep_data(struct fx *f, const struct ep_msg *m, struct ep_sink *sink) {
    *sink = (struct ep_sink){f->kept, on_kept, f};
    if (m->handler == H_CANCEL && ep_cancel(f->ep, m->token)) f->send_failed++;
    f->kept_token = m->token;
}

static void receive_data(struct fx *f, struct ep_peer *peer, const struct ep_msg *m, struct ep_sink *sink,
                         const struct fx_head *h) {
    if (m->data_bytes == 0) return;
    if (m->data) {
        if (!fx_holds(m->data, m->data_bytes, h->seed)) f->bad_data++;
        f->bulk_done++;
        return;
    }
    struct incoming *in = malloc(sizeof *in + m->data_bytes);
    *in = (struct incoming){f, peer, h->seed, m->data_bytes, m->handler == H_BULK_ECHO};
    *sink = (struct ep_sink){in->data, on_data, in};
}

static void on_header(void *ctx, struct ep_peer *peer, const struct ep_msg *m, struct ep_sink *sink) {
    struct fx *f = ctx;
    struct fx_head h;
    assert_int_equal(m->header_bytes, sizeof h);
    memcpy(&h, m->header, sizeof h);
    if (m->handler == H_REPLY) {
        f->replies++;
        return;
    }
    if (m->channel < FX_CHANNELS && h.sequence != f->next[m->channel]++) f->disorder++;
    f->received++;
    if (m->handler == H_ECHO) {
        struct ep_send s = {.handler = H_REPLY, .header = &h, .header_bytes = sizeof h};
        if (ep_send(peer, &s)) f->send_failed++;
    }
    if (m->handler == H_KEEP || m->handler == H_CANCEL)
        keep_data(f, m, sink);
    else if (m->handler != H_DISCARD)
        receive_data(f, peer, m, sink, &h);
}

static void on_up(void *ctx, struct ep_peer *peer) {
    struct fx *f = ctx;
    memset(f->next, 0, sizeof f->next);
    if (f->keep) ep_peer_keep(peer);
    f->accepted = peer;
    f->ups++;
}

static void on_down(void *ctx, struct ep_peer *peer, int status) {
    struct fx *f = ctx;
    if (f->accepted == peer) f->accepted = NULL;
    f->down_status = status;
    f->downs++;
}

void fx_open_at(struct fx *f, const char *adapters, bool accept, uint16_t port) {
    memset(f, 0, sizeof *f);
    /* A test that fails is the last: its endpoints go on, with what has been its stack. */
    setenv("CMOCKA_TEST_ABORT", "1", false);
    snprintf(f->dir, sizeof f->dir, "/tmp/weft-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    struct ep_config cfg = {.key = fx_key,
                            .security = fx_security,
                            .adapters = adapters,
                            .run_dir = f->dir,
                            .accept = accept,
                            .bind_port = port,
                            .on_peer_up = on_up,
                            .on_peer_down = on_down,
                            .ctx = f};
    for (int i = 0; i < H_HANDLERS; i++) cfg.handlers[i] = (struct ep_handler){on_header, f};
    assert_int_equal(ep_open(&f->ep, &cfg), 0);
    f->address_len = sizeof f->address;
    assert_int_equal(ep_address(f->ep, f->address, &f->address_len), 0);
}

void fx_open(struct fx *f, const char *adapters, bool accept) { fx_open_at(f, adapters, accept, 0); }

void fx_close(struct fx *f) {
    ep_close(f->ep, 1000);
    weft_dir_remove(f->dir);
}

void fx_connect(struct fx *f, const struct fx *to) {
    assert_int_equal(ep_connect(f->ep, to->address, to->address_len, f, &f->peer), 0);
}

struct awaited {
    atomic_int *counter;
    int least;
};

static bool reached(void *arg) {
    struct awaited *a = arg;
    return atomic_load(a->counter) >= a->least;
}

void fx_await(struct fx *f, atomic_int *counter, int least) {
    struct awaited a = {counter, least};
    int rc = ep_wait(f->ep, reached, &a, weft_now_ns() + PATIENCE_NS);
    if (rc) print_error("waited for %d, got %d\n", least, atomic_load(counter));
    assert_int_equal(rc, 0);
}

void fx_await_idle(atomic_int *counter, int least) {
    uint64_t deadline = weft_now_ns() + PATIENCE_NS;
    while (atomic_load(counter) < least) {
        if (weft_now_ns() > deadline) print_error("waited for %d, got %d\n", least, atomic_load(counter));
        assert_true(weft_now_ns() < deadline);
        sched_yield();
    }
}

static void on_sent(void *arg, int status) {
    struct fx *f = arg;
    if (status)
        f->send_failed++;
    else
        f->sent++;
}

void fx_send(struct fx *f, struct ep_peer *to, uint16_t handler, uint16_t channel, uint64_t sequence,
             uint64_t seed, const void *data, size_t len) {
    struct fx_head h = {sequence, seed};
    struct ep_send s = {.handler = handler,
                        .channel = channel,
                        .header = &h,
                        .header_bytes = sizeof h,
                        .data = data,
                        .data_bytes = len,
                        .on_done = data ? on_sent : NULL,
                        .arg = f};
    assert_int_equal(ep_send(to, &s), 0);
}
