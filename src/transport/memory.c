/* Memory for large data: from an adapter whose peers can map it, else from the system, in huge pages. */
#include "base/error.h"
#include "base/log.h"
#include "transport/ep_internal.h"

#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

/* Memory that no adapter gave. */
struct ep_memory {
    struct weft_list node;
    void *ptr, *mapping;
    size_t mapping_bytes;
};

static void *from_system(struct ep *ep, size_t bytes) {
    struct ep_memory *m = bytes && bytes <= SIZE_MAX - HUGE_PAGE ? calloc(1, sizeof *m) : NULL;
    if (!m) return NULL;
    size_t slack = bytes < HUGE_PAGE ? 0 : HUGE_PAGE;
    m->mapping_bytes = bytes + slack;
    m->mapping = mmap(NULL, m->mapping_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->mapping == MAP_FAILED) {
        free(m);
        return NULL;
    }
    uintptr_t at = (uintptr_t)m->mapping;
    if (slack) at = (at + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
    m->ptr = (void *)at;
    if (slack) madvise(m->ptr, bytes, MADV_HUGEPAGE);
    pthread_mutex_lock(&ep->lock);
    weft_list_push_back(&ep->memory, &m->node);
    pthread_mutex_unlock(&ep->lock);
    return m->ptr;
}

void *ep_alloc(struct ep *ep, size_t bytes) {
    void *ptr;
    if (!ep_is_ours(ep)) return NULL;
    for (size_t i = 0; i < ep->link_count; i++) {
        struct adapter *a = ep->links[i].adapter;
        if (a->attr.caps & ADAPTER_CAP_ALLOC && a->ops->alloc(a, bytes, &ptr) == 0) return ptr;
    }
    return from_system(ep, bytes);
}

static void memory_free(struct ep_memory *m) {
    weft_list_remove(&m->node);
    munmap(m->mapping, m->mapping_bytes);
    free(m);
}

static bool free_own(struct ep *ep, const void *ptr) {
    weft_list_for_each_safe(it, &ep->memory) {
        struct ep_memory *m = weft_list_entry(it, struct ep_memory, node);
        if (m->ptr != ptr) continue;
        memory_free(m);
        return true;
    }
    return false;
}

void ep_free(struct ep *ep, void *ptr) {
    if (!ptr || !ep_is_ours(ep)) return;
    pthread_mutex_lock(&ep->lock);
    bool done = free_own(ep, ptr);
    for (size_t i = 0; i < ep->link_count && !done; i++) {
        struct adapter *a = ep->links[i].adapter;
        done = a->attr.caps & ADAPTER_CAP_ALLOC && a->ops->dealloc(a, ptr);
    }
    pthread_mutex_unlock(&ep->lock);
    if (!done) weft_error("transport", "ep_free: %p is not from ep_alloc of this endpoint", ptr);
}

void ep_memory_fini(struct ep *ep) {
    while (!weft_list_empty(&ep->memory))
        memory_free(weft_list_entry(ep->memory.next, struct ep_memory, node));
}
