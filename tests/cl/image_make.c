/* What the image tests share: images of every type, and all of one read and written. */
#include "image.h"

static const size_t zero3[3];

bool image_support(struct cltest *t) {
    for (unsigned d = 0; d < t->n_devices; d++) {
        cl_bool able = CL_FALSE;
        OK(clGetDeviceInfo(t->dev[d], CL_DEVICE_IMAGE_SUPPORT, sizeof able, &able, NULL));
        if (!able) cltest_note("a device without images: nothing to test");
        if (!able) return false;
    }
    return true;
}

struct shape shape_of(cl_mem_object_type type) {
    struct shape s = {.desc = {.image_type = type, .image_width = 24}, .extent = {24, 1, 1}};
    bool layers = type == CL_MEM_OBJECT_IMAGE1D_ARRAY, planar = type == CL_MEM_OBJECT_IMAGE2D ||
                                                                type == CL_MEM_OBJECT_IMAGE2D_ARRAY ||
                                                                type == CL_MEM_OBJECT_IMAGE3D;
    if (layers) s.extent[1] = s.desc.image_array_size = 7;
    if (planar) s.extent[1] = s.desc.image_height = 10;
    if (type == CL_MEM_OBJECT_IMAGE2D_ARRAY) s.extent[2] = s.desc.image_array_size = 5;
    if (type == CL_MEM_OBJECT_IMAGE3D) s.extent[2] = s.desc.image_depth = 5;
    s.elements = s.extent[0] * s.extent[1] * s.extent[2];
    return s;
}

cl_mem image_make(struct cltest *t, struct shape *s, const cl_image_format *f, cl_mem_flags flags,
                  void *host) {
    cl_int err;
    s->desc.buffer = NULL;
    if (s->desc.image_type == CL_MEM_OBJECT_IMAGE1D_BUFFER)
        s->desc.buffer = cltest_buffer(t, CL_MEM_READ_WRITE, s->elements * 16, NULL);
    cl_mem m = clCreateImage(t->ctx, flags, f, &s->desc, host, &err);
    if (err)
        cltest_fail(__FILE__, __LINE__, "clCreateImage(%x) gives %s", s->desc.image_type, clerror_name(err));
    if (s->desc.buffer) OK(clReleaseMemObject(s->desc.buffer)); /* the image keeps it */
    OK(clGetImageInfo(m, CL_IMAGE_ELEMENT_SIZE, sizeof s->element, &s->element, NULL));
    s->row = s->element * s->extent[0];
    s->bytes = s->element * s->elements;
    return m;
}

const cl_image_format image_rgba8 = {CL_RGBA, CL_UNSIGNED_INT8};

void image_write(struct cltest *t, unsigned dev, cl_mem m, const struct shape *s, const void *data) {
    OK(clEnqueueWriteImage(t->queue[dev], m, CL_TRUE, zero3, s->extent, 0, 0, data, 0, NULL, NULL));
}

void image_read(struct cltest *t, unsigned dev, cl_mem m, const struct shape *s, void *data) {
    OK(clEnqueueReadImage(t->queue[dev], m, CL_TRUE, zero3, s->extent, 0, 0, data, 0, NULL, NULL));
}
