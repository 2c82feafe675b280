/* Tests of the memory forms: by hand, and that the curve fitted in tier form is the same form. */
#include "base/error.h"
#include "model/predict/predict.h"
#include "model/predict/predict_test.h"

static const struct weft_memory nvm = {
    .op = {[WEFT_MEMORY_READ] =
               {.latency_s = 1e-7, .buffers = 2, .buffer = {{16384, 2e-7}, {16777216, 1e-7}}, .Bps = 6e9},
           [WEFT_MEMORY_WRITE] = {.latency_s = 6e-8, .Bps = 2e9}},
    .granule_B = 256,
    .capacity_B = 128e9,
    .endurance_writes = 1e6,
    .queue_B = 4096,
    .accept_Bps = 4e9,
};
static const struct weft_memory dram = {.op = {[WEFT_MEMORY_READ] = {.latency_s = 8e-8, .Bps = 2e10},
                                               [WEFT_MEMORY_WRITE] = {.latency_s = 8e-8, .Bps = 2e10}},
                                        .capacity_B = 64e9};

static void memory_latency__rises_with_what_misses(void **state) {
    assert_near(weft_memory_latency_s(&nvm, WEFT_MEMORY_READ, 4096), 1e-7);
    assert_near(weft_memory_latency_s(&nvm, WEFT_MEMORY_READ, 32768), 2e-7);
    assert_within(weft_memory_latency_s(&nvm, WEFT_MEMORY_READ, 1e15), 4e-7, 1e-6);
    assert_near(weft_memory_latency_s(&nvm, WEFT_MEMORY_WRITE, 1e9), 6e-8);
    const struct weft_curve same = {
        .form = WEFT_MODEL_TIER, .parameters = 5, .parameter = {1e-7, 16384, 2e-7, 16777216, 1e-7}};
    for (double x = 1024; x < 1e9; x *= 3)
        assert_near(weft_memory_latency_s(&nvm, WEFT_MEMORY_READ, x), weft_curve_at(&same, x));
}

static void memory_stream__reads_and_writes_differ(void **state) {
    assert_near(weft_memory_stream_s(&nvm, 6e9, 0, 0), 1);
    assert_near(weft_memory_stream_s(&nvm, 0, 6e9, 0), 3);
    assert_near(weft_memory_stream_s(&nvm, 0, 2e9, 64), 4); /* a quarter of a granule each */
    assert_near(weft_memory_stream_s(&nvm, 0, 2e9, 384), 1 * 512.0 / 384);
    assert_near(weft_memory_stream_s(&dram, 0, 2e10, 64), 1);
}

/* 4 GB/s go in, 2 GB/s drain: 4096 bytes of queue last for 8192. Then the writer is as slow as the memory. */
static void memory_burst__is_fast_until_the_queue_is_full(void **state) {
    assert_near(weft_memory_burst_s(&nvm, 4000), 4000 / 4e9);
    assert_near(weft_memory_burst_s(&nvm, 8192), 8192 / 4e9);
    assert_near(weft_memory_burst_s(&nvm, 8192 + 2000), 8192 / 4e9 + 1e-6);
    assert_near(weft_memory_burst_s(&dram, 2e10), 1);
}

static void memory_write__waits_as_load_grows(void **state) {
    double service_s = 256 / 2e9;
    assert_near(weft_memory_write_s(&nvm, 256, 0), service_s);
    assert_near(weft_memory_write_s(&nvm, 256, 1e9), service_s * 1.5);
    assert_near(weft_memory_write_s(&nvm, 64, 2.5e8), service_s * 1.5); /* 4 times as much is written */
    assert_true(isinf(weft_memory_write_s(&nvm, 256, 2e9)));
    assert_near(weft_memory_write_s(&nvm, 0, 0), service_s);
}

static void memory_life__ends_sooner_with_small_pieces(void **state) {
    assert_near(weft_memory_life_s(&nvm, 1e9, 256), 128e15 / 1e9);
    assert_near(weft_memory_life_s(&nvm, 1e9, 64), 128e15 / 4e9);
    assert_true(isinf(weft_memory_life_s(&dram, 1e9, 64)));
    assert_true(isinf(weft_memory_life_s(&nvm, 0, 64)));
}

static void connection__misses_beyond_what_the_card_keeps(void **state) {
    assert_near(weft_connection_s(1e-6, 2e-6, 256, 100), 1e-6);
    assert_near(weft_connection_s(1e-6, 2e-6, 256, 512), 2e-6);
    /* The same form is fitted to measurements, and finds how many it keeps. */
    double x[40], y[40];
    struct weft_curve c;
    for (int i = 0; i < 40; i++) x[i] = pow(1.2, i + 5), y[i] = weft_connection_s(1e-6, 2e-6, 256, x[i]);
    assert_int_equal(
        weft_curve_fit(&(struct weft_curve_ask){.form = WEFT_MODEL_TIER, .hold_out = 2}, x, y, 40, &c),
        WEFT_OK);
    assert_within(c.parameter[1], 256, 0.01);
    assert_true(c.held_out.max < 0.01);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_latency__rises_with_what_misses),
        cmocka_unit_test(memory_stream__reads_and_writes_differ),
        cmocka_unit_test(memory_burst__is_fast_until_the_queue_is_full),
        cmocka_unit_test(memory_write__waits_as_load_grows),
        cmocka_unit_test(memory_life__ends_sooner_with_small_pieces),
        cmocka_unit_test(connection__misses_beyond_what_the_card_keeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
