/* Frames over a socket pair: whole, in pieces, too long, and to a side that does not read. */
#include "node/stream.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define FRAME_MAX 65536u

static struct node_stream a, b;

static int setup(void **state) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return -1;
    node_stream_init(&a, fds[0], FRAME_MAX, 1 << 20);
    node_stream_init(&b, fds[1], FRAME_MAX, 1 << 20);
    return 0;
}
static int teardown(void **state) {
    node_stream_fini(&a);
    node_stream_fini(&b);
    return 0;
}

static void next__frames_arrive_whole_and_in_order(void **state) {
    static uint8_t body[40000];
    struct node_frame f;
    for (uint32_t i = 0; i < 3; i++) {
        struct weft_writer w;
        memset(body, (int)i + 1, sizeof body);
        weft_writer_init(&w, body, sizeof body);
        w.len = i * 20000;
        assert_int_equal(node_stream_put(&a, (uint8_t)(i + 1), i + 100, &w), WEFT_OK);
    }
    for (uint32_t i = 0; i < 3; i++) {
        int got;
        while ((got = node_stream_next(&b, &f)) == 0) {
            node_stream_flush(&a);
            assert_int_equal(node_stream_fill(&b), WEFT_OK);
        }
        assert_int_equal(got, 1);
        assert_int_equal(f.type, i + 1);
        assert_int_equal(f.request, i + 100);
        assert_int_equal(weft_reader_left(&f.body), i * 20000);
        const uint8_t *p = weft_get_bytes(&f.body, i * 20000);
        for (size_t k = 0; k < i * 20000; k++) assert_int_equal(p[k], i + 1);
    }
    assert_int_equal(node_stream_next(&b, &f), 0);
    assert_int_equal(node_stream_fill(&b), WEFT_E_AGAIN);
}

static void next__a_byte_at_a_time(void **state) {
    const uint8_t frame[] = {7, 0, 0, 0, 9, 1, 0, 0, 0, 'h', 'i'};
    struct node_frame f;
    for (size_t i = 0; i < sizeof frame; i++) {
        assert_int_equal(node_stream_next(&b, &f), 0);
        assert_int_equal(send(a.fd, &frame[i], 1, 0), 1);
        assert_int_equal(node_stream_fill(&b), WEFT_OK);
    }
    assert_int_equal(node_stream_next(&b, &f), 1);
    assert_int_equal(f.type, 9);
    assert_memory_equal(weft_get_bytes(&f.body, 2), "hi", 2);
}

static void next__bad_lengths(void **state) {
    const uint8_t lengths[][4] = {{0, 0, 0, 0}, {4, 0, 0, 0}, {1, 0, 1, 0}, {0xff, 0xff, 0xff, 0xff}};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct node_frame f;
        b.in_pos = b.in_len = 0;
        assert_int_equal(send(a.fd, lengths[i], 4, 0), 4);
        assert_int_equal(node_stream_fill(&b), WEFT_OK);
        assert_int_equal(node_stream_next(&b, &f), WEFT_E_PROTO);
        assert_true(b.in_cap < 2 * FRAME_MAX);
    }
}

static void put__to_a_side_that_does_not_read(void **state) {
    static uint8_t body[60000];
    struct weft_writer w;
    weft_writer_init(&w, body, sizeof body);
    w.len = sizeof body;
    int rc = WEFT_OK;
    for (int i = 0; i < 1000 && rc == WEFT_OK; i++) {
        rc = node_stream_put(&a, 1, 1, &w);
        node_stream_flush(&a);
    }
    assert_int_equal(rc, WEFT_E_LIMIT);
    assert_int_equal(node_stream_flush(&a), WEFT_E_AGAIN);
    assert_int_equal(node_stream_flush_wait(&a, 1), WEFT_E_TIMEDOUT);
}

static void fill__the_other_side_is_gone(void **state) {
    close(a.fd);
    a.fd = -1;
    assert_int_equal(node_stream_fill(&b), WEFT_E_CLOSED);
    assert_int_equal(node_stream_put(&b, 1, 1, NULL), WEFT_OK);
    assert_int_equal(node_stream_flush(&b), WEFT_E_CLOSED);
    assert_int_equal(node_stream_fill(&a), WEFT_E_CLOSED);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(next__frames_arrive_whole_and_in_order), T(next__a_byte_at_a_time),       T(next__bad_lengths),
        T(put__to_a_side_that_does_not_read),      T(fill__the_other_side_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
