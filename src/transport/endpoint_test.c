/* The endpoint over real adapters and threads: every message exactly once, in order, with its data; closing,
 * losing and finding peers again; waiting by several threads; watches and timers. */
#include "base/clock.h"
#include "base/error.h"
#include "base/option.h"
#include "transport/ep_fixture.h"
#include "transport/lull.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void open_pair(struct fx *a, struct fx *b, const char *adapters) {
    fx_open(b, adapters, true);
    fx_open(a, adapters, false);
    fx_connect(a, b);
}

static void close_pair(struct fx *a, struct fx *b) {
    assert_int_equal(a->bad_data + b->bad_data, 0);
    assert_int_equal(a->disorder + b->disorder, 0);
    fx_close(a);
    fx_close(b);
}

static void ping_pong(const char *adapters) {
    struct fx a, b;
    open_pair(&a, &b, adapters);
    for (int i = 0; i < 500; i++) {
        fx_send(&a, a.peer, H_ECHO, 0, (uint64_t)i, 0, NULL, 0);
        fx_await(&a, &a.replies, i + 1);
    }
    assert_int_equal(b.received, 500);
    close_pair(&a, &b);
}
static void ep_send__ping_pong_udp(void **state) { ping_pong("udp"); }
static void ep_send__ping_pong_shm(void **state) { ping_pong("shm"); }

static void bulk(const char *adapters, size_t len) {
    struct fx a, b;
    uint8_t *data = malloc(len);
    fx_fill(data, len, 7);
    open_pair(&a, &b, adapters);
    uint64_t start = weft_now_ns();
    fx_send(&a, a.peer, H_BULK, 0, 0, 7, data, len);
    fx_await(&a, &a.sent, 1);
    fx_await_idle(&b.bulk_done, 1);
    print_message("%s %zu bytes: %.2f GB/s\n", adapters, len, (double)len / (double)(weft_now_ns() - start));
    close_pair(&a, &b);
    free(data);
}
static void ep_send__bulk_udp(void **state) { bulk("udp", 64u << 20); }
static void ep_send__bulk_shm(void **state) { bulk("shm", 64u << 20); }

static void sizes(const char *adapters) {
    static const size_t size[] = {1, 100, 1100, 1101, 1424, 4096, 16384, 16385, 61440, 61441, 1 << 20};
    struct fx a, b;
    uint8_t *data = malloc(1 << 20);
    open_pair(&a, &b, adapters);
    fx_fill(data, 1 << 20, 3);
    int count = (int)(sizeof size / sizeof *size);
    for (int i = 0; i < count; i++) fx_send(&a, a.peer, H_BULK, 0, (uint64_t)i, 3, data, size[i]);
    fx_await(&a, &a.sent, count);
    fx_await(&b, &b.bulk_done, count);
    close_pair(&a, &b);
    free(data);
}
static void ep_send__sizes_udp(void **state) { sizes("udp"); }
static void ep_send__sizes_shm(void **state) { sizes("shm"); }

static void itself(void **state) {
    struct fx a;
    uint8_t *data = malloc(1 << 20);
    fx_fill(data, 1 << 20, 5);
    fx_open(&a, "self", true);
    fx_connect(&a, &a);
    fx_send(&a, a.peer, H_ECHO, 0, 0, 0, NULL, 0);
    fx_send(&a, a.peer, H_BULK, 0, 1, 5, data, 1 << 20);
    fx_await(&a, &a.replies, 1);
    fx_await(&a, &a.bulk_done, 1);
    fx_await(&a, &a.sent, 1);
    assert_string_equal(ep_peer_adapter(a.peer), "self");
    assert_int_equal(a.bad_data + a.disorder, 0);
    fx_close(&a);
    free(data);
}

/* From memory of ep_alloc, again and again, so that windows are mapped meanwhile; freed and made anew. */
static void allocated(const char *adapters) {
    enum { LEN = 3 << 20, TIMES = 40 };
    struct fx a, b;
    open_pair(&a, &b, adapters);
    assert_null(ep_alloc(a.ep, 0));
    assert_null(ep_alloc(a.ep, SIZE_MAX));
    for (int i = 0; i < TIMES; i++) {
        uint8_t *data = ep_alloc(a.ep, LEN);
        assert_non_null(data);
        assert_int_equal(data[0] | data[LEN - 1], 0);
        fx_fill(data, LEN, (uint64_t)i);
        for (int k = 0; k < 3; k++) {
            fx_send(&a, a.peer, H_BULK, 0, (uint64_t)(3 * i + k), (uint64_t)i, data, LEN);
            fx_await(&a, &a.sent, 3 * i + k + 1);
        }
        ep_free(a.ep, i == TIMES - 1 ? NULL : data); /* ep_close frees the last one */
    }
    fx_await(&b, &b.bulk_done, 3 * TIMES);
    close_pair(&a, &b);
}
static void ep_alloc__udp(void **state) { allocated("udp"); }
static void ep_alloc__shm(void **state) { allocated("shm"); }

static void both_ways(const char *adapters) {
    enum { COUNT = 8, LEN = 4 << 20 };
    struct fx a, b;
    uint8_t *data = malloc(LEN);
    open_pair(&a, &b, adapters);
    fx_fill(data, LEN, 9);
    fx_await(&b, &b.ups, 1);
    for (int i = 0; i < COUNT; i++) {
        fx_send(&a, a.peer, H_BULK, 0, (uint64_t)i, 9, data, LEN);
        fx_send(&b, b.accepted, H_BULK, 0, (uint64_t)i, 9, data, LEN);
    }
    fx_await(&a, &a.bulk_done, COUNT);
    fx_await(&b, &b.bulk_done, COUNT);
    fx_await(&a, &a.sent, COUNT);
    fx_await(&b, &b.sent, COUNT);
    close_pair(&a, &b);
    free(data);
}
static void ep_send__both_ways_udp(void **state) { both_ways("udp"); }
static void ep_send__both_ways_shm(void **state) { both_ways("shm"); }

static void order(const char *adapters) {
    enum { CHANNELS = 10, EACH = 10000 };
    struct fx a, b;
    open_pair(&a, &b, adapters);
    for (int i = 0; i < EACH; i++)
        for (uint16_t ch = 0; ch < CHANNELS; ch++) fx_send(&a, a.peer, H_COUNT, ch, (uint64_t)i, 0, NULL, 0);
    fx_await(&b, &b.received, CHANNELS * EACH);
    assert_int_equal(b.received, CHANNELS * EACH);
    close_pair(&a, &b);
}
static void ep_send__channels_keep_order_udp(void **state) { order("udp"); }
static void ep_send__channels_keep_order_shm(void **state) { order("shm"); }

static void disconnect(const char *adapters) {
    struct fx a, b;
    uint8_t *data = malloc(1 << 20);
    fx_fill(data, 1 << 20, 1);
    open_pair(&a, &b, adapters);
    for (int i = 0; i < 100; i++) fx_send(&a, a.peer, H_COUNT, 0, (uint64_t)i, 0, NULL, 0);
    fx_send(&a, a.peer, H_BULK, 0, 100, 1, data, 1 << 20);
    ep_disconnect(a.peer); /* what was queued still arrives */
    fx_await(&b, &b.downs, 1);
    assert_int_equal(b.down_status, WEFT_E_CLOSED);
    assert_int_equal(b.received, 101);
    assert_int_equal(b.bulk_done, 1);
    fx_await(&a, &a.sent, 1);
    assert_int_equal(a.downs, 0);
    fx_connect(&a, &b); /* and again */
    fx_send(&a, a.peer, H_ECHO, 0, 0, 0, NULL, 0);
    fx_await(&a, &a.replies, 1);
    close_pair(&a, &b);
    free(data);
}
static void ep_disconnect__delivers_what_was_queued_udp(void **state) { disconnect("udp"); }
static void ep_disconnect__delivers_what_was_queued_shm(void **state) { disconnect("shm"); }

static void discard(const char *adapters) {
    struct fx a, b;
    uint8_t *data = calloc(1, 1 << 20);
    open_pair(&a, &b, adapters);
    fx_send(&a, a.peer, H_DISCARD, 0, 0, 0, data, 1 << 20);
    fx_await(&a, &a.sent, 1);
    assert_int_equal(b.received, 1);
    assert_int_equal(b.bulk_done, 0);
    close_pair(&a, &b);
    free(data);
}
static void ep_sink__without_a_buffer_udp(void **state) { discard("udp"); }
static void ep_sink__without_a_buffer_shm(void **state) { discard("shm"); }

/* -- cancel -- */

static bool all_are(const uint8_t *p, size_t n, uint8_t value) {
    return p[0] == value && memcmp(p, p + 1, n - 1) == 0;
}

static void note_status(void *arg, int status) { *(atomic_int *)arg = status; }

static void send_to_keep(struct fx *a, uint16_t handler, uint64_t n, const uint8_t *data, size_t len,
                         atomic_int *status) {
    struct fx_head h = {n, 0};
    struct ep_send s = {.handler = handler,
                        .header = &h,
                        .header_bytes = sizeof h,
                        .data = data,
                        .data_bytes = len,
                        .on_done = note_status,
                        .arg = status};
    *status = 1;
    assert_int_equal(ep_send(a->peer, &s), 0);
}

/* A thread that is no handler cancels at some moment of the transfer: nothing is written afterwards. */
static void cancel_from_outside(const char *adapters) {
    enum { LEN = 32 << 20, ROUNDS = 40 };
    struct fx a, b;
    uint8_t *data = malloc(LEN);
    memset(data, 0x11, LEN);
    open_pair(&a, &b, adapters);
    b.kept = malloc(LEN);
    int canceled = 0;
    for (int i = 0; i < ROUNDS; i++) {
        atomic_int status;
        memset(b.kept, 0x55, LEN);
        uint64_t before = b.kept_token;
        send_to_keep(&a, H_KEEP, (uint64_t)i, data, LEN, &status);
        while (b.kept_token == before) ep_progress(a.ep);
        for (int turn = 0; turn < i * 20; turn++) ep_progress(a.ep);
        int rc = ep_cancel(b.ep, b.kept_token);
        memset(b.kept, 0xEE, LEN);
        assert_true(rc == 0 || rc == WEFT_E_NOENT);
        fx_await(&b, &b.kept_calls, i + 1);
        while (status == 1) ep_progress(a.ep);
        assert_true(all_are(b.kept, LEN, 0xEE));
        assert_int_equal(b.kept_status, rc == 0 ? WEFT_E_CANCELED : 0);
        assert_int_equal(status, rc == 0 ? WEFT_E_CANCELED : 0);
        assert_int_equal(ep_cancel(b.ep, b.kept_token), WEFT_E_NOENT);
        canceled += rc == 0;
    }
    print_message("%s: %d of %d were canceled in time\n", adapters, canceled, ROUNDS);
    assert_in_range(canceled, 1, ROUNDS);
    assert_int_equal(ep_cancel(b.ep, 0), WEFT_E_NOENT);
    close_pair(&a, &b);
    free(b.kept);
    free(data);
}
static void ep_cancel__stops_writing_udp(void **state) { cancel_from_outside("udp"); }
static void ep_cancel__stops_writing_shm(void **state) { cancel_from_outside("shm"); }

static void cancel_from_the_handler(const char *adapters) {
    struct fx a, b;
    uint8_t *data = calloc(1, 1 << 20);
    atomic_int status;
    open_pair(&a, &b, adapters);
    b.kept = malloc(1 << 20);
    memset(b.kept, 0xEE, 1 << 20);
    send_to_keep(&a, H_CANCEL, 0, data, 1 << 20, &status);
    fx_await(&b, &b.kept_calls, 1);
    assert_int_equal(b.kept_status, WEFT_E_CANCELED);
    while (status == 1) ep_progress(a.ep);
    assert_int_equal(status, WEFT_E_CANCELED);
    assert_int_equal(b.send_failed, 0);
    assert_true(all_are(b.kept, 1 << 20, 0xEE));
    close_pair(&a, &b);
    free(b.kept);
    free(data);
}
static void ep_cancel__in_on_header_udp(void **state) { cancel_from_the_handler("udp"); }
static void ep_cancel__in_on_header_shm(void **state) { cancel_from_the_handler("shm"); }

static void fail_expected(void *arg, int status) { *(atomic_int *)arg = status; }

static void ep_connect__is_refused(void **state) {
    struct fx a, b;
    atomic_int ended = 0;
    fx_open(&b, "udp", false);
    fx_open(&a, "udp", false);
    fx_connect(&a, &b);
    struct fx_head head = {0, 0};
    struct ep_send s = {.handler = H_BULK,
                        .header = &head,
                        .header_bytes = sizeof head,
                        .on_done = fail_expected,
                        .arg = &ended};
    int rc = ep_send(a.peer, &s); /* the refusal may be here already */
    assert_true(rc == 0 || rc == WEFT_E_REFUSED);
    fx_await(&a, &a.downs, 1);
    assert_int_equal(a.down_status, WEFT_E_REFUSED);
    assert_int_equal(ended, rc == 0 ? WEFT_E_REFUSED : 0);
    assert_int_equal(ep_send(a.peer, &s), WEFT_E_REFUSED);
    ep_disconnect(a.peer);
    close_pair(&a, &b);
}

static void ep_connect__nobody_there(void **state) {
    struct fx a, b;
    fx_open(&b, "udp", true);
    fx_open(&a, "udp", false);
    fx_close(&b); /* its address leads nowhere now */
    fx_connect(&a, &b);
    fx_await(&a, &a.downs, 1);
    assert_int_equal(a.down_status, WEFT_E_REFUSED); /* not that its time is over */
    fx_close(&a);
}

static void ep_send__checks(void **state) {
    static uint8_t big[EP_HEADER_MAX + 1], data[70000];
    struct fx a, b;
    open_pair(&a, &b, "udp");
    struct ep_send s = {.handler = 1, .header = big, .header_bytes = sizeof big};
    assert_int_equal(ep_send(a.peer, &s), WEFT_E_TOO_BIG);
    s = (struct ep_send){.handler = EP_HANDLERS_MAX};
    assert_int_equal(ep_send(a.peer, &s), WEFT_E_INVAL);
    s = (struct ep_send){.data_bytes = 5};
    assert_int_equal(ep_send(a.peer, &s), WEFT_E_INVAL);
    s = (struct ep_send){.data = data, .data_bytes = sizeof data, .copy = true};
    assert_int_equal(ep_send(a.peer, &s), WEFT_E_TOO_BIG);
    close_pair(&a, &b);
}

/* -- several threads that wait -- */

struct waiter {
    struct fx *fx;
    uint16_t channel;
    atomic_int answers;
    int rounds;
};

static bool answered(void *arg) {
    struct waiter *w = arg;
    return atomic_load(&w->fx->replies) >= w->rounds;
}

static void *wait_for_all(void *arg) {
    struct waiter *w = arg;
    for (uint64_t i = 0; i < 50; i++) fx_send(w->fx, w->fx->peer, H_ECHO, w->channel, i, 0, NULL, 0);
    w->answers = ep_wait(w->fx->ep, answered, w, weft_now_ns() + 20 * TEST_SLOWDOWN * WEFT_NS_PER_S) == 0;
    return NULL;
}

static void many_waiters(const char *adapters) {
    enum { THREADS = 8 };
    struct fx a, b;
    struct waiter w[THREADS];
    pthread_t t[THREADS];
    open_pair(&a, &b, adapters);
    for (int i = 0; i < THREADS; i++) {
        w[i] = (struct waiter){.fx = &a, .channel = (uint16_t)i, .rounds = 50 * THREADS};
        assert_int_equal(pthread_create(&t[i], NULL, wait_for_all, &w[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(w[i].answers, 1);
    }
    close_pair(&a, &b);
}
static void ep_wait__many_threads_udp(void **state) { many_waiters("udp"); }
static void ep_wait__many_threads_shm(void **state) { many_waiters("shm"); }

static bool never(void *arg) { return false; }
static bool is_set(void *arg) { return atomic_load((atomic_int *)arg); }

static void ep_wait__ends_at_its_deadline(void **state) {
    struct fx a;
    fx_open(&a, "udp", false);
    uint64_t start = weft_now_ns();
    assert_int_equal(ep_wait(a.ep, never, NULL, start + 20 * WEFT_NS_PER_MS), WEFT_E_TIMEDOUT);
    assert_in_range(weft_now_ns() - start, 20 * WEFT_NS_PER_MS, 2 * TEST_SLOWDOWN * WEFT_NS_PER_S);
    fx_close(&a);
}

static uint64_t own_cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * WEFT_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Who waits for what does not come spins for a moment, then sleeps. */
static void idle(const char *adapters) {
    struct fx a, b;
    open_pair(&a, &b, adapters);
    fx_send(&a, a.peer, H_ECHO, 0, 0, 0, NULL, 0);
    fx_await(&a, &a.replies, 1);
    uint64_t cpu = own_cpu_ns();
    assert_int_equal(ep_wait(a.ep, never, NULL, weft_now_ns() + 500 * WEFT_NS_PER_MS), WEFT_E_TIMEDOUT);
    assert_in_range(own_cpu_ns() - cpu, 0, 50 * WEFT_NS_PER_MS);
    close_pair(&a, &b);
}
static void ep_wait__sleeps_when_idle_udp(void **state) { idle("udp"); }
static void ep_wait__sleeps_when_idle_shm(void **state) { idle("shm"); }
static void ep_wait__sleeps_when_idle_both(void **state) { idle("shm,udp"); }

/* What nobody tells of: only who polls sees that it has come, the first time that it is asked or later. */
struct unannounced {
    unsigned asked, enough;
    uint64_t due_ns;
};

static bool has_come(void *arg) {
    struct unannounced *u = arg;
    return ++u->asked > u->enough && weft_now_ns() >= u->due_ns;
}

/* True: it was found before the wait's end, a second away. */
static bool is_polled_for(struct ep *ep) {
    uint64_t now = weft_now_ns();
    struct unannounced late = {.due_ns = now + LULL_POLL_NS / 2};
    assert_int_equal(ep_wait(ep, has_come, &late, now + WEFT_NS_PER_S), 0);
    return weft_now_ns() - now < WEFT_NS_PER_S;
}

static void learn(struct ep *ep) {
    for (int i = 0; i < 20; i++) {
        struct unannounced soon = {.enough = 1};
        assert_int_equal(ep_wait(ep, has_come, &soon, weft_now_ns() + WEFT_NS_PER_S), 0);
    }
}

/* Who waits for a device polls as long as what it waits for mostly comes soon. On a busy machine it may not
 * run while it would poll: it gets a second chance, and more. */
static void ep_wait__polls_for_what_comes_soon(void **state) {
    struct ep_config cfg = {.adapters = "udp", .yields = true};
    struct ep *ep;
    assert_int_equal(ep_open(&ep, &cfg), 0);
    assert_false(is_polled_for(ep));
    bool polled = false;
    for (int tries = 0; tries < 50 && !polled; tries++) {
        learn(ep);
        polled = is_polled_for(ep);
    }
    assert_true(polled);
    ep_close(ep, 0);
}

struct wake {
    struct ep *ep;
    atomic_int flag;
};

static void *wake_others(void *arg) {
    struct wake *w = arg;
    ep_wait(w->ep, never, NULL, weft_now_ns() + 5 * WEFT_NS_PER_MS);
    w->flag = 1;
    ep_wake(w->ep);
    return NULL;
}

static void ep_wake__is_noticed(void **state) {
    struct fx a;
    pthread_t t;
    fx_open(&a, "udp", false);
    struct wake w = {a.ep, 0};
    assert_int_equal(pthread_create(&t, NULL, wake_others, &w), 0);
    assert_int_equal(ep_wait(a.ep, is_set, &w.flag, weft_now_ns() + 10 * TEST_SLOWDOWN * WEFT_NS_PER_S), 0);
    pthread_join(t, NULL);
    fx_close(&a);
}

/* -- watches and timers -- */

static void on_readable(void *arg, int fd) {
    char c;
    assert_int_equal(read(fd, &c, 1), 1);
    (*(atomic_int *)arg)++;
}

static void ep_watch__runs_when_readable(void **state) {
    struct fx a;
    int p[2];
    atomic_int count = 0;
    fx_open(&a, "udp", false);
    assert_int_equal(pipe(p), 0);
    assert_int_equal(ep_watch(a.ep, p[0], on_readable, &count), 0);
    assert_int_equal(ep_watch(a.ep, p[0], on_readable, &count), WEFT_E_EXIST);
    assert_int_equal(write(p[1], "xy", 2), 2);
    fx_await_idle(&count, 2); /* by the progress thread */
    assert_int_equal(write(p[1], "z", 1), 1);
    fx_await(&a, &count, 3); /* by a waiter */
    ep_unwatch(a.ep, p[0]);
    assert_int_equal(write(p[1], "q", 1), 1);
    assert_int_equal(ep_wait(a.ep, never, NULL, weft_now_ns() + 2 * WEFT_NS_PER_MS), WEFT_E_TIMEDOUT);
    assert_int_equal(count, 3);
    close(p[0]);
    close(p[1]);
    fx_close(&a);
}

struct timed {
    atomic_int *count;
    int expected;
    atomic_int *wrong;
};

static void on_time(void *arg) {
    struct timed *t = arg;
    if (++*t->count != t->expected) ++*t->wrong;
}

static void ep_timer__in_order_and_cancelled(void **state) {
    struct fx a;
    atomic_int count = 0, wrong = 0;
    fx_open(&a, "udp", false);
    uint64_t now = weft_now_ns();
    struct timed t[3] = {{&count, 1, &wrong}, {&count, 2, &wrong}, {&count, 99, &wrong}};
    assert_int_not_equal(ep_timer(a.ep, now + 6 * WEFT_NS_PER_MS, on_time, &t[1]), 0);
    assert_int_not_equal(ep_timer(a.ep, now + 3 * WEFT_NS_PER_MS, on_time, &t[0]), 0);
    uint64_t id = ep_timer(a.ep, now + 4 * WEFT_NS_PER_MS, on_time, &t[2]);
    ep_cancel_timer(a.ep, id);
    fx_await_idle(&count, 2);
    assert_int_equal(wrong, 0);
    fx_close(&a);
}

static void on_kept_timer(void *arg) { ++*(atomic_int *)arg; }

static void ep_timer_set__again_and_again(void **state) {
    struct fx a;
    atomic_int count = 0;
    fx_open(&a, "udp", false);
    struct ep_timer *t = ep_timer_create(a.ep, on_kept_timer, &count);
    assert_non_null(t);
    for (int i = 1; i <= 3; i++) {
        assert_true(ep_timer_set(a.ep, t, weft_now_ns() + WEFT_NS_PER_S * 1000));
        assert_true(ep_timer_set(a.ep, t, weft_now_ns() + WEFT_NS_PER_MS)); /* forgets the other time */
        fx_await_idle(&count, i);
    }
    assert_non_null(ep_timer_create(a.ep, on_kept_timer, &count)); /* never set */
    fx_close(&a);
    assert_int_equal(count, 3);
}

static void kept(const char *adapters) {
    struct fx a, b;
    fx_open(&b, adapters, true);
    b.keep = true; /* before anybody connects */
    fx_open(&a, adapters, false);
    fx_connect(&a, &b);
    fx_send(&a, a.peer, H_ECHO, 0, 0, 0, NULL, 0);
    fx_await(&a, &a.replies, 1);
    struct ep_peer *accepted = b.accepted;
    ep_disconnect(a.peer);
    fx_await(&b, &b.downs, 1);
    assert_false(ep_peer_is_up(accepted)); /* still there, unlike one that nobody keeps */
    assert_int_equal(ep_send(accepted, &(struct ep_send){.handler = H_COUNT}), WEFT_E_CLOSED);
    ep_disconnect(accepted);
    close_pair(&a, &b);
}
static void ep_peer_keep__outlives_the_connection_udp(void **state) { kept("udp"); }
static void ep_peer_keep__outlives_the_connection_shm(void **state) { kept("shm"); }

static void failed_by_its_owner(const char *adapters) {
    struct fx a, b;
    open_pair(&a, &b, adapters);
    fx_send(&a, a.peer, H_ECHO, 0, 0, 0, NULL, 0);
    fx_await(&a, &a.replies, 1);
    ep_peer_fail(a.peer, WEFT_E_PROTO);
    fx_await(&a, &a.downs, 1);
    fx_await(&b, &b.downs, 1);
    assert_int_equal(a.down_status, WEFT_E_PROTO);
    assert_int_equal(b.down_status, WEFT_E_PROTO);
    ep_disconnect(a.peer);
    close_pair(&a, &b);
}
static void ep_peer_fail__is_told_to_both_udp(void **state) { failed_by_its_owner("udp"); }
static void ep_peer_fail__is_told_to_both_shm(void **state) { failed_by_its_owner("shm"); }

/* -- with a key -- */

static const uint8_t key[EP_KEY_BYTES] = "the key of a cluster of two ....";

static void secured(const char *adapters, const char *security) {
    fx_key = key;
    fx_security = security;
    ping_pong(adapters);
    sizes(adapters);
    both_ways(adapters);
    bulk(adapters, 16u << 20);
    fx_key = NULL;
    fx_security = NULL;
}
static void ep_key__auto_udp(void **state) { secured("udp", "auto"); }
static void ep_key__auto_shm(void **state) { secured("shm", "auto"); }
static void ep_key__crc_udp(void **state) { secured("udp", "crc"); }
static void ep_key__aes_shm(void **state) { secured("shm", "aes"); }

static void ep_key__connects_to_itself(void **state) {
    struct fx f;
    fx_key = key;
    fx_open(&f, "self", true);
    fx_key = NULL;
    fx_connect(&f, &f);
    fx_send(&f, f.peer, H_COUNT, 0, 0, 0, NULL, 0);
    fx_await(&f, &f.received, 1);
    fx_close(&f);
}

/* Told at both ends, also in words: the logs say which side has no key, or another. */
static void ep_key__another_is_refused(void **state) {
    const char *const adapters[] = {"udp", "shm"};
    for (int i = 0; i < 2; i++) {
        struct fx a, b;
        fx_key = key;
        fx_open(&b, adapters[i], true);
        fx_key = i ? NULL : (const uint8_t *)"the key of some other cluster ..";
        fx_open(&a, adapters[i], false);
        fx_key = NULL;
        fx_connect(&a, &b);
        fx_await(&a, &a.downs, 1);
        assert_int_equal(a.down_status, WEFT_E_ACCESS);
        assert_int_equal(b.ups, 0);
        fx_close(&a);
        fx_close(&b);
    }
}

static const char *choices = "";
static void note_choices(void *ctx, const char *module, const struct weft_option *o, const char *value,
                         const char *source) {
    if (!strcmp(o->name, "security")) choices = o->choices;
}

static void ep_open__checks_security(void **state) {
    struct ep *ep;
    struct ep_config cfg = {.adapters = "self", .security = "rot13"};
    assert_int_equal(ep_open(&ep, &cfg), WEFT_E_INVAL);
    cfg.security = "aes"; /* without a key */
    assert_int_equal(ep_open(&ep, &cfg), WEFT_E_INVAL);
    cfg.key = key;
    assert_int_equal(ep_open(&ep, &cfg), 0);
    ep_close(ep, 0);
    weft_options_visit(note_choices, NULL); /* what it takes is what the option offers */
    assert_string_equal(choices, "auto|crc|aes");
    const char *const settings[] = {"auto", "crc", "aes"};
    for (int i = 0; i < 3; i++) {
        cfg.security = settings[i];
        assert_int_equal(ep_open(&ep, &cfg), 0);
        ep_close(ep, 0);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(itself),
        cmocka_unit_test(ep_send__ping_pong_udp),
        cmocka_unit_test(ep_send__ping_pong_shm),
        cmocka_unit_test(ep_send__sizes_udp),
        cmocka_unit_test(ep_send__sizes_shm),
        cmocka_unit_test(ep_send__bulk_udp),
        cmocka_unit_test(ep_send__bulk_shm),
        cmocka_unit_test(ep_alloc__udp),
        cmocka_unit_test(ep_alloc__shm),
        cmocka_unit_test(ep_send__both_ways_udp),
        cmocka_unit_test(ep_send__both_ways_shm),
        cmocka_unit_test(ep_send__channels_keep_order_udp),
        cmocka_unit_test(ep_send__channels_keep_order_shm),
        cmocka_unit_test(ep_send__checks),
        cmocka_unit_test(ep_disconnect__delivers_what_was_queued_udp),
        cmocka_unit_test(ep_disconnect__delivers_what_was_queued_shm),
        cmocka_unit_test(ep_sink__without_a_buffer_udp),
        cmocka_unit_test(ep_sink__without_a_buffer_shm),
        cmocka_unit_test(ep_cancel__stops_writing_udp),
        cmocka_unit_test(ep_cancel__stops_writing_shm),
        cmocka_unit_test(ep_cancel__in_on_header_udp),
        cmocka_unit_test(ep_cancel__in_on_header_shm),
        cmocka_unit_test(ep_key__auto_udp),
        cmocka_unit_test(ep_key__auto_shm),
        cmocka_unit_test(ep_key__crc_udp),
        cmocka_unit_test(ep_key__aes_shm),
        cmocka_unit_test(ep_key__connects_to_itself),
        cmocka_unit_test(ep_key__another_is_refused),
        cmocka_unit_test(ep_open__checks_security),
        cmocka_unit_test(ep_connect__is_refused),
        cmocka_unit_test(ep_connect__nobody_there),
        cmocka_unit_test(ep_peer_keep__outlives_the_connection_udp),
        cmocka_unit_test(ep_peer_keep__outlives_the_connection_shm),
        cmocka_unit_test(ep_peer_fail__is_told_to_both_udp),
        cmocka_unit_test(ep_peer_fail__is_told_to_both_shm),
        cmocka_unit_test(ep_wait__many_threads_udp),
        cmocka_unit_test(ep_wait__many_threads_shm),
        cmocka_unit_test(ep_wait__ends_at_its_deadline),
        cmocka_unit_test(ep_wait__sleeps_when_idle_udp),
        cmocka_unit_test(ep_wait__sleeps_when_idle_shm),
        cmocka_unit_test(ep_wait__sleeps_when_idle_both),
        cmocka_unit_test(ep_wait__polls_for_what_comes_soon),
        cmocka_unit_test(ep_wake__is_noticed),
        cmocka_unit_test(ep_watch__runs_when_readable),
        cmocka_unit_test(ep_timer__in_order_and_cancelled),
        cmocka_unit_test(ep_timer_set__again_and_again),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
