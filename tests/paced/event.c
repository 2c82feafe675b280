/* Paced devices: events. One lock for all of them: nothing here happens often. */
#include <stdlib.h>
#include <time.h>

#include "api.h"

struct paced_callback {
    struct paced_callback *next;
    cl_int at; /* the status that it waits for */
    paced_notify_fn *fn;
    void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;

cl_ulong paced_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (cl_ulong)t.tv_sec * 1000000000u + (cl_ulong)t.tv_nsec;
}

static void destroy_event(void *object) {
    cl_event e = object;
    for (struct paced_callback *c; (c = e->callbacks);) {
        e->callbacks = c->next;
        free(c);
    }
    paced_release(e->context);
    free(e);
}

cl_event paced_event_new(cl_context context, cl_command_queue queue, cl_command_type type) {
    cl_event e = paced_new(sizeof *e, destroy_event);
    if (!e) return NULL;
    paced_retain(context);
    e->context = context;
    e->queue = queue;
    e->type = type;
    e->status = queue ? CL_QUEUED : CL_SUBMITTED;
    e->time[CL_QUEUED - e->status] = paced_now_ns();
    return e;
}

/* Those that are due at this status; the others stay. Under the lock. */
static struct paced_callback *take_due(cl_event e) {
    struct paced_callback *due = NULL, **end = &due;
    for (struct paced_callback **at = &e->callbacks, *c; (c = *at);) {
        if (c->at < e->status) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        c->next = NULL;
        *end = c;
        end = &c->next;
    }
    return due;
}

static void call_back(cl_event e, struct paced_callback *due, cl_int status) {
    for (struct paced_callback *c; (c = due);) {
        due = c->next;
        c->fn(e, status < 0 ? status : c->at, c->arg);
        free(c);
    }
}

void paced_event_set(cl_event e, cl_int status) {
    pthread_mutex_lock(&lock);
    e->status = status;
    e->time[3 - (status > 0 ? status : 0)] = paced_now_ns();
    struct paced_callback *due = take_due(e);
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
    call_back(e, due, status);
}

cl_int paced_event_wait(cl_event e) {
    pthread_mutex_lock(&lock);
    while (e->status > CL_COMPLETE) pthread_cond_wait(&change, &lock);
    cl_int status = e->status;
    pthread_mutex_unlock(&lock);
    return status;
}

PACED_API(cl_event, clCreateUserEvent, cl_context c, cl_int *err) {
    cl_event e = paced_event_new(c, NULL, CL_COMMAND_USER);
    if (err) *err = e ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    return e;
}

PACED_API(cl_int, clSetUserEventStatus, cl_event e, cl_int status) {
    if (e->type != CL_COMMAND_USER) return CL_INVALID_EVENT;
    if (status > CL_COMPLETE) return CL_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    bool over = e->status <= CL_COMPLETE;
    pthread_mutex_unlock(&lock);
    if (over) return CL_INVALID_OPERATION;
    paced_event_set(e, status);
    return CL_SUCCESS;
}

PACED_API(cl_int, clWaitForEvents, cl_uint count, const cl_event *list) {
    cl_int err = count && list ? CL_SUCCESS : CL_INVALID_VALUE;
    for (cl_uint i = 0; list && i < count; i++)
        if (paced_event_wait(list[i]) < 0) err = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
    return err;
}

PACED_API(cl_int, clGetEventInfo, cl_event e, cl_event_info what, size_t room, void *out, size_t *size) {
    pthread_mutex_lock(&lock);
    cl_int status = e->status;
    pthread_mutex_unlock(&lock);
    cl_uint refs = e->head.refs;
    switch (what) {
    case CL_EVENT_COMMAND_EXECUTION_STATUS: return paced_answer(&status, sizeof status, room, out, size);
    case CL_EVENT_COMMAND_QUEUE: return paced_answer(&e->queue, sizeof e->queue, room, out, size);
    case CL_EVENT_COMMAND_TYPE: return paced_answer(&e->type, sizeof e->type, room, out, size);
    case CL_EVENT_CONTEXT: return paced_answer(&e->context, sizeof(cl_context), room, out, size);
    case CL_EVENT_REFERENCE_COUNT: return paced_answer(&refs, sizeof refs, room, out, size);
    default: return CL_INVALID_VALUE;
    }
}

PACED_API(cl_int, clGetEventProfilingInfo, cl_event e, cl_profiling_info what, size_t room, void *out,
          size_t *size) {
    if (what < CL_PROFILING_COMMAND_QUEUED || what > CL_PROFILING_COMMAND_END) return CL_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    bool there = e->status == CL_COMPLETE && e->queue;
    cl_ulong time = e->time[what - CL_PROFILING_COMMAND_QUEUED];
    pthread_mutex_unlock(&lock);
    return there ? paced_answer(&time, sizeof time, room, out, size) : CL_PROFILING_INFO_NOT_AVAILABLE;
}

PACED_API(cl_int, clSetEventCallback, cl_event e, cl_int at, paced_notify_fn *fn, void *arg) {
    if (!fn || at < CL_COMPLETE || at > CL_SUBMITTED) return CL_INVALID_VALUE;
    struct paced_callback *c = malloc(sizeof *c);
    if (!c) return CL_OUT_OF_HOST_MEMORY;
    *c = (struct paced_callback){.at = at, .fn = fn, .arg = arg};
    pthread_mutex_lock(&lock);
    c->next = e->callbacks;
    e->callbacks = c;
    struct paced_callback *due = take_due(e);
    cl_int status = e->status;
    pthread_mutex_unlock(&lock);
    call_back(e, due, status);
    return CL_SUCCESS;
}
