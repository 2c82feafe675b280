/* Guests: what programs here have mapped of windows on other hosts. Their faults are served here, so that no
 * thread of the program's has to wake up for them (share/pager.h); the service there has the home.
 *
 * Of a program's descriptors nothing is believed: the faults' must be one of userfaultfd, which it never
 * waits for; the file's, memory. What it does with them else spoils its own mapping. */
#include "base/clock.h"
#include "scif/service/far.h"
#include "scif/share/faults.h"
#include "scif/share/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct guest {
    struct weft_list link;    /* in its line's */
    struct weft_list holding; /* in far.holding */
    struct service *s;
    struct line *line;
    struct remote *remote;
    uint32_t number;
    bool open; /* the service there has agreed */
    struct scif_pages asked;
    struct watch faults;
    struct pager pager;
    struct paged *paged; /* NULL: it has left */
};

/* ---- The end ---- */
static void destroy(struct guest *g) {
    weft_map_remove(&g->remote->far->guests, g->number);
    weft_list_remove(&g->link);
    weft_list_remove(&g->holding);
    service_unwatch(g->s, &g->faults);
    free(g);
}

static void tell_end(const struct guest *g) {
    struct share_message m = {.mapping = g->asked.mapping, .kind = SHARE_END};
    pages_send(g->line, &m, NULL);
}

/* After whatever may have changed something: one that has left goes, and its program is done with it. */
static void settle(struct guest *g) {
    if (!g->paged) {
        tell_end(g);
        destroy(g);
        return;
    }
    weft_list_remove(&g->holding);
    if (pager_deadline(&g->pager) != WEFT_TIME_NEVER)
        weft_list_push_back(&g->remote->far->holding, &g->holding);
}

/* ---- What the pager does ---- */
static void on_send(struct paged *paged, const struct share_message *m, const void *page) {
    struct guest *g = paged->user;
    if (m->kind == SHARE_WANT_READ || m->kind == SHARE_WANT_WRITE) far_expect(g->s->far);
    far_page(g->remote, g->number, true, m, page);
    if (m->kind == SHARE_LEAVE) g->paged = NULL;
}

static void on_refuse(struct pager *p, uintptr_t address, size_t bytes, int prot) {
    struct guest *g = weft_container_of(p, struct guest, pager);
    struct scif_pages q = {.op = SCIF_PAGES_REFUSE,
                           .mapping = g->asked.mapping,
                           .address = address,
                           .bytes = bytes,
                           .prot = (uint32_t)prot};
    pages_say(g->line, &q);
}

static const struct pager_program program = {.refuse = on_refuse};

static void on_faults(struct service *s, struct watch *w, uint32_t events) {
    struct guest *g = weft_container_of(w, struct guest, faults);
    if (events & (EPOLLERR | EPOLLHUP)) { /* it has been changed such that it would wait */
        pager_leave(g->paged);
        g->paged = NULL;
    } else {
        pager_faults(&g->pager);
    }
    settle(g);
}

/* ---- The program ---- */
struct guest *guests_find(const struct weft_list *of_line, uint64_t mapping) {
    weft_list_for_each(it, of_line) {
        struct guest *g = weft_list_entry(it, struct guest, link);
        if (g->asked.mapping == mapping) return g;
    }
    return NULL;
}

static void send_map(const struct guest *g, const struct link *l) {
    uint8_t buf[FAR_HEADER_MAX];
    struct weft_writer w;
    far_begin(&w, buf, sizeof buf, FAR_MAP, l);
    weft_put_u32(&w, g->number);
    weft_put_u64(&w, g->asked.offset);
    weft_put_u32(&w, g->asked.pages);
    weft_put_u8(&w, (uint8_t)g->asked.prot);
    far_send(g->remote, &w, NULL);
}

static int open_pager(struct guest *g, int file, int faults) {
    struct pager_map map = {.mapping = g->asked.mapping,
                            .user = g,
                            .address = (void *)(uintptr_t)g->asked.address,
                            .pages = g->asked.pages,
                            .writable = g->asked.prot & SCIF_PROT_WRITE,
                            .file = file};
    int fd = fcntl(faults, F_DUPFD_CLOEXEC, 0);
    g->faults = (struct watch){fd, on_faults};
    if (fd < 0) return ENOMEM;
    pager_init(&g->pager, fd, on_send, &program, SHARE_HOLD_NS);
    int err = pager_map(&g->pager, &map, &g->paged);
    if (!err && service_watch(g->s, &g->faults, EPOLLIN)) err = ENOMEM;
    if (!err) return 0;
    if (g->paged) pager_end(g->paged);
    close(fd);
    return err;
}

int guests_map(struct service *s, struct line *line, struct weft_list *of_line, const struct scif_pages *q,
               const int fd[2]) {
    struct end *e = end_find(s, q->endpoint);
    struct link *l = e ? e->far : NULL;
    if (fcntl(fd[0], F_GET_SEALS) < 0 || !faults_is(fd[1])) return EPROTO;
    if (!l || l->state != LINK_OPEN) return l ? ECONNRESET : ENXIO;
    struct guest *g = calloc(1, sizeof *g);
    if (!g) return ENOMEM;
    g->s = s;
    g->line = line;
    g->remote = l->remote;
    g->asked = *q;
    g->number = ++s->far->next_guest;
    weft_list_init(&g->holding);
    if (open_pager(g, fd[0], fd[1])) {
        free(g);
        return ENOMEM;
    }
    weft_list_push_back(of_line, &g->link);
    if (weft_map_put(&s->far->guests, g->number, g)) {
        pager_end(g->paged);
        destroy(g);
        return ENOMEM;
    }
    send_map(g, l);
    return 0;
}

/* What they had written stays written. */
void guests_leave(struct weft_list *of_line) {
    while (!weft_list_empty(of_line)) {
        struct guest *g = weft_list_entry(of_line->next, struct guest, link);
        pager_leave(g->paged);
        destroy(g);
    }
}

/* ---- The service there ---- */
void guests_on_mapped(struct remote *r, struct weft_reader *in) {
    uint32_t number = weft_get_u32(in);
    struct guest *g = weft_map_get(&r->far->guests, number);
    int error = weft_get_u16(in);
    if (in->failed || (g && (g->remote != r || g->open))) {
        far_fail(r, "an answer to no mapping");
        return;
    }
    if (!g) { /* its program is gone: nobody else would tell the home, which did not know of it then */
        struct share_message m = {.kind = SHARE_LEAVE};
        if (!error) far_page(r, number, true, &m, NULL);
        return;
    }
    g->open = true;
    pages_answer(g->line, &g->asked, error == 0 || error == ENXIO || error == EPERM ? error : ENOMEM);
    if (!error) return;
    pager_end(g->paged);
    destroy(g);
}

void guests_on_page(struct remote *r, uint32_t number, const struct share_message *m, const void *page) {
    struct guest *g = weft_map_get(&r->far->guests, number);
    if (!g) return; /* it has just left */
    if (g->remote != r || !g->open) {
        far_fail(r, "a page of no mapping");
        return;
    }
    if (m->kind == SHARE_GRANT_READ || m->kind == SHARE_GRANT_WRITE) far_expected(g->s->far);
    int err = pager_message(g->paged, m, page, weft_now_ns());
    if (err == EPROTO) far_fail(r, "a page of which there is no question");
    if (err) g->paged = NULL;
    settle(g);
}

/* The homes there are lost: SIGBUS. */
void guests_lost(struct remote *r) {
    size_t it = 0;
    for (struct guest *g; (g = weft_map_next(&r->far->guests, &it, NULL));) {
        if (g->remote != r) continue;
        pager_end(g->paged);
        if (g->open)
            tell_end(g);
        else
            pages_answer(g->line, &g->asked, r->lost);
        destroy(g);
    }
}

/* ---- Time ---- */
uint64_t guests_expire(struct far *f, uint64_t now) {
    uint64_t next = WEFT_TIME_NEVER;
    weft_list_for_each_safe(it, &f->holding) {
        struct guest *g = weft_list_entry(it, struct guest, holding);
        uint64_t due = pager_deadline(&g->pager);
        if (due <= now) {
            pager_expire(&g->pager, now);
            settle(g);
        } else if (due < next) {
            next = due;
        }
    }
    return next;
}
