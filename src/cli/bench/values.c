/* Measured values. */
#include "cli/bench/values.h"

#include <math.h>
#include <stdlib.h>

#define VALUES_MAX (1u << 22)

bool bench_values_add(struct bench_values *to, double v) {
    if (to->count == to->cap) {
        size_t cap = to->cap ? to->cap * 2 : 256;
        double *more = cap <= VALUES_MAX ? realloc(to->v, cap * sizeof *more) : NULL;
        if (!more) return false;
        to->v = more;
        to->cap = cap;
    }
    to->v[to->count++] = v;
    return true;
}

void bench_values_append(struct bench_values *to, const struct bench_values *from) {
    for (size_t i = 0; i < from->count; i++) bench_values_add(to, from->v[i]);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_values_part(struct bench_values *v, double part) {
    if (!v->count) return NAN;
    qsort(v->v, v->count, sizeof *v->v, compare);
    return v->v[(size_t)(part * (double)(v->count - 1) + 0.5)];
}

double bench_values_mean(const struct bench_values *v) {
    double sum = 0;
    for (size_t i = 0; i < v->count; i++) sum += v->v[i];
    return v->count ? sum / (double)v->count : NAN;
}

void bench_values_free(struct bench_values *v) {
    free(v->v);
    *v = (struct bench_values){0};
}
