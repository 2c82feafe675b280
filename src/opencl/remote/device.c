/* Remote: sub-devices, and questions about devices that are not in the node's inventory. */
#include <stdlib.h>
#include <string.h>

#include "opencl/remote/internal.h"

/* Asks; the request is the caller's to drop. NULL: *err says why. */
static struct remote_request *ask(struct remote_node *n, const struct wire_create_sub_devices *ask,
                                  const cl_device_partition_property *properties, size_t count, cl_int *err) {
    struct remote_request *r = remote_request_create(n);
    *err = CL_OUT_OF_HOST_MEMORY;
    if (!r) return NULL;
    struct wire_out msg;
    struct wire_create_sub_devices with_id = *ask;
    with_id.head.call = WIRE_CREATE_SUB_DEVICES;
    with_id.request = r->id;
    wire_begin_bytes(&msg, &with_id, sizeof with_id);
    bool ok = wire_add_array(&msg, (const uint64_t *)properties, count);
    *err = remote_request_wait(n, r, ok && remote_send(n, &msg, NULL, 0, NULL, NULL));
    if (*err == CL_SUCCESS) return r;
    remote_request_drop(n, r);
    return NULL;
}

static uint32_t take_numbers(struct remote_node *n, uint32_t count) {
    pthread_mutex_lock(&n->lock);
    uint32_t first = n->next_sub_device;
    n->next_sub_device += count;
    pthread_mutex_unlock(&n->lock);
    return WIRE_SUB_DEVICES + first;
}

cl_int remote_create_sub_devices(struct backend *b, cl_uint device,
                                 const cl_device_partition_property *properties, size_t property_count,
                                 bool ext, cl_uint *count, cl_uint *first, struct inventory **out) {
    struct remote_node *n = remote_node_of(b);
    struct wire_create_sub_devices w = {
        .platform = ((struct remote_backend *)b)->platform, .device = device, .ext = ext};
    cl_int err;
    struct remote_request *r = ask(n, &w, properties, property_count, &err);
    if (!r) return err;
    uint32_t there = 0;
    if (r->data && r->bytes == sizeof there) memcpy(&there, r->data, sizeof there);
    remote_request_drop(n, r);
    if (!there || there > WIRE_SUB_DEVICES_MAX) return CL_OUT_OF_RESOURCES;
    *count = there;
    if (!out) return CL_SUCCESS;
    *first = take_numbers(n, there);
    w.first = *first;
    w.create = 1;
    r = ask(n, &w, properties, property_count, &err);
    if (!r) return err;
    *out = r->data ? inventory_decode(r->data, r->bytes) : NULL;
    remote_request_drop(n, r);
    if (*out && (*out)->platform_count == 1 && (*out)->platforms[0].device_count == there) return CL_SUCCESS;
    inventory_free(*out);
    *out = NULL;
    return CL_OUT_OF_RESOURCES;
}

void remote_release_sub_device(struct backend *b, cl_uint number) {
    struct wire_out msg;
    wire_begin(&msg, RELEASE_SUB_DEVICE, release_sub_device, .number = number);
    remote_send(remote_node_of(b), &msg, NULL, 0, NULL, NULL);
}

/* All times of another node's devices are brought to this machine's clock, which is the host's. */
cl_int remote_timers(struct backend *b, cl_uint device, cl_ulong *device_ns, cl_ulong *host_ns) {
    *host_ns = weft_now_ns();
    if (device_ns) *device_ns = *host_ns;
    return CL_SUCCESS;
}

cl_int remote_sub_group_info(struct backend *b, bk_ref kernel, cl_uint device, cl_kernel_sub_group_info param,
                             size_t input_count, const size_t *input, size_t room, void *value,
                             size_t *size) {
    struct remote_node *n = remote_node_of(b);
    struct remote_request *r = remote_request_create(n);
    if (!r) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    wire_begin(&msg, GET_SUB_GROUP_INFO, get_sub_group_info, .kernel = kernel, .request = r->id,
               .device = device, .param = param, .room = room);
    bool ok = wire_add_array(&msg, (const uint64_t *)input, input_count);
    cl_int err = remote_request_wait(n, r, ok && remote_send(n, &msg, NULL, 0, NULL, NULL));
    if (!err && r->bytes > room) err = CL_OUT_OF_RESOURCES;
    if (!err) *size = r->bytes;
    if (!err && r->bytes) memcpy(value, r->data, r->bytes);
    remote_request_drop(n, r);
    return err;
}
