/* Images: formats, limits and the layout of their host memory. */
#ifndef WEFT_OPENCL_FRONT_IMAGE_H
#define WEFT_OPENCL_FRONT_IMAGE_H
#include "opencl/front/mem.h"

/* ---- image_format.c ---- */
/* Bytes of an element; 0: no format that OpenCL defines. */
size_t image_element_bytes(const cl_image_format *f);
cl_uint image_channels(const cl_image_format *f);
/* Whether any device of the context has the format for images of that type and use. Asks the devices once. */
cl_int image_format_supported(struct context *c, cl_mem_flags flags, cl_mem_object_type type,
                              const cl_image_format *f);
void image_formats_forget(struct context *c);

/* ---- image_limits.c ---- */
bool device_has_images(const struct device *d);
/* Within the device's limits. */
bool image_fits(const struct device *d, const struct image *i);
/* In pixels and in bytes, for 2D images of buffers; a pitch alignment of 0: the device has none. */
cl_uint device_image_pitch_alignment(const struct device *d);

/* ---- image.c ---- */
/* The backend's image of a slot. host: initial contents for a driver that takes them itself, else NULL. */
cl_int image_make_part(struct mem *m, cl_uint slot, void *host, bk_ref *out);
/* Whether the box lies in the image. */
bool image_has(const struct image *i, const size_t *origin, const size_t *region);
bool image_is_whole(const struct image *i, const size_t region[3]);
/* Where an element lies in host memory of the image's layout. */
size_t image_offset(const struct image *i, const size_t origin[3]);
/* mem_transfer for images. */
void image_transfer(struct bk_command *c, const struct mem *m, bk_ref part, bool read, const size_t origin[3],
                    const size_t region[3], void *host);

#endif
