/* Inside of the sim adapter: its state, and what its parts know of each other.
 *
 * DESIGN NOTES. It is the udp adapter behind a bad network: the sender asks the model (simnet.h) what becomes
 * of a packet, and writes before each copy when it arrives; the receiver keeps it until then. So nobody has
 * to be there to let a delayed packet go, and who sleeps is woken by the packet, then by a timer. Time is
 * real time: the endpoint above and the program have no other. Draws belong to a direction between two
 * endpoints: whatever others do meanwhile, the n-th packet of it meets the same fate in every run with that
 * seed.
 *
 * Rejected: a network inside of one process, which would not serve programs on several nodes; delays at the
 * sender, which would have to be awake. */
#ifndef WEFT_ADAPTER_SIM_INTERNAL_H
#define WEFT_ADAPTER_SIM_INTERNAL_H
#include "adapter/adapter.h"
#include "adapter/host_id.h"
#include "adapter/simnet.h"
#include "base/list.h"

#define SIM_STAMP_BYTES  8 /* before each packet: when it arrives, in ns of the host's clock */
#define SIM_PREFIX_BYTES (1 + HOST_ID_BYTES)
#define SIM_PACKET_MAX   9000

enum sim_counter {
    SIM_PACKETS_SENT,
    SIM_PACKETS_LOST,
    SIM_PACKETS_DOUBLED,
    SIM_PACKETS_REORDERED,
    SIM_PACKETS_DAMAGED,
    SIM_PACKETS_REFUSED,
    SIM_PACKETS_DROPPED,
    SIM_COUNTERS
};
void sim_count(enum sim_counter c);

struct sim_spec {
    struct simnet_params net;
    uint64_t seed;
    double refuse;             /* chance that a packet is not taken just now */
    uint64_t cut_ns, every_ns; /* nothing passes in the last cut_ns of every every_ns; 0: all does */
    size_t packet_bytes, tag_entries;
    bool method1, method2;
};

struct sim_flight { /* came, and waits for its time */
    struct weft_list node;
    uint64_t at_ns;
    uint8_t from[ADAPTER_ADDRESS_MAX]; /* as udp has it */
    size_t from_bytes, len;
    uint8_t data[];
};

struct adapter_peer {
    struct weft_list node;      /* of sim.peers */
    struct adapter_peer *below; /* udp's: not one of these */
    unsigned holds;
    uint8_t address[ADAPTER_ADDRESS_MAX]; /* as udp has it */
    size_t address_bytes;
    uint64_t random, last_arrival_ns; /* of the model, for this direction */
};

struct sim {
    struct adapter base;
    struct adapter_callbacks callbacks;
    struct adapter *below;
    struct sim_spec spec;
    uint8_t prefix[SIM_PREFIX_BYTES]; /* of addresses */
    uint64_t number;                  /* of the endpoint in its process */
    uint64_t line_free_ns;
    uint64_t met;           /* peers so far */
    struct weft_list peers; /* of adapter_peer: tests have few */
    struct weft_list held;  /* of sim_flight, the next one first */
    size_t held_bytes;
    const struct sim_flight *stranger; /* whose packet is being delivered; NULL: nobody's */
    int timer;
    bool armed;
    uint8_t out[SIM_STAMP_BYTES + SIM_PACKET_MAX];
};

/* --- sim_spec.c --- */
/* Reads "seed=7,loss=0.05,delay_us=50"; NULL: a network without faults. WEFT_E_INVAL, and why is logged. */
int sim_spec_parse(const char *text, struct sim_spec *out);

/* --- sim_traffic.c --- */
struct adapter_peer *sim_peer_find(struct sim *s, const void *address, size_t len);
int sim_send(struct adapter *a, struct adapter_peer *peer, const struct adapter_packet_out *packets,
             size_t count);
int sim_poll(struct adapter *a, unsigned max);
int sim_arm(struct adapter *a);
void sim_disarm(struct adapter *a);
size_t sim_fds(struct adapter *a, int *out, size_t cap);
/* The callbacks that udp has. */
void sim_on_packet(void *ctx, struct adapter *below, const struct adapter_packet_in *p);
void sim_on_peer_lost(void *ctx, struct adapter *below, struct adapter_peer *peer, bool hint);

#endif
