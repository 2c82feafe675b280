/* Events' life: status, ends, bridges to other backends. What programs call is in event_api.c. */
#include "opencl/front/event.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/record.h"
#include "opencl/front/callback.h"

/* One leaf lock for the lists and ends of all events: taken only for bridges, callbacks and user events. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t user_ended = PTHREAD_COND_INITIALIZER;

static void end_bridge(const struct event *e, struct backend *backend, const struct event_bridge *b) {
    if (b->far) {
        backend->ops->end_bridge(backend, b->ref, atomic_load(&e->status));
        return;
    }
    /* A user event that the program gave up without setting it: what waits for it must not hang for ever. */
    if (!e->ended)
        backend->ops->set_user_event(backend, b->ref, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
    backend->ops->release(backend, BK_EVENT, b->ref);
}

static void event_finish_object(void *object) {
    struct event *e = object;
    for (struct event_bridge *b = e->bridges, *next; b; b = next) {
        struct backend *backend = e->context->slots[b->slot].backend;
        next = b->next;
        end_bridge(e, backend, b);
        free(b);
    }
    if (e->backend && e->ref) e->backend->ops->release(e->backend, BK_EVENT, e->ref);
    if (e->queue) object_drop(e->queue);
    object_drop(e->context);
}

struct event *event_new(struct context *c, struct queue *q, cl_command_type type) {
    struct event *e = object_new(OBJECT_EVENT, sizeof *e, event_finish_object);
    if (!e) return NULL;
    object_hold(c);
    e->context = c;
    if (q) object_hold(q);
    e->queue = q;
    e->profiled = q && (q->properties & CL_QUEUE_PROFILING_ENABLE);
    if (e->profiled && q->backend->direct) e->enqueued_ns = weft_now_ns();
    e->type = type;
    atomic_store_explicit(&e->status, CL_QUEUED, memory_order_relaxed);
    return e;
}

struct event *event_new_user(struct context *c) {
    struct event *e = event_new(c, NULL, CL_COMMAND_USER);
    if (e) atomic_store_explicit(&e->status, CL_SUBMITTED, memory_order_relaxed);
    return e;
}

static void run_callback(void *arg) {
    struct event_callback *cb = arg;
    cb->fn((cl_event)cb->event, cb->status, cb->data);
    object_drop(cb->event);
    free(cb);
}

static void post_callback(struct event_callback *cb, cl_int status) {
    cb->status = status < 0 ? status : cb->type;
    callback_post(run_callback, cb);
}

static void post_callbacks(struct event_callback *cb, cl_int status) {
    for (struct event_callback *next; cb; cb = next) {
        next = cb->next;
        post_callback(cb, status);
    }
}

bool event_end(struct event *e, cl_int status) {
    pthread_mutex_lock(&lock);
    if (e->ended) {
        pthread_mutex_unlock(&lock);
        return false;
    }
    e->ended = true;
    atomic_store_explicit(&e->status, status, memory_order_release);
    struct event_callback *callbacks = e->callbacks;
    struct event_bridge *bridges = e->bridges;
    e->callbacks = NULL;
    if (!e->backend) pthread_cond_broadcast(&user_ended);
    pthread_mutex_unlock(&lock);
    for (; bridges; bridges = bridges->next) {
        struct backend *b = e->context->slots[bridges->slot].backend;
        if (!bridges->far) b->ops->set_user_event(b, bridges->ref, status);
    }
    post_callbacks(callbacks, status);
    return true;
}

static void on_end(void *arg, cl_int status, const cl_ulong times[4]) {
    struct event *e = arg;
    if (e->recorded && status == CL_COMPLETE && times && times[3] > times[2])
        weft_record_kernel_took(e->recorded, times[3] - times[2]);
    event_end(e, status);
    object_drop(arg);
}

/* Asks the backend to tell the end, once. */
static void watch(struct event *e) {
    pthread_mutex_lock(&lock);
    bool ask = e->backend && !e->watched && !e->ended;
    if (ask) e->watched = true;
    pthread_mutex_unlock(&lock);
    if (!ask) return;
    object_hold(e);
    cl_int rc = e->backend->ops->event_notify(e->backend, e->ref, on_end, e);
    if (rc != CL_SUCCESS) on_end(e, rc, NULL);
}

void event_record(struct event *e, struct weft_record_kernel *to) {
    e->recorded = to;
    atomic_fetch_add(&to->launches, 1);
    watch(e);
}

cl_int event_status(struct event *e) {
    cl_int s = atomic_load_explicit(&e->status, memory_order_acquire);
    if (s <= CL_COMPLETE || !e->backend) return s;
    s = e->backend->ops->event_status(e->backend, e->ref);
    if (s <= CL_COMPLETE) atomic_store_explicit(&e->status, s, memory_order_release);
    return s;
}

cl_int event_wait(struct event *e) {
    cl_int s = atomic_load_explicit(&e->status, memory_order_acquire);
    if (s <= CL_COMPLETE) return s;
    if (e->backend) {
        s = e->backend->ops->wait_event(e->backend, e->ref);
        atomic_store_explicit(&e->status, s, memory_order_release);
        return s;
    }
    pthread_mutex_lock(&lock);
    while (!e->ended) pthread_cond_wait(&user_ended, &lock);
    pthread_mutex_unlock(&lock);
    return atomic_load_explicit(&e->status, memory_order_acquire);
}

void event_add_callback(struct event *e, struct event_callback *cb) {
    if (cb->type > CL_COMPLETE && event_status(e) <= cb->type) {
        post_callback(cb, event_status(e));
        return;
    }
    pthread_mutex_lock(&lock);
    bool ended = e->ended;
    if (!ended) {
        struct event_callback **at = &e->callbacks;
        while (*at) at = &(*at)->next;
        *at = cb;
    }
    pthread_mutex_unlock(&lock);
    if (ended)
        post_callbacks(cb, atomic_load(&e->status));
    else
        watch(e);
}

/* The bridge of a slot that is there already; 0: none. */
static bk_ref find_bridge(struct event *e, cl_uint slot) {
    for (struct event_bridge *b = e->bridges; b; b = b->next)
        if (b->slot == slot) return b->ref;
    return 0;
}

static cl_int make_bridge(struct event *e, const struct context_slot *s, struct event_bridge *b) {
    const struct backend_ops *ops = s->backend->ops;
    if (e->backend && ops->bridge && ops == e->backend->ops)
        b->far = ops->bridge(s->backend, s->ref, e->backend, e->ref, &b->ref);
    return b->far ? CL_SUCCESS : ops->create_user_event(s->backend, s->ref, &b->ref);
}

static cl_int add_bridge(struct event *e, cl_uint slot, bk_ref *out) {
    const struct context_slot *s = &e->context->slots[slot];
    struct event_bridge *b = malloc(sizeof *b);
    if (!b) return CL_OUT_OF_HOST_MEMORY;
    *b = (struct event_bridge){.slot = slot};
    cl_int rc = make_bridge(e, s, b);
    if (rc != CL_SUCCESS) {
        free(b);
        return rc;
    }
    pthread_mutex_lock(&lock);
    bk_ref other = find_bridge(e, slot);
    bool ended = e->ended;
    if (!other) {
        b->next = e->bridges;
        e->bridges = b;
    }
    pthread_mutex_unlock(&lock);
    *out = other ? other : b->ref;
    if (other && b->far) {
        s->backend->ops->end_bridge(s->backend, b->ref, CL_COMPLETE);
        free(b);
    } else if (other) {
        s->backend->ops->set_user_event(s->backend, b->ref, CL_COMPLETE);
        s->backend->ops->release(s->backend, BK_EVENT, b->ref);
        free(b);
    } else if (ended && !b->far) {
        s->backend->ops->set_user_event(s->backend, b->ref, atomic_load(&e->status));
    } else {
        watch(e); /* of a far one too: it is released when the end is known */
        if (e->queue && !b->far) e->backend->ops->flush(e->backend, e->queue->ref);
    }
    return CL_SUCCESS;
}

static void waits_free(struct waits *w) {
    if (w->at != w->small) free(w->at);
    if (w->refs != w->small_refs) free(w->refs);
}

void waits_fini(struct waits *w) {
    for (cl_uint i = 0; i < w->count; i++) object_drop(w->at[i]);
    waits_free(w);
}

static cl_int waits_grow(struct waits *w) {
    struct event **at = malloc(w->room * 2 * sizeof(struct event *));
    bk_ref *refs = malloc(w->room * 2 * sizeof *refs);
    if (!at || !refs) {
        free(at);
        free(refs);
        return CL_OUT_OF_HOST_MEMORY;
    }
    memcpy(at, w->at, w->count * sizeof(struct event *));
    memcpy(refs, w->refs, w->count * sizeof *refs);
    waits_free(w);
    w->at = at;
    w->refs = refs;
    w->room *= 2;
    return CL_SUCCESS;
}

/* Once each: of what uses stretches of memory the same are found again and again. */
static cl_int waits_push(struct waits *w, struct event *e, bk_ref ref) {
    for (cl_uint i = 0; i < w->count; i++)
        if (w->refs[i] == ref) return CL_SUCCESS;
    cl_int rc = w->count == w->room ? waits_grow(w) : CL_SUCCESS;
    if (rc != CL_SUCCESS) return rc;
    object_hold(e);
    w->at[w->count] = e;
    w->refs[w->count++] = ref;
    return rc;
}

cl_int waits_add(struct waits *w, struct event *e) {
    if (e->backend && e->slot == w->slot) return waits_push(w, e, e->ref);
    if (!w->keep && event_status(e) == CL_COMPLETE) return CL_SUCCESS;
    pthread_mutex_lock(&lock);
    bk_ref ref = find_bridge(e, w->slot);
    pthread_mutex_unlock(&lock);
    cl_int rc = ref ? CL_SUCCESS : add_bridge(e, w->slot, &ref);
    return rc == CL_SUCCESS ? waits_push(w, e, ref) : rc;
}

cl_int waits_add_list(struct waits *w, struct context *c, cl_uint count, const cl_event *list) {
    if (!list != !count) return CL_INVALID_EVENT_WAIT_LIST;
    for (cl_uint i = 0; i < count; i++) {
        struct event *e = event_from(list[i]);
        if (!e) return CL_INVALID_EVENT_WAIT_LIST;
        if (e->context != c) return CL_INVALID_CONTEXT;
    }
    cl_int rc = CL_SUCCESS;
    for (cl_uint i = 0; i < count && rc == CL_SUCCESS; i++) rc = waits_add(w, event_from(list[i]));
    return rc;
}
