/* Usage: what is counted of queues, commands, transfers between nodes and memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/counter.h"
#include "opencl/front/fake_backend.h"

static cl_context context;
static cl_command_queue queue[2];

/* Counters of the device of fakes[node]: sets are given out in the order of first use. */
static uint64_t counted(unsigned node, const char *what) {
    char name[40];
    for (unsigned set = 0; set < 10; set++) {
        snprintf(name, sizeof name, "opencl_device%u_id", set);
        if (weft_counter_named(name) != 1 + ((uint64_t)node << 32)) continue;
        snprintf(name, sizeof name, "opencl_device%u_%s", set, what);
        return weft_counter_named(name);
    }
    return 0;
}

static int setup(void **state) {
    cl_int rc = CL_SUCCESS;
    fakes_reset();
    context = weft_clCreateContext(NULL, 2, fake_devices, NULL, NULL, &rc);
    for (int i = 0; i < 2; i++) queue[i] = weft_clCreateCommandQueue(context, fake_devices[i], 0, &rc);
    return rc;
}

static int teardown(void **state) {
    for (int i = 0; i < 2; i++) weft_clReleaseCommandQueue(queue[i]);
    weft_clReleaseContext(context);
    return fakes_live() != 0;
}

static void usage__counts_queues(void **state) {
    cl_int rc;
    uint64_t opened = counted(1, "queues_opened"), closed = counted(1, "queues_closed");
    cl_command_queue q = weft_clCreateCommandQueue(context, fake_devices[1], 0, &rc);
    assert_int_equal(counted(1, "queues_opened"), opened + 1);
    assert_int_equal(counted(1, "queues_closed"), closed);
    weft_clReleaseCommandQueue(q);
    assert_int_equal(counted(1, "queues_closed"), closed + 1);
}

static void usage__counts_bytes_also_of_transfers(void **state) {
    cl_int rc;
    unsigned seed = 1;
    char data[100] = "", back[100];
    uint64_t in = counted(0, "bytes_in"), out = counted(0, "bytes_out"), taken = counted(1, "memory_taken"),
             given_back = counted(1, "memory_given_back"), in1 = counted(1, "bytes_in");
    cl_mem m = weft_clCreateBuffer(context, 0, sizeof data, NULL, &rc);
    weft_clEnqueueWriteBuffer(queue[0], m, CL_FALSE, 0, sizeof data, data, 0, NULL, NULL);
    fakes_run(&seed);
    assert_int_equal(counted(0, "bytes_in"), in + 100);
    weft_clEnqueueReadBuffer(queue[1], m, CL_FALSE, 10, 30, back, 0, NULL, NULL); /* moves as much first */
    fakes_run(&seed);
    assert_int_equal(counted(0, "bytes_out"), out + 30);
    assert_int_equal(counted(1, "bytes_in"), in1 + 30);
    assert_int_equal(counted(1, "memory_taken"), taken + 100);
    weft_clReleaseMemObject(m);
    assert_int_equal(counted(1, "memory_given_back"), given_back + 100);
}

static void usage__counts_a_sub_buffer_once(void **state) {
    cl_int rc;
    unsigned seed = 1;
    char data[64] = "";
    uint64_t taken = counted(0, "memory_taken"), given_back = counted(0, "memory_given_back");
    cl_buffer_region half = {64, 64};
    cl_mem m = weft_clCreateBuffer(context, 0, 128, NULL, &rc);
    cl_mem s = weft_clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, &half, &rc);
    weft_clEnqueueWriteBuffer(queue[0], s, CL_FALSE, 0, 64, data, 0, NULL, NULL);
    fakes_run(&seed);
    assert_int_equal(counted(0, "memory_taken"), taken + 128);
    weft_clReleaseMemObject(s);
    weft_clReleaseMemObject(m);
    assert_int_equal(counted(0, "memory_given_back"), given_back + 128);
}

static void usage__counts_kernels_and_rectangles(void **state) {
    cl_int rc;
    unsigned seed = 1;
    const char *source = "";
    char data[60] = "", value = 1;
    size_t zero[3] = {0}, region[3] = {5, 4, 3}, global = 8;
    uint64_t kernels = counted(0, "kernels"), in = counted(0, "bytes_in");
    cl_mem m = weft_clCreateBuffer(context, 0, sizeof data, NULL, &rc);
    cl_program p = weft_clCreateProgramWithSource(context, 1, &source, NULL, &rc);
    assert_int_equal(weft_clBuildProgram(p, 0, NULL, "", NULL, NULL), CL_SUCCESS);
    cl_kernel k = weft_clCreateKernel(p, "add", &rc);
    weft_clSetKernelArg(k, 0, sizeof m, &m);
    weft_clSetKernelArg(k, 1, sizeof value, &value);
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue[0], k, 1, NULL, &global, NULL, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(counted(0, "kernels"), kernels + 1);
    assert_int_equal(weft_clEnqueueNDRangeKernel(queue[0], k, 4, NULL, &global, NULL, 0, NULL, NULL),
                     CL_INVALID_WORK_DIMENSION);
    assert_int_equal(counted(0, "kernels"), kernels + 1);
    assert_int_equal(weft_clEnqueueWriteBufferRect(queue[0], m, CL_FALSE, zero, zero, region, 0, 0, 0, 0,
                                                   data, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(counted(0, "bytes_in"), in + 60);
    fakes_run(&seed);
    weft_clReleaseKernel(k);
    weft_clReleaseProgram(p);
    weft_clReleaseMemObject(m);
}

static void usage__counts_images(void **state) {
    cl_int rc;
    unsigned seed = 1;
    char data[5 * 4 * 4] = "";
    const cl_image_format rgba = {CL_RGBA, CL_UNSIGNED_INT8};
    const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 5, .image_height = 4};
    size_t zero[3] = {0}, region[3] = {5, 3, 1};
    uint64_t in = counted(0, "bytes_in"), out = counted(0, "bytes_out"), taken = counted(0, "memory_taken"),
             given_back = counted(0, "memory_given_back");
    cl_mem m = weft_clCreateImage(context, 0, &rgba, &desc, NULL, &rc);
    weft_clEnqueueWriteImage(queue[0], m, CL_FALSE, zero, region, 0, 0, data, 0, NULL, NULL);
    weft_clEnqueueReadImage(queue[0], m, CL_FALSE, zero, region, 0, 0, data, 0, NULL, NULL);
    fakes_run(&seed);
    assert_int_equal(counted(0, "bytes_in"), in + 5 * 3 * 4);
    assert_int_equal(counted(0, "bytes_out"), out + 5 * 3 * 4);
    assert_int_equal(counted(0, "memory_taken"), taken + 5 * 4 * 4);
    weft_clReleaseMemObject(m);
    assert_int_equal(counted(0, "memory_given_back"), given_back + 5 * 4 * 4);
}

/* What is done with a part of a device is done with the device. */
static void usage__counts_parts(void **state) {
    cl_int rc;
    const cl_device_partition_property equally[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0};
    cl_device_id parts[2];
    uint64_t opened = counted(0, "queues_opened");
    assert_int_equal(weft_clCreateSubDevices(fake_devices[0], equally, 2, parts, NULL), CL_SUCCESS);
    cl_context c = weft_clCreateContext(NULL, 1, parts, NULL, NULL, &rc);
    cl_command_queue q = weft_clCreateCommandQueue(c, parts[0], 0, &rc);
    assert_int_equal(counted(0, "queues_opened"), opened + 1);
    weft_clReleaseCommandQueue(q);
    weft_clReleaseContext(c);
    for (int i = 0; i < 2; i++) weft_clReleaseDevice(parts[i]);
}

static void usage__counts_shared_memory(void **state) {
    cl_int rc;
    unsigned seed = 1;
    char data[64] = "";
    uint64_t taken = counted(0, "memory_taken"), given_back = counted(0, "memory_given_back"),
             in = counted(0, "bytes_in");
    cl_context c = weft_clCreateContext(NULL, 1, fake_devices, NULL, NULL, &rc);
    cl_command_queue q = weft_clCreateCommandQueue(c, fake_devices[0], 0, &rc);
    void *memory = weft_clSVMAlloc(c, CL_MEM_READ_WRITE, 64, 0);
    assert_int_equal(counted(0, "memory_taken"), taken + 64);
    assert_int_equal(weft_clEnqueueSVMMemcpy(q, CL_FALSE, memory, data, 64, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(counted(0, "bytes_in"), in + 64);
    fakes_run(&seed);
    weft_clSVMFree(c, memory);
    assert_int_equal(counted(0, "memory_given_back"), given_back + 64);
    weft_clReleaseCommandQueue(q);
    weft_clReleaseContext(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(usage__counts_queues, setup, teardown),
        cmocka_unit_test_setup_teardown(usage__counts_bytes_also_of_transfers, setup, teardown),
        cmocka_unit_test_setup_teardown(usage__counts_a_sub_buffer_once, setup, teardown),
        cmocka_unit_test_setup_teardown(usage__counts_kernels_and_rectangles, setup, teardown),
        cmocka_unit_test_setup_teardown(usage__counts_images, setup, teardown),
        cmocka_unit_test_setup_teardown(usage__counts_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(usage__counts_shared_memory, setup, teardown),
    };
    fakes_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
