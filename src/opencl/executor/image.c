/* Executor: images and samplers. The sizes of an image are kept with its object, as the driver has them, so
 * that what a transfer moves can be checked against staging memory before the driver sees it. */
#include <stdlib.h>

#include "opencl/driver_image.h"
#include "opencl/executor/internal.h"

#define WAITS c->wait_count, c->wait_count ? c->waits : NULL

/* ---- creation ---- */
enum {
    DESC_ORDER,
    DESC_TYPE,
    DESC_IMAGE,
    DESC_WIDTH,
    DESC_HEIGHT,
    DESC_DEPTH,
    DESC_ARRAY,
    DESC_ROW,
    DESC_WORDS
};

/* What the client wants; CL_INVALID_VALUE: no such description. */
static cl_int take_desc(struct call *c, struct bk_image *i) {
    const uint64_t *w = c->in->array[0];
    if (c->in->count[0] != DESC_WORDS) return CL_INVALID_VALUE;
    if (w[DESC_ORDER] > UINT32_MAX || w[DESC_TYPE] > UINT32_MAX || w[DESC_IMAGE] > UINT32_MAX)
        return CL_INVALID_VALUE;
    *i = (struct bk_image){
        /* These need the client's memory here: its contents come by a write. */
        .flags = c->in->create_image.flags & ~(cl_mem_flags)(CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR),
        .format = {(cl_channel_order)w[DESC_ORDER], (cl_channel_type)w[DESC_TYPE]},
        .desc = {.image_type = (cl_mem_object_type)w[DESC_IMAGE],
                 .image_width = w[DESC_WIDTH],
                 .image_height = w[DESC_HEIGHT],
                 .image_depth = w[DESC_DEPTH],
                 .image_array_size = w[DESC_ARRAY],
                 .image_row_pitch = c->object[2] ? w[DESC_ROW] : 0}};
    return CL_SUCCESS;
}

/* By the type; the driver looks at no other dimensions. False: no such type. */
static bool set_extent(struct object *o, const cl_image_desc *d) {
    size_t second = 1, third = 1;
    switch (d->image_type) {
    case CL_MEM_OBJECT_IMAGE1D:
    case CL_MEM_OBJECT_IMAGE1D_BUFFER: break;
    case CL_MEM_OBJECT_IMAGE1D_ARRAY: second = d->image_array_size; break;
    case CL_MEM_OBJECT_IMAGE2D: second = d->image_height; break;
    case CL_MEM_OBJECT_IMAGE2D_ARRAY: second = d->image_height, third = d->image_array_size; break;
    case CL_MEM_OBJECT_IMAGE3D: second = d->image_height, third = d->image_depth; break;
    default: return false;
    }
    o->extent[0] = d->image_width;
    o->extent[1] = second;
    o->extent[2] = third;
    return true;
}

/* Bytes of a box; 0: none, or more than there can be. */
static size_t box_bytes(const struct object *o, const size_t region[3]) {
    size_t bytes = o->element_bytes;
    for (int i = 0; i < 3; i++)
        if (__builtin_mul_overflow(bytes, region[i], &bytes)) return 0;
    return bytes;
}

/* The image must not be larger than what it lies in, whatever the driver makes of it. */
static bool fits_parent(const struct object *o, const struct object *parent, const cl_image_desc *d) {
    size_t row = d->image_row_pitch, bytes;
    if (!parent || parent->image_type) return true;
    if (!row) row = o->extent[0] * o->element_bytes;
    return row >= o->extent[0] * o->element_bytes && !__builtin_mul_overflow(row, o->extent[1], &bytes) &&
           bytes <= parent->size;
}

cl_int carry_out_create_image(struct call *c) {
    struct object *o = c->object[0], *parent = c->object[2];
    struct context_info *info = c->object[1]->context;
    struct bk_image i;
    cl_int err = take_desc(c, &i);
    if (!err && !set_extent(o, &i.desc)) err = CL_INVALID_VALUE;
    if (!err && parent && parent->image_type == CL_MEM_OBJECT_PIPE) err = CL_INVALID_MEM_OBJECT;
    if (err) return err;
    cl_mem m = driver_create_image(info->context, &i, parent ? parent->handle : NULL, &err);
    if (!m) return err ? err : CL_OUT_OF_RESOURCES;
    DRIVER(m)->clGetImageInfo(m, CL_IMAGE_ELEMENT_SIZE, sizeof o->element_bytes, &o->element_bytes, NULL);
    if (!box_bytes(o, o->extent) || !fits_parent(o, parent, &i.desc)) {
        DRIVER(m)->clReleaseMemObject(m);
        return CL_INVALID_IMAGE_SIZE;
    }
    if (!parent && !quota_charge(info->quota, o, box_bytes(o, o->extent))) {
        DRIVER(m)->clReleaseMemObject(m);
        return CL_MEM_OBJECT_ALLOCATION_FAILURE;
    }
    o->image_type = i.desc.image_type;
    keep_handle(o, m, info);
    if (c->in->create_image.request) results_reply(c->x, c->in->create_image.request, CL_SUCCESS, NULL, 0);
    return CL_SUCCESS;
}

cl_int carry_out_image_formats(struct call *c) {
    const struct wire_image_formats *w = &c->in->image_formats;
    cl_image_format *list;
    cl_uint count;
    cl_int err =
        driver_image_formats(c->object[0]->handle, w->flags, (cl_mem_object_type)w->type, &list, &count);
    if (err) return err;
    results_reply(c->x, w->request, CL_SUCCESS, list, count * sizeof *list);
    return CL_SUCCESS;
}

cl_int carry_out_create_sampler(struct call *c) {
    const struct wire_create_sampler *w = &c->in->create_sampler;
    struct context_info *info = c->object[1]->context;
    const struct bk_sampler what = {(cl_bool)w->normalized, (cl_addressing_mode)w->addressing,
                                    (cl_filter_mode)w->filter};
    cl_int err;
    cl_sampler s = driver_create_sampler(info->context, &what, &err);
    if (!s) return err ? err : CL_OUT_OF_RESOURCES;
    keep_handle(c->object[0], s, info);
    return CL_SUCCESS;
}

/* ---- boxes ---- */
/* `at`: origin and region in the command's array. Inside the image, so that nothing overflows. */
static cl_int take_box(const struct object *o, const uint64_t *origin, const uint64_t *region,
                       struct box *b) {
    if (!o->image_type) return CL_INVALID_MEM_OBJECT;
    for (int i = 0; i < 3; i++) {
        if (!region[i] || origin[i] > o->extent[i] || region[i] > o->extent[i] - origin[i])
            return CL_INVALID_VALUE;
        b->origin[i] = origin[i];
        b->region[i] = region[i];
    }
    bool layers = o->image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY,
         sliced = o->image_type == CL_MEM_OBJECT_IMAGE3D || o->image_type == CL_MEM_OBJECT_IMAGE2D_ARRAY;
    b->bytes = box_bytes(o, b->region);
    b->row = b->region[0] * o->element_bytes;
    b->slice = sliced ? b->row * b->region[1] : layers ? b->row : 0;
    return CL_SUCCESS;
}

cl_int executor_take_box(struct call *c, struct box *b) {
    const uint64_t *a = c->in->array[0];
    return c->in->count[0] == 6 ? take_box(c->object[3], a, a + 3, b) : CL_INVALID_VALUE;
}

/* ---- commands ---- */
cl_int carry_out_write_image(struct call *c) {
    struct box b;
    cl_int err = executor_take_box(c, &b);
    cl_command_queue q = c->object[1]->handle;
    if (!err && b.bytes != c->data_bytes) err = CL_INVALID_VALUE;
    if (err) return err;
    struct staging *s = transfer_data(c);
    if (!s) return CL_OUT_OF_HOST_MEMORY;
    cl_event event, *out = enqueue_event(c, &event, true);
    err = DRIVER(q)->clEnqueueWriteImage(q, c->object[3]->handle, CL_FALSE, b.origin, b.region, b.row,
                                         b.slice, s->mem, WAITS, out);
    return transfer_write_began(c, err, event, s, b.bytes);
}

cl_int carry_out_read_image(struct call *c) {
    struct box b;
    cl_int err = executor_take_box(c, &b);
    cl_command_queue q = c->object[1]->handle;
    if (!err && !c->in->read_image.event) err = CL_INVALID_VALUE;
    if (err) return err;
    struct staging *s = staging_get(&c->x->staging, b.bytes);
    if (!s) return CL_OUT_OF_HOST_MEMORY;
    cl_event event, *out = enqueue_event(c, &event, true);
    err = DRIVER(q)->clEnqueueReadImage(q, c->object[3]->handle, CL_FALSE, b.origin, b.region, b.row, b.slice,
                                        s->mem, WAITS, out);
    return transfer_read_began(c, err, event, s, b.bytes);
}

/* After an enqueue of a command that needs nothing but its event. */
static cl_int enqueued(struct call *c, cl_int err, cl_event event) {
    if (!err) enqueue_track(c, event, COMPLETION_FREE, NULL, 0);
    return err;
}

cl_int carry_out_copy_image(struct call *c) {
    struct object *src = c->object[3], *dst = c->object[4];
    const uint64_t *a = c->in->array[0];
    struct box from, to;
    cl_int err = c->in->count[0] == 9 ? take_box(src, a, a + 6, &from) : CL_INVALID_VALUE;
    if (!err) err = take_box(dst, a + 3, a + 6, &to);
    if (!err && src->element_bytes != dst->element_bytes) err = CL_IMAGE_FORMAT_MISMATCH;
    if (err) return err;
    cl_command_queue q = c->object[1]->handle;
    cl_event event, *out = enqueue_event(c, &event, false);
    err = DRIVER(q)->clEnqueueCopyImage(q, src->handle, dst->handle, from.origin, to.origin, from.region,
                                        WAITS, out);
    return enqueued(c, err, event);
}

cl_int carry_out_fill_image(struct call *c) {
    const uint64_t *a = c->in->array[0];
    struct box b;
    cl_int err = c->in->count[0] == 8 ? take_box(c->object[3], a, a + 3, &b) : CL_INVALID_VALUE;
    cl_command_queue q = c->object[1]->handle;
    if (!err && !DRIVER(q)->clEnqueueFillImage) err = CL_INVALID_OPERATION;
    if (err) return err;
    cl_event event, *out = enqueue_event(c, &event, false);
    err = DRIVER(q)->clEnqueueFillImage(q, c->object[3]->handle, a + 6, b.origin, b.region, WAITS, out);
    return enqueued(c, err, event);
}

/* The image's box and as many bytes of the buffer. */
static cl_int take_both(struct call *c, uint64_t offset, struct box *b) {
    const struct object *buffer = c->object[4];
    cl_int err = executor_take_box(c, b);
    if (err) return err;
    if (buffer->image_type) return CL_INVALID_MEM_OBJECT;
    return offset > buffer->size || b->bytes > buffer->size - offset ? CL_INVALID_VALUE : CL_SUCCESS;
}

cl_int carry_out_copy_image_to_buffer(struct call *c) {
    struct box b;
    size_t offset = c->in->copy_image_to_buffer.offset;
    cl_command_queue q = c->object[1]->handle;
    cl_int err = take_both(c, offset, &b);
    if (err) return err;
    cl_event event, *out = enqueue_event(c, &event, false);
    err = DRIVER(q)->clEnqueueCopyImageToBuffer(q, c->object[3]->handle, c->object[4]->handle, b.origin,
                                                b.region, offset, WAITS, out);
    return enqueued(c, err, event);
}

cl_int carry_out_copy_buffer_to_image(struct call *c) {
    struct box b;
    size_t offset = c->in->copy_buffer_to_image.offset;
    cl_command_queue q = c->object[1]->handle;
    cl_int err = take_both(c, offset, &b);
    if (err) return err;
    cl_event event, *out = enqueue_event(c, &event, false);
    err = DRIVER(q)->clEnqueueCopyBufferToImage(q, c->object[4]->handle, c->object[3]->handle, offset,
                                                b.origin, b.region, WAITS, out);
    return enqueued(c, err, event);
}
