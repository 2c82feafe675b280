/* Buffers beyond plain transfers: creation flags, mapping, sub-buffers, and data that follows the kernels
 * from device to device. */
#include "func.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void read_ints(struct cltest *t, unsigned dev, cl_mem m, int *out, size_t count) {
    OK(clEnqueueReadBuffer(t->queue[dev], m, CL_TRUE, 0, count * sizeof(int), out, 0, NULL, NULL));
}

/* p[i] += v for the first `count` ints, on device `dev`. */
static void add_on(struct cltest *t, unsigned dev, cl_kernel k, cl_mem m, int v, size_t count) {
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    OK(clSetKernelArg(k, 1, sizeof v, &v));
    cltest_launch(t->queue[dev], k, count, 0, NULL, NULL);
}

void memory__flags(struct cltest *t) {
    static const cl_mem_flags access[] = {0, CL_MEM_READ_WRITE, CL_MEM_READ_ONLY, CL_MEM_WRITE_ONLY};
    static const cl_mem_flags host[] = {0, CL_MEM_COPY_HOST_PTR, CL_MEM_ALLOC_HOST_PTR,
                                        CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR};
    unsigned char data[1000], back[1000];
    for (unsigned a = 0; a < 4; a++)
        for (unsigned h = 0; h < 4; h++) {
            bool copy = host[h] & CL_MEM_COPY_HOST_PTR;
            cltest_pattern(data, sizeof data, a * 4 + h);
            cl_mem m = cltest_buffer(t, access[a] | host[h], sizeof data, copy ? data : NULL);
            if (copy)
                memset(data, 0, sizeof data); /* copied at creation */
            else
                OK(clEnqueueWriteBuffer(t->queue[0], m, CL_TRUE, 0, sizeof data, data, 0, NULL, NULL));
            OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof back, back, 0, NULL, NULL));
            CHECK(cltest_has_pattern(back, sizeof back, a * 4 + h));
            OK(clReleaseMemObject(m));
        }
}

void memory__use_host_ptr(struct cltest *t) {
    enum { N = 1024 };
    int *host = aligned_alloc(4096, N * sizeof *host), v = 5;
    cl_int err;
    CHECK(host);
    for (int i = 0; i < N; i++) host[i] = i;
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, N * sizeof *host, host);
    cl_kernel k = cltest_kernel(t, "add");
    add_on(t, 0, k, m, v, N);
    int *p = clEnqueueMapBuffer(t->queue[0], m, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 64, (N - 16) * sizeof *p,
                                0, NULL, NULL, &err);
    OK(err);
    CHECK(p == host + 16); /* a mapping of such a buffer lies inside the host's memory */
    for (int i = 16; i < N; i++) CHECK_EQ(host[i], i + 5);
    host[20] = 1000;
    OK(clEnqueueUnmapMemObject(t->queue[0], m, p, 0, NULL, NULL));
    add_on(t, t->other, k, m, v, N);
    OK(clFinish(t->queue[0]));
    int back[N];
    read_ints(t, t->other, m, back, N);
    CHECK_EQ(back[20], 1005);
    CHECK_EQ(back[0], 10);
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
    free(host);
}

void memory__map_flags(struct cltest *t) {
    enum { SIZE = 20000, AT = 333, LEN = 15001 };
    static const cl_map_flags flags[] = {CL_MAP_READ, CL_MAP_WRITE, CL_MAP_READ | CL_MAP_WRITE,
                                         CL_MAP_WRITE_INVALIDATE_REGION};
    unsigned char want[SIZE], back[SIZE];
    cl_int err;
    for (unsigned f = 0; f < 4; f++)
        for (cl_bool blocking = 0; blocking < 2; blocking++) {
            cltest_pattern(want, SIZE, f);
            cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, SIZE, want);
            cl_event ev;
            unsigned char *p =
                clEnqueueMapBuffer(t->queue[0], m, blocking, flags[f], AT, LEN, 0, NULL, &ev, &err);
            OK(err);
            CHECK(p);
            OK(clWaitForEvents(1, &ev));
            if (flags[f] != CL_MAP_WRITE_INVALIDATE_REGION) CHECK(!memcmp(p, want + AT, LEN));
            if (flags[f] != CL_MAP_READ) cltest_pattern(p, LEN, 50 + f), memcpy(want + AT, p, LEN);
            OK(clEnqueueUnmapMemObject(t->queue[0], m, p, 0, NULL, NULL));
            OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL));
            CHECK(!memcmp(want, back, SIZE));
            OK(clReleaseEvent(ev));
            OK(clReleaseMemObject(m));
        }
}

static cl_uint map_count(cl_mem m) {
    cl_uint n = 99;
    OK(clGetMemObjectInfo(m, CL_MEM_MAP_COUNT, sizeof n, &n, NULL));
    return n;
}

void memory__map_several(struct cltest *t) {
    enum { N = 4, PART = 4096 };
    unsigned char back[N * PART], *p[N];
    cl_int err;
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, N * PART, NULL);
    for (int i = 0; i < N; i++) {
        p[i] = clEnqueueMapBuffer(t->queue[0], m, CL_TRUE, CL_MAP_WRITE, (size_t)i * PART, PART, 0, NULL,
                                  NULL, &err);
        OK(err);
    }
    CHECK_EQ(map_count(m), N);
    for (int i = N - 1; i >= 0; i--) cltest_pattern(p[i], PART, (uint32_t)i);
    for (int i = 0; i < N; i++) OK(clEnqueueUnmapMemObject(t->queue[0], m, p[i], 0, NULL, NULL));
    OK(clFinish(t->queue[0]));
    CHECK_EQ(map_count(m), 0);
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof back, back, 0, NULL, NULL));
    for (int i = 0; i < N; i++) CHECK(cltest_has_pattern(back + i * PART, PART, (uint32_t)i));
    OK(clReleaseMemObject(m));
}

/* Alternates kernels on two devices with host work through mappings; nothing waits but the mappings
 * themselves. */
void memory__map_kernel_sees(struct cltest *t) {
    enum { N = 5000, ROUNDS = 20 };
    cl_int err;
    cl_kernel k = cltest_kernel(t, "add");
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, N * sizeof(int), NULL);
    int zero = 0;
    OK(clEnqueueFillBuffer(t->queue[0], m, &zero, sizeof zero, 0, N * sizeof(int), 0, NULL, NULL));
    OK(clFinish(t->queue[0]));
    for (int round = 0; round < ROUNDS; round++) {
        unsigned dev = round % 2 ? t->other : 0;
        add_on(t, dev, k, m, 1, N);
        int *p = clEnqueueMapBuffer(t->queue[dev], m, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, N * sizeof(int),
                                    0, NULL, NULL, &err);
        OK(err);
        for (int i = 0; i < N; i++) {
            CHECK_EQ(p[i], round * 11 + 1);
            p[i] += 10;
        }
        OK(clEnqueueUnmapMemObject(t->queue[dev], m, p, 0, NULL, NULL));
        OK(clFinish(t->queue[dev]));
    }
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
}

static size_t alignment(struct cltest *t) {
    size_t most = 1;
    for (unsigned i = 0; i < t->n_devices; i++) {
        cl_uint bits = 0;
        OK(clGetDeviceInfo(t->dev[i], CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof bits, &bits, NULL));
        if (bits / 8 > most) most = bits / 8;
    }
    return most;
}

static cl_mem sub_of(cl_mem parent, size_t origin, size_t size) {
    cl_buffer_region r = {origin, size};
    cl_int err;
    cl_mem s = clCreateSubBuffer(parent, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &r, &err);
    OK(err);
    return s;
}

/* A parent that is written, read and computed on through two sub-buffers. */
static void sub_buffer_case(struct cltest *t, bool use_parent_first) {
    size_t step = alignment(t) < 1024 ? 1024 : alignment(t), ints = step / sizeof(int);
    int *host = calloc(4, step), *back = calloc(4, step);
    cl_kernel k = cltest_kernel(t, "add");
    cl_mem parent = cltest_buffer(t, CL_MEM_READ_WRITE, 4 * step, NULL);
    for (size_t i = 0; i < 4 * ints; i++) host[i] = (int)i;
    OK(clEnqueueWriteBuffer(t->queue[0], parent, CL_TRUE, 0, 4 * step, host, 0, NULL, NULL));
    if (use_parent_first) add_on(t, 0, k, parent, 0, 4 * ints);
    cl_mem s1 = sub_of(parent, step, step), s2 = sub_of(parent, 2 * step, 2 * step);

    cl_mem up = NULL;
    size_t offset = 0;
    OK(clGetMemObjectInfo(s2, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof up, &up, NULL));
    OK(clGetMemObjectInfo(s2, CL_MEM_OFFSET, sizeof offset, &offset, NULL));
    CHECK(up == parent);
    CHECK_EQ(offset, 2 * step);

    add_on(t, 0, k, s1, 1000, ints);
    OK(clFinish(t->queue[0]));
    add_on(t, t->other, k, s2, 2000, 2 * ints);
    OK(clFinish(t->queue[t->other]));
    OK(clEnqueueWriteBuffer(t->queue[0], s2, CL_TRUE, sizeof(int), sizeof(int), host, 0, NULL, NULL));
    read_ints(t, 0, parent, back, 4 * ints);
    for (size_t i = 0; i < 4 * ints; i++) {
        int want = (int)i + (i < ints ? 0 : i < 2 * ints ? 1000 : 2000);
        CHECK_EQ(back[i], i == 2 * ints + 1 ? 0 : want);
    }
    read_ints(t, t->other, s1, back, ints);
    CHECK_EQ(back[3], (int)ints + 3 + 1000);
    OK(clReleaseMemObject(parent)); /* a sub-buffer keeps its parent */
    read_ints(t, 0, s2, back, 2 * ints);
    CHECK_EQ(back[5], (int)(2 * ints) + 5 + 2000);
    OK(clReleaseMemObject(s1));
    OK(clReleaseMemObject(s2));
    OK(clReleaseKernel(k));
    free(host);
    free(back);
}

void memory__sub_buffer(struct cltest *t) { sub_buffer_case(t, false); }
void memory__sub_buffer_after_use(struct cltest *t) { sub_buffer_case(t, true); }

struct gone {
    pthread_mutex_t lock;
    pthread_cond_t change;
    int order[3], n;
};
struct gone_arg {
    struct gone *g;
    int id;
};

static void CL_CALLBACK on_gone(cl_mem m, void *arg) {
    struct gone_arg *a = arg;
    pthread_mutex_lock(&a->g->lock);
    if (a->g->n < 3) a->g->order[a->g->n++] = a->id;
    pthread_cond_signal(&a->g->change);
    pthread_mutex_unlock(&a->g->lock);
}

/* Destructor callbacks run in the reverse order of their registration. */
void memory__destructor(struct cltest *t) {
    struct gone g = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {0}, 0};
    struct gone_arg args[3] = {{&g, 1}, {&g, 2}, {&g, 3}};
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    for (int i = 0; i < 3; i++) OK(clSetMemObjectDestructorCallback(m, on_gone, &args[i]));
    OK(clReleaseMemObject(m));
    pthread_mutex_lock(&g.lock);
    while (g.n < 3) pthread_cond_wait(&g.change, &g.lock);
    pthread_mutex_unlock(&g.lock);
    CHECK(g.order[0] == 3 && g.order[1] == 2 && g.order[2] == 1);
}

void memory__migrate(struct cltest *t) {
    enum { N = 100000 };
    int *host = malloc(N * sizeof *host), *back = malloc(N * sizeof *back);
    cl_kernel k = cltest_kernel(t, "add");
    for (int i = 0; i < N; i++) host[i] = i;
    cl_mem m[2] = {cltest_buffer(t, CL_MEM_COPY_HOST_PTR, N * sizeof *host, host),
                   cltest_buffer(t, CL_MEM_COPY_HOST_PTR, N * sizeof *host, host)};
    for (int i = 0; i < 2; i++) add_on(t, 0, k, m[i], 1, N);
    cl_event ev;
    OK(clEnqueueMigrateMemObjects(t->queue[0], 2, m, CL_MIGRATE_MEM_OBJECT_HOST, 0, NULL, &ev));
    OK(clFlush(t->queue[0]));
    OK(clEnqueueMigrateMemObjects(t->queue[t->other], 2, m, 0, 1, &ev, NULL));
    for (int i = 0; i < 2; i++) {
        add_on(t, t->other, k, m[i], 1, N);
        read_ints(t, t->other, m[i], back, N);
        for (int j = 0; j < N; j++) CHECK_EQ(back[j], j + 2);
        OK(clReleaseMemObject(m[i]));
    }
    OK(clReleaseEvent(ev));
    OK(clReleaseKernel(k));
    free(host);
    free(back);
}

/* A buffer that kernels on two devices take turns to change, ordered by events alone. */
void memory__across_devices(struct cltest *t) {
    enum { N = 1 << 18, ROUNDS = 12 };
    int *back = malloc(N * sizeof *back), zero = 0;
    cl_kernel k = cltest_kernel(t, "append");
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, N * sizeof *back, NULL);
    cl_event before, after;
    OK(clEnqueueFillBuffer(t->queue[0], m, &zero, sizeof zero, 0, N * sizeof *back, 0, NULL, &before));
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    int want = 0;
    for (int i = 0; i < ROUNDS; i++, before = after) {
        OK(clSetKernelArg(k, 1, sizeof i, &i));
        cl_command_queue q = t->queue[i % 2 ? 0 : t->other];
        cltest_launch(q, k, 1, 1, &before, &after);
        OK(clFlush(q));
        OK(clReleaseEvent(before));
        want = want * 3 + i;
    }
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, N * sizeof *back, back, 1, &before, NULL));
    CHECK_EQ(back[0], want);
    for (int i = 1; i < N; i++) CHECK_EQ(back[i], 0);
    OK(clReleaseEvent(before));
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
    free(back);
}

/* Small writes through one queue between kernels on the other: none may be lost or undone. */
void memory__across_devices_partial(struct cltest *t) {
    enum { N = 4096 };
    int back[N], want[N];
    cl_kernel k = cltest_kernel(t, "add");
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, sizeof back, NULL);
    for (int i = 0; i < N; i++) want[i] = -i;
    OK(clEnqueueWriteBuffer(t->queue[0], m, CL_TRUE, 0, sizeof want, want, 0, NULL, NULL));
    for (int round = 0; round < 16; round++) {
        unsigned kernel_dev = round % 2 ? t->other : 0, write_dev = round % 3 ? 0 : t->other;
        add_on(t, kernel_dev, k, m, 7, N / 2);
        OK(clFinish(t->queue[kernel_dev]));
        int at = round * 200, value = 100000 + round;
        OK(clEnqueueWriteBuffer(t->queue[write_dev], m, CL_FALSE, (size_t)at * 4, 4, &value, 0, NULL, NULL));
        OK(clFinish(t->queue[write_dev]));
        for (int i = 0; i < N / 2; i++) want[i] += 7;
        want[at] = value;
    }
    read_ints(t, t->other, m, back, N);
    for (int i = 0; i < N; i++) CHECK_EQ(back[i], want[i]);
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
}

/* One input read by the kernels of all devices at a time, each with its own output. */
void memory__across_all_devices(struct cltest *t) {
    enum { N = 20000 };
    int *host = malloc(N * sizeof *host), *back = malloc(N * sizeof *back);
    cl_mem out[CLTEST_MAX_DEVICES];
    for (int i = 0; i < N; i++) host[i] = i;
    cl_mem in = cltest_buffer(t, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, N * sizeof *host, host);
    cl_kernel k = cltest_kernel(t, "scale");
    for (unsigned d = 0; d < t->n_devices; d++) {
        int f = (int)d + 2;
        out[d] = cltest_buffer(t, CL_MEM_WRITE_ONLY, N * sizeof *host, NULL);
        OK(clSetKernelArg(k, 0, sizeof in, &in));
        OK(clSetKernelArg(k, 1, sizeof out[d], &out[d]));
        OK(clSetKernelArg(k, 2, sizeof f, &f));
        cltest_launch(t->queue[d], k, N, 0, NULL, NULL);
        OK(clFlush(t->queue[d]));
    }
    for (unsigned d = 0; d < t->n_devices; d++) {
        read_ints(t, d, out[d], back, N);
        for (int i = 0; i < N; i++) CHECK_EQ(back[i], i * ((int)d + 2));
        OK(clReleaseMemObject(out[d]));
    }
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(in));
    free(host);
    free(back);
}
