/* Direct: programs. A build, or a part of one, runs in the calling thread, as most drivers do it anyway. */
#include <stdlib.h>
#include <string.h>

#include "opencl/direct/internal.h"
#include "opencl/programs.h"

cl_int direct_create_program_source(struct backend *b, bk_ref context, const char *source, size_t bytes,
                                    bk_ref *out) {
    cl_int rc = CL_OUT_OF_RESOURCES;
    *out = to_ref(direct_driver(b)->dispatch->clCreateProgramWithSource(HANDLE(cl_context, context), 1,
                                                                        &source, &bytes, &rc));
    return rc;
}

cl_int direct_create_program_binary(struct backend *b, bk_ref context, cl_uint count, const cl_uint *devices,
                                    const size_t *sizes, const unsigned char *const *binaries, cl_int *status,
                                    bk_ref *out) {
    cl_device_id *ids = direct_pick(b, count, devices);
    if (!ids) return CL_OUT_OF_HOST_MEMORY;
    cl_int rc = CL_OUT_OF_RESOURCES;
    *out = to_ref(direct_driver(b)->dispatch->clCreateProgramWithBinary(
        HANDLE(cl_context, context), count, ids, sizes, (const unsigned char **)binaries, status, &rc));
    free(ids);
    return rc;
}

/* The devices of the program's context, as they were named (heap). */
static cl_device_id *context_devices(struct backend *b, cl_program program, cl_uint *count) {
    cl_context context = NULL;
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    if (d->clGetProgramInfo(program, CL_PROGRAM_CONTEXT, sizeof(cl_context), &context, NULL)) return NULL;
    return direct_context_devices(b, context, count);
}

/* Tells the end of a build; the build's own status is rc. */
static void tell_built(struct backend *b, cl_program p, cl_int rc, const char *builtin, bk_built_fn *built,
                       void *arg) {
    cl_uint all = 0;
    cl_device_id *of_context = p ? context_devices(b, p, &all) : NULL;
    struct program_meta *meta = NULL;
    if (of_context)
        meta = builtin ? program_meta_collect_builtin(p, builtin, all, of_context)
                       : program_meta_collect(p, all, of_context);
    free(of_context);
    if (!meta && rc == CL_SUCCESS) rc = CL_OUT_OF_HOST_MEMORY;
    built(arg, rc, meta);
}

cl_int direct_build(struct backend *b, bk_ref program, cl_uint count, const cl_uint *devices,
                    const char *options, bk_built_fn *built, void *arg) {
    cl_program p = HANDLE(cl_program, program);
    cl_device_id *ids = devices ? direct_pick(b, count, devices) : NULL;
    if (devices && !ids) return CL_OUT_OF_HOST_MEMORY;
    cl_int rc = program_build(p, devices ? count : 0, ids, options ? options : "");
    free(ids);
    tell_built(b, p, rc, NULL, built, arg);
    return CL_SUCCESS;
}

_Static_assert(sizeof(bk_ref) == sizeof(cl_program), "references are handles");

cl_int direct_compile(struct backend *b, bk_ref program, cl_uint count, const cl_uint *devices,
                      const char *options, cl_uint header_count, const bk_ref *headers,
                      const char *const *names, bk_built_fn *built, void *arg) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    cl_program p = HANDLE(cl_program, program);
    if (!d->clCompileProgram) return CL_COMPILER_NOT_AVAILABLE;
    cl_device_id *ids = direct_pick(b, count, devices);
    if (!ids) return CL_OUT_OF_HOST_MEMORY;
    /* As the program asked for it: where an executor on this machine compiles the same at the same time, with
     * an option more, PoCL (3.1) could not link what the two left in its cache if both had that option. */
    cl_int rc = d->clCompileProgram(p, count, ids, options, header_count,
                                    header_count ? (const cl_program *)headers : NULL,
                                    header_count ? (const char **)names : NULL, NULL, NULL);
    free(ids);
    tell_built(b, p, rc, NULL, built, arg);
    return CL_SUCCESS;
}

cl_int direct_link(struct backend *b, bk_ref context, cl_uint count, const cl_uint *devices,
                   const char *options, cl_uint input_count, const bk_ref *inputs, bk_built_fn *built,
                   void *arg, bk_ref *out) {
    cl_device_id *ids = direct_pick(b, count, devices);
    if (!ids) return CL_OUT_OF_HOST_MEMORY;
    cl_int rc;
    cl_program p = program_link(HANDLE(cl_context, context), direct_is_pocl(b), count, ids, options,
                                input_count, (const cl_program *)inputs, &rc);
    free(ids);
    *out = to_ref(p);
    tell_built(b, p, rc, NULL, built, arg);
    return CL_SUCCESS;
}

cl_int direct_create_program_builtin(struct backend *b, bk_ref context, cl_uint count, const cl_uint *devices,
                                     const char *names, bk_built_fn *built, void *arg, bk_ref *out) {
    cl_device_id *ids = direct_pick(b, count, devices);
    if (!ids) return CL_OUT_OF_HOST_MEMORY;
    cl_int rc;
    cl_program p = program_builtin(HANDLE(cl_context, context), direct_is_pocl(b), count, ids, names, &rc);
    free(ids);
    if (!p) return rc;
    *out = to_ref(p);
    tell_built(b, p, CL_SUCCESS, names, built, arg);
    return CL_SUCCESS;
}

cl_int direct_create_program_il(struct backend *b, bk_ref context, const void *il, size_t bytes,
                                bk_ref *out) {
    create_il_fn *create = program_find_create_il(direct_driver(b));
    cl_int rc = CL_OUT_OF_RESOURCES;
    if (!create) return CL_INVALID_OPERATION;
    *out = to_ref(create(HANDLE(cl_context, context), il, bytes, &rc));
    return rc;
}

cl_int direct_set_specialization(struct backend *b, bk_ref program, cl_uint id, size_t size,
                                 const void *value) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    if (!d->clSetProgramSpecializationConstant) return CL_INVALID_OPERATION;
    return d->clSetProgramSpecializationConstant(HANDLE(cl_program, program), id, size, value);
}

cl_int direct_get_binaries(struct backend *b, bk_ref program, cl_uint count, unsigned char **blobs,
                           size_t *sizes) {
    cl_program p = HANDLE(cl_program, program);
    cl_uint all = 0;
    cl_device_id *of_context = context_devices(b, p, &all);
    if (!of_context) return CL_OUT_OF_HOST_MEMORY;
    cl_int rc = program_binaries(p, all < count ? all : count, of_context, SIZE_MAX, blobs, sizes);
    free(of_context);
    return rc;
}
