/* Lines for shared pages: each is a program's (its watch's thread, sharer.c). What a program has mapped of
 * windows on other hosts is a guest: its messages go on to the service there, which has the home, and come
 * from it. What programs have themselves is a sharer of a home here (homes.c). */
#include "scif/service/far.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* More than a program that takes no messages can have coming by the rules: each of the pages of 1 GiB is
 * asked for once. */
#define OUT_BYTES_MAX (64u << 20)

#define PAGE_MESSAGE_BYTES 28u /* FAR_PAGE in a packet */

struct pages { /* of a line */
    struct service *s;
    struct weft_list guests, locals;
    struct weft_list shows; /* asks.c */
    struct weft_list out;   /* what the program has not taken yet */
    size_t out_bytes;
};
struct out {
    struct weft_list link;
    size_t bytes;
    unsigned char record[];
};
struct guest {
    struct weft_list link; /* in pages.guests */
    struct line *line;
    struct remote *remote;
    uint64_t mapping; /* the program's number */
    uint32_t number;
    int file;  /* its memory (share.h) */
    bool open; /* the service there has agreed */
    struct scif_pages asked;
};

/* ---- Towards the program ---- */
static void want_room(const struct line *l, bool want) {
    struct epoll_event e = {.events = EPOLLIN | (want ? EPOLLOUT : 0), .data.ptr = (void *)&l->watch};
    epoll_ctl(l->pages->s->epoll, EPOLL_CTL_MOD, l->watch.fd, &e);
}

/* False: there is no room. One that is gone is noticed by its end. */
static bool send_now(const struct line *l, const void *record, size_t bytes) {
    return send(l->watch.fd, record, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
           (errno != EAGAIN && errno != ENOBUFS);
}

static void send_or_queue(struct line *l, const void *record, size_t bytes) {
    if (weft_list_empty(&l->pages->out) && send_now(l, record, bytes)) return;
    bool room = l->pages->out_bytes < OUT_BYTES_MAX;
    struct out *o = room ? malloc(sizeof *o + bytes) : NULL;
    if (!o) {
        shutdown(l->watch.fd, SHUT_RDWR); /* rather than one message less */
        return;
    }
    o->bytes = bytes;
    l->pages->out_bytes += sizeof *o + bytes;
    memcpy(o->record, record, bytes);
    if (weft_list_empty(&l->pages->out)) want_room(l, true);
    weft_list_push_back(&l->pages->out, &o->link);
}

void pages_flush(struct line *l) {
    while (!weft_list_empty(&l->pages->out)) {
        struct out *o = weft_list_entry(l->pages->out.next, struct out, link);
        if (!send_now(l, o->record, o->bytes)) return;
        l->pages->out_bytes -= sizeof *o + o->bytes;
        weft_list_remove(&o->link);
        free(o);
    }
    want_room(l, false);
}

void pages_send(struct line *l, const struct share_message *m, const void *page) {
    struct pages_record r;
    r.m = *m;
    if (m->bytes) memcpy(r.page, page, SHARE_PAGE);
    send_or_queue(l, &r, sizeof r.m + m->bytes);
}

static void answer(struct line *l, const struct scif_pages *q, int error) {
    struct scif_pages a = *q;
    a.error = error;
    send_or_queue(l, &a, sizeof a);
}

/* ---- Towards the other service ---- */
static void begin(struct weft_writer *w, uint8_t *buf, size_t cap, enum far_op op) {
    far_begin(w, buf, cap, op, &(struct link){0});
}

void far_page(struct remote *r, uint32_t number, bool to_home, const struct share_message *m,
              const void *page) {
    uint8_t buf[FAR_HEADER_MAX + FAR_BYTES_MAX];
    struct weft_writer w;
    size_t part = far_part(SHARE_PAGE, PAGE_MESSAGE_BYTES);
    for (size_t at = 0, n; page && at < SHARE_PAGE; at += n) {
        n = SHARE_PAGE - at < part ? SHARE_PAGE - at : part;
        begin(&w, buf, sizeof buf, FAR_PART);
        weft_put_bytes(&w, (const char *)page + at, n);
        far_send(r, &w, &(struct ep_send){.more = true});
    }
    begin(&w, buf, sizeof buf, FAR_PAGE);
    weft_put_u32(&w, number);
    weft_put_u8(&w, to_home);
    weft_put_u8(&w, (uint8_t)m->kind);
    weft_put_u32(&w, m->page);
    far_send(r, &w, NULL);
}

/* ---- Guests ---- */
static void guest_destroy(struct guest *g) {
    weft_map_remove(&g->remote->far->guests, g->number);
    weft_list_remove(&g->link);
    close(g->file);
    free(g);
}

static void guest_leave(struct guest *g) {
    struct share_message m = {.kind = SHARE_LEAVE};
    far_page(g->remote, g->number, true, &m, NULL);
    guest_destroy(g);
}

static void give_back_page(const struct guest *g, uint32_t page) {
    unsigned char bytes[SHARE_PAGE];
    struct share_message m = {.kind = SHARE_RETURN, .page = page, .bytes = SHARE_PAGE};
    off_t at = (off_t)(share_pages_at(g->asked.pages) + (uint64_t)page * SHARE_PAGE);
    if (pread(g->file, bytes, sizeof bytes, at) == (ssize_t)sizeof bytes)
        far_page(g->remote, g->number, true, &m, bytes);
}

/* Its program has ended: what it had written stays written. */
static void give_back(const struct guest *g) {
    unsigned char state[SHARE_PAGE];
    for (uint32_t first = 0; first < g->asked.pages; first += SHARE_PAGE) {
        ssize_t n = pread(g->file, state, sizeof state, first);
        for (uint32_t i = 0; i < SHARE_PAGE && i < g->asked.pages - first && (ssize_t)i < n; i++)
            if ((state[i] & SHARE_STATE) == SHARE_WRITE) give_back_page(g, first + i);
    }
}

static struct guest *find_guest(const struct line *l, uint64_t mapping) {
    weft_list_for_each(it, &l->pages->guests) {
        struct guest *g = weft_list_entry(it, struct guest, link);
        if (g->mapping == mapping) return g;
    }
    return NULL;
}

static struct local *find_local(const struct line *l, uint64_t mapping) {
    weft_list_for_each(it, &l->pages->locals) {
        struct local *o = weft_list_entry(it, struct local, link);
        if (o->mapping == mapping) return o;
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

static int guest_create(struct service *s, struct line *line, const struct scif_pages *q, int file) {
    struct end *e = end_find(s, q->endpoint);
    struct link *l = e ? e->far : NULL;
    if (!l || l->state != LINK_OPEN) return l ? ECONNRESET : ENXIO;
    struct guest *g = calloc(1, sizeof *g);
    if (!g) return ENOMEM;
    *g = (struct guest){.line = line, .remote = l->remote, .mapping = q->mapping, .asked = *q, .file = file};
    g->number = ++s->far->next_guest;
    if (weft_map_put(&s->far->guests, g->number, g)) {
        free(g);
        return ENOMEM;
    }
    weft_list_push_back(&line->pages->guests, &g->link);
    send_map(g, l);
    return 0;
}

static void on_mapped(struct remote *r, struct weft_reader *in) {
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
    answer(g->line, &g->asked, error == 0 || error == ENXIO || error == EPERM ? error : ENOMEM);
    if (error) guest_destroy(g);
}

/* ---- The program's side ---- */
int pages_open(struct service *s, struct line *l) {
    l->pages = calloc(1, sizeof *l->pages);
    if (!l->pages) return ENOMEM;
    l->pages->s = s;
    weft_list_init(&l->pages->guests);
    weft_list_init(&l->pages->locals);
    weft_list_init(&l->pages->shows);
    weft_list_init(&l->pages->out);
    return 0;
}

void pages_leave(struct line *l) {
    struct pages *p = l->pages;
    asks_leave(l);
    while (!weft_list_empty(&p->guests)) {
        struct guest *g = weft_list_entry(p->guests.next, struct guest, link);
        if (g->open) give_back(g);
        guest_leave(g);
    }
    while (!weft_list_empty(&p->locals)) homes_leave(weft_list_entry(p->locals.next, struct local, link));
    for (struct weft_list *it; (it = weft_list_pop_front(&p->out));)
        free(weft_list_entry(it, struct out, link));
    free(p);
    l->pages = NULL;
}

/* The memory that it shows: what of it others have is asked back first, and then it may be used. */
static void own(struct service *s, struct line *l, const struct scif_pages *q, int file) {
    int err = homes_own(s, l, q, file);
    answer(l, q, err);
}

static void map(struct service *s, struct line *l, const struct scif_pages *q, int file) {
    int err = s->far ? guest_create(s, l, q, file) : ENXIO;
    if (!err) return;
    close(file);
    answer(l, q, err);
}

/* As the other service will see it, which would end all connections with this one for what a program says. */
static bool is_sound(const struct scif_pages *q) {
    if (q->op == SCIF_PAGES_OWN) return true; /* it is of this host only */
    return q->op == SCIF_PAGES_MAP && share_is_mappable(q->offset, q->pages, q->prot);
}

bool pages_ask(struct service *s, struct line *l, const struct scif_pages *q, int file) {
    if (q->op == SCIF_PAGES_SHOW && file < 0) {
        asks_on_shown(l, q);
        return true;
    }
    if (file < 0 || !is_sound(q) || find_guest(l, q->mapping) || find_local(l, q->mapping)) {
        if (file >= 0) close(file);
        return false;
    }
    if (q->op == SCIF_PAGES_OWN)
        own(s, l, q, file);
    else
        map(s, l, q, file);
    return true;
}

bool pages_show(struct line *l, const struct scif_pages *q, int file) {
    struct scif_record r = {.data = (void *)(uintptr_t)q, .bytes = sizeof *q, .fd = {file}, .fds = 1};
    return weft_list_empty(&l->pages->out) && !scif_record_send(l->watch.fd, &r, MSG_DONTWAIT);
}

bool pages_take(struct line *l, const struct pages_record *r) {
    struct guest *g = find_guest(l, r->m.mapping);
    struct local *o = g ? NULL : find_local(l, r->m.mapping);
    if (r->m.bytes && r->m.bytes != SHARE_PAGE) return false;
    if (o && !homes_take(o, r)) {
        struct share_message end = {.mapping = r->m.mapping, .kind = SHARE_END};
        pages_send(l, &end, NULL); /* else its threads would wait for answers */
        homes_leave(o);
    }
    if (!g) return true; /* it has ended, and the program does not know yet */
    if (r->m.kind == SHARE_LEAVE)
        guest_leave(g);
    else
        far_page(g->remote, g->number, true, &r->m, r->m.bytes ? r->page : NULL);
    return true;
}

struct weft_list *pages_locals(struct line *l) {
    return &l->pages->locals;
}
struct weft_list *pages_shows(struct line *l) {
    return &l->pages->shows;
}

/* ---- What comes from other services ---- */
static void to_guest(struct remote *r, uint32_t number, struct share_message m, const void *page) {
    struct guest *g = weft_map_get(&r->far->guests, number);
    if (!g) return; /* it has just left */
    if (g->remote != r || !g->open) {
        far_fail(r, "a page of no mapping");
        return;
    }
    m.mapping = g->mapping;
    pages_send(g->line, &m, page);
    if (m.kind == SHARE_END) guest_destroy(g);
}

static void on_part(struct remote *r, struct weft_reader *in) {
    size_t n = weft_reader_left(in);
    if (n > SHARE_PAGE - r->part_bytes) {
        far_fail(r, "more than a page");
        return;
    }
    memcpy(r->part + r->part_bytes, weft_get_bytes(in, n), n);
    r->part_bytes += n;
}

static void on_page(struct remote *r, struct weft_reader *in) {
    uint32_t number = weft_get_u32(in);
    bool to_home = weft_get_u8(in);
    struct share_message m = {.kind = weft_get_u8(in), .bytes = (uint32_t)r->part_bytes};
    m.page = weft_get_u32(in);
    r->part_bytes = 0;
    if (in->failed || (m.bytes && m.bytes != SHARE_PAGE)) {
        far_fail(r, "a bad page");
        return;
    }
    const void *page = m.bytes ? r->part : NULL;
    if (to_home)
        homes_on_page(r, number, &m, page);
    else
        to_guest(r, number, m, page);
}

void pages_on_message(struct remote *r, struct link *l, struct weft_reader *in, enum far_op op) {
    switch (op) {
    case FAR_MAP: asks_on_map(r, l, in); break;
    case FAR_MAPPED: on_mapped(r, in); break;
    case FAR_PART: on_part(r, in); break;
    default: on_page(r, in);
    }
}

/* The homes there are lost: SIGBUS. */
void pages_lost(struct remote *r) {
    size_t it = 0;
    for (struct guest *g; (g = weft_map_next(&r->far->guests, &it, NULL));) {
        if (g->remote != r) continue;
        struct share_message m = {.mapping = g->mapping, .kind = SHARE_END};
        if (g->open)
            pages_send(g->line, &m, NULL);
        else
            answer(g->line, &g->asked, r->lost);
        guest_destroy(g);
    }
}
