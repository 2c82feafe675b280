/* The small value types of reliability: round-trip time, congestion window, replay window, received and sent
 * numbers, deadline heap, dummy page. */
#include "base/clock.h"
#include "base/error.h"
#include "base/test.h"
#include "transport/cwnd.h"
#include "transport/dummy.h"
#include "transport/heap.h"
#include "transport/received.h"
#include "transport/replay.h"
#include "transport/rtt.h"
#include "transport/sent.h"

#include <stdlib.h>

static void rtt_sample__converges(void **unused) {
    struct rtt r = {0};
    rtt_sample(&r, 1000000, 0, 0);
    assert_int_equal(r.smoothed_ns, 1000000);
    for (int i = 0; i < 200; i++) rtt_sample(&r, 50000, 0, 0);
    assert_in_range(r.smoothed_ns, 49000, 51000);
    assert_int_equal(r.least_ns, 50000);
}

static void rtt_sample__delay_is_taken_off_but_never_below_the_least(void **unused) {
    struct rtt r = {0};
    rtt_sample(&r, 100000, 0, 0);
    rtt_sample(&r, 250000, 150000, RTT_ACK_DELAY_NS);
    assert_int_equal(r.latest_ns, 100000);
    rtt_sample(&r, 120000, 150000, RTT_ACK_DELAY_NS);
    assert_int_equal(r.latest_ns, 120000);
    rtt_sample(&r, 10000000, 9000000, RTT_ACK_DELAY_NS); /* more delay than a peer may claim */
    assert_int_equal(r.latest_ns, 10000000 - RTT_ACK_DELAY_NS);
}

static void rtt_probe__doubles_up_to_a_second(void **unused) {
    struct rtt r = {0};
    rtt_sample(&r, 50000, 0, 0);
    uint64_t first = rtt_probe_ns(&r, RTT_ACK_DELAY_NS, 0);
    assert_true(first >= 50000 + RTT_VARIANCE_MIN_NS + RTT_ACK_DELAY_NS);
    assert_int_equal(rtt_probe_ns(&r, RTT_ACK_DELAY_NS, 1), 2 * first);
    assert_int_equal(rtt_probe_ns(&r, RTT_ACK_DELAY_NS, 60), RTT_PROBE_MAX_NS);
}

static void cwnd__grows_and_shrinks(void **unused) {
    struct cwnd c;
    cwnd_init(&c);
    cwnd_on_ack(&c, 64, true, 50000, 50000);
    assert_int_equal(c.packets, 128);
    cwnd_on_ack(&c, 64, false, 50000, 50000); /* the application had no more to send */
    assert_int_equal(c.packets, 128);
    cwnd_on_loss(&c, 1000, 900, true);
    assert_int_equal(c.packets, 89);
    cwnd_on_loss(&c, 1100, 950, true); /* sent before the last cut: the same congestion */
    assert_int_equal(c.packets, 89);
    cwnd_on_ack(&c, 89, true, 50000, 50000);
    assert_int_equal(c.packets, 90);
    for (int i = 0; i < 50; i++) cwnd_on_loss(&c, 2000 + (uint64_t)i, 2000 + (uint64_t)i, true);
    assert_int_equal(c.packets, CWND_MIN);
}

static void cwnd__loss_does_not_undercut_what_is_delivered(void **unused) {
    struct cwnd c;
    cwnd_init(&c);
    for (uint64_t t = 1; t <= 8; t++) {
        c.delivered += 60;
        cwnd_note_rate(&c, t * 50000, c.delivered - 60, 50000, 50000, 50000);
    }
    cwnd_on_loss(&c, 500000, 490000, false); /* no queue: hardly ours */
    assert_int_equal(c.packets, 64);
    assert_true(c.slow_start);
    cwnd_on_loss(&c, 500000, 490000, true);
    assert_int_equal(c.packets, 60);     /* not 44 */
    for (uint64_t t = 9; t <= 16; t++) { /* a queue: the same takes twice the time */
        c.delivered += 60;
        cwnd_note_rate(&c, t * 300000, c.delivered - 60, 300000, 300000, 50000);
    }
    cwnd_on_loss(&c, 20000000, 19900000, true);
    assert_int_equal(c.packets, 42);
}

static void cwnd__loss_without_a_queue_cuts_down_to_twice_what_is_delivered(void **unused) {
    struct cwnd c;
    cwnd_init(&c);
    c.packets = 200;
    c.delivered = 60;
    cwnd_note_rate(&c, 50000, 0, 50000, 50000, 50000);
    cwnd_on_loss(&c, 500000, 490000, false);
    assert_int_equal(c.packets, 140);
    cwnd_on_loss(&c, 600000, 590000, false);
    assert_int_equal(c.packets, 120); /* not 98 */
    cwnd_on_loss(&c, 700000, 690000, false);
    assert_int_equal(c.packets, 120);
    assert_false(c.slow_start);
}

static void cwnd__tells_a_queue_by_the_round_trip(void **unused) {
    assert_false(cwnd_is_queued(75000, 50000));
    assert_true(cwnd_is_queued(75001, 50000));
    assert_false(cwnd_is_queued(25000, 5000)); /* at least 20 µs … */
    assert_true(cwnd_is_queued(25001, 5000));
    assert_false(cwnd_is_queued(1100000, 1000000)); /* … at most 100 µs more */
    assert_true(cwnd_is_queued(1100001, 1000000));
}

static void rtt_guess__lasts_until_a_sample(void **unused) {
    struct rtt r = {0};
    rtt_guess(&r, RTT_INITIAL_NS + 1); /* tells nothing */
    assert_int_equal(r.smoothed_ns, 0);
    rtt_guess(&r, 40000);
    assert_int_equal(rtt_probe_ns(&r, 0, 0), 40000 + RTT_VARIANCE_MIN_NS);
    rtt_sample(&r, 80000, 0, 0);
    assert_int_equal(r.least_ns, 80000);
    rtt_guess(&r, 10000);
    assert_int_equal(r.least_ns, 80000);
    assert_true(r.smoothed_ns > 40000);
}

static void replay__window_edges(void **unused) {
    struct replay r = {0};
    assert_true(replay_is_new(&r, 0));
    assert_int_equal(replay_mark(&r, 0), 0);
    assert_false(replay_is_new(&r, 0));
    assert_int_equal(replay_mark(&r, REPLAY_NUMBERS - 1), 0);
    assert_true(replay_is_new(&r, 1));
    assert_false(replay_is_new(&r, 0));
    assert_int_equal(replay_mark(&r, REPLAY_NUMBERS), 0); /* number 0 leaves the window: as good as come */
    assert_false(replay_is_new(&r, 0));
    assert_true(replay_is_new(&r, 1));
    assert_int_equal(replay_mark(&r, 10 * REPLAY_NUMBERS), 0); /* a jump beyond the whole window */
    assert_false(replay_is_new(&r, 1));
    assert_true(replay_is_new(&r, 10 * REPLAY_NUMBERS - 1));
    assert_true(replay_is_new(&r, 10 * REPLAY_NUMBERS - REPLAY_NUMBERS + 1));
    assert_false(replay_is_new(&r, 10 * REPLAY_NUMBERS - REPLAY_NUMBERS));
    assert_false(replay_is_new(&r, UINT64_MAX));
    replay_relax(&r);
}

static void replay__needs_memory_for_gaps_alone(void **unused) {
    struct replay r = {0};
    for (uint64_t n = 0; n < 3 * REPLAY_NUMBERS; n++) {
        assert_true(replay_is_new(&r, n));
        assert_int_equal(replay_mark(&r, n), 0);
    }
    uint64_t next = r.next;
    assert_null(r.word);
    assert_false(replay_is_new(&r, next - 1));
    assert_int_equal(replay_mark(&r, next + 2), 0); /* overtakes two */
    assert_non_null(r.word);
    assert_false(replay_is_new(&r, next - 1));
    assert_false(replay_is_new(&r, next + 2));
    assert_int_equal(replay_mark(&r, next + 1), 0);
    assert_true(replay_is_new(&r, next));
    replay_relax(&r); /* which has not come in time */
    assert_false(replay_is_new(&r, next));
    assert_true(replay_is_new(&r, next + 3));
    replay_relax(&r);
}

static void received__owes_nothing_before_the_first(void **unused) {
    struct received r;
    received_init(&r);
    received_owe(&r, 5);
    assert_false(received_owes(&r));
    assert_true(r.due_ns == WEFT_TIME_NEVER);
    assert_int_equal(received_note(&r, 6, 0, false, RECEIVED_LATER), 0);
    received_owe(&r, 7);
    assert_true(received_owes(&r));
    assert_int_equal(r.due_ns, 7);
    received_fini(&r);
}

static void received__acknowledges_late_or_at_once(void **unused) {
    struct received r;
    received_init(&r);
    received_note(&r, 1000, 0, true, RECEIVED_LATER);
    assert_int_equal(r.due_ns, 1000 + RTT_ACK_DELAY_NS);
    received_note(&r, 2000, 2, true, RECEIVED_LATER); /* a gap */
    assert_int_equal(r.due_ns, 2000);
    received_acked(&r);
    received_note(&r, 3000, 3, false, RECEIVED_LATER); /* nobody asks for it */
    assert_int_equal(r.due_ns, WEFT_TIME_NEVER);
    for (uint64_t n = 4; n < 4 + RECEIVED_ACK_EVERY; n++) received_note(&r, 4000, n, true, RECEIVED_LATER);
    assert_int_equal(r.due_ns, 4000);
    struct wire_ack a;
    assert_true(received_ack(&r, 5000, &a));
    assert_int_equal(a.largest, 3 + RECEIVED_ACK_EVERY);
    assert_int_equal(a.count, 2);
    assert_int_equal(a.range[1].first, 0);
    assert_int_equal(a.range[1].last, 0);
    received_fini(&r);
}

/* What most likely is answered by others need not be acknowledged before a sleep, unless something else is
 * there. */
static void received__waits_for_an_answer_of_others(void **unused) {
    struct received r;
    received_init(&r);
    received_note(&r, 1000, 0, true, RECEIVED_PATIENT);
    received_note(&r, 2000, 1, true, RECEIVED_PATIENT); /* does not put it off */
    assert_int_equal(r.due_ns, 1000 + RECEIVED_PATIENT_NS);
    assert_false(received_owes_before_sleep(&r, 2000));
    assert_true(received_owes_before_sleep(&r, r.due_ns));
    received_note(&r, 3000, 2, true, RECEIVED_LATER);
    assert_int_equal(r.due_ns, 1000 + RECEIVED_PATIENT_NS);
    assert_true(received_owes_before_sleep(&r, 3000));
    received_acked(&r);
    assert_false(received_owes_before_sleep(&r, WEFT_TIME_NEVER));
    received_note(&r, 4000, 4, true, RECEIVED_PATIENT); /* a gap */
    assert_true(received_owes_before_sleep(&r, 4000));
    received_fini(&r);
}

static void received__an_answer_may_take_it_along(void **unused) {
    struct received r;
    received_init(&r);
    received_note(&r, 1000, 0, true, RECEIVED_SOON);
    assert_int_equal(r.due_ns, 1000 + RECEIVED_SOON_NS);
    received_note(&r, 2000, 1, true, RECEIVED_LATER); /* does not put it off */
    assert_int_equal(r.due_ns, 1000 + RECEIVED_SOON_NS);
    received_note(&r, 3000, 2, true, RECEIVED_SOON); /* a message that follows closely does */
    assert_int_equal(r.due_ns, 3000 + RECEIVED_SOON_NS);
    received_note(&r, 4000, 3, true, RECEIVED_NOW);
    assert_int_equal(r.due_ns, 4000);
    received_note(&r, 5000, 4, true, RECEIVED_SOON); /* what is due stays due */
    assert_int_equal(r.due_ns, 4000);
    received_fini(&r);
}

static void received__a_stream_is_acknowledged_in_time(void **unused) {
    struct received r;
    received_init(&r);
    uint64_t now = 1000;
    for (uint64_t n = 0; n < RECEIVED_ACK_EVERY - 1; n++, now += RECEIVED_SOON_NS - 1)
        received_note(&r, now, n, true, RECEIVED_SOON);
    assert_int_equal(r.due_ns, 1000 + RECEIVED_STREAM_NS);
    received_fini(&r);
}

static void received__many_gaps_stay_bounded(void **unused) {
    struct received r;
    struct wire_ack a;
    received_init(&r);
    for (uint64_t n = 0; n < 10000; n++)
        assert_int_equal(received_note(&r, n, 2 * n, true, RECEIVED_LATER), 0);
    assert_true(r.ranges.count <= 2 * WIRE_ACK_RANGES_MAX);
    assert_true(received_ack(&r, 20000, &a));
    assert_int_equal(a.count, WIRE_ACK_RANGES_MAX);
    assert_int_equal(a.largest, 19998);
    received_fini(&r);
}

static void received__long_runs_fit_the_format(void **unused) {
    struct received r;
    struct wire_ack a;
    received_init(&r);
    weft_ranges_add(&r.ranges, 0, 1ull << 40);
    assert_true(received_ack(&r, 0, &a));
    assert_true(a.range[0].last - a.range[0].first <= UINT32_MAX);
    received_fini(&r);
}

static void sent__grows_and_keeps_contents(void **unused) {
    struct sent s;
    struct weft_list node[300];
    sent_init(&s);
    for (int i = 0; i < 300; i++) {
        assert_true(sent_reserve(&s, 1));
        struct sent_packet *p = sent_add(&s, (uint64_t)i, true, 100);
        weft_list_init(&node[i]);
        weft_list_push_back(&p->contents, &node[i]);
    }
    assert_int_equal(s.flying, 300);
    assert_int_equal(s.flying_bytes, 30000);
    for (uint64_t n = 0; n < 300; n++) {
        struct sent_packet *p = sent_at(&s, n);
        assert_ptr_equal(p->contents.next, &node[n]);
        weft_list_remove(&node[n]);
        sent_settle(&s, p, n % 2 ? SENT_DONE : SENT_LOST);
    }
    assert_int_equal(s.flying_bytes, 0);
    sent_trim(&s, 10); /* lost ones sent from 10 on are remembered */
    assert_int_equal(s.low, 10);
    sent_trim(&s, 1000);
    assert_int_equal(s.low, 300);
    assert_null(sent_at(&s, 299));
    sent_fini(&s);
}

static void sent__stops_at_the_peers_replay_window(void **unused) {
    struct sent s;
    sent_init(&s);
    for (uint32_t i = 0; i < SENT_MAX; i++) {
        assert_true(sent_reserve(&s, 1));
        sent_add(&s, 0, true, 1);
    }
    assert_false(sent_reserve(&s, 1));
    sent_fini(&s);
}

static void sent__acknowledgements_alone_never_fill_it(void **unused) {
    struct sent s;
    sent_init(&s);
    for (uint32_t i = 0; i < 3 * SENT_MAX; i++) {
        assert_true(sent_reserve(&s, 1));
        sent_add(&s, 0, false, 1);
    }
    sent_fini(&s);
}

static void heap__keeps_order(void **unused) {
    struct heap h;
    static struct heap_node n[500];
    heap_init(&h);
    assert_int_equal(heap_reserve(&h, 500), 0);
    for (int i = 0; i < 500; i++) heap_set(&h, &n[i], (uint64_t)(i * 7919 % 500));
    for (int i = 0; i < 500; i += 3) heap_set(&h, &n[i], (uint64_t)(i * 31 % 1000));
    for (int i = 0; i < 500; i += 7) heap_set(&h, &n[i], WEFT_TIME_NEVER);
    uint64_t last = 0;
    size_t count = 0;
    for (struct heap_node *f; (f = heap_first(&h)); count++) {
        assert_true(f->at_ns >= last);
        last = f->at_ns;
        heap_set(&h, f, WEFT_TIME_NEVER);
        assert_int_equal(f->index, 0);
    }
    assert_int_equal(count, 500 - 72);
    heap_fini(&h);
}

static void dummy__takes_late_bytes_and_sees_foreign_ones(void **unused) {
    static const uint8_t bytes[2000] = {1, 2, 3};
    struct dummy *d = dummy_create();
    assert_non_null(d);
    assert_true(dummy_store(d, 0, bytes, sizeof bytes));
    assert_true(dummy_store(d, WIRE_SUPERPACKET_BYTES - 1000, bytes, sizeof bytes)); /* reaches beyond */
    assert_true(dummy_store(d, UINT32_MAX, bytes, sizeof bytes));
    assert_true(dummy_store(NULL, 0, bytes, sizeof bytes));
    static const int wrong[] = {-1, 0, 30000, WIRE_SUPERPACKET_BYTES - 1, WIRE_SUPERPACKET_BYTES};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        dummy_page(d)[wrong[i]] ^= 1;
        assert_false(dummy_store(d, 1000, bytes, 1000));
        assert_true(dummy_store(d, 1000, bytes, 1000)); /* poisoned anew */
    }
    dummy_destroy(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dummy__takes_late_bytes_and_sees_foreign_ones),
        cmocka_unit_test(rtt_sample__converges),
        cmocka_unit_test(rtt_sample__delay_is_taken_off_but_never_below_the_least),
        cmocka_unit_test(rtt_probe__doubles_up_to_a_second),
        cmocka_unit_test(cwnd__grows_and_shrinks),
        cmocka_unit_test(cwnd__loss_does_not_undercut_what_is_delivered),
        cmocka_unit_test(cwnd__loss_without_a_queue_cuts_down_to_twice_what_is_delivered),
        cmocka_unit_test(cwnd__tells_a_queue_by_the_round_trip),
        cmocka_unit_test(rtt_guess__lasts_until_a_sample),
        cmocka_unit_test(replay__window_edges),
        cmocka_unit_test(replay__needs_memory_for_gaps_alone),
        cmocka_unit_test(received__owes_nothing_before_the_first),
        cmocka_unit_test(received__acknowledges_late_or_at_once),
        cmocka_unit_test(received__waits_for_an_answer_of_others),
        cmocka_unit_test(received__an_answer_may_take_it_along),
        cmocka_unit_test(received__a_stream_is_acknowledged_in_time),
        cmocka_unit_test(received__many_gaps_stay_bounded),
        cmocka_unit_test(received__long_runs_fit_the_format),
        cmocka_unit_test(sent__grows_and_keeps_contents),
        cmocka_unit_test(sent__stops_at_the_peers_replay_window),
        cmocka_unit_test(sent__acknowledgements_alone_never_fill_it),
        cmocka_unit_test(heap__keeps_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
