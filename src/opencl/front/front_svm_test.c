/* Shared virtual memory over a backend that is not direct: what becomes of the calls there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/front/fake_backend.h"

static cl_context context;
static cl_command_queue queue;
static unsigned char *memory;

static int setup(void **state) {
    cl_int rc;
    fakes_reset();
    context = weft_clCreateContext(NULL, 1, fake_devices, NULL, NULL, &rc);
    queue = weft_clCreateCommandQueue(context, fake_devices[0], 0, &rc);
    memory = weft_clSVMAlloc(context, CL_MEM_READ_WRITE, 64, 0);
    return rc || !memory;
}

static int teardown(void **state) {
    unsigned seed = 1;
    fakes_run(&seed);
    weft_clReleaseCommandQueue(queue);
    weft_clReleaseContext(context); /* frees what the program did not */
    assert_int_equal(fakes_live(), 0);
    return 0;
}

static void svm__mapping_reads_and_unmapping_writes(void **state) {
    unsigned char pattern = 9;
    unsigned seed = 1;
    assert_int_equal(weft_clEnqueueSVMMemFill(queue, memory, &pattern, 1, 64, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(weft_clEnqueueSVMMap(queue, CL_FALSE, CL_MAP_READ, memory + 8, 8, 0, NULL, NULL),
                     CL_SUCCESS);
    int at = fake_find(&fakes[0], BK_READ, 0);
    assert_true(at >= 0);
    assert_int_equal(fakes[0].commands[at].c.u.rw.offset, 8);
    assert_ptr_equal(fakes[0].commands[at].c.u.rw.host, memory + 8);
    assert_int_equal(weft_clEnqueueSVMUnmap(queue, memory + 8, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(fake_find(&fakes[0], BK_WRITE, 0), -1); /* it was for reading */
    assert_int_equal(weft_clEnqueueSVMUnmap(queue, memory + 8, 0, NULL, NULL), CL_INVALID_VALUE);
    assert_int_equal(
        weft_clEnqueueSVMMap(queue, CL_FALSE, CL_MAP_WRITE_INVALIDATE_REGION, memory, 64, 0, NULL, NULL),
        CL_SUCCESS);
    assert_int_equal(fake_find(&fakes[0], BK_READ, (unsigned)at + 1), -1);
    assert_int_equal(weft_clEnqueueSVMUnmap(queue, memory, 0, NULL, NULL), CL_SUCCESS);
    assert_true(fakes_run(&seed)); /* it is held back until the first map's read has ended */
    at = fake_find(&fakes[0], BK_WRITE, 0);
    assert_true(at >= 0);
    assert_int_equal(fakes[0].commands[at].c.u.rw.size, 64);
}

static void svm__ranges_are_checked(void **state) {
    unsigned char host[65] = "";
    assert_int_equal(weft_clEnqueueSVMMap(queue, CL_FALSE, CL_MAP_READ, memory + 60, 5, 0, NULL, NULL),
                     CL_INVALID_VALUE);
    assert_int_equal(weft_clEnqueueSVMMap(queue, CL_FALSE, CL_MAP_READ, host, 5, 0, NULL, NULL),
                     CL_INVALID_VALUE);
    assert_int_equal(weft_clEnqueueSVMMemcpy(queue, CL_FALSE, memory, host, 65, 0, NULL, NULL),
                     CL_INVALID_VALUE);
    assert_int_equal(weft_clEnqueueSVMMemcpy(queue, CL_FALSE, memory, host, 64, 0, NULL, NULL), CL_SUCCESS);
    assert_null(
        weft_clSVMAlloc(context, CL_MEM_SVM_FINE_GRAIN_BUFFER, 64, 0)); /* the device has it, but here */
    cl_int rc;
    cl_context two = weft_clCreateContext(NULL, 2, fake_devices, NULL, NULL, &rc);
    assert_null(weft_clSVMAlloc(two, CL_MEM_READ_WRITE, 64, 0)); /* no address is shared by two nodes */
    weft_clReleaseContext(two);
}

static void svm__kernels_are_told_and_freed_memory_is_refused(void **state) {
    cl_int rc;
    const size_t one = 1;
    const char *text = "source";
    unsigned char v = 1;
    void *used = memory;
    cl_program p = weft_clCreateProgramWithSource(context, 1, &text, NULL, &rc);
    assert_int_equal(weft_clBuildProgram(p, 0, NULL, "", NULL, NULL), CL_SUCCESS);
    cl_kernel k = weft_clCreateKernel(p, "add", &rc);
    assert_int_equal(weft_clSetKernelArgSVMPointer(k, 1, memory), CL_INVALID_ARG_VALUE);
    assert_int_equal(weft_clSetKernelArgSVMPointer(k, 0, &v), CL_INVALID_ARG_VALUE);
    assert_int_equal(weft_clSetKernelArgSVMPointer(k, 0, memory), CL_SUCCESS);
    assert_int_equal(weft_clSetKernelArg(k, 1, 1, &v), CL_SUCCESS);
    assert_int_equal(weft_clSetKernelExecInfo(k, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof used, &used),
                     CL_SUCCESS);
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue, k, 1, NULL, &one, NULL, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(fakes[0].exec_svm, 1);
    weft_clFinish(queue);
    weft_clSVMFree(context, memory);
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue, k, 1, NULL, &one, NULL, 0, NULL, NULL),
                     CL_INVALID_KERNEL_ARGS);
    weft_clReleaseKernel(k);
    weft_clReleaseProgram(p);
}

static void timers__are_the_devices(void **state) {
    cl_ulong device = 0, host = 0, resolution = 0;
    assert_int_equal(weft_clGetPlatformInfo(fake_platform, CL_PLATFORM_HOST_TIMER_RESOLUTION,
                                            sizeof resolution, &resolution, NULL),
                     CL_SUCCESS);
    assert_int_equal(resolution, 50);
    assert_int_equal(weft_clGetDeviceAndHostTimer(fake_devices[0], &device, &host), CL_SUCCESS);
    assert_int_equal(device, 2000);
    assert_int_equal(weft_clGetHostTimer(fake_devices[0], &host), CL_SUCCESS);
    assert_int_equal(host, 1000);
    assert_int_equal(weft_clGetHostTimer(fake_devices[0], NULL), CL_INVALID_VALUE);
}

static void native__is_for_local_devices(void **state) {
    assert_int_equal(weft_clEnqueueNativeKernel(queue, (void(CL_CALLBACK *)(void *))free, NULL, 0, 0, NULL,
                                                NULL, 0, NULL, NULL),
                     CL_INVALID_OPERATION);
    assert_int_equal(weft_clEnqueueNativeKernel(queue, NULL, NULL, 0, 0, NULL, NULL, 0, NULL, NULL),
                     CL_INVALID_VALUE);
}

int main(void) {
    fakes_setup();
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(svm__mapping_reads_and_unmapping_writes),
        TEST(svm__ranges_are_checked),
        TEST(svm__kernels_are_told_and_freed_memory_is_refused),
        TEST(timers__are_the_devices),
        TEST(native__is_for_local_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
