/* udp sending: gathers bursts of equal packets into one call with segmentation offload, and falls back to
 * single packets on a path where that fails. What the network cannot carry now counts as lost: this adapter
 * may lose. */
#include "adapter/udp_internal.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define PIECES           3
#define LINEAR_BYTES_MAX 512 /* up to here UDP_SEGMENT does not lower a packet's charge by much */
#define SEND_TRIES       4   /* errors left over from earlier packets, read and forgotten before giving up */

ssize_t (*udp_sendmsg)(int fd, const struct msghdr *msg, int flags) = sendmsg;
ssize_t (*udp_send_bytes)(int fd, const void *bytes, size_t len, int flags) = send;

enum send_result { SENT = 1, NO_ROOM = 0, RETRY = -100, SEGMENTATION_FAILED = -101 };

static size_t packet_len(const struct adapter_packet_out *p) {
    return p->piece[0].iov_len + p->piece[1].iov_len + p->piece[2].iov_len;
}

/* How many of the packets go in one datagram: a longer one joins the one before it. The system sends it
 * sooner than two, and the receiver is woken once; their form tells them apart. No others do: whoever sends
 * equal ones may know that the path carries no more at once than one of them. */
static size_t joined_count(const struct adapter_peer *peer, const struct adapter_packet_out *packets,
                           size_t count, size_t *bytes) {
    size_t first = packet_len(&packets[0]), next = count > 1 ? packet_len(&packets[1]) : 0;
    bool joins = next > first && first + next <= peer->path_bytes;
    *bytes = joins ? first + next : first;
    return joins ? 2 : 1;
}

/* How many of the packets can go in one call: equal ones, and a shorter last one. */
static size_t burst_count(const struct udp *u, const struct adapter_peer *peer,
                          const struct adapter_packet_out *packets, size_t count) {
    size_t len = packet_len(&packets[0]), total = len, n = 1;
    if (!u->gso || peer->no_segmentation || len == 0) return 1;
    while (n < count && n < UDP_BURST_PACKETS) {
        size_t next = packet_len(&packets[n]);
        if (next == 0 || next > len || total + next > UDP_PACKET_MAX) break;
        total += next;
        n++;
        if (next < len) break;
    }
    return n;
}

/* Pieces that lie one behind the other become one: each costs the kernel some 30 ns. */
static size_t gather(struct iovec *iov, const struct adapter_packet_out *packets, size_t count) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < PIECES; k++) {
            const struct iovec *p = &packets[i].piece[k];
            if (!p->iov_len) continue;
            if (n && (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == p->iov_base)
                iov[n - 1].iov_len += p->iov_len;
            else
                iov[n++] = *p;
        }
    return n;
}

static void put_segment(struct msghdr *msg, void *control, size_t segment) {
    uint16_t bytes = (uint16_t)segment;
    msg->msg_control = control;
    msg->msg_controllen = CMSG_SPACE(sizeof bytes);
    memset(control, 0, msg->msg_controllen);
    struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof bytes);
    memcpy(CMSG_DATA(c), &bytes, sizeof bytes);
}

/* The path carries less than was thought: ask the routes, and make sure that it shrinks. */
static int too_big(struct adapter_peer *peer, size_t len) {
    size_t path = udp_path_probe(&peer->to);
    if (path == 0 || path >= len) path = len > 1200 ? 1200 : UDP_PACKET_MIN;
    weft_debug("udp", "path packet shrinks from %zu to %zu bytes", peer->path_bytes, path);
    if (path < peer->path_bytes) peer->path_bytes = path;
    return WEFT_E_TOO_BIG;
}

static int segmentation_failed(struct adapter_peer *peer, size_t len, int err) {
    size_t path = udp_path_probe(&peer->to);
    if (path && path < len) return too_big(peer, len);
    weft_info("udp", "offloaded burst of %zu-byte packets: %s; sending singly on this path", len,
              strerror(err));
    peer->no_segmentation = true;
    udp_count(UDP_NO_SEGMENTATION, 1);
    return SEGMENTATION_FAILED;
}

static int send_fd(const struct udp *u, const struct adapter_peer *peer) {
    return peer->connected ? peer->connected->fd : u->fd;
}

/* Says what to do about a failed send: an enum send_result or an error. */
static int send_failed(struct udp *u, struct adapter_peer *peer, size_t len, bool segmented, int err) {
    switch (err) {
    case EINTR: return RETRY;
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM: udp_count(UDP_SEND_FULL, 1); return NO_ROOM;
    case EMSGSIZE:
        if (segmented && udp_path_probe(&peer->to) >= len) return segmentation_failed(peer, len, err);
        return too_big(peer, len);
    case EIO:
    case EINVAL:
    case EOPNOTSUPP:
    case ENOPROTOOPT:
        if (segmented) return segmentation_failed(peer, len, err);
        break;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENONET:
    case EPROTO:
    case EPERM:
    case EACCES:
        /* Mostly the echo of an earlier packet, perhaps another peer's: read it and try again. */
        udp_drain_errors(u, send_fd(u, peer));
        return RETRY;
    default: break;
    }
    weft_error("udp", "send of a %zu-byte packet: %s", len, strerror(err));
    return WEFT_E_IO;
}

/* A small packet to a connected peer: put together and given to the plainest of calls, which is faster than
 * having the kernel gather it. */
static ssize_t send_small(struct adapter_peer *peer, const struct adapter_packet_out *packet) {
    uint8_t bytes[LINEAR_BYTES_MAX];
    size_t len = 0;
    for (size_t k = 0; k < PIECES; k++) {
        if (packet->piece[k].iov_len)
            memcpy(bytes + len, packet->piece[k].iov_base, packet->piece[k].iov_len);
        len += packet->piece[k].iov_len;
    }
    return udp_send_bytes(peer->connected->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t send_gathered(struct udp *u, struct adapter_peer *peer,
                             const struct adapter_packet_out *packets, size_t count, size_t segment) {
    struct iovec iov[UDP_BURST_PACKETS * PIECES];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
    } control;
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = gather(iov, packets, count)};
    if (!peer->connected) {
        msg.msg_name = &peer->to;
        msg.msg_namelen = udp_sockaddr_len(&peer->to);
    }
    if (segment) put_segment(&msg, &control, segment);
    return udp_sendmsg(send_fd(u, peer), &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Datagrams of `len` bytes; the last may be shorter. */
static int send_burst(struct udp *u, struct adapter_peer *peer, const struct adapter_packet_out *packets,
                      size_t count, size_t len) {
    bool small = count == 1 && len <= LINEAR_BYTES_MAX;
    bool segmented = u->gso && !peer->no_segmentation && !small;
    udp_connected_note_send(u, peer);
    for (int tries = 0; tries < SEND_TRIES; tries++) {
        ssize_t n = small && peer->connected ? send_small(peer, packets)
                                             : send_gathered(u, peer, packets, count, segmented ? len : 0);
        if (n >= 0) {
            udp_count(UDP_SENDS, 1);
            udp_count(UDP_PACKETS_SENT, count);
            udp_count(UDP_BYTES_SENT, (uint64_t)n);
            return SENT;
        }
        int rc = send_failed(u, peer, len, segmented, errno);
        if (rc != RETRY) return rc;
    }
    /* No way out now (no route, a firewall, a dead neighbour): lost, like any packet may be. */
    udp_count(UDP_SEND_LOST, count);
    udp_suspect(u, peer);
    return SENT;
}

int udp_send(struct adapter *a, struct adapter_peer *peer, const struct adapter_packet_out *packets,
             size_t count) {
    struct udp *u = (struct udp *)a;
    size_t taken = 0;
    while (taken < count) {
        int rc = WEFT_E_TOO_BIG;
        size_t n = burst_count(u, peer, packets + taken, count - taken), len = packet_len(&packets[taken]);
        if (n == 1 && u->form) n = joined_count(peer, packets + taken, count - taken, &len);
        if (len <= peer->path_bytes) rc = send_burst(u, peer, packets + taken, n, len);
        if (rc == SEGMENTATION_FAILED) continue;
        if (rc == SENT) {
            taken += n;
            continue;
        }
        if (rc < 0 && taken == 0) return rc;
        break;
    }
    return (int)taken;
}
