/* Direct: programs. A build runs in the calling thread, as most drivers do it anyway. */
#include <stdlib.h>
#include <string.h>

#include "opencl/direct/internal.h"

cl_int direct_create_program_source(struct backend *b, bk_ref context, const char *source, size_t bytes,
                                    bk_ref *out) {
    cl_int rc = CL_OUT_OF_RESOURCES;
    *out = to_ref(direct_driver(b)->dispatch->clCreateProgramWithSource(HANDLE(cl_context, context), 1,
                                                                        &source, &bytes, &rc));
    return rc;
}

static cl_device_id *pick(const struct backend *b, cl_uint count, const cl_uint *numbers) {
    cl_device_id *ids = calloc(count ? count : 1, sizeof(cl_device_id));
    for (cl_uint i = 0; ids && i < count; i++) ids[i] = direct_driver(b)->devices[numbers[i]];
    return ids;
}

cl_int direct_create_program_binary(struct backend *b, bk_ref context, cl_uint count, const cl_uint *devices,
                                    const size_t *sizes, const unsigned char *const *binaries, cl_int *status,
                                    bk_ref *out) {
    cl_device_id *ids = pick(b, count, devices);
    if (!ids) return CL_OUT_OF_HOST_MEMORY;
    cl_int rc = CL_OUT_OF_RESOURCES;
    *out = to_ref(direct_driver(b)->dispatch->clCreateProgramWithBinary(
        HANDLE(cl_context, context), count, ids, sizes, (const unsigned char **)binaries, status, &rc));
    free(ids);
    return rc;
}

/* The devices of the program's context, in its order (heap). */
static cl_device_id *context_devices(const cl_icd_dispatch *d, cl_program program, cl_uint *count) {
    cl_context context = NULL;
    size_t bytes = 0;
    if (d->clGetProgramInfo(program, CL_PROGRAM_CONTEXT, sizeof(cl_context), &context, NULL)) return NULL;
    if (d->clGetContextInfo(context, CL_CONTEXT_DEVICES, 0, NULL, &bytes) || !bytes) return NULL;
    cl_device_id *ids = malloc(bytes);
    if (ids && d->clGetContextInfo(context, CL_CONTEXT_DEVICES, bytes, ids, NULL)) {
        free(ids);
        return NULL;
    }
    *count = (cl_uint)(bytes / sizeof(cl_device_id));
    return ids;
}

cl_int direct_build(struct backend *b, bk_ref program, cl_uint count, const cl_uint *devices,
                    const char *options, bk_built_fn *built, void *arg) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    cl_program p = HANDLE(cl_program, program);
    cl_device_id *ids = devices ? pick(b, count, devices) : NULL;
    if (devices && !ids) return CL_OUT_OF_HOST_MEMORY;
    cl_int rc = d->clBuildProgram(p, devices ? count : 0, ids, options, NULL, NULL);
    free(ids);
    cl_uint all = 0;
    cl_device_id *of_context = context_devices(d, p, &all);
    struct program_meta *meta = of_context ? program_meta_collect(p, all, of_context) : NULL;
    free(of_context);
    if (!meta && rc == CL_SUCCESS) rc = CL_OUT_OF_HOST_MEMORY;
    built(arg, rc, meta);
    return CL_SUCCESS;
}

/* The driver's binaries are those of the program's devices, which are all or some of its context's. */
static cl_int fetch(const cl_icd_dispatch *d, cl_program p, cl_uint n, size_t *sizes, unsigned char **blobs) {
    cl_int rc = d->clGetProgramInfo(p, CL_PROGRAM_BINARY_SIZES, n * sizeof *sizes, sizes, NULL);
    for (cl_uint i = 0; i < n && rc == CL_SUCCESS; i++)
        if (sizes[i] && !(blobs[i] = malloc(sizes[i]))) rc = CL_OUT_OF_HOST_MEMORY;
    return rc == CL_SUCCESS
               ? d->clGetProgramInfo(p, CL_PROGRAM_BINARIES, n * sizeof(unsigned char *), blobs, NULL)
               : rc;
}

static cl_uint place_of(cl_device_id device, const cl_device_id *list, cl_uint count) {
    cl_uint i = 0;
    while (i < count && list[i] != device) i++;
    return i;
}

cl_int direct_get_binaries(struct backend *b, bk_ref program, cl_uint count, unsigned char **blobs,
                           size_t *sizes) {
    const cl_icd_dispatch *d = direct_driver(b)->dispatch;
    cl_program p = HANDLE(cl_program, program);
    cl_uint n = 0, all = 0;
    cl_int rc = d->clGetProgramInfo(p, CL_PROGRAM_NUM_DEVICES, sizeof n, &n, NULL);
    if (rc != CL_SUCCESS || n == 0) return rc;
    cl_device_id *of_program = calloc(n, sizeof(cl_device_id)), *of_context = context_devices(d, p, &all);
    size_t *own_sizes = calloc(n, sizeof *own_sizes);
    unsigned char **own = calloc(n, sizeof(unsigned char *));
    rc = CL_OUT_OF_HOST_MEMORY;
    if (of_program && of_context && own_sizes && own) {
        rc = d->clGetProgramInfo(p, CL_PROGRAM_DEVICES, n * sizeof(cl_device_id), of_program, NULL);
        if (rc == CL_SUCCESS) rc = fetch(d, p, n, own_sizes, own);
    }
    for (cl_uint i = 0; own && i < n; i++) {
        cl_uint at = rc == CL_SUCCESS ? place_of(of_program[i], of_context, all) : all;
        if (at < count && at < all) {
            blobs[at] = own[i];
            sizes[at] = own_sizes[i];
        } else {
            free(own[i]);
        }
    }
    free(of_program);
    free(of_context);
    free(own_sizes);
    free(own);
    return rc;
}
