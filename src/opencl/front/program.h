/* Programs: a part (a backend's program) a slot of the context, made when it is first built there, and the
 * meta data that each build brings back. Kernels are attached to a program; while one is, it cannot be built
 * again, so that meta data stays where it is for a kernel's life. */
#ifndef WEFT_OPENCL_FRONT_PROGRAM_H
#define WEFT_OPENCL_FRONT_PROGRAM_H
#include "opencl/front/context.h"

struct program_part {
    bk_ref ref;                /* 0: not made yet */
    struct program_meta *meta; /* of the last build that ended; NULL: none */
};

struct program_device { /* one a device of the program, in its order */
    struct device *device;
    cl_uint slot, place; /* place: among the slot's devices */
    cl_build_status status;
    char *options; /* of the last build */
};

enum program_origin { PROGRAM_SOURCE, PROGRAM_BINARY, PROGRAM_IL, PROGRAM_BUILTIN, PROGRAM_LINKED };

struct program_callback {
    struct program_callback *next;
    void(CL_CALLBACK *fn)(cl_program, void *);
    cl_program program; /* its address only */
    void *data;
};

struct program {
    struct object object;
    struct context *context; /* held */
    enum program_origin origin;
    char *source; /* SOURCE only */
    size_t source_bytes;
    void *il; /* IL only */
    size_t il_bytes;
    struct program_callback *callbacks; /* on release; program's lock */
    struct program_part *parts;         /* one a slot */
    cl_uint device_count;
    struct program_device *devices;
    pthread_mutex_t lock; /* leaf, but for program_part_ref: statuses, meta data, builds */
    pthread_cond_t built;
    cl_uint building;        /* parts whose build has not ended */
    _Atomic cl_uint kernels; /* attached */
};

static inline struct program *program_from(cl_program h) { return object_check(h, OBJECT_PROGRAM); }
/* Without devices; room for so many. NULL: no memory. */
struct program *program_new(struct context *c, enum program_origin origin, cl_uint device_room);
void program_add_device(struct program *p, cl_uint context_index);
/* The meta data that a slot's build left, if there is an executable of it. Lock held. */
const struct program_meta *program_built_meta(const struct program *p, cl_uint slot);
/* The program's device in its list; device_count: not there. */
cl_uint program_device_index(const struct program *p, const struct device *d);

#endif
