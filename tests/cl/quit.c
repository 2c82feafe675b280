/* A program that ends in the middle of what it does, without releasing anything: churn.sh looks at what is
 * left of it. It says what it has begun before it ends. */
#include "cltest.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BYTES       ((size_t)24 << 20)
#define SPIN_ROUNDS 2000000000 /* of one work item: seconds */

static const char usage[] = "Usage: clquit BEGINNING END\n"
                            "Ends in the middle of OpenCL commands.\n"
                            "\n"
                            "  BEGINNING  build, write, read, kernel, map, wait or migrate\n"
                            "  END        exit, _exit, kill, abort, or stay (until a signal comes)\n"
                            "\n"
                            "environment: CLTEST_PLATFORM, CLTEST_NODE, CLTEST_TIMEOUT\n";

static char *host;

static void CL_CALLBACK on_built(cl_program p, void *arg) {}

/* No driver can have it in a cache. */
static void begin_build(struct cltest *t) {
    struct timespec now;
    char text[256];
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(text, sizeof text, "__kernel void k(__global long *p) { p[get_global_id(0)] = %ldL + %ld; }",
             (long)now.tv_nsec, (long)getpid());
    const char *source = text;
    cl_int err;
    cl_program p = clCreateProgramWithSource(t->ctx, 1, &source, NULL, &err);
    OK(err);
    OK(clBuildProgram(p, t->n_devices, t->dev, "", on_built, NULL));
}

static void begin_write(struct cltest *t) {
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, BYTES, NULL);
    OK(clEnqueueWriteBuffer(t->queue[0], m, CL_FALSE, 0, BYTES, host, 0, NULL, NULL));
    OK(clFlush(t->queue[0]));
}

static void begin_read(struct cltest *t) {
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, BYTES, NULL);
    OK(clEnqueueFillBuffer(t->queue[0], m, "fill", 4, 0, BYTES, 0, NULL, NULL));
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_FALSE, 0, BYTES, host, 0, NULL, NULL));
    OK(clFlush(t->queue[0]));
}

static void begin_kernel(struct cltest *t) {
    cl_kernel k = cltest_kernel(t, "spin");
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    cl_int rounds = SPIN_ROUNDS;
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    OK(clSetKernelArg(k, 1, sizeof rounds, &rounds));
    cltest_launch(t->queue[0], k, 1, 0, NULL, NULL);
    OK(clFlush(t->queue[0]));
}

/* One map in use, another on its way back. */
static void begin_map(struct cltest *t) {
    cl_int err;
    void *mapped = NULL;
    for (int i = 0; i < 2; i++) {
        cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, BYTES, NULL);
        mapped = clEnqueueMapBuffer(t->queue[0], m, CL_TRUE, CL_MAP_WRITE, 0, BYTES, 0, NULL, NULL, &err);
        OK(err);
        memset(mapped, 1, BYTES);
        if (!i) OK(clEnqueueUnmapMemObject(t->queue[0], m, mapped, 0, NULL, NULL));
    }
    OK(clFlush(t->queue[0]));
}

/* Commands of two devices that wait for an event that never comes. */
static void begin_wait(struct cltest *t) {
    cl_int err;
    cl_event never = clCreateUserEvent(t->ctx, &err);
    OK(err);
    cl_kernel k = cltest_kernel(t, "append");
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    cl_int value = 1;
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    OK(clSetKernelArg(k, 1, sizeof value, &value));
    cltest_launch(t->queue[0], k, 1, 1, &never, NULL);
    cltest_launch(t->queue[t->other], k, 1, 1, &never, NULL);
    OK(clFlush(t->queue[0]));
    OK(clFlush(t->queue[t->other]));
}

static void begin_migrate(struct cltest *t) {
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, BYTES, NULL);
    for (int i = 0; i < 4; i++) {
        cl_command_queue q = t->queue[i % 2 ? t->other : 0];
        OK(clEnqueueFillBuffer(q, m, "fill", 4, 0, BYTES / 2, 0, NULL, NULL));
        OK(clFlush(q));
    }
}

static const struct cltest_case beginnings[] = {
    {"build", begin_build}, {"write", begin_write}, {"read", begin_read},       {"kernel", begin_kernel},
    {"map", begin_map},     {"wait", begin_wait},   {"migrate", begin_migrate},
};

static const struct cltest_case *beginning(const char *name) {
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (!strcmp(beginnings[i].name, name)) return &beginnings[i];
    return NULL;
}

static void end_by_exit(void) { exit(0); }
static void end_at_once(void) { _exit(0); }
static void end_by_kill(void) { raise(SIGKILL); }
static void end_by_abort(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    abort();
}
static void stay(void) {
    for (;;) pause();
}

static const struct {
    const char *name;
    void (*end)(void);
} ends[] = {{"exit", end_by_exit},
            {"_exit", end_at_once},
            {"kill", end_by_kill},
            {"abort", end_by_abort},
            {"stay", stay}};

int main(int argc, char **argv) {
    static struct cltest t;
    const struct cltest_case *begin = argc == 3 ? beginning(argv[1]) : NULL;
    size_t end = 0;
    while (begin && end < sizeof ends / sizeof *ends && strcmp(ends[end].name, argv[2]) != 0) end++;
    if (!begin || end == sizeof ends / sizeof *ends) {
        fputs(usage, stderr);
        return 2;
    }
    host = malloc(BYTES);
    if (!host) return 1;
    memset(host, 5, BYTES);
    int none = cltest_open(&t);
    if (none) return none;
    if (!cltest_run(begin, &t)) return 1;
    fflush(stdout);
    ends[end].end();
}
