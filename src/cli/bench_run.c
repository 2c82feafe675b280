/* Taking samples: stretches of some milliseconds, each between two looks at the CPU pair's state. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAMPLE_NS    (20 * WEFT_NS_PER_MS)
#define LONGER       10 /* times the time asked for, at most, to find samples of a state */
#define VALUES_MAX   (1u << 22)
#define WARM_UP      16
#define SHORT_NS     1000 /* trips shorter than this one way are timed in batches: the clock costs too */
#define BATCH        16
#define IN_FLIGHT    (4u << 20)
#define WINDOW_SMALL 256
#define WINDOW_LARGE 4

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

void bench_result_free(struct bench_result *r) {
    for (int s = 0; s < BENCH_STATES; s++) {
        free(r->values[s].v);
        free(r->sender[s].v);
        free(r->receiver[s].v);
    }
}

/* What one sample brought, until its state is known. */
struct sample {
    struct bench_values values;
    uint64_t count, ns;
    double sender_s, receiver_s; /* CPU, for each message */
};

struct runner {
    struct bench_end *e;
    const struct bench_options *o;
    struct bench_result *r;
    uint64_t unit_ns; /* about what a trip or a message takes */
    uint64_t start_ns;
    struct sample sample;
};

static uint32_t window_for(const struct bench_end *e, const struct bench_options *o, uint64_t size) {
    if (o->kind == BENCH_LATENCY) return e->alone ? 4 : 2; /* one is written while the other is under way */
    if (o->window) return o->window;
    uint64_t n = size ? IN_FLIGHT / size : WINDOW_SMALL;
    if (n > WINDOW_SMALL) return WINDOW_SMALL;
    return n < WINDOW_LARGE ? WINDOW_LARGE : (uint32_t)n;
}

static int take_trips(struct runner *x, uint64_t count) {
    uint64_t ns;
    int rc = 0;
    while (count && !rc) {
        uint32_t n = count < x->r->batch ? (uint32_t)count : x->r->batch;
        rc = bench_end_trips(x->e, n, &ns);
        if (rc || !bench_values_add(&x->sample.values, (double)ns / n / 2e9)) break;
        x->sample.count += n;
        count -= n;
    }
    return rc;
}

static int stream(struct runner *x, uint64_t count) {
    if (x->o->kind == BENCH_BIDIRECTIONAL) return bench_end_stream_both(x->e, count);
    return bench_end_stream(x->e, count);
}

static int take_stream(struct runner *x, uint64_t count) {
    uint64_t here[2] = {0}, there[2] = {0};
    bool cpu = x->o->kind == BENCH_CPU;
    int rc = cpu ? bench_end_usage(x->e, &here[0], &there[0]) : 0;
    uint64_t before = weft_now_ns();
    if (!rc) rc = stream(x, count);
    x->sample.ns = weft_now_ns() - before;
    if (!rc && cpu) rc = bench_end_usage(x->e, &here[1], &there[1]);
    if (rc) return rc;
    x->sample.count = count;
    x->sample.sender_s = (double)(here[1] - here[0]) / 1e9 / (double)count;
    x->sample.receiver_s = (double)(there[1] - there[0]) / 1e9 / (double)count;
    bench_values_add(&x->sample.values, (double)count / ((double)x->sample.ns / 1e9));
    return 0;
}

/* Warms up, and finds how long one takes. */
static int calibrate(struct runner *x) {
    uint64_t ns = 1, count = x->o->kind == BENCH_LATENCY ? WARM_UP : x->r->window;
    bool few = x->o->count && x->o->count < count;
    if (few) count = x->o->count;
    int rc = 0;
    for (int i = 0; i < 2 && !rc; i++) {
        uint64_t before = weft_now_ns();
        rc = x->o->kind == BENCH_LATENCY ? bench_end_trips(x->e, (uint32_t)count, &ns) : stream(x, count);
        ns = weft_now_ns() - before;
    }
    x->unit_ns = ns / count + 1;
    if (x->o->kind == BENCH_LATENCY && x->unit_ns < 2 * SHORT_NS) x->r->batch = BATCH;
    return rc;
}

static bool wanted(const struct bench_options *o, enum bench_state s) {
    return o->filter == BENCH_ALL || o->filter == BENCH_EACH || (int)s == (int)o->filter - BENCH_ONLY_NEAR;
}

static uint64_t kept(const struct runner *x) {
    uint64_t n = 0;
    for (int s = 0; s < BENCH_STATES; s++)
        if (wanted(x->o, (enum bench_state)s)) n += x->r->count[s];
    return n;
}

/* How many the next sample takes; 0: that was all. */
static uint64_t next_count(const struct runner *x, uint64_t kept_ns) {
    uint64_t limit_ns = (uint64_t)(x->o->time_s * 1e9), n = SAMPLE_NS / x->unit_ns + 1;
    bool stream_kind = x->o->kind != BENCH_LATENCY;
    /* A stream's beginning and end, when the window is not full, must not count for much. */
    if (stream_kind && n < 2ull * x->r->window && !x->o->count) n = 2ull * x->r->window;
    if (weft_now_ns() - x->start_ns >= LONGER * limit_ns) return 0;
    if (!x->o->count) return kept_ns < limit_ns ? n : 0;
    uint64_t have = kept(x);
    if (have >= x->o->count) return 0;
    return n < x->o->count - have ? n : x->o->count - have;
}

static void keep(struct runner *x, enum bench_state s) {
    struct bench_result *r = x->r;
    r->samples[s]++;
    r->count[s] += x->sample.count;
    for (size_t i = 0; i < x->sample.values.count; i++)
        bench_values_add(&r->values[s], x->sample.values.v[i]);
    bench_values_add(&r->sender[s], x->sample.sender_s);
    bench_values_add(&r->receiver[s], x->sample.receiver_s);
}

static void show_progress(const struct runner *x, const char *state) {
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s over %s: %llu B, %llu so far, %s", x->o->name, x->o->adapter,
                (unsigned long long)x->r->size, (unsigned long long)kept(x), state);
}

static int take_sample(struct runner *x, uint64_t count) {
    uint64_t ns;
    x->sample.values.count = 0;
    x->sample.count = 0;
    if (x->o->kind != BENCH_LATENCY) return take_stream(x, count);
    /* The other process may have gone to sleep while the state was looked at. */
    int rc = bench_end_trips(x->e, 1, &ns);
    for (int i = 0; i < 3 && !rc; i++) rc = bench_end_trips(x->e, 1, &ns);
    uint64_t before = weft_now_ns();
    if (!rc) rc = take_trips(x, count);
    x->sample.ns = weft_now_ns() - before;
    return rc;
}

static int take_samples(struct runner *x) {
    double line_ns;
    uint64_t kept_ns = 0, count;
    int rc = 0;
    x->start_ns = weft_now_ns();
    enum bench_state before = bench_mark(x->o->cpu, &line_ns);
    while (!rc && (count = next_count(x, kept_ns)) > 0) {
        rc = take_sample(x, count);
        enum bench_state after = bench_mark(x->o->cpu, &line_ns);
        enum bench_state state = before == after ? after : BENCH_MIXED;
        before = after;
        if (rc) break;
        keep(x, state);
        if (wanted(x->o, state)) kept_ns += x->sample.ns;
        show_progress(x, bench_state_name(state));
        if (atomic_load(&bench_interrupted)) rc = WEFT_E_INTR;
    }
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
    return rc;
}

int bench_measure(struct bench_end *e, const struct bench_options *o, uint64_t size, struct bench_result *r) {
    *r = (struct bench_result){.size = size, .window = window_for(e, o, size), .batch = 1};
    struct runner x = {.e = e, .o = o, .r = r};
    int rc = bench_end_setup(e, size, r->window, o->written);
    if (!rc) rc = calibrate(&x);
    if (!rc) rc = take_samples(&x);
    free(x.sample.values.v);
    return rc;
}
