/* A heap of measured values, and what is told of it: the median and other parts. */
#ifndef WEFT_CLI_BENCH_VALUES_H
#define WEFT_CLI_BENCH_VALUES_H
#include <stdbool.h>
#include <stddef.h>

struct bench_values {
    double *v;
    size_t count, cap;
};

/* False: no memory, or some millions are there already. */
bool bench_values_add(struct bench_values *to, double v);
void bench_values_append(struct bench_values *to, const struct bench_values *from);
/* The value below which that part of all lies (0.5: the median); sorts them. NAN: there is none. */
double bench_values_part(struct bench_values *v, double part);
double bench_values_mean(const struct bench_values *v);
void bench_values_free(struct bench_values *v);

#endif
