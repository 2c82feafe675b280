/* Late transfers, over fake backends that take a write's data when it is enqueued. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/front/fake_backend.h"

#define SIZE 64

static cl_context context;
static cl_command_queue queue[2];
static cl_mem from, to;
static unsigned char host[SIZE];
static unsigned seed = 1;

static int setup(void **state) {
    cl_int rc;
    unsigned char data[SIZE];
    fakes_reset();
    memset(data, 7, SIZE);
    memset(host, 0, SIZE);
    context = weft_clCreateContext(NULL, 2, fake_devices, NULL, NULL, &rc);
    for (int i = 0; i < 2; i++) queue[i] = weft_clCreateCommandQueue(context, fake_devices[i], 0, &rc);
    from = weft_clCreateBuffer(context, CL_MEM_COPY_HOST_PTR, SIZE, data, &rc);
    to = weft_clCreateBuffer(context, 0, SIZE, NULL, &rc);
    return rc;
}

/* Whatever a test did: once all is released, no backend object is left. */
static int teardown(void **state) {
    weft_clReleaseMemObject(from);
    weft_clReleaseMemObject(to);
    for (int i = 0; i < 2; i++) weft_clReleaseCommandQueue(queue[i]);
    weft_clReleaseContext(context);
    return fakes_live() != 0;
}

static cl_event start_read(void) {
    cl_event e;
    assert_int_equal(weft_clEnqueueReadBuffer(queue[0], from, CL_FALSE, 0, SIZE, host, 0, NULL, &e),
                     CL_SUCCESS);
    return e;
}

static cl_event start_write(int q, size_t at, cl_uint waits, const cl_event *list) {
    cl_event e;
    assert_int_equal(
        weft_clEnqueueWriteBuffer(queue[q], to, CL_FALSE, at, SIZE - at, host + at, waits, list, &e),
        CL_SUCCESS);
    return e;
}

static cl_int end_of(cl_event e) {
    cl_int s = 1;
    fakes_run(&seed);
    weft_clGetEventInfo(e, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof s, &s, NULL);
    weft_clReleaseEvent(e);
    return s;
}

static void check_contents(size_t at) {
    unsigned char back[SIZE] = {0};
    assert_int_equal(weft_clEnqueueReadBuffer(queue[0], to, CL_TRUE, 0, SIZE, back, 0, NULL, NULL),
                     CL_SUCCESS);
    for (size_t i = at; i < SIZE; i++) assert_int_equal(back[i], 7);
}

static void late__write_follows_a_read_of_another_node(void **state) {
    cl_event read = start_read(), written = start_write(1, 0, 1, &read);
    assert_int_equal(fake_find(&fakes[1], BK_WRITE, 0), -1);
    assert_int_equal(end_of(written), CL_COMPLETE);
    assert_true(fake_find(&fakes[1], BK_WRITE, 0) >= 0);
    weft_clReleaseEvent(read);
    check_contents(0);
}

static void late__write_follows_a_read_of_its_queue(void **state) {
    cl_event read = start_read(), written = start_write(0, SIZE - 1, 0, NULL);
    assert_int_equal(end_of(written), CL_COMPLETE);
    weft_clReleaseEvent(read);
    check_contents(SIZE - 1);
}

static void late__blocking_write_waits(void **state) {
    cl_event read = start_read();
    assert_int_equal(weft_clEnqueueWriteBuffer(queue[1], to, CL_TRUE, 0, SIZE, host, 1, &read, NULL),
                     CL_SUCCESS);
    weft_clReleaseEvent(read);
    check_contents(0);
}

static void late__write_follows_the_program(void **state) {
    cl_int rc;
    cl_event ready = weft_clCreateUserEvent(context, &rc), written = start_write(1, 0, 1, &ready);
    fakes_run(&seed);
    memset(host, 7, SIZE);
    assert_int_equal(weft_clSetUserEventStatus(ready, CL_COMPLETE), CL_SUCCESS);
    assert_int_equal(end_of(written), CL_COMPLETE);
    weft_clReleaseEvent(ready);
    check_contents(0);
}

/* Its data could overtake the first one's. */
static void late__read_follows_a_read_into_the_same_memory(void **state) {
    cl_event first = start_read(), second;
    assert_int_equal(
        weft_clEnqueueReadBuffer(queue[0], to, CL_FALSE, 0, 8, host + SIZE - 8, 0, NULL, &second),
        CL_SUCCESS);
    int at = fake_find(&fakes[0], BK_READ, 0);
    assert_int_equal(fake_find(&fakes[0], BK_READ, (unsigned)at + 1), -1);
    assert_int_equal(end_of(second), CL_COMPLETE);
    assert_true(fake_find(&fakes[0], BK_READ, (unsigned)at + 1) > at);
    weft_clReleaseEvent(first);
}

/* Nothing is held back without need: a write that waits for commands which leave its memory alone. */
static void late__data_that_is_there_is_sent_ahead(void **state) {
    cl_event first = start_write(1, 0, 0, NULL), second = start_write(1, 0, 1, &first);
    int at = fake_find(&fakes[1], BK_WRITE, 0);
    assert_true(at >= 0 && fake_find(&fakes[1], BK_WRITE, (unsigned)at + 1) > at);
    fakes_run(&seed);
    weft_clReleaseEvent(first);
    weft_clReleaseEvent(second);
    /* Nor after the read that filled it. */
    cl_event read = start_read();
    assert_int_equal(end_of(read), CL_COMPLETE);
    unsigned before = fakes[1].command_count;
    cl_event third = start_write(1, 0, 0, NULL);
    assert_int_equal(fake_find(&fakes[1], BK_WRITE, before), before);
    assert_int_equal(end_of(third), CL_COMPLETE);
}

static void late__failure_is_passed_on(void **state) {
    cl_event read = start_read(), written = start_write(1, 0, 1, &read);
    int at = fake_find(&fakes[0], BK_READ, 0);
    while (!fake_runnable(&fakes[0], (unsigned)at)) fake_complete(&fakes[0], 0, CL_COMPLETE);
    fake_complete(&fakes[0], (unsigned)at, CL_OUT_OF_RESOURCES);
    assert_true(end_of(written) < 0);
    assert_int_equal(fake_find(&fakes[1], BK_WRITE, 0), -1);
    weft_clReleaseEvent(read);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(late__write_follows_a_read_of_another_node),
        T(late__write_follows_a_read_of_its_queue),
        T(late__blocking_write_waits),
        T(late__write_follows_the_program),
        T(late__read_follows_a_read_into_the_same_memory),
        T(late__data_that_is_there_is_sent_ahead),
        T(late__failure_is_passed_on),
    };
    fakes_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
