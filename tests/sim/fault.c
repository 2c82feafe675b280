/* Faults: crashes, partitions, clogged lines, nodes that stand still, packets that come again late and
 * packets that nobody sent. */
#include "sim.h"
#include "transport/wire.h"

#include <string.h>

#define INCARNATIONS_MAX 3u
#define STOPS_MAX        6
#define FLOOD_MAX        200 /* INITs of strangers in a run: fewer than may be half open */
#define JUNK_BYTES_MAX   66000u

static int any_node(struct sim *s) { return (int)sim_below(s, (uint64_t)s->p.nodes); }

static void crash_node(struct sim *s) {
    struct sim_node *n = &s->node[any_node(s)];
    if (!n->alive || n->incarnation >= INCARNATIONS_MAX) return;
    if (s->trace) show(s, "node %d crashes", n->index);
    s->faults++;
    workload_node_gone(s, n);
    network_crash_node(s, n->index);
    n->restart_at_ns = s->now + sim_below(s, 4 * WEFT_NS_PER_S);
}

static void cut_one(struct sim *s, int from, int to, uint64_t until) {
    if (s->trace) show(s, "nothing gets from %d to %d until %.3f ms", from, to, (double)until / 1e6);
    s->cut_until[from][to] = until;
}

/* One direction, both, or a node on its own. */
static void cut_lines(struct sim *s) {
    int a = any_node(s), b = any_node(s), kind = (int)sim_below(s, 3);
    uint64_t until = s->now + (uint64_t)SIM_PICK(s, 5e6, 1e8, 1e9, 6e9);
    if (s->p.net.reliable || a == b) return;
    s->faults++;
    cut_one(s, a, b, until);
    if (kind == 1) cut_one(s, b, a, until);
    for (int i = 0; kind == 2 && i < s->p.nodes; i++) {
        if (i == a) continue;
        cut_one(s, a, i, until);
        cut_one(s, i, a, until);
    }
}

static void clog_line(struct sim *s) {
    int from = any_node(s), to = any_node(s);
    uint64_t until = s->now + (uint64_t)SIM_PICK(s, 1e6, 5e7, 1e9);
    if (from == to || s->clog_until[from][to] > s->now) return;
    s->faults++;
    if (s->trace) show(s, "the line from %d to %d is clogged until %.3f ms", from, to, (double)until / 1e6);
    s->clog_until[from][to] = until;
}

static void stop_node(struct sim *s) {
    struct sim_node *n = &s->node[any_node(s)];
    uint64_t until = s->now + (uint64_t)SIM_PICK(s, 1e7, 5e8, 2e9, 1e10);
    if (!n->alive || n->stopped_until_ns > s->now || s->stops >= STOPS_MAX) return;
    s->faults++;
    s->stops++;
    if (s->trace) show(s, "node %d stands still until %.3f ms", n->index, (double)until / 1e6);
    n->stopped_until_ns = until;
}

static const struct flight *any_kept(struct sim *s) { return s->kept[sim_below(s, SIM_KEPT)]; }

/* Without a key a RESET is believed if it comes from where the peer is, and nothing signs that place. */
static bool is_believed(const struct sim *s, const struct flight *f) {
    struct wire_header h;
    return !s->p.keyed && wire_header_read(f->data, f->len, &h) == 0 && h.type == WIRE_RESET;
}

/* A packet of long ago comes once more, as it was or where it does not belong. */
static void repeat(struct sim *s) {
    const struct flight *f = any_kept(s);
    if (!f || s->p.net.reliable) return;
    int to = sim_chance(s, 0.9) ? f->to : any_node(s), from = sim_chance(s, 0.9) ? f->from : any_node(s);
    if (is_believed(s, f)) from = f->from;
    network_inject(s, from, to, f->data, f->len);
}

static size_t hello(struct sim *s, uint8_t *p) {
    struct wire_hello h = {.version_min = WIRE_VERSION,
                           .version_max = WIRE_VERSION,
                           .integrity = (uint8_t)sim_below(s, 8),
                           .conn_id = (uint32_t)sim_random(s),
                           .packet_bytes = 1200 + (uint32_t)sim_below(s, 60000),
                           .window_bytes = (uint32_t)sim_random(s)};
    uint64_t boot[2] = {sim_random(s), sim_random(s)};
    memcpy(h.boot_id, boot, sizeof h.boot_id);
    return wire_hello_write(p, WIRE_INIT, 0, sim_random(s), &h);
}

static void flood(struct sim *s, int from, int to) {
    uint8_t p[WIRE_INIT_BYTES];
    for (uint64_t n = 1 + sim_below(s, 20); n > 0 && s->floods < FLOOD_MAX; n--, s->floods++) {
        size_t len = hello(s, p);
        network_inject(s, from, to, p, len);
    }
}

/* A real packet, cut short, with bits turned over, or for a connection that nobody has. */
static void mangle(struct sim *s, int how, int from, int to, uint8_t *p) {
    const struct flight *f = any_kept(s);
    if (!f || !f->len) return;
    size_t len = f->len;
    memcpy(p, f->data, len);
    if (how == 0) len = sim_below(s, len);
    for (uint64_t n = how == 1 ? 1 + sim_below(s, 30) : 0; n > 0; n--)
        p[sim_below(s, len)] ^= (uint8_t)(1u << sim_below(s, 8));
    if (how == 2 && len >= 8) le_put32(p + 4, (uint32_t)sim_random(s));
    network_inject(s, from, to, p, len);
}

static void junk(struct sim *s) {
    static uint8_t p[JUNK_BYTES_MAX];
    int from = sim_chance(s, 0.5) ? SIM_STRANGER : any_node(s), to = any_node(s);
    if (s->p.net.reliable) return;
    switch (sim_below(s, 7)) {
    case 0:
        for (size_t i = 0; i < 1500; i++) p[i] = (uint8_t)sim_random(s);
        network_inject(s, from, to, p, sim_below(s, 1500));
        break;
    case 1: mangle(s, 0, from, to, p); break;
    case 2: mangle(s, 1, from, to, p); break;
    case 3: mangle(s, 2, from, to, p); break;
    case 4: flood(s, from, to); break;
    case 5: {
        size_t len = wire_reset_write(p, &(struct wire_reset){(uint32_t)sim_random(s), sim_below(s, 1000)});
        network_inject(s, from, to, p, len);
        break;
    }
    default: memset(p, 0, sizeof p); network_inject(s, from, to, p, sim_chance(s, 0.5) ? 0 : sizeof p);
    }
}

/* Another path, which carries less or more, takes over. */
static void reroute(struct sim *s) {
    s->p.net.path_bytes = (size_t)SIM_PICK(s, 0, 1200, 1472, 4000);
    s->faults++;
    if (s->trace) show(s, "the path carries packets of at most %zu bytes", s->p.net.path_bytes);
}

void fault_act(struct sim *s) {
    const struct sim_params *p = &s->p;
    if (s->draining) return;
    if (sim_chance(s, p->crash)) crash_node(s);
    if (sim_chance(s, p->cut)) cut_lines(s);
    if (sim_chance(s, p->clog)) clog_line(s);
    if (sim_chance(s, p->stop)) stop_node(s);
    if (sim_chance(s, p->repeat)) repeat(s);
    if (sim_chance(s, p->junk)) junk(s);
    if (sim_chance(s, p->reroute)) reroute(s);
}

void fault_heal(struct sim *s) {
    memset(s->cut_until, 0, sizeof s->cut_until);
    memset(s->clog_until, 0, sizeof s->clog_until);
    for (int i = 0; i < s->p.nodes; i++) s->node[i].stopped_until_ns = 0;
}
