/* Enqueue: rectangles of buffers. Row and slice pitches of 0 mean densely packed, and are filled in here. */
#include <string.h>

#include "opencl/front/command.h"
#include "opencl/front/entries.h"

struct layout {
    const size_t *origin;
    size_t row, slice;
};

/* Fills zero pitches and checks the given ones. */
static cl_int fix_pitches(struct layout *l, const size_t region[3]) {
    size_t packed;
    if (l->row == 0) l->row = region[0];
    if (l->row < region[0] || __builtin_mul_overflow(region[1], l->row, &packed)) return CL_INVALID_VALUE;
    if (l->slice == 0) l->slice = packed;
    return l->slice < packed || l->slice % l->row ? CL_INVALID_VALUE : CL_SUCCESS;
}

/* First byte of the region, and one past its last. False: they do not fit into a size_t. */
static bool extent(const struct layout *l, const size_t region[3], size_t *first, size_t *end) {
    size_t z, y, last_z, last_y;
    return !__builtin_mul_overflow(l->origin[2], l->slice, &z) &&
           !__builtin_mul_overflow(l->origin[1], l->row, &y) && !__builtin_add_overflow(z, y, first) &&
           !__builtin_add_overflow(*first, l->origin[0], first) &&
           !__builtin_mul_overflow(region[2] - 1, l->slice, &last_z) &&
           !__builtin_mul_overflow(region[1] - 1, l->row, &last_y) &&
           !__builtin_add_overflow(*first, last_z, end) && !__builtin_add_overflow(*end, last_y, end) &&
           !__builtin_add_overflow(*end, region[0], end);
}

/* The use of the buffer from the region's first byte to its last. */
static cl_int check_in_buffer(struct layout *l, const size_t region[3], struct mem_use *use) {
    size_t first, end;
    cl_int rc = fix_pitches(l, region);
    if (rc != CL_SUCCESS) return rc;
    if (!extent(l, region, &first, &end) || end > use->mem->size) return CL_INVALID_VALUE;
    use->offset = first;
    use->size = end - first;
    return CL_SUCCESS;
}

static bool region_valid(const size_t region[3]) { return region && region[0] && region[1] && region[2]; }

static cl_int rect(enum bk_op op, cl_command_queue queue, cl_mem mem, cl_bool blocking, struct layout buffer,
                   struct layout host, const size_t region[3], void *ptr, cl_uint waits,
                   const cl_event *wait_list, cl_event *event) {
    struct queue *q = queue_from(queue);
    struct mem *m;
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    bool read = op == BK_READ_RECT;
    cl_int rc = command_buffer(q, mem, &m);
    if (rc == CL_SUCCESS) rc = command_check(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    if (!ptr || !buffer.origin || !host.origin || !region_valid(region)) return CL_INVALID_VALUE;
    struct mem_use use = {.mem = m, .writes = !read};
    rc = check_in_buffer(&buffer, region, &use);
    if (rc == CL_SUCCESS) rc = fix_pitches(&host, region);
    if (rc != CL_SUCCESS) return rc;
    if ((rc = command_host_access(m, read)) != CL_SUCCESS) return rc;
    if ((rc = command_alignment(q, m)) != CL_SUCCESS) return rc;
    struct command c = {.queue = q,
                        .type = read ? CL_COMMAND_READ_BUFFER_RECT : CL_COMMAND_WRITE_BUFFER_RECT,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .uses = &use,
                        .use_count = 1,
                        .bk = {.op = op, .blocking = blocking}};
    memcpy(c.bk.u.rect.buffer_origin, buffer.origin, sizeof c.bk.u.rect.buffer_origin);
    memcpy(c.bk.u.rect.host_origin, host.origin, sizeof c.bk.u.rect.host_origin);
    memcpy(c.bk.u.rect.region, region, sizeof c.bk.u.rect.region);
    c.bk.u.rect.buffer_row_pitch = buffer.row;
    c.bk.u.rect.buffer_slice_pitch = buffer.slice;
    c.bk.u.rect.host_row_pitch = host.row;
    c.bk.u.rect.host_slice_pitch = host.slice;
    c.bk.u.rect.host = ptr;
    c.bk.u.rect.host_src = ptr;
    rc = mem_part_ref(m, q->slot, &c.bk.u.rect.mem);
    return rc == CL_SUCCESS ? command_run(&c) : rc;
}

cl_int weft_clEnqueueReadBufferRect(cl_command_queue queue, cl_mem mem, cl_bool blocking,
                                    const size_t *buffer_origin, const size_t *host_origin,
                                    const size_t *region, size_t buffer_row, size_t buffer_slice,
                                    size_t host_row, size_t host_slice, void *ptr, cl_uint waits,
                                    const cl_event *wait_list, cl_event *event) {
    return rect(BK_READ_RECT, queue, mem, blocking, (struct layout){buffer_origin, buffer_row, buffer_slice},
                (struct layout){host_origin, host_row, host_slice}, region, ptr, waits, wait_list, event);
}

cl_int weft_clEnqueueWriteBufferRect(cl_command_queue queue, cl_mem mem, cl_bool blocking,
                                     const size_t *buffer_origin, const size_t *host_origin,
                                     const size_t *region, size_t buffer_row, size_t buffer_slice,
                                     size_t host_row, size_t host_slice, const void *ptr, cl_uint waits,
                                     const cl_event *wait_list, cl_event *event) {
    return rect(BK_WRITE_RECT, queue, mem, blocking, (struct layout){buffer_origin, buffer_row, buffer_slice},
                (struct layout){host_origin, host_row, host_slice}, region, (void *)ptr, waits, wait_list,
                event);
}

static bool spans_meet(size_t a, size_t b, size_t length) { return a < b + length && b < a + length; }

/* Both of one buffer, with equal pitches: do the rectangles share a byte? First as boxes by their coordinates
 * (the pitches being equal, boxes apart are apart), unless a row wraps around into the next. */
static bool rects_overlap(const struct layout *s, const struct layout *d, const size_t region[3]) {
    bool apart = false;
    for (int i = 0; i < 3; i++) apart |= !spans_meet(s->origin[i], d->origin[i], region[i]);
    size_t s_first, s_end, d_first, d_end;
    if (!extent(s, region, &s_first, &s_end) || !extent(d, region, &d_first, &d_end)) return true;
    if (s_end <= d_first || d_end <= s_first) return false;
    bool wraps = s->origin[0] + region[0] > s->row || d->origin[0] + region[0] > d->row;
    return !apart || wraps;
}

static cl_int check_copy(struct mem_use uses[2], struct layout *src, struct layout *dst, const size_t region[3]) {
    if (!src->origin || !dst->origin || !region_valid(region)) return CL_INVALID_VALUE;
    cl_int rc = check_in_buffer(src, region, &uses[0]);
    if (rc == CL_SUCCESS) rc = check_in_buffer(dst, region, &uses[1]);
    if (rc != CL_SUCCESS || uses[0].mem != uses[1].mem) return rc;
    if (src->row != dst->row || src->slice != dst->slice) return CL_INVALID_VALUE;
    return rects_overlap(src, dst, region) ? CL_MEM_COPY_OVERLAP : CL_SUCCESS;
}

cl_int weft_clEnqueueCopyBufferRect(cl_command_queue queue, cl_mem src_mem, cl_mem dst_mem,
                                    const size_t *src_origin, const size_t *dst_origin, const size_t *region,
                                    size_t src_row, size_t src_slice, size_t dst_row, size_t dst_slice,
                                    cl_uint waits, const cl_event *wait_list, cl_event *event) {
    struct queue *q = queue_from(queue);
    struct mem *s, *d;
    struct layout src = {src_origin, src_row, src_slice}, dst = {dst_origin, dst_row, dst_slice};
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    cl_int rc = command_buffer(q, src_mem, &s);
    if (rc == CL_SUCCESS) rc = command_buffer(q, dst_mem, &d);
    if (rc == CL_SUCCESS) rc = command_check(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    struct mem_use uses[2] = {{.mem = s}, {.mem = d, .writes = true}};
    rc = check_copy(uses, &src, &dst, region);
    if (rc == CL_SUCCESS) rc = command_alignment(q, s);
    if (rc == CL_SUCCESS) rc = command_alignment(q, d);
    if (rc != CL_SUCCESS) return rc;
    struct command c = {.queue = q,
                        .type = CL_COMMAND_COPY_BUFFER_RECT,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .uses = uses,
                        .use_count = 2,
                        .bk = {.op = BK_COPY_RECT}};
    memcpy(c.bk.u.copy_rect.src_origin, src_origin, sizeof c.bk.u.copy_rect.src_origin);
    memcpy(c.bk.u.copy_rect.dst_origin, dst_origin, sizeof c.bk.u.copy_rect.dst_origin);
    memcpy(c.bk.u.copy_rect.region, region, sizeof c.bk.u.copy_rect.region);
    c.bk.u.copy_rect.src_row_pitch = src.row;
    c.bk.u.copy_rect.src_slice_pitch = src.slice;
    c.bk.u.copy_rect.dst_row_pitch = dst.row;
    c.bk.u.copy_rect.dst_slice_pitch = dst.slice;
    rc = mem_part_ref(s, q->slot, &c.bk.u.copy_rect.src);
    if (rc == CL_SUCCESS) rc = mem_part_ref(d, q->slot, &c.bk.u.copy_rect.dst);
    return rc == CL_SUCCESS ? command_run(&c) : rc;
}
