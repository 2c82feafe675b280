/* Programs of a driver: building, taking their binaries, and linking. */
#ifndef WEFT_OPENCL_PROGRAMS_H
#define WEFT_OPENCL_PROGRAMS_H
#include <stdbool.h>

#include "opencl/drivers.h"

/* One heap blob a device of the list (the program's context's), in its order; NULL and 0 for a device that
 * the program is not for. max: the most bytes of one. The caller frees them. */
cl_int program_binaries(cl_program program, cl_uint count, const cl_device_id *devices, size_t max,
                        unsigned char **blobs, size_t *sizes);

/* clBuildProgram and clCompileProgram, with which a driver tells of the arguments of kernels of source in any case. No
 * devices: all of the program's. Their options, as the driver tells them afterwards, may have one that asks for it. */
cl_int program_build(cl_program program, cl_uint count, const cl_device_id *devices, const char *options);
cl_int program_compile(cl_program program, cl_uint count, const cl_device_id *devices, const char *options,
                       cl_uint header_count, const cl_program *headers, const char **names);

bool driver_is_pocl(const cl_icd_dispatch *d, cl_platform_id platform);
/* clCreateProgramWithBuiltInKernels, with kernels that can be made at once. NULL: *err says why. */
cl_program program_builtin(cl_context context, bool pocl, cl_uint count, const cl_device_id *devices,
                           const char *names, cl_int *err);
/* clLinkProgram with what `pocl` needs. The program may be for more devices than were asked for. NULL: *err
 * says why. */
cl_program program_link(cl_context context, bool pocl, cl_uint count, const cl_device_id *devices,
                        const char *options, cl_uint input_count, const cl_program *inputs, cl_int *err);

/* clCreateProgramWithIL, or the extension's that it came from; NULL: the driver has neither. */
typedef cl_program create_il_fn(cl_context context, const void *il, size_t bytes, cl_int *err);
create_il_fn *program_find_create_il(const struct driver_platform *p);

#endif
