/* udp: what the conformance suite cannot see. Failures of the system are injected into its send call. */
#include "adapter/conformance.h"
#include "adapter/udp_internal.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/le.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static const struct conformance udp = {.name = "udp", .ops = &adapter_udp_ops, .bind_host = "127.0.0.1"};

/* The injected send: fails with `error` while `failures` last, those of offloaded bursts only if so asked. */
static struct {
    int error, failures;
    bool only_bursts;
    int calls, bursts;
    size_t pieces;
} inject;

static ssize_t injected_sendmsg(int fd, const struct msghdr *msg, int flags) {
    bool burst = msg->msg_controllen != 0;
    inject.calls++;
    inject.bursts += burst;
    inject.pieces += msg->msg_iovlen;
    if (inject.failures > 0 && (burst || !inject.only_bursts)) {
        inject.failures--;
        errno = inject.error;
        return -1;
    }
    return sendmsg(fd, msg, flags);
}

static void inject_failures(int error, int failures, bool only_bursts) {
    memset(&inject, 0, sizeof inject);
    inject.error = error;
    inject.failures = failures;
    inject.only_bursts = only_bursts;
}

static int setup(void **state) {
    (void)state;
    inject_failures(0, 0, false);
    udp_sendmsg = injected_sendmsg;
    return 0;
}

static int send_burst(struct pair *p, struct adapter_peer *peer, size_t count, size_t len) {
    static uint8_t data[65536];
    struct adapter_packet_out out[UDP_BURST_PACKETS];
    for (size_t i = 0; i < count; i++) out[i] = (struct adapter_packet_out){{{data, len}}};
    return p->a->adapter->ops->send(p->a->adapter, peer, out, count);
}

static void udp_packet_bytes_of_mtu__usual_mtus(void **state) {
    (void)state;
    assert_int_equal(udp_packet_bytes_of_mtu(AF_INET, 1500), 1456);
    assert_int_equal(udp_packet_bytes_of_mtu(AF_INET, 9000), 8944);
    assert_int_equal(udp_packet_bytes_of_mtu(AF_INET, 65536), UDP_PACKET_MAX);
    assert_int_equal(udp_packet_bytes_of_mtu(AF_INET6, 1500), 1424);
    assert_in_range(udp_packet_bytes_of_mtu(AF_INET6, 65536), 61440 + 48, 65487);
    assert_int_equal(udp_packet_bytes_of_mtu(AF_INET, 0), UDP_PACKET_MIN);
}

static void send__superpacket_is_one_call(void **state) {
    static const size_t shape[][2] = {{44, 1456}, {7, 8944}, {1, 61440 + 48}};
    struct pair p;
    (void)state;
    pair_open(&p, &udp);
    if (!(node_caps(p.a) & ADAPTER_CAP_BURST)) {
        pair_close(&p);
        skip();
    }
    struct adapter_peer *peer = node_connect(p.a, p.b);
    for (int i = 0; i < 3; i++) {
        inject_failures(0, 0, false);
        assert_int_equal(send_burst(&p, peer, shape[i][0], shape[i][1]), shape[i][0]);
        assert_int_equal(inject.calls, 1);
        node_wait(p.b, shape[i][0]);
        node_forget(p.b);
    }
    node_disconnect(p.a, peer);
    pair_close(&p);
}

/* What lies one behind the other is one piece for the system. */
static void send__adjacent_pieces_are_one(void **state) {
    static uint8_t data[10 * 1456];
    struct adapter_packet_out out[10];
    struct pair p;
    (void)state;
    pair_open(&p, &udp);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i / 1456 + 3 * i);
    for (size_t i = 0; i < 10; i++)
        out[i] = (struct adapter_packet_out){
            {{data + i * 1456, 32}, {data + i * 1456 + 32, 1408}, {data + i * 1456 + 1440, 16}}};
    inject_failures(0, 0, false);
    assert_int_equal(p.a->adapter->ops->send(p.a->adapter, peer, out, 10), 10);
    assert_int_equal(inject.pieces, node_caps(p.a) & ADAPTER_CAP_BURST ? 1 : 10);
    node_wait(p.b, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(p.b->in[i].len, 1456);
        assert_memory_equal(p.b->in[i].data, data + i * 1456, 1456);
    }
    node_disconnect(p.a, peer);
    pair_close(&p);
}

static void send__segmentation_fails(void **state) {
    static const int errors[] = {EIO, EINVAL, EOPNOTSUPP, EMSGSIZE};
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct pair p;
        pair_open(&p, &udp);
        struct adapter_peer *peer = node_connect(p.a, p.b);
        uint64_t before = weft_counter_named("udp_no_segmentation");
        inject_failures(errors[i], 1000, true);
        assert_int_equal(send_burst(&p, peer, 10, 1456), 10);
        node_wait(p.b, 10);
        for (int k = 0; k < 10; k++) assert_int_equal(p.b->in[k].len, 1456);
        assert_int_equal(inject.bursts, 1);
        assert_int_equal(send_burst(&p, peer, 10, 1456), 10); /* remembered */
        assert_int_equal(inject.bursts, 1);
        assert_int_equal(weft_counter_named("udp_no_segmentation"), before + 1);
        node_disconnect(p.a, peer);
        pair_close(&p);
    }
}

static void send__path_shrinks(void **state) {
    struct pair p;
    (void)state;
    pair_open(&p, &udp);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    size_t before = p.a->adapter->ops->path_packet_bytes(p.a->adapter, peer);
    inject_failures(EMSGSIZE, 1000, false);
    while (send_burst(&p, peer, 1, before) != WEFT_E_TOO_BIG) continue;
    size_t after = p.a->adapter->ops->path_packet_bytes(p.a->adapter, peer);
    assert_in_range(after, UDP_PACKET_MIN, before - 1);
    inject_failures(0, 0, false);
    assert_int_equal(send_burst(&p, peer, 1, before), WEFT_E_TOO_BIG);
    assert_int_equal(send_burst(&p, peer, 1, after), 1);
    node_wait(p.b, 1);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

static void send__no_room_now(void **state) {
    static const int errors[] = {EAGAIN, ENOBUFS, ENOMEM};
    struct pair p;
    (void)state;
    pair_open(&p, &udp);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        inject_failures(errors[i], 1, false);
        assert_int_equal(send_burst(&p, peer, 3, 100), 0);
        assert_int_equal(send_burst(&p, peer, 3, 100), 3);
    }
    node_wait(p.b, 9);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

/* A firewall, a missing route: the packets are lost, as any may be, and the peer is suspected. */
static void send__no_way_out(void **state) {
    static const int errors[] = {EPERM, ENETUNREACH, EHOSTUNREACH};
    struct pair p;
    (void)state;
    pair_open(&p, &udp);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++) {
        inject_failures(errors[i], 1000, false);
        assert_int_equal(send_burst(&p, peer, 3, 100), 3);
        inject_failures(0, 0, false);
        assert_int_equal(p.a->adapter->ops->arm(p.a->adapter), WEFT_E_AGAIN);
        node_wait_lost(p.a, 0, i + 1);
    }
    /* The echo of another packet's error is not this packet's. */
    inject_failures(ECONNREFUSED, 1, false);
    assert_int_equal(send_burst(&p, peer, 3, 100), 3);
    node_wait(p.b, 3);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

static void poll__counts_drops(void **state) {
    struct pair p;
    (void)state;
    pair_open(&p, &udp);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    uint64_t before = weft_counter_named("udp_drops");
    size_t fit = p.b->adapter->attr.receive_window_bytes / 61488 + 1, sent = 0;
    while (sent < 3 * fit) sent += (size_t)send_burst(&p, peer, 1, 61488);
    while (node_poll(p.b)) continue;
    assert_int_equal(send_burst(&p, peer, 1, 10), 1); /* brings the count along */
    size_t got = p.b->count;
    node_wait(p.b, got + 1);
    assert_in_range(got, fit, sent - 1);
    assert_int_equal(weft_counter_named("udp_drops") - before, sent - got);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

static int stranger(const struct node *to, struct sockaddr_in *sa) {
    *sa = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    sa->sin_port = htons((uint16_t)(to->address[2] | to->address[3] << 8));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

/* A train longer and of other sizes than this adapter sends, zero-length datagrams before and after. */
static void poll__splits_any_train(void **state) {
    static uint8_t data[60100];
    struct node n;
    struct sockaddr_in sa;
    int segment = 600;
    (void)state;
    node_open(&n, &udp);
    int fd = stranger(&n, &sa);
    assert_int_equal(sendto(fd, "", 0, 0, (struct sockaddr *)&sa, sizeof sa), 0);
    if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment)) skip();
    pattern_fill(data, sizeof data, 1);
    assert_int_equal(sendto(fd, data, sizeof data, 0, (struct sockaddr *)&sa, sizeof sa), sizeof data);
    assert_int_equal(sendto(fd, "", 0, 0, (struct sockaddr *)&sa, sizeof sa), 0);
    node_wait(&n, 1 + 101 + 1);
    assert_int_equal(n.in[0].len, 0);
    for (size_t i = 0; i < 101; i++) {
        assert_int_equal(n.in[1 + i].len, i < 100 ? 600 : 100);
        assert_memory_equal(n.in[1 + i].data, data + i * 600, n.in[1 + i].len);
        assert_null(n.in[1 + i].peer);
    }
    assert_int_equal(n.in[102].len, 0);
    close(fd);
    node_close(&n);
}

/* Packets of 40 bytes at least, which say their length at 4 and whose first byte ends in 3 or 5. */
static const struct adapter_form form = {.length_at = 4, .least_bytes = 40, .kinds = 1 << 3 | 1 << 5};
static const struct conformance formed = {
    .name = "udp", .ops = &adapter_udp_ops, .bind_host = "127.0.0.1", .form = &form};

static void make_formed(uint8_t *p, uint8_t first, uint16_t says) {
    p[0] = first;
    le_put16(p + 4, says);
}

/* What cannot be a packet never gets here; what can, alone or first in a train, does. */
static void poll__does_not_see_what_is_no_packet(void **state) {
    static const struct {
        uint8_t first;
        uint16_t says;
        size_t len;
        bool passes;
    } cases[] = {
        {0x03, 40, 40, true},  {0xf5, 300, 300, true},    {0x15, 999, 999, true},  {0x13, 100, 100, true},
        {0x04, 40, 40, false}, {0x00, 40, 40, false},     {0x0f, 40, 40, false},   {0x03, 41, 40, false},
        {0x03, 39, 39, false}, {0x03, 0xffff, 40, false}, {0x03, 39, 500, false},  {0x03, 0, 0, false},
        {0x03, 0x2803, 5, false},
    };
    uint8_t p[1000] = {0};
    struct node n;
    struct sockaddr_in sa;
    unsigned passed = 0;
    (void)state;
    node_open(&n, &formed);
    int fd = stranger(&n, &sa), segment = 600;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_formed(p, cases[i].first, cases[i].says);
        sendto(fd, p, cases[i].len, 0, (struct sockaddr *)&sa, sizeof sa);
        if (!cases[i].passes) continue;
        node_wait(&n, ++passed);
        assert_int_equal(n.in[passed - 1].len, cases[i].len);
    }
    make_formed(p, 0x13, 100); /* the rest is another one, or nothing */
    sendto(fd, p, 101, 0, (struct sockaddr *)&sa, sizeof sa);
    node_wait(&n, passed += 2);
    assert_int_equal(n.in[passed - 2].len, 100);
    assert_int_equal(n.in[passed - 1].len, 1);
    static uint8_t train[3 * 600];
    for (size_t i = 0; i < 3; i++) make_formed(train + i * 600, 0x05, 600);
    if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) == 0) {
        sendto(fd, train, sizeof train, 0, (struct sockaddr *)&sa, sizeof sa);
        passed += 3;
    }
    node_wait(&n, passed);
    assert_int_equal(node_poll(&n), 0);
    assert_int_equal(n.count, passed);
    close(fd);
    node_close(&n);
}

static void open__refuses_bad_hosts(void **state) {
    static const char *const hosts[] = {"",      "localhost",        "0.0.0.0",  "::", "127.0.0.1 ",
                                        "1.2.3", "fe80::1%nosuchif", "192.0.2.1" /* not ours */};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct adapter *a = NULL;
        struct adapter_config cfg = {.bind_host = hosts[i]};
        assert_int_equal(adapter_udp_ops.open(&a, &cfg), WEFT_E_INVAL);
        assert_null(a);
    }
}

static void reachable__loopback_means_this_host(void **state) {
    struct node n;
    (void)state;
    node_open(&n, &udp);
    struct adapter_peer *peer;
    uint8_t blob[ADAPTER_ADDRESS_MAX];
    memcpy(blob, n.address, n.address_bytes);
    blob[n.address_bytes - 1] ^= 1; /* of another host, or network namespace */
    assert_false(adapter_udp_ops.reachable(n.adapter, blob, n.address_bytes));
    assert_int_equal(adapter_udp_ops.connect(n.adapter, blob, n.address_bytes, &peer), WEFT_E_UNREACHABLE);
    static const uint8_t elsewhere[] = {4,   0, 0x34, 0x12,
                                        192, 0, 2,    1}; /* a loopback socket cannot send there */
    assert_false(adapter_udp_ops.reachable(n.adapter, elsewhere, sizeof elsewhere));
    static const uint8_t multicast[] = {4, 0, 0x34, 0x12, 224, 0, 0, 1};
    assert_int_equal(adapter_udp_ops.connect(n.adapter, multicast, sizeof multicast, &peer), WEFT_E_INVAL);
    node_close(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(udp_packet_bytes_of_mtu__usual_mtus),
        cmocka_unit_test_setup(send__superpacket_is_one_call, setup),
        cmocka_unit_test_setup(send__adjacent_pieces_are_one, setup),
        cmocka_unit_test_setup(send__segmentation_fails, setup),
        cmocka_unit_test_setup(send__path_shrinks, setup),
        cmocka_unit_test_setup(send__no_room_now, setup),
        cmocka_unit_test_setup(send__no_way_out, setup),
        cmocka_unit_test_setup(poll__counts_drops, setup),
        cmocka_unit_test_setup(poll__splits_any_train, setup),
        cmocka_unit_test_setup(poll__does_not_see_what_is_no_packet, setup),
        cmocka_unit_test_setup(open__refuses_bad_hosts, setup),
        cmocka_unit_test_setup(reachable__loopback_means_this_host, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
