/* weft bench floor: each floor at each size. */
#include "cli/bench/floor.h"
#include "base/error.h"

#include <math.h>
#include <stdio.h>

static void print_row(struct rows *p, const struct bench_options *o, const struct floor *f,
                      struct bench_result *r, enum bench_state s) {
    struct row row = {.fields = 0};
    double median = bench_values_part(&r->values[s], 0.5);
    bool copies = f->kind != FLOOR_LINE && f->kind != FLOOR_UDP;
    row_text(&row, "bench", "BENCH", o->name);
    row_text(&row, "floor", "FLOOR", floor_names[f->kind]);
    row_whole(&row, "size_B", "SIZE B", r->size);
    row_number(&row, "median_us", "MEDIAN us", median * 1e6);
    row_number(&row, "p99_us", "P99 us", bench_values_part(&r->values[s], 0.99) * 1e6);
    row_number(&row, "median_GBps", "MEDIAN GB/s", copies ? (double)r->size / median / 1e9 : NAN);
    row_whole(&row, "count", "COUNT", r->count[s]);
    row_text(&row, "state", "STATE", bench_state_name(s));
    row_whole(&row, "batch", NULL, f->batch);
    rows_add(p, &row);
}

static int measure(struct floor *f, const struct bench_options *o, struct rows *p, enum floor_kind kind,
                   uint64_t size) {
    struct bench_result r = {.size = size};
    struct bench_source source;
    enum bench_state state[BENCH_STATES];
    int rc = floor_setup(f, kind, size, &source);
    if (!rc) rc = bench_take_samples(&source, o, &r);
    size_t n = !rc || rc == WEFT_E_INTR ? bench_result_states(&r, o->filter, state) : 0;
    for (size_t i = 0; i < n; i++) print_row(p, o, f, &r, state[i]);
    bench_result_free(&r);
    if (rc && rc != WEFT_E_INTR)
        fprintf(stderr, "weft: the floor %s at %llu B failed: %s\n", floor_names[kind],
                (unsigned long long)size, weft_error_text(rc));
    return rc;
}

static int measure_all(struct floor *f, const struct bench_options *o, struct rows *p) {
    int rc = 0, status = 0;
    bool line = false;
    for (size_t i = 0; i < o->sizes && rc != WEFT_E_INTR; i++)
        for (int kind = 0; kind < FLOORS && rc != WEFT_E_INTR; kind++) {
            if (!floor_fits(kind, o->size[i]) || (kind == FLOOR_LINE && line)) continue;
            rc = measure(f, o, p, (enum floor_kind)kind, o->size[i]);
            line |= kind == FLOOR_LINE; /* it is the same at all sizes that fit */
            if (rc) status = 1;
        }
    return rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : status;
}

int bench_run_floor(struct bench_options *o) {
    struct floor f;
    struct rows p;
    uint64_t largest = 0;
    for (size_t i = 0; i < o->sizes; i++)
        if (o->size[i] > largest) largest = o->size[i];
    rows_start(&p, o->format);
    int status = floor_open(&f, o, largest) ? 1 : measure_all(&f, o, &p);
    floor_close(&f);
    rows_end(&p);
    return status;
}
