/* Kernel arguments: clSetKernelArg. What an argument is comes from the meta data; where the driver did not
 * tell, the device is asked once, and its verdict on the size remembered. */
#include <stdlib.h>
#include <string.h>

#include "opencl/front/entries.h"
#include "opencl/front/kernel.h"

static bool is_pipe(const struct arg_meta *m) {
    return m->known && (m->type_qualifier & CL_KERNEL_ARG_TYPE_PIPE);
}

bool kernel_arg_is_image(const struct arg_meta *m) {
    if (!m->known || is_pipe(m)) return false;
    return m->access != CL_KERNEL_ARG_ACCESS_NONE || (m->type_name && strncmp(m->type_name, "image", 5) == 0);
}

static bool is_of_type(const struct arg_meta *m, const char *type) {
    return m->known && m->type_name && strcmp(m->type_name, type) == 0;
}

/* Whether the value is a live object of ours: how an argument that the meta data does not tell of is seen to
 * be one. */
static bool holds(size_t size, const void *value, enum object_kind kind) {
    void *handle;
    if (size != sizeof handle || !value) return false;
    memcpy(&handle, value, sizeof handle);
    return object_check(handle, kind) != NULL;
}

/* Without the qualifiers: as what the argument takes was found out, else as the value looks. */
static cl_int kind_untold(const struct arg_meta *m, size_t size, const void *value, enum bk_arg_kind *kind) {
    switch (m->takes) {
    case TAKES_VALUE: *kind = BK_ARG_BYTES; return CL_SUCCESS;
    case TAKES_MEM: *kind = BK_ARG_MEM; return CL_SUCCESS;
    case TAKES_LOCAL: *kind = BK_ARG_LOCAL; return CL_SUCCESS;
    case TAKES_SAMPLER: *kind = BK_ARG_SAMPLER; return CL_SUCCESS;
    case TAKES_QUEUE: *kind = BK_ARG_QUEUE; return CL_SUCCESS;
    default: break;
    }
    bool sampler = holds(size, value, OBJECT_SAMPLER), queue = holds(size, value, OBJECT_QUEUE);
    *kind = holds(size, value, OBJECT_MEM) ? BK_ARG_MEM
            : sampler                      ? BK_ARG_SAMPLER
            : queue                        ? BK_ARG_QUEUE
            : value                        ? BK_ARG_BYTES
                                           : BK_ARG_LOCAL;
    return CL_SUCCESS;
}

static cl_int kind_of(const struct arg_meta *m, size_t size, const void *value, enum bk_arg_kind *kind) {
    if (!m->known) return kind_untold(m, size, value, kind);
    if (is_of_type(m, "sampler_t"))
        *kind = BK_ARG_SAMPLER;
    else if (is_of_type(m, "queue_t"))
        *kind = BK_ARG_QUEUE;
    else if (kernel_arg_is_image(m) || is_pipe(m))
        *kind = BK_ARG_MEM;
    else if (m->address == CL_KERNEL_ARG_ADDRESS_LOCAL)
        *kind = BK_ARG_LOCAL;
    else if (m->address != CL_KERNEL_ARG_ADDRESS_PRIVATE)
        *kind = BK_ARG_MEM;
    else
        *kind = BK_ARG_BYTES;
    return CL_SUCCESS;
}

/* The same object again changes nothing for the backends. */
static void take_object(struct kernel_arg *a, enum bk_arg_kind kind, struct object *o) {
    bool same = a->set && a->kind == kind && a->object == o && (!o || a->serial == o->serial);
    a->object = o;
    a->serial = o ? o->serial : 0;
    if (!same) a->version++;
}

/* A pipe for a pipe; an image for an image, which the kernel may read, or write, as it says; a buffer for the
 * rest. */
static cl_int check_mem(const struct arg_meta *meta, const struct mem *m) {
    bool image = kernel_arg_is_image(meta), pipe = is_pipe(meta);
    if (pipe != (m && mem_is_pipe(m))) return CL_INVALID_MEM_OBJECT;
    if (image != (m && m->image)) return image || m ? CL_INVALID_MEM_OBJECT : CL_SUCCESS;
    if (!image) return CL_SUCCESS;
    bool reads = meta->access == CL_KERNEL_ARG_ACCESS_READ_ONLY,
         writes = meta->access == CL_KERNEL_ARG_ACCESS_WRITE_ONLY;
    if ((reads && (m->flags & CL_MEM_WRITE_ONLY)) || (writes && (m->flags & CL_MEM_READ_ONLY)))
        return CL_INVALID_ARG_VALUE;
    return CL_SUCCESS;
}

static cl_int take_mem(struct kernel *k, struct kernel_arg *a, const struct arg_meta *meta, size_t size,
                       const void *value) {
    cl_mem handle = NULL;
    if (size != sizeof handle) return CL_INVALID_ARG_SIZE;
    if (value) memcpy(&handle, value, sizeof handle);
    struct mem *m = handle ? mem_from(handle) : NULL;
    if (handle && (!m || m->context != k->program->context)) return CL_INVALID_MEM_OBJECT;
    cl_int rc = meta->known ? check_mem(meta, m) : CL_SUCCESS;
    if (rc == CL_SUCCESS) take_object(a, BK_ARG_MEM, (struct object *)m);
    return rc;
}

/* Of an argument that must be a handle. */
static cl_int take_handle(size_t size, const void *value, cl_int invalid, void **handle) {
    if (size != sizeof *handle) return CL_INVALID_ARG_SIZE;
    if (!value) return invalid;
    memcpy(handle, value, sizeof *handle);
    return CL_SUCCESS;
}

static cl_int take_sampler(struct kernel *k, struct kernel_arg *a, size_t size, const void *value) {
    void *handle;
    cl_int rc = take_handle(size, value, CL_INVALID_SAMPLER, &handle);
    if (rc != CL_SUCCESS) return rc;
    struct sampler *s = sampler_from(handle);
    if (!s || s->context != k->program->context) return CL_INVALID_SAMPLER;
    take_object(a, BK_ARG_SAMPLER, (struct object *)s);
    return CL_SUCCESS;
}

static cl_int take_queue(struct kernel *k, struct kernel_arg *a, size_t size, const void *value) {
    void *handle;
    cl_int rc = take_handle(size, value, CL_INVALID_DEVICE_QUEUE, &handle);
    if (rc != CL_SUCCESS) return rc;
    struct queue *q = device_queue_from(handle);
    if (!q || q->context != k->program->context) return CL_INVALID_DEVICE_QUEUE;
    take_object(a, BK_ARG_QUEUE, (struct object *)q);
    return CL_SUCCESS;
}

static cl_int take_local(struct kernel_arg *a, size_t size, const void *value) {
    if (value) return CL_INVALID_ARG_VALUE;
    if (size == 0) return CL_INVALID_ARG_SIZE;
    if (!a->set || a->kind != BK_ARG_LOCAL || a->size != size) a->version++;
    return CL_SUCCESS;
}

static cl_int take_bytes(struct kernel_arg *a, size_t size, const void *value) {
    if (!value) return CL_INVALID_ARG_VALUE;
    unsigned char *to = a->small;
    if (size > KERNEL_ARG_SMALL) {
        if (size > a->heap_room) {
            unsigned char *more = realloc(a->heap, size);
            if (!more) return CL_OUT_OF_HOST_MEMORY;
            a->heap = more;
            a->heap_room = size;
        }
        to = a->heap;
    }
    bool same = a->set && a->kind == BK_ARG_BYTES && a->size == size && memcmp(to, value, size) == 0;
    if (same) return CL_SUCCESS;
    memcpy(to, value, size);
    a->version++;
    return CL_SUCCESS;
}

/* Asks the device about an argument whose size is not known, by setting it there. The first size that it
 * accepts is kept in the program's meta data. */
static cl_int ask_device(struct kernel *k, cl_uint index, enum bk_arg_kind kind, size_t size,
                         const void *value) {
    struct backend *b = k->program->context->slots[k->first_slot].backend;
    struct kernel_part *part = &k->parts[k->first_slot];
    struct bk_arg a = {.kind = kind, .index = index, .size = size, .bytes = value};
    cl_int rc = CL_SUCCESS;
    if (!part->ref)
        rc = b->ops->create_kernel(b, k->program->parts[k->first_slot].ref, part->meta->name, &part->ref);
    if (rc == CL_SUCCESS) rc = b->ops->set_arg(b, part->ref, &a, true);
    if (rc == CL_SUCCESS && kind == BK_ARG_BYTES)
        __atomic_store_n(&k->meta->args[index].size, size, __ATOMIC_RELAXED);
    return rc;
}

static cl_int set_arg(struct kernel *k, cl_uint index, size_t size, const void *value) {
    const struct arg_meta *m = &k->meta->args[index];
    struct kernel_arg *a = &k->args[index];
    enum bk_arg_kind kind;
    cl_int rc = kind_of(m, size, value, &kind);
    if (rc != CL_SUCCESS) return rc;
    size_t wanted = __atomic_load_n(&m->size, __ATOMIC_RELAXED);
    if (kind == BK_ARG_BYTES && wanted && size != wanted) return CL_INVALID_ARG_SIZE;
    if (kind == BK_ARG_BYTES && !value) return CL_INVALID_ARG_VALUE;
    if (kind == BK_ARG_BYTES && !wanted) rc = ask_device(k, index, kind, size, value);
    if (rc != CL_SUCCESS) return rc;
    if (kind == BK_ARG_MEM)
        rc = take_mem(k, a, m, size, value);
    else if (kind == BK_ARG_SAMPLER)
        rc = take_sampler(k, a, size, value);
    else if (kind == BK_ARG_QUEUE)
        rc = take_queue(k, a, size, value);
    else if (kind == BK_ARG_LOCAL)
        rc = take_local(a, size, value);
    else
        rc = take_bytes(a, size, value);
    if (rc != CL_SUCCESS) return rc;
    a->kind = kind;
    a->size = size;
    a->set = true;
    return rc;
}

cl_int weft_clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value) {
    struct kernel *k = kernel_from(kernel);
    if (!k) return CL_INVALID_KERNEL;
    if (index >= k->arg_count) return CL_INVALID_ARG_INDEX;
    pthread_mutex_lock(&k->lock);
    cl_int rc = set_arg(k, index, size, value);
    pthread_mutex_unlock(&k->lock);
    return rc;
}
