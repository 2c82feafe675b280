/* Pipes and queues of devices, where the devices have them; device_side_driver.c is a driver that has. */
#include "calls.h"
#include <string.h>

static const char source[] =
    "#ifdef DEVICE_SIDE_LAYER\n"
    "__kernel void produce(__global int *to_pipe, int n) {\n"
    "    for (int i = 0; i < n; i++) { to_pipe[2 + to_pipe[1]] = i * i; to_pipe[1]++; }\n"
    "}\n"
    "__kernel void consume(__global int *from_pipe, __global int *to) {\n"
    "    for (int i = 0; from_pipe[0] < from_pipe[1]; i++) { to[i] = from_pipe[2 + from_pipe[0]]; "
    "from_pipe[0]++; }\n"
    "}\n"
    "__kernel void tell(ulong one_queue, ulong get_default, __global ulong *to) {\n"
    "    to[0] = one_queue; to[1] = get_default;\n"
    "}\n"
    "#else\n"
    "__kernel void produce(write_only pipe int to_pipe, int n) {\n"
    "    for (int i = 0; i < n; i++) { int v = i * i; write_pipe(to_pipe, &v); }\n"
    "}\n"
    "__kernel void consume(read_only pipe int from_pipe, __global int *to) {\n"
    "    int v;\n"
    "    for (int i = 0; !read_pipe(from_pipe, &v); i++) to[i] = v;\n"
    "}\n"
    "__kernel void tell(queue_t one_queue, ulong get_default, __global ulong *to) { to[0] = to[1] = 1; }\n"
    "#endif\n";

static cl_program build(struct cltest *t, const char *options) {
    cl_int err = 99;
    const char *text = source;
    cl_program p = clCreateProgramWithSource(t->ctx, 1, &text, NULL, &err);
    OK(err);
    OK(clBuildProgram(p, 0, NULL, options, NULL, NULL));
    return p;
}

static cl_kernel kernel_of(cl_program p, const char *name) {
    cl_int err = 99;
    cl_kernel k = clCreateKernel(p, name, &err);
    OK(err);
    return k;
}

static cl_int consume(struct cltest *t, unsigned d, cl_kernel k, cl_mem pipe, cl_mem to) {
    size_t one = 1;
    OK(clSetKernelArg(k, 0, sizeof pipe, &pipe));
    OK(clSetKernelArg(k, 1, sizeof to, &to));
    return clEnqueueNDRangeKernel(t->queue[d], k, 1, NULL, &one, NULL, 0, NULL, NULL);
}

/* Twice, so that what was left is seen; and it is released while a command that uses it may be under way. */
static void pass(struct cltest *t, cl_program p, cl_mem pipe) {
    cl_kernel from = kernel_of(p, "produce"), to = kernel_of(p, "consume");
    cl_mem out = cltest_buffer(t, CL_MEM_READ_WRITE, 16 * sizeof(cl_int), NULL);
    cl_int n = 5, values[16], zero = 0;
    OK(clEnqueueFillBuffer(t->queue[0], out, &zero, sizeof zero, 0, sizeof values, 0, NULL, NULL));
    OK(clSetKernelArg(from, 0, sizeof pipe, &pipe));
    OK(clSetKernelArg(from, 1, sizeof n, &n));
    CHECK_EQ(clSetKernelArg(from, 0, sizeof out, &out), CL_INVALID_MEM_OBJECT);
    CHECK_EQ(clSetKernelArg(to, 1, sizeof pipe, &pipe), CL_INVALID_MEM_OBJECT);
    cltest_launch(t->queue[0], from, 1, 0, NULL, NULL);
    cltest_launch(t->queue[0], from, 1, 0, NULL, NULL);
    if (t->info[0].node != t->info[t->other].node)
        CHECK_EQ(consume(t, t->other, to, pipe, out), CL_MEM_OBJECT_ALLOCATION_FAILURE);
    OK(consume(t, 0, to, pipe, out));
    OK(clReleaseMemObject(pipe));
    OK(clEnqueueReadBuffer(t->queue[0], out, CL_TRUE, 0, sizeof values, values, 0, NULL, NULL));
    for (int i = 0; i < 16; i++) CHECK_EQ(values[i], i < 10 ? (i % 5) * (i % 5) : 0);
    OK(clReleaseMemObject(out));
    OK(clReleaseKernel(from));
    OK(clReleaseKernel(to));
}

void calls__pipes(struct cltest *t) {
    cl_int err = 99;
    cl_uint packet = 0;
    if (!calls_number(t->dev[0], CL_DEVICE_PIPE_SUPPORT)) {
        if (calls_fragile(t)) return;
        CHECK(!clCreatePipe(t->ctx, 0, 4, 4, NULL, &err));
        CHECK_EQ(err, CL_INVALID_OPERATION);
        return cltest_note("no pipes");
    }
    cl_uint most = (cl_uint)calls_number(t->dev[0], CL_DEVICE_PIPE_MAX_PACKET_SIZE);
    CHECK(!clCreatePipe(t->ctx, 0, most + 1, 4, NULL, &err));
    CHECK_EQ(err, CL_INVALID_PIPE_SIZE);
    cl_program p = build(t, "");
    cl_mem pipe = clCreatePipe(t->ctx, 0, sizeof(cl_int), 32, NULL, &err);
    OK(err);
    OK(clGetPipeInfo(pipe, CL_PIPE_PACKET_SIZE, sizeof packet, &packet, NULL));
    CHECK_EQ(packet, sizeof(cl_int));
    pass(t, p, pipe);
    OK(clReleaseProgram(p));
}

static cl_command_queue create(struct cltest *t, cl_command_queue_properties more, cl_int *err) {
    const cl_queue_properties list[] = {
        CL_QUEUE_PROPERTIES, CL_QUEUE_ON_DEVICE | CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | more, 0};
    return clCreateCommandQueueWithProperties(t->ctx, t->dev[0], list, err);
}

/* What a kernel has for its argument, and for the default queue. */
static void ask(struct cltest *t, cl_kernel k, cl_command_queue q, cl_ulong told[2]) {
    cl_mem out = cltest_buffer(t, CL_MEM_READ_WRITE, 2 * sizeof *told, NULL);
    cl_ulong nothing = 0, end = 0, complete = 0;
    cl_event e;
    OK(clSetKernelArg(k, 0, sizeof q, &q));
    OK(clSetKernelArg(k, 1, sizeof nothing, &nothing));
    OK(clSetKernelArg(k, 2, sizeof out, &out));
    cltest_launch(t->queue[0], k, 1, 0, NULL, &e);
    OK(clEnqueueReadBuffer(t->queue[0], out, CL_TRUE, 0, 2 * sizeof *told, told, 0, NULL, NULL));
    OK(clGetEventProfilingInfo(e, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL));
    OK(clGetEventProfilingInfo(e, CL_PROFILING_COMMAND_COMPLETE, sizeof complete, &complete, NULL));
    CHECK(complete >= end + (told[0] == 1 ? 0 : 1000000000)); /* real ones tell 1, and enqueue nothing */
    OK(clReleaseEvent(e));
    OK(clReleaseMemObject(out));
}

void calls__device_queues(struct cltest *t) {
    cl_int err = 99;
    cl_ulong told[2], later[2];
    cl_command_queue now = NULL, third;
    if (!calls_number(t->dev[0], CL_DEVICE_MAX_ON_DEVICE_QUEUES)) {
        if (calls_fragile(t)) return;
        CHECK(!create(t, 0, &err));
        CHECK_EQ(err, CL_INVALID_QUEUE_PROPERTIES);
        CHECK_EQ(clSetDefaultDeviceCommandQueue(t->ctx, t->dev[0], t->queue[0]), CL_INVALID_OPERATION);
        return cltest_note("no queues of its own");
    }
    cl_program p = build(t, "");
    cl_kernel k = kernel_of(p, "tell");
    cl_command_queue first = create(t, CL_QUEUE_ON_DEVICE_DEFAULT, &err);
    OK(err);
    cl_command_queue other = create(t, 0, &err);
    OK(err);
    CHECK(create(t, CL_QUEUE_ON_DEVICE_DEFAULT, &err) == first);
    OK(clReleaseCommandQueue(first));
    if ((third = create(t, 0, &err)))
        OK(clReleaseCommandQueue(third));
    else
        CHECK_EQ(err, CL_OUT_OF_RESOURCES);
    CHECK_EQ(clFinish(first), CL_INVALID_COMMAND_QUEUE);
    CHECK_EQ(clSetKernelArg(k, 0, sizeof t->queue[0], &t->queue[0]), CL_INVALID_DEVICE_QUEUE);
    ask(t, k, first, told);
    CHECK(told[0] && told[0] == told[1]);
    OK(clSetDefaultDeviceCommandQueue(t->ctx, t->dev[0], other));
    OK(clGetCommandQueueInfo(t->queue[0], CL_QUEUE_DEVICE_DEFAULT, sizeof(cl_command_queue), &now, NULL));
    CHECK(now == other);
    ask(t, k, first, later);
    CHECK_EQ(later[0], told[0]);
    CHECK(third || later[1] != told[1]); /* a driver that lets two be made tells them apart */
    OK(clReleaseCommandQueue(first));
    OK(clReleaseCommandQueue(other));
    OK(clReleaseKernel(k));
    OK(clReleaseProgram(p));
}
