/* Scenario: what a run is like, drawn from its seed. Most runs are small, so that many fit a second; some are
 * long enough for windows of packet numbers to pass, some carry large messages. */
#include "sim.h"

#include <stdio.h>

/* The line and what it does to packets. */
static void choose_network(struct sim *s) {
    struct sim_params *p = &s->p;
    p->net.reliable = sim_below(s, 5) == 0;
    p->readable = p->net.reliable || s->seed % 8 == 3;
    p->net.loss = SIM_PICK(s, 0, 0.001, 0.01, 0.05, 0.2, 0.3);
    p->net.duplicate = SIM_PICK(s, 0, 0.01, 0.1, 0.5);
    p->net.reorder = SIM_PICK(s, 0, 0.01, 0.2);
    p->net.corrupt = SIM_PICK(s, 0, 0.01);
    p->net.truncate = SIM_PICK(s, 0, 0.01);
    p->refuse = SIM_PICK(s, 0, 0.02, 0.2);
    p->no_access = SIM_PICK(s, 0, 0.3, 1);
    p->net.delay_ns = (uint64_t)SIM_PICK(s, 1e3, 25e3, 1e6, 20e6);
    p->net.jitter_ns = sim_chance(s, 0.5) ? p->net.delay_ns / 4 + 1 : 0;
    p->net.ns_per_byte_x1000 = (uint64_t)SIM_PICK(s, 80, 800, 8000);
    p->packet_bytes = (size_t)SIM_PICK(s, 1200, 1472, 1472, 4096, 8972, 65000);
    p->net.path_bytes = (size_t)SIM_PICK(s, 0, 0, 0, 1200, 1472, 4000);
    p->burst_max = (size_t)SIM_PICK(s, 1, 8, 64);
    p->window_bytes = p->net.reliable ? 0 : (size_t)SIM_PICK(s, 16384, 65536, 262144, 3e6);
}

static void choose_limits(struct sim *s) {
    struct sim_params *p = &s->p;
    p->tag_superpackets = (uint32_t)SIM_PICK(s, 0, 1, 3);
    p->eager_bytes = (uint32_t)SIM_PICK(s, 0, 1000, 16384, 65536);
    p->window_superpackets = (uint32_t)SIM_PICK(s, 1, 4, 16, 64);
    p->bulk_patience_ns = s->seed / 3 % 3 * 5 * WEFT_NS_PER_MS;
    p->in_flight = (int)SIM_PICK(s, 1, 8, 24, 100);
    p->keyed = sim_chance(s, 0.5);
    p->true_ciphers = s->seed / 2 % 8 == 7;
    p->phase_bits = s->seed % 4 == 0 ? 5 : s->seed % 4 == 1 ? 9 : 0;
}

/* Tag tables: large enough, or so small that most messages find them full. */
static void choose_tags(struct sim *s) {
    struct sim_params *p = &s->p;
    p->no_tags = sim_below(s, 16) == 0;
    p->tag_min_bytes = (uint32_t)SIM_PICK(s, 0, 4096, 100000);
    p->unpinned = SIM_PICK(s, 0, 0.1);
    if (sim_below(s, 2)) return;
    p->tags_per_peer = (uint32_t)SIM_PICK(s, 1, 2, 64);
    p->tags_all = (uint32_t)SIM_PICK(s, 1, 3, 1024);
    p->tag_entries = (uint32_t)SIM_PICK(s, 0, 1, 4);
}

/* Method 2: from no staging memory at all to plenty. */
static void choose_staging(struct sim *s) {
    struct sim_params *p = &s->p;
    p->no_staging = sim_below(s, 4) == 0;
    p->method2_bytes = (uint32_t)SIM_PICK(s, 0, 100000, 245760, 983040);
    p->method2_superpackets = (uint32_t)SIM_PICK(s, 1, 4, 16);
    p->staging_peer_bytes = (uint32_t)SIM_PICK(s, 0, 61440, 245760, 2e6);
    p->staging_bytes = (uint32_t)SIM_PICK(s, 61440, 3e5, 16e6);
}

/* Each kind of trouble in a part of the runs, so that it meets the others in all combinations. */
static void choose_faults(struct sim *s) {
    struct sim_params *p = &s->p;
    p->discard = SIM_PICK(s, 0, 0.1);
    p->cancel = SIM_PICK(s, 0, 0, 0.002, 0.05);
    p->crash = SIM_PICK(s, 0, 0, 0, 0.0005, 0.003);
    p->close = SIM_PICK(s, 0, 0, 0, 0.0002, 0.002);
    p->cut = SIM_PICK(s, 0, 0, 0, 0.001, 0.005);
    p->clog = SIM_PICK(s, 0, 0, 0, 0.001, 0.005);
    p->stop = SIM_PICK(s, 0, 0, 0, 0.0005, 0.003);
    p->repeat = SIM_PICK(s, 0, 0, 0.01);
    p->junk = SIM_PICK(s, 0, 0, 0.02);
    p->reroute = SIM_PICK(s, 0, 0, 0, 0.001);
    p->no_memory = SIM_PICK(s, 0, 0, 0, 0, 0.001, 0.02);
}

void scenario_choose(struct sim *s) {
    struct sim_params *p = &s->p;
    p->nodes = 2 + (int)SIM_PICK(s, 0, 0, 0, 1, 1, 2, 3);
    choose_network(s);
    choose_limits(s);
    choose_tags(s);
    choose_staging(s);
    choose_faults(s);
    p->messages = 2 + (int)sim_below(s, 16);
    p->bulk_max = (uint32_t)SIM_PICK(s, 3e4, 1e5, 3e5);
    p->one_way = sim_chance(s, 0.25);
    if (sim_chance(s, 0.03)) { /* a long one */
        p->nodes = 2;
        p->messages *= 20;
        p->bulk_max = 1000000;
    }
}

void scenario_describe(const struct sim_params *p) {
    printf("%d nodes, %s, packets of %zu, of which the path carries %zu, bursts of %zu, delay %lu us, jitter "
           "%lu us, %.2f Gb/s, credit %zu\n",
           p->nodes,
           p->net.reliable ? "reliable"
           : p->readable   ? "unreliable but readable"
                           : "unreliable",
           p->packet_bytes, p->net.path_bytes ? p->net.path_bytes : p->packet_bytes, p->burst_max,
           (unsigned long)(p->net.delay_ns / 1000), (unsigned long)(p->net.jitter_ns / 1000),
           8000.0 / (double)p->net.ns_per_byte_x1000, p->window_bytes);
    printf("loss %g, doubled %g, reordered %g, damaged %g, cut short %g, not taken %g, not readable %g\n",
           p->net.loss, p->net.duplicate, p->net.reorder, p->net.corrupt, p->net.truncate, p->refuse,
           p->no_access);
    printf(
        "chances an event: crash %g, close %g, partition %g, clog %g, stop %g, late copy %g, junk %g, cancel "
        "%g, other path %g; an allocation fails %g\n",
        p->crash, p->close, p->cut, p->clog, p->stop, p->repeat, p->junk, p->cancel, p->reroute,
        p->no_memory);
    printf(
        "%d messages of at most %u bytes each way%s, eager up to %u, window %u, tags of %u superpackets, %u "
        "of a peer, %u in all, %u of the adapter%s, %s key\n",
        p->messages, p->bulk_max, p->one_way ? " (one way)" : "", p->eager_bytes, p->window_superpackets,
        p->tag_superpackets, p->tags_per_peer, p->tags_all, p->tag_entries,
        p->no_tags ? " (which has none)" : "", p->keyed ? "a" : "no");
    printf("staged: %s, messages up to %u, %u superpackets, %u bytes of a peer, %u in all; turns awaited "
           "%.0f ms\n",
           p->no_staging ? "nothing" : "some", p->method2_bytes, p->method2_superpackets,
           p->staging_peer_bytes, p->staging_bytes, (double)p->bulk_patience_ns / 1e6);
}
