/* The SMT core's contexts and how they share it. */
#include "model/nisim/core.h"

#include <assert.h>
#include <string.h>

#define ONE 65536

static void core_event(void *ctx, uint64_t plan);

void nisim_core_init(struct nisim_core *c, const struct nisim_config *config, struct nisim_events *events,
                     struct nisim_memory *m) {
    memset(c, 0, sizeof *c);
    c->events = events;
    c->memory = m;
    c->contexts = (int)config->contexts;
    c->issue = (uint32_t)(config->issue * ONE);
    for (int i = 0; i < NISIM_CONTEXTS; i++) {
        c->context[i].core = c;
        c->context[i].index = i;
    }
}

static struct nisim_frame *top(struct nisim_context *t) { return &t->frame[t->depth - 1]; }

static void account(struct nisim_context *t, uint64_t issued) {
    if (t->depth && top(t)->work)
        t->work += issued;
    else
        t->other += issued;
}

/* Lets every context issue until now, at the rates that have held since. */
void nisim_core_settle(struct nisim_core *c) {
    cycle_t passed = c->events->now - c->last;
    c->last = c->events->now;
    if (!passed) return;
    for (int i = 0; i < c->contexts; i++) {
        struct nisim_context *t = &c->context[i];
        uint64_t issued = passed * t->rate;
        if (t->state == NISIM_ISSUING) {
            struct nisim_op *op = &top(t)->op[top(t)->at];
            if (issued > op->left) issued = op->left;
            op->left -= issued;
        }
        if (t->state == NISIM_ISSUING || t->state == NISIM_SPINNING) account(t, issued);
    }
}

static uint64_t demand(const struct nisim_context *t) {
    if (t->state == NISIM_SPINNING) return t->spin_ipc;
    return t->state == NISIM_ISSUING ? t->frame[t->depth - 1].op[t->frame[t->depth - 1].at].ipc : 0;
}

/* New shares, and an event for who is done first. */
static void plan(struct nisim_core *c) {
    if (!c->changed) return;
    c->changed = false;
    uint64_t wanted = 0;
    cycle_t first = UINT64_MAX;
    for (int i = 0; i < c->contexts; i++) wanted += demand(&c->context[i]);
    for (int i = 0; i < c->contexts; i++) {
        struct nisim_context *t = &c->context[i];
        uint64_t rate = demand(t);
        if (wanted > c->issue) rate = rate * c->issue / wanted;
        t->rate = (uint32_t)rate;
        if (t->state != NISIM_ISSUING) continue;
        if (!t->rate) t->rate = 1;
        cycle_t needs = (top(t)->op[top(t)->at].left + t->rate - 1) / t->rate;
        if (needs < first) first = needs;
    }
    c->plan++;
    if (first != UINT64_MAX) nisim_post(c->events, c->events->now + first, core_event, c, c->plan);
}

static void set_state(struct nisim_context *t, enum nisim_state state) {
    bool issued = t->state == NISIM_ISSUING || t->state == NISIM_SPINNING;
    if (issued || state == NISIM_ISSUING || state == NISIM_SPINNING) t->core->changed = true;
    t->state = state;
}

static void step(struct nisim_context *t);

static void pause_over(void *ctx, uint64_t turn) {
    struct nisim_context *t = ctx;
    if (turn != t->turn) return;
    nisim_core_settle(t->core);
    step(t);
    plan(t->core);
}

static uint32_t batch(const struct nisim_op *op) { return op->count < op->overlap ? op->count : op->overlap; }

static void batch_done(struct nisim_context *t) {
    struct nisim_op *op = &top(t)->op[top(t)->at];
    uint32_t n = batch(op);
    op->line += n;
    op->count -= n;
    op->ran = false;
    if (!op->count) top(t)->at++;
}

static void line_came(void *ctx, uint64_t turn) {
    struct nisim_context *t = ctx;
    if (turn != t->turn || --t->pending) return;
    nisim_core_settle(t->core);
    batch_done(t);
    step(t);
    plan(t->core);
}

/* The accesses of one batch; whether all were in L1. */
static bool access_batch(struct nisim_context *t, const struct nisim_op *op) {
    uint32_t n = batch(op);
    t->pending = 0;
    t->turn++;
    for (uint32_t i = 0; i < n; i++)
        if (!nisim_memory_access(t->core->memory, op->line + i, op->how, line_came, t, t->turn)) t->pending++;
    return !t->pending;
}

/* One operation; whether the thread goes on at once. */
static bool step_lines(struct nisim_context *t, struct nisim_op *op) {
    if (!op->count) {
        top(t)->at++;
        return true;
    }
    if (!op->ran && op->each) {
        op->ran = true;
        op->left = (uint64_t)op->each * batch(op) * ONE;
    }
    if (op->left) {
        set_state(t, NISIM_ISSUING);
        return false;
    }
    if (!access_batch(t, op)) {
        set_state(t, NISIM_STALLED);
        return false;
    }
    batch_done(t);
    return true;
}

static bool step_call(struct nisim_context *t) {
    struct nisim_frame *f = top(t);
    struct nisim_op op = f->op[f->at++];
    if (op.call(op.ctx, t, op.arg)) return true;
    f->at--;
    set_state(t, t->spin_ipc ? NISIM_SPINNING : NISIM_WAITING);
    return false;
}

static bool step_one(struct nisim_context *t) {
    struct nisim_op *op = &top(t)->op[top(t)->at];
    switch (op->kind) {
    case NISIM_RUN:
        if (op->left) {
            set_state(t, NISIM_ISSUING);
            return false;
        }
        top(t)->at++;
        return true;
    case NISIM_PAUSE:
        if (!op->left) {
            top(t)->at++;
            return true;
        }
        nisim_post(t->core->events, t->core->events->now + op->left, pause_over, t, ++t->turn);
        op->left = 0;
        set_state(t, NISIM_STALLED);
        return false;
    case NISIM_LINES: return step_lines(t, op);
    default: return step_call(t);
    }
}

/* Goes on until the thread has to wait for something, or has ended. */
static void step(struct nisim_context *t) {
    while (t->depth) {
        struct nisim_frame *f = top(t);
        if (f->at < f->count) {
            if (!step_one(t)) return;
            continue;
        }
        f->at = f->count = 0;
        if (f->refill && f->refill(f->ctx, t, f->arg)) continue;
        t->depth--;
    }
    set_state(t, NISIM_FREE);
}

static void core_event(void *ctx, uint64_t planned) {
    struct nisim_core *c = ctx;
    if (planned != c->plan) return;
    nisim_core_settle(c);
    for (int i = 0; i < c->contexts; i++) {
        struct nisim_context *t = &c->context[i];
        if (t->state != NISIM_ISSUING || top(t)->op[top(t)->at].left) continue;
        set_state(t, NISIM_STALLED);
        step(t);
    }
    c->changed = true;
    plan(c);
}

struct nisim_frame *nisim_core_redirect(struct nisim_context *t) {
    if (t->depth == NISIM_FRAMES) return NULL;
    nisim_core_settle(t->core);
    t->turn++; /* what it waited for comes into the caches, and is asked for again afterwards */
    struct nisim_frame *f = &t->frame[t->depth++];
    f->count = f->at = 0;
    f->work = false;
    f->refill = NULL;
    return f;
}

void nisim_core_go(struct nisim_context *t) {
    nisim_core_settle(t->core);
    step(t);
    plan(t->core);
}

void nisim_core_resume(struct nisim_context *t) {
    if (t->state != NISIM_WAITING && t->state != NISIM_SPINNING) return;
    nisim_core_go(t);
}

static struct nisim_op *add(struct nisim_context *t, enum nisim_op_kind kind) {
    struct nisim_frame *f = top(t);
    if (f->at == f->count) f->at = f->count = 0;
    assert(f->count < NISIM_OPS);
    struct nisim_op *op = &f->op[f->count++];
    *op = (struct nisim_op){.kind = kind};
    return op;
}

static uint32_t fixed(const struct nisim_context *t, double ipc) {
    uint32_t v = (uint32_t)(ipc * ONE);
    return v > t->core->issue ? t->core->issue : v ? v : 1;
}

void nisim_run(struct nisim_context *t, double instructions, double ipc) {
    struct nisim_op *op = add(t, NISIM_RUN);
    op->left = (uint64_t)(instructions * ONE);
    op->ipc = fixed(t, ipc);
}

void nisim_pause(struct nisim_context *t, double cycles) { add(t, NISIM_PAUSE)->left = (uint64_t)cycles; }

void nisim_lines(struct nisim_context *t, enum nisim_access how, nisim_line line, double count, double each,
                 double ipc, int overlap) {
    struct nisim_op *op = add(t, NISIM_LINES);
    op->how = how;
    op->line = line;
    op->count = (uint32_t)count;
    op->each = (uint32_t)each;
    op->ipc = fixed(t, ipc);
    op->overlap = (uint32_t)overlap;
}

void nisim_call(struct nisim_context *t, nisim_call_fn *call, void *ctx, uint64_t arg) {
    struct nisim_op *op = add(t, NISIM_CALL);
    op->call = call;
    op->ctx = ctx;
    op->arg = arg;
}
