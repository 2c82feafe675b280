/* Enqueue: shared virtual memory. Local: the driver's commands. Remote: those of the buffer that an
 * allocation has there. */
#include <stdlib.h>
#include <string.h>

#include "opencl/front/callback.h"
#include "opencl/front/command.h"
#include "opencl/front/entries.h"
#include "opencl/front/svm.h"

#define WRITING (CL_MAP_WRITE | CL_MAP_WRITE_INVALIDATE_REGION)

static cl_int begin(struct queue *q, cl_uint waits, const cl_event *wait_list) {
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    if (q->context->tracked || !svm_capabilities(q->device)) return CL_INVALID_OPERATION;
    return command_check(q, waits, wait_list);
}

/* The allocation that has all of a range. */
static bool find_range(struct context *c, const void *ptr, size_t size, struct svm *out) {
    if (!svm_find(c, ptr, out)) return false;
    return size <= out->size - (size_t)((const unsigned char *)ptr - out->ptr);
}

static size_t offset_in(const struct svm *s, const void *ptr) {
    return (size_t)((const unsigned char *)ptr - s->ptr);
}

/* ---- Copies ---- */
/* One of them at least is the device's. */
static cl_int copy_remote(struct command *c, void *dst, const void *src, size_t size) {
    struct svm to, from;
    bool is_to = find_range(c->queue->context, dst, size, &to),
         is_from = find_range(c->queue->context, src, size, &from);
    if (is_to && is_from) {
        c->bk.op = BK_COPY;
        c->bk.u.copy.src = from.ref;
        c->bk.u.copy.dst = to.ref;
        c->bk.u.copy.src_offset = offset_in(&from, src);
        c->bk.u.copy.dst_offset = offset_in(&to, dst);
        c->bk.u.copy.size = size;
    } else if (is_to) {
        c->bk.op = BK_WRITE;
        c->bk.u.rw.mem = to.ref;
        c->bk.u.rw.offset = offset_in(&to, dst);
        c->bk.u.rw.size = size;
        c->bk.u.rw.host_src = src;
    } else if (is_from) {
        c->bk.op = BK_READ;
        c->bk.u.rw.mem = from.ref;
        c->bk.u.rw.offset = offset_in(&from, src);
        c->bk.u.rw.size = size;
        c->bk.u.rw.host = dst;
    } else {
        return CL_INVALID_VALUE;
    }
    return CL_SUCCESS;
}

cl_int weft_clEnqueueSVMMemcpy(cl_command_queue queue, cl_bool blocking, void *dst, const void *src,
                               size_t size, cl_uint waits, const cl_event *wait_list, cl_event *event) {
    struct queue *q = queue_from(queue);
    cl_int rc = begin(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    struct command c = {.queue = q,
                        .type = CL_COMMAND_SVM_MEMCPY,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .bk = {.op = BK_SVM_COPY, .blocking = blocking}};
    if (size == 0) return command_run_empty(&c);
    if (!dst || !src) return CL_INVALID_VALUE;
    uintptr_t to = (uintptr_t)dst, from = (uintptr_t)src;
    if (to - from < size || from - to < size) return CL_MEM_COPY_OVERLAP;
    c.bk.u.svm.dst = dst;
    c.bk.u.svm.src = src;
    c.bk.u.svm.size = size;
    if (!q->backend->direct) rc = copy_remote(&c, dst, src, size);
    if (rc != CL_SUCCESS) return rc;
    return blocking && c.bk.op == BK_COPY ? command_run_to_end(&c) : command_run(&c);
}

static bool pattern_fits(const void *ptr, const void *pattern, size_t pattern_size, size_t size) {
    return ptr && pattern && pattern_size && pattern_size <= 128 && !(pattern_size & (pattern_size - 1)) &&
           (uintptr_t)ptr % pattern_size == 0 && size % pattern_size == 0;
}

cl_int weft_clEnqueueSVMMemFill(cl_command_queue queue, void *ptr, const void *pattern, size_t pattern_size,
                                size_t size, cl_uint waits, const cl_event *wait_list, cl_event *event) {
    struct queue *q = queue_from(queue);
    struct svm s;
    cl_int rc = begin(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    if (!pattern_fits(ptr, pattern, pattern_size, size)) return CL_INVALID_VALUE;
    struct command c = {.queue = q,
                        .type = CL_COMMAND_SVM_MEMFILL,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .bk = {.op = BK_SVM_FILL}};
    if (size == 0) return command_run_empty(&c);
    c.bk.u.svm.dst = ptr;
    c.bk.u.svm.pattern = pattern;
    c.bk.u.svm.pattern_size = pattern_size;
    c.bk.u.svm.size = size;
    if (!q->backend->direct) {
        if (!find_range(q->context, ptr, size, &s)) return CL_INVALID_VALUE;
        c.bk.op = BK_FILL;
        c.bk.u.fill.mem = s.ref;
        c.bk.u.fill.pattern = pattern;
        c.bk.u.fill.pattern_size = pattern_size;
        c.bk.u.fill.offset = offset_in(&s, ptr);
        c.bk.u.fill.size = size;
    }
    return command_run(&c);
}

/* ---- Mapping ---- */
static cl_int note_mapping(struct context *c, void *ptr, size_t size, cl_map_flags flags) {
    struct svm_mapping *m = malloc(sizeof *m);
    if (!m) return CL_OUT_OF_HOST_MEMORY;
    pthread_mutex_lock(&c->list_lock);
    bool found = false;
    weft_list_for_each(it, &c->svms) {
        struct svm *s = weft_list_entry(it, struct svm, link);
        if ((uintptr_t)ptr - (uintptr_t)s->ptr >= s->size) continue;
        *m = (struct svm_mapping){.next = s->mappings, .ptr = ptr, .size = size, .flags = flags};
        s->mappings = m;
        found = true;
    }
    pthread_mutex_unlock(&c->list_lock);
    if (!found) free(m);
    return found ? CL_SUCCESS : CL_INVALID_VALUE;
}

/* Takes out the newest mapping at ptr; false: there is none. */
static bool take_mapping(struct context *c, const void *ptr, struct svm_mapping *out) {
    struct svm_mapping *m = NULL;
    pthread_mutex_lock(&c->list_lock);
    weft_list_for_each(it, &c->svms) {
        struct svm_mapping **at = &weft_list_entry(it, struct svm, link)->mappings;
        while (*at && (*at)->ptr != ptr) at = &(*at)->next;
        if (!*at || m) continue;
        m = *at;
        *at = m->next;
    }
    pthread_mutex_unlock(&c->list_lock);
    if (m) *out = *m;
    free(m);
    return m;
}

static cl_int map_remote(struct command *c, void *ptr, size_t size, cl_map_flags flags) {
    struct svm s;
    if (!find_range(c->queue->context, ptr, size, &s)) return CL_INVALID_VALUE;
    c->bk.op = BK_READ;
    c->bk.u.rw.mem = s.ref;
    c->bk.u.rw.offset = offset_in(&s, ptr);
    c->bk.u.rw.size = size;
    c->bk.u.rw.host = ptr;
    cl_int rc = flags & CL_MAP_WRITE_INVALIDATE_REGION ? command_run_empty(c) : command_run(c);
    return rc == CL_SUCCESS ? note_mapping(c->queue->context, ptr, size, flags) : rc;
}

cl_int weft_clEnqueueSVMMap(cl_command_queue queue, cl_bool blocking, cl_map_flags flags, void *ptr,
                            size_t size, cl_uint waits, const cl_event *wait_list, cl_event *event) {
    struct queue *q = queue_from(queue);
    cl_int rc = begin(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    if (!ptr || !size || flags & ~(cl_map_flags)(CL_MAP_READ | WRITING)) return CL_INVALID_VALUE;
    if ((flags & CL_MAP_WRITE_INVALIDATE_REGION) && (flags & (CL_MAP_READ | CL_MAP_WRITE)))
        return CL_INVALID_VALUE;
    struct command c = {.queue = q,
                        .type = CL_COMMAND_SVM_MAP,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .bk = {.op = BK_SVM_MAP, .blocking = blocking}};
    if (!q->backend->direct) return map_remote(&c, ptr, size, flags);
    c.bk.u.svm.dst = ptr;
    c.bk.u.svm.size = size;
    c.bk.u.svm.map_flags = flags;
    return command_run(&c);
}

static cl_int unmap_remote(struct command *c, void *ptr) {
    struct svm s;
    struct svm_mapping m;
    struct context *context = c->queue->context;
    if (!svm_find(context, ptr, &s) || !take_mapping(context, ptr, &m)) return CL_INVALID_VALUE;
    if (!(m.flags & WRITING)) return command_run_empty(c);
    c->bk.op = BK_WRITE;
    c->bk.u.rw.mem = s.ref;
    c->bk.u.rw.offset = offset_in(&s, ptr);
    c->bk.u.rw.size = m.size;
    c->bk.u.rw.host_src = ptr;
    cl_int rc = command_run(c);
    if (rc != CL_SUCCESS) note_mapping(context, ptr, m.size, m.flags); /* still mapped */
    return rc;
}

cl_int weft_clEnqueueSVMUnmap(cl_command_queue queue, void *ptr, cl_uint waits, const cl_event *wait_list,
                              cl_event *event) {
    struct queue *q = queue_from(queue);
    cl_int rc = begin(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    if (!ptr) return CL_INVALID_VALUE;
    struct command c = {.queue = q,
                        .type = CL_COMMAND_SVM_UNMAP,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .bk = {.op = BK_SVM_UNMAP}};
    if (!q->backend->direct) return unmap_remote(&c, ptr);
    c.bk.u.svm.dst = ptr;
    return command_run(&c);
}

/* ---- Migration: a hint ---- */
cl_int weft_clEnqueueSVMMigrateMem(cl_command_queue queue, cl_uint count, const void **ptrs,
                                   const size_t *sizes, cl_mem_migration_flags flags, cl_uint waits,
                                   const cl_event *wait_list, cl_event *event) {
    struct queue *q = queue_from(queue);
    struct svm s;
    cl_int rc = begin(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    const cl_mem_migration_flags known = CL_MIGRATE_MEM_OBJECT_HOST | CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED;
    if (!count || !ptrs || flags & ~known) return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < count; i++)
        if (!find_range(q->context, ptrs[i], sizes ? sizes[i] : 0, &s)) return CL_INVALID_VALUE;
    struct command c = {.queue = q,
                        .type = CL_COMMAND_SVM_MIGRATE_MEM,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .bk = {.op = BK_SVM_MIGRATE}};
    if (!q->backend->direct) return command_run_empty(&c);
    c.bk.u.svm_migrate.count = count;
    c.bk.u.svm_migrate.ptrs = ptrs;
    c.bk.u.svm_migrate.sizes = sizes;
    c.bk.u.svm_migrate.flags = flags;
    return command_run(&c);
}

/* ---- Freeing ---- */
typedef void(CL_CALLBACK free_fn)(cl_command_queue, cl_uint, void **, void *);

struct freeing {
    struct queue *queue; /* held */
    free_fn *fn;
    void *data;
    cl_uint count;
    void *ptrs[];
};

static void run_freeing(void *arg) {
    struct freeing *f = arg;
    if (f->fn) f->fn((cl_command_queue)f->queue, f->count, f->ptrs, f->data);
    for (cl_uint i = 0; !f->fn && i < f->count; i++)
        weft_clSVMFree((cl_context)f->queue->context, f->ptrs[i]);
    object_drop(f->queue);
    free(f);
}

static void on_reached(void *arg, cl_int status, const cl_ulong times[4]) { callback_post(run_freeing, arg); }

cl_int weft_clEnqueueSVMFree(cl_command_queue queue, cl_uint count, void **ptrs, free_fn *fn, void *data,
                             cl_uint waits, const cl_event *wait_list, cl_event *event) {
    struct queue *q = queue_from(queue);
    cl_int rc = begin(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    if (!count != !ptrs) return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < count; i++)
        if (!ptrs[i]) return CL_INVALID_VALUE;
    struct freeing *f = malloc(sizeof *f + count * sizeof *f->ptrs);
    if (!f) return CL_OUT_OF_HOST_MEMORY;
    *f = (struct freeing){.queue = q, .fn = fn, .data = data, .count = count};
    if (count) memcpy(f->ptrs, ptrs, count * sizeof *f->ptrs);
    object_hold(q);
    struct command c = {.queue = q,
                        .type = CL_COMMAND_SVM_FREE,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .bk = {.op = BK_MARKER, .on_complete = on_reached, .arg = f}};
    rc = command_run(&c);
    if (rc != CL_SUCCESS) {
        object_drop(q);
        free(f);
    }
    return rc;
}
