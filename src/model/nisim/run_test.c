/* Tests of whole runs: the golden journey, runs that repeat bit for bit, invariants that hold after every
 * event, and the ways in which a message may come at a bad moment. */
#include "base/error.h"
#include "base/test.h"
#include "model/nisim/journey.h"
#include "model/nisim/run.h"
#include "model/nisim/svg.h"
#include "model/nisim/sweep.h"

#include <stdlib.h>
#include <string.h>

/* --- The journey. --- */

static void check_journey(enum nisim_mechanism m, bool pio, const cycle_t *cycles, int count) {
    struct nisim_config c;
    struct nisim_journey j;
    nisim_config_default(&c);
    assert_int_equal(nisim_journey(&c, m, pio, 20, 1, &j), WEFT_OK);
    for (int i = 0; i < j.count && i < count; i++)
        if (j.step[i].to - j.step[i].from != cycles[i])
            fail_msg("%s, %s: %lu cycles instead of %lu", nisim_mechanism_name[m], j.step[i].what,
                     (unsigned long)(j.step[i].to - j.step[i].from), (unsigned long)cycles[i]);
    assert_int_equal(j.count, count);
}

/* Each number follows from the default configuration: 12 instructions at 2 a cycle; setup 10 and L2 12;
 * header and line at 16 Gb/s; 20 ns and 2; 2; decide and port; flush; then the handler. */
static void journey__golden(void **state) {
    static const cycle_t lock[] = {6, 22, 144, 62, 2, 8, 15, 39, 212},
                         branch[] = {6, 22, 144, 62, 2, 4, 15, 39, 39, 212, 42},
                         spawn[] = {6, 22, 144, 62, 2, 16, 15, 39, 212},
                         poll[] = {6, 22, 144, 62, 2, 30, 39, 212},
                         kernel[] = {421, 608, 22, 144, 662, 2, 600, 2538, 1645, 322, 212, 2701},
                         pio[] = {14, 10, 144, 62, 2, 8, 15, 39, 212};
    check_journey(NISIM_LOCK, false, lock, 9);
    check_journey(NISIM_BRANCH, false, branch, 11);
    check_journey(NISIM_SPAWN, false, spawn, 9);
    check_journey(NISIM_POLL, false, poll, 8);
    check_journey(NISIM_KERNEL, false, kernel, 12);
    check_journey(NISIM_LOCK, true, pio, 9);
}

static void journey__drawn(void **state) {
    struct nisim_config c;
    struct nisim_journey j;
    char *text = NULL;
    size_t len;
    nisim_config_default(&c);
    assert_int_equal(nisim_journey(&c, NISIM_KERNEL, false, 1, 1, &j), WEFT_OK);
    FILE *f = open_memstream(&text, &len);
    assert_int_equal(nisim_svg_journeys(f, &j, 1, c.clock_Hz, c.message_B), WEFT_OK);
    fclose(f);
    assert_non_null(strstr(text, "flush, save state, find the cause: "));
    assert_non_null(
        strstr(text, "url(#hatch)")); /* the operating system's part is told apart without colour */
    assert_string_equal(text + len - 7, "</svg>\n");
    free(text);
}

/* --- Runs. --- */

static void small(struct nisim_config *c) {
    nisim_config_default(c);
    c->l2_B = 1 << 20;
    c->working_B = 1 << 20;
    c->rate = 2e6;
    c->count = 300;
}

static void run__a_seed_gives_the_same_run(void **state) {
    struct nisim_config c;
    struct nisim_base base;
    struct nisim_result a, b, other;
    small(&c);
    for (int m = 0; m < NISIM_MECHANISMS; m++) {
        assert_int_equal(nisim_run_base(&c, 3, &base), WEFT_OK);
        assert_int_equal(nisim_run_messages(&c, (enum nisim_mechanism)m, 3, &base, 0, &a), WEFT_OK);
        assert_int_equal(nisim_run_messages(&c, (enum nisim_mechanism)m, 3, &base, 0, &b), WEFT_OK);
        assert_memory_equal(&a, &b, sizeof a);
        assert_int_equal(nisim_run_messages(&c, (enum nisim_mechanism)m, 4, &base, 0, &other), WEFT_OK);
        assert_true(a.print != other.print);
    }
}

/* All are handled once and every invariant holds after every event. */
static void check_run(const struct nisim_config *c, enum nisim_mechanism m, struct nisim_result *r) {
    assert_int_equal(nisim_run_messages(c, m, 5, NULL, 1, r), WEFT_OK);
    if (!r->sound || r->handled != r->sent)
        fail_msg("%s: %lu of %lu handled, sound %d", nisim_mechanism_name[m], (unsigned long)r->handled,
                 (unsigned long)r->sent, r->sound);
}

static void tiny(struct nisim_config *c) {
    nisim_config_default(c);
    c->l1_B = 2048, c->l2_B = 32768, c->mb_B = 1024, c->working_B = 65536;
    c->kernel_lines = 40, c->kernel_serial = 300;
    c->count = 150;
    c->rate = 3e6;
    c->credits = 4;
}

static void run__invariants_hold_after_every_event(void **state) {
    struct nisim_config c;
    struct nisim_result r;
    for (int threads = 0; threads <= 4; threads++)
        for (int m = 0; m < NISIM_MECHANISMS; m++) {
            tiny(&c);
            c.contexts = 4;
            c.threads = threads;
            c.message_B = threads % 2 ? 200 : 8;
            check_run(&c, (enum nisim_mechanism)m, &r);
        }
}

/* The handler ends just when the next message comes: a release that fell between the look and the wait would
 * be lost here. */
static void run__no_release_is_lost(void **state) {
    struct nisim_config c;
    struct nisim_result r;
    tiny(&c);
    c.threads = 0;
    c.spread = 0;
    c.handler_code = c.handler_data = 0;
    for (double cycles = 100; cycles < 160; cycles++) {
        c.handler_instr = 30;
        c.rate = c.clock_Hz / cycles;
        c.message_B = 8;
        c.wire_bps = 1e12;
        check_run(&c, NISIM_LOCK, &r);
        check_run(&c, NISIM_BRANCH, &r);
    }
}

static void run__a_waiting_thread_without_a_context_is_run_by_the_os(void **state) {
    struct nisim_config c;
    struct nisim_result with, without;
    tiny(&c);
    c.contexts = 4;
    c.rate = 1e5;
    c.threads = 3;
    check_run(&c, NISIM_LOCK, &with);
    c.threads = 4;
    check_run(&c, NISIM_LOCK, &without);
    assert_int_equal(with.os, 0);
    assert_int_equal(without.os, without.sent);
    assert_true(without.start_p50 > 5 * with.start_p50);
}

static void run__policies_when_no_context_is_free(void **state) {
    struct nisim_config c;
    struct nisim_result r;
    tiny(&c);
    c.contexts = c.threads = 2;
    c.policy = NISIM_EVICT;
    check_run(&c, NISIM_SPAWN, &r);
    assert_int_equal(r.evicted, r.sent);
    c.policy = NISIM_OS;
    check_run(&c, NISIM_SPAWN, &r);
    assert_true(r.os > 0 && r.evicted == 0);
    c.policy = NISIM_QUEUE; /* nobody ever leaves a context here */
    assert_int_equal(nisim_run_messages(&c, NISIM_SPAWN, 5, NULL, 0, &r), WEFT_OK);
    assert_int_equal(r.handled, 0);
}

static void run__branch_takes_from_one_thread_what_the_handler_costs(void **state) {
    struct nisim_config c;
    struct nisim_base base;
    struct nisim_result branch, lock;
    nisim_config_default(&c);
    c.l2_B = 1 << 20;
    c.working_B = 0; /* no chance of which lines miss: the loss is exact */
    c.rate = 5e5;
    c.count = 400;
    assert_int_equal(nisim_run_base(&c, 1, &base), WEFT_OK);
    assert_int_equal(nisim_run_messages(&c, NISIM_LOCK, 1, &base, 0, &lock), WEFT_OK);
    assert_int_equal(nisim_run_messages(&c, NISIM_BRANCH, 1, &base, 0, &branch), WEFT_OK);
    assert_true(lock.stolen < 2 &&
                lock.stolen > -2); /* slots are free, and its thread has a context of its own */
    double handler = branch.done_p50 + c.flush + c.save_instr / c.handler_ipc;
    assert_true(branch.stolen > 0.9 * handler && branch.stolen < 1.1 * handler);
}

static void run__a_polling_thread_costs_when_slots_are_full(void **state) {
    struct nisim_config c;
    struct nisim_base base;
    struct nisim_result poll, lock;
    nisim_config_default(&c);
    c.l2_B = 1 << 20;
    c.working_B = 0;
    c.ipc = 4; /* three threads want 12 of 8 */
    c.rate = 1e4;
    c.count = 20;
    assert_int_equal(nisim_run_base(&c, 1, &base), WEFT_OK);
    assert_int_equal(nisim_run_messages(&c, NISIM_LOCK, 1, &base, 0, &lock), WEFT_OK);
    assert_int_equal(nisim_run_messages(&c, NISIM_POLL, 1, &base, 0, &poll), WEFT_OK);
    assert_true(lock.loss < 0.01);
    assert_true(poll.loss > 0.10 && poll.loss < 0.13); /* 1.5 of 13.5 */
}

/* --- Sending. --- */

static void send__pio_occupies_its_thread_and_dma_does_not(void **state) {
    struct nisim_config c;
    struct nisim_send_result pio, dma, small_pio;
    nisim_config_default(&c);
    c.fifo_B = 8192;
    c.message_B = 4096;
    assert_int_equal(nisim_run_send(&c, true, NISIM_IN_L1, 1, 4, &pio), WEFT_OK);
    assert_int_equal(nisim_run_send(&c, false, NISIM_IN_L1, 1, 4, &dma), WEFT_OK);
    assert_true(pio.thread == 6 + 64 * 8); /* control, then 16 instructions a line at 2 a cycle */
    assert_true(dma.thread < 30);
    c.message_B = 64;
    assert_int_equal(nisim_run_send(&c, true, NISIM_IN_L1, 1, 4, &small_pio), WEFT_OK);
    assert_true(small_pio.last_gone < pio.last_gone);
}

static void send__pio_larger_than_the_fifo_goes_on_when_there_is_room(void **state) {
    struct nisim_config c;
    struct nisim_send_result r;
    nisim_config_default(&c);
    c.fifo_B = 128;
    c.message_B = 2000;
    assert_int_equal(nisim_run_send(&c, true, NISIM_IN_MEMORY, 1, 3, &r), WEFT_OK);
    assert_true(r.last_gone >= 2000 * 8 / c.wire_bps * c.clock_Hz);
}

/* --- Claims. --- */

static void claim__counts_and_keeps_the_worst(void **state) {
    static struct nisim_claims k;
    struct nisim_claim *c = nisim_claim_add(&k, "below %d", 1);
    nisim_claim_see(c, 0.5, 1, "a");
    nisim_claim_see(c, 1.5, 1, "b");
    nisim_claim_see(c, 3, 1, "c");
    nisim_claim_see(c, 2, 1, "d");
    assert_int_equal(c->holds, 1);
    assert_int_equal(c->of, 4);
    assert_true(c->least == 0.5 && c->most == 3);
    assert_string_equal(c->against, "c");
    assert_string_equal(c->what, "below 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(journey__golden),
        cmocka_unit_test(journey__drawn),
        cmocka_unit_test(run__a_seed_gives_the_same_run),
        cmocka_unit_test(run__invariants_hold_after_every_event),
        cmocka_unit_test(run__no_release_is_lost),
        cmocka_unit_test(run__a_waiting_thread_without_a_context_is_run_by_the_os),
        cmocka_unit_test(run__policies_when_no_context_is_free),
        cmocka_unit_test(run__branch_takes_from_one_thread_what_the_handler_costs),
        cmocka_unit_test(run__a_polling_thread_costs_when_slots_are_full),
        cmocka_unit_test(send__pio_occupies_its_thread_and_dma_does_not),
        cmocka_unit_test(send__pio_larger_than_the_fifo_goes_on_when_there_is_room),
        cmocka_unit_test(claim__counts_and_keeps_the_worst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
