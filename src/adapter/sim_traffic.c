/* sim: what is sent asks the model for its fate; what came waits for its time. */
#include "adapter/sim_internal.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>

#define HELD_BYTES_MAX (64u << 20)
#define FUTURE_MAX_NS  (60 * WEFT_NS_PER_S) /* nothing is under way for longer */
#define POLL_BELOW     64

/* -- sending -- */

static bool is_cut(const struct sim_spec *spec, uint64_t now) {
    return spec->every_ns && now % spec->every_ns + spec->cut_ns >= spec->every_ns;
}

static size_t gather(uint8_t *to, const struct adapter_packet_out *p) {
    size_t len = 0;
    for (int i = 0; i < 3; i++) {
        if (p->piece[i].iov_len > SIM_PACKET_MAX - len) return SIZE_MAX;
        if (p->piece[i].iov_len) memcpy(to + len, p->piece[i].iov_base, p->piece[i].iov_len);
        len += p->piece[i].iov_len;
    }
    return len;
}

/* One copy leaves, on its way for as long as the model says. */
static int launch(struct sim *s, struct adapter_peer *peer, const struct simnet_way *way, size_t len) {
    uint8_t *packet = s->out + SIM_STAMP_BYTES;
    struct weft_writer w;
    uint64_t at = simnet_arrival(way, len);
    if (at != peer->last_arrival_ns) sim_count(SIM_PACKETS_REORDERED);
    if (simnet_spoil(way, packet, &len)) sim_count(SIM_PACKETS_DAMAGED);
    weft_writer_init(&w, s->out, SIM_STAMP_BYTES);
    weft_put_u64(&w, at);
    struct adapter_packet_out out = {{{s->out, SIM_STAMP_BYTES + len}, {NULL, 0}, {NULL, 0}}};
    int rc = s->below->ops->send(s->below, peer->below, &out, 1);
    return rc == 0 ? WEFT_E_AGAIN : rc < 0 ? rc : 0;
}

static int send_one(struct sim *s, struct adapter_peer *peer, const struct adapter_packet_out *p) {
    size_t len = gather(s->out + SIM_STAMP_BYTES, p);
    if (len > s->base.ops->path_packet_bytes(&s->base, peer)) return WEFT_E_TOO_BIG;
    struct simnet_way way = {.params = &s->spec.net,
                             .random = &peer->random,
                             .line_free_ns = &s->line_free_ns,
                             .last_arrival_ns = &peer->last_arrival_ns,
                             .now_ns = weft_now_ns()};
    if (simnet_chance(&peer->random, s->spec.refuse)) {
        sim_count(SIM_PACKETS_REFUSED);
        return WEFT_E_AGAIN;
    }
    int copies = simnet_copies(&way, len);
    if (is_cut(&s->spec, way.now_ns)) copies = 0;
    int rc = copies ? launch(s, peer, &way, len) : 0;
    if (rc) return rc;
    sim_count(SIM_PACKETS_SENT);
    if (copies == 0) sim_count(SIM_PACKETS_LOST);
    if (copies < 2) return 0;
    sim_count(SIM_PACKETS_DOUBLED);
    gather(s->out + SIM_STAMP_BYTES, p); /* the first copy may be spoiled */
    launch(s, peer, &way, len);
    return 0;
}

int sim_send(struct adapter *a, struct adapter_peer *peer, const struct adapter_packet_out *packets,
             size_t count) {
    struct sim *s = (struct sim *)a;
    for (size_t taken = 0; taken < count; taken++) {
        int rc = send_one(s, peer, &packets[taken]);
        if (rc) return taken || rc == WEFT_E_AGAIN ? (int)taken : rc;
    }
    return (int)count;
}

/* -- receiving -- */

struct adapter_peer *sim_peer_find(struct sim *s, const void *address, size_t len) {
    weft_list_for_each(it, &s->peers) {
        struct adapter_peer *p = weft_list_entry(it, struct adapter_peer, node);
        if (p->address_bytes == len && !memcmp(p->address, address, len)) return p;
    }
    return NULL;
}

/* Wakes the sleeper when the first of those that wait is due. */
static void set_timer(struct sim *s) {
    struct itimerspec t = {0};
    if (!weft_list_empty(&s->held)) {
        uint64_t at = weft_list_entry(s->held.next, struct sim_flight, node)->at_ns;
        t.it_value.tv_sec = (time_t)(at / WEFT_NS_PER_S);
        t.it_value.tv_nsec = (long)(at % WEFT_NS_PER_S);
    }
    timerfd_settime(s->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static void hold(struct sim *s, struct sim_flight *f) {
    struct weft_list *before = &s->held;
    while (before->prev != &s->held &&
           weft_list_entry(before->prev, struct sim_flight, node)->at_ns > f->at_ns)
        before = before->prev;
    weft_list_insert_before(before, &f->node);
    s->held_bytes += f->len;
    if (s->armed && s->held.next == &f->node) set_timer(s);
}

void sim_on_packet(void *ctx, struct adapter *below, const struct adapter_packet_in *p) {
    struct sim *s = ctx;
    struct weft_reader r;
    weft_reader_init(&r, p->data, p->len_bytes);
    uint64_t at = weft_get_u64(&r);
    size_t len = weft_reader_left(&r);
    bool good = !r.failed && at < weft_now_ns() + FUTURE_MAX_NS && s->held_bytes + len <= HELD_BYTES_MAX;
    struct sim_flight *f = good ? malloc(sizeof *f + len) : NULL;
    if (!f) {
        sim_count(SIM_PACKETS_DROPPED);
        return;
    }
    f->at_ns = at;
    f->len = len;
    f->from_bytes = p->from_bytes;
    memcpy(f->from, p->from, p->from_bytes);
    if (len) memcpy(f->data, p->data + SIM_STAMP_BYTES, len);
    hold(s, f);
}

void sim_on_peer_lost(void *ctx, struct adapter *below, struct adapter_peer *peer, bool hint) {
    struct sim *s = ctx;
    weft_list_for_each_safe(it, &s->peers) {
        struct adapter_peer *p = weft_list_entry(it, struct adapter_peer, node);
        if (p->below != peer) continue;
        s->callbacks.on_peer_lost(s->callbacks.ctx, &s->base, p, hint);
        return;
    }
}

static void deliver(struct sim *s, struct sim_flight *f) {
    uint8_t from[ADAPTER_ADDRESS_MAX];
    memcpy(from, s->prefix, SIM_PREFIX_BYTES);
    memcpy(from + SIM_PREFIX_BYTES, f->from, f->from_bytes);
    struct adapter_packet_in in = {.data = f->data,
                                   .len_bytes = f->len,
                                   .peer = sim_peer_find(s, f->from, f->from_bytes),
                                   .from = from,
                                   .from_bytes = SIM_PREFIX_BYTES + f->from_bytes};
    s->stranger = in.peer ? NULL : f;
    s->callbacks.on_packet(s->callbacks.ctx, &s->base, &in);
    s->stranger = NULL;
}

static struct sim_flight *next_due(struct sim *s, uint64_t now) {
    if (weft_list_empty(&s->held)) return NULL;
    struct sim_flight *f = weft_list_entry(s->held.next, struct sim_flight, node);
    return f->at_ns <= now ? f : NULL;
}

int sim_poll(struct adapter *a, unsigned max) {
    struct sim *s = (struct sim *)a;
    unsigned got = 0;
    s->base.pause = false;
    s->below->ops->poll(s->below, POLL_BELOW);
    uint64_t now = weft_now_ns();
    for (struct sim_flight *f; got < max && !s->base.pause && (f = next_due(s, now)); got++) {
        weft_list_remove(&f->node);
        s->held_bytes -= f->len;
        deliver(s, f);
        free(f);
    }
    return (int)got;
}

/* -- sleeping -- */

int sim_arm(struct adapter *a) {
    struct sim *s = (struct sim *)a;
    int rc = s->below->ops->arm(s->below);
    if (!rc && next_due(s, weft_now_ns())) {
        s->below->ops->disarm(s->below);
        rc = WEFT_E_AGAIN;
    }
    if (rc) return rc;
    s->armed = true;
    set_timer(s);
    return 0;
}

void sim_disarm(struct adapter *a) {
    struct sim *s = (struct sim *)a;
    s->below->ops->disarm(s->below);
    s->armed = false;
}

size_t sim_fds(struct adapter *a, int *out, size_t cap) {
    struct sim *s = (struct sim *)a;
    if (cap) *out++ = s->timer;
    return 1 + s->below->ops->fds(s->below, out, cap ? cap - 1 : 0);
}
