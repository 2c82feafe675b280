/* Late transfers: see late.h. */
#include "opencl/front/late.h"

#include <stdlib.h>

#include "opencl/front/usage.h"

struct range {
    uintptr_t from, to;
};

/* Host memory that a command under way writes. */
struct arrival {
    struct weft_list link;   /* context->arrivals */
    struct context *context; /* held */
    struct range range;
    bk_complete_fn *fn; /* the command's own */
    void *arg;
};

struct late {
    struct mem *mem; /* held; NULL: shared virtual memory's */
    struct backend *backend;
    cl_uint slot;
    struct bk_command held;
    struct event *gate; /* held */
};

/* ---- host memory of commands ---- */
static struct range box(const void *host, size_t width, const size_t region[3], size_t row, size_t slice) {
    uintptr_t from = (uintptr_t)host;
    return (struct range){from, from + (region[2] - 1) * slice + (region[1] - 1) * row + width};
}

static struct range rect(const struct bk_command *c, const void *host) {
    const size_t *o = c->u.rect.host_origin, row = c->u.rect.host_row_pitch,
                 slice = c->u.rect.host_slice_pitch;
    const char *first = (const char *)host + o[0] + o[1] * row + o[2] * slice;
    return box(first, c->u.rect.region[0], c->u.rect.region, row, slice);
}

static struct range image(const struct bk_command *c, const void *host) {
    return box(host, c->u.image.region[0] * c->u.image.element_bytes, c->u.image.region, c->u.image.row_pitch,
               c->u.image.slice_pitch);
}

/* What a command writes; false: nothing, or what is not seen. */
static bool written(const struct bk_command *c, struct range *out) {
    switch (c->op) {
    case BK_READ:
        *out = (struct range){(uintptr_t)c->u.rw.host, (uintptr_t)c->u.rw.host + c->u.rw.size};
        return true;
    case BK_READ_RECT: *out = rect(c, c->u.rect.host); return true;
    case BK_READ_IMAGE: *out = image(c, c->u.image.host); return true;
    case BK_SVM_COPY:
        *out = (struct range){(uintptr_t)c->u.svm.dst, (uintptr_t)c->u.svm.dst + c->u.svm.size};
        return true;
    case BK_NATIVE: *out = (struct range){0, UINTPTR_MAX}; return true; /* anything */
    default: return false;
    }
}

/* What a command sends; false: nothing. */
static bool sent(const struct bk_command *c, struct range *out) {
    switch (c->op) {
    case BK_WRITE:
        *out = (struct range){(uintptr_t)c->u.rw.host_src, (uintptr_t)c->u.rw.host_src + c->u.rw.size};
        return true;
    case BK_WRITE_RECT: *out = rect(c, c->u.rect.host_src); return true;
    case BK_WRITE_IMAGE: *out = image(c, c->u.image.host_src); return true;
    default: return false;
    }
}

/* ---- reads under way ---- */
static bool any_remote(const struct context *c) {
    for (cl_uint i = 0; i < c->slot_count; i++)
        if (!c->slots[i].backend->direct) return true;
    return false;
}

static void drop_arrival(struct arrival *a) {
    pthread_mutex_lock(&a->context->list_lock);
    weft_list_remove(&a->link);
    pthread_mutex_unlock(&a->context->list_lock);
    object_drop(a->context);
    free(a);
}

static void on_arrived(void *arg, cl_int status, const cl_ulong times[4]) {
    struct arrival *a = arg;
    bk_complete_fn *fn = a->fn;
    void *own = a->arg;
    drop_arrival(a);
    if (fn) fn(own, status, times);
}

cl_int late_note(struct command *c) {
    struct context *context = c->queue->context;
    struct range range;
    if (c->bk.blocking || !written(&c->bk, &range) || !any_remote(context)) return CL_SUCCESS;
    struct arrival *a = malloc(sizeof *a);
    if (!a) return CL_OUT_OF_HOST_MEMORY;
    *a = (struct arrival){.context = context, .range = range, .fn = c->bk.on_complete, .arg = c->bk.arg};
    object_hold(context);
    c->bk.on_complete = on_arrived;
    c->bk.arg = a;
    pthread_mutex_lock(&context->list_lock);
    weft_list_push_back(&context->arrivals, &a->link);
    pthread_mutex_unlock(&context->list_lock);
    return CL_SUCCESS;
}

void late_forget(struct command *c) {
    if (c->bk.on_complete == on_arrived) drop_arrival(c->bk.arg);
}

static bool is_arriving(struct context *c, struct range r) {
    bool found = false;
    pthread_mutex_lock(&c->list_lock);
    weft_list_for_each(it, &c->arrivals) {
        const struct arrival *a = weft_list_entry(it, struct arrival, link);
        found |= a->range.from < r.to && r.from < a->range.to;
    }
    pthread_mutex_unlock(&c->list_lock);
    return found;
}

/* ---- what is held back ---- */
static bool waits_for_program(const struct command *c) {
    for (cl_uint i = 0; i < c->wait_count; i++) {
        struct event *e = event_from(c->wait_list[i]);
        if (e && !e->backend && event_status(e) > CL_COMPLETE) return true;
    }
    return false;
}

bool late_is_due(const struct command *c) {
    const struct queue *q = c->queue;
    struct range r;
    if (q->backend->direct) return false;
    bool sends = sent(&c->bk, &r);
    if (!sends && !written(&c->bk, &r)) return false;
    if (queue_out_of_order(q) && !c->wait_count) return false; /* comes after nothing */
    return (sends && waits_for_program(c)) || is_arriving(q->context, r);
}

/* The transfer's end, or that it cannot be. */
static void end(struct late *l, cl_int status) {
    event_end(l->gate, status);
    object_drop(l->gate);
    if (l->mem) object_drop(l->mem);
    free(l);
}

static void on_done(void *arg, cl_int status, const cl_ulong times[4]) { end(arg, status); }

/* All is done that the transfer comes after. */
static void on_ready(void *arg, cl_int status, const cl_ulong times[4]) {
    struct late *l = arg;
    struct backend *b = l->backend;
    bk_ref queue = l->held.queue;
    if (status >= 0) {
        usage_transfer(l->gate->context, l->slot, &l->held);
        status = b->ops->enqueue(b, &l->held, NULL);
    }
    if (status < 0)
        end(l, status); /* else on_done does, and l may be gone */
    else
        b->ops->flush(b, queue);
}

static struct late *make(const struct command *c, bk_ref own_queue) {
    struct late *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    l->gate = event_new_user(c->queue->context);
    if (!l->gate) {
        free(l);
        return NULL;
    }
    atomic_store(&l->gate->object.refs, 0); /* never the program's */
    l->backend = c->queue->backend;
    l->slot = c->queue->slot;
    l->mem = c->use_count ? c->uses[0].mem : NULL;
    if (l->mem) object_hold(l->mem);
    l->held = c->bk;
    l->held.queue = own_queue;
    l->held.wait_count = 0;
    l->held.waits = NULL;
    l->held.blocking = l->held.want_event = false;
    l->held.on_complete = on_done;
    l->held.arg = l;
    return l;
}

cl_int late_begin(struct command *c, struct waits *w, bk_ref own_queue) {
    struct queue *q = c->queue;
    struct late *l = make(c, own_queue);
    if (!l) return CL_OUT_OF_HOST_MEMORY;
    struct event *gate = l->gate;
    object_hold(gate);
    struct bk_command ready = {.op = BK_MARKER,
                               .queue = q->ref,
                               .wait_count = w->count,
                               .waits = w->refs,
                               .on_complete = on_ready,
                               .arg = l};
    cl_int rc = q->backend->ops->enqueue(q->backend, &ready, NULL);
    if (rc != CL_SUCCESS)
        end(l, rc);
    else
        rc = waits_add(w, gate);
    object_drop(gate);
    c->bk.op = BK_MARKER;
    return rc;
}
