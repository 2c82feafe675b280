/* weft-clbench, for its own files. */
#ifndef BENCH_CLBENCH_H
#define BENCH_CLBENCH_H
#include "cldevice.h"
#include <stdint.h>

struct bench {
    const char *path;
    bool json;
    unsigned divide; /* of repetitions */
    cl_context context;
    cl_command_queue queue;
    cl_program program;
    cl_kernel noop, count;
};

/* Ends the program if the call failed. */
void need(cl_int err, const char *call);
void wrong(const char *what);
double now_us(void);
/* Sorts the samples and prints their line; size_bytes 0 where there is no size. */
void report(const struct bench *b, const char *name, size_t size_bytes, double *us, unsigned n);
/* Memory with contents by a seed. */
void fill(uint32_t *p, size_t bytes, uint32_t seed);
bool filled(const uint32_t *p, size_t bytes, uint32_t seed);

/* clbench_move.c: contents that move from the first of two devices to the other. */
void bench_moves(const struct bench *b, const struct cldevice devices[2]);

#endif
