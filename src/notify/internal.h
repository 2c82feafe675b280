/* Inside of notify/. The public page is include/weft/notify.h.
 *
 *   notification.c  one thing that arrivals are counted of; lock release on it
 *   notifier.c      what tells of many: the queue, lock release, the descriptor
 *   branch.c        handlers on the computing thread      pool.c    handlers on parked threads
 *   watch.c         descriptors as sources                choose.c  WEFT_AUTO
 *   spin.c          spinning and sleeping on a word, and what the CPU has for that
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
/* Waits until the count is no longer `seen`: spins, then sleeps. 0 or WEFT_E_TIMEDOUT. */
int word_wait(uint64_t *word, uint32_t seen, uint64_t spin_ns, uint64_t deadline_ns);
/* After an addition that gave back `before`. */
static inline void word_tell(const uint64_t *word, uint64_t before) {
    if ((uint32_t)before >= WORD_SLEEPER) futex_wake(word_futex(word), 1);
}
uint64_t deadline_in(uint64_t timeout_ns);

/* -- notification.c -- */
/* Counts an arrival; the word from before. */
uint64_t notification_count(struct weft_notification *n, uint64_t value, int status);
extern const struct weft_notification_calls notification_calls_lock, notification_calls_queue,
    notification_calls_refuse;

/* -- notifier.c -- */
struct branch;
struct pool;

struct weft_notifier {
    enum weft_mechanism mechanism;
    uint64_t spin_ns;
    int fd;                /* descriptor; -1 */
    struct branch *branch; /* the thread */
    struct pool *pool;
    struct weft_notifier *next_here; /* others of the same thread */

    _Alignas(64) struct weft_notification *incoming; /* a stack, pushed to without a lock */
    uint64_t word;                                   /* lock release: how often something was queued */
    uint32_t rung;                                   /* descriptor: it is readable, or about to be */

    _Alignas(64) struct tiny_lock lock; /* of those who take; branches are masked with it */
    struct weft_notification *ready, **ready_end;
    uint32_t ended; /* handlers; who waits for one sleeps on it */
    uint32_t ending;
    struct weft_notification
        *running[WEFT_POOL_THREADS_MAX + 1]; /* whose handlers run: by thread; last: in place */
};

#define RUNNING_ELSEWHERE WEFT_POOL_THREADS_MAX

/* Puts it into the queue if it is not there. True: it was not; somebody has to be told. */
bool notifier_queue(struct weft_notification *n);
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

/* -- watch.c -- */
int watch_fd(struct weft_notification *n, int fd);
int unwatch_fd(struct weft_notification *n, int fd);

#endif
