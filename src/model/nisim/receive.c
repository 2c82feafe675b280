/* The receiving half of a network interface: lines go to their place in the message buffer (or, behind an I/O
 * bus, to memory), and when the last one is there the notification structure is written. */
#include "model/nisim/node.h"

uint64_t nisim_tlb_cost(struct nisim_tlb *t, nisim_line line) {
    uint32_t page = line / NISIM_PAGE_LINES + 1, i = 0, last;
    while (i < t->entries && t->page[i] != page) i++;
    bool hit = i < t->entries;
    for (last = hit ? i : t->entries - 1; last; last--) t->page[last] = t->page[last - 1];
    t->page[0] = page;
    t->misses += !hit;
    return hit ? 0 : t->walk;
}

static void notice_written(void *ctx, uint64_t arg) {
    struct nisim_node *n = ctx;
    struct nisim_message *m = (struct nisim_message *)(uintptr_t)arg;
    m->at[NISIM_R_NOTICE] = n->events->now;
    nisim_line notice = NISIM_AT_NOTICE + m->id % 256;
    if (n->kernel)
        nisim_memory_io_write(&n->memory, notice);
    else
        nisim_memory_ni_write(&n->memory, notice);
    nisim_notify_arrived(n, m);
}

static void line_placed(void *ctx, uint64_t index) {
    struct nisim_node *n = ctx;
    struct nisim_receive *r = &n->receive;
    struct nisim_message *m = nisim_queue_take(&r->input);
    nisim_line line = (n->kernel ? NISIM_AT_KERNEL_BUFFER : m->to) + (nisim_line)index;
    if (n->kernel)
        nisim_memory_io_write(&n->memory, line);
    else
        nisim_memory_ni_write(&n->memory, line);
    r->placed++;
    nisim_post(n->events, n->events->now + n->peer->send.latency, nisim_credit_back, n->peer, 0);
    if (index + 1 < m->lines) return;
    m->at[NISIM_R_LAST] = n->events->now;
    nisim_post(n->events, n->events->now + r->per_line, notice_written, n, (uintptr_t)m);
}

void nisim_receive_line(struct nisim_node *n, struct nisim_message *m) {
    struct nisim_receive *r = &n->receive;
    uint64_t index = r->landed++;
    cycle_t now = n->events->now;
    if (!index) m->at[NISIM_R_FIRST] = now;
    if (r->landed == m->lines) r->landed = 0;
    if (!nisim_queue_put(&r->input, m)) {
        n->events->nomem = true;
        return;
    }
    cycle_t io = n->kernel ? nisim_cycles(n->config, n->config->io_s) : 0;
    r->free_at = (r->free_at > now ? r->free_at : now) + r->per_line +
                 nisim_tlb_cost(&r->tlb, m->to + (nisim_line)index);
    nisim_post(n->events, r->free_at + io, line_placed, n, index);
}
