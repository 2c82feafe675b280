/* Pipes: creation and information. What is in one lies where no command reaches it, on the device whose
 * kernels use it: a pipe is made in one slot of its context, that of the first command that uses it, and does
 * not move. */
#include "opencl/front/pipe.h"

#include "base/log.h"
#include "opencl/front/entries.h"

/* Devices of OpenCL 2 all have pipes; later ones say so. */
static bool has_pipes(const struct device *d) {
    bool told = inventory_find(&d->own->infos, CL_DEVICE_PIPE_SUPPORT) != NULL;
    if (told && !device_number(d, CL_DEVICE_PIPE_SUPPORT, sizeof(cl_bool))) return false;
    return device_number(d, CL_DEVICE_PIPE_MAX_PACKET_SIZE, sizeof(cl_uint)) != 0;
}

/* Some device of the context, or of one slot of it, has pipes, and packets of that size. */
static cl_int check_devices(const struct context *c, cl_uint slot, cl_uint packet_bytes) {
    cl_int rc = CL_INVALID_OPERATION;
    for (cl_uint i = 0; i < c->device_count; i++) {
        const struct device *d = c->devices[i];
        if ((slot < c->slot_count && c->device_slot[i] != slot) || !has_pipes(d)) continue;
        if (packet_bytes <= device_number(d, CL_DEVICE_PIPE_MAX_PACKET_SIZE, sizeof(cl_uint)))
            return CL_SUCCESS;
        rc = CL_INVALID_PIPE_SIZE;
    }
    return rc;
}

cl_int pipe_make_part(struct mem *m, cl_uint slot, bk_ref *out) {
    const struct context *c = m->context;
    const struct backend *there = c->slots[slot].backend;
    for (cl_uint i = 0; i < c->slot_count; i++) {
        if (!m->parts[i].ref) continue;
        weft_warn("opencl",
                  "a pipe that is used on node %u cannot be used on node %u or by another driver, too",
                  c->slots[i].backend->node, there->node);
        return CL_MEM_OBJECT_ALLOCATION_FAILURE;
    }
    if (check_devices(c, slot, m->packet_bytes) != CL_SUCCESS) return CL_MEM_OBJECT_ALLOCATION_FAILURE;
    return there->ops->create_pipe(c->slots[slot].backend, c->slots[slot].ref, m->flags, m->packet_bytes,
                                   m->packets, !c->tracked, out);
}

static cl_int create(struct context *c, cl_mem_flags flags, cl_uint packet_bytes, cl_uint packets,
                     const cl_pipe_properties *properties, struct mem **out) {
    const cl_mem_flags allowed = CL_MEM_READ_WRITE | CL_MEM_HOST_NO_ACCESS;
    cl_int rc = check_devices(c, c->slot_count, packet_bytes);
    if (rc == CL_INVALID_OPERATION) return rc;
    if (flags & ~allowed || properties)
        return CL_INVALID_VALUE; /* no properties are defined, not even none */
    if (rc != CL_SUCCESS || !packet_bytes || !packets) return CL_INVALID_PIPE_SIZE;
    struct mem *m = mem_new(c, flags ? flags : allowed, (size_t)packet_bytes * packets, NULL);
    if (!m) return CL_OUT_OF_HOST_MEMORY;
    m->packet_bytes = packet_bytes;
    m->packets = packets;
    return mem_begin(m, NULL, out);
}

cl_mem weft_clCreatePipe(cl_context context, cl_mem_flags flags, cl_uint packet_bytes, cl_uint packets,
                         const cl_pipe_properties *properties, cl_int *errcode_ret) {
    struct mem *m = NULL;
    struct context *c = context_from(context);
    cl_int rc = c ? create(c, flags, packet_bytes, packets, properties, &m) : CL_INVALID_CONTEXT;
    if (errcode_ret) *errcode_ret = rc;
    return (cl_mem)m;
}

cl_int weft_clGetPipeInfo(cl_mem pipe, cl_pipe_info param, size_t room, void *value, size_t *size_ret) {
    const struct mem *m = mem_from(pipe);
    struct info_out out = {room, value, size_ret};
    if (!m || !mem_is_pipe(m)) return CL_INVALID_MEM_OBJECT;
    switch (param) {
    case CL_PIPE_PACKET_SIZE: return info_uint(out, m->packet_bytes);
    case CL_PIPE_MAX_PACKETS: return info_uint(out, m->packets);
    case CL_PIPE_PROPERTIES: return info_bytes(out, NULL, 0);
    default: return CL_INVALID_VALUE;
    }
}
