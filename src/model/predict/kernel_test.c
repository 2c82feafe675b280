/* Tests of kernels' times and of the decision to offload. */
#include "base/error.h"
#include "model/predict/predict.h"
#include "model/predict/predict_test.h"

#include <string.h>

static const struct weft_logp link = {.pieces = 1, .piece = {{.latency_s = 1e-5, .gap_per_byte_s = 1e-9}}};
static const struct weft_device_rates cpu = {.launch_s = 1e-6, .flops_per_s = 1e10, .Bps = 1e10};
static const struct weft_device_rates gpu = {
    .launch_s = 1e-5, .flops_per_s = 1e12, .Bps = 1e11, .to = &link, .from = &link};

static struct weft_forecast predict(const struct weft_kernel_history *h, double size,
                                    struct weft_kernel_work w, const struct weft_device_rates *d) {
    struct weft_forecast f;
    assert_int_equal(weft_kernel_predict(h, size, &w, d, &f), WEFT_OK);
    return f;
}

static void roofline__is_bound_by_work_or_memory(void **state) {
    assert_near(weft_roofline_s(&(struct weft_kernel_work){.flops = 1e12, .bytes = 1e9}, &gpu), 1 + 1e-5);
    assert_near(weft_roofline_s(&(struct weft_kernel_work){.flops = 1e9, .bytes = 1e12}, &gpu), 10 + 1e-5);
    assert_near(weft_roofline_s(&(struct weft_kernel_work){0}, &gpu), 1e-5);
}

static void kernel_predict__without_history_is_the_roofline_and_transfers(void **state) {
    struct weft_kernel_work w = {.flops = 1e12, .in_B = 1e9 + 1, .out_B = 1e6 + 1};
    struct weft_forecast f = predict(NULL, 1, w, &gpu);
    assert_int_equal(f.source, WEFT_FROM_ROOFLINE);
    assert_near(f.in_s, 1 + 1e-5);
    assert_near(f.kernel_s, 1 + 1e-5);
    assert_near(f.out_s, 1e-3 + 1e-5);
    assert_near(f.seconds, f.in_s + f.kernel_s + f.out_s);
    w.in_B = w.out_B = 0;
    assert_near(predict(NULL, 1, w, &gpu).seconds, 1 + 1e-5);
}

static struct weft_kernel_work cubic(double n) {
    return (struct weft_kernel_work){.flops = n * n * n, .bytes = n * n};
}

/* What a run takes whose work takes so many times as long as the roofline says. */
static double run_s(double factor, const struct weft_kernel_work *w, const struct weft_device_rates *d) {
    return d->launch_s + factor * (weft_roofline_s(w, d) - d->launch_s);
}

/* What ran before is what it took; between and beyond, the roofline as wrong as the nearest ones found it. */
static void kernel_predict__believes_history_first(void **state) {
    struct weft_kernel_history h = {0};
    for (double n = 1000; n <= 4000; n *= 4) {
        struct weft_kernel_work w = cubic(n);
        assert_int_equal(weft_kernel_note(&h, n, run_s(n < 2000 ? 2 : 8, &w, &cpu), &w, &cpu), WEFT_OK);
    }
    struct weft_forecast f = predict(&h, 1000, cubic(1000), &cpu);
    assert_int_equal(f.source, WEFT_FROM_HISTORY);
    struct weft_kernel_work w = cubic(1000), between = cubic(2000), beyond = cubic(8000), below = cubic(100);
    assert_near(f.seconds, run_s(2, &w, &cpu));
    f = predict(&h, 2000, between, &cpu);
    assert_int_equal(f.source, WEFT_FROM_NEAR_SIZE);
    assert_near(f.seconds, run_s(4, &between, &cpu));
    assert_near(predict(&h, 8000, beyond, &cpu).seconds, run_s(8, &beyond, &cpu));
    assert_near(predict(&h, 100, below, &cpu).seconds, run_s(2, &below, &cpu));
}

/* A launch of 40 us before work of 10, 160 and 2,560 us: with the launch in the factor, twice the size was a
 * third off. */
static void kernel_predict__the_launch_does_not_grow(void **state) {
    const struct weft_device_rates slow = {.launch_s = 4e-5, .flops_per_s = 1e10, .Bps = 1e10};
    struct weft_kernel_history h = {0};
    for (double n = 512; n <= 2048; n *= 4) {
        struct weft_kernel_work w = {.flops = n * n};
        assert_int_equal(weft_kernel_note(&h, n, 4e-5 + n * n * 1e-9, &w, &slow), WEFT_OK);
    }
    assert_near(predict(&h, 1024, (struct weft_kernel_work){.flops = 1024.0 * 1024}, &slow).seconds,
                4e-5 + 1024.0 * 1024 * 1e-9);
    /* Over sooner than a launch takes: more is not known than that there was some work. */
    struct weft_kernel_work w = {.flops = 100};
    assert_int_equal(weft_kernel_note(&h, 1, 3e-5, &w, &slow), WEFT_OK);
    assert_true(predict(&h, 1, w, &slow).seconds < 4.5e-5);
}

/* Three work-groups on two units take as long as four; thirty-three on two as long as thirty-four. */
static void kernel_predict__waits_for_the_last_wave(void **state) {
    const struct weft_device_rates two = {.flops_per_s = 1e9, .Bps = 1e9, .units = 2};
    const double groups[] = {0, 1, 2, 3, 4, 33}, wanted[] = {1, 2, 1, 4.0 / 3, 1, 34.0 / 33};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct weft_kernel_work w = {.flops = 1e9, .groups = groups[i]};
        assert_near(predict(NULL, 1, w, &two).seconds, wanted[i]);
    }
}

/* What fits in a cache is as fast as the cache, in between as the logarithms say, beyond as memory. */
static void kernel_predict__the_bandwidth_is_that_of_the_level(void **state) {
    const struct weft_device_rates d = {
        .flops_per_s = 1e9, .Bps = 7, .levels = 2, .level = {{1e4, 1e10}, {1e6, 1e8}}};
    const double bytes[] = {1e3, 1e4, 1e5, 1e6, 1e8}, Bps[] = {1e10, 1e10, 1e9, 1e8, 1e8};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
        assert_near(predict(NULL, 1, (struct weft_kernel_work){.bytes = bytes[i]}, &d).seconds,
                    bytes[i] / Bps[i]);
}

/* One slow run does not overturn many; a machine that has become slower is followed. */
static void kernel_note__follows_a_drift(void **state) {
    struct weft_kernel_history h = {0};
    const struct weft_kernel_work w = cubic(1000);
    double roof_s = weft_roofline_s(&w, &cpu);
    for (int i = 0; i < 50; i++) weft_kernel_note(&h, 1000, roof_s, &w, &cpu);
    weft_kernel_note(&h, 1000, 10 * roof_s, &w, &cpu);
    assert_true(predict(&h, 1000, w, &cpu).seconds < 2.5 * roof_s);
    for (int i = 0; i < 50; i++) weft_kernel_note(&h, 1000, 3 * roof_s, &w, &cpu);
    assert_within(predict(&h, 1000, w, &cpu).seconds, 3 * roof_s, 0.01);
    assert_int_equal(h.n, 1);
}

/* More sizes than it keeps: they stay sorted, and known ends stay known. */
static void kernel_note__keeps_a_bounded_history(void **state) {
    struct weft_kernel_history h = {0};
    uint64_t seed = 5;
    for (int i = 0; i < 1000; i++) {
        double n = pow(10, 1 + 5 * test_random(&seed));
        const struct weft_kernel_work w = cubic(n);
        assert_int_equal(weft_kernel_note(&h, n, run_s(2, &w, &cpu), &w, &cpu), WEFT_OK);
        for (unsigned k = 1; k < h.n; k++) assert_true(h.seen[k].size > h.seen[k - 1].size);
    }
    assert_int_equal(h.n, WEFT_KERNEL_HISTORY_MAX);
    const struct weft_kernel_work w = cubic(12345);
    assert_near(predict(&h, 12345, w, &cpu).seconds, run_s(2, &w, &cpu));
    /* Of which nothing is known but how long it took. */
    const struct weft_kernel_work nothing = {0};
    assert_int_equal(weft_kernel_note(&h, 9, 3e-6, &nothing, &cpu), WEFT_OK);
    assert_near(predict(&h, 9, nothing, &cpu).seconds, 3e-6);
    assert_int_equal(weft_kernel_note(&h, 0, 1, &w, &cpu), WEFT_E_INVAL);
    assert_int_equal(weft_kernel_note(&h, 1, -1, &w, &cpu), WEFT_E_INVAL);
}

/* A matrix product is worth the way, a vector sum is not; the reason has both times. */
static void offload__says_why(void **state) {
    char reason[256];
    struct weft_kernel_work product = {.flops = 2e12, .bytes = 1e8, .in_B = 8e7, .out_B = 4e7};
    struct weft_kernel_work sum = {.flops = 1e8, .bytes = 1.2e9, .in_B = 8e8, .out_B = 4e8};
    struct weft_forecast here = predict(NULL, 1, product, &cpu), there = predict(NULL, 1, product, &gpu);
    assert_true(weft_offload("n0.cpu", &here, "n1.gpu", &there, reason, sizeof reason));
    assert_string_equal(reason,
                        "worth it: 2.12 s on n1.gpu, 120 ms of it for transfers, against 200 s on n0.cpu: 94 "
                        "times as fast");
    here = predict(NULL, 1, sum, &cpu), there = predict(NULL, 1, sum, &gpu);
    assert_false(weft_offload("n0.cpu", &here, "n1.gpu", &there, reason, sizeof reason));
    assert_string_equal(
        reason, "not worth it: 1.21 s on n1.gpu against 120 ms on n0.cpu; the kernel alone would be sooner "
                "(12 ms), but moving its data takes 1.2 s");
    assert_false(weft_offload("a", &there, "b", &there, reason, 8));
    assert_string_equal(reason, "not wor");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roofline__is_bound_by_work_or_memory),
        cmocka_unit_test(kernel_predict__without_history_is_the_roofline_and_transfers),
        cmocka_unit_test(kernel_predict__believes_history_first),
        cmocka_unit_test(kernel_predict__the_launch_does_not_grow),
        cmocka_unit_test(kernel_predict__waits_for_the_last_wave),
        cmocka_unit_test(kernel_predict__the_bandwidth_is_that_of_the_level),
        cmocka_unit_test(kernel_note__follows_a_drift),
        cmocka_unit_test(kernel_note__keeps_a_bounded_history),
        cmocka_unit_test(offload__says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
