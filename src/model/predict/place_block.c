/* Placement of blocks on devices beforehand: a local search over the simulated makespan. A graph partitioner
 * does not do: it balances loads and knows neither the makespan nor what feeding a device costs. */
#include "base/error.h"
#include "model/predict/predict.h"

#include <math.h>
#include <string.h>

struct counts {
    const struct weft_block_app *app;
    const struct weft_block_cluster *cluster;
    struct weft_block_policy policy; /* whose blocks are `blocks` */
    int blocks[WEFT_MAKESPAN_DEVICES_MAX];
    double least_s;
};

/* Moves `n` blocks from one device to another if that is sooner. */
static bool shift(struct counts *c, int from, int to, int n) {
    struct weft_makespan m;
    if (from == to || c->blocks[from] < n) return false;
    c->blocks[from] -= n;
    c->blocks[to] += n;
    if (!weft_makespan(c->app, c->cluster, &c->policy, &m) && m.seconds < c->least_s * (1 - 1e-9)) {
        c->least_s = m.seconds;
        return true;
    }
    c->blocks[from] += n;
    c->blocks[to] -= n;
    return false;
}

static bool round_of_shifts(struct counts *c, int n) {
    bool better = false;
    for (int from = 0; from < c->cluster->devices; from++)
        for (int to = 0; to < c->cluster->devices; to++) better |= shift(c, from, to, n);
    return better;
}

/* A local search from the counts that are there; kept in `best` if it is sooner. */
static int search(struct counts *c, struct counts *best) {
    struct weft_makespan m;
    int rc = weft_makespan(c->app, c->cluster, &c->policy, &m);
    if (rc) return rc;
    c->least_s = m.seconds;
    for (int n = c->app->rows * c->app->columns; n > 0; n /= 2)
        while (round_of_shifts(c, n)) {
        }
    if (!(c->least_s < best->least_s)) return WEFT_OK;
    best->least_s = c->least_s;
    memcpy(best->blocks, c->blocks, sizeof best->blocks);
    return WEFT_OK;
}

/* From what the devices take by themselves, aware of the tail or not. */
static int search_dynamic(struct counts *c, struct counts *best, bool tail_aware) {
    struct weft_block_policy dynamic = c->policy;
    struct weft_makespan m;
    dynamic.blocks = NULL;
    dynamic.tail_aware = tail_aware;
    int rc = weft_makespan(c->app, c->cluster, &dynamic, &m);
    if (rc) return rc;
    memcpy(c->blocks, m.blocks, (size_t)c->cluster->devices * sizeof *c->blocks);
    return search(c, best);
}

static int search_one(struct counts *c, struct counts *best, int device) {
    memset(c->blocks, 0, sizeof c->blocks);
    c->blocks[device] = c->app->rows * c->app->columns;
    return search(c, best);
}

/* With few devices the search also starts from all blocks on one of them: it stops at the first hill. */
#define FEW 16

int weft_place_blocks(const struct weft_block_app *app, const struct weft_block_cluster *cluster,
                      const struct weft_block_policy *policy, int *blocks, struct weft_makespan *out) {
    struct counts c = {.app = app, .cluster = cluster, .policy = *policy}, best = {.least_s = INFINITY};
    c.policy.blocks = c.blocks;
    c.policy.tail_aware = false; /* the counts decide */
    int rc = search_dynamic(&c, &best, false);
    if (!rc) rc = search_dynamic(&c, &best, true);
    for (int i = 0; !rc && cluster->devices <= FEW && i < cluster->devices; i++)
        rc = search_one(&c, &best, i);
    if (rc) return rc;
    c.policy.blocks = best.blocks;
    rc = weft_makespan(app, cluster, &c.policy, out);
    if (!rc) memcpy(blocks, best.blocks, (size_t)cluster->devices * sizeof *blocks);
    return rc;
}
