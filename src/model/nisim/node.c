/* Putting a node together, and the computing threads on it. */
#include "model/nisim/node.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define WORK_SPACE 0x800000 /* lines of memory that each computing thread has for itself */

static void init_tlb(struct nisim_tlb *t, const struct nisim_config *c) {
    t->entries = (uint32_t)c->tlb_entries;
    t->reads = (uint32_t)c->tlb_reads;
    t->walk =
        t->reads *
        nisim_miss_cycles(c); /* one read of the page table after the other, from memory that is not busy */
}

static void init_send(struct nisim_send *s, const struct nisim_config *c) {
    s->window = (uint32_t)c->window;
    s->fifo = (uint32_t)(c->fifo_B / NISIM_LINE);
    s->start = (uint32_t)(c->start_B / NISIM_LINE);
    if (s->fifo > NISIM_READY / 2) s->fifo = NISIM_READY / 2;
    if (s->start > s->fifo) s->start = s->fifo;
    s->credits = s->credits_all = (uint32_t)c->credits;
    s->per_line = nisim_wire_cycles(c, NISIM_LINE);
    s->header = c->header_B > 0 ? nisim_wire_cycles(c, c->header_B) : 0;
    s->latency = nisim_cycles(c, c->wire_s);
    s->setup = (cycle_t)c->ni_setup;
    init_tlb(&s->tlb, c);
}

void nisim_node_plain(struct nisim_config *c) {
    c->l1_B = c->l2_B = c->mb_B = 16384;
    c->l2_ways = c->l1_ways = c->mb_ways = 4;
    c->threads = c->kernel_lines = 0;
    c->ni_setup = 0;
}

int nisim_node_init(struct nisim_node *n, const struct nisim_config *c, struct nisim_events *events,
                    enum nisim_mechanism mechanism, uint64_t seed) {
    memset(n, 0, sizeof *n);
    n->config = c;
    n->events = events;
    n->kernel = mechanism == NISIM_KERNEL;
    n->notify.mechanism = mechanism;
    init_send(&n->send, c);
    init_tlb(&n->receive.tlb, c);
    n->receive.per_line = (cycle_t)c->ni_line;
    for (int i = 0; i < NISIM_CONTEXTS; i++) nisim_random_init(&n->random[i], seed, (uint64_t)i + 1);
    int rc = nisim_memory_init(&n->memory, c, events);
    if (!rc) rc = nisim_queue_init(&n->send.queue);
    if (!rc) rc = nisim_queue_init(&n->receive.input);
    if (!rc) rc = nisim_queue_init(&n->notify.queue);
    nisim_core_init(&n->core, c, events, &n->memory);
    if (rc) nisim_node_fini(n);
    return rc;
}

void nisim_node_fini(struct nisim_node *n) {
    nisim_memory_fini(&n->memory);
    free(n->send.queue.at);
    free(n->receive.input.at);
    free(n->notify.queue.at);
    n->send.queue.at = n->receive.input.at = n->notify.queue.at = NULL;
}

void nisim_node_join(struct nisim_node *a, struct nisim_node *b) {
    a->peer = b;
    b->peer = a;
}

static bool compute_more(void *ctx, struct nisim_context *t, uint64_t lines) {
    struct nisim_node *n = ctx;
    const struct nisim_config *c = n->config;
    struct nisim_random *r = &n->random[t->index];
    uint32_t gap = (uint32_t)c->gap;
    nisim_run(t, gap / 2 + nisim_random_below(r, gap) + 1, c->ipc);
    if (lines)
        nisim_lines(t, NISIM_DATA,
                    NISIM_AT_WORK + (nisim_line)t->index * WORK_SPACE +
                        nisim_random_below(r, (uint32_t)lines),
                    1, 0, 1, 1);
    return true;
}

/* First what is seldom used, so that it is what a working set as large as L2 displaces. */
static void warm(struct nisim_node *n, int threads, uint32_t lines) {
    const struct nisim_config *c = n->config;
    uint32_t fits = (uint32_t)(c->l2_B / NISIM_LINE), each = threads ? fits / (uint32_t)threads : 0;
    for (uint32_t i = 0; i < c->kernel_lines; i++)
        nisim_memory_warm(&n->memory, NISIM_AT_KERNEL + i, NISIM_DATA);
    for (uint32_t i = 0; i < c->handler_code; i++)
        nisim_memory_warm(&n->memory, NISIM_AT_CODE + i, NISIM_CODE);
    for (uint32_t i = 0; i < NISIM_CONTEXTS * 128; i++)
        nisim_memory_warm(&n->memory, NISIM_AT_STACK + i, NISIM_DATA);
    if (each > lines) each = lines;
    for (uint32_t i = 0; i < each; i++)
        for (int t = 0; t < threads; t++)
            nisim_memory_warm_l2(&n->memory, NISIM_AT_WORK + (nisim_line)t * WORK_SPACE + i);
}

void nisim_node_compute(struct nisim_node *n, int threads) {
    uint32_t lines = (uint32_t)(n->config->working_B / NISIM_LINE);
    warm(n, threads, lines);
    for (int i = 0; i < threads; i++) {
        struct nisim_frame *f = nisim_core_redirect(&n->core.context[i]);
        f->work = true;
        f->refill = compute_more;
        f->ctx = n;
        f->arg = lines;
        nisim_core_go(&n->core.context[i]);
    }
}

double nisim_node_work(struct nisim_node *n) {
    double work = 0;
    nisim_core_settle(&n->core);
    for (int i = 0; i < n->core.contexts; i++) work += (double)n->core.context[i].work;
    return work / 65536;
}
