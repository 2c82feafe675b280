/* Direct: events and their ends. A driver may never call back for a command that fails because of its wait
 * list, or call with CL_COMPLETE (PoCL 3.1 does both), so that the ends being watched are kept in a list,
 * which is looked through whenever an event is seen to have failed; and the status told is the event's own.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "opencl/direct/internal.h"
#include "opencl/direct/poison.h"

struct completion {
    struct weft_list link; /* watched; lock */
    _Atomic int refs;      /* the driver's callback (which may never come), the list, who looks */
    atomic_bool told;
    struct backend *backend;
    _Atomic int event_refs; /* not told yet, who looks; 0: event is released */
    cl_event event;
    bool marked; /* nobody else will ask for its end */
    bk_complete_fn *fn;
    void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct weft_list watched = {&watched, &watched};

static void put(struct completion *c) {
    if (atomic_fetch_sub(&c->refs, 1) == 1) free(c);
}

static void put_event(struct completion *c) {
    if (atomic_fetch_sub(&c->event_refs, 1) != 1) return;
    if (c->marked) poison_forget(c->event);
    DRIVER(c->event)->clReleaseEvent(c->event);
}

/* Tells the end, once. */
static void tell(struct completion *c, cl_int status) {
    if (atomic_exchange(&c->told, true)) return;
    cl_ulong times[4] = {0};
    cl_int own = direct_event_status(c->backend, to_ref(c->event));
    direct_event_times(c->backend, to_ref(c->event), times);
    pthread_mutex_lock(&lock);
    weft_list_remove(&c->link);
    pthread_mutex_unlock(&lock);
    c->fn(c->arg, own < 0 ? own : status, times);
    put_event(c);
    put(c);
}

static void CL_CALLBACK on_event(cl_event event, cl_int status, void *data) {
    tell(data, status);
    put(data);
}

/* All watched events, each with a reference; heap. They are asked without the lock, which a driver's callback
 * may want while the driver holds its own. */
static struct completion **list_watched(size_t *count) {
    size_t n = 0;
    pthread_mutex_lock(&lock);
    weft_list_for_each(it, &watched) n++;
    struct completion **all = calloc(n + 1, sizeof(struct completion *));
    n = 0;
    weft_list_for_each(it, &watched) {
        if (!all) break;
        all[n] = weft_list_entry(it, struct completion, link);
        atomic_fetch_add(&all[n]->event_refs, 1); /* in the list: not told, so that it has one */
        atomic_fetch_add(&all[n++]->refs, 1);
    }
    pthread_mutex_unlock(&lock);
    *count = n;
    return all;
}

void direct_tell_failed(void) {
    size_t count;
    struct completion **all = list_watched(&count);
    for (size_t i = 0; i < count; i++) {
        cl_int status = atomic_load(&all[i]->told)
                            ? CL_COMPLETE
                            : direct_event_status(all[i]->backend, to_ref(all[i]->event));
        if (status < 0) tell(all[i], status);
        put_event(all[i]);
        put(all[i]);
    }
    free(all);
}

cl_int direct_notify(struct backend *b, cl_event e, bool marked, bk_complete_fn *fn, void *arg) {
    struct completion *c = calloc(1, sizeof *c);
    bk_ref event = to_ref(e);
    if (!c) return CL_OUT_OF_HOST_MEMORY;
    *c = (struct completion){.backend = b, .event = e, .marked = marked, .fn = fn, .arg = arg};
    atomic_init(&c->refs, 3);
    atomic_init(&c->event_refs, 1);
    DRIVER(e)->clRetainEvent(e);
    pthread_mutex_lock(&lock);
    weft_list_push_back(&watched, &c->link);
    pthread_mutex_unlock(&lock);
    cl_int rc = DRIVER(e)->clSetEventCallback(e, CL_COMPLETE, on_event, c);
    cl_int status = direct_event_status(b, event);
    if (rc != CL_SUCCESS) put(c); /* no callback will come */
    if (rc != CL_SUCCESS && status > CL_COMPLETE) status = direct_wait_event(b, event);
    if (rc != CL_SUCCESS || status < 0) tell(c, status);
    put(c);
    return CL_SUCCESS;
}

cl_int direct_event_notify(struct backend *b, bk_ref event, bk_complete_fn *fn, void *arg) {
    return direct_notify(b, HANDLE(cl_event, event), false, fn, arg);
}

cl_int direct_event_status(struct backend *b, bk_ref event) {
    cl_int status = CL_QUEUED;
    cl_int rc = direct_driver(b)->dispatch->clGetEventInfo(
        HANDLE(cl_event, event), CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
    if (rc == CL_SUCCESS && status == CL_COMPLETE) status = poison_status(HANDLE(cl_event, event));
    return rc == CL_SUCCESS ? status : rc;
}

cl_int direct_wait_event(struct backend *b, bk_ref event) {
    cl_event e = HANDLE(cl_event, event);
    cl_int rc = direct_driver(b)->dispatch->clWaitForEvents(1, &e);
    cl_int status = direct_event_status(b, event);
    if (status > CL_COMPLETE) status = rc;
    if (status < 0) direct_tell_failed();
    return status;
}

cl_int direct_event_times(struct backend *b, bk_ref event, cl_ulong times[4]) {
    static const cl_profiling_info names[4] = {CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT,
                                               CL_PROFILING_COMMAND_START, CL_PROFILING_COMMAND_END};
    for (int i = 0; i < 4; i++) {
        cl_int rc = direct_driver(b)->dispatch->clGetEventProfilingInfo(HANDLE(cl_event, event), names[i],
                                                                        sizeof times[i], &times[i], NULL);
        if (rc != CL_SUCCESS) {
            memset(times, 0, 4 * sizeof *times);
            return rc;
        }
    }
    return CL_SUCCESS;
}

cl_ulong direct_event_children_ns(struct backend *b, bk_ref event) {
    return driver_children_ns(HANDLE(cl_event, event));
}
