/* Remote: commands under way and events. A record lives until the caller gave up its event, the result is in,
 * the endpoint is done with the program's memory, and no one waits. */
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"
#include "opencl/remote/internal.h"

/* ---- life; under the node's lock ---- */
static void put_locked(struct remote_record *r) {
    struct remote_node *n = r->node;
    if (--r->holds) return;
    weft_list_remove(&r->link);
    weft_list_remove(&r->in_node);
    weft_list_remove(&r->in_untold);
    remote_slot_free(n, r->handle);
    if (r->queue) remote_queue_put(r->queue);
    remote_pass_end(r->pass); /* it was over before it knew of it */
    free(r->packed);
    free(r);
}

struct remote_record *remote_record_create(struct remote_node *n, uint64_t queue) {
    struct remote_record *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->node = n;
    r->holds = 1;
    weft_list_init(&r->link);
    weft_list_init(&r->in_node);
    weft_list_init(&r->in_untold);
    pthread_mutex_lock(&n->lock);
    r->queue = queue ? remote_slot_record(n, queue, BK_QUEUE) : NULL;
    if (!queue || r->queue) r->handle = remote_slot_take(n, BK_EVENT, r);
    if (r->handle && r->queue) r->queue->holds++;
    pthread_mutex_unlock(&n->lock);
    if (r->handle) return r;
    free(r);
    return NULL;
}

void remote_record_put(struct remote_record *r) {
    struct remote_node *n = r->node;
    pthread_mutex_lock(&n->lock);
    put_locked(r);
    pthread_mutex_unlock(&n->lock);
}

/* ---- what comes after what ---- */
static void at_least(uint64_t *number, uint64_t other) {
    if (*number < other) *number = other;
}

void remote_put_after(struct remote_node *n, struct remote_queue *q, const struct bk_command *c,
                      struct remote_record *r, bool transfers) {
    for (cl_uint i = 0; i < c->wait_count; i++) {
        const struct remote_record *w = remote_slot_record(n, c->waits[i], BK_EVENT);
        if (w) at_least(&q->after.any, w->after.any);
        if (w && w->queue != q) at_least(&q->after.any, w->after.own);
    }
    if (transfers) q->after.own = r->transfer = ++n->last_transfer;
    if (r) r->after = q->after;
}

/* Of a list by transfers, the first. */
static bool is_any_up_to(const struct weft_list *queue, const struct weft_list *node,
                         const struct remote_after *a) {
    return (!weft_list_empty(queue) &&
            weft_list_entry(queue->next, struct remote_record, link)->transfer <= a->own) ||
           (!weft_list_empty(node) &&
            weft_list_entry(node->next, struct remote_record, in_node)->transfer <= a->any);
}

/* Under the lock, as all here. */
static bool is_blocked(const struct remote_record *r) {
    return r->queue && (is_any_up_to(&r->queue->transfers, &r->node->transfers, &r->after) ||
                        remote_order_blocks(r->node, r->result));
}

bool remote_queue_transfers(struct remote_node *n, struct remote_queue *q) {
    return is_any_up_to(&q->transfers, &n->transfers, &q->after);
}

/* A result that has come is told a moment later, perhaps by another thread. */
bool remote_queue_has_untold(struct remote_node *n, const struct remote_queue *q, uint64_t result) {
    weft_list_for_each(it, &n->untold) {
        const struct remote_record *r = weft_list_entry(it, struct remote_record, in_untold);
        if (r->result > result) break;
        if (r->queue == q) return true;
    }
    return false;
}

/* By number: enqueues of several threads may cross, and reads come as they are done. */
static void begin_transfer(struct remote_record *r) {
    r->moving = true;
    struct weft_list *at = r->queue->transfers.prev;
    while (at != &r->queue->transfers &&
           weft_list_entry(at, struct remote_record, link)->transfer > r->transfer)
        at = at->prev;
    weft_list_push_front(at, &r->link);
    at = r->node->transfers.prev;
    while (at != &r->node->transfers &&
           weft_list_entry(at, struct remote_record, in_node)->transfer > r->transfer)
        at = at->prev;
    weft_list_push_front(at, &r->in_node);
}

static void end_transfer(struct remote_record *r) {
    r->moving = false;
    weft_list_remove(&r->link);
    weft_list_remove(&r->in_node);
    if (r->result_in && !r->announced) weft_list_push_back(&r->node->deferred, &r->link);
}

/* ---- completion ---- */
/* Calls the completion function without the lock; consumes the hold of the command under way. */
static void announce(struct remote_record *r) {
    struct remote_node *n = r->node;
    weft_trace(WEFT_TRACE_CL_EVENT, r->handle, (uint64_t)(int64_t)r->status, 0, 0);
    pthread_mutex_lock(&n->lock);
    bk_complete_fn *fn = r->fn, *notify = r->notify;
    r->fn = r->notify = NULL;
    cl_ulong times[4];
    memcpy(times, r->times, sizeof times);
    cl_int status = r->status;
    void *arg = r->arg, *notify_arg = r->notify_arg;
    atomic_store(&r->done, true); /* with notify taken under the lock: a notify now calls by itself */
    weft_list_remove(&r->in_untold);
    struct remote_heir *heirs = r->heirs;
    r->heirs = NULL;
    pthread_mutex_unlock(&n->lock);
    if (r->move && status < 0) remote_move_failed(r);
    remote_move_over(r);
    remote_inherit(heirs, status);
    if (fn) fn(arg, status, times);
    if (notify) notify(notify_arg, status, times);
    remote_record_put(r);
}

/* A result has come, its data perhaps not. Under the lock. */
static void number(struct remote_record *r) {
    if (r->result || r->user) return;
    r->result = r->node->results + 1;
    if (r->queue) r->queue->result = r->result;
    weft_list_push_back(&r->node->untold, &r->in_untold);
}

bool remote_record_result(struct remote_record *r, cl_int status, const uint64_t *times) {
    struct remote_node *n = r->node;
    pthread_mutex_lock(&n->lock);
    bool first = !r->result_in;
    r->result_in = true;
    bool blocked = false;
    if (first) {
        r->status = status;
        for (int i = 0; times && i < 4; i++) r->times[i] = times[i] - (uint64_t)n->clock_offset;
        if (status < 0 && r->unseen && !r->queue->error) r->queue->error = status;
        number(r);
        if (status == CL_COMPLETE) remote_places_are_known(n, r->places);
        if (status == CL_COMPLETE && r->queue && r->queue->over < r->number) r->queue->over = r->number;
        blocked = is_blocked(r);
        r->announced = !blocked;
        if (blocked && !r->moving) weft_list_push_back(&n->deferred, &r->link);
    }
    pthread_mutex_unlock(&n->lock);
    if (first && !blocked) announce(r);
    return first;
}

void remote_record_sending(struct remote_record *r) {
    struct remote_node *n = r->node;
    pthread_mutex_lock(&n->lock);
    r->holds++;
    remote_rate_begin(&n->rate, weft_now_ns());
    begin_transfer(r);
    pthread_mutex_unlock(&n->lock);
}

void remote_release_deferred(struct remote_node *n) {
    struct weft_list ready, *it;
    weft_list_init(&ready);
    pthread_mutex_lock(&n->lock);
    weft_list_for_each_safe(at, &n->deferred) {
        struct remote_record *r = weft_list_entry(at, struct remote_record, link);
        if (is_blocked(r)) continue;
        r->announced = true;
        weft_list_remove(at);
        weft_list_push_back(&ready, at);
    }
    pthread_mutex_unlock(&n->lock);
    while ((it = weft_list_pop_front(&ready))) announce(weft_list_entry(it, struct remote_record, link));
    remote_order_check(n->hub);
}

void remote_record_sent(void *record, int status) {
    struct remote_record *r = record;
    struct remote_node *n = r->node;
    if (r->keep_slot) remote_reuse_stored(n, r->keep_slot, status == 0);
    pthread_mutex_lock(&n->lock);
    remote_rate_end(&n->rate, weft_now_ns(), status ? 0 : r->bytes);
    end_transfer(r);
    put_locked(r);
    pthread_mutex_unlock(&n->lock);
    remote_release_deferred(n);
}

void remote_record_arriving(struct remote_record *r) {
    pthread_mutex_lock(&r->node->lock);
    number(r);
    begin_transfer(r);
    pthread_mutex_unlock(&r->node->lock);
}

void remote_record_arrived(struct remote_record *r, cl_int status, const uint64_t *times) {
    struct remote_node *n = r->node;
    if (r->packed && status == CL_COMPLETE) remote_box_spread(&r->box, r->packed);
    pthread_mutex_lock(&n->lock);
    end_transfer(r);
    pthread_mutex_unlock(&n->lock);
    remote_record_result(r, status, times);
    remote_release_deferred(n);
}

bool remote_record_abandon(struct remote_record *r) {
    struct remote_node *n = r->node;
    pthread_mutex_lock(&n->lock);
    bool open = !r->result_in;
    r->result_in = true;
    r->announced |= open;
    pthread_mutex_unlock(&n->lock);
    return open;
}

void remote_records_lost(struct remote_node *n) {
    for (uint32_t i = 1;; i++) {
        pthread_mutex_lock(&n->lock);
        bool end = i >= n->slot_count;
        struct remote_record *r = !end && n->slots[i].kind == BK_EVENT ? n->slots[i].record : NULL;
        if (r && (r->result_in || (r->user && !r->notify))) r = NULL;
        if (r && !r->want_result && !r->user) r = NULL;
        if (r) r->holds += r->user ? 2 : 1; /* a user event has no hold for a command under way */
        pthread_mutex_unlock(&n->lock);
        if (end) return;
        if (!r) continue;
        if (!remote_record_result(r, CL_DEVICE_NOT_AVAILABLE, NULL) && r->user) remote_record_put(r);
        remote_record_put(r);
    }
}

/* ---- waiting ---- */
static bool is_done(void *arg) { return atomic_load(&((struct remote_record *)arg)->done); }

cl_int remote_record_wait(struct remote_record *r) {
    ep_wait(r->node->hub->ep, is_done, r, WEFT_TIME_NEVER);
    return r->status;
}

/* ---- queues ---- */
cl_int remote_queue_take_error(struct remote_node *n, uint64_t queue) {
    pthread_mutex_lock(&n->lock);
    struct remote_queue *q = remote_slot_record(n, queue, BK_QUEUE);
    cl_int error = q ? q->error : CL_INVALID_COMMAND_QUEUE;
    if (q) q->error = CL_SUCCESS;
    pthread_mutex_unlock(&n->lock);
    return error;
}

struct remote_after remote_queue_after(struct remote_node *n, uint64_t queue) {
    pthread_mutex_lock(&n->lock);
    struct remote_queue *q = remote_slot_record(n, queue, BK_QUEUE);
    struct remote_after after = q ? q->after : (struct remote_after){0};
    pthread_mutex_unlock(&n->lock);
    return after;
}

bool remote_queue_may_finish(struct remote_node *n, uint64_t queue, const struct remote_after *after,
                             uint64_t result) {
    pthread_mutex_lock(&n->lock);
    struct remote_queue *q = remote_slot_record(n, queue, BK_QUEUE);
    bool may = !q || !is_any_up_to(&q->transfers, &n->transfers, after);
    may = may && !remote_order_blocks(n, result) && !(q && remote_queue_has_untold(n, q, result));
    pthread_mutex_unlock(&n->lock);
    return may;
}

/* ---- events ---- */
/* The event's record with one more hold; NULL: not an event. */
static struct remote_record *hold_event(struct remote_node *n, bk_ref event) {
    pthread_mutex_lock(&n->lock);
    struct remote_record *r = remote_slot_record(n, event, BK_EVENT);
    if (r) r->holds++;
    pthread_mutex_unlock(&n->lock);
    return r;
}

cl_int remote_create_user_event(struct backend *b, bk_ref context, bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    struct remote_record *r = remote_record_create(n, 0);
    if (!r) return CL_OUT_OF_HOST_MEMORY;
    r->user = true;
    struct wire_out msg;
    wire_begin(&msg, CREATE_USER_EVENT, create_user_event, .event = r->handle, .context = context);
    if (!remote_send(n, &msg, NULL, 0, NULL, NULL)) {
        remote_record_put(r);
        return CL_OUT_OF_RESOURCES;
    }
    *out = r->handle;
    return CL_SUCCESS;
}

cl_int remote_set_user_event(struct backend *b, bk_ref event, cl_int status) {
    struct remote_node *n = remote_node_of(b);
    struct remote_record *r = hold_event(n, event);
    if (!r) return CL_INVALID_EVENT;
    struct wire_out msg;
    wire_begin(&msg, SET_USER_EVENT, set_user_event, .event = event, .status = (uint64_t)(int64_t)status);
    bool sent = remote_send(n, &msg, NULL, 0, NULL, NULL);
    if (!remote_record_result(r, status, NULL)) remote_record_put(r); /* it was set before */
    ep_wake(n->hub->ep);
    return sent ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

cl_int remote_wait_event(struct backend *b, bk_ref event) {
    struct remote_record *r = hold_event(remote_node_of(b), event);
    if (!r) return CL_INVALID_EVENT;
    cl_int status = remote_record_wait(r);
    remote_record_put(r);
    return status;
}

cl_int remote_event_status(struct backend *b, bk_ref event) {
    struct remote_record *r = hold_event(remote_node_of(b), event);
    if (!r) return CL_INVALID_EVENT;
    bool done = atomic_load(&r->done);
    cl_int status = done ? r->status : CL_SUBMITTED;
    if (!done) remote_node_flush(r->node); /* whoever asks waits for it, in his way */
    remote_record_put(r);
    return status;
}

cl_int remote_event_times(struct backend *b, bk_ref event, cl_ulong times[4]) {
    struct remote_record *r = hold_event(remote_node_of(b), event);
    if (!r) return CL_INVALID_EVENT;
    bool there = atomic_load(&r->done) && r->status == CL_COMPLETE && r->times[3];
    if (there) memcpy(times, r->times, sizeof r->times);
    remote_record_put(r);
    return there ? CL_SUCCESS : CL_PROFILING_INFO_NOT_AVAILABLE;
}

cl_int remote_event_notify(struct backend *b, bk_ref event, bk_complete_fn *fn, void *arg) {
    struct remote_node *n = remote_node_of(b);
    struct remote_record *r = hold_event(n, event);
    if (!r) return CL_INVALID_EVENT;
    pthread_mutex_lock(&n->lock);
    bool done = atomic_load(&r->done);
    if (!done) {
        r->notify = fn;
        r->notify_arg = arg;
    }
    pthread_mutex_unlock(&n->lock);
    if (!done) remote_node_flush(n);
    if (done) fn(arg, r->status, r->times);
    remote_record_put(r);
    return CL_SUCCESS;
}
