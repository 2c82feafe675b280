/* Tests of the counters: sums over living and ended threads. */
#include "base/counter.h"

#include "base/test.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

WEFT_COUNTERS(one, {"one_first", "packets", "First."}, {"one_second", "bytes", "Second."})
WEFT_COUNTERS(two, {"two_first", "packets", "Of another table."})

#define THREADS 4
#define TIMES   10000

static void counters_register__gives_each_its_own_id(void **state) {
    assert_int_not_equal(one_counters[0].id, 0);
    assert_int_not_equal(one_counters[0].id, one_counters[1].id);
    assert_int_not_equal(one_counters[0].id, two_counters[0].id);
    assert_int_not_equal(one_counters[1].id, two_counters[0].id);
}

static void counter_add__counts_only_its_own(void **state) {
    uint64_t first = weft_counter_read(&one_counters[0]);
    weft_counter_add(&one_counters[1], 5);
    weft_counter_add(&one_counters[1], 6);
    assert_int_equal(weft_counter_read(&one_counters[1]), 11);
    assert_int_equal(weft_counter_read(&one_counters[0]), first);
    weft_counter_add(&(struct weft_counter){.name = "never registered"}, 9);
    assert_int_equal(weft_counter_read(&one_counters[0]), first);
}

static void *add_many(void *arg) {
    for (int i = 0; i < TIMES; i++) weft_counter_add(&two_counters[0], 1);
    return NULL;
}

static void counter_read__sums_over_threads_and_after_their_end(void **state) {
    pthread_t threads[THREADS];
    uint64_t last = 0;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, add_many, NULL);
        for (int i = 0; i < 1000; i++) {
            uint64_t now = weft_counter_read(&two_counters[0]); /* while they count */
            assert_true(now >= last);
            last = now;
        }
        for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
        assert_int_equal(weft_counter_read(&two_counters[0]), (round + 1) * THREADS * TIMES);
    }
}

static pthread_key_t late_key;

static void add_at_the_end(void *arg) { weft_counter_add(arg, 1); }

static void *set_late_key(void *arg) {
    pthread_setspecific(late_key, arg);
    weft_counter_add(arg, 1);
    return NULL;
}

/* A thread may still count while its other thread-specific data is torn down, in any order. */
static void counter_add__works_in_a_threads_last_moments(void **state) {
    pthread_t thread;
    uint64_t before = weft_counter_read(&one_counters[0]);
    pthread_key_create(&late_key, add_at_the_end);
    for (int i = 0; i < 100; i++) {
        pthread_create(&thread, NULL, set_late_key, &one_counters[0]);
        pthread_join(thread, NULL);
    }
    pthread_key_delete(late_key);
    assert_int_equal(weft_counter_read(&one_counters[0]), before + 200);
}

static void look(void *ctx, const struct weft_counter *c, uint64_t value) {
    if (strcmp(c->name, "one_second") == 0) *(bool *)ctx = value == weft_counter_read(&one_counters[1]);
}

static void counters_visit__shows_all(void **state) {
    bool found = false;
    weft_counters_visit(look, &found);
    assert_true(found);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_register__gives_each_its_own_id),
        cmocka_unit_test(counter_add__counts_only_its_own),
        cmocka_unit_test(counter_read__sums_over_threads_and_after_their_end),
        cmocka_unit_test(counter_add__works_in_a_threads_last_moments),
        cmocka_unit_test(counters_visit__shows_all),
    };
    return cmocka_run_group_tests_name("counter", tests, NULL, NULL);
}
