/* Handles that are NULL, released or of the wrong type, other calls that crash some implementations, and work
 * after all these errors. */
#include "errors.h"
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

void errors_null_handle(struct cltest *t) {
    char v[64];
    cl_int err = 0;
    expect("clGetDeviceInfo: NULL", clGetDeviceInfo(NULL, CL_DEVICE_NAME, 64, v, NULL), CL_INVALID_DEVICE);
    expect("clRetainContext: NULL", clRetainContext(NULL), CL_INVALID_CONTEXT);
    expect("clReleaseContext: NULL", clReleaseContext(NULL), CL_INVALID_CONTEXT);
    clCreateBuffer(NULL, 0, 64, NULL, &err);
    expect("clCreateBuffer: context NULL", err, CL_INVALID_CONTEXT);
    clCreateCommandQueue(NULL, t->dev[0], 0, &err);
    expect("clCreateCommandQueue: context NULL", err, CL_INVALID_CONTEXT);
    expect("clFinish: NULL", clFinish(NULL), CL_INVALID_COMMAND_QUEUE);
    expect("clReleaseCommandQueue: NULL", clReleaseCommandQueue(NULL), CL_INVALID_COMMAND_QUEUE);
    expect("clReleaseMemObject: NULL", clReleaseMemObject(NULL), CL_INVALID_MEM_OBJECT);
    expect("clEnqueueReadBuffer: buffer NULL",
           clEnqueueReadBuffer(t->queue[0], NULL, CL_TRUE, 0, 4, v, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
    clCreateKernel(NULL, "noop", &err);
    expect("clCreateKernel: program NULL", err, CL_INVALID_PROGRAM);
    expect("clSetKernelArg: kernel NULL", clSetKernelArg(NULL, 0, 4, v), CL_INVALID_KERNEL);
    expect("clReleaseEvent: NULL", clReleaseEvent(NULL), CL_INVALID_EVENT);
}

/* Each case returns what the last, wrong call gave. */
static cl_int released_buffer(struct cltest *t) {
    char v[64];
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    OK(clReleaseMemObject(m));
    return clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, 64, v, 0, NULL, NULL);
}
static cl_int released_buffer_twice(struct cltest *t) {
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    OK(clReleaseMemObject(m));
    return clReleaseMemObject(m);
}
static cl_int released_buffer_argument(struct cltest *t) {
    cl_kernel k = cltest_kernel(t, "add");
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    OK(clReleaseMemObject(m));
    return clSetKernelArg(k, 0, sizeof m, &m);
}
static cl_int released_queue(struct cltest *t) {
    cl_command_queue q = cltest_queue(t, 0, 0);
    OK(clReleaseCommandQueue(q));
    return clFinish(q);
}
static cl_int released_kernel(struct cltest *t) {
    size_t one = 1;
    cl_kernel k = cltest_kernel(t, "noop");
    OK(clReleaseKernel(k));
    return clEnqueueNDRangeKernel(t->queue[0], k, 1, NULL, &one, NULL, 0, NULL, NULL);
}
static cl_int released_program(struct cltest *t) {
    const char *text = "__kernel void f(void) {}";
    cl_int err;
    cl_program p = clCreateProgramWithSource(t->ctx, 1, &text, NULL, &err);
    OK(err);
    OK(clReleaseProgram(p));
    return clBuildProgram(p, 0, NULL, "", NULL, NULL);
}
static cl_int released_event(struct cltest *t) {
    cl_int err;
    cl_event e = clCreateUserEvent(t->ctx, &err);
    OK(err);
    OK(clSetUserEventStatus(e, CL_COMPLETE));
    OK(clReleaseEvent(e));
    return clWaitForEvents(1, &e);
}
static cl_int released_context(struct cltest *t) {
    cl_int err;
    cl_context c = clCreateContext(NULL, 1, t->dev, NULL, NULL, &err);
    OK(err);
    OK(clReleaseContext(c));
    clCreateBuffer(c, 0, 64, NULL, &err);
    return err;
}
static cl_int queue_as_buffer(struct cltest *t) {
    char v[64];
    return clEnqueueReadBuffer(t->queue[0], (cl_mem)t->queue[0], CL_TRUE, 0, 64, v, 0, NULL, NULL);
}
static cl_int context_as_kernel(struct cltest *t) { return clSetKernelArg((cl_kernel)t->ctx, 0, 4, "abc"); }
static cl_int queue_as_argument(struct cltest *t) {
    cl_kernel k = cltest_kernel(t, "add");
    return clSetKernelArg(k, 0, sizeof t->queue[0], &t->queue[0]);
}

static cl_int source_no_strings(struct cltest *t) {
    cl_int err = 0;
    clCreateProgramWithSource(t->ctx, 1, NULL, NULL, &err);
    return err;
}
static cl_int source_null_string(struct cltest *t) {
    const char *null = NULL;
    cl_int err = 0;
    clCreateProgramWithSource(t->ctx, 1, &null, NULL, &err);
    return err;
}
static cl_int range_local_zero(struct cltest *t) {
    size_t global = 8, local = 0;
    cl_kernel k = cltest_kernel(t, "noop");
    return clEnqueueNDRangeKernel(t->queue[0], k, 1, NULL, &global, &local, 0, NULL, NULL);
}
static cl_int range_offset_overflow(struct cltest *t) {
    size_t global = 8, offset = SIZE_MAX;
    cl_kernel k = cltest_kernel(t, "noop");
    return clEnqueueNDRangeKernel(t->queue[0], k, 1, &offset, &global, NULL, 0, NULL, NULL);
}
static cl_int kernel_null(struct cltest *t) {
    size_t one = 1;
    return clEnqueueNDRangeKernel(t->queue[0], NULL, 1, NULL, &one, NULL, 0, NULL, NULL);
}
static cl_int wait_for_null(struct cltest *t) {
    cl_event none = NULL;
    return clWaitForEvents(1, &none);
}
static cl_int wait_list_null_event(struct cltest *t) {
    cl_event none = NULL;
    return clEnqueueMarkerWithWaitList(t->queue[0], 1, &none, NULL);
}
static cl_int range_wait_list(struct cltest *t, cl_uint count, const cl_event *list) {
    size_t one = 1;
    cl_kernel k = cltest_kernel(t, "noop");
    return clEnqueueNDRangeKernel(t->queue[0], k, 1, NULL, &one, NULL, count, list, NULL);
}
static cl_int range_wait_list_missing(struct cltest *t) { return range_wait_list(t, 1, NULL); }
static cl_int range_wait_list_uncounted(struct cltest *t) {
    cl_event none = NULL;
    return range_wait_list(t, 0, &none);
}

static const struct {
    const char *name;
    cl_int (*run)(struct cltest *t);
    cl_int want;
} risky_cases[] = {
    {"released-buffer", released_buffer, CL_INVALID_MEM_OBJECT},
    {"released-buffer-twice", released_buffer_twice, CL_INVALID_MEM_OBJECT},
    {"released-buffer-argument", released_buffer_argument, CL_INVALID_MEM_OBJECT},
    {"released-queue", released_queue, CL_INVALID_COMMAND_QUEUE},
    {"released-kernel", released_kernel, CL_INVALID_KERNEL},
    {"released-program", released_program, CL_INVALID_PROGRAM},
    {"released-event", released_event, CL_INVALID_EVENT},
    {"released-context", released_context, CL_INVALID_CONTEXT},
    {"queue-as-buffer", queue_as_buffer, CL_INVALID_MEM_OBJECT},
    {"context-as-kernel", context_as_kernel, CL_INVALID_KERNEL},
    {"queue-as-argument", queue_as_argument, CL_INVALID_MEM_OBJECT},
    {"source-no-strings", source_no_strings, CL_INVALID_VALUE},
    {"source-null-string", source_null_string, CL_INVALID_VALUE},
    {"range-local-size-0", range_local_zero, CL_INVALID_WORK_GROUP_SIZE},
    {"wait-list-null-event", wait_list_null_event, CL_INVALID_EVENT_WAIT_LIST},
    {"range-wait-list-missing", range_wait_list_missing, CL_INVALID_EVENT_WAIT_LIST},
    {"range-wait-list-uncounted", range_wait_list_uncounted, CL_INVALID_EVENT_WAIT_LIST},
    {"kernel-null", kernel_null, CL_INVALID_KERNEL},
    {"wait-for-null", wait_for_null, CL_INVALID_EVENT},
    {"range-offset-overflow", range_offset_overflow, CL_INVALID_GLOBAL_OFFSET},
};
enum { N_RISKY = sizeof risky_cases / sizeof *risky_cases, STATUS_BASE = 100 };

int risky_run(struct cltest *t, const char *name) {
    for (int i = 0; i < N_RISKY; i++) {
        if (strcmp(risky_cases[i].name, name)) continue;
        fflush(stdout);
        _exit(STATUS_BASE - risky_cases[i].run(t)); /* without cleaning up what may be broken */
    }
    return 2;
}

/* Runs one case in a process of its own and returns its code; CL_DEVICE_NOT_AVAILABLE stands for a crash. */
static cl_int code_of_child(const char *name) {
    char *argv[] = {"clerrors", "--risky", (char *)name, NULL};
    posix_spawn_file_actions_t quiet;
    pid_t pid;
    int status = 0;
    CHECK(!posix_spawn_file_actions_init(&quiet));
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    CHECK(!posix_spawn(&pid, "/proc/self/exe", &quiet, NULL, argv, environ));
    posix_spawn_file_actions_destroy(&quiet);
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) < STATUS_BASE) return CL_DEVICE_NOT_AVAILABLE;
    return STATUS_BASE - WEXITSTATUS(status);
}

/* The specification leaves open what becomes of a freed handle, and drivers crash on it: that is a deviation,
 * and a failure only when strict. */
void errors_risky(struct cltest *t) {
    for (int i = 0; i < N_RISKY; i++) {
        cl_int got = code_of_child(risky_cases[i].name);
        char label[100];
        snprintf(label, sizeof label, "%s%s", risky_cases[i].name,
                 got == CL_DEVICE_NOT_AVAILABLE ? ": crashed" : "");
        expect_risky(label, got, risky_cases[i].want);
    }
}

void errors_after_errors(struct cltest *t) {
    int x = 1, v = 2;
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof x, &x);
    cl_kernel k = cltest_kernel(t, "add");
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    OK(clSetKernelArg(k, 1, sizeof v, &v));
    CHECK_EQ(clSetKernelArg(k, 1, 1, &v), CL_INVALID_ARG_SIZE); /* leaves the good value in place */
    cltest_launch(t->queue[0], k, 1, 0, NULL, NULL);
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL));
    CHECK_EQ(x, 3);
    OK(clReleaseKernel(k));
    OK(clReleaseMemObject(m));
}
