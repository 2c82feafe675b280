/* An OpenCL device as something to measure, by the plain API of its driver. */
#ifndef WEFT_CLI_MODEL_MEASURE_OPENCL_H
#define WEFT_CLI_MODEL_MEASURE_OPENCL_H
#include "model/measure/measure.h"
#include "opencl/drivers.h"

struct measure_device {
    const cl_icd_dispatch *cl;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    cl_program program;
    cl_mem buffer[3]; /* `bytes` each */
    size_t bytes;
    uint8_t *host; /* as many bytes */
    char name[200];
    cl_device_type type;
    cl_uint units;
};

/* Error codes are OpenCL's. To be closed in any case. */
cl_int measure_device_open(struct measure_device *d, cl_device_id id, const char *source, size_t bytes);
void measure_device_close(struct measure_device *d);
/* A kernel of the program whose first arguments are the buffers, and the last, if `n` is not negative, that
 * number. */
cl_int measure_device_kernel(struct measure_device *d, const char *name, cl_int n, cl_kernel *out);
/* Seconds of one run in a batch, each waited for. */
cl_int measure_device_once(struct measure_device *d, cl_kernel kernel, size_t items, unsigned batch,
                           double *seconds);
/* How many work-groups the driver makes of so many items: a kernel of MEASURE_GROUPS_SOURCE says it. */
#define MEASURE_GROUPS_SOURCE                                                                                \
    "__kernel void groups(__global float *a, __global float *b, __global float *c) {\n"                      \
    "  if (get_global_id(0) == 0) c[0] = get_num_groups(0);\n"                                               \
    "}\n"
cl_int measure_device_groups(struct measure_device *d, cl_kernel kernel, size_t items, double *groups);
/* Seconds of one run, with the launch and the wait for its end, in `repeats` samples of `batch` runs after
 * one that warms up. */
cl_int measure_device_run(struct measure_device *d, cl_kernel kernel, size_t items, unsigned batch,
                          unsigned repeats, struct measure_value *out);
/* Seconds of a transfer that is waited for. */
cl_int measure_device_copy(struct measure_device *d, bool write, size_t bytes, unsigned repeats,
                           struct measure_value *out);

#endif
