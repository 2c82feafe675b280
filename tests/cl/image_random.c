/* Random programs over two images and a buffer, each command on a device drawn at random and ordered after
 * the one before by its event alone, against a model in host memory. CLTEST_SEED begins elsewhere. */
#include "func.h"
#include "image.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 120, PROGRAMS = 24, BYTES_MAX = 24 * 10 * 5 * 4 };

struct machine {
    struct cltest *t;
    struct shape shape;
    cl_mem image[2], buffer;
    unsigned char model[2][BYTES_MAX], of_buffer[BYTES_MAX], host[BYTES_MAX], back[BYTES_MAX];
    cl_event last; /* of the command before; NULL: none */
    uint32_t seed;
};

struct box {
    size_t origin[3], region[3], bytes;
};

static unsigned draw(struct machine *m, unsigned below) {
    m->seed = m->seed * 1103515245u + 12345u;
    return (m->seed >> 8) % below;
}

static struct box some_box(struct machine *m) {
    struct box b = {.bytes = m->shape.element};
    for (int i = 0; i < 3; i++) {
        unsigned extent = (unsigned)m->shape.extent[i];
        bool whole = draw(m, 4) == 0;
        b.origin[i] = whole ? 0 : draw(m, extent);
        b.region[i] = whole ? extent : 1 + draw(m, extent - (unsigned)b.origin[i]);
        b.bytes *= b.region[i];
    }
    return b;
}

/* Calls once for each row of the box: its place in the image, its place when packed. */
#define EACH_ROW(m, b, in_image, packed)                                                                     \
    for (size_t z_ = 0, packed = 0; z_ < (b)->region[2]; z_++)                                               \
        for (size_t y_ = 0, in_image; y_ < (b)->region[1] && (in_image = place(m, b, y_, z_), true);         \
             y_++, packed += (b)->region[0] * (m)->shape.element)

static size_t place(const struct machine *m, const struct box *b, size_t y, size_t z) {
    const struct shape *s = &m->shape;
    return ((b->origin[2] + z) * s->extent[1] + b->origin[1] + y) * s->row + b->origin[0] * s->element;
}

/* ---- commands: each waits for the last one and becomes it ---- */
static cl_command_queue some_queue(struct machine *m) { return m->t->queue[draw(m, 2) ? m->t->other : 0]; }

static void became(struct machine *m, cl_command_queue q, cl_event e) {
    if (m->last) OK(clReleaseEvent(m->last));
    m->last = e;
    OK(clFlush(q)); /* another queue may wait for it */
}

#define LAST (m->last ? 1 : 0), (m->last ? &m->last : NULL)

static void write_box(struct machine *m) {
    unsigned i = draw(m, 2);
    struct box b = some_box(m);
    cl_command_queue q = some_queue(m);
    cl_event e;
    cltest_pattern(m->host, b.bytes, m->seed);
    OK(clEnqueueWriteImage(q, m->image[i], CL_TRUE, b.origin, b.region, 0, 0, m->host, LAST, &e));
    size_t row = b.region[0] * m->shape.element;
    EACH_ROW(m, &b, at, from) memcpy(m->model[i] + at, m->host + from, row);
    became(m, q, e);
}

static void read_box(struct machine *m) {
    unsigned i = draw(m, 2);
    struct box b = some_box(m);
    cl_command_queue q = some_queue(m);
    cl_event e;
    OK(clEnqueueReadImage(q, m->image[i], CL_TRUE, b.origin, b.region, 0, 0, m->back, LAST, &e));
    size_t row = b.region[0] * m->shape.element;
    EACH_ROW(m, &b, at, from) CHECK(!memcmp(m->model[i] + at, m->back + from, row));
    became(m, q, e);
}

static void copy_box(struct machine *m) {
    unsigned from = draw(m, 2), to = 1 - from;
    struct box b = some_box(m), target = b;
    cl_command_queue q = some_queue(m);
    cl_event e;
    for (int d = 0; d < 3; d++) target.origin[d] = draw(m, (unsigned)(m->shape.extent[d] - b.region[d]) + 1);
    OK(clEnqueueCopyImage(q, m->image[from], m->image[to], b.origin, target.origin, b.region, LAST, &e));
    size_t row = b.region[0] * m->shape.element;
    EACH_ROW(m, &b, at, packed) memcpy(m->host + packed, m->model[from] + at, row);
    EACH_ROW(m, &target, at, packed) memcpy(m->model[to] + at, m->host + packed, row);
    became(m, q, e);
}

static void fill_box(struct machine *m) {
    unsigned i = draw(m, 2);
    struct box b = some_box(m);
    cl_command_queue q = some_queue(m);
    cl_event e;
    cl_uint color[4];
    for (int c = 0; c < 4; c++) color[c] = draw(m, 256);
    OK(clEnqueueFillImage(q, m->image[i], color, b.origin, b.region, LAST, &e));
    EACH_ROW(m, &b, at, unused)
    for (size_t k = 0; k < b.region[0] * 4; k++) m->model[i][at + k] = (unsigned char)color[k % 4];
    became(m, q, e);
}

static void to_buffer(struct machine *m) {
    unsigned i = draw(m, 2);
    struct box b = some_box(m);
    size_t offset = draw(m, (unsigned)(m->shape.bytes - b.bytes) + 1) & ~(size_t)3;
    cl_command_queue q = some_queue(m);
    cl_event e;
    OK(clEnqueueCopyImageToBuffer(q, m->image[i], m->buffer, b.origin, b.region, offset, LAST, &e));
    size_t row = b.region[0] * m->shape.element;
    EACH_ROW(m, &b, at, to) memcpy(m->of_buffer + offset + to, m->model[i] + at, row);
    became(m, q, e);
}

static void from_buffer(struct machine *m) {
    unsigned i = draw(m, 2);
    struct box b = some_box(m);
    size_t offset = draw(m, (unsigned)(m->shape.bytes - b.bytes) + 1) & ~(size_t)3;
    cl_command_queue q = some_queue(m);
    cl_event e;
    OK(clEnqueueCopyBufferToImage(q, m->buffer, m->image[i], offset, b.origin, b.region, LAST, &e));
    size_t row = b.region[0] * m->shape.element;
    EACH_ROW(m, &b, at, from) memcpy(m->model[i] + at, m->of_buffer + offset + from, row);
    became(m, q, e);
}

static void map_box(struct machine *m) {
    static const cl_map_flags flags[] = {CL_MAP_READ, CL_MAP_WRITE, CL_MAP_READ | CL_MAP_WRITE,
                                         CL_MAP_WRITE_INVALIDATE_REGION};
    unsigned i = draw(m, 2), f = draw(m, 4);
    struct box b = some_box(m);
    cl_command_queue q = some_queue(m);
    size_t row_pitch = 0, slice_pitch = 0, row = b.region[0] * m->shape.element;
    cl_event e;
    cl_int err;
    unsigned char *p = clEnqueueMapImage(q, m->image[i], CL_TRUE, flags[f], b.origin, b.region, &row_pitch,
                                         &slice_pitch, LAST, NULL, &err);
    OK(err);
    bool layers = m->shape.desc.image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY;
    for (size_t z = 0; z < b.region[2]; z++)
        for (size_t y = 0; y < b.region[1]; y++) {
            unsigned char *here = p + z * slice_pitch + y * (layers ? slice_pitch : row_pitch),
                          *there = m->model[i] + place(m, &b, y, z);
            if (f != 3) CHECK(!memcmp(here, there, row));
            if (f == 0) continue;
            cltest_pattern(here, row, m->seed + (uint32_t)(y + z * 100));
            memcpy(there, here, row);
        }
    OK(clEnqueueUnmapMemObject(q, m->image[i], p, 0, NULL, &e));
    became(m, q, e);
}

static void read_buffer(struct machine *m) {
    cl_command_queue q = some_queue(m);
    cl_event e;
    OK(clEnqueueReadBuffer(q, m->buffer, CL_TRUE, 0, m->shape.bytes, m->back, LAST, &e));
    CHECK(!memcmp(m->back, m->of_buffer, m->shape.bytes));
    became(m, q, e);
}

static void run(struct machine *m, cl_mem_object_type type, uint32_t seed) {
    static void (*const commands[])(struct machine *) = {write_box, read_box,    copy_box, fill_box,
                                                         to_buffer, from_buffer, map_box,  read_buffer};
    m->shape = shape_of(type);
    m->seed = seed;
    m->last = NULL;
    memset(m->model, 0, sizeof m->model);
    memset(m->of_buffer, 0, sizeof m->of_buffer);
    for (int i = 0; i < 2; i++)
        m->image[i] =
            image_make(m->t, &m->shape, &image_rgba8, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, m->model[i]);
    m->buffer = cltest_buffer(m->t, CL_MEM_COPY_HOST_PTR, m->shape.bytes, m->of_buffer);
    for (int step = 0; step < STEPS; step++) commands[draw(m, 8)](m);
    OK(clReleaseEvent(m->last));
    for (int i = 0; i < 2; i++) OK(clReleaseMemObject(m->image[i]));
    OK(clReleaseMemObject(m->buffer));
}

void image__random(struct cltest *t) {
    static const cl_mem_object_type types[] = {CL_MEM_OBJECT_IMAGE2D, CL_MEM_OBJECT_IMAGE3D,
                                               CL_MEM_OBJECT_IMAGE1D_ARRAY, CL_MEM_OBJECT_IMAGE2D_ARRAY,
                                               CL_MEM_OBJECT_IMAGE1D};
    static struct machine m;
    const char *given = getenv("CLTEST_SEED");
    uint32_t seed = given ? (uint32_t)atoi(given) : 1;
    if (!image_support(t)) return;
    m.t = t;
    for (uint32_t i = 0; i < PROGRAMS; i++) run(&m, types[i % 5], seed + i);
}

/* ---- threads ---- */
struct worker {
    struct cltest *t;
    unsigned number;
    bool good;
};

/* Images of its own, on queues that all threads share. */
static void *work(void *arg) {
    struct worker *w = arg;
    const cl_image_desc d = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 24, .image_height = 10};
    const size_t zero[3] = {0}, all[3] = {24, 10, 1};
    unsigned char data[24 * 10 * 4], back[sizeof data];
    for (uint32_t round = 0; round < 60; round++) {
        cl_command_queue a = w->t->queue[round % 2 ? w->t->other : 0],
                         b = w->t->queue[round % 3 ? w->t->other : 0];
        cl_int err[2], rc = 0;
        cl_event copied = NULL;
        cltest_pattern(data, sizeof data, round * 16 + w->number);
        cl_mem from = clCreateImage(w->t->ctx, CL_MEM_COPY_HOST_PTR, &image_rgba8, &d, data, &err[0]),
               to = clCreateImage(w->t->ctx, 0, &image_rgba8, &d, NULL, &err[1]);
        if (err[0] || err[1]) return NULL;
        rc |= clEnqueueCopyImage(a, from, to, zero, zero, all, 0, NULL, &copied);
        rc |= clFlush(a);
        if (!rc) rc = clEnqueueReadImage(b, to, CL_TRUE, zero, all, 0, 0, back, 1, &copied, NULL);
        rc |= clReleaseMemObject(from) | clReleaseMemObject(to);
        if (copied) rc |= clReleaseEvent(copied);
        if (rc || !cltest_has_pattern(back, sizeof back, round * 16 + w->number)) return NULL;
    }
    w->good = true;
    return NULL;
}

void image__threads(struct cltest *t) {
    enum { THREADS = 4 };
    struct worker w[THREADS];
    pthread_t thread[THREADS];
    if (!image_support(t)) return;
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){t, i, false};
        CHECK(!pthread_create(&thread[i], NULL, work, &w[i]));
    }
    for (unsigned i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < THREADS; i++) CHECK(w[i].good);
}
