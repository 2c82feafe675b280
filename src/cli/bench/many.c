/* peers: what a small message to one of many connected processes costs. Each number of processes has its turn
 * in every round, so that all are measured in the same states. */
#include "base/error.h"
#include "cli/bench/messages.h"

#include <math.h>
#include <stdio.h>

struct many {
    struct bench_end e;
    struct bench_messages messages;
    struct bench_source source; /* of trips to one */
    uint32_t next;              /* whose turn it is */
};

/* Each sample is of another process; the others sleep, as processes do that nobody talks to. */
static int take(void *ctx, uint64_t count, struct bench_sample *s) {
    struct many *m = ctx;
    bench_end_turn_to(&m->e, m->next++ % m->e.others);
    return m->source.take(m->source.ctx, count, s);
}

static int measure(struct many *m, const struct bench_options *part, uint32_t others,
                   struct bench_result *r) {
    int rc = bench_end_open(&m->e, part, others);
    if (!rc) rc = bench_messages_setup(&m->messages, &m->e, part, r->size, &m->source);
    struct bench_source source = m->source;
    source.take = take;
    source.ctx = m;
    if (!rc) rc = bench_take_samples(&source, part, r);
    r->batch = m->messages.batch;
    bench_end_close(&m->e);
    return rc;
}

int bench_peers_measure(const struct bench_options *o, struct bench_result *result) {
    static struct many m;
    struct bench_options part = *o;
    int rc = 0;
    part.kind = BENCH_LATENCY;
    part.time_s /= o->rounds;
    for (uint32_t round = 0; round < o->rounds; round++)
        for (size_t i = 0; i < o->connecteds && !rc; i++) {
            if (o->count) part.count = o->count * (round + 1);
            rc = measure(&m, &part, (uint32_t)o->connected[i], &result[i]);
        }
    return rc;
}

static void print_row(struct rows *p, const struct bench_options *o, uint64_t connected,
                      struct bench_result *r, enum bench_state s, double first_s) {
    struct row row = {.fields = 0};
    double median_s = bench_values_part(&r->values[s], 0.5);
    row_text(&row, "bench", "BENCH", o->name);
    row_text(&row, "adapter", "ADAPTER", o->adapter);
    row_whole(&row, "connected", "CONNECTED", connected);
    row_whole(&row, "size_B", "SIZE B", r->size);
    row_number(&row, "median_us", "MEDIAN us", median_s * 1e6);
    row_number(&row, "p99_us", "P99 us", bench_values_part(&r->values[s], 0.99) * 1e6);
    row_number(&row, "ratio_to_first", "TO FIRST", median_s / first_s);
    row_whole(&row, "count", "COUNT", r->count[s]);
    row_text(&row, "state", "STATE", bench_state_name(s));
    row_whole(&row, "batch", NULL, r->batch);
    rows_add(p, &row);
}

static void print_size(struct rows *p, const struct bench_options *o, struct bench_result *result) {
    double first_s[BENCH_STATES] = {NAN, NAN, NAN};
    for (size_t i = 0; i < o->connecteds; i++) {
        enum bench_state state[BENCH_STATES];
        size_t n = bench_result_states(&result[i], o->filter, state);
        for (size_t k = 0; k < n; k++) {
            if (i == 0) first_s[state[k]] = bench_values_part(&result[i].values[state[k]], 0.5);
            print_row(p, o, o->connected[i], &result[i], state[k], first_s[state[k]]);
        }
    }
}

int bench_run_peers(struct bench_options *o) {
    static struct bench_result result[BENCH_SIZES_MAX];
    struct rows p;
    int rc = 0;
    rows_start(&p, o->format);
    for (size_t i = 0; i < o->sizes && !rc; i++) {
        for (size_t k = 0; k < o->connecteds; k++) result[k] = (struct bench_result){.size = o->size[i]};
        rc = bench_peers_measure(o, result);
        if (!rc || rc == WEFT_E_INTR) print_size(&p, o, result);
        for (size_t k = 0; k < o->connecteds; k++) bench_result_free(&result[k]);
    }
    rows_end(&p);
    if (rc && rc != WEFT_E_INTR)
        fprintf(stderr, "weft: %s over %s failed: %s\n", o->name, o->adapter, weft_error_text(rc));
    return rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : rc != 0;
}
