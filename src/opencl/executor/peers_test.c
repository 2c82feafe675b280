/* Tests of executors that deal with each other: two of them and their client in this process, over real
 * endpoints. Contents and ends of commands pass between the two; when nothing passes, by way of the client;
 * when one ends, all that waits for it ends with an error. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "opencl/executor/peers_fixture.h"

/* The first executor lets go of the second, which the client does not know yet. */
static void cut(struct world *w) {
    struct remote_node *a = remote_node_of(w->at[0].b), *b = remote_node_of(w->at[1].b);
    struct wire_out m;
    wire_begin(&m, PEER_OFF, peer_off, .number = b->number);
    assert_true(remote_send(a, &m, NULL, 0, NULL, NULL));
}

/* ---- the tests ---- */
static void peers__move_contents(void **state) {
    struct world *w = *state;
    static const size_t sizes[] = {4, 4096, 64 << 10, (128 << 10) - 1, 128 << 10, MIB + 12, 16 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct pending p = begin(w, sizes[i], (unsigned)i);
        open_gate(w, p.gate, CL_COMPLETE);
        check_arrived(w, &p);
    }
}

/* Many at once of the same buffer, so that what is mapped is met again. */
static void peers__move_one_buffer_again_and_again(void **state) {
    struct world *w = *state;
    size_t bytes = 256 << 10;
    unsigned char *data = pattern(bytes, 5);
    bk_ref from = buffer(&w->at[0], bytes), done[16], to[16];
    assert_int_equal(transfer(&w->at[0], BK_WRITE, from, bytes, data), 0);
    for (int i = 0; i < 16; i++) {
        struct bk_meeting m = meet(w);
        to[i] = buffer(&w->at[1], bytes);
        half(&w->at[0], BK_READ, &m, from, bytes, 0);
        done[i] = half(&w->at[1], BK_WRITE, &m, to[i], bytes, 0);
    }
    for (int i = 0; i < 16; i++) {
        struct pending p = {.bytes = bytes, .data = pattern(bytes, 5), .to = to[i], .received = done[i]};
        check_arrived(w, &p);
    }
    free(data);
}

static void peers__tell_ends(void **state) {
    struct world *w = *state;
    bk_ref gate = user_event(&w->at[0]), source = marker(&w->at[0], gate);
    bk_ref far = bridge(w, source), waits = marker(&w->at[1], far);
    assert_true(w->at[1].b->ops->event_status(w->at[1].b, waits) > CL_COMPLETE);
    open_gate(w, gate, CL_COMPLETE);
    assert_int_equal(end_of(&w->at[1], waits), CL_COMPLETE);
    /* The client knows by then how the other one ended. */
    assert_int_equal(w->at[0].b->ops->event_status(w->at[0].b, source), CL_COMPLETE);
    w->at[1].b->ops->end_bridge(w->at[1].b, far, CL_COMPLETE);
    bk_ref again = 0;
    assert_false(w->at[1].b->ops->bridge(w->at[1].b, w->at[1].context, w->at[0].b, source, &again));
}

/* The end is told before the command that makes the event has come; what is behind it on the connection says
 * when. */
static void peers__keep_an_early_end(void **state) {
    struct world *w = *state;
    struct remote_node *a = remote_node_of(w->at[0].b), *b = remote_node_of(w->at[1].b);
    bk_ref gate = user_event(&w->at[0]), source = marker(&w->at[0], gate), far = bridge(w, source);
    uint64_t early = remote_handle(b, BK_EVENT, NULL);
    struct wire_out m;
    wire_begin(&m, TELL, tell, .peer = b->number, .name = early, .event = source);
    remote_send(a, &m, NULL, 0, NULL, NULL);
    bk_ref last_gate = user_event(&w->at[0]), last = marker(&w->at[0], last_gate), last_far = bridge(w, last);
    open_gate(w, gate, CL_COMPLETE);
    assert_int_equal(end_of(&w->at[0], source), CL_COMPLETE);
    open_gate(w, last_gate, CL_COMPLETE);
    assert_int_equal(end_of(&w->at[1], marker(&w->at[1], last_far)), CL_COMPLETE);
    wire_begin(&m, CREATE_FAR_EVENT, create_far_event, .event = early, .context = w->at[1].context,
               .peer = a->number);
    remote_send(b, &m, NULL, 0, NULL, NULL);
    assert_int_equal(end_of(&w->at[1], marker(&w->at[1], early)), CL_COMPLETE);
    assert_int_equal(end_of(&w->at[1], marker(&w->at[1], far)), CL_COMPLETE);
}

static void peers__pass_failures_on(void **state) {
    struct world *w = *state;
    bk_ref gate = user_event(&w->at[0]), source = marker(&w->at[0], gate);
    bk_ref waits = marker(&w->at[1], bridge(w, source));
    struct pending p = begin(w, MIB, 1);
    open_gate(w, gate, CL_OUT_OF_RESOURCES);
    assert_true(end_of(&w->at[1], waits) < 0);
    open_gate(w, p.gate, CL_OUT_OF_RESOURCES);
    assert_true(end_of(&w->at[1], p.received) < 0);
    assert_true(end_of(&w->at[1], marker(&w->at[1], p.received)) < 0);
    free(p.data);
}

static bool is_cut(void *arg) {
    struct world *w = arg;
    struct bk_meeting m;
    return !w->at[0].b->ops->meet(w->at[0].b, w->at[1].b, &m);
}

/* What is under way is done by the client. */
static void peers__do_without_each_other(void **state) {
    struct world *w = *state;
    struct pending small = begin(w, 1000, 1), large = begin(w, MIB, 2);
    bk_ref gate = user_event(&w->at[0]), source = marker(&w->at[0], gate);
    bk_ref waits = marker(&w->at[1], bridge(w, source));
    cut(w);
    assert_int_equal(ep_wait(w->client, is_cut, w, weft_now_ns() + 20 * WEFT_NS_PER_S), 0);
    open_gate(w, small.gate, CL_COMPLETE);
    check_arrived(w, &small);
    open_gate(w, large.gate, CL_COMPLETE);
    check_arrived(w, &large);
    open_gate(w, gate, CL_COMPLETE);
    assert_int_equal(end_of(&w->at[1], waits), CL_COMPLETE);
}

static void peers__end_with_an_error_when_one_is_lost(void **state) {
    struct world *w = *state;
    struct pending small = begin(w, 1000, 1), large = begin(w, MIB, 2);
    bk_ref gate = user_event(&w->at[0]), waits = marker(&w->at[1], bridge(w, marker(&w->at[0], gate)));
    peers_stop(&w->at[0]);
    assert_true(end_of(&w->at[1], small.received) < 0);
    assert_true(end_of(&w->at[1], large.received) < 0);
    assert_true(end_of(&w->at[1], waits) < 0);
    assert_int_equal(w->at[1].b->ops->finish(w->at[1].b, w->at[1].queue), 0); /* and the other goes on */
    free(small.data);
    free(large.data);
}

static void peers__go_on_when_a_receiver_is_lost(void **state) {
    struct world *w = *state;
    struct pending p = begin(w, MIB, 2);
    peers_stop(&w->at[1]);
    assert_true(end_of(&w->at[1], p.received) < 0);
    open_gate(w, p.gate, CL_COMPLETE);
    assert_int_equal(w->at[0].b->ops->finish(w->at[0].b, w->at[0].half_queue), 0);
    free(p.data);
}

/* The second one's result has come: it is held back, or told. */
static bool has_come(void *arg) {
    struct world *w = arg;
    struct remote_node *b = remote_node_of(w->at[1].b);
    pthread_mutex_lock(&b->lock);
    bool come = !weft_list_empty(&b->untold) || b->results > w->seen;
    pthread_mutex_unlock(&b->lock);
    return come;
}

/* As if it followed from a result of the first one that has not come yet. */
static void peers__ends_are_told_after_those_that_they_follow_from(void **state) {
    struct world *w = *state;
    struct remote_node *a = remote_node_of(w->at[0].b), *b = remote_node_of(w->at[1].b);
    bk_ref gate = user_event(&w->at[0]), first = marker(&w->at[0], gate);
    w->seen = b->results;
    remote_order_after(b, a->number, a->results + 1);
    bk_ref second = enqueue(&w->at[1], (struct bk_command){.op = BK_MARKER, .queue = w->at[1].marker_queue});
    assert_int_equal(ep_wait(w->client, has_come, w, weft_now_ns() + 20 * WEFT_NS_PER_S), 0);
    assert_true(w->at[1].b->ops->event_status(w->at[1].b, second) > CL_COMPLETE);
    open_gate(w, gate, CL_COMPLETE);
    assert_int_equal(end_of(&w->at[1], second), CL_COMPLETE);
    assert_int_equal(w->at[0].b->ops->event_status(w->at[0].b, first), CL_COMPLETE);
}

static bool is_settled(void *arg) {
    struct remote_node *n = arg;
    pthread_mutex_lock(&n->send_lock);
    bool settled = n->state == REMOTE_LOST && n->settled;
    pthread_mutex_unlock(&n->send_lock);
    return settled;
}

/* They count an executor's results, and the next one of its node begins to count anew. */
static void peers__marks_go_with_their_executor(void **state) {
    struct world *w = *state;
    struct remote_node *a = remote_node_of(w->at[0].b), *b = remote_node_of(w->at[1].b);
    remote_order_after(b, a->number, a->results + 1);
    assert_false(weft_list_empty(&b->marks));
    peers_stop(&w->at[1]);
    assert_int_equal(ep_wait(w->client, is_settled, b, weft_now_ns() + 20 * WEFT_NS_PER_S), 0);
    assert_true(weft_list_empty(&b->marks));
    assert_int_equal(atomic_load(&w->hub->mark_count), 0);
}

/* The end of a queue's last command has come, but may not be told yet: nothing that returns at once says so.
 */
static void peers__a_queue_is_not_over_before_its_ends_are_told(void **state) {
    struct world *w = *state;
    struct remote_node *a = remote_node_of(w->at[0].b), *b = remote_node_of(w->at[1].b);
    bk_ref queue = w->at[1].marker_queue, gate = user_event(&w->at[0]), first = marker(&w->at[0], gate);
    w->seen = b->results;
    remote_order_after(b, a->number, a->results + 1);
    enqueue(&w->at[1], (struct bk_command){.op = BK_MARKER, .queue = queue});
    assert_int_equal(ep_wait(w->client, has_come, w, weft_now_ns() + 20 * WEFT_NS_PER_S), 0);
    assert_false(remote_queue_is_quiet(b, queue));
    open_gate(w, gate, CL_COMPLETE);
    assert_int_equal(w->at[1].b->ops->finish(w->at[1].b, queue), 0);
    assert_int_equal(w->at[0].b->ops->event_status(w->at[0].b, first), CL_COMPLETE);
    assert_true(remote_queue_is_quiet(b, queue));
}

/* A transfer that this process may do by itself, of what a move brings, and of what a move takes away. */
static void peers__a_transfer_waits_for_the_move_that_it_follows(void **state) {
    struct world *w = *state;
    for (unsigned i = 0; i < 20; i++) {
        size_t bytes = i % 2 ? MIB : 1000;
        struct pending p = begin(w, bytes, i);
        unsigned char *got = malloc(bytes);
        w->at[1].b->ops->host_view(w->at[1].b, p.to); /* from now on it knows whether it may */
        struct bk_command c = {.op = BK_READ, .queue = w->at[1].queue, .wait_count = 1, .waits = &p.received};
        c.u.rw.mem = p.to;
        c.u.rw.size = bytes;
        c.u.rw.host = got;
        bk_ref read = enqueue(&w->at[1], c);
        assert_true(w->at[1].b->ops->event_status(w->at[1].b, read) > CL_COMPLETE);
        open_gate(w, p.gate, CL_COMPLETE);
        assert_int_equal(end_of(&w->at[1], read), CL_COMPLETE);
        assert_memory_equal(got, p.data, bytes);
        memset(got, 1, bytes);
        assert_int_equal(transfer(&w->at[0], BK_WRITE, p.from, bytes, got), 0);
        check_arrived(w, &p);
        free(got);
    }
}

/* ---- who may speak ---- */
struct stranger {
    struct ep *ep;
    struct ep_peer *peer;
    atomic_bool down;
};

static void on_down(void *ctx, struct ep_peer *peer, int status) {
    atomic_store(&((struct stranger *)ctx)->down, true);
}
static bool is_down(void *arg) { return atomic_load(&((struct stranger *)arg)->down); }

static void connect_stranger(struct stranger *s, const struct place *to) {
    struct ep_config cfg = {.adapters = peers_adapters(), .on_peer_down = on_down, .ctx = s};
    assert_int_equal(ep_open(&s->ep, &cfg), 0);
    assert_int_equal(ep_connect(s->ep, to->where.address, to->where.address_bytes, NULL, &s->peer), 0);
}

/* It may have been turned away by then. */
static void say(struct stranger *s, const struct wire_out *m, const void *data, size_t bytes) {
    int status = ep_send(s->peer, &(struct ep_send){.handler = WIRE_HANDLER_BETWEEN,
                                                    .channel = WIRE_CHANNEL,
                                                    .header = m->words,
                                                    .header_bytes = m->word_count * 8,
                                                    .data = data,
                                                    .data_bytes = bytes,
                                                    .copy = bytes});
    assert_true(!status || status == WEFT_E_PEER_LOST || status == WEFT_E_CLOSED);
}

static void hello(struct stranger *s, const struct place *to, uint32_t from, uint32_t token_of) {
    uint64_t token[2];
    struct wire_out m;
    assert_true(wire_peer_token(to->where.token, NODE_TOKEN_BYTES, token_of, token));
    wire_begin(&m, HELLO, hello, .from = from, .token_low = token[0], .token_high = token[1]);
    say(s, &m, NULL, 0);
}

static void peers__turn_strangers_away(void **state) {
    struct world *w = *state;
    for (int i = 0; i < 3; i++) {
        struct stranger s = {0};
        struct wire_out m;
        connect_stranger(&s, &w->at[1]);
        if (i == 0) hello(&s, &w->at[1], 8, 9); /* another's token */
        if (i == 1) hello(&s, &w->at[0], 8, 8); /* for another executor */
        wire_begin(&m, GET, get, .move = 1, .bytes = 1);
        say(&s, &m, NULL, 0);
        assert_int_equal(ep_wait(s.ep, is_down, &s, weft_now_ns() + 20 * WEFT_NS_PER_S), 0);
        ep_disconnect(s.peer);
        ep_close(s.ep, 0);
    }
}

/* Even from a peer: only from whom the client named for this move. */
static void peers__take_nothing_that_they_did_not_ask_for(void **state) {
    struct world *w = *state;
    char junk[1000];
    memset(junk, 'x', sizeof junk);
    struct pending p = begin(w, sizeof junk, 3);
    struct stranger s = {0};
    connect_stranger(&s, &w->at[1]);
    hello(&s, &w->at[1], 77, 77);
    struct wire_out m;
    for (uint64_t move = 0; move < 8; move++) {
        wire_begin(&m, CONTENT, content, .move = move);
        say(&s, &m, junk, sizeof junk);
    }
    wire_begin(&m, NDRANGE, ndrange, .queue = 1, .kernel = 1); /* no message between executors: the end */
    say(&s, &m, NULL, 0);
    assert_int_equal(ep_wait(s.ep, is_down, &s, weft_now_ns() + 20 * WEFT_NS_PER_S), 0);
    assert_true(w->at[1].b->ops->event_status(w->at[1].b, p.received) > CL_COMPLETE);
    open_gate(w, p.gate, CL_COMPLETE);
    check_arrived(w, &p);
    ep_disconnect(s.peer);
    ep_close(s.ep, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, peers_set_up, peers_tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(peers__move_contents),
        TEST(peers__move_one_buffer_again_and_again),
        TEST(peers__tell_ends),
        TEST(peers__keep_an_early_end),
        TEST(peers__pass_failures_on),
        TEST(peers__do_without_each_other),
        TEST(peers__end_with_an_error_when_one_is_lost),
        TEST(peers__go_on_when_a_receiver_is_lost),
        TEST(peers__ends_are_told_after_those_that_they_follow_from),
        TEST(peers__marks_go_with_their_executor),
        TEST(peers__a_queue_is_not_over_before_its_ends_are_told),
        TEST(peers__a_transfer_waits_for_the_move_that_it_follows),
        TEST(peers__turn_strangers_away),
        TEST(peers__take_nothing_that_they_did_not_ask_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
