/* The fabric in a cluster: run by `weft run --nodes 2 -- cluster_test`. This process is of node 0, its child
 * of node 1; they find each other through their daemons, move data both ways, and the child is killed in the
 * middle of it. */
#include "base/counter.h"
#include "base/error.h"
#include "fabric/fab_fixture.h"
#include "fabric/fabric.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ECHO, BACK, WINDOW, READY };

#define WINDOW_BYTES FAB_BYTES

static struct weft *w;
static pid_t child;
static int go;
static atomic_int backs, downs, down_status;
static struct weft_window_handle handle;
static atomic_bool has_handle;
static uint8_t *data;

/* -- the child: serves until it is killed -- */

static void on_echo(void *ctx, struct weft_peer *p, const struct weft_msg *m, struct weft_action *action) {
    weft_send_eager(p, BACK, m->header, m->header_bytes, m->data, m->data_bytes);
}

static void on_window(void *ctx, struct weft_peer *p, const struct weft_msg *m, struct weft_action *action) {
    weft_send_eager(p, WINDOW, ctx, sizeof handle, NULL, 0);
}

static void serve(int from) {
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(from, &byte, 1) != 1) _exit(1);
    struct weft_handler handlers[] = {[ECHO] = {on_echo, NULL}, [WINDOW] = {on_window, &handle}};
    struct weft_config cfg;
    weft_config_init(&cfg);
    cfg.node = 1;
    cfg.handlers = handlers;
    cfg.handler_count = sizeof handlers / sizeof *handlers;
    struct weft_window *window;
    uint16_t port;
    void *memory;
    int rc = weft_open(&w, &cfg);
    if (rc == 0) rc = weft_alloc(w, WINDOW_BYTES, &memory);
    if (rc == 0)
        rc = weft_window_export(w, weft_buf_ptr(memory, WINDOW_BYTES), WEFT_READ | WEFT_WRITE, NULL, &window,
                                &handle);
    if (rc == 0) rc = weft_port_bind(w, 2000, &port);
    if (rc == 0) rc = weft_publish(w, "child");
    if (rc) {
        print_error("child: %s\n", weft_strerror(rc));
        _exit(1);
    }
    for (;;) pause(); /* the library's thread does the work */
}

/* -- this process -- */

static void on_back(void *ctx, struct weft_peer *p, const struct weft_msg *m, struct weft_action *action) {
    backs++;
}

static void on_handle(void *ctx, struct weft_peer *p, const struct weft_msg *m, struct weft_action *action) {
    assert_int_equal(m->header_bytes, sizeof handle);
    memcpy(&handle, m->header, sizeof handle);
    has_handle = true;
}

static void on_down(void *ctx, struct weft_peer *p, int status) {
    down_status = status;
    downs++;
}

static void await(atomic_int *counter, int least) { fab_await_on(w, counter, least); }

static int setup(void **state) {
    struct weft_handler handlers[] = {[BACK] = {on_back, NULL}, [WINDOW] = {on_handle, NULL}};
    struct weft_config cfg;
    weft_config_init(&cfg);
    cfg.handlers = handlers;
    cfg.handler_count = sizeof handlers / sizeof *handlers;
    cfg.on_peer_down = on_down;
    data = malloc(FAB_BYTES);
    fab_fill(data, FAB_BYTES, 7);
    if (weft_open(&w, &cfg)) return 1;
    return write(go, "g", 1) != 1;
}

static int teardown(void **state) {
    weft_close(w, 1000);
    free(data);
    kill(child, SIGKILL);
    return 0;
}

static void directory__in_a_cluster(void **state) {
    struct weft_address by_name, other;
    uint16_t port;
    assert_int_equal(weft_node_count(w), 2);
    assert_int_equal(weft_self(w).node, 0);
    assert_int_equal(weft_lookup_name(w, "child", FAB_PATIENCE, &by_name), 0);
    assert_int_equal(weft_lookup_port(w, 1, 2000, &other), 0);
    assert_int_equal(other.bytes, by_name.bytes);
    assert_memory_equal(other.data, by_name.data, other.bytes);
    struct weft_peer *p;
    assert_int_equal(weft_connect(w, &by_name, NULL, &p), 0);
    struct weft_id id = weft_peer_id(p);
    assert_int_equal(id.node, 1);
    assert_int_equal(weft_lookup_process(w, id, &other), 0);
    assert_memory_equal(other.data, by_name.data, other.bytes);
    weft_disconnect(p);
    id.process = 9999;
    assert_int_equal(weft_lookup_process(w, id, &other), WEFT_E_NOENT);
    id.node = 9;
    assert_int_equal(weft_lookup_process(w, id, &other), WEFT_E_UNREACHABLE);
    assert_int_equal(weft_lookup_name(w, "nobody", 0, &other), WEFT_E_NOENT);
    assert_int_equal(weft_lookup_name(w, "nobody", 20000000, &other), WEFT_E_TIMEDOUT);
    assert_int_equal(weft_lookup_port(w, 0, 2000, &other), WEFT_E_NOENT);
    assert_int_equal(weft_publish(w, "child"), 0); /* another node's name is free here */
    assert_int_equal(weft_lookup_name(w, "child", 0, &other), 0);
    assert_memory_not_equal(other.data, by_name.data, other.bytes);
    assert_int_equal(weft_withdraw(w, "child"), 0);
    assert_int_equal(weft_withdraw(w, "child"), WEFT_E_NOENT);
    assert_int_equal(weft_port_bind(w, 2000, &port), 0);
    assert_int_equal(weft_port_bind(w, 2000, &port), WEFT_E_EXIST);
    assert_int_equal(weft_port_release(w, 2000), 0);
    assert_int_equal(weft_port_release(w, 2000), WEFT_E_NOENT);
    /* Names belong to a process: a second one of this node may not take one that is held. */
    struct weft *second;
    assert_int_equal(weft_open(&second, NULL), 0);
    assert_int_equal(weft_publish(w, "mine"), 0);
    assert_int_equal(weft_publish(second, "mine"), WEFT_E_EXIST);
    assert_int_not_equal(weft_self(second).process, weft_self(w).process);
    weft_close(second, 0);
}

/* -- news of the daemon -- */

struct ends {
    uint64_t least;
};

static int has_told(void *arg) {
    return weft_counter_named("fabric_ends_told") >= ((struct ends *)arg)->least;
}

/* A second process of this node, connected to the first. */
static struct weft_peer *open_second(struct weft **second) {
    struct weft_address where;
    struct weft_peer *p;
    assert_int_equal(weft_open(second, NULL), 0);
    assert_int_equal(weft_lookup_process(*second, weft_self(w), &where), 0);
    assert_int_equal(weft_connect(*second, &where, NULL, &p), 0);
    assert_int_equal(weft_connect_wait(p, FAB_PATIENCE), 0);
    return p;
}

/* Who was connected to hears of it from the daemon too, and not before what it said last. */
static void news__after_an_orderly_end(void **state) {
    struct weft *second;
    struct ends ends = {weft_counter_named("fabric_ends_told") + 1};
    int before = downs;
    open_second(&second);
    weft_close(second, 20000);
    assert_int_equal(weft_wait(w, has_told, &ends, FAB_PATIENCE), 0);
    await(&downs, before + 1);
    assert_int_equal(down_status, WEFT_E_CLOSED);
}

static struct node_process ended;
static atomic_int later;

static void on_later(void *arg) { later++; }

static void tell_process(void *arg) {
    directory_on_process_down(w, ended, "it is said");
    if (arg) directory_on_node_down(w, ended.node, "it is said");
    ep_timer(w->ep, weft_now_ns() + WEFT_NS_PER_S, on_later, NULL); /* after the one that ends the peer */
}

/* The daemon's word is enough for a process; that a node is lost says nothing of its processes. */
static void news__end_a_peer_but_not_for_a_lost_node(void **state) {
    struct weft *second;
    int before = downs;
    struct weft_peer *p = open_second(&second);
    ended = (struct node_process){weft_self(second).node, weft_self(second).process};
    assert_true(ep_timer(w->ep, weft_now_ns(), tell_process, w) != 0);
    await(&later, 1);
    assert_int_equal(downs, before);
    assert_int_equal(weft_flush_wait(p, FAB_PATIENCE), 0);
    assert_true(ep_timer(w->ep, weft_now_ns(), tell_process, NULL) != 0);
    await(&downs, before + 1);
    assert_int_equal(down_status, WEFT_E_PEER_LOST);
    assert_int_equal(weft_flush_wait(p, FAB_PATIENCE), WEFT_E_PEER_LOST);
    weft_close(second, 0);
}

static void data__both_ways_and_the_peer_dies(void **state) {
    struct weft_address where;
    struct weft_peer *p;
    struct weft_remote remote;
    struct weft_cntr *c;
    int before = downs;
    assert_int_equal(weft_cntr_create(w, 0, &c), 0);
    assert_int_equal(weft_lookup_name(w, "child", FAB_PATIENCE, &where), 0);
    assert_int_equal(weft_connect(w, &where, NULL, &p), 0);
    assert_int_equal(weft_connect_wait(p, FAB_PATIENCE), 0);
    print_message("over %s\n", weft_peer_adapter(p));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(weft_send_eager(p, ECHO, &i, sizeof i, data, 1000), 0);
        await(&backs, i + 1);
    }
    assert_int_equal(weft_send_eager(p, WINDOW, NULL, 0, NULL, 0), 0);
    while (!has_handle) weft_poll(w);
    assert_int_equal(weft_window_import(p, &handle, &remote), 0);
    struct weft_notify n = fab_notify(NULL, 0, c);
    assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, WINDOW_BYTES), &n), 0);
    assert_int_equal(fab_result(c), 0);
    uint8_t *back = calloc(1, WINDOW_BYTES);
    struct weft_done done = {.cntr = c};
    assert_int_equal(weft_get_buffer(&remote, 0, weft_buf_ptr(back, WINDOW_BYTES), &done), 0);
    assert_int_equal(fab_result(c), 0);
    assert_true(fab_holds(back, WINDOW_BYTES, 7));

    /* Everything that is under way when it dies ends, once, and the death is told after that. */
    enum { N = 16 };
    struct fab_end origin[N] = {{0}}, completion[N] = {{0}}, gets[N] = {{0}}, flush = {0}, post = {0};
    struct weft_done flushed = fab_done(&flush), posted = fab_done(&post);
    assert_int_equal(weft_post_buffer(w, p, 1, weft_buf_ptr(back, 10), &posted), 0);
    kill(child, SIGSTOP); /* so that nothing is done before; it takes effect in its own time */
    int stopped;
    assert_int_equal(waitpid(child, &stopped, WUNTRACED), child);
    assert_true(WIFSTOPPED(stopped));
    for (int i = 0; i < N; i++) {
        struct weft_notify put = {.origin = fab_done(&origin[i]), .completion = fab_done(&completion[i])};
        struct weft_done got = fab_done(&gets[i]);
        size_t bytes = i % 2 ? WINDOW_BYTES : 100;
        assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, bytes), &put), 0);
        if (i % 4 == 0) assert_int_equal(weft_fence(p), 0);
        assert_int_equal(weft_get_buffer(&remote, 0, weft_buf_ptr(back, bytes), &got), 0);
    }
    assert_int_equal(weft_flush(p, &flushed), 0);
    uint64_t start = weft_now_ns();
    struct ends ends = {weft_counter_named("fabric_ends_told") + 1};
    kill(child, SIGKILL);
    await(&downs, before + 1);
    print_message("the death was told after %.0f ms\n", (double)(weft_now_ns() - start) / 1e6);
    assert_int_equal(down_status, WEFT_E_PEER_LOST);
    assert_int_equal(weft_wait(w, has_told, &ends, FAB_PATIENCE), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(origin[i].times, 1);
        assert_int_equal(completion[i].times, 1);
        assert_int_equal(completion[i].status, WEFT_E_PEER_LOST);
        assert_int_equal(gets[i].times, 1);
        assert_int_equal(gets[i].status, WEFT_E_PEER_LOST);
    }
    assert_int_equal(flush.times, 1);
    assert_int_equal(flush.status, WEFT_E_PEER_LOST);
    assert_int_equal(post.times, 1);
    assert_int_equal(post.status, WEFT_E_PEER_LOST);
    assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, 1), &n), WEFT_E_PEER_LOST);
    assert_int_equal(weft_post_buffer(w, p, 2, weft_buf_ptr(back, 10), NULL), WEFT_E_PEER_LOST);
    weft_disconnect(p);
    uint64_t deadline = weft_now_ns() + FAB_PATIENCE; /* its name goes with it */
    while (weft_lookup_name(w, "child", 0, &where) == 0) assert_true(weft_now_ns() < deadline);
    free(back);
    weft_cntr_destroy(c);
}

int main(void) {
    int line[2];
    if (pipe(line)) return 1;
    child = fork(); /* before there are threads */
    if (child == 0) serve(line[0]);
    go = line[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test(directory__in_a_cluster),
                                       cmocka_unit_test(news__after_an_orderly_end),
                                       cmocka_unit_test(news__end_a_peer_but_not_for_a_lost_node),
                                       cmocka_unit_test(data__both_ways_and_the_peer_dies)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
