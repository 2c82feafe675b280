/* Choice of devices, common objects and the runner of the OpenCL test programs. */
#include "cltest.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char cltest_source[] =
    "typedef struct { int a; float b; char c[3]; long d; } pack_t;\n"
    "__kernel void noop(void) {}\n"
    "__kernel void add(__global int *p, int v) { p[get_global_id(0)] += v; }\n"
    "__kernel void append(__global int *p, int v) { p[0] = p[0] * 3 + v; }\n"
    "__kernel void scale(__global const int *in, __global int *out, int f) {\n"
    "    size_t i = get_global_id(0); out[i] = in[i] * f; }\n"
    "__kernel void values(__global long *out, char c, short s, int i, long l, float f, int4 v, uchar u) {\n"
    "    out[0] = c; out[1] = s; out[2] = i; out[3] = l; out[4] = (long)(f * 4);\n"
    "    out[5] = v.x; out[6] = v.y; out[7] = v.z; out[8] = v.w; out[9] = u; }\n"
    "__kernel void packed(__global long *out, pack_t p) {\n"
    "    out[0] = p.a; out[1] = (long)(p.b * 4); out[2] = p.c[0]; out[3] = p.c[1]; out[4] = p.c[2]; out[5] = "
    "p.d; }\n"
    "__kernel void null_test(__global int *maybe, __global int *out) { out[0] = maybe == 0; }\n"
    "__kernel void sum(__global const int *in, __global int *out, __local int *tmp, __constant int *weight) "
    "{\n"
    "    size_t l = get_local_id(0), n = get_local_size(0);\n"
    "    tmp[l] = in[get_global_id(0)] * weight[0];\n"
    "    barrier(CLK_LOCAL_MEM_FENCE);\n"
    "    for (size_t h = n / 2; h > 0; h /= 2) {\n"
    "        if (l < h) tmp[l] += tmp[l + h];\n"
    "        barrier(CLK_LOCAL_MEM_FENCE);\n"
    "    }\n"
    "    if (l == 0) out[get_group_id(0)] = tmp[0]; }\n"
    "__kernel void ids(__global uint *out, uint sx, uint sy) {\n"
    "    size_t x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);\n"
    "    __global uint *o = out + 4 * ((z * sy + y) * sx + x);\n"
    "    o[0] = 1 + x + 100 * y + 10000 * z;\n"
    "    o[1] = get_group_id(0) + 100 * get_group_id(1) + 10000 * get_group_id(2);\n"
    "    o[2] = get_global_size(0) + 100 * get_global_size(1) + 10000 * get_global_size(2);\n"
    "    o[3] = get_global_offset(0) + 100 * get_global_offset(1) + 10000 * get_global_offset(2)\n"
    "           + 1000000 * get_work_dim(); }\n"
    "__kernel __attribute__((reqd_work_group_size(4, 2, 1))) void fixed(__global int *p) {\n"
    "    p[get_global_id(0)] = 1; }\n"
    "__kernel void spin(__global int *p, int rounds) {\n"
    "    int v = p[0]; for (int i = 0; i < rounds; i++) v = v * 1664525 + 1013904223; p[0] = v; }\n";

static jmp_buf out_of_test;
static const char *running;

void cltest_note(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fputs("    ", stdout);
    vprintf(fmt, ap);
    putchar('\n');
    va_end(ap);
}

void cltest_deviation(const char *what) {
    const char *strict = getenv("CLTEST_STRICT");
    if (strict && !strcmp(strict, "1")) cltest_fail(__FILE__, __LINE__, "%s", what);
    cltest_note("deviates: %s", what);
}

void cltest_fail(const char *file, int line, const char *fmt, ...) {
    const char *base = strrchr(file, '/');
    va_list ap;
    va_start(ap, fmt);
    printf("    %s:%d: ", base ? base + 1 : file, line);
    vprintf(fmt, ap);
    putchar('\n');
    va_end(ap);
    longjmp(out_of_test, 1);
}

cl_kernel cltest_kernel(struct cltest *t, const char *name) {
    cl_int err;
    cl_kernel k = clCreateKernel(t->prog, name, &err);
    if (err) cltest_fail(__FILE__, __LINE__, "clCreateKernel(%s) gives %s", name, clerror_name(err));
    return k;
}

cl_mem cltest_buffer(struct cltest *t, cl_mem_flags flags, size_t bytes, void *host) {
    cl_int err;
    cl_mem m = clCreateBuffer(t->ctx, flags, bytes, host, &err);
    if (err) cltest_fail(__FILE__, __LINE__, "clCreateBuffer(%zu) gives %s", bytes, clerror_name(err));
    return m;
}

cl_command_queue cltest_queue(struct cltest *t, unsigned device, cl_command_queue_properties props) {
    cl_int err;
    cl_command_queue q = clCreateCommandQueue(t->ctx, t->dev[device], props, &err);
    if (err) cltest_fail(__FILE__, __LINE__, "clCreateCommandQueue gives %s", clerror_name(err));
    return q;
}

void cltest_launch(cl_command_queue q, cl_kernel k, size_t items, cl_uint n_wait, const cl_event *wait,
                   cl_event *ev) {
    OK(clEnqueueNDRangeKernel(q, k, 1, NULL, &items, NULL, n_wait, wait, ev));
}

cl_int cltest_status(cl_event e) {
    cl_int status = 12345;
    OK(clGetEventInfo(e, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL));
    return status;
}

static unsigned char pattern_byte(size_t i, uint32_t seed) {
    uint32_t x = ((uint32_t)i + seed * 2654435761u) * 2246822519u;
    return (unsigned char)(x >> 24);
}

void cltest_pattern(void *p, size_t bytes, uint32_t seed) {
    for (size_t i = 0; i < bytes; i++) ((unsigned char *)p)[i] = pattern_byte(i, seed);
}

bool cltest_has_pattern(const void *p, size_t bytes, uint32_t seed) {
    for (size_t i = 0; i < bytes; i++)
        if (((const unsigned char *)p)[i] != pattern_byte(i, seed)) return false;
    return true;
}

/* Puts the chosen device first and one of another node second. */
static void order_devices(struct cldevice *d, unsigned n) {
    const char *node = getenv("CLTEST_NODE");
    for (unsigned i = 0; node && i < n; i++) {
        if (d[i].node != (unsigned)atoi(node)) continue;
        struct cldevice first = d[i];
        d[i] = d[0];
        d[0] = first;
        break;
    }
    for (unsigned i = 1; i < n; i++) {
        if (d[i].node == d[0].node) continue;
        struct cldevice second = d[i];
        d[i] = d[1];
        d[1] = second;
        break;
    }
}

/* Returns 0, 77 without devices, 1 on errors. */
static int choose_devices(struct cltest *t) {
    struct cldevice_filter filter = {.platform = getenv("CLTEST_PLATFORM"), .node = -1};
    struct cldevice *all = NULL;
    const char *call = "", *node = getenv("CLTEST_NODE");
    unsigned n = 0;
    cl_int err = cldevice_list(&filter, &all, &n, &call);
    if (err) {
        printf("%s: %s\n", call, clerror_name(err));
        return 1;
    }
    unsigned same = 0;
    while (same < n && all[same].platform_index == all[0].platform_index) same++;
    if (same) order_devices(all, same);
    for (unsigned i = 0; i < same && i < CLTEST_MAX_DEVICES; i++) {
        t->info[i] = all[i];
        t->dev[i] = all[i].id;
        t->n_devices = i + 1;
    }
    free(all);
    if (!same) {
        puts("no OpenCL device: skipped");
        return 77;
    }
    if (node && t->info[0].node != (unsigned)atoi(node)) {
        printf("no device on node %s\n", node);
        return 1;
    }
    t->platform = t->info[0].platform;
    t->other = t->n_devices > 1 ? 1 : 0;
    return 0;
}

static void build(struct cltest *t) {
    const char *text = cltest_source;
    cl_int err;
    t->prog = clCreateProgramWithSource(t->ctx, 1, &text, NULL, &err);
    OK(err);
    err = clBuildProgram(t->prog, t->n_devices, t->dev, "-cl-kernel-arg-info", NULL, NULL);
    if (err == CL_BUILD_PROGRAM_FAILURE) {
        cltest_deviation("-cl-kernel-arg-info makes a right program fail to build");
        err = clBuildProgram(t->prog, t->n_devices, t->dev, "", NULL, NULL);
    }
    if (!err) return;
    char log[4096] = "";
    clGetProgramBuildInfo(t->prog, t->dev[0], CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL);
    cltest_fail(__FILE__, __LINE__, "clBuildProgram gives %s\n%s", clerror_name(err), log);
}

static void open_common(struct cltest *t) {
    cl_context_properties props[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)t->platform, 0};
    cl_int err;
    t->ctx = clCreateContext(props, t->n_devices, t->dev, NULL, NULL, &err);
    OK(err);
    for (unsigned i = 0; i < t->n_devices; i++) t->queue[i] = cltest_queue(t, i, CL_QUEUE_PROFILING_ENABLE);
    build(t);
}

static void close_common(struct cltest *t) {
    OK(clReleaseProgram(t->prog));
    for (unsigned i = 0; i < t->n_devices; i++) OK(clReleaseCommandQueue(t->queue[i]));
    OK(clReleaseContext(t->ctx));
}

static void on_alarm(int sig) {
    static const char text[] = "    hung\nFAIL ";
    if (write(1, text, sizeof text - 1) < 0 || write(1, running, strlen(running)) < 0 ||
        write(1, "\n", 1) < 0)
        _exit(3);
    _exit(1);
}

bool cltest_run(const struct cltest_case *c, struct cltest *t) {
    const char *limit = getenv("CLTEST_TIMEOUT");
    running = c->name;
    fflush(stdout);
    alarm(limit ? (unsigned)atoi(limit) : 600);
    bool good = false;
    if (!setjmp(out_of_test)) {
        c->run(t);
        good = true;
    }
    alarm(0);
    if (!good || !c->quiet) printf("%-4s %s\n", good ? "ok" : "FAIL", c->name);
    fflush(stdout);
    return good;
}

static bool selected(const char *name, int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strstr(name, argv[i])) return true;
    return argc < 2;
}

static int list_or_refuse(const char *option, const char *what, const struct cltest_case *cases, unsigned n) {
    if (!strcmp(option, "--list")) {
        for (unsigned i = 0; i < n; i++) puts(cases[i].name);
        return 0;
    }
    FILE *to = strcmp(option, "--help") ? stderr : stdout;
    fprintf(to,
            "%s\nusage: PROGRAM [--list] [part of a test's name]...\n"
            "environment: CLTEST_PLATFORM, CLTEST_NODE, CLTEST_TIMEOUT\n",
            what);
    return to == stdout ? 0 : 2;
}

int cltest_open(struct cltest *t) {
    setvbuf(stdout, NULL, _IOLBF, 0); /* a crash must not swallow what came before it */
    signal(SIGALRM, on_alarm);
    int none = choose_devices(t);
    if (none) return none;
    for (unsigned i = 0; i < t->n_devices; i++)
        printf("device %u: %s, node %u, host %s\n", i, t->info[i].name, t->info[i].node, t->info[i].host);
    return !cltest_run(&(struct cltest_case){"open: context, queues, program", open_common}, t);
}

bool cltest_close(struct cltest *t) {
    return cltest_run(&(struct cltest_case){"close: program, queues, context", close_common}, t);
}

int cltest_main(int argc, char **argv, const char *what, const struct cltest_case *cases, unsigned n_cases) {
    static struct cltest t;
    if (argc > 1 && argv[1][0] == '-') return list_or_refuse(argv[1], what, cases, n_cases);
    int none = cltest_open(&t);
    if (none) return none;
    unsigned ran = 0, failed = 0;
    for (unsigned i = 0; i < n_cases; i++) {
        if (!selected(cases[i].name, argc, argv)) continue;
        ran++;
        failed += !cltest_run(&cases[i], &t);
    }
    if (!failed) failed += !cltest_close(&t);
    printf("%s: %u run, %u failed\n", what, ran, failed);
    return failed || !ran ? 1 : 0;
}
