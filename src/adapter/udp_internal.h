/* udp, shared by its files: the adapter's state and the helpers that more than one file calls. */
#ifndef WEFT_ADAPTER_UDP_INTERNAL_H
#define WEFT_ADAPTER_UDP_INTERNAL_H
#include "adapter/adapter.h"
#include "adapter/host_id.h"
#include "base/list.h"
#include "base/map.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define UDP_ADDRESS_BYTES_MAX 36    /* family, port, address, host identity */
#define UDP_PACKET_MAX        65488 /* 65,507 less a little headroom, down to a multiple of 16 */
#define UDP_PACKET_MIN        512   /* no path gets smaller than this, whatever an error message claims */
#define UDP_BURST_PACKETS     64    /* segments that every kernel with UDP_SEGMENT takes */
#define UDP_RECEIVE_BYTES     65536 /* the largest datagram, or receive-offloaded train of them */
#define UDP_RECEIVE_BATCH     8
#define UDP_RECEIVE_ALIGN     4096
#define UDP_CONTROL_BYTES     128
#define UDP_CONNECTED_MAX     8 /* peers with a socket of their own */

union udp_sockaddr {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* A socket for a peer that much is sent to: bound to the endpoint's own address and connected to the peer's,
 * so that the kernel looks up the route once and gives it what comes from there. It stays connected when the
 * peer is forgotten, until another peer needs it. */
struct udp_connected {
    int fd;
    union udp_sockaddr to;
    uint8_t blob[UDP_ADDRESS_BYTES_MAX];
    size_t blob_bytes;
    struct adapter_peer *peer; /* with that address; NULL: there is none now */
    bool settled;              /* what came from other addresses before it was connected has been read */
    bool used;                 /* lately; cleared by who wants the place */
};

struct adapter_peer {
    union udp_sockaddr to;
    uint64_t key; /* in udp.peers */
    unsigned holds;
    unsigned sends;                  /* calls */
    struct udp_connected *connected; /* NULL: it is sent to through the endpoint's own socket */
    size_t path_bytes;               /* largest packet on the path */
    bool no_segmentation;            /* UDP_SEGMENT failed on this path: packets go singly */
    struct weft_list suspected;      /* in udp.suspects while an ICMP error awaits its callback */
};

/* One received buffer: a datagram, or a train of equal ones that the kernel put together. */
struct udp_datagram {
    size_t len, segment; /* bytes in all; of each packet (the last may be shorter); 0: packets say it */
    size_t at;           /* next byte to deliver */
    bool delivered;
    union udp_sockaddr from;
    uint8_t blob[UDP_ADDRESS_BYTES_MAX];
    size_t blob_bytes;
    struct adapter_peer *peer;
    uint64_t peers_version; /* of udp, when `peer` was looked up */
};

struct udp {
    struct adapter base;
    struct adapter_callbacks callbacks;
    const struct adapter_form *form;
    int fd, epoll; /* the endpoint's own socket; all sockets in one */
    struct udp_connected connected[UDP_CONNECTED_MAX];
    unsigned connected_count; /* of connected[]: sockets that are open; they stay so */
    unsigned hand;            /* the place that is looked at next when all are taken */
    union udp_sockaddr local;
    uint8_t host[HOST_ID_BYTES]; /* of the network namespace: makes loopback addresses mean one host */
    uint64_t secret;             /* of the peers' hash, so that nobody can choose collisions */
    bool gso;
    struct weft_map peers;
    uint64_t peers_version; /* changes whenever a peer comes or goes */
    struct weft_list suspects;
    uint32_t drops_seen; /* the socket's drop count as last counted */

    struct udp_datagram in[UDP_RECEIVE_BATCH];
    unsigned filled, next; /* of in[]: received, and the one being delivered */
    unsigned hot, turn;    /* sockets to read: the last that gave something, and the next of the others */
    unsigned empty_polls;  /* since something came */
    bool idle;             /* the last poll found nothing */
    uint8_t *buffers;      /* UDP_RECEIVE_BATCH of UDP_RECEIVE_BYTES */
};

/* System calls whose failures the tests inject. */
extern ssize_t (*udp_sendmsg)(int fd, const struct msghdr *msg, int flags);
extern ssize_t (*udp_send_bytes)(int fd, const void *bytes, size_t len, int flags);

enum udp_counter {
    UDP_PACKETS_SENT,
    UDP_BYTES_SENT,
    UDP_SENDS,
    UDP_SEND_FULL,
    UDP_SEND_LOST,
    UDP_NO_SEGMENTATION,
    UDP_PACKETS_RECEIVED,
    UDP_BYTES_RECEIVED,
    UDP_RECEIVES,
    UDP_DROPS,
    UDP_TRUNCATED,
    UDP_ICMP_ERRORS,
};
void udp_count(enum udp_counter c, uint64_t n);

/* udp_address.c: address blobs <-> socket addresses. */
socklen_t udp_sockaddr_len(const union udp_sockaddr *sa);
bool udp_sockaddr_is_loopback(const union udp_sockaddr *sa);
bool udp_sockaddr_equal(const union udp_sockaddr *a, const union udp_sockaddr *b);
/* A numeric host ("127.0.0.1", "fe80::1%eth0") and a port. WEFT_E_INVAL. */
int udp_sockaddr_parse(const char *host, uint16_t port, union udp_sockaddr *out);
size_t udp_blob_encode(const struct udp *u, const union udp_sockaddr *sa, uint8_t out[UDP_ADDRESS_BYTES_MAX]);
/* WEFT_E_INVAL: no address; WEFT_E_UNREACHABLE: one of another family or host. */
int udp_blob_decode(const struct udp *u, const void *blob, size_t len, union udp_sockaddr *out);
/* adapter_ops.address_text */
void udp_address_text(struct adapter *a, const void *blob, size_t len, char *out, size_t cap);

/* udp_socket.c */
int udp_socket_open(struct udp *u, const char *host, uint16_t port);
/* A socket with the endpoint's options, bound to its address and connected to another. -1: not now. */
int udp_socket_connected(struct udp *u, const union udp_sockaddr *to);
/* Asks the kernel's routes. 0: no route. */
size_t udp_path_probe(const union udp_sockaddr *to);
size_t udp_packet_bytes_of_mtu(int family, size_t mtu);
uint32_t udp_socket_drops(int fd);

/* udp.c */
struct adapter_peer *udp_peer_find(const struct udp *u, const union udp_sockaddr *sa);
void udp_suspect(struct udp *u, struct adapter_peer *peer);

/* udp_connected.c */
/* A peer has come: perhaps a socket is connected to its address already. */
void udp_connected_adopt(struct udp *u, struct adapter_peer *peer);
/* Counts a send call to the peer; after some it gets a socket of its own. */
void udp_connected_note_send(struct udp *u, struct adapter_peer *peer);

/* udp_send.c, udp_receive.c */
int udp_send(struct adapter *a, struct adapter_peer *peer, const struct adapter_packet_out *packets,
             size_t count);
int udp_poll(struct adapter *a, unsigned max);
bool udp_receive_pending(const struct udp *u);
/* Reads a socket's error queue to its end: refusals become suspects, "too big" shrinks a path. */
void udp_drain_errors(struct udp *u, int fd);

#endif
