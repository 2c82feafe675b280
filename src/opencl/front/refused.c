/* Calls that weft does not forward: sharing with graphics. Each checks its first handle, names itself once in
 * the log, and returns the error that the specification gives for a context that was not made of OpenGL's, or
 * a handle that is not weft's. */
#include "opencl/front/context.h"
#include "opencl/front/entries.h"
#include "opencl/front/mem.h"

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

/* ---- Sharing with OpenGL and EGL ---- */
REFUSE_MAKE(cl_mem, clCreateFromEGLImageKHR, context_from(context), CL_INVALID_CONTEXT,
            CL_INVALID_EGL_OBJECT_KHR,
            (cl_context context, CLeglDisplayKHR display, CLeglImageKHR image, cl_mem_flags flags,
             const cl_egl_image_properties_khr *properties, cl_int *errcode_ret))
REFUSE_MAKE(cl_mem, clCreateFromGLBuffer, context_from(context), CL_INVALID_CONTEXT, CL_INVALID_CONTEXT,
            (cl_context context, cl_mem_flags flags, cl_GLuint bufobj, int *errcode_ret))
REFUSE_MAKE(cl_mem, clCreateFromGLTexture2D, context_from(context), CL_INVALID_CONTEXT, CL_INVALID_CONTEXT,
            (cl_context context, cl_mem_flags flags, cl_GLenum target, cl_GLint miplevel, cl_GLuint texture,
             cl_int *errcode_ret))
REFUSE_MAKE(cl_mem, clCreateFromGLTexture3D, context_from(context), CL_INVALID_CONTEXT, CL_INVALID_CONTEXT,
            (cl_context context, cl_mem_flags flags, cl_GLenum target, cl_GLint miplevel, cl_GLuint texture,
             cl_int *errcode_ret))
REFUSE_MAKE(cl_mem, clCreateFromGLRenderbuffer, context_from(context), CL_INVALID_CONTEXT, CL_INVALID_CONTEXT,
            (cl_context context, cl_mem_flags flags, cl_GLuint renderbuffer, cl_int *errcode_ret))
REFUSE(clGetGLObjectInfo, mem_from(memobj), CL_INVALID_MEM_OBJECT, CL_INVALID_GL_OBJECT,
       (cl_mem memobj, cl_gl_object_type *gl_object_type, cl_GLuint *gl_object_name))
REFUSE(clGetGLTextureInfo, mem_from(memobj), CL_INVALID_MEM_OBJECT, CL_INVALID_GL_OBJECT,
       (cl_mem memobj, cl_gl_texture_info param, size_t room, void *value, size_t *size_ret))
REFUSE(clEnqueueAcquireGLObjects, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_CONTEXT,
       (cl_command_queue queue, cl_uint num_objects, const cl_mem *mem_objects, cl_uint waits,
        const cl_event *wait_list, cl_event *event))
REFUSE(clEnqueueReleaseGLObjects, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_CONTEXT,
       (cl_command_queue queue, cl_uint num_objects, const cl_mem *mem_objects, cl_uint waits,
        const cl_event *wait_list, cl_event *event))
REFUSE(clGetGLContextInfoKHR,
       param == CL_CURRENT_DEVICE_FOR_GL_CONTEXT_KHR || param == CL_DEVICES_FOR_GL_CONTEXT_KHR,
       CL_INVALID_VALUE, CL_INVALID_GL_SHAREGROUP_REFERENCE_KHR,
       (const cl_context_properties *properties, cl_gl_context_info param, size_t room, void *value,
        size_t *size_ret))
REFUSE_MAKE(cl_event, clCreateEventFromGLsyncKHR, context_from(context), CL_INVALID_CONTEXT,
            CL_INVALID_CONTEXT, (cl_context context, cl_GLsync sync, cl_int *errcode_ret))
REFUSE_MAKE(cl_mem, clCreateFromGLTexture, context_from(context), CL_INVALID_CONTEXT, CL_INVALID_CONTEXT,
            (cl_context context, cl_mem_flags flags, cl_GLenum target, cl_GLint miplevel, cl_GLuint texture,
             cl_int *errcode_ret))
REFUSE(clEnqueueAcquireEGLObjectsKHR, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_EGL_OBJECT_KHR,
       (cl_command_queue queue, cl_uint num_objects, const cl_mem *mem_objects, cl_uint waits,
        const cl_event *wait_list, cl_event *event))
REFUSE(clEnqueueReleaseEGLObjectsKHR, queue_from(queue), CL_INVALID_COMMAND_QUEUE, CL_INVALID_EGL_OBJECT_KHR,
       (cl_command_queue queue, cl_uint num_objects, const cl_mem *mem_objects, cl_uint waits,
        const cl_event *wait_list, cl_event *event))
REFUSE_MAKE(cl_event, clCreateEventFromEGLSyncKHR, context_from(context), CL_INVALID_CONTEXT,
            CL_INVALID_EGL_OBJECT_KHR,
            (cl_context context, CLeglSyncKHR sync, CLeglDisplayKHR display, cl_int *errcode_ret))

/* clang-format on */
