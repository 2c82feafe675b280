/* Homes of memory of programs here that programs on other hosts have mapped (share/home.h): one for each file
 * in memory. Programs here that show its pages are sharers (asks.c). A mapping from elsewhere is a view: runs
 * of pages of one file each, each a sharer. */
#include "base/clock.h"
#include "base/copy.h"
#include "base/log.h"
#include "scif/service/far.h"
#include "scif/share/stand_in.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#define HOME_PAGES  (FILE_VIEW_BYTES / SHARE_PAGE)
#define PATIENCE_NS (10 * WEFT_NS_PER_S) /* that a sharer may take to give a page up */
#define AGAIN_NS    WEFT_NS_PER_S
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
        bool asks = m->kind == SHARE_TAKE || m->kind == SHARE_LOWER;
        if (asks && !r->home->home.ahead) far_expect(r->view->remote->far);
        far_page(r->view->remote, r->view->number, false, &out, page);
    }
}

static bool at_once(void *ctx, struct sharer *to, const struct share_message *m) {
    struct local *o = to->user;
    return o->is && stand_in_do(pages_stand_in(o->line), o->is, o->pages, m, SHARE_HOLD_NS, weft_now_ns());
}

/* Of a file that may shrink. */
static void on_move(void *ctx, uint32_t page, unsigned char *bytes, bool to_home) {
    struct home_of *h = ctx;
    uint64_t at = (uint64_t)page * SHARE_PAGE;
    int fd = file_descriptor(h->file);
    if (!to_home && pread(fd, bytes, SHARE_PAGE, (off_t)at) == (ssize_t)SHARE_PAGE) return;
    if (!to_home)
        memset(bytes, 0, SHARE_PAGE);
    else if (file_holds(h->file, at, SHARE_PAGE) &&
             pwrite(fd, bytes, SHARE_PAGE, (off_t)at) != (ssize_t)SHARE_PAGE)
        weft_error("scif", "a page that another host has written is lost: %s", strerror(errno));
}

static bool may_write(int file) {
    int seals = fcntl(file, F_GET_SEALS);
    return (fcntl(file, F_GETFL) & O_ACCMODE) == O_RDWR &&
           !(seals >= 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)));
}

/* Memory, whose pages userfaultfd can give and take, and that is to be written here. */
static bool may_be_home(struct file *f) {
    struct statfs is;
    int fd = file_descriptor(f);
    return fstatfs(fd, &is) == 0 && is.f_type == TMPFS_MAGIC && may_write(fd);
}

/* The file belongs to it. NULL: it cannot be. */
static struct home_of *home_get(struct far *f, struct file *file) {
    struct home_of *h = find(f, file_device(file), file_inode(file));
    bool known = h;
    if (!h && may_be_home(file)) h = calloc(1, sizeof *h);
    if (known || !h) {
        file_close(file);
        return h;
    }
    h->file = file;
    home_init(&h->home, file_memory(file, 0, SHARE_PAGE), HOME_PAGES, on_send, h);
    h->home.move = on_move;
    h->home.at_once = at_once;
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
/* Beyond the file's end there is nothing that anybody could touch. */
static bool is_in_home(const struct scif_pages *q) {
    uint64_t bytes = (uint64_t)q->pages * SHARE_PAGE;
    return q->pages && q->offset % SHARE_PAGE == 0 && q->offset <= FILE_VIEW_BYTES &&
           bytes <= FILE_VIEW_BYTES - q->offset;
}

int homes_own(struct service *s, struct line *l, const struct scif_pages *q, int file,
              struct paged_pages *is) {
    bool writable = (q->prot & SCIF_PROT_WRITE) && may_write(file);
    struct file *f = file_of(file);
    if (f && !s->far) file_close(f);
    struct home_of *h = f && s->far ? home_get(s->far, f) : NULL;
    struct local *o = h ? calloc(1, sizeof *o) : NULL;
    if (!o || !is_in_home(q)) {
        if (h) home_put(h);
        free(o);
        stand_in_unmap(is, q->pages);
        return ENOMEM;
    }
    *o = (struct local){.line = l, .mapping = q->mapping, .home = h, .is = is, .pages = q->pages};
    weft_list_push_back(pages_locals(l), &o->link);
    o->sharer = home_join(&h->home,
                          &(struct home_sharer){.user = o,
                                                .local = true,
                                                .writable = writable,
                                                .has_all = true,
                                                .first = (uint32_t)(q->offset / SHARE_PAGE),
                                                .count = q->pages},
                          weft_now_ns());
    if (o->sharer) return 0;
    weft_list_remove(&o->link);
    stand_in_unmap(is, q->pages);
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
    stand_in_unmap(o->is, o->pages);
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

static int add_run(void *arg, const struct homes_run *what) {
    struct view *v = arg;
    struct home_of *h = what->home;
    struct run *more = realloc(v->run, (v->runs + 1) * sizeof *more);
    if (!more) return ENOMEM;
    v->run = more;
    for (unsigned i = 0; i < v->runs; i++) more[i].sharer->user = &more[i];
    struct run *r = &v->run[v->runs];
    *r = (struct run){.view = v, .home = h, .first = what->first, .count = what->count};
    r->sharer = home_join(&h->home,
                          &(struct home_sharer){.user = r,
                                                .writable = v->prot & SCIF_PROT_WRITE,
                                                .first = (uint32_t)(what->at / SHARE_PAGE),
                                                .count = what->count},
                          weft_now_ns());
    if (!r->sharer) return ENOMEM;
    r->shown = mmap(NULL, (size_t)r->count * SHARE_PAGE, PROT_NONE, MAP_SHARED, file_descriptor(h->file),
                    (off_t)what->at);
    v->runs++;
    return 0;
}

static struct home_of *home_of_piece(const struct far *f, const struct scif_windows *w,
                                     const struct scif_piece *p) {
    if (p->kind != PIECE_FILE || p->place >= SCIF_FILES_MAX) return NULL;
    return find(f, w->file[p->place].device, w->file[p->place].inode);
}

int homes_each_run(struct link *l, const struct homes_range *a, homes_run_fn *on, void *arg) {
    const struct scif_windows *w = l->space.table;
    struct scif_piece p;
    unsigned version;
    int err = table_check(w, a->offset, (uint64_t)a->pages * SHARE_PAGE, (int)a->prot);
    for (uint32_t done = 0, n; !err && done < a->pages; done += n) {
        uint64_t offset = a->offset + (uint64_t)done * SHARE_PAGE;
        if (!table_look_up(w, offset, &p, &version)) return ENXIO;
        uint64_t within = offset - p.offset, left = (p.bytes - within) / SHARE_PAGE;
        n = left < a->pages - done ? (uint32_t)left : a->pages - done;
        struct home_of *h = home_of_piece(l->remote->far, w, &p);
        bool good = n && h && holds(h, p.at + within, (uint64_t)n * SHARE_PAGE);
        struct homes_run run = {h, good ? h->file : NULL, p.at + within, done, n};
        err = good ? on(arg, &run) : ENOMEM;
    }
    return err;
}

bool homes_have_view(const struct remote *r, uint32_t number) {
    return weft_map_get(&r->far->views, view_key(r, number));
}

int homes_view(struct remote *r, uint64_t key, const struct homes_range *a) {
    uint64_t cost = (uint64_t)a->pages + VIEW_COST;
    if (cost > VIEW_COST_MAX - r->view_cost) return ENOMEM;
    struct link *l = weft_map_get(&r->far->links, key);
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
    int err = homes_each_run(l, a, add_run, v);
    if (err) view_destroy(v);
    return err;
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
    if (m->kind == SHARE_GAVE) far_expected(r->far);
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
}

/* ---- Time, end ---- */
uint64_t homes_expire(struct far *f, uint64_t now) {
    uint64_t next = WEFT_TIME_NEVER;
    weft_list_for_each_safe(it, &f->homes) {
        struct home_of *h = weft_list_entry(it, struct home_of, link);
        if (!h->home.busy.count) continue;
        next = now + AGAIN_NS;
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
    weft_copy(a->write ? here : there, a->write ? there : here, to - from);
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
    if (!h || at >= FILE_VIEW_BYTES)
        return m->m.write ? space_put(&l->space, offset, memory, n) : space_get(&l->space, offset, memory, n);
    return holds(h, at / SHARE_PAGE * SHARE_PAGE, n + at % SHARE_PAGE) ? move_shared(m, h, at, n, memory)
                                                                       : ENXIO;
}

void homes_rma(struct link *l, const struct homes_rma *what) {
    struct scif_user *u = space_enter(&l->space);
    struct move *m = u ? calloc(1, sizeof *m) : NULL;
    struct scif_piece p;
    unsigned version;
    int err = 0;
    if (!m) {
        if (u) space_leave(u);
        what->done(what->arg, ENOMEM);
        return;
    }
    *m = (struct move){.m = *what, .left = 1};
    for (uint64_t at = what->offset, end = at + what->bytes, n; !err && at < end; at += n) {
        if (!table_look_up(l->space.table, at, &p, &version)) {
            err = ENXIO;
            break;
        }
        uint64_t within = p.at + (at - p.offset); /* beyond the home's end nobody shares anything */
        n = p.offset + p.bytes < end ? p.offset + p.bytes - at : end - at;
        if (within < FILE_VIEW_BYTES && n > FILE_VIEW_BYTES - within) n = FILE_VIEW_BYTES - within;
        err = move_piece(m, l, &p, at, n);
    }
    space_leave(u); /* before anything is done, which may end the link */
    if (err) m->error = err;
    move_done(m);
}
