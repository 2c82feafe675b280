/* Images: the formats that OpenCL defines, and those that the devices of a context have. These are asked of
 * each backend once a context, kind of use and type of image, when they are first needed. */
#include <stdlib.h>

#include "opencl/front/entries.h"
#include "opencl/front/image.h"

/* Kinds of channel types that go with an order. */
enum { ANY = 1, PACKED = 2, PACKED_ALPHA = 4, BYTES = 8, REALS = 16, DEPTHS = 32, SRGB = 64 };

static const struct {
    cl_channel_order order;
    cl_uint channels;
    unsigned types;
} orders[] = {
    {CL_R, 1, ANY},           {CL_A, 1, ANY},           {CL_RG, 2, ANY},
    {CL_RA, 2, ANY},          {CL_Rx, 1, ANY},          {CL_RGx, 2, ANY},
    {CL_RGB, 3, PACKED},      {CL_RGBx, 3, PACKED},     {CL_RGBA, 4, ANY | PACKED_ALPHA},
    {CL_BGRA, 4, BYTES},      {CL_ARGB, 4, BYTES},      {CL_ABGR, 4, BYTES},
    {CL_INTENSITY, 1, REALS}, {CL_LUMINANCE, 1, REALS}, {CL_DEPTH, 1, DEPTHS},
    {CL_sRGB, 3, SRGB},       {CL_sRGBx, 4, SRGB},      {CL_sRGBA, 4, SRGB},
    {CL_sBGRA, 4, SRGB},
};

static const struct {
    cl_channel_type type;
    size_t bytes; /* of a channel; of the element for packed ones */
    unsigned kinds;
} types[] = {
    {CL_UNORM_INT8, 1, ANY | BYTES | REALS | SRGB},
    {CL_SNORM_INT8, 1, ANY | BYTES | REALS},
    {CL_SIGNED_INT8, 1, ANY | BYTES},
    {CL_UNSIGNED_INT8, 1, ANY | BYTES},
    {CL_UNORM_INT16, 2, ANY | REALS | DEPTHS},
    {CL_SNORM_INT16, 2, ANY | REALS},
    {CL_SIGNED_INT16, 2, ANY},
    {CL_UNSIGNED_INT16, 2, ANY},
    {CL_HALF_FLOAT, 2, ANY | REALS},
    {CL_SIGNED_INT32, 4, ANY},
    {CL_UNSIGNED_INT32, 4, ANY},
    {CL_FLOAT, 4, ANY | REALS | DEPTHS},
    {CL_UNORM_SHORT_565, 2, PACKED},
    {CL_UNORM_SHORT_555, 2, PACKED},
    {CL_UNORM_INT_101010, 4, PACKED},
    {CL_UNORM_INT_101010_2, 4, PACKED_ALPHA},
};

cl_uint image_channels(const cl_image_format *f) {
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        if (orders[i].order == f->image_channel_order) return orders[i].channels;
    return 0;
}

size_t image_element_bytes(const cl_image_format *f) {
    unsigned allowed = 0;
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        if (orders[i].order == f->image_channel_order) allowed = orders[i].types;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        unsigned both = types[i].kinds & allowed;
        if (types[i].type != f->image_channel_data_type || !both) continue;
        return both & (PACKED | PACKED_ALPHA) ? types[i].bytes : types[i].bytes * image_channels(f);
    }
    return 0;
}

/* ---- what the devices have ---- */
static const cl_mem_flags uses[] = {CL_MEM_READ_ONLY, CL_MEM_WRITE_ONLY, CL_MEM_READ_WRITE,
                                    CL_MEM_KERNEL_READ_AND_WRITE};
#define USES        (sizeof uses / sizeof *uses)
#define TYPES       (CL_MEM_OBJECT_IMAGE1D_BUFFER - CL_MEM_OBJECT_IMAGE2D + 1)
#define FORMATS_MAX 4096u

struct image_formats {
    struct {
        cl_image_format *at;
        cl_uint count;
        bool known;
    } of[USES][TYPES];
};

static bool is_image_type(cl_mem_object_type t) {
    return t >= CL_MEM_OBJECT_IMAGE2D && t <= CL_MEM_OBJECT_IMAGE1D_BUFFER;
}

static size_t use_of(cl_mem_flags flags) {
    for (size_t i = USES; i-- > 0;)
        if (flags & uses[i]) return i;
    return 2; /* the default */
}

void image_formats_forget(struct context *c) {
    for (size_t u = 0; c->formats && u < USES; u++)
        for (size_t t = 0; t < TYPES; t++) free(c->formats->of[u][t].at);
    free(c->formats);
}

static bool has(const cl_image_format *list, cl_uint count, const cl_image_format *f) {
    for (cl_uint i = 0; i < count; i++)
        if (memcmp(&list[i], f, sizeof *f) == 0) return true;
    return false;
}

/* Adds what is not there yet, and what weft knows the size of. */
static cl_int merge(cl_image_format **list, cl_uint *count, const cl_image_format *more, cl_uint more_count) {
    cl_image_format *grown = realloc(*list, ((size_t)*count + more_count + 1) * sizeof *grown);
    if (!grown) return CL_OUT_OF_HOST_MEMORY;
    *list = grown;
    for (cl_uint i = 0; i < more_count; i++)
        if (image_element_bytes(&more[i]) && !has(grown, *count, &more[i])) grown[(*count)++] = more[i];
    return CL_SUCCESS;
}

static bool slot_has_images(const struct context *c, cl_uint slot) {
    for (cl_uint i = 0; i < c->device_count; i++)
        if (c->device_slot[i] == slot && device_has_images(c->devices[i])) return true;
    return false;
}

/* All that any backend of the context has. An error only if none answers. */
static cl_int ask(struct context *c, cl_mem_flags flags, cl_mem_object_type type, cl_image_format **list,
                  cl_uint *count) {
    cl_int failed = CL_SUCCESS;
    bool answered = false;
    *list = NULL;
    *count = 0;
    for (cl_uint i = 0; i < c->slot_count; i++) {
        struct context_slot *s = &c->slots[i];
        cl_image_format *own = NULL;
        cl_uint own_count = 0;
        if (!slot_has_images(c, i)) continue;
        cl_int rc = s->backend->ops->image_formats(s->backend, s->ref, flags, type, &own, &own_count);
        if (own_count > FORMATS_MAX) own_count = FORMATS_MAX;
        if (rc == CL_SUCCESS) rc = merge(list, count, own, own_count);
        free(own);
        answered |= rc == CL_SUCCESS;
        if (rc != CL_SUCCESS) failed = rc;
    }
    return answered ? CL_SUCCESS : failed;
}

/* The list stays as it is while the context lives. */
static cl_int get(struct context *c, cl_mem_flags flags, cl_mem_object_type type,
                  const cl_image_format **list, cl_uint *count) {
    size_t u = use_of(flags), t = type - CL_MEM_OBJECT_IMAGE2D;
    cl_image_format *asked = NULL;
    cl_uint asked_count = 0;
    pthread_mutex_lock(&c->list_lock);
    if (!c->formats) c->formats = calloc(1, sizeof *c->formats);
    struct image_formats *all = c->formats;
    bool known = all && all->of[u][t].known;
    pthread_mutex_unlock(&c->list_lock);
    if (!all) return CL_OUT_OF_HOST_MEMORY;
    cl_int rc = known ? CL_SUCCESS : ask(c, uses[u], type, &asked, &asked_count);
    pthread_mutex_lock(&c->list_lock);
    if (rc == CL_SUCCESS && !all->of[u][t].known) { /* else another thread was first */
        all->of[u][t].at = asked;
        all->of[u][t].count = asked_count;
        all->of[u][t].known = true;
        asked = NULL;
    }
    *list = all->of[u][t].at;
    *count = all->of[u][t].count;
    pthread_mutex_unlock(&c->list_lock);
    free(asked);
    return rc;
}

cl_int image_format_supported(struct context *c, cl_mem_flags flags, cl_mem_object_type type,
                              const cl_image_format *f) {
    const cl_image_format *list;
    cl_uint count;
    cl_int rc = get(c, flags, type, &list, &count);
    if (rc != CL_SUCCESS) return rc;
    return has(list, count, f) ? CL_SUCCESS : CL_IMAGE_FORMAT_NOT_SUPPORTED;
}

cl_int weft_clGetSupportedImageFormats(cl_context context, cl_mem_flags flags, cl_mem_object_type type,
                                       cl_uint num_entries, cl_image_format *formats, cl_uint *num_formats) {
    struct context *c = context_from(context);
    const cl_image_format *list;
    cl_uint count;
    if (!c) return CL_INVALID_CONTEXT;
    cl_int rc = mem_check_flags(flags & ~(cl_mem_flags)CL_MEM_KERNEL_READ_AND_WRITE);
    if (rc != CL_SUCCESS) return rc;
    if (!is_image_type(type) || (formats && !num_entries)) return CL_INVALID_VALUE;
    if ((rc = get(c, flags, type, &list, &count)) != CL_SUCCESS) return rc;
    for (cl_uint i = 0; formats && i < count && i < num_entries; i++) formats[i] = list[i];
    if (num_formats) *num_formats = count;
    return CL_SUCCESS;
}
