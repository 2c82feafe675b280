/* What is around the service in the fuzz target `far`: the clock, the transport and the node's daemon. */
#include "base/clock.h"
#include "base/error.h"
#include "far_world.h"
#include "fuzz.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PENDING_MAX 128u

/* ---- The clock ---- */
static uint64_t now_ns;
uint64_t weft_now_ns(void) { return now_ns; }
void world_wait(uint64_t ns) { now_ns += ns; }
void weft_cpu_relax(void) {}

/* ---- The transport ---- */
struct ep {
    struct ep_config cfg;
    int fd;
    bool refuses;
};
struct ep_peer {
    bool used, up;
    int failing; /* the owner has ended it; told in the next turn */
    void *ctx;
};
struct pending { /* what is under way */
    struct ep_peer *peer;
    void (*done)(void *arg, int status);
    void *arg;
    void *into; /* data that is to come */
    size_t bytes;
};
static struct ep transport = {.fd = -1};
static struct ep_peer peer[WORLD_PEERS];
static struct pending pending[PENDING_MAX];
static unsigned pendings;

static void complete(unsigned i, int status) {
    struct pending p = pending[i];
    pending[i] = pending[--pendings];
    if (p.into && status == WEFT_OK) memset(p.into, 0xab, p.bytes);
    if (p.done) p.done(p.arg, status);
}

static void complete_all(const struct ep_peer *of, bool data_only, int status) {
    for (unsigned i = 0; i < pendings;)
        if (pending[i].peer == of && (pending[i].into || !data_only))
            complete(i, status);
        else
            i++;
}

void world_complete(unsigned i, int status) {
    if (pendings) complete(i % pendings, status);
}

int ep_open(struct ep **out, const struct ep_config *cfg) {
    transport.cfg = *cfg;
    *out = &transport;
    return WEFT_OK;
}

void ep_close(struct ep *ep, unsigned linger_ms) {
    (void)ep;
    (void)linger_ms;
    while (pendings) complete(0, WEFT_E_CLOSED);
}

static struct ep_peer *free_peer(void) {
    for (unsigned k = 0; k < WORLD_PEERS; k++)
        if (!peer[k].used) return &peer[k];
    return NULL;
}

int ep_connect(struct ep *ep, const void *addr, size_t len, void *ctx, struct ep_peer **out) {
    (void)ep;
    (void)addr;
    (void)len;
    struct ep_peer *p = free_peer();
    if (!p) return WEFT_E_NOMEM;
    *p = (struct ep_peer){.used = true, .up = true, .ctx = ctx};
    *out = p;
    return WEFT_OK;
}

void ep_disconnect(struct ep_peer *p) {
    FUZZ_CHECK(p->used);
    p->up = p->used = false;
    complete_all(p, true, WEFT_E_CLOSED);
}

void ep_peer_keep(struct ep_peer *p) { (void)p; }
void ep_peer_set_context(struct ep_peer *p, void *ctx) { p->ctx = ctx; }
void *ep_peer_context(const struct ep_peer *p) { return p->ctx; }
void ep_peer_fail(struct ep_peer *p, int status) {
    FUZZ_CHECK(p->used);
    p->failing = status;
}
int ep_progress(struct ep *ep) {
    (void)ep;
    return 0;
}
int ep_fd(struct ep *ep) { return ep->fd; }
uint64_t ep_deadline_ns(struct ep *ep) {
    (void)ep;
    return WEFT_TIME_NEVER;
}
bool ep_prepare_sleep(struct ep *ep) {
    (void)ep;
    return true;
}

/* All of it is read; what may only be written goes nowhere. */
static void check_data(const struct ep_send *s) {
    const unsigned char *d = s->data;
    unsigned secret = 0;
    for (uint64_t i = 0; i < s->data_bytes; i++) secret = d[i] == WORLD_PATTERN(WORLD_WRITE) ? secret + 1 : 0;
    FUZZ_CHECK(secret < 8);
}

int ep_send(struct ep_peer *p, const struct ep_send *s) {
    FUZZ_CHECK(p && p->used && s->header_bytes <= EP_HEADER_MAX);
    check_data(s);
    bool refuses = transport.refuses || (s->on_done && pendings == PENDING_MAX);
    transport.refuses = false;
    if (!p->up || p->failing) return p->failing ? p->failing : WEFT_E_CLOSED;
    if (refuses) return WEFT_E_LIMIT;
    if (s->on_done) pending[pendings++] = (struct pending){.peer = p, .done = s->on_done, .arg = s->arg};
    return WEFT_OK;
}

/* ---- Other services ---- */
bool world_peer_up(unsigned k) {
    if (peer[k].used) return false;
    peer[k] = (struct ep_peer){.used = true, .up = true};
    transport.cfg.on_peer_up(transport.cfg.ctx, &peer[k]);
    return true;
}

void world_peer_down(unsigned k, int status) {
    if (!peer[k].used || !peer[k].up) return;
    peer[k].up = false;
    complete_all(&peer[k], false, status);
    transport.cfg.on_peer_down(transport.cfg.ctx, &peer[k], status);
}

bool world_say(unsigned k, const void *header, size_t header_bytes, const void *data, uint64_t bytes) {
    const struct ep_handler *h = &transport.cfg.handlers[1];
    struct ep_msg m = {.handler = 1,
                       .header = header,
                       .header_bytes = header_bytes,
                       .data_bytes = bytes,
                       .data = bytes ? data : NULL};
    struct ep_sink sink = {0};
    if (!peer[k].used || !peer[k].up || peer[k].failing || pendings == PENDING_MAX) return false;
    h->on_header(h->ctx, &peer[k], &m, &sink);
    if (!bytes || data) return true;
    pending[pendings++] = (struct pending){&peer[k], sink.on_data, sink.arg, sink.buf, bytes};
    return true;
}

void world_refuse_next(void) { transport.refuses = true; }

void outside_turn(void) {
    for (unsigned k = 0; k < WORLD_PEERS; k++)
        if (peer[k].used && peer[k].up && peer[k].failing) world_peer_down(k, peer[k].failing);
}

/* ---- The daemon ---- */
struct node_client {
    struct node_callbacks cb;
};
static struct node_client daemon_line;
static struct look_up {
    void (*fn)(void *arg, int status, struct node_process p, const void *address, size_t bytes);
    void *arg;
    uint32_t node;
} look_up[8];
static unsigned look_ups;

void world_found(int status) {
    if (!look_ups) return;
    struct look_up l = look_up[0];
    memmove(look_up, look_up + 1, --look_ups * sizeof *look_up);
    l.fn(l.arg, status, (struct node_process){l.node, 7}, "", 1);
}

int node_endpoint_config(struct ep_config *cfg) {
    (void)cfg;
    return WEFT_OK;
}
void node_endpoint_config_done(struct ep_config *cfg) { (void)cfg; }
int node_client_open(struct node_client **out, struct ep *ep, const char *path, enum node_kind kind,
                     const struct node_callbacks *cb) {
    (void)ep;
    (void)path;
    (void)kind;
    daemon_line.cb = *cb;
    *out = &daemon_line;
    return WEFT_OK;
}
void node_client_endpoint_closed(struct node_client *c) { (void)c; }
void node_client_close(struct node_client *c) {
    (void)c;
    while (look_ups) world_found(WEFT_E_CLOSED);
}
struct node_process node_client_self(const struct node_client *c) {
    (void)c;
    return (struct node_process){0, 1};
}
int node_client_publish(struct node_client *c, const char *name) {
    (void)c;
    (void)name;
    return WEFT_OK;
}
int node_client_watch(struct node_client *c, struct node_process p) {
    (void)c;
    (void)p;
    return WEFT_OK;
}
int node_client_start_find(struct node_client *c, uint32_t node, const char *name,
                           void (*fn)(void *arg, int status, struct node_process p, const void *address,
                                      size_t bytes),
                           void *arg) {
    (void)c;
    (void)name;
    if (look_ups == sizeof look_up / sizeof *look_up) return WEFT_E_LIMIT;
    look_up[look_ups++] = (struct look_up){fn, arg, node};
    return WEFT_OK;
}
void world_process_down(uint32_t node, uint32_t process) {
    daemon_line.cb.on_process_down(daemon_line.cb.ctx, (struct node_process){node, process}, "");
}
void world_node_down(uint32_t node) { daemon_line.cb.on_node_down(daemon_line.cb.ctx, node, ""); }

size_t cluster_nodes(struct service *s, uint16_t *out, size_t cap) {
    (void)s;
    out[0] = 0;
    return cap ? 1 : 0;
}
enum place cluster_place(struct service *s, uint16_t node) {
    (void)s;
    return node && node < 4 ? PLACE_FAR : PLACE_NONE;
}

/* ---- Beginning and end ---- */
void outside_open(void) {
    if (transport.fd < 0) transport.fd = eventfd(0, EFD_CLOEXEC);
    now_ns = WEFT_NS_PER_S;
}

void outside_close(void) {
    FUZZ_CHECK(!pendings && !look_ups);
    memset(peer, 0, sizeof peer);
}
