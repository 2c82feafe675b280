/* Events: user events, bridges between backends, callbacks, references. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/front/fake_backend.h"
#include "weft/notify.h"

/* What a program's header calls, without a loader between. */
#define clSetEventCallback weft_clSetEventCallback
#include "CL/cl_weft.h"

static cl_context context;
static cl_command_queue queue[2];

static int setup(void **state) {
    cl_int rc;
    fakes_reset();
    context = weft_clCreateContext(NULL, 2, fake_devices, NULL, NULL, &rc);
    for (int i = 0; i < 2; i++)
        queue[i] =
            weft_clCreateCommandQueue(context, fake_devices[i], CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &rc);
    return rc;
}

static int teardown(void **state) {
    unsigned seed = 1;
    fakes_run(&seed);
    for (int i = 0; i < 2; i++) assert_int_equal(weft_clReleaseCommandQueue(queue[i]), CL_SUCCESS);
    assert_int_equal(weft_clReleaseContext(context), CL_SUCCESS);
    assert_int_equal(fakes_live(), 0);
    return 0;
}

static cl_event marker(int q, cl_uint n, const cl_event *list) {
    cl_event e = NULL;
    assert_int_equal(weft_clEnqueueMarkerWithWaitList(queue[q], n, n ? list : NULL, &e), CL_SUCCESS);
    return e;
}

static cl_int status_of(cl_event e) {
    cl_int s = 1;
    assert_int_equal(weft_clGetEventInfo(e, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof s, &s, NULL),
                     CL_SUCCESS);
    return s;
}

static void event__of_another_backend_is_bridged_once(void **state) {
    cl_event a = marker(0, 0, NULL), b[2];
    for (int i = 0; i < 2; i++) b[i] = marker(1, 1, &a);
    assert_int_equal(fakes[1].commands[0].waits[0], fakes[1].commands[1].waits[0]);
    assert_false(fake_runnable(&fakes[1], 0));
    fake_complete(&fakes[0], 0, CL_COMPLETE);
    assert_true(fake_runnable(&fakes[1], 0));
    for (int i = 0; i < 2; i++) weft_clReleaseEvent(b[i]);
    weft_clReleaseEvent(a);
}

static void event__is_waited_for_once(void **state) {
    cl_event a = marker(0, 0, NULL), list[] = {a, a, a}, b[] = {marker(0, 3, list), marker(1, 3, list)};
    assert_int_equal(fakes[0].commands[1].c.wait_count, 1);
    assert_int_equal(fakes[1].commands[0].c.wait_count, 1);
    fake_complete(&fakes[0], 0, CL_COMPLETE);
    assert_true(fake_runnable(&fakes[1], 0));
    for (int i = 0; i < 2; i++) weft_clReleaseEvent(b[i]);
    weft_clReleaseEvent(a);
}

static void event__marker_keeps_waiting_for_its_list_only(void **state) {
    cl_event a = marker(0, 0, NULL);
    fake_complete(&fakes[0], 0, CL_COMPLETE);
    cl_int rc;
    cl_event gate = weft_clCreateUserEvent(context, &rc), blocked = marker(1, 1, &gate);
    /* The list's one event has ended; an empty list would wait for all before, the blocked one included. */
    cl_event b = marker(1, 1, &a);
    assert_true(fake_runnable(&fakes[1], 1));
    assert_int_equal(weft_clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    cl_event all[] = {a, gate, blocked, b};
    for (int i = 0; i < 4; i++) weft_clReleaseEvent(all[i]);
}

static void event__failure_crosses_backends(void **state) {
    cl_event a = marker(0, 0, NULL), b = marker(1, 1, &a);
    unsigned seed = 1;
    fake_complete(&fakes[0], 0, CL_OUT_OF_RESOURCES);
    assert_true(fakes_run(&seed));
    assert_int_equal(status_of(a), CL_OUT_OF_RESOURCES);
    assert_true(status_of(b) < 0);
    cl_event late = marker(1, 1, &a); /* of one that has failed already */
    assert_true(fakes_run(&seed));
    assert_true(status_of(late) < 0);
    weft_clReleaseEvent(a);
    weft_clReleaseEvent(b);
    weft_clReleaseEvent(late);
}

static void event__given_up_user_event_fails_its_waiters(void **state) {
    cl_int rc;
    unsigned seed = 1;
    cl_event gate = weft_clCreateUserEvent(context, &rc), a = marker(0, 1, &gate);
    assert_int_equal(weft_clReleaseEvent(gate), CL_SUCCESS);
    assert_true(fakes_run(&seed));
    assert_true(status_of(a) < 0);
    weft_clReleaseEvent(a);
}

struct called {
    pthread_mutex_t lock;
    pthread_cond_t more;
    int count;
    cl_int status[4];
    cl_event event;
};
static struct called called = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void CL_CALLBACK on_event(cl_event e, cl_int status, void *data) {
    struct called *c = data;
    pthread_mutex_lock(&c->lock);
    c->status[c->count++ % 4] = status;
    c->event = e;
    pthread_cond_signal(&c->more);
    pthread_mutex_unlock(&c->lock);
}

static void wait_called(int count) {
    pthread_mutex_lock(&called.lock);
    while (called.count < count) pthread_cond_wait(&called.more, &called.lock);
    pthread_mutex_unlock(&called.lock);
}

/* The callback thread's work of before is done, its references dropped. */
static void CL_CALLBACK on_context(cl_context c, void *data) { on_event(NULL, 0, data); }
static void drain_callbacks(void) {
    cl_int rc;
    cl_context c = weft_clCreateContext(NULL, 1, fake_devices, NULL, NULL, &rc);
    called.count = 0;
    weft_clSetContextDestructorCallback(c, on_context, &called);
    weft_clReleaseContext(c);
    wait_called(1);
}

static void event__callbacks_run_once_each(void **state) {
    called.count = 0;
    cl_event a = marker(0, 0, NULL);
    assert_int_equal(weft_clSetEventCallback(a, CL_QUEUED, on_event, &called), CL_INVALID_VALUE);
    assert_int_equal(weft_clSetEventCallback(a, CL_COMPLETE, NULL, &called), CL_INVALID_VALUE);
    assert_int_equal(weft_clSetEventCallback(a, CL_RUNNING, on_event, &called), CL_SUCCESS);
    assert_int_equal(weft_clSetEventCallback(a, CL_COMPLETE, on_event, &called), CL_SUCCESS);
    fake_complete(&fakes[0], 0, CL_COMPLETE);
    wait_called(2);
    assert_int_equal(called.status[0], CL_RUNNING);
    assert_int_equal(called.status[1], CL_COMPLETE);
    assert_ptr_equal(called.event, a);
    assert_int_equal(weft_clSetEventCallback(a, CL_COMPLETE, on_event, &called),
                     CL_SUCCESS); /* of one that has ended */
    wait_called(3);
    weft_clReleaseEvent(a);
    drain_callbacks();
}

/* It need not wait for the end where the state is past. */
static void event__callback_of_a_state_that_is_past(void **state) {
    called.count = 0;
    cl_int rc;
    cl_event gate = weft_clCreateUserEvent(context, &rc);
    assert_int_equal(weft_clSetEventCallback(gate, CL_RUNNING, on_event, &called), CL_SUCCESS);
    assert_int_equal(weft_clSetEventCallback(gate, CL_SUBMITTED, on_event, &called), CL_SUCCESS);
    wait_called(1);
    assert_int_equal(called.status[0], CL_SUBMITTED);
    assert_int_equal(weft_clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    wait_called(2);
    assert_int_equal(called.status[1], CL_RUNNING);
    weft_clReleaseEvent(gate);
    drain_callbacks();
}

static struct {
    cl_context context;
    void *data;
} destroyed[2];
static unsigned destroyed_count;
static void CL_CALLBACK on_destroyed(cl_context c, void *data) {
    destroyed[destroyed_count].context = c;
    destroyed[destroyed_count++].data = data;
}

/* The last registered first, each with the context. */
static void context__destructor_callbacks_have_its_handle(void **state) {
    cl_int rc;
    cl_context c = weft_clCreateContext(NULL, 1, fake_devices, NULL, NULL, &rc);
    assert_int_equal(weft_clSetContextDestructorCallback(c, NULL, NULL), CL_INVALID_VALUE);
    for (int i = 0; i < 2; i++)
        assert_int_equal(weft_clSetContextDestructorCallback(c, on_destroyed, &destroyed[i]), CL_SUCCESS);
    weft_clReleaseContext(c);
    drain_callbacks();
    assert_int_equal(destroyed_count, 2);
    for (int i = 0; i < 2; i++) {
        assert_ptr_equal(destroyed[i].context, c);
        assert_ptr_equal(destroyed[i].data, &destroyed[1 - i]);
    }
}

static void event__callback_tells_a_failure(void **state) {
    called.count = 0;
    cl_int rc;
    cl_event gate = weft_clCreateUserEvent(context, &rc);
    assert_int_equal(weft_clSetEventCallback(gate, CL_COMPLETE, on_event, &called), CL_SUCCESS);
    assert_int_equal(weft_clSetUserEventStatus(gate, 1), CL_INVALID_VALUE);
    assert_int_equal(weft_clSetUserEventStatus(gate, -42), CL_SUCCESS);
    wait_called(1);
    assert_int_equal(called.status[0], -42);
    assert_int_equal(status_of(gate), -42);
    weft_clReleaseEvent(gate);
    drain_callbacks();
}

static void event__posts_to_a_notification(void **state) {
    cl_int rc;
    struct weft_notification n;
    struct weft_arrived a;
    assert_int_equal(weft_notification_init(&n, NULL, NULL, NULL), 0);
    static const cl_int ends[] = {CL_COMPLETE, -42};
    for (int i = 0; i < 2; i++) {
        cl_event gate = weft_clCreateUserEvent(context, &rc);
        assert_int_equal(clNotifyEventWEFT(gate, &n), CL_SUCCESS);
        assert_int_equal(weft_notification_test(&n, &a), 0);
        assert_int_equal(weft_clSetUserEventStatus(gate, ends[i]), CL_SUCCESS);
        assert_int_equal(weft_notification_wait(&n, WEFT_FOREVER, &a), 0);
        assert_int_equal((cl_int)a.value, ends[i]);
        assert_int_equal(a.status, i ? WEFT_E_IO : WEFT_OK);
        weft_clReleaseEvent(gate);
    }
    assert_int_equal(clNotifyEventWEFT(NULL, &n), CL_INVALID_EVENT);
    drain_callbacks();
}

static void event__wait_list_is_checked(void **state) {
    cl_int rc;
    cl_event e, a = marker(0, 0, NULL);
    cl_context other = weft_clCreateContext(NULL, 1, fake_devices, NULL, NULL, &rc);
    cl_event foreign = weft_clCreateUserEvent(other, &rc);
    assert_int_equal(weft_clEnqueueMarkerWithWaitList(queue[0], 1, NULL, &e), CL_INVALID_EVENT_WAIT_LIST);
    assert_int_equal(weft_clEnqueueMarkerWithWaitList(queue[0], 0, &a, &e), CL_INVALID_EVENT_WAIT_LIST);
    assert_int_equal(weft_clEnqueueMarkerWithWaitList(queue[0], 1, &foreign, &e), CL_INVALID_CONTEXT);
    cl_event mixed[] = {a, foreign};
    assert_int_equal(weft_clWaitForEvents(2, mixed), CL_INVALID_CONTEXT);
    weft_clReleaseEvent(a);
    assert_int_equal(weft_clEnqueueMarkerWithWaitList(queue[0], 1, &a, &e), CL_INVALID_EVENT_WAIT_LIST);
    assert_int_equal(weft_clWaitForEvents(1, &a), CL_INVALID_EVENT);
    weft_clReleaseEvent(foreign);
    weft_clReleaseContext(other);
}

static void event__holds_its_queue_and_context(void **state) {
    cl_int rc;
    cl_context c = weft_clCreateContext(NULL, 1, fake_devices, NULL, NULL, &rc);
    cl_command_queue q = weft_clCreateCommandQueue(c, fake_devices[0], 0, &rc), told;
    cl_event e;
    assert_int_equal(weft_clEnqueueMarkerWithWaitList(q, 0, NULL, &e), CL_SUCCESS);
    weft_clReleaseCommandQueue(q);
    weft_clReleaseContext(c);
    assert_int_equal(weft_clGetEventInfo(e, CL_EVENT_COMMAND_QUEUE, sizeof(cl_command_queue), &told, NULL),
                     CL_SUCCESS);
    assert_ptr_equal(told, q);
    assert_int_equal(weft_clFinish(q),
                     CL_INVALID_COMMAND_QUEUE); /* the handle itself is the program's no more */
    fake_complete(&fakes[0], fakes[0].command_count - 1, CL_COMPLETE);
    weft_clReleaseEvent(e);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(event__of_another_backend_is_bridged_once),
        T(event__is_waited_for_once),
        T(event__marker_keeps_waiting_for_its_list_only),
        T(event__failure_crosses_backends),
        T(event__given_up_user_event_fails_its_waiters),
        T(event__callbacks_run_once_each),
        T(event__callback_tells_a_failure),
        T(event__callback_of_a_state_that_is_past),
        T(context__destructor_callbacks_have_its_handle),
        T(event__posts_to_a_notification),
        T(event__wait_list_is_checked),
        T(event__holds_its_queue_and_context),
    };
    fakes_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
