/* Paced devices: queues, a thread each, which does the commands in order. A kernel has its device for itself
 * until the time is over that its floating-point operations take at the device's rate. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api.h"

struct paced_command {
    struct paced_command *next;
    cl_event event; /* held */
    cl_uint wait_count;
    cl_event *waits; /* held */
    cl_mem from, to; /* held; NULL: the host's memory, or none */
    const unsigned char *host_from;
    unsigned char *host_to;
    size_t from_offset, to_offset, bytes;
    const struct paced_kernel *kernel;
    struct paced_value arg[PACED_ARGS_MAX]; /* buffers are held */
    size_t global[2];
};

static void hold(cl_mem m) {
    if (m) paced_retain(m);
}
static void drop(cl_mem m) {
    if (m) paced_release(m);
}

static void free_command(struct paced_command *c) {
    for (cl_uint i = 0; i < c->wait_count; i++) paced_release(c->waits[i]);
    for (cl_uint i = 0; c->kernel && i < c->kernel->args; i++) drop(c->arg[i].mem);
    drop(c->from);
    drop(c->to);
    if (c->event) paced_release(c->event);
    free(c->waits);
    free(c);
}

/* ---- carrying out ---- */
static void sleep_until(cl_ulong ns) {
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL)) {
    }
}

static void run_kernel(cl_device_id d, struct paced_command *c) {
    pthread_mutex_lock(&d->busy);
    paced_event_set(c->event, CL_RUNNING);
    cl_ulong start = paced_now_ns();
    c->kernel->compute(c->arg, c->global);
    if (d->flops > 0) sleep_until(start + (cl_ulong)(1e9 * c->kernel->flops(c->arg, c->global) / d->flops));
    pthread_mutex_unlock(&d->busy);
}

static void move(const struct paced_command *c) {
    const unsigned char *from = c->from ? c->from->data + c->from_offset : c->host_from;
    unsigned char *to = c->to ? c->to->data + c->to_offset : c->host_to;
    if (c->bytes) memmove(to, from, c->bytes);
}

static void carry_out(cl_command_queue q, struct paced_command *c) {
    cl_int status = CL_COMPLETE;
    for (cl_uint i = 0; i < c->wait_count; i++)
        if (paced_event_wait(c->waits[i]) < 0) status = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
    paced_event_set(c->event, CL_SUBMITTED);
    if (status == CL_COMPLETE && c->kernel) {
        run_kernel(q->device, c);
    } else if (status == CL_COMPLETE) {
        paced_event_set(c->event, CL_RUNNING);
        move(c);
    }
    paced_event_set(c->event, status);
    free_command(c);
}

static void free_queue(cl_command_queue q) {
    paced_release(q->context);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->change);
    free(q);
}

/* Ends, and the queue with it, when the queue was released and there is nothing left to do. */
static void *work(void *arg) {
    cl_command_queue q = arg;
    pthread_mutex_lock(&q->lock);
    for (;;) {
        struct paced_command *c = q->first;
        q->working = c != NULL;
        if (c) {
            q->first = c->next;
            if (!q->first) q->last = &q->first;
            pthread_mutex_unlock(&q->lock);
            carry_out(q, c);
            pthread_mutex_lock(&q->lock);
            continue;
        }
        pthread_cond_broadcast(&q->change);
        if (q->closed) break;
        pthread_cond_wait(&q->change, &q->lock);
    }
    pthread_mutex_unlock(&q->lock);
    free_queue(q);
    return NULL;
}

/* ---- queues ---- */
static void close_queue(void *object) {
    cl_command_queue q = object;
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->change);
    pthread_mutex_unlock(&q->lock);
}

static cl_int open_queue(cl_context c, cl_device_id d, cl_command_queue_properties props,
                         cl_command_queue *out) {
    if (!paced_has_device(c, d)) return CL_INVALID_DEVICE;
    if (props & ~(cl_command_queue_properties)CL_QUEUE_PROFILING_ENABLE) return CL_INVALID_QUEUE_PROPERTIES;
    cl_command_queue q = paced_new(sizeof *q, close_queue);
    if (!q) return CL_OUT_OF_HOST_MEMORY;
    paced_retain(c);
    q->context = c;
    q->device = d;
    q->properties = props;
    q->last = &q->first;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->change, NULL);
    if (pthread_create(&q->thread, NULL, work, q)) {
        free_queue(q);
        return CL_OUT_OF_HOST_MEMORY;
    }
    pthread_detach(q->thread);
    *out = q;
    return CL_SUCCESS;
}

PACED_API(cl_command_queue, clCreateCommandQueue, cl_context c, cl_device_id d,
          cl_command_queue_properties props, cl_int *err) {
    cl_command_queue q = NULL;
    cl_int status = open_queue(c, d, props, &q);
    if (err) *err = status;
    return q;
}

PACED_API(cl_int, clFlush, cl_command_queue q) { return CL_SUCCESS; }

PACED_API(cl_int, clFinish, cl_command_queue q) {
    pthread_mutex_lock(&q->lock);
    while (q->first || q->working) pthread_cond_wait(&q->change, &q->lock);
    pthread_mutex_unlock(&q->lock);
    return CL_SUCCESS;
}

/* ---- enqueuing ---- */
static struct paced_command *new_command(cl_command_queue q, cl_command_type type, cl_uint count,
                                         const cl_event *waits) {
    struct paced_command *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->event = paced_event_new(q->context, q, type);
    c->waits = calloc((size_t)count + 1, sizeof(cl_event));
    if (!c->event || !c->waits) {
        free_command(c);
        return NULL;
    }
    for (; c->wait_count < count; c->wait_count++) {
        c->waits[c->wait_count] = waits[c->wait_count];
        paced_retain(waits[c->wait_count]);
    }
    return c;
}

/* Takes the command over. */
static cl_int put(cl_command_queue q, struct paced_command *c, bool blocking, cl_event *out) {
    cl_event e = c->event;
    hold(c->from);
    hold(c->to);
    paced_retain(e);
    pthread_mutex_lock(&q->lock);
    *q->last = c;
    q->last = &c->next;
    pthread_cond_broadcast(&q->change);
    pthread_mutex_unlock(&q->lock);
    cl_int status = blocking ? paced_event_wait(e) : CL_COMPLETE;
    if (out && status >= 0)
        *out = e;
    else
        paced_release(e);
    return status < 0 ? status : CL_SUCCESS;
}

static bool outside(cl_mem m, size_t offset, size_t bytes) {
    return !bytes || offset > m->bytes || bytes > m->bytes - offset;
}

PACED_API(cl_int, clEnqueueReadBuffer, cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset,
          size_t bytes, void *host, cl_uint count, const cl_event *waits, cl_event *out) {
    if (!host || outside(m, offset, bytes)) return CL_INVALID_VALUE;
    struct paced_command *c = new_command(q, CL_COMMAND_READ_BUFFER, count, waits);
    if (!c) return CL_OUT_OF_HOST_MEMORY;
    c->from = m;
    c->from_offset = offset;
    c->host_to = host;
    c->bytes = bytes;
    return put(q, c, blocking, out);
}

PACED_API(cl_int, clEnqueueWriteBuffer, cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset,
          size_t bytes, const void *host, cl_uint count, const cl_event *waits, cl_event *out) {
    if (!host || outside(m, offset, bytes)) return CL_INVALID_VALUE;
    struct paced_command *c = new_command(q, CL_COMMAND_WRITE_BUFFER, count, waits);
    if (!c) return CL_OUT_OF_HOST_MEMORY;
    c->to = m;
    c->to_offset = offset;
    c->host_from = host;
    c->bytes = bytes;
    return put(q, c, blocking, out);
}

PACED_API(cl_int, clEnqueueCopyBuffer, cl_command_queue q, cl_mem from, cl_mem to, size_t from_offset,
          size_t to_offset, size_t bytes, cl_uint count, const cl_event *waits, cl_event *out) {
    if (outside(from, from_offset, bytes) || outside(to, to_offset, bytes)) return CL_INVALID_VALUE;
    struct paced_command *c = new_command(q, CL_COMMAND_COPY_BUFFER, count, waits);
    if (!c) return CL_OUT_OF_HOST_MEMORY;
    c->from = from;
    c->to = to;
    c->from_offset = from_offset;
    c->to_offset = to_offset;
    c->bytes = bytes;
    return put(q, c, false, out);
}

PACED_API(cl_int, clEnqueueNDRangeKernel, cl_command_queue q, cl_kernel k, cl_uint dims, const size_t *offset,
          const size_t *global, const size_t *local, cl_uint count, const cl_event *waits, cl_event *out) {
    if (dims != 2 || offset) return CL_INVALID_WORK_DIMENSION;
    for (cl_uint i = 0; i < k->what->args; i++)
        if (!k->arg[i].set) return CL_INVALID_KERNEL_ARGS;
    if (!k->what->fits(k->arg, global)) return CL_INVALID_GLOBAL_WORK_SIZE;
    struct paced_command *c = new_command(q, CL_COMMAND_NDRANGE_KERNEL, count, waits);
    if (!c) return CL_OUT_OF_HOST_MEMORY;
    c->kernel = k->what;
    memcpy(c->arg, k->arg, sizeof c->arg);
    memcpy(c->global, global, sizeof c->global);
    for (cl_uint i = 0; i < k->what->args; i++) hold(c->arg[i].mem);
    return put(q, c, false, out);
}

/* In an in-order queue both wait for all before them. */
static cl_int nothing_but_wait(cl_command_queue q, cl_command_type type, cl_uint count, const cl_event *waits,
                               cl_event *out) {
    struct paced_command *c = new_command(q, type, count, waits);
    return c ? put(q, c, false, out) : CL_OUT_OF_HOST_MEMORY;
}

PACED_API(cl_int, clEnqueueMarkerWithWaitList, cl_command_queue q, cl_uint count, const cl_event *waits,
          cl_event *out) {
    return nothing_but_wait(q, CL_COMMAND_MARKER, count, waits, out);
}

PACED_API(cl_int, clEnqueueBarrierWithWaitList, cl_command_queue q, cl_uint count, const cl_event *waits,
          cl_event *out) {
    return nothing_but_wait(q, CL_COMMAND_BARRIER, count, waits, out);
}
