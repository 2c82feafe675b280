/* The fits of the forms of curves. Each sets the curve's parameters, and nothing on an error; `c->form` is
 * set already. Points are sorted by x. */
#ifndef WEFT_MODEL_PREDICT_CURVE_FORMS_H
#define WEFT_MODEL_PREDICT_CURVE_FORMS_H
#include "model/predict/predict.h"

struct curve_sample {
    double x, y;
};
struct curve_points {
    const double *x, *y;
    size_t n;
};

int curve_fit_constant(struct curve_points p, struct weft_curve *c);
int curve_fit_affine(struct curve_points p, struct weft_curve *c);
int curve_fit_saturating(struct curve_points p, struct weft_curve *c);
int curve_fit_queue(struct curve_points p, struct weft_curve *c);
int curve_fit_table(struct curve_points p, struct weft_curve *c);
/* At most so many pieces; fewer where more do not pay (an information criterion decides). */
int curve_fit_piecewise(struct curve_points p, unsigned pieces, struct weft_curve *c);
int curve_fit_tier(struct curve_points p, const double *knees, unsigned n, struct weft_curve *c);
/* Searches n capacities. */
int curve_search_tier(struct curve_points p, unsigned n, struct weft_curve *c);

#endif
