/* Notifications: counting arrivals, and lock release on one of them. */
#include "notify/internal.h"

#include <assert.h>
#include <errno.h>

#define LINE 64

static_assert(sizeof(struct weft_notification) == 3 * LINE, "one line for each who writes");

static void note(struct weft_notification *n, uint64_t value, int status) {
    int none = 0;
    __atomic_store_n(&n->value, value, __ATOMIC_RELAXED);
    if (status)
        __atomic_compare_exchange_n(&n->status, &none, status, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* The addition releases what has been noted, and is the last that is done to the notification: who takes the
 * arrival may end it at once. */
static int post_lock(struct weft_notification *n, uint64_t value, int status) {
    note(n, value, status);
    word_tell(&n->word, __atomic_fetch_add(&n->word, WORD_ARRIVAL, __ATOMIC_SEQ_CST));
    return 0;
}

/* Counts an arrival and marks it as queued, in one: an arrival that was counted first could be told by
 * another poster's queueing, and the notification be gone before this one looks at it again. True: it was not
 * queued; it cannot be taken until the caller has put it into the queue. */
static bool count_queued(struct weft_notification *n, uint64_t value, int status) {
    note(n, value, status);
    uint64_t before = __atomic_load_n(&n->word, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&n->word, &before, (before + WORD_ARRIVAL) | WORD_QUEUED, true,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        continue;
    return !(before & WORD_QUEUED);
}

static void ring(struct weft_notifier *to) {
    switch (mechanism_of(to)) {
    case WEFT_LOCK_RELEASE:
        word_tell(&to->word, __atomic_fetch_add(&to->word, WORD_ARRIVAL, __ATOMIC_SEQ_CST));
        break;
    case WEFT_BRANCH: branch_poke(to->branch); break;
    case WEFT_DESCRIPTOR: descriptor_ring(to); break;
    default: pool_ring(to);
    }
}

static int post_queue(struct weft_notification *n, uint64_t value, int status) {
    struct weft_notifier *to = n->to;
    if (!count_queued(n, value, status)) return 0;
    int kept = errno;
    notifier_enter(to);
    notifier_queue(to, n);
    ring(to);
    notifier_leave(to);
    errno = kept;
    return 0;
}

/* A thread is claimed before anything is counted, since what has been counted may have been taken already. */
static int post_refuse(struct weft_notification *n, uint64_t value, int status) {
    struct weft_notifier *to = n->to;
    notifier_enter(to);
    int worker = pool_claim(to->pool);
    if (worker >= 0) {
        if (count_queued(n, value, status)) notifier_queue(to, n);
        pool_start(to->pool, worker);
    }
    notifier_leave(to);
    return worker < 0 ? WEFT_E_AGAIN : 0;
}

const struct weft_notification_calls notification_calls_lock = {post_lock, watch_fd, unwatch_fd};
const struct weft_notification_calls notification_calls_queue = {post_queue, watch_fd, unwatch_fd};
const struct weft_notification_calls notification_calls_refuse = {post_refuse, watch_fd, unwatch_fd};

int weft_notification_init(struct weft_notification *n, struct weft_notifier *to,
                           void (*fn)(const struct weft_arrived *a), void *ctx) {
    bool handlers = to && (mechanism_of(to) == WEFT_BRANCH || mechanism_of(to) == WEFT_THREAD_DISPATCH);
    if (!n || (uintptr_t)n % LINE || handlers != (fn != NULL)) return WEFT_E_INVAL;
    *n = (struct weft_notification){.to = to, .fn = fn, .ctx = ctx, .spin_ns = WEFT_SPIN_MEASURED};
    n->calls = !to                                  ? &notification_calls_lock
               : to->pool && pool_refuses(to->pool) ? &notification_calls_refuse
                                                    : &notification_calls_queue;
    return 0;
}

void weft_notification_set_spin(struct weft_notification *n, uint64_t spin_ns) { n->spin_ns = spin_ns; }

int weft_notification_test(struct weft_notification *n, struct weft_arrived *out) {
    uint32_t taken = __atomic_load_n(&n->taken, __ATOMIC_RELAXED), now;
    do {
        now = word_count(&n->word);
        if (now == taken) return 0;
    } while (!__atomic_compare_exchange_n(&n->taken, &taken, now, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    out->from = n;
    out->ctx = n->ctx;
    out->count = now - taken;
    out->value = __atomic_load_n(&n->value, __ATOMIC_RELAXED);
    /* Only looked at, so that the line stays the sender's. */
    int status = __atomic_load_n(&n->status, __ATOMIC_RELAXED);
    out->status = status ? __atomic_exchange_n(&n->status, 0, __ATOMIC_RELAXED) : 0;
    return 1;
}

int weft_notification_wait(struct weft_notification *n, uint64_t timeout_ns, struct weft_arrived *out) {
    if (n->to) return WEFT_E_INVAL;
    if (weft_notification_test(n, out)) return 0;
    uint64_t deadline = deadline_in(timeout_ns);
    for (;;) {
        int rc =
            word_wait(&n->word, __atomic_load_n(&n->taken, __ATOMIC_RELAXED), n->spin_ns, &n->pace, deadline);
        if (weft_notification_test(n, out)) return 0;
        if (rc) return rc;
    }
}

void weft_notification_done(void *notification, int status) {
    weft_notification_post(notification, 0, status);
}
