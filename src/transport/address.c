/* Endpoint addresses and the adapters behind them. An address is a list of (adapter name, adapter address);
 * the first adapter of our preference list that says it reaches its part is used. */
#include "base/codec.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "base/path.h"
#include "transport/ep_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_MAGIC 0x31445457u /* "WTD1" */

static bool listed(const char *list, const char *name) {
    size_t n = strlen(name);
    for (const char *p = list; p && *p;) {
        size_t len = strcspn(p, ", ");
        if (len == n && memcmp(p, name, n) == 0) return true;
        p += len;
        p += strspn(p, ", ");
    }
    return false;
}

static void on_packet(void *ctx, struct adapter *a, const struct adapter_packet_in *p) {
    struct ep_link *l = ctx;
    struct engine_from from = {&l->engine, p->peer, p->from, p->from_bytes};
    engine_input(l->ep->engine, l->ep->now, &from, p->data, p->len_bytes);
    if (engine_wants_pause(l->ep->engine)) a->pause = true;
}

static void on_message(void *ctx, struct adapter *a, const struct adapter_message *m) {
    struct ep_link *l = ctx;
    engine_lane_in(l->ep->engine, l->ep->now, &l->engine, m);
}

static void on_peer_lost(void *ctx, struct adapter *a, struct adapter_peer *peer, bool hint) {
    struct ep_link *l = ctx;
    engine_peer_lost(l->ep->engine, weft_now_ns(), &l->engine, peer, hint); /* a send may tell it, before any round */
}

static int open_link(struct ep *ep, const struct adapter_ops *ops, const char *run_dir) {
    struct ep_link *l = &ep->links[ep->link_count];
    struct adapter_config cfg = {.callbacks = {on_packet, on_peer_lost, l, on_message},
                                 .run_dir = run_dir,
                                 .bind_host = ep->cfg.bind_host,
                                 .bind_port = ep->cfg.bind_port,
                                 .form = &engine_packet_form};
    l->ep = ep;
    int rc = ops->open(&l->adapter, &cfg);
    if (rc) return rc;
    l->engine = (struct engine_link){.attr = l->adapter->attr, .owner = l};
    if (l->adapter->attr.caps & ADAPTER_CAP_MESSAGES) ep->lanes[ep->lane_count++] = l;
    ep->link_count++;
    return 0;
}

/* Opens by name; an adapter that was asked for by name must open, one of the default list need not. */
static int open_named(struct ep *ep, const char *name, const char *run_dir, bool must) {
    const struct adapter_ops *ops = adapter_find(name);
    if (!ops) {
        weft_error("transport", "there is no adapter named \"%s\"", name);
        return WEFT_E_NOENT;
    }
    if (ep->link_count == EP_LINKS_MAX) return WEFT_E_LIMIT;
    int rc = open_link(ep, ops, run_dir);
    if (rc && must)
        weft_error("transport", "adapter %s does not open: %s", name, weft_error_text(rc));
    else if (rc)
        weft_info("transport", "adapter %s is not used: %s", name, weft_error_text(rc));
    return must ? rc : 0;
}

static int open_list(struct ep *ep, const char *list, const char *run_dir) {
    for (const char *p = list; *p;) {
        size_t len = strcspn(p, ", ");
        char name[32] = "";
        if (len >= sizeof name) return WEFT_E_INVAL;
        memcpy(name, p, len);
        p += len;
        p += strspn(p, ", ");
        if (len == 0 || strcmp(name, "self") == 0) continue;
        int rc = open_named(ep, name, run_dir, true);
        if (rc) return rc;
    }
    return 0;
}

int ep_links_open(struct ep *ep) {
    const char *list = ep->cfg.adapters ? ep->cfg.adapters : weft_option_string("adapter");
    char dir[WEFT_PATH_MAX];
    const char *run_dir = ep->cfg.run_dir;
    if (!run_dir && weft_run_dir(dir, sizeof dir) == 0) run_dir = dir;
    int rc = open_named(ep, "self", run_dir, true); /* always there, and always first */
    if (rc) return rc;
    if (list && *list)
        rc = open_list(ep, list, run_dir);
    else
        for (const struct adapter_ops *const *ops = adapter_list(); *ops && !rc; ops++)
            if (strcmp((*ops)->name, "self") != 0) rc = open_named(ep, (*ops)->name, run_dir, false);
    if (rc) return rc;
    bool self_only = list && listed(list, "self");
    return ep->link_count > 1 || self_only ? 0 : WEFT_E_NOSUP;
}

void ep_links_close(struct ep *ep) {
    ep_run_deferred(ep);
    for (size_t i = ep->link_count; i-- > 0;) ep->links[i].adapter->ops->close(ep->links[i].adapter);
    ep->link_count = ep->lane_count = 0;
    free(ep->deferred);
}

int ep_address(struct ep *ep, void *buf, size_t *len) {
    if (!ep_is_ours(ep)) return WEFT_E_CLOSED;
    struct weft_writer w;
    weft_writer_init(&w, buf, *len);
    weft_put_u32(&w, ADDRESS_MAGIC);
    weft_put_u8(&w, (uint8_t)ep->link_count);
    pthread_mutex_lock(&ep->lock);
    for (size_t i = 0; i < ep->link_count; i++) {
        struct adapter *a = ep->links[i].adapter;
        uint8_t part[ADAPTER_ADDRESS_MAX];
        size_t part_len = sizeof part;
        if (a->ops->address(a, part, &part_len)) part_len = 0;
        weft_put_string(&w, a->ops->name);
        weft_put_blob(&w, part, part_len);
    }
    pthread_mutex_unlock(&ep->lock);
    if (w.failed || w.len > EP_ADDRESS_MAX) return WEFT_E_TOO_BIG;
    *len = w.len;
    return 0;
}

/* The part of an address that concerns one adapter. */
static bool find_part(const void *addr, size_t len, const char *name, const void **part, size_t *part_len) {
    struct weft_reader r;
    weft_reader_init(&r, addr, len);
    if (weft_get_u32(&r) != ADDRESS_MAGIC) return false;
    for (unsigned n = weft_get_u8(&r); n > 0 && !r.failed; n--) {
        char found[32];
        weft_get_string(&r, found, sizeof found);
        *part = weft_get_blob(&r, part_len);
        if (!r.failed && strcmp(found, name) == 0) return *part_len > 0;
    }
    return false;
}

struct ep_link *ep_link_for(struct ep *ep, const void *addr, size_t len, const void **part,
                            size_t *part_len) {
    for (size_t i = 0; i < ep->link_count; i++) {
        struct adapter *a = ep->links[i].adapter;
        if (find_part(addr, len, a->ops->name, part, part_len) && a->ops->reachable(a, *part, *part_len))
            return &ep->links[i];
    }
    return NULL;
}

const char *ep_route(struct ep *ep, const void *addr, size_t len) {
    const void *part;
    size_t part_len;
    if (!ep_is_ours(ep)) return NULL;
    pthread_mutex_lock(&ep->lock);
    struct ep_link *l = ep_link_for(ep, addr, len, &part, &part_len);
    pthread_mutex_unlock(&ep->lock);
    return l ? l->adapter->ops->name : NULL;
}

/* -- the engine's way out -- */

static struct adapter *adapter_of(const struct engine_path *path) {
    return ((struct ep_link *)path->link->owner)->adapter;
}

static int io_send(void *ctx, const struct engine_path *path, const struct adapter_packet_out *packets,
                   size_t count) {
    struct adapter *a = adapter_of(path);
    return a->ops->send(a, path->peer, packets, count);
}

/* Letting go of a peer is put off until no adapter is in the middle of polling. */
static void let_go(struct ep *ep, struct adapter *a, struct adapter_peer *peer) {
    if (ep->deferred_count == ep->deferred_cap) {
        size_t cap = ep->deferred_cap ? 2 * ep->deferred_cap : EP_DEFERRED_MAX;
        struct deferred *d = realloc(ep->deferred, cap * sizeof *d);
        if (!d) return; /* the hold is lost; the adapter gives it back when it closes */
        ep->deferred = d;
        ep->deferred_cap = cap;
    }
    ep->deferred[ep->deferred_count++] = (struct deferred){a, peer};
}

void ep_run_deferred(struct ep *ep) {
    while (ep->deferred_count) {
        struct deferred d = ep->deferred[--ep->deferred_count];
        d.adapter->ops->disconnect(d.adapter, d.peer);
    }
}

static int io_path_open(void *ctx, const struct engine_from *from, struct engine_path *out) {
    struct ep_link *l = from->link->owner;
    struct adapter *a = l->adapter;
    struct adapter_peer *peer;
    int rc = a->ops->connect(a, from->addr, from->addr_bytes, &peer);
    if (rc) return rc;
    *out = (struct engine_path){from->link, peer, a->ops->path_packet_bytes(a, peer)};
    return 0;
}

static void io_path_close(void *ctx, const struct engine_path *path) {
    let_go(ctx, adapter_of(path), path->peer);
}

static void io_reply(void *ctx, const struct engine_from *from, const void *packet, size_t len) {
    struct engine_path path;
    if (io_path_open(ctx, from, &path)) return;
    struct adapter_packet_out out = {{{(void *)packet, len}, {NULL, 0}, {NULL, 0}}};
    io_send(ctx, &path, &out, 1);
    io_path_close(ctx, &path);
}

static void io_origin_text(void *ctx, const struct engine_from *from, char *out, size_t cap) {
    struct adapter *a = ((struct ep_link *)from->link->owner)->adapter;
    char address[64] = "";
    if (a->ops->address_text) a->ops->address_text(a, from->addr, from->addr_bytes, address, sizeof address);
    snprintf(out, cap, "%s%s%s", a->attr.name, *address ? " " : "", address);
}

static int io_expose(void *ctx, const struct engine_path *path, const void *ptr, size_t len, void *region,
                     size_t *region_len) {
    struct adapter *a = adapter_of(path);
    return a->ops->expose(a, path->peer, ptr, len, region, region_len);
}

static void io_conceal(void *ctx, const struct engine_path *path, const void *region, size_t region_len) {
    struct adapter *a = adapter_of(path);
    a->ops->conceal(a, path->peer, region, region_len);
}

static int io_message(void *ctx, const struct engine_path *path, uint64_t word, const struct iovec piece[2]) {
    struct adapter *a = adapter_of(path);
    return a->ops->message(a, path->peer, word, piece);
}

const struct engine_io ep_engine_io = {
    .send = io_send,
    .reply = io_reply,
    .path_open = io_path_open,
    .path_close = io_path_close,
    .expose = io_expose,
    .conceal = io_conceal,
    .message = io_message,
    .origin_text = io_origin_text,
};
