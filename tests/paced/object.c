/* Paced devices: contexts and buffers. */
#include <stdlib.h>
#include <string.h>

#include "api.h"

static void *give(void *object, cl_int error, cl_int *err) {
    if (err) *err = object ? CL_SUCCESS : error;
    return object;
}

bool paced_has_device(cl_context c, cl_device_id d) {
    for (cl_uint i = 0; i < c->count; i++)
        if (c->device[i] == d) return true;
    return false;
}

PACED_API(cl_context, clCreateContext, const cl_context_properties *props, cl_uint count,
          const cl_device_id *devices, paced_context_fn *fn, void *arg, cl_int *err) {
    if (!count || count > PACED_DEVICES_MAX || !devices) return give(NULL, CL_INVALID_VALUE, err);
    cl_context c = paced_new(sizeof *c, free);
    if (!c) return give(NULL, CL_OUT_OF_HOST_MEMORY, err);
    c->count = count;
    memcpy(c->device, devices, count * sizeof *devices);
    return give(c, CL_SUCCESS, err);
}

PACED_API(cl_int, clGetContextInfo, cl_context c, cl_context_info what, size_t room, void *out,
          size_t *size) {
    cl_uint refs = c->head.refs;
    switch (what) {
    case CL_CONTEXT_REFERENCE_COUNT: return paced_answer(&refs, sizeof refs, room, out, size);
    case CL_CONTEXT_NUM_DEVICES: return paced_answer(&c->count, sizeof c->count, room, out, size);
    case CL_CONTEXT_DEVICES: return paced_answer(c->device, c->count * sizeof *c->device, room, out, size);
    case CL_CONTEXT_PROPERTIES: return paced_answer(NULL, 0, room, out, size);
    default: return CL_INVALID_VALUE;
    }
}

static void destroy_buffer(void *object) {
    cl_mem m = object;
    paced_release(m->context);
    free(m->data);
    free(m);
}

/* Memory of the device's own in any case: CL_MEM_USE_HOST_PTR is not for devices whose memory is not the
 * host's. */
PACED_API(cl_mem, clCreateBuffer, cl_context c, cl_mem_flags flags, size_t bytes, void *host, cl_int *err) {
    bool copies = flags & CL_MEM_COPY_HOST_PTR;
    if (!bytes) return give(NULL, CL_INVALID_BUFFER_SIZE, err);
    if (flags & CL_MEM_USE_HOST_PTR) return give(NULL, CL_INVALID_OPERATION, err);
    if (copies != (host != NULL)) return give(NULL, CL_INVALID_HOST_PTR, err);
    cl_mem m = paced_new(sizeof *m, destroy_buffer);
    if (!m) return give(NULL, CL_OUT_OF_HOST_MEMORY, err);
    paced_retain(c);
    m->context = c;
    m->flags = flags;
    m->bytes = bytes;
    m->data = calloc(1, bytes);
    if (!m->data) {
        destroy_buffer(m);
        return give(NULL, CL_MEM_OBJECT_ALLOCATION_FAILURE, err);
    }
    if (copies) memcpy(m->data, host, bytes);
    return give(m, CL_SUCCESS, err);
}
