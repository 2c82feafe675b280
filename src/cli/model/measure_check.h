/* weft model measure --check, inside. */
#ifndef WEFT_CLI_MODEL_MEASURE_CHECK_H
#define WEFT_CLI_MODEL_MEASURE_CHECK_H
#include "cli/model/measure.h"
#include "cli/output.h"

struct measure_check {
    struct measuring *g;
    bool json, points, good; /* points: each that is judged is told */
    struct table t, each;
};

/* `wanted` 0: nothing is. */
void measure_check_tell(struct measure_check *c, const char *what, const struct weft_fit_error *e,
                        double wanted);
void measure_check_point(struct measure_check *c, const char *what, double x, double measured,
                         double predicted);
/* Of every OpenCL device. */
int measure_check_kernels(struct measure_check *c);

#endif
