/* Binaries of a program: the driver's are those of the program's devices, which are all or some of its
 * context's. */
#include "opencl/programs.h"

#include <stdlib.h>
#include <string.h>

static cl_int fetch(cl_program p, cl_uint n, size_t max, size_t *sizes, unsigned char **blobs) {
    const cl_icd_dispatch *d = DRIVER(p);
    size_t told = 0;
    cl_int rc = d->clGetProgramInfo(p, CL_PROGRAM_BINARY_SIZES, n * sizeof *sizes, sizes, &told);
    /* PoCL, built for some of its devices, tells these only, and not which they are. */
    if (rc == CL_SUCCESS && told != n * sizeof *sizes) {
        memset(sizes, 0, n * sizeof *sizes);
        return CL_SUCCESS;
    }
    for (cl_uint i = 0; i < n && rc == CL_SUCCESS; i++) {
        if (sizes[i] > max) rc = CL_OUT_OF_RESOURCES;
        if (rc == CL_SUCCESS && sizes[i] && !(blobs[i] = malloc(sizes[i]))) rc = CL_OUT_OF_HOST_MEMORY;
    }
    return rc == CL_SUCCESS
               ? d->clGetProgramInfo(p, CL_PROGRAM_BINARIES, n * sizeof(unsigned char *), blobs, NULL)
               : rc;
}

static cl_uint place_of(cl_device_id device, const cl_device_id *list, cl_uint count) {
    cl_uint i = 0;
    while (i < count && list[i] != device) i++;
    return i;
}

cl_int program_binaries(cl_program p, cl_uint count, const cl_device_id *devices, size_t max,
                        unsigned char **blobs, size_t *sizes) {
    const cl_icd_dispatch *d = DRIVER(p);
    cl_uint n = 0;
    cl_int rc = d->clGetProgramInfo(p, CL_PROGRAM_NUM_DEVICES, sizeof n, &n, NULL);
    if (rc != CL_SUCCESS || n == 0) return rc;
    cl_device_id *own_devices = calloc(n, sizeof(cl_device_id));
    size_t *own_sizes = calloc(n, sizeof *own_sizes);
    unsigned char **own = calloc(n, sizeof(unsigned char *));
    rc = CL_OUT_OF_HOST_MEMORY;
    if (own_devices && own_sizes && own) {
        rc = d->clGetProgramInfo(p, CL_PROGRAM_DEVICES, n * sizeof(cl_device_id), own_devices, NULL);
        if (rc == CL_SUCCESS) rc = fetch(p, n, max, own_sizes, own);
    }
    for (cl_uint i = 0; own && i < n; i++) {
        cl_uint at = rc == CL_SUCCESS ? place_of(own_devices[i], devices, count) : count;
        if (at < count) {
            blobs[at] = own[i];
            sizes[at] = own_sizes[i];
        } else {
            free(own[i]);
        }
    }
    free(own_devices);
    free(own_sizes);
    free(own);
    return rc;
}
