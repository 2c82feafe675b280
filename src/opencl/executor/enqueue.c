/* Executor: commands for queues other than transfers, and flushing. */
#include "opencl/executor/internal.h"

/* ---- flushing ---- */
void executor_forget_queue(struct executor *x, struct object *queue) {
    pthread_mutex_lock(&x->lock);
    weft_list_remove(&queue->dirty);
    pthread_mutex_unlock(&x->lock);
}

void executor_flush_dirty(struct executor *x) {
    for (;;) {
        cl_command_queue q = NULL;
        pthread_mutex_lock(&x->lock);
        struct weft_list *it = weft_list_pop_front(&x->dirty);
        if (it) {
            q = weft_list_entry(it, struct object, dirty)->handle;
            DRIVER(q)->clRetainCommandQueue(q); /* a handler may release it meanwhile */
        }
        pthread_mutex_unlock(&x->lock);
        if (!q) return;
        DRIVER(q)->clFlush(q);
        DRIVER(q)->clReleaseCommandQueue(q);
    }
}

/* ---- the commands ---- */
/* Of a command that needs nothing but its event: enqueues by `call` (which uses c->wait_count, waits and
 * out). */
#define ENQUEUE(call)                                                                                        \
    do {                                                                                                     \
        cl_event event, *out = enqueue_event(c, &event, false);                                              \
        cl_int enqueue_error = (call);                                                                       \
        if (enqueue_error) return enqueue_error;                                                             \
        enqueue_track(c, event, COMPLETION_FREE, NULL, 0);                                                   \
        return CL_SUCCESS;                                                                                   \
    } while (0)
#define WAITS c->wait_count, c->wait_count ? c->waits : NULL

static cl_command_queue handle_of_queue(struct call *c) { return c->object[1]->handle; }
static bool is_image(struct call *c, unsigned field) { return c->object[field]->image_type != 0; }

cl_int carry_out_ndrange(struct call *c) {
    const struct wire_ndrange *n = &c->in->ndrange;
    struct object *kernel = c->object[3];
    size_t dims = n->dims, parts = 1 + !!(n->options & WIRE_LOCAL) + !!(n->options & WIRE_OFFSET);
    if (dims < 1 || dims > 3 || c->in->count[0] != dims * parts) return CL_INVALID_WORK_DIMENSION;
    if (kernel->arg_error) return kernel->arg_error;
    size_t geometry[9];
    for (size_t i = 0; i < dims * parts; i++) geometry[i] = c->in->array[0][i];
    const size_t *local = n->options & WIRE_LOCAL ? geometry + dims : NULL;
    const size_t *offset = n->options & WIRE_OFFSET ? geometry + dims * (parts - 1) : NULL;
    cl_command_queue q = handle_of_queue(c);
    ENQUEUE(DRIVER(q)->clEnqueueNDRangeKernel(q, kernel->handle, (cl_uint)dims, offset, geometry, local,
                                              WAITS, out));
}

cl_int carry_out_copy(struct call *c) {
    const struct wire_copy *w = &c->in->copy;
    cl_command_queue q = handle_of_queue(c);
    if (is_image(c, 3) || is_image(c, 4)) return CL_INVALID_MEM_OBJECT;
    ENQUEUE(DRIVER(q)->clEnqueueCopyBuffer(q, c->object[3]->handle, c->object[4]->handle, w->src_offset,
                                           w->dst_offset, w->size, WAITS, out));
}

cl_int carry_out_copy_rect(struct call *c) {
    if (c->in->count[0] != 13) return CL_INVALID_VALUE;
    if (is_image(c, 3) || is_image(c, 4)) return CL_INVALID_MEM_OBJECT;
    size_t r[13];
    for (int i = 0; i < 13; i++) r[i] = c->in->array[0][i];
    for (int i = 6; i < 13; i++)
        if (!r[i]) return CL_INVALID_VALUE; /* some drivers divide by them */
    cl_command_queue q = handle_of_queue(c);
    if (!DRIVER(q)->clEnqueueCopyBufferRect) return CL_INVALID_OPERATION;
    ENQUEUE(DRIVER(q)->clEnqueueCopyBufferRect(q, c->object[3]->handle, c->object[4]->handle, r, r + 3, r + 6,
                                               r[9], r[10], r[11], r[12], WAITS, out));
}

cl_int carry_out_fill(struct call *c) {
    const struct wire_fill *f = &c->in->fill;
    cl_command_queue q = handle_of_queue(c);
    if (is_image(c, 3)) return CL_INVALID_MEM_OBJECT;
    if (f->pattern_size > c->in->count[0] * 8) return CL_INVALID_VALUE;
    if (!DRIVER(q)->clEnqueueFillBuffer) return CL_INVALID_OPERATION;
    ENQUEUE(DRIVER(q)->clEnqueueFillBuffer(q, c->object[3]->handle, c->in->array[0], f->pattern_size,
                                           f->offset, f->size, WAITS, out));
}

/* In a queue of its own, which the driver keeps until then: to PoCL 3.1 a marker with a wait list is one for
 * all that is in its queue, where what comes after the marker may be what that waits for. */
static cl_int enqueue_apart(struct call *c, cl_event *out) {
    cl_device_id device;
    cl_int err =
        DRIVER(handle_of_queue(c))
            ->clGetCommandQueueInfo(handle_of_queue(c), CL_QUEUE_DEVICE, sizeof device, &device, NULL);
    if (err) return err;
    cl_command_queue q = executor_create_queue(c->object[1]->context->context, device, 0, &err);
    if (!q) return err;
    err = DRIVER(q)->clEnqueueMarkerWithWaitList(q, WAITS, out);
    if (!err) DRIVER(q)->clFlush(q);
    DRIVER(q)->clReleaseCommandQueue(q);
    return err;
}

cl_int carry_out_marker(struct call *c) {
    cl_command_queue q = handle_of_queue(c);
    if (!DRIVER(q)->clEnqueueMarkerWithWaitList) return CL_INVALID_OPERATION;
    bool apart = c->in->marker.options & WIRE_APART && !c->object[1]->lane->in_order;
    ENQUEUE(apart ? enqueue_apart(c, out) : DRIVER(q)->clEnqueueMarkerWithWaitList(q, WAITS, out));
}

cl_int carry_out_barrier(struct call *c) {
    cl_command_queue q = handle_of_queue(c);
    if (!DRIVER(q)->clEnqueueBarrierWithWaitList) return CL_INVALID_OPERATION;
    ENQUEUE(DRIVER(q)->clEnqueueBarrierWithWaitList(q, WAITS, out));
}

cl_int carry_out_migrate(struct call *c) {
    cl_command_queue q = handle_of_queue(c);
    if (!c->mem_count) return CL_INVALID_VALUE;
    if (!DRIVER(q)->clEnqueueMigrateMemObjects) return CL_INVALID_OPERATION;
    ENQUEUE(
        DRIVER(q)->clEnqueueMigrateMemObjects(q, c->mem_count, c->mems, c->in->migrate.flags, WAITS, out));
}

cl_int carry_out_flush(struct call *c) {
    cl_command_queue q = c->object[0]->handle;
    executor_forget_queue(c->x, c->object[0]);
    return DRIVER(q)->clFlush(q);
}

static cl_int enqueue_last_marker(cl_command_queue q, cl_event *event) {
    const cl_icd_dispatch *d = DRIVER(q);
    if (d->clEnqueueMarkerWithWaitList) return d->clEnqueueMarkerWithWaitList(q, 0, NULL, event);
    return d->clEnqueueMarker(q, event);
}

/* Never waits: a marker behind all commands answers when it completes. */
cl_int carry_out_finish(struct call *c) {
    cl_command_queue q = c->object[0]->handle;
    cl_event last;
    cl_int err = enqueue_last_marker(q, &last);
    if (!err) err = completion_reply(c->x, last, c->in->finish.request, c->object[0]);
    if (err) return err;
    executor_forget_queue(c->x, c->object[0]);
    DRIVER(q)->clFlush(q);
    return CL_SUCCESS;
}
