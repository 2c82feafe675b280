/* Programs in parts, of built-in kernels and intermediate languages; kernels' clones and sub-groups. */
#include "calls.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static cl_program from_source(struct cltest *t, const char *text) {
    cl_int err;
    cl_program p = clCreateProgramWithSource(t->ctx, 1, &text, NULL, &err);
    OK(err);
    return p;
}

static const char user[] = "#include \"values.h\"\n#include \"dir/more.h\"\nint twice(int x);\n"
                           "__kernel void f(__global int *p) { p[0] = twice(VALUE) + MORE; }\n";
static const char helper[] = "int twice(int x) { return 2 * x; }\n";

static cl_program_binary_type type_of(cl_program p, cl_device_id d) {
    cl_program_binary_type type = 99;
    OK(clGetProgramBuildInfo(p, d, CL_PROGRAM_BINARY_TYPE, sizeof type, &type, NULL));
    return type;
}

/* Two programs, the first with two headers, compiled for all devices. */
static void compile_both(struct cltest *t, cl_program out[2]) {
    cl_program headers[2] = {from_source(t, "#define VALUE 20\n"), from_source(t, "#define MORE EXTRA\n")};
    const char *names[2] = {"values.h", "dir/more.h"};
    out[0] = from_source(t, user);
    out[1] = from_source(t, helper);
    OK(clCompileProgram(out[0], 0, NULL, "-DEXTRA=2", 2, headers, names, NULL, NULL));
    OK(clCompileProgram(out[1], t->n_devices, t->dev, NULL, 0, NULL, NULL, NULL, NULL));
    for (int i = 0; i < 2; i++) OK(clReleaseProgram(headers[i]));
}

void calls__compile_and_link(struct cltest *t) {
    cl_program parts[2];
    cl_int err = 99;
    char options[64] = "";
    size_t count = 0;
    compile_both(t, parts);
    CHECK_EQ(type_of(parts[0], t->dev[0]), CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT);
    OK(clGetProgramBuildInfo(parts[0], t->dev[0], CL_PROGRAM_BUILD_OPTIONS, sizeof options, options, NULL));
    CHECK(!strcmp(options, "-DEXTRA=2"));
    clCreateKernel(parts[0], "f", &err);
    if (err != CL_INVALID_PROGRAM_EXECUTABLE)
        cltest_deviation("a compiled program is taken for an executable");
    CHECK(err != CL_SUCCESS);
    cl_program p = clLinkProgram(t->ctx, 0, NULL, "", 2, parts, NULL, NULL, &err);
    OK(err);
    for (int i = 0; i < 2; i++) OK(clReleaseProgram(parts[i]));
    CHECK_EQ(type_of(p, t->dev[0]), CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
    OK(clGetProgramInfo(p, CL_PROGRAM_NUM_KERNELS, sizeof count, &count, NULL));
    CHECK_EQ(count, 1);
    for (unsigned d = 0; d < t->n_devices; d++) CHECK_EQ(calls_run(t->ctx, t->queue[d], p, "f"), 42);
    OK(clReleaseProgram(p));
}

void calls__link_library(struct cltest *t) {
    cl_program parts[2];
    cl_int err = 99;
    compile_both(t, parts);
    cl_program library = clLinkProgram(t->ctx, 0, NULL, "-create-library", 1, &parts[1], NULL, NULL, &err);
    OK(err);
    CHECK_EQ(type_of(library, t->dev[0]), CL_PROGRAM_BINARY_TYPE_LIBRARY);
    cl_program both[2] = {parts[0], library};
    cl_program p = clLinkProgram(t->ctx, 0, NULL, NULL, 2, both, NULL, NULL, &err);
    OK(err);
    CHECK_EQ(calls_run(t->ctx, t->queue[t->other], p, "f"), 42);
    for (int i = 0; i < 2; i++) OK(clReleaseProgram(parts[i]));
    OK(clReleaseProgram(library));
    OK(clReleaseProgram(p));
}

void calls__link_for_one_device(struct cltest *t) {
    cl_program parts[2];
    cl_int err = 99;
    cl_uint n = 0;
    if (calls_fragile(t)) return;
    compile_both(t, parts);
    cl_program p = clLinkProgram(t->ctx, 1, &t->dev[t->other], NULL, 2, parts, NULL, NULL, &err);
    OK(err);
    OK(clGetProgramInfo(p, CL_PROGRAM_NUM_DEVICES, sizeof n, &n, NULL));
    CHECK_EQ(n, 1);
    CHECK_EQ(calls_run(t->ctx, t->queue[t->other], p, "f"), 42);
    for (int i = 0; i < 2; i++) OK(clReleaseProgram(parts[i]));
    OK(clReleaseProgram(p));
}

void calls__compile_errors(struct cltest *t) {
    const char *name = "values.h", *none = NULL;
    cl_int err = 99;
    if (calls_fragile(t)) return;
    cl_program p = from_source(t, user), header = from_source(t, "#define VALUE 1\n");
    CHECK_EQ(clCompileProgram(p, 0, NULL, "", 1, &header, NULL, NULL, NULL), CL_INVALID_VALUE);
    CHECK_EQ(clCompileProgram(p, 0, NULL, "", 0, &header, &name, NULL, NULL), CL_INVALID_VALUE);
    CHECK_EQ(clCompileProgram(p, 1, NULL, "", 0, NULL, NULL, NULL, NULL), CL_INVALID_VALUE);
    CHECK_EQ(clCompileProgram(p, 0, NULL, "", 0, NULL, NULL, NULL, t), CL_INVALID_VALUE);
    CHECK_EQ(clCompileProgram(NULL, 0, NULL, "", 0, NULL, NULL, NULL, NULL), CL_INVALID_PROGRAM);
    /* The second header is missing. */
    CHECK_EQ(clCompileProgram(p, 0, NULL, "", 1, &header, &name, NULL, NULL), CL_COMPILE_PROGRAM_FAILURE);
    cl_build_status status = 99;
    OK(clGetProgramBuildInfo(p, t->dev[0], CL_PROGRAM_BUILD_STATUS, sizeof status, &status, NULL));
    CHECK_EQ(status, CL_BUILD_ERROR);
    static char log[1 << 16];
    OK(clGetProgramBuildInfo(p, t->dev[0], CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL));
    CHECK(strstr(log, "more.h"));
    clLinkProgram(t->ctx, 0, NULL, "", 0, NULL, NULL, NULL, &err);
    CHECK_EQ(err, CL_INVALID_VALUE);
    clLinkProgram(t->ctx, 0, NULL, "", 1, (cl_program *)&none, NULL, NULL, &err);
    CHECK_EQ(err, CL_INVALID_PROGRAM);
    clLinkProgram(t->ctx, 0, NULL, "", 1, &header, NULL, NULL, &err); /* never compiled */
    CHECK_EQ(err, CL_INVALID_OPERATION);
    clLinkProgram(NULL, 0, NULL, "", 1, &header, NULL, NULL, &err);
    CHECK_EQ(err, CL_INVALID_CONTEXT);
    OK(clReleaseProgram(header));
    OK(clReleaseProgram(p));
}

struct linked {
    pthread_mutex_t lock;
    pthread_cond_t change;
    cl_program program;
};

static void CL_CALLBACK on_linked(cl_program p, void *arg) {
    struct linked *l = arg;
    pthread_mutex_lock(&l->lock);
    l->program = p;
    pthread_cond_signal(&l->change);
    pthread_mutex_unlock(&l->lock);
}

void calls__link_callback(struct cltest *t) {
    struct linked l = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL};
    cl_program parts[2];
    cl_int err = 99;
    compile_both(t, parts);
    cl_program p = clLinkProgram(t->ctx, 0, NULL, NULL, 2, parts, on_linked, &l, &err);
    OK(err);
    pthread_mutex_lock(&l.lock);
    while (!l.program) pthread_cond_wait(&l.change, &l.lock);
    pthread_mutex_unlock(&l.lock);
    CHECK(l.program == p);
    CHECK_EQ(calls_run(t->ctx, t->queue[0], p, "f"), 42);
    for (int i = 0; i < 2; i++) OK(clReleaseProgram(parts[i]));
    OK(clReleaseProgram(p));
}

/* The binaries of p for its `count` devices, as a program. */
static cl_program through_binaries(struct cltest *t, cl_program p, cl_uint count,
                                   const cl_device_id *devices) {
    size_t size[CLTEST_MAX_DEVICES] = {0};
    unsigned char *bin[CLTEST_MAX_DEVICES] = {NULL};
    cl_int status[CLTEST_MAX_DEVICES], err = 99;
    OK(clGetProgramInfo(p, CL_PROGRAM_BINARY_SIZES, sizeof size, size, NULL));
    for (cl_uint d = 0; d < count; d++) {
        CHECK(size[d] > 0);
        bin[d] = malloc(size[d]);
    }
    OK(clGetProgramInfo(p, CL_PROGRAM_BINARIES, sizeof bin, bin, NULL));
    cl_program q =
        clCreateProgramWithBinary(t->ctx, count, devices, size, (const unsigned char **)bin, status, &err);
    OK(err);
    for (cl_uint d = 0; d < count; d++) free(bin[d]);
    return q;
}

void calls__linked_binary(struct cltest *t) {
    cl_program parts[2], again[2];
    cl_int err = 99;
    compile_both(t, parts);
    for (int i = 0; i < 2; i++) again[i] = through_binaries(t, parts[i], t->n_devices, t->dev);
    cl_program p = clLinkProgram(t->ctx, 0, NULL, "", 2, again, NULL, NULL, &err);
    OK(err);
    cl_program last = through_binaries(t, p, t->n_devices, t->dev);
    OK(clBuildProgram(last, 0, NULL, "", NULL, NULL));
    for (unsigned d = 0; d < t->n_devices; d++) CHECK_EQ(calls_run(t->ctx, t->queue[d], last, "f"), 42);
    for (int i = 0; i < 2; i++) {
        OK(clReleaseProgram(parts[i]));
        OK(clReleaseProgram(again[i]));
    }
    OK(clReleaseProgram(p));
    OK(clReleaseProgram(last));
}

/* A program that is for the last of the context's devices only: its one binary is that device's. */
void calls__binary_of_one_device(struct cltest *t) {
    cl_uint last = t->n_devices - 1;
    if (calls_fragile(t)) return;
    cl_program p = from_source(t, "__kernel void f(__global int *p) { p[0] = 5; }");
    OK(clBuildProgram(p, 1, &t->dev[last], "", NULL, NULL));
    size_t size[CLTEST_MAX_DEVICES] = {0};
    OK(clGetProgramInfo(p, CL_PROGRAM_BINARY_SIZES, sizeof size, size, NULL));
    if (!size[last]) { /* PoCL beside another device of its own */
        cltest_deviation("the binary of a program built for one of two devices is not told");
        OK(clReleaseProgram(p));
        return;
    }
    unsigned char *bin[CLTEST_MAX_DEVICES] = {NULL};
    bin[last] = malloc(size[last]);
    OK(clGetProgramInfo(p, CL_PROGRAM_BINARIES, sizeof bin, bin, NULL));
    cl_int status, err = 99;
    cl_program one = clCreateProgramWithBinary(t->ctx, 1, &t->dev[last], &size[last],
                                               (const unsigned char **)&bin[last], &status, &err);
    OK(err);
    free(bin[last]);
    OK(clBuildProgram(one, 0, NULL, "", NULL, NULL));
    cl_program again = through_binaries(t, one, 1, &t->dev[last]);
    OK(clBuildProgram(again, 0, NULL, "", NULL, NULL));
    CHECK_EQ(calls_run(t->ctx, t->queue[last], again, "f"), 5);
    OK(clReleaseProgram(p));
    OK(clReleaseProgram(one));
    OK(clReleaseProgram(again));
}

void calls__built_in_kernels(struct cltest *t) {
    char names[4096] = "";
    cl_int err = 99;
    OK(clGetDeviceInfo(t->dev[0], CL_DEVICE_BUILT_IN_KERNELS, sizeof names, names, NULL));
    clCreateProgramWithBuiltInKernels(t->ctx, 1, t->dev, "no_such_kernel_here", &err);
    CHECK_EQ(err, CL_INVALID_VALUE);
    clCreateProgramWithBuiltInKernels(t->ctx, 1, t->dev, NULL, &err);
    CHECK_EQ(err, CL_INVALID_VALUE);
    clCreateProgramWithBuiltInKernels(NULL, 1, t->dev, "x", &err);
    CHECK_EQ(err, CL_INVALID_CONTEXT);
    /* The first of the device's own. Debian's PoCL names some and cannot make them. */
    char *end = strchr(names, ';');
    if (end) *end = '\0';
    if (calls_fragile(t) || !names[0]) return;
    cl_program p = clCreateProgramWithBuiltInKernels(t->ctx, 1, t->dev, names, &err);
    OK(err);
    OK(clBuildProgram(p, 0, NULL, "", NULL, NULL));
    char told[4096] = "";
    cl_int rc = clGetProgramInfo(p, CL_PROGRAM_KERNEL_NAMES, sizeof told, told, NULL);
    CHECK(rc == CL_INVALID_PROGRAM_EXECUTABLE || !strcmp(told, names));
    cl_kernel k = clCreateKernel(p, names, &err);
    CHECK_EQ(err, rc);
    if (k) OK(clReleaseKernel(k));
    OK(clReleaseProgram(p));
}

void calls__intermediate_language(struct cltest *t) {
    static const unsigned char nonsense[20] = {1, 2, 3};
    char version[256] = "";
    cl_int err = 99, value = 1;
    clGetDeviceInfo(t->dev[0], CL_DEVICE_IL_VERSION, sizeof version, version, NULL);
    cltest_note("intermediate languages: '%s'", version);
    if (calls_fragile(t)) return;
    cl_program p = clCreateProgramWithIL(t->ctx, nonsense, sizeof nonsense, &err);
    CHECK_EQ(err, version[0] ? CL_INVALID_VALUE : CL_INVALID_OPERATION);
    CHECK(!p);
    clCreateProgramWithIL(NULL, nonsense, sizeof nonsense, &err);
    CHECK_EQ(err, CL_INVALID_CONTEXT);
    CHECK_EQ(clSetProgramSpecializationConstant(NULL, 0, sizeof value, &value), CL_INVALID_PROGRAM);
    size_t size = 99;
    OK(clGetProgramInfo(t->prog, CL_PROGRAM_IL, 0, NULL, &size));
    CHECK_EQ(size, 0);
}

static void CL_CALLBACK on_release(cl_program p, void *arg) {}

void calls__release_callback(struct cltest *t) {
    if (calls_fragile(t)) return;
    CHECK_EQ(clSetProgramReleaseCallback(NULL, on_release, NULL), CL_INVALID_PROGRAM);
    CHECK_EQ(clSetProgramReleaseCallback(t->prog, NULL, NULL), CL_INVALID_VALUE);
    cltest_note("a program's release callback: %s",
                clerror_name(clSetProgramReleaseCallback(t->prog, on_release, NULL)));
}

/* The copy has the arguments that the original had, and goes its own way after. */
void calls__clone_kernel(struct cltest *t) {
    int x = 1, one = 1, ten = 10;
    cl_int err = 99;
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof x, &x);
    cl_kernel k = cltest_kernel(t, "add");
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    OK(clSetKernelArg(k, 1, sizeof one, &one));
    cl_kernel copy = clCloneKernel(k, &err);
    OK(err);
    OK(clSetKernelArg(k, 1, sizeof ten, &ten));
    cltest_launch(t->queue[0], copy, 1, 0, NULL, NULL);
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL));
    CHECK_EQ(x, 2);
    cltest_launch(t->queue[0], k, 1, 0, NULL, NULL);
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL));
    CHECK_EQ(x, 12);
    clCloneKernel(NULL, &err);
    CHECK_EQ(err, CL_INVALID_KERNEL);
    OK(clReleaseKernel(copy));
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
}

void calls__sub_group_info(struct cltest *t) {
    size_t local[3] = {8, 1, 1}, answer = 99;
    cl_kernel k = cltest_kernel(t, "noop");
    cl_int rc = clGetKernelSubGroupInfo(k, t->dev[0], CL_KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE, sizeof local,
                                        local, sizeof answer, &answer, NULL);
    if (calls_number(t->dev[0], CL_DEVICE_MAX_NUM_SUB_GROUPS)) {
        CHECK_EQ(rc, CL_SUCCESS);
        CHECK(answer > 0);
    } else {
        CHECK_EQ(rc, CL_INVALID_OPERATION);
    }
    CHECK_EQ(clGetKernelSubGroupInfo(NULL, t->dev[0], CL_KERNEL_MAX_NUM_SUB_GROUPS, 0, NULL, sizeof answer,
                                     &answer, NULL),
             CL_INVALID_KERNEL);
    OK(clReleaseKernel(k));
}
