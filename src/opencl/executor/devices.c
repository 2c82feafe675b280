/* Executor: sub-devices, and questions about devices that are not in the node's inventory. */
#include <stdlib.h>
#include <string.h>

#include "opencl/executor/internal.h"

#define SUB_GROUP_INFO_MAX 4096u

cl_device_id executor_device(struct executor *x, const struct driver_platform *p, uint64_t number) {
    if (number < p->device_count) return p->devices[number];
    if (number < WIRE_SUB_DEVICES || number - WIRE_SUB_DEVICES >= x->sub_device_room) return NULL;
    cl_device_id d = x->sub_devices[number - WIRE_SUB_DEVICES];
    /* One platform's device is no other's. */
    return d && DRIVER(d) == p->dispatch ? d : NULL;
}

/* ---- sub-devices ---- */
static cl_int make_room(struct executor *x, size_t first, size_t count) {
    if (first > WIRE_SUB_DEVICES_MAX || count > WIRE_SUB_DEVICES_MAX - first) return CL_OUT_OF_RESOURCES;
    if (first + count <= x->sub_device_room) return CL_SUCCESS;
    cl_device_id *more = realloc(x->sub_devices, (first + count) * sizeof *more);
    if (!more) return CL_OUT_OF_HOST_MEMORY;
    memset(more + x->sub_device_room, 0, (first + count - x->sub_device_room) * sizeof *more);
    x->sub_devices = more;
    x->sub_device_room = first + count;
    return CL_SUCCESS;
}

static void reply_inventory(struct executor *x, uint64_t request, const cl_device_id *devices,
                            cl_uint count) {
    struct inventory *inv = inventory_collect_devices(count, devices);
    size_t bytes = 0;
    void *blob = inv ? inventory_encode(inv, &bytes) : NULL;
    inventory_free(inv);
    results_reply(x, request, blob ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY, blob, bytes);
}

static cl_int create_sub_devices(struct call *c, sub_devices_fn *create, cl_device_id parent,
                                 const cl_device_partition_property *list, cl_uint count) {
    const struct wire_create_sub_devices *w = &c->in->create_sub_devices;
    struct executor *x = c->x;
    if (w->first < WIRE_SUB_DEVICES) return CL_INVALID_VALUE;
    size_t first = w->first - WIRE_SUB_DEVICES;
    cl_int err = make_room(x, first, count);
    for (size_t i = 0; !err && i < count; i++)
        if (x->sub_devices[first + i]) err = CL_INVALID_VALUE;
    if (!err) err = create(parent, list, count, x->sub_devices + first, NULL);
    if (err) return err;
    reply_inventory(x, w->request, x->sub_devices + first, count);
    return CL_SUCCESS;
}

static void reply_count(struct executor *x, uint64_t request, uint32_t count) {
    uint32_t *data = malloc(sizeof *data);
    if (data) *data = count;
    results_reply(x, request, data ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY, data, data ? sizeof *data : 0);
}

/* A driver reads a list of names up to its end. */
static bool ends(const cl_device_partition_property *list, size_t n) {
    if (list[0] != CL_DEVICE_PARTITION_BY_NAMES_EXT) return true;
    for (size_t i = 1; i < n; i++)
        if (list[i] == (cl_device_partition_property)CL_PARTITION_BY_NAMES_LIST_END_EXT) return true;
    return false;
}

/* The list of properties, and one of counts in it, end with 0, which need not travel. One of names has its
 * end. */
cl_int carry_out_create_sub_devices(struct call *c) {
    const struct wire_create_sub_devices *w = &c->in->create_sub_devices;
    if (w->platform >= c->x->drivers->count) return CL_INVALID_PLATFORM;
    cl_device_id parent = executor_device(c->x, &c->x->drivers->platforms[w->platform], w->device);
    sub_devices_fn *create = parent ? driver_sub_devices(DRIVER(parent), w->ext) : NULL;
    if (!create) return CL_INVALID_DEVICE;
    cl_device_partition_property list[WIRE_WORDS_MAX + 2];
    size_t n = c->in->count[0];
    if (!n) return CL_INVALID_VALUE;
    memcpy(list, c->in->array[0], n * sizeof *list);
    list[n] = list[n + 1] = 0;
    if (!ends(list, n)) return CL_INVALID_VALUE;
    cl_uint count = 0;
    cl_int err = create(parent, list, 0, NULL, &count);
    if (err) return err;
    if (w->create) return create_sub_devices(c, create, parent, list, count);
    reply_count(c->x, w->request, count);
    return CL_SUCCESS;
}

cl_int carry_out_release_sub_device(struct call *c) {
    uint64_t number = c->in->release_sub_device.number;
    if (number < WIRE_SUB_DEVICES || number - WIRE_SUB_DEVICES >= c->x->sub_device_room)
        return CL_INVALID_DEVICE;
    cl_device_id *d = &c->x->sub_devices[number - WIRE_SUB_DEVICES];
    if (!*d) return CL_INVALID_DEVICE;
    weft_map_remove(&c->x->works_here, (uintptr_t)*d);
    driver_release_device(*d);
    *d = NULL;
    return CL_SUCCESS;
}

void executor_release_sub_devices(struct executor *x) {
    for (size_t i = 0; i < x->sub_device_room; i++)
        if (x->sub_devices[i]) driver_release_device(x->sub_devices[i]);
    free(x->sub_devices);
}

/* ---- sub-groups ---- */
cl_int carry_out_get_sub_group_info(struct call *c) {
    const struct wire_get_sub_group_info *w = &c->in->get_sub_group_info;
    struct object *kernel = c->object[0];
    cl_device_id device = executor_device(c->x, kernel->context->platform, w->device);
    sub_group_info_fn *ask = driver_sub_group_info(DRIVER(kernel->handle));
    if (!device) return CL_INVALID_DEVICE;
    if (!ask) return CL_INVALID_OPERATION;
    if (w->room > SUB_GROUP_INFO_MAX) return CL_INVALID_VALUE;
    void *answer = calloc(1, w->room + 1);
    size_t size = 0, n = c->in->count[0];
    if (!answer) return CL_OUT_OF_HOST_MEMORY;
    cl_int err = ask(kernel->handle, device, (cl_kernel_sub_group_info)w->param, n * sizeof(size_t),
                     n ? c->in->array[0] : NULL, w->room, answer, &size);
    if (!err && size > w->room) err = CL_INVALID_VALUE;
    if (err) {
        free(answer);
        return err;
    }
    results_reply(c->x, w->request, CL_SUCCESS, answer, size);
    return CL_SUCCESS;
}
