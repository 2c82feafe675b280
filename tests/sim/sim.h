/* Simulation: two to five engines over a network that loses, doubles, reorders, corrupts, cuts, delays and
 * repeats packets and invents some, or over one that is reliable and lets receivers read; nodes crash and
 * start again, stand still for a while, run out of memory. All from one seed, in virtual time: a run can be
 * repeated exactly.
 *
 * scenario.c draws a run from its seed, world.c drives it, network.c moves packets, fault.c breaks things,
 * workload.c sends messages, judge.c checks what comes of them, audit.c looks into the engines after every
 * event; campaign.c runs many seeds (`weft sim`, sim_test), goodput.c measures. */
#ifndef WEFT_SIM_H
#define WEFT_SIM_H
#include "adapter/simnet.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "transport/engine.h"
#include "transport/heap.h"

#define SIM_NODES_MAX 5
#define SIM_STRANGER  SIM_NODES_MAX /* an address that only invented packets come from */
#define SIM_PLACES    (SIM_NODES_MAX + 1)
#define SIM_CHANNELS  4
#define SIM_KEPT      64 /* packets that may come again, much later */
#define SIM_IDS       512

struct adapter_peer {
    int node;
};

struct sim_params {
    int nodes;
    struct simnet_params net; /* with queue_bytes all senders to a node share its line */
    bool readable; /* receivers may read senders' memory */
    double refuse, no_access, discard;
    double unpinned; /* of a buffer that its owner says cannot be pinned */
    double cancel;   /* of a message whose data is coming, at each event of its node */
    /* Chances at each event. */
    double crash, close, cut, clog, stop, repeat, junk, reroute;
    double no_memory; /* of each allocation of an engine */
    size_t packet_bytes, burst_max, window_bytes;
    uint32_t tag_superpackets, eager_bytes, window_superpackets;
    uint32_t tags_per_peer, tags_all, tag_entries, tag_min_bytes; /* as in the engine's and the adapter's */
    uint64_t bulk_patience_ns;
    uint32_t method2_bytes, method2_superpackets, staging_peer_bytes, staging_bytes;
    bool no_staging;
    bool no_tags;      /* the adapter has none */
    int messages;      /* of each connection, in each direction */
    int in_flight;     /* messages of a flow that are queued at once */
    uint32_t bulk_max; /* largest data */
    bool one_way;
    bool keyed; /* all nodes hold one key: packets are encrypted */
    bool true_ciphers;
    unsigned phase_bits;
};

enum flight_kind { FLIGHT_PACKET, FLIGHT_LOST, FLIGHT_HINT, FLIGHT_RELEASE };
struct flight {
    struct heap_node at;
    int kind; /* enum flight_kind */
    int from, to;
    uint32_t incarnation;     /* of the receiver, where that matters */
    uint64_t line;            /* reliable networks: the line that it travels on */
    bool whole;               /* a packet that an engine sent, undamaged, for the first time */
    bool cut;                 /* shorter than its memory */
    struct weft_list waiting; /* behind a clog or for a stopped node */
    uint64_t sent_ns;
    size_t len;
    uint8_t data[];
};

struct sim_node {
    struct sim *sim;
    int index;
    bool alive;
    uint32_t incarnation;
    uint64_t restart_at_ns;
    uint64_t stopped_until_ns; /* as by SIGSTOP; 0: runs */
    uint32_t waiting_packets;  /* that came while it was stopped */
    struct engine *engine;
    struct engine_link link;
    struct adapter_peer peer[SIM_PLACES]; /* how this node names the others */
    int holds[SIM_PLACES];
    uint64_t line[SIM_PLACES];  /* reliable networks: the live line to each; 0: none */
    uint64_t ended[SIM_PLACES]; /* lines up to that one are over */
    struct weft_map exposed;    /* regions that others may read, by serial number */
    struct weft_list flows;     /* of struct flow */
    size_t input_bytes;         /* of the packet that is being taken; 0: none is */
    struct {
        uint32_t id;
        uint64_t at_ns;
    } heard[SIM_IDS]; /* when the newest whole packet for a connection id was sent */
};

struct sim {
    uint64_t seed, random, secrets, now;
    struct sim_params p;
    struct sim_node node[SIM_NODES_MAX];
    struct heap flights;
    uint64_t last_arrival[SIM_PLACES][SIM_NODES_MAX], line_free[SIM_PLACES];
    struct weft_list waiting[SIM_PLACES * SIM_NODES_MAX]; /* flights that are kept back, in order */
    uint64_t cut_until[SIM_PLACES][SIM_NODES_MAX], clog_until[SIM_PLACES][SIM_NODES_MAX];
    uint64_t arrived[SIM_PLACES][SIM_NODES_MAX]; /* bytes of packets, [from][to] */
    uint64_t next_line, next_region;
    uint64_t events, packets, dropped, delivered, delivered_bytes, faults;
    struct flight *kept[SIM_KEPT];
    struct weft_list poisoned; /* target buffers after their end: nothing may change them */
    struct weft_map numbers;   /* keyed: last packet number of each connection and direction */
    struct weft_list pairs;    /* of struct pair: both ends of a connection */
    int reconnects, stops, floods;
    bool failed, trace, draining;
    char failure[400];
};

void sim_fail(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint64_t sim_random(struct sim *s);
uint64_t sim_below(struct sim *s, uint64_t n);
bool sim_chance(struct sim *s, double p);
double sim_pick(struct sim *s, const double *of, size_t n);
#define SIM_PICK(s, ...)                                                                                     \
    sim_pick(s, (double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))

/* scenario.c */
void scenario_choose(struct sim *s);
void scenario_describe(const struct sim_params *p);

/* world.c */
void sim_init(struct sim *s, uint64_t seed, bool trace);
/* A whole run; false: it failed, s->failure says why. Everything is freed. */
bool sim_run(struct sim *s);
/* The node does everything that it can do at this moment. */
void sim_settle(struct sim *s, struct sim_node *n);
void sim_step(struct sim *s);

/* network.c */
extern const struct engine_io network_io;
int network_start_node(struct sim *s, int index);
void network_crash_node(struct sim *s, int index);
void network_deliver(struct sim *s, struct flight *f);
/* A packet from nowhere; arrives soon. */
void network_inject(struct sim *s, int from, int to, const uint8_t *packet, size_t len);
int network_read(struct sim *s, int node, const struct engine_pull *pull);
/* When the newest whole packet that came for this connection id was sent; 0: none came. */
uint64_t network_heard(const struct sim_node *n, uint32_t id);
void network_fini(struct sim *s);

/* fault.c: what may go wrong at each event. */
void fault_act(struct sim *s);
void fault_heal(struct sim *s);

/* workload.c */
void workload_connect(struct sim *s, int from, int to);
void workload_run_events(struct sim *s, struct sim_node *n);
/* Queues more messages where there is room for more; cancels and closes at random. */
void workload_act(struct sim *s, struct sim_node *n);
bool workload_is_over(struct sim *s);
void workload_close_all(struct sim *s);
void workload_node_gone(struct sim *s, struct sim_node *n);
/* After the end: everything has ended. */
void workload_check(struct sim *s);
void workload_fini(struct sim *s);
/* One large message on the first connection of a node. */
bool workload_is_up(struct sim *s, int from);
bool workload_is_done(struct sim *s, int from);
void workload_send_large(struct sim *s, int from, size_t bytes);

/* audit.c: whether the engine's records agree with each other. */
void audit_node(struct sim *s, struct sim_node *n);
/* Whether it has given everything back. */
void audit_idle(struct sim *s, struct sim_node *n);

/* scarce.c: allocations that fail. Engines are called between start and stop; the program is linked so that
 * its allocations pass there. */
void scarce_start(struct sim *s);
void scarce_stop(void);
/* Around what an engine calls: that is not the engine's. */
bool scarce_pause(void);
void scarce_resume(bool was);

/* show.c: one line for each packet and event, with --trace. */
void show(const struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void show_packet(const struct sim *s, const char *what, int from, int to, const uint8_t *p, size_t len);

/* goodput.c: prints tables of what part of a line large messages get; false: less than they must. */
bool goodput_run(void);
bool goodput_run_shared(void);

#endif
