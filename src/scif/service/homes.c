/* Homes of memory of programs here that programs on other hosts have mapped (share/home.h): one for each file
 * in memory. The owner's program is asked first (its watch's thread, coherent.c): its own addresses become
 * sharers. A mapping from elsewhere is a view: runs of pages of one file each, each a sharer. */
#include "base/clock.h"
#include "base/log.h"
#include "scif/door.h"
#include "scif/service/far.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOME_PAGES  (FILE_VIEW_BYTES / SHARE_PAGE)
#define PATIENCE_NS (10 * WEFT_NS_PER_S) /* that a sharer may take to give a page up */
#define LOOK_NS     WEFT_NS_PER_S
#define ASKS_MAX    64 /* of one other service */
/* What one other service may have mapped in all: pages, and so many more for each mapping, which is one of
 * this process's 65,530, too. */
#define VIEW_COST     1024u
#define VIEW_COST_MAX (UINT64_C(16) << 20)

struct home_of {
    struct weft_list link; /* in far.homes */
    struct file *file;
    struct home home;
};
struct view;
struct run {
    struct view *view;
    struct home_of *home;
    struct sharer *sharer;
    uint32_t first, count; /* pages of the view */
    void *shown;           /* a mapping here, so that the owner knows the pages to be in use */
};
struct view {
    struct remote *remote;
    uint32_t number;
    uint32_t cost, prot;
    unsigned runs;
    struct run *run;
};
struct map_ask {           /* an owner has been asked */
    struct weft_list link; /* in remote.map_asks */
    struct watch reply;
    struct remote *remote;
    uint64_t key; /* of the link */
    uint64_t offset;
    uint32_t number, pages, prot;
    uint64_t until_ns;
};

/* ---- Homes ---- */
static struct home_of *find(const struct far *f, uint64_t device, uint64_t inode) {
    weft_list_for_each(it, &f->homes) {
        struct home_of *h = weft_list_entry(it, struct home_of, link);
        if (file_is(h->file, device, inode)) return h;
    }
    return NULL;
}

static void on_send(void *ctx, struct sharer *to, const struct share_message *m, const void *page) {
    struct share_message out = *m;
    if (to->local) {
        struct local *o = to->user;
        out.mapping = o->mapping;
        pages_send(o->line, &out, page);
    } else {
        struct run *r = to->user;
        out.page += r->first;
        far_page(r->view->remote, r->view->number, false, &out, page);
    }
}

/* The file belongs to it. NULL: it cannot be. */
static struct home_of *home_get(struct far *f, struct file *file) {
    struct home_of *h = find(f, file_device(file), file_inode(file));
    unsigned char *memory = h ? NULL : file_memory(file, 0, SHARE_PAGE);
    if (memory) h = calloc(1, sizeof *h);
    if (!memory || !h) {
        file_close(file);
        return h;
    }
    h->file = file;
    home_init(&h->home, memory, HOME_PAGES, on_send, h);
    weft_list_push_back(&f->homes, &h->link);
    return h;
}

static void home_put(struct home_of *h) {
    if (!weft_list_empty(&h->home.sharers) || h->home.busy.count) return;
    weft_list_remove(&h->link);
    home_fini(&h->home);
    file_close(h->file);
    free(h);
}

static void leave(struct home_of *h, struct sharer *s) {
    home_remove(&h->home, s, weft_now_ns());
    home_put(h);
}

static bool holds(const struct home_of *h, uint64_t at, uint64_t bytes) {
    return at % SHARE_PAGE == 0 && at <= FILE_VIEW_BYTES && bytes <= FILE_VIEW_BYTES - at &&
           file_holds(h->file, at, bytes);
}

/* ---- Programs here ---- */
int homes_own(struct service *s, struct line *l, const struct scif_pages *q, int file) {
    struct file *f = file_of(file);
    if (f && !s->far) file_close(f);
    struct home_of *h = f && s->far ? home_get(s->far, f) : NULL;
    struct local *o = h ? calloc(1, sizeof *o) : NULL;
    if (!o || !q->pages || !holds(h, q->offset, (uint64_t)q->pages * SHARE_PAGE)) {
        if (h) home_put(h);
        free(o);
        return ENOMEM;
    }
    *o = (struct local){.line = l, .mapping = q->mapping, .home = h};
    o->sharer = home_join(&h->home, &(struct home_sharer){.user = o,
                                                          .local = true,
                                                          .writable = true,
                                                          .has_all = true,
                                                          .first = (uint32_t)(q->offset / SHARE_PAGE),
                                                          .count = q->pages});
    weft_list_push_back(pages_locals(l), &o->link);
    if (o->sharer) return 0;
    weft_list_remove(&o->link);
    free(o);
    home_put(h);
    return ENOMEM;
}

bool homes_take(struct local *o, const struct pages_record *r) {
    return home_message(&o->home->home, o->sharer, &r->m, r->page, weft_now_ns()) == 0;
}

void homes_leave(struct local *o) {
    struct home_of *h = o->home;
    struct sharer *s = o->sharer;
    weft_list_remove(&o->link);
    leave(h, s);
    free(o);
}

/* ---- Views ---- */
static uint64_t view_key(const struct remote *r, uint32_t number) {
    return (uint64_t)r->number << 32 | number;
}

static void view_destroy(struct view *v) {
    weft_map_remove(&v->remote->far->views, view_key(v->remote, v->number));
    for (unsigned i = 0; i < v->runs; i++) {
        struct run *r = &v->run[i];
        leave(r->home, r->sharer); /* what waited for it is done while the pages are known to be in use */
        if (r->shown != MAP_FAILED) munmap(r->shown, (size_t)r->count * SHARE_PAGE);
    }
    v->remote->view_cost -= v->cost;
    free(v->run);
    free(v);
}

static int add_run(struct view *v, struct home_of *h, uint64_t at, uint32_t first, uint32_t count, int prot) {
    struct run *more = realloc(v->run, (v->runs + 1) * sizeof *more);
    if (!more) return ENOMEM;
    v->run = more;
    for (unsigned i = 0; i < v->runs; i++) more[i].sharer->user = &more[i];
    struct run *r = &v->run[v->runs];
    *r = (struct run){.view = v, .home = h, .first = first, .count = count};
    r->sharer = home_join(&h->home, &(struct home_sharer){.user = r,
                                                          .writable = prot & SCIF_PROT_WRITE,
                                                          .first = (uint32_t)(at / SHARE_PAGE),
                                                          .count = count});
    if (!r->sharer) return ENOMEM;
    r->shown =
        mmap(NULL, (size_t)count * SHARE_PAGE, PROT_NONE, MAP_SHARED, file_descriptor(h->file), (off_t)at);
    v->runs++;
    return 0;
}

static struct home_of *home_of_piece(const struct far *f, const struct scif_windows *w,
                                     const struct scif_piece *p) {
    if (p->kind != PIECE_FILE || p->place >= SCIF_FILES_MAX) return NULL;
    return find(f, w->file[p->place].device, w->file[p->place].inode);
}

static int add_runs(struct view *v, struct link *l, const struct map_ask *a) {
    const struct scif_windows *w = l->space.table;
    struct scif_piece p;
    unsigned version;
    int err = table_check(w, a->offset, (uint64_t)a->pages * SHARE_PAGE, (int)a->prot);
    for (uint32_t done = 0, n; !err && done < a->pages; done += n) {
        uint64_t offset = a->offset + (uint64_t)done * SHARE_PAGE;
        if (!table_look_up(w, offset, &p, &version)) return ENXIO;
        uint64_t within = offset - p.offset, left = (p.bytes - within) / SHARE_PAGE;
        n = left < a->pages - done ? (uint32_t)left : a->pages - done;
        struct home_of *h = home_of_piece(v->remote->far, w, &p);
        bool good = n && h && holds(h, p.at + within, (uint64_t)n * SHARE_PAGE);
        err = good ? add_run(v, h, p.at + within, done, n, (int)a->prot) : ENOMEM;
    }
    return err;
}

static int make_view(const struct map_ask *a) {
    struct remote *r = a->remote;
    uint64_t cost = (uint64_t)a->pages + VIEW_COST;
    if (cost > VIEW_COST_MAX - r->view_cost) return ENOMEM;
    struct link *l = weft_map_get(&r->far->links, a->key);
    struct scif_user *u = l && l->state == LINK_OPEN ? space_enter(&l->space) : NULL;
    struct view *v = u ? calloc(1, sizeof *v) : NULL;
    if (u) atomic_store(&u->mapped, 1);
    if (u) space_leave(u);
    if (!v) return ENOMEM;
    *v = (struct view){.remote = r, .number = a->number, .prot = a->prot};
    if (weft_map_put(&r->far->views, view_key(r, a->number), v)) {
        free(v);
        return ENOMEM;
    }
    v->cost = (uint32_t)cost;
    r->view_cost += cost;
    int err = add_runs(v, l, a);
    if (err) view_destroy(v);
    return err;
}

/* ---- Asking the owner ---- */
static void answer(struct remote *r, uint32_t number, int error) {
    uint8_t buf[FAR_HEADER_MAX];
    struct weft_writer w;
    far_begin(&w, buf, sizeof buf, FAR_MAPPED, &(struct link){0});
    weft_put_u32(&w, number);
    weft_put_u16(&w, (uint16_t)error);
    far_send(r, &w, NULL);
}

static void ask_free(struct map_ask *a) {
    weft_list_remove(&a->link);
    free(a);
}

/* What the owner has sent about its memory was sent before. */
static void on_reply(struct service *s, struct watch *w, uint32_t events) {
    struct map_ask *a = weft_container_of(w, struct map_ask, reply);
    int32_t error;
    if (recv(w->fd, &error, sizeof error, MSG_DONTWAIT) != sizeof error) error = ENOMEM;
    service_unwatch(s, w);
    lines_drain_pages(s);
    if (!error) error = make_view(a);
    answer(a->remote, a->number, error);
    ask_free(a);
}

/* The descriptor at which it will answer; -1: it is gone. */
static int ask_owner(const struct link *l, const struct map_ask *a) {
    const struct scif_windows *w = l->space.table;
    struct scif_piece p;
    unsigned version;
    if (!table_look_up(w, a->offset, &p, &version)) return -1;
    struct scif_question q = {w->name, a->offset, (uint64_t)a->pages * SHARE_PAGE, SCIF_QUESTION_SHARE, 0};
    return door_ask(w, p.owner, &q, MSG_DONTWAIT);
}

static void start(struct map_ask *a, struct link *l) {
    struct service *s = a->remote->far->s;
    int err = table_check(l->space.table, a->offset, (uint64_t)a->pages * SHARE_PAGE, (int)a->prot);
    int fd = err ? -1 : ask_owner(l, a);
    a->reply = (struct watch){fd, on_reply};
    a->until_ns = weft_now_ns() + door_patience_ns((uint64_t)a->pages * SHARE_PAGE);
    if (fd >= 0 && !service_watch(s, &a->reply, EPOLLIN)) return;
    if (fd >= 0) close(fd);
    if (!err) err = make_view(a); /* the owner is gone: there may be a home all the same */
    answer(a->remote, a->number, err);
    ask_free(a);
}

void homes_on_map(struct remote *r, struct link *l, struct weft_reader *in) {
    struct map_ask *a = calloc(1, sizeof *a);
    uint32_t number = weft_get_u32(in);
    uint64_t offset = weft_get_u64(in);
    uint32_t pages = weft_get_u32(in), prot = weft_get_u8(in);
    unsigned asks = 0;
    weft_list_for_each(it, &r->map_asks) asks++;
    bool good = !in->failed && share_is_mappable(offset, pages, prot) &&
                !weft_map_get(&r->far->views, view_key(r, number));
    bool can = a && asks < ASKS_MAX && l && l->state == LINK_OPEN;
    if (!good) far_fail(r, "a bad mapping");
    if (good && !can) answer(r, number, ENOMEM);
    if (!good || !can) {
        free(a);
        return;
    }
    *a = (struct map_ask){
        .remote = r, .key = l->key, .offset = offset, .number = number, .pages = pages, .prot = prot};
    weft_list_push_back(&r->map_asks, &a->link);
    start(a, l);
}

/* ---- Messages from there ---- */
static void end_view(struct view *v) {
    struct share_message m = {.kind = SHARE_END};
    far_page(v->remote, v->number, false, &m, NULL);
    view_destroy(v);
}

void homes_on_page(struct remote *r, uint32_t number, const struct share_message *m, const void *page) {
    struct view *v = weft_map_get(&r->far->views, view_key(r, number));
    if (!v) return; /* it has been ended */
    if (m->kind == SHARE_LEAVE) {
        view_destroy(v);
        return;
    }
    int err = EPROTO; /* also for one that asks for pages of a mapping that allows nothing */
    for (unsigned i = 0; v->prot && i < v->runs; i++) {
        struct run *run = &v->run[i];
        struct share_message in = *m;
        in.page = m->page - run->first;
        if (in.page >= run->count) continue;
        err = home_message(&run->home->home, run->sharer, &in, page, weft_now_ns());
        break;
    }
    if (err) end_view(v);
}

void homes_lost(struct remote *r) {
    size_t it = 0;
    for (struct view *v; (v = weft_map_next(&r->far->views, &it, NULL));)
        if (v->remote == r) view_destroy(v);
    while (!weft_list_empty(&r->map_asks)) {
        struct map_ask *a = weft_list_entry(r->map_asks.next, struct map_ask, link);
        service_unwatch(r->far->s, &a->reply);
        ask_free(a);
    }
}

/* ---- Time, end ---- */
/* Owners that do not answer: they are stopped. When to look again. */
static uint64_t expire_asks(const struct remote *r, uint64_t now) {
    uint64_t next = WEFT_TIME_NEVER;
    weft_list_for_each_safe(it, &r->map_asks) {
        struct map_ask *a = weft_list_entry(it, struct map_ask, link);
        if (a->until_ns > now) {
            if (a->until_ns < next) next = a->until_ns;
            continue;
        }
        weft_warn("scif", "a window is not mapped: the program that has it does not answer");
        service_unwatch(r->far->s, &a->reply);
        answer(a->remote, a->number, ENOMEM);
        ask_free(a);
    }
    return next;
}

uint64_t homes_expire(struct far *f, uint64_t now) {
    uint64_t next = WEFT_TIME_NEVER;
    weft_list_for_each(it, &f->remotes) {
        uint64_t at = expire_asks(weft_list_entry(it, struct remote, link), now);
        if (at < next) next = at;
    }
    weft_list_for_each_safe(it, &f->homes) {
        struct home_of *h = weft_list_entry(it, struct home_of, link);
        if (!h->home.busy.count) continue;
        if (now + LOOK_NS < next) next = now + LOOK_NS;
        struct sharer *late = home_late(&h->home, now, PATIENCE_NS);
        if (!late) continue;
        end_view(((struct run *)late->user)->view);
        return now; /* there may be more */
    }
    return next;
}

/* No other service is left, so all sharers are local; the last one's going ends its home. */
void homes_close(struct far *f) {
    while (!weft_list_empty(&f->homes)) {
        struct home_of *h = weft_list_entry(f->homes.next, struct home_of, link);
        struct local *o = weft_list_entry(h->home.sharers.next, struct sharer, link)->user;
        struct share_message end = {.mapping = o->mapping, .kind = SHARE_END};
        pages_send(o->line, &end, NULL);
        homes_leave(o);
    }
}

/* ---- RMAs ---- */
struct move {
    struct homes_rma m;
    unsigned left;
    int error;
};
struct part {
    struct home_access access;
    struct move *move;
    uint64_t at, bytes; /* in the file */
    unsigned char *memory;
};

bool homes_have(struct link *l, uint64_t offset, uint64_t bytes) {
    struct far *f = l && l->state == LINK_OPEN ? l->remote->far : NULL;
    struct scif_piece p;
    unsigned version;
    if (!f || weft_list_empty(&f->homes)) return false;
    for (uint64_t at = offset, end = offset + bytes; at < end; at = p.offset + p.bytes) {
        if (!table_look_up(l->space.table, at, &p, &version)) return false;
        if (home_of_piece(f, l->space.table, &p)) return true;
    }
    return false;
}

static void move_done(struct move *m) {
    if (--m->left) return;
    m->m.done(m->m.arg, m->error);
    free(m);
}

static void on_page(struct home_access *a, uint32_t page, unsigned char *memory) {
    struct part *p = weft_container_of(a, struct part, access);
    uint64_t start_at = (uint64_t)page * SHARE_PAGE, end = start_at + SHARE_PAGE;
    uint64_t from = start_at > p->at ? start_at : p->at, to = end < p->at + p->bytes ? end : p->at + p->bytes;
    unsigned char *here = memory + (from - start_at), *there = p->memory + (from - p->at);
    memcpy(a->write ? here : there, a->write ? there : here, to - from);
}

static void on_done(struct home_access *a) {
    struct part *p = weft_container_of(a, struct part, access);
    struct move *m = p->move;
    free(p);
    move_done(m);
}

static int move_shared(struct move *m, struct home_of *h, uint64_t at, uint64_t bytes,
                       unsigned char *memory) {
    uint32_t first = (uint32_t)(at / SHARE_PAGE), last = (uint32_t)((at + bytes - 1) / SHARE_PAGE);
    struct part *p = calloc(1, sizeof *p);
    if (!p) return ENOMEM;
    *p = (struct part){.move = m, .at = at, .bytes = bytes, .memory = memory};
    p->access = (struct home_access){.first = first,
                                     .count = last - first + 1,
                                     .write = m->m.write,
                                     .on_page = on_page,
                                     .on_done = on_done};
    m->left++;
    int err = home_access(&h->home, &p->access, weft_now_ns());
    if (!err) return 0;
    m->left--;
    free(p);
    return err;
}

static int move_piece(struct move *m, struct link *l, const struct scif_piece *p, uint64_t offset,
                      uint64_t n) {
    struct home_of *h = home_of_piece(l->remote->far, l->space.table, p);
    unsigned char *memory = m->m.memory + (offset - m->m.offset);
    uint64_t at = p->at + (offset - p->offset);
    if (!h)
        return m->m.write ? space_put(&l->space, offset, memory, n) : space_get(&l->space, offset, memory, n);
    return holds(h, at / SHARE_PAGE * SHARE_PAGE, n + at % SHARE_PAGE) ? move_shared(m, h, at, n, memory)
                                                                       : ENXIO;
}

void homes_rma(struct link *l, const struct homes_rma *what) {
    struct move *m = calloc(1, sizeof *m);
    struct scif_piece p;
    unsigned version;
    int err = 0;
    if (!m) {
        what->done(what->arg, ENOMEM);
        return;
    }
    *m = (struct move){.m = *what, .left = 1};
    for (uint64_t at = what->offset, end = at + what->bytes, n; !err && at < end; at += n) {
        if (!table_look_up(l->space.table, at, &p, &version)) {
            err = ENXIO;
            break;
        }
        n = p.offset + p.bytes < end ? p.offset + p.bytes - at : end - at;
        err = move_piece(m, l, &p, at, n);
    }
    if (err) m->error = err;
    move_done(m);
}
