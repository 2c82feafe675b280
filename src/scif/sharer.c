#include "scif/sharer.h"

#include "base/clock.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/mover.h"
#include "scif/share/frame.h"
#include "scif/share/pager.h"
#include "scif/share/stand_in.h"
#include "scif/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PENDING_MAX 64

enum { ASKS, FAULTS, LINE };

enum ask_kind { ASK_OPEN, ASK_MAP, ASK_JOIN, ASK_SHOWN };
struct ask { /* of a thread of this process; with a socket for the answer, and maybe a line to the service */
    uint32_t kind;
    int32_t prot;                     /* MAP */
    uint64_t endpoint, offset, bytes; /* MAP: of the peer's windows */
    struct sharer_part part;          /* JOIN */
    struct scif_pages shown;          /* SHOWN: the answer */
};
struct told {
    uint64_t address;
    int32_t error, unused;
};
struct pending {            /* the service has not answered */
    uint64_t from, mapping; /* all of them; told with the last one's answer. 0: unused */
    bool map;               /* of a window elsewhere */
    int reply, error;
};
struct mapped { /* a window elsewhere, of which the service serves the frame */
    _Atomic(struct mapped *) next;
    uint64_t mapping;
    struct frame frame;
};
struct record {
    struct share_message m;
    unsigned char page[SHARE_PAGE];
};

static int ask_in = -1, ask_out = -1, line = -1;
static atomic_bool has_line;
static atomic_uint age;
static struct pager pager = {.fd = -1};   /* of memory here */
static _Atomic(struct mapped *) mappings; /* a forked child finds them in order at any time */
static struct stand_in_lock *turn;        /* of the pager's; NULL: the service does not stand in for it */
static int turn_in = -1;                  /* the file that it is in */
static bool handed;                       /* the service has it */
static uint64_t last_mapping, last_owned, last_answered; /* owned: a sharer here, and the answer to it */
static struct pending pending[PENDING_MAX];
static atomic_uint answers; /* orders what this thread did before what those do that are told */

/* ---- The line ---- */
static void on_send(struct paged *g, const struct share_message *m, const void *page) {
    struct iovec part[2] = {{(void *)(uintptr_t)m, sizeof *m}, {(void *)(uintptr_t)page, m->bytes}};
    struct msghdr h = {.msg_iov = part, .msg_iovlen = page ? 2 : 1};
    while (sendmsg(line, &h, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
}

/* spare: a line, or -1. */
static void take_line(int spare) {
    if (spare >= 0 && line >= 0) close_descriptor(spare);
    if (spare >= 0 && line < 0) line = descriptor_hide(spare);
    atomic_store(&has_line, line >= 0);
}

static int send_record(const struct scif_pages *q, int fd, int faults) {
    struct scif_record r = {.data = (void *)(uintptr_t)q,
                            .bytes = sizeof *q,
                            .fd = {fd, faults},
                            .fds = (fd >= 0) + (faults >= 0)};
    return scif_record_send(line, &r, 0) ? ENOMEM : 0;
}

static bool service_is_gone(void) {
    struct pollfd p = {.fd = line};
    return line < 0 || (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)));
}

/* One that was killed in the middle of something will not leave. */
static void enter(void) {
    while (!stand_in_enter(turn))
        if (service_is_gone()) stand_in_leave(turn);
}

static void hand_over(void) {
    struct scif_pages q = {.op = SCIF_PAGES_HAND};
    void *mapped;
    if (turn_in < 0 && (turn_in = stand_in_make(sizeof *turn, &mapped)) >= 0) {
        turn = mapped;
        enter(); /* until the end of this thread's turn */
    }
    if (turn_in >= 0 && !handed) handed = !send_record(&q, turn_in, pager.fd);
}

static int open_pager(void) {
    static const struct pager_program program = {.refuse = pager_refuse, .moved = watch_note};
    bool in_system_calls;
    if (pager.fd < 0) {
        int fd = faults_open(&in_system_calls);
        pager_init(&pager, fd < 0 ? -1 : descriptor_hide(fd), on_send, &program, SHARE_HOLD_NS);
    }
    if (pager.fd < 0 || line < 0) return ENOMEM;
    hand_over();
    return 0;
}

/* ---- Windows of others ---- */
static void tell(int reply, int error, uintptr_t address) {
    struct told t = {.address = address, .error = error};
    atomic_fetch_add(&answers, 1);
    (void)!send(reply, &t, sizeof t, MSG_NOSIGNAL | MSG_DONTWAIT);
    close_descriptor(reply);
}

static struct pending *free_place(void) {
    for (unsigned i = 0; i < PENDING_MAX; i++)
        if (!pending[i].mapping) return &pending[i];
    return NULL;
}

static struct mapped *find_mapped(uint64_t mapping) {
    struct mapped *m = atomic_load(&mappings);
    while (m && m->mapping != mapping) m = atomic_load(&m->next);
    return m;
}

static struct mapped *add_mapped(uint64_t mapping, uint32_t pages, bool writable) {
    struct mapped *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED) return NULL;
    m->mapping = mapping;
    if (frame_open(&m->frame, pages, writable)) {
        munmap(m, sizeof *m);
        return NULL;
    }
    atomic_store(&m->next, atomic_load(&mappings));
    atomic_store(&mappings, m);
    return m;
}

/* end: of the frame. */
static void remove_mapped(struct mapped *m, void (*end)(struct frame *f)) {
    _Atomic(struct mapped *) *at = &mappings;
    while (atomic_load(at) != m) at = &atomic_load(at)->next;
    atomic_store(at, atomic_load(&m->next));
    end(&m->frame);
    munmap(m, sizeof *m);
}

static int begin_map(const struct ask *a, int reply) {
    struct pending *p = free_place();
    uint32_t pages = (uint32_t)(a->bytes / SHARE_PAGE);
    if (a->bytes / SHARE_PAGE > SHARE_PAGES_MAX || !p) return ENOMEM;
    struct mapped *m = add_mapped(++last_mapping, pages, a->prot & SCIF_PROT_WRITE);
    if (!m) return ENOMEM;
    struct scif_pages q = {.op = SCIF_PAGES_MAP,
                           .mapping = m->mapping,
                           .endpoint = a->endpoint,
                           .offset = a->offset,
                           .address = m->frame.address,
                           .pages = pages,
                           .prot = (uint32_t)a->prot};
    int err = send_record(&q, m->frame.file, m->frame.faults);
    if (err)
        remove_mapped(m, frame_discard);
    else
        *p = (struct pending){.from = m->mapping, .mapping = m->mapping, .map = true, .reply = reply};
    return err;
}

/* It has made memory writable that it may only read, for instance: it gets SIGSEGV there. */
static void on_refuse(const struct scif_pages *q) {
    struct mapped *m = find_mapped(q->mapping);
    if (!m) return;
    mprotect((void *)(uintptr_t)q->address, q->bytes, (int)q->prot);
    faults_wake(m->frame.faults, (uintptr_t)q->address, q->bytes);
}

/* ---- Memory here ---- */
static int own(const struct sharer_part *part) {
    struct paged *g;
    struct pager_map map = {.mapping = ++last_mapping,
                            .address = (void *)part->address,
                            .pages = part->pages,
                            .writable = part->writable,
                            .local = true,
                            .has_all = true,
                            .file_at = part->at,
                            .file = part->file};
    struct scif_pages q = {.op = SCIF_PAGES_OWN,
                           .mapping = map.mapping,
                           .offset = part->at,
                           .pages = part->pages,
                           .prot = SCIF_PROT_READ | (part->writable ? SCIF_PROT_WRITE : 0)};
    watch_no_more(part->address, (size_t)part->pages * SHARE_PAGE);
    if (pager_map(&pager, &map, &g)) return ENOMEM;
    int err = send_record(&q, map.file, handed ? g->is_in : -1);
    if (err) pager_end(g);
    if (!err) last_owned = map.mapping;
    return err;
}

/* What of it is no sharer yet. */
static int own_all(const struct sharer_part *part) {
    int err = 0;
    for (uint32_t i = 0, n; !err && i < part->pages; i += n) {
        struct sharer_part run = *part;
        run.at += (uint64_t)i * SHARE_PAGE;
        run.address += (size_t)i * SHARE_PAGE;
        bool has = pager_has(&pager, run.address);
        n = 1;
        while (i + n < part->pages && pager_has(&pager, run.address + (size_t)n * SHARE_PAGE) == has) n++;
        run.pages = n;
        if (!has) err = own(&run);
    }
    return err;
}

/* A thread waits until it may be used: what is asked back of it comes before the answer. */
static int begin_join(const struct sharer_part *part, int reply) {
    struct pending *p = free_place();
    uint64_t from = last_mapping + 1;
    int err = p ? own_all(part) : ENOMEM;
    if (err) return err;
    if (last_answered == last_owned)
        tell(reply, 0, 0);
    else
        *p = (struct pending){.from = from, .mapping = last_owned, .reply = reply};
    return 0;
}

static struct paged *find(uint64_t mapping) {
    weft_list_for_each(l, &pager.mappings) {
        struct paged *g = weft_list_entry(l, struct paged, link);
        if (g->cache.mapping == mapping) return g;
    }
    return NULL;
}

static void on_answer(const struct scif_pages *q) {
    struct paged *g = find(q->mapping);
    struct mapped *m = find_mapped(q->mapping);
    if (q->op == SCIF_PAGES_OWN) last_answered = q->mapping;
    for (struct pending *p = pending; p < pending + PENDING_MAX; p++) {
        if (q->error && q->mapping >= p->from && q->mapping <= p->mapping) p->error = q->error;
        if (q->mapping != p->mapping) continue;
        bool gone = p->map && !m;
        tell(p->reply, gone ? ENOMEM : p->error, p->map && m ? m->frame.address : 0);
        p->mapping = 0;
    }
    if (g && q->error) pager_end(g);
    if (m && q->error) remove_mapped(m, frame_discard);
}

/* ---- Turns ---- */
/* With an answer's socket, and maybe a line to the service. */
static void on_ask(void) {
    struct ask a;
    struct scif_record r = {.data = &a, .bytes = sizeof a};
    if (scif_record_receive(ask_in, &r, MSG_DONTWAIT) || r.fds < 1) return;
    take_line(r.fds == 2 ? r.fd[1] : -1);
    int err = open_pager(), reply = r.fd[0];
    if (!err && a.kind == ASK_MAP) err = begin_map(&a, reply);
    if (!err && a.kind == ASK_JOIN) err = begin_join(&a.part, reply);
    if (!err && a.kind == ASK_SHOWN) err = send_record(&a.shown, -1, -1);
    bool answered = err || a.kind == ASK_OPEN || a.kind == ASK_SHOWN; /* else the service answers */
    if (answered) tell(reply, err, 0);
}

bool sharer_prepare(struct pollfd *p, struct timespec *wait) {
    p[ASKS] = (struct pollfd){.fd = ask_in, .events = POLLIN};
    p[FAULTS] = (struct pollfd){.fd = pager.fd, .events = POLLIN};
    p[LINE] = (struct pollfd){.fd = line, .events = POLLIN};
    uint64_t due = pager.fd < 0 ? WEFT_TIME_NEVER : pager_deadline(&pager), now;
    if (due == WEFT_TIME_NEVER) return false;
    now = weft_now_ns();
    due = due > now ? due - now : 0;
    *wait = (struct timespec){(time_t)(due / WEFT_NS_PER_S), (long)(due % WEFT_NS_PER_S)};
    return true;
}

static void on_message(const struct record *r) {
    struct paged *g = find(r->m.mapping);
    struct mapped *m = g ? NULL : find_mapped(r->m.mapping);
    if (m && r->m.kind == SHARE_END) remove_mapped(m, frame_close);
    if (g && pager_message(g, &r->m, r->page, weft_now_ns())) atomic_fetch_add(&age, 1);
}

/* The service is gone, and with it the homes of what is mapped here. */
static void line_lost(void) {
    for (struct pending *p = pending; p < pending + PENDING_MAX; p++) {
        struct mapped *m = p->mapping ? find_mapped(p->mapping) : NULL;
        if (p->mapping) tell(p->reply, ENOMEM, 0);
        if (m && p->map) remove_mapped(m, frame_discard);
        p->mapping = 0;
    }
    while (atomic_load(&mappings)) remove_mapped(atomic_load(&mappings), frame_lose);
    last_answered = last_owned;
    while (!weft_list_empty(&pager.mappings))
        pager_end(weft_list_entry(pager.mappings.next, struct paged, link));
    atomic_fetch_add(&age, 1);
    close_descriptor(line);
    line = -1;
    handed = false;
    atomic_store(&has_line, false);
}

/* What others map comes to be shared with other hosts: the mover's thread sees to it, and answers. */
static void on_show(struct scif_pages *q, int fd) {
    struct scif_record r = {.data = q, .bytes = sizeof *q, .fd = {fd}, .fds = 1};
    if (mover_door() >= 0 && !scif_record_send(mover_door(), &r, MSG_DONTWAIT)) return;
    q->error = ENOMEM;
    send_record(q, -1, -1);
}

static void on_record(struct record *r, struct scif_record *in) {
    struct scif_pages q;
    int fd = in->fds ? in->fd[0] : -1;
    if (in->bytes == sizeof q) {
        memcpy(&q, r, sizeof q);
        if (q.op == SCIF_PAGES_SHOW && fd >= 0) {
            on_show(&q, fd);
            close_descriptor(fd);
            return;
        }
        if (q.op == SCIF_PAGES_REFUSE)
            on_refuse(&q);
        else
            on_answer(&q);
    } else if (in->bytes >= sizeof r->m && in->bytes == sizeof r->m + r->m.bytes) {
        on_message(r);
    }
    if (fd >= 0) close_descriptor(fd);
}

static void on_line(void) {
    static struct record r;
    struct scif_record in = {.data = &r, .bytes = sizeof r};
    int err;
    while (!(err = scif_record_receive(line, &in, MSG_DONTWAIT))) {
        on_record(&r, &in);
        in.bytes = sizeof r;
    }
    if (err != -EAGAIN && err != -EINTR) line_lost();
}

bool sharer_turn(const struct pollfd *p) {
    if (turn) enter();
    if (p[LINE].revents && line >= 0) on_line();
    if (pager.fd >= 0) {
        pager_faults(&pager);
        pager_expire(&pager, weft_now_ns());
    }
    if (p[ASKS].revents & POLLIN) on_ask();
    if (turn) stand_in_leave(turn);
    return !(p[ASKS].revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* ---- Asking ---- */
/* With whatever it takes to start the service. */
static int open_line(int *out) {
    struct scif_request q = {.op = SCIF_OP_PAGES};
    struct scif_answer a = {.error = EPROTO};
    struct scif_record to = {.data = &q, .bytes = sizeof q}, from = {.data = &a, .bytes = sizeof a};
    int fd = line_open();
    if (fd < 0) return -fd;
    int err = -scif_record_send(fd, &to, 0);
    if (!err) err = -scif_record_receive(fd, &from, 0);
    if (!err) err = a.error;
    if (!err) *out = fd;
    if (err) close_descriptor(fd);
    return err;
}

static int await(int reply, struct told *t) {
    ssize_t n;
    do n = recv(reply, t, sizeof *t, 0);
    while (n < 0 && errno == EINTR);
    (void)atomic_load(&answers);
    return n == sizeof *t ? t->error : ENOMEM;
}

static int ask(struct ask *a, uintptr_t *address) {
    struct told t = {0};
    int pair[2], spare = -1, err = watch_start();
    if (!err && !atomic_load(&has_line)) err = open_line(&spare);
    if (!err && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) err = errno;
    if (!err) {
        struct scif_record r = {
            .data = a, .bytes = sizeof *a, .fd = {pair[1], spare}, .fds = spare < 0 ? 1 : 2};
        err = -scif_record_send(ask_out, &r, 0);
        close_descriptor(pair[1]);
        if (!err) err = await(pair[0], &t);
        close_descriptor(pair[0]);
    }
    if (spare >= 0) close_descriptor(spare);
    if (address) *address = t.address;
    return err;
}

int sharer_open(void) {
    static _Atomic pid_t done;
    if (atomic_load(&done) == line_process()) return 0;
    int err = mover_start();
    if (!err) err = ask(&(struct ask){.kind = ASK_OPEN}, NULL);
    atomic_store(&done, line_process()); /* it is not tried again */
    return err ? ENOMEM : 0;
}

int sharer_map(uint64_t endpoint, uint64_t offset, uint64_t bytes, int prot, uintptr_t *out) {
    return ask(
        &(struct ask){.kind = ASK_MAP, .endpoint = endpoint, .offset = offset, .bytes = bytes, .prot = prot},
        out);
}

int sharer_join(const struct sharer_part *part) {
    return ask(&(struct ask){.kind = ASK_JOIN, .part = *part}, NULL);
}

unsigned sharer_age(void) { return atomic_load(&age); }

void sharer_shown(const struct scif_pages *answer) {
    (void)ask(&(struct ask){.kind = ASK_SHOWN, .shown = *answer}, NULL);
}

/* ---- Start, fork ---- */
int sharer_start(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return errno;
    ask_in = descriptor_hide(pair[0]);
    ask_out = descriptor_hide(pair[1]);
    return 0;
}

static void close_unless_none(int *fd) {
    if (*fd >= 0) close_descriptor(*fd);
    *fd = -1;
}

void sharer_forget(void) {
    close_unless_none(&ask_in);
    close_unless_none(&ask_out);
    close_unless_none(&line);
    close_unless_none(&pager.fd);
    close_unless_none(&turn_in);
    turn = NULL;
    handed = false;
    for (struct mapped *m = atomic_exchange(&mappings, NULL); m; m = atomic_load(&m->next))
        frame_close(&m->frame); /* of which it has nothing mapped */
    atomic_store(&has_line, false);
    memset(pending, 0, sizeof pending);
    last_answered = last_owned;
}
