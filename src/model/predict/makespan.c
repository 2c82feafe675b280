/* Makespan: an event simulation of an application of independent blocks on the devices of several nodes.
 *
 * DESIGN NOTES. A device fetches a block's operands, computes it, and sends the result home; with prefetch
 * the three overlap. Between two events all rates are constant, so the next event is the least of what is
 * left over its rate: exact, without time steps. A device has at most one transfer a direction and one
 * computation under way, so an event costs a pass over the devices, which for some tens of them is cheaper
 * than a queue of events. Nothing is allocated. */
#include "base/error.h"
#include "model/predict/predict.h"

#include <math.h>
#include <string.h>

#define DEVICES WEFT_MAKESPAN_DEVICES_MAX
#define NODES   WEFT_MAKESPAN_NODES_MAX
#define BLOCKS  WEFT_MAKESPAN_BLOCKS_MAX
#define SLICES  WEFT_MAKESPAN_SLICES_MAX
#define AHEAD   WEFT_MAKESPAN_PREFETCH_MAX
#define NOTHING (-1)
#define ROW     1u /* the operands that a fetch carries */
#define COLUMN  2u

enum { IN, OUT, DIRECTIONS };
enum slice_state { ABSENT, UNDER_WAY, THERE };

/* One direction of the network: the devices whose transfers wait or move, in the order of their requests. */
struct direction {
    int queue[DEVICES], n;
    int of_node[NODES];
};

struct device {
    int node;
    double block_s;
    int fetching, ready[AHEAD + 1], ready_n, computing, unsent; /* blocks */
    unsigned carries;
    bool moving[DIRECTIONS], over;
    double left_B[DIRECTIONS], compute_s; /* what is left of what is under way */
    int taken;
};

struct run {
    const struct weft_block_app *app;
    const struct weft_block_cluster *cluster;
    const struct weft_block_policy *policy;
    double now_s, end_s, moved_B[DIRECTIONS];
    int blocks, untaken, next;
    struct direction direction[DIRECTIONS];
    struct device device[DEVICES];
    bool taken[BLOCKS];
    unsigned char slice[NODES][SLICES];
};

/* -- Operands -- */

static int row_of(const struct run *r, int block) { return block / r->app->columns; }
static int column_of(const struct run *r, int block) { return r->app->rows + block % r->app->columns; }

/* What a fetch of the block to the node has to carry, and how much that is. */
static unsigned missing(const struct run *r, int node, int block, double *bytes) {
    unsigned carries = ROW | COLUMN;
    if (node == 0) carries = 0;
    if (carries && r->policy->operands_once) {
        if (r->slice[node][row_of(r, block)] != ABSENT) carries &= ~ROW;
        if (r->slice[node][column_of(r, block)] != ABSENT) carries &= ~COLUMN;
    }
    *bytes = (carries & ROW ? r->app->row_B : 0) + (carries & COLUMN ? r->app->column_B : 0);
    return carries;
}

static void mark(struct run *r, const struct device *d, enum slice_state to) {
    if (d->carries & ROW) r->slice[d->node][row_of(r, d->fetching)] = to;
    if (d->carries & COLUMN) r->slice[d->node][column_of(r, d->fetching)] = to;
}

static bool operands_there(const struct run *r, const struct device *d) {
    if (d->moving[IN]) return false;
    if (d->node == 0 || !r->policy->operands_once) return true;
    return r->slice[d->node][row_of(r, d->fetching)] == THERE &&
           r->slice[d->node][column_of(r, d->fetching)] == THERE;
}

/* The next block for a node: the first that is left, or, if operands are kept, what needs fewest new ones. */
static int choose(struct run *r, int node) {
    while (r->taken[r->next]) r->next++;
    if (!r->policy->operands_once || node == 0) return r->next;
    int best = r->next;
    double least_B, bytes;
    missing(r, node, best, &least_B);
    for (int b = best + 1; b < r->blocks && least_B > 0; b++) {
        if (r->taken[b]) continue;
        missing(r, node, b, &bytes);
        if (bytes < least_B) best = b, least_B = bytes;
    }
    return best;
}

/* -- The network -- */

static void enqueue(struct run *r, int way, int i, double bytes) {
    struct direction *q = &r->direction[way];
    struct device *d = &r->device[i];
    d->moving[way] = true;
    d->left_B[way] = bytes;
    r->moved_B[way] += bytes;
    q->queue[q->n++] = i;
    q->of_node[d->node]++;
}

static void dequeue(struct run *r, int way, int at) {
    struct direction *q = &r->direction[way];
    struct device *d = &r->device[q->queue[at]];
    d->moving[way] = false;
    q->of_node[d->node]--;
    q->n--;
    memmove(q->queue + at, q->queue + at + 1, (size_t)(q->n - at) * sizeof *q->queue);
}

static double slower(double a, double b) { return a < b ? a : b; }

/* The rate of a transfer: what both ends' cards have for it. */
static double rate_Bps(const struct run *r, const struct direction *q, int node) {
    const double *nic = r->cluster->nic_Bps;
    if (r->policy->nic == WEFT_NIC_FIFO) return slower(nic[0], nic[node]);
    return slower(nic[0] / q->n, nic[node] / q->of_node[node]);
}

/* How many of a direction's transfers move now. */
static int moving(const struct run *r, const struct direction *q) {
    return r->policy->nic == WEFT_NIC_FIFO && q->n > 1 ? 1 : q->n;
}

/* -- Taking blocks -- */

/* When a device could have one block more at home, and how long each further one takes: without waiting for
 * others on the network, but for what stands in the way already. */
static double finish_s(const struct run *r, const struct device *d, double in_B, double *each_s) {
    double nic_Bps = slower(r->cluster->nic_Bps[0], r->cluster->nic_Bps[d->node]), queued_B = in_B;
    double free_s = (d->computing != NOTHING ? d->compute_s : 0) + d->ready_n * d->block_s;
    if (d->fetching != NOTHING) free_s += d->block_s;
    *each_s = d->block_s;
    if (d->node == 0) return r->now_s + free_s + d->block_s;
    double out_s = r->app->result_B / nic_Bps, in_s;
    const struct direction *in = &r->direction[IN];
    for (int i = 0; i < in->n; i++) queued_B += r->device[in->queue[i]].left_B[IN];
    in_s = queued_B / nic_Bps;
    if (!r->policy->prefetch) *each_s += in_B / nic_Bps + out_s;
    if (!r->policy->prefetch)
        return r->now_s + free_s + (d->moving[OUT] ? out_s : 0) + in_s + d->block_s + out_s;
    return r->now_s + (in_s > free_s ? in_s : free_s) + d->block_s + out_s;
}

/* Whether the others can have all that is left at home before this device has one block more. */
static bool others_are_sooner(const struct run *r, const struct device *d) {
    double in_B = r->app->row_B + r->app->column_B, each_s, mine_s = finish_s(r, d, in_B, &each_s);
    int sum = 0;
    for (int i = 0; i < r->cluster->devices && sum < r->untaken; i++) {
        const struct device *o = &r->device[i];
        if (o == d || o->over) continue;
        double theirs_s = finish_s(r, o, in_B, &each_s);
        if (theirs_s < mine_s) sum += 1 + (int)slower((mine_s - theirs_s) / each_s, r->untaken);
    }
    return sum >= r->untaken;
}

/* A device takes another block only when it has room for it. */
static bool has_room(const struct run *r, const struct device *d) {
    if (d->fetching != NOTHING) return false;
    if (d->node == 0) return d->computing == NOTHING && d->ready_n == 0;
    if (r->policy->prefetch) return d->ready_n < r->policy->prefetch;
    return d->computing == NOTHING && d->ready_n == 0 && d->unsent == 0;
}

static bool refuses(const struct run *r, int i) {
    const struct device *d = &r->device[i];
    if (r->policy->blocks) return d->taken >= r->policy->blocks[i];
    return r->policy->tail_aware && others_are_sooner(r, d);
}

static void take(struct run *r, int i) {
    struct device *d = &r->device[i];
    int block = choose(r, d->node);
    double bytes;
    r->taken[block] = true;
    r->untaken--;
    d->taken++;
    d->fetching = block;
    d->carries = missing(r, d->node, block, &bytes);
    if (bytes > 0) enqueue(r, IN, i, bytes);
    if (r->policy->operands_once) mark(r, d, bytes > 0 ? UNDER_WAY : THERE);
}

static void begin(struct device *d) {
    d->computing = d->ready[0];
    d->compute_s = d->block_s;
    d->ready_n--;
    memmove(d->ready, d->ready + 1, (size_t)d->ready_n * sizeof *d->ready);
}

/* Everything that a device can start now. */
static void settle(struct run *r, int i) {
    struct device *d = &r->device[i];
    for (bool again = true; again;) {
        again = false;
        if (d->fetching != NOTHING && operands_there(r, d)) {
            d->ready[d->ready_n++] = d->fetching;
            d->fetching = NOTHING;
        }
        if (d->computing == NOTHING && d->ready_n) {
            begin(d);
            again = true;
        }
        if (d->over || !has_room(r, d)) continue;
        if (!r->untaken || refuses(r, i)) {
            d->over = true;
        } else {
            take(r, i);
            again = true;
        }
    }
    if (d->unsent && !d->moving[OUT]) enqueue(r, OUT, i, r->app->result_B);
}

/* -- Events -- */

/* The least time to the next end of anything; INFINITY: nothing is under way. */
static double next_event_s(const struct run *r) {
    double least_s = INFINITY;
    for (int i = 0; i < r->cluster->devices; i++)
        if (r->device[i].computing != NOTHING) least_s = slower(least_s, r->device[i].compute_s);
    for (int way = 0; way < DIRECTIONS; way++) {
        const struct direction *q = &r->direction[way];
        for (int i = 0, n = moving(r, q); i < n; i++) {
            const struct device *d = &r->device[q->queue[i]];
            least_s = slower(least_s, d->left_B[way] / rate_Bps(r, q, d->node));
        }
    }
    return least_s;
}

/* Less than this part of a block is rounding. */
#define ROUNDING 1e-9

static void arrived(struct run *r, struct device *d, int way) {
    if (way == IN) {
        if (r->policy->operands_once) mark(r, d, THERE);
        return;
    }
    d->unsent--;
    r->end_s = r->now_s;
}

/* Transfers go on for the time that has passed; those that are over leave. */
static void pass_network(struct run *r, int way, double passed_s) {
    struct direction *q = &r->direction[way];
    double rounding_B = ROUNDING * (way == IN ? r->app->row_B + r->app->column_B : r->app->result_B);
    int n = moving(r, q);
    for (int i = 0; i < n; i++) {
        struct device *d = &r->device[q->queue[i]];
        d->left_B[way] -= passed_s * rate_Bps(r, q, d->node);
    }
    for (int i = 0, at = 0; i < n; i++) {
        struct device *d = &r->device[q->queue[at]];
        if (d->left_B[way] > rounding_B) {
            at++;
            continue;
        }
        dequeue(r, way, at);
        arrived(r, d, way);
    }
}

static void pass(struct run *r, double passed_s) {
    r->now_s += passed_s;
    for (int i = 0; i < r->cluster->devices; i++) {
        struct device *d = &r->device[i];
        if (d->computing == NOTHING) continue;
        d->compute_s -= passed_s;
        if (d->compute_s > ROUNDING * d->block_s) continue;
        d->computing = NOTHING;
        if (d->node)
            d->unsent++;
        else
            r->end_s = r->now_s;
    }
    for (int way = 0; way < DIRECTIONS; way++) pass_network(r, way, passed_s);
}

/* -- The whole -- */

static bool positive(double x) { return x > 0 && x < INFINITY; }
static bool not_negative(double x) { return x >= 0 && x < INFINITY; }

static int check_app(const struct weft_block_app *a) {
    if (a->rows < 1 || a->columns < 1) return WEFT_E_INVAL;
    if (a->rows > SLICES || a->columns > SLICES - a->rows) return WEFT_E_TOO_BIG;
    if (a->rows > BLOCKS / a->columns) return WEFT_E_TOO_BIG;
    return not_negative(a->row_B) && not_negative(a->column_B) && not_negative(a->result_B) ? WEFT_OK
                                                                                            : WEFT_E_INVAL;
}

static int check_cluster(const struct weft_block_cluster *c) {
    if (c->nodes < 1 || c->devices < 1) return WEFT_E_INVAL;
    if (c->nodes > NODES || c->devices > DEVICES) return WEFT_E_TOO_BIG;
    for (int i = 0; i < c->nodes; i++)
        if (!positive(c->nic_Bps[i])) return WEFT_E_INVAL;
    for (int i = 0; i < c->devices; i++) {
        const struct weft_block_device *d = &c->device[i];
        if (d->node < 0 || d->node >= c->nodes || !positive(d->block_s)) return WEFT_E_INVAL;
    }
    return WEFT_OK;
}

static int check_policy(const struct weft_block_policy *p, const struct weft_block_cluster *c, int blocks) {
    if (p->nic != WEFT_NIC_SHARED && p->nic != WEFT_NIC_FIFO) return WEFT_E_INVAL;
    if (p->prefetch < 0 || p->prefetch > AHEAD) return WEFT_E_INVAL;
    if (!p->blocks) return WEFT_OK;
    for (int i = 0; i < c->devices; i++) {
        if (p->blocks[i] < 0 || p->blocks[i] > blocks) return WEFT_E_INVAL;
        blocks -= p->blocks[i];
    }
    return blocks == 0 ? WEFT_OK : WEFT_E_INVAL;
}

static void prepare(struct run *r) {
    const struct weft_block_cluster *c = r->cluster;
    r->now_s = r->end_s = 0;
    r->blocks = r->untaken = r->app->rows * r->app->columns;
    r->next = 0;
    memset(r->taken, 0, (size_t)r->blocks);
    for (int way = 0; way < DIRECTIONS; way++) {
        r->moved_B[way] = 0;
        r->direction[way].n = 0;
        memset(r->direction[way].of_node, 0, (size_t)c->nodes * sizeof(int));
    }
    for (int i = 0; i < c->devices; i++)
        r->device[i] = (struct device){.node = c->device[i].node,
                                       .block_s = c->device[i].block_s,
                                       .fetching = NOTHING,
                                       .computing = NOTHING};
    if (r->policy->operands_once) memset(r->slice, ABSENT, (size_t)c->nodes * sizeof *r->slice);
}

int weft_makespan(const struct weft_block_app *app, const struct weft_block_cluster *cluster,
                  const struct weft_block_policy *policy, struct weft_makespan *out) {
    struct run r;
    int rc = check_app(app);
    if (!rc) rc = check_cluster(cluster);
    if (!rc) rc = check_policy(policy, cluster, app->rows * app->columns);
    if (rc) return rc;
    r.app = app, r.cluster = cluster, r.policy = policy;
    prepare(&r);
    for (double least_s;; pass(&r, least_s)) {
        for (int i = 0; i < cluster->devices; i++) settle(&r, i);
        least_s = next_event_s(&r);
        if (isinf(least_s)) break;
    }
    out->seconds = r.end_s;
    out->sent_B = r.moved_B[IN];
    out->received_B = r.moved_B[OUT];
    for (int i = 0; i < cluster->devices; i++) out->blocks[i] = r.device[i].taken;
    return WEFT_OK;
}
