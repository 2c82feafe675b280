/* Fitting, inside: forms that are tried, and the choice among them. */
#ifndef WEFT_MODEL_MEASURE_FIT_H
#define WEFT_MODEL_MEASURE_FIT_H
#include "model/predict/predict.h"

#define FIT_POINTS_MAX 64
#define FIT_KNEES_MAX  WEFT_CURVE_KNEES_MAX

struct fit_points {
    double x[FIT_POINTS_MAX], y[FIT_POINTS_MAX]; /* by x */
    size_t n;
};

/* Where curves may break or bend, as far as it is known. */
struct fit_knows {
    double cut[4]; /* cut-offs of the transport */
    unsigned cuts;
    double capacity[FIT_KNEES_MAX]; /* of caches, the smallest first */
    unsigned capacities;
};

/* Each sets the form and its parameters; an error: so few points do not determine it. */
typedef int fit_form(const struct fit_knows *k, const struct fit_points *p, struct weft_curve *out);

/* A path (fit_path.c): straight lines between one, two of the cut-offs, the same bent at the caches'
 * capacities, or wherever the points want them. */
extern fit_form *const fit_path_forms[];
extern const size_t fit_path_form_count;

/* Fits that form which tells best what it was not fitted to: each point but the first and the last is left
 * out once (fit_choose.c). Of equals the first. */
int fit_choose(fit_form *const *forms, size_t count, const struct fit_knows *k, const struct fit_points *p,
               struct weft_curve *out);

struct fit_judged {
    double x[FIT_POINTS_MAX], measured[FIT_POINTS_MAX], predicted[FIT_POINTS_MAX];
    size_t n;
};
/* What the choice is worth: it is made anew without each point but the first and the last, which then is
 * told. So a point that is judged has taken no part in the fit and none in the choice. */
int fit_judge(fit_form *const *forms, size_t count, const struct fit_knows *k, const struct fit_points *p,
              struct fit_judged *out);

#endif
