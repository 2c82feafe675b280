/* The sim adapter: the simulated network does what it was asked for, and the same in every run. */
#include "adapter/conformance.h"
#include "adapter/sim_internal.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKET_BYTES 100

struct tally {
    uint64_t sent, lost, doubled, reordered, damaged, refused, dropped;
};

static void visit(void *ctx, const struct weft_counter *c, uint64_t value) {
    struct tally *t = ctx;
    const struct {
        const char *name;
        uint64_t *to;
    } of[] = {{"sim_packets_sent", &t->sent},       {"sim_packets_lost", &t->lost},
              {"sim_packets_doubled", &t->doubled}, {"sim_packets_reordered", &t->reordered},
              {"sim_packets_damaged", &t->damaged}, {"sim_packets_refused", &t->refused},
              {"sim_packets_dropped", &t->dropped}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        if (!strcmp(c->name, of[i].name)) *of[i].to = value;
}

struct net {
    struct conformance row;
    struct pair p;
    struct adapter_peer *peer; /* b, as a knows it */
    struct tally before;
};

static void net_open(struct net *n, const char *spec) {
    n->row = (struct conformance){.name = "sim", .ops = &adapter_sim_ops, .sim = spec};
    pair_open(&n->p, &n->row);
    n->peer = node_connect(n->p.a, n->p.b);
    weft_counters_visit(visit, &n->before);
}

static void net_close(struct net *n) {
    node_disconnect(n->p.a, n->peer);
    pair_close(&n->p);
}

static struct tally net_tally(const struct net *n) {
    struct tally t;
    weft_counters_visit(visit, &t);
    t.sent -= n->before.sent;
    t.lost -= n->before.lost;
    t.doubled -= n->before.doubled;
    t.reordered -= n->before.reordered;
    t.damaged -= n->before.damaged;
    t.refused -= n->before.refused;
    t.dropped -= n->before.dropped;
    return t;
}

/* Packets differ from each other in most of their bytes. */
static void fill(uint8_t data[PACKET_BYTES], uint32_t number) {
    pattern_fill(data, PACKET_BYTES, number * 2654435761u >> 16);
    memcpy(data, &number, sizeof number);
}

/* Sends numbered packets and waits for all that the network lets through. */
static struct tally exchange(struct net *n, uint32_t count) {
    uint8_t data[PACKET_BYTES];
    struct tally t;
    for (uint32_t i = 0; i < count;) {
        fill(data, i);
        i += node_send(n->p.a, n->peer, data, sizeof data) == 1;
        node_poll(n->p.b);
    }
    t = net_tally(n);
    assert_int_equal(t.sent, count);
    node_wait(n->p.b, t.sent - t.lost + t.doubled);
    assert_int_equal(node_poll(n->p.b), 0);
    return t;
}

static void spec__refusals(void **state) {
    static const char *const bad[] = {"loss",    "loss=",        "loss=2",          "loss=-1",  "loss=a",
                                      "los=0.1", "loss=0.1.1",   "seed=1;loss=0.1", "loss=.",   "=1",
                                      " loss=0", "delay_us=1e3", "packet_bytes=10", ",loss=0.1"};
    struct sim_spec spec;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(sim_spec_parse(bad[i], &spec), WEFT_E_INVAL);
    struct adapter *a;
    struct adapter_config cfg = {.sim = "loss=2"};
    assert_int_equal(adapter_sim_ops.open(&a, &cfg), WEFT_E_INVAL);
}

static void spec__values(void **state) {
    struct sim_spec spec;
    assert_int_equal(sim_spec_parse(NULL, &spec), 0);
    assert_true(spec.net.loss <= 0 && spec.method1 && spec.method2 && spec.packet_bytes == 1472);
    assert_int_equal(sim_spec_parse("seed=7,loss=0.25,delay_us=50.5,rate_MBps=1250,tags=4,method2=0", &spec),
                     0);
    assert_int_equal(spec.seed, 7);
    assert_true(spec.net.loss > 0.2499 && spec.net.loss < 0.2501);
    assert_int_equal(spec.net.delay_ns, 50500);
    assert_int_equal(spec.net.ns_per_byte_x1000, 800);
    assert_int_equal(spec.tag_entries, 4);
    assert_false(spec.method2);
}

static void open__attributes(void **state) {
    struct net n;
    net_open(&n, "tags=4,method2=0,delay_us=1000,rate_MBps=100,packet_bytes=4000");
    const struct adapter_attr *attr = &n.p.a->adapter->attr;
    assert_int_equal(attr->caps, ADAPTER_CAP_METHOD1);
    assert_int_equal(attr->tag_entries, 4);
    assert_int_equal(attr->packet_max_bytes, 4000);
    assert_true(attr->latency_s > 1e-3 && attr->bandwidth_Bps < 1.1e8);
    net_close(&n);
}

#define MANY 4000
#define BAD  "seed=11,loss=0.1,duplicate=0.1,reorder=0.1,corrupt=0.05,truncate=0.05,delay_us=10,refuse=0.1"

/* What a packet says, which may be cut short. */
static uint32_t number_of(const struct received *r) {
    uint32_t number = MANY;
    memcpy(&number, r->data, r->len < sizeof number ? r->len : sizeof number);
    return number;
}

static void faults__as_often_as_asked_for(void **state) {
    struct net n;
    net_open(&n, BAD);
    struct tally t = exchange(&n, MANY);
    print_message("of %d: %lu lost, %lu doubled, %lu reordered, %lu damaged, %lu refused\n", MANY, t.lost,
                  t.doubled, t.reordered, t.damaged, t.refused);
    assert_in_range(t.lost, MANY / 15, MANY / 7);
    assert_in_range(t.doubled, MANY / 15, MANY / 7);
    assert_in_range(t.reordered, MANY / 15, MANY / 7);
    assert_in_range(t.damaged, MANY / 15, MANY / 7);
    assert_in_range(t.refused, MANY / 15, MANY / 7);
    assert_int_equal(t.dropped, 0);
    size_t damaged = 0, late = 0;
    for (size_t i = 0; i < n.p.b->count; i++) {
        uint32_t number = number_of(&n.p.b->in[i]), before = i ? number_of(&n.p.b->in[i - 1]) : 0;
        uint8_t want[PACKET_BYTES];
        const struct received *r = &n.p.b->in[i];
        fill(want, number);
        bool whole = r->len == sizeof want && number < MANY && !memcmp(r->data, want, sizeof want);
        damaged += !whole;
        late += whole && i && before < MANY && number < before;
    }
    assert_int_equal(damaged, t.damaged);
    assert_true(late > 0);
    net_close(&n);
}

static int by_content(const void *a, const void *b) {
    const struct received *x = a, *y = b;
    size_t len = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->data, y->data, len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* A process that does the same has the same network. */
static void run_once(const char *spec, uint8_t *out, size_t *len) {
    struct net n;
    net_open(&n, spec);
    ((struct sim *)n.p.a->adapter)->number = 0;
    node_disconnect(n.p.a, n.peer);
    ((struct sim *)n.p.a->adapter)->met = 0;
    n.peer = node_connect(n.p.a, n.p.b);
    exchange(&n, 1000);
    qsort(n.p.b->in, n.p.b->count, sizeof *n.p.b->in, by_content);
    *len = 0;
    for (size_t i = 0; i < n.p.b->count; i++) {
        memcpy(out + *len, n.p.b->in[i].data, n.p.b->in[i].len);
        *len += n.p.b->in[i].len;
    }
    net_close(&n);
}

static void seed__decides(void **state) {
    static uint8_t first[200000], second[200000], other[200000];
    size_t first_len, second_len, other_len;
    run_once("seed=4,loss=0.3,duplicate=0.3,corrupt=0.1,delay_us=5", first, &first_len);
    run_once("seed=4,loss=0.3,duplicate=0.3,corrupt=0.1,delay_us=5", second, &second_len);
    run_once("seed=5,loss=0.3,duplicate=0.3,corrupt=0.1,delay_us=5", other, &other_len);
    assert_int_equal(first_len, second_len);
    assert_memory_equal(first, second, first_len);
    assert_false(first_len == other_len && !memcmp(first, other, first_len));
}

static void delay__is_kept(void **state) {
    struct net n;
    net_open(&n, "delay_us=3000");
    for (int i = 0; i < 5; i++) {
        uint64_t since = weft_now_ns();
        assert_int_equal(node_send(n.p.a, n.peer, "x", 1), 1);
        while (n.p.b->count == (size_t)i) {
            assert_true(node_sleep(n.p.b));
            node_poll(n.p.b);
        }
        assert_true(weft_now_ns() - since >= 3 * WEFT_NS_PER_MS);
    }
    net_close(&n);
}

/* What another thread takes in while this one sleeps wakes it when it is due. */
static void delay__wakes_who_sleeps_while_another_polls(void **state) {
    struct net n;
    net_open(&n, "delay_us=50000");
    struct sim *b = (struct sim *)n.p.b->adapter;
    for (size_t i = 1; i <= 3; i++) {
        while (b->base.ops->arm(&b->base)) node_poll(n.p.b);
        assert_int_equal(node_send(n.p.a, n.peer, "x", 1), 1);
        while (weft_list_empty(&b->held) && n.p.b->count < i) node_poll(n.p.b);
        assert_true(node_fds_readable(n.p.b, WAIT_MS));
        b->base.ops->disarm(&b->base);
        node_wait(n.p.b, i);
    }
    net_close(&n);
}

static void rate__is_kept(void **state) {
    struct net n;
    net_open(&n, "rate_MBps=10");
    uint64_t since = weft_now_ns();
    exchange(&n, 1000); /* of 100 bytes: 10 ms */
    assert_true(weft_now_ns() - since >= 10 * WEFT_NS_PER_MS);
    net_close(&n);
}

/* A byte takes a millisecond: what the queue does not hold is lost long before there is room again. */
static void queue__drops_what_it_cannot_hold(void **state) {
    struct net n;
    uint8_t data[1000] = {0};
    net_open(&n, "rate_MBps=0.001,queue_bytes=3000");
    for (int i = 0; i < 100; i++) assert_int_equal(node_send(n.p.a, n.peer, data, sizeof data), 1);
    assert_true(net_tally(&n).lost >= 90);
    net_close(&n);
}

static void cut__nothing_passes(void **state) {
    struct net n;
    net_open(&n, "cut_ms=50,every_ms=50");
    assert_int_equal(exchange(&n, 100).lost, 100);
    net_close(&n);
}

static void path__large_packets_vanish(void **state) {
    struct net n;
    uint8_t data[1472] = {0};
    net_open(&n, "path_bytes=1300");
    assert_int_equal(node_send(n.p.a, n.peer, data, 1301), 1);
    assert_int_equal(node_send(n.p.a, n.peer, data, 1472), 1);
    assert_int_equal(node_send(n.p.a, n.peer, data, 1300), 1);
    node_wait(n.p.b, 1);
    assert_int_equal(n.p.b->in[0].len, 1300);
    assert_int_equal(net_tally(&n).lost, 2);
    net_close(&n);
}

/* Packets past the sender's adapter: too short for a stamp, or due in a hundred years. */
static void poll__drops_nonsense(void **state) {
    static const struct conformance udp = {.name = "udp", .ops = &adapter_udp_ops};
    struct net n;
    struct node raw;
    struct adapter_peer *peer;
    uint8_t far[20] = {0};
    net_open(&n, NULL);
    node_open(&raw, &udp);
    assert_int_equal(raw.adapter->ops->connect(raw.adapter, n.p.b->address + SIM_PREFIX_BYTES,
                                               n.p.b->address_bytes - SIM_PREFIX_BYTES, &peer),
                     0);
    for (size_t len = 0; len < SIM_STAMP_BYTES; len++) assert_int_equal(node_send(&raw, peer, far, len), 1);
    far[7] = 0x2c; /* little-endian */
    assert_int_equal(node_send(&raw, peer, far, sizeof far), 1);
    memset(far, 0xff, sizeof far);
    assert_int_equal(node_send(&raw, peer, far, sizeof far), 1);
    assert_int_equal(node_send(n.p.a, n.peer, "good", 4), 1);
    node_wait(n.p.b, 1);
    for (uint64_t end = weft_now_ns() + WAIT_MS * WEFT_NS_PER_MS;
         net_tally(&n).dropped < SIM_STAMP_BYTES + 2;) {
        node_poll(n.p.b);
        assert_true(weft_now_ns() < end);
    }
    assert_int_equal(n.p.b->count, 1);
    assert_memory_equal(n.p.b->in[0].data, "good", 4);
    node_disconnect(&raw, peer);
    node_close(&raw);
    net_close(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spec__refusals),
        cmocka_unit_test(spec__values),
        cmocka_unit_test(open__attributes),
        cmocka_unit_test(faults__as_often_as_asked_for),
        cmocka_unit_test(seed__decides),
        cmocka_unit_test(delay__is_kept),
        cmocka_unit_test(delay__wakes_who_sleeps_while_another_polls),
        cmocka_unit_test(rate__is_kept),
        cmocka_unit_test(queue__drops_what_it_cannot_hold),
        cmocka_unit_test(cut__nothing_passes),
        cmocka_unit_test(path__large_packets_vanish),
        cmocka_unit_test(poll__drops_nonsense),
    };
    if (!mkdtemp(conformance_run_dir)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    weft_dir_remove(conformance_run_dir);
    return failed;
}
