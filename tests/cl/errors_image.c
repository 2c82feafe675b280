/* Wrong calls with images and samplers. Where PoCL 3.1 gives another code, it is named. */
#include "errors.h"
#include "image.h"
#include <string.h>

static const size_t zero3[3], one3[3] = {1, 1, 1};

static cl_int image_error(struct cltest *t, cl_mem_flags flags, const cl_image_format *f,
                          const cl_image_desc *d, void *host) {
    cl_int err = 0;
    cl_mem m = clCreateImage(t->ctx, flags, f, d, host, &err);
    if (m) clReleaseMemObject(m);
    return err;
}

#define DESC(type, width, height, ...)                                                                       \
    (&(cl_image_desc){                                                                                       \
        .image_type = CL_MEM_OBJECT_##type, .image_width = width, .image_height = height, __VA_ARGS__})

void errors_image(struct cltest *t) {
    const cl_image_format unknown = {0x4242, CL_UNORM_INT8}, untyped = {CL_RGBA, 0x4242};
    static char host[4096];
    if (!image_support(t)) return;
    const cl_image_desc good = *DESC(IMAGE2D, 8, 4);
    expect("clCreateImage: format NULL", image_error(t, 0, NULL, &good, NULL),
           CL_INVALID_IMAGE_FORMAT_DESCRIPTOR);
    expect_or("clCreateImage: unknown channel order", image_error(t, 0, &unknown, &good, NULL),
              CL_INVALID_IMAGE_FORMAT_DESCRIPTOR, CL_INVALID_OPERATION);
    expect_or("clCreateImage: unknown channel type", image_error(t, 0, &untyped, &good, NULL),
              CL_INVALID_IMAGE_FORMAT_DESCRIPTOR, CL_INVALID_OPERATION);
    expect("clCreateImage: description NULL", image_error(t, 0, &image_rgba8, NULL, NULL),
           CL_INVALID_IMAGE_DESCRIPTOR);
    expect("clCreateImage: two access flags",
           image_error(t, CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY, &image_rgba8, &good, NULL), CL_INVALID_VALUE);
    expect("clCreateImage: pointer without a flag", image_error(t, 0, &image_rgba8, &good, host),
           CL_INVALID_HOST_PTR);
    expect("clCreateImage: copy without a pointer",
           image_error(t, CL_MEM_COPY_HOST_PTR, &image_rgba8, &good, NULL), CL_INVALID_HOST_PTR);
    expect_or("clCreateImage: no height", image_error(t, 0, &image_rgba8, DESC(IMAGE2D, 8, 0), NULL),
              CL_INVALID_IMAGE_DESCRIPTOR, CL_INVALID_BUFFER_SIZE);
    expect_or("clCreateImage: too wide", image_error(t, 0, &image_rgba8, DESC(IMAGE2D, 1 << 30, 4), NULL),
              CL_INVALID_IMAGE_SIZE, CL_INVALID_OPERATION);
    expect_or("clCreateImage: a buffer's type", image_error(t, 0, &image_rgba8, DESC(BUFFER, 8, 4), NULL),
              CL_INVALID_IMAGE_DESCRIPTOR, CL_INVALID_VALUE);
    expect_or("clCreateImage: pitch without host memory",
              image_error(t, 0, &image_rgba8, DESC(IMAGE2D, 8, 4, .image_row_pitch = 64), NULL),
              CL_INVALID_IMAGE_DESCRIPTOR, CL_SUCCESS);
    expect_or(
        "clCreateImage: pitch below a row",
        image_error(t, CL_MEM_COPY_HOST_PTR, &image_rgba8, DESC(IMAGE2D, 8, 4, .image_row_pitch = 16), host),
        CL_INVALID_IMAGE_DESCRIPTOR, CL_SUCCESS);
    expect_or(
        "clCreateImage: pitch of part of an element",
        image_error(t, CL_MEM_COPY_HOST_PTR, &image_rgba8, DESC(IMAGE2D, 8, 4, .image_row_pitch = 34), host),
        CL_INVALID_IMAGE_DESCRIPTOR, CL_INVALID_VALUE);
    expect_or("clCreateImage: 1D of no buffer",
              image_error(t, 0, &image_rgba8, DESC(IMAGE1D_BUFFER, 8, 0), NULL), CL_INVALID_IMAGE_DESCRIPTOR,
              CL_INVALID_MEM_OBJECT);
}

static void formats(struct cltest *t) {
    cl_image_format f;
    cl_uint n;
    expect("clGetSupportedImageFormats: no entries, but a list",
           clGetSupportedImageFormats(t->ctx, CL_MEM_READ_ONLY, CL_MEM_OBJECT_IMAGE2D, 0, &f, &n),
           CL_INVALID_VALUE);
    expect_or("clGetSupportedImageFormats: a buffer's type",
              clGetSupportedImageFormats(t->ctx, CL_MEM_READ_ONLY, CL_MEM_OBJECT_BUFFER, 1, &f, &n),
              CL_INVALID_VALUE, CL_SUCCESS);
}

static void samplers(struct cltest *t) {
    cl_int err = 0;
    cl_uint v;
    clCreateSampler(t->ctx, CL_FALSE, CL_ADDRESS_REPEAT, CL_FILTER_NEAREST, &err);
    expect("clCreateSampler: repeat without normalized coordinates", err, CL_INVALID_VALUE);
    clCreateSampler(t->ctx, CL_TRUE, 0x4242, CL_FILTER_NEAREST, &err);
    expect_or("clCreateSampler: unknown addressing", err, CL_INVALID_VALUE, CL_SUCCESS);
    clCreateSampler(t->ctx, CL_TRUE, CL_ADDRESS_CLAMP, 0x4242, &err);
    expect_or("clCreateSampler: unknown filter", err, CL_INVALID_VALUE, CL_SUCCESS);
    cl_sampler s = clCreateSampler(t->ctx, CL_TRUE, CL_ADDRESS_CLAMP, CL_FILTER_NEAREST, &err);
    OK(err);
    expect("clGetSamplerInfo: unknown", clGetSamplerInfo(s, 0x4242, sizeof v, &v, NULL), CL_INVALID_VALUE);
    expect("clGetSamplerInfo: too little room", clGetSamplerInfo(s, CL_SAMPLER_FILTER_MODE, 2, &v, NULL),
           CL_INVALID_VALUE);
    OK(clReleaseSampler(s));
}

/* A program that was built without options: the kernel's arguments are known all the same, if the device can
 * tell them at all. */
static void sampler_argument(struct cltest *t) {
    const char *text = "__kernel void taking(sampler_t s, __global int *out) { out[0] = 1; }";
    const cl_sampler none = NULL;
    cl_int err;
    size_t size;
    cl_kernel told = cltest_kernel(t, "values");
    err = clGetKernelArgInfo(told, 0, CL_KERNEL_ARG_NAME, 0, NULL, &size);
    OK(clReleaseKernel(told));
    if (err == CL_KERNEL_ARG_INFO_NOT_AVAILABLE) return;
    cl_program p = clCreateProgramWithSource(t->ctx, 1, &text, NULL, &err);
    OK(err);
    OK(clBuildProgram(p, 0, NULL, NULL, NULL, NULL));
    cl_kernel k = clCreateKernel(p, "taking", &err);
    OK(err);
    /* PoCL (3.1) alone takes it: it was not asked to know what the argument is. */
    expect_risky("clSetKernelArg: no sampler", clSetKernelArg(k, 0, sizeof none, &none), CL_INVALID_SAMPLER);
    expect("clSetKernelArg: half a sampler", clSetKernelArg(k, 0, sizeof none / 2, &none),
           CL_INVALID_ARG_SIZE);
    OK(clReleaseKernel(k));
    OK(clReleaseProgram(p));
}

/* One wrong transfer of an image of 24 by 10. */
static cl_int read_error(struct cltest *t, cl_mem m, const size_t *origin, const size_t *region, size_t row,
                         size_t slice, void *to) {
    return clEnqueueReadImage(t->queue[0], m, CL_TRUE, origin, region, row, slice, to, 0, NULL, NULL);
}

static void transfers(struct cltest *t, cl_mem m, cl_mem buffer) {
    unsigned char data[24 * 10 * 4];
    const size_t all[3] = {24, 10, 1}, wide[3] = {25, 10, 1}, flat[3] = {24, 0, 1}, deep[3] = {24, 10, 2},
                 far[3] = {24, 0, 0};
    expect("clEnqueueReadImage: pointer NULL", read_error(t, m, zero3, all, 0, 0, NULL), CL_INVALID_VALUE);
    expect("clEnqueueReadImage: too wide", read_error(t, m, zero3, wide, 0, 0, data), CL_INVALID_VALUE);
    expect_or("clEnqueueReadImage: empty", read_error(t, m, zero3, flat, 0, 0, data), CL_INVALID_VALUE,
              CL_SUCCESS);
    expect("clEnqueueReadImage: a depth that 2D has not", read_error(t, m, zero3, deep, 0, 0, data),
           CL_INVALID_VALUE);
    expect("clEnqueueReadImage: begins outside", read_error(t, m, far, one3, 0, 0, data), CL_INVALID_VALUE);
    expect_or("clEnqueueReadImage: pitch below a row", read_error(t, m, zero3, all, 95, 0, data),
              CL_INVALID_VALUE, CL_SUCCESS);
    expect_or("clEnqueueReadImage: of a buffer", read_error(t, buffer, zero3, one3, 0, 0, data),
              CL_INVALID_MEM_OBJECT, CL_INVALID_VALUE);
    expect("clEnqueueWriteImage: too wide",
           clEnqueueWriteImage(t->queue[0], m, CL_TRUE, zero3, wide, 0, 0, data, 0, NULL, NULL),
           CL_INVALID_VALUE);
    expect_or("clEnqueueReadBuffer: of an image",
              clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, 4, data, 0, NULL, NULL), CL_INVALID_MEM_OBJECT,
              CL_SUCCESS);
}

static void copies(struct cltest *t, cl_mem m, cl_mem other, cl_mem buffer) {
    const size_t all[3] = {24, 10, 1}, part[3] = {8, 4, 1}, near[3] = {2, 2, 0}, wide[3] = {25, 1, 1};
    const cl_uint color[4] = {0};
    expect("clEnqueueCopyImage: other format",
           clEnqueueCopyImage(t->queue[0], m, other, zero3, zero3, part, 0, NULL, NULL),
           CL_IMAGE_FORMAT_MISMATCH);
    expect("clEnqueueCopyImage: overlap",
           clEnqueueCopyImage(t->queue[0], m, m, zero3, near, part, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
    expect("clEnqueueCopyImage: too wide",
           clEnqueueCopyImage(t->queue[0], m, m, zero3, zero3, wide, 0, NULL, NULL), CL_INVALID_VALUE);
    expect("clEnqueueCopyImageToBuffer: more than the buffer has",
           clEnqueueCopyImageToBuffer(t->queue[0], m, buffer, zero3, all, 0, 0, NULL, NULL),
           CL_INVALID_VALUE);
    expect("clEnqueueCopyBufferToImage: beyond the buffer's end",
           clEnqueueCopyBufferToImage(t->queue[0], buffer, m, 253, zero3, one3, 0, NULL, NULL),
           CL_INVALID_VALUE);
    expect("clEnqueueFillImage: color NULL",
           clEnqueueFillImage(t->queue[0], m, NULL, zero3, part, 0, NULL, NULL), CL_INVALID_VALUE);
    expect("clEnqueueFillImage: too wide",
           clEnqueueFillImage(t->queue[0], m, color, zero3, wide, 0, NULL, NULL), CL_INVALID_VALUE);
}

static void maps(struct cltest *t, cl_mem m) {
    const size_t all[3] = {24, 10, 1}, wide[3] = {25, 1, 1};
    size_t row;
    cl_int err = 0;
    clEnqueueMapImage(t->queue[0], m, CL_TRUE, CL_MAP_READ, zero3, all, NULL, NULL, 0, NULL, NULL, &err);
    expect("clEnqueueMapImage: nowhere to put the pitch", err, CL_INVALID_VALUE);
    clEnqueueMapImage(t->queue[0], m, CL_TRUE, CL_MAP_READ, zero3, wide, &row, NULL, 0, NULL, NULL, &err);
    expect("clEnqueueMapImage: too wide", err, CL_INVALID_VALUE);
    clEnqueueMapImage(t->queue[0], m, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE_INVALIDATE_REGION, zero3, all, &row,
                      NULL, 0, NULL, NULL, &err);
    expect_or("clEnqueueMapImage: read and invalidate", err, CL_INVALID_VALUE, CL_SUCCESS);
}

void errors_image_command(struct cltest *t) {
    static const cl_image_format rgba16 = {CL_RGBA, CL_UNSIGNED_INT16};
    size_t v;
    if (!image_support(t)) return;
    struct shape s = shape_of(CL_MEM_OBJECT_IMAGE2D);
    cl_mem m = image_make(t, &s, &image_rgba8, CL_MEM_READ_WRITE, NULL),
           other = image_make(t, &s, &rgba16, CL_MEM_READ_WRITE, NULL),
           sealed = image_make(t, &s, &image_rgba8, CL_MEM_HOST_NO_ACCESS, NULL),
           buffer = cltest_buffer(t, CL_MEM_READ_WRITE, 256, NULL);
    char data[4];
    expect_or("clGetImageInfo: of a buffer", clGetImageInfo(buffer, CL_IMAGE_WIDTH, sizeof v, &v, NULL),
              CL_INVALID_MEM_OBJECT, CL_SUCCESS);
    expect("clGetImageInfo: unknown", clGetImageInfo(m, 0x4242, sizeof v, &v, NULL), CL_INVALID_VALUE);
    expect("clEnqueueReadImage: without the host's access", read_error(t, sealed, zero3, one3, 0, 0, data),
           CL_INVALID_OPERATION);
    formats(t);
    samplers(t);
    sampler_argument(t);
    transfers(t, m, buffer);
    copies(t, m, other, buffer);
    maps(t, m);
    OK(clReleaseMemObject(m));
    OK(clReleaseMemObject(other));
    OK(clReleaseMemObject(sealed));
    OK(clReleaseMemObject(buffer));
}
