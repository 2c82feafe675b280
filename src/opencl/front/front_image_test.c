/* Images and samplers over several backends: descriptions, layouts, data that moves with its pitches, maps,
 * memory shared with buffers, and kernel arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/front/fake_backend.h"

static cl_context context;
static cl_command_queue queue[3];
static const cl_image_format rgba = {CL_RGBA, CL_UNSIGNED_INT8};
static const size_t zero3[3];

static int setup(void **state) {
    cl_int rc;
    fakes_reset();
    context = weft_clCreateContext(NULL, 3, fake_devices, NULL, NULL, &rc);
    for (int i = 0; i < 3; i++) queue[i] = weft_clCreateCommandQueue(context, fake_devices[i], 0, &rc);
    return rc;
}

/* Whatever a test did: once all is released, no backend object is left. */
static int teardown(void **state) {
    unsigned seed = 1;
    fakes_run(&seed);
    for (int i = 0; i < 3; i++) weft_clReleaseCommandQueue(queue[i]);
    weft_clReleaseContext(context);
    assert_int_equal(fakes_live(), 0);
    return 0;
}

static cl_int error_of(cl_mem_flags flags, const cl_image_format *f, cl_image_desc d, void *host) {
    cl_int rc = 1;
    cl_mem m = weft_clCreateImage(context, flags, f, &d, host, &rc);
    assert_int_equal(m != NULL, rc == CL_SUCCESS);
    if (m) weft_clReleaseMemObject(m);
    return rc;
}

static cl_mem image(cl_mem_flags flags, cl_image_desc d, void *host) {
    cl_int rc;
    cl_mem m = weft_clCreateImage(context, flags, &rgba, &d, host, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    return m;
}

static size_t info(cl_mem m, cl_image_info param) {
    size_t v = 99;
    assert_int_equal(weft_clGetImageInfo(m, param, sizeof v, &v, NULL), CL_SUCCESS);
    return v;
}

#define DESC(type, ...) ((cl_image_desc){.image_type = CL_MEM_OBJECT_##type, __VA_ARGS__})

static void image__tells_its_layout(void **state) {
    static const struct {
        cl_image_desc desc;
        size_t row, slice, height, depth, layers, size;
    } cases[] = {
        {DESC(IMAGE1D, .image_width = 8, .image_height = 3), 32, 0, 0, 0, 0, 32},
        {DESC(IMAGE1D_ARRAY, .image_width = 8, .image_array_size = 3), 32, 32, 0, 0, 3, 96},
        {DESC(IMAGE2D, .image_width = 8, .image_height = 4), 32, 0, 4, 0, 0, 128},
        {DESC(IMAGE2D_ARRAY, .image_width = 8, .image_height = 4, .image_array_size = 3), 32, 128, 4, 0, 3,
         384},
        {DESC(IMAGE3D, .image_width = 8, .image_height = 4, .image_depth = 2), 32, 128, 4, 2, 0, 256},
        {DESC(IMAGE3D, .image_width = 8, .image_height = 4, .image_depth = 2, .image_row_pitch = 40), 40, 160,
         4, 2, 0, 320},
        {DESC(IMAGE1D_ARRAY, .image_width = 8, .image_array_size = 3, .image_row_pitch = 40,
              .image_slice_pitch = 80),
         40, 80, 0, 0, 3, 240},
    };
    static char host[512];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool given = cases[i].desc.image_row_pitch;
        cl_mem m = image(given ? CL_MEM_USE_HOST_PTR : 0, cases[i].desc, given ? host : NULL);
        size_t size = 0;
        assert_int_equal(info(m, CL_IMAGE_ELEMENT_SIZE), 4);
        assert_int_equal(info(m, CL_IMAGE_ROW_PITCH), cases[i].row);
        assert_int_equal(info(m, CL_IMAGE_SLICE_PITCH), cases[i].slice);
        assert_int_equal(info(m, CL_IMAGE_HEIGHT), cases[i].height);
        assert_int_equal(info(m, CL_IMAGE_DEPTH), cases[i].depth);
        assert_int_equal(info(m, CL_IMAGE_ARRAY_SIZE), cases[i].layers);
        weft_clGetMemObjectInfo(m, CL_MEM_SIZE, sizeof size, &size, NULL);
        assert_int_equal(size, cases[i].size);
        weft_clReleaseMemObject(m);
    }
}

static void image__wrong_descriptions_are_refused(void **state) {
    static char host[64 * 64 * 4];
    cl_int rc;
    cl_image_desc good = DESC(IMAGE2D, .image_width = 8, .image_height = 4), d;
    const cl_image_format none = {0x4242, CL_UNSIGNED_INT8}, mixed = {CL_RGBA, CL_UNORM_SHORT_565},
                          foreign = {CL_RG, CL_FLOAT};
    assert_int_equal(error_of(0, NULL, good, NULL), CL_INVALID_IMAGE_FORMAT_DESCRIPTOR);
    assert_int_equal(error_of(0, &none, good, NULL), CL_INVALID_IMAGE_FORMAT_DESCRIPTOR);
    assert_int_equal(error_of(0, &mixed, good, NULL), CL_INVALID_IMAGE_FORMAT_DESCRIPTOR);
    assert_int_equal(error_of(0, &foreign, good, NULL), CL_IMAGE_FORMAT_NOT_SUPPORTED);
    assert_int_equal(error_of(CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY, &rgba, good, NULL), CL_INVALID_VALUE);
    assert_int_equal(error_of(0, &rgba, good, host), CL_INVALID_HOST_PTR);
    assert_int_equal(error_of(CL_MEM_USE_HOST_PTR, &rgba, good, NULL), CL_INVALID_HOST_PTR);
    assert_null(weft_clCreateImage(context, 0, &rgba, NULL, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_IMAGE_DESCRIPTOR);
    d = good, d.image_width = 65;
    assert_int_equal(error_of(0, &rgba, d, NULL), CL_INVALID_IMAGE_SIZE);
    d = good, d.image_height = SIZE_MAX;
    assert_int_equal(error_of(0, &rgba, d, NULL), CL_INVALID_IMAGE_SIZE);
    d = good, d.image_height = 0;
    assert_int_equal(error_of(0, &rgba, d, NULL), CL_INVALID_IMAGE_DESCRIPTOR);
    d = good, d.image_type = CL_MEM_OBJECT_BUFFER;
    assert_int_equal(error_of(0, &rgba, d, NULL), CL_INVALID_IMAGE_DESCRIPTOR);
    d = good, d.num_mip_levels = 1;
    assert_int_equal(error_of(0, &rgba, d, NULL), CL_INVALID_IMAGE_DESCRIPTOR);
    d = good, d.image_row_pitch = 32;
    assert_int_equal(error_of(0, &rgba, d, NULL), CL_INVALID_IMAGE_DESCRIPTOR); /* without host memory */
    assert_int_equal(error_of(CL_MEM_COPY_HOST_PTR, &rgba, d, host), CL_SUCCESS);
    d.image_row_pitch = 28;
    assert_int_equal(error_of(CL_MEM_COPY_HOST_PTR, &rgba, d, host), CL_INVALID_IMAGE_DESCRIPTOR);
    d.image_row_pitch = 33;
    assert_int_equal(error_of(CL_MEM_COPY_HOST_PTR, &rgba, d, host), CL_INVALID_IMAGE_DESCRIPTOR);
    d.image_row_pitch = SIZE_MAX & ~(size_t)3; /* rows times pitch: more than there can be */
    assert_int_equal(error_of(CL_MEM_COPY_HOST_PTR, &rgba, d, host), CL_INVALID_IMAGE_DESCRIPTOR);
    d = DESC(IMAGE3D, .image_width = 8, .image_height = 4, .image_depth = 2,
             .image_slice_pitch = (size_t)1 << 63);
    assert_int_equal(error_of(CL_MEM_COPY_HOST_PTR, &rgba, d, host), CL_INVALID_IMAGE_DESCRIPTOR);
    d.image_slice_pitch = 96;
    assert_int_equal(error_of(CL_MEM_COPY_HOST_PTR, &rgba, d, host), CL_INVALID_IMAGE_DESCRIPTOR);
    d.image_slice_pitch = (size_t)1 << 30; /* more than a device takes */
    assert_int_equal(error_of(CL_MEM_COPY_HOST_PTR, &rgba, d, host), CL_MEM_OBJECT_ALLOCATION_FAILURE);
    assert_null(weft_clCreateImage2D(context, 0, &rgba, 0, 4, 0, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_IMAGE_SIZE);
    assert_null(weft_clCreateImage3D(context, 0, &rgba, 8, 4, 1, 0, 0, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_IMAGE_SIZE);
}

static void image__formats_are_those_of_all_devices(void **state) {
    cl_image_format list[8];
    cl_uint count = 0;
    const cl_mem_object_type t = CL_MEM_OBJECT_IMAGE2D;
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_clGetSupportedImageFormats(context, CL_MEM_READ_ONLY, t, 8, list, &count), 0);
    assert_int_equal(count, 4); /* one of each, and the common one; not what has no known size */
    for (int i = 0; i < 3; i++) assert_int_equal(fakes[i].format_questions, 1);
    assert_int_equal(weft_clGetSupportedImageFormats(context, CL_MEM_READ_ONLY, t, 0, list, NULL),
                     CL_INVALID_VALUE);
    assert_int_equal(
        weft_clGetSupportedImageFormats(context, CL_MEM_READ_ONLY, CL_MEM_OBJECT_BUFFER, 0, NULL, &count),
        CL_INVALID_VALUE);
    assert_int_equal(weft_clGetSupportedImageFormats(context, 1ull << 50, t, 0, NULL, &count),
                     CL_INVALID_VALUE);
    assert_int_equal(weft_clGetSupportedImageFormats(NULL, 0, t, 0, NULL, &count), CL_INVALID_CONTEXT);
}

/* Host memory whose rows and slices have gaps: the gaps never travel, and are never written. */
static void image__moves_between_backends_with_its_pitches(void **state) {
    enum { ROW = 20, SLICE = 80, BYTES = SLICE * 2 };
    unsigned char host[BYTES], back[2 * 3 * 16];
    const size_t all[3] = {4, 3, 2}, origin[3] = {1, 2, 1}, one[3] = {2, 1, 1};
    for (int i = 0; i < BYTES; i++) host[i] = (unsigned char)i;
    cl_mem m = image(CL_MEM_USE_HOST_PTR,
                     DESC(IMAGE3D, .image_width = 4, .image_height = 3, .image_depth = 2,
                          .image_row_pitch = ROW, .image_slice_pitch = SLICE),
                     host);
    for (int q = 0; q < 3; q++) {
        unsigned char mark[8] = {0};
        memset(mark, 200 + q, sizeof mark);
        assert_int_equal(
            weft_clEnqueueWriteImage(queue[q], m, CL_FALSE, origin, one, 0, 0, mark, 0, NULL, NULL),
            CL_SUCCESS);
        assert_int_equal(
            weft_clEnqueueReadImage(queue[(q + 1) % 3], m, CL_TRUE, zero3, all, 0, 0, back, 0, NULL, NULL),
            CL_SUCCESS);
        for (size_t z = 0; z < 2; z++)
            for (size_t y = 0; y < 3; y++)
                for (size_t x = 0; x < 16; x++) {
                    bool marked = z == 1 && y == 2 && x >= 4 && x < 12;
                    size_t want = marked ? 200 + (size_t)q : (z * SLICE + y * ROW + x) % 256;
                    assert_int_equal(back[(z * 3 + y) * 16 + x], want);
                }
    }
    for (int i = 0; i < BYTES; i++) assert_int_equal(host[i], i % 256);
    weft_clReleaseMemObject(m);
}

static void image__whole_writes_move_nothing(void **state) {
    unsigned char data[8 * 4 * 4] = {1};
    const size_t all[3] = {8, 4, 1}, part[3] = {8, 3, 1};
    cl_mem m = image(0, DESC(IMAGE2D, .image_width = 8, .image_height = 4), NULL);
    weft_clEnqueueWriteImage(queue[0], m, CL_TRUE, zero3, all, 0, 0, data, 0, NULL, NULL);
    weft_clEnqueueWriteImage(queue[1], m, CL_TRUE, zero3, all, 0, 0, data, 0, NULL, NULL);
    assert_int_equal(fakes[0].command_count, 1);
    assert_int_equal(fakes[1].command_count, 1);
    weft_clEnqueueWriteImage(queue[0], m, CL_TRUE, zero3, part, 0, 0, data, 0, NULL, NULL);
    assert_int_equal(fake_find(&fakes[1], BK_READ_IMAGE, 0), 1);
    weft_clReleaseMemObject(m);
}

/* A 2D image of a buffer, with a pitch: one memory, and versions of the buffer. */
static void image__of_buffer_is_the_buffer(void **state) {
    enum { ROW = 32, ROWS = 3 };
    unsigned char data[16 + ROW * ROWS] = {0}, back[5 * 4 * ROWS], bytes[sizeof data];
    cl_int rc;
    cl_mem whole = weft_clCreateBuffer(context, CL_MEM_COPY_HOST_PTR, sizeof data, data, &rc);
    cl_buffer_region r = {16, ROW * ROWS};
    cl_mem b = weft_clCreateSubBuffer(whole, 0, CL_BUFFER_CREATE_TYPE_REGION, &r, &rc);
    cl_image_desc d =
        DESC(IMAGE2D, .image_width = 5, .image_height = ROWS, .image_row_pitch = ROW, .mem_object = b);
    cl_mem m = image(0, d, NULL), up = NULL;
    weft_clGetImageInfo(m, CL_IMAGE_BUFFER, sizeof up, &up, NULL);
    assert_ptr_equal(up, b);
    const size_t all[3] = {5, ROWS, 1};
    memset(back, 7, sizeof back);
    assert_int_equal(weft_clEnqueueWriteImage(queue[0], m, CL_FALSE, zero3, all, 0, 0, back, 0, NULL, NULL),
                     0);
    assert_int_equal(
        weft_clEnqueueReadBuffer(queue[1], whole, CL_TRUE, 0, sizeof bytes, bytes, 0, NULL, NULL), 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], i >= 16 && (i - 16) % ROW < 20 ? 7 : 0); /* rows, not the gaps */
    memset(bytes, 9, sizeof bytes);
    assert_int_equal(
        weft_clEnqueueWriteBuffer(queue[2], whole, CL_FALSE, 0, sizeof bytes, bytes, 0, NULL, NULL), 0);
    assert_int_equal(weft_clEnqueueReadImage(queue[0], m, CL_TRUE, zero3, all, 0, 0, back, 0, NULL, NULL), 0);
    for (size_t i = 0; i < sizeof back; i++) assert_int_equal(back[i], 9);

    d.image_row_pitch = 24; /* no multiple of four elements */
    assert_int_equal(error_of(0, &rgba, d, NULL), CL_INVALID_IMAGE_FORMAT_DESCRIPTOR);
    d.image_row_pitch = ROW, d.image_height = ROWS + 1;
    assert_int_equal(error_of(0, &rgba, d, NULL), CL_INVALID_IMAGE_DESCRIPTOR);
    assert_int_equal(error_of(CL_MEM_ALLOC_HOST_PTR, &rgba, d, NULL), CL_INVALID_VALUE);
    d = DESC(IMAGE1D_BUFFER, .image_width = 24);
    assert_int_equal(error_of(0, &rgba, d, NULL), CL_INVALID_IMAGE_DESCRIPTOR);
    d.mem_object = b;
    assert_int_equal(error_of(0, &rgba, d, NULL), CL_SUCCESS);
    cl_mem line = weft_clCreateImage(context, 0, &rgba, &d, NULL, &rc);
    const size_t few[3] = {4, 1, 1};
    assert_int_equal(weft_clEnqueueCopyImageToBuffer(queue[0], line, b, zero3, few, 32, 0, NULL, NULL),
                     CL_INVALID_MEM_OBJECT); /* both are one */
    assert_int_equal(weft_clEnqueueCopyBufferToImage(queue[0], b, line, 32, zero3, few, 0, NULL, NULL),
                     CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clEnqueueCopyImageToBuffer(queue[0], line, whole, zero3, few, 0, 0, NULL, NULL),
                     CL_SUCCESS);
    weft_clReleaseMemObject(line);
    d.image_width = 25;
    assert_int_equal(error_of(0, &rgba, d, NULL), CL_INVALID_IMAGE_DESCRIPTOR);
    d = DESC(IMAGE3D, .image_width = 1, .image_height = 1, .image_depth = 1, .mem_object = b);
    assert_int_equal(error_of(0, &rgba, d, NULL), CL_INVALID_IMAGE_DESCRIPTOR);
    weft_clReleaseMemObject(whole);
    weft_clReleaseMemObject(b);
    weft_clReleaseMemObject(m); /* held them */
}

/* Another view of a 2D image: the same elements under another order. */
static void image__of_image_is_the_image(void **state) {
    unsigned char data[8 * 4] = {0}, back[8 * 4];
    const size_t all[3] = {8, 4, 1};
    const cl_image_format r = {CL_R, CL_UNSIGNED_INT8}, a = {CL_A, CL_UNSIGNED_INT8};
    cl_image_desc d = DESC(IMAGE2D, .image_width = 8, .image_height = 4);
    cl_int rc;
    cl_mem m = weft_clCreateImage(context, 0, &r, &d, NULL, &rc);
    d.mem_object = m;
    cl_mem view = weft_clCreateImage(context, 0, &a, &d, NULL, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    memset(data, 5, sizeof data);
    assert_int_equal(
        weft_clEnqueueWriteImage(queue[0], view, CL_FALSE, zero3, all, 0, 0, data, 0, NULL, NULL), 0);
    assert_int_equal(weft_clEnqueueReadImage(queue[1], m, CL_TRUE, zero3, all, 0, 0, back, 0, NULL, NULL), 0);
    assert_memory_equal(data, back, sizeof data);
    assert_int_equal(error_of(0, &rgba, d, NULL), CL_INVALID_IMAGE_FORMAT_DESCRIPTOR);
    d.image_width = 7;
    assert_int_equal(error_of(0, &a, d, NULL), CL_INVALID_IMAGE_DESCRIPTOR);
    weft_clReleaseMemObject(m);
    weft_clReleaseMemObject(view);
}

static unsigned char *map(int q, cl_mem m, cl_map_flags flags, const size_t *origin, const size_t *region,
                          size_t *row, size_t *slice) {
    cl_int rc;
    unsigned char *p =
        weft_clEnqueueMapImage(queue[q], m, CL_TRUE, flags, origin, region, row, slice, 0, NULL, NULL, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    return p;
}

static void image__maps_see_each_other(void **state) {
    unsigned char data[8 * 4 * 4], back[sizeof data];
    const size_t all[3] = {8, 4, 1}, origin[3] = {2, 1, 0}, region[3] = {3, 2, 1};
    size_t row = 0, slice = 5;
    cl_int rc;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)i;
    cl_mem m = image(CL_MEM_COPY_HOST_PTR, DESC(IMAGE2D, .image_width = 8, .image_height = 4), data);
    unsigned char *a = map(0, m, CL_MAP_READ, zero3, all, &row, &slice);
    assert_int_equal(row, 32);
    assert_int_equal(slice, 0);
    assert_memory_equal(a, data, sizeof data);
    unsigned char *b = map(1, m, CL_MAP_WRITE, origin, region, &row, NULL);
    assert_ptr_equal(b, a + 32 + 8);
    for (size_t y = 0; y < 2; y++) memset(b + y * row, 77, 12);
    assert_int_equal(weft_clEnqueueUnmapMemObject(queue[1], m, b, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(weft_clEnqueueUnmapMemObject(queue[0], m, a, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(weft_clEnqueueUnmapMemObject(queue[0], m, a, 0, NULL, NULL), CL_INVALID_VALUE);
    assert_int_equal(weft_clEnqueueReadImage(queue[2], m, CL_TRUE, zero3, all, 0, 0, back, 0, NULL, NULL), 0);
    for (size_t y = 1; y < 3; y++) memset(data + y * 32 + 8, 77, 12);
    assert_memory_equal(back, data, sizeof data);
    assert_null(weft_clEnqueueMapImage(queue[0], m, CL_TRUE, CL_MAP_READ, zero3, all, NULL, NULL, 0, NULL,
                                       NULL, &rc));
    assert_int_equal(rc, CL_INVALID_VALUE);
    weft_clReleaseMemObject(m);
    m = image(0, DESC(IMAGE1D_ARRAY, .image_width = 8, .image_array_size = 4), NULL);
    assert_null(weft_clEnqueueMapImage(queue[0], m, CL_TRUE, CL_MAP_READ, zero3, all, &row, NULL, 0, NULL,
                                       NULL, &rc));
    assert_int_equal(rc, CL_INVALID_VALUE); /* layers have a pitch */
    weft_clReleaseMemObject(m);
}

static void image__boxes_are_checked(void **state) {
    unsigned char data[8 * 4 * 4];
    const size_t regions[][3] = {{8, 4, 0}, {8, 5, 1}, {9, 4, 1}, {8, 4, 2}, {SIZE_MAX, 4, 1}},
                 good[3] = {8, 4, 1}, beyond[3] = {9, 0, 0}, wrap[3] = {SIZE_MAX - 3, 0, 0},
                 deep[3] = {0, 0, 1};
    cl_mem m = image(0, DESC(IMAGE2D, .image_width = 8, .image_height = 4), NULL);
#define READ(origin, region, row, slice)                                                                     \
    weft_clEnqueueReadImage(queue[0], m, CL_TRUE, origin, region, row, slice, data, 0, NULL, NULL)
    for (int i = 0; i < 5; i++) assert_int_equal(READ(zero3, regions[i], 0, 0), CL_INVALID_VALUE);
    assert_int_equal(READ(beyond, good, 0, 0), CL_INVALID_VALUE);
    assert_int_equal(READ(wrap, good, 0, 0), CL_INVALID_VALUE);
    assert_int_equal(READ(deep, good, 0, 0), CL_INVALID_VALUE);
    assert_int_equal(READ(NULL, good, 0, 0), CL_INVALID_VALUE);
    assert_int_equal(READ(zero3, NULL, 0, 0), CL_INVALID_VALUE);
    assert_int_equal(READ(zero3, good, 31, 0), CL_INVALID_VALUE);
    assert_int_equal(READ(zero3, good, 0, 128), CL_INVALID_VALUE); /* no slices */
    assert_int_equal(READ(zero3, good, SIZE_MAX, 0), CL_INVALID_VALUE);
    assert_int_equal(READ(zero3, good, 0, 0), CL_SUCCESS);
    weft_clReleaseMemObject(m);
}

static void image__is_no_buffer(void **state) {
    unsigned char data[16];
    cl_int rc;
    cl_mem m = image(0, DESC(IMAGE1D, .image_width = 8), NULL),
           b = weft_clCreateBuffer(context, 0, 64, NULL, &rc);
    const size_t one[3] = {1, 1, 1};
    cl_buffer_region r = {0, 16};
    assert_int_equal(weft_clEnqueueReadBuffer(queue[0], m, CL_TRUE, 0, 16, data, 0, NULL, NULL),
                     CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clEnqueueCopyBuffer(queue[0], b, m, 0, 0, 4, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
    assert_null(weft_clEnqueueMapBuffer(queue[0], m, CL_TRUE, CL_MAP_READ, 0, 4, 0, NULL, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_MEM_OBJECT);
    assert_null(weft_clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, &r, &rc));
    assert_int_equal(rc, CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clEnqueueReadImage(queue[0], b, CL_TRUE, zero3, one, 0, 0, data, 0, NULL, NULL),
                     CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clGetImageInfo(b, CL_IMAGE_WIDTH, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clEnqueueCopyImageToBuffer(queue[0], m, m, zero3, one, 0, 0, NULL, NULL),
                     CL_INVALID_MEM_OBJECT);
    weft_clReleaseMemObject(m);
    weft_clReleaseMemObject(b);
}

static cl_kernel shade(cl_program *program) {
    const char *source = "fake";
    cl_int rc;
    *program = weft_clCreateProgramWithSource(context, 1, &source, NULL, &rc);
    assert_int_equal(weft_clBuildProgram(*program, 0, NULL, "", NULL, NULL), CL_SUCCESS);
    return weft_clCreateKernel(*program, "shade", &rc);
}

static void image__as_argument(void **state) {
    unsigned char data[8 * 4 * 4] = {0}, back[sizeof data];
    const size_t all[3] = {8, 4, 1}, one = 1;
    const cl_image_desc d = DESC(IMAGE2D, .image_width = 8, .image_height = 4);
    cl_program program;
    cl_int rc;
    cl_kernel k = shade(&program);
    memset(data, 3, sizeof data);
    cl_mem in = image(CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, d, data),
           out = image(CL_MEM_WRITE_ONLY, d, NULL), b = weft_clCreateBuffer(context, 0, 64, NULL, &rc),
           none = NULL;
    cl_sampler s = weft_clCreateSampler(context, CL_TRUE, CL_ADDRESS_CLAMP, CL_FILTER_LINEAR, &rc), no = NULL;
    assert_int_equal(weft_clSetKernelArg(k, 0, sizeof b, &b), CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clSetKernelArg(k, 0, sizeof none, &none), CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clSetKernelArg(k, 0, sizeof out, &out), CL_INVALID_ARG_VALUE); /* reads it */
    assert_int_equal(weft_clSetKernelArg(k, 1, sizeof in, &in), CL_INVALID_ARG_VALUE);   /* writes it */
    assert_int_equal(weft_clSetKernelArg(k, 2, sizeof no, &no), CL_INVALID_SAMPLER);
    assert_int_equal(weft_clSetKernelArg(k, 2, sizeof in, &in), CL_INVALID_SAMPLER);
    assert_int_equal(weft_clSetKernelArg(k, 2, 4, &s), CL_INVALID_ARG_SIZE);
    assert_int_equal(weft_clSetKernelArg(k, 0, sizeof in, &in), CL_SUCCESS);
    assert_int_equal(weft_clSetKernelArg(k, 1, sizeof out, &out), CL_SUCCESS);
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue[1], k, 1, NULL, &one, NULL, 0, NULL, NULL),
                     CL_INVALID_KERNEL_ARGS);
    assert_int_equal(weft_clSetKernelArg(k, 2, sizeof s, &s), CL_SUCCESS);
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue[1], k, 1, NULL, &one, NULL, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(weft_clEnqueueReadImage(queue[2], out, CL_TRUE, zero3, all, 0, 0, back, 0, NULL, NULL),
                     0);
    assert_memory_equal(back, data, sizeof data);
    const cl_bool no_images = CL_FALSE;
    const size_t narrow = 4;
    fake_change(&fakes[1], CL_DEVICE_IMAGE2D_MAX_WIDTH, &narrow, sizeof narrow);
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue[1], k, 1, NULL, &one, NULL, 0, NULL, NULL),
                     CL_INVALID_IMAGE_SIZE);
    fake_change(&fakes[1], CL_DEVICE_IMAGE_SUPPORT, &no_images, sizeof no_images);
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue[1], k, 1, NULL, &one, NULL, 0, NULL, NULL),
                     CL_INVALID_OPERATION);
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue[2], k, 1, NULL, &one, NULL, 0, NULL, NULL),
                     CL_SUCCESS);
    weft_clReleaseSampler(s); /* the kernel does not hold it */
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue[2], k, 1, NULL, &one, NULL, 0, NULL, NULL),
                     CL_INVALID_KERNEL_ARGS);
    weft_clReleaseMemObject(in);
    weft_clReleaseMemObject(out);
    weft_clReleaseMemObject(b);
    weft_clReleaseKernel(k);
    weft_clReleaseProgram(program);
}

static void sampler__properties(void **state) {
    const cl_sampler_properties good[] = {CL_SAMPLER_ADDRESSING_MODE, CL_ADDRESS_REPEAT, 0},
                                twice[] = {CL_SAMPLER_FILTER_MODE, CL_FILTER_LINEAR, CL_SAMPLER_FILTER_MODE,
                                           CL_FILTER_LINEAR, 0},
                                odd[] = {0x7777, 1, 0},
                                unscaled[] = {CL_SAMPLER_NORMALIZED_COORDS, CL_FALSE,
                                              CL_SAMPLER_ADDRESSING_MODE, CL_ADDRESS_REPEAT, 0};
    cl_sampler_properties told[8];
    cl_uint v = 0;
    size_t size = 0;
    cl_int rc;
    cl_sampler s = weft_clCreateSamplerWithProperties(context, good, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    assert_int_equal(weft_clGetSamplerInfo(s, CL_SAMPLER_PROPERTIES, sizeof told, told, &size), CL_SUCCESS);
    assert_int_equal(size, sizeof good);
    assert_memory_equal(told, good, sizeof good);
    assert_int_equal(weft_clGetSamplerInfo(s, CL_SAMPLER_FILTER_MODE, sizeof v, &v, NULL), CL_SUCCESS);
    assert_int_equal(v, CL_FILTER_NEAREST);
    assert_int_equal(weft_clGetSamplerInfo(s, CL_SAMPLER_NORMALIZED_COORDS, sizeof v, &v, NULL), CL_SUCCESS);
    assert_int_equal(v, CL_TRUE);
    assert_int_equal(weft_clReleaseSampler(s), CL_SUCCESS);
    assert_int_equal(weft_clReleaseSampler(s), CL_INVALID_SAMPLER);
    assert_null(weft_clCreateSamplerWithProperties(context, twice, &rc));
    assert_int_equal(rc, CL_INVALID_VALUE);
    assert_null(weft_clCreateSamplerWithProperties(context, odd, &rc));
    assert_int_equal(rc, CL_INVALID_VALUE);
    assert_null(weft_clCreateSamplerWithProperties(context, unscaled, &rc));
    assert_int_equal(rc, CL_INVALID_VALUE);
    assert_null(weft_clCreateSamplerWithProperties(NULL, good, &rc));
    assert_int_equal(rc, CL_INVALID_CONTEXT);
    s = weft_clCreateSamplerWithProperties(context, NULL, &rc);
    assert_int_equal(weft_clGetSamplerInfo(s, CL_SAMPLER_PROPERTIES, sizeof told, told, &size), CL_SUCCESS);
    assert_int_equal(size, 0);
    weft_clReleaseSampler(s);
}

static void image__takes_no_properties(void **state) {
    const cl_mem_properties none[] = {0}, odd[] = {0x7777, 1, 0};
    const cl_image_desc d = DESC(IMAGE1D, .image_width = 8);
    size_t size = 0;
    cl_int rc;
    assert_null(weft_clCreateImageWithProperties(context, odd, 0, &rgba, &d, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_PROPERTY);
    cl_mem m = weft_clCreateImageWithProperties(context, none, 0, &rgba, &d, NULL, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    assert_int_equal(weft_clGetMemObjectInfo(m, CL_MEM_PROPERTIES, 0, NULL, &size), CL_SUCCESS);
    assert_int_equal(size, sizeof none);
    weft_clReleaseMemObject(m);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(image__tells_its_layout),
        CASE(image__wrong_descriptions_are_refused),
        CASE(image__formats_are_those_of_all_devices),
        CASE(image__moves_between_backends_with_its_pitches),
        CASE(image__whole_writes_move_nothing),
        CASE(image__of_buffer_is_the_buffer),
        CASE(image__of_image_is_the_image),
        CASE(image__maps_see_each_other),
        CASE(image__boxes_are_checked),
        CASE(image__is_no_buffer),
        CASE(image__as_argument),
        CASE(sampler__properties),
        CASE(image__takes_no_properties),
    };
    fakes_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
