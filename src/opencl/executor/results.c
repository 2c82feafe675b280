/* Executor: results on their way back. */
#include <stdlib.h>

#include "opencl/executor/internal.h"

void results_send(struct executor *x, const struct wire_out *out, const void *data, size_t bytes,
                  results_done_fn *done, void *arg) {
    pthread_mutex_lock(&x->lock);
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

void results_after(struct executor *x, uint32_t number, uint64_t results) {
    struct wire_out out;
    wire_begin(&out, AFTER, after, .number = number, .results = results);
    results_send(x, &out, NULL, 0, NULL, NULL);
}
