/* Direct: shared virtual memory and native kernels, which are the driver's own. */
#include "opencl/direct/internal.h"

cl_int direct_svm_alloc(struct backend *b, bk_ref context, cl_svm_mem_flags flags, size_t size,
                        cl_uint alignment, void **ptr, bk_ref *out) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    *out = 0;
    *ptr = d->clSVMAlloc ? d->clSVMAlloc(HANDLE(cl_context, context), flags, size, alignment) : NULL;
    return *ptr ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

void direct_svm_free(struct backend *b, bk_ref context, void *ptr, size_t size, bk_ref ref) {
    direct_driver(b)->dispatch->clSVMFree(HANDLE(cl_context, context), ptr);
}

cl_int direct_set_exec_svm(struct backend *b, bk_ref kernel, cl_uint count, void *const *ptrs,
                           const bk_ref *refs) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    if (!d->clSetKernelExecInfo) return CL_INVALID_OPERATION;
    return d->clSetKernelExecInfo(HANDLE(cl_kernel, kernel), CL_KERNEL_EXEC_INFO_SVM_PTRS,
                                  count * sizeof *ptrs, ptrs);
}

cl_int direct_run_svm(struct backend *b, const struct bk_command *c, cl_event *event) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    cl_command_queue q = HANDLE(cl_command_queue, c->queue);
    cl_uint n = c->wait_count;
    const cl_event *w = n ? (const cl_event *)c->waits : NULL;
    if (!d->clEnqueueSVMMap) return CL_INVALID_OPERATION;
    switch (c->op) {
    case BK_SVM_COPY:
        return d->clEnqueueSVMMemcpy(q, c->blocking, c->u.svm.dst, c->u.svm.src, c->u.svm.size, n, w, event);
    case BK_SVM_FILL:
        return d->clEnqueueSVMMemFill(q, c->u.svm.dst, c->u.svm.pattern, c->u.svm.pattern_size, c->u.svm.size,
                                      n, w, event);
    case BK_SVM_MAP:
        return d->clEnqueueSVMMap(q, c->blocking, c->u.svm.map_flags, c->u.svm.dst, c->u.svm.size, n, w,
                                  event);
    case BK_SVM_UNMAP: return d->clEnqueueSVMUnmap(q, c->u.svm.dst, n, w, event);
    default:
        if (!d->clEnqueueSVMMigrateMem) return CL_INVALID_OPERATION;
        return d->clEnqueueSVMMigrateMem(q, c->u.svm_migrate.count, c->u.svm_migrate.ptrs,
                                         c->u.svm_migrate.sizes, c->u.svm_migrate.flags, n, w, event);
    }
}

cl_int direct_run_native(struct backend *b, const struct bk_command *c, cl_event *event) {
    cl_uint n = c->u.native.count;
    return direct_driver(b)->dispatch->clEnqueueNativeKernel(
        HANDLE(cl_command_queue, c->queue), c->u.native.fn, c->u.native.args, c->u.native.bytes, n,
        n ? (const cl_mem *)c->u.native.mems : NULL, n ? c->u.native.places : NULL, c->wait_count,
        c->wait_count ? (const cl_event *)c->waits : NULL, event);
}
