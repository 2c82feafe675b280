/* Conformance: packets of all sizes, bursts, order, completeness, back-pressure. */
#include "adapter/conformance.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static size_t path_bytes(struct node *n, struct adapter_peer *peer) {
    return n->adapter->ops->path_packet_bytes(n->adapter, peer);
}

static void check_one(struct pair *p, struct adapter_peer *peer, size_t len) {
    uint8_t *data = malloc(len + 1);
    pattern_fill(data, len, 3);
    assert_int_equal(node_send(p->a, peer, data, len), 1);
    node_wait(p->b, 1);
    assert_int_equal(p->b->in[0].len, len);
    assert_true(pattern_holds(p->b->in[0].data, len, 3));
    assert_int_equal(p->b->in[0].from_bytes, p->a->address_bytes);
    assert_memory_equal(p->b->in[0].from, p->a->address, p->a->address_bytes);
    node_forget(p->b);
    free(data);
}

static void send__all_sizes(void **state) {
    struct pair p;
    pair_open(&p, *state);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    size_t max = path_bytes(p.a, peer);
    assert_true(max <= p.a->adapter->attr.packet_max_bytes);
    for (size_t len = 0; len <= 700 && len <= max; len++) check_one(&p, peer, len);
    for (size_t len = 701; len < max; len += 977) check_one(&p, peer, len);
    for (size_t step = 4096; step <= max; step += 4096)
        for (size_t len = step - 9; len <= step + 9 && len <= max; len += 3) check_one(&p, peer, len);
    check_one(&p, peer, max);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

static void send__too_big(void **state) {
    struct pair p;
    pair_open(&p, *state);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    size_t len = p.a->adapter->attr.packet_max_bytes + 1;
    uint8_t *data = calloc(1, len);
    assert_int_equal(node_send(p.a, peer, data, len), WEFT_E_TOO_BIG);
    free(data);
    check_one(&p, peer, 10);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

/* Sends a burst of `count` packets of `len` bytes, the last shorter, and checks what arrives. */
static void check_burst(struct pair *p, struct adapter_peer *peer, size_t count, size_t len, size_t last) {
    struct adapter_packet_out *out = calloc(count, sizeof *out);
    uint8_t *data = malloc(count * len + 1);
    for (size_t i = 0; i < count; i++) {
        size_t n = i + 1 < count ? len : last, head = n < 16 ? n : 16;
        pattern_fill(data + i * len, n, (unsigned)i);
        out[i].piece[0] = (struct iovec){data + i * len, head};
        out[i].piece[1] = (struct iovec){data + i * len + head, n - head};
    }
    for (size_t sent = 0; sent < count;) {
        int rc = p->a->adapter->ops->send(p->a->adapter, peer, out + sent, count - sent);
        assert_true(rc >= 0);
        sent += (size_t)rc;
        if (rc == 0) node_poll(p->b);
    }
    node_wait(p->b, count);
    assert_int_equal(p->b->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(p->b->in[i].len, i + 1 < count ? len : last);
        assert_true(pattern_holds(p->b->in[i].data, p->b->in[i].len, (unsigned)i));
    }
    node_forget(p->b);
    free(data);
    free(out);
}

static void send__bursts(void **state) {
    static const size_t shape[][3] = {{1, 100, 100}, {2, 100, 99},    {7, 8944, 7776}, {44, 1456, 1200},
                                      {64, 64, 1},   {200, 300, 300}, {130, 17, 16},   {3, 1, 1},
                                      {5, 0, 0},     {10, 1200, 0}};
    struct pair p;
    pair_open(&p, *state);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        if (shape[i][1] <= path_bytes(p.a, peer))
            check_burst(&p, peer, shape[i][0], shape[i][1], shape[i][2]);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

static void send__no_packets(void **state) {
    struct pair p;
    pair_open(&p, *state);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    assert_int_equal(p.a->adapter->ops->send(p.a->adapter, peer, NULL, 0), 0);
    assert_int_equal(node_poll(p.b), 0);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

/* Many packets of changing size, polled now and then: order and completeness. An adapter that may lose gets
 * no more under way than its window. */
static void send__in_order_and_complete(void **state) {
    struct pair p;
    pair_open(&p, *state);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    const struct adapter_attr *attr = &p.b->adapter->attr;
    uint8_t data[3000];
    size_t total = 20000, charged = 0, span = path_bytes(p.a, peer) < 2900 ? 1000 : 2900;
    for (uint32_t i = 0; i < total; i++) {
        size_t len = 4 + i * 37 % span;
        memcpy(data, &i, sizeof i);
        charged += len + attr->packet_charge_bytes;
        if (attr->receive_window_bytes && charged > attr->receive_window_bytes / 2) {
            node_wait(p.b, i);
            charged = 0;
        }
        while (node_send(p.a, peer, data, len) == 0) node_poll(p.b);
    }
    node_wait(p.b, total);
    for (uint32_t i = 0; i < total; i++) {
        uint32_t number;
        memcpy(&number, p.b->in[i].data, sizeof number);
        assert_int_equal(number, i); /* loopback does not reorder, so this holds for all */
        assert_int_equal(p.b->in[i].len, 4 + i * 37 % span);
    }
    node_disconnect(p.a, peer);
    pair_close(&p);
}

/* As many packets as the window says may be under way at once are kept, whatever their size. */
static void send__window_holds(void **state) {
    static const size_t lens[] = {0, 1, 64, 65, 200, 1000, 1456, 2100, 8944, 61488};
    struct pair p;
    pair_open(&p, *state);
    const struct adapter_attr *attr = &p.b->adapter->attr;
    struct adapter_peer *peer = node_connect(p.a, p.b);
    uint8_t *data = calloc(1, attr->packet_max_bytes);
    for (size_t k = 0; attr->receive_window_bytes && k < sizeof lens / sizeof *lens; k++) {
        if (lens[k] > path_bytes(p.a, peer)) continue;
        size_t count = attr->receive_window_bytes / (lens[k] + attr->packet_charge_bytes);
        for (size_t i = 0; i < count; i++) assert_int_equal(node_send(p.a, peer, data, lens[k]), 1);
        node_wait(p.b, count);
        node_forget(p.b);
    }
    free(data);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

static void send__back_pressure(void **state) {
    struct pair p;
    pair_open(&p, *state);
    if (!(node_caps(p.a) & ADAPTER_CAP_RELIABLE)) { /* may drop instead */
        pair_close(&p);
        skip();
    }
    struct adapter_peer *peer = node_connect(p.a, p.b);
    for (int round = 0; round < 20; round++) {
        uint8_t data[5000];
        size_t sent = 0, len = 200 + (size_t)round * 231;
        for (pattern_fill(data, len, (unsigned)sent); node_send(p.a, peer, data, len) == 1;)
            pattern_fill(data, len, (unsigned)++sent);
        assert_in_range(sent, 1, 100000);
        node_wait(p.b, sent);
        assert_int_equal(node_poll(p.b), 0);
        for (size_t i = 0; i < sent; i++) assert_true(pattern_holds(p.b->in[i].data, len, (unsigned)i));
        node_forget(p.b);
    }
    node_disconnect(p.a, peer);
    pair_close(&p);
}

static void poll__keeps_to_its_maximum(void **state) {
    struct pair p;
    pair_open(&p, *state);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    struct adapter_packet_out out[30];
    for (int i = 0; i < 30; i++) out[i] = (struct adapter_packet_out){{{"0123456789", 10}}};
    assert_int_equal(p.a->adapter->ops->send(p.a->adapter, peer, out, 30), 30);
    for (size_t want = 7; want <= 28; want += 7) {
        while (p.b->count < want)
            assert_in_range(p.b->adapter->ops->poll(p.b->adapter, (unsigned)(want - p.b->count)), 0, 7);
        assert_int_equal(p.b->count, want);
    }
    node_wait(p.b, 30);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

const struct CMUnitTest conformance_traffic[] = {
    cmocka_unit_test(send__all_sizes),
    cmocka_unit_test(send__too_big),
    cmocka_unit_test(send__bursts),
    cmocka_unit_test(send__no_packets),
    cmocka_unit_test(send__in_order_and_complete),
    cmocka_unit_test(send__window_holds),
    cmocka_unit_test(send__back_pressure),
    cmocka_unit_test(poll__keeps_to_its_maximum),
};
const size_t conformance_traffic_count = sizeof conformance_traffic / sizeof *conformance_traffic;
