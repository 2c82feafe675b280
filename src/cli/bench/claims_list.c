/* The list of claims. */
#include "cli/bench/claims.h"

#define KiB 1024ull
#define MiB (1024ull * KiB)

#define BEST_PEER(size_, wanted_)                                                                            \
    { .size = (size_), .against = AGAINST_BEST_PEER, .wanted = (wanted_) }
#define BEST_PEER_GBps(size_, wanted_)                                                                       \
    { .size = (size_), .against = AGAINST_BEST_PEER, .at_least = true, .wanted = (wanted_) }
#define FLOOR_us(size_, wanted_)                                                                             \
    { .size = (size_), .against = AGAINST_FLOOR, .wanted = (wanted_) }
#define ONE_COPY(size_)                                                                                      \
    { .size = (size_), .test = 1, .against = AGAINST_FLOOR, .at_least = true, .wanted = 0.9 }
#define PEER_us(size_, name_, wanted_)                                                                       \
    { .size = (size_), .against = AGAINST_CONTENDER, .contender = (name_), .wanted = (wanted_) }
#define PEER_GBps(size_, name_, wanted_)                                                                     \
    {                                                                                                        \
        .size = (size_), .against = AGAINST_CONTENDER, .contender = (name_), .at_least = true,               \
        .wanted = (wanted_)                                                                                  \
    }
#define CPU(size_, figure_, wanted_)                                                                         \
    { .size = (size_), .figure = (figure_), .against = AGAINST_NOTHING, .wanted = (wanted_) }

#define SHM_BANDWIDTH                                                                                        \
    { BEST_PEER_GBps(64 * KiB, 1.2), BEST_PEER_GBps(MiB, 1.2), BEST_PEER_GBps(16 * MiB, 1.2) }
#define WINDOW                                                                                               \
    { ONE_COPY(64 * KiB), ONE_COPY(MiB), ONE_COPY(16 * MiB) }
#define UDP_BANDWIDTH                                                                                        \
    {                                                                                                        \
        PEER_GBps(MiB, "UCX tcp", 1), PEER_GBps(MiB, "libfabric udp;ofi_rxd", 5),                            \
            PEER_GBps(16 * MiB, "UCX tcp", 1), PEER_GBps(16 * MiB, "libfabric udp;ofi_rxd", 5)               \
    }
#define UDP_CPU                                                                                              \
    { CPU(MiB, 1, 0.25), CPU(MiB, 2, 0.25), CPU(16 * MiB, 1, 0.25), CPU(16 * MiB, 2, 0.25) }
#define PACKET_OF_MTU_1500 "1456"

const struct claim_set claim_sets[] = {
    {.name = "shm-latency",
     .text = "small messages over shared memory",
     .kind = BENCH_LATENCY,
     .adapter = "shm",
     .claim = {BEST_PEER(8, 0.8), FLOOR_us(8, 1.6), BEST_PEER(4 * KiB, 1)}},
    {.name = "shm-bandwidth",
     .text = "large messages over shared memory, the same bytes again and again",
     .kind = BENCH_BANDWIDTH,
     .adapter = "shm",
     .claim = SHM_BANDWIDTH},
    {.name = "shm-bandwidth-written",
     .text = "large messages over shared memory, just written",
     .kind = BENCH_BANDWIDTH,
     .adapter = "shm",
     .written = true,
     .claim = SHM_BANDWIDTH},
    {.name = "shm-put",
     .text = "puts into a mapped window against one memcpy",
     .kind = BENCH_PUT,
     .adapter = "shm",
     .claim = WINDOW},
    {.name = "shm-get",
     .text = "gets from a mapped window against one memcpy",
     .kind = BENCH_GET,
     .adapter = "shm",
     .claim = WINDOW},
    {.name = "udp-latency",
     .text = "small messages over UDP, with checksums",
     .kind = BENCH_LATENCY,
     .adapter = "udp",
     .security = "crc",
     .claim = {FLOOR_us(64, 1.15), PEER_us(64, "UCX tcp", 0.7), PEER_us(64, "libfabric tcp", 0.7),
               PEER_us(64, "libfabric udp;ofi_rxd", 0.4)}},
    {.name = "udp-latency-aes",
     .text = "small messages over UDP, encrypted",
     .kind = BENCH_LATENCY,
     .adapter = "udp",
     .security = "aes",
     .claim = {FLOOR_us(64, 1.4), PEER_us(64, "UCX tcp", 0.7), PEER_us(64, "libfabric tcp", 0.7),
               PEER_us(64, "libfabric udp;ofi_rxd", 0.4)}},
    {.name = "udp-bandwidth",
     .text = "large messages over UDP, packets as loopback takes them",
     .kind = BENCH_BANDWIDTH,
     .adapter = "udp",
     .security = "crc",
     .claim = UDP_BANDWIDTH},
    {.name = "udp-bandwidth-1500",
     .text = "large messages over UDP, packets for an MTU of 1500 (the others' are as loopback takes them)",
     .kind = BENCH_BANDWIDTH,
     .adapter = "udp",
     .security = "crc",
     .packet_bytes = PACKET_OF_MTU_1500,
     .claim = UDP_BANDWIDTH},
    {.name = "udp-cpu",
     .text = "CPU time of large messages over UDP",
     .kind = BENCH_CPU,
     .adapter = "udp",
     .security = "crc",
     .claim = UDP_CPU},
    {.name = "udp-cpu-1500",
     .text = "CPU time of large messages over UDP, packets for an MTU of 1500",
     .kind = BENCH_CPU,
     .adapter = "udp",
     .security = "crc",
     .packet_bytes = PACKET_OF_MTU_1500,
     .claim = UDP_CPU},
    {.name = "shm-under-bulk",
     .text = "a small message while 1 GiB moves to the same peer, 99th percentile",
     .kind = BENCH_UNDER_BULK,
     .adapter = "shm",
     .claim = {{.size = 64, .against = AGAINST_IDLE, .wanted = 5}}},
    {.name = "udp-under-bulk",
     .text = "the same over UDP",
     .kind = BENCH_UNDER_BULK,
     .adapter = "udp",
     .security = "crc",
     .claim = {{.size = 64, .against = AGAINST_IDLE, .wanted = 5}}},
    {.name = "peers",
     .text = "a small message to one of 64 connected processes",
     .kind = BENCH_PEERS,
     .adapter = "shm",
     .claim = {{.size = 8, .against = AGAINST_IDLE, .wanted = 1.3}}},
    {.name = "memory",
     .text = "heap that an idle peer takes, with checksums",
     .kind = BENCH_MEMORY,
     .adapter = "udp",
     .security = "crc",
     .claim = {{.size = 8, .against = AGAINST_NOTHING, .wanted = 4 * KiB}}},
    {.name = "memory-aes",
     .text = "heap that an idle peer takes, encrypted",
     .kind = BENCH_MEMORY,
     .adapter = "udp",
     .security = "aes",
     .claim = {{.size = 8, .against = AGAINST_NOTHING, .wanted = 4 * KiB}}},
};
const size_t claim_set_count = sizeof claim_sets / sizeof *claim_sets;

size_t claims_of(const struct claim_set *s) {
    size_t n = 0;
    while (n < CLAIMS_MAX && s->claim[n].size) n++;
    return n;
}
