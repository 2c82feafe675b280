/* Direct: what only kernels use: pipes, and queues of devices. */
#include "opencl/direct/internal.h"

cl_int direct_create_pipe(struct backend *b, bk_ref context, cl_mem_flags flags, cl_uint packet_bytes,
                          cl_uint packets, bool check, bk_ref *out) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    cl_int rc = CL_OUT_OF_RESOURCES;
    if (!d->clCreatePipe) return CL_INVALID_OPERATION;
    *out = to_ref(d->clCreatePipe(HANDLE(cl_context, context), flags, packet_bytes, packets, NULL, &rc));
    return rc;
}

cl_int direct_create_device_queue(struct backend *b, bk_ref context, cl_uint device,
                                  cl_command_queue_properties properties, cl_uint bytes, bk_ref *out) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    const cl_queue_properties list[] = {CL_QUEUE_PROPERTIES, properties, bytes ? CL_QUEUE_SIZE : 0, bytes, 0};
    cl_int rc = CL_OUT_OF_RESOURCES;
    if (!d->clCreateCommandQueueWithProperties) return CL_INVALID_QUEUE_PROPERTIES;
    *out = to_ref(d->clCreateCommandQueueWithProperties(HANDLE(cl_context, context), direct_device(b, device),
                                                        list, &rc));
    return rc;
}

cl_int direct_set_default_device_queue(struct backend *b, bk_ref context, cl_uint device, bk_ref queue) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    if (!d->clSetDefaultDeviceCommandQueue) return CL_INVALID_OPERATION;
    return d->clSetDefaultDeviceCommandQueue(HANDLE(cl_context, context), direct_device(b, device),
                                             HANDLE(cl_command_queue, queue));
}
