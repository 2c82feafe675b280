#include "base/test.h"
#include "scif/queue.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Two ends, X sends to Y: X has an outer and an inner socket, Y too; the queue is Y's. */
struct ends {
    struct scif_shared *q;
    int x[2], y[2]; /* outer, inner */
};

static void open_ends(struct ends *e) {
    int least = 1;
    e->q = aligned_alloc(SCIF_PAGE, sizeof *e->q);
    assert_non_null(e->q);
    memset(e->q, 0, sizeof *e->q);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, e->x), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, e->y), 0);
    setsockopt(e->x[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
}

static void close_ends(struct ends *e) {
    for (int i = 0; i < 2; i++) {
        if (e->x[i] >= 0) close(e->x[i]);
        if (e->y[i] >= 0) close(e->y[i]);
    }
    free(e->q);
}

static short look(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
    poll(&p, 1, 0);
    return p.revents;
}

/* As message.c does. */
static size_t put(struct ends *e, const void *p, size_t n) {
    size_t went = queue_put(e->q, p, n);
    if (went) queue_tell(&e->q->queue, e->y[1]);
    queue_mark_full(&e->q->queue, e->x[0], e->x[1]);
    return went;
}
static size_t get(struct ends *e, void *p, size_t n) {
    size_t came = queue_get(e->q, p, n);
    if (came) queue_unmark_full(&e->q->queue, e->x[1]);
    if (queue_empty(&e->q->queue))
        queue_unmark(&e->q->queue, e->y[0]);
    else
        queue_mark(&e->q->queue, e->y[1]);
    return came;
}

static void queue_put__wraps_and_stops_at_4095(void **state) {
    struct ends e;
    unsigned char in[6000], out[6000];
    open_ends(&e);
    for (size_t i = 0; i < sizeof in; i++) in[i] = (unsigned char)(i * 7);
    assert_int_equal(put(&e, in, 3000), 3000);
    assert_int_equal(get(&e, out, 2999), 2999);
    assert_int_equal(put(&e, in, sizeof in), 4094);
    assert_int_equal(put(&e, in, 1), 0);
    assert_int_equal(get(&e, out, 1), 1);
    assert_int_equal(out[0], in[2999]);
    assert_int_equal(get(&e, out, sizeof out), 4094);
    assert_memory_equal(out, in, 4094);
    assert_true(queue_empty(&e.q->queue));
    close_ends(&e);
}

/* The peer is on another host. */
static void queue_put__takes_8190_between_hosts(void **state) {
    struct ends e;
    unsigned char in[SCIF_QUEUE_FAR_BYTES + 1], out[sizeof in];
    open_ends(&e);
    for (size_t i = 0; i < sizeof in; i++) in[i] = (unsigned char)(i * 11);
    atomic_store(&e.q->queue.far, SCIF_FAR);
    assert_int_equal(put(&e, in, 100), 100);
    assert_int_equal(get(&e, out, 100), 100); /* so that it wraps */
    assert_int_equal(put(&e, in, SCIF_QUEUE_BYTES), SCIF_QUEUE_BYTES);
    assert_true(queue_has_room(&e.q->queue));
    assert_true(look(e.x[0]) & POLLOUT);
    assert_int_equal(put(&e, in + SCIF_QUEUE_BYTES, sizeof in), SCIF_QUEUE_FAR_BYTES - SCIF_QUEUE_BYTES);
    assert_false(queue_has_room(&e.q->queue));
    assert_false(look(e.x[0]) & POLLOUT);
    assert_int_equal(get(&e, out, sizeof out), SCIF_QUEUE_FAR_BYTES);
    assert_memory_equal(out, in, SCIF_QUEUE_FAR_BYTES);
    close_ends(&e);
}

static void queue_place__is_not_there_before_it_is_shown(void **state) {
    struct ends e;
    unsigned char in[SCIF_QUEUE_BYTES], out[SCIF_QUEUE_BYTES];
    const unsigned at = 3000; /* so that it wraps */
    open_ends(&e);
    for (size_t i = 0; i < sizeof in; i++) in[i] = (unsigned char)(i * 7);
    assert_int_equal(put(&e, in, at), at);
    assert_int_equal(get(&e, out, at), at);
    assert_true(queue_place(e.q, at, in, 4000));
    assert_true(queue_place(e.q, at + 4000, in + 4000, 95));
    assert_true(queue_place(e.q, at + 4095, in, 4095));
    assert_false(queue_place(e.q, at + 8190, in, 1));
    assert_false(queue_place(e.q, at - 1, in, 1)); /* that was there before */
    assert_false(queue_place(e.q, at, in, (size_t)UINT32_MAX + 1));
    assert_true(queue_empty(&e.q->queue));
    queue_show(&e.q->queue, at + 10);
    assert_int_equal(get(&e, out, sizeof out), 10);
    queue_show(&e.q->queue, at + 4095);
    assert_int_equal(get(&e, out + 10, sizeof out), 4085);
    assert_memory_equal(out, in, sizeof in);
    close_ends(&e);
}

static void queue_marks__descriptors_tell_what_is_so(void **state) {
    struct ends e;
    char big[5000] = {0};
    open_ends(&e);
    assert_int_equal(look(e.y[0]), POLLOUT);
    put(&e, "ab", 2);
    assert_int_equal(look(e.y[0]), POLLIN | POLLOUT);
    put(&e, "c", 1);
    get(&e, big, 1);
    assert_int_equal(look(e.y[0]), POLLIN | POLLOUT);
    get(&e, big, 10);
    assert_int_equal(look(e.y[0]), POLLOUT);
    assert_int_equal(look(e.x[0]), POLLOUT);
    put(&e, big, sizeof big);
    assert_int_equal(look(e.x[0]), 0);
    get(&e, big, 1);
    assert_int_equal(look(e.x[0]), POLLOUT);
    close_ends(&e);
}

/* Who looks at the queue by itself is not told, and sets the mark for what it leaves. */
static void queue_tell__not_while_receiving(void **state) {
    struct ends e;
    open_ends(&e);
    atomic_store(&e.q->queue.receiving, 1);
    put(&e, "ab", 2);
    assert_int_equal(look(e.y[0]), POLLOUT);
    atomic_store(&e.q->queue.receiving, 0);
    queue_mark(&e.q->queue, e.y[1]);
    assert_int_equal(look(e.y[0]), POLLIN | POLLOUT);
    queue_mark(&e.q->queue, e.y[1]);
    char two[2];
    get(&e, two, 2);
    assert_int_equal(look(e.y[0]), POLLOUT);
    close_ends(&e);
}

static void queue_tell__end_is_noticed(void **state) {
    struct ends e;
    open_ends(&e);
    assert_false(queue_is_closed(e.y[1]));
    close(e.y[0]);
    e.y[0] = -1;
    assert_true(queue_is_closed(e.y[1]));
    queue_put(e.q, "a", 1);
    assert_false(queue_tell(&e.q->queue, e.y[1]));
    close_ends(&e);
}

/* Positions from a peer that writes nonsense never lead outside of the queue. */
static void queue_get__nonsense_is_bounded(void **state) {
    struct ends e;
    unsigned char out[10000];
    open_ends(&e);
    static const unsigned heads[] = {5000, 0x80000000u, 0xffffffffu};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        atomic_store(&e.q->queue.head, heads[i]);
        atomic_store(&e.q->queue.tail, 3);
        assert_true(queue_get(e.q, out, sizeof out) <= SCIF_QUEUE_FAR_BYTES);
        atomic_store(&e.q->queue.head, heads[i]);
        atomic_store(&e.q->queue.tail, 3);
        assert_int_equal(queue_put(e.q, out, sizeof out), 0);
    }
    close_ends(&e);
}

/* Two threads that sleep in poll() alone: one lost mark, and both stand still. */
#define STREAM_BYTES (4u << 20)

static void wait_for(int fd, short what) {
    struct pollfd p = {.fd = fd, .events = what};
    assert_int_equal(poll(&p, 1, 20000), 1);
}

static void *send_stream(void *arg) {
    struct ends *e = arg;
    unsigned char piece[9000];
    unsigned random = 1;
    for (unsigned at = 0; at < STREAM_BYTES;) {
        random = random * 1103515245u + 12345u;
        unsigned n = (random >> 8) % (random & 1 << 30 ? 9000 : 40) + 1;
        if (n > STREAM_BYTES - at) n = STREAM_BYTES - at;
        for (unsigned i = 0; i < n; i++) piece[i] = (unsigned char)((at + i) * 31);
        size_t went = put(e, piece, n);
        at += (unsigned)went;
        if (!went) wait_for(e->x[0], POLLOUT);
    }
    return NULL;
}

static void queue_marks__stream_between_sleepers(void **state) {
    struct ends e;
    pthread_t sender;
    unsigned char piece[6000];
    unsigned random = 7;
    open_ends(&e);
    assert_int_equal(pthread_create(&sender, NULL, send_stream, &e), 0);
    for (unsigned at = 0; at < STREAM_BYTES;) {
        random = random * 1103515245u + 12345u;
        unsigned n = (random >> 8) % (random & 1 << 30 ? 6000 : 20) + 1;
        size_t came = get(&e, piece, n);
        for (size_t i = 0; i < came; i++) assert_int_equal(piece[i], (unsigned char)((at + i) * 31));
        at += (unsigned)came;
        if (!came) wait_for(e.y[0], POLLIN);
    }
    pthread_join(sender, NULL);
    assert_int_equal(look(e.y[0]), POLLOUT);
    assert_int_equal(look(e.x[0]), POLLOUT);
    close_ends(&e);
}

/* Y passes on what comes before it gives the room back: by edges. */
static void queue_peek__keeps_the_room(void **state) {
    struct ends e;
    struct scif_queue *q;
    unsigned char in[3000], out[SCIF_QUEUE_FAR_BYTES + 1];
    open_ends(&e);
    q = &e.q->queue;
    for (size_t i = 0; i < sizeof in; i++) in[i] = (unsigned char)(i * 5);
    assert_int_equal(put(&e, in, 3000), 3000);
    assert_int_equal(queue_peek(e.q, 0, out, 1000), 1000);
    assert_int_equal(queue_unmark_after(q, 1000, e.y[0]), QUEUE_MORE);
    assert_int_equal(queue_peek(e.q, 1000, out + 1000, sizeof out - 1000), 2000);
    assert_memory_equal(out, in, 3000);
    assert_true(look(e.y[0]) & POLLIN);
    assert_int_equal(queue_unmark_after(q, 3000, e.y[0]), QUEUE_UNMARKED);
    assert_false(look(e.y[0]) & POLLIN);
    assert_int_equal(put(&e, in, 3000), 1095); /* nothing was given back */
    assert_true(look(e.y[0]) & POLLIN);
    assert_false(look(e.x[0]) & POLLOUT);
    queue_release(q, 2000, e.x[1]);
    assert_true(look(e.x[0]) & POLLOUT);
    assert_int_equal(queue_peek(e.q, 3000, out, sizeof out), 1095);
    assert_memory_equal(out, in, 1095);
    assert_int_equal(put(&e, in, 3000), 2000);
    atomic_store(&q->head, atomic_load(&q->head) + 100000); /* nonsense */
    assert_int_equal(queue_peek(e.q, 4095, out, sizeof out), SCIF_QUEUE_FAR_BYTES);
    close_ends(&e);
}

/* X is told of Y's next receive, whether the queue is full or not. */
static void queue_mark_until_taken__next_get_is_told(void **state) {
    struct ends e;
    char byte[4];
    open_ends(&e);
    put(&e, "abcd", 4);
    assert_true(queue_mark_until_taken(&e.q->queue, 0, e.x[0], e.x[1]));
    assert_false(look(e.x[0]) & POLLOUT);
    assert_int_equal(get(&e, byte, 1), 1);
    assert_true(look(e.x[0]) & POLLOUT);
    assert_false(queue_mark_until_taken(&e.q->queue, 0, e.x[0], e.x[1])); /* it has taken one already */
    assert_true(look(e.x[0]) & POLLOUT);
    close_ends(&e);
}

/* ---- Processes that are killed in the middle; others of their side go on ---- */
#define DEAD         4711u
#define BUSY_OF(pid) ((unsigned)(pid) << 2 | QUEUE_MARK_BUSY)

static void ended__receiver_that_looked_leaves_a_mark(void **state) {
    struct ends e;
    open_ends(&e);
    atomic_store(&e.q->queue.receiving, DEAD);
    put(&e, "a", 1);
    queue_receiver_ended(&e.q->queue, DEAD + 1, false, e.y[1], e.x[1]); /* another one */
    assert_int_equal(atomic_load(&e.q->queue.receiving), DEAD);
    queue_receiver_ended(&e.q->queue, DEAD, false, e.y[1], e.x[1]);
    assert_int_equal(look(e.y[0]), POLLIN | POLLOUT);
    assert_int_equal(atomic_load(&e.q->queue.receiving), 0);
    close_ends(&e);
}

/* It was setting a mark: its byte is there, or not yet. */
static void ended__half_set_mark_becomes_one(void **state) {
    for (int sent = 0; sent < 2; sent++) {
        struct ends e;
        char byte;
        open_ends(&e);
        queue_put(e.q, "a", 1);
        atomic_store(&e.q->queue.some, BUSY_OF(DEAD));
        if (sent) assert_int_equal(send(e.y[1], "", 1, 0), 1);
        queue_sender_ended(&e.q->queue, DEAD, e.y[1], e.x[1]);
        assert_int_equal(look(e.y[0]), POLLIN | POLLOUT);
        assert_int_equal(get(&e, &byte, 1), 1);
        assert_int_equal(look(e.y[0]), POLLOUT);
        close_ends(&e);
    }
}

static void ended__half_stuffed_socket_is_writable_again(void **state) {
    for (int stuffed = 0; stuffed < 2; stuffed++) {
        struct ends e;
        char big[SCIF_QUEUE_BYTES] = {0};
        open_ends(&e);
        queue_put(e.q, big, sizeof big);
        atomic_store(&e.q->queue.full, BUSY_OF(DEAD));
        if (stuffed) queue_stuff(e.x[0]);
        queue_sender_ended(&e.q->queue, DEAD, e.y[1], e.x[1]);
        assert_true(look(e.x[0]) & POLLOUT);
        put(&e, big, 1);
        assert_false(look(e.x[0]) & POLLOUT);
        get(&e, big, 1);
        assert_true(look(e.x[0]) & POLLOUT);
        close_ends(&e);
    }
}

/* It had the turn, had taken marks back, and their bytes not yet. */
static void ended__half_unset_marks_are_taken_by_the_next(void **state) {
    struct ends e;
    char byte;
    open_ends(&e);
    assert_int_equal(send(e.y[1], "", 1, 0), 1);
    queue_stuff(e.x[0]);
    queue_receiver_ended(&e.q->queue, DEAD, true, e.y[1], e.x[1]);
    assert_true(look(e.x[0]) & POLLOUT);
    assert_int_equal(get(&e, &byte, 1), 0);
    assert_int_equal(look(e.y[0]), POLLOUT);
    close_ends(&e);
}

static pid_t one_that_has_ended(void) {
    pid_t pid = fork();
    if (!pid) _exit(0);
    waitpid(pid, NULL, 0);
    return pid;
}

/* Nobody has told: whoever comes by sees it. */
static void orphan__mark_is_finished_by_the_next(void **state) {
    struct ends e;
    char big[SCIF_QUEUE_BYTES] = {0};
    unsigned dead = BUSY_OF(one_that_has_ended());
    open_ends(&e);
    atomic_store(&e.q->queue.some, dead);
    put(&e, "a", 1);
    assert_int_equal(look(e.y[0]), POLLIN | POLLOUT);
    assert_int_equal(get(&e, big, 1), 1);
    atomic_store(&e.q->queue.some, dead);
    assert_int_equal(get(&e, big, 1), 0);
    assert_int_equal(atomic_load(&e.q->queue.some), QUEUE_MARK_NONE);
    atomic_store(&e.q->queue.full, dead);
    put(&e, big, sizeof big);
    assert_false(look(e.x[0]) & POLLOUT);
    get(&e, big, 1);
    assert_true(look(e.x[0]) & POLLOUT);
    close_ends(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(queue_put__wraps_and_stops_at_4095),
                                       cmocka_unit_test(queue_put__takes_8190_between_hosts),
                                       cmocka_unit_test(queue_place__is_not_there_before_it_is_shown),
                                       cmocka_unit_test(queue_marks__descriptors_tell_what_is_so),
                                       cmocka_unit_test(queue_tell__not_while_receiving),
                                       cmocka_unit_test(queue_tell__end_is_noticed),
                                       cmocka_unit_test(queue_get__nonsense_is_bounded),
                                       cmocka_unit_test(queue_peek__keeps_the_room),
                                       cmocka_unit_test(queue_mark_until_taken__next_get_is_told),
                                       cmocka_unit_test(queue_marks__stream_between_sleepers),
                                       cmocka_unit_test(ended__receiver_that_looked_leaves_a_mark),
                                       cmocka_unit_test(ended__half_set_mark_becomes_one),
                                       cmocka_unit_test(ended__half_stuffed_socket_is_writable_again),
                                       cmocka_unit_test(ended__half_unset_marks_are_taken_by_the_next),
                                       cmocka_unit_test(orphan__mark_is_finished_by_the_next)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
