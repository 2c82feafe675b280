/* Programs: information about them and about their builds, from the meta data that builds bring. */
#include <stdlib.h>
#include <string.h>

#include "opencl/front/entries.h"
#include "opencl/front/program.h"

/* The device's part of the meta data; NULL: nothing was built there. Lock held. */
static const struct program_device_meta *device_meta(const struct program *p, cl_uint index) {
    const struct program_device *d = &p->devices[index];
    const struct program_meta *m = p->parts[d->slot].meta;
    return m && d->place < m->device_count ? &m->devices[d->place] : NULL;
}

/* Meta data of the first slot that has an executable; NULL: none. Lock held. */
static const struct program_meta *any_built(const struct program *p) {
    const struct program_meta *m = NULL;
    for (cl_uint slot = 0; slot < p->context->slot_count && !m; slot++) m = program_built_meta(p, slot);
    return m;
}

static cl_int answer_devices(const struct program *p, struct info_out out) {
    if (out.size_ret) *out.size_ret = p->device_count * sizeof(cl_device_id);
    if (!out.value) return CL_SUCCESS;
    if (out.room < p->device_count * sizeof(cl_device_id)) return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < p->device_count; i++)
        ((cl_device_id *)out.value)[i] = (cl_device_id)p->devices[i].device;
    return CL_SUCCESS;
}

static cl_int answer_kernel_names(const struct program *p, struct info_out out) {
    const struct program_meta *m = any_built(p);
    if (!m) return CL_INVALID_PROGRAM_EXECUTABLE;
    size_t bytes = 1;
    for (cl_uint i = 0; i < m->kernel_count; i++) bytes += strlen(m->kernels[i].name) + 1;
    char *text = malloc(bytes), *at = text;
    if (!text) return CL_OUT_OF_HOST_MEMORY;
    *at = '\0';
    for (cl_uint i = 0; i < m->kernel_count; i++) {
        if (i) *at++ = ';';
        at = stpcpy(at, m->kernels[i].name);
    }
    cl_int rc = info_string(out, text);
    free(text);
    return rc;
}

/* Binaries of one slot, asked of its backend. blobs and sizes: one a device of the slot. */
static cl_int slot_binaries(struct program *p, cl_uint slot, unsigned char ***blobs, size_t **sizes) {
    const struct context_slot *s = &p->context->slots[slot];
    *blobs = calloc(s->device_count, sizeof(unsigned char *));
    *sizes = calloc(s->device_count, sizeof **sizes);
    if (!*blobs || !*sizes) return CL_OUT_OF_HOST_MEMORY;
    return s->backend->ops->get_binaries(s->backend, p->parts[slot].ref, s->device_count, *blobs, *sizes);
}

/* One slot's binaries into the program's memory (out), or their sizes (out_sizes). No lock held: the backend
 * may wait. */
static cl_int take_slot(struct program *p, cl_uint slot, unsigned char **out, size_t *out_sizes) {
    unsigned char **blobs = NULL;
    size_t *sizes = NULL;
    cl_int rc = slot_binaries(p, slot, &blobs, &sizes);
    for (cl_uint i = 0; rc == CL_SUCCESS && i < p->device_count; i++) {
        const struct program_device *d = &p->devices[i];
        if (d->slot != slot) continue;
        if (out_sizes) out_sizes[i] = sizes[d->place];
        if (out && out[i] && blobs[d->place]) memcpy(out[i], blobs[d->place], sizes[d->place]);
    }
    for (cl_uint i = 0; blobs && i < p->context->slots[slot].device_count; i++) free(blobs[i]);
    free(blobs);
    free(sizes);
    return rc;
}

static bool slot_used(const struct program *p, cl_uint slot) {
    for (cl_uint i = 0; i < p->device_count; i++)
        if (p->devices[i].slot == slot) return true;
    return false;
}

/* Whether the backend must be asked: a program of binaries that was not built yet has them, too. */
static bool slot_has_binaries(struct program *p, cl_uint slot) {
    pthread_mutex_lock(&p->lock);
    bool has = p->origin == PROGRAM_BINARY;
    for (cl_uint i = 0; i < p->device_count; i++)
        if (p->devices[i].slot == slot && p->devices[i].status == CL_BUILD_SUCCESS) has = true;
    if (!p->parts[slot].ref || p->origin == PROGRAM_BUILTIN) has = false;
    pthread_mutex_unlock(&p->lock);
    return has;
}

static cl_int answer_binaries(struct program *p, struct info_out out, bool only_sizes) {
    size_t each = only_sizes ? sizeof(size_t) : sizeof(unsigned char *);
    if (out.size_ret) *out.size_ret = p->device_count * each;
    if (!out.value) return CL_SUCCESS;
    if (out.room < p->device_count * each) return CL_INVALID_VALUE;
    if (only_sizes) memset(out.value, 0, p->device_count * each);
    cl_int rc = CL_SUCCESS;
    for (cl_uint slot = 0; slot < p->context->slot_count && rc == CL_SUCCESS; slot++) {
        if (!slot_used(p, slot) || !slot_has_binaries(p, slot)) continue;
        rc = take_slot(p, slot, only_sizes ? NULL : out.value, only_sizes ? out.value : NULL);
    }
    return rc;
}

static cl_int answer_locked(struct program *p, cl_program_info param, struct info_out out) {
    const struct program_meta *m;
    switch (param) {
    case CL_PROGRAM_NUM_KERNELS:
        m = any_built(p);
        return m ? info_size(out, m->kernel_count) : CL_INVALID_PROGRAM_EXECUTABLE;
    case CL_PROGRAM_KERNEL_NAMES: return answer_kernel_names(p, out);
    case CL_PROGRAM_SCOPE_GLOBAL_CTORS_PRESENT:
    case CL_PROGRAM_SCOPE_GLOBAL_DTORS_PRESENT: return info_uint(out, CL_FALSE);
    default: return CL_INVALID_VALUE;
    }
}

cl_int weft_clGetProgramInfo(cl_program program, cl_program_info param, size_t room, void *value,
                             size_t *size_ret) {
    struct program *p = program_from(program);
    struct info_out out = {room, value, size_ret};
    if (!p) return CL_INVALID_PROGRAM;
    switch (param) {
    case CL_PROGRAM_REFERENCE_COUNT: return info_uint(out, atomic_load(&p->object.refs));
    case CL_PROGRAM_CONTEXT: return info_pointer(out, p->context);
    case CL_PROGRAM_NUM_DEVICES: return info_uint(out, p->device_count);
    case CL_PROGRAM_DEVICES: return answer_devices(p, out);
    case CL_PROGRAM_SOURCE: return info_string(out, p->source);
    case CL_PROGRAM_IL: return info_bytes(out, p->il, p->il_bytes);
    case CL_PROGRAM_BINARY_SIZES: return answer_binaries(p, out, true);
    case CL_PROGRAM_BINARIES: return answer_binaries(p, out, false);
    default: break;
    }
    pthread_mutex_lock(&p->lock);
    cl_int rc = answer_locked(p, param, out);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static cl_int answer_build(const struct program *p, cl_uint index, cl_program_build_info param,
                           struct info_out out) {
    const struct program_device *d = &p->devices[index];
    const struct program_device_meta *m = device_meta(p, index);
    bool ended = d->status != CL_BUILD_IN_PROGRESS && d->status != CL_BUILD_NONE;
    cl_program_binary_type type = m && ended ? m->binary_type : CL_PROGRAM_BINARY_TYPE_NONE;
    switch (param) {
    case CL_PROGRAM_BUILD_STATUS: return info_uint(out, (cl_uint)d->status);
    case CL_PROGRAM_BUILD_OPTIONS: return info_string(out, d->options);
    case CL_PROGRAM_BUILD_LOG: return info_string(out, m && ended ? m->log : "");
    case CL_PROGRAM_BINARY_TYPE: return info_bytes(out, &type, sizeof type);
    case CL_PROGRAM_BUILD_GLOBAL_VARIABLE_TOTAL_SIZE:
        return info_size(out, m && ended ? m->global_variable_bytes : 0);
    default: return CL_INVALID_VALUE;
    }
}

cl_int weft_clGetProgramBuildInfo(cl_program program, cl_device_id device, cl_program_build_info param,
                                  size_t room, void *value, size_t *size_ret) {
    struct program *p = program_from(program);
    struct device *d = device_from(device);
    if (!p) return CL_INVALID_PROGRAM;
    cl_uint index = d ? program_device_index(p, d) : p->device_count;
    if (index == p->device_count) return CL_INVALID_DEVICE;
    pthread_mutex_lock(&p->lock);
    cl_int rc = answer_build(p, index, param, (struct info_out){room, value, size_ret});
    pthread_mutex_unlock(&p->lock);
    return rc;
}
