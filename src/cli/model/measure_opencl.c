/* An OpenCL device: opening it, and timing runs and transfers. */
#include "cli/model/measure_opencl.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

#define REPEATS_MAX 64

static cl_int make(struct measure_device *d, const char *source) {
    cl_int rc;
    d->context = d->cl->clCreateContext(NULL, 1, &d->id, NULL, NULL, &rc);
    if (rc) return rc;
    d->queue = d->cl->clCreateCommandQueue(d->context, d->id, 0, &rc);
    if (rc) return rc;
    d->program = d->cl->clCreateProgramWithSource(d->context, 1, &source, NULL, &rc);
    if (rc) return rc;
    rc = d->cl->clBuildProgram(d->program, 1, &d->id, "", NULL, NULL);
    for (int i = 0; i < 3 && !rc; i++)
        d->buffer[i] = d->cl->clCreateBuffer(d->context, CL_MEM_READ_WRITE, d->bytes, NULL, &rc);
    for (int i = 0; i < 3 && !rc; i++)
        rc =
            d->cl->clEnqueueWriteBuffer(d->queue, d->buffer[i], CL_TRUE, 0, d->bytes, d->host, 0, NULL, NULL);
    return rc;
}

cl_int measure_device_open(struct measure_device *d, cl_device_id id, const char *source, size_t bytes) {
    *d = (struct measure_device){.cl = DRIVER(id), .id = id, .bytes = bytes};
    d->cl->clGetDeviceInfo(id, CL_DEVICE_NAME, sizeof d->name - 1, d->name, NULL);
    d->cl->clGetDeviceInfo(id, CL_DEVICE_TYPE, sizeof d->type, &d->type, NULL);
    d->cl->clGetDeviceInfo(id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof d->units, &d->units, NULL);
    float *f = malloc(bytes);
    d->host = (uint8_t *)f;
    if (!f) return CL_OUT_OF_HOST_MEMORY;
    for (size_t i = 0; i < bytes / sizeof *f; i++) f[i] = 1.0f; /* no denormal numbers, which are slow */
    return make(d, source);
}

void measure_device_close(struct measure_device *d) {
    for (int i = 0; i < 3; i++)
        if (d->buffer[i]) d->cl->clReleaseMemObject(d->buffer[i]);
    if (d->program) d->cl->clReleaseProgram(d->program);
    if (d->queue) d->cl->clReleaseCommandQueue(d->queue);
    if (d->context) d->cl->clReleaseContext(d->context);
    free(d->host);
}

cl_int measure_device_kernel(struct measure_device *d, const char *name, cl_int n, cl_kernel *out) {
    cl_int rc;
    *out = d->cl->clCreateKernel(d->program, name, &rc);
    for (cl_uint i = 0; i < 3 && !rc; i++) rc = d->cl->clSetKernelArg(*out, i, sizeof(cl_mem), &d->buffer[i]);
    if (!rc && n >= 0) rc = d->cl->clSetKernelArg(*out, 3, sizeof n, &n);
    return rc;
}

cl_int measure_device_once(struct measure_device *d, cl_kernel kernel, size_t items, unsigned batch,
                           double *seconds) {
    cl_int rc = CL_SUCCESS;
    uint64_t before = weft_now_ns();
    for (unsigned i = 0; i < batch && !rc; i++) {
        rc = d->cl->clEnqueueNDRangeKernel(d->queue, kernel, 1, NULL, &items, NULL, 0, NULL, NULL);
        if (!rc) rc = d->cl->clFinish(d->queue);
    }
    *seconds = (double)(weft_now_ns() - before) / 1e9 / batch;
    return rc;
}

cl_int measure_device_run(struct measure_device *d, cl_kernel kernel, size_t items, unsigned batch,
                          unsigned repeats, struct measure_value *out) {
    double sample[REPEATS_MAX];
    if (repeats > REPEATS_MAX) repeats = REPEATS_MAX;
    cl_int rc = measure_device_once(d, kernel, items, 1, &sample[0]);
    for (unsigned i = 0; i < repeats && !rc; i++)
        rc = measure_device_once(d, kernel, items, batch, &sample[i]);
    if (!rc) *out = measure_summary(sample, repeats);
    return rc;
}

cl_int measure_device_groups(struct measure_device *d, cl_kernel kernel, size_t items, double *groups) {
    float number = 0;
    double seconds;
    cl_int rc = measure_device_once(d, kernel, items, 1, &seconds);
    if (!rc)
        rc = d->cl->clEnqueueReadBuffer(d->queue, d->buffer[2], CL_TRUE, 0, sizeof number, &number, 0, NULL,
                                        NULL);
    if (!rc) *groups = (double)number;
    return rc;
}

cl_int measure_device_copy(struct measure_device *d, bool write, size_t bytes, unsigned repeats,
                           struct measure_value *out) {
    double sample[REPEATS_MAX];
    cl_int rc = CL_SUCCESS;
    if (repeats > REPEATS_MAX) repeats = REPEATS_MAX;
    for (unsigned i = 0; i <= repeats && !rc; i++) { /* the first warms up */
        uint64_t before = weft_now_ns();
        rc = write ? d->cl->clEnqueueWriteBuffer(d->queue, d->buffer[0], CL_TRUE, 0, bytes, d->host, 0, NULL,
                                                 NULL)
                   : d->cl->clEnqueueReadBuffer(d->queue, d->buffer[0], CL_TRUE, 0, bytes, d->host, 0, NULL,
                                                NULL);
        if (i) sample[i - 1] = (double)(weft_now_ns() - before) / 1e9;
    }
    if (!rc) *out = measure_summary(sample, repeats);
    return rc;
}
