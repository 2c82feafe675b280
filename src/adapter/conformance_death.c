/* Conformance: a peer's process is killed. */
#include "adapter/conformance.h"
#include "base/error.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define SENT 100

static void echo(struct node *n, const struct adapter_packet_in *p) {
    struct adapter_peer *peer;
    if (n->adapter->ops->connect(n->adapter, p->from, p->from_bytes, &peer)) _exit(2);
    if (node_send(n, peer, p->data, p->len_bytes) != 1) _exit(3);
}

static void echo_for_ever(struct node *n, int pipe) {
    (void)pipe;
    n->on_packet = echo;
    while (node_sleep(n)) node_poll(n);
}

/* Answers one packet with many, says so, and waits for its end. */
static void answer_many(struct node *n, int pipe) {
    struct adapter_peer *peer;
    node_wait(n, 1);
    if (n->adapter->ops->connect(n->adapter, n->in[0].from, n->in[0].from_bytes, &peer)) _exit(2);
    for (int i = 0; i < SENT; i++)
        if (node_send(n, peer, &i, sizeof i) != 1) _exit(3);
    if (write(pipe, "x", 1) != 1) _exit(4);
    for (;;) pause();
}

static void death__is_told(void **state) {
    const struct conformance *c = *state;
    if (c->itself_only) skip();
    struct child ch;
    struct node n;
    struct adapter_peer *peer;
    node_open(&n, c);
    child_start(&ch, c, echo_for_ever);
    assert_int_equal(n.adapter->ops->connect(n.adapter, ch.address, ch.address_bytes, &peer), 0);
    assert_int_equal(node_send(&n, peer, "hello", 5), 1);
    node_wait(&n, 1);
    while (n.adapter->ops->arm(n.adapter)) node_poll(&n);
    bool tells = node_caps(&n) & ADAPTER_CAP_PEER_DEATH;
    child_kill(&ch);
    if (tells) assert_true(node_fds_readable(&n, WAIT_MS)); /* a sleeper is woken by it */
    n.adapter->ops->disarm(n.adapter);
    if (!tells) assert_int_equal(node_send(&n, peer, "hello?", 6), 1);
    node_wait_lost(&n, tells, !tells);
    if (tells) {
        assert_ptr_equal(n.lost, peer);
        assert_int_equal(node_send(&n, peer, "x", 1), WEFT_E_PEER_LOST);
        struct adapter_peer *again;
        assert_int_equal(n.adapter->ops->connect(n.adapter, ch.address, ch.address_bytes, &again),
                         WEFT_E_REFUSED);
    }
    node_disconnect(&n, peer);
    node_close(&n);
}

static void death__after_its_last_packets(void **state) {
    const struct conformance *c = *state;
    if (c->itself_only) skip();
    struct child ch;
    struct node n;
    struct adapter_peer *peer;
    char byte;
    node_open(&n, c);
    child_start(&ch, c, answer_many);
    assert_int_equal(n.adapter->ops->connect(n.adapter, ch.address, ch.address_bytes, &peer), 0);
    assert_int_equal(node_send(&n, peer, "go", 2), 1);
    child_read(&ch, &byte, 1);
    child_kill(&ch);
    node_wait(&n, SENT);
    for (int i = 0; i < SENT; i++) assert_memory_equal(n.in[i].data, &i, sizeof i);
    if (node_caps(&n) & ADAPTER_CAP_PEER_DEATH) node_wait_lost(&n, 1, 0);
    node_disconnect(&n, peer);
    node_close(&n);
}

static void never_polls(struct node *n, int pipe) {
    (void)n;
    (void)pipe;
    for (;;) pause();
}

/* A peer that never picked up dies with everything still on its way. */
static void death__before_it_picked_up(void **state) {
    const struct conformance *c = *state;
    if (c->itself_only) skip();
    struct child ch;
    struct node n;
    struct adapter_peer *peer;
    node_open(&n, c);
    child_start(&ch, c, never_polls);
    assert_int_equal(n.adapter->ops->connect(n.adapter, ch.address, ch.address_bytes, &peer), 0);
    for (int i = 0; i < SENT; i++) assert_int_equal(node_send(&n, peer, "hello", 5), 1);
    bool tells = node_caps(&n) & ADAPTER_CAP_PEER_DEATH;
    child_kill(&ch);
    if (!tells) assert_int_equal(node_send(&n, peer, "hello?", 6), 1);
    node_wait_lost(&n, tells, !tells);
    node_disconnect(&n, peer);
    node_close(&n);
}

/* A stopped peer is slow, not dead. */
static void death__stopped_is_not_dead(void **state) {
    const struct conformance *c = *state;
    if (c->itself_only) skip();
    struct child ch;
    struct node n;
    struct adapter_peer *peer;
    node_open(&n, c);
    child_start(&ch, c, echo_for_ever);
    assert_int_equal(n.adapter->ops->connect(n.adapter, ch.address, ch.address_bytes, &peer), 0);
    kill(ch.pid, SIGSTOP);
    assert_int_equal(node_send(&n, peer, "hello", 5), 1);
    for (int i = 0; i < 1000; i++) node_poll(&n);
    assert_int_equal(n.lost_count, 0);
    kill(ch.pid, SIGCONT);
    node_wait(&n, 1);
    node_disconnect(&n, peer);
    node_close(&n);
    child_kill(&ch);
}

const struct CMUnitTest conformance_death[] = {
    cmocka_unit_test(death__is_told),
    cmocka_unit_test(death__after_its_last_packets),
    cmocka_unit_test(death__before_it_picked_up),
    cmocka_unit_test(death__stopped_is_not_dead),
};
const size_t conformance_death_count = sizeof conformance_death / sizeof *conformance_death;
