/* The lane: small messages that skip packets keep their place among those that do not, whatever the sizes,
 * threads and sleepers; a full ring, a peer that lies and one that dies in the middle of a burst. */
#include "base/clock.h"
#include "base/error.h"
#include "base/path.h"
#include "transport/conn.h"
#include "transport/duo.h"
#include "transport/ep_fixture.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void open_pair(struct fx *a, struct fx *b) {
    fx_open(b, "shm", true);
    fx_open(a, "shm", false);
    fx_connect(a, b);
    fx_await(b, &b->ups, 1);
}

static void close_pair(struct fx *a, struct fx *b) {
    assert_int_equal(a->bad_data + b->bad_data, 0);
    assert_int_equal(a->disorder + b->disorder, 0);
    fx_close(a);
    fx_close(b);
}

/* -- order -- */

#define BIG (1u << 20)

static size_t any_size(unsigned *seed) {
    static const size_t edge[] = {0, 1, 32, 40, 41, 104, 4096, 16384, 16385, 65536, BIG};
    unsigned kind = (unsigned)rand_r(seed) % 20;
    if (kind < 12) return (unsigned)rand_r(seed) % 64u;
    if (kind < 17) return (unsigned)rand_r(seed) % 5000u;
    return edge[(unsigned)rand_r(seed) % (sizeof edge / sizeof *edge)];
}

/* Headers of one channel arrive in the order sent, the lane's and the engine's; with `more` now and then, so
 * that some are held back. */
static void mixed(int channels, int count) {
    struct fx a, b;
    unsigned seed = (unsigned)channels;
    uint64_t next[FX_CHANNELS] = {0};
    uint8_t *data = malloc(BIG);
    int with_data = 0;
    fx_fill(data, BIG, 3);
    open_pair(&a, &b);
    for (int i = 0; i < count; i++) {
        uint16_t channel = (uint16_t)(rand_r(&seed) % channels);
        struct fx_head h = {next[channel]++, 3};
        size_t len = any_size(&seed);
        struct ep_send s = {.handler = len ? H_BULK : H_COUNT,
                            .channel = channel,
                            .header = &h,
                            .header_bytes = sizeof h,
                            .data = data,
                            .data_bytes = len,
                            .copy = len <= 4096 && len % 2,
                            .more = rand_r(&seed) % 8 == 0};
        assert_int_equal(ep_send(a.peer, &s), 0);
        with_data += len > 0;
        if (i % 512 == 0) ep_progress(a.ep);
    }
    ep_flush(a.peer);
    fx_await(&b, &b.received, count);
    fx_await(&b, &b.bulk_done, with_data);
    assert_int_equal(b.received, count);
    close_pair(&a, &b);
    free(data);
}
static void ep_send__mixed_sizes_on_one_channel(void **state) { mixed(1, 3000); }
static void ep_send__mixed_sizes_on_many_channels(void **state) { mixed(7, 3000); }

/* -- several threads -- */

struct sender {
    struct fx *fx;
    uint16_t channel;
    int count;
};

static void *send_many(void *arg) {
    struct sender *s = arg;
    unsigned seed = s->channel;
    static uint8_t data[3000];
    for (int i = 0; i < s->count; i++) {
        size_t len = rand_r(&seed) % 16 ? 0 : (size_t)rand_r(&seed) % sizeof data;
        struct fx_head h = {(uint64_t)i, 0};
        struct ep_send m = {.handler = H_COUNT,
                            .channel = s->channel,
                            .header = &h,
                            .header_bytes = sizeof h,
                            .data = data,
                            .data_bytes = len,
                            .copy = true};
        int rc;
        while ((rc = ep_send(s->fx->peer, &m)) == WEFT_E_LIMIT) sched_yield();
        assert_int_equal(rc, 0);
    }
    return NULL;
}

/* Receives without on_data checks: H_COUNT with data counts too. */
static void ep_send__several_threads(void **state) {
    enum { THREADS = 3, EACH = 20000 };
    struct fx a, b;
    pthread_t thread[THREADS];
    struct sender sender[THREADS];
    open_pair(&a, &b);
    for (int i = 0; i < THREADS; i++) {
        sender[i] = (struct sender){&a, (uint16_t)i, EACH};
        assert_int_equal(pthread_create(&thread[i], NULL, send_many, &sender[i]), 0);
    }
    fx_await(&b, &b.received, THREADS * EACH);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    assert_int_equal(a.disorder + b.disorder, 0);
    fx_close(&a);
    fx_close(&b);
}

/* Two threads wait on one endpoint, a third sends from it: each sees what it waits for. */
static void *answer_pings(void *arg) {
    struct fx *f = arg;
    fx_await(f, &f->received, 2000);
    return NULL;
}

static void ep_wait__two_threads_and_an_answer_each(void **state) {
    struct fx a, b;
    pthread_t first, second;
    open_pair(&a, &b);
    assert_int_equal(pthread_create(&first, NULL, answer_pings, &b), 0);
    assert_int_equal(pthread_create(&second, NULL, answer_pings, &b), 0);
    for (int i = 0; i < 2000; i++) {
        fx_send(&a, a.peer, H_ECHO, 0, (uint64_t)i, 0, NULL, 0);
        fx_await(&a, &a.replies, i + 1);
    }
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    close_pair(&a, &b);
}

/* A peer that is disconnected by another thread while messages pour in: no handler after that. */
static atomic_int ended, late;
static void on_flood(void *ctx, struct ep_peer *peer, const struct ep_msg *m, struct ep_sink *sink) {
    atomic_int *got = ctx;
    if (ended) late++;
    ++*got;
}

static atomic_bool pumping;
static void *pump(void *arg) {
    struct ep *ep = arg;
    while (pumping) ep_progress(ep);
    return NULL;
}

static int flood(struct fx *a) {
    struct ep_send s = {.handler = H_COUNT};
    int rc;
    while ((rc = ep_send(a->peer, &s)) == WEFT_E_LIMIT) {
        ep_progress(a->ep);
        sched_yield();
    }
    return rc;
}

static _Atomic(struct ep_peer *) flooder;
static void on_flooder(void *ctx, struct ep_peer *peer) { flooder = peer; }

static void ep_disconnect__while_messages_pour_in(void **state) {
    struct fx a;
    atomic_int got = 0;
    struct ep *ep;
    uint8_t address[EP_ADDRESS_MAX];
    size_t len = sizeof address;
    pthread_t thread;
    ended = late = 0;
    flooder = NULL;
    pumping = true;
    fx_open(&a, "shm", false);
    struct ep_config cfg = {.adapters = "shm",
                            .run_dir = a.dir,
                            .accept = true,
                            .on_peer_up = on_flooder,
                            .handlers = {[H_COUNT] = {on_flood, &got}}};
    assert_int_equal(ep_open(&ep, &cfg), 0);
    assert_int_equal(ep_address(ep, address, &len), 0);
    assert_int_equal(ep_connect(a.ep, address, len, NULL, &a.peer), 0);
    assert_int_equal(pthread_create(&thread, NULL, pump, ep), 0);
    while (!flooder) ep_progress(a.ep);
    while (got < 10000) assert_int_equal(flood(&a), 0);
    ep_disconnect(flooder);
    ended = 1;
    for (int i = 0; i < 10000 && flood(&a) == 0; i++) continue;
    pumping = false;
    pthread_join(thread, NULL);
    assert_int_equal(late, 0);
    fx_close(&a);
    ep_close(ep, 100);
}

/* -- sleepers -- */

/* The receiver spins, is about to sleep, or sleeps when a message comes: it is always woken. */
static void *await_all(void *arg) {
    struct fx *f = arg;
    fx_await(f, &f->received, 3000);
    return NULL;
}

static void ep_wait__sleepers_are_woken(void **state) {
    struct fx a, b;
    pthread_t thread;
    unsigned seed = 1;
    open_pair(&a, &b);
    assert_int_equal(pthread_create(&thread, NULL, await_all, &b), 0);
    for (int i = 0; i < 3000; i++) {
        uint64_t until = weft_now_ns() + (unsigned)rand_r(&seed) % 60 * WEFT_NS_PER_US;
        while (weft_now_ns() < until) weft_cpu_relax();
        fx_send(&a, a.peer, H_COUNT, 0, (uint64_t)i, 0, NULL, 0);
        uint64_t patience = weft_now_ns() + 5 * WEFT_NS_PER_S;
        while (i % 16 == 0 && b.received <= i && weft_now_ns() < patience) sched_yield();
        if (i % 16 == 0) assert_true(b.received > i);
    }
    pthread_join(thread, NULL);
    close_pair(&a, &b);
}

/* -- completions -- */

static void ep_send__on_done_comes_once_each(void **state) {
    struct fx a, b;
    static uint8_t data[100];
    open_pair(&a, &b);
    fx_fill(data, sizeof data, 9);
    for (int i = 0; i < 5000; i++) fx_send(&a, a.peer, H_BULK, 0, (uint64_t)i, 9, data, sizeof data);
    fx_await(&a, &a.sent, 5000);
    fx_await(&b, &b.bulk_done, 5000);
    assert_int_equal(a.sent, 5000);
    close_pair(&a, &b);
}

/* -- death -- */

static void stream_until_killed(int address_pipe, int told) {
    struct fx f;
    uint8_t address[EP_ADDRESS_MAX];
    size_t len;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    assert_int_equal(read(address_pipe, &len, sizeof len), sizeof len);
    assert_int_equal(read(address_pipe, address, len), len);
    fx_open(&f, "shm", false);
    assert_int_equal(write(told, f.dir, sizeof f.dir), sizeof f.dir);
    assert_int_equal(ep_connect(f.ep, address, len, NULL, &f.peer), 0);
    for (uint64_t i = 0;; i++) {
        struct fx_head h = {i, 0};
        struct ep_send s = {.handler = H_COUNT, .header = &h, .header_bytes = sizeof h};
        while (ep_send(f.peer, &s) == WEFT_E_LIMIT) ep_progress(f.ep);
    }
}

/* What was sent before arrives, in order and whole; then the loss is told, and nothing more. */
static void peer_killed__in_the_middle_of_a_burst(void **state) {
    struct fx b;
    int to[2], from[2];
    char dir[64];
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    pid_t pid = fork();
    if (pid == 0) stream_until_killed(to[0], from[1]);
    fx_open(&b, "shm", true);
    assert_int_equal(write(to[1], &b.address_len, sizeof b.address_len), sizeof b.address_len);
    assert_int_equal(write(to[1], b.address, b.address_len), b.address_len);
    assert_int_equal(read(from[0], dir, sizeof dir), sizeof dir);
    fx_await(&b, &b.received, 5000);
    kill(pid, SIGKILL);
    fx_await(&b, &b.downs, 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(b.down_status, WEFT_E_PEER_LOST);
    assert_int_equal(b.disorder, 0);
    int received = b.received;
    ep_progress(b.ep);
    assert_int_equal(b.received, received);
    fx_close(&b);
    weft_dir_remove(dir);
    for (int i = 0; i < 2; i++) {
        close(to[i]);
        close(from[i]);
    }
}

/* -- lies -- */

#define LANE_CAPS (ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED | ADAPTER_CAP_SAME_HOST | ADAPTER_CAP_MESSAGES)

static uint64_t word(uint32_t id, unsigned channel, unsigned handler, unsigned header_bytes) {
    return id | (uint64_t)channel << 32 | (uint64_t)handler << 48 | (uint64_t)header_bytes << 54;
}

static struct conn *lane_conn(struct duo *d, unsigned caps) {
    duo_open(d, &(struct duo_config){.caps = caps});
    duo_connect(d);
    duo_settle(d);
    assert_non_null(d->side[1].conn);
    return d->side[1].conn;
}

static void give(struct duo *d, uint64_t w, size_t len) {
    static const uint8_t data[1024];
    struct duo_side *s = &d->side[1];
    struct adapter_message m = {
        .peer = s->conn ? s->conn->path.peer : NULL, .word = w, .data = data, .len_bytes = len};
    engine_lane_in(s->engine, d->now, &s->link, &m);
    duo_settle(d);
}

static void lane_in__takes_what_is_right(void **state) {
    struct duo d;
    struct conn *c = lane_conn(&d, LANE_CAPS);
    give(&d, word(c->id, 3, 1, 10), 10);
    give(&d, word(c->id, 65535, 63, 1023), 1023);
    assert_int_equal(d.side[1].headers, 2);
    assert_int_equal(d.side[1].downs, 0);
    duo_close(&d);
}

static void lane_in__header_longer_than_the_message(void **state) {
    struct duo d;
    struct conn *c = lane_conn(&d, LANE_CAPS);
    give(&d, word(c->id, 0, 1, 11), 10);
    assert_int_equal(d.side[1].headers, 0);
    assert_int_equal(d.side[1].downs, 1);
    assert_int_equal(d.side[1].down_status, WEFT_E_PROTO);
    duo_close(&d);
}

/* Words at random, and those for connections that are not there: no crash, nothing delivered. */
static void lane_in__nobodys(void **state) {
    struct duo d;
    struct conn *c = lane_conn(&d, LANE_CAPS);
    uint32_t id = c->id;
    give(&d, word(0, 0, 0, 0), 8);
    give(&d, word(id ^ 0x10000, 0, 0, 0), 8); /* another generation of the slot */
    give(&d, UINT64_MAX, 8);
    unsigned seed = 4;
    for (int i = 0; i < 10000; i++) {
        uint64_t w = (uint64_t)rand_r(&seed) << 33 ^ (uint64_t)rand_r(&seed) << 10 ^ (unsigned)rand_r(&seed);
        if ((uint32_t)w != id) give(&d, w, (unsigned)rand_r(&seed) % 1024u);
    }
    assert_int_equal(d.side[1].headers, 0);
    assert_int_equal(d.side[1].downs, 0);
    duo_close(&d);
}

/* Where packets carry a checksum, a message without one is not believed. */
static void lane_in__connection_with_checksums(void **state) {
    struct duo d;
    struct conn *c = lane_conn(&d, ADAPTER_CAP_MESSAGES);
    assert_int_equal(c->integrity, WIRE_INTEGRITY_CRC);
    give(&d, word(c->id, 0, 1, 8), 8);
    assert_int_equal(d.side[1].headers, 0);
    duo_close(&d);
}

/* -- many -- */

#define MANY (TEST_SLOWDOWN > 1 ? 1000000 : 10000000)

struct count {
    uint64_t next, wrong;
    _Atomic uint64_t got;
};

static void on_number(void *ctx, struct ep_peer *peer, const struct ep_msg *m, struct ep_sink *sink) {
    struct count *c = ctx;
    uint64_t n[2] = {0};
    if (m->header_bytes == sizeof n[0]) memcpy(n, m->header, sizeof n[0]);
    if (m->data_bytes == sizeof n[1]) memcpy(n + 1, m->data, sizeof n[1]);
    if (n[0] != c->next || n[1] != ~c->next) c->wrong++;
    c->next++;
    atomic_store_explicit(&c->got, c->next, memory_order_release);
}

static bool got_many(void *arg) {
    struct count *c = arg;
    return atomic_load_explicit(&c->got, memory_order_acquire) == MANY;
}

static void *receive_many(void *arg) {
    void **a = arg;
    assert_int_equal(ep_wait(a[0], got_many, a[1], weft_now_ns() + 300 * TEST_SLOWDOWN * WEFT_NS_PER_S), 0);
    return NULL;
}

/* Ten million messages in order, with their content; a tenth of it under a sanitizer. */
static void ep_send__many(void **state) {
    struct fx a;
    struct count count = {0};
    struct ep *ep;
    uint8_t address[EP_ADDRESS_MAX];
    size_t len = sizeof address;
    pthread_t thread;
    fx_open(&a, "shm", false);
    struct ep_config cfg = {
        .adapters = "shm", .run_dir = a.dir, .accept = true, .handlers = {[1] = {on_number, &count}}};
    assert_int_equal(ep_open(&ep, &cfg), 0);
    assert_int_equal(ep_address(ep, address, &len), 0);
    assert_int_equal(ep_connect(a.ep, address, len, NULL, &a.peer), 0);
    void *arg[2] = {ep, &count};
    assert_int_equal(pthread_create(&thread, NULL, receive_many, arg), 0);
    uint64_t start = weft_now_ns();
    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t n[2] = {i, ~i};
        struct ep_send s = {.handler = 1,
                            .header = n,
                            .header_bytes = sizeof n[0],
                            .data = n + 1,
                            .data_bytes = sizeof n[1],
                            .copy = true};
        int rc;
        while ((rc = ep_send(a.peer, &s)) == WEFT_E_LIMIT) ep_progress(a.ep);
        assert_int_equal(rc, 0);
        if (i % 1024 == 0) /* not more in the queue than the ring holds */
            while (i > atomic_load(&count.got) + 100000) ep_progress(a.ep);
    }
    while (pthread_tryjoin_np(thread, NULL)) ep_progress(a.ep);
    double took = (double)(weft_now_ns() - start) / 1e9;
    print_message("%d messages in %.2f s, %.0f ns each\n", MANY, took, took * 1e9 / MANY);
    assert_int_equal(count.wrong, 0);
    fx_close(&a);
    ep_close(ep, 100);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ep_send__mixed_sizes_on_one_channel),
        cmocka_unit_test(ep_send__mixed_sizes_on_many_channels),
        cmocka_unit_test(ep_send__several_threads),
        cmocka_unit_test(ep_wait__two_threads_and_an_answer_each),
        cmocka_unit_test(ep_disconnect__while_messages_pour_in),
        cmocka_unit_test(ep_wait__sleepers_are_woken),
        cmocka_unit_test(ep_send__on_done_comes_once_each),
        cmocka_unit_test(peer_killed__in_the_middle_of_a_burst),
        cmocka_unit_test(lane_in__takes_what_is_right),
        cmocka_unit_test(lane_in__header_longer_than_the_message),
        cmocka_unit_test(lane_in__nobodys),
        cmocka_unit_test(lane_in__connection_with_checksums),
    };
    const struct CMUnitTest many[] = {cmocka_unit_test(ep_send__many)};
    bool stress = argc > 1 && !strcmp(argv[1], "--many");
    return stress ? cmocka_run_group_tests(many, NULL, NULL) : cmocka_run_group_tests(tests, NULL, NULL);
}
