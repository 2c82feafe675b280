/* The endpoint over a network that loses, doubles, reorders and damages packets. The argument names the
 * network. */
#include "base/counter.h"
#include "base/test.h"
#include "transport/ep_fixture.h"

#include <stdlib.h>
#include <string.h>

static const struct network {
    const char *name, *sim;
    size_t bulk_bytes;
} networks[] = {
    {"one-percent", "seed=1,loss=0.01,duplicate=0.01,reorder=0.01,corrupt=0.01,delay_us=20", 4 << 20},
    {"ten-percent", "seed=2,loss=0.1,duplicate=0.05,reorder=0.1,corrupt=0.02,delay_us=50", 1 << 20},
    {"a-third", "seed=3,loss=0.33,duplicate=0.1,reorder=0.1,truncate=0.02,delay_us=20", 256 << 10},
    {"refusing", "seed=4,refuse=0.5,duplicate=0.1,jitter_us=100,tags=2,method2=0", 1 << 20},
    {"narrow", "seed=5,rate_MBps=50,queue_bytes=30000,delay_us=100", 1 << 20},
};
static const struct network *network = &networks[0];

static void visit(void *ctx, const struct weft_counter *c, uint64_t value) {
    static const char *const of_faults[] = {"sim_packets_lost", "sim_packets_doubled", "sim_packets_damaged",
                                            "sim_packets_refused"};
    for (size_t i = 0; i < sizeof of_faults / sizeof *of_faults; i++)
        if (!strcmp(c->name, of_faults[i])) *(uint64_t *)ctx += value;
}

static void traffic__arrives_once_and_whole(void **state) {
    enum { SMALL = 2000, BULK = 4 };
    struct fx a, b;
    size_t len = network->bulk_bytes;
    uint64_t faults = 0;
    uint8_t *data = malloc(len);
    fx_fill(data, len, 6);
    fx_open(&b, "sim", true);
    fx_open(&a, "sim", false);
    fx_connect(&a, &b);
    for (int i = 0; i < BULK; i++) {
        fx_send(&a, a.peer, H_BULK, 1, (uint64_t)i, 6, data, len);
        for (int k = 0; k < SMALL / BULK; k++)
            fx_send(&a, a.peer, H_COUNT, 0, (uint64_t)(i * (SMALL / BULK) + k), 0, NULL, 0);
    }
    fx_await(&a, &a.sent, BULK);
    fx_await(&b, &b.received, SMALL + BULK);
    fx_await(&b, &b.bulk_done, BULK);
    weft_counters_visit(visit, &faults);
    print_message("%lu packets lost, doubled, damaged or refused\n", (unsigned long)faults);
    assert_true(faults > 20);
    assert_int_equal(b.received, SMALL + BULK);
    assert_int_equal(b.bad_data, 0);
    assert_int_equal(b.disorder, 0);
    assert_int_equal(a.downs + b.downs, 0);
    fx_close(&a);
    fx_close(&b);
    free(data);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(traffic__arrives_once_and_whole)};
    for (size_t i = 0; argc > 1 && i < sizeof networks / sizeof *networks; i++)
        if (!strcmp(argv[1], networks[i].name)) network = &networks[i];
    setenv("WEFT_SIM", network->sim, true);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
