/* Windows: puts and gets of all sizes, who may use them, revoking; fences and flushes. Over each adapter. */
#include "base/error.h"
#include "fabric/fab_pair.h"

#include <stdlib.h>
#include <string.h>

static struct weft_window *window;
static struct weft_remote remote;

static void export_to(struct weft_peer *only, unsigned access, size_t bytes) {
    struct weft_window_handle handle;
    assert_int_equal(weft_window_export(to->w, weft_buf_ptr(to->buf, bytes), access, only, &window, &handle),
                     0);
    assert_int_equal(weft_window_import(peer, &handle, &remote), 0);
    assert_int_equal(remote.bytes, bytes);
}

static const size_t sizes[] = {0, 1, 2, 3, 4, 8, 100, 16384, 16385, 1000000, FAB_BYTES};
#define SIZES (sizeof sizes / sizeof *sizes)

static void put__of_all_sizes_with_three_counters(void **state) {
    struct weft_cntr *origin = fab_cntr(&a, 0), *completion = fab_cntr(&a, 0), *target = fab_cntr(to, 5);
    struct weft_notify n = fab_notify(origin, 5, completion);
    export_to(to->accepted, WEFT_WRITE, FAB_BYTES);
    for (size_t i = 0; i < SIZES; i++) {
        size_t offset = FAB_BYTES - sizes[i];
        memset(to->buf, 0, FAB_BYTES);
        assert_int_equal(weft_put(&remote, offset, weft_buf_ptr(data, sizes[i]), &n), 0);
        assert_int_equal(fab_result(origin), 0);
        assert_int_equal(fab_result(completion), 0);
        assert_int_equal(fab_result(target), 0);
        assert_true(fab_holds(to->buf + offset, sizes[i], 7));
        if (offset) assert_int_equal(to->buf[offset - 1], 0);
    }
    assert_int_equal(weft_window_revoke(window, FAB_PATIENCE), 0);
}

static void get__of_all_sizes(void **state) {
    struct weft_cntr *c = fab_cntr(&a, 0);
    struct weft_done done = {.cntr = c};
    uint8_t *into = malloc(FAB_BYTES);
    memcpy(to->buf, data, FAB_BYTES);
    export_to(NULL, WEFT_READ, FAB_BYTES);
    for (size_t i = 0; i < SIZES; i++) {
        memset(into, 0, FAB_BYTES);
        assert_int_equal(weft_get_buffer(&remote, 0, weft_buf_ptr(into, sizes[i]), &done), 0);
        assert_int_equal(fab_result(c), 0);
        assert_true(fab_holds(into, sizes[i], 7));
    }
    assert_int_equal(weft_window_revoke(window, FAB_PATIENCE), 0);
    assert_int_equal(weft_get_buffer(&remote, 0, weft_buf_ptr(into, 10), &done), 0);
    assert_int_equal(fab_result(c), WEFT_E_NOENT);
    free(into);
}

static void rma__with_descriptors_at_both_ends(void **state) {
    struct weft_cntr *c = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, c);
    struct weft_mem *mine, *its;
    struct weft_window_handle handle;
    assert_int_equal(weft_dma_setup(a.w, data, FAB_BYTES, WEFT_PIN_STATIC, &mine), 0);
    void *memory;
    assert_int_equal(weft_alloc(to->w, FAB_BYTES, &memory), 0);
    assert_int_equal((uintptr_t)memory % (2u << 20), 0);
    assert_int_equal(weft_dma_setup(to->w, memory, FAB_BYTES, WEFT_PIN_DYNAMIC, &its), 0);
    assert_int_equal(weft_window_export(to->w, weft_buf_mem(its, 4096, 500000), WEFT_READ | WEFT_WRITE, NULL,
                                        &window, &handle),
                     0);
    assert_int_equal(weft_window_import(peer, &handle, &remote), 0);
    assert_int_equal(weft_dma_cleanup(its), WEFT_E_BUSY);
    assert_int_equal(weft_put(&remote, 0, weft_buf_mem(mine, 0, 500000), &n), 0);
    assert_int_equal(fab_result(c), 0);
    assert_memory_equal((uint8_t *)memory + 4096, data, 500000);
    struct weft_done done = {.cntr = c};
    assert_int_equal(weft_get_buffer(&remote, 100, weft_buf_mem(mine, 1000000, 400000), &done), 0);
    assert_int_equal(fab_result(c), 0);
    assert_memory_equal(data + 1000000, data + 100, 400000);
    assert_int_equal(weft_window_revoke(window, FAB_PATIENCE), 0);
    assert_int_equal(weft_dma_cleanup(its), 0);
    assert_int_equal(weft_dma_cleanup(mine), 0);
    weft_free(to->w, memory, FAB_BYTES);
}

/* The origin's own checks are passed by: what arrives is judged at the target alone. */
static void rma__bounds_and_rights_are_checked_at_the_target(void **state) {
    static const struct {
        uint64_t offset;
        size_t bytes;
    } bad[] = {{1000, 1}, {1001, 0}, {UINT64_MAX, 1}, {UINT64_MAX - 99, 100}, {900, 101}, {0, 100000}};
    struct weft_cntr *c = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, c);
    struct weft_done done = {.cntr = c};
    export_to(NULL, WEFT_READ | WEFT_WRITE, 1000);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        remote.bytes = 1000;
        assert_int_equal(weft_put(&remote, bad[i].offset, weft_buf_ptr(data, bad[i].bytes), &n),
                         WEFT_E_INVAL);
        assert_int_equal(weft_get_buffer(&remote, bad[i].offset, weft_buf_ptr(data, bad[i].bytes), &done),
                         WEFT_E_INVAL);
        remote.bytes = UINT64_MAX;
        if (bad[i].offset > UINT64_MAX - bad[i].bytes) continue; /* not even then */
        assert_int_equal(weft_put(&remote, bad[i].offset, weft_buf_ptr(data, bad[i].bytes), &n), 0);
        assert_int_equal(fab_result(c), WEFT_E_INVAL);
        assert_int_equal(weft_get_buffer(&remote, bad[i].offset, weft_buf_ptr(data, bad[i].bytes), &done), 0);
        assert_int_equal(fab_result(c), WEFT_E_INVAL);
    }
    remote.bytes = 1000;
    remote.key ^= 1;
    assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, 1), &n), 0);
    assert_int_equal(fab_result(c), WEFT_E_NOENT);
    assert_int_equal(weft_window_revoke(window, 0), 0);
    for (size_t i = 0; i < 2000; i++) assert_int_equal(to->buf[i], 0);
}

static void rma__rights(void **state) {
    struct weft_cntr *c = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, c);
    struct weft_done done = {.cntr = c};
    export_to(NULL, WEFT_READ, 1000);
    assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, 1), &n), WEFT_E_ACCESS);
    remote.access = WEFT_WRITE;
    assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, 1), &n), 0);
    assert_int_equal(fab_result(c), WEFT_E_ACCESS);
    assert_int_equal(weft_window_revoke(window, 0), 0);
    export_to(NULL, WEFT_WRITE, 1000);
    assert_int_equal(weft_get_buffer(&remote, 0, weft_buf_ptr(data, 1), &done), WEFT_E_ACCESS);
    remote.access = WEFT_READ;
    assert_int_equal(weft_get_buffer(&remote, 0, weft_buf_ptr(data, 1), &done), 0);
    assert_int_equal(fab_result(c), WEFT_E_ACCESS);
    assert_int_equal(weft_window_revoke(window, 0), 0);
    /* A window for one connection does not open over another, not even of the same process. */
    struct weft_peer *first = peer, *first_there = to->accepted;
    peer = fab_connect(&a, to);
    export_to(first_there, WEFT_WRITE, 1000);
    assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, 1), &n), 0);
    assert_int_equal(fab_result(c), WEFT_E_ACCESS);
    remote.peer = first;
    assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, 1), &n), 0);
    assert_int_equal(fab_result(c), 0);
    assert_int_equal(weft_window_revoke(window, 0), 0);
}

static void revoke__ends_what_is_under_way(void **state) {
    struct weft_cntr *c = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, c);
    int ends[2] = {0};
    for (int i = 0; i < 30 || (ends[0] == 0 && i < 1000); i++) {
        export_to(NULL, WEFT_WRITE, FAB_BYTES);
        memset(to->buf, 0, FAB_BYTES);
        assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, FAB_BYTES), &n), 0);
        for (int k = 0; k < i % 30 * 2; k++) weft_poll(k % 2 ? a.w : to->w);
        assert_int_equal(weft_window_revoke(window, FAB_PATIENCE), 0);
        memset(to->buf, 0x5a, FAB_BYTES);
        int rc = fab_result(c);
        assert_true(rc == 0 || rc == WEFT_E_CANCELED || rc == WEFT_E_NOENT);
        ends[rc == 0]++;
        assert_true(fab_is_all(to->buf, FAB_BYTES, 0x5a));
    }
    print_message("%s: %d ended early, %d were whole\n", adapters, ends[0], ends[1]);
    assert_true(ends[0] > 0);
}

static void revoke__waits_for_readers(void **state) {
    struct weft_cntr *c = fab_cntr(&a, 0);
    struct weft_done done = {.cntr = c};
    uint8_t *into = malloc(FAB_BYTES);
    for (int i = 0; i < 20; i++) {
        memcpy(to->buf, data, FAB_BYTES);
        export_to(NULL, WEFT_READ, FAB_BYTES);
        assert_int_equal(weft_get_buffer(&remote, 0, weft_buf_ptr(into, FAB_BYTES), &done), 0);
        for (int k = 0; k < i; k++) weft_poll(k % 2 ? a.w : to->w);
        assert_int_equal(weft_window_revoke(window, FAB_PATIENCE), 0);
        memset(to->buf, 0, FAB_BYTES);
        int rc = fab_result(c);
        if (rc == 0)
            assert_true(fab_holds(into, FAB_BYTES, 7));
        else
            assert_int_equal(rc, WEFT_E_NOENT);
    }
    free(into);
}

/* -- fences and flushes -- */

/* Whenever the flag is seen, the large data before it is there. */
static void fence__a_flag_after_large_data(void **state) {
    export_to(NULL, WEFT_WRITE, FAB_BYTES);
    uint64_t *flag = (uint64_t *)(void *)(to->buf + FAB_BYTES - 8);
    for (uint64_t round = 1; round <= 20; round++) {
        size_t bytes = round % 3 ? FAB_BYTES - 8 : 5000;
        fab_fill(data, bytes, (unsigned)round);
        assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, 20000), NULL),
                         0); /* ends long before the next */
        assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, bytes), NULL), 0);
        assert_int_equal(weft_fence(peer), 0);
        assert_int_equal(weft_put(&remote, FAB_BYTES - 8, weft_buf_ptr(&round, 8), NULL), 0);
        uint64_t deadline = weft_now_ns() + FAB_PATIENCE;
        while (__atomic_load_n(flag, __ATOMIC_ACQUIRE) != round) {
            assert_true(weft_now_ns() < deadline);
            weft_poll(a.w);
            weft_poll(to->w);
        }
        assert_true(fab_holds(to->buf, bytes, (unsigned)round));
        assert_int_equal(weft_flush_wait(peer, FAB_PATIENCE), 0); /* before data is changed */
    }
}

static void fence__messages_and_gets_wait_too(void **state) {
    struct weft_cntr *got = fab_cntr(&a, 0);
    struct weft_done done = {.cntr = got};
    uint8_t tail[16];
    export_to(NULL, WEFT_WRITE | WEFT_READ, FAB_BYTES);
    for (int round = 1; round <= 10; round++) {
        fab_fill(data, FAB_BYTES, (unsigned)round);
        to->place = FAB_IN_PLACE;
        int before = to->messages;
        assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, FAB_BYTES), NULL), 0);
        assert_int_equal(weft_fence(peer), 0);
        assert_int_equal(weft_get_buffer(&remote, FAB_BYTES - 16, weft_buf_ptr(tail, 16), &done), 0);
        assert_int_equal(weft_send_eager(peer, H_RECORD, "done", 4, NULL, 0), 0);
        fab_await(to, &to->messages, before + 1);
        assert_true(fab_holds(to->buf, FAB_BYTES, (unsigned)round));
        assert_int_equal(fab_result(got), 0);
        assert_memory_equal(tail, data + FAB_BYTES - 16, 16);
        assert_int_equal(weft_flush_wait(peer, FAB_PATIENCE), 0);
    }
}

static void flush__all_is_there(void **state) {
    export_to(NULL, WEFT_WRITE, FAB_BYTES);
    for (int round = 1; round <= 10; round++) {
        fab_fill(data, FAB_BYTES, (unsigned)round);
        assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, FAB_BYTES / 2), NULL), 0);
        assert_int_equal(
            weft_put(&remote, FAB_BYTES / 2, weft_buf_ptr(data + FAB_BYTES / 2, FAB_BYTES / 2), NULL), 0);
        assert_int_equal(weft_flush_wait(peer, FAB_PATIENCE), 0);
        assert_true(fab_holds(to->buf, FAB_BYTES, (unsigned)round));
    }
}

static void flush__tells_the_errors_of_puts_that_nobody_was_told_of(void **state) {
    export_to(NULL, WEFT_WRITE, 1000);
    remote.bytes = FAB_BYTES;
    for (int large = 0; large < 2; large++) {
        assert_int_equal(weft_put(&remote, 1, weft_buf_ptr(data, large ? 100000 : 1000), NULL), 0);
        assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(data, 1000), NULL), 0);
        assert_int_equal(weft_flush_wait(peer, FAB_PATIENCE), WEFT_E_INVAL);
        assert_int_equal(weft_flush_wait(peer, FAB_PATIENCE), 0);
    }
    assert_true(fab_holds(to->buf, 1000, 7));
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        EACH(put__of_all_sizes_with_three_counters),
        EACH(get__of_all_sizes),
        EACH(rma__with_descriptors_at_both_ends),
        EACH(rma__bounds_and_rights_are_checked_at_the_target),
        EACH(rma__rights),
        EACH(revoke__ends_what_is_under_way),
        EACH(revoke__waits_for_readers),
        EACH(fence__a_flag_after_large_data),
        EACH(fence__messages_and_gets_wait_too),
        EACH(flush__all_is_there),
        EACH(flush__tells_the_errors_of_puts_that_nobody_was_told_of),
    };
    setenv("WEFT_SIM", FAB_BAD_NETWORK, true);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
