/* Sweeps: the same question over the paper's ranges and over ranges of what had to be assumed, and for each
 * conclusion whether it holds everywhere, or how often and where not. */
#ifndef WEFT_MODEL_NISIM_SWEEP_H
#define WEFT_MODEL_NISIM_SWEEP_H
#include "model/nisim/run.h"
#include "model/nisim/svg.h"

struct nisim_claim {
    char what[160];
    int holds, of;
    double least, most; /* of the ratio or quantity that the claim is about */
    const char *rests;  /* the assumption that decides it, or NULL: the simulation does */
    char against[320];  /* the configuration in which it fails by most, or "" */
    double worst;
};
#define NISIM_CLAIMS_MAX 24
struct nisim_claims {
    struct nisim_claim at[NISIM_CLAIMS_MAX];
    int count;
};

/* A new claim; then nisim_claim_see() for every configuration that it speaks of. */
struct nisim_claim *nisim_claim_add(struct nisim_claims *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* It holds where value <= limit; `config` names the configuration. */
void nisim_claim_see(struct nisim_claim *c, double value, double limit, const char *config);

struct nisim_sweep {
    const struct nisim_config *base;
    uint64_t seed;
    int samples, jobs;
};

/* Which mechanism when: each corner of the paper's ranges, `samples` times with what is assumed drawn anew.
 */
int nisim_sweep_mechanisms(const struct nisim_sweep *s, struct nisim_claims *out, FILE *svg);
/* How much send-side buffering. */
int nisim_sweep_buffer(const struct nisim_sweep *s, struct nisim_claims *out, FILE *svg);
/* Where DMA overtakes PIO. */
int nisim_sweep_pio(const struct nisim_sweep *s, struct nisim_claims *out, FILE *svg);

/* Sets the i-th corner of the paper's ranges, 0 to 63, or its middle. */
#define NISIM_CORNERS 64
void nisim_corner(struct nisim_config *c, int i);
double nisim_pick(struct nisim_random *r, const double *of, int count);
/* "2 GHz, 4 contexts, …" */
void nisim_describe(const struct nisim_config *c, char *out, size_t len);
/* Calls one(ctx, i) for each i below count on `jobs` threads; the first error. */
int nisim_parallel(int count, int jobs, int (*one)(void *ctx, int i), void *ctx);

/* What a sweep asks: it is run at each corner of the paper's ranges and in their middle, `samples` times, and
 * then seen in order. */
struct nisim_question {
    size_t
        point_bytes; /* a point begins with its struct nisim_config, which is at its corner when it is run */
    uint64_t draws;  /* point i draws from the stream `draws` + i */
    int (*run)(void *point, struct nisim_random *r, uint64_t seed); /* on any of the threads */
    void (*name)(void *claims, struct nisim_claims *out);           /* adds what it claims */
    void (*see)(void *claims, const void *point);
    int (*draw)(const struct nisim_sweep *s, FILE *svg);
};
int nisim_ask(const struct nisim_sweep *s, const struct nisim_question *q, void *claims,
              struct nisim_claims *out, FILE *svg);

#endif
