/* Fences hold later operations back at the origin until earlier large data is in place at the target; flushes
 * ask the target when all is complete there. */
#include "fabric/count.h"
#include "fabric/fabric.h"
#include "fabric/wire.h"

#include <stdlib.h>

/* An operation behind a fence; with kind 0 the fence itself. */
struct deferred {
    struct weft_list node;
    struct ep_send send;
    struct op *op;
    uint8_t bytes[]; /* header, then data that was to be copied */
};

static struct deferred *defer(struct weft_peer *p, size_t bytes) {
    struct deferred *d = calloc(1, sizeof *d + bytes);
    if (!d) return NULL;
    weft_list_push_back(&p->deferred, &d->node);
    atomic_store(&p->deferring, true);
    return d;
}

static void drop(struct weft_peer *p, struct deferred *d) {
    weft_list_remove(&d->node);
    if (weft_list_empty(&p->deferred)) atomic_store(&p->deferring, false);
    free(d);
}

int fence_defer(struct weft_peer *p, const struct ep_send *s, struct op *op) {
    size_t copied = s->copy ? s->data_bytes : 0;
    struct deferred *d = defer(p, s->header_bytes + copied);
    if (!d) return WEFT_E_NOMEM;
    d->send = *s;
    d->op = op;
    if (s->header_bytes) memcpy(d->bytes, s->header, s->header_bytes);
    if (copied) memcpy(d->bytes + s->header_bytes, s->data, copied);
    d->send.header = d->bytes;
    if (copied) d->send.data = d->bytes + s->header_bytes;
    fabric_count(COUNT_FENCED, 1);
    return 0;
}

static struct deferred *first(struct weft_peer *p) {
    return weft_list_empty(&p->deferred) ? NULL : weft_list_entry(p->deferred.next, struct deferred, node);
}

void fence_run(struct weft_peer *p) {
    for (struct deferred *d; !atomic_load(&p->gone) && (d = first(p)); drop(p, d)) {
        bool fence = d->send.handler == 0;
        if (fence && p->unordered) return;
        int rc = fence ? 0 : op_send(p, &d->send, d->op);
        if (rc == WEFT_E_LIMIT || rc == WEFT_E_NOMEM)
            peer_fail(p, rc, "what waited behind a fence cannot be sent");
        if (rc) return; /* the connection ends, and that ends these too */
    }
}

/* Without the lock: takes the oldest out. */
static bool take(struct weft_peer *p, struct op **op) {
    pthread_mutex_lock(&p->w->lock);
    struct deferred *d = first(p);
    *op = d ? d->op : NULL;
    if (d) drop(p, d);
    if (*op && (*op)->awaiting) op_take(p, (*op)->id);
    if (*op) (*op)->unordered = false; /* it never was counted */
    pthread_mutex_unlock(&p->w->lock);
    return d != NULL;
}

void fence_fail_all(struct weft_peer *p, int status) {
    for (struct op *op; take(p, &op);) {
        if (!op) continue;
        done_tell(p->w, &op->origin, status);
        op_replied(op, status);
    }
}

int weft_fence(struct weft_peer *p) {
    struct weft *w = p->w;
    int rc = atomic_load(&p->status);
    if (rc == WEFT_E_AGAIN) rc = 0;
    pthread_mutex_lock(&w->lock);
    if (rc == 0 && (p->unordered || !weft_list_empty(&p->deferred)) && !defer(p, 0)) rc = WEFT_E_NOMEM;
    pthread_mutex_unlock(&w->lock);
    return rc;
}

/* -- flush -- */

int weft_flush(struct weft_peer *p, const struct weft_done *done) {
    struct weft *w = p->w;
    uint8_t b[WIRE_FLUSH_BYTES];
    pthread_mutex_lock(&w->lock);
    struct op *op = op_create(p, OP_FLUSH);
    int rc = op ? op_await(op) : WEFT_E_NOMEM;
    if (rc == 0) {
        le_put64(b, op->id);
        struct ep_send s = {.handler = FABRIC_FLUSH, .header = b, .header_bytes = sizeof b};
        rc = done_take(w, &op->completion, done);
        if (rc == 0) rc = op_submit(p, &s, op);
    }
    if (rc && op) {
        done_forget(w, &op->completion);
        op_take(p, op->id);
        op_free(op);
    }
    pthread_mutex_unlock(&w->lock);
    return rc;
}

struct flushed {
    atomic_int refs; /* the waiter's and the operation's: the waiter may give up first */
    atomic_bool over;
    int status;
};

static void flushed_drop(struct flushed *f) {
    if (atomic_fetch_sub(&f->refs, 1) == 1) free(f);
}

static void on_flushed(void *arg, int status) {
    struct flushed *f = arg;
    f->status = status;
    atomic_store(&f->over, true);
    flushed_drop(f);
}

static bool is_over(void *arg) { return atomic_load(&((struct flushed *)arg)->over); }

int weft_flush_wait(struct weft_peer *p, uint64_t timeout_ns) {
    struct weft *w = p->w;
    if (fabric_in_callback(w)) return WEFT_E_BUSY;
    struct flushed *f = calloc(1, sizeof *f);
    if (!f) return WEFT_E_NOMEM;
    atomic_store(&f->refs, 2);
    int rc = weft_flush(p, &(struct weft_done){.fn = on_flushed, .arg = f});
    if (rc) {
        free(f);
        return rc;
    }
    rc = fabric_wait(w, is_over, f, timeout_ns);
    if (rc == 0) rc = f->status;
    flushed_drop(f);
    return rc;
}

/* At the target: answered when all that came before has ended. */
void fence_on_flush(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink) {
    struct weft *w = p->w;
    if (m->header_bytes < WIRE_FLUSH_BYTES) {
        peer_fail(p, WEFT_E_PROTO, "a flush that does not hold");
        return;
    }
    uint64_t op = le_get64(m->header);
    int status = 0;
    pthread_mutex_lock(&w->lock);
    bool quiet = weft_list_empty(&p->arrivals);
    pthread_mutex_unlock(&w->lock);
    struct arrival *a = quiet ? NULL : arrival_create(p, m, FABRIC_FLUSH, 0, &status);
    if (a) {
        a->op = op;
        return;
    }
    if (!status) {
        status = p->store_error;
        p->store_error = 0;
    }
    reply(p, op, status);
}
