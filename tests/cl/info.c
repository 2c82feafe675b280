/* Queries: every parameter of OpenCL 1.2 answers, with the size it says. */
#include "func.h"
#include <stdlib.h>
#include <string.h>

/* A query in one shape for all objects. */
typedef cl_int (*query_fn)(void *object, cl_uint what, size_t size, void *value, size_t *needed);

static cl_int q_platform(void *o, cl_uint w, size_t s, void *v, size_t *n) {
    return clGetPlatformInfo(o, w, s, v, n);
}
static cl_int q_device(void *o, cl_uint w, size_t s, void *v, size_t *n) {
    return clGetDeviceInfo(o, w, s, v, n);
}
static cl_int q_context(void *o, cl_uint w, size_t s, void *v, size_t *n) {
    return clGetContextInfo(o, w, s, v, n);
}
static cl_int q_queue(void *o, cl_uint w, size_t s, void *v, size_t *n) {
    return clGetCommandQueueInfo(o, w, s, v, n);
}
static cl_int q_mem(void *o, cl_uint w, size_t s, void *v, size_t *n) {
    return clGetMemObjectInfo(o, w, s, v, n);
}
static cl_int q_kernel(void *o, cl_uint w, size_t s, void *v, size_t *n) {
    return clGetKernelInfo(o, w, s, v, n);
}
static cl_int q_event(void *o, cl_uint w, size_t s, void *v, size_t *n) {
    return clGetEventInfo(o, w, s, v, n);
}

struct param {
    const char *name;
    cl_uint what;
    size_t size; /* 0: a text or a list */
};
#define P(what, type)                                                                                        \
    { #what, what, sizeof(type) }
#define TEXT(what)                                                                                           \
    { #what, what, 0 }

/* Asks with no memory, with exactly enough and with too little. */
static void check_params(query_fn ask, void *object, const struct param *p, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t needed = 12345, again = 0;
        cl_int err = ask(object, p[i].what, 0, NULL, &needed);
        if (err) cltest_fail(__FILE__, __LINE__, "%s: %s", p[i].name, clerror_name(err));
        if (p[i].size && needed != p[i].size)
            cltest_fail(__FILE__, __LINE__, "%s: size %zu, must be %zu", p[i].name, needed, p[i].size);
        if (!needed) continue; /* an empty list */
        char *value = malloc(needed + 8);
        memset(value, 0x7e, needed + 8);
        err = ask(object, p[i].what, needed, value, &again);
        if (err || again != needed)
            cltest_fail(__FILE__, __LINE__, "%s: %s, size %zu then %zu", p[i].name, clerror_name(err), needed,
                        again);
        for (int k = 0; k < 8; k++)
            if (value[needed + (size_t)k] != 0x7e)
                cltest_fail(__FILE__, __LINE__, "%s: writes too far", p[i].name);
        err = ask(object, p[i].what, needed - 1, value, NULL);
        if (err != CL_INVALID_VALUE)
            cltest_fail(__FILE__, __LINE__, "%s with too small a size: %s", p[i].name, clerror_name(err));
        free(value);
    }
}
#define CHECK_PARAMS(ask, object, list) check_params(ask, object, list, sizeof list / sizeof *list)

void info__platform(struct cltest *t) {
    static const struct param list[] = {TEXT(CL_PLATFORM_PROFILE), TEXT(CL_PLATFORM_VERSION),
                                        TEXT(CL_PLATFORM_NAME), TEXT(CL_PLATFORM_VENDOR),
                                        TEXT(CL_PLATFORM_EXTENSIONS)};
    CHECK_PARAMS(q_platform, t->platform, list);
    char text[4096];
    OK(clGetPlatformInfo(t->platform, CL_PLATFORM_VERSION, sizeof text, text, NULL));
    CHECK(!strncmp(text, "OpenCL ", 7));
    OK(clGetPlatformInfo(t->platform, CL_PLATFORM_EXTENSIONS, sizeof text, text, NULL));
    CHECK(strstr(text, "cl_khr_icd"));
    cl_uint n = 0;
    OK(clGetDeviceIDs(t->platform, CL_DEVICE_TYPE_ALL, 0, NULL, &n));
    CHECK(n >= t->n_devices);
    CHECK_EQ(clGetPlatformInfo(t->platform, 0x7777, sizeof text, text, NULL), CL_INVALID_VALUE);
}

static const struct param device_list[] = {
    P(CL_DEVICE_TYPE, cl_device_type),
    P(CL_DEVICE_VENDOR_ID, cl_uint),
    P(CL_DEVICE_MAX_COMPUTE_UNITS, cl_uint),
    P(CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, cl_uint),
    TEXT(CL_DEVICE_MAX_WORK_ITEM_SIZES),
    P(CL_DEVICE_MAX_WORK_GROUP_SIZE, size_t),
    P(CL_DEVICE_PREFERRED_VECTOR_WIDTH_CHAR, cl_uint),
    P(CL_DEVICE_PREFERRED_VECTOR_WIDTH_SHORT, cl_uint),
    P(CL_DEVICE_PREFERRED_VECTOR_WIDTH_INT, cl_uint),
    P(CL_DEVICE_PREFERRED_VECTOR_WIDTH_LONG, cl_uint),
    P(CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, cl_uint),
    P(CL_DEVICE_PREFERRED_VECTOR_WIDTH_DOUBLE, cl_uint),
    P(CL_DEVICE_PREFERRED_VECTOR_WIDTH_HALF, cl_uint),
    P(CL_DEVICE_NATIVE_VECTOR_WIDTH_CHAR, cl_uint),
    P(CL_DEVICE_NATIVE_VECTOR_WIDTH_SHORT, cl_uint),
    P(CL_DEVICE_NATIVE_VECTOR_WIDTH_INT, cl_uint),
    P(CL_DEVICE_NATIVE_VECTOR_WIDTH_LONG, cl_uint),
    P(CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, cl_uint),
    P(CL_DEVICE_NATIVE_VECTOR_WIDTH_DOUBLE, cl_uint),
    P(CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF, cl_uint),
    P(CL_DEVICE_MAX_CLOCK_FREQUENCY, cl_uint),
    P(CL_DEVICE_ADDRESS_BITS, cl_uint),
    P(CL_DEVICE_MAX_MEM_ALLOC_SIZE, cl_ulong),
    P(CL_DEVICE_IMAGE_SUPPORT, cl_bool),
    P(CL_DEVICE_MAX_READ_IMAGE_ARGS, cl_uint),
    P(CL_DEVICE_MAX_WRITE_IMAGE_ARGS, cl_uint),
    P(CL_DEVICE_IMAGE2D_MAX_WIDTH, size_t),
    P(CL_DEVICE_IMAGE2D_MAX_HEIGHT, size_t),
    P(CL_DEVICE_IMAGE3D_MAX_WIDTH, size_t),
    P(CL_DEVICE_IMAGE3D_MAX_HEIGHT, size_t),
    P(CL_DEVICE_IMAGE3D_MAX_DEPTH, size_t),
    P(CL_DEVICE_IMAGE_MAX_BUFFER_SIZE, size_t),
    P(CL_DEVICE_IMAGE_MAX_ARRAY_SIZE, size_t),
    P(CL_DEVICE_MAX_SAMPLERS, cl_uint),
    P(CL_DEVICE_MAX_PARAMETER_SIZE, size_t),
    P(CL_DEVICE_MEM_BASE_ADDR_ALIGN, cl_uint),
    P(CL_DEVICE_SINGLE_FP_CONFIG, cl_device_fp_config),
    P(CL_DEVICE_DOUBLE_FP_CONFIG, cl_device_fp_config),
    P(CL_DEVICE_GLOBAL_MEM_CACHE_TYPE, cl_uint),
    P(CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE, cl_uint),
    P(CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, cl_ulong),
    P(CL_DEVICE_GLOBAL_MEM_SIZE, cl_ulong),
    P(CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE, cl_ulong),
    P(CL_DEVICE_MAX_CONSTANT_ARGS, cl_uint),
    P(CL_DEVICE_LOCAL_MEM_TYPE, cl_uint),
    P(CL_DEVICE_LOCAL_MEM_SIZE, cl_ulong),
    P(CL_DEVICE_ERROR_CORRECTION_SUPPORT, cl_bool),
    P(CL_DEVICE_HOST_UNIFIED_MEMORY, cl_bool),
    P(CL_DEVICE_PROFILING_TIMER_RESOLUTION, size_t),
    P(CL_DEVICE_ENDIAN_LITTLE, cl_bool),
    P(CL_DEVICE_AVAILABLE, cl_bool),
    P(CL_DEVICE_COMPILER_AVAILABLE, cl_bool),
    P(CL_DEVICE_LINKER_AVAILABLE, cl_bool),
    P(CL_DEVICE_EXECUTION_CAPABILITIES, cl_device_exec_capabilities),
    P(CL_DEVICE_QUEUE_PROPERTIES, cl_command_queue_properties),
    TEXT(CL_DEVICE_BUILT_IN_KERNELS),
    P(CL_DEVICE_PLATFORM, cl_platform_id),
    TEXT(CL_DEVICE_NAME),
    TEXT(CL_DEVICE_VENDOR),
    TEXT(CL_DRIVER_VERSION),
    TEXT(CL_DEVICE_PROFILE),
    TEXT(CL_DEVICE_VERSION),
    TEXT(CL_DEVICE_OPENCL_C_VERSION),
    TEXT(CL_DEVICE_EXTENSIONS),
    P(CL_DEVICE_PRINTF_BUFFER_SIZE, size_t),
    P(CL_DEVICE_PREFERRED_INTEROP_USER_SYNC, cl_bool),
    P(CL_DEVICE_PARENT_DEVICE, cl_device_id),
    P(CL_DEVICE_PARTITION_MAX_SUB_DEVICES, cl_uint),
    TEXT(CL_DEVICE_PARTITION_PROPERTIES),
    P(CL_DEVICE_PARTITION_AFFINITY_DOMAIN, cl_device_affinity_domain),
    TEXT(CL_DEVICE_PARTITION_TYPE),
    P(CL_DEVICE_REFERENCE_COUNT, cl_uint),
};

void info__device(struct cltest *t) {
    for (unsigned d = 0; d < t->n_devices; d++) {
        CHECK_PARAMS(q_device, t->dev[d], device_list);
        cl_platform_id of = NULL;
        OK(clGetDeviceInfo(t->dev[d], CL_DEVICE_PLATFORM, sizeof of, &of, NULL));
        CHECK(of == t->platform);
        CHECK_EQ(clGetDeviceInfo(t->dev[d], 0x7777, sizeof of, &of, NULL), CL_INVALID_VALUE);
        OK(clRetainDevice(t->dev[d]));
        OK(clReleaseDevice(t->dev[d]));
    }
}

void info__context(struct cltest *t) {
    static const struct param list[] = {P(CL_CONTEXT_REFERENCE_COUNT, cl_uint),
                                        P(CL_CONTEXT_NUM_DEVICES, cl_uint), TEXT(CL_CONTEXT_DEVICES),
                                        TEXT(CL_CONTEXT_PROPERTIES)};
    CHECK_PARAMS(q_context, t->ctx, list);
    cl_device_id dev[CLTEST_MAX_DEVICES];
    cl_context_properties props[8];
    size_t size = 0;
    OK(clGetContextInfo(t->ctx, CL_CONTEXT_DEVICES, sizeof dev, dev, &size));
    CHECK_EQ(size, t->n_devices * sizeof *dev);
    for (unsigned i = 0; i < t->n_devices; i++) CHECK(dev[i] == t->dev[i]);
    OK(clGetContextInfo(t->ctx, CL_CONTEXT_PROPERTIES, sizeof props, props, &size));
    CHECK_EQ(size, 3 * sizeof *props);
    CHECK(props[0] == CL_CONTEXT_PLATFORM && props[1] == (cl_context_properties)t->platform && !props[2]);
}

void info__queue(struct cltest *t) {
    static const struct param list[] = {P(CL_QUEUE_CONTEXT, cl_context), P(CL_QUEUE_DEVICE, cl_device_id),
                                        P(CL_QUEUE_REFERENCE_COUNT, cl_uint),
                                        P(CL_QUEUE_PROPERTIES, cl_command_queue_properties)};
    CHECK_PARAMS(q_queue, t->queue[0], list);
    cl_command_queue q = cltest_queue(t, t->other, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_command_queue_properties props = 0;
    cl_device_id dev = NULL;
    OK(clGetCommandQueueInfo(q, CL_QUEUE_PROPERTIES, sizeof props, &props, NULL));
    CHECK_EQ(props, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    OK(clGetCommandQueueInfo(q, CL_QUEUE_DEVICE, sizeof dev, &dev, NULL));
    CHECK(dev == t->dev[t->other]);
    OK(clReleaseCommandQueue(q));
}

void info__buffer(struct cltest *t) {
    static const struct param list[] = {P(CL_MEM_TYPE, cl_mem_object_type),
                                        P(CL_MEM_FLAGS, cl_mem_flags),
                                        P(CL_MEM_SIZE, size_t),
                                        P(CL_MEM_HOST_PTR, void *),
                                        P(CL_MEM_MAP_COUNT, cl_uint),
                                        P(CL_MEM_REFERENCE_COUNT, cl_uint),
                                        P(CL_MEM_CONTEXT, cl_context),
                                        P(CL_MEM_ASSOCIATED_MEMOBJECT, cl_mem),
                                        P(CL_MEM_OFFSET, size_t)};
    _Alignas(128) static char host[256];
    cl_mem m = cltest_buffer(t, CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR, sizeof host, host);
    CHECK_PARAMS(q_mem, m, list);
    cl_mem_object_type type = 0;
    cl_mem_flags flags = 0;
    size_t size = 0;
    void *ptr = NULL;
    cl_mem parent = (cl_mem)host;
    OK(clGetMemObjectInfo(m, CL_MEM_TYPE, sizeof type, &type, NULL));
    CHECK_EQ(type, CL_MEM_OBJECT_BUFFER);
    OK(clGetMemObjectInfo(m, CL_MEM_FLAGS, sizeof flags, &flags, NULL));
    CHECK_EQ(flags, CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR);
    OK(clGetMemObjectInfo(m, CL_MEM_SIZE, sizeof size, &size, NULL));
    CHECK_EQ(size, sizeof host);
    OK(clGetMemObjectInfo(m, CL_MEM_HOST_PTR, sizeof ptr, &ptr, NULL));
    CHECK(ptr == host);
    OK(clGetMemObjectInfo(m, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof parent, &parent, NULL));
    CHECK(!parent);
    OK(clReleaseMemObject(m));
}

void info__kernel(struct cltest *t) {
    static const struct param list[] = {TEXT(CL_KERNEL_FUNCTION_NAME), P(CL_KERNEL_NUM_ARGS, cl_uint),
                                        P(CL_KERNEL_REFERENCE_COUNT, cl_uint),
                                        P(CL_KERNEL_CONTEXT, cl_context), P(CL_KERNEL_PROGRAM, cl_program)};
    cl_kernel k = cltest_kernel(t, "values"), f = cltest_kernel(t, "fixed");
    CHECK_PARAMS(q_kernel, k, list);
    char name[64] = "";
    cl_uint n = 0;
    cl_program of = NULL;
    OK(clGetKernelInfo(k, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL));
    CHECK(!strcmp(name, "values"));
    OK(clGetKernelInfo(k, CL_KERNEL_NUM_ARGS, sizeof n, &n, NULL));
    CHECK_EQ(n, 8);
    OK(clGetKernelInfo(k, CL_KERNEL_PROGRAM, sizeof of, &of, NULL));
    CHECK(of == t->prog);
    for (unsigned d = 0; d < t->n_devices; d++) {
        size_t fixed[3] = {0}, max = 0, multiple = 0;
        cl_ulong local = 1 << 30, priv = 0;
        OK(clGetKernelWorkGroupInfo(f, t->dev[d], CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof fixed, fixed,
                                    NULL));
        CHECK(fixed[0] == 4 && fixed[1] == 2 && fixed[2] == 1);
        OK(clGetKernelWorkGroupInfo(k, t->dev[d], CL_KERNEL_WORK_GROUP_SIZE, sizeof max, &max, NULL));
        CHECK(max > 0);
        OK(clGetKernelWorkGroupInfo(k, t->dev[d], CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE,
                                    sizeof multiple, &multiple, NULL));
        CHECK(multiple > 0);
        OK(clGetKernelWorkGroupInfo(k, t->dev[d], CL_KERNEL_LOCAL_MEM_SIZE, sizeof local, &local, NULL));
        CHECK_EQ(local, 0);
        OK(clGetKernelWorkGroupInfo(k, t->dev[d], CL_KERNEL_PRIVATE_MEM_SIZE, sizeof priv, &priv, NULL));
    }
    OK(clReleaseKernel(k));
    OK(clReleaseKernel(f));
}

void info__kernel_arguments(struct cltest *t) {
    cl_kernel k = cltest_kernel(t, "sum");
    static const struct {
        const char *name, *type;
        cl_kernel_arg_address_qualifier space;
    } want[4] = {
        {"in", "int*", CL_KERNEL_ARG_ADDRESS_GLOBAL},
        {"out", "int*", CL_KERNEL_ARG_ADDRESS_GLOBAL},
        {"tmp", "int*", CL_KERNEL_ARG_ADDRESS_LOCAL},
        {"weight", "int*", CL_KERNEL_ARG_ADDRESS_CONSTANT},
    };
    for (cl_uint i = 0; i < 4; i++) {
        char text[64] = "";
        cl_kernel_arg_address_qualifier space = 0;
        if (clGetKernelArgInfo(k, i, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof space, &space, NULL) ==
            CL_KERNEL_ARG_INFO_NOT_AVAILABLE) {
            cltest_deviation("nothing is told of kernel arguments");
            OK(clReleaseKernel(k));
            return;
        }
        OK(clGetKernelArgInfo(k, i, CL_KERNEL_ARG_NAME, sizeof text, text, NULL));
        CHECK(!strcmp(text, want[i].name));
        OK(clGetKernelArgInfo(k, i, CL_KERNEL_ARG_TYPE_NAME, sizeof text, text, NULL));
        CHECK(!strcmp(text, want[i].type));
        OK(clGetKernelArgInfo(k, i, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof space, &space, NULL));
        CHECK_EQ(space, want[i].space);
    }
    cl_kernel_arg_type_qualifier q = 99;
    OK(clGetKernelArgInfo(k, 0, CL_KERNEL_ARG_TYPE_QUALIFIER, sizeof q, &q, NULL));
    CHECK_EQ(q, CL_KERNEL_ARG_TYPE_CONST);
    OK(clReleaseKernel(k));
}

void info__event(struct cltest *t) {
    static const struct param list[] = {
        P(CL_EVENT_COMMAND_QUEUE, cl_command_queue), P(CL_EVENT_CONTEXT, cl_context),
        P(CL_EVENT_COMMAND_TYPE, cl_command_type), P(CL_EVENT_COMMAND_EXECUTION_STATUS, cl_int),
        P(CL_EVENT_REFERENCE_COUNT, cl_uint)};
    cl_kernel k = cltest_kernel(t, "noop");
    cl_event e;
    cltest_launch(t->queue[0], k, 1, 0, NULL, &e);
    CHECK_PARAMS(q_event, e, list);
    cl_context ctx = NULL;
    OK(clGetEventInfo(e, CL_EVENT_CONTEXT, sizeof ctx, &ctx, NULL));
    CHECK(ctx == t->ctx);
    OK(clFinish(t->queue[0]));
    CHECK_EQ(cltest_status(e), CL_COMPLETE);
    OK(clReleaseEvent(e));
    OK(clReleaseKernel(k));
}
