/* Memory objects: buffers and sub-buffers. A buffer has a part (a backend's buffer) a slot of its context,
 * and what the host knows of it: initial contents that no device has yet, and mappings. A sub-buffer has
 * parts of its own, made of the parent's; versions are the parent's. */
#ifndef WEFT_OPENCL_FRONT_MEM_H
#define WEFT_OPENCL_FRONT_MEM_H
#include "opencl/front/event.h"

/* Initial contents on the host, shared by the buffer and the uploads under way. */
struct initial {
    _Atomic uint32_t refs;
    const void *data; /* follows in the same allocation, or the program's CL_MEM_USE_HOST_PTR memory */
    unsigned char copy[];
};

struct part_use {              /* a command that uses the part */
    struct event *event;       /* held */
    const struct queue *queue; /* of the command, to tell it only; NULL: weft's own */
    bool writes;
};

struct mem_part {
    bk_ref ref;            /* 0: not made yet */
    bool valid;            /* holds the newest contents, or will once `in` and its writers have ended */
    struct event *in;      /* held; data on its way into the part; NULL: none */
    struct part_use *uses; /* since the last time data moved in; in tracked contexts */
    unsigned use_count, use_room;
};

struct mapping {
    struct mapping *next;
    unsigned char *ptr;
    size_t offset, size; /* in the buffer that was mapped */
    cl_map_flags flags;
    bool native;  /* made by the driver (BK_MAP) */
    cl_uint slot; /* where, if native */
};

struct mem_callback {
    struct mem_callback *next;
    struct mem *mem; /* its address only */
    void(CL_CALLBACK *fn)(cl_mem, void *);
    void *data;
};

struct mem {
    struct object object;
    struct context *context; /* held */
    struct mem *parent;      /* held; NULL: no sub-buffer */
    cl_mem_flags flags;
    size_t origin, size;
    void *host_ptr;                /* CL_MEM_USE_HOST_PTR memory, of a sub-buffer at its origin; else NULL */
    cl_mem_properties *properties; /* as given; heap */
    size_t property_bytes;
    struct mem_part *parts; /* one a slot; first_part for one */
    struct mem_part first_part;
    atomic_bool attention;   /* root: something must be done before a use: contents to bring, or on the way */
    struct initial *initial; /* root: contents that the host has and that are the newest; context lock */
    pthread_mutex_t map_lock; /* leaf: mappings, shadow, callbacks */
    struct mapping *mappings;
    cl_uint map_count;
    void *shadow; /* root: host memory that maps are given of, when the driver's cannot be */
    struct mem_callback *callbacks;
};

static inline struct mem *mem_from(cl_mem h) { return object_check(h, OBJECT_MEM); }
static inline struct mem *mem_root(struct mem *m) { return m->parent ? m->parent : m; }
/* The backend's buffer of a slot, made if it is not there. */
cl_int mem_part_ref(struct mem *m, cl_uint slot, bk_ref *out);
/* The same with the context lock held. */
cl_int mem_part_ref_locked(struct mem *m, cl_uint slot, bk_ref *out);
void initial_drop(struct initial *i);

#endif
