/* Executor: results on their way back. */
#include <stdlib.h>

#include "opencl/executor/internal.h"

/* Under the lock. */
static void tell_owed(struct executor *x) {
    struct weft_list *it;
    while ((it = weft_list_pop_front(&x->owed))) {
        const struct owed *o = weft_list_entry(it, struct owed, link);
        struct wire_out out;
        wire_begin(&out, AFTER, after, .number = o->number, .results = o->results);
        if (!outlet_send_more(&x->client, &out)) x->results++;
    }
}

void results_after(struct executor *x, struct owed *o, uint64_t results) {
    pthread_mutex_lock(&x->lock);
    bool news = results > o->results;
    if (news) o->results = results;
    if (news && weft_list_empty(&o->link)) weft_list_push_back(&x->owed, &o->link);
    pthread_mutex_unlock(&x->lock);
}

void results_flush(struct executor *x) {
    pthread_mutex_lock(&x->lock);
    outlet_flush(&x->client);
    pthread_mutex_unlock(&x->lock);
}

void results_send(struct executor *x, const struct wire_out *out, const void *data, size_t bytes,
                  results_done_fn *done, void *arg) {
    pthread_mutex_lock(&x->lock);
    tell_owed(x);
    int status = outlet_send(&x->client, out, data, bytes, done, arg);
    if (!status) x->results++;
    pthread_mutex_unlock(&x->lock);
    if (status && done) done(arg, status);
}

uint64_t results_count(struct executor *x) {
    pthread_mutex_lock(&x->lock);
    uint64_t count = x->results;
    pthread_mutex_unlock(&x->lock);
    return count;
}

void results_retry(struct executor *x) {
    pthread_mutex_lock(&x->lock);
    outlet_retry(&x->client);
    pthread_mutex_unlock(&x->lock);
}

bool results_congested(struct executor *x) {
    pthread_mutex_lock(&x->lock);
    bool congested = !weft_list_empty(&x->client.outbox);
    pthread_mutex_unlock(&x->lock);
    return congested;
}

void results_drop(struct executor *x) {
    struct weft_list dropped;
    weft_list_init(&dropped);
    pthread_mutex_lock(&x->lock);
    outlet_shut(&x->client, &dropped);
    pthread_mutex_unlock(&x->lock);
    outlet_end(&dropped);
}

static void free_data(void *arg, int status) { free(arg); }

void results_reply(struct executor *x, uint64_t request, cl_int status, void *data, size_t bytes) {
    struct wire_out out;
    wire_begin(&out, REPLY, reply, .request = request, .status = (uint64_t)(int64_t)status);
    results_send(x, &out, data, bytes, data ? free_data : NULL, data);
}

/* How many results there will be when the next one was sent. Under the lock. */
static uint64_t count_with_next(const struct executor *x) {
    uint64_t count = x->results + 1;
    weft_list_for_each(it, &x->owed) count++;
    return count;
}

static void send_event(struct executor *x, const struct wire_out *out, bool more) {
    tell_owed(x);
    if (!(more ? outlet_send_more(&x->client, out) : outlet_send(&x->client, out, NULL, 0, NULL, NULL)))
        x->results++;
}

/* What others are told of the client's news counts this event, which follows at once, under the same lock: to
 * wake the client takes longer than anything else here. */
void results_event(struct executor *x, uint64_t event, cl_int status, const uint64_t *times,
                   struct teller *first, bool more) {
    struct wire_out out;
    wire_begin(&out, EVENT, event, .event = event, .status = (uint64_t)(int64_t)status);
    wire_add_array(&out, times, times ? 4 : 0);
    if (first) pthread_mutex_lock(&x->peers.lock);
    pthread_mutex_lock(&x->lock);
    struct teller *left = first ? far_tell_first(x, first, status, count_with_next(x)) : NULL;
    send_event(x, &out, more);
    pthread_mutex_unlock(&x->lock);
    if (first) pthread_mutex_unlock(&x->peers.lock);
    far_tell(x, left, status);
}

void results_not_kept(struct executor *x, uint64_t slot) {
    struct wire_out out;
    wire_begin(&out, NOT_KEPT, not_kept, .slot = slot);
    results_send(x, &out, NULL, 0, NULL, NULL);
}

void results_context_shares(struct executor *x, uint64_t context) {
    struct wire_out out;
    wire_begin(&out, CONTEXT_SHARES, context_shares, .context = context);
    results_send(x, &out, NULL, 0, NULL, NULL);
}

void results_place_free(struct executor *x, uint64_t place) {
    struct wire_out out;
    wire_begin(&out, PLACE_FREE, place_free, .place = place);
    results_send(x, &out, NULL, 0, NULL, NULL);
}

void results_queue_error(struct executor *x, uint64_t queue, cl_int status) {
    struct wire_out out;
    wire_begin(&out, QUEUE_ERROR, queue_error, .queue = queue, .status = (uint64_t)(int64_t)status);
    results_send(x, &out, NULL, 0, NULL, NULL);
}

void results_peer_down(struct executor *x, uint32_t number) {
    struct wire_out out;
    wire_begin(&out, PEER_DOWN, peer_down, .number = number);
    results_send(x, &out, NULL, 0, NULL, NULL);
}
