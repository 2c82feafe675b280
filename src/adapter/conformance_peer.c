/* Conformance: peers that come, go, come back, cross, and are dropped in the middle of a callback. */
#include "adapter/conformance.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static void peer__unknown_then_known(void **state) {
    struct pair p;
    pair_open(&p, *state);
    struct adapter_peer *ab = node_connect(p.a, p.b), *ba;
    assert_int_equal(node_send(p.a, ab, "1", 1), 1);
    node_wait(p.b, 1);
    if (p.a != p.b) assert_null(p.b->in[0].peer);
    assert_int_equal(p.b->adapter->ops->connect(p.b->adapter, p.b->in[0].from, p.b->in[0].from_bytes, &ba),
                     0);
    assert_int_equal(node_send(p.a, ab, "2", 1), 1);
    node_wait(p.b, 2);
    assert_ptr_equal(p.b->in[1].peer, ba);
    node_forget(p.b);
    assert_int_equal(node_send(p.b, ba, "3", 1), 1);
    node_wait(p.a, 1);
    assert_ptr_equal(p.a->in[0].peer, ab);
    node_disconnect(p.b, ba);
    node_disconnect(p.a, ab);
    pair_close(&p);
}

/* Both connect before either has heard of the other. */
static void peer__crossing_connects(void **state) {
    struct pair p;
    pair_open(&p, *state);
    if (p.a == p.b) {
        pair_close(&p);
        skip();
    }
    struct adapter_peer *ab = node_connect(p.a, p.b), *ba = node_connect(p.b, p.a);
    for (uint8_t i = 0; i < 100; i++) {
        assert_int_equal(node_send(p.a, ab, &i, 1), 1);
        assert_int_equal(node_send(p.b, ba, &i, 1), 1);
        if (i % 10 == 0) node_poll(p.a);
        if (i % 7 == 0) node_poll(p.b);
    }
    node_wait(p.a, 100);
    node_wait(p.b, 100);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(p.a->in[i].data[0], i);
        assert_int_equal(p.b->in[i].data[0], i);
        assert_ptr_equal(p.a->in[i].peer, ab);
        assert_ptr_equal(p.b->in[i].peer, ba);
    }
    assert_int_equal(p.a->lost_count + p.b->lost_count, 0);
    node_disconnect(p.a, ab);
    if (node_caps(p.b) & ADAPTER_CAP_PEER_DEATH) node_wait_lost(p.b, 1, 0);
    node_disconnect(p.b, ba);
    pair_close(&p);
}

static void peer__to_itself(void **state) {
    struct node n;
    node_open(&n, *state);
    struct adapter_peer *me = node_connect(&n, &n);
    for (uint8_t i = 0; i < 50; i++) assert_int_equal(node_send(&n, me, &i, 1), 1);
    node_wait(&n, 50);
    for (uint8_t i = 0; i < 50; i++) {
        assert_int_equal(n.in[i].data[0], i);
        assert_ptr_equal(n.in[i].peer, me);
    }
    node_disconnect(&n, me);
    node_close(&n);
}

/* What was sent arrives, though its sender has forgotten the peer before that picked up. */
static void peer__send_and_disconnect(void **state) {
    struct pair p;
    pair_open(&p, *state);
    for (uint8_t round = 0; round < 50; round++) {
        struct adapter_peer *ab = node_connect(p.a, p.b);
        assert_int_equal(node_send(p.a, ab, &round, 1), 1);
        node_disconnect(p.a, ab);
        if (round % 5 == 0) node_wait(p.b, round + 1u);
    }
    node_wait(p.b, 50);
    for (uint8_t i = 0; i < 50; i++) assert_int_equal(p.b->in[i].data[0], i);
    assert_int_equal(p.b->lost_count, 0); /* b has never asked for this peer */
    pair_close(&p);
}

/* b holds its peer while a goes and comes back: where the adapter tells, b hears of the loss, and can connect
 * anew. */
static void peer__reconnect(void **state) {
    struct pair p;
    pair_open(&p, *state);
    if (p.a == p.b) {
        pair_close(&p);
        skip();
    }
    bool tells = node_caps(p.a) & ADAPTER_CAP_PEER_DEATH;
    for (unsigned round = 0; round < 20; round++) {
        struct adapter_peer *ab = node_connect(p.a, p.b), *ba = node_connect(p.b, p.a);
        assert_int_equal(node_send(p.a, ab, "hello", 5), 1);
        node_wait(p.b, 1);
        assert_int_equal(node_send(p.b, ba, "you", 3), 1);
        node_wait(p.a, 1);
        node_disconnect(p.a, ab);
        if (round % 2) node_poll(p.b);
        ab = node_connect(p.a, p.b);
        assert_int_equal(node_send(p.a, ab, "again", 5), 1);
        node_wait(p.b, 2);
        if (tells) {
            node_wait_lost(p.b, round + 1, 0);
            assert_ptr_equal(p.b->lost, ba);
            assert_int_equal(node_send(p.b, ba, "x", 1), WEFT_E_PEER_LOST);
            assert_null(p.b->in[1].peer);
        }
        node_disconnect(p.b, ba);
        node_disconnect(p.a, ab);
        node_forget(p.a);
        node_forget(p.b);
        node_poll(p.a);
        node_poll(p.b);
    }
    pair_close(&p);
}

#define MANY 24
static void peer__many(void **state) {
    const struct conformance *c = *state;
    struct node hub, n[MANY];
    struct adapter_peer *up[MANY], *down[MANY];
    if (c->itself_only) skip();
    node_open(&hub, c);
    for (uint8_t i = 0; i < MANY; i++) {
        node_open(&n[i], c);
        up[i] = node_connect(&n[i], &hub);
    }
    for (int round = 0; round < 20; round++)
        for (uint8_t i = 0; i < MANY; i++) assert_int_equal(node_send(&n[i], up[i], &i, 1), 1);
    node_wait(&hub, 20 * MANY);
    for (uint8_t i = 0; i < MANY; i++) {
        down[i] = node_connect(&hub, &n[i]);
        assert_int_equal(node_send(&hub, down[i], &i, 1), 1);
        node_wait(&n[i], 1);
        assert_int_equal(n[i].in[0].data[0], i);
        assert_ptr_equal(n[i].in[0].peer, up[i]);
    }
    for (uint8_t i = 0; i < MANY; i++) node_close(&n[i]);
    if (node_caps(&hub) & ADAPTER_CAP_PEER_DEATH) node_wait_lost(&hub, MANY, 0);
    for (uint8_t i = 0; i < MANY; i++) node_disconnect(&hub, down[i]);
    node_close(&hub);
}

static void answer_and_drop(struct node *n, const struct adapter_packet_in *p) {
    struct adapter_peer *peer;
    size_t *calls = n->arg;
    ++*calls;
    assert_int_equal(n->adapter->ops->connect(n->adapter, p->from, p->from_bytes, &peer), 0);
    assert_int_equal(node_send(n, peer, p->data, p->len_bytes), 1);
    node_disconnect(n, peer);
}

static void peer__dropped_inside_the_callback(void **state) {
    struct pair p;
    pair_open(&p, *state);
    if (p.a == p.b) {
        pair_close(&p);
        skip();
    }
    size_t calls = 0;
    p.b->on_packet = answer_and_drop;
    p.b->arg = &calls;
    for (size_t i = 1; i <= 30; i++) {
        struct adapter_peer *ab = node_connect(p.a, p.b);
        assert_int_equal(node_send(p.a, ab, "ping", 4), 1);
        assert_int_equal(node_send(p.a, ab, "ping", 4), 1);
        while (calls < i) node_poll(p.b);
        node_wait(p.a, i);
        node_disconnect(p.a, ab);
        calls = i;
        while (p.a->count > i) free(p.a->in[--p.a->count].data);
        for (int k = 0; k < 3; k++) node_poll(p.b);
        calls = i;
    }
    pair_close(&p);
}

static void close__with_everything_open(void **state) {
    struct pair p;
    pair_open(&p, *state);
    struct adapter_peer *ab = node_connect(p.a, p.b);
    node_connect(p.b, p.a);
    for (int i = 0; i < 20; i++) assert_int_equal(node_send(p.a, ab, "unread", 6), 1);
    node_wait(p.b,
              1); /* libfabric's tcp keeps the socket of a connection that is being made when it closes */
    for (int i = 0; i < 20; i++) assert_int_equal(node_send(p.a, ab, "unread", 6), 1);
    p.a->adapter->ops->arm(p.a->adapter);
    pair_close(&p);
}

const struct CMUnitTest conformance_peer[] = {
    cmocka_unit_test(peer__unknown_then_known),
    cmocka_unit_test(peer__crossing_connects),
    cmocka_unit_test(peer__to_itself),
    cmocka_unit_test(peer__send_and_disconnect),
    cmocka_unit_test(peer__reconnect),
    cmocka_unit_test(peer__many),
    cmocka_unit_test(peer__dropped_inside_the_callback),
    cmocka_unit_test(close__with_everything_open),
};
const size_t conformance_peer_count = sizeof conformance_peer / sizeof *conformance_peer;
