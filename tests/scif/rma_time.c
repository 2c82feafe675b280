/* When an RMA's data is there, and that its target has nothing to do for it (guide 3.7, 3.7.1, 3.10.1). */
#include "areas.h"
#include "rma.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* ---- RMA, then message ---- */

/* arg / 4: pages. When the message is received the data is there. */
static void write_then_send(struct sciftest *t) {
    struct rma r = rma_pair(t, ARG_CALL(t), (size_t)ARG_MORE(t));
    size_t bytes = r.pages * PAGE;
    char byte = 0;
    for (uint32_t i = 0; i < (r.pages > 16 ? 8 : 100); i++) {
        if (t->is_left) {
            fill_pattern(r.mem, bytes, i);
            OK(rma_run(&r, 0, 0, bytes, 0));
            send_all(r.epd, &byte, 1);
            receive_all(r.epd, &byte, 1);
        } else {
            receive_all(r.epd, &byte, 1);
            CHECK(has_pattern(r.mem, bytes, i));
            send_all(r.epd, &byte, 1);
        }
    }
    meet(t);
}

/* One word at a time, as flags and counters are written by programs. */
static void word_then_send(struct sciftest *t) {
    struct rma r = rma_pair(t, ARG_CALL(t), 1);
    volatile uint32_t *word = (volatile uint32_t *)r.mem;
    char byte = 0;
    for (uint32_t i = 1; i <= 500; i++) {
        size_t at = i % 1024;
        if (t->is_left) {
            word[at] = i;
            OK(rma_run(&r, 4 * at, 4 * at, 4, 0));
            send_all(r.epd, &byte, 1);
        } else {
            receive_all(r.epd, &byte, 1);
            CHECK_EQ(word[at], i);
        }
    }
    meet(t);
}

/* ---- Loopback: an RMA without flags is complete on return (contract: clients 2) ---- */

static void loopback(struct sciftest *t) {
    scif_epd_t e[2];
    enum { BYTES = 64 * 4096 };
    char *peer = new_pages(64);
    connect_loop(e);
    struct rma r = {.epd = e[0], .call = ARG_CALL(t), .mem = new_pages(64), .pages = 64};
    r.loff = register_pages(e[0], r.mem, 64);
    r.roff = register_pages(e[1], peer, 64);
    for (uint32_t i = 0; i < 20; i++) {
        char *from = rma_reads(r.call) ? peer : r.mem, *to = rma_reads(r.call) ? r.mem : peer;
        fill_pattern(from, BYTES, i);
        CHECK_EQ(OK(rma_run(&r, 0, 0, BYTES, 0)), 0);
        CHECK(has_pattern(to, BYTES, i));
    }
}

/* Both windows are the same memory, or overlap: nothing but the bytes that were asked for moves. */
static void loopback_same_pages(struct sciftest *t) {
    scif_epd_t e[2];
    char *mem = new_pages(4);
    connect_loop(e);
    struct rma r = {.epd = e[0], .call = ARG_CALL(t), .mem = mem, .pages = 4};
    r.loff = register_pages(e[0], mem, 4);
    r.roff = register_pages(e[1], mem, 4);
    fill_pattern(mem, 4 * PAGE, 1);
    size_t here = 2 * PAGE + 5, there = 100;
    OK(rma_run(&r, here, there, PAGE, SCIF_RMA_SYNC));
    size_t to = rma_reads(r.call) ? here : there, from = rma_reads(r.call) ? there : here;
    CHECK(has_pattern_at(mem + to, from, PAGE, 1));
    CHECK(has_pattern_at(mem + from, from, PAGE, 1));
}

/* ---- The target does nothing ---- */

/* Spins on plain memory; each round trip is two RMAs. */
static void spins(struct sciftest *t) {
    enum { ROUNDS = 50 };
    struct rma r = rma_pair(t, WRITETO, 1);
    off_t theirs, mine = t->is_left ? r.loff : r.roff;
    tell(t, &mine, sizeof mine);
    hear(t, &theirs, sizeof theirs);
    volatile uint64_t *word = (volatile uint64_t *)r.mem;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        word[100] = i;
        if (t->is_left) OK(scif_vwriteto(r.epd, (void *)&word[100], 8, theirs, 0));
        spin_until(&word[0], i);
        if (!t->is_left) OK(scif_vwriteto(r.epd, (void *)&word[100], 8, theirs, 0));
    }
    meet(t);
}

/* Programs wait for the last word of a large transfer: with ORDERED all others are there before it
 * (guide 3.7.1). */
static void ordered(struct sciftest *t) {
    enum { PAGES = 32, BYTES = PAGES * 4096 };
    struct rma r = rma_pair(t, ARG_CALL(t), PAGES);
    volatile uint64_t *last = (volatile uint64_t *)(r.mem + BYTES - 8);
    for (uint64_t i = 1; i <= 30; i++) {
        if (t->is_left) {
            fill_pattern(r.mem, BYTES - 8, (uint32_t)i);
            *last = i;
            OK(rma_run(&r, 0, 0, BYTES, SCIF_RMA_ORDERED));
        } else {
            spin_until(last, i);
            CHECK(has_pattern(r.mem, BYTES - 8, (uint32_t)i));
        }
        meet(t);
    }
}

static void stopped_target(struct sciftest *t, struct child *c) {
    struct rma r = rma_pair(t, READFROM, 16);
    fill_pattern(r.mem, 16 * PAGE, 1);
    child_say(c);
    child_hear(c); /* stopped and continued while we wait here */
    CHECK(has_pattern(r.mem, 16 * PAGE, 2));
}

static void stops_target(struct sciftest *t) {
    struct child c;
    child_start(&c, t, stopped_target);
    child_hear(&c);
    child_stop(&c);
    meet(t);
    meet(t);
    OK(kill(c.pid, SIGCONT));
    child_say(&c);
    child_join(&c);
}

static void with_stopped_target(struct sciftest *t) {
    struct rma r = rma_pair(t, READFROM, 16);
    char byte = 0;
    meet(t);
    CHECK(peek_pattern(r.epd, 16 * PAGE, r.roff, 1));
    poke_pattern(r.epd, 16 * PAGE, r.roff, 2);
    OK(scif_readfrom(r.epd, r.loff, 16 * PAGE, r.roff, SCIF_RMA_SYNC));
    CHECK(has_pattern(r.mem, 16 * PAGE, 2));
    OK(scif_send(r.epd, &byte, 1, 0));
    meet(t);
}

/* The target blocks in calls of its own endpoint. */
static void target_receives(struct sciftest *t) {
    struct rma r = rma_pair(t, READFROM, 16);
    char byte = 0;
    struct worker w = {
        .call = worker_recv, .epd = r.epd, .data = &byte, .bytes = 1, .flags = SCIF_RECV_BLOCK};
    if (!t->is_left) {
        worker_start(&w);
        worker_asleep(&w);
        meet(t);
        worker_join(&w);
        CHECK(has_pattern(r.mem, 16 * PAGE, 2));
        meet(t);
        return;
    }
    meet(t);
    poke_pattern(r.epd, 16 * PAGE, r.roff, 2);
    CHECK(peek_pattern(r.epd, 16 * PAGE, r.roff, 2));
    send_all(r.epd, &byte, 1);
    meet(t);
}

/* ---- Many at once ---- */

/* Each side writes into the other and reads from it, at the same time. */
static void both_ways(struct sciftest *t) {
    enum { BYTES = 256 * 4096 };
    struct rma r = rma_pair(t, WRITETO, 256);
    off_t theirs, mine = t->is_left ? r.loff : r.roff;
    tell(t, &mine, sizeof mine);
    hear(t, &theirs, sizeof theirs);
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t seed = 100 * (uint32_t)t->is_left + i, other = 100 * (uint32_t)!t->is_left + i;
        poke_pattern(r.epd, BYTES / 2, theirs, seed);
        CHECK(peek_pattern(r.epd, BYTES / 2, theirs, seed));
        meet(t);
        CHECK(has_pattern(r.mem, BYTES / 2, other));
        meet(t);
    }
}

static long one_of_many(struct worker *w) {
    uint32_t seed = (uint32_t)w->flags;
    off_t off = *(off_t *)w->data + (off_t)(seed * w->bytes);
    for (uint32_t i = 0; i < 50; i++) {
        poke_pattern(w->epd, w->bytes, off, seed + 10 * i);
        if (!peek_pattern(w->epd, w->bytes, off, seed + 10 * i)) return -1;
    }
    return 0;
}

/* Threads of one process use one endpoint at the same time, each a part of the window that no page divides.
 */
static void threads(struct sciftest *t) {
    enum { THREADS = 4 };
    struct rma r = rma_pair(t, WRITETO, 16);
    struct worker w[THREADS];
    if (t->is_left) {
        for (int i = 0; i < THREADS; i++) {
            w[i] = (struct worker){
                .call = one_of_many, .epd = r.epd, .data = &r.roff, .bytes = 15000, .flags = i};
            worker_start(&w[i]);
        }
        for (int i = 0; i < THREADS; i++) worker_join(&w[i]);
        for (int i = 0; i < THREADS; i++) CHECK_EQ(w[i].result, 0);
    }
    meet(t);
    if (t->is_left) return;
    for (uint32_t i = 0; i < THREADS; i++) CHECK(has_pattern(r.mem + 15000 * i, 15000, i + 490));
}

/* Hundreds of small transfers without a wait between them: all arrive. */
static void many_unwaited(struct sciftest *t) {
    enum { MANY = 2000 };
    struct rma r = rma_pair(t, ARG_CALL(t), 16);
    if (t->is_left) {
        fill_pattern(r.mem, 16 * PAGE, 1);
        for (size_t i = 0; i < MANY; i++) OK(rma_run(&r, 32 * i, 32 * i, 32, 0));
        rma_wait(r.epd);
    }
    meet(t);
    if (!t->is_left) CHECK(has_pattern(r.mem, 32 * MANY, 1));
}

/* A read after a write of the same endpoint has what was written, whatever flags the write had. */
static void read_after_write(struct sciftest *t) {
    enum { PAGES = 100, BYTES = PAGES * 4096 };
    struct rma r = rma_pair(t, ARG_CALL(t), PAGES);
    char *got = new_pages(PAGES);
    for (uint32_t i = 0; t->is_left && i < 50; i++) {
        size_t bytes = i % 2 ? BYTES : 8;
        fill_pattern(r.mem, bytes, i);
        OK(rma_run(&r, 0, 0, bytes, 0));
        memset(r.mem, 0, bytes); /* it is the program's again */
        OK(scif_vreadfrom(r.epd, got, bytes, r.roff, 0));
        CHECK(has_pattern(got, bytes, i));
    }
    meet(t);
}

/* ---- The end of the writer ---- */

enum { CLOSES, EXITS };

static void write_and_end(struct sciftest *t, struct child *c) {
    struct rma r = rma_pair(t, WRITETO, 1024);
    (void)c;
    OK(rma_run(&r, 0, 0, PAGE, SCIF_RMA_SYNC)); /* what the window is, is known then */
    fill_pattern(r.mem, r.pages * PAGE, 1);
    for (size_t i = 0; i < 4; i++)
        OK(rma_run(&r, i * r.pages / 4 * PAGE, i * r.pages / 4 * PAGE, r.pages / 4 * PAGE, 0));
    if (t->arg == CLOSES)
        OK(scif_close(r.epd));
    else
        exit(0);
}

/* What was initiated before a close is allowed to complete: when the peer knows of the close, the data is
 * there. */
static void writer_ends(struct sciftest *t) {
    struct child c;
    child_start(&c, t, write_and_end);
    child_join(&c);
    meet(t);
}

static void target_of_ended(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, 1024);
    await_hangup(r.epd);
    CHECK(has_pattern(r.mem, r.pages * PAGE, 1));
    meet(t);
}

#define CLIENTS "contract: clients 2"
#define WRITES(text, cite, left, right, more)                                                                \
    {"scif_writeto__" text, cite, left, right, WRITETO + 4L * (more)}, {                                     \
        "scif_vwriteto__" text, cite, left, right, VWRITETO + 4L * (more)                                    \
    }
static const struct sciftest_case cases[] = {
    WRITES("of_a_page_is_there_when_later_message_is", CLIENTS, write_then_send, write_then_send, 1),
    WRITES("of_1_MiB_is_there_when_later_message_is", CLIENTS, write_then_send, write_then_send, 256),
    WRITES("of_a_word_is_there_when_later_message_is", CLIENTS, word_then_send, word_then_send, 0),
    WRITES("with_ORDERED_writes_last_bytes_last", "guide 3.7.1", ordered, ordered, 0),
    WRITES("of_2000_parts_without_waiting_arrives", "guide 3.8", many_unwaited, many_unwaited, 0),
    WRITES("before_a_read_is_seen_by_it", "guide 3.7", read_after_write, read_after_write, 0),
    EACH_CALL("within_a_process_is_complete_on_return", CLIENTS, loopback, NULL, 0),
    EACH_CALL("within_a_process_between_same_pages_is_right", "guide 3.7", loopback_same_pages, NULL, 0),
    {"scif_vwriteto__is_seen_by_who_spins", "contract: clients 7", spins, spins, 0},
    {"scif_vwriteto__reaches_stopped_process", "contract: clients 7", with_stopped_target, stops_target, 0},
    {"scif_vwriteto__reaches_process_that_blocks", "contract: clients 7", target_receives, target_receives,
     0},
    {"scif_vwriteto__both_ways_at_once_is_right", "guide 3.7", both_ways, both_ways, 0},
    {"scif_vwriteto__by_several_threads_is_right", "guide 3.7", threads, threads, 0},
    {"scif_close__lets_RMAs_complete", "guide 3.10.1", writer_ends, target_of_ended, CLOSES},
    {"exit__lets_RMAs_complete", "guide 3.11", writer_ends, target_of_ended, EXITS},
};
SCIFTEST_AREA(rma_time_area, cases);
