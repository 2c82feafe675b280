/* Events: order across queues and devices, user events, callbacks, times, markers and barriers. */
#include "func.h"
#include <pthread.h>
#include <string.h>
#include <time.h>

/* x = 3x + i, chained over two devices by events; the values show the order. */
void event__wait_list_across_devices(struct cltest *t) {
    enum { STEPS = 300 };
    cl_uint x = 1, want = 1;
    cl_event ev[STEPS];
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof x, &x);
    cl_kernel k = cltest_kernel(t, "append");
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    for (cl_uint i = 0; i < STEPS; i++) {
        OK(clSetKernelArg(k, 1, sizeof i, &i));
        cltest_launch(t->queue[i % 3 ? 0 : t->other], k, 1, i ? 1 : 0, i ? &ev[i - 1] : NULL, &ev[i]);
        want = want * 3 + i;
    }
    for (unsigned d = 0; d < t->n_devices; d++) OK(clFlush(t->queue[d]));
    OK(clWaitForEvents(1, &ev[STEPS - 1]));
    for (int i = 0; i < STEPS; i++) {
        CHECK_EQ(cltest_status(ev[i]), CL_COMPLETE);
        OK(clReleaseEvent(ev[i]));
    }
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL));
    CHECK_EQ(x, want);
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
}

static cl_event user_event(struct cltest *t) {
    cl_int err;
    cl_event e = clCreateUserEvent(t->ctx, &err);
    OK(err);
    return e;
}

/* Two commands on two devices wait for one user event, a third for both of them. */
void event__user(struct cltest *t) {
    cl_event gate = user_event(t), done[3];
    cl_kernel k = cltest_kernel(t, "noop");
    CHECK_EQ(cltest_status(gate), CL_SUBMITTED);
    cltest_launch(t->queue[0], k, 1, 1, &gate, &done[0]);
    cltest_launch(t->queue[t->other], k, 1, 1, &gate, &done[1]);
    cltest_launch(t->queue[0], k, 1, 2, done, &done[2]);
    OK(clFlush(t->queue[0]));
    OK(clFlush(t->queue[t->other]));
    for (int i = 0; i < 3; i++)
        CHECK(cltest_status(done[i]) == CL_QUEUED || cltest_status(done[i]) == CL_SUBMITTED);
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    CHECK_EQ(cltest_status(gate), CL_COMPLETE);
    OK(clWaitForEvents(3, done));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(cltest_status(done[i]), CL_COMPLETE);
        OK(clReleaseEvent(done[i]));
    }
    OK(clReleaseEvent(gate));
    OK(clReleaseKernel(k));
}

/* A user event that fails fails what waits for it, and a wait says so. */
void event__user_failed(struct cltest *t) {
    cl_event gate = user_event(t), done;
    cl_command_queue q = cltest_queue(t, 0, 0);
    cl_kernel k = cltest_kernel(t, "noop");
    cltest_launch(q, k, 1, 1, &gate, &done);
    OK(clFlush(q));
    OK(clSetUserEventStatus(gate, -5));
    CHECK_EQ(cltest_status(gate), -5);
    CHECK_EQ(clWaitForEvents(1, &done), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
    CHECK(cltest_status(done) < 0);
    OK(clReleaseEvent(done));
    OK(clReleaseEvent(gate));
    OK(clReleaseKernel(k));
    OK(clReleaseCommandQueue(q));
}

static void check_over(cl_event e) {
    cl_ulong end = 0;
    CHECK_EQ(cltest_status(e), CL_COMPLETE);
    OK(clGetEventProfilingInfo(e, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL));
    CHECK(end != 0);
    OK(clReleaseEvent(e));
}

/* Whoever is told that a command is over finds everything that it waited for over, too: what comes before it in
 * its in-order queue, what it names, and, after clFinish, all. */
void event__order_of_ends(struct cltest *t) {
    cl_command_queue any = cltest_queue(t, 0, CL_QUEUE_PROFILING_ENABLE | CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_kernel k = cltest_kernel(t, "noop");
    cl_mem b = cltest_buffer(t, CL_MEM_READ_WRITE, 4, NULL);
    for (int i = 0; i < 500; i++) {
        cl_event e[3];
        int got;
        for (int n = 0; n < 3; n++) cltest_launch(t->queue[0], k, 1, 0, NULL, &e[n]);
        OK(clEnqueueReadBuffer(t->queue[0], b, CL_TRUE, 0, sizeof got, &got, 0, NULL, NULL));
        for (int n = 0; n < 3; n++) check_over(e[n]);
        cltest_launch(any, k, 1, 0, NULL, &e[0]);
        cltest_launch(any, k, 1, 1, &e[0], &e[1]);
        OK(clEnqueueReadBuffer(any, b, CL_TRUE, 0, sizeof got, &got, 1, &e[1], NULL));
        check_over(e[0]);
        check_over(e[1]);
        for (int n = 0; n < 3; n++) cltest_launch(any, k, 1, 0, NULL, &e[n]);
        OK(clFinish(any));
        for (int n = 0; n < 3; n++) check_over(e[n]);
    }
    OK(clReleaseMemObject(b));
    OK(clReleaseKernel(k));
    OK(clReleaseCommandQueue(any));
}

struct calls {
    pthread_mutex_t lock;
    pthread_cond_t change;
    int n;
    cl_int status[8];
    cl_event event[8];
};

static void CL_CALLBACK on_event(cl_event e, cl_int status, void *arg) {
    struct calls *c = arg;
    pthread_mutex_lock(&c->lock);
    if (c->n < 8) {
        c->event[c->n] = e;
        c->status[c->n++] = status;
    }
    pthread_cond_signal(&c->change);
    pthread_mutex_unlock(&c->lock);
}

/* Waits for the n-th call; false after two seconds without. */
static bool wait_calls(struct calls *c, int n) {
    struct timespec deadline;
    int late = 0;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 2;
    pthread_mutex_lock(&c->lock);
    while (c->n < n && !late) late = pthread_cond_timedwait(&c->change, &c->lock, &deadline);
    bool called = c->n >= n;
    pthread_mutex_unlock(&c->lock);
    return called;
}

void event__callbacks(struct cltest *t) {
    static struct calls c = {.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};
    cl_event gate = user_event(t), done;
    cl_kernel k = cltest_kernel(t, "noop");
    cltest_launch(t->queue[0], k, 1, 1, &gate, &done);
    OK(clSetEventCallback(done, CL_COMPLETE, on_event, &c));
    OK(clSetEventCallback(done, CL_COMPLETE, on_event, &c));
    OK(clFlush(t->queue[0]));
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    CHECK(wait_calls(&c, 2));
    CHECK(c.status[0] == CL_COMPLETE && c.status[1] == CL_COMPLETE);
    CHECK(c.event[0] == done && c.event[1] == done);
    OK(clSetEventCallback(done, CL_COMPLETE, on_event, &c)); /* on an event that is already complete */
    CHECK(wait_calls(&c, 3));
    OK(clReleaseEvent(done));
    OK(clReleaseEvent(gate));
    OK(clReleaseKernel(k));
}

/* Failure counts as the end too. */
void event__callback_of_failure(struct cltest *t) {
    static struct calls c = {.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};
    cl_event user = user_event(t);
    OK(clSetEventCallback(user, CL_COMPLETE, on_event, &c));
    OK(clSetUserEventStatus(user, -7));
    if (!wait_calls(&c, 1))
        cltest_deviation("no callback for a user event that fails");
    else
        CHECK_EQ(c.status[0], -7);
    OK(clReleaseEvent(user));
}

static void check_times(cl_event e) {
    static const cl_profiling_info what[4] = {CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT,
                                              CL_PROFILING_COMMAND_START, CL_PROFILING_COMMAND_END};
    cl_ulong at[4];
    size_t size = 0;
    for (int i = 0; i < 4; i++) OK(clGetEventProfilingInfo(e, what[i], sizeof at[i], &at[i], &size));
    CHECK_EQ(size, sizeof(cl_ulong));
    for (int i = 0; i < 3; i++)
        if (at[i] > at[i + 1])
            cltest_fail(__FILE__, __LINE__, "times go back: queued %llu submit %llu start %llu end %llu",
                        (unsigned long long)at[0], (unsigned long long)at[1], (unsigned long long)at[2],
                        (unsigned long long)at[3]);
}

void event__profiling(struct cltest *t) {
    int v[256] = {0}, rounds = 1000;
    cl_kernel k = cltest_kernel(t, "spin");
    for (unsigned d = 0; d < t->n_devices; d++) {
        cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, sizeof v, NULL);
        cl_event ev[4];
        OK(clEnqueueWriteBuffer(t->queue[d], m, CL_FALSE, 0, sizeof v, v, 0, NULL, &ev[0]));
        OK(clSetKernelArg(k, 0, sizeof m, &m));
        OK(clSetKernelArg(k, 1, sizeof rounds, &rounds));
        cltest_launch(t->queue[d], k, 1, 0, NULL, &ev[1]);
        OK(clEnqueueFillBuffer(t->queue[d], m, v, 4, 0, 64, 0, NULL, &ev[2]));
        OK(clEnqueueReadBuffer(t->queue[d], m, CL_TRUE, 0, sizeof v, v, 0, NULL, &ev[3]));
        cl_ulong last_end = 0;
        for (int i = 0; i < 4; i++) {
            cl_ulong start = 0;
            check_times(ev[i]);
            OK(clGetEventProfilingInfo(ev[i], CL_PROFILING_COMMAND_START, sizeof start, &start, NULL));
            CHECK(start >= last_end); /* in order */
            OK(clGetEventProfilingInfo(ev[i], CL_PROFILING_COMMAND_END, sizeof last_end, &last_end, NULL));
            OK(clReleaseEvent(ev[i]));
        }
        OK(clReleaseMemObject(m));
    }
    OK(clReleaseKernel(k));
}

/* In an out-of-order queue a marker ends after what it waits for, and nothing passes a barrier. */
void event__marker_and_barrier(struct cltest *t) {
    cl_command_queue q = cltest_queue(t, 0, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_uint x = 0, want = 0;
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof x, &x);
    cl_kernel k = cltest_kernel(t, "append");
    cl_event gate = user_event(t), marker, all;
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    for (cl_uint i = 1; i <= 20; i++) {
        OK(clSetKernelArg(k, 1, sizeof i, &i));
        cltest_launch(q, k, 1, i == 1, i == 1 ? &gate : NULL, NULL);
        OK(clEnqueueBarrierWithWaitList(q, 0, NULL, NULL));
        want = want * 3 + i;
    }
    OK(clEnqueueMarkerWithWaitList(q, 1, &gate, &marker));
    OK(clEnqueueMarkerWithWaitList(q, 0, NULL, &all));
    OK(clFlush(q));
    CHECK(cltest_status(marker) > CL_COMPLETE);
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    OK(clWaitForEvents(1, &all));
    OK(clEnqueueReadBuffer(q, m, CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL));
    CHECK_EQ(x, want);
    OK(clWaitForEvents(1, &marker));
    OK(clReleaseEvent(all));
    OK(clReleaseEvent(marker));
    OK(clReleaseEvent(gate));
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
    OK(clReleaseCommandQueue(q));
}

/* In an out-of-order queue commands run by their events: the first enqueued waits for one in another queue
 * that is enqueued after it. */
void event__out_of_order(struct cltest *t) {
    cl_command_queue q = cltest_queue(t, 0, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    enum { N = 64 };
    cl_uint x[N], back[N];
    cl_event gate = user_event(t), ev[N];
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, sizeof x, NULL);
    for (cl_uint i = 0; i < N; i++) x[i] = i * i;
    OK(clEnqueueWriteBuffer(q, m, CL_FALSE, 0, 4, x, 1, &gate, &ev[0]));
    for (cl_uint i = 1; i < N; i++) /* these wait for nothing */
        OK(clEnqueueWriteBuffer(q, m, CL_FALSE, i * 4, 4, &x[i], 0, NULL, &ev[i]));
    OK(clFlush(q));
    OK(clWaitForEvents(N - 1, ev + 1));
    CHECK(cltest_status(ev[0]) > CL_COMPLETE);
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    OK(clEnqueueReadBuffer(q, m, CL_TRUE, 0, sizeof back, back, N, ev, NULL));
    CHECK(!memcmp(x, back, sizeof x));
    for (int i = 0; i < N; i++) OK(clReleaseEvent(ev[i]));
    OK(clReleaseEvent(gate));
    OK(clReleaseMemObject(m));
    OK(clReleaseCommandQueue(q));
}

static void check_type(cl_event e, cl_command_type want, cl_command_queue q) {
    cl_command_type type = 0;
    cl_command_queue of = NULL;
    OK(clGetEventInfo(e, CL_EVENT_COMMAND_TYPE, sizeof type, &type, NULL));
    CHECK_EQ(type, want);
    OK(clGetEventInfo(e, CL_EVENT_COMMAND_QUEUE, sizeof of, &of, NULL));
    CHECK(of == q);
    OK(clReleaseEvent(e));
}

void event__command_types(struct cltest *t) {
    cl_command_queue q = t->queue[0];
    size_t zero[3] = {0}, region[3] = {8, 2, 1};
    char host[64] = {0};
    cl_int err;
    cl_event e;
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL),
           n = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    cl_kernel k = cltest_kernel(t, "noop");
    OK(clEnqueueWriteBuffer(q, m, CL_TRUE, 0, 64, host, 0, NULL, &e));
    check_type(e, CL_COMMAND_WRITE_BUFFER, q);
    OK(clEnqueueReadBuffer(q, m, CL_TRUE, 0, 64, host, 0, NULL, &e));
    check_type(e, CL_COMMAND_READ_BUFFER, q);
    OK(clEnqueueCopyBuffer(q, m, n, 0, 0, 64, 0, NULL, &e));
    check_type(e, CL_COMMAND_COPY_BUFFER, q);
    OK(clEnqueueFillBuffer(q, m, host, 1, 0, 64, 0, NULL, &e));
    check_type(e, CL_COMMAND_FILL_BUFFER, q);
    OK(clEnqueueWriteBufferRect(q, m, CL_TRUE, zero, zero, region, 0, 0, 0, 0, host, 0, NULL, &e));
    check_type(e, CL_COMMAND_WRITE_BUFFER_RECT, q);
    OK(clEnqueueReadBufferRect(q, m, CL_TRUE, zero, zero, region, 0, 0, 0, 0, host, 0, NULL, &e));
    check_type(e, CL_COMMAND_READ_BUFFER_RECT, q);
    OK(clEnqueueCopyBufferRect(q, m, n, zero, zero, region, 0, 0, 0, 0, 0, NULL, &e));
    check_type(e, CL_COMMAND_COPY_BUFFER_RECT, q);
    void *p = clEnqueueMapBuffer(q, m, CL_TRUE, CL_MAP_READ, 0, 64, 0, NULL, &e, &err);
    OK(err);
    check_type(e, CL_COMMAND_MAP_BUFFER, q);
    OK(clEnqueueUnmapMemObject(q, m, p, 0, NULL, &e));
    check_type(e, CL_COMMAND_UNMAP_MEM_OBJECT, q);
    cltest_launch(q, k, 1, 0, NULL, &e);
    check_type(e, CL_COMMAND_NDRANGE_KERNEL, q);
    OK(clEnqueueTask(q, k, 0, NULL, &e));
    cl_command_type task = 0;
    OK(clGetEventInfo(e, CL_EVENT_COMMAND_TYPE, sizeof task, &task, NULL));
    if (task == CL_COMMAND_NDRANGE_KERNEL) cltest_deviation("a task calls itself an NDRange kernel");
    check_type(e, task == CL_COMMAND_NDRANGE_KERNEL ? task : CL_COMMAND_TASK, q);
    OK(clEnqueueMigrateMemObjects(q, 1, &m, 0, 0, NULL, &e));
    check_type(e, CL_COMMAND_MIGRATE_MEM_OBJECTS, q);
    OK(clEnqueueMarkerWithWaitList(q, 0, NULL, &e));
    check_type(e, CL_COMMAND_MARKER, q);
    OK(clEnqueueBarrierWithWaitList(q, 0, NULL, &e));
    check_type(e, CL_COMMAND_BARRIER, q);
    check_type(user_event(t), CL_COMMAND_USER, NULL);
    OK(clFinish(q));
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
    OK(clReleaseMemObject(n));
}

/* A blocking read that waits for a kernel on another device, with nothing else that waits or flushes. */
void event__blocking_read_with_wait_list(struct cltest *t) {
    int x = 1, v = 41;
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof x, &x);
    cl_kernel k = cltest_kernel(t, "add");
    cl_event done;
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    OK(clSetKernelArg(k, 1, sizeof v, &v));
    cltest_launch(t->queue[t->other], k, 1, 0, NULL, &done);
    OK(clFlush(t->queue[t->other]));
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof x, &x, 1, &done, NULL));
    CHECK_EQ(x, 42);
    OK(clReleaseEvent(done));
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
}
