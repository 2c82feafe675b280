/* A service against another one of its cluster that keeps to no rules: two daemons in run directories of
 * their own, as on two hosts, the service of node 0, and this test in the place of the service of node 1. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/path.h"
#include "base/test.h"
#include "node/client.h"
#include "node/daemon.h"
#include "node/protocol.h"
#include "scif/layout.h"
#include "scif/protocol.h"
#include "scif/queue.h"
#include "scif/service/far.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ON_MESSAGE 1
#define PORT       2000
#define LONG_NS    (20 * WEFT_NS_PER_S * TEST_SLOWDOWN)

/* ---- Two daemons and a service ---- */
static struct host {
    char dir[32];
    struct node_daemon *d;
    pthread_t thread;
} host[3] = {{.dir = "/tmp/weft-far-test-XXXXXX"},
             {.dir = "/tmp/weft-far-test-XXXXXX"},
             {.dir = "/tmp/weft-far-test-XXXXXX"}};
static char join[NODE_JOIN_TEXT_MAX];
static char service[WEFT_PATH_MAX];

static void *loop(void *arg) {
    struct host *h = arg;
    while (node_daemon_step(h->d, -1) == WEFT_OK) {
    }
    return NULL;
}

static void up(struct host *h, const char *to) {
    assert_non_null(mkdtemp(h->dir));
    struct node_daemon_config cfg = {
        .run_dir = h->dir, .executor = "/bin/true", .no_inventory = true, .wanted_node = -1, .join = to};
    assert_int_equal(node_daemon_open(&h->d, &cfg), WEFT_OK);
    while (node_daemon_state(h->d) != NODE_DAEMON_READY)
        assert_int_equal(node_daemon_step(h->d, -1), WEFT_OK);
    assert_int_equal(pthread_create(&h->thread, NULL, loop, h), 0);
}

static void down(struct host *h) {
    node_daemon_stop(h->d);
    pthread_join(h->thread, NULL);
    node_daemon_close(h->d);
}

static void start_service(void) {
    int ready[2];
    char byte;
    const char *daemon = node_daemon_socket(host[0].d);
    assert_true(scif_service_path(daemon, service, sizeof service));
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ready[1], STDOUT_FILENO);
        execl(getenv("WEFT_SCIF_PROGRAM"), "weft-scif", service, daemon, (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    waitpid(pid, NULL, 0);
}

/* ---- A program of node 0 ---- */
static int line, listener_fd[3];
static uint64_t listener, accepted; /* the last one */

/* Its descriptors are the caller's. */
static int ask(struct scif_request q, struct scif_answer *a, int *fd, int fds) {
    struct scif_record out = {.data = &q, .bytes = sizeof q}, in = {.data = a, .bytes = sizeof *a};
    assert_int_equal(scif_record_send(line, &out, 0), 0);
    assert_int_equal(scif_record_receive(line, &in, 0), 0);
    if (!a->error) assert_int_equal(in.fds, fds);
    if (!a->error && fds) memcpy(fd, in.fd, (size_t)fds * sizeof *fd);
    return a->error;
}

static void open_line(void) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct scif_answer a;
    strcpy(at.sun_path, service);
    line = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(line, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(ask((struct scif_request){.op = SCIF_OP_HELLO, .value = SCIF_PROTOCOL}, &a, NULL, 0), 0);
}

static void listen_here(void) {
    struct scif_answer a;
    open_line();
    assert_int_equal(ask((struct scif_request){.op = SCIF_OP_OPEN}, &a, listener_fd, 3), 0);
    listener = a.endpoint;
    assert_int_equal(
        ask((struct scif_request){.op = SCIF_OP_BIND, .endpoint = listener, .port = PORT}, &a, NULL, 0), 0);
    assert_int_equal(
        ask((struct scif_request){.op = SCIF_OP_LISTEN, .endpoint = listener, .value = 8}, &a, NULL, 0), 0);
}

/* ---- The other service ---- */
static struct {
    struct ep *ep;
    struct node_client *client;
    struct ep_peer *peer;
    int down;                                       /* how the peer went; 0: it is up */
    uint8_t op, rest[FAR_HEADER_MAX];               /* the last message */
    uint8_t op_before, rest_before[FAR_HEADER_MAX]; /* the one before it */
    unsigned got;
} other;

static void on_message(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct weft_reader r;
    weft_reader_init(&r, msg->header, msg->header_bytes);
    other.op_before = other.op;
    memcpy(other.rest_before, other.rest, sizeof other.rest);
    other.op = weft_get_u8(&r);
    weft_get_u8(&r);
    weft_get_u32(&r);
    size_t n = weft_reader_left(&r);
    memcpy(other.rest, weft_get_bytes(&r, n), n < sizeof other.rest ? n : sizeof other.rest);
    other.got++;
}

static void on_peer_down(void *ctx, struct ep_peer *peer, int status) {
    if (peer == other.peer) other.down = status;
}

/* Until there is something, or for a moment: the service may have news of another kind. */
static void turn(void) {
    struct pollfd p = {.fd = ep_fd(other.ep), .events = POLLIN};
    if (ep_progress(other.ep) == 0 && ep_prepare_sleep(other.ep)) poll(&p, 1, 1);
}

static void await_down(int status) {
    uint64_t end = weft_now_ns() + LONG_NS;
    while (!other.down && weft_now_ns() < end) turn();
    assert_int_equal(other.down, status);
}

/* The next message. */
static void await_op(enum far_op op) {
    uint64_t end = weft_now_ns() + LONG_NS;
    for (unsigned before = other.got; other.got == before && !other.down && weft_now_ns() < end;) turn();
    assert_int_equal(other.down, 0);
    assert_int_equal(other.op, op);
}

/* The next two, which may come at once. */
static void await_ops(enum far_op first, enum far_op second) {
    uint64_t end = weft_now_ns() + LONG_NS;
    for (unsigned all = other.got + 2; other.got != all && !other.down && weft_now_ns() < end;) turn();
    assert_int_equal(other.down, 0);
    assert_int_equal(other.op_before, first);
    assert_int_equal(other.op, second);
}

static void say(const struct weft_writer *w, const void *data, size_t bytes) {
    struct ep_send s = {.handler = ON_MESSAGE,
                        .header = w->data,
                        .header_bytes = w->len,
                        .data = data,
                        .data_bytes = bytes,
                        .copy = bytes > 0};
    assert_int_equal(ep_send(other.peer, &s), WEFT_OK);
}

/* A message with fields of these sizes; a letter each: b 1, h 2, w 4, l 8 bytes. */
static void tell(enum far_op op, uint32_t id, const char *sizes, const uint64_t *field) {
    uint8_t buf[2048];
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u8(&w, (uint8_t)op);
    weft_put_u8(&w, 1);
    weft_put_u32(&w, id);
    for (size_t i = 0; sizes[i]; i++) switch (sizes[i]) {
        case 'b': weft_put_u8(&w, (uint8_t)field[i]); break;
        case 'h': weft_put_u16(&w, (uint16_t)field[i]); break;
        case 'w': weft_put_u32(&w, (uint32_t)field[i]); break;
        default: weft_put_u64(&w, field[i]);
        }
    say(&w, NULL, 0);
}
#define TELL(op, id, sizes, ...) tell(op, id, sizes, (const uint64_t[]){__VA_ARGS__})

static void reach(void) {
    struct node_process p;
    uint8_t address[EP_ADDRESS_MAX];
    size_t bytes = sizeof address;
    ep_progress(other.ep); /* the owner sleeps no more: the next call does */
    assert_int_equal(node_client_find(other.client, 0, FAR_NAME, &p, address, &bytes), WEFT_OK);
    other.down = 0;
    assert_int_equal(ep_connect(other.ep, address, bytes, NULL, &other.peer), WEFT_OK);
}

static void ask_to_connect(uint32_t id, uint16_t port) {
    TELL(FAR_CONNECT, id, "hhwhh", FAR_VERSION, 1, node_client_self(other.client).process, 1234, port);
}

/* An accepted connection; the program's descriptors: its end, the library's, memory, the peer's memory and
 * end. */
static void make_connection(uint32_t id, int fd[5]) {
    struct scif_answer a;
    uint64_t end = weft_now_ns() + LONG_NS;
    ask_to_connect(id, PORT);
    while (ask((struct scif_request){.op = SCIF_OP_ACCEPT, .endpoint = listener}, &a, fd, 5) &&
           weft_now_ns() < end)
        turn();
    assert_int_equal(a.error, 0);
    assert_int_equal(a.peer.node, 1);
    assert_int_equal(a.peer.port, 1234);
    accepted = a.endpoint;
    await_op(FAR_ANSWER);
    assert_int_equal(other.rest[0], 1);
}

static void close_all(int *fd, int n) {
    while (n) close(fd[--n]);
}

static bool hangs_up(int fd) {
    struct pollfd p = {.fd = fd};
    return poll(&p, 1, (int)(LONG_NS / WEFT_NS_PER_MS)) == 1 && p.revents & POLLHUP;
}

static int group_setup(void **state) {
    setenv("WEFT_ADAPTER", "udp", 1);
    setenv("WEFT_LOG", getenv("TEST_LOG") ? getenv("TEST_LOG") : "error", 1);
    up(&host[0], NULL);
    strcpy(join, node_daemon_join_text(host[0].d));
    up(&host[1], join);
    start_service();
    listen_here();
    struct ep_config cfg = {.no_thread = true, .accept = true, .on_peer_down = on_peer_down};
    cfg.handlers[ON_MESSAGE] = (struct ep_handler){on_message, NULL};
    if (ep_open(&other.ep, &cfg)) return -1;
    return node_client_open(&other.client, other.ep, node_daemon_socket(host[1].d), NODE_PROGRAM, NULL);
}

static int group_teardown(void **state) {
    close(line);
    close_all(listener_fd, 3);
    ep_close(other.ep, 0);
    node_client_endpoint_closed(other.client);
    node_client_close(other.client);
    for (int i = 1; i >= 0; i--) down(&host[i]);
    uint64_t end = weft_now_ns() + LONG_NS;
    while (access(service, F_OK) == 0 && weft_now_ns() < end) poll(NULL, 0, 10); /* it ends with its daemon */
    int left = access(service, F_OK) == 0;
    for (int i = 0; i < 3; i++) weft_dir_remove(host[i].dir);
    return left ? -1 : 0;
}

static int setup(void **state) {
    reach();
    return 0;
}
static int teardown(void **state) {
    ep_disconnect(other.peer);
    return 0;
}

/* ---- Right ones ---- */
static void connection__to_nobody_is_refused(void **state) {
    ask_to_connect(1, 77);
    await_op(FAR_ANSWER);
    assert_int_equal(other.rest[0], 0);
}

static void connection__that_is_taken_back_is_not_accepted(void **state) {
    struct scif_answer a;
    int fd[5];
    ask_to_connect(1, PORT);
    TELL(FAR_CLOSE, 1, "", 0);
    ask_to_connect(2, 77);
    await_op(FAR_ANSWER); /* so that both have come */
    assert_int_equal(ask((struct scif_request){.op = SCIF_OP_ACCEPT, .endpoint = listener}, &a, fd, 5),
                     EAGAIN);
}

static void close__hangs_up(void **state) {
    int fd[5];
    make_connection(1, fd);
    TELL(FAR_CLOSE, 1, "", 0);
    assert_true(hangs_up(fd[0]));
    assert_true(hangs_up(fd[4]));
    TELL(FAR_DATA, 1, "wl", 0, 0); /* they do not know yet: ignored */
    TELL(FAR_READ, 1, "bhwlll", 3, 1, 8, 0, 0, 8);
    await_op(FAR_BYTES);
    assert_int_equal(other.rest[0], 3);
    assert_int_equal(other.rest[1], ECONNRESET);
    close_all(fd, 5);
}

/* The service looks for data, and then whether the next byte will be told. A mark that is being set keeps it
 * between the two for some milliseconds. */
static void data__that_comes_between_two_looks_goes_on(void **state) {
    int fd[5];
    make_connection(1, fd);
    struct scif_shared *q =
        mmap(NULL, SCIF_SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd[3], SCIF_SHARED_AT);
    assert_true(q != MAP_FAILED);
    for (unsigned i = 0; i < 10; i++) {
        atomic_store(&q->queue.some, QUEUE_MARK_BUSY);
        assert_int_equal(send(fd[4], "", 1, MSG_NOSIGNAL), 1);
        poll(NULL, 0, 1); /* if it has not begun by then it finds the data at once */
        assert_int_equal(queue_put(q, "x", 1), 1);
        atomic_store(&q->queue.some, QUEUE_MARK_SET);
        await_op(FAR_DATA);
        TELL(FAR_TAKEN, 1, "w", i + 1);
    }
    munmap(q, SCIF_SHARED_BYTES);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

static void rma__outside_of_windows_is_ENXIO(void **state) {
    int fd[5];
    make_connection(1, fd);
    TELL(FAR_READ, 1, "bhwlll", 0, 1, 8, 0, 0, 8);
    await_op(FAR_BYTES);
    assert_int_equal(other.rest[1], ENXIO);
    TELL(FAR_WRITE, 1, "bhwlll", 15, 2, 0, UINT64_MAX - 8, UINT64_MAX - 8, 8);
    await_op(FAR_DONE);
    assert_int_equal(other.rest[0], 15);
    assert_int_equal(other.rest[1], ENXIO);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* ---- Writes that a program has left ---- */
static int writer; /* its line for RMAs */

static void open_writer(void) {
    int kept = line, stage = memfd_create("stage", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct scif_request q = {.op = SCIF_OP_STAGE};
    struct scif_answer a;
    struct scif_record out = {.data = &q, .bytes = sizeof q, .fd = {stage}, .fds = 1},
                       in = {.data = &a, .bytes = sizeof a};
    open_line();
    writer = line;
    line = kept;
    assert_int_equal(ftruncate(stage, SCIF_STAGE_BYTES), 0);
    assert_int_equal(fcntl(stage, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    assert_int_equal(scif_record_send(writer, &out, 0), 0);
    assert_int_equal(scif_record_receive(writer, &in, 0), 0);
    assert_int_equal(a.error, 0);
    close(stage);
}

static void request(uint32_t block, uint32_t needs, uint32_t bytes) {
    struct scif_rma q = {
        .endpoint = accepted, .whole = 8, .needs = needs, .block = block, .bytes = bytes, .write = 1};
    struct scif_record out = {.data = &q, .bytes = sizeof q};
    assert_int_equal(scif_record_send(writer, &out, 0), 0);
}

static struct scif_rma_answer answer_to(uint32_t block) {
    struct scif_rma_answer a;
    struct scif_record in = {.data = &a, .bytes = sizeof a};
    struct pollfd p = {.fd = writer, .events = POLLIN};
    uint64_t end = weft_now_ns() + LONG_NS;
    while (poll(&p, 1, 0) == 0 && weft_now_ns() < end) turn();
    assert_int_equal(scif_record_receive(writer, &in, 0), 0);
    assert_int_equal(a.block, block);
    return a;
}

static struct scif_shared *peer_of(const int fd[5]) {
    void *m = mmap(NULL, SCIF_SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd[3], SCIF_SHARED_AT);
    assert_ptr_not_equal(m, MAP_FAILED);
    return m;
}

/* A write that is on its way to the other service; its slot. */
static uint8_t leave_write(struct scif_shared *peer) {
    atomic_fetch_add(&peer->queue.asked, 1);
    request(0, SCIF_PROT_WRITE | SCIF_RMA_LEFT, 8);
    await_op(FAR_WRITE);
    return other.rest[0];
}

/* It has answered this: what it would have said before has come. */
static void nothing_comes(void) {
    for (int i = 0; i < 3; i++) {
        TELL(FAR_READ, 1, "bhwlll", 3, 1, 8, 0, 0, 8);
        await_op(FAR_BYTES);
    }
}

/* They leave behind it, and wait for it at the other service. */
static void write_that_was_left__holds_fence_back_but_no_message(void **state) {
    int fd[5];
    struct pollfd answer = {.events = POLLIN};
    make_connection(1, fd);
    open_writer();
    struct scif_shared *peer = peer_of(fd);
    uint8_t slot = leave_write(peer);
    request(1, SCIF_RMA_FENCE_SELF, 0);
    assert_int_equal(queue_put(peer, "x", 1), 1);
    assert_true(queue_tell(&peer->queue, fd[4]));
    await_op(FAR_DATA);
    assert_int_equal(other.rest[4], 'x');
    nothing_comes();
    answer.fd = writer;
    assert_int_equal(poll(&answer, 1, 0), 0);
    TELL(FAR_DONE, 1, "bhll", slot, 0, 4096, 8192);
    struct scif_rma_answer a = answer_to(0);
    assert_int_equal(a.error, 0);
    assert_int_equal(a.from, 4096);
    assert_int_equal(a.bytes, 8192);
    assert_int_equal(answer_to(1).error, 0);
    assert_int_equal(atomic_load(&peer->queue.done), 1);
    munmap(peer, SCIF_SHARED_BYTES);
    close(writer);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* One that waits for a slot has not left: nothing goes past it, the close neither. */
static void write_that_waits_for_a_slot__holds_message_and_close_back(void **state) {
    int fd[5], line_of[3];
    uint8_t slot[FAR_SLOTS];
    make_connection(1, fd);
    struct scif_shared *peer = peer_of(fd);
    for (unsigned i = 0, n = 0; i < 3; i++) { /* a line has no more than SCIF_STAGE_BLOCKS */
        open_writer();
        line_of[i] = writer;
        for (unsigned k = 0; k < SCIF_STAGE_BLOCKS && n <= FAR_SLOTS; k++, n++) {
            atomic_fetch_add(&peer->queue.asked, 1);
            request(k, SCIF_PROT_WRITE | SCIF_RMA_LEFT, 8);
            if (n == FAR_SLOTS) continue;
            await_op(FAR_WRITE);
            slot[n] = other.rest[0];
        }
    }
    assert_int_equal(queue_put(peer, "x", 1), 1);
    assert_true(queue_tell(&peer->queue, fd[4]));
    close_all(fd, 5);
    close_all(line_of, 3);
    nothing_comes();
    TELL(FAR_DONE, 1, "bhll", slot[3], 0, 0, 0);
    await_ops(FAR_WRITE, FAR_CLOSE); /* its queue has gone with it */
    assert_int_equal(other.rest_before[0], slot[3]);
    munmap(peer, SCIF_SHARED_BYTES);
}

static void write_that_was_left__holds_no_close_back(void **state) {
    int fd[5];
    make_connection(1, fd);
    open_writer();
    struct scif_shared *peer = peer_of(fd);
    uint8_t slot = leave_write(peer);
    close_all(fd, 5);
    close(writer);
    await_op(FAR_CLOSE);
    TELL(FAR_DONE, 1, "bhll", slot, 0, 0, 0);
    munmap(peer, SCIF_SHARED_BYTES);
}

static void write_that_was_left__holds_fence_of_peer_back(void **state) {
    int fd[5];
    make_connection(1, fd);
    open_writer();
    struct scif_shared *peer = peer_of(fd);
    uint8_t slot = leave_write(peer);
    TELL(FAR_WRITE, 1, "bhwlll", 7, SCIF_RMA_FORGET, 0, 0, 0, 1);
    nothing_comes();
    assert_int_equal(atomic_load(&peer->queue.granted), 1);
    TELL(FAR_DONE, 1, "bhll", slot, ENXIO, 0, 0);
    await_op(FAR_DONE);
    assert_int_equal(other.rest[0], 7);
    assert_int_equal(other.rest[1], 0);
    assert_int_equal(atomic_load(&peer->queue.failed), ENXIO);
    TELL(FAR_CLOSE, 1, "", 0);
    munmap(peer, SCIF_SHARED_BYTES);
    close(writer);
    close_all(fd, 5);
}

/* The other service goes while a write, a fence and a close are under way. */
static void write_that_was_left__ends_with_peer(void **state) {
    int fd[5];
    make_connection(1, fd);
    open_writer();
    struct scif_shared *peer = peer_of(fd);
    leave_write(peer);
    request(1, SCIF_RMA_FENCE_SELF, 0);
    ep_disconnect(other.peer);
    assert_int_equal(answer_to(0).error, ECONNRESET);
    assert_int_equal(answer_to(1).error, ECONNRESET);
    assert_int_equal(atomic_load(&peer->queue.failed), ECONNRESET);
    munmap(peer, SCIF_SHARED_BYTES);
    close(writer);
    close_all(fd, 5);
    reach();
}

/* The other service gives the connection's id to the next one, and answers then. */
static void write_that_was_left__of_an_id_that_is_another_ones(void **state) {
    int fd[5], next[5];
    make_connection(1, fd);
    open_writer();
    struct scif_shared *peer = peer_of(fd);
    uint8_t slot = leave_write(peer);
    TELL(FAR_CLOSE, 1, "", 0);
    ask_to_connect(1, PORT);
    TELL(FAR_DONE, 1, "bhll", slot, 0, 0, 0);
    struct scif_answer a = {.error = EAGAIN};
    struct scif_request accept = {.op = SCIF_OP_ACCEPT, .endpoint = listener};
    for (uint64_t end = weft_now_ns() + LONG_NS; ask(accept, &a, next, 5) && weft_now_ns() < end;) turn();
    assert_int_equal(a.error, 0);
    assert_int_equal(answer_to(0).error, 0);
    munmap(peer, SCIF_SHARED_BYTES);
    close(writer);
    close_all(fd, 5);
    close_all(next, 5);
    while (other.op != FAR_CLOSE && !other.down) turn();
    assert_int_equal(other.down, 0);
}

/* ---- Shared pages ---- */
/* A program that has asked for the mapping is gone; the home did not know of it when it was. */
static void mapping__that_comes_too_late_is_given_back(void **state) {
    TELL(FAR_MAPPED, 0, "wh", 77, 0);
    await_op(FAR_PAGE);
    assert_int_equal(other.rest[0], 77);
    assert_int_equal(other.rest[4], 1);
    assert_int_equal(other.rest[5], SHARE_LEAVE);
}

#define SHARED_AT (2u << 20)
#define PAGES     256u

static int open_pages_line(void) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct scif_request q[] = {{.op = SCIF_OP_HELLO, .value = SCIF_PROTOCOL}, {.op = SCIF_OP_PAGES}};
    strcpy(at.sun_path, service);
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(s, (struct sockaddr *)&at, sizeof at), 0);
    for (int i = 0; i < 2; i++) {
        struct scif_answer a = {.error = -1};
        struct scif_record out = {.data = &q[i], .bytes = sizeof q[i]}, in = {.data = &a, .bytes = sizeof a};
        assert_int_equal(scif_record_send(s, &out, 0), 0);
        assert_int_equal(scif_record_receive(s, &in, 0), 0);
        assert_int_equal(a.error, 0);
    }
    return s;
}

/* The program of that connection has a window in a file, which is shared from now on: its line for that. */
static int share_window(const int fd[5]) {
    struct stat st;
    int file = memfd_create("pages", MFD_CLOEXEC | MFD_ALLOW_SEALING), s = open_pages_line();
    assert_int_equal(ftruncate(file, SHARED_AT + PAGES * SHARE_PAGE), 0);
    assert_int_equal(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    assert_int_equal(fstat(file, &st), 0);
    struct scif_pages q = {.op = SCIF_PAGES_OWN, .mapping = 1, .offset = SHARED_AT, .pages = PAGES};
    struct scif_record out = {.data = &q, .bytes = sizeof q, .fd = {file}, .fds = 1},
                       in = {.data = &q, .bytes = sizeof q};
    assert_int_equal(scif_record_send(s, &out, 0), 0);
    assert_int_equal(scif_record_receive(s, &in, 0), 0);
    assert_int_equal(q.error, 0);
    struct scif_memory *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, fd[2], 0);
    assert_true(m != MAP_FAILED);
    m->shared.windows.file[0] = (struct scif_file){.device = st.st_dev, .inode = st.st_ino};
    m->shared.windows.piece[0] = (struct scif_piece){.bytes = PAGES * SHARE_PAGE,
                                                     .at = SHARED_AT,
                                                     .kind = PIECE_FILE,
                                                     .prot = SCIF_PROT_READ | SCIF_PROT_WRITE,
                                                     .owner = SCIF_OWNERS_MAX};
    atomic_store(&m->shared.windows.count, 1);
    munmap(m, sizeof *m);
    close(file);
    return s;
}

/* What an RMA does needs the right to do it, whatever the request says that it needs. */
static void rma__against_the_protection_of_a_window_is_EPERM(void **state) {
    static const uint32_t prot[] = {SCIF_PROT_WRITE, SCIF_PROT_READ};
    static const uint8_t data[8];
    int fd[5];
    make_connection(1, fd);
    int s = share_window(fd);
    struct scif_memory *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, fd[2], 0);
    assert_true(m != MAP_FAILED);
    for (int i = 0; i < 2; i++) {
        uint8_t buf[64];
        struct weft_writer w;
        m->shared.windows.piece[0].prot = prot[i];
        weft_writer_init(&w, buf, sizeof buf);
        weft_put_u8(&w, i ? FAR_WRITE : FAR_READ);
        weft_put_u8(&w, 1);
        weft_put_u32(&w, 1);
        weft_put_u8(&w, 0);
        weft_put_u16(&w, 0);
        weft_put_u32(&w, sizeof data);
        for (int k = 0; k < 2; k++) weft_put_u64(&w, 0);
        weft_put_u64(&w, sizeof data);
        say(&w, i ? data : NULL, i ? sizeof data : 0);
        await_op(i ? FAR_DONE : FAR_BYTES);
        assert_int_equal(other.rest[1], EPERM);
    }
    munmap(m, sizeof *m);
    close(s);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

static unsigned map_window_for(uint32_t number, uint32_t pages, int prot) {
    TELL(FAR_MAP, 1, "wlwb", number, 0, pages, (uint64_t)prot);
    await_op(FAR_MAPPED);
    assert_int_equal(other.rest[0] | other.rest[1] << 8 | other.rest[2] << 16, number);
    return other.rest[4];
}

static unsigned map_window(uint32_t number, uint32_t pages) {
    return map_window_for(number, pages, SCIF_PROT_READ);
}

static void await_last(enum far_op op) {
    uint64_t end = weft_now_ns() + LONG_NS;
    for (other.op = 0; other.op != op && !other.down && weft_now_ns() < end;) turn();
    assert_int_equal(other.down, 0);
    assert_int_equal(other.op, op);
}

static void await_page_of(enum share_kind kind) {
    await_last(FAR_PAGE);
    assert_int_equal(other.rest[5], kind);
}

static void mapping__that_allows_nothing_gets_no_page(void **state) {
    int fd[5];
    make_connection(1, fd);
    int s = share_window(fd);
    assert_int_equal(map_window_for(7, PAGES, 0), 0);
    TELL(FAR_PAGE, 0, "wbbw", 7, 1, SHARE_WANT_READ, 0);
    await_page_of(SHARE_END);
    close(s);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* The owner of that connection's windows is asked there. */
static void open_door(const int fd[5], int door[2]) {
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, door), 0);
    assert_int_equal(getsockopt(door[1], SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
    struct scif_memory *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, fd[2], 0);
    assert_true(m != MAP_FAILED);
    m->shared.windows.door[0] = (struct scif_door){{(uint32_t)getpid(), (uint32_t)door[1]}, cookie};
    atomic_store(&m->shared.windows.owners, 1);
    munmap(m, sizeof *m);
}

static void await_record(int fd, struct scif_record *r) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t end = weft_now_ns() + LONG_NS;
    while (poll(&p, 1, 0) == 0 && weft_now_ns() < end) turn();
    assert_int_equal(scif_record_receive(fd, r, MSG_DONTWAIT), 0);
    assert_int_equal(r->fds, 1);
}

/* The owner says that a program has the same memory, which is stopped: it does not answer. */
static void mapping__of_memory_that_a_stopped_program_has_is_ENOMEM(void **state) {
    int fd[5], door[2];
    struct scif_question q;
    struct scif_pages p;
    struct scif_record r = {.data = &q, .bytes = sizeof q}, asked = {.data = &p, .bytes = sizeof p};
    struct scif_shown shown = {.count = 1, .process = {(uint32_t)getpid()}};
    make_connection(1, fd);
    int s = share_window(fd);
    open_door(fd, door);
    TELL(FAR_MAP, 1, "wlwb", 1, 0, 1, SCIF_PROT_READ);
    await_record(door[0], &r);
    assert_int_equal(q.op, SCIF_QUESTION_SHARE);
    assert_int_equal(send(r.fd[0], &shown, sizeof shown, MSG_NOSIGNAL), sizeof shown);
    await_record(s, &asked);
    assert_int_equal(p.op, SCIF_PAGES_SHOW);
    await_last(FAR_MAPPED);
    assert_int_equal(other.rest[4], ENOMEM);
    close(asked.fd[0]);
    close(r.fd[0]);
    close_all(door, 2);
    close(s);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* Whose questions are taken by nobody: it is stopped. */
static void mapping__of_owner_that_says_nothing_is_ENOMEM(void **state) {
    int fd[5], door[2];
    make_connection(1, fd);
    int s = share_window(fd);
    open_door(fd, door);
    for (uint32_t n = 1; n <= 64; n++) TELL(FAR_MAP, 1, "wlwb", n, 0, 1, SCIF_PROT_READ);
    uint64_t before = weft_now_ns();
    assert_int_equal(map_window(65, 1), ENOMEM); /* more than may wait: at once */
    assert_true(weft_now_ns() - before < WEFT_NS_PER_S * TEST_SLOWDOWN);
    for (unsigned all = other.got + 64; other.got != all;) await_op(FAR_MAPPED);
    assert_int_equal(other.rest[4], ENOMEM);
    close_all(door, 2);
    close(s);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* Each takes memory of this service's. */
static void mappings__without_end_are_refused(void **state) {
    int fd[5];
    uint32_t n = 0;
    make_connection(1, fd);
    int s = share_window(fd);
    for (n = 0; n <= 100000 && map_window(n, PAGES) == 0;) n++;
    assert_in_range(n, 1000, 100000);
    TELL(FAR_PAGE, 0, "wbbw", 5, 1, SHARE_LEAVE, 0);
    assert_int_equal(map_window(n, PAGES), 0); /* one for the other */
    assert_int_equal(map_window(n + 1, PAGES), ENOMEM);
    assert_int_equal(map_window(n + 1, PAGES + 1), ENXIO); /* more than the window is no more than before */
    close(s);
    close_all(fd, 5);
}

/* ---- What comes behind a write that is not complete ---- */
/* The owner's program is asked for its page, and gives it. */
static void give_own_page(int pages) {
    struct share_message m;
    struct pollfd p = {.fd = pages, .events = POLLIN};
    uint64_t end = weft_now_ns() + LONG_NS;
    while (poll(&p, 1, 0) == 0 && weft_now_ns() < end) turn();
    assert_int_equal(recv(pages, &m, sizeof m, 0), sizeof m);
    assert_int_equal(m.kind, SHARE_TAKE);
    m.kind = SHARE_GAVE;
    assert_int_equal(send(pages, &m, sizeof m, MSG_NOSIGNAL), sizeof m);
}

/* The other service has a page of the window: a write to it waits until that is back. Line of the pages. */
static int begin_write(const int fd[5]) {
    static const uint64_t zero;
    uint8_t buf[64];
    struct weft_writer w;
    int pages = share_window(fd);
    assert_int_equal(map_window_for(0, PAGES, SCIF_PROT_READ | SCIF_PROT_WRITE), 0);
    TELL(FAR_PAGE, 0, "wbbw", 0, 1, SHARE_WANT_WRITE, 0);
    give_own_page(pages);
    await_page_of(SHARE_GRANT_WRITE);
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u8(&w, FAR_WRITE);
    weft_put_u8(&w, 1);
    weft_put_u32(&w, 1);
    weft_put_u8(&w, 5);
    weft_put_u16(&w, SCIF_PROT_WRITE);
    weft_put_u32(&w, sizeof zero);
    weft_put_u64(&w, 0);
    weft_put_u64(&w, 0);
    weft_put_u64(&w, sizeof zero);
    say(&w, &zero, sizeof zero);
    await_page_of(SHARE_TAKE);
    return pages;
}

static void give_page(void) {
    uint64_t part[SHARE_PAGE / 8 / sizeof(uint64_t)] = {0};
    for (int i = 0; i < 8; i++) {
        uint8_t buf[1024];
        struct weft_writer w;
        weft_writer_init(&w, buf, sizeof buf);
        weft_put_u8(&w, FAR_PART);
        weft_put_u8(&w, 0);
        weft_put_u32(&w, 0);
        weft_put_bytes(&w, part, sizeof part);
        say(&w, NULL, 0);
    }
    TELL(FAR_PAGE, 0, "wbbw", 0, 1, SHARE_GAVE, 0);
}

/* It has answered a later request. */
static void it_has_heard(void) {
    TELL(FAR_READ, 1, "bhwlll", 3, 1, 8, 1u << 30, 1u << 30, 8);
    await_op(FAR_BYTES);
    assert_int_equal(other.rest[1], ENXIO);
}

static void tell_data(size_t n) {
    static const uint8_t many[1000];
    uint8_t buf[1024];
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u8(&w, FAR_DATA);
    weft_put_u8(&w, 1);
    weft_put_u32(&w, 1);
    weft_put_u32(&w, 0);
    weft_put_bytes(&w, many, n);
    say(&w, NULL, 0);
}

static unsigned shown(const int fd[5]) {
    struct scif_memory *m = mmap(NULL, sizeof *m, PROT_READ, MAP_SHARED, fd[2], 0);
    assert_ptr_not_equal(m, MAP_FAILED);
    unsigned n = atomic_load(&m->shared.queue.head);
    munmap(m, sizeof *m);
    return n;
}

static void message_and_close__wait_for_the_write_before_them(void **state) {
    int fd[5];
    struct pollfd end = {0};
    make_connection(1, fd);
    end.fd = fd[0];
    int pages;
    tell_data(3);
    pages = begin_write(fd);
    tell_data(4);
    TELL(FAR_CLOSE, 1, "", 0);
    tell_data(5); /* after the last: nothing of it comes */
    it_has_heard();
    assert_int_equal(shown(fd), 3);
    poll(&end, 1, 0);
    assert_false(end.revents & POLLHUP);
    give_page();
    await_op(FAR_DONE);
    assert_int_equal(other.rest[0], 5);
    assert_int_equal(other.rest[1], 0);
    assert_true(hangs_up(fd[0]));
    assert_int_equal(shown(fd), 7);
    close(pages);
    close_all(fd, 5);
}

/* The program does not wait. */
static void message_that_waits__goes_with_its_program(void **state) {
    int fd[5];
    make_connection(1, fd);
    int pages = begin_write(fd);
    tell_data(4);
    TELL(FAR_CLOSE, 1, "", 0);
    it_has_heard();
    close(pages);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
    give_page();
    await_op(FAR_DONE); /* it was begun */
    assert_int_equal(other.rest[0], 5);
}

/* ---- News of nodes ---- */
static int greeted(void) {
    int kept = line;
    open_line();
    int s = line;
    line = kept;
    return s;
}

/* Bytes that have come over it, and were not taken; -1: it has ended. */
static int waiting_at(int s) {
    struct pollfd p = {.fd = s};
    int n = 0;
    if (poll(&p, 1, 0) == 1) return -1;
    return ioctl(s, FIONREAD, &n) ? -1 : n;
}

/* Asks so often, and takes none of the answers; how many came before the line ended. */
static int ask_for_news(int s, int times) {
    struct scif_request q = {.op = SCIF_OP_NEWS};
    struct scif_record out = {.data = &q, .bytes = sizeof q};
    int n = 0;
    for (; n < times; n++) {
        int before = waiting_at(s), now = before;
        if (scif_record_send(s, &out, 0)) break;
        while (now == before) {
            poll(NULL, 0, 1);
            now = waiting_at(s);
        }
        if (now < 0) break;
    }
    return n;
}

static unsigned last_news(int s, unsigned wanted) {
    struct {
        struct scif_answer head;
        uint16_t node[SCIF_NODES_MAX];
    } in = {0};
    while (in.head.value != wanted) {
        struct pollfd p = {.fd = s, .events = POLLIN};
        struct scif_record r = {.data = &in, .bytes = sizeof in};
        if (poll(&p, 1, (int)(LONG_NS / WEFT_NS_PER_MS)) != 1 || scif_record_receive(s, &r, 0)) break;
    }
    return in.head.value;
}

/* A handler of the program's takes its time. */
static void news__for_a_slow_program_wait_for_it(void **state) {
    int s = greeted(), most = ask_for_news(s, 100000);
    assert_in_range(most, 10, 99999);
    close(s);
    s = greeted();
    int other_one = greeted();
    assert_int_equal(ask_for_news(s, most), most);
    ask_for_news(other_one, 1);
    up(&host[2], join);
    assert_int_equal(last_news(other_one, 3), 3);
    assert_int_equal(last_news(s, 3), 3);
    down(&host[2]);
    assert_int_equal(last_news(s, 2), 2);
    close(other_one);
    close(s);
}

/* ---- A program here that breaks the rules: its line ends, and nothing else ---- */
static void program__with_nonsense_loses_its_line_only(void **state) {
    static const struct scif_pages map[] = {{.pages = 0},
                                            {.pages = 1, .offset = 1},
                                            {.pages = 1, .offset = UINT64_C(1) << 63},
                                            {.pages = SHARE_PAGES_MAX + 1},
                                            {.pages = 1, .prot = 4}};
    static const struct scif_rma rma[] = {{.offset = 8, .whole = 8},
                                          {.offset = 8, .from = 16, .whole = 8},
                                          {.offset = 1, .whole = 8},
                                          {.whole = 7}};
    int fd[5], file = memfd_create("pages", MFD_CLOEXEC);
    make_connection(1, fd);
    for (size_t i = 0; i < sizeof rma / sizeof *rma; i++) {
        struct scif_rma q = rma[i];
        struct scif_record out = {.data = &q, .bytes = sizeof q};
        q.endpoint = accepted;
        q.needs = SCIF_PROT_WRITE;
        q.bytes = 8;
        q.write = 1;
        open_writer();
        assert_int_equal(scif_record_send(writer, &out, 0), 0);
        assert_true(hangs_up(writer));
        close(writer);
    }
    for (size_t i = 0; i < sizeof map / sizeof *map; i++) {
        struct scif_pages q = map[i];
        struct scif_record out = {.data = &q, .bytes = sizeof q, .fd = {file}, .fds = 1};
        int s = open_pages_line();
        q.op = SCIF_PAGES_MAP;
        q.endpoint = accepted;
        assert_int_equal(scif_record_send(s, &out, 0), 0);
        assert_true(hangs_up(s));
        close(s);
    }
    close(file);
    nothing_comes();
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* Before its connection is accepted. */
/* That the node there has no service is known soon: the RMA comes along with the request to connect, and one
 * of many comes after it in time. */
static void program__with_an_RMA_too_early_is_ENXIO(void **state) {
    open_writer();
    for (int i = 0; i < 200; i++) {
        struct scif_answer a;
        int fd[3];
        assert_int_equal(ask((struct scif_request){.op = SCIF_OP_OPEN}, &a, fd, 3), 0);
        accepted = a.endpoint;
        struct scif_request q = {.op = SCIF_OP_CONNECT, .endpoint = accepted, .peer = {1, 77}};
        struct scif_record out = {.data = &q, .bytes = sizeof q}, in = {.data = &a, .bytes = sizeof a};
        assert_int_equal(scif_record_send(line, &out, 0), 0);
        request(0, SCIF_PROT_WRITE, 0);
        assert_int_equal(scif_record_receive(line, &in, 0), 0);
        assert_int_equal(a.error, EINPROGRESS);
        assert_int_equal(answer_to(0).error, ENXIO);
        close_all(fd, 3);
    }
    close(writer);
}

/* ---- Wrong ones: the connection of the services ends, with all that is in it, and nothing else ---- */
static void still_serves(void) {
    int fd[5];
    ep_disconnect(other.peer);
    reach();
    make_connection(9, fd);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

static void data__beyond_the_window_ends_all(void **state) {
    int fd[5];
    make_connection(1, fd);
    for (int i = 0; i < 9; i++) tell_data(1000);
    await_down(WEFT_E_PROTO);
    assert_true(hangs_up(fd[4]));
    close_all(fd, 5);
    still_serves();
}

/* What waits for a write takes no more room than what does not. */
static void data__that_waits_beyond_the_window_ends_all(void **state) {
    int fd[5];
    make_connection(1, fd);
    int pages = begin_write(fd);
    for (int i = 0; i < 8; i++) tell_data(1000);
    tell_data(190);
    it_has_heard();
    assert_int_equal(shown(fd), 0);
    tell_data(1);
    await_down(WEFT_E_PROTO);
    assert_true(hangs_up(fd[4]));
    close(pages);
    close_all(fd, 5);
    still_serves();
}

static void taken__what_was_not_sent_ends_all(void **state) {
    int fd[5];
    make_connection(1, fd);
    TELL(FAR_TAKEN, 1, "w", 1);
    await_down(WEFT_E_PROTO);
    assert_true(hangs_up(fd[4]));
    close_all(fd, 5);
    still_serves();
}

static void connection__with_known_id_ends_all(void **state) {
    int fd[5];
    make_connection(1, fd);
    ask_to_connect(1, PORT);
    await_down(WEFT_E_PROTO);
    close_all(fd, 5);
    still_serves();
}

static void connection__of_another_process_than_before_ends_all(void **state) {
    struct node_process own = node_client_self(other.client);
    int fd[5];
    make_connection(1, fd);
    TELL(FAR_CONNECT, 2, "hhwhh", FAR_VERSION, 1, own.process + 1, 1234, PORT);
    await_down(WEFT_E_PROTO);
    close_all(fd, 5);
    still_serves();
}

static void message__that_is_none_ends_all(void **state) {
    static const struct {
        uint8_t op;
        const char *sizes;
        uint64_t field[6];
    } wrong[] = {
        {0, "", {0}},
        {FAR_OP_MAX, "", {0}},
        {FAR_CONNECT, "hh", {FAR_VERSION, 1}},
        {FAR_CONNECT, "hhwhh", {FAR_VERSION + 1, 1, 1, 1, 1}},
        {FAR_READ, "bhwlll", {FAR_SLOTS, 1, 8, 0, 0, 8}},
        {FAR_READ, "bhwlll", {0, 1, SCIF_BLOCK_BYTES + 1, 0, 0, UINT64_MAX}},
        {FAR_READ, "bhwlll", {0, 1, 8, 1, 0, 8}},
        {FAR_READ, "bhwlll", {0, 1, 8, 0, 1, 8}},
        {FAR_READ, "bhwlll", {0, 1, 8, UINT64_MAX, 0, UINT64_MAX}},
        {FAR_READ, "bhwlll", {0, 0x8000, 8, 0, 0, 8}},
        {FAR_READ, "bhwll", {0, 1, 8, 0, 0}},
        {FAR_WRITE, "bhwlll", {0, 2, 8, 0, 0, 8}}, /* without its data */
        {FAR_READ, "bhwlll", {0, SCIF_RMA_FORGET, 8, 0, 0, 8}},
        {FAR_WRITE, "bhwlll", {0, SCIF_RMA_FENCE_SELF, 0, 0, 0, 8}},
        {FAR_WRITE, "bhwlll", {0, SCIF_RMA_FENCE_PEER, 8, 0, 0, 8}},
        {FAR_BYTES, "bh", {0, 0}},
        {FAR_DONE, "bh", {3, 0}},
        {FAR_DONE, "bh", {200, 0}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tell(wrong[i].op, 1, wrong[i].sizes, wrong[i].field);
        await_down(WEFT_E_PROTO);
        ep_disconnect(other.peer);
        reach();
    }
    still_serves();
}

/* Before a connection, and amid one; what is no breach is ignored. */
static void message__of_junk_harms_nobody(void **state) {
    for (unsigned seed = 0; seed < 200; seed++) {
        uint8_t junk[300];
        int fd[5];
        srand(seed);
        if (seed % 2) make_connection(1, fd);
        for (int i = 0; i < 4 && !other.down; i++) {
            for (size_t k = 0; k < sizeof junk; k++) junk[k] = (uint8_t)rand();
            junk[0] = (uint8_t)(rand() % (FAR_OP_MAX + 1));
            junk[1] = (uint8_t)(rand() % 2);
            memcpy(junk + 2, &(uint32_t){1}, 4);
            struct weft_writer w = {.data = junk, .len = 6 + (size_t)rand() % 60};
            struct ep_send s = {.handler = ON_MESSAGE,
                                .header = w.data,
                                .header_bytes = w.len,
                                .data = rand() % 4 ? NULL : junk,
                                .copy = true};
            if (s.data) s.data_bytes = 1 + (unsigned)rand() % sizeof junk;
            s.copy = s.data != NULL;
            if (ep_send(other.peer, &s)) break; /* it has ended already */
            turn();
        }
        if (seed % 2) close_all(fd, 5);
        ep_disconnect(other.peer);
        reach();
    }
    still_serves();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(connection__to_nobody_is_refused),
        T(connection__that_is_taken_back_is_not_accepted),
        T(close__hangs_up),
        T(data__that_comes_between_two_looks_goes_on),
        T(rma__outside_of_windows_is_ENXIO),
        T(write_that_was_left__holds_fence_back_but_no_message),
        T(write_that_waits_for_a_slot__holds_message_and_close_back),
        T(write_that_was_left__holds_no_close_back),
        T(write_that_was_left__holds_fence_of_peer_back),
        T(write_that_was_left__ends_with_peer),
        T(message_and_close__wait_for_the_write_before_them),
        T(message_that_waits__goes_with_its_program),
        T(write_that_was_left__of_an_id_that_is_another_ones),
        T(rma__against_the_protection_of_a_window_is_EPERM),
        T(data__beyond_the_window_ends_all),
        T(data__that_waits_beyond_the_window_ends_all),
        T(taken__what_was_not_sent_ends_all),
        T(connection__with_known_id_ends_all),
        T(connection__of_another_process_than_before_ends_all),
        T(mapping__that_comes_too_late_is_given_back),
        T(mapping__that_allows_nothing_gets_no_page),
        T(mapping__of_owner_that_says_nothing_is_ENOMEM),
        T(mapping__of_memory_that_a_stopped_program_has_is_ENOMEM),
        T(mappings__without_end_are_refused),
        T(news__for_a_slow_program_wait_for_it),
        T(program__with_nonsense_loses_its_line_only),
        T(program__with_an_RMA_too_early_is_ENXIO),
        T(message__that_is_none_ends_all),
        T(message__of_junk_harms_nobody),
    };
    return cmocka_run_group_tests_name("far", tests, group_setup, group_teardown);
}
