/* What only kernels use: pipes, and queues of devices; and what older devices have: queues whose properties
 * change, device fission. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/front/device_queue.h"
#include "opencl/front/fake_backend.h"
#include "opencl/front/mem.h"

#define ON (CL_QUEUE_ON_DEVICE | CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)

static cl_context context;
static cl_command_queue queues[2];
static cl_program program;
static cl_kernel feed;
static cl_int rc;

/* Two nodes. */
static int setup(void **state) {
    const char *source = "fake";
    fakes_reset();
    context = weft_clCreateContext(NULL, 2, fake_devices, NULL, NULL, &rc);
    for (int i = 0; i < 2; i++) queues[i] = weft_clCreateCommandQueue(context, fake_devices[i], 0, &rc);
    program = weft_clCreateProgramWithSource(context, 1, &source, NULL, &rc);
    assert_int_equal(weft_clBuildProgram(program, 0, NULL, "", NULL, NULL), CL_SUCCESS);
    feed = weft_clCreateKernel(program, "feed", &rc);
    return rc;
}

static int teardown(void **state) {
    unsigned seed = 1;
    fakes_run(&seed);
    weft_clReleaseKernel(feed);
    weft_clReleaseProgram(program);
    for (int i = 0; i < 2; i++) weft_clReleaseCommandQueue(queues[i]);
    weft_clReleaseContext(context);
    assert_int_equal(fakes_live(), 0);
    return 0;
}

static cl_uint device_uint(cl_device_info param) {
    cl_uint v = 7;
    assert_int_equal(weft_clGetDeviceInfo(fake_devices[0], param, sizeof v, &v, NULL), CL_SUCCESS);
    return v;
}

static void device__answers_are_its_own(void **state) {
    cl_device_device_enqueue_capabilities enqueues = 0;
    cl_name_version features[4];
    size_t bytes;
    assert_int_equal(device_uint(CL_DEVICE_PIPE_SUPPORT), CL_TRUE);
    assert_int_equal(device_uint(CL_DEVICE_PIPE_MAX_PACKET_SIZE), 4);
    assert_int_equal(device_uint(CL_DEVICE_MAX_ON_DEVICE_QUEUES), 4);
    assert_int_equal(device_uint(CL_DEVICE_QUEUE_ON_DEVICE_MAX_SIZE), 4096);
    assert_int_equal(weft_clGetDeviceInfo(fake_devices[0], CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES,
                                          sizeof enqueues, &enqueues, NULL),
                     CL_SUCCESS);
    assert_true(enqueues & CL_DEVICE_QUEUE_REPLACEABLE_DEFAULT);
    assert_int_equal(
        weft_clGetDeviceInfo(fake_devices[0], CL_DEVICE_OPENCL_C_FEATURES, sizeof features, features, &bytes),
        CL_SUCCESS);
    assert_int_equal(bytes, 3 * sizeof *features);
    assert_string_equal(features[0].name, "__opencl_c_pipes");
}

/* ---- pipes ---- */
static cl_mem pipe_of(cl_mem_flags flags, cl_uint packet_bytes, cl_uint packets) {
    return weft_clCreatePipe(context, flags, packet_bytes, packets, NULL, &rc);
}

static void pipe__creation_is_checked(void **state) {
    const cl_pipe_properties none[] = {0};
    const cl_bool no = CL_FALSE;
    assert_null(weft_clCreatePipe(NULL, 0, 4, 4, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_CONTEXT);
    assert_null(pipe_of(CL_MEM_READ_ONLY, 4, 4));
    assert_int_equal(rc, CL_INVALID_VALUE);
    assert_null(weft_clCreatePipe(context, 0, 4, 4, none, &rc));
    assert_int_equal(rc, CL_INVALID_VALUE);
    assert_null(pipe_of(0, 0, 4));
    assert_int_equal(rc, CL_INVALID_PIPE_SIZE);
    assert_null(pipe_of(0, 4, 0));
    assert_int_equal(rc, CL_INVALID_PIPE_SIZE);
    assert_null(pipe_of(0, 5, 4));
    assert_int_equal(rc, CL_INVALID_PIPE_SIZE);
    fake_change(&fakes[0], CL_DEVICE_PIPE_SUPPORT, &no, sizeof no);
    cl_context one = weft_clCreateContext(NULL, 1, fake_devices, NULL, NULL, &rc);
    assert_null(weft_clCreatePipe(one, 0, 4, 4, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_OPERATION);
    weft_clReleaseContext(one);
}

static cl_uint pipe_uint(cl_mem pipe, cl_pipe_info param) {
    cl_uint v = 0;
    size_t size = 0;
    assert_int_equal(weft_clGetPipeInfo(pipe, param, sizeof v, &v, &size), CL_SUCCESS);
    assert_int_equal(size, sizeof v);
    return v;
}

static void pipe__information(void **state) {
    cl_mem p = pipe_of(0, 4, 16), buffer = weft_clCreateBuffer(context, 0, 64, NULL, &rc);
    cl_mem_object_type type = 0;
    cl_mem_flags flags = 0;
    size_t bytes = 9;
    assert_int_equal(pipe_uint(p, CL_PIPE_PACKET_SIZE), 4);
    assert_int_equal(pipe_uint(p, CL_PIPE_MAX_PACKETS), 16);
    assert_int_equal(weft_clGetPipeInfo(p, CL_PIPE_PROPERTIES, 0, NULL, &bytes), CL_SUCCESS);
    assert_int_equal(bytes, 0);
    assert_int_equal(weft_clGetPipeInfo(p, CL_PIPE_MAX_PACKETS, 3, &type, NULL), CL_INVALID_VALUE);
    assert_int_equal(weft_clGetPipeInfo(p, CL_MEM_TYPE, 0, NULL, &bytes), CL_INVALID_VALUE);
    assert_int_equal(weft_clGetPipeInfo(buffer, CL_PIPE_PACKET_SIZE, 0, NULL, &bytes), CL_INVALID_MEM_OBJECT);
    weft_clGetMemObjectInfo(p, CL_MEM_TYPE, sizeof type, &type, NULL);
    assert_int_equal(type, CL_MEM_OBJECT_PIPE);
    weft_clGetMemObjectInfo(p, CL_MEM_FLAGS, sizeof flags, &flags, NULL);
    assert_int_equal(flags, CL_MEM_READ_WRITE | CL_MEM_HOST_NO_ACCESS);
    weft_clGetMemObjectInfo(p, CL_MEM_SIZE, sizeof bytes, &bytes, NULL);
    assert_int_equal(bytes, 64);
    weft_clReleaseMemObject(buffer);
    weft_clReleaseMemObject(p);
    assert_int_equal(weft_clGetPipeInfo(p, CL_PIPE_PACKET_SIZE, 0, NULL, &bytes), CL_INVALID_MEM_OBJECT);
}

/* No command of the host's takes it. */
static void pipe__is_no_buffer_and_no_image(void **state) {
    cl_mem p = pipe_of(0, 4, 16), buffer = weft_clCreateBuffer(context, 0, 64, NULL, &rc);
    cl_kernel add = weft_clCreateKernel(program, "add", &rc);
    char data[64] = {0};
    const cl_buffer_region half = {0, 32};
    assert_int_equal(weft_clEnqueueReadBuffer(queues[0], p, CL_TRUE, 0, 4, data, 0, NULL, NULL),
                     CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clEnqueueFillBuffer(queues[0], p, "", 1, 0, 4, 0, NULL, NULL),
                     CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clEnqueueCopyBuffer(queues[0], buffer, p, 0, 0, 4, 0, NULL, NULL),
                     CL_INVALID_MEM_OBJECT);
    assert_null(weft_clEnqueueMapBuffer(queues[0], p, CL_TRUE, CL_MAP_READ, 0, 4, 0, NULL, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_MEM_OBJECT);
    assert_null(weft_clCreateSubBuffer(p, 0, CL_BUFFER_CREATE_TYPE_REGION, &half, &rc));
    assert_int_equal(rc, CL_INVALID_MEM_OBJECT);
    const cl_image_format f = {CL_RGBA, CL_UNSIGNED_INT8};
    const cl_image_desc d = {.image_type = CL_MEM_OBJECT_IMAGE1D_BUFFER, .image_width = 4, .mem_object = p};
    assert_null(weft_clCreateImage(context, 0, &f, &d, NULL, &rc));
    assert_int_equal(rc, CL_INVALID_IMAGE_DESCRIPTOR);
    assert_int_equal(weft_clSetKernelArg(add, 0, sizeof p, &p), CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clSetKernelArg(feed, 0, sizeof buffer, &buffer), CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clSetKernelArg(feed, 0, sizeof p, NULL), CL_INVALID_MEM_OBJECT);
    assert_int_equal(weft_clSetKernelArg(feed, 0, 4, &p), CL_INVALID_ARG_SIZE);
    assert_int_equal(weft_clSetKernelArg(feed, 0, sizeof p, &p), CL_SUCCESS);
    weft_clReleaseKernel(add);
    weft_clReleaseMemObject(buffer);
    weft_clReleaseMemObject(p);
}

static cl_command_queue device_queue(cl_device_id device, cl_command_queue_properties more, cl_uint size) {
    const cl_queue_properties list[] = {CL_QUEUE_PROPERTIES, ON | more, size ? CL_QUEUE_SIZE : 0, size, 0};
    return weft_clCreateCommandQueueWithProperties(context, device, list, &rc);
}

static cl_int launch(unsigned node, cl_mem p, cl_command_queue q) {
    const size_t one = 1;
    assert_int_equal(weft_clSetKernelArg(feed, 0, sizeof p, &p), CL_SUCCESS);
    assert_int_equal(weft_clSetKernelArg(feed, 1, sizeof q, &q), CL_SUCCESS);
    return weft_clEnqueueNDRangeKernel(queues[node], feed, 1, NULL, &one, NULL, 0, NULL, NULL);
}

/* It is where the first command uses it, and nowhere else; it stays while a command is under way. */
static void pipe__is_on_one_node(void **state) {
    cl_command_queue q[2] = {device_queue(fake_devices[0], 0, 0), device_queue(fake_devices[1], 0, 0)};
    cl_mem p = pipe_of(0, 4, 16), moved = pipe_of(0, 4, 16);
    assert_int_equal(((struct mem *)p)->parts[0].ref, 0);
    assert_int_equal(launch(0, p, q[0]), CL_SUCCESS);
    assert_int_equal(launch(1, p, q[1]), CL_MEM_OBJECT_ALLOCATION_FAILURE);
    assert_int_equal(launch(0, p, q[0]), CL_SUCCESS);
    assert_int_equal(((struct mem *)p)->parts[1].ref, 0);
    assert_int_equal(weft_clEnqueueMigrateMemObjects(queues[1], 1, &moved, 0, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(launch(0, moved, q[0]), CL_MEM_OBJECT_ALLOCATION_FAILURE);
    assert_int_equal(launch(1, moved, q[1]), CL_SUCCESS);
    assert_int_equal(fake_find(&fakes[0], BK_READ, 0), -1); /* no contents move */
    weft_clReleaseMemObject(p);
    assert_int_equal(weft_clReleaseMemObject(p), CL_INVALID_MEM_OBJECT);
    weft_clReleaseMemObject(moved);
    for (int i = 0; i < 2; i++) weft_clReleaseCommandQueue(q[i]);
}

static void pipe__is_not_where_there_are_none(void **state) {
    const cl_bool no = CL_FALSE;
    cl_command_queue q[2] = {device_queue(fake_devices[0], 0, 0), device_queue(fake_devices[1], 0, 0)};
    fake_change(&fakes[0], CL_DEVICE_PIPE_SUPPORT, &no, sizeof no);
    cl_mem p = pipe_of(0, 4, 16);
    assert_int_equal(launch(0, p, q[0]), CL_MEM_OBJECT_ALLOCATION_FAILURE);
    assert_int_equal(launch(1, p, q[1]), CL_SUCCESS);
    weft_clReleaseMemObject(p);
    for (int i = 0; i < 2; i++) weft_clReleaseCommandQueue(q[i]);
}

/* ---- queues of devices ---- */
static cl_int make_queue(cl_command_queue_properties bits, cl_uint size) {
    const cl_queue_properties p[] = {CL_QUEUE_PROPERTIES, bits, size ? CL_QUEUE_SIZE : 0, size, 0};
    cl_int err;
    assert_null(weft_clCreateCommandQueueWithProperties(context, fake_devices[0], p, &err));
    return err;
}

static void device_queue__creation_is_checked(void **state) {
    const cl_uint none = 0;
    assert_int_equal(make_queue(CL_QUEUE_ON_DEVICE, 0),
                     CL_INVALID_VALUE); /* they are out of order, all of them */
    assert_int_equal(make_queue(CL_QUEUE_ON_DEVICE_DEFAULT, 0), CL_INVALID_VALUE);
    assert_int_equal(make_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, 4096), CL_INVALID_VALUE);
    assert_int_equal(make_queue(ON, 4097), CL_INVALID_QUEUE_PROPERTIES);
    assert_int_equal(make_queue(ON | CL_QUEUE_PROFILING_ENABLE, 0), CL_INVALID_QUEUE_PROPERTIES);
    assert_null(weft_clCreateCommandQueue(context, fake_devices[0], ON, &rc));
    assert_int_equal(rc, CL_INVALID_VALUE);
    fake_change(&fakes[0], CL_DEVICE_MAX_ON_DEVICE_QUEUES, &none, sizeof none);
    assert_int_equal(make_queue(ON, 0), CL_INVALID_QUEUE_PROPERTIES);
}

static void device_queue__takes_no_commands(void **state) {
    cl_command_queue q = device_queue(fake_devices[0], 0, 2048), plain = device_queue(fake_devices[0], 0, 0);
    cl_mem buffer = weft_clCreateBuffer(context, 0, 64, NULL, &rc);
    cl_uint size = 0;
    cl_command_queue_properties bits = 0;
    assert_non_null(q);
    assert_int_equal(weft_clFinish(q), CL_INVALID_COMMAND_QUEUE);
    assert_int_equal(weft_clFlush(q), CL_INVALID_COMMAND_QUEUE);
    assert_int_equal(weft_clEnqueueMarkerWithWaitList(q, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
    assert_int_equal(weft_clEnqueueReadBuffer(q, buffer, CL_TRUE, 0, 4, &size, 0, NULL, NULL),
                     CL_INVALID_COMMAND_QUEUE);
    assert_int_equal(weft_clGetCommandQueueInfo(q, CL_QUEUE_SIZE, sizeof size, &size, NULL), CL_SUCCESS);
    assert_int_equal(size, 2048);
    weft_clGetCommandQueueInfo(plain, CL_QUEUE_SIZE, sizeof size, &size, NULL);
    assert_int_equal(size, 4); /* what the device prefers */
    assert_int_equal(weft_clGetCommandQueueInfo(queues[0], CL_QUEUE_SIZE, sizeof size, &size, NULL),
                     CL_INVALID_COMMAND_QUEUE);
    weft_clGetCommandQueueInfo(q, CL_QUEUE_PROPERTIES, sizeof bits, &bits, NULL);
    assert_int_equal(bits, ON);
    weft_clReleaseMemObject(buffer);
    weft_clReleaseCommandQueue(plain);
    assert_int_equal(weft_clRetainCommandQueue(q), CL_SUCCESS);
    for (int i = 0; i < 2; i++) assert_int_equal(weft_clReleaseCommandQueue(q), CL_SUCCESS);
    assert_int_equal(weft_clReleaseCommandQueue(q), CL_INVALID_COMMAND_QUEUE);
}

static cl_command_queue default_of(cl_command_queue q) {
    cl_command_queue d = q;
    assert_int_equal(weft_clGetCommandQueueInfo(q, CL_QUEUE_DEVICE_DEFAULT, sizeof d, &d, NULL), CL_SUCCESS);
    return d;
}

static void device_queue__is_the_default_one(void **state) {
    assert_null(default_of(queues[0]));
    cl_command_queue first = device_queue(fake_devices[0], CL_QUEUE_ON_DEVICE_DEFAULT, 0),
                     again = device_queue(fake_devices[0], CL_QUEUE_ON_DEVICE_DEFAULT, 512),
                     other = device_queue(fake_devices[0], 0, 0);
    cl_uint refs = 0;
    assert_ptr_equal(first, again);
    weft_clGetCommandQueueInfo(first, CL_QUEUE_REFERENCE_COUNT, sizeof refs, &refs, NULL);
    assert_int_equal(refs, 2);
    assert_ptr_equal(default_of(queues[0]), first);
    assert_null(default_of(queues[1])); /* one a device */
    assert_int_equal(weft_clSetDefaultDeviceCommandQueue(context, fake_devices[0], other), CL_SUCCESS);
    assert_int_equal(fakes[0].default_queue, ((struct queue *)other)->ref);
    assert_ptr_equal(default_of(queues[0]), other);
    weft_clReleaseCommandQueue(other);
    assert_null(default_of(queues[0])); /* nobody holds it but the program */
    for (int i = 0; i < 2; i++) weft_clReleaseCommandQueue(first);
}

static void device_queue__the_default_is_set_as_specified(void **state) {
    const cl_device_device_enqueue_capabilities fixed = CL_DEVICE_QUEUE_SUPPORTED;
    cl_command_queue q = device_queue(fake_devices[0], 0, 0);
    assert_int_equal(weft_clSetDefaultDeviceCommandQueue(NULL, fake_devices[0], q), CL_INVALID_CONTEXT);
    assert_int_equal(weft_clSetDefaultDeviceCommandQueue(context, fake_devices[2], q), CL_INVALID_DEVICE);
    assert_int_equal(weft_clSetDefaultDeviceCommandQueue(context, fake_devices[1], q),
                     CL_INVALID_COMMAND_QUEUE);
    assert_int_equal(weft_clSetDefaultDeviceCommandQueue(context, fake_devices[0], queues[0]),
                     CL_INVALID_COMMAND_QUEUE);
    fake_change(&fakes[0], CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES, &fixed, sizeof fixed);
    assert_int_equal(weft_clSetDefaultDeviceCommandQueue(context, fake_devices[0], q), CL_INVALID_OPERATION);
    weft_clReleaseCommandQueue(q);
}

static void device_queue__as_an_argument(void **state) {
    cl_command_queue q = device_queue(fake_devices[0], 0, 0);
    cl_mem p = pipe_of(0, 4, 16);
    const size_t one = 1;
    assert_int_equal(weft_clSetKernelArg(feed, 1, sizeof queues[0], &queues[0]), CL_INVALID_DEVICE_QUEUE);
    assert_int_equal(weft_clSetKernelArg(feed, 1, sizeof q, NULL), CL_INVALID_DEVICE_QUEUE);
    assert_int_equal(weft_clSetKernelArg(feed, 1, 4, &q), CL_INVALID_ARG_SIZE);
    assert_int_equal(launch(1, p, q), CL_INVALID_KERNEL_ARGS); /* another device's */
    assert_int_equal(launch(0, p, q), CL_SUCCESS);
    int at = fake_find(&fakes[0], BK_NDRANGE, 0);
    assert_int_equal(fakes[0].commands[at].args[1], ((struct queue *)q)->ref);
    weft_clReleaseCommandQueue(q);
    assert_int_equal(weft_clEnqueueNDRangeKernel(queues[0], feed, 1, NULL, &one, NULL, 0, NULL, NULL),
                     CL_INVALID_KERNEL_ARGS);
    weft_clReleaseMemObject(p);
}

static cl_ulong complete_time(cl_command_queue q, cl_kernel k) {
    const size_t one = 1;
    cl_ulong ns = 1;
    cl_event e = NULL;
    assert_int_equal(k ? weft_clEnqueueNDRangeKernel(q, k, 1, NULL, &one, NULL, 0, NULL, &e)
                       : weft_clEnqueueMarkerWithWaitList(q, 0, NULL, &e),
                     CL_SUCCESS);
    weft_clWaitForEvents(1, &e);
    assert_int_equal(weft_clGetEventProfilingInfo(e, CL_PROFILING_COMMAND_COMPLETE, sizeof ns, &ns, NULL),
                     CL_SUCCESS);
    weft_clReleaseEvent(e);
    return ns;
}

/* A kernel is complete when what it has enqueued is; the fake's commands all end at 0. */
static void event__complete_is_with_its_children(void **state) {
    const cl_uint none = 0;
    cl_command_queue q = weft_clCreateCommandQueue(context, fake_devices[0], CL_QUEUE_PROFILING_ENABLE, &rc),
                     own = device_queue(fake_devices[0], 0, 0);
    cl_mem p = pipe_of(0, 4, 16);
    assert_int_equal(launch(0, p, own), CL_SUCCESS);
    assert_int_equal(complete_time(q, feed), 77);
    assert_int_equal(complete_time(q, NULL), 0);
    fake_change(&fakes[0], CL_DEVICE_MAX_ON_DEVICE_QUEUES, &none, sizeof none);
    assert_int_equal(complete_time(q, feed), 0);
    weft_clReleaseMemObject(p);
    weft_clReleaseCommandQueue(own);
    weft_clReleaseCommandQueue(q);
}

/* ---- older devices ---- */
static void queue__changes_with_opencl_1_0(void **state) {
    struct device *d = (struct device *)fake_devices[0];
    cl_version version = d->version;
    cl_command_queue_properties before = 99, bits = 0;
    const cl_command_queue_properties out_of_order = CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
    bk_ref first = ((struct queue *)queues[0])->ref;
    assert_int_equal(weft_clSetCommandQueueProperty(queues[0], out_of_order, CL_TRUE, NULL),
                     CL_INVALID_OPERATION);
    d->version = CL_MAKE_VERSION(1, 0, 0);
    assert_int_equal(weft_clSetCommandQueueProperty(NULL, out_of_order, CL_TRUE, NULL),
                     CL_INVALID_COMMAND_QUEUE);
    assert_int_equal(weft_clSetCommandQueueProperty(queues[0], 4, CL_TRUE, NULL), CL_INVALID_VALUE);
    assert_int_equal(weft_clEnqueueMarkerWithWaitList(queues[0], 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(weft_clSetCommandQueueProperty(queues[0], out_of_order, CL_TRUE, &before), CL_SUCCESS);
    assert_int_equal(before, 0);
    assert_int_equal(fakes[0].done_count, fakes[0].command_count);
    weft_clGetCommandQueueInfo(queues[0], CL_QUEUE_PROPERTIES, sizeof bits, &bits, NULL);
    assert_int_equal(bits, out_of_order);
    assert_true(fakes[0].objects[((struct queue *)queues[0])->ref].out_of_order);
    assert_int_equal(weft_clSetCommandQueueProperty(queues[0], out_of_order, CL_FALSE, &before), CL_SUCCESS);
    assert_int_equal(before, out_of_order);
    assert_int_equal(((struct queue *)queues[0])->ref, first);
    d->version = version;
}

static void sub_devices__as_before_opencl_1_2(void **state) {
    static const cl_device_partition_property_ext able[] = {CL_DEVICE_PARTITION_BY_NAMES_EXT};
    const cl_device_partition_property_ext names[] = {CL_DEVICE_PARTITION_BY_NAMES_EXT, 0, 1,
                                                      CL_PARTITION_BY_NAMES_LIST_END_EXT, 0},
                                           equally[] = {CL_DEVICE_PARTITION_EQUALLY_EXT, 1, 0};
    cl_device_id parts[2], parent = NULL;
    cl_uint n = 0;
    assert_int_equal(weft_clCreateSubDevicesEXT(NULL, names, 2, parts, &n), CL_INVALID_DEVICE);
    assert_int_equal(weft_clCreateSubDevicesEXT(fake_devices[0], names, 2, parts, &n), CL_INVALID_VALUE);
    assert_int_equal(
        weft_clGetDeviceInfo(fake_devices[0], CL_DEVICE_PARENT_DEVICE_EXT, sizeof parent, &parent, NULL),
        CL_INVALID_VALUE);
    fake_change(&fakes[0], CL_DEVICE_PARTITION_TYPES_EXT, able, sizeof able);
    assert_int_equal(weft_clCreateSubDevicesEXT(fake_devices[0], equally, 2, parts, &n), CL_INVALID_VALUE);
    assert_int_equal(weft_clCreateSubDevicesEXT(fake_devices[0], names, 2, parts, &n), CL_SUCCESS);
    assert_true(fakes[0].fission);
    assert_int_equal(n, 2);
    weft_clGetDeviceInfo(parts[0], CL_DEVICE_PARENT_DEVICE, sizeof parent, &parent, NULL);
    assert_ptr_equal(parent, fake_devices[0]);
    assert_int_equal(weft_clRetainDeviceEXT(parts[0]), CL_SUCCESS);
    for (int i = 0; i < 2; i++) assert_int_equal(weft_clReleaseDeviceEXT(parts[0]), CL_SUCCESS);
    assert_int_equal(weft_clReleaseDeviceEXT(parts[1]), CL_SUCCESS);
}

int main(void) {
    fakes_setup();
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(device__answers_are_its_own),
        TEST(pipe__creation_is_checked),
        TEST(pipe__information),
        TEST(pipe__is_no_buffer_and_no_image),
        TEST(pipe__is_on_one_node),
        TEST(pipe__is_not_where_there_are_none),
        TEST(device_queue__creation_is_checked),
        TEST(device_queue__takes_no_commands),
        TEST(device_queue__is_the_default_one),
        TEST(device_queue__the_default_is_set_as_specified),
        TEST(device_queue__as_an_argument),
        TEST(event__complete_is_with_its_children),
        TEST(queue__changes_with_opencl_1_0),
        TEST(sub_devices__as_before_opencl_1_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
