/* Shared virtual memory in graphs, coarse-grained: the calls of OpenCL 2. */
#undef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 300
#include "graph.h"
#include <string.h>

bool graph_svm_able(cl_device_id d) {
    cl_device_svm_capabilities able = 0;
    cl_int err = clGetDeviceInfo(d, CL_DEVICE_SVM_CAPABILITIES, sizeof able, &able, NULL);
    return !err && (able & CL_DEVICE_SVM_COARSE_GRAIN_BUFFER);
}

void *graph_svm_alloc(cl_context c, size_t bytes) { return clSVMAlloc(c, CL_MEM_READ_WRITE, bytes, 0); }
void graph_svm_free(cl_context c, void *p) { clSVMFree(c, p); }
cl_int graph_svm_arg(cl_kernel k, cl_uint at, void *p) { return clSetKernelArgSVMPointer(k, at, p); }

/* The host has it between the two commands. */
static cl_int map(const struct graph_step *s, const struct graph_command *c, unsigned char *p) {
    bool reads = s->kind == GRAPH_MAP_READ;
    size_t bytes = s->use[0].bytes;
    cl_map_flags flags = reads ? CL_MAP_READ : s->value & 1 ? CL_MAP_WRITE : CL_MAP_WRITE_INVALIDATE_REGION;
    cl_int err = clEnqueueSVMMap(c->queue, CL_TRUE, flags, p, bytes, c->count, c->list, NULL);
    if (err) return err;
    if (reads)
        memcpy(s->memory, p, bytes);
    else
        memcpy(p, s->memory, bytes);
    return clEnqueueSVMUnmap(c->queue, p, 0, NULL, c->done);
}

cl_int graph_svm_run(const struct graph *g, const struct graph_step *s, const struct graph_command *c,
                     void *const *memory) {
    const struct graph_use *u = s->use;
    unsigned char *p = memory[u->object], *at = p + u->from;
    const void *whole = p;
    switch (s->kind) {
    case GRAPH_WRITE:
        return clEnqueueSVMMemcpy(c->queue, s->blocking, at, s->memory, u->bytes, c->count, c->list, c->done);
    case GRAPH_READ:
        return clEnqueueSVMMemcpy(c->queue, s->blocking, s->memory, at, u->bytes, c->count, c->list, c->done);
    case GRAPH_COPY:
        return clEnqueueSVMMemcpy(c->queue, CL_FALSE, at, (unsigned char *)memory[u[1].object] + u[1].from,
                                  u->bytes, c->count, c->list, c->done);
    case GRAPH_FILL:
        return clEnqueueSVMMemFill(c->queue, at, &s->value, sizeof s->value, u->bytes, c->count, c->list,
                                   c->done);
    case GRAPH_MAP_READ:
    case GRAPH_MAP_WRITE: return map(s, c, at);
    default: /* GRAPH_MIGRATE */
        return clEnqueueSVMMigrateMem(c->queue, 1, &whole, NULL,
                                      s->value & 1 ? CL_MIGRATE_MEM_OBJECT_HOST : 0, c->count, c->list,
                                      c->done);
    }
}

cl_int graph_svm_read(const struct graph_command *c, void *from, void *to, size_t bytes) {
    return clEnqueueSVMMemcpy(c->queue, CL_TRUE, to, from, bytes, c->count, c->list, c->done);
}
