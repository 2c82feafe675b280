/* Programs that share a device: ones that take all they can get, one that works in small steps and tells how
 * long they take, and ones that tell how much they got of it. */
#include "cltest.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BYTES      ((size_t)16 << 20)
#define LAUNCHES   1000
#define WRITES     8
#define STEPS_MAX  100000u
#define BUFFER     ((size_t)64 << 20)
#define BUFFER_MAX 64       /* more than any quota of the test; not so much that the machine suffers */
#define SMALL      40000    /* rounds of a small kernel: some 50 us; */
#define LARGE      40000000 /* of a large one */
#define IN_A_BATCH 100      /* small ones */

static const char usage[] =
    "Usage: clshare kernels|writes|buffers|steps N|small S|large S|bulk S\n"
    "\n"
    "  kernels  launches small kernels without end\n"
    "  writes   writes large buffers without end\n"
    "  buffers  makes and fills buffers until there is no memory for them\n"
    "  steps N  a write, a kernel and a read, N times; prints the median and the longest in ms\n"
    "  small S  for S seconds, after there was a byte on its input, many small kernels that take the whole\n"
    "           device; prints how many rounds of them it got in a second\n"
    "  large S  the same with a few large ones\n"
    "  bulk S   the same with large writes; prints the bytes\n"
    "\n"
    "environment: CLTEST_PLATFORM, CLTEST_NODE, CLTEST_TIMEOUT\n";

static double took_ms[STEPS_MAX];
static unsigned steps; /* or seconds */

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void kernels(struct cltest *t) {
    cl_kernel k = cltest_kernel(t, "noop");
    puts("ready");
    for (;;) {
        for (int i = 0; i < LAUNCHES; i++) cltest_launch(t->queue[0], k, 1, 0, NULL, NULL);
        OK(clFinish(t->queue[0]));
    }
}

static void writes(struct cltest *t) {
    char *host = calloc(1, BYTES);
    CHECK(host);
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, BYTES, NULL);
    puts("ready");
    for (uint32_t round = 0;; round++) {
        cltest_pattern(host, BYTES / 16, round); /* else it need not travel */
        for (int i = 0; i < WRITES; i++)
            OK(clEnqueueWriteBuffer(t->queue[0], m, CL_FALSE, 0, BYTES, host, 0, NULL, NULL));
        OK(clFinish(t->queue[0]));
    }
}

/* CL_SUCCESS: there is memory for it. */
static cl_int fill_one(struct cltest *t) {
    cl_int err;
    cl_event filled = NULL;
    cl_mem m = clCreateBuffer(t->ctx, CL_MEM_READ_WRITE, BUFFER, NULL, &err);
    if (!err) err = clEnqueueFillBuffer(t->queue[0], m, "full", 4, 0, BUFFER, 0, NULL, &filled);
    if (err) return err;
    clWaitForEvents(1, &filled);
    cl_int status = cltest_status(filled);
    OK(clReleaseEvent(filled));
    return status < 0 ? status : CL_SUCCESS;
}

static void buffers(struct cltest *t) {
    for (int i = 0; i < BUFFER_MAX; i++) {
        cl_int err = fill_one(t);
        if (!err) continue;
        printf("full after %d MiB: %s\n", (int)((size_t)i * BUFFER >> 20), clerror_name(err));
        return;
    }
    puts("never full");
}

static void step(struct cltest *t, cl_kernel k, cl_mem m, cl_int i) {
    cl_int value = i;
    OK(clEnqueueWriteBuffer(t->queue[0], m, CL_FALSE, 0, sizeof value, &value, 0, NULL, NULL));
    cltest_launch(t->queue[0], k, 1, 0, NULL, NULL);
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof value, &value, 0, NULL, NULL));
    CHECK_EQ(value, i * 3 + 7);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void work(struct cltest *t) {
    cl_kernel k = cltest_kernel(t, "append");
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    cl_int value = 7;
    OK(clSetKernelArg(k, 0, sizeof m, &m));
    OK(clSetKernelArg(k, 1, sizeof value, &value));
    for (unsigned i = 0; i < steps; i++) {
        double begin = now_ms();
        step(t, k, m, (cl_int)i);
        took_ms[i] = now_ms() - begin;
    }
    qsort(took_ms, steps, sizeof *took_ms, by_size);
    printf("steps: median %.3f ms, longest %.0f ms\n", took_ms[steps / 2], took_ms[steps - 1]);
}

/* --- how much one gets --- */

/* What is enqueued together: kernels, each a work item for each of the device's compute units; or a write. */
struct batch {
    cl_kernel kernel;
    unsigned kernels;
    cl_int rounds;
    cl_uint units;
    cl_mem mem;
    char *host;
};

static cl_event enqueue(struct cltest *t, struct batch *b) {
    cl_event done;
    size_t global = b->units, local = 1;
    for (unsigned i = 0; i < b->kernels; i++)
        OK(clEnqueueNDRangeKernel(t->queue[0], b->kernel, 1, NULL, &global, &local, 0, NULL,
                                  i + 1 == b->kernels ? &done : NULL));
    if (!b->kernels)
        OK(clEnqueueWriteBuffer(t->queue[0], b->mem, CL_FALSE, 0, BYTES, b->host, 0, NULL, &done));
    OK(clFlush(t->queue[0]));
    return done;
}

/* Two batches are under way at any time. Only what ends in time counts. */
static void get(struct cltest *t, struct batch *b, double in_a_batch) {
    char byte;
    cl_event before = enqueue(t, b);
    OK(clWaitForEvents(1, &before)); /* it is compiled */
    OK(clReleaseEvent(before));
    puts("ready");
    CHECK_EQ(read(STDIN_FILENO, &byte, 1), 1);
    double begin = now_ms(), end = begin, got = 0;
    before = enqueue(t, b);
    for (;;) {
        cl_event next = enqueue(t, b);
        OK(clWaitForEvents(1, &before));
        OK(clReleaseEvent(before));
        before = next;
        double now = now_ms();
        if (now > begin + steps * 1e3) break;
        end = now;
        got += in_a_batch;
    }
    OK(clFinish(t->queue[0]));
    OK(clReleaseEvent(before));
    printf("got %.0f a second\n", got ? got / (end - begin) * 1e3 : 0);
}

static void get_kernels(struct cltest *t, unsigned kernels, cl_int rounds) {
    struct batch b = {.kernel = cltest_kernel(t, "spin"), .kernels = kernels};
    b.mem = cltest_buffer(t, CL_MEM_READ_WRITE, 64, NULL);
    OK(clGetDeviceInfo(t->dev[0], CL_DEVICE_MAX_COMPUTE_UNITS, sizeof b.units, &b.units, NULL));
    OK(clSetKernelArg(b.kernel, 0, sizeof b.mem, &b.mem));
    OK(clSetKernelArg(b.kernel, 1, sizeof rounds, &rounds));
    get(t, &b, (double)kernels * rounds * b.units);
}
static void get_small(struct cltest *t) { get_kernels(t, IN_A_BATCH, SMALL); }
static void get_large(struct cltest *t) { get_kernels(t, 1, LARGE); }
static void get_bulk(struct cltest *t) {
    struct batch b = {.host = calloc(1, BYTES), .mem = cltest_buffer(t, CL_MEM_READ_WRITE, BYTES, NULL)};
    CHECK(b.host);
    get(t, &b, BYTES);
}

static const struct share_case {
    struct cltest_case run;
    bool counts; /* a number follows */
} cases[] = {{{"kernels", kernels}},    {{"writes", writes}},         {{"buffers", buffers}},
             {{"steps", work}, true},   {{"small", get_small}, true}, {{"large", get_large}, true},
             {{"bulk", get_bulk}, true}};

int main(int argc, char **argv) {
    static struct cltest t;
    const struct share_case *c = NULL;
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; i++)
        if (!strcmp(argv[1], cases[i].run.name)) c = &cases[i];
    if (c && c->counts && argc == 3) steps = (unsigned)strtoul(argv[2], NULL, 10);
    if (!c || argc != 2 + c->counts || (c->counts && (!steps || steps > STEPS_MAX))) {
        fputs(usage, stderr);
        return 2;
    }
    int none = cltest_open(&t);
    if (none) return none;
    return !cltest_run(&c->run, &t);
}
