/* Test of rarer calls: see calls.h. */
#include "calls.h"
#include <string.h>

#define CASE(name)                                                                                           \
    { #name, name }
static const struct cltest_case cases[] = {
    CASE(calls__compile_and_link),
    CASE(calls__link_library),
    CASE(calls__link_for_one_device),
    CASE(calls__compile_errors),
    CASE(calls__link_callback),
    CASE(calls__linked_binary),
    CASE(calls__binary_of_one_device),
    CASE(calls__built_in_kernels),
    CASE(calls__intermediate_language),
    CASE(calls__release_callback),
    CASE(calls__clone_kernel),
    CASE(calls__sub_group_info),
    CASE(calls__sub_devices),
    CASE(calls__sub_device_errors),
    CASE(calls__sub_device_lifetime),
    CASE(calls__profiling_clock),
    CASE(calls__timers),
    CASE(calls__extension_functions),
    CASE(calls__svm_map),
    CASE(calls__svm_pointers),
    CASE(calls__svm_copy_and_fill),
    CASE(calls__svm_free),
    CASE(calls__svm_many),
    CASE(calls__svm_errors),
    CASE(calls__native_kernel),
    CASE(calls__pipes),
    CASE(calls__device_queues),
    CASE(calls__printf),
};

cl_ulong calls_number(cl_device_id d, cl_device_info param) {
    cl_ulong number = 0; /* little-endian: a shorter answer is right, too */
    return clGetDeviceInfo(d, param, sizeof number, &number, NULL) ? 0 : number;
}

bool calls_fragile(struct cltest *t) {
    char name[64] = "";
    OK(clGetPlatformInfo(t->platform, CL_PLATFORM_NAME, sizeof name, name, NULL));
    return !strcmp(name, "Portable Computing Language");
}

int calls_run(cl_context c, cl_command_queue q, cl_program p, const char *name) {
    int x = -1;
    size_t one = 1;
    cl_int err;
    cl_kernel k = clCreateKernel(p, name, &err);
    OK(err);
    cl_mem m = clCreateBuffer(c, CL_MEM_READ_WRITE, sizeof x, NULL, &err);
    OK(err);
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    OK(clEnqueueNDRangeKernel(q, k, 1, NULL, &one, NULL, 0, NULL, NULL));
    OK(clEnqueueReadBuffer(q, m, CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL));
    OK(clReleaseMemObject(m));
    OK(clReleaseKernel(k));
    return x;
}

int main(int argc, char **argv) {
    return cltest_main(argc, argv, "OpenCL test of rarer calls", cases, sizeof cases / sizeof *cases);
}
