/* Executor: contents of memory objects on their way to another executor, or from one: who asks, who sends,
 * what the client collects and supplies. See peers.h. */
#include <stdlib.h>
#include <string.h>

#include "base/copy.h"
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

static void open_gate(struct move *m, unsigned i) {
    cl_event gate = m->gates[i];
    m->gates[i] = NULL;
    if (!gate) return;
    DRIVER(gate)->clSetUserEventStatus(gate, CL_COMPLETE);
    DRIVER(gate)->clReleaseEvent(gate);
}

/* Mapped memory of a source is unmapped; without the lock. */
static void destroy(struct move *m) {
    if (m->mem && !m->target) {
        const cl_icd_dispatch *d = DRIVER(m->queue);
        weft_map_remove(&m->x->peers.mapped, (uintptr_t)m->mem);
        if (!d->clEnqueueUnmapMemObject(m->queue, m->mem, m->at, 0, NULL, NULL)) d->clFlush(m->queue);
    }
    if (m->mem) DRIVER(m->mem)->clReleaseMemObject(m->mem);
    if (m->queue) DRIVER(m->queue)->clReleaseCommandQueue(m->queue);
    for (unsigned i = 0; i < m->gate_count; i++) open_gate(m, i);
    free(m->gates);
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
    if (m->ended && m->served && !m->sends) move_leave_table(m, true);
}

/* served: nobody needs anything more. */
static void sent(struct move *m, bool broken, bool served) {
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    m->sends--;
    m->broken |= broken;
    m->served |= served || (m->told && !m->sends && !m->broken); /* else the client may collect it */
    retire(m);
    move_put(m, true);
    pthread_mutex_unlock(&x->peers.lock);
}

static void on_sent(void *move, int status) { sent(move, status, false); }
static void on_collected(void *move, int status) { sent(move, false, !status); }

/* A message with contents, or that there are none. */
struct parcel {
    unsigned first, count;
    cl_int status;
};

/* Under the lock; what is to be sent is sent without. */
static void begin_send(struct move *m) {
    m->sends++;
    m->holds++;
}

static bool take_parcel(struct move *m, struct parcel *p) {
    uint64_t due = m->ready & ~m->given;
    bool none = m->status < 0 || (m->ended && m->wanted != m->pieces.bytes);
    if (!m->asked || m->told || (none ? !m->ended : !due)) return false;
    *p = (struct parcel){.status = m->status < 0 ? m->status : CL_INVALID_VALUE};
    if (!none) {
        unsigned first = (unsigned)__builtin_ctzll(due), count = 1;
        while (!m->apart && first + count < PIECES_MAX && due >> (first + count) & 1) count++;
        *p = (struct parcel){first, count, CL_COMPLETE};
        m->given |= piece_mask(first, count);
    }
    m->told = none || m->given == all_pieces(m);
    begin_send(m);
    return true;
}

static void send_parcel(struct move *m, const struct parcel *p) {
    struct wire_out out;
    size_t start = piece_start(&m->pieces, p->first);
    size_t bytes = m->passes ? 0 : piece_start(&m->pieces, p->first + p->count) - start;
    bool data = p->count && bytes;
    wire_begin(&out, CONTENT, content, .move = m->id, .status = (uint64_t)(int64_t)p->status,
               .results = peer_results(m->x), .first = p->first, .count = p->count);
    if (!peer_send(m->x, m->peer, &out, data ? m->at + start : NULL, data ? bytes : 0, on_sent, m))
        on_sent(m, NO_CONTENTS);
}

/* All that can be sent now. The caller has a hold. */
static void send_due(struct move *m) {
    for (;;) {
        struct parcel p;
        pthread_mutex_lock(&m->x->peers.lock);
        bool due = take_parcel(m, &p);
        pthread_mutex_unlock(&m->x->peers.lock);
        if (!due) return;
        send_parcel(m, &p);
    }
}

static void release(struct move *m) {
    pthread_mutex_lock(&m->x->peers.lock);
    move_put(m, true);
    pthread_mutex_unlock(&m->x->peers.lock);
}

static void send_reply(struct move *m, uint64_t request) {
    struct wire_out out;
    bool data = m->status == CL_COMPLETE;
    wire_begin(&out, REPLY, reply, .request = request, .status = (uint64_t)(int64_t)m->status);
    results_send(m->x, &out, data ? m->at : NULL, data ? m->pieces.bytes : 0, on_collected, m);
}

void move_on_get(struct executor *x, struct peer *p, const struct wire_in *in) {
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = weft_map_get(&x->peers.sources, in->get.move);
    if (!m && x->peers.sources.count < EARLY_MAX) m = move_create(x, in->get.move, p->number, false);
    bool its = m && m->peer == p->number && !m->asked;
    if (its) {
        m->asked = true;
        m->wanted = in->get.bytes;
        m->apart = in->get.apart;
        m->holds++;
    }
    pthread_mutex_unlock(&x->peers.lock);
    if (!its) return;
    send_due(m);
    release(m);
}

void move_piece_read(struct move *m, unsigned piece, cl_int status) {
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    if (status >= 0) m->ready |= piece_mask(piece, 1);
    if (m->heir) move_hand_over(m, true);
    pthread_mutex_unlock(&x->peers.lock);
    send_due(m);
    release(m);
}

/* The caller has a hold, or is the serving thread. */
void move_source_ended(struct move *m, cl_int status) {
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    bool first = !m->ended; /* else it was refused */
    if (first) {
        m->ended = true;
        if (m->status >= 0) m->status = status < 0 ? status : CL_COMPLETE;
        if (m->status >= 0) m->ready = all_pieces(m);
    }
    bool reply = first && m->collect;
    if (reply) begin_send(m);
    if (first && m->heir) move_hand_over(m, true);
    m->holds++;
    retire(m);
    pthread_mutex_unlock(&x->peers.lock);
    send_due(m);
    if (reply) send_reply(m, m->collect);
    release(m);
}

cl_int carry_out_collect(struct call *c) {
    struct executor *x = c->x;
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = weft_map_get(&x->peers.sources, c->in->collect.move);
    bool there = m && m->named && !m->collect;
    if (there) m->collect = c->in->collect.request;
    bool reply = there && m->ended;
    if (reply) begin_send(m);
    pthread_mutex_unlock(&x->peers.lock);
    if (reply) send_reply(m, m->collect);
    return there ? CL_SUCCESS : CL_INVALID_VALUE;
}

static void drop(struct move *m) {
    m->served = true;
    if (!m->named) m->ended = true;
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
    wire_begin(&out, GET, get, .move = m->id, .bytes = m->pieces.bytes, .apart = m->gate_count > 1);
    if (m->peer) peer_send(m->x, m->peer, &out, NULL, 0, NULL, NULL);
}

/* Pieces on their way; freed with their arrival. */
struct arrival {
    struct move *move;
    uint64_t pieces;
};

/* Under the lock. */
static void arrived(struct move *m, uint64_t pieces, bool good) {
    m->arriving &= ~pieces;
    if (good) m->arrived |= pieces; /* else the client supplies them */
    move_hand_over(m, false);
}

static void on_content(void *arg, int status) {
    struct arrival *a = arg;
    struct move *m = a->move;
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    arrived(m, a->pieces, !status);
    move_put(m, false);
    pthread_mutex_unlock(&x->peers.lock);
    free(a);
}

/* Where pieces go, in full; false: they are not of this move's. */
static bool is_parcel(const struct move *m, const struct wire_content *c, size_t bytes, size_t *start) {
    unsigned count = m->pieces.count;
    if (c->first >= count || !c->count || c->count > count - c->first) return false;
    *start = piece_start(&m->pieces, (unsigned)c->first);
    size_t end = piece_start(&m->pieces, (unsigned)(c->first + c->count));
    return bytes == (m->passes ? 0 : end - *start);
}

/* Under the lock: what is to be done with what comes. What comes unasked is not taken, and another size is an
 * error. False: nothing. */
static bool expect(struct move *m, struct peer *p, const struct wire_in *in, size_t bytes, uint64_t *pieces,
                   size_t *start) {
    cl_int status = (cl_int)(int64_t)in->content.status;
    if (!m || m->peer != p->number || !m->room || m->status < 0 || m->arrived == all_pieces(m)) return false;
    if (status >= 0 && !is_parcel(m, &in->content, bytes, start)) status = CL_INVALID_VALUE;
    if (status < 0) {
        m->status = status;
        move_hand_over(m, false);
        return false;
    }
    *pieces = piece_mask((unsigned)in->content.first, (unsigned)in->content.count);
    return !(*pieces & (m->arriving | m->arrived));
}

/* Its data is to come. */
static void await(struct move *m, uint64_t pieces, size_t start, struct ep_sink *sink) {
    struct arrival *a = malloc(sizeof *a);
    if (!a) {
        m->status = CL_OUT_OF_HOST_MEMORY;
        move_hand_over(m, false);
        return;
    }
    *a = (struct arrival){m, pieces};
    m->holds++;
    m->arriving |= pieces;
    *sink = (struct ep_sink){.buf = m->at + start, .on_data = on_content, .arg = a};
}

void move_on_content(struct executor *x, struct peer *p, const struct wire_in *in, const struct ep_msg *msg,
                     struct ep_sink *sink) {
    uint64_t pieces;
    size_t start = 0, bytes = msg->data_bytes;
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = weft_map_get(&x->peers.targets, in->content.move);
    bool take = expect(m, p, in, bytes, &pieces, &start), later = take && bytes && !msg->data;
    if (later) await(m, pieces, start, sink);
    take = take && !later;
    if (take) m->holds++;
    if (take) m->arriving |= pieces;
    pthread_mutex_unlock(&x->peers.lock);
    if (!take) return;
    if (bytes) weft_copy(m->at + start, msg->data, bytes);
    pthread_mutex_lock(&x->peers.lock);
    arrived(m, pieces, true);
    move_put(m, false);
    pthread_mutex_unlock(&x->peers.lock);
}

cl_int carry_out_supply(struct call *c) {
    struct executor *x = c->x;
    cl_int status = (cl_int)(int64_t)c->in->supply.status;
    struct staging *s = status < 0 ? NULL : transfer_data(c);
    pthread_mutex_lock(&x->peers.lock);
    struct move *m = weft_map_get(&x->peers.targets, c->in->supply.move);
    bool take = m && m->arrived != all_pieces(m) && !m->supplied;
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
static void fail(struct move *m, cl_int status) {
    struct object *o = NULL;
    object_find(&m->x->objects, m->event, BK_EVENT, &o);
    if (o) o->error = status; /* for commands that come to wait for it later */
    completion_fail(m->x, m->event, status);
}

/* Some drivers cannot fail: the commands run, and end with the error (completion.c). */
void move_open_gates(struct move *m) {
    pthread_mutex_lock(&m->x->peers.lock);
    cl_int status = m->status;
    uint64_t there = status < 0 || atomic_load(&m->x->ended) ? UINT64_MAX : m->arrived;
    bool all = (there & all_pieces(m)) == all_pieces(m);
    pthread_mutex_unlock(&m->x->peers.lock);
    if (status < 0 && m->target && !m->failed && !atomic_load(&m->x->ended)) {
        m->failed = true;
        fail(m, status);
    }
    for (unsigned i = 0; i < m->gate_count; i++)
        if (m->gate_count == 1 ? all : there >> i & 1) open_gate(m, i);
}

/* What the client brought, where it is missing. */
static cl_int take_supply(struct move *m, uint64_t missing) {
    if (!m->supply) return m->status;
    if (m->supply_bytes != m->pieces.bytes) return CL_INVALID_VALUE;
    for (unsigned i = 0; i < m->pieces.count; i++) {
        size_t start = piece_start(&m->pieces, i), end = piece_start(&m->pieces, i + 1);
        if (missing >> i & 1) weft_copy(m->at + start, (char *)m->supply->mem + start, end - start);
    }
    return CL_COMPLETE;
}

/* Contents came, or nothing but the client's supply can come any more. */
static void work_on_target(struct move *m) {
    pthread_mutex_lock(&m->x->peers.lock);
    uint64_t missing = all_pieces(m) & ~m->arrived;
    bool supply = missing && m->supplied && m->room && !m->arriving;
    if (supply) m->arrived = all_pieces(m);
    pthread_mutex_unlock(&m->x->peers.lock);
    if (supply) {
        cl_int status = take_supply(m, missing);
        pthread_mutex_lock(&m->x->peers.lock);
        m->status = status;
        pthread_mutex_unlock(&m->x->peers.lock);
    }
    move_open_gates(m);
}

/* Contents for another driver of this executor, which has them in the same staging memory. */
static void work_on_source(struct move *m) {
    struct executor *x = m->x;
    pthread_mutex_lock(&x->peers.lock);
    struct move *t = m->heir;
    bool over = t && m->ended;
    if (t) t->arrived = m->ready;
    if (over) t->status = m->status;
    if (over) m->heir = NULL;
    pthread_mutex_unlock(&x->peers.lock);
    if (t) move_open_gates(t);
    if (!over) return;
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
    while ((m = weft_map_next(&x->peers.targets, &it, &id))) move_open_gates(m);
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
