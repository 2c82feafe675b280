/* A program whose node, or whose executor, is killed, or stopped, while it waits in every way there is: each
 * wait ends with an error, the other nodes go on and are right, and a new context has what is there again. It
 * says "ready" when the time has come, and goes on when the first wait has ended. */
#include "lost.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BYTES       ((size_t)32 << 20)
#define SPIN_ROUNDS 2000000000 /* of one work item: seconds */
#define SPINS       20
#define STEPS       200

static const char usage[] =
    "Usage: cllost back|again|gone|build|pause|crash|move\n"
    "Waits for the death of the executor of the device under test, or of its node.\n"
    "\n"
    "  back   a new context works on that device, too\n"
    "  again  the same, once there is a line on its input after it has said \"lost\"\n"
    "  gone   it does not, and says so\n"
    "  build  as back, but what waits is a build\n"
    "  pause  there is no death: it stands still for a while, and all is right\n"
    "  crash  as back, but a kernel of its own is the death\n"
    "  move   the same, again and again while contents move from it and to it\n"
    "\n"
    "environment: CLTEST_PLATFORM, CLTEST_NODE, CLTEST_TIMEOUT\n";

static const char crashing[] = "__kernel void crash(__global int *p) { p[(ulong)1 << 42] = 1; }\n";
/* What a build of it takes is many times what it takes to kill an executor. */
#define BUILD_KERNELS 4000u
#define BUILD_KERNEL                                                                                         \
    "__kernel void k%u(__global float *p) { for (int i = 0; i < %u; i++) p[0] = sin(p[i]); }\n"
static const struct mode {
    const char *name;
    bool comes_back, again, builds, pauses, crashes, moves;
} modes[] = {
    {"back", .comes_back = true},
    {"again", .comes_back = true, .again = true},
    {"gone"},
    {"build", .comes_back = true, .builds = true},
    {"pause", .comes_back = true, .pauses = true},
    {"crash", .comes_back = true, .crashes = true},
    {"move", .moves = true},
};
static struct mode mode;

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

/* No driver can have it in a cache. */
static cl_int wait_build(struct cltest *t) {
    static char text[BUILD_KERNELS * sizeof BUILD_KERNEL * 2];
    char *end = text;
    cl_int err;
    for (unsigned i = 0; i < BUILD_KERNELS; i++) end += sprintf(end, BUILD_KERNEL, i, (unsigned)getpid() + i);
    const char *source = text;
    cl_program p = clCreateProgramWithSource(t->ctx, 1, &source, NULL, &err);
    if (!err) err = clBuildProgram(p, 1, t->dev, "", NULL, NULL);
    clReleaseProgram(p);
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
static struct wait build_waits[] = {{"clBuildProgram", wait_build}};

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

/* All of it but the first word stays. */
static void prepare_spins(struct cltest *t) {
    cl_kernel k = cltest_kernel(t, "spin");
    cl_int rounds = mode.pauses ? SPIN_ROUNDS / SPINS / 2 : SPIN_ROUNDS;
    cltest_pattern(w.host, BYTES, SPINS);
    OK(clEnqueueWriteBuffer(t->queue[0], w.mem, CL_TRUE, 0, BYTES, w.host, 0, NULL, NULL));
    memset(w.host, 0, BYTES);
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
    if (mode.crashes)
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

/* How long it took from the first one that ended to the last one. */
static double wait_in_all(struct cltest *t, struct wait *wait, size_t n) {
    for (size_t i = 0; i < n; i++) {
        wait[i].t = t;
        CHECK_EQ(pthread_create(&wait[i].thread, NULL, wait_in_thread, &wait[i]), 0);
    }
    puts("ready");
    if (mode.crashes) OK(clSetUserEventStatus(w.go, CL_COMPLETE));
    double first = 0, last = 0;
    for (size_t i = 0; i < n; i++) {
        pthread_join(wait[i].thread, NULL);
        cltest_note("%s gives %s", wait[i].name, clerror_name(wait[i].result));
        first = !i || wait[i].at < first ? wait[i].at : first;
        last = wait[i].at > last ? wait[i].at : last;
    }
    return last - first;
}

static void lose(struct cltest *t) {
    CHECK(t->other != 0);
    hang(t);
    lost_go_on(t, t->other);
    double together_s = wait_in_all(t, waits, WAITS);
    for (size_t i = 0; i < WAITS; i++) CHECK(waits[i].result < 0);
    cltest_note("all within %.3f s", together_s);
    CHECK(together_s < LOST_TOGETHER_S);
}

static void lose_build(struct cltest *t) {
    wait_in_all(t, build_waits, 1);
    CHECK(build_waits[0].result < 0);
}

static void pause_all(struct cltest *t) {
    char other[64];
    hang(t);
    wait_in_all(t, waits, WAITS);
    for (size_t i = 0; i < WAITS; i++) CHECK_EQ(waits[i].result, CL_SUCCESS);
    char *right = malloc(BYTES);
    CHECK(right);
    cltest_pattern(right, BYTES, SPINS);
    CHECK(!memcmp(w.host + 4, right + 4, BYTES - 4));
    free(right);
    OK(clEnqueueReadBuffer(t->queue[t->other], w.other, CL_TRUE, 0, sizeof other, other, 0, NULL, NULL));
    CHECK(!memcmp(other, "ijklijkl", 8));
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
    if (mode.again) {
        puts("lost");
        CHECK(getchar() != EOF);
    }
    if (mode.comes_back) {
        lost_open_again(t, &again);
        for (unsigned i = 0; i < t->n_devices; i++) lost_go_on(&again, i);
        if (!mode.pauses) old_context_is_refused(t);
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
static const struct cltest_case build_cases[] = {
    {"a build ends with an error", lose_build},
    {"a new context", new_context},
};
static const struct cltest_case pause_cases[] = {
    {"every wait ends well", pause_all},
    {"the other nodes go on", others_go_on},
    {"a new context", new_context},
};
static const struct cltest_case move_cases[] = {{"moves end, too", lost_move}};
#define RUN(cases, t) run_all((cases), sizeof(cases) / sizeof *(cases), (t))

static bool run_all(const struct cltest_case *c, size_t n, struct cltest *t) {
    bool good = true;
    for (size_t i = 0; good && i < n; i++) good = cltest_run(&c[i], t);
    return good;
}

int main(int argc, char **argv) {
    static struct cltest t;
    for (size_t i = 0; argc == 2 && i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(argv[1], modes[i].name)) mode = modes[i];
    if (!mode.name) {
        fputs(usage, stderr);
        return 2;
    }
    int none = cltest_open(&t);
    if (none) return none;
    bool good = mode.moves    ? RUN(move_cases, &t)
                : mode.builds ? RUN(build_cases, &t)
                : mode.pauses ? RUN(pause_cases, &t)
                              : RUN(cases, &t);
    return !good;
}
