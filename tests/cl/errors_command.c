/* Wrong calls that set arguments or enqueue: kernels, ranges, transfers, mappings, events. */
#include "errors.h"
#include <string.h>

void errors_kernel(struct cltest *t) {
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 4096, NULL);
    cl_kernel add = cltest_kernel(t, "add"), sum = cltest_kernel(t, "sum"),
              packed = cltest_kernel(t, "packed");
    char big[256] = {0};
    size_t one = 1;
    expect("clSetKernelArg: index beyond the last", clSetKernelArg(add, 2, 4, big), CL_INVALID_ARG_INDEX);
    expect("clSetKernelArg: index all ones", clSetKernelArg(add, 0xffffffffu, 4, big), CL_INVALID_ARG_INDEX);
    expect("clSetKernelArg: int of 8 bytes", clSetKernelArg(add, 1, 8, big), CL_INVALID_ARG_SIZE);
    expect("clSetKernelArg: int of 2 bytes", clSetKernelArg(add, 1, 2, big), CL_INVALID_ARG_SIZE);
    expect("clSetKernelArg: int of 0 bytes", clSetKernelArg(add, 1, 0, big), CL_INVALID_ARG_SIZE);
    expect("clSetKernelArg: buffer of 4 bytes", clSetKernelArg(add, 0, 4, &m), CL_INVALID_ARG_SIZE);
    expect_or("clSetKernelArg: struct too small", clSetKernelArg(packed, 1, 8, big), CL_INVALID_ARG_SIZE,
              CL_SUCCESS);
    expect_or("clSetKernelArg: struct too large", clSetKernelArg(packed, 1, 200, big), CL_INVALID_ARG_SIZE,
              CL_SUCCESS);
    expect("clSetKernelArg: local memory of 0 bytes", clSetKernelArg(sum, 2, 0, NULL), CL_INVALID_ARG_SIZE);
    expect("clSetKernelArg: local memory with a value", clSetKernelArg(sum, 2, 4, big), CL_INVALID_ARG_VALUE);
    expect("clSetKernelArg: int without a value", clSetKernelArg(add, 1, 4, NULL), CL_INVALID_ARG_VALUE);
    expect("clEnqueueNDRangeKernel: arguments not set",
           clEnqueueNDRangeKernel(t->queue[0], sum, 1, NULL, &one, NULL, 0, NULL, NULL),
           CL_INVALID_KERNEL_ARGS);
    expect("clEnqueueTask: arguments not set", clEnqueueTask(t->queue[0], sum, 0, NULL, NULL),
           CL_INVALID_KERNEL_ARGS);
    OK(clReleaseKernel(add));
    OK(clReleaseKernel(sum));
    OK(clReleaseKernel(packed));
    OK(clReleaseMemObject(m));
}

static cl_int launch(struct cltest *t, cl_kernel k, cl_uint dim, const size_t *offset, const size_t *global,
                     const size_t *local) {
    return clEnqueueNDRangeKernel(t->queue[0], k, dim, offset, global, local, 0, NULL, NULL);
}

void errors_range(struct cltest *t) {
    size_t max_items[16] = {0}, max_group = 0, g[4] = {8, 8, 8, 8}, wrong[3] = {3, 1, 1};
    OK(clGetDeviceInfo(t->dev[0], CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof max_items, max_items, NULL));
    OK(clGetDeviceInfo(t->dev[0], CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof max_group, &max_group, NULL));
    cl_kernel k = cltest_kernel(t, "noop"), fixed = cltest_kernel(t, "fixed");
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 4096, NULL);
    OK(clSetKernelArg(fixed, 0, sizeof m, &m));
    expect("clEnqueueNDRangeKernel: dimension 0", launch(t, k, 0, NULL, g, NULL), CL_INVALID_WORK_DIMENSION);
    expect("clEnqueueNDRangeKernel: dimension 4", launch(t, k, 4, NULL, g, NULL), CL_INVALID_WORK_DIMENSION);
    expect("clEnqueueNDRangeKernel: local does not divide global", launch(t, k, 1, NULL, g, wrong),
           CL_INVALID_WORK_GROUP_SIZE);
    size_t huge[1] = {max_items[0] * 2};
    expect_either("clEnqueueNDRangeKernel: more items than the dimension takes",
                  launch(t, k, 1, NULL, huge, huge), CL_INVALID_WORK_ITEM_SIZE, CL_INVALID_WORK_GROUP_SIZE);
    size_t large[3] = {max_group, 2, 1};
    expect("clEnqueueNDRangeKernel: group larger than the device takes", launch(t, k, 2, NULL, large, large),
           CL_INVALID_WORK_GROUP_SIZE);
    size_t other[3] = {2, 4, 1};
    expect("clEnqueueNDRangeKernel: not the group size of the source", launch(t, fixed, 3, NULL, g, other),
           CL_INVALID_WORK_GROUP_SIZE);
    OK(clReleaseKernel(k));
    OK(clReleaseKernel(fixed));
    OK(clReleaseMemObject(m));
    OK(clFinish(t->queue[0]));
}

/* Objects of a second context, for calls that mix contexts. */
struct foreign {
    cl_context ctx;
    cl_command_queue queue;
    cl_mem mem;
    cl_event event;
    cl_program prog;
    cl_kernel kernel;
};

static struct foreign foreign_open(struct cltest *t) {
    struct foreign f;
    const char *text = "__kernel void f(__global int *p) { p[0] = 1; }";
    cl_int err;
    f.ctx = clCreateContext(NULL, 1, t->dev, NULL, NULL, &err);
    OK(err);
    f.queue = clCreateCommandQueue(f.ctx, t->dev[0], 0, &err);
    OK(err);
    f.mem = clCreateBuffer(f.ctx, CL_MEM_READ_WRITE, 4096, NULL, &err);
    OK(err);
    f.event = clCreateUserEvent(f.ctx, &err);
    OK(err);
    f.prog = clCreateProgramWithSource(f.ctx, 1, &text, NULL, &err);
    OK(err);
    OK(clBuildProgram(f.prog, 0, NULL, "", NULL, NULL));
    f.kernel = clCreateKernel(f.prog, "f", &err);
    OK(err);
    return f;
}

static void foreign_close(struct foreign *f) {
    OK(clSetUserEventStatus(f->event, CL_COMPLETE));
    OK(clReleaseEvent(f->event));
    OK(clReleaseKernel(f->kernel));
    OK(clReleaseProgram(f->prog));
    OK(clReleaseMemObject(f->mem));
    OK(clReleaseCommandQueue(f->queue));
    OK(clReleaseContext(f->ctx));
}

static void mixed_contexts(struct cltest *t, cl_mem m, char *host) {
    struct foreign f = foreign_open(t);
    cl_command_queue q = t->queue[0];
    size_t one = 1;
    OK(clSetKernelArg(f.kernel, 0, sizeof f.mem, &f.mem));
    expect("clEnqueueReadBuffer: buffer of another context",
           clEnqueueReadBuffer(q, f.mem, CL_TRUE, 0, 64, host, 0, NULL, NULL), CL_INVALID_CONTEXT);
    expect("clEnqueueWriteBuffer: event of another context",
           clEnqueueWriteBuffer(q, m, CL_FALSE, 0, 64, host, 1, &f.event, NULL), CL_INVALID_CONTEXT);
    expect("clEnqueueCopyBuffer: buffers of two contexts",
           clEnqueueCopyBuffer(q, m, f.mem, 0, 0, 64, 0, NULL, NULL), CL_INVALID_CONTEXT);
    expect("clEnqueueNDRangeKernel: kernel of another context",
           clEnqueueNDRangeKernel(q, f.kernel, 1, NULL, &one, NULL, 0, NULL, NULL), CL_INVALID_CONTEXT);
    expect("clEnqueueMarkerWithWaitList: event of another context",
           clEnqueueMarkerWithWaitList(q, 1, &f.event, NULL), CL_INVALID_CONTEXT);
    foreign_close(&f);
}

static void host_access(struct cltest *t, char *host) {
    cl_command_queue q = t->queue[0];
    cl_mem none = cltest_buffer(t, CL_MEM_HOST_NO_ACCESS, 64, NULL);
    cl_mem read = cltest_buffer(t, CL_MEM_HOST_READ_ONLY, 64, NULL);
    cl_mem write = cltest_buffer(t, CL_MEM_HOST_WRITE_ONLY, 64, NULL);
    cl_int err;
    expect("clEnqueueReadBuffer: no host access",
           clEnqueueReadBuffer(q, none, CL_TRUE, 0, 64, host, 0, NULL, NULL), CL_INVALID_OPERATION);
    expect("clEnqueueReadBuffer: host may only write",
           clEnqueueReadBuffer(q, write, CL_TRUE, 0, 64, host, 0, NULL, NULL), CL_INVALID_OPERATION);
    expect("clEnqueueWriteBuffer: host may only read",
           clEnqueueWriteBuffer(q, read, CL_TRUE, 0, 64, host, 0, NULL, NULL), CL_INVALID_OPERATION);
    clEnqueueMapBuffer(q, read, CL_TRUE, CL_MAP_WRITE, 0, 64, 0, NULL, NULL, &err);
    expect("clEnqueueMapBuffer: to write, host may only read", err, CL_INVALID_OPERATION);
    clEnqueueMapBuffer(q, write, CL_TRUE, CL_MAP_READ, 0, 64, 0, NULL, NULL, &err);
    expect("clEnqueueMapBuffer: to read, host may only write", err, CL_INVALID_OPERATION);
    OK(clReleaseMemObject(none));
    OK(clReleaseMemObject(read));
    OK(clReleaseMemObject(write));
}

void errors_transfer(struct cltest *t) {
    cl_command_queue q = t->queue[0];
    char host[4096] = {0};
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 4096, NULL),
           n = cltest_buffer(t, CL_MEM_READ_WRITE, 4096, NULL);
    expect("clEnqueueReadBuffer: pointer NULL",
           clEnqueueReadBuffer(q, m, CL_TRUE, 0, 64, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
    expect("clEnqueueReadBuffer: beyond the end",
           clEnqueueReadBuffer(q, m, CL_TRUE, 1, 4096, host, 0, NULL, NULL), CL_INVALID_VALUE);
    expect("clEnqueueReadBuffer: offset + size overflows",
           clEnqueueReadBuffer(q, m, CL_TRUE, SIZE_MAX, 2, host, 0, NULL, NULL), CL_INVALID_VALUE);
    expect("clEnqueueWriteBuffer: beyond the end",
           clEnqueueWriteBuffer(q, m, CL_FALSE, 4096, 1, host, 0, NULL, NULL), CL_INVALID_VALUE);
    expect("clEnqueueWriteBuffer: pointer NULL",
           clEnqueueWriteBuffer(q, m, CL_FALSE, 0, 1, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
    expect("clEnqueueWriteBuffer: wait list NULL, count 2",
           clEnqueueWriteBuffer(q, m, CL_FALSE, 0, 1, host, 2, NULL, NULL), CL_INVALID_EVENT_WAIT_LIST);
    expect("clEnqueueCopyBuffer: overlap", clEnqueueCopyBuffer(q, m, m, 0, 50, 100, 0, NULL, NULL),
           CL_MEM_COPY_OVERLAP);
    expect("clEnqueueCopyBuffer: source beyond the end",
           clEnqueueCopyBuffer(q, m, n, 4000, 0, 100, 0, NULL, NULL), CL_INVALID_VALUE);
    expect("clEnqueueCopyBuffer: target beyond the end",
           clEnqueueCopyBuffer(q, m, n, 0, 4000, 100, 0, NULL, NULL), CL_INVALID_VALUE);
    expect("clEnqueueFillBuffer: pattern of 3 bytes", clEnqueueFillBuffer(q, m, host, 3, 0, 9, 0, NULL, NULL),
           CL_INVALID_VALUE);
    expect("clEnqueueFillBuffer: pattern of 256 bytes",
           clEnqueueFillBuffer(q, m, host, 256, 0, 256, 0, NULL, NULL), CL_INVALID_VALUE);
    expect("clEnqueueFillBuffer: pattern NULL", clEnqueueFillBuffer(q, m, NULL, 4, 0, 64, 0, NULL, NULL),
           CL_INVALID_VALUE);
    expect("clEnqueueFillBuffer: offset no multiple",
           clEnqueueFillBuffer(q, m, host, 8, 4, 64, 0, NULL, NULL), CL_INVALID_VALUE);
    expect("clEnqueueFillBuffer: size no multiple", clEnqueueFillBuffer(q, m, host, 8, 8, 60, 0, NULL, NULL),
           CL_INVALID_VALUE);
    expect("clEnqueueFillBuffer: beyond the end", clEnqueueFillBuffer(q, m, host, 8, 4080, 64, 0, NULL, NULL),
           CL_INVALID_VALUE);
    expect("clEnqueueMigrateMemObjects: none", clEnqueueMigrateMemObjects(q, 0, &m, 0, 0, NULL, NULL),
           CL_INVALID_VALUE);
    expect("clEnqueueMigrateMemObjects: unknown flag",
           clEnqueueMigrateMemObjects(q, 1, &m, (cl_mem_migration_flags)1 << 30, 0, NULL, NULL),
           CL_INVALID_VALUE);
    host_access(t, host);
    mixed_contexts(t, m, host);
    OK(clReleaseMemObject(m));
    OK(clReleaseMemObject(n));
}

void errors_rect(struct cltest *t) {
    cl_command_queue q = t->queue[0];
    char host[4096] = {0};
    size_t at0[3] = {0}, low[3] = {0, 60, 0}, region[3] = {32, 8, 1}, flat[3] = {32, 0, 1};
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 4096, NULL);
    expect("clEnqueueReadBufferRect: region with a 0",
           clEnqueueReadBufferRect(q, m, CL_TRUE, at0, at0, flat, 0, 0, 0, 0, host, 0, NULL, NULL),
           CL_INVALID_VALUE);
    expect("clEnqueueReadBufferRect: row pitch below the region",
           clEnqueueReadBufferRect(q, m, CL_TRUE, at0, at0, region, 16, 0, 0, 0, host, 0, NULL, NULL),
           CL_INVALID_VALUE);
    expect("clEnqueueWriteBufferRect: host row pitch below the region",
           clEnqueueWriteBufferRect(q, m, CL_TRUE, at0, at0, region, 0, 0, 16, 0, host, 0, NULL, NULL),
           CL_INVALID_VALUE);
    expect(
        "clEnqueueWriteBufferRect: slice pitch no multiple of the row's",
        clEnqueueWriteBufferRect(q, m, CL_TRUE, at0, at0, region, 64, 64 * 8 + 1, 0, 0, host, 0, NULL, NULL),
        CL_INVALID_VALUE);
    expect("clEnqueueWriteBufferRect: beyond the end",
           clEnqueueWriteBufferRect(q, m, CL_TRUE, low, at0, region, 64, 0, 0, 0, host, 0, NULL, NULL),
           CL_INVALID_VALUE);
    expect("clEnqueueWriteBufferRect: pointer NULL",
           clEnqueueWriteBufferRect(q, m, CL_TRUE, at0, at0, region, 0, 0, 0, 0, NULL, 0, NULL, NULL),
           CL_INVALID_VALUE);
    size_t near[3] = {8, 2, 0};
    expect("clEnqueueCopyBufferRect: overlap",
           clEnqueueCopyBufferRect(q, m, m, at0, near, region, 64, 0, 64, 0, 0, NULL, NULL),
           CL_MEM_COPY_OVERLAP);
    OK(clReleaseMemObject(m));
}

static cl_int map_error(struct cltest *t, cl_mem m, cl_map_flags flags, size_t offset, size_t size) {
    cl_int err = 0;
    void *p = clEnqueueMapBuffer(t->queue[0], m, CL_TRUE, flags, offset, size, 0, NULL, NULL, &err);
    if (p) clEnqueueUnmapMemObject(t->queue[0], m, p, 0, NULL, NULL);
    clFinish(t->queue[0]);
    return err;
}

void errors_map(struct cltest *t) {
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 4096, NULL);
    char elsewhere[16];
    expect("clEnqueueMapBuffer: beyond the end", map_error(t, m, CL_MAP_READ, 4000, 100), CL_INVALID_VALUE);
    expect("clEnqueueMapBuffer: offset + size overflows", map_error(t, m, CL_MAP_READ, SIZE_MAX, 2),
           CL_INVALID_VALUE);
    expect_or("clEnqueueMapBuffer: size 0", map_error(t, m, CL_MAP_READ, 0, 0), CL_INVALID_VALUE, CL_SUCCESS);
    expect_or("clEnqueueMapBuffer: unknown flag", map_error(t, m, 1 << 20, 0, 64), CL_INVALID_VALUE,
              CL_SUCCESS);
    expect_or("clEnqueueMapBuffer: read and invalidate",
              map_error(t, m, CL_MAP_READ | CL_MAP_WRITE_INVALIDATE_REGION, 0, 64), CL_INVALID_VALUE,
              CL_SUCCESS);
    expect("clEnqueueUnmapMemObject: pointer never mapped",
           clEnqueueUnmapMemObject(t->queue[0], m, elsewhere, 0, NULL, NULL), CL_INVALID_VALUE);
    expect("clEnqueueUnmapMemObject: pointer NULL",
           clEnqueueUnmapMemObject(t->queue[0], m, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
    OK(clReleaseMemObject(m));
}

static void CL_CALLBACK ignore(cl_event e, cl_int status, void *arg) {}

void errors_event(struct cltest *t) {
    cl_int err;
    cl_ulong time;
    cl_kernel k = cltest_kernel(t, "noop");
    cl_event user = clCreateUserEvent(t->ctx, &err), normal;
    OK(err);
    cl_command_queue plain = cltest_queue(t, 0, 0);
    cltest_launch(plain, k, 1, 0, NULL, &normal);
    OK(clFinish(plain));
    expect("clWaitForEvents: none", clWaitForEvents(0, &user), CL_INVALID_VALUE);
    expect("clWaitForEvents: no list", clWaitForEvents(1, NULL), CL_INVALID_VALUE);
    expect("clGetEventProfilingInfo: queue without profiling",
           clGetEventProfilingInfo(normal, CL_PROFILING_COMMAND_END, sizeof time, &time, NULL),
           CL_PROFILING_INFO_NOT_AVAILABLE);
    expect("clGetEventProfilingInfo: user event",
           clGetEventProfilingInfo(user, CL_PROFILING_COMMAND_END, sizeof time, &time, NULL),
           CL_PROFILING_INFO_NOT_AVAILABLE);
    expect("clSetUserEventStatus: not a user event", clSetUserEventStatus(normal, CL_COMPLETE),
           CL_INVALID_EVENT);
    expect("clSetUserEventStatus: positive status", clSetUserEventStatus(user, CL_RUNNING), CL_INVALID_VALUE);
    expect("clSetEventCallback: no function", clSetEventCallback(user, CL_COMPLETE, NULL, NULL),
           CL_INVALID_VALUE);
    expect("clSetEventCallback: unknown status", clSetEventCallback(user, 17, ignore, NULL),
           CL_INVALID_VALUE);
    OK(clSetUserEventStatus(user, CL_COMPLETE));
    expect("clSetUserEventStatus: a second time", clSetUserEventStatus(user, CL_COMPLETE),
           CL_INVALID_OPERATION);
    struct foreign f = foreign_open(t);
    cl_event both[2] = {user, f.event};
    expect("clWaitForEvents: two contexts", clWaitForEvents(2, both), CL_INVALID_CONTEXT);
    foreign_close(&f);
    OK(clReleaseEvent(user));
    OK(clReleaseEvent(normal));
    OK(clReleaseKernel(k));
    OK(clReleaseCommandQueue(plain));
}
