/* put and get: one-sided access to another process's window. */
#include "cli/bench/window.h"
#include "base/error.h"

#include <stdio.h>

/* A row says both; the state is mixed unless both were measured in the same. */
static void print_row(struct rows *p, const struct bench_options *o, const struct window_pair *pair,
                      struct bench_result *one, struct bench_result *many, enum bench_state a,
                      enum bench_state b) {
    struct row row = {.fields = 0};
    struct bench_values *v = &one->values[a];
    row_text(&row, "bench", "BENCH", o->name);
    row_text(&row, "adapter", "ADAPTER", o->adapter);
    row_whole(&row, "size_B", "SIZE B", one->size);
    row_number(&row, "median_us", "MEDIAN us", bench_values_part(v, 0.5) * 1e6);
    row_number(&row, "p99_us", "P99 us", bench_values_part(v, 0.99) * 1e6);
    row_number(&row, "median_GBps", "MEDIAN GB/s",
               bench_values_part(&many->values[b], 0.5) * (double)one->size / 1e9);
    row_whole(&row, "count", "COUNT", one->count[a]);
    row_text(&row, "state", "STATE", bench_state_name(a == b ? a : BENCH_MIXED));
    row_text(&row, "data", "DATA", o->written ? "written" : "static");
    row_whole(&row, "window", "WINDOW", pair->slots);
    rows_add(p, &row);
}

static void print_size(struct rows *p, const struct bench_options *o, const struct window_pair *pair,
                       struct bench_result *one, struct bench_result *many) {
    enum bench_state a[BENCH_STATES], b[BENCH_STATES];
    size_t n = bench_result_states(one, o->filter, a), m = bench_result_states(many, o->filter, b);
    bool joined = o->filter == BENCH_ALL && m;
    for (size_t i = 0; i < n; i++) print_row(p, o, pair, one, many, a[i], joined ? b[0] : a[i]);
}

static int measure(struct window_pair *pair, const struct bench_options *o, struct rows *p, uint64_t size) {
    struct bench_result one = {.size = size}, many = {.size = size};
    struct bench_source latency, stream;
    struct bench_options half = *o;
    half.time_s /= 2;
    int rc = window_pair_setup(pair, o, size, &latency, &stream);
    if (!rc) rc = bench_take_samples(&latency, &half, &one);
    if (!rc) rc = bench_take_samples(&stream, &half, &many);
    if (!rc || rc == WEFT_E_INTR) print_size(p, o, pair, &one, &many);
    bench_result_free(&one);
    bench_result_free(&many);
    if (rc && rc != WEFT_E_INTR)
        fprintf(stderr, "weft: %s of %llu B over %s failed: %s\n", o->name, (unsigned long long)size,
                o->adapter, weft_error_text(rc));
    return rc;
}

int bench_run_window(struct bench_options *o) {
    static struct window_pair pair;
    struct rows p;
    rows_start(&p, o->format);
    int rc = window_pair_open(&pair, o);
    for (size_t i = 0; i < o->sizes && !rc; i++) rc = measure(&pair, o, &p, o->size[i]);
    window_pair_close(&pair);
    rows_end(&p);
    return rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : rc != 0;
}
