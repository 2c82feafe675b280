/* The daemons under test, and what the tests wait for. */
#include "node/daemon_fixture.h"

#include <dirent.h>
#include <poll.h>

char run_dir[] = "/tmp/weft-daemon-test-XXXXXX";
struct node nodes[NODES_MAX];
struct node_daemon_config base_config;
static char fake[WEFT_PATH_MAX];

static void *loop(void *arg) {
    struct node *n = arg;
    while (node_daemon_step(n->d, -1) == WEFT_OK) {
    }
    return NULL;
}

void up(unsigned i, const struct node_daemon_config *cfg) {
    assert_int_equal(node_daemon_open(&nodes[i].d, cfg), WEFT_OK);
    while (node_daemon_state(nodes[i].d) != NODE_DAEMON_READY)
        assert_int_equal(node_daemon_step(nodes[i].d, -1), WEFT_OK);
    snprintf(nodes[i].socket, sizeof nodes[i].socket, "%s", node_daemon_socket(nodes[i].d));
    nodes[i].running = true;
    assert_int_equal(pthread_create(&nodes[i].thread, NULL, loop, &nodes[i]), 0);
}

void down(unsigned i) {
    if (!nodes[i].running) return;
    nodes[i].running = false;
    node_daemon_stop(nodes[i].d);
    pthread_join(nodes[i].thread, NULL);
    node_daemon_close(nodes[i].d);
}

void cluster(unsigned count) {
    char join[NODE_JOIN_TEXT_MAX];
    struct node_daemon_config cfg = base_config;
    up(0, &cfg);
    strcpy(join, node_daemon_join_text(nodes[0].d));
    cfg.join = join;
    cfg.wanted_node = -1;
    for (unsigned i = 1; i < count; i++) up(i, &cfg);
}

int setup(void **state) {
    unsetenv("WEFT_FAKE_MODE");
    base_config = (struct node_daemon_config){.run_dir = run_dir, .executor = fake, .wanted_node = -1};
    return 0;
}

static bool is_empty(const char *path) {
    DIR *dir = opendir(path);
    unsigned count = 0;
    while (readdir(dir)) count++;
    closedir(dir);
    return count == 2;
}

int teardown(void **state) {
    for (unsigned i = NODES_MAX; i-- > 0;) down(i);
    return is_empty(run_dir) ? 0 : -1; /* daemons that end leave nothing behind */
}

int group_setup(void **state) {
    if (!mkdtemp(run_dir) || weft_exe_path("fake_executor", fake, sizeof fake) != WEFT_OK) return -1;
    setenv("SECRET_OF_THE_CALLER", "1", 1);
    setenv("WEFT_LOG", getenv("TEST_LOG") ? getenv("TEST_LOG") : "error", 1);
    return 0;
}

int group_teardown(void **state) { return rmdir(run_dir); }

void on_process_down(void *ctx, struct node_process p, const char *reason) {
    struct news *n = ctx;
    n->last = p;
    snprintf(n->reason, sizeof n->reason, "%s", reason);
    atomic_fetch_add(&n->processes, 1);
}
void on_node_up(void *ctx, uint32_t node) {
    ((struct news *)ctx)->last_node = node;
    atomic_fetch_add(&((struct news *)ctx)->ups, 1);
}
void on_node_down(void *ctx, uint32_t node, const char *reason) {
    ((struct news *)ctx)->last_node = node;
    atomic_fetch_add(&((struct news *)ctx)->downs, 1);
}
void on_daemon_down(void *ctx) { atomic_fetch_add(&((struct news *)ctx)->daemon, 1); }

struct node_client *client(unsigned node, struct news *news) {
    struct node_callbacks cb = {on_process_down, on_node_up, on_node_down, on_daemon_down, news};
    struct node_client *c = NULL;
    assert_int_equal(node_client_open(&c, NULL, nodes[node].socket, NODE_PROGRAM, news ? &cb : NULL),
                     WEFT_OK);
    return c;
}

/* News come in with the answers to calls. */
void await(struct node_client *c, atomic_uint *what, unsigned wanted) {
    uint64_t deadline = weft_now_ns() + LONG_NS;
    while (atomic_load(what) < wanted) {
        assert_true(weft_now_ns() < deadline);
        if (node_client_nodes(c, NULL, 0, 10000) < 0) break;
    }
    assert_true(atomic_load(what) >= wanted);
}

void on_started(void *arg, int status, const char *reason, const struct node_executor *x) {
    struct started *s = arg;
    s->status = status;
    if (reason) snprintf(s->reason, sizeof s->reason, "%s", reason);
    if (x) s->x = *x;
    atomic_fetch_add(&s->done, 1);
}

void start(struct node_client *c, uint32_t node, struct started *s) {
    *s = (struct started){0};
    assert_int_equal(node_client_start_executor(c, node, on_started, s), WEFT_OK);
    await(c, &s->done, 1);
}

pid_t fake_pid(const struct started *s) {
    struct weft_reader r;
    weft_reader_init(&r, s->x.address, s->x.address_bytes);
    weft_get_bytes(&r, NODE_TOKEN_BYTES);
    return (pid_t)weft_get_u32(&r);
}

void assert_ends(int pidfd) {
    struct pollfd f = {.fd = pidfd, .events = POLLIN};
    assert_int_equal(poll(&f, 1, (int)(LONG_NS / WEFT_NS_PER_MS)), 1);
    close(pidfd);
}
