#include "scif/coherent.h"

#include "base/clock.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/pages.h"
#include "scif/pool.h"
#include "scif/share/pager.h"
#include "scif/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOLD_NS      (20 * WEFT_NS_PER_US)
#define PENDING_MAX  64
#define MAPPINGS_MAX 1024 /* of this process that show its file */

enum { ASKS, FAULTS, LINE };

struct ask { /* of a thread of this process */
    uint64_t endpoint, offset, bytes;
    int32_t prot, unused;
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
static struct pager pager = {.fd = -1};
static uint64_t last_mapping;
static struct pending pending[PENDING_MAX];
static atomic_uint answers; /* orders what this thread did before what those do that are told */

/* What of this process's file is shared: touched before a fork. In the file; nothing if equal. It only grows,
 * by the watch's thread; no lock, of which a forked child could get a copy that nobody gives back. */
static _Atomic uint64_t shared_from, shared_to;

/* ---- The line ---- */
static void on_send(struct paged *g, const struct share_message *m, const void *page) {
    struct iovec part[2] = {{(void *)(uintptr_t)m, sizeof *m}, {(void *)(uintptr_t)page, m->bytes}};
    struct msghdr h = {.msg_iov = part, .msg_iovlen = page ? 2 : 1};
    while (sendmsg(line, &h, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
}

static int open_line(void) {
    struct scif_request q = {.op = SCIF_OP_PAGES};
    struct scif_answer a = {.error = EPROTO};
    struct scif_record out = {.data = &q, .bytes = sizeof q}, in = {.data = &a, .bytes = sizeof a};
    int fd = line_open();
    if (fd < 0) return -fd;
    int err = -scif_record_send(fd, &out, 0);
    if (!err) err = -scif_record_receive(fd, &in, 0);
    if (!err) err = a.error;
    if (err)
        close_descriptor(fd);
    else
        line = descriptor_hide(fd);
    return err;
}

static int open_all(void) {
    int err = pager.fd >= 0 ? 0 : pager_open(&pager, on_send, HOLD_NS);
    if (err) pager.fd = -1;
    pager.moved = watch_note;
    if (!err && line < 0) err = open_line();
    return err ? ENOMEM : 0;
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
    int err = open_all();
    struct pager_map map = {.mapping = ++last_mapping,
                            .pages = (uint32_t)(a->bytes / SHARE_PAGE),
                            .writable = a->prot & SCIF_PROT_WRITE,
                            .file = -1};
    if (!err) err = pager_map(&pager, &map, &p->g);
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

static void on_ask(void) {
    struct ask a;
    struct scif_record r = {.data = &a, .bytes = sizeof a};
    if (scif_record_receive(ask_in, &r, MSG_DONTWAIT) || r.fds != 1) return;
    int err = r.bytes == sizeof a ? begin_map(&a, r.fd[0]) : EPROTO;
    if (err) tell(r.fd[0], err, 0);
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

int coherent_map(struct endpoint *e, uint64_t offset, uint64_t bytes, int prot, char **out) {
    struct ask a = {.endpoint = e->id, .offset = offset, .bytes = bytes, .prot = prot};
    struct told t = {.error = ENOMEM};
    int pair[2], err = watch_start();
    if (err || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return ENOMEM;
    struct scif_record r = {.data = &a, .bytes = sizeof a, .fd = {pair[1]}, .fds = 1};
    err = -scif_record_send(ask_out, &r, 0);
    close_descriptor(pair[1]);
    ssize_t n = 0;
    if (!err) do
            n = recv(pair[0], &t, sizeof t, 0);
        while (n < 0 && errno == EINTR);
    close_descriptor(pair[0]);
    if (n != sizeof t) return ENOMEM;
    (void)atomic_load(&answers);
    *out = (char *)t.address;
    return t.error;
}

/* ---- Its own pages ---- */
struct shown {
    struct mapping at[MAPPINGS_MAX];
    unsigned count;
    bool all;
};

static bool see(void *context, const struct mapping *m) {
    struct shown *s = context;
    struct file *f = pool_file();
    if (!m->shared || !file_is(f, m->device, m->inode)) return true;
    if (s->count == MAPPINGS_MAX) s->all = false;
    if (s->all) s->at[s->count++] = *m;
    return s->all;
}

/* One address range that shows file pages from `at` on. */
static int adopt(uintptr_t address, uint64_t at, uint32_t pages) {
    struct paged *g;
    struct pager_map map = {.mapping = ++last_mapping,
                            .address = (void *)address,
                            .pages = pages,
                            .writable = true,
                            .local = true,
                            .has_all = true,
                            .file_at = at,
                            .file = file_descriptor(pool_file())};
    struct scif_pages q = {.op = SCIF_PAGES_OWN, .mapping = map.mapping, .offset = at, .pages = pages};
    watch_no_more(address, (size_t)pages * SHARE_PAGE);
    int err = pager_map(&pager, &map, &g);
    if (err) return ENOMEM;
    err = send_record(&q, map.file);
    if (err) pager_end(g);
    return err;
}

/* Of a mapping what shows that part of the file, and is not a sharer yet. */
static int adopt_part(const struct mapping *m, uint64_t at, uint64_t bytes) {
    uint64_t end = m->at + (m->to - m->from), from = m->at > at ? m->at : at,
             to = end < at + bytes ? end : at + bytes;
    int err = 0;
    for (uint64_t i = from, n; !err && i < to; i += n) {
        uintptr_t address = m->from + (i - m->at);
        bool has = pager_has(&pager, address);
        n = SHARE_PAGE;
        while (i + n < to && pager_has(&pager, address + n) == has) n += SHARE_PAGE;
        if (!has) err = adopt(address, i, (uint32_t)(n / SHARE_PAGE));
    }
    return err;
}

static int own_part(const struct shown *s, uint64_t at, uint64_t bytes) {
    int err = at + bytes > FILE_VIEW_BYTES ? ENOMEM : 0;
    for (unsigned i = 0; !err && i < s->count; i++) err = adopt_part(&s->at[i], at, bytes);
    if (err) return err;
    if (!coherent_is_on()) {
        shared_from = at; /* not equal from the next line on */
        shared_to = at + bytes;
        return 0;
    }
    if (at < shared_from) shared_from = at;
    if (at + bytes > shared_to) shared_to = at + bytes;
    return 0;
}

static void set_shared(unsigned shared) {
    struct endpoint **all;
    unsigned n;
    if (!endpoint_all(&all, &n)) return;
    for (unsigned i = 0; i < n; i++) atomic_store(&all[i]->own.table->shared, shared);
    endpoint_release_all(all, n);
}

/* Only this process and the service are at its file from now on. */
static int keep_others_away(void) {
    struct file *f = pool_file();
    if (!f || !file_memory(f, 0, SHARE_PAGE)) return ENOMEM;
    set_shared(1);
    if (pool_is_seen()) {
        if (shared_from == shared_to) set_shared(0);
        return ENOMEM;
    }
    file_fix_view(f);
    return 0;
}

static int own_all(struct endpoint *e, uint64_t offset, uint64_t bytes, const struct shown *s) {
    struct scif_piece p;
    unsigned version;
    int err = 0;
    for (uint64_t at = offset, n; !err && at < offset + bytes; at += n) {
        if (!table_look_up(e->own.table, at, &p, &version)) return ENXIO;
        uint64_t within = at - p.offset, left = offset + bytes - at;
        n = p.bytes - within < left ? p.bytes - within : left;
        struct file *f = p.kind == PIECE_FILE ? space_file(&e->own, p.place) : NULL;
        err = f && f == pool_file() ? own_part(s, p.at + within, n) : ENOMEM; /* others may have it */
    }
    return err;
}

int coherent_own(struct endpoint *e, uint64_t offset, uint64_t bytes) {
    static struct shown s;
    int err = open_all();
    if (!err) err = keep_others_away();
    s = (struct shown){.all = true};
    if (!err && (!memory_each(see, &s) || !s.all)) err = ENOMEM;
    if (!err) err = own_all(e, offset, bytes, &s);
    return err ? err : keep_others_away(); /* those too that came meanwhile */
}

/* ---- Turns ---- */
bool coherent_prepare(struct pollfd *p, struct timespec *wait) {
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

void coherent_turn(const struct pollfd *p) {
    if (p[LINE].revents && line >= 0) on_line();
    if (pager.fd >= 0) {
        pager_faults(&pager);
        pager_expire(&pager, weft_now_ns());
    }
    if (p[ASKS].revents) on_ask();
}

int coherent_start(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return errno;
    ask_in = descriptor_hide(pair[0]);
    ask_out = descriptor_hide(pair[1]);
    return 0;
}

bool coherent_is_on(void) { return shared_from != shared_to; }

/* ---- Fork ---- */
void coherent_before_fork(void) {
    uint64_t from = shared_from, to = shared_to;
    if (from >= to || getpid() != line_process()) return;
    const volatile unsigned char *view = file_memory(pool_file(), from, to - from);
    for (uint64_t at = 0; view && at < to - from; at += SHARE_PAGE) (void)view[at];
}

static void close_unless_none(int *fd) {
    if (*fd >= 0) close_descriptor(*fd);
    *fd = -1;
}

void coherent_forget(void) {
    close_unless_none(&ask_in);
    close_unless_none(&ask_out);
    close_unless_none(&line);
    close_unless_none(&pager.fd);
    shared_from = shared_to = 0;
    memset(pending, 0, sizeof pending);
}

bool space_may_see(const struct file *f) { return f == pool_file(); }
