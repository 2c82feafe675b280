/* Test of the results on their way back: what is held back, and for how long. The client is an endpoint of
 * this process that writes down what comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "opencl/executor/internal.h"

#define TOKEN "0123456789abcdef"
#define TRIES 10000u /* a thread that is not let run for a while holds nothing back */

struct world {
    struct executor *x;
    struct ep *server, *client;
    struct ep_peer *peer;
    pthread_t thread;
    int out;                  /* standard output, while it is captured; else -1 */
    uint64_t last_event;      /* that was told */
    atomic_bool opened;       /* the following are the client's */
    _Atomic uint64_t event;   /* the last that came: they come in order */
    _Atomic uint64_t errors;  /* queue errors that came */
    _Atomic uint64_t at_text; /* the last event before the text came */
};

static void on_result(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct world *w = ctx;
    struct wire_in in;
    assert_true(wire_decode(&in, msg->header, msg->header_bytes, msg->data_bytes, WIRE_RESULTS));
    switch (in.call) {
    case WIRE_OPENED: atomic_store(&w->opened, true); break;
    case WIRE_EVENT: assert_int_equal(atomic_fetch_add(&w->event, 1) + 1, in.event.event); break;
    case WIRE_QUEUE_ERROR: assert_int_equal(in.queue_error.queue, atomic_load(&w->event)); break;
    case WIRE_PRINTF: atomic_store(&w->at_text, atomic_load(&w->event)); break;
    default: fail();
    }
    if (in.call == WIRE_QUEUE_ERROR) atomic_fetch_add(&w->errors, 1);
}

static void *serve(void *arg) {
    executor_run(((struct world *)arg)->x, 10000);
    return NULL;
}

static bool is_open(void *arg) { return atomic_load(&((struct world *)arg)->opened); }
static bool all_came(void *arg) {
    struct world *w = arg;
    return atomic_load(&w->event) == w->last_event;
}
static bool error_came(void *arg) { return atomic_load(&((struct world *)arg)->errors); }

static void wait_for(struct world *w, bool (*done)(void *)) {
    assert_int_equal(ep_wait(w->client, done, w, weft_now_ns() + 20 * WEFT_NS_PER_S), 0);
}

static void show_token(struct world *w) {
    uint64_t token[2];
    struct wire_out m;
    memcpy(token, TOKEN, sizeof token);
    wire_begin(&m, OPEN, open, .version = WIRE_VERSION, .token_low = token[0], .token_high = token[1]);
    struct ep_send s = {.handler = WIRE_HANDLER_COMMAND,
                        .channel = WIRE_CHANNEL,
                        .header = m.words,
                        .header_bytes = m.word_count * 8};
    assert_int_equal(ep_send(w->peer, &s), 0);
    wait_for(w, is_open);
}

static int set_up_with(void **state, bool capture) {
    struct world *w = *state = calloc(1, sizeof *w);
    uint8_t address[EP_ADDRESS_MAX];
    size_t bytes = sizeof address;
    w->x = executor_create(drivers_load(), (const uint8_t *)TOKEN);
    const char *wanted = getenv("TEST_ADAPTERS");
    struct ep_config server = {.adapters = wanted ? wanted : "udp"}, client = server;
    executor_configure(w->x, &server);
    client.handlers[WIRE_HANDLER_RESULT] = (struct ep_handler){on_result, w};
    assert_int_equal(ep_open(&w->server, &server), 0);
    assert_int_equal(ep_open(&w->client, &client), 0);
    executor_attach(w->x, w->server);
    fflush(stdout);
    w->out = capture ? dup(STDOUT_FILENO) : -1;
    assert_int_equal(capture ? executor_capture_output(w->x) : 0, 0);
    assert_int_equal(pthread_create(&w->thread, NULL, serve, w), 0);
    assert_int_equal(ep_address(w->server, address, &bytes), 0);
    assert_int_equal(ep_connect(w->client, address, bytes, NULL, &w->peer), 0);
    show_token(w);
    return 0;
}

static int set_up(void **state) { return set_up_with(state, false); }
static int set_up_capturing(void **state) { return set_up_with(state, true); }

static int tear_down(void **state) {
    struct world *w = *state;
    fflush(stdout);
    if (w->out >= 0) dup2(w->out, STDOUT_FILENO);
    close(w->out);
    executor_stop(w->x);
    pthread_join(w->thread, NULL);
    ep_close(w->client, 0);
    ep_close(w->server, 0);
    executor_destroy(w->x);
    free(w);
    return 0;
}

static unsigned held(struct world *w) {
    pthread_mutex_lock(&w->x->lock);
    unsigned count = w->x->ends.count;
    pthread_mutex_unlock(&w->x->lock);
    return count;
}

static void tell(struct world *w) {
    results_event(w->x, ++w->last_event, CL_COMPLETE, NULL, NULL, RESULTS_SOON);
}

/* Tells ends until the last one is held back. */
static void hold_one(struct world *w) {
    for (unsigned i = 0; i < TRIES; i++) {
        tell(w);
        if (held(w)) return;
    }
    fail_msg("nothing was held back");
}

/* And nobody tells anything any more: it comes all the same. */
static void results__are_not_held_back_for_long(void **state) {
    struct world *w = *state;
    for (int i = 0; i < 100; i++) {
        hold_one(w);
        wait_for(w, all_came);
        assert_int_equal(held(w), 0);
    }
}

static void results__leave_when_many_are_together(void **state) {
    struct world *w = *state;
    for (unsigned i = 0; i < 10 * ENDS_HELD_MAX; i++) tell(w);
    assert_true(held(w) <= ENDS_HELD_MAX);
    wait_for(w, all_came);
}

/* Whatever else is told takes along what is held back, and comes after it. */
static void results__keep_their_order(void **state) {
    struct world *w = *state;
    hold_one(w);
    results_queue_error(w->x, w->last_event, CL_OUT_OF_RESOURCES); /* the client checks it */
    assert_int_equal(held(w), 0);
    wait_for(w, error_came);
    hold_one(w);
    results_event(w->x, ++w->last_event, CL_COMPLETE, NULL, NULL, RESULTS_NOW);
    assert_int_equal(held(w), 0);
    hold_one(w);
    uint64_t count = results_count(w->x);
    assert_int_equal(held(w), 0);
    assert_int_equal(count, 1 + 1 + w->last_event); /* OPENED and the error, too */
    wait_for(w, all_came);
}

/* Text that lies in the process's own memory until it is asked for. */
static void results__come_after_what_was_printed_before(void **state) {
    struct world *w = *state;
    for (int i = 0; i < 10; i++) {
        do {
            wait_for(w, all_came);
            tell(w);
            printf("text");
            tell(w);
        } while (!held(w));
        wait_for(w, all_came);
        assert_in_range(atomic_load(&w->at_text), w->last_event - 2, w->last_event - 1);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(results__are_not_held_back_for_long),
        TEST(results__leave_when_many_are_together),
        TEST(results__keep_their_order),
        cmocka_unit_test_setup_teardown(results__come_after_what_was_printed_before, set_up_capturing,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
