/* Enqueue: kernels. The range is checked against the device's and the kernel's limits here, so that the error
 * comes with the call also when the device is on another node. */
#include <stdlib.h>
#include <string.h>

#include "opencl/front/command.h"
#include "opencl/front/entries.h"
#include "opencl/front/image.h"
#include "opencl/front/kernel.h"
#include "opencl/front/recorded.h"
#include "opencl/front/svm.h"

#define USES_SMALL 16

struct range {
    cl_uint dims;
    const size_t *offset, *global, *local;
};

static bool is_empty(const struct range *r) {
    if (!r->global) return true;
    for (cl_uint i = 0; i < r->dims; i++)
        if (r->global[i] == 0) return true;
    return false;
}

static cl_int check_global(const struct device *d, const struct range *r) {
    cl_uint bits = 64;
    const struct inventory_info *info = inventory_find(&d->own->infos, CL_DEVICE_ADDRESS_BITS);
    if (info && info->size == sizeof bits) memcpy(&bits, info->value, sizeof bits);
    size_t most = bits >= 64 ? SIZE_MAX : ((size_t)1 << bits) - 1, end;
    for (cl_uint i = 0; i < r->dims; i++) {
        if (r->global[i] > most) return CL_INVALID_GLOBAL_WORK_SIZE;
        if (r->offset && (__builtin_add_overflow(r->offset[i], r->global[i], &end) || end > most))
            return CL_INVALID_GLOBAL_OFFSET;
    }
    return CL_SUCCESS;
}

/* Whether the last work-group of a dimension may be smaller: since OpenCL 2.0, where the device can and the
 * program was built for it. */
static bool non_uniform(const struct kernel *k, const struct device *d) {
    cl_bool able = d->version >= CL_MAKE_VERSION(2, 0, 0) && d->version < CL_MAKE_VERSION(3, 0, 0);
    const struct inventory_info *info =
        inventory_find(&d->own->infos, CL_DEVICE_NON_UNIFORM_WORK_GROUP_SUPPORT);
    if (info && info->size == sizeof able) memcpy(&able, info->value, sizeof able);
    if (!able) return false;
    cl_uint i = program_device_index(k->program, d);
    const char *options = i < k->program->device_count ? k->program->devices[i].options : NULL;
    if (!options || strstr(options, "-cl-uniform-work-group-size")) return false;
    const char *std = strstr(options, "-cl-std=");
    return std && (strncmp(std + 8, "CL2", 3) == 0 || strncmp(std + 8, "CL3", 3) == 0 ||
                   strncmp(std + 8, "CLC++", 5) == 0);
}

static cl_int check_required(const struct kernel_device_meta *m, const struct range *r) {
    const size_t *wanted = m->compile_work_group_size;
    if (!wanted[0]) return CL_SUCCESS;
    if (!r->local) return CL_INVALID_WORK_GROUP_SIZE;
    for (cl_uint i = 0; i < 3; i++)
        if (wanted[i] != (i < r->dims ? r->local[i] : 1)) return CL_INVALID_WORK_GROUP_SIZE;
    return CL_SUCCESS;
}

static cl_int check_local(const struct kernel *k, const struct device *d, const struct kernel_device_meta *m,
                          const struct range *r) {
    cl_int rc = check_required(m, r);
    if (rc != CL_SUCCESS || !r->local) return rc;
    size_t items = 1, most = m->work_group_size ? m->work_group_size : d->own->max_group_items;
    for (cl_uint i = 0; i < r->dims; i++) {
        if (r->local[i] == 0) return CL_INVALID_WORK_GROUP_SIZE;
        if (i < 3 && d->own->max_item_sizes[i] && r->local[i] > d->own->max_item_sizes[i])
            return CL_INVALID_WORK_ITEM_SIZE;
        if (__builtin_mul_overflow(items, r->local[i], &items)) return CL_INVALID_WORK_GROUP_SIZE;
    }
    if (most && items > most) return CL_INVALID_WORK_GROUP_SIZE;
    for (cl_uint i = 0; i < r->dims; i++)
        if (r->global[i] % r->local[i] && !non_uniform(k, d)) return CL_INVALID_WORK_GROUP_SIZE;
    return CL_SUCCESS;
}

/* Local memory of the kernel and its arguments must fit the device's. */
static cl_int check_local_memory(const struct kernel *k, const struct device *d,
                                 const struct kernel_device_meta *m) {
    cl_ulong bytes = 0,
             had = m->local_mem_bytes; /* the driver's figure may already count arguments that it has */
    for (cl_uint i = 0; i < k->arg_count; i++)
        if (k->args[i].kind == BK_ARG_LOCAL && __builtin_add_overflow(bytes, k->args[i].size, &bytes))
            return CL_OUT_OF_RESOURCES;
    if (had > bytes) bytes = had;
    return d->own->local_mem_bytes && bytes > d->own->local_mem_bytes ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}

static bool writes_to(const struct kernel *k, cl_uint index, const struct mem *m) {
    const struct arg_meta *a = &k->meta->args[index];
    if (m->flags & CL_MEM_READ_ONLY) return false;
    if (!a->known) return true;
    if (m->image) return a->access != CL_KERNEL_ARG_ACCESS_READ_ONLY;
    return a->address != CL_KERNEL_ARG_ADDRESS_CONSTANT && !(a->type_qualifier & CL_KERNEL_ARG_TYPE_CONST);
}

/* A pointer's allocation may have been freed since. */
static bool svm_is_there(const struct kernel *k, const struct kernel_arg *a) {
    struct svm s;
    const void *ptr;
    memcpy(&ptr, a->small, sizeof ptr);
    return !ptr || svm_find(k->program->context, ptr, &s);
}

static bool is_object(const struct kernel_arg *a) {
    return (a->kind == BK_ARG_MEM || a->kind == BK_ARG_SAMPLER || a->kind == BK_ARG_QUEUE) && a->object;
}

/* Whether the queue's device can use it. */
static cl_int check_use(const struct queue *q, const struct mem *m) {
    if (m->image && !device_has_images(q->device)) return CL_INVALID_OPERATION;
    if (m->image && !image_fits(q->device, m->image)) return CL_INVALID_IMAGE_SIZE;
    return command_alignment(q, m);
}

/* All arguments set, their objects alive; what they use. Kernel lock held. `uses` has room for all arguments.
 */
static cl_int collect_args(const struct kernel *k, const struct queue *q, struct mem_use *uses,
                           cl_uint *count) {
    *count = 0;
    for (cl_uint i = 0; i < k->arg_count; i++) {
        const struct kernel_arg *a = &k->args[i];
        if (!a->set || (a->kind == BK_ARG_SVM && !svm_is_there(k, a))) return CL_INVALID_KERNEL_ARGS;
        if (!is_object(a)) continue;
        if (!atomic_load_explicit(&a->object->refs, memory_order_acquire) || a->object->serial != a->serial)
            return CL_INVALID_KERNEL_ARGS;
        if (a->kind == BK_ARG_QUEUE && a->queue->device != q->device) return CL_INVALID_KERNEL_ARGS;
        if (a->kind != BK_ARG_MEM || mem_is_pipe(a->mem)) continue; /* what is in a pipe does not move */
        cl_int rc = check_use(q, a->mem);
        if (rc != CL_SUCCESS) return rc;
        uses[(*count)++] = (struct mem_use){.mem = a->mem, .writes = writes_to(k, i, a->mem)};
    }
    return CL_SUCCESS;
}

static void set_range(struct bk_command *c, const struct range *r) {
    c->u.ndrange.dims = r->dims;
    c->u.ndrange.has_offset = r->offset != NULL;
    c->u.ndrange.has_local = r->local != NULL;
    for (cl_uint i = 0; i < 3; i++) {
        c->u.ndrange.offset[i] = r->offset && i < r->dims ? r->offset[i] : 0;
        c->u.ndrange.global[i] = i < r->dims ? r->global[i] : 1;
        c->u.ndrange.local[i] = r->local && i < r->dims ? r->local[i] : 1;
    }
}

/* Kernel lock held: arguments and enqueue belong together. */
static cl_int run_locked(struct kernel *k, struct command *c, const struct range *r, struct mem_use *uses) {
    struct queue *q = c->queue;
    const struct kernel_device_meta *m = kernel_device_meta(k, q->device);
    if (!m) return CL_INVALID_PROGRAM_EXECUTABLE;
    cl_int rc = collect_args(k, q, uses, &c->use_count);
    if (rc != CL_SUCCESS) return rc;
    if (r->dims < 1 || r->dims > 3 || (q->device->own->max_dims && r->dims > q->device->own->max_dims))
        return CL_INVALID_WORK_DIMENSION;
    /* Since 2.1 an empty range is a command that does nothing. */
    if (is_empty(r) && q->device->version < CL_MAKE_VERSION(2, 1, 0)) return CL_INVALID_GLOBAL_WORK_SIZE;
    if (is_empty(r)) return command_run_empty(c);
    rc = check_global(q->device, r);
    if (rc == CL_SUCCESS) rc = check_local(k, q->device, m, r);
    if (rc == CL_SUCCESS) rc = check_local_memory(k, q->device, m);
    if (rc == CL_SUCCESS) rc = kernel_apply(k, q->slot, &c->bk.u.ndrange.kernel);
    if (rc != CL_SUCCESS) return rc;
    set_range(&c->bk, r);
    c->uses = uses;
    c->recorded = recorded_kernel(k, q, &c->bk, uses, c->use_count);
    return command_run(c);
}

static cl_int enqueue(cl_command_queue queue, cl_kernel kernel, const struct range *r, cl_command_type type,
                      cl_uint waits, const cl_event *wait_list, cl_event *event) {
    struct queue *q = queue_from(queue);
    struct kernel *k = kernel_from(kernel);
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    if (!k) return CL_INVALID_KERNEL;
    if (k->program->context != q->context) return CL_INVALID_CONTEXT;
    cl_int rc = waits || wait_list ? command_check(q, waits, wait_list) : CL_SUCCESS;
    if (rc != CL_SUCCESS) return rc;
    struct mem_use small[USES_SMALL], *uses = small;
    if (k->arg_count > USES_SMALL && !(uses = calloc(k->arg_count, sizeof *uses)))
        return CL_OUT_OF_HOST_MEMORY;
    struct command c = {.queue = q,
                        .type = type,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .bk = {.op = BK_NDRANGE}};
    pthread_mutex_lock(&k->lock);
    rc = run_locked(k, &c, r, uses);
    pthread_mutex_unlock(&k->lock);
    if (uses != small) free(uses);
    return rc;
}

cl_int weft_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dims,
                                   const size_t *offset, const size_t *global, const size_t *local,
                                   cl_uint waits, const cl_event *wait_list, cl_event *event) {
    struct range r = {dims, offset, global, local};
    return enqueue(queue, kernel, &r, CL_COMMAND_NDRANGE_KERNEL, waits, wait_list, event);
}

cl_int weft_clEnqueueTask(cl_command_queue queue, cl_kernel kernel, cl_uint waits, const cl_event *wait_list,
                          cl_event *event) {
    const size_t one = 1;
    struct range r = {1, NULL, &one, &one};
    return enqueue(queue, kernel, &r, CL_COMMAND_TASK, waits, wait_list, event);
}
