/* Executor: the driver's commands of moves. Each half of a move is a command of a queue, or one a piece, each
 * after the one before, of which the last one's end is the move's. A source's commands read, or map; a
 * target's write, each behind a gate that opens when its data is there, or unmap. Where host and device share
 * memory large contents travel from the one's memory into the other's: mapping takes no copy there. Staging
 * memory that both executors have (the client's) takes what is read at the one end and is what is written at
 * the other: then only the news travels. */
#include <stdlib.h>

#include "base/log.h"
#include "opencl/executor/move.h"

#define MAPPED_MIN ((size_t)128 << 10)
#define PIECE_MIN  ((size_t)4 << 20)
#define WAITS      c->wait_count, c->wait_count ? c->waits : NULL

/* A buffer's range, or an image's box. */
struct place {
    bool image;
    size_t offset, bytes;
    struct box box;
};

/* ---- pieces ---- */
/* Of an image: so many slices, or of one slice so many rows. */
static void cut_box(const struct box *b, size_t wanted, struct pieces *p) {
    size_t slice = b->row * b->region[1], units = wanted / slice;
    if (units) {
        p->piece = p->slice = units * slice;
        p->count = (unsigned)((b->region[2] + units - 1) / units);
        return;
    }
    units = wanted / b->row ? wanted / b->row : 1;
    p->piece = units * b->row;
    p->slice = slice;
    p->across = (unsigned)((b->region[1] + units - 1) / units);
    p->count = p->across * (unsigned)b->region[2];
}

/* Pieces are not so small that what each costs besides counts, nor so large that nothing overlaps. Both
 * halves of a move cut it alike. */
static struct pieces cut(const struct place *at) {
    struct pieces p = {.across = 1, .bytes = at->bytes};
    size_t wanted = at->bytes / 16 > PIECE_MIN ? at->bytes / 16 : PIECE_MIN;
    p.piece = p.slice = wanted;
    if (at->image)
        cut_box(&at->box, wanted, &p);
    else
        p.count = (unsigned)((at->bytes + wanted - 1) / wanted);
    if (p.count > PIECES_MAX) p = (struct pieces){.count = 1, .across = 1, .bytes = at->bytes};
    return p;
}

static struct place piece_of(const struct place *at, const struct pieces *pieces, unsigned i) {
    struct place p = *at;
    size_t start = piece_start(pieces, i);
    p.bytes = piece_start(pieces, i + 1) - start;
    p.offset += start;
    if (!at->image || pieces->count == 1) return p;
    const struct box *b = &at->box;
    size_t slice = b->row * b->region[1];
    p.box.origin[2] += start / slice;
    p.box.origin[1] += start % slice / b->row;
    p.box.region[2] = p.bytes < slice ? 1 : p.bytes / slice;
    if (pieces->across > 1) p.box.region[1] = p.bytes / b->row;
    return p;
}

/* ---- places ---- */
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

/* One piece, after what the call waits for. */
static cl_int enqueue_piece(struct call *c, const struct place *p, bool reads, void *at, cl_event *event) {
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

/* Staging memory: the client's, where both halves have it, or this executor's own. */
static cl_int take_staging(struct call *c, struct move *m, uint64_t place) {
    if (place) {
        m->at = share_at(c->x, place, m->pieces.bytes);
        m->passes = true;
        return m->at ? CL_SUCCESS : CL_INVALID_VALUE;
    }
    if (!m->staging) m->staging = staging_get(&c->x->staging, m->pieces.bytes);
    if (!m->staging) return CL_OUT_OF_HOST_MEMORY;
    m->at = m->staging->mem;
    return CL_SUCCESS;
}

static void hold(struct move *m) {
    pthread_mutex_lock(&m->x->peers.lock);
    m->holds++;
    pthread_mutex_unlock(&m->x->peers.lock);
}

static void put(struct move *m) {
    pthread_mutex_lock(&m->x->peers.lock);
    move_put(m, true);
    pthread_mutex_unlock(&m->x->peers.lock);
}

/* Whose end enqueue_track watches, with a hold for it. */
static void track(struct call *c, struct move *m, cl_event event) {
    hold(m);
    c->move = m;
    if (m->staging) staging_hold(m->staging);
    enqueue_track(c, event, COMPLETION_FREE, m->staging, m->pieces.bytes);
}

/* Some pieces are under way: the command ends with them, and with the error. Until then staging is in use. */
static void fail_after(struct call *c, struct move *m, cl_event last, cl_int err) {
    cl_command_queue q = c->object[1]->handle;
    pthread_mutex_lock(&m->x->peers.lock);
    m->status = err;
    pthread_mutex_unlock(&m->x->peers.lock);
    track(c, m, last);
    completion_fail(m->x, c->in->words[1], err);
    DRIVER(q)->clFlush(q);
    move_open_gates(m);
}

/* The commands of all pieces. What the call waits for is the first one's; each other one waits for the one
 * before, since the queue may be out of order. An error: none was taken. */
static cl_int enqueue_staged(struct call *c, const struct place *at, struct move *m) {
    cl_event last = NULL, event;
    for (unsigned i = 0; i < m->pieces.count; i++) {
        const struct place p = piece_of(at, &m->pieces, i);
        if (last) {
            c->wait_count = 1;
            c->waits[0] = last;
        }
        if (m->target) c->waits[c->wait_count++] = m->gates[i];
        cl_int err = enqueue_piece(c, &p, !m->target, m->at + piece_start(&m->pieces, i), &event);
        if (err && last) fail_after(c, m, last, err);
        if (err) return last ? CL_SUCCESS : err;
        if (last) {
            hold(m);
            completion_piece(c->x, last, m, i - 1, c->object[1]);
        }
        last = event;
    }
    track(c, m, last);
    return CL_SUCCESS;
}

/* However it ended: the contents are not waited for any more. */
static void target_ended(struct move *m) {
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    move_leave_table(m, true);
    move_put(m, true);
    pthread_mutex_unlock(&x->peers.lock);
}

void move_ended(struct move *m, unsigned piece, cl_int status) {
    if (m->target && piece == MOVE_ALL) {
        target_ended(m);
    } else if (m->target) {
        put(m);
    } else if (piece == MOVE_ALL) {
        move_source_ended(m, status);
        put(m);
    } else {
        move_piece_read(m, piece, status);
    }
}

/* ---- SEND ---- */
/* New, or what a GET that came before it made. */
static struct move *name_source(struct executor *x, const struct wire_in *in, const struct pieces *pieces) {
    uint32_t peer = (uint32_t)in->send.peer;
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = weft_map_get(&x->peers.sources, in->send.move);
    if (!m) m = move_create(x, in->send.move, peer, false);
    if (m && (m->named || m->peer != peer)) m = NULL;
    if (m) m->named = true;
    if (m && pieces) m->pieces = *pieces;
    pthread_mutex_unlock(&x->peers.lock);
    return m;
}

void move_refused(struct executor *x, const struct wire_in *in, cl_int error) {
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = weft_map_get(&x->peers.sources, in->send.move);
    bool ended = m && m->ended;
    pthread_mutex_unlock(&x->peers.lock);
    if (!m || !m->named) m = name_source(x, in, NULL);
    if (m && !ended) move_source_ended(m, error);
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

cl_int carry_out_send(struct call *c) {
    struct place p;
    bool done = false;
    uint64_t staging = c->in->send.staging;
    cl_int err = take_place(c, &p);
    const struct pieces pieces = err ? (struct pieces){0} : cut(&p);
    struct move *m = err ? NULL : name_source(c->x, c->in, &pieces);
    if (!err && !m) err = CL_INVALID_VALUE;
    if (err) return err;
    if (!staging) err = send_mapped(c, &p, m, &done);
    if (err || done) return err;
    err = take_staging(c, m, staging);
    return err ? err : enqueue_staged(c, &p, m);
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
    put(m);
}

static bool make_gates(struct call *c, struct move *m, unsigned count) {
    while (m->gate_count < count) {
        cl_event gate = executor_create_gate(c->object[1]->context->context);
        if (!gate) return false;
        m->gates[m->gate_count++] = gate;
    }
    return true;
}

/* The command that makes the contents the device's, behind the gate, and before it the one that makes room.
 */
static cl_int receive_mapped(struct call *c, const struct place *p, struct move *m, bool *done) {
    cl_command_queue q = c->object[1]->handle;
    cl_mem mem = c->object[3]->handle;
    cl_event room, event;
    void *at = map(c, p, CL_MAP_WRITE_INVALIDATE_REGION, &room);
    *done = at;
    if (!at) return CL_SUCCESS;
    keep_mapped(m, q, mem, at);
    c->waits[c->wait_count++] = m->gates[0];
    cl_int err = DRIVER(q)->clEnqueueUnmapMemObject(q, mem, at, WAITS, &event);
    if (err) {
        DRIVER(room)->clReleaseEvent(room);
        return err;
    }
    track(c, m, event);
    hold(m);
    err = completion_call(room, on_room, m);
    if (err) on_room(room, err, m);
    return CL_SUCCESS;
}

static cl_int receive_staged(struct call *c, const struct place *p, struct move *m) {
    cl_int err = take_staging(c, m, c->in->receive.staging);
    if (!err && !make_gates(c, m, m->pieces.count)) err = CL_OUT_OF_RESOURCES;
    if (!err) err = enqueue_staged(c, p, m);
    if (err) return err;
    pthread_mutex_lock(&c->x->peers.lock);
    m->room = true;
    pthread_mutex_unlock(&c->x->peers.lock);
    move_ask(m);
    return CL_SUCCESS;
}

static struct move *begin_target(struct call *c, const struct place *p) {
    const struct wire_receive *w = &c->in->receive;
    struct executor *x = c->x;
    const struct pieces pieces = cut(p);
    cl_event *gates = calloc(pieces.count, sizeof(cl_event));
    if (!gates) return NULL;
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = move_create(x, w->move, (uint32_t)w->peer, true);
    if (m) m->holds++; /* the caller's */
    pthread_mutex_unlock(&x->peers.lock);
    if (!m) {
        free(gates);
        return NULL;
    }
    m->gates = gates;
    m->event = w->event;
    m->pieces = pieces;
    return m;
}

/* From a driver of this executor itself: out of the same staging memory, if there is such a source. */
static struct move *find_inheritance(struct move *m) {
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    struct move *source = weft_map_get(&x->peers.sources, m->id);
    bool there = source && !source->peer && !source->heir && source->staging &&
                 source->pieces.bytes == m->pieces.bytes && source->pieces.count == m->pieces.count;
    pthread_mutex_unlock(&x->peers.lock);
    if (!there) return NULL;
    staging_hold(source->staging);
    m->staging = source->staging;
    return source;
}

static void inherit(struct move *m, struct move *source) {
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    if (source) {
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

/* No command of the driver's was taken. */
static void give_up(struct move *m, cl_int err) {
    pthread_mutex_lock(&m->x->peers.lock);
    m->status = err;
    move_leave_table(m, false);
    pthread_mutex_unlock(&m->x->peers.lock);
    move_open_gates(m);
}

cl_int carry_out_receive(struct call *c) {
    struct place p;
    bool done = false;
    cl_int err = take_place(c, &p);
    if (!err && !c->in->receive.event) err = CL_INVALID_VALUE;
    if (err) return err;
    struct move *m = begin_target(c, &p);
    if (!m) return CL_INVALID_VALUE;
    struct move *source = m->peer ? NULL : find_inheritance(m);
    if (!make_gates(c, m, 1)) err = CL_OUT_OF_RESOURCES;
    if (!err && m->peer && !c->in->receive.staging) err = receive_mapped(c, &p, m, &done);
    if (!err && !done) err = receive_staged(c, &p, m);
    if (!err && !m->peer) inherit(m, source);
    if (err) give_up(m, err);
    put(m);
    return err;
}
