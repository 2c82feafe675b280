/* Memory descriptors (Dma_Setup, DMA_Cleanup) and the ranges that operations take of them. */
#include "fabric/count.h"
#include "fabric/fabric.h"
#include "fabric/pin.h"

#include <stdlib.h>
#include <sys/mman.h>

#define SHARED_BYTES ((size_t)64 << 10) /* from there on memory that peers of this host can map */

struct weft_mem {
    struct weft_list node; /* in weft.mems */
    struct weft *w;
    uint8_t *ptr;
    size_t bytes;
    struct pin *pin; /* static; NULL: dynamic */
    size_t users;    /* operations, posts and windows */
};

int weft_dma_setup(struct weft *w, void *ptr, size_t bytes, enum weft_pinning pinning,
                   struct weft_mem **out) {
    if (!ptr || !bytes || (uintptr_t)ptr > UINTPTR_MAX - bytes) return WEFT_E_INVAL;
    if ((pinning != WEFT_PIN_STATIC && pinning != WEFT_PIN_DYNAMIC) || !pin_is_mapped(ptr, bytes))
        return WEFT_E_INVAL;
    struct weft_mem *mem = calloc(1, sizeof *mem);
    if (!mem) return WEFT_E_NOMEM;
    *mem = (struct weft_mem){.w = w, .ptr = ptr, .bytes = bytes};
    int rc = pinning == WEFT_PIN_STATIC ? pin_take(ptr, bytes, &mem->pin) : 0;
    if (rc) {
        free(mem);
        return rc;
    }
    pthread_mutex_lock(&w->lock);
    weft_list_push_back(&w->mems, &mem->node);
    pthread_mutex_unlock(&w->lock);
    *out = mem;
    return 0;
}

static void destroy(struct weft_mem *mem) {
    pin_give(mem->pin);
    free(mem);
}

int weft_dma_cleanup(struct weft_mem *mem) {
    if (!mem) return WEFT_E_INVAL;
    pthread_mutex_lock(&mem->w->lock);
    bool used = mem->users > 0;
    if (!used) weft_list_remove(&mem->node);
    pthread_mutex_unlock(&mem->w->lock);
    if (used) return WEFT_E_BUSY;
    destroy(mem);
    return 0;
}

void mem_free_all(struct weft *w) {
    for (struct weft_list *n; (n = weft_list_pop_front(&w->mems));)
        destroy(weft_list_entry(n, struct weft_mem, node));
}

void *weft_mem_pointer(const struct weft_mem *mem) { return mem->ptr; }
size_t weft_mem_bytes(const struct weft_mem *mem) { return mem->bytes; }

int buf_take(struct weft *w, const struct weft_buf *buf, void **ptr, struct pin **pin) {
    struct weft_mem *mem = buf->mem;
    *pin = NULL;
    *ptr = buf->ptr;
    if (!mem) return buf->bytes && !buf->ptr ? WEFT_E_INVAL : 0;
    if (mem->w != w || buf->offset > mem->bytes || buf->bytes > mem->bytes - buf->offset) return WEFT_E_INVAL;
    *ptr = mem->ptr + buf->offset;
    pthread_mutex_lock(&w->lock);
    mem->users++;
    pthread_mutex_unlock(&w->lock);
    if (!buf_is_unpinned(w, mem, NULL, buf->bytes)) return 0;
    if (pin_take(*ptr, buf->bytes, pin)) fabric_count(COUNT_UNPINNED, 1);
    return 0;
}

bool buf_is_unpinned(const struct weft *w, const struct weft_mem *mem, const struct pin *pin, size_t bytes) {
    return mem && !mem->pin && !pin && bytes > w->ordered_bytes;
}

void buf_give(struct weft_mem *mem, struct pin *pin) {
    if (mem) mem->users--;
    pin_give(pin);
}

/* -- memory that suits the fabric -- */

int weft_alloc(struct weft *w, size_t bytes, void **out) {
    if (!bytes) return WEFT_E_INVAL;
    if (bytes > SIZE_MAX / 2) return WEFT_E_NOMEM;
    void *p = bytes >= SHARED_BYTES
                  ? ep_alloc(w->ep, bytes)
                  : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!p || p == MAP_FAILED) return WEFT_E_NOMEM;
    *out = p;
    return 0;
}

void weft_free(struct weft *w, void *ptr, size_t bytes) {
    if (!ptr) return;
    if (bytes >= SHARED_BYTES)
        ep_free(w->ep, ptr);
    else
        munmap(ptr, bytes);
}
