/* Programs: creation from source and from binaries, references, end. */
#include "opencl/front/program.h"

#include <stdlib.h>
#include <string.h>

#include "opencl/front/callback.h"
#include "opencl/front/entries.h"

static void run_release_callbacks(void *arg) {
    for (struct program_callback *cb = arg, *next; cb; cb = next) {
        next = cb->next;
        cb->fn(cb->program, cb->data);
        free(cb);
    }
}

static void program_end(void *object) {
    struct program *p = object;
    for (cl_uint i = 0; p->parts && i < p->context->slot_count; i++) {
        struct backend *b = p->context->slots[i].backend;
        if (p->parts[i].ref) b->ops->release(b, BK_PROGRAM, p->parts[i].ref);
        if (p->parts[i].meta) program_meta_free(p->parts[i].meta);
    }
    for (cl_uint i = 0; p->devices && i < p->device_count; i++) free(p->devices[i].options);
    free(p->parts);
    free(p->devices);
    free(p->source);
    free(p->il);
    if (p->callbacks) callback_post(run_release_callbacks, p->callbacks);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->built);
    object_drop(p->context);
}

struct program *program_new(struct context *c, enum program_origin origin, cl_uint device_room) {
    struct program *p = object_new(OBJECT_PROGRAM, sizeof *p, program_end);
    if (!p) return NULL;
    object_hold(c);
    p->context = c;
    p->origin = origin;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->built, NULL);
    p->parts = calloc(c->slot_count, sizeof *p->parts);
    p->devices = calloc(device_room, sizeof *p->devices);
    if (p->parts && p->devices) return p;
    object_drop(p);
    return NULL;
}

void program_add_device(struct program *p, cl_uint context_index) {
    const struct context *c = p->context;
    p->devices[p->device_count++] = (struct program_device){.device = c->devices[context_index],
                                                            .slot = c->device_slot[context_index],
                                                            .place = c->device_place[context_index],
                                                            .status = CL_BUILD_NONE};
}

cl_uint program_device_index(const struct program *p, const struct device *d) {
    cl_uint i = 0;
    while (i < p->device_count && p->devices[i].device != d) i++;
    return i;
}

const struct program_meta *program_built_meta(const struct program *p, cl_uint slot) {
    const struct program_meta *m = p->parts[slot].meta;
    for (cl_uint i = 0; m && i < p->device_count; i++) {
        const struct program_device *d = &p->devices[i];
        if (d->slot == slot && d->status == CL_BUILD_SUCCESS && d->place < m->device_count &&
            program_meta_executable(&m->devices[d->place]))
            return m;
    }
    return NULL;
}

/* All strings in one. A length of 0 (or no lengths) means up to the NUL. */
static cl_int join_source(struct program *p, cl_uint count, const char **strings, const size_t *lengths) {
    size_t total = 0;
    for (cl_uint i = 0; i < count; i++) {
        size_t n = lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
        if (__builtin_add_overflow(total, n, &total)) return CL_OUT_OF_HOST_MEMORY;
    }
    char *at = p->source = total < SIZE_MAX ? malloc(total + 1) : NULL;
    if (!at) return CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; i < count; i++) {
        size_t n = lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
        memcpy(at, strings[i], n);
        at += n;
    }
    *at = '\0';
    p->source_bytes = total;
    return CL_SUCCESS;
}

static cl_int create_source_parts(struct program *p) {
    cl_int rc = CL_SUCCESS;
    for (cl_uint i = 0; i < p->context->slot_count && rc == CL_SUCCESS; i++) {
        const struct context_slot *s = &p->context->slots[i];
        rc = s->backend->ops->create_program_source(s->backend, s->ref, p->source, p->source_bytes,
                                                    &p->parts[i].ref);
    }
    return rc;
}

static cl_int create_with_source(struct context *c, cl_uint count, const char **strings,
                                 const size_t *lengths, struct program **out) {
    if (!count || !strings) return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < count; i++)
        if (!strings[i]) return CL_INVALID_VALUE;
    struct program *p = program_new(c, PROGRAM_SOURCE, c->device_count);
    if (!p) return CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; i < c->device_count; i++) program_add_device(p, i);
    cl_int rc = join_source(p, count, strings, lengths);
    if (rc == CL_SUCCESS) rc = create_source_parts(p);
    if (rc == CL_SUCCESS)
        *out = p;
    else
        object_drop(p);
    return rc;
}

cl_program weft_clCreateProgramWithSource(cl_context context, cl_uint count, const char **strings,
                                          const size_t *lengths, cl_int *errcode_ret) {
    struct program *p = NULL;
    struct context *c = context_from(context);
    cl_int rc = c ? create_with_source(c, count, strings, lengths, &p) : CL_INVALID_CONTEXT;
    if (errcode_ret) *errcode_ret = rc;
    return (cl_program)p;
}

/* The part of the program's binaries that belongs to one slot. */
static cl_int create_binary_part(struct program *p, cl_uint slot, const size_t *lengths,
                                 const unsigned char **binaries, cl_int *status) {
    const struct context_slot *s = &p->context->slots[slot];
    cl_uint count = 0, n = p->device_count;
    cl_uint *numbers = calloc(n, sizeof *numbers), *which = calloc(n, sizeof *which);
    size_t *sizes = calloc(n, sizeof *sizes);
    const unsigned char **blobs = calloc(n, sizeof *blobs);
    cl_int *results = calloc(n, sizeof *results), rc = CL_OUT_OF_HOST_MEMORY;
    if (!numbers || !which || !sizes || !blobs || !results) goto out;
    for (cl_uint i = 0; i < n; i++) {
        if (p->devices[i].slot != slot) continue;
        numbers[count] = p->devices[i].device->number;
        sizes[count] = lengths[i];
        blobs[count] = binaries[i];
        which[count++] = i;
    }
    rc = CL_SUCCESS;
    if (count)
        rc = s->backend->ops->create_program_binary(s->backend, s->ref, count, numbers, sizes, blobs, results,
                                                    &p->parts[slot].ref);
    for (cl_uint i = 0; status && i < count; i++) status[which[i]] = results[i];
out:
    free(numbers);
    free(which);
    free(sizes);
    free(blobs);
    free(results);
    return rc;
}

static cl_int check_binaries(struct context *c, cl_uint count, const cl_device_id *devices,
                             const size_t *lengths, const unsigned char **binaries, cl_int *status) {
    if (!count || !devices || !lengths || !binaries) return CL_INVALID_VALUE;
    cl_int rc = CL_SUCCESS;
    for (cl_uint i = 0; i < count; i++) {
        struct device *d = device_from(devices[i]);
        if (!d || context_device_index(c, d) == c->device_count) return CL_INVALID_DEVICE;
        bool bad = !lengths[i] || !binaries[i];
        if (status) status[i] = bad ? CL_INVALID_VALUE : CL_SUCCESS;
        if (bad) rc = CL_INVALID_VALUE;
    }
    return rc;
}

static cl_int create_with_binary(struct context *c, cl_uint count, const cl_device_id *devices,
                                 const size_t *lengths, const unsigned char **binaries, cl_int *status,
                                 struct program **out) {
    cl_int rc = check_binaries(c, count, devices, lengths, binaries, status);
    if (rc != CL_SUCCESS) return rc;
    struct program *p = program_new(c, PROGRAM_BINARY, count);
    if (!p) return CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; i < count; i++)
        program_add_device(p, context_device_index(c, device_from(devices[i])));
    for (cl_uint slot = 0; slot < c->slot_count; slot++) {
        cl_int part = create_binary_part(p, slot, lengths, binaries, status);
        if (part != CL_SUCCESS) rc = part;
    }
    if (rc == CL_SUCCESS)
        *out = p;
    else
        object_drop(p);
    return rc;
}

cl_program weft_clCreateProgramWithBinary(cl_context context, cl_uint count, const cl_device_id *devices,
                                          const size_t *lengths, const unsigned char **binaries,
                                          cl_int *status, cl_int *errcode_ret) {
    struct program *p = NULL;
    struct context *c = context_from(context);
    cl_int rc = c ? create_with_binary(c, count, devices, lengths, binaries, status, &p) : CL_INVALID_CONTEXT;
    if (errcode_ret) *errcode_ret = rc;
    return (cl_program)p;
}

cl_int weft_clRetainProgram(cl_program program) {
    struct program *p = program_from(program);
    if (!p) return CL_INVALID_PROGRAM;
    object_retain(p);
    return CL_SUCCESS;
}

cl_int weft_clReleaseProgram(cl_program program) {
    struct program *p = program_from(program);
    if (!p) return CL_INVALID_PROGRAM;
    if (object_release(p)) object_drop(p);
    return CL_SUCCESS;
}
