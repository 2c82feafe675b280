/* Executor: buffers in memory of its own, of devices that work in the host's memory. A transfer that nothing
 * is left to wait for (WIRE_TURN) needs no command of the driver's then: what arrives is received where the
 * buffer is, and a read leaves from there.
 *
 * The client says that a transfer's turn has come, and keeps later commands of its queue back until it has
 * ended (remote/host.c). If that is not true its own buffer has the wrong contents, and nobody else's: the
 * memory stays for as long as the endpoint uses it, whatever becomes of the buffer. */
#include <stdlib.h>

#include "opencl/executor/internal.h"

#define PAGE ((size_t)4096)

struct memory {
    atomic_uint holds;
    char *at;
};

/* A buffer, or a part of one. */
struct hosted {
    struct memory *memory; /* held */
    size_t offset, bytes;
};

/* ---- memory ---- */
static struct memory *create(size_t bytes) {
    size_t align = bytes < PAGE ? WIRE_PLACE_ALIGN : PAGE;
    struct memory *m = bytes <= SIZE_MAX - align ? malloc(sizeof *m) : NULL;
    if (!m) return NULL;
    m->holds = 1;
    m->at = aligned_alloc(align, (bytes + align - 1) / align * align);
    if (m->at) return m;
    free(m);
    return NULL;
}

static struct memory *hold(struct memory *m) {
    atomic_fetch_add(&m->holds, 1);
    return m;
}

void memory_put(struct memory *m) {
    if (!m || atomic_fetch_sub(&m->holds, 1) != 1) return;
    free(m->at);
    free(m);
}

/* ---- the buffers there ---- */
static void CL_CALLBACK on_gone(cl_mem m, void *memory) { memory_put(memory); }

static void drop(struct hosted *h) {
    if (h) memory_put(h->memory);
    free(h);
}

/* Takes the memory over. */
static void enter(struct executor *x, uint64_t handle, struct memory *m, size_t offset, size_t bytes) {
    struct hosted *h = malloc(sizeof *h);
    if (!h) {
        memory_put(m);
        return;
    }
    *h = (struct hosted){m, offset, bytes};
    pthread_mutex_lock(&x->in_lock);
    int rc = weft_map_put(&x->hosted, handle, h);
    pthread_mutex_unlock(&x->in_lock);
    if (rc) drop(h);
}

cl_mem hosted_create(struct executor *x, cl_context context, uint64_t handle, cl_mem_flags flags,
                     size_t bytes) {
    const cl_icd_dispatch *d = DRIVER(context);
    struct memory *memory = bytes ? create(bytes) : NULL;
    cl_int err = CL_SUCCESS;
    cl_mem m = memory ? d->clCreateBuffer(context, flags, bytes, memory->at, &err) : NULL;
    if (!m) {
        memory_put(memory);
        return NULL;
    }
    if (d->clSetMemObjectDestructorCallback(m, on_gone, memory)) {
        d->clReleaseMemObject(m);
        return NULL; /* the memory is given up: the driver may use it for as long as it likes */
    }
    enter(x, handle, hold(memory), 0, bytes); /* if not, it is a buffer like any other */
    return m;
}

struct memory *hosted_find(struct executor *x, uint64_t handle, uint64_t offset, uint64_t bytes, char **at) {
    pthread_mutex_lock(&x->in_lock);
    const struct hosted *h = weft_map_get(&x->hosted, handle);
    bool inside = h && offset <= h->bytes && bytes <= h->bytes - offset;
    struct memory *m = inside ? hold(h->memory) : NULL;
    if (m) *at = m->at + h->offset + offset;
    pthread_mutex_unlock(&x->in_lock);
    return m;
}

void hosted_part(struct executor *x, uint64_t parent, uint64_t handle, size_t origin, size_t bytes) {
    char *at;
    struct memory *m = hosted_find(x, parent, origin, bytes, &at);
    if (m) enter(x, handle, m, (size_t)(at - m->at), bytes);
}

void hosted_forget(struct executor *x, uint64_t handle) {
    pthread_mutex_lock(&x->in_lock);
    struct hosted *h = weft_map_remove(&x->hosted, handle);
    pthread_mutex_unlock(&x->in_lock);
    drop(h);
}

void hosted_fini(struct executor *x) {
    size_t it = 0;
    uint64_t handle;
    struct hosted *h;
    while ((h = weft_map_next(&x->hosted, &it, &handle))) drop(h);
    weft_map_fini(&x->hosted);
}
