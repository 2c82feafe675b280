/* Remote: what this process does by itself, without the executor: transfers of buffers that lie in memory
 * which both have (share.h), and commands that nothing is left to wait for.
 *
 * DESIGN NOTES. A transfer's turn has come when all that it comes after has ended. In an in-order queue that
 * is often known here: every end that is told tells of all commands before it, too. Then the data is copied
 * at once, also for calls that need not wait for it: it is one copy, as it is with the driver itself. If it
 * is not known a blocking call sends a marker in the transfer's place, waits for that, and copies; another
 * one is left to the executor.
 *
 * While a transfer is under way here, no later command of its queue may begin. One that is enqueued meanwhile
 * (by another thread, since the call has not returned) is preceded by a gate: a barrier that waits for an
 * event which is set when the transfer is done.
 *
 * Halves of moves between executors (meet.c) are the executors' commands and are counted like all others; a
 * transfer of what a move brings waits for its event. One that writes what a move still reads need not wait,
 * as with the driver (front/coherence.h). The end of a command may be known here before it may be told
 * (order.c): until then its queue is not quiet, so that neither a finish nor a marker comes before it.
 *
 * Where the two share no memory, but the device works in the executor's, a blocking transfer whose turn has
 * come is sent as such (remote_turn_begin): then the executor does it by itself, and the gates are the same.
 *
 * When the executor is lost its memory stays for as long as the program has buffers or maps there, but its
 * contents count as lost: nobody knows how far the device had got. */
#include <stdlib.h>
#include <string.h>

#include "base/copy.h"
#include "opencl/remote/internal.h"

#define BRIEF_BYTES     ((size_t)64 << 10)
#define STREAMING_BYTES ((size_t)8 << 20) /* copied past the caches from here on */

/* ---- the memory ---- */
static struct share_pool *pool_of(struct remote_hub *h) {
    pthread_mutex_lock(&h->lock);
    if (!h->pool_tried) h->pool = share_pool_create();
    h->pool_tried = true;
    struct share_pool *p = h->pool;
    pthread_mutex_unlock(&h->lock);
    return p;
}

void remote_share_begin(struct remote_node *n) {
    struct share_pool *pool = pool_of(n->hub);
    pthread_mutex_lock(&n->send_lock);
    bool begin = !n->region_tried && n->state != REMOTE_LOST;
    struct share_region *g = begin && pool ? share_region_create(pool) : NULL;
    if (begin) {
        pthread_mutex_lock(&n->lock);
        n->region_tried = true;
        n->region = g;
        n->region_state = REMOTE_REGION_UNKNOWN;
        pthread_mutex_unlock(&n->lock);
        if (n->state == REMOTE_UP) remote_share_tell(n);
    }
    pthread_mutex_unlock(&n->send_lock);
}

static void on_shared(struct remote_request *r) {
    struct remote_node *n = r->arg;
    pthread_mutex_lock(&n->lock);
    n->region_state = r->status ? REMOTE_REGION_REFUSED : REMOTE_REGION_SHARED;
    pthread_mutex_unlock(&n->lock);
}

/* False: it will not be shared. */
static bool tell(struct remote_node *n) {
    const char *adapter = ep_peer_adapter(n->peer);
    const struct share_pool *pool = n->region->pool;
    struct wire_out msg;
    struct share_id id;
    if (!adapter || strcmp(adapter, "shm") || !share_identify(pool, &id)) return false;
    struct remote_request *r = remote_request_create(n);
    if (!r) return false;
    r->fn = on_shared;
    r->arg = n;
    wire_begin(&msg, SHARE, share, .request = r->id, .pid = id.pid, .fd = id.fd, .device = id.device,
               .inode = id.inode, .size = pool->bytes);
    return !ep_send(n->peer, &(struct ep_send){.handler = WIRE_HANDLER_COMMAND,
                                               .channel = WIRE_CHANNEL,
                                               .header = msg.words,
                                               .header_bytes = msg.word_count * 8});
}

void remote_share_tell(struct remote_node *n) {
    if (!n->region || tell(n)) return;
    pthread_mutex_lock(&n->lock);
    n->region_state = REMOTE_REGION_REFUSED;
    pthread_mutex_unlock(&n->lock);
}

void remote_share_lost(struct remote_node *n) {
    pthread_mutex_lock(&n->send_lock);
    pthread_mutex_lock(&n->lock);
    struct share_region *g = n->region;
    n->region = NULL;
    n->region_tried = false;
    n->region_state = REMOTE_REGION_UNKNOWN;
    pthread_mutex_unlock(&n->lock);
    pthread_mutex_unlock(&n->send_lock);
    if (!g) return;
    share_lost(g);
    share_region_drop(g);
}

/* ---- memory handles ---- */
static struct remote_mem *make(struct share_place *p, size_t offset) {
    struct remote_mem *m = p ? malloc(sizeof *m) : NULL;
    if (m)
        *m = (struct remote_mem){.place = p, .offset = offset};
    else
        share_put(p);
    return m;
}

struct remote_mem *remote_mem_create(struct remote_node *n, size_t bytes) {
    pthread_mutex_lock(&n->lock);
    bool may = n->region && n->region_state != REMOTE_REGION_REFUSED;
    struct share_place *p = may ? share_take(n->region, bytes) : NULL;
    pthread_mutex_unlock(&n->lock);
    return make(p, 0);
}

struct remote_mem *remote_mem_part(struct remote_node *n, bk_ref parent, size_t offset) {
    pthread_mutex_lock(&n->lock);
    const struct remote_mem *whole = remote_slot_record(n, parent, BK_MEM);
    struct share_place *p = whole ? share_hold(whole->place) : NULL;
    if (p) offset += whole->offset;
    pthread_mutex_unlock(&n->lock);
    return make(p, offset);
}

void remote_mem_sent(struct remote_node *n, struct remote_mem *m) {
    pthread_mutex_lock(&n->lock);
    if (!m->place->number) m->place->number = ++n->places_sent;
    pthread_mutex_unlock(&n->lock);
}

void remote_mem_drop(struct remote_mem *m) {
    if (!m) return;
    share_put(m->place);
    free(m);
}

void remote_places_are_known(struct remote_node *n, uint64_t places) {
    if (n->places_known < places) n->places_known = places;
}

/* The place of a part of memory, held, and where the part begins in it; NULL: it is not shared. */
static struct share_place *place_of(struct remote_node *n, bk_ref mem, size_t *offset) {
    pthread_mutex_lock(&n->lock);
    const struct remote_mem *m = remote_slot_record(n, mem, BK_MEM);
    bool shared = m && m->place->region == n->region && n->region_state != REMOTE_REGION_REFUSED;
    struct share_place *p = shared ? share_hold(m->place) : NULL;
    if (p) *offset = m->offset;
    pthread_mutex_unlock(&n->lock);
    return p;
}

static bool is_known(struct remote_node *n, const struct share_place *p) {
    pthread_mutex_lock(&n->lock);
    bool known = n->region_state == REMOTE_REGION_SHARED && p->number && p->number <= n->places_known;
    pthread_mutex_unlock(&n->lock);
    return known;
}

/* Waits until the executor has made what was sent so far. */
static void sync(struct remote_node *n) {
    struct remote_request *r = remote_request_create(n);
    struct wire_out msg;
    if (!r) return;
    wire_begin(&msg, SYNC, sync, .request = r->id);
    remote_request_wait(n, r, remote_send(n, &msg, NULL, 0, NULL, NULL));
    remote_request_drop(n, r);
}

/* Where the bytes are; NULL: not in this process, or not for certain. */
static char *memory_of(struct remote_node *n, struct share_place *p, size_t offset, size_t bytes, bool wait) {
    if (!is_known(n, p)) {
        if (!wait) return NULL;
        sync(n);
        if (!is_known(n, p)) return NULL;
    }
    return share_memory(p, offset, bytes);
}

/* ---- twins ---- */
void remote_context_hosts(struct remote_node *n, uint64_t context) {
    pthread_mutex_lock(&n->lock);
    struct remote_context *c = remote_slot_record(n, context, BK_CONTEXT);
    if (c) c->hosts = true;
    pthread_mutex_unlock(&n->lock);
}

struct remote_mem *remote_mem_twin(struct remote_node *n, bk_ref context, struct remote_node *other,
                                   bk_ref mem) {
    size_t offset = 0;
    struct share_place *first = n == other ? NULL : place_of(other, mem, &offset), *p = NULL;
    bool certain = first && !offset && is_known(other, first);
    pthread_mutex_lock(&n->lock);
    const struct remote_context *c = remote_slot_record(n, context, BK_CONTEXT);
    if (certain && n->region && n->region_state == REMOTE_REGION_SHARED && c && c->hosts)
        p = share_join(n->region, first);
    pthread_mutex_unlock(&n->lock);
    share_put(first);
    return make(p, 0);
}

bool remote_is_one(struct backend *a, bk_ref x, struct backend *b, bk_ref y) {
    size_t at = 0;
    struct share_place *p = place_of(remote_node_of(a), x, &at), *q = place_of(remote_node_of(b), y, &at);
    bool one = p && q && share_is_one(p, q);
    share_put(p);
    share_put(q);
    return one;
}

void *remote_host_view(struct backend *b, bk_ref mem) {
    struct remote_node *n = remote_node_of(b);
    size_t offset = 0;
    struct share_place *p = place_of(n, mem, &offset);
    if (!p) return NULL;
    void *at = memory_of(n, p, offset, 1, true);
    share_put(p);
    return at;
}

/* ---- a queue's order ---- */
/* Under the lock. What has ended has been told to the program, too: a result may be held back (order.c), or
 * be about to be told. */
static bool is_quiet(struct remote_node *n, struct remote_queue *q) {
    return !q->hosting && !q->enqueuing && q->over == q->sent && !remote_queue_transfers(n, q) &&
           !remote_order_blocks(n, q->result) && !remote_queue_has_untold(n, q, q->result);
}

bool remote_queue_is_quiet(struct remote_node *n, bk_ref queue) {
    pthread_mutex_lock(&n->lock);
    struct remote_queue *q = remote_slot_record(n, queue, BK_QUEUE);
    bool quiet = q && is_quiet(n, q);
    pthread_mutex_unlock(&n->lock);
    return quiet && !remote_node_is_lost(n);
}

uint64_t remote_queue_last(struct remote_node *n, bk_ref queue) {
    pthread_mutex_lock(&n->lock);
    struct remote_queue *q = remote_slot_record(n, queue, BK_QUEUE);
    uint64_t last = q && !q->enqueuing ? q->sent : 0;
    pthread_mutex_unlock(&n->lock);
    return last;
}

void remote_queue_over(struct remote_node *n, bk_ref queue, uint64_t number) {
    pthread_mutex_lock(&n->lock);
    struct remote_queue *q = remote_slot_record(n, queue, BK_QUEUE);
    if (q && q->over < number) q->over = number;
    pthread_mutex_unlock(&n->lock);
}

static bool send(struct remote_node *n, const struct wire_out *msg) {
    return remote_send(n, msg, NULL, 0, NULL, NULL);
}

/* The queue, held, or NULL. */
static struct remote_queue *hold_queue(struct remote_node *n, bk_ref queue) {
    pthread_mutex_lock(&n->lock);
    struct remote_queue *q = remote_slot_record(n, queue, BK_QUEUE);
    if (q) q->holds++;
    pthread_mutex_unlock(&n->lock);
    return q;
}

static void put_queue(struct remote_node *n, struct remote_queue *q) {
    pthread_mutex_lock(&n->lock);
    remote_queue_put(q);
    pthread_mutex_unlock(&n->lock);
}

/* A barrier before the commands to come, unless there is one, or it is over. False: it cannot be. */
static bool make_gate(struct remote_node *n, struct remote_queue *q) {
    bool made = true;
    struct wire_out msg;
    pthread_mutex_lock(&q->host_lock);
    pthread_mutex_lock(&n->lock);
    bool wanted = q->hosting && !q->gate;
    uint64_t gate = wanted ? remote_slot_take(n, BK_EVENT, NULL) : 0;
    pthread_mutex_unlock(&n->lock);
    if (wanted) {
        wire_begin(&msg, CREATE_USER_EVENT, create_user_event, .event = gate, .context = q->context);
        made = gate && send(n, &msg);
        wire_begin(&msg, BARRIER, barrier, .queue = q->handle);
        wire_add_array(&msg, &gate, 1);
        made = made && send(n, &msg);
        pthread_mutex_lock(&n->lock);
        q->gate = gate;
        pthread_mutex_unlock(&n->lock);
    }
    pthread_mutex_unlock(&q->host_lock);
    return made;
}

static void open_gate(struct remote_node *n, struct remote_queue *q) {
    struct wire_out msg;
    pthread_mutex_lock(&q->host_lock);
    pthread_mutex_lock(&n->lock);
    uint64_t gate = q->gate;
    q->gate = 0;
    q->hosting = false;
    pthread_mutex_unlock(&n->lock);
    if (gate) {
        wire_begin(&msg, SET_USER_EVENT, set_user_event, .event = gate, .status = CL_COMPLETE);
        send(n, &msg);
        wire_begin(&msg, RELEASE, release, .object = gate);
        send(n, &msg);
        pthread_mutex_lock(&n->lock);
        remote_slot_free(n, gate);
        pthread_mutex_unlock(&n->lock);
    }
    pthread_mutex_unlock(&q->host_lock);
}

/* The queue, as soon as commands may be sent to it; with the lock. */
static struct remote_queue *admit(struct remote_node *n, bk_ref queue, bool turn) {
    bool made = true;
    for (;;) {
        pthread_mutex_lock(&n->lock);
        struct remote_queue *q = remote_slot_record(n, queue, BK_QUEUE);
        if (!q || turn || !q->hosting || q->gate || !made) return q;
        q->holds++;
        pthread_mutex_unlock(&n->lock);
        made = make_gate(n, q);
        put_queue(n, q);
    }
}

/* The end of a command that others crossed on their way to the executor says nothing of those. */
void remote_queue_enter(struct remote_node *n, const struct bk_command *c, struct remote_record *r,
                        bool transfers, bool turn) {
    struct remote_queue *q = admit(n, c->queue, turn);
    if (q) {
        q->sent++;
        if (r) r->number = q->in_order && !q->enqueuing ? q->sent : 0;
        q->enqueuing++;
        if (r) r->places = n->places_sent;
        remote_put_after(n, q, c, r, transfers);
    }
    pthread_mutex_unlock(&n->lock);
}

void remote_queue_leave(struct remote_node *n, bk_ref queue) {
    pthread_mutex_lock(&n->lock);
    struct remote_queue *q = remote_slot_record(n, queue, BK_QUEUE);
    if (q) q->enqueuing--;
    pthread_mutex_unlock(&n->lock);
}

/* ---- transfers ---- */
enum turn { TURN_NOW, TURN_LATER, TURN_UNKNOWN };

/* Under the lock: whether the command's turn has come. UNKNOWN: the executor must see to it. */
static enum turn turn_of(struct remote_node *n, struct remote_queue *q, const struct bk_command *c) {
    bool now = is_quiet(n, q);
    for (cl_uint i = 0; i < c->wait_count; i++) {
        struct remote_record *w = remote_slot_record(n, c->waits[i], BK_EVENT);
        if (!w) return TURN_UNKNOWN;
        if (!atomic_load(&w->done))
            now = false;
        else if (w->status < 0)
            return TURN_UNKNOWN; /* its error is the driver's to tell */
    }
    if (now) return TURN_NOW;
    return q->in_order && c->blocking && !q->hosting && !q->enqueuing ? TURN_LATER : TURN_UNKNOWN;
}

static bool is_hosted(struct remote_node *n, const struct remote_queue *q) {
    const struct remote_context *c = remote_slot_record(n, q->context, BK_CONTEXT);
    return c && c->hosts;
}

/* The queue, held, with its turn taken; NULL: UNKNOWN. An out-of-order queue needs no gate. LATER: with the
 * host lock, so that no gate is sent before the marker. hosted: for the executor to do, and then only NOW. */
static struct remote_queue *take_turn(struct remote_node *n, const struct bk_command *c, bool hosted,
                                      enum turn *turn) {
    struct remote_queue *q = hold_queue(n, c->queue);
    if (!q) return NULL;
    pthread_mutex_lock(&q->host_lock);
    pthread_mutex_lock(&n->lock);
    *turn = turn_of(n, q, c);
    if (hosted && (*turn == TURN_LATER || !is_hosted(n, q))) *turn = TURN_UNKNOWN;
    if (*turn != TURN_UNKNOWN && q->in_order) q->hosting = true;
    pthread_mutex_unlock(&n->lock);
    if (*turn != TURN_LATER) pthread_mutex_unlock(&q->host_lock);
    if (*turn != TURN_UNKNOWN) return q;
    put_queue(n, q);
    return NULL;
}

struct remote_queue *remote_turn_begin(struct remote_node *n, const struct bk_command *c) {
    bool transfer = (c->op == BK_READ || c->op == BK_WRITE) && !c->meeting;
    enum turn turn;
    if (!transfer || !c->blocking || c->want_event || c->on_complete) return NULL;
    return take_turn(n, c, true, &turn);
}

void remote_turn_end(struct remote_node *n, struct remote_queue *q) {
    if (!q) return;
    if (q->in_order) open_gate(n, q);
    put_queue(n, q);
}

/* Gives the host lock back. */
static cl_int await_turn(struct backend *b, struct remote_queue *q, const struct bk_command *c) {
    const struct bk_command marker = {
        .op = BK_MARKER, .queue = c->queue, .wait_count = c->wait_count, .waits = c->waits, .blocking = true};
    struct remote_record *r = NULL;
    cl_int err = remote_send_turn(b, &marker, &r);
    pthread_mutex_unlock(&q->host_lock);
    if (err) return err;
    err = remote_record_wait(r);
    remote_record_put(r);
    return err < 0 ? err : CL_SUCCESS;
}

static void copy(void *to, const void *from, size_t bytes) {
    if (bytes < STREAMING_BYTES) {
        weft_copy(to, from, bytes);
        return;
    }
    weft_copy_streaming(to, from, bytes);
    weft_copy_streaming_end();
}

/* An event that is over: for the executor, too. NULL: no memory. */
static struct remote_record *make_event(struct remote_node *n, struct remote_queue *q) {
    struct remote_record *r = remote_record_create(n, q->handle);
    if (!r) return NULL;
    struct wire_out msg;
    wire_begin(&msg, CREATE_USER_EVENT, create_user_event, .event = r->handle, .context = q->context);
    send(n, &msg);
    wire_begin(&msg, SET_USER_EVENT, set_user_event, .event = r->handle, .status = CL_COMPLETE);
    send(n, &msg);
    return r;
}

static void end_event(struct remote_record *r, uint64_t begin_ns) {
    struct remote_node *n = r->node;
    pthread_mutex_lock(&n->lock);
    r->result_in = true;
    r->status = CL_COMPLETE;
    for (int i = 0; r->queue->profiles && i < 4; i++) r->times[i] = i < 3 ? begin_ns : weft_now_ns();
    atomic_store(&r->done, true);
    pthread_mutex_unlock(&n->lock);
}

/* With the turn taken. */
static cl_int transfer(struct backend *b, const struct bk_command *c, struct remote_queue *q, enum turn turn,
                       char *at, bk_ref *event) {
    struct remote_node *n = remote_node_of(b);
    uint64_t begin_ns = q->profiles ? weft_now_ns() : 0;
    cl_int err = turn == TURN_LATER ? await_turn(b, q, c) : CL_SUCCESS;
    struct remote_record *r = !err && c->want_event ? make_event(n, q) : NULL;
    if (!err && c->want_event && !r) err = CL_OUT_OF_HOST_MEMORY;
    if (err) return err;
    if (c->op == BK_READ)
        copy(c->u.rw.host, at, c->u.rw.size);
    else
        copy(at, c->u.rw.host_src ? c->u.rw.host_src : c->u.rw.host, c->u.rw.size);
    if (r) end_event(r, begin_ns);
    if (r) *event = r->handle;
    return CL_SUCCESS;
}

static bool host_transfer(struct backend *b, const struct bk_command *c, bk_ref *event, cl_int *err) {
    struct remote_node *n = remote_node_of(b);
    size_t offset = 0, bytes = c->u.rw.size;
    const void *host = c->op == BK_READ || !c->u.rw.host_src ? c->u.rw.host : c->u.rw.host_src;
    bool may = host && bytes && (!c->brief || bytes <= BRIEF_BYTES);
    struct share_place *p = may ? place_of(n, c->u.rw.mem, &offset) : NULL;
    if (!p) return false;
    char *at = memory_of(n, p, offset + c->u.rw.offset, bytes, c->blocking);
    enum turn turn;
    struct remote_queue *q = at ? take_turn(n, c, false, &turn) : NULL;
    if (q) share_fill(p, bytes);
    if (q) *err = transfer(b, c, q, turn, at, event);
    remote_turn_end(n, q);
    share_put(p);
    if (q && !*err && c->blocking) *err = remote_queue_take_error(n, c->queue);
    return q;
}

/* A marker or a barrier that nobody looks at and that nothing is left to wait for. */
static bool is_idle(struct remote_node *n, const struct bk_command *c) {
    pthread_mutex_lock(&n->lock);
    struct remote_queue *q = remote_slot_record(n, c->queue, BK_QUEUE);
    bool idle = q && !c->want_event && turn_of(n, q, c) == TURN_NOW;
    pthread_mutex_unlock(&n->lock);
    return idle;
}

bool remote_host_command(struct backend *b, const struct bk_command *c, bk_ref *event, cl_int *err) {
    struct remote_node *n = remote_node_of(b);
    if (c->on_complete || c->meeting) return false; /* half of a move: its executor's */
    switch (c->op) {
    case BK_READ:
    case BK_WRITE: return host_transfer(b, c, event, err);
    case BK_MARKER:
    case BK_BARRIER:
        if (!is_idle(n, c) || remote_node_is_lost(n)) return false;
        *err = c->blocking ? remote_queue_take_error(n, c->queue) : CL_SUCCESS;
        return true;
    default: return false;
    }
}
