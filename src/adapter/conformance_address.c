/* Conformance: addresses, good and bad. */
#include "adapter/conformance.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static void address__fits_and_is_stable(void **state) {
    struct node n;
    node_open(&n, *state);
    uint8_t again[ADAPTER_ADDRESS_MAX];
    size_t len = sizeof again, small = n.address_bytes - 1;
    assert_int_equal(n.adapter->ops->address(n.adapter, again, &len), 0);
    assert_int_equal(len, n.address_bytes);
    assert_memory_equal(again, n.address, len);
    assert_int_equal(n.adapter->ops->address(n.adapter, again, &small), WEFT_E_TOO_BIG);
    node_close(&n);
}

static void reachable__own_and_peer(void **state) {
    struct pair p;
    pair_open(&p, *state);
    assert_true(p.a->adapter->ops->reachable(p.a->adapter, p.b->address, p.b->address_bytes));
    assert_true(p.a->adapter->ops->reachable(p.a->adapter, p.a->address, p.a->address_bytes));
    pair_close(&p);
}

static void try_address(struct node *n, const void *blob, size_t len) {
    struct adapter_peer *peer = NULL;
    const struct adapter_ops *ops = n->adapter->ops;
    /* Exactly as large as it claims to be, so that a read past the end is seen. */
    void *copy = malloc(len ? len : 1);
    if (len) memcpy(copy, blob, len);
    bool reachable = ops->reachable(n->adapter, copy, len);
    int rc = ops->connect(n->adapter, copy, len, &peer);
    free(copy);
    assert_in_range(-rc, 0, 20);
    if (rc == 0) {
        assert_true(reachable);
        ops->disconnect(n->adapter, peer);
    } else {
        assert_null(peer);
    }
}

static void connect__truncated_is_refused(void **state) {
    struct node n;
    node_open(&n, *state);
    for (size_t len = 0; len < n.address_bytes; len++) {
        struct adapter_peer *peer;
        assert_false(n.adapter->ops->reachable(n.adapter, n.address, len));
        assert_true(n.adapter->ops->connect(n.adapter, n.address, len, &peer) < 0);
    }
    node_close(&n);
}

static void connect__longer_is_refused(void **state) {
    struct node n;
    node_open(&n, *state);
    uint8_t blob[ADAPTER_ADDRESS_MAX + 1] = {0};
    memcpy(blob, n.address, n.address_bytes);
    struct adapter_peer *peer;
    for (size_t len = n.address_bytes + 1; len <= sizeof blob; len++)
        assert_true(n.adapter->ops->connect(n.adapter, blob, len, &peer) < 0);
    node_close(&n);
}

static void connect__junk(void **state) {
    struct node n;
    node_open(&n, *state);
    unsigned seed = 1;
    for (int i = 0; i < 3000; i++) {
        uint8_t blob[ADAPTER_ADDRESS_MAX];
        for (size_t k = 0; k < sizeof blob; k++) blob[k] = (uint8_t)rand_r(&seed);
        if (i % 3) blob[0] = n.address[0]; /* past the first check */
        try_address(&n, blob, (size_t)rand_r(&seed) % (sizeof blob + 1));
    }
    node_close(&n);
}

static void connect__every_bit_flipped(void **state) {
    struct node n;
    node_open(&n, *state);
    for (size_t bit = 0; bit < 8 * n.address_bytes; bit++) {
        uint8_t blob[ADAPTER_ADDRESS_MAX];
        memcpy(blob, n.address, n.address_bytes);
        blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
        try_address(&n, blob, n.address_bytes);
    }
    node_close(&n);
}

/* Nobody is there any more: refused at once, or found out when a packet comes back. */
static void connect__closed_peer(void **state) {
    const struct conformance *c = *state;
    struct node gone, n;
    node_open(&gone, c);
    node_open(&n, c);
    uint8_t address[ADAPTER_ADDRESS_MAX];
    size_t len = gone.address_bytes;
    memcpy(address, gone.address, len);
    node_close(&gone);
    struct adapter_peer *peer = NULL;
    int rc = n.adapter->ops->connect(n.adapter, address, len, &peer);
    if (rc == 0) {
        assert_int_equal(node_send(&n, peer, "x", 1), 1);
        node_wait_lost(&n, 0, 1);
        node_disconnect(&n, peer);
    } else {
        assert_true(rc == WEFT_E_REFUSED || rc == WEFT_E_UNREACHABLE);
    }
    node_close(&n);
}

static void connect__twice_gives_the_same_peer(void **state) {
    struct pair p;
    pair_open(&p, *state);
    struct adapter_peer *first = node_connect(p.a, p.b), *second = node_connect(p.a, p.b);
    assert_ptr_equal(first, second);
    node_disconnect(p.a, first);
    assert_int_equal(node_send(p.a, second, "still", 5), 1);
    node_wait(p.b, 1);
    node_disconnect(p.a, second);
    pair_close(&p);
}

static void open__many_at_once(void **state) {
    const struct conformance *c = *state;
    struct node n[8];
    for (int i = 0; i < 8; i++) node_open(&n[i], c);
    for (int i = 0; i < 8; i++) {
        for (int k = 0; k < i; k++) {
            bool same = n[i].address_bytes == n[k].address_bytes &&
                        !memcmp(n[i].address, n[k].address, n[i].address_bytes);
            assert_false(same);
        }
    }
    for (int i = 0; i < 8; i++) node_close(&n[i]);
}

const struct CMUnitTest conformance_address[] = {
    cmocka_unit_test(address__fits_and_is_stable),
    cmocka_unit_test(reachable__own_and_peer),
    cmocka_unit_test(connect__truncated_is_refused),
    cmocka_unit_test(connect__longer_is_refused),
    cmocka_unit_test(connect__junk),
    cmocka_unit_test(connect__every_bit_flipped),
    cmocka_unit_test(connect__closed_peer),
    cmocka_unit_test(connect__twice_gives_the_same_peer),
    cmocka_unit_test(open__many_at_once),
};
const size_t conformance_address_count = sizeof conformance_address / sizeof *conformance_address;
