/* Tests of recorded processes: what one leaves, told and read; and blobs that do not hold. */
#include "node/recorded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/board.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/path.h"

WEFT_COUNTERS(recorded_test, {"test_apples", "apples", "Apples.", 0})

static char dir[] = "/tmp/weft-recorded-XXXXXX";
static const struct weft_record_kernel like = {.name = "sbmp",
                                               .device = "a device",
                                               .host = "alpha",
                                               .device_id = (uint64_t)3 << 32 | 1,
                                               .global = {64, 32, 1},
                                               .local = {8, 4, 1},
                                               .reads_bytes = 100,
                                               .writes_bytes = 50};

/* This program, recorded. */
static int child(void) {
    const struct weft_record_id self = {1, 1090, WEFT_RECORD_SCIF}, peer = {0, 1089, WEFT_RECORD_SCIF};
    weft_counter_add(&recorded_test_counters[0], 7);
    weft_record_add(weft_record_peer(self, peer), WEFT_RECORD_MAP, 4096);
    struct weft_record_kernel *k = weft_record_kernel(&like), other = like;
    other.global[0] = 128;
    if (!k || k != weft_record_kernel(&like) || k == weft_record_kernel(&other)) return 1;
    atomic_fetch_add(&k->launches, 3);
    weft_record_kernel_took(k, 500);
    weft_record_kernel_took(k, 300);
    return 0;
}

struct got {
    struct node_recorded who;
    struct weft_record peer;
    struct weft_record_kernel kernel;
    uint64_t apples;
    unsigned processes, peers, kernels;
};

static void on_process(void *ctx, const struct node_recorded *p) {
    struct got *g = ctx;
    g->who = *p;
    g->processes++;
}
static void on_counter(void *ctx, const char *name, uint64_t value) {
    struct got *g = ctx;
    if (strcmp(name, "test_apples") == 0) g->apples = value;
}
static void on_peer(void *ctx, const struct weft_record *r) {
    struct got *g = ctx;
    if (r->self.space != WEFT_RECORD_SCIF) return; /* the entry about the process itself */
    memcpy(&g->peer, r, sizeof *r);
    g->peers++;
}
static void on_kernel(void *ctx, const struct weft_record_kernel *k) {
    struct got *g = ctx;
    if (k->global[0] == 64) memcpy(&g->kernel, k, sizeof *k);
    g->kernels++;
}
static void on_left_out(void *ctx, uint32_t boards) { fail(); }
static const struct node_recorded_sink sink = {on_process, on_counter, on_peer, on_kernel, on_left_out};

static struct weft_writer blob;

static int setup(void **state) {
    int status;
    if (!mkdtemp(dir)) return -1;
    pid_t pid = fork();
    if (pid == 0) {
        setenv(WEFT_BOARD_DIR_ENV, dir, 1);
        execl("/proc/self/exe", "recorded_test", "child", NULL);
        _exit(99);
    }
    if (waitpid(pid, &status, 0) != pid || status) return -1;
    weft_writer_init_heap(&blob, 64);
    node_recorded_put(&blob, dir);
    return blob.failed;
}

static int teardown(void **state) {
    weft_writer_fini(&blob);
    return weft_dir_remove(dir);
}

static void node_recorded_read__gives_what_was_put(void **state) {
    struct got g = {.processes = 0};
    assert_int_equal(node_recorded_read(blob.data, blob.len, &sink, &g), WEFT_OK);
    assert_int_equal(g.processes, 1);
    assert_false(g.who.running);
    assert_string_equal(g.who.program, "recorded_test");
    assert_int_equal(g.apples, 7);
    assert_int_equal(g.peers, 1);
    assert_int_equal(g.peer.peer.process, 1089);
    assert_int_equal(g.peer.did[WEFT_RECORD_MAP].count, 1);
    assert_int_equal(g.peer.did[WEFT_RECORD_MAP].bytes, 4096);
    assert_int_equal(g.kernels, 2);
    assert_string_equal(g.kernel.device, "a device");
    assert_true(g.kernel.device_id == like.device_id);
    assert_int_equal(g.kernel.launches, 3);
    assert_int_equal(g.kernel.timed, 2);
    assert_int_equal(g.kernel.total_ns, 800);
    assert_int_equal(g.kernel.least_ns, 300);
    assert_int_equal(g.kernel.local[1], 4);
}

static void node_recorded_read__refuses_what_is_cut_off(void **state) {
    unsigned held = 0;
    for (size_t n = 0; n < blob.len; n++) {
        struct got g = {.processes = 0};
        held += node_recorded_read(blob.data, n, &sink, &g) == WEFT_OK;
    }
    assert_in_range(held, 1, 40); /* between items */
}

static void node_recorded_read__refuses_what_is_nobodys(void **state) {
    struct got g = {.processes = 0};
    uint8_t buf[64];
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u8(&w, 2); /* a counter */
    weft_put_string(&w, "x");
    weft_put_u64(&w, 1);
    assert_int_equal(node_recorded_read(buf, w.len, &sink, &g), WEFT_E_PROTO);
    assert_int_equal(node_recorded_read("\x09", 1, &sink, &g), WEFT_E_PROTO);
}

static void node_recorded_put__of_no_directory_is_empty(void **state) {
    struct weft_writer w;
    weft_writer_init_heap(&w, 64);
    node_recorded_put(&w, "/nowhere/at/all");
    assert_false(w.failed);
    assert_int_equal(w.len, 0);
    weft_writer_fini(&w);
}

int main(int argc, char **argv) {
    if (argc > 1) return child();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_recorded_read__gives_what_was_put),
        cmocka_unit_test(node_recorded_read__refuses_what_is_cut_off),
        cmocka_unit_test(node_recorded_read__refuses_what_is_nobodys),
        cmocka_unit_test(node_recorded_put__of_no_directory_is_empty),
    };
    return cmocka_run_group_tests_name("recorded", tests, setup, teardown);
}
