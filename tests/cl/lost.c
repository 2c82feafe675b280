/* A program whose node, or whose executor, is killed while it waits in every way there is: each wait ends
 * with an error, the other nodes go on and are right, and a new context has what is there again. It says
 * "ready" when the time has come, and goes on when the first wait has ended. */
#include "lost.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BYTES       ((size_t)32 << 20)
#define SPIN_ROUNDS 2000000000 /* of one work item: seconds */
#define SPINS       20
#define STEPS       200

static const char usage[] = "Usage: cllost back|gone|crash|move\n"
                            "Waits for the death of the executor of the device under test, or of its node.\n"
                            "\n"
                            "  back   a new context works on that device, too\n"
                            "  gone   it does not, and says so\n"
                            "  crash  as back, but a kernel of its own is the death\n"
                            "  move   the same, again and again while contents move from it and to it\n"
                            "\n"
                            "environment: CLTEST_PLATFORM, CLTEST_NODE, CLTEST_TIMEOUT\n";

static const char crashing[] = "__kernel void crash(__global int *p) { p[(ulong)1 << 42] = 1; }\n";
static bool comes_back, crashes;

/* What hangs on the device that dies. */
static struct {
    cl_mem mem, other;
    cl_event behind, elsewhere, last, go;
    char *host;
    atomic_int told; /* by the callback: its status */
} w;

double lost_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- waiting, each way in a thread of its own --- */

struct wait {
    const char *name;
    cl_int (*run)(struct cltest *t);
    struct cltest *t;
    pthread_t thread;
    cl_int result;
    double at;
};

static cl_int wait_for_event(struct cltest *t) { return clWaitForEvents(1, &w.behind); }
static cl_int wait_elsewhere(struct cltest *t) { return clWaitForEvents(1, &w.elsewhere); }
static cl_int wait_behind_that(struct cltest *t) { return clWaitForEvents(1, &w.last); }
static cl_int wait_finish(struct cltest *t) { return clFinish(t->queue[0]); }
static cl_int wait_read(struct cltest *t) {
    return clEnqueueReadBuffer(t->queue[0], w.mem, CL_TRUE, 0, BYTES, w.host, 0, NULL, NULL);
}
static cl_int wait_write(struct cltest *t) {
    return clEnqueueWriteBuffer(t->queue[0], w.mem, CL_TRUE, 0, 4, "text", 1, &w.behind, NULL);
}
static cl_int wait_map(struct cltest *t) {
    cl_int err;
    clEnqueueMapBuffer(t->queue[0], w.mem, CL_TRUE, CL_MAP_READ, 0, BYTES, 0, NULL, NULL, &err);
    return err;
}

static struct wait waits[] = {
    {"clWaitForEvents", wait_for_event},
    {"clWaitForEvents for another device's command", wait_elsewhere},
    {"clWaitForEvents for one behind it", wait_behind_that},
    {"clFinish", wait_finish},
    {"clEnqueueReadBuffer", wait_read},
    {"clEnqueueWriteBuffer", wait_write},
    {"clEnqueueMapBuffer", wait_map},
};
#define WAITS (sizeof waits / sizeof *waits)

static void *wait_in_thread(void *arg) {
    struct wait *a = arg;
    a->result = a->run(a->t);
    a->at = lost_seconds();
    return NULL;
}

/* --- the test --- */

static void CL_CALLBACK on_end(cl_event e, cl_int status, void *arg) { atomic_store(&w.told, status); }

void lost_append(struct cltest *t, unsigned device, cl_mem m, cl_int value, cl_uint n, const cl_event *wait,
                 cl_event *event) {
    cl_kernel k = cltest_kernel(t, "append");
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    OK(clSetKernelArg(k, 1, sizeof value, &value));
    cltest_launch(t->queue[device], k, 1, n, wait, event);
    OK(clReleaseKernel(k));
}

cl_event lost_prepare_crash(struct cltest *t, cl_command_queue q, cl_mem m, cl_event *crashed) {
    cl_int err;
    const char *source = crashing;
    cl_program p = clCreateProgramWithSource(t->ctx, 1, &source, NULL, &err);
    OK(err);
    OK(clBuildProgram(p, 1, t->dev, "", NULL, NULL));
    cl_kernel k = clCreateKernel(p, "crash", &err);
    OK(err);
    cl_event go = clCreateUserEvent(t->ctx, &err);
    OK(err);
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    cltest_launch(q, k, 1, 1, &go, crashed);
    OK(clFlush(q));
    OK(clReleaseKernel(k));
    OK(clReleaseProgram(p));
    return go;
}

static void prepare_spins(struct cltest *t) {
    cl_kernel k = cltest_kernel(t, "spin");
    cl_int rounds = SPIN_ROUNDS;
    OK(clSetKernelArg(k, 0, sizeof w.mem, &w.mem));
    OK(clSetKernelArg(k, 1, sizeof rounds, &rounds));
    for (int i = 0; i < SPINS; i++) cltest_launch(t->queue[0], k, 1, 0, NULL, NULL);
    OK(clReleaseKernel(k));
}

/* Kernels that take long, and commands here and elsewhere that wait for them. */
static void hang(struct cltest *t) {
    w.host = malloc(BYTES);
    CHECK(w.host);
    w.mem = cltest_buffer(t, CL_MEM_READ_WRITE, BYTES, NULL);
    w.other = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    if (crashes)
        w.go = lost_prepare_crash(t, t->queue[0], w.mem, NULL);
    else
        prepare_spins(t);
    lost_append(t, 0, w.mem, 1, 0, NULL, &w.behind);
    cl_command_queue q = cltest_queue(t, t->other, 0);
    OK(clEnqueueFillBuffer(q, w.other, "abcd", 4, 0, 64, 1, &w.behind, &w.elsewhere));
    /* And a chain behind that one, partly without events. */
    for (int i = 0; i < 3; i++) OK(clEnqueueFillBuffer(q, w.other, "efgh", 4, 0, 64, 1, &w.elsewhere, NULL));
    OK(clEnqueueFillBuffer(q, w.other, "ijkl", 4, 0, 64, 1, &w.elsewhere, &w.last));
    OK(clFlush(q));
    OK(clReleaseCommandQueue(q));
    OK(clSetEventCallback(w.behind, CL_COMPLETE, on_end, NULL));
    OK(clFlush(t->queue[0]));
}

void lost_go_on(struct cltest *t, unsigned device) {
    cl_int value = 0, expected = 0;
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    OK(clEnqueueWriteBuffer(t->queue[device], m, CL_TRUE, 0, sizeof value, &value, 0, NULL, NULL));
    for (cl_int i = 0; i < STEPS; i++) {
        lost_append(t, device, m, i, 0, NULL, NULL);
        expected = (cl_int)((cl_uint)expected * 3u + (cl_uint)i);
    }
    OK(clEnqueueReadBuffer(t->queue[device], m, CL_TRUE, 0, sizeof value, &value, 0, NULL, NULL));
    CHECK_EQ(value, expected);
    OK(clReleaseMemObject(m));
}

static void lose(struct cltest *t) {
    CHECK(t->other != 0);
    hang(t);
    lost_go_on(t, t->other);
    for (size_t i = 0; i < WAITS; i++) {
        waits[i].t = t;
        CHECK_EQ(pthread_create(&waits[i].thread, NULL, wait_in_thread, &waits[i]), 0);
    }
    puts("ready");
    if (crashes) OK(clSetUserEventStatus(w.go, CL_COMPLETE));
    double first = 0, last = 0;
    for (size_t i = 0; i < WAITS; i++) {
        pthread_join(waits[i].thread, NULL);
        cltest_note("%s gives %s", waits[i].name, clerror_name(waits[i].result));
        first = !i || waits[i].at < first ? waits[i].at : first;
        last = waits[i].at > last ? waits[i].at : last;
    }
    for (size_t i = 0; i < WAITS; i++) CHECK(waits[i].result < 0);
    cltest_note("all within %.3f s", last - first);
    CHECK(last - first < LOST_TOGETHER_S);
}

static void events_tell(struct cltest *t) {
    cl_int behind = cltest_status(w.behind), elsewhere = cltest_status(w.elsewhere);
    cltest_note("the event gives %s, the one elsewhere %s", clerror_name(behind), clerror_name(elsewhere));
    CHECK_EQ(behind, CL_DEVICE_NOT_AVAILABLE);
    CHECK(elsewhere < 0);
    double until = lost_seconds() + LOST_TOGETHER_S;
    while (!atomic_load(&w.told) && lost_seconds() < until) nanosleep(&(struct timespec){0, 1000000}, NULL);
    CHECK_EQ(atomic_load(&w.told), CL_DEVICE_NOT_AVAILABLE);
}

static void others_go_on(struct cltest *t) {
    for (unsigned i = 1; i < t->n_devices; i++)
        if (t->info[i].node != t->info[0].node) lost_go_on(t, i);
}

/* Whatever it is given, it gives an error. */
static void old_context_is_refused(struct cltest *t) {
    cl_int value = 1;
    cl_int err = clEnqueueWriteBuffer(t->queue[0], w.mem, CL_TRUE, 0, sizeof value, &value, 0, NULL, NULL);
    cltest_note("a write gives %s", clerror_name(err));
    CHECK(err < 0);
}

void lost_open_again(const struct cltest *t, struct cltest *again) {
    cl_int err;
    *again = *t;
    again->ctx = clCreateContext(NULL, t->n_devices, t->dev, NULL, NULL, &err);
    OK(err);
    const char *source = cltest_source;
    again->prog = clCreateProgramWithSource(again->ctx, 1, &source, NULL, &err);
    OK(err);
    for (unsigned i = 0; i < t->n_devices; i++) again->queue[i] = cltest_queue(again, i, 0);
    OK(clBuildProgram(again->prog, t->n_devices, t->dev, "", NULL, NULL));
}

void lost_close_again(struct cltest *again) {
    for (unsigned i = 0; i < again->n_devices; i++) OK(clReleaseCommandQueue(again->queue[i]));
    OK(clReleaseProgram(again->prog));
    OK(clReleaseContext(again->ctx));
}

static void new_context(struct cltest *t) {
    struct cltest again;
    if (comes_back) {
        lost_open_again(t, &again);
        for (unsigned i = 0; i < t->n_devices; i++) lost_go_on(&again, i);
        old_context_is_refused(t);
        lost_go_on(&again, 0); /* which has not hurt it */
        lost_close_again(&again);
        return;
    }
    cl_int err;
    cl_context c = clCreateContext(NULL, 1, t->dev, NULL, NULL, &err);
    cl_command_queue q = err ? NULL : clCreateCommandQueue(c, t->dev[0], 0, &err);
    if (!err) err = clFinish(q);
    cltest_note("a context of that device gives %s", clerror_name(err));
    CHECK(err < 0);
    if (q) clReleaseCommandQueue(q);
    if (c) clReleaseContext(c);
}

static const struct cltest_case cases[] = {
    {"every wait ends with an error", lose}, {"events and callbacks tell", events_tell},
    {"the other nodes go on", others_go_on}, {"the old context is refused", old_context_is_refused},
    {"a new context", new_context},          {"the other nodes go on still", others_go_on},
};

int main(int argc, char **argv) {
    static struct cltest t;
    crashes = argc == 2 && !strcmp(argv[1], "crash");
    comes_back = crashes || (argc == 2 && !strcmp(argv[1], "back"));
    bool moves = argc == 2 && !strcmp(argv[1], "move");
    if (!comes_back && !moves && (argc != 2 || strcmp(argv[1], "gone") != 0)) {
        fputs(usage, stderr);
        return 2;
    }
    int none = cltest_open(&t);
    if (none) return none;
    bool good = true;
    if (moves) return !cltest_run(&(struct cltest_case){"moves end, too", lost_move}, &t);
    for (size_t i = 0; good && i < sizeof cases / sizeof *cases; i++) good = cltest_run(&cases[i], &t);
    return !good;
}
