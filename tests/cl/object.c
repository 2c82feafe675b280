/* Life of objects: reference counts, early release, creation in quantity, and use from several threads. */
#include "func.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(get, object, what)                                                                          \
    ({                                                                                                       \
        cl_uint n_ = 0;                                                                                      \
        OK(get(object, what, sizeof n_, &n_, NULL));                                                         \
        n_;                                                                                                  \
    })

/* One retain and one release move the count by one. */
#define CHECK_COUNTS(get, object, what, retain, release)                                                     \
    do {                                                                                                     \
        cl_uint at_start_ = COUNT_OF(get, object, what);                                                     \
        OK(retain(object));                                                                                  \
        CHECK_EQ(COUNT_OF(get, object, what), at_start_ + 1);                                                \
        OK(release(object));                                                                                 \
        CHECK_EQ(COUNT_OF(get, object, what), at_start_);                                                    \
    } while (0)

void object__counts(struct cltest *t) {
    cl_int err;
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    cl_kernel k = cltest_kernel(t, "noop");
    cl_event e = clCreateUserEvent(t->ctx, &err);
    OK(err);
    CHECK_EQ(COUNT_OF(clGetMemObjectInfo, m, CL_MEM_REFERENCE_COUNT), 1);
    CHECK_EQ(COUNT_OF(clGetKernelInfo, k, CL_KERNEL_REFERENCE_COUNT), 1);
    CHECK_EQ(COUNT_OF(clGetEventInfo, e, CL_EVENT_REFERENCE_COUNT), 1);
    CHECK_COUNTS(clGetMemObjectInfo, m, CL_MEM_REFERENCE_COUNT, clRetainMemObject, clReleaseMemObject);
    CHECK_COUNTS(clGetKernelInfo, k, CL_KERNEL_REFERENCE_COUNT, clRetainKernel, clReleaseKernel);
    CHECK_COUNTS(clGetEventInfo, e, CL_EVENT_REFERENCE_COUNT, clRetainEvent, clReleaseEvent);
    CHECK_COUNTS(clGetCommandQueueInfo, t->queue[0], CL_QUEUE_REFERENCE_COUNT, clRetainCommandQueue,
                 clReleaseCommandQueue);
    CHECK_COUNTS(clGetContextInfo, t->ctx, CL_CONTEXT_REFERENCE_COUNT, clRetainContext, clReleaseContext);
    CHECK_COUNTS(clGetProgramInfo, t->prog, CL_PROGRAM_REFERENCE_COUNT, clRetainProgram, clReleaseProgram);
    OK(clSetUserEventStatus(e, CL_COMPLETE));
    OK(clReleaseEvent(e));
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
}

void object__context_from_type(struct cltest *t) {
    cl_context_properties props[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)t->platform, 0};
    cl_uint n = 0, all = 0;
    cl_int err;
    cl_context c = clCreateContextFromType(props, CL_DEVICE_TYPE_ALL, NULL, NULL, &err);
    OK(err);
    OK(clGetContextInfo(c, CL_CONTEXT_NUM_DEVICES, sizeof n, &n, NULL));
    OK(clGetDeviceIDs(t->platform, CL_DEVICE_TYPE_ALL, 0, NULL, &all));
    CHECK_EQ(n, all);
    OK(clReleaseContext(c));
}

/* All handles but the queue are given back while the commands that use them still wait. */
void object__release_early(struct cltest *t) {
    int x = 20, v = 22, back = 0;
    cl_int err;
    cl_event gate = clCreateUserEvent(t->ctx, &err), done;
    OK(err);
    cl_command_queue q = cltest_queue(t, 0, 0);
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof x, &x);
    cl_kernel k = cltest_kernel(t, "add");
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    OK(clSetKernelArg(k, 1, sizeof v, &v));
    cltest_launch(q, k, 1, 1, &gate, NULL);
    OK(clEnqueueReadBuffer(q, m, CL_FALSE, 0, sizeof back, &back, 0, NULL, &done));
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
    OK(clFlush(q));
    OK(clReleaseCommandQueue(q));
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    OK(clReleaseEvent(gate));
    OK(clWaitForEvents(1, &done));
    CHECK_EQ(back, 42);
    OK(clReleaseEvent(done));
}

/* Objects made and dropped in quantity: creation must neither fail nor slow down, nor use memory up. */
void object__churn(struct cltest *t) {
    char data[256], back[256];
    for (int i = 0; i < 2000; i++) {
        cltest_pattern(data, sizeof data, (uint32_t)i);
        cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, sizeof data, NULL);
        OK(clEnqueueWriteBuffer(t->queue[0], m, CL_FALSE, 0, sizeof data, data, 0, NULL, NULL));
        OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof back, back, 0, NULL, NULL));
        CHECK(!memcmp(data, back, sizeof data));
        OK(clReleaseMemObject(m));
    }
    for (int i = 0; i < 2000; i++) OK(clReleaseKernel(cltest_kernel(t, "add")));
    for (int i = 0; i < 200; i++) OK(clReleaseCommandQueue(cltest_queue(t, 0, 0)));
    for (int i = 0; i < 50;
         i++) { /* one after the other far beyond the memory of the device if none went back */
        cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 64u << 20, NULL);
        OK(clEnqueueWriteBuffer(t->queue[0], m, CL_TRUE, 1000, sizeof data, data, 0, NULL, NULL));
        OK(clReleaseMemObject(m));
    }
}

void object__several_contexts(struct cltest *t) {
    enum { N = 4 };
    cl_context ctx[N];
    cl_command_queue q[N];
    cl_mem m[N];
    cl_int err;
    for (int i = 0; i < N; i++) {
        unsigned dev = i % 2 ? t->other : 0;
        ctx[i] = clCreateContext(NULL, 1, &t->dev[dev], NULL, NULL, &err);
        OK(err);
        q[i] = clCreateCommandQueue(ctx[i], t->dev[dev], 0, &err);
        OK(err);
        m[i] = clCreateBuffer(ctx[i], CL_MEM_READ_WRITE, sizeof i, NULL, &err);
        OK(err);
        OK(clEnqueueWriteBuffer(q[i], m[i], CL_TRUE, 0, sizeof i, &i, 0, NULL, NULL));
        OK(clReleaseContext(ctx[i])); /* the queue and the buffer keep it */
    }
    for (int i = 0; i < N; i++) {
        int back = -1;
        OK(clEnqueueReadBuffer(q[i], m[i], CL_TRUE, 0, sizeof back, &back, 0, NULL, NULL));
        CHECK_EQ(back, i);
        OK(clReleaseMemObject(m[i]));
        OK(clReleaseCommandQueue(q[i]));
    }
}

/* A host thread that works on its own buffer; the error code that stopped it, or 1 for wrong data, is its
 * result. */
struct thread {
    pthread_t id;
    struct cltest *t;
    cl_command_queue q;
    int seed;
    cl_int err;
};

static cl_int thread_round(struct thread *th, cl_kernel k, cl_mem m, int round) {
    int data[256], back[256], v = th->seed + round;
    size_t n = 256;
    for (int i = 0; i < 256; i++) data[i] = i * th->seed;
    cl_int err = clEnqueueWriteBuffer(th->q, m, CL_FALSE, 0, sizeof data, data, 0, NULL, NULL);
    if (!err) err = clSetKernelArg(k, 0, sizeof m, &m);
    if (!err) err = clSetKernelArg(k, 1, sizeof v, &v);
    if (!err) err = clEnqueueNDRangeKernel(th->q, k, 1, NULL, &n, NULL, 0, NULL, NULL);
    if (!err) err = clEnqueueReadBuffer(th->q, m, CL_TRUE, 0, sizeof back, back, 0, NULL, NULL);
    for (int i = 0; !err && i < 256; i++)
        if (back[i] != data[i] + v) err = 1;
    return err;
}

static void *thread_main(void *arg) {
    struct thread *th = arg;
    cl_kernel k = NULL;
    cl_mem m = clCreateBuffer(th->t->ctx, CL_MEM_READ_WRITE, 1024, NULL, &th->err);
    if (!th->err) k = clCreateKernel(th->t->prog, "add", &th->err);
    for (int i = 0; !th->err && i < 100; i++) th->err = thread_round(th, k, m, i);
    if (k) clReleaseKernel(k);
    if (m) clReleaseMemObject(m);
    return NULL;
}

static void run_threads(struct cltest *t, bool share_queue) {
    enum { N = 6 };
    struct thread th[N];
    for (int i = 0; i < N; i++) {
        unsigned dev = share_queue ? 0 : (unsigned)i % t->n_devices;
        th[i] =
            (struct thread){.t = t, .q = share_queue ? t->queue[0] : cltest_queue(t, dev, 0), .seed = i + 1};
    }
    for (int i = 0; i < N; i++) CHECK(!pthread_create(&th[i].id, NULL, thread_main, &th[i]));
    for (int i = 0; i < N; i++) CHECK(!pthread_join(th[i].id, NULL));
    for (int i = 0; i < N; i++) {
        CHECK_EQ(th[i].err, CL_SUCCESS);
        if (!share_queue) OK(clReleaseCommandQueue(th[i].q));
    }
}

void object__threads(struct cltest *t) { run_threads(t, false); }
void object__threads_one_queue(struct cltest *t) { run_threads(t, true); }
