/* A peer that speaks the transport's protocol but not the fabric's: whatever it sends ends its connection,
 * and nothing else. It is played by a bare endpoint. */
#include "base/error.h"
#include "base/path.h"
#include "fabric/fab_fixture.h"
#include "fabric/wire.h"
#include "transport/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELLO = 1, WELCOME, REFUSE, EAGER, AM, PUT, GET, GOT, FLUSH, REPLY, KINDS };

static struct fab victim;
static struct ep *ep;
static struct ep_peer *peer;
static atomic_int downs, down_status, answers, last_status;
static uint64_t last_op;
static char dir[64];
static uint8_t bulk[100000];

static void on_message(void *ctx, struct ep_peer *p, const struct ep_msg *m, struct ep_sink *sink) {
    if (m->handler != REPLY && m->handler != GOT) return;
    last_op = le_get64(m->header);
    last_status = (int)le_get32((const uint8_t *)m->header + 8);
    answers++;
}

static void on_down(void *ctx, struct ep_peer *p, int status) {
    down_status = status;
    downs++;
}

static void connect_again(void) {
    struct weft_address *at = &victim.address;
    downs = answers = 0;
    assert_int_equal(ep_connect(ep, at->data + 12, at->bytes - 12, NULL, &peer), 0);
}

static int setup(void **state) {
    snprintf(dir, sizeof dir, "/tmp/weft-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    struct ep_config cfg = {.adapters = "udp", .run_dir = dir, .on_peer_down = on_down};
    for (int i = 1; i < KINDS; i++) cfg.handlers[i] = (struct ep_handler){on_message, NULL};
    assert_int_equal(ep_open(&ep, &cfg), 0);
    fab_open(&victim, "udp");
    connect_again();
    return 0;
}

static int teardown(void **state) {
    fab_close(&victim);
    ep_close(ep, 0);
    weft_dir_remove(dir);
    return 0;
}

static void send_bytes(int kind, const void *header, size_t header_bytes, const void *data, size_t bytes) {
    struct ep_send s = {.handler = (uint16_t)kind,
                        .header = header,
                        .header_bytes = header_bytes,
                        .data = data,
                        .data_bytes = bytes};
    ep_send(peer, &s);
}

static void greet(void) {
    uint8_t b[WIRE_HELLO_BYTES] = {0};
    le_put32(b, 0x43424657u);
    le_put16(b + 4, 1);
    send_bytes(HELLO, b, sizeof b, NULL, 0);
}

static bool reached(void *arg) { return atomic_load((atomic_int *)arg) > 0; }

static void await(atomic_int *counter) {
    assert_int_equal(ep_wait(ep, reached, counter, weft_now_ns() + FAB_PATIENCE), 0);
}

/* The victim has ended the connection, and still serves others. */
static void assert_ended(void) {
    await(&downs);
    assert_int_equal(down_status, WEFT_E_PROTO);
    ep_disconnect(peer);
    connect_again();
    greet();
    uint8_t b[WIRE_AM_BYTES] = {0};
    le_put16(b, H_RECORD);
    le_put64(b + 16, 9);
    send_bytes(AM, b, sizeof b, NULL, 0);
    await(&answers);
    assert_int_equal(last_op, 9);
    assert_int_equal(last_status, 0);
    ep_disconnect(peer);
    connect_again();
}

static void before_the_greeting__nothing_is_heard(void **state) {
    for (int kind = WELCOME; kind < KINDS; kind++) {
        uint8_t b[64] = {0};
        send_bytes(kind, b, sizeof b, NULL, 0);
        assert_ended();
        assert_int_equal(victim.order[0], 0);
    }
}

static void greeting__that_does_not_hold(void **state) {
    uint8_t b[WIRE_HELLO_BYTES] = {0};
    send_bytes(HELLO, b, sizeof b, NULL, 0);
    assert_ended();
    le_put32(b, 0x43424657u);
    send_bytes(HELLO, b, sizeof b - 1, NULL, 0);
    assert_ended();
    greet();
    greet(); /* once is enough */
    assert_ended();
    greet();
    le_put16(b + 4, 1);
    send_bytes(WELCOME, b, sizeof b, NULL, 0); /* to a connection that we made */
    assert_ended();
}

static void greeting__of_another_version_is_refused(void **state) {
    uint8_t b[WIRE_HELLO_BYTES] = {0};
    le_put32(b, 0x43424657u);
    le_put16(b + 4, 2);
    send_bytes(HELLO, b, sizeof b, NULL, 0);
    await(&downs);
    assert_int_equal(down_status, WEFT_E_CLOSED);
    assert_int_equal(victim.accepts, 0);
}

static void messages__too_short(void **state) {
    static const size_t needed[KINDS] = {
        [EAGER] = WIRE_EAGER_BYTES, [AM] = WIRE_AM_BYTES,       [PUT] = WIRE_PUT_BYTES,
        [GET] = WIRE_GET_BYTES,     [FLUSH] = WIRE_FLUSH_BYTES, [REPLY] = WIRE_REPLY_BYTES};
    uint8_t b[64] = {0};
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t bytes = 0; bytes < needed[kind]; bytes += 7) {
            greet();
            send_bytes(kind, b, bytes, NULL, 0);
            assert_ended();
        }
    }
}

static void answers__to_nothing(void **state) {
    uint8_t b[WIRE_REPLY_BYTES] = {0};
    uint64_t ops[] = {1, 12345, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        le_put64(b, ops[i]);
        for (int kind = GOT; kind <= REPLY; kind += REPLY - GOT) {
            greet();
            send_bytes(kind, b, sizeof b, NULL, 0);
            assert_ended();
        }
    }
}

/* The victim asks; the answer is not what it asked for. */
static void ask(struct fab_end *end, bool get) {
    struct weft_window_handle handle = {{0}};
    struct weft_remote r;
    struct weft_done done = fab_done(end);
    static uint8_t into[1000];
    int accepts = victim.accepts;
    greet();
    fab_await(&victim, &victim.accepts, accepts + 1);
    le_put32(handle.opaque, 0x4e575457u);
    le_put16(handle.opaque + 4, 1);
    le_put16(handle.opaque + 6, WEFT_READ | WEFT_WRITE);
    le_put64(handle.opaque + 16, 1000);
    assert_int_equal(weft_window_import(victim.accepted, &handle, &r), 0);
    struct weft_notify n = {.completion = done};
    int rc = get ? weft_get_buffer(&r, 0, weft_buf_ptr(into, sizeof into), &done)
                 : weft_put(&r, 0, weft_buf_ptr(into, sizeof into), &n);
    assert_int_equal(rc, 0);
}

static void answers__that_do_not_fit(void **state) {
    static const struct {
        bool get;
        int kind, status;
        size_t bytes;
    } wrong[] = {{true, GOT, 0, 999},         {true, GOT, 0, 1001}, {true, GOT, 0, 0},
                 {true, GOT, 0, sizeof bulk}, {true, GOT, 5, 1000}, {true, REPLY, 0, 0},
                 {false, GOT, 0, 0},          {false, GOT, -3, 0},  {false, REPLY, 5, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fab_end end = {0};
        uint8_t b[WIRE_REPLY_BYTES] = {0};
        ask(&end, wrong[i].get);
        le_put64(b, 1);
        le_put32(b + 8, (uint32_t)wrong[i].status);
        send_bytes(wrong[i].kind, b, sizeof b, bulk, wrong[i].bytes);
        await(&downs);
        assert_int_equal(down_status, WEFT_E_PROTO);
        fab_await(&victim, &end.times, 1);
        assert_int_equal(end.times, 1);
        assert_true(end.status == WEFT_E_PROTO);
        weft_disconnect(victim.accepted);
        ep_disconnect(peer);
        connect_again();
    }
}

/* Offsets and sizes whose sum wraps round: this side's own checks would not let them pass. */
static void rma__sums_that_overflow(void **state) {
    static const struct {
        uint64_t offset, bytes;
    } bad[] = {{UINT64_MAX, 1},
               {UINT64_MAX - 99, 100},
               {UINT64_MAX - 98, 100},
               {UINT64_MAX - 49999, 50000},
               {500, UINT64_MAX - 400}};
    static uint8_t memory[1000];
    struct weft_window *window;
    struct weft_window_handle handle;
    assert_int_equal(weft_window_export(victim.w, weft_buf_ptr(memory + 400, 200), WEFT_READ | WEFT_WRITE,
                                        NULL, &window, &handle),
                     0);
    memset(bulk, 0xff, sizeof bulk);
    greet();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t b[32] = {0};
        memcpy(b, handle.opaque + 8, 8); /* the key */
        le_put64(b + 8, bad[i].offset);
        le_put64(b + 16, i + 1);
        answers = 0;
        if (bad[i].bytes <= sizeof bulk) {
            send_bytes(PUT, b, WIRE_PUT_BYTES, bulk, bad[i].bytes);
            await(&answers);
            assert_int_equal(last_status, WEFT_E_INVAL);
        }
        le_put64(b + 16, bad[i].bytes);
        le_put64(b + 24, i + 1);
        answers = 0;
        send_bytes(GET, b, WIRE_GET_BYTES, NULL, 0);
        await(&answers);
        assert_int_equal(last_status, WEFT_E_INVAL);
    }
    assert_int_equal(downs, 0);
    assert_true(fab_is_all(memory, sizeof memory, 0));
    assert_int_equal(weft_window_revoke(window, 0), 0);
}

/* Random headers of all kinds: the victim must live, and still be there for others. */
static void random__headers(void **state) {
    unsigned seed = 1;
    for (int round = 0; round < 60; round++) {
        greet();
        for (int i = 0; i < 40; i++) {
            uint8_t b[80];
            size_t n = (size_t)rand_r(&seed) % sizeof b;
            for (size_t k = 0; k < n; k++) b[k] = (uint8_t)(rand_r(&seed) % 3 ? 0 : rand_r(&seed));
            send_bytes(1 + rand_r(&seed) % (KINDS - 1), b, n, bulk,
                       rand_r(&seed) % 4 ? 0 : (size_t)rand_r(&seed) % sizeof bulk);
        }
        if (round % 2) await(&downs);
        ep_disconnect(peer);
        connect_again();
    }
    greet();
    send_bytes(FLUSH, "\1\0\0\0\0\0\0\0", 8, NULL, 0);
    await(&answers);
    assert_int_equal(last_op, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv) {
    setenv("WEFT_LOG", "error", 1); /* it warns of each */
    const struct CMUnitTest tests[] = {
        T(before_the_greeting__nothing_is_heard),
        T(greeting__that_does_not_hold),
        T(greeting__of_another_version_is_refused),
        T(messages__too_short),
        T(answers__to_nothing),
        T(answers__that_do_not_fit),
        T(rma__sums_that_overflow),
        T(random__headers),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
