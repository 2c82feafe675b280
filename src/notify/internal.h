/* Inside of notify/. The public page is include/weft/notify.h.
 *
 *   notification.c  one thing that arrivals are counted of; lock release on it
 *   notifier.c      what tells of many: the queue, lock release, the descriptor
 *   branch.c        handlers on the computing thread      pool.c    handlers on parked threads
 *   watch.c         descriptors as sources                choose.c  WEFT_AUTO
 *   adapt.c         WEFT_AUTO with handlers while it runs: looks at the load, and changes between branch and
 * pool spin.c          spinning and sleeping on a word, and what the CPU has for that pace.c WEFT_SPIN_AUTO:
 * whether spinning pays at this rate
 *
 * DESIGN NOTES.
 * An arrival is one atomic addition to the notification's word, which gives back who has to be told: whether
 * somebody sleeps there (lock release), or whether it is in its notifier's queue already. So what is posted
 * is counted, never stored: no buffer can be full, and nothing is allocated. Who takes compares the count
 * with what it has taken before, which lies on a line of its own: a waiter that spins gets one line from the
 * sender and writes none that the sender needs.
 *
 * Nothing is lost between a look and a sleep: the sleeper counts itself in the same word before it looks for
 * the last time, and the futex compares the count again.
 *
 * With a notifier the arrival is counted and marked as queued by one exchange: were it two, another poster
 * could queue it, and its receiver end the notification, before this one is through. For the same reason a
 * notifier counts the posters that are inside of it, and its end waits for them.
 *
 * The queue is a stack that anybody may push to without a lock, and behind it a list in order of arrival,
 * under the notifier's lock, for those who take. A notification leaves the queue and is taken under that
 * lock, so weft_notification_fini knows when nobody can have it any more.
 *
 * Branches: the thread's state has `depth` (masked sections that it is in) and `pending`. Who posts sets
 * pending, then looks at depth; unmask clears depth, then looks at pending; both with sequential consistency:
 * either the sender sees that the thread is masked and leaves it to the unmask, or it sends a signal. A
 * signal that comes into a masked section finds depth set and returns.
 *
 * Rejected: a ring of records (full some day: then something is lost or a sender waits); real-time signals,
 * which queue up and can fail; restartable sequences aborted by membarrier as a branch (9 to 11 us where a
 * signal takes 11 to 15, but only inside of loops written for it). */
#ifndef WEFT_NOTIFY_INTERNAL_H
#define WEFT_NOTIFY_INTERNAL_H
#include "base/error.h"
#include "notify/futex.h"
#include "notify/pace.h"
#include "weft/notify.h"

/* A word: two halves, counted by additions that do not touch one another. */
#define WORD_QUEUED  1ull /* it is in its notifier's queue */
#define WORD_SLEEPER 2ull /* one of those who sleep on the count */
#define WORD_ARRIVAL (1ull << 32)

static inline uint32_t word_count(const uint64_t *word) {
    return (uint32_t)(__atomic_load_n(word, __ATOMIC_ACQUIRE) >> 32);
}
/* Where the count lies, for a futex. */
static inline const uint32_t *word_futex(const uint64_t *word) {
    return (const uint32_t *)word + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
}

/* -- spin.c -- */
/* Waits until the count is no longer `seen`: spins, then sleeps. pace: of all who wait on this word, for
 * WEFT_SPIN_AUTO. 0 or WEFT_E_TIMEDOUT. */
int word_wait(uint64_t *word, uint32_t seen, uint64_t spin_ns, struct weft_pace *pace, uint64_t deadline_ns);
/* After an addition that gave back `before`. */
static inline void word_tell(const uint64_t *word, uint64_t before) {
    if ((uint32_t)before >= WORD_SLEEPER) futex_wake(word_futex(word), 1);
}
uint64_t deadline_in(uint64_t timeout_ns);

/* The CPU as spinning sees it: what a test puts in its place. */
enum spin_wait { SPIN_PLAIN, SPIN_UMWAIT, SPIN_MWAITX, SPIN_WAITS };
extern struct spin_cpu {
    bool (*cpuid)(unsigned leaf, unsigned sub,
                  unsigned out[4]); /* eax to edx; false: there is no such leaf */
    struct {
        void (*arm)(const uint64_t *word);   /* a store to its line from now on */
        void (*sleep)(const uint64_t *word); /* … ends this, or a few microseconds do */
    } wait[SPIN_WAITS];
} spin_cpu;
void spin_look_again(void); /* at what it is */

/* -- notification.c -- */
extern const struct weft_notification_calls notification_calls_lock, notification_calls_queue,
    notification_calls_refuse;

/* -- notifier.c -- */
struct branch;
struct pool;
struct adapt;

struct weft_notifier {
    enum weft_mechanism mechanism; /* adapt: the present one */
    uint64_t spin_ns;
    int fd;                /* descriptor; -1 */
    struct branch *branch; /* the thread */
    struct pool *pool;
    struct adapt *adapt;             /* WEFT_AUTO with handlers: it has both */
    struct weft_notifier *next_here; /* others of the same thread */

    _Alignas(64) struct weft_notification *incoming; /* a stack, pushed to without a lock */
    uint64_t word;                                   /* lock release: how often something was queued */
    uint32_t rung;                                   /* descriptor: it is readable, or about to be */

    _Alignas(64) struct weft_pace pace; /* lock release: of those who wait */

    _Alignas(64)
        uint32_t posters; /* that may still look at this, and the flag below; who spins reads other lines */

    _Alignas(64) struct tiny_lock lock; /* of those who take; branches are masked with it */
    struct weft_notification *ready, **ready_end;
    uint32_t ended; /* handlers; who waits for one sleeps on it */
    uint32_t ending;
    struct weft_notification
        *running[WEFT_POOL_THREADS_MAX + 2]; /* whose handlers run: by thread; last: in place, as a branch */
};

#define RUNNING_ELSEWHERE WEFT_POOL_THREADS_MAX
#define RUNNING_BRANCH    (WEFT_POOL_THREADS_MAX + 1)

static inline enum weft_mechanism mechanism_of(const struct weft_notifier *to) {
    return __atomic_load_n(&to->mechanism, __ATOMIC_RELAXED);
}

#define POSTERS_AWAITED (1u << 31) /* somebody sleeps until there is none */

/* Who posts puts the notification between these two into the queue and tells somebody: after the first its
 * receiver may take it and end everything. Leaving is the last that a poster does to the notifier. */
static inline void notifier_enter(struct weft_notifier *to) {
    __atomic_fetch_add(&to->posters, 1, __ATOMIC_RELAXED); /* ordered by the queue */
}
static inline void notifier_leave(struct weft_notifier *to) {
    if (__atomic_fetch_sub(&to->posters, 1, __ATOMIC_RELEASE) == (POSTERS_AWAITED | 1))
        futex_wake(&to->posters, INT32_MAX);
}
/* What its poster has marked as queued. */
void notifier_queue(struct weft_notifier *to, struct weft_notification *n);
/* Descriptor: makes it readable, if it is not. */
void descriptor_ring(struct weft_notifier *to);
/* The oldest of the queue that has arrivals: takes them, and marks it as running by `who` if that is not
 * negative. */
bool notifier_pop(struct weft_notifier *to, struct weft_arrived *out, int who);
bool notifier_has_work(struct weft_notifier *to);
/* Pops one and runs its handler. False: there was none. */
bool notifier_run_one(struct weft_notifier *to, int who);

/* -- branch.c -- */
int branch_attach(struct weft_notifier *to); /* to the calling thread */
void branch_detach(struct weft_notifier *to);
void branch_poke(struct branch *b);
/* The kernel shall send the signal when the descriptor has something. */
int branch_watch(struct branch *b, struct weft_notification *n, int fd);
int branch_unwatch(struct branch *b, struct weft_notification *n, int fd);

/* -- pool.c -- */
int pool_create(struct weft_notifier *to, const struct weft_notifier_config *cfg);
void pool_destroy(struct pool *p);
int pool_ring(struct weft_notifier *to);
/* WEFT_POOL_REFUSE: a free thread for an arrival that is not counted yet; -1: none. And that thread goes. */
int pool_claim(struct pool *p);
void pool_start(struct pool *p, int worker);
bool pool_refuses(const struct pool *p);

/* -- choose.c -- */
/* What telling costs on this machine, in ns. */
struct notify_costs {
    double branch_told, branch_taken; /* until the handler runs; from the computation, beside the handler */
    double dispatch_told, dispatch_taken; /* the latter where the pool's thread has no CPU of its own */
};
/* From the options. Not in signal handlers. */
void notify_costs_get(struct notify_costs *out);
/* Of a branch or a dispatch: the time until the handler runs, and what it takes from who computes. */
double notify_cost(const struct notify_costs *c, enum weft_mechanism m, const struct weft_notify_load *l);
/* What is best for the load (busy is known); the program's rule if it has set one. Safe in branches. */
enum weft_mechanism notify_choose(const struct notify_costs *c, const struct weft_notify_load *l);

bool notify_has_own_rule(void);

/* -- adapt.c -- */
int adapt_create(struct weft_notifier *to,
                 const struct weft_notify_load *load); /* by the thread of the branch */
void adapt_destroy(struct weft_notifier *to);
/* The part of the CPUs that have a thread to run; above 1: some wait. Of this moment. */
double adapt_busy(void);
/* By a thread of the pool, when it starts. */
void adapt_on_thread(struct adapt *a);
/* A handler has run. */
void adapt_note(struct weft_notifier *to, uint32_t arrivals, uint64_t start_ns, uint64_t end_ns, int who);
/* What to change to, if at all: nothing that has just been changed, and only for a gain of a fifth. */
enum weft_mechanism adapt_next(const struct notify_costs *c, const struct weft_notify_load *l,
                               enum weft_mechanism now, uint64_t since_ns);

/* -- watch.c -- */
int watch_fd(struct weft_notification *n, int fd);
int unwatch_fd(struct weft_notification *n, int fd);

#endif
