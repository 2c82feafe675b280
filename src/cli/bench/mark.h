/* The state of a pair of CPUs, told by a cache line that two pinned threads hand to and fro. A virtual
 * machine's pair moves between "near" (one last-level cache) and "far" by itself, and small messages cost
 * several times as much when far: a figure means little without the state it was taken in. */
#ifndef WEFT_CLI_BENCH_MARK_H
#define WEFT_CLI_BENCH_MARK_H
#include <stdbool.h>

/* MIXED: it changed meanwhile, or there is no pair to look at. */
enum bench_state { BENCH_NEAR, BENCH_FAR, BENCH_MIXED, BENCH_STATES };

/* One way below this is near: pairs that were measured lie at about 50 and 220 ns. */
#define BENCH_NEAR_BELOW_NS 110.0

const char *bench_state_name(enum bench_state s);

/* The first two CPUs that this thread may use; false (and both -1) when there is only one. */
bool bench_cpu_pair(int cpu[2]);

/* Takes about a millisecond of both CPUs. The median time of the line one way goes to *one_way_ns (0: not
 * measured). The calling thread's own pinning does not matter. */
enum bench_state bench_mark(const int cpu[2], double *one_way_ns);

#endif
