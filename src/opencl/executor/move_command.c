/* Executor: the driver's commands of moves. Each half of a move is a command of a queue. A source's command
 * reads, or maps; a target's writes, behind a gate that opens when the data is there, or unmaps. Where host
 * and device share memory large contents travel from the one's memory into the other's: mapping takes no copy
 * there. */
#include "base/log.h"
#include "opencl/executor/move.h"

#define MAPPED_MIN ((size_t)128 << 10)
#define WAITS      c->wait_count, c->wait_count ? c->waits : NULL

/* A buffer's range, or an image's box. */
struct place {
    bool image;
    size_t offset, bytes;
    struct box box;
};

static cl_int take_place(struct call *c, struct place *p) {
    const struct object *mem = c->object[3];
    *p = (struct place){.image = mem->image_type != 0};
    if (p->image) {
        cl_int err = executor_take_box(c, &p->box);
        p->bytes = p->box.bytes;
        return err;
    }
    if (c->in->count[0] != 2) return CL_INVALID_VALUE;
    p->offset = c->in->array[0][0];
    p->bytes = c->in->array[0][1];
    bool inside = p->offset <= mem->size && p->bytes <= mem->size - p->offset;
    return p->bytes && inside ? CL_SUCCESS : CL_INVALID_VALUE;
}

static bool shares_memory(const struct context_info *info) {
    for (cl_uint i = 0; i < info->device_count; i++) {
        cl_bool shared = CL_FALSE;
        cl_device_type type = 0;
        cl_device_id d = info->devices[i];
        DRIVER(d)->clGetDeviceInfo(d, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof shared, &shared, NULL);
        DRIVER(d)->clGetDeviceInfo(d, CL_DEVICE_TYPE, sizeof type, &type, NULL);
        if (!shared || !(type & CL_DEVICE_TYPE_CPU)) return false;
    }
    return true;
}

/* What is mapped stays until the move is over. */
static void keep_mapped(struct move *m, cl_command_queue q, cl_mem mem, void *at) {
    m->queue = q;
    m->mem = mem;
    m->at = at;
    DRIVER(q)->clRetainCommandQueue(q);
    DRIVER(mem)->clRetainMemObject(mem);
}

/* NULL: it is not worth it, or cannot be; `event` gets the command's. What a source has mapped is not mapped
 * again: the driver tells mappings apart by their address, which may be the same. */
static void *map(struct call *c, const struct place *p, cl_map_flags flags, cl_event *event) {
    cl_command_queue q = c->object[1]->handle;
    cl_int err = CL_SUCCESS;
    if (p->image || p->bytes < MAPPED_MIN || !shares_memory(c->object[3]->context)) return NULL;
    if (weft_map_get(&c->x->peers.mapped, (uintptr_t)c->object[3]->handle)) return NULL;
    void *at = DRIVER(q)->clEnqueueMapBuffer(q, c->object[3]->handle, CL_FALSE, flags, p->offset, p->bytes,
                                             WAITS, event, &err);
    return err ? NULL : at;
}

static cl_int enqueue_staged(struct call *c, const struct place *p, bool reads, void *at, cl_event *event) {
    cl_command_queue q = c->object[1]->handle;
    cl_mem mem = c->object[3]->handle;
    const cl_icd_dispatch *d = DRIVER(q);
    const struct box *b = &p->box;
    if (p->image && reads)
        return d->clEnqueueReadImage(q, mem, CL_FALSE, b->origin, b->region, b->row, b->slice, at, WAITS,
                                     event);
    if (p->image)
        return d->clEnqueueWriteImage(q, mem, CL_FALSE, b->origin, b->region, b->row, b->slice, at, WAITS,
                                      event);
    if (reads) return d->clEnqueueReadBuffer(q, mem, CL_FALSE, p->offset, p->bytes, at, WAITS, event);
    return d->clEnqueueWriteBuffer(q, mem, CL_FALSE, p->offset, p->bytes, at, WAITS, event);
}

/* Whose end enqueue_track watches, with a hold for it. */
static void track(struct call *c, struct move *m, cl_event event) {
    pthread_mutex_lock(&c->x->peers.lock);
    m->holds++;
    pthread_mutex_unlock(&c->x->peers.lock);
    c->move = m;
    if (m->staging) staging_hold(m->staging);
    enqueue_track(c, event, COMPLETION_FREE, m->staging, m->bytes);
}

static void source_ended(struct move *m, cl_int status) {
    if (m->staging) m->at = m->staging->mem;
    move_source_ready(m, status);
    pthread_mutex_lock(&m->x->peers.lock);
    move_put(m, true);
    pthread_mutex_unlock(&m->x->peers.lock);
}

/* However it ended: the contents are not waited for any more. */
static void target_ended(struct move *m) {
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    move_leave_table(m, true);
    move_put(m, true);
    pthread_mutex_unlock(&x->peers.lock);
}

void move_ended(struct move *m, cl_int status) {
    if (m->target)
        target_ended(m);
    else
        source_ended(m, status);
}

/* ---- SEND ---- */
/* New, or what a GET that came before it made. */
static struct move *name_source(struct executor *x, const struct wire_in *in) {
    uint32_t peer = (uint32_t)in->send.peer;
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = weft_map_get(&x->peers.sources, in->send.move);
    if (!m) m = move_create(x, in->send.move, peer, false);
    if (m && (m->named || m->peer != peer)) m = NULL;
    if (m) m->named = true;
    pthread_mutex_unlock(&x->peers.lock);
    return m;
}

void move_refused(struct executor *x, const struct wire_in *in, cl_int error) {
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = weft_map_get(&x->peers.sources, in->send.move);
    bool ready = m && m->ready;
    pthread_mutex_unlock(&x->peers.lock);
    if (!m || !m->named) m = name_source(x, in);
    if (m && !ready) move_source_ready(m, error);
}

static cl_int send_mapped(struct call *c, const struct place *p, struct move *m, bool *done) {
    cl_event event;
    void *at = map(c, p, CL_MAP_READ, &event);
    *done = at;
    if (!at) return CL_SUCCESS;
    if (weft_map_put(&c->x->peers.mapped, (uintptr_t)c->object[3]->handle, m))
        weft_warn("executor", "no memory to note what is mapped");
    keep_mapped(m, c->object[1]->handle, c->object[3]->handle, at);
    track(c, m, event);
    return CL_SUCCESS;
}

static cl_int send_staged(struct call *c, const struct place *p, struct move *m) {
    m->staging = staging_get(&c->x->staging, p->bytes);
    if (!m->staging) return CL_OUT_OF_HOST_MEMORY;
    cl_event event;
    cl_int err = enqueue_staged(c, p, true, m->staging->mem, &event);
    if (!err) track(c, m, event);
    return err;
}

cl_int carry_out_send(struct call *c) {
    struct place p;
    bool done = false;
    cl_int err = take_place(c, &p);
    struct move *m = err ? NULL : name_source(c->x, c->in);
    if (!err && !m) err = CL_INVALID_VALUE;
    if (err) return err;
    m->bytes = p.bytes;
    err = send_mapped(c, &p, m, &done);
    return err || done ? err : send_staged(c, &p, m);
}

/* ---- RECEIVE ---- */
/* The device is done with what it had in the mapped memory. */
static void CL_CALLBACK on_room(cl_event event, cl_int status, void *arg) {
    struct move *m = arg;
    struct executor *x = m->x;
    DRIVER(event)->clReleaseEvent(event);
    pthread_mutex_lock(&x->peers.lock);
    m->room = status >= 0;
    if (m->room && m->supplied) move_hand_over(m, true);
    bool wanted = m->room && !x->peers.closed;
    pthread_mutex_unlock(&x->peers.lock);
    if (wanted) move_ask(m);
    pthread_mutex_lock(&x->peers.lock);
    move_put(m, true);
    pthread_mutex_unlock(&x->peers.lock);
}

/* The command that makes the contents the device's, behind the gate, and before it the one that makes room.
 */
static cl_int receive_mapped(struct call *c, const struct place *p, struct move *m, bool *done) {
    cl_command_queue q = c->object[1]->handle;
    cl_mem mem = c->object[3]->handle;
    cl_event room, event;
    c->wait_count--; /* without the gate */
    void *at = map(c, p, CL_MAP_WRITE_INVALIDATE_REGION, &room);
    c->wait_count++;
    *done = at;
    if (!at) return CL_SUCCESS;
    keep_mapped(m, q, mem, at);
    cl_int err = DRIVER(q)->clEnqueueUnmapMemObject(q, mem, at, WAITS, &event);
    if (err) {
        DRIVER(room)->clReleaseEvent(room);
        return err;
    }
    track(c, m, event);
    pthread_mutex_lock(&c->x->peers.lock);
    m->holds++;
    pthread_mutex_unlock(&c->x->peers.lock);
    err = completion_call(room, on_room, m);
    if (err) on_room(room, err, m);
    return CL_SUCCESS;
}

static cl_int receive_staged(struct call *c, const struct place *p, struct move *m) {
    m->staging = staging_get(&c->x->staging, p->bytes);
    if (!m->staging) return CL_OUT_OF_HOST_MEMORY;
    m->at = m->staging->mem;
    cl_event event;
    cl_int err = enqueue_staged(c, p, false, m->at, &event);
    if (err) return err;
    track(c, m, event);
    pthread_mutex_lock(&c->x->peers.lock);
    m->room = true;
    pthread_mutex_unlock(&c->x->peers.lock);
    move_ask(m);
    return CL_SUCCESS;
}

static struct move *begin_target(struct call *c, const struct place *p) {
    const struct wire_receive *w = &c->in->receive;
    struct executor *x = c->x;
    cl_event gate = executor_create_gate(c->object[1]->context->context);
    if (!gate) return NULL;
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = move_create(x, w->move, (uint32_t)w->peer, true);
    pthread_mutex_unlock(&x->peers.lock);
    if (!m) {
        DRIVER(gate)->clReleaseEvent(gate);
        return NULL;
    }
    m->gate = gate;
    m->event = w->event;
    m->bytes = p->bytes;
    m->holds++; /* the caller's */
    c->waits[c->wait_count++] = gate;
    return m;
}

/* From a driver of this executor itself. */
static void inherit(struct move *m) {
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    struct move *source = weft_map_get(&x->peers.sources, m->id);
    bool there = source && !source->peer && !source->heir;
    if (there) {
        source->heir = m;
        m->holds++;
        move_hand_over(source, false);
    } else {
        m->supplied = true;
        m->status = NO_CONTENTS;
        move_hand_over(m, false);
    }
    pthread_mutex_unlock(&x->peers.lock);
}

cl_int carry_out_receive(struct call *c) {
    struct place p;
    bool done = false;
    cl_int err = take_place(c, &p);
    if (!err && !c->in->receive.event) err = CL_INVALID_VALUE;
    if (err) return err;
    struct move *m = begin_target(c, &p);
    if (!m) return CL_INVALID_VALUE;
    if (c->in->receive.peer) err = receive_mapped(c, &p, m, &done);
    if (!err && !done) err = receive_staged(c, &p, m);
    if (!err && !m->peer) inherit(m);
    pthread_mutex_lock(&c->x->peers.lock);
    if (err) move_leave_table(m, false);
    move_put(m, false);
    pthread_mutex_unlock(&c->x->peers.lock);
    return err;
}
