/* Objects: the client's handles and the drivers' objects they stand for. The serving thread only. */
#ifndef WEFT_OPENCL_EXECUTOR_OBJECTS_H
#define WEFT_OPENCL_EXECUTOR_OBJECTS_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "opencl/backend.h"
#include "opencl/drivers.h"
#include "opencl/wire/wire.h"

#define OBJECT_CHUNK 1024u

/* Memory in the client's buffers, bytes. The serving thread only. */
struct quota {
    uint64_t used, most; /* most 0: no limit but the driver's */
};

/* What a context's objects need to know of it; lives as long as any of them. */
struct context_info {
    atomic_uint holds;
    const struct driver_platform *platform;
    struct quota *quota; /* the executor's */
    cl_context context;
    bool hosts; /* its device works in the host's memory, wherever that is */
    cl_uint device_count;
    cl_device_id devices[];
};

struct lane;
struct object {
    uint32_t generation;
    uint8_t kind;                      /* enum bk_kind; 0: free */
    bool profiles, user, from_il, set; /* queues; events; programs; user events whose status was set */
    cl_int error;                      /* the creation failed: uses give this */
    cl_int arg_error;                  /* kernels: the last refused argument's error and index */
    uint32_t arg_index;
    uint8_t *arg_takes; /* kernels: enum arg_takes + 1 of each argument; 0: not asked yet */
    cl_uint arg_count;
    void *handle;                    /* the driver's object; NULL when the creation failed */
    size_t size;                     /* buffers */
    uint64_t charged;                /* memory: of the quota */
    cl_mem_object_type image_type;   /* images, and pipes; else 0 */
    size_t extent[3], element_bytes; /* images: as origins and regions count, and bytes of an element */
    void *svm, *svm_whole; /* memory over shared virtual memory: where it begins, what the driver gave */
    uint32_t peer;         /* events: that executor tells their end; 0: nobody does */
    struct context_info *context; /* held */
    struct lane *lane;            /* queues: held */
    struct weft_list dirty;       /* queues: in the executor's list of those to be flushed */
};
struct objects {
    struct object *chunks[WIRE_HANDLES_MAX / OBJECT_CHUNK];
};

/* Charges the object's memory; it is given back when the object is dropped. False: it is more than there may
 * be. */
bool quota_charge(struct quota *q, struct object *o, uint64_t bytes);

void context_info_hold(struct context_info *c);
void context_info_release(struct context_info *c); /* NULL is nothing */

/* CL_SUCCESS and *out; the kind's CL_INVALID_… for an unknown, stale or other kind's handle; a failed
 * creation's error (then *out is set too, so that it can be released). kind 0: any. */
cl_int object_find(const struct objects *t, uint64_t handle, unsigned kind, struct object **out);
/* It was made, and released since; false: it may yet be made. */
bool object_is_past(const struct objects *t, uint64_t handle);
/* Takes the slot of a new handle. CL_INVALID_VALUE: in use or out of range; CL_OUT_OF_HOST_MEMORY. */
cl_int object_claim(struct objects *t, uint64_t handle, unsigned kind, struct object **out);
/* Releases the driver's object and frees the slot. */
void object_drop(struct object *o);
void objects_fini(struct objects *t);
typedef void object_visit_fn(void *arg, struct object *o);
void objects_visit(struct objects *t, unsigned kind, object_visit_fn *fn, void *arg);

#endif
