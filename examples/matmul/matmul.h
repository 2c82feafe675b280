/* The parts of the matrix product program and the data that they share.
 *
 * C = A * B for square matrices is cut into blocks of slice x slice. One thread a device takes block after
 * block from a shared counter, sends the rows of A and the columns of B to its device, runs the kernel and
 * fetches the block of C. Faster devices so take more blocks. With --prefetch the rows and columns of a
 * device's next block are on their way while it computes, and it takes the block that needs the least of them. */
#ifndef MATMUL_H
#define MATMUL_H
#include "cldevice.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MATMUL_DEVICES_MAX 256 /* that --tail-aware thinks about */

struct options {
    int n, slice;
    bool json, prefetch, tail_aware;
    struct cldevice_filter filter;
};

/* A platform in use: its devices share one context and one program. */
struct platform {
    cl_context context;
    cl_program program;
};

struct worker {
    struct job *job;
    const struct cldevice *device;
    const struct platform *platform;
    pthread_t thread;
    /* What it is expected to do; job->lock. */
    double block_s, done_s,
        due_s; /* what a block takes; end of the latest; expected end of those under way */
    /* Results, read after the thread has ended. */
    uint64_t blocks;
    double flops;      /* floating-point operations done */
    double busy_s;     /* from taking the first block to the end of the last */
    double kernel_s;   /* sum of the kernels' own times */
    double transfer_s; /* sum of the transfers' own times */
};

/* The first failure of any thread; later ones are its consequences. */
struct failure {
    bool set;
    char text[512];
};

struct job {
    int n, slice, blocks_a_side;
    float *a, *bt, *c; /* B is kept transposed: a vertical block of it is contiguous */
    unsigned n_devices, n_platforms;
    struct cldevice *devices;
    struct platform *platforms;
    struct worker *workers;
    bool prefetch, tail_aware;
    uint64_t next_block; /* lock; with `near`: how many were taken */
    struct near *near;   /* which block needs least data on a node; NULL: they go in order; lock */
    atomic_bool stop;    /* a thread failed: take no further block */
    double seconds;      /* wall-clock time of the product, without building and checking */

    pthread_mutex_t lock; /* failure, running, next_block */
    pthread_cond_t change;
    struct failure failure;
    unsigned running; /* threads that have not ended */
    unsigned unready; /* threads still setting up; nobody takes a block before it is 0 */
};

/* options.c: ends the program on --help and on arguments that make no sense. */
void options_parse(int argc, char **argv, struct options *o);

/* platform.c: a context and a built program for every platform that has devices. 0, or -1 with the failure
 * set. */
int platforms_open(struct job *j);
void platforms_close(struct job *j);

/* near.c: with --prefetch, the block that needs the fewest rows and columns that its node has not had. */
struct near *near_create(const struct job *j); /* NULL: not worth it, or no memory */
void near_destroy(struct near *n);
/* Takes one of those that are left; under the lock. */
uint64_t near_take(struct near *n, unsigned node);

/* share.c */
double now_s(void);
/* The next block. False: there is none for it now; with may_wait: there will be none any more. */
bool share_take(struct worker *w, uint64_t *index, bool may_wait);
/* It has done a block that was taken at that time; so many more are under way. */
void share_done(struct worker *w, double started_s, unsigned under_way);

/* product.c: computes C on all devices. 0, or -1 with the failure set. A device that does not come back after
 * another one failed is not waited for: then *hung is set and nothing may be released. */
int product_run(struct job *j, bool *hung);

/* main.c: records a failure, unless one is there already, and stops all threads. Always returns -1.
 * Without a device it concerns the program as a whole. */
int job_fail(struct job *j, const struct cldevice *d, const char *call, cl_int code);

/* report.c */
void report_table(const struct job *j, uint64_t checksum, FILE *out);
void report_json(const struct job *j, bool verified, uint64_t checksum, FILE *out);

#endif
