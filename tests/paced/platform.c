/* Paced devices: the platform, its devices and what they answer, and the entry point of an OpenCL vendor
 * library. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

struct _cl_platform_id paced_platform = {.head = {.dispatch = &paced_dispatch}};
static struct _cl_device_id devices[PACED_DEVICES_MAX];
static cl_uint device_count;

static double rate_of(const char *variable) {
    const char *text = getenv(variable);
    return text ? strtod(text, NULL) : 0;
}

__attribute__((constructor)) static void read_environment(void) {
    const char *letters = getenv("OCL_PACED_DEVICES");
    for (; letters && *letters && device_count < PACED_DEVICES_MAX; letters++) {
        if (*letters != 'C' && *letters != 'G') continue;
        struct _cl_device_id *d = &devices[device_count];
        d->head.dispatch = &paced_dispatch;
        d->is_gpu = *letters == 'G';
        d->flops = rate_of(d->is_gpu ? "OCL_PACED_GPU_FLOPS" : "OCL_PACED_CPU_FLOPS");
        snprintf(d->name, sizeof d->name, "paced %s %u", d->is_gpu ? "GPU" : "CPU", device_count);
        pthread_mutex_init(&d->busy, NULL);
        device_count++;
    }
}

cl_int paced_answer(const void *value, size_t bytes, size_t room, void *out, size_t *size) {
    if (out && room < bytes) return CL_INVALID_VALUE;
    if (out && bytes) memcpy(out, value, bytes);
    if (size) *size = bytes;
    return CL_SUCCESS;
}
#define TEXT(s)     paced_answer((s), strlen(s) + 1, room, out, size)
#define VALUE(T, v) paced_answer(&(T){v}, sizeof(T), room, out, size)

PACED_API(cl_int, clGetPlatformInfo, cl_platform_id p, cl_platform_info what, size_t room, void *out,
          size_t *size) {
    switch (what) {
    case CL_PLATFORM_NAME: return TEXT("paced");
    case CL_PLATFORM_VENDOR: return TEXT("weft tests");
    case CL_PLATFORM_VERSION: return TEXT("OpenCL 1.2 paced");
    case CL_PLATFORM_PROFILE: return TEXT("FULL_PROFILE");
    case CL_PLATFORM_EXTENSIONS: return TEXT("cl_khr_icd");
    case CL_PLATFORM_ICD_SUFFIX_KHR: return TEXT("PACED");
    default: return CL_INVALID_VALUE;
    }
}

PACED_API(cl_int, clGetDeviceIDs, cl_platform_id p, cl_device_type type, cl_uint room, cl_device_id *out,
          cl_uint *count) {
    cl_uint found = 0;
    for (cl_uint i = 0; i < device_count; i++) {
        cl_device_type own = devices[i].is_gpu ? CL_DEVICE_TYPE_GPU : CL_DEVICE_TYPE_CPU;
        if (!(type & (own | (i ? 0 : CL_DEVICE_TYPE_DEFAULT)))) continue;
        if (out && found < room) out[found] = &devices[i];
        found++;
    }
    if (count) *count = found;
    return found ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

static cl_int sizes_of_items(size_t room, void *out, size_t *size) {
    static const size_t items[3] = {1 << 20, 1 << 20, 1 << 20};
    return paced_answer(items, sizeof items, room, out, size);
}

static cl_int numbers(cl_device_id d, cl_device_info what, size_t room, void *out, size_t *size) {
    switch (what) {
    case CL_DEVICE_TYPE: return VALUE(cl_device_type, d->is_gpu ? CL_DEVICE_TYPE_GPU : CL_DEVICE_TYPE_CPU);
    case CL_DEVICE_PLATFORM: return VALUE(cl_platform_id, &paced_platform);
    case CL_DEVICE_VENDOR_ID: return VALUE(cl_uint, 0);
    case CL_DEVICE_MAX_COMPUTE_UNITS: return VALUE(cl_uint, 1);
    case CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS: return VALUE(cl_uint, 3);
    case CL_DEVICE_MAX_WORK_ITEM_SIZES: return sizes_of_items(room, out, size);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE: return VALUE(size_t, 1 << 20);
    case CL_DEVICE_MAX_CLOCK_FREQUENCY: return VALUE(cl_uint, 0);
    case CL_DEVICE_ADDRESS_BITS: return VALUE(cl_uint, 64);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE: return VALUE(cl_ulong, 1 << 30);
    case CL_DEVICE_LOCAL_MEM_SIZE:
    case CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE: return VALUE(cl_ulong, 1 << 16);
    case CL_DEVICE_MAX_PARAMETER_SIZE: return VALUE(size_t, 1024);
    case CL_DEVICE_MEM_BASE_ADDR_ALIGN: return VALUE(cl_uint, 1024);
    case CL_DEVICE_MAX_CONSTANT_ARGS: return VALUE(cl_uint, PACED_ARGS_MAX);
    case CL_DEVICE_LOCAL_MEM_TYPE: return VALUE(cl_device_local_mem_type, CL_GLOBAL);
    case CL_DEVICE_PROFILING_TIMER_RESOLUTION: return VALUE(size_t, 1);
    case CL_DEVICE_QUEUE_PROPERTIES: return VALUE(cl_command_queue_properties, CL_QUEUE_PROFILING_ENABLE);
    case CL_DEVICE_EXECUTION_CAPABILITIES: return VALUE(cl_device_exec_capabilities, CL_EXEC_KERNEL);
    case CL_DEVICE_AVAILABLE:
    case CL_DEVICE_COMPILER_AVAILABLE:
    case CL_DEVICE_ENDIAN_LITTLE: return VALUE(cl_bool, CL_TRUE);
    case CL_DEVICE_LINKER_AVAILABLE:
    case CL_DEVICE_IMAGE_SUPPORT:
    case CL_DEVICE_HOST_UNIFIED_MEMORY:
    case CL_DEVICE_ERROR_CORRECTION_SUPPORT: return VALUE(cl_bool, CL_FALSE);
    case CL_DEVICE_REFERENCE_COUNT: return VALUE(cl_uint, 1);
    default: return CL_INVALID_VALUE;
    }
}

PACED_API(cl_int, clGetDeviceInfo, cl_device_id d, cl_device_info what, size_t room, void *out,
          size_t *size) {
    switch (what) {
    case CL_DEVICE_NAME: return TEXT(d->name);
    case CL_DEVICE_VENDOR: return TEXT("weft tests");
    case CL_DRIVER_VERSION: return TEXT("1");
    case CL_DEVICE_PROFILE: return TEXT("FULL_PROFILE");
    case CL_DEVICE_VERSION: return TEXT("OpenCL 1.2 paced");
    case CL_DEVICE_OPENCL_C_VERSION: return TEXT("OpenCL C 1.2");
    case CL_DEVICE_EXTENSIONS:
    case CL_DEVICE_BUILT_IN_KERNELS: return TEXT("");
    default: return numbers(d, what, room, out, size);
    }
}

/* ---- the entry point ---- */
static cl_int CL_API_CALL platform_ids(cl_uint room, cl_platform_id *out, cl_uint *count) {
    if (count) *count = device_count > 0;
    if (!device_count) return CL_PLATFORM_NOT_FOUND_KHR;
    if (out && room) *out = &paced_platform;
    return CL_SUCCESS;
}

__attribute__((visibility("default"))) void *clGetExtensionFunctionAddress(const char *name);
void *clGetExtensionFunctionAddress(const char *name) {
    if (!strcmp(name, "clIcdGetPlatformIDsKHR")) return (void *)platform_ids;
    if (!strcmp(name, "clGetPlatformInfo")) return (void *)paced_clGetPlatformInfo;
    return NULL;
}
