/* Command queues: creation, information, flush and finish. */
#include <stdlib.h>
#include <string.h>

#include "opencl/front/context.h"
#include "opencl/front/entries.h"
#include "opencl/front/recorded.h"
#include "opencl/front/usage.h"

static void queue_end(void *object) {
    struct queue *q = object;
    pthread_mutex_lock(&q->context->list_lock);
    if (q->link.next) weft_list_remove(&q->link);
    pthread_mutex_unlock(&q->context->list_lock);
    if (q->ref) usage_queue(q->device, false);
    if (q->ref) q->backend->ops->release(q->backend, BK_QUEUE, q->ref);
    free(q->array);
    object_drop(q->context);
}

static cl_command_queue_properties able_properties(const struct device *d) {
    cl_command_queue_properties able = CL_QUEUE_PROFILING_ENABLE;
    const struct inventory_info *info = inventory_find(&d->own->infos, CL_DEVICE_QUEUE_ON_HOST_PROPERTIES);
    if (info && info->size == sizeof able) memcpy(&able, info->value, sizeof able);
    return able & ~(cl_command_queue_properties)(CL_QUEUE_ON_DEVICE | CL_QUEUE_ON_DEVICE_DEFAULT);
}

static cl_int create(struct context *c, struct device *d, cl_command_queue_properties properties,
                     struct queue **out) {
    const cl_command_queue_properties known = CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE |
                                              CL_QUEUE_PROFILING_ENABLE | CL_QUEUE_ON_DEVICE |
                                              CL_QUEUE_ON_DEVICE_DEFAULT;
    cl_uint index = context_device_index(c, d);
    if (index == c->device_count) return CL_INVALID_DEVICE;
    if (properties & ~known) return CL_INVALID_VALUE;
    if ((properties & CL_QUEUE_ON_DEVICE_DEFAULT) && !(properties & CL_QUEUE_ON_DEVICE))
        return CL_INVALID_VALUE;
    if ((properties & CL_QUEUE_ON_DEVICE) && !(properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE))
        return CL_INVALID_VALUE;
    if (properties & ~able_properties(d)) return CL_INVALID_QUEUE_PROPERTIES;
    struct queue *q = object_new(OBJECT_QUEUE, sizeof *q, queue_end);
    if (!q) return CL_OUT_OF_HOST_MEMORY;
    object_hold(c);
    q->context = c;
    q->device = d;
    q->backend = d->backend;
    q->slot = c->device_slot[index];
    q->properties = properties;
    cl_int rc =
        q->backend->ops->create_queue(q->backend, c->slots[q->slot].ref, d->number,
                                      recorded_properties(properties), &q->ref);
    if (rc != CL_SUCCESS) {
        object_drop(q);
        return rc;
    }
    usage_queue(d, true);
    pthread_mutex_lock(&c->list_lock);
    weft_list_push_back(&c->queues, &q->link);
    pthread_mutex_unlock(&c->list_lock);
    *out = q;
    return CL_SUCCESS;
}

/* CL_QUEUE_PROPERTIES is the one name that a host queue takes; CL_QUEUE_SIZE is for device queues. */
static cl_int read_properties(const cl_queue_properties *p, cl_command_queue_properties *out, size_t *bytes) {
    const cl_queue_properties *start = p;
    bool seen = false, sized = false;
    *out = 0;
    *bytes = 0;
    if (!p) return CL_SUCCESS;
    for (; *p; p += 2) {
        if (p[0] == CL_QUEUE_PROPERTIES && !seen) {
            *out = p[1];
            seen = true;
        } else if (p[0] == CL_QUEUE_SIZE && !sized) {
            sized = true;
        } else {
            return CL_INVALID_VALUE;
        }
    }
    *bytes = (size_t)(p + 1 - start) * sizeof *p;
    return sized && !(*out & CL_QUEUE_ON_DEVICE) ? CL_INVALID_VALUE : CL_SUCCESS;
}

static cl_int create_checked(cl_context context, cl_device_id device, cl_command_queue_properties properties,
                             const cl_queue_properties *array, size_t array_bytes, struct queue **out) {
    struct context *c = context_from(context);
    struct device *d = device_from(device);
    if (!c) return CL_INVALID_CONTEXT;
    if (!d) return CL_INVALID_DEVICE;
    cl_queue_properties *copy = NULL;
    if (array && !(copy = malloc(array_bytes))) return CL_OUT_OF_HOST_MEMORY;
    if (copy) memcpy(copy, array, array_bytes);
    cl_int rc = create(c, d, properties, out);
    if (rc != CL_SUCCESS) {
        free(copy);
        return rc;
    }
    (*out)->array = copy;
    (*out)->array_bytes = array_bytes;
    return CL_SUCCESS;
}

cl_command_queue weft_clCreateCommandQueue(cl_context context, cl_device_id device,
                                           cl_command_queue_properties properties, cl_int *errcode_ret) {
    struct queue *q = NULL;
    const cl_command_queue_properties known =
        CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE;
    cl_int rc = create_checked(context, device, properties, NULL, 0, &q);
    if (rc == CL_INVALID_QUEUE_PROPERTIES && (properties & ~known))
        rc = CL_INVALID_VALUE; /* none of 2.0's names here */
    if (errcode_ret) *errcode_ret = rc;
    return (cl_command_queue)q;
}

cl_command_queue weft_clCreateCommandQueueWithProperties(cl_context context, cl_device_id device,
                                                         const cl_queue_properties *properties,
                                                         cl_int *errcode_ret) {
    struct queue *q = NULL;
    cl_command_queue_properties bits = 0;
    size_t bytes = 0;
    cl_int rc = CL_SUCCESS;
    if (!context_from(context))
        rc = CL_INVALID_CONTEXT;
    else if (!device_from(device))
        rc = CL_INVALID_DEVICE;
    else
        rc = read_properties(properties, &bits, &bytes);
    if (rc == CL_SUCCESS) rc = create_checked(context, device, bits, properties, bytes, &q);
    if (errcode_ret) *errcode_ret = rc;
    return (cl_command_queue)q;
}

cl_int weft_clRetainCommandQueue(cl_command_queue queue) {
    struct queue *q = queue_from(queue);
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    object_retain(q);
    return CL_SUCCESS;
}

cl_int weft_clReleaseCommandQueue(cl_command_queue queue) {
    struct queue *q = queue_from(queue);
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    if (object_release(q)) {
        q->backend->ops->flush(q->backend, q->ref); /* releasing flushes */
        object_drop(q);
    }
    return CL_SUCCESS;
}

cl_int weft_clGetCommandQueueInfo(cl_command_queue queue, cl_command_queue_info param, size_t room,
                                  void *value, size_t *size_ret) {
    struct queue *q = queue_from(queue);
    struct info_out out = {room, value, size_ret};
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    switch (param) {
    case CL_QUEUE_CONTEXT: return info_pointer(out, q->context);
    case CL_QUEUE_DEVICE: return info_pointer(out, q->device);
    case CL_QUEUE_REFERENCE_COUNT: return info_uint(out, atomic_load(&q->object.refs));
    case CL_QUEUE_PROPERTIES: return info_bytes(out, &q->properties, sizeof q->properties);
    case CL_QUEUE_PROPERTIES_ARRAY: return info_bytes(out, q->array, q->array_bytes);
    case CL_QUEUE_SIZE: return CL_INVALID_COMMAND_QUEUE; /* for device queues only */
    case CL_QUEUE_DEVICE_DEFAULT: return info_pointer(out, NULL);
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
