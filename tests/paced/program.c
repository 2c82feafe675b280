/* Paced devices: programs, whose kernels are known by name, and kernels with their arguments. */
#include <stdlib.h>
#include <string.h>

#include "api.h"

static void *give(void *object, cl_int error, cl_int *err) {
    if (err) *err = object ? CL_SUCCESS : error;
    return object;
}
#define TEXT(s)     paced_answer((s), strlen(s) + 1, room, out, size)
#define VALUE(T, v) paced_answer(&(T){v}, sizeof(T), room, out, size)

static void destroy_program(void *object) {
    cl_program p = object;
    paced_release(p->context);
    free(p->source);
    free(p->options);
    free(p);
}

static char *join(cl_uint count, const char **strings, const size_t *lengths) {
    size_t total = 0, at = 0;
    for (cl_uint i = 0; i < count; i++) total += lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
    char *text = calloc(1, total + 1);
    for (cl_uint i = 0; text && i < count; i++) {
        size_t n = lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
        memcpy(text + at, strings[i], n);
        at += n;
    }
    return text;
}

PACED_API(cl_program, clCreateProgramWithSource, cl_context c, cl_uint count, const char **strings,
          const size_t *lengths, cl_int *err) {
    if (!count || !strings) return give(NULL, CL_INVALID_VALUE, err);
    cl_program p = paced_new(sizeof *p, destroy_program);
    if (!p) return give(NULL, CL_OUT_OF_HOST_MEMORY, err);
    paced_retain(c);
    p->context = c;
    p->status = CL_BUILD_NONE;
    p->log = "";
    p->source = join(count, strings, lengths);
    p->options = strdup("");
    if (p->source && p->options) return give(p, CL_SUCCESS, err);
    destroy_program(p);
    return give(NULL, CL_OUT_OF_HOST_MEMORY, err);
}

/* The source has a kernel of that name: the word, and a parenthesis after it. */
static bool defines(const char *source, const char *name) {
    size_t n = strlen(name);
    for (const char *at = source; (at = strstr(at, name)); at += n) {
        if (at != source && (at[-1] == ' ' || at[-1] == '*') && at[n + strspn(at + n, " ")] == '(')
            return true;
    }
    return false;
}

static cl_uint kernels_of(cl_program p, const struct paced_kernel **list) {
    cl_uint count = 0;
    for (size_t i = 0; p->status == CL_BUILD_SUCCESS && i < paced_kernel_count; i++)
        if (defines(p->source, paced_kernels[i].name)) list[count++] = &paced_kernels[i];
    return count;
}

PACED_API(cl_int, clBuildProgram, cl_program p, cl_uint count, const cl_device_id *devices,
          const char *options, paced_build_fn *fn, void *arg) {
    const struct paced_kernel *list[1];
    char *own = strdup(options ? options : "");
    if (!own) return CL_OUT_OF_HOST_MEMORY;
    free(p->options);
    p->options = own;
    p->status = CL_BUILD_SUCCESS;
    p->log = "";
    if (!kernels_of(p, list)) {
        p->status = CL_BUILD_ERROR;
        p->log = "paced devices know the kernel sbmp only, and this source has none of that name";
    }
    if (fn) fn(p, arg);
    return p->status == CL_BUILD_SUCCESS ? CL_SUCCESS : CL_BUILD_PROGRAM_FAILURE;
}

PACED_API(cl_int, clGetProgramInfo, cl_program p, cl_program_info what, size_t room, void *out,
          size_t *size) {
    const struct paced_kernel *list[1];
    switch (what) {
    case CL_PROGRAM_REFERENCE_COUNT: return VALUE(cl_uint, p->head.refs);
    case CL_PROGRAM_CONTEXT: return VALUE(cl_context, p->context);
    case CL_PROGRAM_NUM_DEVICES: return VALUE(cl_uint, p->context->count);
    case CL_PROGRAM_DEVICES:
        return paced_answer(p->context->device, p->context->count * sizeof(cl_device_id), room, out, size);
    case CL_PROGRAM_SOURCE: return TEXT(p->source);
    case CL_PROGRAM_NUM_KERNELS: return VALUE(size_t, kernels_of(p, list));
    case CL_PROGRAM_KERNEL_NAMES: return TEXT(kernels_of(p, list) ? list[0]->name : "");
    default: return CL_INVALID_VALUE;
    }
}

PACED_API(cl_int, clGetProgramBuildInfo, cl_program p, cl_device_id d, cl_program_build_info what,
          size_t room, void *out, size_t *size) {
    bool built = p->status == CL_BUILD_SUCCESS;
    switch (what) {
    case CL_PROGRAM_BUILD_STATUS: return VALUE(cl_build_status, p->status);
    case CL_PROGRAM_BUILD_OPTIONS: return TEXT(p->options);
    case CL_PROGRAM_BUILD_LOG: return TEXT(p->log);
    case CL_PROGRAM_BINARY_TYPE:
        return VALUE(cl_program_binary_type,
                     built ? CL_PROGRAM_BINARY_TYPE_EXECUTABLE : CL_PROGRAM_BINARY_TYPE_NONE);
    default: return CL_INVALID_VALUE;
    }
}

/* ---- kernels ---- */
static void destroy_kernel(void *object) {
    cl_kernel k = object;
    paced_release(k->program);
    free(k);
}

static cl_kernel make_kernel(cl_program p, const struct paced_kernel *what) {
    cl_kernel k = paced_new(sizeof *k, destroy_kernel);
    if (!k) return NULL;
    paced_retain(p);
    k->program = p;
    k->what = what;
    return k;
}

PACED_API(cl_kernel, clCreateKernel, cl_program p, const char *name, cl_int *err) {
    const struct paced_kernel *what = name ? paced_find_kernel(name) : NULL;
    if (p->status != CL_BUILD_SUCCESS) return give(NULL, CL_INVALID_PROGRAM_EXECUTABLE, err);
    if (!what || !defines(p->source, name)) return give(NULL, CL_INVALID_KERNEL_NAME, err);
    return give(make_kernel(p, what), CL_OUT_OF_HOST_MEMORY, err);
}

PACED_API(cl_int, clCreateKernelsInProgram, cl_program p, cl_uint room, cl_kernel *out, cl_uint *count) {
    const struct paced_kernel *list[1];
    if (p->status != CL_BUILD_SUCCESS) return CL_INVALID_PROGRAM_EXECUTABLE;
    cl_uint found = kernels_of(p, list);
    if (out && room < found) return CL_INVALID_VALUE;
    if (count) *count = found;
    for (cl_uint i = 0; out && i < found; i++)
        if (!(out[i] = make_kernel(p, list[i]))) return CL_OUT_OF_HOST_MEMORY;
    return CL_SUCCESS;
}

PACED_API(cl_int, clSetKernelArg, cl_kernel k, cl_uint index, size_t bytes, const void *value) {
    if (index >= k->what->args) return CL_INVALID_ARG_INDEX;
    struct paced_value *v = &k->arg[index];
    bool is_buffer = k->what->arg[index].is_buffer;
    if (bytes != (is_buffer ? sizeof v->mem : sizeof v->number)) return CL_INVALID_ARG_SIZE;
    if (!value) return CL_INVALID_ARG_VALUE;
    if (is_buffer)
        memcpy(&v->mem, value, sizeof v->mem);
    else
        memcpy(&v->number, value, sizeof v->number);
    v->set = !is_buffer || v->mem;
    return CL_SUCCESS;
}

PACED_API(cl_int, clGetKernelInfo, cl_kernel k, cl_kernel_info what, size_t room, void *out, size_t *size) {
    switch (what) {
    case CL_KERNEL_FUNCTION_NAME: return TEXT(k->what->name);
    case CL_KERNEL_NUM_ARGS: return VALUE(cl_uint, k->what->args);
    case CL_KERNEL_REFERENCE_COUNT: return VALUE(cl_uint, k->head.refs);
    case CL_KERNEL_CONTEXT: return VALUE(cl_context, k->program->context);
    case CL_KERNEL_PROGRAM: return VALUE(cl_program, k->program);
    case CL_KERNEL_ATTRIBUTES: return TEXT("");
    default: return CL_INVALID_VALUE;
    }
}

PACED_API(cl_int, clGetKernelArgInfo, cl_kernel k, cl_uint index, cl_kernel_arg_info what, size_t room,
          void *out, size_t *size) {
    if (index >= k->what->args) return CL_INVALID_ARG_INDEX;
    bool is_buffer = k->what->arg[index].is_buffer;
    switch (what) {
    case CL_KERNEL_ARG_ADDRESS_QUALIFIER:
        return VALUE(cl_kernel_arg_address_qualifier,
                     is_buffer ? CL_KERNEL_ARG_ADDRESS_GLOBAL : CL_KERNEL_ARG_ADDRESS_PRIVATE);
    case CL_KERNEL_ARG_ACCESS_QUALIFIER:
        return VALUE(cl_kernel_arg_access_qualifier, CL_KERNEL_ARG_ACCESS_NONE);
    case CL_KERNEL_ARG_TYPE_QUALIFIER: return VALUE(cl_kernel_arg_type_qualifier, CL_KERNEL_ARG_TYPE_NONE);
    case CL_KERNEL_ARG_TYPE_NAME: return TEXT(is_buffer ? "float*" : "int");
    case CL_KERNEL_ARG_NAME: return TEXT(k->what->arg[index].name);
    default: return CL_INVALID_VALUE;
    }
}

PACED_API(cl_int, clGetKernelWorkGroupInfo, cl_kernel k, cl_device_id d, cl_kernel_work_group_info what,
          size_t room, void *out, size_t *size) {
    static const size_t any_shape[3] = {0};
    switch (what) {
    case CL_KERNEL_WORK_GROUP_SIZE: return VALUE(size_t, 1 << 20);
    case CL_KERNEL_COMPILE_WORK_GROUP_SIZE: return paced_answer(any_shape, sizeof any_shape, room, out, size);
    case CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE: return VALUE(size_t, 1);
    case CL_KERNEL_LOCAL_MEM_SIZE:
    case CL_KERNEL_PRIVATE_MEM_SIZE: return VALUE(cl_ulong, 0);
    default: return CL_INVALID_VALUE;
    }
}
