/* Direct: making and releasing the driver's objects. */
#include <stdlib.h>

#include "opencl/direct/internal.h"
#include "opencl/direct/poison.h"
#include "opencl/programs.h"

static cl_int create_context(struct backend *b, cl_uint count, const cl_uint *devices, bk_ref *out) {
    const struct driver_platform *d = direct_driver(b);
    cl_device_id *ids = direct_pick(b, count, devices);
    if (!ids) return CL_OUT_OF_HOST_MEMORY;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)d->id, 0};
    cl_int rc = CL_OUT_OF_RESOURCES;
    cl_context c = d->dispatch->clCreateContext(properties, count, ids, NULL, NULL, &rc);
    if (!c) {
        free(ids);
        return rc;
    }
    rc = direct_context_add(b, c, count, ids);
    if (rc == CL_SUCCESS)
        *out = to_ref(c);
    else
        d->dispatch->clReleaseContext(c);
    return rc;
}

static cl_int create_queue(struct backend *b, bk_ref context, cl_uint device,
                           cl_command_queue_properties properties, bk_ref *out) {
    const struct driver_platform *d = direct_driver(b);
    cl_context c = HANDLE(cl_context, context);
    cl_int rc = CL_OUT_OF_RESOURCES;
    *out = to_ref(d->dispatch->clCreateCommandQueue(c, direct_device(b, device), properties, &rc));
    return rc;
}

static cl_int create_buffer(struct backend *b, bk_ref context, cl_mem_flags flags, size_t size, void *host,
                            bk_ref *out) {
    cl_int rc = CL_OUT_OF_RESOURCES;
    *out = to_ref(
        direct_driver(b)->dispatch->clCreateBuffer(HANDLE(cl_context, context), flags, size, host, &rc));
    return rc;
}

static cl_int create_sub_buffer(struct backend *b, bk_ref parent, cl_mem_flags flags, size_t origin,
                                size_t size, bk_ref *out) {
    const cl_buffer_region region = {origin, size};
    cl_int rc = CL_OUT_OF_RESOURCES;
    *out = to_ref(direct_driver(b)->dispatch->clCreateSubBuffer(HANDLE(cl_mem, parent), flags,
                                                                CL_BUFFER_CREATE_TYPE_REGION, &region, &rc));
    return rc;
}

static cl_int create_kernel(struct backend *b, bk_ref program, const char *name, bk_ref *out) {
    cl_int rc = CL_OUT_OF_RESOURCES;
    *out = to_ref(direct_driver(b)->dispatch->clCreateKernel(HANDLE(cl_program, program), name, &rc));
    return rc;
}

static cl_int set_arg(struct backend *b, bk_ref kernel, const struct bk_arg *a, bool check) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    cl_kernel k = HANDLE(cl_kernel, kernel);
    if (a->kind == BK_ARG_BYTES) return d->clSetKernelArg(k, a->index, a->size, a->bytes);
    if (a->kind == BK_ARG_LOCAL) return d->clSetKernelArg(k, a->index, a->size, NULL);
    if (a->kind == BK_ARG_SVM) return d->clSetKernelArgSVMPointer(k, a->index, a->pointer);
    void *object = HANDLE(void *, a->ref);
    return d->clSetKernelArg(k, a->index, a->size, &object);
}

static cl_int create_user_event(struct backend *b, bk_ref context, bk_ref *out) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    cl_int rc = CL_OUT_OF_RESOURCES;
    cl_event e = d->clCreateUserEvent(HANDLE(cl_context, context), &rc);
    if (e && direct_is_pocl(b) && !poison_add_user(e)) {
        d->clReleaseEvent(e);
        return CL_OUT_OF_HOST_MEMORY;
    }
    *out = to_ref(e);
    return rc;
}

static cl_int set_user_event(struct backend *b, bk_ref event, cl_int status) {
    cl_event e = HANDLE(cl_event, event);
    if (direct_is_pocl(b)) poison_set_user(e, status);
    cl_int told = direct_is_pocl(b) && status < 0 ? CL_COMPLETE : status;
    cl_int rc = direct_driver(b)->dispatch->clSetUserEventStatus(e, told);
    if (status < 0) direct_tell_failed();
    return rc;
}

static cl_int flush(struct backend *b, bk_ref queue) {
    return direct_driver(b)->dispatch->clFlush(HANDLE(cl_command_queue, queue));
}

static cl_int finish(struct backend *b, bk_ref queue) {
    return direct_driver(b)->dispatch->clFinish(HANDLE(cl_command_queue, queue));
}

static void release(struct backend *b, enum bk_kind kind, bk_ref ref) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    switch (kind) {
    case BK_CONTEXT:
        direct_context_remove(b, HANDLE(cl_context, ref));
        d->clReleaseContext(HANDLE(cl_context, ref));
        break;
    case BK_QUEUE:
    case BK_DEVICE_QUEUE: d->clReleaseCommandQueue(HANDLE(cl_command_queue, ref)); break;
    case BK_MEM: d->clReleaseMemObject(HANDLE(cl_mem, ref)); break;
    case BK_PROGRAM: d->clReleaseProgram(HANDLE(cl_program, ref)); break;
    case BK_KERNEL: d->clReleaseKernel(HANDLE(cl_kernel, ref)); break;
    case BK_EVENT:
        poison_forget(HANDLE(cl_event, ref));
        d->clReleaseEvent(HANDLE(cl_event, ref));
        break;
    case BK_SAMPLER: d->clReleaseSampler(HANDLE(cl_sampler, ref)); break;
    }
}

static void destroy(struct backend *b) {
    struct direct_backend *d = (struct direct_backend *)b;
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->order);
    free(d->sub_devices);
    free(d);
}

static const struct backend_ops direct_ops = {
    .create_context = create_context,
    .create_queue = create_queue,
    .create_device_queue = direct_create_device_queue,
    .set_default_device_queue = direct_set_default_device_queue,
    .create_buffer = create_buffer,
    .create_sub_buffer = create_sub_buffer,
    .create_image = direct_create_image,
    .create_pipe = direct_create_pipe,
    .image_formats = direct_image_formats,
    .create_sampler = direct_create_sampler,
    .create_program_source = direct_create_program_source,
    .create_program_binary = direct_create_program_binary,
    .build = direct_build,
    .get_binaries = direct_get_binaries,
    .compile = direct_compile,
    .link = direct_link,
    .create_program_builtin = direct_create_program_builtin,
    .create_program_il = direct_create_program_il,
    .set_specialization = direct_set_specialization,
    .create_sub_devices = direct_create_sub_devices,
    .release_sub_device = direct_release_sub_device,
    .sub_group_info = direct_sub_group_info,
    .svm_alloc = direct_svm_alloc,
    .svm_free = direct_svm_free,
    .set_exec_svm = direct_set_exec_svm,
    .timers = direct_timers,
    .create_kernel = create_kernel,
    .set_arg = set_arg,
    .create_user_event = create_user_event,
    .set_user_event = set_user_event,
    .enqueue = direct_enqueue,
    .flush = flush,
    .finish = finish,
    .wait_event = direct_wait_event,
    .event_status = direct_event_status,
    .event_times = direct_event_times,
    .event_children_ns = direct_event_children_ns,
    .event_notify = direct_event_notify,
    .release = release,
    .destroy = destroy,
};

struct backend *direct_backend_open(const struct driver_platform *driver, uint32_t node,
                                    const struct inventory_platform *own) {
    struct direct_backend *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    d->base = (struct backend){.ops = &direct_ops, .node = node, .platform = own, .direct = true};
    d->driver = driver;
    d->pocl = driver_is_pocl(driver->dispatch, driver->id);
    pthread_mutex_init(&d->order, NULL);
    pthread_mutex_init(&d->lock, NULL);
    weft_list_init(&d->contexts);
    return &d->base;
}
