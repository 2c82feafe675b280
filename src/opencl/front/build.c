/* Building programs: on all backends concerned at once; the end is that of the slowest, its result the first
 * error. */
#include <stdlib.h>
#include <string.h>

#include "opencl/front/callback.h"
#include "opencl/front/entries.h"
#include "opencl/front/program.h"

struct build {
    struct program *program; /* held */
    _Atomic cl_uint refs;    /* parts under way, and the call that started them */
    cl_int status;           /* the first error; program's lock */
    cl_uint pending;         /* program's lock */
    bool *wanted;            /* one a device of the program */
    void(CL_CALLBACK *fn)(cl_program, void *);
    void *data;
    struct build_part *parts; /* one a slot */
    cl_uint *numbers;         /* room for start_parts */
};

struct build_part {
    struct build *build;
    cl_uint slot;
};

static void build_drop(struct build *b) {
    if (atomic_fetch_sub(&b->refs, 1) != 1) return;
    object_drop(b->program);
    free(b->wanted);
    free(b->parts);
    free(b->numbers);
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

/* Remote parts first: a direct driver may build within the call, and they go on meanwhile. */
static void start_parts(struct build *b, const char *options, bool direct) {
    struct program *p = b->program;
    for (cl_uint slot = 0; slot < p->context->slot_count; slot++) {
        struct backend *backend = p->context->slots[slot].backend;
        cl_uint n = backend->direct == direct ? slot_devices(b, slot, b->numbers) : 0;
        if (!n) continue;
        b->parts[slot] = (struct build_part){.build = b, .slot = slot};
        atomic_fetch_add(&b->refs, 1);
        cl_int rc = backend->ops->build(backend, p->parts[slot].ref, n, b->numbers, options, on_built,
                                        &b->parts[slot]);
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
static cl_int begin(struct build *b, const char *options) {
    struct program *p = b->program;
    cl_int rc = CL_SUCCESS;
    pthread_mutex_lock(&p->lock);
    if (p->building || atomic_load(&p->kernels)) rc = CL_INVALID_OPERATION;
    for (cl_uint i = 0; rc == CL_SUCCESS && i < p->device_count; i++) {
        if (!b->wanted[i]) continue;
        char *copy = strdup(options ? options : "");
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

static cl_int want_devices(struct build *b, cl_uint count, const cl_device_id *devices) {
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
        if (b->wanted[i] && p->source && !compiler) return CL_COMPILER_NOT_AVAILABLE;
    }
    return CL_SUCCESS;
}

static struct build *build_new(struct program *p) {
    struct build *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    atomic_init(&b->refs, 1);
    object_hold(p);
    b->program = p;
    b->wanted = calloc(p->device_count, sizeof *b->wanted);
    b->parts = calloc(p->context->slot_count, sizeof *b->parts);
    b->numbers = calloc(p->device_count, sizeof *b->numbers);
    if (b->wanted && b->parts && b->numbers) return b;
    build_drop(b);
    return NULL;
}

cl_int weft_clBuildProgram(cl_program program, cl_uint count, const cl_device_id *devices,
                           const char *options, void(CL_CALLBACK *fn)(cl_program, void *), void *data) {
    struct program *p = program_from(program);
    if (!p) return CL_INVALID_PROGRAM;
    if (!devices != !count || (!fn && data)) return CL_INVALID_VALUE;
    struct build *b = build_new(p);
    if (!b) return CL_OUT_OF_HOST_MEMORY;
    cl_int rc = want_devices(b, count, devices);
    if (rc == CL_SUCCESS) rc = begin(b, options);
    if (rc == CL_SUCCESS) {
        b->fn = fn;
        b->data = data;
        start_parts(b, options, false);
        start_parts(b, options, true);
        if (!fn) rc = finish(b);
    }
    build_drop(b);
    return rc;
}
