/* latency, bandwidth, rate, bidirectional and cpu: messages between the two ends. */
#include "cli/bench/messages.h"
#include "base/clock.h"
#include "base/error.h"

#include <math.h>
#include <stdio.h>

#define WARM_UP      16
#define SHORT_NS     1000 /* trips shorter than this one way are timed in batches: the clock costs too */
#define BATCH        16
#define IN_FLIGHT    (4u << 20)
#define WINDOW_SMALL 256
#define WINDOW_LARGE 4

static uint32_t window_for(const struct bench_end *e, const struct bench_options *o, uint64_t size) {
    if (o->kind == BENCH_LATENCY) return e->alone ? 4 : 2; /* one is written while the other is under way */
    if (o->window) return o->window;
    uint64_t n = size ? IN_FLIGHT / size : WINDOW_SMALL;
    if (n > WINDOW_SMALL) return WINDOW_SMALL;
    return n < WINDOW_LARGE ? WINDOW_LARGE : (uint32_t)n;
}

static int take_trips(void *ctx, uint64_t count, struct bench_sample *s) {
    struct bench_messages *m = ctx;
    uint64_t ns, before;
    int rc = 0;
    /* The other process may have gone to sleep while the state was looked at. */
    for (int i = 0; i < 4 && !rc; i++) rc = bench_end_trips(m->e, 1, &ns);
    before = weft_now_ns();
    while (count && !rc) {
        uint32_t n = count < m->batch ? (uint32_t)count : m->batch;
        rc = bench_end_trips(m->e, n, &ns);
        if (rc || !bench_values_add(&s->values, (double)ns / n / 2e9)) break;
        s->count += n;
        count -= n;
    }
    s->ns = weft_now_ns() - before;
    return rc;
}

static int stream(struct bench_messages *m, uint64_t count) {
    if (m->o->kind == BENCH_BIDIRECTIONAL) return bench_end_stream_both(m->e, count);
    return bench_end_stream(m->e, count);
}

static int take_stream(void *ctx, uint64_t count, struct bench_sample *s) {
    struct bench_messages *m = ctx;
    uint64_t here[2] = {0}, there[2] = {0};
    bool cpu = m->o->kind == BENCH_CPU;
    int rc = cpu ? bench_end_usage(m->e, &here[0], &there[0]) : 0;
    uint64_t before = weft_now_ns();
    if (!rc) rc = stream(m, count);
    s->ns = weft_now_ns() - before;
    if (!rc && cpu) rc = bench_end_usage(m->e, &here[1], &there[1]);
    if (rc) return rc;
    s->count = count;
    s->sender_s = (double)(here[1] - here[0]) / 1e9 / (double)count;
    s->receiver_s = (double)(there[1] - there[0]) / 1e9 / (double)count;
    bench_values_add(&s->values, (double)count / ((double)s->ns / 1e9));
    return 0;
}

/* Warms up, and finds how long one takes. */
static int calibrate(struct bench_messages *m, uint64_t *unit_ns) {
    bool trips = m->o->kind == BENCH_LATENCY;
    uint64_t ns = 1, count = trips ? WARM_UP : m->window;
    if (m->o->count && m->o->count < count) count = m->o->count;
    int rc = 0;
    for (int i = 0; i < 2 && !rc; i++) {
        uint64_t before = weft_now_ns();
        rc = trips ? bench_end_trips(m->e, (uint32_t)count, &ns) : stream(m, count);
        ns = weft_now_ns() - before;
    }
    *unit_ns = ns / count + 1;
    m->batch = trips && *unit_ns < 2 * SHORT_NS ? BATCH : 1;
    return rc;
}

int bench_messages_setup(struct bench_messages *m, struct bench_end *e, const struct bench_options *o,
                         uint64_t size, struct bench_source *out) {
    bool trips = o->kind == BENCH_LATENCY;
    *m = (struct bench_messages){.e = e, .o = o, .window = window_for(e, o, size), .batch = 1};
    /* A stream's beginning and end, when the window is not full, must not count for much. */
    *out = (struct bench_source){
        .take = trips ? take_trips : take_stream, .ctx = m, .least = trips ? 1 : 2ull * m->window};
    int rc = bench_end_setup(e, size, m->window, o->written);
    return rc ? rc : calibrate(m, &out->unit_ns);
}

int bench_messages_measure(struct bench_end *e, const struct bench_options *o, uint64_t size,
                           struct bench_result *r) {
    struct bench_messages m;
    struct bench_source source;
    *r = (struct bench_result){.size = size};
    int rc = bench_messages_setup(&m, e, o, size, &source);
    r->window = m.window;
    r->batch = m.batch;
    return rc ? rc : bench_take_samples(&source, o, r);
}

/* -- results -- */

static void add_measured(struct row *row, const struct bench_options *o, struct bench_result *r,
                         enum bench_state s) {
    struct bench_values *v = &r->values[s];
    double GB = (double)r->size / 1e9;
    switch (o->kind) {
    case BENCH_LATENCY:
        row_number(row, "median_us", "MEDIAN us", bench_values_part(v, 0.5) * 1e6);
        row_number(row, "p99_us", "P99 us", bench_values_part(v, 0.99) * 1e6);
        row_number(row, "min_us", "MIN us", bench_values_part(v, 0) * 1e6);
        return;
    case BENCH_RATE:
        row_number(row, "median_messages_per_s", "MEDIAN messages/s", bench_values_part(v, 0.5));
        row_number(row, "max_messages_per_s", "MAX messages/s", bench_values_part(v, 1));
        return;
    case BENCH_CPU:
        row_number(row, "sender_cpu_s_per_GB", "SENDER CPU s/GB", bench_values_part(&r->sender[s], 0.5) / GB);
        row_number(row, "receiver_cpu_s_per_GB", "RECEIVER CPU s/GB",
                   bench_values_part(&r->receiver[s], 0.5) / GB);
        row_number(row, "median_GBps", "MEDIAN GB/s", bench_values_part(v, 0.5) * GB);
        return;
    default:
        GB *= o->kind == BENCH_BIDIRECTIONAL ? 2 : 1;
        row_number(row, "median_GBps", "MEDIAN GB/s", bench_values_part(v, 0.5) * GB);
        row_number(row, "min_GBps", "MIN GB/s", bench_values_part(v, 0) * GB);
        row_number(row, "max_GBps", "MAX GB/s", bench_values_part(v, 1) * GB);
        return;
    }
}

static void print_row(struct rows *p, const struct bench_options *o, struct bench_result *r,
                      enum bench_state s) {
    struct row row = {.fields = 0};
    row_text(&row, "bench", "BENCH", o->name);
    row_text(&row, "adapter", "ADAPTER", o->adapter);
    row_whole(&row, "size_B", "SIZE B", r->size);
    add_measured(&row, o, r, s);
    row_whole(&row, "count", "COUNT", r->count[s]);
    row_text(&row, "state", "STATE", bench_state_name(s));
    row_text(&row, "data", "DATA", o->written ? "written" : "static");
    if (o->kind == BENCH_LATENCY)
        row_whole(&row, "batch", NULL, r->batch);
    else
        row_whole(&row, "window", "WINDOW", r->window);
    row_text(&row, "security", NULL, o->security ? o->security : "auto");
    row_whole(&row, "samples_near", NULL, r->samples[BENCH_NEAR]);
    row_whole(&row, "samples_far", NULL, r->samples[BENCH_FAR]);
    row_whole(&row, "samples_mixed", NULL, r->samples[BENCH_MIXED]);
    rows_add(p, &row);
}

/* False: no sample was in the state that was asked for. */
static bool print_size(struct rows *p, const struct bench_options *o, struct bench_result *r) {
    enum bench_state state[BENCH_STATES];
    size_t n = bench_result_states(r, o->filter, state);
    for (size_t i = 0; i < n; i++) print_row(p, o, r, state[i]);
    return n > 0;
}

static int measure_all(struct bench_end *e, const struct bench_options *o, struct rows *p) {
    int status = 0;
    for (size_t i = 0; i < o->sizes && !atomic_load(&bench_interrupted); i++) {
        struct bench_result r;
        int rc = bench_messages_measure(e, o, o->size[i], &r);
        bool told = (!rc || rc == WEFT_E_INTR) && print_size(p, o, &r);
        bench_result_free(&r);
        if (rc && rc != WEFT_E_INTR) {
            fprintf(stderr, "weft: %s of %llu B over %s failed: %s\n", o->name,
                    (unsigned long long)o->size[i], o->adapter, weft_error_text(rc));
            return 1;
        }
        if (told || rc) continue;
        fprintf(stderr, "weft: %llu B: the CPU pair was never %s while it was measured\n",
                (unsigned long long)o->size[i], o->filter == BENCH_ONLY_NEAR ? "near" : "far");
        status = 1;
    }
    return atomic_load(&bench_interrupted) ? BENCH_EXIT_INTERRUPTED : status;
}

int bench_run_messages(struct bench_options *o) {
    static struct bench_end e;
    struct rows p;
    rows_start(&p, o->format);
    int rc = bench_end_open(&e, o, 1);
    int status = rc == WEFT_OK ? measure_all(&e, o, &p) : rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : 1;
    bench_end_close(&e);
    rows_end(&p);
    return status;
}
