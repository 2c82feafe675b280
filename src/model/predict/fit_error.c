/* The errors of predictions: median, 95th percentile, maximum, mean. */
#include "base/error.h"
#include "model/predict/predict.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int weft_fit_error(const double *predicted, const double *measured, size_t n, struct weft_fit_error *out) {
    if (!n) {
        *out = (struct weft_fit_error){.median = NAN, .p95 = NAN, .max = NAN, .mean = NAN};
        return WEFT_OK;
    }
    double *e = malloc(n * sizeof *e), sum = 0;
    if (!e) return WEFT_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        e[i] = fabs(predicted[i] / measured[i] - 1);
        sum += e[i];
    }
    if (!isfinite(sum)) {
        free(e);
        return WEFT_E_INVAL;
    }
    qsort(e, n, sizeof *e, compare);
    *out = (struct weft_fit_error){.points = n,
                                   .median = n % 2 ? e[n / 2] : (e[n / 2 - 1] + e[n / 2]) / 2,
                                   .p95 = e[(size_t)ceil(0.95 * (double)n) - 1],
                                   .max = e[n - 1],
                                   .mean = sum / (double)n};
    free(e);
    return WEFT_OK;
}
