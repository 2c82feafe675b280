/* Building and compiling, by a driver. */
#include <stdlib.h>
#include <string.h>

#include "opencl/programs.h"

/* Arguments' types are asked for on every build of source: without them each clSetKernelArg of another node's program
 * would have to wait for the driver's verdict, and what is `const` would count as written. NVIDIA's compiler makes
 * assembly that it cannot read of a kernel without arguments if it is asked for them (seen with 580.159), so a build
 * that fails is tried once more as the program asked for it: its result, log included, is the one that counts. */
#define OPTION_ARG_INFO "-cl-kernel-arg-info"

/* The options with that one (heap); NULL: it is there, or not of use. */
static char *options_asking(cl_program p, const char *options) {
    size_t source = 0;
    if (strstr(options, OPTION_ARG_INFO)) return NULL;
    if (DRIVER(p)->clGetProgramInfo(p, CL_PROGRAM_SOURCE, 0, NULL, &source) || source <= 1) return NULL;
    char *more = malloc(strlen(options) + sizeof " " OPTION_ARG_INFO);
    return more ? strcat(strcpy(more, options), " " OPTION_ARG_INFO) : NULL;
}

cl_int program_build(cl_program p, cl_uint count, const cl_device_id *devices, const char *options) {
    const cl_icd_dispatch *d = DRIVER(p);
    char *more = options_asking(p, options);
    cl_int err = more ? d->clBuildProgram(p, count, devices, more, NULL, NULL) : CL_INVALID_BUILD_OPTIONS;
    free(more);
    if (err != CL_INVALID_BUILD_OPTIONS && err != CL_BUILD_PROGRAM_FAILURE) return err;
    return d->clBuildProgram(p, count, devices, options, NULL, NULL);
}

cl_int program_compile(cl_program p, cl_uint count, const cl_device_id *devices, const char *options,
                       cl_uint header_count, const cl_program *headers, const char **names) {
    const cl_icd_dispatch *d = DRIVER(p);
    if (!d->clCompileProgram) return CL_COMPILER_NOT_AVAILABLE;
    const cl_program *of = header_count ? headers : NULL;
    const char **as = header_count ? names : NULL;
    char *more = options_asking(p, options);
    cl_int err = more ? d->clCompileProgram(p, count, devices, more, header_count, of, as, NULL, NULL)
                      : CL_INVALID_COMPILER_OPTIONS;
    free(more);
    if (err != CL_INVALID_COMPILER_OPTIONS && err != CL_COMPILE_PROGRAM_FAILURE) return err;
    return d->clCompileProgram(p, count, devices, options, header_count, of, as, NULL, NULL);
}
