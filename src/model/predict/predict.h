/* model/predict/predict.h: predictors and placements.
 *
 * Every function here takes plain structures and numbers, reads no file and no clock, and gives the same
 * answer each time; where chance helps, it comes from a seed. Nothing is kept between calls but what stands
 * in the caller's own structures. Read from top to bottom: how good a fit is, curves, then what is predicted
 * (transfers, memory, kernels, contention, a whole application), then what is decided (offload or not,
 * placements, policies).
 *
 * UNITS are SI: seconds, bytes, bytes a second; names end in them.
 * THREADS. Any number of threads may call these at once; weft_place_processes lets one at a time use SCOTCH.
 * ERRORS. 0 is success, negatives are the codes of weft.h: WEFT_E_INVAL for numbers that make no sense
 * (negative, NAN, infinite, an index out of range), WEFT_E_TOO_BIG beyond a limit named here, WEFT_E_NOMEM.
 * Outputs are set on success only. */
#ifndef WEFT_MODEL_PREDICT_PREDICT_H
#define WEFT_MODEL_PREDICT_PREDICT_H
#include "weft/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- How good a fit is
 * ------------------------------------------------------------------------------------------ Errors are
 * relative: |predicted / measured - 1|. A fit always tells them for the points it was made from and for those
 * that were held out; only the latter say what it is worth. */

struct weft_fit_error {
    size_t points; /* 0: there were none, and the others are NAN */
    double median, p95, max, mean;
};

/* Of n predictions; `measured` must not be 0. WEFT_E_NOMEM; WEFT_E_INVAL: a measured value is 0 or none is
 * finite. */
int weft_fit_error(const double *predicted, const double *measured, size_t n, struct weft_fit_error *out);

/* ---- Curves
 * ------------------------------------------------------------------------------------------------------- A
 * curve says how a number depends on another. Its forms, and the order of their parameters, are those of
 * `enum weft_model_form`, so that what is fitted here is kept there (weft_model_add_curve).
 *
 * The tier form is that of a memory behind buffers: L0 for what hits the nearest one, and for each buffer of
 * capacity C the time D that a miss adds; of a working set x the part 1 - C/x misses. It also describes a NIC
 * that caches the state of C connections (x: connections in use) and the burst of writes that overflows a
 * queue. */

#define WEFT_CURVE_PARAMETERS_MAX 64
#define WEFT_CURVE_KNEES_MAX      6
#define WEFT_CURVE_PIECES_MAX     8
#define WEFT_CURVE_SAMPLES_MAX    2048

struct weft_curve {
    enum weft_model_form form;
    double parameter[WEFT_CURVE_PARAMETERS_MAX];
    uint32_t parameters;
    double from, to; /* the x of the samples that it rests on */
    struct weft_fit_error fitted, held_out;
};

struct weft_curve_ask {
    enum weft_model_form form;
    const double *knees; /* TIER: the buffers' capacities, if they are known */
    unsigned knee_count; /* … how many; 0: they are searched */
    unsigned pieces;     /* PIECEWISE: at most so many pieces; TIER: so many capacities to search; 0: one */
    unsigned hold_out;   /* hold out every so manieth point, by x; 0: none, 2: every other one */
};

/* y at x, which is brought into [from, to] first for a table, and taken as it is for the other forms. */
double weft_curve_at(const struct weft_curve *c, double x);

/* Fits a form to n samples, in any order, so that the squares of the relative errors are least. Points that
 * are held out take no part in it. WEFT_E_INVAL: a y that is not positive, a negative x, a utilisation of 1
 * or more, fewer points than parameters, samples that do not determine the parameters. WEFT_E_TOO_BIG: more
 * than WEFT_CURVE_SAMPLES_MAX. */
int weft_curve_fit(const struct weft_curve_ask *ask, const double *x, const double *y, size_t n,
                   struct weft_curve *out);

/* The errors of a curve at other samples: of another machine, another configuration. */
int weft_curve_error(const struct weft_curve *c, const double *x, const double *y, size_t n,
                     struct weft_fit_error *out);

/* ---- Transfers: piecewise LogGP
 * ----------------------------------------------------------------------------------- A path (an adapter to a
 * peer) costs by size: a message of s bytes is there after o_s + L + (s - 1) G + o_r, and one follows another
 * after max(g, o_s, s G). Each range of sizes (inline, eager, rendezvous) has its own numbers. */

struct weft_logp_piece {
    double from_B; /* holds from this size on, up to the next piece's; the first piece's is 0 */
    double latency_s, overhead_send_s, overhead_receive_s, gap_s, gap_per_byte_s;
};
struct weft_logp {
    unsigned pieces; /* 1 to WEFT_CURVE_PIECES_MAX */
    struct weft_logp_piece piece[WEFT_CURVE_PIECES_MAX];
};

/* One message from start to end. */
double weft_logp_transfer_s(const struct weft_logp *p, double bytes);
/* `count` messages one after the other, from the start of the first to the end of the last. */
double weft_logp_stream_s(const struct weft_logp *p, double bytes, double count);
/* Bytes a second of endless messages of this size. */
double weft_logp_rate_Bps(const struct weft_logp *p, double bytes);
/* The least size in [from_B, to_B] from which on `b` is sooner than `a` up to to_B; to_B if there is none.
 * Cut-offs come from it. */
double weft_logp_crossover_B(const struct weft_logp *a, const struct weft_logp *b, double from_B,
                             double to_B);

/* From one-way times by size. The overheads, which one-way times do not show, are the caller's (0: not
 * known); what is left is latency. Every `hold_out`th size is held out. Errors as weft_curve_fit. */
int weft_logp_fit(const double *bytes, const double *seconds, size_t n, unsigned pieces, unsigned hold_out,
                  double overhead_send_s, double overhead_receive_s, struct weft_logp *out,
                  struct weft_fit_error *fitted, struct weft_fit_error *held_out);

/* ---- Memory
 * -------------------------------------------------------------------------------------------------------
 * Reads and writes differ: in latency, in bandwidth, in the buffers that they pass. What is written in pieces
 * smaller than the granule costs whole granules, and wears them out. */

enum weft_memory_op { WEFT_MEMORY_READ, WEFT_MEMORY_WRITE, WEFT_MEMORY_OPS };

struct weft_memory {
    struct {
        double latency_s; /* of the nearest buffer */
        unsigned buffers;
        struct {
            double capacity_B, added_s;
        } buffer[WEFT_CURVE_KNEES_MAX];
        double Bps;
    } op[WEFT_MEMORY_OPS];
    double granule_B; /* 0: the memory takes any size as it is */
    double capacity_B;
    double endurance_writes; /* to one place; 0: without end */
    double queue_B; /* the write queue, which takes data at `accept_Bps` and drains at the write bandwidth */
    double accept_Bps; /* 0: there is no such queue */
};

/* One dependent access within a working set (tier form). */
double weft_memory_latency_s(const struct weft_memory *m, enum weft_memory_op op, double working_set_B);
/* Bytes really written for each byte, in writes of `piece_B` that do not follow one another. */
double weft_memory_amplification(const struct weft_memory *m, double piece_B);
/* Reading and writing so much, as fast as it goes; writes in pieces of `piece_B` (0: sequential). */
double weft_memory_stream_s(const struct weft_memory *m, double read_B, double write_B, double piece_B);
/* A burst of writes into an empty queue: fast until it is full, then at the write bandwidth. Time until the
 * last byte is taken. */
double weft_memory_burst_s(const struct weft_memory *m, double bytes);
/* One write of a granule (or `piece_B` without one) when writes come at `load_Bps` in all: service and
 * waiting at a FIFO queue whose service time is fixed (M/D/1). INFINITY: more comes than is written. */
double weft_memory_write_s(const struct weft_memory *m, double piece_B, double load_Bps);
/* How long it lasts, with wear spread over all of it; INFINITY without limit. */
double weft_memory_life_s(const struct weft_memory *m, double write_Bps, double piece_B);

/* An RDMA operation when so many connections are in use and the NIC caches the state of `cached` of them. */
double weft_connection_s(double hit_s, double miss_s, double cached, double connections);

/* ---- Kernels: history first, then the roofline
 * --------------------------------------------------------------------- */

struct weft_kernel_work {
    double flops, bytes; /* operations, and bytes moved between the device and its memory */
    double in_B, out_B;  /* operands sent to the device, results fetched back */
    double groups;       /* work-groups; 0: not known, and they fill the units evenly */
};
#define WEFT_RATE_LEVELS_MAX 8
struct weft_device_rates {
    double launch_s, flops_per_s, Bps;
    const struct weft_logp *to, *from; /* the way there and back; NULL: nothing has to be moved */
    double units;                      /* that take a work-group each; 0: not known */
    /* Bytes a second by what a kernel goes over: the cache that it fits in counts. By size; none: Bps. */
    unsigned levels;
    struct {
        double size_B, Bps;
    } level[WEFT_RATE_LEVELS_MAX];
};

#define WEFT_KERNEL_HISTORY_MAX 16
/* What is known of one kernel on one device; all zero at first. */
struct weft_kernel_history {
    unsigned n;
    struct {
        double size, factor;
        unsigned runs;
    } seen[WEFT_KERNEL_HISTORY_MAX]; /* by size; measured over roofline, both without the launch */
};

enum weft_forecast_source { WEFT_FROM_ROOFLINE, WEFT_FROM_NEAR_SIZE, WEFT_FROM_HISTORY };
struct weft_forecast {
    double seconds; /* the sum of the next three */
    double in_s, kernel_s, out_s;
    enum weft_forecast_source source; /* HISTORY: this size has run before; NEAR_SIZE: others have */
};

/* launch + waves x max(flops/rate, bytes/bandwidth): the kernel alone. A unit that gets one work-group more than the
 * others is waited for: three groups on two units take as long as four. */
double weft_roofline_s(const struct weft_kernel_work *w, const struct weft_device_rates *d);
/* Notes that the kernel took `seconds`, without transfers; `size` is what it grows with (work-items). */
int weft_kernel_note(struct weft_kernel_history *h, double size, double seconds,
                     const struct weft_kernel_work *w, const struct weft_device_rates *d);
/* Where the size has run, what it took; between and beyond such sizes the roofline, corrected by what the
 * nearest ones took beside it; without a history (NULL or empty) the roofline alone. */
int weft_kernel_predict(const struct weft_kernel_history *h, double size, const struct weft_kernel_work *w,
                        const struct weft_device_rates *d, struct weft_forecast *out);

/* Whether work should go from `here` to `there`, and why, in one sentence that has both times; it is cut to
 * `reason_size`. True: it should. */
bool weft_offload(const char *here, const struct weft_forecast *at_here, const char *there,
                  const struct weft_forecast *at_there, char *reason, size_t reason_size);

/* ---- Contention
 * --------------------------------------------------------------------------------------------------- First
 * fluid sharing: all workloads slow down alike at a resource that they fill together, and who does not need
 * it goes on. Then what that leaves, from sparse samples of pairs: a linear regression of the logarithm on
 * the products of what victim and others use of each resource. */

#define WEFT_RESOURCES_MAX 8
#define WEFT_WORKLOADS_MAX 64

struct weft_workload {
    double use[WEFT_RESOURCES_MAX]; /* the part of each resource's capacity that it takes alone: 0 to 1 */
};
struct weft_pair_sample {
    int victim, other; /* places in the array of workloads */
    double slowdown;   /* the victim's time beside the other over its time alone */
};
struct weft_contention {
    int resources;
    double coefficient[WEFT_RESOURCES_MAX];
    struct weft_fit_error fitted;
};

/* The progress of each of n workloads that run at once, 0 to 1 of what it has alone: progressive filling
 * (max-min). */
int weft_fluid_share(const struct weft_workload *w, int n, int resources, double *progress);
/* Learns from samples; those not given are what it is good for. Without samples: fluid sharing alone. */
int weft_contention_fit(const struct weft_workload *w, int n, int resources,
                        const struct weft_pair_sample *samples, size_t sample_count,
                        struct weft_contention *out);
/* How many times as long the victim takes beside the others. */
int weft_contention_predict(const struct weft_contention *c, const struct weft_workload *w, int victim,
                            const int *others, int other_count, double *slowdown);

/* ---- A whole application of blocks: its makespan
 * --------------------------------------------------------------------- rows x columns independent blocks,
 * each of which needs one row operand and one column operand, which are at node 0, and brings a result back
 * there. Devices take blocks one after another, in the order of the array when several are free (greedy
 * self-scheduling). The devices of node 0 need no transfers; those of other nodes get them over both nodes'
 * network cards, whose two directions are independent. */

#define WEFT_MAKESPAN_DEVICES_MAX  128
#define WEFT_MAKESPAN_NODES_MAX    64
#define WEFT_MAKESPAN_BLOCKS_MAX   4096
#define WEFT_MAKESPAN_SLICES_MAX   256
#define WEFT_MAKESPAN_PREFETCH_MAX 8

enum weft_nic {
    WEFT_NIC_SHARED, /* all transfers of a direction share the card's rate equally (processor sharing) */
    WEFT_NIC_FIFO    /* one after another, in the order in which they were asked for */
};
struct weft_block_app {
    int rows, columns; /* together at most WEFT_MAKESPAN_SLICES_MAX */
    double row_B, column_B, result_B;
};
struct weft_block_device {
    int node;
    double block_s; /* one block, operands there */
};
struct weft_block_cluster {
    const struct weft_block_device *device;
    int devices;
    const double *nic_Bps; /* of each node, each direction */
    int nodes;
};
struct weft_block_policy {
    enum weft_nic nic;
    int prefetch;       /* blocks that a device of another node fetches ahead; its results overlap too */
    bool tail_aware;    /* a device takes no block that the others would have done before it has */
    bool operands_once; /* a node keeps operands, and takes first what needs fewest new ones */
    const int *blocks;  /* NULL: whoever is free takes the next; else how many each device gets */
};
struct weft_makespan {
    double seconds; /* until the last result is at node 0 */
    double sent_B, received_B;
    int blocks[WEFT_MAKESPAN_DEVICES_MAX];
};

/* WEFT_E_TOO_BIG: beyond the limits above. WEFT_E_INVAL also: `policy->blocks` are not all blocks. */
int weft_makespan(const struct weft_block_app *app, const struct weft_block_cluster *cluster,
                  const struct weft_block_policy *policy, struct weft_makespan *out);

/* How many blocks each device should get beforehand: local search over weft_makespan with the policy's
 * network, from the counts that the devices take dynamically. Sets blocks[] of each device, and the makespan
 * with them, which is never longer than the dynamic one. */
int weft_place_blocks(const struct weft_block_app *app, const struct weft_block_cluster *cluster,
                      const struct weft_block_policy *policy, int *blocks, struct weft_makespan *out);

/* ---- Placement of processes
 * ----------------------------------------------------------------------------------------- */

#define WEFT_PROCESSES_MAX 4096
#define WEFT_PLACES_MAX    (1 << 22) /* processes x nodes */

struct weft_flow {
    int from, to; /* processes */
    double bytes; /* in both directions together; several flows of a pair add up */
};
/* Two processes of which a placement has to respect something. */
struct weft_process_rule {
    int a, b;
    bool together;     /* on one node; else apart */
    const bool *apart; /* of each node: whether not both of them may be there; NULL: on no node may they */
};
struct weft_process_ask {
    int processes;
    const struct weft_flow *flow;
    size_t flows;
    int nodes;
    const int *slots;   /* processes that each node takes at most */
    const double *cost; /* nodes x nodes: of a byte from one node to another; NULL: 1, and 0 within a node */
    uint64_t seed;
    const struct weft_process_rule *rule;
    size_t rules;
};

/* Which node each process goes to, so that the sum of bytes x cost is small: SCOTCH's mapping, mended to the
 * slots, then improved by moves and swaps. `node_of` has a place for each process; `cost` is the sum (may be
 * NULL). WEFT_E_LIMIT: fewer slots than processes. WEFT_E_NOENT: none was found that breaks no rule. */
int weft_place_processes(const struct weft_process_ask *ask, int *node_of, double *cost);
/* The sum for a placement that is there already. */
double weft_process_cost(const struct weft_process_ask *ask, const int *node_of);
/* How many rules it breaks. */
size_t weft_process_broken(const struct weft_process_ask *ask, const int *node_of);

enum weft_place_form {
    WEFT_PLACE_RANKFILE, /* Open MPI's rankfile: "rank 0=host slot=0" */
    WEFT_PLACE_SLURM,    /* a host a line, for SLURM_HOSTFILE with srun --distribution=arbitrary */
    WEFT_PLACE_WEFT      /* `weft run --node` of each process: "process node" a line */
};
/* Writes a placement into `text`, as snprintf does: the length that it has or would have. `hosts` are the
 * nodes' names (not needed for WEFT_PLACE_WEFT). */
size_t weft_place_text(enum weft_place_form form, const int *node_of, int processes, const char *const *hosts,
                       char *text, size_t size);

/* ---- Placement of objects over kinds of memory
 * ------------------------------------------------------------------------ */

#define WEFT_KINDS_MAX   8
#define WEFT_OBJECTS_MAX 4096

struct weft_placed_object {
    double size_B;
    double read_B, write_B; /* in one run of the application, streaming */
    double chased;          /* dependent accesses, each of which waits for its latency */
};
struct weft_memory_kind {
    double capacity_B, read_Bps, write_Bps, latency_s;
    double write_limit_B; /* what may be written in one run for endurance's sake; 0: no limit */
};
struct weft_object_ask {
    const struct weft_placed_object *object;
    int objects;
    const struct weft_memory_kind *kind;
    int kinds;
};
struct weft_object_placement {
    double seconds; /* the objective, below */
    double bound_s; /* no placement is better than this */
};

/* Which kind each object goes to. The objective is the time of the accesses that wait (chased x latency) and
 * of the slowest memory: memories work at once, each for read/bandwidth + write/bandwidth of what it holds,
 * so that a write-intensive object wants the memory whose write bandwidth is not the bottleneck, and a slow
 * memory still takes part. GLPK's relaxation, improved by moves and swaps; branching only if that is more
 * than half a per cent above the bound, for `limit_s` seconds at most (0: one second). WEFT_E_LIMIT: they do
 * not fit, or nothing that fits was found. */
int weft_place_objects(const struct weft_object_ask *ask, double limit_s, int *kind_of,
                       struct weft_object_placement *out);
/* The objective for a placement; INFINITY: it does not fit or writes too much. */
double weft_object_cost(const struct weft_object_ask *ask, const int *kind_of);

/* ---- Policies, compared on a recorded trace
 * ---------------------------------------------------------------------------- */

enum weft_replacement {
    WEFT_REPLACE_LRU,      /* what was not used for the longest time goes */
    WEFT_REPLACE_FCFS,     /* what came first goes first */
    WEFT_REPLACE_PRIORITY, /* what has the least priority; of equals the least recently used */
    WEFT_REPLACE_OPTIMAL,  /* what is needed last (Belady): not possible without the future, and the bound */
    WEFT_REPLACEMENTS
};
struct weft_reference {
    uint32_t object; /* 0 to WEFT_TRACE_OBJECTS_MAX - 1 */
    int priority;    /* of the object, from this reference on */
};
#define WEFT_TRACE_OBJECTS_MAX (1u << 20)
struct weft_replacement_result {
    uint64_t hits, misses;
};

/* A buffer of so many objects over a trace. */
int weft_replay(enum weft_replacement policy, const struct weft_reference *trace, size_t n, size_t capacity,
                struct weft_replacement_result *out);

enum weft_arbitration {
    WEFT_ARBITRATE_FCFS,
    WEFT_ARBITRATE_LRU,      /* the source that was not served for the longest time */
    WEFT_ARBITRATE_PRIORITY, /* the highest first; of equals the first */
    WEFT_ARBITRATE_SHORTEST, /* the shortest first: of those that do not interrupt, the least mean of a batch
                              */
    WEFT_ARBITRATIONS
};
struct weft_request {
    double arrival_s, service_s;
    int source, priority;
};
struct weft_arbitration_result {
    double mean_wait_s, p95_wait_s, max_wait_s, end_s;
};

/* One server over requests sorted by arrival; nothing is interrupted (run to completion). */
int weft_arbitrate(enum weft_arbitration policy, const struct weft_request *request, size_t n,
                   struct weft_arbitration_result *out);

const char *weft_replacement_name(enum weft_replacement r);
const char *weft_arbitration_name(enum weft_arbitration a);

#ifdef __cplusplus
}
#endif
#endif
