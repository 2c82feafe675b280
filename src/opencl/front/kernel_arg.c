/* Kernel arguments: clSetKernelArg. What an argument is comes from the meta data; where the driver did not
 * tell, the device is asked once, and its verdict on the size remembered. */
#include <stdlib.h>
#include <string.h>

#include "opencl/front/entries.h"
#include "opencl/front/kernel.h"

static bool is_image_or_sampler(const struct arg_meta *m) {
    if (m->access != CL_KERNEL_ARG_ACCESS_NONE) return true;
    return m->type_name && (strcmp(m->type_name, "sampler_t") == 0 || strncmp(m->type_name, "image", 5) == 0);
}

/* A value that is a live buffer of ours: how an argument that the meta data does not tell of is seen to be a
 * buffer. */
static bool holds_buffer(size_t size, const void *value) {
    cl_mem handle;
    if (size != sizeof handle || !value) return false;
    memcpy(&handle, value, sizeof handle);
    return mem_from(handle) != NULL;
}

/* Without the qualifiers: as what the argument takes was found out, else as the value looks. */
static cl_int kind_untold(const struct arg_meta *m, size_t size, const void *value, enum bk_arg_kind *kind) {
    switch (m->takes) {
    case TAKES_VALUE: *kind = BK_ARG_BYTES; return CL_SUCCESS;
    case TAKES_MEM: *kind = BK_ARG_MEM; return CL_SUCCESS;
    case TAKES_LOCAL: *kind = BK_ARG_LOCAL; return CL_SUCCESS;
    case TAKES_SAMPLER: return CL_INVALID_SAMPLER;
    case TAKES_QUEUE: return CL_INVALID_DEVICE_QUEUE;
    default:
        *kind = holds_buffer(size, value) ? BK_ARG_MEM : value ? BK_ARG_BYTES : BK_ARG_LOCAL;
        return CL_SUCCESS;
    }
}

static cl_int kind_of(const struct arg_meta *m, size_t size, const void *value, enum bk_arg_kind *kind) {
    if (!m->known) return kind_untold(m, size, value, kind);
    if (m->address == CL_KERNEL_ARG_ADDRESS_LOCAL)
        *kind = BK_ARG_LOCAL;
    else if (m->address != CL_KERNEL_ARG_ADDRESS_PRIVATE)
        *kind = BK_ARG_MEM;
    else if (is_image_or_sampler(m))
        return m->type_name && strcmp(m->type_name, "sampler_t") == 0 ? CL_INVALID_SAMPLER
                                                                      : CL_INVALID_MEM_OBJECT;
    else
        *kind = BK_ARG_BYTES;
    return CL_SUCCESS;
}

static cl_int take_mem(struct kernel *k, struct kernel_arg *a, size_t size, const void *value) {
    cl_mem handle = NULL;
    if (size != sizeof handle) return CL_INVALID_ARG_SIZE;
    if (value) memcpy(&handle, value, sizeof handle);
    struct mem *m = handle ? mem_from(handle) : NULL;
    if (handle && (!m || m->context != k->program->context)) return CL_INVALID_MEM_OBJECT;
    /* The same object again changes nothing for the backends. */
    bool same = a->set && a->kind == BK_ARG_MEM && a->mem == m && (!m || a->mem_serial == m->object.serial);
    a->mem = m;
    a->mem_serial = m ? m->object.serial : 0;
    if (!same) a->version++;
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
        rc = take_mem(k, a, size, value);
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
