/* SCOTCH, as far as placements need it: see scotch_map.h, and place_process.c for its peculiarities. */
#include "model/predict/scotch_map.h"

#include "base/error.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <scotch.h>

/* SCOTCH's weights are integers, and it adds them up: the sum of all stays below this. */
#define WEIGHT_SUM 1e8

static pthread_mutex_t scotch_lock = PTHREAD_MUTEX_INITIALIZER;

/* -- The graph -- */

static int compare(const void *a, const void *b) {
    const struct weft_flow *x = a, *y = b;
    if (x->from != y->from) return (x->from > y->from) - (x->from < y->from);
    return (x->to > y->to) - (x->to < y->to);
}

/* Both directions of each flow, sorted, equal pairs added up; how many there are. */
static size_t pairs_of(struct weft_flow *pair, const struct weft_flow *flow, size_t flows) {
    size_t n = 0, merged = 0;
    for (size_t i = 0; i < flows; i++) {
        if (flow[i].from == flow[i].to || flow[i].bytes == 0) continue;
        pair[n++] = flow[i];
        pair[n++] = (struct weft_flow){flow[i].to, flow[i].from, flow[i].bytes};
    }
    qsort(pair, n, sizeof *pair, compare);
    for (size_t i = 0; i < n; i++) {
        if (merged && !compare(&pair[merged - 1], &pair[i]))
            pair[merged - 1].bytes += pair[i].bytes;
        else
            pair[merged++] = pair[i];
    }
    return merged;
}

int scotch_graph_make(struct scotch_graph *g, const struct weft_flow *flow, size_t flows, int processes) {
    struct weft_flow *pair = malloc((2 * flows + 1) * sizeof *pair);
    size_t n = pair ? pairs_of(pair, flow, flows) : 0;
    g->first = calloc((size_t)processes + 1, sizeof *g->first);
    g->neighbour = malloc((n + 1) * sizeof *g->neighbour);
    g->bytes = malloc((n + 1) * sizeof *g->bytes);
    int rc = pair && g->first && g->neighbour && g->bytes ? WEFT_OK : WEFT_E_NOMEM;
    for (size_t i = 0; !rc && i < n; i++) {
        g->first[pair[i].from + 1]++;
        g->neighbour[i] = pair[i].to;
        g->bytes[i] = pair[i].bytes;
    }
    for (int p = 0; !rc && p < processes; p++) g->first[p + 1] += g->first[p];
    free(pair);
    return rc;
}

void scotch_graph_free(struct scotch_graph *g) {
    free(g->first);
    free(g->neighbour);
    free(g->bytes);
}

/* -- The mapping -- */

struct mapping {
    SCOTCH_Num *vertices, *edges, *weights, *parts, *slots,
        *domain_of; /* domain_of: the node of each domain */
    SCOTCH_Num domains;
};

static void free_mapping(struct mapping *m) {
    free(m->vertices);
    free(m->edges);
    free(m->weights);
    free(m->parts);
    free(m->slots);
    free(m->domain_of);
}

static void *numbers(size_t n) { return calloc(n + 1, sizeof(SCOTCH_Num)); }

static int make_mapping(struct mapping *m, const struct scotch_graph *g, int processes, const int *slots,
                        int nodes) {
    size_t edges = (size_t)g->first[processes];
    double sum = 0;
    m->vertices = numbers((size_t)processes + 1);
    m->edges = numbers(edges);
    m->weights = numbers(edges);
    m->parts = numbers((size_t)processes);
    m->slots = numbers((size_t)nodes);
    m->domain_of = numbers((size_t)nodes);
    if (!m->vertices || !m->edges || !m->weights || !m->parts || !m->slots || !m->domain_of)
        return WEFT_E_NOMEM;
    for (int p = 0; p <= processes; p++) m->vertices[p] = g->first[p];
    for (size_t i = 0; i < edges; i++) sum += g->bytes[i];
    for (size_t i = 0; i < edges; i++) {
        m->edges[i] = g->neighbour[i];
        m->weights[i] = 1 + (SCOTCH_Num)(g->bytes[i] / sum * WEIGHT_SUM);
    }
    for (int n = 0; n < nodes; n++) {
        if (!slots[n]) continue; /* a domain of no weight is not taken */
        m->domain_of[m->domains] = n;
        m->slots[m->domains++] = slots[n];
    }
    return WEFT_OK;
}

/* A complete graph of nodes with their slots as weights. */
static int map_graph(SCOTCH_Graph *graph, const struct mapping *m) {
    SCOTCH_Arch arch;
    SCOTCH_Strat strategy;
    if (SCOTCH_archInit(&arch)) return WEFT_E_NOMEM;
    int bad = SCOTCH_archCmpltw(&arch, m->domains, m->slots);
    if (!bad && !(bad = SCOTCH_stratInit(&strategy))) {
        bad = SCOTCH_graphMap(graph, &arch, &strategy, m->parts);
        SCOTCH_stratExit(&strategy);
    }
    SCOTCH_archExit(&arch);
    return bad ? WEFT_E_NOMEM : WEFT_OK;
}

/* With a context of its own: one thread (by default SCOTCH starts one for each CPU, and the answer depends on
 * how they run), and a random generator that starts with the seed. */
static int map_in_context(SCOTCH_Graph *graph, const struct mapping *m, uint64_t seed) {
    SCOTCH_Context context;
    SCOTCH_Graph bound;
    int rc = WEFT_E_NOMEM;
    if (SCOTCH_contextInit(&context)) return WEFT_E_NOMEM;
    if (SCOTCH_contextRandomClone(&context) || SCOTCH_contextThreadSpawn(&context, 1, NULL) ||
        SCOTCH_contextOptionSetNum(&context, SCOTCH_OPTIONNUMDETERMINISTIC, 1))
        goto out;
    SCOTCH_contextRandomSeed(&context, (SCOTCH_Num)(seed & 0x7fffffff));
    SCOTCH_contextRandomReset(&context);
    if (SCOTCH_graphInit(&bound)) goto out;
    if (!SCOTCH_contextBindGraph(&context, graph, &bound)) rc = map_graph(&bound, m);
    SCOTCH_graphExit(&bound);
out:
    SCOTCH_contextExit(&context);
    return rc;
}

static int build_and_map(const struct mapping *m, int processes, uint64_t seed) {
    SCOTCH_Graph graph;
    if (SCOTCH_graphInit(&graph)) return WEFT_E_NOMEM;
    int rc = WEFT_E_NOMEM;
    if (!SCOTCH_graphBuild(&graph, 0, processes, m->vertices, NULL, NULL, NULL, m->vertices[processes],
                           m->edges, m->weights))
        rc = map_in_context(&graph, m, seed);
    SCOTCH_graphExit(&graph);
    return rc;
}

int scotch_map(const struct scotch_graph *g, int processes, const int *slots, int nodes, uint64_t seed,
               int *node_of) {
    struct mapping m = {0};
    int rc = make_mapping(&m, g, processes, slots, nodes);
    if (!rc && m.domains > 1 && processes > 1) {
        pthread_mutex_lock(&scotch_lock);
        rc = build_and_map(&m, processes, seed);
        pthread_mutex_unlock(&scotch_lock);
    }
    for (int p = 0; !rc && p < processes; p++) node_of[p] = (int)m.domain_of[m.parts[p]];
    free_mapping(&m);
    return rc;
}
