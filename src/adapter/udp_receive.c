/* udp receiving: takes what came, splits trains of packets apart, and turns the network's error reports into
 * suspicions about peers. The endpoint's own socket gives a batch in one call, with senders and packet sizes;
 * a connected one gives one buffer a call, whose sender is known and whose packets say their sizes
 * themselves. */
#include "adapter/udp_internal.h"
#include "base/error.h"
#include "base/le.h"
#include "base/log.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <string.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define RECEIVE_TRIES  4
#define BUFFERS_A_POLL 8u     /* at most, and no more after … */
#define BYTES_A_POLL   32768u /* … so many: small messages behind them do not wait for all of it */
#define TURN_EVERY     32u    /* empty polls, some 10 us, before the only other socket is looked at */
#define ERRORS_MAX     256    /* read at once; the kernel tells of the rest with the next call */

struct receive_call {
    struct mmsghdr msgs[UDP_RECEIVE_BATCH];
    struct iovec iov[UDP_RECEIVE_BATCH];
    char control[UDP_RECEIVE_BATCH][UDP_CONTROL_BYTES] __attribute__((aligned(16)));
};

static void prepare(struct udp *u, struct receive_call *call) {
    for (unsigned i = 0; i < UDP_RECEIVE_BATCH; i++) {
        call->iov[i] = (struct iovec){u->buffers + (size_t)i * UDP_RECEIVE_BYTES, UDP_RECEIVE_BYTES};
        call->msgs[i].msg_hdr = (struct msghdr){.msg_name = &u->in[i].from,
                                                .msg_namelen = sizeof u->in[i].from,
                                                .msg_iov = &call->iov[i],
                                                .msg_iovlen = 1,
                                                .msg_control = call->control[i],
                                                .msg_controllen = sizeof call->control[i]};
    }
}

static void count_drops(struct udp *u, uint32_t drops) {
    udp_count(UDP_DROPS, (uint32_t)(drops - u->drops_seen));
    u->drops_seen = drops;
}

/* Reads the train's packet size; a datagram of its own has none. */
static void read_control(struct udp *u, struct msghdr *msg, size_t *segment) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int bytes;
            memcpy(&bytes, CMSG_DATA(c), sizeof bytes);
            if (bytes > 0) *segment = (size_t)bytes;
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            uint32_t drops;
            memcpy(&drops, CMSG_DATA(c), sizeof drops);
            count_drops(u, drops);
        }
    }
}

static bool has_port(const union udp_sockaddr *sa) {
    return sa->sa.sa_family == AF_INET6 ? sa->v6.sin6_port != 0 : sa->v4.sin_port != 0;
}

static void take(struct udp *u, struct udp_datagram *d, struct mmsghdr *m) {
    d->len = m->msg_len;
    d->segment = d->len;
    read_control(u, &m->msg_hdr, &d->segment);
    d->at = 0;
    d->delivered = false;
    d->peers_version = u->peers_version - 1;
    if (m->msg_hdr.msg_flags & MSG_TRUNC) d->len = d->segment < d->len ? d->len / d->segment * d->segment : 0;
    if (m->msg_hdr.msg_flags & MSG_TRUNC || !has_port(&d->from)) udp_count(UDP_TRUNCATED, 1);
    if ((m->msg_hdr.msg_flags & MSG_TRUNC && !d->len) || !has_port(&d->from)) d->delivered = true;
    if (d->delivered) return;
    d->blob_bytes = udp_blob_encode(u, &d->from, d->blob);
}

static void receive(struct udp *u, int fd) {
    struct receive_call call;
    u->filled = u->next = 0;
    for (int tries = 0; tries < RECEIVE_TRIES; tries++) {
        prepare(u, &call);
        int n = recvmmsg(fd, call.msgs, UDP_RECEIVE_BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) take(u, &u->in[i], &call.msgs[i]);
        if (n >= 0) {
            u->filled = (unsigned)n;
            udp_count(UDP_RECEIVES, (uint64_t)n);
            return;
        }
        if (errno == EAGAIN) return;
        if (errno != EINTR) udp_drain_errors(u, fd); /* the error is an earlier packet's */
    }
}

/* The buffer that a connected socket gave. Its drops are counted when it is closed. */
static void take_connected(struct udp *u, const struct udp_connected *s, size_t len) {
    struct udp_datagram *d = &u->in[0];
    bool whole = len <= UDP_RECEIVE_BYTES;
    d->len = whole ? len : 0;
    d->segment = 0;
    d->at = 0;
    d->delivered = !whole;
    d->from = s->to;
    memcpy(d->blob, s->blob, sizeof d->blob);
    d->blob_bytes = s->blob_bytes;
    d->peer = s->peer;
    d->peers_version = u->peers_version;
    u->filled = 1;
    udp_count(UDP_RECEIVES, 1);
    if (!whole) udp_count(UDP_TRUNCATED, 1);
}

static void receive_connected(struct udp *u, struct udp_connected *s) {
    if (!s->settled || !u->form) {
        receive(u, s->fd);
        if (!u->filled) s->settled = true;
        return;
    }
    u->filled = u->next = 0;
    ssize_t n = recv(s->fd, u->buffers, UDP_RECEIVE_BYTES, MSG_DONTWAIT | MSG_TRUNC);
    if (n >= 0)
        take_connected(u, s, (size_t)n);
    else if (errno != EAGAIN && errno != EINTR)
        udp_drain_errors(u, s->fd);
}

static void receive_from(struct udp *u, unsigned socket) {
    if (socket == 0)
        receive(u, u->fd);
    else
        receive_connected(u, &u->connected[socket - 1]);
}

/* Reads the socket that last had something, and now and then one of the others. False: nothing came. */
static bool receive_any(struct udp *u) {
    unsigned sockets = 1 + u->connected_count;
    receive_from(u, u->hot);
    if (u->filled) {
        u->empty_polls = 0;
        return true;
    }
    if (sockets == 1 || (++u->empty_polls % TURN_EVERY && sockets == 2)) return false;
    u->turn = (u->turn + 1) % sockets;
    if (u->turn == u->hot) u->turn = (u->turn + 1) % sockets;
    receive_from(u, u->turn);
    if (u->filled) u->hot = u->turn;
    return u->filled;
}

static void deliver_one(struct udp *u, struct udp_datagram *d, const uint8_t *data, size_t len) {
    if (d->peers_version != u->peers_version) {
        d->peer = udp_peer_find(u, &d->from);
        d->peers_version = u->peers_version;
    }
    struct adapter_packet_in in = {
        .data = data, .len_bytes = len, .peer = d->peer, .from = d->blob, .from_bytes = d->blob_bytes};
    udp_count(UDP_PACKETS_RECEIVED, 1);
    udp_count(UDP_BYTES_RECEIVED, len);
    u->callbacks.on_packet(u->callbacks.ctx, &u->base, &in);
}

/* How long the packet is that begins here, as it says itself; `left` when it says nothing sensible. */
static size_t said_bytes(const struct adapter_form *form, const uint8_t *packet, size_t left) {
    if (left < form->least_bytes) return left;
    size_t len = le_get16(packet + form->length_at);
    return len < form->least_bytes || len > left ? left : len;
}

static unsigned deliver(struct udp *u, struct udp_datagram *d, const uint8_t *data, unsigned max) {
    unsigned got = 0;
    while (!d->delivered && got < max && !u->base.pause) {
        size_t at = d->at, len = d->len - at;
        if (d->segment && len > d->segment - at % d->segment) len = d->segment - at % d->segment;
        if (u->form) len = said_bytes(u->form, data + at, len);
        d->at += len;
        d->delivered = d->at >= d->len;
        deliver_one(u, d, data + at, len);
        got++;
    }
    return got;
}

static void report_suspects(struct udp *u) {
    struct weft_list reporting, *n;
    weft_list_init(&reporting);
    weft_list_splice(&reporting, &u->suspects);
    while ((n = weft_list_pop_front(&reporting)))
        u->callbacks.on_peer_lost(u->callbacks.ctx, &u->base,
                                  weft_list_entry(n, struct adapter_peer, suspected), true);
}

bool udp_receive_pending(const struct udp *u) {
    return u->next < u->filled || !weft_list_empty(&u->suspects);
}

int udp_poll(struct adapter *a, unsigned max) {
    struct udp *u = (struct udp *)a;
    unsigned got = 0;
    /* After a poll that found nothing one buffer is most likely all there is: do not ask for another. */
    unsigned reads = u->idle ? 1 : BUFFERS_A_POLL;
    size_t bytes = 0;
    u->base.pause = false;
    while (got < max && bytes < BYTES_A_POLL && !u->base.pause) {
        if (u->next >= u->filled && (!reads-- || !receive_any(u))) break;
        struct udp_datagram *d = &u->in[u->next];
        size_t at = d->at;
        got += deliver(u, d, u->buffers + (size_t)u->next * UDP_RECEIVE_BYTES, max - got);
        bytes += d->at - at;
        if (d->delivered) u->next++;
    }
    u->idle = got == 0;
    report_suspects(u);
    return (int)got;
}

static void handle_error(struct udp *u, struct adapter_peer *peer, const struct sock_extended_err *e) {
    if (e->ee_origin != SO_EE_ORIGIN_ICMP && e->ee_origin != SO_EE_ORIGIN_ICMP6) return;
    udp_count(UDP_ICMP_ERRORS, 1);
    if (e->ee_errno == EMSGSIZE) {
        size_t path = udp_packet_bytes_of_mtu(peer->to.sa.sa_family, e->ee_info);
        if (path < peer->path_bytes) peer->path_bytes = path;
        return;
    }
    udp_suspect(u, peer);
}

void udp_drain_errors(struct udp *u, int fd) {
    for (int i = 0; i < ERRORS_MAX; i++) {
        union udp_sockaddr to;
        char control[512] __attribute__((aligned(16)));
        struct msghdr msg = {.msg_name = &to,
                             .msg_namelen = sizeof to,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
        if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return;
        struct adapter_peer *peer = msg.msg_namelen ? udp_peer_find(u, &to) : NULL;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); peer && c; c = CMSG_NXTHDR(&msg, c)) {
            if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
                !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
                continue;
            struct sock_extended_err e;
            memcpy(&e, CMSG_DATA(c), sizeof e);
            handle_error(u, peer, &e);
        }
    }
}
