/* scif_send(), scif_recv(): counts, sizes, order, what is left after a close (guide 3.4). */
#include "areas.h"
#include "support.h"
#include <stdlib.h>

/* ---- One message of t->arg bytes, sent blocking and received blocking ---- */

static void send_one(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    int bytes = (int)t->arg;
    char *message = malloc((size_t)bytes);
    fill_pattern(message, (size_t)bytes, 1);
    errno = 4711;
    send_all(epd, message, bytes);
    CHECK_EQ(errno, 4711);
    fill_pattern(message, (size_t)bytes, 2); /* on return the memory is the sender's again */
    meet(t);
}

static void receive_one(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    int bytes = (int)t->arg;
    char *message = calloc(1, (size_t)bytes + 1);
    errno = 4711;
    receive_all(epd, message, bytes);
    CHECK_EQ(errno, 4711);
    CHECK(has_pattern(message, (size_t)bytes, 1));
    CHECK_EQ(message[bytes], 0);
    CHECK_EQ(OK(scif_recv(epd, message, 1, 0)), 0); /* and no byte more */
    meet(t);
}

/* The same without blocking on either side, in whatever parts it goes. */
static void send_parts(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    int bytes = (int)t->arg, done = 0;
    char *message = malloc((size_t)bytes);
    fill_pattern(message, (size_t)bytes, 3);
    while (done < bytes) {
        poll_until(epd, SCIF_POLLOUT, SCIF_POLLOUT);
        int n = (int)OK(scif_send(epd, message + done, bytes - done, 0));
        CHECK(n >= 0 && n <= bytes - done);
        done += n;
    }
    meet(t);
}

static void receive_parts(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    int bytes = (int)t->arg, done = 0;
    char *message = malloc((size_t)bytes);
    while (done < bytes) {
        poll_until(epd, SCIF_POLLIN, SCIF_POLLIN);
        int n = (int)OK(scif_recv(epd, message + done, bytes - done, 0));
        CHECK(n > 0 && n <= bytes - done); /* poll has said that there is something */
        done += n;
    }
    CHECK(has_pattern(message, (size_t)bytes, 3));
    meet(t);
}

/* Random sizes on both sides: a stream without borders of messages. */
static void send_stream(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    static char part[9000];
    unsigned seed = 5;
    for (int done = 0; done < t->arg;) {
        int n = rand_r(&seed) % (int)sizeof part;
        if (n > t->arg - done) n = (int)t->arg - done;
        fill_pattern_at(part, (size_t)done, (size_t)n, 4);
        send_all(epd, part, n);
        done += n;
    }
    meet(t);
}

static void receive_stream(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    static char part[9000];
    unsigned seed = 6;
    for (int done = 0; done < t->arg;) {
        int n = rand_r(&seed) % (int)sizeof part;
        if (n > t->arg - done) n = (int)t->arg - done;
        receive_all(epd, part, n);
        CHECK(has_pattern_at(part, (size_t)done, (size_t)n, 4));
        done += n;
    }
    meet(t);
}

/* Both directions at once, each far more than a queue: neither gates the other. */
static void both_ways(struct sciftest *t) {
    enum { BYTES = 300000 };
    scif_epd_t epd = connect_pair(t);
    char *out = malloc(BYTES), *in = malloc(BYTES);
    uint32_t mine = t->is_left ? 7 : 8, theirs = t->is_left ? 8 : 7;
    fill_pattern(out, BYTES, mine);
    struct worker w = {
        .call = worker_send, .epd = epd, .data = out, .bytes = BYTES, .flags = SCIF_SEND_BLOCK};
    worker_start(&w);
    receive_all(epd, in, BYTES);
    worker_join(&w);
    CHECK_EQ(w.result, BYTES);
    CHECK(has_pattern(in, BYTES, theirs));
    meet(t);
}

/* ---- The queue ---- */

static void silent(struct sciftest *t) {
    connect_pair(t);
    meet(t);
}

static void small_sends(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char byte = 0;
    int n = 0;
    for (; n < 4095; n++) CHECK_EQ(OK(scif_send(epd, &byte, 1, 0)), 1);
    while (OK(scif_send(epd, &byte, 1, 0)) == 1) CHECK(++n < 10000);
    CHECK_EQ(OK(scif_send(epd, &byte, 1, 0)), 0);
    meet(t);
}

static void one_big_send(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char message[10000] = "";
    int n = (int)OK(scif_send(epd, message, sizeof message, 0));
    CHECK(n >= 4095 && n < 10000);
    errno = 4711;
    CHECK_EQ(OK(scif_send(epd, message, 1, 0)), 0);
    CHECK_EQ(errno, 4711); /* 0 is no error */
    meet(t);
}

/* A blocking send of 4095 bytes needs no receiver. */
static void queue_of_blocking(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char message[4095] = "";
    send_all(epd, message, sizeof message);
    meet(t);
}

/* A full queue to the peer hinders neither the other direction nor other connections (guide 3.4). */
static void full_one_way(struct sciftest *t) {
    scif_epd_t first = connect_pair(t), second = connect_pair(t);
    char byte = 0;
    if (t->is_left) fill_queue(first, 1);
    meet(t);
    if (!t->is_left) send_all(first, "a", 1);
    if (t->is_left) {
        receive_all(first, &byte, 1);
        CHECK_EQ(byte, 'a');
        send_all(second, "b", 1);
    } else {
        receive_all(second, &byte, 1);
        CHECK_EQ(byte, 'b');
    }
    meet(t);
}

/* Every byte that is taken out makes room for one. */
static void room_again(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    int n = fill_queue(epd, 9);
    char part[5000];
    tell(t, &n, sizeof n);
    meet(t); /* one byte was taken */
    fill_pattern_at(part, (size_t)n, sizeof part, 9);
    send_all(epd, part, 1);
    meet(t); /* all were taken */
    send_all(epd, part + 1, 4095);
    meet(t);
}

static void takes_out(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    static char part[1 << 20];
    int n;
    hear(t, &n, sizeof n);
    receive_all(epd, part, 1);
    meet(t);
    receive_all(epd, part + 1, n);
    meet(t);
    receive_all(epd, part + 1 + n, 4095);
    CHECK(has_pattern(part, (size_t)n + 4096, 9));
    meet(t);
}

/* ---- Counts and flags ---- */

static void empty(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char byte = 'q';
    errno = 4711;
    CHECK_EQ(OK(scif_recv(epd, &byte, 1, 0)), 0);
    CHECK_EQ(errno, 4711);
    CHECK_EQ(byte, 'q');
    meet(t);
}

static void length_0(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char byte = 0;
    CHECK_EQ(OK(scif_send(epd, &byte, 0, 0)), 0);
    CHECK_EQ(OK(scif_send(epd, &byte, 0, SCIF_SEND_BLOCK)), 0);
    CHECK_EQ(OK(scif_recv(epd, &byte, 0, 0)), 0);
    CHECK_EQ(OK(scif_recv(epd, &byte, 0, SCIF_RECV_BLOCK)), 0);
    meet(t);
}

static void wrong_arguments(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char byte = 0;
    FAILS(scif_send(epd, &byte, -1, 0), EINVAL);
    FAILS(scif_recv(epd, &byte, -1, 0), EINVAL);
    FAILS(scif_send(epd, &byte, 1, 2), EINVAL);
    FAILS(scif_recv(epd, &byte, 1, 2), EINVAL);
    FAILS(scif_send(epd, &byte, 1, 0x80 | SCIF_SEND_BLOCK), EINVAL);
    FAILS(scif_recv(epd, &byte, 1, 0x80 | SCIF_RECV_BLOCK), EINVAL);
    FAILS(scif_send(epd, NULL, 1, 0), EFAULT);
    meet(t);
}

static void less_than_asked(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char part[100];
    poll_until(epd, SCIF_POLLIN, SCIF_POLLIN);
    meet(t);
    int got = 0;
    while (got < 10) {
        int n = (int)OK(scif_recv(epd, part + got, (int)sizeof part - got, 0));
        CHECK(n >= 0);
        got += n;
    }
    CHECK_EQ(got, 10);
    CHECK(has_pattern(part, 10, 1));
    meet(t);
}

static void sends_10(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char part[10];
    fill_pattern(part, sizeof part, 1);
    send_all(epd, part, sizeof part);
    meet(t);
    meet(t);
}

/* A byte can be taken by parts; the rest stays. */
static void in_small_parts(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char part[10];
    for (int i = 0; i < 10; i++) receive_all(epd, part + i, 1);
    CHECK(has_pattern(part, 10, 1));
    meet(t);
    meet(t);
}

/* ---- After the close ---- */

static void fill_and_close(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    int n = fill_queue(epd, 2);
    OK(scif_close(epd));
    tell(t, &n, sizeof n);
    meet(t);
}

/* arg: how many bytes it takes at once, blocking if positive. */
static void drain(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    int n, done = 0, part = (int)labs(t->arg), flags = t->arg > 0 ? SCIF_RECV_BLOCK : 0;
    static char all[1 << 20];
    hear(t, &n, sizeof n);
    await_hangup(epd);
    CHECK(scif_send(epd, all, 1, 0) == -1 && errno == ECONNRESET);
    while (done < n) {
        int got = (int)OK(scif_recv(epd, all + done, part, flags));
        CHECK(got > 0 && got <= part);
        /* Less than asked for only at the end. */
        if (flags && done + got < n) CHECK_EQ(got, part);
        done += got;
    }
    CHECK_EQ(done, n);
    CHECK(has_pattern(all, (size_t)n, 2));
    FAILS(scif_recv(epd, all, 1, flags), ECONNRESET);
    meet(t);
}

/* Loopback connections have queues of the same kind. */
static void loop_queue(struct sciftest *t) {
    scif_epd_t e[2];
    static char all[1 << 20];
    (void)t;
    connect_loop(e);
    for (int way = 0; way < 2; way++) {
        int n = fill_queue(e[way], 11);
        CHECK(n >= 4095 && n < 10000);
        receive_all(e[!way], all, n);
        CHECK(has_pattern(all, (size_t)n, 11));
    }
}

#define SEND "contract: scif_send"
#define RECV "contract: scif_recv"
static const struct sciftest_case cases[] = {
    {"scif_send__of_1_byte_arrives", "guide 3.4", send_one, receive_one, 1},
    {"scif_send__of_4094_bytes_arrives", "guide 3.4", send_one, receive_one, 4094},
    {"scif_send__of_4095_bytes_arrives", "guide 3.4", send_one, receive_one, 4095},
    {"scif_send__of_4096_bytes_arrives", "guide 3.4", send_one, receive_one, 4096},
    {"scif_send__of_10000_bytes_arrives", "guide 3.4", send_one, receive_one, 10000},
    {"scif_send__of_1_MiB_arrives", "guide 3.4", send_one, receive_one, 1 << 20},
    {"scif_send__nonblocking_in_parts_arrives", "guide 3.4", send_parts, receive_parts, 100000},
    {"scif_send__of_random_sizes_keeps_order", "guide 3.4", send_stream, receive_stream, 3000000},
    {"scif_send__both_ways_at_once_arrives", "guide 3.4", both_ways, both_ways, 0},
    {"scif_send__of_4095_single_bytes_fits_then_gives_0", SEND, small_sends, silent, 0},
    {"scif_send__of_10000_bytes_nonblocking_gives_room_of_queue", SEND, one_big_send, silent, 0},
    {"scif_send__of_4095_bytes_blocks_not", SEND, queue_of_blocking, silent, 0},
    {"scif_send__into_full_queue_hinders_no_other", "guide 3.4", full_one_way, full_one_way, 0},
    {"scif_send__after_receive_has_room_of_what_was_taken", "guide 3.4", room_again, takes_out, 0},
    {"scif_send__within_a_process_has_a_queue_each_way", "guide 3.4", loop_queue, NULL, 0},
    {"scif_send__and_recv_of_0_bytes_give_0", SEND, length_0, silent, 0},
    {"scif_send__and_recv_with_wrong_arguments_are_EINVAL", SEND, wrong_arguments, silent, 0},
    {"scif_recv__from_empty_queue_gives_0", RECV, empty, silent, 0},
    {"scif_recv__gives_what_is_there", "guide 3.4", less_than_asked, sends_10, 0},
    {"scif_recv__leaves_what_was_not_asked_for", "guide 3.4", in_small_parts, sends_10, 0},
    {"scif_recv__after_close_drains_then_ECONNRESET", "guide 3.10.1", drain, fill_and_close, -1000},
    {"scif_recv__after_close_drains_bytewise", "guide 3.10.1", drain, fill_and_close, -1},
    {"scif_recv__blocking_after_close_gives_the_rest", "guide 3.10.1", drain, fill_and_close, 1000},
};
SCIFTEST_AREA(send_area, cases);
