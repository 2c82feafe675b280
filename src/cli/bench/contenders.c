/* Who takes part in a contest, and in which tests: weft, the tools of other message layers, and floors. */
#include "base/error.h"
#include "cli/bench/contest.h"

#include <stdio.h>

#define COPY_MIN (16u << 10) /* a smaller copy is no floor: its data stays in the caches */

const struct unit_info contest_units[UNITS] = {
    [UNIT_US] = {"median_us", "MEDIAN us", "us", true},
    [UNIT_GBps] = {"median_GBps", "MEDIAN GB/s", "GB/s", false},
    [UNIT_PER_S] = {"median_messages_per_s", "MEDIAN messages/s", "messages/s", false},
    [UNIT_CPU] = {"median_cpu_s_per_GB", "MEDIAN CPU s/GB", "CPU s/GB", true},
};

const struct contest_test contest_tests[BENCH_KINDS][TESTS_MAX] = {
    [BENCH_LATENCY] = {{.latency = true, .figures = 1, .figure = {{"latency", UNIT_US}}}},
    [BENCH_BANDWIDTH] = {{.figures = 1, .figure = {{"bandwidth", UNIT_GBps}}}},
    [BENCH_RATE] = {{.figures = 1, .figure = {{"rate", UNIT_PER_S}}}},
    [BENCH_BIDIRECTIONAL] = {{.figures = 1, .figure = {{"bandwidth", UNIT_GBps, .messages = 2}}}},
    [BENCH_CPU] = {{.figures = 3,
                    .figure = {{"bandwidth", UNIT_GBps}, {"sender", UNIT_CPU}, {"receiver", UNIT_CPU}}}},
    [BENCH_PUT] = {{.latency = true, .figures = 1, .figure = {{"latency", UNIT_US}}},
                   {.figures = 1, .figure = {{"bandwidth", UNIT_GBps}}}},
    [BENCH_GET] = {{.latency = true, .figures = 1, .figure = {{"latency", UNIT_US}}},
                   {.figures = 1, .figure = {{"bandwidth", UNIT_GBps}}}},
};

double figure_value(const struct figure *f, uint64_t size, double each_s) {
    double GB = (double)size * (f->messages ? f->messages : 1) / 1e9;
    switch (f->unit) {
    case UNIT_US: return each_s * 1e6;
    case UNIT_GBps: return GB / each_s;
    case UNIT_CPU: return each_s / GB;
    default: return 1 / each_s;
    }
}

/* -- weft -- */

static int set_up(struct contest *x, uint64_t size) {
    if (x->size_set_up == size) return 0;
    int rc = x->pair ? window_pair_setup(x->pair, x->o, size, &x->source[0], &x->source[1])
                     : bench_messages_setup(&x->messages, x->e, x->o, size, &x->source[0]);
    if (!rc) x->size_set_up = size;
    return rc;
}

static int run_weft(struct contest *x, const struct contender *c, struct contest_turn *t) {
    struct bench_sample s = {0};
    int rc = set_up(x, t->size);
    struct bench_source *source = &x->source[t->test];
    if (!rc) rc = source->take(source->ctx, t->count < source->least ? source->least : t->count, &s);
    double mean = bench_values_mean(&s.values);
    t->each_s[0] = x->test->latency ? mean : 1 / mean;
    t->each_s[1] = s.sender_s;
    t->each_s[2] = s.receiver_s;
    if (rc) snprintf(t->problem, sizeof t->problem, "%s", weft_error_text(rc));
    bench_values_free(&s.values);
    return rc;
}

/* -- floors -- */

static int run_floor(struct contest *x, enum floor_kind kind, struct contest_turn *t) {
    struct bench_sample s = {0};
    struct bench_source source;
    int rc = floor_setup(&x->f, kind, t->size, &source);
    if (!rc) rc = source.take(source.ctx, t->count, &s);
    if (!rc) t->each_s[0] = bench_values_mean(&s.values);
    if (rc) snprintf(t->problem, sizeof t->problem, "%s", weft_error_text(rc));
    bench_values_free(&s.values);
    return rc;
}

static int run_line(struct contest *x, const struct contender *c, struct contest_turn *t) {
    return run_floor(x, FLOOR_LINE, t);
}

static int run_udp(struct contest *x, const struct contender *c, struct contest_turn *t) {
    return run_floor(x, FLOOR_UDP, t);
}

static int run_memcpy(struct contest *x, const struct contender *c, struct contest_turn *t) {
    return run_floor(x, t->written ? FLOOR_MEMCPY_WRITTEN : FLOOR_MEMCPY_STATIC, t);
}

static bool fits_line(const struct contender *c, uint64_t size) { return floor_fits(FLOOR_LINE, size); }
static bool fits_udp(const struct contender *c, uint64_t size) { return floor_fits(FLOOR_UDP, size); }
static bool fits_memcpy(const struct contender *c, uint64_t size) { return size >= COPY_MIN; }
static bool has_data(const struct contender *c, uint64_t size) { return size > 0; }

/* -- who takes part -- */

#define WEFT                                                                                                 \
    .role = ROLE_WEFT, .writes = true, .run = run_weft,                                                      \
    .detail = {[BENCH_LATENCY] = {""},       [BENCH_BANDWIDTH] = {""}, [BENCH_RATE] = {""},                  \
               [BENCH_BIDIRECTIONAL] = {""}, [BENCH_CPU] = {""},       [BENCH_PUT] = {"", ""},               \
               [BENCH_GET] = {"", ""}}
#define UCX                                                                                                  \
    .role = ROLE_PEER, .program = "ucx_perftest", .package = "ucx-utils", .run = contender_run_ucx,          \
    .fits = has_data,                                                                                        \
    .detail = {[BENCH_LATENCY] = {"tag_lat"},                                                                \
               [BENCH_BANDWIDTH] = {"tag_bw"},                                                               \
               [BENCH_RATE] = {"tag_bw"},                                                                    \
               [BENCH_CPU] = {"tag_bw"},                                                                     \
               [BENCH_PUT] = {"ucp_put_lat", "ucp_put_bw"},                                                  \
               [BENCH_GET] = {"ucp_get", "ucp_get"}}
#define FI                                                                                                   \
    .role = ROLE_PEER, .program = "fi_pingpong", .package = "libfabric-bin", .run = contender_run_fi,        \
    .fits = has_data, .detail = {[BENCH_LATENCY] = {"pingpong"}, [BENCH_BANDWIDTH] = {"pingpong"}}
#define MPI                                                                                                  \
    .role = ROLE_PEER, .program = "mpirun", .package = "openmpi-bin", .compiler = "mpicc",                   \
    .compiler_package = "libopenmpi-dev", .run = contender_run_mpi, .writes = true,                          \
    .detail = {[BENCH_LATENCY] = {"latency"}, [BENCH_BANDWIDTH] = {"bandwidth"},                             \
               [BENCH_RATE] = {"bandwidth"},  [BENCH_BIDIRECTIONAL] = {"bidirectional"},                     \
               [BENCH_CPU] = {"bandwidth"},   [BENCH_PUT] = {"put", "puts"},                                 \
               [BENCH_GET] = {"get", "gets"}}

const struct contender contenders[] = {
    {.name = "weft", WEFT},
    {.name = "floor: a cache line",
     .role = ROLE_FLOOR,
     .adapter = "shm",
     .fits = fits_line,
     .run = run_line,
     .detail = {[BENCH_LATENCY] = {""}, [BENCH_PUT] = {""}}},
    {.name = "floor: memcpy",
     .role = ROLE_FLOOR,
     .adapter = "shm",
     .writes = true,
     .fits = fits_memcpy,
     .run = run_memcpy,
     .detail =
         {[BENCH_LATENCY] = {""}, [BENCH_BANDWIDTH] = {""}, [BENCH_PUT] = {"", ""}, [BENCH_GET] = {"", ""}}},
    {.name = "floor: UDP socket",
     .role = ROLE_FLOOR,
     .adapter = "udp",
     .fits = fits_udp,
     .run = run_udp,
     .detail = {[BENCH_LATENCY] = {""}}},
    {.name = "UCX shm", .adapter = "shm", .option = "shm", UCX},
    {.name = "Open MPI vader", .adapter = "shm", .option = "plain", MPI},
    {.name = "Open MPI vader, huge pages", .adapter = "shm", .option = "huge", MPI},
    {.name = "libfabric shm", .adapter = "shm", .option = "shm", FI},
    {.name = "UCX tcp", .adapter = "udp", .option = "tcp", UCX},
    {.name = "libfabric tcp", .adapter = "udp", .option = "tcp", FI},
    {.name = "libfabric udp;ofi_rxd", .adapter = "udp", .option = "udp;ofi_rxd", FI},
};
const size_t contender_count = sizeof contenders / sizeof *contenders;
