/* How much send-side buffering: the smallest FIFO with which the wire has nothing to wait for, against the
 * product of the wire's rate and the memory's latency; and what more than that does. */
#include "model/nisim/sweep.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>

#define ENOUGH 0.01 /* of the wire's time in bubbles: less counts as none */
#define STREAM 60   /* messages of a run */
#define FIFOS  15
static const double fifos[FIFOS] = {64,   128,  192,  256,  384,  512,  768,  1024,
                                    1536, 2048, 3072, 4096, 6144, 8192, 16384};

struct point {
    struct nisim_config config;
    bool loaded;
    double product;                      /* rate × latency, bytes */
    struct nisim_stream_result r[FIFOS]; /* a stream, by FIFO */
    struct nisim_stream_result alone, whole,
        more;   /* alone, started at once; alone, buffered whole first; a stream, four times enough */
    int enough; /* the first FIFO with less than ENOUGH, or FIFOS */
};

/* So many messages are launched at a time that they never are what the wire waits for. */
static int run_stream(const struct nisim_config *c, uint64_t seed, struct nisim_stream_result *r) {
    int depth = 4 + (int)(2 * fifos[FIFOS - 1] / c->message_B);
    return nisim_run_stream(c, seed, STREAM + depth, depth, r);
}

static void assume(struct point *p, struct nisim_random *r) {
    static const double memory[] = {60e-9, 120e-9, 200e-9}, banks[] = {16, 64}, sizes[] = {1024, 4096, 16384};
    struct nisim_config *c = &p->config;
    c->dram_s = nisim_pick(r, memory, 3);
    c->dram_banks = nisim_pick(r, banks, 2);
    c->message_B = nisim_pick(r, sizes, 3);
    p->loaded = nisim_random_below(r, 2);
    c->threads = p->loaded ? c->contexts - 1 : 0;
    c->working_B = 2 * c->l2_B;
    c->gap = 100;
    c->window = 256;
}

static int fill_point(struct point *p, uint64_t seed) {
    struct nisim_config c = p->config;
    p->product = c.wire_bps / 8 * (double)nisim_miss_cycles(&c) / c.clock_Hz;
    int rc = WEFT_OK;
    for (p->enough = 0; p->enough < FIFOS && !rc; p->enough++) {
        c.fifo_B = fifos[p->enough];
        rc = run_stream(&c, seed, &p->r[p->enough]);
        if (p->r[p->enough].bubbles <= ENOUGH) break;
    }
    c.fifo_B = 4 * fifos[p->enough < FIFOS ? p->enough : FIFOS - 1];
    if (!rc) rc = run_stream(&c, seed, &p->more);
    c.fifo_B = 65536;
    if (!rc) rc = nisim_run_stream(&c, seed, STREAM, 1, &p->alone);
    c.start_B = c.message_B;
    if (!rc) rc = nisim_run_stream(&c, seed, STREAM, 1, &p->whole);
    return rc;
}

static int one_point(void *point, struct nisim_random *r, uint64_t seed) {
    struct point *p = point;
    assume(p, r);
    return fill_point(p, seed);
}

struct buffer_claims {
    struct nisim_claim *two_kib, *four_kib, *quiet, *busy, *half, *latency, *ahead, *whole, *alone;
};

#define QUIET_TIMES 4 /* rate × latency */
#define BUSY_TIMES  8

static void name_claims(void *claims, struct nisim_claims *out) {
    struct buffer_claims *k = claims;
    k->two_kib = nisim_claim_add(
        out, "2 KiB of FIFO leave less than 1 %% of the wire's time in bubbles, whatever the memory (bytes)");
    k->four_kib =
        nisim_claim_add(out, "4 KiB do, where the memory's banks could supply twice the wire's rate (bytes)");
    k->quiet = nisim_claim_add(
        out, "... %d times rate x latency and two lines do, memory quiet (bytes needed, of that)",
        QUIET_TIMES);
    k->busy = nisim_claim_add(
        out, "... %d times do, memory busy with all other contexts (bytes needed, of that)", BUSY_TIMES);
    k->half = nisim_claim_add(out, "half of rate x latency is never enough, where that is four lines or more "
                                   "(that half, of the bytes needed)");
    k->latency = nisim_claim_add(
        out,
        "four times the FIFO that is enough shortens no message by more than 2 %% (share of the latency)");
    k->ahead = nisim_claim_add(
        out,
        "... and raises what stands before a later message to three times or more (ratio, less to more)");
    k->alone = nisim_claim_add(
        out, "a message alone that starts with its first line has less than 1 %% of bubbles (share)");
    k->whole = nisim_claim_add(
        out, "a message that is buffered whole first ends later than one that starts at once (ratio)");
}

static void see(void *claims, const void *point) {
    struct buffer_claims *k = claims;
    const struct point *p = point;
    char config[240];
    const struct nisim_config *c = &p->config;
    snprintf(config, sizeof config,
             "%g GHz, L2 %g MiB, %g Gb/s, messages of %g B, DRAM %g ns, %g banks, memory %s",
             c->clock_Hz / 1e9, c->l2_B / 1048576, c->wire_bps / 1e9, c->message_B, c->dram_s * 1e9,
             c->dram_banks, p->loaded ? "busy" : "quiet");
    double need = p->enough < FIFOS ? fifos[p->enough] : 2 * fifos[FIFOS - 1];
    double rule = (p->loaded ? BUSY_TIMES : QUIET_TIMES) * p->product + 2 * NISIM_LINE;
    double supply = c->dram_banks * NISIM_LINE / c->dram_s / (c->wire_bps / 8);
    nisim_claim_see(k->two_kib, need, 2048, config);
    if (p->product >= 4 * NISIM_LINE) nisim_claim_see(k->half, p->product / 2 / need, 1 - 1e-9, config);
    nisim_claim_see(k->whole, p->alone.latency / p->whole.latency, 1, config);
    if (supply < 2) return;
    nisim_claim_see(k->four_kib, need, 4096, config);
    nisim_claim_see(p->loaded ? k->busy : k->quiet, need / rule, 1, config);
    nisim_claim_see(k->alone, p->alone.bubbles, ENOUGH, config);
    if (p->enough == FIFOS) return;
    nisim_claim_see(k->latency, 1 - p->more.latency / p->r[p->enough].latency, 0.02, config);
    nisim_claim_see(k->ahead, p->r[p->enough].ahead / p->more.ahead, 1 / 3.0, config);
}

/* --- Plots: bubbles and what stands ahead, by FIFO, at the middle of the ranges for three rates. --- */

#define LINES 3
struct lines {
    struct nisim_config config;
    uint64_t seed;
    double bubbles[LINES][FIFOS], ahead[LINES][FIFOS];
};
static const double plotted[LINES] = {4e9, 16e9, 32e9};

static int one_line(void *ctx, int i) {
    struct lines *l = ctx;
    struct nisim_config c = l->config;
    struct nisim_stream_result r;
    c.wire_bps = plotted[i / FIFOS];
    c.fifo_B = fifos[i % FIFOS];
    int rc = run_stream(&c, l->seed, &r);
    l->bubbles[i / FIFOS][i % FIFOS] = 100 * r.bubbles;
    l->ahead[i / FIFOS][i % FIFOS] = r.ahead / c.clock_Hz * 1e9;
    return rc;
}

static int draw(const struct nisim_sweep *s, FILE *svg) {
    static const char *const names[LINES] = {"4 Gb/s", "16 Gb/s", "32 Gb/s"};
    struct lines *l = calloc(1, sizeof *l);
    if (!l) return WEFT_E_NOMEM;
    l->config = *s->base;
    l->seed = s->seed;
    nisim_corner(&l->config, NISIM_CORNERS);
    l->config.threads = l->config.contexts - 1;
    l->config.working_B = 2 * l->config.l2_B;
    l->config.gap = 100;
    l->config.window = 256;
    l->config.message_B = 4096;
    int rc = nisim_parallel(LINES * FIFOS, s->jobs, one_line, l);
    struct nisim_curve bubbles[LINES], ahead[LINES];
    for (int i = 0; i < LINES; i++) {
        bubbles[i] = (struct nisim_curve){names[i], fifos, l->bubbles[i], FIFOS};
        ahead[i] = (struct nisim_curve){names[i], fifos, l->ahead[i], FIFOS};
    }
    struct nisim_plot plots[2] = {{"Too little: the wire waits, memory busy", "bytes of FIFO",
                                   "% of its time in bubbles", true, false, bubbles, LINES},
                                  {"Too much: what a later message waits for", "bytes of FIFO",
                                   "ns of wire in the FIFO", true, true, ahead, LINES}};
    if (!rc) rc = nisim_svg_plots(svg, plots, 2, 2);
    free(l);
    return rc;
}

int nisim_sweep_buffer(const struct nisim_sweep *s, struct nisim_claims *out, FILE *svg) {
    static const struct nisim_question question = {sizeof(struct point), 5000, one_point,
                                                   name_claims,          see,  draw};
    struct buffer_claims k;
    return nisim_ask(s, &question, &k, out, svg);
}
