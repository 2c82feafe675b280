/* Peers: connecting, being connected to, and the end of both. */
#include "base/clock.h"
#include "base/log.h"
#include "fabric/count.h"
#include "fabric/fabric.h"
#include "fabric/wire.h"

#include <stdlib.h>

/* -- life -- */

static struct weft_peer *peer_create(struct weft *w) {
    struct weft_peer *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->w = w;
    p->refs = 1;
    p->next_op = 1;
    atomic_store(&p->status, WEFT_E_AGAIN);
    weft_map_init(&p->ops);
    weft_map_init(&p->posts);
    weft_list_init(&p->deferred);
    weft_list_init(&p->sending);
    weft_list_init(&p->flushes);
    weft_list_init(&p->arrivals);
    pthread_mutex_lock(&w->lock);
    p->serial = ++w->peer_serial;
    weft_list_push_back(&w->peers, &p->node);
    pthread_mutex_unlock(&w->lock);
    return p;
}

void peer_drop(struct weft_peer *p) {
    if (--p->refs) return;
    weft_list_remove(&p->node);
    weft_map_fini(&p->ops);
    weft_map_fini(&p->posts);
    free(p);
}

bool peer_mark_ended(struct weft *w, struct weft_id id, bool ended) {
    bool any = false;
    pthread_mutex_lock(&w->lock);
    weft_list_for_each(it, &w->peers) {
        struct weft_peer *p = weft_list_entry(it, struct weft_peer, node);
        if (!p->listed || p->id.node != id.node || (ended && p->id.process != id.process)) continue;
        p->ended = ended;
        any = true;
    }
    pthread_mutex_unlock(&w->lock);
    return any;
}

struct weft_peer *peer_next_ended(struct weft *w) {
    struct weft_peer *found = NULL;
    pthread_mutex_lock(&w->lock);
    weft_list_for_each(it, &w->peers) {
        struct weft_peer *p = weft_list_entry(it, struct weft_peer, node);
        if (!p->ended || found) continue;
        p->ended = false;
        peer_hold(p);
        found = p;
    }
    pthread_mutex_unlock(&w->lock);
    return found;
}

void peer_free_all(struct weft *w) {
    pthread_mutex_lock(&w->lock);
    weft_list_for_each_safe(it, &w->peers) {
        struct weft_peer *p = weft_list_entry(it, struct weft_peer, node);
        p->refs = 1; /* what an ended endpoint can no longer give back */
        peer_drop(p);
    }
    pthread_mutex_unlock(&w->lock);
}

/* Everything that waits for this peer ends. */
static void end_all(struct weft_peer *p, int status) {
    fence_fail_all(p, status);
    op_fail_all(p, status);
    post_fail_peer(p, status);
}

static void drop_later(void *arg) {
    struct weft_peer *p = arg;
    struct weft *w = p->w;
    pthread_mutex_lock(&w->lock);
    peer_drop(p);
    pthread_mutex_unlock(&w->lock);
}

/* Inside of a callback whoever called it may still look at the peer: it goes when the callback is over. */
static void let_go(struct weft_peer *p) {
    struct weft *w = p->w;
    bool inside = fabric_in_callback(w);
    atomic_store(&p->gone, true);
    ep_disconnect(p->ep);
    if (!inside)
        drop_later(p);
    else
        ep_timer(w->ep, weft_now_ns(), drop_later, p); /* no memory: weft_close frees it */
}

void peer_fail(struct weft_peer *p, int status, const char *what) {
    if (atomic_load(&p->gone)) return;
    weft_warn("fabric", "process %u of node %u: %s: %s", p->id.process, p->id.node, what,
              weft_error_text(status));
    fabric_count(COUNT_PEERS_FAILED, 1);
    ep_peer_fail(p->ep, status);
}

/* -- greetings -- */

static void put_greeting(uint8_t b[WIRE_HELLO_BYTES], struct weft *w) {
    pthread_mutex_lock(&w->lock);
    le_put32(b, FABRIC_MAGIC);
    le_put16(b + 4, FABRIC_VERSION);
    le_put16(b + 6, w->client ? WIRE_HELLO_LISTED : 0);
    le_put32(b + 8, w->self.node);
    le_put32(b + 12, w->self.process);
    pthread_mutex_unlock(&w->lock);
}

static int get_greeting(const struct ep_msg *m, struct weft_id *id, bool *listed) {
    const uint8_t *b = m->header;
    if (m->header_bytes < WIRE_HELLO_BYTES || le_get32(b) != FABRIC_MAGIC) return WEFT_E_PROTO;
    if (le_get16(b + 4) != FABRIC_VERSION) return WEFT_E_VERSION;
    *listed = le_get16(b + 6) & WIRE_HELLO_LISTED;
    *id = (struct weft_id){le_get32(b + 8), le_get32(b + 12)};
    return 0;
}

static int greet(struct weft_peer *p, enum fabric_kind kind) {
    uint8_t b[WIRE_HELLO_BYTES];
    put_greeting(b, p->w);
    return ep_send(p->ep, &(struct ep_send){.handler = kind, .header = b, .header_bytes = sizeof b});
}

static void turn_away(struct weft_peer *p, int status) {
    uint8_t b[WIRE_REFUSE_BYTES] = {0};
    le_put32(b, (uint32_t)status);
    ep_send(p->ep, &(struct ep_send){.handler = FABRIC_REFUSE, .header = b, .header_bytes = sizeof b});
    let_go(p);
}

static void on_hello(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink) {
    struct weft *w = p->w;
    int rc = p->known ? WEFT_E_PROTO : get_greeting(m, &p->id, &p->listed);
    if (rc == WEFT_E_PROTO) {
        peer_fail(p, rc, "a greeting that does not hold");
        return;
    }
    p->known = true;
    p->owned = rc == 0 && w->on_accept;
    if (rc == 0) atomic_store(&p->status, 0);
    if (p->owned) rc = w->on_accept(w->ctx, p, p->id);
    if (atomic_load(&p->gone)) return; /* the program has ended it itself */
    if (rc) {
        fabric_count(COUNT_PEERS_REFUSED, 1);
        turn_away(p, rc == WEFT_E_VERSION ? rc : WEFT_E_REFUSED);
        return;
    }
    if (p->listed) directory_watch(p);
    rc = greet(p, FABRIC_WELCOME);
    if (rc == WEFT_E_NOMEM || rc == WEFT_E_LIMIT)
        peer_fail(p, rc, "it cannot be greeted"); /* else it is down already */
}

static void on_welcome(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink) {
    struct weft_id id;
    bool listed;
    int rc = get_greeting(m, &id, &listed), connecting = WEFT_E_AGAIN;
    if (rc || !atomic_compare_exchange_strong(&p->status, &connecting, 0)) {
        peer_fail(p, rc ? rc : WEFT_E_PROTO, "a welcome that does not hold");
        return;
    }
    p->listed = listed && id.node == p->id.node && id.process == p->id.process;
    if (p->listed) directory_watch(p);
}

static void on_refuse(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink) {
    bool version = m->header_bytes >= WIRE_REFUSE_BYTES && (int)le_get32(m->header) == WEFT_E_VERSION;
    p->refused = version ? WEFT_E_VERSION : WEFT_E_REFUSED;
}

/* -- what the endpoint tells -- */

typedef void message_fn(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink);
static message_fn *const messages[FABRIC_KINDS] = {
    [FABRIC_HELLO] = on_hello,         [FABRIC_WELCOME] = on_welcome, [FABRIC_REFUSE] = on_refuse,
    [FABRIC_EAGER] = deliver_on_eager, [FABRIC_AM] = deliver_on_am,   [FABRIC_PUT] = window_on_put,
    [FABRIC_GET] = window_on_get,      [FABRIC_GOT] = rma_on_got,     [FABRIC_FLUSH] = fence_on_flush,
    [FABRIC_REPLY] = op_on_reply,
};

/* Every message comes through here: nothing is heard of a peer before its greeting. */
static void on_message(void *ctx, struct ep_peer *ep, const struct ep_msg *m, struct ep_sink *sink) {
    struct weft_peer *p = ep_peer_context(ep);
    if (!p) return;
    const struct weft *before = fabric_enter(ctx);
    if (p->known || m->handler == FABRIC_HELLO)
        messages[m->handler](p, m, sink);
    else
        peer_fail(p, WEFT_E_PROTO, "a message before its greeting");
    fabric_leave(before);
}

static void on_peer_up(void *ctx, struct ep_peer *ep) {
    struct weft_peer *p = peer_create(ctx);
    if (!p) {
        ep_disconnect(ep);
        return;
    }
    ep_peer_keep(ep);
    p->ep = ep;
    ep_peer_set_context(ep, p);
}

static void on_peer_down(void *ctx, struct ep_peer *ep, int status) {
    struct weft *w = ctx;
    struct weft_peer *p = ep_peer_context(ep);
    if (!p) return;
    const struct weft *before = fabric_enter(w);
    if (p->refused) status = p->refused;
    atomic_store(&p->status, status);
    end_all(p, status);
    notice_post(&p->notice, 0, status);
    if (p->known && w->on_peer_down) w->on_peer_down(w->ctx, p, status);
    if (!atomic_load(&p->gone) && !p->owned && !atomic_load(&w->closing)) let_go(p);
    fabric_leave(before);
}

void peer_configure(struct ep_config *cfg, struct weft *w) {
    cfg->ctx = w;
    cfg->on_peer_up = on_peer_up;
    cfg->on_peer_down = on_peer_down;
    for (int kind = FABRIC_HELLO; kind < FABRIC_KINDS; kind++)
        cfg->handlers[kind] = (struct ep_handler){on_message, w};
}

/* -- what the program calls -- */

int weft_connect(struct weft *w, const struct weft_address *to, void *context, struct weft_peer **out) {
    struct weft_id id;
    const void *part;
    size_t bytes;
    int rc = address_read(to, &id, &part, &bytes);
    if (rc) return rc;
    struct weft_peer *p = peer_create(w);
    if (!p) return WEFT_E_NOMEM;
    p->id = id;
    p->known = p->owned = true;
    atomic_store(&p->context, context);
    rc = ep_connect(w->ep, part, bytes, p, &p->ep);
    if (rc) {
        pthread_mutex_lock(&w->lock);
        peer_drop(p);
        pthread_mutex_unlock(&w->lock);
        return rc;
    }
    rc = greet(p, FABRIC_HELLO);
    if (rc != WEFT_E_NOMEM) { /* down already: on_peer_down tells */
        *out = p;
        return 0;
    }
    weft_disconnect(p);
    return rc;
}

static bool settled(void *arg) { return atomic_load(&((struct weft_peer *)arg)->status) != WEFT_E_AGAIN; }

int weft_connect_wait(struct weft_peer *p, uint64_t timeout_ns) {
    int rc = fabric_wait(p->w, settled, p, timeout_ns);
    return rc ? rc : atomic_load(&p->status);
}

static void mark_closed(struct weft_peer *p) {
    int status = atomic_load(&p->status);
    while ((status == 0 || status == WEFT_E_AGAIN) &&
           !atomic_compare_exchange_weak(&p->status, &status, WEFT_E_CLOSED)) {
    }
}

void weft_disconnect(struct weft_peer *p) {
    if (!p) return;
    struct weft *w = p->w;
    pthread_mutex_lock(&w->lock);
    peer_hold(p);
    pthread_mutex_unlock(&w->lock);
    let_go(p);
    notice_set(&p->notice, NULL);
    mark_closed(p);
    end_all(p, WEFT_E_CLOSED);
    drop_later(p);
}

int weft_peer_status(const struct weft_peer *p) { return atomic_load(&p->status); }
struct weft_id weft_peer_id(const struct weft_peer *p) {
    return p->id;
}
const char *weft_peer_adapter(const struct weft_peer *p) { return ep_peer_adapter(p->ep); }
struct weft *weft_peer_fabric(const struct weft_peer *p) {
    return p->w;
}
void weft_peer_set_context(struct weft_peer *p, void *context) { atomic_store(&p->context, context); }
void *weft_peer_context(const struct weft_peer *p) { return atomic_load(&p->context); }
