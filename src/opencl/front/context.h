/* Contexts and queues. A context has one slot a backend (a driver platform on a node) among its devices; with
 * more than one it is `tracked`: memory objects then have a part a slot, with versions (coherence.h).
 *
 * Locks, in the order they may be taken: kernel, context (`lock`), then leaves (events, lists, callbacks).
 * Completion functions, which may run inside a backend's enqueue, take only leaves. */
#ifndef WEFT_OPENCL_FRONT_CONTEXT_H
#define WEFT_OPENCL_FRONT_CONTEXT_H
#include <pthread.h>

#include "base/list.h"
#include "opencl/front/platform.h"

struct context_slot {
    struct backend *backend;
    bk_ref ref;
    cl_uint device_count, *devices; /* numbers in the backend's platform */
    bk_ref service;                 /* queue that moves data; made at first use; context lock */
    bk_ref late;                    /* the same for late transfers (late.h) */
};

struct context_callback {
    struct context_callback *next;
    cl_context context; /* its address only */
    void(CL_CALLBACK *fn)(cl_context, void *);
    void *data;
};

struct context {
    struct object object;
    struct platform *platform;
    cl_uint device_count, slot_count;
    struct device **devices;             /* as the program named them, without doubles */
    cl_uint *device_slot, *device_place; /* of each device: its slot, its place in the slot's devices */
    struct context_slot *slots;
    bool tracked;
    cl_context_properties *properties;
    size_t property_count;     /* words, the ending 0 included */
    pthread_mutex_t lock;      /* parts, versions and the order of enqueuing in a tracked context */
    pthread_mutex_t list_lock; /* leaf: queues, callbacks, formats */
    struct weft_list queues;
    struct weft_list svms;     /* struct svm (svm.h); list_lock */
    struct weft_list arrivals; /* host memory that commands under way write (late.c); list_lock */
    struct queue **default_queues; /* of each device: its own default one, not held; NULL: none; list_lock */
    struct context_callback *callbacks;
    struct image_formats *formats; /* heap; NULL: not asked for yet; list_lock (image_format.c) */
};

struct queue {
    struct object object;
    struct context *context; /* held */
    struct device *device;
    struct backend *backend;
    cl_uint slot;
    bk_ref ref;
    cl_command_queue_properties properties;
    cl_uint device_bytes; /* of a queue of the device's own (CL_QUEUE_SIZE) */
    bk_ref made[4]; /* by their properties: this one, and those that it was before (OpenCL 1.0); 0: none */
    atomic_bool clock_known;    /* with the next, once a command of a direct backend's told its times */
    _Atomic int64_t to_clock;   /* from the device's clock to this machine's, ns */
    cl_queue_properties *array; /* as given to clCreateCommandQueueWithProperties; NULL: none */
    size_t array_bytes;
    struct weft_list link; /* context->queues */
};

static inline struct context *context_from(cl_context h) { return object_check(h, OBJECT_CONTEXT); }
/* A queue of either kind; one of the host's, to which commands are enqueued; one of a device's own. */
static inline struct queue *queue_from_any(cl_command_queue h) { return object_check(h, OBJECT_QUEUE); }
static inline bool queue_on_device(const struct queue *q) { return q->properties & CL_QUEUE_ON_DEVICE; }
static inline struct queue *queue_from(cl_command_queue h) {
    struct queue *q = queue_from_any(h);
    return q && !queue_on_device(q) ? q : NULL;
}
static inline struct queue *device_queue_from(cl_command_queue h) {
    struct queue *q = queue_from_any(h);
    return q && queue_on_device(q) ? q : NULL;
}
static inline bool queue_out_of_order(const struct queue *q) {
    return q->properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
}
/* The index of a device in the context; device_count: not there. */
cl_uint context_device_index(const struct context *c, const struct device *d);
/* The slot's queue for moving data. Context lock held. */
cl_int context_service(struct context *c, cl_uint slot, bk_ref *queue);
/* The slot's queue for late transfers. Context lock held. */
cl_int context_late(struct context *c, cl_uint slot, bk_ref *queue);

#endif
