/* Executor: contents of memory objects on their way to another executor, or from one: who asks, who sends,
 * what the client collects and supplies. See peers.h. */
#include <stdlib.h>
#include <string.h>

#include "opencl/executor/move.h"

#define EARLY_MAX 65536u

/* ---- life; under the lock unless said otherwise ---- */
static struct weft_map *table(struct move *m) {
    return m->target ? &m->x->peers.targets : &m->x->peers.sources;
}

struct move *move_create(struct executor *x, uint64_t id, uint32_t peer, bool target) {
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

void move_put(struct move *m, bool wake) {
    if (--m->holds) return;
    if (weft_list_empty(&m->link)) weft_list_push_back(&m->x->peers.todo, &m->link);
    peer_work_is_there(m->x, wake);
}

void move_leave_table(struct move *m, bool wake) {
    if (weft_map_get(table(m), m->id) != m) return;
    weft_map_remove(table(m), m->id);
    move_put(m, wake);
}

void move_hand_over(struct move *m, bool wake) {
    if (weft_list_empty(&m->link)) weft_list_push_back(&m->x->peers.todo, &m->link);
    peer_work_is_there(m->x, wake);
}

/* ---- source: contents to whoever asks ---- */
static void retire(struct move *m) {
    if (m->ready && m->served && !m->sends) move_leave_table(m, true);
}

static void on_sent(void *arg, int status) {
    struct move *m = arg;
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    m->sends--;
    if (!status) m->served = true; /* else the client may collect it */
    retire(m);
    move_put(m, true);
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
    if (!m && x->peers.sources.count < EARLY_MAX) m = move_create(x, in->get.move, p->number, false);
    bool its = m && m->peer == p->number && !m->asked;
    if (its) {
        m->asked = true;
        m->wanted = in->get.bytes;
    }
    bool send = its && begins_send(m, m->ready);
    pthread_mutex_unlock(&x->peers.lock);
    if (send) send_content(m);
}

void move_source_ready(struct move *m, cl_int status) {
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    if (m->ready) { /* it was refused */
        pthread_mutex_unlock(&x->peers.lock);
        return;
    }
    m->ready = true;
    m->status = status < 0 ? status : CL_COMPLETE;
    bool send = begins_send(m, m->asked), reply = begins_send(m, m->collect != 0);
    if (m->heir) move_hand_over(m, true);
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
void move_ask(struct move *m) {
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
    move_hand_over(m, false);
    move_put(m, false);
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
        move_hand_over(m, false);
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
    move_put(t, false);
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
        move_put(m, false);
        pthread_mutex_unlock(&x->peers.lock);
    }
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
            move_leave_table(m, false);
        }
    }
    moves_work(x);
}
