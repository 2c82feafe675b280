/* Remote: questions that the executor answers by a REPLY. */
#include <stdlib.h>

#include "opencl/remote/internal.h"

struct remote_request *remote_request_create(struct remote_node *n) {
    struct remote_request *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    pthread_mutex_lock(&n->lock);
    r->id = ++n->last_request;
    int err = weft_map_put(&n->requests, r->id, r);
    pthread_mutex_unlock(&n->lock);
    if (!err) return r;
    free(r);
    return NULL;
}

static struct remote_request *take(struct remote_node *n, uint64_t id) {
    pthread_mutex_lock(&n->lock);
    struct remote_request *r = weft_map_remove(&n->requests, id);
    if (r) r->result = n->results + 1;
    pthread_mutex_unlock(&n->lock);
    return r;
}

bool remote_request_known(struct remote_node *n, uint64_t id) {
    pthread_mutex_lock(&n->lock);
    bool known = weft_map_get(&n->requests, id);
    pthread_mutex_unlock(&n->lock);
    return known;
}

/* Out of the map: nobody else has it. */
static void answer(struct remote_request *r, cl_int status, void *data, size_t bytes) {
    r->status = status;
    r->data = data;
    r->bytes = bytes;
    if (!r->fn) {
        atomic_store(&r->done, true); /* whoever waits may free it from here on */
        return;
    }
    r->fn(r);
    free(r->data);
    free(r);
}

void remote_request_answer(struct remote_node *n, uint64_t id, cl_int status, void *data, size_t bytes) {
    struct remote_request *r = take(n, id);
    if (r)
        answer(r, status, data, bytes);
    else
        free(data);
}

void remote_requests_lost(struct remote_node *n) {
    for (;;) {
        size_t it = 0;
        uint64_t id;
        pthread_mutex_lock(&n->lock);
        struct remote_request *r = weft_map_next(&n->requests, &it, &id);
        if (r) weft_map_remove(&n->requests, id);
        pthread_mutex_unlock(&n->lock);
        if (!r) return;
        answer(r, CL_DEVICE_NOT_AVAILABLE, NULL, 0);
    }
}

static bool is_done(void *arg) { return atomic_load(&((struct remote_request *)arg)->done); }

/* Not sent, because the node is lost: its end may have come by the loss already. */
cl_int remote_request_wait(struct remote_node *n, struct remote_request *r, bool sent) {
    struct remote_request *mine = sent ? NULL : take(n, r->id);
    if (mine) return CL_OUT_OF_RESOURCES;
    ep_wait(n->hub->ep, is_done, r, WEFT_TIME_NEVER);
    return r->status;
}

void remote_request_drop(struct remote_node *n, struct remote_request *r) {
    free(r->data);
    free(r);
}
