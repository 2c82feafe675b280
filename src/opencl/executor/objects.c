/* Objects: a table by index in chunks, whose entries never move. */
#include "opencl/executor/internal.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>

void context_info_hold(struct context_info *c) { atomic_fetch_add(&c->holds, 1); }

void context_info_release(struct context_info *c) {
    if (!c || atomic_fetch_sub(&c->holds, 1) != 1) return;
    if (c->context) DRIVER(c->context)->clReleaseContext(c->context);
    free(c);
}

static cl_int invalid(unsigned kind) {
    static const cl_int codes[] = {
        CL_INVALID_VALUE,      CL_INVALID_CONTEXT, CL_INVALID_COMMAND_QUEUE,
        CL_INVALID_MEM_OBJECT, CL_INVALID_PROGRAM, CL_INVALID_KERNEL,
        CL_INVALID_EVENT,      CL_INVALID_SAMPLER, CL_INVALID_DEVICE_QUEUE,
    };
    return kind < sizeof codes / sizeof *codes ? codes[kind] : CL_INVALID_VALUE;
}

static struct object *at(const struct objects *t, uint64_t handle) {
    uint32_t index = wire_handle_index(handle);
    if (index >= WIRE_HANDLES_MAX || !t->chunks[index / OBJECT_CHUNK]) return NULL;
    return &t->chunks[index / OBJECT_CHUNK][index % OBJECT_CHUNK];
}

cl_int object_find(const struct objects *t, uint64_t handle, unsigned kind, struct object **out) {
    struct object *o = at(t, handle);
    if (!o || !o->kind || o->generation != wire_handle_generation(handle)) return invalid(kind);
    if (kind && o->kind != kind) return invalid(kind);
    *out = o;
    return o->error;
}

bool object_is_past(const struct objects *t, uint64_t handle) {
    struct object *o = at(t, handle);
    if (!o) return wire_handle_index(handle) >= WIRE_HANDLES_MAX;
    int32_t ahead = (int32_t)(o->generation - wire_handle_generation(handle));
    return o->kind ? ahead > 0 : ahead >= 0;
}

cl_int object_claim(struct objects *t, uint64_t handle, unsigned kind, struct object **out) {
    uint32_t index = wire_handle_index(handle);
    if (index >= WIRE_HANDLES_MAX || !wire_handle_generation(handle)) return CL_INVALID_VALUE;
    struct object **chunk = &t->chunks[index / OBJECT_CHUNK];
    if (!*chunk) *chunk = calloc(OBJECT_CHUNK, sizeof **chunk);
    if (!*chunk) return CL_OUT_OF_HOST_MEMORY;
    struct object *o = &(*chunk)[index % OBJECT_CHUNK];
    if (o->kind) return CL_INVALID_VALUE;
    *o = (struct object){.generation = wire_handle_generation(handle), .kind = (uint8_t)kind};
    weft_list_init(&o->dirty);
    *out = o;
    return CL_SUCCESS;
}

static void release_handle(struct object *o) {
    const cl_icd_dispatch *d = DRIVER(o->handle);
    switch (o->kind) {
    case BK_QUEUE:
    case BK_DEVICE_QUEUE: d->clReleaseCommandQueue(o->handle); break;
    case BK_MEM: d->clReleaseMemObject(o->handle); break;
    case BK_PROGRAM: d->clReleaseProgram(o->handle); break;
    case BK_KERNEL: d->clReleaseKernel(o->handle); break;
    case BK_EVENT: d->clReleaseEvent(o->handle); break;
    case BK_SAMPLER: d->clReleaseSampler(o->handle); break;
    default: break; /* a context's is its info's */
    }
}

bool quota_charge(struct quota *q, struct object *o, uint64_t bytes) {
    if (q->most && bytes > q->most - q->used) {
        weft_warn("executor",
                  "memory of %" PRIu64 " bytes beside %" PRIu64 " is refused: %" PRIu64
                  " are allowed (WEFT_EXEC_BUFFER_BYTES)",
                  bytes, q->used, q->most);
        return false;
    }
    q->used += bytes;
    o->charged = bytes;
    return true;
}

void object_drop(struct object *o) {
    if (o->charged) o->context->quota->used -= o->charged;
    if (o->handle) release_handle(o);
    if (o->svm_whole) DRIVER(o->context->context)->clSVMFree(o->context->context, o->svm_whole);
    free(o->arg_takes);
    lane_release(o->lane);
    context_info_release(o->context);
    *o = (struct object){.generation = o->generation};
}

void objects_visit(struct objects *t, unsigned kind, object_visit_fn *fn, void *arg) {
    for (size_t c = 0; c < WIRE_HANDLES_MAX / OBJECT_CHUNK; c++) {
        for (size_t i = 0; t->chunks[c] && i < OBJECT_CHUNK; i++) {
            struct object *o = &t->chunks[c][i];
            if (o->kind == kind) fn(arg, o);
        }
    }
}

static void drop_visited(void *arg, struct object *o) { object_drop(o); }

void objects_fini(struct objects *t) {
    static const enum bk_kind order[] = {BK_EVENT, BK_KERNEL, BK_PROGRAM,      BK_SAMPLER,
                                         BK_MEM,   BK_QUEUE,  BK_DEVICE_QUEUE, BK_CONTEXT};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) objects_visit(t, order[i], drop_visited, NULL);
    for (size_t c = 0; c < WIRE_HANDLES_MAX / OBJECT_CHUNK; c++) free(t->chunks[c]);
}
