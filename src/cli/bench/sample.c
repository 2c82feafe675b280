/* Taking samples: stretches of some milliseconds, each between two looks at the CPU pair's state. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/bench.h"

#include <stdio.h>
#include <unistd.h>

#define SAMPLE_NS (20 * WEFT_NS_PER_MS)
#define LONGER    10 /* times the time asked for, at most, to find samples of a state */

void bench_result_free(struct bench_result *r) {
    for (int s = 0; s < BENCH_STATES; s++) {
        bench_values_free(&r->values[s]);
        bench_values_free(&r->sender[s]);
        bench_values_free(&r->receiver[s]);
    }
}

struct sampler {
    const struct bench_source *source;
    const struct bench_options *o;
    struct bench_result *r;
    uint64_t start_ns, kept_ns;
    bool taken; /* one at least: a busy machine may use up the time before */
};

static bool wanted(const struct bench_options *o, enum bench_state s) {
    return o->filter == BENCH_ALL || o->filter == BENCH_EACH || (int)s == (int)o->filter - BENCH_ONLY_NEAR;
}

static uint64_t kept(const struct sampler *x) {
    uint64_t n = 0;
    for (int s = 0; s < BENCH_STATES; s++)
        if (wanted(x->o, (enum bench_state)s)) n += x->r->count[s];
    return n;
}

/* How many the next sample takes; 0: that was all. */
static uint64_t next_count(const struct sampler *x) {
    uint64_t limit_ns = (uint64_t)(x->o->time_s * 1e9), n = SAMPLE_NS / x->source->unit_ns + 1;
    if (n < x->source->least && !x->o->count) n = x->source->least;
    if (x->taken && weft_now_ns() - x->start_ns >= LONGER * limit_ns) return 0;
    if (!x->o->count) return x->kept_ns < limit_ns ? n : 0;
    uint64_t have = kept(x);
    if (have >= x->o->count) return 0;
    return n < x->o->count - have ? n : x->o->count - have;
}

static void keep(struct sampler *x, enum bench_state s, const struct bench_sample *sample) {
    struct bench_result *r = x->r;
    r->samples[s]++;
    r->count[s] += sample->count;
    bench_values_append(&r->values[s], &sample->values);
    bench_values_add(&r->sender[s], sample->sender_s);
    bench_values_add(&r->receiver[s], sample->receiver_s);
    if (wanted(x->o, s)) x->kept_ns += sample->ns;
}

static void show_progress(const struct sampler *x, enum bench_state s) {
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s: %llu B, %llu so far, %s", x->o->name, (unsigned long long)x->r->size,
                (unsigned long long)kept(x), bench_state_name(s));
}

int bench_take_samples(const struct bench_source *source, const struct bench_options *o,
                       struct bench_result *r) {
    struct sampler x = {.source = source, .o = o, .r = r, .start_ns = weft_now_ns()};
    struct bench_sample sample = {0};
    double line_ns;
    int rc = 0;
    enum bench_state before = bench_mark(o->cpu, &line_ns);
    for (uint64_t count; !rc && (count = next_count(&x)) > 0;) {
        sample.values.count = 0;
        sample.count = 0;
        rc = source->take(source->ctx, count, &sample);
        enum bench_state after = bench_mark(o->cpu, &line_ns);
        enum bench_state state = before == after ? after : BENCH_MIXED;
        before = after;
        if (rc) break;
        x.taken = true;
        keep(&x, state, &sample);
        show_progress(&x, state);
        if (atomic_load(&bench_interrupted)) rc = WEFT_E_INTR;
    }
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
    bench_values_free(&sample.values);
    return rc;
}

/* Joins what was taken in different states into one, which is mixed then. */
static enum bench_state join(struct bench_result *r) {
    int states = 0, only = BENCH_MIXED;
    for (int s = 0; s < BENCH_STATES; s++)
        if (r->samples[s]) {
            states++;
            only = s;
        }
    if (states <= 1) return (enum bench_state)only;
    for (int s = 0; s < BENCH_MIXED; s++) {
        bench_values_append(&r->values[BENCH_MIXED], &r->values[s]);
        bench_values_append(&r->sender[BENCH_MIXED], &r->sender[s]);
        bench_values_append(&r->receiver[BENCH_MIXED], &r->receiver[s]);
        r->count[BENCH_MIXED] += r->count[s];
    }
    return BENCH_MIXED;
}

size_t bench_result_states(struct bench_result *r, enum bench_filter filter,
                           enum bench_state out[BENCH_STATES]) {
    size_t n = 0;
    enum bench_state joined = filter == BENCH_ALL ? join(r) : BENCH_MIXED;
    for (int s = 0; s < BENCH_STATES; s++) {
        bool take = filter == BENCH_EACH ||
                    (filter == BENCH_ALL ? s == (int)joined : s == (int)filter - BENCH_ONLY_NEAR);
        if (take && (r->samples[s] || r->values[s].count)) out[n++] = (enum bench_state)s;
    }
    return n;
}
