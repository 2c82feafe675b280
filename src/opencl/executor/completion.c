/* Executor: the watch over commands under way. A command's end comes by the driver's callback, on the
 * driver's thread, and goes from there straight to the client.
 *
 * Some drivers (PoCL 3.1) do not call back for a command that ends because one before it failed. So the
 * commands under way are also looked at now and then, and after each failure that is known; one that ended so
 * is completed from there. Its struct stays until the executor ends, in case the callback comes after all.
 *
 * PoCL also aborts the process when a user event fails that several commands wait for, one behind the other.
 * There the driver is told that the event is complete, and what waits for it is poisoned: it runs, but ends
 * with the error. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "opencl/executor/internal.h"

#define DESTROY_LOOK_NS 10000000L

/* A command under way that something hangs on: news for the client, or memory. */
struct completion {
    struct weft_list link; /* in x->under_way, later perhaps in x->zombies */
    struct executor *x;
    enum completion_what what;
    uint64_t name;  /* the client's event, or its request */
    cl_event event; /* held */
    bool profiles;
    bool taken;      /* its end was seen; done_lock */
    cl_int status;   /* then, if the driver did not tell */
    cl_int poison;   /* negative: this is its end, whatever the driver says */
    uint64_t *waits; /* the client's events that it waits for */
    size_t wait_count;
    struct staging *staging;
    size_t bytes; /* READ: of the data */
};

/* ---- the end of a command ---- */
static bool read_times(cl_event e, uint64_t times[4]) {
    static const cl_profiling_info infos[] = {CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT,
                                              CL_PROFILING_COMMAND_START, CL_PROFILING_COMMAND_END};
    for (int i = 0; i < 4; i++) {
        cl_ulong t = 0;
        if (DRIVER(e)->clGetEventProfilingInfo(e, infos[i], sizeof t, &t, NULL)) return false;
        times[i] = t;
    }
    return true;
}

static void put_staging(void *arg, int status) { staging_put(arg); }

static void send_read(struct completion *c, cl_int status, const uint64_t *times) {
    struct wire_out out;
    wire_begin(&out, READ_DATA, read_data, .event = c->name, .status = (uint64_t)(int64_t)status);
    wire_add_array(&out, times, times ? 4 : 0);
    if (status == CL_COMPLETE)
        results_send(c->x, &out, c->staging->mem, c->bytes, put_staging, c->staging);
    else
        results_send(c->x, &out, NULL, 0, put_staging, c->staging);
    c->staging = NULL;
}

static void tell(struct completion *c, cl_int status) {
    uint64_t at[4], *times = NULL;
    if (c->poison && status == CL_COMPLETE) status = c->poison;
    if (c->profiles && status == CL_COMPLETE && c->what != COMPLETION_FREE && read_times(c->event, at))
        times = at;
    if (c->what != COMPLETION_FREE) capture_drain(c->x);
    switch (c->what) {
    case COMPLETION_FREE: break;
    case COMPLETION_EVENT: results_event(c->x, c->name, status, times); break;
    case COMPLETION_READ: send_read(c, status, times); break;
    case COMPLETION_REPLY: results_reply(c->x, c->name, status, NULL, 0); break;
    }
    staging_put(c->staging);
    c->staging = NULL;
    DRIVER(c->event)->clReleaseEvent(c->event);
    free(c->waits);
    c->waits = NULL;
}

/* Whoever gets true tells the command's end. */
static bool take_end(struct completion *c, bool keep) {
    struct executor *x = c->x;
    pthread_mutex_lock(&x->done_lock);
    bool mine = !c->taken;
    c->taken = true;
    if (mine) weft_list_remove(&c->link);
    if (mine && keep) weft_list_push_back(&x->zombies, &c->link);
    pthread_mutex_unlock(&x->done_lock);
    return mine;
}

static void finished(struct executor *x) {
    pthread_mutex_lock(&x->done_lock);
    if (!--x->in_flight) pthread_cond_broadcast(&x->done_cond);
    pthread_mutex_unlock(&x->done_lock);
}

/* Not from a driver's callback: the driver may hold locks. */
static void look_soon(struct executor *x) {
    atomic_store(&x->look, true);
    pthread_mutex_lock(&x->lock);
    if (x->ep) ep_wake(x->ep);
    pthread_mutex_unlock(&x->lock);
}

static void CL_CALLBACK on_complete(cl_event event, cl_int status, void *arg) {
    struct completion *c = arg;
    struct executor *x = c->x;
    if (!take_end(c, false)) return;
    tell(c, status > CL_COMPLETE ? CL_COMPLETE : status);
    free(c);
    if (status < 0) look_soon(x);
    finished(x);
}

/* ---- watching ---- */
static struct completion *create(struct executor *x, enum completion_what what, uint64_t name,
                                 cl_event event) {
    struct completion *c = calloc(1, sizeof *c);
    if (!c) {
        weft_error("executor", "no memory to watch a command: its end will not be told");
        return NULL;
    }
    *c = (struct completion){.x = x, .what = what, .name = name, .event = event};
    weft_list_init(&c->link);
    return c;
}

/* When the driver refuses the callback, the command's end cannot be known: the client is told an error, and
 * the staging memory, which the driver may still use, is given up. */
static void watch(struct completion *c) {
    const cl_icd_dispatch *d = DRIVER(c->event);
    struct executor *x = c->x;
    pthread_mutex_lock(&x->done_lock);
    x->in_flight++;
    weft_list_push_back(&x->under_way, &c->link);
    pthread_mutex_unlock(&x->done_lock);
    cl_int err = d->clSetEventCallback ? d->clSetEventCallback(c->event, CL_COMPLETE, on_complete, c)
                                       : CL_INVALID_OPERATION;
    if (!err || !take_end(c, true)) return;
    weft_error("executor", "the driver does not report a command's end: %d", err);
    if (c->what == COMPLETION_READ) c->what = COMPLETION_EVENT;
    c->staging = NULL;
    tell(c, err);
    finished(x);
}

/* Moves those whose end the driver did not tell to `found`. */
static void find_untold(struct executor *x, struct weft_list *found) {
    pthread_mutex_lock(&x->done_lock);
    weft_list_for_each_safe(it, &x->under_way) {
        struct completion *c = weft_list_entry(it, struct completion, link);
        cl_int status = CL_QUEUED;
        DRIVER(c->event)->clGetEventInfo(c->event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status,
                                         NULL);
        if (status >= 0) continue;
        c->taken = true;
        c->status = status;
        weft_list_remove(it);
        weft_list_push_back(found, it);
    }
    pthread_mutex_unlock(&x->done_lock);
}

void completion_look(struct executor *x) {
    struct weft_list found, *it;
    weft_list_init(&found);
    find_untold(x, &found);
    while ((it = weft_list_pop_front(&found))) {
        struct completion *c = weft_list_entry(it, struct completion, link);
        tell(c, c->status);
        pthread_mutex_lock(&x->done_lock);
        weft_list_push_back(&x->zombies, &c->link);
        if (!--x->in_flight) pthread_cond_broadcast(&x->done_cond);
        pthread_mutex_unlock(&x->done_lock);
    }
}

bool completion_any(struct executor *x) {
    pthread_mutex_lock(&x->done_lock);
    bool any = x->in_flight;
    pthread_mutex_unlock(&x->done_lock);
    return any;
}

void completion_wait_all(struct executor *x) {
    for (;;) {
        completion_look(x);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += DESTROY_LOOK_NS;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec++;
        }
        pthread_mutex_lock(&x->done_lock);
        if (x->in_flight) pthread_cond_timedwait(&x->done_cond, &x->done_lock, &until);
        bool all = !x->in_flight;
        pthread_mutex_unlock(&x->done_lock);
        if (all) break;
    }
    struct weft_list *it;
    while ((it = weft_list_pop_front(&x->zombies))) free(weft_list_entry(it, struct completion, link));
}

/* ---- failing user events ---- */
static bool waits_for(const struct completion *c, const uint64_t *names, size_t count) {
    for (size_t i = 0; i < c->wait_count; i++) {
        for (size_t k = 0; k < count; k++) {
            if (c->waits[i] == names[k]) return true;
        }
    }
    return false;
}

/* In the order of enqueueing, so that one pass finds the dependents of dependents too. */
void completion_poison(struct executor *x, uint64_t event) {
    pthread_mutex_lock(&x->done_lock);
    uint64_t *names = malloc((x->in_flight + 1) * sizeof *names);
    size_t count = 0;
    if (names) names[count++] = event;
    weft_list_for_each(it, &x->under_way) {
        struct completion *c = weft_list_entry(it, struct completion, link);
        if (!names || !waits_for(c, names, count)) continue;
        c->poison = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
        if (c->name) names[count++] = c->name;
    }
    pthread_mutex_unlock(&x->done_lock);
    free(names);
}

/* ---- from the commands ---- */
static void mark_dirty(struct executor *x, struct object *queue) {
    pthread_mutex_lock(&x->lock);
    if (weft_list_empty(&queue->dirty)) weft_list_push_back(&x->dirty, &queue->dirty);
    pthread_mutex_unlock(&x->lock);
}

static void keep_waits(struct completion *done, const struct wire_in *in) {
    unsigned last = in->desc->array_count - 1u; /* the wait list is the last array of every command */
    if (!in->count[last]) return;
    done->waits = malloc(in->count[last] * sizeof *done->waits);
    if (!done->waits) return;
    done->wait_count = in->count[last];
    memcpy(done->waits, in->array[last], done->wait_count * sizeof *done->waits);
}

cl_event *enqueue_event(struct call *c, cl_event *at, bool needed) {
    *at = NULL;
    bool named = c->in->words[1] && (c->in->words[3] & (WIRE_NOTIFY | WIRE_TRANSIENT)) != WIRE_TRANSIENT;
    return needed || named ? at : NULL;
}

void enqueue_track(struct call *c, cl_event event, enum completion_what what, struct staging *s,
                   size_t bytes) {
    struct object *slot = c->object[0], *queue = c->object[1];
    uint64_t name = c->in->words[1], options = c->in->words[3];
    mark_dirty(c->x, queue);
    if (!event) return;
    if (name && !(options & WIRE_TRANSIENT)) {
        slot->handle = event;
        DRIVER(event)->clRetainEvent(event);
    }
    if (what == COMPLETION_FREE && name && (options & WIRE_NOTIFY)) what = COMPLETION_EVENT;
    struct completion *done = what == COMPLETION_FREE && !s ? NULL : create(c->x, what, name, event);
    if (!done) {
        DRIVER(event)->clReleaseEvent(event);
        return; /* staging memory, if any, is given up: the driver uses it */
    }
    done->profiles = queue->profiles;
    keep_waits(done, c->in);
    done->staging = s;
    done->bytes = bytes;
    watch(done);
}

cl_int completion_reply(struct executor *x, cl_event event, uint64_t request) {
    struct completion *c = create(x, COMPLETION_REPLY, request, event);
    if (c) {
        watch(c);
        return CL_SUCCESS;
    }
    DRIVER(event)->clReleaseEvent(event);
    return CL_OUT_OF_HOST_MEMORY;
}
