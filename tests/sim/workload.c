/* The workload and its judge. Both ends of a connection are a pair of flows; each message says who it is, so
 * that the receiver can check that it comes exactly once, in order, with its data; buffers have guards and
 * are watched after their end. */
#include "base/error.h"
#include "base/map.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD     32
#define IN_FLIGHT 24 /* messages of a flow that are queued at once */

struct pair;

/* One end of a connection. */
struct flow {
    struct weft_list node; /* in its sim_node */
    struct pair *pair;
    int side;
    struct sim_node *at;
    struct conn *conn;
    int to_send, sent, done, unfinished, sinks;
    uint64_t tx_next[SIM_CHANNELS], rx_next[SIM_CHANNELS];
    int received, data_ok;
    bool up, down, closed_by_us, released;
    struct weft_list outs, ins;
};

struct pair {
    struct weft_list node;
    uint64_t token; /* the first message of the connecting side carries it */
    struct flow *end[2];
    int to;
    bool disturbed;        /* a crash or a close: not everything need arrive */
    struct weft_map fates; /* of messages, by their seed: what the first side to end them said */
    struct flow store[2];
};

static char canceled, done; /* fates */

struct head {
    uint64_t token, sequence, size, seed;
    uint32_t channel, side;
};

struct out {
    struct weft_list node;
    struct flow *flow;
    uint8_t *data;
    size_t size;
    uint64_t seed;
};
struct in {
    struct weft_list node;
    struct flow *flow;
    uint8_t *room;
    size_t size;
    uint64_t seed, token;
    bool over, canceled, reading; /* reading: the owner copies from the peer's memory just now */
};

static uint8_t byte_of(uint64_t seed, size_t i) { return (uint8_t)((i * 2654435761u + seed) >> 7 ^ i >> 9); }

static void poison(struct sim *s, struct in *in) {
    memset(in->room, 0xEE, in->size + 2 * GUARD);
    weft_list_remove(&in->node);
    weft_list_push_back(&s->poisoned, &in->node);
    in->over = true;
}

/* Some buffers are forgotten now and then, to bound memory; first it is seen that nothing wrote into them. */
static void check_poisoned(struct sim *s, bool all) {
    while (!weft_list_empty(&s->poisoned)) {
        struct in *in = weft_list_entry(s->poisoned.next, struct in, node);
        for (size_t i = 0; i < in->size + 2 * GUARD; i++)
            if (in->room[i] != 0xEE) {
                sim_fail(s, "a buffer was written after its end");
                break;
            }
        weft_list_remove(&in->node);
        free(in->room);
        free(in);
        if (!all) break;
    }
}

static void on_done(void *arg, int status) {
    struct out *o = arg;
    struct flow *f = o->flow;
    f->unfinished--;
    f->done++;
    if (f->down) sim_fail(f->at->sim, "on_done after the connection was down");
    const void *fate = weft_map_get(&f->pair->fates, o->seed);
    if (status == WEFT_E_CANCELED && fate != &canceled)
        sim_fail(f->at->sim, "the sender heard of a cancel that never was");
    if (status == 0 && fate) sim_fail(f->at->sim, "a canceled message arrived for its sender");
    if (status == 0) weft_map_put(&f->pair->fates, o->seed, &done);
    weft_list_remove(&o->node);
    if (o->data) memset(o->data, 0xDD, o->size); /* nothing may be read from it any more */
    free(o->data);
    free(o);
}

/* From now on nothing may be written to the buffer, although its on_data is still to come. */
static void forbid(struct in *in) { memset(in->room, 0xEE, in->size + 2 * GUARD); }

static void cancel_one(struct sim *s, struct in *in) {
    int rc = engine_cancel(in->flow->at->engine, in->token);
    if (rc == WEFT_E_NOENT) return; /* its end is queued */
    if (rc) sim_fail(s, "engine_cancel: %s", weft_error_text(rc));
    in->canceled = true;
    if (weft_map_put(&in->flow->pair->fates, in->seed, &canceled))
        sim_fail(s, "a message was canceled after its sender had heard that it arrived");
    if (engine_cancel(in->flow->at->engine, in->token) != WEFT_E_NOENT)
        sim_fail(s, "a message was canceled twice");
    if (!in->reading) forbid(in);
}

static void on_data(void *arg, int status) {
    struct in *in = arg;
    struct flow *f = in->flow;
    struct sim *s = f->at->sim;
    if (in->over) sim_fail(s, "on_data was called twice");
    if (f->down) sim_fail(s, "on_data after the connection was down");
    if (in->canceled && status == 0) sim_fail(s, "a canceled message was completed");
    if (status == WEFT_E_CANCELED && !in->canceled) sim_fail(s, "nobody canceled this message");
    f->sinks--;
    if (in->canceled) {
        for (size_t i = 0; i < in->size + 2 * GUARD; i++)
            if (in->room[i] != 0xEE) {
                sim_fail(s, "a buffer was written after engine_cancel");
                break;
            }
        poison(s, in);
        return;
    }
    bool guards = true, right = true;
    for (size_t i = 0; i < GUARD; i++)
        guards &= in->room[i] == 0xA5 && in->room[GUARD + in->size + i] == 0xA5;
    for (size_t i = 0; status == 0 && right && i < in->size; i++)
        right = in->room[GUARD + i] == byte_of(in->seed, i);
    if (!guards) sim_fail(s, "written outside the buffer");
    if (!right) sim_fail(s, "the data is wrong");
    if (status == 0) {
        f->data_ok++;
        s->delivered_bytes += in->size;
    }
    poison(s, in);
    if (sim_chance(s, 0.5)) check_poisoned(s, false);
}

static size_t random_size(struct sim *s) {
    switch (sim_below(s, 8)) {
    case 0: return 0;
    case 1:
    case 2:
    case 3: return sim_below(s, 200);
    case 4: return sim_below(s, 2000);
    case 5: return sim_below(s, 40000);
    case 6: return 61440 * sim_below(s, 4) + sim_below(s, 3);
    default: return sim_below(s, s->p.bulk_max);
    }
}

static void send_one(struct sim *s, struct flow *f) {
    struct out *o = calloc(1, sizeof *o);
    uint32_t channel = (uint32_t)sim_below(s, SIM_CHANNELS);
    struct head h = {.token = f->pair->token,
                     .sequence = f->tx_next[channel],
                     .size = random_size(s),
                     .seed = sim_random(s),
                     .channel = channel,
                     .side = (uint32_t)f->side};
    bool copy = h.size <= 65536 && sim_chance(s, 0.3);
    uint8_t *data = malloc(h.size ? h.size : 1);
    for (size_t i = 0; i < h.size; i++) data[i] = byte_of(h.seed, i);
    *o = (struct out){.flow = f, .data = copy ? NULL : data, .size = h.size, .seed = h.seed};
    weft_list_push_back(&f->outs, &o->node);
    struct ep_send m = {.handler = (uint16_t)channel,
                        .channel = (uint16_t)channel,
                        .header = &h,
                        .header_bytes = sizeof h,
                        .data = h.size ? data : NULL,
                        .data_bytes = h.size,
                        .copy = copy,
                        .more = sim_chance(s, 0.3),
                        .on_done = on_done,
                        .arg = o};
    int rc = engine_send(f->at->engine, s->now, f->conn, &m);
    if (copy) {
        memset(data, 0xCC, h.size);
        free(data);
    }
    if (rc) {
        sim_fail(s, "engine_send: %s", weft_error_text(rc));
        return;
    }
    f->tx_next[channel]++;
    f->sent++;
    f->unfinished++;
}

static void flow_init(struct flow *f, struct pair *p, int side, struct sim_node *at, struct conn *c) {
    *f = (struct flow){.pair = p, .side = side, .at = at, .conn = c, .to_send = at->sim->p.messages};
    if (side == 1 && at->sim->p.one_way) f->to_send = 0;
    weft_list_init(&f->outs);
    weft_list_init(&f->ins);
    weft_list_push_back(&at->flows, &f->node);
    p->end[side] = f;
    engine_conn_set_user(c, f);
}

void workload_connect(struct sim *s, int from, int to) {
    struct sim_node *n = &s->node[from];
    struct pair *p = calloc(1, sizeof *p);
    struct engine_from at = {.link = &n->link, .addr = &to, .addr_bytes = sizeof to};
    struct conn *c;
    if (engine_connect(n->engine, s->now, &at, NULL, &c)) {
        free(p);
        return;
    }
    p->token = sim_random(s);
    weft_map_init(&p->fates);
    p->to = to;
    p->disturbed = !s->node[to].alive;
    weft_list_push_back(&s->pairs, &p->node);
    flow_init(&p->store[0], p, 0, n, c);
}

/* An accepted connection is known by its first message. */
static struct flow *find_flow(struct sim *s, struct sim_node *n, struct conn *c, const struct head *h) {
    struct flow *f = engine_conn_user(c);
    if (f) return f;
    weft_list_for_each(it, &s->pairs) {
        struct pair *p = weft_list_entry(it, struct pair, node);
        if (p->token != h->token || p->end[1]) continue;
        flow_init(&p->store[1], p, 1, n, c);
        p->store[1].up = true;
        if (p->disturbed) p->store[1].to_send = 0;
        return &p->store[1];
    }
    return NULL;
}

static void run_header(struct sim *s, struct sim_node *n, struct engine_event *ev) {
    struct ep_msg m;
    struct ep_sink sink = {0};
    struct head h;
    engine_event_message(ev, &m);
    if (m.header_bytes != sizeof h) {
        sim_fail(s, "a header of %zu bytes", m.header_bytes);
        engine_event_done(n->engine, s->now, ev, NULL);
        return;
    }
    memcpy(&h, m.header, sizeof h);
    struct flow *f = find_flow(s, n, ev->conn, &h);
    if (!f) sim_fail(s, "a message of an unknown connection");
    if (f && (h.token != f->pair->token || (int)h.side == f->side))
        sim_fail(s, "a message on the wrong connection");
    if (h.channel != m.channel || m.handler != m.channel || h.size != m.data_bytes)
        sim_fail(s, "a mangled message");
    if (f && h.sequence != f->rx_next[m.channel]++)
        sim_fail(s, "channel %u: message %lu came as number %lu", m.channel, (unsigned long)h.sequence,
                 (unsigned long)f->rx_next[m.channel] - 1);
    if (f) {
        f->received++;
        s->delivered++;
        if (f->down) sim_fail(s, "a message after the connection was down");
    }
    if (m.data)
        for (size_t i = 0; i < m.data_bytes; i++)
            if (((const uint8_t *)m.data)[i] != byte_of(h.seed, i)) {
                sim_fail(s, "the data is wrong");
                break;
            }
    if (m.data) s->delivered_bytes += m.data_bytes;
    if (f && !m.data && m.data_bytes && !sim_chance(s, s->p.discard)) {
        struct in *in = calloc(1, sizeof *in);
        *in = (struct in){.flow = f, .size = m.data_bytes, .seed = h.seed};
        in->room = malloc(in->size + 2 * GUARD);
        memset(in->room, 0xA5, in->size + 2 * GUARD);
        weft_list_push_back(&f->ins, &in->node);
        f->sinks++;
        in->token = m.token;
        sink = (struct ep_sink){in->room + GUARD, on_data, in, sim_chance(s, s->p.unpinned)};
        if (sim_chance(s, s->p.cancel)) cancel_one(s, in);
    }
    engine_event_done(n->engine, s->now, ev, &sink);
}

static void run_down(struct sim *s, struct sim_node *n, struct engine_event *ev) {
    struct flow *f = engine_conn_user(ev->conn);
    struct conn *c = ev->conn;
    int again = -1;
    if (f && f->down) sim_fail(s, "down was told twice");
    if (f && f->unfinished) sim_fail(s, "down with %d unfinished messages", f->unfinished);
    if (f && f->sinks) sim_fail(s, "down with %d armed buffers", f->sinks);
    if (f && !f->pair->disturbed && !s->draining)
        sim_fail(s, "a connection went down by itself: %s", weft_error_text(ev->status));
    if (f) {
        f->down = true;
        f->pair->disturbed = true;
        if (s->verbose)
            printf("%.6f node %d: down: %s\n", (double)s->now / 1e9, n->index, weft_error_text(ev->status));
        again = f->side == 0 && !s->draining && s->reconnects < 5 && sim_chance(s, 0.5) ? f->pair->to : -1;
    }
    engine_event_done(n->engine, s->now, ev, NULL);
    if (f) f->released = true;
    engine_release(n->engine, c, true);
    if (again >= 0) { /* at once, while the old connection may still be ending over there */
        s->reconnects++;
        workload_connect(s, n->index, again);
    }
}

static struct in *find_in(struct sim_node *n, uint64_t token) {
    weft_list_for_each(it, &n->flows) {
        struct flow *f = weft_list_entry(it, struct flow, node);
        weft_list_for_each(jt, &f->ins) {
            struct in *in = weft_list_entry(jt, struct in, node);
            if (in->token == token) return in;
        }
    }
    return NULL;
}

/* Cancels while the slice is read: it may still be written to until the read is over. */
static void run_pull(struct sim *s, struct sim_node *n, struct engine_pull *pull) {
    struct in *in = find_in(n, engine_pull_token(pull));
    if (!in) {
        sim_fail(s, "a read for an unknown message");
        return;
    }
    in->reading = true;
    if (sim_chance(s, s->p.cancel)) cancel_one(s, in);
    int rc = network_read(s, n->index, pull);
    in->reading = false;
    if (in->canceled) forbid(in);
    engine_pull_done(n->engine, s->now, pull, rc);
}

void workload_run_events(struct sim *s, struct sim_node *n) {
    for (struct engine_event *ev; n->alive && (ev = engine_next_event(n->engine));) {
        struct flow *f = engine_conn_user(ev->conn);
        switch (ev->type) {
        case ENGINE_EVENT_HEADER: run_header(s, n, ev); break;
        case ENGINE_EVENT_DOWN: run_down(s, n, ev); break;
        case ENGINE_EVENT_UP:
            if (f) f->up = true;
            engine_event_done(n->engine, s->now, ev, NULL);
            break;
        default: ev->call(ev->arg, ev->status); engine_event_done(n->engine, s->now, ev, NULL);
        }
    }
    struct engine_pull pull;
    if (n->alive && engine_pull_next(n->engine, &pull)) run_pull(s, n, &pull);
}

void workload_act(struct sim *s, struct sim_node *n) {
    weft_list_for_each(it, &n->flows) {
        struct flow *f = weft_list_entry(it, struct flow, node);
        if (f->down || f->closed_by_us || engine_conn_is_down(f->conn)) continue;
        while (f->sent < f->to_send && f->unfinished < IN_FLIGHT && !s->failed) send_one(s, f);
        weft_list_for_each_safe(jt, &f->ins) {
            struct in *in = weft_list_entry(jt, struct in, node);
            if (!in->canceled && sim_chance(s, s->p.cancel)) cancel_one(s, in);
        }
        if (s->p.closes && !s->draining && sim_chance(s, 0.0002)) {
            f->closed_by_us = f->pair->disturbed = true;
            engine_close(n->engine, s->now, f->conn, s->now + 5 * WEFT_NS_PER_S);
        }
    }
}

bool workload_is_over(struct sim *s) {
    weft_list_for_each(it, &s->pairs) {
        struct pair *p = weft_list_entry(it, struct pair, node);
        for (int i = 0; i < 2; i++) {
            struct flow *f = p->end[i], *other = p->end[!i];
            if (!f && !p->disturbed) return false;
            if (!f || f->down) continue;
            if (f->unfinished || f->sinks || (!f->closed_by_us && f->sent < f->to_send)) return false;
            if (!p->disturbed && other && other->received < f->sent) return false;
            if (f->closed_by_us || !other || other->down || other->closed_by_us) return false; /* down soon */
        }
    }
    return true;
}

void workload_close_all(struct sim *s) {
    s->draining = true;
    for (int i = 0; i < s->p.nodes; i++) {
        struct sim_node *n = &s->node[i];
        weft_list_for_each(it, &n->flows) {
            struct flow *f = weft_list_entry(it, struct flow, node);
            if (!f->down && !f->released)
                engine_close(n->engine, s->now, f->conn, s->now + 5 * WEFT_NS_PER_S);
        }
    }
}

static void flow_drop(struct sim *s, struct flow *f) {
    while (!weft_list_empty(&f->outs)) {
        struct out *o = weft_list_entry(f->outs.next, struct out, node);
        weft_list_remove(&o->node);
        free(o->data);
        free(o);
    }
    while (!weft_list_empty(&f->ins)) poison(s, weft_list_entry(f->ins.next, struct in, node));
    f->unfinished = f->sinks = 0;
    f->down = f->released = true;
    f->pair->disturbed = true;
    weft_list_remove(&f->node);
}

/* The node has crashed: its side of everything is gone without a word. */
void workload_node_gone(struct sim *s, struct sim_node *n) {
    while (!weft_list_empty(&n->flows)) flow_drop(s, weft_list_entry(n->flows.next, struct flow, node));
    weft_list_for_each(it, &s->pairs) { /* connections to it that were never seen there */
        struct pair *p = weft_list_entry(it, struct pair, node);
        if (!p->end[1] && p->to == n->index) p->disturbed = true;
    }
}

void workload_check(struct sim *s) {
    check_poisoned(s, true);
    weft_list_for_each(it, &s->pairs) {
        struct pair *p = weft_list_entry(it, struct pair, node);
        for (int i = 0; i < 2; i++) {
            struct flow *f = p->end[i];
            if (f && f->unfinished) sim_fail(s, "%d messages never ended", f->unfinished);
            if (f && f->sinks) sim_fail(s, "%d buffers were never finished", f->sinks);
            if (f && !f->down) sim_fail(s, "a connection that was closed is not down");
        }
    }
}

void workload_fini(struct sim *s) {
    for (int i = 0; i < SIM_NODES_MAX; i++)
        while (s->node[i].flows.next && !weft_list_empty(&s->node[i].flows))
            flow_drop(s, weft_list_entry(s->node[i].flows.next, struct flow, node));
    while (!weft_list_empty(&s->poisoned)) {
        struct in *in = weft_list_entry(s->poisoned.next, struct in, node);
        weft_list_remove(&in->node);
        free(in->room);
        free(in);
    }
    for (struct weft_list *n; (n = weft_list_pop_front(&s->pairs));) {
        struct pair *p = weft_list_entry(n, struct pair, node);
        weft_map_fini(&p->fates);
        free(p);
    }
}

/* -- one large message, for goodput -- */

static struct flow *first_flow(struct sim *s, int from) {
    return weft_list_entry(s->node[from].flows.next, struct flow, node);
}

bool workload_is_up(struct sim *s, int from) { return first_flow(s, from)->up; }
bool workload_is_done(struct sim *s, int from) { return first_flow(s, from)->done > 0; }

void workload_send_large(struct sim *s, int from, size_t bytes) {
    struct flow *f = first_flow(s, from);
    struct out *o = calloc(1, sizeof *o);
    struct head h = {.token = f->pair->token, .size = bytes, .side = 0};
    *o = (struct out){.flow = f, .data = malloc(bytes), .size = bytes};
    if (!o->data) abort();
    for (size_t i = 0; i < bytes; i++) o->data[i] = byte_of(0, i);
    f->pair->disturbed = true; /* nobody sends the other way */
    weft_list_push_back(&f->outs, &o->node);
    struct ep_send m = {.header = &h,
                        .header_bytes = sizeof h,
                        .data = o->data,
                        .data_bytes = bytes,
                        .on_done = on_done,
                        .arg = o};
    f->unfinished++;
    if (engine_send(s->node[from].engine, s->now, f->conn, &m)) abort();
    sim_settle(s, &s->node[from]);
}
