/* Program meta data, shared by its own files. */
#ifndef WEFT_OPENCL_META_PRIVATE_H
#define WEFT_OPENCL_META_PRIVATE_H
#include "opencl/meta.h"

#define META_DEVICES_MAX 1024u
#define META_KERNELS_MAX 65536u
#define META_ARGS_MAX    4096u

/* Bytes that clSetKernelArg wants for an argument, from its qualifier and type's name; 0: it cannot be told
 * (an unknown type), or it is local memory, whose size is the caller's choice. */
size_t meta_arg_size(cl_kernel_arg_address_qualifier address, const char *type_name);
/* As meta_arg_takes, without asking. */
enum arg_takes meta_try_arg(cl_kernel kernel, cl_uint index);
/* type_name may be NULL. Not of pipes. */
enum arg_takes meta_type_takes(cl_kernel_arg_address_qualifier address, const char *type_name);

#endif
