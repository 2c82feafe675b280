/* weft-clbench: contents that move between two devices of one context. */
#include "clbench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH ((size_t)2048) /* of images, in elements of four bytes; of rows of buffers */
#define ROW   (4 * WIDTH)

struct pair {
    const struct bench *b;
    cl_context context;
    cl_command_queue queue[2];
    size_t bytes;
    uint32_t *host;
    double *us;
    unsigned n;
};

static cl_mem make_buffer(const struct pair *p) {
    cl_int err;
    cl_mem m = clCreateBuffer(p->context, CL_MEM_READ_WRITE, p->bytes, NULL, &err);
    need(err, "clCreateBuffer");
    return m;
}

static cl_mem make_image(const struct pair *p) {
    const cl_image_format format = {CL_RGBA, CL_UNSIGNED_INT8};
    const cl_image_desc desc = {
        .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = WIDTH, .image_height = p->bytes / ROW};
    cl_int err;
    cl_mem m = clCreateImage(p->context, CL_MEM_READ_WRITE, &format, &desc, NULL, &err);
    need(err, "clCreateImage");
    return m;
}

/* All of it, from or to `host`. */
static void transfer(const struct pair *p, unsigned device, cl_mem m, bool image, bool write) {
    const size_t origin[3] = {0}, region[3] = {WIDTH, p->bytes / ROW, 1};
    cl_command_queue q = p->queue[device];
    if (image && write)
        need(clEnqueueWriteImage(q, m, CL_TRUE, origin, region, 0, 0, p->host, 0, NULL, NULL),
             "clEnqueueWriteImage");
    else if (image)
        need(clEnqueueReadImage(q, m, CL_TRUE, origin, region, 0, 0, p->host, 0, NULL, NULL),
             "clEnqueueReadImage");
    else if (write)
        need(clEnqueueWriteBuffer(q, m, CL_TRUE, 0, p->bytes, p->host, 0, NULL, NULL),
             "clEnqueueWriteBuffer");
    else
        need(clEnqueueReadBuffer(q, m, CL_TRUE, 0, p->bytes, p->host, 0, NULL, NULL), "clEnqueueReadBuffer");
}

/* New contents, on the first device alone. */
static void begin(const struct pair *p, cl_mem m, bool image, uint32_t seed) {
    fill(p->host, p->bytes, seed);
    transfer(p, 0, m, image, true);
    need(clFinish(p->queue[0]), "clFinish");
}

static double migrate(const struct pair *p, bool image, uint32_t seed, cl_mem m) {
    begin(p, m, image, seed);
    double start = now_us();
    need(clEnqueueMigrateMemObjects(p->queue[1], 1, &m, 0, 0, NULL, NULL), "clEnqueueMigrateMemObjects");
    need(clFinish(p->queue[1]), "clFinish");
    double us = now_us() - start;
    memset(p->host, 0, p->bytes);
    transfer(p, 1, m, image, false);
    if (!filled(p->host, p->bytes, seed)) wrong("what moved is not what was written");
    return us;
}

/* Every other row of a buffer, into one that the second device has. */
static double copy_rows(const struct pair *p, uint32_t seed, cl_mem from, cl_mem to) {
    const size_t origin[3] = {0}, region[3] = {ROW, p->bytes / ROW / 2, 1};
    begin(p, from, false, seed);
    double start = now_us();
    need(clEnqueueCopyBufferRect(p->queue[1], from, to, origin, origin, region, 2 * ROW, 0, 2 * ROW, 0, 0,
                                 NULL, NULL),
         "clEnqueueCopyBufferRect");
    need(clFinish(p->queue[1]), "clFinish");
    double us = now_us() - start;
    transfer(p, 1, to, false, false);
    if (p->host[0] != seed) wrong("the rows that were copied");
    return us;
}

/* What it takes without the implementation's help. */
static double by_hand(const struct pair *p, bool image, uint32_t seed, cl_mem from, cl_mem to) {
    begin(p, from, image, seed);
    double start = now_us();
    transfer(p, 0, from, image, false);
    transfer(p, 1, to, image, true);
    return now_us() - start;
}

enum what { MIGRATE, ROWS, BY_HAND };

static void measure(const struct pair *p, const char *name, enum what what, bool image) {
    enum { WARM = 2 };
    cl_mem m = image ? make_image(p) : make_buffer(p), other = image ? make_image(p) : make_buffer(p);
    memset(p->host, 0, p->bytes);
    transfer(p, 1, other, image, true);
    for (unsigned i = 0; i < WARM + p->n; i++) {
        double us = what == MIGRATE ? migrate(p, image, i + 1, m)
                    : what == ROWS  ? copy_rows(p, i + 1, m, other)
                                    : by_hand(p, image, i + 1, m, other);
        if (i >= WARM) p->us[i - WARM] = us;
    }
    report(p->b, name, what == ROWS ? p->bytes / 2 : p->bytes, p->us, p->n);
    need(clReleaseMemObject(m), "clReleaseMemObject");
    need(clReleaseMemObject(other), "clReleaseMemObject");
}

static void measure_all(struct pair *p, size_t bytes, unsigned most) {
    p->bytes = bytes;
    p->n = most / p->b->divide > 4 ? most / p->b->divide : 5;
    p->host = aligned_alloc(4096, bytes);
    p->us = calloc(p->n, sizeof *p->us);
    if (!p->host || !p->us) need(CL_OUT_OF_HOST_MEMORY, "allocating");
    measure(p, "move_buffer", MIGRATE, false);
    measure(p, "move_image", MIGRATE, true);
    measure(p, "move_rows", ROWS, false);
    measure(p, "hand_buffer", BY_HAND, false);
    measure(p, "hand_image", BY_HAND, true);
    free(p->host);
    free(p->us);
}

void bench_moves(const struct bench *b, const struct cldevice devices[2]) {
    const cl_device_id ids[2] = {devices[0].id, devices[1].id};
    struct pair p = {.b = b};
    cl_int err;
    p.context = clCreateContext(NULL, 2, ids, NULL, NULL, &err);
    need(err, "clCreateContext");
    for (int i = 0; i < 2; i++) {
        p.queue[i] = clCreateCommandQueue(p.context, ids[i], 0, &err);
        need(err, "clCreateCommandQueue");
        if (!b->json)
            printf("%s: %s, node %u, host %s\n", b->path, devices[i].name, devices[i].node, devices[i].host);
    }
    measure_all(&p, 16 << 20, 40);
    measure_all(&p, 64 << 20, 12);
    for (int i = 0; i < 2; i++) need(clReleaseCommandQueue(p.queue[i]), "clReleaseCommandQueue");
    need(clReleaseContext(p.context), "clReleaseContext");
}
