/* Kernels: every kind of argument, ranges in one to three dimensions, and many launches. */
#include "func.h"
#include <string.h>

void kernel__values(struct cltest *t) {
    cl_long out[10];
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, sizeof out, NULL);
    cl_kernel k = cltest_kernel(t, "values");
    cl_char c = -3;
    cl_short s = -30000;
    cl_int i = 0x7fffffff;
    cl_long l = -0x123456789abcdefLL;
    cl_float f = 2.75f;
    cl_int4 v = {{1, -2, 3, -4}};
    cl_uchar u = 200;
    const struct {
        size_t size;
        const void *p;
    } args[] = {
        {sizeof m, &m}, {sizeof c, &c}, {sizeof s, &s}, {sizeof i, &i},
        {sizeof l, &l}, {sizeof f, &f}, {sizeof v, &v}, {sizeof u, &u},
    };
    for (cl_uint a = 0; a < 8; a++) OK(clSetKernelArg(k, a, args[a].size, args[a].p));
    cltest_launch(t->queue[0], k, 1, 0, NULL, NULL);
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof out, out, 0, NULL, NULL));
    const cl_long want[10] = {-3, -30000, 0x7fffffff, -0x123456789abcdefLL, 11, 1, -2, 3, -4, 200};
    for (int n = 0; n < 10; n++) CHECK_EQ(out[n], want[n]);
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
}

void kernel__struct(struct cltest *t) {
    struct {
        cl_int a;
        cl_float b;
        cl_char c[3];
        cl_long d;
    } pack = {7, 1.25f, {1, -1, 100}, 1LL << 40};
    cl_long out[6], want[6] = {7, 5, 1, -1, 100, 1LL << 40};
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, sizeof out, NULL);
    cl_kernel k = cltest_kernel(t, "packed");
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    OK(clSetKernelArg(k, 1, sizeof pack, &pack));
    memset(&pack, 0, sizeof pack); /* the value is taken at the call */
    cltest_launch(t->queue[0], k, 1, 0, NULL, NULL);
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof out, out, 0, NULL, NULL));
    for (int i = 0; i < 6; i++) CHECK_EQ(out[i], want[i]);
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
}

void kernel__null_buffer(struct cltest *t) {
    int out = 5;
    cl_mem null = NULL, m = cltest_buffer(t, CL_MEM_READ_WRITE, sizeof out, NULL);
    cl_kernel k = cltest_kernel(t, "null_test");
    OK(clSetKernelArg(k, 1, sizeof m, &m));
    for (int round = 0; round < 2; round++) { /* both ways to say NULL */
        OK(clSetKernelArg(k, 0, sizeof null, round ? &null : NULL));
        cltest_launch(t->queue[0], k, 1, 0, NULL, NULL);
        OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof out, &out, 0, NULL, NULL));
        CHECK_EQ(out, 1);
    }
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    cltest_launch(t->queue[0], k, 1, 0, NULL, NULL);
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof out, &out, 0, NULL, NULL));
    CHECK_EQ(out, 0);
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
}

void kernel__local_and_constant(struct cltest *t) {
    enum { N = 1024, MOST = 64 };
    int in[N], out[N], weight = 3;
    cl_kernel k = cltest_kernel(t, "sum");
    for (int i = 0; i < N; i++) in[i] = i;
    cl_mem mi = cltest_buffer(t, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof in, in);
    cl_mem mo = cltest_buffer(t, CL_MEM_WRITE_ONLY, sizeof out, NULL);
    cl_mem mw = cltest_buffer(t, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof weight, &weight);
    OK(clSetKernelArg(k, 0, sizeof mi, &mi));
    OK(clSetKernelArg(k, 1, sizeof mo, &mo));
    OK(clSetKernelArg(k, 3, sizeof mw, &mw));
    size_t max = 0, global = N;
    OK(clGetKernelWorkGroupInfo(k, t->dev[0], CL_KERNEL_WORK_GROUP_SIZE, sizeof max, &max, NULL));
    for (size_t local = 1; local <= MOST && local <= max; local *= 4) {
        OK(clSetKernelArg(k, 2, local * sizeof(int), NULL));
        OK(clEnqueueNDRangeKernel(t->queue[0], k, 1, NULL, &global, &local, 0, NULL, NULL));
        OK(clEnqueueReadBuffer(t->queue[0], mo, CL_TRUE, 0, sizeof out, out, 0, NULL, NULL));
        for (size_t g = 0; g < N / local; g++) {
            int want = 0;
            for (size_t l = 0; l < local; l++) want += 3 * (int)(g * local + l);
            CHECK_EQ(out[g], want);
        }
    }
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(mi));
    OK(clReleaseMemObject(mo));
    OK(clReleaseMemObject(mw));
}

/* Arguments count as they were when the kernel was enqueued, also while earlier launches still wait. */
void kernel__argument_snapshot(struct cltest *t) {
    enum { N = 50 };
    int out[N];
    cl_int err;
    cl_kernel k = cltest_kernel(t, "add");
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, sizeof out, NULL), one[N];
    int zero = 0;
    OK(clEnqueueFillBuffer(t->queue[0], m, &zero, sizeof zero, 0, sizeof out, 0, NULL, NULL));
    cl_event gate = clCreateUserEvent(t->ctx, &err);
    OK(err);
    for (int i = 0; i < N; i++) {
        int v = i * i;
        one[i] = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof zero, &zero);
        OK(clSetKernelArg(k, 0, sizeof one[i], &one[i]));
        OK(clSetKernelArg(k, 1, sizeof v, &v));
        cltest_launch(t->queue[0], k, 1, i == 0, i == 0 ? &gate : NULL, NULL);
        OK(clEnqueueCopyBuffer(t->queue[0], one[i], m, 0, (size_t)i * 4, 4, 0, NULL, NULL));
    }
    OK(clReleaseKernel(k));
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof out, out, 0, NULL, NULL));
    for (int i = 0; i < N; i++) {
        CHECK_EQ(out[i], i * i);
        OK(clReleaseMemObject(one[i]));
    }
    OK(clReleaseEvent(gate));
    OK(clReleaseMemObject(m));
}

struct range {
    cl_uint dim;
    size_t size[3], local[3], offset[3];
};

static void one_range(struct cltest *t, cl_kernel k, const struct range *r) {
    cl_uint out[4 * 400], sx, sy;
    size_t g[3], off[3], loc[3];
    for (unsigned i = 0; i < 3; i++) {
        g[i] = i < r->dim ? r->size[i] : 1;
        off[i] = i < r->dim ? r->offset[i] : 0;
        loc[i] = i < r->dim && r->local[i] ? r->local[i] : 1;
    }
    sx = (cl_uint)(g[0] + off[0]);
    sy = (cl_uint)(g[1] + off[1]);
    size_t cells = sx * sy * (g[2] + off[2]);
    CHECK(cells <= 400);
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, sizeof out, NULL);
    cl_uint zero = 0;
    OK(clEnqueueFillBuffer(t->queue[0], m, &zero, sizeof zero, 0, sizeof out, 0, NULL, NULL));
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    OK(clSetKernelArg(k, 1, sizeof sx, &sx));
    OK(clSetKernelArg(k, 2, sizeof sy, &sy));
    const size_t *local = r->local[0] ? r->local : NULL;
    OK(clEnqueueNDRangeKernel(t->queue[0], k, r->dim, r->offset, r->size, local, 0, NULL, NULL));
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof out, out, 0, NULL, NULL));
    for (size_t i = 0; i < cells; i++) {
        size_t x = i % sx, y = i / sx % sy, z = i / sx / sy;
        bool in = x >= off[0] && y >= off[1] && z >= off[2];
        CHECK_EQ(out[4 * i], in ? 1 + x + 100 * y + 10000 * z : 0);
        if (!in) continue;
        if (local)
            CHECK_EQ(out[4 * i + 1],
                     (x - off[0]) / loc[0] + 100 * ((y - off[1]) / loc[1]) + 10000 * ((z - off[2]) / loc[2]));
        CHECK_EQ(out[4 * i + 2], g[0] + 100 * g[1] + 10000 * g[2]);
        CHECK_EQ(out[4 * i + 3], off[0] + 100 * off[1] + 10000 * off[2] + 1000000 * r->dim);
    }
    OK(clReleaseMemObject(m));
}

void kernel__ranges(struct cltest *t) {
    static const struct range ranges[] = {
        {1, {100, 0, 0}, {0, 0, 0}, {0, 0, 0}}, {1, {60, 0, 0}, {20, 0, 0}, {7, 0, 0}},
        {2, {12, 10, 0}, {0, 0, 0}, {3, 1, 0}}, {2, {16, 8, 0}, {4, 2, 0}, {0, 5, 0}},
        {3, {6, 4, 5}, {0, 0, 0}, {0, 0, 0}},   {3, {4, 6, 2}, {2, 3, 1}, {1, 2, 3}},
        {1, {1, 0, 0}, {1, 0, 0}, {0, 0, 0}},   {3, {1, 1, 1}, {1, 1, 1}, {2, 2, 2}},
    };
    cl_kernel k = cltest_kernel(t, "ids");
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) one_range(t, k, &ranges[i]);
    OK(clReleaseKernel(k));
}

void kernel__task(struct cltest *t) {
    int x = 40, two = 2;
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof x, &x);
    cl_kernel k = cltest_kernel(t, "add");
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    OK(clSetKernelArg(k, 1, sizeof two, &two));
    OK(clEnqueueTask(t->queue[0], k, 0, NULL, NULL));
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL));
    CHECK_EQ(x, 42);
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
}

void kernel__many_launches(struct cltest *t) {
    enum { LAUNCHES = 20000 };
    cl_uint x = 1, want = 1;
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof x, &x);
    cl_kernel k = cltest_kernel(t, "append"); /* x = 3x + v: a lost, doubled or reordered launch shows */
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    for (cl_uint i = 0; i < LAUNCHES; i++) {
        OK(clSetKernelArg(k, 1, sizeof i, &i));
        cltest_launch(t->queue[0], k, 1, 0, NULL, NULL);
        want = want * 3 + i;
    }
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL));
    CHECK_EQ(x, want);
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
}

/* Many queues with work in flight at a time, finished in the opposite order. */
void kernel__many_unfinished_queues(struct cltest *t) {
    enum { QUEUES = 24, PER = 50 };
    cl_command_queue q[QUEUES];
    cl_mem m[QUEUES];
    int zero = 0, one = 1, x;
    cl_kernel k = cltest_kernel(t, "add");
    for (unsigned i = 0; i < QUEUES; i++) {
        q[i] = cltest_queue(t, i % t->n_devices, 0);
        m[i] = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof zero, &zero);
        OK(clSetKernelArg(k, 0, sizeof m[i], &m[i]));
        OK(clSetKernelArg(k, 1, sizeof one, &one));
        for (int j = 0; j < PER; j++) cltest_launch(q[i], k, 1, 0, NULL, NULL);
    }
    for (int i = QUEUES - 1; i >= 0; i--) {
        OK(clFinish(q[i]));
        OK(clEnqueueReadBuffer(q[i], m[i], CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL));
        CHECK_EQ(x, PER);
        OK(clReleaseCommandQueue(q[i]));
        OK(clReleaseMemObject(m[i]));
    }
    OK(clReleaseKernel(k));
}
