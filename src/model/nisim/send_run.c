/* A node that sends: what one message costs by PIO and by DMA, and how a stream of messages fills the wire.
 */
#include "model/nisim/run.h"

#include "base/error.h"

#include <stdlib.h>

#define WARM_CYCLES 20000
#define APART       3000 /* cycles between one message and the next, so that each is alone */
#define BUFFERS                                                                                              \
    32 /* places that data is sent from, in turn: as many pages as a TLB of the smallest size holds */

struct sending {
    struct nisim_config config, sink_config;
    struct nisim_events events;
    struct nisim_node node, sink;
    struct nisim_message *message;
    struct nisim_context *thread;
    bool pio;
    enum nisim_where where;
    int times, sent, arrived, launched, depth;
    cycle_t begun;
    double thread_cycles, gone_cycles, ahead;
};

static void arrived(void *ctx, struct nisim_message *m);
static void sending_fini(struct sending *s);

static struct sending *sending_new(const struct nisim_config *c, uint64_t seed, int times) {
    struct sending *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->config = s->sink_config = *c;
    nisim_node_plain(&s->sink_config);
    s->sink_config.handler_instr = s->sink_config.handler_code = s->sink_config.handler_data = 0;
    s->times = times;
    if (s->config.threads >= s->config.contexts) s->config.threads = s->config.contexts - 1;
    s->message = calloc((size_t)times, sizeof *s->message);
    int rc = nisim_node_init(&s->node, &s->config, &s->events, NISIM_BRANCH, seed);
    if (!rc) rc = nisim_node_init(&s->sink, &s->sink_config, &s->events, NISIM_SPAWN, seed);
    if (rc || !s->message) {
        sending_fini(s);
        return NULL;
    }
    nisim_node_join(&s->node, &s->sink);
    s->sink.notify.done = arrived;
    s->sink.notify.done_ctx = s;
    s->thread = &s->node.core.context[(int)s->config.threads];
    nisim_node_compute(&s->node, (int)s->config.threads);
    return s;
}

static void sending_fini(struct sending *s) {
    nisim_node_fini(&s->node);
    nisim_node_fini(&s->sink);
    nisim_events_fini(&s->events);
    free(s->message);
    free(s);
}

/* Where the data of the i-th message lies: a page or more apart from the one before. */
static void set_message(struct sending *s, struct nisim_message *m, int i) {
    m->id = (uint32_t)i;
    m->bytes = (uint32_t)s->config.message_B;
    m->lines = (m->bytes + NISIM_LINE - 1) / NISIM_LINE;
    uint32_t apart = (m->lines + NISIM_PAGE_LINES - 1) / NISIM_PAGE_LINES * NISIM_PAGE_LINES;
    m->from = NISIM_AT_SEND + (nisim_line)(i % BUFFERS) * apart;
    m->to = NISIM_AT_RECEIVE;
    m->pio = s->pio;
}

static void place(struct sending *s, const struct nisim_message *m) {
    for (uint32_t i = 0; i < m->lines; i++) {
        nisim_memory_cool(&s->node.memory, m->from + i, true);
        if (s->where != NISIM_IN_MEMORY) nisim_memory_warm(&s->node.memory, m->from + i, NISIM_DATA);
        if (s->where == NISIM_IN_L2) nisim_memory_cool(&s->node.memory, m->from + i, false);
    }
}

static void next_message(void *ctx, uint64_t arg);

static bool thread_free(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct sending *s = ctx;
    s->thread_cycles += (double)(s->events.now - s->begun);
    return true;
}

/* A DMA buffer may be used again when the interface has said so: the thread reads that, when it next comes
 * by. */
static void look_whether_gone(struct sending *s) {
    const struct nisim_config *c = &s->config;
    nisim_line word = NISIM_AT_NOTICE;
    nisim_memory_ni_write(&s->node.memory, word);
    if (!nisim_core_redirect(s->thread)) return;
    s->begun = s->events.now;
    nisim_lines(s->thread, NISIM_DATA, word, 1, c->completion, c->handler_ipc, 1);
    nisim_call(s->thread, thread_free, s, 0);
    nisim_core_go(s->thread);
}

static void arrived(void *ctx, struct nisim_message *m) {
    struct sending *s = ctx;
    s->arrived++;
    if (s->depth) {
        if (s->launched < s->times) nisim_post(&s->events, s->events.now, next_message, s, 0);
        return;
    }
    s->gone_cycles += (double)(m->at[NISIM_S_GONE] - m->at[NISIM_S_BEGIN]);
    if (!m->pio && s->config.completion > 0) look_whether_gone(s);
    if (s->arrived < s->times) nisim_post(&s->events, s->events.now + APART, next_message, s, 0);
}

static void next_message(void *ctx, uint64_t arg) {
    struct sending *s = ctx;
    struct nisim_message *m = &s->message[s->launched];
    set_message(s, m, s->launched++);
    place(s, m);
    if (nisim_send_open(&s->node, m)) s->events.nomem = true;
    if (s->depth) {
        nisim_send_launch(&s->node, m);
        return;
    }
    s->begun = s->events.now;
    if (!nisim_core_redirect(s->thread)) return;
    m->after = thread_free;
    m->after_ctx = s;
    nisim_send_program(&s->node, s->thread, m);
    nisim_core_go(s->thread);
}

/* Pages that the interface has not seen are another question: here it has. */
static void warm_tlb(struct sending *s) {
    struct nisim_message m = {0};
    for (int i = 0; i < BUFFERS; i++) {
        set_message(s, &m, i);
        for (uint32_t k = 0; k < m.lines; k += NISIM_PAGE_LINES)
            nisim_tlb_cost(&s->node.send.tlb, m.from + k);
    }
    for (uint32_t k = 0; k < m.lines; k += NISIM_PAGE_LINES) nisim_tlb_cost(&s->sink.receive.tlb, m.to + k);
}

/* What the computing threads would have done without the sender. */
static double undisturbed(const struct nisim_config *c, uint64_t seed, cycle_t cycles) {
    struct sending *s = sending_new(c, seed, 1);
    if (!s) return 0;
    while (nisim_next(&s->events, WARM_CYCLES)) {
    }
    double work = nisim_node_work(&s->node);
    while (nisim_next(&s->events, WARM_CYCLES + cycles)) {
    }
    work = nisim_node_work(&s->node) - work;
    sending_fini(s);
    return work;
}

int nisim_run_send(const struct nisim_config *c, bool pio, enum nisim_where where, uint64_t seed, int times,
                   struct nisim_send_result *out) {
    struct nisim_config alone = *c;
    alone.working_B =
        0; /* so that what others lose are issue slots alone, without the chance of which lines miss */
    struct sending *s = sending_new(&alone, seed, times);
    if (!s) return WEFT_E_NOMEM;
    s->pio = pio;
    s->where = where;
    warm_tlb(s);
    while (nisim_next(&s->events, WARM_CYCLES)) {
    }
    double work = nisim_node_work(&s->node);
    next_message(s, 0);
    while (s->arrived < times && nisim_next(&s->events, UINT64_MAX)) {
    }
    while (nisim_next(&s->events, s->events.now + APART / 2) && s->thread->depth) {
    }
    cycle_t cycles = s->events.now - WARM_CYCLES;
    out->last_gone = s->gone_cycles / times;
    out->thread = s->thread_cycles / times;
    out->lost = s->config.threads > 0
                    ? (undisturbed(&alone, seed, cycles) - nisim_node_work(&s->node) + work) / times
                    : 0;
    int rc = s->events.nomem ? WEFT_E_NOMEM : WEFT_OK;
    sending_fini(s);
    return rc;
}

static void sample_fifo(void *ctx, uint64_t arg) {
    struct sending *s = ctx;
    const struct nisim_send *n = &s->node.send;
    uint64_t i = n->out;
    while (i < n->out + n->fifo && n->ready[i % NISIM_READY]) i++;
    s->ahead += (double)((i - n->out) * n->per_line);
}

int nisim_run_stream(const struct nisim_config *c, uint64_t seed, int messages, int depth,
                     struct nisim_stream_result *out) {
    struct sending *s = sending_new(c, seed, messages);
    if (!s) return WEFT_E_NOMEM;
    s->where = NISIM_IN_MEMORY;
    s->depth = depth;
    warm_tlb(s);
    while (nisim_next(&s->events, WARM_CYCLES)) {
    }
    for (int i = 0; i < depth && i < messages; i++) next_message(s, 0);
    uint64_t samples = 0;
    for (cycle_t next = s->events.now + 997; s->arrived < messages; next += 997, samples++) {
        while (s->arrived < messages && nisim_next(&s->events, next)) {
        }
        sample_fifo(s, 0);
    }
    const struct nisim_send *n = &s->node.send;
    double all = (double)(s->events.now - WARM_CYCLES);
    *out = (struct nisim_stream_result){.bubbles = (double)n->bubbles /
                                                   (double)(n->bubbles + n->sending + n->credit_waits),
                                        .busy = (double)n->sending / all,
                                        .ahead = s->ahead / (double)samples};
    for (int i = 0; i < messages; i++)
        out->latency +=
            (double)(s->message[i].at[NISIM_S_GONE] - s->message[i].at[NISIM_S_LAUNCH]) / messages;
    int rc = s->events.nomem ? WEFT_E_NOMEM : WEFT_OK;
    sending_fini(s);
    return rc;
}
