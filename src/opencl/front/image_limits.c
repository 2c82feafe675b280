/* Images: what a device's answers say about the sizes that it takes. */
#include "opencl/front/image.h"

bool device_has_images(const struct device *d) {
    return device_number(d, CL_DEVICE_IMAGE_SUPPORT, sizeof(cl_bool)) != 0;
}

cl_uint device_image_pitch_alignment(const struct device *d) {
    return (cl_uint)device_number(d, CL_DEVICE_IMAGE_PITCH_ALIGNMENT, sizeof(cl_uint));
}

static bool within(const struct device *d, size_t value, cl_device_info param) {
    return value <= device_number(d, param, sizeof(size_t));
}

bool image_fits(const struct device *d, const struct image *i) {
    const cl_image_desc *s = &i->desc;
    switch (s->image_type) {
    case CL_MEM_OBJECT_IMAGE1D_BUFFER: return within(d, s->image_width, CL_DEVICE_IMAGE_MAX_BUFFER_SIZE);
    case CL_MEM_OBJECT_IMAGE3D:
        return within(d, s->image_width, CL_DEVICE_IMAGE3D_MAX_WIDTH) &&
               within(d, s->image_height, CL_DEVICE_IMAGE3D_MAX_HEIGHT) &&
               within(d, s->image_depth, CL_DEVICE_IMAGE3D_MAX_DEPTH);
    default: /* what the type does not have is 0 */
        return within(d, s->image_width, CL_DEVICE_IMAGE2D_MAX_WIDTH) &&
               within(d, s->image_height, CL_DEVICE_IMAGE2D_MAX_HEIGHT) &&
               within(d, s->image_array_size, CL_DEVICE_IMAGE_MAX_ARRAY_SIZE);
    }
}
