/* udp: sockets of their own for the peers that most is sent to. The packets of these tests say their length
 * in their first two bytes. */
#include "adapter/conformance.h"
#include "adapter/udp_internal.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/le.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define HEAD       4
#define ENOUGH     64 /* sends after which a peer has its socket */
#define MANY_NODES 12

static const struct adapter_form form = {.length_at = 0, .least_bytes = HEAD, .kinds = 0xffff};

static const struct conformance udp = {
    .name = "udp", .ops = &adapter_udp_ops, .bind_host = "127.0.0.1", .form = &form};

static void fill(uint8_t *p, size_t len, unsigned seed) {
    uint16_t says = (uint16_t)len;
    pattern_fill(p + HEAD, len - HEAD, seed);
    memcpy(p, &says, sizeof says);
    p[2] = (uint8_t)seed;
    p[3] = 0;
}

static bool holds(const struct received *r, size_t len) {
    return r->len == len && le_get16(r->data) == len &&
           pattern_holds(r->data + HEAD, len - HEAD, r->data[2]);
}

static const struct udp *inside(const struct node *n) { return (const struct udp *)n->adapter; }

static void send_many(struct node *from, struct adapter_peer *peer, struct node *to, unsigned count,
                      size_t len) {
    uint8_t data[2048];
    for (unsigned i = 0; i < count; i++) {
        size_t before = to->count;
        fill(data, len, i % 200);
        assert_int_equal(node_send(from, peer, data, len), 1);
        node_wait(to, before + 1);
        assert_true(holds(&to->in[before], len));
    }
}

static void ping_pong(struct node *a, struct adapter_peer *to_b, struct node *b, struct adapter_peer *to_a) {
    for (int i = 0; i < ENOUGH; i++) {
        send_many(a, to_b, b, 1, 100);
        send_many(b, to_a, a, 1, 600);
    }
}

/* Two nodes with sockets of their own for each other. */
static void pair_open_connected(struct pair *p, struct adapter_peer **to_b, struct adapter_peer **to_a) {
    pair_open(p, &udp);
    *to_b = node_connect(p->a, p->b);
    *to_a = node_connect(p->b, p->a);
    ping_pong(p->a, *to_b, p->b, *to_a);
}

static void connected__both_ways_and_strangers_still_arrive(void **state) {
    struct pair p;
    struct node stranger;
    struct adapter_peer *to_b, *to_a;
    (void)state;
    pair_open_connected(&p, &to_b, &to_a);
    node_open(&stranger, &udp);
    assert_int_equal(inside(p.a)->connected_count, 1);
    assert_ptr_equal(inside(p.b)->connected[0].peer, to_a);
    for (size_t i = 0; i < p.b->count; i++) assert_ptr_equal(p.b->in[i].peer, to_a);
    struct adapter_peer *from_stranger = node_connect(&stranger, p.b);
    size_t before = p.b->count;
    send_many(&stranger, from_stranger, p.b, ENOUGH, 80);
    for (size_t i = before; i < p.b->count; i++) {
        assert_null(p.b->in[i].peer);
        assert_memory_equal(p.b->in[i].from, stranger.address, stranger.address_bytes);
    }
    ping_pong(p.a, to_b, p.b, to_a); /* and the way back to the connected one is found again */
    node_close(&stranger);
    pair_close(&p);
}

static void burst(struct pair *p, struct adapter_peer *peer, size_t count, size_t len, size_t last,
                  bool lie) {
    static uint8_t data[UDP_BURST_PACKETS][2048];
    struct adapter_packet_out out[UDP_BURST_PACKETS];
    for (size_t i = 0; i < count; i++) {
        size_t n = i + 1 < count ? len : last;
        fill(data[i], n, (unsigned)i);
        if (lie && i == 1) memset(data[i], 0xff, 2);
        out[i] = (struct adapter_packet_out){{{data[i], n}}};
    }
    assert_int_equal(p->a->adapter->ops->send(p->a->adapter, peer, out, count), count);
}

static void connected__packets_of_a_train_say_their_size(void **state) {
    struct pair p;
    struct adapter_peer *to_b, *to_a;
    (void)state;
    pair_open_connected(&p, &to_b, &to_a);
    node_forget(p.b);
    for (int round = 0; round < 3; round++) burst(&p, to_b, 44, 1456, 100, false);
    node_wait(p.b, 3 * 44);
    for (size_t i = 0; i < p.b->count; i++) {
        assert_true(holds(&p.b->in[i], i % 44 < 43 ? 1456 : 100));
        assert_int_equal(p.b->in[i].data[2], i % 44);
    }
    pair_close(&p);
}

/* A packet that lies about its size spoils the rest of its train only; nothing is read beyond the buffer. */
static void connected__a_lie_spoils_its_train_only(void **state) {
    struct pair p;
    struct adapter_peer *to_b, *to_a;
    (void)state;
    pair_open_connected(&p, &to_b, &to_a);
    node_forget(p.b);
    burst(&p, to_b, 10, 1000, 1000, true);
    node_wait(p.b, 2);
    assert_true(holds(&p.b->in[0], 1000));
    size_t rest = 0;
    for (size_t i = 1; i < p.b->count; i++) rest += p.b->in[i].len;
    assert_int_equal(rest, 9000);
    send_many(p.a, to_b, p.b, 1, 50);
    pair_close(&p);
}

/* Packets of different lengths, the last of which does not fit any more. */
static void send_unequal(struct node *from, struct adapter_peer *peer, struct node *to) {
    static const size_t len[] = {100, 40000, 300, 30000};
    static uint8_t data[4][40000];
    struct adapter_packet_out out[4] = {0};
    size_t before = to->count;
    uint64_t sends = weft_counter_named("udp_sends");
    for (unsigned i = 0; i < 4; i++) {
        fill(data[i], len[i], i);
        out[i].piece[1] = (struct iovec){data[i], len[i]};
    }
    assert_int_equal(from->adapter->ops->send(from->adapter, peer, out, 4), 4);
    assert_int_equal(weft_counter_named("udp_sends") - sends, 2);
    node_wait(to, before + 4);
    for (unsigned i = 0; i < 4; i++) assert_true(holds(&to->in[before + i], len[i]));
}

static void send__unequal_packets_share_a_datagram(void **state) {
    struct pair p;
    struct adapter_peer *to_b, *to_a;
    (void)state;
    pair_open(&p, &udp);
    to_b = node_connect(p.a, p.b);
    send_unequal(p.a, to_b, p.b);
    pair_close(&p);
    pair_open_connected(&p, &to_b, &to_a);
    send_unequal(p.a, to_b, p.b);
    pair_close(&p);
}

/* Their sender may know that the path carries no more at once than one of them. */
static void send__equal_packets_share_none(void **state) {
    static uint8_t data[1000];
    struct adapter_packet_out out[4] = {0};
    struct pair p;
    (void)state;
    pair_open(&p, &udp);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    peer->no_segmentation = true;
    fill(data, sizeof data, 1);
    for (unsigned i = 0; i < 4; i++) out[i].piece[1] = (struct iovec){data, sizeof data};
    uint64_t sends = weft_counter_named("udp_sends");
    assert_int_equal(p.a->adapter->ops->send(p.a->adapter, peer, out, 4), 4);
    assert_int_equal(weft_counter_named("udp_sends") - sends, 4);
    node_wait(p.b, 4);
    for (unsigned i = 0; i < 4; i++) assert_true(holds(&p.b->in[i], sizeof data));
    pair_close(&p);
}

static void connected__a_forgotten_peer_comes_again(void **state) {
    struct pair p;
    struct adapter_peer *to_b, *to_a;
    (void)state;
    pair_open_connected(&p, &to_b, &to_a);
    node_disconnect(p.b, to_a);
    size_t before = p.b->count;
    send_many(p.a, to_b, p.b, 3, 90);
    assert_null(p.b->in[before].peer);
    assert_memory_equal(p.b->in[before].from, p.a->address, p.a->address_bytes);
    to_a = node_connect(p.b, p.a);
    assert_ptr_equal(to_a->connected, &inside(p.b)->connected[0]);
    before = p.b->count;
    send_many(p.a, to_b, p.b, 1, 90);
    assert_ptr_equal(p.b->in[before].peer, to_a);
    ping_pong(p.a, to_b, p.b, to_a);
    pair_close(&p);
}

/* More peers than places: all are reached, and places change hands. */
static void connected__places_change_hands(void **state) {
    struct node hub, node[MANY_NODES];
    struct adapter_peer *to[MANY_NODES], *back[MANY_NODES];
    (void)state;
    node_open(&hub, &udp);
    for (int i = 0; i < MANY_NODES; i++) {
        node_open(&node[i], &udp);
        to[i] = node_connect(&hub, &node[i]);
        back[i] = node_connect(&node[i], &hub);
    }
    for (int i = 0; i < MANY_NODES; i++) ping_pong(&hub, to[i], &node[i], back[i]);
    assert_int_equal(inside(&hub)->connected_count, UDP_CONNECTED_MAX);
    assert_null(to[MANY_NODES - 1]->connected);
    for (int round = 0; round < 40; round++)
        send_many(&hub, to[MANY_NODES - 1], &node[MANY_NODES - 1], 100, 64);
    assert_non_null(to[MANY_NODES - 1]->connected);
    for (int i = 0; i < MANY_NODES; i++) ping_pong(&hub, to[i], &node[i], back[i]);
    unsigned found = 0;
    for (int i = 0; i < MANY_NODES; i++) found += to[i]->connected != NULL;
    assert_int_equal(found, UDP_CONNECTED_MAX);
    for (int i = 0; i < MANY_NODES; i++) node_close(&node[i]);
    node_close(&hub);
}

static void connected__a_refusal_is_a_hint(void **state) {
    struct pair p;
    struct adapter_peer *to_b, *to_a;
    (void)state;
    pair_open_connected(&p, &to_b, &to_a);
    node_close(p.b);
    uint8_t data[100];
    fill(data, sizeof data, 1);
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(node_send(p.a, to_b, data, sizeof data), 1);
        node_wait_lost(p.a, 0, i);
    }
    node_close(p.a);
}

static void connected__wakes_a_sleeper(void **state) {
    struct pair p;
    struct adapter_peer *to_b, *to_a;
    (void)state;
    pair_open_connected(&p, &to_b, &to_a);
    while (node_poll(p.b)) continue;
    assert_int_equal(p.b->adapter->ops->arm(p.b->adapter), 0);
    uint8_t data[100];
    fill(data, sizeof data, 1);
    assert_int_equal(node_send(p.a, to_b, data, sizeof data), 1);
    assert_true(node_fds_readable(p.b, 1000));
    p.b->adapter->ops->disarm(p.b->adapter);
    assert_int_equal(p.b->adapter->ops->arm(p.b->adapter), WEFT_E_AGAIN);
    node_wait(p.b, ENOUGH + 1);
    pair_close(&p);
}

/* Who sleeps already when a send of another thread opens the socket is woken by what comes through that one. */
static void connected__wakes_one_that_slept_before_it(void **state) {
    struct pair p;
    int fd;
    uint8_t data[100];
    (void)state;
    pair_open(&p, &udp);
    struct adapter_peer *to_b = node_connect(p.a, p.b), *to_a = node_connect(p.b, p.a);
    fill(data, sizeof data, 1);
    assert_int_equal(p.b->adapter->ops->arm(p.b->adapter), 0);
    assert_int_equal(p.b->adapter->ops->fds(p.b->adapter, &fd, 1), 1);
    while (!inside(p.b)->connected_count) assert_int_equal(node_send(p.b, to_a, data, sizeof data), 1);
    struct pollfd sleeper = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&sleeper, 1, 0), 0);
    assert_int_equal(node_send(p.a, to_b, data, sizeof data), 1);
    assert_int_equal(poll(&sleeper, 1, 20000), 1);
    p.b->adapter->ops->disarm(p.b->adapter);
    node_wait(p.b, 1);
    pair_close(&p);
}

/* SO_REUSEPORT lets programs of one user share a port: not this one. */
static void connected__nobody_can_join(void **state) {
    struct pair p;
    struct adapter_peer *to_b, *to_a;
    int one = 1;
    (void)state;
    pair_open_connected(&p, &to_b, &to_a);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one), 0);
    assert_int_equal(bind(fd, &inside(p.a)->local.sa, sizeof(struct sockaddr_in)), -1);
    assert_int_equal(errno, EADDRINUSE);
    close(fd);
    pair_close(&p);
}

static int error_to_inject, errors_left;
static ssize_t failing_send(int fd, const void *bytes, size_t len, int flags) {
    if (errors_left-- > 0) {
        errno = error_to_inject;
        return -1;
    }
    return send(fd, bytes, len, flags);
}

static void connected__failures_of_send(void **state) {
    static const int no_room[] = {EAGAIN, ENOBUFS}, passing[] = {EINTR, ECONNREFUSED};
    struct pair p;
    struct adapter_peer *to_b, *to_a;
    uint8_t data[100];
    (void)state;
    pair_open_connected(&p, &to_b, &to_a);
    fill(data, sizeof data, 1);
    udp_send_bytes = failing_send;
    for (int i = 0; i < 2; i++) {
        error_to_inject = no_room[i];
        errors_left = 1;
        assert_int_equal(node_send(p.a, to_b, data, sizeof data), 0);
        error_to_inject = passing[i];
        errors_left = 1;
        send_many(p.a, to_b, p.b, 1, 100);
        assert_true(errors_left <= 0);
    }
    error_to_inject = ENETUNREACH; /* lost, like any packet may be */
    errors_left = 1000;
    assert_int_equal(node_send(p.a, to_b, data, sizeof data), 1);
    node_wait_lost(p.a, 0, 1);
    error_to_inject = EMSGSIZE;
    assert_int_equal(node_send(p.a, to_b, data, sizeof data), WEFT_E_TOO_BIG);
    udp_send_bytes = send;
    pair_close(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connected__both_ways_and_strangers_still_arrive),
        cmocka_unit_test(connected__packets_of_a_train_say_their_size),
        cmocka_unit_test(connected__a_lie_spoils_its_train_only),
        cmocka_unit_test(send__unequal_packets_share_a_datagram),
        cmocka_unit_test(send__equal_packets_share_none),
        cmocka_unit_test(connected__a_forgotten_peer_comes_again),
        cmocka_unit_test(connected__places_change_hands),
        cmocka_unit_test(connected__a_refusal_is_a_hint),
        cmocka_unit_test(connected__wakes_a_sleeper),
        cmocka_unit_test(connected__wakes_one_that_slept_before_it),
        cmocka_unit_test(connected__nobody_can_join),
        cmocka_unit_test(connected__failures_of_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
