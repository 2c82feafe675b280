/* A communication graph, and SCOTCH's static mapping of it. */
#ifndef WEFT_MODEL_PREDICT_SCOTCH_MAP_H
#define WEFT_MODEL_PREDICT_SCOTCH_MAP_H
#include "model/predict/predict.h"

/* The neighbours of process p are neighbour[first[p]] up to neighbour[first[p + 1]]; each pair stands there
 * twice. */
struct scotch_graph {
    int *first, *neighbour;
    double *bytes;
};

/* Flows of a pair are added up, those of a process to itself left out. WEFT_E_NOMEM. */
int scotch_graph_make(struct scotch_graph *g, const struct weft_flow *flow, size_t flows, int processes);
void scotch_graph_free(struct scotch_graph *g);

/* Sets node_of to a mapping whose loads are near the slots; they may be exceeded. */
int scotch_map(const struct scotch_graph *g, int processes, const int *slots, int nodes, uint64_t seed,
               int *node_of);

#endif
