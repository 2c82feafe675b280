/* shm: processes of one host and user, over shared memory. Reliable and ordered; a peer that polls is never
 * woken; bulk data can be pulled out of the peer's memory. shm_internal.h says how it works; shm_ring,
 * shm_link, shm_live, shm_peer, shm_poll, shm_read, shm_window and shm_leftover are its parts. */
#include "adapter/shm_internal.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096 /* the system cuts it to net.core.somaxconn */

WEFT_OPTIONS(
    shm, "shm",
    {.name = "shm_ring_bytes",
     .type = WEFT_OPTION_SIZE,
     .value = "256K",
     .unit = "bytes",
     .min = SHM_RING_BYTES_MIN,
     .max = SHM_RING_BYTES_MAX,
     .help = "Ring to each peer and from it; rounded up to a power of two."},
    {.name = "shm_remote_read",
     .type = WEFT_OPTION_BOOL,
     .value = "true",
     .help = "Pull bulk data out of the peer's memory (cross-memory attach) where the system allows it."})

WEFT_COUNTERS(shm, [SHM_PACKETS_SENT] = {"shm_packets_sent", "packets", "Packets written into rings.", 0},
              [SHM_BYTES_SENT] = {"shm_bytes_sent", "bytes", "Bytes of the packets sent.", 0},
              [SHM_PACKETS_RECEIVED] = {"shm_packets_received", "packets", "Packets read from rings.", 0},
              [SHM_BYTES_RECEIVED] = {"shm_bytes_received", "bytes", "Bytes of the packets received.", 0},
              [SHM_RING_FULL] = {"shm_ring_full", "events", "Sends cut short because a ring was full.", 0},
              [SHM_WAKES] = {"shm_wakes", "wake-ups", "Sleeping peers woken.", 0},
              [SHM_LINKS_MADE] = {"shm_links_made", "links", "Links made to peers.", 0},
              [SHM_LINKS_ACCEPTED] = {"shm_links_accepted", "links", "Links that peers made.", 0},
              [SHM_LINKS_REFUSED] = {"shm_links_refused", "links",
                                     "Links refused: another user, malformed, too many.", 0},
              [SHM_PEERS_LOST] = {"shm_peers_lost", "peers", "Peers that went while they were in use.", 0},
              [SHM_READS] = {"shm_reads", "reads", "Remote reads.", 0},
              [SHM_READ_BYTES] = {"shm_read_bytes", "bytes", "Bytes of remote reads.", 0},
              [SHM_WINDOW_BYTES] = {"shm_window_bytes", "bytes", "Bytes of remote reads from mapped windows.",
                                    0},
              [SHM_READS_REFUSED] = {"shm_reads_refused", "reads", "Remote reads that the system refused.",
                                     0},
              [SHM_READS_REVOKED] = {"shm_reads_revoked", "reads",
                                     "Remote reads of memory that its owner had taken back by their end.", 0})

void shm_count(enum shm_counter c, uint64_t n) { weft_counter_add(&shm_counters[c], n); }

static void shm_attr(struct adapter_attr *attr) {
    *attr = (struct adapter_attr){
        .name = "shm",
        .caps = ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED | ADAPTER_CAP_SAME_HOST | ADAPTER_CAP_PEER_DEATH |
                ADAPTER_CAP_METHOD1 | ADAPTER_CAP_MESSAGES | ADAPTER_CAP_ALLOC,
        .packet_max_bytes = SHM_PACKET_MAX,
        .message_max_bytes = SHM_MESSAGE_MAX,
        .burst_max_packets = 1,
        .overhead_s = 100e-9,
        .latency_s = 250e-9,
        .bandwidth_Bps = 8e9,
    };
    if (shm_read_works()) attr->caps |= ADAPTER_CAP_REMOTE_READ;
}

static size_t ring_bytes_option(void) {
    size_t want = (size_t)weft_option_int("shm_ring_bytes"), bytes = SHM_RING_BYTES_MIN;
    while (bytes < want) bytes *= 2;
    return bytes;
}

static int open_listener(struct shm *s) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    shm_address_socket_path(&s->address, s->socket_path);
    memcpy(sa.sun_path, s->socket_path, sizeof sa.sun_path);
    s->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listener < 0) return weft_error_from_errno(errno);
    if (bind(s->listener, (struct sockaddr *)&sa, sizeof sa)) {
        int err = errno;
        weft_error("shm", "open: bind to %s: %s", s->socket_path, strerror(err));
        close(s->listener);
        return weft_error_from_errno(err);
    }
    if (!listen(s->listener, BACKLOG)) return 0;
    int err = errno;
    unlink(s->socket_path);
    close(s->listener);
    return weft_error_from_errno(err);
}

static int open_epoll(struct shm *s) {
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll < 0) return weft_error_from_errno(errno);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 0}; /* no link: the listener */
    if (!epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &e)) return 0;
    close(s->epoll);
    return WEFT_E_NOMEM;
}

static int shm_open_in(struct shm *s, const char *run_dir) {
    s->packet = aligned_alloc(SHM_LINE, SHM_PACKET_MAX);
    if (!s->packet) return WEFT_E_NOMEM;
    int rc = shm_address_init(s, run_dir);
    if (rc) return rc;
    rc = open_listener(s);
    if (rc) return rc;
    rc = open_epoll(s);
    if (!rc) shm_leftovers_sweep(run_dir);
    if (!rc) return 0;
    unlink(s->socket_path);
    close(s->listener);
    return rc;
}

static int shm_open_adapter(struct adapter **out, const struct adapter_config *cfg) {
    struct shm *s = calloc(1, sizeof *s);
    if (!s) return WEFT_E_NOMEM;
    s->base.ops = &adapter_shm_ops;
    s->callbacks = cfg->callbacks;
    s->ring_bytes = ring_bytes_option();
    s->events_due = true;
    weft_list_init(&s->all);
    weft_list_init(&s->graves);
    weft_list_init(&s->newcomers);
    weft_list_init(&s->fresh);
    weft_list_init(&s->leaving);
    weft_map_init(&s->peers);
    shm_windows_init(&s->windows);
    shm_attr(&s->base.attr);
    int rc = shm_open_in(s, cfg->run_dir);
    if (rc) {
        shm_windows_fini(&s->windows);
        free(s->packet);
        free(s);
        return rc;
    }
    *out = &s->base;
    return 0;
}

static void shm_close(struct adapter *a) {
    struct shm *s = (struct shm *)a;
    struct weft_list *n;
    unlink(s->socket_path);
    while ((n = weft_list_pop_front(&s->newcomers)))
        shm_link_destroy(weft_list_entry(n, struct shm_link, node));
    while (!weft_list_empty(&s->all))
        shm_peer_free(s, weft_list_entry(s->all.next, struct adapter_peer, node));
    shm_leftovers_fini(s);
    weft_map_fini(&s->peers);
    shm_windows_fini(&s->windows);
    close(s->listener);
    close(s->epoll);
    free(s->links);
    free(s->packet);
    free(s);
}

static int shm_address_of(struct adapter *a, void *buf, size_t *len) {
    struct shm *s = (struct shm *)a;
    if (*len < s->blob_bytes) return WEFT_E_TOO_BIG;
    memcpy(buf, s->blob, s->blob_bytes);
    *len = s->blob_bytes;
    return 0;
}

static bool shm_reachable(struct adapter *a, const void *addr, size_t len) {
    struct shm_address to;
    return !shm_address_decode(addr, len, &to) && shm_address_here((struct shm *)a, &to);
}

static int peer_new(struct shm *s, const struct shm_address *to, struct adapter_peer **out) {
    struct shm_link *l;
    int rc = shm_link_make(s, to, &l);
    if (rc) return rc;
    rc = shm_watch(s, l);
    if (!rc && (rc = shm_peer_add(s, to, l, out))) shm_unwatch(s, l);
    if (rc) shm_link_destroy(l);
    return rc;
}

static int shm_connect(struct adapter *a, const void *addr, size_t len, struct adapter_peer **out) {
    struct shm *s = (struct shm *)a;
    struct shm_address to;
    struct adapter_peer *peer;
    int rc = shm_address_decode(addr, len, &to);
    if (rc) return rc;
    if (!shm_address_here(s, &to)) return WEFT_E_UNREACHABLE;
    peer = shm_peer_find(s, to.token);
    if (!peer && (rc = peer_new(s, &to, &peer))) return rc;
    peer->holds++;
    *out = peer;
    return 0;
}

static void shm_disconnect(struct adapter *a, struct adapter_peer *peer) {
    if (--peer->holds == 0) shm_peer_free((struct shm *)a, peer);
}

static size_t shm_path_packet_bytes(struct adapter *a, struct adapter_peer *peer) { return SHM_PACKET_MAX; }

/* Writes as many as fit. Full: asks for word of room, and tries once more, since room may have come
 * meanwhile. */
static int write_packets(struct shm_link *l, const struct adapter_packet_out *packets, size_t count,
                         size_t *taken) {
    bool asked = false;
    while (*taken < count) {
        int rc = shm_ring_write(&l->tx, &packets[*taken]);
        if (rc == WEFT_E_AGAIN && !asked && shm_ring_want_room(&l->tx)) {
            asked = true;
            continue;
        }
        if (rc) return rc;
        ++*taken;
    }
    return 0;
}

static size_t bytes_of(const struct adapter_packet_out *packets, size_t count) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < 3; k++) n += packets[i].piece[k].iov_len;
    return n;
}

static void reader_lies(struct shm *s, struct adapter_peer *peer) {
    weft_warn("shm", "process %u claims to have read what was not written: link closed", peer->address.pid);
    shm_peer_hang_up(s, peer);
}

static int shm_send(struct adapter *a, struct adapter_peer *peer, const struct adapter_packet_out *packets,
                    size_t count) {
    struct shm *s = (struct shm *)a;
    struct shm_link *l = peer->link[0];
    size_t taken = 0;
    if (peer->lost || l->hung) return WEFT_E_PEER_LOST;
    int rc = write_packets(l, packets, count, &taken);
    l->room_wanted = rc == WEFT_E_AGAIN;
    if (l->room_wanted) shm_count(SHM_RING_FULL, 1);
    if (taken) shm_link_wake(l);
    shm_count(SHM_PACKETS_SENT, taken);
    shm_count(SHM_BYTES_SENT, bytes_of(packets, taken));
    if (rc == WEFT_E_PROTO) {
        reader_lies(s, peer);
        return taken ? (int)taken : WEFT_E_PEER_LOST;
    }
    return rc == WEFT_E_TOO_BIG && !taken ? rc : (int)taken;
}

static int shm_message(struct adapter *a, struct adapter_peer *peer, uint64_t word,
                       const struct iovec piece[2]) {
    struct shm_link *l = peer->link[0];
    if (peer->lost || l->hung) return WEFT_E_PEER_LOST;
    int rc = shm_ring_write_message(&l->tx, word, piece);
    if (rc == WEFT_E_PROTO) {
        reader_lies((struct shm *)a, peer);
        return WEFT_E_PEER_LOST;
    }
    if (rc) return rc;
    shm_link_wake(l);
    shm_count(SHM_PACKETS_SENT, 1);
    shm_count(SHM_BYTES_SENT, sizeof word + piece[0].iov_len + piece[1].iov_len);
    return 0;
}

static size_t shm_fds(struct adapter *a, int *out, size_t cap) {
    if (cap) out[0] = ((struct shm *)a)->epoll;
    return 1;
}

const struct adapter_ops adapter_shm_ops = {
    .name = "shm",
    .open = shm_open_adapter,
    .close = shm_close,
    .address = shm_address_of,
    .reachable = shm_reachable,
    .connect = shm_connect,
    .disconnect = shm_disconnect,
    .path_packet_bytes = shm_path_packet_bytes,
    .send = shm_send,
    .poll = shm_poll,
    .message = shm_message,
    .peek = shm_peek,
    .take = shm_take,
    .arm = shm_arm,
    .disarm = shm_disarm,
    .fds = shm_fds,
    .expose = shm_expose,
    .conceal = shm_conceal,
    .alloc = shm_alloc,
    .dealloc = shm_dealloc,
    .read = shm_read,
};
