/* Operations of this side, from their start to their one end. */
#include "fabric/count.h"
#include "fabric/fabric.h"
#include "fabric/wire.h"

#include <stdlib.h>

/* -- the pool -- */

struct op *op_create(struct weft_peer *p, enum op_kind kind) {
    struct weft_list *n = weft_list_pop_front(&p->w->free_ops);
    struct op *op = n ? weft_list_entry(n, struct op, node) : malloc(sizeof *op);
    if (!op) return NULL;
    *op = (struct op){.peer = p, .id = p->next_op++, .kind = (uint8_t)kind};
    weft_list_init(&op->node);
    peer_hold(p);
    return op;
}

void op_free(struct op *op) {
    struct weft_peer *p = op->peer;
    struct weft *w = p->w;
    buf_give(op->mem, op->pin);
    weft_list_push_front(&w->free_ops, &op->node);
    peer_drop(p);
}

void op_free_pool(struct weft *w) {
    for (struct weft_list *n; (n = weft_list_pop_front(&w->free_ops));)
        free(weft_list_entry(n, struct op, node));
}

/* -- waiting for the peer's answer -- */

int op_await(struct op *op) {
    int rc = weft_map_put(&op->peer->ops, op->id, op);
    op->awaiting = rc == 0;
    return rc;
}

struct op *op_take(struct weft_peer *p, uint64_t id) {
    struct op *op = weft_map_remove(&p->ops, id);
    if (op) op->awaiting = false;
    return op;
}

/* -- the end -- */

/* The first error of puts that nobody is told of waits for the next flush. */
static void note_error(const struct op *op, int status) {
    struct weft_peer *p = op->peer;
    if (status && op->kind == OP_PUT && !done_any(&op->completion) && !p->put_error) p->put_error = status;
}

/* Neither the transport nor the peer has it any more: it is told and goes. */
static void finish(struct op *op, int status) {
    struct weft_peer *p = op->peer;
    struct weft *w = p->w;
    struct weft_done completion = op->completion;
    pthread_mutex_lock(&w->lock);
    if (op->unordered) {
        p->unordered--;
        fence_run(p);
    }
    if (op->kind == OP_FLUSH && status == 0) {
        status = p->put_error;
        p->put_error = 0;
    }
    op_free(op);
    pthread_mutex_unlock(&w->lock);
    done_tell(w, &completion, status);
}

/* An answered flush waits for older operations whose data the transport still holds; with the lock. */
static bool hold_flush(struct op *op) {
    struct weft_peer *p = op->peer;
    if (op->kind != OP_FLUSH || weft_list_empty(&p->sending)) return false;
    if (weft_list_entry(p->sending.next, struct op, node)->id > op->id) return false;
    weft_list_push_back(&p->flushes, &op->node);
    return true;
}

static struct op *ready_flush(struct weft_peer *p) {
    if (weft_list_empty(&p->flushes)) return NULL;
    struct op *op = weft_list_entry(p->flushes.next, struct op, node);
    uint64_t oldest =
        weft_list_empty(&p->sending) ? UINT64_MAX : weft_list_entry(p->sending.next, struct op, node)->id;
    if (oldest < op->id) return NULL;
    weft_list_remove(&op->node);
    return op;
}

/* on_done of the transport: the data has left, or the message failed. */
static void on_sent(void *arg, int status) {
    struct op *op = arg;
    struct weft_peer *p = op->peer;
    struct weft *w = p->w;
    const struct weft *before = fabric_enter(w);
    pthread_mutex_lock(&w->lock);
    peer_hold(p);
    op->sending = false;
    weft_list_remove(&op->node);
    if (op->replied && op->status == 0) status = 0; /* it had arrived */
    if (status && p->refused) status = p->refused;
    if (!op->replied) note_error(op, status);
    if (status && op->awaiting) op_take(p, op->id);
    bool ended = !op->awaiting && !op->receiving && !hold_flush(op);
    int end = op->replied ? op->status : status;
    struct weft_done origin = op->origin;
    op->origin = (struct weft_done){0};
    pthread_mutex_unlock(&w->lock);
    done_tell(w, &origin, status);
    if (ended) finish(op, end);
    for (;;) {
        pthread_mutex_lock(&w->lock);
        struct op *flush = ready_flush(p);
        if (!flush) break;
        pthread_mutex_unlock(&w->lock);
        finish(flush, flush->status);
    }
    peer_drop(p);
    pthread_mutex_unlock(&w->lock);
    fabric_leave(before);
}

void op_replied(struct op *op, int status) {
    struct weft *w = op->peer->w;
    pthread_mutex_lock(&w->lock);
    op->replied = true;
    op->receiving = false;
    op->status = status;
    note_error(op, status);
    bool over = !op->sending && !hold_flush(op); /* else on_sent ends it */
    pthread_mutex_unlock(&w->lock);
    if (over) finish(op, status);
}

/* -- the start -- */

int op_send(struct weft_peer *p, struct ep_send *s, struct op *op) {
    int status = atomic_load(&p->status);
    if (status && status != WEFT_E_AGAIN) return status;
    if (!op) return ep_send(p->ep, s);
    s->on_done = on_sent;
    s->arg = op;
    op->sending = true;
    p->unordered += op->unordered;
    weft_list_push_back(&p->sending, &op->node);
    int rc = ep_send(p->ep, s);
    if (rc == 0) return 0;
    op->sending = false;
    p->unordered -= op->unordered;
    weft_list_remove(&op->node);
    return rc;
}

int op_submit(struct weft_peer *p, struct ep_send *s, struct op *op) {
    return atomic_load(&p->deferring) ? fence_defer(p, s, op) : op_send(p, s, op);
}

/* -- answers -- */

void op_on_reply(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink) {
    struct weft *w = p->w;
    if (m->header_bytes < WIRE_REPLY_BYTES) {
        peer_fail(p, WEFT_E_PROTO, "an answer that does not hold");
        return;
    }
    uint64_t id = le_get64(m->header);
    int status = (int)le_get32((const uint8_t *)m->header + 8);
    pthread_mutex_lock(&w->lock);
    struct op *op = weft_map_get(&p->ops, id);
    bool fits = op ? op->kind != OP_GET : id < p->next_op;
    if (op && fits) op_take(p, id);
    pthread_mutex_unlock(&w->lock);
    if (!fits || status > 0)
        peer_fail(p, WEFT_E_PROTO, "an answer to nothing");
    else if (!op)
        fabric_count(COUNT_REPLIES_LATE, 1);
    if (op && fits) op_replied(op, status > 0 ? WEFT_E_PROTO : status);
}

static struct op *next_waiting(struct weft_peer *p) {
    size_t it = 0;
    pthread_mutex_lock(&p->w->lock);
    struct op *op = weft_map_next(&p->ops, &it, NULL);
    if (op) op_take(p, op->id);
    pthread_mutex_unlock(&p->w->lock);
    return op;
}

/* What the transport still holds ends when that lets go of it, with this status. */
void op_fail_all(struct weft_peer *p, int status) {
    for (struct op *op; (op = next_waiting(p));) op_replied(op, status);
}
