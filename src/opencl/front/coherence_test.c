/* Coherence of contexts over several backends: transfers, their order, and that enqueuing never waits; last,
 * programs drawn at random, whose commands complete in random order, against a plain model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/front/fake_backend.h"
#include "opencl/front/range.h"

#define SIZE 64

struct world {
    cl_context context;
    cl_command_queue queue[3];
    cl_program program;
};
static struct world w;

static cl_kernel kernel(const char *name) {
    cl_int rc;
    cl_kernel k = weft_clCreateKernel(w.program, name, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    return k;
}

static int setup(void **state) {
    cl_int rc;
    const char *source = "fake";
    fakes_reset();
    w.context = weft_clCreateContext(NULL, 3, fake_devices, NULL, NULL, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    for (int i = 0; i < 3; i++) {
        cl_queue_properties p[] = {CL_QUEUE_PROPERTIES, i == 2 ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0,
                                   0};
        w.queue[i] = weft_clCreateCommandQueueWithProperties(w.context, fake_devices[i], p, &rc);
        assert_int_equal(rc, CL_SUCCESS);
    }
    w.program = weft_clCreateProgramWithSource(w.context, 1, &source, NULL, &rc);
    assert_int_equal(weft_clBuildProgram(w.program, 0, NULL, "", NULL, NULL), CL_SUCCESS);
    return 0;
}

/* Whatever a test did: once all is released, no backend object is left. */
static int teardown(void **state) {
    unsigned seed = 1;
    fakes_run(&seed);
    for (int i = 0; i < 3; i++) assert_int_equal(weft_clReleaseCommandQueue(w.queue[i]), CL_SUCCESS);
    assert_int_equal(weft_clReleaseProgram(w.program), CL_SUCCESS);
    assert_int_equal(weft_clReleaseContext(w.context), CL_SUCCESS);
    assert_int_equal(weft_clReleaseContext(w.context), CL_INVALID_CONTEXT);
    assert_int_equal(fakes_live(), 0);
    return 0;
}

static cl_mem buffer(cl_mem_flags flags, void *host) {
    cl_int rc;
    cl_mem m = weft_clCreateBuffer(w.context, flags, SIZE, host, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    return m;
}

static cl_event add(int q, cl_mem m, unsigned char value, cl_uint waits, const cl_event *list) {
    size_t one = 1;
    cl_event e = NULL;
    cl_kernel k = kernel("add");
    assert_int_equal(weft_clSetKernelArg(k, 0, sizeof m, &m), CL_SUCCESS);
    assert_int_equal(weft_clSetKernelArg(k, 1, 1, &value), CL_SUCCESS);
    assert_int_equal(weft_clEnqueueNDRangeKernel(w.queue[q], k, 1, NULL, &one, NULL, waits, list, &e),
                     CL_SUCCESS);
    weft_clReleaseKernel(k);
    return e;
}

static cl_int status_of(cl_event e) {
    cl_int s = 1;
    assert_int_equal(weft_clGetEventInfo(e, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof s, &s, NULL),
                     CL_SUCCESS);
    return s;
}

static void coherence__moves_data_between_backends(void **state) {
    unsigned char data[SIZE] = {7}, back[SIZE];
    cl_mem m = buffer(0, NULL);
    cl_event a;
    assert_int_equal(weft_clEnqueueWriteBuffer(w.queue[0], m, CL_FALSE, 0, SIZE, data, 0, NULL, &a),
                     CL_SUCCESS);
    cl_event b = add(1, m, 1, 1, &a);
    /* Node 0: the program's write and our read, which waits for it. Node 1: only the kernel, which waits for
     * a bridge. */
    assert_int_equal(fakes[0].command_count, 2);
    assert_int_equal(fake_find(&fakes[0], BK_READ, 0), 1);
    assert_false(fake_runnable(&fakes[0], 1));
    assert_int_equal(fakes[1].command_count, 1);
    assert_false(fake_runnable(&fakes[1], 0));
    fake_complete(&fakes[0], 0, CL_COMPLETE);
    fake_complete(&fakes[0], 1, CL_COMPLETE);
    assert_int_equal(fake_find(&fakes[1], BK_WRITE, 0), 1); /* sent on as soon as it was read */
    assert_false(fake_runnable(&fakes[1], 0));
    fake_complete(&fakes[1], 1, CL_COMPLETE);
    assert_true(fake_runnable(&fakes[1], 0));
    assert_int_equal(status_of(b), CL_SUBMITTED);
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[1], m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(status_of(b), CL_COMPLETE);
    assert_int_equal(back[0], 8);
    assert_int_equal(back[1], 1);
    weft_clReleaseEvent(a);
    weft_clReleaseEvent(b);
    weft_clReleaseMemObject(m);
}

static void coherence__leaves_valid_data_where_it_is(void **state) {
    unsigned char data[SIZE] = {1}, back[SIZE];
    cl_mem m = buffer(0, NULL);
    assert_int_equal(weft_clEnqueueWriteBuffer(w.queue[0], m, CL_TRUE, 0, SIZE, data, 0, NULL, NULL),
                     CL_SUCCESS);
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_clEnqueueReadBuffer(w.queue[1], m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL),
                         CL_SUCCESS);
    assert_int_equal(fakes[0].command_count, 2); /* the write, one read to move it */
    assert_int_equal(fakes[1].command_count, 4); /* one write, three reads of the program */
    /* Overwritten as a whole elsewhere: nothing moves. */
    assert_int_equal(weft_clEnqueueWriteBuffer(w.queue[2], m, CL_TRUE, 0, SIZE, data, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(fakes[2].command_count, 1);
    weft_clReleaseMemObject(m);
}

/* Only of a command whose event the program has, or which it waits for, does it hear by itself. */
static void coherence__marks_what_the_program_does_not_see(void **state) {
    unsigned char data[SIZE] = {1};
    cl_event e;
    cl_mem m = buffer(0, NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            weft_clEnqueueWriteBuffer(w.queue[0], m, i == 1, 0, SIZE, data, 0, NULL, i ? NULL : &e),
            CL_SUCCESS);
    assert_int_equal(fakes[0].command_count, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(fakes[0].commands[i].c.unseen, i == 2);
    unsigned seed = 1;
    assert_true(fakes_run(&seed));
    weft_clReleaseEvent(e);
    weft_clReleaseMemObject(m);
}

static void coherence__brings_initial_contents(void **state) {
    unsigned char data[SIZE], back[SIZE];
    memset(data, 9, sizeof data);
    cl_mem m = buffer(CL_MEM_COPY_HOST_PTR, data);
    memset(data, 0, sizeof data); /* the copy was taken */
    assert_int_equal(fakes[0].command_count + fakes[1].command_count + fakes[2].command_count, 0);
    for (int i = 2; i >= 0; i--) {
        assert_int_equal(weft_clEnqueueReadBuffer(w.queue[i], m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL),
                         CL_SUCCESS);
        assert_int_equal(back[SIZE - 1], 9);
        assert_int_equal(fakes[i].command_count, 2);
    }
    weft_clReleaseMemObject(m);
}

static void coherence__passes_a_failure_on(void **state) {
    unsigned char data[SIZE] = {1}, back[SIZE];
    unsigned seed = 5;
    cl_mem m = buffer(0, NULL);
    assert_int_equal(weft_clEnqueueWriteBuffer(w.queue[0], m, CL_TRUE, 0, SIZE, data, 0, NULL, NULL),
                     CL_SUCCESS);
    cl_event e = add(1, m, 1, 0, NULL);
    int read = fake_find(&fakes[0], BK_READ, 0);
    fake_complete(&fakes[0], (unsigned)read, CL_DEVICE_NOT_AVAILABLE);
    assert_true(fakes_run(&seed));
    assert_true(status_of(e) < 0);
    assert_int_equal(weft_clWaitForEvents(1, &e), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
    /* Writing it anew makes it whole again. */
    assert_int_equal(weft_clEnqueueWriteBuffer(w.queue[1], m, CL_TRUE, 0, SIZE, data, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[2], m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(back[0], 1);
    weft_clReleaseEvent(e);
    weft_clReleaseMemObject(m);
}

static void coherence__objects_outlive_their_handles(void **state) {
    unsigned char data[SIZE] = {3};
    unsigned seed = 6;
    cl_mem m = buffer(CL_MEM_COPY_HOST_PTR, data);
    cl_event e = add(0, m, 1, 0, NULL), f = add(1, m, 1, 1, &e);
    weft_clReleaseMemObject(m);
    weft_clReleaseEvent(e);
    assert_int_equal(weft_clReleaseMemObject(m), CL_INVALID_MEM_OBJECT);
    assert_true(fakes_run(&seed));
    assert_int_equal(status_of(f), CL_COMPLETE);
    weft_clReleaseEvent(f);
}

static void coherence__disjoint_sub_buffers_on_two_backends(void **state) {
    unsigned char data[SIZE] = {0}, back[SIZE];
    cl_int rc;
    unsigned seed = 8;
    cl_mem m = buffer(CL_MEM_COPY_HOST_PTR, data), half[2];
    for (size_t i = 0; i < 2; i++) {
        cl_buffer_region r = {i * SIZE / 2, SIZE / 2};
        half[i] = weft_clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, &r, &rc);
        assert_int_equal(rc, CL_SUCCESS);
    }
    for (int i = 0; i < 6; i++)
        weft_clReleaseEvent(add(i % 2, half[i % 2], (unsigned char)(1 + i % 2), 0, NULL));
    assert_true(fakes_run(&seed));
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[2], m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(back[0], 3);
    assert_int_equal(back[SIZE - 1], 6);
    weft_clReleaseMemObject(m); /* the parts hold it */
    weft_clReleaseMemObject(half[0]);
    weft_clReleaseMemObject(half[1]);
}

static void coherence__user_event_opens_all_backends(void **state) {
    unsigned char data[SIZE] = {0};
    unsigned seed = 4;
    cl_int rc;
    cl_event gate = weft_clCreateUserEvent(w.context, &rc), e[3];
    cl_mem m[3];
    for (int i = 0; i < 3; i++) {
        m[i] = buffer(CL_MEM_COPY_HOST_PTR, data);
        e[i] = add(i, m[i], 1, 1, &gate);
    }
    assert_false(fakes_run(&seed));
    assert_int_equal(weft_clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    assert_int_equal(weft_clSetUserEventStatus(gate, CL_COMPLETE), CL_INVALID_OPERATION);
    assert_int_equal(weft_clWaitForEvents(3, e), CL_SUCCESS);
    for (int i = 0; i < 3; i++) {
        weft_clReleaseEvent(e[i]);
        weft_clReleaseMemObject(m[i]);
    }
    weft_clReleaseEvent(gate);
}

static void coherence__maps_through_host_memory(void **state) {
    unsigned char data[SIZE], back[SIZE];
    cl_int rc;
    memset(data, 5, sizeof data);
    cl_mem m = buffer(CL_MEM_USE_HOST_PTR, data);
    weft_clReleaseEvent(add(0, m, 1, 0, NULL));
    unsigned char *p = weft_clEnqueueMapBuffer(w.queue[1], m, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 8, 16, 0,
                                               NULL, NULL, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    assert_ptr_equal(p, data + 8);
    assert_int_equal(p[0], 6);
    unsigned char *other =
        weft_clEnqueueMapBuffer(w.queue[2], m, CL_TRUE, CL_MAP_READ, 0, 8, 0, NULL, NULL, &rc);
    assert_ptr_equal(other, data);
    cl_uint maps = 0;
    weft_clGetMemObjectInfo(m, CL_MEM_MAP_COUNT, sizeof maps, &maps, NULL);
    assert_int_equal(maps, 2);
    memset(p, 40, 16);
    assert_int_equal(weft_clEnqueueUnmapMemObject(w.queue[2], m, p + 1, 0, NULL, NULL), CL_INVALID_VALUE);
    assert_int_equal(weft_clEnqueueUnmapMemObject(w.queue[2], m, p, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(weft_clEnqueueUnmapMemObject(w.queue[0], m, other, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(weft_clEnqueueUnmapMemObject(w.queue[0], m, other, 0, NULL, NULL), CL_INVALID_VALUE);
    assert_int_equal(weft_clFinish(w.queue[2]), CL_SUCCESS);
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[0], m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(back[7], 6);
    assert_int_equal(back[8], 40);
    assert_int_equal(back[24], 6);
    weft_clReleaseMemObject(m);
}

/* ---- parts in one memory ---- */
static void coherence__twins_need_no_transfer(void **state) {
    unsigned char data[SIZE] = {7}, back[SIZE];
    fake_twins = 3;
    cl_mem m = buffer(0, NULL);
    cl_event a = NULL, b;
    assert_int_equal(weft_clEnqueueWriteBuffer(w.queue[0], m, CL_FALSE, 0, SIZE, data, 0, NULL, &a),
                     CL_SUCCESS);
    b = add(1, m, 1, 1, &a);
    assert_int_equal(fakes[0].command_count, 1);
    assert_int_equal(fakes[1].command_count, 1);
    assert_false(fake_runnable(&fakes[1], 0));
    fake_complete(&fakes[0], 0, CL_COMPLETE);
    assert_true(fake_runnable(&fakes[1], 0));
    fake_complete(&fakes[1], 0, CL_COMPLETE);
    /* To another memory once, from there back once, for both. */
    weft_clReleaseEvent(add(2, m, 1, 1, &b));
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[0], m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(back[0], 9);
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[1], m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(back[0], 9);
    assert_int_equal(fake_find(&fakes[0], BK_WRITE, 1) >= 0, 1);
    assert_int_equal(fake_find(&fakes[1], BK_WRITE, 0), -1);
    fake_twins = 0;
    weft_clReleaseEvent(a);
    weft_clReleaseEvent(b);
    weft_clReleaseMemObject(m);
}

/* What is on its way into the one memory must be there before what makes it stale. */
static void coherence__twins_wait_for_what_is_on_its_way(void **state) {
    unsigned char data[SIZE] = {7}, back[SIZE];
    fake_twins = 3;
    cl_mem m = buffer(CL_MEM_COPY_HOST_PTR, data);
    const cl_mem one[] = {m};
    assert_int_equal(weft_clEnqueueMigrateMemObjects(w.queue[0], 1, one, 0, 0, NULL, NULL), CL_SUCCESS);
    int upload = fake_find(&fakes[0], BK_WRITE, 0);
    assert_true(upload >= 0);
    data[0] = 9;
    assert_int_equal(weft_clEnqueueWriteBuffer(w.queue[1], m, CL_FALSE, 0, SIZE, data, 0, NULL, NULL),
                     CL_SUCCESS);
    int write = fake_find(&fakes[1], BK_WRITE, 0);
    assert_false(fake_runnable(&fakes[1], (unsigned)write));
    unsigned seed = 1;
    assert_true(fakes_run(&seed));
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[0], m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(back[0], 9);
    fake_twins = 0;
    weft_clReleaseMemObject(m);
}

/* Two transfers into the one memory, by way of two backends: the older contents come first. */
static void coherence__transfers_to_twins_keep_their_order(void **state) {
    unsigned char data[SIZE] = {0}, back[SIZE];
    unsigned seed = 1;
    fake_twins = 3;
    cl_mem m = buffer(0, NULL);
    for (int q = 0; q < 3; q++) /* the twins are made */
        assert_int_equal(weft_clEnqueueWriteBuffer(w.queue[q], m, CL_TRUE, 0, SIZE, data, 0, NULL, NULL), 0);
    assert_int_equal(weft_clEnqueueMigrateMemObjects(w.queue[0], 1, &m, 0, 0, NULL, NULL), CL_SUCCESS);
    unsigned read = (unsigned)fake_find(&fakes[2], BK_READ, 0);
    fake_complete(&fakes[2], read, CL_COMPLETE);
    memset(data, 5, sizeof data);
    assert_int_equal(weft_clEnqueueWriteBuffer(w.queue[2], m, CL_FALSE, 0, SIZE, data, 0, NULL, NULL), 0);
    fake_complete(&fakes[2], read + 1, CL_COMPLETE);
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[1], m, CL_FALSE, 0, SIZE, back, 0, NULL, NULL), 0);
    fake_complete(&fakes[2], (unsigned)fake_find(&fakes[2], BK_READ, read + 1), CL_COMPLETE);
    int write = fake_find(&fakes[1], BK_WRITE, 1);
    assert_true(write > 0);
    assert_false(fake_runnable(&fakes[1], (unsigned)write));
    assert_true(fakes_run(&seed));
    assert_int_equal(back[0], 5);
    fake_twins = 0;
    weft_clReleaseMemObject(m);
}

/* ---- ranges ---- */
static cl_mem sub_buffer(cl_mem m, size_t origin, size_t size) {
    cl_int rc;
    const cl_buffer_region r = {origin, size};
    cl_mem sub = weft_clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, &r, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    return sub;
}

static void write_on(int q, cl_mem m, size_t offset, size_t size, unsigned char value) {
    unsigned char data[SIZE];
    memset(data, value, size);
    assert_int_equal(weft_clEnqueueWriteBuffer(w.queue[q], m, CL_TRUE, offset, size, data, 0, NULL, NULL),
                     CL_SUCCESS);
}

static void ranges__devices_on_parts_of_a_buffer_do_not_meet(void **state) {
    unsigned char back[SIZE];
    unsigned seed = 3;
    cl_mem m = buffer(0, NULL), half[2] = {sub_buffer(m, 0, SIZE / 2), sub_buffer(m, SIZE / 2, SIZE / 2)};
    write_on(0, m, 0, SIZE, 1);
    cl_event e[2] = {add(0, half[0], 1, 0, NULL), add(1, half[1], 2, 0, NULL)};
    /* What node 1 lacks comes from node 0 while that computes, and no more than that. */
    int read = fake_find(&fakes[0], BK_READ, 0);
    assert_true(fake_runnable(&fakes[0], (unsigned)read));
    assert_int_equal(fakes[0].commands[read].c.u.rw.offset, SIZE / 2);
    assert_int_equal(fakes[0].commands[read].c.u.rw.size, SIZE / 2);
    fake_complete(&fakes[0], (unsigned)read, CL_COMPLETE);
    fake_complete(&fakes[1], (unsigned)fake_find(&fakes[1], BK_WRITE, 0), CL_COMPLETE);
    assert_true(fake_runnable(&fakes[1], (unsigned)fake_find(&fakes[1], BK_NDRANGE, 0)));
    assert_int_equal(status_of(e[0]), CL_SUBMITTED);
    /* Again and again: nothing moves any more. */
    unsigned commands = fakes[0].command_count + fakes[1].command_count;
    for (int i = 0; i < 6; i++) weft_clReleaseEvent(add(i % 2, half[i % 2], 1, 0, NULL));
    assert_int_equal(fakes[0].command_count + fakes[1].command_count, commands + 6);
    assert_true(fakes_run(&seed));
    /* Each half comes from where it is. */
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[2], m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(back[0], 1 + 1 + 3);
    assert_int_equal(back[SIZE - 1], 1 + 2 + 3);
    assert_int_equal(fakes[2].command_count, 3);
    for (int i = 0; i < 2; i++) {
        weft_clReleaseEvent(e[i]);
        weft_clReleaseMemObject(half[i]);
    }
    weft_clReleaseMemObject(m);
}

/* A later reader in the writer's queue: what was written is there when the writer has ended. */
static void ranges__moves_wait_for_writers_only(void **state) {
    unsigned seed = 3;
    cl_mem m = buffer(0, NULL), half = sub_buffer(m, 0, SIZE / 2);
    unsigned char back[2][SIZE];
    write_on(0, m, 0, SIZE, 1);
    weft_clReleaseEvent(add(0, half, 1, 0, NULL));
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[0], m, CL_FALSE, 0, SIZE, back[0], 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[1], half, CL_FALSE, 0, SIZE / 2, back[1], 0, NULL, NULL),
                     CL_SUCCESS);
    int move = fake_find(&fakes[0], BK_READ, (unsigned)fake_find(&fakes[0], BK_READ, 0) + 1);
    assert_false(fake_runnable(&fakes[0], (unsigned)move));
    fake_complete(&fakes[0], (unsigned)fake_find(&fakes[0], BK_NDRANGE, 0), CL_COMPLETE);
    assert_true(fake_runnable(&fakes[0], (unsigned)move));
    assert_true(fakes_run(&seed));
    assert_int_equal(back[1][0], 2);
    weft_clReleaseMemObject(half);
    weft_clReleaseMemObject(m);
}

static void ranges__what_is_written_elsewhere_leaves_the_rest_where_it_is(void **state) {
    unsigned char back[SIZE];
    cl_mem m = buffer(0, NULL);
    write_on(0, m, 0, SIZE, 1);
    write_on(1, m, 8, 4, 7); /* overwritten: nothing comes from node 0 */
    assert_int_equal(fakes[0].command_count, 1);
    assert_int_equal(fakes[1].command_count, 1);
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[0], m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL), CL_SUCCESS);
    int read = fake_find(&fakes[1], BK_READ, 0);
    assert_int_equal(fakes[1].commands[read].c.u.rw.offset, 8);
    assert_int_equal(fakes[1].commands[read].c.u.rw.size, 4);
    for (size_t i = 0; i < SIZE; i++) assert_int_equal(back[i], i >= 8 && i < 12 ? 7 : 1);
    weft_clReleaseMemObject(m);
}

static void ranges__a_region_alone_moves(void **state) {
    unsigned char data[SIZE], back[4];
    memset(data, 3, sizeof data);
    cl_mem m = buffer(CL_MEM_COPY_HOST_PTR, data), n = buffer(0, NULL);
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[1], m, CL_TRUE, 20, 4, back, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(fakes[1].commands[0].c.op, BK_WRITE);
    assert_int_equal(fakes[1].commands[0].c.u.rw.offset, 20);
    assert_int_equal(fakes[1].commands[0].c.u.rw.size, 4);
    assert_int_equal(back[3], 3);
    write_on(0, m, 0, SIZE, 4);
    assert_int_equal(weft_clEnqueueCopyBuffer(w.queue[2], m, n, 32, 0, 8, 0, NULL, NULL), CL_SUCCESS);
    int read = fake_find(&fakes[0], BK_READ, 0);
    assert_int_equal(fakes[0].commands[read].c.u.rw.offset, 32);
    assert_int_equal(fakes[0].commands[read].c.u.rw.size, 8);
    assert_int_equal(weft_clFinish(w.queue[2]), CL_SUCCESS);
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[2], n, CL_TRUE, 4, 4, back, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(back[3], 4);
    weft_clReleaseMemObject(m);
    weft_clReleaseMemObject(n);
}

/* Once all of it is used as one, it moves as one again. */
static void ranges__join_when_they_are_alike(void **state) {
    unsigned char back[SIZE];
    unsigned seed = 1;
    cl_mem m = buffer(0, NULL);
    write_on(0, m, 0, SIZE, 1);
    for (size_t i = 0; i < SIZE; i += 8) write_on(1, m, i, 8, 2);
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[2], m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL), CL_SUCCESS);
    int read = fake_find(&fakes[1], BK_READ, 0);
    assert_int_equal(fakes[1].commands[read].c.u.rw.size, SIZE);
    assert_int_equal(fake_find(&fakes[1], BK_READ, (unsigned)read + 1), -1);
    assert_int_equal(back[SIZE - 1], 2);
    assert_true(fakes_run(&seed));
    weft_clReleaseMemObject(m);
}

/* A driver with several devices may move more of a buffer than it is asked to. */
static void ranges__transfers_wait_for_all_of_a_slot_with_several_devices(void **state) {
    cl_int rc;
    unsigned seed = 1;
    cl_device_id parts[2];
    const cl_device_partition_property equally[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0};
    assert_int_equal(weft_clCreateSubDevices(fake_devices[0], equally, 2, parts, NULL), CL_SUCCESS);
    cl_device_id devices[3] = {parts[0], parts[1], fake_devices[1]};
    cl_context context = weft_clCreateContext(NULL, 3, devices, NULL, NULL, &rc);
    assert_int_equal(rc, CL_SUCCESS);
    cl_command_queue q[3];
    for (int i = 0; i < 3; i++) q[i] = weft_clCreateCommandQueueWithProperties(context, devices[i], NULL, &rc);
    cl_mem m = weft_clCreateBuffer(context, 0, SIZE, NULL, &rc);
    unsigned char data[SIZE] = {1}, back[SIZE];
    for (int i = 0; i < 2; i++)
        assert_int_equal(weft_clEnqueueWriteBuffer(q[2], m, CL_TRUE, 0, SIZE, data, 0, NULL, NULL), CL_SUCCESS);
    unsigned first = fakes[0].command_count;
    assert_int_equal(weft_clEnqueueWriteBuffer(q[1], m, CL_FALSE, 32, 32, data, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(weft_clEnqueueReadBuffer(q[0], m, CL_FALSE, 0, 8, back, 0, NULL, NULL), CL_SUCCESS);
    fake_complete(&fakes[1], (unsigned)fake_find(&fakes[1], BK_READ, 0), CL_COMPLETE);
    int transfer = fake_find(&fakes[0], BK_WRITE, first + 1);
    assert_true(transfer > 0);
    assert_false(fake_runnable(&fakes[0], (unsigned)transfer));
    fake_complete(&fakes[0], first, CL_COMPLETE);
    assert_true(fake_runnable(&fakes[0], (unsigned)transfer));
    assert_true(fakes_run(&seed));
    assert_int_equal(back[0], 1);
    weft_clReleaseMemObject(m);
    for (int i = 0; i < 3; i++) weft_clReleaseCommandQueue(q[i]);
    for (int i = 0; i < 2; i++) weft_clReleaseDevice(parts[i]);
    weft_clReleaseContext(context);
}

/* More parts than are told apart: what is told together moves together. */
static void ranges__have_an_end(void **state) {
    enum { BYTES = 4 * RANGES_MAX };
    static unsigned char data[BYTES], back[BYTES];
    cl_int rc;
    cl_mem m = weft_clCreateBuffer(w.context, CL_MEM_COPY_HOST_PTR, BYTES, data, &rc);
    for (size_t i = 0; i < BYTES; i += 2) {
        data[i] = (unsigned char)(1 + i);
        assert_int_equal(weft_clEnqueueWriteBuffer(w.queue[i / 2 % 2], m, CL_TRUE, i, 1, data + i, 0, NULL, NULL),
                         CL_SUCCESS);
    }
    assert_int_equal(weft_clEnqueueReadBuffer(w.queue[2], m, CL_TRUE, 0, BYTES, back, 0, NULL, NULL), CL_SUCCESS);
    assert_memory_equal(back, data, BYTES);
    assert_true(fakes[2].command_count <= RANGES_MAX + 1);
    weft_clReleaseMemObject(m);
}

/* ---- programs drawn at random ---- */
#define BUFFERS 3
#define PIECES  4 /* of a buffer, the least that a command works on */
#define PIECE   (SIZE / PIECES)
#define STEPS   40

struct piece {
    cl_event writer, readers[STEPS];
    unsigned reader_count;
};

struct draw {
    unsigned seed;
    unsigned char model[BUFFERS][SIZE], data[STEPS][SIZE], got[STEPS][SIZE], want[STEPS][SIZE];
    size_t read_size[STEPS];
    cl_mem whole[BUFFERS], part[BUFFERS][PIECES][PIECES + 1]; /* by the first piece and how many */
    struct piece piece[BUFFERS][PIECES];
    cl_event events[STEPS];
};

static unsigned draw(struct draw *d, unsigned n) {
    d->seed = d->seed * 1664525u + 1013904223u;
    return (d->seed >> 10) % n;
}

/* What a correct program waits for: a reader for the last writer, a writer for that and all readers since. */
static cl_uint dependencies(const struct piece *first, unsigned count, bool writes, cl_event *out) {
    cl_uint n = 0;
    for (const struct piece *p = first; p < first + count; p++) {
        if (p->writer) out[n++] = p->writer;
        for (unsigned i = 0; writes && i < p->reader_count; i++) out[n++] = p->readers[i];
    }
    return n;
}

static void note(struct piece *first, unsigned count, bool writes, cl_event e) {
    for (struct piece *p = first; p < first + count; p++) {
        if (writes) p->reader_count = 0;
        if (writes)
            p->writer = e;
        else
            p->readers[p->reader_count++] = e;
    }
}

/* One command on a buffer, a sub-buffer or a region of one, on any queue. */
static void step(struct draw *d, unsigned s) {
    unsigned b = draw(d, BUFFERS), first = draw(d, PIECES), count = 1 + draw(d, PIECES - first), op = draw(d, 3);
    struct piece *pieces = &d->piece[b][first];
    cl_mem m = d->part[b][first][count];
    unsigned char *model = d->model[b] + first * PIECE;
    size_t size = count * PIECE, offset = 0;
    int q = (int)draw(d, 3);
    cl_event list[PIECES * (STEPS + 1) + 1], *wait = list;
    cl_uint n = dependencies(pieces, count, op != 0, list);
    if (!n) wait = NULL;
    if (op < 2 && draw(d, 2)) {
        m = d->whole[b];
        offset = first * PIECE;
    }
    if (op == 0) {
        d->read_size[s] = size;
        memcpy(d->want[s], model, size);
        assert_int_equal(weft_clEnqueueReadBuffer(w.queue[q], m, CL_FALSE, offset, size, d->got[s], n, wait,
                                                  &d->events[s]),
                         0);
    } else if (op == 1) {
        unsigned from = draw(d, s + 1); /* a step that read as much: what it reads is written */
        bool handed = d->read_size[from] >= size;
        for (size_t i = 0; i < size; i++)
            model[i] = d->data[s][i] = handed ? d->want[from][i] : (unsigned char)draw(d, 256);
        if (handed) list[n++] = d->events[from];
        assert_int_equal(weft_clEnqueueWriteBuffer(w.queue[q], m, CL_FALSE, offset, size,
                                                   handed ? d->got[from] : d->data[s], n, n ? list : NULL,
                                                   &d->events[s]),
                         0);
    } else {
        unsigned char value = (unsigned char)(1 + draw(d, 9));
        for (size_t i = 0; i < size; i++) model[i] = (unsigned char)(model[i] + value);
        d->events[s] = add(q, m, value, n, wait);
    }
    note(pieces, count, op != 0, d->events[s]);
}

static void run_some(struct draw *d) {
    for (unsigned n = draw(d, 4); n; n--) {
        struct fake *f = &fakes[draw(d, 3)];
        for (unsigned i = 0; i < f->command_count; i++)
            if (fake_runnable(f, i)) {
                fake_complete(f, i, CL_COMPLETE);
                break;
            }
    }
}

static void one_program(unsigned seed) {
    static struct draw d;
    memset(&d, 0, sizeof d);
    d.seed = seed;
    for (unsigned b = 0; b < BUFFERS; b++) {
        d.whole[b] = buffer(CL_MEM_COPY_HOST_PTR, d.model[b]);
        for (unsigned first = 0; first < PIECES; first++)
            for (unsigned n = 1; first + n <= PIECES; n++)
                d.part[b][first][n] =
                    n == PIECES ? d.whole[b] : sub_buffer(d.whole[b], first * PIECE, n * (size_t)PIECE);
    }
    for (unsigned s = 0; s < STEPS; s++) {
        step(&d, s);
        run_some(&d);
    }
    unsigned order = seed;
    if (!fakes_run(&order)) fail_msg("seed %u: commands that can never run", seed);
    for (unsigned s = 0; s < STEPS; s++) {
        if (memcmp(d.got[s], d.want[s], d.read_size[s]))
            fail_msg("seed %u: step %u read wrong data", seed, s);
        weft_clReleaseEvent(d.events[s]);
    }
    for (unsigned b = 0; b < BUFFERS; b++) {
        unsigned char back[SIZE];
        weft_clEnqueueReadBuffer(w.queue[0], d.whole[b], CL_TRUE, 0, SIZE, back, 0, NULL, NULL);
        if (memcmp(back, d.model[b], SIZE)) fail_msg("seed %u: buffer %u is wrong at the end", seed, b);
        for (unsigned first = 0; first < PIECES; first++)
            for (unsigned n = 1; first + n <= PIECES; n++) weft_clReleaseMemObject(d.part[b][first][n]);
    }
}

static void coherence__random_programs(void **state) {
    for (unsigned seed = 1; seed <= 300; seed++) {
        if (seed > 1) setup(NULL);
        one_program(seed);
        if (seed < 300) teardown(NULL);
    }
}

static void coherence__random_programs_of_twins(void **state) {
    for (unsigned seed = 1; seed <= 600; seed++) {
        if (seed > 1) setup(NULL);
        fake_twins = seed % 3 ? 3u << seed % 2 : 7u;
        one_program(seed);
        fake_twins = 0;
        if (seed < 600) teardown(NULL);
    }
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(coherence__moves_data_between_backends),
        T(coherence__leaves_valid_data_where_it_is),
        T(coherence__marks_what_the_program_does_not_see),
        T(coherence__brings_initial_contents),
        T(coherence__passes_a_failure_on),
        T(coherence__objects_outlive_their_handles),
        T(coherence__disjoint_sub_buffers_on_two_backends),
        T(coherence__user_event_opens_all_backends),
        T(coherence__maps_through_host_memory),
        T(coherence__twins_need_no_transfer),
        T(coherence__twins_wait_for_what_is_on_its_way),
        T(coherence__transfers_to_twins_keep_their_order),
        T(ranges__devices_on_parts_of_a_buffer_do_not_meet),
        T(ranges__moves_wait_for_writers_only),
        T(ranges__what_is_written_elsewhere_leaves_the_rest_where_it_is),
        T(ranges__a_region_alone_moves),
        T(ranges__join_when_they_are_alike),
        T(ranges__transfers_wait_for_all_of_a_slot_with_several_devices),
        T(ranges__have_an_end),
        T(coherence__random_programs),
        T(coherence__random_programs_of_twins),
    };
    fakes_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
