/* The service's own loop and the programs at its lines, for the fuzz target `far`. */
#include "far_world.h"
#include "base/clock.h"
#include "base/error.h"
#include "fuzz.h"
#include "scif/door.h"
#include "scif/lane.h"
#include "scif/share/faults.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ROUNDS 64

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
        outside_turn();
        FUZZ_CHECK(far_progress(&s));
        connect_expire(&s, weft_now_ns());
        if (!step()) break;
    }
    outside_turn();
    far_progress(&s);
}

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
static uint64_t shown; /* what the service asked last to be shown to the program at the line for pages */

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
    (void)lane_get(); /* this thread's, for ever */
}

static int open_line(void) {
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct watch w = {.fd = listener};
    FUZZ_CHECK(connect(fd, (struct sockaddr *)&address, address_bytes) == 0);
    line_accept(&s, &w, EPOLLIN);
    return fd;
}

static void note_show(const struct scif_record *r) {
    struct scif_pages q;
    if (r->bytes != sizeof q || r->fds != 1) return;
    memcpy(&q, r->data, sizeof q);
    if (q.op == SCIF_PAGES_SHOW) shown = q.mapping;
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
        note_show(&r);
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

static void request(enum world_line which, struct scif_record out) {
    struct scif_answer a;
    int fd = line_get(which);
    drop(hear(fd, &a));
    (void)scif_record_send(fd, &out, MSG_DONTWAIT);
    world_settle();
    drop(hear(fd, &a));
    char byte;
    if (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0) world_line_close(which); /* it has ended */
}

void world_request(enum world_line which, const void *record, size_t bytes, int with) {
    request(which, (struct scif_record){
                       .data = (void *)(uintptr_t)record, .bytes = bytes, .fd = {with}, .fds = with >= 0});
}

/* Of a mapping that is nowhere; of each a new one, since the service changes them. */
void world_request_with_frame(enum world_line which, const void *record, size_t bytes) {
    bool in_system_calls;
    int frame = memfd_create("frame", MFD_CLOEXEC), faults = faults_open(&in_system_calls);
    if (faults >= 0)
        request(which,
                (struct scif_record){
                    .data = (void *)(uintptr_t)record, .bytes = bytes, .fd = {frame, faults}, .fds = 2});
    if (faults >= 0) close(faults);
    close(frame);
}

int world_file(void) { return file; }

uint64_t world_shown(void) {
    struct scif_answer a;
    drop(hear(line_get(WORLD_PAGES_LINE), &a));
    return shown;
}

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

void world_door_answer(int error, bool others) {
    struct scif_question q;
    struct scif_shown a = {.error = error, .count = others, .process = {(uint32_t)getpid()}};
    struct scif_record r = {.data = &q, .bytes = sizeof q};
    if (scif_record_receive(door[0], &r, MSG_DONTWAIT)) return;
    if (r.fds && error >= 0) (void)!send(r.fd[0], &a, sizeof a, MSG_DONTWAIT | MSG_NOSIGNAL);
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
    outside_open();
    lowest_free = next_descriptor();
    memset(&s, 0, sizeof s);
    weft_map_init(&s.ends);
    weft_list_init(&s.lines);
    weft_list_init(&s.connecting);
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
    outside_close();
    FUZZ_CHECK(next_descriptor() == lowest_free);
}
