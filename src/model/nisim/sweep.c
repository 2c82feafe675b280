/* What all sweeps share: the corners of the paper's ranges, claims, and work on several threads. */
#include "model/nisim/sweep.h"

#include "base/error.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void nisim_corner(struct nisim_config *c, int i) {
    bool middle = i >= NISIM_CORNERS;
    c->clock_Hz = middle ? 3.5e9 : i & 1 ? 5e9 : 2e9;
    c->contexts = middle ? 6 : i & 2 ? 8 : 4;
    c->issue = middle ? 12 : i & 4 ? 16 : 8;
    c->l1_B = middle ? 65536 : i & 8 ? 131072 : 32768;
    c->l2_B = (middle ? 8 : i & 16 ? 16 : 4) * 1048576.0;
    c->wire_bps = middle ? 16e9 : i & 32 ? 32e9 : 4e9;
}

double nisim_pick(struct nisim_random *r, const double *of, int count) {
    return of[nisim_random_below(r, (uint32_t)count)];
}

void nisim_describe(const struct nisim_config *c, char *out, size_t len) {
    snprintf(out, len,
             "%g GHz, %g contexts, %g issue, L1 %g KiB, L2 %g MiB, %g Gb/s, DRAM %g ns, %g threads of IPC "
             "%g, %g KiB each, %g B at %g/s, handler %g, "
             "kernel %g+%g, ports %g/%g/%g, flush %g",
             c->clock_Hz / 1e9, c->contexts, c->issue, c->l1_B / 1024, c->l2_B / 1048576, c->wire_bps / 1e9,
             c->dram_s * 1e9, c->threads, c->ipc, c->working_B / 1024, c->message_B, c->rate,
             c->handler_instr, c->kernel_lines, c->kernel_serial, c->lock_port, c->branch_port, c->spawn_port,
             c->flush);
}

struct nisim_claim *nisim_claim_add(struct nisim_claims *k, const char *fmt, ...) {
    struct nisim_claim *c = &k->at[k->count < NISIM_CLAIMS_MAX - 1 ? k->count++ : k->count];
    *c = (struct nisim_claim){.least = INFINITY, .most = -INFINITY};
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->what, sizeof c->what, fmt, args);
    va_end(args);
    return c;
}

void nisim_claim_see(struct nisim_claim *c, double value, double limit, const char *config) {
    double beyond = value - limit;
    c->of++;
    if (value < c->least) c->least = value;
    if (value > c->most) c->most = value;
    if (beyond <= 0) {
        c->holds++;
        return;
    }
    if (*c->against && beyond <= c->worst) return;
    c->worst = beyond;
    snprintf(c->against, sizeof c->against, "%s", config);
}

struct crew {
    atomic_int next, rc;
    int count;
    int (*one)(void *, int);
    void *ctx;
};

static void *work(void *arg) {
    struct crew *k = arg;
    for (int i; (i = atomic_fetch_add(&k->next, 1)) < k->count && !atomic_load(&k->rc);) {
        int rc = k->one(k->ctx, i);
        if (rc) atomic_store(&k->rc, rc);
    }
    return NULL;
}

int nisim_parallel(int count, int jobs, int (*one)(void *ctx, int i), void *ctx) {
    struct crew k = {.count = count, .one = one, .ctx = ctx};
    pthread_t thread[64];
    int started = 0;
    if (jobs > 64) jobs = 64;
    while (started < jobs - 1 && !pthread_create(&thread[started], NULL, work, &k)) started++;
    work(&k);
    for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
    return atomic_load(&k.rc);
}

struct points {
    const struct nisim_sweep *sweep;
    const struct nisim_question *question;
    char *at;
};

static int run_point(void *ctx, int i) {
    const struct points *p = ctx;
    void *point = p->at + (size_t)i * p->question->point_bytes;
    struct nisim_config *c = point;
    struct nisim_random r;
    *c = *p->sweep->base;
    nisim_corner(c, i % (NISIM_CORNERS + 1));
    nisim_random_init(&r, p->sweep->seed, p->question->draws + (uint64_t)i);
    return p->question->run(point, &r, p->sweep->seed);
}

int nisim_ask(const struct nisim_sweep *s, const struct nisim_question *q, void *claims,
              struct nisim_claims *out, FILE *svg) {
    int count = (NISIM_CORNERS + 1) * s->samples;
    struct points p = {s, q, calloc((size_t)count, q->point_bytes)};
    if (!p.at) return WEFT_E_NOMEM;
    int rc = nisim_parallel(count, s->jobs, run_point, &p);
    if (!rc) {
        q->name(claims, out);
        for (int i = 0; i < count; i++) q->see(claims, p.at + (size_t)i * q->point_bytes);
    }
    free(p.at);
    return !rc && svg ? q->draw(s, svg) : rc;
}
