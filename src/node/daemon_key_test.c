/* Clusters with a key: who gets in, who does not and is told why, and who is given the key. */
#include "node/daemon_fixture.h"

#include <fcntl.h>
#include <poll.h>

static struct node_credentials ours, theirs;

static int set_up(void **state) {
    uint8_t key[NODE_KEY_BYTES] = {1};
    unsetenv("WEFT_NODE_SOCKET");
    unsetenv("WEFT_BIND");
    if (node_credentials_make(&ours, key) != WEFT_OK) return -1;
    key[31] = 1;
    if (node_credentials_derive(&theirs, key, ours.id) != WEFT_OK) return -1;
    int rc = setup(state);
    base_config.credentials = &ours;
    base_config.no_inventory = true;
    return rc;
}

/* Steps a daemon that cannot join until it gives up. */
static void assert_does_not_join(const struct node_daemon_config *cfg) {
    struct node_daemon *d;
    assert_int_equal(node_daemon_open(&d, cfg), WEFT_OK);
    while (node_daemon_step(d, -1) == WEFT_OK) assert_int_not_equal(node_daemon_state(d), NODE_DAEMON_READY);
    node_daemon_close(d);
    struct node_client *c = client(0, NULL);
    assert_int_equal(node_client_nodes(c, NULL, 0, 10000), 1);
    node_client_close(c);
}

static void join__with_the_key(void **state) {
    struct node_info info[4];
    cluster(3);
    assert_int_equal(strncmp(node_daemon_join_text(nodes[0].d), "weft2-", 6), 0);
    for (unsigned i = 0; i < 3; i++) {
        struct node_client *c = client(i, NULL);
        assert_int_equal(node_client_nodes(c, info, 4, 10000), 3);
        for (unsigned k = 0; k < 3; k++) assert_true(info[k].online);
        node_client_close(c);
    }
}

static void join__the_text_holds_no_secret(void **state) {
    char hex[2 * NODE_KEY_BYTES + 1];
    cluster(1);
    node_hex_encode(ours.key, sizeof ours.key, hex);
    assert_null(strstr(node_daemon_join_text(nodes[0].d), hex));
    node_hex_encode(ours.token, sizeof ours.token, hex);
    assert_null(strstr(node_daemon_join_text(nodes[0].d), hex));
    node_hex_encode(ours.id, sizeof ours.id, hex);
    assert_non_null(strstr(node_daemon_join_text(nodes[0].d), hex));
}

static void join__with_another_key_is_refused(void **state) {
    const char *const adapters[] = {"shm,udp", "udp"};
    for (int i = 0; i < 2; i++) {
        base_config.adapters = adapters[i];
        cluster(1);
        struct node_daemon_config cfg = base_config;
        cfg.join = node_daemon_join_text(nodes[0].d);
        cfg.credentials = &theirs;
        assert_does_not_join(&cfg);
        down(0);
    }
}

/* The job key alone, which executors have, does not make a daemon. */
static void join__with_the_job_key_but_not_the_token_is_refused(void **state) {
    cluster(1);
    struct node_credentials half = ours;
    memset(half.token, 0, sizeof half.token);
    struct node_daemon_config cfg = base_config;
    cfg.join = node_daemon_join_text(nodes[0].d);
    cfg.credentials = &half;
    assert_does_not_join(&cfg);
}

static void join__text_and_key_must_fit(void **state) {
    struct node_daemon *d;
    struct node_daemon_config cfg = base_config;
    cluster(1);
    cfg.join = node_daemon_join_text(nodes[0].d);
    cfg.credentials = NULL;
    assert_int_equal(node_daemon_open(&d, &cfg), WEFT_E_ACCESS);
    theirs.id[0] ^= 1;
    cfg.credentials = &theirs;
    assert_int_equal(node_daemon_open(&d, &cfg), WEFT_E_INVAL);
    cfg.join = "weft1-00112233445566778899aabbccddeeff07";
    cfg.credentials = &ours;
    assert_int_equal(node_daemon_open(&d, &cfg), WEFT_E_INVAL);
}

static void open__with_a_key_other_hosts_may_reach_it(void **state) {
    struct node_daemon *d;
    struct node_daemon_config cfg = base_config;
    cfg.bind_host = "192.0.2.1"; /* no address of this host: it fails later than the check */
    assert_int_not_equal(node_daemon_open(&d, &cfg), WEFT_E_ACCESS);
    cfg.credentials = NULL;
    assert_int_equal(node_daemon_open(&d, &cfg), WEFT_E_ACCESS);
}

/* --- who is given the key --- */

static void endpoint__gets_address_and_key_from_its_daemon(void **state) {
    base_config.bind_host = "127.0.0.3";
    cluster(1);
    setenv("WEFT_NODE_SOCKET", nodes[0].socket, 1);
    struct ep_config cfg = {0};
    assert_int_equal(node_endpoint_config(&cfg), WEFT_OK);
    assert_string_equal(cfg.bind_host, "127.0.0.3");
    assert_non_null(cfg.key);
    assert_memory_equal(cfg.key, ours.key, sizeof ours.key);
    const uint8_t *given = cfg.key, zero[NODE_KEY_BYTES] = {0};
    node_endpoint_config_done(&cfg);
    assert_null(cfg.key);
    assert_memory_equal(given, zero, sizeof zero);
    setenv("WEFT_BIND", "127.0.0.4", 1);
    assert_int_equal(node_endpoint_config(&cfg), WEFT_OK); /* what is there already stays */
    assert_string_equal(cfg.bind_host, "127.0.0.3");
    node_endpoint_config_done(&cfg);
}

static void endpoint__of_a_cluster_without_a_key(void **state) {
    base_config.credentials = NULL;
    cluster(1);
    assert_int_equal(strncmp(node_daemon_join_text(nodes[0].d), "weft1-", 6), 0);
    setenv("WEFT_NODE_SOCKET", nodes[0].socket, 1);
    struct ep_config cfg = {0};
    assert_int_equal(node_endpoint_config(&cfg), WEFT_OK);
    assert_null(cfg.key);
    node_endpoint_config_done(&cfg);
}

static void endpoint__without_a_daemon(void **state) {
    setenv("WEFT_NODE_SOCKET", "/nowhere/socket", 1);
    struct ep_config cfg = {0};
    assert_int_equal(node_endpoint_config(&cfg), WEFT_OK);
    assert_null(cfg.key);
    assert_null(cfg.bind_host);
    node_endpoint_config_done(&cfg);
}

/* --- who gets to talk to a daemon's endpoint --- */

struct pinger {
    atomic_uint pongs, downs;
    int status;
};

static void on_pong(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    atomic_fetch_add(&((struct pinger *)ctx)->pongs, 1);
}
static void on_down(void *ctx, struct ep_peer *peer, int status) {
    ((struct pinger *)ctx)->status = status;
    atomic_fetch_add(&((struct pinger *)ctx)->downs, 1);
}
static bool answered(void *arg) {
    struct pinger *p = arg;
    return atomic_load(&p->pongs) || atomic_load(&p->downs);
}

/* Pings the daemon of node 0 from an endpoint with that key: WEFT_OK, or why it is not let in. */
static int ping_with(const uint8_t *key) {
    struct pinger p = {0};
    struct node_info info;
    struct node_client *c = client(0, NULL);
    assert_int_equal(node_client_nodes(c, &info, 1, 10000), 1);
    node_client_close(c);
    struct ep_config cfg = {
        .key = key, .adapters = "udp", .run_dir = run_dir, .on_peer_down = on_down, .ctx = &p};
    cfg.handlers[NODE_ON_PONG] = (struct ep_handler){.on_header = on_pong, .ctx = &p};
    struct ep *ep;
    struct ep_peer *peer;
    assert_int_equal(ep_open(&ep, &cfg), WEFT_OK);
    assert_int_equal(ep_connect(ep, info.address, info.address_bytes, NULL, &peer), WEFT_OK);
    struct ep_send s = {.handler = NODE_ON_PING, .header = "x", .header_bytes = 1};
    int rc = ep_send(peer, &s); /* may tell already that it was refused */
    if (rc == WEFT_OK) {
        assert_int_equal(ep_wait(ep, answered, &p, weft_now_ns() + LONG_NS), WEFT_OK);
        rc = atomic_load(&p.pongs) ? WEFT_OK : p.status;
    }
    ep_close(ep, 0);
    return rc;
}

static void endpoint__of_a_daemon_answers_holders_of_the_key_only(void **state) {
    cluster(1);
    assert_int_equal(ping_with(ours.key), WEFT_OK);
    assert_int_equal(ping_with(theirs.key), WEFT_E_ACCESS);
    assert_int_equal(ping_with(NULL), WEFT_E_ACCESS);
    down(0);
    base_config.credentials = NULL;
    cluster(1);
    assert_int_equal(ping_with(NULL), WEFT_OK);
    assert_int_equal(ping_with(ours.key), WEFT_E_ACCESS);
}

/* --- the lifeline --- */

static void open_with_lifeline(int fds[2]) {
    struct node_daemon_config cfg = base_config;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    cfg.lifeline_fd = fds[0];
    up(0, &cfg);
}

static void lifeline__its_end_ends_the_daemon(void **state) {
    int fds[2];
    open_with_lifeline(fds);
    assert_int_equal(write(fds[1], "kee", 3), 3);
    close(fds[1]);
    pthread_join(nodes[0].thread, NULL);
    nodes[0].running = false;
    node_daemon_close(nodes[0].d);
    close(fds[0]);
}

static void lifeline__keep_lets_the_daemon_go_on(void **state) {
    int fds[2];
    open_with_lifeline(fds);
    assert_int_equal(write(fds[1], "k", 1), 1); /* ssh may cut it anywhere */
    assert_int_equal(write(fds[1], "eep\n", 4), 4);
    close(fds[1]);
    struct node_client *c = client(0, NULL);
    for (int i = 0; i < 20; i++) assert_int_equal(node_client_nodes(c, NULL, 0, 10000), 1);
    node_client_close(c);
    down(0);
    close(fds[0]);
}

#undef T
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(join__with_the_key),
        T(join__the_text_holds_no_secret),
        T(join__with_another_key_is_refused),
        T(join__with_the_job_key_but_not_the_token_is_refused),
        T(join__text_and_key_must_fit),
        T(open__with_a_key_other_hosts_may_reach_it),
        T(endpoint__gets_address_and_key_from_its_daemon),
        T(endpoint__of_a_cluster_without_a_key),
        T(endpoint__without_a_daemon),
        T(endpoint__of_a_daemon_answers_holders_of_the_key_only),
        T(lifeline__its_end_ends_the_daemon),
        T(lifeline__keep_lets_the_daemon_go_on),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
