/* ofi: packets over libfabric, for RDMA networks (verbs, efa, cxi, …); also over its tcp and shm providers.
 * ofi_internal.h says how it works; ofi_library chooses the provider, ofi_address, ofi_peer, ofi_send,
 * ofi_poll and ofi_helper are its parts. Used only when it is asked for by name. */
#include "adapter/ofi_internal.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"

#include <rdma/fi_eq.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define READS_AHEAD 4                     /* under way at once */
#define READ_BYTES  (64u << 10)           /* of each */
#define LINGER_NS   (50 * WEFT_NS_PER_MS) /* how long close() waits for what was sent to be on its way */

WEFT_OPTIONS(
    ofi, "ofi",
    {.name = "ofi_provider",
     .type = WEFT_OPTION_STRING,
     .help = "libfabric provider to use (verbs, efa, tcp, shm, …); unset: the best that spans hosts."},
    {.name = "ofi_buffer_bytes",
     .type = WEFT_OPTION_SIZE,
     .value = "16K",
     .unit = "bytes",
     .min = 2048,
     .max = 65536,
     .help =
         "Size of one buffer: a packet with its header, at most 138 bytes. All sides must have the same."},
    {.name = "ofi_receive_buffers",
     .type = WEFT_OPTION_INT,
     .value = "256",
     .unit = "buffers",
     .min = 16,
     .max = 65536,
     .help = "Receive buffers posted ahead, for all peers together."},
    {.name = "ofi_send_buffers",
     .type = WEFT_OPTION_INT,
     .value = "512",
     .unit = "buffers",
     .min = 16,
     .max = 65536,
     .help = "Send buffers, for all peers together; one peer gets at most half of them."},
    {.name = "ofi_remote_read",
     .type = WEFT_OPTION_BOOL,
     .value = "1",
     .help = "Large data is read out of the sender's memory, where the provider can and packets are not "
             "encrypted."},
    {.name = "ofi_stall_ms",
     .type = WEFT_OPTION_INT,
     .value = "250",
     .unit = "ms",
     .min = 10,
     .max = 60000,
     .help =
         "A peer whose packets are refused for so long is suspected; after 20 times that they are dropped."})

WEFT_COUNTERS(ofi, [OFI_PACKETS_SENT] = {"ofi_packets_sent", "packets", "Packets taken for sending.", 0},
              [OFI_BYTES_SENT] = {"ofi_bytes_sent", "bytes", "Bytes of the packets sent.", 0},
              [OFI_PACKETS_RECEIVED] = {"ofi_packets_received", "packets", "Packets received.", 0},
              [OFI_BYTES_RECEIVED] = {"ofi_bytes_received", "bytes", "Bytes of the packets received.", 0},
              [OFI_SEND_FULL] = {"ofi_send_full", "events", "Sends cut short because there was no buffer.",
                                 0},
              [OFI_SEND_QUEUED] = {"ofi_send_queued", "events",
                                   "Sends whose packets the provider did not take at once.", 0},
              [OFI_SEND_LOST] = {"ofi_send_lost", "packets", "Packets given up, or reported as failed.", 0},
              [OFI_MALFORMED] = {"ofi_malformed", "packets",
                                 "Received packets with a bad header, or not for us.", 0},
              [OFI_HINTS] = {"ofi_hints", "hints", "Peers suspected to be gone.", 0},
              [OFI_HELPER_TICKS] = {"ofi_helper_ticks", "ticks", "Times that the helper drove the queue.", 0},
              [OFI_BYTES_READ] = {"ofi_bytes_read", "bytes", "Bytes read from peers' memory.", 0},
              [OFI_READ_FAILED] = {"ofi_read_failed", "reads", "Reads refused, or not answered in time.", 0})

void ofi_count(enum ofi_counter c, uint64_t n) { weft_counter_add(&ofi_counters[c], n); }

static int ofi_error(const struct ofi *s, const char *what, int rc) {
    weft_error("ofi", "open: %s: %s: %s", s->info->fabric_attr->prov_name, what, s->lib->strerror(-rc));
    return rc == -FI_ENOMEM ? WEFT_E_NOMEM : rc == -FI_EACCES ? WEFT_E_ACCESS : WEFT_E_IO;
}

/* Buffers and their memory; the memory is registered if the provider wants that. */
static int slab_init(struct ofi *s, struct ofi_slab *slab, size_t count, size_t bytes, enum ofi_use use,
                     struct weft_list *list) {
    static const uint64_t accesses[] = {[OFI_RECEIVE] = FI_RECV, [OFI_SEND] = FI_SEND, [OFI_READ] = FI_READ};
    uint64_t access = accesses[use];
    slab->buffers = calloc(count, sizeof *slab->buffers);
    slab->memory_bytes = count * bytes;
    slab->memory = mmap(NULL, slab->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab->memory == MAP_FAILED) slab->memory = NULL;
    if (!slab->buffers || !slab->memory) return WEFT_E_NOMEM;
    if (s->info->domain_attr->mr_mode & FI_MR_LOCAL) {
        int rc =
            fi_mr_reg(s->domain, slab->memory, slab->memory_bytes, access, 0, access, 0, &slab->mr, NULL);
        if (rc) return ofi_error(s, "registering buffers", rc);
        slab->desc = fi_mr_desc(slab->mr);
    }
    slab->count = count;
    for (size_t i = 0; i < count; i++) {
        slab->buffers[i].use = use;
        slab->buffers[i].data = slab->memory + i * bytes;
        weft_list_push_back(list, &slab->buffers[i].node);
    }
    return 0;
}

static void slab_fini(struct ofi_slab *slab) {
    if (slab->mr) fi_close(&slab->mr->fid);
    if (slab->memory) munmap(slab->memory, slab->memory_bytes);
    free(slab->buffers);
}

/* With a descriptor to sleep on, if the provider can. */
static int open_cq(struct ofi *s, size_t size) {
    struct fi_cq_attr attr = {.size = size, .format = FI_CQ_FORMAT_MSG, .wait_obj = FI_WAIT_FD};
    s->cq_fd = -1;
    int rc = fi_cq_open(s->domain, &attr, &s->cq, NULL);
    if (!rc && !fi_control(&s->cq->fid, FI_GETWAIT, &s->cq_fd)) return 0;
    s->cq_fd = -1;
    if (!rc) return 0;
    attr.wait_obj = FI_WAIT_NONE;
    return fi_cq_open(s->domain, &attr, &s->cq, NULL);
}

/* No more of each direction than the provider queues. */
static size_t limited(const char *option, size_t limit) {
    size_t n = (size_t)weft_option_int(option);
    return limit && n > limit ? limit : n;
}

static int open_endpoint(struct ofi *s, size_t rx, size_t tx) {
    struct fi_av_attr av = {.type = FI_AV_UNSPEC};
    int rc = s->lib->fabric(s->info->fabric_attr, &s->fabric, NULL);
    if (rc) return ofi_error(s, "fabric", rc);
    if ((rc = fi_domain(s->fabric, s->info, &s->domain, NULL))) return ofi_error(s, "domain", rc);
    if ((rc = fi_av_open(s->domain, &av, &s->av, NULL))) return ofi_error(s, "address vector", rc);
    if ((rc = open_cq(s, rx + tx))) return ofi_error(s, "completion queue", rc);
    if ((rc = fi_endpoint(s->domain, s->info, &s->ep, NULL))) return ofi_error(s, "endpoint", rc);
    if ((rc = fi_ep_bind(s->ep, &s->av->fid, 0))) return ofi_error(s, "binding the address vector", rc);
    rc = fi_ep_bind(s->ep, &s->cq->fid, FI_TRANSMIT | FI_RECV);
    if (rc) return ofi_error(s, "binding the completion queue", rc);
    rc = fi_enable(s->ep);
    return rc ? ofi_error(s, "enabling the endpoint", rc) : 0;
}

static void ofi_attr(struct ofi *s) {
    s->base.attr = (struct adapter_attr){
        .name = "ofi",
        .caps = ADAPTER_CAP_ORDERED | ADAPTER_CAP_METHOD1 | ADAPTER_CAP_METHOD2,
        .packet_max_bytes = s->buffer_bytes - 10 - s->blob_bytes,
        .burst_max_packets = 1,
        .overhead_s = 1e-6,
        .latency_s = 3e-6,
        .bandwidth_Bps = 5e9,
    };
    if (s->own.format == FI_ADDR_STR) s->base.attr.caps |= ADAPTER_CAP_SAME_HOST;
    if (s->read_bytes) s->base.attr.caps |= ADAPTER_CAP_REMOTE_READ;
}

static void close_all(struct ofi *s) {
    ofi_rma_fini(s);
    struct fid *fids[] = {s->ep ? &s->ep->fid : NULL, s->av ? &s->av->fid : NULL, s->cq ? &s->cq->fid : NULL};
    for (size_t i = 0; i < sizeof fids / sizeof *fids; i++)
        if (fids[i]) fi_close(fids[i]);
    slab_fini(&s->rx);
    slab_fini(&s->tx);
    slab_fini(&s->reads);
    if (s->domain) fi_close(&s->domain->fid);
    if (s->fabric) fi_close(&s->fabric->fid);
    if (s->bell >= 0) close(s->bell);
    if (s->deaths >= 0) close(s->deaths);
    if (s->info) s->lib->freeinfo(s->info);
    weft_map_fini(&s->peers);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static int open_in(struct ofi *s, const struct adapter_config *cfg) {
    const char *provider = weft_option_string("ofi_provider"), *host = cfg->bind_host;
    if (provider && !*provider) provider = NULL;
    int rc = ofi_choose(s->lib, provider, host ? host : "127.0.0.1", cfg->bind_port, &s->info);
    if (rc) return rc;
    size_t rx = limited("ofi_receive_buffers", s->info->rx_attr->size);
    size_t tx = limited("ofi_send_buffers", 0), posted = s->info->tx_attr->size;
    s->buffer_bytes = (size_t)weft_option_int("ofi_buffer_bytes");
    s->queue_max = tx / 2;
    if (s->info->ep_attr->max_msg_size < s->buffer_bytes) s->buffer_bytes = s->info->ep_attr->max_msg_size;
    /* shm: larger messages wait for answers of the receiver, which 1.17 takes from endpoints that are gone.
     */
    if (s->info->addr_format == FI_ADDR_STR && s->buffer_bytes > s->info->tx_attr->inject_size)
        s->buffer_bytes = s->info->tx_attr->inject_size;
    if (s->buffer_bytes < 1024) return WEFT_E_NOSUP;
    if ((rc = open_endpoint(s, rx, posted && posted < tx ? posted : tx))) return rc;
    if ((rc = slab_init(s, &s->rx, rx, s->buffer_bytes, OFI_RECEIVE, &s->unposted))) return rc;
    if ((rc = slab_init(s, &s->tx, tx, s->buffer_bytes, OFI_SEND, &s->tx_free))) return rc;
    /* shm 1.17 reads without asking the owner, who could not take its memory back. */
    bool asks_owner = s->info->addr_format != FI_ADDR_STR;
    if (s->info->caps & FI_RMA && asks_owner && weft_option_bool("ofi_remote_read"))
        s->read_bytes = READ_BYTES;
    if (s->read_bytes && (rc = slab_init(s, &s->reads, READS_AHEAD, s->read_bytes, OFI_READ, &s->read_free)))
        return rc;
    if ((rc = ofi_address_init(s))) return rc;
    ofi_attr(s);
    s->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->bell < 0) return WEFT_E_LIMIT;
    if ((rc = ofi_death_init(s))) return rc;
    ofi_progress(s);
    if ((rc = ofi_helper_start(s))) return rc;
    ofi_here_add(s);
    return 0;
}

static int ofi_open(struct adapter **out, const struct adapter_config *cfg) {
    const struct ofi_library *lib = ofi_library();
    struct ofi *s = lib ? calloc(1, sizeof *s) : NULL;
    if (!s) return lib ? WEFT_E_NOMEM : WEFT_E_NOSUP;
    s->base.ops = &adapter_ofi_ops;
    s->callbacks = cfg->callbacks;
    s->lib = lib;
    s->bell = s->deaths = s->cq_fd = -1;
    s->secret = host_random();
    s->stall_ns = (uint64_t)weft_option_int("ofi_stall_ms") * WEFT_NS_PER_MS;
    struct weft_list *lists[] = {&s->tx_free, &s->unposted, &s->ready, &s->read_free,
                                 &s->reading, &s->backlog,  &s->hints, &s->idle};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) weft_list_init(lists[i]);
    weft_map_init(&s->peers);
    weft_map_init(&s->exposed);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    int rc = open_in(s, cfg);
    if (rc) {
        close_all(s);
        return rc;
    }
    weft_info("ofi", "%s on %s, packets of %zu bytes%s", s->own.provider, s->info->domain_attr->name,
              s->base.attr.packet_max_bytes, s->cq_fd < 0 ? ", no descriptor to sleep on" : "");
    *out = &s->base;
    return 0;
}

/* What was sent is given a moment to leave: its sender may close right after. */
static void linger(struct ofi *s) {
    uint64_t end = weft_now_ns() + LINGER_NS;
    pthread_mutex_lock(&s->lock);
    while ((s->flying || !weft_list_empty(&s->backlog)) && weft_now_ns() < end) {
        s->armed = false;
        ofi_progress(s);
        pthread_mutex_unlock(&s->lock);
        weft_cpu_relax();
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

static void ofi_close(struct adapter *a) {
    struct ofi *s = (struct ofi *)a;
    linger(s);
    ofi_here_remove(s);
    ofi_helper_stop(s);
    size_t it = 0;
    for (struct adapter_peer *p; (p = weft_map_next(&s->peers, &it, NULL));) {
        p->inserted = false; /* the whole address vector goes */
        ofi_peer_free(s, p);
    }
    close_all(s);
}

static int ofi_address(struct adapter *a, void *buf, size_t *len) {
    struct ofi *s = (struct ofi *)a;
    if (*len < s->blob_bytes) return WEFT_E_TOO_BIG;
    memcpy(buf, s->blob, s->blob_bytes);
    *len = s->blob_bytes;
    return 0;
}

static bool ofi_reachable(struct adapter *a, const void *addr, size_t len) {
    struct ofi_address to;
    return ofi_address_decode((struct ofi *)a, addr, len, &to) == 0;
}

static size_t ofi_path_packet_bytes(struct adapter *a, struct adapter_peer *peer) {
    return a->attr.packet_max_bytes;
}

const struct adapter_ops adapter_ofi_ops = {
    .name = "ofi",
    .open = ofi_open,
    .close = ofi_close,
    .address = ofi_address,
    .reachable = ofi_reachable,
    .connect = ofi_connect,
    .disconnect = ofi_disconnect,
    .path_packet_bytes = ofi_path_packet_bytes,
    .send = ofi_send,
    .poll = ofi_poll,
    .arm = ofi_arm,
    .disarm = ofi_disarm,
    .fds = ofi_fds,
    .expose = ofi_expose,
    .conceal = ofi_conceal,
    .read = ofi_read,
};
