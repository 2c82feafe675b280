/* weft-clbench: what small and large commands cost on one OpenCL device, whoever implements it. An ordinary
 * OpenCL 1.2 program; tools/bench-overhead runs it directly and through weft, in turns. All transferred data
 * is written freshly before each transfer and checked after it. */
#include "clbench.h"
#include "clerror.h"
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "usage: weft-clbench [options]\n"
    "\n"
    "Measures on one device: a kernel that does nothing and clFinish; 10,000 of them in a row; write and "
    "read of 4 B,\n"
    "1 MiB and 64 MiB; and, to tell a quiet machine from a busy one, the round trip of a byte over loopback "
    "TCP.\n"
    "\n"
    "  --path NAME       the word that names this configuration in the results (direct)\n"
    "  --platform TEXT   use the first platform with TEXT in its name\n"
    "  --node K          use the first device of node K\n"
    "  --moves           measure instead, with the first two devices, what it takes to bring buffers, images "
    "and\n"
    "                    rows from the one to the other, and to read and write as much through the host\n"
    "  --quick           a tenth of the repetitions\n"
    "  --json            one JSON object a line instead of the table\n"
    "  --help            print this help\n"
    "\n"
    "Exit status: 0, 1 if an OpenCL call failed or data was wrong, 2 for wrong usage.\n";

static const char source[] = "__kernel void noop(void) {}\n"
                             "__kernel void count(__global uint *p) { p[0]++; }\n";

void need(cl_int err, const char *call) {
    if (!err) return;
    fprintf(stderr, "weft-clbench: %s: %s (%d)\n", call, clerror_name(err), err);
    exit(1);
}

void wrong(const char *what) {
    fprintf(stderr, "weft-clbench: wrong data: %s\n", what);
    exit(1);
}

double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value below which `part` of the sorted samples lie. */
static double at_part(const double *sorted, unsigned n, double part) {
    return sorted[(unsigned)(part * (n - 1) + 0.5)];
}

void report(const struct bench *b, const char *name, size_t size_bytes, double *us, unsigned n) {
    qsort(us, n, sizeof *us, by_value);
    double median = at_part(us, n, .5), p99 = at_part(us, n, .99);
    double gbps = (double)size_bytes / median * 1e-3;
    if (b->json) {
        printf("{\"bench\":\"%s\",\"path\":\"%s\",", name, b->path);
        if (size_bytes) printf("\"size_B\":%zu,\"median_GBps\":%.4f,", size_bytes, gbps);
        printf("\"median_us\":%.3f,\"p99_us\":%.3f,\"count\":%u}\n", median, p99, n);
    } else {
        char size[24] = "";
        if (size_bytes) snprintf(size, sizeof size, "%zu B", size_bytes);
        printf("%-8s %-16s %12s %12.2f us %12.2f us p99", b->path, name, size, median, p99);
        if (size_bytes >= 1 << 20) printf(" %8.2f GB/s", gbps);
        putchar('\n');
    }
    fflush(stdout);
}

/* --- The device --- */

static struct cldevice *find_devices(const struct cldevice_filter *filter, unsigned least) {
    struct cldevice *list = NULL;
    const char *call = NULL;
    unsigned n = 0;
    need(cldevice_list(filter, &list, &n, &call), call);
    if (n >= least) return list;
    fprintf(stderr, "weft-clbench: %u such devices are there, and %u are needed\n", n, least);
    exit(1);
}

static void run_moves(const struct bench *b, const struct cldevice_filter *filter) {
    struct cldevice *list = find_devices(filter, 2);
    bench_moves(b, list);
    free(list);
}

static void open_device(struct bench *b, const struct cldevice_filter *filter) {
    struct cldevice *list = find_devices(filter, 1);
    const char *text = source;
    cl_int err;
    b->context = clCreateContext(NULL, 1, &list->id, NULL, NULL, &err);
    need(err, "clCreateContext");
    b->queue = clCreateCommandQueue(b->context, list->id, 0, &err);
    need(err, "clCreateCommandQueue");
    b->program = clCreateProgramWithSource(b->context, 1, &text, NULL, &err);
    need(err, "clCreateProgramWithSource");
    need(clBuildProgram(b->program, 1, &list->id, "", NULL, NULL), "clBuildProgram");
    b->noop = clCreateKernel(b->program, "noop", &err);
    need(err, "clCreateKernel");
    b->count = clCreateKernel(b->program, "count", &err);
    need(err, "clCreateKernel");
    if (!b->json) printf("%s: %s, node %u, host %s\n", b->path, list->name, list->node, list->host);
    free(list);
}

static void close_device(struct bench *b) {
    clReleaseKernel(b->noop);
    clReleaseKernel(b->count);
    clReleaseProgram(b->program);
    clReleaseCommandQueue(b->queue);
    clReleaseContext(b->context);
}

/* --- Kernels --- */

static void launch(const struct bench *b, cl_kernel k) {
    size_t one = 1;
    need(clEnqueueNDRangeKernel(b->queue, k, 1, NULL, &one, &one, 0, NULL, NULL), "clEnqueueNDRangeKernel");
}

static void bench_round_trip(const struct bench *b) {
    enum { WARM = 50, MOST = 2000 };
    static double us[MOST];
    unsigned n = MOST / b->divide;
    for (unsigned i = 0; i < WARM + n; i++) {
        double start = now_us();
        launch(b, b->noop);
        need(clFinish(b->queue), "clFinish");
        if (i >= WARM) us[i - WARM] = now_us() - start;
    }
    report(b, "noop_finish", 0, us, n);
}

/* The same number of counting kernels afterwards shows that none is lost on the way. */
static void bench_pipelined(const struct bench *b) {
    enum { LAUNCHES = 10000, MOST = 10 };
    double us[MOST];
    unsigned n = MOST / b->divide > 2 ? MOST / b->divide : 3;
    cl_uint value = 0;
    cl_int err;
    cl_mem m =
        clCreateBuffer(b->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof value, &value, &err);
    need(err, "clCreateBuffer");
    need(clSetKernelArg(b->count, 0, sizeof m, &m), "clSetKernelArg");
    for (unsigned i = 0; i <= n; i++) { /* the first is for warming up */
        double start = now_us();
        for (int k = 0; k < LAUNCHES; k++) launch(b, b->noop);
        need(clFinish(b->queue), "clFinish");
        if (i) us[i - 1] = (now_us() - start) / LAUNCHES;
    }
    for (int k = 0; k < LAUNCHES; k++) launch(b, b->count);
    need(clEnqueueReadBuffer(b->queue, m, CL_TRUE, 0, sizeof value, &value, 0, NULL, NULL),
         "clEnqueueReadBuffer");
    if (value != LAUNCHES) wrong("a kernel was lost or ran twice");
    need(clReleaseMemObject(m), "clReleaseMemObject");
    report(b, "noop_pipelined", 0, us, n);
}

/* --- Transfers --- */

void fill(uint32_t *p, size_t bytes, uint32_t seed) {
    for (size_t i = 0; i < bytes / 4; i++) p[i] = (uint32_t)i * 2654435761u + seed;
}

bool filled(const uint32_t *p, size_t bytes, uint32_t seed) {
    for (size_t i = 0; i < bytes / 4; i++)
        if (p[i] != (uint32_t)i * 2654435761u + seed) return false;
    return true;
}

/* Write, then read back into memory that was touched in between; both are timed. */
static void one_transfer(const struct bench *b, cl_mem m, size_t bytes, uint32_t *out, uint32_t *back,
                         double us[2], uint32_t seed) {
    fill(out, bytes, seed);
    double start = now_us();
    need(clEnqueueWriteBuffer(b->queue, m, CL_TRUE, 0, bytes, out, 0, NULL, NULL), "clEnqueueWriteBuffer");
    us[0] = now_us() - start;
    memset(back, 0, bytes);
    start = now_us();
    need(clEnqueueReadBuffer(b->queue, m, CL_TRUE, 0, bytes, back, 0, NULL, NULL), "clEnqueueReadBuffer");
    us[1] = now_us() - start;
    if (!filled(back, bytes, seed)) wrong("what was read is not what was written");
}

static void bench_transfer(const struct bench *b, size_t bytes, unsigned most) {
    enum { WARM = 2 };
    unsigned n = most / b->divide > 4 ? most / b->divide : 5;
    size_t room = (bytes + 4095) / 4096 * 4096;
    uint32_t *out = aligned_alloc(4096, room), *back = aligned_alloc(4096, room);
    double *write_us = calloc(n, sizeof *write_us), *read_us = calloc(n, sizeof *read_us), us[2];
    if (!out || !back || !write_us || !read_us) need(CL_OUT_OF_HOST_MEMORY, "allocating");
    cl_int err;
    cl_mem m = clCreateBuffer(b->context, CL_MEM_READ_WRITE, bytes, NULL, &err);
    need(err, "clCreateBuffer");
    for (unsigned i = 0; i < WARM + n; i++) {
        one_transfer(b, m, bytes, out, back, us, i + 1);
        if (i < WARM) continue;
        write_us[i - WARM] = us[0];
        read_us[i - WARM] = us[1];
    }
    report(b, "write", bytes, write_us, n);
    report(b, "read", bytes, read_us, n);
    need(clReleaseMemObject(m), "clReleaseMemObject");
    free(out);
    free(back);
    free(write_us);
    free(read_us);
}

/* --- The machine itself --- */

static void *echo(void *arg) {
    int fd = *(int *)arg;
    char c;
    while (read(fd, &c, 1) == 1 && write(fd, &c, 1) == 1) {
    }
    return NULL;
}

/* Two connected TCP sockets over loopback; false where that does not work. */
static bool tcp_pair(int fd[2]) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    fd[1] = -1;
    if (listener >= 0 && fd[0] >= 0 && !bind(listener, (struct sockaddr *)&a, len) && !listen(listener, 1) &&
        !getsockname(listener, (struct sockaddr *)&a, &len) && !connect(fd[0], (struct sockaddr *)&a, len))
        fd[1] = accept(listener, NULL, NULL);
    if (listener >= 0) close(listener);
    for (int i = 0; i < 2; i++) setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd[1] >= 0;
}

static void bench_tcp(const struct bench *b) {
    enum { WARM = 50, MOST = 2000 };
    static double us[MOST];
    unsigned n = MOST / b->divide;
    int fd[2];
    pthread_t thread;
    char c = 1;
    if (!tcp_pair(fd) || pthread_create(&thread, NULL, echo, &fd[1])) return;
    for (unsigned i = 0; i < WARM + n; i++) {
        double start = now_us();
        if (write(fd[0], &c, 1) != 1 || read(fd[0], &c, 1) != 1) break;
        if (i >= WARM) us[i - WARM] = now_us() - start;
    }
    shutdown(fd[0], SHUT_RDWR);
    pthread_join(thread, NULL);
    close(fd[0]);
    close(fd[1]);
    report(b, "tcp_round_trip", 0, us, n);
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"path", required_argument, NULL, 'p'}, {"platform", required_argument, NULL, 'P'},
        {"node", required_argument, NULL, 'n'}, {"moves", no_argument, NULL, 'm'},
        {"quick", no_argument, NULL, 'q'},      {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},       {0}};
    struct bench b = {.path = "direct", .divide = 1};
    struct cldevice_filter filter = {.node = -1};
    bool moves = false;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case 'p': b.path = optarg; break;
        case 'P': filter.platform = optarg; break;
        case 'n': filter.node = atoi(optarg); break;
        case 'm': moves = true; break;
        case 'q': b.divide = 10; break;
        case 'j': b.json = true; break;
        case 'h': fputs(help, stdout); return 0;
        default: fputs("see weft-clbench --help\n", stderr); return 2;
        }
    }
    if (optind < argc) {
        fputs(help, stderr);
        return 2;
    }
    if (moves) {
        run_moves(&b, &filter);
        return 0;
    }
    open_device(&b, &filter);
    bench_tcp(&b);
    bench_round_trip(&b);
    bench_pipelined(&b);
    bench_transfer(&b, 4, 1000);
    bench_transfer(&b, 1 << 20, 100);
    bench_transfer(&b, 64 << 20, 12);
    close_device(&b);
    return 0;
}
