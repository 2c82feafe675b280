/* udp: packets over the kernel's UDP, through one non-blocking unconnected socket an endpoint, and one more
 * for each of the few peers that most is sent to. Unreliable and unordered; a burst of equal packets costs
 * one system call (segmentation offload), a train of them one receive. udp_socket.c and udp_connected.c make
 * the sockets, udp_send.c and udp_receive.c move packets, udp_address.c knows addresses. */
#include "adapter/udp_internal.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

WEFT_COUNTERS(
    udp, [UDP_PACKETS_SENT] = {"udp_packets_sent", "packets", "Packets handed to the kernel.", 0},
    [UDP_BYTES_SENT] = {"udp_bytes_sent", "bytes", "Bytes of the packets sent.", 0},
    [UDP_SENDS] = {"udp_sends", "calls", "Send calls; a burst is one.", 0},
    [UDP_SEND_FULL] = {"udp_send_full", "events", "Sends put off because the kernel had no room.", 0},
    [UDP_SEND_LOST] = {"udp_send_lost", "packets", "Packets lost at once because there was no way out.", 0},
    [UDP_NO_SEGMENTATION] = {"udp_no_segmentation", "paths", "Paths on which offloaded bursts failed.", 0},
    [UDP_PACKETS_RECEIVED] = {"udp_packets_received", "packets", "Packets received.", 0},
    [UDP_BYTES_RECEIVED] = {"udp_bytes_received", "bytes", "Bytes of the packets received.", 0},
    [UDP_RECEIVES] = {"udp_receives", "buffers", "Buffers received; a train is one.", 0},
    [UDP_DROPS] =
        {"udp_drops", "packets",
         "Packets dropped by the system: the receive buffer was full, or they were no packets of weft.", 0},
    [UDP_TRUNCATED] = {"udp_truncated", "buffers", "Received buffers cut short or without a sender.", 0},
    [UDP_ICMP_ERRORS] = {"udp_icmp_errors", "errors", "Errors that the network reported for packets.", 0})

void udp_count(enum udp_counter c, uint64_t n) { weft_counter_add(&udp_counters[c], n); }

static void udp_attr(struct adapter_attr *attr) {
    attr->name = "udp";
    attr->packet_max_bytes = udp_packet_bytes_of_mtu(AF_INET, 65536);
    attr->overhead_s = 1.5e-6;
    attr->latency_s = 5e-6;
    attr->bandwidth_Bps = 1.5e9;
}

static int udp_open(struct adapter **out, const struct adapter_config *cfg) {
    struct udp *u = calloc(1, sizeof *u);
    if (!u) return WEFT_E_NOMEM;
    u->base.ops = &adapter_udp_ops;
    u->callbacks = cfg->callbacks;
    u->form = cfg->form;
    u->secret = host_random();
    host_id("net", u->host);
    weft_list_init(&u->suspects);
    weft_map_init(&u->peers);
    udp_attr(&u->base.attr);
    /* Not where malloc would put them, 16 bytes into a page: see base/copy.h, the kernel copies so, too. */
    u->buffers = aligned_alloc(UDP_RECEIVE_ALIGN, (size_t)UDP_RECEIVE_BATCH * UDP_RECEIVE_BYTES);
    int rc = u->buffers ? udp_socket_open(u, cfg->bind_host ? cfg->bind_host : "127.0.0.1", cfg->bind_port)
                        : WEFT_E_NOMEM;
    if (rc) {
        free(u->buffers);
        free(u);
        return rc;
    }
    u->base.attr.caps = ADAPTER_CAP_METHOD1 | ADAPTER_CAP_METHOD2 | (u->gso ? ADAPTER_CAP_BURST : 0);
    u->base.attr.burst_max_packets = u->gso ? UDP_BURST_PACKETS : 1;
    *out = &u->base;
    return 0;
}

static void udp_close(struct adapter *a) {
    struct udp *u = (struct udp *)a;
    udp_count(UDP_DROPS, udp_socket_drops(u->fd) - u->drops_seen);
    for (unsigned i = 0; i < u->connected_count; i++) {
        udp_count(UDP_DROPS, udp_socket_drops(u->connected[i].fd));
        close(u->connected[i].fd);
    }
    size_t it = 0;
    for (void *p; (p = weft_map_next(&u->peers, &it, NULL));) free(p);
    weft_map_fini(&u->peers);
    close(u->fd);
    close(u->epoll);
    free(u->buffers);
    free(u);
}

static int udp_address(struct adapter *a, void *buf, size_t *len) {
    struct udp *u = (struct udp *)a;
    uint8_t blob[UDP_ADDRESS_BYTES_MAX];
    size_t n = udp_blob_encode(u, &u->local, blob);
    if (n > *len) return WEFT_E_TOO_BIG;
    memcpy(buf, blob, n);
    *len = n;
    return 0;
}

static bool udp_reachable(struct adapter *a, const void *addr, size_t len) {
    union udp_sockaddr sa;
    return udp_blob_decode((struct udp *)a, addr, len, &sa) == 0;
}

static uint64_t mix(uint64_t h, uint64_t v) {
    h = (h ^ v) * 0x9e3779b97f4a7c15ull;
    return h ^ h >> 29;
}

/* The peers' key. IPv4: a bijection. IPv6: secret, so that nobody can make two addresses meet; should they,
 * by a chance of 2^-64, the second cannot be connected to. */
static uint64_t sockaddr_key(const struct udp *u, const union udp_sockaddr *sa) {
    if (sa->sa.sa_family == AF_INET)
        return mix(u->secret, (uint64_t)sa->v4.sin_addr.s_addr << 16 | sa->v4.sin_port);
    uint64_t ip[2];
    memcpy(ip, &sa->v6.sin6_addr, sizeof ip);
    return mix(mix(mix(u->secret, ip[0]), ip[1]), (uint64_t)sa->v6.sin6_scope_id << 16 | sa->v6.sin6_port);
}

struct adapter_peer *udp_peer_find(const struct udp *u, const union udp_sockaddr *sa) {
    struct adapter_peer *p = weft_map_get(&u->peers, sockaddr_key(u, sa));
    return p && udp_sockaddr_equal(&p->to, sa) ? p : NULL;
}

static int udp_connect(struct adapter *a, const void *addr, size_t len, struct adapter_peer **out) {
    struct udp *u = (struct udp *)a;
    union udp_sockaddr sa;
    int rc = udp_blob_decode(u, addr, len, &sa);
    if (rc) return rc;
    struct adapter_peer *p = udp_peer_find(u, &sa);
    if (p) {
        p->holds++;
        *out = p;
        return 0;
    }
    size_t path = udp_path_probe(&sa);
    if (!path) return WEFT_E_UNREACHABLE;
    p = calloc(1, sizeof *p);
    if (!p) return WEFT_E_NOMEM;
    p->to = sa;
    p->key = sockaddr_key(u, &sa);
    p->holds = 1;
    p->path_bytes = path;
    weft_list_init(&p->suspected);
    rc = weft_map_put(&u->peers, p->key, p);
    if (rc) {
        free(p);
        return rc == WEFT_E_EXIST ? WEFT_E_LIMIT : rc;
    }
    u->peers_version++;
    udp_connected_adopt(u, p);
    *out = p;
    return 0;
}

static void udp_disconnect(struct adapter *a, struct adapter_peer *peer) {
    struct udp *u = (struct udp *)a;
    if (--peer->holds) return;
    if (peer->connected) peer->connected->peer = NULL;
    weft_map_remove(&u->peers, peer->key);
    weft_list_remove(&peer->suspected);
    u->peers_version++;
    free(peer);
}

static size_t udp_path_packet_bytes(struct adapter *a, struct adapter_peer *peer) { return peer->path_bytes; }

void udp_suspect(struct udp *u, struct adapter_peer *peer) {
    if (weft_list_empty(&peer->suspected)) weft_list_push_back(&u->suspects, &peer->suspected);
}

static size_t udp_fds(struct adapter *a, int *out, size_t cap) {
    if (cap) out[0] = ((struct udp *)a)->epoll;
    return 1;
}

/* The sockets are level-triggered: there is nothing to arm. */
static int udp_arm(struct adapter *a) {
    struct udp *u = (struct udp *)a;
    if (udp_receive_pending(u)) return WEFT_E_AGAIN;
    struct epoll_event ev;
    return epoll_wait(u->epoll, &ev, 1, 0) > 0 ? WEFT_E_AGAIN : 0;
}

static void udp_disarm(struct adapter *a) { (void)a; }

const struct adapter_ops adapter_udp_ops = {
    .name = "udp",
    .open = udp_open,
    .close = udp_close,
    .address = udp_address,
    .reachable = udp_reachable,
    .address_text = udp_address_text,
    .connect = udp_connect,
    .disconnect = udp_disconnect,
    .path_packet_bytes = udp_path_packet_bytes,
    .send = udp_send,
    .poll = udp_poll,
    .arm = udp_arm,
    .disarm = udp_disarm,
    .fds = udp_fds,
};
