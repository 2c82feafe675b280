/* Drawings: timelines of journeys and plots of lines, as SVG that is readable in black and white. */
#ifndef WEFT_MODEL_NISIM_SVG_H
#define WEFT_MODEL_NISIM_SVG_H
#include "model/nisim/journey.h"

#include <stdio.h>

/* A message's way, lanes downwards and time to the right: the paper's figure 1 (kernel) or 3 (the others). 0,
 * or WEFT_E_IO. */
int nisim_svg_journeys(FILE *f, const struct nisim_journey *j, int count, double clock_Hz, double bytes);

struct nisim_curve {
    const char *name;
    const double *x, *y;
    int count;
};
struct nisim_plot {
    const char *title, *x_title, *y_title;
    bool log_x, log_y;
    const struct nisim_curve *curve;
    int curves;
};
/* Plots beside each other, `columns` in a row. */
int nisim_svg_plots(FILE *f, const struct nisim_plot *p, int count, int columns);

#endif
