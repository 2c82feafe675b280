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

/* ---- the region ---- */
/* Address space is all that it takes; what that would be counted for is not done. */
static size_t region_bytes(void) {
    struct rlimit most;
    if (getrlimit(RLIMIT_AS, &most) || most.rlim_cur != RLIM_INFINITY) return 0;
    return 2 * (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

static bool make_object(struct share_region *g) {
    g->fd = memfd_create("weft-buffers", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (g->fd < 0) return false;
    if (ftruncate(g->fd, (off_t)g->bytes) || fcntl(g->fd, F_ADD_SEALS, SEALS)) return false;
    void *at = mmap(NULL, g->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, g->fd, 0);
    if (at == MAP_FAILED) return false;
    g->memory = at;
    madvise(at, g->bytes, MADV_DONTDUMP);
    madvise(at, g->bytes, MADV_DONTFORK);
    return true;
}

static void destroy(struct share_region *g) {
    for (unsigned i = 0; i < SHARE_SIZES; i++) {
        for (struct share_range *r = g->free[i], *next; r; r = next) {
            next = r->next;
            free(r);
        }
    }
    if (g->memory) munmap(g->memory, g->bytes);
    if (g->fd >= 0) close(g->fd);
    weft_map_fini(&g->given);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

struct share_region *share_region_create(void) {
    size_t bytes = weft_option_bool("opencl_shared_buffers") ? region_bytes() : 0;
    struct share_region *g = bytes ? calloc(1, sizeof *g) : NULL;
    if (!g) return NULL;
    *g = (struct share_region){.holds = 1, .fd = -1, .bytes = bytes, .end = HUGE_PAGE};
    pthread_mutex_init(&g->lock, NULL);
    weft_map_init(&g->given);
    if (make_object(g)) return g;
    weft_info("opencl", "no memory to share with executors: %m");
    destroy(g);
    return NULL;
}

void share_region_drop(struct share_region *g) {
    if (g && atomic_fetch_sub(&g->holds, 1) == 1) destroy(g);
}

bool share_identify(const struct share_region *g, struct share_id *out) {
    struct stat st;
    if (fstat(g->fd, &st)) return false;
    *out = (struct share_id){(uint32_t)getpid(), (uint32_t)g->fd, st.st_dev, st.st_ino};
    return true;
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

static struct share_range *new_range(struct share_region *g, size_t room) {
    size_t align = room >= HUGE_PAGE ? HUGE_PAGE : room >= PAGE ? PAGE : WIRE_PLACE_ALIGN;
    uint64_t at = (g->end + align - 1) / align * align;
    if (at > g->bytes || room > g->bytes - at) return NULL;
    struct share_range *r = malloc(sizeof *r);
    if (!r) return NULL;
    *r = (struct share_range){.at = at, .room = room};
    g->end = at + room;
    return r;
}

static struct share_range *take_range(struct share_region *g, size_t bytes) {
    unsigned size;
    size_t room = room_for(bytes, &size);
    struct share_range *r = g->free[size];
    if (!r) return new_range(g, room);
    g->free[size] = r->next;
    if (r->filled) g->free_bytes -= room;
    return r;
}

static void give_back(struct share_region *g, struct share_range *r) {
    unsigned size;
    room_for(r->room, &size);
    if (r->room >= LEAST_FILL) {
        /* Whoever wrote there: the pages count as there. */
        r->filled = g->free_bytes + r->room <= KEPT_BYTES;
        if (!r->filled &&
            fallocate(g->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)r->at, (off_t)r->room))
            weft_debug("opencl", "pages of a buffer are kept: %m");
        if (r->filled) g->free_bytes += r->room;
    }
    r->next = g->free[size];
    g->free[size] = r;
}

/* ---- places ---- */
struct share_place *share_take(struct share_region *g, size_t bytes) {
    struct share_place *p = bytes && bytes <= g->bytes ? calloc(1, sizeof *p) : NULL;
    if (!p) return NULL;
    pthread_mutex_lock(&g->lock);
    struct share_range *r = take_range(g, bytes);
    if (r) {
        *p = (struct share_place){.region = g, .holds = 2, .range = r, .at = r->at};
        if (weft_map_put(&g->given, r->at, p)) {
            give_back(g, r);
            r = NULL;
        }
    }
    pthread_mutex_unlock(&g->lock);
    if (!r) {
        free(p);
        return NULL;
    }
    atomic_fetch_add(&g->holds, 1);
    return p;
}

struct share_place *share_hold(struct share_place *p) {
    pthread_mutex_lock(&p->region->lock);
    p->holds++;
    pthread_mutex_unlock(&p->region->lock);
    return p;
}

void share_put(struct share_place *p) {
    if (!p) return;
    struct share_region *g = p->region;
    pthread_mutex_lock(&g->lock);
    bool last = !--p->holds;
    pthread_mutex_unlock(&g->lock);
    if (!last) return;
    free(p->range);
    free(p);
    share_region_drop(g);
}

void share_free(struct share_region *g, uint64_t at) {
    pthread_mutex_lock(&g->lock);
    struct share_place *p = weft_map_remove(&g->given, at);
    if (p) {
        give_back(g, p->range);
        p->range = NULL;
    }
    pthread_mutex_unlock(&g->lock);
    share_put(p);
}

/* The memory stays for as long as the program has buffers there: it may have it mapped. */
void share_lost(struct share_region *g) {
    atomic_store(&g->lost, true);
    for (;;) {
        size_t it = 0;
        uint64_t at;
        pthread_mutex_lock(&g->lock);
        struct share_place *p = weft_map_next(&g->given, &it, &at);
        if (p) weft_map_remove(&g->given, at);
        pthread_mutex_unlock(&g->lock);
        if (!p) return;
        share_put(p);
    }
}

char *share_memory(const struct share_place *p, size_t offset, size_t bytes) {
    struct share_region *g = p->region;
    pthread_mutex_lock(&g->lock);
    const struct share_range *r = p->range;
    char *at = r && offset <= r->room && bytes <= r->room - offset ? g->memory + r->at + offset : NULL;
    pthread_mutex_unlock(&g->lock);
    return at;
}

void share_fill(struct share_place *p, size_t bytes) {
    struct share_region *g = p->region;
    pthread_mutex_lock(&g->lock);
    struct share_range *r = p->range;
    bool fill = r && !r->filled && bytes >= r->room / 2 && bytes >= LEAST_FILL;
    if (fill) r->filled = true;
    char *at = fill ? g->memory + r->at : NULL;
    size_t room = fill ? r->room : 0;
    pthread_mutex_unlock(&g->lock);
    if (fill) madvise(at, room, MADV_POPULATE_WRITE);
}
