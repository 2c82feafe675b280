/* Pipes: memory objects that only kernels use. */
#ifndef WEFT_OPENCL_FRONT_PIPE_H
#define WEFT_OPENCL_FRONT_PIPE_H
#include "opencl/front/mem.h"

/* The backend's pipe of a slot. CL_MEM_OBJECT_ALLOCATION_FAILURE: it is in another one already, or cannot be
 * there. */
cl_int pipe_make_part(struct mem *m, cl_uint slot, bk_ref *out);

#endif
