/* The endpoint over a udp adapter that loses, doubles and reorders packets: it stands in for the real table
 * of adapters. */
#include "adapter/adapter.h"
#include "base/error.h"
#include "transport/ep_fixture.h"

#include <stdlib.h>
#include <string.h>

#define DELAYED_MAX 2048

static _Thread_local uint64_t random_state = 88172645463325252ull;
static unsigned percent(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 20) % 100;
}

static unsigned loss, doubles, delays; /* percent */
static atomic_uint dropped, doubled, delayed;

/* One packet is held back until the next call. */
static struct {
    uint8_t data[DELAYED_MAX];
    size_t len;
    struct adapter *a;
    struct adapter_peer *peer;
} held;
static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;

static void hold_back(struct adapter *a, struct adapter_peer *peer, const struct adapter_packet_out *p) {
    size_t len = 0;
    for (int i = 0; i < 3; i++) {
        if (len + p->piece[i].iov_len > DELAYED_MAX) return;
        if (p->piece[i].iov_len) memcpy(held.data + len, p->piece[i].iov_base, p->piece[i].iov_len);
        len += p->piece[i].iov_len;
    }
    held.len = len;
    held.a = a;
    held.peer = peer;
}

static void let_go(struct adapter *a, struct adapter_peer *peer) {
    if (!held.len || held.a != a || held.peer != peer) return;
    struct adapter_packet_out out = {{{held.data, held.len}, {NULL, 0}, {NULL, 0}}};
    adapter_udp_ops.send(a, peer, &out, 1);
    held.len = 0;
}

static int lossy_send(struct adapter *a, struct adapter_peer *peer, const struct adapter_packet_out *packets,
                      size_t count) {
    pthread_mutex_lock(&held_lock);
    let_go(a, peer);
    for (size_t i = 0; i < count; i++) {
        if (percent() < loss) {
            dropped++;
            continue;
        }
        if (!held.len && percent() < delays) {
            hold_back(a, peer, &packets[i]);
            delayed++;
            continue;
        }
        bool twice = percent() < doubles;
        for (int n = 0; n <= twice; n++) adapter_udp_ops.send(a, peer, &packets[i], 1);
        doubled += twice;
    }
    pthread_mutex_unlock(&held_lock);
    return (int)count;
}

/* As on a real network: the loopback device would take packets of 64 KiB. */
static size_t short_packets(struct adapter *a, struct adapter_peer *peer) { return 1472; }

/* In place of the table in adapter.c. */
static struct adapter_ops lossy;
static int lossy_open(struct adapter **out, const struct adapter_config *cfg) {
    int rc = adapter_udp_ops.open(out, cfg);
    if (rc == 0) (*out)->ops = &lossy;
    return rc;
}
static const struct adapter_ops *const list[] = {&adapter_self_ops, &lossy, NULL};
const struct adapter_ops *const *adapter_list(void) { return list; }
const struct adapter_ops *adapter_find(const char *name) {
    return strcmp(name, "udp") == 0 ? &lossy : strcmp(name, "self") == 0 ? &adapter_self_ops : NULL;
}

static void traffic(unsigned l, unsigned d, unsigned r, size_t len) {
    enum { SMALL = 2000, BULK = 4 };
    struct fx a, b;
    uint8_t *data = malloc(len);
    lossy = adapter_udp_ops;
    lossy.open = lossy_open;
    lossy.send = lossy_send;
    lossy.path_packet_bytes = short_packets;
    dropped = doubled = delayed = 0;
    held.len = 0;
    loss = l;
    doubles = d;
    delays = r;
    fx_fill(data, len, 6);
    fx_open(&b, "udp", true);
    fx_open(&a, "udp", false);
    fx_connect(&a, &b);
    for (int i = 0; i < BULK; i++) {
        fx_send(&a, a.peer, H_BULK, 1, (uint64_t)i, 6, data, len);
        for (int k = 0; k < SMALL / BULK; k++)
            fx_send(&a, a.peer, H_COUNT, 0, (uint64_t)(i * (SMALL / BULK) + k), 0, NULL, 0);
    }
    fx_await(&a, &a.sent, BULK);
    fx_await(&b, &b.received, SMALL + BULK);
    fx_await(&b, &b.bulk_done, BULK);
    print_message("%u packets dropped, %u doubled, %u delayed\n", dropped, doubled, delayed);
    assert_true(dropped > 10 && doubled > 0 && delayed > 0);
    assert_int_equal(b.received, SMALL + BULK);
    assert_int_equal(b.bad_data, 0);
    assert_int_equal(b.disorder, 0);
    assert_int_equal(a.downs + b.downs, 0);
    fx_close(&a);
    fx_close(&b);
    free(data);
}

static void lossy__one_percent(void **state) { traffic(1, 1, 1, 4 << 20); }
static void lossy__ten_percent(void **state) { traffic(10, 5, 10, 1 << 20); }
static void lossy__a_third(void **state) { traffic(33, 10, 10, 256 << 10); }

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lossy__one_percent),
        cmocka_unit_test(lossy__ten_percent),
        cmocka_unit_test(lossy__a_third),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
