/* Tests of replacement and arbitration: by hand, against a plain implementation, and that the bound is one.
 */
#include "base/error.h"
#include "model/predict/predict.h"
#include "model/predict/predict_test.h"

#include <string.h>

static uint64_t misses(enum weft_replacement policy, const struct weft_reference *t, size_t n,
                       size_t capacity) {
    struct weft_replacement_result r;
    assert_int_equal(weft_replay(policy, t, n, capacity, &r), WEFT_OK);
    assert_int_equal(r.hits + r.misses, n);
    return r.misses;
}

/* The textbook's trace, three frames: first in first out 15 faults, LRU 12, optimal 9. */
static void replay__textbook_trace(void **state) {
    static const int page[] = {7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1};
    struct weft_reference t[20];
    for (int i = 0; i < 20; i++) t[i] = (struct weft_reference){(uint32_t)page[i], page[i] == 0};
    assert_int_equal(misses(WEFT_REPLACE_FCFS, t, 20, 3), 15);
    assert_int_equal(misses(WEFT_REPLACE_LRU, t, 20, 3), 12);
    assert_int_equal(misses(WEFT_REPLACE_OPTIMAL, t, 20, 3), 9);
    /* Page 0 stays once it is there: 1 fault for it, LRU over two frames for the others (9). */
    assert_int_equal(misses(WEFT_REPLACE_PRIORITY, t, 20, 3), 1 + 9);
    assert_int_equal(misses(WEFT_REPLACE_LRU, t, 20, 100), 6);
}

/* LRU by a list that is searched. */
static uint64_t plain_lru(const struct weft_reference *t, size_t n, size_t capacity) {
    uint32_t list[64];
    size_t held = 0;
    uint64_t faults = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        while (at < held && list[at] != t[i].object) at++;
        if (at == held) {
            faults++;
            if (held < capacity) held++;
            at = held - 1;
        }
        memmove(list + 1, list, at * sizeof *list);
        list[0] = t[i].object;
    }
    return faults;
}

/* The fewest faults by trying every eviction, for short traces. */
static uint64_t fewest(const struct weft_reference *t, size_t n, size_t capacity, unsigned held) {
    if (!n) return 0;
    unsigned own = 1u << t->object;
    if (held & own) return fewest(t + 1, n - 1, capacity, held);
    if ((size_t)__builtin_popcount(held) < capacity) return 1 + fewest(t + 1, n - 1, capacity, held | own);
    uint64_t least = UINT64_MAX;
    for (unsigned bit = 1; bit <= held; bit <<= 1) {
        if (!(held & bit)) continue;
        uint64_t faults = 1 + fewest(t + 1, n - 1, capacity, (held & ~bit) | own);
        if (faults < least) least = faults;
    }
    return least;
}

static void replay__random_traces_agree_with_plain_ones(void **state) {
    static struct weft_reference t[2000];
    uint64_t seed = 17;
    for (int round = 0; round < 100; round++) {
        size_t capacity = 1 + (size_t)test_random_below(&seed, 20);
        for (int i = 0; i < 2000; i++)
            t[i] = (struct weft_reference){(uint32_t)(40 * pow(test_random(&seed), 2)),
                                           test_random_below(&seed, 3)};
        uint64_t optimal = misses(WEFT_REPLACE_OPTIMAL, t, 2000, capacity);
        assert_int_equal(misses(WEFT_REPLACE_LRU, t, 2000, capacity), plain_lru(t, 2000, capacity));
        for (int p = 0; p < WEFT_REPLACEMENTS; p++) assert_true(misses(p, t, 2000, capacity) >= optimal);
        for (int i = 0; i < 14; i++) t[i].object = (uint32_t)test_random_below(&seed, 6);
        assert_int_equal(misses(WEFT_REPLACE_OPTIMAL, t, 14, 3), fewest(t, 14, 3, 0));
    }
}

static void replay__refuses_what_makes_no_sense(void **state) {
    const struct weft_reference far = {WEFT_TRACE_OBJECTS_MAX, 0}, near = {0, 0};
    struct weft_replacement_result r;
    assert_int_equal(weft_replay(WEFT_REPLACE_LRU, &near, 1, 0, &r), WEFT_E_INVAL);
    assert_int_equal(weft_replay(WEFT_REPLACEMENTS, &near, 1, 1, &r), WEFT_E_INVAL);
    assert_int_equal(weft_replay(WEFT_REPLACE_LRU, &far, 1, 1, &r), WEFT_E_TOO_BIG);
    assert_int_equal(weft_replay(WEFT_REPLACE_LRU, NULL, 0, 1, &r), WEFT_OK);
    assert_string_equal(weft_replacement_name(WEFT_REPLACE_OPTIMAL), "optimal");
}

/* While the first is served (10 s) come: a long one, a short one, an urgent one, and one of a source that
 * waits long. */
static const struct weft_request queue[] = {
    {0, 10, 0, 0}, {1, 8, 0, 0}, {2, 1, 0, 0}, {3, 4, 0, 9}, {4, 4, 1, 0}};

static struct weft_arbitration_result serve(enum weft_arbitration p) {
    struct weft_arbitration_result r;
    assert_int_equal(weft_arbitrate(p, queue, 5, &r), WEFT_OK);
    assert_near(r.end_s, 27);
    return r;
}

static void arbitrate__serves_in_the_policys_order(void **state) {
    /* order: 0 1 2 3 4, 0 4 1 2 3, 0 3 1 2 4, 0 2 3 4 1 */
    assert_near(serve(WEFT_ARBITRATE_FCFS).mean_wait_s, (0 + 9 + 16 + 16 + 19) / 5.0);
    assert_near(serve(WEFT_ARBITRATE_LRU).mean_wait_s, (0 + 6 + 13 + 20 + 20) / 5.0);
    assert_near(serve(WEFT_ARBITRATE_PRIORITY).mean_wait_s, (0 + 7 + 13 + 20 + 19) / 5.0);
    struct weft_arbitration_result r = serve(WEFT_ARBITRATE_SHORTEST);
    assert_near(r.mean_wait_s, (0 + 8 + 8 + 11 + 18) / 5.0);
    assert_near(r.max_wait_s, 18);
    assert_near(r.p95_wait_s, 18);
}

/* A closed form: random arrivals, fixed service (M/D/1) at 70 %: the mean wait is rho / (2 (1 - rho))
 * services. And the order changes who waits, not how long the server works. */
static void arbitrate__meets_the_closed_form(void **state) {
    enum { N = 50000 };
    static struct weft_request t[N];
    struct weft_arbitration_result r;
    uint64_t seed = 23;
    double now_s = 0;
    for (int i = 0; i < N; i++) {
        now_s -= log(1 - test_random(&seed)) / 0.7;
        t[i] = (struct weft_request){now_s, 1, test_random_below(&seed, 4), test_random_below(&seed, 4)};
    }
    assert_int_equal(weft_arbitrate(WEFT_ARBITRATE_FCFS, t, N, &r), WEFT_OK);
    assert_within(r.mean_wait_s, 0.7 / (2 * 0.3), 0.05);
    double end_s = r.end_s, max_wait_s = r.max_wait_s, mean_wait_s = r.mean_wait_s;
    assert_int_equal(weft_arbitrate(WEFT_ARBITRATE_PRIORITY, t, N, &r), WEFT_OK);
    assert_within(r.end_s, end_s, 1e-9);
    assert_within(r.mean_wait_s, mean_wait_s, 1e-6); /* equal services: the mean is kept */
    assert_true(r.max_wait_s > max_wait_s);
}

static void arbitrate__refuses_what_makes_no_sense(void **state) {
    const struct weft_request late[] = {{2, 1, 0, 0}, {1, 1, 0, 0}}, minus[] = {{0, -1, 0, 0}},
                              nobody[] = {{0, 1, -1, 0}};
    struct weft_arbitration_result r;
    assert_int_equal(weft_arbitrate(WEFT_ARBITRATE_FCFS, late, 2, &r), WEFT_E_INVAL);
    assert_int_equal(weft_arbitrate(WEFT_ARBITRATE_FCFS, minus, 1, &r), WEFT_E_INVAL);
    assert_int_equal(weft_arbitrate(WEFT_ARBITRATE_FCFS, nobody, 1, &r), WEFT_E_INVAL);
    assert_int_equal(weft_arbitrate(WEFT_ARBITRATE_FCFS, late, 0, &r), WEFT_E_INVAL);
    assert_string_equal(weft_arbitration_name(WEFT_ARBITRATE_SHORTEST), "shortest");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replay__textbook_trace),
        cmocka_unit_test(replay__random_traces_agree_with_plain_ones),
        cmocka_unit_test(replay__refuses_what_makes_no_sense),
        cmocka_unit_test(arbitrate__serves_in_the_policys_order),
        cmocka_unit_test(arbitrate__meets_the_closed_form),
        cmocka_unit_test(arbitrate__refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
