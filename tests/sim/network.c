/* The simulated network: a line per node with bandwidth and delay, faults at random; or a reliable, ordered,
 * readable one with bounded room. */
#include "base/error.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>

/* The line that a packet takes: that of its sender, or one that all senders to the receiver share. */
static uint64_t *line_of(struct sim *s, int from, int to) {
    return s->p.queue_bytes ? &s->line_free[to] : &s->line_free[from];
}

static bool queue_is_full(struct sim *s, int from, int to, size_t len) {
    uint64_t free_at = *line_of(s, from, to);
    if (!s->p.queue_bytes || free_at <= s->now) return false;
    return (free_at - s->now) * 1000 / s->p.ns_per_byte_x1000 + len > s->p.queue_bytes;
}

/* When the packet has left; also one that is lost on the way has taken its time of the line. */
static uint64_t departure(struct sim *s, int from, int to, size_t len) {
    uint64_t *line = line_of(s, from, to);
    uint64_t start = *line > s->now ? *line : s->now;
    return *line = start + len * s->p.ns_per_byte_x1000 / 1000;
}

static uint64_t arrival(struct sim *s, int from, int to, size_t len) {
    uint64_t at = departure(s, from, to, len) + s->p.delay_ns;
    if (s->p.jitter_ns) at += sim_below(s, s->p.jitter_ns);
    if (!s->p.reliable && sim_chance(s, s->p.reorder)) return at + sim_below(s, 4 * s->p.delay_ns + 1);
    if (at <= s->last_arrival[from][to]) at = s->last_arrival[from][to] + 1;
    return s->last_arrival[from][to] = at;
}

static struct flight *launch(struct sim *s, int kind, int from, int to, size_t len) {
    struct flight *f = calloc(1, sizeof *f + len);
    if (!f || heap_reserve(&s->flights, s->flights.count + 1)) abort();
    f->kind = kind;
    f->from = from;
    f->to = to;
    f->len = len;
    f->incarnation = s->node[to].incarnation;
    f->line = s->node[from].line[to];
    heap_set(&s->flights, &f->at, arrival(s, from, to, len));
    return f;
}

static void spoil(struct sim *s, struct flight *f) {
    if (f->len && sim_chance(s, s->p.corrupt))
        f->data[sim_below(s, f->len)] ^= (uint8_t)(1u << sim_below(s, 8));
    if (f->len && sim_chance(s, s->p.truncate)) f->len = sim_below(s, f->len);
}

static size_t packet_len(const struct adapter_packet_out *p) {
    return p->piece[0].iov_len + p->piece[1].iov_len + p->piece[2].iov_len;
}

static void copy_packet(uint8_t *to, const struct adapter_packet_out *p) {
    for (int i = 0; i < 3; i++) {
        if (p->piece[i].iov_len) memcpy(to, p->piece[i].iov_base, p->piece[i].iov_len);
        to += p->piece[i].iov_len;
    }
}

static void transmit(struct sim *s, int from, int to, const struct adapter_packet_out *p) {
    size_t len = packet_len(p);
    s->packets++;
    int copies = s->p.reliable ? 1 : sim_chance(s, s->p.loss) ? 0 : sim_chance(s, s->p.duplicate) ? 2 : 1;
    bool full = queue_is_full(s, from, to, len);
    if (full) copies = 0;
    if (!copies) s->dropped++;
    if (!copies && !full) departure(s, from, to, len);
    while (copies--) {
        struct flight *f = launch(s, FLIGHT_PACKET, from, to, len);
        copy_packet(f->data, p);
        if (!s->p.reliable) spoil(s, f);
    }
}

static int net_send(void *ctx, const struct engine_path *path, const struct adapter_packet_out *packets,
                    size_t count) {
    struct sim_node *n = ctx;
    struct sim *s = n->sim;
    int to = path->peer->node;
    if (count == 0 || count > s->p.burst_max) sim_fail(s, "a burst of %zu packets", count);
    for (size_t i = 0; i < count; i++) {
        size_t len = packet_len(&packets[i]), first = packet_len(&packets[0]);
        if (len > s->p.packet_bytes) sim_fail(s, "a packet of %zu bytes", len);
        if (len != first && !(i + 1 == count && len < first)) sim_fail(s, "a burst of unequal packets");
    }
    if (s->p.reliable && (!s->node[to].alive || !n->line[to])) return WEFT_E_PEER_LOST;
    size_t take = sim_chance(s, s->p.refuse) ? sim_below(s, count + 1) : count;
    for (size_t i = 0; i < take; i++) transmit(s, n->index, to, &packets[i]);
    return (int)take;
}

static void net_reply(void *ctx, const struct engine_from *from, const void *packet, size_t len) {
    struct sim_node *n = ctx;
    struct adapter_packet_out out = {{{(void *)packet, len}, {NULL, 0}, {NULL, 0}}};
    int to = *(const int *)from->addr;
    if (!n->sim->p.reliable || n->sim->node[to].alive) transmit(n->sim, n->index, to, &out);
}

static int net_path_open(void *ctx, const struct engine_from *from, struct engine_path *out) {
    struct sim_node *n = ctx;
    int to = *(const int *)from->addr;
    if (n->sim->p.reliable && !n->sim->node[to].alive) return WEFT_E_REFUSED;
    if (n->sim->p.reliable && !n->line[to]) n->line[to] = ++n->sim->next_line;
    n->holds[to]++;
    *out = (struct engine_path){&n->link, &n->peer[to], n->sim->p.packet_bytes};
    return 0;
}

static void net_path_close(void *ctx, const struct engine_path *path) {
    struct sim_node *n = ctx;
    struct sim *s = n->sim;
    int to = path->peer->node;
    if (--n->holds[to] < 0) sim_fail(s, "a path was closed twice");
    if (n->holds[to] || !n->line[to]) return;
    if (s->node[to].alive) launch(s, FLIGHT_LOST, n->index, to, 0); /* the line ends, both sides are told */
    n->line[to] = 0;
}

struct region {
    int node;
    uint32_t incarnation;
    uint64_t ptr, len;
};

static int net_expose(void *ctx, const struct engine_path *path, const void *ptr, size_t len, void *region,
                      size_t *region_len) {
    struct sim_node *n = ctx;
    struct region r = {n->index, n->incarnation, (uint64_t)(uintptr_t)ptr, len};
    if (sim_chance(n->sim, n->sim->p.no_access)) return WEFT_E_LIMIT;
    memcpy(region, &r, sizeof r);
    *region_len = sizeof r;
    return 0;
}

static void net_conceal(void *ctx, const struct engine_path *path, const void *region, size_t region_len) {}

const struct engine_io network_io = {.send = net_send,
                                     .reply = net_reply,
                                     .path_open = net_path_open,
                                     .path_close = net_path_close,
                                     .expose = net_expose,
                                     .conceal = net_conceal};

int network_read(struct sim *s, int node, const struct engine_pull *pull) {
    struct region r;
    memcpy(&r, pull->region, sizeof r);
    if (sim_chance(s, s->p.no_access / 4)) return WEFT_E_ACCESS;
    if (!s->node[r.node].alive || s->node[r.node].incarnation != r.incarnation) return WEFT_E_PEER_LOST;
    if (pull->offset > r.len || pull->len > r.len - pull->offset) {
        sim_fail(s, "a read outside the region");
        return WEFT_E_INVAL;
    }
    memcpy(pull->dst, (const uint8_t *)(uintptr_t)r.ptr + pull->offset, pull->len);
    return 0;
}

int network_start_node(struct sim *s, int index) {
    struct sim_node *n = &s->node[index];
    const struct sim_params *p = &s->p;
    n->sim = s;
    n->index = index;
    n->alive = true;
    n->incarnation++;
    memset(n->holds, 0, sizeof n->holds);
    memset(n->line, 0, sizeof n->line);
    n->link = (struct engine_link){.attr = {.name = "sim",
                                            .packet_max_bytes = p->packet_bytes,
                                            .burst_max_packets = p->burst_max,
                                            .receive_window_bytes = p->window_bytes,
                                            .packet_charge_bytes = 300}};
    n->link.attr.tag_entries = p->tag_entries;
    n->link.attr.caps = (p->no_tags ? 0 : ADAPTER_CAP_METHOD1) | (p->no_staging ? 0 : ADAPTER_CAP_METHOD2);
    if (p->reliable)
        n->link.attr.caps |=
            ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED | ADAPTER_CAP_REMOTE_READ | ADAPTER_CAP_PEER_DEATH;
    for (int i = 0; i < SIM_NODES_MAX; i++) n->peer[i].node = i;
    static const uint8_t key[EP_KEY_BYTES] = "the key of all simulated nodes";
    struct engine_config cfg = {.io = network_io,
                                .key = p->keyed ? key : NULL,
                                .seed = sim_random(s),
                                .accept = true,
                                .eager_bytes = p->eager_bytes,
                                .window_superpackets = p->window_superpackets,
                                .queue_bytes = 64u << 20,
                                .keepalive_ns = WEFT_NS_PER_S,
                                .connect_timeout_ns = 10 * WEFT_NS_PER_S,
                                .dead_ns = 2 * WEFT_NS_PER_S,
                                .tags_per_peer = p->tags_per_peer,
                                .tags_all = p->tags_all,
                                .tag_min_bytes = p->tag_min_bytes,
                                .method2_bytes = p->method2_bytes,
                                .method2_superpackets = p->method2_superpackets,
                                .staging_peer_bytes = p->staging_peer_bytes,
                                .staging_bytes = p->staging_bytes,
                                .tag_superpackets = p->tag_superpackets};
    cfg.io.ctx = n;
    uint64_t boot[2] = {sim_random(s), sim_random(s)};
    memcpy(cfg.boot_id, boot, sizeof boot);
    return engine_create(&n->engine, &cfg);
}

void network_crash_node(struct sim *s, int index) {
    struct sim_node *n = &s->node[index];
    engine_destroy(n->engine);
    n->engine = NULL;
    n->alive = false;
    for (int i = 0; s->p.reliable && i < s->p.nodes; i++) {
        if (i == index || !s->node[i].alive) continue;
        n->line[i] = s->node[i].line[index]; /* whichever the other side has, it is dead */
        launch(s, FLIGHT_LOST, index, i, 0);
    }
}

/* Whether a flight comes over the line that this node has, or over a new one that it takes up. */
static bool takes_line(struct sim_node *n, const struct flight *f) {
    uint64_t *line = &n->line[f->from];
    if (f->line == 0 || f->line < *line) return false;
    if (f->kind == FLIGHT_LOST && f->line != *line) return false;
    if (f->line > *line && *line)
        engine_peer_lost(n->engine, n->sim->now, &n->link, &n->peer[f->from], false);
    *line = f->kind == FLIGHT_LOST ? 0 : f->line;
    return true;
}

void network_deliver(struct sim *s, struct flight *f) {
    struct sim_node *n = &s->node[f->to];
    bool same = n->incarnation == f->incarnation;
    if (!n->alive) {
        if (!s->p.reliable && f->kind == FLIGHT_PACKET && s->node[f->from].alive && sim_chance(s, 0.5))
            launch(s, FLIGHT_HINT, f->to, f->from, 0);
    } else if (s->p.reliable && (!same || !takes_line(n, f))) {
        /* of a line that has ended */
    } else if (f->kind == FLIGHT_PACKET && (same || !s->p.reliable)) {
        struct engine_from from = {&n->link, n->holds[f->from] ? &n->peer[f->from] : NULL, &f->from,
                                   sizeof f->from};
        uint8_t *exact = malloc(f->len ? f->len : 1); /* so that a sanitizer sees reads beyond the end */
        memcpy(exact, f->data, f->len);
        engine_input(n->engine, s->now, &from, exact, f->len);
        free(exact);
        s->arrived[f->from][f->to] += f->len;
    } else if (f->kind != FLIGHT_PACKET && same) {
        engine_peer_lost(n->engine, s->now, &n->link, &n->peer[f->from], f->kind == FLIGHT_HINT);
    }
    free(f);
}

void network_fini(struct sim *s) {
    for (struct heap_node *h; (h = heap_first(&s->flights));) {
        heap_set(&s->flights, h, WEFT_TIME_NEVER);
        free(weft_container_of(h, struct flight, at));
    }
    heap_fini(&s->flights);
}
