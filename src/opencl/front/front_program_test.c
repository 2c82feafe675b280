/* Programs in parts and of other origins, sub-devices and sub-groups: what is checked and which backends are
 * asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/front/fake_backend.h"

static cl_context context;

static int setup(void **state) {
    cl_int rc;
    fakes_reset();
    context = weft_clCreateContext(NULL, 2, fake_devices, NULL, NULL, &rc);
    return rc;
}

static int teardown(void **state) {
    weft_clReleaseContext(context);
    assert_int_equal(fakes_live(), 0);
    return 0;
}

static cl_program from_source(void) {
    cl_int rc;
    const char *text = "source";
    cl_program p = weft_clCreateProgramWithSource(context, 1, &text, NULL, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    return p;
}

static cl_int compile(cl_program p, cl_uint devices) {
    return weft_clCompileProgram(p, devices, devices ? fake_devices : NULL, "", 0, NULL, NULL, NULL, NULL);
}

static void program__compiled_is_no_executable(void **state) {
    cl_int rc;
    const char *name = "a.h";
    cl_program p = from_source(), header = from_source();
    assert_int_equal(weft_clCompileProgram(p, 0, NULL, "-DX", 1, &header, &name, NULL, NULL), CL_SUCCESS);
    assert_int_equal(fakes[0].headers, 1);
    assert_int_equal(fakes[1].headers, 1);
    assert_null(weft_clCreateKernel(p, "add", &rc));
    assert_int_equal(rc, CL_INVALID_PROGRAM_EXECUTABLE);
    assert_int_equal(weft_clCompileProgram(p, 0, NULL, "", 1, &header, NULL, NULL, NULL), CL_INVALID_VALUE);
    assert_int_equal(weft_clCompileProgram(p, 0, NULL, "", 1, (cl_program *)&context, &name, NULL, NULL),
                     CL_INVALID_PROGRAM);
    weft_clReleaseProgram(header);
    weft_clReleaseProgram(p);
}

static void program__linked_runs_where_all_parts_are(void **state) {
    cl_int rc;
    cl_uint n = 0;
    cl_program parts[2] = {from_source(), from_source()};
    assert_null(weft_clLinkProgram(context, 0, NULL, "", 2, parts, NULL, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_OPERATION); /* nothing is compiled */
    assert_int_equal(compile(parts[0], 1), CL_SUCCESS);
    assert_int_equal(compile(parts[1], 0), CL_SUCCESS);
    assert_null(weft_clLinkProgram(context, 0, NULL, "", 2, parts, NULL, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_OPERATION); /* for the second device one part is not there */
    cl_program p = weft_clLinkProgram(context, 1, fake_devices, "", 2, parts, NULL, NULL, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    weft_clGetProgramInfo(p, CL_PROGRAM_NUM_DEVICES, sizeof n, &n, NULL);
    assert_int_equal(n, 1);
    cl_kernel k = weft_clCreateKernel(p, "add", &rc);
    assert_int_equal(rc, CL_SUCCESS);
    assert_int_equal(weft_clBuildProgram(p, 0, NULL, "", NULL, NULL), CL_INVALID_OPERATION);
    weft_clReleaseKernel(k);
    weft_clReleaseProgram(p);
    for (int i = 0; i < 2; i++) weft_clReleaseProgram(parts[i]);
}

static void program__failed_link_has_a_log(void **state) {
    cl_int rc;
    char log[64] = "";
    cl_program part = from_source();
    assert_int_equal(compile(part, 0), CL_SUCCESS);
    fakes[1].build_status = CL_BUILD_PROGRAM_FAILURE;
    cl_program p = weft_clLinkProgram(context, 0, NULL, "", 1, &part, NULL, NULL, &rc);
    assert_int_equal(rc, CL_LINK_PROGRAM_FAILURE);
    assert_non_null(p);
    weft_clGetProgramBuildInfo(p, fake_devices[1], CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL);
    assert_string_equal(log, "error: fake");
    weft_clReleaseProgram(p);
    weft_clReleaseProgram(part);
}

static void program__of_intermediate_language(void **state) {
    cl_int rc, value = 1;
    char il[8] = "";
    cl_program source = from_source(), p = weft_clCreateProgramWithIL(context, "words", 5, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    assert_int_equal(weft_clGetProgramInfo(p, CL_PROGRAM_IL, sizeof il, il, NULL), CL_SUCCESS);
    assert_memory_equal(il, "words", 5);
    assert_int_equal(weft_clSetProgramSpecializationConstant(p, 3, sizeof value, &value), CL_SUCCESS);
    assert_int_equal(fakes[0].specialized, 3);
    assert_int_equal(fakes[1].specialized, 3);
    assert_int_equal(weft_clSetProgramSpecializationConstant(p, FAKE_NO_CONSTANT, sizeof value, &value),
                     CL_INVALID_SPEC_ID);
    assert_int_equal(weft_clSetProgramSpecializationConstant(source, 3, sizeof value, &value),
                     CL_INVALID_PROGRAM);
    assert_null(weft_clCreateProgramWithIL(context, NULL, 5, &rc));
    assert_int_equal(rc, CL_INVALID_VALUE);
    assert_int_equal(weft_clBuildProgram(p, 0, NULL, "", NULL, NULL), CL_SUCCESS);
    weft_clReleaseProgram(p);
    weft_clReleaseProgram(source);
}

static void program__of_built_in_kernels(void **state) {
    cl_int rc;
    assert_null(weft_clCreateProgramWithBuiltInKernels(context, 1, fake_devices, "add;other", &rc));
    assert_int_equal(rc, CL_INVALID_VALUE);
    assert_null(weft_clCreateProgramWithBuiltInKernels(context, 1, fake_devices, "ad", &rc));
    assert_int_equal(rc, CL_INVALID_VALUE);
    cl_program p = weft_clCreateProgramWithBuiltInKernels(context, 2, fake_devices, "add;copy", &rc);
    assert_int_equal(rc, CL_SUCCESS);
    cl_kernel k = weft_clCreateKernel(p, "copy", &rc); /* without a build */
    assert_int_equal(rc, CL_SUCCESS);
    size_t most[3] = {0}, size = 0;
    assert_int_equal(weft_clGetKernelWorkGroupInfo(k, fake_devices[1], CL_KERNEL_GLOBAL_WORK_SIZE,
                                                   sizeof most, most, &size),
                     CL_SUCCESS);
    assert_int_equal(size, sizeof most);
    assert_int_equal(most[2], 64);
    weft_clReleaseKernel(k);
    k = weft_clCreateKernel(p, "add", &rc);
    assert_int_equal(weft_clGetKernelWorkGroupInfo(k, fake_devices[1], CL_KERNEL_GLOBAL_WORK_SIZE,
                                                   sizeof most, most, NULL),
                     CL_INVALID_VALUE); /* the device does not tell */
    weft_clReleaseKernel(k);
    weft_clReleaseProgram(p);
}

static void CL_CALLBACK on_release(cl_program p, void *data) {}

static void program__release_callback_is_of_opencl_2_2(void **state) {
    cl_program p = from_source();
    assert_int_equal(weft_clSetProgramReleaseCallback(p, NULL, NULL), CL_INVALID_VALUE);
    assert_int_equal(weft_clSetProgramReleaseCallback(p, on_release, NULL), CL_INVALID_OPERATION);
    weft_clReleaseProgram(p);
}

static void kernel__sub_groups_are_asked_of_the_device(void **state) {
    cl_int rc;
    size_t answer = 0;
    const size_t local[2] = {5, 1};
    cl_program p = from_source();
    assert_int_equal(weft_clBuildProgram(p, 0, NULL, "", NULL, NULL), CL_SUCCESS);
    cl_kernel k = weft_clCreateKernel(p, "add", &rc);
    assert_int_equal(weft_clGetKernelSubGroupInfo(k, fake_devices[1],
                                                  CL_KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE, sizeof local,
                                                  local, sizeof answer, &answer, NULL),
                     CL_SUCCESS);
    assert_int_equal(answer, 5);
    assert_int_equal(weft_clGetKernelSubGroupInfo(k, fake_devices[1], CL_KERNEL_MAX_NUM_SUB_GROUPS, 0, NULL,
                                                  4, &answer, NULL),
                     CL_INVALID_VALUE);
    assert_int_equal(weft_clGetKernelSubGroupInfo(k, fake_devices[2], CL_KERNEL_MAX_NUM_SUB_GROUPS, 0, NULL,
                                                  0, NULL, NULL),
                     CL_INVALID_DEVICE);
    /* Before OpenCL 2.1 it is an extension, without the number. */
    const cl_uint untold = 0;
    fake_change(&fakes[1], CL_DEVICE_MAX_NUM_SUB_GROUPS, &untold, sizeof untold);
    assert_int_equal(weft_clGetKernelSubGroupInfo(k, fake_devices[1], CL_KERNEL_MAX_NUM_SUB_GROUPS, 0, NULL,
                                                  sizeof answer, &answer, NULL),
                     CL_INVALID_OPERATION);
    struct name_list *extensions = &((struct device *)fake_devices[1])->extensions;
    assert_int_equal(names_add(extensions, "cl_khr_subgroups", CL_MAKE_VERSION(1, 0, 0)), CL_SUCCESS);
    assert_int_equal(weft_clGetKernelSubGroupInfo(k, fake_devices[1], CL_KERNEL_MAX_NUM_SUB_GROUPS, 0, NULL,
                                                  sizeof answer, &answer, NULL),
                     CL_SUCCESS);
    extensions->count--;
    weft_clReleaseKernel(k);
    weft_clReleaseProgram(p);
}

static void sub_device__lives_as_long_as_its_context(void **state) {
    const cl_device_partition_property equally[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0},
                                       by_counts[] = {CL_DEVICE_PARTITION_BY_COUNTS, 1, 0, 0};
    cl_device_id parts[2], parent = NULL;
    cl_int rc;
    cl_uint n = 0;
    unsigned before = fakes_live();
    assert_int_equal(weft_clCreateSubDevices(fake_devices[0], by_counts, 2, parts, &n), CL_INVALID_VALUE);
    assert_int_equal(weft_clCreateSubDevices(fake_devices[0], equally, 1, parts, &n), CL_INVALID_VALUE);
    assert_int_equal(fakes_live(), before);
    assert_int_equal(weft_clCreateSubDevices(fake_devices[0], equally, 2, parts, &n), CL_SUCCESS);
    assert_int_equal(n, 2);
    weft_clGetDeviceInfo(parts[0], CL_DEVICE_PARENT_DEVICE, sizeof(cl_device_id), &parent, NULL);
    assert_ptr_equal(parent, fake_devices[0]);
    cl_context c = weft_clCreateContext(NULL, 1, &parts[1], NULL, NULL, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    assert_int_equal(weft_clReleaseDevice(parts[0]), CL_SUCCESS);
    assert_int_equal(weft_clReleaseDevice(parts[0]), CL_INVALID_DEVICE);
    assert_int_equal(weft_clReleaseDevice(parts[1]), CL_SUCCESS);
    assert_int_equal(fakes_live(), before + 2); /* the context and its device */
    weft_clReleaseContext(c);
    assert_int_equal(fakes_live(), before);
}

int main(void) {
    fakes_setup();
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(program__compiled_is_no_executable),
        TEST(program__linked_runs_where_all_parts_are),
        TEST(program__failed_link_has_a_log),
        TEST(program__of_intermediate_language),
        TEST(program__of_built_in_kernels),
        TEST(program__release_callback_is_of_opencl_2_2),
        TEST(kernel__sub_groups_are_asked_of_the_device),
        TEST(sub_device__lives_as_long_as_its_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
