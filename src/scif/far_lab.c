#include "scif/far_lab.h"
#include "base/test_dir.h"
#include "scif/intercept.h"
#include "scif/line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the library has in its own way, for what is shared with it (share/). */
int close_descriptor(int fd) { return close(fd); }
int descriptor_hide(int fd) { return fd; }

/* ---- Two daemons and a service ---- */
struct host host[3];
char join[NODE_JOIN_TEXT_MAX];
char service[WEFT_PATH_MAX];

static void *loop(void *arg) {
    struct host *h = arg;
    while (node_daemon_step(h->d, -1) == WEFT_OK) {
    }
    return NULL;
}

void up(struct host *h, const char *to) {
    assert_non_null(test_dir());
    snprintf(h->dir, sizeof h->dir, "%s/%d", test_dir(), (int)(h - host));
    assert_int_equal(mkdir(h->dir, 0700), 0);
    struct node_daemon_config cfg = {
        .run_dir = h->dir, .executor = "/bin/true", .no_inventory = true, .wanted_node = -1, .join = to};
    assert_int_equal(node_daemon_open(&h->d, &cfg), WEFT_OK);
    while (node_daemon_state(h->d) != NODE_DAEMON_READY)
        assert_int_equal(node_daemon_step(h->d, -1), WEFT_OK);
    assert_int_equal(pthread_create(&h->thread, NULL, loop, h), 0);
}

void down(struct host *h) {
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
int line;
uint64_t listener, accepted;
static int listener_fd[3];

/* Its descriptors are the caller's. */
int ask(struct scif_request q, struct scif_answer *a, int *fd, int fds) {
    struct scif_record out = {.data = &q, .bytes = sizeof q}, in = {.data = a, .bytes = sizeof *a};
    assert_int_equal(scif_record_send(line, &out, 0), 0);
    assert_int_equal(scif_record_receive(line, &in, 0), 0);
    if (!a->error) assert_int_equal(in.fds, fds);
    if (!a->error && fds) memcpy(fd, in.fd, (size_t)fds * sizeof *fd);
    return a->error;
}

void open_line(void) {
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
struct other other;

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
void turn(void) {
    struct pollfd p = {.fd = ep_fd(other.ep), .events = POLLIN};
    if (ep_progress(other.ep) == 0 && ep_prepare_sleep(other.ep)) poll(&p, 1, 1);
}

void await_down(int status) {
    uint64_t end = weft_now_ns() + LONG_NS;
    while (!other.down && weft_now_ns() < end) turn();
    assert_int_equal(other.down, status);
}

/* The next message. */
void await_op(enum far_op op) {
    uint64_t end = weft_now_ns() + LONG_NS;
    for (unsigned before = other.got; other.got == before && !other.down && weft_now_ns() < end;) turn();
    assert_int_equal(other.down, 0);
    assert_int_equal(other.op, op);
}

/* The next two, which may come at once. */
void await_ops(enum far_op first, enum far_op second) {
    uint64_t end = weft_now_ns() + LONG_NS;
    for (unsigned all = other.got + 2; other.got != all && !other.down && weft_now_ns() < end;) turn();
    assert_int_equal(other.down, 0);
    assert_int_equal(other.op_before, first);
    assert_int_equal(other.op, second);
}

void say(const struct weft_writer *w, const void *data, size_t bytes) {
    struct ep_send s = {.handler = ON_MESSAGE,
                        .header = w->data,
                        .header_bytes = w->len,
                        .data = data,
                        .data_bytes = bytes,
                        .copy = bytes > 0};
    assert_int_equal(ep_send(other.peer, &s), WEFT_OK);
}

/* A message with fields of these sizes; a letter each: b 1, h 2, w 4, l 8 bytes. */
void tell(enum far_op op, uint32_t id, const char *sizes, const uint64_t *field) {
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

void reach(void) {
    struct node_process p;
    uint8_t address[EP_ADDRESS_MAX];
    size_t bytes = sizeof address;
    ep_progress(other.ep); /* the owner sleeps no more: the next call does */
    assert_int_equal(node_client_find(other.client, 0, FAR_NAME, &p, address, &bytes), WEFT_OK);
    other.down = 0;
    assert_int_equal(ep_connect(other.ep, address, bytes, NULL, &other.peer), WEFT_OK);
}

void ask_to_connect(uint32_t id, uint16_t port) {
    TELL(FAR_CONNECT, id, "hhwhh", FAR_VERSION, 1, node_client_self(other.client).process, 1234, port);
}

/* An accepted connection; the program's descriptors: its end, the library's, memory, the peer's memory and
 * end. */
void make_connection(uint32_t id, int fd[5]) {
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

void close_all(int *fd, int n) {
    while (n) close(fd[--n]);
}

bool hangs_up(int fd) {
    struct pollfd p = {.fd = fd};
    return poll(&p, 1, (int)(LONG_NS / WEFT_NS_PER_MS)) == 1 && p.revents & POLLHUP;
}

int group_setup(void **state) {
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

int group_teardown(void **state) {
    close(line);
    close_all(listener_fd, 3);
    ep_close(other.ep, 0);
    node_client_endpoint_closed(other.client);
    node_client_close(other.client);
    for (int i = 1; i >= 0; i--) down(&host[i]);
    uint64_t end = weft_now_ns() + LONG_NS;
    while (access(service, F_OK) == 0 && weft_now_ns() < end) poll(NULL, 0, 10); /* it ends with its daemon */
    return access(service, F_OK) == 0 ? -1 : 0;
}

int setup(void **state) {
    reach();
    return 0;
}
int teardown(void **state) {
    ep_disconnect(other.peer);
    return 0;
}

/* ---- Its programs' RMAs ---- */
int writer;
struct scif_stage_words *writer_words;

void open_writer(void) {
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
    if (writer_words) munmap(writer_words, SCIF_PAGE);
    writer_words = mmap(NULL, SCIF_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, stage, SCIF_STAGE_WORDS_AT);
    assert_ptr_not_equal(writer_words, MAP_FAILED);
    assert_int_equal(scif_record_send(writer, &out, 0), 0);
    assert_int_equal(scif_record_receive(writer, &in, 0), 0);
    assert_int_equal(a.error, 0);
    close(stage);
}

void request(uint32_t block, uint32_t needs, uint32_t bytes) {
    struct scif_rma q = {
        .endpoint = accepted, .whole = 8, .needs = needs, .block = block, .bytes = bytes, .write = 1};
    struct scif_record out = {.data = &q, .bytes = sizeof q};
    if (needs & SCIF_RMA_LEFT) atomic_store(&writer_words->left[block], 1);
    assert_int_equal(scif_record_send(writer, &out, 0), 0);
}

struct scif_rma_answer answer_to(uint32_t block) {
    struct scif_rma_answer a;
    struct scif_record in = {.data = &a, .bytes = sizeof a};
    struct pollfd p = {.fd = writer, .events = POLLIN};
    uint64_t end = weft_now_ns() + LONG_NS;
    while (poll(&p, 1, 0) == 0 && weft_now_ns() < end) turn();
    assert_int_equal(scif_record_receive(writer, &in, 0), 0);
    assert_int_equal(a.block, block);
    return a;
}

/* It has answered this: what it would have said before has come. */
void nothing_comes(void) {
    for (int i = 0; i < 3; i++) {
        TELL(FAR_READ, 1, "bhwlll", 3, 1, 8, 0, 0, 8);
        await_op(FAR_BYTES);
    }
}

/* ---- Their shared pages ---- */
int open_pages_line(void) {
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
int share_window(const int fd[5]) {
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

unsigned map_window_for(uint32_t number, uint32_t pages, int prot) {
    TELL(FAR_MAP, 1, "wlwb", number, 0, pages, (uint64_t)prot);
    await_op(FAR_MAPPED);
    assert_int_equal(other.rest[0] | other.rest[1] << 8 | other.rest[2] << 16, number);
    return other.rest[4];
}

void await_last(enum far_op op) {
    uint64_t end = weft_now_ns() + LONG_NS;
    for (other.op = 0; other.op != op && !other.down && weft_now_ns() < end;) turn();
    assert_int_equal(other.down, 0);
    assert_int_equal(other.op, op);
}

void await_page_of(enum share_kind kind) {
    await_last(FAR_PAGE);
    assert_int_equal(other.rest[5], kind);
}

/* ---- After a breach ---- */
void still_serves(void) {
    int fd[5];
    ep_disconnect(other.peer);
    reach();
    make_connection(9, fd);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}
