/* Tests of LogGP: by hand, and that a fit finds the numbers again. */
#include "base/error.h"
#include "model/predict/predict.h"
#include "model/predict/predict_test.h"

static const struct weft_logp eager_then_rendezvous = {.pieces = 2,
                                                       .piece = {{.from_B = 0,
                                                                  .latency_s = 1e-6,
                                                                  .overhead_send_s = 2e-7,
                                                                  .overhead_receive_s = 3e-7,
                                                                  .gap_s = 4e-7,
                                                                  .gap_per_byte_s = 1e-9},
                                                                 {.from_B = 4096,
                                                                  .latency_s = 5e-6,
                                                                  .overhead_send_s = 2e-7,
                                                                  .overhead_receive_s = 3e-7,
                                                                  .gap_s = 4e-7,
                                                                  .gap_per_byte_s = 1e-10}}};

static void logp_transfer__is_overheads_latency_and_bytes(void **state) {
    const struct weft_logp *p = &eager_then_rendezvous;
    assert_near(weft_logp_transfer_s(p, 0), 1.5e-6);
    assert_near(weft_logp_transfer_s(p, 1), 1.5e-6);
    assert_near(weft_logp_transfer_s(p, 1001), 2.5e-6);
    assert_near(weft_logp_transfer_s(p, 4095), 1.5e-6 + 4094e-9);
    assert_near(weft_logp_transfer_s(p, 4096), 5.5e-6 + 4095e-10);
}

static void logp_stream__is_bound_by_gap_or_bytes(void **state) {
    const struct weft_logp *p = &eager_then_rendezvous;
    assert_near(weft_logp_stream_s(p, 1, 11), 1.5e-6 + 10 * 4e-7);
    assert_near(weft_logp_stream_s(p, 1e6, 3), weft_logp_transfer_s(p, 1e6) + 2e-4);
    assert_near(weft_logp_stream_s(p, 1e6, 0), 0);
    assert_near(weft_logp_rate_Bps(p, 1e6), 1e10);
    assert_near(weft_logp_rate_Bps(p, 100), 100 / 4e-7);
}

static void logp_crossover__is_where_the_other_is_sooner_from_then_on(void **state) {
    const struct weft_logp copy = {.pieces = 1, .piece = {{.latency_s = 1e-6, .gap_per_byte_s = 1e-9}}};
    const struct weft_logp pull = {.pieces = 1, .piece = {{.latency_s = 3e-6, .gap_per_byte_s = 5e-10}}};
    assert_within(weft_logp_crossover_B(&copy, &pull, 0, 1e6), 4001, 2.0 / 4001);
    assert_near(weft_logp_crossover_B(&pull, &copy, 0, 1e6), 1e6);
    assert_near(weft_logp_crossover_B(&copy, &pull, 0, 100), 100);
    assert_near(weft_logp_crossover_B(&copy, &pull, 8000, 1e6), 8000);
    /* Sooner early, later in the middle, sooner at the end: the end counts. */
    const struct weft_logp jumps = {.pieces = 2,
                                    .piece = {{.latency_s = 5e-7, .gap_per_byte_s = 1e-9},
                                              {.from_B = 100, .latency_s = 5e-6, .gap_per_byte_s = 1e-10}}};
    double at = weft_logp_crossover_B(&copy, &jumps, 0, 1e6);
    assert_within(at, 4e-6 / 9e-10, 1e-3);
    /* A jump is a crossing as well. */
    const struct weft_logp drops = {.pieces = 2,
                                    .piece = {{.latency_s = 9e-6}, {.from_B = 100, .latency_s = 5e-7}}};
    assert_near(weft_logp_crossover_B(&copy, &drops, 0, 1e6), 100);
}

/* Two ranges with noise of 3 %: the sizes held out are predicted within it, but for those at the jump. */
static void logp_fit__predicts_sizes_held_out(void **state) {
    double bytes[64], seconds[64];
    struct weft_logp p;
    struct weft_fit_error fitted, held_out;
    uint64_t seed = 3;
    for (int i = 0; i < 64; i++) {
        bytes[i] = floor(8 * pow(1e7 / 8, i / 63.0));
        seconds[i] =
            weft_logp_transfer_s(&eager_then_rendezvous, bytes[i]) * test_random_near_one(&seed, 0.03);
    }
    assert_int_equal(weft_logp_fit(bytes, seconds, 64, 4, 2, 2e-7, 3e-7, &p, &fitted, &held_out), WEFT_OK);
    assert_true(held_out.points >= 30 && held_out.median < 0.03);
    assert_int_equal(p.pieces, 2);
    assert_within(p.piece[0].latency_s, 1e-6, 0.05);
    assert_within(p.piece[0].gap_per_byte_s, 1e-9, 0.05);
    assert_within(p.piece[1].latency_s, 5e-6, 0.05);
    assert_within(p.piece[1].gap_per_byte_s, 1e-10, 0.05);
}

static void logp_fit__refuses_what_makes_no_sense(void **state) {
    const double bytes[] = {1, 2, 3}, seconds[] = {1, 0, 1};
    struct weft_logp p;
    assert_int_equal(weft_logp_fit(bytes, seconds, 3, 2, 0, 0, 0, &p, NULL, NULL), WEFT_E_INVAL);
    assert_int_equal(weft_logp_fit(bytes, bytes, 3, 2, 0, -1, 0, &p, NULL, NULL), WEFT_E_INVAL);
    assert_int_equal(weft_logp_fit(bytes, bytes, 3, 99, 0, 0, 0, &p, NULL, NULL), WEFT_E_TOO_BIG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logp_transfer__is_overheads_latency_and_bytes),
        cmocka_unit_test(logp_stream__is_bound_by_gap_or_bytes),
        cmocka_unit_test(logp_crossover__is_where_the_other_is_sooner_from_then_on),
        cmocka_unit_test(logp_fit__predicts_sizes_held_out),
        cmocka_unit_test(logp_fit__refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
