/* Enqueue: reading, writing, copying and filling buffers, in one piece. */
#include <string.h>

#include "opencl/front/command.h"
#include "opencl/front/entries.h"

static bool range_inside(const struct mem *m, size_t offset, size_t size) {
    return offset <= m->size && size <= m->size - offset;
}

static cl_int read_or_write(enum bk_op op, cl_command_queue queue, cl_mem mem, cl_bool blocking,
                            size_t offset, size_t size, void *host, cl_uint waits, const cl_event *wait_list,
                            cl_event *event) {
    struct queue *q = queue_from(queue);
    struct mem *m;
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    bool read = op == BK_READ;
    cl_int rc = command_buffer(q, mem, &m);
    if (rc == CL_SUCCESS) rc = command_check(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    if (!host || !range_inside(m, offset, size)) return CL_INVALID_VALUE;
    if ((rc = command_host_access(m, read)) != CL_SUCCESS) return rc;
    if ((rc = command_alignment(q, m)) != CL_SUCCESS) return rc;
    struct mem_use use = {.mem = m, .offset = offset, .size = size, .writes = !read, .overwrites = !read};
    struct command c = {.queue = q,
                        .type = read ? CL_COMMAND_READ_BUFFER : CL_COMMAND_WRITE_BUFFER,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .uses = &use,
                        .use_count = 1,
                        .bk = {.op = op, .blocking = blocking}};
    if (size == 0) return command_run_empty(&c);
    c.bk.u.rw.offset = offset;
    c.bk.u.rw.size = size;
    c.bk.u.rw.host = host;
    c.bk.u.rw.host_src = host;
    rc = mem_part_ref(m, q->slot, &c.bk.u.rw.mem);
    return rc == CL_SUCCESS ? command_run(&c) : rc;
}

cl_int weft_clEnqueueReadBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, size_t offset,
                                size_t size, void *ptr, cl_uint waits, const cl_event *wait_list,
                                cl_event *event) {
    return read_or_write(BK_READ, queue, mem, blocking, offset, size, ptr, waits, wait_list, event);
}

cl_int weft_clEnqueueWriteBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, size_t offset,
                                 size_t size, const void *ptr, cl_uint waits, const cl_event *wait_list,
                                 cl_event *event) {
    return read_or_write(BK_WRITE, queue, mem, blocking, offset, size, (void *)ptr, waits, wait_list, event);
}

/* Byte ranges of the same buffer, or of two sub-buffers of one. */
static bool copies_overlap(const struct mem *src, size_t src_offset, const struct mem *dst, size_t dst_offset,
                           size_t size) {
    if (mem_root((struct mem *)src) != mem_root((struct mem *)dst)) return false;
    size_t a = src->origin + src_offset, b = dst->origin + dst_offset;
    return a < b + size && b < a + size;
}

cl_int weft_clEnqueueCopyBuffer(cl_command_queue queue, cl_mem src, cl_mem dst, size_t src_offset,
                                size_t dst_offset, size_t size, cl_uint waits, const cl_event *wait_list,
                                cl_event *event) {
    struct queue *q = queue_from(queue);
    struct mem *s, *d;
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    cl_int rc = command_buffer(q, src, &s);
    if (rc == CL_SUCCESS) rc = command_buffer(q, dst, &d);
    if (rc == CL_SUCCESS) rc = command_check(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    if (!range_inside(s, src_offset, size) || !range_inside(d, dst_offset, size)) return CL_INVALID_VALUE;
    if (copies_overlap(s, src_offset, d, dst_offset, size)) return CL_MEM_COPY_OVERLAP;
    if ((rc = command_alignment(q, s)) != CL_SUCCESS || (rc = command_alignment(q, d)) != CL_SUCCESS)
        return rc;
    struct mem_use uses[2] = {{.mem = s, .offset = src_offset, .size = size},
                              {.mem = d, .offset = dst_offset, .size = size, .writes = true, .overwrites = true}};
    struct command c = {.queue = q,
                        .type = CL_COMMAND_COPY_BUFFER,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .uses = uses,
                        .use_count = 2,
                        .bk = {.op = BK_COPY}};
    if (size == 0) return command_run_empty(&c);
    c.bk.u.copy.src_offset = src_offset;
    c.bk.u.copy.dst_offset = dst_offset;
    c.bk.u.copy.size = size;
    rc = mem_part_ref(s, q->slot, &c.bk.u.copy.src);
    if (rc == CL_SUCCESS) rc = mem_part_ref(d, q->slot, &c.bk.u.copy.dst);
    return rc == CL_SUCCESS ? command_run(&c) : rc;
}

static bool pattern_valid(size_t n) { return n && n <= 128 && (n & (n - 1)) == 0; }

cl_int weft_clEnqueueFillBuffer(cl_command_queue queue, cl_mem mem, const void *pattern, size_t pattern_size,
                                size_t offset, size_t size, cl_uint waits, const cl_event *wait_list,
                                cl_event *event) {
    struct queue *q = queue_from(queue);
    struct mem *m;
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    cl_int rc = command_buffer(q, mem, &m);
    if (rc == CL_SUCCESS) rc = command_check(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    if (!pattern || !pattern_valid(pattern_size) || !range_inside(m, offset, size)) return CL_INVALID_VALUE;
    if (offset % pattern_size || size % pattern_size) return CL_INVALID_VALUE;
    if ((rc = command_alignment(q, m)) != CL_SUCCESS) return rc;
    struct mem_use use = {.mem = m, .offset = offset, .size = size, .writes = true, .overwrites = true};
    struct command c = {.queue = q,
                        .type = CL_COMMAND_FILL_BUFFER,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .uses = &use,
                        .use_count = 1,
                        .bk = {.op = BK_FILL}};
    if (size == 0) return command_run_empty(&c);
    c.bk.u.fill.pattern = pattern;
    c.bk.u.fill.pattern_size = pattern_size;
    c.bk.u.fill.offset = offset;
    c.bk.u.fill.size = size;
    rc = mem_part_ref(m, q->slot, &c.bk.u.fill.mem);
    return rc == CL_SUCCESS ? command_run(&c) : rc;
}
