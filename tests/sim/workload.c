/* The workload: connections between nodes, messages of all kinds on them, cancels and closes. Both ends of a
 * connection are a pair of flows. */
#include "workload.h"
#include "base/error.h"
#include "transport/conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECONNECTS_MAX 5
#define CLOSE_NS       (5 * WEFT_NS_PER_S)
#define SEND_TRIES     200

static size_t random_size(struct sim *s) {
    switch (sim_below(s, 8)) {
    case 0: return 0;
    case 1:
    case 2:
    case 3: return sim_below(s, 200);
    case 4: return sim_below(s, 2000);
    case 5: return sim_below(s, 40000);
    case 6:
        return s->p.bulk_max < 61440 ? 61440 - sim_below(s, 2) : 61440 * sim_below(s, 4) + sim_below(s, 3);
    default: return sim_below(s, s->p.bulk_max);
    }
}

/* Most headers are small; some are as large as they may be. */
static size_t write_header(struct sim *s, uint8_t *to, const struct head *h) {
    size_t filler = sim_below(s, 8) ? 0 : sim_below(s, EP_HEADER_MAX - sizeof *h + 1);
    memcpy(to, h, sizeof *h);
    judge_fill(to + sizeof *h, h->seed + 1, filler);
    return sizeof *h + filler;
}

static struct out *make_out(struct flow *f, const struct head *h) {
    struct out *o = calloc(1, sizeof *o);
    uint8_t *data = malloc(h->size ? h->size : 1);
    if (!o || !data) abort();
    judge_fill(data, h->seed, h->size);
    const struct flow *other = f->pair->end[!f->side];
    *o = (struct out){.flow = f, .data = data, .size = h->size, .seed = h->seed};
    o->too_late = other && other->closed_by_us;
    weft_list_push_back(&f->outs, &o->node);
    return o;
}

static void drop_out(struct out *o) {
    weft_list_remove(&o->node);
    free(o->data);
    free(o);
}

static int send_it(struct sim *s, struct flow *f, const struct ep_send *m) {
    scarce_start(s);
    int rc = engine_send(f->at->engine, s->now, f->conn, m);
    scarce_stop();
    return rc;
}

static bool may_send(const struct flow *f) {
    return f->sent < f->to_send && f->unfinished < f->at->sim->p.in_flight;
}

/* Without memory it sends nothing. */
static void send_one(struct sim *s, struct flow *f) {
    uint32_t channel = (uint32_t)sim_below(s, SIM_CHANNELS);
    struct head h = {.token = f->pair->token,
                     .sequence = f->tx_next[channel],
                     .size = random_size(s),
                     .seed = sim_random(s),
                     .channel = channel,
                     .side = (uint32_t)f->side};
    uint8_t header[EP_HEADER_MAX];
    size_t header_bytes = write_header(s, header, &h);
    bool copy = h.size <= 65536 && sim_chance(s, 0.3);
    struct out *o = make_out(f, &h);
    struct ep_send m = {.handler = (uint16_t)channel,
                        .channel = (uint16_t)(channel + SIM_CHANNELS * (channel * 5000)),
                        .header = header,
                        .header_bytes = header_bytes,
                        .data = h.size ? o->data : NULL,
                        .data_bytes = h.size,
                        .copy = copy,
                        .more = sim_chance(s, 0.3),
                        .unpinned = (double)(h.seed % 1000) < 1000 * s->p.unpinned,
                        .on_done = judge_done,
                        .arg = o};
    int rc = send_it(s, f, &m);
    if (rc) {
        bool may = (rc == WEFT_E_NOMEM && s->p.no_memory > 0) || (rc == WEFT_E_CLOSED && o->too_late);
        if (!may) sim_fail(s, "engine_send: %s", weft_error_text(rc));
        drop_out(o);
        return;
    }
    if (copy) {
        memset(o->data, 0xCC, h.size);
        free(o->data);
        o->data = NULL;
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
    if (!p) abort();
    scarce_start(s);
    int rc = engine_connect(n->engine, s->now, &at, NULL, &c);
    scarce_stop();
    if (rc) {
        free(p);
        return;
    }
    p->token = sim_random(s);
    weft_map_init(&p->fates);
    p->from = from;
    p->to = to;
    p->id = c->id;
    p->disturbed = !s->node[to].alive;
    weft_list_push_back(&s->pairs, &p->node);
    flow_init(&p->store[0], p, 0, n, c);
}

/* An accepted connection is known by its first message. */
struct flow *workload_find_flow(struct sim *s, struct sim_node *n, struct conn *c, const struct head *h) {
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

/* The pair of an accepted connection on which nothing has come yet. */
struct pair *workload_find_silent(struct sim *s, const struct sim_node *n, const struct conn *c) {
    weft_list_for_each(it, &s->pairs) {
        struct pair *p = weft_list_entry(it, struct pair, node);
        if (!p->end[1] && p->to == n->index && p->id == c->remote_id && p->from == c->path.peer->node)
            return p;
    }
    return NULL;
}

static void run_down(struct sim *s, struct sim_node *n, struct engine_event *ev) {
    struct flow *f = engine_conn_user(ev->conn);
    struct conn *c = ev->conn;
    judge_down(s, n, ev);
    bool again = f && f->side == 0 && !s->draining && s->reconnects < RECONNECTS_MAX && sim_chance(s, 0.5);
    engine_event_done(n->engine, s->now, ev, NULL);
    if (f) f->released = true;
    engine_release(n->engine, c, true);
    if (!again) return;
    s->reconnects++; /* at once, while the old connection may still be ending over there */
    workload_connect(s, n->index, f->pair->to);
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

/* While a slice is read other threads may send, cancel and close; it may still be written to until the read
 * is over. */
static void run_pull(struct sim *s, struct sim_node *n, struct engine_pull *pull) {
    struct in *in = find_in(n, engine_pull_token(pull));
    if (!in) {
        sim_fail(s, "a read for an unknown message");
        return;
    }
    in->reading = true;
    if (sim_chance(s, s->p.cancel)) judge_cancel(s, in);
    if (sim_chance(s, 0.2)) {
        workload_act(s, n);
        engine_output(n->engine, s->now);
    }
    int rc = network_read(s, n->index, pull);
    in->reading = false;
    if (in->canceled) judge_forbid(in);
    scarce_start(s);
    engine_pull_done(n->engine, s->now, pull, rc);
    scarce_stop();
}

static void run_event(struct sim *s, struct sim_node *n, struct engine_event *ev) {
    struct flow *f = engine_conn_user(ev->conn);
    switch (ev->type) {
    case ENGINE_EVENT_HEADER: judge_header(s, n, ev); break;
    case ENGINE_EVENT_DOWN: run_down(s, n, ev); break;
    case ENGINE_EVENT_UP:
        if (f) f->up = true;
        if (f && f->side == 0) f->pair->id = ev->conn->id; /* an attempt made afresh has another */
        engine_event_done(n->engine, s->now, ev, NULL);
        break;
    default: ev->call(ev->arg, ev->status); engine_event_done(n->engine, s->now, ev, NULL);
    }
}

void workload_run_events(struct sim *s, struct sim_node *n) {
    for (struct engine_event *ev; n->alive && (ev = engine_next_event(n->engine));) run_event(s, n, ev);
    struct engine_pull pull;
    if (n->alive && engine_pull_next(n->engine, &pull)) run_pull(s, n, &pull);
}

void workload_close(struct sim *s, struct flow *f) {
    struct engine *e = f->at->engine;
    f->closed_by_us = f->pair->disturbed = true;
    if (s->trace) show(s, "node %d closes a connection", f->at->index);
    if (sim_chance(s, 0.3))
        engine_abort(e, s->now, f->conn, sim_chance(s, 0.5) ? WEFT_E_CLOSED : WEFT_E_PROTO);
    else
        engine_close(e, s->now, f->conn, s->now + sim_below(s, CLOSE_NS));
}

void workload_act(struct sim *s, struct sim_node *n) {
    weft_list_for_each(it, &n->flows) {
        struct flow *f = weft_list_entry(it, struct flow, node);
        if (f->down || f->closed_by_us || engine_conn_is_down(f->conn)) continue;
        for (int tries = 0; tries < SEND_TRIES && may_send(f) && !s->failed; tries++) send_one(s, f);
        weft_list_for_each_safe(jt, &f->ins) {
            struct in *in = weft_list_entry(jt, struct in, node);
            if (!in->canceled && sim_chance(s, s->p.cancel)) judge_cancel(s, in);
        }
        if (!s->draining && sim_chance(s, s->p.close)) workload_close(s, f);
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
            if (!f->down && !f->released) engine_close(n->engine, s->now, f->conn, s->now + CLOSE_NS);
        }
    }
}

static void flow_drop(struct sim *s, struct flow *f) {
    while (!weft_list_empty(&f->outs)) drop_out(weft_list_entry(f->outs.next, struct out, node));
    while (!weft_list_empty(&f->ins)) judge_poison(s, weft_list_entry(f->ins.next, struct in, node));
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
    judge_check_poisoned(s, true);
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
    judge_check_poisoned(s, true);
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
    struct head h = {.token = f->pair->token, .size = bytes, .side = 0};
    struct out *o = make_out(f, &h);
    f->pair->disturbed = true; /* nobody sends the other way */
    struct ep_send m = {.header = &h,
                        .header_bytes = sizeof h,
                        .data = o->data,
                        .data_bytes = bytes,
                        .on_done = judge_done,
                        .arg = o};
    f->unfinished++;
    if (engine_send(s->node[from].engine, s->now, f->conn, &m)) abort();
    sim_settle(s, &s->node[from]);
}
