/* Whose turn it is: what the line of bulk transfers lets begin, in virtual time. */
#include "transport/turn.h"

#include "base/clock.h"
#include "base/test.h"

#include <stddef.h>

#define MB 1000000u
#define MS WEFT_NS_PER_MS

struct scene {
    struct turn_line line;
    struct turn a, b, c;
};

static void set(struct scene *s, uint64_t patience_ns) {
    turn_line_init(&s->line, patience_ns);
    turn_init(&s->a);
    turn_init(&s->b);
    turn_init(&s->c);
}

static void turn__first_come_first_served(void **unused) {
    struct scene s;
    set(&s, 1000 * MS);
    turn_join(&s.line, &s.a, 10 * MB, 1);
    assert_ptr_equal(turn_next(&s.line, 1), &s.a);
    assert_null(turn_next(&s.line, 1));
    assert_false(turn_any_waits(&s.line));
    turn_join(&s.line, &s.b, 10 * MB, 2);
    turn_join(&s.line, &s.c, 10 * MB, 3);
    assert_null(turn_next(&s.line, 10 * MS));
    assert_true(turn_any_waits(&s.line));
    turn_leave(&s.a);
    assert_ptr_equal(turn_next(&s.line, 11 * MS), &s.b);
    assert_null(turn_next(&s.line, 11 * MS));
    turn_leave(&s.b);
    assert_ptr_equal(turn_next(&s.line, 12 * MS), &s.c);
}

static void turn__who_gives_up_lets_the_next_one_in(void **unused) {
    struct scene s;
    set(&s, 1000 * MS);
    turn_join(&s.line, &s.a, 10 * MB, 1);
    turn_join(&s.line, &s.b, 10 * MB, 1);
    turn_join(&s.line, &s.c, 10 * MB, 1);
    assert_ptr_equal(turn_next(&s.line, 1), &s.a);
    turn_leave(&s.b);
    assert_null(turn_next(&s.line, 2));
    turn_leave(&s.a);
    assert_ptr_equal(turn_next(&s.line, 3), &s.c);
}

static void turn__far_smaller_ones_do_not_wait(void **unused) {
    struct scene s;
    set(&s, 1000 * MS);
    turn_join(&s.line, &s.a, 10 * MB, 1);
    assert_ptr_equal(turn_next(&s.line, 1), &s.a);
    turn_join(&s.line, &s.b, 1 * MB, 2);
    assert_ptr_equal(turn_next(&s.line, 2), &s.b);
    turn_leave(&s.b);
    s.a.left_bytes = 4 * MB; /* it is what is left that counts */
    turn_join(&s.line, &s.c, 1 * MB, 3);
    assert_null(turn_next(&s.line, 3));
}

static void turn__nobody_waits_longer_than_the_patience(void **unused) {
    struct scene s;
    set(&s, 100 * MS);
    turn_join(&s.line, &s.a, 10 * MB, 0);
    assert_ptr_equal(turn_next(&s.line, 0), &s.a);
    turn_join(&s.line, &s.b, 10 * MB, 10 * MS);
    assert_null(turn_next(&s.line, 110 * MS - 1));
    assert_ptr_equal(turn_next(&s.line, 110 * MS), &s.b);
}

/* 100 MB a second arrive of a, then 60. */
static void turn__slow_ones_let_the_next_in_beside_them(void **unused) {
    struct scene s;
    set(&s, 10000 * MS);
    turn_join(&s.line, &s.a, 100 * MB, 0);
    assert_ptr_equal(turn_next(&s.line, 0), &s.a);
    turn_join(&s.line, &s.b, 100 * MB, 0);
    turn_join(&s.line, &s.c, 100 * MB, 0);
    turn_arrived(&s.a, 2 * MB);
    assert_null(turn_next(&s.line, 20 * MS));
    turn_arrived(&s.a, 2 * MB);
    assert_null(turn_next(&s.line, 40 * MS));
    turn_arrived(&s.a, 6 * MB / 5);
    assert_null(turn_next(&s.line, 59 * MS)); /* too early to say */
    assert_ptr_equal(turn_next(&s.line, 60 * MS), &s.b);
    assert_null(turn_next(&s.line, 61 * MS)); /* b may be all that was missing */
}

static void turn__a_line_that_became_slower_is_believed_in_time(void **unused) {
    struct scene s;
    set(&s, 100000 * MS);
    turn_join(&s.line, &s.a, 1000 * MB, 0);
    assert_ptr_equal(turn_next(&s.line, 0), &s.a);
    turn_arrived(&s.a, 2 * MB);
    assert_null(turn_next(&s.line, 20 * MS));
    uint64_t now = 20 * MS;
    for (int i = 0; i < 20; i++) {
        turn_arrived(&s.a, 1 * MB);
        now += 20 * MS;
        turn_next(&s.line, now);
    }
    turn_join(&s.line, &s.b, 1000 * MB, now);
    turn_arrived(&s.a, 1 * MB);
    assert_null(turn_next(&s.line, now + 20 * MS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turn__first_come_first_served),
        cmocka_unit_test(turn__who_gives_up_lets_the_next_one_in),
        cmocka_unit_test(turn__far_smaller_ones_do_not_wait),
        cmocka_unit_test(turn__nobody_waits_longer_than_the_patience),
        cmocka_unit_test(turn__slow_ones_let_the_next_in_beside_them),
        cmocka_unit_test(turn__a_line_that_became_slower_is_believed_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
