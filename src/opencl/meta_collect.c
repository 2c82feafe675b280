/* Program meta data, the collecting side: asks the driver about a program, its kernels and their arguments.
 * Queries that a driver refuses leave zeros and empty strings. */
#include <stdlib.h>
#include <string.h>

#include "opencl/drivers.h"
#include "opencl/meta_private.h"

#define STRING_MAX (64u << 20)

/* The string that a query answers, on the heap; NULL if it is refused. Each query has its own call, which is
 * told where to put the answer by the names room, text and size. */
#define ASK_STRING(call)                                                                                     \
    ({                                                                                                       \
        size_t room = 0, size = 0;                                                                           \
        char *text = NULL;                                                                                   \
        if ((call) == CL_SUCCESS && size && size < STRING_MAX) text = calloc(1, size + 1);                   \
        room = size;                                                                                         \
        if (text && (call) != CL_SUCCESS) {                                                                  \
            free(text);                                                                                      \
            text = NULL;                                                                                     \
        }                                                                                                    \
        text;                                                                                                \
    })

static char *or_empty(char *s) { return s ? s : strdup(""); }

static bool collect_device(struct program_device_meta *out, cl_program program, cl_device_id device) {
    const cl_icd_dispatch *d = DRIVER(program);
    out->status = CL_BUILD_NONE;
    d->clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_STATUS, sizeof out->status, &out->status,
                             NULL);
    d->clGetProgramBuildInfo(program, device, CL_PROGRAM_BINARY_TYPE, sizeof out->binary_type,
                             &out->binary_type, NULL);
    d->clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_GLOBAL_VARIABLE_TOTAL_SIZE,
                             sizeof out->global_variable_bytes, &out->global_variable_bytes, NULL);
    out->log = ASK_STRING(d->clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, room, text, &size));
    out->options =
        ASK_STRING(d->clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_OPTIONS, room, text, &size));
    out->log = or_empty(out->log);
    out->options = or_empty(out->options);
    return out->log && out->options;
}

/* Setting to nothing: a NULL handle, and no value at all, each of a handle's size. A buffer may be either,
 * local memory must have no value, a value must be one. PoCL takes a NULL image or sampler, so that one of
 * these looks like a value of eight bytes; but of a struct, it takes less than all. */
enum arg_takes meta_try_arg(cl_kernel kernel, cl_uint i) {
    const void *none = NULL;
    cl_int handle = DRIVER(kernel)->clSetKernelArg(kernel, i, sizeof none, &none);
    cl_int absent = DRIVER(kernel)->clSetKernelArg(kernel, i, sizeof none, NULL);
    if (absent == CL_SUCCESS) return handle == CL_SUCCESS ? TAKES_MEM : TAKES_LOCAL;
    switch (handle) {
    case CL_SUCCESS:
        handle = DRIVER(kernel)->clSetKernelArg(kernel, i, sizeof none / 2, &none);
        return handle == CL_SUCCESS ? TAKES_VALUE : TAKES_UNKNOWN;
    case CL_INVALID_ARG_SIZE: return TAKES_VALUE;
    case CL_INVALID_MEM_OBJECT: return TAKES_MEM;
    case CL_INVALID_SAMPLER: return TAKES_SAMPLER;
    case CL_INVALID_DEVICE_QUEUE: return TAKES_QUEUE;
    default: return TAKES_UNKNOWN;
    }
}

static cl_int ask_address(cl_kernel kernel, cl_uint i, cl_kernel_arg_address_qualifier *out) {
    const cl_icd_dispatch *d = DRIVER(kernel);
    if (!d->clGetKernelArgInfo) return CL_KERNEL_ARG_INFO_NOT_AVAILABLE;
    return d->clGetKernelArgInfo(kernel, i, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof *out, out, NULL);
}

enum arg_takes meta_arg_takes(cl_kernel kernel, cl_uint i) {
    const cl_icd_dispatch *d = DRIVER(kernel);
    cl_kernel_arg_address_qualifier address = CL_KERNEL_ARG_ADDRESS_PRIVATE;
    if (ask_address(kernel, i, &address)) return meta_try_arg(kernel, i);
    if (address != CL_KERNEL_ARG_ADDRESS_PRIVATE) return meta_type_takes(address, NULL);
    cl_kernel_arg_type_qualifier qualifier = 0;
    d->clGetKernelArgInfo(kernel, i, CL_KERNEL_ARG_TYPE_QUALIFIER, sizeof qualifier, &qualifier, NULL);
    if (qualifier & CL_KERNEL_ARG_TYPE_PIPE) return TAKES_MEM;
    char *type = ASK_STRING(d->clGetKernelArgInfo(kernel, i, CL_KERNEL_ARG_TYPE_NAME, room, text, &size));
    enum arg_takes takes = meta_type_takes(address, type);
    free(type);
    return takes == TAKES_UNKNOWN ? meta_try_arg(kernel, i) : takes;
}

static void collect_arg(struct arg_meta *a, cl_kernel kernel, cl_uint i) {
    const cl_icd_dispatch *d = DRIVER(kernel);
    if (ask_address(kernel, i, &a->address)) {
        a->takes = meta_try_arg(kernel, i);
        return;
    }
    a->known = true;
    a->access = CL_KERNEL_ARG_ACCESS_NONE;
    d->clGetKernelArgInfo(kernel, i, CL_KERNEL_ARG_ACCESS_QUALIFIER, sizeof a->access, &a->access, NULL);
    d->clGetKernelArgInfo(kernel, i, CL_KERNEL_ARG_TYPE_QUALIFIER, sizeof a->type_qualifier,
                          &a->type_qualifier, NULL);
    a->type_name = ASK_STRING(d->clGetKernelArgInfo(kernel, i, CL_KERNEL_ARG_TYPE_NAME, room, text, &size));
    a->name = ASK_STRING(d->clGetKernelArgInfo(kernel, i, CL_KERNEL_ARG_NAME, room, text, &size));
    a->size = meta_arg_size(a->address, a->type_name);
    a->takes = meta_type_takes(a->address, a->type_name);
    if (!(a->type_qualifier & CL_KERNEL_ARG_TYPE_PIPE)) return;
    a->size = sizeof(cl_mem); /* the type is that of its packets */
    a->takes = TAKES_MEM;
}

static void collect_group(struct kernel_device_meta *out, cl_kernel kernel, cl_device_id device) {
    const cl_icd_dispatch *d = DRIVER(kernel);
#define ASK(param, field)                                                                                    \
    d->clGetKernelWorkGroupInfo(kernel, device, param, sizeof out->field, &out->field, NULL)
    ASK(CL_KERNEL_WORK_GROUP_SIZE, work_group_size);
    ASK(CL_KERNEL_COMPILE_WORK_GROUP_SIZE, compile_work_group_size);
    ASK(CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, preferred_multiple);
    ASK(CL_KERNEL_GLOBAL_WORK_SIZE, global_work_size);
    ASK(CL_KERNEL_LOCAL_MEM_SIZE, local_mem_bytes);
    ASK(CL_KERNEL_PRIVATE_MEM_SIZE, private_mem_bytes);
#undef ASK
}

static bool collect_kernel(struct kernel_meta *k, cl_kernel kernel, const struct program_meta *m,
                           const cl_device_id *devices) {
    const cl_icd_dispatch *d = DRIVER(kernel);
    k->name = ASK_STRING(d->clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, room, text, &size));
    k->attributes = ASK_STRING(d->clGetKernelInfo(kernel, CL_KERNEL_ATTRIBUTES, room, text, &size));
    k->name = or_empty(k->name);
    k->attributes = or_empty(k->attributes);
    cl_uint args = 0;
    if (d->clGetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof args, &args, NULL) || args > META_ARGS_MAX)
        args = 0;
    k->args = calloc((size_t)args + 1, sizeof *k->args);
    k->devices = calloc((size_t)m->device_count + 1, sizeof *k->devices);
    if (!k->name || !k->attributes || !k->args || !k->devices) return false;
    k->arg_count = args;
    for (cl_uint i = 0; i < args; i++) collect_arg(&k->args[i], kernel, i);
    for (cl_uint i = 0; i < m->device_count; i++) {
        if (m->devices[i].status == CL_BUILD_SUCCESS) collect_group(&k->devices[i], kernel, devices[i]);
    }
    return true;
}

/* Kernels made for asking only. A program that is not executable has none. */
static bool collect_kernels(struct program_meta *m, cl_program program, const cl_device_id *devices) {
    const cl_icd_dispatch *d = DRIVER(program);
    cl_uint count = 0;
    if (d->clCreateKernelsInProgram(program, 0, NULL, &count) || count > META_KERNELS_MAX) count = 0;
    cl_kernel *kernels = calloc((size_t)count + 1, sizeof(cl_kernel));
    m->kernels = calloc((size_t)count + 1, sizeof *m->kernels);
    bool ok = kernels && m->kernels;
    if (!ok || !count || d->clCreateKernelsInProgram(program, count, kernels, NULL)) count = 0;
    for (cl_uint i = 0; i < count; i++) {
        if (ok) ok = collect_kernel(&m->kernels[m->kernel_count++], kernels[i], m, devices);
        d->clReleaseKernel(kernels[i]);
    }
    free(kernels);
    return ok;
}

/* By their names: some drivers do not tell built-in kernels otherwise. */
static bool collect_named(struct program_meta *m, cl_program program, const cl_device_id *devices,
                          const char *names) {
    size_t room = 1;
    for (const char *at = names; *at; at++) room += *at == ';';
    char *copy = strdup(names), *save = NULL;
    m->kernels = calloc(room, sizeof *m->kernels);
    bool ok = copy && m->kernels;
    for (char *name = ok ? strtok_r(copy, ";", &save) : NULL; ok && name; name = strtok_r(NULL, ";", &save)) {
        cl_kernel k = DRIVER(program)->clCreateKernel(program, name, NULL);
        if (!k) continue;
        ok = collect_kernel(&m->kernels[m->kernel_count++], k, m, devices);
        DRIVER(k)->clReleaseKernel(k);
    }
    for (cl_uint i = 0; !m->kernel_count && i < m->device_count; i++) m->devices[i].status = CL_BUILD_ERROR;
    free(copy);
    return ok;
}

/* builtin: the names of built-in kernels; NULL: an ordinary program. */
static struct program_meta *collect(cl_program program, cl_uint device_count, const cl_device_id *devices,
                                    const char *builtin) {
    struct program_meta *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->devices = calloc((size_t)device_count + 1, sizeof *m->devices);
    bool ok = m->devices, executable = false;
    for (cl_uint i = 0; ok && i < device_count; i++) {
        m->device_count++;
        ok = collect_device(&m->devices[i], program, devices[i]);
        if (builtin) m->devices[i].status = CL_BUILD_SUCCESS;
        if (program_meta_executable(&m->devices[i])) executable = true;
    }
    if (ok && builtin)
        ok = collect_named(m, program, devices, builtin);
    else if (ok && executable)
        ok = collect_kernels(m, program, devices);
    if (ok) return m;
    program_meta_free(m);
    return NULL;
}

struct program_meta *program_meta_collect(cl_program program, cl_uint device_count,
                                          const cl_device_id *devices) {
    return collect(program, device_count, devices, NULL);
}

struct program_meta *program_meta_collect_builtin(cl_program program, const char *names, cl_uint device_count,
                                                  const cl_device_id *devices) {
    return collect(program, device_count, devices, names);
}
