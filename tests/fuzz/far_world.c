/* What is played for the fuzz target `far`: see far_world.h. */
#include "far_world.h"
#include "base/clock.h"
#include "base/error.h"
#include "fuzz.h"
#include "scif/door.h"
#include "scif/lane.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PENDING_MAX 128u
#define ROUNDS      64

/* ---- The clock ---- */
static uint64_t now_ns;
uint64_t weft_now_ns(void) { return now_ns; }
void weft_cpu_relax(void) {}

/* ---- The transport ---- */
struct ep {
    struct ep_config cfg;
    int fd;
    bool refuses;
};
struct ep_peer {
    bool used, up;
    int failing; /* the owner has ended it; told in the next turn */
    void *ctx;
};
struct pending { /* what is under way */
    struct ep_peer *peer;
    void (*done)(void *arg, int status);
    void *arg;
    void *into; /* data that is to come */
    size_t bytes;
};
static struct ep transport = {.fd = -1};
static struct ep_peer peer[WORLD_PEERS];
static struct pending pending[PENDING_MAX];
static unsigned pendings;

static void complete(unsigned i, int status) {
    struct pending p = pending[i];
    pending[i] = pending[--pendings];
    if (p.into && status == WEFT_OK) memset(p.into, 0xab, p.bytes);
    if (p.done) p.done(p.arg, status);
}

static void complete_all(const struct ep_peer *of, bool data_only, int status) {
    for (unsigned i = 0; i < pendings;)
        if (pending[i].peer == of && (pending[i].into || !data_only))
            complete(i, status);
        else
            i++;
}

void world_complete(unsigned i, int status) {
    if (pendings) complete(i % pendings, status);
}

int ep_open(struct ep **out, const struct ep_config *cfg) {
    transport.cfg = *cfg;
    *out = &transport;
    return WEFT_OK;
}

void ep_close(struct ep *ep, unsigned linger_ms) {
    (void)ep;
    (void)linger_ms;
    while (pendings) complete(0, WEFT_E_CLOSED);
}

static struct ep_peer *free_peer(void) {
    for (unsigned k = 0; k < WORLD_PEERS; k++)
        if (!peer[k].used) return &peer[k];
    return NULL;
}

int ep_connect(struct ep *ep, const void *addr, size_t len, void *ctx, struct ep_peer **out) {
    (void)ep;
    (void)addr;
    (void)len;
    struct ep_peer *p = free_peer();
    if (!p) return WEFT_E_NOMEM;
    *p = (struct ep_peer){.used = true, .up = true, .ctx = ctx};
    *out = p;
    return WEFT_OK;
}

void ep_disconnect(struct ep_peer *p) {
    FUZZ_CHECK(p->used);
    p->up = p->used = false;
    complete_all(p, true, WEFT_E_CLOSED);
}

void ep_peer_keep(struct ep_peer *p) { (void)p; }
void ep_peer_set_context(struct ep_peer *p, void *ctx) { p->ctx = ctx; }
void *ep_peer_context(const struct ep_peer *p) { return p->ctx; }
void ep_peer_fail(struct ep_peer *p, int status) {
    FUZZ_CHECK(p->used);
    p->failing = status;
}
int ep_progress(struct ep *ep) {
    (void)ep;
    return 0;
}
int ep_fd(struct ep *ep) { return ep->fd; }
int ep_timeout_ms(struct ep *ep) {
    (void)ep;
    return -1;
}
bool ep_prepare_sleep(struct ep *ep) {
    (void)ep;
    return true;
}

/* All of it is read; what may only be written goes nowhere. */
static void check_data(const struct ep_send *s) {
    const unsigned char *d = s->data;
    unsigned secret = 0;
    for (uint64_t i = 0; i < s->data_bytes; i++) secret = d[i] == WORLD_PATTERN(WORLD_WRITE) ? secret + 1 : 0;
    FUZZ_CHECK(secret < 8);
}

int ep_send(struct ep_peer *p, const struct ep_send *s) {
    FUZZ_CHECK(p && p->used && s->header_bytes <= EP_HEADER_MAX);
    check_data(s);
    bool refuses = transport.refuses || (s->on_done && pendings == PENDING_MAX);
    transport.refuses = false;
    if (!p->up || p->failing) return p->failing ? p->failing : WEFT_E_CLOSED;
    if (refuses) return WEFT_E_LIMIT;
    if (s->on_done) pending[pendings++] = (struct pending){.peer = p, .done = s->on_done, .arg = s->arg};
    return WEFT_OK;
}

/* ---- Other services ---- */
bool world_peer_up(unsigned k) {
    if (peer[k].used) return false;
    peer[k] = (struct ep_peer){.used = true, .up = true};
    transport.cfg.on_peer_up(transport.cfg.ctx, &peer[k]);
    return true;
}

void world_peer_down(unsigned k, int status) {
    if (!peer[k].used || !peer[k].up) return;
    peer[k].up = false;
    complete_all(&peer[k], false, status);
    transport.cfg.on_peer_down(transport.cfg.ctx, &peer[k], status);
}

bool world_say(unsigned k, const void *header, size_t header_bytes, const void *data, uint64_t bytes) {
    const struct ep_handler *h = &transport.cfg.handlers[1];
    struct ep_msg m = {.handler = 1,
                       .header = header,
                       .header_bytes = header_bytes,
                       .data_bytes = bytes,
                       .data = bytes ? data : NULL};
    struct ep_sink sink = {0};
    if (!peer[k].used || !peer[k].up || peer[k].failing || pendings == PENDING_MAX) return false;
    h->on_header(h->ctx, &peer[k], &m, &sink);
    if (!bytes || data) return true;
    pending[pendings++] = (struct pending){&peer[k], sink.on_data, sink.arg, sink.buf, bytes};
    return true;
}

void world_refuse_next(void) { transport.refuses = true; }

static void end_failed(void) {
    for (unsigned k = 0; k < WORLD_PEERS; k++)
        if (peer[k].used && peer[k].up && peer[k].failing) world_peer_down(k, peer[k].failing);
}

/* ---- The daemon ---- */
struct node_client {
    struct node_callbacks cb;
};
static struct node_client daemon_line;
static struct look_up {
    void (*fn)(void *arg, int status, struct node_process p, const void *address, size_t bytes);
    void *arg;
    uint32_t node;
} look_up[8];
static unsigned look_ups;

void world_found(int status) {
    if (!look_ups) return;
    struct look_up l = look_up[0];
    memmove(look_up, look_up + 1, --look_ups * sizeof *look_up);
    l.fn(l.arg, status, (struct node_process){l.node, 7}, "", 1);
}

int node_endpoint_config(struct ep_config *cfg) {
    (void)cfg;
    return WEFT_OK;
}
void node_endpoint_config_done(struct ep_config *cfg) { (void)cfg; }
int node_client_open(struct node_client **out, struct ep *ep, const char *path, enum node_kind kind,
                     const struct node_callbacks *cb) {
    (void)ep;
    (void)path;
    (void)kind;
    daemon_line.cb = *cb;
    *out = &daemon_line;
    return WEFT_OK;
}
void node_client_endpoint_closed(struct node_client *c) { (void)c; }
void node_client_close(struct node_client *c) {
    (void)c;
    while (look_ups) world_found(WEFT_E_CLOSED);
}
struct node_process node_client_self(const struct node_client *c) {
    (void)c;
    return (struct node_process){0, 1};
}
int node_client_publish(struct node_client *c, const char *name) {
    (void)c;
    (void)name;
    return WEFT_OK;
}
int node_client_watch(struct node_client *c, struct node_process p) {
    (void)c;
    (void)p;
    return WEFT_OK;
}
int node_client_start_find(struct node_client *c, uint32_t node, const char *name,
                           void (*fn)(void *arg, int status, struct node_process p, const void *address,
                                      size_t bytes),
                           void *arg) {
    (void)c;
    (void)name;
    if (look_ups == sizeof look_up / sizeof *look_up) return WEFT_E_LIMIT;
    look_up[look_ups++] = (struct look_up){fn, arg, node};
    return WEFT_OK;
}
void world_process_down(uint32_t node, uint32_t process) {
    daemon_line.cb.on_process_down(daemon_line.cb.ctx, (struct node_process){node, process}, "");
}
void world_node_down(uint32_t node) { daemon_line.cb.on_node_down(daemon_line.cb.ctx, node, ""); }

size_t cluster_nodes(struct service *s, uint16_t *out, size_t cap) {
    (void)s;
    out[0] = 0;
    return cap ? 1 : 0;
}
enum place cluster_place(struct service *s, uint16_t node) {
    (void)s;
    return node && node < 4 ? PLACE_FAR : PLACE_NONE;
}

/* ---- The service's loop, as main.c has it ---- */
static struct service s;

int service_watch(struct service *of, struct watch *w, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = w};
    return epoll_ctl(of->epoll, EPOLL_CTL_ADD, w->fd, &e) ? errno : 0;
}
void service_unwatch(struct service *of, struct watch *w) {
    epoll_ctl(of->epoll, EPOLL_CTL_DEL, w->fd, NULL);
    close(w->fd);
    w->fd = -1;
}

static bool step(void) {
    struct epoll_event e[16];
    int n = epoll_wait(s.epoll, e, 16, 0), ended = 0;
    for (int i = 0; i < n; i++) {
        struct watch *w = e[i].data.ptr;
        if (w->on == end_on_inner) e[ended++] = e[i];
    }
    for (int i = 0; i < ended; i++) end_on_inner(&s, e[i].data.ptr, e[i].events);
    if (n <= 0 || ended) return n > 0;
    unsigned turn = s.turns++ % (unsigned)n;
    struct watch *w = e[turn].data.ptr;
    w->on(&s, w, e[turn].events);
    return true;
}

void world_settle(void) {
    for (int i = 0; i < ROUNDS; i++) {
        end_failed();
        FUZZ_CHECK(far_progress(&s));
        connect_expire(&s, now_ns);
        if (!step()) break;
    }
    end_failed();
    far_progress(&s);
}

void world_wait(uint64_t ns) { now_ns += ns; }
struct service *world_service(void) {
    return &s;
}

/* ---- Programs ---- */
static struct world_end ends[WORLD_ENDS];
static int line[WORLD_LINES] = {-1, -1, -1}, listener = -1, door[2] = {-1, -1}, file = -1, stage = -1;
static unsigned char *contents;
static struct sockaddr_un address;
static socklen_t address_bytes;
static int lowest_free;

static int memory_file(off_t bytes) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    FUZZ_CHECK(fd >= 0 && ftruncate(fd, bytes) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    return fd;
}

static int next_descriptor(void) {
    int fd = dup(listener);
    close(fd);
    return fd;
}

static void init(void) {
    if (listener >= 0) return;
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    address.sun_family = AF_UNIX;
    FUZZ_CHECK(bind(listener, (struct sockaddr *)&address, sizeof address.sun_family) == 0 &&
               listen(listener, 8) == 0);
    address_bytes = sizeof address;
    FUZZ_CHECK(getsockname(listener, (struct sockaddr *)&address, &address_bytes) == 0);
    stage = memory_file((off_t)SCIF_STAGE_BYTES);
    file = memory_file((off_t)(WORLD_PAGES * SHARE_PAGE));
    contents = mmap(NULL, WORLD_PAGES * SHARE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    FUZZ_CHECK(contents != MAP_FAILED);
    transport.fd = eventfd(0, EFD_CLOEXEC);
    (void)lane_get(); /* this thread's, for ever */
}

static int open_line(void) {
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct watch w = {.fd = listener};
    FUZZ_CHECK(connect(fd, (struct sockaddr *)&address, address_bytes) == 0);
    line_accept(&s, &w, EPOLLIN);
    return fd;
}

/* What has come over it. *a: the last that is an answer. */
static struct scif_record hear(int fd, struct scif_answer *a) {
    static char room[8192];
    struct scif_record r = {.data = room, .bytes = sizeof room}, last = {.bytes = 0};
    a->error = -1;
    while (scif_record_receive(fd, &r, MSG_DONTWAIT) == 0) {
        while (last.fds) close(last.fd[--last.fds]);
        last = r;
        if (r.bytes >= sizeof *a) memcpy(a, room, sizeof *a);
        r.bytes = sizeof room;
    }
    return last;
}

static void drop(struct scif_record r) {
    while (r.fds) close(r.fd[--r.fds]);
}

static struct scif_record ask(int fd, struct scif_request q, struct scif_answer *a, int with) {
    struct scif_record out = {.data = &q, .bytes = sizeof q, .fd = {with}, .fds = with >= 0};
    drop(hear(fd, a));
    (void)scif_record_send(fd, &out, MSG_DONTWAIT);
    world_settle();
    return hear(fd, a);
}

static int line_get(enum world_line which) {
    static const uint32_t op[WORLD_LINES] = {0, SCIF_OP_STAGE, SCIF_OP_PAGES};
    struct scif_answer a;
    if (line[which] >= 0) return line[which];
    line[which] = open_line();
    drop(ask(line[which], (struct scif_request){.op = SCIF_OP_HELLO, .value = SCIF_PROTOCOL}, &a, -1));
    if (op[which])
        drop(ask(line[which], (struct scif_request){.op = op[which]}, &a, which == WORLD_STAGE ? stage : -1));
    return line[which];
}

void world_line_close(enum world_line which) {
    if (line[which] >= 0) close(line[which]);
    line[which] = -1;
}

void world_request(enum world_line which, const void *record, size_t bytes, int with) {
    struct scif_record out = {
        .data = (void *)(uintptr_t)record, .bytes = bytes, .fd = {with}, .fds = with >= 0};
    struct scif_answer a;
    int fd = line_get(which);
    drop(hear(fd, &a));
    (void)scif_record_send(fd, &out, MSG_DONTWAIT);
    world_settle();
    drop(hear(fd, &a));
    char byte;
    if (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0) world_line_close(which); /* it has ended */
}

int world_file(void) { return file; }

static void *map(int fd, size_t bytes, size_t at) {
    void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)at);
    FUZZ_CHECK(m != MAP_FAILED);
    return m;
}

static void meet(struct world_end *e, const int fd[2]) {
    memcpy(e->peer_fd, fd, sizeof e->peer_fd);
    e->peer = map(fd[0], SCIF_SHARED_BYTES, SCIF_SHARED_AT);
}

static void take_end(struct world_end *e, const struct scif_record *r, uint64_t id) {
    *e = (struct world_end){.id = id, .peer_fd = {-1, -1}};
    memcpy(e->fd, r->fd, sizeof e->fd);
    e->memory = map(e->fd[2], sizeof *e->memory, 0);
    if (r->fds == 5) meet(e, r->fd + 3);
}

struct world_end *world_end(unsigned i) {
    return &ends[i];
}

void world_end_close(unsigned i) {
    struct world_end *e = &ends[i];
    if (!e->id) return;
    for (int k = 0; k < 3; k++) close(e->fd[k]);
    munmap(e->memory, sizeof *e->memory);
    if (e->peer) munmap(e->peer, SCIF_SHARED_BYTES);
    for (int k = 0; k < 2; k++)
        if (e->peer_fd[k] >= 0) close(e->peer_fd[k]);
    *e = (struct world_end){.peer_fd = {-1, -1}};
}

void world_end_open(unsigned i) {
    struct scif_answer a;
    world_end_close(i);
    struct scif_record r = ask(line_get(WORLD_LINE), (struct scif_request){.op = SCIF_OP_OPEN}, &a, -1);
    if (r.fds == 3)
        take_end(&ends[i], &r, a.endpoint);
    else
        drop(r);
}

bool world_end_accept(unsigned i) {
    struct scif_request q = {.op = SCIF_OP_ACCEPT, .endpoint = ends[0].id};
    struct scif_answer a;
    world_end_close(i);
    struct scif_record r = ask(line_get(WORLD_LINE), q, &a, -1);
    if (r.fds != 5) drop(r);
    if (r.fds != 5) return false;
    take_end(&ends[i], &r, a.endpoint);
    return true;
}

void world_end_connect(unsigned i, uint16_t node, uint16_t port) {
    struct scif_request q = {.op = SCIF_OP_CONNECT, .endpoint = ends[i].id, .peer = {node, port}};
    struct scif_answer a;
    drop(ask(line_get(WORLD_LINE), q, &a, -1));
    q = (struct scif_request){.op = SCIF_OP_STATE, .endpoint = ends[i].id};
    struct scif_record r = ask(line_get(WORLD_LINE), q, &a, -1);
    if (r.fds == 2 && !ends[i].peer)
        meet(&ends[i], r.fd);
    else
        drop(r);
}

void world_end_give_windows(unsigned i) {
    static const uint32_t prot[] = {[WORLD_RW] = SCIF_PROT_READ | SCIF_PROT_WRITE,
                                    [WORLD_READ] = SCIF_PROT_READ,
                                    [WORLD_WRITE] = SCIF_PROT_WRITE};
    struct scif_windows *w = &ends[i].memory->shared.windows;
    struct stat st;
    fstat(file, &st);
    w->file[0] = (struct scif_file){{(uint32_t)getpid(), (uint32_t)file}, st.st_dev, st.st_ino};
    w->door[0] = (struct scif_door){{(uint32_t)getpid(), (uint32_t)door[1]}, door_cookie(door[1])};
    for (uint32_t k = 0; k < 3; k++)
        w->piece[k] = (struct scif_piece){.offset = k * SHARE_PAGE,
                                          .bytes = SHARE_PAGE,
                                          .at = k * SHARE_PAGE,
                                          .window = k,
                                          .kind = PIECE_FILE,
                                          .prot = prot[k]};
    atomic_store(&w->owners, 1);
    atomic_store(&w->files, 1);
    atomic_store(&w->count, 3);
}

void world_door_answer(int error) {
    struct scif_question q;
    struct scif_record r = {.data = &q, .bytes = sizeof q};
    if (scif_record_receive(door[0], &r, MSG_DONTWAIT)) return;
    if (r.fds && error >= 0) (void)!send(r.fd[0], &error, sizeof error, MSG_DONTWAIT | MSG_NOSIGNAL);
    drop(r);
}

bool world_page_is_untouched(unsigned page) {
    for (unsigned i = 0; i < SHARE_PAGE; i++)
        if (contents[page * SHARE_PAGE + i] != WORLD_PATTERN(page)) return false;
    return true;
}

/* ---- Beginning and end ---- */
void world_open(void) {
    struct scif_answer a;
    init();
    lowest_free = next_descriptor();
    memset(&s, 0, sizeof s);
    weft_map_init(&s.ends);
    weft_list_init(&s.lines);
    weft_list_init(&s.connecting);
    now_ns = WEFT_NS_PER_S;
    s.spare = -1;
    s.epoll = epoll_create1(EPOLL_CLOEXEC);
    FUZZ_CHECK(node_ports_init(&s.ports) == 0 && far_open(&s) == 0);
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, door) == 0);
    for (unsigned i = 0; i < WORLD_PAGES; i++)
        memset(contents + i * SHARE_PAGE, WORLD_PATTERN(i), SHARE_PAGE);
    world_end_open(0); /* the listener */
    struct scif_request q[] = {{.op = SCIF_OP_BIND, .endpoint = ends[0].id, .port = WORLD_PORT},
                               {.op = SCIF_OP_LISTEN, .endpoint = ends[0].id, .value = 4}};
    for (unsigned i = 0; i < 2; i++) drop(ask(line[WORLD_LINE], q[i], &a, -1));
}

void world_close(void) {
    size_t it = 0;
    for (unsigned i = 0; i < WORLD_ENDS; i++) world_end_close(i);
    for (enum world_line i = 0; i < WORLD_LINES; i++) world_line_close(i);
    world_settle();
    far_close(&s);
    while (!weft_list_empty(&s.lines)) line_close(&s, weft_list_entry(s.lines.next, struct line, link));
    for (struct end *e; (e = weft_map_next(&s.ends, &it, NULL));) end_destroy(&s, e);
    weft_map_fini(&s.ends);
    node_ports_fini(&s.ports);
    close(s.epoll);
    close(door[0]);
    close(door[1]);
    memset(peer, 0, sizeof peer);
    FUZZ_CHECK(!pendings);
    FUZZ_CHECK(next_descriptor() == lowest_free);
}
