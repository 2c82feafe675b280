/* Kernels: creation, cloning, references, end. */
#include "opencl/front/kernel.h"

#include <stdlib.h>
#include <string.h>

#include "opencl/front/entries.h"
#include "opencl/front/svm.h"

static void kernel_end(void *object) {
    struct kernel *k = object;
    struct context *c = k->program->context;
    for (cl_uint i = 0; k->parts && i < c->slot_count; i++) {
        if (k->parts[i].ref)
            c->slots[i].backend->ops->release(c->slots[i].backend, BK_KERNEL, k->parts[i].ref);
        free(k->parts[i].applied);
    }
    for (cl_uint i = 0; k->args && i < k->arg_count; i++) free(k->args[i].heap);
    free(k->parts);
    free(k->args);
    free(k->exec_svm);
    pthread_mutex_destroy(&k->lock);
    atomic_fetch_sub(&k->program->kernels, 1);
    object_drop(k->program);
}

/* Counted among the program's kernels at once, so that no build begins. */
static struct kernel *kernel_new(struct program *p) {
    struct kernel *k = object_new(OBJECT_KERNEL, sizeof *k, kernel_end);
    if (!k) return NULL;
    object_hold(p);
    atomic_fetch_add(&p->kernels, 1);
    k->program = p;
    pthread_mutex_init(&k->lock, NULL);
    k->parts = calloc(p->context->slot_count, sizeof *k->parts);
    if (k->parts) return k;
    object_drop(k);
    return NULL;
}

static cl_int find_in_parts(struct kernel *k, const char *name) {
    struct program *p = k->program;
    bool built = false;
    for (cl_uint slot = 0; slot < p->context->slot_count; slot++) {
        const struct program_meta *m = program_built_meta(p, slot);
        if (!m) continue;
        built = true;
        const struct kernel_meta *meta = program_meta_kernel(m, name);
        if (!meta) continue;
        if (k->meta && k->meta->arg_count != meta->arg_count) return CL_INVALID_KERNEL_DEFINITION;
        k->parts[slot].meta = meta;
        k->parts[slot].applied = calloc((size_t)meta->arg_count + 1, sizeof *k->parts[slot].applied);
        if (!k->parts[slot].applied) return CL_OUT_OF_HOST_MEMORY;
        if (!k->meta) k->first_slot = slot;
        if (!k->meta) k->meta = meta;
    }
    if (!built) return CL_INVALID_PROGRAM_EXECUTABLE;
    return k->meta ? CL_SUCCESS : CL_INVALID_KERNEL_NAME;
}

cl_int kernel_part(struct kernel *k, cl_uint slot) {
    if (k->parts[slot].ref) return CL_SUCCESS;
    struct program *p = k->program;
    struct backend *b = p->context->slots[slot].backend;
    if (!k->parts[slot].meta) return CL_INVALID_PROGRAM_EXECUTABLE;
    return b->ops->create_kernel(b, p->parts[slot].ref, k->parts[slot].meta->name, &k->parts[slot].ref);
}

static cl_int create(struct program *p, const char *name, struct kernel **out) {
    struct kernel *k = kernel_new(p);
    if (!k) return CL_OUT_OF_HOST_MEMORY;
    pthread_mutex_lock(&p->lock);
    cl_int rc = find_in_parts(k, name);
    pthread_mutex_unlock(&p->lock);
    if (rc == CL_SUCCESS) {
        k->args = calloc((size_t)k->meta->arg_count + 1, sizeof *k->args);
        if (!k->args) rc = CL_OUT_OF_HOST_MEMORY;
        k->arg_count = k->args ? k->meta->arg_count : 0;
    }
    if (rc == CL_SUCCESS && !p->context->tracked) rc = kernel_part(k, 0);
    if (rc == CL_SUCCESS)
        *out = k;
    else
        object_drop(k);
    return rc;
}

cl_kernel weft_clCreateKernel(cl_program program, const char *name, cl_int *errcode_ret) {
    struct kernel *k = NULL;
    struct program *p = program_from(program);
    cl_int rc = !p ? CL_INVALID_PROGRAM : !name ? CL_INVALID_VALUE : create(p, name, &k);
    if (errcode_ret) *errcode_ret = rc;
    return (cl_kernel)k;
}

/* Names of all kernels, as copies: a build might end meanwhile. */
static cl_int kernel_names(struct program *p, char ***names, cl_uint *count) {
    cl_int rc = CL_INVALID_PROGRAM_EXECUTABLE;
    pthread_mutex_lock(&p->lock);
    const struct program_meta *m = NULL;
    for (cl_uint slot = 0; slot < p->context->slot_count && !m; slot++) m = program_built_meta(p, slot);
    if (m) {
        *names = calloc((size_t)m->kernel_count + 1, sizeof(char *));
        rc = *names ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
        for (*count = 0; rc == CL_SUCCESS && *count < m->kernel_count; ++*count) {
            (*names)[*count] = strdup(m->kernels[*count].name);
            if (!(*names)[*count]) rc = CL_OUT_OF_HOST_MEMORY;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static cl_int create_all(struct program *p, char *const *names, cl_uint count, cl_kernel *kernels) {
    for (cl_uint i = 0; i < count; i++) {
        struct kernel *k;
        cl_int rc = create(p, names[i], &k);
        if (rc == CL_SUCCESS) {
            kernels[i] = (cl_kernel)k;
            continue;
        }
        while (i--) weft_clReleaseKernel(kernels[i]);
        return rc;
    }
    return CL_SUCCESS;
}

cl_int weft_clCreateKernelsInProgram(cl_program program, cl_uint num_kernels, cl_kernel *kernels,
                                     cl_uint *num_ret) {
    struct program *p = program_from(program);
    if (!p) return CL_INVALID_PROGRAM;
    char **names = NULL;
    cl_uint count = 0;
    cl_int rc = kernel_names(p, &names, &count);
    if (rc == CL_SUCCESS && kernels && num_kernels < count) rc = CL_INVALID_VALUE;
    if (rc == CL_SUCCESS && kernels) rc = create_all(p, names, count, kernels);
    if (rc == CL_SUCCESS && num_ret) *num_ret = count;
    for (cl_uint i = 0; names && i < count; i++) free(names[i]);
    free(names);
    return rc;
}

static cl_int copy_args(struct kernel *to, struct kernel *from) {
    to->exec_svm = from->exec_svm_count ? malloc(from->exec_svm_count * sizeof *to->exec_svm) : NULL;
    if (from->exec_svm_count && !to->exec_svm) return CL_OUT_OF_HOST_MEMORY;
    if (to->exec_svm) memcpy(to->exec_svm, from->exec_svm, from->exec_svm_count * sizeof *to->exec_svm);
    to->exec_svm_count = from->exec_svm_count;
    to->exec_svm_changed = to->exec_svm != NULL;
    for (cl_uint i = 0; i < from->arg_count; i++) {
        to->args[i] = from->args[i];
        to->args[i].heap = NULL;
        to->args[i].heap_room = 0;
        if (!from->args[i].heap || from->args[i].kind != BK_ARG_BYTES ||
            from->args[i].size <= KERNEL_ARG_SMALL)
            continue;
        to->args[i].heap = malloc(from->args[i].size);
        if (!to->args[i].heap) return CL_OUT_OF_HOST_MEMORY;
        to->args[i].heap_room = from->args[i].size;
        memcpy(to->args[i].heap, from->args[i].heap, from->args[i].size);
    }
    return CL_SUCCESS;
}

cl_kernel weft_clCloneKernel(cl_kernel source, cl_int *errcode_ret) {
    struct kernel *copy = NULL, *k = kernel_from(source);
    cl_int rc = k ? create(k->program, k->meta->name, &copy) : CL_INVALID_KERNEL;
    if (rc == CL_SUCCESS) {
        pthread_mutex_lock(&k->lock);
        rc = copy_args(copy, k);
        pthread_mutex_unlock(&k->lock);
        if (rc != CL_SUCCESS) object_drop(copy);
    }
    if (errcode_ret) *errcode_ret = rc;
    return rc == CL_SUCCESS ? (cl_kernel)copy : NULL;
}

cl_int weft_clRetainKernel(cl_kernel kernel) {
    struct kernel *k = kernel_from(kernel);
    if (!k) return CL_INVALID_KERNEL;
    object_retain(k);
    return CL_SUCCESS;
}

cl_int weft_clReleaseKernel(cl_kernel kernel) {
    struct kernel *k = kernel_from(kernel);
    if (!k) return CL_INVALID_KERNEL;
    if (object_release(k)) object_drop(k);
    return CL_SUCCESS;
}

/* Where a pointer is in its allocation, which may be gone since it was set. */
static cl_int find_svm(struct kernel *k, const struct kernel_arg *a, struct bk_arg *out) {
    struct svm s;
    memcpy(&out->pointer, a->small, sizeof out->pointer);
    out->size = 0;
    if (!out->pointer) return CL_SUCCESS;
    if (!svm_find(k->program->context, out->pointer, &s)) return CL_INVALID_KERNEL_ARGS;
    out->ref = s.ref;
    out->size = (size_t)((const unsigned char *)out->pointer - s.ptr);
    return CL_SUCCESS;
}

static cl_int apply_arg(struct kernel *k, struct backend *b, struct kernel_part *part, cl_uint slot,
                        cl_uint i) {
    struct kernel_arg *a = &k->args[i];
    struct bk_arg out = {.kind = a->kind, .index = i, .size = a->size};
    cl_int rc = CL_SUCCESS;
    if (a->kind == BK_ARG_BYTES) out.bytes = a->size > KERNEL_ARG_SMALL ? a->heap : a->small;
    if (a->kind == BK_ARG_MEM && a->mem) rc = mem_part_ref(a->mem, slot, &out.ref);
    if (a->kind == BK_ARG_SAMPLER) rc = sampler_ref(a->sampler, slot, &out.ref);
    if (a->kind == BK_ARG_QUEUE) out.ref = a->queue->ref;
    if (a->kind == BK_ARG_SVM) rc = find_svm(k, a, &out);
    if (rc == CL_SUCCESS) rc = b->ops->set_arg(b, part->ref, &out, false);
    if (rc == CL_SUCCESS) part->applied[i] = a->version;
    return rc;
}

cl_int kernel_apply(struct kernel *k, cl_uint slot, bk_ref *out) {
    struct backend *b = k->program->context->slots[slot].backend;
    struct kernel_part *part = &k->parts[slot];
    cl_int rc = kernel_part(k, slot);
    for (cl_uint i = 0; i < k->arg_count && rc == CL_SUCCESS; i++)
        if (part->applied[i] != k->args[i].version) rc = apply_arg(k, b, part, slot, i);
    if (rc == CL_SUCCESS) rc = kernel_apply_exec_svm(k, slot);
    *out = part->ref;
    return rc;
}
