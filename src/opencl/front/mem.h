/* Memory objects: buffers, sub-buffers and images. One has a part (a backend's object) a slot of its context,
 * and what the host knows of it: initial contents that no device has yet, and mappings. A sub-buffer, or an
 * image of a buffer, has parts of its own, made of the parent's; versions are the parent's. */
#ifndef WEFT_OPENCL_FRONT_MEM_H
#define WEFT_OPENCL_FRONT_MEM_H
#include "opencl/front/event.h"

/* Initial contents on the host, shared by the memory object and the uploads under way. */
struct initial {
    _Atomic uint32_t refs;
    const void *data; /* follows in the same allocation, or the program's CL_MEM_USE_HOST_PTR memory */
    unsigned char copy[];
};

struct part_use {              /* a command that uses the part */
    struct event *event;       /* held */
    const struct queue *queue; /* of the command, to tell it only; NULL: weft's own */
    size_t begin, end;         /* of the object's bytes */
    bool writes;
    uint64_t number; /* of the object's uses */
};

struct mem_part {
    bk_ref ref;   /* 0: not made yet */
    cl_uint home; /* parts of one home are twins: in the same memory; 0: nothing is said */
};

/* What a part has of a range. */
struct mem_version {
    bool valid;            /* holds the newest contents, or will once `in` and its writers have ended */
    struct event *in;      /* held; data on its way into the part; NULL: none */
    struct part_use *uses; /* since the last time data moved in; in tracked contexts */
    unsigned use_count, use_room;
};

/* A stretch of an object's memory that has versions of its own (range.h). */
struct mem_range {
    size_t offset, size;
    bool initial;           /* mem.initial has its newest contents */
    struct mem_version *at; /* one a slot */
};

struct mem_region {
    size_t offset, size;         /* of a buffer */
    size_t origin[3], region[3]; /* of an image */
};

struct mapping {
    struct mapping *next;
    unsigned char *ptr;
    struct mem_region at;
    cl_map_flags flags;
    bool native;  /* made by the driver (BK_MAP) */
    bool shared;  /* the device's own memory, which this process has, too */
    cl_uint slot; /* where, if native */
};

struct mem_callback {
    struct mem_callback *next;
    struct mem *mem; /* its address only */
    void(CL_CALLBACK *fn)(cl_mem, void *);
    void *data;
};

/* What an image has beyond a buffer. All host memory of an image (CL_MEM_USE_HOST_PTR, maps, data in flight)
 * has the same layout. */
struct image {
    cl_image_format format;
    cl_image_desc desc; /* as clGetImageInfo tells it: pitches filled in, dimensions that are not there 0 */
    size_t element_bytes;
    size_t extent[3];  /* as origins and regions count: width; height or layers; depth or layers; else 1 */
    size_t row, slice; /* bytes from one [1] to the next, from one [2] to the next (0 without slices) */
};

struct mem {
    struct object object;
    struct context *context; /* held */
    struct mem *parent;      /* held; NULL: its memory is its own. Sub-buffers, images of buffers or images */
    struct image *image;     /* heap; NULL: a buffer */
    cl_mem_flags flags;
    size_t origin, size;
    void *host_ptr;                /* CL_MEM_USE_HOST_PTR memory, of a sub-buffer at its origin; else NULL */
    cl_mem_properties *properties; /* as given; heap */
    size_t property_bytes;
    struct mem_part *parts; /* one a slot; first_part for one */
    struct mem_part first_part;
    struct mem_range *ranges; /* root: in order, without gaps; first_range for one. Images have one; context lock */
    unsigned range_count;
    struct mem_range first_range;
    struct mem_version first_version;
    uint64_t uses;           /* root: noted so far; context lock */
    atomic_bool attention;   /* root: something must be done before a use: contents to bring, or on the way */
    struct initial *initial; /* root: contents that the host has and that are the newest, of the ranges that say so;
                              * context lock */
    pthread_mutex_t map_lock; /* leaf: mappings, shadow, callbacks */
    struct mapping *mappings;
    cl_uint map_count;
    void *shadow; /* root: host memory that maps are given of, when the driver's cannot be */
    struct mem_callback *callbacks;
};

static inline struct mem *mem_from(cl_mem h) { return object_check(h, OBJECT_MEM); }
/* Whose memory it is, and whose versions count. */
static inline struct mem *mem_root(struct mem *m) {
    while (m->parent) m = m->parent;
    return m;
}
/* A new object; NULL: no memory. The image (may be NULL) is taken over in any case. */
struct mem *mem_new(struct context *c, cl_mem_flags flags, size_t size, struct image *image);
cl_int mem_check_flags(cl_mem_flags flags);
/* The flags of an object that shares its parent's memory; CL_INVALID_VALUE: they would widen them. */
cl_int mem_inherit_flags(const struct mem *parent, cl_mem_flags *flags);
/* The new object's backend object, where the context has one backend, and its initial contents. Takes the
 * object over: *out, or it is gone. */
cl_int mem_begin(struct mem *m, void *host, struct mem **out);
/* The flags that a part of it is made with. */
cl_mem_flags mem_part_flags(const struct mem *m, cl_uint slot);
/* Any device of the context can have an object of that size. */
bool mem_fits(const struct context *c, size_t size);
/* Notes that the program gave properties, of which there are none. */
void mem_keep_empty_properties(struct mem *m);
struct mem_region mem_whole(const struct mem *m);
/* The command that reads or writes a region, to or from host memory of the object's layout. */
void mem_transfer(struct bk_command *c, const struct mem *m, bk_ref part, bool read,
                  const struct mem_region *r, void *host);
/* The backend's object of a slot, made if it is not there. */
cl_int mem_part_ref(struct mem *m, cl_uint slot, bk_ref *out);
/* The same with the context lock held. */
cl_int mem_part_ref_locked(struct mem *m, cl_uint slot, bk_ref *out);
void initial_drop(struct initial *i);

#endif
