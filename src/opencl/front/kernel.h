/* Kernels: their arguments are kept here and given to a backend's kernel when it is next enqueued there, so
 * that setting one costs no message and a kernel can run on any backend of its context, or be cloned. */
#ifndef WEFT_OPENCL_FRONT_KERNEL_H
#define WEFT_OPENCL_FRONT_KERNEL_H
#include "opencl/front/mem.h"
#include "opencl/front/program.h"
#include "opencl/front/sampler.h"

#define KERNEL_ARG_SMALL 16

struct kernel_arg {
    enum bk_arg_kind kind;
    bool set;
    uint32_t version; /* grows with each set; 0: never */
    size_t size;
    union {
        struct object *object;   /* NULL: none, or a NULL buffer */
        struct mem *mem;         /* MEM: not held, as OpenCL has it */
        struct sampler *sampler; /* SAMPLER: the same */
        struct queue *queue;     /* QUEUE: the same */
    };
    uint32_t serial; /* tells whether it is still the same object */
    size_t heap_room;
    unsigned char *heap; /* BYTES of more than KERNEL_ARG_SMALL */
    _Alignas(16) unsigned char small[KERNEL_ARG_SMALL];
};

struct kernel_part {                /* one a slot; kernel lock */
    bk_ref ref;                     /* 0: not made yet */
    const struct kernel_meta *meta; /* NULL: not built there */
    uint32_t *applied;              /* version of each argument that the backend has */
};

struct kernel {
    struct object object;
    struct program *program; /* held */
    const struct kernel_meta
        *meta; /* of the first part that has it; its argument sizes learn (kernel_arg.c) */
    cl_uint first_slot;
    cl_uint arg_count;
    struct kernel_arg *args;
    struct kernel_part *parts;
    void **exec_svm; /* shared virtual memory that it uses besides its arguments */
    cl_uint exec_svm_count;
    bool exec_svm_changed; /* since it was given to the backend */
    pthread_mutex_t lock;  /* arguments and parts; before the context's lock */
};

/* What the meta data tells of an argument. */
bool kernel_arg_is_image(const struct arg_meta *m);
static inline struct kernel *kernel_from(cl_kernel h) { return object_check(h, OBJECT_KERNEL); }
/* Makes the backend's kernel of a slot, if it is not there. Lock held. */
cl_int kernel_part(struct kernel *k, cl_uint slot);
/* Gives the backend's kernel what the program said of shared virtual memory (svm.c). Lock held. */
cl_int kernel_apply_exec_svm(struct kernel *k, cl_uint slot);
/* The backend's kernel of a slot with all arguments given. Lock held. */
cl_int kernel_apply(struct kernel *k, cl_uint slot, bk_ref *out);
/* What the program's meta data tells of a kernel on a device; NULL: not built for it. */
const struct kernel_device_meta *kernel_device_meta(const struct kernel *k, const struct device *d);

#endif
