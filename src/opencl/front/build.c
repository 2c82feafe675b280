/* Building programs: see build.h. */
#include "opencl/front/build.h"

#include <stdlib.h>
#include <string.h>

#include "opencl/front/callback.h"
#include "opencl/front/entries.h"

struct build_part {
    struct build *build;
    cl_uint slot;
};

void build_drop(struct build *b) {
    if (atomic_fetch_sub(&b->refs, 1) != 1) return;
    object_drop(b->program);
    free(b->wanted);
    free(b->parts);
    free(b->numbers);
    free(b->inputs);
    free(b->refs_of_inputs);
    free(b);
}

static void run_callback(void *arg) {
    struct build *b = arg;
    b->fn((cl_program)b->program, b->data);
    build_drop(b);
}

/* One slot's statuses out of its meta data. Program lock held. */
static void take_statuses(struct build *b, cl_uint slot, cl_int status, const struct program_meta *meta) {
    struct program *p = b->program;
    for (cl_uint i = 0; i < p->device_count; i++) {
        struct program_device *d = &p->devices[i];
        if (d->slot != slot || !b->wanted[i]) continue;
        bool told = meta && d->place < meta->device_count;
        d->status = told ? meta->devices[d->place].status : CL_BUILD_ERROR;
        if (status != CL_SUCCESS && d->status != CL_BUILD_SUCCESS) d->status = CL_BUILD_ERROR;
    }
}

static void on_built(void *arg, cl_int status, struct program_meta *meta) {
    struct build_part *part = arg;
    struct build *b = part->build;
    struct program *p = b->program;
    pthread_mutex_lock(&p->lock);
    struct program_meta *old = p->parts[part->slot].meta;
    if (meta)
        p->parts[part->slot].meta = meta;
    else
        old = NULL;
    take_statuses(b, part->slot, status, meta);
    if (b->status == CL_SUCCESS) b->status = status;
    bool last = --b->pending == 0;
    p->building--;
    if (last) pthread_cond_broadcast(&p->built);
    pthread_mutex_unlock(&p->lock);
    if (old) program_meta_free(old);
    if (last && b->fn) {
        atomic_fetch_add(&b->refs, 1);
        callback_post(run_callback, b);
    }
    build_drop(b);
}

/* The slot's wanted devices, by number; 0: none. */
static cl_uint slot_devices(const struct build *b, cl_uint slot, cl_uint *numbers) {
    const struct program *p = b->program;
    cl_uint n = 0;
    for (cl_uint i = 0; i < p->device_count; i++)
        if (b->wanted[i] && p->devices[i].slot == slot) numbers[n++] = p->devices[i].device->number;
    return n;
}

static cl_int find_inputs(struct build *b, cl_uint slot) {
    for (cl_uint i = 0; i < b->input_count; i++) {
        b->refs_of_inputs[i] = b->inputs[i]->parts[slot].ref;
        if (!b->refs_of_inputs[i])
            return CL_INVALID_OPERATION; /* of binaries, and none of them for this slot */
    }
    return CL_SUCCESS;
}

static cl_int start_part(struct build *b, cl_uint slot, cl_uint count) {
    const struct context_slot *s = &b->program->context->slots[slot];
    const struct backend_ops *ops = s->backend->ops;
    bk_ref *own = &b->program->parts[slot].ref;
    struct build_part *part = &b->parts[slot];
    cl_int rc = find_inputs(b, slot);
    if (rc != CL_SUCCESS) return rc;
    switch (b->what) {
    case BUILD_WHOLE: return ops->build(s->backend, *own, count, b->numbers, b->options, on_built, part);
    case BUILD_COMPILE:
        return ops->compile(s->backend, *own, count, b->numbers, b->options, b->input_count,
                            b->refs_of_inputs, b->names, on_built, part);
    case BUILD_LINK:
        return ops->link(s->backend, s->ref, count, b->numbers, b->options, b->input_count, b->refs_of_inputs,
                         on_built, part, own);
    case BUILD_BUILTIN:
        return ops->create_program_builtin(s->backend, s->ref, count, b->numbers, b->options, on_built, part,
                                           own);
    }
    return CL_INVALID_OPERATION;
}

/* Remote parts first: a direct driver may build within the call, and they go on meanwhile. */
static void start_parts(struct build *b, bool direct) {
    struct program *p = b->program;
    for (cl_uint slot = 0; slot < p->context->slot_count; slot++) {
        struct backend *backend = p->context->slots[slot].backend;
        cl_uint n = backend->direct == direct ? slot_devices(b, slot, b->numbers) : 0;
        if (!n) continue;
        b->parts[slot] = (struct build_part){.build = b, .slot = slot};
        atomic_fetch_add(&b->refs, 1);
        cl_int rc = start_part(b, slot, n);
        if (rc != CL_SUCCESS) on_built(&b->parts[slot], rc, NULL);
    }
}

static cl_uint slots_wanted(const struct build *b) {
    const struct program *p = b->program;
    cl_uint n = 0;
    for (cl_uint slot = 0; slot < p->context->slot_count; slot++)
        for (cl_uint i = 0; i < p->device_count; i++)
            if (b->wanted[i] && p->devices[i].slot == slot) {
                n++;
                break;
            }
    return n;
}

/* Marks the devices as being built. */
static cl_int begin(struct build *b) {
    struct program *p = b->program;
    cl_int rc = CL_SUCCESS;
    pthread_mutex_lock(&p->lock);
    if (p->building || atomic_load(&p->kernels)) rc = CL_INVALID_OPERATION;
    for (cl_uint i = 0; rc == CL_SUCCESS && i < p->device_count; i++) {
        if (!b->wanted[i]) continue;
        char *copy = strdup(b->options && b->what != BUILD_BUILTIN ? b->options : "");
        if (!copy) rc = CL_OUT_OF_HOST_MEMORY;
        free(p->devices[i].options);
        p->devices[i].options = copy;
        p->devices[i].status = CL_BUILD_IN_PROGRESS;
    }
    if (rc == CL_SUCCESS) p->building = b->pending = slots_wanted(b);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static cl_int finish(struct build *b) {
    struct program *p = b->program;
    pthread_mutex_lock(&p->lock);
    while (b->pending) pthread_cond_wait(&p->built, &p->lock);
    cl_int rc = b->status;
    pthread_mutex_unlock(&p->lock);
    return rc;
}

cl_int build_want(struct build *b, cl_uint count, const cl_device_id *devices) {
    struct program *p = b->program;
    for (cl_uint i = 0; i < count; i++) {
        struct device *d = device_from(devices[i]);
        cl_uint index = d ? program_device_index(p, d) : p->device_count;
        if (index == p->device_count) return CL_INVALID_DEVICE;
        b->wanted[index] = true;
    }
    for (cl_uint i = 0; i < p->device_count; i++) {
        cl_bool compiler = CL_TRUE;
        if (!count) b->wanted[i] = true;
        const struct inventory_info *info =
            inventory_find(&p->devices[i].device->own->infos, CL_DEVICE_COMPILER_AVAILABLE);
        if (info && info->size == sizeof compiler) memcpy(&compiler, info->value, sizeof compiler);
        if (b->wanted[i] && p->origin == PROGRAM_SOURCE && !compiler) return CL_COMPILER_NOT_AVAILABLE;
    }
    return CL_SUCCESS;
}

cl_int build_inputs(struct build *b, cl_uint count) {
    b->inputs = calloc((size_t)count + 1, sizeof *b->inputs);
    b->refs_of_inputs = calloc((size_t)count + 1, sizeof *b->refs_of_inputs);
    return b->inputs && b->refs_of_inputs ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
}

cl_int build_run(struct build *b) {
    cl_int rc = begin(b);
    if (rc != CL_SUCCESS) return rc;
    start_parts(b, false);
    start_parts(b, true);
    return b->fn ? CL_SUCCESS : finish(b);
}

struct build *build_new(struct program *p, enum build_what what) {
    struct build *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    atomic_init(&b->refs, 1);
    object_hold(p);
    b->program = p;
    b->what = what;
    b->wanted = calloc(p->device_count, sizeof *b->wanted);
    b->parts = calloc(p->context->slot_count, sizeof *b->parts);
    b->numbers = calloc(p->device_count, sizeof *b->numbers);
    if (b->wanted && b->parts && b->numbers) return b;
    build_drop(b);
    return NULL;
}

cl_int weft_clBuildProgram(cl_program program, cl_uint count, const cl_device_id *devices,
                           const char *options, build_notify_fn *fn, void *data) {
    struct program *p = program_from(program);
    if (!p) return CL_INVALID_PROGRAM;
    if (!devices != !count || (!fn && data)) return CL_INVALID_VALUE;
    if (p->origin == PROGRAM_LINKED) return CL_INVALID_OPERATION;
    /* It needs none, and programs for PoCL build it all the same. */
    if (p->origin == PROGRAM_BUILTIN) return fn ? CL_INVALID_OPERATION : CL_SUCCESS;
    struct build *b = build_new(p, BUILD_WHOLE);
    if (!b) return CL_OUT_OF_HOST_MEMORY;
    b->options = options;
    b->fn = fn;
    b->data = data;
    cl_int rc = build_want(b, count, devices);
    if (rc == CL_SUCCESS) rc = build_run(b);
    build_drop(b);
    return rc;
}
