/* Samplers: constant descriptions, with a backend's sampler a slot. */
#ifndef WEFT_OPENCL_FRONT_SAMPLER_H
#define WEFT_OPENCL_FRONT_SAMPLER_H
#include "opencl/front/context.h"

struct sampler {
    struct object object;
    struct context *context; /* held */
    struct bk_sampler what;
    cl_sampler_properties *properties; /* as given to clCreateSamplerWithProperties; heap; NULL: none */
    size_t property_bytes;
    bk_ref *refs; /* one a slot, 0: not made yet; context lock in tracked contexts */
};

static inline struct sampler *sampler_from(cl_sampler h) { return object_check(h, OBJECT_SAMPLER); }
/* The backend's sampler of a slot, made if it is not there. */
cl_int sampler_ref(struct sampler *s, cl_uint slot, bk_ref *out);

#endif
