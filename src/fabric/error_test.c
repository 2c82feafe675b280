/* Every error that weft.h documents and that the tests of the operations do not produce already; and what a
 * callback may not do. */
#include "base/error.h"
#include "fabric/fab_pair.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int setup(void **state) { return setup_over("udp,shm"); }

static void nothing(void *ctx, struct weft_peer *p, const struct weft_msg *m, struct weft_action *action) {}

static void open__errors(void **state) {
    struct weft *w = (struct weft *)&a;
    struct weft_config cfg;
    weft_config_init(&cfg);
    cfg.flags = WEFT_ALONE;
    cfg.size = 1;
    assert_int_equal(weft_open(&w, &cfg), WEFT_E_INVAL);
    cfg.size = sizeof cfg;
    cfg.flags = 1u << 30;
    assert_int_equal(weft_open(&w, &cfg), WEFT_E_INVAL);
    cfg.flags = WEFT_ALONE;
    cfg.handler_count = WEFT_HANDLERS_MAX + 1;
    assert_int_equal(weft_open(&w, &cfg), WEFT_E_INVAL);
    cfg.handler_count = 1;
    assert_int_equal(weft_open(&w, &cfg), WEFT_E_INVAL);
    cfg.handler_count = 0;
    cfg.adapters = "nonsense";
    assert_int_equal(weft_open(&w, &cfg), WEFT_E_NOENT);
    cfg.adapters = "shm";
    cfg.run_dir = "/nonexistent/for/weft";
    assert_int_equal(weft_open(&w, &cfg), WEFT_E_NOENT);
    cfg.run_dir = NULL;
    cfg.adapters = "self";
    cfg.flags = 0;
    cfg.node = 77;
    assert_int_equal(weft_open(&w, &cfg), WEFT_E_NOENT);
    assert_ptr_equal(w, &a); /* no output has been set */
}

static void handler_register__errors(void **state) {
    struct weft_handler h = {nothing, NULL}, none = {0};
    assert_int_equal(weft_handler_register(a.w, WEFT_HANDLERS_MAX, &h), WEFT_E_INVAL);
    assert_int_equal(weft_handler_register(a.w, 9, &none), WEFT_E_INVAL);
    assert_int_equal(weft_handler_register(a.w, 9, NULL), WEFT_E_INVAL);
    assert_int_equal(weft_handler_register(a.w, H_RECORD, &h), WEFT_E_EXIST);
    assert_int_equal(weft_handler_register(a.w, H_FREE, &h), 0);
}

static void directory__alone(void **state) {
    struct weft_address address;
    uint16_t port;
    assert_int_equal(weft_publish(a.w, "name"), WEFT_E_NOSUP);
    assert_int_equal(weft_publish(a.w, ""), WEFT_E_INVAL);
    assert_int_equal(weft_publish(a.w, NULL), WEFT_E_INVAL);
    assert_int_equal(weft_withdraw(a.w, "name"), WEFT_E_NOSUP);
    assert_int_equal(weft_lookup_name(a.w, "name", 0, &address), WEFT_E_NOSUP);
    assert_int_equal(weft_lookup_process(a.w, weft_self(b.w), &address), WEFT_E_NOSUP);
    assert_int_equal(weft_port_bind(a.w, 0, &port), WEFT_E_NOSUP);
    assert_int_equal(weft_port_release(a.w, 1), WEFT_E_NOSUP);
    assert_int_equal(weft_lookup_port(a.w, 0, 1, &address), WEFT_E_NOSUP);
    assert_int_equal(weft_node_count(a.w), 1);
    assert_int_equal(weft_self(a.w).node, 0);
    assert_int_equal(weft_self(a.w).process, getpid());
}

static void connect__errors(void **state) {
    struct weft_peer *p = NULL;
    struct weft_address bad = b.address;
    assert_int_equal(weft_connect(a.w, NULL, NULL, &p), WEFT_E_INVAL);
    bad.bytes = WEFT_ADDRESS_MAX + 1;
    assert_int_equal(weft_connect(a.w, &bad, NULL, &p), WEFT_E_INVAL);
    bad.bytes = 3;
    assert_int_equal(weft_connect(a.w, &bad, NULL, &p), WEFT_E_INVAL);
    bad = b.address;
    bad.data[0] ^= 1;
    assert_int_equal(weft_connect(a.w, &bad, NULL, &p), WEFT_E_INVAL);
    bad = b.address;
    bad.bytes = 12; /* no adapter's address in it */
    assert_int_equal(weft_connect(a.w, &bad, NULL, &p), WEFT_E_UNREACHABLE);
    assert_null(p);
}

static void connect__turned_away(void **state) {
    struct weft_peer *p;
    struct fab_end end = {0};
    struct weft_notify n = {.completion = fab_done(&end)};
    b.accept = WEFT_E_ACCESS;
    assert_int_equal(weft_connect(a.w, &b.address, NULL, &p), 0);
    int rc = weft_zero_copy_send(p, H_RECORD, NULL, 0, weft_buf_ptr(data, FAB_BYTES), 0, &n);
    assert_true(rc == 0 || rc == WEFT_E_REFUSED); /* where this thread came late */
    assert_int_equal(weft_connect_wait(p, FAB_PATIENCE), WEFT_E_REFUSED);
    fab_await(&a, &a.downs, 1);
    assert_int_equal(a.down_status, WEFT_E_REFUSED);
    assert_int_equal(end.times, rc == 0);
    assert_int_equal(end.status, rc ? 0 : WEFT_E_REFUSED);
    assert_int_equal(b.messages, 0);
    assert_int_equal(b.downs, 0); /* nobody had taken it */
    assert_int_equal(weft_peer_status(p), WEFT_E_REFUSED);
    weft_disconnect(p);
}

static void connect__nobody_may(void **state) {
    struct fab c;
    struct weft_peer *p;
    fab_open_with(&c, "udp", WEFT_NO_ACCEPT, 0, 0);
    assert_int_equal(weft_connect(a.w, &c.address, NULL, &p), 0);
    assert_int_equal(weft_connect_wait(p, FAB_PATIENCE), WEFT_E_REFUSED);
    weft_disconnect(p);
    fab_close(&c);
}

static void cntr__errors(void **state) {
    struct weft_cntr *c = fab_cntr(&a, 5), *other = NULL;
    int status;
    assert_int_equal(weft_cntr_create(a.w, 5, &other), WEFT_E_EXIST);
    assert_null(other);
    assert_int_equal(weft_cntr_wait(c, 0, 0), 0);
    assert_int_equal(weft_cntr_wait(c, 1, 1000), WEFT_E_TIMEDOUT);
    weft_cntr_add(c, 3);
    assert_int_equal(weft_cntr_wait(c, 3, 0), 0);
    assert_int_equal(weft_cntr_value(c), 3);
    assert_int_equal(weft_cntr_failures(c, &status), 0);
    assert_int_equal(status, 0);
    weft_cntr_destroy(c);
    assert_int_equal(weft_cntr_create(a.w, 5, &c), 0);
    weft_cntr_destroy(c);
}

static int no(void *arg) { return 0; }

static void wait__times_out(void **state) {
    assert_int_equal(weft_wait(a.w, NULL, NULL, 0), WEFT_E_INVAL);
    assert_int_equal(weft_wait(a.w, no, NULL, 1000000), WEFT_E_TIMEDOUT);
}

static void fd__only_without_a_thread(void **state) {
    struct fab c;
    assert_int_equal(weft_fd(a.w), WEFT_E_NOSUP);
    assert_int_equal(weft_fd_prepare(a.w), WEFT_E_NOSUP);
    fab_open_with(&c, "udp", WEFT_NO_THREAD, 0, 0);
    struct weft_peer *p;
    assert_int_equal(weft_connect(a.w, &c.address, NULL, &p), 0);
    assert_int_equal(weft_send_eager(p, H_RECORD, "hello", 5, NULL, 0), 0);
    uint64_t deadline = weft_now_ns() + FAB_PATIENCE;
    while (c.messages == 0) {
        assert_true(weft_now_ns() < deadline);
        while (weft_fd_prepare(c.w) == WEFT_E_AGAIN) weft_poll(c.w);
        struct pollfd f = {.fd = weft_fd(c.w), .events = POLLIN};
        assert_true(f.fd >= 0);
        poll(&f, 1, weft_fd_timeout_ms(c.w));
        weft_poll(c.w);
    }
    assert_memory_equal(c.header, "hello", 5);
    fab_close(&c);
}

static void send__errors(void **state) {
    uint8_t header[WEFT_HEADER_MAX + 1] = {0};
    struct weft_mem *mem, *foreign;
    assert_int_equal(weft_send_eager(peer, WEFT_HANDLERS_MAX, NULL, 0, NULL, 0), WEFT_E_INVAL);
    assert_int_equal(weft_send_eager(peer, H_RECORD, NULL, 1, NULL, 0), WEFT_E_INVAL);
    assert_int_equal(weft_send_eager(peer, H_RECORD, NULL, 0, NULL, 1), WEFT_E_INVAL);
    assert_int_equal(weft_send_eager(peer, H_RECORD, header, sizeof header, NULL, 0), WEFT_E_TOO_BIG);
    assert_int_equal(weft_send_eager(peer, H_RECORD, NULL, 0, data, WEFT_EAGER_MAX + 1), WEFT_E_TOO_BIG);
    assert_int_equal(weft_zero_copy_send(peer, WEFT_HANDLERS_MAX, NULL, 0, weft_buf_ptr(data, 1), 0, NULL),
                     WEFT_E_INVAL);
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(NULL, 1), 0, NULL),
                     WEFT_E_INVAL);
    assert_int_equal(
        weft_zero_copy_send(peer, H_RECORD, header, sizeof header, weft_buf_ptr(data, 1), 0, NULL),
        WEFT_E_TOO_BIG);
    assert_int_equal(weft_dma_setup(a.w, data, 1000, WEFT_PIN_DYNAMIC, &mem), 0);
    assert_int_equal(weft_dma_setup(b.w, data, 1000, WEFT_PIN_DYNAMIC, &foreign), 0);
    assert_int_equal(weft_mem_bytes(mem), 1000);
    assert_ptr_equal(weft_mem_pointer(mem), data);
    struct weft_buf bad[] = {weft_buf_mem(mem, 1000, 1),     weft_buf_mem(mem, 1001, 0),
                             weft_buf_mem(mem, SIZE_MAX, 1), weft_buf_mem(mem, SIZE_MAX - 9, 10),
                             weft_buf_mem(mem, 0, 1001),     weft_buf_mem(foreign, 0, 1)};
    struct weft_window *window;
    struct weft_window_handle handle;
    struct weft_cntr *c = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(c, 0, c);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, bad[i], 0, &n), WEFT_E_INVAL);
        assert_int_equal(weft_post_buffer(a.w, NULL, 1, bad[i], &n.origin), WEFT_E_INVAL);
        assert_int_equal(weft_window_export(a.w, bad[i], WEFT_READ, NULL, &window, &handle), WEFT_E_INVAL);
    }
    assert_int_equal(weft_cntr_value(c) + weft_cntr_failures(c, NULL), 0);
    weft_cntr_destroy(c);
    assert_int_equal(weft_dma_cleanup(mem), 0); /* none of them has left it in use */
    assert_int_equal(weft_dma_cleanup(foreign), 0);
    assert_int_equal(weft_dma_cleanup(NULL), WEFT_E_INVAL);
}

static void dma_setup__errors(void **state) {
    struct weft_mem *mem = NULL;
    assert_int_equal(weft_dma_setup(a.w, NULL, 1, WEFT_PIN_STATIC, &mem), WEFT_E_INVAL);
    assert_int_equal(weft_dma_setup(a.w, data, 0, WEFT_PIN_STATIC, &mem), WEFT_E_INVAL);
    assert_int_equal(weft_dma_setup(a.w, data, SIZE_MAX, WEFT_PIN_STATIC, &mem), WEFT_E_INVAL);
    assert_int_equal(weft_dma_setup(a.w, data, 1, (enum weft_pinning)7, &mem), WEFT_E_INVAL);
    assert_int_equal(weft_dma_setup(a.w, (void *)4096, 1, WEFT_PIN_STATIC, &mem), WEFT_E_INVAL);
    assert_int_equal(weft_dma_setup(a.w, (void *)4096, 1, WEFT_PIN_DYNAMIC, &mem), WEFT_E_INVAL);
    assert_null(mem);
    void *p = NULL;
    assert_int_equal(weft_alloc(a.w, 0, &p), WEFT_E_INVAL);
    assert_int_equal(weft_alloc(a.w, SIZE_MAX, &p), WEFT_E_NOMEM);
    assert_null(p);
    weft_free(a.w, NULL, 1);
}

static void post_buffer__errors(void **state) {
    struct fab c;
    assert_int_equal(weft_post_buffer(a.w, NULL, WEFT_NO_TAG, weft_buf_ptr(data, 1), NULL), WEFT_E_INVAL);
    assert_int_equal(weft_post_buffer(a.w, NULL, 1, weft_buf_ptr(NULL, 1), NULL), WEFT_E_INVAL);
    fab_open_with(&c, "self", 0, 3, 0);
    for (uint64_t tag = 1; tag <= 3; tag++)
        assert_int_equal(weft_post_buffer(c.w, NULL, tag, weft_buf_ptr(data, 1), NULL), 0);
    assert_int_equal(weft_post_buffer(c.w, NULL, 4, weft_buf_ptr(data, 1), NULL), WEFT_E_LIMIT);
    assert_int_equal(weft_post_buffer(c.w, NULL, 3, weft_buf_ptr(data, 1), NULL),
                     0); /* an override needs no room */
    struct weft_peer *self = fab_connect(&c, &c);
    for (uint64_t tag = 1; tag <= 3; tag++) /* each peer has a quota of its own */
        assert_int_equal(weft_post_buffer(c.w, self, tag, weft_buf_ptr(data, 1), NULL), 0);
    assert_int_equal(weft_post_buffer(c.w, self, 4, weft_buf_ptr(data, 1), NULL), WEFT_E_LIMIT);
    fab_close(&c);
}

static void window__errors(void **state) {
    struct weft_window *window;
    struct weft_window_handle handle, bad;
    struct weft_remote r;
    assert_int_equal(weft_window_export(a.w, weft_buf_ptr(data, 0), WEFT_READ, NULL, &window, &handle),
                     WEFT_E_INVAL);
    assert_int_equal(weft_window_export(a.w, weft_buf_ptr(data, 1), 0, NULL, &window, &handle), WEFT_E_INVAL);
    assert_int_equal(weft_window_export(a.w, weft_buf_ptr(data, 1), 4, NULL, &window, &handle), WEFT_E_INVAL);
    assert_int_equal(weft_window_export(a.w, weft_buf_ptr(data, 1), WEFT_READ, NULL, &window, &handle), 0);
    assert_int_equal(weft_window_import(NULL, &handle, &r), WEFT_E_INVAL);
    for (size_t at = 0; at < 8; at++) {
        bad = handle;
        bad.opaque[at] ^= 0x80;
        assert_true(weft_window_import(peer, &bad, &r) < 0);
    }
    bad = handle;
    bad.opaque[4]++;
    assert_int_equal(weft_window_import(peer, &bad, &r), WEFT_E_VERSION);
    assert_int_equal(weft_window_import(peer, &handle, &r), 0);
    assert_int_equal(weft_window_revoke(window, 0), 0);
}

static void inside(struct fab *f) {
    struct weft_address address;
    uint16_t port;
    struct weft_cntr *c = fab_cntr(f, 0);
    struct weft *another;
    assert_int_equal(weft_open(&another, NULL), WEFT_E_BUSY);
    assert_int_equal(weft_cntr_wait(c, 1, WEFT_FOREVER), WEFT_E_BUSY);
    assert_int_equal(weft_wait(f->w, no, NULL, WEFT_FOREVER), WEFT_E_BUSY);
    assert_int_equal(weft_connect_wait(f->accepted, WEFT_FOREVER), WEFT_E_BUSY);
    assert_int_equal(weft_flush_wait(f->accepted, WEFT_FOREVER), WEFT_E_BUSY);
    assert_int_equal(weft_publish(f->w, "x"), WEFT_E_BUSY);
    assert_int_equal(weft_withdraw(f->w, "x"), WEFT_E_BUSY);
    assert_int_equal(weft_lookup_name(f->w, "x", 0, &address), WEFT_E_BUSY);
    assert_int_equal(weft_lookup_process(f->w, weft_self(f->w), &address), WEFT_E_BUSY);
    assert_int_equal(weft_port_bind(f->w, 0, &port), WEFT_E_BUSY);
    assert_int_equal(weft_node_count(f->w), WEFT_E_BUSY);
    assert_int_equal(weft_poll(f->w), 0);
    weft_close(f->w, 0); /* does nothing */
    weft_cntr_destroy(c);
}

static void callbacks__may_not_wait(void **state) {
    b.hook = inside;
    assert_int_equal(weft_send_eager(peer, H_RECORD, NULL, 0, NULL, 0), 0);
    fab_await(&b, &b.messages, 1);
}

static void drop_peer(struct fab *f) {
    if (f->accepted) weft_disconnect(f->accepted);
    f->accepted = NULL;
}

static void callbacks__may_disconnect(void **state) {
    struct fab_end end = {0};
    struct weft_notify n = {.completion = fab_done(&end)};
    b.hook = drop_peer;
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, FAB_BYTES), 0, &n), 0);
    fab_await(&a, &a.downs, 1);
    assert_int_equal(end.times, 1);
    assert_true(end.status < 0);
    assert_int_equal(b.completed, 1);
    assert_true(b.complete_status < 0);
    assert_int_equal(b.downs, 0);
}

static void fork__child_can_do_nothing_with_it(void **state) {
    pid_t pid = fork();
    if (pid == 0) {
        struct weft_peer *p;
        struct weft_cntr *c;
        int bad = weft_send_eager(peer, H_RECORD, NULL, 0, NULL, 0) != WEFT_E_CLOSED;
        bad |= weft_connect(a.w, &b.address, NULL, &p) != WEFT_E_CLOSED;
        bad |= weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 9), 0, NULL) != WEFT_E_CLOSED;
        bad |= weft_cntr_create(a.w, 0, &c) != 0 || weft_cntr_wait(c, 1, 1000) != WEFT_E_CLOSED;
        _exit(bad);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(weft_send_eager(peer, H_RECORD, NULL, 0, NULL, 0), 0);
    fab_await(&b, &b.messages, 1);
}

static void strerror__never_null(void **state) {
    for (int code = 5; code > -30; code--) assert_non_null(weft_strerror(code));
    assert_string_equal(weft_strerror(WEFT_E_PEER_LOST), "the peer is lost");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv) {
    setenv("WEFT_NODE_SOCKET", "/nonexistent/cluster/node0/socket", 1);
    const struct CMUnitTest tests[] = {
        T(open__errors),
        T(handler_register__errors),
        T(directory__alone),
        T(connect__errors),
        T(connect__turned_away),
        T(connect__nobody_may),
        T(cntr__errors),
        T(wait__times_out),
        T(fd__only_without_a_thread),
        T(send__errors),
        T(dma_setup__errors),
        T(post_buffer__errors),
        T(window__errors),
        T(callbacks__may_not_wait),
        T(callbacks__may_disconnect),
        T(fork__child_can_do_nothing_with_it),
        T(strerror__never_null),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
