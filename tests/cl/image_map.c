/* Images and the host's memory: maps, CL_MEM_USE_HOST_PTR and CL_MEM_COPY_HOST_PTR with pitches, and the
 * calls of OpenCL 1.0. */
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#include "func.h"
#include "image.h"
#include <stdlib.h>
#include <string.h>

static const size_t zero3[3];

/* ---- maps ---- */
static void map_one(struct cltest *t, cl_mem_object_type type, cl_map_flags flags, cl_mem_flags mem_flags,
                    cl_bool blocking) {
    struct shape s = shape_of(type);
    unsigned char want[24 * 10 * 5 * 4], back[sizeof want];
    cl_mem m = image_make(t, &s, &image_rgba8, CL_MEM_READ_WRITE | mem_flags, NULL);
    size_t high = s.extent[1] > 1, deep = s.extent[2] > 1, row = 0, slice = 77, plane = s.row * s.extent[1];
    size_t origin[3] = {3, high * 2, deep}, region[3] = {9, high ? 4 : 1, deep ? 3 : 1};
    bool layers = type == CL_MEM_OBJECT_IMAGE1D_ARRAY;
    cl_int err;
    cl_event ev;
    cltest_pattern(want, s.bytes, (uint32_t)flags);
    image_write(t, 0, m, &s, want);
    unsigned char *p =
        clEnqueueMapImage(t->queue[0], m, blocking, flags, origin, region, &row, &slice, 0, NULL, &ev, &err);
    OK(err);
    CHECK(p);
    OK(clWaitForEvents(1, &ev));
    CHECK(row >= region[0] * s.element);
    CHECK(deep || layers ? slice >= row : slice == 0);
    size_t line = layers ? slice : row;
    for (size_t z = 0; z < region[2]; z++)
        for (size_t y = 0; y < region[1]; y++) {
            unsigned char *here = p + z * slice + y * line,
                          *there = want + (origin[2] + z) * plane + (origin[1] + y) * s.row + origin[0] * 4;
            size_t bytes = region[0] * s.element;
            if (flags != CL_MAP_WRITE_INVALIDATE_REGION) CHECK(!memcmp(here, there, bytes));
            if (flags == CL_MAP_READ) continue;
            cltest_pattern(here, bytes, (uint32_t)(100 + y + 10 * z));
            memcpy(there, here, bytes);
        }
    OK(clEnqueueUnmapMemObject(t->queue[0], m, p, 0, NULL, NULL));
    OK(clFinish(t->queue[0]));
    image_read(t, t->other, m, &s, back);
    CHECK(!memcmp(want, back, s.bytes));
    OK(clReleaseEvent(ev));
    OK(clReleaseMemObject(m));
}

void image__map(struct cltest *t) {
    static const cl_mem_object_type types[] = {CL_MEM_OBJECT_IMAGE1D, CL_MEM_OBJECT_IMAGE1D_ARRAY,
                                               CL_MEM_OBJECT_IMAGE2D, CL_MEM_OBJECT_IMAGE2D_ARRAY,
                                               CL_MEM_OBJECT_IMAGE3D};
    static const cl_map_flags flags[] = {CL_MAP_READ, CL_MAP_WRITE, CL_MAP_READ | CL_MAP_WRITE,
                                         CL_MAP_WRITE_INVALIDATE_REGION};
    if (!image_support(t)) return;
    for (unsigned i = 0; i < 5; i++)
        for (unsigned f = 0; f < 4; f++)
            for (cl_bool blocking = 0; blocking < 2; blocking++)
                map_one(t, types[i], flags[f], f % 2 ? CL_MEM_ALLOC_HOST_PTR : 0, blocking);
}

void image__map_several(struct cltest *t) {
    enum { N = 5 };
    if (!image_support(t)) return;
    struct shape s = shape_of(CL_MEM_OBJECT_IMAGE2D);
    unsigned char data[24 * 10 * 4], back[sizeof data], *p[N];
    cl_mem m = image_make(t, &s, &image_rgba8, CL_MEM_READ_WRITE, NULL);
    size_t row[N], region[3] = {24, 2, 1};
    cl_uint count = 99;
    cl_int err;
    memset(data, 0, sizeof data);
    image_write(t, 0, m, &s, data);
    for (size_t i = 0; i < N; i++) {
        size_t origin[3] = {0, 2 * i, 0};
        p[i] = clEnqueueMapImage(t->queue[0], m, CL_TRUE, CL_MAP_WRITE, origin, region, &row[i], NULL, 0,
                                 NULL, NULL, &err);
        OK(err);
    }
    OK(clGetMemObjectInfo(m, CL_MEM_MAP_COUNT, sizeof count, &count, NULL));
    CHECK_EQ(count, N);
    for (size_t i = N; i-- > 0;)
        for (size_t y = 0; y < 2; y++) {
            cltest_pattern(p[i] + y * row[i], s.row, (uint32_t)(2 * i + y));
            cltest_pattern(data + (2 * i + y) * s.row, s.row, (uint32_t)(2 * i + y));
        }
    for (size_t i = 0; i < N; i++) OK(clEnqueueUnmapMemObject(t->queue[0], m, p[i], 0, NULL, NULL));
    OK(clFinish(t->queue[0]));
    OK(clGetMemObjectInfo(m, CL_MEM_MAP_COUNT, sizeof count, &count, NULL));
    CHECK_EQ(count, 0);
    image_read(t, 0, m, &s, back);
    CHECK(!memcmp(data, back, sizeof data));
    OK(clReleaseMemObject(m));
}

/* ---- the host's memory, with pitches ---- */
enum { W = 24, H = 10, D = 5, ROW = 128, SLICE = ROW * 12 };

static cl_mem of_host(struct cltest *t, cl_mem_object_type type, cl_mem_flags flags, void *host) {
    struct shape s = shape_of(type);
    cl_int err;
    s.desc.image_row_pitch = ROW;
    s.desc.image_slice_pitch = type == CL_MEM_OBJECT_IMAGE3D ? SLICE : 0;
    cl_mem m = clCreateImage(t->ctx, CL_MEM_READ_WRITE | flags, &image_rgba8, &s.desc, host, &err);
    OK(err);
    return m;
}

void image__copy_host_ptr(struct cltest *t) {
    static unsigned char host[SLICE * D], back[W * 4 * H * D];
    if (!image_support(t)) return;
    for (int deep = 0; deep < 2; deep++) {
        cltest_pattern(host, sizeof host, 8);
        cl_mem m =
            of_host(t, deep ? CL_MEM_OBJECT_IMAGE3D : CL_MEM_OBJECT_IMAGE2D, CL_MEM_COPY_HOST_PTR, host);
        memset(host, 0, sizeof host);
        const size_t region[3] = {W, H, deep ? D : 1};
        OK(clEnqueueReadImage(t->queue[t->other], m, CL_TRUE, zero3, region, 0, 0, back, 0, NULL, NULL));
        cltest_pattern(host, sizeof host, 8);
        for (size_t z = 0; z < region[2]; z++)
            for (size_t y = 0; y < H; y++)
                CHECK(!memcmp(back + (z * H + y) * W * 4, host + z * SLICE + y * ROW, W * 4));
        OK(clReleaseMemObject(m));
    }
}

void image__use_host_ptr(struct cltest *t) {
    unsigned char *host = aligned_alloc(4096, (SLICE * D + 4095) / 4096 * 4096), back[W * 4 * H];
    size_t origin[3] = {2, 3, 0}, region[3] = {5, 4, 1}, row = 0;
    const size_t all[3] = {W, H, 1};
    cl_int err;
    if (!image_support(t)) {
        free(host);
        return;
    }
    cltest_pattern(host, SLICE * D, 9);
    cl_mem m = of_host(t, CL_MEM_OBJECT_IMAGE2D, CL_MEM_USE_HOST_PTR, host);
    void *told = NULL;
    OK(clGetMemObjectInfo(m, CL_MEM_HOST_PTR, sizeof told, &told, NULL));
    CHECK(told == host);
    unsigned char *p = clEnqueueMapImage(t->queue[0], m, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, origin, region,
                                         &row, NULL, 0, NULL, NULL, &err);
    OK(err);
    CHECK(p == host + 3 * ROW + 2 * 4); /* a mapping of such an image lies inside the host's memory */
    CHECK_EQ(row, ROW);
    for (size_t y = 0; y < 4; y++) memset(p + y * ROW, (int)(200 + y), 5 * 4);
    OK(clEnqueueUnmapMemObject(t->queue[0], m, p, 0, NULL, NULL));
    OK(clFinish(t->queue[0]));
    OK(clEnqueueReadImage(t->queue[t->other], m, CL_TRUE, zero3, all, 0, 0, back, 0, NULL, NULL));
    for (size_t y = 0; y < H; y++) CHECK(!memcmp(back + y * W * 4, host + y * ROW, W * 4));
    CHECK_EQ(back[3 * W * 4 + 8], 200);
    OK(clReleaseMemObject(m));
    free(host);
}

/* The calls of OpenCL 1.0. */
void image__old_calls(struct cltest *t) {
    unsigned char host[24 * 4 * 10 * 5], back[sizeof host];
    size_t v = 0;
    cl_int err;
    if (!image_support(t)) return;
    cltest_pattern(host, sizeof host, 10);
    cl_mem flat = clCreateImage2D(t->ctx, CL_MEM_COPY_HOST_PTR, &image_rgba8, 24, 10, 0, host, &err);
    OK(err);
    cl_mem deep = clCreateImage3D(t->ctx, CL_MEM_COPY_HOST_PTR, &image_rgba8, 24, 10, 5, 0, 0, host, &err);
    OK(err);
    struct shape s2 = shape_of(CL_MEM_OBJECT_IMAGE2D), s3 = shape_of(CL_MEM_OBJECT_IMAGE3D);
    OK(clGetImageInfo(deep, CL_IMAGE_SLICE_PITCH, sizeof v, &v, NULL));
    CHECK_EQ(v, 24 * 4 * 10);
    image_read(t, 0, flat, &s2, back);
    CHECK(!memcmp(host, back, 24 * 4 * 10));
    image_read(t, 0, deep, &s3, back);
    CHECK(!memcmp(host, back, sizeof host));
    OK(clReleaseMemObject(flat));
    OK(clReleaseMemObject(deep));
}
