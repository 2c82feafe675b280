/* Driver images: see driver_image.h. */
#include "opencl/driver_image.h"

#include <stdlib.h>

#define FORMATS_MAX 4096u

/* Before OpenCL 1.2 a driver has 2D and 3D images, by calls of their own, and no others. */
static cl_mem create_old(cl_context c, const struct bk_image *i, cl_mem parent, cl_int *rc) {
    const cl_icd_dispatch *d = DRIVER(c);
    const cl_image_desc *s = &i->desc;
    if (s->image_type == CL_MEM_OBJECT_IMAGE2D && !parent && d->clCreateImage2D)
        return d->clCreateImage2D(c, i->flags, &i->format, s->image_width, s->image_height,
                                  s->image_row_pitch, i->host, rc);
    if (s->image_type == CL_MEM_OBJECT_IMAGE3D && d->clCreateImage3D)
        return d->clCreateImage3D(c, i->flags, &i->format, s->image_width, s->image_height, s->image_depth,
                                  s->image_row_pitch, s->image_slice_pitch, i->host, rc);
    *rc = CL_INVALID_OPERATION;
    return NULL;
}

cl_mem driver_create_image(cl_context context, const struct bk_image *image, cl_mem parent, cl_int *rc) {
    cl_image_desc desc = image->desc;
    desc.mem_object = parent;
    *rc = CL_OUT_OF_RESOURCES;
    if (!DRIVER(context)->clCreateImage) return create_old(context, image, parent, rc);
    return DRIVER(context)->clCreateImage(context, image->flags, &image->format, &desc, image->host, rc);
}

cl_int driver_image_formats(cl_context context, cl_mem_flags flags, cl_mem_object_type type,
                            cl_image_format **out, cl_uint *count) {
    const cl_icd_dispatch *d = DRIVER(context);
    cl_uint room = 0;
    *out = NULL;
    *count = 0;
    cl_int rc = d->clGetSupportedImageFormats(context, flags, type, 0, NULL, &room);
    if (rc != CL_SUCCESS || !room) return rc;
    if (room > FORMATS_MAX) room = FORMATS_MAX;
    *out = calloc(room, sizeof **out);
    if (!*out) return CL_OUT_OF_HOST_MEMORY;
    rc = d->clGetSupportedImageFormats(context, flags, type, room, *out, NULL);
    if (rc == CL_SUCCESS) {
        *count = room;
        return rc;
    }
    free(*out);
    *out = NULL;
    return rc;
}

cl_sampler driver_create_sampler(cl_context context, const struct bk_sampler *sampler, cl_int *rc) {
    *rc = CL_OUT_OF_RESOURCES;
    return DRIVER(context)->clCreateSampler(context, sampler->normalized_coords, sampler->addressing,
                                            sampler->filter, rc);
}
