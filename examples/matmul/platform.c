/* Contexts and programs: one of each for every platform in use, shared by its devices. */
#include "clerror.h"
#include "matmul.h"
#include <stdlib.h>
#include <string.h>

static const char source[] = "__kernel void sbmp(const int n, const int slice, __global float *subA,\n"
                             "                   __global float *subB, __global float *subC) {\n"
                             "    int i, j, k; float v = 0;\n"
                             "\n"
                             "    i = get_global_id(0); j = get_global_id(1);\n"
                             "    for (k = 0; k < n; k++)\n"
                             "        v += subA[i*n+k] * subB[j*n+k];\n"
                             "    subC[i*slice+j] = v;\n"
                             "}\n";

/* Prints the build log of the device whose build failed; it says what the error code cannot. */
static void print_log(cl_program program, const struct cldevice *d) {
    size_t size = 0;
    if (clGetProgramBuildInfo(program, d->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) || size < 2) return;
    char *log = calloc(1, size + 1);
    if (log && !clGetProgramBuildInfo(program, d->id, CL_PROGRAM_BUILD_LOG, size, log, NULL))
        fprintf(stderr, "build log of %s:\n%s\n", d->name, log);
    free(log);
}

/* The device that made the build fail, its log printed; the first one if no device tells. */
static const struct cldevice *culprit(cl_program program, const struct cldevice *first, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        cl_build_status status = CL_BUILD_NONE;
        clGetProgramBuildInfo(program, first[i].id, CL_PROGRAM_BUILD_STATUS, sizeof status, &status, NULL);
        if (status != CL_BUILD_ERROR) continue;
        print_log(program, &first[i]);
        return &first[i];
    }
    return first;
}

static int open_one(struct job *j, struct platform *p, const struct cldevice *first, unsigned count) {
    cl_device_id *ids = calloc(count, sizeof *ids);
    if (!ids) return job_fail(j, NULL, "calloc", CL_OUT_OF_HOST_MEMORY);
    for (unsigned i = 0; i < count; i++) ids[i] = first[i].id;
    const cl_context_properties props[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)first->platform, 0};
    const char *text = source, *call = "clCreateContext";
    cl_int err;
    p->context = clCreateContext(props, count, ids, NULL, NULL, &err);
    if (!err) {
        call = "clCreateProgramWithSource";
        p->program = clCreateProgramWithSource(p->context, 1, &text, NULL, &err);
    }
    if (!err) {
        call = "clBuildProgram";
        err = clBuildProgram(p->program, count, ids, "", NULL, NULL);
        if (err) first = culprit(p->program, first, count);
    }
    free(ids);
    return err ? job_fail(j, first, call, err) : 0;
}

int platforms_open(struct job *j) {
    j->platforms = calloc(j->n_devices, sizeof *j->platforms);
    if (!j->platforms) return job_fail(j, NULL, "calloc", CL_OUT_OF_HOST_MEMORY);
    for (unsigned i = 0, count; i < j->n_devices; i += count) {
        const struct cldevice *first = &j->devices[i];
        for (count = 1; i + count < j->n_devices; count++)
            if (first[count].platform_index != first->platform_index) break;
        struct platform *p = &j->platforms[j->n_platforms++];
        if (open_one(j, p, first, count)) return -1;
        for (unsigned k = 0; k < count; k++) j->workers[i + k].platform = p;
    }
    return 0;
}

void platforms_close(struct job *j) {
    for (unsigned i = 0; i < j->n_platforms; i++) {
        if (j->platforms[i].program) clReleaseProgram(j->platforms[i].program);
        if (j->platforms[i].context) clReleaseContext(j->platforms[i].context);
    }
    free(j->platforms);
}
