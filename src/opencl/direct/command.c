/* Direct: commands. */
#include <string.h>

#include "opencl/direct/internal.h"
#include "opencl/direct/poison.h"

_Static_assert(sizeof(bk_ref) == sizeof(cl_event), "references are handles");

static cl_int transfer(const cl_icd_dispatch *d, const struct bk_command *c, const struct direct_tail *t) {
    cl_mem mem = HANDLE(cl_mem, c->u.rw.mem);
    if (c->op == BK_READ)
        return d->clEnqueueReadBuffer(t->queue, mem, c->blocking, c->u.rw.offset, c->u.rw.size, c->u.rw.host,
                                      t->count, t->waits, t->event);
    return d->clEnqueueWriteBuffer(t->queue, mem, c->blocking, c->u.rw.offset, c->u.rw.size, c->u.rw.host_src,
                                   t->count, t->waits, t->event);
}

static cl_int transfer_rect(const cl_icd_dispatch *d, const struct bk_command *c,
                            const struct direct_tail *t) {
    cl_mem mem = HANDLE(cl_mem, c->u.rect.mem);
    if (c->op == BK_READ_RECT)
        return d->clEnqueueReadBufferRect(
            t->queue, mem, c->blocking, c->u.rect.buffer_origin, c->u.rect.host_origin, c->u.rect.region,
            c->u.rect.buffer_row_pitch, c->u.rect.buffer_slice_pitch, c->u.rect.host_row_pitch,
            c->u.rect.host_slice_pitch, c->u.rect.host, t->count, t->waits, t->event);
    return d->clEnqueueWriteBufferRect(
        t->queue, mem, c->blocking, c->u.rect.buffer_origin, c->u.rect.host_origin, c->u.rect.region,
        c->u.rect.buffer_row_pitch, c->u.rect.buffer_slice_pitch, c->u.rect.host_row_pitch,
        c->u.rect.host_slice_pitch, c->u.rect.host_src, t->count, t->waits, t->event);
}

static cl_int copy(const cl_icd_dispatch *d, const struct bk_command *c, const struct direct_tail *t) {
    if (c->op == BK_COPY)
        return d->clEnqueueCopyBuffer(t->queue, HANDLE(cl_mem, c->u.copy.src), HANDLE(cl_mem, c->u.copy.dst),
                                      c->u.copy.src_offset, c->u.copy.dst_offset, c->u.copy.size, t->count,
                                      t->waits, t->event);
    return d->clEnqueueCopyBufferRect(
        t->queue, HANDLE(cl_mem, c->u.copy_rect.src), HANDLE(cl_mem, c->u.copy_rect.dst),
        c->u.copy_rect.src_origin, c->u.copy_rect.dst_origin, c->u.copy_rect.region,
        c->u.copy_rect.src_row_pitch, c->u.copy_rect.src_slice_pitch, c->u.copy_rect.dst_row_pitch,
        c->u.copy_rect.dst_slice_pitch, t->count, t->waits, t->event);
}

static cl_int ndrange(const cl_icd_dispatch *d, const struct bk_command *c, const struct direct_tail *t) {
    return d->clEnqueueNDRangeKernel(t->queue, HANDLE(cl_kernel, c->u.ndrange.kernel), c->u.ndrange.dims,
                                     c->u.ndrange.has_offset ? c->u.ndrange.offset : NULL,
                                     c->u.ndrange.global, c->u.ndrange.has_local ? c->u.ndrange.local : NULL,
                                     t->count, t->waits, t->event);
}

static cl_int map(const cl_icd_dispatch *d, const struct bk_command *c, const struct direct_tail *t) {
    cl_int rc = CL_MAP_FAILURE;
    *c->u.map.out = d->clEnqueueMapBuffer(t->queue, HANDLE(cl_mem, c->u.map.mem), c->blocking, c->u.map.flags,
                                          c->u.map.offset, c->u.map.size, t->count, t->waits, t->event, &rc);
    return rc;
}

/* Before OpenCL 1.2 a platform has markers and barriers without wait lists only; such drivers fill these
 * slots or are left with the error. */
static cl_int sync(const cl_icd_dispatch *d, const struct bk_command *c, const struct direct_tail *t) {
    if (c->op == BK_MARKER && d->clEnqueueMarkerWithWaitList)
        return d->clEnqueueMarkerWithWaitList(t->queue, t->count, t->waits, t->event);
    if (c->op == BK_BARRIER && d->clEnqueueBarrierWithWaitList)
        return d->clEnqueueBarrierWithWaitList(t->queue, t->count, t->waits, t->event);
    return CL_INVALID_OPERATION;
}

static cl_int give(struct backend *b, const struct bk_command *c, const struct direct_tail *t) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    switch (c->op) {
    case BK_NDRANGE: return ndrange(d, c, t);
    case BK_READ:
    case BK_WRITE: return transfer(d, c, t);
    case BK_READ_RECT:
    case BK_WRITE_RECT: return transfer_rect(d, c, t);
    case BK_COPY:
    case BK_COPY_RECT: return copy(d, c, t);
    case BK_FILL:
        return d->clEnqueueFillBuffer(t->queue, HANDLE(cl_mem, c->u.fill.mem), c->u.fill.pattern,
                                      c->u.fill.pattern_size, c->u.fill.offset, c->u.fill.size, t->count,
                                      t->waits, t->event);
    case BK_MARKER:
    case BK_BARRIER: return sync(d, c, t);
    case BK_MIGRATE:
        return d->clEnqueueMigrateMemObjects(t->queue, c->u.migrate.count, (const cl_mem *)c->u.migrate.mems,
                                             c->u.migrate.flags, t->count, t->waits, t->event);
    case BK_MAP: return map(d, c, t);
    case BK_UNMAP:
        return d->clEnqueueUnmapMemObject(t->queue, HANDLE(cl_mem, c->u.unmap.mem), c->u.unmap.ptr, t->count,
                                          t->waits, t->event);
    case BK_NATIVE: return direct_run_native(b, c, t->event);
    case BK_SVM_COPY:
    case BK_SVM_FILL:
    case BK_SVM_MAP:
    case BK_SVM_UNMAP:
    case BK_SVM_MIGRATE: return direct_run_svm(b, c, t->event);
    default: return direct_image_command(d, c, t);
    }
}

/* When two threads enqueue commands of one buffer at the same time, PoCL 3.1 gives one of the buffer's events
 * up once too often: it is gone, or another command's, while somebody has it. A marker is enough to cross one
 * of the two. So commands which others of weft's threads may cross are given to it one at a time; but for
 * blocking ones, which would keep the others from what they wait for. */
static cl_int run(struct backend *b, const struct bk_command *c, const struct direct_tail *t) {
    struct direct_backend *d = (struct direct_backend *)b;
    bool order = d->pocl && c->among_others && !c->blocking;
    if (order) pthread_mutex_lock(&d->order);
    cl_int rc = give(b, c, t);
    if (order) pthread_mutex_unlock(&d->order);
    return rc;
}

/* The command is enqueued: without memory to watch it, it is waited for, for its completion must come. */
static void notify(struct backend *b, const struct bk_command *c, cl_event e, bool marked) {
    if (direct_notify(b, e, marked, c->on_complete, c->arg) == CL_SUCCESS) return;
    c->on_complete(c->arg, direct_wait_event(b, to_ref(e)), (const cl_ulong[4]){0});
    if (marked) poison_forget(e);
}

cl_int direct_enqueue(struct backend *b, const struct bk_command *c, bk_ref *event) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    cl_event e = NULL;
    bool wants = c->want_event || c->on_complete;
    struct direct_tail t = {HANDLE(cl_command_queue, c->queue), c->wait_count,
                            c->wait_count ? (const cl_event *)c->waits : NULL, wants ? &e : NULL};
    struct mark *mark = NULL;
    cl_int rc = direct_is_pocl(b) ? poison_begin(c->wait_count, c->waits, &mark) : CL_SUCCESS;
    if (rc != CL_SUCCESS) return rc;
    rc = run(b, c, &t);
    cl_int failed = poison_bind(mark, e);
    if (rc == CL_SUCCESS && c->blocking && failed < 0) rc = failed;
    if (rc != CL_SUCCESS && e) {
        poison_forget(e);
        d->clReleaseEvent(e);
    }
    if (rc != CL_SUCCESS || !wants) return rc;
    if (c->want_event) *event = to_ref(e);
    if (c->on_complete) notify(b, c, e, mark && !c->want_event);
    if (!c->want_event) d->clReleaseEvent(e);
    return rc;
}
