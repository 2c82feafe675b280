/* Programs: options, source in pieces, binaries, build logs and callbacks. */
#include "func.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static cl_program from_source(struct cltest *t, const char *text) {
    cl_int err;
    cl_program p = clCreateProgramWithSource(t->ctx, 1, &text, NULL, &err);
    OK(err);
    return p;
}

/* Runs kernel `name`, which must set p[0], on device `dev`, and returns the value. */
static int run_on(struct cltest *t, unsigned dev, cl_program p, const char *name) {
    int x = -1;
    cl_int err;
    cl_kernel k = clCreateKernel(p, name, &err);
    OK(err);
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, sizeof x, NULL);
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    cltest_launch(t->queue[dev], k, 1, 0, NULL, NULL);
    OK(clEnqueueReadBuffer(t->queue[dev], m, CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL));
    OK(clReleaseMemObject(m));
    OK(clReleaseKernel(k));
    return x;
}

void program__options(struct cltest *t) {
    cl_program p = from_source(t, "__kernel void f(__global int *p) { p[0] = VALUE + (sizeof(TYPE) == 8); }");
    OK(clBuildProgram(p, 0, NULL, "-DVALUE=12 -D TYPE=long -cl-fast-relaxed-math", NULL, NULL));
    for (unsigned d = 0; d < t->n_devices; d++) CHECK_EQ(run_on(t, d, p, "f"), 13);
    char options[128] = "";
    OK(clGetProgramBuildInfo(p, t->dev[0], CL_PROGRAM_BUILD_OPTIONS, sizeof options, options, NULL));
    CHECK(!strcmp(options, "-DVALUE=12 -D TYPE=long -cl-fast-relaxed-math"));
    OK(clReleaseProgram(p));
}

/* What arguments are is told to a program that asked for it when it was built (info__kernel_arguments). */
void program__no_argument_info(struct cltest *t) {
    cl_program p = from_source(t, "__kernel void f(__global int *p) { p[0] = 14; }");
    char name[8];
    cl_int err;
    OK(clBuildProgram(p, 0, NULL, "", NULL, NULL));
    cl_kernel k = clCreateKernel(p, "f", &err);
    OK(err);
    CHECK_EQ(clGetKernelArgInfo(k, 0, CL_KERNEL_ARG_NAME, sizeof name, name, NULL),
             CL_KERNEL_ARG_INFO_NOT_AVAILABLE);
    OK(clReleaseKernel(k));
    OK(clReleaseProgram(p));
}

/* With lengths, without, and with some that are zero (then the piece ends at its NUL). */
void program__several_strings(struct cltest *t) {
    const char *pieces[3] = {"__kernel void fXXXX", "(__global int *p) { p[0] = ", "5; }"};
    size_t lengths[3] = {strlen("__kernel void f"), 0, strlen("5; }")};
    cl_int err;
    cl_program p = clCreateProgramWithSource(t->ctx, 3, pieces, lengths, &err);
    OK(err);
    OK(clBuildProgram(p, t->n_devices, t->dev, NULL, NULL, NULL));
    CHECK_EQ(run_on(t, 0, p, "f"), 5);
    char source[128];
    size_t size = 0;
    OK(clGetProgramInfo(p, CL_PROGRAM_SOURCE, sizeof source, source, &size));
    CHECK(!strcmp(source, "__kernel void f(__global int *p) { p[0] = 5; }"));
    CHECK_EQ(size, strlen(source) + 1);
    OK(clReleaseProgram(p));
}

/* A program of nothing is one, without kernels. */
void program__empty_source(struct cltest *t) {
    cl_program p = from_source(t, "");
    char source[8] = "before";
    size_t kernels = 99;
    OK(clBuildProgram(p, 0, NULL, "", NULL, NULL));
    OK(clGetProgramInfo(p, CL_PROGRAM_SOURCE, sizeof source, source, NULL));
    CHECK(!strcmp(source, ""));
    OK(clGetProgramInfo(p, CL_PROGRAM_NUM_KERNELS, sizeof kernels, &kernels, NULL));
    CHECK_EQ(kernels, 0);
    OK(clReleaseProgram(p));
}

void program__info(struct cltest *t) {
    cl_program p = from_source(t, "__kernel void one(__global int *p) { p[0] = 1; }\n"
                                  "__kernel void two(__global int *p) { p[0] = 2; }\n");
    cl_build_status status = 99;
    OK(clGetProgramBuildInfo(p, t->dev[0], CL_PROGRAM_BUILD_STATUS, sizeof status, &status, NULL));
    CHECK_EQ(status, CL_BUILD_NONE);
    OK(clBuildProgram(p, 0, NULL, "", NULL, NULL));
    cl_uint n = 0;
    cl_context ctx = NULL;
    cl_device_id dev[CLTEST_MAX_DEVICES];
    size_t kernels = 0, size = 0;
    char names[64] = "";
    OK(clGetProgramInfo(p, CL_PROGRAM_NUM_DEVICES, sizeof n, &n, NULL));
    CHECK_EQ(n, t->n_devices);
    OK(clGetProgramInfo(p, CL_PROGRAM_DEVICES, sizeof dev, dev, &size));
    CHECK_EQ(size, n * sizeof *dev);
    for (cl_uint i = 0; i < n; i++) CHECK(dev[i] == t->dev[i]);
    OK(clGetProgramInfo(p, CL_PROGRAM_CONTEXT, sizeof ctx, &ctx, NULL));
    CHECK(ctx == t->ctx);
    OK(clGetProgramInfo(p, CL_PROGRAM_NUM_KERNELS, sizeof kernels, &kernels, NULL));
    CHECK_EQ(kernels, 2);
    OK(clGetProgramInfo(p, CL_PROGRAM_KERNEL_NAMES, sizeof names, names, NULL));
    CHECK(!strcmp(names, "one;two") || !strcmp(names, "two;one"));
    for (unsigned d = 0; d < t->n_devices; d++) {
        OK(clGetProgramBuildInfo(p, t->dev[d], CL_PROGRAM_BUILD_STATUS, sizeof status, &status, NULL));
        CHECK_EQ(status, CL_BUILD_SUCCESS);
    }
    cl_kernel both[4];
    OK(clCreateKernelsInProgram(p, 4, both, &n));
    CHECK_EQ(n, 2);
    for (cl_uint i = 0; i < n; i++) OK(clReleaseKernel(both[i]));
    OK(clReleaseProgram(p));
}

void program__binary(struct cltest *t) {
    cl_program p = from_source(t, "__kernel void f(__global int *p) { p[0] = 77; }");
    size_t size[CLTEST_MAX_DEVICES] = {0};
    unsigned char *bin[CLTEST_MAX_DEVICES] = {NULL};
    OK(clBuildProgram(p, 0, NULL, "", NULL, NULL));
    OK(clGetProgramInfo(p, CL_PROGRAM_BINARY_SIZES, sizeof size, size, NULL));
    for (unsigned d = 0; d < t->n_devices; d++) {
        CHECK(size[d] > 0);
        bin[d] = malloc(size[d]);
    }
    OK(clGetProgramInfo(p, CL_PROGRAM_BINARIES, sizeof bin, bin, NULL));
    OK(clReleaseProgram(p));

    cl_int status[CLTEST_MAX_DEVICES], err;
    p = clCreateProgramWithBinary(t->ctx, t->n_devices, t->dev, size, (const unsigned char **)bin, status,
                                  &err);
    OK(err);
    for (unsigned d = 0; d < t->n_devices; d++) {
        CHECK_EQ(status[d], CL_SUCCESS);
        free(bin[d]);
    }
    OK(clBuildProgram(p, t->n_devices, t->dev, "", NULL, NULL));
    for (unsigned d = 0; d < t->n_devices; d++) CHECK_EQ(run_on(t, d, p, "f"), 77);
    OK(clReleaseProgram(p));
}

struct built {
    pthread_mutex_t lock;
    pthread_cond_t change;
    cl_program program;
};

static void CL_CALLBACK on_built(cl_program p, void *arg) {
    struct built *b = arg;
    pthread_mutex_lock(&b->lock);
    b->program = p;
    pthread_cond_signal(&b->change);
    pthread_mutex_unlock(&b->lock);
}

void program__build_callback(struct cltest *t) {
    struct built b = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL};
    cl_program p = from_source(t, "__kernel void f(__global int *p) { p[0] = 6; }");
    OK(clBuildProgram(p, t->n_devices, t->dev, "", on_built, &b));
    pthread_mutex_lock(&b.lock);
    while (!b.program) pthread_cond_wait(&b.change, &b.lock);
    pthread_mutex_unlock(&b.lock);
    CHECK(b.program == p);
    CHECK_EQ(run_on(t, t->other, p, "f"), 6);
    OK(clReleaseProgram(p));
}

static void log_of(cl_program p, cl_device_id d, char *log, size_t size) {
    size_t needed = 0;
    OK(clGetProgramBuildInfo(p, d, CL_PROGRAM_BUILD_LOG, 0, NULL, &needed));
    CHECK(needed > 1 && needed <= size);
    OK(clGetProgramBuildInfo(p, d, CL_PROGRAM_BUILD_LOG, size, log, NULL));
}

/* The log of a failed build names what is wrong, on every device. */
void program__build_log(struct cltest *t) {
    static char log[1 << 16];
    cl_program p = from_source(t, "__kernel void f(__global int *p) { p[0] = no_such_name; }");
    cl_build_status status = 99;
    CHECK_EQ(clBuildProgram(p, t->n_devices, t->dev, "", NULL, NULL), CL_BUILD_PROGRAM_FAILURE);
    OK(clGetProgramBuildInfo(p, t->dev[0], CL_PROGRAM_BUILD_STATUS, sizeof status, &status, NULL));
    CHECK_EQ(status, CL_BUILD_ERROR);
    log_of(p, t->dev[0], log, sizeof log);
    CHECK(strstr(log, "no_such_name"));
    OK(clReleaseProgram(p));
}

void program__rebuild_after_failure(struct cltest *t) {
    cl_program p = from_source(
        t, "#ifdef GOOD\n__kernel void f(__global int *p) { p[0] = 3; }\n#else\n#error no\n#endif\n");
    CHECK_EQ(clBuildProgram(p, 0, NULL, "", NULL, NULL), CL_BUILD_PROGRAM_FAILURE);
    OK(clBuildProgram(p, 0, NULL, "-DGOOD", NULL, NULL));
    CHECK_EQ(run_on(t, 0, p, "f"), 3);
    OK(clReleaseProgram(p));
}
