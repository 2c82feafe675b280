/* What the sending half (workload.c) and the judging half (judge.c) of the workload share. */
#ifndef WEFT_SIM_WORKLOAD_H
#define WEFT_SIM_WORKLOAD_H
#include "base/map.h"
#include "sim.h"

#define GUARD 32 /* bytes before and behind a target buffer */

struct pair;

/* One end of a connection. */
struct flow {
    struct weft_list node; /* in its sim_node */
    struct pair *pair;
    int side;
    struct sim_node *at;
    struct conn *conn;
    int to_send, sent, done, unfinished, sinks;
    uint64_t tx_next[SIM_CHANNELS], rx_next[SIM_CHANNELS];
    int received;
    bool up, down, closed_by_us, released;
    struct weft_list outs, ins;
};

struct pair {
    struct weft_list node;
    uint64_t token; /* the first message of the connecting side carries it */
    struct flow *end[2];
    int from, to;
    uint32_t id;           /* of the connection, at the connecting side */
    bool disturbed;        /* a crash or a close: not everything need arrive */
    struct weft_map fates; /* of messages, by their seed: what the first side to end them said */
    struct flow store[2];
};

/* The start of each message's header; filler may follow. */
struct head {
    uint64_t token, sequence, size, seed;
    uint32_t channel, side;
};

struct out {
    struct weft_list node;
    struct flow *flow;
    uint8_t *data;
    size_t size;
    uint64_t seed;
    bool too_late; /* the other end had closed when it was sent */
};
struct in {
    struct weft_list node;
    struct flow *flow;
    uint8_t *room;
    size_t size;
    uint64_t seed, token;
    bool over, canceled, reading; /* reading: the owner copies from the peer's memory just now */
};

/* judge.c */
void judge_fill(uint8_t *to, uint64_t seed, size_t len); /* what a message with this seed says */
bool judge_holds(const uint8_t *p, uint64_t seed, size_t len);
void judge_header(struct sim *s, struct sim_node *n, struct engine_event *ev);
void judge_done(void *arg, int status); /* on_done; `arg`: struct out */
void judge_down(struct sim *s, struct sim_node *n, struct engine_event *ev);
void judge_cancel(struct sim *s, struct in *in);
void judge_poison(struct sim *s, struct in *in); /* the buffer is over: nothing may write to it any more */
void judge_forbid(struct in *in);                /* the same, although its on_data is still to come */
void judge_check_poisoned(struct sim *s, bool all);

/* workload.c */
struct pair *workload_find_silent(struct sim *s, const struct sim_node *n, const struct conn *c);
struct flow *workload_find_flow(struct sim *s, struct sim_node *n, struct conn *c, const struct head *h);
void workload_close(struct sim *s, struct flow *f); /* in order or at once, by chance */

#endif
