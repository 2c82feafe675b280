/* Executor: contents that the client had kept, and writes that bring them to a device once more. The client
 * hands out the slots and knows what is in them. */
#include "opencl/executor/internal.h"

static bool is_slot(uint64_t slot) { return slot >= 1 && slot <= WIRE_KEPT_MAX; }

void kept_put(struct executor *x, uint64_t slot, struct staging *s, size_t bytes) {
    if (!is_slot(slot)) return;
    struct kept *k = &x->kept[slot - 1];
    staging_hold(s);
    staging_put(k->data);
    *k = (struct kept){.data = s, .bytes = bytes};
}

void kept_drop_all(struct executor *x) {
    for (size_t i = 0; i < WIRE_KEPT_MAX; i++) {
        staging_put(x->kept[i].data);
        x->kept[i].data = NULL;
    }
}

cl_int carry_out_forget(struct call *c) {
    if (!is_slot(c->in->forget.slot)) return CL_INVALID_VALUE;
    struct kept *k = &c->x->kept[c->in->forget.slot - 1];
    staging_put(k->data);
    *k = (struct kept){0};
    return CL_SUCCESS;
}

cl_int carry_out_write_kept(struct call *c) {
    const struct wire_write_kept *w = &c->in->write_kept;
    const struct kept *k = is_slot(w->slot) ? &c->x->kept[w->slot - 1] : NULL;
    if (!k || !k->data) return CL_OUT_OF_RESOURCES;
    staging_hold(k->data);
    cl_int err = enqueue_write(c, w->offset, k->data, k->bytes);
    if (err) staging_put(k->data);
    return err;
}
