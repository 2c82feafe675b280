/* Notifiers: the queue of notifications that have arrivals, and who is told of it. */
#include "notify/internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>

/* -- the queue -- */

void notifier_queue(struct weft_notifier *to, struct weft_notification *n) {
    struct weft_notification *top = __atomic_load_n(&to->incoming, __ATOMIC_RELAXED);
    do __atomic_store_n(&n->next, top, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&to->incoming, &top, n, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
}

/* With the lock: what has come goes behind the rest, the oldest first. */
static void collect(struct weft_notifier *to) {
    if (!__atomic_load_n(&to->incoming, __ATOMIC_SEQ_CST)) return;
    struct weft_notification *n = __atomic_exchange_n(&to->incoming, NULL, __ATOMIC_SEQ_CST), *list = NULL,
                             *last = n;
    while (n) {
        struct weft_notification *next = __atomic_load_n(&n->next, __ATOMIC_RELAXED);
        n->next = list;
        list = n;
        n = next;
    }
    *to->ready_end = list;
    to->ready_end = &last->next;
}

static void lock(struct weft_notifier *to) {
    weft_branch_mask();
    tiny_lock(&to->lock);
}

static void unlock(struct weft_notifier *to) {
    tiny_unlock(&to->lock);
    weft_branch_unmask();
}

/* With the lock: the oldest leaves the queue; what arrives from now on queues it again. */
static struct weft_notification *leave(struct weft_notifier *to) {
    struct weft_notification *n = to->ready;
    if (!n) {
        collect(to);
        n = to->ready;
    }
    if (!n) return NULL;
    to->ready = n->next;
    if (!to->ready) to->ready_end = &to->ready;
    __atomic_fetch_and(&n->word, ~WORD_QUEUED, __ATOMIC_SEQ_CST);
    return n;
}

bool notifier_pop(struct weft_notifier *to, struct weft_arrived *out, int who) {
    bool found = false;
    lock(to);
    for (struct weft_notification *n; !found && (n = leave(to));) {
        found = weft_notification_test(n, out);
        if (found && who >= 0) __atomic_store_n(&to->running[who], n, __ATOMIC_SEQ_CST);
    }
    unlock(to);
    return found;
}

bool notifier_has_work(struct weft_notifier *to) {
    lock(to);
    collect(to);
    bool has = to->ready != NULL;
    unlock(to);
    return has;
}

bool notifier_run_one(struct weft_notifier *to, int who) {
    struct weft_arrived a;
    if (!notifier_pop(to, &a, who)) return false;
    uint64_t start = to->adapt ? weft_now_ns() : 0;
    a.from->fn(&a);
    if (to->adapt) adapt_note(to, a.count, start, weft_now_ns(), who);
    __atomic_store_n(&to->running[who], NULL, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&to->ending, __ATOMIC_SEQ_CST)) {
        __atomic_fetch_add(&to->ended, 1, __ATOMIC_SEQ_CST);
        futex_wake(&to->ended, INT32_MAX);
    }
    return true;
}

/* -- the end of a notification -- */

static bool is_running(struct weft_notifier *to, const struct weft_notification *n) {
    for (size_t i = 0; i <= RUNNING_BRANCH; i++)
        if (__atomic_load_n(&to->running[i], __ATOMIC_SEQ_CST) == n) return true;
    return false;
}

static void take_out(struct weft_notifier *to, const struct weft_notification *n) {
    lock(to);
    collect(to);
    struct weft_notification **at = &to->ready;
    while (*at && *at != n) at = &(*at)->next;
    if (*at) *at = n->next;
    if (to->ready_end == &n->next) to->ready_end = at;
    unlock(to);
}

void weft_notification_fini(struct weft_notification *n) {
    struct weft_notifier *to = n ? n->to : NULL;
    if (!to) return;
    take_out(to, n);
    __atomic_fetch_add(&to->ending, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        uint32_t ended = __atomic_load_n(&to->ended, __ATOMIC_SEQ_CST);
        if (!is_running(to, n)) break;
        futex_wait(&to->ended, ended, WEFT_TIME_NEVER);
    }
    __atomic_fetch_sub(&to->ending, 1, __ATOMIC_SEQ_CST);
}

/* -- making and ending notifiers -- */

static int check(const struct weft_notifier_config *cfg) {
    unsigned most = cfg->threads_max > cfg->threads ? cfg->threads_max : cfg->threads;
    if (cfg->size != sizeof *cfg || (unsigned)cfg->mechanism > WEFT_DESCRIPTOR) return WEFT_E_INVAL;
    if ((unsigned)cfg->policy > WEFT_POOL_GROW || most > WEFT_POOL_THREADS_MAX) return WEFT_E_INVAL;
    return cfg->threads_max && cfg->threads_max < cfg->threads ? WEFT_E_INVAL : 0;
}

/* Both, to change between them: a pool that refuses counts nothing that no thread of it can take, so its
 * choice is made once. */
static int prepare_both(struct weft_notifier *to, const struct weft_notifier_config *cfg,
                        const struct weft_notify_load *load) {
    int rc = branch_attach(to);
    if (rc == 0) rc = adapt_create(to, load);
    if (rc == 0) rc = pool_create(to, cfg);
    return rc;
}

static int prepare(struct weft_notifier *to, const struct weft_notifier_config *cfg) {
    switch (to->mechanism) {
    case WEFT_BRANCH: return branch_attach(to);
    case WEFT_THREAD_DISPATCH: return pool_create(to, cfg);
    case WEFT_DESCRIPTOR:
        to->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return to->fd < 0 ? weft_error_from_errno(errno) : 0;
    default: return 0;
    }
}

static void undo(struct weft_notifier *to) {
    if (to->branch) branch_detach(to);
    if (to->pool) pool_destroy(to->pool);
    if (to->adapt) adapt_destroy(to);
    if (to->fd >= 0) close(to->fd);
    free(to);
}

int weft_notifier_create(struct weft_notifier **out, const struct weft_notifier_config *cfg) {
    int rc = out && cfg ? check(cfg) : WEFT_E_INVAL;
    if (rc) return rc;
    struct weft_notifier *to = aligned_alloc(64, (sizeof *to + 63) / 64 * 64);
    if (!to) return WEFT_E_NOMEM;
    struct weft_notify_load load = cfg->load;
    load.has_handler = cfg->handlers;
    struct weft_notifier_config own = *cfg;
    bool chosen = cfg->mechanism == WEFT_AUTO;
    if (chosen && own.spin_ns == WEFT_SPIN_MEASURED) own.spin_ns = WEFT_SPIN_AUTO;
    *to = (struct weft_notifier){.mechanism = cfg->mechanism, .spin_ns = own.spin_ns, .fd = -1};
    if (chosen) to->mechanism = weft_notify_choose(&load);
    to->ready_end = &to->ready;
    rc = chosen && cfg->handlers && cfg->policy != WEFT_POOL_REFUSE ? prepare_both(to, &own, &load)
                                                                    : prepare(to, &own);
    if (rc == 0)
        *out = to;
    else
        undo(to);
    return rc;
}

/* Their arrivals have been told, but they may still be on their way out. */
static void await_posters(struct weft_notifier *to) {
    uint32_t now = __atomic_or_fetch(&to->posters, POSTERS_AWAITED, __ATOMIC_ACQUIRE);
    while (now != POSTERS_AWAITED) {
        futex_wait(&to->posters, now, WEFT_TIME_NEVER);
        now = __atomic_load_n(&to->posters, __ATOMIC_ACQUIRE);
    }
}

void weft_notifier_destroy(struct weft_notifier *to) {
    if (!to) return;
    await_posters(to);
    undo(to);
}

enum weft_mechanism weft_notifier_mechanism(const struct weft_notifier *to) { return mechanism_of(to); }

/* -- taking -- */

static bool is_taken_from(const struct weft_notifier *to) {
    return to->mechanism == WEFT_LOCK_RELEASE || to->mechanism == WEFT_DESCRIPTOR;
}

/* Who posts sets `rung`, and writes if it was not set; who silences reads, and clears it if there was
 * something to read. So the two take turns: what is readable has been rung, and the eventfd never holds more
 * than one. By system calls, since read and write are points where a thread can be cancelled: then it would
 * stay rung and silent. */
void descriptor_ring(struct weft_notifier *to) {
    uint64_t one = 1;
    if (!__atomic_exchange_n(&to->rung, 1, __ATOMIC_SEQ_CST)) syscall(SYS_write, to->fd, &one, sizeof one);
}

/* False: it was silent, or somebody is about to ring it or has just silenced it. */
static bool silence(struct weft_notifier *to) {
    uint64_t rings;
    if (!__atomic_load_n(&to->rung, __ATOMIC_SEQ_CST)) return false;
    if (syscall(SYS_read, to->fd, &rings, sizeof rings) != sizeof rings) return false;
    __atomic_store_n(&to->rung, 0, __ATOMIC_SEQ_CST);
    return true;
}

/* The descriptor is silenced before the last look, so that what is queued after that rings again; and what
 * that look finds may not be all. */
int weft_notifier_take(struct weft_notifier *to, struct weft_arrived *out) {
    if (!is_taken_from(to)) return 0;
    if (notifier_pop(to, out, -1)) return 1;
    if (to->mechanism == WEFT_LOCK_RELEASE || !silence(to)) return 0;
    if (!notifier_pop(to, out, -1)) return 0;
    descriptor_ring(to);
    return 1;
}

static int wait_readable(struct weft_notifier *to, uint64_t deadline_ns) {
    struct pollfd p = {.fd = to->fd, .events = POLLIN};
    uint64_t now = weft_now_ns(), left = deadline_ns > now ? deadline_ns - now : 0;
    struct timespec ts = {(time_t)(left / WEFT_NS_PER_S), (long)(left % WEFT_NS_PER_S)};
    int n = ppoll(&p, 1, deadline_ns == WEFT_TIME_NEVER ? NULL : &ts, NULL);
    return n == 0 ? WEFT_E_TIMEDOUT : 0;
}

int weft_notifier_wait(struct weft_notifier *to, uint64_t timeout_ns, struct weft_arrived *out) {
    if (!is_taken_from(to)) return WEFT_E_INVAL;
    uint64_t deadline = deadline_in(timeout_ns);
    for (int rc = 0;;) {
        uint32_t seen = word_count(&to->word);
        if (weft_notifier_take(to, out)) return 0;
        if (rc) return rc;
        rc = to->fd >= 0 ? wait_readable(to, deadline)
                         : word_wait(&to->word, seen, to->spin_ns, &to->pace, deadline);
    }
}

int weft_notifier_fd(const struct weft_notifier *to) { return to->fd >= 0 ? to->fd : WEFT_E_INVAL; }
