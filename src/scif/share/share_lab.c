#include "scif/share/share_lab.h"

#include "base/clock.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/protocol.h"
#include "scif/share/home.h"
#include "scif/share/stand_in.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the library has in its own way. */
int close_descriptor(int fd) { return close(fd); }
int descriptor_hide(int fd) { return fd; }

struct record {
    struct share_message m;
    unsigned char page[SHARE_PAGE];
};
struct order { /* a transfer, to the home and back; count 0: what the home needs to stand in for the owner */
    uint32_t first, count;
    uint64_t value;
};

static void check(bool good, const char *what) {
    if (good) return;
    perror(what);
    _exit(2);
}

static void post(int socket, const struct share_message *m, const void *page) {
    struct iovec part[2] = {{(void *)(uintptr_t)m, sizeof *m}, {(void *)(uintptr_t)page, m->bytes}};
    struct msghdr h = {.msg_iov = part, .msg_iovlen = page ? 2 : 1};
    (void)!sendmsg(socket, &h, MSG_NOSIGNAL);
}

/* 1: a record; 0: none now; -1: the end. */
static int fetch(int socket, struct record *r) {
    ssize_t n = recv(socket, r, sizeof *r, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    return n >= (ssize_t)sizeof r->m && (size_t)n == sizeof r->m + r->m.bytes ? 1 : -1;
}

/* ---- The home's process ---- */
struct home_side {
    struct home home;
    struct sharer *sharer[LAB_SIDES_MAX];
    struct pollfd poll[2 * LAB_SIDES_MAX]; /* sharers, then who orders transfers */
    unsigned sides, left;
    uint64_t hold_ns;
    struct stand_in stand_in;
    struct paged_pages *is; /* the owner's */
};
struct transfer {
    struct home_access access;
    struct order order;
    int answer;
};

static void from_home(void *ctx, struct sharer *to, const struct share_message *m, const void *page) {
    post((int)(intptr_t)to->user, m, page);
}

static void transfer_page(struct home_access *a, uint32_t page, unsigned char *memory) {
    struct order *o = &weft_container_of(a, struct transfer, access)->order;
    uint64_t *words = (uint64_t *)(void *)memory;
    if (!a->write) o->value += words[0];
    for (unsigned i = 0; a->write && i < SHARE_PAGE / sizeof *words; i++) words[i] = o->value;
}

static void transfer_done(struct home_access *a) {
    struct transfer *t = weft_container_of(a, struct transfer, access);
    (void)!send(t->answer, &t->order, sizeof t->order, MSG_NOSIGNAL);
    free(t);
}

static bool at_once(void *ctx, struct sharer *to, const struct share_message *m) {
    const struct home_side *s = weft_container_of(ctx, struct home_side, home);
    return s->is && stand_in_do(&s->stand_in, s->is, s->home.pages, m, s->hold_ns, weft_now_ns());
}

static void on_order(struct home_side *s, int socket) {
    struct transfer *t = calloc(1, sizeof *t);
    struct scif_record in = {.data = &t->order, .bytes = sizeof t->order};
    check(t && !scif_record_receive(socket, &in, MSG_DONTWAIT) && in.bytes == sizeof t->order, "order");
    if (!t->order.count) {
        check(in.fds == 3 && !stand_in_open(&s->stand_in, in.fd[0], in.fd[1]), "stand_in_open");
        s->is = stand_in_map(in.fd[2], s->home.pages);
        check(s->is && send(socket, &t->order, sizeof t->order, MSG_NOSIGNAL) > 0, "stand_in_map");
        while (in.fds) close(in.fd[--in.fds]);
        free(t);
        return;
    }
    t->answer = socket;
    t->access = (struct home_access){.first = t->order.first,
                                     .count = t->order.count,
                                     .write = t->order.value != 0,
                                     .on_page = transfer_page,
                                     .on_done = transfer_done};
    check(!home_access(&s->home, &t->access, weft_now_ns()), "home_access");
}

static void on_sharer(struct home_side *s, unsigned i) {
    struct record r;
    int got;
    while ((got = fetch(s->poll[i].fd, &r)) > 0)
        if (home_message(&s->home, s->sharer[i], &r.m, r.page, weft_now_ns())) break;
    if (!got) return;
    home_remove(&s->home, s->sharer[i], weft_now_ns());
    s->poll[i].fd = -1;
    s->left--;
}

static void home_process(const struct lab_setup *setup, unsigned char *memory, int (*link)[2],
                         int (*control)[2]) {
    static struct home_side s;
    home_init(&s.home, memory, setup->pages, from_home, &s.home);
    s.home.at_once = at_once;
    s.hold_ns = setup->hold_ns;
    s.left = s.sides = setup->sides;
    for (unsigned i = 0; i < s.sides; i++) {
        struct home_sharer join = {.count = setup->pages,
                                   .user = (void *)(intptr_t)link[i][1],
                                   .local = i == 0,
                                   .has_all = i == 0,
                                   .writable = i == 0 || !setup->read_only};
        s.sharer[i] = home_join(&s.home, &join, weft_now_ns());
        s.poll[i] = (struct pollfd){.fd = link[i][1], .events = POLLIN};
        s.poll[s.sides + i] = (struct pollfd){.fd = control[i][1], .events = POLLIN};
        close(link[i][0]);
        close(control[i][0]);
    }
    while (s.left && poll(s.poll, 2 * s.sides, -1) > 0)
        for (unsigned i = 0; i < s.sides; i++) {
            if (s.poll[i].revents) on_sharer(&s, i);
            if (s.poll[s.sides + i].revents & POLLHUP)
                s.poll[s.sides + i].fd = -1;
            else if (s.poll[s.sides + i].revents)
                on_order(&s, s.poll[s.sides + i].fd);
        }
    home_fini(&s.home);
    _exit(s.left ? 2 : 0);
}

/* ---- A program's process ---- */
static void from_pager(struct paged *g, const struct share_message *m, const void *page) {
    post(((struct lab *)g->user)->socket, m, page);
    if (m->kind == SHARE_LEAVE) ((struct lab *)g->user)->paged = NULL;
}

static bool handle_messages(struct lab *lab) {
    struct record r;
    int got;
    while ((got = fetch(lab->socket, &r)) > 0)
        if (lab->paged && pager_message(lab->paged, &r.m, r.page, weft_now_ns())) lab->paged = NULL;
    if (got < 0 && lab->paged) pager_end(lab->paged);
    if (got < 0) lab->paged = NULL;
    return got == 0;
}

static void *pager_thread(void *arg) {
    struct lab *lab = arg;
    struct pollfd p[2] = {{.fd = lab->pager.fd, .events = POLLIN}, {.fd = lab->socket, .events = POLLIN}};
    for (;;) {
        pthread_mutex_lock(&lab->lock);
        uint64_t due = pager_deadline(&lab->pager), now = weft_now_ns();
        pthread_mutex_unlock(&lab->lock);
        uint64_t left = due > now ? due - now : 0;
        struct timespec t = {(time_t)(left / WEFT_NS_PER_S), (long)(left % WEFT_NS_PER_S)};
        ppoll(p, 2, due == WEFT_TIME_NEVER ? NULL : &t, NULL);
        pthread_mutex_lock(&lab->lock);
        while (lab->turn && !stand_in_enter(lab->turn)) stand_in_leave(lab->turn); /* the home was killed */
        if (p[1].revents && !handle_messages(lab)) p[1].fd = -1;
        pager_faults(&lab->pager);
        pager_expire(&lab->pager, weft_now_ns());
        if (lab->turn) stand_in_leave(lab->turn);
        pthread_mutex_unlock(&lab->lock);
    }
    return NULL;
}

static const struct pager_program here = {.refuse = pager_refuse};

static int open_memory(struct lab *lab, struct pager_map *map) {
    if (lab->side) {
        errno = frame_open(&lab->frame, map->pages, map->writable);
        check(!errno, "frame_open");
        map->address = (void *)lab->frame.address;
        map->file = lab->frame.file;
        lab->in_system_calls = lab->frame.in_system_calls;
        return lab->frame.faults;
    }
    map->address =
        mmap(NULL, (size_t)map->pages * SHARE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, map->file, 0);
    check(map->address != MAP_FAILED, "mmap");
    int fd = faults_open(&lab->in_system_calls);
    check(fd >= 0, "faults_open");
    return fd;
}

/* The owner's. */
static void hand_over(struct lab *lab) {
    struct order o = {0};
    void *turn;
    int lock = stand_in_make(sizeof *lab->turn, &turn);
    check(lock >= 0, "stand_in_make");
    struct scif_record out = {
        .data = &o, .bytes = sizeof o, .fd = {lock, lab->pager.fd, lab->paged->is_in}, .fds = 3};
    check(!scif_record_send(lab->control, &out, 0) && recv(lab->control, &o, sizeof o, 0) > 0, "hand_over");
    lab->turn = turn;
}

static void program_process(struct lab *lab, int file, bool (*program)(struct lab *lab)) {
    struct pager_map map = {.user = lab,
                            .pages = lab->setup.pages,
                            .local = lab->side == 0,
                            .file = file,
                            .has_all = lab->side == 0,
                            .writable = lab->side == 0 || !lab->setup.read_only};
    pthread_t thread;
    pthread_mutex_init(&lab->lock, NULL);
    if (lab->setup.nobody && !geteuid()) check(!setresuid(65534, 65534, 65534), "setresuid");
    int faults = open_memory(lab, &map);
    pager_init(&lab->pager, faults, from_pager, &here, lab->setup.hold_ns);
    errno = pager_map(&lab->pager, &map, &lab->paged);
    check(!errno, "pager_map");
    lab->memory = (volatile unsigned char *)lab->paged->is->place[0].address;
    if (!lab->side) hand_over(lab);
    check(!pthread_create(&thread, NULL, pager_thread, lab), "pthread_create");
    lab_meet(lab);
    bool good = program(lab);
    lab_meet(lab);
    _exit(good ? 0 : 1);
}

/* ---- All of it ---- */
static bool wait_for(pid_t pid) {
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void start_program(struct lab *lab, int file, int (*link)[2], int (*control)[2],
                          bool (*program)(struct lab *lab)) {
    for (unsigned i = 0; i < lab->setup.sides; i++) { /* what the others have must hang up when they end */
        close(link[i][1]);
        close(control[i][1]);
        if (i == lab->side) continue;
        close(link[i][0]);
        close(control[i][0]);
    }
    lab->socket = link[lab->side][0];
    lab->control = control[lab->side][0];
    program_process(lab, file, program);
}

bool lab_run(const struct lab_setup *setup, bool (*program)(struct lab *lab)) {
    size_t bytes = (size_t)setup->pages * SHARE_PAGE;
    int file = memfd_create("home", MFD_CLOEXEC), link[LAB_SIDES_MAX][2], control[LAB_SIDES_MAX][2];
    pid_t pid[LAB_SIDES_MAX];
    static struct lab lab;
    lab = (struct lab){.setup = *setup};
    check(!ftruncate(file, (off_t)bytes), "ftruncate");
    lab.shared = mmap(NULL, sizeof *lab.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < setup->sides; i++) {
        check(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link[i]), "socketpair");
        check(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control[i]), "socketpair");
    }
    lab.pid_home = fork();
    if (!lab.pid_home) {
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        check(memory != MAP_FAILED, "mmap");
        home_process(setup, memory, link, control);
    }
    for (lab.side = 0; lab.side < setup->sides; lab.side++) {
        pid[lab.side] = fork();
        if (!pid[lab.side]) start_program(&lab, file, link, control, program);
    }
    bool good = true;
    for (unsigned i = 0; i < setup->sides; i++)
        for (int k = 0; k < 2; k++) {
            close(link[i][k]);
            close(control[i][k]);
        }
    for (unsigned i = 0; i < setup->sides; i++) good &= wait_for(pid[i]);
    waitpid(lab.pid_home, NULL, 0);
    munmap(lab.shared, sizeof *lab.shared);
    close(file);
    return good;
}

void lab_meet(struct lab *lab) {
    unsigned round = atomic_load(&lab->shared->round);
    if (atomic_fetch_add(&lab->shared->arrived, 1) + 1 == lab->setup.sides) {
        atomic_store(&lab->shared->arrived, 0);
        atomic_fetch_add(&lab->shared->round, 1);
    }
    while (atomic_load(&lab->shared->round) == round) sched_yield();
}

uint64_t lab_transfer(struct lab *lab, uint32_t first, uint32_t count, uint64_t value) {
    struct order o = {.first = first, .count = count, .value = value};
    check(send(lab->control, &o, sizeof o, MSG_NOSIGNAL) == (ssize_t)sizeof o, "send");
    check(recv(lab->control, &o, sizeof o, 0) == (ssize_t)sizeof o, "recv");
    return o.value;
}
