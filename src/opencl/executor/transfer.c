/* Executor: reads and writes. Data passes through staging memory: the endpoint fills or empties it while the
 * driver works, and no handler waits for either. A write whose data is still on its way is enqueued at once
 * behind a gate, a user event that is set when the data has come: the driver keeps the order of the queue,
 * and other queues go on. */
#include <string.h>

#include "opencl/executor/internal.h"

#define WAITS c->wait_count, c->wait_count ? c->waits : NULL

struct staging *transfer_data(struct call *c) {
    struct staging *s = c->staging;
    c->staging = NULL;
    if (s) return s;
    s = staging_get(&c->x->staging, c->data_bytes);
    if (s && c->data_bytes) memcpy(s->mem, c->data, c->data_bytes);
    return s;
}

cl_int transfer_write_began(struct call *c, cl_int err, cl_event event, struct staging *s, size_t bytes) {
    if (err)
        c->staging = s;
    else
        enqueue_track(c, event, COMPLETION_FREE, s, bytes);
    return err;
}

cl_int transfer_read_began(struct call *c, cl_int err, cl_event event, struct staging *s, size_t bytes) {
    if (err)
        staging_put(s);
    else
        enqueue_track(c, event, COMPLETION_READ, s, bytes);
    return err;
}

static bool outside(const struct object *mem, uint64_t offset, uint64_t size) {
    return offset > mem->size || size > mem->size - offset;
}

cl_int enqueue_write(struct call *c, size_t offset, struct staging *s, size_t size) {
    struct object *mem = c->object[3];
    cl_command_queue q = c->object[1]->handle;
    if (!size || outside(mem, offset, size)) return CL_INVALID_VALUE;
    cl_event event, *out = enqueue_event(c, &event, true);
    cl_int err = DRIVER(q)->clEnqueueWriteBuffer(q, mem->handle, CL_FALSE, offset, size, s->mem, WAITS, out);
    if (!err) enqueue_track(c, event, COMPLETION_FREE, s, size);
    return err;
}

cl_int carry_out_write(struct call *c) {
    struct staging *s = transfer_data(c);
    if (!s) return CL_OUT_OF_HOST_MEMORY;
    kept_put(c->x, c->in->write.keep, s, c->data_bytes, c->gate);
    cl_int err = enqueue_write(c, c->in->write.offset, s, c->data_bytes);
    if (err) c->staging = s;
    return err;
}

cl_int carry_out_read(struct call *c) {
    struct object *mem = c->object[3];
    cl_command_queue q = c->object[1]->handle;
    size_t offset = c->in->read.offset, size = c->in->read.size;
    if (!c->in->read.event || !size || outside(mem, offset, size)) return CL_INVALID_VALUE;
    struct staging *s = staging_get(&c->x->staging, size);
    if (!s) return CL_OUT_OF_HOST_MEMORY;
    cl_event event, *out = enqueue_event(c, &event, true);
    cl_int err = DRIVER(q)->clEnqueueReadBuffer(q, mem->handle, CL_FALSE, offset, size, s->mem, WAITS, out);
    return transfer_read_began(c, err, event, s, size);
}

/* A region of a buffer against packed staging memory. */
struct packed_rect {
    size_t buffer_origin[3], zero[3], region[3], buffer_row, buffer_slice, row, slice, bytes;
};

static cl_int take_rect(struct call *c, struct packed_rect *r) {
    if (c->in->count[0] != 8) return CL_INVALID_VALUE;
    const uint64_t *a = c->in->array[0];
    *r = (struct packed_rect){.buffer_origin = {a[0], a[1], a[2]},
                              .region = {a[3], a[4], a[5]},
                              .buffer_row = a[6],
                              .buffer_slice = a[7],
                              .row = a[3]};
    if (__builtin_mul_overflow(a[3], a[4], &r->slice) || __builtin_mul_overflow(r->slice, a[5], &r->bytes)) {
        return CL_INVALID_VALUE;
    }
    return r->bytes && r->bytes <= c->object[3]->size ? CL_SUCCESS : CL_INVALID_VALUE;
}

cl_int carry_out_write_rect(struct call *c) {
    struct packed_rect r;
    cl_int err = take_rect(c, &r);
    cl_command_queue q = c->object[1]->handle;
    if (!err && (r.bytes != c->data_bytes || !DRIVER(q)->clEnqueueWriteBufferRect)) err = CL_INVALID_VALUE;
    if (err) return err;
    struct staging *s = transfer_data(c);
    if (!s) return CL_OUT_OF_HOST_MEMORY;
    cl_event event, *out = enqueue_event(c, &event, true);
    err = DRIVER(q)->clEnqueueWriteBufferRect(q, c->object[3]->handle, CL_FALSE, r.buffer_origin, r.zero,
                                              r.region, r.buffer_row, r.buffer_slice, r.row, r.slice, s->mem,
                                              WAITS, out);
    return transfer_write_began(c, err, event, s, r.bytes);
}

cl_int carry_out_read_rect(struct call *c) {
    struct packed_rect r;
    cl_int err = take_rect(c, &r);
    cl_command_queue q = c->object[1]->handle;
    if (!err && (!c->in->read_rect.event || !DRIVER(q)->clEnqueueReadBufferRect)) err = CL_INVALID_VALUE;
    if (err) return err;
    struct staging *s = staging_get(&c->x->staging, r.bytes);
    if (!s) return CL_OUT_OF_HOST_MEMORY;
    cl_event event, *out = enqueue_event(c, &event, true);
    err = DRIVER(q)->clEnqueueReadBufferRect(q, c->object[3]->handle, CL_FALSE, r.buffer_origin, r.zero,
                                             r.region, r.buffer_row, r.buffer_slice, r.row, r.slice, s->mem,
                                             WAITS, out);
    return transfer_read_began(c, err, event, s, r.bytes);
}
