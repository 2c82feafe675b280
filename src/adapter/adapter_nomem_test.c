/* Adapters when memory is short: each allocation of opening, connecting, sending, receiving and reading is
 * made to fail in turn. What fails says so, and leaves nothing behind. Of ofi only its own allocations fail,
 * not those of libfabric. */
#include "adapter/adapter.h"
#include "base/board.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/path.h"
#include "base/short_memory.h"
#include "base/test.h"
#include "base/test_files.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char run_dir[] = "/tmp/weft-nomem-XXXXXX";
static const struct adapter_ops *ops;
static unsigned received;

static void on_packet(void *ctx, struct adapter *a, const struct adapter_packet_in *p) { received++; }
static void on_peer_lost(void *ctx, struct adapter *a, struct adapter_peer *peer, bool hint) {}

/* What cannot be read for lack of memory goes in packets. */
static bool read_from_itself(struct adapter *a, struct adapter_peer *peer) {
    static uint8_t from[100000] = {1, 2, 3}, to[sizeof from];
    uint8_t region[ADAPTER_REGION_MAX];
    size_t len = sizeof region;
    if (!(a->attr.caps & ADAPTER_CAP_REMOTE_READ)) return true;
    int rc = ops->expose(a, peer, from, sizeof from, region, &len);
    if (rc) {
        assert_int_equal(rc, WEFT_E_NOMEM);
        return false;
    }
    struct adapter_read r = {.region = region, .region_bytes = len, .dst = to, .len = sizeof to};
    rc = ops->read(a, peer, &r);
    ops->conceal(a, peer, region, len);
    assert_true(rc == 0 || rc == WEFT_E_ACCESS || rc == WEFT_E_NOMEM);
    if (rc == 0) assert_memory_equal(to, from, sizeof to);
    return rc == 0;
}

/* Packets may be lost for lack of memory, and are sent again. */
static bool talk_to_itself(struct adapter *a) {
    uint8_t address[ADAPTER_ADDRESS_MAX];
    size_t len = sizeof address;
    struct adapter_peer *peer;
    struct adapter_packet_out out = {{{"to myself", 9}}};
    if (ops->address(a, address, &len) || ops->connect(a, address, len, &peer)) return false;
    uint64_t end = weft_now_ns() + 20 * WEFT_NS_PER_S;
    for (received = 0; !received && weft_now_ns() < end;) {
        int rc = ops->send(a, peer, &out, 1);
        if (rc < 0) break;
        ops->poll(a, 64);
    }
    bool read = received && read_from_itself(a, peer);
    ops->disconnect(a, peer);
    return read;
}

static bool try(void) {
    struct adapter *a;
    struct adapter_config cfg = {.callbacks = {.on_packet = on_packet, .on_peer_lost = on_peer_lost},
                                 .run_dir = run_dir};
    int rc = ops->open(&a, &cfg);
    if (rc) {
        assert_int_equal(rc, WEFT_E_NOMEM);
        return false;
    }
    bool done = talk_to_itself(a);
    ops->close(a);
    return done;
}

static bool job(void) {
    size_t before = short_memory_live();
    bool done = try();
    assert_int_equal(short_memory_live(), before);
    return done;
}

static void each_allocation_fails(const struct adapter_ops *of) {
    ops = of;
    assert_true(try()); /* what a process makes once is no leak */
    size_t before = test_entries("/proc/self/fd");
    assert_in_range(short_memory_fail_each(job), 1, 1000);
    size_t after = test_entries("/proc/self/fd");
    /* libfabric's tcp keeps the socket of a connection that is being made when it closes. */
    if (strcmp(of->name, "ofi") != 0) assert_int_equal(after, before);
}

static void nomem__self(void **state) { each_allocation_fails(&adapter_self_ops); }
static void nomem__shm(void **state) { each_allocation_fails(&adapter_shm_ops); }
static void nomem__udp(void **state) { each_allocation_fails(&adapter_udp_ops); }
static void nomem__sim(void **state) { each_allocation_fails(&adapter_sim_ops); }

#if WEFT_HAVE_LIBFABRIC
static void nomem__ofi(void **state) {
    struct adapter *a;
    struct adapter_config cfg = {.callbacks = {.on_packet = on_packet, .on_peer_lost = on_peer_lost}};
    if (adapter_ofi_ops.open(&a, &cfg)) skip(); /* libfabric may not be there, or lack the provider */
    adapter_ofi_ops.close(a);
    each_allocation_fails(&adapter_ofi_ops);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nomem__self),
        cmocka_unit_test(nomem__shm),
        cmocka_unit_test(nomem__udp),
        cmocka_unit_test(nomem__sim),
#if WEFT_HAVE_LIBFABRIC
        cmocka_unit_test(nomem__ofi),
#endif
    };
    weft_board_alloc(WEFT_BOARD_OTHER, 1); /* made at the first count, and kept open */
    setenv("WEFT_OFI_PROVIDER", "tcp", 1);
    if (!mkdtemp(run_dir)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    weft_dir_remove(run_dir);
    return failed;
}
