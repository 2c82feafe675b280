/* Calls that block: what ends them, and what does not (guide 3.4, 3.10.1). */
#include "areas.h"
#include "support.h"
#include <signal.h>
#include <stdlib.h>

static scif_epd_t shared;

/* ---- The peer goes while scif_recv() or scif_send() blocks ---- */

enum { BY_CLOSE, BY_KILL };

static void hold_until_killed(struct sciftest *t, struct child *c) {
    shared = connect_pair(t);
    child_say(c);
    child_hear(c); /* never */
}

/* Sends nothing; ends its end when the left side blocks. */
static void goes_when_met(struct sciftest *t) {
    struct child c;
    if (t->arg == BY_CLOSE) {
        scif_epd_t epd = connect_pair(t);
        meet(t);
        OK(scif_close(epd));
        meet(t);
        return;
    }
    child_start(&c, t, hold_until_killed);
    child_hear(&c);
    meet(t);
    OK(kill(c.pid, SIGKILL));
    child_join_signal(&c, SIGKILL);
    meet(t);
}

static void blocked_recv(struct sciftest *t) {
    char part[100];
    struct worker w = {.call = worker_recv, .data = part, .bytes = sizeof part, .flags = SCIF_RECV_BLOCK};
    w.epd = connect_pair(t);
    worker_start(&w);
    worker_asleep(&w);
    CHECK(!w.done);
    meet(t);
    worker_join(&w);
    CHECK_EQ(w.result, -1);
    CHECK_EQ(w.error, ECONNRESET);
    meet(t);
}

static void blocked_send(struct sciftest *t) {
    static char message[100000];
    struct worker w = {.call = worker_send, .data = message, .flags = SCIF_SEND_BLOCK};
    w.epd = connect_pair(t);
    w.bytes = sizeof message;
    worker_start(&w);
    worker_asleep(&w);
    CHECK(!w.done);
    meet(t);
    worker_join(&w);
    CHECK(w.result >= 4095 && w.result < (long)sizeof message); /* what had gone into the queue */
    meet(t);
}

static void blocked_full_send(struct sciftest *t) {
    char byte = 0;
    struct worker w = {.call = worker_send, .data = &byte, .bytes = 1, .flags = SCIF_SEND_BLOCK};
    w.epd = connect_pair(t);
    fill_queue(w.epd, 1);
    worker_start(&w);
    worker_asleep(&w);
    CHECK(!w.done);
    meet(t);
    worker_join(&w);
    CHECK_EQ(w.result, -1);
    CHECK_EQ(w.error, ECONNRESET);
    meet(t);
}

/* Part of what was asked for has come when the peer closes: it is what the call gives. */
static void blocked_partial_recv(struct sciftest *t) {
    char part[100] = "";
    struct worker w = {.call = worker_recv, .data = part, .bytes = sizeof part, .flags = SCIF_RECV_BLOCK};
    w.epd = connect_pair(t);
    worker_start(&w);
    meet(t);
    worker_asleep(&w);
    CHECK(!w.done);
    meet(t);
    worker_join(&w);
    CHECK_EQ(w.result, 10);
    CHECK(has_pattern(part, 10, 3));
    FAILS(scif_recv(w.epd, part, 1, 0), ECONNRESET);
    meet(t);
}

static void sends_10_and_closes(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char part[10];
    fill_pattern(part, sizeof part, 3);
    send_all(epd, part, sizeof part);
    meet(t);
    meet(t);
    OK(scif_close(epd));
    meet(t);
}

/* A sender that is in the midst of it when the peer closes: an error, never a signal, whatever the moment. */
static void sends_on(struct sciftest *t) {
    static char message[1000];
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 30; i++) {
        scif_epd_t epd = connect_pair(t);
        int n;
        do {
            errno = 0;
            n = scif_send(epd, message, sizeof message, i % 2 ? SCIF_SEND_BLOCK : 0);
        } while (n >= 0);
        CHECK_EQ(errno, ECONNRESET);
        OK(scif_close(epd));
    }
    meet(t);
}

static void closes_amid(struct sciftest *t) {
    static char part[50000];
    for (int i = 0; i < 30; i++) {
        scif_epd_t epd = connect_pair(t);
        receive_all(epd, part, 1 + i * 1500);
        OK(scif_close(epd));
    }
    meet(t);
}

/* ---- The own end is closed by another thread ---- */

static void own_close(struct sciftest *t) {
    static char message[100000];
    struct worker w = {.call = t->arg ? worker_send : worker_recv, .data = message, .bytes = 1, .flags = 1};
    w.epd = connect_pair(t);
    if (t->arg) fill_queue(w.epd, 1);
    worker_start(&w);
    worker_asleep(&w);
    CHECK(!w.done);
    CHECK_EQ(OK(scif_close(w.epd)), 0);
    worker_join(&w);
    CHECK_EQ(w.result, -1);
    CHECK_EQ(w.error, ECONNRESET);
    meet(t);
}

static void silent(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    await_hangup(epd);
    meet(t);
}

/* ---- Blocking and waking ---- */

/* Blocks until all of it has come, however small the parts. */
static void waits_for_all(struct sciftest *t) {
    char part[100] = "";
    struct worker w = {.call = worker_recv, .data = part, .bytes = sizeof part, .flags = SCIF_RECV_BLOCK};
    w.epd = connect_pair(t);
    worker_start(&w);
    meet(t);
    worker_asleep(&w);
    CHECK(!w.done); /* 99 have come */
    meet(t);
    worker_join(&w);
    CHECK_EQ(w.result, 100);
    CHECK(has_pattern(part, sizeof part, 4));
}

static void sends_99_then_1(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char part[100];
    fill_pattern(part, sizeof part, 4);
    for (int i = 0; i < 99; i++) send_all(epd, part + i, 1);
    meet(t);
    meet(t);
    send_all(epd, part + 99, 1);
    await_hangup(epd);
}

/* Blocks while the queue is full, and ends when there is room. */
static void waits_for_room(struct sciftest *t) {
    static char message[20000];
    struct worker w = {.call = worker_send, .data = message, .flags = SCIF_SEND_BLOCK};
    w.epd = connect_pair(t);
    w.bytes = sizeof message;
    fill_pattern(message, sizeof message, 5);
    worker_start(&w);
    worker_asleep(&w);
    CHECK(!w.done);
    meet(t);
    worker_join(&w);
    CHECK_EQ(w.result, sizeof message);
    meet(t);
}

static void receives_when_met(struct sciftest *t) {
    static char message[20000];
    scif_epd_t epd = connect_pair(t);
    meet(t);
    receive_all(epd, message, sizeof message);
    CHECK(has_pattern(message, sizeof message, 5));
    meet(t);
}

/* One thread waits for bytes while another one sends through the same endpoint. */
static void recv_hinders_no_send(struct sciftest *t) {
    char byte = 0;
    struct worker w = {.call = worker_recv, .data = &byte, .bytes = 1, .flags = SCIF_RECV_BLOCK};
    w.epd = connect_pair(t);
    worker_start(&w);
    worker_asleep(&w);
    send_all(w.epd, "x", 1);
    worker_join(&w);
    CHECK_EQ(w.result, 1);
    CHECK_EQ(byte, 'x' + 1);
}

static void echoes(struct sciftest *t) {
    char byte;
    scif_epd_t epd = connect_pair(t);
    receive_all(epd, &byte, 1);
    byte++;
    send_all(epd, &byte, 1);
    await_hangup(epd);
}

/* ---- Signals ---- */

static void interrupted_recv(struct sciftest *t) {
    char part[100];
    struct worker w = {.call = worker_recv, .data = part, .bytes = sizeof part, .flags = SCIF_RECV_BLOCK};
    w.epd = connect_pair(t);
    worker_start(&w);
    worker_interrupt(&w);
    CHECK_EQ(w.result, -1);
    CHECK_EQ(w.error, EINTR);
    send_all(w.epd, "x", 1); /* the connection is as it was */
    receive_all(w.epd, part, 1);
    CHECK_EQ(part[0], 'x' + 1);
}

static void interrupted_send(struct sciftest *t) {
    char byte = 0;
    struct worker w = {.call = worker_send, .data = &byte, .bytes = 1, .flags = SCIF_SEND_BLOCK};
    w.epd = connect_pair(t);
    fill_queue(w.epd, 1);
    worker_start(&w);
    worker_interrupt(&w);
    CHECK_EQ(w.result, -1);
    CHECK_EQ(w.error, EINTR);
    CHECK_EQ(OK(scif_send(w.epd, &byte, 1, 0)), 0);
    OK(scif_close(w.epd));
    meet(t);
}

/* Some bytes had gone: the call gives how many, and nothing is lost or sent twice. */
static void interrupted_partial_send(struct sciftest *t) {
    static char message[50000];
    struct worker w = {.call = worker_send, .data = message, .flags = SCIF_SEND_BLOCK};
    w.epd = connect_pair(t);
    w.bytes = sizeof message;
    fill_pattern(message, sizeof message, 6);
    worker_start(&w);
    worker_interrupt(&w);
    CHECK(w.result >= 4095 && w.result < (long)sizeof message);
    meet(t);
    send_all(w.epd, message + w.result, (int)((long)sizeof message - w.result));
    meet(t);
}

static void receives_all(struct sciftest *t) {
    static char message[50000];
    scif_epd_t epd = connect_pair(t);
    meet(t);
    receive_all(epd, message, sizeof message);
    CHECK(has_pattern(message, sizeof message, 6));
    meet(t);
}

static void interrupted_partial_recv(struct sciftest *t) {
    char part[100] = "";
    struct worker w = {.call = worker_recv, .data = part, .bytes = sizeof part, .flags = SCIF_RECV_BLOCK};
    w.epd = connect_pair(t);
    poll_until(w.epd, SCIF_POLLIN, SCIF_POLLIN);
    meet(t);
    worker_start(&w);
    worker_interrupt(&w);
    CHECK(w.result >= 1 && w.result <= 10);
    int rest = 10 - (int)w.result;
    if (rest) receive_all(w.epd, part + w.result, rest);
    CHECK(has_pattern(part, 10, 3));
    meet(t);
    meet(t);
}

#define PEER "guide 3.10.1"
static const struct sciftest_case cases[] = {
    {"scif_recv__blocked_is_ended_by_close_of_peer", PEER, blocked_recv, goes_when_met, BY_CLOSE},
    {"scif_recv__blocked_is_ended_by_SIGKILL_of_peer", "guide 3.11", blocked_recv, goes_when_met, BY_KILL},
    {"scif_recv__blocked_gives_what_came_before_close_of_peer", PEER, blocked_partial_recv,
     sends_10_and_closes, 0},
    {"scif_recv__blocked_is_ended_by_own_close", PEER, own_close, silent, 0},
    {"scif_recv__blocks_until_all_has_come", "guide 3.4", waits_for_all, sends_99_then_1, 0},
    {"scif_recv__blocked_hinders_no_send", "guide 3.4", recv_hinders_no_send, echoes, 0},
    {"scif_recv__interrupted_by_signal_is_EINTR", "contract: scif_recv", interrupted_recv, echoes, 0},
    {"scif_recv__interrupted_gives_what_came", "contract: scif_recv", interrupted_partial_recv,
     sends_10_and_closes, 0},
    {"scif_send__blocked_gives_what_went_before_close_of_peer", PEER, blocked_send, goes_when_met, BY_CLOSE},
    {"scif_send__blocked_gives_what_went_before_SIGKILL_of_peer", "guide 3.11", blocked_send, goes_when_met,
     BY_KILL},
    {"scif_send__blocked_at_full_queue_is_ended_by_close_of_peer", PEER, blocked_full_send, goes_when_met,
     BY_CLOSE},
    {"scif_send__blocked_at_full_queue_is_ended_by_SIGKILL_of_peer", "guide 3.11", blocked_full_send,
     goes_when_met, BY_KILL},
    {"scif_send__amid_close_of_peer_ends_with_ECONNRESET", PEER, sends_on, closes_amid, 0},
    {"scif_send__blocked_is_ended_by_own_close", PEER, own_close, silent, 1},
    {"scif_send__blocks_until_all_has_gone", "guide 3.4", waits_for_room, receives_when_met, 0},
    {"scif_send__interrupted_by_signal_is_EINTR", "contract: scif_send", interrupted_send, silent, 0},
    {"scif_send__interrupted_gives_what_went", "contract: scif_send", interrupted_partial_send, receives_all,
     0},
};
SCIFTEST_AREA(block_area, cases);
