/* Calls that weft does not forward yet: each checks its first handle, names itself once in the log, and
 * returns the error that the specification gives for a device without the capability (weft's devices tell
 * that they are without, device.c). */
#include "opencl/front/context.h"
#include "opencl/front/entries.h"
#include "opencl/front/kernel.h"
#include "opencl/front/program.h"

/* name(params): `invalid` unless `check`, else `error`. */
#define REFUSE(name, check, invalid, error, params)                                                          \
    cl_int weft_##name params {                                                                              \
        if (!(check)) return invalid;                                                                        \
        entry_refused(#name);                                                                                \
        return error;                                                                                        \
    }
/* The same for one that would make something, with the error in *errcode_ret. */
#define REFUSE_MAKE(type, name, check, invalid, error, params)                                               \
    type weft_##name params {                                                                                \
        bool valid = (check) != NULL;                                                                        \
        if (valid) entry_refused(#name);                                                                     \
        if (errcode_ret) *errcode_ret = valid ? error : invalid;                                             \
        return NULL;                                                                                         \
    }

/* clang-format off: it takes the macros for functions */

/* ---- Pipes ---- */
REFUSE_MAKE(cl_mem, clCreatePipe, context_from(context), CL_INVALID_CONTEXT, CL_INVALID_OPERATION,
            (cl_context context, cl_mem_flags flags, cl_uint packet_size, cl_uint max_packets,
             const cl_pipe_properties *properties, cl_int *errcode_ret))
REFUSE(clGetPipeInfo, true, CL_INVALID_MEM_OBJECT, CL_INVALID_MEM_OBJECT,
       (cl_mem pipe, cl_pipe_info param, size_t room, void *value, size_t *size_ret))

/* ---- Shared virtual memory ---- */
REFUSE(clEnqueueSVMFree, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_OPERATION,
       (cl_command_queue queue, cl_uint count, void **pointers,
        void(CL_CALLBACK *pfn_free_func)(cl_command_queue, cl_uint, void **, void *), void *data,
        cl_uint waits, const cl_event *wait_list, cl_event *event))
REFUSE(clEnqueueSVMMemcpy, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_OPERATION,
       (cl_command_queue queue, cl_bool blocking, void *dst, const void *src, size_t size, cl_uint waits,
        const cl_event *wait_list, cl_event *event))
REFUSE(clEnqueueSVMMemFill, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_OPERATION,
       (cl_command_queue queue, void *ptr, const void *pattern, size_t pattern_size, size_t size,
        cl_uint waits, const cl_event *wait_list, cl_event *event))
REFUSE(clEnqueueSVMMap, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_OPERATION,
       (cl_command_queue queue, cl_bool blocking, cl_map_flags flags, void *ptr, size_t size, cl_uint waits,
        const cl_event *wait_list, cl_event *event))
REFUSE(clEnqueueSVMUnmap, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_OPERATION,
       (cl_command_queue queue, void *ptr, cl_uint waits, const cl_event *wait_list, cl_event *event))
REFUSE(clSetKernelArgSVMPointer, kernel_from(kernel), CL_INVALID_KERNEL, CL_INVALID_OPERATION,
       (cl_kernel kernel, cl_uint index, const void *value))
REFUSE(clSetKernelExecInfo, kernel_from(kernel), CL_INVALID_KERNEL, CL_INVALID_OPERATION,
       (cl_kernel kernel, cl_kernel_exec_info param, size_t size, const void *value))
REFUSE(clEnqueueSVMMigrateMem, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_OPERATION,
       (cl_command_queue queue, cl_uint num_svm_pointers, const void **svm_pointers, const size_t *sizes,
        cl_mem_migration_flags flags, cl_uint waits, const cl_event *wait_list, cl_event *event))

void *weft_clSVMAlloc(cl_context context, cl_svm_mem_flags flags, size_t size, unsigned int alignment) {
    entry_refused("clSVMAlloc");
    return NULL;
}

void weft_clSVMFree(cl_context context, void *pointer) {
    if (pointer) entry_refused("clSVMFree");
}

/* ---- Sharing with OpenGL and EGL ---- */
REFUSE_MAKE(cl_mem, clCreateFromEGLImageKHR, context_from(context), CL_INVALID_CONTEXT, CL_INVALID_OPERATION,
            (cl_context context, CLeglDisplayKHR display, CLeglImageKHR image, cl_mem_flags flags,
             const cl_egl_image_properties_khr *properties, cl_int *errcode_ret))
REFUSE_MAKE(cl_mem, clCreateFromGLBuffer, context_from(context), CL_INVALID_CONTEXT, CL_INVALID_OPERATION,
            (cl_context context, cl_mem_flags flags, cl_GLuint bufobj, int *errcode_ret))
REFUSE_MAKE(cl_mem, clCreateFromGLTexture2D, context_from(context), CL_INVALID_CONTEXT, CL_INVALID_OPERATION,
            (cl_context context, cl_mem_flags flags, cl_GLenum target, cl_GLint miplevel, cl_GLuint texture,
             cl_int *errcode_ret))
REFUSE_MAKE(cl_mem, clCreateFromGLTexture3D, context_from(context), CL_INVALID_CONTEXT, CL_INVALID_OPERATION,
            (cl_context context, cl_mem_flags flags, cl_GLenum target, cl_GLint miplevel, cl_GLuint texture,
             cl_int *errcode_ret))
REFUSE_MAKE(cl_mem, clCreateFromGLRenderbuffer, context_from(context), CL_INVALID_CONTEXT,
            CL_INVALID_OPERATION,
            (cl_context context, cl_mem_flags flags, cl_GLuint renderbuffer, cl_int *errcode_ret))
REFUSE(clGetGLObjectInfo, true, CL_INVALID_GL_OBJECT, CL_INVALID_GL_OBJECT,
       (cl_mem memobj, cl_gl_object_type *gl_object_type, cl_GLuint *gl_object_name))
REFUSE(clGetGLTextureInfo, true, CL_INVALID_GL_OBJECT, CL_INVALID_GL_OBJECT,
       (cl_mem memobj, cl_gl_texture_info param, size_t room, void *value, size_t *size_ret))
REFUSE(clEnqueueAcquireGLObjects, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_OPERATION,
       (cl_command_queue queue, cl_uint num_objects, const cl_mem *mem_objects, cl_uint waits,
        const cl_event *wait_list, cl_event *event))
REFUSE(clEnqueueReleaseGLObjects, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_OPERATION,
       (cl_command_queue queue, cl_uint num_objects, const cl_mem *mem_objects, cl_uint waits,
        const cl_event *wait_list, cl_event *event))
REFUSE(clGetGLContextInfoKHR, true, CL_INVALID_OPERATION, CL_INVALID_OPERATION,
       (const cl_context_properties *properties, cl_gl_context_info param, size_t room, void *value,
        size_t *size_ret))
REFUSE_MAKE(cl_event, clCreateEventFromGLsyncKHR, context_from(context), CL_INVALID_CONTEXT,
            CL_INVALID_OPERATION, (cl_context context, cl_GLsync sync, cl_int *errcode_ret))
REFUSE_MAKE(cl_mem, clCreateFromGLTexture, context_from(context), CL_INVALID_CONTEXT, CL_INVALID_OPERATION,
            (cl_context context, cl_mem_flags flags, cl_GLenum target, cl_GLint miplevel, cl_GLuint texture,
             cl_int *errcode_ret))
REFUSE(clEnqueueAcquireEGLObjectsKHR, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_OPERATION,
       (cl_command_queue queue, cl_uint num_objects, const cl_mem *mem_objects, cl_uint waits,
        const cl_event *wait_list, cl_event *event))
REFUSE(clEnqueueReleaseEGLObjectsKHR, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_OPERATION,
       (cl_command_queue queue, cl_uint num_objects, const cl_mem *mem_objects, cl_uint waits,
        const cl_event *wait_list, cl_event *event))
REFUSE_MAKE(cl_event, clCreateEventFromEGLSyncKHR, context_from(context), CL_INVALID_CONTEXT,
            CL_INVALID_OPERATION,
            (cl_context context, CLeglSyncKHR sync, CLeglDisplayKHR display, cl_int *errcode_ret))

/* ---- Sub-devices and device queues ---- */
REFUSE(clSetCommandQueueProperty, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_OPERATION,
       (cl_command_queue queue, cl_command_queue_properties properties, cl_bool enable,
        cl_command_queue_properties *old_properties))
REFUSE(clCreateSubDevicesEXT, device_from(device), CL_INVALID_DEVICE, CL_INVALID_VALUE,
       (cl_device_id device, const cl_device_partition_property_ext *partition_properties,
        cl_uint num_entries, cl_device_id *out_devices, cl_uint *num_devices))
REFUSE(clCreateSubDevices, device_from(device), CL_INVALID_DEVICE, CL_INVALID_VALUE,
       (cl_device_id device, const cl_device_partition_property *partition_properties, cl_uint num_entries,
        cl_device_id *out_devices, cl_uint *num_devices))
REFUSE(clSetDefaultDeviceCommandQueue, context_from(context), CL_INVALID_CONTEXT, CL_INVALID_OPERATION,
       (cl_context context, cl_device_id device, cl_command_queue queue))

/* ---- Programs ---- */
REFUSE_MAKE(cl_program, clCreateProgramWithBuiltInKernels, context_from(context), CL_INVALID_CONTEXT,
            CL_INVALID_VALUE,
            (cl_context context, cl_uint num_devices, const cl_device_id *device_list,
             const char *kernel_names, cl_int *errcode_ret))
REFUSE(clCompileProgram, program_from(program), CL_INVALID_PROGRAM, CL_COMPILER_NOT_AVAILABLE,
       (cl_program program, cl_uint num_devices, const cl_device_id *device_list, const char *options,
        cl_uint num_input_headers, const cl_program *input_headers, const char **header_include_names,
        void(CL_CALLBACK *pfn_notify)(cl_program program, void *user_data), void *user_data))
REFUSE_MAKE(cl_program, clLinkProgram, context_from(context), CL_INVALID_CONTEXT, CL_LINKER_NOT_AVAILABLE,
            (cl_context context, cl_uint num_devices, const cl_device_id *device_list, const char *options,
             cl_uint num_input_programs, const cl_program *input_programs,
             void(CL_CALLBACK *pfn_notify)(cl_program program, void *user_data), void *user_data,
             cl_int *errcode_ret))
REFUSE_MAKE(cl_program, clCreateProgramWithIL, context_from(context), CL_INVALID_CONTEXT,
            CL_INVALID_OPERATION, (cl_context context, const void *il, size_t length, cl_int *errcode_ret))
REFUSE(clSetProgramReleaseCallback, program_from(program), CL_INVALID_PROGRAM, CL_INVALID_OPERATION,
       (cl_program program, void(CL_CALLBACK *pfn_notify)(cl_program program, void *user_data),
        void *user_data))
REFUSE(clSetProgramSpecializationConstant, program_from(program), CL_INVALID_PROGRAM, CL_INVALID_OPERATION,
       (cl_program program, cl_uint spec_id, size_t spec_size, const void *spec_value))

/* ---- Kernels ---- */
REFUSE(clEnqueueNativeKernel, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_OPERATION,
       (cl_command_queue queue, void(CL_CALLBACK *user_func)(void *), void *args, size_t cb_args,
        cl_uint num_mem_objects, const cl_mem *mem_list, const void **args_mem_loc, cl_uint waits,
        const cl_event *wait_list, cl_event *event))
REFUSE(clGetKernelSubGroupInfoKHR, kernel_from(kernel), CL_INVALID_KERNEL, CL_INVALID_OPERATION,
       (cl_kernel kernel, cl_device_id device, cl_kernel_sub_group_info param, size_t input_size,
        const void *input, size_t room, void *value, size_t *size_ret))
REFUSE(clGetKernelSubGroupInfo, kernel_from(kernel), CL_INVALID_KERNEL, CL_INVALID_OPERATION,
       (cl_kernel kernel, cl_device_id device, cl_kernel_sub_group_info param, size_t input_value_size,
        const void *input_value, size_t room, void *value, size_t *size_ret))

/* clang-format on */

/* Root devices are not counted; there are no others. */
cl_int weft_clRetainDeviceEXT(cl_device_id device) { return weft_clRetainDevice(device); }
cl_int weft_clReleaseDeviceEXT(cl_device_id device) { return weft_clReleaseDevice(device); }
