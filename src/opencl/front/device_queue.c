/* Queues of devices: see device_queue.h. The context notes the default ones, and does not hold them. */
#include "opencl/front/device_queue.h"

#include "opencl/front/entries.h"

cl_int device_queue_check(const struct device *d, cl_command_queue_properties properties, cl_uint bytes) {
    cl_command_queue_properties able = device_number(d, CL_DEVICE_QUEUE_ON_DEVICE_PROPERTIES, sizeof able);
    able |= CL_QUEUE_ON_DEVICE | CL_QUEUE_ON_DEVICE_DEFAULT;
    if (!device_number(d, CL_DEVICE_MAX_ON_DEVICE_QUEUES, sizeof(cl_uint)) || properties & ~able)
        return CL_INVALID_QUEUE_PROPERTIES;
    uint64_t most = device_number(d, CL_DEVICE_QUEUE_ON_DEVICE_MAX_SIZE, sizeof bytes);
    return bytes > most ? CL_INVALID_QUEUE_PROPERTIES : CL_SUCCESS;
}

cl_int device_queue_begin(struct queue *q, cl_uint bytes) {
    const struct context_slot *s = &q->context->slots[q->slot];
    cl_int rc = q->backend->ops->create_device_queue(q->backend, s->ref, q->device->number, q->properties,
                                                     bytes, &q->ref);
    q->device_bytes =
        bytes ? bytes
              : (cl_uint)device_number(q->device, CL_DEVICE_QUEUE_ON_DEVICE_PREFERRED_SIZE, sizeof bytes);
    return rc;
}

struct queue *device_queue_retain_default(struct context *c, cl_uint device_index) {
    pthread_mutex_lock(&c->list_lock);
    struct queue *q = c->default_queues[device_index];
    if (q && !object_retain_live(q)) q = NULL;
    pthread_mutex_unlock(&c->list_lock);
    return q;
}

struct queue *device_queue_set_first_default(struct queue *q) {
    struct context *c = q->context;
    struct queue **at = &c->default_queues[context_device_index(c, q->device)], *first = q;
    pthread_mutex_lock(&c->list_lock);
    if (*at && object_retain_live(*at))
        first = *at;
    else
        *at = q;
    pthread_mutex_unlock(&c->list_lock);
    if (first != q) object_drop(q);
    return first;
}

cl_command_queue device_queue_default(const struct queue *q) {
    struct context *c = q->context;
    pthread_mutex_lock(&c->list_lock);
    const struct queue *first = c->default_queues[context_device_index(c, q->device)];
    if (first && !atomic_load(&first->object.refs)) first = NULL;
    pthread_mutex_unlock(&c->list_lock);
    return (cl_command_queue)first;
}

void device_queue_forget(struct queue *q) {
    struct context *c = q->context;
    struct queue **at = &c->default_queues[context_device_index(c, q->device)];
    pthread_mutex_lock(&c->list_lock);
    if (*at == q) *at = NULL;
    pthread_mutex_unlock(&c->list_lock);
}

/* Whether the default queue may be another one: devices before OpenCL 3.0 do not tell, and all can since 2.1.
 */
static bool is_replaceable(const struct device *d) {
    if (!inventory_find(&d->own->infos, CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES))
        return d->version >= CL_MAKE_VERSION(2, 1, 0) &&
               device_number(d, CL_DEVICE_MAX_ON_DEVICE_QUEUES, sizeof(cl_uint));
    return device_number(d, CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES,
                         sizeof(cl_device_device_enqueue_capabilities)) &
           CL_DEVICE_QUEUE_REPLACEABLE_DEFAULT;
}

cl_int weft_clSetDefaultDeviceCommandQueue(cl_context context, cl_device_id device, cl_command_queue queue) {
    struct context *c = context_from(context);
    struct device *d = device_from(device);
    struct queue *q = device_queue_from(queue);
    if (!c) return CL_INVALID_CONTEXT;
    cl_uint index = d ? context_device_index(c, d) : c->device_count;
    if (index == c->device_count) return CL_INVALID_DEVICE;
    if (!is_replaceable(d)) return CL_INVALID_OPERATION;
    if (!q || q->context != c || q->device != d) return CL_INVALID_COMMAND_QUEUE;
    const struct context_slot *s = &c->slots[q->slot];
    cl_int rc = s->backend->ops->set_default_device_queue(s->backend, s->ref, d->number, q->ref);
    if (rc != CL_SUCCESS) return rc;
    pthread_mutex_lock(&c->list_lock);
    c->default_queues[index] = q;
    pthread_mutex_unlock(&c->list_lock);
    return rc;
}
