/* Executor: reads and writes. Data passes through staging memory: the endpoint fills or empties it while the
 * driver works, and no handler waits for either. A write whose data is still on its way is enqueued at once
 * behind a gate, a user event that is set when the data has come: the driver keeps the order of the queue,
 * and other queues go on. Where that can be (hosted.c) neither staging memory nor driver has a part in it. */
#include <string.h>

#include "base/copy.h"
#include "opencl/executor/internal.h"

#define WAITS c->wait_count, c->wait_count ? c->waits : NULL

struct staging *transfer_data(struct call *c) {
    struct staging *s = c->staging;
    c->staging = NULL;
    if (s) return s;
    s = staging_get(&c->x->staging, c->data_bytes);
    if (s && c->data_bytes) weft_copy(s->mem, c->data, c->data_bytes);
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

bool transfer_has_turn(const struct wire_in *in) {
    const uint64_t wanted = WIRE_TURN | WIRE_TRANSIENT | WIRE_NOTIFY;
    return in->call == WIRE_WRITE && (in->write.options & wanted) == wanted && in->write.event &&
           !in->write.keep;
}

/* The data is there, or comes, without the driver: into its place, or before its place was known. */
static bool write_at_once(struct call *c) {
    if (c->placed) return true;
    const struct wire_write *w = &c->in->write;
    bool turn = !c->gate && c->data && transfer_has_turn(c->in);
    char *at;
    struct memory *m = turn ? hosted_find(c->x, w->mem, w->offset, c->data_bytes, &at) : NULL;
    if (!m) return false;
    weft_copy(at, c->data, c->data_bytes);
    memory_put(m);
    return true;
}

cl_int carry_out_write(struct call *c) {
    c->accepted = write_at_once(c);
    if (c->accepted) return CL_SUCCESS;
    struct staging *s = transfer_data(c);
    if (!s) return CL_OUT_OF_HOST_MEMORY;
    kept_put(c->x, c->in->write.keep, s, c->data_bytes, c->gate);
    cl_int err = enqueue_write(c, c->in->write.offset, s, c->data_bytes);
    if (err) c->staging = s;
    return err;
}

static void put_memory(void *memory, int status) { memory_put(memory); }

/* Its turn has come, and the buffer is in this process's memory: it leaves from there. */
static bool read_at_once(struct call *c) {
    const struct wire_read *r = &c->in->read;
    bool turn = (r->options & WIRE_TURN) && (r->options & WIRE_TRANSIENT);
    char *at;
    struct memory *m = turn ? hosted_find(c->x, r->mem, r->offset, r->size, &at) : NULL;
    if (!m) return false;
    struct wire_out out;
    wire_begin(&out, READ_DATA, read_data, .event = r->event, .status = CL_COMPLETE);
    wire_add_array(&out, NULL, 0);
    out.answered = true; /* by the program's next command, which this one kept waiting */
    results_send(c->x, &out, at, r->size, put_memory, m);
    return true;
}

cl_int carry_out_read(struct call *c) {
    struct object *mem = c->object[3];
    cl_command_queue q = c->object[1]->handle;
    size_t offset = c->in->read.offset, size = c->in->read.size;
    if (!c->in->read.event || !size || outside(mem, offset, size)) return CL_INVALID_VALUE;
    if (read_at_once(c)) return CL_SUCCESS;
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
