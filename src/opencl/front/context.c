/* Contexts: creation over the backends of the devices, information, callbacks. */
#include "opencl/front/context.h"

#include <stdlib.h>
#include <string.h>

#include "opencl/front/callback.h"
#include "opencl/front/entries.h"
#include "opencl/front/image.h"
#include "opencl/front/svm.h"

cl_uint context_device_index(const struct context *c, const struct device *d) {
    cl_uint i = 0;
    while (i < c->device_count && c->devices[i] != d) i++;
    return i;
}

static void run_context_callbacks(void *arg) {
    for (struct context_callback *cb = arg, *next; cb; cb = next) {
        next = cb->next;
        cb->fn(cb->context, cb->data);
        free(cb);
    }
}

static void context_end(void *object) {
    struct context *c = object;
    svm_free_all(c);
    for (cl_uint i = 0; i < c->slot_count; i++) {
        struct context_slot *s = &c->slots[i];
        if (s->service) s->backend->ops->release(s->backend, BK_QUEUE, s->service);
        if (s->late) s->backend->ops->release(s->backend, BK_QUEUE, s->late);
        if (s->ref) s->backend->ops->release(s->backend, BK_CONTEXT, s->ref);
        free(s->devices);
    }
    for (cl_uint i = 0; c->devices && i < c->device_count; i++) object_drop(c->devices[i]);
    if (c->callbacks) callback_post(run_context_callbacks, c->callbacks);
    image_formats_forget(c);
    free(c->slots);
    free(c->devices);
    free(c->device_slot);
    free(c->device_place);
    free(c->default_queues);
    free(c->properties);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->list_lock);
}

/* Known names; a double one is an error. platform: the one named, NULL if none was. */
static cl_int check_properties(const cl_context_properties *p, struct platform **platform, size_t *count) {
    bool sync_seen = false;
    *platform = NULL;
    *count = 0;
    if (!p) return CL_SUCCESS;
    for (; *p; p += 2, *count += 2) {
        if (*p == CL_CONTEXT_PLATFORM && !*platform) {
            *platform = platform_from((cl_platform_id)p[1]);
            if (!*platform) return CL_INVALID_PLATFORM;
        } else if (*p == CL_CONTEXT_INTEROP_USER_SYNC && !sync_seen) {
            if (p[1] != CL_TRUE && p[1] != CL_FALSE) return CL_INVALID_PROPERTY;
            sync_seen = true;
        } else {
            return CL_INVALID_PROPERTY;
        }
    }
    ++*count;
    return CL_SUCCESS;
}

static struct context_slot *slot_of(struct context *c, struct backend *b, cl_uint device_room) {
    for (cl_uint i = 0; i < c->slot_count; i++)
        if (c->slots[i].backend == b) return &c->slots[i];
    struct context_slot *s = &c->slots[c->slot_count];
    s->devices = calloc(device_room, sizeof *s->devices);
    if (!s->devices) return NULL;
    s->backend = b;
    c->slot_count++;
    return s;
}

static cl_int add_device(struct context *c, struct device *d, cl_uint device_room) {
    if (context_device_index(c, d) < c->device_count) return CL_SUCCESS;
    struct context_slot *s = slot_of(c, d->backend, device_room);
    if (!s) return CL_OUT_OF_HOST_MEMORY;
    object_hold(d);
    c->devices[c->device_count] = d;
    c->device_slot[c->device_count] = (cl_uint)(s - c->slots);
    c->device_place[c->device_count] = s->device_count;
    s->devices[s->device_count++] = d->number;
    c->device_count++;
    return CL_SUCCESS;
}

static struct context *context_new(cl_uint device_room) {
    struct context *c = object_new(OBJECT_CONTEXT, sizeof *c, context_end);
    if (!c) return NULL;
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->list_lock, NULL);
    weft_list_init(&c->queues);
    weft_list_init(&c->svms);
    weft_list_init(&c->arrivals);
    c->devices = calloc(device_room, sizeof(struct device *));
    c->device_slot = calloc(device_room, sizeof *c->device_slot);
    c->device_place = calloc(device_room, sizeof *c->device_place);
    c->slots = calloc(device_room, sizeof *c->slots);
    c->default_queues = calloc(device_room, sizeof(struct queue *));
    if (c->devices && c->device_slot && c->device_place && c->slots && c->default_queues) return c;
    object_drop(c);
    return NULL;
}

static cl_int make_slots(struct context *c) {
    for (cl_uint i = 0; i < c->slot_count; i++) {
        struct context_slot *s = &c->slots[i];
        cl_int rc = s->backend->ops->create_context(s->backend, s->device_count, s->devices, &s->ref);
        if (rc != CL_SUCCESS) return rc;
    }
    c->tracked = c->slot_count > 1;
    return CL_SUCCESS;
}

static cl_int create(struct context **out, const cl_context_properties *properties, size_t property_count,
                     cl_uint count, struct device *const *devices) {
    struct context *c = context_new(count);
    if (!c) return CL_OUT_OF_HOST_MEMORY;
    c->platform = devices[0]->platform;
    cl_int rc = CL_SUCCESS;
    for (cl_uint i = 0; i < count && rc == CL_SUCCESS; i++)
        rc = devices[i]->platform == c->platform ? add_device(c, devices[i], count) : CL_INVALID_DEVICE;
    if (rc == CL_SUCCESS && properties) {
        c->properties = malloc(property_count * sizeof *properties);
        if (c->properties)
            memcpy(c->properties, properties, property_count * sizeof *properties);
        else
            rc = CL_OUT_OF_HOST_MEMORY;
        c->property_count = property_count;
    }
    if (rc == CL_SUCCESS) rc = make_slots(c);
    if (rc == CL_SUCCESS)
        *out = c;
    else
        object_drop(c);
    return rc;
}

typedef void(CL_CALLBACK context_notify_fn)(const char *, const void *, size_t, void *);

static cl_int create_checked(struct context **out, const cl_context_properties *properties, cl_uint count,
                             const cl_device_id *ids, context_notify_fn *notify, void *data) {
    struct platform *platform;
    size_t property_count;
    cl_int rc = check_properties(properties, &platform, &property_count);
    if (rc != CL_SUCCESS) return rc;
    if (!ids || !count || (!notify && data)) return CL_INVALID_VALUE;
    struct device **devices = calloc(count, sizeof(struct device *));
    if (!devices) return CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; i < count && rc == CL_SUCCESS; i++) {
        devices[i] = device_from(ids[i]);
        if (!devices[i] || (platform && devices[i]->platform != platform)) rc = CL_INVALID_DEVICE;
    }
    if (rc == CL_SUCCESS) rc = create(out, properties, property_count, count, devices);
    free(devices);
    return rc;
}

cl_context weft_clCreateContext(const cl_context_properties *properties, cl_uint count,
                                const cl_device_id *devices, context_notify_fn *notify, void *data,
                                cl_int *errcode_ret) {
    struct context *c = NULL;
    cl_int rc = create_checked(&c, properties, count, devices, notify, data);
    if (errcode_ret) *errcode_ret = rc;
    return (cl_context)c;
}

/* All devices of the type on the platform named in the properties, else on the first one. */
static cl_int devices_of_type(const cl_context_properties *properties, cl_device_type type,
                              cl_device_id **out, cl_uint *count) {
    struct platform *platform;
    size_t property_count;
    cl_int rc = check_properties(properties, &platform, &property_count);
    if (rc != CL_SUCCESS) return rc;
    rc = weft_clGetDeviceIDs((cl_platform_id)platform, type, 0, NULL, count);
    if (rc != CL_SUCCESS) return rc;
    *out = calloc(*count, sizeof(cl_device_id));
    return *out ? weft_clGetDeviceIDs((cl_platform_id)platform, type, *count, *out, NULL)
                : CL_OUT_OF_HOST_MEMORY;
}

cl_context weft_clCreateContextFromType(const cl_context_properties *properties, cl_device_type type,
                                        context_notify_fn *notify, void *data, cl_int *errcode_ret) {
    struct context *c = NULL;
    cl_device_id *devices = NULL;
    cl_uint count = 0;
    cl_int rc = !notify && data ? CL_INVALID_VALUE : devices_of_type(properties, type, &devices, &count);
    if (rc == CL_SUCCESS) rc = create_checked(&c, properties, count, devices, notify, data);
    free(devices);
    if (errcode_ret) *errcode_ret = rc;
    return (cl_context)c;
}

cl_int weft_clRetainContext(cl_context context) {
    struct context *c = context_from(context);
    if (!c) return CL_INVALID_CONTEXT;
    object_retain(c);
    return CL_SUCCESS;
}

cl_int weft_clReleaseContext(cl_context context) {
    struct context *c = context_from(context);
    if (!c) return CL_INVALID_CONTEXT;
    if (object_release(c)) object_drop(c);
    return CL_SUCCESS;
}

cl_int weft_clGetContextInfo(cl_context context, cl_context_info param, size_t room, void *value,
                             size_t *size_ret) {
    struct context *c = context_from(context);
    struct info_out out = {room, value, size_ret};
    if (!c) return CL_INVALID_CONTEXT;
    switch (param) {
    case CL_CONTEXT_REFERENCE_COUNT: return info_uint(out, atomic_load(&c->object.refs));
    case CL_CONTEXT_NUM_DEVICES: return info_uint(out, c->device_count);
    case CL_CONTEXT_DEVICES: return info_bytes(out, c->devices, c->device_count * sizeof(cl_device_id));
    case CL_CONTEXT_PROPERTIES:
        return info_bytes(out, c->properties, c->property_count * sizeof *c->properties);
    default: return CL_INVALID_VALUE;
    }
}

cl_int weft_clSetContextDestructorCallback(cl_context context, void(CL_CALLBACK *fn)(cl_context, void *),
                                           void *data) {
    struct context *c = context_from(context);
    if (!c) return CL_INVALID_CONTEXT;
    if (!fn) return CL_INVALID_VALUE;
    struct context_callback *cb = malloc(sizeof *cb);
    if (!cb) return CL_OUT_OF_HOST_MEMORY;
    pthread_mutex_lock(&c->list_lock);
    *cb = (struct context_callback){.next = c->callbacks,
                                    .context = context,
                                    .fn = fn,
                                    .data = data}; /* the last registered is called first */
    c->callbacks = cb;
    pthread_mutex_unlock(&c->list_lock);
    return CL_SUCCESS;
}

/* A queue of weft's own in a slot, made at first use. */
static cl_int own_queue(struct context *c, cl_uint slot, bk_ref *queue) {
    const struct context_slot *s = &c->slots[slot];
    cl_uint first = 0;
    if (*queue) return CL_SUCCESS;
    while (c->device_slot[first] != slot) first++;
    const struct inventory_info *info =
        inventory_find(&c->devices[first]->own->infos, CL_DEVICE_QUEUE_ON_HOST_PROPERTIES);
    cl_command_queue_properties able = 0;
    if (info && info->size == sizeof able) memcpy(&able, info->value, sizeof able);
    return s->backend->ops->create_queue(s->backend, s->ref, s->devices[0],
                                         able & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, queue);
}

cl_int context_service(struct context *c, cl_uint slot, bk_ref *queue) {
    cl_int rc = own_queue(c, slot, &c->slots[slot].service);
    *queue = c->slots[slot].service;
    return rc;
}

cl_int context_late(struct context *c, cl_uint slot, bk_ref *queue) {
    cl_int rc = own_queue(c, slot, &c->slots[slot].late);
    *queue = c->slots[slot].late;
    return rc;
}
