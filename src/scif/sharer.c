#include "scif/sharer.h"

#include "base/clock.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/pool.h"
#include "scif/share/pager.h"
#include "scif/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOLD_NS     (20 * WEFT_NS_PER_US)
#define PENDING_MAX 64

enum { ASKS, FAULTS, LINE };

enum ask_kind { ASK_OPEN, ASK_MAP, ASK_OWN };
struct ask { /* of a thread of this process; with a socket for the answer, and maybe a line to the service */
    uint32_t kind;
    int32_t prot;                     /* MAP */
    uint64_t endpoint, offset, bytes; /* MAP: of the peer's windows; OWN: of the file, without endpoint */
    struct mapping shows;             /* OWN: that file, at these addresses */
    int file;                         /* OWN */
};
struct told {
    uint64_t address;
    int32_t error, unused;
};
struct pending { /* the service has not answered */
    struct paged *g;
    int reply;
};
struct record {
    struct share_message m;
    unsigned char page[SHARE_PAGE];
};

static int ask_in = -1, ask_out = -1, line = -1;
static atomic_bool has_line;
static struct pager pager = {.fd = -1};
static uint64_t last_mapping;
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

static int open_pager(void) {
    int err = pager.fd >= 0 ? 0 : pager_open(&pager, on_send, HOLD_NS);
    if (err) pager.fd = -1;
    pager.moved = watch_note;
    return err || line < 0 ? ENOMEM : 0;
}

static int send_record(const struct scif_pages *q, int fd) {
    struct scif_record r = {.data = (void *)(uintptr_t)q, .bytes = sizeof *q, .fd = {fd}, .fds = fd >= 0};
    return scif_record_send(line, &r, 0) ? ENOMEM : 0;
}

/* ---- Windows of others ---- */
static void tell(int reply, int error, uintptr_t address) {
    struct told t = {.address = address, .error = error};
    atomic_fetch_add(&answers, 1);
    (void)!send(reply, &t, sizeof t, MSG_NOSIGNAL | MSG_DONTWAIT);
    close_descriptor(reply);
}

static void discard(struct paged *g) {
    uintptr_t at = g->place[0].address;
    size_t bytes = (size_t)g->cache.pages * SHARE_PAGE;
    pager_end(g);
    munmap((void *)at, bytes);
}

static struct pending *free_place(void) {
    for (unsigned i = 0; i < PENDING_MAX; i++)
        if (!pending[i].g) return &pending[i];
    return NULL;
}

static int begin_map(const struct ask *a, int reply) {
    struct pending *p = free_place();
    if (a->bytes / SHARE_PAGE > SHARE_PAGES_MAX || !p) return ENOMEM;
    struct pager_map map = {.mapping = ++last_mapping,
                            .pages = (uint32_t)(a->bytes / SHARE_PAGE),
                            .writable = a->prot & SCIF_PROT_WRITE,
                            .file = -1};
    int err = pager_map(&pager, &map, &p->g);
    if (err) {
        p->g = NULL;
        return ENOMEM;
    }
    struct scif_pages q = {.op = SCIF_PAGES_MAP,
                           .mapping = map.mapping,
                           .endpoint = a->endpoint,
                           .offset = a->offset,
                           .pages = map.pages,
                           .prot = (uint32_t)a->prot};
    p->reply = reply;
    err = send_record(&q, p->g->file);
    if (!err) return 0;
    discard(p->g);
    p->g = NULL;
    return err;
}

static void on_answer(const struct scif_pages *q) {
    for (unsigned i = 0; i < PENDING_MAX; i++) {
        struct pending *p = &pending[i];
        if (!p->g || p->g->cache.mapping != q->mapping) continue;
        tell(p->reply, q->error, p->g->place[0].address);
        if (q->error) discard(p->g);
        p->g = NULL;
    }
}

/* ---- This process's own pages ---- */
/* One address range that shows file pages from `at` on. */
static int adopt(uintptr_t address, int file, uint64_t at, uint32_t pages) {
    struct paged *g;
    struct pager_map map = {.mapping = ++last_mapping,
                            .address = (void *)address,
                            .pages = pages,
                            .writable = true,
                            .local = true,
                            .has_all = true,
                            .file_at = at,
                            .file = file};
    struct scif_pages q = {.op = SCIF_PAGES_OWN, .mapping = map.mapping, .offset = at, .pages = pages};
    watch_no_more(address, (size_t)pages * SHARE_PAGE);
    int err = pager_map(&pager, &map, &g);
    if (err) return ENOMEM;
    err = send_record(&q, file);
    if (err) pager_end(g);
    return err;
}

/* Of a mapping what shows that part of the file, and is not a sharer yet. */
static int adopt_part(const struct ask *a) {
    const struct mapping *m = &a->shows;
    uint64_t end = m->at + (m->to - m->from), wanted = a->offset + a->bytes,
             from = m->at > a->offset ? m->at : a->offset, to = end < wanted ? end : wanted;
    int err = 0;
    for (uint64_t i = from, n; !err && i < to; i += n) {
        uintptr_t address = m->from + (i - m->at);
        bool has = pager_has(&pager, address);
        n = SHARE_PAGE;
        while (i + n < to && pager_has(&pager, address + n) == has) n += SHARE_PAGE;
        if (!has) err = adopt(address, a->file, i, (uint32_t)(n / SHARE_PAGE));
    }
    return err;
}

/* ---- Turns ---- */
/* With an answer's socket, and maybe a line to the service. */
static void on_ask(void) {
    struct ask a;
    struct scif_record r = {.data = &a, .bytes = sizeof a};
    if (scif_record_receive(ask_in, &r, MSG_DONTWAIT) || r.fds < 1) return;
    take_line(r.fds == 2 ? r.fd[1] : -1);
    int err = open_pager(), reply = r.fd[0];
    if (!err && a.kind == ASK_MAP) {
        err = begin_map(&a, reply);
        if (!err) return; /* the service answers */
    }
    if (!err && a.kind == ASK_OWN) err = adopt_part(&a);
    tell(reply, err, 0);
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
    weft_list_for_each(l, &pager.mappings) {
        struct paged *g = weft_list_entry(l, struct paged, link);
        if (g->cache.mapping != r->m.mapping) continue;
        pager_message(g, &r->m, r->page, weft_now_ns());
        return;
    }
}

/* The service is gone, and with it the homes of what is mapped here. */
static void line_lost(void) {
    for (unsigned i = 0; i < PENDING_MAX; i++) {
        if (!pending[i].g) continue;
        tell(pending[i].reply, ENOMEM, 0);
        discard(pending[i].g);
        pending[i].g = NULL;
    }
    while (!weft_list_empty(&pager.mappings))
        pager_end(weft_list_entry(pager.mappings.next, struct paged, link));
    close_descriptor(line);
    line = -1;
    atomic_store(&has_line, false);
}

static void on_line(void) {
    static struct record r;
    ssize_t n;
    while ((n = recv(line, &r, sizeof r, MSG_DONTWAIT)) > 0) {
        struct scif_pages q;
        if (n == (ssize_t)sizeof q) {
            memcpy(&q, &r, sizeof q);
            on_answer(&q);
        } else if ((size_t)n == sizeof r.m + r.m.bytes) {
            on_message(&r);
        }
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) line_lost();
}

bool sharer_turn(const struct pollfd *p) {
    if (p[LINE].revents && line >= 0) on_line();
    if (pager.fd >= 0) {
        pager_faults(&pager);
        pager_expire(&pager, weft_now_ns());
    }
    if (p[ASKS].revents & POLLIN) on_ask();
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

int sharer_open(void) { return ask(&(struct ask){.kind = ASK_OPEN}, NULL) ? ENOMEM : 0; }

int sharer_map(uint64_t endpoint, uint64_t offset, uint64_t bytes, int prot, uintptr_t *out) {
    return ask(
        &(struct ask){.kind = ASK_MAP, .endpoint = endpoint, .offset = offset, .bytes = bytes, .prot = prot},
        out);
}

int sharer_own(int file, uint64_t at, uint64_t bytes, const struct mapping *m) {
    return ask(&(struct ask){.kind = ASK_OWN, .file = file, .offset = at, .bytes = bytes, .shows = *m}, NULL);
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
    atomic_store(&has_line, false);
    memset(pending, 0, sizeof pending);
}
