/* self: loopback within one endpoint. The reference adapter and the smallest complete one: reliable, ordered,
 * bounded, with remote read by memcpy. Its only peer is itself. */
#include "adapter/adapter.h"
#include "adapter/host_id.h"
#include "base/codec.h"
#include "base/copy.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/log.h"
#include "base/map.h"
#include "base/option.h"
#include "base/ring.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SELF_PACKET_MAX    65536
#define SELF_ADDRESS_BYTES 8
#define SELF_REGION_BYTES  16

WEFT_OPTIONS(self, "self",
             {.name = "self_queue_packets",
              .type = WEFT_OPTION_INT,
              .value = "256",
              .unit = "packets",
              .min = 1,
              .max = 65536,
              .help = "Packets that the loopback adapter holds before it asks the sender to wait."})

enum { PACKETS, BYTES, FULL, READS };
WEFT_COUNTERS(self, {"self_packets", "packets", "Packets through the loopback adapter.", 0},
              {"self_bytes", "bytes", "Bytes of those packets.", 0},
              {"self_queue_full", "events", "Sends cut short because the loopback queue was full.", 0},
              {"self_reads", "reads", "Remote reads served by copying.", 0})

struct adapter_peer {
    unsigned holds;
};

struct self_packet {
    uint8_t *data;
    size_t len;
};

struct self_region {
    const uint8_t *ptr;
    uint64_t len;
};

struct self {
    struct adapter base;
    struct adapter_callbacks callbacks;
    uint64_t token;         /* the address: no other endpoint has it */
    size_t capacity;        /* packets; the ring's own capacity may be larger, it is a power of two */
    struct weft_ring queue; /* of struct self_packet */
    int bell;               /* eventfd; written by send() while armed */
    bool armed, rung;
    struct adapter_peer peer;
    pthread_mutex_t regions_lock; /* read() is called by any thread */
    struct weft_map regions;      /* key -> struct self_region */
};

static size_t next_power_of_two(size_t n) {
    size_t p = 1;
    while (p < n) p *= 2;
    return p;
}

static void self_attr(struct adapter_attr *attr) {
    *attr = (struct adapter_attr){
        .name = "self",
        .caps = ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED | ADAPTER_CAP_REMOTE_READ | ADAPTER_CAP_SAME_HOST |
                ADAPTER_CAP_PEER_DEATH | ADAPTER_CAP_METHOD1,
        .packet_max_bytes = SELF_PACKET_MAX,
        .burst_max_packets = 1,
        .overhead_s = 50e-9,
        .latency_s = 100e-9,
        .bandwidth_Bps = 10e9,
    };
}

static int self_open(struct adapter **out, const struct adapter_config *cfg) {
    struct self *s = calloc(1, sizeof *s);
    if (!s) return WEFT_E_NOMEM;
    s->base.ops = &adapter_self_ops;
    self_attr(&s->base.attr);
    s->callbacks = cfg->callbacks;
    s->token = host_random();
    s->capacity = (size_t)weft_option_int("self_queue_packets");
    int rc = weft_ring_init(&s->queue, sizeof(struct self_packet), next_power_of_two(s->capacity));
    if (rc) goto fail;
    s->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->bell < 0) {
        rc = WEFT_E_LIMIT;
        weft_error("self", "open: eventfd: %m");
        goto fail_ring;
    }
    pthread_mutex_init(&s->regions_lock, NULL);
    weft_map_init(&s->regions);
    *out = &s->base;
    return 0;
fail_ring:
    weft_ring_fini(&s->queue);
fail:
    free(s);
    return rc;
}

static void self_close(struct adapter *a) {
    struct self *s = (struct self *)a;
    while (weft_ring_count(&s->queue)) {
        free(((struct self_packet *)weft_ring_front(&s->queue))->data);
        weft_ring_pop(&s->queue);
    }
    weft_ring_fini(&s->queue);
    size_t it = 0;
    for (void *r; (r = weft_map_next(&s->regions, &it, NULL));) free(r);
    weft_map_fini(&s->regions);
    pthread_mutex_destroy(&s->regions_lock);
    close(s->bell);
    free(s);
}

static int self_address(struct adapter *a, void *buf, size_t *len) {
    struct weft_writer w;
    weft_writer_init(&w, buf, *len);
    weft_put_u64(&w, ((struct self *)a)->token);
    if (w.failed) return WEFT_E_TOO_BIG;
    *len = w.len;
    return 0;
}

static bool self_reachable(struct adapter *a, const void *addr, size_t len) {
    struct weft_reader r;
    weft_reader_init(&r, addr, len);
    return len == SELF_ADDRESS_BYTES && weft_get_u64(&r) == ((struct self *)a)->token;
}

static int self_connect(struct adapter *a, const void *addr, size_t len, struct adapter_peer **out) {
    struct self *s = (struct self *)a;
    if (len != SELF_ADDRESS_BYTES) return WEFT_E_INVAL;
    if (!self_reachable(a, addr, len)) return WEFT_E_UNREACHABLE;
    s->peer.holds++;
    *out = &s->peer;
    return 0;
}

static void self_disconnect(struct adapter *a, struct adapter_peer *peer) { peer->holds--; }

static size_t self_path_packet_bytes(struct adapter *a, struct adapter_peer *peer) { return SELF_PACKET_MAX; }

static int enqueue(struct self *s, const struct adapter_packet_out *p) {
    size_t len = 0;
    for (int i = 0; i < 3; i++) len += p->piece[i].iov_len;
    if (len > SELF_PACKET_MAX) return WEFT_E_TOO_BIG;
    if (weft_ring_count(&s->queue) >= s->capacity) return WEFT_E_AGAIN;
    uint8_t *data = malloc(len ? len : 1), *at = data;
    if (!data) return WEFT_E_AGAIN; /* no room now */
    for (int i = 0; i < 3; i++) {
        if (p->piece[i].iov_len) weft_copy(at, p->piece[i].iov_base, p->piece[i].iov_len);
        at += p->piece[i].iov_len;
    }
    *(struct self_packet *)weft_ring_push(&s->queue) = (struct self_packet){data, len};
    weft_counter_add(&self_counters[PACKETS], 1);
    weft_counter_add(&self_counters[BYTES], len);
    return 0;
}

static int self_send(struct adapter *a, struct adapter_peer *peer, const struct adapter_packet_out *packets,
                     size_t count) {
    struct self *s = (struct self *)a;
    size_t taken = 0;
    for (; taken < count; taken++) {
        int rc = enqueue(s, &packets[taken]);
        if (rc == WEFT_E_TOO_BIG && taken == 0) return rc;
        if (rc == WEFT_E_AGAIN) weft_counter_add(&self_counters[FULL], 1);
        if (rc) break;
    }
    if (taken && s->armed) {
        s->armed = false;
        s->rung = eventfd_write(s->bell, 1) == 0;
    }
    return (int)taken;
}

static int self_poll(struct adapter *a, unsigned max) {
    struct self *s = (struct self *)a;
    uint8_t blob[SELF_ADDRESS_BYTES];
    size_t blob_bytes = sizeof blob;
    self_address(a, blob, &blob_bytes);
    int got = 0;
    for (; (unsigned)got < max && weft_ring_count(&s->queue); got++) {
        struct self_packet p = *(struct self_packet *)weft_ring_front(&s->queue);
        weft_ring_pop(&s->queue); /* before the callback, which may send */
        struct adapter_packet_in in = {.data = p.data,
                                       .len_bytes = p.len,
                                       .peer = s->peer.holds ? &s->peer : NULL,
                                       .from = blob,
                                       .from_bytes = blob_bytes};
        s->callbacks.on_packet(s->callbacks.ctx, a, &in);
        free(p.data);
    }
    return got;
}

static int self_arm(struct adapter *a) {
    struct self *s = (struct self *)a;
    if (weft_ring_count(&s->queue)) return WEFT_E_AGAIN;
    s->armed = true;
    return 0;
}

static void self_disarm(struct adapter *a) {
    struct self *s = (struct self *)a;
    eventfd_t ignored;
    s->armed = false;
    if (s->rung) eventfd_read(s->bell, &ignored);
    s->rung = false;
}

static size_t self_fds(struct adapter *a, int *out, size_t cap) {
    if (cap) out[0] = ((struct self *)a)->bell;
    return 1;
}

/* A region is (key, length); the address stays in the table of this side. */
static int self_expose(struct adapter *a, struct adapter_peer *peer, const void *ptr, size_t len,
                       void *region, size_t *region_len) {
    struct self *s = (struct self *)a;
    struct self_region *r = malloc(sizeof *r);
    if (!r) return WEFT_E_NOMEM;
    *r = (struct self_region){ptr, len};
    uint64_t key = host_random();
    struct weft_writer w;
    weft_writer_init(&w, region, *region_len);
    weft_put_u64(&w, key);
    weft_put_u64(&w, len);
    pthread_mutex_lock(&s->regions_lock);
    int rc = w.failed ? WEFT_E_TOO_BIG : weft_map_put(&s->regions, key, r);
    pthread_mutex_unlock(&s->regions_lock);
    if (rc) {
        free(r);
        return rc;
    }
    *region_len = w.len;
    return 0;
}

static uint64_t region_key(const void *region, size_t region_len) {
    struct weft_reader r;
    weft_reader_init(&r, region, region_len);
    return weft_get_u64(&r);
}

static void self_conceal(struct adapter *a, struct adapter_peer *peer, const void *region,
                         size_t region_len) {
    struct self *s = (struct self *)a;
    if (region_len != SELF_REGION_BYTES) return;
    pthread_mutex_lock(&s->regions_lock);
    free(weft_map_remove(&s->regions, region_key(region, region_len)));
    pthread_mutex_unlock(&s->regions_lock);
}

/* Copies under the lock: conceal() promises that nothing is read after it returned. */
static int self_read(struct adapter *a, struct adapter_peer *peer, struct adapter_read *r) {
    struct self *s = (struct self *)a;
    if (r->region_bytes != SELF_REGION_BYTES) return WEFT_E_INVAL;
    pthread_mutex_lock(&s->regions_lock);
    const struct self_region *g = weft_map_get(&s->regions, region_key(r->region, r->region_bytes));
    int rc = !g ? WEFT_E_ACCESS : r->offset > g->len || r->len > g->len - r->offset ? WEFT_E_INVAL : 0;
    if (!rc && r->len) weft_copy(r->dst, g->ptr + r->offset, r->len);
    pthread_mutex_unlock(&s->regions_lock);
    if (!rc) weft_counter_add(&self_counters[READS], 1);
    return rc;
}

const struct adapter_ops adapter_self_ops = {
    .name = "self",
    .open = self_open,
    .close = self_close,
    .address = self_address,
    .reachable = self_reachable,
    .connect = self_connect,
    .disconnect = self_disconnect,
    .path_packet_bytes = self_path_packet_bytes,
    .send = self_send,
    .poll = self_poll,
    .arm = self_arm,
    .disarm = self_disarm,
    .fds = self_fds,
    .expose = self_expose,
    .conceal = self_conceal,
    .read = self_read,
};
