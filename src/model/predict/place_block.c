/* Placement of blocks on devices beforehand: a local search over the simulated makespan. A graph partitioner
 * does not do: it balances loads and knows neither the makespan nor what feeding a device costs. */
#include "base/error.h"
#include "model/predict/predict.h"

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

int weft_place_blocks(const struct weft_block_app *app, const struct weft_block_cluster *cluster,
                      const struct weft_block_policy *policy, int *blocks, struct weft_makespan *out) {
    struct counts c = {.app = app, .cluster = cluster, .policy = *policy};
    struct weft_makespan m;
    c.policy.blocks = NULL;
    int rc = weft_makespan(app, cluster, &c.policy, &m);
    if (rc) return rc;
    memcpy(c.blocks, m.blocks, (size_t)cluster->devices * sizeof *c.blocks);
    c.policy.blocks = c.blocks;
    c.policy.tail_aware = false; /* the counts decide */
    rc = weft_makespan(app, cluster, &c.policy, &m);
    if (rc) return rc;
    c.least_s = m.seconds;
    for (int n = app->rows * app->columns / cluster->devices; n > 0; n /= 2)
        while (round_of_shifts(&c, n)) {
        }
    rc = weft_makespan(app, cluster, &c.policy, out);
    memcpy(blocks, c.blocks, (size_t)cluster->devices * sizeof *blocks);
    return rc;
}
