/* notify.h: how a thread learns that something has arrived.
 *
 * What arrives is told in a *notification*: a structure in the program's memory that the transport fills in. There is one
 * for each thing that is watched: the end of an operation, a counter, a peer's messages, a SCIF endpoint, an OpenCL event,
 * any descriptor, or what the program posts itself. How the thread hears of it is the receiver's choice:
 *
 *   lock release         the transport counts in a word of the notification; the waiter spins on that word, for about as long
 *                        as a wake-up takes here, and then sleeps. Who spins is not woken: the sender makes no system call.
 *   asynchronous branch  a handler runs on the computing thread at once, whatever that is doing, but never inside of a masked
 *                        section; a signal aimed at that thread carries it.
 *   thread dispatch      a handler runs on a parked thread of a pool, whose stack and context were set up beforehand.
 *   descriptor           an eventfd becomes readable, for event loops.
 *
 *     struct weft_notification n;                                     lock release on one thing
 *     weft_notification_init(&n, NULL, NULL, NULL);
 *     weft_cntr_notify(cntr, &n);
 *     weft_notification_wait(&n, WEFT_FOREVER, &arrived);
 *
 *     weft_notifier_config_init(&cfg);                                a handler on this thread
 *     cfg.mechanism = WEFT_BRANCH;
 *     weft_notifier_create(&here, &cfg);
 *     weft_notification_init(&n, here, on_arrival, my_state);
 *     weft_peer_notify(peer, &n);
 *
 * PROMISES. Arrivals are counted; what is told, or handed to a handler, is how many have come since the last time. So
 * none is lost, also if it comes between a look and a sleep, and none is told twice; many may be told at once (fewer
 * than 2^32). A post that returned 0 will be told.
 *
 * THREADS. Any thread may call anything, unless its comment says otherwise. FORK: a child has none of this and is told
 * nothing; what it inherits must not be used, but for weft_branch_unmask, and it may make its own.
 *
 * Link with -lweft, also for the notifications of SCIF (<weft/scif_ext.h>) and OpenCL (<CL/cl_weft.h>). */
#ifndef WEFT_NOTIFY_H
#define WEFT_NOTIFY_H
#include <weft.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Notifications -------------------------------------------------------------------------------------------- */

struct weft_notification;
struct weft_notifier;

/* What is told: the arrivals of one notification since the last time. */
struct weft_arrived {
    struct weft_notification *from;
    void *ctx;      /* as given to weft_notification_init */
    uint64_t value; /* of one of them, or of a later one: which one's is not said if several post at once */
    uint32_t count; /* how many; never 0 */
    int status;     /* 0, or a WEFT_E_ code: the first since one was told; its arrival may be a later one. Of several at a
                       time only one is kept: a notification for each operation says which one failed, and how */
};

/* The library's: what WEFT_SPIN_AUTO has seen. */
struct weft_pace {
    uint64_t last_ns; /* of the last look; 0: none yet */
    uint64_t gap_ns;  /* between arrivals, a moving mean; 0: not known */
    uint32_t count;   /* of arrivals, then */
    uint32_t rest;    /* waits without a spin that are left */
    uint16_t failed;  /* spins in a row that ended without an arrival */
    uint8_t rests;    /* of these there have been, one after another */
    uint8_t spins;
    uint32_t lock;
};

/* A notification lives in memory of the program, which the library uses from weft_notification_init to
 * weft_notification_fini. Aligned to a cache line: the compiler sees to that, from the heap take it by aligned_alloc. The
 * members are the library's; those who post write the second line, who receives the third. */
struct weft_notification {
    const struct weft_notification_calls *calls;
    struct weft_notifier *to;
    void (*fn)(const struct weft_arrived *a);
    void *ctx;
    uint64_t unused_1[4];
    uint64_t word; /* upper half: arrivals; lower: who sleeps, whether it is queued */
    uint64_t value;
    struct weft_notification *next;
    int status;
    int unused_2;
    uint64_t unused_3[4];
    uint64_t spin_ns;
    uint32_t taken; /* of the arrivals */
    uint32_t unused_4;
    struct weft_pace pace;
    uint64_t unused_5[2];
} __attribute__((aligned(64)));

/* What other libraries reach a notification by, so that they need not be linked with this one. */
struct weft_notification_calls {
    int (*post)(struct weft_notification *n, uint64_t value, int status);
    int (*watch)(struct weft_notification *n, int fd);
    int (*unwatch)(struct weft_notification *n, int fd);
};

/* to NULL: lock release, waited for with weft_notification_wait; fn must be NULL. Else `to` tells of it: by calling fn(…)
 * with this ctx (branch, thread dispatch: fn is needed), or in weft_notifier_wait and _take (fn must be NULL).
 * WEFT_E_INVAL: NULL, not aligned, fn is missing or too much. */
int weft_notification_init(struct weft_notification *n, struct weft_notifier *to, void (*fn)(const struct weft_arrived *a),
                           void *ctx);
/* Takes it out of its notifier: arrivals that have not been told are forgotten, and when this returns its handler
 * neither runs nor will. Before this, nobody must post to it any more: an arrival that has been told counts as
 * posted, its poster does not look at the notification again. Not to be called by its own handler. */
void weft_notification_fini(struct weft_notification *n);

/* Tells of an arrival. Never waits, keeps errno, and is no cancellation point; safe in signal handlers and branches,
 * but for pools that grow or run in place.
 * WEFT_E_AGAIN: the pool refuses (WEFT_POOL_REFUSE); nothing has been counted. */
static inline int weft_notification_post(struct weft_notification *n, uint64_t value, int status) {
    return n->calls->post(n, value, status);
}

/* Lock release: whether something has arrived, without taking it: one load. */
static inline int weft_notification_ready(const struct weft_notification *n) {
    return (uint32_t)(__atomic_load_n(&n->word, __ATOMIC_ACQUIRE) >> 32) !=
           __atomic_load_n(&n->taken, __ATOMIC_RELAXED);
}
/* 1: takes what has arrived, *out says what; 0: nothing has. Never waits. Safe in branches. */
int weft_notification_test(struct weft_notification *n, struct weft_arrived *out);
/* Waits for an arrival and takes it: spins, then sleeps. Several threads may wait; one of them gets it. 0, or
 * WEFT_E_TIMEDOUT; WEFT_E_INVAL: it has a notifier. */
int weft_notification_wait(struct weft_notification *n, uint64_t timeout_ns, struct weft_arrived *out);

/* How long a waiter spins before it sleeps. */
#define WEFT_SPIN_MEASURED UINT64_MAX       /* about what a wake-up costs on this machine (the default) */
#define WEFT_SPIN_ALWAYS   (UINT64_MAX - 1) /* never sleeps */
#define WEFT_SPIN_AUTO     (UINT64_MAX - 2) /* as arrivals come: if they have been coming sooner, one after another, than a
                                               wake-up takes, twice that; else not at all, nor where spinning has not helped */
void weft_notification_set_spin(struct weft_notification *n, uint64_t spin_ns);

/* The callback of a struct weft_done whose arg is a notification: posts the operation's status. */
void weft_notification_done(void *notification, int status);

/* ---- Notifiers ------------------------------------------------------------------------------------------------ *
 * A notifier tells of any number of notifications, in the order in which they were queued. */

enum weft_mechanism { WEFT_AUTO, WEFT_LOCK_RELEASE, WEFT_BRANCH, WEFT_THREAD_DISPATCH, WEFT_DESCRIPTOR };

/* What a pool does with an arrival when none of its threads is free. */
enum weft_pool_policy {
    WEFT_POOL_QUEUE,  /* the next thread that is free takes it */
    WEFT_POOL_REFUSE, /* weft_notification_post returns WEFT_E_AGAIN. Counters, peers, operations, endpoints, events and
                         descriptors do not try again: that arrival of theirs is not told */
    WEFT_POOL_RUN,    /* the poster runs the handler itself, one at a time; others meanwhile as WEFT_POOL_QUEUE. The poster
                         may be a thread of the library: the handler must not wait for anything of it, nor close what
                         the arrival came from */
    WEFT_POOL_GROW    /* one more thread, up to threads_max; then, or if none is to be had, as WEFT_POOL_QUEUE */
};

#define WEFT_POOL_THREADS_MAX 64

/* What WEFT_AUTO goes by. All zero: nothing is known. */
struct weft_notify_load {
    double rate_per_s; /* of arrivals; 0: not known */
    double handler_ns; /* of the handler; 0: short */
    double busy;       /* of the CPUs that there are for another thread: 0 none, 1 all; negative: to be looked up */
    int computes;      /* the thread computes meanwhile; 0: it waits */
    int has_handler;   /* the program gives handlers; set by weft_notifier_create from `handlers` */
    int event_loop;    /* without handlers: the thread waits for descriptors, and needs one for this too */
};

/* Always start with weft_notifier_config_init. */
struct weft_notifier_config {
    size_t size;
    enum weft_mechanism mechanism;
    uint64_t spin_ns; /* lock release, and parked threads of a pool */
    unsigned threads, threads_max; /* pool: at the start (0: one), and at most (0: as many as at the start) */
    enum weft_pool_policy policy;
    /* Pool: called by each of its threads once, before it parks; index counts from 0. Optional. */
    void (*on_thread)(void *ctx, unsigned index);
    void *ctx;
    int handlers;                 /* WEFT_AUTO: notifications will have handlers */
    struct weft_notify_load load; /* WEFT_AUTO: what is known beforehand */
};

static inline void weft_notifier_config_init(struct weft_notifier_config *cfg) {
    memset(cfg, 0, sizeof *cfg);
    cfg->size = sizeof *cfg;
    cfg->spin_ns = WEFT_SPIN_MEASURED;
    cfg->load.busy = -1;
}

/* WEFT_AUTO without handlers: lock release with WEFT_SPIN_AUTO (in the place of WEFT_SPIN_MEASURED), or a descriptor. With
 * handlers ("The choice", below) it changes between branch and thread dispatch as the load does, so a handler must be fit
 * for both: do only what a branch may, and bear that the thread, or a handler of another notification, runs beside it,
 * also in masked sections of that thread. With WEFT_POOL_REFUSE, and where that is too much to ask, it is chosen once:
 * ask weft_notify_choose, and take that.
 * A branch goes to the calling thread, which must live until weft_notifier_destroy.
 * WEFT_E_INVAL (size, mechanism, policy, threads), WEFT_E_LIMIT (no descriptor, no thread is to be had). */
int weft_notifier_create(struct weft_notifier **out, const struct weft_notifier_config *cfg);
/* All of its notifications must have been ended; waits for posters that are still on their way out. A branch's: by its
 * thread, or when that has ended. Not to be called by a handler. NULL is allowed. */
void weft_notifier_destroy(struct weft_notifier *to);
/* What it is: for WEFT_AUTO what is chosen now. */
enum weft_mechanism weft_notifier_mechanism(const struct weft_notifier *to);
/* WEFT_AUTO with handlers: what it has seen of its load lately (what it has not seen yet is as it was given).
 * WEFT_E_INVAL: another. */
int weft_notifier_load(struct weft_notifier *to, struct weft_notify_load *out);

/* Lock release and descriptor: 1, *out says what; 0: nothing has arrived. */
int weft_notifier_take(struct weft_notifier *to, struct weft_arrived *out);
/* Lock release and descriptor: waits for it. WEFT_E_TIMEDOUT, WEFT_E_INVAL (another mechanism). */
int weft_notifier_wait(struct weft_notifier *to, uint64_t timeout_ns, struct weft_arrived *out);
/* Descriptor: readable while something may be there; it is so until weft_notifier_take has returned 0. The library's.
 * WEFT_E_INVAL: another mechanism. */
int weft_notifier_fd(const struct weft_notifier *to);

/* ---- Branches ------------------------------------------------------------------------------------------------- *
 * A branch interrupts its thread anywhere, so its handler may only do what a signal handler may (signal-safety(7)), and:
 * weft_notification_post, _ready and _test; weft_cntr_value and weft_cntr_failures; weft_branch_mask and _unmask; reading and
 * writing atomics; and whatever the program uses only inside of masked sections. Handlers of one thread run one at a
 * time, with branches masked. errno is kept.
 *
 * What must not be interrupted goes between mask and unmask, which cost some nanoseconds and no system call; what arrives
 * meanwhile is handled by the unmask, and its sender sends no signal. They nest, for each thread by itself. Leaving a masked
 * section by longjmp leaves it masked. A handler must return: no longjmp, no pthread_exit.
 *
 * The signal is SIGURG unless WEFT_NOTIFY_SIGNAL (1 to 31) says otherwise: it is ignored by default and cannot queue up. A handler
 * that the program had for it is called as well; one that it sets later ends branches, and a thread that blocks
 * the signal has none meanwhile. System calls that are interrupted are resumed (SA_RESTART), but for those that Linux never
 * resumes (signal(7)): poll, select, epoll_wait, nanosleep and others fail with EINTR, sleep returns early. It runs on the
 * alternate signal stack if the thread has one. */

void weft_branch_mask(void);
void weft_branch_unmask(void);

/* ---- Where notifications come from ---------------------------------------------------------------------------- *
 * Besides: operations (struct weft_done with weft_notification_done), SCIF endpoints (scif_notify), OpenCL events
 * (clNotifyEventWEFT), and whoever calls weft_notification_post. */

/* Posts when the counter counts, but for what a peer's WEFT_QUIET counts: the value is the counter's, the status a failed
 * operation's. NULL: no more, and when this returns nobody posts. WEFT_E_EXIST: it has one. Not to be called by the
 * notification's handler. */
int weft_cntr_notify(struct weft_cntr *c, struct weft_notification *n);
/* Posts when a message or put of the peer is complete here (its handler has run and its data is in place), with the
 * size of its data; and when the peer goes down, with why. Not for what the peer has sent with WEFT_QUIET (weft.h): whether
 * to notify is the sender's choice, how is the receiver's. NULL: as above. WEFT_E_EXIST. */
int weft_peer_notify(struct weft_peer *peer, struct weft_notification *n);
/* Posts when the descriptor becomes readable or is hung up: for each time that something comes, but several may count as
 * one, and it may have been read already. For a branch the kernel itself aims the signal at the thread where the descriptor is a
 * socket, pipe or terminal (it sets O_ASYNC and its owner); else a thread of the library watches it. Any number of
 * descriptors a notification. WEFT_E_EXIST (watched already), WEFT_E_INVAL, WEFT_E_NOSUP (cannot be watched). */
static inline int weft_notification_watch(struct weft_notification *n, int fd) { return n->calls->watch(n, fd); }
/* Ends that, before the descriptor is closed; when it returns nobody posts (a handler that it is called by runs to its
 * end). Not by a branch's handler. WEFT_E_NOENT. */
static inline int weft_notification_unwatch(struct weft_notification *n, int fd) { return n->calls->unwatch(n, fd); }

/* ---- The choice ----------------------------------------------------------------------------------------------- *
 * WEFT_AUTO takes what costs least: the time until an arrival is told, and the time that this takes from who computes, added
 * up; the latter weighs the more the less of the thread is left. The costs are options (`weft config`: notify_branch_told_ns and
 * following), which `weft model measure` finds out. `weft info` says what follows from them on this machine.
 *
 * With handlers the load is seen while it runs: how often arrivals come, how long handlers take, how much of the time the
 * thread that made the notifier computes, and how many threads are there to run. What is chosen changes at most 20
 * times a second, and only if that makes it a fifth cheaper. */

/* What WEFT_AUTO takes for that load. */
enum weft_mechanism weft_notify_choose(const struct weft_notify_load *load);
/* What that is and why, as one line: "branch: 10.0 us until it is told, 5.1 us from the computation; thread dispatch: …". As
 * snprintf: how long it is, also if that did not fit. */
size_t weft_notify_explain(const struct weft_notify_load *load, char *out, size_t cap);
const char *weft_mechanism_name(enum weft_mechanism m);
/* Another rule in the place of the built-in one (a model of the machine); NULL: the built-in one again. */
void weft_notify_set_chooser(enum weft_mechanism (*choose)(const struct weft_notify_load *load));

/* What there is on this machine: found by CPUID, and measured. */
struct weft_notify_machine {
    const char *user_wait;     /* "umwait", "mwaitx", or "none": plain spinning */
    int user_interrupts;       /* the CPU has user interrupts (UINTR) */
    int user_interrupts_used;  /* and the system lets programs have them: never so far, Linux has no interface */
    uint64_t spin_ns;          /* what WEFT_SPIN_MEASURED is */
};
void weft_notify_query(struct weft_notify_machine *out);

#ifdef __cplusplus
}
#endif
#endif
