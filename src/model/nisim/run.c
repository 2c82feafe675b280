/* A node that computes while messages arrive. */
#include "model/nisim/run.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define WARM_CYCLES 200000
#define MESSAGES    (2 * NISIM_QUEUE_MAX) /* that can be under way, and then some */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double nisim_quantile(double *v, size_t n, double q) {
    if (!n) return 0;
    qsort(v, n, sizeof *v, by_value);
    return v[(size_t)(q * (double)(n - 1) + 0.5)];
}

struct receiving {
    struct nisim_config config, source_config;
    struct nisim_events events;
    struct nisim_node source, node;
    struct nisim_random arrivals;
    struct nisim_message *message;
    double *start, *done;
    double wire_wait;
    size_t count, sent, handled;
    bool sound;
};

static void handled(void *ctx, struct nisim_message *m) {
    struct receiving *r = ctx;
    if (r->handled == r->count) {
        r->sound = false; /* one came twice */
        return;
    }
    r->start[r->handled] = (double)(m->at[NISIM_R_HANDLER] - m->at[NISIM_R_LAST]);
    r->done[r->handled] = (double)(m->at[NISIM_R_DONE] - m->at[NISIM_R_LAST]);
    r->wire_wait += (double)(m->at[NISIM_S_WIRE] - m->at[NISIM_S_LAUNCH]);
    r->handled++;
}

static void arrival(void *ctx, uint64_t arg) {
    struct receiving *r = ctx;
    struct nisim_message *m = &r->message[r->sent % MESSAGES];
    *m = (struct nisim_message){0};
    m->id = (uint32_t)r->sent;
    m->bytes = (uint32_t)r->config.message_B;
    m->lines = (m->bytes + NISIM_LINE - 1) / NISIM_LINE;
    m->to = NISIM_AT_RECEIVE + (nisim_line)((uint64_t)m->id * m->lines % NISIM_RECEIVE_LINES);
    if (nisim_send_open(&r->source, m)) {
        r->events.nomem = true; /* far beyond what the wire carries */
        return;
    }
    nisim_send_launch(&r->source, m);
    if (++r->sent == r->count) return;
    double mean = r->config.clock_Hz / r->config.rate, spread = r->config.spread;
    double gap = (1 - spread) * mean + spread * nisim_random_exponential(&r->arrivals, mean);
    nisim_post(&r->events, r->events.now + (cycle_t)(gap + 0.5), arrival, r, 0);
}

static void receiving_fini(struct receiving *r) {
    nisim_node_fini(&r->source);
    nisim_node_fini(&r->node);
    nisim_events_fini(&r->events);
    free(r->message);
    free(r->start);
    free(r->done);
    free(r);
}

static struct receiving *receiving_new(const struct nisim_config *c, enum nisim_mechanism mechanism,
                                       uint64_t seed, size_t count) {
    struct receiving *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->config = r->source_config = *c;
    nisim_node_plain(&r->source_config);
    r->count = count;
    r->sound = true;
    r->message = calloc(count < MESSAGES ? count + 1 : MESSAGES, sizeof *r->message);
    r->start = calloc(count + 1, sizeof *r->start);
    r->done = calloc(count + 1, sizeof *r->done);
    nisim_random_init(&r->arrivals, seed, 0);
    int rc = nisim_node_init(&r->source, &r->source_config, &r->events, NISIM_LOCK, seed);
    if (!rc) rc = nisim_node_init(&r->node, &r->config, &r->events, mechanism, seed);
    if (rc || !r->message || !r->start || !r->done) {
        receiving_fini(r);
        return NULL;
    }
    r->source.send.instant = true;
    nisim_node_join(&r->source, &r->node);
    r->node.notify.done = handled;
    r->node.notify.done_ctx = r;
    nisim_node_compute(&r->node, (int)c->threads);
    return r;
}

int nisim_run_base(const struct nisim_config *c, uint64_t seed, struct nisim_base *base) {
    struct receiving *r = receiving_new(c, NISIM_BRANCH, seed, 1);
    if (!r) return WEFT_E_NOMEM;
    while (nisim_next(&r->events, WARM_CYCLES)) {
    }
    double work = nisim_node_work(&r->node);
    uint64_t misses = r->node.memory.misses;
    base->cycles = 1.1 * c->count * c->clock_Hz / c->rate;
    for (int i = 0; i <= NISIM_BASE_TIMES; i++) {
        while (nisim_next(&r->events, WARM_CYCLES + (cycle_t)(base->cycles * i / NISIM_BASE_TIMES))) {
        }
        base->work[i] = nisim_node_work(&r->node) - work;
        base->misses[i] = (double)(r->node.memory.misses - misses);
    }
    int rc = r->events.nomem ? WEFT_E_NOMEM : WEFT_OK;
    receiving_fini(r);
    return rc;
}

/* What there was after so many cycles; beyond the end it goes on as on the whole. */
static double base_at(const struct nisim_base *base, const double *v, double cycles) {
    double x = cycles / base->cycles * NISIM_BASE_TIMES;
    int i = (int)x;
    if (i >= NISIM_BASE_TIMES) return v[NISIM_BASE_TIMES] * cycles / base->cycles;
    return v[i] + (x - i) * (v[i + 1] - v[i]);
}

static bool sound(const struct receiving *r) {
    return nisim_send_sound(&r->source) && nisim_memory_sound(&r->node.memory) &&
           nisim_notify_sound(&r->node);
}

/* From the switch to a message until the interrupted computation goes on. */
static double resumed(struct receiving *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->sent && i < MESSAGES; i++) {
        const cycle_t *at = r->message[i].at;
        if (at[NISIM_R_RESUMED] && at[NISIM_R_SWITCH])
            r->start[n++] = (double)(at[NISIM_R_RESUMED] - at[NISIM_R_SWITCH]);
    }
    return nisim_quantile(r->start, n, 0.5);
}

static void fill_result(struct receiving *r, const struct nisim_base *base, double work, uint64_t misses,
                        cycle_t begun, struct nisim_result *out) {
    double cycles = (double)(r->events.now - begun), n = r->handled ? (double)r->handled : 1;
    *out = (struct nisim_result){.sent = r->sent,
                                 .handled = r->handled,
                                 .cycles = cycles,
                                 .events = r->events.done,
                                 .print = r->events.print,
                                 .os = r->node.notify.os,
                                 .evicted = r->node.notify.evicted};
    for (size_t i = 0; i < r->handled; i++) out->done_mean += r->done[i] / n;
    out->start_p50 = nisim_quantile(r->start, r->handled, 0.5);
    out->start_p99 = nisim_quantile(r->start, r->handled, 0.99);
    out->done_p50 = nisim_quantile(r->done, r->handled, 0.5);
    out->done_p99 = nisim_quantile(r->done, r->handled, 0.99);
    out->resumed_p50 = resumed(r);
    out->work = (nisim_node_work(&r->node) - work) / cycles;
    out->wire_wait = r->wire_wait / n;
    out->sound = r->sound && sound(r);
    const struct nisim_notify *w = &r->node.notify;
    if (w->interrupts) out->kernel_misses = (double)w->kernel_misses / (double)w->interrupts;
    if (!base || r->config.threads < 1) return;
    double full = base_at(base, base->work, cycles);
    out->misses = ((double)(r->node.memory.misses - misses) - base_at(base, base->misses, cycles)) / n;
    out->loss = 1 - out->work * cycles / full;
    out->stolen = out->loss * cycles * r->config.threads / n;
}

int nisim_run_messages(const struct nisim_config *c, enum nisim_mechanism mechanism, uint64_t seed,
                       const struct nisim_base *base, uint64_t check_every, struct nisim_result *out) {
    struct receiving *r = receiving_new(c, mechanism, seed, (size_t)c->count);
    if (!r) return WEFT_E_NOMEM;
    nisim_notify_start(&r->node);
    while (nisim_next(&r->events, WARM_CYCLES)) {
    }
    double work = nisim_node_work(&r->node);
    uint64_t misses = r->node.memory.misses;
    cycle_t begun = r->events.now, limit = begun + (cycle_t)(3 * c->count * c->clock_Hz / c->rate) + 1000000;
    arrival(r, 0);
    for (uint64_t i = 1; r->handled < r->count && nisim_next(&r->events, limit); i++)
        if (check_every && i % check_every == 0 && !sound(r)) r->sound = false;
    int rc = r->events.nomem ? WEFT_E_NOMEM : WEFT_OK;
    if (!rc) fill_result(r, base, work, misses, begun, out);
    receiving_fini(r);
    return rc;
}
