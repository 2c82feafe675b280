/* Simulation: two to four engines over a network that loses, doubles, reorders, corrupts, cuts and delays
 * packets, or over one that is reliable and lets receivers read; nodes crash and start again. All from one
 * seed, in virtual time: a run can be repeated exactly. network.c moves packets, workload.c sends messages
 * and checks every promise, sim_test.c drives, goodput.c measures. */
#ifndef WEFT_SIM_H
#define WEFT_SIM_H
#include "base/clock.h"
#include "base/list.h"
#include "transport/engine.h"
#include "transport/heap.h"

#define SIM_NODES_MAX 4
#define SIM_CHANNELS  4

struct adapter_peer {
    int node;
};

struct sim_params {
    int nodes;
    bool reliable;
    double loss, duplicate, reorder, corrupt, truncate, refuse, no_access, discard;
    double unpinned;
    double cancel; /* of a message whose data is coming, at each event of its node */
    uint64_t delay_ns, jitter_ns, ns_per_byte_x1000;
    size_t packet_bytes, burst_max;
    size_t window_bytes;
    size_t queue_bytes; /* not 0: all senders to a node share its line, behind a queue that drops the rest */
    uint32_t tag_superpackets, eager_bytes, window_superpackets;
    uint32_t tags_per_peer, tags_all, tag_entries, tag_min_bytes; /* as in the engine's and the adapter's */
    uint32_t method2_bytes, method2_superpackets, staging_peer_bytes, staging_bytes;
    bool no_staging;
    bool no_tags;      /* the adapter has none */
    int messages;      /* of each connection, in each direction */
    uint32_t bulk_max; /* largest data */
    bool crashes, closes, one_way;
    bool keyed; /* all nodes hold one key */
};

struct flight {
    struct heap_node at;
    int kind; /* enum flight_kind */
    int from, to;
    uint32_t incarnation; /* of the receiver, where that matters */
    uint64_t line;        /* reliable networks: the line that it travels on */
    size_t len;
    uint8_t data[];
};
enum flight_kind { FLIGHT_PACKET, FLIGHT_LOST, FLIGHT_HINT };

struct sim_node {
    struct sim *sim;
    int index;
    bool alive;
    uint32_t incarnation;
    uint64_t restart_at_ns;
    struct engine *engine;
    struct engine_link link;
    struct adapter_peer peer[SIM_NODES_MAX]; /* how this node names the others */
    int holds[SIM_NODES_MAX];
    uint64_t line[SIM_NODES_MAX]; /* reliable networks: the live line to each; 0: none */
    struct weft_list flows;       /* of struct flow */
};

struct sim {
    uint64_t seed, random, now;
    struct sim_params p;
    struct sim_node node[SIM_NODES_MAX];
    struct heap flights;
    uint64_t last_arrival[SIM_NODES_MAX][SIM_NODES_MAX], line_free[SIM_NODES_MAX];
    uint64_t arrived[SIM_NODES_MAX][SIM_NODES_MAX]; /* bytes of packets, [from][to] */
    uint64_t next_line;
    uint64_t events, packets, dropped, delivered, delivered_bytes;
    struct weft_list poisoned; /* target buffers after their end: nothing may change them */
    struct weft_list pairs;    /* of struct pair: both ends of a connection */
    int reconnects;
    bool failed, verbose, draining;
};

void sim_fail(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint64_t sim_random(struct sim *s);
uint64_t sim_below(struct sim *s, uint64_t n);
bool sim_chance(struct sim *s, double p);

/* network.c */
extern const struct engine_io network_io;
int network_start_node(struct sim *s, int index);
void network_crash_node(struct sim *s, int index);
void network_deliver(struct sim *s, struct flight *f);
int network_read(struct sim *s, int node, const struct engine_pull *pull);
void network_fini(struct sim *s);

/* workload.c */
void workload_connect(struct sim *s, int from, int to);
void workload_run_events(struct sim *s, struct sim_node *n);
/* Queues more messages where there is room for more; closes at random. */
void workload_act(struct sim *s, struct sim_node *n);
bool workload_is_over(struct sim *s);
void workload_close_all(struct sim *s);
void workload_node_gone(struct sim *s, struct sim_node *n);
void workload_check(struct sim *s);
void workload_fini(struct sim *s);
/* One large message on the first connection of a node. */
bool workload_is_up(struct sim *s, int from);
bool workload_is_done(struct sim *s, int from);
void workload_send_large(struct sim *s, int from, size_t bytes);

/* sim_test.c */
void sim_init(struct sim *s, uint64_t seed, bool verbose);
void sim_settle(struct sim *s, struct sim_node *n);
void sim_step(struct sim *s);

/* goodput.c: prints tables of what part of a line large messages get; false: less than they must. */
bool goodput_run(void);
bool goodput_run_shared(void);

#endif
