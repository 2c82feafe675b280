/* Images in use: kernels, samplers, events, and several devices. */
#include "func.h"
#include "image.h"
#include <stdlib.h>
#include <string.h>

static const size_t zero3[3];

static const char source[] =
    "__constant sampler_t near = CLK_NORMALIZED_COORDS_FALSE | CLK_ADDRESS_CLAMP | CLK_FILTER_NEAREST;\n"
    "__kernel void plus(read_only image2d_t in, write_only image2d_t out, uint v) {\n"
    "    int2 p = (int2)(get_global_id(0), get_global_id(1));\n"
    "    write_imageui(out, p, read_imageui(in, near, p) + v); }\n"
    "__kernel void sample(read_only image2d_t in, sampler_t s, __global float *out, float x, float step) {\n"
    "    size_t i = get_global_id(0); out[i] = read_imagef(in, s, (float2)(x + i * step, 0.5f)).x; }\n"
    "__kernel void every(read_only image1d_t a, read_only image1d_array_t b, read_only image2d_array_t c,\n"
    "                    read_only image3d_t d, read_only image1d_buffer_t e, __global uint *out) {\n"
    "    out[0] = read_imageui(a, near, 5).x; out[1] = read_imageui(b, near, (int2)(5, 3)).x;\n"
    "    out[2] = read_imageui(c, near, (int4)(5, 4, 3, 0)).x;\n"
    "    out[3] = read_imageui(d, near, (int4)(5, 4, 3, 0)).x; out[4] = read_imageui(e, 5).x; }\n"
    "__kernel void sizes(read_only image2d_t in, __global int *out) {\n"
    "    out[0] = get_image_width(in); out[1] = get_image_height(in);\n"
    "    out[2] = get_image_channel_data_type(in); out[3] = get_image_channel_order(in); }\n";

static cl_program program(struct cltest *t, const char *options) {
    const char *text = source;
    cl_int err;
    cl_program p = clCreateProgramWithSource(t->ctx, 1, &text, NULL, &err);
    OK(err);
    err = clBuildProgram(p, 0, NULL, options, NULL, NULL);
    if (err == CL_BUILD_PROGRAM_FAILURE) err = clBuildProgram(p, 0, NULL, "", NULL, NULL); /* see cltest.c */
    OK(err);
    return p;
}

static cl_kernel kernel(cl_program p, const char *name) {
    cl_int err;
    cl_kernel k = clCreateKernel(p, name, &err);
    OK(err);
    return k;
}

/* ---- kernels ---- */
static void plus(struct cltest *t, unsigned dev, cl_kernel k, cl_mem in, cl_mem out, cl_uint v, cl_uint waits,
                 const cl_event *list, cl_event *ev) {
    static const size_t global[2] = {24, 10};
    OK(clSetKernelArg(k, 0, sizeof in, &in));
    OK(clSetKernelArg(k, 1, sizeof out, &out));
    OK(clSetKernelArg(k, 2, sizeof v, &v));
    OK(clEnqueueNDRangeKernel(t->queue[dev], k, 2, NULL, global, NULL, waits, list, ev));
}

void image__kernel(struct cltest *t) {
    unsigned char data[24 * 10 * 4], back[sizeof data];
    if (!image_support(t)) return;
    struct shape s = shape_of(CL_MEM_OBJECT_IMAGE2D);
    cl_program p = program(t, ""); /* what the arguments are may have to be found out */
    cl_kernel k = kernel(p, "plus"), sizes = kernel(p, "sizes");
    cl_mem in = image_make(t, &s, &image_rgba8, CL_MEM_READ_ONLY, NULL),
           out = image_make(t, &s, &image_rgba8, CL_MEM_WRITE_ONLY, NULL),
           told = cltest_buffer(t, CL_MEM_READ_WRITE, 16, NULL);
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i % 200);
    image_write(t, 0, in, &s, data);
    plus(t, 0, k, in, out, 5, 0, NULL, NULL);
    image_read(t, 0, out, &s, back);
    for (size_t i = 0; i < sizeof data; i++) CHECK_EQ(back[i], data[i] + 5);
    cl_int got[4];
    OK(clSetKernelArg(sizes, 0, sizeof in, &in));
    OK(clSetKernelArg(sizes, 1, sizeof told, &told));
    cltest_launch(t->queue[0], sizes, 1, 0, NULL, NULL);
    OK(clEnqueueReadBuffer(t->queue[0], told, CL_TRUE, 0, sizeof got, got, 0, NULL, NULL));
    CHECK(got[0] == 24 && got[1] == 10 && got[2] == CL_UNSIGNED_INT8 && got[3] == CL_RGBA);
    OK(clReleaseMemObject(in));
    OK(clReleaseMemObject(out));
    OK(clReleaseMemObject(told));
    OK(clReleaseKernel(k));
    OK(clReleaseKernel(sizes));
    OK(clReleaseProgram(p));
}

void image__kernel_types(struct cltest *t) {
    static const cl_mem_object_type types[] = {CL_MEM_OBJECT_IMAGE1D, CL_MEM_OBJECT_IMAGE1D_ARRAY,
                                               CL_MEM_OBJECT_IMAGE2D_ARRAY, CL_MEM_OBJECT_IMAGE3D,
                                               CL_MEM_OBJECT_IMAGE1D_BUFFER};
    static const size_t element[5] = {5, 3 * 24 + 5, 3 * 240 + 4 * 24 + 5, 3 * 240 + 4 * 24 + 5, 5};
    unsigned char data[24 * 10 * 5 * 4];
    cl_uint got[5];
    cl_mem m[5];
    if (!image_support(t)) return;
    cl_program p = program(t, "-cl-kernel-arg-info");
    cl_kernel k = kernel(p, "every");
    cltest_pattern(data, sizeof data, 11);
    for (cl_uint i = 0; i < 5; i++) {
        struct shape s = shape_of(types[i]);
        m[i] = image_make(t, &s, &image_rgba8, CL_MEM_READ_ONLY, NULL);
        image_write(t, t->other, m[i], &s, data);
        OK(clSetKernelArg(k, i, sizeof m[i], &m[i]));
    }
    cl_mem out = cltest_buffer(t, CL_MEM_READ_WRITE, sizeof got, NULL);
    OK(clSetKernelArg(k, 5, sizeof out, &out));
    cltest_launch(t->queue[0], k, 1, 0, NULL, NULL);
    OK(clEnqueueReadBuffer(t->queue[0], out, CL_TRUE, 0, sizeof got, got, 0, NULL, NULL));
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(got[i], data[element[i] * 4]);
        OK(clReleaseMemObject(m[i]));
    }
    OK(clReleaseMemObject(out));
    OK(clReleaseKernel(k));
    OK(clReleaseProgram(p));
}

static void sample(struct cltest *t, unsigned dev, cl_kernel k, cl_mem image, const cl_sampler s, float x,
                   float step, const float want[4]) {
    float got[4];
    cl_mem out = cltest_buffer(t, CL_MEM_WRITE_ONLY, sizeof got, NULL);
    OK(clSetKernelArg(k, 0, sizeof image, &image));
    OK(clSetKernelArg(k, 1, sizeof s, &s));
    OK(clSetKernelArg(k, 2, sizeof out, &out));
    OK(clSetKernelArg(k, 3, sizeof x, &x));
    OK(clSetKernelArg(k, 4, sizeof step, &step));
    cltest_launch(t->queue[dev], k, 4, 0, NULL, NULL);
    OK(clEnqueueReadBuffer(t->queue[dev], out, CL_TRUE, 0, sizeof got, got, 0, NULL, NULL));
    for (int i = 0; i < 4; i++) {
        float off = got[i] - want[i];
        if (off > 0.01f || off < -0.01f)
            cltest_fail(__FILE__, __LINE__, "sample %d is %f, must be %f", i, got[i], want[i]);
    }
    OK(clReleaseMemObject(out));
}

/* One row, 10 20 30 40, seen through several samplers on two devices. */
void sampler__kernel(struct cltest *t) {
    static const cl_image_format f = {CL_RGBA, CL_FLOAT};
    static const float row[16] = {10, 0, 0, 0, 20, 0, 0, 0, 30, 0, 0, 0, 40};
    static const struct {
        cl_bool normalized;
        cl_addressing_mode addressing;
        cl_filter_mode filter;
        float x, step, want[4];
    } cases[] = {
        {CL_FALSE, CL_ADDRESS_CLAMP_TO_EDGE, CL_FILTER_NEAREST, -0.5f, 1, {10, 10, 20, 30}},
        {CL_FALSE, CL_ADDRESS_CLAMP, CL_FILTER_NEAREST, -0.5f, 1, {0, 10, 20, 30}},
        {CL_FALSE, CL_ADDRESS_CLAMP_TO_EDGE, CL_FILTER_LINEAR, 1, 1, {15, 25, 35, 40}},
        {CL_TRUE, CL_ADDRESS_REPEAT, CL_FILTER_NEAREST, 0.625f, 0.25f, {30, 40, 10, 20}},
        {CL_TRUE, CL_ADDRESS_MIRRORED_REPEAT, CL_FILTER_NEAREST, 0.625f, 0.25f, {30, 40, 40, 30}},
    };
    cl_image_desc d = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 4, .image_height = 1};
    cl_int err;
    if (!image_support(t)) return;
    cl_program p = program(t, "");
    cl_kernel k = kernel(p, "sample");
    cl_mem m = clCreateImage(t->ctx, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, &f, &d, (void *)row, &err);
    OK(err);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        cl_sampler s =
            clCreateSampler(t->ctx, cases[i].normalized, cases[i].addressing, cases[i].filter, &err);
        OK(err);
        sample(t, 0, k, m, s, cases[i].x, cases[i].step, cases[i].want);
        sample(t, t->other, k, m, s, cases[i].x, cases[i].step, cases[i].want);
        OK(clReleaseSampler(s));
    }
    OK(clReleaseMemObject(m));
    OK(clReleaseKernel(k));
    OK(clReleaseProgram(p));
}

void sampler__info(struct cltest *t) {
    cl_uint v = 0;
    cl_context c = NULL;
    cl_int err;
    if (!image_support(t)) return;
    cl_sampler s = clCreateSampler(t->ctx, CL_FALSE, CL_ADDRESS_CLAMP, CL_FILTER_LINEAR, &err);
    OK(err);
    OK(clGetSamplerInfo(s, CL_SAMPLER_NORMALIZED_COORDS, sizeof v, &v, NULL));
    CHECK_EQ(v, CL_FALSE);
    OK(clGetSamplerInfo(s, CL_SAMPLER_ADDRESSING_MODE, sizeof v, &v, NULL));
    CHECK_EQ(v, CL_ADDRESS_CLAMP);
    OK(clGetSamplerInfo(s, CL_SAMPLER_FILTER_MODE, sizeof v, &v, NULL));
    CHECK_EQ(v, CL_FILTER_LINEAR);
    OK(clGetSamplerInfo(s, CL_SAMPLER_CONTEXT, sizeof(cl_context), &c, NULL));
    CHECK(c == t->ctx);
    OK(clRetainSampler(s));
    OK(clGetSamplerInfo(s, CL_SAMPLER_REFERENCE_COUNT, sizeof v, &v, NULL));
    CHECK_EQ(v, 2);
    OK(clReleaseSampler(s));
    OK(clReleaseSampler(s));
}

/* ---- events ---- */
static void check_type(cl_event e, cl_command_type want, cl_command_queue q) {
    cl_command_type type = 0;
    cl_command_queue queue = NULL;
    OK(clWaitForEvents(1, &e));
    OK(clGetEventInfo(e, CL_EVENT_COMMAND_TYPE, sizeof type, &type, NULL));
    OK(clGetEventInfo(e, CL_EVENT_COMMAND_QUEUE, sizeof(cl_command_queue), &queue, NULL));
    CHECK_EQ(type, want);
    CHECK(queue == q);
    OK(clReleaseEvent(e));
}

void image__command_types(struct cltest *t) {
    static const size_t box[3] = {4, 4, 1}, there[3] = {8, 4, 0};
    static const cl_uint color[4] = {1, 2, 3, 4};
    char data[64] = {0};
    cl_command_queue q = t->queue[0];
    size_t row;
    cl_int err;
    cl_event e;
    if (!image_support(t)) return;
    struct shape s = shape_of(CL_MEM_OBJECT_IMAGE2D);
    cl_mem m = image_make(t, &s, &image_rgba8, CL_MEM_READ_WRITE, NULL),
           b = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    OK(clEnqueueWriteImage(q, m, CL_FALSE, zero3, box, 0, 0, data, 0, NULL, &e));
    check_type(e, CL_COMMAND_WRITE_IMAGE, q);
    OK(clEnqueueReadImage(q, m, CL_FALSE, zero3, box, 0, 0, data, 0, NULL, &e));
    check_type(e, CL_COMMAND_READ_IMAGE, q);
    OK(clEnqueueCopyImage(q, m, m, zero3, there, box, 0, NULL, &e));
    check_type(e, CL_COMMAND_COPY_IMAGE, q);
    OK(clEnqueueFillImage(q, m, color, zero3, box, 0, NULL, &e));
    check_type(e, CL_COMMAND_FILL_IMAGE, q);
    OK(clEnqueueCopyImageToBuffer(q, m, b, zero3, box, 0, 0, NULL, &e));
    check_type(e, CL_COMMAND_COPY_IMAGE_TO_BUFFER, q);
    OK(clEnqueueCopyBufferToImage(q, b, m, 0, zero3, box, 0, NULL, &e));
    check_type(e, CL_COMMAND_COPY_BUFFER_TO_IMAGE, q);
    void *p = clEnqueueMapImage(q, m, CL_FALSE, CL_MAP_READ, zero3, box, &row, NULL, 0, NULL, &e, &err);
    OK(err);
    check_type(e, CL_COMMAND_MAP_IMAGE, q);
    OK(clEnqueueUnmapMemObject(q, m, p, 0, NULL, &e));
    check_type(e, CL_COMMAND_UNMAP_MEM_OBJECT, q);
    OK(clReleaseMemObject(m));
    OK(clReleaseMemObject(b));
}

/* ---- several devices ---- */
/* Two images that kernels on two devices compute from each other in turn, ordered by events alone. */
void image__across_devices(struct cltest *t) {
    enum { ROUNDS = 12 };
    unsigned char back[24 * 10 * 4];
    if (!image_support(t)) return;
    struct shape s = shape_of(CL_MEM_OBJECT_IMAGE2D);
    cl_program p = program(t, "-cl-kernel-arg-info");
    cl_kernel k = kernel(p, "plus");
    cl_mem m[2];
    cl_event before, after;
    memset(back, 0, sizeof back);
    for (int i = 0; i < 2; i++) m[i] = image_make(t, &s, &image_rgba8, CL_MEM_READ_WRITE, NULL);
    OK(clEnqueueWriteImage(t->queue[0], m[0], CL_FALSE, zero3, s.extent, 0, 0, back, 0, NULL, &before));
    for (int i = 0; i < ROUNDS; i++, before = after) {
        unsigned dev = i % 2 ? 0 : t->other;
        plus(t, dev, k, m[i % 2], m[1 - i % 2], (cl_uint)i, 1, &before, &after);
        OK(clFlush(t->queue[dev]));
        OK(clReleaseEvent(before));
    }
    OK(clEnqueueMigrateMemObjects(t->queue[t->other], 2, m, 0, 1, &before, NULL));
    OK(clEnqueueReadImage(t->queue[0], m[0], CL_TRUE, zero3, s.extent, 0, 0, back, 1, &before, NULL));
    for (size_t i = 0; i < sizeof back; i++) CHECK_EQ(back[i], ROUNDS * (ROUNDS - 1) / 2);
    OK(clReleaseEvent(before));
    for (int i = 0; i < 2; i++) OK(clReleaseMemObject(m[i]));
    OK(clReleaseKernel(k));
    OK(clReleaseProgram(p));
}

/* An image of a buffer and the buffer are one memory, on whichever device either is used. */
void image__of_buffer(struct cltest *t) {
    enum { N = 24, INTS = 64 };
    static const cl_image_format f = {CL_R, CL_SIGNED_INT32};
    cl_int host[INTS], back[INTS], err;
    if (!image_support(t)) return;
    for (int i = 0; i < INTS; i++) host[i] = i;
    cl_mem buffer = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof host, host), up = NULL;
    cl_image_desc d = {.image_type = CL_MEM_OBJECT_IMAGE1D_BUFFER, .image_width = N, .buffer = buffer};
    cl_image_format any = f;
    cl_mem m = clCreateImage(t->ctx, 0, &any, &d, NULL, &err);
    if (err == CL_IMAGE_FORMAT_NOT_SUPPORTED) any = (cl_image_format){CL_RGBA, CL_UNSIGNED_INT8};
    if (err == CL_IMAGE_FORMAT_NOT_SUPPORTED) m = clCreateImage(t->ctx, 0, &any, &d, NULL, &err);
    OK(err);
    OK(clGetImageInfo(m, CL_IMAGE_BUFFER, sizeof up, &up, NULL));
    CHECK(up == buffer);
    cl_kernel add = cltest_kernel(t, "add");
    size_t origin[3] = {0}, region[3] = {N, 1, 1};
    for (int round = 0; round < 6; round++) {
        unsigned writes = round % 2 ? t->other : 0, reads = round % 3 ? t->other : 0;
        cl_int v = 100;
        OK(clSetKernelArg(add, 0, sizeof buffer, &buffer));
        OK(clSetKernelArg(add, 1, sizeof v, &v));
        cltest_launch(t->queue[writes], add, INTS, 0, NULL, NULL);
        OK(clFinish(t->queue[writes]));
        OK(clEnqueueReadImage(t->queue[reads], m, CL_TRUE, origin, region, 0, 0, back, 0, NULL, NULL));
        for (int i = 0; i < N; i++) CHECK_EQ(back[i], i + 100 * (round + 1) - round);
        for (int i = 0; i < N; i++) back[i]--;
        OK(clEnqueueWriteImage(t->queue[reads], m, CL_TRUE, origin, region, 0, 0, back, 0, NULL, NULL));
    }
    OK(clReleaseMemObject(buffer)); /* the image keeps it */
    OK(clEnqueueReadImage(t->queue[t->other], m, CL_TRUE, origin, region, 0, 0, back, 0, NULL, NULL));
    for (int i = 0; i < N; i++) CHECK_EQ(back[i], i + 600 - 6);
    OK(clReleaseMemObject(m));
    OK(clReleaseKernel(add));
}

/* All of it once more in a context of the device under test alone: an implementation may go other ways there.
 */
void image__one_device(struct cltest *t) {
    static void (*const tests[])(struct cltest *) = {
        image__formats,
        image__formats_required,
        image__info,
        image__boxes,
        image__large,
        image__copy,
        image__copy_with_buffer,
        image__fill,
        image__map,
        image__map_several,
        image__copy_host_ptr,
        image__use_host_ptr,
        image__old_calls,
        image__kernel,
        image__kernel_types,
        sampler__kernel,
        image__of_buffer,
        image__command_types,
    };
    struct cltest one = {.n_devices = 1, .info = {t->info[0]}, .dev = {t->dev[0]}, .platform = t->platform};
    const char *text = cltest_source;
    cl_int err;
    one.ctx = clCreateContext(NULL, 1, one.dev, NULL, NULL, &err);
    OK(err);
    one.queue[0] = cltest_queue(&one, 0, 0);
    one.prog = clCreateProgramWithSource(one.ctx, 1, &text, NULL, &err);
    OK(err);
    OK(clBuildProgram(one.prog, 0, NULL, "", NULL, NULL));
    for (unsigned i = 0; i < sizeof tests / sizeof *tests; i++) tests[i](&one);
    OK(clReleaseProgram(one.prog));
    OK(clReleaseCommandQueue(one.queue[0]));
    OK(clReleaseContext(one.ctx));
}
