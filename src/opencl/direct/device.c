/* Direct: devices by number, sub-devices, and questions about devices. */
#include <stdlib.h>
#include <string.h>

#include "opencl/direct/internal.h"

cl_device_id direct_device(struct backend *b, cl_uint number) {
    struct direct_backend *d = (struct direct_backend *)b;
    if (number < DIRECT_SUB_DEVICES) return d->driver->devices[number];
    pthread_mutex_lock(&d->lock);
    cl_device_id id = d->sub_devices[number - DIRECT_SUB_DEVICES];
    pthread_mutex_unlock(&d->lock);
    return id;
}

cl_device_id *direct_pick(struct backend *b, cl_uint count, const cl_uint *numbers) {
    cl_device_id *ids = calloc(count ? count : 1, sizeof(cl_device_id));
    for (cl_uint i = 0; ids && i < count; i++) ids[i] = direct_device(b, numbers[i]);
    return ids;
}

/* ---- contexts ---- */
struct direct_context {
    struct weft_list link;
    cl_context context;
    cl_uint count;
    cl_device_id *ids;
};

/* Lock held. */
static struct direct_context *find(struct direct_backend *d, cl_context context) {
    weft_list_for_each(it, &d->contexts) {
        struct direct_context *c = weft_list_entry(it, struct direct_context, link);
        if (c->context == context) return c;
    }
    return NULL;
}

cl_int direct_context_add(struct backend *b, cl_context context, cl_uint count, cl_device_id *ids) {
    struct direct_backend *d = (struct direct_backend *)b;
    struct direct_context *c = malloc(sizeof *c);
    if (!c) {
        free(ids);
        return CL_OUT_OF_HOST_MEMORY;
    }
    *c = (struct direct_context){.context = context, .count = count, .ids = ids};
    pthread_mutex_lock(&d->lock);
    weft_list_push_back(&d->contexts, &c->link);
    pthread_mutex_unlock(&d->lock);
    return CL_SUCCESS;
}

void direct_context_remove(struct backend *b, cl_context context) {
    struct direct_backend *d = (struct direct_backend *)b;
    pthread_mutex_lock(&d->lock);
    struct direct_context *c = find(d, context);
    if (c) weft_list_remove(&c->link);
    pthread_mutex_unlock(&d->lock);
    if (c) free(c->ids);
    free(c);
}

cl_device_id *direct_context_devices(struct backend *b, cl_context context, cl_uint *count) {
    struct direct_backend *d = (struct direct_backend *)b;
    cl_device_id *ids = NULL;
    pthread_mutex_lock(&d->lock);
    const struct direct_context *c = find(d, context);
    if (c && (ids = malloc(c->count * sizeof(cl_device_id)))) {
        memcpy(ids, c->ids, c->count * sizeof(cl_device_id));
        *count = c->count;
    }
    pthread_mutex_unlock(&d->lock);
    return ids;
}

/* ---- sub-devices ---- */
/* Numbers for new sub-devices. */
static cl_int add(struct direct_backend *d, cl_uint count, const cl_device_id *ids, cl_uint *first) {
    pthread_mutex_lock(&d->lock);
    cl_device_id *more = realloc(d->sub_devices, (d->sub_device_count + (size_t)count) * sizeof *more);
    if (more) {
        memcpy(more + d->sub_device_count, ids, count * sizeof *more);
        *first = DIRECT_SUB_DEVICES + d->sub_device_count;
        d->sub_devices = more;
        d->sub_device_count += count;
    }
    pthread_mutex_unlock(&d->lock);
    return more ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
}

cl_int direct_create_sub_devices(struct backend *b, cl_uint device,
                                 const cl_device_partition_property *properties, size_t property_count,
                                 bool ext, cl_uint *count, cl_uint *first, struct inventory **out) {
    cl_device_id parent = direct_device(b, device);
    sub_devices_fn *create = driver_sub_devices(direct_driver(b)->dispatch, ext);
    if (!create) return CL_INVALID_VALUE;
    cl_int rc = create(parent, properties, 0, NULL, count);
    if (rc != CL_SUCCESS || !out) return rc;
    cl_device_id *ids = calloc((size_t)*count + 1, sizeof(cl_device_id));
    if (!ids) return CL_OUT_OF_HOST_MEMORY;
    rc = create(parent, properties, *count, ids, NULL);
    if (rc == CL_SUCCESS) {
        *out = inventory_collect_devices(*count, ids);
        rc = *out ? add((struct direct_backend *)b, *count, ids, first) : CL_OUT_OF_HOST_MEMORY;
        for (cl_uint i = 0; rc != CL_SUCCESS && i < *count; i++) driver_release_device(ids[i]);
    }
    free(ids);
    return rc;
}

void direct_release_sub_device(struct backend *b, cl_uint number) {
    driver_release_device(direct_device(b, number));
}

cl_int direct_timers(struct backend *b, cl_uint device, cl_ulong *device_ns, cl_ulong *host_ns) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    cl_device_id id = direct_device(b, device);
    if (!d->clGetDeviceAndHostTimer || !d->clGetHostTimer) return CL_INVALID_OPERATION;
    return device_ns ? d->clGetDeviceAndHostTimer(id, device_ns, host_ns) : d->clGetHostTimer(id, host_ns);
}

cl_int direct_sub_group_info(struct backend *b, bk_ref kernel, cl_uint device, cl_kernel_sub_group_info param,
                             size_t input_count, const size_t *input, size_t room, void *value,
                             size_t *size) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    sub_group_info_fn *ask = driver_sub_group_info(d);
    if (!ask) return CL_INVALID_OPERATION;
    return ask(HANDLE(cl_kernel, kernel), direct_device(b, device), param, input_count * sizeof *input, input,
               room, value, size);
}
