/* weft bench, inside: what is measured and how (options.c), taking samples between two looks at the CPU pair
 * (sample.c), and one file for each family of benchmarks. */
#ifndef WEFT_CLI_BENCH_H
#define WEFT_CLI_BENCH_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/bench/mark.h"
#include "cli/bench/row.h"
#include "cli/bench/values.h"

#define BENCH_SIZES_MAX  32
#define BENCH_SIZE_MAX   (1ull << 30)
#define BENCH_WINDOW_MAX 1024
#define BENCH_OTHERS_MAX 256

struct bench_options;

/* One of latency, bandwidth, …: the first word of the command line. */
enum bench_kind {
    BENCH_LATENCY,
    BENCH_BANDWIDTH,
    BENCH_RATE,
    BENCH_BIDIRECTIONAL,
    BENCH_CPU,
    BENCH_PUT,
    BENCH_GET,
    BENCH_PEERS,
    BENCH_UNDER_BULK,
    BENCH_FLOOR,
    BENCH_MEMORY,
    BENCH_SCIF,
    BENCH_NOTIFY,
    BENCH_CLAIMS,
    BENCH_PAPER,
    BENCH_MODEL,
    BENCH_KINDS
};

struct bench_kind_info {
    const char *name, *sizes; /* sizes: when none are asked for; NULL: it has none */
    uint64_t least_size;      /* less says nothing */
    bool two_ends;            /* not for an adapter that has one */
    bool reads;               /* what the other side has: nothing is written before */
    bool compares;            /* different loads, within a state: a row for each state is what is wanted */
    int (*run)(struct bench_options *o);
};
extern const struct bench_kind_info bench_kinds[BENCH_KINDS];

/* Which samples a row is made of. */
enum bench_filter { BENCH_DEFAULT, BENCH_ALL, BENCH_ONLY_NEAR, BENCH_ONLY_FAR, BENCH_EACH };

struct bench_options {
    enum bench_kind kind;
    const char *name; /* of the kind */
    const char *adapter;
    uint64_t size[BENCH_SIZES_MAX];
    size_t sizes;
    double time_s;   /* for each size */
    uint64_t count;  /* messages or round trips for each size; 0: as many as the time allows */
    uint32_t window; /* messages in flight; 0: by size */
    uint32_t rounds; /* turns of those that are compared */
    uint64_t connected[BENCH_SIZES_MAX]; /* peers: how many processes */
    size_t connecteds;
    uint64_t stress;      /* notify: arrivals that are only counted; 0: it measures */
    uint64_t bulk;        /* small-under-bulk: bytes that move meanwhile */
    const char *host[2];  /* addresses to listen on, here and in the other processes; NULL: the adapter's */
    const char *netns;    /* network namespace of the others, as `ip netns` names it; NULL: this one */
    const char *security; /* of packets; NULL: what WEFT_SECURITY says */
    enum bench_filter filter;
    enum rows_format format;
    bool written; /* data is written anew before it is sent */
    bool data_given;
    bool peers; /* other message layers' tools take turns with weft */
    bool quick;
    const char *only; /* claims: those whose names begin so; paper002: that order; NULL: all */
    const char *row;  /* paper002: the combination of these devices; NULL: all */
    bool pin;
    int cpu[2]; /* of this process and the other; -1: only one CPU */
};

/* 0, or the exit status after a complaint. */
int bench_options_parse(struct bench_options *o, int argc, char **argv);

extern atomic_bool bench_interrupted; /* SIGINT, SIGTERM, SIGHUP */
void bench_catch_signals(void);

#define BENCH_EXIT_INTERRUPTED 130

/* -- samples (sample.c) -- */

/* What one stretch of some milliseconds brought. */
struct bench_sample {
    struct bench_values values;  /* seconds one way, or messages a second */
    uint64_t count;              /* of round trips or messages */
    uint64_t ns;                 /* that they took, with all that is not measured */
    double sender_s, receiver_s; /* CPU, for each message */
};

/* Something that can be measured for a while. */
struct bench_source {
    int (*take)(void *ctx, uint64_t count, struct bench_sample *out);
    void *ctx;
    uint64_t unit_ns; /* about what one takes */
    uint64_t least;   /* of a sample, unless a number was asked for */
};

struct bench_result {
    uint64_t size, count[BENCH_STATES]; /* messages or round trips */
    size_t samples[BENCH_STATES];
    uint32_t window, batch;
    struct bench_values values[BENCH_STATES];
    struct bench_values sender[BENCH_STATES], receiver[BENCH_STATES]; /* CPU seconds a message */
};

void bench_result_free(struct bench_result *r);
/* Takes samples for as long as the options say, each with the state that the CPU pair was in. */
int bench_take_samples(const struct bench_source *s, const struct bench_options *o, struct bench_result *r);
/* The states that make up rows, by the filter; samples are joined for BENCH_ALL. Returns how many. */
size_t bench_result_states(struct bench_result *r, enum bench_filter filter,
                           enum bench_state out[BENCH_STATES]);

/* -- what is measured of itself; claims.c asks for it too. 0 or WEFT_E_* -- */

/* bulk.c: results for the size that they hold; of `busy`, sender is the time that each bulk took. */
int bench_under_bulk_measure(const struct bench_options *o, struct bench_result *idle,
                             struct bench_result *busy);
/* many.c: a result for each number of processes. */
int bench_peers_measure(const struct bench_options *o, struct bench_result *result);
/* memory.c: bytes of the heap for each of that many peers, beyond those of the first, which rest. */
int bench_memory_measure(const struct bench_options *o, uint32_t peers, double *bytes);

/* -- benchmarks: each returns the exit status -- */
int bench_run_messages(struct bench_options *o);   /* messages.c: latency, bandwidth, rate, … */
int bench_run_window(struct bench_options *o);     /* window.c: put, get */
int bench_run_peers(struct bench_options *o);      /* many.c */
int bench_run_under_bulk(struct bench_options *o); /* bulk.c */
int bench_run_floor(struct bench_options *o);      /* floor.c */
int bench_run_memory(struct bench_options *o);     /* memory.c */
int bench_run_scif(struct bench_options *o);       /* scif.c */
int bench_run_notify(struct bench_options *o);     /* notify.c */
int bench_run_claims(struct bench_options *o);     /* claims.c */
int bench_run_paper(struct bench_options *o);      /* paper.c */
int bench_run_model(struct bench_options *o);      /* model.c */
int bench_run_contest(struct bench_options *o);    /* contest.c: any of them, with --peers */

#endif
