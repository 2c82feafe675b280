/* A vendor library for tests: PoCL, made poorer by environment variables, as other drivers are.
 *   POCL_BARE_LIBRARY   the driver below; default libpocl.so.2
 *   POCL_BARE_ARG_INFO  1: it tells nothing of kernel arguments, a build that asks for them fails, and what
 *                         it is given for a buffer it follows at once (as NVIDIA's driver)
 *                         and its devices have another clock
 * The driver's own dispatch table is changed, since its objects point to it. */
#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl_icd.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef void *address_fn(const char *name);
typedef cl_int platforms_fn(cl_uint count, cl_platform_id *out, cl_uint *available);

static address_fn *below;
static cl_icd_dispatch before; /* the driver's own functions */

static cl_int CL_API_CALL no_arg_info(cl_kernel kernel, cl_uint index, cl_kernel_arg_info param, size_t room,
                                      void *value, size_t *size_ret) {
    return CL_KERNEL_ARG_INFO_NOT_AVAILABLE;
}

static cl_int CL_API_CALL set_arg_and_follow(cl_kernel kernel, cl_uint index, size_t size,
                                             const void *value) {
    cl_kernel_arg_address_qualifier address = CL_KERNEL_ARG_ADDRESS_PRIVATE;
    before.clGetKernelArgInfo(kernel, index, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof address, &address, NULL);
    bool handle = address == CL_KERNEL_ARG_ADDRESS_GLOBAL || address == CL_KERNEL_ARG_ADDRESS_CONSTANT;
    cl_mem mem = NULL;
    cl_mem_object_type type;
    if (handle && value && size == sizeof mem) memcpy(&mem, value, sizeof mem);
    if (mem && before.clGetMemObjectInfo(mem, CL_MEM_TYPE, sizeof type, &type, NULL)) abort();
    return before.clSetKernelArg(kernel, index, size, value);
}

static cl_int CL_API_CALL other_clock(cl_event event, cl_profiling_info param, size_t room, void *value,
                                      size_t *size_ret) {
    cl_int rc = before.clGetEventProfilingInfo(event, param, room, value, size_ret);
    cl_ulong ns;
    if (rc || !value || room < sizeof ns) return rc;
    memcpy(&ns, value, sizeof ns);
    ns += 1000000000000000; /* eleven days */
    memcpy(value, &ns, sizeof ns);
    return rc;
}

static cl_int CL_API_CALL build_without(cl_program program, cl_uint count, const cl_device_id *devices,
                                        const char *options, void(CL_CALLBACK *fn)(cl_program, void *),
                                        void *data) {
    char more[4096];
    if (options && strstr(options, "-cl-kernel-arg-info")) return CL_BUILD_PROGRAM_FAILURE;
    /* For set_arg_and_follow. */
    snprintf(more, sizeof more, "%s -cl-kernel-arg-info", options ? options : "");
    return before.clBuildProgram(program, count, devices, more, fn, data);
}

static void change(cl_icd_dispatch *table) {
    long page = sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)table & ~(uintptr_t)(page - 1);
    if (mprotect((void *)start, (uintptr_t)(table + 1) - start, PROT_READ | PROT_WRITE)) {
        perror("bare_driver: mprotect");
        abort();
    }
    before = *table;
    table->clGetKernelArgInfo = no_arg_info;
    table->clSetKernelArg = set_arg_and_follow;
    table->clGetEventProfilingInfo = other_clock;
    table->clBuildProgram = build_without;
}

static cl_int platforms(cl_uint count, cl_platform_id *out, cl_uint *available) {
    static int changed;
    platforms_fn *all = (platforms_fn *)below("clIcdGetPlatformIDsKHR");
    cl_int rc = all(count, out, available);
    const char *poorer = getenv("POCL_BARE_ARG_INFO");
    if (rc == CL_SUCCESS && count && out && poorer && *poorer == '1' && !changed++)
        change(*(cl_icd_dispatch **)out[0]);
    return rc;
}

__attribute__((visibility("default"))) void *clGetExtensionFunctionAddress(const char *name);
void *clGetExtensionFunctionAddress(const char *name) {
    const char *library = getenv("POCL_BARE_LIBRARY");
    void *driver = below ? NULL : dlopen(library ? library : "libpocl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (driver) below = (address_fn *)dlsym(driver, "clGetExtensionFunctionAddress");
    if (!below) return NULL;
    return strcmp(name, "clIcdGetPlatformIDsKHR") ? below(name) : (void *)platforms;
}
