/* Messages: eager ones, header handlers before and after the data, posted buffers, the three counters,
 * cancel. Over each adapter. */
#include "base/error.h"
#include "base/path.h"
#include "fabric/fab_pair.h"

#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = {0, 1, 100, 1500, 16384, 16385, 100000, FAB_BYTES};
#define SIZES (sizeof sizes / sizeof *sizes)

static void send_eager__arrives_in_order(void **state) {
    to->place = FAB_IN_PLACE;
    for (uint64_t i = 0; i < 64; i++)
        assert_int_equal(weft_send_eager(peer, H_RECORD, &i, sizeof i, data, 50), 0);
    fab_await(to, &to->completed, 64);
    for (uint64_t i = 0; i < 64; i++) assert_int_equal(to->order[i], i);
    assert_true(fab_holds(to->buf, 50, 7));
    assert_int_equal(to->data_bytes, 50);
    assert_int_equal(to->tag, WEFT_NO_TAG);
}

static void send_eager__up_to_its_limits(void **state) {
    uint8_t header[WEFT_HEADER_MAX];
    fab_fill(header, sizeof header, 3);
    assert_int_equal(weft_send_eager(peer, H_RECORD, header, sizeof header, data, WEFT_EAGER_MAX), 0);
    memset(header, 0, sizeof header); /* both were copied */
    fab_await(to, &to->completed, 1);
    assert_int_equal(to->header_bytes, WEFT_HEADER_MAX);
    assert_true(fab_holds(to->header, sizeof to->header, 3));
    assert_true(fab_holds(to->buf, WEFT_EAGER_MAX, 7));
}

static void zero_copy_send__into_the_handlers_buffer_with_three_counters(void **state) {
    struct weft_cntr *origin = fab_cntr(&a, 0), *completion = fab_cntr(&a, 0), *target = fab_cntr(to, 5);
    struct weft_notify n = fab_notify(origin, 5, completion);
    for (size_t i = 0; i < SIZES; i++) {
        memset(to->buf, 0, FAB_BYTES);
        assert_int_equal(
            weft_zero_copy_send(peer, H_RECORD, "head", 4, weft_buf_ptr(data, sizes[i]), WEFT_NO_TAG, &n), 0);
        assert_int_equal(fab_result(origin), 0);
        assert_int_equal(fab_result(completion), 0);
        assert_int_equal(fab_result(target), 0);
        assert_int_equal(to->completed, i + 1);
        assert_int_equal(to->complete_status, 0);
        assert_int_equal(to->data_bytes, sizes[i]);
        assert_memory_equal(to->header, "head", 4);
        assert_true(fab_holds(to->buf, sizes[i], 7));
        assert_false(to->posted);
        assert_false(to->had_data && sizes[i] > 65536);
    }
}

static void zero_copy_send__between_descriptors(void **state) {
    struct weft_cntr *completion = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, completion);
    struct weft_mem *source;
    assert_int_equal(weft_dma_setup(a.w, data, FAB_BYTES, WEFT_PIN_STATIC, &source), 0);
    assert_int_equal(weft_dma_setup(to->w, to->buf, FAB_BYTES, WEFT_PIN_DYNAMIC, &to->mem), 0);
    to->place = FAB_INTO_MEM;
    for (size_t i = 0; i < SIZES; i++) {
        memset(to->buf, 0, FAB_BYTES);
        assert_int_equal(
            weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_mem(source, 0, sizes[i]), WEFT_NO_TAG, &n),
            0);
        assert_int_equal(fab_result(completion), 0);
        fab_await(to, &to->completed, (int)i + 1);
        assert_true(fab_holds(to->buf, sizes[i], 7));
    }
    assert_int_equal(weft_dma_cleanup(source), 0);
    assert_int_equal(weft_dma_cleanup(to->mem), 0);
}

static void zero_copy_send__not_wanted(void **state) {
    struct weft_cntr *completion = fab_cntr(&a, 0), *origin = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(origin, 0, completion);
    to->place = FAB_NOWHERE;
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, FAB_BYTES), 0, &n), 0);
    assert_int_equal(fab_result(origin), 0);
    assert_int_equal(fab_result(completion), WEFT_E_CANCELED);
    assert_int_equal(to->complete_status, WEFT_E_CANCELED);
}

static void zero_copy_send__does_not_fit(void **state) {
    struct weft_cntr *completion = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, completion);
    to->place = FAB_TOO_SMALL;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, i ? 100 : FAB_BYTES), 0, &n), 0);
        assert_int_equal(fab_result(completion), WEFT_E_TOO_BIG);
        assert_int_equal(to->complete_status, WEFT_E_TOO_BIG);
    }
    assert_int_equal(weft_dma_setup(to->w, to->buf, 50, WEFT_PIN_DYNAMIC, &to->mem), 0);
    to->place = FAB_INTO_MEM;
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 51), 0, &n), 0);
    assert_int_equal(fab_result(completion), WEFT_E_TOO_BIG);
    assert_int_equal(weft_dma_cleanup(to->mem), 0); /* nothing holds it */
}

static void zero_copy_send__no_such_handler(void **state) {
    struct weft_cntr *completion = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, completion);
    assert_int_equal(weft_zero_copy_send(peer, 77, NULL, 0, weft_buf_ptr(data, FAB_BYTES), 0, &n), 0);
    assert_int_equal(fab_result(completion), WEFT_E_NOENT);
    assert_int_equal(weft_zero_copy_send(peer, 77, NULL, 0, weft_buf_ptr(data, 10), 0, &n), 0);
    assert_int_equal(fab_result(completion), WEFT_E_NOENT);
    assert_int_equal(weft_send_eager(peer, 77, NULL, 0, NULL, 0), 0);
    assert_int_equal(weft_send_eager(peer, H_RECORD, NULL, 0, NULL, 0), 0);
    fab_await(to, &to->messages, 1);
}

static void zero_copy_send__an_unknown_target_counter_does_no_harm(void **state) {
    struct weft_cntr *completion = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 12345, completion);
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 10), 0, &n), 0);
    assert_int_equal(fab_result(completion), 0);
}

/* -- posted buffers -- */

static void post_buffer__the_handler_runs_after_the_data(void **state) {
    struct weft_cntr *completion = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, completion);
    uint8_t *into = malloc(FAB_BYTES);
    for (size_t i = 0; i < SIZES; i++) {
        struct fab_end end = {0};
        struct weft_done done = fab_done(&end);
        memset(into, 0, FAB_BYTES);
        assert_int_equal(weft_post_buffer(to->w, NULL, 9, weft_buf_ptr(into, sizes[i]), &done), 0);
        assert_int_equal(weft_zero_copy_send(peer, H_RECORD, "h", 1, weft_buf_ptr(data, sizes[i]), 9, &n), 0);
        assert_int_equal(fab_result(completion), 0);
        fab_await(to, &end.times, 1);
        assert_int_equal(end.status, 0);
        assert_true(to->posted);
        assert_int_equal(to->tag, 9);
        assert_true(fab_holds(into, sizes[i], 7));
        assert_int_equal(weft_cancel_post_buffer(to->w, NULL, 9), WEFT_E_NOENT); /* it was used up */
    }
    free(into);
}

static void post_buffer__override_by_the_same_tag(void **state) {
    struct weft_cntr *completion = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, completion);
    struct fab_end first = {0}, second = {0};
    struct weft_done d1 = fab_done(&first), d2 = fab_done(&second);
    uint8_t one[8] = {0}, two[8] = {0};
    assert_int_equal(weft_post_buffer(to->w, NULL, 1, weft_buf_ptr(one, 8), &d1), 0);
    assert_int_equal(weft_post_buffer(to->w, NULL, 1, weft_buf_ptr(two, 8), &d2), 0);
    fab_await(to, &first.times, 1);
    assert_int_equal(first.status, WEFT_E_CANCELED);
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 8), 1, &n), 0);
    assert_int_equal(fab_result(completion), 0);
    fab_await(to, &second.times, 1);
    assert_true(fab_holds(two, 8, 7));
    assert_int_equal(one[0] | one[7], 0);
    assert_int_equal(first.times, 1);
}

static void post_buffer__the_same_buffer_under_several_tags(void **state) {
    struct weft_cntr *completion = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, completion);
    struct weft_mem *mem;
    assert_int_equal(weft_dma_setup(to->w, to->buf, FAB_BYTES, WEFT_PIN_DYNAMIC, &mem), 0);
    for (uint64_t tag = 1; tag <= 3; tag++)
        assert_int_equal(weft_post_buffer(to->w, NULL, tag, weft_buf_mem(mem, 0, 1000), NULL), 0);
    for (uint64_t tag = 3; tag >= 1; tag--) {
        memset(to->buf, 0, 1000);
        assert_int_equal(weft_dma_cleanup(mem), WEFT_E_BUSY);
        assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 1000), tag, &n), 0);
        assert_int_equal(fab_result(completion), 0);
        fab_await(to, &to->completed, 4 - (int)tag);
        assert_true(to->posted);
        assert_true(fab_holds(to->buf, 1000, 7));
    }
    assert_int_equal(weft_dma_cleanup(mem), 0);
}

static void post_buffer__for_a_peer_goes_first(void **state) {
    struct weft_cntr *completion = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, completion);
    uint8_t any[8] = {0}, its[8] = {0};
    assert_int_equal(weft_post_buffer(to->w, NULL, 1, weft_buf_ptr(any, 8), NULL), 0);
    assert_int_equal(weft_post_buffer(to->w, to->accepted, 1, weft_buf_ptr(its, 8), NULL), 0);
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 8), 1, &n), 0);
    assert_int_equal(fab_result(completion), 0);
    fab_await(to, &to->completed, 1);
    assert_true(fab_holds(its, 8, 7));
    assert_int_equal(any[0] | any[7], 0);
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 8), 1, &n), 0);
    assert_int_equal(fab_result(completion), 0);
    fab_await(to, &to->completed, 2);
    assert_true(fab_holds(any, 8, 7));
}

static void post_buffer__a_longer_message_leaves_it(void **state) {
    struct weft_cntr *completion = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, completion);
    uint8_t into[8] = {0};
    assert_int_equal(weft_post_buffer(to->w, NULL, 1, weft_buf_ptr(into, 8), NULL), 0);
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 9), 1, &n), 0);
    assert_int_equal(fab_result(completion), WEFT_E_TOO_BIG);
    assert_int_equal(to->messages, 0);
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 8), 1, &n), 0);
    assert_int_equal(fab_result(completion), 0);
    assert_true(fab_holds(into, 8, 7));
}

static void cancel_post_buffer__unmatched_and_unknown(void **state) {
    struct fab_end end = {0};
    struct weft_done done = fab_done(&end);
    uint8_t into[8] = {0};
    assert_int_equal(weft_cancel_post_buffer(to->w, NULL, 1), WEFT_E_NOENT);
    assert_int_equal(weft_post_buffer(to->w, NULL, 1, weft_buf_ptr(into, 8), &done), 0);
    assert_int_equal(weft_cancel_post_buffer(to->w, to->accepted, 1), WEFT_E_NOENT);
    assert_int_equal(weft_cancel_post_buffer(to->w, NULL, 1), 0);
    assert_int_equal(weft_cancel_post_buffer(to->w, NULL, 1), WEFT_E_NOENT);
    fab_await(to, &end.times, 1);
    assert_int_equal(end.status, WEFT_E_CANCELED);
    to->place = FAB_IN_PLACE;
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 8), 1, NULL), 0);
    fab_await(to, &to->messages, 1);
    assert_false(to->posted);
}

/* Cancels while data arrives: whenever it says 0, the buffer is the program's again at once. */
static void cancel_post_buffer__under_way(void **state) {
    struct weft_cntr *completion = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, completion);
    uint8_t *into = malloc(FAB_BYTES);
    int canceled = 0, whole = 0;
    to->place = FAB_NOWHERE; /* for messages that come after the cancel */
    for (int i = 0; i < 40 || (canceled == 0 && i < 1000); i++) {
        struct fab_end end = {0};
        struct weft_done done = fab_done(&end);
        assert_int_equal(weft_post_buffer(to->w, NULL, 1, weft_buf_ptr(into, FAB_BYTES), &done), 0);
        assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, FAB_BYTES), 1, &n),
                         0);
        for (int k = 0; k < i % 40; k++) weft_poll(a.w);
        if (to != &a)
            for (int k = 0; k < i % 40; k++) weft_poll(to->w);
        int rc = weft_cancel_post_buffer(to->w, NULL, 1);
        if (rc == 0) memset(into, 0x5a, FAB_BYTES);
        int ended = fab_result(completion);
        fab_await(to, &end.times, 1);
        assert_int_equal(end.status, rc ? 0 : WEFT_E_CANCELED);
        assert_int_equal(ended, rc ? 0 : WEFT_E_CANCELED);
        if (rc == 0) assert_true(fab_is_all(into, FAB_BYTES, 0x5a));
        if (rc) assert_true(fab_holds(into, FAB_BYTES, 7));
        canceled += rc == 0;
        whole += rc != 0;
    }
    print_message("%s: %d canceled, %d whole\n", adapters, canceled, whole);
    assert_true(canceled > 0);
    free(into);
}

static void done__callback_comes_before_the_counter(void **state) {
    struct weft_cntr *c = fab_cntr(&a, 0);
    struct fab_end end = {0};
    struct weft_notify n = {.completion = fab_done(&end)};
    n.completion.cntr = c;
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, 10), 0, &n), 0);
    weft_cntr_destroy(c); /* the operation holds it */
    fab_await(&a, &end.times, 1);
    assert_int_equal(end.status, 0);
}

static void disconnect__ends_everything_once(void **state) {
    struct fab_end origin[8] = {{0}}, completion[8] = {{0}}, post = {0};
    struct weft_done done = fab_done(&post);
    uint8_t into[8];
    assert_int_equal(weft_post_buffer(a.w, peer, 1, weft_buf_ptr(into, 8), &done), 0);
    for (int i = 0; i < 8; i++) {
        struct weft_notify n = {.origin = fab_done(&origin[i]), .completion = fab_done(&completion[i])};
        assert_int_equal(
            weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, i % 2 ? 100 : FAB_BYTES), 0, &n),
            0);
    }
    weft_disconnect(peer);
    for (int i = 0; i < 8; i++) {
        fab_await(&a, &origin[i].times, 1);
        fab_await(&a, &completion[i].times, 1);
    }
    fab_await(&a, &post.times, 1);
    assert_int_equal(post.status, WEFT_E_CLOSED);
    fab_await(to, &to->downs, 1);
    assert_int_equal(to->down_status, WEFT_E_CLOSED);
    assert_int_equal(weft_peer_status(to->accepted), WEFT_E_CLOSED);
    assert_int_equal(weft_send_eager(to->accepted, H_RECORD, NULL, 0, NULL, 0), WEFT_E_CLOSED);
    weft_disconnect(to->accepted);
    for (int i = 0; i < 8; i++) assert_int_equal(origin[i].times + completion[i].times, 2);
    assert_int_equal(post.times, 1);
}

static void close__ends_everything_once(void **state) {
    struct fab_end origin = {0}, completion = {0}, post = {0};
    struct weft_done done = fab_done(&post);
    struct weft_notify n = {.origin = fab_done(&origin), .completion = fab_done(&completion)};
    uint8_t into[8];
    assert_int_equal(weft_post_buffer(a.w, NULL, 1, weft_buf_ptr(into, 8), &done), 0);
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(data, FAB_BYTES), 0, &n), 0);
    weft_close(a.w, 0);
    assert_int_equal(origin.times, 1);
    assert_int_equal(completion.times, 1);
    assert_int_equal(post.times, 1);
    assert_int_equal(post.status, WEFT_E_CLOSED);
    if (to == &b) fab_await(&b, &b.downs, 1);
    free(a.buf);
    weft_dir_remove(a.dir);
    fab_open(&a, adapters); /* for the teardown */
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        EACH(send_eager__arrives_in_order),
        EACH(send_eager__up_to_its_limits),
        EACH(zero_copy_send__into_the_handlers_buffer_with_three_counters),
        EACH(zero_copy_send__between_descriptors),
        EACH(zero_copy_send__not_wanted),
        EACH(zero_copy_send__does_not_fit),
        EACH(zero_copy_send__no_such_handler),
        EACH(zero_copy_send__an_unknown_target_counter_does_no_harm),
        EACH(post_buffer__the_handler_runs_after_the_data),
        EACH(post_buffer__override_by_the_same_tag),
        EACH(post_buffer__the_same_buffer_under_several_tags),
        EACH(post_buffer__for_a_peer_goes_first),
        EACH(post_buffer__a_longer_message_leaves_it),
        EACH(cancel_post_buffer__unmatched_and_unknown),
        EACH(cancel_post_buffer__under_way),
        EACH(done__callback_comes_before_the_counter),
        EACH(disconnect__ends_everything_once),
        EACH(close__ends_everything_once),
    };
    setenv("WEFT_SIM", FAB_BAD_NETWORK, true);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
