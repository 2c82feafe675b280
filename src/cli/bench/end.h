/* The ends that a benchmark is measured between: processes on two CPUs, each with an endpoint of the wanted
 * adapter, made as any program would make it. The first measures; the others answer pings, take in what is
 * streamed to them, and stream when they are told to. With adapter self one process is its own peer. */
#ifndef WEFT_CLI_BENCH_END_H
#define WEFT_CLI_BENCH_END_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/bench/bench.h"
#include "transport/endpoint.h"

struct bench_buffer {
    struct bench_end *end;
    uint8_t *data;
    atomic_bool busy; /* sent and not done */
    bool fresh;       /* written since it was last sent */
};

/* Another process, as the first one sees it. */
struct bench_other {
    pid_t pid;
    int control; /* a socket to it: who reads its end knows that the other is gone */
    struct ep_peer *peer;
};

struct bench_end {
    struct ep *ep;
    struct ep_peer *peer;                           /* the one that is measured now */
    struct bench_other other[BENCH_OTHERS_MAX + 1]; /* one more: to compare memory with */
    uint32_t others;
    int control;           /* of another process: the socket to the first */
    bool told_end;         /* the first process ends in order */
    bool alone;            /* adapter self: its own peer */
    atomic_int down;       /* why a peer is gone; 0: all are there */
    uint64_t slice_end_ns; /* when a wait next looks whether it is interrupted */
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
    /* bulk */
    uint8_t *bulk; /* what is sent, or where it goes */
    size_t bulk_mapped;
    atomic_ulong bulk_left, bulk_in_flight;
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

/* Starts that many other processes and connects to them; complains on an error. Before any endpoint is
 * opened. */
int bench_end_open(struct bench_end *e, const struct bench_options *o, uint32_t others);
void bench_end_close(struct bench_end *e);
/* From now on it is this other process that messages go to. */
void bench_end_turn_to(struct bench_end *e, uint32_t other);
/* Makes both ends ready for messages of that size. */
int bench_end_setup(struct bench_end *e, uint64_t size, uint32_t window, bool written);
/* `trips` round trips, each begun when the one before is over; time to write the data is not in *ns. */
int bench_end_trips(struct bench_end *e, uint32_t trips, uint64_t *ns);
/* `count` messages, a window of them in flight, until the peer has them all. */
int bench_end_stream(struct bench_end *e, uint64_t count);
/* The same while the other end does it too, until this end has those as well. */
int bench_end_stream_both(struct bench_end *e, uint64_t count);
/* Begins to send `bytes` to the peer, in messages of at most 64 MiB on a channel of their own, two at a time.
 */
int bench_end_bulk_start(struct bench_end *e, uint64_t bytes);
bool bench_end_bulk_is_over(const struct bench_end *e);
/* Waits until done(arg); WEFT_E_INTR, WEFT_E_TIMEDOUT, or why a peer is gone. */
int bench_end_wait(struct bench_end *e, bool (*done)(void *arg), void *arg);
/* CPU time that each process has used so far. */
int bench_end_usage(struct bench_end *e, uint64_t *here_ns, uint64_t *there_ns);

#endif
