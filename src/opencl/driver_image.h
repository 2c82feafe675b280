/* Driver images: making and asking for them through a driver's dispatch table, however old it is. */
#ifndef WEFT_OPENCL_DRIVER_IMAGE_H
#define WEFT_OPENCL_DRIVER_IMAGE_H
#include "opencl/backend.h"
#include "opencl/drivers.h"

/* parent: the driver's memory object that it shares memory with; NULL: none. NULL and *rc: refused. */
cl_mem driver_create_image(cl_context context, const struct bk_image *image, cl_mem parent, cl_int *rc);
/* Heap; caller frees (NULL, 0: none). */
cl_int driver_image_formats(cl_context context, cl_mem_flags flags, cl_mem_object_type type,
                            cl_image_format **out, cl_uint *count);
cl_sampler driver_create_sampler(cl_context context, const struct bk_sampler *sampler, cl_int *rc);

#endif
