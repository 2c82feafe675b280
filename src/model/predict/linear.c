/* Linear least squares: see linear.h. */
#include "model/predict/linear.h"

#include <math.h>
#include <string.h>

void linear_init(struct linear *l, int unknowns) {
    memset(l, 0, sizeof *l);
    l->unknowns = unknowns;
}

void linear_add(struct linear *l, const double *row, double y) {
    for (int i = 0; i < l->unknowns; i++) {
        for (int j = 0; j < l->unknowns; j++) l->a[i][j] += row[i] * row[j];
        l->b[i] += row[i] * y;
    }
    l->yy += y * y;
}

/* A pivot below this, of columns scaled to 1, is rounding. */
#define PIVOT_LEAST 1e-12

static int pivot_of(double m[LINEAR_MAX][LINEAR_MAX + 1], int n, int column) {
    int best = column;
    for (int r = column + 1; r < n; r++)
        if (fabs(m[r][column]) > fabs(m[best][column])) best = r;
    return best;
}

/* Gauss-Jordan with pivoting by rows. */
static bool eliminate(double m[LINEAR_MAX][LINEAR_MAX + 1], int n) {
    for (int c = 0; c < n; c++) {
        int p = pivot_of(m, n, c);
        double row[LINEAR_MAX + 1];
        if (!(fabs(m[p][c]) > PIVOT_LEAST)) return false;
        memcpy(row, m[p], sizeof row);
        memcpy(m[p], m[c], sizeof row);
        memcpy(m[c], row, sizeof row);
        for (int r = 0; r < n; r++) {
            double f = r == c ? 0 : m[r][c] / m[c][c];
            for (int k = c; f != 0 && k <= n; k++) m[r][k] -= f * m[c][k];
        }
    }
    return true;
}

bool linear_solve(const struct linear *l, double ridge, double *x) {
    double m[LINEAR_MAX][LINEAR_MAX + 1], scale[LINEAR_MAX];
    int n = l->unknowns;
    for (int i = 0; i < n; i++) {
        if (!(l->a[i][i] > 0) && !ridge) return false;
        scale[i] = l->a[i][i] > 0 ? 1 / sqrt(l->a[i][i]) : 0;
    }
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) m[i][j] = l->a[i][j] * scale[i] * scale[j];
        m[i][i] += ridge;
        m[i][n] = l->b[i] * scale[i];
    }
    if (!eliminate(m, n)) return false;
    for (int i = 0; i < n; i++) x[i] = m[i][n] / m[i][i] * scale[i];
    return true;
}

double linear_rest(const struct linear *l, const double *x) {
    double rest = l->yy;
    for (int i = 0; i < l->unknowns; i++) {
        double ax = 0;
        for (int j = 0; j < l->unknowns; j++) ax += l->a[i][j] * x[j];
        rest += x[i] * (ax - 2 * l->b[i]);
    }
    return rest > 0 ? rest : 0;
}
