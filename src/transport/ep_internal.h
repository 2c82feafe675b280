/* The endpoint's inside, shared by endpoint.c (life, peers, messages), address.c (addresses and adapters),
 * progress.c (who polls, who sleeps), watch.c (descriptors and timers).
 *
 * DESIGN NOTES: threads. One lock guards the engine and the adapters. At any time at most one thread is the
 * dispatcher: it polls under the lock and runs handlers without it, so they run one at a time and in order. A
 * thread that waits makes itself the dispatcher, so nothing is handed over between threads. At most one
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

#include <pthread.h>

#define EP_LINKS_MAX    4
#define EP_FDS_MAX      16 /* of one adapter */
#define EP_DEFERRED_MAX 64

enum ep_poller { EP_POLLER_NONE, EP_POLLER_WAITER, EP_POLLER_THREAD, EP_POLLER_OWNER };

struct ep_link {
    struct engine_link engine;
    struct ep *ep;
    struct adapter *adapter;
    int fds[EP_FDS_MAX]; /* in the epoll set */
    size_t fd_count;
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
    uint64_t id;
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
    uint64_t now; /* of the poll under way */

    bool dispatching;
    const struct conn *running_conn; /* a callback about it, or a read from it, runs */
    const struct ep_watch *running_watch;
    uint64_t reading_token; /* of the message that a slice is being read for */
    unsigned callback_waiters;

    int epoll, bell;
    bool armed, bell_rung;
    enum ep_poller poller;
    uint64_t poller_until_ns;
    unsigned waiters, sleepers; /* threads inside ep_wait; those of them that sleep on `changed` */
    uint64_t events_run;        /* changes whenever done() may have */
    uint64_t last_wait_ns;
    uint64_t spin_ns;

    pthread_t thread;
    bool has_thread, stop, thread_deep; /* deep: the parked thread sleeps until it is signalled */

    struct weft_list watches;
    unsigned watch_count;
    uint64_t watched_ns;
    struct heap timers;
    struct weft_list timer_list;
    uint64_t next_timer;

    struct deferred *deferred; /* adapter peers to let go when no adapter is being polled */
    size_t deferred_count, deferred_cap;
};

/* Whether this process is the one that opened the endpoint (not a forked child of it). */
bool ep_is_ours(const struct ep *ep);
bool ep_in_handler(const struct ep *ep);     /* this thread runs a handler of it */
void ep_set_in_handler(const struct ep *ep); /* NULL: no more */

/* address.c */
int ep_links_open(struct ep *ep);
void ep_links_close(struct ep *ep);
struct ep_link *ep_link_for(struct ep *ep, const void *addr, size_t len, const void **part, size_t *part_len);
extern const struct engine_io ep_engine_io;
void ep_run_deferred(struct ep *ep);

/* progress.c; all with the lock held */
int ep_dispatch(struct ep *ep); /* one round; the caller has set `dispatching` by ep_begin */
void ep_begin(struct ep *ep);
void ep_end(struct ep *ep);
void ep_changed(struct ep *ep); /* after calls from outside: makes sure that somebody acts */
void ep_ring(struct ep *ep);
void *ep_thread_main(void *arg);
void ep_sleep_briefly(struct ep *ep, uint64_t until); /* for packets or a deadline; only for who is alone */
void ep_wait_for_callback(struct ep *ep, const struct conn *c, const struct ep_watch *w);

/* watch.c; with the lock held */
int ep_run_watches(struct ep *ep, bool force);
int ep_run_timers(struct ep *ep);
uint64_t ep_next_deadline(const struct ep *ep);
void ep_watch_fini(struct ep *ep);

#endif
