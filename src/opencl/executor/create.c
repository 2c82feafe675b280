/* Executor: commands that make, change and release objects. */
#include <stdlib.h>
#include <string.h>

#include "opencl/executor/internal.h"
#include "opencl/programs.h"

void keep_handle(struct object *o, void *handle, struct context_info *context) {
    context_info_hold(context);
    o->context = context;
    o->handle = handle;
}

cl_int carry_out_open(struct call *c) { return CL_INVALID_OPERATION; } /* once only, by serve.c */

cl_int carry_out_create_context(struct call *c) {
    uint64_t platform = c->in->create_context.platform;
    size_t count = c->in->count[0];
    if (platform >= c->x->drivers->count) return CL_INVALID_PLATFORM;
    const struct driver_platform *p = &c->x->drivers->platforms[platform];
    if (!count) return CL_INVALID_VALUE;
    struct context_info *info = calloc(1, sizeof *info + count * sizeof(cl_device_id));
    if (!info) return CL_OUT_OF_HOST_MEMORY;
    info->holds = 1;
    info->quota = &c->x->quota;
    info->platform = p;
    for (size_t i = 0; i < count; i++) {
        cl_device_id device = executor_device(c->x, p, c->in->array[0][i]);
        if (!device) {
            free(info);
            return CL_INVALID_DEVICE;
        }
        info->devices[info->device_count++] = device;
    }
    cl_context_properties props[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)p->id, 0};
    cl_int err = CL_SUCCESS;
    info->context = p->dispatch->clCreateContext(props, info->device_count, info->devices, NULL, NULL, &err);
    if (err) {
        info->context = NULL;
        context_info_release(info);
        return err;
    }
    info->hosts = count == 1 && share_device_works(c->x, info->context, info->devices[0]);
    if (info->hosts) results_context_hosts(c->x, c->in->create_context.context);
    c->object[0]->context = info;
    c->object[0]->handle = info->context;
    return CL_SUCCESS;
}

cl_command_queue executor_create_queue(cl_context context, cl_device_id device,
                                       cl_command_queue_properties props, cl_int *err) {
    const cl_icd_dispatch *d = DRIVER(context);
    cl_command_queue q =
        d->clCreateCommandQueue ? d->clCreateCommandQueue(context, device, props, err) : NULL;
    if (q || !d->clCreateCommandQueueWithProperties) return q;
    cl_queue_properties list[] = {CL_QUEUE_PROPERTIES, props, 0};
    return d->clCreateCommandQueueWithProperties(context, device, list, err);
}

cl_int carry_out_create_queue(struct call *c) {
    struct context_info *info = c->object[1]->context;
    cl_device_id device = executor_device(c->x, info->platform, c->in->create_queue.device);
    if (!device) return CL_INVALID_DEVICE;
    cl_command_queue_properties props = c->in->create_queue.properties;
    if (props & CL_QUEUE_ON_DEVICE)
        return CL_INVALID_QUEUE_PROPERTIES; /* no commands are enqueued to these */
    c->object[0]->lane = lane_create(!(props & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE));
    if (!c->object[0]->lane) return CL_OUT_OF_HOST_MEMORY;
    cl_int err = CL_OUT_OF_RESOURCES;
    cl_command_queue q = executor_create_queue(info->context, device, props, &err);
    if (!q) return err;
    c->object[0]->profiles = props & CL_QUEUE_PROFILING_ENABLE;
    keep_handle(c->object[0], q, info);
    return CL_SUCCESS;
}

/* In the client's memory, or this process's, if that can be; the place is the client's again if not. */
static cl_mem create_buffer(struct executor *x, const struct context_info *info,
                            const struct wire_create_buffer *w, cl_int *err) {
    const cl_icd_dispatch *d = DRIVER(info->context);
    cl_mem_flags flags = w->flags;
    uint64_t size = w->size, place = w->place;
    /* These need the client's memory here: its contents come by a write. */
    flags &= ~(cl_mem_flags)(CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR);
    void *at = place && info->hosts && size ? share_at(x, place, size) : NULL;
    cl_mem_flags over = (flags & ~(cl_mem_flags)CL_MEM_ALLOC_HOST_PTR) | CL_MEM_USE_HOST_PTR;
    cl_mem m = at ? d->clCreateBuffer(info->context, over, size, at, err) : NULL;
    if (m && share_watch(x, m, place)) return m;
    if (m) d->clReleaseMemObject(m);
    if (place) results_place_free(x, place);
    *err = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    m = info->hosts && !w->there ? hosted_create(x, info->context, w->mem, over, size) : NULL;
    return m || w->there ? m : d->clCreateBuffer(info->context, flags, size, NULL, err);
}

cl_int carry_out_create_buffer(struct call *c) {
    struct context_info *info = c->object[1]->context;
    cl_int err = CL_OUT_OF_RESOURCES;
    cl_mem m = create_buffer(c->x, info, &c->in->create_buffer, &err);
    if (!m) return err;
    if (!quota_charge(info->quota, c->object[0], c->in->create_buffer.size)) {
        hosted_forget(c->x, c->in->create_buffer.mem);
        DRIVER(m)->clReleaseMemObject(m);
        return CL_MEM_OBJECT_ALLOCATION_FAILURE;
    }
    c->object[0]->size = c->in->create_buffer.size;
    keep_handle(c->object[0], m, info);
    return CL_SUCCESS;
}

cl_int carry_out_create_sub_buffer(struct call *c) {
    cl_mem parent = c->object[1]->handle;
    cl_buffer_region region = {c->in->create_sub_buffer.origin, c->in->create_sub_buffer.size};
    cl_mem_flags flags = c->in->create_sub_buffer.flags;
    cl_int err = CL_OUT_OF_RESOURCES;
    if (c->object[1]->image_type) return CL_INVALID_MEM_OBJECT;
    if (!DRIVER(parent)->clCreateSubBuffer) return CL_INVALID_OPERATION;
    cl_mem m = DRIVER(parent)->clCreateSubBuffer(parent, flags, CL_BUFFER_CREATE_TYPE_REGION, &region, &err);
    if (!m) return err;
    c->object[0]->size = region.size;
    keep_handle(c->object[0], m, c->object[1]->context);
    hosted_part(c->x, c->in->create_sub_buffer.parent, c->in->create_sub_buffer.mem, region.origin,
                region.size);
    return CL_SUCCESS;
}

cl_int carry_out_create_program_source(struct call *c) {
    struct context_info *info = c->object[1]->context;
    size_t bytes = c->data_bytes;
    const char *source = bytes ? c->data : ""; /* for a length of 0 a driver looks for the NUL */
    cl_int err = CL_OUT_OF_RESOURCES;
    cl_program p = DRIVER(info->context)->clCreateProgramWithSource(info->context, 1, &source, &bytes, &err);
    if (!p) return err;
    keep_handle(c->object[0], p, info);
    return CL_SUCCESS;
}

static cl_int count_args(struct object *o, cl_kernel k) {
    cl_uint count = 0;
    DRIVER(k)->clGetKernelInfo(k, CL_KERNEL_NUM_ARGS, sizeof count, &count, NULL);
    o->arg_takes = calloc((size_t)count + 1, 1);
    o->arg_count = o->arg_takes ? count : 0;
    return o->arg_takes ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
}

/* The kernel's name without the NUL travels as data. */
cl_int carry_out_create_kernel(struct call *c) {
    char *name = calloc(1, c->data_bytes + 1);
    if (!name) return CL_OUT_OF_HOST_MEMORY;
    if (c->data_bytes) memcpy(name, c->data, c->data_bytes);
    cl_program program = c->object[1]->handle;
    cl_int err = CL_OUT_OF_RESOURCES;
    cl_kernel k = DRIVER(program)->clCreateKernel(program, name, &err);
    free(name);
    if (!k) return err;
    keep_handle(c->object[0], k, c->object[1]->context);
    return count_args(c->object[0], k);
}

/* A driver follows what it is given for a handle: what is no handle must not get there. */
static cl_int check_arg(struct object *kernel, cl_uint index, uint64_t kind) {
    static const enum arg_takes wanted[] = {
        [BK_ARG_BYTES] = TAKES_VALUE,     [BK_ARG_MEM] = TAKES_MEM, [BK_ARG_LOCAL] = TAKES_LOCAL,
        [BK_ARG_SAMPLER] = TAKES_SAMPLER, [BK_ARG_SVM] = TAKES_MEM, [BK_ARG_QUEUE] = TAKES_QUEUE};
    if (index >= kernel->arg_count) return CL_INVALID_ARG_INDEX;
    if (kind >= sizeof wanted / sizeof *wanted) return CL_INVALID_VALUE;
    uint8_t *takes = &kernel->arg_takes[index];
    if (!*takes) *takes = (uint8_t)(1 + meta_arg_takes(kernel->handle, index));
    if (*takes == 1 + TAKES_UNKNOWN || *takes == 1 + wanted[kind]) return CL_SUCCESS;
    switch (*takes - 1) {
    case TAKES_MEM: return CL_INVALID_MEM_OBJECT;
    case TAKES_SAMPLER: return CL_INVALID_SAMPLER;
    case TAKES_QUEUE: return CL_INVALID_DEVICE_QUEUE;
    default: return CL_INVALID_ARG_VALUE;
    }
}

static cl_int set_arg(struct call *c, cl_kernel k, cl_uint index) {
    const struct wire_set_arg *a = &c->in->set_arg;
    const cl_icd_dispatch *d = DRIVER(k);
    struct object *mem = c->object[5], *sampler = c->object[6], *queue = c->object[7];
    size_t inline_bytes = c->in->count[0] * 8;
    switch (a->kind) {
    case BK_ARG_MEM: return d->clSetKernelArg(k, index, a->size, mem ? &mem->handle : NULL);
    case BK_ARG_SVM: return executor_set_svm_arg(k, index, mem, a->size);
    case BK_ARG_SAMPLER:
        return sampler ? d->clSetKernelArg(k, index, a->size, &sampler->handle) : CL_INVALID_SAMPLER;
    case BK_ARG_QUEUE:
        return queue ? d->clSetKernelArg(k, index, a->size, &queue->handle) : CL_INVALID_DEVICE_QUEUE;
    case BK_ARG_LOCAL: return d->clSetKernelArg(k, index, a->size, NULL);
    case BK_ARG_BYTES:
        if (a->size <= inline_bytes) return d->clSetKernelArg(k, index, a->size, c->in->array[0]);
        return a->size == c->data_bytes ? d->clSetKernelArg(k, index, a->size, c->data) : CL_INVALID_ARG_SIZE;
    default: return CL_INVALID_VALUE;
    }
}

cl_int carry_out_set_arg(struct call *c) {
    struct object *kernel = c->object[0];
    cl_uint index = (cl_uint)c->in->set_arg.index;
    uint64_t kind = c->in->set_arg.kind;
    bool handle = kind == BK_ARG_MEM || kind == BK_ARG_SAMPLER || kind == BK_ARG_QUEUE;
    if (handle && c->in->set_arg.size != sizeof(cl_mem)) return CL_INVALID_ARG_SIZE;
    cl_int err = check_arg(kernel, index, kind);
    if (!err) err = set_arg(c, kernel->handle, index);
    if (err) return err;
    if (kernel->arg_index == index) kernel->arg_error = CL_SUCCESS;
    if (c->in->set_arg.request) results_reply(c->x, c->in->set_arg.request, CL_SUCCESS, NULL, 0);
    return CL_SUCCESS;
}

cl_int carry_out_create_user_event(struct call *c) {
    struct context_info *info = c->object[1]->context;
    cl_event e = executor_create_gate(info->context);
    if (!e) return CL_INVALID_OPERATION;
    c->object[0]->user = true;
    keep_handle(c->object[0], e, info);
    return CL_SUCCESS;
}

cl_int executor_set_user_event(struct executor *x, struct object *o, uint64_t handle, cl_int status) {
    if (!o->user || status > CL_COMPLETE) return CL_INVALID_VALUE;
    if (o->set) return CL_INVALID_OPERATION;
    o->set = true;
    /* Failing is fatal there: see completion.c. */
    if (status < 0 && driver_is_pocl(o->context->platform->dispatch, o->context->platform->id)) {
        completion_poison(x, handle);
        o->error = status; /* for commands that come to wait for it later */
        status = CL_COMPLETE;
    }
    cl_int err = DRIVER(o->handle)->clSetUserEventStatus(o->handle, status);
    if (status < 0) completion_look(x);
    return err;
}

cl_int carry_out_set_user_event(struct call *c) {
    uint64_t handle = c->in->set_user_event.event;
    return executor_set_user_event(c->x, c->object[0], handle, (cl_int)(int64_t)c->in->set_user_event.status);
}

cl_int carry_out_release(struct call *c) {
    struct object *o = c->object[0];
    if (!o) return CL_INVALID_VALUE;
    if (o->kind == BK_QUEUE) executor_forget_queue(c->x, o);
    if (o->kind == BK_EVENT && o->user && !o->set && o->handle && !executor_keep_orphan(c->x, o))
        return CL_OUT_OF_HOST_MEMORY;
    if (o->kind == BK_EVENT) completion_forget(c->x, c->in->release.object);
    if (o->kind == BK_MEM) hosted_forget(c->x, c->in->release.object);
    object_drop(o);
    return CL_SUCCESS;
}
