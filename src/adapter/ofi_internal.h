/* Inside of the ofi adapter: its state, and what its parts know of each other.
 *
 * DESIGN NOTES. One reliable-datagram endpoint (FI_EP_RDM), one completion queue, receive buffers posted
 * ahead, bounce buffers for sends. libfabric is loaded with dlopen() when the first adapter opens: programs
 * that do not ask for it neither need nor load it.
 *
 * Every packet begins with the receiver's token and the sender's whole address: few providers tell the source
 * of a message, and with the address in each packet the receiver keeps no table of strangers. A provider
 * moves messages reliably and in order, but most do not tell that an idle peer died; the transport above
 * needs that word from an adapter that calls itself reliable. So this one promises order alone, and the
 * transport acknowledges and probes as over udp.
 *
 * Some providers move data only while they are called (FI_PROGRESS_MANUAL), and refuse sends with "try again"
 * until a connection is made. What send() took must go on its way even if the program never polls: refused
 * packets wait in their peer's queue, and a helper thread ticks while anything is under way. It never calls
 * back; what it reaps waits in `ready` for poll().
 *
 * Reading peers' memory (ofi_rma.c) is for providers that offer it. An owner's registration ends with conceal(),
 * and with it the right to read; a read goes through a buffer of the reader's adapter. Rejected: reading
 * straight into the caller's memory, which would have to stay until the provider has ended the read, and a
 * peer that stands still never lets it end. The price is one copy.
 *
 * The process number in a peer's address is watched (ofi_death.c), if it is of this host.
 *
 * Locks: `lock` covers everything below it, and all calls into libfabric, but for open and close. It is never
 * held during a callback. */
#ifndef WEFT_ADAPTER_OFI_INTERNAL_H
#define WEFT_ADAPTER_OFI_INTERNAL_H
#include "adapter/adapter.h"
#include "adapter/host_id.h"
#include "base/list.h"
#include "base/map.h"

#include <pthread.h>
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>

#define OFI_PROVIDER_MAX 24 /* characters of a provider's name */
#define OFI_NAME_MAX     64 /* bytes of a provider's endpoint name */
#define OFI_HEADER_MAX   (8 + 2 + ADAPTER_ADDRESS_MAX)
#define OFI_IDLE_MAX     64 /* forgotten peers whose connection is kept for the next time */

enum ofi_counter {
    OFI_PACKETS_SENT,
    OFI_BYTES_SENT,
    OFI_PACKETS_RECEIVED,
    OFI_BYTES_RECEIVED,
    OFI_SEND_FULL,
    OFI_SEND_QUEUED,
    OFI_SEND_LOST,
    OFI_MALFORMED,
    OFI_HINTS,
    OFI_HELPER_TICKS,
    OFI_BYTES_READ,
    OFI_READ_FAILED,
    OFI_COUNTERS,
};
void ofi_count(enum ofi_counter c, uint64_t n);

/* The few symbols of libfabric; all else goes through its tables of operations. */
struct ofi_library {
    int (*getinfo)(uint32_t version, const char *node, const char *service, uint64_t flags,
                   const struct fi_info *hints, struct fi_info **info);
    void (*freeinfo)(struct fi_info *info);
    struct fi_info *(*dupinfo)(const struct fi_info *info);
    int (*fabric)(struct fi_fabric_attr *attr, struct fid_fabric **fabric, void *context);
    const char *(*strerror)(int errnum);
};
/* NULL: not on this machine; why is logged once. Any thread. */
const struct ofi_library *ofi_library(void);
/* The provider to use: `provider` by name ("tcp" means "tcp;ofi_rxm" too), or the first fit one. Caller frees
 * with freeinfo. WEFT_E_NOSUP. */
int ofi_choose(const struct ofi_library *lib, const char *provider, const char *bind_host, uint16_t port,
               struct fi_info **out);

struct ofi_address {
    uint32_t format; /* FI_SOCKADDR_IN, FI_ADDR_STR, … */
    char provider[OFI_PROVIDER_MAX + 1];
    uint64_t token; /* no other endpoint has it */
    uint8_t host[HOST_ID_BYTES];
    uint32_t pid; /* means something on the same host only */
    uint8_t name[OFI_NAME_MAX];
    size_t name_bytes;
};

enum ofi_use { OFI_RECEIVE, OFI_SEND, OFI_READ };

/* One buffer, posted or free. The context is libfabric's while the buffer is posted. */
struct ofi_buffer {
    struct fi_context2 context; /* first: a completion gives its address */
    enum ofi_use use;
    struct weft_list node;     /* free, unposted, ready, or a peer's queue */
    struct adapter_peer *peer; /* of a send */
    struct ofi_reader *reader; /* of a read; NULL: nobody waits for it any more */
    uint8_t *data;
    size_t len, at; /* at: in what is being read */
};

struct ofi_slab { /* buffers of one direction, in one piece of memory */
    struct ofi_buffer *buffers;
    uint8_t *memory;
    size_t count, memory_bytes;
    struct fid_mr *mr; /* NULL: the provider needs none */
    void *desc;
};

struct ofi {
    struct adapter base;
    struct adapter_callbacks callbacks;
    const struct ofi_library *lib;
    struct fi_info *info;
    struct fid_fabric *fabric;
    struct fid_domain *domain;
    struct fid_av *av;
    struct fid_cq *cq;
    struct fid_ep *ep;
    int cq_fd;  /* readable when something completes; -1: the provider has none, the helper ticks instead */
    int bell;   /* eventfd: rung when the helper reaps something while armed */
    int deaths; /* epoll of peers' processes: readable when one has ended */
    struct ofi_address own;
    struct weft_list here; /* all open adapters of this process */
    uint8_t blob[ADAPTER_ADDRESS_MAX];
    size_t blob_bytes;
    uint64_t secret; /* so that nobody can choose peers' keys */
    size_t buffer_bytes, queue_max;
    size_t read_bytes; /* of one read; 0: the provider cannot read */
    uint64_t stall_ns;

    pthread_mutex_t lock;
    struct ofi_slab rx, tx, reads;
    struct weft_list tx_free, unposted, ready, read_free, reading; /* of ofi_buffer */
    struct weft_map exposed;                                       /* key -> fid_mr */
    size_t exposures;
    struct weft_list backlog; /* of adapter_peer.backlog: with packets refused so far */
    struct weft_list hints;   /* of adapter_peer.hinted: to be told by poll() */
    struct weft_list idle;    /* of adapter_peer.idle: nobody's, the oldest first */
    size_t idle_count;
    struct weft_map peers; /* hash of the address blob -> adapter_peer */
    size_t flying;         /* sends that libfabric has */
    bool armed;
    uint64_t looked_ns; /* when the processes were last looked at */

    pthread_t helper;
    pthread_cond_t wake;
    bool helper_awake, closing;
    uint64_t polls; /* how often the program drove the queue: the helper keeps out of its way */
};

struct adapter_peer {
    struct ofi_address address;
    uint8_t blob[ADAPTER_ADDRESS_MAX];
    size_t blob_bytes;
    uint64_t key;
    unsigned holds;
    bool same_host, inserted;
    int process;            /* of the same host: its descriptor; -1: none */
    bool ended;             /* that process has ended */
    fi_addr_t to;           /* valid if inserted */
    struct weft_list queue; /* of ofi_buffer */
    size_t queued, flying;
    struct weft_list backlog, hinted, idle;
    uint64_t stalled_ns; /* since when the provider has refused its packets; 0: it has not */
    uint64_t hinted_ns;  /* the last hint */
};

/* --- ofi_address.c --- */
/* Takes the endpoint's own name from libfabric. */
int ofi_address_init(struct ofi *s);
/* WEFT_E_INVAL: not an address; WEFT_E_UNREACHABLE: not for here. */
int ofi_address_decode(const struct ofi *s, const void *addr, size_t len, struct ofi_address *out);

/* --- ofi_peer.c --- */
void ofi_here_add(struct ofi *s);
void ofi_here_remove(struct ofi *s);
/* Whether the address is of this process, but of no adapter that is open. */
bool ofi_is_closed_here(const struct ofi *s, const struct ofi_address *a);
struct adapter_peer *ofi_peer_find(struct ofi *s, const void *blob, size_t len);
int ofi_connect(struct adapter *a, const void *addr, size_t len, struct adapter_peer **out);
void ofi_disconnect(struct adapter *a, struct adapter_peer *peer);
void ofi_peer_free(struct ofi *s, struct adapter_peer *peer);
/* Has poll() tell that the peer may be gone; not more often than the stall time. */
void ofi_peer_suspect(struct ofi *s, struct adapter_peer *peer, uint64_t now);

/* --- ofi_death.c; with the lock --- */
int ofi_death_init(struct ofi *s);
void ofi_death_watch(struct ofi *s, struct adapter_peer *peer);
void ofi_death_forget(struct ofi *s, struct adapter_peer *peer);
/* Suspects those whose processes have ended. */
void ofi_death_look(struct ofi *s, uint64_t now);

/* --- ofi_send.c; with the lock --- */
int ofi_send(struct adapter *a, struct adapter_peer *peer, const struct adapter_packet_out *packets,
             size_t count);
void ofi_send_done(struct ofi *s, struct ofi_buffer *b, bool ok);
void ofi_flush_backlog(struct ofi *s, uint64_t now);
/* Whether there is a way to the peer; the provider is asked at the first time. */
bool ofi_has_way(struct ofi *s, struct adapter_peer *p);

/* --- ofi_rma.c --- */
int ofi_expose(struct adapter *a, struct adapter_peer *peer, const void *ptr, size_t len, void *region,
               size_t *region_len);
void ofi_conceal(struct adapter *a, struct adapter_peer *peer, const void *region, size_t region_len);
int ofi_read(struct adapter *a, struct adapter_peer *peer, struct adapter_read *q);
/* With the lock. */
void ofi_read_done(struct ofi *s, struct ofi_buffer *b, bool ok);
/* A read has failed, if there is one; the provider does not say which. */
void ofi_read_failed(struct ofi *s);
void ofi_rma_fini(struct ofi *s);

/* --- ofi_poll.c --- */
int ofi_poll(struct adapter *a, unsigned max);
int ofi_arm(struct adapter *a);
void ofi_disarm(struct adapter *a);
size_t ofi_fds(struct adapter *a, int *out, size_t cap);
/* Reaps completions, posts receive buffers, sends what waits. With the lock. */
void ofi_progress(struct ofi *s);

/* --- ofi_helper.c --- */
int ofi_helper_start(struct ofi *s);
void ofi_helper_stop(struct ofi *s);
/* Whether the helper has to tick. With the lock. */
bool ofi_helper_needed(const struct ofi *s);
void ofi_helper_wake(struct ofi *s);

#endif
