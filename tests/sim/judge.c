/* The judge: each message says who it is, so that it is seen whether it comes exactly once, in order, with
 * its data; buffers have guards and are watched after their end; every operation ends once; a connection ends
 * only for a reason that the network gave it. */
#include "base/error.h"
#include "transport/conn.h"
#include "workload.h"

#include <stdlib.h>
#include <string.h>

#define PATTERN_BYTES 1048573u /* a prime: nothing on the wire has this period */
#define POISON        0xEE
#define GUARD_BYTE    0xA5
#define SILENCE_NS    (1500 * WEFT_NS_PER_MS) /* after that a peer may count as dead; engines wait longer */

static char canceled, failed, done; /* fates */

/* One random text; each message says a part of it. */
static const uint8_t *pattern(void) {
    static uint8_t bytes[PATTERN_BYTES + 8];
    if (bytes[0]) return bytes;
    uint64_t z = 88172645463325252ull;
    for (size_t i = 0; i < PATTERN_BYTES; i += 8) {
        z ^= z << 13;
        z ^= z >> 7;
        z ^= z << 17;
        memcpy(bytes + i, &z, 8);
    }
    bytes[0] = 1;
    return bytes;
}

void judge_fill(uint8_t *to, uint64_t seed, size_t len) {
    for (size_t at = seed % PATTERN_BYTES; len > 0; at = 0) {
        size_t n = PATTERN_BYTES - at < len ? PATTERN_BYTES - at : len;
        memcpy(to, pattern() + at, n);
        to += n;
        len -= n;
    }
}

bool judge_holds(const uint8_t *p, uint64_t seed, size_t len) {
    bool same = true;
    for (size_t at = seed % PATTERN_BYTES; len > 0 && same; at = 0) {
        size_t n = PATTERN_BYTES - at < len ? PATTERN_BYTES - at : len;
        same = memcmp(p, pattern() + at, n) == 0;
        p += n;
        len -= n;
    }
    return same;
}

static bool all_are(const uint8_t *p, uint8_t value, size_t len) {
    return len == 0 || (p[0] == value && memcmp(p, p + 1, len - 1) == 0);
}

void judge_forbid(struct in *in) { memset(in->room, POISON, in->size + 2 * GUARD); }

void judge_poison(struct sim *s, struct in *in) {
    judge_forbid(in);
    weft_list_remove(&in->node);
    weft_list_push_back(&s->poisoned, &in->node);
    in->over = true;
}

/* Some buffers are forgotten now and then, to bound memory; first it is seen that nothing wrote into them. */
void judge_check_poisoned(struct sim *s, bool all) {
    while (!weft_list_empty(&s->poisoned)) {
        struct in *in = weft_list_entry(s->poisoned.next, struct in, node);
        if (!all_are(in->room, POISON, in->size + 2 * GUARD))
            sim_fail(s, "a buffer was written after its end");
        weft_list_remove(&in->node);
        free(in->room);
        free(in);
        if (!all) break;
    }
}

void judge_done(void *arg, int status) {
    struct out *o = arg;
    struct flow *f = o->flow;
    struct sim *s = f->at->sim;
    f->unfinished--;
    f->done++;
    if (f->down) sim_fail(s, "on_done after the connection was down");
    const void *fate = weft_map_get(&f->pair->fates, o->seed);
    if (status == WEFT_E_CANCELED && fate != &canceled)
        sim_fail(s, "the sender heard of a cancel that never was");
    if (status == 0 && fate == &canceled) sim_fail(s, "a canceled message arrived for its sender");
    bool staged = o->size <= s->p.method2_bytes; /* may have come whole before anybody asked for it */
    if (status == 0 && fate == &failed && !staged)
        sim_fail(s, "a message that failed arrived for its sender");
    bool taken = s->p.net.reliable && o->size <= s->p.eager_bytes; /* by the adapter; nobody asks the peer */
    if (status == 0 && o->too_late && !taken)
        sim_fail(s, "a message arrived that was sent after the other end had closed");
    if (status == 0) weft_map_put(&f->pair->fates, o->seed, &done);
    weft_list_remove(&o->node);
    if (o->data) memset(o->data, 0xDD, o->size); /* nothing may be read from it any more */
    free(o->data);
    free(o);
}

void judge_cancel(struct sim *s, struct in *in) {
    int rc = engine_cancel(in->flow->at->engine, in->token);
    if (rc == WEFT_E_NOENT) return; /* its end is queued */
    if (rc) sim_fail(s, "engine_cancel: %s", weft_error_text(rc));
    in->canceled = true;
    if (weft_map_put(&in->flow->pair->fates, in->seed, &canceled))
        sim_fail(s, "a message was canceled after its sender had heard that it arrived");
    if (engine_cancel(in->flow->at->engine, in->token) != WEFT_E_NOENT)
        sim_fail(s, "a message was canceled twice");
    if (!in->reading) judge_forbid(in);
}

static void judge_arrived(struct sim *s, const struct in *in) {
    bool guards =
        all_are(in->room, GUARD_BYTE, GUARD) && all_are(in->room + GUARD + in->size, GUARD_BYTE, GUARD);
    if (!guards) sim_fail(s, "written outside the buffer");
    if (!judge_holds(in->room + GUARD, in->seed, in->size)) sim_fail(s, "the data is wrong");
    s->delivered_bytes += in->size;
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
    if (status == 0) judge_arrived(s, in);
    if (status && !in->canceled) weft_map_put(&f->pair->fates, in->seed, &failed);
    if (in->canceled && !all_are(in->room, POISON, in->size + 2 * GUARD))
        sim_fail(s, "a buffer was written after engine_cancel");
    judge_poison(s, in);
    if (sim_chance(s, 0.5)) judge_check_poisoned(s, false);
}

static struct ep_sink make_sink(struct sim *s, struct flow *f, const struct ep_msg *m, uint64_t seed) {
    struct in *in = calloc(1, sizeof *in);
    if (!in) abort();
    *in = (struct in){.flow = f, .size = m->data_bytes, .seed = seed, .token = m->token};
    in->room = malloc(in->size + 2 * GUARD);
    if (!in->room) abort();
    memset(in->room, GUARD_BYTE, in->size + 2 * GUARD);
    weft_list_push_back(&f->ins, &in->node);
    f->sinks++;
    if (sim_chance(s, s->p.cancel)) judge_cancel(s, in);
    return (struct ep_sink){in->room + GUARD, on_data, in, sim_chance(s, s->p.unpinned)};
}

/* Whether the message is one that the other end sent, and the next of its channel. */
static void judge_message(struct sim *s, struct flow *f, const struct ep_msg *m, const struct head *h) {
    if (!f) {
        sim_fail(s, "a message of an unknown connection");
        return;
    }
    if (h->token != f->pair->token || (int)h->side == f->side)
        sim_fail(s, "a message on the wrong connection");
    if (h->channel != m->channel % SIM_CHANNELS || m->handler != h->channel || h->size != m->data_bytes)
        sim_fail(s, "a mangled message");
    if (!judge_holds((const uint8_t *)m->header + sizeof *h, h->seed + 1, m->header_bytes - sizeof *h))
        sim_fail(s, "a mangled header");
    if (h->sequence != f->rx_next[h->channel % SIM_CHANNELS]++)
        sim_fail(s, "channel %u: message %lu came as number %lu", h->channel, (unsigned long)h->sequence,
                 (unsigned long)f->rx_next[h->channel % SIM_CHANNELS] - 1);
    if (f->down) sim_fail(s, "a message after the connection was down");
    if (m->data && !judge_holds(m->data, h->seed, m->data_bytes)) sim_fail(s, "the data is wrong");
    if (m->data) s->delivered_bytes += m->data_bytes;
    f->received++;
    s->delivered++;
}

void judge_header(struct sim *s, struct sim_node *n, struct engine_event *ev) {
    struct ep_msg m;
    struct ep_sink sink = {0};
    struct head h = {0};
    engine_event_message(ev, &m);
    if (m.header_bytes < sizeof h)
        sim_fail(s, "a header of %zu bytes", m.header_bytes);
    else
        memcpy(&h, m.header, sizeof h);
    struct flow *f = s->failed ? NULL : workload_find_flow(s, n, ev->conn, &h);
    if (!s->failed) judge_message(s, f, &m, &h);
    if (f && !s->failed && !m.data && m.data_bytes && !sim_chance(s, s->p.discard))
        sink = make_sink(s, f, &m, h.seed);
    if (f && !f->closed_by_us && !s->draining && sim_chance(s, 10 * s->p.close)) workload_close(s, f);
    scarce_start(s);
    engine_event_done(n->engine, s->now, ev, &sink);
    scarce_stop();
}

/* Whether the network gave a reason to end a connection that nobody closed. */
static bool has_reason(const struct sim *s, const struct sim_node *n, const struct conn *c, int status) {
    uint64_t heard = network_heard(n, c->id);
    if (s->p.no_memory > 0) return true;
    if (status == WEFT_E_REFUSED && s->p.crash > 0) return heard == 0; /* it may just have been away */
    return (status == WEFT_E_PEER_LOST || status == WEFT_E_TIMEDOUT) && s->now - heard >= SILENCE_NS;
}

void judge_down(struct sim *s, struct sim_node *n, struct engine_event *ev) {
    struct flow *f = engine_conn_user(ev->conn);
    if (s->trace)
        show(s, "node %d: connection %08x is down: %s", n->index, ev->conn->id, weft_error_text(ev->status));
    struct pair *silent = f ? NULL : workload_find_silent(s, n, ev->conn);
    if (silent && has_reason(s, n, ev->conn, ev->status)) silent->disturbed = true;
    if (!f) return;
    if (f->down) sim_fail(s, "down was told twice");
    if (f->unfinished) sim_fail(s, "down with %d unfinished messages", f->unfinished);
    if (f->sinks) sim_fail(s, "down with %d armed buffers", f->sinks);
    if (!f->pair->disturbed && !s->draining && !has_reason(s, n, ev->conn, ev->status))
        sim_fail(s, "node %d: connection %08x went down by itself: %s", n->index, ev->conn->id,
                 weft_error_text(ev->status));
    f->down = true;
    f->pair->disturbed = true;
}
