/* Outlet: see outlet.h. */
#include "opencl/executor/outlet.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct result {
    struct weft_list link;
    struct wire_out out;
    const void *data;
    size_t bytes;
    void *copy;
    results_done_fn *done;
    void *arg;
};

void outlet_init(struct outlet *o, uint16_t handler) {
    o->peer = NULL;
    o->handler = handler;
    weft_list_init(&o->outbox);
}

static int send_now(struct outlet *o, const struct wire_out *out, const void *data, size_t bytes,
                    results_done_fn *done, void *arg, bool more) {
    if (!o->peer) return WEFT_E_PEER_LOST;
    return ep_send(o->peer, &(struct ep_send){.handler = o->handler,
                                              .channel = WIRE_CHANNEL,
                                              .header = out->words,
                                              .header_bytes = out->word_count * 8,
                                              .data = data,
                                              .data_bytes = bytes,
                                              .copy = bytes && !done,
                                              .more = more,
                                              .answered = out->answered,
                                              .on_done = done,
                                              .arg = arg});
}

static int keep(struct outlet *o, const struct wire_out *out, const void *data, size_t bytes,
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
    weft_list_push_back(&o->outbox, &r->link);
    return 0;
}

static int send_or_keep(struct outlet *o, const struct wire_out *out, const void *data, size_t bytes,
                        results_done_fn *done, void *arg, bool more) {
    bool behind = !weft_list_empty(&o->outbox);
    int status = behind ? WEFT_E_LIMIT : send_now(o, out, data, bytes, done, arg, more);
    return status == WEFT_E_LIMIT ? keep(o, out, data, bytes, done, arg) : status;
}

int outlet_send(struct outlet *o, const struct wire_out *out, const void *data, size_t bytes,
                results_done_fn *done, void *arg) {
    return send_or_keep(o, out, data, bytes, done, arg, false);
}

int outlet_send_more(struct outlet *o, const struct wire_out *out) {
    return send_or_keep(o, out, NULL, 0, NULL, NULL, true);
}

void outlet_flush(struct outlet *o) {
    if (o->peer) ep_flush(o->peer);
}

void outlet_retry(struct outlet *o) {
    while (!weft_list_empty(&o->outbox)) {
        struct result *r = weft_list_entry(o->outbox.next, struct result, link);
        int status = send_now(o, &r->out, r->data, r->bytes, r->done, r->arg, false);
        if (status) break; /* a loss is told soon, and ends the rest */
        weft_list_remove(&r->link);
        free(r->copy);
        free(r);
    }
}

void outlet_shut(struct outlet *o, struct weft_list *dropped) {
    o->peer = NULL;
    weft_list_splice(dropped, &o->outbox);
}

void outlet_end(struct weft_list *dropped) {
    struct weft_list *it;
    while ((it = weft_list_pop_front(dropped))) {
        struct result *r = weft_list_entry(it, struct result, link);
        if (r->done) r->done(r->arg, WEFT_E_PEER_LOST);
        free(r->copy);
        free(r);
    }
}
