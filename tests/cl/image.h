/* What the image tests share. */
#ifndef TESTS_CL_IMAGE_H
#define TESTS_CL_IMAGE_H
#include "cltest.h"

/* An image's sizes; those of its elements once it is made. */
struct shape {
    cl_image_desc desc;
    size_t extent[3], elements, element, row, bytes;
};

extern const cl_image_format image_rgba8;

/* False, with a note: there is a device without images. */
bool image_support(struct cltest *t);
struct shape shape_of(cl_mem_object_type type);
/* An image of that shape; one of a buffer gets a buffer of its own. */
cl_mem image_make(struct cltest *t, struct shape *s, const cl_image_format *f, cl_mem_flags flags,
                  void *host);
/* All of it, packed. */
void image_write(struct cltest *t, unsigned dev, cl_mem m, const struct shape *s, const void *data);
void image_read(struct cltest *t, unsigned dev, cl_mem m, const struct shape *s, void *data);

#endif
