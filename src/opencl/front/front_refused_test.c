/* What weft does not forward: devices that have it say that they have not, and the calls return what the
 * specification gives for that. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/front/fake_backend.h"

static cl_context context;
static cl_command_queue queue;
static cl_mem buffer;
static cl_int rc;

static int setup(void **state) {
    fakes_reset();
    context = weft_clCreateContext(NULL, 2, fake_devices, NULL, NULL, &rc);
    queue = weft_clCreateCommandQueue(context, fake_devices[0], 0, &rc);
    buffer = weft_clCreateBuffer(context, CL_MEM_READ_WRITE, 64, NULL, &rc);
    return rc;
}

static int teardown(void **state) {
    weft_clReleaseMemObject(buffer);
    weft_clReleaseCommandQueue(queue);
    weft_clReleaseContext(context);
    assert_int_equal(fakes_live(), 0);
    return 0;
}

static void refused__devices_say_that_they_have_none(void **state) {
    static const cl_device_info uints[] = {
        CL_DEVICE_PIPE_SUPPORT,         CL_DEVICE_MAX_PIPE_ARGS,
        CL_DEVICE_PIPE_MAX_PACKET_SIZE, CL_DEVICE_PIPE_MAX_ACTIVE_RESERVATIONS,
        CL_DEVICE_MAX_ON_DEVICE_QUEUES, CL_DEVICE_QUEUE_ON_DEVICE_PREFERRED_SIZE,
        CL_DEVICE_MAX_ON_DEVICE_EVENTS, CL_DEVICE_QUEUE_ON_DEVICE_MAX_SIZE};
    static const cl_device_info ulongs[] = {CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES,
                                            CL_DEVICE_QUEUE_ON_DEVICE_PROPERTIES};
    for (size_t i = 0; i < sizeof uints / sizeof *uints; i++) {
        cl_uint v = 7;
        assert_int_equal(weft_clGetDeviceInfo(fake_devices[0], uints[i], sizeof v, &v, NULL), CL_SUCCESS);
        assert_int_equal(v, 0);
    }
    for (size_t i = 0; i < sizeof ulongs / sizeof *ulongs; i++) {
        cl_ulong v = 7;
        assert_int_equal(weft_clGetDeviceInfo(fake_devices[0], ulongs[i], sizeof v, &v, NULL), CL_SUCCESS);
        assert_int_equal(v, 0);
    }
    cl_name_version features[4];
    size_t bytes;
    assert_int_equal(
        weft_clGetDeviceInfo(fake_devices[0], CL_DEVICE_OPENCL_C_FEATURES, sizeof features, features, &bytes),
        CL_SUCCESS);
    assert_int_equal(bytes, sizeof *features);
    assert_string_equal(features[0].name, "__opencl_c_images");
    char text[200];
    assert_int_equal(weft_clGetDeviceInfo(fake_devices[0], CL_DEVICE_EXTENSIONS, sizeof text, text, NULL),
                     CL_SUCCESS);
    assert_null(strstr(text, "gl_sharing"));
}

static cl_int make_queue(cl_command_queue_properties bits, cl_uint size) {
    const cl_queue_properties p[] = {CL_QUEUE_PROPERTIES, bits, size ? CL_QUEUE_SIZE : 0, size, 0};
    cl_int err;
    assert_null(weft_clCreateCommandQueueWithProperties(context, fake_devices[0], p, &err));
    return err;
}

static void refused__device_queues(void **state) {
    const cl_command_queue_properties on = CL_QUEUE_ON_DEVICE | CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
    assert_int_equal(make_queue(on, 0), CL_INVALID_QUEUE_PROPERTIES);
    assert_int_equal(make_queue(on, 4096), CL_INVALID_QUEUE_PROPERTIES);
    assert_int_equal(make_queue(on | CL_QUEUE_ON_DEVICE_DEFAULT, 0), CL_INVALID_QUEUE_PROPERTIES);
    assert_int_equal(make_queue(CL_QUEUE_ON_DEVICE, 0),
                     CL_INVALID_VALUE); /* they are out of order, all of them */
    assert_int_equal(make_queue(CL_QUEUE_ON_DEVICE_DEFAULT, 0), CL_INVALID_VALUE);
    assert_int_equal(make_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, 4096), CL_INVALID_VALUE);
    assert_int_equal(weft_clSetDefaultDeviceCommandQueue(context, fake_devices[0], queue),
                     CL_INVALID_OPERATION);
    assert_int_equal(weft_clSetDefaultDeviceCommandQueue(context, fake_devices[2], queue), CL_INVALID_DEVICE);
    assert_int_equal(weft_clSetDefaultDeviceCommandQueue(NULL, fake_devices[0], queue), CL_INVALID_CONTEXT);
    cl_uint size;
    assert_int_equal(weft_clGetCommandQueueInfo(queue, CL_QUEUE_SIZE, sizeof size, &size, NULL),
                     CL_INVALID_COMMAND_QUEUE);
    cl_command_queue own = queue;
    assert_int_equal(weft_clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE_DEFAULT, sizeof own, &own, NULL),
                     CL_SUCCESS);
    assert_null(own);
    assert_int_equal(weft_clSetCommandQueueProperty(queue, CL_QUEUE_PROFILING_ENABLE, CL_TRUE, NULL),
                     CL_INVALID_OPERATION);
}

static void refused__pipes(void **state) {
    assert_null(weft_clCreatePipe(context, 0, 4, 4, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_OPERATION);
    assert_null(weft_clCreatePipe(NULL, 0, 4, 4, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_CONTEXT);
    cl_uint size;
    assert_int_equal(weft_clGetPipeInfo(buffer, CL_PIPE_PACKET_SIZE, sizeof size, &size, NULL),
                     CL_INVALID_MEM_OBJECT);
}

/* No context is made of OpenGL's. */
static void refused__sharing_with_opengl(void **state) {
    cl_gl_object_type type;
    cl_event event = NULL;
    rc = 0;
    assert_null(weft_clCreateFromGLBuffer(context, 0, 1, &rc));
    assert_int_equal(rc, CL_INVALID_CONTEXT);
    rc = 0;
    assert_null(weft_clCreateFromGLTexture(context, 0, 0x0DE1, 0, 1, &rc));
    assert_int_equal(rc, CL_INVALID_CONTEXT);
    rc = 0;
    assert_null(weft_clCreateEventFromGLsyncKHR(context, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_CONTEXT);
    assert_int_equal(weft_clEnqueueAcquireGLObjects(queue, 1, &buffer, 0, NULL, &event), CL_INVALID_CONTEXT);
    assert_int_equal(weft_clEnqueueReleaseGLObjects(NULL, 1, &buffer, 0, NULL, &event),
                     CL_INVALID_COMMAND_QUEUE);
    assert_null(event);
    assert_int_equal(weft_clGetGLObjectInfo(buffer, &type, NULL), CL_INVALID_GL_OBJECT);
    assert_int_equal(weft_clGetGLObjectInfo(NULL, &type, NULL), CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clGetGLTextureInfo(buffer, CL_GL_TEXTURE_TARGET, 0, NULL, NULL),
                     CL_INVALID_GL_OBJECT);
    assert_int_equal(weft_clGetGLContextInfoKHR(NULL, CL_DEVICES_FOR_GL_CONTEXT_KHR, 0, NULL, NULL),
                     CL_INVALID_GL_SHAREGROUP_REFERENCE_KHR);
    assert_int_equal(weft_clGetGLContextInfoKHR(NULL, 1, 0, NULL, NULL), CL_INVALID_VALUE);
    const cl_context_properties gl[] = {CL_GL_CONTEXT_KHR, 1, 0};
    assert_null(weft_clCreateContext(gl, 1, fake_devices, NULL, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_PROPERTY);
}

static void refused__sharing_with_egl(void **state) {
    assert_null(weft_clCreateFromEGLImageKHR(context, NULL, NULL, 0, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_EGL_OBJECT_KHR);
    assert_null(weft_clCreateEventFromEGLSyncKHR(context, NULL, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_EGL_OBJECT_KHR);
    assert_int_equal(weft_clEnqueueAcquireEGLObjectsKHR(queue, 1, &buffer, 0, NULL, NULL),
                     CL_INVALID_EGL_OBJECT_KHR);
    assert_int_equal(weft_clEnqueueReleaseEGLObjectsKHR(NULL, 1, &buffer, 0, NULL, NULL),
                     CL_INVALID_COMMAND_QUEUE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refused__devices_say_that_they_have_none, setup, teardown),
        cmocka_unit_test_setup_teardown(refused__device_queues, setup, teardown),
        cmocka_unit_test_setup_teardown(refused__pipes, setup, teardown),
        cmocka_unit_test_setup_teardown(refused__sharing_with_opengl, setup, teardown),
        cmocka_unit_test_setup_teardown(refused__sharing_with_egl, setup, teardown),
    };
    fakes_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
