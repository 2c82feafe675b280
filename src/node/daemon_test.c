/* Daemons of a cluster in one process, each on a thread of its own, with real clients and a stand-in for
 * weft-exec. */
#include "node/daemon_fixture.h"
#include "node/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

/* --- opening and joining --- */

static void open__a_bind_address_that_others_reach_needs_insecure(void **state) {
    struct node_daemon *d;
    struct node_daemon_config cfg = base_config;
    cfg.bind_host = "192.0.2.1";
    assert_int_equal(node_daemon_open(&d, &cfg), WEFT_E_ACCESS);
    cfg.bind_host = "0.0.0.0";
    cfg.insecure = true;
    assert_int_equal(node_daemon_open(&d, &cfg), WEFT_E_INVAL);
    cfg.bind_host = "somewhere";
    assert_int_equal(node_daemon_open(&d, &cfg), WEFT_E_INVAL);
    assert_true(node_host_is_loopback("127.0.0.5"));
    assert_true(node_host_is_loopback("::1"));
    assert_false(node_host_is_loopback("10.0.0.1"));
}

static void open__node_zero_twice_is_refused(void **state) {
    struct node_daemon *d;
    cluster(1);
    assert_int_equal(node_daemon_open(&d, &base_config), WEFT_E_EXIST);
    struct node_client *c = client(0, NULL);
    assert_int_equal(node_client_nodes(c, NULL, 0, 10000), 1);
    node_client_close(c);
}

static void open__what_a_killed_daemon_left_is_removed(void **state) {
    char path[WEFT_PATH_MAX];
    struct stat st;
    const char *const dirs[] = {"default", "default/node0", "run-1999999999-0", "run-1999999999-0/node5",
                                "run-1999999999-0/vendors"};
    const char *const files[] = {"default/node0/lock", "default/node0/socket", "run-1999999999-0/node5/lock",
                                 "run-1999999999-0/vendors/weft.icd"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        snprintf(path, sizeof path, "%s/%s", run_dir, dirs[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", run_dir, files[i]);
        int fd = open(path, O_CREAT | O_WRONLY, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    cluster(1);
    snprintf(path, sizeof path, "%s/run-1999999999-0", run_dir);
    assert_int_not_equal(stat(path, &st), 0);
}

static void join__every_node_has_every_other(void **state) {
    cluster(4);
    for (unsigned i = 0; i < 4; i++) {
        struct node_client *c = client(i, NULL);
        struct node_info info[8];
        assert_int_equal(node_client_self(c).node, i);
        assert_int_equal(node_client_nodes(c, info, 8, 10000), 4);
        for (unsigned k = 0; k < 4; k++) {
            assert_int_equal(info[k].id, k);
            assert_true(info[k].online);
            assert_true(info[k].address_bytes > 0);
        }
        node_client_close(c);
    }
}

static void join__a_wanted_id_and_the_lowest_free_one(void **state) {
    char join[NODE_JOIN_TEXT_MAX];
    cluster(1);
    strcpy(join, node_daemon_join_text(nodes[0].d));
    struct node_daemon_config cfg = base_config;
    cfg.join = join;
    cfg.wanted_node = 7;
    up(1, &cfg);
    assert_int_equal(node_daemon_id(nodes[1].d), 7);
    cfg.wanted_node = -1;
    up(2, &cfg);
    assert_int_equal(node_daemon_id(nodes[2].d), 1);
    cfg.wanted_node = 7;
    struct node_daemon *d;
    assert_int_equal(node_daemon_open(&d, &cfg), WEFT_OK);
    while (node_daemon_step(d, -1) == WEFT_OK) assert_int_not_equal(node_daemon_state(d), NODE_DAEMON_READY);
    node_daemon_close(d);
    down(2);
    cfg.wanted_node = -1;
    up(2, &cfg);
    assert_int_equal(node_daemon_id(nodes[2].d), 1);
}

/* A daemon that joins by that node. */
static void join_by(unsigned by, unsigned i, uint32_t expected) {
    char join[NODE_JOIN_TEXT_MAX];
    struct node_daemon_config cfg = base_config;
    strcpy(join, node_daemon_join_text(nodes[by].d));
    cfg.join = join;
    up(i, &cfg);
    assert_int_equal(node_daemon_id(nodes[i].d), expected);
}

/* So many, and each comes to be seen as online: one that has just joined links with the others in its own
 * time. */
static void assert_nodes(unsigned i, int count) {
    struct node_info info[8];
    struct node_client *c = client(i, NULL);
    int online;
    do {
        assert_int_equal(node_client_nodes(c, info, 8, 10000), count);
        online = 0;
        for (int k = 0; k < count; k++) online += info[k].online;
    } while (online < count);
    node_client_close(c);
}

static void await_nodes(unsigned i, int count) {
    struct node_client *c = client(i, NULL);
    while (node_client_nodes(c, NULL, 0, 10000) != count) {
    }
    node_client_close(c);
}

static void join__by_a_node_that_sends_it_on(void **state) {
    cluster(2);
    assert_string_not_equal(node_daemon_join_text(nodes[0].d), node_daemon_join_text(nodes[1].d));
    join_by(1, 2, 2);
    join_by(2, 3, 3);
    for (unsigned i = 0; i < 4; i++) assert_nodes(i, 4);
}

static void join__when_node_zero_has_left(void **state) {
    cluster(3);
    down(0);
    struct news news = {0};
    await_nodes(1, 2);
    await_nodes(2, 2);
    struct node_client *c = client(2, &news);
    join_by(2, 3, 3); /* node 1 takes it in, whose own id is taken */
    await(c, &news.ups, 1);
    for (unsigned i = 1; i < 4; i++) assert_nodes(i, 3);
    struct started s;
    start(c, 3, &s);
    assert_int_equal(s.status, WEFT_OK);
    node_client_close(c);
    down(1);
    down(2);
    await_nodes(3, 1);
    join_by(3, 1, 1); /* a node that is alone takes nodes in, too */
    assert_nodes(1, 2);
}

static void join__a_wrong_token_is_refused(void **state) {
    char join[NODE_JOIN_TEXT_MAX];
    cluster(1);
    strcpy(join, node_daemon_join_text(nodes[0].d));
    join[8] = join[8] == '0' ? '1' : '0';
    struct node_daemon_config cfg = base_config;
    cfg.join = join;
    struct node_daemon *d;
    assert_int_equal(node_daemon_open(&d, &cfg), WEFT_OK);
    while (node_daemon_step(d, -1) == WEFT_OK) assert_int_not_equal(node_daemon_state(d), NODE_DAEMON_READY);
    node_daemon_close(d);
    struct node_client *c = client(0, NULL);
    assert_int_equal(node_client_nodes(c, NULL, 0, 10000), 1);
    node_client_close(c);
    cfg.join = "weft1-00";
    assert_int_equal(node_daemon_open(&d, &cfg), WEFT_E_INVAL);
}

/* Plays a daemon up to its answer: it says one thing to node 0, and hears who it is or why not. */
struct played {
    struct ep *ep;
    atomic_uint answered;
    enum node_mesh answer;
    uint32_t id;
};

static void on_answer(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct played *p = ctx;
    struct weft_reader r;
    weft_reader_init(&r, msg->header, msg->header_bytes);
    enum node_mesh type = weft_get_u8(&r);
    if (atomic_load(&p->answered)) return; /* what a node that has joined is told from then on */
    p->answer = type;
    if (type == NODE_M_JOINED) p->id = weft_get_u32(&r);
    atomic_fetch_add(&p->answered, 1);
}

static bool is_answered(void *arg) { return atomic_load((atomic_uint *)arg); }

static void play(struct played *p, enum node_mesh what, uint32_t id, uint64_t boot) {
    uint8_t buf[1024];
    struct weft_writer w;
    struct node_join j;
    struct node_entry e = {.id = id, .boot = boot, .host = "played", .address_bytes = sizeof e.address};
    struct ep_config cfg = {.run_dir = run_dir, .adapters = "udp", .accept = true};
    struct ep_peer *peer;
    *p = (struct played){0};
    cfg.handlers[NODE_ON_MESH] = (struct ep_handler){.on_header = on_answer, .ctx = p};
    assert_int_equal(ep_open(&p->ep, &cfg), WEFT_OK);
    assert_int_equal(ep_address(p->ep, e.address, &e.address_bytes), WEFT_OK);
    assert_int_equal(node_join_parse(node_daemon_join_text(nodes[0].d), &j), WEFT_OK);
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u8(&w, (uint8_t)what);
    weft_put_u16(&w, NODE_PROTOCOL_VERSION);
    weft_put_bytes(&w, j.id, sizeof j.id);
    if (what == NODE_M_JOIN) weft_put_u32(&w, UINT32_MAX);
    node_put_entry(&w, &e);
    assert_int_equal(ep_connect(p->ep, j.address, j.address_bytes, NULL, &peer), WEFT_OK);
    struct ep_send s = {.handler = NODE_ON_MESH, .header = buf, .header_bytes = w.len};
    assert_int_equal(ep_send(peer, &s), WEFT_OK);
    assert_int_equal(ep_wait(p->ep, is_answered, &p->answered, weft_now_ns() + LONG_NS), WEFT_OK);
}

/* Another node gave it the same id, and was lost before it told. */
static void join__an_id_that_is_given_out_is_not_taken_by_a_greeting(void **state) {
    struct played owner, other;
    cluster(1);
    play(&owner, NODE_M_JOIN, 0, 1);
    assert_int_equal(owner.answer, NODE_M_JOINED);
    play(&other, NODE_M_HELLO, owner.id, 2);
    assert_int_equal(other.answer, NODE_M_REFUSED);
    ep_close(other.ep, 0);
    ep_close(owner.ep, 0);
}

static void news__of_a_node_that_comes_and_goes(void **state) {
    struct news news = {0};
    char join[NODE_JOIN_TEXT_MAX];
    cluster(1);
    strcpy(join, node_daemon_join_text(nodes[0].d));
    struct node_client *c = client(0, &news);
    struct node_daemon_config cfg = base_config;
    cfg.join = join;
    up(1, &cfg);
    await(c, &news.ups, 1);
    assert_int_equal(news.last_node, 1);
    down(1);
    await(c, &news.downs, 1);
    assert_int_equal(news.last_node, 1);
    assert_int_equal(node_client_nodes(c, NULL, 0, 10000), 1);
    down(0);
    assert_int_equal(node_client_nodes(c, NULL, 0, 10000), WEFT_E_PEER_LOST);
    assert_int_equal(atomic_load(&news.daemon), 1);
    node_client_close(c);
}

/* --- hostile clients --- */

static int raw_connect(unsigned node) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, nodes[node].socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void assert_hangs_up(int fd) {
    char buf[4096];
    ssize_t n;
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0) {
    }
    close(fd);
}

static void client__of_another_version_is_told_so(void **state) {
    cluster(1);
    struct node_stream s;
    node_stream_init(&s, raw_connect(0), 4096, 4096);
    uint8_t buf[32];
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u32(&w, NODE_PROTOCOL_MAGIC);
    weft_put_u16(&w, 99);
    weft_put_u8(&w, NODE_PROGRAM);
    assert_int_equal(node_stream_put(&s, NODE_HELLO, 0, &w), WEFT_OK);
    assert_int_equal(node_stream_flush(&s), WEFT_OK);
    struct node_frame f;
    struct pollfd p = {.fd = s.fd, .events = POLLIN};
    while (node_stream_next(&s, &f) == 0) {
        assert_int_equal(poll(&p, 1, 20000), 1);
        assert_int_equal(node_stream_fill(&s), WEFT_OK);
    }
    assert_int_equal((int32_t)weft_get_u32(&f.body), WEFT_E_VERSION);
    char reason[NODE_REASON_MAX];
    node_get_reason(&f.body, reason);
    assert_non_null(strstr(reason, "99"));
    assert_hangs_up(dup(s.fd));
    node_stream_fini(&s);
}

static bool is_open(int fd) {
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* One that opens connections without end is turned away before others are. */
static void client__without_end_is_turned_away_alone(void **state) {
    static int fds[4096];
    size_t n = 0;
    cluster(1);
    struct node_client *c = client(0, NULL);
    do {
        assert_true(n < 4096);
        fds[n++] = raw_connect(0);
        assert_int_equal(node_client_nodes(c, NULL, 0, 10000), 1); /* so that it has been looked at */
    } while (is_open(fds[n - 1]));
    assert_true(n > 10);
    struct started s = {0};
    start(c, 0, &s); /* an executor is another process */
    assert_int_equal(s.status, WEFT_OK);
    while (n) close(fds[--n]);
    node_client_close(client(0, NULL));
    node_client_close(c);
}

static void client__that_breaks_the_protocol_is_dropped_alone(void **state) {
    cluster(1);
    struct node_client *c = client(0, NULL);
    static const uint8_t bad[][12] = {
        {0xff, 0xff, 0xff, 0xff},             /* an absurd length */
        {4, 0, 0, 0, 1, 0, 0, 0},             /* shorter than a frame's head */
        {5, 0, 0, 0, NODE_NODES, 0, 0, 0, 0}, /* a request before HELLO */
        {5, 0, 0, 0, NODE_HELLO, 0, 0, 0, 0}, /* an empty HELLO */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int fd = raw_connect(0);
        assert_int_equal(send(fd, bad[i], sizeof bad[i], MSG_NOSIGNAL), sizeof bad[i]);
        assert_hangs_up(fd);
    }
    assert_int_equal(node_client_nodes(c, NULL, 0, 10000), 1);
    node_client_close(c);
}

/* Random frames after a valid HELLO: the daemon answers or hangs up, and lives. */
static void client__random_frames(void **state) {
    cluster(2);
    unsigned seed = 1;
    for (int round = 0; round < 300; round++) {
        struct node_stream s;
        node_stream_init(&s, raw_connect(round % 2), 1 << 20, 1 << 20);
        uint8_t buf[64];
        struct weft_writer w;
        weft_writer_init(&w, buf, sizeof buf);
        weft_put_u32(&w, NODE_PROTOCOL_MAGIC);
        weft_put_u16(&w, NODE_PROTOCOL_VERSION);
        weft_put_u8(&w, (uint8_t)(1 + 2 * (rand_r(&seed) % 2)));
        weft_put_blob(&w, buf, 0);
        node_stream_put(&s, NODE_HELLO, 0, &w);
        for (int i = 0; i < 8; i++) {
            uint8_t type = (uint8_t)(rand_r(&seed) % 16);
            if (type == NODE_STOP || type == NODE_EXEC_START)
                continue; /* those are allowed to it, and heard */
            w.len = (size_t)(rand_r(&seed) % 20);
            for (size_t k = 0; k < w.len; k++) buf[k] = (uint8_t)(rand_r(&seed) % 3 ? 0 : rand_r(&seed));
            node_stream_put(&s, type, (uint32_t)i, &w);
        }
        node_stream_flush(&s);
        node_stream_fini(&s);
    }
    struct node_client *c = client(0, NULL);
    assert_int_equal(node_client_nodes(c, NULL, 0, 10000), 2);
    node_client_close(c);
}

/* --- ports --- */

static void port__is_found_from_another_node_and_ends_with_its_process(void **state) {
    cluster(2);
    struct news news = {0};
    struct node_client *holder = client(1, NULL), *other = client(0, &news);
    struct node_process self = node_client_self(holder), found;
    uint8_t address[EP_ADDRESS_MAX];
    size_t bytes = sizeof address;
    uint16_t port, again;
    assert_int_equal(node_client_port_bind(holder, 0, &port), WEFT_OK);
    assert_int_equal(port, 1089);
    assert_int_equal(node_client_port_bind(holder, 1089, &again), WEFT_E_EXIST);
    assert_int_equal(node_client_port_lookup(other, 1, 1089, &found, address, &bytes), WEFT_OK);
    assert_int_equal(found.node, 1);
    assert_int_equal(found.process, self.process);
    assert_int_equal(node_client_port_lookup(other, 1, 1090, &found, address, &bytes), WEFT_E_NOENT);
    assert_int_equal(node_client_port_lookup(other, 0, 1089, &found, address, &bytes), WEFT_E_NOENT);
    assert_int_equal(node_client_port_lookup(other, 9, 1089, &found, address, &bytes), WEFT_E_UNREACHABLE);
    node_client_close(holder);
    await(other, &news.processes, 1);
    assert_int_equal(news.last.node, 1);
    assert_int_equal(news.last.process, self.process);
    bytes = sizeof address;
    assert_int_equal(node_client_port_lookup(other, 1, 1089, &found, address, &bytes), WEFT_E_NOENT);
    node_client_close(other);
}

static void port__released_is_free_again(void **state) {
    cluster(1);
    struct node_client *a = client(0, NULL), *b = client(0, NULL);
    uint16_t port;
    assert_int_equal(node_client_port_bind(a, 2000, &port), WEFT_OK);
    assert_int_equal(node_client_port_bind(b, 2000, &port), WEFT_E_EXIST);
    assert_int_equal(node_client_port_release(b, 2000), WEFT_E_NOENT);
    assert_int_equal(node_client_port_release(a, 2000), WEFT_OK);
    assert_int_equal(node_client_port_bind(b, 2000, &port), WEFT_OK);
    node_client_close(a);
    node_client_close(b);
}

/* --- executors --- */

static void executor__here_and_on_another_node(void **state) {
    cluster(2);
    struct news news = {0};
    struct node_client *c = client(0, &news);
    for (uint32_t node = 0; node < 2; node++) {
        struct started s;
        start(c, node, &s);
        assert_int_equal(s.status, WEFT_OK);
        assert_int_equal(s.x.id.node, node);
        assert_int_equal(s.x.address_bytes, NODE_TOKEN_BYTES + 4);
        assert_memory_equal(s.x.token, s.x.address,
                            NODE_TOKEN_BYTES); /* it got on its stdin what we were told */
        assert_int_equal(kill(fake_pid(&s), SIGKILL), 0);
        await(c, &news.processes, node + 1);
        assert_int_equal(news.last.node, node);
        assert_int_equal(news.last.process, s.x.id.process);
        assert_string_equal(news.reason, "killed by signal 9 (Killed)");
    }
    node_client_close(c);
}

static void executor__that_fails_to_start_tells_why(void **state) {
    setenv("WEFT_FAKE_MODE", "exit", 1);
    cluster(2);
    struct node_client *c = client(0, NULL);
    struct started s;
    for (uint32_t node = 0; node < 2; node++) {
        start(c, node, &s);
        assert_int_equal(s.status, WEFT_E_IO);
        assert_non_null(strstr(s.reason, "exit status 3"));
    }
    start(c, 5, &s);
    assert_int_equal(s.status, WEFT_E_UNREACHABLE);
    node_client_close(c);
}

static void executor__that_stays_silent_is_killed(void **state) {
    setenv("WEFT_FAKE_MODE", "silent", 1);
    base_config.executor_timeout_ms = 50;
    cluster(2);
    struct node_client *c = client(0, NULL);
    struct started s;
    start(c, 1, &s);
    assert_int_equal(s.status, WEFT_E_IO);
    assert_non_null(strstr(s.reason, "not ready in time"));
    node_client_close(c);
}

static void executor__that_is_missing(void **state) {
    base_config.executor = "/nowhere/weft-exec";
    base_config.no_inventory = true;
    cluster(1);
    struct node_client *c = client(0, NULL);
    struct started s;
    start(c, 0, &s);
    assert_int_equal(s.status, WEFT_E_NOENT);
    assert_non_null(strstr(s.reason, "cannot start /nowhere/weft-exec: No such file or directory"));
    node_client_close(c);
}

static void executor__that_closes_its_line_is_killed(void **state) {
    setenv("WEFT_FAKE_MODE", "close", 1);
    cluster(1);
    struct news news = {0};
    struct node_client *c = client(0, &news);
    struct started s;
    start(c, 0, &s);
    assert_int_equal(s.status, WEFT_OK);
    await(c, &news.processes, 1);
    assert_non_null(strstr(news.reason, "closed its line"));
    node_client_close(c);
}

static void executor__ends_with_its_client(void **state) {
    cluster(2);
    struct node_client *c = client(0, NULL), *other = client(0, NULL);
    int ends[3];
    for (uint32_t node = 0; node < 2; node++) {
        struct started s;
        start(c, node, &s);
        assert_int_equal(s.status, WEFT_OK);
        ends[node] = (int)syscall(SYS_pidfd_open, fake_pid(&s), 0);
    }
    struct started kept;
    start(other, 1, &kept);
    ends[2] = (int)syscall(SYS_pidfd_open, fake_pid(&kept), 0);
    node_client_close(c);
    assert_ends(ends[0]);
    assert_ends(ends[1]);
    struct pollfd f = {.fd = ends[2], .events = POLLIN};
    assert_int_equal(poll(&f, 1, 0), 0);
    node_client_close(other);
    assert_ends(ends[2]);
}

static void executor__ends_with_its_daemon_and_with_its_clients(void **state) {
    cluster(3);
    struct news news = {0};
    struct node_client *c = client(1, &news);
    struct started on_own, on_lost, on_zero;
    start(c, 1, &on_own);
    start(c, 2, &on_lost);
    start(c, 0, &on_zero);
    int zero = (int)syscall(SYS_pidfd_open, fake_pid(&on_zero), 0),
        lost = (int)syscall(SYS_pidfd_open, fake_pid(&on_lost), 0);
    down(2);
    assert_ends(lost);
    await(c, &news.processes, 1);
    assert_int_equal(news.last.node, 2);
    await(c, &news.downs, 1);
    down(1); /* the client's own: node 0 kills what it had started for it */
    assert_ends(zero);
    node_client_close(c);
}

static void hello__as_an_executor_that_nobody_started_is_refused(void **state) {
    cluster(1);
    struct node_client *c = NULL;
    assert_int_equal(node_client_open(&c, NULL, nodes[0].socket, NODE_EXECUTOR, NULL), WEFT_E_ACCESS);
    assert_null(c);
    c = client(0, NULL);
    assert_int_equal(node_client_executor_ready(c, "x", 1), WEFT_E_INVAL);
    node_client_close(c);
}

/* --- inventory --- */

static void inventory__travels_between_nodes(void **state) {
    cluster(3);
    struct node_client *c = client(1, NULL);
    for (uint32_t node = 0; node < 3; node++) {
        for (int again = 0; again < 2; again++) {
            uint8_t *blob = NULL;
            size_t bytes = 0;
            assert_int_equal(node_client_inventory(c, node, (void **)&blob, &bytes, 20000), WEFT_OK);
            assert_int_equal(bytes, 100000);
            for (size_t i = 0; i < bytes; i++) assert_true(blob[i] == i % 251);
            free(blob);
        }
    }
    void *blob;
    size_t bytes;
    assert_int_equal(node_client_inventory(c, 9, &blob, &bytes, 20000), WEFT_E_UNREACHABLE);
    node_client_close(c);
}

static void assert_empty_inventory(const char *mode) {
    setenv("WEFT_FAKE_MODE", mode, 1);
    base_config.inventory_timeout_ms = strcmp(mode, "inventory-hang") == 0 ? 50 : 0;
    cluster(2);
    struct node_client *c = client(0, NULL);
    for (uint32_t node = 0; node < 2; node++) {
        void *blob = NULL;
        size_t bytes = 1;
        assert_int_equal(node_client_inventory(c, node, &blob, &bytes, 20000), WEFT_OK);
        assert_int_equal(bytes, 0);
        free(blob);
    }
    node_client_close(c);
}

static void inventory__of_a_driver_that_crashes_is_empty(void **state) {
    assert_empty_inventory("inventory-crash");
}
static void inventory__that_hangs_is_empty(void **state) { assert_empty_inventory("inventory-hang"); }
static void inventory__that_is_too_big_is_empty(void **state) { assert_empty_inventory("inventory-huge"); }

static void inventory__timeout_of_the_caller(void **state) {
    setenv("WEFT_FAKE_MODE", "inventory-hang", 1);
    cluster(1);
    struct node_client *c = client(0, NULL);
    void *blob;
    size_t bytes;
    assert_int_equal(node_client_inventory(c, 0, &blob, &bytes, 20), WEFT_E_TIMEDOUT);
    assert_int_equal(node_client_nodes(c, NULL, 0, 10000), 1);
    node_client_close(c);
}

/* --- recording --- */

static int record(struct node_client *c, uint32_t node, enum node_record what, size_t *bytes) {
    void *blob = NULL;
    int rc = node_client_record(c, node, what, bytes ? &blob : NULL, bytes, 20000);
    free(blob);
    return rc;
}

/* One at a time, on all nodes, until its line ends. */
static void record__is_one_clients_at_a_time(void **state) {
    size_t bytes = 1;
    cluster(2);
    struct node_client *c = client(0, NULL), *d = client(1, NULL);
    assert_int_equal(record(c, 1, NODE_RECORD_GET, &bytes), WEFT_E_NOENT);
    for (uint32_t node = 0; node < 2; node++) {
        assert_int_equal(record(c, node, NODE_RECORD_BEGIN, NULL), WEFT_OK);
        assert_int_equal(record(d, node, NODE_RECORD_BEGIN, NULL), WEFT_E_EXIST);
        assert_int_equal(record(d, node, NODE_RECORD_GET, &bytes), WEFT_E_NOENT);
        assert_int_equal(record(d, node, NODE_RECORD_END, NULL), WEFT_E_NOENT);
        assert_int_equal(record(c, node, NODE_RECORD_GET, &bytes), WEFT_OK);
        assert_int_equal(bytes, 0);
    }
    assert_int_equal(record(c, 9, NODE_RECORD_BEGIN, NULL), WEFT_E_UNREACHABLE);
    assert_int_equal(record(c, 1, 7, NULL), WEFT_E_INVAL);
    assert_int_equal(record(c, 0, NODE_RECORD_END, NULL), WEFT_OK);
    assert_int_equal(record(d, 0, NODE_RECORD_BEGIN, NULL), WEFT_OK);
    node_client_close(c); /* with which it ends on node 1, too: soon */
    int rc;
    for (unsigned i = 0; (rc = record(d, 1, NODE_RECORD_BEGIN, NULL)) == WEFT_E_EXIST && i < 100000; i++) {
    }
    assert_int_equal(rc, WEFT_OK);
    node_client_close(d);
}

/* --- with an endpoint --- */

static bool is_done(void *arg) { return atomic_load((atomic_uint *)arg) > 0; }

static unsigned daemons_told, others_told;

static void count_told(void *ctx, const struct node_usage *u) {
    bool is_daemon = u->who.kind == NODE_DAEMON;
    daemons_told += is_daemon;
    others_told += !is_daemon;
    assert_int_equal(u->who.pid, getpid());
    assert_true(u->up_ms > 0 && u->counters > 0);
}

/* Daemons and their clients are one process here; it has a client with two lines on node 1. */
static void usage__is_told_by_each_node(void **state) {
    void *blob;
    size_t bytes;
    cluster(2);
    struct node_client *c = client(0, NULL), *d = client(1, NULL), *e = client(1, NULL);
    for (uint32_t node = 0; node < 2; node++) {
        daemons_told = others_told = 0;
        assert_int_equal(node_client_usage(c, node, &blob, &bytes, 20000), WEFT_OK);
        assert_int_equal(node_usage_read(blob, bytes, count_told, NULL), WEFT_OK);
        assert_int_equal(daemons_told, 1);
        assert_int_equal(others_told, 1);
        free(blob);
    }
    assert_int_equal(node_client_usage(c, 9, &blob, &bytes, 20000), WEFT_E_UNREACHABLE);
    node_client_close(c);
    node_client_close(d);
    node_client_close(e);
}

static void client__with_an_endpoint(void **state) {
    cluster(2);
    struct ep *ep;
    struct ep_config cfg = {.run_dir = run_dir, .adapters = "udp"};
    assert_int_equal(ep_open(&ep, &cfg), WEFT_OK);
    struct news news = {0};
    struct node_callbacks cb = {on_process_down, on_node_up, on_node_down, on_daemon_down, &news};
    struct node_client *c;
    assert_int_equal(node_client_open(&c, ep, nodes[0].socket, NODE_PROGRAM, &cb), WEFT_OK);
    struct node_info info[4];
    assert_int_equal(node_client_nodes(c, info, 4, 10000), 2);
    struct started s = {0};
    assert_int_equal(node_client_start_executor(c, 1, on_started, &s), WEFT_OK);
    assert_int_equal(ep_wait(ep, is_done, &s.done, weft_now_ns() + LONG_NS), WEFT_OK);
    assert_int_equal(s.status, WEFT_OK);
    kill(fake_pid(&s), SIGTERM);
    assert_int_equal(ep_wait(ep, is_done, &news.processes, weft_now_ns() + LONG_NS), WEFT_OK);
    assert_string_equal(news.reason, "killed by signal 15 (Terminated)");
    down(1);
    assert_int_equal(ep_wait(ep, is_done, &news.downs, weft_now_ns() + LONG_NS), WEFT_OK);
    down(0);
    assert_int_equal(ep_wait(ep, is_done, &news.daemon, weft_now_ns() + LONG_NS), WEFT_OK);
    assert_int_equal(node_client_nodes(c, info, 4, 10000), WEFT_E_PEER_LOST);
    node_client_close(c);
    ep_close(ep, 0);
}

struct found_later {
    int status;
    struct node_process p;
    uint8_t address[EP_ADDRESS_MAX];
    size_t bytes;
};

static void on_found(void *arg, int status, struct node_process p, const void *address, size_t bytes) {
    struct found_later *f = arg;
    f->p = p;
    f->bytes = bytes;
    memcpy(f->address, address, bytes);
    f->status = status;
}

static void find__by_name_and_by_number(void **state) {
    cluster(2);
    struct ep *ep;
    struct ep_config cfg = {.run_dir = run_dir, .adapters = "udp"};
    assert_int_equal(ep_open(&ep, &cfg), WEFT_OK);
    struct node_client *holder, *other = client(0, NULL), *tool = client(1, NULL);
    assert_int_equal(node_client_open(&holder, ep, nodes[1].socket, NODE_PROGRAM, NULL), WEFT_OK);
    struct node_process self = node_client_self(holder), found = {0};
    uint8_t own[EP_ADDRESS_MAX], address[EP_ADDRESS_MAX];
    size_t own_bytes = sizeof own, bytes = sizeof address;
    assert_int_equal(ep_address(ep, own, &own_bytes), 0);
    assert_int_equal(node_client_publish(holder, "server"), WEFT_OK);
    assert_int_equal(node_client_publish(holder, ""), WEFT_E_INVAL);
    assert_int_equal(node_client_publish(tool, "mine"), WEFT_E_INVAL); /* nobody could connect to it */
    assert_int_equal(node_client_find(other, 1, "server", &found, address, &bytes), WEFT_OK);
    assert_int_equal(found.process, self.process);
    assert_int_equal(bytes, own_bytes);
    assert_memory_equal(address, own, bytes);
    bytes = sizeof address;
    found = (struct node_process){0};
    assert_int_equal(node_client_find(tool, 1, "server", &found, address, &bytes), WEFT_OK);
    assert_int_equal(found.process, self.process);
    bytes = sizeof address;
    assert_int_equal(node_client_find(other, 1, NULL, &self, address, &bytes), WEFT_OK);
    assert_memory_equal(address, own, bytes);
    bytes = sizeof address;
    found.process = 999999;
    assert_int_equal(node_client_find(other, 1, NULL, &found, address, &bytes), WEFT_E_NOENT);
    assert_int_equal(node_client_find(other, 0, "server", &found, address, &bytes), WEFT_E_NOENT);
    assert_int_equal(node_client_find(other, 7, "server", &found, address, &bytes), WEFT_E_UNREACHABLE);
    struct found_later later = {.status = 1};
    assert_int_equal(node_client_start_find(other, 1, "server", on_found, &later), WEFT_OK);
    while (later.status == 1) assert_true(node_client_nodes(other, NULL, 0, 10000) > 0);
    assert_int_equal(later.status, WEFT_OK);
    assert_int_equal(later.p.node, 1);
    assert_int_equal(later.p.process, self.process);
    assert_int_equal(later.bytes, own_bytes);
    assert_memory_equal(later.address, own, own_bytes);
    later.status = 1;
    assert_int_equal(node_client_start_find(other, 7, "server", on_found, &later), WEFT_OK);
    while (later.status == 1) assert_true(node_client_nodes(other, NULL, 0, 10000) > 0);
    assert_int_equal(later.status, WEFT_E_UNREACHABLE);
    assert_int_equal(node_client_withdraw(tool, "server"), WEFT_E_NOENT);
    assert_int_equal(node_client_withdraw(holder, "server"), WEFT_OK);
    assert_int_equal(node_client_find(other, 1, "server", &found, address, &bytes), WEFT_E_NOENT);
    assert_int_equal(node_client_publish(holder, "server"), WEFT_OK);
    node_client_close(holder); /* and with it its names */
    while (node_client_find(other, 1, "server", &found, address, &bytes) == WEFT_OK) bytes = sizeof address;
    assert_int_equal(node_client_find(other, 1, "server", &found, address, &bytes), WEFT_E_NOENT);
    node_client_close(other);
    node_client_close(tool);
    ep_close(ep, 0);
}

/* Without having looked it up, here and on another node; and of one that is gone already. */
static void watch__tells_the_end(void **state) {
    cluster(2);
    struct news news = {0};
    struct node_client *c = client(0, &news);
    for (unsigned node = 0; node < 2; node++) {
        struct ep *ep;
        struct ep_config cfg = {.run_dir = run_dir, .adapters = "udp"};
        struct node_client *watched;
        assert_int_equal(ep_open(&ep, &cfg), WEFT_OK);
        assert_int_equal(node_client_open(&watched, ep, nodes[node].socket, NODE_PROGRAM, NULL), WEFT_OK);
        struct node_process p = node_client_self(watched);
        assert_int_equal(node_client_watch(c, p), WEFT_OK);
        struct node_info info[2];
        assert_int_equal(node_client_nodes(c, info, 2, 10000), 2);
        assert_int_equal(news.processes, 2 * node);
        ep_close(ep, 0);
        node_client_endpoint_closed(watched);
        node_client_close(watched);
        await(c, &news.processes, 2 * node + 1);
        assert_int_equal(news.last.node, p.node);
        assert_int_equal(news.last.process, p.process);
        assert_int_equal(node_client_watch(c, p), WEFT_OK);
        await(c, &news.processes, 2 * node + 2);
        assert_string_equal(news.reason, "there is no such process");
    }
    node_client_close(c);
}

/* --- the end of all --- */

/* Its order and its end are heard in one turn. What this daemon still has to tell it goes nowhere. */
static void stop__ordered_by_a_daemon_that_is_gone_at_once(void **state) {
    cluster(1);
    struct node_client *c = client(0, NULL);
    struct node_daemon_config cfg = base_config;
    struct node_daemon *second;
    struct started s = {0};
    cfg.join = node_daemon_join_text(nodes[0].d);
    assert_int_equal(node_daemon_open(&second, &cfg), WEFT_OK);
    while (node_daemon_state(second) != NODE_DAEMON_READY)
        assert_int_equal(node_daemon_step(second, -1), WEFT_OK);
    assert_int_equal(node_client_start_executor(c, 1, on_started, &s), WEFT_OK);
    while (!atomic_load(&s.done)) {
        assert_int_equal(node_daemon_step(second, 10), WEFT_OK);
        assert_in_range(node_client_nodes(c, NULL, 0, 10000), 1, 2);
    }
    assert_int_equal(s.status, WEFT_OK);
    assert_int_equal(node_client_stop_cluster(c), WEFT_OK);
    node_client_close(c);
    down(0);
    while (node_daemon_step(second, -1) == WEFT_OK) {
    }
    node_daemon_close(second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        T(open__a_bind_address_that_others_reach_needs_insecure),
        T(open__node_zero_twice_is_refused),
        T(open__what_a_killed_daemon_left_is_removed),
        T(join__every_node_has_every_other),
        T(join__a_wanted_id_and_the_lowest_free_one),
        T(join__by_a_node_that_sends_it_on),
        T(join__when_node_zero_has_left),
        T(join__an_id_that_is_given_out_is_not_taken_by_a_greeting),
        T(join__a_wrong_token_is_refused),
        T(news__of_a_node_that_comes_and_goes),
        T(client__of_another_version_is_told_so),
        T(client__without_end_is_turned_away_alone),
        T(client__that_breaks_the_protocol_is_dropped_alone),
        T(client__random_frames),
        T(port__is_found_from_another_node_and_ends_with_its_process),
        T(port__released_is_free_again),
        T(find__by_name_and_by_number),
        T(watch__tells_the_end),
        T(executor__here_and_on_another_node),
        T(executor__that_fails_to_start_tells_why),
        T(executor__that_stays_silent_is_killed),
        T(executor__that_is_missing),
        T(executor__that_closes_its_line_is_killed),
        T(executor__ends_with_its_client),
        T(executor__ends_with_its_daemon_and_with_its_clients),
        T(hello__as_an_executor_that_nobody_started_is_refused),
        T(inventory__travels_between_nodes),
        T(inventory__of_a_driver_that_crashes_is_empty),
        T(inventory__that_hangs_is_empty),
        T(inventory__that_is_too_big_is_empty),
        T(inventory__timeout_of_the_caller),
        T(usage__is_told_by_each_node),
        T(record__is_one_clients_at_a_time),
        T(client__with_an_endpoint),
        T(stop__ordered_by_a_daemon_that_is_gone_at_once),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
