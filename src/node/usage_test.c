/* Tests of usage: what a process counts, told and read; and blobs that do not hold. */
#include "node/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/counter.h"
#include "base/error.h"

WEFT_COUNTERS(usage_test, {"test_apples", "apples", "Apples.", 0}, {"test_pears", "pears", "Pears.", 0})

static struct node_usage got[2];
static unsigned got_count;

static void keep(void *ctx, const struct node_usage *u) {
    assert_true(got_count < 2);
    got[got_count++] = *u;
}

static struct weft_writer two_processes(void) {
    struct weft_writer w;
    weft_counter_add(&usage_test_counters[0], 7);
    weft_writer_init_heap(&w, 64);
    node_usage_put(&w, &(struct node_usage_who){
                           .kind = NODE_EXECUTOR, .process = 3, .pid = (uint32_t)getpid(), .client = {5, 9}});
    node_usage_put(&w, &(struct node_usage_who){.kind = NODE_TOOL, .process = 4, .pid = 0x7fffffff});
    got_count = 0;
    return w;
}

static void node_usage_read__gives_what_was_put(void **state) {
    struct weft_writer w = two_processes();
    assert_int_equal(node_usage_read(w.data, w.len, keep, NULL), WEFT_OK);
    assert_int_equal(got_count, 2);
    assert_int_equal(got[0].who.kind, NODE_EXECUTOR);
    assert_int_equal(got[0].who.process, 3);
    assert_int_equal(got[0].who.pid, getpid());
    assert_int_equal(got[0].who.client.node, 5);
    assert_int_equal(got[0].who.client.process, 9);
    assert_true(got[0].up_ms > 0);
    assert_non_null(strstr(got[0].program, "usage"));
    assert_int_equal(node_usage_value(&got[0], "test_apples"), weft_counter_read(&usage_test_counters[0]));
    assert_int_equal(node_usage_value(&got[0], "test_pears"), 0);
    assert_int_equal(got[1].who.kind, NODE_TOOL);
    assert_int_equal(got[1].up_ms, 0); /* no such process */
    assert_int_equal(got[1].counters, 0);
    weft_writer_fini(&w);
}

static void node_usage_read__refuses_what_does_not_hold(void **state) {
    struct weft_writer w = two_processes();
    for (size_t bytes = 1; bytes < w.len; bytes++) {
        uint8_t *copy = malloc(bytes); /* for the sanitizer: not a byte more */
        memcpy(copy, w.data, bytes);
        got_count = 0;
        int rc = node_usage_read(copy, bytes, keep, NULL);
        assert_int_equal(rc, got_count == 1 && rc == WEFT_OK ? WEFT_OK : WEFT_E_PROTO);
        free(copy);
    }
    uint8_t kind = w.data[0];
    w.data[0] = NODE_DAEMON + 1;
    assert_int_equal(node_usage_read(w.data, w.len, keep, NULL), WEFT_E_PROTO);
    w.data[0] = kind;
    weft_writer_fini(&w);
}

static void node_usage_read__makes_texts_printable(void **state) {
    struct weft_writer w;
    weft_writer_init_heap(&w, 64);
    weft_put_u8(&w, NODE_PROGRAM);
    for (int i = 0; i < 4; i++) weft_put_u32(&w, 1);
    weft_put_u64(&w, 1);
    weft_put_string(&w, "a\033[2Jb\n");
    weft_put_u16(&w, 1);
    weft_put_string(&w, "c\x9b");
    weft_put_u64(&w, 2);
    got_count = 0;
    assert_int_equal(node_usage_read(w.data, w.len, keep, NULL), WEFT_OK);
    assert_string_equal(got[0].program, "a?[2Jb?");
    assert_int_equal(node_usage_value(&got[0], "c?"), 2);
    weft_writer_fini(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_usage_read__gives_what_was_put),
        cmocka_unit_test(node_usage_read__refuses_what_does_not_hold),
        cmocka_unit_test(node_usage_read__makes_texts_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
