/* weft bench, inside: what is measured (options), the two ends that it is measured between (bench_end.c),
 * taking samples (bench_run.c) and telling results (bench_report.c). */
#ifndef WEFT_CLI_BENCH_H
#define WEFT_CLI_BENCH_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/bench_mark.h"
#include "cli/output.h"
#include "transport/endpoint.h"

#define BENCH_SIZES_MAX  32
#define BENCH_SIZE_MAX   (1ull << 30)
#define BENCH_WINDOW_MAX 1024

enum bench_kind { BENCH_LATENCY, BENCH_BANDWIDTH, BENCH_RATE, BENCH_BIDIRECTIONAL, BENCH_CPU, BENCH_KINDS };

/* Which samples a row is made of. */
enum bench_filter { BENCH_ALL, BENCH_ONLY_NEAR, BENCH_ONLY_FAR, BENCH_EACH };

enum bench_format { BENCH_TABLE, BENCH_JSON, BENCH_CSV };

struct bench_options {
    enum bench_kind kind;
    const char *name; /* of the kind */
    const char *adapter;
    uint64_t size[BENCH_SIZES_MAX];
    size_t sizes;
    double time_s;   /* for each size */
    uint64_t count;  /* messages or round trips for each size; 0: as many as the time allows */
    uint32_t window; /* messages in flight; 0: by size */
    enum bench_filter filter;
    enum bench_format format;
    bool written; /* data is written anew before it is sent */
    bool pin;
    int cpu[2]; /* of this process and the other; -1: only one CPU */
};

/* -- an end: one process's endpoint and buffers -- */

struct bench_buffer {
    struct bench_end *end;
    uint8_t *data;
    atomic_bool busy; /* sent and not done */
    bool fresh;       /* written since it was last sent */
};

struct bench_end {
    struct ep *ep;
    struct ep_peer *peer;
    int control;     /* the socket between the processes: who reads its end knows that the other is gone */
    pid_t child;     /* the other process; 0: none (adapter self), or this is it */
    bool told_end;   /* the first process ends in order */
    bool alone;      /* adapter self: its own peer */
    atomic_int down; /* why the peer is gone; 0: it is there */
    /* the present size */
    uint64_t size;
    uint32_t window;
    bool written;
    size_t mapped;
    uint8_t *out, *in; /* window × size each */
    struct bench_buffer buffer[BENCH_WINDOW_MAX];
    uint32_t turn[2];  /* the buffer that the next ping or pong is sent from */
    bool pong_pending; /* until its buffer is free */
    atomic_ulong answers, received, in_flight;
    atomic_int failed; /* the status of a message that failed */
    /* what a handler asks of the main thread of the other process */
    atomic_int work;
    uint64_t work_size, work_count;
    uint32_t work_window;
    bool work_written;
    /* the answers to that */
    atomic_bool ready;
    int ready_status;
    atomic_ulong usage_answers;
    uint64_t usage_ns;
};

extern atomic_bool bench_interrupted; /* SIGINT, SIGTERM, SIGHUP */

/* Starts the other process and connects to it; complains on an error. Before any endpoint is opened. */
int bench_end_open(struct bench_end *e, const struct bench_options *o);
void bench_end_close(struct bench_end *e);
/* Makes both ends ready for messages of that size. */
int bench_end_setup(struct bench_end *e, uint64_t size, uint32_t window, bool written);
/* Waits until done(arg); WEFT_E_INTR, WEFT_E_TIMEDOUT, or why the peer is gone. */
int bench_end_wait(struct bench_end *e, bool (*done)(void *arg), void *arg);
/* `trips` round trips, each begun when the one before is over; time to write the data is not in *ns. */
int bench_end_trips(struct bench_end *e, uint32_t trips, uint64_t *ns);
/* `count` messages, a window of them in flight, until the peer has them all. */
int bench_end_stream(struct bench_end *e, uint64_t count);
/* The same while the other end does it too, until this end has those as well. */
int bench_end_stream_both(struct bench_end *e, uint64_t count);
/* CPU time that each process has used so far. */
int bench_end_usage(struct bench_end *e, uint64_t *here_ns, uint64_t *there_ns);

/* -- buffers (bench_buffer.c) -- */
int bench_buffers_make(struct bench_end *e, uint64_t size, uint32_t window, bool written);
void bench_buffers_free(struct bench_end *e);
/* Writes to every cache line of the buffer, unless it is fresh. */
void bench_buffer_write(struct bench_buffer *b, uint64_t size);

/* -- results -- */

struct bench_values {
    double *v;
    size_t count, cap;
};

struct bench_result {
    uint64_t size, count[BENCH_STATES]; /* messages or round trips */
    size_t samples[BENCH_STATES];
    uint32_t window, batch;
    struct bench_values values[BENCH_STATES]; /* seconds one way, or messages a second */
    struct bench_values sender[BENCH_STATES], receiver[BENCH_STATES]; /* CPU seconds a message */
};

struct bench_report {
    const struct bench_options *options;
    struct table table;
    bool headed;
    unsigned rows;
};

bool bench_values_add(struct bench_values *to, double v);
void bench_result_free(struct bench_result *r);
int bench_measure(struct bench_end *e, const struct bench_options *o, uint64_t size, struct bench_result *r);
void bench_report_start(struct bench_report *p, const struct bench_options *o);
/* The rows of one size; false: no sample was in the state that was asked for. */
bool bench_report_add(struct bench_report *p, struct bench_result *r);
void bench_report_end(struct bench_report *p);

#endif
