/* Where queueing theory, LogGP or the paper's own arithmetic give a result in closed form, the simulator has
 * to give the same. */
#ifndef WEFT_MODEL_NISIM_CHECK_H
#define WEFT_MODEL_NISIM_CHECK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nisim_check {
    char what[96];
    const char *unit;
    double expected, simulated;
    bool counts; /* false: shown where the closed form does not hold, and no failure */
};
#define NISIM_CHECKS_MAX      32
#define NISIM_CHECK_TOLERANCE 0.05

/* The number of checks, or an error. */
int nisim_check_all(uint64_t seed, struct nisim_check *out);
static inline double nisim_check_error(const struct nisim_check *c) {
    return c->expected ? c->simulated / c->expected - 1 : c->simulated;
}

#endif
