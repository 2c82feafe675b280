/* The sending half of a network interface, and the wire to the other node. */
#include "model/nisim/node.h"

#include "base/error.h"

static void fetch_more(struct nisim_node *n);
static void send_more(struct nisim_node *n);

static bool has_place(const struct nisim_send *s, uint64_t line) { return line < s->out + s->fifo; }

static void line_ready(struct nisim_node *n, struct nisim_message *m, uint64_t line) {
    n->send.ready[line % NISIM_READY] = true;
    if (!m->at[NISIM_S_FETCH]) m->at[NISIM_S_FETCH] = n->events->now;
    send_more(n);
}

/* The message that a line number belongs to. */
static struct nisim_message *owner(const struct nisim_send *s, uint64_t line) {
    for (uint64_t i = s->queue.out; i < s->queue.in; i++) {
        struct nisim_message *m = s->queue.at[i % NISIM_QUEUE_MAX];
        if (line < m->first + m->lines) return m;
    }
    return NULL;
}

static void line_fetched(void *ctx, uint64_t line) {
    struct nisim_node *n = ctx;
    n->send.outstanding--;
    line_ready(n, owner(&n->send, line), line);
    fetch_more(n);
}

static void walk_over(void *ctx, uint64_t arg) {
    struct nisim_node *n = ctx;
    n->send.walking = false;
    fetch_more(n);
}

/* The message to fetch from next: launched, by DMA, not yet fetched whole; PIO messages are passed over. */
static struct nisim_message *to_fetch(struct nisim_send *s) {
    while (s->fetching < s->queue.in) {
        struct nisim_message *m = s->queue.at[s->fetching % NISIM_QUEUE_MAX];
        if (s->fetch < m->first) s->fetch = m->first;
        if (!m->pio && s->fetch < m->first + m->lines) return m->launched ? m : NULL;
        s->fetching++;
    }
    return NULL;
}

static void fetch_more(struct nisim_node *n) {
    struct nisim_send *s = &n->send;
    struct nisim_message *m;
    while (!s->walking && s->outstanding < s->window && (m = to_fetch(s)) && has_place(s, s->fetch)) {
        nisim_line line = m->from + (nisim_line)(s->fetch - m->first);
        cycle_t walk = s->instant ? 0 : nisim_tlb_cost(&s->tlb, line);
        if (walk) {
            s->walking = true;
            nisim_post(n->events, n->events->now + walk, walk_over, n, 0);
            return;
        }
        uint64_t number = s->fetch++;
        if (s->instant) {
            line_ready(n, m, number);
            continue;
        }
        s->outstanding++;
        nisim_memory_ni_read(&n->memory, line, line_fetched, n, number);
    }
}

static void line_arrives(void *ctx, uint64_t arg) {
    nisim_receive_line(((struct nisim_node *)ctx)->peer, (struct nisim_message *)(uintptr_t)arg);
}

static void line_left(void *ctx, uint64_t arg) {
    struct nisim_node *n = ctx;
    struct nisim_send *s = &n->send;
    struct nisim_message *m = nisim_queue_first(&s->queue);
    s->busy = false;
    s->ready[s->out % NISIM_READY] = false;
    s->out++;
    s->idle_since = n->events->now;
    nisim_post(n->events, n->events->now + s->latency, line_arrives, n, (uintptr_t)m);
    if (s->out == m->first + m->lines) {
        m->at[NISIM_S_GONE] = n->events->now;
        nisim_queue_take(&s->queue);
        if (s->fetching < s->queue.out) s->fetching = s->queue.out;
    }
    struct nisim_context *waiting = s->waiting;
    s->waiting = NULL;
    if (waiting) nisim_core_resume(waiting);
    fetch_more(n);
    send_more(n);
}

/* Lines of the message that can go without a gap. */
static bool enough(const struct nisim_send *s, const struct nisim_message *m) {
    uint32_t wanted = s->out == m->first ? s->start : 1;
    if (wanted > m->lines) wanted = m->lines;
    for (uint32_t i = 0; i < wanted; i++)
        if (!s->ready[(s->out + i) % NISIM_READY]) return false;
    return true;
}

static double line_share(const struct nisim_send *s, const struct nisim_message *m) {
    uint32_t left = m->bytes - (uint32_t)(s->out - m->first) * NISIM_LINE;
    return left < NISIM_LINE ? (double)left / NISIM_LINE : 1;
}

static void send_more(struct nisim_node *n) {
    struct nisim_send *s = &n->send;
    struct nisim_message *m = nisim_queue_first(&s->queue);
    if (s->busy || !m || !m->launched || !enough(s, m)) return;
    cycle_t now = n->events->now, gap = s->out > m->first ? now - s->idle_since : 0;
    if (!s->credits) return;
    s->credits--;
    s->sent++;
    s->busy = true;
    s->bubbles += gap;
    if (s->out == m->first) m->at[NISIM_S_WIRE] = now;
    cycle_t takes =
        (cycle_t)((double)s->per_line * line_share(s, m) + 0.5) + (s->out == m->first ? s->header : 0);
    if (!takes) takes = 1;
    s->sending += takes;
    nisim_post(n->events, now + takes, line_left, n, 0);
}

int nisim_send_open(struct nisim_node *n, struct nisim_message *m) {
    if (!nisim_queue_put(&n->send.queue, m)) return WEFT_E_LIMIT;
    m->first = n->send.next;
    n->send.next += m->lines;
    return WEFT_OK;
}

static void launch(void *ctx, uint64_t arg) {
    struct nisim_node *n = ctx;
    struct nisim_message *m = (struct nisim_message *)(uintptr_t)arg;
    m->launched = true;
    fetch_more(n);
    send_more(n);
}

void nisim_send_launch(struct nisim_node *n, struct nisim_message *m) {
    m->at[NISIM_S_LAUNCH] = n->events->now;
    nisim_post(n->events, n->events->now + n->send.setup, launch, n, (uintptr_t)m);
}

void nisim_credit_back(void *ctx, uint64_t arg) {
    struct nisim_node *n = ctx;
    struct nisim_send *s = &n->send;
    struct nisim_message *m = nisim_queue_first(&s->queue);
    s->returned++;
    if (!s->credits++ && m && s->out > m->first && !s->busy && enough(s, m)) {
        s->credit_waits += n->events->now - s->idle_since;
        s->idle_since = n->events->now; /* the wait was for the credit */
    }
    send_more(n);
}

bool nisim_send_sound(const struct nisim_node *n) {
    const struct nisim_send *s = &n->send;
    uint64_t placed = n->peer->receive.placed;
    return s->credits + s->sent - s->returned == s->credits_all && s->returned <= placed && placed <= s->sent;
}

/* --- What the sending thread executes. --- */

static bool call_begin(void *ctx, struct nisim_context *t, uint64_t arg) {
    ((struct nisim_message *)(uintptr_t)arg)->at[NISIM_S_BEGIN] = t->core->events->now;
    return true;
}

static bool call_kernel(void *ctx, struct nisim_context *t, uint64_t arg) {
    ((struct nisim_message *)(uintptr_t)arg)->at[NISIM_S_KERNEL] = t->core->events->now;
    return true;
}

static bool call_launch(void *ctx, struct nisim_context *t, uint64_t arg) {
    nisim_send_launch(ctx, (struct nisim_message *)(uintptr_t)arg);
    return true;
}

/* The next line of a PIO message is stored, if there is a place for it. A message that is larger than the
 * FIFO starts when that is full. */
static bool call_store(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct nisim_node *n = ctx;
    struct nisim_send *s = &n->send;
    struct nisim_message *m = (struct nisim_message *)(uintptr_t)arg;
    if (s->composed < m->first) s->composed = m->first;
    if (!has_place(s, s->composed)) {
        s->waiting = t;
        m->launched = true;
        send_more(n);
        return false;
    }
    line_ready(n, m, s->composed++);
    return true;
}

static void end_program(struct nisim_context *t, const struct nisim_message *m) {
    if (m->after) nisim_call(t, m->after, m->after_ctx, (uintptr_t)m);
}

/* Some lines: they are read, some at once, and each is stored by eight stores to the message buffer. */
static bool more_pio(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct nisim_node *n = ctx;
    struct nisim_message *m = (struct nisim_message *)(uintptr_t)arg;
    uint64_t next = n->send.composed < m->first ? 0 : n->send.composed - m->first;
    if (next == m->lines) {
        nisim_call(t, call_launch, n, arg);
        end_program(t, m);
        return true;
    }
    uint64_t some =
        m->lines - next < n->config->store_lines ? m->lines - next : (uint64_t)n->config->store_lines;
    nisim_lines(t, NISIM_DATA, m->from + (nisim_line)next, (double)some, 0, 1, (int)some);
    for (uint64_t i = 0; i < some; i++) {
        nisim_run(t, 16, n->config->store_ipc);
        nisim_call(t, call_store, n, arg);
    }
    nisim_call(t, more_pio, n, arg);
    return true;
}

static void kernel_program(struct nisim_node *n, struct nisim_context *t, struct nisim_message *m) {
    const struct nisim_config *c = n->config;
    nisim_pause(t, c->flush);
    nisim_run(t, c->send_serial / 2, 1);
    nisim_lines(t, NISIM_DATA, NISIM_AT_KERNEL + 0x8000, c->send_lines, 0, 1, 1);
    nisim_call(t, call_kernel, n, (uintptr_t)m);
    nisim_lines(t, NISIM_DATA, m->from, m->lines, 16, c->store_ipc,
                4); /* the copy into the kernel's buffer */
    nisim_lines(t, NISIM_STORE, NISIM_AT_KERNEL_BUFFER, m->lines, 0, 1, 4);
    nisim_pause(t, (double)nisim_cycles(c, c->io_s)); /* the store to the interface, across the I/O bus */
    nisim_call(t, call_launch, n, (uintptr_t)m);
    nisim_run(t, c->send_serial / 2, 1);
    nisim_pause(t, c->flush);
}

void nisim_send_program(struct nisim_node *n, struct nisim_context *t, struct nisim_message *m) {
    nisim_call(t, call_begin, n, (uintptr_t)m);
    nisim_run(t, 12,
              n->config->store_ipc); /* control: destination, how to notify, meta-data, where the data is */
    if (n->kernel)
        kernel_program(n, t, m);
    else
        nisim_call(t, m->pio ? more_pio : call_launch, n, (uintptr_t)m);
    if (n->kernel || !m->pio) end_program(t, m);
}
