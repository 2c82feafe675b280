/* Linking, and programs of built-in kernels and of intermediate languages, by a driver. */
#include <stdlib.h>
#include <string.h>

#include "opencl/programs.h"

static cl_uint devices_of(cl_program p, cl_device_id **out) {
    cl_uint n = 0;
    *out = NULL;
    if (DRIVER(p)->clGetProgramInfo(p, CL_PROGRAM_NUM_DEVICES, sizeof n, &n, NULL) || !n) return 0;
    *out = calloc(n, sizeof(cl_device_id));
    if (!*out || DRIVER(p)->clGetProgramInfo(p, CL_PROGRAM_DEVICES, n * sizeof(cl_device_id), *out, NULL))
        return 0;
    return n;
}

/* Whether a program is for exactly these devices, in their order. */
static bool is_for(cl_program p, cl_uint count, const cl_device_id *devices) {
    cl_device_id *own;
    cl_uint n = devices_of(p, &own);
    bool same = n == count && !memcmp(own, devices, n * sizeof(cl_device_id));
    free(own);
    return same;
}

bool driver_is_pocl(const cl_icd_dispatch *d, cl_platform_id platform) {
    char name[64] = "";
    d->clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name, name, NULL);
    return !strcmp(name, "Portable Computing Language");
}

/* PoCL (3.1) ends the process when it links for other devices than the inputs are for: it links for all of
 * these instead. */
cl_program program_link(cl_context context, bool pocl, cl_uint count, const cl_device_id *devices,
                        const char *options, cl_uint input_count, const cl_program *inputs, cl_int *err) {
    const cl_icd_dispatch *d = DRIVER(context);
    *err = CL_LINKER_NOT_AVAILABLE;
    if (!d->clLinkProgram) return NULL;
    cl_device_id *own = NULL;
    cl_uint n = pocl ? devices_of(inputs[0], &own) : count;
    bool fits = true;
    for (cl_uint i = 1; pocl && i < input_count; i++) fits = fits && is_for(inputs[i], n, own);
    cl_program p = NULL;
    *err = CL_INVALID_OPERATION;
    if (n && fits)
        p = d->clLinkProgram(context, n, pocl ? own : devices, options, input_count, inputs, NULL, NULL, err);
    free(own);
    if (!p && !*err) *err = CL_LINK_PROGRAM_FAILURE;
    return p;
}

/* PoCL has such programs built, like any. */
cl_program program_builtin(cl_context context, bool pocl, cl_uint count, const cl_device_id *devices,
                           const char *names, cl_int *err) {
    const cl_icd_dispatch *d = DRIVER(context);
    *err = CL_INVALID_OPERATION;
    if (!d->clCreateProgramWithBuiltInKernels) return NULL;
    cl_program p = d->clCreateProgramWithBuiltInKernels(context, count, devices, names, err);
    if (!p && !*err) *err = CL_OUT_OF_RESOURCES;
    if (p && pocl) d->clBuildProgram(p, count, devices, "", NULL, NULL);
    return p;
}

create_il_fn *program_find_create_il(const struct driver_platform *p) {
    if (p->dispatch->clCreateProgramWithIL) return p->dispatch->clCreateProgramWithIL;
    if (!p->dispatch->clGetExtensionFunctionAddressForPlatform) return NULL;
    return (create_il_fn *)p->dispatch->clGetExtensionFunctionAddressForPlatform(p->id,
                                                                                 "clCreateProgramWithILKHR");
}
