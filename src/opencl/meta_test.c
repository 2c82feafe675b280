/* Tests of program meta data: argument sizes from type names, and a real program's data through encode and
 * decode. */
#include "opencl/meta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/driver_leaks.h"
#include "opencl/drivers.h"
#include "opencl/meta_private.h"

static void meta_arg_size__knows_opencl_types(void **state) {
    const cl_kernel_arg_address_qualifier by_value = CL_KERNEL_ARG_ADDRESS_PRIVATE;
    assert_int_equal(meta_arg_size(CL_KERNEL_ARG_ADDRESS_GLOBAL, "float*"), sizeof(cl_mem));
    assert_int_equal(meta_arg_size(CL_KERNEL_ARG_ADDRESS_LOCAL, "float*"), 0);
    assert_int_equal(meta_arg_size(by_value, "int"), 4);
    assert_int_equal(meta_arg_size(by_value, "unsigned char"), 1);
    assert_int_equal(meta_arg_size(by_value, "float3"), 16);
    assert_int_equal(meta_arg_size(by_value, "double16"), 128);
    assert_int_equal(meta_arg_size(by_value, "half"), 2);
    assert_int_equal(meta_arg_size(by_value, "int5"), 0);
    assert_int_equal(meta_arg_size(by_value, "float4x"), 0);
    assert_int_equal(meta_arg_size(by_value, "struct thing"), 0);
    assert_int_equal(meta_arg_size(by_value, "integer"), 0);
    assert_int_equal(meta_arg_size(by_value, NULL), 0);
    assert_int_equal(meta_arg_size(by_value, "sampler_t"), sizeof(cl_sampler));
}

/* What is found out by setting an argument to nothing is what the type says; what is as large as a handle may
 * be one. */
static void meta_arg_takes__finds_out(void **state) {
    static const enum arg_takes wanted[] = {TAKES_MEM,     TAKES_LOCAL, TAKES_VALUE,   TAKES_VALUE,
                                            TAKES_UNKNOWN, TAKES_MEM,   TAKES_UNKNOWN, TAKES_UNKNOWN};
    const char *source =
        "kernel void k(global float *a, local int *l, float4 v, int n, long m, constant int *c, "
        "read_only image2d_t i, sampler_t s) { a[n] = m + read_imagef(i, s, (int2)(0)).x; }";
    const struct drivers *drivers = drivers_load();
    if (!drivers->count || !drivers->platforms[0].device_count) skip();
    const struct driver_platform *p = &drivers->platforms[0];
    cl_context c = p->dispatch->clCreateContext(NULL, 1, p->devices, NULL, NULL, NULL);
    cl_program program = p->dispatch->clCreateProgramWithSource(c, 1, &source, NULL, NULL);
    assert_int_equal(p->dispatch->clBuildProgram(program, 1, p->devices, "", NULL, NULL), CL_SUCCESS);
    cl_kernel k = p->dispatch->clCreateKernel(program, "k", NULL);
    for (cl_uint i = 0; i < 8; i++) {
        assert_int_equal(meta_try_arg(k, i), wanted[i]);
        assert_int_equal(meta_arg_takes(k, i), wanted[i]);
    }
    p->dispatch->clReleaseKernel(k);
    p->dispatch->clReleaseProgram(program);
    p->dispatch->clReleaseContext(c);
}

static struct program_meta *build(const char *source) {
    const struct drivers *drivers = drivers_load();
    if (!drivers->count || !drivers->platforms[0].device_count) return NULL;
    const struct driver_platform *p = &drivers->platforms[0];
    cl_context c = p->dispatch->clCreateContext(NULL, 1, p->devices, NULL, NULL, NULL);
    cl_program program = p->dispatch->clCreateProgramWithSource(c, 1, &source, NULL, NULL);
    p->dispatch->clBuildProgram(program, 1, p->devices, "-cl-kernel-arg-info -DX=3", NULL, NULL);
    struct program_meta *m = program_meta_collect(program, 1, p->devices);
    p->dispatch->clReleaseProgram(program);
    p->dispatch->clReleaseContext(c);
    return m;
}

static void program_meta__survives_a_round_trip(void **state) {
    struct program_meta *m =
        build("kernel void k(global float *a, local int *l, float4 v, int n) { a[n] = v.x + X; }");
    if (!m) skip();
    m->kernels[0].devices[0].global_work_size[2] = 12; /* as built-in kernels have it */
    size_t bytes;
    uint8_t *blob = program_meta_encode(m, &bytes);
    struct program_meta *got = program_meta_decode(blob, bytes);
    assert_non_null(got);
    const struct kernel_meta *k = program_meta_kernel(got, "k");
    assert_non_null(k);
    assert_null(program_meta_kernel(got, "other"));
    assert_int_equal(k->arg_count, 4);
    assert_int_equal(k->args[0].size, sizeof(cl_mem));
    assert_int_equal(k->args[1].address, CL_KERNEL_ARG_ADDRESS_LOCAL);
    assert_int_equal(k->args[2].size, 16);
    assert_string_equal(k->args[3].name, "n");
    assert_int_equal(got->devices[0].status, CL_BUILD_SUCCESS);
    assert_true(k->devices[0].work_group_size > 0);
    assert_int_equal(k->devices[0].global_work_size[2], 12);
    assert_non_null(strstr(got->devices[0].options, "-DX=3"));
    for (size_t n = 0; n < bytes; n++) {
        uint8_t *cut = malloc(n ? n : 1);
        memcpy(cut, blob, n);
        assert_null(program_meta_decode(cut, n));
        free(cut);
    }
    srandom(11);
    for (int i = 0; i < 3000; i++) {
        uint8_t *bad = malloc(bytes);
        memcpy(bad, blob, bytes);
        for (int j = 0; j < 3; j++) bad[8 + (size_t)random() % (bytes - 8)] = (uint8_t)random();
        program_meta_free(program_meta_decode(bad, bytes));
        free(bad);
    }
    free(blob);
    program_meta_free(got);
    program_meta_free(m);
}

static void program_meta__keeps_the_log_of_a_failed_build(void **state) {
    struct program_meta *m = build("kernel void k(global float *a) { nonsense; }");
    if (!m) skip();
    assert_int_equal(m->devices[0].status, CL_BUILD_ERROR);
    assert_non_null(strstr(m->devices[0].log, "nonsense"));
    assert_int_equal(m->kernel_count, 0);
    program_meta_free(m);
}

/* A driver that refuses a build without a word: nothing but empty strings. */
static void program_meta__of_one_silent_device(void **state) {
    struct program_device_meta device = {.status = CL_BUILD_ERROR, .log = (char *)"", .options = (char *)""};
    const struct program_meta m = {.device_count = 1, .devices = &device};
    size_t bytes;
    void *blob = program_meta_encode(&m, &bytes);
    struct program_meta *got = program_meta_decode(blob, bytes);
    assert_non_null(got);
    assert_int_equal(got->devices[0].status, CL_BUILD_ERROR);
    assert_string_equal(got->devices[0].log, "");
    program_meta_free(got);
    free(blob);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meta_arg_size__knows_opencl_types),
        cmocka_unit_test(meta_arg_takes__finds_out),
        cmocka_unit_test(program_meta__survives_a_round_trip),
        cmocka_unit_test(program_meta__of_one_silent_device),
        cmocka_unit_test(program_meta__keeps_the_log_of_a_failed_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
