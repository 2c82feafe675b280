/* memory: what a connected process costs that nobody talks to: the heap with many of them less the heap with
 * one, after each has had messages and then rested. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/end.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>

#define REST_NS    (2 * WEFT_NS_PER_S) /* what a transfer needed has gone back by then */
#define TRIP_BYTES 300000

static double heap_bytes(void) {
    struct mallinfo2 m = mallinfo2();
    return (double)m.uordblks + (double)m.hblkhd;
}

static bool is_over(void *arg) { return weft_now_ns() >= *(const uint64_t *)arg; }

static int heap_with(const struct bench_options *o, uint32_t others, double *bytes) {
    static struct bench_end e;
    uint64_t ns;
    int rc = bench_end_open(&e, o, others);
    if (!rc) rc = bench_end_setup(&e, TRIP_BYTES, 2, false);
    for (uint32_t i = 0; i < others && !rc; i++) {
        bench_end_turn_to(&e, i);
        rc = bench_end_trips(&e, 1, &ns);
    }
    uint64_t until = weft_now_ns() + REST_NS;
    if (!rc) rc = bench_end_wait(&e, is_over, &until);
    *bytes = heap_bytes();
    bench_end_close(&e);
    return rc;
}

int bench_memory_measure(const struct bench_options *o, uint32_t peers, double *bytes) {
    double one = 0, many = 0;
    int rc = heap_with(o, 1, &one);
    if (!rc) rc = heap_with(o, 1 + peers, &many);
    *bytes = one > 0 ? (many - one) / peers : NAN; /* a sanitizer's malloc does not tell */
    return rc;
}

int bench_run_memory(struct bench_options *o) {
    struct rows p;
    int rc = 0;
    rows_start(&p, o->format);
    for (size_t i = 0; i < o->connecteds && !rc; i++) {
        struct row row = {.fields = 0};
        double bytes;
        rc = bench_memory_measure(o, (uint32_t)o->connected[i], &bytes);
        if (rc) break;
        row_text(&row, "bench", "BENCH", o->name);
        row_text(&row, "adapter", "ADAPTER", o->adapter);
        row_whole(&row, "peers", "PEERS", o->connected[i]);
        row_number(&row, "heap_B_per_peer", "HEAP B A PEER", bytes);
        row_text(&row, "security", "SECURITY", o->security ? o->security : "auto");
        rows_add(&p, &row);
    }
    rows_end(&p);
    if (rc && rc != WEFT_E_INTR)
        fprintf(stderr, "weft: %s over %s failed: %s\n", o->name, o->adapter, weft_error_text(rc));
    return rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : rc != 0;
}
