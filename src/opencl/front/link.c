/* Programs in parts and of other origins: clCompileProgram, clLinkProgram, intermediate languages, built-in
 * kernels, and callbacks on a program's end. */
#include <stdlib.h>
#include <string.h>

#include "opencl/front/build.h"
#include "opencl/front/entries.h"

static cl_bool device_bool(const struct device *d, cl_device_info param) {
    cl_bool value = CL_TRUE;
    const struct inventory_info *info = inventory_find(&d->own->infos, param);
    if (info && info->size == sizeof value) memcpy(&value, info->value, sizeof value);
    return value;
}

static bool device_has_text(const struct device *d, cl_device_info param) {
    const struct inventory_info *info = inventory_find(&d->own->infos, param);
    return info && info->size > 1;
}

/* ---- Compiling ---- */
static cl_int take_headers(struct build *b, cl_uint count, const cl_program *headers, const char **names) {
    cl_int rc = build_inputs(b, count);
    for (cl_uint i = 0; i < count && rc == CL_SUCCESS; i++) {
        struct program *h = program_from(headers[i]);
        if (!h || h->context != b->program->context) return CL_INVALID_PROGRAM;
        if (h->origin != PROGRAM_SOURCE || !names[i]) return CL_INVALID_VALUE;
        b->inputs[b->input_count++] = h;
    }
    b->names = names;
    return rc;
}

cl_int weft_clCompileProgram(cl_program program, cl_uint count, const cl_device_id *devices,
                             const char *options, cl_uint header_count, const cl_program *headers,
                             const char **names, build_notify_fn *fn, void *data) {
    struct program *p = program_from(program);
    if (!p) return CL_INVALID_PROGRAM;
    if (!devices != !count || (!fn && data)) return CL_INVALID_VALUE;
    if (!headers != !header_count || !names != !header_count) return CL_INVALID_VALUE;
    if (p->origin != PROGRAM_SOURCE && p->origin != PROGRAM_IL) return CL_INVALID_OPERATION;
    struct build *b = build_new(p, BUILD_COMPILE);
    if (!b) return CL_OUT_OF_HOST_MEMORY;
    b->options = options;
    b->fn = fn;
    b->data = data;
    cl_int rc = build_want(b, count, devices);
    if (rc == CL_SUCCESS) rc = take_headers(b, header_count, headers, names);
    if (rc == CL_SUCCESS) rc = build_run(b);
    build_drop(b);
    return rc;
}

/* ---- Linking ---- */
/* Whether a program has something to be linked for a device. Of binaries that were not built weft does not
 * know what they are: the driver does. */
static bool can_be_linked(struct program *p, const struct device *d) {
    cl_uint i = program_device_index(p, d);
    if (i == p->device_count) return false;
    const struct program_device *at = &p->devices[i];
    pthread_mutex_lock(&p->lock);
    const struct program_meta *m = p->parts[at->slot].meta;
    bool unbuilt = p->origin == PROGRAM_BINARY && at->status == CL_BUILD_NONE;
    bool part = at->status == CL_BUILD_SUCCESS && m && at->place < m->device_count &&
                !program_meta_executable(&m->devices[at->place]);
    pthread_mutex_unlock(&p->lock);
    return unbuilt || part;
}

/* All of the inputs must be there for a device, or none; without any the device is left out. */
static cl_int link_devices(struct program *p, cl_uint count, struct device *const *devices,
                           cl_uint input_count, const cl_program *inputs) {
    for (cl_uint i = 0; i < count; i++) {
        cl_uint able = 0;
        for (cl_uint j = 0; j < input_count; j++) able += can_be_linked(program_from(inputs[j]), devices[i]);
        if (able && able != input_count) return CL_INVALID_OPERATION;
        if (!able) continue;
        if (!device_bool(devices[i], CL_DEVICE_LINKER_AVAILABLE)) return CL_LINKER_NOT_AVAILABLE;
        program_add_device(p, context_device_index(p->context, devices[i]));
    }
    return p->device_count ? CL_SUCCESS : CL_INVALID_OPERATION;
}

/* Also when linking fails there is a program, for its log. */
static cl_int link_program(struct program *p, const char *options, cl_uint input_count,
                           const cl_program *inputs, build_notify_fn *fn, void *data) {
    struct build *b = build_new(p, BUILD_LINK);
    if (!b) return CL_OUT_OF_HOST_MEMORY;
    b->options = options;
    b->fn = fn;
    b->data = data;
    cl_int rc = build_want(b, 0, NULL);
    if (rc == CL_SUCCESS) rc = build_inputs(b, input_count);
    for (cl_uint i = 0; rc == CL_SUCCESS && i < input_count; i++) {
        b->inputs[b->input_count++] = program_from(inputs[i]);
    }
    if (rc == CL_SUCCESS) rc = build_run(b);
    build_drop(b);
    return rc;
}

static cl_int check_inputs(const struct context *c, cl_uint count, const cl_program *inputs) {
    if (!count || !inputs) return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < count; i++) {
        struct program *p = program_from(inputs[i]);
        if (!p || p->context != c) return CL_INVALID_PROGRAM;
    }
    return CL_SUCCESS;
}

/* Devices of a call, all of the context if there are none: on the heap. */
static cl_int pick_devices(const struct context *c, cl_uint *count, const cl_device_id *ids,
                           struct device ***out) {
    cl_uint n = ids ? *count : c->device_count;
    *out = calloc((size_t)n + 1, sizeof(struct device *));
    if (!*out) return CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; i < n; i++) {
        (*out)[i] = ids ? device_from(ids[i]) : c->devices[i];
        if (!(*out)[i] || context_device_index(c, (*out)[i]) == c->device_count) return CL_INVALID_DEVICE;
    }
    *count = n;
    return CL_SUCCESS;
}

static cl_int create_linked(struct context *c, cl_uint count, const cl_device_id *ids, const char *options,
                            cl_uint input_count, const cl_program *inputs, build_notify_fn *fn, void *data,
                            struct program **out) {
    if (!ids != !count || (!fn && data)) return CL_INVALID_VALUE;
    struct device **devices = NULL;
    struct program *p = NULL;
    cl_int rc = check_inputs(c, input_count, inputs);
    if (rc == CL_SUCCESS) rc = pick_devices(c, &count, ids, &devices);
    if (rc == CL_SUCCESS && !(p = program_new(c, PROGRAM_LINKED, count))) rc = CL_OUT_OF_HOST_MEMORY;
    if (rc == CL_SUCCESS) rc = link_devices(p, count, devices, input_count, inputs);
    free(devices);
    if (rc == CL_SUCCESS) rc = link_program(p, options, input_count, inputs, fn, data);
    if (rc == CL_SUCCESS || rc == CL_LINK_PROGRAM_FAILURE)
        *out = p;
    else if (p)
        object_drop(p);
    return rc;
}

cl_program weft_clLinkProgram(cl_context context, cl_uint count, const cl_device_id *devices,
                              const char *options, cl_uint input_count, const cl_program *inputs,
                              build_notify_fn *fn, void *data, cl_int *errcode_ret) {
    struct program *p = NULL;
    struct context *c = context_from(context);
    cl_int rc = CL_INVALID_CONTEXT;
    if (c) rc = create_linked(c, count, devices, options, input_count, inputs, fn, data, &p);
    if (errcode_ret) *errcode_ret = rc;
    return (cl_program)p;
}

/* ---- Intermediate languages ---- */
static bool takes_il(const struct context *c, cl_uint slot) {
    for (cl_uint i = 0; i < c->device_count; i++)
        if (c->device_slot[i] == slot && device_has_text(c->devices[i], CL_DEVICE_IL_VERSION)) return true;
    return false;
}

static cl_int create_il_parts(struct program *p) {
    const struct context *c = p->context;
    for (cl_uint slot = 0; slot < c->slot_count; slot++) {
        const struct context_slot *s = &c->slots[slot];
        if (!takes_il(c, slot)) continue;
        cl_int rc =
            s->backend->ops->create_program_il(s->backend, s->ref, p->il, p->il_bytes, &p->parts[slot].ref);
        if (rc != CL_SUCCESS) return rc;
    }
    return CL_SUCCESS;
}

static cl_int create_with_il(struct context *c, const void *il, size_t bytes, struct program **out) {
    bool able = false;
    for (cl_uint slot = 0; slot < c->slot_count; slot++) able = able || takes_il(c, slot);
    if (!able) return CL_INVALID_OPERATION;
    if (!il || !bytes) return CL_INVALID_VALUE;
    struct program *p = program_new(c, PROGRAM_IL, c->device_count);
    if (!p) return CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; i < c->device_count; i++)
        if (takes_il(c, c->device_slot[i])) program_add_device(p, i);
    p->il = malloc(bytes);
    cl_int rc = p->il ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    if (p->il) memcpy(p->il, il, bytes);
    p->il_bytes = bytes;
    if (rc == CL_SUCCESS) rc = create_il_parts(p);
    if (rc == CL_SUCCESS)
        *out = p;
    else
        object_drop(p);
    return rc;
}

cl_program weft_clCreateProgramWithIL(cl_context context, const void *il, size_t bytes, cl_int *errcode_ret) {
    struct program *p = NULL;
    struct context *c = context_from(context);
    cl_int rc = c ? create_with_il(c, il, bytes, &p) : CL_INVALID_CONTEXT;
    if (errcode_ret) *errcode_ret = rc;
    return (cl_program)p;
}

cl_int weft_clSetProgramSpecializationConstant(cl_program program, cl_uint id, size_t size,
                                               const void *value) {
    struct program *p = program_from(program);
    if (!p || p->origin != PROGRAM_IL) return CL_INVALID_PROGRAM;
    if (!value || !size) return CL_INVALID_VALUE;
    for (cl_uint slot = 0; slot < p->context->slot_count; slot++) {
        struct backend *b = p->context->slots[slot].backend;
        if (!p->parts[slot].ref) continue;
        cl_int rc = b->ops->set_specialization(b, p->parts[slot].ref, id, size, value);
        if (rc != CL_SUCCESS) return rc;
    }
    return CL_SUCCESS;
}

/* ---- Built-in kernels ---- */
static bool has_name(const char *list, const char *name, size_t length) {
    for (const char *at = list; *at; at += *at == ';') {
        size_t n = strcspn(at, ";");
        if (n == length && memcmp(at, name, n) == 0) return true;
        at += n;
    }
    return false;
}

/* All names of a list, which semicolons part, are among a device's. */
static bool has_kernels(const struct device *d, const char *names) {
    const struct inventory_info *info = inventory_find(&d->own->infos, CL_DEVICE_BUILT_IN_KERNELS);
    if (!info || !info->size || ((const char *)info->value)[info->size - 1]) return false;
    for (const char *at = names; *at; at += *at == ';') {
        size_t n = strcspn(at, ";");
        if (!has_name(info->value, at, n)) return false;
        at += n;
    }
    return true;
}

static cl_int create_builtin(struct context *c, cl_uint count, const cl_device_id *ids, const char *names,
                             struct program **out) {
    if (!count || !ids || !names || !*names) return CL_INVALID_VALUE;
    struct device **devices = NULL;
    struct program *p = NULL;
    struct build *b = NULL;
    cl_int rc = pick_devices(c, &count, ids, &devices);
    if (rc == CL_SUCCESS && !(p = program_new(c, PROGRAM_BUILTIN, count))) rc = CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; rc == CL_SUCCESS && i < count; i++) {
        if (!has_kernels(devices[i], names)) rc = CL_INVALID_VALUE;
        if (rc == CL_SUCCESS) program_add_device(p, context_device_index(c, devices[i]));
    }
    free(devices);
    if (rc == CL_SUCCESS && !(b = build_new(p, BUILD_BUILTIN))) rc = CL_OUT_OF_HOST_MEMORY;
    if (rc == CL_SUCCESS) {
        b->options = names;
        rc = build_want(b, 0, NULL);
    }
    if (rc == CL_SUCCESS) rc = build_run(b);
    if (b) build_drop(b);
    if (rc == CL_SUCCESS)
        *out = p;
    else if (p)
        object_drop(p);
    return rc;
}

cl_program weft_clCreateProgramWithBuiltInKernels(cl_context context, cl_uint count,
                                                  const cl_device_id *devices, const char *names,
                                                  cl_int *errcode_ret) {
    struct program *p = NULL;
    struct context *c = context_from(context);
    cl_int rc = c ? create_builtin(c, count, devices, names, &p) : CL_INVALID_CONTEXT;
    if (errcode_ret) *errcode_ret = rc;
    return (cl_program)p;
}

/* ---- A program's end ---- */
/* For global variables' destructors, which only OpenCL 2.2 has. */
cl_int weft_clSetProgramReleaseCallback(cl_program program, build_notify_fn *fn, void *data) {
    struct program *p = program_from(program);
    if (!p) return CL_INVALID_PROGRAM;
    if (!fn) return CL_INVALID_VALUE;
    bool able = false;
    for (cl_uint i = 0; i < p->device_count; i++)
        able = able || p->devices[i].device->version == CL_MAKE_VERSION(2, 2, 0);
    if (!able) return CL_INVALID_OPERATION;
    struct program_callback *cb = malloc(sizeof *cb);
    if (!cb) return CL_OUT_OF_HOST_MEMORY;
    pthread_mutex_lock(&p->lock);
    *cb = (struct program_callback){.next = p->callbacks, .fn = fn, .program = program, .data = data};
    p->callbacks = cb; /* the last registered is called first */
    pthread_mutex_unlock(&p->lock);
    return CL_SUCCESS;
}
