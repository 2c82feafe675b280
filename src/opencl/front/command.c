/* Commands: see command.h. */
#include "opencl/front/command.h"

#include "opencl/front/image.h"
#include "opencl/front/late.h"
#include "opencl/front/usage.h"

cl_int command_check(struct queue *q, cl_uint wait_count, const cl_event *wait_list) {
    if (!wait_list != !wait_count) return CL_INVALID_EVENT_WAIT_LIST;
    for (cl_uint i = 0; i < wait_count; i++) {
        struct event *e = event_from(wait_list[i]);
        if (!e) return CL_INVALID_EVENT_WAIT_LIST;
        if (e->context != q->context) return CL_INVALID_CONTEXT;
    }
    return CL_SUCCESS;
}

cl_int command_mem(struct queue *q, cl_mem handle, struct mem **out) {
    struct mem *m = mem_from(handle);
    if (!m) return CL_INVALID_MEM_OBJECT;
    if (m->context != q->context) return CL_INVALID_CONTEXT;
    *out = m;
    return CL_SUCCESS;
}

cl_int command_buffer(struct queue *q, cl_mem handle, struct mem **out) {
    cl_int rc = command_mem(q, handle, out);
    return rc == CL_SUCCESS && ((*out)->image || mem_is_pipe(*out)) ? CL_INVALID_MEM_OBJECT : rc;
}

cl_int command_image(struct queue *q, cl_mem handle, struct mem **out) {
    cl_int rc = command_mem(q, handle, out);
    if (rc != CL_SUCCESS) return rc;
    if (!(*out)->image) return CL_INVALID_MEM_OBJECT;
    if (!device_has_images(q->device)) return CL_INVALID_OPERATION;
    return image_fits(q->device, (*out)->image) ? CL_SUCCESS : CL_INVALID_IMAGE_SIZE;
}

cl_int command_host_access(const struct mem *m, bool read) {
    cl_mem_flags barred = CL_MEM_HOST_NO_ACCESS | (read ? CL_MEM_HOST_WRITE_ONLY : CL_MEM_HOST_READ_ONLY);
    return m->flags & barred ? CL_INVALID_OPERATION : CL_SUCCESS;
}

cl_int command_alignment(const struct queue *q, const struct mem *m) {
    size_t align = q->device->own->address_align_bits / 8;
    for (; align && m->parent; m = m->parent)
        if (m->origin % align) return CL_MISALIGNED_SUB_BUFFER_OFFSET;
    return CL_SUCCESS;
}

/* The event's object is made before the enqueue: afterwards nothing may fail. */
static cl_int enqueue(struct command *c, const struct waits *w, struct event *e) {
    struct queue *q = c->queue;
    c->bk.wait_count = w->count;
    c->bk.waits = w->refs;
    c->bk.queue = q->ref;
    c->bk.want_event = e != NULL;
    c->bk.among_others = q->context->tracked;
    cl_int rc = q->backend->ops->enqueue(q->backend, &c->bk, e ? &e->ref : NULL);
    if (rc == CL_SUCCESS) usage_command(q->device, &c->bk);
    if (rc == CL_SUCCESS && e) {
        e->slot = q->slot;
        e->backend = q->backend;
    }
    if (rc == CL_SUCCESS && c->recorded) event_record(e, c->recorded);
    return rc;
}

/* Context lock held. */
static cl_int begin_late(struct command *c, struct waits *w) {
    bk_ref own_queue;
    cl_int rc = context_late(c->queue->context, c->queue->slot, &own_queue);
    return rc == CL_SUCCESS ? late_begin(c, w, own_queue) : rc;
}

/* With data to be put in place, or a transfer that is held back: the backend's call must not wait under the
 * lock, so that a blocking command is enqueued first and waited for after. */
static cl_int enqueue_under_lock(struct command *c, bool coherent, bool late, struct waits *w,
                                 struct event *e) {
    struct context *context = c->queue->context;
    bool blocking = c->bk.blocking;
    c->bk.blocking = false;
    c->bk.brief = true;
    pthread_mutex_lock(&context->lock);
    cl_int rc = coherent ? coherence_prepare(context, w, c->uses, c->use_count) : CL_SUCCESS;
    if (rc == CL_SUCCESS && late) rc = begin_late(c, w);
    if (rc == CL_SUCCESS) rc = enqueue(c, w, e);
    if (rc == CL_SUCCESS && coherent)
        coherence_record(context, c->queue, c->queue->slot, c->uses, c->use_count, e);
    pthread_mutex_unlock(&context->lock);
    if (rc == CL_SUCCESS && blocking) rc = event_wait(e);
    return rc;
}

static cl_int run_with_waits(struct command *c, bool coherent, bool late, struct waits *w, struct event *e) {
    cl_int rc = CL_SUCCESS;
    w->keep = late || c->bk.op == BK_MARKER ||
              c->bk.op == BK_BARRIER; /* with an empty list they would mean another thing */
    if (c->wait_count) rc = waits_add_list(w, c->queue->context, c->wait_count, c->wait_list);
    if (c->after && rc == CL_SUCCESS) rc = waits_add(w, c->after);
    if (rc != CL_SUCCESS) return rc;
    return coherent || late ? enqueue_under_lock(c, coherent, late, w, e) : enqueue(c, w, e);
}

cl_int command_run(struct command *c) {
    struct queue *q = c->queue;
    struct event *e = NULL;
    bool coherent = coherence_needed(q->context, c->uses, c->use_count), late = late_is_due(c);
    if (c->event || coherent || late || c->recorded) {
        e = event_new(q->context, q, c->type);
        if (!e) return CL_OUT_OF_HOST_MEMORY;
    }
    c->bk.unseen = !c->event && !c->bk.blocking;
    struct waits w;
    waits_init(&w, q->slot);
    cl_int rc = late_note(c);
    if (rc == CL_SUCCESS) rc = run_with_waits(c, coherent, late, &w, e);
    if (rc != CL_SUCCESS) late_forget(c);
    waits_fini(&w);
    if (rc == CL_SUCCESS && c->event) {
        *c->event = (cl_event)e;
        return rc;
    }
    if (e) object_drop(e);
    return rc;
}

cl_int command_run_to_end(struct command *c) {
    cl_event own = NULL;
    if (!c->event) c->event = &own;
    c->bk.blocking = false;
    cl_int rc = command_run(c);
    if (rc == CL_SUCCESS) rc = event_wait((struct event *)*c->event);
    if (own) object_drop(own);
    return rc;
}

cl_int command_run_empty(struct command *c) {
    c->use_count = 0;
    c->bk.op = BK_MARKER;
    return c->bk.blocking ? command_run_to_end(c) : command_run(c);
}
