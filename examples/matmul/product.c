/* The product itself: one thread a device, each taking blocks until there are none left. */
#include "matmul.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STOP_WAIT_S 2 /* for the threads to end after one has failed */

#define LANES_MAX 2

/* What a block needs on its device. With --prefetch a thread has two, and uses them in turn. */
struct lane {
    cl_command_queue queue;
    cl_kernel kernel;
    cl_mem sub_a, sub_b, sub_c;
    float *block; /* where the device's block of C arrives */
    /* of the block under way */
    bool busy;
    int row, col;
    size_t size[2];
    double taken_s;
    cl_event event[4];
};

static cl_int set_arguments(struct lane *l, const struct job *j) {
    cl_int n = j->n, slice = j->slice;
    const struct {
        size_t size;
        const void *value;
    } args[] = {
        {sizeof n, &n},
        {sizeof slice, &slice},
        {sizeof l->sub_a, &l->sub_a},
        {sizeof l->sub_b, &l->sub_b},
        {sizeof l->sub_c, &l->sub_c},
    };
    cl_int err = CL_SUCCESS;
    for (cl_uint i = 0; !err && i < 5; i++) err = clSetKernelArg(l->kernel, i, args[i].size, args[i].value);
    return err;
}

static int lane_open(struct lane *l, struct worker *w) {
    struct job *j = w->job;
    cl_context context = w->platform->context;
    size_t in_bytes = (size_t)j->n * j->slice * sizeof(float);
    size_t out_bytes = (size_t)j->slice * j->slice * sizeof(float);
    cl_int err;
    l->block = malloc(out_bytes);
    if (!l->block) return job_fail(j, w->device, "malloc", CL_OUT_OF_HOST_MEMORY);
    l->queue = clCreateCommandQueue(context, w->device->id, CL_QUEUE_PROFILING_ENABLE, &err);
    if (err) return job_fail(j, w->device, "clCreateCommandQueue", err);
    l->kernel = clCreateKernel(w->platform->program, "sbmp", &err);
    if (err) return job_fail(j, w->device, "clCreateKernel", err);
    l->sub_a = clCreateBuffer(context, CL_MEM_READ_ONLY, in_bytes, NULL, &err);
    if (!err) l->sub_b = clCreateBuffer(context, CL_MEM_READ_ONLY, in_bytes, NULL, &err);
    if (!err) l->sub_c = clCreateBuffer(context, CL_MEM_WRITE_ONLY, out_bytes, NULL, &err);
    if (err) return job_fail(j, w->device, "clCreateBuffer", err);
    err = set_arguments(l, j);
    return err ? job_fail(j, w->device, "clSetKernelArg", err) : 0;
}

static void drop_events(struct lane *l) {
    for (int i = 0; i < 4; i++) {
        if (l->event[i]) clReleaseEvent(l->event[i]);
        l->event[i] = NULL;
    }
    l->busy = false;
}

/* Data of a block that failed may still be on its way. */
static void lane_close(struct lane *l) {
    if (l->busy) clFinish(l->queue);
    drop_events(l);
    if (l->sub_a) clReleaseMemObject(l->sub_a);
    if (l->sub_b) clReleaseMemObject(l->sub_b);
    if (l->sub_c) clReleaseMemObject(l->sub_c);
    if (l->kernel) clReleaseKernel(l->kernel);
    if (l->queue) clReleaseCommandQueue(l->queue);
    free(l->block);
}

/* The time that a command took on the device, in seconds; 0 and an error code where there is none. */
static double event_s(cl_event e, cl_int *err) {
    cl_ulong start = 0, end = 0;
    if (!*err) *err = clGetEventProfilingInfo(e, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
    if (!*err) *err = clGetEventProfilingInfo(e, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
    return *err || end < start ? 0 : (double)(end - start) * 1e-9;
}

/* Sends rows and columns, runs the kernel, fetches the block: the commands follow one another in the in-order
 * queue, and none is waited for. */
static int start_block(struct worker *w, struct lane *l, uint64_t index) {
    struct job *j = w->job;
    size_t line = (size_t)j->n * sizeof(float);
    l->busy = true;
    l->taken_s = now_s();
    l->row = (int)(index / (uint64_t)j->blocks_a_side) * j->slice;
    l->col = (int)(index % (uint64_t)j->blocks_a_side) * j->slice;
    l->size[0] = (size_t)(j->n - l->row < j->slice ? j->n - l->row : j->slice);
    l->size[1] = (size_t)(j->n - l->col < j->slice ? j->n - l->col : j->slice);
    const float *a = j->a + (size_t)l->row * j->n, *b = j->bt + (size_t)l->col * j->n;
    cl_event *ev = l->event;
    cl_int err = clEnqueueWriteBuffer(l->queue, l->sub_a, CL_FALSE, 0, l->size[0] * line, a, 0, NULL, &ev[0]);
    if (!err)
        err = clEnqueueWriteBuffer(l->queue, l->sub_b, CL_FALSE, 0, l->size[1] * line, b, 0, NULL, &ev[1]);
    if (err) return job_fail(j, w->device, "clEnqueueWriteBuffer", err);
    err = clEnqueueNDRangeKernel(l->queue, l->kernel, 2, NULL, l->size, NULL, 0, NULL, &ev[2]);
    if (err) return job_fail(j, w->device, "clEnqueueNDRangeKernel", err);
    size_t bytes = l->size[0] * (size_t)j->slice * sizeof(float);
    err = clEnqueueReadBuffer(l->queue, l->sub_c, CL_FALSE, 0, bytes, l->block, 0, NULL, &ev[3]);
    if (err) return job_fail(j, w->device, "clEnqueueReadBuffer", err);
    err = clFlush(l->queue);
    return err ? job_fail(j, w->device, "clFlush", err) : 0;
}

static int wait_for_block(struct worker *w, struct lane *l) {
    struct job *j = w->job;
    cl_event *ev = l->event;
    cl_int err = clWaitForEvents(1, &ev[3]);
    if (err) return job_fail(j, w->device, "clWaitForEvents", err);
    w->transfer_s += event_s(ev[0], &err) + event_s(ev[1], &err) + event_s(ev[3], &err);
    w->kernel_s += event_s(ev[2], &err);
    return err ? job_fail(j, w->device, "clGetEventProfilingInfo", err) : 0;
}

static int finish_block(struct worker *w, struct lane *l, unsigned under_way) {
    struct job *j = w->job;
    int failed = wait_for_block(w, l);
    drop_events(l);
    if (failed) return -1;
    for (size_t r = 0; r < l->size[0]; r++)
        memcpy(j->c + ((size_t)l->row + r) * (size_t)j->n + l->col, l->block + r * (size_t)j->slice,
               l->size[1] * sizeof(float));
    w->blocks++;
    w->flops += 2.0 * (double)l->size[0] * (double)l->size[1] * j->n;
    share_done(w, l->taken_s, under_way);
    return 0;
}

/* Nobody takes a block before every device is ready: the first would take them all. */
static void wait_until_ready(struct job *j) {
    pthread_mutex_lock(&j->lock);
    if (--j->unready == 0) pthread_cond_broadcast(&j->change);
    while (j->unready) pthread_cond_wait(&j->change, &j->lock);
    pthread_mutex_unlock(&j->lock);
}

/* Before the next block's data is sent: the device has that of this one, and computes. Others may be waiting
 * for their first. */
static int wait_for_data(struct worker *w, struct lane *l) {
    cl_int err = clWaitForEvents(1, &l->event[1]);
    return err ? job_fail(w->job, w->device, "clWaitForEvents", err) : 0;
}

/* Fills the lanes in turn and empties them in the same order, until there is no block left. */
static int do_blocks(struct worker *w, struct lane *lanes, unsigned count) {
    struct job *j = w->job;
    unsigned first = 0, busy = 0;
    uint64_t index;
    double start = now_s();
    for (;;) {
        while (busy < count && !atomic_load(&j->stop) && share_take(w, &index, !busy)) {
            if (start_block(w, &lanes[(first + busy) % count], index)) return -1;
            if (++busy < count && wait_for_data(w, &lanes[(first + busy - 1) % count])) return -1;
        }
        if (!busy) return 0;
        if (finish_block(w, &lanes[first], --busy)) return -1;
        first = (first + 1) % count;
        w->busy_s = now_s() - start;
    }
}

static void *work(void *arg) {
    struct worker *w = arg;
    struct job *j = w->job;
    struct lane lanes[LANES_MAX] = {{0}};
    unsigned count = j->prefetch ? LANES_MAX : 1;
    int failed = 0;
    for (unsigned i = 0; !failed && i < count; i++) failed = lane_open(&lanes[i], w);
    wait_until_ready(j);
    if (!failed) do_blocks(w, lanes, count);
    for (unsigned i = 0; i < count; i++) lane_close(&lanes[i]);
    pthread_mutex_lock(&j->lock);
    j->running--;
    pthread_cond_broadcast(&j->change);
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* Waits for all threads; after a failure not longer than STOP_WAIT_S. Returns whether all have ended. */
static bool wait_until_done(struct job *j) {
    struct timespec deadline;
    int timed_out = 0;
    pthread_mutex_lock(&j->lock);
    while (j->running && !j->failure.set) pthread_cond_wait(&j->change, &j->lock);
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += STOP_WAIT_S;
    while (j->running && !timed_out) timed_out = pthread_cond_timedwait(&j->change, &j->lock, &deadline);
    bool done = !j->running;
    pthread_mutex_unlock(&j->lock);
    return done;
}

int product_run(struct job *j, bool *hung) {
    double start = now_s();
    unsigned started = 0;
    j->running = j->unready = j->n_devices;
    for (; started < j->n_devices; started++) {
        struct worker *w = &j->workers[started];
        if (pthread_create(&w->thread, NULL, work, w)) break;
    }
    if (started < j->n_devices) {
        job_fail(j, NULL, "pthread_create", CL_OUT_OF_HOST_MEMORY);
        pthread_mutex_lock(&j->lock);
        j->running -= j->n_devices - started;
        j->unready -= j->n_devices - started;
        pthread_cond_broadcast(&j->change);
        pthread_mutex_unlock(&j->lock);
    }
    *hung = !wait_until_done(j);
    for (unsigned i = 0; !*hung && i < started; i++) pthread_join(j->workers[i].thread, NULL);
    j->seconds = now_s() - start;
    return j->failure.set ? -1 : 0;
}
