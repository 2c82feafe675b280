/* ofi: what a peer can do wrong. Junk goes to an adapter past the sender's own checks, and addresses are made
 * up. The argument is the provider: tcp (the default) or shm. */
#include "adapter/conformance.h"
#include "adapter/ofi_internal.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/path.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEN 300000

static const struct conformance ofi = {.name = "ofi", .ops = &adapter_ofi_ops, .bind_host = "127.0.0.1"};

/* Sends bytes as they are; the peer's way must have been made. */
static void send_raw(struct ofi *s, struct adapter_peer *peer, const void *data, size_t len) {
    uint64_t end = weft_now_ns() + WAIT_MS * WEFT_NS_PER_MS;
    ssize_t rc;
    pthread_mutex_lock(&s->lock);
    struct weft_list *n = weft_list_pop_front(&s->tx_free);
    assert_non_null(n);
    struct ofi_buffer *b = weft_list_entry(n, struct ofi_buffer, node);
    if (len) memcpy(b->data, data, len);
    b->use = OFI_SEND;
    b->peer = peer;
    while ((rc = fi_send(s->ep, b->data, len, s->tx.desc, peer->to, &b->context)) == -FI_EAGAIN) {
        ofi_progress(s);
        assert_true(weft_now_ns() < end);
    }
    assert_int_equal(rc, 0);
    peer->flying++;
    s->flying++;
    while (peer->flying) {
        ofi_progress(s);
        assert_true(weft_now_ns() < end);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Of all the junk nothing is delivered; what follows it is. */
static void poll__drops_junk(void **state) {
    struct pair p;
    pair_open(&p, &ofi);
    struct adapter_peer *ab = node_connect(p.a, p.b);
    struct ofi *a = (struct ofi *)p.a->adapter, *b = (struct ofi *)p.b->adapter;
    unsigned seed = 7;
    assert_int_equal(node_send(p.a, ab, "1", 1), 1);
    node_wait(p.b, 1);
    for (int i = 0; i < 600; i++) {
        uint8_t junk[200];
        size_t len = (size_t)i % sizeof junk;
        for (size_t k = 0; k < sizeof junk; k++) junk[k] = (uint8_t)rand_r(&seed);
        if (i % 4) memcpy(junk, &b->own.token, 8);                         /* past the first check */
        if (i % 4 > 1) memcpy(junk + 8, (uint8_t[]){a->blob_bytes, 0}, 2); /* and the second */
        if (i % 4 > 2) memcpy(junk + 10, a->blob, 30);                     /* the beginning of an address */
        send_raw(a, ab, junk, len);
        node_poll(p.b);
    }
    assert_int_equal(node_send(p.a, ab, "2", 1), 1);
    node_wait(p.b, 2);
    assert_memory_equal(p.b->in[1].data, "2", 1);
    node_disconnect(p.a, ab);
    pair_close(&p);
}

/* A packet for who had this address before. */
static void poll__drops_packets_for_another(void **state) {
    struct pair p;
    pair_open(&p, &ofi);
    struct adapter_peer *ab = node_connect(p.a, p.b);
    uint64_t token = ab->address.token;
    ab->address.token ^= 1;
    assert_int_equal(node_send(p.a, ab, "wrong", 5), 1);
    ab->address.token = token;
    assert_int_equal(node_send(p.a, ab, "right", 5), 1);
    node_wait(p.b, 1);
    assert_memory_equal(p.b->in[0].data, "right", 5);
    node_disconnect(p.a, ab);
    pair_close(&p);
}

static int decode_named(struct ofi *s, const char *name) {
    struct ofi_address out;
    uint8_t blob[ADAPTER_ADDRESS_MAX];
    size_t head = s->blob_bytes - s->own.name_bytes - 1, n = strlen(name) + 1;
    memcpy(blob, s->blob, head);
    blob[head] = (uint8_t)n;
    memcpy(blob + head + 1, name, n);
    return ofi_address_decode(s, blob, head + 1 + n, &out);
}

/* shm makes a file's path of the name. */
static void address__no_paths(void **state) {
    static const char *const bad[] = {"",          "/etc/passwd", "fi_shm://../x", "fi_shm://a/b", "a/b://c",
                                      "fi_shm://", "fi_shm:///a", "fi_shm://a b",  "fi_shm://\x01"};
    struct pair p;
    pair_open(&p, &ofi);
    struct ofi *s = (struct ofi *)p.a->adapter;
    if (s->own.format != FI_ADDR_STR) {
        pair_close(&p);
        skip();
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(decode_named(s, bad[i]), WEFT_E_INVAL);
    assert_int_equal(decode_named(s, "fi_shm://1:0:0"), 0);
    pair_close(&p);
}

/* Hosts are told apart where an address means something on one of them only. */
static void address__of_another_host(void **state) {
    struct pair p;
    pair_open(&p, &ofi);
    struct ofi *s = (struct ofi *)p.a->adapter;
    struct ofi_address out;
    uint8_t blob[ADAPTER_ADDRESS_MAX];
    size_t host = 1 + 4 + 1 + strlen(s->own.provider) + 8;
    memcpy(blob, s->blob, s->blob_bytes);
    assert_int_equal(ofi_address_decode(s, blob, s->blob_bytes, &out), 0);
    blob[host] ^= 1;
    assert_int_equal(ofi_address_decode(s, blob, s->blob_bytes, &out), WEFT_E_UNREACHABLE);
    pair_close(&p);
}

static void wait_for_ever(struct node *n, int pipe) {
    for (;;) pause();
}

/* A process of this host ends: who sleeps is woken and told, though nothing is sent. */
static void death__wakes_a_sleeper(void **state) {
    struct child ch;
    struct node n;
    struct adapter_peer *peer;
    node_open(&n, &ofi);
    child_start(&ch, &ofi, wait_for_ever);
    assert_int_equal(n.adapter->ops->connect(n.adapter, ch.address, ch.address_bytes, &peer), 0);
    while (n.adapter->ops->arm(n.adapter)) node_poll(&n);
    assert_int_equal(n.hint_count, 0);
    child_kill(&ch);
    assert_true(node_fds_readable(&n, WAIT_MS));
    n.adapter->ops->disarm(n.adapter);
    node_wait_lost(&n, 0, 1);
    /* Who is connected to later is suspected when it is sent to. */
    node_disconnect(&n, peer);
    assert_int_equal(n.adapter->ops->connect(n.adapter, ch.address, ch.address_bytes, &peer), 0);
    uint64_t end = weft_now_ns() + WAIT_MS * WEFT_NS_PER_MS;
    while (n.hint_count < 2 && weft_now_ns() < end) {
        node_send(&n, peer, "x", 1);
        node_poll(&n);
    }
    assert_true(n.hint_count >= 2);
    node_disconnect(&n, peer);
    node_close(&n);
}

/* Exposes memory to who has sent something, and tells where it is. */
static void expose_and_wait(struct node *n, int pipe) {
    static uint8_t memory[LEN];
    struct adapter_peer *peer;
    uint8_t region[ADAPTER_REGION_MAX];
    size_t len = sizeof region;
    pattern_fill(memory, LEN, 4);
    node_wait(n, 1);
    if (n->adapter->ops->connect(n->adapter, n->in[0].from, n->in[0].from_bytes, &peer)) _exit(2);
    if (n->adapter->ops->expose(n->adapter, peer, memory, LEN, region, &len)) _exit(3);
    if (node_send(n, peer, region, len) != 1) _exit(4);
    wait_for_ever(n, pipe);
}

static void skip_without_reads(void) {
    struct node n;
    node_open(&n, &ofi);
    bool reads = node_caps(&n) & ADAPTER_CAP_REMOTE_READ;
    node_close(&n);
    if (!reads) skip();
}

/* An owner that stands still is not waited for without end; what it answers later does no harm. */
static void read__is_given_up(void **state) {
    struct child ch;
    struct node n;
    struct adapter_peer *peer;
    skip_without_reads();
    uint8_t *to = malloc(LEN);
    child_start(&ch, &ofi, expose_and_wait);
    node_open(&n, &ofi);
    const struct adapter_ops *ops = n.adapter->ops;
    assert_int_equal(ops->connect(n.adapter, ch.address, ch.address_bytes, &peer), 0);
    assert_int_equal(node_send(&n, peer, "go", 2), 1);
    node_wait(&n, 1);
    kill(ch.pid, SIGSTOP);
    assert_int_equal(waitpid(ch.pid, NULL, WUNTRACED), ch.pid); /* all its threads stand still */
    memset(to, 0, LEN);
    int rc = node_read(&n, peer, n.in[0].data, n.in[0].len, 0, to, LEN);
    assert_int_equal(rc, WEFT_E_ACCESS);
    memset(to, 0x5a, LEN);
    kill(ch.pid, SIGCONT);
    uint64_t end = weft_now_ns() + WAIT_MS * WEFT_NS_PER_MS;
    uint8_t *again = malloc(LEN);
    while (node_read(&n, peer, n.in[0].data, n.in[0].len, 0, again, LEN))
        assert_true(weft_now_ns() < end);
    assert_true(pattern_holds(again, LEN, 4));
    for (size_t i = 0; i < LEN; i++) assert_int_equal(to[i], 0x5a);
    child_kill(&ch);
    node_disconnect(&n, peer);
    node_close(&n);
    free(again);
    free(to);
}

/* What its owner has back is not read any more, and other reads go on. */
static void read__after_conceal(void **state) {
    static uint8_t memory[LEN], to[LEN];
    struct pair p;
    skip_without_reads();
    pair_open(&p, &ofi);
    struct adapter_peer *owner = node_connect(p.a, p.b), *reader = node_connect(p.b, p.a);
    const struct adapter_ops *ops = p.a->adapter->ops;
    uint8_t first[ADAPTER_REGION_MAX], second[ADAPTER_REGION_MAX];
    size_t first_len = sizeof first, second_len = sizeof second;
    pattern_fill(memory, LEN, 8);
    assert_int_equal(ops->expose(p.b->adapter, reader, memory, LEN, first, &first_len), 0);
    assert_int_equal(ops->expose(p.b->adapter, reader, memory, LEN, second, &second_len), 0);
    assert_int_equal(node_read(p.a, owner, first, first_len, 0, to, LEN), 0);
    ops->conceal(p.b->adapter, reader, first, first_len);
    assert_int_equal(node_read(p.a, owner, first, first_len, 0, to, LEN), WEFT_E_ACCESS);
    uint64_t end = weft_now_ns() + WAIT_MS * WEFT_NS_PER_MS;
    while (node_read(p.a, owner, second, second_len, 0, to, LEN)) assert_true(weft_now_ns() < end);
    assert_memory_equal(to, memory, LEN);
    ops->conceal(p.b->adapter, reader, second, second_len);
    node_disconnect(p.a, owner);
    node_disconnect(p.b, reader);
    pair_close(&p);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(poll__drops_junk),       cmocka_unit_test(poll__drops_packets_for_another),
        cmocka_unit_test(address__no_paths),      cmocka_unit_test(address__of_another_host),
        cmocka_unit_test(death__wakes_a_sleeper), cmocka_unit_test(read__is_given_up),
        cmocka_unit_test(read__after_conceal),
    };
    setenv("WEFT_OFI_PROVIDER", argc > 1 ? argv[1] : "tcp", true);
    if (!mkdtemp(conformance_run_dir)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    weft_dir_remove(conformance_run_dir);
    return failed;
}
