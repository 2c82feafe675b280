/* The functions that the paced devices' dispatch table names. */
#ifndef PACED_API_H
#define PACED_API_H
#include "paced.h"

typedef void CL_CALLBACK paced_notify_fn(cl_event, cl_int, void *);
typedef void CL_CALLBACK paced_build_fn(cl_program, void *);
typedef void CL_CALLBACK paced_context_fn(const char *, const void *, size_t, void *);

/* platform.c */
PACED_API(cl_int, clGetPlatformInfo, cl_platform_id, cl_platform_info, size_t, void *, size_t *);
PACED_API(cl_int, clGetDeviceIDs, cl_platform_id, cl_device_type, cl_uint, cl_device_id *, cl_uint *);
PACED_API(cl_int, clGetDeviceInfo, cl_device_id, cl_device_info, size_t, void *, size_t *);
/* object.c */
PACED_API(cl_context, clCreateContext, const cl_context_properties *, cl_uint, const cl_device_id *,
          paced_context_fn *, void *, cl_int *);
PACED_API(cl_int, clGetContextInfo, cl_context, cl_context_info, size_t, void *, size_t *);
PACED_API(cl_mem, clCreateBuffer, cl_context, cl_mem_flags, size_t, void *, cl_int *);
/* program.c */
PACED_API(cl_program, clCreateProgramWithSource, cl_context, cl_uint, const char **, const size_t *,
          cl_int *);
PACED_API(cl_int, clBuildProgram, cl_program, cl_uint, const cl_device_id *, const char *, paced_build_fn *,
          void *);
PACED_API(cl_int, clGetProgramInfo, cl_program, cl_program_info, size_t, void *, size_t *);
PACED_API(cl_int, clGetProgramBuildInfo, cl_program, cl_device_id, cl_program_build_info, size_t, void *,
          size_t *);
PACED_API(cl_kernel, clCreateKernel, cl_program, const char *, cl_int *);
PACED_API(cl_int, clCreateKernelsInProgram, cl_program, cl_uint, cl_kernel *, cl_uint *);
PACED_API(cl_int, clSetKernelArg, cl_kernel, cl_uint, size_t, const void *);
PACED_API(cl_int, clGetKernelInfo, cl_kernel, cl_kernel_info, size_t, void *, size_t *);
PACED_API(cl_int, clGetKernelArgInfo, cl_kernel, cl_uint, cl_kernel_arg_info, size_t, void *, size_t *);
PACED_API(cl_int, clGetKernelWorkGroupInfo, cl_kernel, cl_device_id, cl_kernel_work_group_info, size_t,
          void *, size_t *);
/* event.c */
PACED_API(cl_event, clCreateUserEvent, cl_context, cl_int *);
PACED_API(cl_int, clSetUserEventStatus, cl_event, cl_int);
PACED_API(cl_int, clWaitForEvents, cl_uint, const cl_event *);
PACED_API(cl_int, clGetEventInfo, cl_event, cl_event_info, size_t, void *, size_t *);
PACED_API(cl_int, clGetEventProfilingInfo, cl_event, cl_profiling_info, size_t, void *, size_t *);
PACED_API(cl_int, clSetEventCallback, cl_event, cl_int, paced_notify_fn *, void *);
/* queue.c */
PACED_API(cl_command_queue, clCreateCommandQueue, cl_context, cl_device_id, cl_command_queue_properties,
          cl_int *);
PACED_API(cl_int, clFlush, cl_command_queue);
PACED_API(cl_int, clFinish, cl_command_queue);
PACED_API(cl_int, clEnqueueReadBuffer, cl_command_queue, cl_mem, cl_bool, size_t, size_t, void *, cl_uint,
          const cl_event *, cl_event *);
PACED_API(cl_int, clEnqueueWriteBuffer, cl_command_queue, cl_mem, cl_bool, size_t, size_t, const void *,
          cl_uint, const cl_event *, cl_event *);
PACED_API(cl_int, clEnqueueCopyBuffer, cl_command_queue, cl_mem, cl_mem, size_t, size_t, size_t, cl_uint,
          const cl_event *, cl_event *);
PACED_API(cl_int, clEnqueueNDRangeKernel, cl_command_queue, cl_kernel, cl_uint, const size_t *,
          const size_t *, const size_t *, cl_uint, const cl_event *, cl_event *);
PACED_API(cl_int, clEnqueueMarkerWithWaitList, cl_command_queue, cl_uint, const cl_event *, cl_event *);
PACED_API(cl_int, clEnqueueBarrierWithWaitList, cl_command_queue, cl_uint, const cl_event *, cl_event *);

#endif
