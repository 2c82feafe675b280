/* Executor: what only kernels use: pipes, and queues of devices. A driver may end when it is asked for what
 * its devices do not have (PoCL). */
#include <stdlib.h>

#include "opencl/executor/internal.h"

/* A number that a device tells; 0: it does not. */
static cl_uint number(cl_device_id device, cl_device_info param) {
    cl_uint n = 0;
    if (DRIVER(device)->clGetDeviceInfo(device, param, sizeof n, &n, NULL)) return 0;
    return n;
}

/* Devices of OpenCL 2 all have pipes; later ones say so. */
static bool has_pipes(cl_device_id device) {
    cl_bool told = CL_TRUE;
    DRIVER(device)->clGetDeviceInfo(device, CL_DEVICE_PIPE_SUPPORT, sizeof told, &told, NULL);
    return told && number(device, CL_DEVICE_PIPE_MAX_PACKET_SIZE);
}

cl_int carry_out_create_pipe(struct call *c) {
    const struct wire_create_pipe *w = &c->in->create_pipe;
    struct context_info *info = c->object[1]->context;
    const cl_icd_dispatch *d = DRIVER(info->context);
    struct object *o = c->object[0];
    bool able = false;
    for (cl_uint i = 0; i < info->device_count; i++) able |= has_pipes(info->devices[i]);
    if (!able || !d->clCreatePipe) return CL_INVALID_OPERATION;
    cl_int err = CL_OUT_OF_RESOURCES;
    cl_mem m =
        d->clCreatePipe(info->context, w->flags, (cl_uint)w->packet_size, (cl_uint)w->packets, NULL, &err);
    if (!m) return err;
    if (!quota_charge(info->quota, o, w->packet_size * w->packets)) {
        d->clReleaseMemObject(m);
        return CL_MEM_OBJECT_ALLOCATION_FAILURE;
    }
    o->image_type = CL_MEM_OBJECT_PIPE;
    keep_handle(o, m, info);
    if (w->request) results_reply(c->x, w->request, CL_SUCCESS, NULL, 0);
    return CL_SUCCESS;
}

cl_int carry_out_create_device_queue(struct call *c) {
    const struct wire_create_device_queue *w = &c->in->create_device_queue;
    struct context_info *info = c->object[1]->context;
    const cl_icd_dispatch *d = DRIVER(info->context);
    cl_device_id device = executor_device(c->x, info->platform, w->device);
    if (!device) return CL_INVALID_DEVICE;
    bool able = d->clCreateCommandQueueWithProperties && number(device, CL_DEVICE_MAX_ON_DEVICE_QUEUES);
    if (!able || !(w->properties & CL_QUEUE_ON_DEVICE)) return CL_INVALID_QUEUE_PROPERTIES;
    const cl_queue_properties list[] = {CL_QUEUE_PROPERTIES, w->properties, w->size ? CL_QUEUE_SIZE : 0,
                                        w->size, 0};
    cl_int err = CL_OUT_OF_RESOURCES;
    cl_command_queue q = d->clCreateCommandQueueWithProperties(info->context, device, list, &err);
    if (!q) return err;
    keep_handle(c->object[0], q, info);
    results_reply(c->x, w->request, CL_SUCCESS, NULL, 0);
    return CL_SUCCESS;
}

cl_int carry_out_set_default_device_queue(struct call *c) {
    const struct wire_set_default_device_queue *w = &c->in->set_default_device_queue;
    struct object *queue = c->object[3];
    struct context_info *info = c->object[0]->context;
    const cl_icd_dispatch *d = DRIVER(info->context);
    cl_device_id device = executor_device(c->x, info->platform, w->device);
    if (!device) return CL_INVALID_DEVICE;
    if (queue->context != info) return CL_INVALID_COMMAND_QUEUE;
    if (!d->clSetDefaultDeviceCommandQueue) return CL_INVALID_OPERATION;
    cl_int err = d->clSetDefaultDeviceCommandQueue(info->context, device, queue->handle);
    if (!err) results_reply(c->x, w->request, CL_SUCCESS, NULL, 0);
    return err;
}

cl_int carry_out_get_children_time(struct call *c) {
    if (c->object[0]->user || !c->object[0]->handle) return CL_INVALID_EVENT; /* no command's */
    cl_ulong *ns = malloc(sizeof *ns);
    if (!ns) return CL_OUT_OF_HOST_MEMORY;
    *ns = driver_children_ns(c->object[0]->handle);
    results_reply(c->x, c->in->get_children_time.request, CL_SUCCESS, ns, sizeof *ns);
    return CL_SUCCESS;
}
