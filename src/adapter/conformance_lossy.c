/* Conformance: what holds even if packets are lost, doubled and reordered. */
#include "adapter/conformance.h"
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

#define WANTED 2000 /* different packets */

/* Sends numbered packets, each once, until enough have come. */
static uint32_t send_until(struct pair *p, struct adapter_peer *peer, size_t wanted) {
    uint64_t end = weft_now_ns() + WAIT_MS * WEFT_NS_PER_MS;
    uint8_t data[700];
    uint32_t sent = 0;
    while (p->b->count < wanted) {
        pattern_fill(data, sizeof data, sent);
        memcpy(data, &sent, sizeof sent);
        if (node_send(p->a, peer, data, sizeof data) == 1) sent++;
        node_poll(p->b);
        if (weft_now_ns() > end) fail_msg("%zu packets of %u came", p->b->count, sent);
    }
    return sent;
}

/* Each packet that comes is one that was sent, whole, and comes twice at most. */
static void lossy__what_comes_was_sent(void **state) {
    struct pair p;
    pair_open(&p, *state);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    uint32_t sent = send_until(&p, peer, WANTED), number;
    uint8_t *times = calloc(sent, 1), data[700];
    for (size_t i = 0; i < p.b->count; i++) {
        const struct received *r = &p.b->in[i];
        assert_int_equal(r->len, sizeof data);
        memcpy(&number, r->data, sizeof number);
        assert_true(number < sent);
        assert_true(++times[number] <= 2);
        pattern_fill(data, sizeof data, number);
        assert_memory_equal(r->data + sizeof number, data + sizeof number, sizeof data - sizeof number);
        assert_int_equal(r->from_bytes, p.a->address_bytes);
        assert_memory_equal(r->from, p.a->address, r->from_bytes);
    }
    free(times);
    assert_int_equal(p.b->lost_count + p.b->hint_count + p.a->lost_count + p.a->hint_count, 0);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

/* A sleeper is woken by what does come. */
static void lossy__wakes(void **state) {
    struct pair p;
    pair_open(&p, *state);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    for (size_t i = 0; i < 100; i++) {
        size_t before = p.b->count;
        while (p.b->adapter->ops->arm(p.b->adapter)) node_poll(p.b);
        while (!node_fds_readable(p.b, 1)) node_send(p.a, peer, "wake", 4);
        p.b->adapter->ops->disarm(p.b->adapter);
        while (p.b->count == before) {
            assert_true(node_sleep(p.b));
            node_poll(p.b);
        }
    }
    node_disconnect(p.a, peer);
    pair_close(&p);
}

/* Both go while packets are under way in both directions. */
static void lossy__closed_in_between(void **state) {
    struct pair p;
    for (int round = 0; round < 20; round++) {
        pair_open(&p, *state);
        struct adapter_peer *ab = node_connect(p.a, p.b), *ba = node_connect(p.b, p.a);
        for (int i = 0; i < 50; i++) {
            node_send(p.a, ab, "there", 5);
            node_send(p.b, ba, "and back", 8);
            if (i % 8 == 0) node_poll(p.b);
        }
        if (round % 2) node_disconnect(p.a, ab);
        pair_close(&p);
    }
}

const struct CMUnitTest conformance_lossy[] = {
    cmocka_unit_test(lossy__what_comes_was_sent),
    cmocka_unit_test(lossy__wakes),
    cmocka_unit_test(lossy__closed_in_between),
};
const size_t conformance_lossy_count = sizeof conformance_lossy / sizeof *conformance_lossy;
