/* Tests of the simulator's parts: events, caches, memory, the shared core, the interface's FIFO, window,
 * credits and TLB. */
#include "base/error.h"
#include "base/test.h"
#include "model/nisim/node.h"

#include <string.h>

/* --- Events. --- */

static void note(void *ctx, uint64_t arg) {
    char **at = ctx;
    *(*at)++ = (char)arg;
}

static void events__by_time_and_then_by_order(void **state) {
    struct nisim_events e = {0};
    char said[8] = "", *at = said;
    nisim_post(&e, 5, note, &at, 'c');
    nisim_post(&e, 3, note, &at, 'a');
    nisim_post(&e, 5, note, &at, 'd');
    nisim_post(&e, 3, note, &at, 'b');
    nisim_post(&e, 9, note, &at, 'x');
    while (nisim_next(&e, 8)) {
    }
    assert_string_equal(said, "abcd");
    assert_int_equal(e.now, 8);
    nisim_events_fini(&e);
}

/* --- Caches and memory. --- */

static void cache__the_least_recently_used_goes(void **state) {
    struct nisim_cache c;
    bool dirty;
    assert_int_equal(nisim_cache_init(&c, 4 * NISIM_LINE, 2), WEFT_OK); /* two sets of two */
    assert_int_equal(nisim_cache_fill(&c, 2, true, &dirty), 0);
    assert_int_equal(nisim_cache_fill(&c, 4, false, &dirty), 0);
    assert_true(nisim_cache_touch(&c, 2, false));
    assert_int_equal(nisim_cache_fill(&c, 6, false, &dirty), 4);
    assert_false(dirty);
    assert_int_equal(nisim_cache_fill(&c, 8, false, &dirty), 2);
    assert_true(dirty);
    assert_true(nisim_cache_has(&c, 6));
    nisim_cache_fini(&c);
}

struct asked {
    struct nisim_events *events;
    cycle_t at;
};
static void came(void *ctx, uint64_t arg) {
    struct asked *a = ctx;
    a->at = a->events->now;
}

static cycle_t access_time(struct nisim_memory *m, nisim_line line) {
    struct asked a = {.events = m->events};
    cycle_t from = m->events->now;
    if (nisim_memory_access(m, line, NISIM_DATA, came, &a, 0)) return 0;
    while (!a.at && nisim_next(m->events, UINT64_MAX)) {
    }
    return a.at - from;
}

static void memory__each_level_takes_its_time(void **state) {
    struct nisim_config c;
    struct nisim_events e = {0};
    struct nisim_memory m;
    nisim_config_default(&c);
    assert_int_equal(nisim_memory_init(&m, &c, &e), WEFT_OK);
    assert_int_equal(access_time(&m, 100), nisim_miss_cycles(&c));
    assert_int_equal(access_time(&m, 100), 0);
    nisim_memory_cool(&m, 100, false);
    assert_int_equal(access_time(&m, 100), (cycle_t)c.l2_cycles);
    nisim_memory_ni_write(&m, 100); /* leaves L1 and L2 for the message buffer */
    assert_false(nisim_cache_has(&m.l1[0], 100) || nisim_cache_has(&m.l2, 100));
    assert_int_equal(access_time(&m, 100), (cycle_t)(c.l2_cycles + c.mb_cycles));
    assert_false(nisim_cache_has(&m.mb, 100)); /* and moves to L2 when it is read */
    assert_true(nisim_cache_has(&m.l2, 100));
    nisim_memory_fini(&m);
    nisim_events_fini(&e);
}

static void memory__a_bank_serves_one_after_the_other(void **state) {
    struct nisim_config c;
    struct nisim_events e = {0};
    struct nisim_memory m;
    struct asked same = {.events = &e}, other = {.events = &e}, first = {.events = &e};
    nisim_config_default(&c);
    assert_int_equal(nisim_memory_init(&m, &c, &e), WEFT_OK);
    nisim_memory_dram(&m, 16, came, &first, 0);
    nisim_memory_dram(&m, 32, came, &same, 0);
    nisim_memory_dram(&m, 17, came, &other, 0);
    while (nisim_next(&e, 1000000)) {
    }
    assert_int_equal(first.at, m.bank_cycles + m.bus_cycles);
    assert_int_equal(other.at,
                     m.bank_cycles + 2 * m.bus_cycles); /* its own bank, then the bus after the first */
    assert_int_equal(same.at, 2 * m.bank_cycles + m.bus_cycles);
    nisim_memory_fini(&m);
    nisim_events_fini(&e);
}

static void memory__inclusion_under_random_accesses(void **state) {
    struct nisim_config c;
    struct nisim_events e = {0};
    struct nisim_memory m;
    struct nisim_random r;
    nisim_config_default(&c);
    c.l1_B = 1024, c.l2_B = 16384, c.mb_B = 512;
    nisim_random_init(&r, 1, 1);
    assert_int_equal(nisim_memory_init(&m, &c, &e), WEFT_OK);
    struct asked a = {.events = &e};
    for (int i = 0; i < 20000; i++) {
        nisim_line line = 1 + nisim_random_below(&r, 600);
        if (i % 5 == 0)
            nisim_memory_ni_write(&m, line);
        else
            nisim_memory_access(&m, line, nisim_random_below(&r, 4), came, &a, 0);
        for (int k = 0; k < 3; k++) nisim_next(&e, UINT64_MAX);
        assert_true(nisim_memory_sound(&m));
    }
    nisim_memory_fini(&m);
    nisim_events_fini(&e);
}

/* --- The core. --- */

struct core_fixture {
    struct nisim_config c;
    struct nisim_events e;
    struct nisim_memory m;
    struct nisim_core core;
};

static void core_start(struct core_fixture *f, double issue) {
    memset(f, 0, sizeof *f);
    nisim_config_default(&f->c);
    f->c.issue = issue;
    assert_int_equal(nisim_memory_init(&f->m, &f->c, &f->e), WEFT_OK);
    nisim_core_init(&f->core, &f->c, &f->e, &f->m);
}

static void core_end(struct core_fixture *f) {
    nisim_memory_fini(&f->m);
    nisim_events_fini(&f->e);
}

static bool stamp(void *ctx, struct nisim_context *t, uint64_t arg) {
    *(cycle_t *)ctx = t->core->events->now;
    return true;
}

static void start(struct core_fixture *f, int context, double instructions, double ipc, cycle_t *ended) {
    struct nisim_context *t = &f->core.context[context];
    assert_non_null(nisim_core_redirect(t));
    nisim_run(t, instructions, ipc);
    nisim_call(t, stamp, ended, 0);
    nisim_core_go(t);
}

static void core__threads_share_the_issue_slots(void **state) {
    struct core_fixture f;
    cycle_t a = 0, b = 0, alone = 0;
    core_start(&f, 8);
    start(&f, 0, 800, 8, &a);
    start(&f, 1, 1600, 8, &b);
    while (nisim_next(&f.e, 100000)) {
    }
    assert_int_equal(a, 200); /* each gets half */
    assert_int_equal(b, 300); /* and the second all when the first has ended */
    core_end(&f);
    core_start(&f, 8);
    start(&f, 0, 800, 2, &alone);
    start(&f, 1, 800, 4, &b);
    while (nisim_next(&f.e, 100000)) {
    }
    assert_int_equal(alone, 400); /* enough for both: each at its own rate */
    assert_int_equal(b, 200);
    core_end(&f);
}

static void core__a_redirected_thread_goes_on_where_it_was(void **state) {
    struct core_fixture f;
    cycle_t ended = 0, handled = 0;
    core_start(&f, 8);
    start(&f, 0, 200, 2, &ended);
    while (nisim_next(&f.e, 40)) {
    }
    start(&f, 0, 60, 2, &handled);
    while (nisim_next(&f.e, 100000)) {
    }
    assert_int_equal(handled, 70);
    assert_int_equal(ended, 130);
    core_end(&f);
}

static void core__a_miss_of_a_redirected_thread_is_repeated(void **state) {
    struct core_fixture f;
    cycle_t ended = 0, handled = 0;
    core_start(&f, 8);
    struct nisim_context *t = &f.core.context[0];
    nisim_core_redirect(t);
    nisim_lines(t, NISIM_DATA, 5000, 1, 0, 1, 1);
    nisim_call(t, stamp, &ended, 0);
    nisim_core_go(t);
    while (nisim_next(&f.e, 50)) {
    }
    start(&f, 0, 1000, 1, &handled);
    while (nisim_next(&f.e, 100000)) {
    }
    assert_int_equal(handled, 1050);
    assert_int_equal(ended, 1050); /* the line came meanwhile: the repeated access hits */
    core_end(&f);
}

/* --- The interface. --- */

static void tlb__the_least_recently_used_page_goes(void **state) {
    struct nisim_tlb t = {.entries = 2, .reads = 2, .walk = 500};
    assert_int_equal(nisim_tlb_cost(&t, 0), 500);
    assert_int_equal(nisim_tlb_cost(&t, NISIM_PAGE_LINES), 500);
    assert_int_equal(nisim_tlb_cost(&t, 1), 0);
    assert_int_equal(nisim_tlb_cost(&t, 2 * NISIM_PAGE_LINES), 500);
    assert_int_equal(nisim_tlb_cost(&t, 3), 0);
    assert_int_equal(nisim_tlb_cost(&t, NISIM_PAGE_LINES), 500);
    assert_int_equal(t.misses, 4);
}

struct pair {
    struct nisim_config c;
    struct nisim_events e;
    struct nisim_node a, b;
};

static void pair_start(struct pair *p) {
    assert_int_equal(nisim_node_init(&p->a, &p->c, &p->e, NISIM_SPAWN, 1), WEFT_OK);
    assert_int_equal(nisim_node_init(&p->b, &p->c, &p->e, NISIM_SPAWN, 1), WEFT_OK);
    nisim_node_join(&p->a, &p->b);
}

static void pair_end(struct pair *p) {
    nisim_node_fini(&p->a);
    nisim_node_fini(&p->b);
    nisim_events_fini(&p->e);
}

/* Sends one message by DMA and looks at the invariants after every event. */
static void send_one(struct pair *p, struct nisim_message *m, uint32_t bytes) {
    *m = (struct nisim_message){.bytes = bytes,
                                .lines = (bytes + NISIM_LINE - 1) / NISIM_LINE,
                                .from = NISIM_AT_SEND,
                                .to = NISIM_AT_RECEIVE};
    assert_int_equal(nisim_send_open(&p->a, m), WEFT_OK);
    nisim_send_launch(&p->a, m);
    while (nisim_next(&p->e, UINT64_MAX)) {
        assert_true(nisim_send_sound(&p->a));
        assert_true(p->a.send.outstanding <= p->a.send.window);
        assert_true(p->a.send.fetch <= p->a.send.out + p->a.send.fifo);
        if (m->at[NISIM_R_DONE]) break;
    }
    while (nisim_next(&p->e, p->e.now + 100000)) {
    }
}

static void send__credits_come_back(void **state) {
    static struct pair p;
    struct nisim_message m;
    memset(&p, 0, sizeof p);
    nisim_config_default(&p.c);
    p.c.credits = 2;
    pair_start(&p);
    send_one(&p, &m, 4096);
    assert_int_equal(m.at[NISIM_R_DONE] > 0, 1);
    assert_int_equal(p.a.send.credits, 2);
    assert_int_equal(p.a.send.sent, 64);
    assert_int_equal(p.a.send.returned, 64);
    assert_true(p.a.send.credit_waits > 0);
    pair_end(&p);
}

static void send__a_small_fifo_leaves_bubbles(void **state) {
    static struct pair p;
    struct nisim_message m;
    for (int large = 0; large < 2; large++) {
        memset(&p, 0, sizeof p);
        nisim_config_default(&p.c);
        p.c.wire_bps = 32e9;
        p.c.fifo_B = large ? 4096 : 64;
        p.c.dram_banks = 64;
        pair_start(&p);
        send_one(&p, &m, 4096);
        if (large)
            assert_int_equal(p.a.send.bubbles, 0);
        else
            assert_true(p.a.send.bubbles > p.a.send.sending);
        pair_end(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events__by_time_and_then_by_order),
        cmocka_unit_test(cache__the_least_recently_used_goes),
        cmocka_unit_test(memory__each_level_takes_its_time),
        cmocka_unit_test(memory__a_bank_serves_one_after_the_other),
        cmocka_unit_test(memory__inclusion_under_random_accesses),
        cmocka_unit_test(core__threads_share_the_issue_slots),
        cmocka_unit_test(core__a_redirected_thread_goes_on_where_it_was),
        cmocka_unit_test(core__a_miss_of_a_redirected_thread_is_repeated),
        cmocka_unit_test(tlb__the_least_recently_used_page_goes),
        cmocka_unit_test(send__credits_come_back),
        cmocka_unit_test(send__a_small_fifo_leaves_bubbles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
