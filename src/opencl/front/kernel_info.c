/* Kernels: information, all from the program's meta data. */
#include <string.h>

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

/* Drivers are made to tell it on every build (programs.h); the program learns it if it asked for it. */
static bool tells_arg_info(const struct kernel *k) {
    const struct program *p = k->program;
    bool tells = p->origin != PROGRAM_SOURCE;
    for (cl_uint i = 0; i < p->device_count && !tells; i++) {
        const struct program_device *d = &p->devices[i];
        tells = d->slot == k->first_slot && d->options && strstr(d->options, "-cl-kernel-arg-info");
    }
    return tells;
}

cl_int weft_clGetKernelArgInfo(cl_kernel kernel, cl_uint index, cl_kernel_arg_info param, size_t room,
                               void *value, size_t *size_ret) {
    struct kernel *k = kernel_from(kernel);
    struct info_out out = {room, value, size_ret};
    if (!k) return CL_INVALID_KERNEL;
    if (index >= k->arg_count) return CL_INVALID_ARG_INDEX;
    const struct arg_meta *a = &k->meta->args[index];
    if (param < CL_KERNEL_ARG_ADDRESS_QUALIFIER || param > CL_KERNEL_ARG_NAME) return CL_INVALID_VALUE;
    if (!a->known || !tells_arg_info(k)) return CL_KERNEL_ARG_INFO_NOT_AVAILABLE;
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

/* The device that a query is about; NULL: not one of the kernel's. */
static struct device *query_device(const struct kernel *k, cl_device_id device) {
    if (!device && k->program->device_count == 1) return k->program->devices[0].device;
    struct device *d = device ? device_from(device) : NULL;
    return d && kernel_device_meta(k, d) ? d : NULL;
}

cl_int weft_clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info param,
                                     size_t room, void *value, size_t *size_ret) {
    struct kernel *k = kernel_from(kernel);
    struct info_out out = {room, value, size_ret};
    if (!k) return CL_INVALID_KERNEL;
    const struct device *d = query_device(k, device);
    const struct kernel_device_meta *m = d ? kernel_device_meta(k, d) : NULL;
    if (!m) return CL_INVALID_DEVICE;
    switch (param) {
    case CL_KERNEL_WORK_GROUP_SIZE: return info_size(out, m->work_group_size);
    case CL_KERNEL_COMPILE_WORK_GROUP_SIZE:
        return info_bytes(out, m->compile_work_group_size, sizeof m->compile_work_group_size);
    case CL_KERNEL_LOCAL_MEM_SIZE: return info_ulong(out, m->local_mem_bytes);
    case CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE: return info_size(out, m->preferred_multiple);
    case CL_KERNEL_PRIVATE_MEM_SIZE: return info_ulong(out, m->private_mem_bytes);
    case CL_KERNEL_GLOBAL_WORK_SIZE: /* of built-in kernels and custom devices */
        return m->global_work_size[0] ? info_bytes(out, m->global_work_size, sizeof m->global_work_size)
                                      : CL_INVALID_VALUE;
    default: return CL_INVALID_VALUE;
    }
}

static bool has_sub_groups(const struct device *d) {
    if (device_number(d, CL_DEVICE_MAX_NUM_SUB_GROUPS, sizeof(cl_uint))) return true;
    for (size_t i = 0; i < d->extensions.count; i++) /* before OpenCL 2.1 */
        if (strcmp(d->extensions.at[i].name, "cl_khr_subgroups") == 0) return true;
    return false;
}

static cl_int sub_group_info(struct kernel *k, const struct device *d, cl_kernel_sub_group_info param,
                             size_t input_count, const size_t *input, struct info_out out) {
    const struct program_device *at = &k->program->devices[program_device_index(k->program, d)];
    size_t answer[3] = {0}, size = 0;
    size_t room = out.value && out.room < sizeof answer ? out.room : sizeof answer;
    pthread_mutex_lock(&k->lock);
    cl_int rc = kernel_part(k, at->slot);
    pthread_mutex_unlock(&k->lock);
    if (rc == CL_SUCCESS)
        rc = d->backend->ops->sub_group_info(d->backend, k->parts[at->slot].ref, d->number, param,
                                             input_count, input, room, answer, &size);
    return rc == CL_SUCCESS ? info_bytes(out, answer, size) : rc;
}

cl_int weft_clGetKernelSubGroupInfo(cl_kernel kernel, cl_device_id device, cl_kernel_sub_group_info param,
                                    size_t input_bytes, const void *input, size_t room, void *value,
                                    size_t *size_ret) {
    struct kernel *k = kernel_from(kernel);
    if (!k) return CL_INVALID_KERNEL;
    const struct device *d = query_device(k, device);
    if (!d) return CL_INVALID_DEVICE;
    if (!has_sub_groups(d)) return CL_INVALID_OPERATION;
    size_t count = input_bytes / sizeof(size_t);
    if (input_bytes % sizeof(size_t) || count > 3 || (!input && count)) return CL_INVALID_VALUE;
    return sub_group_info(k, d, param, count, input, (struct info_out){room, value, size_ret});
}

cl_int weft_clGetKernelSubGroupInfoKHR(cl_kernel kernel, cl_device_id device, cl_kernel_sub_group_info param,
                                       size_t input_bytes, const void *input, size_t room, void *value,
                                       size_t *size_ret) {
    return weft_clGetKernelSubGroupInfo(kernel, device, param, input_bytes, input, room, value, size_ret);
}
