#include "scif/share/pager.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct paged *entry(struct weft_list *l) { return weft_list_entry(l, struct paged, link); }
static size_t bytes_of(const struct paged *g) { return (size_t)g->cache.pages * SHARE_PAGE; }
static uintptr_t address_of(const struct paged *g, uint32_t page) {
    return g->address + (size_t)page * SHARE_PAGE;
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

static int change_now(const struct paged *g, uint32_t page, enum share_state from, enum share_state to) {
    uintptr_t at = address_of(g, page);
    int fd = g->pager->fd;
    if (to == SHARE_NONE) return faults_forbid(fd, at);
    if (from == SHARE_WRITE && to == SHARE_READ) return faults_forbid_write(fd, at);
    if (from == SHARE_READ && to == SHARE_WRITE) return faults_allow_write(fd, at);
    return faults_allow(fd, at, to == SHARE_WRITE);
}

static void on_change(void *ctx, uint32_t page, enum share_state from, enum share_state to) {
    struct paged *g = ctx;
    off_t at = (off_t)(g->file_at + (uint64_t)page * SHARE_PAGE);
    int err;
    while ((err = change_now(g, page, from, to)) == EAGAIN) take_events(g->pager);
    /* Memory that nobody has touched yet. */
    if (err == EFAULT && !fallocate(g->file, 0, at, SHARE_PAGE)) change_now(g, page, from, to);
}

static const struct cache_ops ops = {.send = on_send, .change = on_change};

/* ---- Mappings ---- */
int pager_open(struct pager *p, pager_send_fn *send, uint64_t hold_ns) {
    *p = (struct pager){.send = send, .hold_ns = hold_ns};
    weft_list_init(&p->mappings);
    p->fd = faults_open(&p->in_system_calls);
    return p->fd < 0 ? -p->fd : 0;
}

void pager_close(struct pager *p) {
    while (!weft_list_empty(&p->mappings)) pager_end(entry(p->mappings.next));
    close(p->fd);
}

static void paged_free(struct paged *g) {
    weft_list_remove(&g->link);
    if (g->cache.memory) munmap(g->cache.memory, bytes_of(g));
    if (g->file >= 0) close(g->file);
    munmap(g, g->own_bytes);
}

/* The program sees the file at one address, the pager at another. */
static int map_file(struct paged *g, const struct pager_map *map) {
    size_t bytes = bytes_of(g);
    int prot = PROT_READ | (map->writable ? PROT_WRITE : 0);
    if (ftruncate(g->file, (off_t)bytes)) return errno;
    void *own = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g->file, 0);
    if (own == MAP_FAILED) return errno;
    g->cache.memory = own;
    void *at = mmap(map->address, bytes, prot, MAP_SHARED | (map->fixed ? MAP_FIXED : 0), g->file, 0);
    if (at == MAP_FAILED) return errno;
    g->address = (uintptr_t)at;
    madvise(own, bytes, MADV_DONTFORK);
    madvise(at, bytes, MADV_DONTFORK);
    return 0;
}

static int prepare(struct paged *g, const struct pager_map *map) {
    struct pager *p = g->pager;
    int err = g->file < 0 ? errno : 0;
    cache_init(&g->cache, map->has_all);
    g->address = map->local ? (uintptr_t)map->address : 0;
    if (!err && !map->local) err = map_file(g, map);
    if (err) return err;
    pager_faults(p); /* what was unmapped at this address before */
    err = faults_watch(p->fd, g->address, bytes_of(g));
    if (err && !map->local) munmap((void *)g->address, bytes_of(g));
    return err;
}

int pager_map(struct pager *p, const struct pager_map *map, struct paged **out) {
    size_t bytes = sizeof(struct paged) + map->pages;
    struct paged *g = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g == MAP_FAILED) return ENOMEM;
    *g = (struct paged){.own_bytes = bytes,
                        .pager = p,
                        .user = map->user,
                        .file_at = map->local ? map->file_at : 0,
                        .cache = {.ops = &ops,
                                  .ctx = g,
                                  .mapping = map->mapping,
                                  .state = (unsigned char *)(g + 1),
                                  .pages = map->pages,
                                  .local = map->local,
                                  .writable = map->writable,
                                  .hold_ns = p->hold_ns}};
    g->file = map->local ? fcntl(map->file, F_DUPFD_CLOEXEC, 0) : memfd_create("weft-scif-map", MFD_CLOEXEC);
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
static struct paged *paged_at(struct pager *p, uintptr_t address) {
    weft_list_for_each(l, &p->mappings) if (address - entry(l)->address < bytes_of(entry(l))) return entry(l);
    return NULL;
}

/* The program has made memory writable that it may only read, or grown a mapping: SIGSEGV. */
static void refuse(struct pager *p, uintptr_t address, int prot) {
    mprotect((void *)address, SHARE_PAGE, prot);
    faults_wake(p->fd, address, SHARE_PAGE);
}

static void on_fault(struct pager *p, uintptr_t address, enum share_state want) {
    struct paged *g = paged_at(p, address);
    address &= ~(uintptr_t)(SHARE_PAGE - 1);
    if (!g)
        refuse(p, address, PROT_NONE);
    else if (cache_fault(&g->cache, (uint32_t)((address - g->address) / SHARE_PAGE), want))
        refuse(p, address, PROT_READ);
}

/* Of all mappings what lies in the range. */
static void on_unmapped(struct pager *p, uintptr_t address, uintptr_t bytes) {
    weft_list_for_each_safe(l, &p->mappings) {
        struct paged *g = entry(l);
        uintptr_t end = g->address + bytes_of(g), from = address > g->address ? address : g->address,
                  to = address + bytes < end ? address + bytes : end;
        if (from >= to) continue;
        uint32_t first = (uint32_t)((from - g->address) / SHARE_PAGE);
        if (cache_unmap(&g->cache, first, (uint32_t)((to - from) / SHARE_PAGE))) paged_free(g);
    }
}

/* A whole mapping goes on elsewhere; a part of one ends. */
static void on_moved(struct pager *p, const struct faults_event *e) {
    struct paged *g = paged_at(p, e->address);
    if (g && g->address == e->address && bytes_of(g) == e->bytes) {
        g->address = e->to;
        return;
    }
    mprotect((void *)e->to, e->bytes, PROT_NONE);
    faults_unwatch(p->fd, e->to, e->bytes);
    on_unmapped(p, e->address, e->bytes);
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

void pager_unmap(struct paged *g, uint32_t first, uint32_t count) {
    struct pager *p = g->pager;
    uintptr_t at = address_of(g, first);
    size_t bytes = (size_t)count * SHARE_PAGE;
    mprotect((void *)at, bytes, PROT_NONE); /* nobody reads what is not the newest */
    faults_unwatch(p->fd, at, bytes);
    munmap((void *)at, bytes);
    if (cache_unmap(&g->cache, first, count)) paged_free(g);
    if (p->events) pager_faults(p);
}

void pager_end(struct paged *g) {
    struct cache *c = &g->cache;
    if (!c->local) (void)!ftruncate(g->file, 0);
    for (uint32_t from = 0, to; from < c->pages; from = to + 1) { /* runs that are still mapped */
        for (to = from; to < c->pages && cache_is_mapped(c, to);) to++;
        if (to > from) faults_unwatch(g->pager->fd, address_of(g, from), (size_t)(to - from) * SHARE_PAGE);
    }
    paged_free(g);
}
