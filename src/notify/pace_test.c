/* Pace, in virtual time. */
#include "base/test.h"
#include "notify/pace.h"

#include <stdbool.h>

#define WAKE 15000

/* Arrivals `gap` apart, and what a waiter does: how many of the last hundred it spun for. */
static unsigned spun(struct weft_pace *p, uint64_t *now, uint32_t *count, uint64_t gap, unsigned arrivals,
                     bool sender_runs) {
    unsigned n = 0;
    for (unsigned i = 0; i < arrivals; i++) {
        uint64_t spin = pace_spin_ns(p, WAKE);
        enum pace_end how = !spin ? PACE_SLEPT : spin >= gap && sender_runs ? PACE_SPUN : PACE_SPUN_IN_VAIN;
        *now += gap + (how == PACE_SPUN_IN_VAIN ? spin : 0);
        (*count)++;
        pace_note(p, how, *count, *now);
        if (arrivals - i <= 100) n += spin != 0;
    }
    return n;
}

static void pace__spins_if_arrivals_come_sooner_than_a_wake_up(void **state) {
    static const struct {
        uint64_t gap;
        unsigned spun;
    } when[] = {{1000, 100}, {10000, 100}, {11000, 100}, {20000, 0}, {100000, 0}, {1000000, 0}};
    for (size_t i = 0; i < sizeof when / sizeof *when; i++) {
        struct weft_pace p = {0};
        uint64_t now = 1;
        uint32_t count = 0;
        assert_int_equal(spun(&p, &now, &count, when[i].gap, 300, true), when[i].spun);
    }
}

static void pace__does_not_know_at_first(void **state) {
    struct weft_pace p = {0};
    assert_int_equal(pace_spin_ns(&p, WAKE), 0);
    pace_note(&p, PACE_SLEPT, 1, 1000);
    assert_int_equal(pace_spin_ns(&p, WAKE), 0);
    pace_note(&p, PACE_SLEPT, 2, 2000);
    assert_int_equal(pace_spin_ns(&p, WAKE), 2 * WAKE);
}

/* Between 12 and 18.75 us it depends on where the rate comes from. */
static void pace__keeps_what_it_does_near_the_limit(void **state) {
    struct weft_pace p = {0};
    uint64_t now = 1;
    uint32_t count = 0;
    spun(&p, &now, &count, 5000, 200, true);
    assert_int_equal(spun(&p, &now, &count, 16000, 200, true), 100);
    assert_int_equal(spun(&p, &now, &count, 25000, 200, true), 0);
    assert_int_equal(spun(&p, &now, &count, 16000, 200, true), 0);
    assert_int_equal(spun(&p, &now, &count, 13000, 200, true), 0);
    assert_int_equal(spun(&p, &now, &count, 5000, 200, true), 100);
}

/* Many at a time count as many. */
static void pace__counts_what_came_at_once(void **state) {
    struct weft_pace p = {0};
    for (uint32_t i = 1; i < 50; i++) pace_note(&p, PACE_SLEPT, i * 100, i * 100000ull);
    assert_int_equal(p.gap_ns, 1000);
    struct weft_pace wraps = {.count = UINT32_MAX, .last_ns = 1000};
    pace_note(&wraps, PACE_SLEPT, 9, 11000);
    assert_int_equal(wraps.gap_ns, 1000);
}

/* Where the sender cannot run meanwhile, less than one wait in a thousand is a spin in the end; and it is
 * found out when it can run again. */
static void pace__gives_up_where_spinning_never_helps(void **state) {
    struct weft_pace p = {0};
    uint64_t now = 1;
    uint32_t count = 0;
    unsigned tries = 0;
    for (int i = 0; i < 1000; i++) tries += spun(&p, &now, &count, 3000, 100, false);
    assert_in_range(tries, PACE_FAILURES, 20);
    unsigned waits = 0;
    while (waits < 200000 && spun(&p, &now, &count, 3000, 1, true) == 0) waits++;
    assert_true(waits < PACE_REST << PACE_RESTS_MAX);
    assert_int_equal(spun(&p, &now, &count, 3000, 100, true), 100);
}

static void pace__a_long_pause_is_one_gap(void **state) {
    struct weft_pace p = {0};
    uint64_t now = 1;
    uint32_t count = 0;
    spun(&p, &now, &count, 1000, 100, true);
    now += 3600ull * 1000000000;
    spun(&p, &now, &count, 1000, 1, true);
    assert_true(p.gap_ns <= PACE_GAP_MAX / 8);
    assert_int_equal(spun(&p, &now, &count, 1000, 400, true), 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pace__spins_if_arrivals_come_sooner_than_a_wake_up),
                                       cmocka_unit_test(pace__does_not_know_at_first),
                                       cmocka_unit_test(pace__keeps_what_it_does_near_the_limit),
                                       cmocka_unit_test(pace__counts_what_came_at_once),
                                       cmocka_unit_test(pace__gives_up_where_spinning_never_helps),
                                       cmocka_unit_test(pace__a_long_pause_is_one_gap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
