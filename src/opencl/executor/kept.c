/* Executor: contents that the client had kept, and writes that bring them to a device once more. The client
 * hands out the slots and knows what is in them. Contents may still be on their way when they are written
 * again: then that write waits behind a gate of its own (its context may be another one). */
#include <stdlib.h>

#include "opencl/executor/internal.h"

struct follower {
    struct weft_list link;
    struct staging *data; /* held by the write */
    cl_event gate;
};

static bool is_slot(uint64_t slot) { return slot >= 1 && slot <= WIRE_KEPT_MAX; }

static void empty(struct kept *k) {
    staging_put(k->data);
    *k = (struct kept){0};
}

void kept_put(struct executor *x, uint64_t slot, struct staging *s, size_t bytes, bool arriving) {
    if (!is_slot(slot)) return;
    struct kept *k = &x->kept[slot - 1];
    staging_hold(s);
    staging_put(k->data);
    *k = (struct kept){.data = s, .bytes = bytes, .arriving = arriving};
}

void kept_forget(struct executor *x, uint64_t slot) {
    if (is_slot(slot)) empty(&x->kept[slot - 1]);
}

void kept_drop_all(struct executor *x) {
    for (size_t i = 0; i < WIRE_KEPT_MAX; i++) empty(&x->kept[i]);
}

cl_int carry_out_forget(struct call *c) {
    if (!is_slot(c->in->forget.slot)) return CL_INVALID_VALUE;
    kept_forget(c->x, c->in->forget.slot);
    return CL_SUCCESS;
}

void kept_arrived(struct executor *x, const struct staging *s, cl_int status) {
    for (size_t i = 0; i < WIRE_KEPT_MAX; i++) {
        struct kept *k = &x->kept[i];
        if (k->data != s || !k->arriving) continue;
        k->arriving = false;
        if (status < 0) empty(k);
    }
    struct weft_list *it = x->followers.next;
    while (it != &x->followers) {
        struct follower *f = weft_list_entry(it, struct follower, link);
        it = it->next;
        if (f->data != s) continue;
        weft_list_remove(&f->link);
        DRIVER(f->gate)->clSetUserEventStatus(f->gate, status);
        DRIVER(f->gate)->clReleaseEvent(f->gate);
        free(f);
    }
}

/* Without error the staging memory is the write's. */
static cl_int write_kept(struct call *c, const struct kept *k) {
    staging_hold(k->data);
    cl_int err = enqueue_write(c, c->in->write_kept.offset, k->data, k->bytes);
    if (err) staging_put(k->data);
    return err;
}

static cl_int follow(struct call *c, const struct kept *k) {
    struct follower *f = malloc(sizeof *f);
    cl_event gate = f ? executor_create_gate(c->object[1]->context->context) : NULL;
    cl_int err = gate ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
    if (gate) c->waits[c->wait_count++] = gate;
    if (!err) err = write_kept(c, k);
    if (!err) {
        *f = (struct follower){.data = k->data, .gate = gate};
        weft_list_push_back(&c->x->followers, &f->link);
        return CL_SUCCESS;
    }
    if (gate) DRIVER(gate)->clReleaseEvent(gate);
    free(f);
    return err;
}

cl_int carry_out_write_kept(struct call *c) {
    uint64_t slot = c->in->write_kept.slot;
    const struct kept *k = is_slot(slot) ? &c->x->kept[slot - 1] : NULL;
    if (!k || !k->data) return CL_OUT_OF_RESOURCES;
    return k->arriving ? follow(c, k) : write_kept(c, k);
}
