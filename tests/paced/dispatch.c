/* Paced devices: the dispatch table. Objects of every kind begin alike, so that one pair of functions counts
 * references. */
#include "api.h"

#include <stdlib.h>

void *paced_new(size_t bytes, void (*destroy)(void *)) {
    struct paced_head *h = calloc(1, bytes);
    if (!h) return NULL;
    h->dispatch = &paced_dispatch;
    h->refs = 1;
    h->destroy = destroy;
    return h;
}

cl_int paced_retain(void *object) {
    atomic_fetch_add(&((struct paced_head *)object)->refs, 1);
    return CL_SUCCESS;
}

cl_int paced_release(void *object) {
    struct paced_head *h = object;
    if (atomic_fetch_sub(&h->refs, 1) == 1) h->destroy(object);
    return CL_SUCCESS;
}

#define COUNTED(Kind, type)                                                                                  \
    static cl_int CL_API_CALL retain_##Kind(type o) { return paced_retain(o); }                              \
    static cl_int CL_API_CALL release_##Kind(type o) { return paced_release(o); }
COUNTED(Context, cl_context)
COUNTED(CommandQueue, cl_command_queue)
COUNTED(MemObject, cl_mem)
COUNTED(Program, cl_program)
COUNTED(Kernel, cl_kernel)
COUNTED(Event, cl_event)

#define SLOT(name)   .name = paced_##name
#define COUNTS(Kind) .clRetain##Kind = retain_##Kind, .clRelease##Kind = release_##Kind

const cl_icd_dispatch paced_dispatch = {
    SLOT(clGetPlatformInfo),
    SLOT(clGetDeviceIDs),
    SLOT(clGetDeviceInfo),
    SLOT(clCreateContext),
    COUNTS(Context),
    SLOT(clGetContextInfo),
    SLOT(clCreateBuffer),
    COUNTS(MemObject),
    SLOT(clCreateProgramWithSource),
    SLOT(clBuildProgram),
    SLOT(clGetProgramInfo),
    SLOT(clGetProgramBuildInfo),
    COUNTS(Program),
    SLOT(clCreateKernel),
    SLOT(clCreateKernelsInProgram),
    SLOT(clSetKernelArg),
    SLOT(clGetKernelInfo),
    SLOT(clGetKernelArgInfo),
    SLOT(clGetKernelWorkGroupInfo),
    COUNTS(Kernel),
    SLOT(clCreateUserEvent),
    SLOT(clSetUserEventStatus),
    SLOT(clWaitForEvents),
    SLOT(clGetEventInfo),
    SLOT(clGetEventProfilingInfo),
    SLOT(clSetEventCallback),
    COUNTS(Event),
    SLOT(clCreateCommandQueue),
    COUNTS(CommandQueue),
    SLOT(clFlush),
    SLOT(clFinish),
    SLOT(clEnqueueReadBuffer),
    SLOT(clEnqueueWriteBuffer),
    SLOT(clEnqueueCopyBuffer),
    SLOT(clEnqueueNDRangeKernel),
    SLOT(clEnqueueMarkerWithWaitList),
    SLOT(clEnqueueBarrierWithWaitList),
};
