/* Events as programs see them: waiting, information, profiling, user events, callbacks. */
#include <stdlib.h>

#include "opencl/clock.h"
#include "opencl/front/entries.h"
#include "opencl/front/event.h"

cl_int weft_clWaitForEvents(cl_uint count, const cl_event *list) {
    if (!count || !list) return CL_INVALID_VALUE;
    struct context *c = NULL;
    for (cl_uint i = 0; i < count; i++) {
        struct event *e = event_from(list[i]);
        if (!e) return CL_INVALID_EVENT;
        if (c && e->context != c) return CL_INVALID_CONTEXT;
        c = e->context;
    }
    /* All queues start before the first wait, so that events of several nodes run side by side. */
    for (cl_uint i = 0; count > 1 && i < count; i++) {
        struct event *e = event_from(list[i]);
        if (e && e->queue && event_status(e) > CL_COMPLETE) e->backend->ops->flush(e->backend, e->queue->ref);
    }
    cl_int rc = CL_SUCCESS;
    for (cl_uint i = 0; i < count; i++) {
        struct event *e = event_from(list[i]);
        if (!e) return CL_INVALID_EVENT;
        if (event_wait(e) < 0) rc = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
    }
    return rc;
}

cl_int weft_clGetEventInfo(cl_event event, cl_event_info param, size_t room, void *value, size_t *size_ret) {
    struct event *e = event_from(event);
    struct info_out out = {room, value, size_ret};
    if (!e) return CL_INVALID_EVENT;
    switch (param) {
    case CL_EVENT_COMMAND_QUEUE: return info_pointer(out, e->queue);
    case CL_EVENT_CONTEXT: return info_pointer(out, e->context);
    case CL_EVENT_COMMAND_TYPE: return info_uint(out, e->type);
    case CL_EVENT_REFERENCE_COUNT: return info_uint(out, atomic_load(&e->object.refs));
    case CL_EVENT_COMMAND_EXECUTION_STATUS: return info_uint(out, (cl_uint)event_status(e));
    default: return CL_INVALID_VALUE;
    }
}

cl_int weft_clRetainEvent(cl_event event) {
    struct event *e = event_from(event);
    if (!e) return CL_INVALID_EVENT;
    object_retain(e);
    return CL_SUCCESS;
}

cl_int weft_clReleaseEvent(cl_event event) {
    struct event *e = event_from(event);
    if (!e) return CL_INVALID_EVENT;
    if (object_release(e)) object_drop(e);
    return CL_SUCCESS;
}

/* As the executor does for its devices: the first command of a queue decides. */
static void bring_to_clock(struct event *e, cl_ulong times[4]) {
    struct queue *q = e->queue;
    if (!atomic_load(&q->clock_known)) {
        int64_t unknown = 0;
        atomic_compare_exchange_strong(&q->to_clock, &unknown, clock_difference(e->enqueued_ns, times[0]));
        atomic_store(&q->clock_known, true);
    }
    for (int i = 0; i < 4; i++) times[i] += (cl_ulong)atomic_load(&q->to_clock);
}

/* Only kernels' have any, on devices with queues of their own. */
static cl_ulong children_ns(const struct event *e) {
    bool may = (e->type == CL_COMMAND_NDRANGE_KERNEL || e->type == CL_COMMAND_TASK) &&
               device_number(e->queue->device, CL_DEVICE_MAX_ON_DEVICE_QUEUES, sizeof(cl_uint));
    return may ? e->backend->ops->event_children_ns(e->backend, e->ref) : 0;
}

cl_int weft_clGetEventProfilingInfo(cl_event event, cl_profiling_info param, size_t room, void *value,
                                    size_t *size_ret) {
    struct event *e = event_from(event);
    struct info_out out = {room, value, size_ret};
    if (!e) return CL_INVALID_EVENT;
    if (!e->profiled || event_status(e) != CL_COMPLETE) return CL_PROFILING_INFO_NOT_AVAILABLE;
    cl_ulong times[4];
    cl_int rc = e->backend->ops->event_times(e->backend, e->ref, times);
    if (rc != CL_SUCCESS) return rc;
    if (e->enqueued_ns) bring_to_clock(e, times);
    switch (param) {
    case CL_PROFILING_COMMAND_QUEUED: return info_ulong(out, times[0]);
    case CL_PROFILING_COMMAND_SUBMIT: return info_ulong(out, times[1]);
    case CL_PROFILING_COMMAND_START: return info_ulong(out, times[2]);
    case CL_PROFILING_COMMAND_END: return info_ulong(out, times[3]);
    case CL_PROFILING_COMMAND_COMPLETE: return info_ulong(out, times[3] + children_ns(e));
    default: return CL_INVALID_VALUE;
    }
}

cl_event weft_clCreateUserEvent(cl_context context, cl_int *errcode_ret) {
    struct context *c = context_from(context);
    struct event *e = c ? event_new_user(c) : NULL;
    if (errcode_ret) *errcode_ret = e ? CL_SUCCESS : c ? CL_OUT_OF_HOST_MEMORY : CL_INVALID_CONTEXT;
    return (cl_event)e;
}

cl_int weft_clSetUserEventStatus(cl_event event, cl_int status) {
    struct event *e = event_from(event);
    if (!e || e->type != CL_COMMAND_USER) return CL_INVALID_EVENT;
    if (status > CL_COMPLETE) return CL_INVALID_VALUE;
    return event_end(e, status) ? CL_SUCCESS : CL_INVALID_OPERATION;
}

cl_int weft_clSetEventCallback(cl_event event, cl_int type, void(CL_CALLBACK *fn)(cl_event, cl_int, void *),
                               void *data) {
    struct event *e = event_from(event);
    if (!e) return CL_INVALID_EVENT;
    if (!fn || (type != CL_SUBMITTED && type != CL_RUNNING && type != CL_COMPLETE)) return CL_INVALID_VALUE;
    struct event_callback *cb = malloc(sizeof *cb);
    if (!cb) return CL_OUT_OF_HOST_MEMORY;
    *cb = (struct event_callback){.event = e, .type = type, .fn = fn, .data = data};
    object_hold(e);
    event_add_callback(e, cb);
    return CL_SUCCESS;
}
