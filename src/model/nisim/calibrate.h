/* Calibration against a real machine: measured notification latencies (rows of `weft bench notify --json`),
 * the terms of a receiver on today's kernel (receiver.h) fitted on half of them, and the other half
 * predicted. */
#ifndef WEFT_MODEL_NISIM_CALIBRATE_H
#define WEFT_MODEL_NISIM_CALIBRATE_H
#include "model/nisim/receiver.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct nisim_measured {
    struct nisim_arrivals at;
    double median_us;
    size_t first; /* the first row of the same mechanism, place, load and rate */
    bool fitted;  /* else held out */
    double predicted_us;
};
struct nisim_calibration {
    struct nisim_measured *row;
    size_t rows, cap, skipped; /* skipped: rows of other benchmarks, and what is no use here */
    int parameters;
    struct nisim_receiver receiver; /* as fitted on the half that is told */
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
