/* Staging: small pieces from the heap, others mapped in powers of two and kept, large ones with huge pages
 * asked for. (For smaller ones too the system would clear a huge page for several that it puts side by side:
 * some 0.5 ms at the first touch.) */
#include "opencl/executor/staging.h"

#include <stdlib.h>
#include <sys/mman.h>

#define MAPPED_MIN ((size_t)64 << 10)
#define HUGE_MIN   ((size_t)2 << 20)
#define KEEP_BYTES ((size_t)256 << 20)

void staging_init(struct staging_pool *p, size_t cap_bytes) {
    pthread_mutex_init(&p->lock, NULL);
    weft_list_init(&p->kept);
    p->used_bytes = p->kept_bytes = 0;
    p->cap_bytes = cap_bytes;
    p->keep_bytes = KEEP_BYTES;
}

static void destroy(struct staging *s) {
    if (s->room >= MAPPED_MIN)
        munmap(s->mem, s->room);
    else
        free(s->mem);
    free(s);
}

void staging_fini(struct staging_pool *p) {
    struct weft_list *it;
    while ((it = weft_list_pop_front(&p->kept))) destroy(weft_list_entry(it, struct staging, link));
    pthread_mutex_destroy(&p->lock);
}

static size_t room_for(size_t bytes) {
    if (bytes < MAPPED_MIN) return bytes ? bytes : 1;
    size_t room = MAPPED_MIN;
    while (room < bytes) room *= 2;
    return room;
}

static struct staging *create(struct staging_pool *p, size_t room) {
    struct staging *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->pool = p;
    s->room = room;
    if (room < MAPPED_MIN) {
        s->mem = calloc(1, room);
    } else {
        s->mem = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (s->mem == MAP_FAILED)
            s->mem = NULL;
        else if (room >= HUGE_MIN)
            madvise(s->mem, room, MADV_HUGEPAGE);
    }
    if (s->mem) return s;
    free(s);
    return NULL;
}

/* Under the lock. */
static struct staging *take_kept(struct staging_pool *p, size_t room) {
    weft_list_for_each(it, &p->kept) {
        struct staging *s = weft_list_entry(it, struct staging, link);
        if (s->room != room) continue;
        weft_list_remove(&s->link);
        p->kept_bytes -= room;
        return s;
    }
    return NULL;
}

struct staging *staging_get(struct staging_pool *p, size_t bytes) {
    if (bytes > p->cap_bytes) return NULL;
    size_t room = room_for(bytes);
    pthread_mutex_lock(&p->lock);
    bool fits = room <= p->cap_bytes && p->used_bytes <= p->cap_bytes - room;
    if (fits) p->used_bytes += room;
    struct staging *s = fits ? take_kept(p, room) : NULL;
    pthread_mutex_unlock(&p->lock);
    if (!fits) return NULL;
    if (!s) s = create(p, room);
    if (s) {
        s->holds = 1;
        return s;
    }
    pthread_mutex_lock(&p->lock);
    p->used_bytes -= room;
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

void staging_hold(struct staging *s) { atomic_fetch_add(&s->holds, 1); }

void staging_put(struct staging *s) {
    if (!s || atomic_fetch_sub(&s->holds, 1) != 1) return;
    struct staging_pool *p = s->pool;
    pthread_mutex_lock(&p->lock);
    p->used_bytes -= s->room;
    bool keep = s->room >= MAPPED_MIN && p->kept_bytes + s->room <= p->keep_bytes;
    if (keep) {
        weft_list_push_front(&p->kept, &s->link);
        p->kept_bytes += s->room;
    }
    pthread_mutex_unlock(&p->lock);
    if (!keep) destroy(s);
}
