/* A round of the dispatcher's work: poll the adapters, run callbacks, read what large messages bring, run
 * timers, send what that led to; and the short way of messages that come by a lane. */
#include "base/error.h"
#include "base/log.h"
#include "transport/ep_internal.h"
#include "transport/stats.h"

#include <stdlib.h>

#define POLL_PACKETS   128u
#define EVENTS_A_ROUND 512
#define COLD_NS        (10 * WEFT_NS_PER_US) /* how often it is polled otherwise, while others bring something */

/* -- running callbacks -- */

static void run_header(struct ep *ep, struct engine_event *ev, struct ep_peer *peer) {
    struct ep_msg msg;
    struct ep_sink sink = {0};
    engine_event_message(ev, &msg);
    const struct ep_handler *h = &ep->cfg.handlers[msg.handler];
    pthread_mutex_unlock(&ep->lock);
    if (h->on_header)
        h->on_header(h->ctx, peer, &msg, &sink);
    else
        weft_warn("transport", "a message for handler %u, which nobody registered, is dropped", msg.handler);
    pthread_mutex_lock(&ep->lock);
    engine_event_done(ep->engine, ep->now, ev, &sink);
}

static void run_up(struct ep *ep, struct engine_event *ev) {
    struct conn *c = ev->conn;
    struct ep_peer *peer = engine_conn_user(c);
    bool accepted = engine_event_accepted(ev);
    if (accepted && !(peer = calloc(1, sizeof *peer))) {
        engine_event_done(ep->engine, ep->now, ev, NULL);
        engine_release(ep->engine, c, true);
        engine_abort(ep->engine, weft_now_ns(), c, WEFT_E_NOMEM);
        return;
    }
    if (accepted) {
        const struct ep_link *l = engine_conn_path(c)->link->owner;
        peer->ep = ep;
        peer->conn = c;
        peer->adapter = l->adapter->ops->name;
        engine_conn_set_user(c, peer);
        pthread_mutex_unlock(&ep->lock);
        if (ep->cfg.on_peer_up) ep->cfg.on_peer_up(ep->cfg.ctx, peer);
        pthread_mutex_lock(&ep->lock);
    }
    engine_event_done(ep->engine, ep->now, ev, NULL);
}

static void run_down(struct ep *ep, struct engine_event *ev, struct ep_peer *peer) {
    struct conn *c = ev->conn;
    int status = ev->status;
    bool accepted = engine_event_accepted(ev);
    pthread_mutex_unlock(&ep->lock);
    if (peer && ep->cfg.on_peer_down) ep->cfg.on_peer_down(ep->cfg.ctx, peer, status);
    pthread_mutex_lock(&ep->lock);
    /* Unless ep_disconnect has given it back meanwhile, or the owner keeps it. */
    if (accepted && peer && engine_conn_user(c) == peer && !peer->connected) {
        engine_conn_set_user(c, NULL);
        free(peer);
        engine_release(ep->engine, c, true);
    }
    engine_event_done(ep->engine, ep->now, ev, NULL);
}

static void run_call(struct ep *ep, struct engine_event *ev) {
    void (*call)(void *, int) = ev->call;
    void *arg = ev->arg;
    int status = ev->status;
    pthread_mutex_unlock(&ep->lock);
    call(arg, status);
    pthread_mutex_lock(&ep->lock);
    engine_event_done(ep->engine, ep->now, ev, NULL);
}

static void callback_over(struct ep *ep) {
    ep->running_conn = NULL;
    ep->reading_token = 0;
    if (ep->callback_waiters) pthread_cond_broadcast(&ep->callback_over);
}

static int run_events(struct ep *ep) {
    struct engine_event *ev;
    int ran = 0;
    for (; ran < EVENTS_A_ROUND && (ev = engine_next_event(ep->engine)); ran++) {
        struct ep_peer *peer = engine_conn_user(ev->conn);
        ep->running_conn = ev->conn;
        switch (ev->type) {
        case ENGINE_EVENT_HEADER: run_header(ep, ev, peer); break;
        case ENGINE_EVENT_UP: run_up(ep, ev); break;
        case ENGINE_EVENT_DOWN: run_down(ep, ev, peer); break;
        default: run_call(ep, ev);
        }
        callback_over(ep);
    }
    return ran;
}

static bool lanes_have_something(void *arg) {
    const struct ep *ep = arg;
    for (size_t i = 0; i < ep->lane_count; i++)
        if (ep->lanes[i]->adapter->ops->peek(ep->lanes[i]->adapter)) return true;
    return false;
}

/* A small message need not wait for all of the slice: it ends early then. */
static int read_slice(struct ep *ep, struct adapter *a, struct engine_pull *pull) {
    struct adapter_read r = {.region = pull->region,
                             .region_bytes = pull->region_bytes,
                             .offset = pull->offset,
                             .dst = pull->dst,
                             .len = pull->len,
                             .enough = ep->lane_count ? lanes_have_something : NULL,
                             .arg = ep};
    int rc = a->ops->read(a, pull->path.peer, &r);
    if (!rc) pull->len = r.len;
    return rc;
}

/* Reads one slice of a peer's memory, without the lock. */
static int run_pull(struct ep *ep) {
    struct engine_pull pull;
    if (!engine_pull_next(ep->engine, &pull)) return 0;
    struct adapter *a = ((struct ep_link *)pull.path.link->owner)->adapter;
    ep->running_conn = engine_pull_conn(&pull);
    ep->reading_token = engine_pull_token(&pull);
    pthread_mutex_unlock(&ep->lock);
    int rc = read_slice(ep, a, &pull);
    pthread_mutex_lock(&ep->lock);
    engine_pull_done(ep->engine, weft_now_ns(), &pull, rc);
    callback_over(ep);
    return 1;
}

void ep_disarm(struct ep *ep) {
    if (!ep->armed) return;
    ep->armed = false;
    for (size_t i = 0; i < ep->link_count; i++) ep->links[i].adapter->ops->disarm(ep->links[i].adapter);
}

bool ep_has_work(const struct ep *ep) { return engine_has_event(ep->engine) || engine_has_pull(ep->engine); }

/* Memory costs nothing to look at, a socket a system call: it is left out for a while when it has been silent
 * and others are busy. */
static bool is_due(const struct ep *ep, const struct ep_link *l) {
    if (l->adapter->attr.caps & ADAPTER_CAP_SAME_HOST || ep->now - l->heard_ns < EP_WARM_NS) return true;
    return ep->now - ep->lane_heard_ns >= EP_WARM_NS || ep->now - l->polled_ns >= COLD_NS;
}

static int poll_links(struct ep *ep, bool all) {
    int got = 0;
    for (size_t i = 0; i < ep->link_count; i++) {
        struct ep_link *l = &ep->links[i];
        if (!all && !is_due(ep, l)) continue;
        int n = l->adapter->ops->poll(l->adapter, POLL_PACKETS);
        l->polled_ns = ep->now;
        if (n > 0) l->heard_ns = ep->now;
        if (n > 0 && l->adapter->attr.caps & ADAPTER_CAP_MESSAGES) ep->lane_heard_ns = ep->now;
        got += n;
    }
    return got;
}

void ep_settle(struct ep *ep) {
    if (ep->running_conn) callback_over(ep);
    if (ep->lane_ran) {
        ep->lane_heard_ns = ep->now;
        ep->events_run++;
        ep_wake_waiters(ep);
    }
    ep->lane_ran = false;
    ep->watched = ep->sleepers || ep->poller == EP_POLLER_WAITER;
}

/* One round: poll, run what came, read a slice, run timers, send what that led to. */
int ep_round(struct ep *ep, bool woken, bool all) {
    uint64_t before = ep->events_run;
    ep_disarm(ep);
    ep_handler_of = ep;
    ep->now = weft_now_ns();
    atomic_store_explicit(&ep->attention, false, memory_order_relaxed);
    ep_settle(ep);
    int did = poll_links(ep, all || woken);
    if (ep->deferred_count) ep_run_deferred(ep);
    int ran = run_events(ep);
    ran += run_pull(ep);
    if (ran) ep->now = weft_now_ns();
    engine_tick(ep->engine, ep->now);
    ran += ep_run_timers(ep);
    ran += ep_run_watches(ep, woken && !did); /* what has woken it */
    if (engine_output(ep->engine, ep->now)) did++;
    if (engine_has_event(ep->engine)) ran += run_events(ep);
    if (ep->deferred_count) ep_run_deferred(ep);
    if (ran) ep->events_run++;
    ep_handler_of = NULL;
    if (ep->events_run != before) ep_wake_waiters(ep);
    return did + ran;
}

/* -- lanes -- */

static void run_handler(struct ep *ep, struct ep_peer *peer, const struct ep_msg *msg) {
    struct ep_sink sink = {0}; /* not looked at: all data is here */
    const struct ep_handler *h = &ep->cfg.handlers[msg->handler];
    ep_handler_of = ep;
    if (h->on_header)
        h->on_header(h->ctx, peer, msg, &sink);
    else
        weft_warn("transport", "a message for handler %u, which nobody registered, is dropped", msg->handler);
    ep_handler_of = NULL;
}

/* With the lock. What cannot be run at once is queued behind what it has to wait for. */
static struct ep_peer *take(struct ep *ep, struct ep_link *l, struct ep_msg *msg) {
    struct adapter_message m;
    if (engine_has_event(ep->engine) || !l->adapter->ops->take(l->adapter, &m)) return NULL;
    struct conn *c = engine_lane_take(ep->engine, &l->engine, &m, msg);
    struct ep_peer *peer = c ? engine_conn_user(c) : NULL;
    if (!peer) {
        engine_lane_in(ep->engine, ep->now, &l->engine, &m);
        return NULL;
    }
    if (ep->callback_waiters) callback_over(ep);
    ep->running_conn = c;
    ep->lane_ran = true;
    return peer;
}

enum ep_lane ep_lane_turn(struct ep *ep) {
    for (size_t i = 0; i < ep->lane_count; i++) {
        struct ep_link *l = ep->lanes[i];
        if (!l->adapter->ops->peek(l->adapter)) continue;
        struct ep_msg msg;
        pthread_mutex_lock(&ep->lock);
        struct ep_peer *peer = take(ep, l, &msg);
        pthread_mutex_unlock(&ep->lock);
        if (!peer) return EP_LANE_ROUND;
        run_handler(ep, peer, &msg);
        return EP_LANE_RAN;
    }
    return EP_LANE_EMPTY;
}
