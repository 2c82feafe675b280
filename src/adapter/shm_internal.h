/* shm, shared by its files: the adapter's state, links and peers.
 *
 * DESIGN NOTES
 *
 * A link is one shared memory object with a ring each way and a Unix socket beside it. Who connects makes the
 * memory, seals it, and sends its descriptor to the other's listening socket: packets can be written at once,
 * whenever the other picks up. The socket stays for the link's life: its hang-up tells that the peer is gone,
 * and a byte on it wakes a peer that sleeps. (Rejected: an eventfd for that, one more descriptor a link, and
 * one that the peer could have swapped for something that blocks.)
 *
 * A peer is an address. It sends on one link. If both sides connect at the same moment there are two links;
 * each then sends on the one that it made, which keeps the order, and receives on both.
 *
 * A link that hangs up is read to its end, then the peer is lost; a new link from the same address is a new
 * peer.
 *
 * Who looks where: peek() runs without the caller's lock, so what it reads (links, hot, the readers) is
 * changed by the poller only; links that others make meanwhile wait in `fresh`. Looking at every link would
 * cost a load for each peer, so those that delivered last are looked at each time, of the rest a few in turn.
 * (Rejected: a word in which all senders ring: a second shared line for every message, and the first that
 * peers quarrel about.)
 *
 * Locks: none, the caller's state lock does; shm_read() uses only what is constant until the peer is freed.
 */
#ifndef WEFT_ADAPTER_SHM_INTERNAL_H
#define WEFT_ADAPTER_SHM_INTERNAL_H
#include "adapter/adapter.h"
#include "adapter/host_id.h"
#include "adapter/shm_live.h"
#include "adapter/shm_ring.h"
#include "adapter/shm_window.h"
#include "base/list.h"
#include "base/map.h"

#include <sys/types.h>

#define SHM_SOCKET_PATH_MAX 108 /* of sockaddr_un */
#define SHM_DIR_MAX         87  /* leaves room for the socket's name */
#define SHM_NEWCOMERS_MAX   64  /* sockets accepted whose hello has not come */
#define SHM_CONTROL_BYTES   (4096 + 2 * SHM_LIVE_MAX * sizeof(uint64_t))

/* The first pages of a link's memory. Index 0 is the maker's: its side, the direction in which it writes, its
 * regions. */
struct shm_control {
    struct shm_direction direction[2];
    struct {
        _Alignas(128) _Atomic uint32_t armed;
    } side[2]; /* set by a side going to sleep, cleared by its waker */
    _Alignas(4096) _Atomic uint64_t live[2][SHM_LIVE_MAX];
};
_Static_assert(sizeof(struct shm_control) == SHM_CONTROL_BYTES, "the rings begin behind it, at a page");

struct shm_address {
    uint32_t pid;
    uint64_t token;               /* of this adapter, now: another one, later, has another */
    uint8_t place[HOST_ID_BYTES]; /* boot, pid namespace, directory and user, in one digest */
    char dir[SHM_DIR_MAX + 1];
};

#define SHM_HOT_MAX 4 /* links that delivered last: looked at each time */

struct shm_link {
    struct shm_reader rx;
    struct shm_writer tx;
    struct shm_control *control; /* start of the mapping; NULL: no rings (any more) */
    struct shm_control *base;    /* the same, for as long as the link: shm_read() looks at `live` */
    size_t ring_bytes;
    struct shm_live live;               /* regions of this side */
    const _Atomic uint64_t *live_there; /* those of the other side */
    int made;         /* 1: by this side, 0: accepted; the index of the other side in control */
    bool hung;        /* the peer is gone, or broke the protocol: read to the end, then lost */
    bool drained;     /* nothing more will be read */
    bool room_wanted; /* the last send found no room */
    int sock, pidfd;  /* pidfd may be -1 */
    pid_t pid;
    struct adapter_peer *peer; /* NULL: a newcomer, its hello is still to come */
    struct weft_list node;     /* in shm.newcomers, in shm.fresh, or nowhere */
    size_t index;              /* in shm.links; SIZE_MAX: not there */
};

struct adapter_peer {
    struct shm_address address;
    uint8_t blob[ADAPTER_ADDRESS_MAX];
    size_t blob_bytes;
    unsigned holds; /* 0: it connected to us, and nobody here has asked for it yet */
    bool listed;    /* in shm.peers */
    bool lost;
    atomic_bool dead; /* read() has seen that the process has no memory any more: its sockets go next */
    struct shm_link *link[2]; /* [0] is sent on; [1] is the other of two crossing connects, or NULL */
    struct shm_views views;   /* its windows that are mapped here */
    struct weft_map told;     /* ids of our windows that it was sent */
    struct weft_list node;    /* in shm.all, or in shm.graves */
};

#define SHM_NOTICE_BYTES 16 /* of a window */

struct shm {
    struct adapter base;
    struct adapter_callbacks callbacks;
    struct shm_address address;
    uint8_t blob[ADAPTER_ADDRESS_MAX];
    size_t blob_bytes;
    uint8_t host[HOST_ID_BYTES];
    char socket_path[SHM_SOCKET_PATH_MAX];
    int listener, epoll;
    size_t ring_bytes;                  /* of links made here */
    struct shm_link **links;            /* those that are polled; NULL: removed during a poll */
    size_t link_count, link_cap, first; /* first: where the next poll starts, for fairness */
    struct weft_list fresh;             /* links on their way into `links`, which is the poller's alone */
    size_t fresh_count;
    struct shm_link *hot[SHM_HOT_MAX]; /* the newest first; NULL behind the last */
    size_t next_look;                  /* of the links in turn */
    struct shm_windows windows;
    uint64_t last_serial;               /* of a region */
    struct weft_map peers;              /* token -> peer that is not lost */
    struct weft_list all;               /* of all peers */
    struct weft_list newcomers, graves; /* graves: peers freed at the end of the poll under way */
    struct weft_list leaving;           /* processes whose link ended: shm_leftover.c */
    unsigned newcomer_count, polls;
    bool in_poll, events_due, armed, holes;
    bool accept_failed; /* said so already */
    uint8_t *packet;    /* where received packets are copied to */
};

enum shm_counter {
    SHM_PACKETS_SENT,
    SHM_BYTES_SENT,
    SHM_PACKETS_RECEIVED,
    SHM_BYTES_RECEIVED,
    SHM_RING_FULL,
    SHM_WAKES,
    SHM_LINKS_MADE,
    SHM_LINKS_ACCEPTED,
    SHM_LINKS_REFUSED,
    SHM_PEERS_LOST,
    SHM_READS,
    SHM_READ_BYTES,
    SHM_WINDOW_BYTES,
    SHM_READS_REFUSED,
    SHM_READS_REVOKED,
};
void shm_count(enum shm_counter c, uint64_t n);

/* shm_address.c */
int shm_address_init(struct shm *s, const char *run_dir);
size_t shm_address_encode(const struct shm_address *a, uint8_t out[ADAPTER_ADDRESS_MAX]);
int shm_address_decode(const void *blob, size_t len, struct shm_address *out); /* WEFT_E_INVAL */
/* Whether the directory it names is, seen from here, the one that its maker meant. */
bool shm_address_here(const struct shm *s, const struct shm_address *a);
void shm_address_socket_path(const struct shm_address *a, char out[SHM_SOCKET_PATH_MAX]);

/* shm_link.c: links as such, without the adapter's tables. */
struct shm_link *shm_link_create(int sock);
void shm_link_destroy(struct shm_link *l);
/* Connects to the address, makes the memory and sends the hello. */
int shm_link_make(struct shm *s, const struct shm_address *to, struct shm_link **out);
/* Takes the hello from an accepted socket: WEFT_E_AGAIN while it has not come, WEFT_E_PROTO for one to be
 * refused. */
int shm_link_take(struct shm *s, struct shm_link *l, uint8_t blob[ADAPTER_ADDRESS_MAX], size_t *blob_bytes,
                  struct shm_address *from);
/* Who is at the socket's other end: fills pid and pidfd. WEFT_E_ACCESS: another user. */
int shm_link_identify(struct shm_link *l);
/* A datagram and one descriptor (-1: none). shm_socket_send: 0 or an errno. shm_socket_receive: as recv();
 * *fd -1: none came, or not a single one. */
int shm_socket_send(int sock, const void *text, size_t len, int fd);
ssize_t shm_socket_receive(int sock, void *text, size_t cap, int *fd);
bool shm_link_hung_up(const struct shm_link *l);
void shm_link_unmap(struct shm_link *l); /* the rings */
/* The other side sleeps, perhaps: wakes it if so. */
void shm_link_wake(struct shm_link *l);
void shm_link_set_armed(struct shm_link *l, bool armed);

/* shm_peer.c: which links and peers there are. */
/* NULL also for one that has hung up, perhaps unnoticed so far: it may have come back, as a new peer. */
struct adapter_peer *shm_peer_find(struct shm *s, uint64_t token);
int shm_peer_add(struct shm *s, const struct shm_address *address, struct shm_link *link,
                 struct adapter_peer **out);
void shm_peer_add_link(struct shm *s, struct adapter_peer *peer, struct shm_link *link);
void shm_link_cool(struct shm *s, const struct shm_link *l); /* no longer looked at each time */
void shm_links_take_in(struct shm *s); /* the poller's: the links in `fresh` are polled from now on */
/* The peer is going: no longer found by its address, its links are read to their end. */
void shm_peer_hang_up(struct shm *s, struct adapter_peer *peer);
/* Takes the links out of all tables and tells, or frees a peer that nobody holds. */
void shm_peer_lose(struct shm *s, struct adapter_peer *peer);
void shm_peer_free(struct shm *s, struct adapter_peer *peer);
void shm_peers_bury(struct shm *s);
int shm_watch(struct shm *s, struct shm_link *l);
void shm_unwatch(struct shm *s, struct shm_link *l);

/* shm_leftover.c: files that dead processes leave. */
#define SHM_EVENT_LEAVING 2 /* in what epoll hands back: a struct shm_leaving */
struct shm_leaving;
/* The peer is lost: takes its socket's file away, now or when its process has died. */
void shm_leftover_take(struct shm *s, const struct adapter_peer *peer);
void shm_leftover_event(struct shm *s, struct shm_leaving *g);
void shm_leftovers_fini(struct shm *s);
/* Those of processes that nobody here knew. */
void shm_leftovers_sweep(const char *dir);

/* shm_poll.c */
int shm_poll(struct adapter *a, unsigned max);
bool shm_peek(struct adapter *a);
int shm_take(struct adapter *a, struct adapter_message *out);
int shm_arm(struct adapter *a);
void shm_disarm(struct adapter *a);

/* shm_read.c */
int shm_alloc(struct adapter *a, size_t bytes, void **out);
bool shm_dealloc(struct adapter *a, void *ptr);
/* What a peer says over its socket of one of its windows; takes the descriptor. */
void shm_window_notice(struct shm_link *l, const uint8_t *text, size_t len, int fd);
bool shm_read_works(void);
int shm_expose(struct adapter *a, struct adapter_peer *peer, const void *ptr, size_t len, void *region,
               size_t *region_len);
void shm_conceal(struct adapter *a, struct adapter_peer *peer, const void *region, size_t region_len);
int shm_read(struct adapter *a, struct adapter_peer *peer, struct adapter_read *r);

#endif
