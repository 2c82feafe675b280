/* Lines for shared pages: each is a program's (its watch's thread, sharer.c). What a program has mapped of
 * windows on other hosts is a guest, which is served here (guests.c). What programs have themselves is a
 * sharer of a home here (homes.c). */
#include "scif/service/far.h"
#include "scif/share/stand_in.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* More than a program that takes no messages can have coming by the rules: each of the pages of 1 GiB is
 * asked for once. */
#define OUT_BYTES_MAX (64u << 20)

#define PAGE_MESSAGE_BYTES 40u /* FAR_PAGE in a packet, with what the transport has of a message */

struct pages { /* of a line */
    struct service *s;
    struct weft_list guests, locals;
    struct weft_list shows; /* asks.c */
    struct weft_list out;   /* what the program has not taken yet */
    size_t out_bytes;
    struct stand_in stand_in;
};
struct out {
    struct weft_list link;
    size_t bytes;
    unsigned char record[];
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

void pages_say(struct line *l, const struct scif_pages *q) { send_or_queue(l, q, sizeof *q); }

void pages_answer(struct line *l, const struct scif_pages *q, int error) {
    struct scif_pages a = *q;
    a.error = error;
    pages_say(l, &a);
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

/* ---- The program's side ---- */
static struct local *find_local(const struct line *l, uint64_t mapping) {
    weft_list_for_each(it, &l->pages->locals) {
        struct local *o = weft_list_entry(it, struct local, link);
        if (o->mapping == mapping) return o;
    }
    return NULL;
}

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
    guests_leave(&p->guests);
    while (!weft_list_empty(&p->locals)) homes_leave(weft_list_entry(p->locals.next, struct local, link));
    for (struct weft_list *it; (it = weft_list_pop_front(&p->out));)
        free(weft_list_entry(it, struct out, link));
    stand_in_close(&p->stand_in);
    free(p);
    l->pages = NULL;
}

/* As the other service will see it, which would end all connections with this one for what a program says. */
static bool is_sound(const struct line *l, const struct scif_pages *q, int fds) {
    if (guests_find(&l->pages->guests, q->mapping) || find_local(l, q->mapping)) return false;
    if (q->op == SCIF_PAGES_OWN)
        return fds == 1 || (fds == 2 && l->pages->stand_in.lock); /* of this host only */
    return q->op == SCIF_PAGES_MAP && fds == 2 && share_is_mappable(q->offset, q->pages, q->prot);
}

bool pages_ask(struct service *s, struct line *l, const struct scif_pages *q, struct scif_record *in) {
    int err;
    if (q->op == SCIF_PAGES_SHOW && !in->fds) {
        asks_on_shown(l, q);
        return true;
    }
    if (q->op == SCIF_PAGES_HAND)
        return in->fds == 2 && !l->pages->stand_in.lock &&
               !stand_in_open(&l->pages->stand_in, in->fd[0], in->fd[1]);
    if (!is_sound(l, q, in->fds)) return false;
    if (q->op == SCIF_PAGES_OWN) { /* what of it others have is asked back first, and then it may be used */
        struct paged_pages *is = in->fds == 2 ? stand_in_map(in->fd[1], q->pages) : NULL;
        if (in->fds == 2) close(in->fd[1]);
        in->fds = 0;
        err = homes_own(s, l, q, in->fd[0], is);
        pages_answer(l, q, err);
        return true;
    }
    err = s->far ? guests_map(s, l, &l->pages->guests, q, in->fd) : ENXIO;
    if (err == EPROTO) return false;
    if (err) pages_answer(l, q, err);
    return true;
}

bool pages_show(struct line *l, const struct scif_pages *q, int file) {
    struct scif_record r = {.data = (void *)(uintptr_t)q, .bytes = sizeof *q, .fd = {file}, .fds = 1};
    return weft_list_empty(&l->pages->out) && !scif_record_send(l->watch.fd, &r, MSG_DONTWAIT);
}

bool pages_take(struct line *l, const struct pages_record *r) {
    struct local *o = find_local(l, r->m.mapping);
    if (r->m.bytes && r->m.bytes != SHARE_PAGE) return false;
    if (!o || homes_take(o, r)) return true; /* it has ended, and the program does not know yet */
    struct share_message end = {.mapping = r->m.mapping, .kind = SHARE_END};
    pages_send(l, &end, NULL); /* else its threads would wait for answers */
    homes_leave(o);
    return true;
}

const struct stand_in *pages_stand_in(const struct line *l) { return &l->pages->stand_in; }
struct weft_list *pages_locals(struct line *l) {
    return &l->pages->locals;
}
struct weft_list *pages_shows(struct line *l) {
    return &l->pages->shows;
}

/* ---- What comes from other services ---- */
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
        guests_on_page(r, number, &m, page);
}

void pages_on_message(struct remote *r, struct link *l, struct weft_reader *in, enum far_op op) {
    switch (op) {
    case FAR_MAP: asks_on_map(r, l, in); break;
    case FAR_MAPPED: guests_on_mapped(r, in); break;
    case FAR_PART: on_part(r, in); break;
    default: on_page(r, in);
    }
}
