/* Notifications: counting arrivals, and lock release on one of them. */
#include "notify/internal.h"

#include <errno.h>

#define LINE 64

uint64_t notification_count(struct weft_notification *n, uint64_t value, int status) {
    int none = 0;
    __atomic_store_n(&n->value, value, __ATOMIC_RELAXED);
    if (status)
        __atomic_compare_exchange_n(&n->status, &none, status, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return __atomic_fetch_add(&n->word, WORD_ARRIVAL, __ATOMIC_SEQ_CST);
}

static int post_lock(struct weft_notification *n, uint64_t value, int status) {
    word_tell(&n->word, notification_count(n, value, status));
    return 0;
}

static int ring(struct weft_notifier *to) {
    int kept = errno;
    switch (to->mechanism) {
    case WEFT_LOCK_RELEASE:
        word_tell(&to->word, __atomic_fetch_add(&to->word, WORD_ARRIVAL, __ATOMIC_SEQ_CST));
        break;
    case WEFT_BRANCH: branch_poke(to->branch); break;
    case WEFT_DESCRIPTOR:
        if (!__atomic_exchange_n(&to->rung, 1, __ATOMIC_SEQ_CST))
            (void)!write(to->fd, &(uint64_t){1}, sizeof(uint64_t));
        break;
    default: pool_ring(to);
    }
    errno = kept;
    return 0;
}

static int post_queue(struct weft_notification *n, uint64_t value, int status) {
    struct weft_notifier *to = n->to;
    uint64_t before = notification_count(n, value, status);
    return before & WORD_QUEUED || !notifier_queue(n) ? 0 : ring(to);
}

/* A thread is claimed before anything is counted, since what has been counted may have been taken already. */
static int post_refuse(struct weft_notification *n, uint64_t value, int status) {
    struct weft_notifier *to = n->to;
    int worker = pool_claim(to->pool);
    if (worker < 0) return WEFT_E_AGAIN;
    notification_count(n, value, status);
    notifier_queue(n);
    pool_start(to->pool, worker);
    return 0;
}

const struct weft_notification_calls notification_calls_lock = {post_lock, watch_fd, unwatch_fd};
const struct weft_notification_calls notification_calls_queue = {post_queue, watch_fd, unwatch_fd};
const struct weft_notification_calls notification_calls_refuse = {post_refuse, watch_fd, unwatch_fd};

int weft_notification_init(struct weft_notification *n, struct weft_notifier *to,
                           void (*fn)(const struct weft_arrived *a), void *ctx) {
    bool handlers = to && (to->mechanism == WEFT_BRANCH || to->mechanism == WEFT_THREAD_DISPATCH);
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
        int rc = word_wait(&n->word, __atomic_load_n(&n->taken, __ATOMIC_RELAXED), n->spin_ns, deadline);
        if (weft_notification_test(n, out)) return 0;
        if (rc) return rc;
    }
}

void weft_notification_done(void *notification, int status) {
    weft_notification_post(notification, 0, status);
}
