/* The model of a simulated network: what becomes of a packet, and when it arrives. It draws from a seed, and
 * has no clock, no memory and no packets of its own: the adapter `sim` asks it in real time, the simulation
 * of whole clusters (tests/sim) in virtual time. */
#ifndef WEFT_ADAPTER_SIMNET_H
#define WEFT_ADAPTER_SIMNET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct simnet_params {
    bool reliable; /* nothing is lost, doubled, damaged or overtaken */
    /* Chances of a packet, 0 to 1. */
    double loss, duplicate, reorder, corrupt, truncate;
    uint64_t delay_ns, jitter_ns;
    uint64_t ns_per_byte_x1000; /* that the line takes; 0: none */
    size_t path_bytes;          /* larger packets vanish on the way; 0: none do */
    size_t queue_bytes;         /* before the line; what does not fit is dropped; 0: it holds everything */
};

/* One packet's way. Who asks keeps the state between packets. */
struct simnet_way {
    const struct simnet_params *params;
    uint64_t *random;          /* the state of the draws: a seed, at first */
    uint64_t *line_free_ns;    /* when the line has sent all that it was given */
    uint64_t *last_arrival_ns; /* of those that went this way in order */
    uint64_t now_ns;
};

uint64_t simnet_random(uint64_t *random);
uint64_t simnet_below(uint64_t *random, uint64_t n);
bool simnet_chance(uint64_t *random, double p); /* draws nothing if p is 0 */

/* How many copies of the packet arrive: 0, 1 or 2. One that is lost on the way has taken its time of the line
 * all the same. */
int simnet_copies(const struct simnet_way *w, size_t len);
/* When a copy arrives; *last_arrival_ns unless it leaves the order. */
uint64_t simnet_arrival(const struct simnet_way *w, size_t len);
/* May turn over a bit of a copy, or cut it short; true: it did. */
bool simnet_spoil(const struct simnet_way *w, uint8_t *packet, size_t *len);

#endif
