/* Runs: a node that computes while messages arrive, and one that sends; each gives one record of what came
 * out. */
#ifndef WEFT_MODEL_NISIM_RUN_H
#define WEFT_MODEL_NISIM_RUN_H
#include "model/nisim/node.h"

struct nisim_result {
    uint64_t sent, handled;
    double start_p50,
        start_p99; /* cycles from the message's arrival to the handler's first instruction for it */
    double done_p50, done_p99, done_mean; /* … to the end of its handler */
    double work;                          /* instructions that the computing threads did in a cycle */
    double loss;                          /* share of what they do without messages */
    double stolen;                        /* cycles of one computing thread that a message costs */
    double misses;                        /* of L2, a message, beyond those without messages */
    double wire_wait;                     /* cycles from launch to the wire, mean */
    double resumed_p50;   /* cycles from the switch to the message until the computation goes on */
    double kernel_misses; /* an interrupt */
    double cycles;
    uint64_t events, print, os, evicted;
    bool sound; /* every invariant that was looked at held, and everything that came was handled */
};

#define NISIM_BASE_TIMES 64
/* Work and misses so far, at equal intervals: caches warm up, so only the same time compares. */
struct nisim_base {
    double cycles, work[NISIM_BASE_TIMES + 1], misses[NISIM_BASE_TIMES + 1];
};
/* The same time without messages: what loss and stolen cycles are measured against. */
int nisim_run_base(const struct nisim_config *c, uint64_t seed, struct nisim_base *base);
/* Poisson arrivals of messages.rate until messages.count are handled, or three times as long as they take to
 * arrive. base: NULL, and nothing is said about what is lost and stolen. check_every: events after which the
 * invariants are looked at; 0: at the end only. */
int nisim_run_messages(const struct nisim_config *c, enum nisim_mechanism mechanism, uint64_t seed,
                       const struct nisim_base *base, uint64_t check_every, struct nisim_result *r);

struct nisim_send_result {
    double last_gone; /* cycles from the sender's beginning until the last line has left */
    double thread;    /* … until the sending thread can do something else */
    double lost;      /* instructions that the other threads did not do meanwhile */
};
enum nisim_where { NISIM_IN_L1, NISIM_IN_L2, NISIM_IN_MEMORY }; /* where the data to be sent is */
/* One message of c->message_B by PIO or DMA, while the other contexts compute; means of `times` messages. */
int nisim_run_send(const struct nisim_config *c, bool pio, enum nisim_where where, uint64_t seed, int times,
                   struct nisim_send_result *r);

struct nisim_stream_result {
    double bubbles; /* share of the wire's time in which a message was begun and had nothing to send */
    double busy;    /* share of it in which something was sent */
    double latency; /* cycles from launch to the last line gone, mean */
    double ahead;   /* cycles of the wire that stand in the FIFO, mean: what nothing later can overtake */
};
/* So many messages of c->message_B from memory by DMA, `depth` of them launched at a time (1: each alone). */
int nisim_run_stream(const struct nisim_config *c, uint64_t seed, int messages, int depth,
                     struct nisim_stream_result *r);

/* For percentiles: sorts; q from 0 to 1. */
double nisim_quantile(double *v, size_t n, double q);

#endif
