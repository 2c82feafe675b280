/* Kernels: information, all from the program's meta data. */
#include "opencl/front/entries.h"
#include "opencl/front/kernel.h"

cl_int weft_clGetKernelInfo(cl_kernel kernel, cl_kernel_info param, size_t room, void *value,
                            size_t *size_ret) {
    struct kernel *k = kernel_from(kernel);
    struct info_out out = {room, value, size_ret};
    if (!k) return CL_INVALID_KERNEL;
    switch (param) {
    case CL_KERNEL_FUNCTION_NAME: return info_string(out, k->meta->name);
    case CL_KERNEL_NUM_ARGS: return info_uint(out, k->arg_count);
    case CL_KERNEL_REFERENCE_COUNT: return info_uint(out, atomic_load(&k->object.refs));
    case CL_KERNEL_CONTEXT: return info_pointer(out, k->program->context);
    case CL_KERNEL_PROGRAM: return info_pointer(out, k->program);
    case CL_KERNEL_ATTRIBUTES: return info_string(out, k->meta->attributes);
    default: return CL_INVALID_VALUE;
    }
}

cl_int weft_clGetKernelArgInfo(cl_kernel kernel, cl_uint index, cl_kernel_arg_info param, size_t room,
                               void *value, size_t *size_ret) {
    struct kernel *k = kernel_from(kernel);
    struct info_out out = {room, value, size_ret};
    if (!k) return CL_INVALID_KERNEL;
    if (index >= k->arg_count) return CL_INVALID_ARG_INDEX;
    const struct arg_meta *a = &k->meta->args[index];
    if (param < CL_KERNEL_ARG_ADDRESS_QUALIFIER || param > CL_KERNEL_ARG_NAME) return CL_INVALID_VALUE;
    if (!a->known) return CL_KERNEL_ARG_INFO_NOT_AVAILABLE;
    switch (param) {
    case CL_KERNEL_ARG_ADDRESS_QUALIFIER: return info_bytes(out, &a->address, sizeof a->address);
    case CL_KERNEL_ARG_ACCESS_QUALIFIER: return info_bytes(out, &a->access, sizeof a->access);
    case CL_KERNEL_ARG_TYPE_QUALIFIER: return info_bytes(out, &a->type_qualifier, sizeof a->type_qualifier);
    case CL_KERNEL_ARG_TYPE_NAME:
        return a->type_name ? info_string(out, a->type_name) : CL_KERNEL_ARG_INFO_NOT_AVAILABLE;
    default: return a->name ? info_string(out, a->name) : CL_KERNEL_ARG_INFO_NOT_AVAILABLE;
    }
}

const struct kernel_device_meta *kernel_device_meta(const struct kernel *k, const struct device *d) {
    const struct program *p = k->program;
    cl_uint i = program_device_index(p, d);
    if (i == p->device_count || p->devices[i].status != CL_BUILD_SUCCESS) return NULL;
    const struct kernel_meta *m = k->parts[p->devices[i].slot].meta;
    return m && m->devices ? &m->devices[p->devices[i].place] : NULL;
}

cl_int weft_clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info param,
                                     size_t room, void *value, size_t *size_ret) {
    struct kernel *k = kernel_from(kernel);
    struct info_out out = {room, value, size_ret};
    if (!k) return CL_INVALID_KERNEL;
    struct device *d = device ? device_from(device) : NULL;
    if (!device && k->program->device_count == 1) d = k->program->devices[0].device;
    const struct kernel_device_meta *m = d ? kernel_device_meta(k, d) : NULL;
    if (!m) return CL_INVALID_DEVICE;
    switch (param) {
    case CL_KERNEL_WORK_GROUP_SIZE: return info_size(out, m->work_group_size);
    case CL_KERNEL_COMPILE_WORK_GROUP_SIZE:
        return info_bytes(out, m->compile_work_group_size, sizeof m->compile_work_group_size);
    case CL_KERNEL_LOCAL_MEM_SIZE: return info_ulong(out, m->local_mem_bytes);
    case CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE: return info_size(out, m->preferred_multiple);
    case CL_KERNEL_PRIVATE_MEM_SIZE: return info_ulong(out, m->private_mem_bytes);
    default:
        return CL_INVALID_VALUE; /* CL_KERNEL_GLOBAL_WORK_SIZE is for built-in kernels and custom devices */
    }
}
