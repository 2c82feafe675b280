/* Bodies that attract each other, on every OpenCL device of a platform: an ordinary OpenCL 1.2 program in which the
 * devices share buffers. Each needs the places of all bodies and moves a slice of them, which it writes through a
 * sub-buffer. What the others need of it is the OpenCL implementation's to bring. */
#include "cldevice.h"
#include "clerror.h"
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PLACES  3       /* buffers of places: before, now, next, which change their roles */
#define DEVICES 64      /* at most */
#define STEP    1e-3    /* of time */
#define SOFT    1e-3f   /* added to a squared distance */
#define CHECKED 64      /* bodies whose last step is done once more, in double precision */
#define NEAR    1e-5    /* how far off they may be, of a space of 1 */

static const char help[] =
    "usage: nbody BODIES STEPS [--devices TEXT] [--platform TEXT]\n"
    "\n"
    "Moves bodies that attract each other, on all OpenCL devices of the platform that has most. Each device moves a\n"
    "slice of the bodies, and needs the places of all; the last step of some is checked.\n"
    "\n"
    "  BODIES           how many, 1 or more\n"
    "  STEPS            how often each is moved, 1 or more\n"
    "  --devices TEXT   use only devices with TEXT in their name (any case)\n"
    "  --platform TEXT  use only platforms with TEXT in their name (any case)\n"
    "  --help           print this help\n"
    "\n"
    "Exit status: 0 if the bodies are where they should be, 1 if not or if an OpenCL call failed, 2 for wrong arguments.\n"
    "\n"
    "Example: nbody 16384 20\n";

static const char source[] =
    "kernel void move(global const float4 *all, global const float4 *before, global float4 *next, int count, int first,\n"
    "                 float step, float soft) {\n"
    "    size_t i = get_global_id(0);\n"
    "    float4 me = all[first + i], pull = 0;\n"
    "    for (int j = 0; j < count; j++) {\n"
    "        float4 d = all[j] - me;\n"
    "        float near = rsqrt(d.x * d.x + d.y * d.y + d.z * d.z + soft);\n"
    "        pull += d * (all[j].w * near * near * near);\n"
    "    }\n"
    "    float4 to = 2 * me - before[i] + pull * step * step;\n"
    "    to.w = me.w;\n"
    "    next[i] = to;\n"
    "}\n";

struct device {
    const struct cldevice *is;
    cl_command_queue queue;
    cl_kernel kernel;
    cl_mem slice[PLACES];
    size_t first, count; /* bodies */
    double busy;         /* seconds */
};

struct bodies {
    size_t count;
    int steps;
    cl_context context;
    cl_program program;
    cl_mem places[PLACES];
    struct device device[DEVICES];
    unsigned device_count;
    cl_float4 *host[PLACES];
};

static void __attribute__((noreturn, format(printf, 2, 3))) fail(int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("nbody: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(status);
}

static void check(cl_int err, const char *call, const struct device *d) {
    if (err && d) fail(1, "%s: %s (%d) on %s", call, clerror_name(err), err, d->is->name);
    if (err) fail(1, "%s: %s (%d)", call, clerror_name(err), err);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- devices and their slices ---- */
/* Those of the platform that has most. */
static void choose(struct bodies *b, const struct cldevice_filter *f) {
    struct cldevice *list;
    const char *call;
    unsigned count, best = 0, most = 0;
    cl_int err = cldevice_list(f, &list, &count, &call);
    if (err) check(err, call, NULL);
    for (unsigned i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && list[i + n].platform_index == list[i].platform_index;) n++;
        if (n > most) {
            best = i;
            most = n;
        }
    }
    if (!most) fail(1, "no such OpenCL device (clinfo -l lists them)");
    b->device_count = most < DEVICES ? most : DEVICES;
    for (unsigned i = 0; i < b->device_count; i++) b->device[i].is = &list[best + i];
}

/* A sub-buffer begins where all devices can address one. */
static size_t alignment(const struct bodies *b) {
    size_t most = sizeof(cl_float4);
    for (unsigned i = 0; i < b->device_count; i++) {
        cl_uint bits = 0;
        check(clGetDeviceInfo(b->device[i].is->id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof bits, &bits, NULL),
              "clGetDeviceInfo", &b->device[i]);
        if (bits / 8 > most) most = bits / 8;
    }
    return most / sizeof(cl_float4);
}

/* Equal ones, as far as they can be; devices that would have none are left out. */
static void share(struct bodies *b) {
    size_t align = alignment(b), each = (b->count + b->device_count - 1) / b->device_count;
    each = (each + align - 1) / align * align;
    b->device_count = (unsigned)((b->count + each - 1) / each);
    for (unsigned i = 0; i < b->device_count; i++) {
        struct device *d = &b->device[i];
        d->first = i * each;
        d->count = i + 1 < b->device_count ? each : b->count - d->first;
    }
}

static void open_device(struct bodies *b, struct device *d) {
    cl_int err;
    d->queue = clCreateCommandQueue(b->context, d->is->id, CL_QUEUE_PROFILING_ENABLE, &err);
    check(err, "clCreateCommandQueue", d);
    d->kernel = clCreateKernel(b->program, "move", &err);
    check(err, "clCreateKernel", d);
    const cl_buffer_region r = {d->first * sizeof(cl_float4), d->count * sizeof(cl_float4)};
    for (int i = 0; i < PLACES; i++) {
        d->slice[i] = clCreateSubBuffer(b->places[i], CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &r, &err);
        check(err, "clCreateSubBuffer", d);
    }
}

static void open_all(struct bodies *b) {
    cl_device_id ids[DEVICES];
    const char *text = source;
    cl_int err;
    for (unsigned i = 0; i < b->device_count; i++) ids[i] = b->device[i].is->id;
    const cl_context_properties of[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)b->device[0].is->platform, 0};
    b->context = clCreateContext(of, b->device_count, ids, NULL, NULL, &err);
    check(err, "clCreateContext", NULL);
    b->program = clCreateProgramWithSource(b->context, 1, &text, NULL, &err);
    check(err, "clCreateProgramWithSource", NULL);
    check(clBuildProgram(b->program, b->device_count, ids, "", NULL, NULL), "clBuildProgram", NULL);
    for (int i = 0; i < PLACES; i++) {
        b->places[i] = clCreateBuffer(b->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR,
                                      b->count * sizeof(cl_float4), b->host[i], &err);
        check(err, "clCreateBuffer", NULL);
    }
    for (unsigned i = 0; i < b->device_count; i++) open_device(b, &b->device[i]);
}

static void close_all(struct bodies *b) {
    for (unsigned i = 0; i < b->device_count; i++) {
        struct device *d = &b->device[i];
        for (int j = 0; j < PLACES; j++) clReleaseMemObject(d->slice[j]);
        clReleaseKernel(d->kernel);
        clReleaseCommandQueue(d->queue);
    }
    for (int i = 0; i < PLACES; i++) {
        clReleaseMemObject(b->places[i]);
        free(b->host[i]);
    }
    clReleaseProgram(b->program);
    clReleaseContext(b->context);
}

/* ---- steps ---- */
/* At rest, spread over a cube; their masses together are 1. */
static void spread(struct bodies *b) {
    uint32_t state = 1;
    for (int p = 0; p < PLACES; p++) {
        b->host[p] = malloc(b->count * sizeof(cl_float4));
        if (!b->host[p]) fail(1, "no memory for %zu bodies", b->count);
    }
    for (size_t i = 0; i < b->count; i++) {
        for (int c = 0; c < 3; c++) {
            state = state * 1664525u + 1013904223u;
            b->host[0][i].s[c] = (float)(state >> 8) / (float)(1 << 24);
        }
        b->host[0][i].s[3] = 1.0f / (float)b->count;
    }
    for (int p = 1; p < PLACES; p++) memcpy(b->host[p], b->host[0], b->count * sizeof(cl_float4));
}

static void wait_for_step(struct bodies *b, const cl_event *moved) {
    check(clWaitForEvents(b->device_count, moved), "clWaitForEvents", NULL);
    for (unsigned i = 0; i < b->device_count; i++) {
        cl_ulong start = 0, end = 0;
        clGetEventProfilingInfo(moved[i], CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
        clGetEventProfilingInfo(moved[i], CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
        b->device[i].busy += (double)(end - start) * 1e-9;
        clReleaseEvent(moved[i]);
    }
}

static cl_event move(struct bodies *b, struct device *d, int step, cl_uint waits, const cl_event *after) {
    cl_mem all = b->places[step % PLACES], before = d->slice[(step + 2) % PLACES], next = d->slice[(step + 1) % PLACES];
    const cl_int count = (cl_int)b->count, first = (cl_int)d->first;
    const float time = (float)STEP, soft = SOFT;
    const struct {
        size_t size;
        const void *at;
    } args[] = {{sizeof all, &all},     {sizeof before, &before}, {sizeof next, &next}, {sizeof count, &count},
                {sizeof first, &first}, {sizeof time, &time},     {sizeof soft, &soft}};
    for (cl_uint i = 0; i < sizeof args / sizeof *args; i++)
        check(clSetKernelArg(d->kernel, i, args[i].size, args[i].at), "clSetKernelArg", d);
    cl_event moved;
    check(clEnqueueNDRangeKernel(d->queue, d->kernel, 1, NULL, &d->count, NULL, waits, waits ? after : NULL, &moved),
          "clEnqueueNDRangeKernel", d);
    check(clFlush(d->queue), "clFlush", d);
    return moved;
}

/* A step begins where the one before has ended on all devices. It is enqueued before that. */
static double run(struct bodies *b) {
    cl_event before[DEVICES], moved[DEVICES];
    double begin = seconds();
    for (int step = 0; step < b->steps; step++) {
        for (unsigned i = 0; i < b->device_count; i++)
            moved[i] = move(b, &b->device[i], step, step ? b->device_count : 0, before);
        if (step) wait_for_step(b, before);
        memcpy(before, moved, sizeof before);
    }
    wait_for_step(b, before);
    return seconds() - begin;
}

/* ---- the result ---- */
/* The last step of one body, from what the devices had before it. */
static double distance_off(const struct bodies *b, size_t i) {
    const cl_float4 *before = b->host[(b->steps + 1) % PLACES], *now = b->host[(b->steps + 2) % PLACES],
                    *next = b->host[b->steps % PLACES];
    double pull[3] = {0}, off = 0;
    for (size_t j = 0; j < b->count; j++) {
        double d[3], square = SOFT;
        for (int c = 0; c < 3; c++) {
            d[c] = (double)now[j].s[c] - (double)now[i].s[c];
            square += d[c] * d[c];
        }
        for (int c = 0; c < 3; c++) pull[c] += d[c] * (double)now[j].s[3] / (square * sqrt(square));
    }
    for (int c = 0; c < 3; c++) {
        double to = 2.0 * (double)now[i].s[c] - (double)before[i].s[c] + pull[c] * STEP * STEP;
        off += fabs(to - (double)next[i].s[c]);
    }
    return off;
}

/* Bodies of all slices. False: one is not where it should be. */
static bool right(struct bodies *b) {
    for (int p = 0; p < PLACES; p++)
        check(clEnqueueReadBuffer(b->device[0].queue, b->places[p], CL_TRUE, 0, b->count * sizeof(cl_float4), b->host[p],
                                  0, NULL, NULL),
              "clEnqueueReadBuffer", &b->device[0]);
    size_t stride = b->count > CHECKED ? b->count / CHECKED : 1;
    for (size_t i = 0; i < b->count; i += stride) {
        double off = distance_off(b, i);
        if (off < NEAR) continue; /* not-a-number is not */
        fprintf(stderr, "nbody: body %zu is %g away from where it should be\n", i, off);
        return false;
    }
    return true;
}

static void report(const struct bodies *b, double took) {
    printf("%-44s %5s %-16s %9s %8s\n", "device", "node", "host", "bodies", "busy");
    for (unsigned i = 0; i < b->device_count; i++) {
        const struct device *d = &b->device[i];
        printf("%-44.44s %5u %-16.16s %9zu %6.1f %%\n", d->is->name, d->is->node, d->is->host, d->count,
               100 * d->busy / took);
    }
    double pairs = (double)b->count * (double)b->count * b->steps;
    printf("%zu bodies, %d steps: %.3f s, %.2f million pairs a second\n", b->count, b->steps, took, pairs / took * 1e-6);
}

/* ---- the command line ---- */
static int number(const char *what, const char *text) {
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (end == text || *end || errno || v < 1 || v > INT_MAX)
        fail(2, "%s '%s': must be a whole number from 1 to %d (see nbody --help)", what, text, INT_MAX);
    return (int)v;
}

static void parse(int argc, char **argv, struct bodies *b, struct cldevice_filter *f) {
    static const struct option longs[] = {{"devices", required_argument, NULL, 'd'},
                                          {"platform", required_argument, NULL, 'p'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    *f = (struct cldevice_filter){.node = -1};
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        switch (c) {
        case 'd': f->device = optarg; break;
        case 'p': f->platform = optarg; break;
        case 'h': fputs(help, stdout); exit(0);
        default: fputs("see nbody --help\n", stderr); exit(2);
        }
    }
    if (argc - optind != 2) fail(2, "wants two arguments, BODIES and STEPS (see nbody --help)");
    b->count = (size_t)number("BODIES", argv[optind]);
    b->steps = number("STEPS", argv[optind + 1]);
}

int main(int argc, char **argv) {
    static struct bodies b;
    struct cldevice_filter f;
    parse(argc, argv, &b, &f);
    choose(&b, &f);
    share(&b);
    spread(&b);
    open_all(&b);
    double took = run(&b);
    bool good = right(&b);
    report(&b, took);
    close_all(&b);
    return good ? 0 : 1;
}
