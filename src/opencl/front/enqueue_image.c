/* Enqueue: transfers, copies and fills of images. */
#include "opencl/front/command.h"
#include "opencl/front/entries.h"
#include "opencl/front/image.h"

/* The rest of an enqueue call's arguments. */
struct tail {
    cl_uint waits;
    const cl_event *wait_list;
    cl_event *event;
};

static struct command command_of(struct queue *q, cl_command_type type, const struct tail *t) {
    return (struct command){
        .queue = q, .type = type, .wait_count = t->waits, .wait_list = t->wait_list, .event = t->event};
}

static void put3(size_t to[3], const size_t *from) { memcpy(to, from, 3 * sizeof *to); }

/* ---- reading and writing ---- */
/* Fills zero pitches and checks the given ones, as the type of image has them. */
static cl_int fix_pitches(const struct image *i, const size_t *region, size_t *row, size_t *slice) {
    bool layers = i->desc.image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY, sliced = i->slice != 0;
    size_t least = region[0] * i->element_bytes, plane; /* inside the image: cannot overflow */
    if (!*row) *row = least;
    if (*row < least || (*slice && !layers && !sliced)) return CL_INVALID_VALUE;
    if (__builtin_mul_overflow(*row, layers ? 1 : region[1], &plane)) return CL_INVALID_VALUE;
    if (*slice && *slice < plane) return CL_INVALID_VALUE;
    if (!*slice && (layers || sliced)) *slice = plane;
    if (layers) *row = *slice;
    return CL_SUCCESS;
}

static cl_int transfer(bool read, cl_command_queue queue, cl_mem image, cl_bool blocking,
                       const size_t *origin, const size_t *region, size_t row, size_t slice, void *host,
                       struct tail t) {
    struct queue *q = queue_from(queue);
    struct mem *m;
    bk_ref part;
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    cl_int rc = command_image(q, image, &m);
    if (rc == CL_SUCCESS) rc = command_check(q, t.waits, t.wait_list);
    if (rc != CL_SUCCESS) return rc;
    if (!host || !image_has(m->image, origin, region)) return CL_INVALID_VALUE;
    rc = fix_pitches(m->image, region, &row, &slice);
    if (rc == CL_SUCCESS) rc = command_host_access(m, read);
    if (rc == CL_SUCCESS) rc = command_alignment(q, m);
    if (rc == CL_SUCCESS) rc = mem_part_ref(m, q->slot, &part);
    if (rc != CL_SUCCESS) return rc;
    struct mem_use use = {.mem = m, .writes = !read, .overwrites = !read && image_is_whole(m->image, region)};
    struct command c = command_of(q, read ? CL_COMMAND_READ_IMAGE : CL_COMMAND_WRITE_IMAGE, &t);
    c.uses = &use;
    c.use_count = 1;
    c.bk.blocking = blocking;
    image_transfer(&c.bk, m, part, read, origin, region, host);
    c.bk.u.image.row_pitch = row;
    c.bk.u.image.slice_pitch = slice;
    return command_run(&c);
}

cl_int weft_clEnqueueReadImage(cl_command_queue queue, cl_mem image, cl_bool blocking, const size_t *origin,
                               const size_t *region, size_t row_pitch, size_t slice_pitch, void *ptr,
                               cl_uint waits, const cl_event *wait_list, cl_event *event) {
    return transfer(true, queue, image, blocking, origin, region, row_pitch, slice_pitch, ptr,
                    (struct tail){waits, wait_list, event});
}

cl_int weft_clEnqueueWriteImage(cl_command_queue queue, cl_mem image, cl_bool blocking, const size_t *origin,
                                const size_t *region, size_t row_pitch, size_t slice_pitch, const void *ptr,
                                cl_uint waits, const cl_event *wait_list, cl_event *event) {
    return transfer(false, queue, image, blocking, origin, region, row_pitch, slice_pitch, (void *)ptr,
                    (struct tail){waits, wait_list, event});
}

/* ---- images to images ---- */
static bool boxes_overlap(const size_t *a, const size_t *b, const size_t *region) {
    for (int d = 0; d < 3; d++)
        if (a[d] >= b[d] + region[d] || b[d] >= a[d] + region[d]) return false;
    return true;
}

static cl_int check_copy(const struct mem *s, const struct mem *d, const size_t *from, const size_t *to,
                         const size_t *region) {
    if (memcmp(&s->image->format, &d->image->format, sizeof s->image->format))
        return CL_IMAGE_FORMAT_MISMATCH;
    if (!image_has(s->image, from, region) || !image_has(d->image, to, region)) return CL_INVALID_VALUE;
    return s == d && boxes_overlap(from, to, region) ? CL_MEM_COPY_OVERLAP : CL_SUCCESS;
}

cl_int weft_clEnqueueCopyImage(cl_command_queue queue, cl_mem src, cl_mem dst, const size_t *src_origin,
                               const size_t *dst_origin, const size_t *region, cl_uint waits,
                               const cl_event *wait_list, cl_event *event) {
    struct queue *q = queue_from(queue);
    struct tail t = {waits, wait_list, event};
    struct mem *s, *d;
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    cl_int rc = command_image(q, src, &s);
    if (rc == CL_SUCCESS) rc = command_image(q, dst, &d);
    if (rc == CL_SUCCESS) rc = command_check(q, waits, wait_list);
    if (rc == CL_SUCCESS) rc = check_copy(s, d, src_origin, dst_origin, region);
    if (rc == CL_SUCCESS) rc = command_alignment(q, s);
    if (rc == CL_SUCCESS) rc = command_alignment(q, d);
    if (rc != CL_SUCCESS) return rc;
    struct mem_use uses[2] = {{.mem = s}, {.mem = d, .writes = true, .overwrites = image_is_whole(d->image, region)}};
    struct command c = command_of(q, CL_COMMAND_COPY_IMAGE, &t);
    c.uses = uses;
    c.use_count = 2;
    c.bk.op = BK_COPY_IMAGE;
    put3(c.bk.u.copy_image.src_origin, src_origin);
    put3(c.bk.u.copy_image.dst_origin, dst_origin);
    put3(c.bk.u.copy_image.region, region);
    rc = mem_part_ref(s, q->slot, &c.bk.u.copy_image.src);
    if (rc == CL_SUCCESS) rc = mem_part_ref(d, q->slot, &c.bk.u.copy_image.dst);
    return rc == CL_SUCCESS ? command_run(&c) : rc;
}

/* ---- images and buffers ---- */
/* The region's bytes, packed: no more than the image has. */
static size_t packed(const struct image *i, const size_t *region) {
    return i->element_bytes * region[0] * region[1] * region[2];
}

static bool buffer_has(const struct mem *buffer, size_t offset, size_t bytes) {
    return offset <= buffer->size && bytes <= buffer->size - offset;
}

static cl_int copy_with_buffer(enum bk_op op, cl_command_queue queue, cl_mem image, cl_mem buffer,
                               const size_t *origin, const size_t *region, size_t offset, struct tail t) {
    struct queue *q = queue_from(queue);
    struct mem *i, *b;
    bool to_image = op == BK_COPY_BUFFER_TO_IMAGE;
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    cl_int rc = command_image(q, image, &i);
    if (rc == CL_SUCCESS) rc = command_buffer(q, buffer, &b);
    if (rc == CL_SUCCESS) rc = command_check(q, t.waits, t.wait_list);
    if (rc != CL_SUCCESS) return rc;
    if (!image_has(i->image, origin, region) || !buffer_has(b, offset, packed(i->image, region)))
        return CL_INVALID_VALUE;
    rc = command_alignment(q, i);
    if (rc == CL_SUCCESS) rc = command_alignment(q, b);
    if (rc != CL_SUCCESS) return rc;
    struct mem_use uses[2] = {{.mem = i, .writes = to_image, .overwrites = to_image && image_is_whole(i->image, region)},
                              {.mem = b,
                               .offset = offset,
                               .size = packed(i->image, region),
                               .writes = !to_image,
                               .overwrites = !to_image}};
    struct command c =
        command_of(q, to_image ? CL_COMMAND_COPY_BUFFER_TO_IMAGE : CL_COMMAND_COPY_IMAGE_TO_BUFFER, &t);
    c.uses = uses;
    c.use_count = 2;
    c.bk.op = op;
    put3(c.bk.u.image_buffer.origin, origin);
    put3(c.bk.u.image_buffer.region, region);
    c.bk.u.image_buffer.offset = offset;
    rc = mem_part_ref(i, q->slot, &c.bk.u.image_buffer.image);
    if (rc == CL_SUCCESS) rc = mem_part_ref(b, q->slot, &c.bk.u.image_buffer.buffer);
    return rc == CL_SUCCESS ? command_run(&c) : rc;
}

cl_int weft_clEnqueueCopyImageToBuffer(cl_command_queue queue, cl_mem image, cl_mem buffer,
                                       const size_t *origin, const size_t *region, size_t offset,
                                       cl_uint waits, const cl_event *wait_list, cl_event *event) {
    return copy_with_buffer(BK_COPY_IMAGE_TO_BUFFER, queue, image, buffer, origin, region, offset,
                            (struct tail){waits, wait_list, event});
}

cl_int weft_clEnqueueCopyBufferToImage(cl_command_queue queue, cl_mem buffer, cl_mem image, size_t offset,
                                       const size_t *origin, const size_t *region, cl_uint waits,
                                       const cl_event *wait_list, cl_event *event) {
    return copy_with_buffer(BK_COPY_BUFFER_TO_IMAGE, queue, image, buffer, origin, region, offset,
                            (struct tail){waits, wait_list, event});
}

/* ---- fills ---- */
cl_int weft_clEnqueueFillImage(cl_command_queue queue, cl_mem image, const void *color, const size_t *origin,
                               const size_t *region, cl_uint waits, const cl_event *wait_list,
                               cl_event *event) {
    struct queue *q = queue_from(queue);
    struct tail t = {waits, wait_list, event};
    struct mem *m;
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    cl_int rc = command_image(q, image, &m);
    if (rc == CL_SUCCESS) rc = command_check(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    if (!color || !image_has(m->image, origin, region)) return CL_INVALID_VALUE;
    if ((rc = command_alignment(q, m)) != CL_SUCCESS) return rc;
    struct mem_use use = {.mem = m, .writes = true, .overwrites = image_is_whole(m->image, region)};
    struct command c = command_of(q, CL_COMMAND_FILL_IMAGE, &t);
    c.uses = &use;
    c.use_count = 1;
    c.bk.op = BK_FILL_IMAGE;
    put3(c.bk.u.fill_image.origin, origin);
    put3(c.bk.u.fill_image.region, region);
    bool depth = m->image->format.image_channel_order == CL_DEPTH; /* a single float */
    memcpy(c.bk.u.fill_image.color, color, depth ? sizeof(cl_float) : sizeof c.bk.u.fill_image.color);
    rc = mem_part_ref(m, q->slot, &c.bk.u.fill_image.mem);
    return rc == CL_SUCCESS ? command_run(&c) : rc;
}
