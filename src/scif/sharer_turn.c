/* The watch's thread as a sharer: what it is asked (sharer_ask.h), what comes over the line, faults. */
#include "base/clock.h"
#include "scif/far_maps.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/mover.h"
#include "scif/share/pager.h"
#include "scif/share/stand_in.h"
#include "scif/sharer.h"
#include "scif/sharer_ask.h"
#include "scif/watch.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define PENDING_MAX 64

enum { ASKS, FAULTS, LINE };

struct pending {            /* the service has not answered */
    uint64_t from, mapping; /* all of them; told with the last one's answer. 0: unused */
    bool map;               /* of a window elsewhere */
    int reply, error;
};
struct record {
    struct share_message m;
    unsigned char page[SHARE_PAGE];
};

atomic_bool sharer_has_line;
atomic_uint sharer_answers;

static int ask_in = -1, line = -1;
static atomic_uint age;
static struct pager pager = {.fd = -1}; /* of memory here */
static struct stand_in_lock *turn;      /* of the pager's; NULL: the service does not stand in for it */
static int turn_in = -1;                /* the file that it is in */
static bool handed;                     /* the service has it */
static uint64_t last_mapping, last_owned, last_answered; /* owned: a sharer here, and the answer to it */
static struct pending pending[PENDING_MAX];

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
    atomic_store(&sharer_has_line, line >= 0);
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
    atomic_fetch_add(&sharer_answers, 1);
    (void)!send(reply, &t, sizeof t, MSG_NOSIGNAL | MSG_DONTWAIT);
    close_descriptor(reply);
}

static struct pending *free_place(void) {
    for (unsigned i = 0; i < PENDING_MAX; i++)
        if (!pending[i].mapping) return &pending[i];
    return NULL;
}

static int begin_map(const struct ask *a, int reply) {
    struct pending *p = free_place();
    uint32_t pages = (uint32_t)(a->bytes / SHARE_PAGE);
    if (a->bytes / SHARE_PAGE > SHARE_PAGES_MAX || !p) return ENOMEM;
    struct far_map *m = far_maps_add(++last_mapping, pages, a->prot & SCIF_PROT_WRITE);
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
        far_maps_remove(m, frame_discard);
    else
        *p = (struct pending){.from = m->mapping, .mapping = m->mapping, .map = true, .reply = reply};
    return err;
}

/* It has made memory writable that it may only read, for instance: it gets SIGSEGV there. */
static void on_refuse(const struct scif_pages *q) {
    struct far_map *m = far_maps_find(q->mapping);
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
    struct far_map *m = far_maps_find(q->mapping);
    if (q->op == SCIF_PAGES_OWN) last_answered = q->mapping;
    for (struct pending *p = pending; p < pending + PENDING_MAX; p++) {
        if (q->error && q->mapping >= p->from && q->mapping <= p->mapping) p->error = q->error;
        if (q->mapping != p->mapping) continue;
        bool gone = p->map && !m;
        tell(p->reply, gone ? ENOMEM : p->error, p->map && m ? m->frame.address : 0);
        p->mapping = 0;
    }
    if (g && q->error) pager_end(g);
    if (m && q->error) far_maps_remove(m, frame_discard);
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
    struct far_map *m = g ? NULL : far_maps_find(r->m.mapping);
    if (m && r->m.kind == SHARE_END) far_maps_remove(m, frame_close);
    if (g && pager_message(g, &r->m, r->page, weft_now_ns())) atomic_fetch_add(&age, 1);
}

/* The service is gone, and with it the homes of what is mapped here. */
static void line_lost(void) {
    for (struct pending *p = pending; p < pending + PENDING_MAX; p++) {
        struct far_map *m = p->mapping ? far_maps_find(p->mapping) : NULL;
        if (p->mapping) tell(p->reply, ENOMEM, 0);
        if (m && p->map) far_maps_remove(m, frame_discard);
        p->mapping = 0;
    }
    far_maps_lose();
    last_answered = last_owned;
    while (!weft_list_empty(&pager.mappings))
        pager_end(weft_list_entry(pager.mappings.next, struct paged, link));
    atomic_fetch_add(&age, 1);
    close_descriptor(line);
    line = -1;
    handed = false;
    atomic_store(&sharer_has_line, false);
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

unsigned sharer_age(void) { return atomic_load(&age); }

/* ---- Start, fork ---- */
void sharer_turn_start(int asked) { ask_in = asked; }

static void close_unless_none(int *fd) {
    if (*fd >= 0) close_descriptor(*fd);
    *fd = -1;
}

void sharer_turn_forget(void) {
    close_unless_none(&ask_in);
    close_unless_none(&line);
    close_unless_none(&pager.fd);
    close_unless_none(&turn_in);
    turn = NULL;
    handed = false;
    far_maps_forget();
    atomic_store(&sharer_has_line, false);
    memset(pending, 0, sizeof pending);
    last_answered = last_owned;
}
