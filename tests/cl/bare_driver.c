/* A layer that makes PoCL poorer, as other drivers are: it tells nothing of kernel arguments, a build that
 * asks for them fails, what it is given for a buffer it follows at once (as NVIDIA's driver), and its devices
 * have another clock. */
#include "layer.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cl_int CL_API_CALL no_arg_info(cl_kernel kernel, cl_uint index, cl_kernel_arg_info param, size_t room,
                                      void *value, size_t *size_ret) {
    return CL_KERNEL_ARG_INFO_NOT_AVAILABLE;
}

static cl_int CL_API_CALL set_arg_and_follow(cl_kernel kernel, cl_uint index, size_t size,
                                             const void *value) {
    cl_kernel_arg_address_qualifier address = CL_KERNEL_ARG_ADDRESS_PRIVATE;
    layer_below.clGetKernelArgInfo(kernel, index, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof address, &address,
                                   NULL);
    bool handle = address == CL_KERNEL_ARG_ADDRESS_GLOBAL || address == CL_KERNEL_ARG_ADDRESS_CONSTANT;
    cl_mem mem = NULL;
    cl_mem_object_type type;
    if (handle && value && size == sizeof mem) memcpy(&mem, value, sizeof mem);
    if (mem && layer_below.clGetMemObjectInfo(mem, CL_MEM_TYPE, sizeof type, &type, NULL)) abort();
    return layer_below.clSetKernelArg(kernel, index, size, value);
}

static cl_int CL_API_CALL other_clock(cl_event event, cl_profiling_info param, size_t room, void *value,
                                      size_t *size_ret) {
    cl_int rc = layer_below.clGetEventProfilingInfo(event, param, room, value, size_ret);
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
    return layer_below.clBuildProgram(program, count, devices, more, fn, data);
}

void layer_change(cl_icd_dispatch *table) {
    table->clGetKernelArgInfo = no_arg_info;
    table->clSetKernelArg = set_arg_and_follow;
    table->clGetEventProfilingInfo = other_clock;
    table->clBuildProgram = build_without;
}
