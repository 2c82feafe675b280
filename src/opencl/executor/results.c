/* Executor: results on their way back. What the endpoint has no room for waits in the outbox, in order. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "opencl/executor/internal.h"

struct result {
    struct weft_list link;
    struct wire_out out;
    const void *data;
    size_t bytes;
    void *copy;
    results_done_fn *done;
    void *arg;
};

/* Under the lock. */
static int send_now(struct executor *x, const struct wire_out *out, const void *data, size_t bytes,
                    results_done_fn *done, void *arg) {
    if (!x->peer) return WEFT_E_PEER_LOST;
    return ep_send(x->peer, &(struct ep_send){.handler = WIRE_HANDLER_RESULT,
                                              .channel = WIRE_CHANNEL,
                                              .header = out->words,
                                              .header_bytes = out->word_count * 8,
                                              .data = data,
                                              .data_bytes = bytes,
                                              .copy = bytes && !done,
                                              .on_done = done,
                                              .arg = arg});
}

/* Under the lock. */
static int keep(struct executor *x, const struct wire_out *out, const void *data, size_t bytes,
                results_done_fn *done, void *arg) {
    struct result *r = calloc(1, sizeof *r);
    if (!r) return WEFT_E_NOMEM;
    r->out = *out;
    r->data = data;
    r->bytes = bytes;
    r->done = done;
    r->arg = arg;
    if (bytes && !done) {
        r->copy = malloc(bytes);
        if (!r->copy) {
            free(r);
            return WEFT_E_NOMEM;
        }
        r->data = memcpy(r->copy, data, bytes);
    }
    weft_list_push_back(&x->outbox, &r->link);
    return 0;
}

void results_send(struct executor *x, const struct wire_out *out, const void *data, size_t bytes,
                  results_done_fn *done, void *arg) {
    pthread_mutex_lock(&x->lock);
    bool behind = !weft_list_empty(&x->outbox);
    int status = behind ? WEFT_E_LIMIT : send_now(x, out, data, bytes, done, arg);
    if (status == WEFT_E_LIMIT) status = keep(x, out, data, bytes, done, arg);
    pthread_mutex_unlock(&x->lock);
    if (status && done) done(arg, status);
}

void results_retry(struct executor *x) {
    pthread_mutex_lock(&x->lock);
    while (!weft_list_empty(&x->outbox)) {
        struct result *r = weft_list_entry(x->outbox.next, struct result, link);
        int status = send_now(x, &r->out, r->data, r->bytes, r->done, r->arg);
        if (status == WEFT_E_LIMIT) break;
        weft_list_remove(&r->link);
        if (status && r->done) r->done(r->arg, status);
        free(r->copy);
        free(r);
    }
    pthread_mutex_unlock(&x->lock);
}

bool results_congested(struct executor *x) {
    pthread_mutex_lock(&x->lock);
    bool congested = !weft_list_empty(&x->outbox);
    pthread_mutex_unlock(&x->lock);
    return congested;
}

void results_drop(struct executor *x) {
    struct weft_list dropped;
    weft_list_init(&dropped);
    pthread_mutex_lock(&x->lock);
    x->peer = NULL;
    weft_list_splice(&dropped, &x->outbox);
    pthread_mutex_unlock(&x->lock);
    struct weft_list *it;
    while ((it = weft_list_pop_front(&dropped))) {
        struct result *r = weft_list_entry(it, struct result, link);
        if (r->done) r->done(r->arg, WEFT_E_PEER_LOST);
        free(r->copy);
        free(r);
    }
}

static void free_data(void *arg, int status) { free(arg); }

void results_reply(struct executor *x, uint64_t request, cl_int status, void *data, size_t bytes) {
    struct wire_out out;
    wire_begin(&out, REPLY, reply, .request = request, .status = (uint64_t)(int64_t)status);
    results_send(x, &out, data, bytes, data ? free_data : NULL, data);
}

void results_event(struct executor *x, uint64_t event, cl_int status, const uint64_t *times) {
    struct wire_out out;
    wire_begin(&out, EVENT, event, .event = event, .status = (uint64_t)(int64_t)status);
    wire_add_array(&out, times, times ? 4 : 0);
    results_send(x, &out, NULL, 0, NULL, NULL);
}

void results_not_kept(struct executor *x, uint64_t slot) {
    struct wire_out out;
    wire_begin(&out, NOT_KEPT, not_kept, .slot = slot);
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
