/* The endpoint's inside, shared by endpoint.c (life, peers, messages), address.c (addresses and adapters),
 * round.c (what a round of work is), progress.c (who polls, who sleeps), watch.c (descriptors and
 * timers), memory.c (ep_alloc).
 *
 * DESIGN NOTES: threads. One lock guards the engine and the adapters. At any time at most one thread is the
 * dispatcher: it polls under the lock and runs handlers without it, so they run one at a time and in order. A
 * thread that waits makes itself the dispatcher, so nothing is handed over between threads; it stays that
 * until its wait ends or it goes to sleep.
 *
 * Between rounds of work a waiting dispatcher spins without the lock: it peeks at the lanes, asks done() and
 * reads one word, `attention`. Whoever changes something that concerns it (queues work, wants a callback to
 * be over, goes to sleep until handlers have run) sets that word under the lock, and the dispatcher takes the
 * lock for a round. So others never wait for a spinning thread, and nothing is lost: the word stays set until
 * a round. What comes by a lane is taken under the lock, but after its handler the lock is not taken again:
 * that the callback is over, and that handlers have run, is told at the next round (`lane_ran`), which comes
 * at once if anybody waits for it.
 *
 * At most one
 * thread, the poller, sleeps in the kernel for packets; other waiters sleep on a condition variable and look
 * again when handlers have run. Whoever becomes the dispatcher may do so while the poller sleeps; before it
 * stops polling it arms the adapters again. The progress thread is the poller only when nobody has waited for
 * a moment; as long as somebody does, it only looks up once a millisecond, so that the threads that do the
 * work never pay for waking it. */
#ifndef WEFT_TRANSPORT_EP_INTERNAL_H
#define WEFT_TRANSPORT_EP_INTERNAL_H
#include "base/clock.h"
#include "transport/endpoint.h"
#include "transport/engine.h"
#include "transport/heap.h"
#include "transport/lull.h"

#include <pthread.h>
#include <stdatomic.h>

#define EP_LINKS_MAX    4
#define EP_FDS_MAX      16 /* of one adapter */
#define EP_DEFERRED_MAX 64
#define EP_WARM_NS      (200 * WEFT_NS_PER_US) /* since it brought something, a link counts as busy */

enum ep_poller { EP_POLLER_NONE, EP_POLLER_WAITER, EP_POLLER_THREAD, EP_POLLER_OWNER };

struct ep_link {
    struct engine_link engine;
    struct ep *ep;
    struct adapter *adapter;
    int fds[EP_FDS_MAX]; /* in the epoll set */
    size_t fd_count;
    uint64_t polled_ns, heard_ns; /* last polled; last time that a poll brought something */
};

struct ep_watch {
    struct weft_list node;
    int fd;
    void (*fn)(void *arg, int fd);
    void *arg;
};

struct ep_timer {
    struct heap_node at;
    struct weft_list node;
    uint64_t id; /* 0: kept (ep_timer_create) */
    void (*fn)(void *arg);
    void *arg;
};

struct ep_peer {
    struct ep *ep;
    struct conn *conn;
    void *ctx;
    bool connected;      /* by ep_connect, or kept: the owner's until ep_disconnect */
    const char *adapter; /* name */
};

struct deferred {
    struct adapter *adapter;
    struct adapter_peer *peer;
};

struct ep {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* handlers have run, or there is no dispatcher any more */
    pthread_cond_t thread_wake;
    pthread_cond_t callback_over;
    struct engine *engine;
    struct ep_config cfg;
    unsigned fork_generation;
    struct ep_link links[EP_LINKS_MAX];
    size_t link_count;
    struct ep_link *lanes[EP_LINKS_MAX]; /* those with ADAPTER_CAP_MESSAGES */
    size_t lane_count;
    uint64_t now; /* of the round under way */

    atomic_bool dispatching; /* changed under the lock; others look at it without */
    atomic_bool attention;   /* the dispatcher shall take the lock; set under it */
    bool lane_ran;           /* the dispatcher's: lane handlers ran since the last round */
    bool watched;            /* others wait for handlers to have run: tell each time */
    bool held;               /* some message is held back by `more` */
    uint64_t lane_heard_ns;  /* when a link with a lane delivered last, roughly */
    uint64_t next_round_ns;  /* the dispatcher's: until then only lanes are looked at; 0: in each turn */
    const struct conn *running_conn; /* a callback about it, or a read from it, runs (or ran, by a lane) */
    const struct ep_watch *running_watch;
    uint64_t reading_token; /* of the message that a slice is being read for */
    unsigned callback_waiters;

    int epoll, bell;
    bool armed, bell_rung;
    enum ep_poller poller;
    pthread_t owner; /* the poller, if it is the owner */
    uint64_t poller_until_ns;
    unsigned waiters, sleepers; /* threads inside ep_wait; those of them that sleep on `changed` */
    uint64_t events_run;        /* changes whenever done() may have */
    uint64_t waits;             /* waits that ended */
    uint64_t spin_ns;
    bool learns;      /* how long its waiters poll, beyond spin_ns */
    struct lull lull; /* the dispatcher's */

    pthread_t thread;
    bool has_thread, stop, thread_deep; /* deep: the parked thread sleeps until it is signalled */

    struct weft_list watches;
    unsigned watch_count;
    uint64_t watched_ns;
    struct heap timers;
    struct weft_list timer_list;
    size_t timer_count; /* in the list: the heap has room for all of them */
    uint64_t next_timer;

    struct weft_list memory; /* from ep_alloc, and not an adapter's */

    struct deferred *deferred; /* adapter peers to let go when no adapter is being polled */
    size_t deferred_count, deferred_cap;
};

/* Whether this process is the one that opened the endpoint (not a forked child of it). */
bool ep_is_ours(const struct ep *ep);
/* Which endpoint's handler this thread runs; NULL: none. */
extern _Thread_local const struct ep *ep_handler_of;
static inline bool ep_in_handler(const struct ep *ep) { return ep_handler_of == ep; }

/* address.c */
int ep_links_open(struct ep *ep);
void ep_links_close(struct ep *ep);
struct ep_link *ep_link_for(struct ep *ep, const void *addr, size_t len, const void **part, size_t *part_len);
extern const struct engine_io ep_engine_io;
void ep_run_deferred(struct ep *ep);

/* round.c; with the lock held, by the dispatcher */
int ep_round(struct ep *ep, bool woken, bool all); /* `all`: polls also links that are not due */
void ep_settle(struct ep *ep); /* after rounds and lanes: tells who waits for handlers to have run */
bool ep_has_work(const struct ep *ep);
void ep_disarm(struct ep *ep);
/* Runs the handler of one message that has come by a lane. Called and returns without the lock. */
enum ep_lane { EP_LANE_EMPTY, EP_LANE_RAN, EP_LANE_ROUND /* something else has come: a round is needed */ };
enum ep_lane ep_lane_turn(struct ep *ep);

/* progress.c; with the lock held */
int ep_dispatch(struct ep *ep); /* one round; the caller has set `dispatching` by ep_begin */
void ep_begin(struct ep *ep);
void ep_end(struct ep *ep);
void ep_changed(struct ep *ep); /* after calls from outside: makes sure that somebody acts */
void ep_ring(struct ep *ep);
void ep_wake_waiters(struct ep *ep);
void *ep_thread_main(void *arg);
void ep_sleep_briefly(struct ep *ep, uint64_t until); /* for packets or a deadline; only for who is alone */
void ep_wait_for_callback(struct ep *ep, const struct conn *c, const struct ep_watch *w);

void ep_memory_fini(struct ep *ep); /* memory.c */

/* watch.c; with the lock held */
int ep_run_watches(struct ep *ep, bool force);
int ep_run_timers(struct ep *ep);
uint64_t ep_next_deadline(const struct ep *ep);
void ep_watch_fini(struct ep *ep);

#endif
