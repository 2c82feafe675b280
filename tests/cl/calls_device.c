/* Sub-devices and clocks. */
#include "calls.h"
#include <string.h>
#include <time.h>

static bool can(struct cltest *t, cl_device_partition_property how) {
    cl_device_partition_property able[8] = {0};
    size_t size = 0;
    if (clGetDeviceInfo(t->dev[0], CL_DEVICE_PARTITION_PROPERTIES, sizeof able, able, &size)) return false;
    for (size_t i = 0; i < size / sizeof *able; i++)
        if (able[i] == how) return true;
    return false;
}

/* Parts of one compute unit each, at most four of them. */
static cl_uint split(struct cltest *t, cl_device_id parts[4]) {
    const cl_device_partition_property by_counts[] = {CL_DEVICE_PARTITION_BY_COUNTS, 1, 1,
                                                      CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
    cl_uint n = 0;
    if (!can(t, CL_DEVICE_PARTITION_BY_COUNTS) || calls_number(t->dev[0], CL_DEVICE_MAX_COMPUTE_UNITS) < 2)
        return 0;
    OK(clCreateSubDevices(t->dev[0], by_counts, 0, NULL, &n));
    CHECK_EQ(n, 2);
    OK(clCreateSubDevices(t->dev[0], by_counts, 4, parts, NULL));
    return n;
}

void calls__sub_devices(struct cltest *t) {
    cl_device_id parts[4], parent = NULL;
    cl_uint n = split(t, parts), units = 0;
    char name[256] = "", whole[256] = "";
    cl_int err = 99;
    if (!n) return cltest_note("not partitioned by counts");
    OK(clGetDeviceInfo(parts[0], CL_DEVICE_PARENT_DEVICE, sizeof(cl_device_id), &parent, NULL));
    CHECK(parent == t->dev[0]);
    OK(clGetDeviceInfo(parts[0], CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL));
    CHECK_EQ(units, 1);
    OK(clGetDeviceInfo(parts[0], CL_DEVICE_NAME, sizeof name, name, NULL));
    OK(clGetDeviceInfo(t->dev[0], CL_DEVICE_NAME, sizeof whole, whole, NULL));
    CHECK(!strcmp(name, whole));
    cl_device_partition_property type[8] = {0};
    OK(clGetDeviceInfo(parts[1], CL_DEVICE_PARTITION_TYPE, sizeof type, type, NULL));
    CHECK_EQ(type[0], CL_DEVICE_PARTITION_BY_COUNTS);
    cl_context c = clCreateContext(NULL, n, parts, NULL, NULL, &err);
    OK(err);
    const char *text = "__kernel void f(__global int *p) { p[0] = 31; }";
    cl_program p = clCreateProgramWithSource(c, 1, &text, NULL, &err);
    OK(err);
    OK(clBuildProgram(p, n, parts, "", NULL, NULL));
    for (cl_uint i = 0; i < n; i++) {
        cl_command_queue q = clCreateCommandQueueWithProperties(c, parts[i], NULL, &err);
        OK(err);
        CHECK_EQ(calls_run(c, q, p, "f"), 31);
        OK(clReleaseCommandQueue(q));
    }
    OK(clReleaseProgram(p));
    OK(clReleaseContext(c));
    /* PoCL 3.1 tells the end of a command before it lets go of it, and looks at the device then. */
    if (calls_fragile(t)) return;
    for (cl_uint i = 0; i < n; i++) OK(clReleaseDevice(parts[i]));
}

void calls__sub_device_errors(struct cltest *t) {
    const cl_device_partition_property unknown[] = {0x7777, 1, 0},
                                       equally[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0},
                                       too_many[] = {CL_DEVICE_PARTITION_BY_COUNTS, 1 << 20,
                                                     CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
    cl_device_id one[1];
    cl_uint n = 0;
    CHECK_EQ(clCreateSubDevices(NULL, equally, 0, NULL, &n), CL_INVALID_DEVICE);
    CHECK_EQ(clCreateSubDevices(t->dev[0], unknown, 0, NULL, &n), CL_INVALID_VALUE);
    CHECK_EQ(clCreateSubDevices(t->dev[0], NULL, 0, NULL, &n), CL_INVALID_VALUE);
    if (can(t, CL_DEVICE_PARTITION_BY_COUNTS)) {
        cl_int rc = clCreateSubDevices(t->dev[0], too_many, 1, one, &n);
        CHECK(rc == CL_INVALID_DEVICE_PARTITION_COUNT || rc == CL_DEVICE_PARTITION_FAILED);
    }
    if (!can(t, CL_DEVICE_PARTITION_EQUALLY) || calls_number(t->dev[0], CL_DEVICE_MAX_COMPUTE_UNITS) < 2)
        return;
    OK(clCreateSubDevices(t->dev[0], equally, 0, NULL, &n));
    CHECK_EQ(n, calls_number(t->dev[0], CL_DEVICE_MAX_COMPUTE_UNITS));
    CHECK_EQ(clCreateSubDevices(t->dev[0], equally, 1, one, NULL), CL_INVALID_VALUE);
}

/* A context keeps its devices; a root device's count does not matter. */
void calls__sub_device_lifetime(struct cltest *t) {
    cl_device_id parts[4];
    cl_uint n = split(t, parts), refs = 0;
    cl_int err = 99;
    OK(clRetainDevice(t->dev[0]));
    OK(clReleaseDevice(t->dev[0]));
    OK(clReleaseDevice(t->dev[0]));
    if (!n) return;
    OK(clRetainDevice(parts[0]));
    OK(clGetDeviceInfo(parts[0], CL_DEVICE_REFERENCE_COUNT, sizeof refs, &refs, NULL));
    CHECK_EQ(refs, 2);
    OK(clReleaseDevice(parts[0]));
    cl_context c = clCreateContext(NULL, 1, parts, NULL, NULL, &err);
    OK(err);
    cl_command_queue q = clCreateCommandQueueWithProperties(c, parts[0], NULL, &err);
    OK(err);
    for (cl_uint i = 0; i < n; i++) OK(clReleaseDevice(parts[i]));
    OK(clFinish(q));
    OK(clReleaseCommandQueue(q));
    OK(clReleaseContext(c));
}

static cl_ulong now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (cl_ulong)t.tv_sec * 1000000000 + (cl_ulong)t.tv_nsec;
}

/* The times of all devices are of one clock, this machine's: what ran between two looks at it says so. */
void calls__profiling_clock(struct cltest *t) {
    static const cl_profiling_info what[4] = {CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT,
                                              CL_PROFILING_COMMAND_START, CL_PROFILING_COMMAND_END};
    if (calls_fragile(t)) return; /* the driver's own */
    cl_kernel k = cltest_kernel(t, "noop");
    for (unsigned d = 0; d < t->n_devices; d++) {
        for (int round = 0; round < 3; round++) {
            cl_event e;
            cl_ulong before = now_ns(), at[4];
            cltest_launch(t->queue[d], k, 1, 0, NULL, &e);
            OK(clWaitForEvents(1, &e));
            cl_ulong after = now_ns();
            for (int i = 0; i < 4; i++) OK(clGetEventProfilingInfo(e, what[i], sizeof *at, &at[i], NULL));
            OK(clReleaseEvent(e));
            /* A driver's clock that is not the machine's is known to about the time of an enqueue call. */
            const cl_ulong slack = 50000000;
            CHECK(at[0] + slack >= before && at[0] <= at[1] && at[1] <= at[2] && at[2] <= at[3]);
            CHECK(at[3] <= after + slack);
        }
    }
    OK(clReleaseKernel(k));
}

void calls__timers(struct cltest *t) {
    cl_ulong device = 0, host = 0, resolution = 0;
    OK(clGetPlatformInfo(t->platform, CL_PLATFORM_HOST_TIMER_RESOLUTION, sizeof resolution, &resolution,
                         NULL));
    cl_int rc = clGetDeviceAndHostTimer(t->dev[0], &device, &host);
    CHECK_EQ(rc, resolution ? CL_SUCCESS : CL_INVALID_OPERATION);
    CHECK_EQ(clGetHostTimer(t->dev[0], &host), resolution ? CL_SUCCESS : CL_INVALID_OPERATION);
    CHECK_EQ(clGetDeviceAndHostTimer(NULL, &device, &host), CL_INVALID_DEVICE);
}

/* Functions of extensions are those of the platform. */
void calls__extension_functions(struct cltest *t) {
    typedef cl_int retain_fn(cl_device_id);
    CHECK(!clGetExtensionFunctionAddressForPlatform(t->platform, "clNoSuchFunctionKHR"));
    if (calls_fragile(t)) return;
    static const char *const there[] = {"clCreateCommandQueueWithPropertiesKHR", "clCreateProgramWithILKHR",
                                        "clGetKernelSubGroupInfoKHR", "clReleaseDeviceEXT"};
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        CHECK(clGetExtensionFunctionAddressForPlatform(t->platform, there[i]));
    retain_fn *retain =
        (retain_fn *)clGetExtensionFunctionAddressForPlatform(t->platform, "clRetainDeviceEXT");
    OK(retain(t->dev[0]));
    CHECK_EQ(retain(NULL), CL_INVALID_DEVICE);
}
