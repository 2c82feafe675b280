/* Tests of the range set, among them a long random run against a bitmap. */
#include "base/range.h"

#include "base/error.h"
#include "base/test.h"

#include <stdio.h>
#include <string.h>

/* The set as text: "1-3 5-9". */
static const char *text(const struct weft_ranges *r) {
    static char out[256];
    size_t n = 0;
    *out = '\0';
    for (size_t i = 0; i < r->count; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%llu-%llu", i ? " " : "",
                              (unsigned long long)r->at[i].start, (unsigned long long)r->at[i].end);
    return out;
}

static void fill(struct weft_ranges *r, size_t max) {
    weft_ranges_init(r, max);
    for (uint64_t s = 10; s <= 50; s += 20) assert_int_equal(weft_ranges_add(r, s, s + 10), WEFT_OK);
    assert_string_equal(text(r), "10-20 30-40 50-60");
}

static void ranges_add__merges_what_touches(void **state) {
    static const struct {
        uint64_t start, end;
        const char *expected;
    } cases[] = {
        {0, 5, "0-5 10-20 30-40 50-60"},
        {0, 10, "0-20 30-40 50-60"},
        {20, 30, "10-40 50-60"},
        {25, 26, "10-20 25-26 30-40 50-60"},
        {12, 18, "10-20 30-40 50-60"},
        {15, 55, "10-60"},
        {0, 100, "0-100"},
        {60, 61, "10-20 30-40 50-61"},
        {40, 50, "10-20 30-60"},
        {70, 80, "10-20 30-40 50-60 70-80"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weft_ranges r;
        fill(&r, 8);
        assert_int_equal(weft_ranges_add(&r, cases[i].start, cases[i].end), WEFT_OK);
        assert_string_equal(text(&r), cases[i].expected);
        weft_ranges_fini(&r);
    }
}

static void ranges_remove__cuts_and_splits(void **state) {
    static const struct {
        uint64_t start, end;
        const char *expected;
    } cases[] = {
        {0, 10, "10-20 30-40 50-60"},  {20, 30, "10-20 30-40 50-60"}, {13, 15, "10-13 15-20 30-40 50-60"},
        {10, 20, "30-40 50-60"},       {15, 55, "10-15 55-60"},       {0, 100, ""},
        {35, 45, "10-20 30-35 50-60"}, {25, 35, "10-20 35-40 50-60"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weft_ranges r;
        fill(&r, 8);
        assert_int_equal(weft_ranges_remove(&r, cases[i].start, cases[i].end), WEFT_OK);
        assert_string_equal(text(&r), cases[i].expected);
        weft_ranges_fini(&r);
    }
}

static void ranges_add__refuses_empty_and_backward(void **state) {
    struct weft_ranges r;
    weft_ranges_init(&r, 4);
    assert_int_equal(weft_ranges_add(&r, 5, 5), WEFT_E_INVAL);
    assert_int_equal(weft_ranges_add(&r, 5, 4), WEFT_E_INVAL);
    assert_int_equal(weft_ranges_remove(&r, 5, 5), WEFT_E_INVAL);
    assert_int_equal(r.count, 0);
    weft_ranges_fini(&r);
}

static void ranges_add__at_its_limit_still_merges(void **state) {
    struct weft_ranges r;
    fill(&r, 3);
    assert_int_equal(weft_ranges_add(&r, 70, 80), WEFT_E_LIMIT);
    assert_int_equal(weft_ranges_remove(&r, 12, 13), WEFT_E_LIMIT);
    assert_string_equal(text(&r), "10-20 30-40 50-60");
    assert_int_equal(weft_ranges_add(&r, 60, 65), WEFT_OK);
    weft_ranges_drop_lowest(&r);
    assert_int_equal(weft_ranges_add(&r, 70, 80), WEFT_OK);
    assert_string_equal(text(&r), "30-40 50-65 70-80");
    weft_ranges_fini(&r);
}

static void ranges_add__works_at_the_top(void **state) {
    struct weft_ranges r;
    weft_ranges_init(&r, 4);
    assert_int_equal(weft_ranges_add(&r, UINT64_MAX - 1, UINT64_MAX), WEFT_OK);
    assert_true(weft_ranges_contains(&r, UINT64_MAX - 1));
    assert_false(weft_ranges_contains(&r, UINT64_MAX));
    weft_ranges_drop_below(&r, UINT64_MAX);
    assert_int_equal(r.count, 0);
    weft_ranges_fini(&r);
}

static void ranges_drop_below__cuts(void **state) {
    struct weft_ranges r;
    fill(&r, 3);
    weft_ranges_drop_below(&r, 0);
    weft_ranges_drop_below(&r, 35);
    assert_string_equal(text(&r), "35-40 50-60");
    weft_ranges_drop_lowest(&r);
    weft_ranges_drop_lowest(&r);
    weft_ranges_drop_lowest(&r);
    assert_int_equal(r.count, 0);
    weft_ranges_fini(&r);
}

#define SPAN 200

static void check(const struct weft_ranges *r, const unsigned char *bits) {
    for (uint64_t n = 0; n < SPAN; n++) assert_int_equal(weft_ranges_contains(r, n), bits[n]);
    for (size_t i = 1; i < r->count; i++) assert_true(r->at[i - 1].end < r->at[i].start);
}

static void ranges_random__agrees_with_a_bitmap(void **state) {
    unsigned char bits[SPAN + 1] = {0};
    struct weft_ranges r;
    uint64_t seed = 1;
    weft_ranges_init(&r, SPAN);
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        uint64_t start = (seed >> 33) % (SPAN - 20), end = start + 1 + (seed >> 50) % 20;
        bool adds = seed >> 63;
        assert_int_equal((adds ? weft_ranges_add : weft_ranges_remove)(&r, start, end), WEFT_OK);
        memset(bits + start, adds, end - start);
        if (i % 10 == 0) check(&r, bits);
    }
    weft_ranges_fini(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_add__merges_what_touches),
        cmocka_unit_test(ranges_remove__cuts_and_splits),
        cmocka_unit_test(ranges_add__refuses_empty_and_backward),
        cmocka_unit_test(ranges_add__at_its_limit_still_merges),
        cmocka_unit_test(ranges_add__works_at_the_top),
        cmocka_unit_test(ranges_drop_below__cuts),
        cmocka_unit_test(ranges_random__agrees_with_a_bitmap),
    };
    return cmocka_run_group_tests_name("range", tests, NULL, NULL);
}
