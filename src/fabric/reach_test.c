/* Finding and reaching others where it fails: a daemon that refuses, is full or gone; connections that are
 * not made, and why. */
#include "base/short_memory.h"
#include "fabric/fab_fixture.h"
#include "fabric/wire.h"
#include "node/daemon_fixture.h"
#include "transport/endpoint.h"

#include <sys/socket.h>
#include <sys/un.h>

/* Where WEFT_NODE_SOCKET points all the time, since it is read once. */
static char link_path[64];

static void lead_to(const char *socket_path) {
    unlink(link_path);
    assert_int_equal(symlink(socket_path, link_path), 0);
}

/* -- a daemon that answers one request with a status -- */

struct liar {
    int fd, status;
    bool nonsense;
    char dir[64], path[96];
    pthread_t thread;
};

static void *lie(void *arg) {
    struct liar *l = arg;
    uint8_t in[1024], out[64];
    int fd = accept(l->fd, NULL, NULL);
    struct weft_writer w;
    weft_writer_init(&w, out, sizeof out);
    weft_put_u32(&w, 1 + 4 + 4 + 4); /* type, request, status, an empty reason */
    weft_put_u8(&w, l->nonsense ? 1 : NODE_REPLY);
    weft_put_u32(&w, 0);
    weft_put_u32(&w, (uint32_t)l->status);
    node_put_reason(&w, "");
    bool asked = fd >= 0 && recv(fd, in, sizeof in, 0) > 0;
    if (asked && send(fd, out, w.len, MSG_NOSIGNAL) < 0) print_error("the answer did not leave\n");
    while (asked && recv(fd, in, sizeof in, 0) > 0) continue; /* until the other side has read it */
    if (fd >= 0) close(fd);
    return NULL;
}

static int open_with_liar(int status, bool nonsense) {
    struct liar l = {.status = status, .nonsense = nonsense};
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct weft_config cfg;
    struct weft *w = NULL;
    snprintf(l.dir, sizeof l.dir, "/tmp/weft-test-XXXXXX");
    assert_non_null(mkdtemp(l.dir));
    snprintf(l.path, sizeof l.path, "%s/socket", l.dir);
    strcpy(at.sun_path, l.path);
    l.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(l.fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(l.fd, 1), 0);
    assert_int_equal(pthread_create(&l.thread, NULL, lie, &l), 0);
    lead_to(l.path);
    weft_config_init(&cfg);
    cfg.adapters = "self";
    int rc = weft_open(&w, &cfg);
    assert_null(w);
    pthread_join(l.thread, NULL);
    close(l.fd);
    assert_int_equal(weft_dir_remove(l.dir), 0);
    return rc;
}

static void open__what_the_daemon_says(void **state) {
    assert_int_equal(open_with_liar(WEFT_E_VERSION, false), WEFT_E_VERSION);
    assert_int_equal(open_with_liar(WEFT_E_ACCESS, false), WEFT_E_ACCESS);
    assert_int_equal(open_with_liar(0, true), WEFT_E_PROTO);
}

/* -- in a cluster of this process -- */

static struct weft *open_in_cluster(void) {
    struct weft_config cfg;
    struct weft *w;
    lead_to(nodes[0].socket);
    weft_config_init(&cfg);
    cfg.adapters = "udp";
    cfg.run_dir = run_dir;
    assert_int_equal(weft_open(&w, &cfg), 0);
    return w;
}

static void names__are_limited(void **state) {
    char name[WEFT_NAME_MAX + 1];
    cluster(1);
    struct weft *w = open_in_cluster();
    for (int i = 0; i < 1024; i++) {
        snprintf(name, sizeof name, "name-%d", i);
        assert_int_equal(weft_publish(w, name), 0);
    }
    assert_int_equal(weft_publish(w, "one more"), WEFT_E_LIMIT);
    assert_int_equal(weft_publish(w, "name-7"), 0); /* it has that one */
    memset(name, 'x', sizeof name);
    name[WEFT_NAME_MAX] = 0;
    assert_int_equal(weft_publish(w, name), WEFT_E_INVAL);
    name[WEFT_NAME_MAX - 1] = 0;
    assert_int_equal(weft_withdraw(w, name), WEFT_E_NOENT);
    weft_close(w, 0);
}

/* -- without memory: each call fails as often as it allocates, and has done nothing -- */

static struct weft *scarce;
static uint16_t scarce_port;
static struct weft_address found;

static int scarce_open(void) {
    struct weft_config cfg;
    weft_config_init(&cfg);
    cfg.adapters = "udp";
    cfg.run_dir = run_dir;
    cfg.flags = WEFT_NO_THREAD;
    return weft_open(&scarce, &cfg);
}
static int scarce_publish(void) { return weft_publish(scarce, "scarce"); }
static int scarce_lookup_name(void) { return weft_lookup_name(scarce, "scarce", 0, &found); }
static int scarce_lookup_process(void) { return weft_lookup_process(scarce, weft_self(scarce), &found); }
static int scarce_port_bind(void) { return weft_port_bind(scarce, 2000, &scarce_port); }
static int scarce_lookup_port(void) { return weft_lookup_port(scarce, 0, 2000, &found); }
static int scarce_port_release(void) { return weft_port_release(scarce, 2000); }
static int scarce_withdraw(void) { return weft_withdraw(scarce, "scarce"); }
static int scarce_count(void) {
    int n = weft_node_count(scarce);
    return n == 1 ? 0 : n;
}

static void insist(int (*call)(void)) {
    for (int n = 1, rc = WEFT_E_NOMEM; rc; n++) {
        short_memory_fail_in(n);
        rc = call();
        short_memory_fail_in(0);
        if (rc) assert_int_equal(rc, WEFT_E_NOMEM);
    }
}

static void calls__without_memory(void **state) {
    cluster(1);
    lead_to(nodes[0].socket);
    insist(scarce_open);
    int (*const calls[])(void) = {scarce_publish,   scarce_lookup_name, scarce_lookup_process,
                                  scarce_port_bind, scarce_lookup_port, scarce_port_release,
                                  scarce_withdraw,  scarce_count};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) insist(calls[i]);
    assert_int_equal(scarce_port, 2000);
    weft_close(scarce, 0);
}

static void ports__of_the_privileged(void **state) {
    uint16_t port = 0;
    cluster(1);
    struct weft *w = open_in_cluster();
    int rc = weft_port_bind(w, 80, &port);
    assert_int_equal(rc, geteuid() ? WEFT_E_ACCESS : 0);
    assert_int_equal(port, geteuid() ? 0 : 80);
    weft_close(w, 0);
}

static void daemon__is_gone(void **state) {
    struct weft_address where;
    uint16_t port;
    cluster(1);
    struct weft *w = open_in_cluster();
    struct weft_id self = weft_self(w);
    assert_int_equal(weft_node_count(w), 1);
    assert_int_equal(weft_publish(w, "x"), 0);
    down(0);
    assert_int_equal(weft_node_count(w), WEFT_E_PEER_LOST);
    assert_int_equal(weft_publish(w, "y"), WEFT_E_PEER_LOST);
    assert_int_equal(weft_withdraw(w, "x"), WEFT_E_PEER_LOST);
    assert_int_equal(weft_lookup_name(w, "x", FAB_PATIENCE, &where), WEFT_E_PEER_LOST);
    assert_int_equal(weft_lookup_process(w, self, &where), WEFT_E_PEER_LOST);
    assert_int_equal(weft_port_bind(w, 0, &port), WEFT_E_PEER_LOST);
    assert_int_equal(weft_port_release(w, 2000), WEFT_E_PEER_LOST);
    assert_int_equal(weft_lookup_port(w, 0, 2000, &where), WEFT_E_PEER_LOST);
    assert_int_equal(weft_own_address(w, &where), 0); /* what needs no daemon goes on */
    weft_close(w, 0);
}

/* -- connections -- */

static struct weft *open_alone(const uint8_t *key, unsigned flags, struct weft_address *at) {
    struct weft_config cfg;
    struct weft *w;
    weft_config_init(&cfg);
    cfg.flags = WEFT_ALONE | flags;
    cfg.adapters = "udp";
    cfg.run_dir = run_dir;
    cfg.key = key;
    assert_int_equal(weft_open(&w, &cfg), 0);
    assert_int_equal(weft_own_address(w, at), 0);
    return w;
}

static int connect_to(struct weft *w, const struct weft_address *at) {
    struct weft_peer *p;
    assert_int_equal(weft_connect(w, at, NULL, &p), 0);
    int rc = weft_connect_wait(p, FAB_PATIENCE);
    assert_int_equal(rc, weft_peer_status(p));
    weft_disconnect(p);
    return rc;
}

static void connect__needs_the_same_key(void **state) {
    static const uint8_t one[32] = {1}, two[32] = {2};
    const uint8_t *keys[] = {one, two, NULL};
    struct weft_address at, unused;
    struct weft *server = open_alone(one, 0, &at);
    for (int i = 0; i < 3; i++) {
        struct weft *w = open_alone(keys[i], 0, &unused);
        assert_int_equal(connect_to(w, &at), i == 0 ? 0 : WEFT_E_ACCESS);
        weft_close(w, 0);
    }
    weft_close(server, 0);
}

static void connect__to_somebody_who_does_not_answer(void **state) {
    struct weft_address at, unused;
    struct weft *silent = open_alone(NULL, WEFT_NO_THREAD, &at), *w = open_alone(NULL, 0, &unused);
    assert_int_equal(connect_to(w, &at), WEFT_E_TIMEDOUT);
    weft_close(w, 0);
    weft_close(silent, 0);
}

static void refuse(void *ctx, struct ep_peer *p, const struct ep_msg *m, struct ep_sink *sink) {
    uint8_t b[WIRE_REFUSE_BYTES] = {0};
    le_put32(b, (uint32_t) * (int *)ctx);
    ep_send(p, &(struct ep_send){.handler = 3, .header = b, .header_bytes = sizeof b});
    ep_disconnect(p);
}

/* A peer of another version of the fabric, or one that says nonsense. */
static void connect__refused_with_a_reason(void **state) {
    static const int said[] = {WEFT_E_VERSION, WEFT_E_NOENT, 12345};
    struct weft_address at;
    struct weft *w = open_alone(NULL, 0, &at);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        int status = said[i];
        struct ep *ep;
        struct ep_config cfg = {.adapters = "udp", .run_dir = run_dir, .accept = true};
        cfg.handlers[1] = (struct ep_handler){refuse, &status};
        assert_int_equal(ep_open(&ep, &cfg), 0);
        size_t bytes = WEFT_ADDRESS_MAX - 12; /* behind what the fabric writes of a process */
        assert_int_equal(ep_address(ep, at.data + 12, &bytes), 0);
        at.bytes = 12 + (uint32_t)bytes;
        assert_int_equal(connect_to(w, &at), i == 0 ? WEFT_E_VERSION : WEFT_E_REFUSED);
        ep_close(ep, 0);
    }
    weft_close(w, 0);
}

int main(int argc, char **argv) {
    setenv("WEFT_CONNECT_TIMEOUT_MS", "1000", 1);
    snprintf(link_path, sizeof link_path, "/tmp/weft-reach-%d", (int)getpid());
    setenv("WEFT_NODE_SOCKET", link_path, 1);
    const struct CMUnitTest tests[] = {
        T(open__what_the_daemon_says),     T(names__are_limited),
        T(ports__of_the_privileged),       T(daemon__is_gone),
        T(connect__needs_the_same_key),    T(connect__to_somebody_who_does_not_answer),
        T(connect__refused_with_a_reason), T(calls__without_memory),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    int failed = cmocka_run_group_tests(tests, group_setup, group_teardown);
    unlink(link_path);
    return failed;
}
