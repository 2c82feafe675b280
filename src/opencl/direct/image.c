/* Direct: images and samplers. */
#include "opencl/direct/internal.h"
#include "opencl/driver_image.h"

cl_int direct_create_image(struct backend *b, bk_ref context, const struct bk_image *image, bk_ref *out) {
    cl_int rc;
    *out =
        to_ref(driver_create_image(HANDLE(cl_context, context), image, HANDLE(cl_mem, image->parent), &rc));
    return rc;
}

cl_int direct_image_formats(struct backend *b, bk_ref context, cl_mem_flags flags, cl_mem_object_type type,
                            cl_image_format **out, cl_uint *count) {
    return driver_image_formats(HANDLE(cl_context, context), flags, type, out, count);
}

cl_int direct_create_sampler(struct backend *b, bk_ref context, const struct bk_sampler *sampler,
                             bk_ref *out) {
    cl_int rc;
    *out = to_ref(driver_create_sampler(HANDLE(cl_context, context), sampler, &rc));
    return rc;
}

/* ---- commands ---- */
static cl_int transfer(const cl_icd_dispatch *d, const struct bk_command *c, const struct direct_tail *t) {
    cl_mem mem = HANDLE(cl_mem, c->u.image.mem);
    if (c->op == BK_READ_IMAGE)
        return d->clEnqueueReadImage(t->queue, mem, c->blocking, c->u.image.origin, c->u.image.region,
                                     c->u.image.row_pitch, c->u.image.slice_pitch, c->u.image.host, t->count,
                                     t->waits, t->event);
    return d->clEnqueueWriteImage(t->queue, mem, c->blocking, c->u.image.origin, c->u.image.region,
                                  c->u.image.row_pitch, c->u.image.slice_pitch, c->u.image.host_src, t->count,
                                  t->waits, t->event);
}

static cl_int with_buffer(const cl_icd_dispatch *d, const struct bk_command *c, const struct direct_tail *t) {
    cl_mem image = HANDLE(cl_mem, c->u.image_buffer.image), buffer = HANDLE(cl_mem, c->u.image_buffer.buffer);
    if (c->op == BK_COPY_IMAGE_TO_BUFFER)
        return d->clEnqueueCopyImageToBuffer(t->queue, image, buffer, c->u.image_buffer.origin,
                                             c->u.image_buffer.region, c->u.image_buffer.offset, t->count,
                                             t->waits, t->event);
    return d->clEnqueueCopyBufferToImage(t->queue, buffer, image, c->u.image_buffer.offset,
                                         c->u.image_buffer.origin, c->u.image_buffer.region, t->count,
                                         t->waits, t->event);
}

static cl_int map(const cl_icd_dispatch *d, const struct bk_command *c, const struct direct_tail *t) {
    cl_int rc = CL_MAP_FAILURE;
    *c->u.map_image.out =
        d->clEnqueueMapImage(t->queue, HANDLE(cl_mem, c->u.map_image.mem), c->blocking, c->u.map_image.flags,
                             c->u.map_image.origin, c->u.map_image.region, c->u.map_image.row_pitch,
                             c->u.map_image.slice_pitch, t->count, t->waits, t->event, &rc);
    return rc;
}

cl_int direct_image_command(const cl_icd_dispatch *d, const struct bk_command *c,
                            const struct direct_tail *t) {
    switch (c->op) {
    case BK_READ_IMAGE:
    case BK_WRITE_IMAGE: return transfer(d, c, t);
    case BK_COPY_IMAGE:
        return d->clEnqueueCopyImage(t->queue, HANDLE(cl_mem, c->u.copy_image.src),
                                     HANDLE(cl_mem, c->u.copy_image.dst), c->u.copy_image.src_origin,
                                     c->u.copy_image.dst_origin, c->u.copy_image.region, t->count, t->waits,
                                     t->event);
    case BK_FILL_IMAGE:
        if (!d->clEnqueueFillImage) return CL_INVALID_OPERATION;
        return d->clEnqueueFillImage(t->queue, HANDLE(cl_mem, c->u.fill_image.mem), c->u.fill_image.color,
                                     c->u.fill_image.origin, c->u.fill_image.region, t->count, t->waits,
                                     t->event);
    case BK_COPY_IMAGE_TO_BUFFER:
    case BK_COPY_BUFFER_TO_IMAGE: return with_buffer(d, c, t);
    case BK_MAP_IMAGE: return map(d, c, t);
    default: return CL_INVALID_OPERATION;
    }
}
