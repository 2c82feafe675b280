/* Shared virtual memory: allocation, mapping, kernels' pointers. The commands that copy are in enqueue_svm.c.
 */
#include "opencl/front/svm.h"

#include <stdlib.h>
#include <string.h>

#include "opencl/front/entries.h"
#include "opencl/front/kernel.h"
#include "opencl/front/usage.h"

#define ACCESS_FLAGS  (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY | CL_MEM_READ_ONLY)
#define GRAIN_FLAGS   (CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS)
#define ALIGNMENT_MAX 128u /* of the largest type, long16 */

cl_device_svm_capabilities svm_capabilities(const struct device *d) {
    cl_device_svm_capabilities own = 0;
    const struct inventory_info *info = inventory_find(&d->own->infos, CL_DEVICE_SVM_CAPABILITIES);
    if (info && info->size == sizeof own) memcpy(&own, info->value, sizeof own);
    if (d->backend->direct) return own & ~(cl_device_svm_capabilities)CL_DEVICE_SVM_FINE_GRAIN_SYSTEM;
    return own & CL_DEVICE_SVM_COARSE_GRAIN_BUFFER;
}

/* List lock held. */
static struct svm *find(struct context *c, const void *ptr) {
    weft_list_for_each(it, &c->svms) {
        struct svm *s = weft_list_entry(it, struct svm, link);
        if ((uintptr_t)ptr - (uintptr_t)s->ptr < s->size) return s;
    }
    return NULL;
}

bool svm_find(struct context *c, const void *ptr, struct svm *out) {
    pthread_mutex_lock(&c->list_lock);
    const struct svm *s = find(c, ptr);
    if (s) *out = *s;
    pthread_mutex_unlock(&c->list_lock);
    return s;
}

static bool flags_fit(const struct context *c, cl_svm_mem_flags flags) {
    cl_svm_mem_flags access = flags & ACCESS_FLAGS;
    cl_device_svm_capabilities able = ~(cl_device_svm_capabilities)0;
    if (flags & ~(cl_svm_mem_flags)(ACCESS_FLAGS | GRAIN_FLAGS) || (access & (access - 1))) return false;
    for (cl_uint i = 0; i < c->device_count; i++) able &= svm_capabilities(c->devices[i]);
    if (!able) return false;
    if ((flags & CL_MEM_SVM_FINE_GRAIN_BUFFER) && !(able & CL_DEVICE_SVM_FINE_GRAIN_BUFFER)) return false;
    if (!(flags & CL_MEM_SVM_ATOMICS)) return true;
    return (flags & CL_MEM_SVM_FINE_GRAIN_BUFFER) && (able & CL_DEVICE_SVM_ATOMICS);
}

static bool size_fits(const struct context *c, size_t size) {
    for (cl_uint i = 0; i < c->device_count; i++)
        if (c->devices[i]->own->max_alloc_bytes && size > c->devices[i]->own->max_alloc_bytes) return false;
    return size > 0;
}

void *weft_clSVMAlloc(cl_context context, cl_svm_mem_flags flags, size_t size, unsigned int alignment) {
    struct context *c = context_from(context);
    if (!c || c->tracked || !flags_fit(c, flags) || !size_fits(c, size)) return NULL;
    if (alignment > ALIGNMENT_MAX || (alignment & (alignment - 1))) return NULL;
    struct backend *b = c->slots[0].backend;
    struct svm *s = calloc(1, sizeof *s);
    void *ptr = NULL;
    if (!s || b->ops->svm_alloc(b, c->slots[0].ref, flags, size, alignment, &ptr, &s->ref) != CL_SUCCESS) {
        free(s);
        return NULL;
    }
    s->ptr = ptr;
    s->size = size;
    usage_memory(c, 0, size, true);
    pthread_mutex_lock(&c->list_lock);
    weft_list_push_back(&c->svms, &s->link);
    pthread_mutex_unlock(&c->list_lock);
    return ptr;
}

static void free_svm(struct context *c, struct svm *s) {
    struct backend *b = c->slots[0].backend;
    b->ops->svm_free(b, c->slots[0].ref, s->ptr, s->size, s->ref);
    usage_memory(c, 0, s->size, false);
    for (struct svm_mapping *m = s->mappings, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    free(s);
}

void weft_clSVMFree(cl_context context, void *ptr) {
    struct context *c = context_from(context);
    if (!c) return;
    pthread_mutex_lock(&c->list_lock);
    struct svm *s = find(c, ptr);
    if (s && s->ptr != ptr) s = NULL;
    if (s) weft_list_remove(&s->link);
    pthread_mutex_unlock(&c->list_lock);
    if (s) free_svm(c, s);
}

void svm_free_all(struct context *c) {
    struct weft_list *it;
    while ((it = weft_list_pop_front(&c->svms))) free_svm(c, weft_list_entry(it, struct svm, link));
}

/* ---- Kernels ---- */
static bool any_svm(const struct context *c) {
    for (cl_uint i = 0; i < c->device_count; i++)
        if (svm_capabilities(c->devices[i])) return true;
    return false;
}

static bool takes_pointer(const struct arg_meta *m) {
    return m->known
               ? m->address == CL_KERNEL_ARG_ADDRESS_GLOBAL || m->address == CL_KERNEL_ARG_ADDRESS_CONSTANT
               : m->takes == TAKES_MEM || m->takes == TAKES_UNKNOWN;
}

cl_int weft_clSetKernelArgSVMPointer(cl_kernel kernel, cl_uint index, const void *value) {
    struct kernel *k = kernel_from(kernel);
    struct svm s;
    if (!k) return CL_INVALID_KERNEL;
    if (!any_svm(k->program->context)) return CL_INVALID_OPERATION;
    if (index >= k->arg_count) return CL_INVALID_ARG_INDEX;
    if (!takes_pointer(&k->meta->args[index])) return CL_INVALID_ARG_VALUE;
    if (value && !svm_find(k->program->context, value, &s)) return CL_INVALID_ARG_VALUE;
    pthread_mutex_lock(&k->lock);
    struct kernel_arg *a = &k->args[index];
    a->kind = BK_ARG_SVM;
    a->set = true;
    a->size = sizeof value;
    memcpy(a->small, &value, sizeof value);
    a->version++;
    pthread_mutex_unlock(&k->lock);
    return CL_SUCCESS;
}

cl_int kernel_apply_exec_svm(struct kernel *k, cl_uint slot) {
    struct context *c = k->program->context;
    struct backend *b = c->slots[slot].backend;
    if (!k->exec_svm_changed) return CL_SUCCESS;
    bk_ref *refs = calloc((size_t)k->exec_svm_count + 1, sizeof *refs);
    cl_int rc = refs ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; rc == CL_SUCCESS && i < k->exec_svm_count; i++) {
        struct svm s;
        if (svm_find(c, k->exec_svm[i], &s))
            refs[i] = s.ref;
        else
            rc = CL_INVALID_KERNEL_ARGS;
    }
    if (rc == CL_SUCCESS)
        rc = b->ops->set_exec_svm(b, k->parts[slot].ref, k->exec_svm_count, k->exec_svm, refs);
    if (rc == CL_SUCCESS) k->exec_svm_changed = false;
    free(refs);
    return rc;
}

static cl_int set_pointers(struct kernel *k, size_t size, const void *value) {
    struct svm s;
    void *const *ptrs = value;
    cl_uint count = (cl_uint)(size / sizeof *ptrs);
    if (!value || !size || size % sizeof *ptrs) return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < count; i++)
        if (!svm_find(k->program->context, ptrs[i], &s)) return CL_INVALID_VALUE;
    void **copy = malloc(size);
    if (!copy) return CL_OUT_OF_HOST_MEMORY;
    memcpy(copy, ptrs, size);
    pthread_mutex_lock(&k->lock);
    free(k->exec_svm);
    k->exec_svm = copy;
    k->exec_svm_count = count;
    k->exec_svm_changed = true;
    pthread_mutex_unlock(&k->lock);
    return CL_SUCCESS;
}

cl_int weft_clSetKernelExecInfo(cl_kernel kernel, cl_kernel_exec_info param, size_t size, const void *value) {
    struct kernel *k = kernel_from(kernel);
    cl_bool system;
    if (!k) return CL_INVALID_KERNEL;
    if (!any_svm(k->program->context)) return CL_INVALID_OPERATION;
    switch (param) {
    case CL_KERNEL_EXEC_INFO_SVM_PTRS: return set_pointers(k, size, value);
    case CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM: /* no device here has it */
        if (!value || size != sizeof system) return CL_INVALID_VALUE;
        memcpy(&system, value, sizeof system);
        return system ? CL_INVALID_OPERATION : CL_SUCCESS;
    default: return CL_INVALID_VALUE;
    }
}
