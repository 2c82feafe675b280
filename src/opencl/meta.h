/* Program meta data: all that a program can ask about a built program and its kernels, collected once where the build ran,
 * so that kernel creation, argument checks and information queries need no message. */
#ifndef WEFT_OPENCL_META_H
#define WEFT_OPENCL_META_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>

/* What clSetKernelArg takes for an argument. */
enum arg_takes {
    TAKES_UNKNOWN, TAKES_VALUE, TAKES_MEM, TAKES_LOCAL, TAKES_SAMPLER, TAKES_QUEUE,
    TAKES_KINDS
};

struct arg_meta {
    enum arg_takes takes;
    cl_kernel_arg_address_qualifier address;
    cl_kernel_arg_access_qualifier access;
    cl_kernel_arg_type_qualifier type_qualifier;
    char *type_name, *name;        /* NULL: the driver does not tell */
    bool known;                    /* the qualifiers above were told */
    size_t size;                   /* bytes that clSetKernelArg wants; 0: unknown (ask the device) */
};
struct kernel_device_meta {        /* one a device of the program */
    size_t work_group_size, compile_work_group_size[3], preferred_multiple;
    size_t global_work_size[3];    /* [0] 0: the device does not tell */
    cl_ulong local_mem_bytes, private_mem_bytes;
};
struct kernel_meta {
    char *name, *attributes;
    cl_uint arg_count;
    struct arg_meta *args;
    struct kernel_device_meta *devices;
};
struct program_device_meta {
    cl_build_status status;
    char *log, *options;
    cl_program_binary_type binary_type;
    size_t global_variable_bytes;
};
struct program_meta {
    cl_uint device_count, kernel_count;
    struct program_device_meta *devices;   /* in the order of the backend's context */
    struct kernel_meta *kernels;
};

struct _cl_icd_dispatch;
/* Asks the driver. devices: those of the program's context, in its order. NULL: no memory. */
struct program_meta *program_meta_collect(cl_program program, cl_uint device_count, const cl_device_id *devices);
/* The same of a program of built-in kernels, which is never built and yet executable. names: with semicolons between. */
struct program_meta *program_meta_collect_builtin(cl_program program, const char *names, cl_uint device_count,
                                                  const cl_device_id *devices);
void program_meta_free(struct program_meta *m);
void *program_meta_encode(const struct program_meta *m, size_t *bytes);
struct program_meta *program_meta_decode(const void *blob, size_t bytes);   /* checks everything */
/* What an argument of a driver's kernel takes, told by the driver; where it does not tell, found out by setting the
 * argument to nothing: only for an argument that was not set before. */
enum arg_takes meta_arg_takes(cl_kernel kernel, cl_uint index);
/* Whether kernels can be made of what was built for a device: it is not only compiled, nor a library. */
static inline bool program_meta_executable(const struct program_device_meta *d) {
    return d->status == CL_BUILD_SUCCESS && d->binary_type != CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT &&
           d->binary_type != CL_PROGRAM_BINARY_TYPE_LIBRARY;
}
const struct kernel_meta *program_meta_kernel(const struct program_meta *m, const char *name);

#endif
