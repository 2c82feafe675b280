/* Remote: what only kernels use: pipes, and queues of devices. Few are made, so that they wait for the
 * device's own verdict, where they may wait. */
#include <string.h>

#include "opencl/remote/internal.h"

/* A new handle, and the request for its verdict; NULL: no memory, and neither. */
static struct remote_request *begin(struct backend *b, enum bk_kind kind, uint64_t *handle) {
    struct remote_node *n = remote_node_of(b);
    *handle = remote_handle(n, kind, NULL);
    struct remote_request *r = *handle ? remote_request_create(n) : NULL;
    if (*handle && !r) remote_release(b, kind, *handle);
    return r;
}

cl_int remote_create_pipe(struct backend *b, bk_ref context, cl_mem_flags flags, cl_uint packet_bytes,
                          cl_uint packets, bool check, bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    uint64_t handle;
    struct remote_request *r = NULL;
    if (check)
        r = begin(b, BK_MEM, &handle);
    else
        handle = remote_handle(n, BK_MEM, NULL);
    if (check ? !r : !handle) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    wire_begin(&msg, CREATE_PIPE, create_pipe, .mem = handle, .context = context, .request = r ? r->id : 0,
               .flags = flags, .packet_size = packet_bytes, .packets = packets);
    return r ? remote_create_checked(b, BK_MEM, handle, &msg, r, out)
             : remote_send_creation(n, handle, &msg, NULL, 0, out);
}

cl_int remote_create_device_queue(struct backend *b, bk_ref context, cl_uint device,
                                  cl_command_queue_properties properties, cl_uint bytes, bk_ref *out) {
    uint64_t handle;
    struct remote_request *r = begin(b, BK_DEVICE_QUEUE, &handle);
    if (!r) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    wire_begin(&msg, CREATE_DEVICE_QUEUE, create_device_queue, .queue = handle, .context = context,
               .request = r->id, .device = device, .properties = properties, .size = bytes);
    return remote_create_checked(b, BK_DEVICE_QUEUE, handle, &msg, r, out);
}

cl_int remote_set_default_device_queue(struct backend *b, bk_ref context, cl_uint device, bk_ref queue) {
    struct remote_node *n = remote_node_of(b);
    struct remote_request *r = remote_request_create(n);
    if (!r) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    wire_begin(&msg, SET_DEFAULT_DEVICE_QUEUE, set_default_device_queue, .context = context, .request = r->id,
               .device = device, .queue = queue);
    cl_int err = remote_request_wait(n, r, remote_send(n, &msg, NULL, 0, NULL, NULL));
    remote_request_drop(n, r);
    return err;
}

cl_ulong remote_event_children_ns(struct backend *b, bk_ref event) {
    struct remote_node *n = remote_node_of(b);
    struct remote_request *r = remote_request_create(n);
    cl_ulong ns = 0;
    if (!r) return 0;
    struct wire_out msg;
    wire_begin(&msg, GET_CHILDREN_TIME, get_children_time, .event = event, .request = r->id);
    cl_int err = remote_request_wait(n, r, remote_send(n, &msg, NULL, 0, NULL, NULL));
    if (!err && r->data && r->bytes == sizeof ns) memcpy(&ns, r->data, sizeof ns);
    remote_request_drop(n, r);
    return ns;
}
