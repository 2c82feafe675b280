/* Pins: counted, cached, forgotten when their memory goes, refused at the limit; and what weft.h makes of
 * that. */
#include "base/counter.h"
#include "base/error.h"
#include "fabric/fab_fixture.h"
#include "fabric/pin.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT ((size_t)2 << 20)
#define PAGE  ((size_t)4096)

static uint8_t *map(size_t bytes) {
    uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    return p;
}

/* What the system itself says that this process has locked. */
static size_t locked_bytes(void) {
    char line[256];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "VmLck: %zu kB", &kib) == 1) break;
    fclose(f);
    return kib * 1024;
}

static bool caches(void) { /* userfaultfd may be forbidden here */
    struct pin *pin;
    struct pin_usage u;
    uint8_t *p = map(PAGE);
    assert_int_equal(pin_take(p, 1, &pin), 0);
    pin_give(pin);
    pin_usage(&u);
    munmap(p, PAGE);
    return u.cached > 0;
}

/* The sanitizers make mlock do nothing. */
static bool locking_works(void) {
    uint8_t *p = map(PAGE);
    mlock(p, PAGE);
    bool works = locked_bytes() == PAGE;
    munmap(p, PAGE);
    return works;
}

static int teardown(void **state) {
    struct pin_usage u;
    pin_trim();
    pin_usage(&u);
    assert_int_equal(u.used + u.cached + u.bytes, 0);
    assert_int_equal(locked_bytes(), 0);
    return 0;
}

static void take__overlapping_ranges(void **state) {
    struct pin *a, *b, *c;
    uint8_t *p = map(8 * PAGE);
    assert_int_equal(pin_take(p, 4 * PAGE, &a), 0);
    assert_int_equal(pin_take(p + 2 * PAGE + 5, 4 * PAGE - 5, &b), 0);
    assert_int_equal(pin_take(p + PAGE, 1, &c), 0);
    assert_int_equal(locked_bytes(), 6 * PAGE);
    pin_give(c);
    pin_give(a);
    pin_trim();
    assert_int_equal(locked_bytes(), 4 * PAGE); /* b's */
    pin_give(b);
    pin_trim();
    assert_int_equal(locked_bytes(), 0);
    munmap(p, 8 * PAGE);
}

static void take__not_mapped(void **state) {
    struct pin *a;
    uint8_t *p = map(4 * PAGE);
    munmap(p + 2 * PAGE, PAGE);
    assert_false(pin_is_mapped(p, 4 * PAGE));
    assert_true(pin_is_mapped(p + PAGE + 1, PAGE - 1));
    assert_int_equal(pin_take(p, 4 * PAGE, &a), WEFT_E_INVAL);
    assert_int_equal(locked_bytes(), 0);
    munmap(p, 4 * PAGE);
}

static void give__stays_pinned_until_its_memory_goes(void **state) {
    if (!caches()) skip();
    struct pin *a, *b;
    struct pin_usage u;
    uint8_t *p = map(4 * PAGE);
    assert_int_equal(pin_take(p, 4 * PAGE, &a), 0);
    pin_give(a);
    assert_int_equal(locked_bytes(), 4 * PAGE);
    assert_int_equal(pin_take(p, 4 * PAGE, &b), 0);
    assert_ptr_equal(a, b); /* the same one */
    pin_give(b);
    munmap(p + PAGE, PAGE); /* a hole: the rest is unlocked */
    pin_usage(&u);
    assert_int_equal(u.cached, 0);
    assert_int_equal(locked_bytes(), 0);
    munmap(p, 4 * PAGE);
}

/* New memory at the old place must not be taken for the old. */
static void unmap__and_map_at_the_same_place(void **state) {
    if (!caches()) skip();
    uint8_t *p = map(PAGE);
    for (int i = 0; i < 100; i++) {
        struct pin *pin;
        assert_int_equal(pin_take(p, PAGE, &pin), 0);
        assert_int_equal(locked_bytes(), PAGE);
        pin_give(pin);
        if (i % 3 == 0) {
            assert_int_equal(munmap(p, PAGE), 0);
            assert_ptr_equal(
                mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), p);
        } else if (i % 3 == 1) { /* over it, in one call */
            assert_ptr_equal(
                mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), p);
        } else {
            uint8_t *q = map(PAGE);
            assert_ptr_equal(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q), q);
            munlock(q, PAGE); /* a lock moves with its memory: it is the mover's now */
            p = q;
        }
        assert_int_equal(locked_bytes(), 0);
    }
    munmap(p, PAGE);
}

static void unmap__while_in_use(void **state) {
    if (!caches()) skip();
    struct pin *a, *b;
    uint8_t *p = map(2 * PAGE);
    assert_int_equal(pin_take(p, 2 * PAGE, &a), 0);
    assert_ptr_equal(
        mmap(p, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), p);
    assert_int_equal(pin_take(p, 2 * PAGE, &b), 0);
    assert_ptr_not_equal(a, b);
    pin_give(a); /* takes nothing from b */
    assert_int_equal(locked_bytes(), 2 * PAGE);
    pin_give(b);
    munmap(p, 2 * PAGE);
}

static void take__at_the_limit_drops_what_is_only_cached(void **state) {
    struct pin *a, *b;
    uint8_t *p = map(2 * LIMIT);
    assert_int_equal(pin_take(p, LIMIT, &a), 0);
    assert_int_equal(pin_take(p + LIMIT, LIMIT, &b), WEFT_E_LIMIT);
    assert_int_equal(locked_bytes(), LIMIT);
    pin_give(a);
    assert_int_equal(pin_take(p + LIMIT, LIMIT, &b), 0);
    assert_int_equal(pin_take(p, LIMIT, &a), WEFT_E_LIMIT);
    pin_give(b);
    munmap(p, 2 * LIMIT);
}

static void fork__child_starts_anew(void **state) {
    struct pin *a;
    uint8_t *p = map(PAGE);
    assert_int_equal(pin_take(p, PAGE, &a), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct pin *b;
        struct pin_usage u;
        pin_usage(&u);
        int bad = u.used + u.cached > 0 || pin_take(p, PAGE, &b) || locked_bytes() != PAGE;
        munmap(p, PAGE); /* must not wait for the parent */
        _exit(bad);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(locked_bytes(), PAGE);
    pin_give(a);
    munmap(p, PAGE);
}

/* -- through weft.h -- */

static void dma_setup__static_is_refused_and_dynamic_goes_unpinned(void **state) {
    struct fab f;
    struct weft_mem *mem, *all;
    fab_open(&f, "self");
    struct weft_peer *peer = fab_connect(&f, &f);
    struct weft_cntr *c = fab_cntr(&f, 0);
    struct weft_notify n = fab_notify(NULL, 0, c);
    uint8_t *p = map(2 * LIMIT);
    fab_fill(p, 2 * LIMIT, 1);
    assert_int_equal(weft_dma_setup(f.w, p, 2 * LIMIT, WEFT_PIN_STATIC, &all), WEFT_E_LIMIT);
    assert_int_equal(weft_dma_setup(f.w, p, 2 * LIMIT, WEFT_PIN_DYNAMIC, &all), 0);
    assert_int_equal(weft_dma_setup(f.w, f.buf, LIMIT / 2, WEFT_PIN_STATIC, &mem), 0);
    assert_true(locked_bytes() >= LIMIT / 2);
    /* One end pinned, the other not; then neither. */
    assert_int_equal(weft_post_buffer(f.w, NULL, 1, weft_buf_mem(mem, 0, LIMIT / 2), NULL), 0);
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_mem(all, 0, LIMIT / 2), 1, &n), 0);
    assert_int_equal(fab_result(c), 0);
    assert_true(fab_holds(f.buf, LIMIT / 2, 1));
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_mem(all, 0, 2 * LIMIT), 0, &n), 0);
    assert_int_equal(fab_result(c), 0);
    assert_true(fab_holds(f.buf, 2 * LIMIT, 1));
    assert_int_equal(weft_dma_cleanup(all), 0);
    assert_int_equal(weft_dma_cleanup(mem), 0);
    fab_close(&f);
    munmap(p, 2 * LIMIT);
}

/* The transport is told at either end, and the data arrives all the same. */
static void pin_failed__is_the_reason_for_the_way_of_the_data(void **state) {
    struct fab a, b;
    struct weft_mem *from, *into;
    fab_open(&a, "udp");
    fab_open(&b, "udp");
    struct weft_peer *peer = fab_connect(&a, &b);
    struct weft_cntr *c = fab_cntr(&a, 0);
    struct weft_notify n = fab_notify(NULL, 0, c);
    uint8_t *p = map(2 * LIMIT), *q = map(2 * LIMIT);
    fab_fill(p, 2 * LIMIT, 1);
    assert_int_equal(weft_dma_setup(a.w, p, 2 * LIMIT, WEFT_PIN_DYNAMIC, &from), 0);
    assert_int_equal(weft_dma_setup(b.w, q, 2 * LIMIT, WEFT_PIN_DYNAMIC, &into), 0);
    /* At the receiver, into a posted buffer and into one that the handler names. */
    uint64_t before = weft_counter_named("transport_normal_no_pin");
    b.place = FAB_INTO_MEM;
    b.mem = into;
    for (uint64_t tag = 0; tag < 2; tag++) {
        if (tag)
            assert_int_equal(weft_post_buffer(b.w, NULL, tag, weft_buf_mem(into, 0, 2 * LIMIT), NULL), 0);
        memset(q, 0, 2 * LIMIT);
        assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_ptr(p, 2 * LIMIT), tag, &n),
                         0);
        assert_int_equal(fab_result(c), 0);
        assert_true(fab_holds(q, 2 * LIMIT, 1));
        assert_int_equal(weft_counter_named("transport_normal_no_pin"), before + tag + 1);
    }
    /* In a window that is written, and for a get's data. */
    struct weft_window *window;
    struct weft_window_handle handle;
    struct weft_remote remote;
    const struct weft_buf all = weft_buf_mem(into, 0, 2 * LIMIT);
    assert_int_equal(weft_window_export(b.w, all, WEFT_READ | WEFT_WRITE, NULL, &window, &handle), 0);
    assert_int_equal(weft_window_import(peer, &handle, &remote), 0);
    assert_int_equal(weft_put(&remote, 0, weft_buf_ptr(p, 2 * LIMIT), &n), 0);
    assert_int_equal(fab_result(c), 0);
    assert_int_equal(weft_counter_named("transport_normal_no_pin"), before + 3);
    struct weft_done done = {.cntr = c};
    assert_int_equal(weft_window_revoke(window, FAB_PATIENCE), 0);
    assert_int_equal(weft_window_export(b.w, weft_buf_ptr(q, 2 * LIMIT), WEFT_READ, NULL, &window, &handle),
                     0);
    assert_int_equal(weft_window_import(peer, &handle, &remote), 0);
    assert_int_equal(weft_get_buffer(&remote, 0, weft_buf_mem(from, 0, 2 * LIMIT), &done), 0);
    assert_int_equal(fab_result(c), 0);
    assert_int_equal(weft_counter_named("transport_normal_no_pin"), before + 4);
    /* At the sender. */
    before = weft_counter_named("transport_normal_unmapped");
    b.place = FAB_INTO_BUF;
    assert_int_equal(weft_zero_copy_send(peer, H_RECORD, NULL, 0, weft_buf_mem(from, 0, 2 * LIMIT), 0, &n),
                     0);
    assert_int_equal(fab_result(c), 0);
    assert_true(fab_holds(b.buf, 2 * LIMIT, 1));
    assert_int_equal(weft_counter_named("transport_normal_unmapped"), before + 1);
    assert_int_equal(weft_dma_cleanup(from), 0);
    assert_int_equal(weft_dma_cleanup(into), 0);
    fab_close(&a);
    fab_close(&b);
    munmap(p, 2 * LIMIT);
    munmap(q, 2 * LIMIT);
}

#define T(name) cmocka_unit_test_teardown(name, teardown)

/* Root is not limited by RLIMIT_MEMLOCK: this program gives that right up. */
static void become_limited(void) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];
    if (syscall(SYS_capget, &head, caps) == 0) {
        caps[0].effective &= ~(1u << CAP_IPC_LOCK);
        caps[0].permitted &= ~(1u << CAP_IPC_LOCK);
        syscall(SYS_capset, &head, caps);
    }
    setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){LIMIT, LIMIT});
}

int main(int argc, char **argv) {
    become_limited();
    if (!locking_works()) {
        print_message("mlock does nothing here\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        T(take__overlapping_ranges),
        T(take__not_mapped),
        T(give__stays_pinned_until_its_memory_goes),
        T(unmap__and_map_at_the_same_place),
        T(unmap__while_in_use),
        T(take__at_the_limit_drops_what_is_only_cached),
        T(fork__child_starts_anew),
        T(dma_setup__static_is_refused_and_dynamic_goes_unpinned),
        T(pin_failed__is_the_reason_for_the_way_of_the_data),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
