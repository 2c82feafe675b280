/* Linear least squares of a few unknowns: rows are added one after another, then solved by the normal
 * equations, each column scaled so that sizes from bytes to gigabytes do not spoil it. A value type. */
#ifndef WEFT_MODEL_PREDICT_LINEAR_H
#define WEFT_MODEL_PREDICT_LINEAR_H
#include <stdbool.h>

#define LINEAR_MAX 10

struct linear {
    int unknowns;
    double a[LINEAR_MAX][LINEAR_MAX], b[LINEAR_MAX], yy; /* sums of products; of y squared */
};

void linear_init(struct linear *l, int unknowns);
/* One equation: sum of row[i] x[i] = y. */
void linear_add(struct linear *l, const double *row, double y);
/* False: the rows do not determine the unknowns. `ridge`: how strongly they are held near 0, in parts of
 * their own weight; 0 for none. With it an unknown that is in no row is 0. */
bool linear_solve(const struct linear *l, double ridge, double *x);
/* The sum of squares that is left with these unknowns. */
double linear_rest(const struct linear *l, const double *x);

#endif
