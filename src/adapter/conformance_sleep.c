/* Conformance: sleeping and waking without losing a wake-up, with threads and with processes. */
#include "adapter/conformance.h"
#include "base/clock.h"
#include "base/error.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS 2000

static void arm__wakes_for_a_packet(void **state) {
    struct pair p;
    pair_open(&p, *state);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    assert_int_equal(node_send(p.a, peer, "1", 1), 1);
    node_wait(p.b, 1);
    for (int i = 0; i < 50; i++) {
        while (p.b->adapter->ops->arm(p.b->adapter)) node_poll(p.b);
        assert_false(node_fds_readable(p.b, 0));
        assert_int_equal(node_send(p.a, peer, "2", 1), 1);
        assert_true(node_fds_readable(p.b, WAIT_MS));
        p.b->adapter->ops->disarm(p.b->adapter);
        node_wait(p.b, (size_t)i + 2);
    }
    node_disconnect(p.a, peer);
    pair_close(&p);
}

/* It says so: at once, or when what is on its way has come. */
static void expect_something(const struct conformance *c, struct node *n) {
    while (c->delayed && !n->adapter->ops->arm(n->adapter)) {
        assert_true(node_fds_readable(n, WAIT_MS));
        n->adapter->ops->disarm(n->adapter);
    }
    assert_int_equal(n->adapter->ops->arm(n->adapter), WEFT_E_AGAIN);
}

static void arm__says_that_there_is_something(void **state) {
    const struct conformance *c = *state;
    struct pair p;
    pair_open(&p, c);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    assert_int_equal(node_send(p.a, peer, "1", 1), 1);
    expect_something(c, p.b);
    node_wait(p.b, 1);
    /* Left over in the adapter, no longer in the system. */
    struct adapter_packet_out out[10];
    for (int i = 0; i < 10; i++) out[i] = (struct adapter_packet_out){{{"0123456789", 10}}};
    assert_int_equal(p.a->adapter->ops->send(p.a->adapter, peer, out, 10), 10);
    while (p.b->count < 4) p.b->adapter->ops->poll(p.b->adapter, 3);
    expect_something(c, p.b);
    node_wait(p.b, 11);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

/* A first packet from a stranger wakes too. */
static void arm__wakes_for_a_stranger(void **state) {
    struct pair p;
    pair_open(&p, *state);
    while (p.b->adapter->ops->arm(p.b->adapter)) node_poll(p.b);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    assert_int_equal(node_send(p.a, peer, "1", 1), 1);
    assert_true(node_fds_readable(p.b, WAIT_MS));
    p.b->adapter->ops->disarm(p.b->adapter);
    node_wait(p.b, 1);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

static void poll_as_another(struct node *n, size_t count) {
    node_wait(n, count);
    for (int i = 0; i < 200; i++) assert_int_equal(node_poll(n), 0); /* whatever it does only now and then */
}

/* One thread sleeps, armed, while another polls and takes everything: the sleeper is still woken by what
 * comes next. */
static void arm__holds_while_another_polls(void **state) {
    struct pair p;
    pair_open(&p, *state);
    while (p.b->adapter->ops->arm(p.b->adapter)) node_poll(p.b);
    struct adapter_peer *ab = node_connect(p.a, p.b);
    for (size_t i = 1; i <= 5; i++) { /* first over a link that came while b slept */
        assert_int_equal(node_send(p.a, ab, "1", 1), 1);
        poll_as_another(p.b, i);
    }
    assert_int_equal(node_send(p.a, ab, "2", 1), 1);
    assert_true(node_fds_readable(p.b, WAIT_MS));
    p.b->adapter->ops->disarm(p.b->adapter);
    node_disconnect(p.a, ab);
    pair_close(&p);
}

/* A link made while a thread sleeps wakes it as well. */
static void arm__holds_for_a_peer_made_meanwhile(void **state) {
    struct pair p;
    pair_open(&p, *state);
    while (p.b->adapter->ops->arm(p.b->adapter)) node_poll(p.b);
    struct adapter_peer *ba = node_connect(p.b, p.a), *ab;
    assert_int_equal(node_send(p.b, ba, "1", 1), 1);
    node_wait(p.a, 1);
    assert_int_equal(p.a->adapter->ops->connect(p.a->adapter, p.a->in[0].from, p.a->in[0].from_bytes, &ab),
                     0);
    assert_int_equal(node_send(p.a, ab, "2", 1), 1);
    assert_true(node_fds_readable(p.b, WAIT_MS));
    p.b->adapter->ops->disarm(p.b->adapter);
    node_wait(p.b, p.a == p.b ? 2 : 1);
    node_disconnect(p.b, ba);
    node_disconnect(p.a, ab);
    pair_close(&p);
}

struct sender {
    struct node *from, *to;
    struct adapter_peer *peer;
    _Atomic size_t received;
};

static void *send_rounds(void *arg) {
    struct sender *s = arg;
    for (size_t i = 0; i < ROUNDS; i++) {
        int rc;
        do {
            pthread_mutex_lock(&s->from->lock);
            rc = node_send(s->from, s->peer, &i, sizeof i);
            pthread_mutex_unlock(&s->from->lock);
        } while (rc == 0);
        if (rc != 1) return "send failed";
        while (i % 3 && atomic_load(&s->received) <= i)
            sched_yield(); /* sometimes at once, sometimes after a sleep */
    }
    return NULL;
}

static void sleep__threads(void **state) {
    struct pair p;
    pair_open(&p, *state);
    struct sender s = {.from = p.a, .to = p.b, .peer = node_connect(p.a, p.b)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_rounds, &s), 0);
    while (atomic_load(&s.received) < ROUNDS) {
        assert_true(node_sleep(p.b));
        pthread_mutex_lock(&p.b->lock);
        node_poll(p.b);
        atomic_store(&s.received, p.b->count);
        pthread_mutex_unlock(&p.b->lock);
    }
    void *failure;
    pthread_join(thread, &failure);
    assert_null(failure);
    node_disconnect(p.a, s.peer);
    pair_close(&p);
}

static void echo(struct node *n, const struct adapter_packet_in *p) {
    struct adapter_peer *peer = n->arg;
    if (!peer && n->adapter->ops->connect(n->adapter, p->from, p->from_bytes, &peer)) _exit(2);
    n->arg = peer;
    if (node_send(n, peer, p->data, p->len_bytes) != 1) _exit(3);
}

static void echo_asleep(struct node *n, int pipe) {
    (void)pipe;
    n->on_packet = echo;
    while (node_sleep(n))
        while (node_poll(n)) continue;
}

static void sleep__processes(void **state) {
    const struct conformance *c = *state;
    if (c->itself_only) skip();
    struct child ch;
    struct node n;
    struct adapter_peer *peer;
    child_start(&ch, c, echo_asleep);
    node_open(&n, c);
    assert_int_equal(n.adapter->ops->connect(n.adapter, ch.address, ch.address_bytes, &peer), 0);
    for (size_t i = 0; i < ROUNDS; i++) {
        assert_int_equal(node_send(&n, peer, &i, sizeof i), 1);
        uint64_t spin_until =
            weft_now_ns() + i % 32 * WEFT_NS_PER_US; /* meet the other side at all moments */
        while (n.count <= i && weft_now_ns() < spin_until) node_poll(&n);
        while (n.count <= i) {
            assert_true(node_sleep(&n));
            node_poll(&n);
        }
    }
    node_close(&n);
    child_kill(&ch);
}

const struct CMUnitTest conformance_sleep[] = {
    cmocka_unit_test(arm__wakes_for_a_packet),
    cmocka_unit_test(arm__says_that_there_is_something),
    cmocka_unit_test(arm__wakes_for_a_stranger),
    cmocka_unit_test(arm__holds_while_another_polls),
    cmocka_unit_test(arm__holds_for_a_peer_made_meanwhile),
    cmocka_unit_test(sleep__threads),
    cmocka_unit_test(sleep__processes),
};
const size_t conformance_sleep_count = sizeof conformance_sleep / sizeof *conformance_sleep;
