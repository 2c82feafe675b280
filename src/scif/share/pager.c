#include "scif/share/pager.h"

#include "base/clock.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/share/stand_in.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PATIENCE_NS WEFT_NS_PER_S

static struct paged *entry(struct weft_list *l) { return weft_list_entry(l, struct paged, link); }
static size_t bytes_of(const struct paged *g) { return (size_t)g->cache.pages * SHARE_PAGE; }
static off_t at_of(const struct paged *g, uint32_t page) {
    return (off_t)(g->file_at + (uint64_t)page * SHARE_PAGE);
}
static uintptr_t address_of(const struct paged *g, uint32_t page) {
    for (unsigned i = 0; i < g->is->places; i++)
        if (page - g->is->place[i].first < g->is->place[i].count)
            return g->is->place[i].address + (size_t)(page - g->is->place[i].first) * SHARE_PAGE;
    return 0;
}

/* ---- What the cache does ---- */
static void on_send(void *ctx, const struct share_message *m, const void *page) {
    struct paged *g = ctx;
    g->pager->send(g, m, page);
}

/* A fault that finds no room comes again; an unmapping is noticed by the next fault or message at the latest.
 */
static void take_events(struct pager *p) {
    struct faults_event e;
    while ((e = faults_next(p->fd)).kind != FAULTS_NOTHING)
        if (p->events < PAGER_EVENTS_MAX)
            p->event[p->events++] = e;
        else if (e.kind == FAULTS_READ || e.kind == FAULTS_WRITE)
            faults_wake(p->fd, e.address & ~(uintptr_t)(SHARE_PAGE - 1), SHARE_PAGE);
}

/* The program has made memory writable that it may only read, or grown a mapping, or the system has no
 * memory: SIGSEGV. */
static void refuse(struct pager *p, uintptr_t address, int prot) {
    p->program->refuse(p, address, SHARE_PAGE, prot);
}
void pager_refuse(struct pager *p, uintptr_t address, size_t bytes, int prot) {
    mprotect((void *)address, bytes, prot);
    faults_wake(p->fd, address, bytes);
}

/* A frame: the program gets SIGBUS where it touches it. */
static void lose(struct paged *g) {
    g->lost = true;
    (void)!ftruncate(g->file, 0);
}

/* What a frame's file has. Of one that its program has cut off: nothing. */
static void read_page(struct paged *g, uint32_t page) {
    unsigned char *to = g->pager->page;
    if (pread(g->file, to, SHARE_PAGE, at_of(g, page)) != SHARE_PAGE) memset(to, 0, SHARE_PAGE);
}

static const void *on_bytes(void *ctx, uint32_t page) {
    struct paged *g = ctx;
    if (!g->pager->kept) read_page(g, page);
    g->pager->kept = false;
    return g->pager->page;
}

/* Of a frame: nobody can write it any more, then it is read, then nobody can see it. */
static int take_out(struct paged *g, uint32_t page, enum share_state from) {
    int err = from == SHARE_WRITE ? faults_hold_writes(g->pager->fd, address_of(g, page)) : 0;
    if (err == EAGAIN) return err;
    if (from == SHARE_WRITE) {
        read_page(g, page);
        g->pager->kept = true;
    }
    return fallocate(g->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at_of(g, page), SHARE_PAGE) ? errno
                                                                                                      : 0;
}

/* Into a frame. What its program has unmapped meanwhile is in the file for RETURN. */
static int put_in(struct paged *g, uint32_t page, enum share_state to, const void *bytes) {
    uintptr_t at = address_of(g, page);
    int err = faults_put(g->pager->fd, at, bytes, to == SHARE_WRITE);
    if (!err || err == EAGAIN) return err;
    if (pwrite(g->file, bytes, SHARE_PAGE, at_of(g, page)) != SHARE_PAGE) return EFAULT;
    return faults_allow(g->pager->fd, at, to == SHARE_WRITE);
}

static int change_now(struct paged *g, uint32_t page, enum share_state from, enum share_state to,
                      const void *bytes) {
    uintptr_t at = address_of(g, page);
    int fd = g->pager->fd;
    if (to == SHARE_NONE) return g->cache.local ? faults_forbid(fd, at) : take_out(g, page, from);
    if (bytes) return put_in(g, page, to, bytes);
    if (from == SHARE_WRITE && to == SHARE_READ) return faults_forbid_write(fd, at);
    if (from == SHARE_READ && to == SHARE_WRITE) return faults_allow_write(fd, at);
    return faults_allow(fd, at, to == SHARE_WRITE);
}

/* What a program is about to do with its mapping it has done as soon as it gets a processor; if it does not,
 * its frame, which is served by a process that others need too, is lost to it. */
static int change_soon(struct paged *g, uint32_t page, enum share_state from, enum share_state to,
                       const void *bytes) {
    uint64_t until = 0;
    int err;
    while ((err = change_now(g, page, from, to, bytes)) == EAGAIN) {
        take_events(g->pager);
        if (g->cache.local) continue;
        uint64_t now = weft_now_ns();
        if (!until) until = now + PATIENCE_NS;
        if (now >= until) break;
        sched_yield();
    }
    if (err == EAGAIN) lose(g);
    return err;
}

static void on_change(void *ctx, uint32_t page, enum share_state from, enum share_state to,
                      const void *bytes) {
    struct paged *g = ctx;
    if (g->lost) return;
    if (change_soon(g, page, from, to, bytes) != EFAULT) return;
    /* Memory that nobody has touched yet; or there is none. */
    if (fallocate(g->file, FALLOC_FL_KEEP_SIZE, at_of(g, page), SHARE_PAGE))
        refuse(g->pager, address_of(g, page), PROT_NONE);
    else
        change_now(g, page, from, to, NULL);
}

static const struct cache_ops ops = {.send = on_send, .change = on_change, .bytes = on_bytes};

/* ---- Mappings ---- */
void pager_init(struct pager *p, int fd, pager_send_fn *send, const struct pager_program *program,
                uint64_t hold_ns) {
    *p = (struct pager){.fd = fd, .send = send, .program = program, .hold_ns = hold_ns};
    weft_list_init(&p->mappings);
}

static size_t pages_bytes(uint32_t pages) { return sizeof(struct paged_pages) + pages; }

static void paged_free(struct paged *g) {
    weft_list_remove(&g->link);
    if (g->file >= 0) close_descriptor(g->file);
    if (g->is_in >= 0) close_descriptor(g->is_in);
    if (g->is) munmap(g->is, pages_bytes(g->cache.pages));
    munmap(g, sizeof *g);
}

static int make_pages(struct paged *g) {
    size_t bytes = pages_bytes(g->cache.pages);
    void *is = MAP_FAILED;
    if (g->cache.local)
        g->is_in = stand_in_make(bytes, &is);
    else
        is = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (is == MAP_FAILED) return ENOMEM;
    g->is = is;
    g->cache.state = g->is->state;
    g->cache.holding = &g->is->holding;
    return 0;
}

static int prepare(struct paged *g, const struct pager_map *map) {
    struct pager *p = g->pager;
    int err = g->file < 0 ? EMFILE : make_pages(g);
    if (err) return err;
    g->is->place[0] = (struct paged_place){0, map->pages, (uintptr_t)map->address};
    g->is->places = 1;
    cache_init(&g->cache, map->has_all);
    if (!map->local) return 0; /* it is watched already */
    pager_faults(p);           /* what was unmapped at this address before */
    return faults_watch(p->fd, g->is->place[0].address, bytes_of(g));
}

int pager_map(struct pager *p, const struct pager_map *map, struct paged **out) {
    struct paged *g = mmap(NULL, sizeof *g, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g == MAP_FAILED) return ENOMEM;
    *g = (struct paged){.pager = p,
                        .user = map->user,
                        .is_in = -1,
                        .file_at = map->file_at,
                        .cache = {.ops = &ops,
                                  .ctx = g,
                                  .mapping = map->mapping,
                                  .pages = map->pages,
                                  .local = map->local,
                                  .writable = map->writable,
                                  .hold_ns = p->hold_ns}};
    int file = fcntl(map->file, F_DUPFD_CLOEXEC, 0);
    g->file = file < 0 ? -1 : descriptor_hide(file);
    weft_list_init(&g->link);
    int err = prepare(g, map);
    if (err) {
        paged_free(g);
        return err;
    }
    weft_list_push_back(&p->mappings, &g->link);
    *out = g;
    return 0;
}

/* ---- Faults ---- */
static struct paged *paged_at(const struct pager *p, uintptr_t address, uint32_t *page) {
    weft_list_for_each(l, &p->mappings) {
        struct paged *g = entry(l);
        for (unsigned i = 0; i < g->is->places; i++) {
            const struct paged_place *at = &g->is->place[i];
            if (address - at->address >= (size_t)at->count * SHARE_PAGE) continue;
            *page = at->first + (uint32_t)((address - at->address) / SHARE_PAGE);
            if (cache_is_mapped(&g->cache, *page)) return g;
        }
    }
    return NULL;
}

bool pager_has(const struct pager *p, uintptr_t address) {
    uint32_t page;
    return paged_at(p, address, &page) != NULL;
}

/* A program that goes through its pages, one after the other, finds the next ones there, or on their way. */
static void look_ahead(struct paged *g, uint32_t page, enum share_state want) {
    struct paged_run *r = &g->run[want == SHARE_WRITE];
    bool goes_on = r->next - page <= r->ahead;
    if (!goes_on) *r = (struct paged_run){.next = page};
    if (page == r->next && ++r->faults >= PAGED_RUN)
        r->ahead = !r->ahead ? 1 : r->ahead < PAGED_AHEAD_MAX ? 2 * r->ahead : PAGED_AHEAD_MAX;
    if (page == r->next) r->next++;
    for (; r->next <= page + r->ahead; r->next++) cache_expect(&g->cache, r->next, want);
}

static void on_fault(struct pager *p, uintptr_t address, enum share_state want) {
    uint32_t page;
    struct paged *g = paged_at(p, address, &page);
    address &= ~(uintptr_t)(SHARE_PAGE - 1);
    if (!g)
        refuse(p, address, PROT_NONE);
    else if (cache_fault(&g->cache, page, want))
        refuse(p, address, PROT_READ);
    else
        look_ahead(g, page, want);
}

/* What of a place lies in the range; count 0: nothing. */
static struct paged_place common(const struct paged_place *at, uintptr_t address, uintptr_t bytes) {
    uintptr_t end = at->address + (size_t)at->count * SHARE_PAGE;
    uintptr_t from = address > at->address ? address : at->address,
              to = address + bytes < end ? address + bytes : end;
    if (from >= to) return (struct paged_place){0};
    return (struct paged_place){at->first + (uint32_t)((from - at->address) / SHARE_PAGE),
                                (uint32_t)((to - from) / SHARE_PAGE), from};
}

/* True: that was the last of it. */
static bool unmap_from(struct paged *g, uintptr_t address, uintptr_t bytes) {
    for (unsigned i = 0; i < g->is->places; i++) {
        struct paged_place gone = common(&g->is->place[i], address, bytes);
        if (gone.count && cache_unmap(&g->cache, gone.first, gone.count)) return true;
    }
    return false;
}

static void on_unmapped(struct pager *p, uintptr_t address, uintptr_t bytes) {
    weft_list_for_each_safe(l, &p->mappings) if (unmap_from(entry(l), address, bytes)) paged_free(entry(l));
}

/* What is left of place i before and behind the moved part stays. False: too many places. */
static bool move_place(struct paged *g, unsigned i, const struct paged_place *part, uintptr_t to) {
    struct paged_place was = g->is->place[i], behind = {part->first + part->count, 0, 0};
    uint32_t before = part->first - was.first;
    behind.count = was.first + was.count - behind.first;
    behind.address = part->address + (size_t)part->count * SHARE_PAGE;
    if (g->is->places + 2 > PAGED_PLACES_MAX) return false;
    g->is->place[i] = (struct paged_place){part->first, part->count, to};
    if (before) g->is->place[g->is->places++] = (struct paged_place){was.first, before, was.address};
    if (behind.count) g->is->place[g->is->places++] = behind;
    return true;
}

static void on_moved(struct pager *p, const struct faults_event *e) {
    bool good = true;
    weft_list_for_each(l, &p->mappings) {
        struct paged *g = entry(l);
        for (unsigned i = 0, n = g->is->places; i < n; i++) {
            struct paged_place part = common(&g->is->place[i], e->address, e->bytes);
            if (part.count) good &= move_place(g, i, &part, e->to + (part.address - e->address));
        }
    }
    if (p->program->moved) p->program->moved(e->address, e->to, e->bytes);
    if (good) return;
    p->program->refuse(p, e->to, e->bytes, PROT_NONE); /* rather than what is not the newest */
    on_unmapped(p, e->address, e->bytes);
    on_unmapped(p, e->to, e->bytes);
}

static void deal_with(struct pager *p, const struct faults_event *e) {
    switch (e->kind) {
    case FAULTS_READ: on_fault(p, e->address, SHARE_READ); break;
    case FAULTS_WRITE: on_fault(p, e->address, SHARE_WRITE); break;
    case FAULTS_UNMAPPED: on_unmapped(p, e->address, e->bytes); break;
    case FAULTS_MOVED: on_moved(p, e); break;
    case FAULTS_NOTHING: break;
    }
}

void pager_faults(struct pager *p) {
    take_events(p);
    while (p->events) {
        struct faults_event e = p->event[0];
        memmove(p->event, p->event + 1, --p->events * sizeof *p->event);
        deal_with(p, &e);
    }
}

/* ---- The home, the time, the end ---- */
int pager_message(struct paged *g, const struct share_message *m, const void *page, uint64_t now_ns) {
    struct pager *p = g->pager;
    int err = cache_message(&g->cache, m, page, now_ns);
    if (err) pager_end(g);
    if (p->events) pager_faults(p);
    return err;
}

uint64_t pager_deadline(const struct pager *p) {
    uint64_t first = WEFT_TIME_NEVER;
    weft_list_for_each(l, &p->mappings) {
        uint64_t due = cache_deadline(&entry(l)->cache);
        if (due < first) first = due;
    }
    return first;
}

void pager_expire(struct pager *p, uint64_t now_ns) {
    weft_list_for_each(l, &p->mappings) cache_expire(&entry(l)->cache, now_ns);
    if (p->events) pager_faults(p);
}

/* Runs that are still mapped. */
static void unwatch_place(const struct paged *g, const struct paged_place *at) {
    const struct cache *c = &g->cache;
    for (uint32_t from = 0, to; from < at->count; from = to + 1) {
        for (to = from; to < at->count && cache_is_mapped(c, at->first + to);) to++;
        if (to > from)
            faults_unwatch(g->pager->fd, at->address + (size_t)from * SHARE_PAGE,
                           (size_t)(to - from) * SHARE_PAGE);
    }
}

void pager_end(struct paged *g) {
    if (!g->cache.local) lose(g);
    for (unsigned i = 0; i < g->is->places; i++) unwatch_place(g, &g->is->place[i]);
    paged_free(g);
}

void pager_leave(struct paged *g) {
    cache_leave(&g->cache);
    pager_end(g);
}
