/* Programs, kernels, arguments, ranges, buffers' flags: what is checked before anything reaches a backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/front/fake_backend.h"

static cl_context context;
static cl_command_queue queue;
static cl_program program;

static int setup(void **state) {
    cl_int rc;
    const char *source[] = {"two ", "pieces, of which only this much is taken"};
    const size_t lengths[] = {0, 10};
    fakes_reset();
    context = weft_clCreateContext(NULL, 2, fake_devices, NULL, NULL, &rc);
    queue = weft_clCreateCommandQueue(context, fake_devices[0], 0, &rc);
    program = weft_clCreateProgramWithSource(context, 2, source, lengths, &rc);
    return rc;
}

static int teardown(void **state) {
    unsigned seed = 1;
    fakes_run(&seed);
    weft_clReleaseCommandQueue(queue);
    weft_clReleaseProgram(program);
    weft_clReleaseContext(context);
    assert_int_equal(fakes_live(), 0);
    return 0;
}

static cl_kernel built_kernel(const char *name) {
    cl_int rc;
    assert_int_equal(weft_clBuildProgram(program, 0, NULL, "-w", NULL, NULL), CL_SUCCESS);
    cl_kernel k = weft_clCreateKernel(program, name, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    return k;
}

static void program__joins_its_strings(void **state) {
    char text[64];
    size_t size;
    assert_int_equal(weft_clGetProgramInfo(program, CL_PROGRAM_SOURCE, sizeof text, text, &size), CL_SUCCESS);
    assert_string_equal(text, "two pieces, of");
    assert_int_equal(size, 15);
    assert_int_equal(weft_clGetProgramInfo(program, CL_PROGRAM_SOURCE, 14, text, NULL), CL_INVALID_VALUE);
}

static void program__builds_where_asked(void **state) {
    cl_int rc;
    cl_build_status s;
    assert_null(weft_clCreateKernel(program, "add", &rc));
    assert_int_equal(rc, CL_INVALID_PROGRAM_EXECUTABLE);
    assert_int_equal(weft_clBuildProgram(program, 1, &fake_devices[2], "", NULL, NULL), CL_INVALID_DEVICE);
    assert_int_equal(weft_clBuildProgram(program, 1, NULL, "", NULL, NULL), CL_INVALID_VALUE);
    assert_int_equal(weft_clBuildProgram(program, 1, &fake_devices[1], "-DX", NULL, NULL), CL_SUCCESS);
    assert_int_equal(fakes[0].builds, 0);
    assert_int_equal(fakes[1].builds, 1);
    weft_clGetProgramBuildInfo(program, fake_devices[0], CL_PROGRAM_BUILD_STATUS, sizeof s, &s, NULL);
    assert_int_equal(s, CL_BUILD_NONE);
    weft_clGetProgramBuildInfo(program, fake_devices[1], CL_PROGRAM_BUILD_STATUS, sizeof s, &s, NULL);
    assert_int_equal(s, CL_BUILD_SUCCESS);
    cl_kernel k = weft_clCreateKernel(program, "add", &rc);
    const size_t one = 1;
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue, k, 1, NULL, &one, NULL, 0, NULL, NULL),
                     CL_INVALID_PROGRAM_EXECUTABLE);
    assert_int_equal(weft_clBuildProgram(program, 0, NULL, "", NULL, NULL),
                     CL_INVALID_OPERATION); /* a kernel is there */
    weft_clReleaseKernel(k);
    assert_int_equal(weft_clBuildProgram(program, 0, NULL, "", NULL, NULL), CL_SUCCESS);
}

static void program__tells_its_build_log(void **state) {
    char log[64];
    fakes[1].build_status = CL_BUILD_PROGRAM_FAILURE;
    assert_int_equal(weft_clBuildProgram(program, 0, NULL, NULL, NULL, NULL), CL_BUILD_PROGRAM_FAILURE);
    assert_int_equal(
        weft_clGetProgramBuildInfo(program, fake_devices[1], CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL), 0);
    assert_string_equal(log, "error: fake");
    assert_int_equal(
        weft_clGetProgramBuildInfo(program, fake_devices[0], CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL), 0);
    assert_string_equal(log, "");
    assert_int_equal(
        weft_clGetProgramBuildInfo(program, fake_devices[2], CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL),
        CL_INVALID_DEVICE);
}

static void kernel__keeps_its_program(void **state) {
    cl_kernel k = built_kernel("copy");
    cl_program told;
    weft_clRetainProgram(program);
    weft_clReleaseProgram(program);
    weft_clGetKernelInfo(k, CL_KERNEL_PROGRAM, sizeof(cl_program), &told, NULL);
    assert_ptr_equal(told, program);
    weft_clReleaseKernel(k);
}

static void kernel__arguments_are_checked(void **state) {
    cl_int rc;
    unsigned char v = 1;
    cl_kernel k = built_kernel("add");
    cl_mem m = weft_clCreateBuffer(context, 0, 16, NULL, &rc), none = NULL;
    assert_int_equal(weft_clSetKernelArg(k, 2, 1, &v), CL_INVALID_ARG_INDEX);
    assert_int_equal(weft_clSetKernelArg(k, 1, 2, &v), CL_INVALID_ARG_SIZE);
    assert_int_equal(weft_clSetKernelArg(k, 1, 1, NULL), CL_INVALID_ARG_VALUE);
    assert_int_equal(weft_clSetKernelArg(k, 0, 4, &m), CL_INVALID_ARG_SIZE);
    assert_int_equal(weft_clSetKernelArg(k, 0, sizeof queue, &queue), CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clSetKernelArg(k, 0, sizeof none, &none), CL_SUCCESS);
    assert_int_equal(weft_clSetKernelArg(k, 0, sizeof m, NULL), CL_SUCCESS);
    const size_t one = 1;
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue, k, 1, NULL, &one, NULL, 0, NULL, NULL),
                     CL_INVALID_KERNEL_ARGS);
    assert_int_equal(weft_clSetKernelArg(k, 1, 1, &v), CL_SUCCESS);
    assert_int_equal(weft_clSetKernelArg(k, 0, sizeof m, &m), CL_SUCCESS);
    weft_clReleaseMemObject(m); /* the kernel does not hold it */
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue, k, 1, NULL, &one, NULL, 0, NULL, NULL),
                     CL_INVALID_KERNEL_ARGS);
    assert_int_equal(fakes[0].command_count, 0);
    weft_clReleaseKernel(k);
}

static void kernel__arguments_cost_nothing_until_enqueued(void **state) {
    cl_int rc;
    unsigned char v = 1;
    const size_t one = 1;
    cl_kernel k = built_kernel("add");
    cl_mem m = weft_clCreateBuffer(context, 0, 16, NULL, &rc);
    for (v = 1; v < 100; v++) {
        weft_clSetKernelArg(k, 0, sizeof m, &m);
        weft_clSetKernelArg(k, 1, 1, &v);
    }
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue, k, 1, NULL, &one, NULL, 0, NULL, NULL), CL_SUCCESS);
    cl_kernel twin = weft_clCloneKernel(k, &rc); /* with its arguments */
    unsigned set = 0;
    for (uint32_t i = 1; i < fakes[0].object_count; i++) set += fakes[0].objects[i].set_args;
    assert_int_equal(set, 2);
    v = 98;
    weft_clSetKernelArg(k, 1, 1, &v);
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue, twin, 1, NULL, &one, NULL, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(fakes[0].commands[1].add, 99);
    weft_clReleaseKernel(k);
    weft_clReleaseKernel(twin);
    weft_clReleaseMemObject(m);
}

static cl_int range(cl_kernel k, cl_uint dims, const size_t *offset, const size_t *global,
                    const size_t *local) {
    return weft_clEnqueueNDRangeKernel(queue, k, dims, offset, global, local, 0, NULL, NULL);
}

static void kernel__ranges_are_checked(void **state) {
    cl_kernel k = built_kernel("add");
    cl_mem none = NULL;
    unsigned char v = 1;
    weft_clSetKernelArg(k, 0, sizeof none, &none);
    weft_clSetKernelArg(k, 1, 1, &v);
    const size_t g[3] = {512, 4, 4}, zero[1] = {0}, big[1] = {512}, odd[1] = {3}, deep[3] = {1, 1, 128},
                 wide[3] = {128, 4, 1};
    const size_t far[1] = {SIZE_MAX - 10}, fits[3] = {64, 2, 2};
    assert_int_equal(range(k, 0, NULL, g, NULL), CL_INVALID_WORK_DIMENSION);
    assert_int_equal(range(k, 4, NULL, g, NULL), CL_INVALID_WORK_DIMENSION);
    assert_int_equal(range(k, 1, far, g, NULL), CL_INVALID_GLOBAL_OFFSET);
    assert_int_equal(range(k, 1, NULL, g, zero), CL_INVALID_WORK_GROUP_SIZE);
    assert_int_equal(range(k, 1, NULL, g, big), CL_INVALID_WORK_ITEM_SIZE);
    assert_int_equal(range(k, 3, NULL, g, deep), CL_INVALID_WORK_ITEM_SIZE);
    assert_int_equal(range(k, 3, NULL, g, wide), CL_INVALID_WORK_GROUP_SIZE);
    assert_int_equal(range(k, 1, NULL, g, odd), CL_INVALID_WORK_GROUP_SIZE);
    assert_int_equal(fakes[0].command_count, 0);
    assert_int_equal(range(k, 3, NULL, g, fits), CL_SUCCESS);
    assert_int_equal(range(k, 1, NULL, zero, NULL), CL_SUCCESS); /* since 2.1: nothing to do */
    assert_int_equal(fake_find(&fakes[0], BK_MARKER, 0), 1);
    weft_clReleaseKernel(k);
}

static cl_int create(cl_mem_flags flags, size_t size, void *host) {
    cl_int rc;
    cl_mem m = weft_clCreateBuffer(context, flags, size, host, &rc);
    assert_int_equal(m != NULL, rc == CL_SUCCESS);
    if (m) weft_clReleaseMemObject(m);
    return rc;
}

static void mem__flags_and_sizes_are_checked(void **state) {
    char host[16] = "";
    assert_int_equal(create(0, 16, NULL), CL_SUCCESS);
    assert_int_equal(create(0, 0, NULL), CL_INVALID_BUFFER_SIZE);
    assert_int_equal(create(0, (1 << 20) + 1, NULL), CL_INVALID_BUFFER_SIZE);
    assert_int_equal(create(0, SIZE_MAX, NULL), CL_INVALID_BUFFER_SIZE);
    assert_int_equal(create(CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY, 16, NULL), CL_INVALID_VALUE);
    assert_int_equal(create(CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS, 16, NULL), CL_INVALID_VALUE);
    assert_int_equal(create(CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR, 16, host), CL_INVALID_VALUE);
    assert_int_equal(create((cl_mem_flags)1 << 40, 16, NULL), CL_INVALID_VALUE);
    assert_int_equal(create(CL_MEM_USE_HOST_PTR, 16, NULL), CL_INVALID_HOST_PTR);
    assert_int_equal(create(0, 16, host), CL_INVALID_HOST_PTR);
}

static void mem__host_access_is_kept(void **state) {
    cl_int rc;
    char data[16];
    cl_mem m = weft_clCreateBuffer(context, CL_MEM_HOST_WRITE_ONLY, 16, NULL, &rc);
    assert_int_equal(weft_clEnqueueReadBuffer(queue, m, CL_TRUE, 0, 16, data, 0, NULL, NULL),
                     CL_INVALID_OPERATION);
    weft_clEnqueueMapBuffer(queue, m, CL_TRUE, CL_MAP_READ, 0, 16, 0, NULL, NULL, &rc);
    assert_int_equal(rc, CL_INVALID_OPERATION);
    assert_int_equal(weft_clEnqueueWriteBuffer(queue, m, CL_TRUE, 8, 9, data, 0, NULL, NULL),
                     CL_INVALID_VALUE);
    assert_int_equal(weft_clEnqueueWriteBuffer(queue, m, CL_TRUE, 1, SIZE_MAX, data, 0, NULL, NULL),
                     CL_INVALID_VALUE);
    assert_int_equal(weft_clEnqueueWriteBuffer(queue, m, CL_TRUE, 8, 8, data, 0, NULL, NULL), CL_SUCCESS);
    weft_clReleaseMemObject(m);
}

static void mem__copies_must_not_overlap(void **state) {
    cl_int rc;
    cl_mem m = weft_clCreateBuffer(context, 0, 64, NULL, &rc);
    assert_int_equal(weft_clEnqueueCopyBuffer(queue, m, m, 0, 8, 16, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
    assert_int_equal(weft_clEnqueueCopyBuffer(queue, m, m, 0, 16, 16, 0, NULL, NULL), CL_SUCCESS);
    const size_t from[3] = {0, 0, 0}, beside[3] = {4, 0, 0}, on[3] = {3, 1, 0}, region[3] = {4, 4, 1};
    assert_int_equal(
        weft_clEnqueueCopyBufferRect(queue, m, m, from, beside, region, 8, 0, 8, 0, 0, NULL, NULL),
        CL_SUCCESS);
    assert_int_equal(weft_clEnqueueCopyBufferRect(queue, m, m, from, on, region, 8, 0, 8, 0, 0, NULL, NULL),
                     CL_MEM_COPY_OVERLAP);
    assert_int_equal(
        weft_clEnqueueCopyBufferRect(queue, m, m, from, beside, region, 3, 0, 8, 0, 0, NULL, NULL),
        CL_INVALID_VALUE);
    /* Two views of one buffer: columns 0 to 3 and 4 to 7 of rows of 8 bytes, then one column of both. */
    const cl_buffer_region first = {0, 64}, later = {16, 48};
    cl_mem views[2] = {weft_clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, &first, &rc),
                       weft_clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, &later, &rc)};
    const size_t shared[3] = {3, 0, 0};
    assert_int_equal(weft_clEnqueueCopyBufferRect(queue, views[0], views[1], from, beside, region, 8, 0, 8, 0,
                                                  0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(weft_clEnqueueCopyBufferRect(queue, views[0], views[1], from, shared, region, 8, 0, 8, 0,
                                                  0, NULL, NULL),
                     CL_MEM_COPY_OVERLAP);
    assert_int_equal(
        weft_clEnqueueCopyBufferRect(queue, m, views[1], from, from, region, 4, 0, 8, 0, 0, NULL, NULL),
        CL_SUCCESS);
    for (int i = 0; i < 2; i++) weft_clReleaseMemObject(views[i]);
    weft_clReleaseMemObject(m);
}

static void mem__sub_buffers_are_checked(void **state) {
    cl_int rc;
    cl_mem m = weft_clCreateBuffer(context, CL_MEM_READ_ONLY, 64, NULL, &rc);
    const struct {
        cl_buffer_region r;
        cl_mem_flags flags;
        cl_int rc;
    } cases[] = {
        {{0, 64}, 0, CL_SUCCESS},
        {{16, 48}, 0, CL_SUCCESS},
        {{0, 0}, 0, CL_INVALID_BUFFER_SIZE},
        {{32, 33}, 0, CL_INVALID_VALUE},
        {{16, SIZE_MAX}, 0, CL_INVALID_VALUE},
        {{8, 8}, 0, CL_MISALIGNED_SUB_BUFFER_OFFSET},
        {{0, 64}, CL_MEM_READ_WRITE, CL_INVALID_VALUE},
        {{0, 64}, CL_MEM_USE_HOST_PTR, CL_INVALID_VALUE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cl_mem s = weft_clCreateSubBuffer(m, cases[i].flags, CL_BUFFER_CREATE_TYPE_REGION, &cases[i].r, &rc);
        assert_int_equal(rc, cases[i].rc);
        if (!s) continue;
        assert_null(weft_clCreateSubBuffer(s, 0, CL_BUFFER_CREATE_TYPE_REGION, &cases[0].r, &rc));
        assert_int_equal(rc, CL_INVALID_MEM_OBJECT);
        weft_clReleaseMemObject(s);
    }
    weft_clReleaseMemObject(m);
}

static void device__withholds_what_is_not_forwarded(void **state) {
    char text[256];
    assert_int_equal(weft_clGetDeviceInfo(fake_devices[1], CL_DEVICE_EXTENSIONS, sizeof text, text, NULL),
                     CL_SUCCESS);
    assert_string_equal(text, "cl_khr_fp64");
    assert_int_equal(weft_clGetDeviceInfo(fake_devices[1], CL_DEVICE_NAME, sizeof text, text, NULL),
                     CL_SUCCESS);
    assert_string_equal(text, "fake @host:1");
    assert_int_equal(weft_clGetPlatformInfo(fake_platform, CL_PLATFORM_EXTENSIONS, sizeof text, text, NULL),
                     CL_SUCCESS);
    assert_string_equal(text, "cl_khr_fp64 cl_khr_icd cl_weft");
    assert_int_equal(weft_clGetDeviceInfo(fake_devices[1], 0x9999, sizeof text, text, NULL),
                     CL_INVALID_VALUE);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(program__joins_its_strings),    T(program__builds_where_asked),
        T(program__tells_its_build_log),  T(kernel__keeps_its_program),
        T(kernel__arguments_are_checked), T(kernel__arguments_cost_nothing_until_enqueued),
        T(kernel__ranges_are_checked),    T(mem__flags_and_sizes_are_checked),
        T(mem__host_access_is_kept),      T(mem__copies_must_not_overlap),
        T(mem__sub_buffers_are_checked),  T(device__withholds_what_is_not_forwarded),
    };
    fakes_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
