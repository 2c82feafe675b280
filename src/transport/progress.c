/* Progress: who polls, who sleeps and who is woken; the rules are at the top of ep_internal.h. */
#include "base/error.h"
#include "base/log.h"
#include "transport/ep_internal.h"
#include "transport/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define POLL_PACKETS    128u
#define EVENTS_A_ROUND  512
#define PARK_NS         WEFT_NS_PER_MS /* how often a parked progress thread looks up */
#define PARK_DEEP_AFTER 16 /* … and after how many looks, with a sleeping waiter, it stops that */
#define QUIET_NS        (2 * WEFT_NS_PER_MS) /* without a waiter before the progress thread takes over */

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
    engine_event_done(ep->engine, weft_now_ns(), ev, &sink);
}

static void run_up(struct ep *ep, struct engine_event *ev) {
    struct conn *c = ev->conn;
    struct ep_peer *peer = engine_conn_user(c);
    bool accepted = engine_event_accepted(ev);
    if (accepted && !(peer = calloc(1, sizeof *peer))) {
        engine_event_done(ep->engine, weft_now_ns(), ev, NULL);
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
    engine_event_done(ep->engine, weft_now_ns(), ev, NULL);
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
    engine_event_done(ep->engine, weft_now_ns(), ev, NULL);
}

static void run_call(struct ep *ep, struct engine_event *ev) {
    void (*call)(void *, int) = ev->call;
    void *arg = ev->arg;
    int status = ev->status;
    pthread_mutex_unlock(&ep->lock);
    call(arg, status);
    pthread_mutex_lock(&ep->lock);
    engine_event_done(ep->engine, weft_now_ns(), ev, NULL);
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

/* Reads one slice of a peer's memory, without the lock. */
static int run_pull(struct ep *ep) {
    struct engine_pull pull;
    if (!engine_pull_next(ep->engine, &pull)) return 0;
    struct adapter *a = ((struct ep_link *)pull.path.link->owner)->adapter;
    ep->running_conn = engine_pull_conn(&pull);
    ep->reading_token = engine_pull_token(&pull);
    pthread_mutex_unlock(&ep->lock);
    int rc = a->ops->read(a, pull.path.peer, pull.region, pull.region_bytes, pull.offset, pull.dst, pull.len);
    pthread_mutex_lock(&ep->lock);
    engine_pull_done(ep->engine, weft_now_ns(), &pull, rc);
    callback_over(ep);
    return 1;
}

static void disarm(struct ep *ep) {
    if (!ep->armed) return;
    ep->armed = false;
    for (size_t i = 0; i < ep->link_count; i++) ep->links[i].adapter->ops->disarm(ep->links[i].adapter);
}

/* One round: poll, run what came, read a slice, run timers, send what that led to. */
static int round_of_work(struct ep *ep, bool woken) {
    int did = 0;
    disarm(ep);
    ep_set_in_handler(ep);
    ep->now = weft_now_ns();
    for (size_t i = 0; i < ep->link_count; i++)
        did += ep->links[i].adapter->ops->poll(ep->links[i].adapter, POLL_PACKETS);
    if (ep->deferred_count) ep_run_deferred(ep);
    int ran = run_events(ep);
    ran += run_pull(ep);
    if (ran) ep->now = weft_now_ns();
    engine_tick(ep->engine, ep->now);
    ran += ep_run_timers(ep);
    ran += ep_run_watches(ep, woken);
    if (engine_output(ep->engine, ep->now)) did++;
    if (engine_has_event(ep->engine)) ran += run_events(ep);
    if (ep->deferred_count) ep_run_deferred(ep);
    if (ran) ep->events_run++;
    ep_set_in_handler(NULL);
    return did + ran;
}

/* -- becoming and ceasing to be the dispatcher -- */

void ep_begin(struct ep *ep) {
    ep->dispatching = true;
    /* A progress thread that sleeps for packets would be woken by each of them: let it park instead. */
    if (ep->poller == EP_POLLER_THREAD && !pthread_equal(ep->thread, pthread_self())) ep_ring(ep);
}

static void wake_waiters(struct ep *ep) {
    if (ep->sleepers) pthread_cond_broadcast(&ep->changed);
    if (ep->poller == EP_POLLER_WAITER) ep_ring(ep);
}

void ep_end(struct ep *ep) { ep->dispatching = false; }

int ep_dispatch(struct ep *ep) {
    uint64_t before = ep->events_run;
    int did = round_of_work(ep, false);
    if (ep->events_run != before) wake_waiters(ep);
    return did;
}

void ep_ring(struct ep *ep) {
    if (ep->bell_rung) return;
    ep->bell_rung = true;
    stats_add(STATS_KICKS, 1);
    eventfd_write(ep->bell, 1);
}

static void answer_bell(struct ep *ep) {
    if (!ep->bell_rung) return;
    eventfd_t v;
    eventfd_read(ep->bell, &v);
    ep->bell_rung = false;
}

static bool has_work(const struct ep *ep) {
    return engine_has_event(ep->engine) || engine_has_pull(ep->engine);
}

/* Somebody outside the dispatcher has changed something. The dispatcher sees it before it stops; a poller is
 * woken if it would sleep too long; a parked progress thread sees it within a millisecond. */
void ep_changed(struct ep *ep) {
    if (ep->dispatching) return;
    bool due = has_work(ep) || ep_next_deadline(ep) < ep->poller_until_ns;
    if (due && ep->poller != EP_POLLER_NONE)
        ep_ring(ep);
    else if (due && ep->thread_deep && ep->poller == EP_POLLER_NONE)
        pthread_cond_signal(&ep->thread_wake);
}

void ep_wait_for_callback(struct ep *ep, const struct conn *c, const struct ep_watch *w) {
    if (ep_in_handler(ep)) return;
    ep->callback_waiters++;
    while ((c && ep->running_conn == c) || (w && ep->running_watch == w))
        pthread_cond_wait(&ep->callback_over, &ep->lock);
    ep->callback_waiters--;
}

/* -- sleeping -- */

static void refresh_fds(struct ep *ep) {
    for (size_t i = 0; i < ep->link_count; i++) {
        struct ep_link *l = &ep->links[i];
        int fds[EP_FDS_MAX];
        size_t n = l->adapter->ops->fds(l->adapter, fds, EP_FDS_MAX);
        if (n > EP_FDS_MAX) n = EP_FDS_MAX;
        bool same = n == l->fd_count;
        for (size_t k = 0; same && k < n; k++) same = fds[k] == l->fds[k];
        if (same) continue;
        for (size_t k = 0; k < l->fd_count; k++) epoll_ctl(ep->epoll, EPOLL_CTL_DEL, l->fds[k], NULL);
        struct epoll_event ev = {.events = EPOLLIN};
        for (size_t k = 0; k < n; k++) epoll_ctl(ep->epoll, EPOLL_CTL_ADD, l->fds[k] = fds[k], &ev);
        l->fd_count = n;
    }
}

/* False: something is there already. */
static bool arm(struct ep *ep) {
    if (ep->armed) return true;
    ep->armed = true;
    for (size_t i = 0; i < ep->link_count; i++) {
        if (ep->links[i].adapter->ops->arm(ep->links[i].adapter) == 0) continue;
        disarm(ep);
        return false;
    }
    refresh_fds(ep);
    return true;
}

static struct timespec timespec_of(uint64_t ns) {
    return (struct timespec){(time_t)(ns / WEFT_NS_PER_S), (long)(ns % WEFT_NS_PER_S)};
}

/* Nanosecond sleeps where the kernel has them, else milliseconds, rounded up. */
static void wait_on(int epoll, uint64_t ns) {
    struct epoll_event ev;
    struct timespec wait = timespec_of(ns);
    if (epoll_pwait2(epoll, &ev, 1, ns == WEFT_TIME_NEVER ? NULL : &wait, NULL) >= 0 || errno == EINTR)
        return;
    uint64_t ms = ns / WEFT_NS_PER_MS + 1;
    epoll_wait(epoll, &ev, 1, ns == WEFT_TIME_NEVER ? -1 : ms < 1000000 ? (int)ms : 1000000);
}

/* Whether it is safe to sleep now: nothing to do, acknowledgements sent, adapters armed. */
static bool prepare_sleep(struct ep *ep) {
    uint64_t now = weft_now_ns();
    if (has_work(ep)) return false;
    engine_output_acks(ep->engine, now);
    if (engine_output(ep->engine, now) || has_work(ep)) return false;
    if (ep->deferred_count) ep_run_deferred(ep);
    return arm(ep) && ep_next_deadline(ep) > now;
}

/* Sleeps in the kernel until packets, a bell, a deadline or `until`. */
static void sleep_for_packets(struct ep *ep, enum ep_poller who, uint64_t until) {
    uint64_t deadline = ep_next_deadline(ep), now = weft_now_ns();
    if (until < deadline) deadline = until;
    if (deadline <= now) return;
    ep->poller = who;
    ep->poller_until_ns = deadline;
    stats_add(STATS_SLEEPS, 1);
    pthread_mutex_unlock(&ep->lock);
    wait_on(ep->epoll, deadline == WEFT_TIME_NEVER ? deadline : deadline - now);
    pthread_mutex_lock(&ep->lock);
    ep->poller = EP_POLLER_NONE;
    ep->poller_until_ns = 0;
    answer_bell(ep);
}

static void sleep_for_change(struct ep *ep, pthread_cond_t *cond, uint64_t until) {
    if (until == WEFT_TIME_NEVER) {
        pthread_cond_wait(cond, &ep->lock);
        return;
    }
    struct timespec at = timespec_of(until);
    pthread_cond_timedwait(cond, &ep->lock, &at);
}

void ep_sleep_briefly(struct ep *ep, uint64_t until) {
    if (prepare_sleep(ep)) sleep_for_packets(ep, EP_POLLER_WAITER, until);
}

/* -- the public ways in -- */

int ep_progress(struct ep *ep) {
    if (!ep_is_ours(ep)) return 0;
    pthread_mutex_lock(&ep->lock);
    if (ep->dispatching) {
        pthread_mutex_unlock(&ep->lock);
        return 0;
    }
    ep_begin(ep);
    bool woken = ep->poller == EP_POLLER_OWNER;
    if (woken) {
        ep->poller = EP_POLLER_NONE;
        ep->poller_until_ns = 0;
        answer_bell(ep);
    }
    uint64_t before = ep->events_run;
    int did = round_of_work(ep, woken);
    ep_end(ep);
    if (ep->events_run != before) wake_waiters(ep);
    if (ep->poller == EP_POLLER_WAITER && !arm(ep)) ep_ring(ep);
    ep->last_wait_ns = ep->now;
    pthread_mutex_unlock(&ep->lock);
    return did;
}

/* Called with the lock when spinning did not help. `seen`: events_run before done() was last asked. */
static void wait_asleep(struct ep *ep, uint64_t seen, uint64_t until) {
    if (ep->dispatching) { /* another thread is at it: it tells when it has run something, or stops */
        if (ep->events_run != seen) return;
        ep->sleepers++;
        sleep_for_change(ep, &ep->changed, until);
        ep->sleepers--;
        return;
    }
    if (ep->events_run != seen) return;
    ep_begin(ep);
    bool safe = prepare_sleep(ep);
    ep_end(ep);
    if (!safe) return;
    if (ep->poller == EP_POLLER_NONE) {
        sleep_for_packets(ep, EP_POLLER_WAITER, until);
        return;
    }
    if (ep_next_deadline(ep) < ep->poller_until_ns) ep_ring(ep);
    ep->sleepers++;
    sleep_for_change(ep, &ep->changed, until);
    ep->sleepers--;
}

/* One turn of waiting: a round of work if nobody else is at it. Returns whether anything happened. */
static bool wait_round(struct ep *ep, uint64_t *seen) {
    bool did = false;
    pthread_mutex_lock(&ep->lock);
    if (!ep->dispatching) {
        ep_begin(ep);
        did = ep_dispatch(ep) > 0;
        ep_end(ep);
    }
    *seen = ep->events_run;
    pthread_mutex_unlock(&ep->lock);
    return did;
}

/* The last one to stop polling sees to it that somebody goes on. */
static void leave_wait(struct ep *ep) {
    ep->waiters--;
    ep->last_wait_ns = weft_now_ns();
    if (ep->dispatching) return;
    if (ep->sleepers && ep->poller == EP_POLLER_NONE)
        pthread_cond_broadcast(&ep->changed);
    else if (ep->poller == EP_POLLER_WAITER && !arm(ep))
        ep_ring(ep);
    if (ep->waiters == 0 && ep->thread_deep) pthread_cond_signal(&ep->thread_wake);
}

int ep_wait(struct ep *ep, bool (*done)(void *arg), void *arg, uint64_t deadline_ns) {
    if (!ep_is_ours(ep)) return WEFT_E_CLOSED;
    if (done(arg)) return 0;
    if (ep_in_handler(ep)) {
        weft_error("transport", "ep_wait was called by a handler");
        return WEFT_E_INVAL;
    }
    pthread_mutex_lock(&ep->lock);
    ep->waiters++;
    engine_flush_all(ep->engine);
    pthread_mutex_unlock(&ep->lock);
    int rc = 0;
    uint64_t seen, now = weft_now_ns(), idle_since = now;
    for (;;) {
        bool did = wait_round(ep, &seen);
        if (done(arg)) break;
        now = weft_now_ns();
        if (now >= deadline_ns) {
            rc = WEFT_E_TIMEDOUT;
            break;
        }
        if (did) idle_since = now;
        if (now - idle_since < ep->spin_ns) {
            weft_cpu_relax();
            continue;
        }
        pthread_mutex_lock(&ep->lock);
        wait_asleep(ep, seen, deadline_ns);
        pthread_mutex_unlock(&ep->lock);
        idle_since = weft_now_ns();
    }
    pthread_mutex_lock(&ep->lock);
    leave_wait(ep);
    pthread_mutex_unlock(&ep->lock);
    return rc;
}

void ep_wake(struct ep *ep) {
    if (!ep_is_ours(ep)) return;
    pthread_mutex_lock(&ep->lock);
    ep->events_run++;
    wake_waiters(ep);
    pthread_mutex_unlock(&ep->lock);
}

int ep_fd(struct ep *ep) { return ep_is_ours(ep) ? ep->epoll : -1; }

int ep_timeout_ms(struct ep *ep) {
    if (!ep_is_ours(ep)) return -1;
    pthread_mutex_lock(&ep->lock);
    uint64_t t = ep_next_deadline(ep);
    pthread_mutex_unlock(&ep->lock);
    if (t == WEFT_TIME_NEVER) return -1;
    uint64_t now = weft_now_ns();
    if (t <= now) return 0;
    uint64_t ms = (t - now + WEFT_NS_PER_MS - 1) / WEFT_NS_PER_MS;
    return ms < 1000000 ? (int)ms : 1000000;
}

bool ep_prepare_sleep(struct ep *ep) {
    if (!ep_is_ours(ep)) return true;
    pthread_mutex_lock(&ep->lock);
    bool safe = !ep->dispatching && ep->poller == EP_POLLER_NONE && prepare_sleep(ep);
    if (safe) {
        ep->poller = EP_POLLER_OWNER;
        ep->poller_until_ns = ep_next_deadline(ep);
    }
    pthread_mutex_unlock(&ep->lock);
    return safe;
}

/* -- the progress thread -- */

static void park(struct ep *ep, unsigned *looks) {
    bool idle_waiter = ep->waiters && ep->poller == EP_POLLER_WAITER;
    *looks = idle_waiter ? *looks + 1 : 0;
    ep->thread_deep = *looks > PARK_DEEP_AFTER;
    sleep_for_change(ep, &ep->thread_wake, ep->thread_deep ? WEFT_TIME_NEVER : weft_now_ns() + PARK_NS);
    ep->thread_deep = false;
}

void *ep_thread_main(void *arg) {
    struct ep *ep = arg;
    unsigned looks = 0;
    uint64_t idle_since = 0;
    pthread_setname_np(pthread_self(), "weft-progress");
    pthread_mutex_lock(&ep->lock);
    while (!ep->stop) {
        uint64_t now = weft_now_ns();
        if (ep->waiters || ep->dispatching || now - ep->last_wait_ns < QUIET_NS ||
            ep->poller != EP_POLLER_NONE) {
            park(ep, &looks);
            continue;
        }
        looks = 0;
        ep_begin(ep);
        if (ep_dispatch(ep) > 0) idle_since = now;
        bool safe = now - idle_since >= ep->spin_ns && !ep->waiters && prepare_sleep(ep);
        ep_end(ep);
        if (safe && !ep->stop) {
            sleep_for_packets(ep, EP_POLLER_THREAD, WEFT_TIME_NEVER);
            if (ep->sleepers) pthread_cond_broadcast(&ep->changed); /* one of them is the poller now */
            idle_since = weft_now_ns();
        } else if (!ep->stop) { /* let others take the lock */
            pthread_mutex_unlock(&ep->lock);
            weft_cpu_relax();
            pthread_mutex_lock(&ep->lock);
        }
    }
    pthread_mutex_unlock(&ep->lock);
    return NULL;
}
