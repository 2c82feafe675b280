/* Shared memory for buffers: see share.h. Sizes are rounded to four steps a power of two; what is given back
 * is used for buffers of the same size. */
#include "opencl/remote/share.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/option.h"
#include "opencl/wire/wire.h"

#define SEALS      (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define PAGE       ((size_t)4096)
#define HUGE_PAGE  ((size_t)2 << 20)
#define LEAST_FILL ((size_t)64 << 10)
#define KEPT_BYTES ((size_t)256 << 20) /* pages of free ranges: more go back to the system */

/* ---- the pool ---- */
/* Address space is all that it takes; what that would be counted for is not done. */
static size_t pool_bytes(void) {
    struct rlimit most;
    if (getrlimit(RLIMIT_AS, &most) || most.rlim_cur != RLIM_INFINITY) return 0;
    return 2 * (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

static bool make_object(struct share_pool *p) {
    p->fd = memfd_create("weft-buffers", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (p->fd < 0) return false;
    if (ftruncate(p->fd, (off_t)p->bytes) || fcntl(p->fd, F_ADD_SEALS, SEALS)) return false;
    void *at = mmap(WIRE_SHARED_AT, p->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, p->fd, 0);
    if (at == MAP_FAILED) return false;
    p->memory = at;
    madvise(at, p->bytes, MADV_DONTDUMP);
    madvise(at, p->bytes, MADV_DONTFORK);
    return true;
}

static void destroy(struct share_pool *p) {
    for (unsigned i = 0; i < SHARE_SIZES; i++) {
        for (struct share_range *r = p->free[i], *next; r; r = next) {
            next = r->next;
            free(r);
        }
    }
    if (p->memory) munmap(p->memory, p->bytes);
    if (p->fd >= 0) close(p->fd);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

struct share_pool *share_pool_create(void) {
    size_t bytes = weft_option_bool("opencl_shared_buffers") ? pool_bytes() : 0;
    struct share_pool *p = bytes ? calloc(1, sizeof *p) : NULL;
    if (!p) return NULL;
    *p = (struct share_pool){.holds = 1, .fd = -1, .bytes = bytes, .end = HUGE_PAGE};
    pthread_mutex_init(&p->lock, NULL);
    if (make_object(p)) return p;
    weft_info("opencl", "no memory to share with executors: %m");
    destroy(p);
    return NULL;
}

void share_pool_drop(struct share_pool *p) {
    if (p && atomic_fetch_sub(&p->holds, 1) == 1) destroy(p);
}

bool share_identify(const struct share_pool *p, struct share_id *out) {
    struct stat st;
    if (fstat(p->fd, &st)) return false;
    *out = (struct share_id){(uint32_t)getpid(), (uint32_t)p->fd, st.st_dev, st.st_ino};
    return true;
}

/* ---- regions ---- */
struct share_region *share_region_create(struct share_pool *p) {
    struct share_region *g = calloc(1, sizeof *g);
    if (!g) return NULL;
    *g = (struct share_region){.pool = p, .holds = 1};
    weft_map_init(&g->given);
    atomic_fetch_add(&p->holds, 1);
    return g;
}

void share_region_drop(struct share_region *g) {
    if (!g || atomic_fetch_sub(&g->holds, 1) != 1) return;
    share_pool_drop(g->pool);
    weft_map_fini(&g->given);
    free(g);
}

/* ---- ranges; under the lock ---- */
static unsigned log2_of(size_t bytes) { return 63u - (unsigned)__builtin_clzl(bytes); }

/* Its room, and the number of that size. */
static size_t room_for(size_t bytes, unsigned *size) {
    if (bytes < WIRE_PLACE_ALIGN) bytes = WIRE_PLACE_ALIGN;
    unsigned log = log2_of(bytes);
    size_t step = (size_t)1 << (log - 2);
    size_t least = bytes <= PAGE ? WIRE_PLACE_ALIGN : PAGE;
    if (step < least) step = least;
    size_t room = (bytes + step - 1) / step * step;
    log = log2_of(room);
    *size = log * 4 + (unsigned)(room >> (log - 2) & 3);
    return room;
}

static struct share_range *new_range(struct share_pool *p, size_t room) {
    size_t align = room >= HUGE_PAGE ? HUGE_PAGE : room >= PAGE ? PAGE : WIRE_PLACE_ALIGN;
    uint64_t at = (p->end + align - 1) / align * align;
    if (at > p->bytes || room > p->bytes - at) return NULL;
    struct share_range *r = malloc(sizeof *r);
    if (!r) return NULL;
    *r = (struct share_range){.at = at, .room = room};
    p->end = at + room;
    return r;
}

static struct share_range *take_range(struct share_pool *p, size_t bytes) {
    unsigned size;
    size_t room = room_for(bytes, &size);
    struct share_range *r = p->free[size];
    if (!r) return new_range(p, room);
    p->free[size] = r->next;
    if (r->filled) p->free_bytes -= room;
    return r;
}

static void free_pages(struct share_pool *p, const struct share_range *r) {
    if (fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)r->at, (off_t)r->room))
        weft_debug("opencl", "pages of a buffer are kept: %m");
}

static void give_back(struct share_pool *p, struct share_range *r) {
    unsigned size;
    room_for(r->room, &size);
    if (r->room >= LEAST_FILL) {
        /* Whoever wrote there: the pages count as there. */
        r->filled = p->free_bytes + r->room <= KEPT_BYTES;
        if (!r->filled) free_pages(p, r);
        if (r->filled) p->free_bytes += r->room;
    }
    r->next = p->free[size];
    p->free[size] = r;
}

/* One user less. */
static void leave_range(struct share_pool *p, struct share_range *r) {
    if (--r->users) return;
    if (!r->lost) {
        give_back(p, r);
        return;
    }
    if (r->room >= PAGE) free_pages(p, r);
    free(r);
}

/* ---- places ---- */
/* In the region, with a hold for the caller; takes a use of the range. Under the lock. NULL: no memory. */
static struct share_place *make_place(struct share_region *g, struct share_range *r) {
    struct share_place *p = malloc(sizeof *p);
    if (!p) return NULL;
    *p = (struct share_place){.region = g, .holds = 2, .range = r, .at = r->at};
    if (weft_map_put(&g->given, r->at, p)) {
        free(p);
        return NULL;
    }
    r->users++;
    atomic_fetch_add(&g->holds, 1);
    return p;
}

struct share_place *share_take(struct share_region *g, size_t bytes) {
    struct share_pool *pool = g->pool;
    if (!bytes || bytes > pool->bytes) return NULL;
    pthread_mutex_lock(&pool->lock);
    struct share_range *r = take_range(pool, bytes);
    struct share_place *p = r ? make_place(g, r) : NULL;
    if (r && !p) give_back(pool, r);
    pthread_mutex_unlock(&pool->lock);
    return p;
}

struct share_place *share_join(struct share_region *g, const struct share_place *other) {
    if (g->pool != other->region->pool) return NULL;
    pthread_mutex_lock(&g->pool->lock);
    bool may = other->range && !other->range->lost && !weft_map_get(&g->given, other->at);
    struct share_place *p = may ? make_place(g, other->range) : NULL;
    pthread_mutex_unlock(&g->pool->lock);
    return p;
}

bool share_is_one(const struct share_place *a, const struct share_place *b) {
    pthread_mutex_lock(&a->region->pool->lock);
    bool one =
        a->range && a->range == b->range && !atomic_load(&a->region->lost) && !atomic_load(&b->region->lost);
    pthread_mutex_unlock(&a->region->pool->lock);
    return one;
}

struct share_place *share_hold(struct share_place *p) {
    pthread_mutex_lock(&p->region->pool->lock);
    p->holds++;
    pthread_mutex_unlock(&p->region->pool->lock);
    return p;
}

void share_put(struct share_place *p) {
    if (!p) return;
    struct share_region *g = p->region;
    pthread_mutex_lock(&g->pool->lock);
    bool last = !--p->holds;
    if (last && p->range) leave_range(g->pool, p->range);
    pthread_mutex_unlock(&g->pool->lock);
    if (!last) return;
    free(p);
    share_region_drop(g);
}

void share_free(struct share_region *g, uint64_t at) {
    pthread_mutex_lock(&g->pool->lock);
    struct share_place *p = weft_map_remove(&g->given, at);
    if (p) {
        leave_range(g->pool, p->range);
        p->range = NULL;
    }
    pthread_mutex_unlock(&g->pool->lock);
    share_put(p);
}

/* The memory stays for as long as the program has buffers there: it may have it mapped. */
void share_lost(struct share_region *g) {
    atomic_store(&g->lost, true);
    for (;;) {
        size_t it = 0;
        uint64_t at;
        pthread_mutex_lock(&g->pool->lock);
        struct share_place *p = weft_map_next(&g->given, &it, &at);
        if (p) {
            weft_map_remove(&g->given, at);
            p->range->lost = true;
        }
        pthread_mutex_unlock(&g->pool->lock);
        if (!p) return;
        share_put(p);
    }
}

char *share_memory(const struct share_place *p, size_t offset, size_t bytes) {
    struct share_pool *pool = p->region->pool;
    pthread_mutex_lock(&pool->lock);
    const struct share_range *r = p->range;
    char *at = r && offset <= r->room && bytes <= r->room - offset ? pool->memory + r->at + offset : NULL;
    pthread_mutex_unlock(&pool->lock);
    return at;
}

void share_fill(struct share_place *p, size_t bytes) {
    struct share_pool *pool = p->region->pool;
    pthread_mutex_lock(&pool->lock);
    struct share_range *r = p->range;
    bool fill = r && !r->filled && bytes >= r->room / 2 && bytes >= LEAST_FILL;
    if (fill) r->filled = true;
    char *at = fill ? pool->memory + r->at : NULL;
    size_t room = fill ? r->room : 0;
    pthread_mutex_unlock(&pool->lock);
    if (fill) madvise(at, room, MADV_POPULATE_WRITE);
}
