/* When an answer is looked for rather than slept for. */
#include "base/test.h"
#include "scif/service/look.h"

#define QUICK_NS 40000 /* an answer that comes in time */

static uint64_t now = 1000000000;

static struct look with_room(void) {
    struct look l = {0};
    look_know(&l, 1, 2, now);
    return l;
}

/* Whether it is looked for; in time, or never. */
static bool expect(struct look *l, bool comes) {
    look_begin(l, now);
    bool looks = look_goes_on(l, now);
    for (uint64_t end = now + (comes ? QUICK_NS : LOOK_NS); now < end; now += 1000)
        (void)look_goes_on(l, now);
    if (!comes) assert_false(look_goes_on(l, now));
    look_end(l);
    return looks;
}

/* Of n answers; which of them come in time, looks random. */
static unsigned looks_of(struct look *l, unsigned n, unsigned of_ten_in_time) {
    unsigned looks = 0, random = 1;
    for (unsigned i = 0; i < n; i++) {
        random = random * 1103515245 + 12345;
        looks += expect(l, random / 65536 % 10 < of_ten_in_time);
    }
    return looks;
}

static void look__ends_with_the_answer(void **state) {
    struct look l = with_room();
    assert_false(look_goes_on(&l, now)); /* nothing is expected */
    look_begin(&l, now);
    assert_true(look_goes_on(&l, now + QUICK_NS));
    look_end(&l);
    assert_false(look_goes_on(&l, now + QUICK_NS));
}

static void look__ends_by_time(void **state) {
    struct look l = with_room();
    look_begin(&l, now);
    for (uint64_t at = 0; at < LOOK_NS; at += 10000) assert_true(look_goes_on(&l, now + at));
    assert_false(look_goes_on(&l, now + LOOK_NS));
    assert_false(look_goes_on(&l, now));
}

/* In vain, as the processor was another's meanwhile. */
static void look__ends_when_the_processor_was_lost(void **state) {
    struct look l = with_room();
    l.until_ns = now + 10 * LOOK_LOST_NS;
    l.looked_ns = now;
    assert_false(look_goes_on(&l, now + LOOK_LOST_NS));
    assert_int_equal(l.rest, 8);
}

static void look__in_vain_is_not_tried_soon(void **state) {
    struct look l = with_room();
    assert_true(expect(&l, false));
    for (int i = 0; i < 8; i++) assert_false(expect(&l, true));
    assert_true(expect(&l, false));
    for (int i = 0; i < 24; i++) assert_false(expect(&l, true));
    assert_true(expect(&l, true));
}

static void look__as_often_as_it_pays(void **state) {
    struct look always = with_room(), mostly = with_room(), half = with_room(), never = with_room();
    assert_int_equal(looks_of(&always, 10000, 10), 10000);
    assert_true(looks_of(&mostly, 10000, 9) > 3000);
    assert_true(looks_of(&half, 10000, 5) < 200);
    assert_true(looks_of(&never, 10000, 0) < 30);
}

/* It comes to be worth it again. */
static void look__goes_on_when_answers_come_again(void **state) {
    struct look l = with_room();
    looks_of(&l, 100000, 0);
    looks_of(&l, 100000, 10);
    assert_int_equal(looks_of(&l, 1000, 10), 1000);
}

static void look__not_where_others_wait_for_a_processor(void **state) {
    struct look l = {0};
    assert_true(look_asks(&l, now));
    for (unsigned i = 0; i < LOOK_CROWDED; i++) {
        assert_true(expect(&l, true)); /* it may be by chance */
        look_know(&l, 3, 2, now);
        assert_false(look_asks(&l, now + LOOK_ROOM_NS - 1));
        assert_true(look_asks(&l, now + LOOK_ROOM_NS));
    }
    for (unsigned i = 0; i < 10; i++) {
        assert_false(expect(&l, true));
        look_know(&l, 3, 2, now);
    }
    assert_int_equal(l.penalty, 0); /* it was not in vain */
    look_know(&l, 2, 2, now);
    assert_true(expect(&l, true));
    look_know(&l, 0, 2, now); /* the system does not say */
    assert_true(expect(&l, true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(look__ends_with_the_answer),
        cmocka_unit_test(look__ends_by_time),
        cmocka_unit_test(look__ends_when_the_processor_was_lost),
        cmocka_unit_test(look__in_vain_is_not_tried_soon),
        cmocka_unit_test(look__as_often_as_it_pays),
        cmocka_unit_test(look__goes_on_when_answers_come_again),
        cmocka_unit_test(look__not_where_others_wait_for_a_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
