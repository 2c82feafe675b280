/* Images and samplers: every type and every format that the devices have, transfers with pitches, copies,
 * fills, maps, kernels, and images that follow the kernels from device to device. */
#include "image.h"
#include "func.h"
#include <stdlib.h>
#include <string.h>

static const cl_mem_object_type types[] = {CL_MEM_OBJECT_IMAGE1D, CL_MEM_OBJECT_IMAGE1D_ARRAY,
                                           CL_MEM_OBJECT_IMAGE2D, CL_MEM_OBJECT_IMAGE2D_ARRAY,
                                           CL_MEM_OBJECT_IMAGE3D, CL_MEM_OBJECT_IMAGE1D_BUFFER};
/* PoCL 3.1 crashes in copies and fills of the last one, and maps it without a pitch: these leave it out. */
enum { TYPES = sizeof types / sizeof *types, SOUND = TYPES - 1 };

static const size_t zero3[3];

/* ---- formats and types ---- */
static void round_trip(struct cltest *t, cl_mem_object_type type, const cl_image_format *f, uint32_t seed) {
    struct shape s = shape_of(type);
    unsigned char data[24 * 10 * 5 * 16], back[sizeof data];
    cl_mem m = image_make(t, &s, f, CL_MEM_READ_WRITE, NULL);
    CHECK(s.element >= 1 && s.element <= 16);
    cltest_pattern(data, s.bytes, seed);
    image_write(t, 0, m, &s, data);
    image_read(t, 0, m, &s, back);
    CHECK(!memcmp(data, back, s.bytes));
    OK(clReleaseMemObject(m));
}

void image__formats(struct cltest *t) {
    static cl_image_format list[256];
    if (!image_support(t)) return;
    for (unsigned i = 0; i < TYPES; i++) {
        cl_uint count = 0, again = 0;
        OK(clGetSupportedImageFormats(t->ctx, CL_MEM_READ_WRITE, types[i], 0, NULL, &count));
        CHECK(count > 0 && count <= 256);
        OK(clGetSupportedImageFormats(t->ctx, CL_MEM_READ_WRITE, types[i], count, list, &again));
        CHECK_EQ(count, again);
        for (cl_uint k = 0; k < count; k++) round_trip(t, types[i], &list[k], k);
    }
}

/* The formats that every device with images has. */
void image__formats_required(struct cltest *t) {
    static const cl_channel_type all[] = {
        CL_UNORM_INT8,    CL_UNORM_INT16,    CL_SIGNED_INT8,    CL_SIGNED_INT16, CL_SIGNED_INT32,
        CL_UNSIGNED_INT8, CL_UNSIGNED_INT16, CL_UNSIGNED_INT32, CL_HALF_FLOAT,   CL_FLOAT};
    static const cl_mem_flags uses[] = {CL_MEM_READ_ONLY, CL_MEM_WRITE_ONLY, CL_MEM_READ_WRITE};
    static cl_image_format list[256];
    if (!image_support(t)) return;
    for (unsigned u = 0; u < 3; u++) {
        cl_uint count = 0;
        OK(clGetSupportedImageFormats(t->ctx, uses[u], CL_MEM_OBJECT_IMAGE2D, 256, list, &count));
        for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
            unsigned found = 0;
            for (cl_uint k = 0; k < count; k++)
                found += list[k].image_channel_order == CL_RGBA && list[k].image_channel_data_type == all[i];
            CHECK_EQ(found, 1);
        }
    }
}

void image__info(struct cltest *t) {
    if (!image_support(t)) return;
    for (unsigned i = 0; i < TYPES; i++) {
        struct shape s = shape_of(types[i]);
        cl_mem m = image_make(t, &s, &image_rgba8, CL_MEM_READ_ONLY, NULL), parent = NULL;
        cl_image_format f = {0};
        size_t v[7] = {99, 99, 99, 99, 99, 99, 99}, size = 0;
        static const cl_image_info names[] = {CL_IMAGE_ELEMENT_SIZE, CL_IMAGE_ROW_PITCH, CL_IMAGE_SLICE_PITCH,
                                              CL_IMAGE_WIDTH,        CL_IMAGE_HEIGHT,    CL_IMAGE_DEPTH,
                                              CL_IMAGE_ARRAY_SIZE};
        for (unsigned k = 0; k < 7; k++) OK(clGetImageInfo(m, names[k], sizeof v[k], &v[k], NULL));
        bool layered = s.desc.image_array_size != 0, deep = s.desc.image_depth != 0;
        size_t want[7] = {4,
                          96,
                          deep || layered ? 96 * (s.desc.image_height ? s.desc.image_height : 1) : 0,
                          24,
                          s.desc.image_height,
                          s.desc.image_depth,
                          s.desc.image_array_size};
        for (unsigned k = 0; k < 7; k++) CHECK_EQ(v[k], want[k]);
        OK(clGetImageInfo(m, CL_IMAGE_FORMAT, sizeof f, &f, &size));
        CHECK(size == sizeof f && !memcmp(&f, &image_rgba8, sizeof f));
        cl_uint levels = 9, samples = 9, type = 0, count = 0;
        OK(clGetImageInfo(m, CL_IMAGE_NUM_MIP_LEVELS, sizeof levels, &levels, NULL));
        OK(clGetImageInfo(m, CL_IMAGE_NUM_SAMPLES, sizeof samples, &samples, NULL));
        OK(clGetMemObjectInfo(m, CL_MEM_TYPE, sizeof type, &type, NULL));
        OK(clGetMemObjectInfo(m, CL_MEM_REFERENCE_COUNT, sizeof count, &count, NULL));
        OK(clGetMemObjectInfo(m, CL_MEM_SIZE, sizeof size, &size, NULL));
        OK(clGetMemObjectInfo(m, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof(cl_mem), &parent, NULL));
        CHECK(levels == 0 && samples == 0 && type == types[i] && count == 1);
        CHECK(size >= s.bytes);
        CHECK((parent != NULL) == (types[i] == CL_MEM_OBJECT_IMAGE1D_BUFFER));
        cl_mem_flags flags = 0;
        OK(clGetMemObjectInfo(m, CL_MEM_FLAGS, sizeof flags, &flags, NULL));
        CHECK_EQ(flags, CL_MEM_READ_ONLY);
        OK(clReleaseMemObject(m));
    }
}

/* ---- transfers ---- */
/* The element's first byte of a host layout. */
static size_t at(const struct shape *s, size_t row, size_t slice, size_t x, size_t y, size_t z) {
    return x * s->element + y * row + z * slice;
}

/* A box inside each image, from and to host memory with gaps. */
static void boxed(struct cltest *t, cl_mem_object_type type, cl_bool blocking) {
    struct shape s = shape_of(type);
    cl_mem m = image_make(t, &s, &image_rgba8, CL_MEM_READ_WRITE, NULL);
    bool layers = type == CL_MEM_OBJECT_IMAGE1D_ARRAY, sliced = s.extent[2] > 1;
    size_t origin[3] = {3, s.extent[1] > 1 ? 2 : 0, sliced ? 1 : 0},
           region[3] = {9, s.extent[1] > 1 ? 4 : 1, sliced ? 3 : 1};
    size_t row = layers ? 64 : 52, slice = layers ? 64 : sliced ? 52 * 6 : 0;
    unsigned char whole[24 * 10 * 5 * 4], back[sizeof whole], host[4 + 52 * 6 * 5], got[sizeof host];
    cltest_pattern(whole, s.bytes, 1);
    cltest_pattern(host, sizeof host, 2);
    image_write(t, 0, m, &s, whole);
    OK(clEnqueueWriteImage(t->queue[0], m, blocking, origin, region, row, slice, host, 0, NULL, NULL));
    image_read(t, 0, m, &s, back);
    for (size_t z = 0; z < region[2]; z++)
        for (size_t y = 0; y < region[1]; y++)
            memcpy(whole + at(&s, s.row, s.row * s.extent[1], origin[0], origin[1] + y, origin[2] + z),
                   host + at(&s, row, slice, 0, y, z), region[0] * s.element);
    CHECK(!memcmp(whole, back, s.bytes));

    memset(got, 0xaa, sizeof got);
    cl_event ev;
    OK(clEnqueueReadImage(t->queue[0], m, blocking, origin, region, row, slice, got, 0, NULL, &ev));
    OK(clWaitForEvents(1, &ev));
    for (size_t z = 0; z < region[2]; z++)
        for (size_t y = 0; y < region[1]; y++) {
            size_t first = at(&s, row, slice, 0, y, z), end = first + region[0] * s.element;
            CHECK(!memcmp(got + first, host + first, end - first));
            CHECK(got[end] == 0xaa); /* the gap stays as it is */
        }
    OK(clReleaseEvent(ev));
    OK(clReleaseMemObject(m));
}

void image__boxes(struct cltest *t) {
    if (!image_support(t)) return;
    for (unsigned i = 0; i < TYPES; i++)
        for (cl_bool blocking = 0; blocking < 2; blocking++) boxed(t, types[i], blocking);
}

/* More than travels in one piece, and written without waiting. */
void image__large(struct cltest *t) {
    enum { W = 1024, H = 700, ELEMENT = 16, ROW = W * ELEMENT + 64 };
    if (!image_support(t)) return;
    static const cl_image_format f = {CL_RGBA, CL_FLOAT};
    const size_t extent[3] = {W, H, 1};
    cl_image_desc d = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = W, .image_height = H};
    unsigned char *host = malloc((size_t)ROW * H), *back = malloc((size_t)ROW * H);
    cl_int err;
    cl_mem m = clCreateImage(t->ctx, CL_MEM_READ_WRITE, &f, &d, NULL, &err);
    OK(err);
    cl_event written, read;
    for (uint32_t round = 0; round < 4; round++) {
        size_t row = round % 2 ? ROW : W * ELEMENT;
        cltest_pattern(host, row * H, round);
        memset(back, 0, (size_t)ROW * H);
        OK(clEnqueueWriteImage(t->queue[0], m, CL_FALSE, zero3, extent, row, 0, host, 0, NULL, &written));
        OK(clEnqueueReadImage(t->queue[t->other], m, CL_FALSE, zero3, extent, row, 0, back, 1, &written,
                              &read));
        OK(clFlush(t->queue[0]));
        OK(clFlush(t->queue[t->other]));
        OK(clWaitForEvents(1, &read));
        for (size_t y = 0; y < H; y++) CHECK(!memcmp(host + y * row, back + y * row, W * ELEMENT));
        OK(clReleaseEvent(written));
        OK(clReleaseEvent(read));
    }
    OK(clReleaseMemObject(m));
    free(host);
    free(back);
}

void image__copy(struct cltest *t) {
    if (!image_support(t)) return;
    for (unsigned i = 0; i < SOUND; i++) {
        struct shape s = shape_of(types[i]);
        unsigned char a[24 * 10 * 5 * 4], b[sizeof a], back[sizeof a];
        cl_mem from = image_make(t, &s, &image_rgba8, CL_MEM_READ_ONLY, NULL),
               to = image_make(t, &s, &image_rgba8, CL_MEM_READ_WRITE, NULL);
        size_t high = s.extent[1] > 1, deep = s.extent[2] > 1;
        size_t src[3] = {2, high * 3, deep}, dst[3] = {11, high, deep * 2},
               region[3] = {7, high ? 3 : 1, deep ? 2 : 1};
        cltest_pattern(a, s.bytes, 3);
        cltest_pattern(b, s.bytes, 4);
        image_write(t, 0, from, &s, a);
        image_write(t, t->other, to, &s, b);
        OK(clEnqueueCopyImage(t->queue[0], from, to, src, dst, region, 0, NULL, NULL));
        image_read(t, 0, to, &s, back);
        size_t plane = s.row * s.extent[1];
        for (size_t z = 0; z < region[2]; z++)
            for (size_t y = 0; y < region[1]; y++)
                memcpy(b + at(&s, s.row, plane, dst[0], dst[1] + y, dst[2] + z),
                       a + at(&s, s.row, plane, src[0], src[1] + y, src[2] + z), region[0] * s.element);
        CHECK(!memcmp(b, back, s.bytes));
        OK(clReleaseMemObject(from));
        OK(clReleaseMemObject(to));
    }
}

void image__copy_with_buffer(struct cltest *t) {
    enum { OFFSET = 40 };
    if (!image_support(t)) return;
    for (unsigned i = 0; i < SOUND; i++) {
        struct shape s = shape_of(types[i]);
        unsigned char a[24 * 10 * 5 * 4], b[OFFSET + sizeof a], back[sizeof b];
        cl_mem m = image_make(t, &s, &image_rgba8, CL_MEM_READ_WRITE, NULL),
               buffer = cltest_buffer(t, CL_MEM_READ_WRITE, sizeof b, NULL);
        size_t high = s.extent[1] > 1, deep = s.extent[2] > 1;
        size_t origin[3] = {5, high, deep}, region[3] = {11, high ? 6 : 1, deep ? 2 : 1};
        size_t bytes = region[0] * region[1] * region[2] * s.element, plane = s.row * s.extent[1];
        cltest_pattern(a, s.bytes, 5);
        cltest_pattern(b, sizeof b, 6);
        image_write(t, 0, m, &s, a);
        OK(clEnqueueWriteBuffer(t->queue[0], buffer, CL_TRUE, 0, sizeof b, b, 0, NULL, NULL));
        OK(clEnqueueCopyBufferToImage(t->queue[0], buffer, m, OFFSET, origin, region, 0, NULL, NULL));
        image_read(t, 0, m, &s, back);
        const unsigned char *packed = b + OFFSET;
        for (size_t z = 0; z < region[2]; z++)
            for (size_t y = 0; y < region[1]; y++, packed += region[0] * s.element)
                memcpy(a + at(&s, s.row, plane, origin[0], origin[1] + y, origin[2] + z), packed,
                       region[0] * s.element);
        CHECK(!memcmp(a, back, s.bytes));

        unsigned char gap = 0x5a;
        OK(clEnqueueFillBuffer(t->queue[0], buffer, &gap, 1, 0, sizeof b, 0, NULL, NULL));
        OK(clFinish(t->queue[0]));
        OK(clEnqueueCopyImageToBuffer(t->queue[t->other], m, buffer, origin, region, OFFSET, 0, NULL, NULL));
        OK(clEnqueueReadBuffer(t->queue[t->other], buffer, CL_TRUE, 0, sizeof b, back, 0, NULL, NULL));
        CHECK(!memcmp(b + OFFSET, back + OFFSET, bytes)); /* what went in came out */
        for (size_t k = 0; k < sizeof b; k++) CHECK(back[k] == gap || (k >= OFFSET && k < OFFSET + bytes));
        OK(clReleaseMemObject(m));
        OK(clReleaseMemObject(buffer));
    }
}

static void fill_one(struct cltest *t, cl_mem_object_type type, const cl_image_format *f, const void *color,
                     const void *element) {
    struct shape s = shape_of(type);
    unsigned char back[24 * 10 * 5 * 16];
    cl_mem m = image_make(t, &s, f, CL_MEM_READ_WRITE, NULL);
    size_t high = s.extent[1] > 1, deep = s.extent[2] > 1;
    size_t origin[3] = {4, high * 2, deep}, region[3] = {8, high ? 5 : 1, deep ? 3 : 1};
    memset(back, 0, sizeof back);
    image_write(t, 0, m, &s, back);
    OK(clEnqueueFillImage(t->queue[0], m, color, origin, region, 0, NULL, NULL));
    image_read(t, 0, m, &s, back);
    for (size_t z = 0; z < s.extent[2]; z++)
        for (size_t y = 0; y < s.extent[1]; y++)
            for (size_t x = 0; x < s.extent[0]; x++) {
                const unsigned char *e = back + at(&s, s.row, s.row * s.extent[1], x, y, z);
                bool in = x - origin[0] < region[0] && y - origin[1] < region[1] && z - origin[2] < region[2];
                CHECK(in ? !memcmp(e, element, s.element) : e[0] == 0);
            }
    OK(clReleaseMemObject(m));
}

void image__fill(struct cltest *t) {
    static const cl_image_format bytes = {CL_RGBA, CL_UNSIGNED_INT8}, words = {CL_RGBA, CL_SIGNED_INT32},
                                 reals = {CL_RGBA, CL_FLOAT}, unit = {CL_RGBA, CL_UNORM_INT8};
    static const cl_uint color[4] = {17, 34, 51, 255};
    static const cl_int negative[4] = {-1, 100000, -70000, 5};
    static const cl_float real[4] = {0.5f, -2.f, 3e10f, 1.f}, part[4] = {0.f, 1.f, 0.2f, 1.f};
    static const unsigned char small[4] = {17, 34, 51, 255}, scaled[4] = {0, 255, 51, 255};
    if (!image_support(t)) return;
    for (unsigned i = 0; i < SOUND; i++) {
        fill_one(t, types[i], &bytes, color, small);
        fill_one(t, types[i], &words, negative, negative);
        fill_one(t, types[i], &reals, real, real);
        fill_one(t, types[i], &unit, part, scaled);
    }
}
