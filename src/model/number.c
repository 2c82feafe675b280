/* Numbers as text: the shortest that is read as the same. */
#include "model/model_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool fits(const char *text, double factor, double value) {
    return strtod(text, NULL) * factor == value;
}

void model_number_text(double value, double factor, char *out, size_t cap) {
    double near = value / factor + 0.0; /* no sign before a zero: "-0" is read as the integer 0 */
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, cap, "%.*g", digits, near);
        if (fits(out, factor, value)) return;
    }
    /* The division was rounded: one of its neighbours is what was written. */
    double up = nextafter(near, INFINITY), down = nextafter(near, -INFINITY);
    const double others[] = {up, down, nextafter(up, INFINITY), nextafter(down, -INFINITY)};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(out, cap, "%.17g", others[i]);
        if (fits(out, factor, value)) return;
    }
    snprintf(out, cap, "%.17g", near);
}

/* The units for people, the largest first. */
static const char *const shown[WEFT_MODEL_DIMS_COUNT][6] = {
    [WEFT_MODEL_DIM_COUNT] = {"1"},
    [WEFT_MODEL_DIM_TIME] = {"s", "ms", "us", "ns", "ps"},
    [WEFT_MODEL_DIM_SIZE] = {"PiB", "TiB", "GiB", "MiB", "KiB", "B"},
    [WEFT_MODEL_DIM_RATE] = {"TB/s", "GB/s", "MB/s", "kB/s", "B/s"},
    [WEFT_MODEL_DIM_TIME_PER_SIZE] = {"s/B", "ns/B", "ps/B"},
    [WEFT_MODEL_DIM_FREQUENCY] = {"GHz", "MHz", "kHz", "1/s"},
    [WEFT_MODEL_DIM_WORK] = {"Top", "Gop", "Mop", "kop", "op"},
    [WEFT_MODEL_DIM_WORK_RATE] = {"Top/s", "Gop/s", "Mop/s", "op/s"},
    [WEFT_MODEL_DIM_POWER] = {"kW", "W", "mW"},
    [WEFT_MODEL_DIM_ENERGY] = {"J"},
};

void weft_model_quantity(double value, enum weft_model_dimension d, char *out, size_t cap) {
    if (d == WEFT_MODEL_DIM_COUNT || value == 0) {
        snprintf(out, cap, d == WEFT_MODEL_DIM_COUNT ? "%.6g" : "%g %s", value, weft_model_si_unit(d));
        return;
    }
    enum weft_model_dimension dimension;
    double factor = 1;
    const char *unit = NULL;
    for (size_t i = 0; i < 6 && shown[d][i] && (i == 0 || fabs(value) < factor * 0.9995); i++) {
        unit = shown[d][i];
        weft_model_unit(unit, &dimension, &factor);
    }
    snprintf(out, cap, "%.4g %s", value / factor, unit);
}
