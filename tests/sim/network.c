/* The simulated network: a line per node with bandwidth and delay, faults at random; or a reliable, ordered,
 * readable one with bounded room. */
#include "base/error.h"
#include "sim.h"
#include "transport/conn.h"
#include "transport/wire.h"

#include <stdlib.h>
#include <string.h>

#define STOPPED_QUEUE 256u /* packets that a stopped node's socket holds */

/* A packet's way; its line is that of its sender, or one that all senders to the receiver share. */
static struct simnet_way way_of(struct sim *s, int from, int to) {
    return (struct simnet_way){.params = &s->p.net,
                               .random = &s->random,
                               .line_free_ns = &s->line_free[s->p.net.queue_bytes ? to : from],
                               .last_arrival_ns = &s->last_arrival[from][to],
                               .now_ns = s->now};
}

static struct flight *launch(struct sim *s, int kind, int from, int to, size_t len) {
    struct flight *f = malloc(sizeof *f + len);
    if (!f || heap_reserve(&s->flights, s->flights.count + 1)) abort();
    *f = (struct flight){.kind = kind,
                         .from = from,
                         .to = to,
                         .incarnation = s->node[to].incarnation,
                         .line = from < SIM_NODES_MAX ? s->node[from].line[to] : 0,
                         .sent_ns = s->now,
                         .len = len};
    weft_list_init(&f->waiting);
    struct simnet_way way = way_of(s, from, to);
    heap_set(&s->flights, &f->at, simnet_arrival(&way, len));
    return f;
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

/* Some packets are kept, to come again when nobody expects them. */
static void keep(struct sim *s, const struct flight *f) {
    if (s->p.repeat + s->p.junk <= 0 || !sim_chance(s, 0.1)) return;
    struct flight **place = &s->kept[sim_below(s, SIM_KEPT)], *copy = malloc(sizeof *f + f->len);
    if (!copy) abort();
    memcpy(copy, f, sizeof *f + f->len);
    free(*place);
    *place = copy;
}

/* The sender's connection to the peer's one of this id. A peer that crashed may give the same id again, by
 * chance, to another connection, which has other keys. */
static uint32_t sending_connection(const struct sim *s, int from, int to, uint32_t dest) {
    const struct sim_node *n = &s->node[from];
    uint32_t id = 0;
    weft_list_for_each(it, &n->engine->conns) {
        const struct conn *c = weft_list_entry(it, struct conn, all);
        if (c->remote_id == dest && c->path.peer == &n->peer[to]) id = c->id;
    }
    return id;
}

/* No two packets are encrypted under one number: what leaves for a connection counts upwards, for ever. */
static void check_number(struct sim *s, int from, int to, const uint8_t *packet) {
    struct wire_header h;
    if (!s->p.keyed || to >= s->p.nodes || wire_header_read(packet, le_get16(packet + 2), &h)) return;
    if (h.type != WIRE_CTRL && h.type != WIRE_DATA && h.type != WIRE_PROBE) return;
    uint64_t key = (uint64_t)s->node[from].incarnation << 56 | (uint64_t)(from << 4 | to) << 48;
    key ^= (uint64_t)sending_connection(s, from, to, h.dest) << 32 ^ h.dest;
    uintptr_t before = (uintptr_t)weft_map_remove(&s->numbers, key);
    if (h.number < before) sim_fail(s, "number %lu was used before", (unsigned long)h.number);
    if (weft_map_put(&s->numbers, key, (void *)(uintptr_t)(h.number + 1))) abort();
}

/* How many arrive of a datagram of `len` bytes. */
static int copies_of(struct sim *s, int from, int to, size_t len) {
    struct simnet_way way = way_of(s, from, to);
    return to < s->p.nodes ? simnet_copies(&way, len) : 0; /* beyond them nobody is there */
}

static void transmit(struct sim *s, int from, int to, const struct adapter_packet_out *p, int copies) {
    size_t len = packet_len(p);
    s->packets++;
    struct simnet_way way = way_of(s, from, to);
    if (!copies) s->dropped++;
    if (s->trace) {
        uint8_t *whole = malloc(len);
        if (!whole) abort();
        copy_packet(whole, p);
        show_packet(s, copies == 0 ? "lost" : copies == 2 ? "doubled" : "sent", from, to, whole, len);
        free(whole);
    }
    for (int i = 0; i < copies; i++) {
        struct flight *f = launch(s, FLIGHT_PACKET, from, to, len);
        copy_packet(f->data, p);
        f->whole = i == 0;
        if (s->p.net.reliable) continue;
        keep(s, f);
        if (simnet_spoil(&way, f->data, &f->len)) f->whole = false;
        f->cut = f->len < len;
    }
}

void network_inject(struct sim *s, int from, int to, const uint8_t *packet, size_t len) {
    struct flight *f = launch(s, FLIGHT_PACKET, from, to, len);
    if (len) memcpy(f->data, packet, len);
    s->faults++;
    if (s->trace) show_packet(s, "invented", from, to, packet, len);
}

/* Bytes of the one datagram that these share, as with udp; 0: each has its own. */
static size_t joined_bytes(const struct sim *s, const struct adapter_packet_out *packets, size_t count) {
    if (count != 2 || s->p.net.reliable || packet_len(&packets[1]) <= packet_len(&packets[0])) return 0;
    size_t bytes = packet_len(&packets[0]) + packet_len(&packets[1]);
    return bytes <= s->p.packet_bytes ? bytes : 0;
}

static int send_packets(struct sim_node *n, int to, const struct adapter_packet_out *packets, size_t count) {
    struct sim *s = n->sim;
    if (count == 0 || count > s->p.burst_max) sim_fail(s, "a burst of %zu packets", count);
    size_t joined = joined_bytes(s, packets, count);
    for (size_t i = 0; i < count; i++) {
        size_t len = packet_len(&packets[i]), first = packet_len(&packets[0]);
        if (len > s->p.packet_bytes) sim_fail(s, "a packet of %zu bytes", len);
        if (len != first && !(i + 1 == count && len < first) && !joined)
            sim_fail(s, "a burst of unequal packets");
    }
    if (s->p.net.reliable && (!s->node[to].alive || !n->line[to])) return WEFT_E_PEER_LOST;
    size_t take = sim_chance(s, s->p.refuse) ? sim_below(s, count + 1) : count;
    int copies = 0;
    for (size_t i = 0; i < take; i++) {
        check_number(s, n->index, to, packets[i].piece[0].iov_base);
        if (!joined)
            copies = copies_of(s, n->index, to, packet_len(&packets[i]));
        else if (i == 0) /* they arrive together, or get lost */
            copies = copies_of(s, n->index, to, joined);
        transmit(s, n->index, to, &packets[i], copies);
    }
    return (int)take;
}

static int net_send(void *ctx, const struct engine_path *path, const struct adapter_packet_out *packets,
                    size_t count) {
    bool was = scarce_pause();
    int rc = send_packets(ctx, path->peer->node, packets, count);
    scarce_resume(was);
    return rc;
}

static void net_reply(void *ctx, const struct engine_from *from, const void *packet, size_t len) {
    struct sim_node *n = ctx;
    struct adapter_packet_out out = {{{(void *)packet, len}, {NULL, 0}, {NULL, 0}}};
    int to = *(const int *)from->addr;
    bool was = scarce_pause();
    if (len > n->input_bytes)
        sim_fail(n->sim, "an answer of %zu bytes to a packet of %zu", len, n->input_bytes);
    if (!n->sim->p.net.reliable || n->sim->node[to].alive)
        transmit(n->sim, n->index, to, &out, copies_of(n->sim, n->index, to, len));
    scarce_resume(was);
}

static int net_path_open(void *ctx, const struct engine_from *from, struct engine_path *out) {
    struct sim_node *n = ctx;
    int to = *(const int *)from->addr;
    if (n->sim->p.net.reliable && !n->sim->node[to].alive) return WEFT_E_REFUSED;
    if (n->sim->p.net.reliable && !n->line[to]) n->line[to] = ++n->sim->next_line;
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
    bool was = scarce_pause();
    if (s->node[to].alive) launch(s, FLIGHT_LOST, n->index, to, 0); /* the line ends, both sides are told */
    scarce_resume(was);
    n->ended[to] = n->line[to];
    n->line[to] = 0;
}

struct region {
    int node;
    uint32_t incarnation;
    uint64_t ptr, len, serial;
};

static int net_expose(void *ctx, const struct engine_path *path, const void *ptr, size_t len, void *region,
                      size_t *region_len) {
    struct sim_node *n = ctx;
    struct region r = {n->index, n->incarnation, (uint64_t)(uintptr_t)ptr, len, ++n->sim->next_region};
    if (sim_chance(n->sim, n->sim->p.no_access)) return WEFT_E_LIMIT;
    bool was = scarce_pause();
    if (weft_map_put(&n->exposed, r.serial, n)) abort();
    scarce_resume(was);
    memcpy(region, &r, sizeof r);
    *region_len = sizeof r;
    return 0;
}

static void net_conceal(void *ctx, const struct engine_path *path, const void *region, size_t region_len) {
    struct sim_node *n = ctx;
    struct region r;
    memcpy(&r, region, sizeof r);
    if (!weft_map_remove(&n->exposed, r.serial))
        sim_fail(n->sim, "a region was concealed that is not exposed");
}

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
    struct sim_node *owner = &s->node[r.node];
    bool gone = !owner->alive || owner->incarnation != r.incarnation;
    if (s->p.net.reliable && (gone || !owner->line[node])) return WEFT_E_PEER_LOST;
    if (gone || s->cut_until[node][r.node] > s->now) return WEFT_E_ACCESS;
    if (!weft_map_get(&owner->exposed, r.serial)) return WEFT_E_ACCESS;
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
    memset(n->ended, 0, sizeof n->ended);
    weft_map_init(&n->exposed);
    n->link = (struct engine_link){.attr = {.name = "sim",
                                            .packet_max_bytes = p->packet_bytes,
                                            .burst_max_packets = p->burst_max,
                                            .receive_window_bytes = p->window_bytes,
                                            .packet_charge_bytes = 300}};
    n->link.attr.tag_entries = p->tag_entries;
    n->link.attr.caps = (p->no_tags ? 0 : ADAPTER_CAP_METHOD1) | (p->no_staging ? 0 : ADAPTER_CAP_METHOD2);
    if (p->net.reliable)
        n->link.attr.caps |= ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED | ADAPTER_CAP_PEER_DEATH;
    if (p->readable) n->link.attr.caps |= ADAPTER_CAP_REMOTE_READ;
    for (int i = 0; i < SIM_PLACES; i++) n->peer[i].node = i;
    memset(n->heard, 0, sizeof n->heard);
    n->stopped_until_ns = 0;
    static const uint8_t key[EP_KEY_BYTES] = "the key of all simulated nodes";
    struct engine_config cfg = {.io = network_io,
                                .key = p->keyed ? key : NULL,
                                .phase_bits = p->phase_bits,
                                .seed = sim_random(s),
                                .accept = true,
                                .eager_bytes = p->eager_bytes,
                                .window_superpackets = p->window_superpackets,
                                .bulk_patience_ns = p->bulk_patience_ns,
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
    cfg.patient = cfg.seed & 1 << 8;
    cfg.answered = cfg.seed & 1 << 9;
    cfg.late_acks = cfg.seed & 1 << 10;
    uint64_t boot[2] = {sim_random(s), sim_random(s)};
    memcpy(cfg.boot_id, boot, sizeof boot);
    return engine_create(&n->engine, &cfg);
}

void network_crash_node(struct sim *s, int index) {
    struct sim_node *n = &s->node[index];
    engine_destroy(n->engine);
    n->engine = NULL;
    n->alive = false;
    weft_map_fini(&n->exposed);
    for (int i = 0; s->p.net.reliable && i < s->p.nodes; i++) {
        if (i == index || !s->node[i].alive) continue;
        n->line[i] = s->node[i].line[index]; /* whichever the other side has, it is dead */
        launch(s, FLIGHT_LOST, index, i, 0);
    }
}

/* Whether a flight comes over the line that this node has, or over a new one that it takes up. */
static bool takes_line(struct sim_node *n, const struct flight *f) {
    uint64_t *line = &n->line[f->from];
    if (f->line <= n->ended[f->from] || f->line < *line) return false;
    if (f->kind == FLIGHT_LOST && f->line != *line) return false;
    if (f->kind == FLIGHT_LOST) n->ended[f->from] = f->line;
    if (f->line > *line && *line)
        engine_peer_lost(n->engine, n->sim->now, &n->link, &n->peer[f->from], false);
    *line = f->kind == FLIGHT_LOST ? 0 : f->line;
    return true;
}

uint64_t network_heard(const struct sim_node *n, uint32_t id) {
    return n->heard[id % SIM_IDS].id == id ? n->heard[id % SIM_IDS].at_ns : 0;
}

/* An answer to an INIT counts once: the later ones say nothing. What is for no connection, or comes from
 * another place than its peer's, is not heard. */
static void note_heard(struct sim_node *n, const struct flight *f) {
    struct wire_header h;
    if (!f->whole || wire_header_read(f->data, f->len, &h) || !h.dest) return;
    const struct conn *c = slot_find(n->engine, h.dest);
    if (!c || c->path.peer != &n->peer[f->from]) return;
    bool again = h.type == WIRE_RESP && network_heard(n, h.dest);
    if (again || h.type == WIRE_INIT || h.type == WIRE_RESET) return;
    if (n->heard[h.dest % SIM_IDS].id != h.dest) n->heard[h.dest % SIM_IDS].at_ns = 0;
    n->heard[h.dest % SIM_IDS].id = h.dest;
    if (network_heard(n, h.dest) < f->sent_ns) n->heard[h.dest % SIM_IDS].at_ns = f->sent_ns;
}

static void deliver_packet(struct sim *s, struct sim_node *n, struct flight *f) {
    struct engine_from from = {&n->link, n->holds[f->from] ? &n->peer[f->from] : NULL, &f->from,
                               sizeof f->from};
    uint8_t *exact =
        f->cut ? malloc(f->len ? f->len : 1) : f->data; /* a sanitizer sees reads beyond the end */
    if (!exact) abort();
    if (f->cut) memcpy(exact, f->data, f->len);
    if (s->trace) show_packet(s, "arrives", f->from, f->to, f->data, f->len);
    note_heard(n, f);
    n->input_bytes = f->len;
    scarce_start(s);
    engine_input(n->engine, s->now, &from, exact, f->len);
    scarce_stop();
    n->input_bytes = 0;
    if (f->cut) free(exact);
    s->arrived[f->from][f->to] += f->len;
}

static uint64_t blocked_until(const struct sim *s, int from, int to) {
    uint64_t clog = s->clog_until[from][to], stop = s->node[to].alive ? s->node[to].stopped_until_ns : 0;
    return clog > stop ? clog : stop;
}

static struct weft_list *waiting_of(struct sim *s, int from, int to) {
    return &s->waiting[from * SIM_NODES_MAX + to];
}

static void release_at(struct sim *s, int from, int to, uint64_t at_ns) {
    struct flight *f = calloc(1, sizeof *f);
    if (!f || heap_reserve(&s->flights, s->flights.count + 1)) abort();
    f->kind = FLIGHT_RELEASE;
    f->from = from;
    f->to = to;
    heap_set(&s->flights, &f->at, at_ns);
}

/* Keeps a flight back, behind those that wait already. */
static bool is_held(struct sim *s, struct sim_node *n, struct flight *f) {
    struct weft_list *waiting = waiting_of(s, f->from, f->to);
    uint64_t until = blocked_until(s, f->from, f->to);
    if (until <= s->now && weft_list_empty(waiting)) return false;
    if (weft_list_empty(waiting)) release_at(s, f->from, f->to, until);
    weft_list_push_back(waiting, &f->waiting);
    n->waiting_packets++;
    return true;
}

static bool is_cut(const struct sim *s, const struct sim_node *n, const struct flight *f) {
    if (s->p.net.reliable || f->kind != FLIGHT_PACKET) return false;
    return s->cut_until[f->from][f->to] > s->now ||
           (n->stopped_until_ns > s->now && n->waiting_packets >= STOPPED_QUEUE);
}

static void arrive(struct sim *s, struct flight *f) {
    struct sim_node *n = &s->node[f->to];
    bool same = n->incarnation == f->incarnation;
    if (s->trace && f->kind != FLIGHT_PACKET)
        show(s, "%d > %d %s", f->from, f->to, f->kind == FLIGHT_HINT ? "hint" : "line ends");
    if (!n->alive) {
        bool hint = !s->p.net.reliable && f->kind == FLIGHT_PACKET && f->from < s->p.nodes;
        if (hint && s->node[f->from].alive && sim_chance(s, 0.5)) launch(s, FLIGHT_HINT, f->to, f->from, 0);
    } else if (s->p.net.reliable && (!same || !takes_line(n, f))) {
        /* of a line that has ended */
    } else if (f->kind == FLIGHT_PACKET) {
        deliver_packet(s, n, f);
    } else if (same) {
        scarce_start(s);
        engine_peer_lost(n->engine, s->now, &n->link, &n->peer[f->from], f->kind == FLIGHT_HINT);
        scarce_stop();
    }
    free(f);
}

/* The first of those that wait goes on; the others follow. */
static void release(struct sim *s, int from, int to) {
    struct weft_list *waiting = waiting_of(s, from, to);
    uint64_t until = blocked_until(s, from, to);
    if (until > s->now) {
        release_at(s, from, to, until);
        return;
    }
    struct flight *f = weft_list_entry(weft_list_pop_front(waiting), struct flight, waiting);
    if (!weft_list_empty(waiting)) release_at(s, from, to, s->now + 1);
    s->node[to].waiting_packets--;
    arrive(s, f);
}

void network_deliver(struct sim *s, struct flight *f) {
    struct sim_node *n = &s->node[f->to];
    if (f->kind == FLIGHT_RELEASE) {
        release(s, f->from, f->to);
        free(f);
    } else if (is_cut(s, n, f)) {
        s->dropped++;
        free(f);
    } else if (!is_held(s, n, f)) {
        arrive(s, f);
    }
}

void network_fini(struct sim *s) {
    for (struct heap_node *h; (h = heap_first(&s->flights));) {
        heap_set(&s->flights, h, WEFT_TIME_NEVER);
        free(weft_container_of(h, struct flight, at));
    }
    heap_fini(&s->flights);
    for (int i = 0; i < SIM_PLACES * SIM_NODES_MAX; i++)
        for (struct weft_list *w; (w = weft_list_pop_front(&s->waiting[i]));)
            free(weft_list_entry(w, struct flight, waiting));
    for (int i = 0; i < SIM_KEPT; i++) free(s->kept[i]);
    for (int i = 0; i < s->p.nodes; i++) weft_map_fini(&s->node[i].exposed);
    weft_map_fini(&s->numbers);
}
