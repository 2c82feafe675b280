/* Which mechanism when: latency until the handler starts, and what the computation loses, over the paper's
 * ranges and over what is assumed (memory, load, rate, handler, the kernel's cost). */
#include "model/nisim/sweep.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>

#define WINDOW      4e6 /* cycles in which messages arrive */
#define FEW         40
#define PAPER_SHARE 175 /* cycles: 1 % of the 17,500 that the paper measured */

struct point {
    struct nisim_config config;
    struct nisim_result r[NISIM_MECHANISMS];
};

static void set_count(struct nisim_config *c) {
    double n = floor(WINDOW * c->rate / c->clock_Hz);
    c->count = n < FEW ? FEW : n;
}

/* What the paper does not give, from ranges. */
static void assume(struct nisim_config *c, struct nisim_random *r) {
    static const double memory[] = {60e-9, 120e-9}, rates[] = {50e3, 300e3, 1e6}, ipc[] = {1, 2, 4},
                        work[] = {0.25, 1}, instr[] = {50, 300, 1000};
    static const double sizes[] = {8, 64, 256}, flush[] = {10, 30}, save[] = {20, 80}, port[] = {2, 8, 30};
    bool light =
        nisim_random_below(r, 2); /* the kernel: as measured in the paper, or one that takes a sixth of it */
    double some[] = {1, floor(c->contexts / 2), c->contexts - 1, c->contexts};
    c->dram_s = nisim_pick(r, memory, 2);
    c->rate = nisim_pick(r, rates, 3);
    c->ipc = nisim_pick(r, ipc, 3);
    c->threads = nisim_pick(r, some, 4);
    c->working_B = floor(nisim_pick(r, work, 2) * c->l2_B / c->threads);
    c->handler_instr = nisim_pick(r, instr, 3);
    c->message_B = nisim_pick(r, sizes, 3);
    c->flush = nisim_pick(r, flush, 2);
    c->save_instr = nisim_pick(r, save, 2);
    c->lock_port = nisim_pick(r, port, 3);
    c->branch_port = nisim_pick(r, port, 3);
    c->spawn_port = nisim_pick(r, port, 3);
    c->kernel_lines = light ? 60 : 380;
    c->kernel_serial = light ? 600 : 2270;
    set_count(c);
}

static int run_point(const struct nisim_config *c, uint64_t seed, struct nisim_result *r) {
    struct nisim_base base;
    int rc = nisim_run_base(c, seed, &base);
    for (int m = 0; m < NISIM_MECHANISMS && !rc; m++)
        rc = nisim_run_messages(c, (enum nisim_mechanism)m, seed, &base, 0, &r[m]);
    return rc;
}

static int one_point(void *point, struct nisim_random *r, uint64_t seed) {
    struct point *p = point;
    assume(&p->config, r);
    return run_point(&p->config, seed, p->r);
}

static bool keeps_up(const struct nisim_result *r) { return r->handled == r->sent && r->done_p50 < 1e5; }

struct mechanism_claims {
    struct nisim_claim *sooner[3], *tenfold[3], *percent[3], *lock_first, *lock_spawn, *branch_cost,
        *no_context, *no_context_cost, *tail, *tail_busy, *poll_cost, *poll_start, *kernel_cost;
};

static void name_claims(void *claims, struct nisim_claims *out) {
    struct mechanism_claims *k = claims;
    static const char *const names[] = {"lock release", "branch", "dispatch"};
    for (int m = 0; m < 3; m++)
        k->sooner[m] = nisim_claim_add(out,
                                       "%s starts the handler sooner than the kernel's path does (ratio of "
                                       "medians; a thread has a context)",
                                       names[m]);
    for (int m = 0; m < 3; m++) k->tenfold[m] = nisim_claim_add(out, "... ten times sooner: %s", names[m]);
    for (int m = 0; m < 3; m++)
        k->percent[m] = nisim_claim_add(out,
                                        "%s starts the handler within 175 cycles, 1 %% of what the paper "
                                        "measured (median; a thread has a context)",
                                        names[m]);
    k->lock_first = nisim_claim_add(
        out,
        "where the waiting thread has a context, lock release starts sooner than branch (ratio of medians)");
    k->lock_spawn = nisim_claim_add(
        out, "where contexts are free, lock release starts no later than dispatch (ratio of medians)");
    k->tail = nisim_claim_add(out, "with two contexts free, dispatch's 99th percentile to the end of the "
                                   "handler is at most 1.1 of lock release's (ratio)");
    k->tail_busy =
        nisim_claim_add(out, "... and below it where handlers are busy a fifth of the time (ratio)");
    k->branch_cost = nisim_claim_add(out, "where a context is free, branch takes more from the computation "
                                          "than lock release (cycles a message, lock minus branch)");
    k->no_context = nisim_claim_add(out, "with all contexts computing, branch starts soonest of the three "
                                         "(ratio to the better of the others)");
    k->no_context_cost =
        nisim_claim_add(out, "with all contexts computing, branch takes least from the computation (cycles a "
                             "message, minus the better of the others)");
    k->poll_start = nisim_claim_add(
        out, "lock release starts no later than a polling thread sees the message (ratio of medians)");
    k->poll_cost = nisim_claim_add(
        out, "lock release takes no more from the computation than polling (share lost, lock minus polling)");
    k->kernel_cost = nisim_claim_add(out, "branch takes less from the computation than the kernel's path "
                                          "(cycles a message, branch minus kernel)");
    for (int m = 0; m < 3; m++)
        k->sooner[m]->rests = k->tenfold[m]->rests =
            "the kernel's lines and cycles: as the paper measured, or a sixth";
    for (int m = 0; m < 3; m++)
        k->percent[m]->rests =
            "ports of 2 to 30 cycles, a refill of 10 to 30, 20 to 80 instructions to save registers";
    k->kernel_cost->rests = k->sooner[0]->rests;
    k->lock_first->rests = "the two ports and the instructions that save registers";
    k->lock_spawn->rests = "the two ports";
    k->poll_start->rests = "the lock's port against the latency of L2";
    k->no_context->rests = k->no_context_cost->rests = "20 to 80 instructions for branch, 160 to evict a "
                                                       "thread, the kernel for a thread that has no context";
}

static void see(void *claims, const void *point) {
    struct mechanism_claims *k = claims;
    const struct point *p = point;
    const struct nisim_result *r = p->r;
    const struct nisim_config *c = &p->config;
    char config[320];
    bool parked = c->threads >= c->contexts;
    double noise = 0.002; /* of the computation's speed: what the same run gives with other seeds */
    double noise_cycles = noise * r[NISIM_LOCK].cycles * c->threads / (double)r[NISIM_LOCK].sent;
    nisim_describe(c, config, sizeof config);
    for (int m = 0; m < 3; m++) {
        if (parked && m != NISIM_BRANCH) continue;
        nisim_claim_see(k->sooner[m], r[m].start_p50 / r[NISIM_KERNEL].start_p50, 1, config);
        nisim_claim_see(k->tenfold[m], r[m].start_p50 / r[NISIM_KERNEL].start_p50, 0.1, config);
        nisim_claim_see(k->percent[m], r[m].start_p50, PAPER_SHARE, config);
    }
    if (keeps_up(&r[NISIM_KERNEL]))
        nisim_claim_see(k->kernel_cost, r[NISIM_BRANCH].stolen - r[NISIM_KERNEL].stolen, noise_cycles,
                        config);
    if (parked) {
        double other = fmin(r[NISIM_LOCK].start_p50, r[NISIM_SPAWN].start_p50),
               cost = fmin(r[NISIM_LOCK].stolen, r[NISIM_SPAWN].stolen);
        nisim_claim_see(k->no_context, r[NISIM_BRANCH].start_p50 / other, 1, config);
        if (keeps_up(&r[NISIM_LOCK]))
            nisim_claim_see(k->no_context_cost, r[NISIM_BRANCH].stolen - cost, noise_cycles, config);
        return;
    }
    nisim_claim_see(k->lock_first, r[NISIM_LOCK].start_p50 / r[NISIM_BRANCH].start_p50, 1, config);
    nisim_claim_see(k->lock_spawn, r[NISIM_LOCK].start_p50 / r[NISIM_SPAWN].start_p50, 1, config);
    nisim_claim_see(k->branch_cost, r[NISIM_LOCK].stolen - r[NISIM_BRANCH].stolen, noise_cycles, config);
    nisim_claim_see(k->poll_start, r[NISIM_LOCK].start_p50 / r[NISIM_POLL].start_p50, 1, config);
    nisim_claim_see(k->poll_cost, r[NISIM_LOCK].loss - r[NISIM_POLL].loss, noise, config);
    if (c->contexts - c->threads < 2) return;
    double tail = r[NISIM_SPAWN].done_p99 / r[NISIM_LOCK].done_p99,
           busy = r[NISIM_LOCK].done_p50 * c->rate / c->clock_Hz;
    nisim_claim_see(k->tail, tail, 1.1, config);
    if (busy >= 0.2) nisim_claim_see(k->tail_busy, tail, 1, config);
}

/* --- Plots: over the rate, at the middle of the ranges, with free contexts and without. --- */

#define RATES 7
struct lines {
    struct nisim_config config;
    uint64_t seed;
    double rate[RATES], start[2][NISIM_MECHANISMS][RATES], loss[2][NISIM_MECHANISMS][RATES];
};

static int one_rate(void *ctx, int i) {
    struct lines *l = ctx;
    struct nisim_config c = l->config;
    struct nisim_result r[NISIM_MECHANISMS];
    int full = i / RATES, at = i % RATES;
    c.threads = full ? c.contexts : c.contexts / 2;
    c.working_B = floor(c.l2_B / c.threads / 2);
    c.rate = l->rate[at];
    set_count(&c);
    int rc = run_point(&c, l->seed, r);
    for (int m = 0; m < NISIM_MECHANISMS && !rc; m++) {
        l->start[full][m][at] = r[m].start_p50 / c.clock_Hz * 1e9;
        l->loss[full][m][at] = 100 * fmax(r[m].loss, 0);
    }
    return rc;
}

static int draw(const struct nisim_sweep *s, FILE *svg) {
    struct lines *l = calloc(1, sizeof *l);
    if (!l) return WEFT_E_NOMEM;
    l->config = *s->base;
    l->seed = s->seed;
    nisim_corner(&l->config, NISIM_CORNERS);
    for (int i = 0; i < RATES; i++) l->rate[i] = 50e3 * pow(2, i);
    int rc = nisim_parallel(2 * RATES, s->jobs, one_rate, l);
    struct nisim_curve curves[4][NISIM_MECHANISMS];
    for (int k = 0; k < 4; k++)
        for (int m = 0; m < NISIM_MECHANISMS; m++)
            curves[k][m] = (struct nisim_curve){nisim_mechanism_name[m], l->rate,
                                                k % 2 ? l->loss[k / 2][m] : l->start[k / 2][m], RATES};
    struct nisim_plot plots[4] = {{"Half of the contexts compute: start of the handler", "messages a second",
                                   "ns, median", true, true, curves[0], NISIM_MECHANISMS},
                                  {"Half of the contexts compute: what that loses", "messages a second",
                                   "% of the computation", true, false, curves[1], NISIM_MECHANISMS},
                                  {"All contexts compute: start of the handler", "messages a second",
                                   "ns, median", true, true, curves[2], NISIM_MECHANISMS},
                                  {"All contexts compute: what that loses", "messages a second",
                                   "% of the computation", true, false, curves[3], NISIM_MECHANISMS}};
    if (!rc) rc = nisim_svg_plots(svg, plots, 4, 2);
    free(l);
    return rc;
}

int nisim_sweep_mechanisms(const struct nisim_sweep *s, struct nisim_claims *out, FILE *svg) {
    static const struct nisim_question question = {sizeof(struct point), 1000, one_point,
                                                   name_claims,          see,  draw};
    struct mechanism_claims k;
    return nisim_ask(s, &question, &k, out, svg);
}
