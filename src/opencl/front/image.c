/* Images: creation, their layout in host memory, information. What the specification lets a program do wrong
 * is found here, so that the error comes with the call also when the device is on another node. */
#include "opencl/front/image.h"

#include <stdlib.h>

#include "opencl/front/entries.h"

bool image_has(const struct image *i, const size_t *origin, const size_t *region) {
    if (!origin || !region) return false;
    for (int d = 0; d < 3; d++)
        if (!region[d] || origin[d] > i->extent[d] || region[d] > i->extent[d] - origin[d]) return false;
    return true;
}

bool image_is_whole(const struct image *i, const size_t region[3]) {
    return memcmp(region, i->extent, sizeof i->extent) == 0;
}

size_t image_offset(const struct image *i, const size_t origin[3]) {
    return origin[0] * i->element_bytes + origin[1] * i->row + origin[2] * i->slice;
}

void image_transfer(struct bk_command *c, const struct mem *m, bk_ref part, bool read, const size_t origin[3],
                    const size_t region[3], void *host) {
    const struct image *i = m->image;
    bool layers = i->desc.image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY;
    c->op = read ? BK_READ_IMAGE : BK_WRITE_IMAGE;
    c->u.image.mem = part;
    memcpy(c->u.image.origin, origin, sizeof c->u.image.origin);
    memcpy(c->u.image.region, region, sizeof c->u.image.region);
    c->u.image.element_bytes = i->element_bytes;
    c->u.image.row_pitch = i->row;
    c->u.image.slice_pitch = layers ? i->row : i->slice;
    c->u.image.host = host;
    c->u.image.host_src = host;
}

cl_int image_make_part(struct mem *m, cl_uint slot, void *host, bk_ref *out) {
    const struct context_slot *s = &m->context->slots[slot];
    bool plain = s->backend->direct && !m->context->tracked;
    struct bk_image i = {.flags = mem_part_flags(m, slot),
                         .format = m->image->format,
                         .desc = m->image->desc,
                         .host = plain ? host : NULL,
                         .check = m->parent && !m->context->tracked}; /* some devices do not share */
    i.desc.mem_object = NULL;
    bool pitched = i.desc.image_type == CL_MEM_OBJECT_IMAGE2D && m->parent && !m->parent->image;
    if (!i.host && !pitched) i.desc.image_row_pitch = 0;
    if (!i.host) i.desc.image_slice_pitch = 0;
    if (m->parent) {
        cl_int rc = mem_part_ref_locked(m->parent, slot, &i.parent);
        if (rc != CL_SUCCESS) return rc;
    }
    return s->backend->ops->create_image(s->backend, s->ref, &i, out);
}

/* ---- the description ---- */
/* Keeps the dimensions that the type has. False: there is no such type, or one of them is 0. */
static bool take_dimensions(struct image *i, const cl_image_desc *from) {
    cl_image_desc *d = &i->desc;
    *d = (cl_image_desc){.image_type = from->image_type, .image_width = from->image_width};
    size_t extent[3] = {from->image_width, 1, 1};
    switch (from->image_type) {
    case CL_MEM_OBJECT_IMAGE1D:
    case CL_MEM_OBJECT_IMAGE1D_BUFFER: break;
    case CL_MEM_OBJECT_IMAGE1D_ARRAY: extent[1] = d->image_array_size = from->image_array_size; break;
    case CL_MEM_OBJECT_IMAGE2D: extent[1] = d->image_height = from->image_height; break;
    case CL_MEM_OBJECT_IMAGE2D_ARRAY:
        extent[1] = d->image_height = from->image_height;
        extent[2] = d->image_array_size = from->image_array_size;
        break;
    case CL_MEM_OBJECT_IMAGE3D:
        extent[1] = d->image_height = from->image_height;
        extent[2] = d->image_depth = from->image_depth;
        break;
    default: return false;
    }
    memcpy(i->extent, extent, sizeof extent);
    return extent[0] && extent[1] && extent[2];
}

/* Fills zero pitches and checks the given ones; then the layout, and all bytes. */
static cl_int lay_out(struct image *i, size_t row, size_t slice, size_t *size) {
    bool sliced =
             i->desc.image_type == CL_MEM_OBJECT_IMAGE3D || i->desc.image_type == CL_MEM_OBJECT_IMAGE2D_ARRAY,
         layers = i->desc.image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY;
    size_t least, plane;
    if (__builtin_mul_overflow(i->extent[0], i->element_bytes, &least)) return CL_INVALID_IMAGE_DESCRIPTOR;
    if (!row) row = least;
    if (row < least || row % i->element_bytes) return CL_INVALID_IMAGE_DESCRIPTOR;
    if (__builtin_mul_overflow(row, layers ? 1 : i->extent[1], &plane)) return CL_INVALID_IMAGE_DESCRIPTOR;
    if (!slice || !(sliced || layers)) slice = plane;
    if (slice < plane || slice % row) return CL_INVALID_IMAGE_DESCRIPTOR;
    i->row = layers ? slice : row;
    i->slice = sliced ? slice : 0;
    i->desc.image_row_pitch = row;
    i->desc.image_slice_pitch = sliced || layers ? slice : 0;
    size_t count = layers ? i->extent[1] : i->extent[2];
    return __builtin_mul_overflow(slice, count, size) ? CL_INVALID_IMAGE_DESCRIPTOR : CL_SUCCESS;
}

/* Some device of the context has images, and of that size. */
static cl_int check_devices(const struct context *c, const struct image *i) {
    cl_int rc = CL_INVALID_OPERATION;
    for (cl_uint d = 0; d < c->device_count; d++) {
        if (!device_has_images(c->devices[d])) continue;
        if (image_fits(c->devices[d], i)) return CL_SUCCESS;
        rc = CL_INVALID_IMAGE_SIZE;
    }
    return rc;
}

/* ---- images of buffers and of images ---- */
/* A 2D image takes its pitch and place from the buffer: some device must be able to. */
static cl_int check_pitch(const struct context *c, const struct mem *parent, const struct image *i) {
    cl_int rc = CL_INVALID_OPERATION;
    size_t at = 0;
    for (const struct mem *m = parent; m; m = m->parent) at += m->origin;
    for (cl_uint d = 0; d < c->device_count; d++) {
        size_t align = device_image_pitch_alignment(c->devices[d]) * i->element_bytes;
        if (!align) continue;
        if (i->desc.image_row_pitch % align == 0 && at % i->element_bytes == 0) return CL_SUCCESS;
        rc = CL_INVALID_IMAGE_FORMAT_DESCRIPTOR;
    }
    return rc;
}

/* The other view of a 2D image must be of the same elements. */
static cl_int check_same(const struct mem *parent, const struct image *i) {
    const struct image *p = parent->image;
    if (p->desc.image_type != CL_MEM_OBJECT_IMAGE2D || i->desc.image_type != CL_MEM_OBJECT_IMAGE2D)
        return CL_INVALID_IMAGE_DESCRIPTOR;
    if (memcmp(p->extent, i->extent, sizeof p->extent)) return CL_INVALID_IMAGE_DESCRIPTOR;
    bool same = p->format.image_channel_data_type == i->format.image_channel_data_type &&
                image_channels(&p->format) == image_channels(&i->format);
    return same ? CL_SUCCESS : CL_INVALID_IMAGE_FORMAT_DESCRIPTOR;
}

static cl_int check_in_buffer(const struct mem *parent, const struct image *i, size_t size) {
    if (size > parent->size) return CL_INVALID_IMAGE_DESCRIPTOR;
    return i->desc.image_type == CL_MEM_OBJECT_IMAGE2D ? check_pitch(parent->context, parent, i) : CL_SUCCESS;
}

/* *parent stays NULL where the image has memory of its own. */
static cl_int find_parent(struct context *c, const cl_image_desc *d, struct mem **parent) {
    bool may = d->image_type == CL_MEM_OBJECT_IMAGE2D, must = d->image_type == CL_MEM_OBJECT_IMAGE1D_BUFFER;
    if (!d->mem_object) return must ? CL_INVALID_IMAGE_DESCRIPTOR : CL_SUCCESS;
    *parent = mem_from(d->mem_object);
    if (!*parent || (*parent)->context != c || !(may || must)) return CL_INVALID_IMAGE_DESCRIPTOR;
    return must && (*parent)->image ? CL_INVALID_IMAGE_DESCRIPTOR : CL_SUCCESS;
}

/* ---- creation ---- */
struct wish {
    cl_mem_flags flags;
    const cl_image_format *format;
    const cl_image_desc *desc;
    void *host;
};

static cl_int check_host(const struct wish *w, const struct mem *parent) {
    bool wants_host = w->flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR);
    if (wants_host != (w->host != NULL)) return CL_INVALID_HOST_PTR;
    bool pitches = w->desc->image_row_pitch || w->desc->image_slice_pitch;
    return pitches && !w->host && !parent ? CL_INVALID_IMAGE_DESCRIPTOR : CL_SUCCESS;
}

/* Where its bytes lie: in memory of its own, or in the parent's, whose rules then hold. */
static cl_int place(struct wish *w, struct image *i, const struct mem *parent, size_t *size) {
    const cl_image_desc *d = w->desc;
    if (!parent) return lay_out(i, d->image_row_pitch, d->image_slice_pitch, size);
    cl_int rc = mem_inherit_flags(parent, &w->flags);
    if (rc == CL_SUCCESS && parent->image) rc = check_same(parent, i);
    bool pitched = !parent->image && d->image_type == CL_MEM_OBJECT_IMAGE2D;
    size_t row = parent->image ? parent->image->row : pitched ? d->image_row_pitch : 0;
    if (rc == CL_SUCCESS) rc = lay_out(i, row, 0, size);
    return rc == CL_SUCCESS && !parent->image ? check_in_buffer(parent, i, *size) : rc;
}

/* All that can be said without asking a device. w->flags: with what is inherited. */
static cl_int describe(struct context *c, struct wish *w, struct image *i, struct mem **parent,
                       size_t *size) {
    const cl_image_desc *d = w->desc;
    if (!w->format || !(i->element_bytes = image_element_bytes(w->format)))
        return CL_INVALID_IMAGE_FORMAT_DESCRIPTOR;
    i->format = *w->format;
    if (!d || !take_dimensions(i, d) || d->num_mip_levels || d->num_samples)
        return CL_INVALID_IMAGE_DESCRIPTOR;
    cl_int rc = check_devices(c, i);
    if (rc == CL_SUCCESS) rc = find_parent(c, d, parent);
    if (rc == CL_SUCCESS) rc = check_host(w, *parent);
    if (rc == CL_SUCCESS) rc = place(w, i, *parent, size);
    return rc == CL_SUCCESS && !mem_fits(c, *size) ? CL_MEM_OBJECT_ALLOCATION_FAILURE : rc;
}

static cl_int create(struct context *c, struct wish w, struct mem **out) {
    struct mem *parent = NULL;
    size_t size;
    cl_int rc = mem_check_flags(w.flags);
    if (rc != CL_SUCCESS) return rc;
    struct image *i = calloc(1, sizeof *i);
    if (!i) return CL_OUT_OF_HOST_MEMORY;
    rc = describe(c, &w, i, &parent, &size);
    if (!(w.flags & (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY | CL_MEM_READ_ONLY))) w.flags |= CL_MEM_READ_WRITE;
    if (rc == CL_SUCCESS) rc = image_format_supported(c, w.flags, i->desc.image_type, &i->format);
    if (rc != CL_SUCCESS) {
        free(i);
        return rc;
    }
    struct mem *m = mem_new(c, w.flags, size, i);
    if (!m) return CL_OUT_OF_HOST_MEMORY;
    if (parent) object_hold(parent);
    m->parent = parent;
    m->host_ptr = parent ? parent->host_ptr : w.flags & CL_MEM_USE_HOST_PTR ? w.host : NULL;
    m->image->desc.mem_object = (cl_mem)parent;
    return mem_begin(m, w.host, out);
}

cl_mem weft_clCreateImage(cl_context context, cl_mem_flags flags, const cl_image_format *format,
                          const cl_image_desc *desc, void *host, cl_int *errcode_ret) {
    struct mem *m = NULL;
    struct context *c = context_from(context);
    cl_int rc = c ? create(c, (struct wish){flags, format, desc, host}, &m) : CL_INVALID_CONTEXT;
    if (errcode_ret) *errcode_ret = rc;
    return (cl_mem)m;
}

cl_mem weft_clCreateImageWithProperties(cl_context context, const cl_mem_properties *properties,
                                        cl_mem_flags flags, const cl_image_format *format,
                                        const cl_image_desc *desc, void *host, cl_int *errcode_ret) {
    struct mem *m = NULL;
    struct context *c = context_from(context);
    cl_int rc = CL_INVALID_CONTEXT;
    if (c && properties && *properties)
        rc = CL_INVALID_PROPERTY; /* none is defined for images */
    else if (c)
        rc = create(c, (struct wish){flags, format, desc, host}, &m);
    if (m && properties) mem_keep_empty_properties(m);
    if (errcode_ret) *errcode_ret = rc;
    return (cl_mem)m;
}

/* Of OpenCL 1.0: sizes that are not there are sizes that are wrong. */
static cl_mem create_old(cl_context context, cl_mem_flags flags, const cl_image_format *format,
                         const cl_image_desc *desc, void *host, cl_int *errcode_ret) {
    bool flat = desc->image_type == CL_MEM_OBJECT_IMAGE3D && desc->image_depth < 2;
    cl_int rc = CL_INVALID_IMAGE_SIZE;
    cl_mem m = NULL;
    if (context_from(context) && (!desc->image_width || !desc->image_height || flat)) {
        if (errcode_ret) *errcode_ret = rc;
        return NULL;
    }
    m = weft_clCreateImage(context, flags, format, desc, host, &rc);
    if (errcode_ret) *errcode_ret = rc == CL_INVALID_IMAGE_DESCRIPTOR ? CL_INVALID_IMAGE_SIZE : rc;
    return m;
}

cl_mem weft_clCreateImage2D(cl_context context, cl_mem_flags flags, const cl_image_format *format,
                            size_t width, size_t height, size_t row_pitch, void *host, cl_int *errcode_ret) {
    const cl_image_desc d = {.image_type = CL_MEM_OBJECT_IMAGE2D,
                             .image_width = width,
                             .image_height = height,
                             .image_row_pitch = row_pitch};
    return create_old(context, flags, format, &d, host, errcode_ret);
}

cl_mem weft_clCreateImage3D(cl_context context, cl_mem_flags flags, const cl_image_format *format,
                            size_t width, size_t height, size_t depth, size_t row_pitch, size_t slice_pitch,
                            void *host, cl_int *errcode_ret) {
    const cl_image_desc d = {.image_type = CL_MEM_OBJECT_IMAGE3D,
                             .image_width = width,
                             .image_height = height,
                             .image_depth = depth,
                             .image_row_pitch = row_pitch,
                             .image_slice_pitch = slice_pitch};
    return create_old(context, flags, format, &d, host, errcode_ret);
}

cl_int weft_clGetImageInfo(cl_mem image, cl_image_info param, size_t room, void *value, size_t *size_ret) {
    struct mem *m = mem_from(image);
    struct info_out out = {room, value, size_ret};
    if (!m || !m->image) return CL_INVALID_MEM_OBJECT;
    const struct image *i = m->image;
    switch (param) {
    case CL_IMAGE_FORMAT: return info_bytes(out, &i->format, sizeof i->format);
    case CL_IMAGE_ELEMENT_SIZE: return info_size(out, i->element_bytes);
    case CL_IMAGE_ROW_PITCH: return info_size(out, i->desc.image_row_pitch);
    case CL_IMAGE_SLICE_PITCH: return info_size(out, i->desc.image_slice_pitch);
    case CL_IMAGE_WIDTH: return info_size(out, i->desc.image_width);
    case CL_IMAGE_HEIGHT: return info_size(out, i->desc.image_height);
    case CL_IMAGE_DEPTH: return info_size(out, i->desc.image_depth);
    case CL_IMAGE_ARRAY_SIZE: return info_size(out, i->desc.image_array_size);
    case CL_IMAGE_BUFFER: return info_pointer(out, i->desc.mem_object);
    case CL_IMAGE_NUM_MIP_LEVELS: return info_uint(out, 0);
    case CL_IMAGE_NUM_SAMPLES: return info_uint(out, 0);
    default: return CL_INVALID_VALUE;
    }
}
