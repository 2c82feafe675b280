/* Executor: contents of memory objects on their way to another executor, or from one. Each half of a move is a
 * command of a queue. A source's command reads, or maps; a target's writes, behind a gate that opens when the data
 * is there, or unmaps. Where host and device share memory large contents travel from the one's memory into the
 * other's: mapping takes no copy there. See peers.h. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "opencl/executor/internal.h"

#define MAPPED_MIN  ((size_t)128 << 10)
#define EARLY_MAX   65536u
#define WAITS       c->wait_count, c->wait_count ? c->waits : NULL
#define NO_CONTENTS CL_DEVICE_NOT_AVAILABLE

struct move {
    struct weft_list link; /* in x->peers.todo */
    struct executor *x;
    uint64_t id;
    uint32_t peer;
    bool target;
    unsigned holds;         /* the table, the driver's command, who fills or sends `at`, a driver's callback */
    struct staging *staging; /* held; NULL: mapped */
    void *at;
    size_t bytes;
    cl_command_queue queue; /* held, with the next: mapped */
    cl_mem mem;
    /* source */
    bool named;  /* SEND has come */
    bool ready;  /* its command has ended: contents are there, or `status` says why not */
    bool asked;  /* GET has come */
    bool served; /* nobody will ask any more */
    unsigned sends;
    cl_int status;
    size_t wanted;    /* GET's */
    uint64_t collect; /* the client's request; 0: none */
    struct move *heir; /* this executor's own target, held: waits for the contents */
    /* target */
    cl_event gate;     /* NULL: open */
    uint64_t event;    /* the client's name of the command */
    bool room;         /* `at` may be filled */
    bool arriving, arrived;
    bool supplied;     /* by the client, in case that they do not come otherwise */
    struct staging *supply;
    size_t supply_bytes;
};

/* ---- life; under the lock unless said otherwise ---- */
static struct weft_map *table(struct move *m) {
    return m->target ? &m->x->peers.targets : &m->x->peers.sources;
}

static struct move *create(struct executor *x, uint64_t id, uint32_t peer, bool target) {
    struct move *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    *m = (struct move){.x = x, .id = id, .peer = peer, .target = target, .holds = 1};
    weft_list_init(&m->link);
    if (!weft_map_put(table(m), id, m)) return m;
    free(m);
    return NULL;
}

static void open_gate(struct move *m);

/* Mapped memory of a source is unmapped; without the lock. */
static void destroy(struct move *m) {
    if (m->mem && !m->target) {
        const cl_icd_dispatch *d = DRIVER(m->queue);
        weft_map_remove(&m->x->peers.mapped, (uintptr_t)m->mem);
        if (!d->clEnqueueUnmapMemObject(m->queue, m->mem, m->at, 0, NULL, NULL)) d->clFlush(m->queue);
    }
    if (m->mem) DRIVER(m->mem)->clReleaseMemObject(m->mem);
    if (m->queue) DRIVER(m->queue)->clReleaseCommandQueue(m->queue);
    open_gate(m);
    staging_put(m->staging);
    staging_put(m->supply);
    free(m);
}

/* The last one is freed by the serving thread: drivers must not be called from handlers. */
static void put(struct move *m, bool wake) {
    if (--m->holds) return;
    if (weft_list_empty(&m->link)) weft_list_push_back(&m->x->peers.todo, &m->link);
    peer_work_is_there(m->x, wake);
}

static void leave_table(struct move *m, bool wake) {
    if (weft_map_get(table(m), m->id) != m) return;
    weft_map_remove(table(m), m->id);
    put(m, wake);
}

static void hand_over(struct move *m, bool wake) {
    if (weft_list_empty(&m->link)) weft_list_push_back(&m->x->peers.todo, &m->link);
    peer_work_is_there(m->x, wake);
}

/* ---- source: contents to whoever asks ---- */
static void retire(struct move *m) {
    if (m->ready && m->served && !m->sends) leave_table(m, true);
}

static void on_sent(void *arg, int status) {
    struct move *m = arg;
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    m->sends--;
    if (!status) m->served = true; /* else the client may collect it */
    retire(m);
    put(m, true);
    pthread_mutex_unlock(&x->peers.lock);
}

/* Under the lock; what is to be sent is sent without. */
static bool begins_send(struct move *m, bool due) {
    if (!due) return false;
    m->sends++;
    m->holds++;
    return true;
}

static void send_content(struct move *m) {
    struct wire_out out;
    cl_int status = m->status < 0 ? m->status : m->wanted == m->bytes ? CL_COMPLETE : CL_INVALID_VALUE;
    bool data = status == CL_COMPLETE;
    wire_begin(&out, CONTENT, content, .move = m->id, .status = (uint64_t)(int64_t)status,
               .results = peer_results(m->x));
    if (!peer_send(m->x, m->peer, &out, data ? m->at : NULL, data ? m->bytes : 0, on_sent, m))
        on_sent(m, NO_CONTENTS);
}

static void send_reply(struct move *m, uint64_t request) {
    struct wire_out out;
    bool data = m->status == CL_COMPLETE;
    wire_begin(&out, REPLY, reply, .request = request, .status = (uint64_t)(int64_t)m->status);
    results_send(m->x, &out, data ? m->at : NULL, data ? m->bytes : 0, on_sent, m);
}

void move_on_get(struct executor *x, struct peer *p, const struct wire_in *in) {
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = weft_map_get(&x->peers.sources, in->get.move);
    if (!m && x->peers.sources.count < EARLY_MAX) m = create(x, in->get.move, p->number, false);
    bool its = m && m->peer == p->number && !m->asked;
    if (its) {
        m->asked = true;
        m->wanted = in->get.bytes;
    }
    bool send = its && begins_send(m, m->ready);
    pthread_mutex_unlock(&x->peers.lock);
    if (send) send_content(m);
}

/* The driver's command has ended, or there is none. */
static void source_ready(struct move *m, cl_int status) {
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    if (m->ready) { /* it was refused */
        pthread_mutex_unlock(&x->peers.lock);
        return;
    }
    m->ready = true;
    m->status = status < 0 ? status : CL_COMPLETE;
    bool send = begins_send(m, m->asked), reply = begins_send(m, m->collect != 0);
    if (m->heir) hand_over(m, true);
    retire(m);
    pthread_mutex_unlock(&x->peers.lock);
    if (send) send_content(m);
    if (reply) send_reply(m, m->collect);
}

cl_int carry_out_collect(struct call *c) {
    struct executor *x = c->x;
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = weft_map_get(&x->peers.sources, c->in->collect.move);
    bool there = m && m->named && !m->collect;
    if (there) m->collect = c->in->collect.request;
    bool reply = there && begins_send(m, m->ready);
    pthread_mutex_unlock(&x->peers.lock);
    if (reply) send_reply(m, m->collect);
    return there ? CL_SUCCESS : CL_INVALID_VALUE;
}

static void drop(struct move *m) {
    m->served = true;
    if (!m->named) m->ready = true;
    retire(m);
}

cl_int carry_out_drop(struct call *c) {
    struct executor *x = c->x;
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = weft_map_get(&x->peers.sources, c->in->drop.move);
    if (m) drop(m);
    pthread_mutex_unlock(&x->peers.lock);
    return CL_SUCCESS; /* it may have been fetched */
}

void moves_drop_for(struct executor *x, uint32_t peer) {
    size_t it = 0;
    uint64_t id;
    struct move *m;
    pthread_mutex_lock(&x->peers.lock);
    while ((m = weft_map_next(&x->peers.sources, &it, &id)))
        if (m->peer == peer) drop(m);
    pthread_mutex_unlock(&x->peers.lock);
}

/* ---- target: contents from where the client said ---- */
static void ask(struct move *m) {
    struct wire_out out;
    wire_begin(&out, GET, get, .move = m->id, .bytes = m->bytes);
    if (m->peer) peer_send(m->x, m->peer, &out, NULL, 0, NULL, NULL);
}

static void on_content(void *arg, int status) {
    struct move *m = arg;
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    m->arriving = false;
    if (!status) m->arrived = true; /* else the client supplies it */
    hand_over(m, false);
    put(m, false);
    pthread_mutex_unlock(&x->peers.lock);
}

/* Under the lock. What comes unasked, or in another size, is not taken. */
static struct move *expected(struct executor *x, struct peer *p, const struct wire_in *in, size_t bytes) {
    struct move *m = weft_map_get(&x->peers.targets, in->content.move);
    cl_int status = (cl_int)(int64_t)in->content.status;
    if (!m || m->peer != p->number || !m->room || m->arriving || m->arrived) return NULL;
    m->status = status > 0 ? CL_COMPLETE : status;
    if (status >= 0 && bytes != m->bytes) m->status = CL_INVALID_VALUE;
    return m;
}

void move_on_content(struct executor *x, struct peer *p, const struct wire_in *in, const struct ep_msg *msg,
                     struct ep_sink *sink) {
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = expected(x, p, in, msg->data_bytes);
    bool data = m && m->status == CL_COMPLETE, later = data && !msg->data;
    if (m) m->holds++;
    if (m) m->arriving = true;
    pthread_mutex_unlock(&x->peers.lock);
    if (later) *sink = (struct ep_sink){.buf = m->at, .on_data = on_content, .arg = m};
    if (!m || later) return;
    if (data) memcpy(m->at, msg->data, m->bytes);
    on_content(m, 0);
}

cl_int carry_out_supply(struct call *c) {
    struct executor *x = c->x;
    cl_int status = (cl_int)(int64_t)c->in->supply.status;
    struct staging *s = status < 0 ? NULL : transfer_data(c);
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = weft_map_get(&x->peers.targets, c->in->supply.move);
    bool take = m && !m->arrived && !m->supplied;
    if (take) {
        m->supplied = true;
        m->supply = s;
        m->supply_bytes = c->data_bytes;
        if (!s) m->status = status < 0 ? status : CL_OUT_OF_HOST_MEMORY;
        hand_over(m, false);
    }
    pthread_mutex_unlock(&x->peers.lock);
    if (!take) staging_put(s); /* it has come, or nobody waits any more */
    return CL_SUCCESS;
}

/* ---- target; the serving thread ---- */
static void fail(struct move *m) {
    struct object *o = NULL;
    object_find(&m->x->objects, m->event, BK_EVENT, &o);
    if (o) o->error = m->status; /* for commands that come to wait for it later */
    completion_fail(m->x, m->event, m->status);
}

/* Some drivers cannot fail: the command runs, and ends with the error (completion.c). */
static void open_gate(struct move *m) {
    cl_event gate = m->gate;
    m->gate = NULL;
    if (!gate) return;
    if (m->status < 0 && !atomic_load(&m->x->ended)) fail(m);
    DRIVER(gate)->clSetUserEventStatus(gate, CL_COMPLETE);
    DRIVER(gate)->clReleaseEvent(gate);
}

/* What the client brought. */
static void take_supply(struct move *m) {
    if (!m->supply) return;
    m->status = m->supply_bytes == m->bytes ? CL_COMPLETE : CL_INVALID_VALUE;
    if (m->status == CL_COMPLETE) memcpy(m->at, m->supply->mem, m->bytes);
}

/* The contents came, or nothing but the client's supply can come any more. */
static void work_on_target(struct move *m) {
    pthread_mutex_lock(&m->x->peers.lock);
    bool supply = !m->arrived && m->supplied && m->room && !m->arriving;
    if (supply) m->arrived = true;
    bool arrived = m->arrived;
    pthread_mutex_unlock(&m->x->peers.lock);
    if (supply) take_supply(m);
    if (arrived) open_gate(m);
}

/* Contents for another driver of this executor. */
static void work_on_source(struct move *m) {
    struct executor *x = m->x;
    struct move *t = m->heir;
    pthread_mutex_lock(&x->peers.lock);
    bool go = t && m->ready && t->room;
    if (go) m->heir = NULL;
    if (go) t->arrived = true;
    pthread_mutex_unlock(&x->peers.lock);
    if (!go) return;
    t->status = m->status < 0 ? m->status : m->bytes == t->bytes ? CL_COMPLETE : CL_INVALID_VALUE;
    if (t->status == CL_COMPLETE) memcpy(t->at, m->at, t->bytes);
    open_gate(t);
    pthread_mutex_lock(&x->peers.lock);
    put(t, false);
    drop(m);
    pthread_mutex_unlock(&x->peers.lock);
}

void moves_work(struct executor *x) {
    for (;;) {
        pthread_mutex_lock(&x->peers.lock);
        struct weft_list *it = weft_list_pop_front(&x->peers.todo);
        struct move *m = it ? weft_list_entry(it, struct move, link) : NULL;
        bool over = m && !m->holds;
        if (m && !over) m->holds++;
        pthread_mutex_unlock(&x->peers.lock);
        if (!m) return;
        if (over) {
            destroy(m);
            continue;
        }
        if (m->target)
            work_on_target(m);
        else
            work_on_source(m);
        pthread_mutex_lock(&x->peers.lock);
        put(m, false);
        pthread_mutex_unlock(&x->peers.lock);
    }
}

/* ---- the driver's command ---- */
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

/* NULL: it is not worth it, or cannot be; `event` gets the command's. What a source has mapped is not mapped again:
 * the driver tells mappings apart by their address, which may be the same. */
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
    source_ready(m, status);
    pthread_mutex_lock(&m->x->peers.lock);
    put(m, true);
    pthread_mutex_unlock(&m->x->peers.lock);
}

/* However it ended: the contents are not waited for any more. */
static void target_ended(struct move *m) {
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    leave_table(m, true);
    put(m, true);
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
    if (!m) m = create(x, in->send.move, peer, false);
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
    if (m && !ready) source_ready(m, error);
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
    if (m->room && m->supplied) hand_over(m, true);
    bool wanted = m->room && !x->peers.closed;
    pthread_mutex_unlock(&x->peers.lock);
    if (wanted) ask(m);
    pthread_mutex_lock(&x->peers.lock);
    put(m, true);
    pthread_mutex_unlock(&x->peers.lock);
}

/* The command that makes the contents the device's, behind the gate, and before it the one that makes room. */
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
    err = DRIVER(room)->clSetEventCallback(room, CL_COMPLETE, on_room, m);
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
    ask(m);
    return CL_SUCCESS;
}

static struct move *begin_target(struct call *c, const struct place *p) {
    const struct wire_receive *w = &c->in->receive;
    struct executor *x = c->x;
    cl_event gate = executor_create_gate(c->object[1]->context->context);
    if (!gate) return NULL;
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = create(x, w->move, (uint32_t)w->peer, true);
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
        hand_over(source, false);
    } else {
        m->supplied = true;
        m->status = NO_CONTENTS;
        hand_over(m, false);
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
    if (err) leave_table(m, false);
    put(m, false);
    pthread_mutex_unlock(&c->x->peers.lock);
    return err;
}

/* ---- the end ---- */
void moves_end(struct executor *x) {
    size_t it = 0;
    uint64_t id;
    struct move *m;
    moves_work(x);
    while ((m = weft_map_next(&x->peers.targets, &it, &id))) open_gate(m);
}

void moves_fini(struct executor *x) {
    struct weft_map *const tables[] = {&x->peers.targets, &x->peers.sources};
    for (int i = 0; i < 2; i++) {
        size_t it = 0;
        uint64_t id;
        struct move *m;
        while ((m = weft_map_next(tables[i], &it, &id))) {
            m->served = true;
            m->sends = 0;
            leave_table(m, false);
        }
    }
    moves_work(x);
}
