/* udp, connected sockets: the few peers that most is sent to get a socket each. On loopback a send through
 * one takes 0.35 us less than a send to an address, and a receive 0.2 us less than one that also asks for
 * sender and packet size: together a sixth of the way of a small packet. More sockets are more to poll, so
 * there are few; who comes late takes the place of a peer that was not sent to for a while: the socket stays
 * open and changes its address. */
#include "adapter/udp_internal.h"
#include "base/log.h"

#include <string.h>

#define SENDS_FIRST 32u  /* before a peer is worth a socket: strangers' handshakes do not take them */
#define SENDS_AGAIN 256u /* between two tries */

/* A place for one more: not open yet, of nobody, or of somebody that was not used since it was last asked. */
static struct udp_connected *find_place(struct udp *u) {
    if (u->connected_count < UDP_CONNECTED_MAX) return &u->connected[u->connected_count];
    for (unsigned i = 0; i < UDP_CONNECTED_MAX; i++)
        if (!u->connected[i].peer) return &u->connected[i];
    struct udp_connected *s = &u->connected[u->hand++ % UDP_CONNECTED_MAX];
    if (!s->used) return s;
    s->used = false;
    return NULL;
}

static int turn_to(struct udp *u, struct udp_connected *s, const union udp_sockaddr *to) {
    if (s == &u->connected[u->connected_count]) {
        s->fd = udp_socket_connected(u, to);
        if (s->fd < 0) return -1;
        u->connected_count++;
        return 0;
    }
    return connect(s->fd, &to->sa, udp_sockaddr_len(to));
}

static void give(struct udp_connected *s, struct adapter_peer *peer) {
    s->peer = peer;
    s->used = true;
    peer->connected = s;
}

void udp_connected_note_send(struct udp *u, struct adapter_peer *peer) {
    peer->sends++;
    if (peer->connected) {
        peer->connected->used = true;
        return;
    }
    if (peer->sends != SENDS_FIRST && peer->sends % SENDS_AGAIN) return;
    struct udp_connected *s = find_place(u);
    if (!s || turn_to(u, s, &peer->to)) return;
    if (s->peer) s->peer->connected = NULL;
    s->to = peer->to;
    s->blob_bytes = udp_blob_encode(u, &peer->to, s->blob);
    s->settled = false;
    give(s, peer);
}

void udp_connected_adopt(struct udp *u, struct adapter_peer *peer) {
    for (unsigned i = 0; i < u->connected_count; i++)
        if (udp_sockaddr_equal(&u->connected[i].to, &peer->to)) give(&u->connected[i], peer);
}
