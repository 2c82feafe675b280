/* Messages at the target: posted buffers, header handlers, completion handlers and the answer to the sender.
 */
#include "base/copy.h"
#include "base/log.h"
#include "fabric/count.h"
#include "fabric/fabric.h"
#include "fabric/wire.h"

#include <stdlib.h>

void reply(struct weft_peer *p, uint64_t op, int status) {
    uint8_t b[WIRE_REPLY_BYTES] = {0};
    if (!op || atomic_load(&p->gone)) return;
    le_put64(b, op);
    le_put32(b + 8, (uint32_t)status);
    int rc =
        ep_send(p->ep, &(struct ep_send){.handler = FABRIC_REPLY, .header = b, .header_bytes = sizeof b});
    if (rc == WEFT_E_LIMIT || rc == WEFT_E_NOMEM) peer_fail(p, rc, "it cannot be answered");
}

/* -- arrivals -- */

struct arrival *arrival_create(struct weft_peer *p, const struct ep_msg *m, enum fabric_kind kind,
                               size_t header_bytes, int *status) {
    struct weft *w = p->w;
    *status = p->arrival_count < w->max_arrivals ? WEFT_E_NOMEM : WEFT_E_LIMIT;
    struct arrival *a = *status == WEFT_E_LIMIT ? NULL : calloc(1, sizeof *a + header_bytes);
    if (!a) return NULL;
    *status = 0;
    a->peer = p;
    a->kind = (uint8_t)kind;
    a->token = m->token;
    a->data_bytes = m->data_bytes;
    pthread_mutex_lock(&w->lock);
    peer_hold(p);
    p->arrival_count++;
    weft_list_push_back(&p->arrivals, &a->node);
    pthread_mutex_unlock(&w->lock);
    return a;
}

static void complete(struct weft_peer *p, const struct weft_action *action, int status) {
    if (action->on_complete) action->on_complete(action->arg, p, status);
}

/* The posted buffer holds the data: handler and completion handler, then whoever posted. */
static void run_posted(struct weft_peer *p, struct weft_msg *msg, struct post *post) {
    struct weft_handler *h = atomic_load(&p->w->handlers[msg->handler]);
    struct weft_action action = {0};
    msg->posted = 1;
    msg->data = post->buf;
    fabric_count(COUNT_POSTED_HITS, 1);
    h->on_header(h->ctx, p, msg, &action);
    complete(p, &action, 0);
    post_end(p->w, post, 0);
}

/* Flushes that waited for what has ended now. */
static void answer_flushes(struct weft_peer *p) {
    struct weft *w = p->w;
    for (;;) {
        pthread_mutex_lock(&w->lock);
        struct arrival *a = NULL;
        if (!weft_list_empty(&p->arrivals)) a = weft_list_entry(p->arrivals.next, struct arrival, node);
        if (a && a->kind != FABRIC_FLUSH) a = NULL;
        if (a) {
            weft_list_remove(&a->node);
            p->arrival_count--;
        }
        pthread_mutex_unlock(&w->lock);
        if (!a) return;
        reply(p, a->op, p->store_error);
        p->store_error = 0;
        pthread_mutex_lock(&w->lock);
        peer_drop(p); /* arrival_end holds it */
        pthread_mutex_unlock(&w->lock);
        free(a);
    }
}

void arrival_end(struct arrival *a, int status) {
    struct weft_peer *p = a->peer;
    struct weft *w = p->w;
    pthread_mutex_lock(&w->lock);
    weft_list_remove(&a->node);
    p->arrival_count--;
    buf_give(a->mem, a->pin);
    if (a->window) window_put_over(a->window);
    pthread_mutex_unlock(&w->lock);
    if (status == 0 && atomic_load(&p->gone)) status = WEFT_E_CLOSED;
    if (a->post && status == 0)
        run_posted(p, &a->msg, a->post);
    else if (a->post)
        post_end(w, a->post, status);
    else if (a->kind == FABRIC_AM)
        complete(p, &a->action, status);
    if (status == 0) cntr_count_named(w, a->target_cntr, a->quiet);
    if (status && a->kind == FABRIC_PUT && !a->op && !p->store_error) p->store_error = status;
    if (status == 0 && a->kind != FABRIC_FLUSH && !a->quiet) notice_post(&p->notice, a->data_bytes, 0);
    reply(p, a->op, status);
    answer_flushes(p);
    pthread_mutex_lock(&w->lock);
    peer_drop(p);
    pthread_mutex_unlock(&w->lock);
    free(a);
}

void arrival_on_data(void *arg, int status) {
    struct arrival *a = arg;
    const struct weft *before = fabric_enter(a->peer->w);
    arrival_end(a, status);
    fabric_leave(before);
}

/* -- messages -- */

struct incoming {
    struct weft_msg msg;
    uint32_t target_cntr;
    bool quiet;
    uint64_t op;
};

static void refuse(struct weft_peer *p, const struct incoming *in, int status) {
    fabric_count(COUNT_MESSAGES_REFUSED, 1);
    if (status == WEFT_E_NOENT)
        weft_info("fabric", "a message for handler %u, which is not registered", in->msg.handler);
    reply(p, in->op, status);
}

static void end_now(struct weft_peer *p, const struct incoming *in, int status) {
    if (status == 0) {
        cntr_count_named(p->w, in->target_cntr, in->quiet);
        if (!in->quiet) notice_post(&p->notice, in->msg.data_bytes, 0);
    }
    reply(p, in->op, status);
}

static void deliver_posted(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink,
                           struct incoming *in, struct post *post) {
    int status = 0;
    if (m->data || !m->data_bytes) {
        if (m->data_bytes) weft_copy(post->buf, m->data, m->data_bytes);
        run_posted(p, &in->msg, post);
        end_now(p, in, 0);
        return;
    }
    struct arrival *a = arrival_create(p, m, FABRIC_AM, in->msg.header_bytes, &status);
    if (!a) {
        post_end(p->w, post, status);
        refuse(p, in, status);
        return;
    }
    a->msg = in->msg;
    if (in->msg.header_bytes) memcpy(a->header, in->msg.header, in->msg.header_bytes);
    a->msg.header = a->header;
    a->op = in->op;
    a->target_cntr = in->target_cntr;
    a->quiet = in->quiet;
    pthread_mutex_lock(&p->w->lock);
    a->post = post; /* from here on a cancel finds it */
    pthread_mutex_unlock(&p->w->lock);
    bool unpinned = buf_is_unpinned(p->w, post->mem, post->pin, post->bytes);
    *sink = (struct ep_sink){.buf = post->buf, .on_data = arrival_on_data, .arg = a, .unpinned = unpinned};
}

/* Where the handler wants the data; *ptr NULL: nowhere, and nothing is held. */
static int find_place(struct weft *w, const struct weft_action *action, uint64_t bytes, void **ptr,
                      struct pin **pin) {
    *ptr = action->mem ? NULL : action->buf;
    *pin = NULL;
    if (!action->mem) return action->buf && bytes > action->buf_bytes ? WEFT_E_TOO_BIG : 0;
    size_t room = weft_mem_bytes(action->mem);
    if (action->offset > room || bytes > room - action->offset) return WEFT_E_TOO_BIG;
    struct weft_buf buf = weft_buf_mem(action->mem, action->offset, (size_t)bytes);
    return buf_take(w, &buf, ptr, pin);
}

static void place_give(struct weft *w, const struct weft_action *action, struct pin *pin) {
    if (!action->mem) return;
    pthread_mutex_lock(&w->lock);
    buf_give(action->mem, pin);
    pthread_mutex_unlock(&w->lock);
}

/* The data is still to come: it goes to `ptr`. */
static int await_data(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink,
                      const struct incoming *in, const struct weft_action *action, void *ptr,
                      struct pin *pin) {
    int status;
    struct arrival *a = arrival_create(p, m, FABRIC_AM, 0, &status);
    if (!a) return status;
    a->action = *action;
    a->mem = action->mem;
    a->pin = pin;
    a->op = in->op;
    a->target_cntr = in->target_cntr;
    a->quiet = in->quiet;
    bool unpinned = buf_is_unpinned(p->w, action->mem, pin, m->data_bytes);
    *sink = (struct ep_sink){.buf = ptr, .on_data = arrival_on_data, .arg = a, .unpinned = unpinned};
    return 0;
}

static void deliver_unposted(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink,
                             struct incoming *in, const struct weft_handler *h) {
    struct weft *w = p->w;
    struct weft_action action = {0};
    struct pin *pin = NULL;
    void *ptr = NULL;
    h->on_header(h->ctx, p, &in->msg, &action);
    bool pending = m->data_bytes && !m->data;
    int status = action.mem || action.buf ? find_place(w, &action, m->data_bytes, &ptr, &pin) : 0;
    if (status == 0 && pending && ptr && !atomic_load(&p->gone)) {
        status = await_data(p, m, sink, in, &action, ptr, pin);
        if (status == 0) return;
    } else if (status == 0 && pending) {
        fabric_count(COUNT_DISCARDED, 1);
        status = atomic_load(&p->gone) ? WEFT_E_CLOSED : WEFT_E_CANCELED;
    } else if (status == 0 && ptr && m->data_bytes) {
        weft_copy(ptr, m->data, m->data_bytes);
    }
    if (ptr) place_give(w, &action, pin);
    if (status && status != WEFT_E_CANCELED) fabric_count(COUNT_MESSAGES_REFUSED, 1);
    complete(p, &action, status);
    end_now(p, in, status);
}

static void deliver(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink, struct incoming *in,
                    size_t own_bytes) {
    struct weft *w = p->w;
    in->msg.header = (const uint8_t *)m->header + own_bytes;
    in->msg.header_bytes = m->header_bytes - own_bytes;
    in->msg.data_bytes = m->data_bytes;
    in->msg.data = m->data_bytes ? m->data : NULL;
    const struct weft_handler *h =
        in->msg.handler < WEFT_HANDLERS_MAX ? atomic_load(&w->handlers[in->msg.handler]) : NULL;
    int status = h ? 0 : WEFT_E_NOENT;
    struct post *post = NULL;
    if (h && in->msg.tag != WEFT_NO_TAG) {
        pthread_mutex_lock(&w->lock);
        post = post_match(p, in->msg.tag, m->data_bytes, &status);
        pthread_mutex_unlock(&w->lock);
    }
    if (status)
        refuse(p, in, status);
    else if (post)
        deliver_posted(p, m, sink, in, post);
    else
        deliver_unposted(p, m, sink, in, h);
}

void deliver_on_eager(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink) {
    if (m->header_bytes < WIRE_EAGER_BYTES) {
        peer_fail(p, WEFT_E_PROTO, "a message that does not hold");
        return;
    }
    struct incoming in = {.msg.handler = le_get16(m->header)};
    deliver(p, m, sink, &in, WIRE_EAGER_BYTES);
}

void deliver_on_am(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink) {
    const uint8_t *b = m->header;
    if (m->header_bytes < WIRE_AM_BYTES) {
        peer_fail(p, WEFT_E_PROTO, "a message that does not hold");
        return;
    }
    struct incoming in = {.msg = {.handler = le_get16(b), .tag = le_get64(b + 8)},
                          .target_cntr = le_get32(b + 4),
                          .quiet = le_get16(b + 2) & WIRE_QUIET,
                          .op = le_get64(b + 16)};
    deliver(p, m, sink, &in, WIRE_AM_BYTES);
}
