/* Goodput: what part of a line large messages get at several rates of loss, with reordering, and when two
 * flows share a line with a bounded queue. Virtual time: the figures are of the protocol alone.
 *
 * "Of the line" counts the packets that the message fills at its chunk size, headers and trailers included:
 * 1 is a line that carries nothing else and never stands still. "Payload" counts the message's bytes. */
#include "base/counter.h"
#include "sim.h"
#include "transport/conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE_BYTES  (8u << 20)
#define SHARED_BYTES (48u << 20)
#define SEEDS        30

enum { SENT, LOST, SPURIOUS, PROBES, COUNTERS };
static const char *const counter_names[COUNTERS] = {"transport_packets_sent", "transport_packets_lost",
                                                    "transport_packets_spurious", "transport_probe_timeouts"};

static void visit(void *ctx, const struct weft_counter *c, uint64_t value) {
    uint64_t *of = ctx;
    for (int i = 0; i < COUNTERS; i++)
        if (!strcmp(c->name, counter_names[i])) of[i] = value;
}

static const struct sim_params ten_gigabit = {.nodes = 2,
                                              .net = {.delay_ns = 25000, .ns_per_byte_x1000 = 800},
                                              .packet_bytes = 1472,
                                              .burst_max = 64,
                                              .window_bytes = 3000000,
                                              .eager_bytes = 16384,
                                              .window_superpackets = 16};

static void start(struct sim *s, int senders) {
    for (int i = 0; i < s->p.nodes; i++)
        if (network_start_node(s, i)) abort();
    for (int i = 0; i < senders; i++) workload_connect(s, i, s->p.nodes - 1);
    for (int i = 0; i < senders; i++)
        while (!workload_is_up(s, i) && !s->failed) sim_step(s);
}

static bool finish(struct sim *s) {
    bool ok = !s->failed;
    s->failed = true; /* what follows is only tidying */
    for (int i = 0; i < s->p.nodes; i++) engine_destroy(s->node[i].engine);
    workload_fini(s);
    network_fini(s);
    return ok;
}

struct score {
    double seconds, line_seconds, count[COUNTERS];
};

/* One message; adds to the score. */
static bool measure(const struct sim_params *p, uint64_t seed, struct score *sum) {
    struct sim s;
    uint64_t before[COUNTERS], after[COUNTERS];
    sim_init(&s, seed, false);
    s.p = *p;
    start(&s, 1);
    weft_counters_visit(visit, before);
    uint64_t since = s.now;
    workload_send_large(&s, 0, LARGE_BYTES);
    while (!workload_is_done(&s, 0) && !s.failed) {
        sim_step(&s);
    }
    sum->seconds += (double)(s.now - since) / 1e9;
    weft_counters_visit(visit, after);
    for (int i = 0; i < COUNTERS; i++) sum->count[i] += (double)(after[i] - before[i]);
    return finish(&s);
}

/* Seconds that the line takes for `bytes` in packets of the largest size. */
static double line_seconds(const struct sim_params *p, double bytes) {
    double overhead = WIRE_OVERHEAD_BYTES + WIRE_DATA_BYTES, chunk = (double)p->packet_bytes - overhead;
    return bytes * (1 + overhead / chunk) * (double)p->net.ns_per_byte_x1000 * 1e-12;
}

/* One row of the table; false: below what is demanded. */
static bool row(const struct sim_params *p, double least, double most_spurious) {
    struct score sum = {0};
    bool ok = true;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) ok &= measure(p, seed, &sum);
    double line = SEEDS * line_seconds(p, LARGE_BYTES) / sum.seconds;
    double payload = SEEDS * (double)LARGE_BYTES * (double)p->net.ns_per_byte_x1000 * 1e-12 / sum.seconds;
    double spurious = sum.count[SPURIOUS] / sum.count[SENT];
    ok &= line >= least && spurious <= most_spurious;
    printf("%7zu  %5.1f %%  %7.0f %%  %11.3f  %7.3f  %8.3f  %7.2f %%  %8.2f %%  %6.2f%s\n", p->packet_bytes,
           100 * p->net.loss, 100 * p->net.reorder, line, payload, least,
           100 * sum.count[LOST] / sum.count[SENT], 100 * spurious, sum.count[PROBES] / SEEDS,
           ok ? "" : "  FAILED");
    return ok;
}

bool goodput_run(void) {
    static const double losses[] = {0, 0.001, 0.01, 0.05, 0.1, 0.2};
    static const double least[2][6] = {{.98, .98, .97, .92, .85, .74}, {.97, .97, .95, .88, .80, .64}};
    static const size_t sizes[] = {1472, 8972};
    bool ok = true;
    printf("8 MiB, 10 Gb/s, round trip 50 us, mean of %d\n", SEEDS);
    printf("packets    loss  reordered  of the line  payload  demanded  resent    spurious  probes\n");
    for (int size = 0; size < 2; size++)
        for (int i = 0; i < 6; i++) {
            struct sim_params p = ten_gigabit;
            p.packet_bytes = sizes[size];
            p.net.loss = losses[i];
            ok &= row(&p, least[size][i], 1);
        }
    struct sim_params p = ten_gigabit;
    p.net.reorder = 0.05;
    ok &= row(&p, .90, .015);
    p.net.loss = 0.01;
    ok &= row(&p, .90, .015);
    return ok;
}

/* Two senders, the second 2 ms later, over one line: what each got while both were sending. */
static bool share(size_t packet_bytes, double loss, uint64_t seed) {
    struct sim s;
    sim_init(&s, seed, false);
    s.p = ten_gigabit;
    s.p.nodes = 3;
    s.p.net.queue_bytes = 256 << 10;
    s.p.packet_bytes = packet_bytes;
    s.p.net.loss = loss;
    start(&s, 2);
    uint64_t first = s.now;
    workload_send_large(&s, 0, SHARED_BYTES);
    while (s.now < first + 2 * WEFT_NS_PER_MS && !s.failed) sim_step(&s);
    workload_send_large(&s, 1, SHARED_BYTES);
    uint64_t since[2] = {s.arrived[0][2], s.arrived[1][2]};
    while (!workload_is_done(&s, 0) && !workload_is_done(&s, 1) && !s.failed) sim_step(&s);
    double got[2] = {(double)(s.arrived[0][2] - since[0]), (double)(s.arrived[1][2] - since[1])};
    while (!(workload_is_done(&s, 0) && workload_is_done(&s, 1)) && !s.failed) sim_step(&s);
    double ratio = got[0] > got[1] ? got[0] / got[1] : got[1] / got[0];
    double line = line_seconds(&s.p, 2.0 * SHARED_BYTES) / ((double)(s.now - first) / 1e9);
    double dropped = (double)s.dropped / (double)s.packets;
    bool ok = finish(&s) && ratio <= 2 && line >= 0.9 * (1 - loss);
    printf("%7zu  %5.1f %%  %4lu  %11.3f  %6.2f : 1  %6.2f %%%s\n", packet_bytes, 100 * loss,
           (unsigned long)seed, line, got[0] / got[1], 100 * dropped, ok ? "" : "  FAILED");
    return ok;
}

bool goodput_run_shared(void) {
    bool ok = true;
    printf("\ntwo flows of 48 MiB, the second 2 ms later, 10 Gb/s, a queue of 256 KiB\n");
    printf("packets    loss  seed  of the line       share  dropped\n");
    for (uint64_t seed = 1; seed <= 3; seed++) {
        ok &= share(1472, 0, seed);
        ok &= share(8972, 0, seed);
        ok &= share(1472, 0.01, seed);
    }
    return ok;
}
