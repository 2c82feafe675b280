/* sim: udp over a network that loses, doubles, reorders, damages, delays and cuts, all from a seed, so that a
 * program and its protocol can be tried on one machine. sim_internal.h says how it works; sim_spec reads what
 * the network is like, sim_traffic moves packets. Used only when it is asked for by name. */
#include "adapter/sim_internal.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define ADDRESS_MARK 0x51

WEFT_OPTIONS(sim, "sim",
             {.name = "sim",
              .type = WEFT_OPTION_STRING,
              .help = "What the network of the adapter sim is like, such as "
                      "seed=7,loss=0.05,delay_us=50 (docs/TESTING.md has all of it); unset: without faults."})

WEFT_COUNTERS(sim, [SIM_PACKETS_SENT] = {"sim_packets_sent", "packets", "Packets given to the network.", 0},
              [SIM_PACKETS_LOST] = {"sim_packets_lost", "packets", "Of them, those that it lost.", 0},
              [SIM_PACKETS_DOUBLED] = {"sim_packets_doubled", "packets", "Those that it doubled.", 0},
              [SIM_PACKETS_REORDERED] = {"sim_packets_reordered", "packets",
                                         "Copies that left their place in the order.", 0},
              [SIM_PACKETS_DAMAGED] = {"sim_packets_damaged", "packets", "Copies damaged or cut short.", 0},
              [SIM_PACKETS_REFUSED] = {"sim_packets_refused", "packets", "Packets not taken at first.", 0},
              [SIM_PACKETS_DROPPED] = {"sim_packets_dropped", "packets",
                                       "Packets that came and could not be kept until their time.", 0})

void sim_count(enum sim_counter c) { weft_counter_add(&sim_counters[c], 1); }

static void sim_attr(struct sim *s) {
    const struct sim_spec *spec = &s->spec;
    const struct adapter_attr *below = &s->below->attr;
    double ns_per_byte = (double)spec->net.ns_per_byte_x1000 / 1000;
    s->base.attr = (struct adapter_attr){
        .name = "sim",
        .caps = (spec->method1 ? ADAPTER_CAP_METHOD1 : 0) | (spec->method2 ? ADAPTER_CAP_METHOD2 : 0),
        .packet_max_bytes = spec->packet_bytes,
        .burst_max_packets = 1,
        .receive_window_bytes = below->receive_window_bytes,
        .packet_charge_bytes = below->packet_charge_bytes + SIM_STAMP_BYTES,
        .tag_entries = spec->tag_entries,
        .overhead_s = below->overhead_s,
        .latency_s = below->latency_s + 1e-9 * (double)(spec->net.delay_ns + spec->net.jitter_ns / 2),
        .bandwidth_Bps = ns_per_byte > 0 ? 1e9 / ns_per_byte : below->bandwidth_Bps,
    };
}

static int open_below(struct sim *s, const struct adapter_config *cfg) {
    struct adapter_config below = *cfg;
    below.callbacks =
        (struct adapter_callbacks){.on_packet = sim_on_packet, .on_peer_lost = sim_on_peer_lost, .ctx = s};
    below.form = NULL; /* there is a stamp before each packet */
    return adapter_udp_ops.open(&s->below, &below);
}

static int sim_open(struct adapter **out, const struct adapter_config *cfg) {
    static atomic_uint_fast64_t opened;
    struct sim *s = calloc(1, sizeof *s);
    if (!s) return WEFT_E_NOMEM;
    s->base.ops = &adapter_sim_ops;
    s->callbacks = cfg->callbacks;
    s->number = atomic_fetch_add(&opened, 1);
    weft_list_init(&s->peers);
    weft_list_init(&s->held);
    s->prefix[0] = ADDRESS_MARK;
    host_id("time", s->prefix + 1); /* stamps mean nothing by another clock */
    int rc = sim_spec_parse(cfg->sim ? cfg->sim : weft_option_string("sim"), &s->spec);
    if (rc) goto fail;
    s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->timer < 0) {
        rc = weft_error_from_errno(errno);
        weft_error("sim", "open: timer: %m");
        goto fail;
    }
    if ((rc = open_below(s, cfg))) goto fail_timer;
    sim_attr(s);
    *out = &s->base;
    return 0;
fail_timer:
    close(s->timer);
fail:
    free(s);
    return rc;
}

static void sim_close(struct adapter *a) {
    struct sim *s = (struct sim *)a;
    s->below->ops->close(s->below);
    for (struct weft_list *n; (n = weft_list_pop_front(&s->held));)
        free(weft_list_entry(n, struct sim_flight, node));
    for (struct weft_list *n; (n = weft_list_pop_front(&s->peers));)
        free(weft_list_entry(n, struct adapter_peer, node));
    close(s->timer);
    free(s);
}

static int sim_address(struct adapter *a, void *buf, size_t *len) {
    struct sim *s = (struct sim *)a;
    if (*len < SIM_PREFIX_BYTES) return WEFT_E_TOO_BIG;
    size_t below = *len - SIM_PREFIX_BYTES;
    int rc = s->below->ops->address(s->below, (uint8_t *)buf + SIM_PREFIX_BYTES, &below);
    if (rc) return rc;
    memcpy(buf, s->prefix, SIM_PREFIX_BYTES);
    *len = SIM_PREFIX_BYTES + below;
    return 0;
}

static int check_prefix(const struct sim *s, const uint8_t *addr, size_t len) {
    if (len <= SIM_PREFIX_BYTES || len > ADAPTER_ADDRESS_MAX || addr[0] != s->prefix[0]) return WEFT_E_INVAL;
    return memcmp(addr, s->prefix, SIM_PREFIX_BYTES) ? WEFT_E_UNREACHABLE : 0;
}

static bool sim_reachable(struct adapter *a, const void *addr, size_t len) {
    struct sim *s = (struct sim *)a;
    if (check_prefix(s, addr, len)) return false;
    return s->below->ops->reachable(s->below, (const uint8_t *)addr + SIM_PREFIX_BYTES,
                                    len - SIM_PREFIX_BYTES);
}

/* Where the draws of this direction begin: at the same place in every run. Who was called first and who
 * answers differ even if each is the first endpoint of its process. */
static uint64_t start_of_draws(struct sim *s, const void *address, size_t len) {
    const struct sim_flight *from = s->stranger;
    bool answers = from && from->from_bytes == len && !memcmp(from->from, address, len);
    uint64_t random = s->spec.seed;
    random = simnet_random(&random) ^ s->number;
    random = simnet_random(&random) ^ (s->met++ << 1 | answers);
    return simnet_random(&random);
}

static int sim_connect(struct adapter *a, const void *addr, size_t len, struct adapter_peer **out) {
    struct sim *s = (struct sim *)a;
    int rc = check_prefix(s, addr, len);
    if (rc) return rc;
    const uint8_t *address = (const uint8_t *)addr + SIM_PREFIX_BYTES;
    len -= SIM_PREFIX_BYTES;
    struct adapter_peer *below, *p = sim_peer_find(s, address, len);
    if (p) {
        p->holds++;
        *out = p;
        return 0;
    }
    if ((rc = s->below->ops->connect(s->below, address, len, &below))) return rc;
    if (!(p = calloc(1, sizeof *p))) {
        s->below->ops->disconnect(s->below, below);
        return WEFT_E_NOMEM;
    }
    p->below = below;
    p->holds = 1;
    memcpy(p->address, address, len);
    p->address_bytes = len;
    p->random = start_of_draws(s, address, len);
    weft_list_push_back(&s->peers, &p->node);
    *out = p;
    return 0;
}

static void sim_disconnect(struct adapter *a, struct adapter_peer *peer) {
    struct sim *s = (struct sim *)a;
    if (--peer->holds) return;
    s->below->ops->disconnect(s->below, peer->below);
    weft_list_remove(&peer->node);
    free(peer);
}

static size_t sim_path_packet_bytes(struct adapter *a, struct adapter_peer *peer) {
    struct sim *s = (struct sim *)a;
    size_t below = s->below->ops->path_packet_bytes(s->below, peer->below) - SIM_STAMP_BYTES;
    return below < s->spec.packet_bytes ? below : s->spec.packet_bytes;
}

const struct adapter_ops adapter_sim_ops = {
    .name = "sim",
    .open = sim_open,
    .close = sim_close,
    .address = sim_address,
    .reachable = sim_reachable,
    .connect = sim_connect,
    .disconnect = sim_disconnect,
    .path_packet_bytes = sim_path_packet_bytes,
    .send = sim_send,
    .poll = sim_poll,
    .arm = sim_arm,
    .disarm = sim_disarm,
    .fds = sim_fds,
};
