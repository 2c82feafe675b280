/* Tests of the placement of objects: against exhaustive search on random small cases, and on published
 * findings. */
#include "base/error.h"
#include "model/predict/predict.h"
#include "model/predict/predict_test.h"

#include <pthread.h>

#define GB    1e9
#define SMALL 9
#define KINDS 3

/* -- Exhaustive search -- */

static double least_cost(const struct weft_object_ask *a) {
    int kind_of[SMALL] = {0};
    double least = INFINITY;
    for (;;) {
        int o = 0;
        least = fmin(least, weft_object_cost(a, kind_of));
        while (o < a->objects && ++kind_of[o] == a->kinds) kind_of[o++] = 0;
        if (o == a->objects) return least;
    }
}

struct random_case {
    struct weft_placed_object object[SMALL];
    struct weft_memory_kind kind[KINDS];
    struct weft_object_ask ask;
};

/* Fast and small, middling, slow and large; reads and writes at different rates; a write limit on one. */
static void make_case(struct random_case *c, uint64_t *seed) {
    int objects = 2 + test_random_below(seed, SMALL - 1), kinds = 2 + test_random_below(seed, KINDS - 1);
    double size_B = 0, written_B = 0;
    for (int o = 0; o < objects; o++) {
        struct weft_placed_object *x = &c->object[o];
        x->size_B = GB * (0.1 + 4 * test_random(seed));
        x->read_B = x->size_B * 20 * pow(test_random(seed), 2);
        x->write_B = x->size_B * 20 * pow(test_random(seed), 3);
        x->chased = test_random(seed) < 0.5 ? 0 : 1e7 * test_random(seed);
        size_B += x->size_B;
        written_B += x->write_B;
    }
    for (int k = 0; k < kinds; k++) {
        double slower = pow(3, k);
        c->kind[k] = (struct weft_memory_kind){
            .capacity_B = k == kinds - 1 ? 2 * size_B : size_B * (0.15 + 0.5 * test_random(seed)),
            .read_Bps = 100 * GB / slower * test_random_near_one(seed, 0.3),
            .write_Bps = 80 * GB / (slower * slower) * test_random_near_one(seed, 0.3),
            .latency_s = 1e-7 * slower,
            .write_limit_B = k == kinds - 1 && test_random(seed) < 0.3 ? written_B * 0.8 : 0};
    }
    c->ask = (struct weft_object_ask){c->object, objects, c->kind, kinds};
}

static void place_objects__is_within_5_percent_of_the_best(void **state) {
    uint64_t seed = 40;
    int best = 0, impossible = 0;
    for (int i = 0; i < 100; i++) {
        struct random_case c;
        struct weft_object_placement p;
        int kind_of[SMALL];
        make_case(&c, &seed);
        double least = least_cost(&c.ask);
        int rc = weft_place_objects(&c.ask, 0, kind_of, &p);
        assert_int_equal(rc, isinf(least) ? WEFT_E_LIMIT : WEFT_OK);
        impossible += isinf(least);
        if (rc) continue;
        assert_near(p.seconds, weft_object_cost(&c.ask, kind_of));
        assert_true(p.bound_s <= least * (1 + 1e-6));
        if (p.seconds > least * 1.05) fail_msg("case %d: %g, the best is %g", i, p.seconds, least);
        best += p.seconds <= least * (1 + 1e-9);
    }
    assert_true(impossible <= 5);
    printf("%d of 100 are the best there is, %d are not possible\n", best, impossible);
}

/* -- Findings -- */

/* Of two objects used alike only one fits the fast memory: the one that is written goes there, since the slow
 * one's write bandwidth would be the bottleneck (the finding of the KNL's placement scheme). */
static void place_objects__write_intensive_goes_to_the_fast_memory(void **state) {
    const struct weft_memory_kind kind[] = {{16 * GB, 300 * GB, 170 * GB, 1.5e-7, 0},
                                            {96 * GB, 80 * GB, 40 * GB, 1.3e-7, 0}};
    const struct weft_placed_object object[] = {{10 * GB, 200 * GB, 0, 0}, {10 * GB, 0, 200 * GB, 0}};
    const struct weft_object_ask a = {object, 2, kind, 2};
    struct weft_object_placement p;
    int kind_of[2];
    assert_int_equal(weft_place_objects(&a, 0, kind_of, &p), WEFT_OK);
    assert_int_equal(kind_of[0], 1);
    assert_int_equal(kind_of[1], 0);
    assert_near(p.seconds, 2.5);
}

/* Memories work at once: with room for all in the fast one, a part in the slow one is still sooner. */
static void place_objects__uses_both_bandwidths(void **state) {
    const struct weft_memory_kind kind[] = {{100 * GB, 100 * GB, 100 * GB, 1e-7, 0},
                                            {100 * GB, 50 * GB, 50 * GB, 1e-7, 0}};
    struct weft_placed_object object[30];
    const struct weft_object_ask a = {object, 30, kind, 2};
    struct weft_object_placement p;
    int kind_of[30];
    for (int i = 0; i < 30; i++) object[i] = (struct weft_placed_object){GB, 10 * GB, 0, 0};
    assert_int_equal(weft_place_objects(&a, 0, kind_of, &p), WEFT_OK);
    assert_near(p.seconds, 2); /* 20 of them at 100 GB/s, 10 at 50 GB/s */
}

/* What is written all the time must not wear out the NVM, although time alone would put it there. */
static void place_objects__endurance_keeps_writes_away(void **state) {
    struct weft_memory_kind kind[] = {{10 * GB, 20 * GB, 20 * GB, 1e-7, 0},
                                      {100 * GB, 20 * GB, 20 * GB, 1e-7, 0}};
    const struct weft_placed_object object[] = {{10 * GB, 60 * GB, 0, 1e7}, {10 * GB, 0, 50 * GB, 0}};
    const struct weft_object_ask a = {object, 2, kind, 2};
    struct weft_object_placement p;
    int kind_of[2];
    kind[1].write_limit_B = GB;
    assert_int_equal(weft_place_objects(&a, 0, kind_of, &p), WEFT_OK);
    assert_int_equal(kind_of[1], 0);
    kind[0].capacity_B = GB;
    assert_int_equal(weft_place_objects(&a, 0, kind_of, &p), WEFT_E_LIMIT);
}

static void place_objects__takes_hundreds(void **state) {
    static struct weft_placed_object object[400];
    static int kind_of[400];
    const struct weft_memory_kind kind[] = {{100 * GB, 300 * GB, 170 * GB, 1.5e-7, 0},
                                            {300 * GB, 80 * GB, 40 * GB, 1e-7, 0},
                                            {3000 * GB, 6 * GB, 2 * GB, 3e-7, 0}};
    const struct weft_object_ask a = {object, 400, kind, 3};
    struct weft_object_placement p;
    uint64_t seed = 9;
    for (int i = 0; i < 400; i++)
        object[i] = (struct weft_placed_object){
            GB * (0.1 + 4 * test_random(&seed)), 20 * GB * pow(test_random(&seed), 4),
            10 * GB * pow(test_random(&seed), 4), 1e6 * test_random(&seed)};
    assert_int_equal(weft_place_objects(&a, 1, kind_of, &p), WEFT_OK);
    assert_true(p.seconds <= p.bound_s * 1.01);
    printf("400 objects: %.4g s, no placement is better than %.4g s\n", p.seconds, p.bound_s);
}

/* GLPK has an environment a thread. */
static void *place_often(void *arg) {
    uint64_t seed = *(uint64_t *)arg;
    for (int i = 0; i < 10; i++) {
        struct random_case c;
        struct weft_object_placement p;
        int kind_of[SMALL];
        make_case(&c, &seed);
        int rc = weft_place_objects(&c.ask, 0, kind_of, &p);
        if (rc != WEFT_E_LIMIT && (rc || p.seconds > least_cost(&c.ask) * 1.05)) return arg;
    }
    return NULL;
}

static void place_objects__threads_may_ask_at_once(void **state) {
    pthread_t thread[4];
    uint64_t seed[4] = {1, 2, 3, 4};
    void *bad;
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&thread[i], NULL, place_often, &seed[i]), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(thread[i], &bad), 0);
        assert_null(bad);
    }
}

static void place_objects__refuses_what_makes_no_sense(void **state) {
    const struct weft_memory_kind good = {GB, GB, GB, 1e-7, 0}, stuck = {GB, GB, 0, 1e-7, 0};
    const struct weft_placed_object object = {2 * GB, 0, 0, 0}, minus = {-1, 0, 0, 0};
    struct weft_object_placement p;
    int kind_of[1];
    assert_int_equal(weft_place_objects(&(struct weft_object_ask){&object, 1, &good, 1}, 0, kind_of, &p),
                     WEFT_E_LIMIT);
    assert_int_equal(weft_place_objects(&(struct weft_object_ask){&object, 1, &stuck, 1}, 0, kind_of, &p),
                     WEFT_E_INVAL);
    assert_int_equal(weft_place_objects(&(struct weft_object_ask){&minus, 1, &good, 1}, 0, kind_of, &p),
                     WEFT_E_INVAL);
    assert_int_equal(weft_place_objects(&(struct weft_object_ask){&object, 0, &good, 1}, 0, kind_of, &p),
                     WEFT_E_INVAL);
    assert_int_equal(weft_place_objects(&(struct weft_object_ask){&object, 1, &good, 99}, 0, kind_of, &p),
                     WEFT_E_TOO_BIG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(place_objects__is_within_5_percent_of_the_best),
        cmocka_unit_test(place_objects__write_intensive_goes_to_the_fast_memory),
        cmocka_unit_test(place_objects__uses_both_bandwidths),
        cmocka_unit_test(place_objects__endurance_keeps_writes_away),
        cmocka_unit_test(place_objects__takes_hundreds),
        cmocka_unit_test(place_objects__threads_may_ask_at_once),
        cmocka_unit_test(place_objects__refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
