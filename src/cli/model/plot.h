/* weft model plot: its pictures. Each writes the script of a drawing tool; false after a message. */
#ifndef WEFT_CLI_MODEL_PLOT_H
#define WEFT_CLI_MODEL_PLOT_H
#include "cli/model/application.h"

#include <stdio.h>

struct plot_call {
    const struct command *c;
    const struct weft_model *m;
    const char *in, *on; /* NULL: not said */
};

bool plot_topology(const struct plot_call *call, FILE *f); /* for dot */
bool plot_ladder(const struct plot_call *call, FILE *f);   /* for gnuplot, as the next two */
bool plot_roofline(const struct plot_call *call, FILE *f);
bool plot_predicted(const struct plot_call *call, FILE *f);

#endif
