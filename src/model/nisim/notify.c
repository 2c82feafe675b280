/* How a thread hears of a message: the paper's three mechanisms, a polling thread, and the kernel's interrupt
 * and signal. Each is what the interface does at its port, and what the core then executes until the handler
 * has dealt with the message.
 *
 * The kernel's path takes `kernel.lines` lines and `kernel.serial` cycles for one interrupt. How they divide
 * over its phases is not in the paper and is assumed: see the shares below. What of the lines misses is not
 * assumed: the caches decide. */
#include "model/nisim/node.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* Of the kernel's lines and cycles: until it knows the cause; until the signal is delivered; from the
 * handler's return to the end. */
#define CAUSE_LINES   0.40
#define CAUSE_SERIAL  0.35
#define SIGNAL_LINES  0.25
#define SIGNAL_SERIAL 0.15
#define READ_OVERLAP  4 /* lines of a message that a thread has under way at once */

const char *const nisim_mechanism_name[] = {"lock", "branch", "spawn", "poll", "kernel"};

int nisim_mechanism_find(const char *name) {
    for (int i = 0; i < NISIM_MECHANISMS; i++)
        if (!strcmp(name, nisim_mechanism_name[i])) return i;
    return -1;
}

int nisim_queue_init(struct nisim_queue *q) {
    *q = (struct nisim_queue){.at = malloc(NISIM_QUEUE_MAX * sizeof *q->at)};
    return q->at ? WEFT_OK : WEFT_E_NOMEM;
}

static cycle_t now_of(const struct nisim_node *n) { return n->events->now; }

static void stamp(struct nisim_node *n, struct nisim_message *m, enum nisim_stamp which) {
    m->at[which] = now_of(n);
}

static void stamp_once(struct nisim_node *n, struct nisim_message *m, enum nisim_stamp which) {
    if (m && !m->at[which]) stamp(n, m, which);
}

/* --- What every handler does. --- */

static bool call_handler(void *ctx, struct nisim_context *t, uint64_t arg) {
    stamp(ctx, (struct nisim_message *)(uintptr_t)arg, NISIM_R_HANDLER);
    return true;
}

static bool call_read(void *ctx, struct nisim_context *t, uint64_t arg) {
    stamp(ctx, (struct nisim_message *)(uintptr_t)arg, NISIM_R_READ);
    return true;
}

static bool call_done(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct nisim_node *n = ctx;
    struct nisim_message *m = (struct nisim_message *)(uintptr_t)arg;
    stamp(n, m, NISIM_R_DONE);
    n->notify.handled++;
    if (n->notify.done) n->notify.done(n->notify.done_ctx, m);
    return true;
}

static nisim_line stack_of(const struct nisim_context *t, bool handler) {
    return NISIM_AT_STACK + (nisim_line)(t->index * 2 + handler) * 64;
}

/* A thread looks at the first message: code, notification structure, message, its own data, its instructions.
 */
static void handle(struct nisim_node *n, struct nisim_context *t, struct nisim_message *m) {
    const struct nisim_config *c = n->config;
    double first = c->handler_code > 0;
    nisim_lines(t, NISIM_CODE, NISIM_AT_CODE, first, 0, 1, 1);
    nisim_call(t, call_handler, n, (uintptr_t)m);
    nisim_lines(t, NISIM_DATA, NISIM_AT_NOTICE + m->id % 256, 1, 4, c->handler_ipc, 1);
    nisim_lines(t, NISIM_DATA, m->to, m->lines, 8, c->handler_ipc, READ_OVERLAP);
    nisim_call(t, call_read, n, (uintptr_t)m);
    nisim_lines(t, NISIM_CODE, NISIM_AT_CODE + 1, c->handler_code - first, 0, 1, 1);
    nisim_lines(t, NISIM_STORE, stack_of(t, true), c->handler_data, 0, 1, READ_OVERLAP);
    nisim_run(t, c->handler_instr, c->handler_ipc);
    nisim_call(t, call_done, n, (uintptr_t)m);
}

static void resume(void *ctx, uint64_t arg) { nisim_core_resume(ctx); }

/* --- Lock release. --- */

static bool lock_acquire(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct nisim_node *n = ctx;
    struct nisim_notify *w = &n->notify;
    if (w->lock) {
        w->waits++;
        return false;
    }
    w->lock = true;
    w->taken++;
    stamp_once(n, nisim_queue_first(&w->queue), NISIM_R_SWITCH);
    return true;
}

static bool lock_drain(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct nisim_node *n = ctx;
    struct nisim_message *m = nisim_queue_take(&n->notify.queue);
    if (!m) return true;
    handle(n, t, m);
    nisim_call(t, lock_drain, n, 0);
    return true;
}

static bool lock_loop(void *ctx, struct nisim_context *t, uint64_t arg) {
    nisim_call(t, lock_acquire, ctx, 0);
    nisim_call(t, lock_drain, ctx, 0);
    return true;
}

static struct nisim_context *waiter(struct nisim_node *n) {
    return &n->core.context[(int)n->config->threads];
}

static void lock_clear(void *ctx, uint64_t arg) {
    struct nisim_node *n = ctx;
    stamp(n, (struct nisim_message *)(uintptr_t)arg, NISIM_R_PORT);
    n->notify.clearing--;
    if (n->notify.lock) n->notify.released++;
    n->notify.lock = false;
    if (waiter(n)->state == NISIM_WAITING)
        nisim_post(n->events, now_of(n) + (cycle_t)n->config->flush, resume, waiter(n), 0);
}

/* --- Polling. --- */

static bool poll_look(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct nisim_node *n = ctx;
    if (!nisim_queue_first(&n->notify.queue)) return false;
    stamp_once(n, nisim_queue_first(&n->notify.queue), NISIM_R_SWITCH);
    return true;
}

static bool poll_loop(void *ctx, struct nisim_context *t, uint64_t arg) {
    nisim_call(t, poll_look, ctx, 0);
    nisim_call(t, lock_drain, ctx, 0);
    return true;
}

/* The polled line was taken from the thread's cache: its next look misses, and leaves the loop by a
 * mispredicted branch. */
static void poll_seen(struct nisim_node *n, struct nisim_message *m) {
    const struct nisim_config *c = n->config;
    nisim_post(n->events, now_of(n) + (cycle_t)(c->l2_cycles + c->mb_cycles + c->flush), resume, waiter(n),
               0);
}

/* --- The kernel. --- */

static void kernel_raise(struct nisim_node *n);

static bool kernel_out(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct nisim_node *n = ctx;
    stamp_once(n, (struct nisim_message *)(uintptr_t)arg, NISIM_R_RESUMED);
    n->notify.active = false;
    n->notify.kernel_misses += n->memory.misses - n->notify.misses_before;
    if (nisim_queue_first(&n->notify.queue)) kernel_raise(n);
    return true;
}

static bool kernel_drain(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct nisim_node *n = ctx;
    const struct nisim_config *c = n->config;
    struct nisim_message *m =
        n->notify.queue.out < n->notify.known ? nisim_queue_take(&n->notify.queue) : NULL;
    if (m) {
        handle(n, t, m);
        nisim_call(t, kernel_drain, n, (uintptr_t)m);
        return true;
    }
    double lines = (CAUSE_LINES + SIGNAL_LINES) * c->kernel_lines;
    nisim_pause(t, c->flush); /* the trap by which the handler returns */
    nisim_run(t, (1 - CAUSE_SERIAL - SIGNAL_SERIAL) * c->kernel_serial, 1);
    nisim_lines(t, NISIM_DATA, NISIM_AT_KERNEL + (nisim_line)lines, c->kernel_lines - (nisim_line)lines, 0, 1,
                1);
    nisim_pause(t, c->flush);
    nisim_call(t, kernel_out, n, arg);
    return true;
}

static void kernel_copy(struct nisim_node *n, struct nisim_context *t, const struct nisim_message *m) {
    nisim_lines(t, NISIM_DATA, NISIM_AT_KERNEL_BUFFER, m->lines, 16, 2, READ_OVERLAP);
    nisim_lines(t, NISIM_STORE, m->to, m->lines, 0, 1, READ_OVERLAP);
}

/* It knows now what has arrived: all of that goes to the handler with one signal. */
static bool kernel_cause(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct nisim_node *n = ctx;
    const struct nisim_config *c = n->config;
    struct nisim_queue *q = &n->notify.queue;
    n->notify.known = q->in < q->out + 8 ? q->in : q->out + 8; /* so many at once */
    for (uint64_t i = q->out; i < n->notify.known; i++) {
        struct nisim_message *m = q->at[i % NISIM_QUEUE_MAX];
        stamp(n, m, NISIM_R_CAUSE);
        if (n->kernel) kernel_copy(n, t, m);
    }
    nisim_line first = (nisim_line)(CAUSE_LINES * c->kernel_lines);
    nisim_line last = (nisim_line)((CAUSE_LINES + SIGNAL_LINES) * c->kernel_lines);
    nisim_run(t, SIGNAL_SERIAL * c->kernel_serial, 1);
    nisim_lines(t, NISIM_DATA, NISIM_AT_KERNEL + first, last - first, 0, 1, 1);
    nisim_pause(t, c->flush);
    nisim_call(t, kernel_drain, n, 0);
    return true;
}

static void kernel_in(void *ctx, uint64_t arg) {
    struct nisim_node *n = ctx;
    const struct nisim_config *c = n->config;
    struct nisim_context *t = &n->core.context[0];
    if (!nisim_core_redirect(t)) return;
    n->notify.interrupts++;
    n->notify.misses_before = n->memory.misses;
    stamp_once(n, nisim_queue_first(&n->notify.queue), NISIM_R_SWITCH);
    nisim_pause(t, c->flush);
    nisim_run(t, CAUSE_SERIAL * c->kernel_serial, 1);
    nisim_lines(t, NISIM_DATA, NISIM_AT_KERNEL, (nisim_line)(CAUSE_LINES * c->kernel_lines), 0, 1, 1);
    nisim_call(t, kernel_cause, n, 0);
    nisim_core_go(t);
}

static void kernel_raise(struct nisim_node *n) {
    cycle_t io = n->kernel ? nisim_cycles(n->config, n->config->io_s) : 0;
    if (n->notify.active) return; /* it is masked; the end of the handler looks again */
    n->notify.active = true;
    stamp_once(n, nisim_queue_first(&n->notify.queue), NISIM_R_PORT);
    nisim_post(n->events, now_of(n) + io, kernel_in, n, 0);
}

/* --- Asynchronous branch. --- */

static void branch_raise(struct nisim_node *n);

static bool branch_out(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct nisim_node *n = ctx;
    stamp_once(n, (struct nisim_message *)(uintptr_t)arg, NISIM_R_RESUMED);
    n->notify.active = false;
    if (nisim_queue_first(&n->notify.queue)) branch_raise(n);
    return true;
}

static bool branch_drain(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct nisim_node *n = ctx;
    const struct nisim_config *c = n->config;
    struct nisim_message *m = nisim_queue_take(&n->notify.queue);
    if (m) {
        handle(n, t, m);
        nisim_call(t, branch_drain, n, (uintptr_t)m);
        return true;
    }
    nisim_lines(t, NISIM_DATA, stack_of(t, false), c->save_lines, 0, 1, READ_OVERLAP);
    nisim_run(t, c->save_instr, c->handler_ipc);
    nisim_pause(t, c->flush);
    nisim_call(t, branch_out, n, arg);
    return true;
}

static bool branch_switched(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct nisim_node *n = ctx;
    stamp_once(n, nisim_queue_first(&n->notify.queue), NISIM_R_SWITCH);
    return true;
}

static void branch_in(void *ctx, uint64_t arg) {
    struct nisim_node *n = ctx;
    const struct nisim_config *c = n->config;
    struct nisim_context *t = &n->core.context[0];
    if (!nisim_core_redirect(t)) return;
    stamp_once(n, nisim_queue_first(&n->notify.queue), NISIM_R_PORT);
    nisim_pause(t, c->flush);
    nisim_call(t, branch_switched, n, 0);
    nisim_run(t, c->save_instr, c->handler_ipc);
    nisim_lines(t, NISIM_STORE, stack_of(t, false), c->save_lines, 0, 1, READ_OVERLAP);
    nisim_call(t, branch_drain, n, 0);
    nisim_core_go(t);
}

static void branch_raise(struct nisim_node *n) {
    if (n->notify.active) return;
    n->notify.active = true;
    nisim_post(n->events, now_of(n) + (cycle_t)n->config->branch_port, branch_in, n, 0);
}

/* --- Thread dispatch. --- */

static void spawn_more(void *ctx, uint64_t arg);

static bool spawn_end(void *ctx, struct nisim_context *t, uint64_t arg) {
    struct nisim_node *n = ctx;
    stamp_once(n, (struct nisim_message *)(uintptr_t)arg, NISIM_R_RESUMED);
    n->notify.reserved[t->index] = false;
    nisim_post(n->events, now_of(n), spawn_more, n, 0); /* when the context is free */
    return true;
}

static bool spawn_begin(void *ctx, struct nisim_context *t, uint64_t arg) {
    stamp(ctx, (struct nisim_message *)(uintptr_t)arg, NISIM_R_SWITCH);
    return true;
}

/* The port gives the context program counter, stack pointer and argument; one that is taken from a computing
 * thread is saved first. */
static void spawn_in(void *ctx, uint64_t arg) {
    struct nisim_context *t = ctx;
    struct nisim_message *m = (struct nisim_message *)(uintptr_t)arg;
    struct nisim_node *n = (struct nisim_node *)((char *)t->core - offsetof(struct nisim_node, core));
    const struct nisim_config *c = n->config;
    bool evicts = t->depth > 0;
    if (!nisim_core_redirect(t)) return;
    stamp(n, m, NISIM_R_PORT);
    nisim_pause(t, c->flush);
    if (evicts) nisim_run(t, c->evict_instr, c->handler_ipc);
    if (evicts) nisim_lines(t, NISIM_STORE, stack_of(t, false), 2 * c->save_lines, 0, 1, READ_OVERLAP);
    nisim_call(t, spawn_begin, n, arg);
    handle(n, t, m);
    if (evicts) nisim_lines(t, NISIM_DATA, stack_of(t, false), 2 * c->save_lines, 0, 1, READ_OVERLAP);
    if (evicts) nisim_run(t, c->evict_instr, c->handler_ipc);
    if (evicts) nisim_pause(t, c->flush);
    nisim_call(t, spawn_end, n, arg);
    nisim_core_go(t);
}

static struct nisim_context *free_context(struct nisim_node *n) {
    for (int i = 0; i < n->core.contexts; i++)
        if (!n->core.context[i].depth && !n->notify.reserved[i]) return &n->core.context[i];
    return NULL;
}

static struct nisim_context *victim(struct nisim_node *n) {
    struct nisim_notify *w = &n->notify;
    for (int k = 0; k < n->core.contexts; k++) {
        int i = (w->next_victim + k) % n->core.contexts;
        if (w->reserved[i]) continue;
        w->next_victim = i + 1;
        w->evicted++;
        return &n->core.context[i];
    }
    return NULL;
}

static void spawn_more(void *ctx, uint64_t arg) {
    struct nisim_node *n = ctx;
    struct nisim_notify *w = &n->notify;
    while (nisim_queue_first(&w->queue)) {
        struct nisim_context *t = free_context(n);
        if (!t && n->config->policy == NISIM_EVICT) t = victim(n);
        if (!t && n->config->policy == NISIM_OS && !w->active) {
            w->os++;
            kernel_raise(n);
        }
        if (!t) return;
        w->reserved[t->index] = true;
        w->dispatched++;
        w->port_free = (w->port_free > now_of(n) ? w->port_free : now_of(n)) + (cycle_t)n->config->spawn_port;
        nisim_post(n->events, w->port_free, spawn_in, t, (uintptr_t)nisim_queue_take(&w->queue));
    }
}

/* --- All of them. --- */

void nisim_notify_start(struct nisim_node *n) {
    struct nisim_notify *w = &n->notify;
    if (w->mechanism != NISIM_LOCK && w->mechanism != NISIM_POLL) return;
    w->lock = true;
    w->parked = n->config->threads >= n->config->contexts;
    if (w->parked) return;
    struct nisim_context *t = waiter(n);
    struct nisim_frame *f = nisim_core_redirect(t);
    f->refill = w->mechanism == NISIM_LOCK ? lock_loop : poll_loop;
    f->ctx = n;
    if (w->mechanism == NISIM_POLL) t->spin_ipc = (uint32_t)(65536 * n->config->handler_ipc);
    nisim_core_go(t);
}

void nisim_notify_arrived(struct nisim_node *n, struct nisim_message *m) {
    struct nisim_notify *w = &n->notify;
    cycle_t decide = (cycle_t)n->config->ni_decide;
    if (!nisim_queue_put(&w->queue, m)) {
        n->events->nomem = true;
        return;
    }
    if (w->parked) {
        w->os++;
        kernel_raise(n);
        return;
    }
    switch (w->mechanism) {
    case NISIM_LOCK:
        w->clearing++;
        nisim_post(n->events, now_of(n) + decide + (cycle_t)n->config->lock_port, lock_clear, n,
                   (uintptr_t)m);
        break;
    case NISIM_BRANCH: branch_raise(n); break;
    case NISIM_SPAWN: nisim_post(n->events, now_of(n) + decide, spawn_more, n, 0); break;
    case NISIM_POLL: poll_seen(n, m); break;
    default: kernel_raise(n); break;
    }
}

bool nisim_notify_sound(const struct nisim_node *n) {
    const struct nisim_notify *w = &n->notify;
    bool idle = !nisim_queue_first(&w->queue);
    const struct nisim_context *t = &n->core.context[(int)n->config->threads % NISIM_CONTEXTS];
    if (w->mechanism == NISIM_LOCK && !w->parked)
        return idle || t->state != NISIM_WAITING || !w->lock || w->clearing;
    if (w->mechanism == NISIM_BRANCH || w->mechanism == NISIM_KERNEL) return idle || w->active;
    return true;
}
