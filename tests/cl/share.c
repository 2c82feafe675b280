/* Programs that share a device: ones that take all they can get, and one that works in small steps and tells
 * how long they take. */
#include "cltest.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BYTES      ((size_t)16 << 20)
#define LAUNCHES   1000
#define WRITES     8
#define STEPS_MAX  100000u
#define BUFFER     ((size_t)64 << 20)
#define BUFFER_MAX 64 /* more than any quota of the test; not so much that the machine suffers */

static const char usage[] =
    "Usage: clshare kernels|writes|buffers|steps N\n"
    "\n"
    "  kernels  launches small kernels without end\n"
    "  writes   writes large buffers without end\n"
    "  buffers  makes and fills buffers until there is no memory for them\n"
    "  steps N  a write, a kernel and a read, N times; prints the median and the longest in ms\n"
    "\n"
    "environment: CLTEST_PLATFORM, CLTEST_NODE, CLTEST_TIMEOUT\n";

static double took_ms[STEPS_MAX];
static unsigned steps;

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

static const struct cltest_case cases[] = {
    {"kernels", kernels}, {"writes", writes}, {"buffers", buffers}, {"steps", work}};

int main(int argc, char **argv) {
    static struct cltest t;
    const struct cltest_case *c = NULL;
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; i++)
        if (!strcmp(argv[1], cases[i].name)) c = &cases[i];
    bool counts = c && c->run == work;
    if (counts && argc == 3) steps = (unsigned)strtoul(argv[2], NULL, 10);
    if (!c || argc != 2 + counts || (counts && (!steps || steps > STEPS_MAX))) {
        fputs(usage, stderr);
        return 2;
    }
    int none = cltest_open(&t);
    if (none) return none;
    return !cltest_run(c, &t);
}
