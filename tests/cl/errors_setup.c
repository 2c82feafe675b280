/* Wrong calls that create or query: platforms, contexts, queues, programs, buffers; and queries of every
 * object. */
#include "errors.h"
#include <string.h>

void errors_platform(struct cltest *t) {
    cl_uint n;
    cl_device_id d;
    cl_platform_id p;
    expect("clGetPlatformIDs: no entries, but a list", clGetPlatformIDs(0, &p, NULL), CL_INVALID_VALUE);
    expect("clGetPlatformIDs: nothing to fill", clGetPlatformIDs(1, NULL, NULL), CL_INVALID_VALUE);
    expect_or("clGetDeviceIDs: type 0", clGetDeviceIDs(t->platform, 0, 1, &d, &n), CL_INVALID_DEVICE_TYPE,
              CL_DEVICE_NOT_FOUND);
    expect("clGetDeviceIDs: no entries, but a list",
           clGetDeviceIDs(t->platform, CL_DEVICE_TYPE_ALL, 0, &d, &n), CL_INVALID_VALUE);
    expect("clGetDeviceIDs: nothing to fill", clGetDeviceIDs(t->platform, CL_DEVICE_TYPE_ALL, 1, NULL, NULL),
           CL_INVALID_VALUE);
    expect("clGetDeviceIDs: a type that nobody has",
           clGetDeviceIDs(t->platform, CL_DEVICE_TYPE_CUSTOM, 1, &d, &n), CL_DEVICE_NOT_FOUND);
}

void errors_context(struct cltest *t) {
    cl_context_properties odd[] = {0x7777, 1, 0}, none[] = {CL_CONTEXT_PLATFORM, 0, 0};
    cl_context_properties twice[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)t->platform,
                                     CL_CONTEXT_PLATFORM, (cl_context_properties)t->platform, 0};
    cl_int err = 0;
    clCreateContext(NULL, 0, t->dev, NULL, NULL, &err);
    expect("clCreateContext: no devices", err, CL_INVALID_VALUE);
    clCreateContext(NULL, 1, NULL, NULL, NULL, &err);
    expect("clCreateContext: no list", err, CL_INVALID_VALUE);
    clCreateContext(NULL, 1, t->dev, NULL, t, &err);
    expect("clCreateContext: user data without a callback", err, CL_INVALID_VALUE);
    clCreateContext(odd, 1, t->dev, NULL, NULL, &err);
    expect("clCreateContext: unknown property", err, CL_INVALID_PROPERTY);
    clCreateContext(twice, 1, t->dev, NULL, NULL, &err);
    expect_or("clCreateContext: a property twice", err, CL_INVALID_PROPERTY, CL_SUCCESS);
    clCreateContext(none, 1, t->dev, NULL, NULL, &err);
    expect("clCreateContext: platform NULL", err, CL_INVALID_PLATFORM);
    cl_context_properties good[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)t->platform, 0};
    clCreateContextFromType(good, CL_DEVICE_TYPE_CUSTOM, NULL, NULL, &err);
    expect("clCreateContextFromType: a type that nobody has", err, CL_DEVICE_NOT_FOUND);
    clCreateContextFromType(good, 0, NULL, NULL, &err);
    expect_or("clCreateContextFromType: type 0", err, CL_INVALID_DEVICE_TYPE, CL_DEVICE_NOT_FOUND);
}

void errors_queue(struct cltest *t) {
    cl_int err = 0;
    clCreateCommandQueue(t->ctx, t->dev[0], (cl_command_queue_properties)1 << 40, &err);
    expect("clCreateCommandQueue: unknown property", err, CL_INVALID_VALUE);
    clCreateCommandQueue(t->ctx, NULL, 0, &err);
    expect("clCreateCommandQueue: device NULL", err, CL_INVALID_DEVICE);
    if (t->other) {
        cl_context one = clCreateContext(NULL, 1, &t->dev[0], NULL, NULL, &err);
        OK(err);
        clCreateCommandQueue(one, t->dev[t->other], 0, &err);
        expect("clCreateCommandQueue: device outside the context", err, CL_INVALID_DEVICE);
        OK(clReleaseContext(one));
    }
}

static cl_program source(struct cltest *t, const char *text) {
    cl_int err;
    cl_program p = clCreateProgramWithSource(t->ctx, 1, &text, NULL, &err);
    OK(err);
    return p;
}

/* The log of a build for device d alone. */
static void failed_build_on(struct cltest *t, cl_program bad, unsigned d) {
    static char log[1 << 16];
    size_t size = 0;
    cl_build_status status = 99;
    expect("clBuildProgram: source that does not compile", clBuildProgram(bad, 1, &t->dev[d], "", NULL, NULL),
           CL_BUILD_PROGRAM_FAILURE);
    OK(clGetProgramBuildInfo(bad, t->dev[d], CL_PROGRAM_BUILD_STATUS, sizeof status, &status, NULL));
    OK(clGetProgramBuildInfo(bad, t->dev[d], CL_PROGRAM_BUILD_LOG, 0, NULL, &size));
    CHECK(size <= sizeof log);
    OK(clGetProgramBuildInfo(bad, t->dev[d], CL_PROGRAM_BUILD_LOG, size, log, NULL));
    expect_true("build log names the fault", strstr(log, "not_declared_anywhere") != NULL);
    expect_true("build status is CL_BUILD_ERROR", status == CL_BUILD_ERROR);
}

static void failed_build(struct cltest *t) {
    cl_int err;
    cl_program bad = source(t, "__kernel void f(__global int *p) { p[0] = not_declared_anywhere; }");
    clCreateKernel(bad, "f", &err);
    expect("clCreateKernel: program not built", err, CL_INVALID_PROGRAM_EXECUTABLE);
    for (unsigned d = 0; d < t->n_devices; d++) failed_build_on(t, bad, d);
    expect("clBuildProgram: the same for all devices", clBuildProgram(bad, 0, NULL, "", NULL, NULL),
           CL_BUILD_PROGRAM_FAILURE);
    clCreateKernel(bad, "f", &err);
    expect("clCreateKernel: build failed", err, CL_INVALID_PROGRAM_EXECUTABLE);
    expect("clCreateKernelsInProgram: build failed", clCreateKernelsInProgram(bad, 0, NULL, NULL),
           CL_INVALID_PROGRAM_EXECUTABLE);
    OK(clReleaseProgram(bad));
}

static void binaries(struct cltest *t) {
    const unsigned char junk[64] = "this is no program", *one = junk, *none = NULL;
    size_t size = sizeof junk, zero = 0;
    cl_int err = 0, status = 99;
    clCreateProgramWithBinary(t->ctx, 1, t->dev, &size, &one, &status, &err);
    expect("clCreateProgramWithBinary: junk", err, CL_INVALID_BINARY);
    expect("clCreateProgramWithBinary: junk, status", status, CL_INVALID_BINARY);
    clCreateProgramWithBinary(t->ctx, 1, t->dev, &zero, &one, &status, &err);
    expect("clCreateProgramWithBinary: length 0", err, CL_INVALID_VALUE);
    clCreateProgramWithBinary(t->ctx, 1, t->dev, &size, &none, &status, &err);
    expect("clCreateProgramWithBinary: NULL binary", err, CL_INVALID_VALUE);
    clCreateProgramWithBinary(t->ctx, 0, NULL, &size, &one, &status, &err);
    expect("clCreateProgramWithBinary: no devices", err, CL_INVALID_VALUE);
}

void errors_program(struct cltest *t) {
    const char *text = "__kernel void f(void) {}";
    cl_int err = 0;
    clCreateProgramWithSource(t->ctx, 0, &text, NULL, &err);
    expect("clCreateProgramWithSource: count 0", err, CL_INVALID_VALUE);
    failed_build(t);
    binaries(t);

    cl_program p = source(t, text);
    expect("clBuildProgram: a number without a list", clBuildProgram(p, 1, NULL, "", NULL, NULL),
           CL_INVALID_VALUE);
    expect("clBuildProgram: a list without a number", clBuildProgram(p, 0, t->dev, "", NULL, NULL),
           CL_INVALID_VALUE);
    expect("clBuildProgram: user data without a callback", clBuildProgram(p, 0, NULL, "", NULL, t),
           CL_INVALID_VALUE);
    expect_or("clBuildProgram: unknown option", clBuildProgram(p, 0, NULL, "--no-such-option", NULL, NULL),
              CL_INVALID_BUILD_OPTIONS, CL_BUILD_PROGRAM_FAILURE);
    OK(clBuildProgram(p, 0, NULL, "", NULL, NULL));
    clCreateKernel(p, "no_such_kernel", &err);
    expect("clCreateKernel: unknown name", err, CL_INVALID_KERNEL_NAME);
    clCreateKernel(p, NULL, &err);
    expect("clCreateKernel: name NULL", err, CL_INVALID_VALUE);
    cl_kernel k = clCreateKernel(p, "f", &err);
    OK(err);
    expect("clBuildProgram: kernels still attached", clBuildProgram(p, 0, NULL, "", NULL, NULL),
           CL_INVALID_OPERATION);
    expect("clGetProgramBuildInfo: device NULL",
           clGetProgramBuildInfo(p, NULL, CL_PROGRAM_BUILD_STATUS, sizeof err, &err, NULL),
           CL_INVALID_DEVICE);
    OK(clReleaseKernel(k));
    OK(clReleaseProgram(p));
}

static cl_int buffer_error(struct cltest *t, cl_mem_flags flags, size_t size, void *host) {
    cl_int err = 0;
    cl_mem m = clCreateBuffer(t->ctx, flags, size, host, &err);
    if (m) clReleaseMemObject(m);
    return err;
}

void errors_buffer(struct cltest *t) {
    char host[64];
    cl_ulong most = 0;
    for (unsigned d = 0; d < t->n_devices; d++) {
        cl_ulong size = 0;
        OK(clGetDeviceInfo(t->dev[d], CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof size, &size, NULL));
        if (size > most) most = size;
    }
    expect("clCreateBuffer: size 0", buffer_error(t, 0, 0, NULL), CL_INVALID_BUFFER_SIZE);
    expect("clCreateBuffer: absurd size", buffer_error(t, 0, (size_t)1 << 60, NULL), CL_INVALID_BUFFER_SIZE);
    expect("clCreateBuffer: all ones", buffer_error(t, 0, SIZE_MAX, NULL), CL_INVALID_BUFFER_SIZE);
    expect("clCreateBuffer: more than any device takes", buffer_error(t, 0, most + 4096, NULL),
           CL_INVALID_BUFFER_SIZE);
    expect("clCreateBuffer: two access flags",
           buffer_error(t, CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY, 64, NULL), CL_INVALID_VALUE);
    expect("clCreateBuffer: unknown flag", buffer_error(t, (cl_mem_flags)1 << 50, 64, NULL),
           CL_INVALID_VALUE);
    expect("clCreateBuffer: use and copy",
           buffer_error(t, CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR, 64, host), CL_INVALID_VALUE);
    expect("clCreateBuffer: use and alloc",
           buffer_error(t, CL_MEM_USE_HOST_PTR | CL_MEM_ALLOC_HOST_PTR, 64, host), CL_INVALID_VALUE);
    expect("clCreateBuffer: two host flags",
           buffer_error(t, CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS, 64, NULL), CL_INVALID_VALUE);
    expect("clCreateBuffer: pointer without a flag", buffer_error(t, 0, 64, host), CL_INVALID_HOST_PTR);
    expect("clCreateBuffer: use without a pointer", buffer_error(t, CL_MEM_USE_HOST_PTR, 64, NULL),
           CL_INVALID_HOST_PTR);
    expect("clCreateBuffer: copy without a pointer", buffer_error(t, CL_MEM_COPY_HOST_PTR, 64, NULL),
           CL_INVALID_HOST_PTR);
}

static cl_int sub_error(cl_mem parent, cl_mem_flags flags, cl_buffer_create_type type, size_t origin,
                        size_t size) {
    cl_buffer_region r = {origin, size};
    cl_int err = 0;
    cl_mem s = clCreateSubBuffer(parent, flags, type, &r, &err);
    if (s) clReleaseMemObject(s);
    return err;
}

void errors_sub_buffer(struct cltest *t) {
    const cl_buffer_create_type region = CL_BUFFER_CREATE_TYPE_REGION;
    enum { SIZE = 1 << 20 };
    cl_buffer_region r = {0, 4096};
    cl_int err;
    cl_mem parent = cltest_buffer(t, CL_MEM_READ_WRITE, SIZE, NULL);
    cl_mem narrow = cltest_buffer(t, CL_MEM_READ_ONLY, SIZE, NULL);
    cl_mem sub = clCreateSubBuffer(parent, 0, region, &r, &err);
    OK(err);
    expect("clCreateSubBuffer: beyond the end", sub_error(parent, 0, region, SIZE / 2, SIZE),
           CL_INVALID_VALUE);
    expect_or("clCreateSubBuffer: origin + size overflows", sub_error(parent, 0, region, SIZE / 2, SIZE_MAX),
              CL_INVALID_VALUE, CL_SUCCESS);
    expect("clCreateSubBuffer: size 0", sub_error(parent, 0, region, 0, 0), CL_INVALID_BUFFER_SIZE);
    expect("clCreateSubBuffer: origin 1", sub_error(parent, 0, region, 1, 4096),
           CL_MISALIGNED_SUB_BUFFER_OFFSET);
    expect("clCreateSubBuffer: of a sub-buffer", sub_error(sub, 0, region, 0, 1024), CL_INVALID_MEM_OBJECT);
    expect("clCreateSubBuffer: unknown type", sub_error(parent, 0, 0x7777, 0, 1024), CL_INVALID_VALUE);
    expect("clCreateSubBuffer: no region", (clCreateSubBuffer(parent, 0, region, NULL, &err), err),
           CL_INVALID_VALUE);
    expect("clCreateSubBuffer: wider access than the parent",
           sub_error(narrow, CL_MEM_READ_WRITE, region, 0, 1024), CL_INVALID_VALUE);
    expect("clCreateSubBuffer: host pointer flag", sub_error(parent, CL_MEM_ALLOC_HOST_PTR, region, 0, 1024),
           CL_INVALID_VALUE);
    OK(clReleaseMemObject(sub));
    OK(clReleaseMemObject(narrow));
    OK(clReleaseMemObject(parent));
}

void errors_query(struct cltest *t) {
    char v[64];
    cl_int err;
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    cl_kernel k = cltest_kernel(t, "add");
    cl_event e = clCreateUserEvent(t->ctx, &err);
    OK(err);
    expect("clGetContextInfo: unknown", clGetContextInfo(t->ctx, 0x7777, 64, v, NULL), CL_INVALID_VALUE);
    expect("clGetCommandQueueInfo: unknown", clGetCommandQueueInfo(t->queue[0], 0x7777, 64, v, NULL),
           CL_INVALID_VALUE);
    expect("clGetMemObjectInfo: unknown", clGetMemObjectInfo(m, 0x7777, 64, v, NULL), CL_INVALID_VALUE);
    expect("clGetProgramInfo: unknown", clGetProgramInfo(t->prog, 0x7777, 64, v, NULL), CL_INVALID_VALUE);
    expect("clGetProgramBuildInfo: unknown", clGetProgramBuildInfo(t->prog, t->dev[0], 0x7777, 64, v, NULL),
           CL_INVALID_VALUE);
    expect("clGetKernelInfo: unknown", clGetKernelInfo(k, 0x7777, 64, v, NULL), CL_INVALID_VALUE);
    expect("clGetKernelWorkGroupInfo: unknown", clGetKernelWorkGroupInfo(k, t->dev[0], 0x7777, 64, v, NULL),
           CL_INVALID_VALUE);
    expect("clGetKernelArgInfo: index", clGetKernelArgInfo(k, 9, CL_KERNEL_ARG_NAME, 64, v, NULL),
           CL_INVALID_ARG_INDEX);
    expect("clGetKernelArgInfo: unknown", clGetKernelArgInfo(k, 0, 0x7777, 64, v, NULL), CL_INVALID_VALUE);
    expect("clGetEventInfo: unknown", clGetEventInfo(e, 0x7777, 64, v, NULL), CL_INVALID_VALUE);
    expect("clGetProgramInfo: size too small", clGetProgramInfo(t->prog, CL_PROGRAM_SOURCE, 3, v, NULL),
           CL_INVALID_VALUE);
    OK(clSetUserEventStatus(e, CL_COMPLETE));
    OK(clReleaseEvent(e));
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
}
