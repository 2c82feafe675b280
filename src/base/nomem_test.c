/* Tests that base stays whole when memory is short: each allocation of each job is made to fail in turn,
 * until the job succeeds. */
#include "base/board.h"
#include "base/codec.h"
#include "base/config.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/map.h"
#include "base/option.h"
#include "base/range.h"
#include "base/ring.h"
#include "base/short_memory.h"
#include "base/test.h"
#include "base/trace.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

WEFT_COUNTERS(scarce, {"scarce", "calls", "Counted without memory."})

static void fail_each(bool (*job)(void)) { assert_in_range(short_memory_fail_each(job), 1, 10000); }

static bool write_message(void) {
    struct weft_writer w;
    size_t len = 0;
    weft_writer_init_heap(&w, 8);
    for (uint32_t i = 0; i < 100; i++) weft_put_u32(&w, i);
    uint8_t *data = weft_writer_take(&w, &len);
    assert_int_equal(data == NULL, w.failed);
    if (data) assert_int_equal(len, 400);
    if (data) assert_int_equal(data[396], 99);
    free(data);
    weft_writer_fini(&w);
    return data != NULL;
}

static bool read_string(void) {
    static const uint8_t message[] = {3, 0, 0, 0, 'a', 'b', 'c'};
    struct weft_reader r;
    weft_reader_init(&r, message, sizeof message);
    char *s = weft_get_string_dup(&r);
    assert_int_equal(s == NULL, r.failed);
    free(s);
    return s != NULL;
}

static bool fill_map(void) {
    static int values[100];
    struct weft_map m;
    bool all = true;
    weft_map_init(&m);
    for (uint64_t k = 0; k < 100; k++) {
        int rc = weft_map_put(&m, k, &values[k]);
        assert_true(rc == WEFT_OK || rc == WEFT_E_NOMEM);
        assert_ptr_equal(weft_map_get(&m, k), rc == WEFT_OK ? &values[k] : NULL);
        all = all && rc == WEFT_OK;
    }
    assert_ptr_equal(weft_map_get(&m, 99), &values[99]); /* one failure does not spoil the rest */
    weft_map_fini(&m);
    return all;
}

static bool fill_ranges(void) {
    struct weft_ranges r;
    bool all = true;
    weft_ranges_init(&r, 64);
    for (uint64_t n = 0; n < 64; n++) {
        int rc = weft_ranges_add(&r, 2 * n, 2 * n + 1);
        assert_true(rc == WEFT_OK || rc == WEFT_E_NOMEM);
        assert_int_equal(weft_ranges_contains(&r, 2 * n), rc == WEFT_OK);
        all = all && rc == WEFT_OK;
    }
    weft_ranges_fini(&r);
    return all;
}

static bool make_ring(void) {
    struct weft_ring r;
    int rc = weft_ring_init(&r, 4, 4);
    assert_int_equal(weft_ring_push(&r) == NULL, rc == WEFT_E_NOMEM);
    weft_ring_fini(&r);
    return rc == WEFT_OK;
}

static bool parse_config(void) {
    static const char text[] = "a = 1\nb = 2\nc = 3\n";
    struct weft_config c;
    weft_config_init(&c);
    int rc = weft_config_parse(&c, text, strlen(text), NULL, NULL);
    for (size_t i = 0; i < c.count; i++) assert_non_null(c.lines[i].value);
    weft_config_fini(&c);
    return rc == WEFT_OK;
}

/* A new table each time, with one value from the environment: what is read is that value or the default,
 * never junk. */
static bool read_options(void) {
    static struct weft_option options[64][2];
    static struct weft_option_table tables[64];
    static char names[64][2][16];
    static int n;
    for (int i = 0; i < 2; i++) {
        strcpy(names[n][i], i ? "nomem_b_xx" : "nomem_a_xx");
        names[n][i][8] = (char)('a' + n / 26);
        names[n][i][9] = (char)('a' + n % 26);
        options[n][i] = (struct weft_option){.name = names[n][i], .type = WEFT_OPTION_INT, .value = "7"};
    }
    char variable[] = "WEFT_NOMEM_A_xx";
    variable[13] = (char)('A' + n / 26);
    variable[14] = (char)('A' + n % 26);
    int was = short_memory_fail_in(0);
    setenv(variable, "8", 1);
    short_memory_fail_in(was);
    tables[n] = (struct weft_option_table){.module = "nomem", .options = options[n], .count = 2};
    weft_options_register(&tables[n]);
    int64_t a = weft_option_int(names[n][0]), b = weft_option_int(names[n][1]);
    n++;
    assert_true(a == 8 || a == 7);
    assert_int_equal(b, 7);
    return a == 8;
}

static void codec__writer(void **state) { fail_each(write_message); }
static void codec__reader(void **state) { fail_each(read_string); }
static void map__put(void **state) { fail_each(fill_map); }
static void ranges__add(void **state) { fail_each(fill_ranges); }
static void ring__init(void **state) { fail_each(make_ring); }
static void config__parse(void **state) { fail_each(parse_config); }
static void option__read(void **state) { fail_each(read_options); }

static void counter__counts_without_a_block(void **state) {
    short_memory_fail_in(1);
    weft_counter_add(&scarce_counters[0], 2);
    assert_int_equal(short_memory_fail_in(0), 0);
    weft_counter_add(&scarce_counters[0], 3);
    assert_int_equal(weft_counter_read(&scarce_counters[0]), 5);
}

static void trace__does_without_a_ring(void **state) {
    weft_option_bool("trace");
    short_memory_fail_in(1);
    weft_trace(WEFT_TRACE_NONE, 0, 0, 0, 0);
    assert_int_equal(short_memory_fail_in(0), 0);
}

/* The board gives its memory without an allocation: here there shall be none. */
static void do_without_board(void) {
    struct rlimit old, none;
    getrlimit(RLIMIT_FSIZE, &old);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
    assert_null(weft_board_alloc(WEFT_BOARD_OTHER, 64));
    setrlimit(RLIMIT_FSIZE, &old);
}

int main(void) {
    do_without_board();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codec__writer),
        cmocka_unit_test(codec__reader),
        cmocka_unit_test(map__put),
        cmocka_unit_test(ranges__add),
        cmocka_unit_test(ring__init),
        cmocka_unit_test(config__parse),
        cmocka_unit_test(option__read),
        cmocka_unit_test(counter__counts_without_a_block),
        cmocka_unit_test(trace__does_without_a_ring),
    };
    return cmocka_run_group_tests_name("nomem", tests, NULL, NULL);
}
