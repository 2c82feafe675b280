/* Where DMA overtakes PIO: by the time until the message has left, by the sending thread's time, and by what
 * the other threads of the core lose, which is what counts where SMT hides a thread's stalls. */
#include "model/nisim/sweep.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIZES 15
#define TIMES 6 /* messages of a run */
static const double sizes[SIZES] = {8,   16,  32,   64,   128,  192,  256, 384,
                                    512, 768, 1024, 1536, 2048, 3072, 4096};
#define NEVER 8192.0 /* PIO is better even at the largest size */

enum measure { LATENCY, THREAD, OTHERS, MEASURES };

struct point {
    struct nisim_config config;
    enum nisim_where where;
    bool full; /* the computing threads alone want all issue slots */
    double crossover[MEASURES];
    struct nisim_send_result r[2][SIZES]; /* DMA, PIO */
};

static void assume(struct point *p, struct nisim_random *r) {
    static const double stores[] = {0.5, 2}, some[] = {1, 4}, done[] = {0, 4}, memory[] = {60e-9, 120e-9},
                        setup[] = {5, 40}, pages[] = {1, 64};
    struct nisim_config *c = &p->config;
    c->store_ipc = nisim_pick(r, stores, 2);
    c->store_lines = nisim_pick(r, some, 2);
    c->completion = nisim_pick(r, done, 2);
    c->dram_s = nisim_pick(r, memory, 2);
    c->ni_setup = nisim_pick(r, setup, 2);
    c->tlb_entries =
        nisim_pick(r, pages, 2); /* 1: each message is on a page that the interface does not know */
    c->fifo_B = 4096;
    c->threads = c->contexts - 1;
    p->full = nisim_random_below(r, 2);
    c->ipc = p->full ? 1.5 * c->issue / c->threads : 0.5 * (c->issue - 4) / c->threads;
    p->where = (enum nisim_where)nisim_random_below(r, 3);
}

static double of(const struct nisim_send_result *r, enum measure m) {
    return m == LATENCY ? r->last_gone : m == THREAD ? r->thread : r->lost;
}

/* The smallest size from which on DMA costs no more. */
static double crossover(const struct point *p, enum measure m) {
    int i = SIZES;
    while (i && of(&p->r[0][i - 1], m) <= of(&p->r[1][i - 1], m)) i--;
    return i < SIZES ? sizes[i] : NEVER;
}

static int fill_point(struct point *p, uint64_t seed) {
    int rc = WEFT_OK;
    for (int i = 0; i < SIZES && !rc; i++) {
        struct nisim_config c = p->config;
        c.message_B = sizes[i];
        for (int pio = 0; pio < 2 && !rc; pio++)
            rc = nisim_run_send(&c, pio, p->where, seed, TIMES, &p->r[pio][i]);
    }
    for (int m = 0; m < MEASURES; m++) p->crossover[m] = crossover(p, (enum measure)m);
    return rc;
}

static int one_point(void *point, struct nisim_random *r, uint64_t seed) {
    struct point *p = point;
    p->config.l2_B = 4 << 20; /* nothing here depends on it but the time to fill it */
    assume(p, r);
    return fill_point(p, seed);
}

struct pio_claims {
    struct nisim_claim *latency[3], *unknown, *thread[3], *others, *smt, *hidden, *small, *limit;
};

static void name_claims(void *claims, struct nisim_claims *out) {
    struct pio_claims *k = claims;
    static const char *const where[] = {"L1", "L2", "memory"};
    for (int w = 0; w < 3; w++)
        k->latency[w] = nisim_claim_add(out,
                                        "data in %s, its page known to the NI: from 256 B on the last byte "
                                        "leaves no later by DMA (bytes of the crossover)",
                                        where[w]);
    k->unknown =
        nisim_claim_add(out, "its page unknown to the NI's TLB: from 256 B on (bytes of the crossover)");
    for (int w = 0; w < 3; w++)
        k->thread[w] = nisim_claim_add(out,
                                       "data in %s: from 256 B on DMA takes no more of the sending thread's "
                                       "time (bytes of the crossover)",
                                       where[w]);
    k->others = nisim_claim_add(
        out,
        "issue slots full: from 256 B on the other threads lose no more by DMA (bytes of the crossover)");
    k->limit = nisim_claim_add(
        out,
        "a message of 64 B leaves within 5 %% of the same time by either (ratio of the later to the sooner)");
    k->smt = nisim_claim_add(out, "SMT moves the break-even: by the others' loss it is at a larger size than "
                                  "by the thread's own time (ratio of the bytes)");
    k->hidden = nisim_claim_add(
        out, "issue slots free: PIO of 4 KiB costs the other threads nothing (instructions lost)");
    k->small = nisim_claim_add(
        out, "issue slots full: PIO of 4 KiB costs the others more than DMA does (ratio, DMA to PIO)");
    for (int w = 0; w < 3; w++)
        k->thread[w]->rests = "16 instructions a line for PIO, a look at one line for DMA's end";
    k->others->rests = k->smt->rests = "both write the same 12 instructions of control";
}

static void see(void *claims, const void *point) {
    struct pio_claims *k = claims;
    const struct point *p = point;
    char config[400];
    const struct nisim_config *c = &p->config;
    static const char *const where[] = {"L1", "L2", "memory"};
    snprintf(config, sizeof config,
             "%g GHz, %g contexts, %g issue, %g Gb/s, DRAM %g ns, data in %s, %g threads of IPC %.2g, stores "
             "at %g a cycle, %g lines read at once, "
             "completion %g, setup %g, %g TLB entries",
             c->clock_Hz / 1e9, c->contexts, c->issue, c->wire_bps / 1e9, c->dram_s * 1e9, where[p->where],
             c->threads, c->ipc, c->store_ipc, c->store_lines, c->completion, c->ni_setup, c->tlb_entries);
    int last = SIZES - 1, line = 3;
    nisim_claim_see(c->tlb_entries > 1 ? k->latency[p->where] : k->unknown, p->crossover[LATENCY], 256,
                    config);
    nisim_claim_see(k->thread[p->where], p->crossover[THREAD], 256, config);
    double dma = p->r[0][line].last_gone, pio = p->r[1][line].last_gone;
    nisim_claim_see(k->limit, fmax(dma / pio, pio / dma), 1.05, config);
    if (!p->full) {
        nisim_claim_see(k->hidden, p->r[1][last].lost, 1, config);
        return;
    }
    nisim_claim_see(k->others, p->crossover[OTHERS], 256, config);
    nisim_claim_see(k->smt, p->crossover[THREAD] / p->crossover[OTHERS], 1 - 1e-9, config);
    nisim_claim_see(k->small, p->r[0][last].lost / p->r[1][last].lost, 1, config);
}

/* --- Plots at the middle of the ranges, issue slots full, data in L2. --- */

static int draw(const struct nisim_sweep *s, FILE *svg) {
    struct point *p = calloc(1, sizeof *p);
    if (!p) return WEFT_E_NOMEM;
    static const char *const titles[MEASURES] = {"Until the last byte has left", "The sending thread's time",
                                                 "What the other threads lose"},
                             *const units[MEASURES] = {"cycles", "cycles", "instructions"};
    double y[MEASURES][2][SIZES];
    struct nisim_curve curves[MEASURES][2];
    struct nisim_plot plots[MEASURES];
    p->config = *s->base;
    nisim_corner(&p->config, NISIM_CORNERS);
    p->config.threads = p->config.contexts - 1;
    p->config.ipc = 1.5 * p->config.issue / p->config.threads;
    p->where = NISIM_IN_L2;
    int rc = fill_point(p, s->seed);
    for (int m = 0; m < MEASURES; m++) {
        for (int i = 0; i < 2 * SIZES; i++)
            y[m][i / SIZES][i % SIZES] = of(&p->r[i / SIZES][i % SIZES], (enum measure)m);
        curves[m][0] = (struct nisim_curve){"DMA", sizes, y[m][0], SIZES};
        curves[m][1] = (struct nisim_curve){"PIO", sizes, y[m][1], SIZES};
        plots[m] = (struct nisim_plot){titles[m], "bytes", units[m], true, true, curves[m], 2};
    }
    if (!rc) rc = nisim_svg_plots(svg, plots, MEASURES, MEASURES);
    free(p);
    return rc;
}

int nisim_sweep_pio(const struct nisim_sweep *s, struct nisim_claims *out, FILE *svg) {
    static const struct nisim_question question = {sizeof(struct point), 9000, one_point,
                                                   name_claims,          see,  draw};
    struct pio_claims k;
    return nisim_ask(s, &question, &k, out, svg);
}
