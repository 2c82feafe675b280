/* Command queues: creation, information, flush and finish. */
#include <stdlib.h>
#include <string.h>

#include "opencl/front/device_queue.h"
#include "opencl/front/entries.h"
#include "opencl/front/recorded.h"
#include "opencl/front/usage.h"

#define HOST_PROPERTIES                                                                                      \
    ((cl_command_queue_properties)(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE))

/* They number what a queue can be. */
_Static_assert(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE == 1 && CL_QUEUE_PROFILING_ENABLE == 2,
               "bits from the lowest on");

static void queue_end(void *object) {
    struct queue *q = object;
    pthread_mutex_lock(&q->context->list_lock);
    if (q->link.next) weft_list_remove(&q->link);
    pthread_mutex_unlock(&q->context->list_lock);
    bool on_device = queue_on_device(q);
    if (on_device) device_queue_forget(q);
    if (on_device && q->ref) q->backend->ops->release(q->backend, BK_DEVICE_QUEUE, q->ref);
    if (!on_device && q->ref) usage_queue(q->device, false);
    for (size_t i = 0; i < sizeof q->made / sizeof *q->made; i++)
        if (q->made[i]) q->backend->ops->release(q->backend, BK_QUEUE, q->made[i]);
    free(q->array);
    object_drop(q->context);
}

/* What a program wants. */
struct wish {
    cl_command_queue_properties properties;
    cl_uint device_bytes;             /* CL_QUEUE_SIZE; 0: the device's choice */
    const cl_queue_properties *array; /* NULL: none */
    size_t array_bytes;
};

static cl_command_queue_properties able_properties(const struct device *d) {
    cl_command_queue_properties able = CL_QUEUE_PROFILING_ENABLE;
    const struct inventory_info *info = inventory_find(&d->own->infos, CL_DEVICE_QUEUE_ON_HOST_PROPERTIES);
    if (info && info->size == sizeof able) memcpy(&able, info->value, sizeof able);
    return able & ~(cl_command_queue_properties)(CL_QUEUE_ON_DEVICE | CL_QUEUE_ON_DEVICE_DEFAULT);
}

/* Whether the device can have such a queue. */
static cl_int check(const struct device *d, const struct wish *w) {
    const cl_command_queue_properties known =
                                          HOST_PROPERTIES | CL_QUEUE_ON_DEVICE | CL_QUEUE_ON_DEVICE_DEFAULT,
                                      properties = w->properties;
    if (properties & ~known) return CL_INVALID_VALUE;
    if ((properties & CL_QUEUE_ON_DEVICE_DEFAULT) && !(properties & CL_QUEUE_ON_DEVICE))
        return CL_INVALID_VALUE;
    if ((properties & CL_QUEUE_ON_DEVICE) && !(properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE))
        return CL_INVALID_VALUE;
    if (properties & CL_QUEUE_ON_DEVICE) return device_queue_check(d, properties, w->device_bytes);
    return properties & ~able_properties(d) ? CL_INVALID_QUEUE_PROPERTIES : CL_SUCCESS;
}

/* The backend's queue for the queue's properties, made at their first use. */
static cl_int begin_host(struct queue *q) {
    bk_ref *ref = &q->made[q->properties & HOST_PROPERTIES];
    cl_int rc = CL_SUCCESS;
    if (!*ref)
        rc = q->backend->ops->create_queue(q->backend, q->context->slots[q->slot].ref, q->device->number,
                                           recorded_properties(q->properties), ref);
    if (rc == CL_SUCCESS) q->ref = *ref;
    return rc;
}

static cl_int fill(struct queue *q, const struct wish *w) {
    q->properties = w->properties;
    if (w->array && !(q->array = malloc(w->array_bytes))) return CL_OUT_OF_HOST_MEMORY;
    if (w->array) memcpy(q->array, w->array, w->array_bytes);
    q->array_bytes = w->array_bytes;
    return queue_on_device(q) ? device_queue_begin(q, w->device_bytes) : begin_host(q);
}

static cl_int make(struct context *c, cl_uint index, const struct wish *w, struct queue **out) {
    struct queue *q = object_new(OBJECT_QUEUE, sizeof *q, queue_end);
    if (!q) return CL_OUT_OF_HOST_MEMORY;
    object_hold(c);
    q->context = c;
    q->device = c->devices[index];
    q->backend = q->device->backend;
    q->slot = c->device_slot[index];
    cl_int rc = fill(q, w);
    if (rc != CL_SUCCESS) {
        object_drop(q);
        return rc;
    }
    *out = q;
    if (queue_on_device(q)) return rc;
    usage_queue(q->device, true);
    pthread_mutex_lock(&c->list_lock);
    weft_list_push_back(&c->queues, &q->link);
    pthread_mutex_unlock(&c->list_lock);
    return rc;
}

/* CL_QUEUE_PROPERTIES is the one name that a host queue takes; CL_QUEUE_SIZE is for device queues. */
static cl_int read_properties(const cl_queue_properties *p, struct wish *w) {
    bool seen = false, sized = false;
    w->array = p;
    if (!p) return CL_SUCCESS;
    for (; *p; p += 2) {
        if (p[0] == CL_QUEUE_PROPERTIES && !seen) {
            w->properties = p[1];
            seen = true;
        } else if (p[0] == CL_QUEUE_SIZE && !sized && p[1] <= UINT32_MAX) {
            w->device_bytes = (cl_uint)p[1];
            sized = true;
        } else {
            return CL_INVALID_VALUE;
        }
    }
    w->array_bytes = (size_t)(p + 1 - w->array) * sizeof *p;
    return sized && !(w->properties & CL_QUEUE_ON_DEVICE) ? CL_INVALID_VALUE : CL_SUCCESS;
}

/* There is one default queue of a device's own in a context: it is given again. */
static cl_int create(struct context *c, struct device *d, const struct wish *w, struct queue **out) {
    cl_uint index = context_device_index(c, d);
    if (index == c->device_count) return CL_INVALID_DEVICE;
    cl_int rc = check(d, w);
    if (rc != CL_SUCCESS) return rc;
    bool is_default = w->properties & CL_QUEUE_ON_DEVICE_DEFAULT;
    if (is_default && (*out = device_queue_retain_default(c, index))) return CL_SUCCESS;
    rc = make(c, index, w, out);
    if (rc == CL_SUCCESS && is_default) *out = device_queue_set_first_default(*out);
    return rc;
}

cl_command_queue weft_clCreateCommandQueue(cl_context context, cl_device_id device,
                                           cl_command_queue_properties properties, cl_int *errcode_ret) {
    struct queue *q = NULL;
    struct context *c = context_from(context);
    struct device *d = device_from(device);
    const struct wish w = {.properties = properties};
    cl_int rc = CL_SUCCESS;
    if (!c || !d)
        rc = c ? CL_INVALID_DEVICE : CL_INVALID_CONTEXT;
    else if (properties & ~HOST_PROPERTIES)
        rc = CL_INVALID_VALUE; /* none of 2.0's names here */
    else
        rc = create(c, d, &w, &q);
    if (errcode_ret) *errcode_ret = rc;
    return (cl_command_queue)q;
}

cl_command_queue weft_clCreateCommandQueueWithProperties(cl_context context, cl_device_id device,
                                                         const cl_queue_properties *properties,
                                                         cl_int *errcode_ret) {
    struct queue *q = NULL;
    struct context *c = context_from(context);
    struct device *d = device_from(device);
    struct wish w = {0};
    cl_int rc = !c ? CL_INVALID_CONTEXT : !d ? CL_INVALID_DEVICE : read_properties(properties, &w);
    if (rc == CL_SUCCESS) rc = create(c, d, &w, &q);
    if (errcode_ret) *errcode_ret = rc;
    return (cl_command_queue)q;
}

cl_int weft_clRetainCommandQueue(cl_command_queue queue) {
    struct queue *q = queue_from_any(queue);
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    object_retain(q);
    return CL_SUCCESS;
}

cl_int weft_clReleaseCommandQueue(cl_command_queue queue) {
    struct queue *q = queue_from_any(queue);
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    if (object_release(q)) {
        if (!queue_on_device(q)) q->backend->ops->flush(q->backend, q->ref); /* releasing flushes */
        object_drop(q);
    }
    return CL_SUCCESS;
}

cl_int weft_clGetCommandQueueInfo(cl_command_queue queue, cl_command_queue_info param, size_t room,
                                  void *value, size_t *size_ret) {
    struct queue *q = queue_from_any(queue);
    struct info_out out = {room, value, size_ret};
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    switch (param) {
    case CL_QUEUE_CONTEXT: return info_pointer(out, q->context);
    case CL_QUEUE_DEVICE: return info_pointer(out, q->device);
    case CL_QUEUE_REFERENCE_COUNT: return info_uint(out, atomic_load(&q->object.refs));
    case CL_QUEUE_PROPERTIES: return info_bytes(out, &q->properties, sizeof q->properties);
    case CL_QUEUE_PROPERTIES_ARRAY: return info_bytes(out, q->array, q->array_bytes);
    case CL_QUEUE_SIZE:
        return queue_on_device(q) ? info_uint(out, q->device_bytes) : CL_INVALID_COMMAND_QUEUE;
    case CL_QUEUE_DEVICE_DEFAULT: return info_pointer(out, device_queue_default(q));
    default: return CL_INVALID_VALUE;
    }
}

cl_int weft_clFlush(cl_command_queue queue) {
    struct queue *q = queue_from(queue);
    return q ? q->backend->ops->flush(q->backend, q->ref) : CL_INVALID_COMMAND_QUEUE;
}

cl_int weft_clFinish(cl_command_queue queue) {
    struct queue *q = queue_from(queue);
    return q ? q->backend->ops->finish(q->backend, q->ref) : CL_INVALID_COMMAND_QUEUE;
}

/* Of OpenCL 1.0, for its devices. The queue becomes another one of the backend's when all of its commands
 * have ended; their events may still name the one before. As with what else changes a queue, no other call
 * uses it meanwhile. */
cl_int weft_clSetCommandQueueProperty(cl_command_queue queue, cl_command_queue_properties properties,
                                      cl_bool enable, cl_command_queue_properties *old_properties) {
    struct queue *q = queue_from(queue);
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    if (q->device->version >= CL_MAKE_VERSION(1, 1, 0)) return CL_INVALID_OPERATION;
    if (properties & ~HOST_PROPERTIES) return CL_INVALID_VALUE;
    if (enable && properties & ~able_properties(q->device)) return CL_INVALID_QUEUE_PROPERTIES;
    cl_command_queue_properties before = q->properties;
    cl_int rc = q->backend->ops->finish(q->backend, q->ref);
    if (rc != CL_SUCCESS) return rc;
    q->properties = enable ? before | properties : before & ~properties;
    rc = begin_host(q);
    if (rc != CL_SUCCESS)
        q->properties = before;
    else if (old_properties)
        *old_properties = before;
    return rc;
}
