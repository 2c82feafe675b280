/* small-under-bulk: what a small message costs while much moves to the same peer, beside what it costs alone.
 */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/end.h"

#include <stdio.h>

#define WARM_UP 64

struct bulk {
    struct bench_end e;
    const struct bench_options *o;
    struct bench_result *idle, *busy; /* of busy: sender_s is the time that the bulk took */
};

static int one_trip(struct bulk *b, struct bench_sample *s) {
    uint64_t ns;
    int rc = bench_end_trips(&b->e, 1, &ns);
    if (!rc && s) {
        bench_values_add(&s->values, (double)ns / 2e9);
        s->count++;
    }
    return rc;
}

static int take_idle(void *ctx, uint64_t count, struct bench_sample *s) {
    int rc = one_trip(ctx, NULL); /* the other process may sleep */
    uint64_t before = weft_now_ns();
    while (count-- && !rc) rc = one_trip(ctx, s);
    s->ns = weft_now_ns() - before;
    return rc;
}

/* One bulk, and as many trips as there are meanwhile. */
static int take_busy(void *ctx, uint64_t count, struct bench_sample *s) {
    struct bulk *b = ctx;
    int rc = one_trip(b, NULL);
    uint64_t before = weft_now_ns();
    if (!rc) rc = bench_end_bulk_start(&b->e, b->o->bulk);
    while (!rc && !bench_end_bulk_is_over(&b->e)) rc = one_trip(b, s);
    s->ns = weft_now_ns() - before;
    s->sender_s = (double)s->ns / 1e9;
    return rc;
}

static int hold_rounds(struct bulk *b, uint64_t size) {
    struct bench_options part = *b->o;
    struct bench_source idle = {.take = take_idle, .ctx = b, .least = 1},
                        busy = {.take = take_busy, .ctx = b, .unit_ns = UINT64_MAX / 2};
    struct bench_sample warm_up = {0};
    int rc = bench_end_setup(&b->e, size, 2, b->o->written);
    if (!rc) rc = take_idle(b, WARM_UP, &warm_up);
    idle.unit_ns = warm_up.ns / WARM_UP + 1;
    if (!rc) rc = take_busy(b, 1, &warm_up);
    bench_values_free(&warm_up.values);
    part.time_s /= b->o->rounds;
    for (uint32_t round = 0; round < b->o->rounds && !rc; round++) {
        if (b->o->count) part.count = b->o->count * (round + 1);
        rc = bench_take_samples(&idle, &part, b->idle);
        part.count = 0;
        if (!rc) rc = bench_take_samples(&busy, &part, b->busy);
    }
    return rc;
}

int bench_under_bulk_measure(const struct bench_options *o, struct bench_result *idle,
                             struct bench_result *busy) {
    static struct bulk b;
    b.o = o;
    b.idle = idle;
    b.busy = busy;
    int rc = bench_end_open(&b.e, o, 1);
    if (!rc) rc = hold_rounds(&b, idle->size);
    bench_end_close(&b.e);
    return rc;
}

static void print_row(struct rows *p, const struct bench_options *o, struct bench_result *i,
                      struct bench_result *b, enum bench_state idle_s, enum bench_state s) {
    struct row row = {.fields = 0};
    struct bench_values *idle = &i->values[idle_s], *busy = &b->values[s];
    row_text(&row, "bench", "BENCH", o->name);
    row_text(&row, "adapter", "ADAPTER", o->adapter);
    row_whole(&row, "size_B", "SIZE B", i->size);
    row_whole(&row, "bulk_B", NULL, o->bulk);
    row_number(&row, "idle_median_us", "IDLE us", bench_values_part(idle, 0.5) * 1e6);
    row_number(&row, "idle_p99_us", "P99 us", bench_values_part(idle, 0.99) * 1e6);
    row_number(&row, "busy_median_us", "BUSY us", bench_values_part(busy, 0.5) * 1e6);
    row_number(&row, "busy_p99_us", "P99 us", bench_values_part(busy, 0.99) * 1e6);
    row_number(&row, "p99_ratio", "P99 RATIO", bench_values_part(busy, 0.99) / bench_values_part(idle, 0.99));
    row_number(&row, "bulk_GBps", "BULK GB/s", (double)o->bulk / 1e9 / bench_values_part(&b->sender[s], 0.5));
    row_whole(&row, "idle_count", "COUNT", i->count[idle_s]);
    row_whole(&row, "busy_count", "COUNT", b->count[s]);
    row_text(&row, "state", "STATE", bench_state_name(s));
    rows_add(p, &row);
}

/* A row for each state in which something was measured; or one of all, where the pair may have been in another state
 * while nothing moved. */
static void print_rows(struct rows *p, const struct bench_options *o, struct bench_result *idle,
                       struct bench_result *busy) {
    enum bench_state state[BENCH_STATES], idle_state[BENCH_STATES];
    size_t idles = bench_result_states(idle, o->filter, idle_state);
    size_t n = bench_result_states(busy, o->filter, state);
    bool all = o->filter == BENCH_ALL && idles;
    for (size_t i = 0; i < n; i++) print_row(p, o, idle, busy, all ? idle_state[0] : state[i], state[i]);
}

int bench_run_under_bulk(struct bench_options *o) {
    struct rows p;
    int rc = 0;
    rows_start(&p, o->format);
    for (size_t i = 0; i < o->sizes && !rc; i++) {
        struct bench_result idle = {.size = o->size[i]}, busy = {.size = o->size[i]};
        rc = bench_under_bulk_measure(o, &idle, &busy);
        if (!rc || rc == WEFT_E_INTR) print_rows(&p, o, &idle, &busy);
        bench_result_free(&idle);
        bench_result_free(&busy);
    }
    rows_end(&p);
    if (rc && rc != WEFT_E_INTR)
        fprintf(stderr, "weft: %s over %s failed: %s\n", o->name, o->adapter, weft_error_text(rc));
    return rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : rc != 0;
}
