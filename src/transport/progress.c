/* Progress: who polls, who sleeps and who is woken; the rules are at the top of ep_internal.h. */
#include "base/error.h"
#include "base/log.h"
#include "transport/ep_internal.h"
#include "transport/stats.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LOOKS           16u                  /* at the lanes, between two looks at the clock */
#define LANE_BURST      64u                  /* messages of lanes between two rounds */
#define ROUND_NS        (5 * WEFT_NS_PER_US) /* between rounds while only lanes are looked at */
#define RELAX_NS        (2 * WEFT_NS_PER_US) /* of silence before the spinning thread spares its core's twin */
#define LENT_SPIN_NS    (100 * WEFT_NS_PER_US) /* a MiB is read in 35 to 100 us; waking us costs the reader 8 */
#define PARK_NS         WEFT_NS_PER_MS       /* how often a parked progress thread looks up */
#define PARK_DEEP_AFTER 16 /* … and after how many looks, with a sleeping waiter, it stops that */
#define QUIET_NS        (2 * WEFT_NS_PER_MS) /* without a waiter before the progress thread takes over */

/* -- becoming and ceasing to be the dispatcher -- */

void ep_begin(struct ep *ep) {
    ep->dispatching = true;
    /* A progress thread that sleeps for packets would be woken by each of them: let it park instead. */
    if (ep->poller == EP_POLLER_THREAD && !pthread_equal(ep->thread, pthread_self())) ep_ring(ep);
}

void ep_wake_waiters(struct ep *ep) {
    if (ep->sleepers) pthread_cond_broadcast(&ep->changed);
    if (ep->poller == EP_POLLER_WAITER) ep_ring(ep);
}

void ep_end(struct ep *ep) {
    ep_settle(ep);
    ep->dispatching = false;
}

int ep_dispatch(struct ep *ep) { return ep_round(ep, false, true); }

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

/* Somebody outside the dispatcher has changed something. The dispatcher sees it before it stops; a poller is
 * woken if it would sleep too long; a parked progress thread sees it within a millisecond. */
void ep_changed(struct ep *ep) {
    if (ep->dispatching) {
        atomic_store_explicit(&ep->attention, true, memory_order_relaxed);
        return;
    }
    if (ep->cfg.patient && ep->poller == EP_POLLER_OWNER && pthread_equal(ep->owner, pthread_self()))
        return; /* it is awake */
    bool due = ep_has_work(ep) || ep_next_deadline(ep) < ep->poller_until_ns;
    if (due && ep->poller != EP_POLLER_NONE)
        ep_ring(ep);
    else if (due && ep->thread_deep && ep->poller == EP_POLLER_NONE)
        pthread_cond_signal(&ep->thread_wake);
}

void ep_wait_for_callback(struct ep *ep, const struct conn *c, const struct ep_watch *w) {
    if (ep_in_handler(ep)) return;
    ep->callback_waiters++;
    atomic_store_explicit(&ep->attention, true, memory_order_relaxed);
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
        ep_disarm(ep);
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

/* Whether it is safe to sleep now: nothing to do, adapters armed, acknowledgements sent. What has come meanwhile
 * is taken first: it may lead to an answer, which takes the acknowledgement of all of it along. */
static bool prepare_sleep(struct ep *ep) {
    if (ep_has_work(ep) || !arm(ep)) return false;
    uint64_t now = weft_now_ns(); /* after what arming may have heard */
    engine_output_acks(ep->engine, now);
    if (engine_output(ep->engine, now) || ep_has_work(ep)) return false;
    if (ep->deferred_count) ep_run_deferred(ep);
    return ep_next_deadline(ep) > now;
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

/* Whether a waiter that sleeps in the kernel would sleep too long, or past what is there already. */
static bool oversleeps(struct ep *ep) {
    return ep->poller == EP_POLLER_WAITER &&
           (ep_has_work(ep) || !arm(ep) || ep_next_deadline(ep) < ep->poller_until_ns);
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

/* Runs what the lanes brought; returns how many. Called and returns without the lock. */
static unsigned run_lanes(struct ep *ep) {
    unsigned ran = 0;
    while (ran < LANE_BURST && ep_lane_turn(ep) == EP_LANE_RAN) ran++;
    return ran;
}

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
    pthread_mutex_unlock(&ep->lock);
    int did = woken ? 0 : (int)run_lanes(ep);
    pthread_mutex_lock(&ep->lock);
    did += ep_round(ep, woken, false);
    ep_end(ep);
    if (oversleeps(ep)) ep_ring(ep);
    ep->waits++;
    pthread_mutex_unlock(&ep->lock);
    return did;
}

static void sleep_for_handlers(struct ep *ep, uint64_t until) {
    ep->sleepers++;
    atomic_store_explicit(&ep->attention, true, memory_order_relaxed); /* handlers may have run just now */
    sleep_for_change(ep, &ep->changed, until);
    ep->sleepers--;
}

/* Called with the lock when spinning did not help. `seen`: events_run before done() was last asked. */
static void wait_asleep(struct ep *ep, uint64_t seen, uint64_t until) {
    if (ep->events_run != seen) return;
    if (ep->dispatching) { /* another thread is at it: it tells when it has run something, or stops */
        sleep_for_handlers(ep, until);
        return;
    }
    ep_begin(ep);
    bool safe = prepare_sleep(ep);
    ep_end(ep);
    if (!safe || ep->events_run != seen) return;
    if (ep->poller == EP_POLLER_NONE) {
        sleep_for_packets(ep, EP_POLLER_WAITER, until);
        return;
    }
    if (ep_next_deadline(ep) < ep->poller_until_ns) ep_ring(ep);
    sleep_for_handlers(ep, until);
}

/* One call of ep_wait. */
struct wait {
    bool (*done)(void *arg);
    void *arg;
    uint64_t deadline_ns;
    uint64_t now, idle_since_ns; /* 0: the clock was not read yet */
    uint64_t spin_ns;            /* how long to go on without an event */
    uint64_t seen;               /* events_run before done() was last asked */
    uint64_t lull_since_ns;      /* the last event, or the beginning; where the endpoint learns */
};

enum look { LOOK_DONE, LOOK_ROUND, LOOK_NOTHING };

/* A few looks at the lanes and at done(), without the lock. */
static enum look look(struct ep *ep, const struct wait *w, bool *ran) {
    const unsigned enough = ep->next_round_ns && !ep->cfg.yields ? LOOKS : 1;
    for (unsigned looks = 0, burst = 0; looks < enough; looks++) {
        if (atomic_load_explicit(&ep->attention, memory_order_relaxed)) return LOOK_ROUND;
        enum ep_lane lane = ep_lane_turn(ep);
        if (lane != EP_LANE_EMPTY) *ran = true;
        if (w->done(w->arg)) return LOOK_DONE;
        if (lane == EP_LANE_ROUND || (lane == EP_LANE_RAN && (ep->watched || ++burst == LANE_BURST)))
            return LOOK_ROUND;
        if (lane == EP_LANE_RAN) looks = 0;
    }
    return LOOK_NOTHING;
}

/* Something has come. For the dispatcher. */
static void end_lull(struct ep *ep, struct wait *w) {
    if (!ep->learns) return;
    uint64_t now = weft_now_ns();
    lull_ended(&ep->lull, now - w->lull_since_ns);
    w->lull_since_ns = now;
}

/* The dispatcher's part between two rounds. False: it has nothing to look for any more (done, late, idle). */
static bool spin(struct ep *ep, struct wait *w, enum look *result) {
    for (;;) {
        bool ran = false;
        *result = look(ep, w, &ran);
        if (ran || *result == LOOK_DONE) end_lull(ep, w);
        if (*result == LOOK_DONE) return false;
        /* Where each turn is a round, that one has just read the clock. */
        w->now = ep->next_round_ns || !w->idle_since_ns ? weft_now_ns() : ep->now;
        if (ran || !w->idle_since_ns) w->idle_since_ns = w->now;
        if (w->now >= w->deadline_ns) return false;
        if (*result == LOOK_ROUND) return true;
        uint64_t idle_ns = w->now - w->idle_since_ns;
        if (idle_ns >= w->spin_ns) return false;
        if (ep->cfg.yields && idle_ns) sched_yield(); /* not before a round for what has just woken it */
        if (w->now >= ep->next_round_ns) return true;
        if (idle_ns >= RELAX_NS) weft_cpu_relax();
    }
}

/* How long only lanes are looked at: not at all while a socket is busy. */
static uint64_t next_round(const struct ep *ep, uint64_t now) {
    if (!ep->lane_count || now - ep->lane_heard_ns >= EP_WARM_NS) return 0;
    for (size_t i = 0; i < ep->link_count; i++) {
        const struct ep_link *l = &ep->links[i];
        bool socket = !(l->adapter->attr.caps & ADAPTER_CAP_SAME_HOST);
        if (socket && now - l->heard_ns < EP_WARM_NS) return 0;
    }
    return now + ROUND_NS;
}

static uint64_t wait_spin_ns(const struct ep *ep) {
    bool longer = ep->spin_ns && ep->spin_ns < LENT_SPIN_NS && engine_is_lending(ep->engine);
    uint64_t spin_ns = longer ? LENT_SPIN_NS : ep->spin_ns;
    uint64_t learnt_ns = ep->learns ? lull_poll_ns(&ep->lull) : 0;
    return learnt_ns > spin_ns ? learnt_ns : spin_ns;
}

/* With the lock; a round if one is wanted, then spinning, until there is a reason to stop. */
static enum look dispatch_and_spin(struct ep *ep, struct wait *w, bool round) {
    enum look result = LOOK_NOTHING;
    for (;;) {
        if (round) {
            if (ep_round(ep, false, false) > 0) {
                w->idle_since_ns = ep->now;
                end_lull(ep, w);
            }
            ep->next_round_ns = ep_has_work(ep) ? 0 : next_round(ep, ep->now);
        }
        w->seen = ep->events_run;
        w->spin_ns = wait_spin_ns(ep);
        pthread_mutex_unlock(&ep->lock);
        round = spin(ep, w, &result);
        pthread_mutex_lock(&ep->lock);
        if (!round) return result;
    }
}

/* Another thread is the dispatcher: its handlers may be what done() waits for. With the lock. */
static enum look look_on(struct ep *ep, struct wait *w) {
    w->seen = ep->events_run;
    pthread_mutex_unlock(&ep->lock);
    enum look result = LOOK_NOTHING;
    for (;;) {
        if (w->done(w->arg)) {
            result = LOOK_DONE;
            break;
        }
        w->now = weft_now_ns();
        if (!w->idle_since_ns) w->idle_since_ns = w->now;
        if (w->now >= w->deadline_ns || w->now - w->idle_since_ns >= ep->spin_ns || !ep->dispatching) break;
        weft_cpu_relax();
    }
    pthread_mutex_lock(&ep->lock);
    return result;
}

/* The last one to stop polling sees to it that somebody goes on. */
static void leave_wait(struct ep *ep) {
    ep->waiters--;
    ep->waits++;
    if (ep->waiters == 0 && ep->thread_deep) pthread_cond_signal(&ep->thread_wake);
    if (ep->dispatching) return;
    if (ep->sleepers && ep->poller == EP_POLLER_NONE)
        pthread_cond_broadcast(&ep->changed);
    else if (oversleeps(ep))
        ep_ring(ep);
}

/* With the lock; 0 or WEFT_E_TIMEDOUT. */
static int wait(struct ep *ep, struct wait *w) {
    bool round = ep->armed || ep_has_work(ep);
    if (ep->held) {
        engine_flush_all(ep->engine);
        ep->held = false;
        round = true;
    }
    bool woken = false; /* just now: what woke it may be in a lane, and is looked for there before all else */
    for (;;) {
        enum look result;
        if (ep->dispatching) {
            result = look_on(ep, w);
        } else {
            ep_begin(ep);
            if (woken) ep->now = weft_now_ns(); /* a lane that is heard now shall not seem cold */
            result = dispatch_and_spin(ep, w, round);
            ep_end(ep);
        }
        if (result == LOOK_DONE) return 0;
        if (w->now >= w->deadline_ns && !woken) return WEFT_E_TIMEDOUT;
        round = woken || w->now - w->idle_since_ns >= ep->spin_ns;
        bool asleep = round && !woken;
        woken = false;
        if (!asleep) continue;
        wait_asleep(ep, w->seen, w->deadline_ns);
        w->idle_since_ns = 0;
        woken = true;
        round = false;
    }
}

int ep_wait(struct ep *ep, bool (*done)(void *arg), void *arg, uint64_t deadline_ns) {
    if (!ep_is_ours(ep)) return WEFT_E_CLOSED;
    if (done(arg)) return 0;
    if (ep_in_handler(ep)) {
        weft_error("transport", "ep_wait was called by a handler");
        return WEFT_E_INVAL;
    }
    struct wait w = {.done = done, .arg = arg, .deadline_ns = deadline_ns};
    if (ep->learns) w.lull_since_ns = weft_now_ns();
    pthread_mutex_lock(&ep->lock);
    ep->waiters++;
    int rc = wait(ep, &w);
    leave_wait(ep);
    pthread_mutex_unlock(&ep->lock);
    return rc;
}

void ep_wake(struct ep *ep) {
    if (!ep_is_ours(ep)) return;
    pthread_mutex_lock(&ep->lock);
    ep->events_run++;
    ep_wake_waiters(ep);
    pthread_mutex_unlock(&ep->lock);
}

int ep_fd(struct ep *ep) { return ep_is_ours(ep) ? ep->epoll : -1; }

uint64_t ep_deadline_ns(struct ep *ep) {
    if (!ep_is_ours(ep)) return WEFT_TIME_NEVER;
    pthread_mutex_lock(&ep->lock);
    uint64_t t = ep_next_deadline(ep);
    pthread_mutex_unlock(&ep->lock);
    return t;
}

int ep_timeout_ms(struct ep *ep) {
    uint64_t t = ep_deadline_ns(ep);
    if (t == WEFT_TIME_NEVER) return -1;
    uint64_t now = weft_now_ns();
    if (t <= now) return 0;
    uint64_t ms = (t - now + WEFT_NS_PER_MS - 1) / WEFT_NS_PER_MS;
    return ms < 1000000 ? (int)ms : 1000000;
}

bool ep_prepare_sleep(struct ep *ep) {
    if (!ep_is_ours(ep)) return true;
    pthread_mutex_lock(&ep->lock);
    bool own = ep->poller == EP_POLLER_NONE || ep->poller == EP_POLLER_OWNER;
    bool safe = !ep->dispatching && own && prepare_sleep(ep);
    if (safe) {
        ep->poller = EP_POLLER_OWNER;
        ep->owner = pthread_self();
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
    if (ep->thread_deep) *looks = 0; /* somebody left: not to be woken each time that somebody does */
    ep->thread_deep = false;
}

/* What is due although waiters come and go, such as acknowledgements that none of them took along. */
static void look_up(struct ep *ep, uint64_t now) {
    if (ep_next_deadline(ep) > now) return;
    ep_begin(ep);
    ep_dispatch(ep);
    ep_end(ep);
}

void *ep_thread_main(void *arg) {
    struct ep *ep = arg;
    unsigned looks = 0;
    uint64_t idle_since = 0, waits = 0, last_wait = 0;
    pthread_setname_np(pthread_self(), "weft-progress");
    pthread_mutex_lock(&ep->lock);
    while (!ep->stop) {
        uint64_t now = weft_now_ns();
        if (ep->waits != waits) last_wait = now;
        waits = ep->waits;
        bool others = ep->waiters || ep->dispatching || ep->poller != EP_POLLER_NONE;
        if (others || now - last_wait < QUIET_NS) {
            if (!others) look_up(ep, now);
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
