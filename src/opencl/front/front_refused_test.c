/* What weft does not forward, sharing with graphics: devices that have it say that they have not, and the
 * calls return what the specification gives for that. */
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

static void refused__devices_do_not_promise_it(void **state) {
    char text[200];
    assert_int_equal(weft_clGetDeviceInfo(fake_devices[0], CL_DEVICE_EXTENSIONS, sizeof text, text, NULL),
                     CL_SUCCESS);
    assert_null(strstr(text, "gl_sharing"));
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
        cmocka_unit_test_setup_teardown(refused__devices_do_not_promise_it, setup, teardown),
        cmocka_unit_test_setup_teardown(refused__sharing_with_opengl, setup, teardown),
        cmocka_unit_test_setup_teardown(refused__sharing_with_egl, setup, teardown),
    };
    fakes_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
