/* Calibration against a real machine: measured notification latencies (rows of `weft bench notify --json`), a
 * few parameters fitted on half of them, and the other half predicted.
 *
 * The model of a row: its mechanism has a cost; the place and the load of the receiver multiply it, in one
 * way for mechanisms that poll and in another for those that are woken by the kernel; what the rate of
 * messages does to that cost is not fitted, but simulated: a node whose kernel takes as long. If that does
 * not bring the fitted half closer, the rate is left out, and the result says so. */
#ifndef WEFT_MODEL_NISIM_CALIBRATE_H
#define WEFT_MODEL_NISIM_CALIBRATE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define NISIM_LABELS 24 /* different mechanisms, places and loads in a file, each */
struct nisim_measured {
    int mechanism, place, load; /* labels, by number */
    double rate, median_us;
    bool fitted; /* else held out */
    double predicted_us;
};
struct nisim_labels {
    char name[NISIM_LABELS][32];
    int count;
};
struct nisim_calibration {
    struct nisim_measured *row;
    size_t rows, cap, skipped; /* skipped: rows of other benchmarks */
    struct nisim_labels mechanism, place, load;
    int parameters;
    bool rate_used; /* the simulated effect of the rate is in the prediction */
    double fitted_median, fitted_p95, held_median, held_p95, held_max; /* relative errors */
    double spread_least, spread_median,
        spread_most; /* of the held-out median, over NISIM_SPLITS other halves */
};
#define NISIM_SPLITS 20

/* Rows from a file of one JSON object a line. WEFT_E_INVAL, and why with file and line. */
int nisim_calibration_read(struct nisim_calibration *c, FILE *f, const char *name, char *why, size_t why_len);
/* Fits and predicts; the seed decides which half. WEFT_E_INVAL: fewer than 8
 * rows, or than two for each parameter (c->parameters). */
int nisim_calibrate(struct nisim_calibration *c, uint64_t seed);
void nisim_calibration_fini(struct nisim_calibration *c);

#endif
