/* Executor: shared virtual memory, of the coarse-grained kind. An allocation is a memory object: the driver's
 * buffer over it, by which its contents travel like any buffer's. */
#include <stdlib.h>
#include <unistd.h>

#include "opencl/executor/internal.h"

#define ACCESS (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY | CL_MEM_READ_ONLY)

/* Whole pages, which the client can take at the same address: one more page is asked for to begin at a whole
 * one. */
static cl_int allocate(struct object *o, const struct context_info *info, cl_mem_flags flags, size_t size,
                       uint64_t room) {
    const cl_icd_dispatch *d = DRIVER(info->context);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    cl_int err = CL_OUT_OF_RESOURCES;
    if (!d->clSVMAlloc || !d->clSVMFree) return CL_INVALID_OPERATION;
    if (!size || size % page || size > SIZE_MAX - page) return CL_INVALID_VALUE;
    size_t bytes = size + page < room ? room : size + page;
    void *whole = d->clSVMAlloc(info->context, flags & ACCESS, bytes, 0);
    if (!whole) return CL_OUT_OF_RESOURCES;
    void *at = (void *)(((uintptr_t)whole + page - 1) / page * page);
    cl_mem m = d->clCreateBuffer(info->context, CL_MEM_USE_HOST_PTR | (flags & ACCESS), size, at, &err);
    if (!m) {
        d->clSVMFree(info->context, whole);
        return err;
    }
    if (!quota_charge(info->quota, o, size)) {
        d->clReleaseMemObject(m);
        d->clSVMFree(info->context, whole);
        return CL_MEM_OBJECT_ALLOCATION_FAILURE;
    }
    o->handle = m;
    o->size = size;
    o->svm = at;
    o->svm_whole = whole;
    return CL_SUCCESS;
}

cl_int carry_out_svm_alloc(struct call *c) {
    struct context_info *info = c->object[1]->context;
    uint64_t *address = malloc(sizeof *address);
    if (!address) return CL_OUT_OF_HOST_MEMORY;
    cl_int err =
        allocate(c->object[0], info, c->in->svm_alloc.flags, c->in->svm_alloc.size, c->in->svm_alloc.room);
    if (err) {
        free(address);
        return err;
    }
    context_info_hold(info);
    c->object[0]->context = info;
    *address = (uintptr_t)c->object[0]->svm;
    results_reply(c->x, c->in->svm_alloc.request, CL_SUCCESS, address, sizeof *address);
    return CL_SUCCESS;
}

cl_int executor_set_svm_arg(cl_kernel k, cl_uint index, const struct object *mem, uint64_t offset) {
    if (!DRIVER(k)->clSetKernelArgSVMPointer) return CL_INVALID_OPERATION;
    if (mem && (!mem->svm || offset >= mem->size)) return CL_INVALID_ARG_VALUE;
    return DRIVER(k)->clSetKernelArgSVMPointer(k, index, mem ? (char *)mem->svm + offset : NULL);
}

cl_int carry_out_set_exec_svm(struct call *c) {
    void *ptrs[WIRE_WORDS_MAX];
    cl_kernel k = c->object[0]->handle;
    if (!DRIVER(k)->clSetKernelExecInfo) return CL_INVALID_OPERATION;
    for (cl_uint i = 0; i < c->mem_count; i++) {
        ptrs[i] = c->mem_objects[i]->svm;
        if (!ptrs[i]) return CL_INVALID_VALUE;
    }
    if (!c->mem_count) return CL_INVALID_VALUE;
    return DRIVER(k)->clSetKernelExecInfo(k, CL_KERNEL_EXEC_INFO_SVM_PTRS, c->mem_count * sizeof *ptrs, ptrs);
}
